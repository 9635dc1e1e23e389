"""
SORT and THREAD.  RFC 5256 section 5, RFC 5267 section 3 (ESORT), RFC 5957 section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.mailstore.ordering import Criterion, SortKey
from launcelot.mailstore.threads import Algorithm
from launcelot.protocols.imap4.grammar.reader import Malformed, Reader
from launcelot.protocols.imap4.grammar.requests import Search, read_return
from launcelot.protocols.imap4.grammar.search import CHARSETS, KeyReader

MAX_CRITERIA = 100
"""Criteria in one SORT."""
ESORT_OPTIONS = frozenset({b"MIN", b"MAX", b"ALL", b"COUNT"})
"""RFC 5267 section 3.1."""


@dataclass(frozen=True, slots=True)
class Sort:
    """What to find and how it is ordered."""

    search: Search
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Thread:
    """What to find and how it is put together."""

    search: Search
    algorithm: Algorithm


def read_sort(reader: Reader, uid: bool = False) -> Sort:
    """``sort``, with RETURN."""
    reader.space()
    options, _ = read_return(reader)
    if not set(options) <= ESORT_OPTIONS:
        raise Malformed("unknown RETURN option")
    criteria = tuple(reader.list(lambda: _read_criterion(reader), MAX_CRITERIA))
    return Sort(_read_keys(reader, uid, options), criteria)


def read_thread(reader: Reader, uid: bool = False) -> Thread:
    """``thread``."""
    reader.space()
    try:
        algorithm = Algorithm(reader.word().decode("ascii").lower())
    except ValueError:
        raise Malformed("unknown threading algorithm") from None
    return Thread(_read_keys(reader, uid, ()), algorithm)


def read_uid_sort(reader: Reader) -> Sort:
    """``UID SORT``."""
    return read_sort(reader, uid=True)


def read_uid_thread(reader: Reader) -> Thread:
    """``UID THREAD``."""
    return read_thread(reader, uid=True)


def _read_criterion(reader: Reader) -> Criterion:
    word = reader.word()
    reverse = word == b"REVERSE"
    if reverse:
        reader.space()
        word = reader.word()
    try:
        return Criterion(SortKey(word.decode("ascii").lower()), reverse)
    except ValueError:
        raise Malformed("unknown sort criterion") from None


def _read_keys(reader: Reader, uid: bool, options: tuple[bytes, ...]) -> Search:
    """``search-criteria``: the charset must be named, and be UTF-8 for who speaks that.  RFC 9755 section 3."""
    if not uid:
        reader.refuse_numbers()
    reader.space()
    charset = reader.astring().upper()
    reader.space()
    if not reader.names_charset and charset != b"UTF-8":
        raise Malformed("only UTF-8 can be named after ENABLE UTF8=ACCEPT")
    if charset not in CHARSETS:
        reader.skip_all()
        return Search(uid, None, options)
    keys = KeyReader(reader, charset)
    return Search(uid, keys.keys(), options, keys.modseq)
