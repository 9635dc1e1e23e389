"""
Text that ends in a line with one dot: SMTP's DATA, POP3's multi-line replies.  RFC 5321 section 4.5.2, RFC 1939 section 3.

Everything here takes octets in pieces of any size and gives the same result wherever they are cut.  The end of data is
the five octets CRLF ``.`` CRLF and nothing else; a dot is stuffed or taken off only behind CRLF.  What is wrong with line
ends is for :class:`LineEnds` to see, apart from finding the end, so that no spelling of the end means two things.

Memory is bounded by the piece that is fed; lines may be of any length.
"""

from __future__ import annotations

import re
from io import IncrementalNewlineDecoder

END = b"\r\n.\r\n"
"""The one end of data, with the CRLF of the last line."""

_DOT = re.compile(rb"\n\.")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_PIECE = 1 << 15
"""Octets looked at at once for line ends: they are copied for it, in memory that the processor has at hand."""


def has_bare_ends(data: bytes) -> bool:
    """
    Whether there is a CR without LF, at the end, too, or an LF without CR.

    The decoder looks at each octet once, in C; to count CR, LF and CRLF takes five times as long.
    """
    ends = IncrementalNewlineDecoder(None, translate=False)
    if len(data) <= _PIECE:
        ends.decode(data.decode("latin-1"), True)
    else:
        for start in range(0, len(data), _PIECE):
            ends.decode(data[start : start + _PIECE].decode("latin-1"), start + _PIECE >= len(data))
    return ends.newlines is not None and ends.newlines != "\r\n"


class DotReader:
    """
    Finds the end of data and takes the stuffed dots off.

    :ivar ended: whether the end has been seen; nothing may be fed after it.
    :ivar rest: what was fed behind the end, such as the next command.
    """

    __slots__ = ("_held", "_skip", "ended", "rest")

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        # The command line before the text ended in CRLF, so a first line of one dot is the end.
        self._held = b"\r\n"
        self._skip = 2

    def feed(self, data: bytes) -> bytes:
        """The octets of the text that are certain now; those that could begin the end are held back."""
        data = self._held + data
        # Most pieces have no line that begins with a dot, which is seen sooner than the end and stuffed dots are looked for.
        dots = _DOT.search(data) is not None
        end = data.find(END) if dots else -1
        if end >= 0:
            self.ended = True
            self.rest = data[end + 5 :]
            self._held = b""
            data = data[: end + 2]
        else:
            keep = self._possible_end(data)
            self._held = data[len(data) - keep :]
            data = data[: len(data) - keep]
        if not data:
            return b""
        text = data.replace(b"\r\n.", b"\r\n") if dots else data
        if self._skip:
            text = text[self._skip :]
            self._skip = 0
        return text

    @staticmethod
    def _possible_end(data: bytes) -> int:
        """How many octets at the end of ``data`` may be the beginning of the end of data."""
        for length in (4, 3, 2, 1):
            if data.endswith(END[:length]):
                return length
        return 0


class LineEnds:
    """
    Looks for CR without LF and LF without CR, and makes them CRLF if asked to.

    :param normalise: whether bare ones are replaced; otherwise the octets pass as they are.
    :ivar bare: whether one has been seen.
    """

    __slots__ = ("_held", "_normalise", "bare")

    def __init__(self, normalise: bool) -> None:
        self._normalise = normalise
        self._held = b""
        self.bare = False

    def feed(self, data: bytes) -> bytes:
        """The next octets; a CR at the end is held back until it is known what follows."""
        if self._held:
            data = self._held + data
            self._held = b""
        if data.endswith(b"\r"):
            self._held = b"\r"
            data = data[:-1]
        if not has_bare_ends(data):
            return data
        self.bare = True
        return _LINE_END.sub(b"\r\n", data) if self._normalise else data

    def finish(self) -> bytes:
        """What was held back, after the last octets."""
        held, self._held = self._held, b""
        if not held:
            return b""
        self.bare = True
        return b"\r\n" if self._normalise else held


class DotWriter:
    """
    Stuffs dots and writes the end of data.

    Bare CR and bare LF become CRLF on the way, because what some receivers take for a line end must be one for all of them
    (outbound SMTP smuggling).
    """

    __slots__ = ("_at_line_start", "_ends")

    def __init__(self) -> None:
        self._ends = LineEnds(normalise=True)
        self._at_line_start = True

    def feed(self, data: bytes) -> bytes:
        """The next octets as they are sent."""
        return self._stuff(self._ends.feed(data))

    def finish(self) -> bytes:
        """The end of data, with the CRLF the last line may lack; call it once, after the last octets."""
        last = self._stuff(self._ends.finish())
        return last + (b".\r\n" if self._at_line_start else b"\r\n.\r\n")

    def _stuff(self, data: bytes) -> bytes:
        if not data:
            return b""
        stuffed = data if _DOT.search(data) is None else data.replace(b"\r\n.", b"\r\n..")
        if self._at_line_start and data.startswith(b"."):
            stuffed = b"." + stuffed
        self._at_line_start = data.endswith(b"\r\n")
        return stuffed


def stuffed_lines(data: bytes) -> bytes:
    """A whole text with its dots stuffed, without the end of data; its lines all end with CRLF.  See :class:`LineWriter`."""
    # Finding nothing, as it nearly always is, takes half the time that replace() takes for it.
    stuffed = data if _DOT.search(data) is None else data.replace(b"\n.", b"\n..")
    return b"." + stuffed if data.startswith(b".") else stuffed


class LineWriter:
    """
    Stuffs dots and writes the end of data of a text whose lines all end with CRLF, the last one, too.

    It looks at each octet once: whoever knows that there are no bare CR and LF, for which :class:`DotWriter` is, need not count.
    """

    __slots__ = ("_at_line_start",)

    def __init__(self) -> None:
        self._at_line_start = True

    def feed(self, data: bytes) -> bytes:
        """The next octets as they are sent."""
        if not data:
            return b""
        stuffed = stuffed_lines(data)
        if not self._at_line_start and data.startswith(b"."):
            stuffed = stuffed[1:]
        self._at_line_start = data.endswith(b"\n")
        return stuffed

    def finish(self) -> bytes:
        """The end of data."""
        return b".\r\n"
