"""
When to try again: back-off that doubles up to a longest pause, until a mail is too old.  RFC 5321 section 4.5.4.1.

Mail to other hosts begins with a longer pause than mail to mailboxes here, and no two pauses are quite the same, so that what
failed together does not come together again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

DAY = 86_400.0
HOUR = 3_600.0

LEAST_ATTEMPTS = 6
"""Failed attempts without which no mail to another host is too old, as the clock may be wrong: two hours until then."""

LEAST_ATTEMPTS_HERE = 9
"""Likewise for mailboxes here, which are tried more often."""


def no_jitter() -> float:
    """For pauses that are exactly what they are."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    The pauses between attempts.

    :ivar first: seconds after the first failure; each later pause is twice the one before.
    :ivar longest: seconds no pause goes beyond, but for its jitter.
    :ivar lifetime: seconds after acceptance past which a failure is the last.
    :ivar remote_first: as ``first``, for recipients elsewhere.
    :ivar notice_after: seconds after acceptance past which a failure is told to the sender; 0 for never.
    :ivar spread: the share of a pause to other hosts that chance adds or takes away.
    :ivar chance: gives a number from 0 up to 1.
    """

    first: float = 30.0
    longest: float = HOUR
    lifetime: float = 5 * DAY
    remote_first: float = 300.0
    notice_after: float = 4 * HOUR
    spread: float = 0.1
    chance: Callable[[], float] = no_jitter

    def pause(self, attempts: int, remote: bool = False) -> float:
        """Seconds to wait after that many failed attempts (at least one)."""
        first = self.remote_first if remote else self.first
        pause = min(self.longest, first * 2.0 ** min(attempts - 1, 32))
        return pause * (1.0 + self.spread * (2.0 * self.chance() - 1.0)) if remote and self.chance is not no_jitter else pause

    def expired(self, age: float, attempts: int, remote: bool = False) -> bool:
        """
        Whether a mail accepted ``age`` seconds ago is given up when it fails now.

        :param attempts: that have failed, this one among them.
        """
        return age >= self.lifetime and attempts >= (LEAST_ATTEMPTS if remote else LEAST_ATTEMPTS_HERE)

    def is_late(self, age: float) -> bool:
        """Whether the sender of a mail accepted ``age`` seconds ago is told that it takes long."""
        return 0 < self.notice_after <= age
