"""SMTP's words are read strictly and written safely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.address import Address
from launcelot.protocols.smtp import grammar
from launcelot.protocols.smtp.grammar import MalformedReply, Reply, ReplyReader, SyntaxProblem, reply

A = Address("a", "b.org")


class RequestTests(SynchronousTestCase):
    """Command lines."""

    def refused(self, parse: Callable[[bytes], Any], argument: bytes) -> int:
        """The code with which an argument is refused."""
        problem: SyntaxProblem = self.assertRaises(SyntaxProblem, parse, argument)
        return problem.reply.code

    def test_verb_and_argument(self) -> None:
        """Verbs come in any case; blanks around the argument do not count."""
        for line in (b"noop", b"NOOP", b"NoOp  "):
            self.assertEqual(grammar.parse_request(line), grammar.Request(b"NOOP", b""))
        self.assertEqual(grammar.parse_request(b"MAIL  FROM:<a@b> "), grammar.Request(b"MAIL", b"FROM:<a@b>"))

    def test_control_characters_are_refused(self) -> None:
        """No control character can be in a command line, wherever it stands, but for a tab at its end."""
        self.assertEqual(grammar.parse_request(b"NOOP \t").argument, b"")
        for octet in [*range(9), *range(10, 32), 127]:
            for line in (
                bytes([octet]) + b"NOOP",
                b"NO%cOP" % octet,
                b"NOOP %c" % octet,
                b"MAIL FROM:<a%c@b.org>" % octet,
            ):
                self.assertEqual(self.refused(grammar.parse_request, line), 500, line)

    def test_every_octet_in_a_verb(self) -> None:
        """Only letters and digits can be in a verb."""
        for octet in range(256):
            line = b"NO%cOP" % octet
            if chr(octet).isascii() and (chr(octet).isalnum() or octet == 32):
                grammar.parse_request(line)
            else:
                self.assertEqual(self.refused(grammar.parse_request, line), 500)

    def test_greeting(self) -> None:
        """Host names, with underscores even, and address literals."""
        for name in (b"me", b"mail.example.org", b"my_host", b"[127.0.0.1]", b"[IPv6:::1]"):
            self.assertEqual(grammar.parse_greeting(name), name.decode())
        for name in (b"", b"a b", b"<x>", b"a" * 256, b"\xc3\xa4.org", b"x;y", b"[", b"[]"):
            self.assertEqual(self.refused(grammar.parse_greeting, name), 501, name)

    def test_mail(self) -> None:
        """Paths and parameters; the null path; blanks behind the colon."""
        self.assertEqual(grammar.parse_mail(b"FROM:<a@b.org>"), grammar.Mail(A))
        self.assertEqual(grammar.parse_mail(b"from: <a@b.org> size=7"), grammar.Mail(A, 7))
        self.assertEqual(grammar.parse_mail(b"FROM:<>"), grammar.Mail(None))
        self.assertEqual(
            grammar.parse_mail(b"FROM:<a@b.org> BODY=8bitmime SIZE=99 AUTH=<> SMTPUTF8"),
            grammar.Mail(A, 99, True, True),
        )
        self.assertEqual(grammar.parse_mail(b"FROM:<@x.org,@y.org:a@b.org>").sender, A)

    def test_malformed_mail(self) -> None:
        """What is no MAIL is refused with 501, unknown parameters with 555."""
        for argument in (
            b"", b"FROM", b"FROM:", b"FROM:a@b.org", b"FROM:<a@b.org", b"FROM:<a@b.org>x", b"FROM:<a@b.org>SIZE=1",
            b"FROM:<a@b.org> SIZE", b"FROM:<a@b.org> SIZE=x", b"FROM:<a@b.org> SIZE=-1", b"FROM:<a@b.org> SIZE=" + b"9" * 21,
            b"FROM:<a@b.org> SIZE=1 SIZE=2", b"FROM:<a@b.org> BODY=BINARY", b"FROM:<a@b.org> SMTPUTF8=1",
            b"FROM:<a@b.org> =", b"FROM:<a@b.org> AUTH=+0d", b"TO:<a@b.org>", b"FROM:<a@b.org><c@d.org>", b"FROM:<a b@c.org>",
            b"FROM:<a@b.org> " + b"X=1 " * 20, b"FROM:<\xff@b.org>", b"FROM:<@b.org>", b"FROM:<a@>", b"FROM:<a..b@c.org>",
        ):  # fmt: skip
            self.assertEqual(self.refused(grammar.parse_mail, argument), 501, argument)
        for argument in (b"FROM:<a@b.org> NOTIFY=NEVER", b"FROM:<a@b.org> X-FOO"):
            self.assertEqual(self.refused(grammar.parse_mail, argument), 555, argument)

    def test_utf8_needs_smtputf8(self) -> None:
        """An internationalized address is refused without the parameter and taken with it."""
        self.assertEqual(self.refused(grammar.parse_mail, "FROM:<jürgen@b.org>".encode()), 553)
        self.assertEqual(grammar.parse_mail("FROM:<jürgen@b.org> SMTPUTF8".encode()).sender, Address("jürgen", "b.org"))

    def test_recipient(self) -> None:
        """A path, or postmaster alone."""
        self.assertEqual(grammar.parse_recipient(b"TO:<A@b.org>"), grammar.Recipient(Address("A", "b.org")))
        self.assertEqual(grammar.parse_recipient(b"to: <Postmaster>").address, Address("postmaster", ""))
        for argument in (b"TO:<>", b"TO:<a>", b"TO:a@b.org", b"TO:<a@b.org>,<c@d.org>", b"TO:<a@b.org><c@d.org>", b""):
            self.assertEqual(self.refused(grammar.parse_recipient, argument), 501, argument)
        self.assertEqual(self.refused(grammar.parse_recipient, b"TO:<a@b.org> RET=FULL"), 555)

    def test_chunk(self) -> None:
        """BDAT's size is a plain number."""
        self.assertEqual(grammar.parse_chunk(b"12"), grammar.Chunk(12, False))
        self.assertEqual(grammar.parse_chunk(b"0 last"), grammar.Chunk(0, True))
        for argument in (b"", b"-1", b"0x5", b"1 2", b"1 LAST x", b"9" * 21, b"1.0", b"+1", b"\xc2\xb2"):
            self.assertEqual(self.refused(grammar.parse_chunk, argument), 501, argument)

    def test_a_path_that_comes_again(self) -> None:
        """Is read as it was, with what stands behind it read anew; what cannot be read is refused each time."""
        ann = Address("ann", "example.org")
        for _ in range(2):
            self.assertEqual(grammar.parse_recipient(b"TO:<ann@example.org>"), grammar.Recipient(ann))
            self.assertEqual(grammar.parse_recipient(b"TO:<ann@example.org> NOTIFY=NEVER"), grammar.Recipient(ann, "NEVER"))
            self.assertEqual(grammar.parse_mail(b"FROM:<ann@example.org> SIZE=5"), grammar.Mail(ann, 5))
            self.assertEqual(grammar.parse_mail(b"FROM:<>"), grammar.Mail(None))
            self.assertEqual(grammar.parse_mail(b'FROM:<"a> b"@example.org>').sender, Address("a> b", "example.org"))
            self.assertEqual(grammar.parse_recipient(b"TO:<postmaster>").address, Address("postmaster", ""))
            for path in (b"<postmaster>", b"<ann@example.org>x", b"<a b@c>", b"<ann@example.org", b"<\xff@b>"):
                self.assertEqual(self.refused(grammar.parse_mail, b"FROM:" + path), 501, path)
            self.assertEqual(self.refused(grammar.parse_recipient, b"TO:<>"), 501)

    @given(st.binary(max_size=200))
    def test_nothing_else_is_raised(self, line: bytes) -> None:
        """Whatever a peer sends is read or is a SyntaxProblem."""
        for parse in (
            grammar.parse_request, grammar.parse_mail, grammar.parse_recipient, grammar.parse_chunk, grammar.parse_auth,
            grammar.parse_greeting, grammar.parse_text, grammar.parse_nothing,
        ):  # fmt: skip
            try:
                parse(line)
            except SyntaxProblem as problem:
                self.assertTrue(500 <= problem.reply.code <= 555)


class ReplyTests(SynchronousTestCase):
    """Replies."""

    def read(self, *lines: bytes) -> Reply | None:
        """What the lines are."""
        reader = ReplyReader()
        found = None
        for line in lines:
            found = reader.feed(line)
        return found

    def test_written_and_read(self) -> None:
        """One line and several, with and without enhanced code."""
        for one in (reply(250, "2.0.0", "Ok"), reply(250, "", "a", "b", "c"), reply(550, "5.1.1", "No", "really")):
            self.assertEqual(self.read(*one.encode().split(b"\r\n")[:-1]), one)

    def test_enhanced_code_on_every_line(self) -> None:
        """RFC 2034 section 4."""
        self.assertEqual(reply(214, "2.0.0", "a", "b").encode(), b"214-2.0.0 a\r\n214 2.0.0 b\r\n")

    def test_line_breaks_cannot_be_written(self) -> None:
        """Peer-supplied text in a reply cannot make another reply."""
        self.assertEqual(reply(250, "", "a\r\n250 b\0").encode(), b"250 a??250 b?\r\n")

    def test_enhanced_code_of_another_class_is_text(self) -> None:
        """A 4.x.x behind a 550 is not believed."""
        found = self.read(b"550 4.1.1 what")
        self.assertEqual(found, Reply(550, "", ("4.1.1 what",)))

    def test_short_replies(self) -> None:
        """A code alone is a reply."""
        self.assertEqual(self.read(b"250"), Reply(250, "", ("",)))
        self.assertIsNone(self.read(b"250-"))

    def test_malformed_replies(self) -> None:
        """What is no reply, a code that changes, and too many lines."""
        for lines in ((b"",), (b"hello",), (b"2500 x",), (b"250_x",), (b"199 x",), (b"250-a", b"251 b"), (b"25",)):
            self.assertRaises(MalformedReply, self.read, *lines)
        self.assertRaises(MalformedReply, self.read, *[b"250-x"] * 1000)


class CommandTests(SynchronousTestCase):
    """What a client writes."""

    def test_written_and_read(self) -> None:
        """Addresses that need quotes or UTF-8 survive."""
        for address in (A, Address('a "b', "c.org"), Address("jürgen", "müller.de"), Address("x", "[ipv6:::1]")):
            line = grammar.encode_mail(address, ["SMTPUTF8", "SIZE=5"])[:-2]
            self.assertEqual(
                grammar.parse_mail(grammar.parse_request(line).argument), grammar.Mail(address, 5, utf8=True)
            )
        self.assertEqual(grammar.encode_mail(None), b"MAIL FROM:<>\r\n")
        self.assertEqual(grammar.encode_recipient(A), b"RCPT TO:<a@b.org>\r\n")

    def test_line_breaks_are_refused(self) -> None:
        """No argument can begin another command."""
        for word in ("a\r\nMAIL FROM:<x@y.org>", "a\n", "\r", "\0"):
            self.assertRaises(ValueError, grammar.encode_command, "EHLO", word)
