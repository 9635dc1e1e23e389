"""
The UIDs of mailboxes, kept between two changes: what every SELECT asks for, and what idle sessions hold on to.

A :class:`Roll` is shared by all who ask; nobody changes its array.  After a change the next who asks brings it up to date from
what is new, so that a mailbox of a hundred thousand messages is not read again for each delivery.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass
from sqlite3 import Connection

from launcelot.mailstore.sqlrows import messages_in, numbers_of, uids_of

KEPT = 4
"""Mailboxes of one account whose UIDs are kept."""
MOST_NEW = 200
"""Messages that came or went past which all are read again."""


@dataclass(frozen=True, slots=True)
class Roll:
    """
    The UIDs of a mailbox.

    :ivar modseq: as of which they are right.
    :ivar uids: ascending; never changed.
    """

    modseq: int
    uids: array[int]


class Rolls:
    """The rolls of an account, those asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Roll] = OrderedDict()

    def get(self, mailbox: int) -> Roll | None:
        """What is kept of a mailbox."""
        return self._kept.get(mailbox)

    def keep(self, mailbox: int, roll: Roll) -> None:
        """Keep one, unless a newer one is there."""
        known = self._kept.get(mailbox)
        if known is None or known.modseq <= roll.modseq:
            self._kept[mailbox] = roll
        self._kept.move_to_end(mailbox)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()


def roll_of(connection: Connection, mailbox: int) -> Roll:
    """
    Read it.

    :raises Gone: the mailbox has been deleted.
    """
    return Roll(numbers_of(connection, mailbox).modseq, array("I", uids_of(connection, mailbox)))


def brought_up(connection: Connection, mailbox: int, known: Roll) -> Roll | None:
    """
    What is known brought up to date; None if that is more work than reading it.

    :raises Gone: the mailbox has been deleted.
    """
    modseq = numbers_of(connection, mailbox).modseq
    if modseq == known.modseq:
        return known
    uids = known.uids
    new = connection.execute(_NEW, (mailbox, uids[-1] if uids else 0, MOST_NEW)).fetchall()
    gone = connection.execute(_GONE, (mailbox, known.modseq, MOST_NEW)).fetchall()
    if len(new) == MOST_NEW or len(gone) == MOST_NEW:
        return None
    if new:
        uids = uids + array("I", [uid for (uid,) in new])
    if gone:
        leaving = {uid for (uid,) in gone}
        uids = array("I", [uid for uid in uids if uid not in leaving])
    # What was removed long ago may have been forgotten.
    return Roll(modseq, uids) if len(uids) == messages_in(connection, mailbox) else None


_NEW = "SELECT uid FROM messages WHERE mailbox = ? AND uid > ? ORDER BY uid LIMIT ?"
_GONE = "SELECT uid FROM expunged WHERE mailbox = ? AND modseq > ? LIMIT ?"
