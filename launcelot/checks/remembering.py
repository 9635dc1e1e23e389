"""
What is remembered of hosts from one mail to the next, in a SQLite file that all workers share: greylisting and rates.

Greylisting asks a host that is not known for patience: the same sender to the same recipient from the same network is taken when
it comes again after a while, which programs that only pretend to be mail servers do not do.  A network that came again once is
known from then on, as long as it keeps sending.

Addresses are kept as hashes, of networks (/24, /64) their text.
"""

from __future__ import annotations

import ipaddress
import sqlite3
from hashlib import blake2b

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Verdict
from launcelot.core.errors import Refusal
from launcelot.core.limits import source_of
from launcelot.message.address import Address
from launcelot.workers.database import Database, script

KNOWN_FOR = 36 * 86_400
"""Seconds a network stays known without sending."""

NOTED_EVERY = 86_400
"""Seconds between two notes that a network still sends."""

WAITS_FOR = 2 * 86_400
"""Seconds within which it has to come again."""

SLOT = 60
HOUR = 3_600

MIGRATIONS = (
    script(
        """
        CREATE TABLE waiting (triple BLOB PRIMARY KEY, first INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX waiting_by_time ON waiting (first);
        CREATE TABLE networks (network TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX networks_by_time ON networks (last);
        CREATE TABLE arrived (
            source TEXT NOT NULL, slot INTEGER NOT NULL, mails INTEGER NOT NULL, PRIMARY KEY (source, slot)
        ) WITHOUT ROWID;
        CREATE INDEX arrived_by_slot ON arrived (slot);
        """
    ),
)


def network_of(source: str) -> str:
    """The network that counts as one sender: big ones send from many hosts."""
    try:
        address = ipaddress.ip_address(source_of(source).partition("/")[0])
    except ValueError:
        return source
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False))


class Greylisting(Check):
    """
    Asks strangers to come again.

    :param database: made with :data:`MIGRATIONS`; not owned.
    :param delay: seconds before which it is too early.
    """

    name = "greylisting"

    def __init__(self, database: Database, delay: float) -> None:
        self._database = database
        self._delay = int(delay)

    async def recipient(self, case: Case, recipient: Address) -> Verdict:
        """Known, or told to wait."""
        network = network_of(case.source)
        sender = "" if case.sender is None else case.sender.key
        triple = blake2b("\0".join((network, sender, recipient.key)).encode(), digest_size=16).digest()
        now = int(case.now)
        try:
            last = self._database.read(lambda connection: _last_of(connection, network))
            if now - last <= KNOWN_FOR:
                if now - last > NOTED_EVERY:
                    await self._database.write(lambda connection: _note(connection, network, now))
                return ACCEPT
            known = await self._database.write(lambda connection: self._meet(connection, network, triple, now))
        except Refusal:
            # A disk that is full must not stop mail twice.
            return ACCEPT
        return ACCEPT if known else Verdict(Action.DEFER, "We do not know each other yet; please come again in a while", "4.7.1")

    def _meet(self, connection: sqlite3.Connection, network: str, triple: bytes, now: int) -> bool:
        connection.execute("DELETE FROM waiting WHERE first < ?", (now - WAITS_FOR,))
        connection.execute("DELETE FROM networks WHERE last < ?", (now - KNOWN_FOR,))
        found = connection.execute("SELECT first FROM waiting WHERE triple = ?", (triple,)).fetchone()
        if found is None:
            connection.execute("INSERT INTO waiting VALUES (?, ?)", (triple, now))
            return False
        if now - found[0] < self._delay:
            return False
        connection.execute("DELETE FROM waiting WHERE triple = ?", (triple,))
        _note(connection, network, now)
        return True


def _last_of(connection: sqlite3.Connection, network: str) -> float:
    """When a network was last noted; long ago if it never was."""
    found = connection.execute("SELECT last FROM networks WHERE network = ?", (network,)).fetchone()
    return float("-inf") if found is None else found[0]


def _note(connection: sqlite3.Connection, network: str, now: int) -> None:
    connection.execute("INSERT OR REPLACE INTO networks VALUES (?, ?)", (network, now))


class Rates(Check):
    """
    Counts the mails of each source.

    :param database: made with :data:`MIGRATIONS`; not owned.
    :param hourly: mails that one source may begin in an hour.
    """

    name = "rates"

    def __init__(self, database: Database, hourly: int) -> None:
        self._database = database
        self._hourly = hourly

    async def sender(self, case: Case) -> Verdict:
        """Count it, or say that it is one too many."""
        source, now = source_of(case.source), int(case.now)
        try:
            fits = await self._database.write(lambda connection: self._arrive(connection, source, now))
        except Refusal:
            return ACCEPT
        return ACCEPT if fits else Verdict(Action.DEFER, "Too many mails from your address in an hour", "4.7.1")

    def _arrive(self, connection: sqlite3.Connection, source: str, now: int) -> bool:
        connection.execute("DELETE FROM arrived WHERE slot < ?", ((now - HOUR) // SLOT,))
        (count,) = connection.execute("SELECT total(mails) FROM arrived WHERE source = ?", (source,)).fetchone()
        if count >= self._hourly:
            return False
        connection.execute(
            "INSERT INTO arrived VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET mails = mails + 1", (source, now // SLOT)
        )
        return True
