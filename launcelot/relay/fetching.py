"""
Fetching an MTA-STS policy over HTTPS.  RFC 8461 section 3.3.

The server's certificate is verified for its name, redirections are not followed, and the DNS leads nowhere that mail may not go
either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from launcelot.hosting.tls import BadCertificate, client_tls
from launcelot.relay.policies import NotFetched
from launcelot.relay.resolver import NoAnswer, NoSuchName

HTTPS = 443

MOST = 65_536
"""Octets of a policy.  RFC 8461 section 3.3 wants a limit such as this."""

HEADER = 65_536
"""Octets of its header, and of what else is around it."""

LIMIT = 60.0
"""Seconds for one policy in all.  RFC 8461 section 3.3."""

CONNECT = 15.0
"""Seconds for a connection to one address."""

ADDRESSES = 4
"""Addresses that are tried."""


class Addresses(Protocol):
    """What is used of a resolver."""

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of a host."""


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class OneAddress:
    """
    Connects to one address, with TLS for a name.

    :param tls: that verifies.
    """

    def __init__(self, reactor: Any, address: str, port: int, tls: Any) -> None:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        self._endpoint: Any = wrapClientTLS(tls, kind(reactor, address, port, CONNECT))
        self._connected: list[Any] = []

    def endpointForURI(self, uri: Any) -> Any:
        """Always this one."""
        return self

    def connect(self, protocolFactory: Any) -> Any:
        """Connect, and remember it."""
        return self._endpoint.connect(protocolFactory).addCallback(self._remember)

    def _remember(self, protocol: Any) -> Any:
        self._connected.append(protocol)
        received, left = protocol.dataReceived, MOST + HEADER

        def counted(data: bytes) -> None:
            # Twisted keeps as many fields of a header as there are.
            nonlocal left
            left -= len(data)
            if left < 0:
                protocol.transport.abortConnection()
            else:
                received(data)

        protocol.dataReceived = counted
        return protocol

    def end(self) -> None:
        """Cut what is still connected, whatever the server would like."""
        for one in self._connected:
            if one.transport is not None:
                one.transport.abortConnection()


class Collected(TwistedProtocol):
    """
    A body in memory, up to a limit.

    :ivar whole: fires with the octets, or fails with :class:`NotFetched`.
    """

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred()
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """Keep it, if it is not too much."""
        self._size += len(data)
        if self._size <= MOST:
            self._pieces.append(data)
        elif not self.whole.called:
            self.whole.errback(NotFetched(f"it is larger than {MOST} octets"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end, or too early."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(NotFetched("it broke off"))


class HttpsFetch:
    """
    A :data:`~launcelot.relay.policies.Fetch`.

    :param may_reach: whether the DNS may lead to an address.
    :param ca_file: PEM of the authorities to trust; None for those of the system.
    :param port: 0 for that of HTTPS.
    """

    def __init__(
        self, reactor: Any, resolver: Addresses, may_reach: Callable[[str], bool], ca_file: Path | None, port: int = 0
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._may_reach = may_reach
        self._ca_file = ca_file
        self._port = port or HTTPS

    async def __call__(self, domain: str) -> str:
        """
        The policy of a domain.

        :raises NotFetched: it cannot be had.
        """
        fetching = Deferred.fromCoroutine(self._fetch(f"mta-sts.{domain}"))
        fetching.addTimeout(LIMIT, self._reactor)
        try:
            return await fetching
        except DeferredTimeout:
            raise NotFetched(f"mta-sts.{domain} takes longer than {LIMIT:g} seconds") from None

    async def _fetch(self, host: str) -> str:
        try:
            tls = client_tls(host, self._ca_file)
            found = [one for one in await self._resolver.addresses(host) if self._may_reach(one)]
        except (NoSuchName, NoAnswer, BadCertificate) as error:
            raise NotFetched(f"{host}: {error or 'does not exist'}") from error
        problem = f"{host} has no public address"
        for address in found[:ADDRESSES]:
            place = OneAddress(self._reactor, address, self._port, tls)
            try:
                return await self._ask(host, place)
            except ConnectError as error:
                problem = f"{host} [{address}] cannot be reached: {error}"
            finally:
                place.end()
        raise NotFetched(problem)

    async def _ask(self, host: str, place: OneAddress) -> str:
        agent = Agent.usingEndpointFactory(self._reactor, place)
        headers = Headers({b"User-Agent": [b"Launcelot"], b"Accept": [b"text/plain"]})
        url = f"https://{host}/.well-known/mta-sts.txt".encode("ascii")
        try:
            response = await agent.request(b"GET", url, headers)
        except ResponseFailed as failed:
            reasons = "; ".join(dict.fromkeys(one.getErrorMessage() for one in failed.reasons))
            raise NotFetched(f"{host}: {reasons}") from failed
        collected = Collected()
        response.deliverBody(collected)
        octets = await collected.whole
        kind = (response.headers.getRawHeaders(b"content-type") or [b""])[0].partition(b";")[0].strip().lower()
        if response.code != 200:
            raise NotFetched(f"{host} answers with {response.code}")
        if kind != b"text/plain":
            raise NotFetched(f"{host} sends {kind.decode('ascii', 'replace')!r} in place of text/plain")
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            raise NotFetched(f"{host} sends what is no text") from None
