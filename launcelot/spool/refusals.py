"""Refusals of mailboxes here in the words of delivery status notifications: RFC 3463 codes for each kind."""

from __future__ import annotations

from collections.abc import Mapping

from launcelot.core.errors import (
    Gone,
    Invalid,
    LimitReached,
    NotFound,
    NotPermitted,
    OverQuota,
    Refusal,
    TooLarge,
    Unsupported,
)
from launcelot.spool.interface import Fate, Verdict

STATUS: Mapping[type[Refusal], str] = {
    NotFound: "1.1",
    Gone: "2.1",
    OverQuota: "2.2",
    TooLarge: "2.3",
    NotPermitted: "7.1",
    Invalid: "6.0",
    Unsupported: "3.3",
    LimitReached: "3.2",
}
"""What follows the class of the code."""


def verdict_on(refusal: Refusal) -> Verdict:
    """A refusal as the verdict on one recipient."""
    detail = next((STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS), "3.0")
    if refusal.temporary:
        return Verdict(Fate.LATER, f"4.{detail}", refusal.text)
    return Verdict(Fate.NEVER, f"5.{detail}", refusal.text)
