"""
The folded text of a header field, of all messages of a mailbox, kept between searches.

It is what a column of ``contents`` says, without the pages in which it lies among everything else.  It never changes of a
message, so new messages are added and only a removal has it read again; :mod:`launcelot.mailstore.threadings` says what
``launcelot fsck`` has to do with it.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass
from sqlite3 import Connection

from launcelot.mailstore.sqlrows import numbers_of, removed_since

KEPT = 2
"""Texts of one account that are kept."""
MOST = 524_288
"""Octets of the largest that is; as much as a reading connection has pages."""
_BETWEEN = b"\xff"
"""Does not occur in UTF-8."""


@dataclass(frozen=True, slots=True)
class HeaderTexts:
    """
    What a field says.

    :ivar modseq: as of which all messages are there and no others.
    :ivar uids: ascending.
    :ivar joined: the texts in their order, in UTF-8.
    """

    modseq: int
    uids: array[int]
    joined: bytes

    def containing(self, wanted: bytes) -> list[int]:
        """UIDs of the messages whose text contains another, ascending."""
        if not self.uids or wanted not in self.joined:
            return []
        return [uid for uid, one in zip(self.uids, self.joined.split(_BETWEEN), strict=True) if wanted in one]


class HeaderTextsKept:
    """The texts of an account, those searched last; and which are too large to be kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, str], HeaderTexts] = OrderedDict()
        self._large: set[tuple[int, str]] = set()

    def get(self, mailbox: int, column: str) -> HeaderTexts | None:
        """What is kept of a mailbox and a column."""
        return self._kept.get((mailbox, column))

    def fits(self, mailbox: int, column: str) -> bool:
        """False if it has been found too large."""
        return (mailbox, column) not in self._large

    def keep(self, mailbox: int, column: str, texts: HeaderTexts) -> None:
        """Keep one, unless it is too large."""
        key = mailbox, column
        self._kept.pop(key, None)
        if len(texts.joined) > MOST:
            self._large.add(key)
            return
        self._kept[key] = texts
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()
        self._large.clear()


def is_current(connection: Connection, mailbox: int, known: HeaderTexts) -> bool:
    """
    Whether nothing has changed since.

    :raises Gone: the mailbox has been deleted.
    """
    return numbers_of(connection, mailbox).modseq == known.modseq


def texts_of(connection: Connection, mailbox: int, column: str, known: HeaderTexts | None) -> HeaderTexts:
    """
    Read them, or what is new among them.

    :param column: of ``contents``; never a peer's.
    :param known: as they were before, if that is known.
    :raises Gone: the mailbox has been deleted.
    """
    modseq = numbers_of(connection, mailbox).modseq
    if known is not None and (not known.uids or removed_since(connection, mailbox, known.modseq)):
        known = None
    rows = connection.execute(_TEXTS.format(column), (mailbox, known.uids[-1] if known else 0)).fetchall()
    uids = array("I", [uid for uid, _ in rows])
    joined = _BETWEEN.join([one for _, one in rows])
    if known is None:
        return HeaderTexts(modseq, uids, joined)
    if not rows:
        return HeaderTexts(modseq, known.uids, known.joined)
    return HeaderTexts(modseq, known.uids + uids, known.joined + _BETWEEN + joined)


_TEXTS = """
    SELECT m.uid, CAST(c.{} AS BLOB) FROM messages AS m JOIN contents AS c ON c.number = m.content
    WHERE m.mailbox = ? AND m.uid > ? ORDER BY m.uid
"""
