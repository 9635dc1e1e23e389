"""
Tables of answers in files: TOML or JSON, read again when they change.

A file is one table: questions are its keys, answers its values.  The key ``unknown`` may give the answer to everything else::

    "What is the capital of Assyria?" = "I don't know that."
    unknown = "Ni."

Invariants: a table is right as a whole or not used at all; while a file is broken or missing, what it said before stays; it is
looked at on use, at most once in :data:`LOOK_INTERVAL`, and only read when its time, size or inode have changed.  Reading
happens in the thread that asks, which is why :data:`MAX_FILE` is small: parsing that much takes less than 0.2 seconds.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcelot.core.settings import BadSetting
from launcelot.protocols.questions.answers import BOOK, UNKNOWN, Answering, Known
from launcelot.protocols.questions.grammar import (
    FULL_STOP,
    MAX_ANSWER,
    MOST_QUESTION,
    QUESTION_MARK,
    NotASentence,
    sentence,
)

MAX_FILE = 1 << 20
"""Octets of one file."""

LOOK_INTERVAL = 1.0
"""Seconds between looks at the files."""

WORD_FOR_UNKNOWN = "unknown"


class BadTable(BadSetting):
    """A file that cannot be used; the text names file, line, cause and remedy in one line."""


@dataclass(frozen=True, slots=True)
class Table:
    """
    What one file says.

    :ivar unknown: the answer to every other question; empty where the file has none.
    """

    answers: Mapping[bytes, bytes]
    unknown: bytes = b""


class Tables:
    """
    Answers from the book and from files; later files prevail, and any file prevails over the book.

    :param paths: absolute ones survive a daemon's change of its working folder.
    :param seconds: a monotonic clock.
    :param complain: told once, in one line, when a file has become unusable, and once when it is used again.
    :param built_in: what is answered besides.
    :param otherwise: asked what no table answers, in place of the word for the unknown.
    :raises BadTable: a file cannot be used.
    """

    __slots__ = ("_built_in", "_complain", "_files", "_known", "_look_at", "_otherwise", "_seconds", "_unknown")

    def __init__(
        self,
        paths: Sequence[Path],
        seconds: Callable[[], float],
        complain: Callable[[str], None],
        built_in: Mapping[bytes, bytes] = BOOK,
        otherwise: Answering | None = None,
    ) -> None:
        self._files = [TableFile(path) for path in paths]
        self._seconds = seconds
        self._complain = complain
        self._built_in = built_in
        self._otherwise = otherwise
        self._look_at = seconds() + LOOK_INTERVAL
        self._merge()

    def answer(self, question: bytes) -> bytes | Awaitable[bytes]:
        """The answer of a table; else that of whoever else is asked; else that there is none."""
        answer = self.known().one(question)
        if answer is not None:
            return answer
        return self._unknown if self._otherwise is None else self._otherwise.answer(question)

    def known(self) -> Known:
        """What the tables say now."""
        if self._files and self._seconds() >= self._look_at:
            self._look()
        return self._known

    def _look(self) -> None:
        self._look_at = self._seconds() + LOOK_INTERVAL
        changed = False
        for file in self._files:
            try:
                if file.look():
                    changed = True
                    self._complain(f"{file.path}: {len(file.table.answers)} answers read")
            except BadTable as bad:
                self._complain(f"keeping the old answers: {bad}")
        if changed:
            self._merge()

    def _merge(self) -> None:
        answers = dict(self._built_in)
        self._unknown = UNKNOWN
        for file in self._files:
            answers.update(file.table.answers)
            self._unknown = file.table.unknown or self._unknown
        self._known = Known(answers)


class TableFile:
    """
    One file and what it last said.

    :raises BadTable: it cannot be used.
    """

    __slots__ = ("_seen", "path", "table")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = signature(path)
        self.table = read_table(path)

    def look(self) -> bool:
        """
        Whether it says something new.

        :raises BadTable: it has changed and cannot be used; told once for each change.
        """
        seen = signature(self.path)
        if seen == self._seen:
            return False
        self._seen = seen
        self.table = read_table(self.path)
        return True


def check_tables(paths: Sequence[str]) -> None:
    """
    Whether files can be used.

    :raises BadTable: one cannot.
    """
    for path in paths:
        read_table(Path(path))


def signature(path: Path) -> tuple[int, int, int]:
    """What changes when a file does; zeros where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def read_table(path: Path) -> Table:
    """
    What a file says.

    :raises BadTable: it cannot be read, or is wrong.
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise BadTable(f"{path}:1: neither TOML nor JSON; name it .toml or .json")
    octets = _read(path)
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise BadTable(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
    try:
        return parse_table(text, form)
    except _Fault as fault:
        raise BadTable(f"{path}:{fault.line}: {fault}") from None


def parse_table(text: str, form: Form) -> Table:
    """What a text says; as :func:`read_table`."""
    given = form.parse(text)
    if not isinstance(given, dict):
        raise _Fault("a table of questions and answers is wanted", 1)
    answers: dict[bytes, bytes] = {}
    unknown = b""
    for key, value in given.items():
        try:
            if key == WORD_FOR_UNKNOWN:
                unknown = _answer(value)
            else:
                question = _question(key)
                answers[question] = _answer(value)
        except ValueError as error:
            raise _Fault(f"{key[:80]!a}: {error}", form.line_of(text, key)) from None
    return Table(answers, unknown)


def _question(key: str) -> bytes:
    try:
        question = sentence(_octets(key), QUESTION_MARK)
    except NotASentence:
        raise ValueError("a question ends with its only question mark") from None
    if len(question) > MOST_QUESTION:
        raise ValueError(f"no question may be longer than {MOST_QUESTION} octets")
    return question


def _answer(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("the answer must be a text")
    try:
        answer = sentence(_octets(value), FULL_STOP)
    except NotASentence:
        raise ValueError("an answer ends with its only full stop") from None
    if len(answer) > MAX_ANSWER:
        raise ValueError(f"no answer may be longer than {MAX_ANSWER} octets")
    return answer


def _octets(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair is no character") from None


def _read(path: Path) -> bytes:
    try:
        # Without O_NONBLOCK a named pipe would hold the daemon until somebody writes into it.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadTable(f"{path}:1: not a regular file; name a file")
            octets = file.read(MAX_FILE + 1)
    except OSError as error:
        raise BadTable(f"{path}:1: cannot be read: {error.strerror}; check path and permissions") from None
    if len(octets) > MAX_FILE:
        raise BadTable(f"{path}:1: larger than {MAX_FILE} octets; write an answerer for so many answers")
    return octets


# -- the two forms -------------------------------------------------------------------------------------------------


class _Fault(ValueError):
    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True, slots=True)
class Form:
    """
    How a table is written.

    :ivar parse: raises a ValueError with a line.
    :ivar string: the text that a string as written means.
    :ivar after_key: what stands behind a key.
    """

    parse: Callable[[str], Any]
    string: Callable[[str], str]
    after_key: re.Pattern[str]

    def line_of(self, text: str, key: str) -> int:
        """The line where a key stands the last time; 1 if it cannot be told."""
        found = 1
        for token in _TOKEN.finditer(text):
            written = token[0]
            if written[0] != "#" and self.after_key.match(text, token.end()) and self.string(written) == key:
                found = text.count("\n", 0, token.start()) + 1
        return found


_TOKEN = re.compile(
    r"#[^\n]*"
    r'|"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|[^\s\"'#=:,{}\[\]]+",
    re.DOTALL,
)
_TOML_LINE = re.compile(r" \(at line (\d+), column \d+\)\Z")


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _TOML_LINE.search(str(error))
        line = int(at[1]) if at else max(1, len(text.splitlines()))
        raise _Fault(str(error)[: at.start() if at else None], line) from None
    except RecursionError:
        raise _Fault("nested too deep", 1) from None


def _toml_string(written: str) -> str:
    return str(tomllib.loads(f"it = {written}")["it"]) if written[0] in "\"'" else written


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _without_doubles(text, pairs))
    except json.JSONDecodeError as error:
        raise _Fault(error.msg, error.lineno) from None
    except RecursionError:
        raise _Fault("nested too deep", 1) from None


def _without_doubles(text: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Fault(f"{key[:80]!a}: is there twice", FORMS[".json"].line_of(text, key))
        found[key] = value
    return found


def _json_string(written: str) -> str:
    return str(json.loads(written)) if written[0] == '"' else written


FORMS: Mapping[str, Form] = {
    ".toml": Form(_toml, _toml_string, re.compile(r"[ \t]*[=\]]")),
    ".json": Form(_json, _json_string, re.compile(r"\s*:")),
}
"""By the end of the file's name."""
