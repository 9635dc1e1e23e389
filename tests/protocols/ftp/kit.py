"""An FTP peer in memory: commands and replies on one connection, data on others."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address

from launcelot.core.errors import NotFound
from launcelot.core.limits import ConnectionCount
from launcelot.filestore.interface import Path, Tree
from launcelot.protocols.ftp.grammar import parse_extended_passive, parse_passive
from launcelot.protocols.ftp.server import FTPFactory
from launcelot.protocols.ftp.service import Settings
from launcelot.testing.link import Link, RawPeer
from launcelot.testing.site import World, memory_site
from tests.protocols.ftp.hearing import Hearing


def make_factory(world: World, implicit_tls: bool = False, **settings: Any) -> FTPFactory:
    """A factory in a world."""
    return FTPFactory(world.site, ConnectionCount(1_000, 1_000), Settings(**settings), implicit_tls)


class Peer:
    """
    A client that a test plays by hand.

    :ivar world: where it all happens; ``ann`` has the password ``pw``.
    """

    def __init__(
        self,
        login: bool = True,
        tls: Any = False,
        source: str = "127.0.0.1",
        quota: int = 0,
        world: World | None = None,
        **settings: Any,
    ) -> None:
        self.world = world or memory_site(tls=tls)
        if world is None:
            self.account = self.world.add_user("ann", "pw", quota)
        self.factory = make_factory(self.world, **settings)
        self.source = source
        self.link: Link = self.world.connect(self.factory, source)
        self.greeting = self.link.take()
        self._hearing = Hearing()
        if login:
            self.login()

    def login(self) -> None:
        """As ann."""
        replies = self.do("USER ann", "PASS pw", "TYPE I")
        if replies[:3] != b"331" or b"\r\n230 " not in replies:
            raise AssertionError(replies)

    def do(self, *lines: str | bytes) -> bytes:
        """Say lines one after another; everything that is answered."""
        heard = b""
        for line in lines:
            octets = line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line
            self._hearing.said(octets)
            self.link.say(octets + b"\r\n")
            heard += self.hear()
        return heard

    def hear(self) -> bytes:
        """What else is answered; held against the table of replies."""
        heard = self.link.take()
        self._hearing.heard(heard)
        return heard

    # -- data ----------------------------------------------------------------------------------------------------

    def passive(self, extended: bool = False) -> int:
        """Ask for a port."""
        words = self.do("EPSV" if extended else "PASV")
        return parse_extended_passive(words) if extended else parse_passive(words)[1]

    def connect(self, port: int, source: str | None = None) -> Link:
        """Connect to a data port."""
        network = self.world.network
        listening = network.port_at(IPv4Address("TCP", "127.0.0.1", port))
        if listening is None:
            raise ConnectionRefusedError(port)
        peer = RawPeer()
        network.join(peer, listening, source or self.source)
        link = Link(network, peer, None)
        link.flush()
        return link

    def data(self, extended: bool = False) -> Link:
        """Ask for a port and connect to it."""
        return self.connect(self.passive(extended))

    def fetch(self, command: str | bytes) -> tuple[bytes, bytes]:
        """Receive over a data connection; what came, and the replies."""
        data = self.data()
        replies = self.do(command)
        heard = data.take()
        if data.closed and data.peer.lost is None:
            data.close()
        return heard, replies + self.hear()

    def send(self, command: str | bytes, octets: bytes, chunk: int | None = None) -> bytes:
        """Send over a data connection; the replies."""
        data = self.data()
        replies = self.do(command)
        data.say(octets, chunk)
        data.close()
        return replies + self.hear()

    # -- the store -----------------------------------------------------------------------------------------------

    @property
    def tree(self) -> Tree:
        """Ann's files."""
        return self.world.result(self.world.site.files.tree(self.account.id, self.account.quota))

    def put(self, *path: str, data: bytes = b"") -> None:
        """Put a file there, and the folders on its way."""

        async def put() -> None:
            for depth in range(1, len(path)):
                if not await self._there(path[:depth]):
                    await self.tree.make_folder(path[:depth])
            upload = await self.tree.upload(path)
            await upload.write(data)
            await upload.publish()

        self.world.result(put())

    async def _there(self, path: Path) -> bool:
        try:
            await self.tree.entry(path)
        except NotFound:
            return False
        return True

    def content(self, *path: str) -> bytes:
        """A file's octets."""

        async def read() -> bytes:
            reader = await self.tree.read(path)
            return await reader.read(0, 1 << 30)

        return self.world.result(read())

    def names(self, *path: str) -> list[str]:
        """What a folder holds."""

        async def read() -> list[str]:
            return [entry.name async for batch in self.tree.entries(path) for entry in batch]

        return sorted(self.world.result(read()))
