"""
The services of a test's Site, which can die together and come back where they were.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from launcelot.hosting.gather import gather
from launcelot.hosting.listening import Listeners, Listening
from launcelot.hosting.site import Site
from launcelot.testing.services import HOST, build
from launcelot.testing.tapping import Taps

Settings = Mapping[str, Mapping[str, Any]]


class Running:
    """
    One service.

    :ivar built: what listens now; another after each restart.
    :ivar listening: where, since it listened last.
    :ivar ports: those that it has, by listener, also while it is away.
    """

    def __init__(
        self, site: Site, service: str, names: Sequence[str], settings: Mapping[str, Any], port: int = 0, host: str = HOST
    ) -> None:
        self.service = service
        self.names = names
        self.ports: dict[str, int] = dict.fromkeys(names, port) if port else {}
        self._site = site
        self._settings = settings
        self._host = host
        self.listening: Sequence[Listening] = ()
        self.built = self._build()

    def _build(self) -> Listeners:
        return build(self._site, self.service, self.names, self._settings, self.ports, self._host)

    async def listen(self) -> None:
        """
        Listen where it did before; anew, where it did not.

        :raises CannotListen: somebody has the port.
        """
        await self.built.listen()
        self.listening = self.built.listening
        self.ports = {one.name: one.port for one in self.listening}

    async def close(self) -> None:
        """Listen no more, and end all sessions."""
        await self.built.unlisten()
        factories = {id(one.factory): one.factory for one in self.built.listeners}
        await gather([factory.drain(0.0) for factory in factories.values()])

    def anew(self) -> None:
        """Forget everything but the ports."""
        self.built = self._build()


class Machine:
    """
    All of them.

    :param later: calls something after so many seconds.
    :param holds_ports: keeps the ports of services that are away from others of this computer.
    """

    def __init__(self, taps: Taps, later: Callable[..., Any], holds_ports: bool = False) -> None:
        self.running: list[Running] = []
        self._taps = taps
        self._later = later
        self._holds_ports = holds_ports
        self._away = False
        self._timer: Any = None
        self._held: list[socket.socket] = []

    def restart(self, down: float = 0.0) -> Deferred[None]:
        """
        Die and come back: connections are lost, what was stored is there again.

        :param down: seconds in which nobody listens; while it is away it cannot die once more.
        :returns: fires when it is away, or, unless it stays away for some time, back.
        """
        if self._away:
            return succeed(None)
        self._away = True
        return Deferred.fromCoroutine(self._restart(down)).addErrback(_not_back)

    def _due(self) -> None:
        self._timer = None
        Deferred.fromCoroutine(self._return()).addErrback(_not_back)

    async def _restart(self, down: float) -> None:
        # Who notices that its connection is gone must not find the old port any more, nor none where there is no time between.
        lost = list(self._taps.open)
        for one in self.running:
            await one.built.unlisten()
        if down:
            self._hold()
            self._timer = self._later(down, self._due)
        else:
            await self._return()
        for tap in lost:
            tap.sever()

    async def _return(self) -> None:
        for one in self.running:
            one.anew()
            await one.listen()
        self._let_go()
        self._away = False

    def _hold(self) -> None:
        for one in self.running if self._holds_ports else ():
            for listener in one.built.listeners:
                held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.bind((HOST, one.ports[listener.name]))
                self._held.append(held)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for one in held:
            one.close()

    async def close(self) -> None:
        """Close everything for good."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._let_go()
        for one in self.running:
            await one.close()


def _not_back(failure: Failure) -> None:
    raise RuntimeError(f"the server has not come back: {failure.getErrorMessage()}") from failure.value
