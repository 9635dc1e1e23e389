"""
Settings: each declared once, with unit, default, range and text.

A group of settings is a frozen dataclass whose fields are made with :func:`setting`.  The same declaration checks the
configuration file, writes the sample file and the documentation, so none of them can drift.
"""

from __future__ import annotations

import difflib
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, Union, get_args, get_origin

T = TypeVar("T")

KEY = "launcelot"


@dataclass(frozen=True, slots=True)
class Declared:
    """
    What is known of one setting besides its type and default.

    :ivar unit: such as ``"octets"`` or ``"seconds"``; empty for names and switches.
    :ivar minimum: smallest value of a number.
    :ivar maximum: largest value of a number.
    :ivar choices: the values a text may have; empty for any.
    """

    text: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


class BadSetting(ValueError):
    """A value that declarations cannot tell wrong, found when it is used; the text is cause and remedy in one line."""


def setting(
    default: T,
    text: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
) -> T:
    """Declare one setting as a field of a frozen dataclass; see :class:`Declared` for the parameters."""
    declared = Declared(text, unit, minimum, maximum, tuple(choices))
    return field(default=default, metadata={KEY: declared})


def declared(of: Field[Any]) -> Declared:
    """What :func:`setting` was told of a field."""
    return typing.cast(Declared, of.metadata[KEY])


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing wrong with given settings.

    :ivar path: keys from the outermost table to the value.
    :ivar text: cause and remedy in one line.
    """

    path: tuple[str, ...]
    text: str


def load(group: type[T], given: Mapping[str, Any], path: tuple[str, ...] = ()) -> tuple[T, list[Problem]]:
    """
    Make a group of settings from a table; what is wrong or missing keeps its default.

    :param group: a frozen dataclass of :func:`setting` fields.
    :param given: as read from TOML.
    :returns: the group, and everything wrong with what was given.
    """
    known = {one.name: one for one in fields(group)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(group)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            problems.append(Problem((*path, key), unknown(key, known)))
            continue
        wrong = check(value, hints[key], declared(known[key]))
        if wrong:
            problems.append(Problem((*path, key), wrong))
        else:
            values[key] = converted(value, kind_of(hints[key]))
    return group(**values), problems


def unknown(key: str, known: Mapping[str, object] | Sequence[str]) -> str:
    """The sentence for a key nobody declared, with the nearest that somebody did."""
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    return f"unknown key {key!r}; did you mean {near[0]!r}?" if near else f"unknown key {key!r}"


def check(value: Any, kind: Any, limits: Declared) -> str:
    """What is wrong with a value, in one line; empty if nothing is."""
    kind = kind_of(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            return f"must be a list, not {describe(value)}"
        wrong = (check(item, get_args(kind)[0], limits) for item in value)
        return next((one for one in wrong if one), "")
    if type(value) is not kind and not (kind is float and type(value) is int):
        return f"must be {describe(kind())}, not {describe(value)}"
    if kind is float and not -sys.float_info.max <= value <= sys.float_info.max:
        return "must be a finite number"
    if limits.choices and value not in limits.choices:
        return f"must be one of {', '.join(limits.choices)}"
    if limits.minimum is not None and value < limits.minimum:
        return f"must be at least {limits.minimum:g}{' ' + limits.unit if limits.unit else ''}"
    if limits.maximum is not None and value > limits.maximum:
        return f"must be at most {limits.maximum:g}{' ' + limits.unit if limits.unit else ''}"
    return ""


def kind_of(hint: Any) -> Any:
    """The type that a given value of an annotated field has; the other half of ``| None`` is never given."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(one for one in get_args(hint) if one is not type(None))
    return hint


def converted(value: Any, kind: Any) -> Any:
    """A checked value as its field holds it: lists are tuples, whole numbers may stand for numbers."""
    if get_origin(kind) is tuple:
        return tuple(converted(item, get_args(kind)[0]) for item in value)
    return float(value) if kind is float else value


def describe(value: object) -> str:
    """A value's kind in TOML's words."""
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return kinds.get(type(value), type(value).__name__)


def default_of(of: Field[Any]) -> Any:
    """A field's default."""
    return None if of.default is MISSING else of.default
