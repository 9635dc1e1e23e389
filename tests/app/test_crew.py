"""The crew on a clock, with processes that are not there."""

from __future__ import annotations

import json
from signal import SIGKILL, SIGTERM, SIGUSR2
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.bus import Message
from launcelot.app.crew import (
    BEATS,
    IN_TIME,
    LAST_WORDS,
    LINGER,
    LONGEST_PAUSE,
    START_LIMIT,
    STEADY,
    TRIES,
    Crew,
    State,
    Worker,
)
from launcelot.app.errors import CONFIGURATION, SOFTWARE, Ending
from launcelot.core.errors import TryLater

PATIENCE = 30.0


class Process:
    """What spawnProcess returns, for a process that does as the test says."""

    def __init__(self, pid: int, worker: Worker) -> None:
        self.pid = pid
        self.worker = worker
        self.signals: list[int] = []
        self.wire = StringTransport()
        self.gone = False
        self.loosed = False

    def signalProcess(self, name: int) -> None:
        """Note it; KILL works."""
        if self.gone:
            raise ProcessExitedAlready
        self.signals.append(name)
        if name == SIGKILL:
            self.end(9)

    def loseConnection(self) -> None:
        """Its pipes are closed."""
        self.loosed = True

    def end(self, signal: int = 0, status: int = 0) -> None:
        """It is gone."""
        self.gone = True
        reason = ProcessTerminated(signal=signal) if signal else ProcessTerminated(status) if status else ProcessDone(0)
        self.worker.processExited(Failure(reason))
        self.worker.processEnded(Failure(reason))

    def says(self, kind: str, **fields: Any) -> None:
        """It tells something over the bus."""
        self.worker.bus.dataReceived(json.dumps({"tell": kind, **fields}).encode() + b"\n")

    def heard(self) -> list[Message]:
        """What was told to it since the last time."""
        lines = self.wire.value().splitlines()
        self.wire.clear()
        return [json.loads(line) for line in lines]


class CrewCase(SynchronousTestCase):
    """Has a crew of two."""

    count = 2

    def setUp(self) -> None:
        """Make it."""
        self.clock = Clock()
        self.processes: list[Process] = []
        self.lines: list[tuple[int, int, bytes]] = []
        self.cleared: list[int] = []
        self.no_more = False
        self.crew = Crew(self.clock, self.count, self.start, PATIENCE, self.answer, self.said, self.cleared.append)

    def start(self, worker: Worker) -> None:
        """Start a process that is not there."""
        if self.no_more:
            raise OSError(11, "too many processes")
        process = Process(100 + len(self.processes), worker)
        self.processes.append(process)
        worker.makeConnection(process)
        worker.bus.makeConnection(process.wire)

    async def answer(self, question: Message) -> Message:
        """Nothing is asked here."""
        return {}

    def said(self, worker: Worker, descriptor: int, line: bytes) -> None:
        """Note a line."""
        self.lines.append((worker.number, descriptor, line))

    def opened(self) -> list[Process]:
        """Everybody is ready."""
        opened = self.crew.open()
        for process in self.processes:
            process.says("ready")
        self.successResultOf(opened)
        for process in self.processes:
            process.heard()
        return self.processes[:]


class StartingTests(CrewCase):
    """Until everybody is ready."""

    def test_it_is_open_when_all_are_ready(self) -> None:
        """Not before."""
        opened = self.crew.open()
        self.assertEqual(2, len(self.processes))
        self.processes[0].says("ready")
        self.assertNoResult(opened)
        self.processes[1].says("ready")
        self.successResultOf(opened)
        self.assertEqual([State.SERVING, State.SERVING], [one.state for one in self.crew.workers])

    def test_a_reason_ends_the_start_at_once(self) -> None:
        """In the worker's words, with its exit code."""
        opened = self.crew.open()
        self.processes[0].worker.reason = Ending("the table is broken", CONFIGURATION)
        self.processes[0].end(status=CONFIGURATION)
        ending = self.failureResultOf(opened, Ending).value
        self.assertEqual(("the table is broken", CONFIGURATION), (ending.text, ending.status))

    def test_ends_without_a_reason_are_tried_again_and_then_given_up(self) -> None:
        """A bug at import would be tried for ever."""
        opened = self.crew.open()
        for _ in range(TRIES - 1):
            self.crew.workers[0].transport.end(status=1)  # type: ignore[union-attr]
            self.clock.advance(LONGEST_PAUSE)
        self.assertNoResult(opened)
        next(one for one in self.crew.workers if one.number == 0).transport.end(status=1)  # type: ignore[union-attr]
        self.assertEqual(SOFTWARE, self.failureResultOf(opened, Ending).value.status)

    def test_one_that_cannot_start_does_not_keep_the_others_from_serving(self) -> None:
        """It is tried again."""
        opened = self.crew.open()
        self.processes[0].says("ready")
        self.processes[1].end(status=1)
        self.successResultOf(opened)
        self.clock.advance(0)
        self.assertEqual(3, len(self.processes))

    def test_no_process_can_be_had(self) -> None:
        """The system's refusal is an end like any other."""
        self.no_more = True
        opened = self.crew.open()
        self.clock.advance(0)
        for _ in range(TRIES):
            self.clock.advance(LONGEST_PAUSE)
        self.failureResultOf(opened, Ending)

    def test_stopping_while_it_starts(self) -> None:
        """Those that are there are told, and waited for; nobody else is started."""
        self.crew.open()
        stopped = self.crew.stop(5.0)
        self.assertEqual([[{"tell": "stop", "limit": 5.0 * IN_TIME}]] * 2, [process.heard() for process in self.processes])
        for process in self.processes:
            process.end()
        self.successResultOf(stopped)
        self.clock.advance(LONGEST_PAUSE)
        self.assertEqual(2, len(self.processes))


class ReplacingTests(CrewCase):
    """Ends."""

    def test_the_first_end_is_replaced_at_once(self) -> None:
        """By one of the same number, whose row was cleared before."""
        first, second = self.opened()
        first.end(11)
        self.assertEqual([0], self.cleared)
        self.clock.advance(0)
        self.assertEqual([0], [process.worker.number for process in self.processes[2:]])
        self.assertEqual(1, self.crew.posts[0].restarts)
        self.assertEqual([second.worker], self.crew.serving)

    def test_pauses_grow_while_ends_are_early(self) -> None:
        """To a limit, and only for that worker."""
        self.opened()
        pauses = []
        for _ in range(9):
            self.processes[-1 if len(self.processes) > 2 else 0].end(11)
            began, pause = len(self.processes), 0.0
            self.clock.advance(0)
            while len(self.processes) == began:
                self.clock.advance(0.5)
                self.processes[1].says("beat")
                pause += 0.5
            pauses.append(pause)
        self.assertEqual([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE], pauses)
        self.assertFalse(self.processes[1].gone)

    def test_a_steady_worker_begins_anew(self) -> None:
        """Its accidents do not add up."""
        self.opened()
        for _ in range(3):
            self.crew.workers[0].transport.end(11)  # type: ignore[union-attr]
            self.clock.advance(1.0)
            self.processes[-1].says("ready")
            self.clock.advance(STEADY)
        self.crew.workers[0].transport.end(11)  # type: ignore[union-attr]
        self.assertEqual((0, 4), (self.crew.posts[0].failures, self.crew.posts[0].restarts))

    def test_the_others_are_told_that_anything_may_have_changed(self) -> None:
        """It may have died before it could say what."""
        first, second = self.opened()
        first.end(9)
        self.clock.advance(0)
        self.assertEqual([{"tell": "changed", "mail": None}], second.heard())

    def test_what_it_counted_is_kept(self) -> None:
        """Counters never fall."""
        first, _ = self.opened()
        first.says("beat", sums={"smtp.connections": 3})
        first.end(9)
        self.assertEqual(3, self.crew.past["smtp.connections"])

    def test_what_holds_its_output_open_is_not_waited_for(self) -> None:
        """A child of the worker's own may live on."""
        first, _ = self.opened()
        first.gone = True
        first.worker.processExited(Failure(ProcessDone(0)))
        self.assertFalse(first.loosed)
        self.clock.advance(LINGER)
        self.assertTrue(first.loosed)

    def test_a_worker_that_hangs_up_is_ended(self) -> None:
        """It could not be told anything any more."""
        first, _ = self.opened()
        first.worker.bus.connectionLost(Failure(ProcessDone(0)))
        self.assertEqual([SIGTERM], first.signals)


class StuckTests(CrewCase):
    """Signs of life."""

    def pass_time(self, seconds: float, alive: list[Process]) -> None:
        """Let time pass while some answer."""
        for _ in range(round(seconds / (PATIENCE / BEATS))):
            self.clock.advance(PATIENCE / BEATS)
            for process in alive:
                if {"tell": "beat"} in process.heard():
                    process.says("beat", sums={})

    def test_who_answers_lives(self) -> None:
        """For as long as it does."""
        first, second = self.opened()
        self.pass_time(10 * PATIENCE, [first, second])
        self.assertEqual([[], []], [first.signals, second.signals])

    def test_who_does_not_is_asked_where_it_is_and_killed(self) -> None:
        """After the patience that was set and no sooner; then another starts."""
        first, second = self.opened()
        self.pass_time(PATIENCE, [second])
        self.assertEqual([], first.signals)
        self.pass_time(PATIENCE / BEATS, [second])
        self.assertEqual([SIGUSR2], first.signals)
        self.clock.advance(LAST_WORDS)
        self.assertEqual([SIGUSR2, SIGKILL], first.signals)
        self.clock.advance(0)
        self.assertEqual(0, self.processes[2].worker.number)
        self.assertEqual([], second.signals)

    def test_who_starts_is_left_alone_for_a_while(self) -> None:
        """On a busy machine that takes longer than the patience that was set; but not for ever."""
        self.crew.open()
        first, second = self.processes
        second.says("ready")
        self.pass_time(START_LIMIT - 1, [second])
        self.assertEqual([], first.signals)
        self.pass_time(PATIENCE + 10, [second])
        self.assertEqual([SIGUSR2, SIGKILL], first.signals)

    def test_a_master_that_was_stopped_itself_kills_nobody(self) -> None:
        """It asks first, however late it is."""
        first, second = self.opened()
        self.clock.advance(100 * PATIENCE)
        self.assertEqual([[], []], [first.signals, second.signals])


class PassingOnTests(CrewCase):
    """From one to the others."""

    count = 3

    def test_changes_go_to_the_others(self) -> None:
        """Once each, merged."""
        first, second, third = self.opened()
        first.says("changed", mail={"ann": [1]})
        first.says("changed", mail={"ann": [2], "bob": [7]})
        self.clock.advance(0)
        told = [{"tell": "changed", "mail": {"ann": [1, 2], "bob": [7]}}]
        self.assertEqual([[], told, told], [one.heard() for one in (first, second, third)])

    def test_changes_of_anything_do_too(self) -> None:
        """As they came."""
        first, second, _ = self.opened()
        first.says("changed", mail=None)
        self.clock.advance(0)
        self.assertEqual([{"tell": "changed", "mail": None}], second.heard())

    def test_log_ins_go_to_the_others_and_to_those_that_come(self) -> None:
        """With their age, while they count."""
        first, second, _ = self.opened()
        first.says("login", key=["10.0.0.1", "ann"], failed=True)
        told = {"tell": "login", "key": ["10.0.0.1", "ann"], "failed": True}
        self.assertEqual([{**told, "age": 0.0}], second.heard())
        self.assertEqual([], first.heard())
        self.clock.advance(20)
        second.end(9)
        self.clock.advance(0)
        self.processes[-1].says("ready")
        self.assertIn({**told, "age": 20.0}, self.processes[-1].heard())
        self.clock.advance(50)
        first.end(9)
        self.clock.advance(0)
        self.processes[-1].says("ready")
        self.assertNotIn("login", [one["tell"] for one in self.processes[-1].heard()])

    def test_lines_are_told_whole(self) -> None:
        """With the worker's number, and the last one even without its end."""
        first, _, _ = self.opened()
        first.worker.childDataReceived(2, b"one\ntw")
        first.worker.childDataReceived(2, b"o\nthr")
        first.end()
        self.assertEqual([(0, 2, b"one"), (0, 2, b"two"), (0, 2, b"thr")], self.lines)

    def test_everybody_is_asked(self) -> None:
        """Who does not answer is left out."""
        first, second, third = self.opened()
        asking = Deferred.fromCoroutine(self.crew.ask_all({"ask": "status"}, 2.0))
        for process in (first, third):
            [question] = process.heard()
            self.assertEqual({"ask": "status"}, question["question"])
            answer = {"answer": question["ask"], "said": {"from": process.worker.number}}
            process.worker.bus.dataReceived(json.dumps(answer).encode() + b"\n")
        self.assertNoResult(asking)
        self.clock.advance(2.0)
        self.assertEqual({0: {"from": 0}, 2: {"from": 2}}, self.successResultOf(asking))

    def test_one_is_asked(self) -> None:
        """The first that serves; nobody where none does."""
        first, second, _ = self.opened()
        first.end(9)
        asking = Deferred.fromCoroutine(self.crew.ask_one({"ask": "backup"}))
        question = second.heard()[0]
        second.worker.bus.dataReceived(json.dumps({"answer": question["ask"], "said": {"done": 1}}).encode() + b"\n")
        self.assertEqual({"done": 1}, self.successResultOf(asking))
        for process in self.processes[1:3]:
            process.end(9)
        self.failureResultOf(Deferred.fromCoroutine(self.crew.ask_one({"ask": "backup"})), TryLater)


class StoppingTests(CrewCase):
    """The end of all."""

    def test_everybody_is_told_and_waited_for(self) -> None:
        """Nobody is replaced."""
        first, second = self.opened()
        stopped = self.crew.stop(5.0)
        self.assertEqual([[{"tell": "stop", "limit": 5.0 * IN_TIME}]] * 2, [first.heard(), second.heard()])
        first.end()
        self.assertNoResult(stopped)
        second.end()
        self.successResultOf(stopped)
        self.assertEqual(2, len(self.processes))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_who_does_not_is_killed(self) -> None:
        """At the limit."""
        first, second = self.opened()
        stopped = self.crew.stop(5.0)
        first.end()
        self.clock.advance(5.0)
        self.assertEqual([SIGKILL], second.signals)
        self.successResultOf(stopped)

    def test_one_that_waits_for_its_start_does_not_start(self) -> None:
        """Its pause is over with the crew."""
        first, second = self.opened()
        first.end(9)
        stopped = self.crew.stop(5.0)
        second.end()
        self.successResultOf(stopped)
        self.clock.advance(LONGEST_PAUSE)
        self.assertEqual(2, len(self.processes))
