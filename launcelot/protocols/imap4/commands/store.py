"""Commands that change messages: STORE, COPY, MOVE, EXPUNGE.  RFC 3501 section 6.4, RFC 4315, RFC 6851."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launcelot.core.errors import LimitReached, NotFound
from launcelot.mailstore.interface import MAX_KEYWORDS, Copied, Stored, StoreMode
from launcelot.mailstore.query import And, Flagged, Uids
from launcelot.protocols.imap4.commands.limiting import limited, too_many, topmost
from launcelot.protocols.imap4.commands.messages import EXPUNGED, find, write_flags
from launcelot.protocols.imap4.commands.places import tells_uids
from launcelot.protocols.imap4.grammar.requests import Copy, Messages, Nothing, Store
from launcelot.protocols.imap4.grammar.sets import format_set, ranges_of
from launcelot.protocols.imap4.progress import Progress
from launcelot.protocols.imap4.session import Extension, Reply, Session, no, ok, reply_for
from launcelot.protocols.imap4.view import View

NOTHING = Stored((), (), 0)


async def store(session: Session, request: Store) -> Reply:
    """
    Change flags.  RFC 3501 section 6.4.6.

    What others changed is told first, so that a silent STORE leaves no doubt.  Of messages that are gone the rest is
    changed and the answer is NO (RFC 2180 section 4.2.1).  Messages that somebody changed after UNCHANGEDSINCE are
    named and left alone (RFC 7162 section 3.1.3); what is new about them has been told by then.  Of more than one command may
    work on, those with the highest UIDs are changed (RFC 9738 section 3.1).
    """
    view = session.writable_view
    if request.unchanged_since is not None:
        session.enable(Extension.CONDSTORE)
    await session.update(expunge=False)
    cut = topmost(session, find(view, request.messages))
    uids = cut.uids
    states, alone, modseq = NOTHING
    if uids:
        try:
            with Progress(session):
                states, alone, modseq = await view.mailbox.store(uids, request.mode, request.flags, request.unchanged_since)
        except LimitReached:
            if len((await view.mailbox.status()).keywords) >= MAX_KEYWORDS:
                session.tell_full(view)
            raise
    session.answers(states, modseq)
    if request.silent and request.mode is not StoreMode.REMOVE and not keywords_of(request.flags) <= view.keywords:
        # Only the messages have new keywords as the mailbox spells them; looking at all of them takes long.
        await session.tell_keywords(view, frozenset().union(*{state.flags for state in states}))
    if not request.silent or session.tells_modseq:
        uid = (request.messages.uid or session.tells_modseq) and not session.uid_only
        await write_flags(session, states, uid, session.tells_modseq, request.silent)
    code = modified(view, alone, request.messages.uid)
    if len(states) + len(alone) < len(uids) and not request.messages.uid:
        return limited(session, no(EXPUNGED.text, code or EXPUNGED.code), cut)
    return limited(session, ok("Conditional STORE failed" if code else "STORE completed", code), cut)


def keywords_of(flags: Iterable[str]) -> frozenset[str]:
    """Those flags that are keywords."""
    return frozenset(flag for flag in flags if not flag.startswith("\\"))


def modified(view: View, uids: Sequence[int], uid: bool) -> bytes:
    """The response code that names messages left alone, or nothing.  RFC 7162 section 3.1.3."""
    if not uids:
        return b""
    return b"MODIFIED " + format_set(uids if uid else [view.number(one) for one in uids])


async def copy(session: Session, request: Copy) -> Reply:
    """
    Copy messages to another mailbox, all or none; none of more than one command may copy.  RFC 3501 section 6.4.7, RFC 9738.

    :raises NotFound: no such target; answered ``NO [TRYCREATE]``.
    """
    await session.update(expunge=False)
    view = session.view
    uids = find(view, request.messages)
    if not request.messages.uid and not view.gone.isdisjoint(uids):
        return EXPUNGED
    refused = too_many(session, uids)
    if refused is not None:
        return refused
    await session.present()
    try:
        with Progress(session):
            copied = await session.mail.copy(view.mailbox, uids, request.target)
    except NotFound as refusal:
        return reply_for(refusal, creatable=True)
    session.made(request.target, copied.target)
    return ok("COPY completed", await copy_uid(session, request.target, copied))


async def move(session: Session, request: Copy) -> Reply:
    """
    Copy messages and remove them here; in one transaction, but to another's mailbox.  RFC 6851 section 3.

    COPYUID goes ahead of the EXPUNGE responses (section 4.3).  Of more than one command may work on, those with the highest
    UIDs are moved (RFC 9738 section 3.1).

    :raises NotFound: no such target; answered ``NO [TRYCREATE]``.
    """
    view = session.writable_view
    await session.update(expunge=False)
    cut = topmost(session, find(view, request.messages))
    uids = cut.uids
    if not request.messages.uid and not view.gone.isdisjoint(uids):
        return EXPUNGED
    await session.present()
    try:
        with Progress(session):
            moved = await session.mail.move(view.mailbox, uids, request.target)
    except NotFound as refusal:
        return reply_for(refusal, creatable=True)
    session.made(request.target, moved.target)
    code = await copy_uid(session, request.target, moved)
    if code:
        session.inform("Moved", code)
    return limited(session, await removed(session, "MOVE completed", moved.source), cut)


async def removed(session: Session, words: str, uids: Sequence[int]) -> Reply:
    """Tell what has been removed, and up to where the client knows the mailbox then.  RFC 7162 section 3.2.7."""
    session.view.lose(uids)
    if not uids or not session.tells_vanished:
        return ok(words)
    await session.update(expunge=True)
    return ok(words, b"HIGHESTMODSEQ %d" % session.view.settled)


async def copy_uid(session: Session, target: str, copied: Copied) -> bytes:
    """The response code, or nothing when no message was copied or the target may not be opened.  RFC 4315 section 3."""
    if not copied.source or not await tells_uids(session, target):
        return b""
    return b"COPYUID %d %b %b" % (copied.uid_validity, format_set(copied.source), format_set(copied.target))


async def expunge(session: Session, _request: Nothing) -> Reply:
    """Remove messages flagged ``\\Deleted``.  RFC 3501 section 6.4.3."""
    view = session.writable_view
    with Progress(session):
        gone = await view.mailbox.expunge()
    return await removed(session, "EXPUNGE completed", gone)


async def uid_expunge(session: Session, request: Messages) -> Reply:
    """
    Remove messages flagged ``\\Deleted`` among those named.  RFC 4315 section 2.1.

    Of more than one command may work on, those with the highest UIDs (RFC 9738 section 3.1).
    """
    view = session.writable_view
    uids = find(view, request)
    with Progress(session):
        cut = topmost(session, uids)
        if cut.code:
            deleted = And((Uids(tuple(ranges_of(uids))), Flagged("\\Deleted")))
            cut = topmost(session, view.present(await view.mailbox.search(deleted)))
        gone = await view.mailbox.expunge(cut.uids) if cut.uids else ()
    return limited(session, await removed(session, "EXPUNGE completed", gone), cut)
