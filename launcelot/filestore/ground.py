"""
One account's folders on disk: how what is in them is opened, and how many octets there are.

``<account>/files`` holds the tree, ``<account>/.uploads`` what is being received (``<id>.new``) and what abandoned uploads left
(``kept.<hash of the path>``); ``<account>/.stored`` is the :class:`~launcelot.filestore.ledger.Ledger`'s, ``<account>/.sums`` the
:class:`~launcelot.filestore.digests.Digests`'.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from launcelot.core.errors import NotPermitted
from launcelot.filestore.beneath import Descriptor, Opener
from launcelot.filestore.calls import looked_at, octets_of, refusing
from launcelot.filestore.digests import Digests
from launcelot.filestore.interface import Path
from launcelot.filestore.ledger import Ledger
from launcelot.filestore.limits import Room
from launcelot.filestore.paths import decode

FILES = b"files"
UPLOADS = b".uploads"
NEW = b".new"
KEPT = b"kept."
STORED = b".stored"
SUMS = b".sums"

FOLDER = os.O_RDONLY | os.O_DIRECTORY
PATH = os.O_PATH


@dataclass
class Ground:
    """
    One account on disk.

    :ivar root: the store's folder.
    :ivar room: ``stored`` is changed in worker threads in :meth:`Ground.counted`, the rest only in the reactor thread.
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
    digests: Digests = field(init=False)

    def __post_init__(self) -> None:
        """Its digests are beside its files."""
        self.digests = Digests(self._sums)

    def _sums(self, flags: int) -> Descriptor:
        mode = 0o600 if flags & os.O_CREAT else 0
        return Descriptor(self.opener.open(self.root.number, (self.account, SUMS), flags, mode))

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

    # -- counting ------------------------------------------------------------------------------------------------

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
