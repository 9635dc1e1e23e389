"""Commands before login: STARTTLS, AUTHENTICATE, LOGIN.  RFC 3501 section 6.2."""

from __future__ import annotations

import base64

from launcelot.core.errors import BadCredentials
from launcelot.core.sasl import MAX_RESPONSE, Challenge, SaslError, decode_initial, decode_response, decode_text
from launcelot.core.wire import BareNewline
from launcelot.hosting import sasl
from launcelot.protocols.imap4.grammar.requests import Authenticate, Login, Nothing
from launcelot.protocols.imap4.session import Bye, Reply, Session, bad, no, ok

SERVICE = "imap"
"""Logins count under this name."""


async def starttls(session: Session, _request: Nothing) -> Reply | None:
    """
    Speak TLS from the next octet on.  RFC 3501 section 6.2.1.

    What came in clear behind the command is neither executed nor kept: the connection is closed.
    """
    if session.wire.secure or not session.site.has_tls:
        return bad("TLS is not available now")
    if session.wire.pending:
        session.finish(session.tag, bad("nothing may follow STARTTLS before TLS"))
        raise Bye("plaintext behind STARTTLS")
    session.finish(session.tag, ok("Begin TLS negotiation now"))
    session.wire.begin_tls()
    return None


async def login(session: Session, request: Login) -> Reply:
    """Log in with name and password in one command.  RFC 3501 section 6.2.3."""
    if not session.passwords:
        return privacy_required()
    try:
        name, password = decode_text(request.name), decode_text(request.password)
    except SaslError:
        raise BadCredentials from None
    if not name or not password:
        raise BadCredentials
    account = await session.site.logins.by_password(name, password, session.wire.source, SERVICE)
    return await log_in(session, sasl.Proved(account, name))


async def authenticate(session: Session, request: Authenticate) -> Reply:
    """Log in with a SASL mechanism.  RFC 3501 section 6.2.2, RFC 4959."""
    wire = session.wire
    peer = sasl.Peer(wire.source, SERVICE, wire.secure, wire.channel_binding)
    exchange = sasl.begin(session.site.logins, request.mechanism, peer)
    if exchange is None:
        return no("mechanism is not supported", b"CANNOT")
    if not session.passwords:
        return privacy_required()
    try:
        proved = await converse(session, exchange, request.initial)
    except SaslError as error:
        return bad(str(error))
    except BareNewline:
        return bad("response does not end in CRLF")
    return await log_in(session, proved)


async def converse(session: Session, exchange: sasl.Exchange, initial: bytes | None) -> sasl.Proved:
    """
    Challenges and responses up to who it is.

    :raises SaslError: the client cancelled, or its response does not fit.
    """
    step = await exchange.step(None if initial is None else decode_initial(initial))
    while isinstance(step, Challenge):
        session.wire.write(b"+ %b\r\n" % base64.b64encode(step.data))
        step = await exchange.step(decode_response(await session.wire.line(MAX_RESPONSE)))
    return step


async def log_in(session: Session, proved: sasl.Proved) -> Reply:
    """Become authenticated as who has proved it; nobody may act for others.  RFC 5530 section 3."""
    if not proved.may_act:
        return no("nobody may act for somebody else", b"AUTHORIZATIONFAILED")
    account = proved.account
    session.log_in(account, await session.site.mail.mail(account.id, account.quota, account.messages))
    return ok("Logged in", b"CAPABILITY " + session.capabilities())


def privacy_required() -> Reply:
    """No password without TLS.  RFC 5530 section 3."""
    return no("passwords need TLS here", b"PRIVACYREQUIRED")
