"""
What was logged as an error while a Site ran: bugs of sessions, and failures of Deferreds that nobody looked at.

The log is the process's, so complaints of others are heard as well; those that other reactors' threads make of themselves are not
counted, except for dropped Deferreds, which whoever collects garbage reports.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python import failure
from zope.interface import implementer

OURS = "launcelot"


@implementer(ILogObserver)
class Complaints:
    """Listens between :meth:`begin` and :meth:`end`."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._failures = 0

    def begin(self) -> None:
        """Listen."""
        self._failures = failure.count
        globalLogPublisher.addObserver(self)

    def end(self) -> list[str]:
        """Listen no more; what was heard, one line each."""
        if failure.count != self._failures:
            # One of those that were made since then may be in a Deferred that waits for the collector.
            gc.collect(0)
        globalLogPublisher.removeObserver(self)
        return self._heard

    def __call__(self, event: LogEvent) -> None:
        """Look at one event."""
        level = event.get("log_level")
        if level is None or level < LogLevel.error:
            return
        namespace = str(event.get("log_namespace", ""))
        failure = event.get("log_failure")
        if not namespace.startswith(OURS) and not (failure is not None and _is_ours(failure)):
            return
        why = "" if failure is None else f": {failure.type.__name__}: {failure.getErrorMessage()}"
        self._heard.append(f"{formatEvent(event) or namespace}{why}")


def _is_ours(failure: Any) -> bool:
    return any(f"/{OURS}/" in frame[1] for frame in failure.frames)
