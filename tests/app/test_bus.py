"""The bus between master and worker, on a clock and a transport in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.bus import MAX_LINE, MOST_UNREAD, Bus, Changes, Message
from launcelot.core.errors import NotFound, TryLater


class Wire(StringTransport):
    """A transport that knows whether it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True


class ChangesTests(SynchronousTestCase):
    """What is still to be told."""

    def test_changes_are_merged(self) -> None:
        """Each mailbox once, ascending, and nothing twice."""
        changes = Changes()
        changes.add("ann", [3, 1])
        changes.add("bob", [1])
        changes.add("ann", [2, 1])
        self.assertTrue(changes)
        self.assertEqual({"ann": [1, 2, 3], "bob": [1]}, changes.take())
        self.assertFalse(changes)
        self.assertEqual({}, changes.take())

    def test_too_many_accounts_are_anything(self) -> None:
        """Memory is bounded, and nothing is missed."""
        changes = Changes(most=2)
        for account in ("ann", "bob", "carl"):
            changes.add(account, [1])
        changes.add("dora", [1])
        self.assertIsNone(changes.take())
        changes.add("ann", [1])
        self.assertEqual({"ann": [1]}, changes.take())


class BusTests(SynchronousTestCase):
    """One end, and two ends that are fed what the other wrote."""

    def setUp(self) -> None:
        """Two ends."""
        self.clock = Clock()
        self.heard: list[Message] = []
        self.lost: list[str] = []
        self.answer: Deferred[Message] = Deferred()
        self.asked: list[Message] = []
        self.left, self.left_wire = self.end("left")
        self.right, self.right_wire = self.end("right")

    def end(self, name: str) -> tuple[Bus, Wire]:
        """One end on a wire."""

        async def answer(question: Message) -> Message:
            self.asked.append(question)
            return await self.answer

        kinds = {"hello": self.heard.append, "changed": self.heard.append, "bug": lambda message: 1 // 0}
        bus = Bus(self.clock, kinds, answer, lambda: self.lost.append(name))  # type: ignore[arg-type]
        wire = Wire()
        bus.makeConnection(wire)
        return bus, wire

    def carry(self, step: int = 1 << 30) -> None:
        """Have each end read what the other wrote, in pieces, until both are silent."""
        while self.left_wire.value() or self.right_wire.value():
            for wire, bus in ((self.left_wire, self.right), (self.right_wire, self.left)):
                said = wire.value()
                wire.clear()
                for start in range(0, len(said), step):
                    bus.dataReceived(said[start : start + step])

    def written(self) -> list[Any]:
        """The messages that the left end has written."""
        return [json.loads(line) for line in self.left_wire.value().splitlines()]

    def test_what_is_told_arrives_octet_by_octet(self) -> None:
        """However the stream is cut."""
        for step in (1, 2, 7, 1 << 20):
            self.heard.clear()
            self.left.tell("hello", number=1, text="gr\u00fc\u00df\ndich")
            self.left.tell("hello", number=2)
            self.carry(step)
            self.assertEqual([1, 2], [one["number"] for one in self.heard])
            self.assertEqual("gr\u00fc\u00df\ndich", self.heard[0]["text"])

    def test_an_answer_comes_to_whoever_asked(self) -> None:
        """Answers may come in another order than questions."""
        first, second = self.left.ask({"ask": "a"}), self.left.ask({"ask": "b"})
        answers = []
        for _ in range(2):
            answers.append(Deferred[Message]())
        self.answer = answers[0]
        line, other = self.left_wire.value().splitlines(keepends=True)
        self.left_wire.clear()
        self.right.dataReceived(line)
        self.answer = answers[1]
        self.right.dataReceived(other)
        answers[1].callback({"is": "second"})
        answers[0].callback({"is": "first"})
        self.carry()
        self.assertEqual({"is": "first"}, self.successResultOf(first))
        self.assertEqual({"is": "second"}, self.successResultOf(second))
        self.assertEqual([{"ask": "a"}, {"ask": "b"}], self.asked)

    def test_a_refusal_is_told_in_its_words(self) -> None:
        """As it would have been in one process; a bug is told without its text."""
        asking = self.left.ask({})
        self.answer.errback(NotFound("no such account"))
        self.carry()
        self.assertEqual("no such account", self.failureResultOf(asking, TryLater).value.text)
        self.answer = Deferred()
        asking = self.left.ask({})
        self.answer.errback(RuntimeError("secret"))
        self.carry()
        self.assertEqual("internal error", self.failureResultOf(asking, TryLater).value.text)
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))

    def test_who_does_not_answer_is_not_waited_for(self) -> None:
        """Past the limit the asker is told; a late answer is nobody's."""
        asking = self.left.ask({}, 2.0)
        self.clock.advance(1.9)
        self.assertNoResult(asking)
        self.clock.advance(0.1)
        self.failureResultOf(asking, TryLater)
        self.answer.callback({})
        self.carry()

    def test_the_end_of_the_other_ends_all_waiting(self) -> None:
        """And is told once; who asks afterwards is told at once."""
        asking = self.left.ask({})
        self.left.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(asking, TryLater)
        self.assertEqual(["left"], self.lost)
        self.failureResultOf(self.left.ask({}), TryLater)
        self.left.tell("hello")
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_bug_of_a_listener_is_logged_and_the_next_message_heard(self) -> None:
        """The bus outlives it."""
        self.left.tell("bug")
        self.left.tell("hello")
        self.left.tell("unheard of")
        self.carry()
        self.assertEqual(1, len(self.heard))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_changes_of_one_turn_are_one_message(self) -> None:
        """They are told when the turn ends."""
        for number in (3, 1, 3):
            self.left.changes.add("ann", [number])
            self.left.passed()
        self.assertEqual([], self.written())
        self.clock.advance(0)
        self.assertEqual([{"tell": "changed", "mail": {"ann": [1, 3]}}], self.written())

    def test_changes_are_merged_while_nobody_reads(self) -> None:
        """And told as one when it goes on."""
        self.left.pauseProducing()
        for number in range(1_000):
            self.left.changes.add("ann", [number % 5])
            self.left.passed()
            self.clock.advance(0)
        self.assertEqual([], self.written())
        self.left.resumeProducing()
        self.clock.advance(0)
        self.assertEqual([{"tell": "changed", "mail": {"ann": [0, 1, 2, 3, 4]}}], self.written())

    def test_who_never_reads_is_given_up(self) -> None:
        """Before much memory is taken."""
        self.left.pauseProducing()
        for _ in range(MOST_UNREAD // 1_000_000 + 1):
            self.left.tell("hello", text="x" * 1_000_000)
        self.assertTrue(self.left_wire.aborted)
        self.assertLess(len(self.left_wire.value()), MOST_UNREAD + 2_000_000)
        self.flushLoggedErrors()

    def test_a_line_without_end_is_given_up(self) -> None:
        """Likewise what is no JSON."""
        for _ in range(MAX_LINE // 1_000_000 + 1):
            self.left.dataReceived(b"x" * 1_000_000)
        self.assertTrue(self.left_wire.aborted)
        self.right.dataReceived(b"nonsense\n")
        self.assertTrue(self.right_wire.aborted)
