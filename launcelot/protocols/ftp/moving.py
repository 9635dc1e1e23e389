"""
Files and trees between a server and this machine: resumed, verified, mirrored.

A file that comes is written beside its target under a name that stands for the state it has on the server (size and time),
synced, compared by SHA-256 where the server can, and renamed over its target; so the target is the old file or the whole new
one, and what was cut is gone on with if the server's file is still the same.  A file that goes is gone on with where the server
tells what it has of it, and only where it can be compared in the end.

Names that a server tells are not believed: one that could lead out of a folder is left out.  Symbolic links are neither followed
nor sent.  What mirrors compare is size and time, to the second.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from launcelot.protocols.ftp.client import DataFailed, FTPClient, FTPError, Refused, Truncated
from launcelot.protocols.ftp.listing import Listed
from launcelot.workers.interface import Workers

T = TypeVar("T")

PIECE = 262_144
"""Octets read or written at once."""

DEEPEST = 100
"""Folders inside folders that are walked."""

Progress = Callable[[str, int, int | None], None]
"""Told of each piece: the file, octets that are there, octets in all if known."""


class Differs(FTPError):
    """Both ends have all octets, and they are not the same."""


class LocalError(FTPError):
    """A file or folder on this machine cannot be read or written."""


@dataclass
class Tally:
    """
    What was done.

    :ivar octets: moved over data connections.
    :ivar resumed: octets that were there from an earlier attempt.
    :ivar verified: files of ``files`` whose digests were compared.
    :ivar skipped: files that are the same at both ends.
    :ivar left_out: links, special files and names that cannot be used here; folders there that cannot be removed.
    :ivar failed: what could not be moved, and why.
    """

    files: int = 0
    octets: int = 0
    resumed: int = 0
    verified: int = 0
    skipped: int = 0
    folders: int = 0
    removed: int = 0
    left_out: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


class _Part:
    """A file that is being received; a sink."""

    def __init__(self, mover: Mover, descriptor: int, name: str, there: int, total: int | None) -> None:
        self._mover = mover
        self._descriptor = descriptor
        self._name = name
        self._total = total
        self.there = there

    async def write(self, data: bytes) -> None:
        """Take octets."""
        await self._mover.aside(lambda: _write(self._descriptor, data))
        self.there += len(data)
        self._mover.tally.octets += len(data)
        self._mover.progress(self._name, self.there, self._total)


class Mover:
    """
    Moves files over one session.

    :param client: logged in.
    :param workers: where this machine's disk is waited for.
    :param progress: told of each piece.
    :param resume: whether earlier attempts are gone on with.
    """

    def __init__(self, client: FTPClient, workers: Workers, progress: Progress = lambda *_: None, resume: bool = True) -> None:
        self.client = client
        self.tally = Tally()
        self.progress = progress
        self._workers = workers
        self._resume = resume
        self._features: dict[str, list[str]] | None = None

    async def aside(self, job: Callable[[], T]) -> T:
        """
        Something with this machine's disk.

        :raises LocalError: it went wrong.
        """
        try:
            return await self._workers.run(job)
        except OSError as error:
            raise LocalError(f"{error.filename or 'the file'}: {error.strerror}") from error

    async def offers(self, feature: str, choice: str = "") -> bool:
        """
        Whether FEAT has a line that begins so.

        :param choice: what must stand behind it, in one of several lines or between ``;``, marked with ``*`` or not.
        """
        if self._features is None:
            self._features = {}
            for line in await self._told():
                name, _, choices = line.partition(" ")
                self._features.setdefault(name, []).extend(choices.replace("*", "").split(";"))
        known = self._features.get(feature)
        return known is not None and (not choice or choice in known)

    async def _told(self) -> Collection[str]:
        try:
            return await self.client.features()
        except Refused:
            return ()

    async def _compares(self) -> bool:
        """Whether the server has digests as we make them; others have HASH without SHA-256."""
        return await self.offers("HASH", "SHA-256")

    # -- one file ------------------------------------------------------------------------------------------------

    async def get(self, remote: str, target: Path) -> None:
        """
        Receive a file.

        :raises Refused: the server has no such file, or does not give it.
        :raises Truncated: it was cut; what came is kept for the next attempt.
        :raises Differs: what came is not what the server has; nothing is kept.
        """
        size = await self.client.size(remote) if await self.offers("SIZE") else None
        modified = await self.client.modified(remote) if await self.offers("MDTM") else None
        part = _part_of(target, f"{size} {modified}")
        offset = await self.aside(lambda: _there(part, size)) if self._resume and size is not None and modified is not None else 0
        for start in (offset, 0):
            await self._receive(remote, part, start, size)
            if await self._is_same(remote, part):
                break
            await self.aside(part.unlink)
            if start == 0:
                raise Differs(f"{remote}: what came is not what the server has")
        await self.aside(lambda: _publish(part, target, modified))
        self.tally.files += 1

    async def _receive(self, remote: str, part: Path, offset: int, size: int | None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = await self.aside(lambda: os.open(part, flags, 0o666))
        try:
            await self.aside(lambda: _from(descriptor, offset))
            self.tally.resumed += offset
            sink = _Part(self, descriptor, remote, offset, size)
            if offset != size or not offset:
                await self.client.download(remote, sink, offset)
            if size is not None and sink.there != size:
                raise Truncated(f"{remote}: {sink.there} octets came, and it has {size}")
            await self.aside(lambda: os.fsync(descriptor))
        finally:
            os.close(descriptor)

    async def put(self, source: Path, remote: str) -> None:
        """
        Send a file.

        :raises Refused: the server does not take it.
        :raises Truncated: it was cut; the server may have kept some.
        :raises Differs: what the server has is not what was sent.
        """
        found = await self.aside(lambda: _regular(source))
        offset = await self._offset_of(remote, found.st_size)
        for start in (offset, 0):
            await self._send(source, remote, start, found.st_size)
            if await self._is_same(remote, source):
                break
            if start == 0:
                raise Differs(f"{remote}: what the server has is not what was sent")
        if await self.offers("MFMT"):
            await self.client.set_modified(remote, found.st_mtime)
        self.tally.files += 1

    async def _offset_of(self, remote: str, size: int) -> int:
        """What is there already; nothing where it could not be compared in the end."""
        if not self._resume or not await self._compares() or not await self.offers("SITE", "KEPT"):
            return 0
        try:
            kept = await self.client.kept(remote)
        except Refused:
            return 0
        return kept if kept <= size else 0

    async def _send(self, source: Path, remote: str, offset: int, size: int) -> None:
        descriptor = await self.aside(lambda: os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        try:
            self.tally.resumed += offset
            await self.client.upload(remote, self._pieces(descriptor, remote, offset, size), offset)
        finally:
            os.close(descriptor)

    async def _pieces(self, descriptor: int, name: str, offset: int, size: int) -> AsyncIterator[bytes]:
        there = offset
        while data := await self.aside(partial(os.pread, descriptor, PIECE, there)):
            yield data
            there += len(data)
            self.tally.octets += len(data)
            self.progress(name, there, size)

    async def _is_same(self, remote: str, local: Path) -> bool:
        if not await self._compares():
            return True
        told = await self.client.digest(remote)
        if told != await self.aside(lambda: _digest(local)):
            return False
        self.tally.verified += 1
        return True

    # -- trees ---------------------------------------------------------------------------------------------------

    async def mirror_down(self, remote: str, target: Path, delete: bool = False, depth: int = 0) -> None:
        """
        Make a folder here what one is on the server.

        :param delete: remove here what is not there.
        :raises Refused: the folder cannot be listed.
        """
        entries = {one.name: one for one in await self.client.listing(remote) if self._usable(one)}
        here = await self.aside(lambda: _folder(target))
        self.tally.folders += 1
        for name, one in sorted(entries.items()):
            there, local = _joined(remote, name), target / os.fsdecode(name.encode("utf-8", "surrogateescape"))
            if one.is_folder:
                if depth < DEEPEST:
                    await self._attempt(there, self.mirror_down(there, local, delete, depth + 1))
                else:
                    self.tally.left_out += 1
            elif _is_as(here.get(local.name), one):
                self.tally.skipped += 1
            else:
                await self._attempt(there, self.get(there, local))
        if delete:
            kept = {os.fsdecode(name.encode("utf-8", "surrogateescape")) for name in entries}
            for name in sorted(set(here) - kept):
                self.tally.removed += await self.aside(partial(_remove, target / name))

    def _usable(self, one: Listed) -> bool:
        usable = one.kind in ("file", "dir") and one.name not in (".", "..") and not set("/\0") & set(one.name)
        usable = usable and not _is_part(one.name)
        self.tally.left_out += not usable
        return usable

    async def mirror_up(self, source: Path, remote: str, delete: bool = False, depth: int = 0) -> None:
        """
        Make a folder on the server what one is here.

        :param delete: remove there what is not here.
        :raises Refused: the folder cannot be made, or not be listed.
        """
        here = await self.aside(lambda: _listed(source))
        try:
            there = {one.name: one for one in await self.client.listing(remote)}
        except Refused:
            await self.client.make_folder(remote)
            there = {}
        self.tally.folders += 1
        for name, found in sorted(here.items()):
            path = _joined(remote, name)
            known = there.get(name)
            if known is not None and known.is_folder != stat.S_ISDIR(found.st_mode):
                self.tally.failed.append((path, "a folder and a file have this name"))
            elif stat.S_ISDIR(found.st_mode) and depth < DEEPEST:
                await self._attempt(path, self.mirror_up(source / name, path, delete, depth + 1))
            elif not stat.S_ISREG(found.st_mode):
                self.tally.left_out += 1
            elif known is not None and _is_as(found, known):
                self.tally.skipped += 1
            else:
                await self._attempt(path, self.put(source / name, path))
        if delete:
            for name in sorted(set(there) - set(here)):
                if _is_fixed(there[name]):
                    self.tally.left_out += 1
                else:
                    await self._attempt(_joined(remote, name), self._remove_there(_joined(remote, name), there[name], depth))

    async def _remove_there(self, path: str, one: Listed, depth: int) -> None:
        if one.is_folder:
            if depth < DEEPEST:
                for inside in await self.client.listing(path):
                    await self._remove_there(_joined(path, inside.name), inside, depth + 1)
            await self.client.remove_folder(path)
        else:
            await self.client.remove(path)
        self.tally.removed += 1

    async def _attempt(self, name: str, work: object) -> None:
        """One of many: what is refused is written down, and the others go on; with the session all ends."""
        try:
            await work  # type: ignore[misc]
        except (Refused, Truncated, Differs, DataFailed, LocalError) as error:
            self.tally.failed.append((name, str(error)))


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder else name


def _is_fixed(one: Listed) -> bool:
    """Whether the server says that neither it nor what is in it can be removed, as of the place of team folders."""
    return one.is_folder and not set("dp") & set(one.facts.get("perm", "d").lower())


def _is_as(found: os.stat_result | None, one: Listed) -> bool:
    return (
        found is not None
        and stat.S_ISREG(found.st_mode)
        and found.st_size == one.size
        and one.modified is not None
        and int(found.st_mtime) == int(one.modified)
    )


# -- this machine's disk -------------------------------------------------------------------------------------------


def _part_of(target: Path, state: str) -> Path:
    mark = hashlib.sha256(f"{state} {target.name}".encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return target.with_name(f".launcelot-{mark}.part")


def _there(part: Path, size: int) -> int:
    try:
        found = part.lstat()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) and found.st_size <= size else 0


def _regular(path: Path) -> os.stat_result:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "is no file", str(path))
    return found


def _from(descriptor: int, offset: int) -> None:
    os.ftruncate(descriptor, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _publish(part: Path, target: Path, modified: float | None) -> None:
    if modified is not None:
        os.utime(part, (modified, modified))
    part.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _folder(path: Path) -> dict[str, os.stat_result]:
    """A folder's entries; it is made if there is none, and is never a link."""
    try:
        path.mkdir()
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise
    return _listed(path)


def _listed(path: Path) -> dict[str, os.stat_result]:
    with os.scandir(path) as entries:
        return {one.name: one.stat(follow_symlinks=False) for one in entries if not _is_part(one.name)}


def _is_part(name: str) -> bool:
    return name.startswith(".launcelot-") and name.endswith(".part")


def _remove(path: Path) -> int:
    """Remove something, links not followed; how many."""
    if not stat.S_ISDIR(path.lstat().st_mode):
        path.unlink()
        return 1
    count = sum(_remove(inside) for inside in list(path.iterdir()))
    path.rmdir()
    return count + 1
