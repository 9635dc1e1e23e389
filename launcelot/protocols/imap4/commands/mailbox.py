"""Commands on mailboxes: SELECT to STATUS, CLOSE, UNSELECT.  RFC 3501 sections 6.3 and 6.4.2."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress

from launcelot.core.errors import Gone, Invalid, NotPermitted
from launcelot.mailstore.furnishing import SPECIAL_USES
from launcelot.mailstore.interface import SEPARATOR, MailboxStatus, MessageState
from launcelot.mailstore.query import Uids
from launcelot.mailstore.rights import WRITING
from launcelot.protocols.imap4.commands.fetch import tell_earlier
from launcelot.protocols.imap4.commands.messages import write_flags
from launcelot.protocols.imap4.commands.naming import tell_normalized, tell_opened
from launcelot.protocols.imap4.grammar.reader import MAX_NUMBER, Malformed
from launcelot.protocols.imap4.grammar.requests import Create, Named, Nothing, Rename, Resync, Select, Status
from launcelot.protocols.imap4.grammar.sets import inside, resolve
from launcelot.protocols.imap4.progress import Progress
from launcelot.protocols.imap4.session import Extension, Reply, Session, no, ok
from launcelot.protocols.imap4.view import View


async def select(session: Session, request: Select) -> Reply:
    """Open a mailbox for reading and writing, as far as its access list goes.  RFC 3501 section 6.3.1, RFC 4314 section 5.2."""
    await open_mailbox(session, request, read_only=False)
    return ok("SELECT completed", b"READ-ONLY" if session.view.read_only else b"READ-WRITE")


async def examine(session: Session, request: Select) -> Reply:
    """Open a mailbox for reading; nothing is changed, not even what is recent.  RFC 3501 section 6.3.2."""
    await open_mailbox(session, request, read_only=True)
    return ok("EXAMINE completed", b"READ-ONLY")


async def open_mailbox(session: Session, request: Select, read_only: bool) -> None:
    """
    Select a mailbox and tell about it; if that fails, none is selected.

    The word that the one selected before is closed parts what is told of the two.  RFC 7162 section 3.2.11.

    :raises Malformed: QRESYNC has not been switched on; then nothing has happened.
    """
    if request.resync is not None and not session.tells_vanished:
        raise Malformed("QRESYNC needs ENABLE QRESYNC")
    if session.selected:
        session.unselect()
        session.inform("The mailbox selected before is closed", b"CLOSED")
    if request.condstore:
        session.enable(Extension.CONDSTORE)
    mailbox = await session.mail.mailbox(request.mailbox)
    view = View(mailbox, read_only or not mailbox.rights & WRITING, rev2=session.rev2)
    try:
        status = await view.open()
    except BaseException:
        view.close()
        raise
    session.select(view)
    session.tell_flags_of(view)
    session.untagged(b"%d EXISTS" % len(view))
    if not session.rev2:
        session.untagged(b"%d RECENT" % view.told_recent)
    if not session.uid_only and status.first_unseen and not session.rev2:
        unseen = bisect_left(view.uids, status.first_unseen) + 1
        session.inform("First unseen message", b"UNSEEN %d" % unseen)
    session.inform("UIDs are valid", b"UIDVALIDITY %d" % status.uid_validity)
    session.inform("Predicted next UID", b"UIDNEXT %d" % max(status.uid_next, view.largest_uid + 1))
    session.tell_highest(view)
    await tell_opened(session, request.mailbox)
    session.inform("Kept through renaming", b"MAILBOXID (%b)" % status.id.encode("ascii"))
    if request.resync is not None and request.resync.uid_validity == status.uid_validity:
        await resynchronize(session, request.resync)


async def resynchronize(session: Session, resync: Resync) -> None:
    """What has changed since the client knew the mailbox, of what it knew.  RFC 7162 section 3.2.5.1."""
    changes = await session.view.mailbox.changes(resync.modseq)
    tell_earlier(session, changes, resync.known)
    states: Sequence[MessageState] = changes.changed
    if resync.known is not None:
        known = resolve(resync.known, 0)
        states = [state for state in states if inside(known, state.uid)]
    await write_flags(session, states, uid=not session.uid_only, modseq=True)


async def close(session: Session, _request: Nothing) -> Reply:
    """Expunge without telling, if that may be, then unselect.  RFC 3501 section 6.4.2, RFC 4314 section 4."""
    if not session.view.read_only:
        with suppress(NotPermitted):
            await session.view.mailbox.expunge()
    session.unselect()
    return ok("CLOSE completed")


async def unselect(session: Session, _request: Nothing) -> Reply:
    """Unselect and expunge nothing.  RFC 3691 section 2."""
    session.unselect()
    return ok("UNSELECT completed")


async def create(session: Session, request: Create) -> Reply:
    """
    Make a mailbox and those above it.  RFC 3501 section 6.3.3, RFC 6154 section 3, RFC 8474 section 4.1.

    A mailbox has at most one special use, and not one that is a view of others' messages.
    """
    if len(request.uses) > 1 or not set(request.uses) <= set(USES):
        return no("no mailbox can be made for that use", b"USEATTR")
    use = USES[request.uses[0]] if request.uses else ""
    made = await session.mail.create(acceptable(request.mailbox), use)
    tell_normalized(session, request.mailbox)
    return ok("CREATE completed", b"MAILBOXID (%b)" % made.id.encode("ascii"))


def acceptable(name: str) -> str:
    """
    A name that is to be made.

    :raises Invalid: one of its levels is ``.`` or ``..``; such names mean no harm here, but do wherever mailboxes become
        folders (Maildir exports, other programs' caches).
    """
    if not {".", ".."}.isdisjoint(name.split(SEPARATOR)):
        raise Invalid("mailbox name has a level of dots")
    return name


async def delete(session: Session, request: Named) -> Reply:
    """Delete a mailbox; it is unselected if it was selected here.  RFC 3501 section 6.3.4."""
    with Progress(session):
        await session.mail.delete(request.mailbox)
    tell_normalized(session, request.mailbox, gone=True)
    if session.selected:
        try:
            await session.view.mailbox.status()
        except Gone:
            session.unselect()
    return ok("DELETE completed")


async def rename(session: Session, request: Rename) -> Reply:
    """Rename a mailbox and those below it.  RFC 3501 section 6.3.5."""
    with Progress(session):
        await session.mail.rename(request.mailbox, acceptable(request.to))
    tell_normalized(session, request.mailbox, now=request.to)
    tell_normalized(session, request.to)
    return ok("RENAME completed")


async def subscribe(session: Session, request: Named) -> Reply:
    """Remember a name for LSUB.  RFC 3501 section 6.3.6."""
    await session.mail.subscribe(request.mailbox)
    return ok("SUBSCRIBE completed")


async def unsubscribe(session: Session, request: Named) -> Reply:
    """Forget a name for LSUB.  RFC 3501 section 6.3.7."""
    await session.mail.subscribe(request.mailbox, False)
    return ok("UNSUBSCRIBE completed")


async def status(session: Session, request: Status) -> Reply:
    """The numbers of a mailbox, without opening it.  RFC 3501 section 6.3.10, RFC 8438."""
    session.untagged(await status_of(session, request.mailbox, request.items))
    return ok("STATUS completed")


async def status_of(session: Session, name: str, items: Sequence[bytes]) -> bytes:
    """
    A STATUS response, without star and line end.

    :raises NotFound: there is no such mailbox.
    :raises Gone: it has just been deleted.
    """
    mailbox = await session.mail.mailbox(name)
    now = await mailbox.status()
    told: list[bytes] = []
    for item in items:
        if item == b"RECENT":
            fresh = Uids(((now.recent_from, MAX_NUMBER),))
            told.append(b"RECENT %d" % (len(await mailbox.search(fresh)) if now.recent_from < now.uid_next else 0))
        elif item == b"HIGHESTMODSEQ":
            session.enable(Extension.CONDSTORE)
            told.append(b"HIGHESTMODSEQ %d" % now.highest_modseq)
        elif item == b"DELETED-STORAGE":
            told.append(b"DELETED-STORAGE %d" % await mailbox.deleted_size())
        elif item == b"APPENDLIMIT":
            told.append(b"APPENDLIMIT %d" % session.settings.max_append_size)
        else:
            told.append(b"%b %b" % (item, _STATUS[item](now)))
    return b"STATUS %b (%b)" % (session.name_of(name), b" ".join(told))


_STATUS: dict[bytes, Callable[[MailboxStatus], bytes]] = {
    b"MESSAGES": lambda now: b"%d" % now.messages,
    b"UIDNEXT": lambda now: b"%d" % now.uid_next,
    b"UIDVALIDITY": lambda now: b"%d" % now.uid_validity,
    b"DELETED": lambda now: b"%d" % now.deleted,
    b"UNSEEN": lambda now: b"%d" % now.unseen,
    b"SIZE": lambda now: b"%d" % now.size,
    b"MAILBOXID": lambda now: b"(%b)" % now.id.encode("ascii"),
}
USES = {use.upper().encode("ascii"): use for use in SPECIAL_USES}
"""What mailboxes can be made for, by how a client may spell it.  RFC 6154 section 2; All and Flagged are views of others."""
