"""Annotations in memory; see :mod:`launcelot.mailstore.annotations`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from launcelot.core.ids import AccountId
from launcelot.mailstore.annotations import (
    ANNOTATIONS,
    KEPT_REMOVALS,
    NOBODY,
    WHOLE_ACCOUNT,
    AnnotationChanges,
    by_owner,
    check_room,
    check_values,
    owner_of,
    weigh,
)
from launcelot.mailstore.memoryshelf import Shelf
from launcelot.mailstore.watchers import Watchers

Place = tuple[int, AccountId, str]
"""Number of the mailbox (0 for the account), whose it is, entry."""


@dataclass
class Notes:
    """
    What is kept of an account's annotations.

    :ivar kept: number of the last change and value; None for what was removed.
    """

    kept: dict[Place, tuple[int, bytes | None]] = field(default_factory=dict)
    number: int = 0

    def of(self, mailbox: int, owner: AccountId) -> dict[str, bytes]:
        """The entries of one mailbox under one owner."""
        return {
            entry: value
            for (where, whose, entry), (_, value) in self.kept.items()
            if (where, whose) == (mailbox, owner) and value is not None
        }

    def octets(self, owner: AccountId) -> int:
        """What one owner's entries weigh together."""
        return sum(
            weigh(entry, value) for (_, whose, entry), (_, value) in self.kept.items() if whose == owner and value is not None
        )

    def put(self, mailbox: int, person: AccountId, values: Mapping[str, bytes | None]) -> None:
        """Set and remove entries; a refusal leaves all as it was."""
        before, number = self.kept.copy(), self.number
        self.number += 1
        for entry, value in values.items():
            place = (mailbox, owner_of(entry, person), entry)
            if value is not None or place in self.kept:
                self.kept[place] = (self.number, value)
        try:
            for owner in by_owner(values, person):
                check_room(len(self.of(mailbox, owner)), self.octets(owner))
        except BaseException:
            self.kept, self.number = before, number
            raise
        removed = sorted((change, place) for place, (change, value) in self.kept.items() if value is None)
        for _, place in removed[:-KEPT_REMOVALS]:
            del self.kept[place]

    def copy(self, mailbox: int, to: int) -> None:
        """Give one mailbox the entries of another."""
        for (where, whose, entry), kept in list(self.kept.items()):
            if where == mailbox and kept[1] is not None:
                self.kept[(to, whose, entry)] = kept

    def drop(self, mailbox: int) -> None:
        """Forget a mailbox."""
        self.kept = {place: kept for place, kept in self.kept.items() if place[0] != mailbox}


class Account(Protocol):
    """What annotations ask of the account they belong to."""

    watchers: Watchers

    @property
    def notes(self) -> Notes:
        """What is kept; raises Gone."""

    def shelf(self, name: str) -> Shelf:
        """A mailbox by name; raises NotFound."""

    def shelf_names(self) -> Mapping[int, str]:
        """All mailboxes' names by number."""


class MemoryAnnotations:
    """One account's; see :class:`launcelot.mailstore.annotations.Annotations`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def _number(self, mailbox: str) -> int:
        return self._account.shelf(mailbox).number if mailbox != WHOLE_ACCOUNT else 0

    async def read(self, mailbox: str, person: AccountId) -> Mapping[str, bytes]:
        """Shared entries of a mailbox and a person's private ones."""
        number, notes = self._number(mailbox), self._account.notes
        return notes.of(number, NOBODY) | notes.of(number, person)

    async def write(self, mailbox: str, person: AccountId, values: Mapping[str, bytes | None]) -> int:
        """Set entries, or remove them with None."""
        check_values(values)
        notes = self._account.notes
        if mailbox == WHOLE_ACCOUNT:
            notes.put(0, person, values)
            self._account.watchers.notify([ANNOTATIONS])
            return notes.number
        shelf = self._account.shelf(mailbox)
        notes.put(shelf.number, person, values)
        shelf.modseq += 1
        self._account.watchers.notify([ANNOTATIONS, shelf.number])
        return notes.number

    async def changes(self, person: AccountId, since: int) -> AnnotationChanges:
        """What happened after a number, of what a person sees."""
        notes = self._account.notes
        names = {**self._account.shelf_names(), 0: WHOLE_ACCOUNT}
        seen = (NOBODY, person)
        found = sorted(
            (change, names[where], entry)
            for (where, whose, entry), (change, _) in notes.kept.items()
            if change > since >= 0 and whose in seen
        )
        return AnnotationChanges(notes.number, tuple((name, entry, change) for change, name, entry in found))

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change."""
        return self._account.watchers.watch(ANNOTATIONS, changed)
