"""
How much an account may send: messages and recipients in an hour and a day, and people it has never written to.

A stolen password is worth what can be sent with it.  What has been sent is kept in a file of its own (``sending.sqlite``), which
all workers share, so neither a restart nor a second process makes it anew.  Time is counted in slots of :data:`SLOT` seconds, so
a limit may be felt that much longer than its hour or day.  Whom an account has written to is kept as a hash.

Limits are told as early as they are known, at MAIL and RCPT; the last word is spoken where a message is counted, before it is
accepted, so that sessions at once do not get past them together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from launcelot.core.errors import LimitReached
from launcelot.core.ids import AccountId
from launcelot.workers.database import Database, script

SLOT = 300
"""Seconds that are counted together."""

HOUR = 3_600
DAY = 86_400

KNOWN_FOR = 400 * DAY
"""Seconds after which somebody who was not written to is new again."""

MIGRATIONS = (
    script(
        """
        CREATE TABLE sent (
            account TEXT NOT NULL, slot INTEGER NOT NULL,
            messages INTEGER NOT NULL, recipients INTEGER NOT NULL, new INTEGER NOT NULL,
            PRIMARY KEY (account, slot)
        ) WITHOUT ROWID;
        CREATE INDEX sent_by_slot ON sent (slot);
        CREATE TABLE known (
            account TEXT NOT NULL, recipient BLOB NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (account, recipient)
        ) WITHOUT ROWID;
        CREATE INDEX known_by_time ON known (last);
        """
    ),
)


class SendingLimitReached(LimitReached):
    """The account has sent as much as it may for now."""

    default_text = "sending limit reached, try again later"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one account may send; 0 for any number."""

    messages_per_hour: int = 0
    messages_per_day: int = 0
    recipients_per_hour: int = 0
    recipients_per_day: int = 0
    new_recipients_per_day: int = 0

    @property
    def are_set(self) -> bool:
        """Whether there is any."""
        return self != _NONE


_NONE = Limits()


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent in a time."""

    messages: int
    recipients: int
    new: int


class Sending:
    """
    Counts what accounts send.

    :param database: made with :data:`MIGRATIONS`; not owned.
    :param now: wall-clock seconds.
    """

    def __init__(self, database: Database, limits: Limits, now: Callable[[], float]) -> None:
        self._database = database
        self._limits = limits
        self._now = now

    def expect(self, account: AccountId, recipients: int = 0, new: int = 0) -> None:
        """
        Whether one more message to so many may be sent as things are now.

        :raises SendingLimitReached: it may not; the text says which limit it is.
        """
        self._database.read(lambda connection: self._check(connection, account, recipients, new))

    def is_new(self, account: AccountId, recipient: str) -> bool:
        """
        Whether an account has not written to an address before.

        :param recipient: the address's key.
        """
        return self._database.read(lambda connection: not _is_known(connection, account, digest_of(recipient)))

    async def count(self, account: AccountId, recipients: Iterable[str]) -> None:
        """
        Count one message; durable when it returns.

        :param recipients: keys of addresses, each once.
        :raises SendingLimitReached: there is one too many, and nothing was counted.
        """
        digests = [digest_of(one) for one in recipients]
        await self._database.write(lambda connection: self._count(connection, account, digests))

    def _check(self, connection: sqlite3.Connection, account: AccountId, recipients: int, new: int) -> None:
        limits, now = self._limits, int(self._now())
        hour = _sent_since(connection, account, now - HOUR)
        day = _sent_since(connection, account, now - DAY)
        for limit, total, text in (
            (limits.messages_per_hour, hour.messages + 1, "messages in an hour"),
            (limits.messages_per_day, day.messages + 1, "messages in a day"),
            (limits.recipients_per_hour, hour.recipients + recipients, "recipients in an hour"),
            (limits.recipients_per_day, day.recipients + recipients, "recipients in a day"),
            (limits.new_recipients_per_day, day.new + new, "recipients in a day that it has not written to before"),
        ):
            if 0 < limit < total:
                raise SendingLimitReached(f"this account may have {limit} {text}; try again later")

    def _count(self, connection: sqlite3.Connection, account: AccountId, digests: list[bytes]) -> None:
        now = int(self._now())
        new = sum(not _is_known(connection, account, one) for one in digests)
        self._check(connection, account, len(digests), new)
        connection.execute("DELETE FROM sent WHERE slot < ?", ((now - DAY) // SLOT,))
        connection.execute("DELETE FROM known WHERE last < ?", (now - KNOWN_FOR,))
        connection.execute(
            "INSERT INTO sent VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET"
            " messages = messages + 1, recipients = recipients + excluded.recipients, new = new + excluded.new",
            (account, now // SLOT, len(digests), new),
        )
        connection.executemany(
            "INSERT INTO known VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
            [(account, one, now) for one in digests],
        )


def _sent_since(connection: sqlite3.Connection, account: AccountId, since: int) -> Sent:
    row = connection.execute(
        "SELECT total(messages), total(recipients), total(new) FROM sent WHERE account = ? AND slot >= ?",
        (account, since // SLOT),
    ).fetchone()
    return Sent(*(int(one) for one in row))


def _is_known(connection: sqlite3.Connection, account: AccountId, digest: bytes) -> bool:
    found = connection.execute("SELECT 1 FROM known WHERE account = ? AND recipient = ?", (account, digest)).fetchone()
    return found is not None


def digest_of(key: str) -> bytes:
    """What is kept of an address."""
    return blake2b(key.encode(), digest_size=16).digest()
