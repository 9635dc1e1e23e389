"""
ManageSieve's words: commands as tokens, replies as octets, and for the client the other way round.  RFC 5804 section 4.

A command comes in pieces where it has literals: :func:`scan` reads one line of it and says whether octets follow.  Strings are
UTF-8; what is quoted has at most 1,024 octets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LINE = 8_192
"""Octets of one line of a command, without its literals."""
MAX_TOKENS = 8
"""Tokens of one command; no command has more than three."""
MAX_QUOTED = 1_024
"""Octets of a quoted string.  RFC 5804 section 4."""
MAX_NUMBER = 2**32 - 1

TOKEN = re.compile(
    rb'[ ](?:"(?P<quoted>(?:[^"\\\r\n\0]++|\\["\\])*+)"|\{(?P<literal>[0-9]{1,10})\+\}\Z|(?P<number>[0-9]{1,10})(?=[ ]|\Z))'
)
"""One argument with the blank before it; a literal stands at the end of its line."""
VERB = re.compile(rb"[A-Za-z]{1,32}(?=[ ]|\Z)")
_PAIR = re.compile(rb'\\(["\\])')
_SPECIAL = re.compile(rb'(["\\])')


class SyntaxWrong(Exception):
    """
    What was sent is no command.

    :ivar text: for people.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of a command.

    :ivar tokens: its arguments, decoded.
    :ivar literal: octets that follow, and behind them another line; None where the command ends.
    """

    tokens: tuple[str | int, ...]
    literal: int | None


def split_verb(line: bytes) -> tuple[str, bytes]:
    """
    The command's name in upper case, and the rest of its first line.

    :raises SyntaxWrong: there is none.
    """
    found = VERB.match(line)
    if found is None:
        raise SyntaxWrong("a command was expected")
    return found[0].decode("ascii").upper(), line[found.end() :]


def scan(rest: bytes) -> Line:
    """
    The arguments of a line, each with a blank before it.

    :raises SyntaxWrong: something is no argument.
    """
    tokens: list[str | int] = []
    position = 0
    while position < len(rest):
        found = TOKEN.match(rest, position)
        if found is None:
            raise SyntaxWrong("an argument is a string, a literal {n+} or a number")
        if found["literal"] is not None:
            return Line(tuple(tokens), number(found["literal"]))
        if found["number"] is not None:
            tokens.append(number(found["number"]))
        else:
            tokens.append(quoted(found["quoted"]))
        if len(tokens) > MAX_TOKENS:
            raise SyntaxWrong("too many arguments")
        position = found.end()
    return Line(tuple(tokens), None)


def announced(line: bytes) -> int | None:
    """The size of the literal that a line, wrong or not, announces at its end."""
    found = re.search(rb"\{([0-9]{1,10})\+?\}\Z", line)
    return None if found is None else int(found[1])


def number(digits: bytes) -> int:
    """
    A number.

    :raises SyntaxWrong: it has leading zeros or more than 32 bits.
    """
    value = int(digits)
    if value > MAX_NUMBER or (len(digits) > 1 and digits.startswith(b"0")):
        raise SyntaxWrong("a number has 32 bits and no leading zeros")
    return value


def quoted(content: bytes) -> str:
    """
    What a quoted string stands for.

    :raises SyntaxWrong: it is too long or not UTF-8.
    """
    if len(content) > MAX_QUOTED:
        raise SyntaxWrong("a quoted string is too long; send a literal")
    return text(_PAIR.sub(rb"\1", content))


def text(data: bytes) -> str:
    """
    A string's octets as text.

    :raises SyntaxWrong: it is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxWrong("a string is not UTF-8") from None


# -- replies -------------------------------------------------------------------------------------------------------------


def string(value: str | bytes, client: bool = False) -> bytes:
    """A string, quoted where that is possible, else as a literal."""
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    if len(data) <= MAX_QUOTED // 2 and not any(sign in data for sign in (b"\r", b"\n", b"\0")):
        return b'"' + _SPECIAL.sub(rb"\\\1", data) + b'"'
    return b"{%d%s}\r\n" % (len(data), b"+" if client else b"") + data


def reply(kind: str, words: str = "", code: str = "", argument: str | None = None) -> bytes:
    """
    A line that ends a command.

    :param kind: ``OK``, ``NO`` or ``BYE``.
    :param code: a response code without its parentheses.
    :param argument: of the code.
    """
    pieces = [kind.encode("ascii")]
    if code:
        data = b"" if argument is None else b" " + string(argument)
        pieces.append(b"(" + code.encode("ascii") + data + b")")
    if words:
        pieces.append(string(words))
    return b" ".join(pieces) + b"\r\n"


# -- for clients ---------------------------------------------------------------------------------------------------------

RESPONSE_TOKEN = re.compile(
    rb'[ ]*(?:"(?P<quoted>(?:[^"\\\r\n\0]++|\\["\\])*+)"|\{(?P<literal>[0-9]{1,10})\}\Z|(?P<open>\()|(?P<close>\))'
    rb"|(?P<atom>[!#-'*-\[\]-z|-~]{1,1024}))"
)


@dataclass(frozen=True, slots=True)
class Atom:
    """An atom, as it was written."""

    name: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """
    What stands on one line of a response.

    :ivar found: strings, atoms, and the signs ``(`` and ``)`` as atoms.
    """

    found: tuple[str | Atom, ...]
    literal: int | None


def scan_response(line: bytes) -> Tokens:
    """
    The tokens of one line of a response.

    :raises SyntaxWrong: it has something else.
    """
    found: list[str | Atom] = []
    position = 0
    while position < len(line):
        token = RESPONSE_TOKEN.match(line, position)
        if token is None:
            raise SyntaxWrong("no response")
        if token["literal"] is not None:
            return Tokens(tuple(found), int(token["literal"]))
        if token["quoted"] is not None:
            found.append(text(_PAIR.sub(rb"\1", token["quoted"])))
        else:
            found.append(Atom(token[0].strip().decode("ascii")))
        position = token.end()
    return Tokens(tuple(found), None)
