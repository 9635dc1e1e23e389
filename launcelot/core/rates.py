"""
Limits on rates: token buckets by key, in bounded memory.

Nothing here knows a clock or a protocol: times are handed in as seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


class TokenBuckets:
    """
    How often each key may do something: ``rate`` times a second for ever, ``burst`` times at once.

    :param keys: how many keys are remembered; the one longest untouched is forgotten first, and begins anew with a burst.
    """

    __slots__ = ("_buckets", "burst", "keys", "rate")

    def __init__(self, rate: float, burst: float, keys: int = 65_536) -> None:
        self.rate = rate
        self.burst = burst
        self.keys = keys
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable, now: float) -> bool:
        """Count one more, or refuse it and count nothing."""
        tokens, since = self._buckets.pop(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - since) * self.rate)
        granted = tokens >= 1
        self._buckets[key] = (tokens - 1 if granted else tokens, now)
        if len(self._buckets) > self.keys:
            self._buckets.popitem(last=False)
        return granted

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._buckets)
