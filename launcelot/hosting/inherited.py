"""
Sockets that we were started with: those of systemd's socket activation, sd_listen_fds(3), and inetd's.

Those that listen are given to us bound, so low ports need no privilege, and connections wait in them while the daemon starts or
is restarted.  We never shut them down, and never remove the path of one that is a Unix socket: it is systemd's.

Twisted's own ``systemd:`` endpoints close what they were given, keep one socket for each name, remove paths, and answer a
turn later; so these are ours.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import _parse
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import DatagramProtocol, Factory

from launcelot.hosting.datagrams import MAX_DATAGRAM, FairPort
from launcelot.hosting.transport import BACKLOG, EagerPort, EagerServer

TURN = 0.005
"""Seconds that other processes have for taking a peer."""

EAGER = 0.25
"""Seconds for which everybody is taken when they did not."""

FIRST = 3
"""The descriptor of the first socket."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """
    One socket.

    :ivar name: ``FileDescriptorName=`` of its unit, which is the unit's name where it has none.
    :ivar port: 0 for Unix sockets.
    :ivar connected: whether it is a connection, as inetd hands over, and does not listen.
    :ivar shared: whether other processes serve it, too.
    """

    descriptor: int
    name: str
    family: int
    kind: int
    port: int = 0
    connected: bool = False
    shared: bool = False

    @property
    def is_datagram(self) -> bool:
        """Whether it is one of UDP."""
        return self.kind == socket.SOCK_DGRAM


def environment_at_start() -> Mapping[str, str]:
    """This process's environment as it began; Twisted takes out of the present one what concerns sockets."""
    try:
        pairs = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return os.environ
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in (pair.partition(b"=") for pair in pairs)}


def inherited(environment: Mapping[str, str], process: int) -> Sequence[Inherited]:
    """
    The sockets that were handed to a process; none of them reaches its children.

    :param environment: that at its start.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(process) or not count.isdecimal():
        return ()
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (int(count) - len(names))
    found = (look(FIRST + number, names[number]) for number in range(int(count)))
    return [one for one in found if one is not None]


def look(descriptor: int, name: str) -> Inherited | None:
    """What a descriptor is; None where it is no socket of a kind that we serve."""
    try:
        given = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return None
    with given:
        if given.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            return None
        os.set_inheritable(descriptor, False)
        os.set_blocking(descriptor, False)
        port = 0 if given.family == socket.AF_UNIX else int(given.getsockname()[1])
        listens = bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        return Inherited(descriptor, name, given.family, given.type, port, given.type == socket.SOCK_STREAM and not listens)


def chosen(endpoint: str, sockets: Sequence[Inherited]) -> Inherited:
    """
    The socket that a ``systemd:`` endpoint means.

    :param endpoint: with ``name=`` or ``index=``, in Twisted's syntax; a family in it is not needed.
    :raises ValueError: there is none; the text is cause and remedy.
    """
    _, options = _parse(endpoint)
    index, name = options.get("index", ""), options.get("name", "")
    if bool(index) == bool(name):
        raise ValueError("give name= or index=")
    if index.isdecimal() and int(index) < len(sockets):
        return sockets[int(index)]
    for one in sockets:
        if name and one.name == name:
            return one
    raise ValueError("no such socket was handed to us; start the socket unit")


def adopt(reactor: Any, given: Inherited, factory: Factory) -> Any:
    """
    Listen on a socket for connections; the port has a descriptor of its own.

    :raises ValueError: it is one of datagrams.
    """
    if given.is_datagram:
        raise ValueError("the socket is one of datagrams; let the unit have it with ListenStream=")
    port: Any
    if given.connected:
        return OneConnection(reactor, given, factory)
    if given.family == socket.AF_UNIX:
        path: Any = SharedUnixPort if given.shared else InheritedUnixPort
        port = path._fromListeningDescriptor(reactor, given.descriptor, factory)
    else:
        kind: Any = SharedPort if given.shared else EagerPort
        port = kind._fromListeningDescriptor(reactor, given.descriptor, given.family, factory)
    port.startListening()
    return port


def adopt_datagrams(reactor: Any, given: Inherited, server: DatagramProtocol) -> Any:
    """
    Listen on a socket for datagrams.

    :raises ValueError: it is one of connections.
    """
    if not given.is_datagram:
        raise ValueError("the socket is one of connections; let the unit have it with ListenDatagram=")
    make: Any = FairPort._fromListeningDescriptor
    port = make(reactor, given.descriptor, given.family, server, MAX_DATAGRAM)
    port.startListening()
    return port


class InheritedUnixPort(unix.Port):
    """A Unix socket whose path and mode are somebody else's."""

    def startListening(self) -> None:
        """Listen, and leave the mode as it is."""
        self.backlog = BACKLOG
        self._shouldShutdown = False
        path = self._bindPath
        if path and path[:1] != b"\0":
            self.mode = stat.S_IMODE(os.stat(path).st_mode)
        super().startListening()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Any) -> None:
        """Close, and leave the path."""
        tcp.Port.connectionLost(self, reason)


class OneAtATime:
    """
    A port that takes one peer in each event, so that those who come together are spread over the processes that share it.

    Twisted's ports take as many as they can, and more the next time.  A process that has more than its share of connections
    lets the others go first, for :data:`TURN`; who still waits then is taken, and for :data:`EAGER` everybody, as the others may
    be stuck.

    :ivar ahead: whether we have more than our share.
    """

    ahead: Callable[[], bool] = staticmethod(lambda: False)
    _pressing_until = 0.0
    _eager_until = 0.0

    def doRead(self) -> None:
        """Take a peer, or let others do so."""
        port: Any = self
        now = port.reactor.seconds()
        pressing = now < self._pressing_until
        if not pressing and now >= self._eager_until and self.ahead():
            port.stopReading()
            port.reactor.callLater(TURN, self._end_turn)
            return
        before = port.sessionno
        super().doRead()  # type: ignore[misc]
        if pressing and port.sessionno != before:
            self._eager_until = now + EAGER

    def _end_turn(self) -> None:
        port: Any = self
        if port.connected and not port.disconnecting:
            self._pressing_until = port.reactor.seconds() + TURN
            port.startReading()

    @property
    def numberAccepts(self) -> int:
        """How many peers are taken."""
        return 1

    @numberAccepts.setter
    def numberAccepts(self, wanted: int) -> None:
        """What Twisted would like."""


class SharedPort(OneAtATime, EagerPort):
    """A port for TCP that others serve, too."""


class SharedUnixPort(OneAtATime, InheritedUnixPort):
    """A Unix socket that others serve, too."""


class OneConnection:
    """
    Stands for a port whose only peer is connected already; it is let in when reading starts.

    The descriptor is ours: it is closed with the connection.
    """

    def __init__(self, reactor: Any, given: Inherited, factory: Factory) -> None:
        self._reactor = reactor
        self._given: Inherited | None = given
        self._factory = factory
        with socket.socket(fileno=os.dup(given.descriptor)) as connection:
            name = connection.getsockname()
        self._host: IAddress
        if given.family == socket.AF_UNIX:
            self._host = UNIXAddress(name)
        else:
            self._host = (IPv6Address if given.family == socket.AF_INET6 else IPv4Address)("TCP", *name)

    def getHost(self) -> IAddress:
        """Our own address on the connection."""
        return self._host

    def startReading(self) -> None:
        """Let the peer in; at the first time only."""
        given, self._given = self._given, None
        if given is None:
            return
        if given.family == socket.AF_UNIX:
            unix.Server._fromConnectedSocket(given.descriptor, self._factory, self._reactor)
        else:
            adopted: Any = EagerServer._fromConnectedSocket
            adopted(given.descriptor, given.family, self._factory, self._reactor)
        # The connection has a descriptor of its own.
        os.close(given.descriptor)

    def stopReading(self) -> None:
        """Let nobody in yet: nobody comes by himself."""

    def stopListening(self) -> None:
        """Let nobody in any more."""
        given, self._given = self._given, None
        if given is not None:
            os.close(given.descriptor)
