"""Peers that never read, never speak, or speak without end."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial

from tests.attacks.dialects import DIALECTS, LINES
from tests.attacks.harness import SLOWEST, AttackCase
from tests.attacks.peer import Peer, Pumped
from tests.bounded import slowness

NEVER_READ = 20_000_000
"""Octets of commands sent by a peer that does not read."""

TALKATIVE: Mapping[str, tuple[bytes, ...]] = {
    "smtp": (b"EHLO x\r\n", b"HELP\r\n", b"NOOP\r\n"),
    "submission": (b"EHLO x\r\n",),
    "pop3": (b"CAPA\r\n",),
    "imap": (b"a CAPABILITY\r\n", b"a ID NIL\r\n"),
    "ftp": (b"FEAT\r\n", b"HELP\r\n", b"STAT\r\n"),
    "questions": (b"What is your name?",),
}
"""Commands with long answers, before log-in."""


class FloodCase(AttackCase):
    """Peers who have logged in."""

    def logged_in(self, name: str, window: int = 0) -> Peer:
        """Brandon."""
        peer = self.peer(name, window=window)
        secret = self.demo.accounts["brandon"].encode()
        for line in {
            "imap": (b"a LOGIN brandon %b\r\n" % secret,),
            "pop3": (b"USER brandon\r\n", b"PASS %b\r\n" % secret),
            "ftp": (b"USER brandon\r\n", b"PASS %b\r\n" % secret),
        }[name]:
            peer.ask(line)
        return peer


class NeverReadingTests(FloodCase):
    """R03."""

    memory = 16 << 20

    def test_commands_of_peers_that_never_read_are_not_taken(self) -> None:
        """20 MB of pipelined commands from each at once: the daemon stops reading, and its memory stays."""
        jobs = []
        for name, commands in TALKATIVE.items():
            for command in commands:
                peer = self.peer(name, window=4_096)
                data = command * (NEVER_READ // len(command))
                jobs.append(partial(peer.pump, data, listen=False, stalled=0.7))
        for came in self.together(jobs):
            self.assertFalse(came.closed)
            self.assertLess(came.taken, NEVER_READ // 2)

    def test_fifty_of_them_cost_little_each(self) -> None:
        """One segment of commands makes no more answers than fit: 256 KiB for each connection at the most."""
        self.memory = 50 * 262_144
        for name, command in (("ftp", b"HELP\r\n"), ("imap", b"a CAPABILITY\r\n")):
            for _ in range(25):
                peer = self.peer(name, window=4_096)
                peer.pump(command * 10_000, listen=False, limit=0.1)

    def test_mail_and_files_of_peers_that_never_read_wait(self) -> None:
        """The same with FETCH, RETR and STAT: nobody's messages pile up in memory."""
        jobs = []
        for name, command in (
            ("imap", b"b FETCH 1:* (BODY.PEEK[] ENVELOPE BODYSTRUCTURE)\r\n"),
            ("imap", b"b SEARCH ALL\r\n"),
            ("pop3", b"RETR 3\r\n"),
            ("pop3", b"UIDL\r\n"),
            ("ftp", b"STAT /quests\r\n"),
            ("ftp", b"MLST welcome.txt\r\n"),
        ):
            if name == "pop3" and command == b"UIDL\r\n":
                continue  # the maildrop is the first one's
            peer = self.logged_in(name, 4_096)
            if name == "imap":
                peer.ask(b"s SELECT INBOX\r\n", b"s OK")
            data = command * (NEVER_READ // len(command))
            jobs.append(partial(peer.pump, data, listen=False, stalled=0.7))
        for came in self.together(jobs):
            self.assertFalse(came.closed)
            self.assertLess(came.taken, NEVER_READ // 2)

    def test_in_tls_too(self) -> None:
        """The TLS layer's buffers are bounded like the socket's."""
        for name, command in (("submissions", b"EHLO x\r\n"), ("imaps", b"a CAPABILITY\r\n"), ("ftps", b"FEAT\r\n")):
            peer = self.peer(name, window=4_096, greeted=False)
            peer.start_tls(self.demo.ca_file)
            peer.hear()
            came = peer.pump(command * (NEVER_READ // len(command)), listen=False, stalled=0.7)
            with self.subTest(service=name):
                self.assertFalse(came.closed)
                self.assertLess(came.taken, NEVER_READ // 2)


class SilentTests(AttackCase):
    """R01, R04."""

    def test_five_hundred_silent_peers(self) -> None:
        """A hundred on each port, in TLS handshakes and in half commands: the next one is served at once, at 64 KiB each."""
        self.memory = 500 * 65_536
        for name in LINES:
            for number in range(100):
                peer = self.peer(name, source=f"127.0.0.{2 + number % 3}", greeted=False)
                if number % 2:
                    peer.say(b"NO")
        for name in DIALECTS:
            worked = self.process.worked()
            newcomer = self.peer(name)
            newcomer.ask(DIALECTS[name].cheap, DIALECTS[name].answer)
            self.assertLess(self.process.worked() - worked, SLOWEST * slowness())

    def test_two_hundred_silent_handshakes(self) -> None:
        """Half a ClientHello on ports with TLS."""
        self.memory = 200 * 65_536
        for name in ("submissions", "imaps", "pop3s", "ftps"):
            for number in range(50):
                self.peer(name, greeted=False).say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[: number % 11])

    def test_connections_that_come_and_go(self) -> None:
        """R05: twelve hundred, half of them reset: descriptors come back."""
        for number in range(1_200):
            name = tuple(DIALECTS)[number % len(DIALECTS)]
            peer = Peer(self.services[name])
            if number % 2:
                peer.reset()
            else:
                peer.close()


class PipelineTests(FloodCase):
    """R06, R07."""

    def test_a_hundred_thousand_commands_in_one_write(self) -> None:
        """Each is answered, and others are served meanwhile."""
        count = 100_000
        for name in ("smtp", "imap", "ftp", "questions"):
            dialect = DIALECTS[name]
            peer = self.peer(name)
            came = peer.pump(dialect.cheap * count + dialect.leave)
            peer.finish()
            heard = came.heard + peer.rest()
            with self.subTest(service=name):
                self.assertEqual(heard.count(dialect.answer), count)

    def test_thirty_floods_at_once(self) -> None:
        """Thirty peers who never stop are thirty among others: each is served a little at a time."""
        jobs = []
        for name in ("smtp", "imap", "ftp"):
            for _ in range(10):
                jobs.append(partial(self.answers, self.peer(name), DIALECTS[name].cheap, DIALECTS[name].answer))
        self.assertEqual(self.together(jobs), [20_000] * 30)

    def answers(self, peer: Peer, command: bytes, answer: bytes) -> int:
        """How many of 20,000 commands are answered."""
        came = peer.pump(command * 20_000)
        peer.finish()
        return (came.heard + peer.rest()).count(answer)

    def test_thousands_of_commands_after_log_in(self) -> None:
        """The same of those who have logged in, with commands that ask a store."""
        for name, command, answer, count in (
            ("pop3", b"NOOP\r\n", b"+OK", 30_000),
            ("pop3", b"STAT\r\n", b"+OK", 20_000),
            ("imap", b"b STATUS INBOX (MESSAGES)\r\n", b"b OK", 4_000),
            ("imap", b"b SELECT INBOX\r\n", b"b OK", 1_000),
            ("imap", b'b LIST "" *\r\n', b"b OK", 4_000),
            ("ftp", b"CWD /quests\r\n", b"250 ", 3_000),
            ("ftp", b"PWD\r\n", b"257 ", 20_000),
        ):
            peer = self.logged_in(name)
            came = peer.pump(command * count)
            peer.finish()
            heard = came.heard + peer.rest()
            with self.subTest(service=name, command=command):
                self.assertEqual(heard.count(answer), count)

    def test_ten_thousand_bad_commands(self) -> None:
        """The session ends after at most twenty, everywhere, and slowly where it is mail from strangers."""
        names = list(LINES)
        jobs = []
        for name in names:
            bad = (b"t " if name == "imap" else b"") + b"XYZZY\r\n"
            jobs.append(partial(self.all_of, self.peer(name), bad * 10_000))
        for name, heard in zip(names, self.together(jobs), strict=True):
            with self.subTest(service=name):
                self.assertLessEqual(heard.count(b"\n"), 22, heard[-300:])

    def test_ten_thousand_syntax_errors_of_other_kinds(self) -> None:
        """Commands out of order, before log-in and without arguments end a session as well."""
        for name, bad in (
            ("pop3", b"STAT\r\n"),
            ("pop3", b"USER\r\n"),
            ("imap", b"t SELECT INBOX\r\n"),
            ("imap", b"(\r\n"),
            ("ftp", b"RETR x\r\n"),
            ("ftp", b"USER\r\n"),
            ("ftp", b"\x01\r\n"),
        ):
            with self.subTest(service=name, bad=bad):
                heard = self.all_of(self.peer(name), bad * 10_000)
                self.assertLessEqual(heard.count(b"\n"), 22, heard[-300:])

    def all_of(self, peer: Peer, data: bytes) -> bytes:
        """What comes until the peer closes."""
        came: Pumped = peer.pump(data)
        return came.heard + peer.rest()

    def test_a_flood_of_log_ins(self) -> None:
        """A09: a hundred wrong passwords of as many names at once: hashing waits in a bounded place, others do not."""

        def attempt(number: int) -> bytes:
            peer = self.peer("imap")
            return peer.ask(b"a LOGIN nobody%d wrong\r\n" % number)

        answers = self.together([partial(attempt, number) for number in range(100)])
        self.assertEqual({answer[:5] for answer in answers}, {b"a NO "})
        peer = self.peer("submission")
        peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
        secret = f"\0brandon\0{self.demo.accounts['brandon']}".encode()
        self.assertEqual(peer.ask(b"AUTH PLAIN " + base64.b64encode(secret) + b"\r\n")[:3], b"235")
