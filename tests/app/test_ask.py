"""``launcelot ask``: answers, and one line with an exit code for everything that may go wrong."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.app.ask import Inquiry, ask, ending_of, printable, reason_of
from launcelot.app.errors import Ending
from launcelot.app.seeds import PEOPLE
from launcelot.hosting import calling
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.listening import Listeners
from launcelot.protocols.questions.service import Settings, build
from launcelot.testing.site import memory_site
from tests.app.programs import COMMAND, LIMIT, ProgramCase

NAME = "What is your name?"
KNIGHT = "My name is Sir Lancelot of Camelot."


class Misbehaving:
    """
    A server that does one thing to one connection, in a thread.

    :ivar port: where.
    """

    def __init__(self, act: Callable[[socket.socket], None], kind: int = socket.SOCK_STREAM) -> None:
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.settimeout(LIMIT)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            self._socket.listen()
        self._act = act
        self._thread = threading.Thread(target=self._run if kind == socket.SOCK_STREAM else self._run_datagrams)
        self._thread.start()

    def _run(self) -> None:
        with self._socket, self._socket.accept()[0] as peer:
            peer.settimeout(LIMIT)
            self._act(peer)

    def _run_datagrams(self) -> None:
        with self._socket:
            self._act(self._socket)

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()


def reset(peer: socket.socket) -> None:
    """Hear the question and reset."""
    peer.recv(4096)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(peer: socket.socket) -> None:
    """Hear the question and close."""
    peer.recv(4096)


def cut(peer: socket.socket) -> None:
    """Say half an answer after a whole one."""
    peer.recv(4096)
    peer.sendall(b"Blue.My name is")


def silent(peer: socket.socket) -> None:
    """Hear the question, and then the end."""
    try:
        while peer.recv(4096):
            pass
    except ConnectionResetError:
        pass


def hostile(peer: socket.socket) -> None:
    """Answer what would do something to a terminal."""
    peer.recv(4096)
    peer.sendall(b"\x1b]0;owned\x07\r\n\xff.")
    while peer.recv(4096):
        pass


class ProgramTests(ProgramCase):
    """The program, against servers that misbehave."""

    def asked(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors; the errors are at most one line."""
        done = self.run_program(*COMMAND, "ask", *arguments)
        self.assertLessEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, done.stdout, done.stderr

    def against(self, act: Callable[[socket.socket], None], *arguments: str) -> tuple[int, str, str]:
        """The same against a server that misbehaves."""
        server = Misbehaving(act)
        self.addCleanup(server.join)
        return self.asked(*arguments, "--port", str(server.port))

    def test_refused(self) -> None:
        """By TCP and by UDP, at once."""
        for kind, options in ((socket.SOCK_STREAM, ()), (socket.SOCK_DGRAM, ("--udp",))):
            with socket.socket(socket.AF_INET, kind) as taken:
                taken.bind(("127.0.0.1", 0))
                port = taken.getsockname()[1]
                if kind == socket.SOCK_DGRAM:
                    taken.close()
                status, output, errors = self.asked(NAME, "--port", str(port), *options)
            self.assertEqual((status, output), (69, ""), errors)
            self.assertIn(f"launcelot: 127.0.0.1:{port}: refused: ", errors)

    def test_reset(self) -> None:
        """Told from a close."""
        status, _, errors = self.against(reset, NAME)
        self.assertEqual(status, 74)
        self.assertIn("the connection was reset", errors)

    def test_closed(self) -> None:
        """Before the answer."""
        status, _, errors = self.against(close, NAME)
        self.assertEqual(status, 74)
        self.assertIn("closed before the answer", errors)

    def test_cut_short(self) -> None:
        """What was answered before is shown, in both forms."""
        for options in ((), ("--json",)):
            status, output, errors = self.against(cut, "What is your favorite color?", NAME, *options)
            self.assertEqual(status, 76)
            self.assertIn("Blue.", output)
            self.assertNotIn("My name is", output)
            self.assertIn("the answer was cut short", errors)

    def test_silence(self) -> None:
        """The limit that was named is told."""
        status, _, errors = self.against(silent, NAME, "--timeout", "0.3")
        self.assertEqual(status, 75)
        self.assertIn("no answer in 0.3 seconds", errors)

    def test_silence_over_udp(self) -> None:
        """After two seconds, five datagrams and no more."""
        heard: list[bytes] = []

        over = threading.Event()

        def listen(server: socket.socket) -> None:
            server.settimeout(0.1)
            while True:
                try:
                    heard.append(server.recv(4096))
                except TimeoutError:
                    if over.is_set():
                        return

        server = Misbehaving(listen, socket.SOCK_DGRAM)
        try:
            status, _, errors = self.asked(NAME, "--udp", "--port", str(server.port))
        finally:
            over.set()
            server.join()
        self.assertEqual(status, 75, errors)
        self.assertIn("no answer in 2 seconds", errors)
        self.assertEqual(len(heard), 5)
        self.assertEqual(len(set(heard)), 1)
        self.assertRegex(heard[0].decode(), r"^#[0-9a-f]{16} What is your name\?$")

    def test_answers_lost_over_udp(self) -> None:
        """The second copy of the question is answered; answers of others are not believed."""

        def lose_one(server: socket.socket) -> None:
            question, source = server.recvfrom(4096)
            server.sendto(b"#0000000000000000 Wrong.", source)
            server.sendto(b"Wrong.", source)
            question, source = server.recvfrom(4096)
            server.sendto(question.partition(b" ")[0] + b" Right.", source)

        server = Misbehaving(lose_one, socket.SOCK_DGRAM)
        self.addCleanup(server.join)
        self.assertEqual(self.asked(NAME, "--udp", "--port", str(server.port)), (0, "Right.\n", ""))

    def test_a_cut_answer_over_udp(self) -> None:
        """An error, too."""

        def halve(server: socket.socket) -> None:
            question, source = server.recvfrom(4096)
            server.sendto(question.partition(b" ")[0] + b" My na", source)

        server = Misbehaving(halve, socket.SOCK_DGRAM)
        self.addCleanup(server.join)
        self.assertEqual(self.asked(NAME, "--udp", "--port", str(server.port))[0], 76)

    def test_answers_do_nothing_to_a_terminal(self) -> None:
        """Control characters are shown, not sent; JSON has its own escapes."""
        status, output, _ = self.against(hostile, NAME)
        self.assertEqual((status, output), (0, r"\x1b]0;owned\x07\r\n\xff." + "\n"))
        _, output, _ = self.against(hostile, NAME, "--json")
        self.assertEqual(json.loads(output)["answers"], [{"question": NAME, "answer": "\x1b]0;owned\x07\r\n\\xff."}])

    def test_not_tls(self) -> None:
        """A server that speaks in clear."""
        status, _, errors = self.against(hostile, NAME, "--tls")
        self.assertEqual(status, 77)
        self.assertIn("TLS failed: ", errors)

    def test_usage(self) -> None:
        """Nothing is sent."""
        for arguments in (
            (),
            ("What",),
            ("Who? Why?",),
            ("",),
            (NAME, "--tls", "--udp"),
            (NAME, "--ca-file", "/x"),
            (NAME, "--timeout", "0"),
            (NAME, "--timeout", "nan"),
            (NAME, "--port", "70000"),
            (NAME, "--port", "0"),
            (NAME, "--colour", "blue"),
            (NAME, "--framing", "morse"),
            (NAME, "--framing", "json", "--udp"),
            (NAME, "--framing", "until-close", "--tls"),
            (NAME, "--unix", "/tmp/s", "--port", "1060"),
            (NAME, "--unix", "/tmp/s", "--tls"),
        ):
            status, output, errors = self.asked(*arguments)
            self.assertEqual((status, output), (64, ""), (arguments, errors))

    def test_an_authority_that_cannot_be_read(self) -> None:
        """It is named."""
        status, _, errors = self.asked(NAME, "--tls", "--ca-file", "/no/such/file")
        self.assertEqual(status, 66)
        self.assertIn("/no/such/file", errors)

    def test_a_demo_by_every_way(self) -> None:
        """TCP, TLS with its authority, UDP, every framing; an unknown question is answered with exit code 1."""
        process = self.start(*COMMAND, "demo", "--ports", "free", "--json")
        told = json.loads(process.stdout.readline() if process.stdout else "")
        self.assertEqual(len(told["accounts"]), len(PEOPLE))
        ports = {name: str(place["port"]) for name, place in told["services"].items()}
        for options in (
            ("--port", ports["questions"]),
            ("--port", ports["questions-udp"], "--udp"),
            ("--port", ports["questions-tls"], "--tls", "--ca-file", told["ca_file"]),
            ("--port", ports["questions-tls"], "--tls", "--ca-file", told["ca_file"], "--host", "localhost"),
            ("--port", ports["questions-netstring"], "--framing", "netstring"),
            ("--port", ports["questions-json"], "--framing", "json"),
            ("--port", ports["questions-until-close"], "--framing", "until-close"),
        ):
            self.assertEqual(self.asked(NAME, "What is your favorite color?", *options), (0, f"{KNIGHT}\nBlue.\n", ""))
        self.assertEqual(self.asked("eh?", "--port", ports["questions"]), (1, "Error: unknown aphorism.\n", ""))
        status, _, errors = self.asked(NAME, "--tls", "--port", ports["questions-tls"])
        self.assertEqual(status, 77)
        self.assertIn("--ca-file", errors)


class AskTests(TestCase):
    """The same inside this process, where the server's names can be chosen."""

    async def listen(self) -> Listeners:
        """The service, with a certificate for localhost."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.world = memory_site(tls=True)
        site = replace(self.world.site, reactor=reactor, clock=reactor)
        site.deadlines = Deadlines(reactor)
        loopback = ("tcp:0:interface=127.0.0.1",)
        service = build(site, Settings(listen=loopback, listen_tls=loopback))
        self.addCleanup(service.stopService)
        await service.listen()
        return service

    async def test_a_certificate_for_somebody_else(self) -> None:
        """It is told which of the two is wrong: the authority or the host."""
        service = await self.listen()
        _, secure = service.listening
        authority = Path(self.mktemp())
        assert self.world.tls is not None
        authority.write_bytes(self.world.tls.certificate)
        inquiry = Inquiry([NAME.encode()], "127.0.0.1", secure.port, 5, tls=True, ca_file=authority)
        (found,) = await ask(self.reactor, inquiry)
        assert found.failure is not None
        ending = ending_of(found.failure, inquiry)
        self.assertEqual((ending.status, "another host" in ending.text), (77, True), ending.text)

    async def test_over_a_unix_socket(self) -> None:
        """In every framing that the service has there; nobody at the path is an ending that names it."""
        from twisted.internet import reactor

        path = self.mktemp()[-90:].replace("/", "-") + ".sock"
        self.reactor = reactor
        site = replace(memory_site().site, reactor=reactor, clock=reactor)
        site.deadlines = Deadlines(self.reactor)
        settings = Settings(
            listen=(f"unix:{path}",), listen_netstring=(f"unix:{path}n",), listen_until_close=(f"unix:{path}c",)
        )
        service = build(site, settings)
        self.addCleanup(service.stopService)
        await service.listen()
        for framing, end in (("plain", ""), ("netstring", "n"), ("until-close", "c")):
            inquiry = Inquiry([NAME.encode()] * 2, "", 0, 5, framing=framing, path=path + end)
            found = await ask(self.reactor, inquiry)
            self.assertEqual([one.result for one in found], [KNIGHT.encode()] * 2, framing)
        nobody = Inquiry([NAME.encode()], "", 0, 5, path=path + "x")
        error: Any = await self.assertFailure(Deferred.fromCoroutine(ask(self.reactor, nobody)), Ending)
        self.assertEqual(error.status, 69)
        self.assertTrue(error.text.startswith(f"{path}x: "), error.text)

    async def test_the_goodbye_is_waited_for(self) -> None:
        """The server hears it: its session ends cleanly."""
        service = await self.listen()
        plain, _ = service.listening
        found = await ask(self.reactor, Inquiry([NAME.encode()], "127.0.0.1", plain.port, 5))
        self.assertEqual([one.result for one in found], [KNIGHT.encode()])
        factory = service.listeners[0].factory
        with capturedLogs() as logs:
            while factory.sessions:
                await deferLater(self.reactor, 0, lambda: None)
        self.assertEqual([event["outcome"] for event in logs if "outcome" in event], ["peer gone"])

    async def test_refused(self) -> None:
        """As an ending."""
        service = await self.listen()
        plain, _ = service.listening
        await service.unlisten()
        asking: Deferred[Any] = Deferred.fromCoroutine(
            ask(self.reactor, Inquiry([NAME.encode()], "127.0.0.1", plain.port, 5))
        )
        error: Any = await self.assertFailure(asking, Ending)
        self.assertEqual(error.status, 69)


class WordsTests(SynchronousTestCase):
    """What people are told."""

    def test_every_error_of_calling_has_words(self) -> None:
        """In one line, with an exit code of its own kind."""
        inquiry = Inquiry([], "::1", 1060, 2)
        # Clients of other protocols have kinds of their own, which are there as soon as somebody has imported them.
        kinds = [kind for kind in calling.CallError.__subclasses__() if kind.__module__ == calling.__name__]
        self.assertTrue(kinds)
        for kind in kinds:
            found: list[Any] = []
            Deferred.fromCoroutine(self.fail_with(kind("two\nlines"))).addErrback(found.append)
            ending = ending_of(found[0], inquiry)
            self.assertTrue(ending.text.startswith("[::1]:1060: "), ending.text)
            self.assertNotIn("\n", ending.text)
            self.assertIn(ending.status, range(69, 78))

    async def fail_with(self, error: Exception) -> None:
        """Raise it."""
        raise error

    def test_bugs_are_not_hidden(self) -> None:
        """What is no error of calling is raised as it is."""
        found: list[Any] = []
        Deferred.fromCoroutine(self.fail_with(ZeroDivisionError())).addErrback(found.append)
        self.assertRaises(ZeroDivisionError, ending_of, found[0], Inquiry([], "::1", 1060, 2))

    def test_reasons(self) -> None:
        """Out of what the libraries say."""
        self.assertIn("another host", reason_of("VerificationError(errors=[DNSMismatch(mismatched_id=...)])"))
        self.assertIn("--ca-file", reason_of("[('SSL routines', '', 'certificate verify failed')]"))
        self.assertEqual(reason_of("[('SSL routines', '', 'wrong version number')]"), "wrong version number")
        self.assertEqual(reason_of("as it is"), "as it is")

    def test_printable(self) -> None:
        """Text beyond ASCII stays."""
        self.assertEqual(printable("Günther\x1b[0m\u202e\n"), "Günther\\x1b[0m\\u202e\\n")
