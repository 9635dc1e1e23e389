"""
The book's ladder: dialogs of ten questions, by 1, 2, 3 ... 20 clients at once.

*Foundations of Python Network Programming*, chapter 7, measures its servers so.  A client connects, asks ten questions one by
one, closes, and comes again.  The server is bound to one core, the generator to the others where there are any.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.drawing import Chart, Line, picture
from benchmarks.frame import Figures, Server, Table, measure
from benchmarks.questions import BETTER_DIALOGS, subjects, talk

RUNGS = (1, 2, 3, 5, 7, 10, 13, 16, 20)
"""Clients at once."""

RATE, CPU = BETTER_DIALOGS


def tables(rounds: int, seconds: float) -> list[Table]:
    """One table for each rung; a round is the whole ladder on one server, ``seconds`` on each rung."""
    better = {name(figure, clients): kind for clients in RUNGS for figure, kind in BETTER_DIALOGS.items()}
    whole = measure("the ladder", better, subjects(lambda port, server: climb(port, server, seconds)), rounds)
    return [rung(whole, clients) for clients in RUNGS]


def name(figure: str, clients: int) -> str:
    """A figure of one rung."""
    return f"{figure} {clients}"


def climb(port: int, server: Server, seconds: float) -> Figures:
    """One round."""
    found: dict[str, float] = {}
    with bound(server):
        talk(port, server, 1, 0.1)
        for clients in RUNGS:
            for figure, value in talk(port, server, clients, seconds).items():
                found[name(figure, clients)] = value
    return found


@contextmanager
def bound(server: Server) -> Iterator[None]:
    """Have the server on one core and this process on the others."""
    ours = os.sched_getaffinity(0)
    core = {max(ours)}
    for thread in os.listdir(f"/proc/{server.process.pid}/task"):
        os.sched_setaffinity(int(thread), core)
    os.sched_setaffinity(0, ours - core or ours)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


def rung(whole: Table, clients: int) -> Table:
    """The figures of one rung."""
    table = Table(f"dialogs of ten questions, {clients} {'client' if clients == 1 else 'clients'}", BETTER_DIALOGS)
    table.absent = whole.absent
    for subject, figures in whole.rows.items():
        table.rows[subject] = {figure: figures[name(figure, clients)] for figure in BETTER_DIALOGS}
    return table


def draw(found: Sequence[Table], path: Path) -> None:
    """Draw what :func:`tables` found: how many dialogs, and what one costs."""
    medians = [table.medians() for table in found]

    def chart(title: str, figure: str) -> Chart:
        lines = [
            Line(subject, [(clients, of[subject][figure]) for clients, of in zip(RUNGS, medians, strict=True)])
            for subject in medians[0]
        ]
        return Chart(title, "clients at once, ten questions each", lines, RUNGS)

    path.write_text(
        picture([chart("dialogs a second", RATE), chart("microseconds of CPU a dialog", CPU)]), encoding="utf-8"
    )
