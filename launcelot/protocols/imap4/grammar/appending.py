"""
The arguments of APPEND and REPLACE, up to where octets of a message come.

RFC 3501 section 6.3.11, RFC 3502, RFC 3516 section 4.4 (literal8), RFC 4469 (CATENATE), RFC 6855 section 4 (UTF8), RFC 8508.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from launcelot.message.dates import parse_internal
from launcelot.protocols.imap4.grammar.reader import Announced, Malformed, Reader, announced
from launcelot.protocols.imap4.grammar.requests import Messages, read_messages, read_named


class Form(Enum):
    """How a message comes: as one literal, as one in ``UTF8 (...)``, or in parts."""

    LITERAL = b""
    UTF8 = b"UTF8"
    CATENATE = b"CATENATE"


@dataclass(frozen=True, slots=True)
class Arriving:
    """
    A message in APPEND: what goes with it, and how it comes.

    :ivar literal: brings it, not yet read; None for CATENATE.
    :ivar parts: of CATENATE, what stands on the line behind its parenthesis.
    """

    flags: tuple[str, ...]
    internal_date: datetime | None
    form: Form
    literal: Announced | None
    parts: bytes = b""

    @property
    def open(self) -> Announced | None:
        """The literal at the end of the line, which has not been read."""
        return announced(self.parts) if self.literal is None else self.literal


@dataclass(frozen=True, slots=True)
class Append:
    """Where messages go, and the first of them."""

    mailbox: str
    message: Arriving


@dataclass(frozen=True, slots=True)
class Replace:
    """One message, and the one that comes in its place.  RFC 8508."""

    messages: Messages
    append: Append


def read_append(reader: Reader) -> Append:
    """
    ``append`` up to the literal or the list that brings the first message.

    :raises WantsLiteral: the mailbox is itself a literal that has not been read.
    """
    mailbox = read_named(reader).mailbox
    return Append(mailbox, read_arriving(reader))


def read_arriving(reader: Reader) -> Arriving:
    """``append-message`` up to its octets, from the space before it; the rest of the line is used up."""
    reader.space()
    flags: tuple[str, ...] = ()
    if reader.peek() == b"(":
        flags = reader.flag_list()
        reader.space()
    date = None
    if reader.peek() == b'"':
        date = parse_internal(reader.date_time().encode("ascii"))
        reader.space()
    if reader.peek() in (b"{", b"~"):
        return Arriving(flags, date, Form.LITERAL, read_announcement(reader))
    word = reader.word()
    reader.space()
    if word == Form.UTF8.value:
        return Arriving(flags, date, Form.UTF8, read_utf8(reader))
    if word != Form.CATENATE.value:
        raise Malformed("expected the message as a literal")
    reader.expect(b"(", "expected a list")
    parts = reader.rest
    reader.skip_all()
    return Arriving(flags, date, Form.CATENATE, None, parts)


def read_announcement(reader: Reader) -> Announced:
    """A literal or literal8 that ends the line."""
    rest = reader.rest
    literal = announced(rest)
    if literal is None or not rest.startswith(b"~{" if literal.binary else b"{") or rest.count(b"{") > 1:
        raise Malformed("expected the message as a literal")
    reader.skip_all()
    return literal


def read_utf8(reader: Reader) -> Announced:
    """``( literal8 ``, behind the word and its space; the parenthesis closes on the next line.  RFC 6855 section 4."""
    reader.expect(b"(", "expected a list")
    literal = read_announcement(reader)
    if not literal.binary:
        raise Malformed("expected a literal8")
    return literal


def read_replace(reader: Reader, uid: bool = False) -> Replace:
    """``replace`` up to where its message comes.  RFC 8508 section 5."""
    messages = read_messages(reader, uid)
    if len(messages.ranges) != 1 or messages.ranges[0][0] != messages.ranges[0][1]:
        raise Malformed("expected one message")
    return Replace(messages, read_append(reader))


def read_uid_replace(reader: Reader) -> Replace:
    """``UID REPLACE``."""
    return read_replace(reader, uid=True)
