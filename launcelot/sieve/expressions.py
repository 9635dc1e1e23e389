"""
Regular expressions that take linear time: POSIX extended ones (draft-ietf-sieve-regex), with what they captured.

An expression becomes a small program, and all its threads walk over the text together (Thompson, Pike), so that no text and no
expression makes it slow: a step for each instruction and character at most, counted by :class:`Steps`.  Earlier alternatives
and longer repetitions are preferred, as in other engines of this kind; of matches that begin together POSIX would take the
longest, which differs only in what is captured.

Left out: back-references (no linear time), collating symbols and equivalence classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

MAX_PROGRAM = 2_000
"""Instructions of one expression, its repetitions written out."""
MAX_REPEAT = 255
"""``RE_DUP_MAX`` of POSIX."""
MAX_GROUPS = 9
MAX_NESTING = 50


class BadExpression(ValueError):
    """It is no regular expression; the text says why."""


class Steps(Protocol):
    """Counts work."""

    def spend(self, amount: int) -> None:
        """Count some work; raises when there was too much."""


@dataclass(frozen=True, slots=True)
class One:
    """
    One character.

    :ivar ranges: lowest and highest of those that are meant.
    :ivar negated: all others are meant.
    """

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def takes(self, sign: str) -> bool:
        """Whether a character is meant."""
        return any(low <= sign <= high for low, high in self.ranges) is not self.negated


@dataclass(slots=True)
class Step:
    """
    One instruction.

    :ivar kind: ``"one"``, ``"split"``, ``"jump"``, ``"save"``, ``"begin"``, ``"end"`` or ``"match"``.
    :ivar to: where to go on; of a split first.
    :ivar other: where a split goes on second.
    """

    kind: str
    one: One | None = None
    to: int = 0
    other: int = 0


CLASSES = {
    "alnum": (("0", "9"), ("A", "Z"), ("a", "z")),
    "alpha": (("A", "Z"), ("a", "z")),
    "blank": ((" ", " "), ("\t", "\t")),
    "cntrl": (("\0", "\x1f"), ("\x7f", "\x7f")),
    "digit": (("0", "9"),),
    "graph": (("!", "~"),),
    "lower": (("a", "z"),),
    "print": ((" ", "~"),),
    "punct": (("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
    "space": (("\t", "\r"), (" ", " ")),
    "upper": (("A", "Z"),),
    "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
}
"""``[:class:]`` of POSIX, for ASCII."""
ANY = One((), True)
_INTERVAL = re.compile(r"\{([0-9]{1,3})(,([0-9]{0,3}))?\}")
_CLASS = re.compile(r"\[:([a-z]+):\]")
_FOLD = {ord(low): ord(low) - 32 for low in "abcdefghijklmnopqrstuvwxyz"}


class Expression:
    """
    A compiled expression.

    :ivar size: instructions.
    """

    __slots__ = ("_groups", "_ignore_case", "_program", "size")

    def __init__(self, program: list[Step], groups: int, ignore_case: bool) -> None:
        self._program = program
        self._groups = groups
        self._ignore_case = ignore_case
        self.size = len(program)

    def search(self, text: str, steps: Steps) -> tuple[str, ...] | None:
        """The leftmost match and its groups (empty where one took no part); None without a match."""
        seen = text.translate(_FOLD) if self._ignore_case else text
        found = _run(self._program, seen, 2 * (self._groups + 1), steps)
        if found is None:
            return None
        pairs = zip(found[::2], found[1::2], strict=True)
        return tuple(text[start:end] if start >= 0 and end >= 0 else "" for start, end in pairs)


Places = tuple[int, ...]
Thread = tuple[int, Places]


def _run(program: list[Step], text: str, slots: int, steps: Steps) -> Places | None:
    best: Places | None = None
    threads: list[Thread] = []
    fresh = (-1,) * slots
    length = len(text)
    for position in range(length + 1):
        seen = bytearray(len(program))
        current: list[Thread] = []
        for thread in threads:
            _follow(program, thread, position, length, seen, current)
        if best is None:
            _follow(program, (0, fresh), position, length, seen, current)
        steps.spend(1 + len(current))
        threads = []
        sign = text[position] if position < length else ""
        for place, places in current:
            step = program[place]
            if step.kind == "match":
                best = places
                break
            if sign and step.one is not None and step.one.takes(sign):
                threads.append((place + 1, places))
        if not threads and best is not None:
            break
    return best


def _follow(
    program: list[Step], thread: Thread, position: int, length: int, seen: bytearray, found: list[Thread]
) -> None:
    """Add the instructions a thread comes to without taking a character, the preferred ones first."""
    waiting = [thread]
    while waiting:
        place, places = waiting.pop()
        if seen[place]:
            continue
        seen[place] = 1
        step = program[place]
        if step.kind == "split":
            waiting += ((step.other, places), (step.to, places))
        elif step.kind == "jump":
            waiting.append((step.to, places))
        elif step.kind == "save":
            waiting.append((place + 1, (*places[: step.to], position, *places[step.to + 1 :])))
        elif step.kind == "begin" or step.kind == "end":
            if position == (0 if step.kind == "begin" else length):
                waiting.append((place + 1, places))
        else:
            found.append((place, places))


def compile_expression(text: str, ignore_case: bool) -> Expression:
    """
    An expression from its text.

    :param ignore_case: of ASCII letters.
    :raises BadExpression: it is none, or too large.
    """
    compiler = _Compiler(text, ignore_case)
    program = compiler.whole()
    return Expression(program, compiler.groups, ignore_case)


class _Compiler:
    """Reads an expression; each method returns instructions with places relative to their first."""

    def __init__(self, text: str, ignore_case: bool) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._ignore_case = ignore_case
        self.groups = 0

    def whole(self) -> list[Step]:
        """The program."""
        body = self._alternatives()
        if self._at < len(self._text):
            raise BadExpression("a ) without its (")
        return [Step("save", to=0), *_moved(body, 1), Step("save", to=1), Step("match")]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _alternatives(self) -> list[Step]:
        found = self._sequence()
        while self._peek() == "|":
            self._at += 1
            other = self._sequence()
            size = len(found)
            found = [
                Step("split", to=1, other=size + 2),
                *_moved(found, 1),
                Step("jump", to=size + 2 + len(other)),
                *_moved(other, size + 2),
            ]
            self._check(found)
        return found

    def _sequence(self) -> list[Step]:
        found: list[Step] = []
        while (sign := self._peek()) and sign not in "|)":
            found += _moved(self._repeated(self._atom()), len(found))
            self._check(found)
        return found

    def _check(self, found: list[Step]) -> None:
        if len(found) > MAX_PROGRAM:
            raise BadExpression("the expression is too large")

    def _atom(self) -> list[Step]:
        sign = self._peek()
        self._at += 1
        if sign == "(":
            return self._group()
        if sign == "[":
            return [Step("one", self._bracket())]
        if sign == ".":
            return [Step("one", ANY)]
        if sign == "^":
            return [Step("begin")]
        if sign == "$":
            return [Step("end")]
        if sign in "*+?" or (sign == "{" and _INTERVAL.match(self._text, self._at - 1)):
            raise BadExpression(f"nothing stands before {sign}")
        if sign == "\\":
            sign = self._peek()
            if not sign:
                raise BadExpression("a backslash at the end")
            if sign.isdigit():
                raise BadExpression("back-references are not offered")
            self._at += 1
        return [Step("one", self._single(sign))]

    def _single(self, sign: str) -> One:
        if self._ignore_case:
            sign = sign.translate(_FOLD)
        return One(((sign, sign),))

    def _group(self) -> list[Step]:
        self._depth += 1
        self.groups += 1
        number = self.groups
        if self._depth > MAX_NESTING:
            raise BadExpression("groups are nested too deeply")
        if number > MAX_GROUPS * 10:
            raise BadExpression("too many groups")
        body = self._alternatives()
        if self._peek() != ")":
            raise BadExpression("a ( without its )")
        self._at += 1
        self._depth -= 1
        return [Step("save", to=2 * number), *_moved(body, 1), Step("save", to=2 * number + 1)]

    def _repeated(self, atom: list[Step]) -> list[Step]:
        while (sign := self._peek()) in ("*", "+", "?", "{"):
            if sign == "{":
                interval = _INTERVAL.match(self._text, self._at)
                if interval is None:
                    return atom
                self._at = interval.end()
                atom = self._times(atom, *_bounds(interval))
            else:
                self._at += 1
                atom = self._times(atom, *{"*": (0, None), "+": (1, None), "?": (0, 1)}[sign])
        return atom

    def _times(self, atom: list[Step], least: int, most: int | None) -> list[Step]:
        """An atom repeated: written out as often as it must come, and then as often as it may."""
        if len(atom) * max(least, most or 0, 1) > MAX_PROGRAM:
            raise BadExpression("the expression is too large")
        found: list[Step] = []
        for _ in range(least):
            found += _moved(atom, len(found))
        if most is None:
            start = len(found)
            found += [Step("split", to=start + 1, other=start + 2 + len(atom)), *_moved(atom, start + 1), Step("jump", to=start)]
        else:
            size = len(atom) + 1
            end = len(found) + size * (most - least)
            for _ in range(most - least):
                start = len(found)
                found += [Step("split", to=start + 1, other=end), *_moved(atom, start + 1)]
        self._check(found)
        return found

    def _bracket(self) -> One:
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[tuple[str, str]] = []
        first = True
        while (sign := self._peek()) != "]" or first:
            if not sign:
                raise BadExpression("a [ without its ]")
            first = False
            named = _CLASS.match(self._text, self._at)
            if named is not None:
                if named[1] not in CLASSES:
                    raise BadExpression(f"there is no class [:{named[1]}:]")
                self._at = named.end()
                ranges += CLASSES[named[1]]
            else:
                ranges.append(self._range(sign))
        self._at += 1
        return One(tuple(_folded(ranges) if self._ignore_case else ranges), negated)

    def _range(self, low: str) -> tuple[str, str]:
        self._at += 1
        high = self._text[self._at + 1 : self._at + 2]
        if self._peek() != "-" or high in ("]", ""):
            return low, low
        self._at += 2
        if low > high:
            raise BadExpression(f"the range {low}-{high} is empty")
        return low, high


def _bounds(interval: re.Match[str]) -> tuple[int, int | None]:
    least = int(interval[1])
    most = least if interval[2] is None else int(interval[3]) if interval[3] else None
    if least > MAX_REPEAT or (most is not None and not least <= most <= MAX_REPEAT):
        raise BadExpression(f"{interval[0]} is no repetition")
    return least, most


def _folded(ranges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Ranges of a text whose small ASCII letters have become capitals."""
    found = list(ranges)
    for low, high in ranges:
        start, end = max(low, "a"), min(high, "z")
        if start <= end:
            found.append((start.upper(), end.upper()))
    return found


def _moved(steps: list[Step], by: int) -> list[Step]:
    """Instructions as they stand ``by`` places further on."""
    return [
        Step(step.kind, step.one, step.to + by, step.other + by) if step.kind in ("split", "jump") else step for step in steps
    ]
