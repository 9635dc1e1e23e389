"""Regular expressions and wildcards."""

from __future__ import annotations

import fnmatch
import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.sieve.expressions import BadExpression, compile_expression
from launcelot.sieve.matching import wildcards
from launcelot.sieve.work import TooMuchWork, Work

ATOMS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", "(a|bc)", "(ab)", "(b|c|)"])
REPEATED = st.tuples(ATOMS, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}"])).map("".join)
EXPRESSIONS = st.tuples(
    st.sampled_from(["", "", "^"]), st.lists(REPEATED, max_size=5).map("".join), st.sampled_from(["", "", "$"])
).map("".join)


def search(expression: str, text: str, ignore_case: bool = False) -> tuple[str, ...] | None:
    """What matches."""
    return compile_expression(expression, ignore_case).search(text, Work(10**7))


class ExpressionTests(SynchronousTestCase):
    """POSIX extended expressions in linear time."""

    @given(EXPRESSIONS, st.text("abcd", max_size=12))
    def test_as_python_matches(self, expression: str, text: str) -> None:
        """What Python's engine matches first, ours does."""
        found = re.search(expression, text)
        ours = search(expression, text)
        self.assertEqual(None if ours is None else ours[0], None if found is None else found[0])

    def test_captures(self) -> None:
        """Groups by their opening parenthesis; one that took no part is empty."""
        self.assertEqual(search("(a+)(b)?(c|d)", "xaad"), ("aad", "aa", "", "d"))
        self.assertEqual(search("((a)(b))", "ab"), ("ab", "ab", "a", "b"))

    def test_case(self) -> None:
        """ASCII letters without case, in brackets, too; what is captured keeps its case."""
        self.assertEqual(search("h([a-f])L+O", "HeLLo", True), ("HeLLo", "e"))
        self.assertIsNone(search("hello", "HELLO"))

    def test_brackets(self) -> None:
        """Classes, ranges, and signs that mean themselves there."""
        self.assertEqual(search("[[:digit:][:space:]x-]+", "ab1 -x2c"), ("1 -x2",))
        self.assertEqual(search("[]a]+", "b]a"), ("]a",))
        self.assertEqual(search("[^]a]+", "]ab"), ("b",))
        self.assertEqual(search("a{x", "a{x"), ("a{x",))

    def test_faults(self) -> None:
        """What is no expression says why."""
        for wrong in ("(", ")", "[a", "*a", "a{3,2}", "a{300}", "\\", "\\1", "[[:nope:]]", "[b-a]", "((((a{200}){200}))", "|*"):
            self.assertRaises(BadExpression, compile_expression, wrong, False)
        self.assertRaises(BadExpression, compile_expression, "(" * 60 + ")" * 60, False)

    def test_terrible_expressions_are_linear(self) -> None:
        """What explodes elsewhere is only long here."""
        work = Work(2_000_000)
        for expression in ("(a+)+$", "(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"):
            self.assertIsNone(compile_expression(expression, False).search("a" * 3_000 + "!", work))
        self.assertRaises(TooMuchWork, compile_expression("(a+)+$", False).search, "a" * 100_000 + "!", Work(1_000))


class WildcardTests(SynchronousTestCase):
    """``:matches``."""

    def test_captures_are_short(self) -> None:
        """Each wildcard takes as little as it can, from the left."""
        work = Work(10**6)
        self.assertEqual(wildcards("[acme] [fwd] hi", "[*] *", "i;octet", work), ("[acme] [fwd] hi", "acme", "[fwd] hi"))
        self.assertEqual(wildcards("a.b.c", "*.*", "i;octet", work), ("a.b.c", "a", "b.c"))
        self.assertEqual(wildcards("ab", "??", "i;octet", work), ("ab", "a", "b"))
        self.assertEqual(wildcards("frop", "f**p", "i;octet", work), ("frop", "", "ro"))
        self.assertEqual(wildcards("", "*", "i;octet", work), ("", ""))
        self.assertIsNone(wildcards("", "?", "i;octet", work))
        self.assertEqual(wildcards("a*b", "a\\*?", "i;octet", work), ("a*b", "b"))

    def test_case_is_kept_in_captures(self) -> None:
        """Compared without case, captured as it stands."""
        self.assertEqual(wildcards("Hello World", "hello *", "i;ascii-casemap", Work(99)), ("Hello World", "World"))

    @given(st.text("ab*?", max_size=8), st.text("abc", max_size=10))
    def test_as_fnmatch(self, pattern: str, text: str) -> None:
        """Matches what shells match, and the captures put together with the pattern give the text."""
        found = wildcards(text, pattern, "i;octet", Work(10**6))
        self.assertEqual(found is not None, fnmatch.fnmatchcase(text, pattern))
        if found is not None and len(found) < 10:
            pieces = iter(found[1:])
            self.assertEqual("".join(next(pieces) if sign in "*?" else sign for sign in pattern), text)

    def test_many_asterisks_are_not_slow(self) -> None:
        """Work is bounded by the product of the lengths."""
        work = Work(3_000_000)
        self.assertIsNone(wildcards("a" * 2_000, "*a?" * 300 + "b", "i;octet", work))
