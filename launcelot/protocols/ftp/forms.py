"""
Folders on the wire, many entries at once: as :mod:`~launcelot.protocols.ftp.listing` writes each of them, at a third of the cost.

What recurs is put into words once: a template for each mode, a text for each minute.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from launcelot.core.filerights import ALL
from launcelot.filestore.interface import Entry, Look, with_rights
from launcelot.filestore.paths import decode
from launcelot.protocols.ftp.grammar import write_time
from launcelot.protocols.ftp.listing import OWNED, RECENT, Pattern, facts_line, list_line, list_time, name_line
from launcelot.protocols.ftp.permissions import letters, mode_mask, mode_words

_CONTROLS = dict.fromkeys((*range(32), 127), "?")
_BITS = 0o777

MOST = 4_096
"""Minutes that are remembered in one listing; past them it begins anew."""

Line = Callable[[Entry], bytes]


class Lines:
    """
    What all forms have.

    :param line: one entry.
    :param pattern: which names are shown; None for all.
    """

    bare = False

    def __init__(self, line: Line, pattern: Pattern | None = None) -> None:
        self._line = line
        self._pattern = pattern
        self.selects = pattern is not None
        self.rights = ALL

    def fits(self, name: str) -> bool:
        """See :class:`launcelot.filestore.interface.Form`."""
        return self._pattern is None or self._pattern.matches(name)

    def of_entries(self, entries: Sequence[Entry]) -> bytes:
        """See :class:`launcelot.filestore.interface.Form`."""
        if self.rights != ALL:
            entries = [with_rights(entry, self.rights) for entry in entries]
        return b"".join([self._line(entry) for entry in entries if self.fits(entry.name)])

    def of_names(self, names: Sequence[str]) -> bytes:
        """Only bare ones can."""
        raise NotImplementedError


class ListLines(Lines):
    """
    LIST, and STAT of a path.

    :param now: seconds since 1970.
    :param indent: before each line.
    """

    def __init__(self, now: float, pattern: Pattern | None = None, indent: str = "") -> None:
        before = indent.encode("ascii")
        super().__init__(lambda entry: before + list_line(entry, now), pattern)
        self._now = now
        self._indent = indent
        self._heads: dict[int, str] = {}
        self._times: dict[int, str] = {}
        self._seconds: dict[int, str] = {}

    def of_looks(self, names: Sequence[str], found: Sequence[Look]) -> bytes:
        """See :class:`launcelot.filestore.interface.Form`."""
        heads, times, make_head, make_time = self._heads.get, self._times.get, self._head, self._time
        return octets([
            (heads(mode) or make_head(mode)) % (size, times(second // 60) or make_time(second, nanosecond), name)
            for name, (mode, _, size, second, nanosecond, _, _) in zip(shown(names), found, strict=True)
        ])  # fmt: skip

    def _head(self, mode: int) -> str:
        folder = stat.S_ISDIR(mode)
        size = f"{0:12d}%.0s" if folder else "%12d"
        bits = _BITS if self.rights == ALL else mode_mask(folder, self.rights)
        head = self._heads[mode] = f"{self._indent}{mode_words(folder, mode & bits)}{OWNED}{size} %s %s\r\n"
        return head

    def _time(self, second: int, nanosecond: int) -> str:
        minute, now = second // 60, self._now
        if not self._in_two_ways(minute * 60, 60):
            return remember(self._times, minute, list_time(second, now))
        # Files that have just come, and such of half a year ago: some are recent and others not.
        when = self._seconds.get(second)
        if when is None:
            when = list_time(second + 1e-9 * nanosecond, now)
            if not self._in_two_ways(second, 1):
                self._seconds[second] = when
        return when

    def _in_two_ways(self, first: int, length: int) -> bool:
        """Whether moments within so many seconds may be written in two ways."""
        behind, now = first + length, self._now
        return not (first > now or behind <= now - RECENT or (first > now - RECENT and behind <= now))


class FactsLines(Lines):
    """
    MLSD.

    :param wanted: the facts, of those there are.
    """

    def __init__(self, wanted: tuple[str, ...]) -> None:
        super().__init__(lambda entry: facts_line(entry, wanted))
        self._wanted = wanted
        self._heads: dict[tuple[int, int, int], str] = {}
        self._times: dict[int, str] = {}

    def of_looks(self, names: Sequence[str], found: Sequence[Look]) -> bytes:
        """See :class:`launcelot.filestore.interface.Form`."""
        heads, times, make_head, make_time = self._heads.get, self._times.get, self._head, self._time
        return octets([
            (heads((mode, major, minor)) or make_head(mode, major, minor))
            % (size, times(second // 60) or make_time(second // 60), second % 60, inode, name)
            for name, (mode, inode, size, second, _, major, minor) in zip(shown(names), found, strict=True)
        ])  # fmt: skip

    def _head(self, mode: int, major: int, minor: int) -> str:
        folder = stat.S_ISDIR(mode)
        every = {
            "type": "type=dir;" if folder else "type=file;",
            "size": "%.0s" if folder else "size=%d;",
            "modify": "modify=%s%02d;",
            "perm": f"perm={letters(folder, self.rights)};",
            "unique": f"unique={os.makedev(major, minor):x}g%x;",
            "UNIX.mode": f"UNIX.mode={mode & _BITS:04o};",
        }
        absent = {"size": "%.0s", "modify": "%.0s%.0s", "unique": "%.0s"}
        said = "".join(text if name in self._wanted else absent.get(name, "") for name, text in every.items())
        head = self._heads[mode, major, minor] = said + " %s\r\n"
        return head

    def _time(self, minute: int) -> str:
        return remember(self._times, minute, write_time(minute * 60)[:-2])


class NameLines(Lines):
    """
    NLST.

    :param prefix: before each name.
    """

    bare = True

    def __init__(self, prefix: bytes, pattern: Pattern | None = None) -> None:
        super().__init__(lambda entry: name_line(prefix, entry), pattern)
        self._prefix = decode(prefix)

    def of_names(self, names: Sequence[str]) -> bytes:
        """See :class:`launcelot.filestore.interface.Form`."""
        return octets([f"{self._prefix}{name}\r\n" for name in shown(names)])

    def of_looks(self, names: Sequence[str], found: Sequence[Look]) -> bytes:
        """Nobody needs to have looked."""
        return self.of_names(names)


def remember(times: dict[int, str], minute: int, text: str) -> str:
    """Keep the text of a minute, with a bound."""
    if len(times) >= MOST:
        times.clear()
    times[minute] = text
    return text


def shown(names: Sequence[str]) -> Sequence[str]:
    """Names without control characters; in most folders these are all there are."""
    every = "".join(names)
    if every.isprintable() or every.translate(_CONTROLS) == every:
        return names
    return [name.translate(_CONTROLS) for name in names]


def octets(lines: Sequence[str]) -> bytes:
    """Lines as they are sent."""
    return "".join(lines).encode("utf-8", "surrogateescape")
