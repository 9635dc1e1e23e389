"""
A reactor of one's own, in a thread of its own.

It is never installed, handles no signals and is not "the" I/O thread of the process: whatever else uses Twisted here, or does
not, XX for the answer, :meth:`ReactorThread.submit` does not wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from launcelot.hosting.reactor import EagerReactor

T = TypeVar("T")

STOP_LIMIT = 10.0
"""Seconds a reactor may take to end; past them it is stuck, and its thread is left behind."""


class Stuck(Exception):
    """Something blocks a private reactor's thread."""


class PrivateReactor(EagerReactor):
    """The daemon's reactor, for one thread of many."""

    _registerAsIOThread = False

    def close(self) -> None:
        """Give its descriptors back, once it has ended."""
        for reader in list(self._internalReaders):
            self._removeInternalReader(reader)
            reader.connectionLost(None)
        self._poller.close()


class ReactorThread:
    """
    One reactor, running from :meth:`start` to :meth:`stop`.

    :ivar reactor: to be touched in its own thread only.
    """

    def __init__(self, name: str = "launcelot") -> None:
        self.reactor = PrivateReactor()  # type: ignore[no-untyped-call]
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        self.reactor.run(installSignalHandlers=False)

    def start(self) -> None:
        """Start it; calls are taken from now on."""
        self._thread.start()

    def stop(self) -> None:
        """
        Stop it and give back what it held.

        :raises Stuck: it does not stop.
        """
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(STOP_LIMIT)
        if self._thread.is_alive():
            raise Stuck(f"the reactor's thread has not ended within {STOP_LIMIT:g} s")
        self.reactor.close()

    @property
    def inside(self) -> bool:
        """Whether the caller runs in the reactor's thread."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function returns in the reactor's thread, or raises."""
        if self.inside:
            return function(*arguments)
        answer: Future[T] = Future()
        self.reactor.callFromThread(_answer, answer, function, arguments)
        return answer.result()

    def submit(self, running: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the reactor's thread."""
        answer: Future[T] = Future()
        self.reactor.callFromThread(_start, answer, running)
        return answer

    def run(self, running: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """
        What a coroutine returns in the reactor's thread, or raises.

        :param timeout: seconds, after which it goes on but nobody waits.
        :raises TimeoutError: they have passed.
        """
        return self.submit(running).result(timeout)


def _answer(answer: Future[T], function: Callable[..., T], arguments: tuple[Any, ...]) -> None:
    try:
        answer.set_result(function(*arguments))
    except BaseException as error:  # noqa: BLE001 - handed on whole to the thread that asked
        answer.set_exception(error)


def _start(answer: Future[T], running: Coroutine[Any, Any, T]) -> None:
    def failed(failure: Failure) -> None:
        answer.set_exception(failure.value)

    Deferred.fromCoroutine(running).addCallbacks(answer.set_result, failed)
