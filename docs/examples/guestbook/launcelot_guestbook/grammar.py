"""
The guestbook's lines: requests and replies, from octets and back.

A request is a verb and its argument, a reply a word and text for people; both are lines of UTF-8 that end in CRLF.  The
notes that READ asks for stand before its reply, each in a line that begins with ``*``.  No I/O, no Twisted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_LINE = 4_096
"""Octets of a line without its CRLF."""

MAX_READ = 100
"""Notes that can be asked for at once."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_COUNT = re.compile(r"[1-9][0-9]{0,2}\Z")
_NOTE = re.compile(r"\* ([1-9][0-9]{0,17}) (\S+) (\S+) (.+)\Z")


class SyntaxWrong(Exception):
    """A line that is no request, or no reply; the text is for people and never quotes the peer."""


@dataclass(frozen=True, slots=True)
class Login:
    """``LOGIN name password``; the password is everything behind the second blank."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Note:
    """
    One note.

    :ivar number: from 1; none is given twice.
    :ivar written: when, such as ``2026-11-21T16:00:00Z``.
    """

    number: int
    written: str
    author: str
    text: str


def text_of(line: bytes) -> str:
    """
    A line's text.

    :raises SyntaxWrong: it is not UTF-8, or has control characters in it.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxWrong("lines are UTF-8") from None
    if _CONTROL.search(text):
        raise SyntaxWrong("no control characters, please")
    return text


def split(line: bytes) -> tuple[str, str]:
    """The verb of a request, in capitals, and its argument."""
    verb, _, argument = text_of(line).partition(" ")
    return verb.upper(), argument


# -- arguments -----------------------------------------------------------------------------------------------------


def nothing(argument: str) -> None:
    """For verbs without an argument."""
    if argument:
        raise SyntaxWrong("this takes no argument")


def login(argument: str) -> Login:
    """A name and a password."""
    name, _, password = argument.partition(" ")
    if not name or not password:
        raise SyntaxWrong("LOGIN name password")
    return Login(name, password)


def note(argument: str) -> str:
    """The text of a note."""
    if not argument.strip():
        raise SyntaxWrong("WRITE text")
    return argument


def count(argument: str) -> int:
    """How many notes; ten if nothing is said."""
    if not argument:
        return 10
    if not _COUNT.match(argument) or int(argument) > MAX_READ:
        raise SyntaxWrong(f"READ number, from 1 to {MAX_READ}")
    return int(argument)


# -- replies -------------------------------------------------------------------------------------------------------


def reply(word: str, text: str) -> bytes:
    """
    A reply: ``OK``, ``NO`` (do not try again), ``LATER`` (do) or ``BAD`` (not understood).

    :raises SyntaxWrong: the text would make a line of its own.
    """
    return f"{word} {text_of(text.encode())}\r\n".encode()


def line_of(note: Note) -> bytes:
    """A note as READ shows it."""
    return f"* {note.number} {note.written} {note.author} {note.text}\r\n".encode()


def note_of(line: str) -> Note:
    """
    A note from its line.

    :raises SyntaxWrong: it is none.
    """
    found = _NOTE.match(line)
    if found is None:
        raise SyntaxWrong("not a note")
    return Note(int(found[1]), found[2], found[3], found[4])
