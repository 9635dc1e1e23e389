"""
Jobs that share a transaction of a :class:`~launcelot.workers.database.Database`, each undone by itself if it fails.

Jobs of one kind that follow one another may be *done together*: whoever makes them hands in one function for all, which is
given what each is about.  Statements for many cost less than statements for each, and a writer's thread has to ask for the
interpreter again behind every one of them.  Should that fail as a whole, each is done by itself, so nobody's failing is
another's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

JOB_ERRORS = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_RANGE,
    }
)
"""What a job can do wrong by itself; every other error is the disk's or the file's and fails the whole batch."""

Work = Callable[[sqlite3.Connection], Any]

Together = Callable[[Sequence[Any]], Callable[[sqlite3.Connection], Sequence[Any]]]
"""
Does many jobs at once: handed what each is about, it makes the work that answers each, in their order.

Making it needs no transaction, and nobody else waits meanwhile.  An answer that is a Failure refuses that job alone; the
work has undone what it had done for it.
"""

Outcome = tuple["Deferred[Any]", Any]
"""Who waits, and the result or the Failure that is handed back."""


class Job(NamedTuple):
    """
    Something to be done in a transaction.

    :ivar about: the work itself, or what is handed to ``together``.
    """

    waits: Deferred[Any]
    about: Any
    together: Together | None = None


class Lot(NamedTuple):
    """Jobs that are done together, one at least, and the work that answers each."""

    jobs: Sequence[Job]
    work: Work


def lots_of(batch: Sequence[Job]) -> list[Lot]:
    """Jobs in their order, those that can be done together together; what needs no transaction is done."""
    return [Lot(jobs, _work_of(jobs)) for jobs in _neighbours(batch)]


def perform(connection: sqlite3.Connection, lots: Sequence[Lot]) -> list[Outcome]:
    """
    Do all in one transaction, which is on disk then.

    :raises sqlite3.Error: nothing was stored.
    """
    if len(lots) == 1:
        outcomes = _alone(connection, lots[0])
        if outcomes is not None:
            return outcomes
        lots = _apart(lots[0])
    connection.execute("BEGIN IMMEDIATE")
    found = [outcome for lot in lots for outcome in _beside_others(connection, lot)]
    connection.execute("COMMIT")
    return found


def _neighbours(batch: Sequence[Job]) -> Iterator[Sequence[Job]]:
    for together, jobs in groupby(batch, lambda job: job.together):
        if together is None:
            for job in jobs:
                yield (job,)
        else:
            yield list(jobs)


def _work_of(jobs: Sequence[Job]) -> Work:
    together = jobs[0].together
    if together is None:
        return lambda connection: (jobs[0].about(connection),)
    try:
        return together([job.about for job in jobs])
    except Exception:  # noqa: BLE001 - handed to whoever waits, with its traceback
        failure = Failure()
        return lambda connection: failure.raiseException()


def _apart(lot: Lot) -> list[Lot]:
    return [Lot((job,), _work_of((job,))) for job in lot.jobs]


def _alone(connection: sqlite3.Connection, lot: Lot) -> list[Outcome] | None:
    """What comes of jobs that have a transaction to themselves; None if they have to be done one by one."""
    connection.execute("BEGIN IMMEDIATE")
    return _answers(lot, _attempt(connection, lot.work, "COMMIT", "ROLLBACK"))


def _beside_others(connection: sqlite3.Connection, lot: Lot) -> list[Outcome]:
    connection.execute("SAVEPOINT job")
    outcomes = _answers(lot, _attempt(connection, lot.work, "RELEASE job", "ROLLBACK TO job", "RELEASE job"))
    if outcomes is None:
        return [outcome for one in _apart(lot) for outcome in _beside_others(connection, one)]
    return outcomes


def _answers(lot: Lot, answers: Sequence[Any] | Failure) -> list[Outcome] | None:
    if not isinstance(answers, Failure):
        return [(job.waits, answer) for job, answer in zip(lot.jobs, answers, strict=True)]
    return [(lot.jobs[0].waits, answers)] if len(lot.jobs) == 1 else None


def _attempt(connection: sqlite3.Connection, work: Work, keep: str, *undo: str) -> Any:
    """What the work gives, or the Failure of the refusal or bug it raised, undone; errors of the disk go on."""
    try:
        result = work(connection)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF not in JOB_ERRORS:
            raise
        failure = Failure()
    except Exception:  # noqa: BLE001 - handed to whoever waits, with its traceback
        failure = Failure()
    else:
        connection.execute(keep)
        return result
    for statement in undo:
        connection.execute(statement)
    return failure
