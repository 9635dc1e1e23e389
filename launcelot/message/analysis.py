"""
All that IMAP asks for again and again, computed once at delivery; and the text SEARCH looks through.

:func:`analyse` never raises, whatever the octets are, and is linear in them.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from launcelot.message.casemap import fold
from launcelot.message.dates import parse_date
from launcelot.message.headers import MAX_HEADER, Buffer, Group, Mailbox, decode_words, message_ids
from launcelot.message.imapform import AddressLists, address_lists, body, envelope
from launcelot.message.sections import PartTable
from launcelot.message.structure import Part, parse
from launcelot.message.subject import base_subject
from launcelot.message.surrogate import line_sizes
from launcelot.message.words import decode_base64, decode_charset, decode_raw

TEXT_LIMIT = 1 << 20
"""Characters of body text that SEARCH looks through by default."""
_TEXTUAL = frozenset({b"text", b"message"})


@dataclass(frozen=True, slots=True)
class Analysis:
    """
    What a store keeps of a message.

    :param envelope: ENVELOPE, ready to send.
    :param body: BODY, ready to send.
    :param body_structure: BODYSTRUCTURE, ready to send.
    :param parts: a :class:`~launcelot.message.sections.PartTable` as octets.
    :param size: octets of the whole message.
    :param header_size: octets of its header with the empty line.
    :param line_size: octets as POP3 sends them; None where that is ``size``.  See :mod:`~launcelot.message.surrogate`.
    :param ascii_size: octets of the surrogate for clients without UTF-8; None where there is none.
    :param sent: the instant of ``Date``; None without a usable one.
    :param subject: decoded.
    :param base_subject: RFC 5256 section 2.1, folded for comparing.
    :param from_key: decoded ``From``, folded (:mod:`~launcelot.message.casemap`) to be searched in; the same for the other
        three.
    :param sort_from: folded addr-mailbox of the first ``From`` address (RFC 5256 section 3), empty without one;
        the same for the other two.
    :param message_id: with its angle brackets.
    :param references: ids of ``References``, or the first of ``In-Reply-To`` without any (RFC 5256 section 3), with
        brackets.
    """

    envelope: bytes
    body: bytes
    body_structure: bytes
    parts: bytes
    size: int
    header_size: int
    sent: datetime | None
    subject: str
    base_subject: str
    from_key: str
    to_key: str
    cc_key: str
    bcc_key: str
    sort_from: str
    sort_to: str
    sort_cc: str
    message_id: str | None
    references: tuple[str, ...]
    line_size: int | None = None
    ascii_size: int | None = None


def analyse(buffer: Buffer) -> Analysis:
    """Look at a whole message once."""
    part = parse(buffer)
    fields = part.fields
    lists = address_lists(fields)
    get = fields.get
    subject = decode_words(get(b"subject", b""))
    date = get(b"date")
    own = message_ids(get(b"message-id", b""))
    size, sizes = len(buffer), line_sizes(buffer, part)
    return Analysis(
        envelope=envelope(buffer, part, lists),
        body=body(part, False),
        body_structure=body(part, True),
        parts=PartTable.encode(part),
        size=size,
        header_size=part.body_start,
        sent=parse_date(date) if date else None,
        subject=subject,
        base_subject=fold(base_subject(subject)),
        from_key=_key(get(b"from")),
        to_key=_key(get(b"to")),
        cc_key=_key(get(b"cc")),
        bcc_key=_key(get(b"bcc")),
        sort_from=_sort_key(lists, b"from"),
        sort_to=_sort_key(lists, b"to"),
        sort_cc=_sort_key(lists, b"cc"),
        message_id=decode_raw(own[0]) if own else None,
        references=_references(fields),
        line_size=None if sizes.utf8 == size else sizes.utf8,
        ascii_size=None if sizes.ascii == sizes.utf8 else sizes.ascii,
    )


def header_text(buffer: Buffer, part: Part) -> str:
    """The header section of a part as text for SEARCH: unfolded, encoded-words decoded, one field a line."""
    raw = buffer[part.header_start : min(part.body_start, part.header_start + MAX_HEADER)]
    lines = raw.replace(b"\r\n", b"\n").replace(b"\n ", b" ").replace(b"\n\t", b" ").split(b"\n")
    return "\n".join([decode_words(line) for line in lines if line])


def body_text(buffer: Buffer, part: Part, limit: int = TEXT_LIMIT, headers: bool = True) -> Iterator[str]:
    """
    The text of a tree, in order: every ``text`` part (and delivery reports and the like, which are ``message`` parts)
    decoded, and the headers of parts and embedded messages.

    :param limit: characters given out in all.
    :param headers: whether those headers are wanted.
    """
    pending = [(part, False)]
    while pending and limit > 0:
        item, inner = pending.pop()
        if headers and inner and item.body_start > item.header_start:
            text = header_text(buffer, item)[:limit]
            limit -= len(text)
            yield text
        if item.children:
            pending.extend([(child, True) for child in reversed(item.children)])
        elif item.message is not None:
            pending.append((item.message, True))
        elif item.media_type in _TEXTUAL and limit > 0:
            text = part_text(buffer, item, limit)
            limit -= len(text)
            yield text


def part_text(buffer: Buffer, part: Part, limit: int = TEXT_LIMIT) -> str:
    """
    The text of one leaf, its transfer encoding and charset undone; what cannot be undone is read as it is.

    :param limit: largest number of characters.
    """
    # A character takes up to four octets, an octet up to three (quoted-printable) or a third more and its line ends (base64).
    encoded = {b"quoted-printable": 3, b"base64": 2}.get(part.encoding, 1)
    raw = buffer[part.body_start : min(part.body_end, part.body_start + 4 * encoded * limit)]
    if part.encoding == b"base64":
        raw = decode_base64(raw)
    elif part.encoding == b"quoted-printable":
        raw = binascii.a2b_qp(raw)
    charset = part.parameter(b"charset")
    if charset is None or charset.lower() == b"us-ascii":
        return decode_raw(raw)[:limit]
    return decode_charset(raw, charset.decode("latin-1"))[:limit]


def _key(value: bytes | None) -> str:
    """The text of a field, for SEARCH."""
    return fold(decode_words(value)) if value else ""


def _sort_key(lists: AddressLists, name: bytes) -> str:
    """The addr-mailbox of the first address of a field; of a group that is its name."""
    found: tuple[Mailbox | Group, ...] = lists.get(name, ())
    if not found:
        return ""
    first = found[0]
    return fold(decode_words(first.local if isinstance(first, Mailbox) else first.name))


def _references(fields: dict[bytes, bytes]) -> tuple[str, ...]:
    """The ids of the messages before this one, oldest first."""
    found = message_ids(fields.get(b"references", b""))
    if not found:
        found = message_ids(fields.get(b"in-reply-to", b""))[:1]
    return tuple(map(decode_raw, found))
