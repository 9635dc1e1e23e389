"""
Log-in names in one canonical form, so that two spellings of a name are never two accounts.

The form is that of PRECIS usernames (RFC 8265 section 3.3) with full case folding: composed, case-folded, and nothing in
it that looks like something else.  It is narrower than PRECIS where names meet the rest of the daemon: a canonical name
is always a valid local part (RFC 5321 ``Dot-string``), a safe file name, no path, no pattern and no format directive, and
it has neither ``@`` (so that it is never taken for an address) nor ``+`` (so that it is never taken for a detail).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import idna

from launcelot.core.errors import Invalid

MAX_NAME = 64
"""Octets of UTF-8 in a canonical name."""

ASCII = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_=~!#$&'^{}")
"""The ASCII characters of canonical names."""

VALID = idna.idnadata.codepoint_classes["PVALID"]
"""Letters, digits and marks that are their own normal form (RFC 5892); PRECIS derives its identifiers the same way."""


@lru_cache(maxsize=4_096)  # A log-in asks four times; what is too long or no name is not kept.
def canonical(name: str) -> str:
    """
    The one form of a log-in name.

    :raises Invalid: the name is empty, over :data:`MAX_NAME` octets in its canonical form, or has a character, a
        direction or a place of dots that no name may have.
    """
    if len(name) > MAX_NAME:
        raise Invalid("name too long")
    folded = fold(name)
    if not folded:
        raise Invalid("name is empty")
    if len(folded.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise Invalid("name too long")
    if folded[0] in ".-" or folded[-1] == "." or ".." in folded:
        raise Invalid("dots or dashes in the wrong place in the name")
    if not folded.isascii():
        check_international(folded)
    elif not ASCII.issuperset(folded):
        raise Invalid("character not allowed in a name")
    return folded


def fold(name: str) -> str:
    """Composed and case-folded."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def check_international(folded: str) -> None:
    """
    Refuse what only names beyond ASCII can have wrong.

    :raises Invalid: such a character, a mark without its letter, or mixed directions (RFC 5893).
    """
    for character in folded:
        if character not in ASCII and (
            character.isascii() or not idna.intranges_contain(ord(character), VALID)
        ):
            raise Invalid("character not allowed in a name")
    if fold(folded) != folded:
        raise Invalid("name has no canonical form")
    try:
        idna.check_initial_combiner(folded)
        idna.check_bidi(folded)
    except idna.IDNAError:
        raise Invalid("mark or direction not allowed in a name") from None
