"""
What a server says, as values.  RFC 3501 sections 7 and 9 ``response``.

Lists become tuples, NIL becomes None, numbers ``int``, atoms and strings ``bytes``.  An untagged response nobody knows is
kept as it is, so that a newer server does not confuse an older client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from launcelot.protocols.imap4.grammar.reader import Malformed, Reader

CONDITIONS = frozenset({b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"})

_NUMBER = re.compile(rb"\d{1,20}(?![^ ()\]])")
_ATOM = re.compile(rb"\\\*|\\?[^\x00-\x20\x7f(){%*\"\\\]]+")
_LABEL = re.compile(rb"[A-Za-z0-9.]+(?:\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*+\")*+\])?(?:<\d{1,20}>)?")
_CODE = re.compile(rb"\[([^\x00-\x20\x7f\]]++)(?: ([^\]]*+))?\] ?")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n]++|\\.)*+)"')


@dataclass(frozen=True, slots=True)
class Continuation:
    """The server waits for more.  RFC 3501 section 7.5."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Condition:
    """
    A status, tagged or not.  RFC 3501 section 7.1.

    :ivar tag: ``*`` when untagged.
    :ivar code: name of the response code in upper case, or empty.
    :ivar argument: what stands behind the name in the brackets.
    """

    tag: bytes
    condition: bytes
    text: bytes
    code: bytes = b""
    argument: bytes = b""


@dataclass(frozen=True, slots=True)
class Data:
    """
    Any other untagged response.

    :ivar name: in upper case, such as ``FETCH``.
    :ivar number: that stands before it, as in ``12 EXISTS``.
    :ivar values: what stands behind it.
    :ivar row: of FETCH, what stands behind it by label in upper case.
    """

    name: bytes
    number: int | None = None
    values: tuple[Any, ...] = ()
    row: dict[bytes, Any] = field(default_factory=dict)


Response = Continuation | Condition | Data


class ResponseReader(Reader):
    """Walks over one response; a literal may hold anything."""

    __slots__ = ()
    refuses_nul = False
    checks_utf8 = False

    def value(self) -> Any:
        """
        The next value of whatever kind.

        :raises Malformed: there is none, or it is nested too deep.
        """
        first = self.peek()
        if first == b"(":
            return self._list()
        if first == b'"':
            inside = self.match(_QUOTED, "malformed quoted string")[1]
            return re.sub(rb"\\(.)", rb"\1", inside) if b"\\" in inside else inside
        if first == b"{" or self.rest.startswith(b"~{"):
            self.accept(b"~")
            return self.string()
        if first.isdigit():
            number = _NUMBER.match(self.rest)
            if number is not None:
                self.position += number.end()
                return int(number[0])
        atom = self.match(_ATOM, "expected a value")[0]
        return None if atom.upper() == b"NIL" else atom

    def _list(self) -> tuple[Any, ...]:
        self.deeper()
        self.expect(b"(", "expected a list")
        found: list[Any] = []
        while not self.accept(b")"):
            found.append(self.value())
            if not self.accept(b" ") and self.peek() not in (b")", b"("):
                raise Malformed("malformed list")
        self.shallower()
        return tuple(found)

    def values(self) -> tuple[Any, ...]:
        """Values up to the end."""
        found: list[Any] = []
        while (self.accept(b" ") and self.rest) or (self.peek() == b"(" and found and isinstance(found[-1], tuple)):
            # Threads stand one behind another without spaces.  RFC 5256 section 5.
            found.append(self.value())
        self.end()
        return tuple(found)

    def row(self) -> dict[bytes, Any]:
        """What FETCH tells of one message, by label."""
        self.space()
        self.expect(b"(", "expected a list")
        found: dict[bytes, Any] = {}
        while not self.accept(b")"):
            label = self.match(_LABEL, "expected a data item")[0].upper()
            self.space()
            found[label] = self.value()
            self.accept(b" ")
        self.end()
        return found


def parse(reader: ResponseReader) -> Response:
    """
    One whole response.

    :raises Malformed: it follows no grammar.
    """
    if reader.accept(b"+"):
        reader.accept(b" ")
        return Continuation(reader.rest)
    tag = b"*" if reader.accept(b"*") else reader.tag()
    reader.space()
    if reader.peek().isdigit():
        return _numbered(reader)
    name = reader.word()
    if name in CONDITIONS:
        return _condition(reader, tag, name)
    if tag != b"*":
        raise Malformed("a tagged response must have a condition")
    before = reader.copy()
    try:
        return Data(name, None, reader.values())
    except Malformed:
        rest = before.rest
        reader.skip_all()
        return Data(name, None, (rest,))


def _numbered(reader: ResponseReader) -> Data:
    number = reader.number()
    reader.space()
    name = reader.word()
    if name == b"FETCH":
        return Data(name, number, (), reader.row())
    return Data(name, number, reader.values())


def _condition(reader: ResponseReader, tag: bytes, name: bytes) -> Condition:
    reader.accept(b" ")
    code, argument = b"", b""
    if reader.peek() == b"[":
        found = _CODE.match(reader.rest)
        if found is not None:
            code, argument = found[1].upper(), found[2] or b""
            reader.position += found.end()
    text = reader.rest
    reader.skip_all()
    return Condition(tag, name, text, code, argument)
