"""The README tells what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import launcelot.checks
from launcelot.checks.names import ScriptedNames
from launcelot.checks.remembering import MIGRATIONS
from launcelot.checks.settings import CheckSettings, build_checks
from launcelot.checks.signing import SigningSettings
from launcelot.core.settings import load
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers

HERE = Path(launcelot.checks.__file__).parent


class ReadmeTests(SynchronousTestCase):
    """README.rst beside the code."""

    text = (HERE / "README.rst").read_text()

    def test_every_setting_is_listed_and_none_besides(self) -> None:
        """By name."""
        table = self.text.partition("SETTINGS\n")[2].partition("METRICS\n")[0]
        self.assertEqual(re.findall(r"^``(\w+)``", table, re.MULTILINE), [one.name for one in fields(CheckSettings)])

    def test_every_setting_of_signing_is_listed(self) -> None:
        """Likewise."""
        table = self.text.partition("SIGNING\n")[2].partition("SETTINGS\n")[0]
        listed = re.findall(r"^``(\w+)`` +(?:true|empty|0)", table, re.MULTILINE)
        self.assertEqual(listed, [one.name for one in fields(SigningSettings)])

    def test_every_module_is_listed(self) -> None:
        """In the table at the top."""
        for path in HERE.glob("*.py"):
            if path.stem != "__init__":
                self.assertIn(f"``{path.stem}``", self.text)


class SettingsTests(SynchronousTestCase):
    """From settings to checks."""

    def names_of(self, **given: object) -> list[str]:
        """The checks that settings ask for."""
        settings, problems = load(CheckSettings, given)
        self.assertEqual(problems, [])
        workers = InlineWorkers()
        database = Database(Path(self.mktemp()), MIGRATIONS, workers, workers)
        return [one.name for one in build_checks(settings, ScriptedNames, lambda: database, workers)]

    def test_nothing_is_on_by_default(self) -> None:
        """And nobody is asked for a resolver or a file."""

        def never() -> None:
            raise AssertionError("asked for")

        self.assertEqual(build_checks(CheckSettings(), never, never, InlineWorkers()), [])  # type: ignore[arg-type]

    def test_each_setting_switches_on_its_check(self) -> None:
        """In the order in which they are asked, the cheap ones first."""
        every = self.names_of(
            header="refuse", greylisting=60, spf="note", block_lists=["bl.example"], reverse_name="note", mails_per_source=5
        )
        self.assertEqual(every, ["rates", "iprev", "dnsbl", "spf", "greylisting", "header"])
        self.assertEqual(self.names_of(dmarc="note"), ["spf", "dkim", "dmarc"])
        self.assertEqual(self.names_of(dkim="note"), ["dkim"])
        self.assertEqual(self.names_of(header="quarantine"), ["header"])
