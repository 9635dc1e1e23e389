"""
Numbers that several processes keep together in one piece of shared memory, without locks.

A :class:`SharedNumbers` is a table with one row for each process.  Every process writes its own row only and reads the sum of
the others'; the row of one that has ended is cleared by whoever starts its successor.  A key, such as a source, goes by a hash
that is keyed afresh for each table, so nobody outside can choose two that meet; two that do meet are counted together.

What is read of other rows may be as old as a store takes to reach another processor.  Users count themselves first and look
then, so two who come at once both see each other, or in that rare moment pass a limit by as many as there are processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

from launcelot.core.limits import Bucket, ConnectionCount
from launcelot.core.rates import TokenBuckets

NUMBERS = 65_536
"""Numbers in a row; of its sources each service has a few among them."""

TOTALS = 256
"""Numbers at the start of a row that no key is hashed to."""

TIMES = 65_536
"""Moments that rates are kept with, beside the rows."""

SLACK = 1
"""Connections, and an eighth of those of the others, that a process may have more than they and not be ahead."""

KEY = 16
"""Octets of the hash's key."""


def size_of(rows: int) -> int:
    """Octets of the memory for so many processes."""
    return 4 * NUMBERS * rows + 8 * TIMES


class SharedNumbers:
    """
    The table, as one process sees it.

    :param memory: zeros at first, of :func:`size_of` octets, the same in all processes.
    :param row: ours.
    :param key: of the hash, :data:`KEY` octets, the same in all processes.
    :raises ValueError: the memory is too small, or there is no such row.
    """

    __slots__ = ("_key", "_others", "_own", "_rows", "_times")

    def __init__(self, memory: memoryview, rows: int, row: int, key: bytes) -> None:
        if not 0 <= row < rows or len(memory) < size_of(rows):
            raise ValueError("no such row in this memory")
        end = 4 * NUMBERS * rows
        numbers = memory[:end].cast("I")
        self._rows = [numbers[NUMBERS * one : NUMBERS * (one + 1)] for one in range(rows)]
        self._own = self._rows[row]
        self._others = [one for one in self._rows if one is not self._own]
        self._times = memory[end : end + 8 * TIMES].cast("d")
        self._key = key

    def place(self, *words: str) -> int:
        """Where a key is counted."""
        return TOTALS + self._hash(words) % (NUMBERS - TOTALS)

    def _hash(self, words: tuple[str, ...]) -> int:
        text = "\0".join(words).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=self._key).digest(), "big")

    def change(self, place: int, amount: int) -> None:
        """Add to our own number."""
        self._own[place] = max(0, self._own[place] + amount)

    @property
    def others(self) -> int:
        """How many other processes there are."""
        return len(self._others)

    def elsewhere(self, place: int) -> int:
        """The sum of the other processes' numbers."""
        return sum(row[place] for row in self._others)

    def clear(self, row: int) -> None:
        """Forget the numbers of a process that has ended."""
        self._rows[row][:] = memoryview(bytes(4 * NUMBERS)).cast("I")

    def time(self, *words: str) -> int:
        """Where a key's moment is kept."""
        return self._hash(words) % TIMES

    def moment(self, place: int) -> float:
        """The moment that whoever was last has set, 0 before; of a clock that all processes share."""
        return self._times[place]

    def set_moment(self, place: int, moment: float) -> None:
        """Set it for all; of two who do so at once one prevails."""
        self._times[place] = moment


class SharedCount(ConnectionCount):
    """
    A :class:`~launcelot.core.limits.ConnectionCount` whose limits hold over all processes together.

    :param service: whose connections these are.
    :param number: of the service, below :data:`TOTALS`.
    """

    __slots__ = ("_numbers", "_service", "_total_at")

    def __init__(self, total: int, per_source: int, numbers: SharedNumbers, service: str, number: int) -> None:
        super().__init__(total, per_source)
        self._numbers = numbers
        self._service = service
        self._total_at = number

    def admit(self, source: str) -> bool:
        """Count one more connection, or refuse it and count nothing."""
        if not super().admit(source):
            return False
        numbers = self._numbers
        place = numbers.place(self._service, source)
        numbers.change(self._total_at, 1)
        numbers.change(place, 1)
        if (
            self.open + numbers.elsewhere(self._total_at) <= self.total
            and self._by_source[source] + numbers.elsewhere(place) <= self.per_source
        ):
            return True
        self.release(source)
        return False

    def ahead(self) -> bool:
        """Whether we have clearly more connections than the other processes have on average."""
        others = self._numbers.others
        return others * (self.open - SLACK) * 8 > 9 * self._numbers.elsewhere(self._total_at)

    def release(self, source: str) -> None:
        """Count one connection less."""
        super().release(source)
        self._numbers.change(self._total_at, -1)
        self._numbers.change(self._numbers.place(self._service, source), -1)


class SharedBuckets(TokenBuckets):
    """
    :class:`~launcelot.core.rates.TokenBuckets` whose rates hold over all processes together.

    A bucket is one moment, at which it will be full again; taking moves it on.  That is the same as counting tokens.

    :param service: whose rates these are.
    """

    __slots__ = ("_numbers", "_service")

    def __init__(self, rate: float, burst: float, numbers: SharedNumbers, service: str) -> None:
        super().__init__(rate, burst)
        self._numbers = numbers
        self._service = service

    def take(self, key: Hashable, now: float) -> bool:
        """Count one more, or refuse it and count nothing."""
        place = self._numbers.time(self._service, str(key))
        full_at = max(now, self._numbers.moment(place)) + 1 / self.rate
        # One thousandth of a token is what adding moments in floating point may be off by.
        if (full_at - now) * self.rate > self.burst + 0.001:
            return False
        self._numbers.set_moment(place, full_at)
        return True

    def __len__(self) -> int:
        """How many keys are remembered: all moments have their place from the start."""
        return TIMES


class SharedBucket(Bucket):
    """
    A :class:`~launcelot.core.limits.Bucket` whose octets are those of all processes.

    Of what two processes take in the same instant one part may count for nothing; keys whose places meet pay for each other.

    :param words: the key.
    """

    __slots__ = ("_numbers", "_place")

    def __init__(self, rate: int, numbers: SharedNumbers, *words: str) -> None:
        super().__init__(rate)
        self._numbers = numbers
        self._place = numbers.time(*words)

    def take(self, octets: int, now: float) -> float:
        """Take octets; seconds to wait before anybody should take more."""
        paid_at = max(self._numbers.moment(self._place), now - self.SAVED) + octets / self.rate
        self._numbers.set_moment(self._place, paid_at)
        return max(0.0, paid_at - now)
