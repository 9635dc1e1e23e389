"""What the commands that take care of mail share: which accounts, their files, and progress."""

from __future__ import annotations

import sqlite3
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from launcelot.accounts.interface import Account, Group
from launcelot.app.asking import ask, is_running
from launcelot.app.errors import FAILED, NO_INPUT, TEMPORARY, Ending
from launcelot.app.people import Base
from launcelot.app.stores import build_mail, run_now
from launcelot.app.streams import Streams
from launcelot.core.errors import Invalid, NotFound
from launcelot.hosting.accesslists import GROUP
from launcelot.mailstore.schema import MIGRATIONS
from launcelot.mailstore.sqlfile import FILE_NAME
from launcelot.message.address import Address
from launcelot.workers.database import NewerSchema, connect, migrate
from launcelot.workers.memory import InlineWorkers

AT_ONCE = 200
"""Mailboxes named in one request to the daemon."""
OFTEN = 0.5
"""Seconds between two words on progress."""


class Meter:
    """
    Progress on standard error: for a person one line that changes, for others nothing.

    :param what: in front of it.
    """

    def __init__(self, streams: Streams, what: str) -> None:
        self._output = streams.errors if streams.errors.isatty() else None
        self._what = what
        self._last = 0.0
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """So many octets are done of so many in all; 0 where nobody knows."""
        now = time.monotonic()
        if self._output is None or now - self._last < OFTEN:
            return
        self._last = now
        share = f"{100 * done // total:3} % of {size(total)}" if total else size(done)
        self._output.write(f"\r{self._what}: {share}\x1b[K")
        self._output.flush()
        self._shown = True

    def end(self) -> None:
        """Leave the line empty."""
        if self._output is not None and self._shown:
            self._output.write("\r\x1b[K")
            self._output.flush()


@contextmanager
def metered(streams: Streams, what: str) -> Iterator[Meter]:
    """Progress while something is done."""
    meter = Meter(streams, what)
    try:
        yield meter
    finally:
        meter.end()


def size(octets: int) -> str:
    """Octets for people."""
    amount, unit = float(octets), "octets"
    for unit in ("octets", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "octets" else f"{amount:.1f} {unit}"


def account_named(base: Base, name: str) -> Account:
    """
    An account by its name or address, or a group by ``group:`` and its name.

    :raises Ending: there is none.
    """
    try:
        if name.startswith(GROUP):
            return account_of(run_now(base.directory.group(name[len(GROUP) :])))
        if "@" in name:
            wanted = base.address(name)
            for account in run_now(base.directory.accounts()):
                if account.address == wanted:
                    return account
        return run_now(base.directory.account(name))
    except (NotFound, Invalid) as refusal:
        raise Ending(f"{name}: no such account", FAILED) from refusal


def accounts_given(base: Base, given: Namespace) -> Sequence[Account]:
    """The accounts and groups a command names, or all."""
    if given.accounts:
        return [account_named(base, name) for name in given.accounts]
    return everybody(base)


def everybody(base: Base) -> Sequence[Account]:
    """All who have mail: accounts, then groups."""
    return [*run_now(base.directory.accounts()), *map(account_of, run_now(base.directory.groups()))]


def account_of(group: Group) -> Account:
    """A group as those see it who only care for its mail."""
    address = group.address or Address(group.name, "invalid")
    return Account(group.id, GROUP + group.name, address, group.quota, True, group.messages)


def file_of(base: Base, account: Account) -> Path:
    """Where an account's mail is, or will be."""
    return base.configuration.data / "mail" / account.id / FILE_NAME


def tell_daemon(base: Base, account: Account, mailboxes: Iterable[int]) -> None:
    """Have a running daemon tell its sessions what changed; it is on disk whether a daemon runs or not."""
    numbers = sorted(mailboxes)
    socket = base.configuration.admin_socket
    for start in range(0, len(numbers), AT_ONCE):
        if not is_running(socket):
            return
        ask(socket, {"ask": "changed", "account": account.id, "mailboxes": numbers[start : start + AT_ONCE]})


def mailboxes_in(path: Path) -> set[int]:
    """The numbers of all mailboxes in a file."""
    with opened_file(path, write=False) as connection:
        return {number for (number,) in connection.execute("SELECT number FROM mailboxes")}


def make_mail(base: Base, account: Account) -> None:
    """Have an account's file there, with an INBOX, as its first use would."""

    async def run() -> None:
        store = build_mail(base.configuration, [InlineWorkers()], InlineWorkers())
        try:
            await store.mail(account.id)
        finally:
            await store.close()

    if not file_of(base, account).exists():
        run_now(run())


@contextmanager
def opened_file(path: Path, write: bool) -> Iterator[sqlite3.Connection]:
    """
    A mail file, as other processes may have it open, too.

    :param write: whether it is to be changed, and brought up to date for that.
    :raises Ending: a newer program wrote it, somebody keeps it to himself, or the disk refuses.
    """
    if not path.exists():
        raise Ending(f"{path}: no such file", NO_INPUT)
    try:
        connection = connect(path, read_only=not write)
        try:
            if write:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                migrate(connection, MIGRATIONS)
            elif connection.execute("PRAGMA user_version").fetchone()[0] > len(MIGRATIONS):
                raise NewerSchema
            yield connection
        finally:
            connection.close()
    except NewerSchema as refusal:
        raise Ending(f"{path}: {refusal.text}", FAILED) from refusal
    except sqlite3.OperationalError as error:
        raise Ending(f"{path}: {error}; try again, or stop the daemon", TEMPORARY) from error
