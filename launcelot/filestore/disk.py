"""
File trees on disk.

Published files are never written to: an upload is staged beside the tree on the same file system, synced, renamed over its
target, and the folder is synced before anybody is told.  So a reader sees one state of a file, and after a crash at any
instant a name is the old file or the whole new one.  Everything that can block runs in workers; the layout and the jobs are in
:mod:`launcelot.filestore.place`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path as FilePath
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from launcelot.core.errors import Invalid, Refusal, TooLarge, TryLater
from launcelot.core.ids import AccountId
from launcelot.filestore.beneath import Descriptor, Opener, best_opener
from launcelot.filestore.calls import log, refusing
from launcelot.filestore.ground import KEPT
from launcelot.filestore.interface import Entry, Form, Path, Withdrawn, always, anywhere
from launcelot.filestore.ledger import Ledger
from launcelot.filestore.limits import BATCH, LINES, PIECE, STAGED, VECTOR
from launcelot.filestore.paths import decode
from launcelot.filestore.place import Begun, Place, kept_name
from launcelot.filestore.reading import DiskReader
from launcelot.workers.interface import Workers

T = TypeVar("T")

COPY = 8 << 20
"""Octets copied in one job when an upload continues a published file."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\Z")


def shielded(waiting: Deferred[T]) -> Deferred[T]:
    """What may be cancelled without losing the result's effects: the job itself runs to its end and its result is let go."""
    outer: Deferred[T] = Deferred(lambda _: None)

    def hand_over(result: T | Failure) -> None:
        if not outer.called:
            outer.callback(result)

    waiting.addBoth(hand_over)
    return outer


class DiskUpload:
    """A file being received; small pieces are put together before they are written."""

    def __init__(self, tree: DiskTree, path: Path, begun: Begun, unique: bool) -> None:
        self._tree = tree
        self._place = tree.place
        self._path = (*path[:-1], begun.name)
        self._upload = begun.upload
        self._begun = begun
        self._unique = unique
        self._pieces: list[bytes] = []
        self._held = 0
        self._over = False
        self._broken = False
        self._writing: Deferred[None] | None = None
        self.offset = begun.keeps
        self.name = begun.name

    async def write(self, data: bytes) -> None:
        """See :meth:`launcelot.filestore.interface.Upload.write`."""
        self._tree.reserve(self._upload, self.offset + len(data), self._begun.replaces)
        self.offset += len(data)
        self._pieces.append(data)
        self._held += len(data)
        if self._held >= STAGED or len(self._pieces) >= VECTOR:
            await self._written()
            held = self._take()
            self._writing = self._tree.run(lambda: self._place.write(self._begun, self._path, held))
            if self._writing.called:
                await self._written()

    async def _written(self) -> None:
        """Wait for what is being written; the next octets come meanwhile."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            await writing
        except Refusal:
            self._broken = True
            raise

    def _take(self) -> list[bytes]:
        held, self._pieces = self._pieces, []
        self._held = 0
        return held

    async def publish(
        self, wanted: Callable[[], bool] = always, admit: Callable[[Entry | None], None] = anywhere
    ) -> Entry:
        """See :meth:`launcelot.filestore.interface.Upload.publish`."""
        if self._broken or self._over:
            raise TryLater("the upload has failed")
        await self._written()
        await self._tree.look_beside()
        held = self._take()
        quota, now = self._tree.quota, self._tree.now()
        others = self._tree.reserved_beside(self._upload)

        def job() -> Entry:
            return self._place.publish(self._begun, self._path, held, self._unique, now, quota, others, wanted, admit)

        def done(entry: Entry) -> Entry:
            self._over = True
            self._tree.forget(self._upload)
            self._begun.close()
            return entry

        self._broken = True
        try:
            return await self._tree.run(job, done)
        except Withdrawn:
            self._broken = False
            raise

    async def abandon(self) -> None:
        """See :meth:`launcelot.filestore.interface.Upload.abandon`; nothing is kept of an upload with a unique name."""
        if self._over:
            return
        self._over = True
        try:
            await self._written()
        except Refusal:
            # What there is cannot be trusted; ``_broken`` says so.
            log.debug("an upload that failed is abandoned")
        if self.offset and not self._unique and not self._broken:
            await self._keep()
        else:
            await self._discard()

    async def _keep(self) -> None:
        held, now = self._take(), self._tree.now()

        def done(octets: int) -> None:
            self._tree.forget(self._upload)
            self._tree.count_kept(self._path, octets)
            self._begun.close()

        try:
            await self._tree.run(lambda: self._place.keep(self._begun, held, now), done)
        except Refusal:
            await self._discard()
            raise

    async def _discard(self) -> None:
        self._tree.forget(self._upload)
        self._begun.close()
        await self._tree.run(lambda: self._place.discard(self._begun))


class DiskTree:
    """One account's files; see :class:`launcelot.filestore.interface.Tree` for every method."""

    def __init__(
        self, store: DiskFileStore, place: Place, account: AccountId, quota: int, uploader: AccountId | None = None
    ) -> None:
        self._account = account
        self.place = place
        self.quota = quota
        self.uploader: str = uploader or ""
        self.now = store.now
        self._store = store

    def run(self, job: Callable[[], T], done: Callable[[T], object] | None = None) -> Deferred[T]:
        """Run a job in a worker; ``done`` sees its result in the reactor thread even if nobody waits any more."""
        waiting = self._store.workers.run(job)
        if done is not None:
            waiting.addCallback(lambda result: (done(result), result)[1])
        return shielded(waiting)

    # -- looking -------------------------------------------------------------------------------------------------

    async def entry(self, path: Path) -> Entry:
        """One entry; at once where the kernel remembers it."""
        known = self.place.entry_at_once(path)
        return known if known is not None else await self.run(lambda: self.place.entry(path))

    async def entries(self, path: Path) -> AsyncIterator[list[Entry]]:
        """What a folder holds, in batches from one scan."""
        opened, listing, batch = await self.run(lambda: self.place.open_folder(path, BATCH))
        try:
            while batch:
                yield batch
                if len(batch) < BATCH:
                    break
                batch = await self.run(lambda: self.place.batch(listing, BATCH))
        finally:
            opened.close()

    async def lines(self, path: Path, form: Form) -> AsyncIterator[bytes]:
        """What a folder holds, put into octets by the worker that looks at it, which goes on while what there is leaves."""
        listing, octets = await self.run(lambda: self.place.open_lines(path, form, LINES))
        coming: Deferred[bytes] | None = None
        try:
            while listing.more:
                coming = self.run(lambda: self.place.lines(listing))
                yield octets
                octets, coming = await coming, None
            yield octets
        finally:
            if coming is not None:
                # Nobody waits for it any more; the folder is closed when nobody has it.
                coming.addErrback(lambda failure: failure.trap(Refusal) and None)

    async def read(self, path: Path) -> DiskReader:
        """Open a file; at once where the kernel remembers it."""
        found = self.place.open_file_at_once(path) if path else None
        if found is None:
            found = await self.run(lambda: self.place.open_file(path, PIECE))
        entry, opened, head = found
        return DiskReader(self._store.workers, self.place, entry, opened, head)

    async def kept(self, path: Path) -> int:
        """What an abandoned upload left."""
        return await self.run(lambda: self.place.kept(path, self.uploader))

    async def usage(self, path: Path = ()) -> int:
        """Octets stored; counted on disk once and kept from then on."""
        await self.measure()
        return self.place.room.stored

    async def measure(self) -> None:
        """Count what is stored, once; where other processes store, too, have their count each time."""
        if not self.place.measured or self.place.ledger is not None:
            await self.run(self.place.measure, self._measured)

    def _measured(self, kept: dict[str, int]) -> None:
        reserved = self.place.room.reserved
        if self.place.ledger is not None:
            for name in [name for name in reserved if name.startswith(decode(KEPT))]:
                del reserved[name]
        if not self.place.measured or self.place.ledger is not None:
            self.place.keep_count(kept)

    async def available(self, path: Path = ()) -> int | None:
        """Octets that fit, by quota and by disk."""
        await self.look_around()
        left = self.place.room.left(self.quota)
        free = await self.run(self.place.free)
        return free if left is None else min(left, free)

    # -- receiving -----------------------------------------------------------------------------------------------

    async def upload(self, path: Path, offset: int = 0, append: bool = False, unique: bool = False) -> DiskUpload:
        """Begin to receive a file."""
        await self.look_around()
        upload = self._store.ids()
        self.place.active.add(upload)
        try:
            plain = not (offset or append or unique)
            begun = self.place.begin_at_once(path, upload, bool(self.quota), self.uploader) if plain else None
            if begun is None:
                begun = await self.run(lambda: self.place.begin(path, upload, offset, append, unique, self.uploader))
        except BaseException:
            # Refused, or nobody waits any more: what may still be staged is reaped in time.
            self.forget(upload)
            raise
        if not append and not unique:
            self.place.room.release(decode(begun.aside))
        receiving = DiskUpload(self, path, begun, unique)
        try:
            self.reserve(upload, begun.keeps, begun.replaces)
            await self._copy(begun)
        except Refusal:
            receiving.offset = 0
            await receiving.abandon()
            raise
        return receiving

    async def look_around(self) -> None:
        """How much counts for the quota as it is now, here, beside, and by what other processes have stored and removed."""
        if self.quota:
            await self.measure()
        await self.look_beside()

    async def look_beside(self) -> None:
        """How much else counts for the quota, as it is now."""
        if self.quota and self._store.beside is not None and not self.uploader:
            self.place.room.beside = await self._store.beside(self._account)

    async def _copy(self, begun: Begun) -> None:
        if begun.source is None:
            return
        done = 0
        while done < begun.keeps:
            done += await self.run(partial(self.place.copy, begun, done, COPY))
        begun.source.close()

    def reserve(self, upload: str, octets: int, replaces: int) -> None:
        """Count what an upload has received."""
        if self._store.largest and octets > self._store.largest:
            raise TooLarge
        self.place.room.reserve(upload, octets, replaces, self.quota)

    def reserved_beside(self, upload: str) -> int:
        """Octets that other uploads have reserved."""
        room = self.place.room
        return sum(octets for one, octets in room.reserved.items() if one != upload)

    def forget(self, upload: str) -> None:
        """An upload is over."""
        self.place.active.discard(upload)
        self.place.room.release(upload)

    def count_kept(self, path: Path, octets: int) -> None:
        """What an abandoned upload left counts until it is reaped."""
        self.place.room.reserved[decode(kept_name(path, self.uploader))] = octets

    # -- changing ------------------------------------------------------------------------------------------------

    async def make_folder(self, path: Path) -> Entry:
        """Make a folder; durable when it returns."""
        return await self.run(lambda: self.place.make_folder(path))

    async def remove_folder(self, path: Path) -> None:
        """Remove an empty folder; a power cut may bring it back."""
        await self.run(lambda: self.place.remove_folder(path))

    async def remove(self, path: Path) -> None:
        """Remove a file; a power cut may bring it back, whole."""
        await self.run(lambda: self.place.remove(path))

    async def rename(self, path: Path, to: Path, replace: bool = True) -> None:
        """Move a file or folder; durable when it returns."""
        await self.run(lambda: self.place.rename(path, to, replace))

    async def set_modified(self, path: Path, seconds: float) -> Entry:
        """Set the time of last change."""
        return await self.run(lambda: self.place.set_modified(path, seconds))

    async def set_mode(self, path: Path, mode: int) -> Entry:
        """Set the permission bits; the operating system obeys them, so 000 makes a file unreadable until set again."""
        return await self.run(lambda: self.place.set_mode(path, mode))


class DiskFileStore:
    """
    The trees of all accounts below one folder.

    :param folder: made with mode 0700 at first use; one daemon at a time, in one process unless there is a ledger.
    :param workers: where blocking work runs; closed by whoever made them.
    :param now: wall-clock seconds since 1970.
    :param ids: fresh names for uploads, of letters and digits.
    :param largest: octets of the largest file; 0 for no limit.
    :param opener: how paths are opened; None takes the best there is.
    :param ledger: where several processes have stores on the folder.
    """

    def __init__(
        self,
        folder: FilePath,
        workers: Workers,
        now: Callable[[], float],
        ids: Callable[[], str],
        largest: int = 0,
        opener: Opener | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self._ledger = ledger
        self.folder = folder
        self.workers = workers
        self.now = now
        self.ids = ids
        self.largest = largest
        self._opener = opener or best_opener()
        self._root: Descriptor | None = None
        self._places: dict[AccountId, Place] = {}
        self._closed = False
        self.beside: Callable[[AccountId], Awaitable[int]] | None = None

    def octets(self, account: AccountId) -> int:
        """See :meth:`launcelot.filestore.interface.FileStore.octets`."""
        place = self._places.get(account)
        if place is None:
            if self._closed or not _ACCOUNT.match(account) or not (self.folder / account).is_dir():
                return 0
            place = self._places.setdefault(account, self._make_place(account))
        return place.octets()

    def _open_root(self) -> Descriptor:
        if self._root is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root = Descriptor(os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return self._root

    def _make_place(self, account: AccountId) -> Place:
        with refusing():
            place = Place(self._open_root(), account.encode("ascii"), self._opener, ledger=self._ledger)
            place.make()
            return place

    async def tree(self, account: AccountId, quota: int = 0, uploader: AccountId | None = None) -> DiskTree:
        """
        See :meth:`launcelot.filestore.interface.FileStore.tree`.

        :raises Invalid: the account's id is no file name.
        :raises TryLater: the store is closed.
        """
        if self._closed:
            raise TryLater
        if not _ACCOUNT.match(account):
            raise Invalid("this cannot be an account's id")
        place = self._places.get(account)
        if place is None:
            made = await shielded(self.workers.run(lambda: self._make_place(account)))
            place = self._places.setdefault(account, made)
        tree = DiskTree(self, place, account, quota, uploader)
        if quota:
            await tree.measure()
        return tree

    async def remove(self, account: AccountId) -> None:
        """Remove an account's tree and all that is in it."""
        if not _ACCOUNT.match(account):
            return
        self._places.pop(account, None)
        aside = f".removed-{self.ids()}"
        await shielded(self.workers.run(lambda: self._remove(account, aside)))

    def _remove(self, account: str, aside: str) -> None:
        with refusing():
            root = self._open_root()
            try:
                os.rename(account, aside, src_dir_fd=root.number, dst_dir_fd=root.number)
            except FileNotFoundError:
                return
            shutil.rmtree(aside, dir_fd=root.number)
            os.fsync(root.number)

    async def reap(self, older_than: float) -> int:
        """Throw away what uploads left that were abandoned, or cut off by the end of a process."""
        names = await shielded(self.workers.run(self._accounts))
        dropped = 0
        for name in names:
            dropped += await self._reap(AccountId(name), older_than)
        return dropped

    def _accounts(self) -> list[str]:
        with refusing():
            self._open_root()
            return [name for name in os.listdir(self.folder) if _ACCOUNT.match(name)]

    async def _reap(self, account: AccountId, older_than: float) -> int:
        place = (await self.tree(account)).place
        active = frozenset(place.active)
        gone = await shielded(self.workers.run(lambda: place.reap(older_than, active)))
        for name in gone:
            place.room.release(name)
        return len(gone)

    async def close(self) -> None:
        """Take no further requests; descriptors are closed when those that have begun have ended."""
        self._closed = True
        self._root = None
        self._places.clear()
