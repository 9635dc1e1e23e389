"""
The grammar of questions: sentences that end in a mark, with nothing between them.

A question ends with ``?``, an answer with ``.``; neither holds its own mark anywhere else.  There is no newline, no
encoding is assumed, and a sentence may arrive in any number of pieces or glued to others.  Both sides use
:func:`sentences`.
"""

from __future__ import annotations

from itertools import takewhile

QUESTION_MARK = b"?"
FULL_STOP = b"."

MAX_QUESTION = 4_096
"""Octets of a question with its mark, by default."""

MOST_QUESTION = 65_536
"""Octets that the limit on questions may be raised to."""

MAX_ANSWER = 65_536
"""Octets of an answer with its full stop that a client takes."""

BATCH = 1_024
"""Sentences found at once, so that what they are answered with has a bound."""


class SentenceTooLong(Exception):
    """The limit is reached and the mark has not come."""


class NotASentence(ValueError):
    """Octets that would not be read as exactly one sentence on the other side."""


def sentences(data: bytes, mark: bytes, limit: int, most: int = BATCH) -> list[bytes]:
    """
    The whole sentences at the start of ``data``, each with its mark; what is behind the last of them is not whole yet.

    :param limit: largest length in octets, mark included; the sentences before a longer one are still found.
    :param most: how many to look for.
    :raises SentenceTooLong: the first sentence is longer than its limit.
    """
    found = [part + mark for part in data.split(mark, most)[:-1]]
    if len(data) >= limit and max(map(len, found), default=len(data) + 1) > limit:
        found = list(takewhile(lambda one: len(one) <= limit, found))
        if not found:
            raise SentenceTooLong
    return found


def sentence(data: bytes, mark: bytes) -> bytes:
    """
    ``data``, if it is one whole sentence.

    :raises NotASentence: it does not end with the mark, or holds it elsewhere.
    """
    if data.find(mark) != len(data) - 1 or not data:
        raise NotASentence(f"{data[:80]!r} is not one sentence ending with {mark!r}")
    return data
