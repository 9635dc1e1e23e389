"""
What moves over a data connection: files out, files in, listings.

Each transfer is prepared before the peer is told 150, so that most refusals need no data connection.  A received file is
published only after its end is proven; whatever else happens it is abandoned and the old file stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from launcelot.core.counters import Counters
from launcelot.core.errors import Refusal
from launcelot.filestore.interface import Entry, Reader, Upload, Withdrawn
from launcelot.protocols.ftp.ascii import FromWire, ToWire
from launcelot.protocols.ftp.grammar import reply
from launcelot.protocols.ftp.session import Channel, ChannelLost

SEND_PIECE = 49_152
"""Octets handed to a data connection at once; a peer that takes 1,000 octets a second must make room within the stall limit."""

READ_PIECE = 5 * SEND_PIECE
"""Octets read from a file at once."""

WINDOW = 4 << 20
"""Octets that are seen to lie in memory before the kernel is asked to send them."""


class Transfer(Protocol):
    """
    One transfer, prepared and not yet begun.

    :ivar opening: what the 150 says.
    :ivar octets: moved so far.
    :ivar receives: whether octets come, and none go.
    """

    opening: str
    octets: int
    receives: bool

    async def move(self, channel: Channel) -> bytes:
        """
        Do it.

        :returns: the final reply.
        :raises ChannelLost: the data connection ended before its time.
        :raises Refusal: the store refused to go on.
        """

    async def give_up(self) -> None:
        """Let go of what was prepared; there will be no data connection."""


class SendFile:
    """
    RETR.

    :param offset: where to begin.
    """

    receives = False

    def __init__(self, opening: str, reader: Reader, offset: int, ascii: bool, counters: Counters) -> None:
        self.opening = opening
        self.octets = 0
        self._reader = reader
        self._offset = offset
        self._ascii = ascii
        self._counters = counters

    async def move(self, channel: Channel) -> bytes:
        """Send the file from its offset to its end."""
        try:
            await (self._send_ascii(channel) if self._ascii else self._send(channel))
            await channel.finish()
        finally:
            self._counters.add("ftp.octets.sent", self.octets)
            await self._reader.close()
        self._counters.add("ftp.files.sent")
        return reply(226, "Transfer complete.")

    async def _send(self, channel: Channel) -> None:
        if channel.takes_files:
            await self._send_by_kernel(channel)
        offset = self._offset + self.octets
        while piece := await self._reader.read(offset, READ_PIECE):
            offset += len(piece)
            await self._pieces(channel, piece)

    async def _send_by_kernel(self, channel: Channel) -> None:
        """As far as the file can be sent so; small ones have been read already."""
        end = self._reader.entry.size
        offset = self._offset
        while offset < end:
            length = min(WINDOW, channel.piece, end - offset)
            descriptor = await self._reader.sendable(offset, length)
            if descriptor is None:
                return
            await channel.send_file(descriptor, offset, length, self._moved)
            offset += length

    def _moved(self, octets: int) -> None:
        self.octets += octets

    async def _send_ascii(self, channel: Channel) -> None:
        convert = ToWire()
        offset = self._offset
        while piece := await self._reader.read(offset, READ_PIECE):
            offset += len(piece)
            await self._pieces(channel, convert.feed(piece))

    async def _pieces(self, channel: Channel, data: bytes) -> None:
        most = min(SEND_PIECE, channel.piece)
        if len(data) <= most:
            await channel.send(data)
            self.octets += len(data)
            return
        for start in range(0, len(data), most):
            piece = data[start : start + most]
            await channel.send(piece)
            self.octets += len(piece)

    async def give_up(self) -> None:
        """Close the file."""
        await self._reader.close()


class ReceiveFile:
    """
    STOR, APPE and STOU.

    :param done: the words of the final reply, from what was published.
    """

    receives = True

    def __init__(
        self, opening: str, upload: Upload, ascii: bool, counters: Counters, done: Callable[[Entry], str]
    ) -> None:
        self.opening = opening
        self.octets = 0
        self._upload = upload
        self._ascii = ascii
        self._counters = counters
        self._done = done

    async def move(self, channel: Channel) -> bytes:
        """Receive to the proven end, publish, and only then say so."""
        published = False
        try:
            await self._receive(channel)
            entry = await self._upload.publish(channel.attended)
            published = True
        except Withdrawn as why:
            raise ChannelLost("the control connection was lost") from why
        finally:
            self._counters.add("ftp.octets.received", self.octets)
            if not published:
                await self.give_up()
        await self._close(channel)
        self._counters.add("ftp.files.received")
        return reply(226, self._done(entry))

    async def _receive(self, channel: Channel) -> None:
        convert = FromWire() if self._ascii else None
        while data := await channel.receive():
            self.octets += len(data)
            if convert is not None:
                data = convert.feed(data)
            await self._upload.write(data)
        if convert is not None and (rest := convert.finish()):
            await self._upload.write(rest)

    async def _close(self, channel: Channel) -> None:
        # The file is published; how the peer closes its side no longer matters.
        try:
            await channel.finish()
        except ChannelLost:
            self._counters.add("ftp.data.unclean")

    async def give_up(self) -> None:
        """Abandon the upload; the old file stays."""
        try:
            await self._upload.abandon()
        except Refusal:
            self._counters.add("ftp.uploads.unkept")


class SendListing:
    """LIST, NLST and MLSD."""

    receives = False

    def __init__(self, opening: str, batches: AsyncIterator[bytes]) -> None:
        self.opening = opening
        self.octets = 0
        self._batches = batches

    async def move(self, channel: Channel) -> bytes:
        """Send the lines in batches as the folder gives them."""
        async for lines in self._batches:
            if lines:
                await channel.send(lines)
                self.octets += len(lines)
        await channel.finish()
        return reply(226, "Listing complete.")

    async def give_up(self) -> None:
        """Nothing was opened yet."""
