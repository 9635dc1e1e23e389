"""
The stores of a data folder: accounts, mail, files, spool and the place where bodies are staged.

With a reactor blocking work runs in threads; without one (the ``launcelot`` command on a stopped daemon) it runs where it
stands, and every coroutine of a store ends without ever waiting.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from launcelot.accounts.passwords import Hasher, Parameters
from launcelot.accounts.sqlite import MIGRATIONS as ACCOUNT_MIGRATIONS
from launcelot.accounts.sqlite import SURE, SqliteDirectory
from launcelot.app.checking import checks_of
from launcelot.app.configuration import Configuration
from launcelot.app.naming import hostname_of
from launcelot.app.part import WHOLE, Part, nobody
from launcelot.app.relaying import EverywhereOutbound, build_relay, forwarding_of, notices_of, schedule_of
from launcelot.checks.keys import KeyFolder
from launcelot.checks.running import Checks
from launcelot.checks.signing import Signer
from launcelot.core.counters import Counters
from launcelot.core.ids import AccountId, RandomBits, new_id
from launcelot.delivery.filtering import FilteredDelivery
from launcelot.filestore.disk import DiskFileStore
from launcelot.filestore.interface import FileStore
from launcelot.filestore.ledger import Ledger
from launcelot.hosting.descriptors import limit
from launcelot.hosting.gather import gather
from launcelot.hosting.quotas import share_quota
from launcelot.mailstore.furnishing import furnishing
from launcelot.mailstore.sqlite import OPEN_FILES, SqliteMailStore
from launcelot.spool.delivery import MailboxDelivery
from launcelot.spool.depositing import Depositor
from launcelot.spool.forwarding import Forwarding
from launcelot.spool.interface import Carrier
from launcelot.spool.outgoing import MOST as TRANSACTIONS
from launcelot.spool.sqlite import MIGRATIONS as SPOOL_MIGRATIONS
from launcelot.spool.sqlite import SqliteSpool
from launcelot.workers.database import Database
from launcelot.workers.databases import Databases
from launcelot.workers.interface import Workers
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Staging
from launcelot.workers.threads import ThreadWorkers
from launcelot.workers.trail import NOWHERE, FileTrail, Trail

T = TypeVar("T")

MakeWorkers = Callable[[str, int, int], Workers]
"""Workers for a purpose: name, threads, jobs that may wait."""

WAITING = 10_000
"""Jobs that may wait for each kind of worker."""

MAIL_WRITERS = 2
"""Threads that write mail; each account belongs to one of them."""

LEAST_TRAIL = 1 << 19
"""Octets of the trail of mail that every worker has, however little is set."""

PER_ACCOUNT = 7
"""Descriptors of an account's open mail file: the readers' and the writer's, each with its log and index; and POP3's lock."""


@dataclass
class Stores:
    """
    What a data folder holds, with the threads that serve it.

    :ivar spool: takes mail in.
    :ivar deposits: delivers past the spool, while the peer waits.
    :ivar left: gives the spools of workers that there were and are no more; what is in them is delivered from here.
    :ivar relay: takes mail to other hosts; None where none goes there.
    :ivar checks: look at mail from strangers; None where nothing is looked at.
    :ivar signer: signs mail of accounts; None where nothing is signed.
    :ivar forwarding: rewrites senders of mail that is passed on; None where none are.
    :ivar file_trail: what happens to mail is noted there; None where that is switched off.
    :ivar databases: files of services that keep data of their own.
    :ivar readers: where long reads and computations run.
    :ivar workers: closed last.
    """

    accounts: SqliteDirectory
    mail: SqliteMailStore
    files: FileStore
    spool: SqliteSpool
    staging: Staging
    databases: Databases
    counters: Counters
    readers: Workers
    workers: tuple[Workers, ...]
    deposits: Depositor
    left: Callable[[], Sequence[SqliteSpool]] = tuple
    relay: Carrier | None = None
    checks: Checks | None = None
    signer: Signer | None = None
    forwarding: Forwarding | None = None
    file_trail: FileTrail | None = None

    def __post_init__(self) -> None:
        self._spools: list[SqliteSpool] = [self.spool]

    async def open(self) -> None:
        """
        Open what needs opening, and take up mail that an earlier run left.

        :raises Refusal: a file cannot be opened, or was written by a newer program.
        """
        if self.file_trail is not None:
            self.file_trail.open()
        await self.accounts.open()
        await self.databases.open()
        self._spools += self.left()
        for spool in self._spools:
            await spool.start()

    @property
    def spools(self) -> Sequence[SqliteSpool]:
        """All that is delivered from here."""
        return self._spools

    async def waiting(self) -> int:
        """Recipients that still wait for their mail."""
        return sum([await spool.count() for spool in self._spools])

    async def close(self) -> None:
        """Finish what is being written and let go of files and threads."""
        await self.deposits.close()
        if self.checks is not None:
            self.checks.close()
        # Spools first, so that nothing new begins; then what is being carried ends soon.
        closing = [Deferred.fromCoroutine(spool.close()) for spool in self._spools]
        if self.relay is not None:
            await self.relay.close()
        await gather(closing)
        for store in (self.mail, self.files, self.accounts):
            await store.close()
        await self.databases.close()
        for one in self.workers:
            await one.close()
        if self.file_trail is not None:
            self.file_trail.close()

    @property
    def trail(self) -> Trail:
        """Where it is noted what happens to mail."""
        return NOWHERE if self.file_trail is None else self.file_trail


def fresh_id() -> str:
    """A fresh identifier from the wall clock and the system's random numbers."""
    return new_id(time.time(), secrets.randbits)


def fresh_ids() -> Callable[[], str]:
    """What gives fresh identifiers to one store, many a second."""
    bits = RandomBits()
    return lambda: new_id(time.time(), bits)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def build_accounts(configuration: Configuration, make: MakeWorkers, writer: Workers, readers: Workers) -> SqliteDirectory:
    """The account base alone, to be opened."""
    settings = configuration.accounts
    hasher = Hasher(
        make("passwords", settings.hash_threads, settings.hash_waiting),
        Parameters(settings.hash_passes, settings.hash_memory, iterations=settings.scram_iterations),
    )
    database = Database(configuration.data / "accounts.sqlite", ACCOUNT_MIGRATIONS, writer, readers)
    return SqliteDirectory(database, configuration.daemon.domains, hasher, fresh_id, sure=SURE)


async def open_accounts(configuration: Configuration) -> SqliteDirectory:
    """
    The account base, opened by a program without a reactor.

    :raises Refusal: it cannot be opened.
    """
    directory = build_accounts(configuration, inline, InlineWorkers(), InlineWorkers())
    await directory.open()
    return directory


def build_mail(
    configuration: Configuration,
    writers: Sequence[Workers],
    readers: Workers,
    clock: Any = None,
    wrote: Callable[[AccountId, Sequence[int]], None] = nobody,
    several: bool = False,
    disk: Workers | None = None,
) -> SqliteMailStore:
    """
    The mail store alone.

    :param clock: monotonic, for what waits for quiet moments; without one it is left to others.
    :param wrote: told of every change that is on disk.
    :param several: other processes serve the same folder.
    :param disk: where large bodies are written; the readers if there is nobody else.
    """
    return SqliteMailStore(
        configuration.data / "mail",
        writers,
        readers,
        utc_now,
        fresh_ids(),
        mail_files(limit()),
        furnishing(configuration.accounts.mailboxes),
        clock=clock,
        wrote=wrote,
        several=several,
        disk=disk,
    )


def mail_files(descriptors: int) -> int:
    """How many accounts' mail files are held open: with a quarter of the descriptors, and no more than are of use."""
    return max(4, min(OPEN_FILES, descriptors // 4 // PER_ACCOUNT))


def transactions(descriptors: int) -> int:
    """How many transactions with other hosts run at once: with an eighth of the descriptors at most."""
    return max(4, min(TRANSACTIONS, descriptors // 8))


def descriptor_mark(descriptors: int) -> int:
    """Of that many descriptors, those that connections may take part in; the rest is for mail, files and transfers."""
    return descriptors - PER_ACCOUNT * mail_files(descriptors) - descriptors // 16 - 32


def build_files(configuration: Configuration, disk: Workers, part: Part = WHOLE) -> DiskFileStore:
    """The file store alone."""
    folder, largest = configuration.data / "files", configuration.files.max_file_size
    return DiskFileStore(folder, disk, time.time, fresh_id, largest, ledger=Ledger(part.run) if part.run else None)


async def forget_account(configuration: Configuration, account: AccountId) -> None:
    """
    Remove an account's mail and files, by a program without a reactor that holds the folder.

    :raises Refusal: it cannot be done.
    """
    mail = build_mail(configuration, [InlineWorkers()], InlineWorkers())
    files = build_files(configuration, InlineWorkers())
    await mail.remove(account)
    await files.remove(account)
    await mail.close()
    await files.close()


def spool_name(number: int) -> str:
    """The file of a worker's part of the spool."""
    return f"spool-{number}.sqlite" if number else "spool.sqlite"


def left_spools(folder: Path, workers: int) -> list[str]:
    """Files of parts of the spool that none of so many workers has."""
    found = (re.fullmatch(r"spool-(\d+)\.sqlite", path.name) for path in sorted(folder.glob("spool-*.sqlite")))
    return [one[0] for one in found if one and int(one[1]) >= workers]


def build_stores(configuration: Configuration, make: MakeWorkers, clock: Any, part: Part = WHOLE) -> Stores:
    """
    Everything in a prepared data folder; nothing is opened yet.

    :param clock: monotonic, for timers of the spool and of the mail store.
    :param part: which of several processes on the folder this is.
    """
    counters = Counters()
    writer = make("writer", 1, WAITING)
    readers = make("readers", 4, WAITING)
    disk = make("disk", 4, WAITING)
    mail_writers = [make(f"mail-{number}", 1, WAITING) for number in range(MAIL_WRITERS)]
    staging = Staging(configuration.data / "staging", disk)
    accounts = build_accounts(configuration, make, writer, readers)
    mail = build_mail(configuration, mail_writers, readers, clock, part.wrote, part.of > 1, disk)
    files = build_files(configuration, disk, part)
    share_quota(mail, files)
    databases = Databases(configuration.data / "services", writer, readers)
    forwarding = forwarding_of(configuration, databases)
    outbound = EverywhereOutbound(accounts, staging, configuration.relay, forwarding)
    trail = trail_of(configuration, part)
    told = trail or NOWHERE
    relay = build_relay(clock, configuration, counters, readers, databases, told)
    signer = signer_of(configuration, staging, readers)
    notices = notices_of(configuration, accounts, fresh_id, time.time, signer, forwarding)
    delivery = FilteredDelivery(
        MailboxDelivery(mail, accounts, staging), accounts, mail, staging, readers, outbound,
        lambda: datetime.now().astimezone(), fresh_id, hostname_of(configuration), counters, signer, told,
    )  # fmt: skip

    def spool(name: str) -> SqliteSpool:
        database = Database(configuration.data / name, SPOOL_MIGRATIONS, writer, readers)
        return SqliteSpool(
            database,
            staging,
            delivery,
            clock,
            time.time,
            counters,
            delivery.forget,
            schedule_of(configuration.relay),
            carrier=relay,
            notices=notices,
            direct=True,
            trail=told,
            transactions=transactions(limit()),
        )

    def left() -> Sequence[SqliteSpool]:
        return [] if part.number else [spool(name) for name in left_spools(configuration.data, part.of)]

    workers = (*mail_writers, writer, readers, disk)
    own = outbound.spool = spool(spool_name(part.number))
    deposits = Depositor(delivery, own, counters, delivery.forget)
    checks = checks_of(clock, configuration, databases, counters, readers)
    return Stores(
        accounts, mail, files, own, staging, databases, counters, readers, workers, deposits, left, relay, checks, signer,
        forwarding, trail,
    )


def trail_of(configuration: Configuration, part: Part = WHOLE) -> FileTrail | None:
    """Where a process notes what happens to mail, to be opened; None where that is switched off."""
    if not configuration.trace.size:
        return None
    size = max(configuration.trace.size // part.of, LEAST_TRAIL)
    return FileTrail(configuration.trail_folder, size, configuration.trace.days, time.time, part.number, part.of)


def signer_of(configuration: Configuration, staging: Staging, aside: Workers) -> Signer | None:
    """What signs mail; None where that is switched off."""
    settings = configuration.dkim
    return Signer(KeyFolder(configuration.dkim_folder), staging, aside, settings.lifetime) if settings.sign else None


def threads(reactor: Any) -> MakeWorkers:
    """Workers that own threads."""
    return lambda name, count, waiting: ThreadWorkers(reactor, name, count, waiting)


def inline(name: str, count: int, waiting: int) -> Workers:
    """Workers of a program without a reactor."""
    return InlineWorkers()


def run_now(waiting: Coroutine[Any, Any, T]) -> T:
    """
    What a coroutine over inline workers returns.

    :raises RuntimeError: it waits for something, which it cannot without a reactor.
    """
    found: list[Any] = []
    Deferred.fromCoroutine(waiting).addBoth(found.append)
    if not found:
        raise RuntimeError("a store waited although nothing runs in threads")
    if isinstance(found[0], Failure):
        found[0].raiseException()
    result: T = found[0]
    return result
