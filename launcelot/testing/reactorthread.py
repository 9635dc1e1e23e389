"""
A reactor of one's own, in a thread of its own, lent to one Site after the other.

It is never installed, handles no signals and is not "the" I/O thread of the process: whatever else uses Twisted here, or does
not, is not touched.

To start and stop such a thread costs as much as a Site does, so :class:`Threads` keep one that comes back as it was at first.
One that does not is stopped and never lent again.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from heapq import heapify
from math import inf
from types import coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from launcelot.core.errors import Refusal
from launcelot.hosting.reactor import EagerReactor

__tracebackhide__ = True
"""pytest shows the test's line, not ours."""

T = TypeVar("T")

STOP_LIMIT = 10.0
"""Seconds a reactor may take to end; past them it is stuck, and its thread is left behind."""

TURNS = 5
"""Turns of a reactor in which what was begun comes to its end, unless it waits for a peer or for time to pass."""

TICK = 0.001
"""Seconds that a timed call may be late: the kernel counts no less."""

BORROW_LIMIT = 0.02
"""Seconds that a thread waits for a reactor that is busy, before it leaves the work to it."""


class Stuck(Exception):
    """Something blocks a private reactor's thread."""


class Ended(Exception):
    """Something was asked of a Site that has been stopped."""


class Answer(Generic[T]):
    """
    What becomes of something that one thread asks of another.

    Most is done by who asks, so what it takes to wait is made by who must.

    :ivar done: it is known.
    """

    __slots__ = ("_error", "_value", "_waiting", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: T
        self._error: BaseException | None = None
        self._waiting: threading.Lock | None = None

    def give(self, value: T) -> None:
        """It is done, and this came of it."""
        self._value = value
        self._end()

    def fail(self, error: BaseException) -> None:
        """It has failed."""
        self._error = error
        self._end()

    def _end(self) -> None:
        self.done = True
        if self._waiting is not None:
            self._waiting.release()

    def wait(self, timeout: float | None = None) -> T:
        """
        What came of it, or what it raised; for one thread, once.

        :param timeout: seconds.
        :raises TimeoutError: they have passed.
        """
        if not self.done:
            waiting = threading.Lock()
            waiting.acquire()
            self._waiting = waiting
            # It may have been done until now, and nobody would wake us.
            if not self.done and not waiting.acquire(timeout=-1 if timeout is None else timeout) and not self.done:
                raise TimeoutError
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            # The error knows this call, and must not be known by it.
            del error


class SharedPoll:
    """
    A look at the kernel, during which another thread may have the reactor.

    The reactor's thread has its turn except while it looks.  What it finds when somebody else has had the turn meanwhile counts
    for nothing, as descriptors may be others' by now; the kernel says what is still true again.

    :ivar turn: held by whoever may touch the reactor.
    :ivar lent: how often another thread has had it.
    :ivar until: when the look of the reactor's thread ends, in seconds of ``time.monotonic``.
    """

    def __init__(self, poller: select.epoll) -> None:
        self.turn = threading.Lock()
        self.turn.acquire()
        self.lent = 0
        self.until = inf
        self._poller = poller
        self.register = poller.register
        self.modify = poller.modify
        self.unregister = poller.unregister
        self.close = poller.close

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """As ``select.epoll`` does."""
        if not timeout:
            return self._poller.poll(0, most)
        lent = self.lent
        self.until = inf if timeout < 0 else time.monotonic() + timeout
        self.turn.release()
        try:
            found = self._poller.poll(timeout, most)
        finally:
            self.turn.acquire()
        return found if self.lent == lent else []


class PrivateReactor(EagerReactor):
    """
    The daemon's reactor, for one thread of many.

    :ivar awaited: somebody has asked, while it ran, to be told of its end.
    :ivar poll: lets another thread have it.
    """

    _registerAsIOThread = False
    awaited = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll = self._poller = SharedPoll(self._poller)

    def close(self) -> None:
        """Give its descriptors back, once it has ended."""
        for reader in list(self._internalReaders):
            self._removeInternalReader(reader)
            reader.connectionLost(None)
        self._poller.close()

    @property
    def left(self) -> list[str]:
        """What there is that the reactor itself has not made, one line each."""
        left = [f"a call is still to come: {call}" for call in self.getDelayedCalls()]
        others: Any = self
        descriptors = {*others.getReaders(), *others.getWriters()} - self._internalReaders
        return left + [f"still open: {one}" for one in descriptors]

    @property
    def is_free(self) -> bool:
        """Whether nothing but what is :attr:`left` holds it: no threads work for it, and nobody waits for its end."""
        return not self.awaited and self.threadpool is None

    def addSystemEventTrigger(self, *arguments: Any, **named: Any) -> Any:
        """As Twisted's."""
        self.awaited = self.awaited or self.running
        return super().addSystemEventTrigger(*arguments, **named)

    def look(self) -> None:
        """Handle what has reached this machine until now; for who has it."""
        self.doPoll(0.0)

    def hurry(self) -> None:
        """Have its thread look up if there is something to do before it would by itself; for who has had it meanwhile."""
        if self.threadCallQueue or self._next_call() + TICK < self.poll.until:
            self.wakeUp()

    def _next_call(self) -> float:
        """When a call is to be made next, in seconds of ``time.monotonic``."""
        self.timeout()    # So new ones are in their order.
        calls: Any = self._pendingTimedCalls
        if calls and calls[0].cancelled:
            # Twisted would keep it until its time, and so all that Sites cancel within a minute.
            calls[:] = [call for call in calls if not call.cancelled]
            heapify(calls)
            self._cancellations = 0
        return float(calls[0].time) if calls else inf


class ReactorThread:
    """
    One reactor, running from :meth:`start` to :meth:`stop`.

    Another thread that wants something done in it borrows it while it waits for the kernel, and does it itself: a Site is made
    and asked without a change of threads.  Where it is busy the thing is done by its own thread.

    :ivar reactor: to be touched by who has it only.
    """

    def __init__(self, name: str = "launcelot") -> None:
        self.reactor = PrivateReactor()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._borrower: threading.Thread | None = None

    def _run(self) -> None:
        self.reactor.run(installSignalHandlers=False)

    def start(self) -> None:
        """Start it; calls are taken from now on."""
        self._thread.start()

    def stop(self) -> None:
        """
        Stop it and give back what it held.

        :raises Stuck: it does not stop.
        """
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(STOP_LIMIT)
        if self._thread.is_alive():
            raise Stuck(f"the reactor's thread has not ended within {STOP_LIMIT:g} s")
        self.reactor.close()

    @property
    def inside(self) -> bool:
        """Whether the caller has the reactor."""
        return threading.current_thread() in (self._thread, self._borrower)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function returns that has the reactor, or raises."""
        if self.inside:
            return function(*arguments)
        answer: Answer[T] = Answer()
        self._do(_answer, answer, function, arguments)
        return answer.wait()

    def run(self, running: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """
        What a coroutine returns that is run by the reactor, or raises.

        :param timeout: seconds, after which it goes on but nobody waits.
        :raises TimeoutError: they have passed.
        """
        answer: Answer[T] = Answer()
        self._do(_start, answer, running)
        try:
            return answer.wait(timeout)
        except (LookupError, Refusal) as mistake:
            # Whoever asked has made it; where we found out tells him nothing.  Ours are of narrower kinds.
            if isinstance(mistake, (KeyError, IndexError)):
                raise
            raise mistake.with_traceback(None) from mistake.__cause__

    def _do(self, work: Callable[..., None], answer: Answer[Any], *arguments: Any) -> None:
        """Have work done that puts its outcome into ``answer``: here and now if the reactor can be had, or by its own thread."""
        poll = self.reactor.poll
        if not poll.turn.acquire(timeout=BORROW_LIMIT):
            self.reactor.callFromThread(work, answer, *arguments)
            return
        poll.lent += 1
        self._borrower = threading.current_thread()
        try:
            # Nothing that the test's code has put into its context reaches the Site.
            Context().run(self._play, work, answer, arguments)
        except BaseException:
            # Only what interrupts a thread comes here: nobody knows in what it has stopped.
            self.reactor.awaited = True
            raise
        finally:
            self._borrower = None
            self.reactor.hurry()
            poll.turn.release()

    def _play(self, work: Callable[..., None], answer: Answer[Any], arguments: tuple[Any, ...]) -> None:
        work(answer, *arguments)
        for _ in range(TURNS):
            if answer.done:
                break
            self.reactor.iterate()


class Threads:
    """
    Threads that are lent to one Site each.

    :param keeps: one that comes back as it was is kept for the next Site, until :meth:`close`.
    """

    def __init__(self, keeps: bool = False) -> None:
        self._keeps = keeps
        self._idle: list[ReactorThread] = []

    def lend(self) -> Loan:
        """One that runs and that nobody else has."""
        try:
            thread = self._idle.pop()
        except IndexError:
            thread = ReactorThread()
            thread.start()
        return Loan(self, thread)

    def take_back(self, thread: ReactorThread, fresh: bool) -> None:
        """
        One is needed no more.

        :param fresh: its reactor is as it was.
        :raises Stuck: it was to be stopped and does not.
        """
        if fresh and self._keeps and not self._idle:
            self._idle.append(thread)
        else:
            thread.stop()

    def close(self) -> None:
        """Stop those that are kept."""
        while self._idle:
            self._idle.pop().stop()


class Loan:
    """
    A thread while one Site has it, from any thread.

    :ivar reactor: to be touched in its own thread only.
    """

    def __init__(self, threads: Threads, thread: ReactorThread) -> None:
        self._threads = threads
        self._thread = thread
        self._ended = False
        self.reactor = thread.reactor

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function returns in the reactor's thread, or raises; once the loan has ended, in the caller's."""
        return function(*arguments) if self._ended else self._thread.call(function, *arguments)

    def run(self, running: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """
        What a coroutine returns in the reactor's thread, or raises.

        :param timeout: seconds, after which it goes on but nobody waits.
        :raises TimeoutError: they have passed.
        :raises Ended: the loan has.
        """
        if self._ended:
            running.close()
            raise Ended("this Site was stopped, at the end of the test that started it")
        return self._thread.run(running, timeout)

    def end(self, closing: Coroutine[Any, Any, object]) -> list[str]:
        """
        Close everything, and give the thread back; what is left that should not be left, one line each.

        :raises Stuck: something holds up the thread.
        """
        fresh = False
        try:
            fresh, left = self._thread.run(self._end(closing), STOP_LIMIT)
        except TimeoutError:
            raise Stuck(f"the Site has not closed within {STOP_LIMIT:g} s") from None
        finally:
            self._ended = True
            self._threads.take_back(self._thread, fresh)
        return left

    async def _end(self, closing: Coroutine[Any, Any, object]) -> tuple[bool, list[str]]:
        await closing
        for _ in range(TURNS):
            if not self.reactor.left:
                break
            await deferLater(self.reactor, 0)
        left = self.reactor.left
        return self.reactor.is_free and not left, left


def _answer(answer: Answer[T], function: Callable[..., T], arguments: tuple[Any, ...]) -> None:
    try:
        answer.give(function(*arguments))
    except Exception as error:  # noqa: BLE001 - handed on whole to the thread that asked
        answer.fail(error)


def _start(answer: Answer[T], running: Coroutine[Any, Any, T]) -> None:
    """Run a coroutine; one that waits for nothing needs no Deferred."""
    try:
        waits_for = running.send(None)
    except StopIteration as end:
        answer.give(end.value)
    except Exception as error:  # noqa: BLE001 - handed on whole to the thread that asked
        answer.fail(error)
    else:

        def failed(failure: Failure) -> None:
            error: Any = failure.value
            answer.fail(error)

        Deferred.fromCoroutine(_rest(running, waits_for)).addCallbacks(answer.give, failed)


async def _rest(running: Coroutine[Any, Any, T], waits_for: Any) -> T:
    return await _from(running, waits_for)


@coroutine
def _from(running: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """The rest of a coroutine that waits for something."""
    go_on: Callable[[Any], Any]
    while True:
        try:
            what = yield waits_for
            go_on = running.send
        except GeneratorExit:
            running.close()
            raise
        except BaseException as error:  # noqa: BLE001 - handed on whole
            what = error
            go_on = running.throw
        try:
            waits_for = go_on(what)
        except StopIteration as end:
            value: T = end.value
            return value
