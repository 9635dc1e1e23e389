"""
One account's tree with the team folders in it: the only place where rights on shared files are enforced.

Team folders stand under one name at the top, such as ``/team/Plans``; all else is the account's own tree, handed on as it is, at
no cost.  A folder is there for whoever has any right on it, and is shown to whoever may list it; to all others it does not
exist.  What is beneath has the rights of the folder.

Nothing is kept of rights from one question to the next: :class:`Folders` is asked each time, so that what is taken away counts
from the next one on.  An upload is decided twice: when it begins, by what it is going to replace as far as can be seen, and in
the instant in which it is published, by what it does replace and by the rights that its sender has then.

The name at the top is reserved: nothing new can be called so in anybody's own tree.  What had this name before is put aside
(``team`` becomes ``team.home``) when its owner first has a team folder, and stays what it was until then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from twisted.logger import Logger

from launcelot.core.errors import Exists, NotFound, NotPermitted
from launcelot.core.filerights import STORING, Right, Share, needs
from launcelot.core.ids import AccountId
from launcelot.filestore.interface import Entry, Form, Path, Reader, Tree, Upload, always, anywhere, with_rights
from launcelot.filestore.paths import unique_name

ASIDE = "home"
"""Put behind the name of what was in the way."""

PLACE_OCTETS = 64
"""Longest name at the top, in octets."""

TRIES = 100
"""Names that are tried for it."""

PLACE = "this is where team folders are"
RESERVED = "this name is kept for team folders"
FOLDER = "this is a team folder"
ACROSS = "nothing moves into a team folder or out of it; copy it, then remove it"

log = Logger(namespace="launcelot.filestore")


def check_place(name: str) -> None:
    """
    Check what the name at the top is set to; empty is for no team folders.

    :raises ValueError: it cannot be a name there.
    """
    if not name:
        return
    usable = name.isprintable() and name == name.strip() and name[0] != "." and "/" not in name
    if not usable or len(name.encode("utf-8", "surrogatepass")) > PLACE_OCTETS:
        raise ValueError(f"{name[:64]!r} cannot be a folder's name; choose one word, such as 'team'")


class Folders(Protocol):
    """The team folders of one account."""

    async def shares(self) -> Sequence[Share]:
        """Those in which it may do anything now, by name."""

    def rights(self, folder: AccountId) -> Right:
        """What it may do in one now; called in any thread, and may wait for the disk."""

    async def tree(self, share: Share) -> Tree:
        """The files of one, as this account uploads to them."""


@dataclass(frozen=True, slots=True)
class Spot:
    """
    A path in a team folder.

    :ivar inner: below the folder; empty for the folder itself.
    """

    share: Share
    tree: Tree
    inner: Path

    def need(self, *rights: Right) -> None:
        """
        Go on if one of these rights is there.

        :raises NotPermitted: none is.
        """
        if not any(self.share.rights & right for right in rights):
            raise needs(rights[0])

    def need_inner(self) -> Path:
        """
        Go on if it is not the folder itself that is meant.

        :raises NotPermitted: it is.
        """
        if not self.inner:
            raise NotPermitted(FOLDER)
        return self.inner

    def seen(self, entry: Entry) -> Entry:
        """An entry of its tree as this account sees it."""
        if not self.inner and not entry.name:
            return replace(entry, name=self.share.name, rights=self.share.rights, fixed=True)
        return with_rights(entry, self.share.rights)


class TeamUpload:
    """
    An upload to a team folder.

    :param begun: what it was going to replace when it began; None for nothing.
    :param appends: whether it keeps all of that.
    :param rights: what its sender may do, at the moment when it is asked.
    """

    def __init__(self, inner: Upload, begun: Entry | None, appends: bool, rights: Callable[[], Right], spot: Spot) -> None:
        self._inner = inner
        self._begun = begun
        self._appends = appends
        self._rights = rights
        self._spot = spot
        self.name = inner.name
        self.offset = inner.offset

    async def write(self, data: bytes) -> None:
        """See :meth:`launcelot.filestore.interface.Upload.write`."""
        await self._inner.write(data)
        self.offset = self._inner.offset

    async def publish(
        self, wanted: Callable[[], bool] = always, admit: Callable[[Entry | None], None] = anywhere
    ) -> Entry:
        """See :meth:`launcelot.filestore.interface.Upload.publish`; refused as well if the rights do not suffice any more."""

        def decide(replaced: Entry | None) -> None:
            judge(self._rights(), replaced, self._appends and is_same(replaced, self._begun))
            admit(replaced)

        return self._spot.seen(await self._inner.publish(wanted, decide))

    async def abandon(self) -> None:
        """See :meth:`launcelot.filestore.interface.Upload.abandon`."""
        await self._inner.abandon()


def judge(rights: Right, replaced: Entry | None, appends: bool) -> None:
    """
    Whether a file may be put in the place of another.

    :param replaced: None for nothing.
    :param appends: whether all of that is kept.
    :raises NotPermitted: it may not.
    """
    if replaced is None:
        enough, needed = rights & Right.CREATE, Right.CREATE
    elif appends:
        enough, needed = rights & (Right.APPEND | Right.WRITE), Right.APPEND
    else:
        enough, needed = rights & Right.WRITE, Right.WRITE
    if not enough:
        raise needs(needed)


def is_same(one: Entry | None, other: Entry | None) -> bool:
    """Whether two looks at a name saw one file in one state; files are never written to, but others take their names."""
    if one is None or other is None:
        return False
    return (one.unique, one.size, one.modified) == (other.unique, other.size, other.modified)


class TeamTree:
    """
    See :class:`launcelot.filestore.interface.Tree` for every method.

    :param home: the account's own.
    :param place: the name at its top under which team folders are.
    """

    def __init__(self, home: Tree, place: str, folders: Folders) -> None:
        self.home = home
        self._place = place
        self._folders = folders
        self._in_order = False

    # -- where things are ----------------------------------------------------------------------------------------

    async def _shares(self) -> Sequence[Share]:
        shares = await self._folders.shares()
        if shares and not self._in_order:
            await self._make_way()
            self._in_order = True
        return shares

    async def _make_way(self) -> None:
        """Put aside what the account itself once called as the place is called."""
        try:
            await self.home.entry((self._place,))
        except NotFound:
            return
        for number in range(TRIES):
            name = unique_name(self._place, f"{ASIDE}{number or ''}")
            try:
                await self.home.rename((self._place,), (name,), replace=False)
            except Exists:
                continue
            except NotFound:
                # Another session was quicker.
                return
            log.info("{place} of somebody's own files is {name} now: team folders are there", place=self._place, name=name)
            return
        raise NotPermitted(f"too many things are called {self._place}")

    async def _spot(self, path: Path) -> Spot | None:
        """
        Where a path leads; None for the account's own tree.

        :raises NotFound: it is in no team folder that this account knows of.
        :raises NotPermitted: it is the place of team folders.
        """
        if path[:1] != (self._place,):
            return None
        shares = await self._shares()
        if not shares:
            return None
        if len(path) == 1:
            raise NotPermitted(PLACE)
        return await self._within(shares, path)

    async def _within(self, shares: Sequence[Share], path: Path) -> Spot:
        for share in shares:
            if share.name == path[1]:
                return Spot(share, await self._folders.tree(share), path[2:])
        raise NotFound

    async def _is_place(self, path: Path) -> bool:
        return path == (self._place,) and bool(await self._shares())

    async def _own(self, path: Path) -> Path:
        """
        A path in the account's own tree to which something may be put.

        :raises NotPermitted: it has the reserved name, and had it not before that was reserved.
        """
        if path == (self._place,):
            try:
                await self.home.entry(path)
            except NotFound:
                raise NotPermitted(RESERVED) from None
        return path

    # -- looking -------------------------------------------------------------------------------------------------

    async def entry(self, path: Path) -> Entry:
        """One entry; files of team folders need the right to list or to read, folders any."""
        if await self._is_place(path):
            return await self._place_entry()
        spot = await self._spot(path)
        if spot is None:
            entry = await self.home.entry(path)
            return entry if path else replace(entry, fixed=True)
        blind = not spot.share.rights & (Right.LIST | Right.READ)
        try:
            entry = await spot.tree.entry(spot.inner)
        except NotFound:
            if blind:
                spot.need(Right.LIST)
            raise
        if blind and not entry.is_folder:
            spot.need(Right.LIST)
        return spot.seen(entry)

    async def _place_entry(self) -> Entry:
        root = await self.home.entry(())
        return Entry(self._place, True, 0, root.modified, root.mode, f"{root.unique}-team", Right.LIST, True)

    async def entries(self, path: Path) -> AsyncIterator[list[Entry]]:
        """What a folder holds; of the place, the folders that may be listed."""
        if not path:
            if any(share.rights & Right.LIST for share in await self._shares()):
                yield [await self._place_entry()]
        elif await self._is_place(path):
            yield await self._team_entries()
            return
        spot = await self._spot(path)
        if spot is None:
            async for batch in self.home.entries(path):
                yield batch
            return
        spot.need(Right.LIST)
        async for batch in spot.tree.entries(spot.inner):
            yield [spot.seen(entry) for entry in batch]

    async def lines(self, path: Path, form: Form) -> AsyncIterator[bytes]:
        """What a folder holds, put into octets by the tree that has it."""
        tree, inner = self.home, path
        if not path:
            if any(share.rights & Right.LIST for share in await self._shares()):
                yield form.of_entries([await self._place_entry()])
        elif await self._is_place(path):
            yield form.of_entries(await self._team_entries())
            return
        spot = await self._spot(path)
        if spot is not None:
            spot.need(Right.LIST)
            form.rights = spot.share.rights
            tree, inner = spot.tree, spot.inner
        async for lines in tree.lines(inner, form):
            yield lines

    async def _team_entries(self) -> list[Entry]:
        found = []
        for share in await self._shares():
            if share.rights & Right.LIST:
                spot = Spot(share, await self._folders.tree(share), ())
                found.append(spot.seen(await spot.tree.entry(())))
        return found

    async def read(self, path: Path) -> Reader:
        """Open a file; one that is open is read to its end."""
        spot = await self._spot(path)
        if spot is None:
            return await self.home.read(path)
        spot.need(Right.READ)
        spot.need_inner()
        return await spot.tree.read(spot.inner)

    async def kept(self, path: Path) -> int:
        """What an abandoned upload of this account left."""
        spot = await self._spot(path)
        if spot is None:
            return await self.home.kept(path)
        spot.need(Right.CREATE, Right.WRITE, Right.APPEND)
        return await spot.tree.kept(spot.need_inner())

    async def usage(self, path: Path = ()) -> int:
        """Octets stored, in the account's own tree or in a team folder."""
        if await self._is_place(path):
            return 0
        spot = await self._spot(path)
        if spot is None:
            return await self.home.usage(path)
        return await spot.tree.usage()

    async def available(self, path: Path = ()) -> int | None:
        """Octets that may still be stored; none where this account may store nothing."""
        if await self._is_place(path):
            return 0
        spot = await self._spot(path)
        if spot is None:
            return await self.home.available(path)
        return await spot.tree.available() if spot.share.rights & STORING else 0

    # -- receiving -----------------------------------------------------------------------------------------------

    async def upload(self, path: Path, offset: int = 0, append: bool = False, unique: bool = False) -> Upload:
        """
        Begin to receive a file.

        Replacing one needs the right to write, adding to its end the right to append or to write, all else that to create.
        """
        spot = await self._spot(path)
        if spot is None:
            return await self.home.upload(await self._own(path), offset, append, unique)
        inner, folder = spot.need_inner(), spot.share.id
        target = None if unique else await self._target(spot)
        at_end = target is not None and (append or 0 < offset == target.size)
        judge(spot.share.rights, target, at_end)
        if at_end and not append and not spot.share.rights & Right.WRITE:
            # What goes before the new octets has to be the file's, and nothing that was sent earlier.
            offset, append = 0, True
        begun = await spot.tree.upload(inner, offset, append, unique)
        appends = at_end and target is not None and begun.offset == target.size
        return TeamUpload(begun, target, appends and append, lambda: self._folders.rights(folder), spot)

    async def _target(self, spot: Spot) -> Entry | None:
        try:
            entry = await spot.tree.entry(spot.inner)
        except NotFound:
            return None
        if entry.is_folder:
            raise NotPermitted("this is a folder")
        return entry

    # -- changing ------------------------------------------------------------------------------------------------

    async def make_folder(self, path: Path) -> Entry:
        """Make a folder."""
        if await self._is_place(path):
            raise Exists
        spot = await self._spot(path)
        if spot is None:
            return await self.home.make_folder(await self._own(path))
        if not spot.inner:
            raise Exists
        spot.need(Right.CREATE)
        return spot.seen(await spot.tree.make_folder(spot.inner))

    async def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        spot = await self._spot(path)
        if spot is None:
            await self.home.remove_folder(path)
            return
        spot.need(Right.DELETE)
        await spot.tree.remove_folder(spot.need_inner())

    async def remove(self, path: Path) -> None:
        """Remove a file."""
        spot = await self._spot(path)
        if spot is None:
            await self.home.remove(path)
            return
        spot.need(Right.DELETE)
        await spot.tree.remove(spot.need_inner())

    async def rename(self, path: Path, to: Path, replace: bool = True) -> None:
        """
        Move a file or folder within the account's own tree, or within one team folder.

        There it replaces a file only with the right to write.  Between trees nothing moves: they have quotas of their own, and a
        copy takes its time and can be cut.
        """
        spot, target = await self._spot(path), await self._spot(to)
        if spot is None and target is None:
            await self.home.rename(path, await self._own(to), replace)
            return
        if spot is None or target is None or spot.share.id != target.share.id:
            raise NotPermitted(ACROSS)
        spot.need(Right.RENAME)
        overwrite = replace and bool(spot.share.rights & Right.WRITE)
        try:
            await spot.tree.rename(spot.need_inner(), target.need_inner(), overwrite)
        except Exists:
            if replace and not overwrite and not (await spot.tree.entry(target.inner)).is_folder:
                spot.need(Right.WRITE)
            raise

    async def set_modified(self, path: Path, seconds: float) -> Entry:
        """Set the time of last change."""
        spot = await self._spot(path)
        if spot is None:
            return await self.home.set_modified(path, seconds)
        spot.need(Right.WRITE)
        return spot.seen(await spot.tree.set_modified(spot.need_inner(), seconds))

    async def set_mode(self, path: Path, mode: int) -> Entry:
        """Set the permission bits."""
        spot = await self._spot(path)
        if spot is None:
            return await self.home.set_mode(path, mode)
        spot.need(Right.WRITE)
        return spot.seen(await spot.tree.set_mode(spot.need_inner(), mode))
