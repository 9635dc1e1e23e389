"""
What a test leaves behind, and who made it.

Six kinds: calls that are still to come, on the world's clock or the process's reactor; failures that nobody looked at; Deferreds
that somebody waits for and that never fired; open connections; open ports; threads.  Who made a thing is the innermost line of
code, at the time, that belongs neither to Twisted nor to this kit.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

import twisted

NOT_MAKERS = (
    str(Path(twisted.__file__).parent),
    str(Path(__file__).parent),
    str(Path(threading.__file__).parent),
    "<",
)
"""Whose lines are passed over."""

OURS = str(Path(__file__).parent.parent)


def maker(frame: FrameType | None) -> str:
    """The line that is to blame, seen from a frame; empty if there is none."""
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(NOT_MAKERS):
            return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
        frame = frame.f_back
    return ""


class WatchedClock(Clock):
    """A clock that knows who asked to be called."""

    def __init__(self) -> None:
        super().__init__()
        self.makers: dict[Any, str] = {}
        self._ours: set[Any] = set()

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:
        """As Twisted's."""
        call = super().callLater(delay, callable, *args, **kw)
        self.makers[call] = maker(sys._getframe(1))
        return call

    def of_the_world(self, delay: float, callable: Callable[..., object], *args: object) -> Any:
        """Call something later that is none of the test's business, such as a fault."""
        call = super().callLater(delay, callable, *args)
        self._ours.add(call)
        return call

    def left(self) -> list[str]:
        """The calls that are still to come, one line each."""
        calls: list[Any] = list(self.getDelayedCalls())
        return [
            f"a call is still to come in {call.getTime() - self.seconds():g} s: {_named(call.func)},"
            f" made at {self.makers.get(call) or 'a place unknown'}"
            for call in calls
            if call not in self._ours
        ]


class Deferreds:
    """Keeps every Deferred that is made, from :meth:`begin` to :meth:`end`."""

    def __init__(self) -> None:
        self._made: list[tuple[Deferred[Any], str]] = []

    def begin(self, patch: Callable[[Any, str, Any], object]) -> None:
        """
        Begin.

        :param patch: Trial's, which puts things back at the end of the test.
        """
        plain = Deferred.__init__
        made = self._made

        def watched(deferred: Deferred[Any], canceller: Any = None) -> None:
            plain(deferred, canceller)
            frame = sys._getframe(1)
            who = maker(frame)
            if who and not frame.f_code.co_filename.startswith(OURS):
                made.append((deferred, who))

        patch(Deferred, "__init__", watched)

    def end(self) -> list[str]:
        """What is wrong with them, one line each; nothing is kept any longer."""
        made, self._made[:] = list(self._made), []
        found = []
        for deferred, who in made:
            result = getattr(deferred, "result", None)
            if not deferred.called and deferred._callbacks:
                found.append(f"a Deferred that somebody waits for never fired: made at {who}")
            elif deferred.called and not deferred._callbacks and isinstance(result, Failure) and not _consumed(result):
                found.append(f"nobody looked at {result.value!r}: Deferred made at {who}")
                deferred.addErrback(lambda _: None)
        return found


def _consumed(failure: Failure) -> bool:
    return failure.check(CancelledError) is not None


class Threads:
    """Sees which threads are started, by whom, and which have not ended."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())
        self._makers: dict[threading.Thread, str] = {}

    def begin(self, patch: Callable[[Any, str, Any], object]) -> None:
        """Begin; see :meth:`Deferreds.begin`."""
        plain = threading.Thread.start
        makers = self._makers

        def start(thread: threading.Thread) -> None:
            makers[thread] = maker(sys._getframe(1))
            plain(thread)

        patch(threading.Thread, "start", start)

    def end(self) -> list[str]:
        """Those that run, one line each; the process's own pool does not count."""
        return [
            f"a thread still runs: {thread.name}, started at {self._makers.get(thread) or 'a place unknown'}"
            for thread in threading.enumerate()
            if thread not in self._before and not thread.name.startswith("PoolThread-twisted.internet.reactor")
        ]


class ProcessReactor:
    """The calls that wait on the process's reactor, if there is one; none is installed to find out."""

    def __init__(self) -> None:
        self._before = set(self._calls())

    def begin(self, patch: Callable[[Any, str, Any], object]) -> None:
        """Have calls remember who made them; Twisted's own ``debug`` formats whole stacks for it."""
        plain = DelayedCall.__init__

        def watched(call: Any, *arguments: Any, **named: Any) -> None:
            plain(call, *arguments, **named)
            call.maker = maker(sys._getframe(1))

        patch(DelayedCall, "__init__", watched)

    def _calls(self) -> list[Any]:
        reactor: Any = sys.modules.get("twisted.internet.reactor")
        return [] if reactor is None else list(reactor.getDelayedCalls())

    def end(self) -> list[str]:
        """Those that were not there before, one line each; cancelled, so that the next test is not blamed."""
        found = []
        for call in self._calls():
            if call not in self._before:
                who = getattr(call, "maker", "") or "a place unknown"
                found.append(f"a call on the process's reactor is still to come: {_named(call.func)}, made at {who}")
                call.cancel()
        return found


def _named(function: Any) -> str:
    return str(getattr(function, "__qualname__", function))


def collect() -> None:
    """Have dropped failures logged, by the garbage collector."""
    gc.collect()
