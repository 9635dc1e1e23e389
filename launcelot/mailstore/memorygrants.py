"""Access lists in memory; see :mod:`launcelot.mailstore.grants`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from launcelot.core.errors import Gone
from launcelot.mailstore.grants import check_room
from launcelot.mailstore.memoryshelf import Shelf
from launcelot.mailstore.rights import NONE, Change, Entries, Rights
from launcelot.mailstore.watchers import Watchers


class Account(Protocol):
    """What access lists in memory ask of the account they belong to."""

    watchers: Watchers

    def all_shelves(self) -> Mapping[str, Shelf]:
        """All mailboxes by MAILBOXID; raises Gone."""


class MemoryGrants:
    """Access lists in memory."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def _shelf(self, id: str) -> Shelf:
        shelf = self._account.all_shelves().get(id)
        if shelf is None:
            raise Gone("the mailbox has been deleted")
        return shelf

    async def of(self, id: str) -> Entries:
        """The access list of a mailbox."""
        return dict(self._shelf(id).grants)

    async def all(self) -> Mapping[str, Entries]:
        """The lists of all mailboxes that have entries."""
        return {id: dict(shelf.grants) for id, shelf in self._account.all_shelves().items() if shelf.grants}

    async def change(self, id: str, identity: str, change: Change, rights: Rights, keep: bool = False) -> Rights:
        """Change one entry."""
        shelf = self._shelf(id)
        now = change.apply(shelf.grants.get(identity, NONE), rights)
        if now or keep:
            check_room(len(shelf.grants.keys() | {identity}))
            shelf.grants[identity] = now
        else:
            shelf.grants.pop(identity, None)
        self._account.watchers.notify([shelf.number])
        return now
