"""Log-in names have one form."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts.names import MAX_NAME, canonical
from launcelot.core.errors import Invalid
from launcelot.message.address import parse_mailbox


class CanonicalTests(SynchronousTestCase):
    """What :func:`canonical` makes one, and what it refuses."""

    def test_spellings_of_one_name_are_one(self) -> None:
        """Case and composition do not make two accounts."""
        for spellings in (
            ("brandon", "BRANDON", "Brandon"),
            ("jos\u00e9", "JOS\u00c9", "jose\u0301", "JOSE\u0301"),
            ("strasse", "stra\u00dfe", "STRA\u1e9eE"),
            ("\u03c3\u03c3", "\u03a3\u03a3", "\u03c3\u03c2"),
        ):
            self.assertEqual({canonical(one) for one in spellings}, {spellings[0]})

    def test_dotted_capital_i_is_not_ascii_i(self) -> None:
        """The Turkish letter folds to its own name and never to alice (case A10)."""
        self.assertNotEqual(canonical("AL\u0130CE"), "alice")

    def test_ordinary_names_are_their_own_form(self) -> None:
        """Names with an apostrophe, a dot, a dash or an underscore are left as they are."""
        for name in ("o'brien", "a.b-c_d", "x", "7", "\u4e2d\u6587", "\u05d0\u05d1", "a" * MAX_NAME):
            self.assertEqual(canonical(name), name)

    def test_what_no_name_may_have_is_refused(self) -> None:
        """Paths, patterns, formats, controls, spaces, directions and look-alikes (case A10)."""
        for name in (
            "",
            "a/b",
            "a\\b",
            "..",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a\0",
            "a\n",
            "a\x7f",
            "a\x85",
            "a b",
            "a\u00a0b",
            "a\u3000b",
            "%u",
            "*",
            "a*",
            "a@b",
            "a+b",
            'a"b',
            "a:b",
            "a;b",
            "a,b",
            "(a)",
            "<a>",
            "a|b",
            "a`b",
            "a\u202eb",
            "a\u200fb",
            "a\u2066b",
            "a\u200bb",
            "a\ufeffb",
            "a\u00adb",
            "a\ud800",
            "\U000e0001",
            "\uff41lice",
            "\u2160",
            "\u0301a",
            "a\u05d0",
            "\u05d0a",
            "a\u0378",
            "\ue000",
            "\u2603",
        ):
            with self.subTest(name=ascii(name)), self.assertRaises(Invalid):
                canonical(name)

    def test_length_is_counted_in_octets_of_the_canonical_form(self) -> None:
        """64 octets pass, 65 do not, whether a character has one octet or more; ten kilobytes are refused unread."""
        self.assertEqual(canonical("\u00e9" * 32), "\u00e9" * 32)
        for name in ("a" * 65, "\u00e9" * 33, "\u00df" * 33 + "a" * 31, "a" * 10_240):
            with self.assertRaises(Invalid):
                canonical(name)

    def test_refusal_does_not_quote_the_name(self) -> None:
        """What a peer sent does not come back in the text."""
        caught = self.assertRaises(Invalid, canonical, "evil\r\nname")
        self.assertNotIn("evil", caught.text)

    @given(st.text(max_size=20))
    def test_canonical_form_is_its_own_and_a_local_part(self, name: str) -> None:
        """Whatever is accepted is stable, short enough and stands in an address without quotes."""
        try:
            form = canonical(name)
        except Invalid:
            return
        self.assertEqual(canonical(form), form)
        self.assertLessEqual(len(form.encode()), MAX_NAME)
        self.assertEqual(parse_mailbox(f"{form}@example.org").local, form)
