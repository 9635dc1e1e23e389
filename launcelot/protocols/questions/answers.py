"""
Answers: what is known, by question.  Knows nothing of networks.

This room has no commands: the questions are the vocabulary, and a table of answers takes the place of ``commands.py``.
Who knows more than a table writes an object with :meth:`Answering.answer`, plain or ``async``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from launcelot.protocols.questions.grammar import BATCH, FULL_STOP, QUESTION_MARK, sentence

UNKNOWN = b"Error: unknown aphorism."


class Answering(Protocol):
    """Whoever answers questions."""

    def answer(self, question: bytes) -> bytes | Awaitable[bytes]:
        """
        Answer one question.

        :param question: as it came, whatever its encoding, with its ``?``.
        :returns: the answer, with its full stop and no other; or something to wait for, while which the same peer's
            further questions stay unread.
        :raises Refusal: told to the peer as an error; the connection stays.
        """


class Known:
    """
    Answers at hand, found by looking into a dictionary: no call for each question, and nothing that can fail.

    :param table: whole questions and answers.
    :ivar one: the answer to exactly one whole question; None for all else.
    """

    __slots__ = ("_by_words", "one")

    def __init__(self, table: Mapping[bytes, bytes] = MappingProxyType({})) -> None:
        self.one = dict(table).get
        # Splitting takes the marks off; putting them on again would cost more than all the rest.
        self._by_words = {question.removesuffix(QUESTION_MARK): answer for question, answer in table.items()}.get

    def all(self, data: bytes) -> list[bytes] | None:
        """The answers to whole questions glued to each other; None if one is not known, not whole, or they are many."""
        *questions, rest = data.split(QUESTION_MARK, BATCH)
        answers = [answer for answer in map(self._by_words, questions) if answer is not None]
        return None if rest or len(answers) < len(questions) else answers


@runtime_checkable
class Knowing(Answering, Protocol):
    """Whoever answers most questions from a table."""

    def known(self) -> Known:
        """What is at hand now, asked anew at each read event; all else is asked with :meth:`answer`."""


class Answers:
    """
    Answers from a table.

    :param table: answers by question.
    :param unknown: the answer to every other question.
    :raises NotASentence: a question or an answer in the table could not be told apart on the wire.
    """

    __slots__ = ("_known", "_table", "_unknown")

    def __init__(self, table: Mapping[bytes, bytes] | None = None, unknown: bytes = UNKNOWN) -> None:
        chosen = BOOK if table is None else table
        self._table = {
            sentence(question, QUESTION_MARK): sentence(answer, FULL_STOP) for question, answer in chosen.items()
        }
        self._known = Known(self._table)
        self._unknown = sentence(unknown, FULL_STOP)

    def known(self) -> Known:
        """All of the table."""
        return self._known

    def answer(self, question: bytes) -> bytes:
        """The answer, or that there is none."""
        return self._table.get(question, self._unknown)


KNIGHT: Mapping[bytes, bytes] = MappingProxyType(
    {
        b"What is your name?": b"My name is Sir Lancelot of Camelot.",
        b"What is your quest?": b"To seek the Holy Grail.",
        b"What is your favorite color?": b"Blue.",
    }
)
"""*Foundations of Python Network Programming*, 2nd edition, chapter 7."""

ZEN: Mapping[bytes, bytes] = MappingProxyType(
    {
        b"Beautiful is better than?": b"Ugly.",
        b"Explicit is better than?": b"Implicit.",
        b"Simple is better than?": b"Complex.",
    }
)
"""The same, 3rd edition, chapter 7."""

BOOK: Mapping[bytes, bytes] = MappingProxyType({**KNIGHT, **ZEN})
"""Both; no question is in both."""
