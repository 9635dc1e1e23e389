"""
What others have done to annotations, for a session that has asked to be told with ENABLE METADATA.  RFC 5464 section 4.4.2.

Only names of entries are told, never values, and never the session's own changes.
"""

from __future__ import annotations

from collections.abc import Callable

from launcelot.core.errors import Refusal
from launcelot.core.ids import AccountId
from launcelot.mailstore.annotations import Annotations


class News:
    """
    Changes of annotations not yet told.

    :param person: who is told.
    :ivar notify: called at every change, while the session idles.
    """

    def __init__(self, annotations: Annotations, person: AccountId, number: int) -> None:
        self._annotations = annotations
        self._person = person
        self._number = number
        self._own: set[int] = set()
        self._dirty = False
        self.notify: Callable[[], None] | None = None
        self._stop = annotations.watch(self._mark)

    @classmethod
    async def begin(cls, annotations: Annotations, person: AccountId) -> News:
        """Listen from now on."""
        return cls(annotations, person, (await annotations.changes(person, -1)).number)

    def _mark(self) -> None:
        self._dirty = True
        if self.notify is not None:
            self.notify()

    def close(self) -> None:
        """Listen no longer."""
        self._stop()

    def own(self, _mailbox: str, number: int) -> None:
        """The session itself has made this change."""
        self._own.add(number)

    async def take(self) -> dict[str, list[str]]:
        """Entries others have changed since the last time, by mailbox; empty is the server's name."""
        if not self._dirty:
            return {}
        self._dirty = False
        try:
            changes = await self._annotations.changes(self._person, self._number)
        except Refusal:
            # The account has been removed; whoever uses it next is told so.
            return {}
        self._number = changes.number
        found: dict[str, list[str]] = {}
        for mailbox, entry, number in changes.entries:
            if number not in self._own:
                found.setdefault(mailbox, []).append(entry)
        self._own.clear()
        return found
