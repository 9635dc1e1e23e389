"""
ENVELOPE, BODY and BODYSTRUCTURE ready to send.  RFC 3501 sections 7.4.2 and 9.

They are computed once, at delivery, and stored.  Strings are quoted where they can be and literals where not, so the
result may contain CRLF inside ``{n}`` literals but is always one well-formed value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from launcelot.message.headers import MAX_HEADER, Buffer, Group, Mailbox, collect, parse_address_list
from launcelot.message.parameters import Parameters
from launcelot.message.structure import Part

AddressLists = dict[bytes, tuple[Mailbox | Group, ...]]
"""The address fields of a header by lower-case name, parsed."""

ADDRESS_FIELDS = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")
"""The address members of ENVELOPE in its order."""

_PLAIN = re.compile(rb"[ !#-\[\]-~]*+")
_QUOTABLE = re.compile(rb"[\t -~]*+")


def quote(value: bytes) -> bytes:
    """
    The octets as an IMAP ``string``: quoted, or a literal for 8-bit and controls.

    NULs are dropped, as no string can hold them.
    """
    if _PLAIN.fullmatch(value):
        return b'"%b"' % value
    if _QUOTABLE.fullmatch(value):
        return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    if b"\0" in value:
        return quote(value.replace(b"\0", b""))
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """:func:`quote`, and NIL for None."""
    return b"NIL" if value is None else quote(value)


def address_lists(fields: dict[bytes, bytes]) -> AddressLists:
    """The address fields of a header that have anything in them."""
    return {name: parse_address_list(fields[name]) for name in ADDRESS_FIELDS if fields.get(name)}


def envelope(buffer: Buffer, part: Part, lists: AddressLists | None = None) -> bytes:
    """
    The ENVELOPE of the message whose root part is given.

    ``Sender`` and ``Reply-To`` are those of ``From`` when they are missing or empty, as the RFC demands.

    :param buffer: the whole message.
    :param lists: what :func:`address_lists` gave for this header, when the caller has it already.
    """
    fields = part.fields if part.fields else _read(buffer, part)
    return _envelope(fields, lists)


def body(part: Part, extended: bool) -> bytes:
    """
    BODY, or with ``extended`` BODYSTRUCTURE, of a tree.

    Names of types, parameters and encodings are in lower case; ``text`` without charset gets ``us-ascii``.
    """
    output: list[bytes] = []
    pending: list[Part | bytes] = [part]
    while pending:
        item = pending.pop()
        if isinstance(item, bytes):
            output.append(item)
        elif item.children:
            output.append(b"(")
            pending.append(b" %b%b)" % (quote(item.subtype), _multipart_extension(item) if extended else b""))
            pending.extend(reversed(item.children))
        elif item.message is not None:
            output.append(b"(%b %b " % (_basic(item), _envelope(item.message.fields, None)))
            pending.append(b" %d%b)" % (item.lines, _extension(item) if extended else b""))
            pending.append(item.message)
        else:
            lines = b" %d" % item.lines if item.media_type == b"text" else b""
            output.append(b"(%b%b%b)" % (_basic(item), lines, _extension(item) if extended else b""))
    return b"".join(output)


def _read(buffer: Buffer, part: Part) -> dict[bytes, bytes]:
    """The header fields of a part that does not carry them."""
    return collect(buffer[part.header_start : min(part.body_start, part.header_start + MAX_HEADER)])


def _envelope(fields: dict[bytes, bytes], lists: AddressLists | None) -> bytes:
    """The ENVELOPE of one header."""
    if lists is None:
        lists = address_lists(fields)
    written = {name: _addresses(found) for name, found in lists.items()}
    sender = written.get(b"from", b"NIL")
    get = fields.get
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        nstring(get(b"date")),
        nstring(get(b"subject")),
        sender,
        written.get(b"sender", sender),
        written.get(b"reply-to", sender),
        written.get(b"to", b"NIL"),
        written.get(b"cc", b"NIL"),
        written.get(b"bcc", b"NIL"),
        nstring(get(b"in-reply-to")),
        nstring(get(b"message-id")),
    )


def _addresses(found: Iterable[Mailbox | Group]) -> bytes:
    """A list of address structures, groups marked at start and end; NIL when there is none."""
    output: list[bytes] = []
    for item in found:
        if isinstance(item, Mailbox):
            output.append(_address(item))
        else:
            output.append(b"(NIL NIL %b NIL)" % quote(item.name))
            output.extend(map(_address, item.members))
            output.append(b"(NIL NIL NIL NIL)")
    return b"(%b)" % b"".join(output) if output else b"NIL"


def _address(mailbox: Mailbox) -> bytes:
    """One address structure; a missing domain is an empty string, because NIL would begin a group."""
    return b"(%b %b %b %b)" % (
        nstring(mailbox.name),
        nstring(mailbox.route),
        quote(mailbox.local),
        quote(mailbox.domain),
    )


def _basic(part: Part) -> bytes:
    """Type, subtype, parameters, id, description, encoding and size."""
    parameters = part.parameters
    if part.media_type == b"text" and not any(name.startswith(b"charset") for name, _ in parameters):
        parameters = (*parameters, (b"charset", b"us-ascii"))
    return b"%b %b %b %b %b %b %d" % (
        quote(part.media_type),
        quote(part.subtype),
        _parameters(parameters),
        nstring(part.content_id),
        nstring(part.description),
        quote(part.encoding),
        part.size,
    )


def _extension(part: Part) -> bytes:
    """MD5, disposition, language and location."""
    return b" %b%b" % (nstring(part.md5), _tail(part))


def _multipart_extension(part: Part) -> bytes:
    """Parameters, disposition, language and location."""
    return b" %b%b" % (_parameters(part.parameters), _tail(part))


def _tail(part: Part) -> bytes:
    """The extension data that all parts have in common."""
    if part.disposition is None and not part.language and part.location is None:
        return b" NIL NIL NIL"
    disposition = b"NIL"
    if part.disposition is not None:
        disposition = b"(%b %b)" % (quote(part.disposition[0]), _parameters(part.disposition[1]))
    language = b"NIL"
    if part.language:
        tags = b" ".join(map(quote, part.language))
        language = tags if len(part.language) == 1 else b"(%b)" % tags
    return b" %b %b %b" % (disposition, language, nstring(part.location))


def _parameters(parameters: Parameters) -> bytes:
    """A list of names and values, NIL when empty."""
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join([b"%b %b" % (quote(name), quote(value)) for name, value in parameters])
