"""
Senders of mail that is passed on to other hosts: rewritten on the way out, found again when something comes back.

The secret is made with the file, and shared by all workers.  A sender whose rewritten address would be too long for other hosts
is remembered under a token for as long as the address is good.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence

from launcelot.core.errors import NotFound
from launcelot.message import srs
from launcelot.message.address import Address, domain_key
from launcelot.workers.database import Database


def first_schema(connection: sqlite3.Connection) -> None:
    """The tables, and a secret."""
    connection.execute("CREATE TABLE secrets (number INTEGER PRIMARY KEY, secret BLOB NOT NULL)")
    connection.execute("INSERT INTO secrets (secret) VALUES (?)", (secrets.token_bytes(32),))
    connection.execute(
        "CREATE TABLE senders (token TEXT PRIMARY KEY, local TEXT NOT NULL, domain TEXT NOT NULL, day INTEGER NOT NULL)"
        " WITHOUT ROWID"
    )
    connection.execute("CREATE INDEX senders_by_day ON senders (day)")


MIGRATIONS = (first_schema,)


class Forwarding:
    """
    Rewrites.

    :param database: made with :data:`MIGRATIONS`; not owned.
    :param domain: ours, of rewritten addresses.
    :param now: wall-clock seconds.
    """

    def __init__(self, database: Database, domain: str, now: Callable[[], float]) -> None:
        self._database = database
        self._domain = domain_key(domain)
        self._now = now

    async def sender(self, sender: Address) -> Address:
        """
        A sender as it is told to the next host; what has to be remembered for it is on disk.

        :raises TryLater: it cannot be remembered now.
        """
        secret, day = self.secrets()[0], self._day()
        found = srs.rewritten(sender, self._domain, secret, day)
        if srs.fits(found):
            return found
        found, token = srs.shortened(sender, self._domain, secret, day)
        await self.remember(token, sender, day - srs.LIFETIME)
        return found

    def original(self, address: Address) -> Address | None:
        """
        The sender behind a rewritten address; None for one that does not look as if it was.

        :raises NotFound: it was not rewritten here, or too long ago.
        :raises TryLater: that cannot be found out now.
        """
        if not srs.is_rewritten(address):
            return None
        try:
            found = srs.original(address, self.secrets(), self._day())
        except srs.NotOurs as error:
            raise NotFound(str(error)) from error
        return found if isinstance(found, Address) else self.remembered(found)

    # -- what is kept, which a twin in memory keeps elsewhere --------------------------------------------------------

    async def remember(self, token: str, sender: Address, oldest: int) -> None:
        """
        Keep a sender under a token.

        :param oldest: the day before which what was kept is forgotten.
        :raises TryLater: it cannot be kept now.
        """
        row = (token, sender.local, sender.domain, self._day())

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM senders WHERE day < ?", (oldest,))
            connection.execute("INSERT OR REPLACE INTO senders VALUES (?, ?, ?, ?)", row)

        await self._database.write(job)

    def remembered(self, token: str) -> Address:
        """
        The sender behind a token.

        :raises NotFound: it is not known any more.
        """
        query = "SELECT local, domain FROM senders WHERE token = ?"
        row = self._database.read(lambda connection: connection.execute(query, (token,)).fetchone())
        if row is None:
            raise NotFound("its sender is not remembered any more")
        return Address(*row)

    def secrets(self) -> Sequence[bytes]:
        """The newest first."""
        query = "SELECT secret FROM secrets ORDER BY number DESC"
        return [row[0] for row in self._database.read(lambda connection: connection.execute(query).fetchall())]

    def _day(self) -> int:
        return int(self._now()) // srs.DAY
