"""APPEND."""

from __future__ import annotations

from launcelot.testing.link import every_split
from tests.protocols.imap4.world import ImapCase


class AppendTests(ImapCase):
    """APPEND and literals."""

    def test_message_comes_out_as_it_went_in(self) -> None:
        """Every octet but NUL, both kinds of literal, flags and date."""
        body = b"Subject: x\r\n\r\n" + bytes(range(1, 256)) * 300 + b"\n\r"
        link = self.log_in()
        link.say(b't APPEND inbox (\\Seen kw) "17-Jul-1996 02:44:25 -0700" {%d}\r\n' % len(body))
        self.assertEqual(link.take(), b"+ OK\r\n")
        link.say(body + b"\r\n")
        self.assertRegex(link.take(), rb"\At OK \[APPENDUID \d+ 1\] ")
        link.say(b"t APPEND inbox {%d+}\r\n%b\r\n" % (len(body), body))
        self.assertRegex(link.take(), rb"\At OK \[APPENDUID \d+ 2\] ")
        self.ask(link, b"SELECT INBOX")
        self.assertEqual(
            self.ask(link, b"FETCH 1 (FLAGS INTERNALDATE)")[0],
            b'* 1 FETCH (FLAGS (\\Seen \\Recent kw) INTERNALDATE "17-Jul-1996 02:44:25 -0700")',
        )
        for number in (1, 2):
            link.say(b"t FETCH %d BODY.PEEK[]\r\n" % number)
            self.assertIn(body, link.take())

    def test_every_split(self) -> None:
        """The same comes of it wherever the delivery is cut, and octet by octet."""
        said = b"a LOGIN ann pw\r\nb APPEND {5+}\r\nInBoX (\\Draft) {12+}\r\nSubject: a\r\n\r\nc SELECT INBOX\r\n"
        splits = list(every_split(said))
        for first, second in splits:
            link = self.connect()
            link.say(first)
            link.say(second)
            self.assertRegex(link.take(), rb"(?s)a OK .*b OK \[APPENDUID .*c OK \[READ-WRITE")
        link = self.connect()
        link.say(said, chunk=1)
        self.assertRegex(link.take(), rb"(?s)a OK .*b OK \[APPENDUID .*c OK \[READ-WRITE")
        self.assertEqual(len(self.flags()), len(splits) + 1)

    def test_missing_mailbox(self) -> None:
        """TRYCREATE before the message is sent; one that comes anyway is thrown away, not executed."""
        link = self.log_in()
        self.ask(link, b"APPEND nope {30}", b"NO [TRYCREATE]")
        link.say(b"t APPEND nope {20+}\r\nx LOGOUT\r\ny LOGOUT\r\n\r\nz NOOP\r\n")
        self.assertRegex(link.take(), rb"\At NO \[TRYCREATE\] [^\r\n]*\r\nz OK NOOP completed\r\n\Z")

    def test_mailbox_that_goes_while_the_message_comes(self) -> None:
        """TRYCREATE behind the message; one that has its name by then takes it."""
        link, other = self.log_in(), self.log_in()
        for then, answer in ((b"", b"t NO [TRYCREATE]"), (b"x CREATE away\r\n", b"t OK [APPENDUID")):
            other.say(b"x CREATE away\r\n")
            self.assertRegex(other.take(), rb"x OK")
            link.say(b"t APPEND away {3}\r\n")
            self.assertRegex(link.take(), rb"\A\+ ")
            other.say(b"x DELETE away\r\n" + then)
            other.take()
            link.say(b"abc\r\n")
            self.assertTrue(link.take().startswith(answer))
            other.say(b"x STATUS away (MESSAGES)\r\n")
            self.assertEqual(b"MESSAGES 1" in other.take(), bool(then))

    def test_too_large(self) -> None:
        """Larger than allowed is TOOBIG unread; if it comes anyway the connection closes."""
        link = self.log_in()
        self.ask(link, b"APPEND INBOX {4294967295}", b"NO [TOOBIG]")
        self.ask(link, b"APPEND INBOX {99999999999999999999999}", b"NO [TOOBIG]")
        link.say(b"t APPEND INBOX {4294967295+}\r\nx LOGOUT\r\n")
        self.assertEqual(link.take(), b"* BYE literal is too large\r\n")
        self.assertTrue(link.closed)

    def test_more_behind_the_message(self) -> None:
        """What does not belong there makes the command BAD; its literals are thrown away; nothing is stored."""
        link = self.log_in()
        for garbage in (b"x", b" x", b"{5}x", b" (\\None)"):
            link.say(b"t APPEND INBOX {3+}\r\nabc" + garbage + b" {10+}\r\nx LOGOUT\r\n {3+}\r\nabc\r\nz NOOP\r\n")
            self.assertRegex(link.take(), rb"\At BAD [^\r\n]*\r\nz OK NOOP completed\r\n\Z")
        self.assertEqual(self.flags(), [])

    def test_nul_and_nothing(self) -> None:
        """A NUL is a syntax error, an empty message is refused."""
        link = self.log_in()
        link.say(b"t APPEND INBOX {3+}\r\na\0b\r\nz NOOP\r\n")
        self.assertEqual(link.take(), b"t BAD message has a NUL\r\nz OK NOOP completed\r\n")
        self.ask(link, b"APPEND INBOX {0}", b"NO [CANNOT]")
        self.assertEqual(self.flags(), [])

    def test_append_to_the_selected_mailbox(self) -> None:
        """EXISTS comes before the tagged answer."""
        link = self.log_in("INBOX")
        link.say(b"t APPEND INBOX {3+}\r\nabc\r\n")
        self.assertRegex(link.take(), rb"\A\* 1 EXISTS\r\n\* 1 RECENT\r\nt OK \[APPENDUID")

    def test_literals_are_acknowledged_at_once(self) -> None:
        """Only when the CRLF behind one is still to come: its sender may wait for that (imaplib: 21 or 340 messages/s)."""
        link = self.log_in()
        asked: list[bytes] = []
        link.server.acknowledge = lambda: asked.append(b"")
        link.say(b"t APPEND {5+}\r\nINBOX {3+}\r\nabc\r\n")
        self.assertEqual(asked, [])
        link.say(b"t APPEND {5+}\r\nINBOX")
        self.assertEqual(len(asked), 1)
        link.say(b" {3+}\r\nabc")
        self.assertEqual(len(asked), 2)
        link.say(b"\r\n")
        self.assertEqual(len(self.flags()), 2)

    def test_slow_and_honest(self) -> None:
        """Ten octets a second are cut off within two minutes; a KiB a second is served for as long as it takes (R02)."""
        slow = self.log_in()
        slow.say(b"t APPEND INBOX {100000}\r\n")
        for _ in range(120):
            self.world.advance(1)
            slow.say(b"x" * 10)
        self.assertTrue(slow.closed)
        honest = self.log_in()
        honest.say(b"t APPEND INBOX {614400}\r\n")
        for _ in range(600):
            self.world.advance(1)
            honest.say(b"x" * 1024)
        honest.say(b"\r\n")
        self.assertIn(b"t OK [APPENDUID", honest.take())
