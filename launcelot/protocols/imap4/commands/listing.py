"""LIST and LSUB.  RFC 3501 sections 6.3.8 and 6.3.9, RFC 3348, RFC 6154."""

from __future__ import annotations

from collections.abc import Iterable

from launcelot.mailstore.interface import MailboxInfo
from launcelot.mailstore.names import Pattern, parents
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.requests import List
from launcelot.protocols.imap4.session import Reply, Session, ok

PIECE = 500
"""Names between two turns."""


async def list_(session: Session, request: List) -> Reply:
    """Names that match a pattern; an empty pattern asks for the separator and the root of the reference."""
    if not request.pattern:
        session.untagged(rb'LIST (\Noselect) "/" ""')
        return ok("LIST completed")
    pattern = Pattern(request.reference + request.pattern)
    found = [info for info in await session.mail.mailboxes() if pattern.matches(info.name)]
    await tell(session, b"LIST", ((attributes_of(info), info.name) for info in found))
    return ok("LIST completed")


async def lsub(session: Session, request: List) -> Reply:
    """Subscribed names that match a pattern; with ``%`` also names above them, as not selectable."""
    if not request.pattern:
        session.untagged(rb'LSUB (\Noselect) "/" ""')
        return ok("LSUB completed")
    pattern = Pattern(request.reference + request.pattern)
    names = await session.mail.subscriptions()
    selectable = {info.name for info in await session.mail.mailboxes() if info.selectable}
    found = {name: name in selectable for name in names if pattern.matches(name)}
    if "%" in request.pattern:
        for name in names:
            for above in parents(name):
                if above not in found and pattern.matches(above):
                    found[above] = False
    rows = ((b"" if found[name] else rb"\Noselect", name) for name in sorted(found))
    await tell(session, b"LSUB", rows)
    return ok("LSUB completed")


def attributes_of(info: MailboxInfo) -> bytes:
    """What stands between the parentheses."""
    words = [] if info.selectable else [rb"\Noselect"]
    words.append(rb"\HasChildren" if info.has_children else rb"\HasNoChildren")
    if info.special_use:
        words.append(info.special_use.encode("ascii"))
    return b" ".join(words)


async def tell(session: Session, word: bytes, rows: Iterable[tuple[bytes, str]]) -> None:
    """Write one response a name, with turns between."""
    for count, (attributes, name) in enumerate(rows, 1):
        session.untagged(b'%b (%b) "/" %b' % (word, attributes, responses.mailbox(name)))
        if count % PIECE == 0:
            await session.wire.drain()
            await session.breathe()
