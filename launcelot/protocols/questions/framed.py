"""
Sir Launcelot behind other framings: netstrings, JSON behind its length, and a question that ends where the peer closes its side.

Each has listeners of its own; limits, order, flow control and who answers are those of the plain service.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import ClassVar

from twisted.internet.defer import Deferred, TimeoutError

from launcelot.core.errors import Invalid, LimitReached, Refusal, TryLater
from launcelot.core.wire import PeerGone
from launcelot.hosting.prompt import PromptServer
from launcelot.hosting.server import ServerStream
from launcelot.protocols.questions.frames import JSON_BLOCKS, NETSTRINGS, BadFrame, Framing, checked, question_in
from launcelot.protocols.questions.grammar import BATCH, FULL_STOP, sentence
from launcelot.protocols.questions.server import QuestionsFactory
from launcelot.protocols.questions.session import INTERNAL, TOO_LONG, reply_for, settle

TOO_MANY = LimitReached("too many connections")


class FramedServer(PromptServer):
    """One peer who asks in frames."""

    framing: ClassVar[Framing]

    def __init__(self, factory: QuestionsFactory) -> None:
        super().__init__(factory)
        self._answer = factory.answers.answer
        self._longest = factory.settings.max_question
        self._most = self.framing.most(self._longest)
        self.limit_idle(factory.settings.idle_timeout)

    def take(self, data: bytes) -> tuple[int, Awaitable[bytes] | None]:
        """Answer the whole frames in ``data``, up to the first whose answer must be waited for."""
        replies: list[bytes] = []
        taken = 0
        waiting = None
        bad = None
        try:
            while waiting is None and len(replies) < BATCH and (found := self.framing.next(data, taken, self._most)):
                payload, taken = found
                self.commands += 1
                reply = self._reply(payload)
                if isinstance(reply, bytes):
                    replies.append(reply)
                else:
                    waiting = reply
        except BadFrame as frame:
            bad = str(frame)
            replies.append(self.framing.refusal(Invalid(bad)))
        finally:
            # Also where an answer is a bug: those before it have been found.
            if replies:
                self.reply(b"".join(replies))
        if bad:
            self.outcome = bad
            self.close(linger=True)
        return taken, waiting

    def _reply(self, payload: bytes) -> bytes | Awaitable[bytes]:
        try:
            answer = self._answer(question_in(self.framing, payload, self._longest))
        except Refusal as refusal:
            return self.framing.refusal(refusal)
        return self.framing.answer(answer) if isinstance(answer, bytes) else self._later(answer)

    async def _later(self, answer: Awaitable[bytes]) -> bytes:
        try:
            return self.framing.answer(sentence(await answer, FULL_STOP))
        except Refusal as refusal:
            return self.framing.refusal(refusal)


class NetstringServer(FramedServer):
    """Questions and answers as netstrings."""

    framing = NETSTRINGS
    internal_error = NETSTRINGS.answer(INTERNAL)


class JsonServer(FramedServer):
    """Questions and answers as JSON objects behind their length."""

    framing = JSON_BLOCKS
    internal_error = JSON_BLOCKS.refusal(Refusal("internal error"))


class UntilCloseServer(ServerStream):
    """
    One question that ends where the peer closes its side, one answer that ends where we close ours.

    The peer has :attr:`Settings.idle_timeout` for all of it.
    """

    internal_error = INTERNAL
    factory: QuestionsFactory

    async def serve(self) -> None:
        """Read to the end, answer, and leave."""
        settings = self.factory.settings
        self.limit_total(settings.idle_timeout)
        question = b""
        try:
            while len(question) <= settings.max_question:
                question += await self.chunk(settings.max_question + 1)
        except PeerGone:
            self.write(await self._answered(question))
        else:
            self.outcome = "question too long"
            self.write(TOO_LONG)

    async def _answered(self, question: bytes) -> bytes:
        self.commands += 1
        try:
            answer = self.factory.answers.answer(checked(question))
            if isinstance(answer, bytes):
                return answer
            waiting = Deferred.fromCoroutine(settle(answer))
            return await waiting.addTimeout(self.factory.settings.answer_timeout, self.clock)
        except Refusal as refusal:
            return reply_for(refusal)
        except TimeoutError:
            return reply_for(TryLater("no answer in time"))

    def interrupt(self) -> None:
        """Leave at once unless the question has begun."""
        super().interrupt()
        if not self.received:
            self.outcome = "stopping"
            self.close()


class NetstringFactory(QuestionsFactory):
    """Admits peers that speak netstrings."""

    protocol = NetstringServer
    refusal = NETSTRINGS.refusal(TOO_MANY)


class JsonFactory(QuestionsFactory):
    """Admits peers that speak JSON."""

    protocol = JsonServer
    refusal = JSON_BLOCKS.refusal(TOO_MANY)


class UntilCloseFactory(QuestionsFactory):
    """Admits peers that ask once."""

    protocol = UntilCloseServer
