"""The page for guests' authors is true: its code is the example's, and the example works."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.configuration import parse
from tests.docs.guide import CHECKOUT, EXAMPLE, commands, configuration, install, pieces

NOT_SHOWN = {"README.rst"}
"""Files of the example that are not needed to have it."""


class GuideTests(SynchronousTestCase):
    """``docs/writing-a-service.rst`` and ``docs/examples/guestbook``."""

    def test_code_is_the_examples(self) -> None:
        """Every block stands in its file as it is."""
        seen = 0
        for name, block in pieces():
            self.assertIn(f"\n{block}\n", f"\n{(EXAMPLE / name).read_text()}", name)
            seen += 1
        self.assertGreater(seen, 15)

    def test_nothing_is_left_out(self) -> None:
        """Who types what the page shows, from an empty folder on, has the whole package; of the tests it shows some."""
        shown: dict[str, list[str]] = {}
        for name, block in pieces():
            shown.setdefault(name, []).extend(line for line in block.splitlines() if line.strip())
        for path in sorted(EXAMPLE.glob("**/*")):
            name = str(path.relative_to(EXAMPLE))
            made = path.suffix in (".pyc", ".cache") or name.startswith((".", "build/")) or ".egg-info" in name
            if made or not path.is_file() or "test/" in name or name in NOT_SHOWN:
                continue
            whole = [line for line in path.read_text().splitlines() if line.strip()]
            self.assertEqual(whole, shown.get(name, []), name)

    def test_commands_are_those_of_ci(self) -> None:
        """``tests/guest.py`` runs each of them."""
        run = (CHECKOUT / "tests" / "guest.py").read_text()
        self.assertGreater(len(commands()), 8)
        for command in commands():
            self.assertIn(f'"{command}"', run)

    def test_configuration_is_right(self) -> None:
        """With the example installed; without it the fault says what is missing."""
        _, faults = parse(configuration())
        self.assertEqual([(3, "guestbook")], [(one.line, one.key) for one in faults])
        for place in install(Path(self.mktemp())):
            sys.path.insert(0, place)
            self.addCleanup(sys.path.remove, place)
        found, faults = parse(configuration())
        self.assertEqual([], faults)
        self.assertEqual(500, found.services["guestbook"].max_note)


class ExampleTests(SynchronousTestCase):
    """The example's own tests."""

    def test_pass(self) -> None:
        """As its author runs them."""
        with tempfile.TemporaryDirectory(prefix="launcelot-test-") as folder:
            done = subprocess.run(
                [sys.executable, "-m", "twisted.trial", "launcelot_guestbook"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{EXAMPLE}", "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"Ran [4-9]\d tests")
