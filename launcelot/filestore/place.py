"""
One account's folders on disk, and the blocking jobs on them.

Where they are is said in :mod:`launcelot.filestore.ground`.  Everything here runs in a worker thread and may block, but for what
is there ``at_once``; every name is resolved below the store's folder by an :class:`~launcelot.filestore.beneath.Opener`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any

from launcelot.core.errors import Exists, Invalid, NotFound, NotPermitted, OverQuota, TryLater
from launcelot.filestore.beneath import Descriptor
from launcelot.filestore.calls import (
    begin_writeback,
    entry_of,
    held,
    looked_at,
    octets_of,
    refusing,
    unlinked,
    write_all,
)
from launcelot.filestore.digests import Summing, before_all, unwritten
from launcelot.filestore.filesystems import file_clock
from launcelot.filestore.ground import FILES, FOLDER, KEPT, NEW, PATH, UPLOADS, Ground
from launcelot.filestore.interface import Entry, Form, Path, Withdrawn, anywhere
from launcelot.filestore.limits import FILE_MODE, FOLDER_MODE, MODE_MASK
from launcelot.filestore.looks import Listing
from launcelot.filestore.paths import decode, encode, unique_name

UTF8 = sys.getfilesystemencoding() == "utf-8" and sys.getfilesystemencodeerrors() == "surrogateescape"
"""Whether Python reads names as we do, so that they need not be read again."""

QUICK = 65_536
"""Octets of a file that the reactor thread reads, where they lie in memory."""

WRITEBACK = 8 << 20
"""Octets of an upload after which the disk begins with them, so that there is less to wait for in the end."""

KIND = 0o170000
BY_NAME: Callable[[Any], str] = attrgetter("name")
"""The order of a folder that is read in one go, as people look at what ``ls`` says; a larger one is as the disk gives it."""

SHOWN = frozenset({stat.S_IFREG, stat.S_IFDIR})
"""Of st_mode, and what of it is there for us.  inode(7)."""


def _is_shown(one: os.DirEntry[str]) -> bool:
    """Whether it is a file or folder; that is told with its name."""
    return one.is_file(follow_symlinks=False) or one.is_dir(follow_symlinks=False)


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

    :ivar staged: what it is written to; None before there is anything to write.
    :ivar aside: what it will be called if it is abandoned.
    :ivar source: what its first octets are still to be copied from; None if they are there.
    :ivar keeps: how many those are.
    :ivar replaces: octets of the file it will replace.
    :ivar sum: of what is staged; None where some of it was received earlier, and is not read again.
    :ivar written: octets that the kernel has.
    :ivar on_its_way: of these, how many are going to the disk or were synced earlier.
    """

    upload: str
    staged: Descriptor | None
    name: str
    aside: bytes
    source: Descriptor | None = None
    keeps: int = 0
    replaces: int = 0
    sum: hashlib._Hash | None = field(default_factory=hashlib.sha256)
    written: int = 0
    on_its_way: int = 0

    def close(self) -> None:
        """Let go of what is staged; it stays where it is."""
        if self.staged is not None:
            self.staged.close()


class Place(Ground):
    """What is done in one account's folders."""

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
                    return batch
        batch.sort(key=BY_NAME)
        return batch

    def open_lines(self, path: Path, form: Form, count: int) -> tuple[Listing, bytes]:
        """A folder open for listing, and its first entries in a form."""
        with refusing():
            listing = Listing(self.descriptor(octets_of(path), FOLDER), form, count)
            return listing, self.lines(listing)

    def lines(self, listing: Listing) -> bytes:
        """The next entries in a form.  Links and special files are left out."""
        with refusing():
            entries = list(islice(listing.entries, listing.count))
            listing.more = len(entries) == listing.count
            if not listing.more:
                entries.sort(key=BY_NAME)
            form = listing.form
            if not UTF8:
                return form.of_entries(self.batch(iter(entries), listing.count))
            if form.bare:
                return form.of_names([one.name for one in entries if form.fits(one.name) and _is_shown(one)])
            names = [one.name for one in entries]
            if form.selects:
                names = list(filter(form.fits, names))
            found = listing.looks.at(listing.opened.number, names)
            if all(found) and SHOWN.issuperset({look[0] & KIND for look in found if look}):
                return form.of_looks(names, [look for look in found if look])
            there = [(name, look) for name, look in zip(names, found, strict=True) if look and look[0] & KIND in SHOWN]
            return form.of_looks([name for name, _ in there], [look for _, look in there])

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

    def begin_at_once(self, path: Path, upload: str, sized: bool, uploader: str = "") -> Begun | None:
        """
        An upload of which nothing is staged yet, if that takes no waiting; may be called in the reactor thread.

        What cannot be seen at once is seen when there is something to write.

        :param sized: whether the octets of the file it will replace have to be known.
        """
        if not path or self._at_once(path[:-1], PATH | os.O_DIRECTORY) is None:
            return None
        begun = Begun(upload, None, path[-1], kept_name(path, uploader))
        try:
            names = (self.account, FILES, *octets_of(path))
            opened = Descriptor(self.opener.open_at_once(self.root.number, names, PATH))
            target = os.fstat(opened.number)
        except FileNotFoundError:
            return begun
        except BlockingIOError:
            return None if sized else begun
        except OSError:
            return None
        begun.replaces = target.st_size
        return begun if stat.S_ISREG(target.st_mode) else None

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
                return Begun(upload, self._create(uploads, staged), free, b"")
            size = target.st_size if target is not None and stat.S_ISREG(target.st_mode) else 0
            aside = kept_name(path, uploader)
            kept = self.found(uploads, aside)
            if kept is not None and not append:
                if offset and offset <= kept.st_size:
                    opened = self._take_over(uploads, aside, staged, offset)
                    return Begun(upload, opened, path[-1], aside, None, offset, size, None, offset, offset)
                unlinked(uploads, decode(aside))
            keeps = size if append else offset
            if keeps > size:
                raise Invalid("there are fewer octets than that")
            source = Descriptor(self.opener.open(parent.number, (name,), os.O_RDONLY | os.O_NONBLOCK)) if keeps else None
            return Begun(upload, self._create(uploads, staged), path[-1], aside, source, keeps, size)

    def _stage(self, begun: Begun) -> Descriptor:
        if begun.staged is None:
            uploads = self.descriptor((), PATH | os.O_DIRECTORY, part=UPLOADS)
            unlinked(uploads, decode(begun.aside))
            begun.staged = self._create(uploads, begun.upload.encode("ascii") + NEW)
        return begun.staged

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
            if begun.source is None or begun.staged is None:
                return 0
            data = os.pread(begun.source.number, min(length, begun.keeps - start), start)
            if not data:
                raise TryLater("the file has changed")
            self._write(begun, begun.staged, [data])
            return len(data)

    def write(self, begun: Begun, path: Path, data: Sequence[bytes]) -> None:
        """Add octets to an upload."""
        with refusing():
            if begun.staged is None:
                parent, name = self.parent(path, PATH)
                target = self.found(parent, name)
                if target is not None and stat.S_ISDIR(target.st_mode):
                    raise NotPermitted("this is a folder")
            self._write(begun, self._stage(begun), data)

    def _write(self, begun: Begun, staged: Descriptor, data: Sequence[bytes]) -> None:
        write_all(staged.number, data, begun.sum)
        begun.written += sum(map(len, data))
        waiting = begun.written - begun.on_its_way
        if waiting >= WRITEBACK:
            begin_writeback(staged.number, begun.on_its_way, waiting)
            begun.on_its_way = begun.written

    def publish(
        self,
        begun: Begun,
        path: Path,
        data: Sequence[bytes],
        unique: bool,
        now: float,
        quota: int,
        others: int,
        wanted: Callable[[], bool],
        admit: Callable[[Entry | None], None] = anywhere,
    ) -> Entry:
        """
        Write the last octets of an upload, sync it, put it in the target's place, sync the folder.

        :param others: octets that other uploads have reserved.
        :raises Withdrawn: when it was synced it was no longer wanted.
        """
        with refusing():
            staged = self._stage(begun)
            self._write(begun, staged, data)
            modified = before_all(int(now * 1e9))
            os.utime(staged.number, ns=(modified, modified))
            os.fsync(staged.number)
            if not wanted():
                raise Withdrawn
            parent, name = self.parent(path)
            with self.counted():
                name, found = self._replace(staged, begun.upload, parent, name, unique, quota, others, admit)
            if begun.sum is not None and found.st_mtime_ns == modified:
                self.digests.keep(staged.number, found, begun.sum.digest())
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

    def keep(self, begun: Begun, data: Sequence[bytes], now: float) -> int:
        """Set an abandoned upload aside, synced so that it can be trusted later; how many octets it has."""
        with refusing():
            staged = self._stage(begun)
            write_all(staged.number, data)
            os.utime(staged.number, ns=(int(now * 1e9),) * 2)
            os.fsync(staged.number)
            uploads = self.descriptor((), FOLDER, part=UPLOADS)
            name = begun.upload.encode("ascii") + NEW
            os.rename(name, begun.aside, src_dir_fd=uploads.number, dst_dir_fd=uploads.number)
            return os.fstat(staged.number).st_size

    def discard(self, begun: Begun) -> None:
        """Drop an upload, and if it was to begin anew, what an earlier one left."""
        with refusing():
            uploads = self.descriptor((), PATH | os.O_DIRECTORY, part=UPLOADS)
            unlinked(uploads, decode(begun.aside) if begun.staged is None else begun.upload + decode(NEW))

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
            since, found = file_clock(), self.found(old, name)
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
            moved = self.found(new, target)
            if moved is not None and not is_folder:
                self.digests.follow(new.number, found, moved, since)
            if there is not None and stat.S_ISREG(there.st_mode):
                self.room.stored -= there.st_size
        with refusing():
            os.fsync(new.number)
            os.fsync(old.number)

    def set_modified(self, path: Path, seconds: float) -> Entry:
        """Set the time of last change."""
        with refusing():
            opened = self._plain(path)
            with unwritten(opened) as alone:
                known = self.digests.of(os.fstat(opened.number)) if alone else None
                os.utime(f"/proc/self/fd/{opened.number}", ns=(int(seconds * 1e9),) * 2)
                found = os.fstat(opened.number)
                if known is not None:
                    self.digests.keep(opened.number, found, known)
            return entry_of(path[-1] if path else "", found)

    def set_mode(self, path: Path, mode: int) -> Entry:
        """Set the permission bits."""
        with refusing():
            opened = self._plain(path)
            since, before = file_clock(), os.fstat(opened.number)
            os.chmod(f"/proc/self/fd/{opened.number}", mode & MODE_MASK)
            found = os.fstat(opened.number)
            self.digests.follow(opened.number, before, found, since)
            return entry_of(path[-1] if path else "", found)

    def _plain(self, path: Path) -> Descriptor:
        """A file or folder, to be changed by its descriptor's name: it may be unreadable to us, and no other can be meant."""
        opened = self.descriptor(octets_of(path), PATH)
        entry_of("", os.fstat(opened.number))
        return opened

    # -- digests -------------------------------------------------------------------------------------------------

    def summing(self, opened: Descriptor, size: int) -> bytes | Summing:
        """The SHA-256 of an open file, or what computes it in steps."""
        with refusing():
            work = Summing(self.digests, opened, size)
            return work.begin() or work

    def sum_on(self, work: Summing) -> bytes | None:
        """Go on with it; the digest in the end."""
        with refusing():
            return work.step()
