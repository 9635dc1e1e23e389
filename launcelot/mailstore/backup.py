"""
Copies of an account's mail, or of one mailbox, in a file of their own: made while others read and write.

A backup is a mail file like any other (:mod:`launcelot.mailstore.schema`), of one commit and whole in one file: bodies that lie
in files of their own (:mod:`launcelot.mailstore.bodies`) are taken in, and none of them is removed meanwhile.  It is made under
another name, checked, synced and then renamed: what has the name is whole.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from launcelot.core.errors import Invalid, NotFound
from launcelot.mailstore import bodies, checking, mending
from launcelot.mailstore.checking import Progress, Report
from launcelot.mailstore.names import known
from launcelot.mailstore.salvage import sync_file, tables_of
from launcelot.mailstore.schema import CHUNK_BITS, MIGRATIONS
from launcelot.workers.database import connect, migrate, sync_directory

ACCOUNT = 0x4C634163
"""``application_id`` of a backup of an account; "LcAc"."""
MAILBOX = 0x4C634D62
"""``application_id`` of a backup of one mailbox; "LcMb"."""
PAGES = 256
"""Pages copied at a time."""


class BackupRefused(Invalid):
    """What was made is not fit to be a backup, or what was given is none."""

    default_text = "this is not a backup"


def back_up_account(source: Path, target: Path, progress: Progress) -> Report:
    """
    Copy an account's file.

    :param target: must not exist, or is replaced.
    :returns: what a look through the copy found, mostly nothing.
    :raises BackupRefused: the source cannot be read.
    """
    with _making(target) as made:
        with (
            closing(connect(source, read_only=True)) as reading,
            closing(sqlite3.connect(made, isolation_level=None)) as writing,
            bodies.held(reading),
        ):
            size = reading.execute("PRAGMA page_size").fetchone()[0]
            # With a transaction open it is one commit that is copied, however long it takes and whoever writes meanwhile.
            reading.execute("BEGIN")
            reading.execute("SELECT 1 FROM account").fetchone()
            reading.backup(writing, pages=PAGES, progress=lambda _, left, all_: progress((all_ - left) * size, all_ * size))
            reading.rollback()
            writing.execute("PRAGMA journal_mode=DELETE")
            with mending.transaction(writing):
                bodies.take_in(writing, source.parent / bodies.FOLDER, _adding(progress, writing))
            writing.execute(f"PRAGMA application_id={ACCOUNT}")
        return _examined(made, progress)


def back_up_mailbox(
    source: Path, name: str, target: Path, now: Callable[[], datetime], ids: Callable[[], str], progress: Progress
) -> Report:
    """
    Copy one mailbox of an account into a file of its own.

    :raises NotFound: there is no such mailbox.
    :raises BackupRefused: the source cannot be read.
    """
    with _making(target) as made:
        with closing(connect(made)) as writing:
            # From here on it is known for a file that has all its octets itself.
            writing.execute(f"PRAGMA application_id={MAILBOX}")
            migrate(writing, MIGRATIONS)
            writing.execute("ATTACH ? AS source", (f"{source.absolute().as_uri()}?mode=ro",))
            with bodies.held(writing, "source"), mending.transaction(writing):
                _copy_mailbox(writing, name, progress)
            writing.execute("DETACH source")
            checking.repair(writing, now, ids, lambda done, total: None)
        return _examined(made, progress)


def kind_of(path: Path) -> int:
    """
    :data:`ACCOUNT` or :data:`MAILBOX`.

    :raises BackupRefused: the file is no backup.
    """
    try:
        with closing(connect(path, read_only=True)) as reading:
            kind: int = reading.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB:
            raise BackupRefused from error
        raise BackupRefused("the backup is damaged") from error
    if kind not in (ACCOUNT, MAILBOX):
        raise BackupRefused
    return kind


@contextmanager
def _making(target: Path) -> Iterator[Path]:
    """A new file beside the target, which takes its place in the end, or nothing does."""
    made = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        try:
            yield made
            sync_file(made)
            os.replace(made, target)
            sync_directory(target.parent)
        except sqlite3.DatabaseError as error:
            raise BackupRefused("the mail cannot be read; see launcelot fsck") from error
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            made.with_name(made.name + end).unlink(missing_ok=True)


def _examined(made: Path, progress: Progress) -> Report:
    with closing(connect(made, read_only=True)) as reading:
        if not checking.up_to_date(reading):
            return Report([], broken=bool(checking.structure(reading)))
        report = checking.check(reading, progress)
    if report.broken:
        raise BackupRefused("the mail cannot be read; see launcelot fsck")
    return report


def _copy_mailbox(writing: sqlite3.Connection, name: str, progress: Progress) -> None:
    row = writing.execute("SELECT number FROM source.mailboxes WHERE name = ?", (known(name),)).fetchone()
    if row is None:
        raise NotFound("no such mailbox")
    (number,) = row
    contents = "SELECT content FROM source.messages WHERE mailbox = ?"
    for table in tables_of():
        key = "number" if table in ("mailboxes", "contents") else "mailbox"
        columns = [row[1] for row in writing.execute(f"PRAGMA main.table_info({table})")]
        if table not in ("mailboxes", "contents") and "mailbox" not in columns:
            continue
        where = f"number IN ({contents})" if table == "contents" else f"{key} = ?"
        names = ", ".join(columns)
        writing.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM source.{table} WHERE {where}", (number,))
    copy_octets(writing, "source", [(one, one) for (one,) in writing.execute("SELECT number FROM main.contents")], progress)
    writing.execute("UPDATE account SET uid_validity = (SELECT uid_validity FROM source.account)")


def _adding(progress: Progress, connection: sqlite3.Connection) -> Callable[[int], None]:
    """What counts octets of bodies and tells of them."""
    if not bodies.has_files(connection):
        return lambda octets: None
    row = connection.execute("SELECT coalesce(sum(size), 0) FROM contents WHERE number IN (SELECT content FROM files)").fetchone()
    done = 0

    def add(octets: int) -> None:
        nonlocal done
        done += octets
        progress(done, max(done, row[0]))

    return add


def copy_octets(
    connection: sqlite3.Connection, source: str, contents: list[tuple[int, int]], progress: Progress
) -> None:
    """
    Copy octets of contents from an attached file, in a write transaction; large ones go into files, except in backups.

    :param contents: numbers there and here.
    :raises TryLater: there is no room for a file.
    """
    sizes = {number: (size, header) for number, size, header in connection.execute(_SIZES.format(source))}
    total, done = sum(sizes[there][0] for there, _ in contents), 0
    for there, here in contents:
        size, header_size = sizes[there]
        name = bodies.name_of(connection, there, source)
        if name is None and size <= bodies.LARGE:
            connection.execute(
                f"INSERT INTO main.chunks SELECT number + ?, octets FROM {source}.chunks WHERE number BETWEEN ? AND ?",
                ((here - there) << CHUNK_BITS, there << CHUNK_BITS, (there + 1 << CHUNK_BITS) - 1),
            )
        else:
            folder = None if name is None else bodies.folder_of(connection, source)
            pieces = _chunks(connection, source, there) if name is None or folder is None else bodies.pieces_in(folder, name)
            bodies.put(connection, here, size, pieces, _head(connection, source, there, header_size))
        done += size
        progress(done, total)


def _chunks(connection: sqlite3.Connection, source: str, content: int) -> Iterator[bytes]:
    bounds = (content << CHUNK_BITS, (content + 1 << CHUNK_BITS) - 1)
    statement = f"SELECT octets FROM {source}.chunks WHERE number BETWEEN ? AND ? ORDER BY number"
    for (piece,) in connection.execute(statement, bounds):
        yield piece


def _head(connection: sqlite3.Connection, source: str, content: int, header_size: int) -> bytes:
    row = connection.execute(f"SELECT octets FROM {source}.chunks WHERE number = ?", (content << CHUNK_BITS,)).fetchone()
    return bodies.head_of(row[0], header_size) if row is not None else b""


_SIZES = "SELECT number, size, header_size FROM {}.contents"
