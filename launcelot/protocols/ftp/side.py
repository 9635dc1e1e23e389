"""
The server's side of data connections: one listener or one address at a time, one connection for each transfer.

A connection is taken only from, and made only to, the host of the control connection (RFC 2577 sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError

from launcelot.hosting.doorstep import Doorstep
from launcelot.protocols.ftp.data import UNPACED, ActiveFactory, DataConnection, PassiveFactory
from launcelot.protocols.ftp.grammar import IPV4, IPV6
from launcelot.protocols.ftp.session import NoChannel, NotResumed

if TYPE_CHECKING:
    from launcelot.hosting.site import Site


def passive_ports(text: str) -> range:
    """
    The ports that a setting such as ``40000-40100`` means; none for an empty one.

    :raises ValueError: it is written otherwise.
    """
    if not text:
        return range(0)
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and 1024 <= int(first) <= int(last) <= 65_535):
        raise ValueError(f"passive_ports is {text!r}; write it as 40000-40100, with ports from 1024 to 65535")
    return range(int(first), int(last) + 1)


class Advertised:
    """
    What address a 227 tells whom.

    :param usual: for those that no network holds; empty for the one they connected to.
    :param by_network: such as ``192.168.0.0/16=192.168.1.5``; the first that holds the peer counts, and without an address behind
        it the peer is told the one it connected to.
    :raises ValueError: one is written otherwise, or is no address that peers could connect to.
    """

    def __init__(self, usual: str = "", by_network: Sequence[str] = ()) -> None:
        self._usual = passive_address(usual)
        self._by_network = [_network_and_address(text) for text in by_network]

    def to(self, peer: str) -> str:
        """What to tell a peer; empty for the address it connected to."""
        if self._by_network:
            try:
                address = ip_address(plain_host(peer))
            except ValueError:
                return self._usual
            for network, told in self._by_network:
                if address in network:
                    return told
        return self._usual


def passive_addresses(given: Sequence[str]) -> None:
    """
    Check what ``passive_addresses`` is set to.

    :raises ValueError: see :class:`Advertised`.
    """
    Advertised("", given)


def _network_and_address(text: str) -> tuple[IPv4Network | IPv6Network, str]:
    network, equals, address = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return ip_network(network), passive_address(address)
    except ValueError:
        raise ValueError(
            f"passive_addresses has {text!r}; write 192.168.0.0/16=192.168.1.5, or none behind = for the one they connect to"
        ) from None


def passive_address(text: str) -> str:
    """
    The address that a setting means; empty for none.

    :raises ValueError: it is no IPv4 address that peers could connect to.
    """
    if text and (not isIPAddress(text) or text == "0.0.0.0"):
        raise ValueError(f"passive_address is {text!r}; write the IPv4 address at which peers reach this machine")
    return text


def plain_host(host: str) -> str:
    """A host without the wrapping of IPv4 in IPv6, for comparing and telling."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host.partition("%")[0]


class ServerDataSide:
    """
    The data connections of one control connection; see :class:`launcelot.protocols.ftp.session.DataSide`.

    :param host: our address on the control connection.
    :param peer: the peer's.
    :param address: what a 227 tells instead of ``host``; empty for ``host``.
    :param ports: passive ports; empty lets the system choose.
    :param connect: seconds for a connection, and for its TLS.
    :param must_resume: TLS has to resume a session; which ones can be is the context's business.
    """

    def __init__(
        self,
        site: Site,
        host: str,
        peer: str,
        address: str = "",
        ports: range = range(0),
        connect: float = 30.0,
        stall: float = 120.0,
        must_resume: bool = False,
    ) -> None:
        self._site = site
        self._host = host
        self._peer = peer
        self._address = address
        self._ports = ports
        self._connect = connect
        self._stall = stall
        self._must_resume = must_resume
        self._port: Any = None
        self._closed: Deferred[None] = succeed(None)
        self._aim: tuple[str, int] | None = None
        self._connector: Any = None
        self._connection: DataConnection | None = None
        self._waiter: Deferred[None] | None = None
        self._why = ""
        self.pace = UNPACED

    # -- what commands ask ---------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a transfer may begin."""
        return self._port is not None or self._aim is not None or self._connection is not None

    @property
    def family(self) -> int:
        """The control connection's address family."""
        host = plain_host(self._host)
        return IPV6 if ":" in host else IPV4 if "." in host else 0

    def is_peer(self, host: str) -> bool:
        """Whether a host is the peer's."""
        return plain_host(host) == plain_host(self._peer)

    def aim(self, host: str, port: int) -> None:
        """Connect there for the next transfer."""
        self.drop()
        self._aim = (host, port)

    async def listen(self, extended: bool) -> tuple[str, int]:
        """Listen on a new port; the one before is closed."""
        told = self._address or plain_host(self._host)
        if self.family == 0 or (not extended and ":" in told):
            raise NoChannel("This address cannot be told here, use EPSV.")
        self.drop()
        # Its port is free a turn later; without waiting, thousands of PASV in one segment hold a port each.
        await self._closed
        self._port = self._listen()
        return told, int(self._port.getHost().port)

    def _listen(self) -> Any:
        start = self._site.random_bits(16) % len(self._ports) if self._ports else 0
        for step in range(len(self._ports) or 1):
            number = self._ports[(start + step) % len(self._ports)] if self._ports else 0
            try:
                return self._listen_on(number)
            except CannotListenError:
                continue
        self._site.counters.add("ftp.data.no_port")
        raise NoChannel("No port is free, try again later.")

    def _listen_on(self, number: int) -> Any:
        reactor = self._site.reactor
        own = getattr(reactor, "listen_stream", None)
        if own is not None:
            return own(number, PassiveFactory(self), self._host)
        return Doorstep(reactor, self._host, number, PassiveFactory(self))

    def drop(self) -> None:
        """Close listener and connection, and forget the address."""
        self.abort("the transfer was aborted")

    def abort(self, words: str) -> None:
        """Cut the connection, or stop waiting for one; whoever waits is told ``words``."""
        self._aim = None
        self._unlisten()
        connector, self._connector = self._connector, None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort(words)
            if connector is not None and not connection.made:
                connector.stopConnecting()
        self._refuse(words)

    # -- connections ---------------------------------------------------------------------------------------------

    def arriving(self, host: str) -> DataConnection | None:
        """Somebody connects to the listener; None turns them away."""
        if not self.is_peer(host) or self._port is None:
            self._site.counters.add("ftp.data.stranger")
            return None
        self._unlisten()
        return self._make()

    async def open(self, context: Any, only_receives: bool = False) -> DataConnection:
        """
        The data connection for a transfer, inside TLS if a context is given.

        :param only_receives: nothing will be sent on it.
        :raises NoChannel: none came, none could be made, or TLS could not be started.
        :raises NotResumed: TLS was to resume the control connection's session and did not.
        """
        self._why = ""
        if self._aim is not None:
            (host, port), self._aim = self._aim, None
            factory = ActiveFactory(self._make(), self._failed)
            source = (self._host, 0)
            self._connector = self._site.reactor.connectTCP(host, port, factory, self._connect, source)
        connection = await self._arrived()
        connection.begin(context, only_receives=only_receives)
        await connection.handshake(self._connect)
        if context is not None:
            self._check_session(connection)
        return connection

    def _check_session(self, connection: DataConnection) -> None:
        resumed = connection.resumed
        self._site.counters.add("ftp.data.tls.resumed" if resumed else "ftp.data.tls.new")
        if self._must_resume and not resumed:
            self._site.counters.add("ftp.data.tls.refused")
            self._connection = None
            connection.dismiss()
            raise NotResumed("Resume the TLS session of the control connection on data connections.")

    def done(self) -> None:
        """The transfer is over: what is left of its connection is cut."""
        connection, self._connection = self._connection, None
        self._connector = None
        if connection is not None:
            connection.abort("the transfer is over")

    async def _arrived(self) -> DataConnection:
        if self._connection is None and isinstance(self._port, Doorstep):
            # Most clients have connected by now.  Without a wait the replies before and behind a short transfer leave as one.
            self._port.doRead()
        if self._connection is None or not self._connection.made:
            late = self._site.clock.callLater(self._connect, self.abort, "The data connection was not opened in time.")
            waiter = self._waiter = Deferred()
            try:
                await waiter
            finally:
                if late.active():
                    late.cancel()
        if self._connection is None:
            raise NoChannel(self._why)
        return self._connection

    def _make(self) -> DataConnection:
        connection = DataConnection(self._site.clock, self._site.deadlines, self._stall)
        connection.pace = self.pace
        connection.on_made = self._wake
        self._connection = connection
        return connection

    def _failed(self) -> None:
        self._connector = None
        self._connection = None
        self._refuse("The data connection was refused.")

    def _refuse(self, why: str) -> None:
        self._why = why
        self._wake()

    def _unlisten(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            self._closed = maybeDeferred(port.stopListening)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)
