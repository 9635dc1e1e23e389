"""
Logging in: AUTH, with the mechanisms of :mod:`launcelot.hosting.sasl`.  RFC 4954.

Passwords and proofs are only taken where the session may log in; failures say nothing of what was wrong.
"""

from __future__ import annotations

import base64

from launcelot.core.errors import BadCredentials, LimitReached, Refusal
from launcelot.core.sasl import SaslError, decode_initial, decode_response
from launcelot.core.wire import BareNewline, LineTooLong
from launcelot.hosting import sasl
from launcelot.protocols.smtp.grammar import AUTH_LINE, Reply, reply
from launcelot.protocols.smtp.session import OUT_OF_ORDER, Session, reply_for, sentence


async def auth(session: Session, argument: tuple[bytes, bytes | None]) -> Reply:
    """Log in.  RFC 4954 section 4."""
    name, initial = argument
    if session.account is not None or not session.extended:
        return OUT_OF_ORDER
    if not session.may_log_in:
        return reply(538, "5.7.11", "Encryption is required to authenticate")
    peer = sasl.Peer(session.source, "smtp", session.wire.secure, session.effects.channel_binding)
    exchange = sasl.begin(session.site.logins, name, peer)
    if exchange is None:
        return reply(504, "5.5.4", "Mechanism not offered")
    try:
        found = await converse(session, exchange, initial)
        return found if isinstance(found, Reply) else log_in(session, found)
    except BadCredentials:
        return FAILED
    except LimitReached as refusal:
        return reply(454, "4.7.0", sentence(refusal.text))
    except Refusal as refusal:
        words = reply_for(refusal)
        return reply(454, "4.7.0", words.text) if words.temporary else FAILED


async def converse(session: Session, exchange: sasl.Exchange, initial: bytes | None) -> sasl.Proved | Reply:
    """Lead the exchange of challenges and responses to its end."""
    try:
        response = None if initial is None else decode_initial(initial)
    except SaslError:
        return reply(501, "5.5.2", "Cannot decode the response")
    while True:
        try:
            step = await exchange.step(response)
        except SaslError:
            return FAILED
        if isinstance(step, sasl.Proved):
            return step
        session.wire.write(b"334 " + base64.b64encode(step.data) + b"\r\n")
        try:
            line = await session.wire.line(AUTH_LINE)
        except LineTooLong:
            session.ending = True
            return reply(500, "5.5.6", "Authentication line is too long")
        except BareNewline:
            return reply(501, "5.5.2", "Line does not end in CRLF")
        if line == b"*":
            return reply(501, "5.7.0", "Authentication cancelled")
        try:
            response = decode_response(line)
        except SaslError:
            return reply(501, "5.5.2", "Cannot decode the response")


def log_in(session: Session, proved: sasl.Proved) -> Reply:
    """Be who has proved it; acting as somebody else is not offered."""
    if not proved.may_act:
        return FAILED
    session.account = proved.account
    session.wire.limit_total(None)
    return reply(235, "2.7.0", "Authentication succeeded")


FAILED = reply(535, "5.7.8", "Authentication failed")
