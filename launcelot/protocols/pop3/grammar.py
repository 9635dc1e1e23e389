"""
The grammar of POP3: command lines to verbs and arguments, replies to octets, and back.

RFC 1939 section 3 (commands and replies), RFC 2449 section 4 (lengths), section 8 (response codes), RFC 6856.  No I/O; shared by
the server and the client.  A number is digits and nothing else: no sign, no exponent, no leading zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

MAX_COMMAND = 2_048
"""Octets of a command line.  RFC 2449 section 4 asks for 255; a long password may need more."""

MAX_REPLY = 2_048
"""Octets of a reply line that a client takes; RFC 2449 section 4 allows 512."""

MAX_TEXT = 400
"""Octets of text for people in a reply, so that the whole line stays below 512."""

END = b".\r\n"
"""The end of a multi-line reply."""

_NUMBER = re.compile(rb"[1-9][0-9]{0,9}\Z")
_COUNT = re.compile(rb"(?:0|[1-9][0-9]{0,19})\Z")
_RANGE = re.compile(rb"(?:\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,20})\Z")
_DIGEST = re.compile(rb"[0-9a-f]{32}\Z")
_VERB = re.compile(rb"[A-Za-z][A-Za-z0-9]{0,15}\Z")
_CODE = re.compile(rb"\[([!-Z^-~]{1,64})\](?: |\Z)")
_UNSAFE = re.compile(rb"[^ -~]")


class SyntaxWrong(Exception):
    """
    A line that is not a command, or a command with arguments that are not its own.

    :param text: for people; never quotes the peer.
    """

    def __init__(self, text: str = "syntax error") -> None:
        super().__init__(text)
        self.text = text


class NotAReply(Exception):
    """A line that is not a POP3 reply."""


class Line(NamedTuple):
    """
    A command line; a tuple, because there are many.

    :ivar verb: in capitals.
    :ivar argument: everything behind the first space, as it came.
    """

    verb: bytes
    argument: bytes


@dataclass(frozen=True, slots=True)
class Top:
    """``TOP number lines``.  RFC 1939 section 7."""

    number: int
    lines: int


@dataclass(frozen=True, slots=True)
class Auth:
    """``AUTH mechanism [initial-response]``; no initial response is None.  RFC 5034 section 4."""

    mechanism: bytes
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class Apop:
    """
    ``APOP name digest``.  RFC 1939 section 7.

    :ivar digest: 32 hexadecimal digits in lower case.
    """

    name: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class Reply:
    """
    The first line of a reply.

    :ivar code: the response code in capitals without brackets, such as ``IN-USE``, or empty.  RFC 2449 section 8.
    """

    good: bool
    text: bytes
    code: str = ""


# -- commands ----------------------------------------------------------------------------------------------------------


def parse_line(line: bytes) -> Line:
    """
    A verb and its argument.

    :param line: without its CRLF.
    :raises SyntaxWrong: it does not begin with a word.
    """
    verb, _, argument = line.partition(b" ")
    if not _VERB.match(verb) or b"\0" in argument:
        raise SyntaxWrong("not a command")
    return Line(verb.upper(), argument)


def no_argument(argument: bytes) -> None:
    """
    Nothing but blanks.

    :raises SyntaxWrong: there is something.
    """
    if argument.strip(b" "):
        raise SyntaxWrong("this command takes no argument")


def number(argument: bytes) -> int:
    """
    A message number.

    :raises SyntaxWrong: it is none.
    """
    word = argument.strip(b" ")
    if not _NUMBER.match(word):
        raise SyntaxWrong("a message number is digits, from 1")
    return int(word)


def optional_number(argument: bytes) -> int | None:
    """A message number, or None for all messages."""
    return number(argument) if argument.strip(b" ") else None


def top(argument: bytes) -> Top:
    """A message number and a number of lines, which may be 0."""
    words = argument.split()
    if len(words) != 2 or not _COUNT.match(words[1]):
        raise SyntaxWrong("TOP takes a message number and a number of lines")
    return Top(number(words[0]), int(words[1]))


def text(argument: bytes) -> bytes:
    """
    Any octets, as they are: a name or a password, spaces and all.

    :raises SyntaxWrong: there are none.
    """
    if not argument:
        raise SyntaxWrong("an argument is missing")
    return argument


def auth(argument: bytes) -> Auth:
    """
    A mechanism and an initial response.

    :raises SyntaxWrong: no mechanism, or more than two words.
    """
    words = argument.split(b" ")
    if not words[0] or len(words) > 2:
        raise SyntaxWrong("AUTH takes a mechanism and at most one initial response")
    return Auth(words[0].upper(), words[1] if len(words) == 2 else None)


def apop(argument: bytes) -> Apop:
    """
    A name, which may have spaces in it, and a digest.

    :raises SyntaxWrong: one of them is missing, or the digest is none.
    """
    name, _, digest = argument.rpartition(b" ")
    if not name or not _DIGEST.match(digest.lower()):
        raise SyntaxWrong("APOP takes a name and a digest of 32 hexadecimal digits")
    return Apop(name, digest.lower().decode("ascii"))


def language(argument: bytes) -> str:
    """
    A language range in lower case, ``*`` for any, or nothing at all.  RFC 4647 section 2.1.

    :raises SyntaxWrong: it is none.
    """
    word = argument.strip(b" ")
    if word and not _RANGE.match(word):
        raise SyntaxWrong("a language is letters, digits and hyphens")
    return word.decode("ascii").lower()


# -- replies -----------------------------------------------------------------------------------------------------------


def clean(words: str) -> bytes:
    """Text for people as one line of ASCII."""
    return _UNSAFE.sub(b" ", words.encode("ascii", "backslashreplace"))[:MAX_TEXT]


def good(words: str = "") -> bytes:
    """``+OK``, complete with CRLF."""
    return b"+OK %b\r\n" % clean(words) if words else b"+OK\r\n"


def bad(words: str, code: str = "") -> bytes:
    """``-ERR`` with a response code, complete with CRLF."""
    return b"-ERR [%b] %b\r\n" % (code.encode("ascii"), clean(words)) if code else b"-ERR %b\r\n" % clean(words)


def parse_reply(line: bytes) -> Reply:
    """
    The first line of a reply.

    :raises NotAReply: it begins with neither ``+OK`` nor ``-ERR``.
    """
    word, _, rest = line.partition(b" ")
    if word == b"+OK":
        return Reply(True, rest)
    if word != b"-ERR":
        raise NotAReply("neither +OK nor -ERR")
    code = _CODE.match(rest)
    return Reply(False, rest[code.end() :], code[1].decode("ascii").upper()) if code else Reply(False, rest)
