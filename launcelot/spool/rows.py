"""
The spool's tables, and the work in its database's threads.

Bodies lie in pieces of :data:`CHUNK` octets.  Rows are keyed by the message's number and a small index in one integer, so that no
second index has to be written::

    messages(number, id, sender, user, received, size, terms)
                                          terms: JSON of what else the envelope says, empty for nothing
    accepted(id)                          of those that may be handed over again
    chunks(key, data)                     key = number * 65536 + piece
    recipients(key, account, address, state, attempts, next_attempt, last_error, terms, told, unsure)
                                          key = number * 65536 + place in the envelope; state 0 waits, 1 is held;
                                          account is empty for an address of another host
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from launcelot.core.errors import Invalid
from launcelot.core.ids import AccountId
from launcelot.message.address import Address, parse_mailbox
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from launcelot.spool.mail import Change, Mail, Pending
from launcelot.workers.staging import Staged

CHUNK = 262_144
"""Octets of a body in one row."""

SPAN = 65_536
"""Pieces and recipients one message may have."""

LOAD_BATCH = 2_000
"""Mails brought into memory in one piece of reading."""

ADDRESSES = frozenset({"via", "sender"})
"""What else of a recipient is an address."""

STATE_WAITING = 0
STATE_HELD = 1


def first_schema(connection: sqlite3.Connection) -> None:
    """The tables of the first version."""
    connection.execute(
        "CREATE TABLE messages (number INTEGER PRIMARY KEY, id TEXT NOT NULL, sender TEXT NOT NULL, user TEXT NOT NULL,"
        " received REAL NOT NULL, size INTEGER NOT NULL)"
    )
    connection.execute("CREATE TABLE chunks (key INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    connection.execute(
        "CREATE TABLE recipients (key INTEGER PRIMARY KEY, account TEXT NOT NULL, address TEXT NOT NULL,"
        " state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL NOT NULL DEFAULT 0,"
        " last_error TEXT NOT NULL DEFAULT '')"
    )


def accepted_once(connection: sqlite3.Connection) -> None:
    """Ids that may come again."""
    connection.execute("CREATE TABLE accepted (id TEXT PRIMARY KEY) WITHOUT ROWID")


def elsewhere(connection: sqlite3.Connection) -> None:
    """What relaying needs to know."""
    connection.execute("ALTER TABLE messages ADD COLUMN terms TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE recipients ADD COLUMN terms TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE recipients ADD COLUMN told INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE recipients ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0")


MIGRATIONS = (first_schema, accepted_once, elsewhere)
"""For the :class:`~launcelot.workers.database.Database` that is handed in."""


# -- writing -------------------------------------------------------------------------------------------------------


def write_mail(connection: sqlite3.Connection, mail: Mail, body: Staged, once: bool = False) -> bool:
    """Insert one message; False, and nothing, if its id was accepted once before."""
    if once and not connection.execute("INSERT OR IGNORE INTO accepted VALUES (?)", (mail.envelope.id,)).rowcount:
        return False
    write_envelope(connection, mail)
    base = mail.number * SPAN
    connection.executemany(
        "INSERT INTO chunks VALUES (?, ?)", ((base + piece, data) for piece, data in enumerate(body.chunks(CHUNK)))
    )
    return True


def write_envelope(connection: sqlite3.Connection, mail: Mail) -> None:
    """Insert one message but for its body."""
    envelope = mail.envelope
    sender = "" if envelope.sender is None else str(envelope.sender)
    base = mail.number * SPAN
    connection.execute(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)",
        (mail.number, envelope.id, sender, envelope.user, mail.received, mail.size, terms_of(envelope)),
    )
    connection.executemany(
        "INSERT INTO recipients (key, account, address, terms) VALUES (?, ?, ?, ?)",
        [
            (base + one.index, one.recipient.account, str(one.recipient.address), terms_for(one.recipient))
            for one in mail.pending
        ],
    )


def settle(connection: sqlite3.Connection, changes: Sequence[Change], notices: Sequence[tuple[Mail, bytes]]) -> None:
    """Delete recipients, then messages that have none left; mark who was told; insert notices."""
    removed = [one for change in changes for one in change.removed]
    connection.executemany(
        "DELETE FROM recipients WHERE key = ?", [(key_of(one),) for one in removed]
    )
    for number in {one.mail.number for one in removed}:
        bounds = (number * SPAN, number * SPAN + SPAN - 1)
        if connection.execute("SELECT 1 FROM recipients WHERE key BETWEEN ? AND ? LIMIT 1", bounds).fetchone() is None:
            connection.execute("DELETE FROM chunks WHERE key BETWEEN ? AND ?", bounds)
            connection.execute("DELETE FROM messages WHERE number = ?", (number,))
    connection.executemany(
        "UPDATE recipients SET told = 1 WHERE key = ?",
        [(key_of(one),) for change in changes for one in change.told],
    )
    for mail, octets in notices:
        write_envelope(connection, mail)
        for piece, start in enumerate(range(0, len(octets), CHUNK)):
            data = octets[start : start + CHUNK]
            connection.execute("INSERT INTO chunks VALUES (?, ?)", (mail.number * SPAN + piece, data))


Row = tuple[int, int, float, str, int, int]
"""What changes of a recipient, and its key."""


def key_of(pending: Pending) -> int:
    """Of a recipient's row."""
    return pending.mail.number * SPAN + pending.index


def row_of(pending: Pending) -> Row:
    """A recipient as it is now."""
    state = STATE_HELD if pending.held else STATE_WAITING
    return state, pending.attempts, pending.next_attempt, pending.last_error, pending.unsure, key_of(pending)


def update_rows(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Keep what became of attempts."""
    connection.executemany(
        "UPDATE recipients SET state = ?, attempts = ?, next_attempt = ?, last_error = ?, unsure = ? WHERE key = ?", rows
    )


def suspect_all(connection: sqlite3.Connection, now: float) -> None:
    """Count every recipient elsewhere that may have been in an attempt as sent once more."""
    connection.execute(
        "UPDATE recipients SET unsure = unsure + 1 WHERE account = '' AND state = ? AND next_attempt <= ?", (STATE_WAITING, now)
    )


# -- reading -------------------------------------------------------------------------------------------------------


def last_number(connection: sqlite3.Connection) -> int:
    """The largest number in use."""
    found: int = connection.execute("SELECT coalesce(max(number), 0) FROM messages").fetchone()[0]
    return found


def next_numbers(
    connection: sqlite3.Connection, now: float, below: int, skip: Collection[int], most: int
) -> tuple[list[int], bool, bool]:
    """
    Messages with a recipient that waits, in the order in which they should be brought into memory: those whose time has come, for
    mailboxes here first, then the others by their times.

    :param below: only messages with smaller numbers.
    :returns: at most ``most`` of their numbers, whether there are more, and whether there are messages that are held altogether.
    """
    rows = connection.execute(
        f"SELECT key / {SPAN}, min(state), min(CASE WHEN state = {STATE_WAITING} THEN max(0, next_attempt - ?) ELSE 1e12 END),"
        f" min(account = '') FROM recipients WHERE key < ? GROUP BY key / {SPAN} ORDER BY 2, 3 > 0, 4, 3, 1",
        (now, below * SPAN),
    )
    found: list[int] = []
    for number, state, _, _ in rows:
        if number in skip:
            continue
        if state != STATE_WAITING:
            return found, False, True
        if len(found) >= most:
            return found, True, True
        found.append(number)
    return found, False, False


def existing(connection: sqlite3.Connection, keys: Sequence[int]) -> set[int]:
    """Which of these keys recipients have."""
    find = "SELECT 1 FROM recipients WHERE key = ?"
    return {key for key in keys if connection.execute(find, (key,)).fetchone() is not None}


def numbers_of(connection: sqlite3.Connection, id: str) -> list[int]:
    """The messages of an id; there is one at most."""
    return [row[0] for row in connection.execute("SELECT number FROM messages WHERE id = ?", (id,))]


def read_mails(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Mail]:
    """Whole messages without their bodies."""
    found: list[Mail] = []
    for number in numbers:
        row = connection.execute(
            "SELECT id, sender, user, received, size, terms FROM messages WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            continue
        id, sender, user, received, size, terms = row
        said = json.loads(terms) if terms else {}
        envelope = Envelope(SpoolId(id), read_address(sender) if sender else None, (), user, **said)
        mail = Mail(number, envelope, received, size)
        for one in connection.execute(
            "SELECT key, account, address, state, attempts, next_attempt, last_error, terms, told, unsure FROM recipients"
            " WHERE key BETWEEN ? AND ? ORDER BY key",
            (number * SPAN, number * SPAN + SPAN - 1),
        ):
            add_recipient(mail, one)
        found.append(mail)
    return found


def add_recipient(mail: Mail, row: tuple[Any, ...]) -> None:
    """A recipient as it was kept."""
    key, account, address, state, attempts, next_attempt, last_error, terms, told, unsure = row
    said = json.loads(terms) if terms else {}
    for name in ADDRESSES.intersection(said):
        said[name] = read_address(said[name])
    pending = mail.add(SpoolRecipient(AccountId(account), read_address(address), **said), key % SPAN)
    pending.held = state == STATE_HELD
    pending.attempts, pending.next_attempt, pending.last_error = attempts, next_attempt, last_error
    pending.told, pending.unsure = bool(told), unsure


def read_waiting(connection: sqlite3.Connection, after: int, limit: int) -> list[Mail]:
    """Messages in the order of their numbers, from one number on."""
    rows = connection.execute("SELECT number FROM messages WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
    return read_mails(connection, [row[0] for row in rows])


def count_waiting(connection: sqlite3.Connection) -> int:
    """How many recipients there are."""
    found: int = connection.execute("SELECT count(*) FROM recipients").fetchone()[0]
    return found


def read_chunks(connection: sqlite3.Connection, number: int, first: int, count: int) -> list[bytes]:
    """Some pieces of a body."""
    base = number * SPAN + first
    rows = connection.execute(
        "SELECT data FROM chunks WHERE key BETWEEN ? AND ? ORDER BY key", (base, base + count - 1)
    )
    return [row[0] for row in rows]


# -- values --------------------------------------------------------------------------------------------------------


def terms_of(envelope: Envelope) -> str:
    """What an envelope says beside sender and recipients, empty for nothing."""
    said: dict[str, Any] = {}
    for name in ("returned", "envelope_id", "utf8", "verified", "require_tls", "tls_optional", "verp"):
        value = getattr(envelope, name)
        if value:
            said[name] = value
    return json.dumps(said, separators=(",", ":")) if said else ""


def terms_for(recipient: SpoolRecipient) -> str:
    """What is said of a recipient beside its address, empty for nothing."""
    if not (recipient.notify or recipient.original or recipient.via or recipient.sender):
        return ""
    said: dict[str, Any] = {}
    for name in ("notify", "original", "via", "sender", "listed"):
        value = getattr(recipient, name)
        if value:
            said[name] = str(value) if name in ADDRESSES else value
    return json.dumps(said, separators=(",", ":"))


def read_address(text: str) -> Address:
    """An address that was accepted once, even if today's parser would refuse it."""
    try:
        return parse_mailbox(text)
    except Invalid:
        local, _, domain = text.rpartition("@")
        return Address(local, domain)
