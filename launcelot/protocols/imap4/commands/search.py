"""SEARCH.  RFC 3501 section 6.4.4, RFC 4731."""

from __future__ import annotations

from collections.abc import Sequence

from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.requests import Search
from launcelot.protocols.imap4.grammar.search import CHARSETS, resolve
from launcelot.protocols.imap4.grammar.sets import format_set
from launcelot.protocols.imap4.session import Reply, Session, no, ok

PIECE = 5_000
"""Numbers joined into one write."""


async def search(session: Session, request: Search) -> Reply:
    """Numbers or UIDs of the messages that match, as this session sees the mailbox."""
    if request.key is None:
        return no("charset is not supported", b"BADCHARSET (%b)" % b" ".join(CHARSETS))
    view = session.view
    matching = await view.mailbox.search(resolve(request.key, view))
    if request.uid:
        found = [uid for uid in matching if view.number(uid)]
    else:
        found = [number for uid in matching if (number := view.number(uid))]
    if request.options:
        session.untagged(
            b"ESEARCH (TAG %b)%b%b"
            % (responses.string(session.tag), b" UID" if request.uid else b"", summary(found, request.options))
        )
    else:
        await tell(session, found)
    return ok("SEARCH completed", b"EXPUNGEISSUED" if view.gone and not request.uid else b"")


async def tell(session: Session, found: Sequence[int]) -> None:
    """The SEARCH response, however long."""
    session.wire.write(b"* SEARCH")
    for start in range(0, len(found), PIECE):
        session.wire.write(b"".join([b" %d" % number for number in found[start : start + PIECE]]))
        await session.wire.drain()
    session.wire.write(b"\r\n")


def summary(found: Sequence[int], options: Sequence[bytes]) -> bytes:
    """What RETURN asks for.  RFC 4731 section 3.1: of nothing only COUNT is told."""
    told = {b"COUNT": b"%d" % len(found)}
    if found:
        told.update({b"MIN": b"%d" % found[0], b"MAX": b"%d" % found[-1], b"ALL": format_set(found)})
    return b"".join([b" %b %b" % (option, told[option]) for option in options if option in told])
