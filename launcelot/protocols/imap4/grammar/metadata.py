"""
GETMETADATA and SETMETADATA.  RFC 5464 section 5.

Entry names are compared without case; they are handed on in lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.mailboxnames import read_mailbox
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader

MAX_NAMED = 200
"""Entries in one command."""
MAX_ENTRY = 500
"""Octets of an entry's name."""

_ENTRY = re.compile(rb"/(?:private|shared)(?:/[^\x00-\x1f%*/\x7f-\xff]+)*")
"""RFC 5464 section 3.2: no empty component, no wildcard, no control, ASCII."""
_VENDOR = re.compile(r"/(?:private|shared)/vendor(?:/[^/]+)?")


class Depth(Enum):
    """How far below an entry others are told, too.  RFC 5464 section 4.2.2."""

    ITSELF = b"0"
    CHILDREN = b"1"
    ALL = b"INFINITY"

    def reaches(self, above: str, entry: str) -> bool:
        """Whether asking for ``above`` tells of ``entry``."""
        if entry == above:
            return True
        if self is Depth.ITSELF or not entry.startswith(above + "/"):
            return False
        return self is Depth.ALL or "/" not in entry[len(above) + 1 :]


@dataclass(frozen=True, slots=True)
class GetMetadata:
    """
    Entries of a mailbox, or of the server where the name is empty.

    :ivar max_size: octets of the largest value that is told; None for all.
    """

    mailbox: str
    entries: tuple[str, ...]
    max_size: int | None = None
    depth: Depth = Depth.ITSELF


@dataclass(frozen=True, slots=True)
class SetMetadata:
    """Values by entry; None removes one."""

    mailbox: str
    values: tuple[tuple[str, bytes | None], ...]


def read_get_metadata(reader: Reader) -> GetMetadata:
    """``getmetadata``; options may also stand behind the mailbox, as in the examples that erratum 2785 corrects."""
    reader.space()
    found: dict[bytes, int | Depth] = {}
    if reader.peek() == b"(":
        found = _read_options(reader)
        reader.space()
    mailbox = read_mailbox(reader)
    reader.space()
    if not found and reader.peek() == b"(" and reader.rest[1:2] not in (b"/", b'"', b"{"):
        found = _read_options(reader)
        reader.space()
    entries = read_entries(reader)
    max_size, depth = found.get(b"MAXSIZE"), found.get(b"DEPTH", Depth.ITSELF)
    return GetMetadata(
        mailbox,
        entries,
        max_size if isinstance(max_size, int) else None,
        depth if isinstance(depth, Depth) else Depth.ITSELF,
    )


def _read_options(reader: Reader) -> dict[bytes, int | Depth]:
    """``getmetadata-options``."""
    found: dict[bytes, int | Depth] = {}

    def option() -> None:
        name = reader.word()
        reader.space()
        if name in found:
            raise Malformed("GETMETADATA option is given twice")
        if name == b"MAXSIZE":
            found[name] = reader.number()
        elif name == b"DEPTH":
            found[name] = _read_depth(reader)
        else:
            raise Malformed("unknown GETMETADATA option")

    reader.list(option, 2)
    return found


def _read_depth(reader: Reader) -> Depth:
    try:
        return Depth(reader.word())
    except ValueError:
        raise Malformed("DEPTH is 0, 1 or infinity") from None


def read_entries(reader: Reader) -> tuple[str, ...]:
    """``entries``: one, or several in parentheses; each once."""
    return read_entry_list(reader) if reader.peek() == b"(" else (read_entry(reader),)


def read_entry_list(reader: Reader) -> tuple[str, ...]:
    """Several entries in parentheses, each once."""
    return tuple(dict.fromkeys(reader.list(lambda: read_entry(reader), MAX_NAMED)))


def read_entry(reader: Reader) -> str:
    """
    ``entry``; one that has only others below it may be asked about, too.

    :raises Malformed: it cannot be an entry.
    """
    entry = reader.astring().lower()
    if len(entry) > MAX_ENTRY or not _ENTRY.fullmatch(entry):
        raise Malformed("impossible entry name")
    return entry.decode("ascii")


def read_set_metadata(reader: Reader) -> SetMetadata:
    """``setmetadata``."""
    reader.space()
    mailbox = read_mailbox(reader)
    reader.space()

    def value() -> tuple[str, bytes | None]:
        entry = read_entry(reader)
        if entry.count("/") < 2 or _VENDOR.fullmatch(entry):
            raise Malformed("entry name has too few components")
        reader.space()
        return entry, reader.literal8() if reader.peek() == b"~" else reader.nstring()

    values = reader.list(value, MAX_NAMED)
    if len({entry for entry, _ in values}) < len(values):
        raise Malformed("entry is given twice")
    return SetMetadata(mailbox, tuple(values))


def entry_value(entry: str, value: bytes | None) -> bytes:
    """``entry-value``; a value with a NUL goes as ``literal8``."""
    if value is not None and b"\0" in value:
        return b"%b ~{%d}\r\n%b" % (responses.astring(entry.encode("ascii")), len(value), value)
    return b"%b %b" % (responses.astring(entry.encode("ascii")), responses.nstring(value))
