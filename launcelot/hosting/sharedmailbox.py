"""
A mailbox of somebody else: the mailbox itself, with a question for each right before it is touched.  RFC 4314 section 4.

Rights are asked for anew at each step, so that one that is taken away ends what it allowed, also in sessions that have the
mailbox open: without ``r`` the mailbox is gone for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from launcelot.core.errors import Gone, NotFound, NotPermitted
from launcelot.hosting.neighbours import House, Neighbours
from launcelot.mailstore.interface import (
    Appended,
    Changes,
    Copied,
    Draft,
    Glance,
    Mailbox,
    MailboxInfo,
    MailboxStatus,
    Message,
    MessageState,
    Stored,
    StoreMode,
)
from launcelot.mailstore.ordering import Criterion
from launcelot.mailstore.query import Query
from launcelot.mailstore.rights import FLAGS, Rights, permitted, right_for
from launcelot.mailstore.sheets import Asked, Sheet
from launcelot.mailstore.threads import Algorithm, Bundle
from launcelot.message.surrogate import LineSizes
from launcelot.workers.staging import Buffer

if TYPE_CHECKING:
    from launcelot.hosting.sharing import SharedMail

ROUNDS = 5
"""How often flags are set anew on messages that somebody else changes meanwhile, before theirs are overwritten."""


class SharedMailbox:
    """
    See :class:`launcelot.mailstore.interface.Mailbox`; every method also raises NotPermitted, or NotFound to whom the mailbox is
    invisible.

    :param inner: the owner's mailbox.
    :param name: under which this account sees it.
    :ivar inner_name: the owner's name for it, when it was opened.
    """

    def __init__(
        self, inner: Mailbox, name: str, house: House, neighbours: Neighbours, rights: Rights, mail: SharedMail
    ) -> None:
        self.inner = inner
        self.inner_name = inner.info.name
        self.house = house
        self._info = replace(inner.info, name=name, special_use="")
        self._neighbours = neighbours
        self._rights = rights
        self._readable = "r" in rights
        self._mail = mail

    @property
    def info(self) -> MailboxInfo:
        """Its id, and its name as this account sees it."""
        return self._info

    @property
    def opened(self) -> Glance:
        """How it stood when it was opened; needed ``r`` then."""
        if not self._readable:
            raise NotPermitted("the access list of the mailbox does not allow that")
        return self.inner.opened

    @property
    def rights(self) -> Rights:
        """What could be done with it when that was last asked."""
        return self._rights

    async def may(self, *needed: str) -> Rights:
        """
        Ask for rights.

        :raises NotPermitted: one is missing.
        :raises NotFound: likewise, and the mailbox is invisible.
        :raises Gone: it has been deleted, its owner removed, or this account.
        """
        entries = await self.house.mail.grants.of(self._info.id)
        self._rights = await self._neighbours.rights(self.house.owner, entries)
        if not self._rights.issuperset(needed):
            if "l" in self._rights:
                raise NotPermitted("the access list of the mailbox does not allow that")
            raise NotFound("no such mailbox")
        return self._rights

    async def _read(self) -> None:
        """
        Ask for ``r``.

        :raises Gone: it was there when the mailbox was opened; for who has it open the mailbox is gone.
        """
        try:
            await self.may("r")
        except (NotFound, NotPermitted):
            if self._readable:
                raise Gone("the mailbox is no longer shared") from None
            raise

    # -- reading -------------------------------------------------------------------------------------------------

    async def status(self) -> MailboxStatus:
        """Its numbers now; needs ``r``, as all that reads."""
        await self._read()
        return await self.inner.status()

    async def deleted_size(self) -> int:
        """Octets of the messages flagged ``\\\\Deleted``."""
        await self._read()
        return await self.inner.deleted_size()

    async def uids(self) -> Sequence[int]:
        """Every message's UID."""
        await self._read()
        return await self.inner.uids()

    async def states(self, uids: Sequence[int] | None = None) -> Sequence[MessageState]:
        """UID, MODSEQ and flags."""
        await self._read()
        return await self.inner.states(uids)

    async def sizes(self) -> Sequence[tuple[int, int]]:
        """Every message's UID and octets."""
        await self._read()
        return await self.inner.sizes()

    async def line_sizes(self) -> Mapping[int, LineSizes]:
        """The octets of messages that POP3 does not send as they are stored."""
        await self._read()
        return await self.inner.line_sizes()

    async def changes(self, since: int) -> Changes:
        """What happened after a MODSEQ."""
        await self._read()
        return await self.inner.changes(since)

    async def claim_recent(self) -> int:
        """``recent_from`` as it was; it is one for all who share the mailbox."""
        await self._read()
        return await self.inner.claim_recent()

    async def messages(self, uids: Sequence[int]) -> AsyncIterator[Sequence[Message]]:
        """Messages in batches."""
        await self._read()
        async for batch in self.inner.messages(uids):
            yield batch
            await self._read()

    async def sheets(self, uids: Sequence[int], columns: Sequence[Asked]) -> AsyncIterator[Sheet]:
        """Some columns of messages in batches."""
        await self._read()
        async for sheet in self.inner.sheets(uids, columns):
            yield sheet
            await self._read()

    async def sheet(self, uid: int, columns: tuple[Asked, ...]) -> Sheet | None:
        """The same of one message."""
        await self._read()
        return await self.inner.sheet(uid, columns)

    async def find_threads(self) -> None:
        """See to it that every message has its THREADID."""
        await self._read()
        await self.inner.find_threads()

    async def read(self, uid: int, offset: int, length: int) -> bytes:
        """Octets of a message."""
        await self._read()
        return await self.inner.read(uid, offset, length)

    async def search(self, query: Query) -> Sequence[int]:
        """UIDs that match."""
        await self._read()
        return await self.inner.search(query)

    async def sort(self, uids: Sequence[int], criteria: Sequence[Criterion]) -> Sequence[int]:
        """Messages in the order of some criteria."""
        await self._read()
        return await self.inner.sort(uids, criteria)

    async def thread(self, uids: Sequence[int], algorithm: Algorithm) -> Sequence[Bundle]:
        """Messages as threads."""
        await self._read()
        return await self.inner.thread(uids, algorithm)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change, of the access list too."""
        return self.inner.watch(changed)

    # -- changing ------------------------------------------------------------------------------------------------

    async def append(self, body: Buffer, flags: Collection[str], internal_date: datetime | None = None) -> Appended:
        """Add a message with those of its flags that may be set; needs ``i``."""
        rights = await self.may("i")
        return await self.inner.append(body, permitted(flags, rights), internal_date)

    async def append_all(self, drafts: Sequence[Draft]) -> Sequence[Appended]:
        """Add messages, likewise, all or none."""
        rights = await self.may("i")
        return await self.inner.append_all([replace(draft, flags=permitted(draft.flags, rights)) for draft in drafts])

    async def store(
        self, uids: Sequence[int], mode: StoreMode, flags: Collection[str], unchanged_since: int | None = None
    ) -> Stored:
        """
        Change those flags that may be; the others stay as they are.

        :raises NotPermitted: none of them may be.
        """
        rights = await self.may()
        if rights >= FLAGS:
            return await self.inner.store(uids, mode, flags, unchanged_since)
        allowed = permitted(flags, rights)
        if not (allowed or (mode is StoreMode.REPLACE and rights & FLAGS)):
            raise NotPermitted("the access list of the mailbox does not allow that")
        if mode is StoreMode.REPLACE:
            return await self._replace_flags(uids, allowed, rights, unchanged_since)
        return await self.inner.store(uids, mode, allowed, unchanged_since)

    async def _replace_flags(
        self, uids: Sequence[int], flags: Sequence[str], rights: Rights, unchanged_since: int | None
    ) -> Stored:
        """Set some flags and clear all others of their kind, while those of other kinds stay as they are."""
        done: dict[int, MessageState] = {}
        alone: list[int] = []
        pending: Sequence[int] = uids
        for left in range(ROUNDS, 0, -1):
            known = (await self.inner.status()).highest_modseq
            by_kept: dict[frozenset[str], list[int]] = {}
            for state in await self.inner.states(pending):
                if unchanged_since is not None and state.modseq > unchanged_since:
                    alone.append(state.uid)
                else:
                    kept = frozenset(flag for flag in state.flags if right_for(flag) not in rights)
                    by_kept.setdefault(kept, []).append(state.uid)
            again: list[int] = []
            for kept, some in by_kept.items():
                states, changed, _ = await self.inner.store(
                    some, StoreMode.REPLACE, {*kept, *flags}, known if left > 1 else None
                )
                done.update((state.uid, state) for state in states)
                again.extend(changed)
            if not again:
                break
            pending = again
        return Stored([done[uid] for uid in sorted(done)], sorted(alone), 0)

    async def expunge(self, uids: Sequence[int] | None = None) -> Sequence[int]:
        """Remove messages flagged ``\\\\Deleted``; needs ``e``."""
        await self.may("e")
        return await self.inner.expunge(uids)

    async def remove(self, uids: Sequence[int]) -> Sequence[int]:
        """Remove messages whatever their flags; needs ``t`` and ``e``."""
        await self.may("t", "e")
        return await self.inner.remove(uids)

    async def copy(self, uids: Sequence[int], target: str) -> Copied:
        """Copy to a mailbox that this account sees under a name."""
        return await self._mail.copy(self, uids, target)

    async def move(self, uids: Sequence[int], target: str) -> Copied:
        """Move, likewise."""
        return await self._mail.move(self, uids, target)

    async def replace(self, uid: int, body: Buffer, target: str, draft: Draft) -> Appended:
        """Add a message to such a mailbox and remove one here."""
        return await self._mail.replace(self, uid, body, target, draft)
