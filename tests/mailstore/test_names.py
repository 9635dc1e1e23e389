"""Names and LIST patterns."""

from __future__ import annotations

import itertools
import random
import re

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.mailstore.names import MAX_PATTERN, Pattern, canonical, is_below, known, matches, parents


def oracle(pattern: str, name: str) -> bool:
    """What RFC 9051 section 6.3.9 says, by a regular expression; only for small patterns."""
    expression = "".join({"*": ".*", "%": "[^/]*"}.get(letter) or re.escape(letter) for letter in pattern)
    return re.fullmatch(expression, name, re.DOTALL) is not None


class NameTests(SynchronousTestCase):
    """One spelling for each name."""

    def test_canonical_spelling(self) -> None:
        """NFC, and INBOX as the first level only."""
        for given, spelling in (
            ("inbox", "INBOX"), ("InBox/x", "INBOX/x"), ("x/inbox", "x/inbox"), ("inboxes", "inboxes"),
            ("Cafe\u0301", "Caf\u00e9"), ("a b&c~", "a b&c~"), ("\u65e5\u672c\u8a9e/\U0001f600", "\u65e5\u672c\u8a9e/\U0001f600"),
        ):  # fmt: skip
            self.assertEqual(canonical(given), spelling)
            self.assertEqual(canonical(spelling), spelling)

    def test_limits_are_exact(self) -> None:
        """1,000 octets and 32 levels pass, one more does not."""
        self.assertEqual(canonical("\u00e9" * 500), "\u00e9" * 500)
        self.assertEqual(canonical("/".join("a" * 32)).count("/"), 31)
        for name in ("\u00e9" * 500 + "x", "/".join("a" * 33), "x" * 10_000_000):
            self.assertRaises(Invalid, canonical, name)
            self.assertIsNone(known(name))

    def test_impossible_names(self) -> None:
        """Empty levels, controls of both sets, line separators, surrogates."""
        for name in ("", "/", "a/", "/a", "a//b", "\t", "a\r\nb", "\x85", "\u2028", "\ud83d", "a\x00"):
            self.assertRaises(Invalid, canonical, name)

    def test_parents_and_below(self) -> None:
        """From the first level down; a name is not below itself nor below a name it only begins with."""
        self.assertEqual(list(parents("a/b/c")), ["a", "a/b"])
        self.assertEqual(list(parents("a")), [])
        self.assertTrue(is_below("a/b", "a"))
        self.assertFalse(is_below("a", "a"))
        self.assertFalse(is_below("ab", "a"))


class PatternTests(SynchronousTestCase):
    """LIST patterns."""

    def test_examples(self) -> None:
        """Those of the RFC and the awkward ones."""
        for pattern, name, expected in (
            ("*", "a/b", True), ("%", "a/b", False), ("%", "a", True), ("%/%", "a/b", True), ("a*", "a", True),
            ("a/%", "a", False), ("", "a", False), ("a", "a", True), ("*b", "a/b", True), ("%b", "a/b", False),
            ("a%/*c", "ab/x/c", True), ("aa*a", "aa", False), ("*.?[x]", "a.?[x]", True), ("*%", "a/b", True),
            ("%*%", "a/b/c", True), ("Cafe\u0301*", "Caf\u00e9s", True), ("a\n*", "a\nb/c", True),
        ):  # fmt: skip
            self.assertEqual(matches(pattern, name), expected, (pattern, name))

    def test_inbox_matches_in_any_case(self) -> None:
        """As the whole name and as its first level, but nothing else does."""
        for pattern in ("inbox", "InBox", "inb%", "*OX", "i%x"):
            self.assertTrue(matches(pattern, "INBOX"), pattern)
        self.assertTrue(matches("inbox/Sub", "INBOX/Sub"))
        self.assertFalse(matches("inbox/sub", "INBOX/Sub"))
        self.assertFalse(matches("inboxes", "INBOXES"))
        self.assertFalse(matches("archive", "Archive"))

    def test_every_small_pattern_against_every_small_name(self) -> None:
        """As a regular expression would say."""
        names = ["".join(letters) for size in range(1, 5) for letters in itertools.product("ab/", repeat=size)]
        for size in range(4):
            for letters in itertools.product("ab/*%", repeat=size):
                pattern = Pattern("".join(letters))
                for name in names:
                    self.assertEqual(pattern.matches(name), oracle("".join(letters), name), (letters, name))

    def test_random_patterns(self) -> None:
        """Longer ones, with a fixed seed."""
        choose = random.Random(3)
        hits = 0
        for _ in range(5_000):
            name = "".join(choose.choices("ab/", k=choose.randint(1, 14)))
            pattern = "".join(choose.choices("ab/*%", (3, 3, 2, 2, 3), k=choose.randint(1, 10)))
            hits += matches(pattern, name)
            self.assertEqual(matches(pattern, name), oracle(pattern, name), (pattern, name))
        self.assertGreater(hits, 300)

    def test_work_does_not_grow_with_wildcards(self) -> None:
        """Case I03: what a name costs is counted, in steps over its letters, not in seconds."""
        class Counted(str):
            """Counts its letters as they are looked at."""

            looked = 0

            def __iter__(self):  # type: ignore[no-untyped-def]
                for letter in str.__iter__(self):
                    self.looked += 1
                    yield letter

        for pattern in ("*a" * 40 + "b", "%a" * 40 + "b", "*a%a" * 40 + "*", "%" * 500, "*%" * 500 + "x"):
            name = Counted("a" * 200)
            self.assertEqual(matches(pattern, name), pattern in ("*a%a" * 40 + "*", "%" * 500))
            self.assertLessEqual(name.looked, 200)

    def test_pattern_is_limited(self) -> None:
        """A peer's megabyte is not a pattern."""
        Pattern("x" * MAX_PATTERN)
        self.assertRaises(Invalid, Pattern, "x" * (MAX_PATTERN + 1))
