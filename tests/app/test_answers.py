"""Tables and answerers in the configuration file: faults with their line, before anything starts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.configuration import parse
from launcelot.app.errors import CONFIGURATION
from tests.app.programs import COMMAND, ProgramCase


class FaultTests(SynchronousTestCase):
    """What ``launcelot check`` says."""

    def setUp(self) -> None:
        """A folder with one table that is right and one that is not."""
        kept = tempfile.TemporaryDirectory(prefix="launcelot-test-")
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)
        (self.folder / "right.toml").write_text('"Who?" = "Me."\n')
        (self.folder / "wrong.toml").write_text('"Who?" = "Me."\n"What?" = "So"\n')

    def faults(self, *lines: str) -> list[str]:
        """The faults of a table ``[questions]`` with these lines, as line and text."""
        _, faults = parse("\n".join(["config_version = 1", "[questions]", *lines]))
        return [f"{fault.line}: {fault}" for fault in faults]

    def test_what_is_right(self) -> None:
        """A table that can be read, and a guest that can be imported."""
        self.assertEqual(
            [], self.faults(f'tables = ["{self.folder}/right.toml"]', 'answerer = "tests.protocols.questions.guest:answer"')
        )

    def test_what_is_wrong(self) -> None:
        """The line of the configuration, then file and line of the table."""
        answerer, tables = self.faults('answerer = "no.such:thing"', f'tables = ["{self.folder}/wrong.toml"]')
        self.assertTrue(answerer.startswith("3: questions.answerer: 'no.such:thing' cannot be imported"), answerer)
        self.assertTrue(tables.startswith(f"4: questions.tables: {self.folder}/wrong.toml:2: 'What?': "), tables)


class StartTests(ProgramCase):
    """What the daemon says that does not start."""

    def test_one_line_and_the_exit_code_of_the_configuration(self) -> None:
        """No traceback, whatever the guest's module raises."""
        (self.folder / "guest.py").write_text('raise RuntimeError("two\\nlines")\n')
        file = self.folder / "launcelot.toml"
        file.write_text('config_version = 1\n[questions]\nanswerer = "guest:answer"\n')
        done = self.run_program(*COMMAND, "run", "--config", str(file), "--data", str(self.folder / "data"))
        self.assertEqual(done.returncode, CONFIGURATION)
        (line,) = done.stderr.splitlines()
        self.assertIn(f"{file}:3: questions.answerer: 'guest:answer' cannot be imported: RuntimeError: two", line)
