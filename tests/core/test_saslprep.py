"""Names and passwords in the one form that SCRAM hashes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.saslprep import NotPrepared, saslprep


class SaslprepTests(SynchronousTestCase):
    """RFC 4013."""

    def test_examples_of_the_rfc(self) -> None:
        """RFC 4013 section 3."""
        for text, expected in (
            ("I\u00adX", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u00aa", "a"),
            ("\u2168", "IX"),
        ):
            self.assertEqual(saslprep(text), expected)
        for text in ("\u0007", "\u0627\u0031"):
            self.assertRaises(NotPrepared, saslprep, text)

    def test_spaces_of_any_kind_are_spaces(self) -> None:
        """RFC 4013 section 2.1."""
        self.assertEqual(saslprep("a\u00a0b\u3000c d"), "a b c d")

    def test_prohibited_characters_are_refused(self) -> None:
        """RFC 4013 section 2.3, in every table."""
        for character in "\0\x1f\x7f\x80\u200e\u2028\ue000\ufdd0\ud800\ufffd\u2ff0\U000e0001":
            self.assertRaises(NotPrepared, saslprep, f"\u00e9{character}x")

    def test_directions_do_not_mix(self) -> None:
        """RFC 3454 section 6."""
        self.assertEqual(saslprep("\u05d0\u05d1"), "\u05d0\u05d1")
        self.assertEqual(saslprep("\u05d01\u05d1"), "\u05d01\u05d1")
        for text in ("\u05d0a\u05d1", "\u05d01", "1\u05d0"):
            self.assertRaises(NotPrepared, saslprep, text)

    def test_unassigned_characters_are_asked_for_but_not_kept(self) -> None:
        """RFC 3454 section 7: a query may be from a later Unicode than ours."""
        self.assertEqual(saslprep("\U0001f600"), "\U0001f600")
        self.assertRaises(NotPrepared, saslprep, "\U0001f600", stored=True)

    @given(st.text())
    def test_any_text_is_prepared_or_refused(self, text: str) -> None:
        """What is prepared stays as it is when it is prepared again."""
        try:
            prepared = saslprep(text, stored=True)
        except NotPrepared:
            return
        self.assertEqual(saslprep(prepared, stored=True), prepared)
