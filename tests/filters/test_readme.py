"""The README tells what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import launcelot.filters
from launcelot.checks.settings import CheckSettings
from launcelot.core.settings import load
from launcelot.filters.entries import KINDS, parse_filter

HERE = Path(launcelot.filters.__file__).parent


class ReadmeTests(SynchronousTestCase):
    """README.rst beside the code."""

    text = (HERE / "README.rst").read_text()

    def test_the_sample_can_be_configured(self) -> None:
        """As it stands there; and every kind is described."""
        sample = re.search(r"::\n\n((?:    .*\n)+)", self.text)
        self.assertIsNotNone(sample)
        table = tomllib.loads("\n".join(line.strip() for line in sample[1].splitlines()) if sample else "")["checks"]
        settings, problems = load(CheckSettings, table)
        self.assertEqual(problems, [])
        self.assertEqual(sorted(parse_filter(one).kind for one in settings.filters), sorted({*KINDS} - {"plugin"}))
        for kind in KINDS:
            self.assertIn(f"\n``{kind}`` ", self.text)

    def test_every_module_is_listed(self) -> None:
        """In the table."""
        for path in HERE.glob("*.py"):
            if path.stem != "__init__":
                self.assertIn(f"``{path.stem}``", self.text)
