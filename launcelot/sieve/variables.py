"""
``${...}`` in strings: variables (RFC 5229) and encoded characters (RFC 5228 section 2.4.2.4).

Names are compared without case.  Match variables ``${0}`` and so on belong to the last test that matched; ``${global.name}`` are
shared among included scripts (RFC 6609 section 3.4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from launcelot.sieve.grammar import ScriptError

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""``identifier`` of RFC 5228 section 8.1: what can be set."""
_REFERENCE = re.compile(r"\$\{(?:([0-9]{1,9})|((?:[A-Za-z_][A-Za-z0-9_]*\.)*[A-Za-z_][A-Za-z0-9_]*))\}")
_ENCODED = re.compile(r"\$\{(hex|unicode):[ \t\r\n]*((?:[0-9A-Fa-f]+[ \t\r\n]+)*[0-9A-Fa-f]+)[ \t\r\n]*\}", re.IGNORECASE)
_MODIFIERS = {
    "lower": 40, "upper": 40, "lowerfirst": 30, "upperfirst": 30, "quotewildcard": 20, "quoteregex": 20, "encodeurl": 15,
    "length": 10,
}  # fmt: skip
"""
Modifiers of ``set`` with their precedence.  RFC 5229 section 4.1; ``:quoteregex`` is of draft-ietf-sieve-regex, ``:encodeurl`` of
RFC 5435 section 6.
"""
_CAPITALS = {ord(low): ord(low) - 32 for low in "abcdefghijklmnopqrstuvwxyz"}
_SMALLS = {high: low for low, high in _CAPITALS.items()}
_WILD = re.compile(r"([*?\\])")
_SPECIAL = re.compile(r"([\\^$.|?*+()\[\]{}])")


def decode_characters(text: str, line: int) -> str:
    """
    A string with its encoded characters replaced.

    :raises ScriptError: a number that is no Unicode character.
    """

    def replaced(found: re.Match[str]) -> str:
        numbers = found[2].split()
        if found[1].lower() == "hex":
            if any(len(number) > 2 for number in numbers):
                return found[0]
            return bytes(int(number, 16) for number in numbers).decode("utf-8", "surrogateescape")
        values = [int(number[-8:], 16) if not number[:-8].strip("0") else 1 << 32 for number in numbers]
        if any(value > 0x10FFFF or 0xD800 <= value <= 0xDFFF for value in values):
            raise ScriptError(f"{found[0]} is no Unicode character", line)
        return "".join(map(chr, values))

    decoded = _ENCODED.sub(replaced, text) if "${" in text else text
    # Octets of one character may have been given one by one; what is left over is no text.
    return decoded.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if decoded is not text else text


class Variables:
    """
    The variables of one script.

    :param shared: those of all included scripts.
    :param longest: characters of one value; more are cut off.
    :param most: variables in all.
    """

    def __init__(self, shared: dict[str, str], longest: int, most: int) -> None:
        self._own: dict[str, str] = {}
        self._shared = shared
        self._globals: set[str] = set()
        self._longest = longest
        self._most = most
        self.matched: Sequence[str] = ()

    def declare_global(self, name: str) -> None:
        """Have a name stand for the shared variable from now on.  RFC 6609 section 3.4.1."""
        self._globals.add(name.lower())
        self._own.pop(name.lower(), None)

    def set(self, name: str, value: str) -> bool:
        """Set a variable; False if there are too many."""
        key = name.lower()
        shared = key.startswith("global.") or key in self._globals
        kept, key = (self._shared, key.removeprefix("global.")) if shared else (self._own, key)
        if key not in kept and len(kept) >= self._most:
            return False
        kept[key] = value[: self._longest]
        return True

    def get(self, name: str) -> str:
        """A variable's value; empty for one that was never set."""
        key = name.lower()
        if key.startswith("global."):
            return self._shared.get(key.removeprefix("global."), "")
        return self._shared.get(key, "") if key in self._globals else self._own.get(key, "")

    def expand(self, text: str) -> str:
        """A string with its references replaced; what is no reference stays."""
        return _REFERENCE.sub(self._value, text)[: self._longest] if "${" in text else text

    def _value(self, found: re.Match[str]) -> str:
        if found[1] is not None:
            number = int(found[1])
            return self.matched[number] if number < len(self.matched) else ""
        return self.get(found[2])


def foreign_namespace(text: str, shared: bool) -> str:
    """
    The first namespace that a string refers to and that nobody offers; empty without one.

    :param shared: whether ``global`` is offered, as by ``include``.
    """
    for found in _REFERENCE.finditer(text) if "${" in text else ():
        space, dot, name = (found[2] or "").partition(".")
        if dot and not (shared and space.lower() == "global" and "." not in name):
            return space
    return ""


def clashing(modifiers: Sequence[str]) -> bool:
    """Whether two modifiers of ``set`` have one precedence."""
    ranks = [_MODIFIERS[one] for one in modifiers]
    return len(set(ranks)) < len(ranks)


def modified(value: str, modifiers: Sequence[str]) -> str:
    """A value with the modifiers of ``set`` applied, the highest precedence first."""
    for name in sorted(modifiers, key=lambda one: -_MODIFIERS[one]):
        if name == "lower":
            value = value.translate(_SMALLS)
        elif name == "upper":
            value = value.translate(_CAPITALS)
        elif name == "lowerfirst":
            value = value[:1].translate(_SMALLS) + value[1:]
        elif name == "upperfirst":
            value = value[:1].translate(_CAPITALS) + value[1:]
        elif name == "quotewildcard":
            value = _WILD.sub(r"\\\1", value)
        elif name == "quoteregex":
            value = _SPECIAL.sub(r"\\\1", value)
        elif name == "encodeurl":
            value = quote(value.encode("utf-8", "replace"), safe="")
        else:
            value = str(len(value))
    return value
