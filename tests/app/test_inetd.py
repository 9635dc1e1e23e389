"""``launcelot inetd``, with the test as inetd."""

from __future__ import annotations

import os
import poplib
import smtplib
import socket
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.configuration import defaults
from launcelot.app.errors import USAGE, Ending
from launcelot.app.inetd import configured
from tests.app.programs import COMMAND, LIMIT, ProgramCase, environment

QUESTION, ANSWER = b"What is your quest?", b"To seek the Holy Grail."


class ConfiguredTests(SynchronousTestCase):
    """One listener alone."""

    def test_one_listener(self) -> None:
        """The others of its service listen nowhere, and other services do not run."""
        service, configuration = configured("imaps", defaults())
        self.assertEqual(("imap", ["imap"]), (service, list(configuration.services)))
        settings = configuration.services["imap"]
        self.assertEqual((("systemd:index=0",), ()), (settings.listen_tls, settings.listen))

    def test_unknown(self) -> None:
        """The known ones are named."""
        ending = self.assertRaises(Ending, configured, "http", defaults())
        self.assertEqual(USAGE, ending.status)
        self.assertIn("questions-tls", ending.text)


class InetdCase(ProgramCase):
    """Starts the command as inetd does."""

    def inetd(self, given: socket.socket, service: str, *options: str) -> subprocess.Popen[bytes]:
        """Standard input, output and error are the socket."""
        folders = ("--data", str(self.folder / "data"), "--log", str(self.folder / "log"))
        return self.start_on(given, given.fileno(), "inetd", service, *folders, *options)

    def start_on(self, given: socket.socket, errors: int, *command: str) -> subprocess.Popen[bytes]:
        """Start the command with a socket and a standard error."""
        process = subprocess.Popen(
            (*COMMAND, *command),
            cwd=self.folder,
            env=environment(self.folder),
            stdin=given.fileno(),
            stdout=given.fileno(),
            stderr=errors,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def log(self) -> str:
        """What was logged."""
        return Path(self.folder, "log").read_text()

    def listening(self) -> socket.socket:
        """A socket for ``wait``."""
        made = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(made.close)
        return made

    def connection(self) -> tuple[socket.socket, socket.socket]:
        """A client, and what inetd has accepted."""
        listening = self.listening()
        client = socket.create_connection(listening.getsockname(), timeout=LIMIT)
        self.addCleanup(client.close)
        accepted, _ = listening.accept()
        self.addCleanup(accepted.close)
        return client, accepted


class NowaitTests(InetdCase):
    """One connection, one process."""

    def test_connection(self) -> None:
        """It is served, the process ends with it, and the peer hears nothing that is not an answer."""
        client, accepted = self.connection()
        process = self.inetd(accepted, "questions")
        accepted.close()
        client.sendall(QUESTION)
        self.assertEqual(ANSWER, client.recv(1_000))
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(b"", client.recv(1_000))
        self.assertEqual(0, process.wait(LIMIT))
        self.assertRegex(self.log(), r"questions session \S+ from 127\.0\.0\.1 ")
        self.assertFalse(Path(self.folder, "data").exists(), "questions need no folder")

    def test_peer_that_was_faster(self) -> None:
        """Who has asked and left before the process has begun is answered all the same."""
        client, accepted = self.connection()
        client.sendall(QUESTION)
        client.shutdown(socket.SHUT_WR)
        process = self.inetd(accepted, "questions")
        accepted.close()
        self.assertEqual(ANSWER, client.recv(1_000))
        self.assertEqual(b"", client.recv(1_000))
        self.assertEqual(0, process.wait(LIMIT))

    def test_many_at_once(self) -> None:
        """Each has its process."""
        pairs = [self.connection() for _ in range(3)]
        processes = [self.inetd(accepted, "questions") for _, accepted in pairs]
        for client, _ in pairs:
            client.sendall(QUESTION)
        for client, accepted in pairs:
            accepted.close()
            self.assertEqual(ANSWER, client.recv(1_000))
            client.close()
        self.assertEqual([0, 0, 0], [process.wait(LIMIT) for process in processes])

    def test_unix_connection(self) -> None:
        """A pair of sockets without names is served, too."""
        client, accepted = socket.socketpair()
        self.addCleanup(client.close)
        process = self.inetd(accepted, "questions")
        accepted.close()
        client.settimeout(LIMIT)
        client.sendall(QUESTION)
        self.assertEqual(ANSWER, client.recv(1_000))
        client.close()
        self.assertEqual(0, process.wait(LIMIT))

    def test_mail(self) -> None:
        """A service with a data folder makes and locks it; a second one is refused meanwhile, in the log."""
        client, accepted = self.connection()
        first = self.inetd(accepted, "smtp")
        accepted.close()
        self.assertTrue(client.recv(1_000).startswith(b"220 "))
        other, handed = self.connection()
        second = self.inetd(handed, "smtp")
        handed.close()
        self.assertEqual(69, second.wait(LIMIT))
        self.assertEqual(b"", other.recv(1_000))
        self.assertIn(f"in use by process {first.pid}", self.log())
        client.sendall(b"QUIT\r\n")
        self.assertTrue(client.recv(1_000).startswith(b"221 "))
        client.close()
        self.assertEqual(0, first.wait(LIMIT))
        self.assertNotIn("Traceback", self.log())

    def test_wrong_use(self) -> None:
        """Not a word to the peer."""
        client, accepted = self.connection()
        process = self.inetd(accepted, "http")
        accepted.close()
        self.assertEqual(b"", client.recv(1_000))
        self.assertEqual(64, process.wait(LIMIT))
        self.assertIn("launcelot: inetd: no service is called 'http'", self.log())

    def test_no_socket(self) -> None:
        """Started by hand it says what it is for."""
        done = self.run_program(*COMMAND, "inetd", "questions")
        self.assertEqual((64, ""), (done.returncode, done.stdout))
        self.assertIn("standard input is no socket; inetd starts this", done.stderr)


class WaitTests(InetdCase):
    """A listening socket."""

    def test_listening(self) -> None:
        """Many connections, with mail that arrives; then it ends by itself, and who comes later waits for the next process."""
        smtp = self.listening()
        config = self.folder / "x.toml"
        config.write_text('config_version = 1\n[daemon]\ndomains = ["example.com"]\n')
        added = self.run_program(
            *COMMAND, "account", "add", "ann", "--config", str(config), "--data", str(self.folder / "data"), said="secret\n"
        )
        self.assertEqual(0, added.returncode, added.stderr)
        process = self.inetd(smtp, "smtp", "--config", str(config))
        host, port = smtp.getsockname()
        for number in range(3):
            with smtplib.SMTP(host, port, timeout=LIMIT) as session:
                session.sendmail("x@example.org", ["ann@example.com"], f"Subject: {number}\r\n\r\nhello\r\n")
        self.assertEqual(0, process.wait(LIMIT))
        pop3 = self.listening()
        early = socket.create_connection(pop3.getsockname(), timeout=LIMIT)
        self.addCleanup(early.close)
        self.inetd(pop3, "pop3", "--config", str(config))
        self.assertTrue(early.recv(1_000).startswith(b"+OK"))
        host, port = pop3.getsockname()
        reading = poplib.POP3(host, port, timeout=LIMIT)
        reading.user("ann")
        reading.pass_("secret")
        self.assertEqual(3, reading.stat()[0])
        reading.quit()

    def test_datagrams(self) -> None:
        """A socket of datagrams waits, too."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(LIMIT)
            client.sendto(QUESTION, made.getsockname())
            process = self.inetd(made, "questions-udp")
            self.assertTrue(client.recv(1_000))
        self.assertEqual(0, process.wait(LIMIT))

    def test_standard_error_of_its_own(self) -> None:
        """As systemd has it with ``StandardError=journal``: the log goes there without --log."""
        client, accepted = self.connection()
        reading, writing = os.pipe()
        self.start_on(accepted, writing, "inetd", "questions")
        os.close(writing)
        accepted.close()
        client.sendall(QUESTION)
        self.assertEqual(ANSWER, client.recv(1_000))
        client.close()
        with open(reading) as errors:
            self.assertIn("questions session", errors.read())
