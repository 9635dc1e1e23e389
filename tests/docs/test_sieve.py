"""The page about Sieve says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.sieve.script import EXTENSIONS, compile_script

PAGE = Path(__file__).parents[2] / "docs" / "sieve.rst"


class PageTests(SynchronousTestCase):
    """docs/sieve.rst."""

    def test_every_extension_is_on_the_page(self) -> None:
        """And none that is not known."""
        listed = re.findall(r"^([a-z0-9*-]+) +(?:RFC|draft)", PAGE.read_text(), re.MULTILINE)
        known = sorted({name if not name.startswith("comparator-") else "comparator-*" for name in EXTENSIONS})
        self.assertEqual(sorted(listed), known)

    def test_the_script_compiles(self) -> None:
        """The one that readers copy."""
        (block,) = re.findall(r"::\n\n((?:    .*\n)+)", PAGE.read_text())
        self.assertEqual(len(compile_script(block.encode()).commands), 2)
