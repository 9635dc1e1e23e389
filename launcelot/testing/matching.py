"""What a text should be: this one, one that matches, or one that a function says yes to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Wanted = str | re.Pattern[str] | Callable[[str], bool] | None
"""What a field should be: this text, something that matches, something a function says yes to, or anything."""


@dataclass(frozen=True)
class contains:
    """Says yes to text that has ``part`` in it."""

    part: str

    def __call__(self, text: str) -> bool:
        """Whether it does."""
        return self.part in text


def fits(wanted: Wanted, text: str, fold: bool = False) -> bool:
    """
    Whether a text is as wanted.

    :param fold: upper and lower case are the same, as in addresses.
    """
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return wanted.casefold() == text.casefold() if fold else wanted == text
    if isinstance(wanted, re.Pattern):
        return wanted.search(text) is not None
    return wanted(text)


def named(wanted: Wanted) -> str:
    """A wish, for people."""
    return repr(wanted.pattern) if isinstance(wanted, re.Pattern) else repr(wanted)
