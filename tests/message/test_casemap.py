"""i;unicode-casemap.  RFC 5051."""

from __future__ import annotations

import sys
import unicodedata

from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.casemap import collation, fold
from tests.bounded import linear


def prepared(text: str) -> str:
    """The standard's form, character by character, slowly; from Python's own tables where they are one to one."""
    found = []
    for letter in text:
        title = letter.title()
        found.append(unicodedata.normalize("NFKD", title if len(title) == 1 else letter))
    return "".join(found)


class CasemapTests(SynchronousTestCase):
    """Folding."""

    def test_example_of_the_standard(self) -> None:
        """U+01C4 becomes U+0044 U+007A U+030C."""
        self.assertEqual(collation(fold("\u01c4")), "\u0044\u007a\u030c")
        self.assertEqual(collation(fold("\u01c5")), collation(fold("\u01c6")))

    def test_what_is_equal(self) -> None:
        """Cases, compositions and compatible characters; not sharp s and ss, nor a ligature and its letters."""
        for one, other in (
            ("HELLO", "hello"), ("É", "e\u0301"), ("é", "É"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ＡＢ", "ａｂ"), ("Å", "\u212b"),
            ("Ⅷ", "ⅷ"), ("я", "Я"), ("ı", "I"),
        ):  # fmt: skip
            self.assertEqual(fold(one), fold(other), one)
        for one, other in (("ß", "ss"), ("ﬁ", "fi"), ("A", "Α"), ("É", "E")):
            self.assertNotEqual(fold(one), fold(other), one)
        self.assertIn(fold("cafe"), fold("CAFÉ"))
        self.assertIn(fold("E\u0301"), fold("café"))

    def test_every_character(self) -> None:
        """The form is the standard's, and turning ASCII round loses nothing."""
        for number in range(sys.maxunicode + 1):
            letter = chr(number)
            if unicodedata.category(letter) not in ("Cs", "Cn", "Co"):
                self.assertEqual(collation(fold(letter)), prepared(letter), hex(number))

    def test_text(self) -> None:
        """Of several characters it is that of each; lone surrogates pass; plain text is only lower case."""
        text = "Grüße, ΚΌΣΜΕ! ﬁn ǅ 日本 \ud800 Z_a"
        self.assertEqual(collation(fold(text)), prepared(text))
        self.assertEqual(fold("Plain TEXT_[1]"), "plain text_[1]")
        self.assertEqual(sorted(["_", "b", "A", "Z"], key=lambda one: collation(fold(one))), ["A", "b", "Z", "_"])

    def test_quick(self) -> None:
        """Linear on foreign text."""
        text = "Привет, мир! " * 200_000
        with linear():
            fold(text)
