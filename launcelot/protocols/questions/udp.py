"""
Questions over UDP: a server, polite as :mod:`launcelot.protocols.questions.datagrams` says, and a client that asks until heard.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from launcelot.core.errors import Refusal
from launcelot.core.rates import TokenBuckets
from launcelot.hosting.calling import Truncated
from launcelot.hosting.datagrams import DatagramServer, Source
from launcelot.hosting.inquiry import DatagramClient
from launcelot.protocols.questions.answers import Answering
from launcelot.protocols.questions.datagrams import fit, parse_answer, parse_request
from launcelot.protocols.questions.grammar import QUESTION_MARK, NotASentence, sentence
from launcelot.protocols.questions.session import TOO_LONG, reply_for, settle

if TYPE_CHECKING:
    from launcelot.hosting.site import Site
    from launcelot.protocols.questions.service import Settings

IDENTIFIER_BITS = 64


class QuestionsDatagrams(DatagramServer):
    """One UDP endpoint that answers."""

    def __init__(self, site: Site, rates: TokenBuckets, settings: Settings, answers: Answering) -> None:
        super().__init__(site, "questions-udp", rates, settings.answer_timeout)
        self._answer = answers.answer
        self._longest = settings.max_question

    def respond(self, datagram: bytes, source: Source) -> bytes | Awaitable[bytes | None] | None:
        """The answer, if the datagram is a question and the answer not too long."""
        request = parse_request(datagram)
        if request is None:
            return None
        identifier, question = request
        if len(question) > self._longest:
            return fit(identifier, TOO_LONG, datagram)
        try:
            answer = self._answer(question)
        except Refusal as refusal:
            answer = reply_for(refusal)
        if isinstance(answer, bytes):
            return fit(identifier, answer, datagram)
        return self._later(identifier, answer, datagram)

    async def _later(self, identifier: bytes, answer: Awaitable[bytes], datagram: bytes) -> bytes | None:
        return fit(identifier, await settle(answer), datagram)


class QuestionsDatagramClient(DatagramClient):
    """
    Asks over UDP; give it a socket with :func:`launcelot.hosting.inquiry.connect_datagrams`.

    Any number of questions may be under way; identifiers that nobody can guess tell their answers apart.
    """

    random_bits: Callable[[int], int] = staticmethod(secrets.randbits)

    def ask(self, question: bytes) -> Deferred[bytes]:
        """
        Ask one question, again and again; the result is its answer, with its full stop.

        Errors are those of :mod:`launcelot.hosting.calling`.

        :param question: with its ``?``.
        :raises NotASentence: it is not exactly one question.
        """
        identifier = b"#%016x " % self.random_bits(IDENTIFIER_BITS)

        def accept(datagram: bytes) -> bytes | None:
            try:
                return parse_answer(identifier, datagram)
            except NotASentence:
                raise Truncated("the answer broke off") from None

        return self.inquire(identifier + sentence(question, QUESTION_MARK), accept)
