"""
The maildrop: INBOX as one session sees it, fixed when it is opened.  RFC 1939 sections 3 and 5.

Messages have the numbers 1 to n for the whole session, whatever others do meanwhile.  What is marked deleted is removed by
:meth:`Maildrop.update` alone, all in one transaction.  Memory is 16 octets for each message.

Sizes are those of what is sent.  A session without UTF8 is sent the surrogate of a message whose headers need it; see
:mod:`launcelot.message.surrogate`.  RFC 6856 section 2.1.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable, Iterator

from launcelot.core.dots import LineEnds
from launcelot.core.errors import Gone, NotFound
from launcelot.mailstore.interface import Mailbox, Message
from launcelot.message.headers import MAX_HEADER
from launcelot.message.sections import PartTable
from launcelot.message.surrogate import sections_of, surrogate_section

PIECE = 65_536
"""Octets of a message that are read at once."""

BATCH = 1_000
"""Messages listed at once."""


class Maildrop:
    """
    One session's messages.

    :ivar messages: how many there are that are not marked deleted.
    :ivar octets: their size.
    """

    def __init__(self, mailbox: Mailbox, uid_validity: int) -> None:
        self._mailbox = mailbox
        self._uid_validity = uid_validity
        self._uids = array("Q")
        self._sizes = array("Q")
        self._stored: dict[int, int] = {}
        self._surrogates: set[int] = set()
        self._deleted: set[int] = set()
        self._retrieved: set[int] = set()
        self.messages = 0
        self.octets = 0

    @classmethod
    async def open(cls, mailbox: Mailbox, utf8: bool = False) -> Maildrop:
        """
        Look at all messages once.

        :param utf8: whether they are sent with UTF-8 in their headers.
        """
        drop = cls(mailbox, (await mailbox.status()).uid_validity)
        sizes, others = await mailbox.sizes(), await mailbox.line_sizes()
        drop._uids.extend([uid for uid, _ in sizes])
        drop._sizes.extend([size for _, size in sizes])
        if others:
            for number, (uid, size) in enumerate(sizes, 1):
                other = others.get(uid)
                if other is not None:
                    drop._stored[number] = size
                    drop._sizes[number - 1] = other.utf8 if utf8 else other.ascii
                    if other.ascii != other.utf8 and not utf8:
                        drop._surrogates.add(number)
        drop.reset()
        return drop

    # -- what is there -------------------------------------------------------------------------------------------

    def size(self, number: int) -> int:
        """
        A message's octets as they are sent, without stuffed dots.

        :raises NotFound: there is no such message, or it is marked deleted.
        """
        if not 1 <= number <= len(self._uids) or number in self._deleted:
            raise NotFound("no such message")
        return self._sizes[number - 1]

    def unique_id(self, number: int) -> str:
        """
        An identifier for ever: UIDVALIDITY and UID.  RFC 1939 section 7, UIDL.

        :raises NotFound: as :meth:`size`.
        """
        self.size(number)
        return f"{self._uid_validity}.{self._uids[number - 1]}"

    def listing(self, show: Callable[[int], object]) -> Iterator[bytes]:
        """Lines of number and what is shown of it, :data:`BATCH` messages at a time."""
        total = len(self._uids)
        for first in range(1, total + 1, BATCH):
            batch = range(first, min(first + BATCH, total + 1))
            lines = [f"{number} {show(number)}\r\n" for number in batch if number not in self._deleted]
            yield "".join(lines).encode("ascii")

    # -- octets --------------------------------------------------------------------------------------------------

    async def whole(self, number: int) -> AsyncIterator[bytes]:
        """
        A message in pieces, its line ends as they are stored.

        :raises NotFound: as :meth:`size`.
        :raises Gone: somebody else has removed it.
        """
        size = self.size(number)
        if number in self._surrogates:
            async for piece in self._surrogate(number, await self._message(number)):
                yield piece
            return
        async for piece in self._octets(number, 0, self._stored.get(number, size)):
            yield piece

    async def top(self, number: int, lines: int) -> AsyncIterator[bytes]:
        """The header, the empty line, and as many lines of the body, all with CRLF."""
        self.size(number)
        message = await self._message(number)
        ends = LineEnds(normalise=True)
        if number in self._surrogates:
            # Its first piece is the whole header.
            pieces = self._surrogate(number, message)
            yield await anext(pieces)
        else:
            async for piece in self._octets(number, 0, message.header_size):
                yield piece
            pieces = self._octets(number, message.header_size, message.size)
        if not lines:
            return
        async for piece in pieces:
            taken, lines = first_lines(ends.feed(piece), lines)
            yield taken
            if not lines:
                return
        yield ends.finish()

    async def _surrogate(self, number: int, message: Message) -> AsyncIterator[bytes]:
        """A message with its header sections rewritten, each of them one piece."""
        position = 0
        for start, end in sections_of(PartTable.decode(message.parts).root):
            async for piece in self._octets(number, position, start):
                yield piece
            known = min(end, start + MAX_HEADER)
            section = b"".join([piece async for piece in self._octets(number, start, known)])
            yield surrogate_section(section, known < end)
            position = end
        async for piece in self._octets(number, position, message.size):
            yield piece

    async def _octets(self, number: int, start: int, end: int) -> AsyncIterator[bytes]:
        """Octets as they are stored, in pieces."""
        while start < end:
            piece = await self._read(number, start, min(PIECE, end - start))
            start += len(piece)
            yield piece

    async def _message(self, number: int) -> Message:
        async for batch in self._mailbox.messages([self._uids[number - 1]]):
            return batch[0]
        raise Gone

    async def _read(self, number: int, offset: int, length: int) -> bytes:
        piece = await self._mailbox.read(self._uids[number - 1], offset, length)
        if not piece:
            raise Gone
        return piece

    # -- deleting ------------------------------------------------------------------------------------------------

    def delete(self, number: int) -> None:
        """
        Mark a message.

        :raises NotFound: as :meth:`size`.
        """
        size = self.size(number)
        self._deleted.add(number)
        self.messages -= 1
        self.octets -= size

    def retrieved(self, number: int) -> None:
        """Have a message that was sent removed by :meth:`update`, too; listings keep it.  RFC 2449 section 6.7."""
        self._retrieved.add(number)

    def reset(self) -> None:
        """Take all marks off."""
        self._deleted.clear()
        self._retrieved.clear()
        self.messages = len(self._uids)
        self.octets = sum(self._sizes)

    async def update(self) -> int:
        """
        Remove what is marked, all or nothing; how many were there to be removed.

        :raises Refusal: nothing was removed.
        """
        marked = [self._uids[number - 1] for number in sorted(self._deleted | self._retrieved)]
        return len(await self._mailbox.remove(marked)) if marked else 0


def first_lines(piece: bytes, lines: int) -> tuple[bytes, int]:
    """The first ``lines`` lines of a piece, and how many are still wanted from the next one."""
    ends = piece.count(b"\n")
    if ends < lines:
        return piece, lines - ends
    end = -1
    for _ in range(lines):
        end = piece.index(b"\n", end + 1)
    return piece[: end + 1], 0
