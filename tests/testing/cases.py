"""Cases that several modules of these tests have in common."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.testing.faults import Fault
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from launcelot.testing.trial import WorldMixin
from launcelot.testing.worlds import Service, TrialWorld


class FaultCase(WorldMixin, SynchronousTestCase):
    """Raw peers in a world where something goes wrong."""

    def begin(self, name: str, *faults: Fault, **options: Any) -> tuple[TrialWorld, Service]:
        """A world with ann and one service in it."""
        world = self.world(**options)
        world.add_user("ann")
        for fault in faults:
            world.fault(fault)
        return world, world.serve(name)


class Scenario:
    """What is to go alike in memory and on sockets."""

    reactor: Any

    async def scenario(self) -> None:
        """Play it, and check."""
        raise NotImplementedError


class MemoryScenario(Scenario, SynchronousTestCase):
    """In memory."""

    def test_conformance(self) -> None:
        """As on sockets."""
        network = MemoryNetwork(Clock())
        self.reactor = MemoryReactor(network.clock, network)
        running = Deferred.fromCoroutine(self.scenario())
        network.pump()
        self.successResultOf(running)


class SocketScenario(Scenario, TestCase):
    """On sockets, the authority."""

    reactor = reactor
    timeout = 60

    def test_conformance(self) -> Deferred[None]:
        """As in memory."""
        return Deferred.fromCoroutine(self.scenario())
