"""Scripts and filtered deliveries in memory; see :mod:`launcelot.mailstore.scripts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from launcelot.core.errors import Exists, InUse, NotFound
from launcelot.mailstore.interface import Outgoing
from launcelot.mailstore.scripts import MAX_REMEMBERED, ScriptInfo, check_name, check_size


@dataclass
class Drawer:
    """
    What is kept of an account's scripts and filtered deliveries.

    :ivar active: the name of the active script; empty for none.
    :ivar remembered: ids with the moments they are forgotten.
    """

    scripts: dict[str, bytes] = field(default_factory=dict)
    active: str = ""
    remembered: dict[str, int] = field(default_factory=dict)
    outgoing: dict[str, tuple[Outgoing, ...]] = field(default_factory=dict)

    def remember(self, keys: Sequence[tuple[str, int]]) -> None:
        """Remember ids; of too many those that end first are forgotten."""
        self.remembered.update(keys)
        over = len(self.remembered) - MAX_REMEMBERED
        for key, _ in sorted(self.remembered.items(), key=lambda pair: pair[1])[: max(over, 0)]:
            del self.remembered[key]


class Account(Protocol):
    """What scripts ask of the account they belong to."""

    @property
    def drawer(self) -> Drawer:
        """What is kept; raises Gone."""


class MemoryScripts:
    """One account's; see :class:`launcelot.mailstore.scripts.Scripts`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def listing(self) -> Sequence[ScriptInfo]:
        """All of them, by name."""
        drawer = self._account.drawer
        return [ScriptInfo(name, name == drawer.active, len(source)) for name, source in sorted(drawer.scripts.items())]

    async def read(self, name: str) -> bytes:
        """A script's source."""
        return self._source(name)

    def _source(self, name: str) -> bytes:
        source = self._account.drawer.scripts.get(name)
        if source is None:
            raise NotFound("there is no such script")
        return source

    async def check_room(self, name: str, size: int) -> None:
        """Whether a script could be kept."""
        check_name(name)
        check_size(len(self._account.drawer.scripts.keys() - {name}), size)

    async def put(self, name: str, source: bytes) -> None:
        """Keep a script."""
        await self.check_room(name, len(source))
        self._account.drawer.scripts[name] = source

    async def activate(self, name: str) -> None:
        """Have deliveries go through a script from now on."""
        if name:
            self._source(name)
        self._account.drawer.active = name

    async def remove(self, name: str) -> None:
        """Remove a script."""
        self._source(name)
        if self._account.drawer.active == name:
            raise InUse("the script is active")
        del self._account.drawer.scripts[name]

    async def rename(self, name: str, to: str) -> None:
        """Give a script another name."""
        check_name(to)
        source, drawer = self._source(name), self._account.drawer
        if name != to and to in drawer.scripts:
            raise Exists("there is a script of that name")
        del drawer.scripts[name]
        drawer.scripts[to] = source
        if drawer.active == name:
            drawer.active = to

    async def active(self) -> tuple[str, bytes] | None:
        """Name and source of the active script."""
        drawer = self._account.drawer
        return (drawer.active, drawer.scripts[drawer.active]) if drawer.active else None

    async def remembered(self, now: float) -> Callable[[str], bool]:
        """Whether an id is remembered."""
        kept = self._account.drawer.remembered
        return frozenset(key for key, until in kept.items() if until > now).__contains__
