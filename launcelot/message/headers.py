"""
Header sections as octets: where they end, their fields, and the values other rooms ask for.

Every function takes what a peer sent, raises on none of it, and is linear.  Lines may end in CRLF or LF.  Offsets are
exact however large a header is; :func:`collect` reads no more than :data:`MAX_HEADER` octets of one header section.

The value parsers live in modules of their own (:mod:`~launcelot.message.words`, :mod:`~launcelot.message.lists`,
:mod:`~launcelot.message.parameters`) and are published here.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass

from launcelot.message.lists import Group, Mailbox, parse_address_list
from launcelot.message.parameters import Parameters, parse_parameters, scan_parameters
from launcelot.message.words import decode_words

__all__ = [
    "MAX_HEADER",
    "Buffer",
    "Field",
    "Group",
    "Mailbox",
    "Parameters",
    "collect",
    "decode_words",
    "fields",
    "find_header_end",
    "message_ids",
    "parse_address_list",
    "parse_parameters",
    "scan_parameters",
    "unfold",
]

Buffer = bytes | mmap.mmap
"""A whole message, in memory or mapped."""

MAX_HEADER = 256 * 1024
"""Octets of one header section whose fields are read for ENVELOPE, structure and search."""
MAX_IDS = 1000
"""Message ids of one field that are kept."""

FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:(.*+(?:\n[ \t].*+)*+)", re.MULTILINE)
"""``field`` of RFC 5322 section 2.2 with its folded lines; the value's last CR is not cut off."""
FOLD = re.compile(rb"\r?\n(?=[ \t])")
_LINE_BREAK = re.compile(rb"[\r\n]+")
_HEADER_END = re.compile(rb"\n\r?\n")
_MESSAGE_ID = re.compile(rb"<[^<>\s]{1,996}+>")
_REPEATED = frozenset({b"from", b"to", b"cc", b"bcc", b"reply-to"})
_NEAR = 8192


@dataclass(frozen=True, slots=True)
class Field:
    """
    One header field.

    :param name: as written, without the colon.
    :param start: offset of the name.
    :param value_start: offset behind the colon.
    :param value_end: offset behind the value, before its line end.
    :param end: offset behind the line end.
    """

    name: bytes
    start: int
    value_start: int
    value_end: int
    end: int


def fields(buffer: Buffer, start: int, end: int) -> Iterator[Field]:
    """
    The fields between two offsets in order, up to the first empty line; lines that are no field are passed over.

    :param start: the beginning of a line.
    """
    stop = find_header_end(buffer, start, end)
    for found in FIELD.finditer(buffer, start, stop):
        value_start, value_end = found.span(2)
        after = min(value_end + 1, stop)
        if value_end > value_start and buffer[value_end - 1] == 13:
            value_end -= 1
        yield Field(found[1], found.start(), value_start, value_end, after)


def find_header_end(buffer: Buffer, start: int = 0, end: int | None = None) -> int:
    """
    The offset of the first octet of the body: behind the first empty line at or after ``start``.

    :returns: ``end`` (the buffer's length by default) when there is no empty line.
    """
    if end is None:
        end = len(buffer)
    first = buffer[start : min(start + 2, end)]
    if first == b"\r\n":
        return start + 2
    if first[:1] == b"\n":
        return start + 1
    near = buffer.find(b"\n\r\n", start, min(start + _NEAR, end))
    if near >= 0:
        bare = buffer.find(b"\n\n", start, near + 1)
        return near + 3 if bare < 0 else bare + 2
    found = _HEADER_END.search(buffer, start, end)
    return found.end() if found else end


def collect(raw: bytes) -> dict[bytes, bytes]:
    """
    The fields of one header section by lower-case name, each value unfolded and stripped.

    Of a field that may stand once only the first counts; repeated address fields are joined by commas.

    :param raw: the header section; no more than :data:`MAX_HEADER` octets of it are read.
    """
    found: dict[bytes, bytes] = {}
    repeated: dict[bytes, list[bytes]] = {}
    for name, value in FIELD.findall(raw, 0, MAX_HEADER):
        key = name.lower()
        if b"\n" in value:
            value = _LINE_BREAK.sub(b"", value)
        value = value.strip()
        if key not in found:
            found[key] = value
        elif key in _REPEATED and value:
            repeated.setdefault(key, [found[key]] if found[key] else []).append(value)
    for key, values in repeated.items():
        found[key] = b", ".join(values)
    return found


def unfold(value: bytes) -> bytes:
    """The value on one line: CRLF before a blank is removed.  RFC 5322 section 2.2.3."""
    return FOLD.sub(b"", value) if b"\n" in value else value


def message_ids(value: bytes) -> tuple[bytes, ...]:
    """The ``<...>`` message ids of ``Message-ID``, ``In-Reply-To`` or ``References``, in order, with brackets."""
    found = _MESSAGE_ID.findall(value, 0, MAX_HEADER)
    return tuple(found[:MAX_IDS])
