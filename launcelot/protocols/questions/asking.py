"""
How questions are said and answers heard: the client's half of every framing, by name.

Knows nothing of networks.  The server's half is in ``grammar``, for questions as they are, and in ``frames``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from launcelot.protocols.questions.frames import JSON_BLOCKS, NETSTRINGS, BadFrame, Framing
from launcelot.protocols.questions.grammar import (
    BATCH,
    FULL_STOP,
    MAX_ANSWER,
    NotASentence,
    SentenceTooLong,
    sentences,
)


class NotAnAnswer(ValueError):
    """The peer said what is no answer; where the next one begins is not known."""


class Manner(Protocol):
    """One way to ask."""

    def asked(self, question: bytes) -> bytes:
        """
        What is said to ask a question, which is one sentence.

        :raises NotASentence: it cannot be asked in this way.
        """

    def answers(self, heard: bytes) -> tuple[list[bytes], int]:
        """
        The whole answers at the start of what was heard, each with its full stop, and how many octets they took.

        :raises NotAnAnswer: there never will be one.
        """


class AsTheyAre:
    """Questions and answers with nothing around them."""

    def asked(self, question: bytes) -> bytes:
        """The question."""
        return question

    def answers(self, heard: bytes) -> tuple[list[bytes], int]:
        """See :meth:`Manner.answers`."""
        try:
            found = sentences(heard, FULL_STOP, MAX_ANSWER)
        except SentenceTooLong:
            raise NotAnAnswer("the answer does not end") from None
        return found, sum(map(len, found))


class Framed:
    """Questions and answers in frames."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._most = framing.most(MAX_ANSWER)
        self.asked = framing.asked

    def answers(self, heard: bytes) -> tuple[list[bytes], int]:
        """See :meth:`Manner.answers`."""
        found: list[bytes] = []
        taken = 0
        try:
            while len(found) < BATCH and (frame := self._framing.next(heard, taken, self._most)):
                payload, taken = frame
                found.append(self._framing.heard(payload))
        except (BadFrame, NotASentence) as fault:
            raise NotAnAnswer(str(fault)) from None
        return found, taken


PLAIN = AsTheyAre()
NETSTRING = Framed(NETSTRINGS)
JSON = Framed(JSON_BLOCKS)

MANNERS: Mapping[str, Manner] = {"plain": PLAIN, "netstring": NETSTRING, "json": JSON}
"""By the name of the framing."""
