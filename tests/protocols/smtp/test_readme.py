"""The README tells what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import launcelot.protocols.smtp
from launcelot.core.settings import declared, load
from launcelot.protocols.smtp.commands import COMMANDS
from launcelot.protocols.smtp.service import Settings

HERE = Path(launcelot.protocols.smtp.__file__).parent


class ReadmeTests(SynchronousTestCase):
    """README.rst beside the code."""

    text = (HERE / "README.rst").read_text()

    def test_every_setting_is_listed_and_none_besides(self) -> None:
        """By name, with its default."""
        table = self.text.partition("SETTINGS\n")[2].partition("METRICS\n")[0]
        listed = re.findall(r"^``(\w+)``", table, re.MULTILINE)
        self.assertEqual(listed, [one.name for one in fields(Settings)])
        for one in fields(Settings):
            if isinstance(one.default, int) and not isinstance(one.default, bool):
                self.assertRegex(table, rf"(?m)^``{one.name}`` +{one.default}\b")
            self.assertTrue(declared(one).text.endswith("."), one.name)

    def test_every_command_is_listed(self) -> None:
        """Those that are offered."""
        table = self.text.partition("COMMANDS\n")[2].partition("SETTINGS\n")[0]
        for verb, command in COMMANDS.items():
            if command.help:
                self.assertIn(f"``{verb.decode()}", table)

    def test_every_module_is_listed(self) -> None:
        """In the table at the top."""
        for path in HERE.glob("*.py"):
            if path.stem != "__init__":
                self.assertIn(f"``{path.stem}``", self.text)

    def test_every_counter_is_listed(self) -> None:
        """Names in the code are names in METRICS."""
        metrics = self.text.partition("METRICS\n")[2].partition("STANDARDS\n")[0]
        source = "".join(path.read_text() for path in HERE.glob("*.py"))
        for name in re.findall(r'add\("([a-z.]+)"', source):
            self.assertIn(f"``{name}``", metrics)

    def test_no_settings_are_needed(self) -> None:
        """An empty table gives the defaults, and they pass their own checks."""
        given = {
            one.name: list(one.default) if isinstance(one.default, tuple) else one.default for one in fields(Settings)
        }
        self.assertEqual(load(Settings, {}), (Settings(), []))
        self.assertEqual(load(Settings, given), (Settings(), []))
