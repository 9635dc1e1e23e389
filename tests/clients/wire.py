"""
A bare IMAP connection that knows no server's habits: it sends octets, and reads responses as nested values.

Strings are :class:`str` subclasses by accident nowhere: everything is octets.  An atom is ``bytes``, a quoted string or literal
:class:`Text`, ``NIL`` is None, a list is a tuple.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Any

ATOM = re.compile(rb"(?:[A-Z0-9.]+\[[^\]]*\](?:<\d+>)?|[^\s()\"{}]+)", re.IGNORECASE)
LITERAL = re.compile(rb"~?\{(\d+)\}\r\n")
ANNOUNCED = re.compile(rb"\{(\d+)\}\r\n\Z")


class Text(bytes):
    """A quoted string or a literal."""


class Broken(Exception):
    """The server said what cannot be read, or closed the connection."""


@dataclass(frozen=True)
class Answer:
    """
    What came for one command.

    :ivar untagged: each response without star and line end, as values.
    :ivar conditions: untagged OK, NO, BAD, BYE and PREAUTH, as they came.
    :ivar word: of the tagged response.
    :ivar code: what stood in its brackets, or empty.
    """

    untagged: tuple[tuple[Any, ...], ...]
    conditions: tuple[bytes, ...]
    word: bytes
    code: bytes
    line: bytes

    def of(self, name: bytes) -> list[tuple[Any, ...]]:
        """The arguments of every response of a name."""
        return [one[1:] for one in self.untagged if one and one[0] == name]

    def told(self, code: bytes) -> bytes | None:
        """The argument of a response code, wherever it stood."""
        for line in (*self.conditions, b"[" + self.code + b"]"):
            found = re.search(rb"\[" + code + rb" ([^\]]*)\]", line)
            if found:
                return found[1]
        return None


class Wire:
    """One connection, greeted."""

    def __init__(self, port: int, timeout: float = 60.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._tags = 0
        self.greeting = self.response()

    def close(self) -> None:
        """Close it."""
        self.socket.close()

    def login(self, user: str, password: str) -> None:
        """Log in."""
        answer = self.command(b'LOGIN "%b" "%b"' % (user.encode(), password.encode()))
        if answer.word != b"OK":
            raise Broken(f"LOGIN: {answer.line!r}")

    def command(self, text: bytes, *literals: bytes) -> Answer:
        """
        Send a command and read everything up to its tagged answer.

        :param text: ``%L`` stands for the next of ``literals``, which are sent when the server asks for them.
        """
        self._tags += 1
        tag = b"t%d" % self._tags
        pieces = text.split(b"%L")
        self.socket.sendall(tag + b" " + pieces[0] + self._end(literals, 0))
        for number, literal in enumerate(literals):
            early = self._until(tag, b"+")
            if early is not None:
                return early
            self.socket.sendall(literal + pieces[number + 1] + self._end(literals, number + 1))
        answer = self._until(tag, None)
        if answer is None:
            raise Broken("a continuation nobody asked for")
        return answer

    def start(self, text: bytes) -> None:
        """
        Begin a command that goes on until :meth:`finish`, such as IDLE.

        :raises Broken: the server does not ask for more.
        """
        self._tags += 1
        self.socket.sendall(b"t%d %b\r\n" % (self._tags, text))
        answer = self._until(b"t%d" % self._tags, b"+")
        if answer is not None:
            raise Broken(f"{text!r}: {answer.line!r}")

    def finish(self, line: bytes) -> Answer:
        """Send the line that ends the command, and read everything up to its tagged answer."""
        self.socket.sendall(line + b"\r\n")
        answer = self._until(b"t%d" % self._tags, None)
        if answer is None:
            raise Broken("a continuation nobody asked for")
        return answer

    def _end(self, literals: tuple[bytes, ...], number: int) -> bytes:
        return b"{%d}\r\n" % len(literals[number]) if number < len(literals) else b"\r\n"

    def _until(self, tag: bytes, continuation: bytes | None) -> Answer | None:
        untagged: list[tuple[Any, ...]] = []
        conditions: list[bytes] = []
        while True:
            line = self.response()
            if line.startswith(b"+"):
                if continuation is None:
                    raise Broken(f"a continuation nobody asked for: {line!r}")
                return None
            if line.startswith(tag + b" "):
                word, _, rest = line[len(tag) + 1 :].rstrip(b"\r\n").partition(b" ")
                code = re.match(rb"\[([^\]]*)\]", rest)
                return Answer(tuple(untagged), tuple(conditions), word, code[1] if code else b"", line)
            if not line.startswith(b"* "):
                raise Broken(f"neither tagged nor untagged: {line!r}")
            if re.match(rb"\* (OK|NO|BAD|BYE|PREAUTH) ", line):
                conditions.append(line[2:-2])
                if line.startswith(b"* BYE"):
                    untagged.append((b"BYE",))
            else:
                untagged.append(values(line[2:]))

    def response(self) -> bytes:
        """One response with its literals, whole."""
        found = bytearray()
        while True:
            line = self._line()
            found += line
            announced = ANNOUNCED.search(line[-24:])
            if announced is None:
                return bytes(found)
            found += self._octets(int(announced[1]))

    def _line(self) -> bytes:
        start = 0
        while True:
            end = self._buffer.find(b"\r\n", start)
            if end >= 0:
                return self._take(end + 2)
            start = max(len(self._buffer) - 1, 0)
            self._fill()

    def _octets(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        return self._take(count)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _fill(self) -> None:
        try:
            data = self.socket.recv(262_144)
        except OSError as error:
            raise Broken(f"{error}; unread: {bytes(self._buffer[-200:])!r}") from error
        if not data:
            raise Broken(f"closed; unread: {bytes(self._buffer[-200:])!r}")
        self._buffer += data


def values(data: bytes) -> tuple[Any, ...]:
    """
    A response as values; a number before a name, as in ``3 FETCH``, goes behind it.

    :raises Broken: it is no sequence of values.
    """
    found, position = _list(data, 0, 0)
    if data[position:] not in (b"\r\n", b""):
        raise Broken(f"not a response: {data[:300]!r}")
    if len(found) > 1 and isinstance(found[0], bytes) and found[0].isdigit():
        found = [found[1], int(found[0]), *found[2:]]
    return tuple(found)


def _list(data: bytes, position: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while position < len(data) and data[position : position + 1] not in (b")", b"\r"):
        octet = data[position : position + 1]
        if octet == b" ":
            position += 1
            continue
        if octet == b"(":
            inner, position = _list(data, position + 1, depth + 1)
            if data[position : position + 1] != b")":
                raise Broken(f"a parenthesis is open: {data[:300]!r}")
            found.append(tuple(inner))
            position += 1
            continue
        value, position = _value(data, position)
        found.append(value)
    return found, position


def _value(data: bytes, position: int) -> tuple[Any, int]:
    if data[position : position + 1] == b'"':
        end = position + 1
        while data[end : end + 1] != b'"':
            if end >= len(data) or data[end : end + 1] in (b"\r", b"\n", b"\0"):
                raise Broken(f"a quoted string that does not end: {data[position : position + 100]!r}")
            end += 2 if data[end : end + 1] == b"\\" else 1
        return Text(re.sub(rb"\\(.)", rb"\1", data[position + 1 : end])), end + 1
    literal = LITERAL.match(data, position)
    if literal:
        end = literal.end() + int(literal[1])
        return Text(data[literal.end() : end]), end
    atom = ATOM.match(data, position)
    if atom is None:
        raise Broken(f"neither atom nor string: {data[position : position + 100]!r}")
    return (None if atom[0].upper() == b"NIL" else atom[0]), atom.end()
