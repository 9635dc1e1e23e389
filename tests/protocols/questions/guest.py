"""Guests that tests name in settings."""

from __future__ import annotations

from types import SimpleNamespace

from twisted.internet.defer import Deferred

from launcelot.core.errors import NotPermitted


async def answer(question: bytes) -> bytes:
    """Answers, fails, refuses or keeps silent, as it is asked."""
    if question == b"Fail?":
        raise ZeroDivisionError("secret")
    if question == b"Leave?":
        raise SystemExit(3)
    if question == b"Refuse?":
        raise NotPermitted("ask somebody else")
    if question == b"Wrong?":
        return b"3.14."
    if question == b"Nothing?":
        return None  # type: ignore[return-value]
    if question == b"Never?":
        await Deferred()
    return question.replace(b"?", b".")


def at_once(question: bytes) -> bytes:
    """Answers without waiting."""
    if question == b"Fail?":
        raise ZeroDivisionError("secret")
    return b"At once."


class Oracle:
    """An object with an answer."""

    async def answer(self, question: bytes) -> bytes:
        """Always the same."""
        return b"Perhaps."


oracle = Oracle()
temple = SimpleNamespace(oracle=oracle)
number = 42
