"""Sections of RFC 3501 section 6.4.5 found through a part table."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.sections import Kind, PartTable, header_subset
from launcelot.message.structure import Part, parse
from tests.message.messages import RFC3501, crlf


def table(data: bytes) -> PartTable:
    """The part table of a message, once through its octets."""
    return PartTable.decode(PartTable.encode(parse(data)))


def section(data: bytes, name: str) -> bytes | None:
    """The section with a name as IMAP writes it, such as ``4.2.HEADER``."""
    words = name.split(".") if name else []
    what = words.pop() if words and not words[-1].isdigit() else "BODY"
    found = table(data).locate(tuple(map(int, words)), what)  # type: ignore[arg-type]
    return None if found is None else data[found[0] : found[1]]


class LocateTests(SynchronousTestCase):
    """Numbers and names to offsets."""

    def test_example_of_the_rfc(self) -> None:
        """Every section the RFC names for its complex message."""
        for name, expected in [
            ("1", b"1 plain"),
            ("1.MIME", b"\r\n"),
            ("2", b"Mg=="),
            ("2.MIME", b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: BASE64\r\n\r\n"),
            ("3.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
            ("3.HEADER", b"Subject: 3\r\nContent-Type: multipart/mixed; boundary=three\r\n\r\n"),
            ("3.1", b"3.1"),
            ("3.1.MIME", b"Content-Type: text/plain\r\n\r\n"),
            ("3.2", b"3.2"),
            ("4.1", b"4.1"),
            ("4.1.MIME", b"Content-Type: image/gif\r\nContent-ID: <gif>\r\n\r\n"),
            ("4.2.HEADER", b"Subject: 4.2\r\nContent-Type: multipart/mixed; boundary=fourtwo\r\n\r\n"),
            ("4.2.1", b"4.2.1"),
            ("4.2.2.1", b"4.2.2.1"),
            ("4.2.2.2", b"4.2.2.2"),
        ]:
            self.assertEqual(section(RFC3501, name), expected, name)

    def test_global_messages_too(self) -> None:
        """They have the sections that ``message/rfc822`` has; one that is encoded has none.  RFC 9051 section 6.4.5."""
        data = RFC3501.replace(b"message/rfc822", b"message/global")
        for name in ("3.HEADER", "3.TEXT", "3.1", "3.2.MIME", "4.2.HEADER", "4.2.2.1"):
            self.assertEqual(section(data, name), section(RFC3501, name), name)
        encoded = data.replace(b"message/global", b"message/global\r\nContent-Transfer-Encoding: quoted-printable")
        for name in ("3.HEADER", "3.TEXT", "3.1", "4.2.HEADER"):
            self.assertIsNone(section(encoded, name), name)
        self.assertEqual(section(encoded, "3"), section(RFC3501, "3"))

    def test_whole_message(self) -> None:
        """No numbers: the message, its header, its text."""
        header = RFC3501[: RFC3501.index(b"preamble")]
        self.assertEqual(section(RFC3501, ""), RFC3501)
        self.assertEqual(section(RFC3501, "HEADER"), header)
        self.assertEqual(section(RFC3501, "TEXT"), RFC3501[len(header) :])
        self.assertIsNone(section(RFC3501, "MIME"))

    def test_header_and_text_make_the_embedded_message(self) -> None:
        """``3`` is ``3.HEADER`` and ``3.TEXT`` together."""
        header, text = section(RFC3501, "3.HEADER"), section(RFC3501, "3.TEXT")
        assert header is not None and text is not None
        self.assertEqual(section(RFC3501, "3"), header + text)
        self.assertTrue(text.startswith(b"--three\r\n"))

    def test_sections_that_are_not_there(self) -> None:
        """IMAP answers NIL for them."""
        for name in (
            "0", "5", "1.1", "1.HEADER", "1.TEXT", "2.1", "3.3", "3.0", "3.1.1", "4.HEADER", "4.TEXT", "4.3", "4.1.1",
            "4.2.2.3", "4.2.2.1.1", "4.2.2.1.HEADER", "1.1.1.1.1.1.1", "5.MIME",
        ):  # fmt: skip
            self.assertIsNone(section(RFC3501, name), name)

    def test_message_without_parts(self) -> None:
        """It has one part, 1, which is its body and has its header."""
        data = crlf("Subject: x\n\nbody\n")
        self.assertEqual(section(data, "1"), b"body\r\n")
        self.assertEqual(section(data, "TEXT"), b"body\r\n")
        self.assertEqual(section(data, "1.MIME"), b"Subject: x\r\n\r\n")
        for name in ("2", "1.1", "1.HEADER", "1.TEXT"):
            self.assertIsNone(section(data, name), name)

    def test_message_that_is_a_message(self) -> None:
        """A message whose own type is message/rfc822: part 1 is the embedded message, 1.1 that one's body."""
        data = crlf("Content-Type: message/rfc822\n\nSubject: in\n\nbody\n")
        self.assertEqual(section(data, "1"), b"Subject: in\r\n\r\nbody\r\n")
        self.assertEqual(section(data, "1.HEADER"), b"Subject: in\r\n\r\n")
        self.assertEqual(section(data, "1.TEXT"), b"body\r\n")
        self.assertEqual(section(data, "1.1"), b"body\r\n")
        self.assertEqual(section(data, "1.1.MIME"), b"Subject: in\r\n\r\n")
        self.assertIsNone(section(data, "1.1.1"))
        self.assertIsNone(section(data, "1.2"))

    def test_messages_in_messages(self) -> None:
        """A multipart in a message in a message in a multipart."""
        data = crlf(
            "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: message/rfc822\n\n"
            "Subject: one\nContent-Type: message/rfc822\n\n"
            "Subject: two\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nA\n--i\n\nB\n--i--\n--o--\n"
        )
        self.assertEqual(
            section(data, "1.1.HEADER"), b"Subject: two\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
        )
        self.assertEqual((section(data, "1.1.1"), section(data, "1.1.2")), (b"A", b"B"))
        self.assertIsNone(section(data, "1.1.3"))
        self.assertIsNone(section(data, "1.2"))

    def test_encoding_is_kept(self) -> None:
        """RFC 3516 needs the transfer encoding of a part."""
        entry = table(RFC3501).find((2,))
        assert entry is not None
        self.assertEqual((entry.kind, entry.transfer_encoding), (Kind.LEAF, b"base64"))
        unknown = table(b"Content-Transfer-Encoding: x-uue\r\n\r\n").root
        self.assertIsNone(unknown.transfer_encoding)


def parts() -> st.SearchStrategy[Part]:
    """Any tree of parts with any offsets."""

    def leaf(offsets: list[int], encoding: bytes) -> Part:
        part = Part(offsets[0], offsets[1], {})
        part.body_end, part.encoding = offsets[2], encoding
        return part

    def multipart(part: Part, children: list[Part]) -> Part:
        part.children = children
        return part

    def message(part: Part, inner: Part) -> Part:
        part.message = inner
        return part

    offsets = st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3).map(sorted)
    leaves = st.builds(leaf, offsets, st.sampled_from([b"7bit", b"base64", b"x-odd"]))
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(multipart, leaves, st.lists(inner, min_size=1, max_size=4)) | st.builds(message, leaves, inner)
        ),
        max_leaves=20,
    )


class TableTests(SynchronousTestCase):
    """The octets a store keeps."""

    def check(self, part: Part) -> None:
        """Assert that a tree comes back from its octets."""
        pending = [(part, PartTable.decode(PartTable.encode(part)).root)]
        while pending:
            one, two = pending.pop()
            self.assertEqual(
                (one.header_start, one.body_start, one.body_end), (two.header_start, two.body_start, two.body_end)
            )
            below = one.children or ([one.message] if one.message is not None else [])
            kind = Kind.MULTIPART if one.children else Kind.MESSAGE if one.message is not None else Kind.LEAF
            self.assertEqual((len(below), kind), (len(two.parts), two.kind))
            self.assertEqual(two.transfer_encoding, None if one.encoding == b"x-odd" else one.encoding)
            pending.extend(zip(below, two.parts, strict=True))

    @given(parts())
    def test_round_trip(self, part: Part) -> None:
        """Any tree comes back."""
        self.check(part)

    def test_large_messages(self) -> None:
        """Offsets of 4 GiB and more are kept."""
        part = Part(0, 10, {})
        part.body_end = 5 << 32
        self.check(part)

    def test_compact(self) -> None:
        """A plain message costs 17 octets."""
        self.assertEqual(len(PartTable.encode(parse(b"a: b\r\n\r\nx"))), 17)

    def test_deep_table(self) -> None:
        """Depth costs no recursion."""
        self.check(parse(b"Content-Type: message/rfc822\r\n\r\n" * 200))

    def test_damaged_table_is_refused(self) -> None:
        """Every prefix of a table and every foreign first octet is a ValueError."""
        data = PartTable.encode(parse(RFC3501))
        for end in range(len(data)):
            with self.assertRaises(ValueError):
                PartTable.decode(data[:end])
        for bad in (b"\x00" + data[1:], b"\xff", data + data[1:], data[:1] + data[1:17].replace(b"\x01", b"\x03")):
            with self.assertRaises(ValueError):
                PartTable.decode(bad)

    @given(st.binary(max_size=100).map(lambda data: b"\x01" + data))
    def test_any_octets(self, data: bytes) -> None:
        """Any octets are a table that can be asked, or a ValueError."""
        try:
            found = PartTable.decode(data)
        except ValueError:
            return
        found.locate((1, 1), "HEADER")


HEADERS = st.lists(
    st.sampled_from([b"to", b"To ", b"X-To", b":", b" ", b"\t", b"a", b"\r\n", b"\n", b"\r", b"\xff", b"(", b"TO: b\r\n c\r\n"]),
    max_size=14,
).map(b"".join)
NAMES = st.lists(st.sampled_from([b"to", b"X-TO", b"a", b"(", b".*", b"xto"]), max_size=3)


class SubsetTests(SynchronousTestCase):
    """``HEADER.FIELDS`` and ``HEADER.FIELDS.NOT``."""

    HEADER = b"From: a\r\nTO: b,\r\n c\r\nX-To: d\r\nTo : e\r\nSubject:\r\nnonsense\r\nto: f\r\n\r\n"

    def test_chosen_fields(self) -> None:
        """In the order and spelling of the header, folded lines and repetitions with them, and the empty line."""
        self.assertEqual(
            header_subset(self.HEADER, [b"to", b"SUBJECT"], False),
            b"TO: b,\r\n c\r\nTo : e\r\nSubject:\r\nto: f\r\n\r\n",
        )

    def test_other_fields(self) -> None:
        """All but the named; a line that is no field belongs to neither."""
        self.assertEqual(header_subset(self.HEADER, {b"To", b"Subject"}, True), b"From: a\r\nX-To: d\r\n\r\n")

    def test_nothing(self) -> None:
        """The empty line is there even when nothing else is."""
        self.assertEqual(header_subset(self.HEADER, [b"Cc"], False), b"\r\n")
        self.assertEqual(header_subset(self.HEADER, [], False), b"\r\n")
        self.assertEqual(header_subset(b"\r\n", [b"To"], True), b"\r\n")

    def test_header_without_end(self) -> None:
        """A last line that is cut off gets its line end; an empty line that is not there is not made up (Dovecot agrees)."""
        self.assertEqual(header_subset(b"To: a", [b"to"], False), b"To: a\r\n")
        self.assertEqual(header_subset(b"To: a\r", [b"to"], False), b"To: a\r\n")
        self.assertEqual(header_subset(b"To: a\r\n", [b"to"], False), b"To: a\r\n")
        self.assertEqual(header_subset(b"To: a\nX: b\n\n", [b"to"], False), b"To: a\n\r\n")
        self.assertEqual(header_subset(b"", [b"To"], True), b"")

    def test_both_halves_make_the_header(self) -> None:
        """Chosen and other fields are all the fields."""
        chosen = header_subset(self.HEADER, [b"to"], False)
        others = header_subset(self.HEADER, [b"to"], True)
        everything = header_subset(self.HEADER, [], True)
        self.assertEqual(len(chosen) + len(others), len(everything) + 2)

    def test_names_are_not_patterns(self) -> None:
        """A name with special characters matches itself at most."""
        self.assertEqual(header_subset(self.HEADER, [b".*", b"(", b"[", b"T|From"], False), b"\r\n")
        self.assertEqual(header_subset(b": a\r\n b: c\r\n\r\n", [b"", b" b", b"a:"], False), b"\r\n")

    @given(HEADERS, NAMES, st.booleans())
    def test_any_header(self, header: bytes, names: list[bytes], exclude: bool) -> None:
        """What is chosen is what looking at each field would choose, and few names are many."""
        wanted = {name.lower() for name in names}
        fields = re.finditer(rb"^([!-9;-~]+)[ \t]*:.*(?:\n[ \t].*)*\n?", header, re.MULTILINE)
        found = b"".join(one[0] for one in fields if (one[1].lower() in wanted) != exclude)
        if found and not found.endswith(b"\n"):
            found = found.rstrip(b"\r") + b"\r\n"
        if re.search(rb"(?:\A|\n)\r?\n\Z", header):
            found += b"\r\n"
        self.assertEqual(header_subset(header, names, exclude), found)
        many = [*names, b"x" * 1000]
        self.assertEqual(header_subset(header, many, exclude), found)

    @given(HEADERS, NAMES)
    def test_fields_of_fields(self, header: bytes, names: list[bytes]) -> None:
        """Fields of a header that has been cut down to more of them are the same."""
        self.assertEqual(
            header_subset(header_subset(header, [*names, b"to", b"a"], False), names, False), header_subset(header, names, False)
        )
