"""
Golden files: what a connection said once and is to say again.

A golden file is a transcript as :attr:`launcelot.testing.transcript.Transcript.text` has it.  In its lines ``{id}``, ``{date}``,
``{port}`` and any other lower-case word in braces stand for whatever is there, ``*`` at the end for the rest of the line, and
``...`` alone for any number of lines.  Files are written anew with ``pytest --launcelot-golden=update``, or under
``LAUNCELOT_GOLDEN=update``: lines that still fit stay as they are, and in new ones what differs from run to run is put in
braces.  No Twisted here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, unified_diff
from pathlib import Path

CHECK = "check"
UPDATE = "update"
VARIABLE = "LAUNCELOT_GOLDEN"
"""Of the environment: ``update`` or ``check``, for those who do not use pytest."""

PLACEHOLDER = re.compile(r"\\\{[a-z]+\\\}")

VOLATILE: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"\b\w{3}, {1,2}\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "{date}"),
    (re.compile(r"(?<=[\[(])127,0,0,1,\d+,\d+(?=[\])])"), "{port}"),
    (re.compile(r"(?<=\|\|\|)\d+(?=\|)"), "{port}"),
    (re.compile(r"(?i)(?<=message-id: ).*"), "{id}"),
    (re.compile(r"(?<=boundary=)\"?[^\";\s]+\"?"), "{boundary}"),
    (re.compile(r"(?<=--)=+[\w=.]+?(?=(--)?$)"), "{boundary}"),
    (re.compile(r"(?<=^C: EHLO ).*|(?<=^C: LHLO ).*|(?<=^C: HELO ).*|(?<=^C: ehlo ).*|(?<=^C: helo ).*"), "{client}"),
    (re.compile(r"(?<=UIDVALIDITY )\d+|(?<=APPENDUID )\d+"), "{validity}"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[a-z])[0-9a-hjkmnp-tv-z]{20,26}\b"), "{id}"),
)
"""What differs from run to run, and what stands for it."""


class NotGolden(AssertionError):
    """A connection did not go as its golden file has it; the text says how, and how to have the file written anew."""


@dataclass
class Golden:
    """
    The golden files of one test.

    :ivar folder: where they are.
    :ivar mode: ``"check"`` or ``"update"``; empty for what the environment says.
    :ivar written: those that were written anew.
    """

    folder: Path
    mode: str = CHECK
    written: list[Path] = field(default_factory=list)

    def compare(self, name: str, lines: Sequence[str]) -> None:
        """
        Claim that a transcript is as its golden file has it; write the file, where that is wanted.

        :param name: of the file, below the folder.
        :raises NotGolden: it is not, or there is no such file.
        """
        __tracebackhide__ = True
        path = self.folder / name
        golden = path.read_text(encoding="utf-8").splitlines() if path.exists() else None
        if golden is not None and fits_all(golden, lines):
            return
        if (self.mode or mode_of()) == UPDATE:
            write(path, merged(golden or [], lines))
            self.written.append(path)
        elif golden is None:
            raise NotGolden(f"there is no golden file {path}; --launcelot-golden=update writes it")
        else:
            raise NotGolden(difference(path, golden, lines))


def mode_of(environment: Mapping[str, str] = os.environ) -> str:
    """What the environment wants done with golden files."""
    return UPDATE if environment.get(VARIABLE) == UPDATE else CHECK


def fits(golden: str, line: str) -> bool:
    """Whether a line is as one of a golden file has it."""
    if golden == line:
        return True
    rest = golden.endswith("*")
    pattern = PLACEHOLDER.sub(".*", re.escape(golden.removesuffix("*"))) + (".*" if rest else "")
    return re.fullmatch(pattern, line, re.DOTALL) is not None


def fits_all(golden: Sequence[str], lines: Sequence[str]) -> bool:
    """Whether all lines are as a golden file has them."""
    there = {0}
    for one in golden:
        if one == "...":
            there = set(range(min(there), len(lines) + 1))
        else:
            there = {at + 1 for at in there if at < len(lines) and fits(one, lines[at])}
        if not there:
            return False
    return len(lines) in there


def settled(line: str) -> str:
    """A line of which what differs from run to run is in braces."""
    for pattern, placeholder in VOLATILE:
        line = pattern.sub(placeholder, line)
    return line


def merged(golden: Sequence[str], lines: Sequence[str]) -> Sequence[str]:
    """A golden file for these lines, which keeps what still fits of the one there is."""
    named = _named(golden, lines)
    return [golden[named[at]] if at in named else settled(line) for at, line in enumerate(lines)]


def _named(golden: Sequence[str], lines: Sequence[str]) -> Mapping[int, int]:
    """By line: the one of the golden file that it fits, in order."""
    alike = SequenceMatcher(None, [_key(one, lines, fits) for one in golden], list(lines), autojunk=False)
    return {block.b + step: block.a + step for block in alike.get_matching_blocks() for step in range(block.size)}


def _key(golden: str, lines: Sequence[str], fit: Callable[[str, str], bool]) -> str:
    """A golden line as the first of the lines that it fits; itself where there is none."""
    return next((line for line in lines if golden != "..." and fit(golden, line)), golden)


def difference(path: Path, golden: Sequence[str], lines: Sequence[str]) -> str:
    """What is not as it was, for people."""
    named = _named(golden, lines)
    shown = [golden[named[at]] if at in named else line for at, line in enumerate(lines)]
    changes = list(unified_diff(list(golden), shown, "golden", "now", lineterm="", n=2))[2:]
    head = f"the connection did not go as {path} has it; --launcelot-golden=update writes that anew"
    return "\n".join([head, *(f"  {line}" for line in changes)])


def write(path: Path, lines: Sequence[str]) -> None:
    """Write a file whole, whoever else does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    fresh.replace(path)
