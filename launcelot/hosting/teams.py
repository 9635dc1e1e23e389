"""
Team folders as one account has them: the directory says which and with what rights, the file store has what is in them.
"""

from __future__ import annotations

from collections.abc import Sequence

from launcelot.accounts.interface import Account, Directory
from launcelot.core.filerights import TEAM_PLACE, Right, Share
from launcelot.core.ids import AccountId
from launcelot.filestore.interface import FileStore, Tree
from launcelot.filestore.teamtree import TeamTree


class AccountFolders:
    """See :class:`launcelot.filestore.teamtree.Folders`."""

    def __init__(self, account: AccountId, files: FileStore, directory: Directory) -> None:
        self._account = account
        self._files = files
        self._directory = directory
        self._trees: dict[AccountId, tuple[int, Tree]] = {}

    async def shares(self) -> Sequence[Share]:
        """Asked anew each time; the directory answers from memory."""
        return await self._directory.shares(self._account)

    def rights(self, folder: AccountId) -> Right:
        """Read from the disk, as others may have changed it in this instant."""
        return self._directory.rights_on(folder, self._account)

    async def tree(self, share: Share) -> Tree:
        """The same one until its quota changes."""
        quota, tree = self._trees.get(share.id, (-1, None))
        if tree is None or quota != share.quota:
            tree = await self._files.tree(share.id, share.quota, self._account)
            self._trees[share.id] = (share.quota, tree)
        return tree


async def tree_with_teams(account: Account, files: FileStore, directory: Directory, place: str = TEAM_PLACE) -> Tree:
    """
    An account's own tree with the team folders that it may use.

    :param place: where they are; empty for the own tree alone.
    """
    home = await files.tree(account.id, account.quota)
    return TeamTree(home, place, AccountFolders(account.id, files, directory)) if place else home
