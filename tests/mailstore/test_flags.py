"""Flags as bits."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import LimitReached
from launcelot.mailstore.flags import DELETED, SEEN, Flags, Keywords, combine, sort_out, translate
from launcelot.mailstore.interface import MAX_KEYWORDS, SYSTEM_FLAGS, StoreMode
from launcelot.mailstore.schema import _FIRST


def nothing_in_use() -> int:
    """No message has any flag."""
    return 0


class FlagTests(SynchronousTestCase):
    """Masks and names."""

    def test_bits_are_those_the_schema_is_written_with(self) -> None:
        """The partial indexes name the bits of Seen and Deleted; they can never change."""
        self.assertEqual((SEEN, DELETED), (8, 4))
        self.assertEqual(sum("flags & 8 = 0" in text or "flags & 4 <> 0" in text for text in _FIRST), 2)

    def test_mask_and_names_are_the_same(self) -> None:
        """For each flag alone and for all together, and back."""
        keywords = Keywords({})
        words = [f"word{number}" for number in range(MAX_KEYWORDS)]
        for flags in ([flag] for flag in (*SYSTEM_FLAGS, *words)):
            mask = keywords.admit(sort_out(flags), nothing_in_use)
            self.assertEqual(keywords.flags(mask), frozenset(flags))
        mask = keywords.mask(sort_out([*SYSTEM_FLAGS, *words]))
        self.assertEqual(len(keywords.flags(mask)), len(SYSTEM_FLAGS) + MAX_KEYWORDS)

    def test_combine(self) -> None:
        """Replace, add, remove."""
        self.assertEqual(combine(0b110, StoreMode.REPLACE, 0b001), 0b001)
        self.assertEqual(combine(0b110, StoreMode.ADD, 0b011), 0b111)
        self.assertEqual(combine(0b110, StoreMode.REMOVE, 0b011), 0b100)

    def test_refused_keywords_change_nothing(self) -> None:
        """All in use: the table stays as it was."""
        keywords = Keywords({number: f"word{number}" for number in range(MAX_KEYWORDS)})
        everything = keywords.mask(Flags(0, keywords.names))
        self.assertRaises(LimitReached, keywords.admit, Flags(0, ("new",)), lambda: everything)
        self.assertEqual(len(keywords.names), MAX_KEYWORDS)

    def test_keyword_given_now_is_not_dropped_for_a_new_one(self) -> None:
        """It counts as in use although no message has it yet."""
        keywords = Keywords({number: f"word{number}" for number in range(MAX_KEYWORDS)})
        mask = keywords.admit(Flags(0, ("word5", "new")), nothing_in_use)
        self.assertEqual(keywords.flags(mask), {"word5", "new"})
        self.assertEqual(set(keywords.names), {"word5", "new"})

    def test_translate(self) -> None:
        """Numbers differ between mailboxes, names do not; system flags are the same everywhere."""
        source, target = Keywords({0: "a", 3: "b"}), Keywords({0: "B"})
        masks = [source.mask(sort_out(flags)) for flags in (["a", "\\Seen"], ["b"], [])]
        found = translate(source, target, masks, nothing_in_use)
        self.assertEqual([set(target.flags(found[mask])) for mask in masks], [{"a", "\\Seen"}, {"B"}, set()])
