"""Commands of every state: CAPABILITY, NOOP, LOGOUT, ID, NAMESPACE, CHECK, IDLE.  RFC 3501 section 6.1."""

from __future__ import annotations

from launcelot import __version__
from launcelot.core.wire import BareNewline
from launcelot.hosting.sharing import SHARED
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.requests import Enable, Identify, Nothing
from launcelot.protocols.imap4.news import News
from launcelot.protocols.imap4.session import Extension, Reply, Session, bad, ok

DONE_LIMIT = 256
"""Octets of the line that ends IDLE."""


async def capability(session: Session, _request: Nothing) -> Reply:
    """Tell what the server can do now.  RFC 3501 section 6.1.1."""
    session.untagged(b"CAPABILITY " + session.capabilities())
    return ok("CAPABILITY completed")


async def noop(_session: Session, _request: Nothing) -> Reply:
    """Do nothing but tell of changes.  RFC 3501 section 6.1.2."""
    return ok("NOOP completed")


async def check(_session: Session, _request: Nothing) -> Reply:
    """Everything is durable already.  RFC 3501 section 6.4.1."""
    return ok("CHECK completed")


async def logout(session: Session, _request: Nothing) -> Reply:
    """End the session.  RFC 3501 section 6.1.3."""
    session.untagged(b"BYE Logging out")
    session.end()
    return ok("LOGOUT completed")


async def identify(session: Session, _request: Identify) -> Reply:
    """Tell who we are; what the client says of itself is not kept.  RFC 2971 section 3.1."""
    pairs = (b"name", b"Launcelot", b"version", __version__.encode("ascii"))
    session.untagged(b"ID (" + b" ".join(map(responses.string, pairs)) + b")")
    return ok("ID completed")


async def enable(session: Session, request: Enable) -> Reply:
    """Switch extensions on; those nobody knows are passed over.  RFC 5161 section 3.1."""
    known = [one for one in Extension if one.value.upper() in request.names]
    for extension in known:
        session.enable(extension)
    if Extension.METADATA in known and session.news is None:
        session.news = await News.begin(session.mail, session.account.id)
    session.untagged(b" ".join([b"ENABLED", *(one.value for one in known)]))
    return ok("ENABLE completed")


async def namespace(session: Session, _request: Nothing) -> Reply:
    """One personal namespace at the root, and a shared one for everybody else's.  RFC 2342 section 5."""
    session.untagged(b'NAMESPACE (("" "/")) NIL (("%b/" "/"))' % SHARED.encode("ascii"))
    return ok("NAMESPACE completed")


async def idle(session: Session, _request: Nothing) -> Reply:
    """Tell of changes as they happen until the client says DONE.  RFC 2177 section 3."""
    wire = session.wire
    wire.write(b"+ idling\r\n")
    session.attend(True)
    try:
        while True:
            await session.tell_all(expunge=True)
            wire.flush()
            await wire.drain()
            line = await wire.line_or_notice(DONE_LIMIT)
            session.rested()
            if line is not None:
                return ok("IDLE completed") if line.upper() == b"DONE" else bad("expected DONE")
    except BareNewline:
        return bad("expected DONE")
    finally:
        session.attend(False)
