"""
What each ManageSieve command does.  RFC 5804 section 2.

A command is an ``async def`` of the session and its arguments that returns the octets of its reply.  :data:`COMMANDS` at the
foot drives dispatch, documentation and tests.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import launcelot
from launcelot.core.errors import LimitReached, Refusal, TooLarge
from launcelot.core.sasl import MAX_RESPONSE, SaslError
from launcelot.hosting import sasl
from launcelot.mailstore.scripts import MAX_SCRIPT
from launcelot.protocols.managesieve.grammar import SyntaxWrong, reply, string
from launcelot.protocols.managesieve.session import MAX_LOGINS, Session, State, reply_for
from launcelot.sieve.grammar import ScriptError
from launcelot.sieve.script import EXTENSIONS, compile_script
from launcelot.sieve.situation import Limits

Arguments = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Command:
    """
    One verb.

    :ivar states: where it is lawful.
    :ivar takes: the kinds of its arguments, ``str`` or ``int``.
    :ivar optional: how many of them, from the right, may be left out.
    """

    verb: str
    states: frozenset[State]
    takes: tuple[type, ...]
    run: Callable[[Session, Arguments], Awaitable[bytes]]
    section: str
    optional: int = 0


async def obey(session: Session, verb: str, arguments: Arguments) -> bytes:
    """
    Do what a command says.

    :raises SyntaxWrong: it is no command, or its arguments are of other kinds.
    :raises Refusal: as the command raises it.
    """
    command = COMMANDS.get(verb)
    if command is None:
        raise SyntaxWrong("unknown command")
    if session.state not in command.states:
        session.errors += 1
        return reply("NO", "log in first" if session.state is State.NEW else "not when logged in")
    kinds = command.takes[: len(arguments)]
    missing = len(command.takes) - len(arguments)
    if not 0 <= missing <= command.optional or any(type(one) is not kind for one, kind in zip(arguments, kinds, strict=True)):
        wanted = ", ".join({str: "a string", int: "a number"}[kind] for kind in command.takes) or "nothing"
        raise SyntaxWrong(f"{verb} takes {wanted}")
    answer = await command.run(session, arguments)
    session.errors = 0
    return answer


# -- in any state --------------------------------------------------------------------------------------------------------


def capabilities(session: Session) -> bytes:
    """What the server can do now.  RFC 5804 section 1.7."""
    wire = session.wire
    found = sasl.offered(session.site.logins, wire.takes_passwords, wire.secure)
    listed: list[tuple[str, str | None]] = [
        ("IMPLEMENTATION", f"Launcelot {launcelot.__version__}"),
        ("SASL", " ".join(one.decode("ascii") for one in found)),
        ("SIEVE", " ".join(EXTENSIONS)),
        ("NOTIFY", "mailto"),
        ("MAXREDIRECTS", str(Limits().redirects)),
        ("UNAUTHENTICATE", None),
        *([("STARTTLS", None)] if wire.offers_tls and session.state is State.NEW else []),
        ("VERSION", "1.0"),
    ]
    lines = [string(name) + (b"" if value is None else b" " + string(value)) + b"\r\n" for name, value in listed]
    return b"".join(lines)


async def capability(session: Session, arguments: Arguments) -> bytes:
    """CAPABILITY."""
    return capabilities(session) + reply("OK")


async def noop(session: Session, arguments: Arguments) -> bytes:
    """NOOP."""
    if not arguments:
        return reply("OK", "done")
    return reply("OK", "done", "TAG", str(arguments[0]))


async def logout(session: Session, arguments: Arguments) -> bytes:
    """LOGOUT."""
    session.become(State.OVER)
    return reply("OK", "bye")


# -- before log-in -------------------------------------------------------------------------------------------------------


async def starttls(session: Session, arguments: Arguments) -> bytes:
    """STARTTLS; the capabilities come again under TLS."""
    if not session.wire.offers_tls:
        return reply("NO", "TLS is not possible here")
    if session.wire.pending:
        session.become(State.OVER)
        return reply("BYE", "nothing may follow STARTTLS in the clear")
    session.wire.write(reply("OK", "begin TLS"))
    session.wire.begin_tls()
    return capabilities(session) + reply("OK")


async def authenticate(session: Session, arguments: Arguments) -> bytes:
    """AUTHENTICATE."""
    wire = session.wire
    mechanism = str(arguments[0]).upper().encode("ascii", "replace")
    if not wire.takes_passwords:
        return reply("NO", "log in under TLS; see STARTTLS", "ENCRYPT-NEEDED")
    exchange = sasl.begin(session.site.logins, mechanism, session.peer())
    if exchange is None:
        return reply("NO", "no such mechanism")
    try:
        response = decoded(str(arguments[1])) if len(arguments) > 1 else None
        while not isinstance(found := await exchange.step(response), sasl.Proved):
            wire.write(string(base64.b64encode(found.data)) + b"\r\n")
            response = decoded(await wire.read_string())
        await session.log_in(found)
    except SaslError as error:
        return refused(session, reply("NO", str(error)))
    except LimitReached as refusal:
        return refused(session, reply("NO", refusal.text, "TRYLATER"))
    except Refusal as refusal:
        return refused(session, reply_for(refusal))
    return reply("OK", "logged in")


def refused(session: Session, answer: bytes) -> bytes:
    """A failed log-in, which is the last one when there were many."""
    session.failures += 1
    if session.failures >= MAX_LOGINS:
        session.become(State.OVER)
    return answer


def decoded(text: str) -> bytes:
    """
    A response from its base64.

    :raises SaslError: it is cancelled, or no base64.
    """
    if text == "*":
        raise SaslError("cancelled")
    if len(text) > MAX_RESPONSE:
        raise SaslError("the response is too long")
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise SaslError("the response is not base64") from None


# -- after log-in --------------------------------------------------------------------------------------------------------


async def unauthenticate(session: Session, arguments: Arguments) -> bytes:
    """UNAUTHENTICATE."""
    session.leave()
    return reply("OK", "nobody is logged in")


async def have_space(session: Session, arguments: Arguments) -> bytes:
    """HAVESPACE."""
    await session.scripts.check_room(str(arguments[0]), int(arguments[1]))
    return reply("OK")


def fault(source: str) -> str:
    """What is wrong with a script, in one line; empty if nothing is."""
    try:
        compile_script(source.encode())
    except ScriptError as error:
        return str(error)
    return ""


async def put_script(session: Session, arguments: Arguments) -> bytes:
    """PUTSCRIPT: a script that is none is not kept."""
    name, source = str(arguments[0]), str(arguments[1])
    await session.scripts.check_room(name, len(source.encode()))
    wrong = await session.site.aside.run(lambda: fault(source))
    if wrong:
        return reply("NO", wrong)
    await session.scripts.put(name, source.encode())
    session.site.counters.add("managesieve.scripts")
    return reply("OK")


async def check_script(session: Session, arguments: Arguments) -> bytes:
    """CHECKSCRIPT."""
    source = str(arguments[0])
    if len(source) > MAX_SCRIPT:
        raise TooLarge(f"a script has {MAX_SCRIPT} octets at most")
    wrong = await session.site.aside.run(lambda: fault(source))
    return reply("NO", wrong) if wrong else reply("OK")


async def list_scripts(session: Session, arguments: Arguments) -> bytes:
    """LISTSCRIPTS."""
    lines = [string(one.name) + (b" ACTIVE" if one.active else b"") + b"\r\n" for one in await session.scripts.listing()]
    return b"".join(lines) + reply("OK")


async def set_active(session: Session, arguments: Arguments) -> bytes:
    """SETACTIVE; an empty name is that of no script."""
    await session.scripts.activate(str(arguments[0]))
    return reply("OK")


async def get_script(session: Session, arguments: Arguments) -> bytes:
    """GETSCRIPT."""
    source = await session.scripts.read(str(arguments[0]))
    return b"{%d}\r\n" % len(source) + source + b"\r\n" + reply("OK")


async def delete_script(session: Session, arguments: Arguments) -> bytes:
    """DELETESCRIPT."""
    await session.scripts.remove(str(arguments[0]))
    return reply("OK")


async def rename_script(session: Session, arguments: Arguments) -> bytes:
    """RENAMESCRIPT."""
    await session.scripts.rename(str(arguments[0]), str(arguments[1]))
    return reply("OK")


ANY = frozenset({State.NEW, State.KNOWN})
NEW = frozenset({State.NEW})
KNOWN = frozenset({State.KNOWN})

COMMANDS: Mapping[str, Command] = {
    one.verb: one
    for one in (
        Command("AUTHENTICATE", NEW, (str, str), authenticate, "2.1", optional=1),
        Command("STARTTLS", NEW, (), starttls, "2.2"),
        Command("LOGOUT", ANY, (), logout, "2.3"),
        Command("CAPABILITY", ANY, (), capability, "2.4"),
        Command("HAVESPACE", KNOWN, (str, int), have_space, "2.5"),
        Command("PUTSCRIPT", KNOWN, (str, str), put_script, "2.6"),
        Command("LISTSCRIPTS", KNOWN, (), list_scripts, "2.7"),
        Command("SETACTIVE", KNOWN, (str,), set_active, "2.8"),
        Command("GETSCRIPT", KNOWN, (str,), get_script, "2.9"),
        Command("DELETESCRIPT", KNOWN, (str,), delete_script, "2.10"),
        Command("RENAMESCRIPT", KNOWN, (str, str), rename_script, "2.11"),
        Command("CHECKSCRIPT", KNOWN, (str,), check_script, "2.12"),
        Command("NOOP", ANY, (str,), noop, "2.13", optional=1),
        Command("UNAUTHENTICATE", KNOWN, (), unauthenticate, "2.14.1"),
    )
}
"""Every command, with its section of RFC 5804."""
