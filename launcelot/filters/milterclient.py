"""
The client of a milter: one connection, one mail.

Every step gives the filter's verdict, or None while it has nothing to say; what it wants changed comes with the message's end.
Whatever goes wrong is a :class:`FilterFailed`, and the connection is gone then.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from launcelot.core.wire import WireEnd
from launcelot.filters import milter
from launcelot.filters.failing import FilterFailed
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.stream import Stream
from launcelot.workers.staging import Buffer

MOST_EDITS = 10_000
"""Changes that one filter may ask for in one mail."""

LARGEST_BODY = 64 << 20
"""Octets of a body that a filter may put in place of a message's."""

LARGE = 4_096
"""Octets of a packet behind which a filter that does not answer has the time to read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a filter said.

    :ivar letter: one of :data:`launcelot.filters.milter.VERDICTS`.
    """

    letter: bytes
    data: bytes = b""


@dataclass(slots=True)
class Outcome:
    """
    What a filter said of a whole message.

    :ivar edits: letters and arguments, in order; the body excepted.
    :ivar body: the new one; None if it stays.
    """

    answer: Answer
    edits: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes | None = None


class MilterClient(Stream):
    """
    One connection.

    :param timeout: seconds that the filter may take for each answer.
    """

    def __init__(self, clock: IReactorTime, deadlines: Deadlines, timeout: float) -> None:
        super().__init__(clock, deadlines)
        self.limit_idle(timeout)
        self._agreed = milter.Agreed(milter.VERSION, 0, 0)

    # -- steps -----------------------------------------------------------------------------------------------------

    async def negotiate(self) -> None:
        """
        Agree on what is said.

        :raises FilterFailed: as every step does.
        """
        letter, data = await self._asked(milter.negotiation())
        if letter != b"O":
            raise self._failed("it does not speak the milter protocol")
        try:
            self._agreed = milter.Agreed.of(data)
        except milter.BadPacket as bad:
            raise self._failed(str(bad)) from bad

    async def connect(self, name: str, address: str, known: Mapping[str, str]) -> Answer | None:
        """Who is connected."""
        return await self._step(
            b"C", milter.connection(name, address), known, milter.NO_CONNECT, milter.NO_REPLY_CONNECT
        )

    async def helo(self, name: str, known: Mapping[str, str]) -> Answer | None:
        """What the peer calls itself."""
        data = milter.packet(b"H", milter.strings(name.encode("utf-8")))
        return await self._step(b"H", data, known, milter.NO_HELO, milter.NO_REPLY_HELO)

    async def mail(self, path: str, known: Mapping[str, str]) -> Answer | None:
        """
        The sender.

        :param path: with its angle brackets.
        """
        data = milter.packet(b"M", milter.strings(path.encode("utf-8")))
        return await self._step(b"M", data, known, milter.NO_MAIL, milter.NO_REPLY_MAIL)

    async def recipient(self, path: str, known: Mapping[str, str]) -> Answer | None:
        """A recipient."""
        data = milter.packet(b"R", milter.strings(path.encode("utf-8")))
        return await self._step(b"R", data, known, milter.NO_RECIPIENT, milter.NO_REPLY_RECIPIENT)

    async def message(
        self, header: list[tuple[bytes, bytes]], body: Buffer, start: int, known: Mapping[str, str]
    ) -> Outcome:
        """
        The whole message.

        :param header: names and values.
        :param body: from ``start`` on.
        """
        early = await self._header(header, known)
        if early is None:
            early = await self._body(body, start)
        if early is not None and early.letter != milter.SKIP:
            return Outcome(early)
        self.write(milter.macros(b"E", known) + milter.packet(b"E"))
        return await self._outcome()

    async def _header(self, header: list[tuple[bytes, bytes]], known: Mapping[str, str]) -> Answer | None:
        agreed = self._agreed
        if agreed.version >= 4 and agreed.wants(milter.NO_DATA):
            answer = await self._step(b"T", milter.packet(b"T"), known, milter.NO_DATA, milter.NO_REPLY_DATA)
            if answer is not None:
                return answer
        spaced = bool(agreed.protocol & milter.LEADING_SPACE)
        for name, value in header if agreed.wants(milter.NO_HEADERS) else ():
            answer = await self._told(milter.header(name, value, spaced), milter.NO_REPLY_HEADERS)
            if answer is not None:
                return answer
        if agreed.wants(milter.NO_END_OF_HEADERS):
            return await self._told(milter.packet(b"N"), milter.NO_REPLY_END_OF_HEADERS)
        return None

    async def _body(self, body: Buffer, start: int) -> Answer | None:
        if not self._agreed.wants(milter.NO_BODY):
            return None
        for place in range(start, len(body), milter.CHUNK):
            answer = await self._told(milter.packet(b"B", body[place : place + milter.CHUNK]), milter.NO_REPLY_BODY)
            if answer is not None:
                return answer
        return None

    async def _outcome(self) -> Outcome:
        found: list[tuple[bytes, bytes]] = []
        pieces: list[bytes] = []
        size = 0
        while True:
            letter, data = await self._packet()
            if letter == milter.BODY:
                size += len(data)
                pieces.append(data)
            elif letter in milter.EDITS:
                found.append((letter, data))
            elif letter in milter.VERDICTS:
                return Outcome(Answer(letter, data), found, b"".join(pieces) if pieces else None)
            elif letter != milter.PROGRESS:
                raise self._failed(f"it says {letter!r}, which the protocol does not have")
            if size > LARGEST_BODY or len(found) > MOST_EDITS:
                raise self._failed("it wants too much to be changed")

    # -- packets ---------------------------------------------------------------------------------------------------

    async def _step(
        self, letter: bytes, data: bytes, known: Mapping[str, str], unwanted: int, silent: int
    ) -> Answer | None:
        if not self._agreed.wants(unwanted):
            return None
        self.write(milter.macros(letter, known))
        return await self._told(data, silent)

    async def _told(self, data: bytes, silent: int) -> Answer | None:
        """Send a packet; what is said to it, if the filter answers those."""
        if self._agreed.protocol & silent:
            self.write(data)
            if len(data) > LARGE:
                await self._drained()
            return None
        letter, said = await self._asked(data)
        while letter == milter.PROGRESS:
            letter, said = await self._packet()
        if letter not in milter.VERDICTS:
            raise self._failed(f"it answers {letter!r}, which is no verdict")
        return None if letter == milter.CONTINUE else Answer(letter, said)

    async def _asked(self, data: bytes) -> tuple[bytes, bytes]:
        self.write(data)
        return await self._packet()

    async def _packet(self) -> tuple[bytes, bytes]:
        await self._drained()
        try:
            (length,) = struct.unpack(">I", await self._exactly(4))
            if not 1 <= length <= milter.LONGEST:
                raise self._failed(f"a packet of {length} octets")
            data = await self._exactly(length)
        except WireEnd as end:
            raise self._failed(str(end) or "it does not answer") from end
        return data[:1], data[1:]

    async def _drained(self) -> None:
        try:
            await self.drain()
        except WireEnd as end:
            raise self._failed(str(end) or "it does not read") from end

    async def _exactly(self, count: int) -> bytes:
        pieces: list[bytes] = []
        while count:
            piece = await self.chunk(count)
            count -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _failed(self, why: str) -> FilterFailed:
        self.abort()
        return FilterFailed(why)

    def leave(self) -> None:
        """Say goodbye, if there is somebody to say it to, and close."""
        self.write(milter.packet(b"Q"))
        self.close()


class MilterClientFactory(Factory):
    """
    Makes clients.

    :param timeout: seconds that a filter may take for each answer.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, deadlines: Deadlines, timeout: float) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._timeout = timeout

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A client."""
        return MilterClient(self._clock, self._deadlines, self._timeout)
