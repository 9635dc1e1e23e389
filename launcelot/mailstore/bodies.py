"""
Large bodies: each a file of its own in a folder beside the account's mail file, written once.

Through SQLite they would be written twice, into its log and from there into the file, by one thread.  What is kept of a message
is the same for both; of a body in a file the header stands in ``chunks`` as well, because it is what is asked for most.
Invariants:

- A file and its name are on disk before the row of ``files`` that names it is committed, and it is never changed then.
- A file goes after the commit that lets go of its name.  Whoever reads at an earlier commit may find it gone
  (:class:`Missing`) and looks again at the present one.
- A file without a row is left from a crash, or somebody is about to name it: then he holds a flock(2) on it, or the write
  transaction of the mail file.  :func:`sweep` removes what nobody holds.
- Nothing is removed while somebody keeps all of an old commit readable with :func:`held`, as a backup does.

Files of backups have no folder beside them; they hold all octets themselves.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcelot.core.errors import TryLater
from launcelot.mailstore.checksums import checksum_of
from launcelot.mailstore.schema import CHUNK, CHUNK_BITS
from launcelot.mailstore.sheets import WHOLE
from launcelot.message.analysis import Analysis, analyse
from launcelot.workers.database import sync_directory
from launcelot.workers.staging import Buffer

LARGE = 262_144
"""Octets past which a new body goes into a file; up to there one sync fewer makes SQLite as quick."""
LEAST = 65_536
"""Octets that a body in a file has at least, whatever :data:`LARGE` was when it came; more than are ever asked for as a whole."""
FOLDER = "bodies"
LOCK_NAME = "bodies.lock"
"""Beside the mail file: whoever removes bodies has a flock(2) on it, shared by all who want them to stay."""
WRITTEN = 65_536
"""Octets given to the system at once: for more it takes larger pieces of memory, which cost it four times the time."""
TOGETHER = 64
"""Files that are held, and looked at, at a time."""
_LETTERS = frozenset("0123456789abcdef")
_NAME_LENGTH = 24


class Missing(sqlite3.DatabaseError):
    """
    A body's file is not there: it was removed since the commit that is read, or is lost.

    :ivar name: the file's.
    """

    def __init__(self, name: str) -> None:
        super().__init__("octets of a message are missing; launcelot fsck tells of which")
        self.name = name


class Kept:
    """
    A body on disk that no row may name yet; it is not swept away until :meth:`release`.

    :ivar named: whether a row was written that names it; whether that was committed only its writer knows.
    """

    def __init__(self, name: str, checksum: int, descriptor: int) -> None:
        self.name = name
        self.checksum = checksum
        self.named = False
        self._descriptor = [descriptor]

    def release(self) -> None:
        """Let go of it; may be called twice."""
        while self._descriptor:
            os.close(self._descriptor.pop())


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    What is made of a larger body before it takes part in a transaction.

    :ivar head: its header, if it is in a file and its header is not too long to be asked for as a whole.
    :ivar kept: the file, if it has one.
    """

    analysis: Analysis
    head: bytes = b""
    kept: Kept | None = None


def prepare(folder: Path, body: Buffer) -> Prepared:
    """
    Analyse a body, and keep a large one in a file; for a thread that may wait for the disk.

    :param folder: the account's.
    :raises TryLater: the disk is full or fails.
    """
    if len(body) <= LARGE:
        return Prepared(analyse(body))
    kept = keep(folder / FOLDER, pieces_of(body))
    try:
        analysis = analyse(body)
        return Prepared(analysis, head_of(body, analysis.header_size), kept)
    except BaseException:
        # What was staged is closed, because nobody waits for it any more.
        discard(folder / FOLDER, [kept.name])
        kept.release()
        raise


def pieces_of(body: Buffer) -> Iterator[bytes]:
    """All octets, :data:`CHUNK` at a time."""
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]


def head_of(body: Buffer, header_size: int) -> bytes:
    """The header, as it stands in ``chunks`` beside a file."""
    return body[:header_size] if header_size <= WHOLE else b""


# -- files ---------------------------------------------------------------------------------------------------------


def keep(folder: Path, pieces: Iterable[bytes]) -> Kept:
    """
    Write octets into a new file, and have them and its name on disk.

    :param folder: made if it is not there; the account's, above it, must be.
    :raises TryLater: the disk is full or fails; there is no file then.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_directory(folder.parent)
        name, descriptor = _begun(folder)
        try:
            checksum = checksum_of(_written(descriptor, pieces))
            os.fdatasync(descriptor)
            sync_directory(folder)
        except BaseException:
            (folder / name).unlink(missing_ok=True)
            os.close(descriptor)
            raise
    except OSError as error:
        raise TryLater("storage is not available") from error
    return Kept(name, checksum, descriptor)


def _begun(folder: Path) -> tuple[str, int]:
    """A new file that is held; whoever sweeps may have taken it for abandoned before it was."""
    while True:
        name = secrets.token_hex(_NAME_LENGTH // 2)
        descriptor = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:
            return name, descriptor
        os.close(descriptor)


def _written(descriptor: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest[:WRITTEN]) :]
        yield piece


def is_name(name: str) -> bool:
    """Whether a file may be called so."""
    return len(name) == _NAME_LENGTH and _LETTERS.issuperset(name)


def read(folder: Path, name: str, start: int, end: int) -> bytes:
    """
    Octets of a file, fewer only if it is shorter.

    :raises Missing: it is not there.
    """
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Missing(name) from None
    except OSError as error:
        raise sqlite3.OperationalError(f"{folder.parent.name}/{folder.name}/{name}: {error.strerror}") from error
    try:
        pieces = []
        while start < end:
            piece = os.pread(descriptor, end - start, start)
            if not piece:
                break
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except OSError as error:
        raise sqlite3.OperationalError(f"{folder.parent.name}/{folder.name}/{name}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def discard(folder: Path, names: Iterable[str]) -> bool:
    """
    Remove files that nobody will ever name again.

    :returns: False if somebody holds them all; :func:`sweep` finds them later.
    """
    with _removing(folder) as may:
        for name in names if may else ():
            (folder / name).unlink(missing_ok=True)
        return may


@contextmanager
def _removing(folder: Path) -> Iterator[bool]:
    """Whether files may be removed now."""
    try:
        descriptor = os.open(folder.parent / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False  # The account has been removed, or there are no descriptors left.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        may = False
    else:
        may = True
    try:
        yield may
    finally:
        os.close(descriptor)


@contextmanager
def held(connection: sqlite3.Connection, schema: str = "main") -> Iterator[None]:
    """Have no body removed that a transaction reads which is begun now; one in this or in another process."""
    folder = folder_of(connection, schema)
    if folder is None:
        yield
        return
    try:
        descriptor = os.open(folder.parent / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        # On a medium that cannot be written nobody removes anything.
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


# -- rows ----------------------------------------------------------------------------------------------------------


def folder_of(connection: sqlite3.Connection, schema: str = "main") -> Path | None:
    """Where the files are that a mail file names; None for a backup, which has none."""
    if connection.execute(f"PRAGMA {schema}.application_id").fetchone()[0]:
        return None
    for _, name, path in connection.execute("PRAGMA database_list"):
        if name == schema and path:
            return Path(path).parent / FOLDER
    return None


def name_of(connection: sqlite3.Connection, content: int, schema: str = "main") -> str | None:
    """The file of a content; None if its octets are in ``chunks``."""
    try:
        row = connection.execute(f"SELECT name FROM {schema}.files WHERE content = ?", (content,)).fetchone()
    except sqlite3.OperationalError:
        if has_files(connection, schema):
            raise
        return None  # It is read only, and of an earlier version.
    return None if row is None else row[0]


def octets_of(
    connection: sqlite3.Connection, content: int, size: int, start: int, end: int, schema: str = "main"
) -> bytes | None:
    """
    Octets of a content that is in a file, fewer only if it is damaged; None if it is not in one.

    :param size: the content's.
    :raises Missing: there is no such file.
    """
    name = name_of(connection, content, schema) if size > LEAST else None
    if name is None:
        return None
    folder = folder_of(connection, schema)
    if folder is None:
        raise Missing(name)
    return read(folder, name, start, end)


def keep_beside(connection: sqlite3.Connection, size: int, pieces: Iterable[bytes]) -> Kept | None:
    """
    Write a large body into a file, in a write transaction, which holds it; None where it belongs into ``chunks``.

    :raises TryLater: there is no room.
    """
    folder = folder_of(connection) if size > LARGE else None
    if folder is None:
        return None
    kept = keep(folder, pieces)
    kept.release()
    return kept


def put(connection: sqlite3.Connection, content: int, size: int, pieces: Iterable[bytes], head: bytes) -> int:
    """
    Give a content that has none its octets, in a write transaction; their checksum.

    :param pieces: :data:`CHUNK` octets each, the last excepted.
    :param head: see :func:`head_of`.
    :raises TryLater: there is no room for the file of a large one.
    """
    kept = keep_beside(connection, size, pieces)
    if kept is None:
        return checksum_of(_chunked(connection, content, pieces))
    name_it(connection, content, kept, head)
    return kept.checksum


def add_chunks(connection: sqlite3.Connection, content: int, pieces: Iterable[bytes]) -> None:
    """Give a content that has none its octets, of :data:`CHUNK` each, the last excepted; in a write transaction."""
    for _ in _chunked(connection, content, pieces):
        pass


def _chunked(connection: sqlite3.Connection, content: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for number, piece in enumerate(pieces):
        connection.execute("INSERT INTO chunks VALUES (?, ?)", (content << CHUNK_BITS | number, piece))
        yield piece


def name_it(connection: sqlite3.Connection, content: int, kept: Kept, head: bytes) -> None:
    """Say in a write transaction which file a content is in."""
    kept.named = True
    connection.execute("INSERT INTO files VALUES (?, ?)", (content, kept.name))
    if head:
        connection.execute("INSERT INTO chunks VALUES (?, ?)", (content << CHUNK_BITS, head))


def take_in(connection: sqlite3.Connection, source: Path, progress: Callable[[int], None]) -> None:
    """
    Have a copy of a mail file hold itself what is in files, as far as they are there; in a write transaction.

    :param source: the folder of the files.
    :param progress: told of octets after each body.
    """
    if not has_files(connection):
        return
    for content, name in connection.execute("SELECT content, name FROM files ORDER BY content").fetchall():
        head = connection.execute("SELECT octets FROM chunks WHERE number = ?", (content << CHUNK_BITS,)).fetchone()
        drop(connection, [content])
        size = 0
        for piece in _chunked(connection, content, pieces_in(source, name)):
            size += len(piece)
        if not size and head is not None:
            connection.execute("INSERT INTO chunks VALUES (?, ?)", (content << CHUNK_BITS, head[0]))
        progress(size)


def pieces_in(folder: Path, name: str) -> Iterator[bytes]:
    """What there is of a file, :data:`CHUNK` octets at a time."""
    start = 0
    while True:
        try:
            piece = read(folder, name, start, start + CHUNK)
        except sqlite3.DatabaseError:
            return  # Lost, or the disk does not give it; who asks finds less than there should be.
        if piece:
            yield piece
        if len(piece) < CHUNK:
            return
        start += CHUNK


def drop(connection: sqlite3.Connection, contents: Sequence[int]) -> list[str]:
    """
    Take their octets from contents, in a write transaction.

    :returns: the files they were in, to be discarded when that is committed.
    """
    bounds = [(content << CHUNK_BITS, (content + 1 << CHUNK_BITS) - 1) for content in contents]
    connection.executemany("DELETE FROM chunks WHERE number BETWEEN ? AND ?", bounds)
    if connection.execute("SELECT 1 FROM files LIMIT 1").fetchone() is None:
        return []
    names = [name for content in contents if (name := name_of(connection, content)) is not None]
    connection.executemany("DELETE FROM files WHERE content = ?", [(content,) for content in contents])
    return names


def has_files(connection: sqlite3.Connection, schema: str = "main") -> bool:
    """Whether a mail file is young enough to have bodies in files."""
    statement = f"SELECT 1 FROM {schema}.sqlite_master WHERE type = 'table' AND name = 'files'"
    return connection.execute(statement).fetchone() is not None


# -- what is left over ---------------------------------------------------------------------------------------------


def orphans(connection: sqlite3.Connection) -> list[str]:
    """Files that no row names, in name order; somebody may be about to name them.  Outside of a transaction."""
    folder = folder_of(connection)
    if folder is None or not folder.is_dir():
        return []
    # First the names on disk: what is committed meanwhile is among the rows.
    there = sorted(entry.name for entry in os.scandir(folder) if is_name(entry.name))
    named = {name for (name,) in connection.execute("SELECT name FROM files")} if has_files(connection) else set()
    return [name for name in there if name not in named]


def abandoned(connection: sqlite3.Connection) -> list[str]:
    """Those of them that nobody holds."""
    folder = folder_of(connection)
    found = []
    for name in orphans(connection):
        if folder is not None and (descriptor := _taken(folder, name)) is not None:
            os.close(descriptor)
            found.append(name)
    return found


def _taken(folder: Path, name: str) -> int | None:
    """A descriptor of a file that nobody else holds from now on; None if somebody does."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def sweep(connection: sqlite3.Connection) -> int:
    """
    Remove files that no row names and nobody holds; how many.

    :param connection: may write, and has no transaction open.
    """
    folder = folder_of(connection)
    names = orphans(connection)
    if folder is None or not names:
        return 0
    count = 0
    with _removing(folder) as may:
        for start in range(0, len(names) if may else 0, TOGETHER):
            count += _sweep(connection, folder, names[start : start + TOGETHER])
    return count


def _sweep(connection: sqlite3.Connection, folder: Path, names: Sequence[str]) -> int:
    taken: dict[str, int] = {}
    try:
        for name in names:
            descriptor = _taken(folder, name)
            if descriptor is not None:
                taken[name] = descriptor
        connection.execute("BEGIN IMMEDIATE")
        named = {name for (name,) in connection.execute("SELECT name FROM files")}
        # A commit that failed may still lie behind the end of SQLite's log, where a crash would find it; this takes its place.
        connection.execute("INSERT INTO files VALUES (0, '')")
        connection.execute("DELETE FROM files WHERE content = 0")
        connection.execute("COMMIT")
        unused = taken.keys() - named
        for name in unused:
            (folder / name).unlink(missing_ok=True)
        return len(unused)
    finally:
        if connection.in_transaction:
            connection.rollback()
        for descriptor in taken.values():
            os.close(descriptor)
