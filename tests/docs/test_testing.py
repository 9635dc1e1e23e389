"""The pages about the test kit: every block is run as it stands, in a folder with nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.command import build_parser
from launcelot.testing.reference import page as reference
from launcelot.testing.sentences import parse
from tests.docs.guide import indented
from tests.testing.elsewhere import CHECKOUT, run_pytest

DOCS = CHECKOUT / "docs"
PAGES = ("testing", "testing-trial", "testing-protocols", "testing-moving")


def text_of(page: str) -> str:
    """A page."""
    return (DOCS / f"{page}.rst").read_text()


def pieces(page: str) -> Iterator[tuple[str, str]]:
    """Each block and the comment before it: the file it goes into, or ``output``."""
    lines = text_of(page).splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\.\. (\w+\.(py|wire)|output)", line):
            yield line.removeprefix(".. "), indented(lines[number + 4 :])


def literal_blocks(page: str) -> Iterator[str]:
    """The blocks behind ``::`` at the end of a sentence."""
    lines = text_of(page).splitlines()
    for number, line in enumerate(lines):
        if line.endswith(" ::"):
            yield indented(lines[number + 2 :])


def without_numbers(text: str) -> str:
    """Times differ from run to run."""
    return re.sub(r"\d+\.\d+ s", "N s", text)


class PageTests(SynchronousTestCase):
    """The pages."""

    def written(self, page: str) -> Path:
        """A folder with a page's files."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.output = ""
        for name, block in pieces(page):
            if name == "output":
                self.output = block
            else:
                with (folder / name).open("a") as file:
                    file.write(f"{block}\n\n\n" if name.endswith(".py") else f"{block}\n")
        return folder

    def trial(self, folder: Path, *modules: str) -> str:
        """What Trial says of some modules."""
        return subprocess.run(
            [sys.executable, "-m", "twisted.trial", *modules],
            cwd=folder,
            env={"PYTHONPATH": f"{CHECKOUT}:{folder}", "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        ).stdout

    def test_no_block_is_passed_over(self) -> None:
        """Whatever looks like code has its file."""
        for page in PAGES:
            self.assertEqual(text_of(page).count(".. code-block::"), len(list(pieces(page))), page)

    def test_commands(self) -> None:
        """They are commands, and their sentences are sentences."""
        lines = [line.strip() for line in text_of("testing").splitlines() if line.startswith("    launcelot ")]
        given = [build_parser().parse_args(shlex.split(line)[1:]) for line in lines]
        self.assertEqual(
            [str(parse(one.sentence)) for one in given if hasattr(one, "sentence")],
            ["at.smtp('RCPT').replies(451, '4.3.2 later').times(2)"],
        )
        self.assertEqual(len(given), 3)

    def test_pytest(self) -> None:
        """All tests pass but the one that is to fail, which says what the page says."""
        said = run_pytest(self.written("testing"), "-p", "no:twisted", "-p", "no:asyncio").stdout
        self.assertIn("1 failed, 16 passed", said)
        self.assertIn("at.smtp('RCPT').replies(451, '4.3.2 later').times(1) has not happened", said)
        self.assertNotIn("mail.py:", said.partition("warnings summary")[0].replace("\ntest_typo.py", ""))
        shown = "\n".join(line.removeprefix("E").strip() for line in without_numbers(said).splitlines())
        for line in without_numbers(self.output).splitlines():
            self.assertIn(line.partition("/tmp")[0].strip(), shown)

    def test_trial(self) -> None:
        """For those who use Trial; under pytest they pass as well."""
        folder = self.written("testing-trial")
        self.assertIn("PASSED (successes=5)", self.trial(folder, "test_outbox", "test_tries_again"))
        self.assertIn("5 passed", run_pytest(folder, "-p", "no:twisted", "-p", "no:asyncio").stdout)

    def test_protocols(self) -> None:
        """For authors of protocols; the table is the page's."""
        said = self.trial(self.written("testing-protocols"), "test_capitals", "test_pieces", "test_time")
        self.assertIn("PASSED (successes=6)", said)
        (table,) = literal_blocks("testing-protocols")
        self.assertIn(table, said)

    def test_reference(self) -> None:
        """It is what the docstrings say."""
        wanted = "python -m launcelot.testing.reference docs/testing-reference.rst"
        self.assertEqual(text_of("testing-reference"), reference(), wanted)

    def test_moving(self) -> None:
        """For those who come from elsewhere."""
        said = run_pytest(self.written("testing-moving"), "-p", "no:twisted", "-p", "no:asyncio").stdout
        self.assertIn("7 passed", said)
