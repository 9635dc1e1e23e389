"""What becomes of mail that a test's Site has for other hosts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launcelot.accounts.memory import MemoryDirectory
from launcelot.core.counters import Counters
from launcelot.delivery.outbound import LocalOutbound
from launcelot.filestore.memory import MemoryFileStore
from launcelot.mailstore.memory import MemoryMailStore
from launcelot.spool.forwarding import Forwarding
from launcelot.spool.interface import Carrier
from launcelot.spool.notices import Notices
from launcelot.spool.schedule import Schedule
from launcelot.testing.post import Catcher, Post
from launcelot.workers.staging import Staging


@dataclass(frozen=True)
class Stores:
    """Where the data of a Site is."""

    accounts: MemoryDirectory
    mail: MemoryMailStore
    files: MemoryFileStore
    staging: Staging


class Ways:
    """
    It waits in the spool, and nobody is told.

    :ivar forwarding: makes senders of mail that is passed on addresses of ours; None where they stay as they are.
    :ivar schedule: when mail that waits is tried again; None for the spool's own.
    """

    forwarding: Forwarding | None = None
    schedule: Schedule | None = None

    def outbound(self, stores: Stores) -> LocalOutbound:
        """What takes mail of our own, such as a script's."""
        return LocalOutbound(stores.accounts, stores.staging)

    def carrier(self, post: Post, counters: Counters) -> Carrier | None:
        """What takes mail to other hosts."""
        return None

    def notices(self, stores: Stores, new_id: Callable[[], str]) -> Notices | None:
        """What tells senders."""
        return None


class Caught(Ways):
    """It goes nowhere, and counts as arrived."""

    def carrier(self, post: Post, counters: Counters) -> Carrier:
        """One that keeps it."""
        return Catcher(post)
