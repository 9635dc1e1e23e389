"""
Telling a client that its command is still being worked on.  RFC 9585.

A :class:`Progress` surrounds work during which nothing else is written; every :data:`INTERVAL` seconds the client hears of
it, so that it neither gives up nor wonders.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.session import Session

INTERVAL = 10.0
"""Seconds between two notifications, and before the first."""


class Progress:
    """
    Some work, as a context.

    :param goal: how many pieces of work there are; None where nobody knows.
    :ivar done: how many of them have been done.
    """

    def __init__(self, session: Session, goal: int | None = None) -> None:
        self._session = session
        self._goal = goal
        self.done = 0

    def __enter__(self) -> Self:
        self._stop = self._session.wire.every(INTERVAL, self._tell)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def _tell(self) -> None:
        session = self._session
        # A bracket would end the response code for whoever looks for the first one.
        tag = b"NIL" if b"]" in session.tag else responses.string(session.tag)
        state = b"NIL NIL" if self._goal is None else b"%d %d" % (self.done, self._goal)
        session.inform("Still working", b"INPROGRESS (%b %b)" % (tag, state))
        session.wire.flush()
