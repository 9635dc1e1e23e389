"""
LIST and LSUB.  RFC 3501 sections 6.3.8 and 6.3.9, RFC 5258, RFC 5819, RFC 6154.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from launcelot.protocols.imap4.grammar.mailboxnames import read_any_mailbox, read_pattern
from launcelot.protocols.imap4.grammar.metadata import read_entry_list
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.protocols.imap4.grammar.requests import read_status_items

MAX_PATTERNS = 100
"""Patterns in one LIST."""


class Select(Enum):
    """Selection options: which names are listed."""

    SUBSCRIBED = b"SUBSCRIBED"
    REMOTE = b"REMOTE"
    RECURSIVEMATCH = b"RECURSIVEMATCH"
    SPECIAL_USE = b"SPECIAL-USE"


class Return(Enum):
    """Return options: what is told of each."""

    SUBSCRIBED = b"SUBSCRIBED"
    CHILDREN = b"CHILDREN"
    SPECIAL_USE = b"SPECIAL-USE"
    MYRIGHTS = b"MYRIGHTS"


BASE = frozenset({Select.SUBSCRIBED, Select.SPECIAL_USE})
"""Options that narrow the selection, which RECURSIVEMATCH needs one of."""


@dataclass(frozen=True, slots=True)
class List:
    """Reference and pattern as RFC 3501 has them; an empty pattern asks for the separator."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class ListExtended:
    """
    LIST in its extended form.

    :ivar status: items of STATUS to be told of each mailbox; empty for none.
    :ivar metadata: annotations to be told of each mailbox; empty for none.  RFC 9590.
    """

    reference: str
    patterns: tuple[str, ...]
    select: frozenset[Select]
    returned: frozenset[Return]
    status: tuple[bytes, ...]
    metadata: tuple[str, ...] = ()


def read_lsub(reader: Reader) -> List:
    """``lsub``, and ``list`` without options."""
    reader.space()
    reference = read_any_mailbox(reader)
    reader.space()
    return List(reference, read_pattern(reader))


def read_list(reader: Reader) -> List | ListExtended:
    """``list``; whatever RFC 3501 does not have makes it extended."""
    reader.space()
    extended = reader.peek() == b"("
    select: frozenset[Select] = frozenset()
    if extended:
        select = frozenset(reader.list(lambda: _option(reader), 20, empty=True))
        reader.space()
        if Select.RECURSIVEMATCH in select and not select & BASE:
            raise Malformed("RECURSIVEMATCH needs another option")
    reference = read_any_mailbox(reader)
    reader.space()
    if reader.peek() == b"(":
        extended = True
        patterns = reader.list(lambda: read_pattern(reader), MAX_PATTERNS)
    else:
        patterns = [read_pattern(reader)]
    if reader.accept(b" "):
        extended = True
        if reader.word() != b"RETURN":
            raise Malformed("expected RETURN")
        reader.space()
        returned, status, metadata = _read_return(reader)
    else:
        returned, status, metadata = frozenset(), (), ()
    if not extended:
        return List(reference, patterns[0])
    return ListExtended(reference, tuple(dict.fromkeys(patterns)), select, returned, status, metadata)


def _option(reader: Reader) -> Select:
    try:
        return Select(reader.word())
    except ValueError:
        raise Malformed("unknown selection option") from None


def _read_return(reader: Reader) -> tuple[frozenset[Return], tuple[bytes, ...], tuple[str, ...]]:
    status: tuple[bytes, ...] = ()
    metadata: tuple[str, ...] = ()
    found: set[Return] = set()

    def option() -> None:
        nonlocal status, metadata
        word = reader.word()
        if word == b"STATUS":
            reader.space()
            status = read_status_items(reader)
            return
        if word == b"METADATA":
            reader.space()
            metadata = read_entry_list(reader)
            return
        try:
            found.add(Return(word))
        except ValueError:
            raise Malformed("unknown return option") from None

    reader.list(option, 20, empty=True)
    return frozenset(found), status, metadata
