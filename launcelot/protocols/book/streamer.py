"""
A stream that ends where its sender closes.  *Foundations of Python Network Programming*, chapter 5, ``streamer``.

The sender says what it has to say and closes its side; the receiver says nothing at all, because the book's sender has shut the
other direction and would meet a reset.  What came is counted, not kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.interfaces import IReactorTime

from launcelot.core.wire import PeerGone
from launcelot.hosting.conversation import TIMEOUT, Conversation
from launcelot.hosting.deadlines import Deadlines
from launcelot.protocols.book.serving import BookServer


class StreamerServer(BookServer):
    """Hears everything and says nothing."""

    async def serve(self) -> None:
        """To the end, or to the limit."""
        settings = self.factory.settings
        self.limit_idle(settings.idle_timeout)
        try:
            while self.received <= settings.max_stream:
                await self.chunk()
        except PeerGone:
            if not self.lost:
                self.commands += 1
                self.outcome = f"{self.received} octets"
        else:
            self.outcome = f"more than {settings.max_stream} octets"
            self.abort()

    def parting(self) -> str:
        """A stream ends with its sender's side, not with the connection."""
        return f"broke off after {self.received} octets"


class StreamerClient(Conversation):
    """
    Says everything, closes its side, and waits until the receiver has it.

    :param pieces: asked for the next one whenever the send buffer has room.
    """

    def __init__(
        self, clock: IReactorTime, deadlines: Deadlines, timeout: float = TIMEOUT, pieces: Iterable[bytes] = ()
    ) -> None:
        super().__init__(clock, deadlines, timeout)
        self._pieces = pieces

    async def converse(self) -> bytes:
        """Nothing, once the receiver has closed, too."""
        for piece in self._pieces:
            self.write(piece)
            await self.drain()
        self.end_writing()
        return await self.until_closed()
