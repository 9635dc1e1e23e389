"""
Writing responses: every string goes through here.  RFC 3501 sections 4.3 and 7.

Nothing that a peer, a message or a store has chosen can end a line or a string early: text is quoted where it may be
quoted and a literal where it may not, flags that are no atoms are left out, and text for people loses its controls.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from launcelot.mailstore.interface import MessageState
from launcelot.protocols.imap4.grammar import mailboxnames
from launcelot.protocols.imap4.grammar.reader import SYSTEM_FLAGS

MAX_QUOTED = 1_000
"""Octets past which a string is sent as a literal."""
MAX_TEXT = 400
"""Characters of text for people."""

_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*+")
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+")
_TO_ESCAPE = re.compile(rb'(["\\])')
_KEYWORD = re.compile(r"[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]+")
_NOT_TEXT = re.compile(r"[^\x20-\x7e]")
SYSTEM = tuple(SYSTEM_FLAGS.values())


def string(data: bytes) -> bytes:
    """``string``: quoted if it can be, else a literal."""
    if len(data) <= MAX_QUOTED and _QUOTABLE.fullmatch(data):
        return b'"' + _TO_ESCAPE.sub(rb"\\\1", data) + b'"'
    return b"{%d}\r\n%b" % (len(data), data)


def nstring(data: bytes | None) -> bytes:
    """``nstring``: NIL, or a string."""
    return b"NIL" if data is None else string(data)


def astring(data: bytes) -> bytes:
    """``astring``: bare if it can be; ``NIL`` is quoted, because some read it as nothing."""
    if _ATOM.fullmatch(data) and data.upper() != b"NIL":
        return data
    return string(data)


def mailbox(name: str, utf8: bool = False) -> bytes:
    """
    ``mailbox``, quoted: in modified UTF-7, which every client reads, or in UTF-8.

    :param utf8: whether the client has said that it reads that.  RFC 9755 section 3.
    """
    if not utf8:
        return string(mailboxnames.encode(name))
    raw = name.encode("utf-8")
    if len(raw) > MAX_QUOTED:
        return string(raw)
    return b'"' + _TO_ESCAPE.sub(rb"\\\1", raw) + b'"'


@lru_cache(maxsize=512)
def flags(names: frozenset[str]) -> bytes:
    """Flags between parentheses: system flags in their usual order, keywords sorted, what is no atom left out."""
    return b"(" + b" ".join(name.encode("ascii") for name in in_order(names)) + b")"


def in_order(names: Collection[str]) -> list[str]:
    """Flags that can be sent, in the order in which they are."""
    found = [name for name in (*SYSTEM, "\\Recent") if name in names]
    found.extend(sorted(name for name in names if _KEYWORD.fullmatch(name)))
    return [*found, "\\*"] if "\\*" in names else found


def row_head(number: int, uid: int, uid_only: bool) -> bytes:
    """How the response about a message begins; by UID once the client wants no numbers.  RFC 9586 section 3."""
    return b"* %d UIDFETCH (" % uid if uid_only else b"* %d FETCH (" % number


def state_row(
    number: int, state: MessageState, seen: frozenset[str] | None, uid: bool, modseq: bool, uid_only: bool = False
) -> bytes:
    """
    A FETCH response with what changes of a message.

    :param seen: its flags as the client sees them; None to leave them out.
    :param uid: whether its UID is told.
    :param modseq: whether its MODSEQ is told.  RFC 7162 section 3.1.4.2.
    :param uid_only: whether it is named by its UID.
    """
    head = b"UID %d " % state.uid if uid else b""
    middle = b"" if seen is None else b"FLAGS %b" % flags(seen)
    tail = b"MODSEQ (%d)" % state.modseq if modseq else b""
    gap = b" " if middle and tail else b""
    return b"%b%b%b%b%b)\r\n" % (row_head(number, state.uid, uid_only), head, middle, gap, tail)


def flag_list(names: Iterable[str]) -> bytes:
    """Like :func:`flags`, for any collection."""
    return flags(frozenset(names))


@lru_cache(maxsize=512)
def text(words: str) -> bytes:
    """``text`` for people: printable ASCII in one line, never empty, never like a response code."""
    clean = _NOT_TEXT.sub("?", words[:MAX_TEXT])
    return (clean.lstrip("[") or "-").encode("ascii")


def status(tag: bytes, condition: bytes, words: str, code: bytes = b"") -> bytes:
    """
    ``resp-cond-state``: ``tag OK [CODE] words``.  RFC 3501 section 7.1.

    :param code: made by our own code, without brackets; empty for none.
    """
    if code:
        return b"%b %b [%b] %b\r\n" % (tag, condition, code, text(words))
    return b"%b %b %b\r\n" % (tag, condition, text(words))
