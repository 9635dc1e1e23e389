"""Sessions that go wrong: whatever somebody's protocol does, one line in the log and one connection is all it costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.limits import ConnectionCount
from launcelot.hosting.server import LEAVE_LIMIT, ServerFactory, ServerStream, Stuck
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site

Serve = Callable[["Wrong"], Awaitable[None]]


class Wrong(ServerStream):
    """Does what the test says."""

    internal_error = b"internal error\r\n"
    factory: WrongFactory

    async def serve(self) -> None:
        """Do it."""
        await self.factory.does(self)


class WrongFactory(ServerFactory):
    """Makes sessions that do ``does``."""

    protocol = Wrong
    does: Serve


class Broken(WrongFactory):
    """Cannot even make a session."""

    def make_stream(self) -> ServerStream:
        """Fail."""
        raise KeyError("no such thing")


class WrongCase(SynchronousTestCase):
    """A service with room for two peers."""

    def setUp(self) -> None:
        """Make the world."""
        self.world = memory_site()
        self.count = ConnectionCount(2, 2)

    def serving(self, does: Serve, work_limit: float | None = None) -> Link:
        """A peer of a session that does something."""
        self.factory = WrongFactory(self.world.site, "wrong", self.count)
        self.factory.does = does
        self.factory.work_limit = work_limit
        return self.world.connect(self.factory)

    def counted(self, name: str) -> int:
        """A counter's value."""
        return self.world.site.counters.value(f"wrong.{name}")

    def assert_alone(self) -> None:
        """Nobody is counted as connected any more."""
        self.assertEqual(0, self.count.open)
        self.assertEqual(set(), self.factory.sessions)
        self.assertEqual([], self.world.network.open_ends)


class RaisingTests(WrongCase):
    """Exceptions."""

    def test_any_exception_is_told_once_and_closes_one_connection(self) -> None:
        """Even one that means to end the process, or that somebody's Deferred was cancelled."""
        for error in (ValueError("secret"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), CancelledError()):

            async def raises(session: Wrong, error: BaseException = error) -> None:
                raise error

            link = self.serving(raises)
            self.assertTrue(link.closed)
            self.assertEqual(b"internal error\r\n", link.take())
            logged = self.flushLoggedErrors(type(error))
            self.assertEqual(1, len(logged), error)
            link.close()
            self.assert_alone()

    def test_session_that_cannot_be_made_is_not_counted_for_ever(self) -> None:
        """The third peer is turned away by the bug, not by the limit."""
        self.factory = Broken(self.world.site, "wrong", self.count)
        for _ in range(3):
            link = self.world.connect(self.factory)
            self.assertTrue(link.closed)
            self.assertEqual(1, len(self.flushLoggedErrors(KeyError)))
        self.assertEqual(3, self.counted("errors.internal"))
        self.assertEqual(0, self.counted("connections.refused"))

    def test_canceller_that_raises(self) -> None:
        """The connection is given up all the same."""

        def canceller(_: Deferred[None]) -> None:
            raise LookupError("in the canceller")

        async def waits(session: Wrong) -> None:
            await Deferred(canceller)

        link = self.serving(waits)
        link.abort()
        self.assertEqual(1, len(self.flushLoggedErrors(LookupError)))
        self.assert_alone()


class WaitingTests(WrongCase):
    """Sessions that wait for what does not come."""

    def test_bad_deferred_is_told_with_its_place(self) -> None:
        """The author is told where, the peer that it is our fault."""

        async def waits(session: Wrong) -> None:
            await session.line(100)
            await Deferred()

        link = self.serving(waits, work_limit=30)
        link.say(b"go\r\n")
        self.world.advance(28)
        self.assertFalse(link.closed)
        self.world.advance(4)
        self.assertTrue(link.closed)
        self.assertEqual(b"internal error\r\n", link.take())
        told = self.flushLoggedErrors(Stuck)
        self.assertEqual(1, len(told))
        self.assertRegex(str(told[0].value), r"waits \(hosting/test_server.py, line \d+\)")
        self.assertEqual(1, self.counted("errors.internal"))
        link.close()
        self.assert_alone()

    def test_before_the_first_line_too(self) -> None:
        """A greeting that waits for ever."""

        async def waits(session: Wrong) -> None:
            await Deferred()

        link = self.serving(waits, work_limit=30)
        self.world.advance(32)
        self.assertEqual(b"internal error\r\n", link.take())
        self.assertEqual(1, len(self.flushLoggedErrors(Stuck)))

    def test_waiting_for_the_peer_is_not_work(self) -> None:
        """With an idle limit or without."""
        for idle in (None, 10_000.0):

            async def reads(session: Wrong, idle: float | None = idle) -> None:
                if idle is not None:
                    session.limit_idle(idle)
                while True:
                    session.write(await session.line(100) + b"\r\n")

            link = self.serving(reads, work_limit=30)
            self.world.advance(100, step=10)
            link.say(b"a\r\n")
            self.world.advance(100, step=10)
            link.say(b"b\r\n")
            self.assertEqual(b"a\r\nb\r\n", link.take())
            link.close()
            self.assert_alone()

    def test_peer_that_does_not_read_is_not_work(self) -> None:
        """That has a limit of its own; when the peer reads again the session's work is watched again."""

        async def writes(session: Wrong) -> None:
            await session.line(100)
            session.write(b"x" * 1_000_000)
            await session.drain()
            await Deferred()

        link = self.serving(writes, work_limit=30)
        link.stop_reading()
        link.say(b"go\r\n")
        self.world.advance(60)
        self.assertEqual([], self.flushLoggedErrors(Stuck))
        link.go_on_reading()
        self.world.advance(32)
        self.assertEqual(1, len(self.flushLoggedErrors(Stuck)))

    def test_no_limit_unless_somebody_says_so(self) -> None:
        """An upload's session waits for another connection for hours."""

        async def waits(session: Wrong) -> None:
            await Deferred()

        link = self.serving(waits)
        self.world.advance(10_000, step=1_000)
        self.assertFalse(link.closed)


class LeakingTests(WrongCase):
    """Sessions that outlive their connection."""

    def test_one_that_swallows_its_end_is_told_once_and_ended_again(self) -> None:
        """It is no longer counted; the log says where it hangs."""

        async def hangs(session: Wrong) -> None:
            try:
                await Deferred()
            except CancelledError:
                await Deferred()

        link = self.serving(hangs)
        link.abort()
        self.assert_alone()
        self.assertEqual(0, self.counted("errors.leaked"))
        self.world.advance(LEAVE_LIMIT + 1)
        self.assertEqual(1, self.counted("errors.leaked"))
        self.world.advance(10 * LEAVE_LIMIT, step=10)
        self.assertEqual(1, self.counted("errors.leaked"))

    def test_one_that_stores_what_is_under_way_is_let_finish(self) -> None:
        """A commit outlives the connection, and nobody complains."""
        stored: Deferred[None] = Deferred()

        async def stores(session: Wrong) -> None:
            try:
                await Deferred()
            except CancelledError:
                await stored

        link = self.serving(stores)
        link.abort()
        self.world.advance(LEAVE_LIMIT / 2)
        stored.callback(None)
        self.world.advance(LEAVE_LIMIT)
        self.assertEqual(0, self.counted("errors.leaked"))
        self.assertEqual([], self.world.clock.getDelayedCalls())
