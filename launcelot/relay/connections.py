"""
Connections to other hosts: made, secured, logged in, kept for the next message, and closed when there is none.

A connection that waits for its next message may end at any time, so a mail that fails on one is tried again on a fresh one; the
caller does that, as only it knows how far the mail had come.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from zope.interface import implementer

from launcelot.hosting.calling import CallError, connect
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.gather import outcomes
from launcelot.hosting.tls import BadCertificate, client_tls
from launcelot.protocols.smtp.client import SmtpClient, SmtpClientFactory, Timeouts
from launcelot.protocols.smtp.failures import LoginRefused, NotSendable, SmtpError, TlsFailed
from launcelot.relay.dane import DaneTls
from launcelot.relay.demands import Demand, Unmet, Unusable, Wish
from launcelot.relay.hosts import Target, is_numeric
from launcelot.relay.routes import Route, Tls
from launcelot.relay.settings import RelaySettings
from launcelot.workers.interface import Workers

KNOWN_HOSTS = 100
"""Hosts whose TLS contexts are kept; making one reads all authorities."""

FINISH = 5.0
"""Seconds that transactions have to end in when we stop."""


class Loop(Unusable):
    """The host is this one."""


@implementer(IOpenSSLClientConnectionCreator)
class AnyCertificate:
    """
    TLS with whoever is there: better than none, and no proof of who it is.

    :param hostname: told to the server (SNI) unless it is an address.
    :param context: that verifies nobody.
    """

    def __init__(self, hostname: str, context: SSL.Context) -> None:
        self._hostname = hostname
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """A fresh connection."""
        connection = SSL.Connection(self._context, None)
        if not is_numeric(self._hostname):
            connection.set_tlsext_host_name(self._hostname.encode("ascii", "ignore"))
        return connection


@dataclass(slots=True, eq=False)
class Link:
    """
    One connection.

    :ivar sent: messages.
    """

    client: SmtpClient
    target: Target
    demand: Demand
    sent: int = 0
    waiting: IDelayedCall | None = None

    @property
    def protects(self) -> bool:
        """Whether it may carry mail with ``REQUIRETLS``.  RFC 8689 section 4.2.1."""
        return self.demand.protects and self.client.secure and "REQUIRETLS" in self.client.offers

    @property
    def is_used(self) -> bool:
        """Whether it has carried a message before."""
        return self.sent > 0


class Connections:
    """
    All connections to other hosts.

    :param reactor: for connecting, and the clock.
    :param hostname: ours.
    :param workers: where passwords are hashed.
    """

    log = Logger(namespace="launcelot.relay")

    def __init__(
        self,
        reactor: Any,
        deadlines: Deadlines,
        hostname: str,
        settings: RelaySettings,
        workers: Workers | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._reactor = reactor
        self._deadlines = deadlines
        self._hostname = hostname
        self._settings = settings
        self._workers = workers
        self._timeouts = timeouts
        self._idle: dict[str, list[Link]] = {}
        self._busy: set[Link] = set()
        self._leaving: dict[Link, Deferred[None]] = {}
        self._connecting: set[Deferred[Any]] = set()
        self._any: SSL.Context | None = None
        self._verifying: dict[str, Any] = {}
        self._closing = False
        self._quiet: list[Deferred[None]] = []

    # -- using one -----------------------------------------------------------------------------------------------

    def idle(self, destination: str, protects: bool = False) -> Link | None:
        """
        A connection that is there already.

        :param protects: only one that may carry mail with ``REQUIRETLS``.
        """
        waiting = self._idle.get(destination, [])
        found: Link | None = None
        for link in [one for one in reversed(waiting) if one.protects or not protects]:
            if found is not None:
                break
            waiting.remove(link)
            if link.waiting is not None and link.waiting.active():
                link.waiting.cancel()
            if link.client.is_alive:
                found = link
            else:
                link.client.abort()
        if not waiting:
            self._idle.pop(destination, None)
        if found is not None:
            self._busy.add(found)
        return found

    async def open(self, route: Route, target: Target, demand: Demand) -> Link:
        """
        A new connection, ready for a message.

        :param demand: what it has to show.
        :raises Unusable: it cannot be had.
        :raises Loop: the host is this one.
        """
        try:
            client = await self._open(route, target, demand)
        except TlsFailed as error:
            if demand.tls is not Tls.OPPORTUNISTIC:
                raise not_shown(target, demand, error) from error
            self.log.info("{target}: TLS fails, going on in clear: {reason}", target=str(target), reason=str(error))
            client = await self._again(target, route)
        link = Link(client, target, demand)
        if demand.wish is Wish.REQUIRED and not link.protects:
            client.abort()
            raise Unmet("5.7.30", f"{target}: does not offer REQUIRETLS, which the mail demands", target.host)
        self._busy.add(link)
        return link

    async def _again(self, target: Target, route: Route) -> SmtpClient:
        try:
            return await self._open(route, target, Demand(Tls.NONE))
        except TlsFailed as error:
            raise Unusable("4.7.5", f"{target}: {error}") from error

    async def _open(self, route: Route, target: Target, demand: Demand) -> SmtpClient:
        if self._closing:
            raise Unusable("4.3.2", "the server is stopping")
        client = await self._connect(target, self._context(target, demand) if demand.tls is Tls.IMPLICIT else None)
        try:
            await self._greet(client, route, target, demand)
        except TlsFailed:
            client.abort()
            raise
        except SmtpError as error:
            client.abort()
            reply = getattr(error, "reply", None)
            said = "" if reply is None else f"{reply.code} {reply.enhanced} {reply.text}"
            status = "4.7.8" if isinstance(error, LoginRefused) else "4.4.2"
            raise Unusable(status, f"{target}: {error}", target.host, said) from error
        except BaseException:
            client.abort()
            raise
        return client

    async def _connect(self, target: Target, implicit: Any) -> SmtpClient:
        factory = SmtpClientFactory(
            self._reactor, self._deadlines, self._hostname, self._timeouts, implicit_tls=implicit, workers=self._workers
        )
        connecting = Deferred.fromCoroutine(connect(self._endpoint(target), factory))
        self._connecting.add(connecting)
        try:
            client: SmtpClient = await connecting
        except CallError as error:
            raise Unusable("4.4.1", f"{target}: {error or type(error).__name__}") from error
        except (CancelledError, ConnectingCancelledError):
            raise Unusable("4.3.2", "the server is stopping") from None
        finally:
            self._connecting.discard(connecting)
        return client

    def _endpoint(self, target: Target) -> Any:
        limit = self._settings.connect_timeout
        if not is_numeric(target.address):
            return HostnameEndpoint(self._reactor, target.address, target.port, limit)
        kind = TCP6ClientEndpoint if ":" in target.address else TCP4ClientEndpoint
        return kind(self._reactor, target.address, target.port, limit)

    async def _greet(self, client: SmtpClient, route: Route, target: Target, demand: Demand) -> None:
        offers = await client.hello()
        if not route.host and offers.name == self._hostname.lower():
            raise Loop("5.4.6", f"{target} is this host")
        tls = demand.tls
        if tls in (Tls.REQUIRED, Tls.VERIFIED, Tls.DANE) or (tls is Tls.OPPORTUNISTIC and "STARTTLS" in offers):
            context = self._context(target, demand)
            await client.secure_with(context)
            if isinstance(context, DaneTls) and not context.shown:
                raise TlsFailed("the certificate was not looked at")
        if route.user and route.password_file is not None:
            await client.log_in(route.user, self._password(route.password_file), in_clear=tls is Tls.NONE)

    def _context(self, target: Target, demand: Demand) -> Any:
        if demand.tls is Tls.DANE:
            return DaneTls(demand.records, demand.names)
        if not demand.tls.proves:
            if self._any is None:
                self._any = CertificateOptions().getContext()
            return AnyCertificate(target.host, self._any)
        known = self._verifying.get(target.host)
        if known is None:
            try:
                known = client_tls(target.host, Path(self._settings.ca_file) if self._settings.ca_file else None)
            except BadCertificate as bad:
                raise TlsFailed(str(bad)) from bad
            if len(self._verifying) >= KNOWN_HOSTS:
                self._verifying.clear()
            self._verifying[target.host] = known
        return known

    def _password(self, file: Path) -> str:
        try:
            return file.read_text("utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            self.log.error("cannot read the password in {path}: {reason}", path=str(file), reason=str(error))
            raise NotSendable("AUTH", "the password for this route cannot be read", "4.7.0") from error

    def give_back(self, destination: str, link: Link, in_order: bool) -> None:
        """
        A message has been sent, or not.

        :param in_order: the connection can be used again.
        """
        self._busy.discard(link)
        link.sent += 1
        settings = self._settings
        kept = settings.idle > 0 and link.sent < settings.messages_per_connection and link.demand.wish is not Wish.OPTIONAL
        if not (in_order and link.client.is_alive):
            link.client.abort()
        elif self._closing or not kept:
            self._say_goodbye(link)
        else:
            link.waiting = self._reactor.callLater(settings.idle, self._expire, destination, link)
            self._idle.setdefault(destination, []).append(link)
        self._perhaps_quiet()

    def _expire(self, destination: str, link: Link) -> None:
        waiting = self._idle.get(destination, [])
        waiting.remove(link)
        if not waiting:
            del self._idle[destination]
        self._say_goodbye(link)

    def _say_goodbye(self, link: Link) -> None:
        leaving = Deferred.fromCoroutine(link.client.quit())
        if not leaving.called:
            self._leaving[link] = leaving
            leaving.addBoth(self._left, link)

    def _left(self, _result: object, link: Link) -> None:
        del self._leaving[link]

    # -- stopping ------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Connections that are open."""
        return len(self._busy) + len(self._leaving) + sum(map(len, self._idle.values()))

    async def close(self) -> None:
        """Make no more, let transactions end for a while, and cut what then is left."""
        self._closing = True
        for connecting in list(self._connecting):
            connecting.cancel()
        idle = [link for links in self._idle.values() for link in links]
        self._idle.clear()
        for link in idle:
            if link.waiting is not None and link.waiting.active():
                link.waiting.cancel()
            self._say_goodbye(link)
        cut = self._reactor.callLater(FINISH, self._cut)
        if self._busy:
            quiet: Deferred[None] = Deferred()
            self._quiet.append(quiet)
            await quiet
        await outcomes(list(self._leaving.values()))
        if cut.active():
            cut.cancel()

    def _cut(self) -> None:
        for link in [*self._busy, *self._leaving]:
            link.client.abort()

    def _perhaps_quiet(self) -> None:
        if not self._busy:
            waiting, self._quiet = self._quiet, []
            for quiet in waiting:
                quiet.callback(None)


def not_shown(target: Target, demand: Demand, error: TlsFailed) -> Unusable:
    """What becomes of a host that does not show what is demanded of it."""
    why = f" (demanded by {demand.why})" if demand.why else ""
    if demand.wish is Wish.REQUIRED:
        return Unmet("5.7.10", f"{target}: {error}{why}", target.host)
    return Unusable(TLS_PROBLEM.get(demand.tls, "4.7.5"), f"{target}: {error}{why}", target.host)


TLS_PROBLEM = {Tls.REQUIRED: "4.7.10", Tls.VERIFIED: "4.7.5", Tls.IMPLICIT: "4.7.5"}
"""What is said of a host that does not do what a route demands."""
