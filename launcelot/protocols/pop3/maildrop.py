"""
The maildrop: INBOX as one session sees it, fixed when it is opened.  RFC 1939 sections 3 and 5.

Messages have the numbers 1 to n for the whole session, whatever others do meanwhile.  What is marked deleted is removed by
:meth:`Maildrop.update` alone, all in one transaction.  Memory is 16 octets for each message; sessions that find the mailbox as
the one before them did share what is known of it (:class:`Listings`).

Sizes are those of what is sent.  A session without UTF8 is sent the surrogate of a message whose headers need it; see
:mod:`launcelot.message.surrogate`.  RFC 6856 section 2.1.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass

from launcelot.core.dots import LineEnds
from launcelot.core.errors import Gone, NotFound
from launcelot.core.ids import AccountId
from launcelot.mailstore.interface import Glance, Mailbox, Message
from launcelot.mailstore.sheets import Column
from launcelot.message.headers import MAX_HEADER
from launcelot.message.sections import PartTable
from launcelot.message.surrogate import sections_of, surrogate_section

PIECE = 65_536
"""Octets of a message that are read at once."""

WHOLE_MESSAGE = (Column.OCTETS,)

BATCH = 1_000
"""Messages listed at once."""

LISTED = 200_000
"""Messages of which the sizes are remembered from one session to the next; they take 16 octets each."""


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What a mailbox has, as POP3 sees it.

    :ivar sizes: octets of messages as they are sent, in the order of ``uids``.
    :ivar stored: octets as they are stored, by message number, where these differ.
    :ivar surrogates: numbers of messages that are not sent as they are stored because of their headers.
    :ivar octets: the sum of the sizes.
    """

    uid_validity: int
    uids: array[int]
    sizes: array[int]
    stored: Mapping[int, int]
    surrogates: Collection[int]
    octets: int

    @classmethod
    async def of(cls, mailbox: Mailbox, uid_validity: int, utf8: bool) -> Listing:
        """Look at all messages once; see :meth:`Maildrop.open`."""
        rows, others = await mailbox.sizes(), await mailbox.line_sizes()
        uids, sizes = array("Q", [uid for uid, _ in rows]), array("Q", [size for _, size in rows])
        stored: dict[int, int] = {}
        surrogates: set[int] = set()
        if others:
            for number, (uid, size) in enumerate(rows, 1):
                other = others.get(uid)
                if other is not None:
                    stored[number] = size
                    sizes[number - 1] = other.utf8 if utf8 else other.ascii
                    if other.ascii != other.utf8 and not utf8:
                        surrogates.add(number)
        return cls(uid_validity, uids, sizes, stored, surrogates, sum(sizes))


class Listings:
    """
    Listings of maildrops as they last were; those longest unused are forgotten past :data:`LISTED` messages.

    HIGHESTMODSEQ grows with every change of a mailbox, so a listing of the same number is the same.
    """

    def __init__(self, most: int = LISTED) -> None:
        self._most = most
        self._messages = 0
        self._known: OrderedDict[tuple[AccountId, bool], tuple[tuple[str, int, int, int], Listing]] = OrderedDict()

    async def of(self, account: AccountId, mailbox: Mailbox, utf8: bool) -> Listing:
        """
        What an account's INBOX has; see :meth:`Maildrop.open`.

        :param mailbox: opened just now.
        """
        opened = mailbox.opened
        state = _state_of(opened)
        known = self._known.get((account, utf8))
        if known is not None and known[0] == state:
            self._known.move_to_end((account, utf8))
            return known[1]
        listing = await Listing.of(mailbox, opened.uid_validity, utf8)
        self._keep((account, utf8), state, listing)
        return listing

    def _keep(self, key: tuple[AccountId, bool], state: tuple[str, int, int, int], listing: Listing) -> None:
        before = self._known.pop(key, None)
        self._messages += len(listing.uids) - (0 if before is None else len(before[1].uids))
        self._known[key] = (state, listing)
        while self._messages > self._most or len(self._known) > self._most:
            _, (_, oldest) = self._known.popitem(last=False)
            self._messages -= len(oldest.uids)


def _state_of(glance: Glance) -> tuple[str, int, int, int]:
    return glance.id, glance.uid_validity, glance.uid_next, glance.highest_modseq


class Maildrop:
    """
    One session's messages.

    :ivar messages: how many there are that are not marked deleted.
    :ivar octets: their size.
    """

    def __init__(self, mailbox: Mailbox, listing: Listing) -> None:
        self._mailbox = mailbox
        self._uid_validity = listing.uid_validity
        self._uids = listing.uids
        self._sizes = listing.sizes
        self._stored = listing.stored
        self._surrogates = listing.surrogates
        self._all = listing.octets
        self._deleted: set[int] = set()
        self._retrieved: set[int] = set()
        self.messages = len(listing.uids)
        self.octets = listing.octets

    @classmethod
    async def open(cls, mailbox: Mailbox, utf8: bool = False) -> Maildrop:
        """
        Look at all messages once.

        :param utf8: whether they are sent with UTF-8 in their headers.
        """
        return cls(mailbox, await Listing.of(mailbox, (await mailbox.status()).uid_validity, utf8))

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

    def size_lines(self) -> Iterator[bytes]:
        """Lines of number and size, :data:`BATCH` messages at a time."""
        return self._lines("%d %d\r\n", self._sizes)

    def unique_id_lines(self) -> Iterator[bytes]:
        """Lines of number and identifier, likewise."""
        return self._lines(f"%d {self._uid_validity}.%d\r\n", self._uids)

    def _lines(self, form: str, column: array[int]) -> Iterator[bytes]:
        deleted = self._deleted
        for start in range(0, len(column), BATCH):
            rows = enumerate(column[start : start + BATCH], start + 1)
            if deleted:
                rows = [row for row in rows if row[0] not in deleted]  # type: ignore[assignment]
            yield "".join(map(form.__mod__, rows)).encode("ascii")

    # -- octets --------------------------------------------------------------------------------------------------

    def is_plain(self, number: int) -> bool:
        """Whether a message is sent as it is stored: in lines that end with CRLF."""
        return number not in self._stored

    async def small(self, number: int, size: int) -> bytes | None:
        """
        The whole of a message that is sent as it is stored, in lines that end with CRLF; None if it has to be sent in pieces.

        :param size: as :meth:`size` tells it.
        :raises Gone: somebody else has removed it.
        """
        if not 0 < size <= PIECE or number in self._stored:
            return None
        sheet = await self._mailbox.sheet(self._uids[number - 1], WHOLE_MESSAGE)
        if sheet is None:
            raise Gone
        octets: bytes | None = sheet.columns[1][0]
        return octets

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
        self.octets = self._all

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
