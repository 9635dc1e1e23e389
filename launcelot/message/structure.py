"""
The MIME tree of a message, by offsets into its octets.  RFC 2045, RFC 2046, RFC 2183.

One forward pass with an explicit stack: delimiters are found with ``find`` on what the open boundaries have in common,
no line is looked at that cannot be one, nothing is copied but headers.  Time is linear in the message whatever it
holds.  Every octet sequence has a tree; past a limit (:data:`MAX_DEPTH`, :data:`MAX_PARTS`, :data:`MAX_WORK`) the rest
is one opaque part.  Line ends are CRLF; LF alone is understood everywhere.

Choices where the standards leave them: a delimiter line matches the longest open boundary it begins with, an exact
match first (RFC 2046 section 5.1.1); a multipart in which no delimiter is found has one empty-headed text part that
holds all of it, because IMAP has no form for a multipart without parts; a part with an impossible ``Content-Type`` is
``text/plain`` (RFC 2045 section 5.2); a ``message/rfc822`` is read as it stands, since RFC 2046 section 5.2.1 allows it no
encoding that would have to be undone; a ``message/global`` is a message as well (RFC 6532 section 3.7), but a leaf where it has
such an encoding.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from launcelot.message.headers import MAX_HEADER, Buffer, collect, find_header_end
from launcelot.message.parameters import Parameters, scan_parameters, strip_comments

MAX_DEPTH = 100
"""Containers (multiparts and embedded messages) inside each other."""
MAX_PARTS = 10_000
"""Parts of one message, containers counted."""
MAX_WORK = 1_000_000
"""Boundary comparisons made for one message; only forged messages need more than a few per part."""
MAX_BOUNDARY = 200
"""Largest boundary in octets; RFC 2046 allows 70."""

_MEDIA_TYPE = re.compile(rb"([!#$%&'*+.^_`{|}~0-9A-Za-z-]{1,127})\s*+/\s*+([!#$%&'*+.^_`{|}~0-9A-Za-z-]{1,127})")
_IDENTITIES: tuple[bytes, ...] = (b"7bit", b"8bit", b"binary")
_DELIMITER_LINE = MAX_BOUNDARY + 64
_CHUNK = 1 << 20


class Part:
    """
    One node of the tree: a leaf, a multipart, or a ``message/rfc822`` or ``message/global`` with the message inside.

    Names are lower-case octets, values are octets as sent (unfolded).  Offsets count from the first octet of the whole
    message: the header is ``header_start`` to ``body_start`` (its empty line included), the body ``body_start`` to
    ``body_end`` (the CRLF before the next delimiter belongs to that).
    """

    __slots__ = (
        "body_end",
        "body_start",
        "children",
        "content_id",
        "description",
        "disposition",
        "encoding",
        "fields",
        "header_start",
        "language",
        "lines",
        "location",
        "md5",
        "media_type",
        "message",
        "parameters",
        "subtype",
    )

    def __init__(self, header_start: int, body_start: int, fields: dict[bytes, bytes]) -> None:
        self.header_start = header_start
        self.body_start = body_start
        self.body_end = body_start
        self.fields = fields
        """Header fields by lower-case name, as :func:`~launcelot.message.headers.collect` gives them."""
        self.media_type = b"text"
        self.subtype = b"plain"
        self.parameters: Parameters = ()
        self.content_id: bytes | None = None
        self.description: bytes | None = None
        self.encoding = b"7bit"
        self.disposition: tuple[bytes, Parameters] | None = None
        self.language: tuple[bytes, ...] = ()
        self.location: bytes | None = None
        self.md5: bytes | None = None
        self.lines = 0
        """LFs in the body; counted for text and for embedded messages only."""
        self.children: list[Part] = []
        """The parts of a multipart, never empty for one."""
        self.message: Part | None = None
        """The message inside ``message/rfc822`` or ``message/global``."""

    @property
    def is_global(self) -> bool:
        """Whether it is a message that may have UTF-8 in its headers, and says so."""
        return self.message is not None and self.subtype == b"global"

    @property
    def size(self) -> int:
        """Octets of the body as it is encoded."""
        return self.body_end - self.body_start

    def parameter(self, name: bytes) -> bytes | None:
        """A parameter of the ``Content-Type`` by lower-case name."""
        for key, value in self.parameters:
            if key == name:
                return value
        return None


def parse(buffer: Buffer) -> Part:
    """The tree of a whole message; never raises, whatever the octets are."""
    scanner = _Scanner(buffer)
    scanner.run()
    root = scanner.open[0]
    if root.children or root.message is not None:
        _count_lines(buffer, scanner.counted)
    elif root.media_type == b"text":
        root.lines = _newlines(buffer, root.body_start, root.body_end)
    return root


class _Scanner:
    """
    The path from the root to the part being read, and the boundaries that may end it.

    ``boundaries`` maps each open boundary to the indexes in ``open`` of the multiparts that use it, innermost last.
    """

    __slots__ = (
        "boundaries",
        "buffer",
        "count",
        "counted",
        "empty_line",
        "end",
        "lengths",
        "needle",
        "open",
        "position",
        "work",
    )

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.end = len(buffer)
        self.open: list[Part] = []
        self.boundaries: dict[bytes, list[int]] = {}
        self.lengths: list[int] = []
        self.needle = b"\n--"
        self.position = 0
        self.count = 0
        self.work = 0
        self.empty_line = 0
        self.counted: list[Part] = []

    def run(self) -> None:
        """Read all of the buffer; ``open[0]`` is the root then."""
        self.begin(0, None)
        while self.count < MAX_PARTS:
            found = self.delimiter(self.position, self.end)
            if found is None:
                break
            newline, level, closing, after = found
            self.close(level, newline)
            self.position = after - 1
            if closing:
                self.forget(level)
            else:
                self.begin(after, self.open[level])
        self.close(-1, self.end)

    def begin(self, start: int, parent: Part | None) -> None:
        """Open the part whose header starts here, and whatever message it holds."""
        embedded: Part | None = None
        while True:
            end, truncated = self.header_end(start)
            part = Part(start, end, collect(self.buffer[start : min(end, start + MAX_HEADER)]))
            digest = parent is not None and parent.subtype == b"digest"
            _describe(part, b"message/rfc822" if digest else b"text/plain")
            if embedded is not None:
                embedded.message = part
            elif parent is not None:
                parent.children.append(part)
            self.open.append(part)
            self.count += 1
            self.position = max(start - 1, 0) if truncated else max(end - 1, 0)
            if part.media_type == b"text":
                self.counted.append(part)
                return
            full = len(self.open) > MAX_DEPTH or self.count >= MAX_PARTS
            if part.media_type == b"multipart":
                if full:
                    _make_opaque(part)
                elif not truncated:
                    self.remember(_boundary(part))
                return
            if not _is_message(part):
                return
            if full:
                _make_opaque(part)
                return
            self.counted.append(part)
            start, embedded, parent = end, part, None

    def header_end(self, start: int) -> tuple[int, bool]:
        """Where the header that starts here ends, and whether a delimiter cuts it off."""
        first = self.buffer[start : start + 2]
        if first == b"\r\n" or first[:1] == b"\n":
            end = start + (2 if first == b"\r\n" else 1)
        else:
            if start > self.empty_line - 2:
                self.empty_line = find_header_end(self.buffer, start, self.end)
            end = max(self.empty_line, start)
        if self.boundaries:
            found = self.delimiter(max(start - 1, 0), end)
            if found is not None:
                return max(found[0] + 1, start), True
        return end, False

    def delimiter(self, position: int, stop: int) -> tuple[int, int, bool, int] | None:
        """
        The next delimiter line whose preceding LF is at or after ``position``.

        :returns: offset of that LF, index of the multipart in ``open``, whether it closes it, offset behind the line.
        """
        if not self.boundaries:
            return None
        buffer, needle = self.buffer, self.needle
        while True:
            newline = buffer.find(needle, position, stop)
            if newline < 0:
                return None
            self.work += 1 + len(self.lengths)
            if self.work > MAX_WORK:
                self.boundaries.clear()
                return None
            line_end = buffer.find(b"\n", newline + 1, self.end)
            if line_end < 0:
                line_end = self.end
            found = self.match(buffer[newline + 3 : min(line_end, newline + 3 + _DELIMITER_LINE)])
            if found is not None:
                return newline, found[0], found[1], min(line_end + 1, self.end)
            position = newline + 1

    def match(self, line: bytes) -> tuple[int, bool] | None:
        """Which open multipart a line behind ``--`` belongs to, and whether it closes it."""
        line = line.rstrip()
        levels = self.boundaries.get(line)
        if levels:
            return levels[-1], False
        for length in self.lengths:
            levels = self.boundaries.get(line[:length])
            if levels:
                return levels[-1], line[length : length + 2] == b"--"
        return None

    def content_end(self, newline: int) -> int:
        """Where the content before a delimiter ends: before the CRLF or LF that leads the delimiter."""
        return newline - 1 if newline > 0 and self.buffer[newline - 1] == 13 else newline

    def close(self, level: int, newline: int) -> None:
        """End all parts deeper than ``level``."""
        end = self.end if level < 0 else self.content_end(newline)
        keep = max(level, 0) + 1
        for index in range(len(self.open) - 1, level, -1):
            part = self.open[index]
            # A header that the delimiter cut off keeps its line end, so what holds it ends no earlier.
            end = part.body_end = max(end, part.body_start)
            if part.media_type == b"multipart":
                self.forget(index)
                if not part.children:
                    self.fill(part)
        del self.open[keep:]

    def fill(self, part: Part) -> None:
        """Give a multipart without delimiters its one part."""
        child = Part(part.body_start, part.body_start, {})
        child.body_end = part.body_end
        part.children.append(child)
        self.counted.append(child)
        self.count += 1

    def remember(self, boundary: bytes) -> None:
        """The innermost open part is a multipart with this boundary."""
        if boundary:
            self.boundaries.setdefault(boundary, []).append(len(self.open) - 1)
            self.prepare()

    def forget(self, level: int) -> None:
        """The multipart at this level looks for its boundary no more."""
        for boundary, levels in self.boundaries.items():
            if levels[-1] == level:
                levels.pop()
                if not levels:
                    del self.boundaries[boundary]
                    self.prepare()
                return

    def prepare(self) -> None:
        """Make ready to search for the boundaries that are open now."""
        names = list(self.boundaries)
        self.lengths = sorted({len(name) for name in names}, reverse=True)
        self.needle = b"\n--" + (names[0] if len(names) == 1 else _common_prefix(names))


def _describe(part: Part, default: bytes) -> None:
    """Fill in what the header says of the content."""
    fields = part.fields
    value = fields.get(b"content-type", default)
    if value != b"text/plain":
        head, parameters = scan_parameters(value)
        found = _MEDIA_TYPE.match(head)
        if found is not None:
            part.media_type, part.subtype = found[1].lower(), found[2].lower()
            part.parameters = parameters
    get = fields.get
    value = get(b"content-transfer-encoding", b"")
    if value:
        part.encoding = (strip_comments(value) if b"(" in value else value).strip().lower() or b"7bit"
    part.content_id = get(b"content-id")
    part.description = get(b"content-description")
    value = get(b"content-disposition", b"")
    if value:
        kind, parameters = scan_parameters(value)
        part.disposition = (kind.lower(), parameters) if kind else None
    part.location = get(b"content-location")
    part.md5 = get(b"content-md5")
    value = get(b"content-language", b"")
    if value:
        tags = (strip_comments(value) if b"(" in value else value).split(b",", 100)[:100]
        part.language = tuple(tag for tag in (tag.strip() for tag in tags) if tag)


def _is_message(part: Part) -> bool:
    """Whether a part holds a message that can be read where it stands."""
    if part.media_type != b"message":
        return False
    return part.subtype == b"rfc822" or (part.subtype == b"global" and part.encoding in _IDENTITIES)


def _boundary(part: Part) -> bytes:
    """The boundary of a multipart; empty when it has none that can be used."""
    boundary = part.parameter(b"boundary")
    if boundary is None:
        boundary = unquote_to_bytes((part.parameter(b"boundary*") or b"").split(b"'", 2)[-1])
    boundary = boundary.rstrip()
    return boundary if len(boundary) <= MAX_BOUNDARY else b""


def _common_prefix(names: list[bytes]) -> bytes:
    """What all names begin with."""
    if not names:
        return b""
    low, high = min(names), max(names)
    length = 0
    while length < len(low) and low[length] == high[length]:
        length += 1
    return low[:length]


def _make_opaque(part: Part) -> None:
    """Turn a container that is not looked into to a leaf."""
    part.media_type, part.subtype, part.parameters = b"application", b"octet-stream", ()


def _count_lines(buffer: Buffer, parts: list[Part]) -> None:
    """Count the lines of nested parts with one look at each octet."""
    offsets = sorted({offset for part in parts for offset in (part.body_start, part.body_end)})
    totals: dict[int, int] = {}
    total = previous = 0
    for offset in offsets:
        total += _newlines(buffer, previous, offset)
        totals[offset] = total
        previous = offset
    for part in parts:
        part.lines = totals[part.body_end] - totals[part.body_start]


def _newlines(buffer: Buffer, start: int, end: int) -> int:
    """LFs between two offsets."""
    if isinstance(buffer, bytes):
        return buffer.count(b"\n", start, end)
    return sum(buffer[at : min(at + _CHUNK, end)].count(b"\n") for at in range(start, end, _CHUNK))
