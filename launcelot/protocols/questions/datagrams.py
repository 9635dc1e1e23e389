"""
The grammar of questions in datagrams: one question, one answer; and what is never answered.

A datagram is one question, or one question behind a request identifier::

    What is your name?          My name is Sir Lancelot of Camelot.
    #7f3a What is your name?    #7f3a My name is Sir Lancelot of Camelot.

The identifier is 1 to 16 letters and digits between ``#`` and a blank, and stands before the answer, so that who has asked often
knows what an answer belongs to.  What does not end in its only question mark is not answered: since answers end in a full stop,
no answer is ever answered.  An answer longer than three times its question is not sent, so that nobody is flooded through us.
"""

from __future__ import annotations

import re

from launcelot.protocols.questions.grammar import FULL_STOP, QUESTION_MARK, NotASentence, sentence

MOST_TIMES = 3
"""How many times the length of its question an answer may have."""

CUT = b"Error: use TCP."
"""In place of an answer that is too long, where it fits itself."""

_IDENTIFIED = re.compile(rb"#[0-9A-Za-z]{1,16} ")


def parse_request(datagram: bytes) -> tuple[bytes, bytes] | None:
    """
    A datagram's identifier as it stands before the question, which may be empty, and the question.

    None if it is not exactly one question.
    """
    found = _IDENTIFIED.match(datagram)
    start = found.end() if found else 0
    try:
        return datagram[:start], sentence(datagram[start:], QUESTION_MARK)
    except NotASentence:
        return None


def fit(identifier: bytes, answer: bytes, request: bytes) -> bytes | None:
    """The datagram of an answer; shorter words where that would be too long; None where nothing fits."""
    for words in (answer, CUT):
        if len(identifier) + len(words) <= MOST_TIMES * len(request):
            return identifier + words
    return None


def parse_answer(identifier: bytes, datagram: bytes) -> bytes | None:
    """
    The answer in a datagram; None if it belongs to another request.

    :raises NotASentence: it is cut short, or no answer at all.
    """
    if not datagram.startswith(identifier):
        return None
    return sentence(datagram[len(identifier) :], FULL_STOP)
