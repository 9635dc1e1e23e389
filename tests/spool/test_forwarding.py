"""Rewritten senders: what is promised of those in a file, and of their twin in memory."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import NotFound
from launcelot.message import srs
from launcelot.message.address import Address
from launcelot.spool.forwarding import MIGRATIONS, Forwarding
from launcelot.testing.relaying import MemoryForwarding
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers

SHORT = Address("cat", "three.example")
LONG = Address("cat" * 20, "very-long-names-are-rewritten-to-a-token.example")


class ForwardingContract(SynchronousTestCase):
    """What both keep."""

    days = 20_000
    forwarding: Forwarding

    def make(self, domain: str = "one.example") -> Forwarding:
        """A new one."""
        raise NotImplementedError

    def sent(self, forwarding: Forwarding, sender: Address) -> Address:
        """How a sender is told to the next host."""
        found: Address = self.successResultOf(forwarding.sender(sender))
        return found

    def seconds(self) -> float:
        """The wall clock."""
        return self.days * srs.DAY

    def test_there_and_back(self) -> None:
        """Short senders in their address, long ones by a token; both are addresses of ours that others take."""
        for sender in (SHORT, LONG):
            found = self.sent(self.forwarding, sender)
            self.assertEqual(found.domain, "one.example")
            self.assertTrue(srs.fits(found))
            self.assertEqual(self.forwarding.original(found), sender)

    def test_not_for_ever(self) -> None:
        """Past their time neither leads back, and the tokens of others are forgotten."""
        old = [self.sent(self.forwarding, one) for one in (SHORT, LONG)]
        self.days += srs.LIFETIME + 1
        self.sent(self.forwarding, LONG)
        for one in old:
            self.assertRaises(NotFound, self.forwarding.original, one)

    def test_nobody_else_can_make_them(self) -> None:
        """Addresses of another secret are not ours; others are left alone."""
        other = self.make()
        for sender in (SHORT, LONG):
            self.assertRaises(NotFound, self.forwarding.original, self.sent(other, sender))
        self.assertIsNone(self.forwarding.original(SHORT))


class SqliteForwardingTests(ForwardingContract):
    """In a file."""

    def setUp(self) -> None:
        self.forwarding = self.make()

    def make(self, domain: str = "one.example") -> Forwarding:
        """In a file of its own."""
        workers = InlineWorkers()
        database = Database(Path(self.mktemp()), MIGRATIONS, workers, workers)
        self.successResultOf(database.open())
        self.addCleanup(lambda: self.successResultOf(database.close()))
        return Forwarding(database, domain, self.seconds)


class MemoryForwardingTests(ForwardingContract):
    """In a world."""

    secrets = 0

    def setUp(self) -> None:
        self.forwarding = self.make()

    def make(self, domain: str = "one.example") -> Forwarding:
        """With a secret of its own."""
        self.secrets += 1
        return MemoryForwarding(domain, self.seconds, bytes([self.secrets]) * 32)


del ForwardingContract
