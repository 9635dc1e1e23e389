"""What an account's mail may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launcelot.core.errors import OverQuota


@dataclass(slots=True)
class Limits:
    """
    What an account's mail may take; 0 for no limit.

    Whoever holds it may change it, which counts from the next message on.

    :ivar beside: octets of other things of the account that count as well; may block, and be called in any thread.
    """

    octets: int = 0
    messages: int = 0
    beside: Callable[[], int] = int

    @property
    def any(self) -> bool:
        """Whether there is a limit."""
        return self.octets > 0 or self.messages > 0

    def check(self, octets: int, messages: int) -> None:
        """
        Refuse what there would be.

        :raises OverQuota: that is over a limit.
        """
        if 0 < self.messages < messages or (self.octets and self.octets < octets + self.beside()):
            raise OverQuota
