"""
File trees: what FTP and later SFTP and HTTP see of an account's files.

A path is a tuple of names below the tree's root, already resolved against the session's working folder by
:func:`launcelot.filestore.paths.resolve`; no name is empty, ``.``, ``..`` or holds ``/`` or NUL.  Names are ``str`` with
undecodable octets as surrogates (PEP 383), so that they survive a round trip.  Nothing that is given here can leave the tree:
symbolic links are not followed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from launcelot.core.errors import Gone
from launcelot.core.filerights import ALL, Right
from launcelot.core.ids import AccountId

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One file or folder.

    :ivar name: the last name of its path; empty for the root.
    :ivar size: octets; 0 for folders.
    :ivar modified: seconds since 1970.
    :ivar unique: stays the same while the entry exists, whatever it is called (the MLSD fact ``unique``).
    :ivar rights: what whoever looks may do with it, and in it.
    :ivar fixed: whether it can neither be removed nor renamed, as the root.
    """

    name: str
    is_folder: bool
    size: int
    modified: float
    mode: int
    unique: str
    rights: Right = ALL
    fixed: bool = False


Look = tuple[int, int, int, int, int, int, int]
"""What a look tells: mode with its kind, inode, octets; seconds and nanoseconds of last change; device, major and minor."""


class Form(Protocol):
    """
    How what a folder holds is put into octets, many at once; called in any thread.

    :ivar bare: whether names are all it shows, so that nobody has to look at what is behind them.
    :ivar selects: whether some names may not fit.
    :ivar rights: what whoever looks may do with what they are shown; set before it is used.
    """

    bare: bool
    selects: bool
    rights: Right

    def fits(self, name: str) -> bool:
        """Whether an entry of this name is to be shown."""

    def of_entries(self, entries: Sequence[Entry]) -> bytes:
        """Any entries; here names that do not fit are left out."""

    def of_names(self, names: Sequence[str]) -> bytes:
        """Entries of which only names are known, where it is bare."""

    def of_looks(self, names: Sequence[str], found: Sequence[Look]) -> bytes:
        """Files and folders as the system tells of them."""


def with_rights(entry: Entry, rights: Right) -> Entry:
    """An entry as somebody with these rights sees it."""
    if rights == ALL:
        return entry
    return Entry(entry.name, entry.is_folder, entry.size, entry.modified, entry.mode, entry.unique, rights, entry.fixed)


async def formed(batches: AsyncIterator[list[Entry]], form: Form) -> AsyncIterator[bytes]:
    """Entries in a form."""
    async for batch in batches:
        yield form.of_entries(batch)


class Reader(Protocol):
    """A file open for reading; what it reads is one state of the file, whatever is published meanwhile."""

    @property
    def entry(self) -> Entry:
        """The file as it was when it was opened."""

    async def read(self, offset: int, length: int) -> bytes:
        """Octets from ``offset``; fewer than ``length`` only at the end, none past it."""

    async def sendable(self, offset: int, length: int) -> int | None:
        """
        A descriptor from which ``sendfile`` takes these octets without waiting for a disk; they are read into memory first.

        It is open until :meth:`close`.  None where there is none, or where nobody can tell what lies in memory.
        """

    async def sha256(self) -> bytes:
        """
        The SHA-256 of all its octets, 32 of them; without reading the file where it is known since it was received or last asked.

        :raises TryLater: the disk fails.
        """

    async def close(self) -> None:
        """Let go of it; may be called twice."""


class Withdrawn(Gone):
    """Whoever sent an upload went away before it was published."""

    default_text = "the upload was withdrawn"


def always() -> bool:
    """An upload that is wanted whatever happens."""
    return True


def anywhere(replaced: Entry | None) -> None:
    """An upload that may replace whatever is there."""


class Upload(Protocol):
    """
    A file being received: staged where no reader sees it, published whole or not at all.

    :ivar offset: octets there are, counting those kept from the target when it continues.
    :ivar name: the name it is meant to be published under; see ``unique`` of :meth:`Tree.upload`.
    """

    offset: int
    name: str

    async def write(self, data: bytes) -> None:
        """
        Take octets in order.

        :raises OverQuota: the account is full.
        :raises TooLarge: the file passes the largest size allowed.
        :raises TryLater: the disk is full or fails.
        """

    async def publish(
        self, wanted: Callable[[], bool] = always, admit: Callable[[Entry | None], None] = anywhere
    ) -> Entry:
        """
        Make it durable and put it in the target's place in one step; only then may the peer be told.

        :param wanted: asked once more between the two, maybe in another thread.
        :param admit: told then what it is about to replace, None for nothing, while nobody else can change that; it may raise a
            refusal, after which nothing has been published and nothing is kept.  Maybe in another thread, too.
        :raises Withdrawn: it is not wanted any more; the target stays as it was, and the upload can be abandoned.
        """

    async def abandon(self) -> None:
        """
        Give up: the target stays as it was.

        What was received is kept aside for a stated time if the upload may be continued, see :meth:`Tree.upload`.
        """


class Tree(Protocol):
    """One account's files, or those of a folder that several share."""

    async def entry(self, path: Path) -> Entry:
        """
        One entry.

        :raises NotFound: there is none.
        """

    def entries(self, path: Path) -> AsyncIterator[list[Entry]]:
        """
        What a folder holds, in batches as the disk gives them; by name where it is one batch, otherwise in no order.

        :raises NotFound: there is no such folder, or it is a file.
        """

    def lines(self, path: Path, form: Form) -> AsyncIterator[bytes]:
        """
        As :meth:`entries`, put into octets off the reactor thread.

        :raises NotFound: there is no such folder, or it is a file.
        """

    async def read(self, path: Path) -> Reader:
        """
        Open a file.

        :raises NotFound: there is no such file.
        :raises NotPermitted: it is a folder.
        """

    async def upload(self, path: Path, offset: int = 0, append: bool = False, unique: bool = False) -> Upload:
        """
        Begin to receive a file.

        :param offset: keep that many octets of what is there (of an abandoned upload to this path, else of the target).
        :param append: keep all octets of the target.
        :param unique: never replace: the name is made unique when it is taken.  ``Upload.name`` says the name before the
            first octet; the entry that ``publish`` returns has another one only if somebody else took it meanwhile.
        :raises NotFound: its folder does not exist.
        :raises NotPermitted: the path is a folder, or the root.
        :raises Invalid: there are fewer octets than ``offset``.
        """

    async def kept(self, path: Path) -> int:
        """How many octets an abandoned upload to this path left, from which one may go on; 0 for none."""

    async def make_folder(self, path: Path) -> Entry:
        """
        Make a folder; durable when it returns.

        :raises Exists: the name is taken.
        :raises NotFound: its folder does not exist.
        """

    async def remove_folder(self, path: Path) -> None:
        """
        Remove an empty folder.

        :raises NotFound: there is none.
        :raises NotPermitted: it is a file, the root, or not empty.
        """

    async def remove(self, path: Path) -> None:
        """
        Remove a file.

        :raises NotFound: there is none.
        :raises NotPermitted: it is a folder.
        """

    async def rename(self, path: Path, to: Path, replace: bool = True) -> None:
        """
        Move a file or folder; a file may replace a file.

        :param replace: False where nothing may be replaced.
        :raises NotFound: there is none, or the new folder does not exist.
        :raises Exists: the new name is a folder's, or a file's that may not be replaced.
        :raises NotPermitted: a folder would move below itself, or the root is meant.
        """

    async def set_modified(self, path: Path, seconds: float) -> Entry:
        """
        Set the time of last change.

        :raises NotFound: there is none.
        """

    async def set_mode(self, path: Path, mode: int) -> Entry:
        """
        Set the permission bits of a file, masked to 0o777.

        :raises NotFound: there is none.
        """

    async def usage(self, path: Path = ()) -> int:
        """Octets stored in the tree, or in that part of it with a quota of its own that a path leads to."""

    async def available(self, path: Path = ()) -> int | None:
        """Octets that may still be stored there, by quota and by the disk; None where neither sets a bound."""


class FileStore(Protocol):
    """
    The trees of all accounts, and of folders that several share, which have ids like accounts.

    :ivar beside: octets of other things of an account that count for its quota, such as its mail; None where there are none.
        It is asked when an upload begins and when it is published.
    """

    beside: Callable[[AccountId], Awaitable[int]] | None

    def octets(self, account: AccountId) -> int:
        """Octets that an account's files take, with what is being received; may block, and be called in any thread."""

    async def tree(self, account: AccountId, quota: int = 0, uploader: AccountId | None = None) -> Tree:
        """
        An account's tree, made empty at first use.

        :param quota: octets it may hold; 0 for no limit.
        :param uploader: in a tree that several share, who uses it: what abandoned uploads left is for them alone.  Nothing beside
            such a tree counts for its quota.
        """

    async def remove(self, account: AccountId) -> None:
        """Remove an account's tree and all that is in it; an account without one is fine."""

    async def reap(self, older_than: float) -> int:
        """
        Throw abandoned uploads away.

        :param older_than: seconds since 1970; those last written before are dropped.
        :returns: how many were dropped.
        """

    async def close(self) -> None:
        """Let go of descriptors and threads."""
