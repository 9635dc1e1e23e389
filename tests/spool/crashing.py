"""
A spool and a mail store that are killed again and again; run by :mod:`tests.spool.test_crash` as a program.

``python -m tests.spool.crashing FOLDER ROUNDS SEED`` forks a child for each round that accepts mail as fast as it can and
writes a line for every message the spool has answered.  After a random number of lines the child is killed with SIGKILL.  A last
child delivers what is left, and what is in the mailboxes then is printed as JSON beside what was acknowledged.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.accounts.interface import Account, Recipient
from launcelot.core.ids import AccountId, new_id
from launcelot.hosting.gather import gather
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.message.address import Address
from launcelot.spool.delivery import MailboxDelivery
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from launcelot.spool.sqlite import MIGRATIONS, SqliteSpool
from launcelot.workers.database import Database
from launcelot.workers.staging import Staging
from launcelot.workers.threads import ThreadWorkers

ACCOUNTS = [Account(AccountId(name), name, Address(name, "test")) for name in ("ann", "bob")]
SENDERS = 6
"""Messages on their way at once."""


def recipients_of(name: str) -> list[Account]:
    """Whose a message is: two of three are for one, and delivered directly; the third is for both, and is queued."""
    turn = int(name.rpartition("-")[2]) % 3
    return ACCOUNTS if turn == 2 else [ACCOUNTS[turn]]


def size_of(name: str) -> int:
    """Octets of its text: one of five goes into files on its way and in its mailbox."""
    return 300_000 if int(name.rpartition("-")[2]) % 5 == 0 else 500


class Everybody:
    """A directory of two."""

    async def resolve(self, address: Address) -> Sequence[Recipient]:
        """Who has the address."""
        return [Recipient(account, address) for account in ACCOUNTS if account.address == address]


@dataclass
class House:
    """Stores and threads of one process."""

    spool: SqliteSpool
    mail: SqliteMailStore
    staging: Staging
    workers: list[ThreadWorkers]


def build(reactor: Any, folder: Path) -> House:
    """Open everything in a folder."""
    workers = [ThreadWorkers(reactor, name, 1) for name in ("spool", "mail", "readers", "disk")]
    # Large bodies go by way of files, as they do where there are many.
    staging = Staging(folder, workers[3], spare=0)
    mail = SqliteMailStore(folder / "mail", workers[1:2], workers[2], lambda: datetime.now(UTC), fresh_id, disk=workers[3])
    deliver = MailboxDelivery(mail, Everybody(), staging)
    database = Database(folder / "spool.sqlite", MIGRATIONS, workers[0], workers[2])
    spool = SqliteSpool(database, staging, deliver, reactor, time.time, forget=deliver.forget, direct=True)
    return House(spool, mail, staging, workers)


def fresh_id() -> str:
    """Of the real clock."""
    return new_id(time.time(), Random().getrandbits)


async def accept_for_ever(house: House, number: int, acknowledge: int) -> None:
    """One sender of one round; it never ends by itself."""
    await house.spool.start()
    await gather([Deferred.fromCoroutine(send(house, f"{number}-{sender}", acknowledge)) for sender in range(SENDERS)])


async def send(house: House, name: str, acknowledge: int) -> None:
    """Have messages accepted one after another, each acknowledged with a line."""
    count = 0
    while True:
        count += 1
        recipients = tuple(SpoolRecipient(one.id, one.address) for one in recipients_of(f"{name}-{count}"))
        body = house.staging.begin()
        text = f"Subject: {name}-{count}\r\n\r\n".encode()
        await body.write(text + b"x" * size_of(f"{name}-{count}") + b"\r\n")
        await house.spool.accept(Envelope(SpoolId(fresh_id()), None, recipients), body)
        os.write(acknowledge, f"{name}-{count}\n".encode())


async def deliver_rest(house: House, reactor: Any, out: int) -> None:
    """Deliver what is left, then tell what every mailbox holds."""
    await house.spool.start()
    await tell(house, reactor, out)


async def tell(house: House, reactor: Any, out: int) -> None:
    """When all is delivered, what every mailbox holds."""
    while await house.spool.waiting():
        turn: Deferred[None] = Deferred()
        reactor.callLater(0.01, turn.callback, None)
        await turn
    await house.spool.close()
    found = {}
    for account in ACCOUNTS:
        mailbox = await (await house.mail.mail(account.id)).mailbox("INBOX")
        states = await mailbox.states()
        found[account.name] = [subject_and_size(await mailbox.read(state.uid, 0, 1 << 20)) for state in states]
    os.write(out, json.dumps(found).encode() + b"\n")
    await house.mail.close()


def subject_and_size(message: bytes) -> tuple[str, bool]:
    """The name of a message and whether it is whole."""
    head, _, body = message.partition(b"\r\n\r\n")
    subject = head.partition(b"Subject: ")[2].decode()
    return subject, len(body) == size_of(subject) + 2


def child(folder: Path, work: Callable[[House, Any], Coroutine[Any, Any, None]]) -> None:
    """Run something in a fresh process, to its end."""
    from twisted.internet import reactor

    running: Any = reactor
    house = build(running, folder)

    def end(result: Any) -> None:
        if result is not None:
            os.write(2, str(result).encode())
        for one in house.workers:
            one.close()
        running.stop()

    running.callWhenRunning(lambda: Deferred.fromCoroutine(work(house, running)).addBoth(end))
    running.run()


def forked(folder: Path, work: Callable[[House, Any, int], Coroutine[Any, Any, None]]) -> tuple[int, int]:
    """Start a child; its process id and what it writes."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            child(folder, lambda house, reactor: work(house, reactor, write))
        finally:
            os._exit(0)
    os.close(write)
    return pid, read


def one_round(folder: Path, number: int, random: Random) -> list[str]:
    """Accept, kill, and give what was acknowledged before the kill."""
    pid, read = forked(folder, lambda house, _, out: accept_for_ever(house, number, out))
    wanted = random.randrange(60)
    lines = b""
    while lines.count(b"\n") < wanted:
        data = os.read(read, 65_536)
        if not data:
            break
        lines += data
    time.sleep(random.random() * (0.005 if wanted else 0.1))
    os.kill(pid, signal.SIGKILL)
    while data := os.read(read, 65_536):
        lines += data
    os.close(read)
    os.waitpid(pid, 0)
    return lines.decode().splitlines()


def main(folder: Path, rounds: int, seed: int) -> None:
    """All rounds, then the audit."""
    random = Random(seed)
    acknowledged = [name for number in range(rounds) for name in one_round(folder, number, random)]
    pid, read = forked(folder, deliver_rest)
    with os.fdopen(read) as answers:
        found = json.loads(answers.read() or "null")
    os.waitpid(pid, 0)
    os.write(1, json.dumps({"acknowledged": acknowledged, "found": found}).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
