"""
A message coming in: its octets are looked at, counted and staged in pieces, and nothing but its header is kept aside.

An :class:`Incoming` never raises for what a peer sends: the first thing wrong becomes :attr:`Incoming.refused`, what was
staged is dropped, and the rest of the message is thrown away as it comes, so that the connection stays in step.
Memory: the header up to :data:`MAX_HEADER`, one piece, and what staging keeps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from launcelot.core.dots import LineEnds
from launcelot.core.errors import Refusal
from launcelot.message.headers import MAX_HEADER
from launcelot.protocols.smtp.grammar import Reply, reply
from launcelot.protocols.smtp.session import reply_for
from launcelot.workers.staging import Staged

PIECE = 65_536
"""Octets collected before they are staged."""

TOO_LARGE = reply(552, "5.3.4", "Message is larger than the limit")
BARE = reply(550, "5.5.2", "Bare CR or LF in the message; lines must end in CRLF")


class Rejected(Exception):
    """A header says that the message is not to be accepted."""

    def __init__(self, words: Reply) -> None:
        super().__init__(words.text)
        self.reply = words


class Incoming:
    """
    One message.

    :param staged: where it is collected; this object's until :meth:`release`.
    :param limit: largest size in octets.
    :param normalise: make bare CR and LF CRLF; otherwise a message that has one is refused.
    :param binary: leave its octets as they are, bare CR and LF, too.
    :param trace: the field that goes on top.
    :param inspect: is handed the header section (or its first :data:`MAX_HEADER` octets, and then False) and gives
        fields to be added; may raise :class:`Rejected`.
    :ivar refused: why it will not be accepted.
    :ivar head: its header section, or the first octets of one that is too large.
    :ivar added: octets that were put on top of it.
    """

    def __init__(
        self,
        staged: Staged,
        limit: int,
        normalise: bool,
        trace: bytes,
        inspect: Callable[[bytes, bool], Awaitable[bytes]],
        binary: bool = False,
    ) -> None:
        self.refused: Reply | None = None
        self.size = 0
        self.head = b""
        self.head_is_whole = True
        self.added = 0
        self._staged: Staged | None = staged
        self._limit = limit
        self._strict = not (normalise or binary)
        self._ends = LineEnds(normalise and not binary)
        self._trace = trace
        self._inspect = inspect
        self._in_header = True
        self._head = bytearray()
        self._pieces: list[bytes] = []
        self._collected = 0
        self._searched = 0

    async def write(self, data: bytes) -> None:
        """The next octets of the text."""
        if self.refused is not None:
            return
        await self._take(self._ends.feed(data))

    async def finish(self) -> None:
        """There are no more."""
        if self.refused is not None:
            return
        await self._take(self._ends.finish())
        if self.refused is None:
            try:
                if self._in_header:
                    await self._leave_header(len(self._head), True)
                await self._stage()
            except Rejected as rejected:
                self.refuse(rejected.reply)
            except Refusal as refusal:
                self.refuse(reply_for(refusal))

    async def _take(self, data: bytes) -> None:
        self.size += len(data)
        if self._ends.bare and self._strict:
            self.refuse(BARE)
        elif self.size > self._limit:
            self.refuse(TOO_LARGE)
        elif data:
            try:
                if self._in_header:
                    self._head += data
                    await self._look_for_body()
                else:
                    self._pieces.append(data)
                    self._collected += len(data)
                if self._collected >= PIECE:
                    await self._stage()
            except Rejected as rejected:
                self.refuse(rejected.reply)
            except Refusal as refusal:
                self.refuse(reply_for(refusal))

    async def _look_for_body(self) -> None:
        head = self._head
        if head.startswith(b"\r\n"):
            await self._leave_header(2, True)
            return
        end = head.find(b"\r\n\r\n", self._searched)
        self._searched = max(0, len(head) - 3)
        if end >= 0:
            await self._leave_header(end + 4, True)
        elif len(head) > MAX_HEADER:
            await self._leave_header(len(head), False)

    async def _leave_header(self, end: int, whole: bool) -> None:
        self._in_header = False
        head = bytes(self._head)
        self._head.clear()
        self.head, self.head_is_whole = head[:end], whole
        added = await self._inspect(head[:end], whole)
        self.added = len(self._trace) + len(added)
        self._pieces = [self._trace, added, head]
        self._collected = len(head)

    async def _stage(self) -> None:
        data = b"".join(self._pieces)
        self._pieces = []
        self._collected = 0
        if data and self._staged is not None:
            await self._staged.write(data)

    def refuse(self, words: Reply) -> None:
        """Accept nothing more of it."""
        if self.refused is None:
            self.refused = words
        self.close()

    def release(self) -> Staged:
        """
        Hand over what was staged, to somebody who will close it.

        :raises ValueError: it was refused or handed over before.
        """
        staged, self._staged = self._staged, None
        if staged is None:
            raise ValueError("there is no message to hand over")
        return staged

    def close(self) -> None:
        """Drop what was staged and not handed over; may be called twice."""
        self._pieces = []
        self._head.clear()
        staged, self._staged = self._staged, None
        if staged is not None:
            staged.close()
