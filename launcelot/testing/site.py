"""
A whole Site in memory, on a virtual clock.

>>> world = memory_site()
>>> ann = world.add_user("ann", "pw")
>>> str(ann.address)
'ann@test'

Everything is real but the places: stores keep their data in memory, hashing is cheap and inline, time moves when the test
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from launcelot.accounts.interface import Account, TeamFolder
from launcelot.accounts.memory import MemoryDirectory
from launcelot.accounts.passwords import CHEAPEST, SALT, Hasher, Secrets
from launcelot.core.counters import Counters
from launcelot.core.ids import new_id
from launcelot.delivery.filtering import FilteredDelivery
from launcelot.delivery.outbound import LocalOutbound
from launcelot.filestore.memory import MemoryFileStore
from launcelot.hosting.login import Logins
from launcelot.hosting.quotas import share_quota
from launcelot.hosting.site import Site
from launcelot.mailstore.memory import MemoryMailStore
from launcelot.message.address import Address
from launcelot.spool.delivery import MailboxDelivery
from launcelot.spool.depositing import Depositor
from launcelot.spool.memory import MemorySpool
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Link, connect
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from launcelot.testing.post import Post
from launcelot.testing.trees import make_team
from launcelot.testing.ways import Stores, Ways
from launcelot.workers.databases import Databases
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Staging

T = TypeVar("T")

STARTS_AT = 1_700_000_000.0
"""The wall clock of a world when it begins: 2023-11-14 22:13:20 UTC."""


Known = dict[str, Secrets]
"""What has been computed of passwords."""


class KnownHasher(Hasher):
    """A cheap one, which computes nothing that was computed before, whatever the salt; for Sites that are made by the hundred."""

    def __init__(self, known: Known, now: Callable[[], float], random_octets: Callable[[int], bytes]) -> None:
        super().__init__(InlineWorkers(), CHEAPEST, now, random_octets)
        self._known = known

    async def secrets(self, password: str, salt: bytes) -> Secrets:
        """As a Hasher's."""
        found = self._known.get(password)
        if found is None:
            found = self._known[password] = await super().secrets(password, salt)
        else:
            self._random(SALT)    # As if it had been computed: Sites of one seed stay alike.
        return found


class NotYet(Exception):
    """Something that a test took for done still waits."""


@dataclass
class World:
    """
    A Site and what moves it.

    :ivar tls: the certificate's contexts, or None for a Site without TLS.
    :ivar post: all mail that has arrived.
    """

    clock: Clock
    network: MemoryNetwork
    site: Site
    tls: Certificates | None
    post: Post

    def add_user(self, name: str, password: str = "pw", quota: int = 0) -> Account:
        """Make an account ``name@<the Site's domain>``."""
        return self.result(self.site.accounts.add(name, Address(name, self.site.domain), password, quota))

    def add_team(
        self,
        name: str,
        rights: Mapping[str, str] | None = None,
        quota: int = 0,
        files: Mapping[str, bytes] | None = None,
    ) -> TeamFolder:
        """
        Make a team folder, ``/team/<name>`` in the files of those who may use it.

        :param rights: words such as ``"list,read"`` or ``"editor"`` by account, group or ``"anyone"``.
        :param quota: octets that may be in it; 0 for no limit.
        :param files: by path below it.
        """
        return self.result(make_team(self.site.accounts, self.site.files, name, rights or {}, quota, files or {}))

    def result(self, waiting: Coroutine[Any, Any, T]) -> T:
        """
        What a coroutine returns; the network moves meanwhile, the clock does not.

        :raises NotYet: it waits for time to pass or for something that never comes.
        """
        found: list[Any] = []
        deferred = Deferred.fromCoroutine(waiting)
        deferred.addBoth(found.append)
        self.network.pump()
        if not found:
            raise NotYet(waiting)
        outcome = found[0]
        if hasattr(outcome, "raiseException"):
            outcome.raiseException()
        return outcome  # type: ignore[no-any-return]

    def open(self) -> None:
        """Open the files that services have asked for (``Site.database``), as the daemon does before anybody is let in."""
        if self.site.databases is not None:
            self.result(self.site.databases.open())

    def close(self) -> None:
        """Close them."""
        if self.site.databases is not None:
            self.result(self.site.databases.close())

    def client_tls(self, hostname: str = "") -> Any:
        """
        What a client's TLS layer takes (``Link.start_tls``) that trusts our certificate.

        :param hostname: who the certificate must be for; the Site itself unless given.
        :raises LookupError: the Site has no certificate.
        """
        if self.tls is None:
            raise LookupError("this Site has no certificate; memory_site(tls=True)")
        return self.tls.client(hostname or self.site.hostname)

    def connect(self, factory: Any, source: str = "127.0.0.1") -> Link:
        """Connect a raw peer to a server's factory, in this world's network."""
        return connect(factory, self.clock, source, self.network)

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass in steps, and everything happen that follows from each."""
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            self.network.pump()
            seconds -= step


def memory_site(
    tls: bool | Certificates = False,
    domain: str = "test",
    hostname: str = "here.test",
    seed: int = 1,
    data: Path | None = None,
) -> World:
    """
    A new world.

    :param tls: True for a fresh certificate for ``hostname`` and ``localhost``, or one made before.
    :param seed: of everything random.
    :param data: a folder for the SQLite files of services that keep data of their own (``Site.database``), such as
        ``Path(self.mktemp())``; what they do runs inline.
    """
    clock = Clock()
    network = MemoryNetwork(clock)
    certificates = Certificates(hostname, "localhost") if tls is True else tls or None

    def wall_clock() -> float:
        return STARTS_AT + clock.seconds()

    site, post = furnish(
        MemoryReactor(clock, network), clock, wall_clock, network.soon, certificates, domain, hostname, seed, data
    )
    return World(clock, network, site, certificates, post)


def furnish(
    reactor: Any,
    clock: IReactorTime,
    wall_clock: Callable[[], float],
    soon: Callable[[Callable[[], None]], object],
    certificates: Certificates | None = None,
    domain: str = "test",
    hostname: str = "here.test",
    seed: int = 1,
    data: Path | None = None,
    known: Known | None = None,
    ways: Ways | None = None,
) -> tuple[Site, Post]:
    """
    A Site whose stores are in memory, on any reactor and clock, and the mail that arrives there.

    :param soon: has something done a turn of the reactor later.
    :param known: what other Sites have computed of passwords, and this one computes.
    :param ways: of mail to other hosts; it waits in the spool unless they are given.
    """
    random = Random(seed)
    counters = Counters()
    began = clock.seconds()
    post = Post(lambda: clock.seconds() - began, soon)

    def fresh_id() -> str:
        return new_id(wall_clock(), random.getrandbits)

    stores = _stores(domain, _hasher(known, clock, random), wall_clock, lambda: site.now(), fresh_id)
    ways = ways or Ways()
    outbound = ways.outbound(stores)
    delivery = _delivery(stores, outbound, lambda: site.now(), fresh_id, hostname, counters)
    arriving = post.through(delivery)
    carrier = ways.carrier(post, counters)
    notices = ways.notices(stores, fresh_id)
    spool = MemorySpool(
        arriving, clock, wall_clock, counters, delivery.forget, ways.schedule, carrier=carrier, notices=notices
    )
    outbound.spool = spool
    site = Site(
        reactor=reactor,
        clock=clock,
        hostname=hostname,
        domain=domain,
        accounts=stores.accounts,
        logins=Logins(stores.accounts, counters, clock.seconds),
        mail=stores.mail,
        files=stores.files,
        spool=spool,
        staging=stores.staging,
        deposits=Depositor(arriving, spool, counters, delivery.forget),
        tls=(lambda: certificates.server) if certificates else None,
        counters=counters,
        wall_clock=wall_clock,
        random_bits=random.getrandbits,
        databases=None if data is None else Databases(data, InlineWorkers(), InlineWorkers()),
        relays=carrier is not None,
        forwarding=ways.forwarding,
    )
    return site, post


def _hasher(known: Known | None, clock: IReactorTime, random: Random) -> Hasher:
    if known is None:
        return Hasher(InlineWorkers(), CHEAPEST, clock.seconds, random.randbytes)
    return KnownHasher(known, clock.seconds, random.randbytes)


def _stores(
    domain: str, hasher: Hasher, wall_clock: Callable[[], float], now: Callable[[], datetime], fresh_id: Callable[[], str]
) -> Stores:
    accounts = MemoryDirectory([domain], hasher, fresh_id)
    mail = MemoryMailStore(now, fresh_id)
    files = MemoryFileStore(wall_clock, fresh_id)
    share_quota(mail, files)
    return Stores(accounts, mail, files, Staging(None, InlineWorkers()))


def _delivery(
    stores: Stores,
    outbound: LocalOutbound,
    now: Callable[[], datetime],
    fresh_id: Callable[[], str],
    hostname: str,
    counters: Counters,
) -> FilteredDelivery:
    return FilteredDelivery(
        MailboxDelivery(stores.mail, stores.accounts, stores.staging),
        stores.accounts,
        stores.mail,
        stores.staging,
        InlineWorkers(),
        outbound,
        now,
        fresh_id,
        hostname,
        counters,
    )
