"""
A program that the crash test kills: adds, flags and removes messages, many at a time, and writes each step's number as a line
once it has been acknowledged.

``python flagging.py FOLDER FIRST``: steps follow from their numbers, so that another store can do the same.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from launcelot.core.ids import AccountId, new_id
from launcelot.mailstore.interface import Draft, Mailbox, StoreMode
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.threads import ThreadWorkers

FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$one", "$two")


async def step(mailbox: Mailbox, number: int) -> None:
    """Do one thing to many messages."""
    random = Random(number)
    there = list(await mailbox.uids())
    if number % 4 == 0 or not there:
        body = b"Subject: x\r\n\r\n"
        await mailbox.append_all([Draft(lambda: body, len(body), random.sample(FLAGS, 1)) for _ in range(90)])
    elif number % 4 == 3 and len(there) > 600:
        await mailbox.remove(random.sample(there, 60))
    else:
        some = there if random.random() < 0.5 else sorted(random.sample(there, len(there) // 3))
        await mailbox.store(some, random.choice(list(StoreMode)), random.sample(FLAGS, 2))


async def run(folder: Path, first: int) -> None:
    """Open the store and go on for ever."""
    writer, readers = ThreadWorkers(reactor, "write", 1), ThreadWorkers(reactor, "read", 1)  # type: ignore[arg-type]
    store = SqliteMailStore(
        folder, [writer], readers, lambda: datetime.now(UTC), lambda: new_id(time.time(), secrets.randbits)
    )
    mailbox = await (await store.mail(AccountId("ann"))).mailbox("INBOX")
    number = first
    while True:
        await step(mailbox, number)
        os.write(1, b"%d\n" % number)
        number += 1


if __name__ == "__main__":
    running = Deferred.fromCoroutine(run(Path(sys.argv[1]), int(sys.argv[2])))
    # A step that fails ends the program, which its parent sees.
    running.addErrback(lambda failure: failure.printTraceback()).addBoth(lambda _: reactor.stop())
    reactor.run()
