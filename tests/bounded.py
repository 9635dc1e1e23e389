"""
What tests may say about time, so that neither a slow machine nor a busy one makes them fail.

:func:`linear` is for work that grows with its input and not with the square of it: a guard, not a measure.  A call is stopped,
and its test fails, after :data:`GUARD` seconds of processor time.  What is linear in the inputs that the tests use takes
well under one second on any machine and does not get there.  What is quadratic has to: the tests repeat each piece at
least 200,000 times and over at least a million octets, so that looking anew at what is left for each piece is at least
200,000 * 1,000,000 / 2 = 10 ** 11 octets, for each octet 5 * 10 ** 11.  A regular expression needs 0.7 to 2 ns for each on a fast
machine, that is 70 to 1,000 s; Python code, at 50 ns for each piece, 200,000 ** 2 / 2 * 50 ns = 1,000 s.  What is not seen
is a mere copy of what is left for each piece (0.07 ns an octet).

Where a time is promised, it is measured as processor time of the one thread that matters (:func:`processor_time` or
``time.thread_time``), which other programs do not lengthen, on a machine as quick as this one is now (:func:`slowness`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import AnyStr

GUARD = 30.0
"""Seconds of processor time."""
PIECES = 200_000
"""How often a piece is repeated at least."""
OCTETS = 1_000_000
"""Octets (or characters) of an input at least."""

QUICK = 0.008
"""Seconds of processor time that :func:`_sample` took on the machine where the tests were written."""


class NotLinear(AssertionError):
    """It went on until the guard stopped it."""


def many(piece: AnyStr) -> AnyStr:
    """A piece so often that nothing quadratic gets through it."""
    return piece * max(PIECES, -(-OCTETS // len(piece)))


@contextmanager
def linear(what: object = "", guard: float = GUARD) -> Iterator[None]:
    """
    Stop what does not come to its end.  Only for the main thread, where tests run.

    :param what: for the failure's text.
    :param guard: seconds of processor time of the whole process.
    :raises NotLinear: in the midst of what went on for too long, and behind it should it have been caught there.
    """
    over = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal over
        over = True
        raise NotLinear(f"{what!r:.200} took {guard:g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, guard)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
    if over:
        raise NotLinear(f"{what!r:.200} took {guard:g} s of processor time")


def processor_time(process: int, reactor: bool = False) -> float:
    """
    Seconds of processor time that another process has had, in steps of 10 ms.

    :param process: its number.
    :param reactor: that of its first thread alone, where the reactor runs.
    """
    place = f"/proc/{process}/task/{process}/stat" if reactor else f"/proc/{process}/stat"
    fields = Path(place).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slowness() -> float:
    """How many times slower than where the tests were written work goes now, at least 1."""
    goes = []
    for _ in range(5):
        began = time.thread_time()
        _sample()
        goes.append(time.thread_time() - began)
    return max(1.0, max(goes) / QUICK)


def _sample() -> None:
    table = {}
    for number in range(100_000):
        table[number & 1_023] = str(number)
