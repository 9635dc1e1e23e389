"""
What folders look like on the wire: LIST as ``ls -l`` writes it, NLST, and the facts of RFC 3659 section 7; and wildcards.

Listings are always lines with CRLF, whatever TYPE is.  Control characters in names become ``?``, so that a name can
neither end a line nor move a terminal's cursor.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from launcelot.filestore.interface import Entry
from launcelot.filestore.paths import decode, encode
from launcelot.protocols.ftp.grammar import Malformed, parse_time, visible, write_time
from launcelot.protocols.ftp.permissions import mode_shown, mode_words, perm_fact

RECENT = 31_556_952 // 2
"""Seconds after which ``ls`` shows the year and not the time of day: half a year, as years are on average."""

WILDCARDS = 16
"""Asterisks in one pattern at most."""

OWNED = "   1 ftp      ftp      "
"""Links, owner and group, which are nobody's business."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def list_line(entry: Entry, now: float) -> bytes:
    """One entry as ``ls -l`` writes it, in English and UTC."""
    mode = mode_words(entry.is_folder, mode_shown(entry))
    head = f"{mode}{OWNED}{entry.size:12d} {list_time(entry.modified, now)} "
    return head.encode("ascii") + visible(entry.name) + b"\r\n"


def list_time(modified: float, now: float) -> str:
    """A time as ``ls -l`` writes it: with the time of day if it is recent, else with the year."""
    number, rest = divmod(math.floor(modified), 86_400)
    day, year = _day_and_year(number)
    return f"{day} {rest // 3_600:02d}:{rest // 60 % 60:02d}" if 0 <= now - modified < RECENT else f"{day} {year}"


@lru_cache(maxsize=4_096)  # As for times in MLSD.
def _day_and_year(number: int) -> tuple[str, str]:
    when = time.gmtime(number * 86_400)
    return f"{_MONTHS[when.tm_mon - 1]} {when.tm_mday:2d}", f"{when.tm_year:5d}"


def name_line(prefix: bytes, entry: Entry) -> bytes:
    """One entry as NLST writes it."""
    return prefix + visible(entry.name) + b"\r\n"


FACTS: Mapping[str, Callable[[Entry], str | None]] = {
    "type": lambda entry: "dir" if entry.is_folder else "file",
    "size": lambda entry: None if entry.is_folder else str(entry.size),
    "modify": lambda entry: write_time(entry.modified),
    "perm": perm_fact,
    "unique": lambda entry: entry.unique or None,
    "UNIX.mode": lambda entry: f"{entry.mode:04o}",
}
"""The facts there are, in the order they are sent; one that an entry has not is left out."""

ALL_FACTS = tuple(FACTS)


def facts(entry: Entry, wanted: tuple[str, ...]) -> bytes:
    """The facts of an entry, each with its semicolon."""
    said = ((name, FACTS[name](entry)) for name in wanted)
    return "".join(f"{name}={value};" for name, value in said if value is not None).encode("ascii")


def facts_line(entry: Entry, wanted: tuple[str, ...]) -> bytes:
    """One entry as MLSD writes it."""
    if wanted == ALL_FACTS and entry.unique:
        perm = perm_fact(entry)
        kind = f"dir;modify={write_time(entry.modified)};perm={perm}" if entry.is_folder else (
            f"file;size={entry.size};modify={write_time(entry.modified)};perm={perm}"
        )
        return f"type={kind};unique={entry.unique};UNIX.mode={entry.mode:04o}; ".encode("ascii") + visible(entry.name) + b"\r\n"
    return facts(entry, wanted) + b" " + visible(entry.name) + b"\r\n"


def choose_facts(words: str) -> tuple[str, ...]:
    """The facts that ``OPTS MLST type;size;`` asks for, of those there are; names do not mind case.  RFC 3659 section 7.9."""
    asked = {word.lower() for word in words.split(";") if word}
    return tuple(name for name in ALL_FACTS if name.lower() in asked)


@dataclass(frozen=True, slots=True)
class Listed:
    """
    One entry as a client reads it.

    :ivar size: octets; None where the server does not say.
    :ivar modified: seconds since 1970; None where the server does not say.
    :ivar facts: all facts as they came, names in lower case.
    """

    name: str
    kind: str
    size: int | None
    modified: float | None
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        """Whether it can be entered."""
        return self.kind in ("dir", "cdir", "pdir")


def parse_facts_line(line: bytes) -> Listed:
    """
    A line of MLSD, or of MLST's reply, without its CRLF and leading space.

    :raises Malformed: it has no space, or a fact is no ``name=value;``, or size or time are not numbers.
    """
    head, space, name = line.partition(b" ")
    if not space or not name or (head and not head.endswith(b";")):
        raise Malformed("not a line of facts")
    said: dict[str, str] = {}
    for part in head.split(b";")[:-1]:
        key, equals, value = part.partition(b"=")
        if not equals or not key:
            raise Malformed("not a fact")
        said[decode(key).lower()] = decode(value)
    size = said.get("size")
    if size is not None and (not size.isascii() or not size.isdigit() or len(size) > 19):
        raise Malformed("the size is no number")
    modified = parse_time(encode(said["modify"])) if "modify" in said else None
    return Listed(decode(name), said.get("type", "").lower(), int(size) if size else None, modified, said)


class Pattern:
    """
    A name with wildcards: ``*`` for any octets, ``?`` for one character.

    Matching takes time proportional to the name's length times the pattern's, whatever the pattern: each piece between
    asterisks is searched once, from left to right, and never again.

    :raises Malformed: more than :data:`WILDCARDS` asterisks.
    """

    def __init__(self, text: str) -> None:
        pieces = re.sub(r"\*+", "*", text).split("*")
        if len(pieces) > WILDCARDS + 1:
            raise Malformed(f"a pattern has at most {WILDCARDS} asterisks")
        self._pieces = [re.compile(re.escape(piece).replace(r"\?", "."), re.DOTALL) for piece in pieces]
        self._last = len(pieces[-1])

    def matches(self, name: str) -> bool:
        """Whether a whole name fits."""
        first, *others = self._pieces
        if not others:
            return first.fullmatch(name) is not None
        start = first.match(name)
        if start is None:
            return False
        position = start.end()
        for piece in others[:-1]:
            found = piece.search(name, position)
            if found is None:
                return False
            position = found.end()
        tail = len(name) - self._last
        return tail >= position and others[-1].match(name, tail) is not None


def has_wildcards(name: str) -> bool:
    """Whether a name is to be matched and not looked up."""
    return "*" in name or "?" in name
