"""
A worker's log, which its master writes: one line of JSON for each event, through a pipe.

The worker never waits for the master: what does not fit into the pipe is counted, and the number is told with the next line that
does.  The master marks each line with the worker's number and gives it to whatever log it has itself.
"""

from __future__ import annotations

import fcntl
import json
import os
from functools import lru_cache
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, eventAsText
from zope.interface import implementer

from launcelot.app.loglines import short_text

PIPE = 1 << 20
"""Octets that a pipe may hold, where the system allows it."""

MOST = 32_768
"""Characters of one event."""


@implementer(ILogObserver)
class LogPipe:
    """
    An observer that writes into a pipe.

    :param descriptor: its end; made such that writing never waits.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._lost = 0
        os.set_blocking(descriptor, False)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)
        except OSError:
            # More than this user may have; the usual size does as well.
            pass

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        text = short_text(event) or eventAsText(event, includeTimestamp=False, includeSystem=False)
        level = event.get("log_level") or LogLevel.info
        line = {"level": level.name, "from": str(event.get("log_namespace")), "text": text[:MOST]}
        if "log_system" in event:
            line["system"] = str(event["log_system"])
        self.write(line)

    def write(self, line: dict[str, Any]) -> None:
        """Write a line, or count it as lost."""
        if self._lost:
            line["lost"] = self._lost
        data = self._rest + json.dumps(line).encode() + b"\n"
        try:
            sent = os.write(self._descriptor, data)
        except OSError:
            # The pipe is full, or the master is gone.
            self._lost += 1
            return
        self._lost = 0
        # The kernel may have taken the beginning of a line; its rest is written before anything else.
        self._rest = data[sent:]


def relog(number: int, line: bytes) -> dict[str, Any] | None:
    """
    Write a worker's event into our own log.

    :returns: the line, if it was no event but a word from worker to master.
    """
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        # The last line of one that was killed while it wrote.
        relog_output(number, line)
        return None
    if "text" not in event:
        return event
    log = logger_of(str(event["from"]))
    if event.get("lost"):
        log.warn("worker {number}: {lost} lines of its log were lost", number=number, lost=event["lost"])
    fields = {"log_system": event["system"]} if "system" in event else {}
    log.emit(LogLevel.lookupByName(event["level"]), "worker {number}: {text}", number=number, text=event["text"], **fields)
    return None


@lru_cache(256)
def logger_of(namespace: str) -> Logger:
    """Making one looks through the stack for whose it is."""
    return Logger(namespace=namespace)


def relog_output(number: int, line: bytes) -> None:
    """Write what a worker, or a library in it, has written to its standard output or error."""
    Logger(namespace="launcelot.workers").info(
        "worker {number} wrote: {line}", number=number, line=line.decode("utf-8", "replace")
    )
