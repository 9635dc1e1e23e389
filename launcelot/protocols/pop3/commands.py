"""
What each POP3 command does.  RFC 1939 sections 4 to 7, RFC 2449 section 5, RFC 2595 section 4, RFC 5034 section 4, RFC 6856.

A command is an ``async def`` of the session and its parsed argument that returns the octets of its reply, or their end when
the rest has been sent already.  :data:`COMMANDS` at the foot drives dispatch, documentation and tests.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launcelot.core.dots import DotWriter, LineWriter, stuffed_lines
from launcelot.core.errors import NotPermitted, Refusal, Unsupported
from launcelot.core.sasl import MAX_RESPONSE, Challenge, SaslError, decode_initial, decode_response, decode_text
from launcelot.hosting import sasl
from launcelot.protocols.pop3 import grammar
from launcelot.protocols.pop3.grammar import END, Apop, Auth, SyntaxWrong, Top, bad, good
from launcelot.protocols.pop3.session import MAX_LOGINS, CutOff, Session, State

NOW_PASSWORD = good("now the password")
NEED_TLS = "passwords are taken under TLS only; see STLS"

LANGUAGES: Mapping[str, str] = {"i-default": "English for everybody", "en": "English"}
"""What replies are written in: one language under two names, as RFC 2277 section 4.5 has it.  RFC 6856 section 3."""


@dataclass(frozen=True, slots=True)
class Command:
    """
    One verb.

    :ivar states: where it is lawful.
    :ivar parse: turns the argument's octets into what ``run`` takes, or raises SyntaxWrong.
    :ivar help: one line for people.
    :ivar section: the rule it follows.
    """

    verb: bytes
    states: frozenset[State]
    parse: Callable[[bytes], Any]
    run: Callable[[Session, Any], Awaitable[bytes]]
    help: str
    section: str


# -- before log-in -------------------------------------------------------------------------------------------------------


async def user(session: Session, name: bytes) -> bytes:
    """Take a name; whether anybody has it is not told.  RFC 1939 section 7."""
    session.name = None
    if not session.wire.takes_passwords:
        return bad(NEED_TLS)
    session.name = name
    return NOW_PASSWORD


async def password(session: Session, secret: bytes) -> bytes:
    """Log in as the name before it.  RFC 1939 section 7."""
    name, session.name = session.name, None
    if not session.wire.takes_passwords:
        return bad(NEED_TLS)
    if name is None:
        return bad("USER comes first")
    try:
        given, text = decode_text(name), decode_text(secret)
    except SaslError as error:
        session.failures += 1
        return _limited(session, bad(str(error), "AUTH"))
    peer = session.peer()

    async def prove() -> sasl.Proved:
        return sasl.Proved(await session.site.logins.by_password(given, text, peer.source, peer.service), given)

    return await _log_in(session, prove())


async def digest(session: Session, request: Apop) -> bytes:
    """
    Log in with a secret that the server has as well; the greeting's timestamp is good for one try.  RFC 1939 section 7.

    It follows the setting for passwords: who listens in the clear can guess at the secret, and reads the mail.
    """
    session.name = None
    timestamp, session.timestamp = session.timestamp, b""
    if not session.wire.takes_passwords:
        session.timestamp = timestamp
        return bad(NEED_TLS)
    if not timestamp:
        return bad("there is no timestamp, or it has been used; connect again")
    try:
        given = decode_text(request.name)
    except SaslError as error:
        session.failures += 1
        return _limited(session, bad(str(error), "AUTH"))
    peer = session.peer()

    async def prove() -> sasl.Proved:
        logins = session.site.logins
        return sasl.Proved(await logins.by_digest(given, timestamp, request.digest, peer.source, peer.service), given)

    return await _log_in(session, prove())


async def authenticate(session: Session, request: Auth) -> bytes:
    """Log in with a SASL mechanism; ``*`` cancels.  RFC 5034 section 4."""
    session.name = None
    exchange = sasl.begin(session.site.logins, request.mechanism, session.peer())
    if exchange is None:
        raise Unsupported("no such mechanism; see CAPA")
    if not session.wire.takes_passwords:
        return bad(NEED_TLS)
    try:
        return await _log_in(session, _converse(session, exchange, request.initial))
    except SaslError as error:
        session.failures += 1
        return _limited(session, bad(str(error)))


async def _converse(session: Session, exchange: sasl.Exchange, initial: bytes | None) -> sasl.Proved:
    step = await exchange.step(None if initial is None else decode_initial(initial))
    while isinstance(step, Challenge):
        session.wire.write(b"+ " + base64.b64encode(step.data) + b"\r\n")
        step = await exchange.step(decode_response(await session.wire.line(MAX_RESPONSE)))
    return step


async def _log_in(session: Session, proving: Awaitable[sasl.Proved]) -> bytes:
    try:
        await session.log_in(await proving)
    except NotPermitted:
        session.failures += 1
        if session.failures >= MAX_LOGINS:
            return _limited(session, b"")
        raise
    return _told(session)


def _told(session: Session) -> bytes:
    """What there is, for people."""
    return b"+OK %d messages (%d octets)\r\n" % (session.drop.messages, session.drop.octets)


def _limited(session: Session, reply: bytes) -> bytes:
    if session.failures < MAX_LOGINS:
        return reply
    session.become(State.OVER)
    return bad("too many failed log-ins", "AUTH")


async def start_tls(session: Session, _: None) -> bytes:
    """Start TLS; a command that came behind it in the clear ends the connection unseen.  RFC 2595 section 4."""
    wire = session.wire
    if session.utf8:
        return bad("STLS comes before UTF8")
    if not wire.offers_tls:
        return bad("TLS is in use already" if wire.secure else "no TLS here")
    if wire.pending:
        session.site.counters.add(f"{session.service}.tls.injected")
        session.become(State.OVER)
        return bad("nothing may follow STLS in the clear")
    wire.write(good("begin TLS"))
    wire.begin_tls()
    session.forget()
    return b""


async def use_utf8(session: Session, _: None) -> bytes:
    """From now on headers come as they are, with UTF-8 in them.  RFC 6856 section 2.1."""
    session.utf8 = True
    return good("UTF-8 in headers from now on")


# -- always --------------------------------------------------------------------------------------------------------------


async def capabilities(session: Session, _: None) -> bytes:
    """What is offered in this state on this connection.  RFC 2449 section 5."""
    lines = [b"TOP", b"UIDL"]
    if session.wire.takes_passwords:
        offered = sasl.offered(session.site.logins, True, session.wire.secure)
        lines += [b"USER", b"SASL " + b" ".join(offered)]
    if session.state is State.AUTHORIZATION and session.wire.offers_tls:
        lines.append(b"STLS")
    # RFC 6856 section 2.1: the word behind it says that names and passwords may be UTF-8, where they can be said at all.
    lines += [b"UTF8 USER" if session.wire.takes_passwords else b"UTF8", b"LANG"]
    lines += [b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", *session.policy.capabilities, b"IMPLEMENTATION Launcelot"]
    return good("capabilities") + b"".join(line + b"\r\n" for line in lines) + END


async def language(session: Session, wanted: str) -> bytes:
    """
    List the languages of replies, or choose one; a range such as ``en-GB`` falls back to ``en``.  RFC 6856 section 3.

    There is one language, so nothing has to be remembered.
    """
    if not wanted:
        rows = "".join([f"{tag} {name}\r\n" for tag, name in LANGUAGES.items()])
        return good("languages") + rows.encode("ascii") + END
    tag = "en" if wanted == "*" else wanted
    while tag and tag not in LANGUAGES:
        tag = tag.rpartition("-")[0]
    if not tag:
        return bad("no such language; see LANG")
    return good(f"{tag} replies are in English")


async def leave(session: Session, _: None) -> bytes:
    """Say goodbye; what is marked deleted is removed now and only now.  RFC 1939 sections 5 and 6."""
    if session.state is State.AUTHORIZATION:
        session.become(State.OVER)
        return good("goodbye")
    session.become(State.UPDATE)
    try:
        removed = await session.drop.update()
    except Refusal:
        return bad("the messages marked deleted are not removed", "SYS/TEMP")
    finally:
        session.become(State.OVER)
    return b"+OK goodbye, %d messages removed\r\n" % removed


# -- the maildrop --------------------------------------------------------------------------------------------------------


async def status(session: Session, _: None) -> bytes:
    """How many messages and octets.  RFC 1939 section 5."""
    return b"+OK %d %d\r\n" % (session.drop.messages, session.drop.octets)


async def sizes(session: Session, number: int | None) -> bytes:
    """The size of one message or of each.  RFC 1939 section 5."""
    drop = session.drop
    if number is not None:
        return b"+OK %d %d\r\n" % (number, drop.size(number))
    return await _list(session, drop.size_lines())


async def unique_ids(session: Session, number: int | None) -> bytes:
    """The identifier of one message or of each.  RFC 1939 section 7."""
    drop = session.drop
    if number is not None:
        return b"+OK %d %b\r\n" % (number, drop.unique_id(number).encode("ascii"))
    return await _list(session, drop.unique_id_lines())


async def _list(session: Session, batches: Iterator[bytes]) -> bytes:
    await session.send(_told(session))
    for batch in batches:
        await session.send(batch)
    return END


async def retrieve(session: Session, number: int) -> bytes:
    """A whole message; its flags stay as they are.  RFC 1939 section 5.  Where none may be left here it goes at QUIT."""
    drop = session.drop
    size = drop.size(number)
    text = await drop.small(number, size)
    if text is not None:
        end = b"".join((b"+OK %d octets\r\n" % size, stuffed_lines(text), END))
    else:
        writer = LineWriter() if drop.is_plain(number) else DotWriter()
        end = await _send(session, good(f"{size} octets"), drop.whole(number), writer)
    if session.policy.keep_days == 0:
        drop.retrieved(number)
    return end


async def top(session: Session, request: Top) -> bytes:
    """The header and the first lines of the body.  RFC 1939 section 7."""
    session.drop.size(request.number)
    return await _send(session, good("top of message"), session.drop.top(request.number, request.lines), DotWriter())


async def _send(session: Session, reply: bytes, pieces: AsyncIterator[bytes], writer: DotWriter | LineWriter) -> bytes:
    """
    A message with its dots stuffed; a refusal before the first piece is an answer, one behind it cuts the connection.

    :raises CutOff: the rest cannot be had.
    """
    waiting = reply
    try:
        async for piece in pieces:
            await session.send(waiting + writer.feed(piece))
            waiting = b""
    except Refusal as refusal:
        if waiting:
            raise
        raise CutOff from refusal
    return waiting + writer.finish()


async def delete(session: Session, number: int) -> bytes:
    """Mark a message; it goes at QUIT.  RFC 1939 section 5."""
    session.drop.delete(number)
    return good(f"message {number} marked deleted")


async def reset(session: Session, _: None) -> bytes:
    """Take all marks off.  RFC 1939 section 5."""
    session.drop.reset()
    return _told(session)


async def nothing(session: Session, _: None) -> bytes:
    """Answer.  RFC 1939 section 5."""
    return good()


# -- dispatch ------------------------------------------------------------------------------------------------------------


async def obey(session: Session, line: bytes) -> bytes:
    """
    The reply to one command line.

    :raises SyntaxWrong: it is no command, or does not belong here.
    :raises Refusal: it is understood and not granted.
    """
    verb, argument = grammar.parse_line(line)
    command = COMMANDS.get(verb)
    if command is None:
        raise SyntaxWrong("unknown command")
    if session.state not in command.states:
        raise SyntaxWrong(f"not in {session.state.value} state")
    return await command.run(session, command.parse(argument))


_BEFORE = frozenset({State.AUTHORIZATION})
_INSIDE = frozenset({State.TRANSACTION})
_BOTH = _BEFORE | _INSIDE

COMMANDS: Mapping[bytes, Command] = {
    command.verb: command
    for command in (
        Command(b"USER", _BEFORE, grammar.text, user, "USER name", "RFC 1939 section 7"),
        Command(b"PASS", _BEFORE, grammar.text, password, "PASS password", "RFC 1939 section 7"),
        Command(b"APOP", _BEFORE, grammar.apop, digest, "APOP name digest", "RFC 1939 section 7"),
        Command(b"AUTH", _BEFORE, grammar.auth, authenticate, "AUTH mechanism [initial]", "RFC 5034 section 4"),
        Command(b"STLS", _BEFORE, grammar.no_argument, start_tls, "STLS", "RFC 2595 section 4"),
        Command(b"UTF8", _BEFORE, grammar.no_argument, use_utf8, "UTF8", "RFC 6856 section 2.1"),
        Command(b"LANG", _BOTH, grammar.language, language, "LANG [language]", "RFC 6856 section 3"),
        Command(b"CAPA", _BOTH, grammar.no_argument, capabilities, "CAPA", "RFC 2449 section 5"),
        Command(b"QUIT", _BOTH, grammar.no_argument, leave, "QUIT", "RFC 1939 sections 4, 6"),
        Command(b"STAT", _INSIDE, grammar.no_argument, status, "STAT", "RFC 1939 section 5"),
        Command(b"LIST", _INSIDE, grammar.optional_number, sizes, "LIST [number]", "RFC 1939 section 5"),
        Command(b"UIDL", _INSIDE, grammar.optional_number, unique_ids, "UIDL [number]", "RFC 1939 section 7"),
        Command(b"RETR", _INSIDE, grammar.number, retrieve, "RETR number", "RFC 1939 section 5"),
        Command(b"TOP", _INSIDE, grammar.top, top, "TOP number lines", "RFC 1939 section 7"),
        Command(b"DELE", _INSIDE, grammar.number, delete, "DELE number", "RFC 1939 section 5"),
        Command(b"RSET", _INSIDE, grammar.no_argument, reset, "RSET", "RFC 1939 section 5"),
        Command(b"NOOP", _INSIDE, grammar.no_argument, nothing, "NOOP", "RFC 1939 section 5"),
    )
}
"""Every command there is."""
