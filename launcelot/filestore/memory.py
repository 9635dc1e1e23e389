"""
File trees in memory: complete, and quick enough for tests and demos.

Files are immutable octets; publishing puts a new file in the old one's place, so a reader keeps what it opened.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from launcelot.core.errors import Exists, Invalid, NotFound, NotPermitted, Refusal, TooLarge
from launcelot.core.ids import AccountId
from launcelot.filestore.interface import Entry, Form, Path, Withdrawn, always, anywhere, formed
from launcelot.filestore.limits import BATCH, FILE_MODE, FOLDER_MODE, MODE_MASK, Room
from launcelot.filestore.paths import unique_name


@dataclass(slots=True)
class File:
    """A published file; ``data`` is replaced, never changed."""

    data: bytes
    modified: float
    unique: str
    mode: int = FILE_MODE


@dataclass(slots=True)
class Folder:
    """A folder and what is in it."""

    modified: float
    unique: str
    mode: int = FOLDER_MODE
    inside: dict[str, File | Folder] = field(default_factory=dict)


Node = File | Folder


KeptFor = tuple[AccountId | None, Path]
"""Whose abandoned upload, and to where."""


@dataclass(slots=True)
class Kept:
    """What an abandoned upload left behind."""

    upload: str
    data: bytearray
    written: float


@dataclass(slots=True)
class Holding:
    """Everything of one account."""

    root: Folder
    room: Room = field(default_factory=Room)
    kept: dict[KeptFor, Kept] = field(default_factory=dict)


def entry_of(name: str, node: Node) -> Entry:
    """What is told of a node."""
    size = len(node.data) if isinstance(node, File) else 0
    return Entry(name, isinstance(node, Folder), size, node.modified, node.mode, node.unique)


class MemoryReader:
    """Reads one state of a file."""

    def __init__(self, entry: Entry, data: bytes) -> None:
        self.entry = entry
        self._data = data

    async def read(self, offset: int, length: int) -> bytes:
        """See :meth:`launcelot.filestore.interface.Reader.read`."""
        return self._data[offset : offset + length]

    async def sendable(self, offset: int, length: int) -> int | None:
        """There is no descriptor."""
        return None

    async def sha256(self) -> bytes:
        """Computed each time."""
        return hashlib.sha256(self._data).digest()

    async def close(self) -> None:
        """Let go of the octets."""
        self._data = b""


class MemoryUpload:
    """A file being received."""

    def __init__(self, tree: MemoryTree, path: Path, upload: str, data: bytearray, replaces: int, unique: bool) -> None:
        self._tree = tree
        self._path = path
        self._upload = upload
        self._data = data
        self._replaces = replaces
        self._unique = unique
        self._over = False
        self._spoilt = False
        self.offset = len(data)
        self.name = path[-1]

    async def write(self, data: bytes) -> None:
        """See :meth:`launcelot.filestore.interface.Upload.write`."""
        self._tree.reserve(self._upload, len(self._data) + len(data), self._replaces)
        self._data += data
        self.offset = len(self._data)

    async def publish(
        self, wanted: Callable[[], bool] = always, admit: Callable[[Entry | None], None] = anywhere
    ) -> Entry:
        """See :meth:`launcelot.filestore.interface.Upload.publish`."""
        await self._tree.look_beside()
        if not wanted():
            raise Withdrawn
        try:
            entry = self._tree.publish(self._upload, self._path, bytes(self._data), self._unique, admit)
        except Refusal:
            self._spoilt = True
            raise
        self._over = True
        return entry

    async def abandon(self) -> None:
        """See :meth:`launcelot.filestore.interface.Upload.abandon`; nothing is kept of an upload with a unique name."""
        if not self._over:
            self._over = True
            self._tree.keep(self._upload, self._path, self._data, self._unique or self._spoilt)


class MemoryTree:
    """One account's files; see :class:`launcelot.filestore.interface.Tree` for every method."""

    def __init__(
        self, store: MemoryFileStore, holding: Holding, account: AccountId, quota: int, uploader: AccountId | None = None
    ) -> None:
        self._account = account
        self._store = store
        self._holding = holding
        self._quota = quota
        self._uploader = uploader

    # -- looking -------------------------------------------------------------------------------------------------

    def _node(self, path: Path) -> Node:
        node: Node = self._holding.root
        for name in path:
            if not isinstance(node, Folder) or name not in node.inside:
                raise NotFound
            node = node.inside[name]
        return node

    def _folder(self, path: Path) -> Folder:
        node = self._node(path)
        if not isinstance(node, Folder):
            raise NotFound
        return node

    def _target(self, path: Path) -> tuple[Folder, File | None]:
        if not path:
            raise NotPermitted("this is the root folder")
        folder = self._folder(path[:-1])
        node = folder.inside.get(path[-1])
        if isinstance(node, Folder):
            raise NotPermitted("this is a folder")
        return folder, node

    async def entry(self, path: Path) -> Entry:
        """One entry."""
        return entry_of(path[-1] if path else "", self._node(path))

    async def entries(self, path: Path) -> AsyncIterator[list[Entry]]:
        """What a folder holds, in batches."""
        inside = [entry_of(name, node) for name, node in sorted(self._folder(path).inside.items())]
        for start in range(0, len(inside), BATCH):
            yield inside[start : start + BATCH]

    def lines(self, path: Path, form: Form) -> AsyncIterator[bytes]:
        """What a folder holds, put into octets."""
        return formed(self.entries(path), form)

    async def read(self, path: Path) -> MemoryReader:
        """Open a file."""
        node = self._node(path)
        if isinstance(node, Folder):
            raise NotPermitted("this is a folder")
        return MemoryReader(entry_of(path[-1], node), node.data)

    async def look_beside(self) -> None:
        """How much else counts for the quota, as it is now."""
        if self._quota and self._store.beside is not None and self._uploader is None:
            self._holding.room.beside = await self._store.beside(self._account)

    async def kept(self, path: Path) -> int:
        """What an abandoned upload left."""
        kept = self._holding.kept.get((self._uploader, path))
        return len(kept.data) if kept else 0

    async def usage(self, path: Path = ()) -> int:
        """Octets stored in the tree."""
        return self._holding.room.stored

    async def available(self, path: Path = ()) -> int | None:
        """Octets that fit by quota."""
        await self.look_beside()
        return self._holding.room.left(self._quota)

    # -- receiving -----------------------------------------------------------------------------------------------

    async def upload(self, path: Path, offset: int = 0, append: bool = False, unique: bool = False) -> MemoryUpload:
        """Begin to receive a file."""
        await self.look_beside()
        folder, target = self._target(path)
        kept = self._holding.kept.get((self._uploader, path))
        data = bytearray()
        if unique:
            path = self._free(folder, path)
            target = None
        elif append:
            data += target.data if target else b""
        elif offset:
            source = kept.data if kept and len(kept.data) >= offset else target.data if target else b""
            if offset > len(source):
                raise Invalid("there are fewer octets than that")
            data += source[:offset]
        upload = self._store.ids()
        replaces = len(target.data) if target else 0
        if kept and not unique and not append:
            self._drop(path)
        self.reserve(upload, len(data), replaces)
        return MemoryUpload(self, path, upload, data, replaces, unique)

    def _free(self, folder: Folder, path: Path) -> Path:
        return path if path[-1] not in folder.inside else (*path[:-1], unique_name(path[-1], self._store.ids()))

    def _drop(self, path: Path) -> None:
        kept = self._holding.kept.pop((self._uploader, path), None)
        if kept:
            self._holding.room.release(kept.upload)

    def reserve(self, upload: str, octets: int, replaces: int) -> None:
        """Count what an upload has received; called by it."""
        if self._store.largest and octets > self._store.largest:
            raise TooLarge
        self._holding.room.reserve(upload, octets, replaces, self._quota)

    def publish(
        self, upload: str, path: Path, data: bytes, unique: bool, admit: Callable[[Entry | None], None]
    ) -> Entry:
        """Put a received file in its place; called by the upload."""
        folder, target = self._target(path)
        if unique and target:
            path = self._free(folder, path)
            target = None
        admit(None if target is None else entry_of(path[-1], target))
        self._holding.room.settle(upload, len(data), len(target.data) if target else 0, self._quota)
        now = self._store.now()
        file = File(data, now, self._store.unique(), target.mode if target else FILE_MODE)
        folder.inside[path[-1]] = file
        folder.modified = now
        return entry_of(path[-1], file)

    def keep(self, upload: str, path: Path, data: bytearray, lost: bool) -> None:
        """Set aside what an upload received that was given up, unless it is lost; called by it."""
        self._drop(path)
        if data and not lost:
            self._holding.kept[(self._uploader, path)] = Kept(upload, data, self._store.now())
        else:
            self._holding.room.release(upload)

    # -- changing ------------------------------------------------------------------------------------------------

    async def make_folder(self, path: Path) -> Entry:
        """Make a folder."""
        if not path:
            raise Exists
        parent = self._folder(path[:-1])
        if path[-1] in parent.inside:
            raise Exists
        folder = Folder(self._store.now(), self._store.unique())
        parent.inside[path[-1]] = folder
        parent.modified = folder.modified
        return entry_of(path[-1], folder)

    async def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        node = self._node(path)
        if not path:
            raise NotPermitted("this is the root folder")
        if isinstance(node, File):
            raise NotPermitted("this is a file")
        if node.inside:
            raise NotPermitted("the folder is not empty")
        self._take(path)

    async def remove(self, path: Path) -> None:
        """Remove a file."""
        node = self._node(path)
        if isinstance(node, Folder):
            raise NotPermitted("this is a folder")
        self._take(path)
        self._holding.room.stored -= len(node.data)

    def _take(self, path: Path) -> Node:
        parent = self._folder(path[:-1])
        parent.modified = self._store.now()
        return parent.inside.pop(path[-1])

    async def rename(self, path: Path, to: Path, replace: bool = True) -> None:
        """Move a file or folder."""
        if not path or not to:
            raise NotPermitted("this is the root folder")
        node = self._node(path)
        if isinstance(node, Folder) and len(to) > len(path) and to[: len(path)] == path:
            raise NotPermitted("a folder cannot move below itself")
        folder = self._folder(to[:-1])
        there = folder.inside.get(to[-1])
        if there is node:
            return
        if isinstance(there, Folder) or (there is not None and (isinstance(node, Folder) or not replace)):
            raise Exists
        if there is not None:
            self._holding.room.stored -= len(there.data)
        self._take(path)
        folder.inside[to[-1]] = node
        folder.modified = self._store.now()

    async def set_modified(self, path: Path, seconds: float) -> Entry:
        """Set the time of last change."""
        node = self._node(path)
        node.modified = seconds
        return entry_of(path[-1] if path else "", node)

    async def set_mode(self, path: Path, mode: int) -> Entry:
        """Set the permission bits; they are told, and nothing here obeys them."""
        node = self._node(path)
        node.mode = mode & MODE_MASK
        return entry_of(path[-1] if path else "", node)


class MemoryFileStore:
    """
    The trees of all accounts.

    :param now: wall-clock seconds since 1970.
    :param ids: fresh names for uploads.
    :param largest: octets of the largest file; 0 for no limit.
    """

    def __init__(
        self, now: Callable[[], float] = time.time, ids: Callable[[], str] | None = None, largest: int = 0
    ) -> None:
        self.now = now
        self.ids = ids or map("{:08d}".format, itertools.count(1)).__next__
        self.largest = largest
        self._numbers: Iterator[int] = itertools.count(1)
        self._accounts: dict[AccountId, Holding] = {}
        self.beside: Callable[[AccountId], Awaitable[int]] | None = None

    def octets(self, account: AccountId) -> int:
        """See :meth:`launcelot.filestore.interface.FileStore.octets`."""
        holding = self._accounts.get(account)
        return holding.room.taken - holding.room.beside if holding is not None else 0

    def unique(self) -> str:
        """A fresh value for :attr:`Entry.unique`."""
        return f"m{next(self._numbers):x}"

    async def tree(self, account: AccountId, quota: int = 0, uploader: AccountId | None = None) -> MemoryTree:
        """See :meth:`launcelot.filestore.interface.FileStore.tree`."""
        holding = self._accounts.get(account)
        if holding is None:
            holding = self._accounts[account] = Holding(Folder(self.now(), self.unique()))
        return MemoryTree(self, holding, account, quota, uploader)

    async def remove(self, account: AccountId) -> None:
        """Remove an account's tree."""
        self._accounts.pop(account, None)

    async def reap(self, older_than: float) -> int:
        """Throw abandoned uploads away."""
        dropped = 0
        for holding in self._accounts.values():
            for key, kept in list(holding.kept.items()):
                if kept.written < older_than:
                    del holding.kept[key]
                    holding.room.release(kept.upload)
                    dropped += 1
        return dropped

    async def close(self) -> None:
        """Nothing to let go of."""
