"""
Reading commands from a connection: lines, literals, and what is done with those that are refused.  RFC 7888 section 4.

Limits are asked before a literal is read.  A refused literal that the peer waits with is answered and never comes; one
that comes anyway is read and thrown away up to a bound, and past it the connection is closed.  Its octets are never
taken for commands.
"""

from __future__ import annotations

from launcelot.core.wire import BareNewline, Wire
from launcelot.protocols.imap4.grammar.reader import Announced, announced
from launcelot.protocols.imap4.session import Bye, Session, State

PIECE = 65_536
"""Octets read at a time."""
SLOWEST = (6_000, 60.0)
"""A literal must bring this many octets in every so many seconds."""
EARLY_COMMAND = 8_192
"""Octets of a command before login, its literals included."""
EARLY_LITERALS = 4_096
"""Octets of literals in one command before login."""
EARLY_SKIP = 65_536
"""Octets of refused literals that are thrown away before login."""
CONTINUE = b"+ OK\r\n"


async def read_literal(wire: Wire, literal: Announced) -> bytes:
    """The octets of a literal that is small enough to be kept."""
    pieces: list[bytes] = []
    left = literal.size
    if literal.waits:
        wire.write(CONTINUE)
    wire.limit_rate(*SLOWEST)
    while left:
        piece = await wire.chunk(min(left, PIECE))
        pieces.append(piece)
        left -= len(piece)
    wire.limit_rate(0, 0)
    return b"".join(pieces)


class Refused:
    """
    Throws away what is left of a refused command.

    :param bound: octets of literals that may come; past them the connection is closed.
    :param line_limit: octets of a line.
    """

    def __init__(self, wire: Wire, bound: int, line_limit: int) -> None:
        self._wire = wire
        self._left = bound
        self._line_limit = line_limit

    async def skip(self, literal: Announced) -> bool:
        """
        Throw a literal away.

        :returns: whether more of the command comes; False when the peer waits for a word that it will not get.
        :raises Bye: it is too large to be thrown away.
        """
        if literal.waits:
            return False
        if literal.size > self._left:
            raise Bye("literal is too large")
        self._left -= literal.size
        left = literal.size
        self._wire.limit_rate(*SLOWEST)
        while left:
            left -= len(await self._wire.chunk(min(left, PIECE)))
        self._wire.limit_rate(0, 0)
        return True

    async def rest(self, literal: Announced | None) -> None:
        """Throw away a literal and everything behind it that belongs to the command."""
        while literal is not None and await self.skip(literal):
            try:
                line = await self._wire.line(self._line_limit)
            except BareNewline as bare:
                end_unless_clear(bare)
                return
            literal = announced(line)
            self._left -= len(line)
            if self._left < 0:
                raise Bye("command is too long")


def end_unless_clear(bare: BareNewline) -> None:
    """
    What follows a line without CRLF is only certain where the line announces no literal that comes without being asked for.

    :raises Bye: it does; its octets would be taken for commands.
    """
    literal = announced(bare.line)
    if literal is not None and not literal.waits:
        raise Bye("a literal follows a line that does not end in CRLF")


def limit_of(session: Session) -> int:
    """Octets of a command, its literals included, but not a message in APPEND."""
    return EARLY_COMMAND if session.state is State.NOT_AUTHENTICATED else session.settings.max_command_size


def refused(session: Session) -> Refused:
    """What throws a refused command of this session away."""
    early = session.state is State.NOT_AUTHENTICATED
    return Refused(session.wire, EARLY_SKIP if early else session.settings.max_append_size, limit_of(session))
