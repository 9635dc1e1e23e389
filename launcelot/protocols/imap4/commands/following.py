"""Shared mailboxes that a session follows for NOTIFY, one by one, since they are in other accounts.  RFC 5465 section 3.1."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from launcelot.core.errors import Gone, NotFound, NotPermitted
from launcelot.hosting.sharing import is_shared
from launcelot.mailstore.interface import Glance, Mailbox
from launcelot.protocols.imap4.session import Session

FIRST = -10
"""The largest number that stands for a shared mailbox among those of one's own."""
MAX_FOLLOWED = 100
"""Shared mailboxes that one session follows."""


class Followed:
    """
    Shared mailboxes.

    :param mark: called with the number of one in which something has happened.
    """

    def __init__(self, session: Session, mark: Callable[[Collection[int]], None]) -> None:
        self._session = session
        self._mark = mark
        self._numbers: dict[str, int] = {}
        self._open: dict[int, tuple[Mailbox, Callable[[], None]]] = {}
        self._barred: set[str] = set()
        self._next = FIRST

    @property
    def full(self) -> bool:
        """Whether there are more than can be followed."""
        return len(self._open) > MAX_FOLLOWED

    async def follow(self, wanted: Callable[[str], bool]) -> list[Glance]:
        """Begin with those that are wanted and not followed yet, leave the others; how the new ones stand."""
        infos = await self._session.mail.mailboxes()
        chosen = [info for info in infos if info.selectable and is_shared(info.name) and wanted(info.name)]
        ids = {info.id for info in chosen}
        for id in [id for id in self._numbers if id not in ids]:
            self._leave(id)
        found: list[Glance] = []
        for info in chosen:
            if info.id not in self._numbers and not self.full:
                found += await self._begin(info.id, info.name)
        return found

    async def _begin(self, id: str, name: str) -> list[Glance]:
        try:
            mailbox = await self._session.mail.mailbox(name)
        except (Gone, NotFound):
            return []
        number, self._next = self._next, self._next - 1
        self._numbers[id] = number
        self._open[number] = mailbox, mailbox.watch(lambda: self._mark((number,)))
        return await self.glances((number,))

    async def glances(self, numbers: Iterable[int]) -> list[Glance]:
        """How some of them stand; one that can no longer be read is told of as such and left."""
        found: list[Glance] = []
        for number in numbers:
            if number not in self._open:
                continue
            mailbox, _ = self._open[number]
            info = mailbox.info
            try:
                now = await mailbox.status()
            except (Gone, NotFound, NotPermitted):
                self._leave(info.id)
                if info.id not in self._barred:
                    self._barred.add(info.id)
                    self._session.untagged(b'LIST (\\NoAccess) "/" %b' % self._session.name_of(info.name))
                continue
            self._barred.discard(info.id)
            numbers_now = (now.uid_validity, now.uid_next, now.highest_modseq, now.messages, now.unseen)
            found.append(Glance(number, info.id, info.name, *numbers_now))
        return found

    def _leave(self, id: str) -> None:
        number = self._numbers.pop(id, 0)
        if number in self._open:
            _, stop = self._open.pop(number)
            stop()

    def close(self) -> None:
        """Follow none any more."""
        for id in list(self._numbers):
            self._leave(id)
