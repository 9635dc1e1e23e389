"""``python -m benchmarks MEASURE``: run a measure beside its peers."""

from __future__ import annotations

import argparse

from benchmarks import accepting, idle, mailbox, questions
from benchmarks.frame import report

MEASURES = {
    "questions": questions.tables,
    "accepting": accepting.tables,
    "mailbox": mailbox.tables,
    "idle": idle.tables,
}


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures of speed, peers in the same run.")
    parser.add_argument("measure", choices=[*MEASURES, "all"], help="what to measure")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each subject (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round (default 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    chosen = list(MEASURES) if options.measure == "all" else [options.measure]
    report([table for name in chosen for table in MEASURES[name](options.rounds, options.seconds)], options.json)


if __name__ == "__main__":
    main()
