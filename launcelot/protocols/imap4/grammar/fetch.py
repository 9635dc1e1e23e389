"""
What FETCH can ask for.  RFC 3501 section 6.4.5 and section 9 ``fetch-att``; MODSEQ of RFC 7162, SAVEDATE of RFC 8514,
EMAILID and THREADID of RFC 8474, BINARY of RFC 3516, PREVIEW of RFC 8970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from launcelot.message.sections import What
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.protocols.imap4.grammar.responses import astring

MAX_ITEMS = 200
"""Items in one FETCH."""
MAX_FIELDS = 200
"""Field names in one section."""
MAX_REMEMBERED = 300
"""Octets of items that are read once and remembered; clients ask for the same ones again and again."""
MAX_NUMBERS = 100
"""Part numbers in one section; deeper parts do not exist (``launcelot.message.structure.MAX_DEPTH``)."""

_NAME = re.compile(rb"[A-Z0-9.]+", re.IGNORECASE)
_SECTION_WORD = re.compile(rb"[A-Z.]+|", re.IGNORECASE)
_LAZY = re.compile(rb" \(LAZY(?: LAZY)*+\)", re.IGNORECASE)
_NUMBERS = re.compile(rb"[1-9]\d{0,9}(?:\.[1-9]\d{0,9})*+\.?")
_FIELD_NAME = re.compile(rb"[\x21-\x39\x3b-\x7e]+")


class Attribute(Enum):
    """Items that are ready-made, by the word that asks for them and stands in the answer."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and asked many times for each command.

    UID = b"UID"
    FLAGS = b"FLAGS"
    INTERNALDATE = b"INTERNALDATE"
    SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODY = b"BODY"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    MODSEQ = b"MODSEQ"
    SAVEDATE = b"SAVEDATE"
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"


@dataclass(frozen=True, slots=True)
class Section:
    """
    Octets of a message.

    :ivar label: stands before them in the answer, such as ``BODY[1.MIME]<0>``.
    :ivar numbers: of the part; empty for the whole message.
    :ivar what: which section of it.
    :ivar fields: names for ``HEADER.FIELDS`` and ``HEADER.FIELDS.NOT``; empty for neither.
    :ivar exclude: whether it is ``HEADER.FIELDS.NOT``.
    :ivar offset: first octet asked for.
    :ivar length: most octets asked for; None for all.
    :ivar peek: whether ``\\Seen`` is left alone.
    """

    label: bytes
    numbers: tuple[int, ...] = ()
    what: What = "BODY"
    fields: tuple[bytes, ...] = ()
    exclude: bool = False
    offset: int = 0
    length: int | None = None
    peek: bool = False


@dataclass(frozen=True, slots=True)
class Binary:
    """
    Octets of a part with its transfer encoding undone, or how many there are.  RFC 3516 section 4.2.

    :ivar label: stands before them in the answer, such as ``BINARY[1.2]<0>``.
    :ivar numbers: of the part; empty for the whole message.
    :ivar offset: first octet asked for, of the decoded ones.
    :ivar length: most octets asked for; None for all.
    :ivar size: whether only their number is asked for.
    :ivar peek: whether ``\\Seen`` is left alone.
    """

    label: bytes
    numbers: tuple[int, ...]
    offset: int = 0
    length: int | None = None
    size: bool = False
    peek: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """
    The first words of a message.  RFC 8970.

    :ivar lazy: whether nothing is told where telling would take long.
    """

    lazy: bool = False


Item = Attribute | Section | Binary | Preview

_MACROS: dict[bytes, tuple[Item, ...]] = {
    b"FAST": (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE),
    b"ALL": (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE, Attribute.ENVELOPE),
    b"FULL": (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE, Attribute.ENVELOPE, Attribute.BODY),
}
_ATTRIBUTES: dict[bytes, Item] = {item.value: item for item in Attribute}
_OLD: dict[bytes, Item] = {
    b"RFC822": Section(b"RFC822"),
    b"RFC822.HEADER": Section(b"RFC822.HEADER", what="HEADER", peek=True),
    b"RFC822.TEXT": Section(b"RFC822.TEXT", what="TEXT"),
}
_BINARY = frozenset({b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE"})
_WHAT: dict[bytes, What] = {
    b"": "BODY",
    b"HEADER": "HEADER",
    b"TEXT": "TEXT",
    b"MIME": "MIME",
    b"HEADER.FIELDS": "HEADER",
    b"HEADER.FIELDS.NOT": "HEADER",
}


def read_items(reader: Reader) -> tuple[Item, ...]:
    """
    The second argument of FETCH: a macro, one item, or a list of items; each once, in the order asked for.

    :raises Malformed: it is none of these, or too long.
    """
    rest = reader.rest
    if len(rest) > MAX_REMEMBERED or b"{" in rest:
        return _read_items(reader)
    items, length = _remembered(rest)
    reader.position += length
    return items


@lru_cache(256)
def _remembered(line: bytes) -> tuple[tuple[Item, ...], int]:
    """The items at the beginning of a line without literals, and their length."""
    reader = Reader(line)
    return _read_items(reader), reader.position


def _read_items(reader: Reader) -> tuple[Item, ...]:
    if reader.peek() == b"(":
        found = reader.list(lambda: _read_item(reader, _name(reader)), MAX_ITEMS)
        if Preview() in found and Preview(lazy=True) in found:
            found.remove(Preview(lazy=True))
        return tuple(dict.fromkeys(found))
    name = _name(reader)
    macro = _MACROS.get(name)
    return macro if macro is not None else (_read_item(reader, name),)


def _name(reader: Reader) -> bytes:
    return reader.match(_NAME, "expected a data item")[0].upper()


def _read_item(reader: Reader, name: bytes) -> Item:
    if name in (b"BODY", b"BODY.PEEK") and reader.peek() == b"[":
        return read_section(reader, name == b"BODY.PEEK")
    if name in _BINARY and reader.peek() == b"[":
        return _read_binary(reader, name)
    if name == b"PREVIEW":
        lazy = _LAZY.match(reader.rest)
        reader.position += 0 if lazy is None else lazy.end()
        return Preview(lazy is not None)
    item = _ATTRIBUTES.get(name) or _OLD.get(name)
    if item is None:
        raise Malformed("unknown data item")
    return item


def read_section(reader: Reader, peek: bool) -> Section:
    """``section`` with its brackets and ``partial``."""
    reader.expect(b"[", "expected a section")
    numbers, dot = _read_numbers(reader)
    word = reader.match(_SECTION_WORD, "expected a section")[0].upper()
    if word not in _WHAT or (numbers and bool(word) != dot):
        raise Malformed("unknown section")
    if word == b"MIME" and not numbers:
        raise Malformed("MIME needs a part number")
    fields: tuple[bytes, ...] = ()
    spec = b".".join([b"%d" % number for number in numbers] + ([word] if word else []))
    if word.startswith(b"HEADER.FIELDS"):
        reader.space()
        fields = tuple(reader.list(lambda: _read_field(reader), MAX_FIELDS))
        spec += b" (" + b" ".join(map(astring, fields)) + b")"
    reader.expect(b"]", "section does not end")
    label = b"BODY[" + spec + b"]"
    offset, length = _read_partial(reader)
    if length is not None:
        label += b"<%d>" % offset
    return Section(label, numbers, _WHAT[word], fields, word.endswith(b"NOT"), offset, length, peek)


def _read_binary(reader: Reader, name: bytes) -> Binary:
    reader.expect(b"[", "expected a section")
    numbers, dot = _read_numbers(reader)
    if dot:
        raise Malformed("unknown section")
    reader.expect(b"]", "section does not end")
    spec = b"[" + b".".join([b"%d" % number for number in numbers]) + b"]"
    if name == b"BINARY.SIZE":
        return Binary(name + spec, numbers, size=True, peek=True)
    offset, length = _read_partial(reader)
    label = b"BINARY" + spec + (b"" if length is None else b"<%d>" % offset)
    return Binary(label, numbers, offset, length, peek=name == b"BINARY.PEEK")


def _read_numbers(reader: Reader) -> tuple[tuple[int, ...], bool]:
    """Part numbers, and whether a dot stands behind them."""
    if not reader.peek().isdigit():
        return (), False
    text = reader.match(_NUMBERS, "malformed part number")[0]
    parts = text.removesuffix(b".").split(b".")
    if len(parts) > MAX_NUMBERS:
        raise Malformed("too many part numbers")
    return tuple(map(int, parts)), text.endswith(b".")


def _read_field(reader: Reader) -> bytes:
    name = reader.astring()
    if not _FIELD_NAME.fullmatch(name) or len(name) > 1_000:
        raise Malformed("not the name of a header field")
    return name


def _read_partial(reader: Reader) -> tuple[int, int | None]:
    if not reader.accept(b"<"):
        return 0, None
    offset = reader.number64()
    reader.expect(b".", "malformed partial")
    length = reader.number64()
    if not length:
        raise Malformed("number is zero")
    reader.expect(b">", "malformed partial")
    return offset, length
