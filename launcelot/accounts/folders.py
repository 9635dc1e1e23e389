"""
Team folders: which there are, and who may do what in them.

The files themselves are with all others (:mod:`launcelot.filestore`), under the folder's id; here is what a transaction with
accounts and groups keeps right: grants name those by ids that are never used again and go with them.  A folder is called by
one name that no other folder has, capitals not counting, because some of those who mirror it cannot tell them apart either.

:class:`LocalFolders` has the rules, on top of the tables of :mod:`launcelot.accounts.tables`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from launcelot.accounts.groups import check_limits
from launcelot.accounts.interface import Grant, TeamFolder
from launcelot.accounts.names import canonical, fold
from launcelot.accounts.tables import FolderRow, Tables, View
from launcelot.core.errors import Exists, Invalid, LimitReached, NotFound
from launcelot.core.filerights import ALL, ANYONE, NONE, Right, Share, account_identity, group_identity, identities
from launcelot.core.ids import AccountId

T = TypeVar("T")

MAX_FOLDERS = 1_000
"""Team folders at most: every one that somebody sees is asked for when they list them."""
MAX_GRANTS = 1_000
"""Grants on one folder."""
MAX_NAME = 128
"""Octets of UTF-8 in a folder's name."""


class LocalFolders:
    """The part of a directory that is about team folders."""

    def _look(self, question: Callable[[View], T]) -> T:
        raise NotImplementedError

    def _look_anywhere(self, question: Callable[[View], T]) -> T:
        """As ``_look``, in any thread; may wait for the disk."""
        raise NotImplementedError

    async def _change(self, work: Callable[[Tables], T]) -> T:
        raise NotImplementedError

    def _fresh_id(self, tables: Tables) -> AccountId:
        raise NotImplementedError

    # -- what there is -------------------------------------------------------------------------------------------

    async def team_folders(self) -> Sequence[TeamFolder]:
        """See :meth:`launcelot.accounts.interface.Directory.team_folders`."""
        return self._look(lambda view: [folder_of(view, row) for row in sorted(view.folders(), key=lambda row: row.key)])

    async def team_folder(self, name: str) -> TeamFolder:
        """See :meth:`launcelot.accounts.interface.Directory.team_folder`."""
        return self._look(lambda view: folder_of(view, required(view, name)))

    async def shares(self, id: AccountId) -> Sequence[Share]:
        """See :meth:`launcelot.accounts.interface.Directory.shares`."""

        def question(view: View) -> Sequence[Share]:
            found = []
            for folder, rights in rights_of(view, id).items():
                row = view.folder_with(folder)
                if row is not None:
                    found.append(Share(row.id, row.name, row.quota, rights))
            return sorted(found, key=lambda share: share.name)

        return self._look(question)

    def rights_on(self, folder: AccountId, id: AccountId) -> Right:
        """See :meth:`launcelot.accounts.interface.Directory.rights_on`."""
        return self._look_anywhere(lambda view: rights_of(view, id).get(folder, NONE))

    # -- changing ------------------------------------------------------------------------------------------------

    async def add_team_folder(self, name: str, quota: int = 0) -> TeamFolder:
        """See :meth:`launcelot.accounts.interface.Directory.add_team_folder`."""
        name = checked(name)
        check_limits(quota, 0)

        def work(tables: Tables) -> TeamFolder:
            if tables.folder_keyed(fold(name)) is not None:
                raise Exists("there is a team folder of this name")
            if len(tables.folders()) >= MAX_FOLDERS:
                raise LimitReached(f"there are {MAX_FOLDERS} team folders already")
            row = FolderRow(self._fresh_id(tables), name, fold(name), quota)
            tables.put_folder(row)
            return folder_of(tables, row)

        return await self._change(work)

    async def change_team_folder(self, name: str, *, quota: int | None = None, called: str | None = None) -> TeamFolder:
        """See :meth:`launcelot.accounts.interface.Directory.change_team_folder`."""
        check_limits(quota or 0, 0)
        new = None if called is None else checked(called)

        def work(tables: Tables) -> TeamFolder:
            row = required(tables, name)
            if new is not None:
                other = tables.folder_keyed(fold(new))
                if other is not None and other.id != row.id:
                    raise Exists("there is a team folder of this name")
                row = replace(row, name=new, key=fold(new))
            row = replace(row, quota=row.quota if quota is None else quota)
            tables.put_folder(row)
            return folder_of(tables, row)

        return await self._change(work)

    async def grant(self, name: str, who: str, rights: Right) -> TeamFolder:
        """See :meth:`launcelot.accounts.interface.Directory.grant`."""

        def work(tables: Tables) -> TeamFolder:
            row = required(tables, name)
            grants, identity = tables.grants_on(row.id), identity_of(tables, who)
            if identity not in grants and len(grants) >= MAX_GRANTS:
                raise LimitReached(f"a team folder has at most {MAX_GRANTS} grants")
            tables.put_grant(row.id, identity, grants.get(identity, NONE) | rights)
            return folder_of(tables, row)

        return await self._change(work)

    async def revoke(self, name: str, who: str, rights: Right = ALL) -> TeamFolder:
        """See :meth:`launcelot.accounts.interface.Directory.revoke`."""

        def work(tables: Tables) -> TeamFolder:
            row = required(tables, name)
            identity = identity_of(tables, who)
            before = tables.grants_on(row.id).get(identity, NONE)
            if not before & rights:
                raise NotFound("nothing of that was granted there")
            tables.put_grant(row.id, identity, before & ~rights)
            return folder_of(tables, row)

        return await self._change(work)

    async def remove_team_folder(self, name: str) -> TeamFolder:
        """See :meth:`launcelot.accounts.interface.Directory.remove_team_folder`."""

        def work(tables: Tables) -> TeamFolder:
            row = required(tables, name)
            folder = folder_of(tables, row)
            tables.drop_folder(row.id)
            return folder

        return await self._change(work)


def checked(name: str) -> str:
    """
    A folder's name, composed.

    :raises Invalid: it cannot be one.
    """
    composed = unicodedata.normalize("NFC", name)
    if not composed or composed != composed.strip() or composed[0] == "." or not composed.isprintable() or "/" in composed:
        raise Invalid("a team folder's name has no slash, no control character, no dot in front, and no blanks around it")
    if len(composed.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise Invalid(f"a team folder's name has at most {MAX_NAME} octets")
    return composed


def required(view: View, name: str) -> FolderRow:
    """The folder with a name, capitals not counting; raises NotFound."""
    row = view.folder_keyed(fold(name))
    if row is None:
        raise NotFound("no such team folder")
    return row


def identity_of(view: View, who: str) -> str:
    """
    What an account, a group or everybody is called in grants.

    :raises NotFound: there is nobody of this name.
    """
    try:
        name = canonical(who)
    except Invalid:
        raise NotFound(f"no such account or group: {who[:64]!r}") from None
    if name == ANYONE:
        return ANYONE
    record = view.account_named(name)
    if record is not None:
        return account_identity(record.account.id)
    row = view.group_named(name)
    if row is None:
        raise NotFound(f"no such account or group: {who[:64]!r}")
    return group_identity(row.id)


def rights_of(view: View, id: AccountId) -> Mapping[AccountId, Right]:
    """
    What an account may do in which folders: all that any fitting grant gives.  This is the only place where grants become rights.

    Nothing while it is disabled, or when it has been removed.
    """
    record = view.account_with(id)
    if record is None or not record.account.enabled:
        return {}
    found: dict[AccountId, Right] = {}
    for identity in identities(id, view.groups_of(id)):
        for folder, rights in view.grants_to(identity):
            found[folder] = found.get(folder, NONE) | rights
    return found


def folder_of(view: View, row: FolderRow) -> TeamFolder:
    """A folder with its grants, by kind and name."""
    grants = [grant_of(view, identity, rights) for identity, rights in view.grants_on(row.id).items()]
    return TeamFolder(row.id, row.name, row.quota, tuple(sorted(grants, key=lambda one: (one.kind, one.name))))


def grant_of(view: View, identity: str, rights: Right) -> Grant:
    """A grant with the name of whom it is for."""
    kind, _, id = identity.partition(":")
    if kind == "account":
        record = view.account_with(AccountId(id))
        return Grant(kind, record.account.name if record is not None else id, rights)
    group = view.group_with(AccountId(id)) if kind == "group" else None
    return Grant(kind, group.name if group is not None else id or kind, rights)
