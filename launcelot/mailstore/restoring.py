"""
Bringing mail back from a backup (:mod:`launcelot.mailstore.backup`), in one ordinary transaction: a daemon may serve the account
meanwhile, and its sessions see one change.

A whole account becomes what it was, with its UIDs and UIDVALIDITYs.  What clients learned since then stays true all the same
(RFC 9051 section 2.3.1.1, RFC 7162): UIDNEXT and HIGHESTMODSEQ never fall, messages that came later are remembered as
removed, and everything counts as changed.  Keys of deliveries are kept, so that mail on its way is not delivered twice.

One mailbox is merged: its messages are added, with flags and dates, under new UIDs.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from launcelot.core.errors import NotFound
from launcelot.mailstore import bodies, checking, mending, sqlrows, sqlstates, sqlthreadids, textindex
from launcelot.mailstore.backup import ACCOUNT, BackupRefused, copy_octets, kind_of
from launcelot.mailstore.checking import Progress
from launcelot.mailstore.dates import moment_of
from launcelot.mailstore.names import known
from launcelot.mailstore.salvage import tables_of
from launcelot.mailstore.schema import MIGRATIONS
from launcelot.mailstore.sqlwriting import CONTENT_COLUMNS, Writing
from launcelot.workers.database import connect, migrate

Now = Callable[[], datetime]
Ids = Callable[[], str]

OF_NOW = frozenset({"outgoing"})
"""Tables that going back leaves alone: what was sent since then is not sent again."""
OF_BOTH = frozenset({"deliveries", "remembered"})
"""Tables that keep what they have and get what they had: neither mail nor a vacation's answer comes twice."""


def of_mailboxes(connection: sqlite3.Connection) -> list[str]:
    """Tables whose rows name a mailbox."""
    return [
        table
        for table in tables_of()
        if any(row[1] == "mailbox" for row in connection.execute(f"PRAGMA main.table_info({table})"))
    ]


def prepare(backup: Path, folder: Path, now: Now, ids: Ids) -> Path:
    """
    A copy of a backup that may be worked with, brought up to date and mended.

    :param folder: for the copy; the caller removes it.
    :raises BackupRefused: it is no backup, or is damaged.
    :raises NewerSchema: a newer program made it.
    """
    kind_of(backup)
    copy = folder / "backup.db"
    shutil.copyfile(backup, copy)
    try:
        with closing(connect(copy)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            migrate(connection, MIGRATIONS)
            if checking.repair(connection, now, ids, lambda done, total: None).broken:
                raise BackupRefused("the backup is damaged; launcelot fsck cannot mend it either")
    except sqlite3.DatabaseError as error:
        raise BackupRefused("the backup is damaged") from error
    return copy


# -- an account ----------------------------------------------------------------------------------------------------


def restore_account(live: sqlite3.Connection, copy: Path, progress: Progress) -> set[int]:
    """
    Make an account what it was.

    :param copy: what :func:`prepare` made, of a whole account; it is changed.
    :returns: numbers of the mailboxes that are touched.
    :raises BackupRefused: it is of one mailbox only.
    """
    if kind_of(copy) != ACCOUNT:
        raise BackupRefused("this is a backup of one mailbox; name it with --mailbox")
    live.execute("ATTACH ? AS kept", (f"{copy.absolute().as_uri()}?mode=rw",))
    try:
        with mending.transaction(live):
            touched = {number for (number,) in live.execute("SELECT number FROM main.mailboxes")}
            _renumber(live)
            _carry_on(live)
            live.execute(_KEEP_THREADS)
            for table in tables_of():
                _take_over(live, table)
            contents = [(number, number) for (number,) in live.execute("SELECT number FROM kept.contents ORDER BY number")]
            copy_octets(live, "kept", contents, progress)
            textindex.reset(live)
            sqlthreadids.reset(live)
            touched.update(number for (number,) in live.execute("SELECT number FROM main.mailboxes"))
    finally:
        live.execute("DETACH kept")
    # Of the files that went, those which nobody holds; the others are found later.
    bodies.sweep(live)
    return touched


def _renumber(live: sqlite3.Connection) -> None:
    """A mailbox that comes back has its number unless another one has it now, which sessions may have open."""
    taken = live.execute(
        "SELECT k.number FROM kept.mailboxes AS k JOIN main.mailboxes AS m ON m.number = k.number AND m.id <> k.id"
    ).fetchall()
    highest = live.execute(
        """
        SELECT max((SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name = 'mailboxes'),
                   (SELECT coalesce(max(seq), 0) FROM kept.sqlite_sequence WHERE name = 'mailboxes'))
        """
    ).fetchone()[0]
    for count, (number,) in enumerate(taken, 1):
        live.execute("UPDATE kept.mailboxes SET number = ? WHERE number = ?", (highest + count, number))
        for table in of_mailboxes(live):
            live.execute(f"UPDATE kept.{table} SET mailbox = ? WHERE mailbox = ?", (highest + count, number))


def _carry_on(live: sqlite3.Connection) -> None:
    """Have nothing fall that must not fall, and remember what was removed by going back."""
    for statement in _CARRY_ON:
        live.execute(statement)
    fresh = live.execute(_NEW_VALIDITY).fetchall()
    highest = live.execute("SELECT uid_validity FROM kept.account").fetchone()[0]
    for count, (number,) in enumerate(fresh, 1):
        live.execute("UPDATE kept.mailboxes SET uid_validity = ? WHERE number = ?", (highest + count, number))
    live.execute("UPDATE kept.account SET uid_validity = uid_validity + ?", (len(fresh),))


def _take_over(live: sqlite3.Connection, table: str) -> None:
    columns = ", ".join(row[1] for row in live.execute(f"PRAGMA main.table_info({table})"))
    if table in OF_NOW:
        return
    if table not in OF_BOTH:
        live.execute(f"DELETE FROM main.{table}")
    if table != "chunks":
        live.execute(f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM kept.{table}")


_SAME = "main.mailboxes AS m WHERE m.id = k.id AND m.uid_validity = k.uid_validity"
_PAIRED = f"EXISTS (SELECT 1 FROM {_SAME})"
_CARRY_ON = (
    # A mailbox that is there still: its numbers go on from the higher ones.
    f"""
    UPDATE kept.mailboxes AS k SET
        uid_next = max(uid_next, (SELECT m.uid_next FROM {_SAME})),
        modseq = max(modseq, (SELECT m.modseq FROM {_SAME})) + 1,
        forgotten_to = max(forgotten_to, (SELECT m.forgotten_to FROM {_SAME}))
    WHERE {_PAIRED}
    """,
    """
    INSERT OR IGNORE INTO kept.expunged
        SELECT k.number, e.modseq, e.uid FROM main.expunged AS e
        JOIN main.mailboxes AS m ON m.number = e.mailbox
        JOIN kept.mailboxes AS k ON k.id = m.id AND k.uid_validity = m.uid_validity
    """,
    """
    INSERT OR IGNORE INTO kept.expunged
        SELECT k.number, k.modseq, g.uid FROM main.messages AS g
        JOIN main.mailboxes AS m ON m.number = g.mailbox
        JOIN kept.mailboxes AS k ON k.id = m.id AND k.uid_validity = m.uid_validity
    """,
    """
    DELETE FROM kept.expunged
        WHERE EXISTS (SELECT 1 FROM kept.messages AS n WHERE n.mailbox = expunged.mailbox AND n.uid = expunged.uid)
    """,
    f"""
    UPDATE kept.states SET modseq = (SELECT k.modseq FROM kept.mailboxes AS k WHERE k.number = states.mailbox), modseqs = x''
        WHERE mailbox IN (SELECT k.number FROM kept.mailboxes AS k WHERE {_PAIRED})
    """,
    "UPDATE kept.account SET uid_validity = max(uid_validity, (SELECT uid_validity FROM main.account))",
    "UPDATE kept.account SET annotation_change = max(annotation_change, (SELECT annotation_change FROM main.account)) + 1",
)
# A name that was made again since then has a higher UIDVALIDITY, and must not have a lower one.  RFC 9051 section 6.3.5.
_NEW_VALIDITY = """
    SELECT k.number FROM kept.mailboxes AS k
    JOIN main.mailboxes AS m ON m.name = k.name AND m.uid_validity <> k.uid_validity
"""


# -- a mailbox -----------------------------------------------------------------------------------------------------


def restore_mailbox(
    live: sqlite3.Connection, copy: Path, name: str, into: str, now: Now, ids: Ids, progress: Progress
) -> tuple[int, set[int]]:
    """
    Add the messages of one mailbox of a backup to a mailbox, which is made if it is not there.

    A message that the account still has elsewhere takes no more room.

    :returns: how many, and the numbers of the mailboxes that are touched.
    :raises NotFound: the backup has no such mailbox.
    """
    live.execute("ATTACH ? AS kept", (f"{copy.absolute().as_uri()}?mode=rw",))
    try:
        with mending.transaction(live):
            row = live.execute("SELECT number FROM kept.mailboxes WHERE name = ?", (known(name),)).fetchone()
            if row is None:
                raise NotFound("the backup has no such mailbox")
            writing = Writing(live, None, now, ids)
            target = _target(writing, into)
            count = _merge(writing, row[0], target, progress)
    finally:
        live.execute("DETACH kept")
    return count, writing.touched | {target}


def _target(writing: Writing, name: str) -> int:
    try:
        return sqlrows.number_named(writing.connection, name)
    except NotFound:
        return sqlrows.number_named(writing.connection, writing.create(name, ""))


def _merge(writing: Writing, mailbox: int, target: int, progress: Progress) -> int:
    live = writing.connection
    # The names of keywords in the backup; the view of them that others use is of the live file.
    named = dict(live.execute("SELECT number, name FROM kept.keywords WHERE mailbox = ?", (mailbox,)))
    rows = live.execute(_MERGED, (mailbox,)).fetchall()
    states = sqlstates.whole(sqlstates.blocks_between(live, mailbox, schema="kept"))
    masks = dict(zip(states.uids, states.masks, strict=True))
    known_here = {tuple(key): number for number, *key in live.execute(_KNOWN)}
    here: dict[int, int] = {}
    new: list[tuple[int, int]] = []
    for uid, content, internal, zone, *key in rows:
        if content not in here:
            number = known_here.get(tuple(key))
            if number is None:
                number = live.execute(_ADOPT, (content,)).lastrowid or 0
                new.append((content, number))
            here[content] = number
        given = mending.flags_of(named, masks.get(uid, 0))
        writing.put(target, here[content], given, moment_of(internal, zone))
    copy_octets(live, "kept", new, progress)
    return len(rows)


_MERGED = """
    SELECT k.uid, k.content, k.internal, k.internal_zone, c.email_id, c.checksum, c.size
    FROM kept.messages AS k JOIN kept.contents AS c ON c.number = k.content
    WHERE k.mailbox = ? ORDER BY k.uid
"""
_KEEP_THREADS = """
    UPDATE kept.contents AS k SET thread_id = m.thread_id FROM main.contents AS m
    WHERE m.email_id = k.email_id AND m.thread_id IS NOT NULL
"""
_KNOWN = "SELECT number, email_id, checksum, size FROM main.contents WHERE checksum IS NOT NULL"
_ADOPT = f"""
    INSERT INTO main.contents (uses, email_id, thread_id, checksum, {", ".join(CONTENT_COLUMNS)})
    SELECT 0, email_id, thread_id, checksum, {", ".join(CONTENT_COLUMNS)} FROM kept.contents WHERE number = ?
"""
