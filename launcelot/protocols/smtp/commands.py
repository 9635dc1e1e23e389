"""
SMTP's commands: one function for each verb, and the table that drives dispatch, HELP, the documentation and tests.

Each function is handed the session and its parsed argument and returns the reply; some write earlier replies of their own
(AUTH's challenges, DATA's 354).  Those with more to them live in :mod:`~launcelot.protocols.smtp.login`,
:mod:`~launcelot.protocols.smtp.envelope` and :mod:`~launcelot.protocols.smtp.receiving`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from launcelot.hosting import sasl
from launcelot.protocols.smtp.envelope import mail, recipient
from launcelot.protocols.smtp.grammar import (
    COMMAND_LINE,
    Reply,
    Request,
    SyntaxProblem,
    parse_auth,
    parse_chunk,
    parse_greeting,
    parse_mail,
    parse_nothing,
    parse_recipient,
    parse_request,
    parse_text,
    reply,
)
from launcelot.protocols.smtp.login import auth
from launcelot.protocols.smtp.proxying import CLIENT, FORWARDED, parse_client, parse_forwarded, xclient, xforward
from launcelot.protocols.smtp.receiving import bdat, data
from launcelot.protocols.smtp.session import ANY, OUT_OF_ORDER, Role, Session, State

TLS_FIRST = reply(530, "5.7.0", "Must issue a STARTTLS command first")
LOG_IN_FIRST = reply(530, "5.7.0", "Authentication required")


# -- greeting ------------------------------------------------------------------------------------------------------


async def ehlo(session: Session, name: str) -> Reply:
    """Begin a session and say what is offered.  RFC 5321 section 4.1.1.1; LHLO is RFC 2033 section 4.1."""
    session.reset()
    session.move(State.READY)
    session.name = name
    session.extended = True
    return reply(250, "", f"{session.site.hostname} greets {name}", *offers(session))


async def helo(session: Session, name: str) -> Reply:
    """Begin a session without extensions.  RFC 5321 section 4.1.1.1."""
    session.reset()
    session.move(State.READY)
    session.name = name
    session.extended = False
    return reply(250, "", session.site.hostname)


def offers(session: Session) -> list[str]:
    """The extensions this peer can use now."""
    found = [
        "PIPELINING",
        f"SIZE {session.settings.max_message_size}",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "BINARYMIME",
        limits(session),
    ]
    if session.sends_notices:
        found.append("DSN")
    if session.can_start_tls:
        found.append("STARTTLS")
    if session.wire.secure:
        found.append("REQUIRETLS")
    if session.may_log_in and session.account is None:
        offered = sasl.offered(session.site.logins, True, session.wire.secure)
        found.append("AUTH " + " ".join(name.decode("ascii") for name in offered))
    if session.account is not None:
        found.append("XVERP")
    if session.may_speak_for_others:
        found += ["XCLIENT " + " ".join(CLIENT), "XFORWARD " + " ".join(FORWARDED)]
    return [*found, "HELP"]


def limits(session: Session) -> str:
    """The limits that are set.  RFC 9422 section 4."""
    settings = session.settings
    found = {"MAILMAX": settings.max_mails, "RCPTMAX": settings.max_recipients, "RCPTDOMAINMAX": settings.max_recipient_domains}
    return "LIMITS " + " ".join(f"{name}={limit}" for name, limit in found.items() if limit)


async def starttls(session: Session, _: None) -> Reply | None:
    """
    Speak TLS from here on and forget everything said before.  RFC 3207 section 4.

    Octets that came behind the command in the clear are neither executed nor kept: the connection is closed.
    """
    if session.wire.secure or session.account is not None:
        return OUT_OF_ORDER
    if not session.site.has_tls:
        return reply(502, "5.5.1", "TLS is not available")
    if session.wire.pending:
        session.ending = True
        session.outcome = "plaintext behind STARTTLS"
        session.site.counters.add("smtp.tls.injected")
        return reply(554, "5.5.1", "Nothing may follow STARTTLS before the TLS handshake")
    session.reset()
    session.wire.write(reply(220, "2.0.0", "Ready to start TLS").encode())
    session.effects.upgrade()
    session.forget()
    return None


# -- the rest ------------------------------------------------------------------------------------------------------


async def rset(session: Session, _: None) -> Reply:
    """Drop the transaction.  RFC 5321 section 4.1.1.5."""
    session.reset()
    return reply(250, "2.0.0", "Ok")


async def noop(_: Session, __: str) -> Reply:
    """Do nothing.  RFC 5321 section 4.1.1.9."""
    return reply(250, "2.0.0", "Ok")


async def quit_(session: Session, _: None) -> Reply:
    """End the session.  RFC 5321 section 4.1.1.10."""
    session.ending = True
    session.outcome = "quit"
    return reply(221, "2.0.0", f"{session.site.hostname} closing connection")


async def vrfy(_: Session, argument: str) -> Reply:
    """Tell nobody who exists.  RFC 5321 sections 3.5.3 and 7.3."""
    if not argument:
        return reply(501, "5.5.4", "An address is required")
    return reply(252, "2.5.0", "Cannot verify; send mail and see")


async def not_offered(_: Session, __: str) -> Reply:
    """Known from the standards, and not offered here."""
    return reply(502, "5.5.1", "Command not implemented")


async def help_(session: Session, argument: str) -> Reply:
    """Name the commands, or explain one.  RFC 5321 section 4.1.1.8."""
    if not argument:
        closed = () if session.may_speak_for_others else (b"XCLIENT", b"XFORWARD")
        verbs = [verb.decode() for verb, one in COMMANDS.items() if one.help and session.role in one.roles and verb not in closed]
        return reply(214, "2.0.0", "Commands:", " ".join(verbs), "HELP <command> explains one")
    command = COMMANDS.get(argument.upper().encode("utf-8"))
    if command is None or not command.help or session.role not in command.roles:
        return reply(504, "5.5.4", "No such command")
    return reply(214, "2.0.0", command.help, f"RFC {command.rfc}")


async def execute(session: Session, line: bytes) -> Reply | None:
    """
    Do what a command line says.

    :returns: the reply, or None when it has been written.
    """
    try:
        request = parse_request(line)
        command = COMMANDS.get(request.verb)
        if command is None or session.role not in command.roles:
            return unknown(session, request)
        if len(line) > COMMAND_LINE and request.verb != b"AUTH":
            return reply(500, "5.5.2", "Line too long")
        if command.needs_login and session.account is None and session.role is Role.SUBMISSION:
            return LOG_IN_FIRST if session.may_log_in or not session.can_start_tls else TLS_FIRST
        if session.state not in command.states:
            return order(session, request)
        return await command.run(session, command.parse(request.argument))
    except SyntaxProblem as problem:
        if line[:4].upper() == b"BDAT":
            # Where the octets behind a chunk begin is unknown.
            session.ending = True
        return problem.reply


def order(session: Session, request: Request) -> Reply:
    """What to say to a command that comes too early or too late."""
    if session.state is State.CONNECTED:
        return reply(503, "5.5.1", "Say LHLO first" if session.role is Role.LMTP else "Say EHLO first")
    if session.state is State.MAIL and request.verb == b"DATA":
        return reply(503, "5.5.1", "No valid recipients")
    return OUT_OF_ORDER


def unknown(session: Session, request: Request) -> Reply:
    """What to say to a verb that is not SMTP's; to one of HTTP's, goodbye."""
    if request.verb in HTTP:
        session.ending = True
        session.outcome = "http"
        return reply(554, "5.5.1", "This is SMTP")
    return reply(500, "5.5.1", "Command not recognized")


HTTP = frozenset({b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"DELETE", b"PATCH", b"TRACE", b"PRI"})
"""Verbs of a browser that was sent here; behind them stand lines that somebody else chose."""


@dataclass(frozen=True, slots=True)
class Command:
    """
    One verb.

    :ivar states: in which it is allowed.
    :ivar needs_login: whether a submission listener wants to know who it is first.
    :ivar help: one line; empty for verbs that are not offered.
    :ivar roles: of listeners that know the verb.
    """

    run: Callable[[Session, Any], Awaitable[Reply | None]]
    parse: Callable[[bytes], Any]
    states: frozenset[State]
    rfc: str
    help: str = ""
    needs_login: bool = False
    roles: frozenset[Role] = frozenset(Role)


_IDLE = frozenset({State.CONNECTED, State.READY})
_READY = frozenset({State.READY})
_ENVELOPE = frozenset({State.MAIL, State.RECIPIENTS})
_RECIPIENTS = frozenset({State.RECIPIENTS})
_SMTP = frozenset({Role.MX, Role.SUBMISSION})
_LMTP = frozenset({Role.LMTP})

COMMANDS: Mapping[bytes, Command] = {
    b"EHLO": Command(
        ehlo, parse_greeting, ANY, "5321 section 4.1.1.1", "EHLO <host>: begin a session with extensions", roles=_SMTP
    ),
    b"HELO": Command(helo, parse_greeting, ANY, "5321 section 4.1.1.1", "HELO <host>: begin a session", roles=_SMTP),
    b"LHLO": Command(
        ehlo, parse_greeting, ANY, "2033 section 4.1", "LHLO <host>: begin a session with extensions", roles=_LMTP
    ),
    b"STARTTLS": Command(starttls, parse_nothing, _IDLE, "3207", "STARTTLS: encrypt the session"),
    b"AUTH": Command(auth, parse_auth, _READY, "4954", "AUTH <mechanism> [<response>]: log in", roles=_SMTP),
    b"MAIL": Command(
        mail, parse_mail, _READY, "5321 section 4.1.1.2", "MAIL FROM:<sender> [parameters]: begin a mail", True
    ),
    b"RCPT": Command(
        recipient, parse_recipient, _ENVELOPE, "5321 section 4.1.1.3", "RCPT TO:<recipient>: add a recipient", True
    ),
    b"DATA": Command(data, parse_nothing, _RECIPIENTS, "5321 section 4.1.1.4", "DATA: send the message", True),
    b"BDAT": Command(bdat, parse_chunk, ANY, "3030", "BDAT <octets> [LAST]: send a piece of the message"),
    b"RSET": Command(rset, parse_nothing, ANY, "5321 section 4.1.1.5", "RSET: drop the present mail"),
    b"NOOP": Command(noop, parse_text, ANY, "5321 section 4.1.1.9", "NOOP: do nothing"),
    b"QUIT": Command(quit_, parse_nothing, ANY, "5321 section 4.1.1.10", "QUIT: end the session"),
    b"VRFY": Command(
        vrfy, parse_text, ANY, "5321 section 4.1.1.6", "VRFY <address>: answered without telling", True
    ),
    b"HELP": Command(help_, parse_text, ANY, "5321 section 4.1.1.8", "HELP [<command>]: this"),
    b"XCLIENT": Command(xclient, parse_client, _IDLE, "none, Postfix", "XCLIENT <name>=<value> ...: speak for a client"),
    b"XFORWARD": Command(
        xforward, parse_forwarded, _IDLE, "none, Postfix", "XFORWARD <name>=<value> ...: what the log says of the next mail"
    ),
    b"EXPN": Command(not_offered, parse_text, ANY, "5321 section 4.1.1.7"),
    b"ETRN": Command(not_offered, parse_text, ANY, "1985"),
    b"TURN": Command(not_offered, parse_text, ANY, "821"),
    b"SEND": Command(not_offered, parse_text, ANY, "821"),
    b"SOML": Command(not_offered, parse_text, ANY, "821"),
    b"SAML": Command(not_offered, parse_text, ANY, "821"),
}
