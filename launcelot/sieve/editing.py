"""
A message as a script sees it: header fields that can be added and deleted (RFC 5293), and text.

Octets of fields that a script leaves alone, and the whole body, stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from launcelot.message.analysis import body_text, part_text
from launcelot.message.compose import unstructured
from launcelot.message.headers import MAX_HEADER, Buffer, decode_words, fields, find_header_end
from launcelot.message.structure import Part, parse
from launcelot.message.trace import fold

PIECE = 262_144
"""Octets of a body given out at once."""
MAX_TEXT = 1 << 20
"""Characters of a message's text that are looked through."""


@dataclass(frozen=True, slots=True)
class Line:
    """
    One header field.

    :ivar name: in lower case.
    :ivar raw: the value's octets, unfolded where it matters.
    :ivar start: where it begins in the message; -1 for one that was added.
    """

    name: str
    raw: bytes
    start: int
    end: int
    written: bytes = b""

    @property
    def text(self) -> str:
        """Decoded, without blanks around it.  RFC 5228 section 2.4.2.2."""
        return decode_words(self.raw)


@dataclass(frozen=True, slots=True)
class Edits:
    """
    A state of the header.

    :ivar lines: fields, first to last.
    :ivar changed: whether it is not the message's own any more.
    """

    lines: tuple[Line, ...]
    changed: bool = False

    def named(self, name: str) -> tuple[Line, ...]:
        """Fields of a name, in any case."""
        wanted = name.strip().lower()
        return tuple(line for line in self.lines if line.name == wanted)

    def added(self, name: str, value: str, last: bool) -> Edits:
        """With one more field, at the beginning or at the end.  RFC 5293 section 4."""
        written = fold(f"{name}:", unstructured(value))
        line = Line(name.lower(), written.partition(b":")[2].strip(), -1, -1, written)
        lines = (*self.lines, line) if last else (line, *self.lines)
        return Edits(lines, True)

    def without(self, gone: tuple[Line, ...]) -> Edits:
        """Without some fields."""
        if not gone:
            return self
        marks = {id(line) for line in gone}
        return Edits(tuple(line for line in self.lines if id(line) not in marks), True)


def edits_of(buffer: Buffer) -> Edits:
    """The header as it came."""
    end = min(find_header_end(buffer), MAX_HEADER)
    return Edits(
        tuple(
            Line(one.name.decode("ascii", "replace").lower(), bytes(buffer[one.value_start : one.value_end]), one.start, one.end)
            for one in fields(buffer, 0, end)
        )
    )


def rendered(buffer: Buffer, edits: Edits) -> Iterator[bytes]:
    """A message with its header in a state, in bounded pieces; lines that are no field stay behind the field before them."""
    if not edits.changed:
        yield from _pieces(buffer, 0)
        return
    end = find_header_end(buffer)
    left = {line.start for line in edits.lines if line.start >= 0}
    original = edits_of(buffer).lines
    gone = sorted((line.start, line.end) for line in original if line.start not in left)
    seen_own = False
    trailing: list[bytes] = []
    for line in edits.lines:
        if line.start >= 0:
            seen_own = True
        elif seen_own:
            trailing.append(line.written)
        else:
            yield line.written
    blank = _blank_line(buffer, end)
    position = 0
    for start, stop in gone:
        yield buffer[position:start]
        position = stop
    kept = buffer[position : end - len(blank)]
    yield kept
    if trailing and kept and not kept.endswith(b"\n"):
        yield b"\r\n"
    yield from trailing
    yield blank or b"\r\n"
    yield from _pieces(buffer, end)


def _pieces(buffer: Buffer, start: int) -> Iterator[bytes]:
    for position in range(start, len(buffer), PIECE):
        yield buffer[position : position + PIECE]


def _blank_line(buffer: Buffer, end: int) -> bytes:
    """The empty line at the end of a header, if it has one."""
    for line in (b"\r\n", b"\n"):
        before = end - len(line)
        if buffer[max(before, 0) : end] == line and (before == 0 or buffer[before - 1 : before] == b"\n"):
            return line
    return b""


class Subject:
    """
    The message that a script looks at.

    :param buffer: all of it.
    """

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.size = len(buffer)

    @cached_property
    def part(self) -> Part:
        """Its MIME tree."""
        return parse(self.buffer)

    @cached_property
    def raw_body(self) -> str:
        """Everything below the header, each octet a character unless it is UTF-8."""
        start = find_header_end(self.buffer)
        return bytes(self.buffer[start : start + MAX_TEXT]).decode("utf-8", "replace")

    @cached_property
    def text(self) -> tuple[str, ...]:
        """The text of each text part, decoded.  RFC 5173 section 5.3."""
        return tuple(body_text(self.buffer, self.part, MAX_TEXT, headers=False))

    def contents(self, types: tuple[str, ...]) -> list[str]:
        """The decoded parts of some MIME types.  RFC 5173 section 5.2."""
        found: list[str] = []
        waiting = [self.part]
        while waiting:
            part = waiting.pop()
            if any(_is_type(part, one) for one in types):
                found.append(self._content(part))
            inner = [*part.children, *([part.message] if part.message is not None else [])]
            waiting += reversed(inner)
        return found

    def _content(self, part: Part) -> str:
        if part.children:
            # Of a multipart what stands before and behind its parts.
            first, last = part.children[0], part.children[-1]
            texts = (self.buffer[part.body_start : first.header_start], self.buffer[last.body_end : part.body_end])
            return b"".join(bytes(text) for text in texts).decode("utf-8", "replace")[:MAX_TEXT]
        if part.message is not None:
            inner = part.message
            return bytes(self.buffer[inner.header_start : inner.body_start]).decode("utf-8", "replace")[:MAX_TEXT]
        return part_text(self.buffer, part, MAX_TEXT)


def _is_type(part: Part, wanted: str) -> bool:
    major, slash, minor = wanted.strip().lower().partition("/")
    if not wanted.strip():
        return True
    if not major or (slash and not minor) or "/" in minor:
        return False
    return part.media_type == major.encode() and (not slash or part.subtype == minor.encode())
