"""Header sections that filters change."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from launcelot.filters.editing import MAX_VALUE, BadField, HeaderSection, rendered

HEAD = b"A: 1\r\nB: 2\r\n folded\r\nthis is no field\r\na: 3\r\n\r\n"


class HeaderSectionTests(SynchronousTestCase):
    """One change after the other."""

    def edited(self, *edits: Callable[[HeaderSection], None], head: bytes = HEAD) -> bytes:
        """The section after some edits."""
        section = HeaderSection(head)
        for edit in edits:
            edit(section)
        return bytes(section)

    def test_what_is_not_changed_stays(self) -> None:
        """Octet for octet, with lines that are no field and with none at all."""
        for head in (HEAD, b"\r\n", b"", b"x\r\n\r\n", b"A: 1", b"A:1\r\nB: \r\n\r\n"):
            self.assertEqual(self.edited(head=head), head)

    def test_places(self) -> None:
        """Before one, behind all, and beyond the end."""
        found = self.edited(lambda one: one.insert(1, b"X", b"y"), lambda one: one.insert(99, b"Z", b"z"))
        self.assertEqual(found, b"A: 1\r\nX: y\r\nB: 2\r\n folded\r\nthis is no field\r\na: 3\r\nZ: z\r\n\r\n")
        self.assertEqual(self.edited(lambda one: one.append(b"X", b"y"), head=b"\r\n"), b"X: y\r\n\r\n")
        self.assertEqual(self.edited(lambda one: one.append(b"X", b"y"), head=b"A: 1"), b"A: 1\r\nX: y\r\n")

    def test_fields_of_one_name(self) -> None:
        """Counted from one, whatever their case; one that is not there is added, unless it is to go."""
        self.assertIn(b"a: 3", self.edited(lambda one: one.change(b"A", 1, b"")))
        self.assertNotIn(b"a: 3", self.edited(lambda one: one.change(b"A", 2, b"")))
        self.assertTrue(self.edited(lambda one: one.change(b"a", 2, b"4")).endswith(b"\r\na: 4\r\n\r\n"))
        self.assertTrue(self.edited(lambda one: one.change(b"a", 3, b"4")).endswith(b"a: 3\r\na: 4\r\n\r\n"))
        self.assertEqual(self.edited(lambda one: one.change(b"a", 3, b"")), HEAD)
        self.assertEqual(self.edited(lambda one: one.remove_all(b"a")), b"B: 2\r\n folded\r\n\r\n")

    def test_nothing_leaves_its_field(self) -> None:
        """Line ends in a value fold it; empty lines, NULs and other controls go."""
        for value in (b"1\r\nEvil: 2", b"1\nEvil: 2", b"1\rEvil: 2", b"1\r\n\r\nEvil: 2", b"1\n\n\nEvil: 2"):
            self.assertEqual(rendered(b"X", value), b"X: 1\r\n\tEvil: 2\r\n")
        self.assertEqual(rendered(b"X", b"  a\x00b\x1b\n c\n\n"), b"X: ab\r\n c\r\n")
        for name in (b"", b"a b", b"a:", b"a\r\nb", b"\xc3\xa4", b"x" * 256):
            self.assertRaises(BadField, rendered, name, b"")
        self.assertRaises(BadField, rendered, b"X", b"y" * (MAX_VALUE + 1))

    def test_listed(self) -> None:
        """Names as they are written, values with the blank in front."""
        found = list(HeaderSection(HEAD).listed())
        self.assertEqual(found, [(b"A", b" 1"), (b"B", b" 2\r\n folded"), (b"a", b" 3")])
