"""
What the house wants of its POP3 clients: how long mail may stay, and how often they may come.  RFC 2449 sections 6.5 and 6.7.

Log-ins are remembered in a file of the service's own (``pop3.sqlite``) that all workers share, so neither a restart nor a second
process lets anybody in early.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from launcelot.core.errors import LimitReached
from launcelot.core.ids import AccountId
from launcelot.protocols.pop3.maildrop import Listings
from launcelot.workers.database import Database, script

MIGRATIONS = (
    script(
        """
        CREATE TABLE logins (account TEXT NOT NULL PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
        CREATE INDEX logins_by_time ON logins (at);
        """
    ),
)


class TooSoon(LimitReached):
    """The account has logged in a moment ago."""


class LoginDelay:
    """
    Seconds between an account's log-ins.

    :param database: made with :data:`MIGRATIONS`; not owned.
    :param seconds: from one log-in to the next.
    :param now: wall-clock seconds.
    """

    def __init__(self, database: Database, seconds: int, now: Callable[[], float]) -> None:
        self.seconds = seconds
        self._database = database
        self._now = now

    def expect(self, account: AccountId) -> None:
        """
        Whether an account may log in now.

        :raises TooSoon: not yet; the text says when.
        :raises TryLater: the file cannot be read.
        """
        now = self._now()
        left = self.seconds - (now - self._database.read(lambda connection: _last(connection, account, now)))
        if left > 0:
            raise TooSoon(f"this account may log in again in {math.ceil(left)} seconds")

    async def begun(self, account: AccountId) -> None:
        """
        Remember that an account has logged in; durable when it returns.

        :raises TryLater: it cannot be written.
        """
        now = self._now()
        oldest = now - self.seconds

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM logins WHERE at <= ? OR at > ?", (oldest, now))
            connection.execute(
                "INSERT INTO logins VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET at = excluded.at", (account, now)
            )

        await self._database.write(work)


def _last(connection: sqlite3.Connection, account: AccountId, now: float) -> float:
    """When an account last logged in; long ago where that is not known, or lies ahead because the clock was set back."""
    row = connection.execute("SELECT at FROM logins WHERE account = ?", (account,)).fetchone()
    return -math.inf if row is None or row[0] > now else row[0]


@dataclass(frozen=True, slots=True)
class Policy:
    """
    The house's rules.

    :ivar keep_days: days that mail stays in INBOX at least; None for ever, 0 for as long as it has not been retrieved.
    :ivar delay: between an account's log-ins; None for none.
    :ivar listings: what is remembered of maildrops from one session to the next.
    """

    keep_days: int | None = None
    delay: LoginDelay | None = None
    listings: Listings = field(default_factory=Listings)

    @property
    def capabilities(self) -> tuple[bytes, ...]:
        """How CAPA tells of them; the same for every account, so in both states."""
        expire = b"EXPIRE NEVER" if self.keep_days is None else b"EXPIRE %d" % self.keep_days
        return (expire,) if self.delay is None else (b"LOGIN-DELAY %d" % self.delay.seconds, expire)
