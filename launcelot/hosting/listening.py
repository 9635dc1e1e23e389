"""
Listeners: endpoint strings made into ports, and what listens where told to people and programs.

A TCP listener is ours (:func:`launcelot.hosting.transport.listen_tcp`), so that replies leave at the end of the read event and
the backlog is right; so is one that we were started with (``systemd:``, :mod:`launcelot.hosting.inherited`).  UDP endpoints
(``udp:``) are those of :mod:`launcelot.hosting.datagrams`; every other kind of endpoint string (``unix:``, ``tls:`` ...) is
Twisted's.  With ``proxied:`` before it a listener of connections expects the header of :mod:`launcelot.hosting.proxy`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import _parse, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from launcelot.hosting.datagrams import DatagramListener, listen_datagrams
from launcelot.hosting.descriptors import Gate
from launcelot.hosting.gather import gather
from launcelot.hosting.inherited import Inherited, adopt, adopt_datagrams, chosen
from launcelot.hosting.proxy import PROXIED, Network, ProxyFactory
from launcelot.hosting.server import ServerFactory
from launcelot.hosting.transport import BACKLOG, listen_tcp


@dataclass(frozen=True, slots=True)
class Listener:
    """
    One endpoint of one service.

    :ivar name: as in the table of services, such as ``"imaps"``.
    :ivar endpoint: an endpoint string, such as ``tcp:2143:interface=127.0.0.1``; port 0 lets the system choose.
    """

    name: str
    endpoint: str
    factory: ServerFactory


@dataclass(frozen=True, slots=True)
class Listening:
    """
    What listens where.

    :ivar tls: ``"implicit"``, ``"starttls"`` or ``"none"``.
    """

    name: str
    host: str
    port: int
    tls: str


AnyListener = Listener | DatagramListener


class Door(Factory):
    """
    What a port is given in place of a service's factory, so that another may take its place while the port stays open.

    :ivar factory: makes the protocols of those who come from now on.
    """

    noisy = False

    def __init__(self, name: str, factory: ServerFactory | ProxyFactory) -> None:
        self.name = name
        self.factory = factory

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """What the factory makes of it."""
        return self.factory.buildProtocol(addr)

    def logPrefix(self) -> str:
        """The listener's name, for Twisted's lines about ports."""
        return self.name


class CannotListen(Exception):
    """An endpoint cannot be had; the text names cause and remedy in one line."""


class Listeners(Service):
    """
    The listeners of one service: they listen when it starts; when it stops they close and sessions are drained.

    :param reactor: listens.
    :param datagrams: UDP endpoints of the same service.
    :ivar gate: keeps connections from taking every descriptor; set before listening.
    :ivar sockets: those that ``systemd:`` endpoints name; set before listening.
    :ivar trusted: the load balancers of ``proxied:`` endpoints; set before listening.
    :ivar chores: what the service has to have done every hour, by one process only; each may raise a Refusal.
    """

    gate: Gate | None = None
    sockets: Sequence[Inherited] = ()
    trusted: Sequence[Network] = ()
    chores: Sequence[Callable[[], Coroutine[Any, Any, object]]] = ()

    def __init__(
        self, reactor: Any, listeners: Sequence[Listener], datagrams: Sequence[DatagramListener] = ()
    ) -> None:
        self._reactor = reactor
        self.listeners = tuple(listeners)
        self.datagrams = tuple(datagrams)
        self._ports: list[tuple[AnyListener, Any]] = []
        self._doors: dict[Any, Door] = {}

    async def listen(self) -> None:
        """
        Listen on every endpoint, or on none.

        :raises CannotListen: naming the endpoint and the reason.
        """
        try:
            await self._listen()
        except CannotListen:
            await self.unlisten()
            raise

    async def _listen(self) -> None:
        for listener in self.everything:
            self._ports.append((listener, await self.open(listener)))

    async def open(self, listener: AnyListener) -> Any:
        """
        Listen on one endpoint; the port is the caller's until it is given to :meth:`hold`.

        :raises CannotListen: naming the endpoint and the reason.
        """
        try:
            port = await self._open(listener)
        except CannotListenError as error:
            raise CannotListen(explain(listener, error)) from error
        except ValueError as error:
            raise CannotListen(f"{listener.name}: cannot listen on {listener.endpoint!r}: {error}") from error
        if self.gate is not None:
            self.gate.watch(port)
        return port

    async def _open(self, listener: AnyListener) -> Any:
        endpoint = listener.endpoint.removeprefix(PROXIED)
        given = chosen(endpoint, self.sockets) if endpoint.startswith("systemd:") else None
        if isinstance(listener, DatagramListener):
            if given is not None:
                return adopt_datagrams(self._reactor, given, listener.server)
            return listen_datagrams(self._reactor, listener.endpoint, listener.server)
        door = Door(listener.name, self._behind(listener))
        port = adopt(self._reactor, given, door) if given else await listen(self._reactor, endpoint, door)
        self._doors[port] = door
        return port

    def _behind(self, listener: Listener) -> ServerFactory | ProxyFactory:
        """What makes a listener's protocols."""
        if listener.endpoint.startswith(PROXIED):
            return ProxyFactory(listener.factory, self.trusted)
        return listener.factory

    @property
    def everything(self) -> Sequence[AnyListener]:
        """All listeners, those of datagrams last."""
        return (*self.listeners, *self.datagrams)

    @property
    def ports(self) -> Sequence[tuple[AnyListener, Any]]:
        """What is open now, in the order of the listeners."""
        return tuple(self._ports)

    def take(self, listener: AnyListener, port: Any, old: Listeners) -> None:
        """Have whoever comes at a port of another service object from now on; who is connected stays with that."""
        if isinstance(listener, DatagramListener):
            # What the old server is still asked answers through the same port; it is bounded and ends by itself.
            listener.server.makeConnection(port)
            port.protocol = listener.server
        else:
            door = self._doors[port] = old._doors.pop(port)
            if isinstance(door.factory, ProxyFactory):
                # Those whose header is not whole yet are the new service's as well.
                door.factory.factory, door.factory.trusted = listener.factory, tuple(self.trusted)
            else:
                door.factory = listener.factory

    def hold(self, ports: Sequence[tuple[AnyListener, Any]]) -> None:
        """Have these ports from now on, in place of those there were; nothing is opened or closed."""
        self._ports = list(ports)

    def bind(self) -> None:
        """
        Listen at once, before the reactor runs, but leave connections waiting in the kernel until :meth:`release`.

        For a daemon that binds low ports before it gives up privileges and opens its stores.

        :raises CannotListen: (as :meth:`listen`) what was bound before stays bound; the process is to end.
        """
        found: list[Any] = []
        Deferred.fromCoroutine(self._listen()).addBoth(found.append)
        if not found:
            raise CannotListen("an endpoint does not listen at once; use tcp:, tcp6:, unix: or systemd:")
        if isinstance(found[0], Failure):
            found[0].raiseException()
        for _, port in self._ports:
            port.stopReading()

    def release(self) -> None:
        """Let those in that wait since :meth:`bind`."""
        for _, port in self._ports:
            port.startReading()

    async def unlisten(self) -> None:
        """Close the ports; sessions go on."""
        ports, self._ports = self._ports, []
        for _, port in ports:
            await self.shut(port)

    async def shut(self, port: Any) -> None:
        """Close one port; sessions go on."""
        self._doors.pop(port, None)
        await _maybe(port.stopListening())

    @property
    def listening(self) -> Sequence[Listening]:
        """What listens where, in the order of the listeners."""
        return [describe(listener, port) for listener, port in self._ports]

    def stopService(self) -> Deferred[None]:
        """Close the ports, then let sessions finish."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.unlisten()
        factories = {id(listener.factory): listener.factory for listener in self.listeners}
        await gather([factory.drain() for factory in factories.values()])


@lru_cache(maxsize=64)
def _parsed(endpoint: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """Twisted's reading of an endpoint string, which takes an octet at a time; tests listen at the same ones again and again."""
    words, options = _parse(endpoint)
    return tuple(words), MappingProxyType(options)


async def listen(reactor: Any, endpoint: str, factory: Factory) -> Any:
    """
    An ``IListeningPort`` for an endpoint string.

    :raises ValueError: it is no endpoint string.
    """
    words, options = _parsed(endpoint)
    if words[0] in ("tcp", "tcp6") and len(words) == 2:
        interface = options.get("interface", "" if words[0] == "tcp" else "::")
        backlog = int(options.get("backlog", BACKLOG))
        own = getattr(reactor, "listen_stream", None)
        if own is not None:
            return own(int(words[1]), factory, interface)
        return listen_tcp(reactor, int(words[1]), factory, interface.replace("\\:", ":"), backlog)
    try:
        parsed = serverFromString(reactor, endpoint)
    except (TypeError, LookupError) as error:
        raise ValueError("not an endpoint: arguments are missing, or its kind is not known") from error
    return await parsed.listen(factory)


def describe(listener: AnyListener, port: Any) -> Listening:
    """One row of the table of services."""
    address = port.getHost()
    tls = "none"
    if isinstance(listener, Listener):
        factory = listener.factory
        starts = factory.offers_tls and factory.site.has_tls
        tls = "implicit" if factory.implicit_tls else "starttls" if starts else "none"
    host = getattr(address, "host", None) or os.fsdecode(getattr(address, "name", None) or "")
    return Listening(listener.name, host, int(getattr(address, "port", 0)), tls)


def explain(listener: AnyListener, error: CannotListenError) -> str:
    """Why an endpoint cannot be had, and what to do, in one line."""
    reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
    where = f"{error.interface or 'any'}:{error.port}"
    if isinstance(error.port, (str, bytes)):
        where = os.fsdecode(error.port)
    remedy = {
        13: "ports below 1024 need CAP_NET_BIND_SERVICE or socket activation; use a port of 1024 or above",
        98: "stop what listens there, or choose another port",
        99: "the address is not one of this machine's; choose another interface",
    }.get(getattr(error.socketError, "errno", 0), "choose another endpoint")
    return f"{listener.name}: cannot listen on {where}: {reason}; {remedy}"


async def _maybe(result: Any) -> None:
    await (result if isinstance(result, Deferred) else succeed(result))
