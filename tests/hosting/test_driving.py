"""What drives a session's coroutine: waits of both kinds, ends, cancelling, and reads under Twisted's own driver."""

from __future__ import annotations

import contextvars
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.driving import Driven, Source, arrival


@coroutine
def something_else() -> Generator[Any, Any, None]:
    """A wait for what nobody knows."""
    yield 42


class DrivingCase(SynchronousTestCase):
    """A source, and what became of the coroutines."""

    def setUp(self) -> None:
        self.source = Source()
        self.ends: list[Failure | None] = []
        self.seen: list[Any] = []

    def drive(self, running: Coroutine[Any, Any, None]) -> Driven:
        """Start one."""
        driven = Driven(running, self.ends.append)
        driven.start()
        return driven

    def arrive(self) -> None:
        """As a source does it."""
        reader, self.source._reader = self.source._reader, None
        if reader is not None:
            reader.callback(None)

    async def read(self, times: int = 1) -> None:
        """Wait at the source so many times."""
        for number in range(times):
            await arrival(self.source)
            self.seen.append(number)


class WaitTests(DrivingCase):
    """What a coroutine can wait for."""

    def test_arrivals(self) -> None:
        """It goes on once for each arrival and ends behind the last."""
        self.drive(self.read(3))
        for number in range(3):
            self.assertEqual((len(self.seen), self.ends), (number, []))
            self.arrive()
        self.assertEqual(self.ends, [None])
        self.assertIsNone(self.source._reader)

    def test_deferreds(self) -> None:
        """Results and failures of Deferreds, fired later, before, and from another Deferred, are what ``await`` gives."""
        later: Deferred[int] = Deferred()
        chained: Deferred[int] = Deferred()
        failing: Deferred[int] = Deferred()

        async def running() -> None:
            self.seen.append(await later)
            self.seen.append(await succeed(2))
            self.seen.append(await succeed(None).addCallback(lambda _: chained))
            for bad in (failing, fail(ValueError())):
                try:
                    await bad
                except (KeyError, ValueError) as error:
                    self.seen.append(type(error))

        self.drive(running())
        later.callback(1)
        self.assertEqual(self.seen, [1, 2])
        chained.callback(3)
        failing.errback(KeyError())
        self.assertEqual(self.seen, [1, 2, 3, KeyError, ValueError])
        self.assertEqual(self.ends, [None])

    def test_thousands_of_waits_in_one_call(self) -> None:
        """Arrivals inside the source's own call do not pile up on the stack."""

        async def running() -> None:
            for _ in range(5_000):
                await succeed(None)
                await arrival(self.source)

        self.drive(running())
        for _ in range(5_000):
            self.arrive()
        self.assertEqual(self.ends, [None])

    def test_anything_else_is_an_error(self) -> None:
        """Waiting for what nobody knows raises where it is awaited instead of spinning."""

        async def running() -> None:
            try:
                await something_else()
            except TypeError:
                self.seen.append("told")

        self.drive(running())
        self.assertEqual((self.seen, self.ends), (["told"], [None]))

    def test_two_readers_are_an_error(self) -> None:
        """The second reader of a source is told so; the first goes on."""
        self.drive(self.read())
        self.drive(self.read())
        failure = self.ends.pop()
        self.assertIsNotNone(failure and failure.check(RuntimeError))
        self.assertRaises(RuntimeError, self.failureResultOf(Deferred.fromCoroutine(self.read())).raiseException)
        self.arrive()
        self.assertEqual((self.seen, self.ends), ([0], [None]))

    def test_a_context_of_its_own(self) -> None:
        """What one coroutine sets in its context another does not see, nor do we."""
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="ours")

        async def running(name: str) -> None:
            variable.set(name)
            await arrival(self.source)
            self.seen.append(variable.get())

        other = Source()
        self.drive(running("one"))
        self.source, first = other, self.source
        self.drive(running("two"))
        for source in (first, other):
            self.source = source
            self.arrive()
        self.assertEqual((self.seen, variable.get()), (["one", "two"], "ours"))


class EndTests(DrivingCase):
    """How a coroutine ends."""

    def test_failure(self) -> None:
        """An exception is handed over whole."""

        async def running() -> None:
            raise ZeroDivisionError

        self.drive(running())
        self.assertIsNotNone(self.ends[0] and self.ends[0].check(ZeroDivisionError))

    def test_cancelled_at_a_source(self) -> None:
        """Cancelling ends the wait, and what arrives later wakes nobody."""
        self.drive(self.read()).cancel()
        self.assertIsNotNone(self.ends[0] and self.ends[0].check(CancelledError))
        self.assertIsNone(self.source._reader)
        self.arrive()
        self.assertEqual((self.seen, len(self.ends)), ([], 1))

    def test_cancelled_at_a_deferred(self) -> None:
        """The Deferred is cancelled, and the coroutine may clean up, even by waiting."""
        cancelled: list[str] = []
        waiting: Deferred[None] = Deferred(lambda _: cancelled.append("asked"))

        async def running() -> None:
            try:
                await waiting
            finally:
                await arrival(self.source)
                self.seen.append("cleaned")

        self.drive(running()).cancel()
        self.assertEqual((cancelled, self.ends), (["asked"], []))
        self.arrive()
        self.assertEqual(self.seen, ["cleaned"])
        self.assertIsNotNone(self.ends[0] and self.ends[0].check(CancelledError))

    def test_cancelled_when_it_does_not_wait(self) -> None:
        """From inside itself, and after its end, cancelling does nothing."""

        async def running() -> None:
            await arrival(self.source)
            driven.cancel()
            self.seen.append("went on")

        driven = self.drive(running())
        self.arrive()
        driven.cancel()
        self.assertEqual((self.seen, self.ends), (["went on"], [None]))


class TwistedDriverTests(DrivingCase):
    """The same reads under ``Deferred.fromCoroutine``, as of a client, or beside a notice."""

    def test_arrivals(self) -> None:
        """It goes on once for each arrival."""
        reading = Deferred.fromCoroutine(self.read(2))
        self.arrive()
        self.assertNoResult(reading)
        self.arrive()
        self.successResultOf(reading)
        self.assertEqual(self.seen, [0, 1])

    def test_inside_a_driven_coroutine(self) -> None:
        """A read that a session starts as a Deferred beside itself is woken by the source, and the session by the read."""

        async def running() -> None:
            reading = Deferred.fromCoroutine(self.read())
            self.seen.append("beside")
            await reading
            self.seen.append("after")

        self.drive(running())
        self.assertEqual(self.seen, ["beside"])
        self.arrive()
        self.assertEqual((self.seen, self.ends), (["beside", 0, "after"], [None]))

    def test_cancelled(self) -> None:
        """Cancelling frees the source for the next reader."""
        reading = Deferred.fromCoroutine(self.read())
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.drive(self.read())
        self.arrive()
        self.assertEqual((self.seen, self.ends), ([0], [None]))
