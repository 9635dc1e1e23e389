"""
Finding the sections of RFC 3501 section 6.4.5 in a stored message without parsing it again.

A :class:`PartTable` is what a store keeps of a :class:`~launcelot.message.structure.Part` tree: per part three offsets
and a word with kind, encoding and number of parts below, in pre-order, 16 octets each (32 for messages of 4 GiB and
more).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Literal

from launcelot.message.structure import Part

What = Literal["BODY", "HEADER", "TEXT", "MIME"]
"""``BODY`` is a section that is only numbers (or nothing at all: the whole message)."""

_NARROW = struct.Struct("<IIII")
_WIDE = struct.Struct("<QQQQ")
SHORT_NAMES = 300
"""Octets of all names together for which a rule of their own is made."""
_VALUE = rb"[ \t]*+:.*+(?:\n[ \t].*+)*+\n?"
_NAME = re.compile(rb"[!-9;-~]++")
_FIELD = re.compile(b"^(" + _NAME.pattern + b")" + _VALUE, re.MULTILINE)
"""``field`` of RFC 5322 section 2.2, folded lines and last line end with it."""
_EMPTY_LINES = (b"\n\r\n", b"\n\n")
_EMPTY_HEADERS = (b"\r\n", b"\n")


class Kind(IntEnum):
    """What a part holds."""

    LEAF = 0
    MULTIPART = 1
    MESSAGE = 2
    GLOBAL = 3


MESSAGES = (Kind.MESSAGE, Kind.GLOBAL)
"""Kinds with a message inside; only of the second has its header UTF-8 by right."""

ENCODINGS = (b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable")
"""Content transfer encodings a table can name; all others are "unknown", ``None``."""


@dataclass(slots=True)
class Entry:
    """
    One part of a table; offsets as in :class:`~launcelot.message.structure.Part`.

    :param encoding: index in :data:`ENCODINGS`; larger for an encoding that is not among them.
    :param parts: the parts of a multipart, or the one message in a ``message/rfc822`` or ``message/global``.
    """

    header_start: int
    body_start: int
    body_end: int
    kind: Kind
    encoding: int
    parts: list[Entry] = field(default_factory=list)

    @property
    def transfer_encoding(self) -> bytes | None:
        """The content transfer encoding, None when it is unknown."""
        return ENCODINGS[self.encoding] if self.encoding < len(ENCODINGS) else None


class PartTable:
    """The offsets of all parts of one message."""

    __slots__ = ("root",)

    def __init__(self, root: Entry) -> None:
        self.root = root

    @staticmethod
    def encode(part: Part) -> bytes:
        """The table of a message's tree as octets; :meth:`decode` reads them."""
        row = _NARROW if part.body_end < 1 << 32 else _WIDE
        output = [b"\x01" if row is _NARROW else b"\x02"]
        pending = [part]
        while pending:
            part = pending.pop()
            if part.children:
                kind, below = Kind.MULTIPART, part.children
            elif part.message is not None:
                kind, below = Kind.GLOBAL if part.is_global else Kind.MESSAGE, [part.message]
            else:
                kind, below = Kind.LEAF, part.children
            encoding = ENCODINGS.index(part.encoding) if part.encoding in ENCODINGS else len(ENCODINGS)
            output.append(
                row.pack(part.header_start, part.body_start, part.body_end, len(below) << 8 | encoding << 2 | kind)
            )
            pending.extend(reversed(below))
        return b"".join(output)

    @classmethod
    def decode(cls, data: bytes) -> PartTable:
        """
        Read what :meth:`encode` wrote.

        :raises ValueError: it did not write this.
        """
        row = {b"\x01": _NARROW, b"\x02": _WIDE}.get(data[:1])
        if row is None or len(data) == 1 or (len(data) - 1) % row.size:
            raise ValueError("not a part table")
        root: Entry | None = None
        missing: list[tuple[Entry, int]] = []
        for header_start, body_start, body_end, word in row.iter_unpack(memoryview(data)[1:]):
            entry = Entry(header_start, body_start, body_end, Kind(word & 3), word >> 2 & 63)
            while missing and len(missing[-1][0].parts) == missing[-1][1]:
                missing.pop()
            if root is None:
                root = entry
            elif missing:
                missing[-1][0].parts.append(entry)
            else:
                raise ValueError("part table with two roots")
            if word >> 8:
                missing.append((entry, word >> 8))
        if root is None or any(len(entry.parts) != count for entry, count in missing):
            raise ValueError("part table is cut off")
        return cls(root)

    def find(self, numbers: tuple[int, ...]) -> Entry | None:
        """
        The part with these numbers, counted from 1; None when there is none.

        A message that is no multipart has itself as part 1.
        """
        scope: Entry | None = self.root
        part: Entry | None = None
        for number in numbers:
            if scope is None or number < 1:
                return None
            if scope.kind is Kind.MULTIPART:
                if number > len(scope.parts):
                    return None
                part = scope.parts[number - 1]
            elif number == 1:
                part = scope
            else:
                return None
            scope = part if part.kind is Kind.MULTIPART else part.parts[0] if part.kind in MESSAGES else None
        return part

    def locate(self, numbers: tuple[int, ...], what: What = "BODY") -> tuple[int, int] | None:
        """
        Where a section is in the message.

        :param numbers: part numbers from 1; empty for the message itself.
        :param what: ``HEADER`` and ``TEXT`` are those of the message, or of an embedded message when there are numbers.
        :returns: start and end offset, or None when the message has no such section (IMAP answers NIL).
        """
        if numbers:
            part = self.find(numbers)
            if part is None:
                return None
            if what == "BODY":
                return part.body_start, part.body_end
            if what == "MIME":
                return part.header_start, part.body_start
            if part.kind not in MESSAGES:
                return None
            message = part.parts[0]
        else:
            message = self.root
            if what == "BODY":
                return message.header_start, message.body_end
        if what == "HEADER":
            return message.header_start, message.body_start
        if what == "TEXT":
            return message.body_start, message.body_end
        return None


def header_subset(header: bytes, names: Collection[bytes], exclude: bool) -> bytes:
    """
    The fields that ``HEADER.FIELDS`` (or, with ``exclude``, ``HEADER.FIELDS.NOT``) asks for, as written and in order.

    :param header: a header section, with or without its empty line.
    :param names: field names in any case.
    :returns: the lines of the fields, and the empty line if there is one: a message that ends with its header has none.
        RFC 9051 section 6.4.5.
    """
    wanted = frozenset(name.lower() for name in names)
    if wanted and not exclude and sum(map(len, wanted)) <= SHORT_NAMES:
        found = b"".join(_fields_named(wanted).findall(header))
    else:
        found = b"".join([line[0] for line in _FIELD.finditer(header) if (line[1].lower() in wanted) != exclude])
    if found and not found.endswith(b"\n"):
        found = found.rstrip(b"\r") + b"\r\n"
    return found + b"\r\n" if header.endswith(_EMPTY_LINES) or header in _EMPTY_HEADERS else found


def header_fields(header: bytes, names: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """
    The same, field by field, with its name in small letters; neighbours of one name as one.

    :param header: what :func:`header_subset` gave.
    """
    found: list[tuple[bytes, bytes]] = []
    for text in _fields_named(frozenset(names)).findall(header):
        name = text.partition(b":")[0].rstrip().lower()
        if found and found[-1][0] == name:
            text = found.pop()[1] + text
        found.append((name, text))
    return found


@lru_cache(64)
def _fields_named(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """Fields with some names alone; each begins a line, as :data:`_FIELD` has it, and no line of another can begin so."""
    possible = [re.escape(name) for name in sorted(names) if _NAME.fullmatch(name)]
    return re.compile(b"^(?:" + (b"|".join(possible) or b"(?!)") + b")" + _VALUE, re.MULTILINE | re.IGNORECASE)
