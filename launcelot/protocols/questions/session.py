"""
What a peer is told besides answers: refusals and errors in this protocol's words.

A session has no states: every question is lawful at every time.  Errors are answers like any other, so a client that
counts full stops stays in step.
"""

from __future__ import annotations

from collections.abc import Awaitable

from launcelot.core.errors import Refusal
from launcelot.protocols.questions.grammar import FULL_STOP, sentence

TOO_LONG = b"Error: question too long."
TOO_MANY = b"Error: too many connections."
INTERNAL = b"Error: internal error."


def reply_for(refusal: Refusal) -> bytes:
    """A refusal as an answer: one line of ASCII with one full stop, at its end."""
    text = refusal.text.encode("ascii", "backslashreplace")
    return b"Error: " + b" ".join(text.replace(FULL_STOP, b" ").split()) + FULL_STOP


async def settle(answer: Awaitable[bytes]) -> bytes:
    """
    Wait for an answer.

    :raises NotASentence: what came is not an answer; a bug of whoever answers.
    """
    try:
        return sentence(await answer, FULL_STOP)
    except Refusal as refusal:
        return reply_for(refusal)
