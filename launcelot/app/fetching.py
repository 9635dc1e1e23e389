"""
Fetching mail from a server into files: what is on disk is written down, and only what is written down may be removed there.

Each message takes these steps, and a run that is cut off anywhere is gone on with by the next one:

1. it is received into a file of its own and synced;
2. it is put where it belongs, which is synced as well (:mod:`launcelot.app.fetchtargets`);
3. its identifier is written into the journal, which is synced;
4. with ``--delete`` it is removed on the server, which says so at the end of the session.

Between 2 and 3 the place itself tells that the message is there, so that nothing is fetched twice; between 3 and 4 the journal
does, so that the next run removes it.  Nothing is removed that has not taken step 3.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from launcelot.app.errors import CANNOT_CREATE, TEMPORARY, Ending
from launcelot.app.fetchtargets import Arrived, Parcel, Target, put
from launcelot.workers.database import sync_directory

BATCH = 50
"""Messages asked for at once."""

BATCH_OCTETS = 16 << 20
"""Octets asked for at once, unless one message has more."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class Remote:
    """
    A message on the server.

    :ivar key: names it there for ever.
    :ivar number: names it in this session.
    :ivar size: octets, as the server tells them.
    :ivar flags: letters of a Maildir.
    :ivar date: when it came there; None where the server does not tell.
    """

    key: str
    number: int
    size: int
    flags: str = ""
    date: datetime | None = None


class Source(Protocol):
    """A mailbox on a server, for one session; each method raises Ending where the server or the way there fails."""

    @property
    def name(self) -> str:
        """The server, the user and the mailbox as a URL; the same for ever."""

    async def open(self) -> Sequence[Remote]:
        """Connect, log in, and list what is there."""

    async def retrieve(
        self, batch: Sequence[Remote], begin: Callable[[], Parcel], arrived: list[tuple[Remote, Parcel]]
    ) -> None:
        """
        Receive messages, each into a parcel of its own that is finished; those that are no longer there are left out.

        :param begin: gives an empty parcel.
        :param arrived: is given what has come, also where the rest does not.
        """

    async def remove(self, remotes: Sequence[Remote]) -> None:
        """Have messages removed when the session ends."""

    async def close(self) -> int:
        """End the session; how many messages have been removed, by the server's own word."""

    def abort(self) -> None:
        """Drop the connection; nothing more is removed."""


@dataclass(slots=True)
class Summary:
    """
    What a run came to.

    :ivar there: messages on the server when it began.
    :ivar missed: messages that were listed and could not be had.
    :ivar left: messages that were to be removed, and the server has not said that they are.
    """

    there: int = 0
    fetched: int = 0
    octets: int = 0
    known: int = 0
    removed: int = 0
    missed: list[str] = field(default_factory=list)
    left: int = 0


class Journal:
    """
    Identifiers of messages that are stored and synced, in a file of lines that only grows while a run lasts.

    :param source: whose identifiers these are; a file of another source is refused.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self._source = source
        self._descriptor = -1
        self.keys: set[str] = set()

    def open(self) -> None:
        """
        Read it, and keep others out until :meth:`close`.

        :raises Ending: it cannot be used, or another run uses it.
        """
        try:
            self._open()
        except Ending:
            self.close()
            raise

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._descriptor), os.stat(self.path)):
                # Another run has put a new one in its place since we opened it.
                raise BlockingIOError
            lines = self.path.read_bytes().split(b"\n")
        except BlockingIOError:
            raise Ending(f"{self.path}: another run is under way; wait for it to end", TEMPORARY) from None
        except OSError as error:
            raise Ending(f"{self.path}: {error.strerror}; name another file with --state", CANNOT_CREATE) from error
        # What stands behind the last line's end was being written when a run was cut off.
        self._read(lines[:-1])

    def _read(self, lines: Sequence[bytes]) -> None:
        try:
            rows = [json.loads(line) for line in lines]
            if rows and (rows[0]["version"] != VERSION or rows[0]["source"] != self._source):
                text = f"{self.path}: belongs to {rows[0]['source']}; name another file with --state"
                raise Ending(text, CANNOT_CREATE)
            self.keys = {str(row["stored"]) for row in rows[1:]}
        except (ValueError, KeyError, TypeError, IndexError):
            text = f"{self.path}: is no journal of launcelot fetch; name another file with --state"
            raise Ending(text, CANNOT_CREATE) from None

    def begin(self, there: Collection[str]) -> None:
        """Forget what is no longer on the server, in a new file that takes the old one's place."""
        self.keys.intersection_update(there)
        fresh = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(fresh, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        head = {"version": VERSION, "source": self._source}
        put(descriptor, _lines([head, *({"stored": key} for key in sorted(self.keys))]))
        os.fsync(descriptor)
        os.replace(fresh, self.path)
        sync_directory(self.path.parent)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def add(self, keys: Sequence[str]) -> None:
        """Write identifiers down; they are on disk when this returns."""
        fresh = [key for key in keys if key not in self.keys]
        if fresh:
            put(self._descriptor, _lines([{"stored": key} for key in fresh]))
            os.fsync(self._descriptor)
            self.keys.update(fresh)

    def close(self) -> None:
        """Let others in."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lines(rows: Sequence[object]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def digest_of(source: str, key: str) -> str:
    """What names a message in the place where it is stored."""
    return hashlib.sha256(f"{source}\0{key}".encode()).hexdigest()[:40]


async def fetch(source: Source, target: Target, journal: Journal, remove: bool, progress: Callable[[int, int], None]) -> Summary:
    """
    One session.

    :param journal: open.
    :param remove: whether what is stored is removed on the server.
    :param progress: told octets received, and in all.
    :raises OSError: something cannot be written; what was stored before is.
    """
    try:
        return await _fetch(source, target, journal, remove, progress)
    finally:
        source.abort()


async def _fetch(
    source: Source, target: Target, journal: Journal, remove: bool, progress: Callable[[int, int], None]
) -> Summary:
    remotes = await source.open()
    digests = {digest_of(source.name, remote.key): remote.key for remote in remotes}
    journal.begin(set(digests.values()))
    journal.add([digests[digest] for digest in await target.open() if digest in digests])
    target.stored()
    summary = Summary(there=len(remotes), known=sum(remote.key in journal.keys for remote in remotes))
    wanted = list({remote.key: remote for remote in remotes if remote.key not in journal.keys}.values())
    total = sum(remote.size for remote in wanted)

    def begin() -> Parcel:
        return target.begin(heard)

    def heard(octets: int) -> None:
        summary.octets += octets
        progress(summary.octets, max(total, summary.octets))

    for batch in batches(wanted):
        arrived: list[tuple[Remote, Parcel]] = []
        try:
            await source.retrieve(batch, begin, arrived)
        finally:
            await target.store([Arrived(parcel, digest_of(source.name, one.key), one.flags, one.date) for one, parcel in arrived])
            journal.add([one.key for one, _ in arrived])
            target.stored()
            summary.fetched += len(arrived)
        summary.missed += [one.key for one in batch if one.key not in journal.keys]
    if remove:
        ours = [remote for remote in remotes if remote.key in journal.keys]
        await source.remove(ours)
        summary.removed = await source.close()
        summary.left = len(ours) - summary.removed
    else:
        await source.close()
    return summary


def batches(remotes: Sequence[Remote]) -> Iterator[Sequence[Remote]]:
    """What is asked for at once."""
    batch: list[Remote] = []
    octets = 0
    for remote in remotes:
        if batch and (len(batch) >= BATCH or octets + remote.size > BATCH_OCTETS):
            yield batch
            batch, octets = [], 0
        batch.append(remote)
        octets += remote.size
    if batch:
        yield batch
