"""
The Site: everything one daemon hands to its protocols.

Two Sites can live in one process; nothing is global.  ``clock`` is monotonic and drives timers, ``now`` is the wall clock
and goes into messages and names.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from launcelot.accounts.interface import Account, Directory
from launcelot.checks.running import Checks
from launcelot.checks.signing import Signer
from launcelot.core.counters import Counters
from launcelot.core.filerights import TEAM_PLACE
from launcelot.core.ids import new_id
from launcelot.filestore.interface import FileStore, Tree
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.login import Logins
from launcelot.hosting.teams import tree_with_teams
from launcelot.mailstore.interface import MailStore
from launcelot.spool.depositing import Depositor
from launcelot.spool.forwarding import Forwarding
from launcelot.spool.interface import Spool
from launcelot.workers.database import Database, Migration
from launcelot.workers.databases import Databases
from launcelot.workers.interface import Workers
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Staging
from launcelot.workers.trail import NOWHERE, Trail


class SessionTap(Protocol):
    """Sees sessions before their connections do, so that things may go wrong with them; for tests."""

    def admits(self) -> bool:
        """Whether anybody is let in now."""

    def tap(self, protocol: Any, service: str, peer: str, source: Any = None) -> None:
        """
        A session was made; it has no transport yet.

        :param service: the listener's name.
        :param source: the factory that made it.
        """


@dataclass
class Site:
    """
    What a service is handed.

    :ivar reactor: for listening and connecting; a memory network in tests.
    :ivar hostname: our name in greetings and trace fields.
    :ivar domain: the domain of addresses without one, such as ``postmaster``.
    :ivar aside: where services have long computations done; inline unless threads are given.
    :ivar tls: gives what ``TLSMemoryBIOFactory`` takes for a server; None where there is no certificate.
    :ivar relays: whether accounts may send to other hosts.
    :ivar databases: the files of services that keep data of their own; None where there is no place for them.
    :ivar checks: look at mail from strangers; None where nothing is looked at.
    :ivar signer: signs mail of our accounts; None where nothing is signed.
    :ivar forwarding: knows the senders of mail that was passed on; None where none is.
    :ivar tap: sees every new session; None outside of tests.
    :ivar trail: where it is noted what happens to mail.
    :ivar team_place: the name at the top of everybody's files under which team folders are; empty for no team folders.
    :ivar deposits: delivers while the peer waits, for LMTP; None where nothing is delivered here.
    """

    reactor: Any
    clock: IReactorTime
    hostname: str
    domain: str
    accounts: Directory
    logins: Logins
    mail: MailStore
    files: FileStore
    spool: Spool
    staging: Staging
    tls: Callable[[], Any] | None = None
    aside: Workers = field(default_factory=InlineWorkers)
    counters: Counters = field(default_factory=Counters)
    wall_clock: Callable[[], float] = time.time
    random_bits: Callable[[int], int] = secrets.randbits
    databases: Databases | None = None
    relays: bool = False
    deposits: Depositor | None = None
    checks: Checks | None = None
    signer: Signer | None = None
    forwarding: Forwarding | None = None
    tap: SessionTap | None = None
    trail: Trail = NOWHERE
    team_place: str = TEAM_PLACE

    def __post_init__(self) -> None:
        self.deadlines = Deadlines(self.clock)

    @property
    def has_tls(self) -> bool:
        """Whether there is a certificate, so that TLS can be offered."""
        return self.tls is not None

    def server_tls(self) -> Any:
        """The context for a new server-side TLS connection; asked each time, so that a renewed certificate is used."""
        if self.tls is None:
            raise LookupError("this Site has no certificate")
        return self.tls()

    def new_id(self) -> str:
        """A fresh identifier for a session, a message or a file."""
        return new_id(self.wall_clock(), self.random_bits)

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.fromtimestamp(self.wall_clock(), UTC)

    async def tree(self, account: Account) -> Tree:
        """
        An account's files, with the team folders that it may use.

        :raises TryLater: the store cannot give them now.
        """
        return await tree_with_teams(account, self.files, self.accounts, self.team_place)

    def database(self, name: str, migrations: Sequence[Migration]) -> Database:
        """
        A service's own SQLite file, the same object each time; opened and closed by whoever runs the Site.

        :param name: the service's; see :meth:`launcelot.workers.databases.Databases.get`.
        :raises LookupError: this Site has no place for it.
        """
        if self.databases is None:
            raise LookupError("this Site has no folder for databases")
        return self.databases.get(name, migrations)
