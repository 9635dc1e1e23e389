"""
What others have done to annotations, for a session that has asked to be told with ENABLE METADATA.  RFC 5464 section 4.4.2.

Only names of entries are told, never values, never the session's own changes, and of other people's mailboxes only what the
session may see.
"""

from __future__ import annotations

from collections.abc import Callable

from launcelot.core.errors import Refusal
from launcelot.core.ids import AccountId
from launcelot.hosting.sharing import SharedMail, outer
from launcelot.mailstore.annotations import WHOLE_ACCOUNT, Annotations


class Source:
    """
    One account's annotations.

    :param prefix: of the names of its mailboxes.
    :param number: of the last change that is old.
    :param changed: called at every change.
    """

    def __init__(self, prefix: str, annotations: Annotations, number: int, changed: Callable[[], None]) -> None:
        self.prefix = prefix
        self.own: set[int] = set()
        self._annotations = annotations
        self._number = number
        self._dirty = False
        self._changed = changed
        self.stop = annotations.watch(self._mark)

    def _mark(self) -> None:
        self._dirty = True
        self._changed()

    async def take(self, person: AccountId) -> list[tuple[str, str]]:
        """Mailboxes and entries that others have changed since the last time."""
        if not self._dirty:
            return []
        self._dirty = False
        try:
            changes = await self._annotations.changes(person, self._number)
        except Refusal:
            # The account has been removed; whoever uses it next is told so.
            return []
        self._number = changes.number
        found = [(mailbox, entry) for mailbox, entry, number in changes.entries if number not in self.own]
        self.own.clear()
        return found


class News:
    """
    Changes of annotations not yet told.

    :param person: who is told.
    :ivar notify: called at every change, while the session idles.
    """

    def __init__(self, mail: SharedMail, person: AccountId) -> None:
        self.notify: Callable[[], None] | None = None
        self._mail = mail
        self._person = person
        self._sources: dict[AccountId, Source] = {}

    @classmethod
    async def begin(cls, mail: SharedMail, person: AccountId) -> News:
        """Listen from now on."""
        news = cls(mail, person)
        await news._listen(person, "", mail.own.annotations)
        await news._follow()
        return news

    async def _listen(self, owner: AccountId, prefix: str, annotations: Annotations) -> None:
        number = (await annotations.changes(self._person, -1)).number
        self._sources[owner] = Source(prefix, annotations, number, self._wake)

    def _wake(self) -> None:
        if self.notify is not None:
            self.notify()

    async def _follow(self) -> None:
        """Listen to those who share something now, and to nobody else."""
        neighbours = self._mail.neighbours
        owners = {owner.id: owner for owner in await neighbours.owners()}
        for id in self._sources.keys() - owners.keys() - {self._person}:
            self._sources.pop(id).stop()
        for id, owner in owners.items():
            if id not in self._sources:
                await self._listen(id, outer(owner, ""), (await neighbours.house(owner)).mail.annotations)

    def close(self) -> None:
        """Listen no longer."""
        for source in self._sources.values():
            source.stop()
        self._sources.clear()

    def own(self, mailbox: str, number: int) -> None:
        """The session itself has made this change."""
        source = max(
            (one for one in self._sources.values() if mailbox.startswith(one.prefix)),
            key=lambda one: len(one.prefix),
            default=None,
        )
        if source is not None:
            source.own.add(number)

    async def take(self) -> dict[str, list[str]]:
        """Entries others have changed since the last time, by mailbox; empty is the server's name."""
        found: dict[str, list[str]] = {}
        try:
            await self._follow()
        except Refusal:
            # This account has been removed; likewise.
            return found
        for source in list(self._sources.values()):
            for mailbox, entry in await source.take(self._person):
                if not source.prefix or (mailbox != WHOLE_ACCOUNT and await self._sees(source.prefix + mailbox)):
                    found.setdefault(source.prefix + mailbox, []).append(entry)
        return found

    async def _sees(self, name: str) -> bool:
        try:
            await self._mail.annotated(name)
        except Refusal:
            return False
        return True
