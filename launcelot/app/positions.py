"""
Where the keys of a TOML file stand, because ``tomllib`` does not say.

The text has been read by ``tomllib`` before, so it is known to be right; the scanner only has to find its way past values.
Keys inside inline tables are not told apart: they stand where their outermost key stands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Positions = Mapping[tuple[str, ...], int]
"""Line numbers from 1, by keys from the outermost table."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^\"'#\[\]{}\n]+")


def key_lines(text: str) -> Positions:
    """The line of every key and table header of a valid TOML text."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    position, line, counted = _skip_blank(text, 0), 1, 0
    while position < len(text):
        line += text.count("\n", counted, position)
        counted = position
        if text[position] == "[":
            table, position = _key(text, position + (2 if text.startswith("[[", position) else 1))
            position = _end_of_line(text, position)
            _remember(found, table, line)
        else:
            key, position = _key(text, position)
            position = _skip_value(text, text.index("=", position) + 1)
            _remember(found, (*table, *key), line)
        position = _skip_blank(text, position)
    return found


def line_of(positions: Positions, path: tuple[str, ...]) -> int:
    """The line of a key, or of the nearest table around it; 1 where nothing is known."""
    while path:
        if path in positions:
            return positions[path]
        path = path[:-1]
    return 1


def _remember(found: dict[tuple[str, ...], int], path: tuple[str, ...], line: int) -> None:
    for length in range(1, len(path) + 1):
        found.setdefault(path[:length], line)


def _skip_blank(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _key(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """A dotted key, and where it ends."""
    parts: list[str] = []
    while True:
        position = _skip_spaces(text, position)
        quoted = _STRING.match(text, position)
        found = quoted or _BARE.match(text, position)
        if found is None:
            return tuple(parts), position
        parts.append(_unquoted(found.group()) if quoted else found.group())
        position = found.end()
        dot = _DOT.match(text, position)
        if dot is None:
            return tuple(parts), position
        position = dot.end()


def _unquoted(text: str) -> str:
    value = tomllib.loads(f"key = {text}")["key"]
    return str(value)


def _skip_spaces(text: str, position: int) -> int:
    while text.startswith((" ", "\t"), position):
        position += 1
    return position


def _skip_value(text: str, position: int) -> int:
    """Past a value: to the end of its line, or of the last line of a list or a long text."""
    depth = 0
    while position < len(text):
        here = text[position]
        if here == "\n" and depth == 0:
            break
        if here == "#":
            position = _end_of_line(text, position)
            continue
        passed = _STRING.match(text, position) or _PLAIN.match(text, position)
        if passed is not None:
            position = passed.end()
            continue
        depth += (here in "[{") - (here in "]}")
        position += 1
    return position


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
