"""ESEARCH: a search in several mailboxes.  RFC 7377 section 4."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.protocols.imap4.grammar.filters import Filter, Scope, read_filter
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.protocols.imap4.grammar.requests import Search, read_uid_search

MAX_FILTERS = 100
"""Descriptions of mailboxes in one command."""
LAWFUL = frozenset(Scope) - {Scope.SELECTED_DELAYED}


@dataclass(frozen=True, slots=True)
class MultiSearch:
    """
    Where to search, and what for.

    :ivar search: its options say what is told; ALL where nothing was asked for.
    """

    sources: tuple[Filter, ...]
    search: Search


def read_multisearch(reader: Reader) -> MultiSearch:
    """``esearch``; without source options it is the selected mailbox."""
    sources: tuple[Filter, ...] = (Filter(Scope.SELECTED),)
    if reader.rest[:5].upper() == b" IN (":
        reader.position += 4
        sources = tuple(reader.list(lambda: _read_source(reader), MAX_FILTERS))
    search = read_uid_search(reader)
    if b"SAVE" in search.options and set(sources) != {Filter(Scope.SELECTED)}:
        raise Malformed("SAVE needs the selected mailbox alone")
    if not search.options:
        search = Search(True, search.key, (b"ALL",), search.modseq)
    return MultiSearch(sources, search)


def _read_source(reader: Reader) -> Filter:
    if reader.peek() == b"(":
        raise Malformed("there are no scope options")
    return read_filter(reader, LAWFUL)
