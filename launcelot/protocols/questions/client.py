"""
Asks questions: any number at once, each answered in order, each ending exactly once whatever becomes of the connection.

::

    client = await launcelot.hosting.calling.connect(endpoint, QuestionsClientFactory(reactor))
    answer = await client.ask(b"What is your name?")

Framed questions are asked with ``QuestionsClientFactory(reactor, manner=NETSTRING)`` or ``JSON``, which are in
:mod:`launcelot.protocols.questions.asking`.  Where a question ends with our side of the connection each has one of its own::

    answer = await launcelot.hosting.conversation.call(endpoint, ask_until_close(reactor, b"What is your name?"))

The endpoint may be one of TCP or of a Unix socket.  For TLS the caller wraps it: ``wrapClientTLS(optionsForClientTLS(hostname),
endpoint)`` verifies certificate and name.  Over UDP asks :class:`launcelot.protocols.questions.udp.QuestionsDatagramClient`.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from launcelot.core.wire import PeerGone, WireEnd
from launcelot.hosting.calling import CallError, Confused, Truncated, why
from launcelot.hosting.conversation import Conversation, ConversationFactory
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.stream import Stream
from launcelot.protocols.questions.asking import PLAIN, Manner, NotAnAnswer
from launcelot.protocols.questions.grammar import FULL_STOP, MAX_ANSWER, QUESTION_MARK, NotASentence, sentence

TIMEOUT = 30.0
"""Seconds to wait for the next answer, by default."""

WINDOW = 16_384
"""Octets of questions under way; more wait here, so that neither side ever waits for the other to read."""


class QuestionsClient(Stream):
    """
    One connection to somebody who answers.

    :param timeout: seconds to wait for the next answer.
    :param manner: how questions are said and answers heard.
    """

    def __init__(
        self, clock: IReactorTime, deadlines: Deadlines, timeout: float = TIMEOUT, manner: Manner = PLAIN
    ) -> None:
        super().__init__(clock, deadlines)
        self.limit_idle(timeout)
        self._manner = manner
        self._waiting: deque[tuple[bytes, Deferred[bytes]]] = deque()
        self._asked: deque[tuple[bytes, Deferred[bytes]]] = deque()
        self._under_way = 0
        self._heard = b""
        self._hearing: Deferred[None] | None = None
        self._failed: CallError | None = None
        self._lost_because: Failure | None = None
        self._gone: list[Deferred[None]] = []

    def when_gone(self) -> Deferred[None]:
        """Fires once the connection has ended, however it did; ask before that."""
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        return gone

    def ask(self, question: bytes) -> Deferred[bytes]:
        """
        Ask one question; the result is its answer, with its full stop.

        Errors are those of :mod:`launcelot.hosting.calling`.  A cancelled question is still answered, to nobody.

        :param question: with its ``?``.
        :raises NotASentence: it is not exactly one question, or cannot be asked in this manner.
        """
        answer: Deferred[bytes] = Deferred()
        self._waiting.append((self._manner.asked(sentence(question, QUESTION_MARK)), answer))
        if self._failed is None and self.pending:
            self._break_off(Confused("the peer spoke before it was asked"))
        elif self._failed is not None:
            self._fail(self._failed)
        else:
            self._send()
            if self._hearing is None:
                self._hearing = Deferred.fromCoroutine(self._hear())
                self._hearing.addBoth(self._stopped_hearing)
        return answer

    def readConnectionLost(self) -> None:
        """Close, too, unless an answer may still be on its way."""
        super().readConnectionLost()
        if self._hearing is None:
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail what is still to be answered."""
        self._lost_because = reason
        super().connectionLost(reason)
        self._fail(self._failed or why(None, self._lost_because, bool(self._heard)))
        while self._gone:
            self._gone.pop().callback(None)

    def _send(self) -> None:
        while self._waiting and self._under_way < WINDOW:
            question, answer = self._waiting.popleft()
            self._asked.append((question, answer))
            self._under_way += len(question)
            self.write(question)
        self.flush()

    async def _hear(self) -> None:
        while self._asked:
            self._heard += await self.chunk()
            while found := self._answers():
                for answer in found:
                    self._settle(answer)
            self._send()
        if self._heard or self.pending:
            raise Confused("the peer said what nobody asked for")

    def _answers(self) -> list[bytes]:
        try:
            found, taken = self._manner.answers(self._heard)
        except NotAnAnswer as fault:
            raise Confused(str(fault)) from None
        self._heard = self._heard[taken:]
        return found

    def _settle(self, answer: bytes) -> None:
        if not self._asked:
            raise Confused("more answers than questions")
        question, asked = self._asked.popleft()
        self._under_way -= len(question)
        asked.callback(answer)

    def _stopped_hearing(self, result: Failure | None) -> None:
        self._hearing = None
        if not isinstance(result, Failure):
            return
        result.trap(WireEnd, Confused)
        if result.check(PeerGone):
            self._fail(self._failed or why(result, self._lost_because, bool(self._heard)))
            self.close()
        else:
            self._break_off(why(result, self._lost_because, bool(self._heard)))

    def _break_off(self, error: CallError) -> None:
        self._fail(error)
        self.abort()

    def _fail(self, error: CallError) -> None:
        self._failed = error
        left = [*self._asked, *self._waiting]
        self._asked.clear()
        self._waiting.clear()
        for _, answer in left:
            answer.errback(error)


class QuestionsClientFactory(Factory):
    """
    Makes clients.

    :param clock: the reactor, or a ``task.Clock``.
    :param timeout: seconds to wait for the next answer.
    :param manner: how questions are said and answers heard.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, timeout: float = TIMEOUT, manner: Manner = PLAIN) -> None:
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._timeout = timeout
        self._manner = manner

    def buildProtocol(self, addr: IAddress | None) -> QuestionsClient:
        """A client for one connection."""
        return QuestionsClient(self._clock, self._deadlines, self._timeout, self._manner)


class UntilCloseClient(Conversation):
    """
    Asks one question, which ends with our side of the connection, and hears the answer, which ends with the peer's.

    :param question: with its ``?``.
    """

    def __init__(
        self, clock: IReactorTime, deadlines: Deadlines, timeout: float = TIMEOUT, question: bytes = b""
    ) -> None:
        super().__init__(clock, deadlines, timeout)
        self._question = question

    async def converse(self) -> bytes:
        """The answer, with its full stop."""
        self.write(self._question)
        self.end_writing()
        heard = b""
        while len(heard) <= MAX_ANSWER:
            try:
                heard += await self.chunk()
            except PeerGone:
                if not heard or self.broken:
                    raise
                return self._whole(heard)
        raise Confused("the answer does not end")

    def _whole(self, heard: bytes) -> bytes:
        try:
            return sentence(heard, FULL_STOP)
        except NotASentence:
            raise Truncated("the answer broke off") from None


def ask_until_close(clock: IReactorTime, question: bytes, timeout: float = TIMEOUT) -> ConversationFactory:
    """
    What :func:`launcelot.hosting.conversation.call` needs to ask one question.

    :raises NotASentence: it is not exactly one question.
    """
    return ConversationFactory(UntilCloseClient, clock, timeout, sentence(question, QUESTION_MARK))
