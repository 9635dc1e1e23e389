"""
From octets to commands and back: the one loop body every command goes through.

A command is read with its literals under limits, found in the table, checked against the state, run, followed by what
others have done to the mailbox, and answered with its tag.  Syntax errors and refusals become replies here and nowhere else.
"""

from __future__ import annotations

import re
from typing import Any

from launcelot.core.errors import Refusal
from launcelot.core.wire import BareNewline
from launcelot.protocols.imap4.commands.table import COMMANDS, Command
from launcelot.protocols.imap4.grammar.reader import Announced, Malformed, Misnamed, Reader, WantsLiteral, announced
from launcelot.protocols.imap4.grammar.requests import Create, Named, Rename
from launcelot.protocols.imap4.receiving import (
    EARLY_LITERALS,
    end_unless_clear,
    limit_of,
    read_literal,
    refused,
)
from launcelot.protocols.imap4.session import Bye, Extension, Reply, Session, State, bad, no, reply_for

UNTAGGED = b"*"
NO_CRLF: Reply = bad("line does not end in CRLF")

HTTP = re.compile(rb"(?:GET|POST|PUT|HEAD|OPTIONS|CONNECT|DELETE|PATCH|TRACE|PRI) \S+ HTTP/\d")
"""The first line of a browser that was sent here by somebody's page, who chose the lines behind it."""


class Refuse(Exception):
    """
    A command that is answered before all of it is read.

    :param reply: the answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


async def greet(session: Session) -> None:
    """The first line and the limits before login.  RFC 3501 section 7.1.1."""
    session.inform("Launcelot is ready", b"CAPABILITY " + session.capabilities())


async def step(session: Session) -> None:
    """
    Read one command and answer it.

    :raises LineTooLong: a line over the limit; nothing can be read behind it.
    :raises WireEnd: there is no further command.
    :raises Bye: the session must end with a BYE, as it must when a browser speaks HTTP.
    :raises CutOff: the session must end as it is.
    """
    wire = session.wire
    waits = not wire.pending
    session.tag = UNTAGGED
    try:
        line = await next_line(session)
    except BareNewline as bare:
        answer(session, NO_CRLF)
        end_unless_clear(bare)
        return
    if session.state is State.NOT_AUTHENTICATED and HTTP.match(line):
        raise Bye("this is IMAP")
    if waits:
        session.rested()
    else:
        await session.breathe()
    incoming = Incoming(session, line)
    try:
        command, request = await incoming.read()
    except Malformed as error:
        await refused(session).rest(incoming.open)
        answer(session, misread(error))
    except Refuse as refuse:
        await refused(session).rest(incoming.open)
        answer(session, refuse.reply)
    except BareNewline as bare:
        answer(session, NO_CRLF)
        end_unless_clear(bare)
    else:
        await perform(session, command, request)


async def next_line(session: Session) -> bytes:
    """The first line of the next command; who has asked for it is told meanwhile what happens.  RFC 5465 section 3.1."""
    wire = session.wire
    while session.notices is not None:
        line = await wire.line_or_notice(limit_of(session))
        if line is not None:
            return line
        session.rested()
        try:
            await session.tell_all(expunge=False)
        except Refusal:
            # The store cannot be asked now; the next notice, or command, asks again.
            continue
        wire.flush()
        await wire.drain()
    return await wire.line(limit_of(session))


def names_in(request: object) -> tuple[str, ...]:
    """The names that a command changes, if it changes any."""
    if isinstance(request, Rename):
        return request.mailbox, request.to
    return (request.mailbox,) if isinstance(request, Create | Named) else ()


def misread(error: Malformed) -> Reply:
    """The answer to arguments that are not what they should be."""
    return Reply(b"NO" if isinstance(error, Misnamed) else b"BAD", error.text, error.code)


async def perform(session: Session, command: Command, request: Any) -> None:
    """Run a command, tell of changes and answer it."""
    session.own.clear()
    if session.notices is not None:
        session.notices.named(names_in(request))
    try:
        reply = await command.run(session, request)
    except Malformed as error:
        reply = misread(error)
    except Refusal as refusal:
        reply = reply_for(refusal)
    await session.tell_all(command.expunges, command.asks)
    if reply is not None:
        answer(session, reply)


def answer(session: Session, reply: Reply) -> None:
    """
    The tagged reply; too many bad commands in a row end the session.

    :raises Bye: that many.
    """
    session.finish(session.tag, reply)
    session.bad_commands = session.bad_commands + 1 if reply.condition == b"BAD" else 0
    if session.bad_commands >= session.settings.max_bad_commands:
        raise Bye("too many bad commands")


class Incoming:
    """
    One command while it is read.

    :ivar open: the literal that has been announced and not been read.
    """

    def __init__(self, session: Session, line: bytes) -> None:
        self._session = session
        self._reader = Reader(line)
        self._reader.utf8 = session.utf8
        self._reader.names_charset = Extension.UTF8 not in session.enabled
        self._reader.uid_only = session.uid_only
        self.open = announced(line)
        self._size = len(line)
        self._literals = 0

    async def read(self) -> tuple[Command, Any]:
        """
        The command and its arguments.

        :raises Malformed: it does not follow the grammar.
        :raises Refuse: it is answered without being read to its end.
        :raises BareNewline: one of its lines does not end in CRLF.
        """
        reader, session = self._reader, self._session
        session.tag = reader.tag()
        command = self._command()
        if session.state not in command.states:
            raise Refuse(Reply(b"BAD", "command is not valid in this state", b"CLIENTBUG"))
        while self.open is not None:
            if command.streams:
                try:
                    return command, command.read(reader.copy())
                except WantsLiteral:
                    pass
            await self._literal(self.open, command.oversize)
        request = command.read(reader)
        reader.end()
        return command, request

    def _command(self) -> Command:
        reader = self._reader
        reader.space()
        name = reader.word()
        if name == b"UID":
            reader.space()
            name = b"UID " + reader.word()
        command = COMMANDS.get(name)
        if command is None:
            raise Refuse(bad("unknown command"))
        return command

    async def _literal(self, literal: Announced, oversize: bytes) -> None:
        """Read one literal and the line behind it, if both fit."""
        session = self._session
        limit = limit_of(session)
        self._size += literal.size
        self._literals += literal.size
        early = session.state is State.NOT_AUTHENTICATED
        if self._size > limit or (early and self._literals > EARLY_LITERALS):
            raise Refuse(no("literal is too large", oversize))
        data = await read_literal(session.wire, literal)
        self.open = None
        line = await session.wire.line(limit - self._size)
        self._size += len(line)
        self._reader.add(data, line)
        self.open = announced(line)
