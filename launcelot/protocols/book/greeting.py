"""
A greeting under TLS.  *Foundations of Python Network Programming*, chapter 6, ``safe_tls``.

The server says one sentence and ends TLS properly (close_notify, RFC 8446 section 6.1); a client can tell the end from a cut.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone

from launcelot.core.wire import PeerGone
from launcelot.hosting.calling import Confused
from launcelot.hosting.conversation import Conversation
from launcelot.protocols.book.serving import BookServer

GREETING = b"Simple is better than complex."
MAX_GREETING = 4_096
"""Octets that a client takes."""


class GreetingServer(BookServer):
    """Says the sentence and leaves."""

    async def serve(self) -> None:
        """Not more than that."""
        self.limit_total(self.factory.settings.idle_timeout)
        self.commands += 1
        self.write(GREETING)
        await self.drain()


class GreetingClient(Conversation):
    """Hears a greeting to its end."""

    async def converse(self) -> bytes:
        """The greeting."""
        heard = b""
        try:
            while len(heard) <= MAX_GREETING:
                heard += await self.chunk(MAX_GREETING)
        except PeerGone:
            if heard and (self._lost_because is None or self._lost_because.check(ConnectionDone)):
                return heard
            raise
        raise Confused("the greeting does not end")
