"""``docs/writing-a-service.rst`` taken apart: its code, its commands and its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
GUIDE = CHECKOUT / "docs" / "writing-a-service.rst"
EXAMPLE = CHECKOUT / "docs" / "examples" / "guestbook"

PROGRAMS = ("launcelot", "pip", "pytest", "trial", "twistd")


def pieces() -> Iterator[tuple[str, str]]:
    """The code on the page: a file's name in the example, and lines of it."""
    lines = GUIDE.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith(".. from "):
            yield line.removeprefix(".. from "), indented(lines[number + 4 :])


def indented(lines: list[str]) -> str:
    """The indented block that begins there, without its indentation."""
    block = []
    for line in lines:
        if line and not line.startswith("    "):
            break
        block.append(line[4:])
    return "\n".join(block).strip("\n")


def literal_blocks() -> Iterator[str]:
    """The blocks behind ``::``."""
    lines = GUIDE.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.endswith("::") and not line.startswith(("..", " ")):
            yield indented(lines[number + 2 :])


def commands() -> list[str]:
    """Every command on the page, in order."""
    return [line for block in literal_blocks() for line in block.splitlines() if line.partition(" ")[0] in PROGRAMS]


def configuration() -> str:
    """The one sample of a configuration."""
    (found,) = [block for block in literal_blocks() if re.search(r"^\[guestbook\]$", block, re.M)]
    return found + "\n"


def install(folder: Path) -> list[str]:
    """
    What pip would leave behind of the example, without its code.

    :returns: what has to be on the path for it to count as installed.
    """
    said = ConfigParser()
    said.read(EXAMPLE / "setup.cfg")
    information = folder / "launcelot_guestbook.dist-info"
    information.mkdir(parents=True)
    name, version = said["metadata"]["name"], said["metadata"]["version"]
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = "".join(f"[{group}]{text}\n" for group, text in said["options.entry_points"].items())
    (information / "entry_points.txt").write_text(points)
    return [str(folder.absolute()), str(EXAMPLE)]
