"""Rights on shared files and their words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.core.filerights import ALL, SETS, WORDS, Right, read_rights, words_of


class FileRightsTests(SynchronousTestCase):
    """Words and rights."""

    def test_words_are_read_and_written(self) -> None:
        """Every combination of rights comes back from its words, in any case and separated either way."""
        for number in range(1, int(ALL) + 1):
            words = words_of(Right(number))
            self.assertEqual(read_rights(",".join(words)), Right(number))
            self.assertEqual(read_rights("  ".join(words).upper()), Right(number))
        self.assertEqual(words_of(ALL), tuple(WORDS))

    def test_sets_stand_for_several(self) -> None:
        """A set is joined with what stands beside it; who contributes can spoil nothing."""
        self.assertEqual(read_rights("viewer delete"), Right.LIST | Right.READ | Right.DELETE)
        self.assertFalse(SETS["contributor"] & (Right.WRITE | Right.DELETE | Right.RENAME))
        self.assertEqual(read_rights("editor"), ALL)

    def test_what_is_no_right(self) -> None:
        """Nothing at all and unknown words are refused, which are told in part."""
        for text in ("", " , ", "reed", "list,,reed", "x" * 1_000):
            error = self.assertRaises(Invalid, read_rights, text)
            self.assertLess(len(error.text), 200)
