"""
SASLprep: the one form of names and passwords that SCRAM hashes.  RFC 4013.

Follows Unicode 3.2 as RFC 3454 does, from the tables of :mod:`stringprep`.  Plain ASCII, which is nearly everything, is only
looked at for control characters.
"""

from __future__ import annotations

import stringprep
import unicodedata
from collections.abc import Callable
from typing import Final

PROHIBITED: Final[tuple[Callable[[str], bool], ...]] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
"""RFC 4013 section 2.3."""


class NotPrepared(ValueError):
    """The text has no prepared form."""


def saslprep(text: str, stored: bool = False) -> str:
    """
    The prepared form.  RFC 4013 section 2.

    :param stored: refuse code points that Unicode 3.2 does not assign, as is due for what is kept.  RFC 3454 section 7.
    :raises NotPrepared: it has prohibited or unassigned characters, or mixes directions of writing.
    """
    if text.isascii():
        if not text.isprintable():
            raise NotPrepared("control character")
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(one) else one for one in text if not stringprep.in_table_b1(one)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if any(prohibited(one) for one in prepared for prohibited in PROHIBITED):
        raise NotPrepared("prohibited character")
    if stored and any(map(stringprep.in_table_a1, prepared)):
        raise NotPrepared("unassigned character")
    _check_directions(prepared)
    return prepared


def _check_directions(text: str) -> None:
    """RFC 3454 section 6: right to left throughout, or nowhere."""
    if not any(map(stringprep.in_table_d1, text)):
        return
    if any(map(stringprep.in_table_d2, text)):
        raise NotPrepared("mixed directions")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise NotPrepared("right-to-left text must begin and end so")
