"""
What a message is for clients that take lines of ASCII headers: its size in lines, and the surrogate of one that needs UTF-8.

POP3 sends lines, so bare CR and bare LF become CRLF and the last line gets one; a client that has not asked for UTF-8 is sent
no header with other octets than ASCII (RFC 6856 section 2.1), but a surrogate made by the rules of RFC 6858 section 2:
internationalized addresses become invalid ones that name them, the subject encoded-words, and parameters and fields that
cannot be shown go.  Bodies stay as they are: their octets are what their Content-Transfer-Encoding says.

A ``message/global`` stays as it is, too: its type says what stands in it, and who does not know the type does not look into it.

Headers are rewritten section by section (:func:`sections_of`), each no further than :data:`MAX_HEADER`; what lies behind that in
a longer one goes, too.  Every section that is ASCII stays octet for octet.  Nothing here raises on any octets, and all of it is
linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from launcelot.core.dots import LineEnds, has_bare_ends
from launcelot.message.address import Address
from launcelot.message.compose import encoded_words, phrase
from launcelot.message.headers import MAX_HEADER, Buffer
from launcelot.message.lists import Group, Mailbox, parse_address_list
from launcelot.message.parameters import scan_parameters
from launcelot.message.sections import Entry, Kind
from launcelot.message.structure import Part
from launcelot.message.trace import LINE, fold
from launcelot.message.words import decode_raw, decode_words

INVALID = "<invalid@internationalized-address.invalid>"
"""Nobody's address, for ever.  RFC 6858 section 2.1, RFC 6761 section 6.4."""

PIECE = 1 << 20

ADDRESSES = frozenset({
    b"bcc", b"cc", b"from", b"reply-to", b"resent-bcc", b"resent-cc", b"resent-from", b"resent-sender", b"resent-to",
    b"return-path", b"sender", b"to",
})  # fmt: skip
"""Fields whose addresses are replaced.  RFC 6858 section 2.1."""
PARAMETERS = frozenset({b"content-type", b"content-disposition"})
"""Fields whose parameters go one by one.  RFC 6858 section 2.2."""

_LOGICAL = re.compile(rb"[^\n]*+\n?+(?:[ \t][^\n]*+\n?+)*+")
_NAME = re.compile(rb"([!-9;-~]++)[ \t]*+:")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_VALUE = re.compile(rb"[ -~]{0,900}\Z")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`{|}~0-9A-Za-z-]{1,900}\Z")
"""Values that fit on one line; RFC 5322 section 2.1.1 allows 998 octets."""


class LineSizes(NamedTuple):
    """
    Octets of a message as it is sent in lines, without stuffed dots.

    :ivar utf8: to a client that takes UTF-8 in headers.
    :ivar ascii: to one that does not.
    """

    utf8: int
    ascii: int


# -- sizes ---------------------------------------------------------------------------------------------------------


def line_sizes(buffer: Buffer, root: Part) -> LineSizes:
    """The sizes of a whole message; both are its own where nothing has to be done."""
    size = len(buffer)
    if isinstance(buffer, bytes):
        whole = buffer.endswith(b"\n") and not has_bare_ends(buffer)
        utf8, plain = size if whole else _in_lines([buffer]), buffer.isascii()
    else:
        utf8, plain = _in_lines(_slices(buffer, 0, size)), all(piece.isascii() for piece in _slices(buffer, 0, size))
    if plain:
        return LineSizes(utf8, utf8)
    sections = sections_of(root)
    foreign = any(not piece.isascii() for start, end in sections for piece in _slices(buffer, start, end))
    return LineSizes(utf8, _in_lines(_surrogate(buffer, sections)) if foreign else utf8)


def _in_lines(pieces: Iterator[bytes] | Sequence[bytes]) -> int:
    """Octets of pieces when every line end is CRLF, the last one's, too."""
    ends = LineEnds(normalise=True)
    size, last = 0, b"\n"
    for piece in pieces:
        sent = ends.feed(piece)
        size += len(sent)
        last = sent[-1:] or last
    sent = ends.finish()
    size += len(sent)
    last = sent[-1:] or last
    return size if last == b"\n" else size + 2


def sections_of(root: Part | Entry) -> list[tuple[int, int]]:
    """Where the header sections of a message, its parts and the messages in them begin and end, in order."""
    found: list[tuple[int, int]] = []
    pending: list[Part | Entry] = [root]
    while pending:
        part = pending.pop()
        if part.body_start > part.header_start:
            found.append((part.header_start, part.body_start))
        if isinstance(part, Entry):
            if part.kind is not Kind.GLOBAL:
                pending.extend(part.parts)
        else:
            pending.extend(part.children)
            if part.message is not None and not part.is_global:
                pending.append(part.message)
    return sorted(found)


def _surrogate(buffer: Buffer, sections: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    position = 0
    for start, end in sections:
        yield from _slices(buffer, position, start)
        yield surrogate_section(buffer[start : min(end, start + MAX_HEADER)], end - start > MAX_HEADER)
        position = end
    yield from _slices(buffer, position, len(buffer))


def _slices(buffer: Buffer, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, PIECE):
        yield buffer[at : min(at + PIECE, end)]


# -- headers -------------------------------------------------------------------------------------------------------


def surrogate_section(section: bytes, cut: bool = False) -> bytes:
    """
    A header section with its empty line as a client without UTF-8 gets it; itself if it is ASCII.

    :param cut: whether there is more of it than was handed in, which goes with the last field.
    """
    if section.isascii() and not cut:
        return section
    lines = [line[0] for line in _LOGICAL.finditer(section)]
    if cut:
        # The last match is the empty one at the end.
        lines = lines[:-2]
    kept = b"".join([line if line.isascii() else _presented(line) for line in lines])
    return kept + b"\r\n" if cut else kept


def _presented(line: bytes) -> bytes:
    """A field that is not ASCII as it can be shown; empty if it cannot."""
    found = _NAME.match(line)
    if found is None:
        return b""
    name, value = found[1], line[found.end() :]
    key = name.lower()
    if key in ADDRESSES:
        return _addresses(name.decode("ascii"), value, key == b"return-path")
    if key == b"subject":
        text = _clean(decode_words(value))
        return fold(f"{name.decode('ascii')}:", encoded_words(text) if text else [])
    return _with_parameters(name, value) if key in PARAMETERS else b""


def _clean(text: str) -> str:
    """Text on one line, without controls."""
    return _CONTROLS.sub(" ", text).strip()


def _addresses(name: str, value: bytes, bare: bool) -> bytes:
    """
    A field of addresses.

    :param bare: whether only ``<...>`` may stand in it.
    """
    if bare:
        return fold(f"{name}:", [INVALID])
    found = parse_address_list(value)
    pieces: list[str] = []
    for number, one in enumerate(found):
        pieces += _group(one) if isinstance(one, Group) else _mailbox(one)
        if number < len(found) - 1:
            pieces[-1] += ","
    return fold(f"{name}:", pieces) if pieces else b""


def _group(group: Group) -> list[str]:
    pieces = _words(_clean(decode_words(group.name)) or "group")
    pieces[-1] += ":"
    for number, one in enumerate(group.members):
        pieces += _mailbox(one)
        if number < len(group.members) - 1:
            pieces[-1] += ","
    pieces[-1] += ";"
    return pieces


def _mailbox(one: Mailbox) -> list[str]:
    display = _clean(one.display)
    address: Address | None = one.address if one.local.isascii() and one.domain.isascii() else None
    if address is not None:
        return [*_words(display), f"<{address}>"] if display else [str(address)]
    written = decode_raw(one.local) + ("@" + decode_raw(one.domain) if one.domain else "")
    return [*_words(_clean(f"{display} <{written}>" if display else written)), INVALID]


def _words(text: str) -> list[str]:
    """A display name in pieces short enough to fold between."""
    return phrase(text) if len(text) <= LINE else encoded_words(text)


def _with_parameters(name: bytes, value: bytes) -> bytes:
    """A field of MIME without those parameters that cannot be shown.  RFC 6858 section 2.2."""
    head, parameters = scan_parameters(value)
    if not head or not _VALUE.match(head):
        return b""
    pieces = [head.decode("ascii")]
    for key, data in parameters:
        if not (_TOKEN.match(key) and _VALUE.match(data)):
            continue
        if not _TOKEN.match(data):
            if key.endswith(b"*"):
                continue
            data = b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        pieces[-1] += ";"
        pieces.append(f"{key.decode('ascii')}={data.decode('ascii')}")
    return fold(f"{name.decode('ascii')}:", pieces)
