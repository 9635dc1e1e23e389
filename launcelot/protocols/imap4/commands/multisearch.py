"""
ESEARCH: one search in several mailboxes.  RFC 7377.

Mailboxes are searched one after another, with turns between, and each is answered when it is done; what is searched in a
mailbox that is not selected is the mailbox as it is then.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from launcelot.core.errors import Gone, NotFound, NotPermitted, Refusal
from launcelot.mailstore.interface import Mailbox, MailboxInfo
from launcelot.protocols.imap4.commands.places import places
from launcelot.protocols.imap4.commands.search import UNKNOWN_CHARSET, matching, search, summary, to_save
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.filters import Scope
from launcelot.protocols.imap4.grammar.multisearch import MultiSearch
from launcelot.protocols.imap4.grammar.requests import Search
from launcelot.protocols.imap4.grammar.search import Group, Key, Numbers, UidRanges, resolve
from launcelot.protocols.imap4.grammar.sets import STAR, Range
from launcelot.protocols.imap4.grammar.sets import resolve as resolved
from launcelot.protocols.imap4.progress import Progress
from launcelot.protocols.imap4.session import Extension, Reply, Session, bad, ok


async def multisearch(session: Session, request: MultiSearch) -> Reply:
    """UIDs of the messages that match, mailbox by mailbox; mailboxes without any are not told."""
    if any(one.scope is Scope.SELECTED for one in request.sources) and not session.selected:
        return bad("no mailbox is selected")
    asked = request.search
    if asked.key is None:
        return await search(session, asked) if b"SAVE" in asked.options else UNKNOWN_CHARSET
    if asked.modseq:
        session.enable(Extension.CONDSTORE)
    infos = await places(session, request.sources)
    with Progress(session, len(infos)) as progress:
        for info in infos:
            try:
                await search_in(session, info, asked, asked.key)
            except (Gone, NotFound, NotPermitted):
                # It has been deleted since it was listed, or is not ours to read (RFC 7377 section 2.2).
                pass
            await session.wire.drain()
            await session.breathe()
            progress.done += 1
    return ok("ESEARCH completed")


async def search_in(session: Session, info: MailboxInfo, asked: Search, key: Key) -> None:
    """
    Search in one mailbox and tell what was found, if anything was.

    :raises Gone: it is no longer there.
    :raises NotFound: likewise.
    """
    selected = session.selected and session.view.mailbox.info.id == info.id
    if selected:
        mailbox = session.view.mailbox
        found = await selected_matching(session, asked, key)
        if asked.options == (b"SAVE",):
            return
    else:
        mailbox = await session.mail.mailbox(info.name)
        found = await mailbox.search(resolve(key, await glimpse(mailbox, key), session.site.now()))
    if not found:
        return
    status = await mailbox.status()
    told = summary(found, asked)
    if asked.modseq:
        states = await mailbox.states(to_save(found, asked))
        told += b" MODSEQ %d" % max(state.modseq for state in states) if states else b""
    tag, name = responses.string(session.tag), session.name_of(info.name)
    session.untagged(b"ESEARCH (TAG %b MAILBOX %b UIDVALIDITY %d) UID%b" % (tag, name, status.uid_validity, told))


async def selected_matching(session: Session, asked: Search, key: Key) -> Sequence[int]:
    """
    Search in the selected mailbox, as this session sees it, and keep what SAVE asks for.

    :raises Refusal: it cannot be searched; then nothing is kept.  RFC 5182 section 2.1.
    """
    view = session.view
    saves = b"SAVE" in asked.options
    try:
        found = await matching(session, key)
    except Refusal:
        if saves:
            view.saved = array("I")
        raise
    if saves:
        view.saved = array("I", to_save(found, asked))
    return found


@dataclass(frozen=True, slots=True)
class Glimpse:
    """
    What numbers stand for in a mailbox that is not selected.

    :ivar uids: ascending; empty where the keys do not ask for them.
    :ivar recent_from: messages with this UID and above are recent to nobody yet.
    """

    uids: Sequence[int]
    recent_from: int

    def uid_ranges_of_numbers(self, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        """The UIDs behind sequence numbers, which is what the messages would have now."""
        count = len(self.uids)
        merged = resolved(ranges, count)
        return tuple((self.uids[low - 1], self.uids[min(high, count) - 1]) for low, high in merged if low <= count)

    def uid_ranges(self, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        """UID ranges with ``*`` replaced."""
        return tuple(resolved(ranges, self.uids[-1] if self.uids else 0))

    def recent_ranges(self) -> tuple[Range, ...]:
        """As STATUS counts them."""
        return ((self.recent_from, STAR - 1),)

    def saved_ranges(self) -> tuple[Range, ...]:
        """What has been saved is in the selected mailbox."""
        return ()


async def glimpse(mailbox: Mailbox, key: Key) -> Glimpse:
    """A look at a mailbox, no longer than the keys ask for."""
    uids = await mailbox.uids() if asks_for_uids(key) else ()
    return Glimpse(uids, (await mailbox.status()).recent_from)


def asks_for_uids(key: Key) -> bool:
    """Whether a key has sequence numbers, or UIDs with a star."""
    if isinstance(key, Group):
        return any(asks_for_uids(one) for one in key.keys)
    return isinstance(key, Numbers) or (isinstance(key, UidRanges) and any(STAR in pair for pair in key.ranges))
