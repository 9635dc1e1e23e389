"""
Which part of a daemon a process is, and what it shares with the others.

A daemon in one process is :data:`WHOLE`.  One of several workers has a number, with which it owns a part of the spool; limits
on connections, datagrams and log-ins hold over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from launcelot.core.ids import AccountId
from launcelot.core.limits import FailureWindow
from launcelot.core.rates import TokenBuckets
from launcelot.core.sharing import SharedBuckets, SharedCount, SharedNumbers
from launcelot.hosting.listening import Listeners


def nobody(account: AccountId, mailboxes: Sequence[int]) -> None:
    """Nobody else has to be told of a change."""


@dataclass(frozen=True)
class Part:
    """
    One process's part.

    :ivar number: from 0.
    :ivar of: how many processes serve together.
    :ivar run: names this run of all of them; empty for one process.
    :ivar numbers: limits that are shared; None where there is nobody to share them with.
    :ivar failures: log-ins that failed, anywhere.
    :ivar wrote: told of every change to mail that is on disk.
    """

    number: int = 0
    of: int = 1
    run: bytes = b""
    numbers: SharedNumbers | None = None
    failures: FailureWindow | None = None
    wrote: Callable[[AccountId, Sequence[int]], None] = nobody

    def share(self, name: str, place: int, listeners: Listeners) -> None:
        """
        Have the limits of a service hold over all processes.

        :param place: of the service among all; the same in every process.
        """
        numbers = self.numbers
        if numbers is None:
            return
        counts: dict[int, SharedCount] = {}
        for one in listeners.listeners:
            own = one.factory._count
            if id(own) not in counts:
                counts[id(own)] = SharedCount(own.total, own.per_source, numbers, name, place)
            one.factory._count = counts[id(own)]
            one.factory.share(numbers, name)
        rates: dict[int, TokenBuckets] = {}
        for datagram in listeners.datagrams:
            bucket = datagram.server._rates
            if id(bucket) not in rates:
                rates[id(bucket)] = SharedBuckets(bucket.rate, bucket.burst, numbers, name)
            datagram.server._rates = rates[id(bucket)]


WHOLE = Part()
"""A daemon in one process."""


class SharedFailures(FailureWindow):
    """
    Failures that happen in several processes.

    :param tell: passes on the key, and whether it failed (or succeeded, which forgives).
    """

    __slots__ = ("_tell",)

    def __init__(self, limit: int, window: float, tell: Callable[[Any, bool], None]) -> None:
        super().__init__(limit, window)
        self._tell = tell

    def fail(self, key: Hashable, now: float) -> None:
        """Count one failure, here and elsewhere."""
        super().fail(key, now)
        self._tell(key, True)

    def forget(self, key: Hashable) -> None:
        """Drop the failures of a key, here and, if there were any, elsewhere."""
        if key in self._failures:
            super().forget(key)
            self._tell(key, False)

    def heard(self, key: Hashable, failed: bool, when: float) -> None:
        """It happened in another process, at that moment of our clock."""
        if failed:
            super().fail(key, when)
        else:
            super().forget(key)
