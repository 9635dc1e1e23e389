"""
What master and workers say to each other: lines of JSON over a Unix socket that only the two of them have.

Each end tells (nobody answers), asks (the other end answers, or the asker is told that it does not), and passes on which
mailboxes have changed.  Changes are kept as what is still to be told, not as messages: while the other end does not read
they are merged, and past :data:`MOST_ACCOUNTS` they become "anything may have changed".  So an end that is stuck costs a
bounded amount of memory, and once it goes on it misses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TooLong
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from launcelot.core.errors import Refusal, TryLater

MAX_LINE = 8 << 20
"""Octets of one message; a status with many counters has thousands."""

MOST_UNREAD = 8 << 20
"""Octets that the other end may leave unread before the connection is given up."""

MOST_ACCOUNTS = 4_096
"""Accounts whose changes are remembered one by one."""

ANSWER_LIMIT = 30.0
"""Seconds an answer may take if nothing else is said."""

Message = Mapping[str, Any]
Hearing = Mapping[str, Callable[[Message], None]]
"""What is done with what is told, by its kind."""
Answering = Callable[[Message], Awaitable[Message]]

log = Logger(namespace="launcelot.bus")


class Changes:
    """
    Which mailboxes have changed and have not been told yet.

    :param most: accounts that are remembered one by one.
    """

    def __init__(self, most: int = MOST_ACCOUNTS) -> None:
        self._most = most
        self._mailboxes: dict[str, set[int]] = {}
        self._everything = False

    def __bool__(self) -> bool:
        return self._everything or bool(self._mailboxes)

    def add(self, account: str, mailboxes: Iterable[int]) -> None:
        """These have changed."""
        if self._everything:
            return
        self._mailboxes.setdefault(account, set()).update(mailboxes)
        if len(self._mailboxes) > self._most:
            self.add_everything()

    def add_everything(self) -> None:
        """Any may have changed."""
        self._everything = True
        self._mailboxes.clear()

    def take(self) -> Mapping[str, list[int]] | None:
        """What has changed since the last time, by account; None for anything."""
        everything, self._everything = self._everything, False
        taken, self._mailboxes = self._mailboxes, {}
        return None if everything else {account: sorted(numbers) for account, numbers in taken.items()}


@implementer(IPushProducer)
class Bus(Protocol):
    """
    One end.

    :param hear: by kind of message, what is done when it is told; kinds that are missing are passed over.
    :param answer: answers what is asked; a Refusal it raises is told to the asker in its words.
    :param lost: called once when the other end is gone.
    :ivar changes: what is to be passed on; call :meth:`passed` after adding.
    """

    def __init__(self, clock: IReactorTime, hear: Hearing, answer: Answering, lost: Callable[[], None]) -> None:
        self.changes = Changes()
        self._clock = clock
        self._hear = hear
        self._answer = answer
        self._lost = lost
        self._pieces: list[bytes] = []
        self._held = 0
        self._paused = False
        self._unread = 0
        self._flushing = False
        self._gone = False
        self._asked: dict[int, Deferred[Message]] = {}
        self._last_asked = 0

    # -- telling and asking --------------------------------------------------------------------------------------

    def tell(self, kind: str, **fields: Any) -> None:
        """Say something; lost where the other end is gone."""
        self._send({"tell": kind, **fields})

    def ask(self, question: Message, limit: float = ANSWER_LIMIT) -> Deferred[Message]:
        """
        What the other end answers.

        :param limit: seconds.
        :raises Refusal: (through the Deferred) it refuses, is gone, or takes too long.
        """
        self._last_asked += 1
        number = self._last_asked
        waiting: Deferred[Message] = Deferred()
        self._asked[number] = waiting
        self._send({"ask": number, "question": question})
        if self._gone:
            self._give_up()
        else:
            waiting.addTimeout(limit, self._clock, lambda failure, _: _late(failure))
        waiting.addBoth(self._forget, number)
        return waiting

    def _forget(self, outcome: Any, number: int) -> Any:
        self._asked.pop(number, None)
        return outcome

    def passed(self) -> None:
        """Something was added to :attr:`changes`; it is told at the end of this turn, with all that is added until then."""
        if self.changes and not (self._flushing or self._paused or self._gone) and self.transport is not None:
            self._flushing = True
            self._clock.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self.changes and not self._paused:
            self.tell("changed", mail=self.changes.take())

    def _send(self, message: Message) -> None:
        if self._gone:
            return
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        transport: Any = self.transport
        if self._paused:
            self._unread += len(line)
            if self._unread > MOST_UNREAD:
                log.error("the other end of a bus has not read for long; it is given up")
                transport.abortConnection()
                return
        transport.write(line)

    # -- hearing -------------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Be told when the other end does not read."""
        transport: Any = self.transport
        transport.registerProducer(self, True)
        self.passed()

    def dataReceived(self, data: bytes) -> None:
        """Take what has arrived; whole lines are messages."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = b"".join([*self._pieces, line])
            self._pieces = []
            self._held = 0
            self._take(whole)
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
            if self._held > MAX_LINE:
                self._break_off("a line is too long")

    def _break_off(self, why: str) -> None:
        log.error("the bus is given up: {why}", why=why)
        transport: Any = self.transport
        transport.abortConnection()

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self._break_off("a line is no JSON")
            return
        if "tell" in message:
            with log.failuresHandled("the bus could not take what it was told"):
                self._hear.get(message["tell"], _pass_over)(message)
        elif "ask" in message:
            answering = Deferred.fromCoroutine(self._reply(message["ask"], message["question"]))
            answering.addErrback(self._no_reply, message["ask"])
        elif "answer" in message:
            self._end_asking(message)

    async def _reply(self, number: int, question: Message) -> None:
        try:
            said = await self._answer(question)
        except Refusal as refusal:
            self._send({"answer": number, "refused": refusal.text})
        else:
            self._send({"answer": number, "said": said})

    def _no_reply(self, failure: Failure, number: int) -> None:
        if not failure.check(CancelledError):
            log.failure("internal error while answering over the bus", failure)
        self._send({"answer": number, "refused": "internal error"})

    def _end_asking(self, message: Message) -> None:
        waiting = self._asked.pop(message["answer"], None)
        if waiting is None:
            return
        if "refused" in message:
            waiting.errback(TryLater(message["refused"]))
        else:
            waiting.callback(message["said"])

    # -- flow and end --------------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The other end does not read: changes are merged until it does."""
        self._paused = True
        self._unread = 0

    def resumeProducing(self) -> None:
        """It reads again."""
        self._paused = False
        self.passed()

    def stopProducing(self) -> None:
        """The connection is going."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever waits for an answer is told that there is none."""
        self._gone = True
        self._give_up()
        self._lost()

    def _give_up(self) -> None:
        asked, self._asked = self._asked, {}
        for waiting in asked.values():
            waiting.errback(TryLater("the other process has ended"))


def _late(failure: Any) -> Any:
    if failure.check(TooLong, CancelledError):
        raise TryLater("the other process does not answer")
    return failure


def _pass_over(message: Message) -> None:
    """Another version's word; master and workers are of one, but a message more does no harm."""
