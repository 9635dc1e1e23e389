"""
Reading a sentence about a fault back from its text, as people type it at ``launcelot fault``.

A sentence is read as Python reads an expression, but nothing is evaluated: names after dots must be those that sentences have,
and in brackets there may only be texts, octets and numbers.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from launcelot.testing.faults import Act, At, Fault, Point, Secure, Talk, at

LONGEST = 1_000
"""Characters of one sentence."""

WORDS: Mapping[type[Any], frozenset[str]] = {
    At: frozenset({*At.__dataclass_fields__, "service"}),
    Talk: frozenset({"greeting", "hearing", "saying", "tls", "literal", "data"}),
    Secure: frozenset({"certificate", "handshake"}),
    Point: frozenset(
        {"body", "literal", "end", "reply", "data", "sync", "after", "nth", "on", "says", *(act.value for act in Act)}
    ),
    Fault: frozenset({"times", "nth", "on"}),
}
"""What may stand behind a dot."""

EXAMPLE = 'at.smtp("RCPT").replies(451).times(2)'


class BadSentence(ValueError):
    """It is no sentence about a fault; the text says what is wrong, in one line."""


def parse(text: str) -> Fault:
    """
    The fault that a sentence is about.

    :raises BadSentence: it is none.
    """
    if len(text) > LONGEST:
        raise BadSentence(f"a sentence has at most {LONGEST} characters")
    try:
        found = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise BadSentence(f"not a sentence such as {EXAMPLE}") from error
    except (TypeError, ValueError) as error:
        raise BadSentence(" ".join(str(error).split())) from error
    if not isinstance(found, Fault):
        raise BadSentence(f"it does not say what happens; a whole sentence is {EXAMPLE}")
    return found


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id == "at":
        return at
    if isinstance(node, ast.Attribute):
        return _named(_value(node.value), node.attr)
    if isinstance(node, ast.Call):
        named = {one.arg: _constant(one.value) for one in node.keywords if one.arg is not None}
        called = _value(node.func)
        if not callable(called) or isinstance(called, (str, bytes)):
            raise BadSentence(f"a sentence begins with at, such as {EXAMPLE}")
        return called(*(_constant(one) for one in node.args), **named)
    raise BadSentence(f"a sentence begins with at, such as {EXAMPLE}")


def _named(whose: Any, word: str) -> Any:
    known = WORDS.get(type(whose), frozenset())
    if word not in known:
        raise BadSentence(f"there is no .{word} here; there are {', '.join(f'.{one}' for one in sorted(known))}")
    return getattr(whose, word)


def _constant(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes, int, float)):
        return node.value
    raise BadSentence("in brackets there may only be texts, octets and numbers")
