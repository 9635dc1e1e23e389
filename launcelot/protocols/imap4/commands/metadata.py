"""
GETMETADATA and SETMETADATA, and what others have changed.  RFC 5464.

An empty mailbox name stands for the server: its private entries are kept with the account's mail, its shared ones are what
the operator has set and cannot be changed here.  A special use is the entry ``/private/specialuse`` (RFC 6154 section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcelot.core.errors import NotPermitted
from launcelot.mailstore.annotations import MAX_VALUE, WHOLE_ACCOUNT, TooManyAnnotations, ValueTooLarge
from launcelot.protocols.imap4.commands.mailbox import USES
from launcelot.protocols.imap4.grammar.metadata import Depth, GetMetadata, SetMetadata, entry_value
from launcelot.protocols.imap4.session import Reply, Session, no, ok

PIECE = 65_536
"""Octets of values joined into one response."""

SPECIAL_USE = "/private/specialuse"
TOO_LARGE = b"METADATA MAXSIZE %d" % MAX_VALUE
"""The code for a value that is too large, wherever that is found.  RFC 5464 section 4.3."""


async def get_metadata(session: Session, request: GetMetadata) -> Reply:
    """
    Tell values; of an entry that is not there NIL, unless those below are asked for, too.

    :raises NotFound: there is no such mailbox.
    """
    wants_use = any(request.depth.reaches(above, SPECIAL_USE) for above in request.entries)
    kept = await entries_of(session, request.mailbox, wants_use)
    if request.depth is Depth.ITSELF:
        found = {entry: kept.get(entry) for entry in request.entries}
    else:
        found = {
            entry: value
            for entry, value in sorted(kept.items())
            if any(request.depth.reaches(above, entry) for above in request.entries)
        } or dict.fromkeys(request.entries)
    longest = max((len(value) for value in found.values() if value is not None), default=0)
    limit = request.max_size
    if limit is None or longest <= limit:
        await tell_values(session, request.mailbox, found)
        return ok("GETMETADATA completed")
    await tell_values(session, request.mailbox, {
        entry: value for entry, value in found.items() if value is None or len(value) <= limit
    })  # fmt: skip
    return ok("GETMETADATA completed", b"METADATA LONGENTRIES %d" % longest)


async def entries_of(session: Session, mailbox: str, wants_use: bool) -> Mapping[str, bytes]:
    """
    All that this person sees of a mailbox, or of the server.

    :param wants_use: whether the special use is asked for, too.
    """
    annotations, inner = await session.mail.annotated(mailbox)
    kept = dict(await annotations.read(inner, session.account.id))
    if mailbox == WHOLE_ACCOUNT:
        return {**kept, **server_entries(session)}
    kept.pop(SPECIAL_USE, None)
    if wants_use:
        use = (await session.mail.mailbox(mailbox)).info.special_use
        kept.update({SPECIAL_USE: use.encode("ascii")} if use else {})
    return kept


def server_entries(session: Session) -> Mapping[str, bytes]:
    """The server's shared entries.  RFC 5464 section 3.2.1.1."""
    settings = session.settings
    entries = {"/shared/admin": settings.server_admin or f"mailto:postmaster@{session.site.domain}"}
    if settings.server_comment:
        entries["/shared/comment"] = settings.server_comment
    return {entry: text.encode() for entry, text in entries.items()}


async def tell_values(session: Session, mailbox: str, values: Mapping[str, bytes | None]) -> None:
    """METADATA responses, as many as it takes; none for no values."""
    waiting: list[bytes] = []
    size = 0
    for count, (entry, value) in enumerate(values.items(), 1):
        waiting.append(entry_value(entry, value))
        size += len(waiting[-1])
        if size >= PIECE or count == len(values):
            session.untagged(b"METADATA %b (%b)" % (session.name_of(mailbox), b" ".join(waiting)))
            waiting.clear()
            size = 0
            await session.wire.drain()
            await session.breathe()


async def set_metadata(session: Session, request: SetMetadata) -> Reply:
    """
    Set or remove entries, all or none.

    :raises NotFound: there is no such mailbox.
    :raises NotPermitted: they are the server's.
    """
    values = dict(request.values)
    use = special_use(values[SPECIAL_USE]) if request.mailbox != WHOLE_ACCOUNT and SPECIAL_USE in values else None
    if use and (use not in USES.values() or await session.mail.owner(request.mailbox) is not None):
        return no("the mailbox cannot be for that", b"USEATTR")
    if request.mailbox == WHOLE_ACCOUNT and any(entry.startswith("/shared/") for entry in values):
        raise NotPermitted("shared annotations of the server are the operator's")
    try:
        shared = any(entry.startswith("/shared/") for entry in values)
        annotations, inner = await session.mail.annotated(request.mailbox, shared)
        number = await annotations.write(inner, session.account.id, values)
    except ValueTooLarge as refusal:
        return no(refusal.text, TOO_LARGE)
    except TooManyAnnotations as refusal:
        return no(refusal.text, b"METADATA TOOMANY")
    if use is not None:
        await session.mail.designate(request.mailbox, use)
    if session.news is not None:
        session.news.own(request.mailbox, number)
    return ok("SETMETADATA completed")


def special_use(value: bytes | None) -> str:
    """The special use that a value names, spelled as it is; empty for none, and as given where there is no such use."""
    text = (value or b"").strip()
    return USES.get(text.upper(), text.decode("latin-1"))


async def look_up(session: Session, mailbox: str, entries: Sequence[str]) -> None:
    """What LIST tells of a mailbox behind its name.  RFC 9590 section 3."""
    kept = await entries_of(session, mailbox, SPECIAL_USE in entries)
    await tell_values(session, mailbox, {entry: kept.get(entry) for entry in entries})
