"""
The daemon's reactor: Twisted's epoll reactor, with a short way for the connections that carry the load.

Twisted puts every read event into a logging context of its own, asks the descriptor for its number again and goes once
round the main loop for each look at the kernel.  Here a read event of an :class:`~launcelot.hosting.transport.EagerServer`
is one call, and the loop looks again at once while nothing else is due.  Every other event, and every other kind of
descriptor, goes Twisted's own way.  Invariants:

- A timed call that is due, a call from a thread, a stop and a crash are attended to before the kernel is asked again.
- An exception out of a read event is logged and ends that one connection.
- Time is monotonic.
- The second SIGINT or SIGTERM changes nothing.

Only the roof installs it, and only where no other reactor is installed; nothing needs it, everything runs on Twisted's too.
"""

from __future__ import annotations

import select
import time
from types import FrameType

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python import log
from twisted.python.failure import Failure

from launcelot.hosting.transport import Eager

MOST_EVENTS = 256
"""Events taken from the kernel at once; between two takings timed calls and calls from threads have their turn."""

READABLE = (select.EPOLLIN, select.EPOLLIN | select.EPOLLHUP)
"""Of all events those that are handed on without ceremony: input, and input when both sides have said all they will."""

_log = Logger(namespace="launcelot.reactor")


class EagerReactor(EPollReactor):
    """See the module's text."""

    seconds = staticmethod(time.monotonic)

    def mainLoop(self) -> None:
        """Run until stopped."""
        while self._started:
            with _log.failuresHandled("unexpected error in the main loop"):
                self.runUntilCurrent()
                self._serve()

    def _serve(self) -> None:
        """Handle events until something else is due."""
        timeout = self.timeout() if self.running else 0.0
        while True:
            self.doPoll(timeout)
            if self.threadCallQueue or self._justStopped or not self.running:
                return
            timeout = self.timeout()
            if timeout is not None and timeout <= 0:
                return

    def doPoll(self, timeout: float | None) -> None:
        """
        Ask the kernel once and handle what it says.

        :param timeout: seconds to wait, or None for as long as it takes.
        """
        look_up = self._selectables.get
        for descriptor, event in self._poller.poll(-1 if timeout is None else timeout, MOST_EVENTS):
            selectable = look_up(descriptor)
            if event in READABLE and isinstance(selectable, Eager):
                try:
                    why = selectable.doRead()
                except BaseException as error:  # noqa: BLE001 - the edge, where Twisted's reactor has it too
                    log.callWithLogger(selectable, log.err, Failure())
                    self._end(selectable, error)
                else:
                    if why is not None:
                        self._end(selectable, why)
            elif selectable is not None:
                log.callWithLogger(selectable, self._doReadOrWrite, selectable, descriptor, event)

    doIteration = doPoll

    def sigInt(self, number: int, frame: FrameType | None = None) -> None:
        """Stop; impatient people press Control-C twice, and Twisted's reactor complains that it has stopped already."""
        if self._exitSignal is None and not self._stopped:
            super().sigInt(number, frame)

    def sigTerm(self, number: int, frame: FrameType | None = None) -> None:
        """Stop; ``timeout(1)`` sends it twice."""
        if self._exitSignal is None and not self._stopped:
            super().sigTerm(number, frame)

    def _end(self, selectable: Eager, why: BaseException) -> None:
        self._disconnectSelectable(selectable, why, True)  # type: ignore[no-untyped-call]


def install() -> EagerReactor:
    """
    Make it the process's reactor.

    :raises twisted.internet.error.ReactorAlreadyInstalledError: there is one.
    """
    reactor = EagerReactor()  # type: ignore[no-untyped-call]
    installReactor(reactor)
    return reactor
