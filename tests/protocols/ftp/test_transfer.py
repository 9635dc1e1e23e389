"""What moves over a data connection, apart from any connection."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.counters import Counters
from launcelot.core.ids import AccountId
from launcelot.filestore.memory import MemoryFileStore
from launcelot.protocols.ftp.session import ChannelLost
from launcelot.protocols.ftp.transfer import ReceiveFile


class Deserted:
    """A data connection that ends in order while nobody is left to hear of it."""

    def __init__(self, data: bytes) -> None:
        self._pieces = [data, b""]

    async def send(self, data: bytes) -> None:
        """Nothing is sent in an upload."""

    takes_files = False
    piece = 1 << 20

    async def send_file(self, descriptor: int, offset: int, length: int, moved: Callable[[int], None]) -> None:
        """Never asked for."""

    async def receive(self) -> bytes:
        """The octets, then the end."""
        return self._pieces.pop(0)

    def attended(self) -> bool:
        """Nobody waits."""
        return False

    async def finish(self) -> None:
        """Nothing is left to send."""


class ReceiveFileTests(SynchronousTestCase):
    """Uploads."""

    def test_end_after_the_control_connection_publishes_nothing(self) -> None:
        """A client killed at the end of its data leaves the old file, however late its other end is noticed."""

        async def play() -> tuple[bytes, bool]:
            tree = await MemoryFileStore().tree(AccountId("ann"))
            first = await tree.upload(("f",))
            await first.write(b"old")
            await first.publish()
            second = ReceiveFile("", await tree.upload(("f",)), False, Counters(), lambda entry: entry.name)
            lost = False
            try:
                await second.move(Deserted(b"new"))
            except ChannelLost:
                lost = True
            return await (await tree.read(("f",))).read(0, 10), lost

        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(play())), (b"old", True))
