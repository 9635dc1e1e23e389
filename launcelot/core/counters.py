"""
Counters that are cheap enough for every command.

One :class:`Counters` belongs to a Site and is handed to whoever counts; names are dotted words such as
``smtp.messages.accepted``.  Gauges (what is now, not what has been) go through :meth:`Counters.gauge`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping


class Counters:
    """Sums by name, and gauges that are asked when somebody looks."""

    __slots__ = ("_gauges", "_sums")

    def __init__(self) -> None:
        self._sums: defaultdict[str, int] = defaultdict(int)
        self._gauges: dict[str, Callable[[], int]] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Raise a counter; it exists from its first use."""
        self._sums[name] += amount

    def gauge(self, name: str, ask: Callable[[], int]) -> None:
        """Register what is asked for the present value of ``name``."""
        self._gauges[name] = ask

    def value(self, name: str) -> int:
        """The present sum or gauge; 0 for a name nobody used."""
        ask = self._gauges.get(name)
        return ask() if ask is not None else self._sums.get(name, 0)

    def sums(self) -> Mapping[str, int]:
        """All sums by name: what can be added up over processes, and never falls."""
        return dict(self._sums)

    def snapshot(self) -> Mapping[str, int]:
        """All sums and gauges by name, sorted."""
        everything = dict(self._sums)
        everything.update((name, ask()) for name, ask in self._gauges.items())
        return dict(sorted(everything.items()))
