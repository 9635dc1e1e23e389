"""
Identifiers that sort by time and never repeat.

An id is 20 lower-case base-32 characters: 48 bits of milliseconds since 1970, then 52 random bits.  Ids name spooled
mail, sessions and stored objects; they are safe in file names, header fields and log lines.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from struct import unpack
from typing import NewType

AccountId = NewType("AccountId", str)
"""Opaque, never reused, safe as a file name; stores keep an account's data under it, so that renaming moves nothing."""

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_BITS = 48
RANDOM_BITS = 52
ID_LENGTH = (TIME_BITS + RANDOM_BITS) // 5


DRAWN = 128
"""Numbers of 64 bits that :class:`RandomBits` draws at once."""

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)


def encode(number: int, length: int) -> str:
    """The low ``5 * length`` bits of ``number`` as base-32 text; two characters at a time, as every session needs an id."""
    text = "".join([_PAIRS[number >> shift & 1023] for shift in range(10 * ((length - 1) // 2), -1, -10)])
    return text[len(text) - length :]


def time_of(id: str) -> float | None:
    """When an identifier was made, in wall-clock seconds; None for what is none of ours."""
    if len(id) != ID_LENGTH or not set(id) <= set(ALPHABET):
        return None
    number = 0
    for character in id:
        number = number << 5 | ALPHABET.index(character)
    return (number >> RANDOM_BITS) / 1000


class RandomBits:
    """
    The system's random bits, drawn for many ids at once: each call of the system lets another thread have the interpreter.

    Any thread may ask.  Not for a process that forks and goes on in both.
    """

    __slots__ = ("_drawn",)

    def __init__(self) -> None:
        self._drawn: list[int] = []

    def __call__(self, bits: int) -> int:
        """So many of them, none given twice."""
        if bits > 64:
            return secrets.randbits(bits)
        while True:
            try:
                return self._drawn.pop() >> 64 - bits
            except IndexError:
                self._drawn.extend(unpack(f"{DRAWN}Q", os.urandom(8 * DRAWN)))


def new_id(seconds: float, random_bits: Callable[[int], int]) -> str:
    """
    A fresh identifier.

    :param seconds: wall-clock seconds since 1970.
    :param random_bits: gives that many random bits, such as ``secrets.randbits``.
    """
    milliseconds = int(seconds * 1000) & ((1 << TIME_BITS) - 1)
    return encode(milliseconds << RANDOM_BITS | random_bits(RANDOM_BITS), ID_LENGTH)
