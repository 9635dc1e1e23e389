"""Identifiers sort by time and do not repeat."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.ids import ALPHABET, DRAWN, ID_LENGTH, RANDOM_BITS, RandomBits, encode, new_id


def always(number: int) -> Callable[[int], int]:
    """Chance that is none: the low bits of a number."""
    return lambda bits: number & ((1 << bits) - 1)


class IdTests(SynchronousTestCase):
    """Ids as names of things."""

    def test_id_is_twenty_safe_characters(self) -> None:
        """Safe in file names, header fields and log lines, whatever the time and the chance."""
        for seconds in (0.0, 1.5, 1_800_000_000.123, 1e12):
            for bits in (0, (1 << RANDOM_BITS) - 1):
                self.assertTrue(re.fullmatch(r"[0-9a-hjkmnp-tv-z]{20}", new_id(seconds, always(bits))))

    def test_later_ids_sort_behind_earlier_ones(self) -> None:
        """A millisecond is enough, whatever chance says."""
        times = [0.0, 0.001, 0.002, 1.0, 1_700_000_000.0, 1_700_000_000.001, 4_000_000_000.0]
        made = [new_id(seconds, always(-1 - number)) for number, seconds in enumerate(times)]
        self.assertEqual(made, sorted(made))
        self.assertEqual(len(set(made)), len(made))

    def test_ids_of_one_moment_differ(self) -> None:
        """By 52 random bits: ten thousand of one millisecond do not meet."""
        self.assertEqual(len({new_id(1.0, secrets.randbits) for _ in range(10_000)}), 10_000)

    def test_bits_that_are_drawn_together(self) -> None:
        """Are as many as were asked for, differ, and all of them vary."""
        drawn = RandomBits()
        for bits in (1, RANDOM_BITS, 64, 65, 300):
            made = [drawn(bits) for _ in range(3 * DRAWN)]
            self.assertTrue(all(0 <= number < 1 << bits for number in made))
            if bits > 32:
                self.assertEqual(len(set(made)), len(made))
            always_set, ever_set = (1 << bits) - 1, 0
            for number in made:
                always_set, ever_set = always_set & number, ever_set | number
            self.assertEqual((always_set, ever_set), (0, (1 << bits) - 1))
        self.assertEqual(drawn(0), 0)

    def test_all_random_bits_count(self) -> None:
        """Each of them changes the id."""
        made = {new_id(1.0, always(1 << bit)) for bit in range(RANDOM_BITS)}
        self.assertEqual(len(made), RANDOM_BITS)

    def test_alphabet_has_no_look_alikes_and_sorts(self) -> None:
        """32 characters in ASCII order, without i, l, o and u."""
        self.assertEqual(list(ALPHABET), sorted(set(ALPHABET)))
        self.assertEqual(len(ALPHABET), 32)
        self.assertFalse(set(ALPHABET) & set("ilou"))

    @given(st.integers(0, 32**ID_LENGTH - 1))
    def test_encoding_keeps_every_bit(self, number: int) -> None:
        """Base 32, most significant first."""
        read = 0
        for character in encode(number, ID_LENGTH):
            read = read * 32 + ALPHABET.index(character)
        self.assertEqual(read, number)
