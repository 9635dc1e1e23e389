"""``docs/testing.rst``: every block is run as it stands, in a folder with nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.command import build_parser
from launcelot.testing.sentences import parse
from tests.docs.guide import indented
from tests.testing.elsewhere import CHECKOUT, run_pytest

PAGE = CHECKOUT / "docs" / "testing.rst"


def pieces() -> Iterator[tuple[str, str]]:
    """Each block and the comment before it: the file it goes into, or ``output``."""
    lines = PAGE.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\.\. (\w+\.(py|wire)|output)", line):
            yield line.removeprefix(".. "), indented(lines[number + 4 :])


def literal_blocks() -> Iterator[str]:
    """The blocks behind ``::`` at the end of a sentence."""
    lines = PAGE.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.endswith(" ::"):
            yield indented(lines[number + 2 :])


def without_numbers(text: str) -> str:
    """Times differ from run to run."""
    return re.sub(r"\d+\.\d+ s", "N s", text)


class PageTests(SynchronousTestCase):
    """The page."""

    def setUp(self) -> None:
        """Write its files."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.output = ""
        for name, block in pieces():
            if name == "output":
                self.output = block
            else:
                with (self.folder / name).open("a") as file:
                    file.write(f"{block}\n\n\n" if name.endswith(".py") else f"{block}\n")

    def test_no_block_is_passed_over(self) -> None:
        """Whatever looks like code has its file."""
        self.assertEqual(PAGE.read_text().count(".. code-block::"), len(list(pieces())))

    def test_commands(self) -> None:
        """They are commands, and their sentences are sentences."""
        lines = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith("    launcelot ")]
        given = [build_parser().parse_args(shlex.split(line)[1:]) for line in lines]
        self.assertEqual([str(parse(one.sentence)) for one in given if hasattr(one, "sentence")], [
            "at.smtp('RCPT').replies(451, '4.3.2 later').times(2)",
        ])
        self.assertEqual(len(given), 3)

    def test_pytest(self) -> None:
        """All tests pass but the one that is to fail, which says what the page says."""
        said = run_pytest(self.folder, "-p", "no:twisted", "-p", "no:asyncio").stdout
        self.assertIn("1 failed, 20 passed", said)
        self.assertIn("at.smtp('RCPT').replies(451, '4.3.2 later').times(1) has not happened", said)
        self.assertNotIn("mail.py:", said.partition("warnings summary")[0].replace("\ntest_typo.py", ""))
        shown = "\n".join(line.removeprefix("E").strip() for line in without_numbers(said).splitlines())
        for line in without_numbers(self.output).splitlines():
            self.assertIn(line.partition("/tmp")[0].strip(), shown)

    def test_trial(self) -> None:
        """The Twisted half; the table is the page's."""
        said = subprocess.run(
            [sys.executable, "-m", "twisted.trial", "test_outbox"],
            cwd=self.folder,
            env={"PYTHONPATH": f"{CHECKOUT}:{self.folder}", "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        ).stdout
        self.assertIn("PASSED (successes=5)", said)
        (table,) = literal_blocks()
        self.assertIn(table, said)
