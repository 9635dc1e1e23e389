"""
New services in the place of old ones while peers are connected and others come.

An endpoint that old and new have in common stays open: who comes is the new service's, who is there stays with the old one.
Endpoints that are new are opened before any is closed; only one that cannot be opened because an old one is in its way waits
until those that go are closed.  When one cannot be opened at all everything is as it was before, the limits on connections
are the old ones' and :class:`~launcelot.hosting.listening.CannotListen` is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger

from launcelot.hosting.listening import AnyListener, CannotListen, Listeners, Listening, describe

log = Logger(namespace="launcelot.exchange")

Opened = tuple[Listeners, AnyListener, Any]
"""A listener, whose it is, and its port."""


@dataclass(frozen=True, slots=True)
class Change:
    """What listens that did not, and what does no longer."""

    opened: Sequence[Listening] = ()
    closed: Sequence[Listening] = ()


@dataclass
class Exchange:
    """
    One exchange.

    :param pairs: old and new service objects; the new ones listen nowhere yet.
    """

    pairs: Sequence[tuple[Listeners, Listeners]]
    _kept: dict[int, tuple[Listeners, Any]] = field(default_factory=dict)
    _fresh: list[tuple[Listeners, AnyListener]] = field(default_factory=list)
    _gone: list[Opened] = field(default_factory=list)

    async def run(self) -> Change:
        """
        Do it.

        :raises CannotListen: an endpoint cannot be opened; nothing has changed.
        """
        for old, new in self.pairs:
            self._compare(old, new)
        opened, late = await self._open_free()
        closed = [describe(listener, port) for _, listener, port in self._gone]
        if late:
            await self._close_gone()
            opened += await self._open_late(opened, late)
        for old, new in self.pairs:
            self._hand_over(old, new, opened)
        if not late:
            await self._close_gone()
        return Change([describe(listener, port) for _, listener, port in opened], closed)

    def _compare(self, old: Listeners, new: Listeners) -> None:
        left = list(old.ports)
        for listener in new.everything:
            same = next((one for one in left if _is_same(one[0], listener)), None)
            if same is None:
                self._fresh.append((new, listener))
            else:
                left.remove(same)
                self._kept[id(listener)] = (old, same[1])
        self._gone += [(old, listener, port) for listener, port in left]

    async def _open_free(self) -> tuple[list[Opened], list[tuple[Listeners, AnyListener]]]:
        opened: list[Opened] = []
        late = []
        for service, listener in self._fresh:
            try:
                opened.append(await _open(service, listener))
            except CannotListen:
                if not self._gone:
                    await _undo(opened)
                    raise
                late.append((service, listener))
        return opened, late

    async def _open_late(self, before: list[Opened], late: list[tuple[Listeners, AnyListener]]) -> list[Opened]:
        opened: list[Opened] = []
        try:
            for service, listener in late:
                opened.append(await _open(service, listener))
        except CannotListen:
            await _undo(before + opened)
            await self._open_gone_again()
            raise
        return opened

    async def _close_gone(self) -> None:
        for service, _, port in self._gone:
            await service.shut(port)

    async def _open_gone_again(self) -> None:
        again: dict[int, Any] = {}
        for service, listener, port in self._gone:
            try:
                again[id(port)] = await service.open(listener)
            except CannotListen as error:
                log.error("what listened before does no longer: {reason}", reason=str(error))
                again[id(port)] = None
        for old, _ in self.pairs:
            replaced = [(listener, again.get(id(port), port)) for listener, port in old.ports]
            old.hold([(listener, port) for listener, port in replaced if port is not None])

    def _hand_over(self, old: Listeners, new: Listeners, opened: list[Opened]) -> None:
        fresh = {id(listener): port for _, listener, port in opened}
        _share_count(old, new)
        ports = []
        for listener in new.everything:
            if id(listener) in fresh:
                port = fresh[id(listener)]
                port.startReading()
            else:
                whose, port = self._kept[id(listener)]
                new.take(listener, port, whose)
            ports.append((listener, port))
        old.hold([])
        new.hold(ports)


def _is_same(one: AnyListener, other: AnyListener) -> bool:
    return one.name == other.name and one.endpoint == other.endpoint


async def _open(service: Listeners, listener: AnyListener) -> Opened:
    """Open an endpoint, and let nobody in yet."""
    port = await service.open(listener)
    port.stopReading()
    return service, listener, port


async def _undo(opened: Sequence[Opened]) -> None:
    for service, _, port in opened:
        await service.shut(port)


def _share_count(old: Listeners, new: Listeners) -> None:
    """Have sessions of both count together, under the new limits."""
    after = [one.factory for one in new.listeners]
    if not old.listeners or not after:
        return
    count, wanted = old.listeners[0].factory._count, after[0]._count
    count.total, count.per_source = wanted.total, wanted.per_source
    for factory in after:
        factory._count = count
