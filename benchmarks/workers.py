"""
Two workers against one process: the same questions, on the same machine, in turn.

Questions that cost nothing are bounded by whoever asks: one Python process, which takes a core of its own.  So beside them
there are questions in pipelines of sixteen, which cost the asker little, and questions whose answers take :data:`BURNT` of CPU,
as a guest's may; with those the asker is idle, and what is measured is the workers.

``CPU of the busiest`` is the part of the serving processes' CPU that one of them used: with two workers, a half is even.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.frame import Figures, NotHere, Server, Subject, Table, cpu_of, measure, tree
from benchmarks.questions import ANSWER, CHECKOUT, PIPELINED, ask
from launcelot.app.asking import ask as ask_admin

BURNT = 0.000_2
"""Seconds that a costly answer takes."""

CONNECTIONS = 20
BETTER = {"questions/s": "more", "us CPU/question": "less", "CPU of the busiest": "less"}

Asking = Callable[[int, Server], Figures]

COSTLY = "book_tables = false\nanswerer = 'benchmarks.workers:answer'"


def answer(question: bytes) -> bytes:
    """A guest's answer that takes a while."""
    until = time.thread_time() + BURNT
    while time.thread_time() < until:
        pass
    return ANSWER


def serve(workers: int, settings: str, asking: Asking) -> Figures:
    """A daemon with the questions service alone."""
    with tempfile.TemporaryDirectory(prefix="launcelot-bench-") as folder:
        others = "".join(f"[{name}]\nenabled = false\n" for name in ("smtp", "imap", "pop3", "ftp", "book"))
        config = Path(folder, "it.toml")
        config.write_text(
            f"config_version = 1\n[daemon]\nworkers = {workers}\nstop_limit = 2\n[accounts]\nmake_first = false\n{others}"
            f"[questions]\nlisten = ['tcp:0:interface=127.0.0.1']\nmax_connections_per_source = 1000\n{settings}\n"
        )
        # One whose log goes nowhere would not tell anybody that it serves.
        command = f"exec {sys.executable} -m launcelot.app.command run --config {config} --data {folder}/data 2>{folder}/log"
        with Server(["sh", "-c", command], CHECKOUT) as server:
            status = ask_admin(Path(folder, "data", "admin.sock"), {"ask": "status"})
            serving = [one["pid"] for one in status.get("workers", ())] or [status["pid"]]
            [port] = [one["port"] for one in status["listeners"]]
            before = [cpu_of(pid) for pid in serving]
            figures = asking(port, server)
            used = [cpu_of(pid) - cpu for pid, cpu in zip(serving, before, strict=True)]
            if set(serving) - set(tree(server.process.pid)):
                raise NotHere("a worker was replaced while it was measured")
            return {**figures, "CPU of the busiest": max(used) / sum(used)}


def subjects(settings: str, asking: Asking) -> Sequence[Subject]:
    """Two workers, which the table calls ours, and one process."""
    return [
        Subject("launcelot", lambda: serve(2, settings, asking)),
        Subject("one process", lambda: serve(1, settings, asking)),
    ]


def tables(rounds: int, seconds: float) -> list[Table]:
    """One table for each kind of question."""
    kinds: list[tuple[str, str, int]] = [
        ("questions", "", 1),
        (f"questions, {PIPELINED} in each write", "", PIPELINED),
        (f"questions of {BURNT * 1e6:.0f} us", COSTLY, 1),
    ]
    return [
        measure(
            f"--workers 2: {title}, {CONNECTIONS} connections",
            BETTER,
            subjects(settings, lambda port, server, many=many: ask(port, server, CONNECTIONS, seconds, many)),  # type: ignore[misc]
            rounds,
        )
        for title, settings, many in kinds
    ]
