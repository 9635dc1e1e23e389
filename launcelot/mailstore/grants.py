"""
Access lists of an account's mailboxes, as stores keep them; what they mean is in :mod:`launcelot.mailstore.rights`.

A list stays with its mailbox through a rename and goes with it; a new mailbox begins with the list of the one above it
(RFC 4314 section 4).  Mailboxes are named by MAILBOXID, so that a list is found under whatever name its mailbox has now.  Who
watches a mailbox is told when its list changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from launcelot.core.errors import LimitReached
from launcelot.mailstore.rights import MAX_ENTRIES, Change, Entries, Rights


class Grants(Protocol):
    """The access lists of one account's mailboxes."""

    async def of(self, id: str) -> Entries:
        """
        The access list of a mailbox.

        :raises Gone: it has been deleted.
        """

    async def all(self) -> Mapping[str, Entries]:
        """The lists of all mailboxes that have entries, by MAILBOXID."""

    async def change(self, id: str, identity: str, change: Change, rights: Rights, keep: bool = False) -> Rights:
        """
        Change one entry, durable when it returns; one without rights is removed.

        :param keep: keep one without rights, too.
        :returns: what the entry has now.
        :raises Gone: the mailbox has been deleted.
        :raises LimitReached: the list has too many entries.
        """


def check_room(entries: int) -> None:
    """
    Refuse a list that would be too long.

    :raises LimitReached: it has that many entries.
    """
    if entries > MAX_ENTRIES:
        raise LimitReached("the access list is too long")
