"""
Drives a session's coroutine, without a Deferred for each wait for the peer.

A session waits for its peer at every command, and a Deferred made, awaited and fired costs more than reading and answering
the command.  :class:`Driven` takes what the coroutine waits for in two kinds: a :class:`Source`, to which it attaches
itself and which resumes it directly, and a Deferred, for everything else (stores, drains, timers).  Invariants:

- A coroutine runs in a context (:mod:`contextvars`) of its own, as under ``Deferred.fromCoroutine``.
- Cancelling ends the present wait with ``CancelledError``; while it runs, or when it has ended, it does nothing.
- Who waits for neither kind is told so by a TypeError out of its ``await``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from inspect import CORO_CLOSED, getcoroutinestate, iscoroutine
from types import coroutine
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure


class Reader(Protocol):
    """Whoever waits at a source: a :class:`Driven`, or a Deferred."""

    def callback(self, result: None, /) -> None:
        """Go on."""

    def cancel(self) -> None:
        """Give up."""


class Source:
    """
    Something that one reader at a time waits at.

    :ivar _reader: who waits; taken away before it is called.
    """

    _reader: Reader | None = None

    def _forget_reader(self, _cancelled: Any) -> None:
        self._reader = None


@coroutine
def arrival(source: Source) -> Generator[Any, Any, None]:
    """
    Wait until ``source`` calls its reader; under ``Deferred.fromCoroutine`` too.

    :raises RuntimeError: somebody waits there already.
    """
    if source._reader is not None:
        raise RuntimeError("two readers of one connection")
    # Twisted hands back at once what is not a Deferred, which is how we know that nobody of ours drives this coroutine.
    if (yield source) is source:
        waiting: Deferred[None] = Deferred(source._forget_reader)
        source._reader = waiting
        yield from waiting


class Driven:
    """
    A running coroutine.

    :param done: called once when it has ended, with None or with the failure it ended in.
    """

    __slots__ = ("_coroutine", "_done", "_run", "_waits_at")

    def __init__(self, running: Coroutine[Any, Any, None], done: Callable[[Failure | None], None]) -> None:
        self._coroutine = running
        self._done = done
        self._run = copy_context().run
        self._waits_at: Source | Deferred[Any] | None = None

    def start(self) -> None:
        """Run to the first wait."""
        self._resume(self._coroutine.send, None)

    def callback(self, result: None, /) -> None:
        """Called by the source it waits at: go on."""
        self._resume(self._coroutine.send, None)

    def cancel(self) -> None:
        """End the present wait."""
        waits_at = self._waits_at
        if isinstance(waits_at, Source):
            waits_at._forget_reader(self)
            self._resume(self._coroutine.throw, CancelledError())
        elif waits_at is not None:
            waits_at.cancel()

    @property
    def running(self) -> bool:
        """Whether the coroutine has not ended."""
        return getcoroutinestate(self._coroutine) != CORO_CLOSED

    def where(self) -> str:
        """The innermost place in the coroutine's code that it waits at, for the log; empty if it has ended."""
        at = ""
        within: Any = self._coroutine
        while iscoroutine(within) and within.cr_frame is not None:
            code = within.cr_frame.f_code
            at = f"{code.co_qualname} ({'/'.join(code.co_filename.split('/')[-2:])}, line {within.cr_frame.f_lineno})"
            within = within.cr_await
        return at

    def _fired(self, result: Any) -> None:
        if isinstance(result, Failure):
            self._resume(result.throwExceptionIntoGenerator, self._coroutine)
        else:
            # What is awaited is the Deferred itself, and it hands its result out by itself.
            self._resume(self._coroutine.send, None)

    def _resume(self, how: Callable[[Any], Any], what: Any) -> None:
        self._waits_at = None
        try:
            waits_at = self._run(how, what)
        except StopIteration:
            self._done(None)
        except BaseException:  # noqa: BLE001 - handed on whole, as a Deferred does
            self._done(Failure())
        else:
            self._wait_at(waits_at)

    def _wait_at(self, waits_at: Any) -> None:
        if isinstance(waits_at, Source):
            self._waits_at = waits_at
            waits_at._reader = self
        elif isinstance(waits_at, Deferred):
            self._waits_at = waits_at
            waits_at.addBoth(self._fired)
        else:
            self._resume(self._coroutine.throw, TypeError(f"a session cannot wait for {waits_at!r}"))
