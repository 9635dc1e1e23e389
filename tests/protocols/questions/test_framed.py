"""The framed servers, the one that answers at the end, and Unix sockets."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import tempfile
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.errors import TryLater
from launcelot.core.limits import ConnectionCount
from launcelot.hosting.calling import connect
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.listening import Listeners
from launcelot.protocols.questions.answers import Answering, Answers
from launcelot.protocols.questions.client import QuestionsClientFactory
from launcelot.protocols.questions.framed import JsonFactory, NetstringFactory, UntilCloseFactory
from launcelot.protocols.questions.frames import JSON_BLOCKS, NETSTRINGS
from launcelot.protocols.questions.server import QuestionsFactory
from launcelot.protocols.questions.service import Settings, build
from launcelot.testing.link import Link, every_split, random_cuts
from launcelot.testing.site import memory_site

NAME = b"What is your name?"
KNIGHT = b"My name is Sir Lancelot of Camelot."
COLOR = b"What is your favorite color?"
LOOPBACK = "tcp:0:interface=127.0.0.1"


def net(*questions: bytes) -> bytes:
    """Netstrings."""
    return b"".join(map(NETSTRINGS.frame, questions))


def block(*objects: object) -> bytes:
    """JSON behind its length."""
    return b"".join(JSON_BLOCKS.frame(json.dumps(one, separators=(",", ":")).encode()) for one in objects)


def blocks(data: bytes) -> Iterator[Any]:
    """The objects in a stream of them."""
    while data:
        (length,) = struct.unpack_from("!I", data)
        yield json.loads(data[4 : 4 + length])
        data = data[4 + length :]


class Oracle:
    """Answers when it is told to, or refuses."""

    def __init__(self) -> None:
        self.due: list[Deferred[bytes]] = []

    def answer(self, question: bytes) -> bytes | Awaitable[bytes]:
        """Now, later, not at all, or with a bug."""
        if question == b"Refuse?":
            raise TryLater("not now")
        if question == b"Fail?":
            raise ZeroDivisionError("secret")
        if question.startswith(b"now"):
            return b"Now."
        self.due.append(Deferred())
        return self.due[-1]


class FramedCase(SynchronousTestCase):
    """A world with framed services in it."""

    kind: type[QuestionsFactory] = NetstringFactory

    def setUp(self) -> None:
        self.world = memory_site()

    def link(self, answers: Answering | None = None, count: ConnectionCount | None = None, most: int = 4096) -> Link:
        """A raw peer."""
        settings = Settings(max_question=most)
        counted = count or ConnectionCount(9999, 9999)
        return self.world.connect(self.kind(self.world.site, "framed", counted, settings, answers or Answers()))


class NetstringTests(FramedCase):
    """Over netstrings."""

    def test_every_split(self) -> None:
        """Three glued questions cut anywhere."""
        for first, second in every_split(net(NAME, COLOR, b"eh?")):
            link = self.link()
            link.say(first)
            link.say(second)
            self.assertEqual(link.take(), net(KNIGHT, b"Blue.", b"Error: unknown aphorism."))

    def test_a_part_is_acknowledged_at_once(self) -> None:
        """It may be all that the peer can send before it hears of it, under Nagle's algorithm; what is whole is answered."""
        link = self.link()
        asked: list[str] = []
        server: Any = link.server
        server.acknowledge = lambda: asked.append("now")
        link.say(net(NAME))
        self.assertEqual(asked, [])
        link.say(net(NAME)[:5])
        self.assertEqual(asked, ["now"])
        link.say(net(NAME)[5:])
        self.assertEqual(asked, ["now"])

    def test_octet_by_octet_and_random_cuts(self) -> None:
        """Order and number are kept."""
        said = net(*[NAME, COLOR, b"x?"] * 300)
        wanted = net(*[KNIGHT, b"Blue.", b"Error: unknown aphorism."] * 300)
        link = self.link()
        link.say(said, chunk=1)
        self.assertEqual(link.take(), wanted)
        link.say(said, cuts=random_cuts(said, Random(5), 40))
        self.assertEqual(link.take(), wanted)

    def test_more_frames_at_once_than_are_answered_in_one_go(self) -> None:
        """Five thousand."""
        link = self.link()
        link.say(net(*[b"x?"] * 5000))
        self.assertEqual(link.take(), net(*[b"Error: unknown aphorism."] * 5000))

    def test_no_question_keeps_the_connection(self) -> None:
        """The frame tells where the next one begins."""
        link = self.link()
        link.say(net(b"", b"What", b"a?b?", NAME))
        self.assertEqual(link.take(), net(*[b"Error: not a question."] * 3, KNIGHT))
        self.assertFalse(link.closed)

    def test_no_frame_ends_it(self) -> None:
        """What was asked before is answered; what comes behind is not."""
        link = self.link()
        link.say(net(NAME) + b"GET / HTTP/1.0\r\n\r\n" + net(NAME))
        self.assertEqual(link.take(), net(KNIGHT, b"Error: not a netstring."))
        self.assertTrue(link.closed)
        self.assertEqual(link.server.outcome, "not a netstring")

    def test_too_long_is_refused_by_its_length(self) -> None:
        """Nothing of it is kept."""
        link = self.link()
        link.say(b"4097:")
        self.assertEqual(link.take(), net(b"Error: question too long."))
        self.assertTrue(link.closed)
        link.say(b"a" * 100_000)
        self.assertEqual(link.server.pending, 0)

    def test_awaited_answers_keep_their_order(self) -> None:
        """What stands behind waits."""
        oracle = Oracle()
        link = self.link(oracle)
        link.say(net(b"now?", b"slow?", b"now?", b"Refuse?"))
        self.assertEqual(link.take(), net(b"Now."))
        oracle.due[0].callback(b"Slow.")
        self.assertEqual(link.take(), net(b"Slow.", b"Now.", b"Error: not now."))

    def test_a_late_refusal(self) -> None:
        """It is framed, too."""
        oracle = Oracle()
        link = self.link(oracle)
        link.say(net(b"slow?", b"now?"))
        oracle.due[0].errback(TryLater("not now"))
        self.assertEqual(link.take(), net(b"Error: not now.", b"Now."))

    def test_a_bug(self) -> None:
        """The peer is told in a frame, and the connection closed."""
        link = self.link(Oracle())
        link.say(net(b"Fail?"))
        self.assertEqual(link.take(), net(b"Error: internal error."))
        self.assertTrue(link.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_half_close(self) -> None:
        """Everything asked is answered."""
        link = self.link()
        link.say(net(*[NAME] * 5000))
        link.half_close()
        self.assertEqual(link.take(), net(*[KNIGHT] * 5000))
        self.assertTrue(link.closed)

    def test_a_silent_peer_is_left(self) -> None:
        """Also in the middle of a frame, however it trickles."""
        link = self.link()
        for octet in b"18:What is":
            link.say(bytes([octet]))
            self.world.advance(7)
        self.assertTrue(link.closed)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_a_peer_that_never_reads_is_bounded(self) -> None:
        """As over the plain service."""
        link = self.link()
        link.stop_reading()
        link.say(net(b"x?") * 500_000)
        self.assertLess(link.server.sent, 300_000)
        self.assertLess(link.server.pending, 200_000)

    def test_too_many_connections(self) -> None:
        """Told in a frame."""
        count = ConnectionCount(1, 1)
        self.link(count=count)
        second = self.link(count=count)
        self.assertEqual(second.take(), net(b"Error: too many connections."))


class JsonTests(FramedCase):
    """Over JSON."""

    kind = JsonFactory

    def test_every_split(self) -> None:
        """Two questions and what is none, cut anywhere."""
        for first, second in every_split(block({"question": NAME.decode()}, 3, {"question": "eh?"})):
            link = self.link()
            link.say(first)
            link.say(second)
            answers = list(blocks(link.take()))
            self.assertEqual(answers[0], {"answer": KNIGHT.decode()})
            self.assertEqual(set(answers[1]), {"error"})
            self.assertEqual(answers[2], {"answer": "Error: unknown aphorism."})
            self.assertFalse(link.closed)

    def test_the_wire(self) -> None:
        """Octet for octet."""
        link = self.link()
        link.say(b'\0\0\0\x21{"question":"What is your name?"}')
        self.assertEqual(link.take(), b'\0\0\0\x30{"answer":"My name is Sir Lancelot of Camelot."}')

    def test_four_gibibytes(self) -> None:
        """Refused by the length alone."""
        link = self.link()
        link.say(b"\xff\xff\xff\xff")
        self.assertEqual(list(blocks(link.take())), [{"error": "question too long"}])
        self.assertTrue(link.closed)

    def test_a_long_question_in_a_lawful_frame(self) -> None:
        """An error, and the connection stays."""
        link = self.link()
        link.say(block({"question": "a" * 4096 + "?"}, {"question": COLOR.decode()}))
        self.assertEqual(list(blocks(link.take())), [{"error": "question too long"}, {"answer": "Blue."}])

    def test_refusals_and_bugs(self) -> None:
        """As errors."""
        link = self.link(Oracle())
        link.say(block({"question": "Refuse?"}, {"question": "Fail?"}))
        self.assertEqual(list(blocks(link.take())), [{"error": "not now"}, {"error": "internal error"}])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class UntilCloseTests(FramedCase):
    """A question that ends where the peer closes its side."""

    kind = UntilCloseFactory

    def test_every_split(self) -> None:
        """One answer, after the end and not before."""
        for first, second in every_split(NAME):
            link = self.link()
            link.say(first)
            link.say(second)
            self.assertEqual(link.take(), b"")
            link.half_close()
            self.assertEqual(link.take(), KNIGHT)
            self.assertTrue(link.closed)

    def test_what_is_no_question(self) -> None:
        """Nothing, half, two, and what ends in a newline."""
        for wrong in (b"", b"What", NAME * 2, NAME + b"\n"):
            link = self.link()
            link.say(wrong)
            link.half_close()
            self.assertEqual(link.take(), b"Error: not a question.")

    def test_too_long(self) -> None:
        """It is told so before its end, and little is kept."""
        link = self.link()
        for _ in range(100):
            link.say(b"a" * 65_536)
        self.assertEqual(link.take(), b"Error: question too long.")
        self.assertEqual((link.server.pending, link.server.outcome), (0, "question too long"))
        self.assertIsNotNone(link.peer.lost)

    def test_an_awaited_answer(self) -> None:
        """It is waited for, within its limit."""
        oracle = Oracle()
        for late in (False, True):
            link = self.link(oracle)
            link.say(b"slow?")
            link.half_close()
            self.assertFalse(link.closed)
            if late:
                self.world.advance(11)
            else:
                oracle.due[-1].callback(b"Slow.")
            self.assertEqual(link.take(), b"Error: no answer in time." if late else b"Slow.")
            link.close()
            self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_refusals_and_bugs(self) -> None:
        """Told as over the plain service."""
        for question, answer in ((b"Refuse?", b"Error: not now."), (b"Fail?", b"Error: internal error.")):
            link = self.link(Oracle())
            link.say(question)
            link.half_close()
            self.assertEqual(link.take(), answer)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_trickle_ends_with_the_limit(self) -> None:
        """Sixty seconds for the whole question."""
        link = self.link()
        for _ in range(62):
            link.say(b"a")
            self.world.advance(1)
        self.assertTrue(link.closed)
        self.assertEqual(link.server.outcome, "deadline (total)")

    def test_a_peer_that_is_lost(self) -> None:
        """Before or after its question: nothing is left."""
        for said in (b"", b"What", b"slow?"):
            link = self.link(Oracle())
            link.say(said)
            if said == b"slow?":
                link.half_close()
            link.abort()
            self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_stopping(self) -> None:
        """Who has not begun is left at once; who has is answered."""
        idle, begun = self.link(), self.link()
        begun.say(NAME)
        drained = [link.server.factory.drain() for link in (idle, begun)]
        self.assertTrue(idle.closed)
        self.assertFalse(begun.closed)
        begun.half_close()
        self.assertEqual(begun.take(), KNIGHT)
        for link in (idle, begun):
            link.close()
        for one in drained:
            self.successResultOf(one)


class SocketTests(TestCase):
    """Real sockets: TCP on loopback, and Unix ones."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.world = memory_site()
        kept = tempfile.TemporaryDirectory(prefix="launcelot-test-")
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)

    async def listen(self, settings: Settings) -> Listeners:
        """The service as it is configured."""
        site = replace(self.world.site, reactor=self.reactor, clock=self.reactor)
        site.deadlines = Deadlines(self.reactor)
        service = build(site, settings)
        self.addCleanup(service.stopService)
        await service.listen()
        return service

    def talk(self, family: int, address: Any, said: bytes) -> bytes:
        """Say it, close our side, hear everything."""
        with socket.socket(family) as peer:
            peer.settimeout(60)
            peer.connect(address)
            peer.sendall(said)
            peer.shutdown(socket.SHUT_WR)
            heard = b""
            while piece := peer.recv(4096):
                heard += piece
            return heard

    async def test_framed_over_tcp(self) -> None:
        """All three, with the names they are listed under."""
        settings = Settings(listen=(), listen_netstring=(LOOPBACK,), listen_json=(LOOPBACK,), listen_until_close=(LOOPBACK,))
        service = await self.listen(settings)
        wanted = {
            "questions-netstring": (net(NAME), net(KNIGHT)),
            "questions-json": (block({"question": NAME.decode()}), block({"answer": KNIGHT.decode()})),
            "questions-until-close": (NAME, KNIGHT),
        }
        self.assertEqual({row.name for row in service.listening}, set(wanted))
        for row in service.listening:
            said, answer = wanted[row.name]
            self.assertEqual(await deferToThread(self.talk, socket.AF_INET, (row.host, row.port), said), answer)

    async def test_unix_socket(self) -> None:
        """A plain socket and our client; the path is told where others have an address, and is gone afterwards."""
        path = self.folder / "questions.sock"
        service = await self.listen(Settings(listen=(f"unix:{path}:mode=600",)))
        (row,) = service.listening
        self.assertEqual((row.name, row.host, row.port), ("questions", str(path), 0))
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(await deferToThread(self.talk, socket.AF_UNIX, str(path), NAME + COLOR), KNIGHT + b"Blue.")
        client = await connect(UNIXClientEndpoint(self.reactor, str(path)), QuestionsClientFactory(self.reactor))
        self.assertEqual([await one for one in [client.ask(NAME) for _ in range(100)]], [KNIGHT] * 100)
        client.close()
        await service.unlisten()
        self.assertFalse(path.exists())

    async def test_unix_peers_are_one_source(self) -> None:
        """The limit on connections of one source holds for all of them together."""
        path = self.folder / "questions.sock"
        await self.listen(Settings(listen=(f"unix:{path}",), max_connections_per_source=1))
        client = await connect(UNIXClientEndpoint(self.reactor, str(path)), QuestionsClientFactory(self.reactor))
        self.assertEqual(await client.ask(NAME), KNIGHT)
        refused = await deferToThread(self.hear, str(path))
        self.assertEqual(refused, b"Error: too many connections.")
        client.close()

    def hear(self, path: str) -> bytes:
        """Connect and hear what is said unasked."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(60)
            peer.connect(path)
            return peer.recv(4096)

    async def test_a_unix_socket_left_behind(self) -> None:
        """That of a process which was killed is taken over."""
        path = self.folder / "questions.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        process = subprocess.Popen(["true"])
        process.wait()
        os.symlink(str(process.pid), f"{path}.lock")
        await self.listen(Settings(listen=(f"unix:{path}",)))
        self.assertEqual(await deferToThread(self.talk, socket.AF_UNIX, str(path), NAME), KNIGHT)
