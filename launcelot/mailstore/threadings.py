"""
The threads of mailboxes, kept between two changes of who is in them.

What threading looks at never changes of a message, and a UID is never used again: as long as none of the messages that were
threaded has been removed, the same UIDs make the same threads, whatever else happens to the mailbox.  Only ``launcelot fsck``
mends messages; the file is told then, and nothing is kept.  What is kept is what is sent, about ten octets a message.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from launcelot.mailstore.sqlrows import removed_since
from launcelot.mailstore.threads import Algorithm, Bundle

KEPT = 2
"""Threadings of one account that are kept."""
MOST = 200_000
"""Messages of the largest that is."""


@dataclass(frozen=True, slots=True)
class Threading:
    """
    What came of threading some messages.

    :ivar modseq: as of which all of them are there.
    :ivar uids: the messages, ascending.
    """

    modseq: int
    uids: array[int]
    bundles: Sequence[Bundle]


class Threadings:
    """The threadings of an account, those asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, Algorithm], Threading] = OrderedDict()

    def get(self, mailbox: int, algorithm: Algorithm, uids: array[int]) -> Threading | None:
        """What is kept of just these messages; whether it still holds is to be asked with :func:`still_holds`."""
        known = self._kept.get((mailbox, algorithm))
        return known if known is not None and known.uids == uids else None

    def keep(self, mailbox: int, algorithm: Algorithm, threading: Threading) -> None:
        """Keep one that has all the messages it was asked for, in place of what was kept of the mailbox."""
        if len(threading.uids) > MOST or sum(len(one.uids) for one in threading.bundles) < len(threading.uids):
            return
        self._kept[mailbox, algorithm] = threading
        self._kept.move_to_end((mailbox, algorithm))
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()


def still_holds(connection: Connection, mailbox: int, known: Threading) -> bool:
    """
    Whether no message has been removed since.

    :raises Gone: the mailbox has been deleted.
    """
    return not removed_since(connection, mailbox, known.modseq)
