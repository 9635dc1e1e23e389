"""
What the book's stream servers have in common: a factory with the settings, and reading to an exact length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcelot.core.limits import ConnectionCount
from launcelot.core.wire import PeerGone
from launcelot.hosting.server import ServerFactory, ServerStream

if TYPE_CHECKING:
    from launcelot.hosting.site import Site
    from launcelot.protocols.book.service import Settings


class BrokenOff(Exception):
    """The peer left before it had said what it began."""


class BookServer(ServerStream):
    """One peer of one of the machines; :meth:`serve` is written by each."""

    factory: BookFactory

    async def exactly(self, octets: int) -> bytes:
        """
        The next ``octets`` octets.

        :raises BrokenOff: the peer left before.
        """
        heard = b""
        while len(heard) < octets:
            try:
                heard += await self.chunk(octets - len(heard))
            except PeerGone:
                raise BrokenOff from None
        return heard

    @property
    def lost(self) -> bool:
        """Whether the connection is gone, and not only the peer's side closed."""
        return self._lost

    def interrupt(self) -> None:
        """Leave at once unless the peer has said something that is still under way."""
        super().interrupt()
        if not self.received:
            self.outcome = "stopping"
            self.close()


class BookFactory(ServerFactory):
    """
    Admits peers to one of the machines.

    :param protocol: the machine.
    """

    protocol: type[BookServer]
    offers_tls = False

    def __init__(
        self,
        site: Site,
        name: str,
        count: ConnectionCount,
        settings: Settings,
        protocol: type[BookServer],
        implicit_tls: bool = False,
    ) -> None:
        super().__init__(site, name, count, implicit_tls)
        self.settings = settings
        self.protocol = protocol
