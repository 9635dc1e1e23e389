"""
Rows of an account's mail file as values, and the reads every part of the SQLite store shares.

Everything here takes a connection in a transaction that somebody else begins and ends.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import inf
from typing import Any

from launcelot.core.errors import Gone, NotFound
from launcelot.mailstore import bodies, sqlstates
from launcelot.mailstore.dates import moment_of
from launcelot.mailstore.flags import Keywords
from launcelot.mailstore.interface import INBOX, Changes, Glance, MailboxInfo, MailboxStatus, Message, Usage
from launcelot.mailstore.names import known
from launcelot.mailstore.schema import CHUNK, CHUNK_BITS
from launcelot.mailstore.statecolumns import StateColumns
from launcelot.mailstore.tree import Kept

LARGEST = (1 << 63) - 1
BLOCK_COST = 16
"""Rows of messages that are read in the time of one block of states."""


MUCH = 1 << 20
"""Octets past which no further rows are read before those have been sent."""
MISSING = "octets of a message are missing; launcelot fsck tells of which"
SOME = 16
"""Rows that are weighed together."""
AT_ONCE = 16
"""Rows that one statement puts into a table at most."""


def fits(number: int) -> int:
    """The number, or the nearest one that SQLite can compare with."""
    return max(-LARGEST, min(number, LARGEST))


def text(value: str) -> str:
    """The text without surrogates, which SQLite has no form for."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def listed(numbers: Iterable[int]) -> str:
    """Numbers for ``json_each``, so that one statement takes any number of them."""
    return json.dumps([fits(number) for number in numbers])


@dataclass(frozen=True, slots=True)
class Numbers:
    """The row of a mailbox that writing needs."""

    number: int
    uid_validity: int
    uid_next: int
    modseq: int


def insert(connection: sqlite3.Connection, into: str, values: str, rows: Sequence[Sequence[object]]) -> int:
    """
    Put rows into a table, as many in one statement as :data:`AT_ONCE` lets; the last rowid.

    Behind each statement a writer's thread has to ask for the interpreter again, which the reactor's thread has taken meanwhile.

    :param into: such as ``"INSERT INTO a (b, c)"``, and ``values`` of each row such as ``"(?, ?)"``.
    """
    start, last = 0, 0
    while start < len(rows):
        count = min(AT_ONCE, 1 << (len(rows) - start).bit_length() - 1)
        some = chain.from_iterable(rows[start : start + count])
        last = connection.execute(_insertion(into, values, count), list(some)).lastrowid or 0
        start += count
    return last


@lru_cache(64)
def _insertion(into: str, values: str, count: int) -> str:
    """The statement; of powers of two, so that a connection keeps a few of them ready."""
    return f"{into} VALUES {', '.join([values] * count)}"


def numbers_of(connection: sqlite3.Connection, mailbox: int) -> Numbers:
    """
    The numbers of a mailbox.

    :raises Gone: it has been deleted.
    """
    row = connection.execute(
        "SELECT number, uid_validity, uid_next, modseq FROM mailboxes WHERE number = ?", (mailbox,)
    ).fetchone()
    if row is None:
        raise Gone("the mailbox has been deleted")
    return Numbers(*row)


def number_named(connection: sqlite3.Connection, name: str) -> int:
    """
    The number of a mailbox by name.

    :raises NotFound: there is none.
    """
    found = known(name)
    row = connection.execute("SELECT number FROM mailboxes WHERE name = ?", (found,)).fetchone() if found else None
    if row is None:
        raise NotFound("no such mailbox")
    number: int = row[0]
    return number


def is_scripted(connection: sqlite3.Connection) -> bool:
    """Whether a Sieve script is active."""
    return connection.execute("SELECT 1 FROM scripts WHERE active").fetchone() is not None


def inbox_of(connection: sqlite3.Connection) -> tuple[Numbers, bool]:
    """
    The numbers of the inbox, and whether a Sieve script is active.

    :raises NotFound: there is none, in a damaged file.
    """
    row = connection.execute(_INBOX).fetchone()
    if row is None:
        raise NotFound("no such mailbox")
    *numbers, scripted = row
    return Numbers(*numbers), bool(scripted)


def kept_mailboxes(connection: sqlite3.Connection) -> list[Kept]:
    """All mailboxes."""
    return [Kept(*row) for row in connection.execute("SELECT id, name, special_use FROM mailboxes")]


def mailbox_named(connection: sqlite3.Connection, name: str) -> tuple[Glance, MailboxInfo]:
    """
    How a mailbox stands, and how it is listed, without looking at all others.

    :param name: in its one spelling.
    :raises NotFound: there is none.
    """
    row = connection.execute(_NAMED, {"name": name}).fetchone()
    if row is None:
        raise NotFound("no such mailbox")
    special_use, subscribed, below, *numbers = row
    opened = Glance(*numbers)
    return opened, MailboxInfo(opened.id, name, True, bool(subscribed), bool(below), special_use)


def glances_at(connection: sqlite3.Connection, numbers: Iterable[int] | None) -> list[Glance]:
    """How mailboxes stand, all of them or those with some numbers."""
    if numbers is None:
        return [Glance(*row) for row in connection.execute(f"{_GLANCES} ORDER BY number")]
    where = "WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number"
    return [Glance(*row) for row in connection.execute(f"{_GLANCES} {where}", (listed(numbers),))]


def tree_size(connection: sqlite3.Connection) -> int:
    """How many mailboxes and subscriptions there are."""
    rows: int = connection.execute(
        "SELECT (SELECT count(*) FROM mailboxes) + (SELECT count(*) FROM subscriptions)"
    ).fetchone()[0]
    return rows


def usage_of(connection: sqlite3.Connection) -> Usage:
    """What the account's mail takes, from counters."""
    return Usage(*connection.execute("SELECT octets, messages FROM account").fetchone())


def subscribed_names(connection: sqlite3.Connection) -> set[str]:
    """All subscribed names."""
    return {name for (name,) in connection.execute("SELECT name FROM subscriptions")}


def keywords_of(connection: sqlite3.Connection, mailbox: int) -> Keywords:
    """The keywords of a mailbox."""
    return Keywords(dict(connection.execute("SELECT number, name FROM keywords WHERE mailbox = ?", (mailbox,))))


def status_of(connection: sqlite3.Connection, mailbox: int) -> MailboxStatus:
    """The numbers of a mailbox, from counters."""
    row = connection.execute(_STATUS, (mailbox,)).fetchone()
    if row is None:
        raise Gone("the mailbox has been deleted")
    *numbers, unseen, deleted, recent_from, size = row
    first_unseen = sqlstates.first_unseen(connection, mailbox) if unseen else 0
    names = keywords_of(connection, mailbox).names
    return MailboxStatus(*(*numbers, unseen, deleted, recent_from, first_unseen, size, names))


def states_of(connection: sqlite3.Connection, mailbox: int, above: int = 0) -> StateColumns:
    """States of all messages, or of those whose MODSEQ is above a number; ascending by UID."""
    return sqlstates.states_above(connection, mailbox, fits(above)).states(keywords_of(connection, mailbox))


def states_among(connection: sqlite3.Connection, mailbox: int, uids: Sequence[int]) -> StateColumns:
    """States of those messages among ``uids`` that are there; ascending by UID."""
    found = sqlstates.states_of_uids(connection, mailbox, sorted(set(uids)))
    return found.states(keywords_of(connection, mailbox))


def uids_of(connection: sqlite3.Connection, mailbox: int) -> list[int]:
    """UIDs of all messages, ascending."""
    numbers_of(connection, mailbox)
    return [uid for (uid,) in connection.execute("SELECT uid FROM messages WHERE mailbox = ? ORDER BY uid", (mailbox,))]


def sizes_of(connection: sqlite3.Connection, mailbox: int) -> list[tuple[int, int]]:
    """UID and octets of all messages, ascending by UID."""
    numbers_of(connection, mailbox)
    return connection.execute("SELECT uid, size FROM messages WHERE mailbox = ? ORDER BY uid", (mailbox,)).fetchall()


def changes_of(connection: sqlite3.Connection, mailbox: int, since: int) -> Changes:
    """What happened to a mailbox after a MODSEQ."""
    numbers = numbers_of(connection, mailbox)
    if numbers.modseq <= since:
        return Changes(numbers.modseq, numbers.uid_next, (), ())
    if _forgotten_to(connection, mailbox) > since:
        # RFC 7162 section 3.2.5.1 has the client drop what it hears of, so naming every UID that is not there is right, too.
        present = set(uids_of(connection, mailbox))
        vanished = [uid for uid in range(1, numbers.uid_next) if uid not in present]
    else:
        vanished = [uid for (uid,) in connection.execute(_VANISHED, (mailbox, fits(since)))]
    return Changes(
        numbers.modseq, numbers.uid_next, tuple(states_of(connection, mailbox, max(since, 0))), tuple(vanished)
    )


def removed_since(connection: sqlite3.Connection, mailbox: int, modseq: int) -> bool:
    """
    Whether a message has been removed after a MODSEQ, or that is no longer known.

    :raises Gone: the mailbox has been deleted.
    """
    if numbers_of(connection, mailbox).modseq <= modseq:
        return False
    if _forgotten_to(connection, mailbox) > modseq:
        return True
    return connection.execute(f"{_VANISHED} LIMIT 1", (mailbox, modseq)).fetchone() is not None


def _forgotten_to(connection: sqlite3.Connection, mailbox: int) -> int:
    """The MODSEQ up to which it is no longer known what was removed."""
    modseq: int = connection.execute("SELECT forgotten_to FROM mailboxes WHERE number = ?", (mailbox,)).fetchone()[0]
    return modseq


def messages_in(connection: sqlite3.Connection, mailbox: int) -> int:
    """How many messages there are."""
    return status_of(connection, mailbox).messages


def deleted_size_of(connection: sqlite3.Connection, mailbox: int) -> int:
    """Octets of all messages flagged ``\\Deleted``."""
    numbers_of(connection, mailbox)
    uids = sqlstates.deleted_uids(connection, mailbox)
    octets: int = connection.execute(_SIZE, (mailbox, listed(uids))).fetchone()[0]
    return octets


def rows_since(connection: sqlite3.Connection, mailbox: int, since: int, limit: int) -> int:
    """How many rows :func:`changes_of` would look at; it is not counted beyond ``limit`` for each kind."""
    if numbers_of(connection, mailbox).modseq <= since:
        return 0
    if _forgotten_to(connection, mailbox) > since:
        return limit
    values = (mailbox, fits(since), limit)
    rows: int = BLOCK_COST * connection.execute(_CHANGED_ROWS, values).fetchone()[0]
    rows += connection.execute(_VANISHED_ROWS, values).fetchone()[0]
    return rows


def fetched(cursor: sqlite3.Cursor, much: float) -> tuple[list[tuple[Any, ...]], int | None]:
    """
    Rows, until they are much: ENVELOPE and BODYSTRUCTURE may be a megabyte long.

    :param cursor: of rows that begin with a UID.
    :param much: octets past which no further row is read.
    :returns: and the last UID, None if no row is left.
    """
    rows: list[tuple[Any, ...]] = cursor.fetchmany(SOME)
    places = [place for place, value in enumerate(rows[0]) if isinstance(value, bytes)] if rows else []
    if not places or much == inf:
        return rows + cursor.fetchall(), None
    some, octets = rows, 0
    while some:
        octets += sum(len(row[place] or b"") for place in places for row in some)
        if octets > much:
            cursor.close()
            return rows, rows[-1][0]
        some = cursor.fetchmany(SOME)
        rows += some
    return rows, None


def messages_of(
    connection: sqlite3.Connection, mailbox: int, uids: Sequence[int]
) -> tuple[list[Message], int | None]:
    """
    Those messages among ``uids`` that are there, or the first of them if they are large.

    :param uids: ascending, each once.
    :returns: and the UID up to which they are all there are, None if that is the last.
    """
    states = {state.uid: state for state in states_among(connection, mailbox, uids)}
    rows, upto = fetched(connection.execute(_MESSAGES, (mailbox, listed(uids))), MUCH)
    found = [
        Message(
            uid=uid,
            modseq=states[uid].modseq,
            flags=states[uid].flags,
            internal_date=moment_of(internal, zone),
            saved=moment_of(saved),
            size=size,
            header_size=header_size,
            email_id=email_id,
            envelope=envelope,
            body=body,
            body_structure=structure,
            parts=parts,
            thread_id=thread_id,
        )
        for uid, internal, zone, saved, size, header_size, email_id, envelope, body, structure, parts, thread_id in rows
        if uid in states
    ]
    return found, upto


def octets_of(connection: sqlite3.Connection, mailbox: int, uid: int, offset: int, length: int) -> bytes:
    """
    Octets of a message, fewer than ``length`` only at its end.

    :raises Gone: there is no such message.
    """
    numbers_of(connection, mailbox)
    row = connection.execute(
        "SELECT content, size FROM messages WHERE mailbox = ? AND uid = ?", (mailbox, fits(uid))
    ).fetchone()
    if row is None:
        raise Gone("the message has been removed")
    content, size = row
    return content_octets(connection, content, size, max(offset, 0), min(max(offset, 0) + max(length, 0), size))


def content_octets(connection: sqlite3.Connection, content: int, size: int, start: int, end: int) -> bytes:
    """
    Octets of a content from ``start`` to before ``end``, which is at most its size.

    :raises Missing: (:mod:`launcelot.mailstore.bodies`) its file has been removed since this commit.
    """
    found = bodies.octets_of(connection, content, size, start, end) if start < end else b""
    if found is not None:
        if len(found) < end - start:
            raise sqlite3.DatabaseError(MISSING)
        return found
    pieces = []
    position = start
    while position < end:
        number, inside = divmod(position, CHUNK)
        wanted = min(end - position, CHUNK - inside)
        pieces.append(_piece(connection, content << CHUNK_BITS | number, inside, wanted))
        position += wanted
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _piece(connection: sqlite3.Connection, chunk: int, offset: int, length: int) -> bytes:
    # An incremental read does not fetch the pages behind the piece; for whole chunks the plain one is faster.
    if offset == 0 and length < CHUNK:
        statement, values = "SELECT substr(octets, 1, ?) FROM chunks WHERE number = ?", (length, chunk)
    elif length == CHUNK:
        statement, values = "SELECT octets, ? FROM chunks WHERE number = ?", (0, chunk)
    else:
        with connection.blobopen("chunks", "octets", chunk, readonly=True) as blob:
            blob.seek(offset)
            return blob.read(length)
    row = connection.execute(statement, values).fetchone()
    if row is None:
        raise sqlite3.DatabaseError(MISSING)
    octets: bytes = row[0]
    return octets


# What lies below a name sorts between the name with "/" and the name with the next character, "0".
_INBOX = f"""
    SELECT number, uid_validity, uid_next, modseq, EXISTS (SELECT 1 FROM scripts WHERE active) FROM mailboxes
    WHERE name = '{INBOX}'
"""

_NAMED = """
    SELECT special_use,
        EXISTS (SELECT 1 FROM subscriptions WHERE name = :name),
        EXISTS (SELECT 1 FROM mailboxes WHERE name > :name || '/' AND name < :name || '0'),
        number, id, name, uid_validity, uid_next, modseq, messages, unseen
    FROM mailboxes WHERE name = :name
"""
_GLANCES = "SELECT number, id, name, uid_validity, uid_next, modseq, messages, unseen FROM mailboxes"
_STATUS = """
    SELECT id, uid_validity, uid_next, modseq, messages, unseen, deleted, recent_from, size FROM mailboxes WHERE number = ?
"""
_VANISHED = "SELECT uid FROM expunged WHERE mailbox = ? AND modseq > ? ORDER BY uid"
_SIZE = """
    SELECT coalesce(sum(size), 0) FROM messages WHERE mailbox = ? AND uid IN (SELECT value FROM json_each(?))
"""
_CHANGED_ROWS = "SELECT count(*) FROM (SELECT 1 FROM states WHERE mailbox = ? AND modseq > ? LIMIT ?)"
_VANISHED_ROWS = "SELECT count(*) FROM (SELECT 1 FROM expunged WHERE mailbox = ? AND modseq > ? LIMIT ?)"
_MESSAGES = """
    SELECT m.uid, m.internal, m.internal_zone, m.saved,
        m.size, c.header_size, c.email_id, c.envelope, c.body, c.body_structure, c.parts, c.thread_id
    FROM messages AS m JOIN contents AS c ON c.number = m.content
    WHERE m.mailbox = ? AND m.uid IN (SELECT value FROM json_each(?))
    ORDER BY m.uid
"""
