"""``python -m benchmarks MEASURE``: run a measure beside its peers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import accepting, files, idle, imap, kit, ladder, mailbox, pop3, questions, relaying, weight, workers
from benchmarks.frame import Table, report

MEASURES: dict[str, Callable[..., list[Table]]] = {
    "questions": questions.tables,
    "ladder": ladder.tables,
    "accepting": accepting.tables,
    "relaying": relaying.tables,
    "mailbox": mailbox.tables,
    "idle": idle.tables,
    "imap": imap.tables,
    "pop3": pop3.tables,
    "workers": workers.tables,
    "files": files.tables,
    "kit": kit.tables,
    "weight": weight.tables,
}


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures of speed, peers in the same run.")
    parser.add_argument("measure", choices=[*MEASURES, "all"], help="what to measure")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each subject (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round (default 3)")
    parser.add_argument("--messages", type=int, help="imap, pop3: messages in the mailbox (default 10000, 2000)")
    parser.add_argument("--only", default="", help="imap, pop3, accepting, files: only what has this in its title, such as FETCH")
    parser.add_argument("--workers", type=int, default=1, help="accepting: a row for a daemon of so many processes, too")
    parser.add_argument("--picture", type=Path, help="ladder: draw it into this file, as SVG")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.picture and options.measure != "ladder":
        parser.error("--picture is of the ladder")
    chosen = list(MEASURES) if options.measure == "all" else [options.measure]
    two = (options.messages or 10_000, options.only)
    more = {
        "imap": two,
        "files": two,
        "pop3": (options.messages or 2_000, options.only),
        "accepting": (options.only, options.workers),
    }
    tables = [table for name in chosen for table in MEASURES[name](options.rounds, options.seconds, *more.get(name, ()))]
    if options.picture:
        ladder.draw(tables, options.picture)
    report(tables, options.json)


if __name__ == "__main__":
    main()
