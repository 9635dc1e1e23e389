"""
One account's folders on disk, and the blocking jobs on them.

``<account>/files`` holds the tree, ``<account>/.uploads`` what is being received (``<id>.new``) and what abandoned uploads left
(``kept.<hash of the path>``).  Everything here runs in a worker thread and may block, but for what is there ``at_once``;
every name is resolved below the store's folder by an :class:`~launcelot.filestore.beneath.Opener`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from launcelot.core.errors import Exists, Invalid, NotFound, NotPermitted, OverQuota, TryLater
from launcelot.filestore.beneath import Descriptor, Opener
from launcelot.filestore.calls import entry_of, held, looked_at, octets_of, refusing, unlinked, write_all
from launcelot.filestore.interface import Entry, Path, Withdrawn, anywhere
from launcelot.filestore.ledger import Ledger
from launcelot.filestore.limits import FILE_MODE, FOLDER_MODE, MODE_MASK, Room
from launcelot.filestore.paths import decode, encode, unique_name

FILES = b"files"
UPLOADS = b".uploads"
NEW = b".new"
KEPT = b"kept."
STORED = b".stored"
"""The :class:`~launcelot.filestore.ledger.Ledger`'s file."""

UTF8 = sys.getfilesystemencoding() == "utf-8" and sys.getfilesystemencodeerrors() == "surrogateescape"
"""Whether Python reads names as we do, so that they need not be read again."""

QUICK = 65_536
"""Octets of a file that the reactor thread reads, where they lie in memory."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY
PATH = os.O_PATH


def kept_name(path: Path, uploader: str = "") -> bytes:
    """
    The file that keeps what an abandoned upload to ``path`` left.

    :param uploader: whose it is, in a tree that several share.
    """
    whose = encode(uploader) + b"\0" if uploader else b""
    return KEPT + hashlib.sha256(whose + b"/".join(octets_of(path))).hexdigest().encode("ascii")


@dataclass
class Begun:
    """
    An upload as it begins.

    :ivar source: what its first octets are still to be copied from; None if they are there.
    :ivar keeps: how many those are.
    :ivar replaces: octets of the file it will replace.
    """

    staged: Descriptor
    name: str
    source: Descriptor | None
    keeps: int
    replaces: int


@dataclass
class Place:
    """
    One account on disk.

    :ivar root: the store's folder.
    :ivar room: ``stored`` is changed in worker threads in :meth:`Place.counted`, the rest only in the reactor thread.
    :ivar active: ids of uploads under way; reactor thread only.
    :ivar ledger: where several processes serve the account.
    """

    root: Descriptor
    account: bytes
    opener: Opener
    lock: threading.Lock = field(default_factory=threading.Lock)
    room: Room = field(default_factory=Room)
    measured: bool = False
    active: set[str] = field(default_factory=set)
    ledger: Ledger | None = None

    # -- descriptors ---------------------------------------------------------------------------------------------

    def descriptor(self, names: Sequence[bytes], flags: int, mode: int = 0, part: bytes = FILES) -> Descriptor:
        """Open something of this account."""
        return Descriptor(self.opener.open(self.root.number, (self.account, part, *names), flags, mode))

    def make(self) -> None:
        """Make the account's folders, durably."""
        try:
            self.descriptor((), PATH | os.O_DIRECTORY, part=UPLOADS).close()
            return
        except FileNotFoundError:
            pass
        self._make_folder(self.root.number, self.account)
        account = Descriptor(self.opener.open(self.root.number, (self.account,), FOLDER))
        self._make_folder(account.number, FILES)
        self._make_folder(account.number, UPLOADS)
        os.fsync(account.number)
        os.fsync(self.root.number)
        account.close()

    def _make_folder(self, parent: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            pass

    def found(self, parent: Descriptor, name: bytes) -> os.stat_result | None:
        """What a name is, links not followed; None if it is nothing."""
        try:
            return os.stat(name, dir_fd=parent.number, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def parent(self, path: Path, flags: int = FOLDER) -> tuple[Descriptor, bytes]:
        """The folder of a path, open, and its last name."""
        if not path:
            raise NotPermitted("this is the root folder")
        names = octets_of(path)
        return self.descriptor(names[:-1], flags | os.O_DIRECTORY), names[-1]

    # -- looking -------------------------------------------------------------------------------------------------

    def entry(self, path: Path) -> Entry:
        """One entry."""
        with refusing():
            opened = self.descriptor(octets_of(path), PATH)
            return entry_of(path[-1] if path else "", os.fstat(opened.number))

    def open_file(self, path: Path, ahead: int) -> tuple[Entry, Descriptor, bytes]:
        """A file's entry, descriptor and first octets; the descriptor is closed already if those are all."""
        if not path:
            raise NotPermitted("this is the root folder")
        with refusing():
            opened = self.descriptor(octets_of(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            entry = entry_of(path[-1], os.fstat(opened.number))
            if entry.is_folder:
                raise NotPermitted("this is a folder")
            head = os.pread(opened.number, ahead, 0)
            if len(head) == entry.size:
                opened.close()
            return entry, opened, head

    def entry_at_once(self, path: Path) -> Entry | None:
        """One entry, if that takes no waiting; may be called in the reactor thread."""
        opened = self._at_once(path, PATH)
        return None if opened is None else self._described(path, opened)

    def open_file_at_once(self, path: Path) -> tuple[Entry, Descriptor, bytes] | None:
        """
        As :meth:`open_file`, if that takes no waiting; may be called in the reactor thread.

        Of a file larger than :data:`QUICK` no octets are read.
        """
        opened = self._at_once(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        entry = None if opened is None else self._described(path, opened)
        if opened is None or entry is None or entry.is_folder:
            return None
        if entry.size > QUICK:
            return entry, opened, b""
        head = bytearray(entry.size)
        try:
            if os.preadv(opened.number, [head], 0, os.RWF_NOWAIT) != entry.size:
                return None
        except OSError:
            return None
        opened.close()
        return entry, opened, bytes(head)

    def _at_once(self, path: Path, flags: int) -> Descriptor | None:
        try:
            names = (self.account, FILES, *octets_of(path))
            return Descriptor(self.opener.open_at_once(self.root.number, names, flags))
        except OSError:
            return None

    def _described(self, path: Path, opened: Descriptor) -> Entry | None:
        try:
            return entry_of(path[-1] if path else "", os.fstat(opened.number))
        except NotFound:
            return None

    def open_folder(self, path: Path, count: int) -> tuple[Descriptor, Iterator[os.DirEntry[str]], list[Entry]]:
        """A folder open for listing, and its first entries."""
        with refusing():
            opened = self.descriptor(octets_of(path), FOLDER)
            listing = os.scandir(opened.number)
            return opened, listing, self.batch(listing, count)

    def batch(self, listing: Iterator[os.DirEntry[str]], count: int) -> list[Entry]:
        """The next entries, fewer than ``count`` only at the end.  Links and special files are left out."""
        batch: list[Entry] = []
        with refusing():
            for one in listing:
                found = looked_at(one)
                if found is None:
                    continue
                try:
                    batch.append(entry_of(one.name if UTF8 else decode(os.fsencode(one.name)), found))
                except NotFound:
                    continue
                if len(batch) >= count:
                    break
        return batch

    def measure(self) -> dict[str, int]:
        """Count what is stored, and what abandoned uploads left: octets by name."""
        with refusing(), self.counted():
            if self.ledger is None:
                self.room.stored = self._count()
            return self._kept()

    def octets(self) -> int:
        """All that is stored, received or kept, counted now if it never was."""
        with refusing():
            if self.ledger is not None:
                with self.counted():
                    received = self._staged()
                    for name, octets in list(self.room.reserved.items()):
                        # Ours have some in memory yet.
                        staged = name if name.startswith(decode(KEPT)) else name + decode(NEW)
                        received[staged] = max(octets, received.get(staged, 0))
                    return self.room.stored + sum(received.values())
            with self.lock:
                if not self.measured:
                    self.room.stored = self._count()
                    self.keep_count(self._kept())
            return self.room.taken - self.room.beside

    def keep_count(self, kept: dict[str, int]) -> None:
        """What abandoned uploads left counts, too; from here on all is counted as it changes."""
        for name, octets in kept.items():
            self.room.reserved.setdefault(name, octets)
        self.measured = True

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Change the tree, alone in all processes, with ``room.stored`` as it is; what is made of it is kept."""
        with self.lock:
            if self.ledger is None:
                yield
                return
            path = (self.account, STORED)
            file = Descriptor(self.opener.open(self.root.number, path, os.O_RDWR | os.O_CREAT, 0o600))
            try:
                with self.ledger.held(file.number, self._count) as balance:
                    self.room.stored = balance.stored
                    try:
                        yield
                    finally:
                        balance.stored = self.room.stored
            finally:
                file.close()

    def _count(self) -> int:
        return sum(self._sizes(self.descriptor((), FOLDER)))

    def _staged(self) -> dict[str, int]:
        """What is being received, here or elsewhere, and what is kept of abandoned uploads: octets by name."""
        uploads = self.descriptor((), FOLDER, part=UPLOADS)
        with os.scandir(uploads.number) as entries:
            found = ((one.name, looked_at(one)) for one in entries)
            return {name: known.st_size for name, known in found if known is not None}

    def _kept(self) -> dict[str, int]:
        """What abandoned uploads left: octets by name."""
        return {name: octets for name, octets in self._staged().items() if name.startswith(decode(KEPT))}

    def _sizes(self, top: Descriptor) -> Iterator[int]:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            with os.scandir(folder.number) as entries:
                for one in entries:
                    found = looked_at(one)
                    if found is not None and stat.S_ISREG(found.st_mode):
                        yield found.st_size
                    elif found is not None and stat.S_ISDIR(found.st_mode):
                        waiting += self._below(folder, os.fsencode(one.name))
            folder.close()

    def _below(self, folder: Descriptor, name: bytes) -> list[Descriptor]:
        try:
            return [Descriptor(self.opener.open(folder.number, (name,), FOLDER))]
        except FileNotFoundError:
            return []

    def free(self) -> int:
        """Octets the disk still takes from us."""
        with refusing():
            told = os.fstatvfs(self.root.number)
            return told.f_bavail * told.f_frsize

    def kept(self, path: Path, uploader: str = "") -> int:
        """Octets that an abandoned upload left."""
        with refusing():
            uploads = self.descriptor((), PATH | os.O_DIRECTORY, part=UPLOADS)
            found = self.found(uploads, kept_name(path, uploader))
            return found.st_size if found is not None else 0

    # -- receiving -----------------------------------------------------------------------------------------------

    def begin(self, path: Path, upload: str, offset: int, append: bool, unique: bool, uploader: str = "") -> Begun:
        """Stage a new upload."""
        with refusing():
            parent, name = self.parent(path, PATH)
            target = self.found(parent, name)
            if target is not None and stat.S_ISDIR(target.st_mode):
                raise NotPermitted("this is a folder")
            uploads = self.descriptor((), PATH | os.O_DIRECTORY, part=UPLOADS)
            staged = upload.encode("ascii") + NEW
            if unique:
                free = path[-1] if target is None else unique_name(path[-1], upload)
                return Begun(self._create(uploads, staged), free, None, 0, 0)
            size = target.st_size if target is not None and stat.S_ISREG(target.st_mode) else 0
            aside = kept_name(path, uploader)
            kept = self.found(uploads, aside)
            if kept is not None and not append:
                if offset and offset <= kept.st_size:
                    return Begun(self._take_over(uploads, aside, staged, offset), path[-1], None, offset, size)
                unlinked(uploads, decode(aside))
            keeps = size if append else offset
            if keeps > size:
                raise Invalid("there are fewer octets than that")
            source = Descriptor(self.opener.open(parent.number, (name,), os.O_RDONLY | os.O_NONBLOCK)) if keeps else None
            return Begun(self._create(uploads, staged), path[-1], source, keeps, size)

    def _create(self, uploads: Descriptor, name: bytes) -> Descriptor:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        return held(Descriptor(self.opener.open(uploads.number, (name,), flags, FILE_MODE)))

    def _take_over(self, uploads: Descriptor, aside: bytes, staged: bytes, offset: int) -> Descriptor:
        os.rename(aside, staged, src_dir_fd=uploads.number, dst_dir_fd=uploads.number)
        opened = held(Descriptor(self.opener.open(uploads.number, (staged,), os.O_RDWR)))
        os.ftruncate(opened.number, offset)
        os.lseek(opened.number, 0, os.SEEK_END)
        return opened

    def copy(self, begun: Begun, start: int, length: int) -> int:
        """Copy some of the octets that are kept; how many."""
        with refusing():
            if begun.source is None:
                return 0
            data = os.pread(begun.source.number, min(length, begun.keeps - start), start)
            if not data:
                raise TryLater("the file has changed")
            write_all(begun.staged.number, [data])
            return len(data)

    def write(self, staged: Descriptor, data: Sequence[bytes]) -> None:
        """Add octets to an upload."""
        with refusing():
            write_all(staged.number, data)

    def publish(
        self,
        staged: Descriptor,
        upload: str,
        path: Path,
        unique: bool,
        now: float,
        quota: int,
        others: int,
        wanted: Callable[[], bool],
        admit: Callable[[Entry | None], None] = anywhere,
    ) -> Entry:
        """
        Sync an upload, put it in the target's place, sync the folder.

        :param others: octets that other uploads have reserved.
        :raises Withdrawn: when it was synced it was no longer wanted.
        """
        with refusing():
            os.utime(staged.number, ns=(int(now * 1e9),) * 2)
            os.fsync(staged.number)
            if not wanted():
                raise Withdrawn
            parent, name = self.parent(path)
            with self.counted():
                name, found = self._replace(staged, upload, parent, name, unique, quota, others, admit)
            os.fsync(parent.number)
            return entry_of(decode(name), found)

    def _replace(
        self,
        staged: Descriptor,
        upload: str,
        parent: Descriptor,
        name: bytes,
        unique: bool,
        quota: int,
        others: int,
        admit: Callable[[Entry | None], None],
    ) -> tuple[bytes, os.stat_result]:
        target = self.found(parent, name)
        if unique and target is not None:
            name, target = encode(unique_name(decode(name), upload + "x")), None
        if target is not None and stat.S_ISDIR(target.st_mode):
            raise NotPermitted("this is a folder")
        replaced = 0
        is_file = target is not None and stat.S_ISREG(target.st_mode)
        if admit is not anywhere:
            admit(entry_of(decode(name), target) if target is not None and is_file else None)
        if target is not None and is_file:
            replaced = target.st_size
            os.fchmod(staged.number, target.st_mode & MODE_MASK)
        grows = os.fstat(staged.number).st_size - replaced
        if self.ledger is not None:
            own = upload + decode(NEW)
            others = sum(octets for one, octets in self._staged().items() if one != own)
        if quota and grows > 0 and self.room.stored + self.room.beside + others + grows > quota:
            raise OverQuota
        uploads = self.descriptor((), PATH | os.O_DIRECTORY, part=UPLOADS)
        source = upload.encode("ascii") + NEW
        if unique:
            os.link(source, name, src_dir_fd=uploads.number, dst_dir_fd=parent.number, follow_symlinks=False)
            os.unlink(source, dir_fd=uploads.number)
        else:
            os.rename(source, name, src_dir_fd=uploads.number, dst_dir_fd=parent.number)
        self.room.stored += grows
        return name, os.fstat(staged.number)

    def keep(
        self, staged: Descriptor, upload: str, path: Path, data: Sequence[bytes], now: float, uploader: str = ""
    ) -> int:
        """Set an abandoned upload aside, synced so that it can be trusted later; how many octets it has."""
        with refusing():
            write_all(staged.number, data)
            os.utime(staged.number, ns=(int(now * 1e9),) * 2)
            os.fsync(staged.number)
            uploads = self.descriptor((), FOLDER, part=UPLOADS)
            name = upload.encode("ascii") + NEW
            os.rename(name, kept_name(path, uploader), src_dir_fd=uploads.number, dst_dir_fd=uploads.number)
            return os.fstat(staged.number).st_size

    def discard(self, upload: str) -> None:
        """Drop an upload."""
        with refusing():
            uploads = self.descriptor((), PATH | os.O_DIRECTORY, part=UPLOADS)
            unlinked(uploads, upload + decode(NEW))

    def reap(self, older_than: float, active: frozenset[str]) -> list[str]:
        """Remove what was abandoned, by us or by a process that was killed; the names of what went."""
        with refusing():
            uploads = self.descriptor((), FOLDER, part=UPLOADS)
            spared = {name + decode(NEW) for name in active}
            gone: list[str] = []
            with os.scandir(uploads.number) as entries:
                for one in entries:
                    found = looked_at(one) if one.name not in spared else None
                    if found is None or found.st_mtime >= older_than or self._is_held(uploads, one.name):
                        continue
                    if unlinked(uploads, one.name):
                        gone.append(one.name)
            return gone

    def _is_held(self, uploads: Descriptor, name: str) -> bool:
        """Whether another process is receiving it."""
        try:
            staged = Descriptor(self.opener.open(uploads.number, (os.fsencode(name),), os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            # Gone, or nothing that anybody receives.
            return False
        try:
            fcntl.flock(staged.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            staged.close()

    # -- changing ------------------------------------------------------------------------------------------------

    def make_folder(self, path: Path) -> Entry:
        """Make a folder."""
        if not path:
            raise Exists
        with refusing():
            parent, name = self.parent(path)
            os.mkdir(name, FOLDER_MODE, dir_fd=parent.number)
            os.fsync(parent.number)
            return self.entry(path)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        with refusing():
            parent, name = self.parent(path, PATH)
            found = self.found(parent, name)
            if found is None or not entry_of("", found).is_folder:
                raise NotFound if found is None else NotPermitted("this is a file")
            try:
                os.rmdir(name, dir_fd=parent.number)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise NotPermitted("the folder is not empty") from None
                raise

    def remove(self, path: Path) -> None:
        """Remove a file; a symbolic link that somebody planted goes, too, and never what it points to."""
        with refusing(), self.counted():
            parent, name = self.parent(path, PATH)
            found = self.found(parent, name)
            if found is None:
                raise NotFound
            if stat.S_ISDIR(found.st_mode):
                raise NotPermitted("this is a folder")
            os.unlink(name, dir_fd=parent.number)
            if stat.S_ISREG(found.st_mode):
                self.room.stored -= found.st_size

    def rename(self, path: Path, to: Path, replace: bool = True) -> None:
        """Move a file or folder."""
        with refusing(), self.counted():
            if not path or not to:
                raise NotPermitted("this is the root folder")
            old, name = self.parent(path)
            new, target = self.parent(to)
            found = self.found(old, name)
            if found is None:
                raise NotFound
            is_folder = entry_of("", found).is_folder
            if is_folder and len(to) > len(path) and to[: len(path)] == path:
                raise NotPermitted("a folder cannot move below itself")
            there = self.found(new, target)
            if there is not None and os.path.samestat(found, there):
                return
            if there is not None and (is_folder or not replace or stat.S_ISDIR(there.st_mode)):
                raise Exists
            os.rename(name, target, src_dir_fd=old.number, dst_dir_fd=new.number)
            if there is not None and stat.S_ISREG(there.st_mode):
                self.room.stored -= there.st_size
        with refusing():
            os.fsync(new.number)
            os.fsync(old.number)

    def set_modified(self, path: Path, seconds: float) -> Entry:
        """Set the time of last change."""
        return self._change(path, lambda link: os.utime(link, ns=(int(seconds * 1e9),) * 2))

    def set_mode(self, path: Path, mode: int) -> Entry:
        """Set the permission bits."""
        return self._change(path, lambda link: os.chmod(link, mode & MODE_MASK))

    def _change(self, path: Path, change: Callable[[str], None]) -> Entry:
        # Through the descriptor's own name: the file may be unreadable to us, and no other name can be mistaken for it.
        with refusing():
            opened = self.descriptor(octets_of(path), PATH)
            entry_of("", os.fstat(opened.number))
            change(f"/proc/self/fd/{opened.number}")
            return entry_of(path[-1] if path else "", os.fstat(opened.number))
