"""
A spool with many mails that wait, started; run by :mod:`tests.spool.test_crowded` as a program.

``python -m tests.spool.crowded FOLDER COUNT`` fills a file, then starts a spool on it in a fresh process whose next hops are
slow, and prints as JSON how much memory the process has then, and when all that is for mailboxes here is there and many
destinations had their turns.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.core.ids import AccountId
from launcelot.spool.interface import Envelope, Fate, Last, SpoolRecipient, Verdict
from launcelot.spool.sqlite import MIGRATIONS, SqliteSpool
from launcelot.workers.database import Database, connect, migrate
from launcelot.workers.staging import Buffer, Staging
from launcelot.workers.threads import ThreadWorkers

TURNS = 100
"""Destinations that are to be asked."""


def fill(path: Path, count: int) -> None:
    """Mails to a thousand domains; half of them are due, one in a hundred is for a mailbox here."""
    path.touch()
    connection = connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    migrate(connection, MIGRATIONS)
    now = time.time()
    connection.execute("BEGIN")
    for number in range(1, count + 1):
        connection.execute(
            "INSERT INTO messages VALUES (?, ?, ?, 'ann', ?, 200, '')",
            (number, f"id{number:018}", f"sender{number}@here.example", now - 1000),
        )
        connection.execute("INSERT INTO chunks VALUES (?, ?)", (number * 65_536, b"x" * 200))
        connection.execute(
            "INSERT INTO recipients (key, account, address, next_attempt, attempts, last_error) VALUES (?, ?, ?, ?, 3, ?)",
            (
                number * 65_536,
                "" if number % 100 else "a1",
                f"r{number}@d{number % 1000}.example",
                now + number % 3600 if number % 2 else 0.0,
                "mx.far.example[192.0.2.1] said: 451 4.3.0 try again later, please",
            ),
        )
    connection.execute("COMMIT")
    connection.close()


class SlowHops:
    """Each transaction takes half a second and comes to nothing."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.domains: set[str] = set()

    def destination(self, envelope: Envelope, recipient: SpoolRecipient) -> str:
        """By domain."""
        return recipient.address.domain

    def limit(self, destination: str) -> int:
        """As usual."""
        return 5

    async def carry(
        self, destination: str, envelope: Envelope, recipients: Sequence[SpoolRecipient], body: Buffer, last: Last
    ) -> Sequence[Verdict]:
        """Slowly."""
        await last()
        self.domains.add(destination)
        await pause(self._reactor, 0.5)
        return [Verdict(Fate.LATER, "4.4.1", "down")] * len(recipients)

    async def close(self) -> None:
        """Nothing is kept."""


async def pause(reactor: Any, seconds: float) -> None:
    """Wait."""
    waiting: Deferred[None] = Deferred()
    reactor.callLater(seconds, waiting.callback, None)
    await waiting


def memory() -> int:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


async def measure(reactor: Any, path: Path, workers: Sequence[ThreadWorkers]) -> None:
    """Start, look, work until what is for mailboxes here is there and others have had turns, look again, stop."""
    delivered: list[AccountId] = []

    async def deliver(envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str) -> None:
        delivered.append(recipient.account)

    hops = SlowHops(reactor)
    count, here = connect(path).execute("SELECT count(*), sum(account <> '') FROM recipients").fetchone()
    database = Database(path, MIGRATIONS, workers[0], workers[1])
    staging = Staging(path.parent, workers[2])
    spool = SqliteSpool(database, staging, deliver, reactor, time.time, carrier=hops)
    await spool.start()
    held = memory()
    # What has been delivered is forgotten a little later.
    while len(delivered) < here or len(hops.domains) < TURNS or await spool.count() > count - here:
        await pause(reactor, 0.1)
    said = {
        "memory": held,
        "later": memory(),
        "waiting": await spool.count(),
        "delivered": len(delivered),
        "domains": len(hops.domains),
    }
    await spool.close()
    os.write(1, json.dumps(said).encode())


def run(path: Path) -> None:
    """All of it."""
    from twisted.internet import reactor

    running: Any = reactor
    workers = [ThreadWorkers(running, name, 1) for name in ("writer", "readers", "disk")]

    def end(result: Any) -> None:
        if result is not None:
            os.write(2, str(result).encode())
        for one in workers:
            one.close()
        running.stop()

    running.callWhenRunning(lambda: Deferred.fromCoroutine(measure(running, path, workers)).addBoth(end))
    running.run()


if __name__ == "__main__":
    file = Path(sys.argv[1]) / "spool.sqlite"
    if len(sys.argv) > 2:
        fill(file, int(sys.argv[2]))
        os.execv(sys.executable, [sys.executable, "-m", "tests.spool.crowded", sys.argv[1]])
    run(file)
