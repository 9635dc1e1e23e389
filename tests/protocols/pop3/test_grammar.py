"""Command lines and replies: what is read, what is refused, what is written."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import REFUSALS, BadCredentials, InUse, LimitReached, TryLater
from launcelot.protocols.pop3 import grammar
from launcelot.protocols.pop3.grammar import Auth, Line, NotAReply, Reply, SyntaxWrong, Top
from launcelot.protocols.pop3.session import reply_for

NOT_NUMBERS = (b"-1", b"+1", b"1e3", b"0", b"01", b"1.0", b"0x1", b"abc", b"", b"1 2", b"\xb2", b"99999999999", b"1\0")


class CommandTests(SynchronousTestCase):
    """From octets to commands."""

    def test_the_verb_is_in_any_case_and_the_argument_as_it_came(self) -> None:
        """Spaces and octets above 127 belong to the argument."""
        self.assertEqual(grammar.parse_line(b"pAsS  a b\xff "), Line(b"PASS", b" a b\xff "))

    def test_what_is_no_command(self) -> None:
        """Nothing, blanks, digits, NUL, octets above 127, and words without end."""
        for line in (b"", b" STAT", b"\0STAT", b"ST\0AT", b"1", b"\xff\xfe", b"STAT\t1", b"A" * 17, b"PASS a\0b"):
            self.assertRaises(SyntaxWrong, grammar.parse_line, line)

    def test_numbers_are_digits_from_one(self) -> None:
        """Signs, exponents, zero, leading zeros and other scripts' digits are refused."""
        for argument in NOT_NUMBERS:
            self.assertRaises(SyntaxWrong, grammar.number, argument)
        self.assertEqual([grammar.number(b"1"), grammar.number(b"4294967295 ")], [1, 4_294_967_295])

    def test_top_takes_two_numbers(self) -> None:
        """The second may be 0 or larger than any message."""
        self.assertEqual(grammar.top(b"1 0"), Top(1, 0))
        self.assertEqual(grammar.top(b"2  999999999999"), Top(2, 999_999_999_999))
        for argument in (b"1", b"1 -1", b"1 1e3", b"0 1", b"1 01", b"1 2 3", b"", b"1 " + b"9" * 30):
            self.assertRaises(SyntaxWrong, grammar.top, argument)

    def test_auth_takes_a_mechanism_and_a_response(self) -> None:
        """An empty response is ``=``; none is None."""
        self.assertEqual(grammar.auth(b"plain"), Auth(b"PLAIN", None))
        self.assertEqual(grammar.auth(b"PLAIN ="), Auth(b"PLAIN", b"="))
        for argument in (b"", b"PLAIN a b", b" PLAIN"):
            self.assertRaises(SyntaxWrong, grammar.auth, argument)

    @given(st.binary(max_size=60))
    def test_any_octets_are_a_command_or_refused(self, line: bytes) -> None:
        """Nothing else is raised, by any parser."""
        for parse in (grammar.parse_line, grammar.number, grammar.top, grammar.auth, grammar.no_argument, grammar.text):
            try:
                parse(line)
            except SyntaxWrong:
                pass


class ReplyTests(SynchronousTestCase):
    """From replies to octets and back."""

    def test_replies_are_one_short_line(self) -> None:
        """Whatever text they are given."""
        for text in ("a\r\n+OK", "gr\u00fc\u00df", "x" * 10_000, "\0\x1b[31m"):
            for reply in (grammar.good(text), grammar.bad(text, "SYS/TEMP")):
                self.assertTrue(reply.endswith(b"\r\n") and reply.count(b"\n") == 1 and len(reply) <= 512, reply)
                self.assertTrue(reply.isascii() and b"\0" not in reply and b"\x1b" not in reply, reply)

    def test_every_refusal_is_a_reply(self) -> None:
        """The contract of all rooms."""
        for kind in REFUSALS:
            reply = reply_for(kind())
            self.assertFalse(grammar.parse_reply(reply[:-2]).good)
            self.assertTrue(kind.default_text.encode() in reply)

    def test_the_codes_of_log_in(self) -> None:
        """RFC 2449 section 8.1 and RFC 3206 section 4."""
        kinds = ((BadCredentials, "AUTH"), (InUse, "IN-USE"), (LimitReached, "LOGIN-DELAY"), (TryLater, "SYS/TEMP"))
        for kind, code in kinds:
            self.assertEqual(grammar.parse_reply(reply_for(kind())[:-2]).code, code)

    def test_replies_are_read_back(self) -> None:
        """With and without code, with and without text."""
        self.assertEqual(grammar.parse_reply(b"+OK"), Reply(True, b""))
        self.assertEqual(grammar.parse_reply(b"+OK [x] y"), Reply(True, b"[x] y"))
        self.assertEqual(grammar.parse_reply(b"-ERR [in-use] busy"), Reply(False, b"busy", "IN-USE"))
        self.assertEqual(grammar.parse_reply(b"-ERR [SYS/TEMP]"), Reply(False, b"", "SYS/TEMP"))
        self.assertEqual(grammar.parse_reply(b"-ERR [not closed"), Reply(False, b"[not closed"))
        for line in (b"", b"+ok", b"+OKAY", b"OK", b"* OK", b"220 hello"):
            self.assertRaises(NotAReply, grammar.parse_reply, line)
