"""
Answers: what is known, by question.  Knows nothing of networks.

This room has no commands: the questions are the vocabulary, and a table of answers takes the place of ``commands.py``.
Who knows more than a table writes an object with :meth:`Answering.answer`, plain or ``async``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Protocol

from launcelot.protocols.questions.grammar import FULL_STOP, QUESTION_MARK, sentence

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


class Answers:
    """
    Answers from a table.

    :param table: answers by question.
    :param unknown: the answer to every other question.
    :raises NotASentence: a question or an answer in the table could not be told apart on the wire.
    """

    __slots__ = ("_table", "_unknown")

    def __init__(self, table: Mapping[bytes, bytes] | None = None, unknown: bytes = UNKNOWN) -> None:
        chosen = BOOK if table is None else table
        self._table = {
            sentence(question, QUESTION_MARK): sentence(answer, FULL_STOP) for question, answer in chosen.items()
        }
        self._unknown = sentence(unknown, FULL_STOP)

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
