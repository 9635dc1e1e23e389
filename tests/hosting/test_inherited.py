"""Ports that several processes share, on a clock."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.inherited import EAGER, TURN, OneAtATime


class Waiting:
    """Stands for Twisted's port, with peers that wait in the kernel."""

    connected = True
    disconnecting = False

    def __init__(self, clock: Clock, waiting: int) -> None:
        self.reactor = clock
        self.waiting = waiting
        self.sessionno = 0
        self.reading = True

    def doRead(self) -> None:
        """Take a peer."""
        if self.waiting:
            self.waiting -= 1
            self.sessionno += 1

    def stopReading(self) -> None:
        """Not now."""
        self.reading = False

    def startReading(self) -> None:
        """Again."""
        self.reading = True


class SharedWaiting(OneAtATime, Waiting):
    """What a shared port is."""


class OneAtATimeTests(SynchronousTestCase):
    """Who goes first."""

    def setUp(self) -> None:
        """A port with ten who wait."""
        self.clock = Clock()
        self.port = SharedWaiting(self.clock, 10)

    def test_who_is_not_ahead_takes_at_once(self) -> None:
        """One in each event, whatever Twisted would like."""
        self.port.numberAccepts = 20
        self.assertEqual(1, self.port.numberAccepts)
        self.port.doRead()
        self.assertEqual((9, True), (self.port.waiting, self.port.reading))

    def test_who_is_ahead_lets_others_go_first(self) -> None:
        """For a moment, without asking the kernel; when nobody waits any more the next one is asked about anew."""
        self.port.ahead = lambda: True
        self.port.doRead()
        self.assertEqual((10, False), (self.port.waiting, self.port.reading))
        self.port.waiting = 0
        self.clock.advance(TURN)
        self.assertTrue(self.port.reading)
        self.clock.advance(2 * TURN)
        self.port.waiting = 1
        self.port.doRead()
        self.assertEqual((1, False), (self.port.waiting, self.port.reading))

    def test_whom_the_others_leave_is_taken(self) -> None:
        """And all who follow for a while, without a pause for each: the others may be stuck."""
        self.port.ahead = lambda: True
        self.port.doRead()
        self.clock.advance(TURN)
        for _ in range(5):
            self.port.doRead()
        self.assertEqual((5, True), (self.port.waiting, self.port.reading))
        self.clock.advance(EAGER)
        self.port.doRead()
        self.assertEqual((5, False), (self.port.waiting, self.port.reading))

    def test_a_port_that_was_closed_meanwhile_stays_closed(self) -> None:
        """Nothing starts it again."""
        self.port.ahead = lambda: True
        self.port.doRead()
        self.port.connected = False
        self.clock.advance(TURN)
        self.assertFalse(self.port.reading)
