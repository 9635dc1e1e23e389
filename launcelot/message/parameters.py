"""
Values with parameters: ``Content-Type`` and ``Content-Disposition``.  RFC 2045 section 5.1, RFC 2183, RFC 2231.

Two views: :func:`scan_parameters` keeps what was sent (segments of RFC 2231 joined, charsets untouched), as IMAP's
BODYSTRUCTURE wants it; :func:`parse_parameters` decodes to text, as programs that use a file name want it.  Reading is
lenient (missing semicolons, blanks in unquoted values, comments), never raises, and is linear in input cut at
:data:`MAX_VALUE`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from launcelot.message.words import decode_charset, decode_raw, decode_words

MAX_VALUE = 64 * 1024
"""Octets of one value that are read."""
MAX_PARAMETERS = 100
"""Parameters of one value that are kept, segments counted singly."""
MAX_SEGMENT = 999
"""Largest segment number of RFC 2231."""

Parameters = tuple[tuple[bytes, bytes], ...]
"""Names in lower case and values, in the order sent."""

_VALUE = re.compile(rb"[^;]*+")
_PARAMETER = re.compile(
    rb'[;\s]*+([^\s;="]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|"?+([^;"]*+))|[;\s]*+[^;]*+(?:;|\Z)', re.DOTALL
)
"""``";" attribute "=" value``; the second alternative skips one piece that is no parameter."""
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_SEGMENT = re.compile(rb"([^*]+)\*(\d{1,3})(\*?)")
_FOLD = re.compile(rb"[\r\n]+")
_COMMENT_PIECE = re.compile(rb'"(?:[^"\\]|\\.)*+"|\\.|[^"()\\]++|[\s\S]', re.DOTALL)


def parse_parameters(value: bytes) -> tuple[bytes, dict[str, str]]:
    """
    Split a value from its parameters and decode them.  RFC 2231 and, against the letter, RFC 2047 in values.

    :returns: the value without blanks around it, as written, and the parameters by lower-case name; of several with
        one name the first counts.
    """
    head, parameters = scan_parameters(value)
    decoded: dict[str, str] = {}
    for name, data in parameters:
        if name.endswith(b"*"):
            # The extended form wins over a plain fallback.  RFC 2231 section 4.
            decoded[decode_raw(name[:-1])] = _extended(data)
        else:
            decoded.setdefault(decode_raw(name), decode_words(data))
    return head, decoded


def scan_parameters(value: bytes) -> tuple[bytes, Parameters]:
    """
    Split a value from its parameters as they were sent.

    Segments of RFC 2231 section 3 are joined: to ``name*`` when any of them is percent-encoded, else to ``name``.

    :returns: the value without blanks around it, as written, and the parameters.
    """
    value = value[:MAX_VALUE]
    if b"\n" in value or b"\r" in value:
        value = _FOLD.sub(b"", value)
    if b"(" in value:
        value = strip_comments(value)
    found = _VALUE.match(value)
    if found is None or found.end() == len(value):
        return value.strip(), ()
    pairs: dict[bytes, bytes] = {}
    segmented = False
    count = 0
    for piece in _PARAMETER.finditer(value, found.end()):
        name, quoted, plain = piece.groups()
        if name is None:
            continue
        count += 1
        if count > MAX_PARAMETERS:
            break
        name = name.lower()
        data = plain.strip() if quoted is None else quoted
        if quoted and b"\\" in quoted:
            data = _PAIR.sub(rb"\1", quoted)
        segmented = segmented or b"*" in name
        pairs.setdefault(name, data)
    return found[0].strip(), tuple((_join(pairs) if segmented else pairs).items())


def strip_comments(value: bytes) -> bytes:
    """The value without its comments (RFC 5322 section 3.2.2), nested ones too; an open comment reaches to the end."""
    kept: list[bytes] = []
    depth = 0
    for piece in _COMMENT_PIECE.finditer(value):
        text = piece[0]
        if text == b'"' and not depth:
            kept.append(value[piece.start() :])
            break
        if text == b"(":
            if not depth:
                kept.append(b" ")
            depth += 1
        elif text == b")" and depth:
            depth -= 1
        elif not depth:
            kept.append(text)
    return b"".join(kept)


def _join(pairs: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Join the segments of RFC 2231 section 3, each at the place of its first."""
    segments: dict[bytes, dict[int, tuple[bytes, bool]]] = {}
    joined: dict[bytes, bytes] = {}
    for name, data in pairs.items():
        found = _SEGMENT.fullmatch(name)
        if found is None:
            joined[name] = data
        else:
            segments.setdefault(found[1], {})[int(found[2])] = (data, bool(found[3]))
            joined.setdefault(found[1] + b"*", b"")
    for base, numbered in segments.items():
        value, encoded = _assemble(numbered)
        if encoded:
            joined[base + b"*"] = value
        else:
            # Replace the place holder without losing its place.
            joined = {base if name == base + b"*" else name: data for name, data in joined.items()}
            joined[base] = value
    return joined


def _assemble(numbered: dict[int, tuple[bytes, bool]]) -> tuple[bytes, bool]:
    """The value of segments 0, 1, 2 ... up to the first gap, and whether it is percent-encoded."""
    run: list[tuple[bytes, bool]] = []
    while len(run) in numbered:
        run.append(numbered[len(run)])
    if not run:
        run = [numbered[number] for number in sorted(numbered)]
    encoded = any(flag for _, flag in run)
    if not encoded:
        return b"".join(data for data, _ in run), False
    pieces = [data if flag else data.replace(b"%", b"%25") for data, flag in run]
    if not run[0][1]:
        pieces.insert(0, b"''")
    return b"".join(pieces), True


def _extended(data: bytes) -> str:
    """Text of ``charset'language'percent-encoded``.  RFC 2231 section 4."""
    charset, first, rest = data.partition(b"'")
    _, second, encoded = rest.partition(b"'")
    if not first or not second:
        return decode_raw(unquote_to_bytes(data))
    octets = unquote_to_bytes(encoded)
    return decode_charset(octets, charset.decode("latin-1")) if charset else decode_raw(octets)
