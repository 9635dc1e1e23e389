"""
Writing down what was checked: the Authentication-Results field, and the one that sends a mail into Junk.  RFC 8601.

Fields of that name that came with the mail and claim to be ours are taken out (RFC 8601 section 5); all others stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcelot.checks.interface import Case, Result
from launcelot.message.headers import Buffer, fields, unfold
from launcelot.message.trace import fold

RESULTS = b"authentication-results"
JUNK = "X-Launcelot-Junk"
"""The field that says that a mail goes into Junk, and why."""

_FOREIGN = re.compile(r"[^A-Za-z0-9.@_+=/:-]")
_FOREIGN_TEXT = re.compile(r"[^ A-Za-z0-9.,@_+=/:'-]")
MAX_VALUE = 255
TOP = 16_384
"""Octets at the top of a mail in which our own fields are looked for."""

_OURS = frozenset({RESULTS, JUNK.lower().encode()})


def written(case: Case) -> bytes:
    """The fields about a mail, with CRLFs."""
    pieces = [f"{case.hostname};"]
    for place, one in enumerate(case.results):
        words = _pieces(one)
        words[-1] += ";" if place + 1 < len(case.results) else ""
        pieces += words
    if not case.results:
        pieces.append("none")
    found = fold("Authentication-Results:", pieces)
    if case.quarantined:
        found += fold(f"{JUNK}:", _FOREIGN_TEXT.sub("?", case.quarantined[:MAX_VALUE]).split())
    return found


def _pieces(result: Result) -> list[str]:
    found = [f"{result.method}={result.value}"]
    if result.reason:
        found.append(f'reason="{_FOREIGN_TEXT.sub("?", result.reason[:MAX_VALUE])}"')
    return found + [f"{name}={_FOREIGN.sub('?', value[:MAX_VALUE])}" for name, value in result.properties]


def without_forged(head: bytes, hostname: str) -> bytes:
    """A header section without fields that only we may write."""
    return b"".join(_kept(head, hostname))


def _kept(head: bytes, hostname: str) -> Iterator[bytes]:
    position = 0
    for field in fields(head, 0, len(head)):
        name = field.name.lower()
        if name not in _OURS:
            continue
        value = unfold(head[field.value_start : field.value_end])
        if name == RESULTS and hostname.lower().encode() not in value.partition(b";")[0].lower():
            continue
        yield head[position : field.start]
        position = field.end
    yield head[position:]


def goes_into_junk(body: Buffer) -> bool:
    """
    Whether we have written on top of a mail that it goes into Junk.

    Below the first field that is not ours nothing is believed; and mail that was not checked does not begin with one of ours.
    """
    if body[: len(RESULTS)].lower() != RESULTS:
        return False
    ours = bytes(body[:TOP]).partition(b"\r\nReceived:")[0]
    return f"\r\n{JUNK}:".encode() in ours
