"""
A header section that filters change: fields put in, put behind, written anew, taken out.

Fields are counted as milters count them: from 0 on for a place in the whole section, from 1 on among those of one name.
What a filter gives becomes one proper field, whatever octets are in it: no line of it can begin a field of its own or end the
header section.  What is not changed stays as it is, octet for octet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcelot.message.headers import fields

_NAME = re.compile(rb"[!-9;-~]{1,255}\Z")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_CONTROLS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
MAX_VALUE = 65_536
"""Octets of one value."""


class BadField(Exception):
    """A name that is none, or a value that is too long."""


def rendered(name: bytes, value: bytes) -> bytes:
    """
    A field with its CRLF.  RFC 5322 section 2.2.

    :param value: its lines may end in LF or CRLF; those behind the first begin with a blank then, and empty ones go.
    :raises BadField: it cannot be one.
    """
    if not _NAME.match(name) or len(value) > MAX_VALUE:
        raise BadField(repr(name[:80]))
    first, *others = (_CONTROLS.sub(b"", line) for line in _LINE_END.split(value))
    lines = [
        first.lstrip(b" \t"),
        *(line if line[:1] in (b" ", b"\t") else b"\t" + line for line in others if line.strip()),
    ]
    return name + b": " + b"\r\n".join(lines) + b"\r\n"


class HeaderSection:
    """
    The fields of a message, in order.

    :param head: the section with its empty line, if it has one.
    """

    def __init__(self, head: bytes) -> None:
        self._names: list[bytes] = []
        self._raw: list[bytes] = []
        position = 0
        for field in fields(head, 0, len(head)):
            # What belongs to no field stays before the one behind it.
            self._names.append(field.name.lower())
            self._raw.append(head[position : field.end])
            position = field.end
        self._end = head[position:]

    def __bytes__(self) -> bytes:
        return b"".join(self._raw) + self._end

    def insert(self, place: int, name: bytes, value: bytes) -> None:
        """
        Put a field before the one at ``place``, or behind all.

        :raises BadField: it cannot be one.
        """
        raw = rendered(name, value)
        place = max(0, min(place, len(self._raw)))
        if place and not self._raw[place - 1].endswith(b"\n"):
            self._raw[place - 1] += b"\r\n"
        self._names.insert(place, name.lower())
        self._raw.insert(place, raw)

    def append(self, name: bytes, value: bytes) -> None:
        """
        Put a field behind all.

        :raises BadField: it cannot be one.
        """
        self.insert(len(self._raw), name, value)

    def change(self, name: bytes, number: int, value: bytes) -> None:
        """
        Write the field of a name anew, the first being 1; an empty value takes it out.  One that is not there is put behind all.

        :raises BadField: it cannot be one.
        """
        wanted = name.lower()
        places = [place for place, one in enumerate(self._names) if one == wanted]
        if 1 <= number <= len(places):
            place = places[number - 1]
            if value:
                self._raw[place] = rendered(name, value)
            else:
                del self._raw[place], self._names[place]
        elif value:
            self.append(name, value)

    def remove_all(self, name: bytes) -> None:
        """Take out every field of a name."""
        wanted = name.lower()
        self._raw = [raw for raw, one in zip(self._raw, self._names, strict=True) if one != wanted]
        self._names = [one for one in self._names if one != wanted]

    def count(self, name: bytes) -> int:
        """Fields of a name."""
        return self._names.count(name.lower())

    def listed(self) -> Iterator[tuple[bytes, bytes]]:
        """Names as they were written, and values behind the colon, with the line ends in them and without the last one."""
        for raw in self._raw:
            for field in fields(raw, 0, len(raw)):
                yield field.name, raw[field.value_start : field.value_end]
