"""
The ways out of a configuration: the relay, where it is switched on, and what goes out beside submitted mail.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from launcelot.accounts.interface import Directory
from launcelot.app.configuration import Configuration
from launcelot.app.naming import hostname_of
from launcelot.checks.signing import Signer
from launcelot.core.counters import Counters
from launcelot.core.errors import NotPermitted
from launcelot.delivery.expanding import behind
from launcelot.delivery.outbound import LocalOutbound, needs_utf8
from launcelot.message.address import Address
from launcelot.message.trace import count_received, tls_is_optional
from launcelot.relay.settings import RelaySettings
from launcelot.spool.forwarding import MIGRATIONS, Forwarding
from launcelot.spool.interface import ELSEWHERE, Envelope, SpoolId, SpoolRecipient
from launcelot.spool.notices import Notices, unsigned
from launcelot.spool.schedule import Schedule
from launcelot.workers.databases import Databases
from launcelot.workers.interface import Workers
from launcelot.workers.staging import Buffer, Staging
from launcelot.workers.trail import NOWHERE, Trail

if TYPE_CHECKING:
    from launcelot.relay.carrier import Relay


def build_relay(
    reactor: Any,
    configuration: Configuration,
    counters: Counters,
    workers: Workers,
    databases: Databases,
    trail: Trail = NOWHERE,
) -> Relay | None:
    """
    The relay of a configuration; None where it is switched off.

    :param workers: where passwords are hashed and large messages looked through.
    :param databases: where it keeps what domains demand.
    :param trail: where it is noted which hosts could not be used.
    """
    settings = configuration.relay
    if not settings.enabled:
        return None
    # twisted.names and what it needs are imported by those only who use them.
    from launcelot.hosting.deadlines import Deadlines
    from launcelot.hosting.proxy import networks
    from launcelot.relay.carrier import Relay
    from launcelot.relay.connections import Connections
    from launcelot.relay.demands import Demands
    from launcelot.relay.hosts import Finder
    from launcelot.relay.policies import MIGRATIONS as POLICIES
    from launcelot.relay.policies import Policies
    from launcelot.relay.resolver import NamesResolver
    from launcelot.relay.routes import parse_routes, server_of

    name = hostname_of(configuration)
    resolver = NamesResolver(reactor, [server_of(one) for one in settings.dns_servers], settings.dnssec)
    finder = Finder(resolver, name, networks(settings.private_networks), settings.port, SystemRandom().getrandbits)
    connections = Connections(reactor, Deadlines(reactor), name, settings, workers)
    policies: Policies | None = None
    if settings.mta_sts:
        fetch = fetching(reactor, resolver, finder.may_reach, Path(settings.ca_file) if settings.ca_file else None)
        policies = Policies(resolver, fetch, databases.get("relay", POLICIES), time.time, counters)
    return Relay(
        settings,
        parse_routes(settings.routes),
        finder,
        Demands(resolver, policies),
        connections,
        reactor,
        counters,
        workers,
        resolver.close,
        trail,
    )


def forwarding_of(configuration: Configuration, databases: Databases) -> Forwarding | None:
    """What rewrites senders; None where nothing is passed on, or as it is."""
    first = configuration.daemon.domains[0]
    # Nobody could answer to an address without a real domain.
    if not (configuration.relay.enabled and configuration.relay.srs and "." in first):
        return None
    return Forwarding(databases.get("forwarding", MIGRATIONS), first, time.time)


def fetching(
    reactor: Any, resolver: Any, may_reach: Callable[[str], bool], ca_file: Path | None
) -> Callable[[str], Awaitable[str]]:
    """What fetches policies; twisted.web is imported with the first one."""

    async def fetch(domain: str) -> str:
        from launcelot.relay.fetching import HttpsFetch

        return await HttpsFetch(reactor, resolver, may_reach, ca_file)(domain)

    return fetch


def schedule_of(settings: RelaySettings) -> Schedule:
    """When to try again."""
    return Schedule(
        longest=settings.longest_retry,
        lifetime=settings.lifetime,
        remote_first=settings.first_retry,
        notice_after=settings.delay_notice,
        chance=SystemRandom().random,
    )


class Addressing:
    """
    Who gets mail for an address: an :class:`~launcelot.spool.interface.Addressees`.

    :param relays: whether mail goes to other hosts.
    :param forwarding: knows the senders of mail that was passed on.
    """

    def __init__(self, accounts: Directory, relays: bool, forwarding: Forwarding | None = None) -> None:
        self._accounts = accounts
        self._relays = relays
        self._forwarding = forwarding

    async def __call__(self, address: Address) -> Sequence[SpoolRecipient]:
        """The accounts behind an address here, the sender that it stands for, or the address itself."""
        if self._forwarding is not None and self._accounts.is_local(address.domain):
            address = self._forwarding.original(address) or address
        if self._accounts.is_local(address.domain):
            found = await self._accounts.expand(address)
            if found.forwards and not self._relays:
                raise NotPermitted("mail does not go to other hosts")
            return behind(SpoolRecipient(ELSEWHERE, address), found)
        if not self._relays:
            raise NotPermitted("mail does not go to other hosts")
        return [SpoolRecipient(ELSEWHERE, address)]


def notices_of(
    configuration: Configuration,
    accounts: Directory,
    new_id: Callable[[], str],
    now: Callable[[], float],
    signer: Signer | None = None,
    forwarding: Forwarding | None = None,
) -> Notices:
    """What tells senders."""
    settings = configuration.relay
    addressees = Addressing(accounts, settings.enabled, forwarding)
    return Notices(
        hostname_of(configuration),
        configuration.daemon.domains[0],
        addressees,
        new_id,
        now,
        settings.lifetime,
        signer.signed_octets if signer is not None else unsigned,
    )


class EverywhereOutbound(LocalOutbound):
    """
    An :class:`~launcelot.delivery.outbound.Outbound` to people here and, where mail goes to other hosts, to everybody.

    A message that has been in the recipient's mailbox before, or through too many hosts, goes in circles and is refused.

    :param forwarding: makes senders of other domains addresses of ours; None where they stay as they are.
    """

    def __init__(
        self, accounts: Directory, staging: Staging, settings: RelaySettings, forwarding: Forwarding | None = None
    ) -> None:
        super().__init__(accounts, staging, forwarding)
        self._settings = settings

    def can_send(self, recipient: Address) -> bool:
        """Whether there is a way to an address at all."""
        return bool(recipient.domain) and (super().can_send(recipient) or self._settings.enabled)

    def goes_in_circles(self, recipient: Address, body: Buffer) -> bool:
        """Whether it has been in that mailbox, or through too many hosts."""
        return super().goes_in_circles(recipient, body) or count_received(body) > self._settings.max_hops

    async def send(
        self, id: SpoolId, sender: Address | None, recipient: Address, body: Buffer, verified: bool = False
    ) -> None:
        """Hand over a message; see :meth:`launcelot.delivery.outbound.Outbound.send`."""
        if not self.can_send(recipient):
            raise NotPermitted("mail does not go to other hosts")
        if self.goes_in_circles(recipient, body):
            raise NotPermitted("the message goes in circles")
        if super().can_send(recipient):
            await super().send(id, sender, recipient, body, verified)
            return
        if sender is not None and self.forwarding is not None and not self._accounts.is_local(sender.domain):
            sender = await self.forwarding.sender(sender)
        staged = self._staging.begin()
        try:
            await staged.write(body[:])
        except BaseException:
            staged.close()
            raise
        to = (SpoolRecipient(ELSEWHERE, recipient),)
        utf8 = needs_utf8(body, sender, to)
        envelope = Envelope(id, sender, to, utf8=utf8, verified=verified, tls_optional=tls_is_optional(body))
        await self.spool.accept(envelope, staged, once=True)
