"""``docs/faults.rst`` names a test for each case, and each of them is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.faults.__main__ import CAMPAIGNS

TEXT = (Path(__file__).parents[2] / "docs" / "faults.rst").read_text()
CASES = [
    *(f"S{number:02d}" for number in range(1, 24)), *(f"A{number:02d}" for number in range(1, 6)),
    *(f"C{number:02d}" for number in (*range(1, 8), 10, 13, 15, 16, 28, 30)),
]  # fmt: skip


def found(name: str) -> Any:
    """A module, a class in it, or a test in that."""
    words = name.split(".")
    place = next(place for place, word in enumerate(words) if word.startswith("test_")) + 1
    thing: Any = import_module(".".join(words[:place]))
    for word in words[place:]:
        thing = getattr(thing, word)
    return thing


class TableTests(SynchronousTestCase):
    """The page."""

    def test_every_case_has_tests(self) -> None:
        """And every test that is named can be run."""
        rows = dict(re.findall(r"^([SAC]\d\d) ((?:.+\n)(?:    .+\n)*)", TEXT, re.MULTILINE))
        self.assertEqual(sorted(rows), sorted(CASES))
        for case, tests in rows.items():
            names = re.findall(r"``(tests\.[a-zA-Z_.]+)``", tests)
            self.assertTrue(names, case)
            for name in names:
                self.assertTrue(found(name), f"{case}: {name}")

    def test_every_campaign_is_described(self) -> None:
        """Under its name, and its modules are there."""
        for one in CAMPAIGNS:
            self.assertRegex(TEXT, rf"(?m)^(.*, )?{one.name}\b", one.name)
            for module in one.modules:
                import_module(module)
