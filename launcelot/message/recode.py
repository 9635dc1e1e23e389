"""
Making a message with NULs or 8-bit octets one that every protocol can carry: the parts that have them become base64.

RFC 3516 section 4.4 lets a server change a part's transfer encoding if nothing is lost, and section 6 asks it to do so only
where it must.  IMAP's strings and mail's lines have no NUL, so parts with one are the only ones that are touched there; RFC 6152
section 3 asks the same of a client whose server does not take 8-bit octets.
"""

from __future__ import annotations

import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from launcelot.message.headers import MAX_HEADER, Buffer, fields
from launcelot.message.structure import Part, parse

LINE = 57
"""Octets in one line of base64, which then has 76 characters.  RFC 2045 section 6.8."""
PIECE = LINE * 1_024
FIELD = b"Content-Transfer-Encoding: base64\r\n"
PLAIN = (b"7bit", b"8bit", b"binary")

NUL = re.compile(rb"\0")
EIGHT_BIT = re.compile(rb"[\x80-\xff]")
"""What may have to be encoded."""


class Unencodable(ValueError):
    """There is such an octet where no encoding can help: in a header, between parts, or in what is encoded already."""


@dataclass(frozen=True, slots=True)
class Change:
    """
    Octets that others take the place of.

    :ivar text: the others; None to encode what stands there.
    """

    start: int
    end: int
    text: bytes | None


def plan(buffer: Buffer, foreign: re.Pattern[bytes] = NUL) -> list[Change]:
    """
    The changes that rid a message of some octets, in order; linear, and long for a large message.

    :param foreign: :data:`NUL` or :data:`EIGHT_BIT`.
    :raises Unencodable: no changes can.
    """
    leaves = _leaves(parse(buffer))
    starts = [leaf.body_start for leaf in leaves]
    changes: list[Change] = []
    found = foreign.search(buffer)
    while found is not None:
        position = found.start()
        place = bisect_right(starts, position) - 1
        leaf = leaves[place] if place >= 0 else None
        if leaf is None or position >= leaf.body_end or leaf.encoding not in PLAIN:
            raise Unencodable("it stands where nothing can be encoded")
        changes += _header_changes(buffer, leaf, place == 0 and len(leaves) == 1 and not leaf.header_start)
        changes.append(Change(leaf.body_start, leaf.body_end, None))
        found = foreign.search(buffer, leaf.body_end)
    return changes


def recoded(buffer: Buffer, changes: list[Change]) -> Iterator[bytes]:
    """The message with its changes, in pieces."""
    position = 0
    for change in changes:
        yield from _slices(buffer, position, change.start)
        if change.text is not None:
            yield change.text
        else:
            for piece in _slices(buffer, change.start, change.end):
                yield b"".join(
                    [
                        binascii.b2a_base64(piece[at : at + LINE], newline=False) + b"\r\n"
                        for at in range(0, len(piece), LINE)
                    ]
                )
        position = change.end
    yield from _slices(buffer, position, len(buffer))


def _leaves(root: Part) -> list[Part]:
    """
    All parts that can be encoded, by where they stand; of several at one place the one that has octets.

    These are leaves, and ``message/global`` as a whole (RFC 6532 section 3.7): nobody who reads it encoded needs more.
    """
    found: list[Part] = []
    pending = [root]
    while pending:
        part = pending.pop()
        if part.children:
            pending.extend(part.children)
        elif part.message is not None and not part.is_global:
            pending.append(part.message)
        else:
            found.append(part)
    return sorted(found, key=lambda part: (part.body_start, part.body_end))


def _header_changes(buffer: Buffer, leaf: Part, alone: bool) -> list[Change]:
    """
    What makes a header say base64: the fields that said otherwise go, one comes before the empty line.

    :param alone: whether it is the header of the whole message, which must say that it is MIME.
    """
    end = leaf.body_start
    header = buffer[leaf.header_start : end]
    if not header.endswith(b"\n"):
        raise Unencodable("the header has no end")
    before = end - (2 if header.endswith(b"\r\n") else 1)
    found = list(fields(buffer, leaf.header_start, min(end, leaf.header_start + MAX_HEADER)))
    changes = [
        Change(one.start, one.end, b"") for one in found if one.name.lower() == b"content-transfer-encoding"
    ]
    mime = any(one.name.lower() == b"mime-version" for one in found)
    return [*changes, Change(before, before, FIELD if mime or not alone else b"MIME-Version: 1.0\r\n" + FIELD)]


def _slices(buffer: Buffer, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, PIECE):
        yield buffer[at : min(at + PIECE, end)]
