"""
The mail store without a protocol: durable deliveries, listings and searches, beside the standard library's Maildir with fsync.

That Maildir only gives the scale of one file for each message; servers to compare with are measured through their protocols.

Each round is a process of its own (``python -m benchmarks.mailbox SUBJECT DELIVERIES``) that prints its figures as JSON.
"""

from __future__ import annotations

import json
import mailbox
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.frame import Figures, Subject, Table, measure

CHECKOUT = Path(__file__).resolve().parents[1]
BETTER = {
    "delivered/s by 1": "more",
    "delivered/s by 50": "more",
    "ms to list all": "less",
    "ms for all messages": "less",
    "us for status": "less",
    "ms for subject": "less",
}
BODY = b"".join(b"%070d\r\n" % number for number in range(25))


def message(number: int) -> bytes:
    """About 2 KiB."""
    return (
        f"From: Ann <ann@a.example>\r\nTo: Bob <bob@b.example>\r\nSubject: message number {number}\r\n"
        f"Date: Sun, 1 Mar 2026 12:00:00 +0000\r\nMessage-ID: <{number}@a.example>\r\n\r\n"
    ).encode() + BODY


async def store_round(folder: Path, deliveries: int) -> Figures:
    """Deliver, then look at the mailbox."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from launcelot.core.ids import AccountId, new_id
    from launcelot.mailstore.query import Contains, Field
    from launcelot.mailstore.sqlite import SqliteMailStore
    from launcelot.workers.threads import ThreadWorkers

    writer, readers = ThreadWorkers(reactor, "write", 1), ThreadWorkers(reactor, "read", 2)  # type: ignore[arg-type]
    store = SqliteMailStore(
        folder, [writer], readers, lambda: datetime.now(UTC), lambda: new_id(time.time(), secrets.randbits)
    )
    mail = await store.mail(AccountId("bob"))
    left = iter(range(deliveries + deliveries // 10))

    async def deliver(count: int) -> None:
        for _ in range(count):
            number = next(left)
            await mail.deliver(message(number), f"key{number}")

    async def at_once(callers: int, count: int) -> float:
        began = time.perf_counter()
        for caller in [Deferred.fromCoroutine(deliver(count // callers)) for _ in range(callers)]:
            await caller
        return count / (time.perf_counter() - began)

    async def seconds(job: Callable[[], Awaitable[object]]) -> float:
        began = time.perf_counter()
        await job()
        return time.perf_counter() - began

    async def all_messages() -> None:
        async for _ in inbox.messages(uids):
            pass

    async def thousand_statuses() -> None:
        for _ in range(1000):
            await inbox.status()

    one, fifty = await at_once(1, deliveries // 10), await at_once(50, deliveries)
    inbox = await mail.mailbox("INBOX")
    uids = [state.uid for state in await inbox.states()]
    figures = {
        "delivered/s by 1": one,
        "delivered/s by 50": fifty,
        "ms to list all": await seconds(inbox.states) * 1e3,
        "ms for all messages": await seconds(all_messages) * 1e3,
        "us for status": await seconds(thousand_statuses) * 1e3,
        "ms for subject": await seconds(lambda: inbox.search(Contains(Field.SUBJECT, "number 77"))) * 1e3,
    }
    await store.close()
    await writer.close()
    await readers.close()
    return figures


def maildir_round(folder: Path, deliveries: int) -> Figures:
    """The same with files: each synced, and its folder too, before it counts."""
    box = mailbox.Maildir(folder / "box")

    def deliver(number: int) -> None:
        key = box.add(message(number))
        for path in (folder / "box" / "new" / key, folder / "box" / "new"):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def seconds(job: Callable[[], object]) -> float:
        began = time.perf_counter()
        job()
        return time.perf_counter() - began

    first = deliveries // 10

    def deliver_first() -> None:
        for number in range(first):
            deliver(number)

    one = first / seconds(deliver_first)
    for number in range(first, deliveries + first):
        box.add(message(number))
    return {
        "delivered/s by 1": one,
        "ms to list all": seconds(lambda: [found.get_flags() for found in map(box.get_message, box.keys())]) * 1e3,
        "us for status": seconds(lambda: len(os.listdir(folder / "box" / "new"))) * 1e6,
        "ms for subject": seconds(lambda: [key for key, found in box.items() if "number 77" in found["Subject"]]) * 1e3,
    }


def run(subject: str, deliveries: int) -> Callable[[], Figures]:
    """One round in a child."""

    def round_of() -> Figures:
        command = [sys.executable, "-m", "benchmarks.mailbox", subject, str(deliveries)]
        done = subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE)
        figures: Figures = json.loads(done.stdout)
        return figures

    return round_of


def tables(rounds: int, seconds: float) -> list[Table]:
    """One table; a second stands for some thousand deliveries."""
    deliveries = max(1_000, int(seconds * 3_000) // 500 * 500)
    subjects = [
        Subject("launcelot", run("launcelot", deliveries)),
        Subject("Maildir with fsync", run("maildir", deliveries)),
    ]
    return [measure(f"mail store, {deliveries * 11 // 10:,} messages of 2 KiB", BETTER, subjects, rounds)]


def main() -> None:
    """One round, in a child."""
    subject, deliveries = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(dir=os.environ.get("LAUNCELOT_BENCHMARK_FOLDER")) as folder:
        if subject == "maildir":
            print(json.dumps(maildir_round(Path(folder), deliveries)))
            return
        from twisted.internet import reactor
        from twisted.internet.defer import Deferred

        done = Deferred.fromCoroutine(store_round(Path(folder), deliveries))
        done.addCallbacks(lambda figures: print(json.dumps(figures)), lambda failure: failure.printTraceback())
        done.addBoth(lambda _: reactor.stop())
        reactor.run()


if __name__ == "__main__":
    main()
