"""
The one place where the process's reactor is taken, and where it ends.
"""

from __future__ import annotations

import atexit
import os
import select
import sys
import time
from typing import Any

from launcelot.app.errors import Ending
from launcelot.hosting.descriptors import raise_limit


def take_reactor() -> Any:
    """
    The process's reactor, on a clock that nobody can set, with as many descriptors as the process may have.

    Twisted's reactors go by the wall clock: set back an hour, every timer waits an hour longer.  Ours is installed
    unless another is already, as by ``twistd --reactor``, or the system has no epoll.
    """
    if "twisted.internet.reactor" not in sys.modules and hasattr(select, "epoll"):
        from launcelot.hosting.reactor import install

        install()
    from twisted.internet import reactor

    raise_limit()
    type(reactor).seconds = staticmethod(time.monotonic)  # type: ignore[assignment]
    return reactor


def say(text: str) -> None:
    """Words for people, on the real standard error, whatever logging has made of ``sys.stderr``."""
    stream = sys.__stderr__
    if stream is not None:
        stream.write("".join(f"launcelot: {line}\n" for line in text.splitlines()))
        stream.flush()


class Leaving:
    """
    Ends a program under ``twistd``, which knows no exit codes of services.

    Before the reactor runs that is a ``SystemExit``; while it runs the reactor is stopped, and the code is given when the
    interpreter ends, after twistd has removed its pid file.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._status = 0
        atexit.register(self._leave)

    def __call__(self, ending: Ending) -> None:
        """Say why, and end."""
        say(ending.text)
        if not self._reactor.running:
            if is_detached():
                # twistd's parent process waits for an exception to tell the user about; a SystemExit it cannot see.
                raise ending
            raise SystemExit(ending.status)
        self._status = ending.status
        self._reactor.stop()

    def _leave(self) -> None:
        if self._status:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(self._status)


def is_detached() -> bool:
    """Whether standard error goes nowhere, as in a daemon that twistd has put into the background."""
    try:
        return os.path.samestat(os.fstat(2), os.stat(os.devnull))
    except OSError:
        return True
