"""
The grammar of framed questions: netstrings, and JSON behind a length of 32 bits.

*Foundations of Python Network Programming*, chapter 5, on framing.  A frame says how long it is before it begins; one that would
be too long is refused by its length, before any of it is kept.  ::

    18:What is your name?,                          35:My name is Sir Lancelot of Camelot.,
    00 00 00 21 {"question":"What is your name?"}   00 00 00 30 {"answer":"My name is Sir Lancelot of Camelot."}

Netstrings are those of D. J. Bernstein's note of 1997: no leading zeros.  JSON is UTF-8 (RFC 8259 section 8.1); the length is
unsigned, big-endian, and does not count itself.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from typing import Protocol

from launcelot.core.errors import Invalid, Refusal, TooLarge
from launcelot.protocols.questions.grammar import FULL_STOP, QUESTION_MARK, NotASentence, sentence
from launcelot.protocols.questions.session import reply_for

LENGTH = struct.Struct("!I")

JSON_OVERHEAD = 64
"""Octets of a JSON frame that are not its question."""

JSON_ESCAPE = 6
"""Octets that one character may take in JSON: ``\\uXXXX``."""


COMMA = 0x2C

# One encoder for all: json.dumps makes a new one for each call with options, which costs more than the encoding.
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class BadFrame(Exception):
    """The stream is out of step: where the next frame begins is not known.  The text is for the peer."""


class Framing(Protocol):
    """One way to frame questions and answers."""

    def most(self, longest: int) -> int:
        """The largest payload that a question of ``longest`` octets may need."""

    def next(self, data: bytes, start: int, most: int) -> tuple[bytes, int] | None:
        """
        The payload of the frame that begins at ``start``, and where the next one begins; None if it is not whole yet.

        :param most: largest payload in octets.
        :raises BadFrame: there is no frame, or it is longer.
        """

    def frame(self, payload: bytes) -> bytes:
        """A payload in its frame."""

    def question(self, payload: bytes) -> bytes:
        """
        The question in a payload.

        :raises Invalid: there is none.
        """

    def answer(self, answer: bytes) -> bytes:
        """The frame of an answer."""

    def refusal(self, refusal: Refusal) -> bytes:
        """The frame of a refusal."""

    def asked(self, question: bytes) -> bytes:
        """
        The frame of a question.

        :raises NotASentence: it cannot be said in this framing.
        """

    def heard(self, payload: bytes) -> bytes:
        """
        The answer in a payload; a refusal in the words it has without a frame.

        :raises NotASentence: there is none.
        """


def question_in(framing: Framing, payload: bytes, longest: int) -> bytes:
    """
    The question in a payload.

    :raises Invalid: there is none.
    :raises TooLarge: it is longer than ``longest`` octets.
    """
    question = framing.question(payload)
    if len(question) > longest:
        raise TooLarge("question too long")
    return checked(question)


def checked(question: bytes) -> bytes:
    """
    A question as whoever answers may be asked it: one sentence, even where a frame could hold more.

    :raises Invalid: it is none.
    """
    try:
        return sentence(question, QUESTION_MARK)
    except NotASentence:
        raise Invalid("not a question") from None


class Netstrings:
    """``LENGTH:PAYLOAD,`` with the length in decimal digits."""

    _HEAD = re.compile(rb"(0|[1-9][0-9]{0,8}):")
    _BEGINNING = re.compile(rb"(?:0|[1-9][0-9]{0,8})?\Z")

    def most(self, longest: int) -> int:
        """As many as the question."""
        return longest

    def next(self, data: bytes, start: int, most: int) -> tuple[bytes, int] | None:
        """See :meth:`Framing.next`."""
        head = self._HEAD.match(data, start)
        if head is None:
            if self._BEGINNING.match(data, start):
                return None
            raise BadFrame("not a netstring")
        length = int(head[1])
        if length > most:
            raise BadFrame("question too long")
        begin = head.end()
        end = begin + length
        if len(data) <= end:
            return None
        if data[end] != COMMA:
            raise BadFrame("not a netstring")
        return data[begin:end], end + 1

    def frame(self, payload: bytes) -> bytes:
        """See :meth:`Framing.frame`."""
        return b"%d:%b," % (len(payload), payload)

    def question(self, payload: bytes) -> bytes:
        """The payload as it is."""
        return payload

    def answer(self, answer: bytes) -> bytes:
        """See :meth:`Framing.answer`."""
        return self.frame(answer)

    def refusal(self, refusal: Refusal) -> bytes:
        """The same words as without a frame."""
        return self.frame(reply_for(refusal))

    def asked(self, question: bytes) -> bytes:
        """See :meth:`Framing.asked`."""
        return self.frame(question)

    def heard(self, payload: bytes) -> bytes:
        """See :meth:`Framing.heard`."""
        return sentence(payload, FULL_STOP)


class JsonBlocks:
    """A JSON object behind its length: ``question`` in, ``answer`` or ``error`` out."""

    def most(self, longest: int) -> int:
        """All of it may be escaped."""
        return JSON_ESCAPE * longest + JSON_OVERHEAD

    def next(self, data: bytes, start: int, most: int) -> tuple[bytes, int] | None:
        """See :meth:`Framing.next`."""
        begin = start + LENGTH.size
        if len(data) < begin:
            return None
        (length,) = LENGTH.unpack_from(data, start)
        if length > most:
            raise BadFrame("question too long")
        if len(data) < begin + length:
            return None
        return data[begin : begin + length], begin + length

    def frame(self, payload: bytes) -> bytes:
        """See :meth:`Framing.frame`."""
        return LENGTH.pack(len(payload)) + payload

    def question(self, payload: bytes) -> bytes:
        """The member ``question``; others are ignored."""
        question = self._text(payload, "question")
        if question is None:
            raise Invalid('not a JSON object with a text as "question"')
        return question

    def answer(self, answer: bytes) -> bytes:
        """Octets that are no UTF-8 are written as escapes."""
        return self._object({"answer": answer.decode("utf-8", "backslashreplace")})

    def refusal(self, refusal: Refusal) -> bytes:
        """Its text as ``error``, without the punctuation that tells sentences apart."""
        return self._object({"error": refusal.text})

    def asked(self, question: bytes) -> bytes:
        """See :meth:`Framing.asked`; only UTF-8 can be said in JSON."""
        try:
            return self._object({"question": question.decode("utf-8")})
        except UnicodeDecodeError:
            raise NotASentence(f"{question[:80]!r} is not UTF-8, so it cannot be asked in JSON") from None

    def heard(self, payload: bytes) -> bytes:
        """The member ``answer``, else ``error``."""
        answer = self._text(payload, "answer")
        if answer is not None:
            return sentence(answer, FULL_STOP)
        error = self._text(payload, "error")
        if error is None:
            raise NotASentence('not a JSON object with a text as "answer" or "error"')
        return reply_for(Refusal(error.decode()))

    def _text(self, payload: bytes, member: str) -> bytes | None:
        """A member of an object in UTF-8, if that is a text."""
        try:
            given = json.loads(payload.decode("utf-8"))
            text = given[member] if isinstance(given, dict) else None
            return text.encode("utf-8") if isinstance(text, str) else None
        except (ValueError, KeyError, RecursionError):
            return None

    def _object(self, members: Mapping[str, str]) -> bytes:
        return self.frame(_ENCODE(members).encode("utf-8", "backslashreplace"))


NETSTRINGS = Netstrings()
JSON_BLOCKS = JsonBlocks()
