"""
The content of parts for FETCH BINARY: decoded piece by piece, never whole in memory.  RFC 3516.

The whole message and a multipart have no transfer encoding of their own and stand as they are; all other parts are decoded
as their header says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from launcelot.message.sections import Kind, PartTable
from launcelot.message.transfer import decoder
from launcelot.protocols.imap4.grammar.fetch import Binary
from launcelot.protocols.imap4.session import Reply, no

PIECE = 65_536
"""Encoded octets read at a time."""

UNKNOWN_ENCODING: Reply = no("Nobody here can undo the encoding of some parts", b"UNKNOWN-CTE")


@dataclass(frozen=True, slots=True)
class Content:
    """
    What one item asks of one message.

    :ivar start: and ``end``, where its encoded octets are.
    :ivar length: most decoded octets from ``offset`` on; None for all.
    """

    start: int
    end: int
    encoding: bytes
    offset: int
    length: int | None

    @classmethod
    def made_from(cls, item: Binary, table: PartTable) -> Content | None:
        """Find it; None if there is no such part."""
        place = table.locate(item.numbers)
        if place is None:
            return None
        return cls(*place, encoding_of(item, table) or b"", item.offset, item.length)

    @property
    def is_short(self) -> bool:
        """Whether all of it may be kept in memory at once."""
        return self.end - self.start <= PIECE or (self.length is not None and self.length <= PIECE)

    async def pieces(self, read: Callable[[int, int], Awaitable[bytes]]) -> AsyncIterator[bytes]:
        """
        The decoded octets asked for, in order.

        :param read: gives octets of the message by offset and length.
        """
        decoding = decoder(self.encoding)
        skip = self.offset
        left = self.length
        start = self.start
        while decoding is not None and start < self.end and left != 0:
            data = decoding.feed(await read(start, min(self.end - start, PIECE)))
            start += PIECE
            if start >= self.end or decoding.ended:
                start = self.end
                data += decoding.end()
            passed = min(skip, len(data))
            skip -= passed
            data = data[passed:] if left is None else data[passed : passed + left]
            if left is not None:
                left -= len(data)
            yield data


def encoding_of(item: Binary, table: PartTable) -> bytes | None:
    """The encoding to be undone; None if it is unknown.  A part that does not exist needs none."""
    if not item.numbers:
        return b"binary"
    part = table.find(item.numbers)
    if part is None or part.kind is Kind.MULTIPART:
        return b"binary"
    return part.transfer_encoding


def are_decodable(items: Iterable[Binary], table: PartTable) -> bool:
    """Whether all encodings are known."""
    return all(encoding_of(item, table) is not None for item in items)
