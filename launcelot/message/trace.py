"""
Trace fields: what a server writes on top of mail that passes through it.  RFC 5321 section 4.4.

What the peer said about itself is written down with every character that could end a line, a comment or a clause, and
all that is not ASCII, replaced by ``?``, so no HELO can forge a field.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from functools import lru_cache

from launcelot.message.address import Address
from launcelot.message.dates import format_date
from launcelot.message.headers import Buffer, find_header_end

LINE = 78
"""Octets of a line without CRLF that folding aims at.  RFC 5322 section 2.1.1."""
MAX_WORD = 255
"""Octets of one peer-supplied word that are written."""

_RECEIVED = re.compile(rb"^received[ \t]*+:", re.MULTILINE | re.IGNORECASE)
_DELIVERED = re.compile(rb"^delivered-to[ \t]*+:(.*)$", re.MULTILINE | re.IGNORECASE)
_TLS_REQUIRED = re.compile(rb"^tls-required[ \t]*+:((?:[^\r\n]|\r?\n[ \t])*+)", re.MULTILINE | re.IGNORECASE)
_FOREIGN = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_FOREIGN_COMMENT = re.compile(r"[^ A-Za-z0-9.:_/,=+@-]")


def received(
    *,
    helo: str,
    source: str,
    by: str,
    protocol: str,
    identifier: str,
    date: datetime,
    recipient: Address | None = None,
    source_name: str = "",
    tls: str = "",
) -> bytes:
    """
    One ``Received`` field with its CRLF, folded.

    :param helo: what the peer called itself, whatever that is.
    :param source: its IP address; another text (such as the name of a Unix socket) is written as a comment.
    :param by: our own name.
    :param protocol: as registered for ``with`` (RFC 3848, RFC 6531), such as ``ESMTPSA``.
    :param identifier: our id of the mail.
    :param date: aware.
    :param recipient: only when the mail has just one, or others would learn of it (RFC 5321 section 7.2).
    :param source_name: verified host name of ``source``, empty without one.
    :param tls: version and cipher, written as a comment.
    """
    pieces = [*_from_and_by(helo, source, source_name, by, protocol, tls), f"id {_word(identifier)}"]
    if recipient is not None:
        pieces.append(f"for <{recipient}>")
    pieces[-1] += ";"
    pieces.append(format_date(date))
    return fold("Received:", pieces)


@lru_cache(1_024)
def _from_and_by(helo: str, source: str, source_name: str, by: str, protocol: str, tls: str) -> tuple[str, ...]:
    """The clauses that are the same for all mail of a session."""
    name = f"{_word(source_name)} " if source_name else ""
    pieces = [f"from {_word(helo) or 'unknown'}", f"({name}{_literal(source)})", f"by {_word(by)}", f"with {_word(protocol)}"]
    if tls:
        pieces.append(f"({_FOREIGN_COMMENT.sub('?', tls)[:MAX_WORD]})")
    return tuple(pieces)


@lru_cache(1_024)
def return_path(sender: Address | None) -> bytes:
    """The ``Return-Path`` field with its CRLF; None is the null reverse-path."""
    return fold("Return-Path:", ["<>" if sender is None else f"<{sender}>"])


@lru_cache(1_024)
def delivered_to(recipient: Address) -> bytes:
    """The ``Delivered-To`` field with its CRLF.  RFC 9228."""
    return fold("Delivered-To:", [str(recipient)])


def count_received(buffer: Buffer) -> int:
    """How many ``Received`` fields the header of a message has, for detecting loops (RFC 5321 section 6.3)."""
    return sum(1 for _ in _RECEIVED.finditer(buffer, 0, find_header_end(buffer)))


def was_delivered_to(buffer: Buffer, recipient: Address) -> bool:
    """Whether a message has been delivered to an address already, by its ``Delivered-To`` fields (RFC 9228 section 3)."""
    wanted = str(recipient).casefold().encode()
    found = _DELIVERED.finditer(buffer, 0, find_header_end(buffer))
    return any(one[1].decode("utf-8", "replace").strip().casefold().encode() == wanted for one in found)


def tls_is_optional(buffer: Buffer) -> bool:
    """Whether a message says ``TLS-Required: No``, once.  RFC 8689 section 3."""
    found = [one[1].strip().lower() for one in _TLS_REQUIRED.finditer(buffer, 0, find_header_end(buffer))]
    return found == [b"no"]


def fold(name: str, pieces: list[str]) -> bytes:
    """
    A field of pieces that stay whole, with CRLF; lines are kept under :data:`LINE` octets where the pieces allow.

    :param pieces: without CR and LF.
    :raises ValueError: a piece or the name has one, or the name is not ASCII.
    """
    whole = " ".join((name, *pieces))
    if "\r" in whole or "\n" in whole or not name.isascii():
        raise ValueError("line break, or a name that is not ASCII, in a header field")
    plain = whole.isascii()
    if plain and len(whole) <= LINE:
        return f"{whole}\r\n".encode()
    measure = len if plain else _octets
    lines, line, length = [], name, len(name)
    for piece in pieces:
        wide = 1 + measure(piece)
        if length + wide > LINE and line is not name:
            lines.append(line)
            line, length = f"\t{piece}", wide
        else:
            line, length = f"{line} {piece}", length + wide
    lines.append(f"{line}\r\n")
    return "\r\n".join(lines).encode("utf-8", "replace")


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _word(text: str) -> str:
    """Peer-supplied text as one word that ends nothing."""
    return _FOREIGN.sub("?", text[:MAX_WORD])


def _literal(source: str) -> str:
    """The address as an address literal (RFC 5321 section 4.1.3); a text that is none, made harmless."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return _FOREIGN_COMMENT.sub("?", source[:MAX_WORD]) or "unknown"
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
