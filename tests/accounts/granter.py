"""Grants a right and dies before the statement of a given number: ``python -m tests.accounts.granter FILE VERB NUMBER``."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path

from twisted.internet.defer import Deferred

from launcelot.accounts.passwords import CHEAPEST, Hasher
from launcelot.accounts.sqlite import MIGRATIONS, SqliteDirectory
from launcelot.core.filerights import Right
from launcelot.workers import database
from launcelot.workers.memory import InlineWorkers


def main(path: str, verb: str, number: int) -> None:
    """Do it, and say so at the end."""
    left = number

    def step(statement: str) -> None:
        nonlocal left
        if armed:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def traced(path: Path, read_only: bool = False) -> sqlite3.Connection:
        connection = plain(path, read_only)
        if not read_only:
            connection.set_trace_callback(step)
        return connection

    armed, plain, database.connect = False, database.connect, traced
    file = database.Database(Path(path), MIGRATIONS, InlineWorkers(), InlineWorkers())
    directory = SqliteDirectory(file, ["example.org"], Hasher(InlineWorkers(), CHEAPEST))
    Deferred.fromCoroutine(directory.open())
    armed = True
    Deferred.fromCoroutine((directory.grant if verb == "grant" else directory.revoke)("Plans", "ann", Right.READ | Right.LIST))
    step("")
    os.write(1, b"done")
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
