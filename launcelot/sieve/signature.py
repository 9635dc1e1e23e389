"""
What each command takes, and what one that was written was given.

A :class:`Signature` is a row of the language's table; :func:`bind` checks a command against it once, when the script is
compiled, so that what runs is handed nothing it did not ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from launcelot.sieve.grammar import Argument, Command, Number, ScriptError, Strings, Tag
from launcelot.sieve.matching import COMPARATORS, RELATIONS, Matching

ADDRESS_PARTS = {"all": "", "localpart": "", "domain": "", "user": "subaddress", "detail": "subaddress"}
"""Address parts with the extensions they come from.  RFC 5228 section 2.7.4, RFC 5233 section 4."""
MATCH_TYPES = {"is": "", "contains": "", "matches": "", "regex": "regex", "value": "relational", "count": "relational"}
"""Match types with the extensions they come from."""


class Kind(Enum):
    """What an argument is."""

    STRING = "a string"
    STRINGS = "a string or a list of strings"
    NUMBER = "a number"
    SWITCH = "nothing"


@dataclass(frozen=True, slots=True)
class Option:
    """
    A tagged argument.

    :ivar kind: of what follows the tag.
    :ivar extension: that it comes from; empty for that of its command.
    :ivar instead_of: tags that cannot stand beside it.
    """

    kind: Kind = Kind.SWITCH
    extension: str = ""
    instead_of: Collection[str] = ()


class Takes(Enum):
    """Which tests a command takes."""

    NONE = "no test"
    ONE = "one test"
    MANY = "tests in parentheses"


@dataclass(frozen=True, slots=True)
class Signature:
    """
    One command of the language.

    :ivar run: for a test ``(run, bound) -> bool``, for an action ``(run, bound) -> None``; controls have none.
    :ivar optional: how many positional arguments may be left out, from the left.
    :ivar trailing: likewise, from the right.
    :ivar matches: it takes a match type and a comparator.
    :ivar address: it takes an address part.
    :ivar check: looks at constant arguments when the script is compiled; raises ScriptError.
    """

    name: str
    kind: str
    extension: str = ""
    positional: tuple[Kind, ...] = ()
    optional: int = 0
    trailing: int = 0
    options: Mapping[str, Option] = field(default_factory=dict)
    matches: bool = False
    address: bool = False
    tests: Takes = Takes.NONE
    block: bool = False
    run: Callable[[Any, Any], Any] | None = None
    check: Callable[[Bound], None] | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """
    A command with its arguments, checked.

    :ivar options: what followed each tag; True where nothing does.
    :ivar values: the positional arguments; those left out are None.
    """

    signature: Signature
    line: int
    options: Mapping[str, Any]
    values: tuple[Any, ...]
    matching: Matching
    part: str
    tests: tuple[Bound, ...] = ()
    block: tuple[Bound, ...] = ()

    def text(self, index: int) -> str:
        """A positional argument that is one string."""
        return str(self.values[index])

    def texts(self, index: int) -> tuple[str, ...]:
        """A positional argument that is a list of strings."""
        return tuple(self.values[index])


def bind(signature: Signature, command: Command, known: Collection[str], require: Callable[[str, int, str], None]) -> Bound:
    """
    Check a command's own arguments; its tests and its block are the caller's.

    :param known: extensions that may be used; ``require`` is called with others, and raises.
    :raises ScriptError: something does not fit.
    """
    reader = _Reader(signature, command, known, require)
    reader.read()
    return reader.bound()


class _Reader:
    def __init__(
        self, signature: Signature, command: Command, known: Collection[str], require: Callable[[str, int, str], None]
    ) -> None:
        self.signature = signature
        self.command = command
        self.known = known
        self.require = require
        self.options: dict[str, Any] = {}
        self.values: list[Argument] = []
        self.match = ""
        self.relation = ""
        self.comparator = ""
        self.part = ""

    def read(self) -> None:
        """Sort tags from the rest."""
        waiting = list(reversed(self.command.arguments))
        while waiting:
            argument = waiting.pop()
            if not isinstance(argument, Tag):
                self.values.append(argument)
            elif self.values:
                raise ScriptError(f":{argument.name} has to stand before what has no tag", argument.line)
            else:
                self._tag(argument, waiting)

    def _tag(self, tag: Tag, waiting: list[Argument]) -> None:
        name, option = tag.name, self.signature.options.get(tag.name)
        if option is not None:
            self._needs(option.extension, tag)
            clash = next((other for other in option.instead_of if other in self.options), None)
            if name in self.options or clash is not None:
                raise ScriptError(f":{name} cannot stand beside :{clash or name}", tag.line)
            self.options[name] = True if option.kind is Kind.SWITCH else self._following(tag, waiting, option.kind)
        elif self.signature.matches and name in MATCH_TYPES:
            self._needs(MATCH_TYPES[name], tag)
            self.match = self._only(self.match, name, tag)
            if name in ("value", "count"):
                self.relation = self._one_of(str(self._following(tag, waiting, Kind.STRING)).lower(), RELATIONS, tag)
        elif self.signature.matches and name == "comparator":
            given = str(self._following(tag, waiting, Kind.STRING))
            self.comparator = self._only(self.comparator, self._one_of(given, COMPARATORS, tag), tag)
            if given not in COMPARATORS[:2]:
                self._needs(f"comparator-{given}", tag)
        elif self.signature.address and name in ADDRESS_PARTS:
            self._needs(ADDRESS_PARTS[name], tag)
            self.part = self._only(self.part, name, tag)
        else:
            raise ScriptError(f"{self.signature.name} takes no :{name}", tag.line)

    def _needs(self, extension: str, tag: Tag) -> None:
        if extension and extension not in self.known:
            self.require(extension, tag.line, f":{tag.name}")

    def _only(self, before: str, given: str, tag: Tag) -> str:
        if before:
            raise ScriptError(f":{tag.name} stands where its kind has been said", tag.line)
        return given

    def _one_of(self, given: str, choices: Collection[str], tag: Tag) -> str:
        if given not in choices:
            raise ScriptError(f":{tag.name} is one of {', '.join(choices)}", tag.line)
        return given

    def _following(self, tag: Tag, waiting: list[Argument], kind: Kind) -> Any:
        if not waiting or isinstance(waiting[-1], Tag):
            raise ScriptError(f":{tag.name} needs {kind.value} behind it", tag.line)
        return _value(waiting.pop(), kind, f":{tag.name}")

    def bound(self) -> Bound:
        """What was read, as a whole."""
        signature, line = self.signature, self.command.line
        kinds = signature.positional
        missing = len(kinds) - len(self.values)
        if not 0 <= missing <= signature.optional + signature.trailing:
            must = kinds[signature.optional : len(kinds) - signature.trailing]
            raise ScriptError(f"{signature.name} takes {', then '.join(kind.value for kind in must) or 'nothing more'}", line)
        before, behind = (missing, 0) if signature.optional else (0, missing)
        given = zip(self.values, kinds[before : len(kinds) - behind], strict=True)
        values = (None,) * before + tuple(_value(one, kind, signature.name) for one, kind in given) + (None,) * behind
        matching = Matching(self.match or "is", self.comparator or COMPARATORS[0], self.relation)
        if matching.comparator == "i;ascii-numeric" and matching.kind in ("contains", "matches", "regex"):
            raise ScriptError(f"i;ascii-numeric compares whole numbers, not :{matching.kind}", line)
        bound = Bound(signature, line, self.options, values, matching, self.part or "all")
        if signature.check is not None:
            signature.check(bound)
        return bound


def _value(argument: Argument, kind: Kind, whose: str) -> Any:
    if kind is Kind.NUMBER and isinstance(argument, Number):
        return argument.value
    if kind is Kind.STRING and isinstance(argument, Strings) and not argument.is_list:
        return argument.values[0]
    if kind is Kind.STRINGS and isinstance(argument, Strings):
        return argument.values
    raise ScriptError(f"{whose} takes {kind.value} here", argument.line)
