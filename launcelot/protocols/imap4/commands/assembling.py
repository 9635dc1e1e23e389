"""
Reading the messages of one APPEND or REPLACE to the end of the command: literals, literal8s, ``UTF8 (...)`` and CATENATE.

RFC 3501 section 6.3.11, RFC 3502, RFC 3516 section 4.4, RFC 4469, RFC 6855 section 4.  Everything is staged one behind
another, so memory does not grow with the number, the size or the parts of the messages; all is checked that can be before
octets are read, and what comes of a refused command is thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from launcelot.core.errors import Gone, Invalid, LimitReached, NotFound, NotPermitted, Refusal, TooLarge
from launcelot.core.wire import BareNewline
from launcelot.mailstore.interface import Mailbox, Message
from launcelot.message.sections import PartTable, header_subset
from launcelot.protocols.imap4.commands.fetch import MAX_HEADER, locate
from launcelot.protocols.imap4.commands.limiting import CODE
from launcelot.protocols.imap4.commands.quota import check_room
from launcelot.protocols.imap4.grammar.appending import Arriving, Form, read_announcement, read_arriving, read_utf8
from launcelot.protocols.imap4.grammar.reader import Announced, Malformed, Reader, WantsLiteral, announced
from launcelot.protocols.imap4.grammar.urls import MAX_URL, MessageUrl, parse_url, printable
from launcelot.protocols.imap4.receiving import (
    CONTINUE,
    PIECE,
    SLOWEST,
    end_unless_clear,
    limit_of,
    read_literal,
    refused,
)
from launcelot.protocols.imap4.session import Reply, Session, bad, no, reply_for
from launcelot.workers.staging import Staged

MAX_MESSAGES = 1_000
"""Messages in one command."""
MAX_PARTS = 10_000
"""Parts of CATENATE in one command."""
MAX_TOTAL = 16
"""How many times the largest message all messages of one command may be together."""


class Rejected(Exception):
    """
    The command is answered without adding anything; what comes of it has been thrown away.

    :param reply: the answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class BadUrl(Exception):
    """
    There are no octets behind a URL.

    :param url: as written.
    """

    def __init__(self, url: bytes) -> None:
        super().__init__(url)
        self.url = url


@dataclass(frozen=True, slots=True)
class Arrived:
    """
    A message that has been staged.

    :ivar start: and ``end``, where it is among all that has been staged.
    :ivar has_nul: whether there is a NUL in it, as only a literal8 may bring one.
    """

    flags: tuple[str, ...]
    internal_date: datetime | None
    start: int
    end: int
    has_nul: bool


class Assembly:
    """
    The messages of one command while they are read.

    :param mailbox: where they go.
    :param freed: octets that will be removed when these are added.
    :ivar target: the mailbox, once it has been found to take the messages.
    """

    def __init__(self, session: Session, staged: Staged, mailbox: str, freed: int = 0) -> None:
        self._session = session
        self._staged = staged
        self._name = mailbox
        self._freed = freed
        self._arrived: list[Arrived] = []
        self._open: Announced | None = None
        self._line = b""
        self._parts = 0
        self._has_nul = False
        self._clean = True
        self.target: Mailbox | None = None

    async def read(self, first: Arriving) -> list[Arrived]:
        """
        Stage message after message to the end of the command.

        :raises Rejected: one of them is refused or malformed.
        """
        try:
            message: Arriving | None = first
            while message is not None:
                await self._message(message)
                message = self._next()
        except BareNewline as bare:
            end_unless_clear(bare)
            raise Rejected(bad("line does not end in CRLF")) from None
        except BadUrl as bad_url:
            await self._throw_away()
            code = b'BADURL "%b"' % printable(bad_url.url)
            raise Rejected(no("there are no octets behind the URL", code)) from None
        except Malformed as error:
            await self._throw_away()
            raise Rejected(bad(error.text)) from None
        except Rejected:
            await self._throw_away()
            raise
        except Refusal as refusal:
            await self._throw_away()
            raise Rejected(reply_for(refusal, creatable=True)) from None
        if not self._clean:
            raise Rejected(bad("message has a NUL"))
        return self._arrived

    async def _throw_away(self) -> None:
        """What is left of the command."""
        literal, self._open = self._open, None
        await refused(self._session).rest(literal)

    async def _message(self, message: Arriving) -> None:
        """Stage one message; the line behind it is at hand then."""
        self._has_nul = False
        start = self._staged.size
        self._open = message.open
        if message.literal is None:
            await self._catenate(message.parts)
        else:
            await self._admit(message.literal.size, start)
            if not message.literal.size:
                raise Invalid("message is empty")
            await self._literal(message.literal)
            if message.form is Form.UTF8:
                self._close(b")")
        if self._staged.size == start:
            raise Invalid("message is empty")
        self._arrived.append(
            Arrived(message.flags, message.internal_date, start, self._staged.size, self._has_nul)
        )

    def _next(self) -> Arriving | None:
        """What the line behind a message says of another; None where the command ends."""
        if not self._line:
            return None
        return read_arriving(Reader(self._line))

    def _close(self, token: bytes) -> None:
        if not self._line.startswith(token):
            raise Malformed("parenthesis does not end")
        self._line = self._line[len(token) :]

    # -- parts -----------------------------------------------------------------------------------------------------

    async def _catenate(self, parts: bytes) -> None:
        """``cat-part *(SP cat-part) )``.  RFC 4469 section 5."""
        start = self._staged.size
        self._line = parts
        await self._admit(0, start)
        while True:
            self._parts += 1
            if self._parts > MAX_PARTS:
                raise LimitReached("too many parts in one command")
            await self._part(start)
            if self._line.startswith(b")"):
                self._line = self._line[1:]
                return
            self._close(b" ")

    async def _part(self, start: int) -> None:
        reader = Reader(self._line)
        word = reader.word()
        reader.space()
        if word == b"TEXT":
            literal = read_announcement(reader)
            await self._admit(literal.size, start)
            await self._literal(literal)
        elif word == b"UTF8":
            literal = read_utf8(reader)
            await self._admit(literal.size, start)
            await self._literal(literal)
            self._close(b")")
        elif word == b"URL":
            await self._url(await self._astring(reader), start)
        else:
            raise Malformed("expected TEXT or URL")

    async def _astring(self, reader: Reader) -> bytes:
        """The next argument, which may be a literal itself; the line goes on behind it."""
        try:
            text = reader.copy().astring()
        except WantsLiteral:
            literal = self._open
            if literal is None or literal.size > MAX_URL:
                raise TooLarge("URL is too long") from None
            self._open = None
            data = await read_literal(self._session.wire, literal)
            reader.add(data, await self._next_line())
            text = reader.astring()
        else:
            reader.astring()
        self._line = reader.rest
        return text

    async def _next_line(self) -> bytes:
        self._line = await self._session.wire.line(limit_of(self._session))
        self._open = announced(self._line)
        return self._line

    # -- octets ----------------------------------------------------------------------------------------------------

    async def _admit(self, size: int, start: int) -> None:
        """
        Refuse what the mailbox does not take.

        :param size: octets that come next.
        :param start: where the message began.
        :raises Refusal: there is none, or the message is too large for us or for the account.
        :raises Rejected: the command brings more messages than it may.  RFC 9738 section 3.1.
        """
        session = self._session
        mailbox = await session.mail.mailbox(self._name)
        if "i" not in mailbox.rights:
            raise NotPermitted("the access list of the mailbox does not allow that")
        largest = session.settings.max_append_size
        staged = self._staged.size
        if staged - start + size > largest:
            raise TooLarge("message is too large")
        limit = session.settings.message_limit
        if limit and len(self._arrived) >= limit:
            raise Rejected(no("too many messages in one command", CODE % limit))
        if len(self._arrived) >= MAX_MESSAGES or staged + size > MAX_TOTAL * largest + self._freed:
            raise LimitReached("too many messages in one command")
        messages = len(self._arrived) + 1 - bool(self._freed)
        await check_room(session, self._name, staged - self._freed + size, messages)
        self.target = mailbox

    async def _literal(self, literal: Announced) -> None:
        """
        Read a literal into its place, and the line behind it.

        :raises TryLater: it cannot be staged.
        """
        wire = self._session.wire
        if literal.waits:
            wire.write(CONTINUE)
        left = literal.size
        self._open = Announced(left, waits=False)
        wire.limit_rate(*SLOWEST)
        while left:
            piece = await wire.chunk(min(left, PIECE))
            left -= len(piece)
            self._open = Announced(left, waits=False)
            if b"\0" in piece:
                self._has_nul = True
                self._clean = self._clean and literal.binary
            try:
                await self._staged.write(piece)
            except Refusal:
                wire.limit_rate(0, 0)
                raise
        wire.limit_rate(0, 0)
        self._open = None
        await self._next_line()

    async def _url(self, url: bytes, start: int) -> None:
        """
        Stage the octets behind a URL, as they stand in their message.

        :raises BadUrl: there are none.
        """
        try:
            asked = parse_url(url)
            mailbox = await self._session.mail.mailbox(asked.mailbox)
            validity = (await mailbox.status()).uid_validity
            found = [message async for batch in mailbox.messages([asked.uid]) for message in batch]
        except (Malformed, NotFound, NotPermitted, Invalid, Gone):
            raise BadUrl(url) from None
        if not found or asked.uid_validity not in (None, validity):
            raise BadUrl(url)
        try:
            await self._copy(mailbox, found[0], asked, start, url)
        except Gone:
            raise BadUrl(url) from None

    async def _copy(self, mailbox: Mailbox, message: Message, asked: MessageUrl, start: int, url: bytes) -> None:
        section = asked.section
        place = locate(message, section, PartTable.decode(message.parts) if section.numbers else None)
        if place is None:
            raise BadUrl(url)
        position, end = place
        if section.fields:
            header = await mailbox.read(message.uid, position, min(end - position, MAX_HEADER))
            data = header_subset(header, section.fields, section.exclude)
            last = None if section.length is None else section.offset + section.length
            data = data[section.offset : last]
            await self._admit(len(data), start)
            await self._stage(data)
            return
        position = min(position + section.offset, end)
        if section.length is not None:
            end = min(position + section.length, end)
        await self._admit(end - position, start)
        while position < end:
            data = await mailbox.read(message.uid, position, min(end - position, PIECE))
            if not data:
                raise Gone
            position += len(data)
            await self._stage(data)
            await self._session.breathe()

    async def _stage(self, data: bytes) -> None:
        self._has_nul = self._has_nul or b"\0" in data
        await self._staged.write(data)
