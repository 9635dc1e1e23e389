"""
The maildrop: INBOX as one session sees it, fixed when it is opened.  RFC 1939 sections 3 and 5.

Messages have the numbers 1 to n for the whole session, whatever others do meanwhile.  What is marked deleted is removed by
:meth:`Maildrop.update` alone, all in one transaction.  Memory is 16 octets for each message.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable, Iterator

from launcelot.core.errors import Gone, NotFound
from launcelot.mailstore.interface import Mailbox

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
        self._deleted: set[int] = set()
        self.messages = 0
        self.octets = 0

    @classmethod
    async def open(cls, mailbox: Mailbox) -> Maildrop:
        """Look at all messages once."""
        drop = cls(mailbox, (await mailbox.status()).uid_validity)
        for uid, size in await mailbox.sizes():
            drop._uids.append(uid)
            drop._sizes.append(size)
        drop.reset()
        return drop

    # -- what is there -------------------------------------------------------------------------------------------

    def size(self, number: int) -> int:
        """
        A message's octets, as stored.

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
        A message in pieces.

        :raises NotFound: as :meth:`size`.
        :raises Gone: somebody else has removed it.
        """
        size = self.size(number)
        offset = 0
        while offset < size:
            piece = await self._read(number, offset, PIECE)
            offset += len(piece)
            yield piece

    async def top(self, number: int, lines: int) -> AsyncIterator[bytes]:
        """The header, the empty line, and as many lines of the body."""
        size, header = self.size(number), await self._header_size(number)
        offset = 0
        while offset < header:
            piece = await self._read(number, offset, min(PIECE, header - offset))
            offset += len(piece)
            yield piece
        while offset < size and lines:
            piece = await self._read(number, offset, PIECE)
            offset += len(piece)
            taken, lines = first_lines(piece, lines)
            yield taken

    async def _header_size(self, number: int) -> int:
        async for batch in self._mailbox.messages([self._uids[number - 1]]):
            return batch[0].header_size
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

    def reset(self) -> None:
        """Take all marks off."""
        self._deleted.clear()
        self.messages = len(self._uids)
        self.octets = sum(self._sizes)

    async def update(self) -> int:
        """
        Remove what is marked, all or nothing; how many were there to be removed.

        :raises Refusal: nothing was removed.
        """
        marked = [self._uids[number - 1] for number in sorted(self._deleted)]
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
