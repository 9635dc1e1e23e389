"""The gate that keeps descriptors for files."""

from __future__ import annotations

import errno
import resource
import socket

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.counters import Counters
from launcelot.hosting import descriptors
from launcelot.hosting.descriptors import LOOK_INTERVAL, Gate, GuardedSocket, limit, lowest_free, raise_limit


class Port:
    """What the gate knows of one of Twisted's ports, on a real listening socket."""

    numberAccepts = 1
    connected = True
    disconnecting = False

    def __init__(self, listening: socket.socket) -> None:
        self.socket: socket.socket | GuardedSocket = listening
        self.reading = True

    def stopReading(self) -> None:
        """Note it."""
        self.reading = False

    def startReading(self) -> None:
        """Note it."""
        self.reading = True


class GateTests(SynchronousTestCase):
    """Connections are accepted as long as they leave the reserve alone."""

    def setUp(self) -> None:
        """A listening socket behind a gate whose mark is the next descriptor but two."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.addCleanup(listening.close)
        self.address = listening.getsockname()
        self.port = Port(listening)
        self.clock = Clock()
        self.counters = Counters()
        self.peers = [self.connect() for _ in range(4)]
        self.gate = Gate(self.clock, lowest_free() + 1, self.counters)
        self.gate.watch(self.port)

    def connect(self) -> socket.socket:
        """Somebody who waits to be let in."""
        peer = socket.create_connection(self.address)
        self.addCleanup(peer.close)
        return peer

    def accept(self) -> socket.socket:
        """Let one in."""
        peer, _ = self.port.socket.accept()
        self.addCleanup(peer.close)
        return peer

    def fill(self) -> list[socket.socket]:
        """Accept until the gate is shut."""
        accepted = []
        while not self.gate.shut:
            accepted.append(self.accept())
        return accepted

    def test_ports_stop_reading(self) -> None:
        """Past the mark nobody is accepted, and the port is not told again of those who wait."""
        self.fill()
        self.assertTrue(self.port.reading)
        self.assertRaises(BlockingIOError, self.port.socket.accept)
        self.assertFalse(self.port.reading)
        self.assertEqual(1, self.counters.value("descriptors.exhausted"))

    def test_opens_when_there_is_room(self) -> None:
        """And not before."""
        accepted = self.fill()
        self.assertRaises(BlockingIOError, self.port.socket.accept)
        self.clock.advance(LOOK_INTERVAL)
        self.assertFalse(self.port.reading)
        for one in accepted:
            one.close()
        self.clock.advance(LOOK_INTERVAL)
        self.assertTrue(self.port.reading)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.accept()

    def test_port_closed_meanwhile(self) -> None:
        """A port that is gone when the gate opens is not touched."""
        accepted = self.fill()
        self.assertRaises(BlockingIOError, self.port.socket.accept)
        self.port.connected = False
        for one in accepted:
            one.close()
        self.clock.advance(LOOK_INTERVAL)
        self.assertFalse(self.gate.shut)
        self.assertFalse(self.port.reading)

    def test_exhausted_all_the_same(self) -> None:
        """Where the system has none left, or another part of the process took them, the port waits as well."""
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            gate = Gate(Clock(), limit(), self.counters)
            port = Port(self.broken(number))
            port.socket = GuardedSocket(self.broken(number), port, gate)
            self.assertRaises(BlockingIOError, port.socket.accept)
            self.assertTrue(gate.shut)
            self.assertFalse(port.reading)

    def test_other_errors_pass(self) -> None:
        """They are the port's to deal with."""
        gate = Gate(Clock(), limit(), self.counters)
        error = self.assertRaises(OSError, GuardedSocket(self.broken(errno.EPERM), self.port, gate).accept)
        self.assertEqual(errno.EPERM, error.errno)
        self.assertFalse(gate.shut)

    def broken(self, number: int) -> socket.socket:
        """A listening socket whose accept fails."""

        class Broken(socket.socket):
            def accept(self) -> tuple[socket.socket, object]:
                raise OSError(number, "accept fails")

        made = Broken()
        self.addCleanup(made.close)
        return made

    def test_the_rest_is_the_socket(self) -> None:
        """Twisted asks a listening socket for its name and closes it."""
        self.assertEqual(self.address, self.port.socket.getsockname())

    def test_port_without_a_socket(self) -> None:
        """A memory network's port is left alone."""
        port = object()
        self.gate.watch(port)


class CountTests(SynchronousTestCase):
    """What the system says."""

    def test_lowest_free(self) -> None:
        """The next descriptor gets that number."""
        expected = lowest_free()
        with socket.socket() as made:
            self.assertEqual(expected, made.fileno())

    def test_limit_is_raised(self) -> None:
        """To the hard one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free() + 64, hard))
        self.assertEqual(min(hard, descriptors.MOST), raise_limit())
        self.assertEqual(min(hard, descriptors.MOST), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
