"""Reactors' threads that are lent to one Site after the other."""

from __future__ import annotations

import os
import select
import socket
import threading
from contextvars import ContextVar
from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing.keeping import Kept
from launcelot.testing.reactorthread import Answer, Ended, ReactorThread, SharedPoll, Threads
from launcelot.testing.served import serve

GUARD = 60.0
NAME = ContextVar("NAME", default="")


async def nothing() -> None:
    """What has nothing to close."""


class AnswerTests(SynchronousTestCase):
    """What one thread tells another."""

    def test_one_that_is_known_is_not_waited_for(self) -> None:
        """Nothing is made to wait with."""
        answer: Answer[int] = Answer()
        answer.give(7)
        self.assertEqual((answer.wait(0.0), answer._waiting), (7, None))
        failed: Answer[int] = Answer()
        failed.fail(ZeroDivisionError())
        self.assertRaises(ZeroDivisionError, failed.wait)

    def test_one_that_comes_while_it_is_waited_for(self) -> None:
        """However the two threads fall."""
        for late in (0.0, 0.0, 0.0, 0.01):
            answer: Answer[int] = Answer()
            timer = threading.Timer(late, answer.give, (7,))
            timer.start()
            self.assertEqual(answer.wait(GUARD), 7)
            timer.join(GUARD)

    def test_one_that_does_not_come(self) -> None:
        """Is not waited for any longer than wanted; what comes later is lost."""
        answer: Answer[int] = Answer()
        self.assertRaises(TimeoutError, answer.wait, 0.01)
        answer.give(7)


class ThreadsTests(SynchronousTestCase):
    """Who gets which."""

    def setUp(self) -> None:
        self.threads = Threads(keeps=True)
        self.addCleanup(self.threads.close)

    def test_one_that_comes_back_clean_is_lent_again(self) -> None:
        """To one at a time."""
        first, second = self.threads.lend(), self.threads.lend()
        self.assertIsNot(first.reactor, second.reactor)
        self.assertEqual((first.end(nothing()), second.end(nothing())), ([], []))
        third = self.threads.lend()
        self.assertIs(third.reactor, first.reactor)
        third.end(nothing())

    def test_one_with_something_left_is_not(self) -> None:
        """Calls, sockets, threads, and those who want to hear of its end; what is wrong is named."""
        for spoil, said in (
            (lambda reactor: reactor.callLater(3_600, nothing), "a call is still to come"),
            (lambda reactor: reactor.listenTCP(0, Factory(), interface="127.0.0.1"), "still open"),
            (lambda reactor: reactor.getThreadPool(), None),
            (lambda reactor: reactor.addSystemEventTrigger("before", "shutdown", str), None),
        ):
            loan = self.threads.lend()
            thread = loan._thread._thread
            loan.call(spoil, loan.reactor)
            left = loan.end(nothing())
            self.assertEqual(len(left), 0 if said is None else 1)
            if said is not None:
                self.assertIn(said, left[0])
            self.assertFalse(thread.is_alive())
            again = self.threads.lend()
            self.assertIsNot(again.reactor, loan.reactor)
            again.end(nothing())

    def test_what_ends_in_a_turn_is_not_left(self) -> None:
        """A port is closed by the reactor a turn after it was asked to."""
        loan = self.threads.lend()
        port = loan.call(lambda: loan.reactor.listenTCP(0, Factory(), interface="127.0.0.1"))

        async def closing() -> None:
            port.stopListening()

        self.assertEqual(loan.end(closing()), [])

    def test_ended_loans(self) -> None:
        """Values may still be looked at; nothing is begun."""
        loan = self.threads.lend()
        loan.end(nothing())
        self.assertEqual(loan.call(int, "3"), 3)
        self.assertRaises(Ended, loan.run, nothing())

    def test_nothing_is_kept_unless_wanted(self) -> None:
        """A Site that is served alone leaves no thread."""
        before = threading.active_count()
        lc = serve("smtp")
        self.assertEqual((threading.active_count(), lc.stop()), (before + 1, []))
        self.assertEqual(threading.active_count(), before)

    def test_sites_that_follow_each_other_are_strangers(self) -> None:
        """On one thread, and nothing else is the same."""
        kept = Kept(keeps_threads=True)
        self.addCleanup(kept.close)
        lc = serve("smtp", kept=kept)
        first = lc._thread.reactor
        lc.user("ann", "old")
        client = socket.create_connection(lc.smtp.address)
        self.addCleanup(client.close)
        client.recv(100)
        self.assertEqual(lc.stop(), [])
        other = serve("smtp", kept=kept)
        self.addCleanup(lambda: self.assertEqual(other.stop(), []))
        self.assertIs(other._thread.reactor, first)
        self.assertEqual((other.transcripts, other.mail.all(), other.smtp.transcripts), ((), [], []))
        other.user("ann", "new")
        self.assertEqual(lc.transcripts[0].service, "smtp")
        self.assertRaises(Ended, lc.user, "bob")


class SharedPollTests(SynchronousTestCase):
    """Who may touch the reactor."""

    def test_events_from_before_do_not_strike_what_came_after(self) -> None:
        """What was seen before somebody else had the reactor is looked for again: its number may be another's by now."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        poll = SharedPoll(select.epoll())
        self.addCleanup(poll.close)
        poll.register(reading, select.EPOLLIN)
        found: list[Any] = []

        def look() -> None:
            found.extend(poll.poll(GUARD, 10) for _ in range(2))

        looking = threading.Thread(target=look)
        looking.start()
        self.assertTrue(poll.turn.acquire(timeout=GUARD))
        poll.lent += 1
        os.write(writing, b"x")
        poll.turn.release()
        looking.join(GUARD)
        self.assertEqual(found, [[], [(reading, select.EPOLLIN)]])


class ReactorThreadTests(SynchronousTestCase):
    """Calls from other threads."""

    def setUp(self) -> None:
        self.thread = ReactorThread()
        self.thread.start()
        self.addCleanup(self.thread.stop)

    def test_a_reactor_at_rest_is_borrowed(self) -> None:
        """What is asked is done in the asker's thread, who is inside then, and nowhere else."""
        self.assertIs(self.thread.call(threading.current_thread), threading.current_thread())
        self.assertTrue(self.thread.call(lambda: self.thread.inside))
        self.assertEqual(self.thread.call(self.thread.call, int, "7"), 7)
        self.assertFalse(self.thread.inside)

    def test_a_busy_one_is_waited_for(self) -> None:
        """By its own thread the call is made."""
        begun, go_on = threading.Event(), threading.Event()

        def block() -> None:
            begun.set()
            go_on.wait(GUARD)

        self.thread.reactor.callFromThread(block)
        self.assertTrue(begun.wait(GUARD))
        threading.Timer(0.1, go_on.set).start()
        self.assertIs(self.thread.call(threading.current_thread), self.thread._thread)

    def test_outcomes(self) -> None:
        """Values and errors of functions and coroutines, at once and later."""

        async def later(error: bool) -> int:
            await deferLater(self.thread.reactor, 0.01)
            if error:
                raise ZeroDivisionError
            return 7

        self.assertEqual(self.thread.run(later(False), GUARD), 7)
        self.assertRaises(ZeroDivisionError, self.thread.run, later(True), GUARD)
        self.assertRaises(ValueError, self.thread.call, int, "x")

    def test_what_waits_several_times(self) -> None:
        """It hears of what failed, and goes on; what it raises before it waits is heard as well."""
        reactor = self.thread.reactor

        async def recovers() -> list[Any]:
            heard: list[Any] = [await deferLater(reactor, 0.01, str, 1)]
            try:
                await deferLater(reactor, 0.01, int, "x")
            except ValueError:
                heard.append(await deferLater(reactor, 0.01, str, 2))
            heard.append(await deferLater(reactor, 0.0, str, 3))
            return heard

        async def breaks() -> None:
            raise ZeroDivisionError

        self.assertEqual(self.thread.run(recovers(), GUARD), ["1", "2", "3"])
        self.assertRaises(ZeroDivisionError, self.thread.run, breaks())

    def test_its_own_thread_wakes_for_what_was_begun(self) -> None:
        """A timed call that a borrower makes is not late because the reactor sleeps, nor is one from its thread."""
        done = threading.Event()
        self.thread.call(self.thread.reactor.callLater, 0.01, done.set)
        self.assertTrue(done.wait(GUARD))
        self.thread.call(lambda: self.thread.reactor.callFromThread(done.clear))
        while done.is_set():
            threading.Event().wait(0.001)

    def test_its_thread_sleeps_on_where_nothing_is_to_come_sooner(self) -> None:
        """Calls that were cancelled are let go of, and a call that is later than others wakes nobody."""
        reactor = self.thread.reactor
        last = self.thread.call(reactor.callLater, 3_000.0, str)
        self.addCleanup(self.thread.call, last.cancel)
        while reactor.poll.until == inf:
            threading.Event().wait(0.001)
        woken: list[None] = []
        self.patch(reactor, "wakeUp", lambda: woken.append(None))
        for _ in range(10):
            self.thread.call(lambda: reactor.callLater(1_000.0, str).cancel())
            late = self.thread.call(reactor.callLater, 4_000.0, str)
            self.thread.call(late.cancel)
        self.assertEqual(woken, [])
        sooner = self.thread.call(reactor.callLater, 2_000.0, str)
        self.assertEqual(len(woken), 1)
        self.thread.call(sooner.cancel)
        self.assertEqual(reactor._pendingTimedCalls, [last])

    def test_nothing_of_the_test_is_in_what_it_begins(self) -> None:
        """Its context stays its own."""
        NAME.set("mine")
        self.assertEqual(self.thread.call(NAME.get), "")

    def test_interrupted(self) -> None:
        """What a signal breaks off in the middle is not lent again."""

        def interrupted() -> None:
            raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.thread.call, interrupted)
        self.assertFalse(self.thread.reactor.is_free)

    def test_waiting_for_what_never_comes(self) -> None:
        """Ends when the asker has had enough."""
        never: Deferred[None] = Deferred()

        async def wait() -> None:
            await never

        self.assertRaises(TimeoutError, self.thread.run, wait(), 0.01)
        self.thread.call(never.callback, None)
