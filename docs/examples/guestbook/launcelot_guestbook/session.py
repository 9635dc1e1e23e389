"""
One reader of the book: who it is, what each verb does, and refusals in this protocol's words.  No Twisted.

A command is an ``async def`` of the session and its parsed argument that returns the octets of its reply.
:data:`COMMANDS` at the foot drives dispatch and HELP.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from launcelot.accounts.interface import Account
from launcelot.core.errors import BadCredentials, NotPermitted, Refusal, TooLarge
from launcelot.core.wire import Wire

from launcelot_guestbook import grammar
from launcelot_guestbook.grammar import Login, SyntaxWrong, reply
from launcelot_guestbook.notes import Notes

if TYPE_CHECKING:
    from launcelot.hosting.site import Site

MAX_ERRORS = 5
"""Failed log-ins and lines that were not understood, together, before the connection is closed."""


class Connection(Wire, Protocol):
    """What a session asks of its connection beyond octets."""

    source: str

    @property
    def offers_tls(self) -> bool:
        """Whether STARTTLS is possible now."""

    @property
    def takes_passwords(self) -> bool:
        """Whether a password may come on this connection as it is."""

    def begin_tls(self) -> None:
        """Speak TLS from the next octet."""

    def logged_in(self, account: Account) -> None:
        """Another deadline holds, and the log knows a name."""


class Session:
    """
    One peer.

    :param max_note: octets of a note.
    :ivar account: who has logged in.
    :ivar over: nothing more is read.
    """

    def __init__(self, wire: Connection, site: Site, notes: Notes, max_note: int) -> None:
        self.wire = wire
        self.site = site
        self.notes = notes
        self.max_note = max_note
        self.account: Account | None = None
        self.errors = 0
        self.over = False

    async def obey(self, line: bytes) -> bytes:
        """The reply to a line; raises nothing that the line is to blame for."""
        try:
            verb, argument = grammar.split(line)
            command = COMMANDS.get(verb)
            if command is None:
                raise SyntaxWrong("no such verb; see HELP")
            request = command.parse(argument)
            if command.needs_account and self.account is None:
                raise NotPermitted("log in first")
            return await command.run(self, request)
        except SyntaxWrong as wrong:
            return self.failed(reply("BAD", str(wrong)))
        except BadCredentials as refusal:
            return self.failed(reply_for(refusal))
        except Refusal as refusal:
            return reply_for(refusal)

    def failed(self, answer: bytes) -> bytes:
        """Count an error; too many end the session."""
        self.errors += 1
        self.over = self.errors >= MAX_ERRORS
        return answer

    def writer(self) -> Account:
        """Who has logged in; asked only by commands that need an account."""
        if self.account is None:
            raise NotPermitted("log in first")
        return self.account


def reply_for(refusal: Refusal) -> bytes:
    """A refusal in the guestbook's words; the one place for that."""
    return reply("LATER" if refusal.temporary else "NO", refusal.text)


# -- commands ------------------------------------------------------------------------------------------------------


async def start_tls(session: Session, _: None) -> bytes:
    """Speak TLS from here on; what came behind the verb in clear is never obeyed."""
    wire = session.wire
    if not wire.offers_tls:
        raise NotPermitted("TLS cannot be started here")
    if wire.pending:
        session.over = True
        return reply("BAD", "nothing may follow STARTTLS in clear")
    wire.write(reply("OK", "begin TLS"))
    wire.begin_tls()
    return b""


async def log_in(session: Session, request: Login) -> bytes:
    """Check name and password."""
    if not session.wire.takes_passwords:
        raise NotPermitted("passwords are taken under TLS only; see STARTTLS")
    account = await session.site.logins.by_password(request.name, request.password, session.wire.source, "guestbook")
    session.account = account
    session.wire.logged_in(account)
    return reply("OK", f"welcome, {account.name}")


async def write(session: Session, text: str) -> bytes:
    """Keep a note."""
    if len(text.encode()) > session.max_note:
        raise TooLarge(f"a note has at most {session.max_note} octets")
    number = await session.notes.write(session.writer().name, text, session.site.now())
    session.site.counters.add("guestbook.notes.written")
    return reply("OK", f"{number} written")


async def read(session: Session, count: int) -> bytes:
    """Show the newest notes."""
    notes = await session.notes.latest(count)
    session.site.counters.add("guestbook.notes.read", len(notes))
    return b"".join(map(grammar.line_of, notes)) + reply("OK", f"{len(notes)} notes")


async def show_help(session: Session, _: None) -> bytes:
    """Every verb with its argument."""
    return reply("OK", ", ".join(command.usage for command in COMMANDS.values()))


async def leave(session: Session, _: None) -> bytes:
    """Say goodbye."""
    session.over = True
    return reply("OK", "goodbye")


@dataclass(frozen=True, slots=True)
class Command:
    """
    One verb.

    :ivar parse: turns the argument into what ``run`` takes, or raises SyntaxWrong.
    :ivar usage: for HELP.
    """

    parse: Callable[[str], Any]
    run: Callable[[Session, Any], Awaitable[bytes]]
    usage: str
    needs_account: bool = False


COMMANDS: Mapping[str, Command] = {
    "STARTTLS": Command(grammar.nothing, start_tls, "STARTTLS"),
    "LOGIN": Command(grammar.login, log_in, "LOGIN name password"),
    "WRITE": Command(grammar.note, write, "WRITE text", needs_account=True),
    "READ": Command(grammar.count, read, "READ [number]", needs_account=True),
    "HELP": Command(grammar.nothing, show_help, "HELP"),
    "QUIT": Command(grammar.nothing, leave, "QUIT"),
}
