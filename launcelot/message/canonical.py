"""
Headers and bodies as signatures see them, and the tags of a signature: what signing and verifying share.  RFC 6376.

Nothing here knows keys or asks anybody.  Bodies are read in pieces, so a message of 50 MiB costs no more memory than a piece,
unless it has lines as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from launcelot.message.headers import Buffer, Field, fields

PIECE = 262_144

_WSP = re.compile(rb"[ \t]+")
_BEFORE_END = re.compile(rb" (?=\r\n)")
_TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_VALUE_OF_B = re.compile(rb"((?:\A|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_FOLDS = re.compile(r"[ \t\r\n]+")


class BadTags(ValueError):
    """A tag list that is none."""


def parse_tags(text: str) -> Mapping[str, str]:
    """
    A tag list; values without blanks around them.  RFC 6376 section 3.2.

    :raises BadTags: it is malformed, or a tag stands in it twice.
    """
    found: dict[str, str] = {}
    parts = text.split(";")
    if parts and not parts[-1].strip():
        parts.pop()
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or _TAG_NAME.fullmatch(name) is None or name in found:
            raise BadTags(f"{len(found)} tags and then none")
        found[name] = value.strip()
    return found


def without_blanks(text: str) -> str:
    """A value that may be folded anywhere, such as base64."""
    return _FOLDS.sub("", text)


def relaxed_field(raw: bytes) -> bytes:
    """A field with its CRLF, relaxed.  RFC 6376 section 3.4.2."""
    name, _, value = raw.partition(b":")
    text = _WSP.sub(b" ", value.replace(b"\r\n", b"")).strip(b" \t")
    return name.strip(b" \t").lower() + b":" + text + b"\r\n"


def simple_field(raw: bytes) -> bytes:
    """A field as it is.  RFC 6376 section 3.4.1."""
    return raw


def signed_header(head: bytes, names: Sequence[bytes], signature: Field, relaxed: bool) -> bytes:
    """
    What a signature of a header is over: the fields named, from the bottom up, then itself without its value.  Section 3.7.

    :param names: lower-case, in order; a name that has no (further) field adds nothing (section 5.4.2).
    """
    form = relaxed_field if relaxed else simple_field
    waiting: dict[bytes, list[bytes]] = {}
    for field in fields(head, 0, len(head)):
        if field.start != signature.start:
            waiting.setdefault(field.name.strip().lower(), []).append(head[field.start : field.end])
    pieces = [form(waiting[name].pop()) for name in names if waiting.get(name)]
    return b"".join(pieces) + form(without_signature(head, signature)).removesuffix(b"\r\n")


def without_signature(head: bytes, signature: Field) -> bytes:
    """A signature's field with the value of ``b`` taken out."""
    value = _VALUE_OF_B.sub(rb"\1", head[signature.value_start : signature.end], count=1)
    # The last tag's value ends with the field, and its line end stays.
    end = b"" if value.endswith(b"\r\n") else b"\r\n"
    return head[signature.start : signature.value_start] + value + end


def canonical_body(buffer: Buffer, start: int, relaxed: bool) -> Iterator[bytes]:
    """A body from ``start`` on, in pieces.  RFC 6376 sections 3.4.3 and 3.4.4."""
    waiting = 0
    anything = False
    for piece in _whole_lines(buffer, start):
        if relaxed:
            piece = _BEFORE_END.sub(b"", _WSP.sub(b" ", piece))
        core = piece[: _ends_from(piece)]
        if core:
            yield b"\r\n" * waiting + core
            anything = True
            waiting = 0
        waiting += (len(piece) - len(core)) // 2
    if anything or not relaxed:
        yield b"\r\n"


def _ends_from(piece: bytes) -> int:
    """Where the line ends at the end of a piece begin."""
    end = len(piece)
    while piece.endswith(b"\r\n", 0, end):
        end -= 2
    return end


def _whole_lines(buffer: Buffer, start: int) -> Iterator[bytes]:
    """Pieces that end at line ends; the last one is given one."""
    total = len(buffer)
    while start < total:
        end = total
        if total - start > PIECE:
            found = buffer.find(b"\r\n", start + PIECE)
            end = total if found < 0 else found + 2
        piece = bytes(buffer[start:end])
        start = end
        yield piece if piece.endswith(b"\r\n") else piece + b"\r\n"
