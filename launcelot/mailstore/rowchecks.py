"""
What the rows of an account's mail file must say of each other, each check with its mending.

A check gets a :class:`~launcelot.mailstore.sqlwriting.Writing` where it is to mend and None where it is only to look; it
reports one line for each thing that is wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from launcelot.mailstore import digests, mending, sqlrows, sqlstates, textindex
from launcelot.mailstore.dates import moment_of
from launcelot.mailstore.findings import Finding
from launcelot.mailstore.flags import NO_FLAGS, SYSTEM_COUNT
from launcelot.mailstore.interface import INBOX
from launcelot.mailstore.schema import CHUNK_BITS
from launcelot.mailstore.sqlwriting import Writing
from launcelot.mailstore.statechecks import states

RowCheck = Callable[[sqlite3.Connection, Writing | None], Iterator[Finding]]


def inbox(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """There is an INBOX."""
    if connection.execute("SELECT 1 FROM mailboxes WHERE name = ?", (INBOX,)).fetchone() is None:
        if writing is not None:
            writing.add_mailbox(INBOX, "")
        yield Finding("mailbox", "INBOX was missing", writing is not None)


def strays(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """What belongs to a mailbox belongs to one that is there; a message without one is kept."""
    lost = connection.execute(
        "SELECT mailbox, uid FROM messages WHERE mailbox NOT IN (SELECT number FROM mailboxes) ORDER BY 1, 2"
    ).fetchall()
    for mailbox, uid in lost:
        text = f"message {uid} of mailbox number {mailbox}, which is not there"
        if writing is not None:
            row = connection.execute(_CONTENT_OF, (mailbox, uid)).fetchone()
            connection.execute("DELETE FROM messages WHERE mailbox = ? AND uid = ?", (mailbox, uid))
            text += f"; {_rescue(writing, row[0], row[1], row[2])}"
        yield Finding("stray", text, writing is not None)
    for table in ("states", "keywords", "expunged", "annotations", "grants"):
        where = "mailbox <> 0 AND mailbox NOT IN (SELECT number FROM mailboxes)"
        count = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
        if count:
            if writing is not None:
                connection.execute(f"DELETE FROM {table} WHERE {where}")
            yield Finding("stray", f"{count} rows of {table} belong to no mailbox", writing is not None)


def bodiless(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """Each message has a content."""
    rows = connection.execute(
        """
        SELECT m.mailbox, b.name, m.uid FROM messages AS m JOIN mailboxes AS b ON b.number = m.mailbox
        WHERE m.content NOT IN (SELECT number FROM contents) ORDER BY m.mailbox, m.uid
        """
    ).fetchall()
    for mailbox, name, uid in rows:
        if writing is not None:
            writing.take(mailbox, writing.rows(mailbox, [uid]))
        text = f"{name} UID {uid} has no content" + ("; it was removed" if writing is not None else "")
        yield Finding("message", text, writing is not None)


def orphans(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """Each content is in a mailbox, and all octets belong to a content."""
    unused = connection.execute(
        "SELECT number, sent, sent_zone FROM contents WHERE number NOT IN (SELECT content FROM messages) ORDER BY number"
    ).fetchall()
    for number, sent, zone in unused:
        text = f"content {number} is in no mailbox"
        if writing is not None:
            text += f"; {_rescue(writing, number, sent, zone)}"
        yield Finding("orphan", text, writing is not None)
    count = connection.execute("SELECT count(*) FROM chunks WHERE typeof(octets) <> 'blob'").fetchone()[0]
    if count:
        if writing is not None:
            connection.execute("UPDATE chunks SET octets = CAST(octets AS BLOB) WHERE typeof(octets) <> 'blob'")
        yield Finding("octets", f"{count} pieces of octets are marked as something else", writing is not None)
    where = f"number >> {CHUNK_BITS} NOT IN (SELECT number FROM contents)"
    count = connection.execute(f"SELECT count(*) FROM chunks WHERE {where}").fetchone()[0]
    if count:
        if writing is not None:
            connection.execute(f"DELETE FROM chunks WHERE {where}")
        yield Finding("orphan", f"{count} pieces of octets belong to no message", writing is not None)
    count = connection.execute("SELECT count(*) FROM files WHERE content NOT IN (SELECT number FROM contents)").fetchone()[0]
    if count:
        if writing is not None:
            connection.execute("DELETE FROM files WHERE content NOT IN (SELECT number FROM contents)")
        yield Finding("orphan", f"{count} bodies in files belong to no message", writing is not None)


def _rescue(writing: Writing, content: int, seconds: int | None, zone: int | None) -> str:
    """Put a content that has no place any more into the mailbox for such."""
    connection = writing.connection
    others = connection.execute("SELECT 1 FROM messages WHERE content = ?", (content,)).fetchone()
    octets = mending.octets_of(connection, content)
    if others is not None:
        return "it is elsewhere, too"
    said = "nothing is left of it"
    if octets:
        date = None if seconds is None else moment_of(seconds, zone or 0)
        added = writing.add(mending.recovered(writing), octets, None, NO_FLAGS, date)
        said = f"it is now {mending.RECOVERED} UID {added.uid}"
    connection.execute("DELETE FROM contents WHERE number = ?", (content,))
    mending.drop_octets(connection, content)
    return said


def columns(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """Sizes and days of messages are those of their contents and moments, and no flag is without a name."""
    for what, where, mend in _COLUMNS:
        count = connection.execute(f"SELECT count(*) FROM messages WHERE {where}").fetchone()[0]
        if count:
            if writing is not None:
                connection.execute(f"UPDATE messages SET {mend} WHERE {where}")
            yield Finding("message", f"{count} messages have {what}", writing is not None)
    for number, name in connection.execute("SELECT number, name FROM mailboxes").fetchall():
        yield from _keywords(connection, writing, number, name)


def _keywords(connection: sqlite3.Connection, writing: Writing | None, mailbox: int, name: str) -> Iterator[Finding]:
    named = sqlrows.keywords_of(connection, mailbox).numbered()
    used = sqlstates.masks_of(connection, mailbox) >> SYSTEM_COUNT
    for bit in [bit for bit in range(used.bit_length()) if used >> bit & 1 and bit not in named]:
        if writing is not None:
            connection.execute("INSERT INTO keywords VALUES (?, ?, ?)", (mailbox, bit, f"$Unnamed{bit}"))
        said = f"; it is now called $Unnamed{bit}" if writing is not None else ""
        yield Finding("keyword", f"a keyword of {name} has no name{said}", writing is not None)


def numbers(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """UIDNEXT, HIGHESTMODSEQ and UIDVALIDITY are above all that they must be above."""
    for what, table, where, mend in _NUMBERS:
        for name in [row[0] for row in connection.execute(f"SELECT {table[1]} FROM {table[0]} WHERE {where}").fetchall()]:
            yield Finding("number", what.format(name), writing is not None)
        if writing is not None:
            connection.execute(f"UPDATE {table[0]} SET {mend} WHERE {where}")
    returned = "EXISTS (SELECT 1 FROM messages AS m WHERE m.mailbox = expunged.mailbox AND m.uid = expunged.uid)"
    count = connection.execute(f"SELECT count(*) FROM expunged WHERE {returned}").fetchone()[0]
    if count:
        if writing is not None:
            connection.execute(f"DELETE FROM expunged WHERE {returned}")
        yield Finding("number", f"{count} messages that are there are said to have been removed", writing is not None)


def counters(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """Counters are those that counting gives."""
    wrong_uses = connection.execute(_USES).fetchall()
    for number, kept, right in wrong_uses:
        yield Finding("counter", f"uses of content {number} are {right}, not {kept}", writing is not None)
    if writing is not None:
        connection.executemany("UPDATE contents SET uses = ?3 WHERE number = ?1 AND uses = ?2", wrong_uses)
    for what, table, counted in _COUNTERS:
        wrong = f"SELECT {table[1]}, {what}, {counted} FROM {table[0]} WHERE {what} IS NOT {counted}"
        for name, kept, right in connection.execute(wrong).fetchall():
            yield Finding("counter", f"{what} of {name} is {right}, not {kept}", writing is not None)
        if writing is not None:
            connection.execute(f"UPDATE {table[0]} SET {what} = {counted} WHERE {what} IS NOT {counted}")


def index(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """The text index reaches no further than there are contents, and can be read."""
    reached, last = connection.execute(
        "SELECT indexed_to, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'contents'), 0) FROM upkeep"
    ).fetchone()
    problem = "reaches further than there are messages" if reached > last else ""
    there = textindex.exists(connection)
    if reached > 0 and not there and textindex.available():
        problem = "is missing"
    if not problem and there:
        try:
            if not textindex.has_all(connection):
                problem = "does not have what messages say"
            if writing is not None:
                connection.execute("INSERT INTO texts (texts) VALUES ('integrity-check')")
                connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        except sqlite3.DatabaseError:
            problem = "cannot be read"
    if problem:
        if writing is not None:
            textindex.reset(connection)
        said = "; it is made anew" if writing is not None else ""
        yield Finding("index", f"the text index {problem}{said}", writing is not None)


def digested(connection: sqlite3.Connection, writing: Writing | None) -> Iterator[Finding]:
    """Digests say what messages say."""
    try:
        right = digests.is_right(connection)
    except sqlite3.DatabaseError:
        right = False
    if not right:
        if writing is not None:
            digests.reset(connection)
        said = "; they are made anew" if writing is not None else ""
        yield Finding("index", f"digests do not say what messages say{said}", writing is not None)


_CONTENT_OF = "SELECT content, internal, internal_zone FROM messages WHERE mailbox = ? AND uid = ?"
_EPOCH_DAY = 719_163
"""1970-01-01, as :meth:`datetime.date.toordinal` counts."""
_DAY = f"(internal + 60 * internal_zone - ((internal + 60 * internal_zone) % 86400 + 86400) % 86400) / 86400 + {_EPOCH_DAY}"
_SIZE = "(SELECT size FROM contents WHERE number = content)"
_COLUMNS = (
    ("another size than their content", f"size IS NOT {_SIZE} AND content IN (SELECT number FROM contents)", f"size = {_SIZE}"),
    ("a day that is not the day of their date", f"internal_day <> {_DAY}", f"internal_day = {_DAY}"),
)
_MAILBOX = ("mailboxes", "name")
_ACCOUNT = ("account", "'the account'")
_HIGHEST_UID = """max(
    coalesce((SELECT max(uid) FROM messages WHERE mailbox = mailboxes.number), 0),
    coalesce((SELECT max(uid) FROM expunged WHERE mailbox = mailboxes.number), 0)
)"""
_HIGHEST_MODSEQ = """max(
    coalesce((SELECT max(modseq) FROM states WHERE mailbox = mailboxes.number), 0),
    coalesce((SELECT max(modseq) FROM expunged WHERE mailbox = mailboxes.number), 0),
    forgotten_to
)"""
_HIGHEST_VALIDITY = "(SELECT max(uid_validity) FROM mailboxes)"
_NUMBERS = (
    ("UIDNEXT of {} is below a UID", _MAILBOX, f"uid_next <= {_HIGHEST_UID}", f"uid_next = {_HIGHEST_UID} + 1"),
    ("HIGHESTMODSEQ of {} is below a MODSEQ", _MAILBOX, f"modseq < {_HIGHEST_MODSEQ}", f"modseq = {_HIGHEST_MODSEQ}"),
    ("recent messages of {} begin above UIDNEXT", _MAILBOX, "recent_from > uid_next", "recent_from = uid_next"),
    ("UIDVALIDITY of {} is none", _MAILBOX, "uid_validity < 1", "uid_validity = 1 + (SELECT max(uid_validity) FROM account)"),
    ("UIDVALIDITY of {} is below a mailbox's", _ACCOUNT, f"uid_validity < {_HIGHEST_VALIDITY}",
     f"uid_validity = {_HIGHEST_VALIDITY}"),
)  # fmt: skip
_USES = """
    WITH counted AS MATERIALIZED (SELECT content, count(*) AS uses FROM messages GROUP BY content)
    SELECT c.number, c.uses, coalesce(counted.uses, 0) FROM contents AS c LEFT JOIN counted ON counted.content = c.number
    WHERE c.uses IS NOT coalesce(counted.uses, 0)
"""
_OF_MAILBOX = "FROM messages AS m WHERE m.mailbox = mailboxes.number"
_COUNTERS = (
    ("messages", _MAILBOX, f"(SELECT count(*) {_OF_MAILBOX})"),
    ("unseen", _MAILBOX, "(SELECT coalesce(sum(s.unseen), 0) FROM states AS s WHERE s.mailbox = mailboxes.number)"),
    ("deleted", _MAILBOX, "(SELECT coalesce(sum(s.deleted), 0) FROM states AS s WHERE s.mailbox = mailboxes.number)"),
    ("size", _MAILBOX, f"(SELECT coalesce(sum(m.size), 0) {_OF_MAILBOX})"),
    ("messages", _ACCOUNT, "(SELECT count(*) FROM messages)"),
    ("octets", _ACCOUNT, "(SELECT coalesce(sum(size), 0) FROM messages)"),
)

ROW_CHECKS: tuple[RowCheck, ...] = (inbox, states, strays, bodiless, orphans, columns, numbers, counters, index, digested)
"""In the order in which one may rely on those before."""
