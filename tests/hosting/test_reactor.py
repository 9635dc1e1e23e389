"""Our reactor: short reads, everything else as Twisted's; run by hand here, turn by turn, never installed."""

from __future__ import annotations

import signal

from twisted.internet import epollreactor
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from launcelot.hosting.reactor import EagerReactor
from launcelot.hosting.transport import EagerServer
from tests.hosting.turning import ReactorCase, Said


class TurnTests(ReactorCase):
    """One look at the kernel."""

    def test_an_eager_connection_is_answered_in_one_turn(self) -> None:
        """Read and answered in the same turn, without the reactor being asked for a write event."""
        peer = self.connect(self.listen(lambda server, data: server.end.write(data.upper())))
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.assertEqual(peer.recv(100), b"HELLO")
        self.assertEqual(self.reactor.getWriters(), [])

    def test_other_descriptors_go_twisteds_way(self) -> None:
        """A connection of Twisted's own port is served too."""
        peer = self.connect(self.listen(lambda server, data: server.end.write(data.upper()), eager=False))
        self.assertNotIsInstance(self.servers[0].end, EagerServer)
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.reactor.iterate(5)
        self.assertEqual(peer.recv(100), b"HELLO")

    def test_a_bug_ends_one_connection(self) -> None:
        """An exception out of a read event is logged and closes that connection; its neighbour is served in the same turn."""

        def hear(server: Said, data: bytes) -> None:
            if data == b"bug":
                raise ZeroDivisionError
            server.end.write(data)

        port = self.listen(hear)
        broken, whole = self.connect(port), self.connect(port)
        broken.sendall(b"bug")
        whole.sendall(b"hello")
        self.reactor.iterate(5)
        self.reactor.iterate(0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNotNone(self.servers[0].lost)
        self.assertEqual(broken.recv(100), b"")
        self.assertIsNone(self.servers[1].lost)
        self.assertEqual(whole.recv(100), b"hello")

    def test_a_reset_in_a_turn_with_input(self) -> None:
        """A neighbour dropped by an earlier event of the same turn is not read any more."""

        def hear(server: Said, data: bytes) -> None:
            heard.append(server)
            other = self.servers[1 - self.servers.index(server)]
            other.end.connectionLost(Failure(ConnectionDone()))

        heard: list[Said] = []
        port = self.listen(hear)
        for peer in (self.connect(port), self.connect(port)):
            peer.sendall(b"x")
        self.reactor.iterate(5)
        self.reactor.iterate(0)
        self.assertEqual(len(heard), 1)

    def test_an_end_behind_ours_takes_the_short_way(self) -> None:
        """A peer that has heard our end and sends its own is input with a hang-up: no logging context is made for it."""
        peer = self.connect(self.listen(lambda server, data: server.end.loseWriteConnection()))
        peer.sendall(b"hello")
        self.reactor.iterate(5)
        self.assertEqual(peer.recv(100), b"")
        peer.close()
        self.patch(self.reactor, "_doReadOrWrite", lambda *arguments: self.fail("Twisted's way"))
        for _ in range(3):
            self.reactor.iterate(0)
        lost = self.servers[0].lost
        self.assertTrue(lost is not None and lost.check(ConnectionDone))

    def test_time_is_monotonic(self) -> None:
        """The clock is not the one that can be set."""
        self.assertNotEqual(EagerReactor.seconds, epollreactor.EPollReactor.seconds)
        self.assertLessEqual(self.reactor.seconds(), self.reactor.seconds())


class LoopTests(ReactorCase):
    """The main loop leaves the kernel for whatever else is due."""

    def test_stop_inside_a_read_event(self) -> None:
        """A stop ends the loop at once, with its shutdown triggers run."""
        stopped: list[str] = []
        peer = self.connect(self.listen(lambda server, data: self.reactor.stop()))
        self.reactor.addSystemEventTrigger("before", "shutdown", stopped.append, "before")
        peer.sendall(b"stop")
        self.run_until_stopped()
        self.assertEqual(stopped, ["before"])

    def test_crash_inside_a_read_event(self) -> None:
        """So does a crash."""
        peer = self.connect(self.listen(lambda server, data: (events.append(data), self.reactor.crash())[0]))  # type: ignore[func-returns-value]
        events: list[bytes] = []
        peer.sendall(b"crash")
        self.run_until_stopped()
        self.assertEqual(events, [b"crash"])

    def test_busy_connections_do_not_hold_up_timers(self) -> None:
        """A connection that is always readable keeps neither a timed call nor one from a thread from coming."""
        came: list[str] = []

        def hear(server: Said, data: bytes) -> None:
            if not came:
                came.append("first")
                self.reactor.callLater(0, came.append, "timed")
                self.reactor.callFromThread(came.append, "thread")
                self.reactor.callLater(0.01, self.reactor.stop)
            peer.sendall(b"again")

        peer = self.connect(self.listen(hear))
        peer.sendall(b"again")
        self.run_until_stopped()
        self.assertEqual(came[:1], ["first"])
        self.assertEqual(set(came), {"first", "timed", "thread"})

    def test_call_moved_sooner_inside_a_read_event(self) -> None:
        """A timed call brought forward while the loop serves is not slept over."""
        late = self.reactor.callLater(600, self.reactor.stop)
        peer = self.connect(self.listen(lambda server, data: late.reset(0)))
        began = self.reactor.seconds()
        peer.sendall(b"sooner")
        self.run_until_stopped()
        self.assertLess(self.reactor.seconds() - began, 300)

    def test_a_failure_of_a_timed_call_does_not_end_the_loop(self) -> None:
        """What a timed call raises is logged, and the loop goes on to its stop."""
        self.reactor.callLater(0, [].remove, "nothing")
        self.reactor.callLater(0.001, self.reactor.stop)
        self.run_until_stopped()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class SignalTests(ReactorCase):
    """Being told to stop."""

    def test_more_than_once(self) -> None:
        """The first signal stops it and is the one that it ended by; nothing is logged of the others."""

        def tell() -> None:
            self.reactor.sigTerm(signal.SIGTERM)
            self.reactor.sigTerm(signal.SIGTERM)
            self.reactor.sigInt(signal.SIGINT)

        self.reactor.callWhenRunning(tell)
        self.run_until_stopped()
        self.assertEqual(self.reactor._exitSignal, signal.SIGTERM)
        self.reactor.sigInt(signal.SIGINT)
        self.assertEqual(self.flushLoggedErrors(), [])
