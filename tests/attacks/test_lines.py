"""Lines that are none: too long, of any octet, half, out of order, of another protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tests.attacks.dialects import DIALECTS, LINES
from tests.attacks.harness import AttackCase
from tests.attacks.peer import Pumped

HUGE = 20_000_000
"""Octets of an endless line."""

TOO_LONG: Mapping[str, bytes] = {
    "smtp": b"500 5.5.2 Line too long\r\n",
    "submission": b"500 5.5.2 Line too long\r\n",
    "pop3": b"-ERR line too long\r\n",
    "imap": b"* BAD Command line is too long\r\n* BYE command line is too long\r\n",
    "ftp": b"421 The line is too long.\r\n",
    "questions": b"Error: question too long.",
}


class LongLineTests(AttackCase):
    """S12 and its like everywhere."""

    memory = 16 << 20

    def test_an_endless_line_is_answered_and_cut(self) -> None:
        """20 MB without a line end: the protocol's words, then a close, long before all of it is taken."""
        for filler in (b"A", b"\0", b" ", b"\xff", b"(", b"\r"):
            data = filler * HUGE
            jobs: list[Callable[[], Pumped]] = [partial(self.peer(name).pump, data) for name in DIALECTS]
            for name, came in zip(DIALECTS, self.together(jobs), strict=True):
                with self.subTest(service=name, filler=filler):
                    self.assertTrue(came.closed)
                    self.assertLess(came.taken, HUGE)
                    self.assertTrue(came.heard.startswith(TOO_LONG[name][:10]), came.heard[:200])
                    self.assertLessEqual(len(came.heard), 200)

    def test_an_endless_line_in_tls_is_cut(self) -> None:
        """The same where the line comes in records."""
        names = ("submissions", "pop3s", "imaps", "ftps", "questions-tls")
        peers = {name: self.secure(name, greeted=name != "questions-tls") for name in names}
        data = b"A" * HUGE
        for name, came in zip(names, self.together([partial(peer.pump, data) for peer in peers.values()]), strict=True):
            with self.subTest(service=name):
                self.assertTrue(came.closed)
                self.assertLess(came.taken, HUGE)


class OctetTests(AttackCase):
    """S13 for commands."""

    def test_every_octet_in_a_command_gets_one_answer(self) -> None:
        """Behind the verb, inside it and before it; the session stays in step."""
        octets = [bytes([octet]) for octet in range(256) if octet not in b"\n\r"]
        for name in LINES:
            verb = DIALECTS[name].verb
            for place in (verb + b" %b", verb[:-1] + b"%b" + verb[-1:], b"%b" + verb + b" x"):
                for start in range(0, len(octets), 4):
                    some = octets[start : start + 4]
                    # %b must not be doubled by octets that are percent signs.
                    self.check_in_step(name, [place.replace(b"%b", octet) for octet in some])

    def check_in_step(self, name: str, commands: list[bytes]) -> None:
        """Each command gets one whole answer of one line, and the farewell its own."""
        dialect = DIALECTS[name]
        peer = self.peer(name)
        peer.say(b"".join(command + b"\r\n" for command in commands) + dialect.leave)
        heard = peer.rest()
        peer.close()
        position = 0
        for command in commands:
            found = dialect.reply.match(heard, position)
            self.assertIsNotNone(found, (name, command, heard))
            position = found.end() if found is not None else position
        left = heard[position:]
        self.assertEqual(left.count(b"\n"), 2 if name == "imap" else 1, (name, commands, heard))

    def test_bare_line_ends_do_not_end_commands(self) -> None:
        """CR is an octet of a line, LF alone an error; nothing behind either is taken for a second command."""
        for name in LINES:
            dialect = DIALECTS[name]
            cheap = dialect.cheap.rstrip(b"\r\n")
            for joined, answers in ((b"\r", 1), (b"\r\r", 1), (b"\n", 2), (b"\n\n", 3), (b"\0", 1), (b"\x85", 1)):
                with self.subTest(service=name, joined=joined):
                    peer = self.peer(name)
                    peer.say(cheap + joined + cheap + b"\r\n" + dialect.leave)
                    heard = peer.rest()
                    granted = heard.count(dialect.answer)
                    self.assertEqual(granted, 1 if joined[:1] == b"\n" else 0, heard)
                    if name != "pop3":
                        self.assertEqual(heard.count(b"\n"), answers + (2 if name == "imap" else 1), heard)
                    peer.close()

    def test_unknown_and_empty_verbs(self) -> None:
        """Refused, and nothing else happens."""
        for name in LINES:
            tag = b"t " if name == "imap" else b""
            words = (b"", b" ", b"XYZZY", b"X" * 300, b"NOOPNOOP", b"no op", b"%s%n%x", b"{}", b"<script>", b"\x1b[2J")
            for start in range(0, len(words), 4):
                self.check_in_step(name, [tag + word for word in words[start : start + 4]])


WRONG: Mapping[str, tuple[bytes, ...]] = {
    "smtp": (b"MAIL FROM:<a@b.example>", b"RCPT TO:<ann@example.com>", b"DATA", b"AUTH PLAIN"),
    "submission": (b"MAIL FROM:<a@b.example>", b"RCPT TO:<ann@example.com>", b"DATA", b"AUTH PLAIN", b"VRFY ann"),
    "pop3": (b"STAT", b"LIST", b"RETR 1", b"DELE 1", b"UIDL", b"TOP 1 1", b"RSET", b"NOOP", b"PASS x"),
    "imap": tuple(
        b"t " + command
        for command in (
            b"SELECT INBOX",
            b"FETCH 1 FLAGS",
            b'LIST "" *',
            b"IDLE",
            b"CLOSE",
            b"EXPUNGE",
            b"UID SEARCH ALL",
            b"NAMESPACE",
        )
    ),
    "ftp": (
        b"LIST",
        b"RETR welcome.txt",
        b"STOR x",
        b"PASV",
        b"RNTO x",
        b"PASS x",
        b"CWD /",
        b"PORT 1,2,3,4,5,6",
        b"PBSZ 0",
        b"PROT P",
    ),
}


class OrderTests(AttackCase):
    """Verbs where they do not belong."""

    def test_nothing_works_before_its_time(self) -> None:
        """Each verb that needs more than a connection is refused on a fresh one, one answer each."""
        for name, commands in WRONG.items():
            for command in commands:
                with self.subTest(service=name, command=command):
                    peer = self.peer(name)
                    heard = peer.ask(command + b"\r\n")
                    refused = heard.startswith((b"5", b"-ERR", b"t BAD", b"t NO", b"* BAD"))
                    self.assertTrue(refused, heard)
                    self.assertEqual(peer.ask(DIALECTS[name].cheap, DIALECTS[name].answer)[-5:], DIALECTS[name].answer[-5:])
                    peer.close()

    def test_pipelined_data_without_recipients_is_no_message(self) -> None:
        """S06: DATA refused, so what follows are commands that are refused too, and nothing is stored."""
        before = len(self.inbox("brandon"))
        peer = self.peer("smtp")
        peer.say(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n")
        heard = peer.rest()
        self.assertIn(b"503 5.5.1 No valid recipients", heard)
        self.assertNotIn(b"354", heard)
        self.assertEqual(len(self.inbox("brandon")), before)


REQUEST = (
    b"%b / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400\r\n\r\n"
)

BODY: Mapping[str, bytes] = {
    "smtp": b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<brandon@example.com>\r\nDATA\r\nSubject: by HTTP\r\n\r\nx\r\n.\r\n",
    "submission": b"EHLO x\r\nNOOP\r\n",
    "pop3": b"CAPA\r\n",
    "imap": b"a CAPABILITY\r\n",
    "ftp": b"FEAT\r\n",
}


class OtherProtocolTests(AttackCase):
    """S05, T09: browsers that somebody's page has sent here."""

    def test_http_is_cut_before_its_body(self) -> None:
        """A request line ends the session; what the page's author wrote behind it is not looked at."""
        before = len(self.inbox("brandon"))
        for name in LINES:
            for verb in (b"GET", b"POST", b"PUT", b"OPTIONS", b"HEAD", b"CONNECT"):
                with self.subTest(service=name, verb=verb):
                    peer = self.peer(name)
                    peer.say(REQUEST.replace(b"%b", verb) + BODY[name])
                    heard = peer.rest(3.0)
                    self.assertLessEqual(heard.count(b"\n"), 2, heard)
                    self.assertNotIn(b"localhost", heard)
                    peer.close()
        self.assertEqual(len(self.inbox("brandon")), before)

    def test_other_greetings_are_survived(self) -> None:
        """TLS, SSH, HTTP/2, SOCKS, RDP and zeros on ports that expect lines: answered or cut, in bounded words."""
        first = (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(508),
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x05\x01\x00",
            b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
            bytes(4_096),
            b"\xff\xf4\xff\xf2" * 1_000 + b"\r\n",
            b"\r\n" * 4,
        )
        for name in DIALECTS:
            for data in first:
                with self.subTest(service=name, data=data[:20]):
                    peer = self.peer(name)
                    peer.say(data)
                    peer.finish()
                    heard = peer.rest(8.0)
                    self.assertLessEqual(len(heard), 2_000)
                    peer.close()


SCRIPTS: Mapping[str, bytes] = {
    "smtp": b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<brandon@example.com>\r\nDATA\r\nSubject: half\r\n\r\nx\r\n.\r",
    "submission": b"EHLO x\r\nAUTH LOGIN\r\nYnJhbmRvbg==\r\nYXRp",
    "pop3": b"USER brandon\r\nAUTH PLAIN\r\nAGJyYW5k",
    "imap": b"a LOGIN {7+}\r\nbrandon {7}\r\nati",
    "ftp": b"USER brandon\r\nSYST\r\nFEAT\r\nPASS atig",
    "questions": b"What is your quest?What is your",
}


class VanishingTests(AttackCase):
    """Half a command, and the peer is gone."""

    def test_peers_may_vanish_anywhere(self) -> None:
        """After every octet of a session, with FIN and with RST: nothing stored, everything given back."""
        before = len(self.inbox("brandon"))
        for name, script in SCRIPTS.items():
            for end in range(len(script) + 1):
                for vanish in ("reset", "close", "finish"):
                    peer = self.peer(name, greeted=False)
                    peer.say(script[:end])
                    getattr(peer, vanish)()
        self.assertEqual(len(self.inbox("brandon")), before)
