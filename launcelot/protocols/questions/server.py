"""
Sir Launcelot: answers questions inside the read event that brought them, in order, one write for each read.

Known questions that come whole take a short way (:meth:`QuestionsServer.at_once`); pieces, strangers and answers that have to be
waited for take the long one (:meth:`QuestionsServer.take`), which alone would do.  :mod:`launcelot.hosting.prompt` has flow
control, half-close and deadlines.  A question that is too long is told so and the connection is closed: where the next one
begins is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from launcelot.core.errors import Refusal
from launcelot.core.limits import ConnectionCount
from launcelot.hosting.prompt import PromptServer
from launcelot.hosting.server import ServerFactory, ServerStream
from launcelot.protocols.questions.answers import Answering, Knowing, Known
from launcelot.protocols.questions.grammar import QUESTION_MARK, SentenceTooLong, sentences
from launcelot.protocols.questions.session import INTERNAL, TOO_LONG, TOO_MANY, reply_for, settle

if TYPE_CHECKING:
    from launcelot.hosting.site import Site
    from launcelot.protocols.questions.service import Settings


class QuestionsServer(PromptServer):
    """One peer who asks."""

    internal_error = INTERNAL

    def __init__(self, factory: QuestionsFactory) -> None:
        super().__init__(factory)
        self._answer = factory.answers.answer
        self._known = factory.known
        self._longest = factory.settings.max_question
        self.limit_idle(factory.settings.idle_timeout)

    def at_once(self, data: bytes) -> bytes | None:
        """The answers where all of ``data`` is questions that are known, which is what most read events bring."""
        if len(data) > self._longest:
            return None
        known = self._known()
        answer = known.one(data)
        if answer is not None:
            self.commands += 1
            return answer
        answers = known.all(data)
        if answers is None:
            return None
        self.commands += len(answers)
        return b"".join(answers)

    def take(self, data: bytes) -> tuple[int, Awaitable[bytes] | None]:
        """Answer the whole questions in ``data``, up to the first whose answer must be waited for."""
        try:
            questions = sentences(data, QUESTION_MARK, self._longest)
        except SentenceTooLong:
            return self._refuse()
        answers: list[bytes] = []
        taken = 0
        waiting = None
        try:
            for question in questions:
                taken += len(question)
                try:
                    answer = self._answer(question)
                except Refusal as refusal:
                    answer = reply_for(refusal)
                if not isinstance(answer, bytes):
                    waiting = settle(answer)
                    break
                answers.append(answer)
        finally:
            # Also where an answer is a bug: those before it have been found.
            self.commands += len(answers) + (waiting is not None)
            if answers:
                self.reply(b"".join(answers))
        return taken, waiting

    def _refuse(self) -> tuple[int, None]:
        self.outcome = "question too long"
        self.reply(TOO_LONG)
        self.close(linger=True)
        return 0, None


class QuestionsFactory(ServerFactory):
    """
    Admits peers to the questions.

    :param answers: who answers; one object for all peers.
    """

    protocol: type[ServerStream] = QuestionsServer
    offers_tls = False
    refusal = TOO_MANY

    def __init__(
        self,
        site: Site,
        name: str,
        count: ConnectionCount,
        settings: Settings,
        answers: Answering,
        implicit_tls: bool = False,
    ) -> None:
        super().__init__(site, name, count, implicit_tls)
        self.settings = settings
        self.answers = answers
        nothing = Known()
        self.known: Callable[[], Known] = answers.known if isinstance(answers, Knowing) else lambda: nothing
