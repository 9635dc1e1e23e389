"""
Sixteen octets each way: the book's first TCP server.  *Foundations of Python Network Programming*, chapter 3, ``tcp_sixteen``.

The client says exactly sixteen octets, the server answers with sixteen and closes.  Of a client that leaves before, the log
says so.
"""

from __future__ import annotations

from launcelot.core.wire import PeerGone
from launcelot.hosting.calling import Confused
from launcelot.hosting.conversation import Conversation
from launcelot.protocols.book.serving import BookServer, BrokenOff

SIZE = 16
GREETING = b"Hi there, server"
FAREWELL = b"Farewell, client"


class SixteenServer(BookServer):
    """Hears sixteen octets, says sixteen, and leaves."""

    async def serve(self) -> None:
        """One exchange."""
        self.limit_total(self.factory.settings.idle_timeout)
        try:
            await self.exactly(SIZE)
        except BrokenOff:
            self.outcome = self.parting()
            return
        self.commands += 1
        self.write(FAREWELL)

    def parting(self) -> str:
        """How much was said."""
        return f"peer gone after {self.received} of {SIZE} octets"


class SixteenClient(Conversation):
    """Says sixteen octets and hears sixteen."""

    async def converse(self) -> bytes:
        """The sixteen octets of the server."""
        self.write(GREETING)
        heard = b""
        while len(heard) < SIZE:
            heard += await self.chunk(SIZE)
        try:
            await self.chunk()
        except PeerGone:
            if len(heard) == SIZE:
                return heard
        raise Confused(f"more than {SIZE} octets")
