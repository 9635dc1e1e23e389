"""When to try again: back-off that doubles up to a longest pause, until a mail is too old.  RFC 5321 section 4.5.4.1."""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    The pauses between attempts.

    :ivar first: seconds after the first failure; each later pause is twice the one before.
    :ivar longest: seconds no pause goes beyond.
    :ivar lifetime: seconds after acceptance past which a failure is the last.
    """

    first: float = 30.0
    longest: float = 3_600.0
    lifetime: float = 5 * DAY

    def pause(self, attempts: int) -> float:
        """Seconds to wait after that many failed attempts (at least one)."""
        return min(self.longest, self.first * 2.0 ** min(attempts - 1, 32))

    def expired(self, age: float) -> bool:
        """Whether a mail accepted ``age`` seconds ago is given up when it fails now."""
        return age >= self.lifetime
