"""
Scripts as octets to commands: the one grammar of RFC 5228 section 8, which knows no command by name.

Every script that passes is a tuple of :class:`Command`; what the commands mean is for :mod:`launcelot.sieve.script`.  Time is
linear in the script.  Limits: :data:`MAX_SCRIPT` octets, :data:`MAX_DEPTH` blocks, tests and lists inside each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_SCRIPT = 1 << 20
"""Octets of one script."""
MAX_DEPTH = 32
"""Blocks or tests inside each other; RFC 5228 section 10.6 asks for at least 15."""
MAX_STRINGS = 10_000
"""Strings in one list."""
MAX_NUMBER = 2**63 - 1
"""Largest number; RFC 5228 section 2.4.1 asks for at least 2**31 - 1."""


class ScriptError(Exception):
    """
    What is wrong with a script.

    :ivar line: counted from 1.
    """

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.text = text
        self.line = line

    def __str__(self) -> str:
        """As people read it."""
        return f"line {self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Tag:
    """``:name``, in lower case and without the colon."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number, its quantifier applied."""

    value: int
    line: int


@dataclass(frozen=True, slots=True)
class Strings:
    """
    A string, or a list of them.

    :ivar is_list: it was written with brackets.
    """

    values: tuple[str, ...]
    is_list: bool
    line: int


Argument = Tag | Number | Strings


@dataclass(frozen=True, slots=True)
class Command:
    """
    A control, an action or a test.

    :ivar name: in lower case.
    :ivar tests: those it takes; in parentheses or alone.
    :ivar block: the commands in braces; None where there is a semicolon, or for a test.
    """

    name: str
    line: int
    arguments: tuple[Argument, ...] = ()
    tests: tuple[Command, ...] = ()
    block: tuple[Command, ...] | None = None


TOKEN = re.compile(
    r"""
    (?P<blank>(?:[ \t]|\r?\n)++)
    | (?P<comment>\#[^\r\n]*+(?:\r?\n|\Z))
    | (?P<bracket>/\*(?:[^*]++|\*(?!/))*+\*/)
    | (?P<text>text:[ \t]*+(?:\#[^\r\n]*+)?\r?\n)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*+)
    | (?P<tag>:[A-Za-z_][A-Za-z0-9_]*+)
    | (?P<number>[0-9]++[KkMmGg]?(?![A-Za-z0-9_]))
    | (?P<string>"(?:[^"\\\0]++|\\[^\0])*+")
    | (?P<sign>[\[\](){},;])
    """,
    re.VERBOSE,
)
"""``lexical tokens`` of RFC 5228 section 8.1."""
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_LINE_END = re.compile(r"\r?\n")
_TEXT_LINE = re.compile(r"[^\r\n\0]*+\r?\n")
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class Token:
    """One token that is not blank; ``text`` is what it stands for, of a string without its quotes."""

    kind: str
    text: str
    line: int


def parse(script: bytes) -> tuple[Command, ...]:
    """
    The commands of a script.

    :raises ScriptError: it is no script.
    """
    if len(script) > MAX_SCRIPT:
        raise ScriptError(f"the script is larger than {MAX_SCRIPT} octets", 1)
    try:
        text = script.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ScriptError("the script is not UTF-8", script.count(b"\n", 0, error.start) + 1) from None
    reader = _Reader(list(tokens(text.removeprefix("\ufeff"))))
    return reader.commands(0, None)


def tokens(text: str) -> Iterator[Token]:
    """
    The tokens of a script, the last one of the kind ``end``.

    :raises ScriptError: something is no token.
    """
    position, line = 0, 1
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None:
            raise ScriptError(_fault(text, position), line)
        kind, raw = str(found.lastgroup), found[0]
        position = found.end()
        if kind == "text":
            content, end = _multi_line(text, position, line)
            yield Token("string", content, line)
            line += 1 + text.count("\n", position, end)
            position = end
            continue
        if kind == "string":
            yield Token("string", _LINE_END.sub("\r\n", _PAIR.sub(r"\1", raw[1:-1])), line)
        elif kind not in ("blank", "comment", "bracket"):
            yield Token(kind, raw, line)
        line += raw.count("\n")
    yield Token("end", "", line)


def _fault(text: str, position: int) -> str:
    sign = text[position]
    if sign == '"':
        return "this string has no end"
    if text.startswith("/*", position):
        return "this comment has no end"
    if sign.isdigit():
        return "a number may end in K, M or G, and nothing else may follow it"
    return f"{sign!r} cannot stand here"


def _multi_line(text: str, position: int, line: int) -> tuple[str, int]:
    """The content of ``text:`` without its dots, and where it ends."""
    lines: list[str] = []
    while True:
        found = _TEXT_LINE.match(text, position)
        if found is None:
            raise ScriptError('this text: has no end; it ends with a line of "." alone', line)
        position = found.end()
        content = found[0].rstrip("\r\n")
        if content == ".":
            return "".join(one + "\r\n" for one in lines), position
        lines.append(content[1:] if content.startswith("..") else content)


class _Reader:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _takes(self, sign: str) -> bool:
        if self._next.kind == "sign" and self._next.text == sign:
            self._at += 1
            return True
        return False

    def commands(self, depth: int, opened: Token | None) -> tuple[Command, ...]:
        """Commands up to the end of the script or of a block."""
        found: list[Command] = []
        while True:
            token = self._next
            if token.kind == "word":
                found.append(self._command(depth))
            elif token.kind == "end":
                if opened is not None:
                    raise ScriptError("this block has no end", opened.line)
                return tuple(found)
            elif opened is not None and self._takes("}"):
                return tuple(found)
            else:
                raise ScriptError(f"a command was expected, not {_named(token)}", token.line)

    def _command(self, depth: int) -> Command:
        name = self._take()
        arguments, tests = self._arguments(depth)
        token = self._take()
        if token.kind == "sign" and token.text == ";":
            return Command(name.text.lower(), name.line, arguments, tests)
        if token.kind == "sign" and token.text == "{":
            if depth >= MAX_DEPTH:
                raise ScriptError("blocks are nested too deeply", token.line)
            return Command(name.text.lower(), name.line, arguments, tests, self.commands(depth + 1, token))
        raise ScriptError(f"{name.text} has to end with a semicolon or a block, not {_named(token)}", token.line)

    def _arguments(self, depth: int) -> tuple[tuple[Argument, ...], tuple[Command, ...]]:
        found: list[Argument] = []
        while (argument := self._argument()) is not None:
            found.append(argument)
        if self._next.kind == "word":
            return tuple(found), (self._test(depth),)
        if self._next.text == "(" and self._next.kind == "sign":
            return tuple(found), self._tests(depth)
        return tuple(found), ()

    def _argument(self) -> Argument | None:
        token = self._next
        if token.kind == "string":
            self._at += 1
            return Strings((token.text,), False, token.line)
        if token.kind == "tag":
            self._at += 1
            return Tag(token.text[1:].lower(), token.line)
        if token.kind == "number":
            self._at += 1
            return Number(_number(token), token.line)
        return self._list(token) if self._takes("[") else None

    def _list(self, opened: Token) -> Strings:
        values: list[str] = []
        while True:
            token = self._take()
            if token.kind != "string":
                raise ScriptError(f"a list holds strings, not {_named(token)}", token.line)
            values.append(token.text)
            if len(values) > MAX_STRINGS:
                raise ScriptError("the list is too long", opened.line)
            if self._takes("]"):
                return Strings(tuple(values), True, opened.line)
            if not self._takes(","):
                raise ScriptError(f"a comma or ] was expected, not {_named(self._next)}", self._next.line)

    def _test(self, depth: int) -> Command:
        name = self._take()
        if name.kind != "word":
            raise ScriptError(f"a test was expected, not {_named(name)}", name.line)
        if depth >= MAX_DEPTH:
            raise ScriptError("tests are nested too deeply", name.line)
        arguments, tests = self._arguments(depth + 1)
        return Command(name.text.lower(), name.line, arguments, tests)

    def _tests(self, depth: int) -> tuple[Command, ...]:
        self._take()
        found = [self._test(depth)]
        while self._takes(","):
            found.append(self._test(depth))
        if not self._takes(")"):
            raise ScriptError(f"a comma or ) was expected, not {_named(self._next)}", self._next.line)
        return tuple(found)


def _number(token: Token) -> int:
    digits, unit = token.text, 1
    if not digits[-1].isdigit():
        digits, unit = digits[:-1], _UNITS[digits[-1].lower()]
    if len(digits.lstrip("0")) > 19 or (value := int(digits) * unit) > MAX_NUMBER:
        raise ScriptError("the number is too large", token.line)
    return value


def _named(token: Token) -> str:
    if token.kind == "end":
        return "the end of the script"
    if token.kind == "string":
        return "a string"
    return repr(token.text)
