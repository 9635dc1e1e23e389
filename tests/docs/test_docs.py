"""
What README and docs say is so: commands parse, sample configurations pass, named files and options exist.

Commands that need another machine's state (systemd, root) are checked for the files they name.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

import launcelot
from launcelot.app import configuration
from launcelot.app.command import build_parser
from launcelot.app.errors import Ending
from tests.docs import guide

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [CHECKOUT / "README.rst", *sorted((CHECKOUT / "docs").glob("*.rst"))]
ROOMS = sorted((CHECKOUT / "launcelot").glob("**/README.rst"))


def blocks(page: Path) -> Iterator[str]:
    """The literal blocks of a page, without their indentation."""
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines):
        if not line.rstrip().endswith("::") or line.startswith(".."):
            continue
        block = []
        for following in lines[number + 1 :]:
            if following.strip() and not following.startswith("    "):
                break
            block.append(following[4:])
        yield "\n".join(block).strip("\n")


def commands(page: Path) -> Iterator[list[str]]:
    """Every command of ours in a page's literal blocks, split into words without its comment."""
    for block in blocks(page):
        for line in block.splitlines():
            for part in re.split(r"&&|\|", line.partition("  #")[0]):
                try:
                    words = shlex.split(part)
                except ValueError:
                    continue
                if words and Path(words[0]).name in ("launcelot", "twistd", "python", "bash"):
                    yield words


class DocsTests(SynchronousTestCase):
    """Pages against the program."""

    def test_commands_parse(self) -> None:
        """Every ``launcelot`` command shown is one that the program understands."""
        parser = build_parser()
        seen = 0
        for page in PAGES:
            for words in commands(page):
                if Path(words[0]).name != "launcelot":
                    continue
                seen += 1
                arguments = words[1 : words.index(">")] if ">" in words else words[1:]
                if arguments[0] == "run":
                    self.assert_options_exist("launcelot", arguments[1:])
                    continue
                try:
                    parser.parse_args(arguments)
                except (SystemExit, Ending) as end:
                    self.fail(f"{page.name}: {' '.join(words)}: {end}")
        self.assertGreater(seen, 8)

    def test_inline_commands_parse(self) -> None:
        """So is every command named in the text."""
        parser = build_parser()
        for page in [*PAGES, *ROOMS]:
            text = page.read_text()
            for command in re.findall(r"``launcelot ((?:[a-z]+)(?: [^`]*)?)``", text):
                arguments = [word for word in shlex.split(command) if word.isupper() is False]
                known = parser.parse_known_args
                try:
                    known(arguments)
                except (SystemExit, Ending) as end:
                    # Words in capitals stand for arguments and were left out: only an unknown command is a lie.
                    self.assertNotIn("invalid choice", str(end), f"{page.name}: launcelot {command}")

    def assert_options_exist(self, tapname: str, arguments: list[str]) -> None:
        """Every option given to a twistd plugin is one of its own."""
        maker = next(plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == tapname)
        known = {name.rstrip("=") for name in maker.options().longOpt}
        for argument in arguments:
            if argument.startswith("--"):
                self.assertIn(argument[2:].partition("=")[0], known)

    def test_plugins_exist(self) -> None:
        """Every twistd plugin that is named is one."""
        known = {plugin.tapname for plugin in getPlugins(IServiceMaker)}
        for plugin in (CHECKOUT / "docs" / "examples").glob("*/twisted/plugins/*.py"):
            known.update(f"launcelot-{name}" for name in re.findall(r"GuestMaker\(\"(\w+)\"", plugin.read_text()))
        for page in PAGES:
            for name in re.findall(r"twistd (?:-\S+ )*(launcelot[a-z0-9-]*)", page.read_text()):
                self.assertIn(name, known, page.name)

    def test_configurations_pass(self) -> None:
        """Every TOML sample is a configuration without faults; the guest that one of them has is installed."""
        for place in guide.install(Path(self.mktemp())):
            sys.path.insert(0, place)
            self.addCleanup(sys.path.remove, place)
        seen = 0
        for page in [*PAGES, *ROOMS]:
            for block in blocks(page):
                if not re.search(r"^\[[a-z0-9]+\]$", block, re.M):
                    continue
                text = block if "config_version" in block else "config_version = 1\n" + block
                _, faults = configuration.parse(text)
                self.assertEqual([str(fault) for fault in faults], [], f"{page}\n{block}")
                seen += 1
        self.assertGreater(seen, 0)

    def test_files_exist(self) -> None:
        """Every file of ours that is named is there."""
        places = (CHECKOUT, CHECKOUT / "launcelot", CHECKOUT / "launcelot" / "protocols")
        for page in PAGES:
            for name in re.findall(r"``([a-z][\w./-]*/[\w./-]*?)/?``", page.read_text()):
                if name.startswith(("tls/", "systemd/")) or "<" in name:
                    continue
                self.assertTrue(any((place / name).exists() for place in places), f"{page.name}: {name}")
            for words in commands(page):
                for word in words[1:]:
                    if word.startswith(("etc/", "tests/", "docs/")):
                        self.assertTrue((CHECKOUT / word).exists(), f"{page.name}: {word}")

    def test_measures_exist(self) -> None:
        """``python -m benchmarks`` is shown with measures that exist."""
        measures = re.search(r"MEASURES\b[^=]*= \{(.*?)\}", (CHECKOUT / "benchmarks" / "__main__.py").read_text(), re.S)
        known = set(re.findall(r'"(\w+)":', measures.group(1) if measures else "")) | {"all"}
        self.assertIn("questions", known)
        for page in PAGES:
            for name in re.findall(r"-m benchmarks (\w+)", page.read_text()):
                self.assertIn(name, known, page.name)


class DocstringTests(SynchronousTestCase):
    """Examples in docstrings."""

    def test_examples_run(self) -> None:
        """Every ``>>>`` in a docstring gives what it says."""
        tried = 0
        for module in pkgutil.walk_packages(launcelot.__path__, "launcelot."):
            source = importlib.util.find_spec(module.name)  # type: ignore[attr-defined]
            if source is None or source.origin is None or ">>>" not in Path(source.origin).read_text():
                continue
            result = doctest.testmod(importlib.import_module(module.name), verbose=False)
            self.assertEqual(result.failed, 0, module.name)
            tried += result.attempted
        self.assertGreater(tried, 0)


class ImportTests(SynchronousTestCase):
    """What importing costs."""

    def test_no_module_installs_the_reactor(self) -> None:
        """Outside the roof no module imports the global reactor."""
        guilty = [
            str(path.relative_to(CHECKOUT))
            for path in (CHECKOUT / "launcelot").glob("**/*.py")
            if "app" not in path.parts
            and re.search(r"^\s*from twisted\.internet import (.*\b)?reactor\b", path.read_text(), re.M)
        ]
        self.assertEqual(guilty, [])
