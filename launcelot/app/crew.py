"""
The worker processes of a daemon: started, listened to, replaced when they end or are stuck, stopped.

Each has a number, from 0, that its successor inherits: what belongs to a number (a part of the spool, a row of the shared
limits) is never used by two processes, because the next one is started only when the last one has been waited for.

One that ends is replaced at once; one that keeps ending within :data:`STEADY` seconds is replaced after pauses that grow to
:data:`LONGEST_PAUSE`.  One that does not answer for as long as the settings allow is made to say where it is stuck, and killed.

What one worker says has changed is passed on to the others; so are failed log-ins.  When one dies, the others are told that
anything may have changed, for it may have died between the change and the word.
"""

from __future__ import annotations

import signal
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from launcelot.app.bus import ANSWER_LIMIT, Bus, Message
from launcelot.app.errors import SOFTWARE, Ending
from launcelot.core.errors import TryLater
from launcelot.hosting.gather import outcomes

STEADY = 10.0
"""Seconds a worker must live for its end to be an accident and not a habit."""

LONGEST_PAUSE = 30.0
"""Seconds before another worker is tried, at most."""

TRIES = 3
"""Starts of one worker that may fail, when none has been ready yet, before the daemon gives up."""

IN_TIME = 0.85
"""Of the time for stopping, what workers are given before they are killed."""

BEATS = 6
"""Signs of life asked for within a worker's patience."""

START_LIMIT = 60.0
"""Seconds a worker may take to start before it is asked for signs of life."""

LINGER = 1.0
"""Seconds that what a worker wrote is waited for after its end; children of its own may hold its output open."""

LAST_WORDS = 0.5
"""Seconds a stuck worker has for saying where."""

REMEMBERED = 65_536
"""Failed log-ins that are told to a new worker."""

FAILURES_COUNT = 60.0
"""Seconds for which they are; as :data:`launcelot.hosting.login.FAILURE_WINDOW`."""

log = Logger(namespace="launcelot.workers")


class State(Enum):
    """Where a worker is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"
    """Told to end, or killed."""
    ENDED = "ended"


class Worker(ProcessProtocol):
    """
    One process.

    :ivar number: the one it has in the crew.
    :ivar bus: to it.
    :ivar reason: why it could not start, in its own words.
    :ivar report: what it said of itself last.
    :ivar generation: of the configuration that it was started with.
    """

    def __init__(self, crew: Crew, number: int) -> None:
        self.number = number
        self.state = State.STARTING
        self.reason: Ending | None = None
        self.report: Message = {}
        self.began = crew.clock.seconds()
        self.generation = crew.generation
        self.missed = 0
        self._crew = crew
        self._sayings: dict[int, Saying] = {}
        self._lingering: IDelayedCall | None = None
        hear = {
            "ready": self._ready,
            "beat": self._beat,
            "changed": lambda message: crew.relay_changes(self, message["mail"]),
            "login": lambda message: crew.relay_login(self, message),
        }
        self.bus = Bus(crew.clock, hear, crew.answer, self._hung_up)

    @property
    def process_id(self) -> int:
        """Its process id; 0 where it has none."""
        return int(getattr(self.transport, "pid", 0) or 0)

    def _ready(self, message: Message) -> None:
        if self.state is State.STARTING:
            self.state = State.SERVING
            self._crew.became_ready(self)

    def _beat(self, message: Message) -> None:
        self.missed = 0
        self.report = message

    def _hung_up(self) -> None:
        """One that cannot hear us is of no use; its end is told by the kernel."""
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        process: Any = self.transport
        if process is None or self.state is State.ENDED:
            return
        try:
            process.signalProcess(int(number))
        except ProcessExitedAlready:
            pass

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """What it says, line by line."""
        self._sayings.setdefault(childFD, Saying()).take(data, lambda line: self._crew.said(self, childFD, line))

    def processExited(self, reason: Failure) -> None:
        """It is gone; what it wrote may still come."""
        process: Any = self.transport
        self._lingering = self._crew.clock.callLater(LINGER, process.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and nothing more comes from it."""
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        for descriptor, saying in self._sayings.items():
            saying.end(lambda line, descriptor=descriptor: self._crew.said(self, descriptor, line))  # type: ignore[misc]
        self.state = State.ENDED
        self._crew.ended(self, reason)


class Saying:
    """Lines out of a stream."""

    MOST = 1 << 20

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes, tell: Callable[[bytes], None]) -> None:
        """Tell the lines that are whole; one without an end is cut."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            tell(line)
        if len(self._rest) > self.MOST:
            self.end(tell)

    def end(self, tell: Callable[[bytes], None]) -> None:
        """Tell what is left."""
        rest, self._rest = self._rest, b""
        if rest:
            tell(rest)


@dataclass
class Post:
    """
    A number, and who has it.

    :ivar failures: ends in a row that came within :data:`STEADY`.
    :ivar restarts: how often its worker was replaced.
    """

    number: int
    worker: Worker | None = None
    failures: int = 0
    restarts: int = 0
    waiting: IDelayedCall | None = None


@dataclass
class Crew:
    """
    All of them.

    :param count: how many.
    :param start: starts the process of a worker and connects its bus; raises OSError.
    :param patience: seconds a worker may be stuck.
    :param answer: answers what workers ask.
    :param said: told every line that a worker writes, with its descriptor.
    :param cleared: told the number of a worker that has ended.
    :ivar generation: raised with every new configuration.
    :ivar past: counters of those that have ended.
    """

    clock: IReactorTime
    count: int
    start: Callable[[Worker], None]
    patience: float
    answer: Callable[[Message], Any]
    said: Callable[[Worker, int, bytes], None]
    cleared: Callable[[int], None] = lambda number: None
    generation: int = 0
    past: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.posts = [Post(number) for number in range(self.count)]
        self._open: Deferred[None] | None = None
        self._ever_ready = False
        self._stopping = False
        self._stopped: list[Deferred[None]] = []
        self._cut: IDelayedCall | None = None
        self._failed_logins: deque[tuple[float, Message]] = deque(maxlen=REMEMBERED)
        self._looking = LoopingCall(self._look)
        self._looking.clock = self.clock

    @property
    def workers(self) -> list[Worker]:
        """Those that have not ended, by number."""
        return [post.worker for post in self.posts if post.worker is not None]

    @property
    def serving(self) -> list[Worker]:
        """Those that serve."""
        return [one for one in self.workers if one.state is State.SERVING]

    # -- starting ------------------------------------------------------------------------------------------------

    def open(self) -> Deferred[None]:
        """
        Start everybody; fires when all are ready, or have been tried and some are.

        :raises Ending: (through the Deferred) no worker can start, in the words of the first that said why.
        """
        opened: Deferred[None] = Deferred()
        self._open = opened
        self._looking.start(self.patience / BEATS, now=False)
        for post in self.posts:
            self._start(post)
        return opened

    def _start(self, post: Post) -> None:
        post.waiting = None
        if self._stopping:
            return
        worker = post.worker = Worker(self, post.number)
        try:
            self.start(worker)
        except OSError as error:
            log.error("worker {number} cannot be started: {reason}", number=post.number, reason=str(error))
            worker.state = State.ENDED
            self.ended(worker, None)

    def became_ready(self, worker: Worker) -> None:
        """Tell it what the others know, and whoever waits for the start."""
        self._ever_ready = True
        now = self.clock.seconds()
        for when, message in self._failed_logins:
            if when > now - FAILURES_COUNT:
                worker.bus.tell("login", **{**message, "age": now - when})
        log.info("worker {number} serves, process {pid}", number=worker.number, pid=worker.process_id)
        self._perhaps_open()

    def _perhaps_open(self) -> None:
        """Everybody has been tried, and somebody serves."""
        tried = all(post.failures or (post.worker and post.worker.state is State.SERVING) for post in self.posts)
        if self._open is not None and tried and self.serving:
            opened, self._open = self._open, None
            opened.callback(None)

    def _fail_start(self, ending: Ending) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.errback(ending)

    # -- ends ----------------------------------------------------------------------------------------------------

    def ended(self, worker: Worker, reason: Failure | None) -> None:
        """Take note, and have another in its place."""
        post = self.posts[worker.number]
        if post.worker is not worker:
            return
        post.worker = None
        self.past.update(worker.report.get("sums", {}))
        self.cleared(worker.number)
        for other in self.serving:
            other.bus.changes.add_everything()
            other.bus.passed()
        if self._stopping:
            self._perhaps_stopped()
        else:
            self._replace(post, worker, reason)

    def _replace(self, post: Post, worker: Worker, reason: Failure | None) -> None:
        why = worker.reason.text if worker.reason else str(reason.value) if reason else "it could not be started"
        lived = self.clock.seconds() - worker.began
        post.failures = 0 if lived >= STEADY else post.failures + 1
        if not self._ever_ready and (worker.reason or post.failures >= TRIES):
            self._fail_start(worker.reason or Ending(f"no worker starts: {why}; the log says more", SOFTWARE))
            return
        pause = min(LONGEST_PAUSE, 2.0 ** (post.failures - 2)) if post.failures > 1 else 0.0
        post.restarts += 1
        log.error(
            "worker {number} has ended after {lived:.1f} s ({why}); another starts in {pause:.0f} s",
            number=worker.number,
            lived=lived,
            why=why,
            pause=pause,
        )
        post.waiting = self.clock.callLater(pause, self._start, post)
        self._perhaps_open()

    def _look(self) -> None:
        """Ask everybody for a sign of life; who has not given one for too long is ended."""
        for worker in self.workers:
            young = worker.state is State.STARTING and self.clock.seconds() - worker.began < START_LIMIT
            if young or worker.state is State.STOPPING:
                continue
            if worker.missed >= BEATS:
                log.error(
                    "worker {number}, process {pid}, has not answered for {patience:.0f} s and is ended",
                    number=worker.number,
                    pid=worker.process_id,
                    patience=self.patience,
                )
                self._end(worker)
            else:
                worker.missed += 1
                worker.bus.tell("beat")

    def _end(self, worker: Worker) -> None:
        """Have a stuck worker write where it is, then kill it."""
        worker.state = State.STOPPING
        worker.signal(signal.SIGUSR2)
        self.clock.callLater(LAST_WORDS, worker.signal, signal.SIGKILL)

    # -- passing on ----------------------------------------------------------------------------------------------

    def relay_changes(self, source: Worker, mail: Mapping[str, list[int]] | None) -> None:
        """Tell the others."""
        for other in self.serving:
            if other is source:
                continue
            if mail is None:
                other.bus.changes.add_everything()
            else:
                for account, mailboxes in mail.items():
                    other.bus.changes.add(account, mailboxes)
            other.bus.passed()

    def relay_login(self, source: Worker, message: Message) -> None:
        """Tell the others of a log-in that failed, or of one that succeeded and so forgives."""
        told = {"key": message["key"], "failed": message["failed"]}
        self._failed_logins.append((self.clock.seconds(), told))
        for other in self.serving:
            if other is not source:
                other.bus.tell("login", **told, age=0.0)

    # -- asking --------------------------------------------------------------------------------------------------

    async def ask_all(
        self, question: Message, limit: float = ANSWER_LIMIT, numbers: Collection[int] | None = None
    ) -> dict[int, Message]:
        """
        What each worker that serves answers, by its number; those that do not answer are left out.

        :param limit: seconds.
        :param numbers: whom to ask; None for everybody.
        """
        chosen = [one for one in self.serving if numbers is None or one.number in numbers]
        asked = {one.number: one.bus.ask(question, limit) for one in chosen}
        answered = await outcomes(list(asked.values()))
        return {
            number: outcome.result
            for number, outcome in zip(asked, answered, strict=True)
            if outcome.failure is None and outcome.result is not None
        }

    async def ask_one(self, question: Message) -> Message:
        """
        What the first worker that serves answers.

        :raises Refusal: it refuses, or none serves.
        """
        serving = self.serving
        if not serving:
            raise TryLater("no worker serves now")
        return await serving[0].bus.ask(question)

    # -- stopping ------------------------------------------------------------------------------------------------

    def stop(self, limit: float) -> Deferred[None]:
        """
        Have everybody finish; who has not after so many seconds is killed.  Fires when no process is left.
        """
        done: Deferred[None] = Deferred()
        self._stopped.append(done)
        if not self._stopping:
            self._stopping = True
            if self._looking.running:
                self._looking.stop()
            for post in self.posts:
                if post.waiting is not None and post.waiting.active():
                    post.waiting.cancel()
            for worker in self.workers:
                worker.state = State.STOPPING
                worker.bus.tell("stop", limit=limit * IN_TIME)
            self._cut = self.clock.callLater(limit, self._kill_all)
        self._perhaps_stopped()
        return done

    def _kill_all(self) -> None:
        for worker in self.workers:
            log.error("worker {number} has not stopped in time and is killed", number=worker.number)
            worker.signal(signal.SIGKILL)

    def _perhaps_stopped(self) -> None:
        if self.workers:
            return
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        stopped, self._stopped = self._stopped, []
        for done in stopped:
            done.callback(None)
