"""
Every way to lose a connection: at each octet, in each direction, by a clean end, by a reset, or by silence.

:func:`every_cut` plays a dialogue whole, then once for each cut, and folds what came of it into a :class:`Table` that says in
ranges of octets what happens where::

    client to server, fin: 0-89 lost | 90-101 stored
    server to client, rst: 0-164 lost | 165-190 stored twice | 191-234 stored

A connection is cut once: who connects again in the same run is served.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from launcelot.testing.network import MemoryNetwork
from launcelot.testing.transcript import shown
from launcelot.testing.transport import MemoryTransport

CONTEXT = 24
"""Octets that a report shows of what came before a cut."""


class Way(Enum):
    """Who sends the octets."""

    TO_SERVER = "client to server"
    TO_CLIENT = "server to client"


class Kind(Enum):
    """How the connection ends: for both sides at once, or not at all while nothing moves any more."""

    FIN = "fin"
    RST = "rst"
    STALL = "stall"


@dataclass(frozen=True, slots=True)
class Cut:
    """
    One way to lose a connection.

    :ivar octets: that arrive, of all that are sent that way in one run; the next one does not.
    """

    way: Way
    octets: int
    kind: Kind

    def __str__(self) -> str:
        return f"{self.way.value} cut after {self.octets} octets ({self.kind.value})"


class Meter:
    """Lets everything pass and keeps it."""

    def __init__(self) -> None:
        self.passed = {way: bytearray() for way in Way}

    def room(self, end: MemoryTransport, room: int) -> int:
        """All of it."""
        self.passed[Way.TO_SERVER if end.client else Way.TO_CLIENT] += end.next_octets(room)
        return room


class CutFuse:
    """
    Cuts the connection over which the octet would go.

    :ivar blown: it has.
    """

    def __init__(self, network: MemoryNetwork, cut: Cut) -> None:
        self._network = network
        self._cut = cut
        self._left = cut.octets
        self._stalled: set[MemoryTransport] = set()
        self.blown = False

    def room(self, end: MemoryTransport, room: int) -> int:
        """What is left of the octets that pass; asked for the next one, it cuts."""
        if end in self._stalled:
            return 0
        if self.blown or end.client is not (self._cut.way is Way.TO_SERVER):
            return room
        if self._left:
            passes = min(room, self._left, end.waiting)
            self._left -= passes
            return passes
        self.blown = True
        self._blow(end)
        return 0

    def _blow(self, end: MemoryTransport) -> None:
        ends = [one for one in (end, end.other) if one is not None]
        if self._cut.kind is Kind.STALL:
            self._stalled.update(ends)
            return
        for one in ends:
            if self._cut.kind is Kind.FIN:
                one.cut_off()
            else:
                one.reset()


@dataclass(frozen=True)
class Table:
    """
    What came of each cut.

    :ivar whole: what came of the run without any.
    :ivar said: what each side said in it.
    """

    whole: str
    outcomes: Sequence[tuple[Cut, str]]
    said: Mapping[Way, bytes] = field(default_factory=dict)

    def ranges(self) -> Iterator[tuple[Way, Kind, int, int, str]]:
        """Neighbouring cuts with one outcome: way, kind, first and last number of octets, outcome."""
        run: list[tuple[Cut, str]] = []
        for cut, outcome in self.outcomes:
            if run and (run[-1][1] != outcome or (run[-1][0].way, run[-1][0].kind) != (cut.way, cut.kind)):
                yield _folded(run)
                run = []
            run.append((cut, outcome))
        if run:
            yield _folded(run)

    def other_than(self, allowed: Collection[str]) -> Sequence[tuple[Cut, str]]:
        """The cuts whose outcome is none of these."""
        return [(cut, outcome) for cut, outcome in self.outcomes if outcome not in allowed]

    def report(self) -> str:
        """One line for each range of octets, with what was said last before its first one was lost; for people."""
        lines = [f"whole: {self.whole}"]
        heading = ""
        for way, kind, first, last, outcome in self.ranges():
            if heading != (heading := f"{way.value}, {kind.value}:"):
                lines.append(heading)
            octets = f"{first}" if first == last else f"{first}-{last}"
            before = self.said.get(way, b"")[max(0, first - CONTEXT) : first]
            behind = f', behind "{shown(before, True)}"' if before.isascii() and before else ""
            lines.append(f"  {octets}: {outcome}{behind}")
        return "\n".join(lines)

    def __str__(self) -> str:
        lines: dict[str, list[str]] = {}
        for way, kind, first, last, outcome in self.ranges():
            octets = f"{first}" if first == last else f"{first}-{last}"
            lines.setdefault(f"{way.value}, {kind.value}", []).append(f"{octets} {outcome}")
        return "\n".join([f"whole: {self.whole}", *(f"{head}: {' | '.join(parts)}" for head, parts in lines.items())])


def _folded(run: Sequence[tuple[Cut, str]]) -> tuple[Way, Kind, int, int, str]:
    first, outcome = run[0]
    return first.way, first.kind, first.octets, run[-1][0].octets, outcome


def every_cut(
    make: Callable[[], Any],
    run: Callable[[Any], object],
    kinds: Sequence[Kind] = (Kind.FIN, Kind.RST),
    ways: Sequence[Way] = tuple(Way),
    step: int = 1,
) -> Table:
    """
    Play a dialogue whole and cut at every octet.

    :param make: gives a new world each time, with a ``network`` of its own.
    :param run: plays the dialogue in it and says in a word or two what came of it.
    :param step: 1 for each octet, more for one in so many.
    """
    meter = Meter()
    world = make()
    world.network.fuse = meter
    whole = str(run(world))
    outcomes = []
    for way in ways:
        for kind in kinds:
            for octets in range(0, len(meter.passed[way]), step):
                cut = Cut(way, octets, kind)
                world = make()
                world.network.fuse = CutFuse(world.network, cut)
                outcomes.append((cut, str(run(world))))
    return Table(whole, outcomes, {way: bytes(octets) for way, octets in meter.passed.items()})
