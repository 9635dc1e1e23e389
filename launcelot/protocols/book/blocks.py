"""
Blocks behind their length.  *Foundations of Python Network Programming*, chapter 5, ``blocks``.

A block is its length as 32 bits, unsigned and big-endian, and as many octets; a block of length 0 ends the stream.  The
receiver says nothing.  A length over the limit is refused before any of the block is read; blocks are counted, not kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from twisted.internet.interfaces import IReactorTime

from launcelot.core.wire import PeerGone
from launcelot.hosting.conversation import TIMEOUT, Conversation
from launcelot.hosting.deadlines import Deadlines
from launcelot.protocols.book.serving import BookServer, BrokenOff

LENGTH = struct.Struct("!I")
END = LENGTH.pack(0)


def block(payload: bytes) -> bytes:
    """
    A payload as a block.

    :raises ValueError: it is empty, which would end the stream, or too long for 32 bits.
    """
    if not 0 < len(payload) < 1 << 32:
        raise ValueError(f"a block has 1 to {(1 << 32) - 1} octets, not {len(payload)}")
    return LENGTH.pack(len(payload)) + payload


class BlocksServer(BookServer):
    """Hears blocks and says nothing; ``commands`` in the log line are blocks."""

    async def serve(self) -> None:
        """To the last block, or to a limit."""
        settings = self.factory.settings
        self.limit_idle(settings.idle_timeout)
        octets = 0
        try:
            while length := LENGTH.unpack(await self.exactly(LENGTH.size))[0]:
                octets += length
                if length > settings.max_block or octets > settings.max_stream:
                    self.outcome = f"a block of {length} octets behind {octets - length} is over the limit"
                    self.abort()
                    return
                await self._pass(length)
                self.commands += 1
        except BrokenOff:
            self.outcome = self.parting()
        else:
            self.outcome = f"{self.commands} blocks, {octets} octets"

    async def _pass(self, octets: int) -> None:
        while octets:
            try:
                octets -= len(await self.chunk(octets))
            except PeerGone:
                raise BrokenOff from None

    def parting(self) -> str:
        """How many blocks were whole."""
        return f"broke off after {self.commands} blocks"


class BlocksClient(Conversation):
    """
    Says blocks, the last one, and waits until the receiver has closed.

    :param payloads: asked for the next one whenever the send buffer has room; none may be empty.
    """

    def __init__(
        self, clock: IReactorTime, deadlines: Deadlines, timeout: float = TIMEOUT, payloads: Iterable[bytes] = ()
    ) -> None:
        super().__init__(clock, deadlines, timeout)
        self._payloads = payloads

    async def converse(self) -> bytes:
        """Nothing, once the receiver has closed."""
        for payload in self._payloads:
            self.write(block(payload))
            await self.drain()
        self.write(END)
        self.end_writing()
        return await self.until_closed()
