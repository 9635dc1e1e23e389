"""
A program that the crash test kills: delivers messages and writes each key as a line once it has been acknowledged.

``python delivering.py FOLDER ROUND``: keys are ``ROUND-NUMBER``, several deliveries are always under way.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from launcelot.core.ids import AccountId, new_id
from launcelot.mailstore.interface import AccountMail
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.threads import ThreadWorkers

AT_ONCE = 20


async def deliver_for_ever(mail: AccountMail, prefix: str) -> None:
    """Deliver one after the other, large ones among them."""
    number = 0
    while True:
        key = f"{prefix}-{number}"
        body = f"Subject: {key}\r\n\r\n".encode() + b"x" * (300_000 if number % 20 == 19 else 2_000)
        await mail.deliver(body, key)
        os.write(1, f"{key}\n".encode())
        number += 1


async def run(folder: Path, prefix: str) -> None:
    """Open the store and begin."""
    writer, readers = ThreadWorkers(reactor, "write", 1), ThreadWorkers(reactor, "read", 1)  # type: ignore[arg-type]
    store = SqliteMailStore(
        folder, [writer], readers, lambda: datetime.now(UTC), lambda: new_id(time.time(), secrets.randbits)
    )
    mail = await store.mail(AccountId("ann"))
    for number in range(AT_ONCE):
        Deferred.fromCoroutine(deliver_for_ever(mail, f"{prefix}-{number}"))


if __name__ == "__main__":
    Deferred.fromCoroutine(run(Path(sys.argv[1]), sys.argv[2]))
    reactor.run()
