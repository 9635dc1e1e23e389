"""
``message/global`` in BODY and BODYSTRUCTURE, which IMAP4rev1 and IMAP4rev2 tell in different forms.

For IMAP4rev2 such a part is a message, with envelope and structure (RFC 9051 section 9, ``media-message``).  RFC 3501 knows only
``message/rfc822`` as one and would take an envelope for the MD5 of extension data, so there it is a leaf.  What is stored is the
first; both are made of that where they are told, which few messages need: :data:`MARK` is in no others, but in those of which a
literal holds it.

A ``message/global`` that is encoded, which RFC 6532 section 3.7 allows, is not looked into; the grammar of IMAP4rev2 has no form
for that, so it is told as what a reader takes it for who does not know the type (RFC 2046 section 5.2.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MARK = b'("message" "global" '
"""Begins each ``message/global``."""

_OPAQUE = b'"application" "octet-stream" '
_TOKEN = re.compile(rb'[()]|"(?:[^"\\]|\\.)*+"|\{(\d++)\}\r\n|[^ ()"{]++', re.DOTALL)
_ENVELOPE, _LINES = 7, 9
"""Places in a message's list: what a leaf has not goes from the one to the other."""


@dataclass(slots=True)
class _Listed:
    """
    A list that has been begun.

    :ivar places: where each thing in it begins and ends.
    """

    start: int
    places: list[tuple[int, int]] = field(default_factory=list)


def for_rev1(form: bytes) -> bytes:
    """BODY or BODYSTRUCTURE as stored, with each ``message/global`` a leaf."""
    if MARK not in form:
        return form
    cuts = [(places[_ENVELOPE][0] - 1, places[_LINES][1]) for places in _globals(form) if _is_message(form, places)]
    return _changed(form, cuts, b"")


def for_rev2(form: bytes) -> bytes:
    """The same with no ``message/global`` that is a leaf."""
    if MARK not in form:
        return form
    leaves = [(places[0][0], places[2][0]) for places in _globals(form) if not _is_message(form, places)]
    return _changed(form, leaves, _OPAQUE)


def _is_message(form: bytes, places: list[tuple[int, int]]) -> bool:
    return len(places) > _LINES and form[places[_ENVELOPE][0]] == 40


def _globals(form: bytes) -> Iterator[list[tuple[int, int]]]:
    """The places of what is in the list of each ``message/global``, those within others before these."""
    open_lists = [_Listed(0)]
    at = 0
    while at < len(form):
        found = _TOKEN.match(form, at)
        if found is None:
            at += 1
            continue
        start, at = found.span()
        sign = form[start]
        if sign == 40:
            open_lists.append(_Listed(start))
            continue
        if sign == 41:
            if len(open_lists) == 1:
                return
            ended = open_lists.pop()
            start = ended.start
            # The third thing in it is a list or NIL; in a list of parameters that begins the same it is a string.
            if form.startswith(MARK, start) and len(ended.places) > 6 and form[ended.places[2][0]] in b"(N":
                yield ended.places
        elif found[1] is not None:
            at += int(found[1])
        open_lists[-1].places.append((start, at))


def _changed(form: bytes, places: list[tuple[int, int]], words: bytes) -> bytes:
    """With other words in some places; those within others go with them."""
    pieces: list[bytes] = []
    at = 0
    for start, end in sorted(places):
        if start >= at:
            pieces += form[at:start], words
            at = end
    return b"".join(pieces) + form[at:]
