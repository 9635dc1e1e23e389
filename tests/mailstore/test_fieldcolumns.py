"""Fields of headers in columns, against taking them out of one header after another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.fieldcolumns import assembled, common_order, divided, is_within
from launcelot.mailstore.sheets import COMMON_FIELDS
from launcelot.message.sections import header_subset

NAMES = (b"From", b"to", b"SUBJECT", b"Date ", b"Message-ID", b"References", b"X-Other", b"Received", b"List-Id")
VALUES = (b"", b" a", b" a\r\n b", b" x:y\n\tz", b" Subject: no", b"\r", b" \xc3\xbc" * 30)
FIELDS = st.builds(lambda *parts: b"".join(parts), st.sampled_from(NAMES), st.just(b":"), st.sampled_from(VALUES))
OTHERS = st.sampled_from((b"no field", b" To: folded", b":", b""))
LINES = st.builds(lambda line, end: line + end, FIELDS | OTHERS, st.sampled_from((b"\r\n", b"\n")))
ENDS = st.sampled_from((b"", b"\r\n", b"To: x"))
HEADERS = st.builds(lambda lines, end: b"".join(lines) + end, st.lists(LINES, max_size=8), ENDS)
ASKED = st.frozensets(st.sampled_from([name.strip().lower() for name in NAMES if not name.startswith((b"X", b"R"))]))


class FieldColumnTests(SynchronousTestCase):
    """Headers of which all agree, and of which none do."""

    def check(self, headers: list[bytes], names: frozenset[bytes]) -> None:
        """The same octets as one by one."""
        octets = divided(headers)
        assert octets is not None
        found = assembled(octets, names, len(headers))
        self.assertEqual(list(found), [header_subset(header, names, False) for header in headers])

    @given(st.lists(HEADERS, min_size=1, max_size=6), ASKED)
    def test_any_headers(self, headers: list[bytes], names: frozenset[bytes]) -> None:
        """Folded, empty, without end, in any order, and with fields that come twice."""
        self.check(headers, names)

    def test_nearly_all_agree(self) -> None:
        """One common order for those that lack some; two that do not fit, and one with the same field again."""
        lines = {name: b"%b: of %b\r\n" % (name, name) for name in sorted(COMMON_FIELDS)}
        headers = [b"".join(lines.values()) + b"\r\n"]
        headers += [b"".join(line for name, line in lines.items() if name != other) + b"\r\n" for other in lines]
        for names in (frozenset(COMMON_FIELDS), frozenset((b"to", b"date", b"subject")), frozenset()):
            self.check(headers, names)
            self.check([*headers, b"To: a\r\nDate: b\r\n\r\n", b"Subject: a\r\nDate: b\r\n"], names)
            self.check([*headers, b"To: a\r\nDate: b\r\nTo: c\r\n\r\n", b"To: a\r\nTo: b\r\nDate: c\r\n\r\n"], names)

    def test_octets_that_stand_between(self) -> None:
        """A header with one of them, in a field that is kept, cannot be divided."""
        self.assertIsNone(divided([b"To: a\r\n\r\n", b"To: \0\r\n\r\n"]))
        self.assertIsNone(divided([b"To: \1\r\n\r\n"]))
        self.check([b"X-Other: \0\1\r\n\r\n"], frozenset((b"to",)))

    def test_damaged(self) -> None:
        """Nothing comes of what is cut off, or of others; no octets raise."""
        octets = divided([b"To: a\r\nCc: b\r\n\r\n", b"Cc: c\r\nTo: d\r\n\r\n", b"To: a\r\nCc: b\r\nTo: c\r\n"])
        assert octets is not None
        names = frozenset((b"to", b"cc"))
        self.assertEqual(list(assembled(octets, names, 4)), [])
        for end in range(len(octets)):
            self.assertIn(len(assembled(octets[:end], names, 3)), (0, 3))
        for octet in range(256):
            assembled(octets.replace(b"A", bytes([octet])), names, 3)

    def test_orders(self) -> None:
        """The common one has every letter once, and those with more letters come first."""
        self.assertEqual(common_order([b"AC", b"ABC", b"CA", b"CD"]), b"ABCD")
        self.assertEqual(common_order([]), b"")
        self.assertTrue(is_within(b"AC", b"ABC"))
        self.assertTrue(is_within(b"", b""))
        self.assertFalse(is_within(b"CA", b"ABC"))
