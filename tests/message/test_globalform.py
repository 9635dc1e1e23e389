"""``message/global`` in the forms of IMAP4rev1 and IMAP4rev2: against a parser to which it is a leaf."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message import structure
from launcelot.message.globalform import MARK, for_rev1, for_rev2
from launcelot.message.imapform import body
from launcelot.message.structure import parse
from tests.message.messages import crlf
from tests.message.test_imapform import read_value

INNER = b"Subject: Gr\xc3\xbc\xc3\x9fe\r\nFrom: J\xc3\xb6rg <j@x>\r\n\r\nHallo\r\n"
GLOBAL = b"Content-Type: message/global; name=\"g.u8msg\"\r\n\r\n" + INNER
FIELDS = (
    b"Content-Type: message/global\r\n",
    b"Content-Type: MESSAGE/Global; x=y\r\nContent-Transfer-Encoding: 8bit\r\nContent-Description: a {3} b\r\n",
    b"Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a\r\n",
    b"Content-Type: message/rfc822\r\n",
)
TEXTS = (
    b"Content-Type: text/plain; message=global; a=b; c=d; e=f; g=h\r\n\r\ntext",
    b"Content-Description: (\"message\" \"global\" NIL NIL NIL \"7bit\" 1 (\r\n\r\ntext",
    b"Content-Description: \xc3\x9f(\"message\" \"global\" (\"a\" \"b\") NIL NIL \"7bit\" 1 (NIL) (NIL) 7)\r\n\r\ntext",
    b"Content-Disposition: message; global=\"\\\"\\\\\"\r\nSubject: ) {3} (\r\n\r\ntext",
)


def _in(fields: bytes, inner: bytes) -> bytes:
    return fields + b"\r\n" + inner


def _mixed(parts: list[bytes], number: int) -> bytes:
    mark = b"b%d-%d" % (number, sum(map(len, parts)))
    return (
        b"Content-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n"
        + b"".join(b"--%b\r\n%b\r\n" % (mark, part) for part in parts) + b"--%b--\r\n" % mark
    )  # fmt: skip


MESSAGES = st.recursive(
    st.sampled_from(TEXTS),
    lambda inner: st.builds(_in, st.sampled_from(FIELDS), inner)
    | st.builds(_mixed, st.lists(inner, min_size=1, max_size=3), st.integers(0, 9)),
    max_leaves=8,
)


def globals_in(form: object) -> list[list[Any]]:
    """Each ``message/global`` in a form that has been read."""
    if not isinstance(form, list):
        return []
    own = [form] if form[:2] == [b"message", b"global"] and not isinstance(form[2], bytes) else []
    return own + [one for thing in form for one in globals_in(thing)]


class FormTests(SynchronousTestCase):
    """Both forms of what is stored."""

    def test_of_a_message(self) -> None:
        """Envelope, structure and lines for IMAP4rev2; type, size and extension data for IMAP4rev1."""
        stored = body(parse(GLOBAL), True)
        self.assertEqual(for_rev2(stored), stored)
        self.assertEqual(
            stored,
            b'("message" "global" ("name" "g.u8msg") NIL NIL "7bit" 46 (NIL {7}\r\nGr\xc3\xbc\xc3\x9fe'
            b' (({5}\r\nJ\xc3\xb6rg NIL "j" "x")) (({5}\r\nJ\xc3\xb6rg NIL "j" "x")) (({5}\r\nJ\xc3\xb6rg NIL "j" "x"))'
            b' NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 7 1 NIL NIL NIL NIL)'
            b' 4 NIL NIL NIL NIL)',
        )
        self.assertEqual(for_rev1(stored), b'("message" "global" ("name" "g.u8msg") NIL NIL "7bit" 46 NIL NIL NIL NIL)')
        self.assertEqual(for_rev1(body(parse(GLOBAL), False)), b'("message" "global" ("name" "g.u8msg") NIL NIL "7bit" 46)')

    def test_encoded(self) -> None:
        """What nobody looks into is a leaf in both, of a type that the grammar allows to be one."""
        data = crlf("Content-Type: message/global\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0KDQp5\n")
        stored = body(parse(data), True)
        self.assertEqual(for_rev1(stored), b'("message" "global" NIL NIL NIL "base64" 22 NIL NIL NIL NIL)')
        self.assertEqual(for_rev2(stored), b'("application" "octet-stream" NIL NIL NIL "base64" 22 NIL NIL NIL NIL)')

    @given(MESSAGES, st.booleans())
    def test_against_a_reader_to_whom_it_is_a_leaf(self, data: bytes, extended: bool) -> None:
        """IMAP4rev1's form is what a parser says that does not look inside."""
        stored = body(parse(data), extended)
        known, structure._IDENTITIES = structure._IDENTITIES, ()
        try:
            old = body(parse(data), extended)
        finally:
            structure._IDENTITIES = known
        self.assertEqual(for_rev1(stored), old)
        self.assertEqual(for_rev1(old), old)

    @given(MESSAGES, st.booleans())
    def test_none_is_a_leaf_in_rev2(self, data: bytes, extended: bool) -> None:
        """The form can be read, all else in it is as it was, and each ``message/global`` has an envelope."""
        stored = body(parse(data), extended)
        told = for_rev2(stored)
        form, end = read_value(told)
        self.assertEqual(end, len(told))
        for one in globals_in(form):
            self.assertEqual(len(one[7]), 10)
        before, _ = read_value(stored)
        leaves = [one for one in globals_in(before) if len(one) < 8 or not isinstance(one[7], list)]
        for leaf in leaves:
            leaf[:2] = [b"application", b"octet-stream"]
        self.assertEqual(form, before)

    def test_others_are_not_touched(self) -> None:
        """Without the words nothing is looked at."""
        stored = body(parse(b"Content-Type: message/rfc822\r\n\r\n" + INNER), True)
        self.assertNotIn(MARK, stored)
        self.assertIs(for_rev1(stored), stored)
        self.assertIs(for_rev2(stored), stored)

    def test_what_is_no_form(self) -> None:
        """Damaged rows raise nothing, wherever they end."""
        stored = body(parse(_mixed([GLOBAL, _in(FIELDS[2], INNER)], 1)), True)
        for end in range(len(stored)):
            for_rev1(stored[:end])
            for_rev2(stored[:end])
        for odd in (b')("message" "global" NIL', MARK + b"{99999}\r\n", MARK + b'"'):
            self.assertEqual((for_rev1(odd), for_rev2(odd)), (odd, odd))
