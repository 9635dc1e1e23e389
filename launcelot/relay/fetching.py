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
from twisted.web.http_headers import Headers

from launcelot.hosting.calling import CallError, Refused, TimedOut, Unreachable
from launcelot.hosting.tls import BadCertificate, client_tls
from launcelot.hosting.web import ask
from launcelot.relay.policies import NotFetched
from launcelot.relay.resolver import NoAnswer, NoSuchName

HTTPS = 443

MOST = 65_536
"""Octets of a policy.  RFC 8461 section 3.3 wants a limit such as this."""

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
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            try:
                return await self._ask(host, wrapClientTLS(tls, kind(self._reactor, address, self._port, CONNECT)))
            except (Refused, TimedOut, Unreachable) as error:
                problem = f"{host} [{address}] cannot be reached: {error}"
            except CallError as error:
                raise NotFetched(f"{host}: {error}") from error
        raise NotFetched(problem)

    async def _ask(self, host: str, endpoint: Any) -> str:
        headers = Headers({b"User-Agent": [b"Launcelot"], b"Accept": [b"text/plain"]})
        answer = await ask(
            self._reactor, endpoint, "GET", f"https://{host}/.well-known/mta-sts.txt", headers, most=MOST
        )
        if answer.code != 200:
            raise NotFetched(f"{host} answers with {answer.code}")
        if answer.kind != "text/plain":
            raise NotFetched(f"{host} sends {answer.kind!r} in place of text/plain")
        try:
            return answer.body.decode("utf-8")
        except UnicodeDecodeError:
            raise NotFetched(f"{host} sends what is no text") from None
