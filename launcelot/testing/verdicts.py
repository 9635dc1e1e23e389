"""
What came of a dialogue that was cut, in words: what the client believes, and what is true.
"""

from __future__ import annotations

DONE = "done"
LOST = "client believes it is done although nothing was stored: it is lost"
REPEATABLE = "client failed, nothing stored: a retry is right"
DOUBLED = "client failed although the message was stored: a retry doubles it"
WAITING = "client waits, nothing stored"
WAITING_STORED = "client waits although the message was stored: a retry doubles it"


def judged(done: bool | None, stored: int) -> str:
    """
    An outcome.

    :param done: whether the client believes that it has done what it was to do; None while it still waits.
    :param stored: how often the server has done it.
    """
    if stored > 1:
        return f"stored {stored} times"
    if done is None:
        return WAITING_STORED if stored else WAITING
    if done:
        return DONE if stored else LOST
    return DOUBLED if stored else REPEATABLE
