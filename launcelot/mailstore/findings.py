"""What a look through a mail file finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that is wrong.

    :ivar kind: one word for programs.
    :ivar mended: whether it has been put right.
    """

    kind: str
    text: str
    mended: bool = False
