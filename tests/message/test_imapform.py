"""ENVELOPE, BODY and BODYSTRUCTURE, against the RFC's examples and with hostile headers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.imapform import body, envelope, nstring, quote
from launcelot.message.structure import parse
from tests.message.messages import RFC3501, crlf
from tests.message.test_structure import BOMBS


def read_value(data: bytes, position: int = 0) -> tuple[object, int]:
    """
    Read one value as a strict IMAP client does: lists, quoted strings, literals, numbers and NIL of RFC 3501 section 9.

    :raises ValueError: the octets are not exactly that.
    """
    stack: list[list[object]] = [[]]
    while True:
        sign = data[position : position + 1]
        if sign == b"(":
            stack.append([])
            position += 1
            continue
        if sign == b")":
            value: object = stack.pop()
            position += 1
        elif sign == b'"':
            text = bytearray()
            position += 1
            while data[position] != 34:
                if data[position] == 92:
                    position += 1
                    if data[position] not in b'"\\':
                        raise ValueError("bad quoted pair")
                if data[position] in b"\r\n\0" or data[position] > 127:
                    raise ValueError("octet not allowed in a quoted string")
                text.append(data[position])
                position += 1
            position += 1
            value = bytes(text)
        elif sign == b"{":
            end = data.index(b"}\r\n", position)
            length = int(data[position + 1 : end])
            value = data[end + 3 : end + 3 + length]
            if len(value) != length or b"\0" in value:
                raise ValueError("bad literal")
            position = end + 3 + length
        elif sign.isdigit():
            end = position
            while data[end : end + 1].isdigit():
                end += 1
            value, position = int(data[position:end]), end
        elif data[position : position + 3] == b"NIL":
            value, position = None, position + 3
        else:
            raise ValueError(f"not a value at {position}")
        if not stack:
            raise ValueError("too many closing brackets")
        stack[-1].append(value)
        if len(stack) == 1:
            return value, position
        following = data[position : position + 1]
        if following == b" ":
            position += 1
        elif following not in (b")", b"("):
            raise ValueError(f"junk at {position}")


def read(data: bytes) -> object:
    """The one value that the octets are."""
    value, end = read_value(data)
    if end != len(data):
        raise ValueError("octets behind the value")
    return value


def envelope_of(text: str) -> list[object]:
    """The members of the ENVELOPE of a message."""
    data = crlf(text)
    value = read(envelope(data, parse(data)))
    assert isinstance(value, list)
    return value


class StringTests(SynchronousTestCase):
    """``string`` of RFC 3501 section 9."""

    def test_forms(self) -> None:
        """Quoted where it can be, a literal where not."""
        for value, expected in [
            (b"", b'""'),
            (b"plain text", b'"plain text"'),
            (b'a "b" \\c', b'"a \\"b\\" \\\\c"'),
            (b"tab\there", b'"tab\there"'),
            (b"a\r\nb", b"{4}\r\na\r\nb"),
            (b"\xc3\xbc", b"{2}\r\n\xc3\xbc"),
            (b"\x1b[0m", b"{4}\r\n\x1b[0m"),
            (b"a\0b", b'"ab"'),
            (b"\0\xff\0", b"{1}\r\n\xff"),
        ]:
            self.assertEqual(quote(value), expected)
        self.assertEqual(nstring(None), b"NIL")

    @given(st.binary(max_size=50))
    def test_any_octets_read_back(self, value: bytes) -> None:
        """A strict reader gets the octets back, NULs apart."""
        self.assertEqual(read(quote(value)), value.replace(b"\0", b""))


class EnvelopeTests(SynchronousTestCase):
    """ENVELOPE of RFC 3501 section 7.4.2."""

    def test_example_of_the_rfc(self) -> None:
        """The envelope in the sample session of RFC 3501 section 8."""
        data = crlf(
            "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\nFrom: Terry Gray <gray@cac.washington.edu>\n"
            "Subject: IMAP4rev1 WG mtg summary and minutes\nTo: imap@cac.washington.edu\n"
            "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\n"
            "Message-Id: <B27397-0100000@cac.washington.edu>\n\n"
        )
        self.assertEqual(
            envelope(data, parse(data)),
            b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes"'
            b' (("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu"))'
            b' (("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu"))'
            b' ((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL'
            b' "<B27397-0100000@cac.washington.edu>")',
        )

    def test_absent_and_empty_fields(self) -> None:
        """Absent texts are NIL, empty ones empty; absent and empty address fields are NIL."""
        self.assertEqual(envelope_of("X: y\n\n"), [None] * 10)
        found = envelope_of("Subject:\nIn-Reply-To: \nTo:\nFrom: \n\n")
        self.assertEqual(found, [None, b"", None, None, None, None, None, None, b"", None])

    def test_sender_and_reply_to_default_to_from(self) -> None:
        """When they are absent or empty."""
        one = [[None, None, b"a", b"b"]]
        two = [[None, None, b"c", b"d"]]
        self.assertEqual(envelope_of("From: a@b\nSender:\n\n")[2:5], [one, one, one])
        self.assertEqual(envelope_of("From: a@b\nSender: c@d\n\n")[2:5], [one, two, one])
        self.assertEqual(envelope_of("From: a@b\nReply-To: c@d\n\n")[2:5], [one, one, two])

    def test_groups(self) -> None:
        """A group is marked at its start and end."""
        self.assertEqual(
            envelope_of("To: Team: a@b, C <c@d>;, e@f\nCc: undisclosed-recipients:;\n\n")[5:7],
            [
                [
                    [None, None, b"Team", None],
                    [None, None, b"a", b"b"],
                    [b"C", None, b"c", b"d"],
                    [None, None, None, None],
                    [None, None, b"e", b"f"],
                ],
                [[None, None, b"undisclosed-recipients", None], [None, None, None, None]],
            ],
        )

    def test_odd_addresses(self) -> None:
        """A missing domain is never NIL, which would begin a group; routes and quotes have their place."""
        self.assertEqual(
            envelope_of('To: root, "a b"@c, <@r1,@r2:u@h>, =?utf-8?q?x?= <y@z>\n\n')[5],
            [
                [None, None, b"root", b""],
                [None, None, b"a b", b"c"],
                [None, b"@r1,@r2", b"u", b"h"],
                [b"=?utf-8?q?x?=", None, b"y", b"z"],
            ],
        )

    def test_folded_and_encoded_texts(self) -> None:
        """Texts are unfolded and not decoded."""
        self.assertEqual(envelope_of("Subject: =?utf-8?q?a?=\n =?utf-8?q?b?=\n\n")[1], b"=?utf-8?q?a?= =?utf-8?q?b?=")

    @given(st.binary(max_size=120))
    def test_any_header_gives_one_value(self, text: bytes) -> None:
        """Case I11: no octets in a header can break out of the response."""
        for name in (b"Subject: ", b"From: ", b"Message-ID: ", b'To: "', b"Date: ", b"Cc: a:"):
            data = name + text
            value = read(envelope(data, parse(data)))
            assert isinstance(value, list)
            self.assertEqual(len(value), 10)


class StructureTests(SynchronousTestCase):
    """BODY and BODYSTRUCTURE of RFC 3501 section 7.4.2."""

    def test_simple_text_of_the_rfc(self) -> None:
        """The 48 lines and 2279 octets of the RFC's first example."""
        text = ("x" * 45 + "\n") * 47 + "y" * (2279 - 47 * 47 - 2) + "\n"
        data = crlf("Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\n\n" + text)
        self.assertEqual(body(parse(data), False), b'("text" "plain" ("charset" "US-ASCII") NIL NIL "7bit" 2279 48)')

    def test_two_parts_of_the_rfc(self) -> None:
        """A text and an attachment with id and description, as in the RFC's second example."""
        data = crlf(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n\n--b\n"
            'Content-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME="cc.diff"\n'
            "Content-ID: <960723163407.20117h@cac.washington.edu>\nContent-Description: Compiler diff\n"
            "Content-Transfer-Encoding: BASE64\n\nYQ==\n\n--b--\n"
        )
        self.assertEqual(
            body(parse(data), False),
            b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 7 1)'
            b'("text" "plain" ("charset" "US-ASCII" "name" "cc.diff") "<960723163407.20117h@cac.washington.edu>"'
            b' "Compiler diff" "base64" 6 1) "mixed")',
        )

    def test_extension_data(self) -> None:
        """MD5, disposition, language and location in their order, for parts and for multiparts."""
        data = crlf(
            "Content-Type: multipart/mixed; boundary=b\nContent-Language: en, de\n\n--b\nContent-Type: image/png\n"
            'Content-MD5: abc==\nContent-Disposition: attachment; filename="a b"\nContent-Language: fr\n'
            "Content-Location: x\n\n\n--b--\n"
        )
        self.assertEqual(
            body(parse(data), True),
            b'(("image" "png" NIL NIL NIL "7bit" 0 "abc==" ("attachment" ("filename" "a b")) "fr" "x")'
            b' "mixed" ("boundary" "b") NIL ("en" "de") NIL)',
        )

    def test_embedded_message(self) -> None:
        """Envelope, structure and lines follow the basic fields of message/rfc822."""
        data = crlf("Content-Type: message/rfc822\n\nSubject: in\n\nbody\n")
        self.assertEqual(
            body(parse(data), True),
            b'("message" "rfc822" NIL NIL NIL "7bit" 21 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL)'
            b' ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)',
        )

    def test_default_charset_only_for_text_without(self) -> None:
        """Parameters keep their order; no second charset is added to an RFC 2231 one."""
        for value, expected in [
            ("text/html", b'("charset" "us-ascii")'),
            ("text/html; z=1; a=2", b'("z" "1" "a" "2" "charset" "us-ascii")'),
            ("text/plain; charset=utf-8", b'("charset" "utf-8")'),
            ("text/plain; charset*=''utf-8", b'("charset*" "\'\'utf-8")'),
            ("application/pdf", b"NIL"),
        ]:
            found = body(parse(crlf(f"Content-Type: {value}\n\n")), False)
            self.assertIn(b" " + expected + b' NIL NIL "7bit" 0', found)

    def test_structure_of_the_complex_message(self) -> None:
        """The tree of the RFC's complex message is a value whose brackets nest as its parts do."""
        value = read(body(parse(RFC3501), True))
        assert isinstance(value, list)
        self.assertEqual([type(item) for item in value[:4]], [list] * 4)
        self.assertEqual(value[4], b"mixed")
        self.assertEqual(value[2][:2], [b"message", b"rfc822"])
        self.assertEqual(value[3][1][8][2], b"mixed")

    def test_bombs_give_one_value(self) -> None:
        """Case S20: each bomb's structure is one well-formed value."""
        for name in (
            "multipart depth 1000",
            "rfc822 depth 1000",
            "multiparts in parts",
            "100000 segments",
            "a million quotes",
        ):
            part = parse(BOMBS[name])
            for extended in (False, True):
                self.assertIsInstance(read(body(part, extended)), list, name)

    @given(st.binary(max_size=80), st.sampled_from([
        b"Content-Type: ", b"Content-Type: text/plain; a=", b'Content-Type: multipart/mixed; boundary="', b"Content-ID: ",
        b"Content-Disposition: ", b"Content-Language: ", b"Content-Transfer-Encoding: ", b"Content-Location: ",
    ]))  # fmt: skip
    def test_any_header_gives_one_value(self, text: bytes, name: bytes) -> None:
        """Case I11 for the content fields."""
        part = parse(name + text + b"\r\n\r\nbody\r\n")
        for extended in (False, True):
            self.assertIsInstance(read(body(part, extended)), list)
