"""
The frame of every measure: rounds in turn, medians, ratios, a table for people and JSON for programs.

A measure names its *subjects* (we and the peers) and gives for each a function that runs one round and returns figures.  Rounds
are interleaved, subject by subject, so that what else the machine does hits all alike; the median of the rounds counts.
CPU is that of the server's whole process tree, read from ``/proc``, and is the figure to trust on a busy machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Figures = Mapping[str, float]
TICKS = os.sysconf("SC_CLK_TCK")


class NotHere(Exception):
    """A peer cannot be run on this machine; the text says why."""


@dataclass(frozen=True)
class Subject:
    """
    Somebody who is measured.

    :ivar run: runs one round; figures by name.
    """

    name: str
    run: Callable[[], Figures]


@dataclass
class Table:
    """
    What a measure found.

    :ivar better: for each figure ``"more"`` or ``"less"``, whichever is better.
    :ivar rows: for each subject its figures, one list of rounds each.
    """

    title: str
    better: Mapping[str, str]
    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def medians(self) -> dict[str, dict[str, float]]:
        """One figure for each subject and name."""
        return {
            subject: {name: statistics.median(rounds) for name, rounds in figures.items()}
            for subject, figures in self.rows.items()
        }

    def ratios(self) -> dict[str, dict[str, float]]:
        """Our figure over each peer's, turned so that above 1 we are better."""
        medians = self.medians()
        ours = medians.get("launcelot", {})
        found: dict[str, dict[str, float]] = {}
        for subject, figures in medians.items():
            if subject == "launcelot":
                continue
            found[subject] = {
                name: (ours[name] / value if self.better[name] == "more" else value / ours[name])
                for name, value in figures.items()
                if ours.get(name) and value
            }
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "title": self.title,
            "rounds": self.rows,
            "medians": self.medians(),
            "ratios": self.ratios(),
            "absent": self.absent,
        }

    def as_text(self) -> str:
        """Medians and ratios, for people."""
        medians, ratios = self.medians(), self.ratios()
        names = list(self.better)
        lines = [self.title, "".join(["subject".ljust(22), *(f"{name:>22}" for name in names)])]
        for subject, figures in medians.items():
            cells = []
            for name in names:
                value = f"{figures[name]:,.3g}" if name in figures and figures[name] < 100 else f"{figures.get(name, 0):,.0f}"
                ratio = ratios.get(subject, {}).get(name)
                cells.append(f"{value} (x{ratio:.2f})" if ratio else value)
            lines.append("".join([subject.ljust(22), *(f"{cell:>22}" for cell in cells)]))
        lines += [f"{subject.ljust(22)}  not measured: {reason}" for subject, reason in self.absent.items()]
        return "\n".join([*lines, "(xN: our figure against theirs, above 1 we are better)"])


def measure(title: str, better: Mapping[str, str], subjects: Sequence[Subject], rounds: int) -> Table:
    """Run the rounds in turn; progress goes to standard error."""
    table = Table(title, better)
    for number in range(rounds):
        for subject in subjects:
            if subject.name in table.absent:
                continue
            print(f"{title}: round {number + 1} of {rounds}, {subject.name}", file=sys.stderr, flush=True)
            try:
                figures = subject.run()
            except NotHere as reason:
                table.absent[subject.name] = str(reason)
                continue
            row = table.rows.setdefault(subject.name, {})
            for name, value in figures.items():
                row.setdefault(name, []).append(value)
    return table


class Server:
    """
    A server process whose CPU and memory are looked at.

    :param command: prints one line when it serves, which is in ``said``.
    """

    def __init__(self, command: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.said = self.process.stdout.readline().strip() if self.process.stdout else ""
        if not self.said:
            raise NotHere(f"{command[0]} did not start: exit {self.process.wait()}")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def cpu(self) -> float:
        """Seconds of CPU the process tree has used."""
        return sum(cpu_of(pid) for pid in tree(self.process.pid))

    def resident(self) -> float:
        """MiB of memory, shared pages divided among those who share them."""
        return sum(memory_of(pid) for pid in tree(self.process.pid)) / 1024


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        children = Path(f"/proc/{parent}/task/{parent}/children")
        if children.exists():
            found += [int(child) for child in children.read_text().split()]
    return found


def cpu_of(pid: int) -> float:
    """Seconds of CPU of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(int(fields[number]) for number in (11, 12, 13, 14)) / TICKS


def memory_of(pid: int) -> int:
    """KiB of proportional set size."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, PermissionError):
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def report(tables: Sequence[Table], as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        print(json.dumps([table.as_json() for table in tables]))
    else:
        print("\n\n".join(table.as_text() for table in tables))
