"""
How long calls keep the reactor thread: its own processor time in each stretch between two waits, which other threads and other
programs on the machine do not lengthen.
"""

from __future__ import annotations

import gc
import time
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Holding:
    """
    Times coroutines.

    :ivar longest: seconds of the longest stretch of each, by name.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.longest: dict[str, float] = {}
        self._clock = clock

    @types.coroutine
    def timed(self, name: str, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Drive a coroutine and note how long each of its stretches takes."""
        step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
        while True:
            began = self._clock()
            try:
                waiting = step()
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self._note(name, self._clock() - began)
            try:
                value = yield waiting
            except BaseException as error:  # noqa: BLE001 - handed to the coroutine, as its driver would
                step = lambda error=error: work.throw(error)  # type: ignore[misc]  # noqa: E731
            else:
                step = lambda value=value: work.send(value)  # type: ignore[misc]  # noqa: E731

    async def all_of(self, name: str, batches: AsyncIterator[Any]) -> int:
        """Take everything from an iterator; how many batches there were."""

        async def drain() -> int:
            # Held together they would all be let go of in one stretch, which is nobody's call.
            count = 0
            async for _ in batches:
                count += 1
            return count

        return await self.timed(name, drain())

    def at_once(self, name: str, job: Callable[[], T]) -> T:
        """Time what does not wait."""
        began = self._clock()
        result = job()
        self._note(name, self._clock() - began)
        return result

    def _note(self, name: str, seconds: float) -> None:
        self.longest[name] = max(seconds, self.longest.get(name, 0.0))

    def over(self, limit: float) -> dict[str, float]:
        """What kept the thread longer than a limit, in milliseconds."""
        return {name: round(1000 * seconds, 1) for name, seconds in self.longest.items() if seconds > limit}


@contextmanager
def no_collections() -> Generator[None, None, None]:
    """Without the collector's pauses, which depend on everything else in the process."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
