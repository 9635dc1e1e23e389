"""
Counting limits: connections by source, and failures in a sliding window.

Nothing here knows a clock or a protocol: times are handed in as seconds of a monotonic clock.
Every table is bounded, so that a peer cannot fill memory by coming from many addresses.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Hashable
from functools import lru_cache


@lru_cache(maxsize=4_096)  # The same peers come again, and reading an address costs as much as counting it.
def source_of(host: str) -> str:
    """The unit in which sources are limited: an IPv4 address, an IPv6 /64, or the name as it is (Unix sockets)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


@lru_cache(maxsize=4_096)
def is_loopback(host: str) -> bool:
    """
    Whether a peer is on this machine, so that its password crosses no network; Unix sockets are.

    :param host: an address, an IPv4 one wrapped in IPv6 included, or ``"unix"``; any other name is not.
    """
    if host == "unix":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


class ConnectionCount:
    """
    How many connections there are, in all and from each source.

    :param total: largest number of connections in all.
    :param per_source: largest number from one source; see :func:`source_of`.
    """

    __slots__ = ("_by_source", "open", "per_source", "total")

    def __init__(self, total: int, per_source: int) -> None:
        self.total = total
        self.per_source = per_source
        self.open = 0
        self._by_source: dict[str, int] = {}

    def admit(self, source: str) -> bool:
        """Count one more connection, or refuse it and count nothing."""
        here = self._by_source.get(source, 0)
        if self.open >= self.total or here >= self.per_source:
            return False
        self.open += 1
        self._by_source[source] = here + 1
        return True

    def release(self, source: str) -> None:
        """Count one connection less, once for each that was admitted."""
        self.open -= 1
        left = self._by_source[source] - 1
        if left:
            self._by_source[source] = left
        else:
            del self._by_source[source]


class Bucket:
    """
    Octets in a second, on the average of some seconds.

    Whoever takes more than there is gets it, and waits until it is paid for; several that share a bucket wait for each other.

    :param rate: octets in a second, at least 1.
    """

    __slots__ = ("__weakref__", "_paid_at", "rate")

    SAVED = 1.0
    """Seconds for which an idle bucket fills."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._paid_at = float("-inf")

    def take(self, octets: int, now: float) -> float:
        """Take octets; seconds to wait before anybody should take more."""
        self._paid_at = max(self._paid_at, now - self.SAVED) + octets / self.rate
        return max(0.0, self._paid_at - now)


class FailureWindow:
    """
    Failures by key in a sliding window, such as wrong passwords by (source, account).

    :param limit: how many failures a key may have within the window before it is blocked.
    :param window: length of the window in seconds.
    :param keys: how many keys are remembered; the one longest untouched is forgotten first.
    """

    __slots__ = ("_failures", "keys", "limit", "window")

    def __init__(self, limit: int, window: float, keys: int = 65_536) -> None:
        self.limit = limit
        self.window = window
        self.keys = keys
        self._failures: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def blocked(self, key: Hashable, now: float) -> bool:
        """Whether the key has reached its limit within the window that ends now."""
        return self.count(key, now) >= self.limit

    def count(self, key: Hashable, now: float) -> int:
        """How many failures the key has had within the window that ends now; no more than the limit are counted."""
        times = self._failures.get(key)
        if times is None:
            return 0
        while times and times[0] <= now - self.window:
            times.popleft()
        if not times:
            del self._failures[key]
        return len(times)

    def fail(self, key: Hashable, now: float) -> None:
        """Count one failure."""
        times = self._failures.setdefault(key, deque(maxlen=self.limit))
        times.append(now)
        self._failures.move_to_end(key)
        if len(self._failures) > self.keys:
            self._failures.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Drop the failures of a key, after it succeeded."""
        self._failures.pop(key, None)
