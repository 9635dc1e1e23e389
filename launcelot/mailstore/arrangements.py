"""
What came of threading and sorting mailboxes, kept between two changes of who is in them.

What threading and sorting look at never changes of a message, and a UID is never used again: as long as none of the messages
that were arranged has been removed, the same UIDs make the same threads and have the same order, whatever else happens to the
mailbox.  Only ``launcelot fsck`` mends messages; the file is told then, and nothing is kept.  What is kept is what is sent, about
ten octets a message.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from launcelot.mailstore.ordering import Criterion
from launcelot.mailstore.sqlrows import removed_since
from launcelot.mailstore.threads import Algorithm

KEPT = 4
"""Arrangements of one account that are kept."""
MOST = 200_000
"""Messages of the largest that is."""

How = Algorithm | tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """
    What came of arranging some messages.

    :ivar modseq: as of which all of them are there.
    :ivar uids: the messages, ascending.
    :ivar found: their threads (:class:`~launcelot.mailstore.threads.Bundle`), or their UIDs in order.
    """

    modseq: int
    uids: array[int]
    found: Sequence[Any]


class Arrangements:
    """Those of an account that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, How], Arrangement] = OrderedDict()

    def get(self, mailbox: int, how: How, uids: array[int]) -> Arrangement | None:
        """What is kept of just these messages; whether it still holds is to be asked with :func:`still_holds`."""
        known = self._kept.get((mailbox, how))
        return known if known is not None and known.uids == uids else None

    def keep(self, mailbox: int, how: How, made: Arrangement, messages: int) -> None:
        """
        Keep one that has all the messages it was asked for, in place of what was kept of the mailbox.

        :param messages: how many it has.
        """
        if len(made.uids) > MOST or messages < len(made.uids):
            return
        self._kept[mailbox, how] = made
        self._kept.move_to_end((mailbox, how))
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()


def still_holds(connection: Connection, mailbox: int, known: Arrangement) -> bool:
    """
    Whether no message has been removed since.

    :raises Gone: the mailbox has been deleted.
    """
    return not removed_since(connection, mailbox, known.modseq)
