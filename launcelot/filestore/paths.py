"""
Virtual paths: what a peer types, made into the names below the root of its tree.

Resolution is lexical: ``..`` takes one name away and stops at the root, so no text leads out of the tree.  Names keep octets that
are not UTF-8 as surrogates (PEP 383): :func:`decode` and :func:`encode` are exact inverses for all octets.
"""

from __future__ import annotations

from launcelot.core.errors import Invalid
from launcelot.filestore.interface import Path

NAME_OCTETS = 255
"""Longest name in octets, as on every Linux file system."""

DEPTH = 64
"""Most names in one path."""


def decode(name: bytes) -> str:
    """Octets of a name as text; what is not UTF-8 becomes surrogates."""
    return name.decode("utf-8", "surrogateescape")


def encode(name: str) -> bytes:
    """
    The octets of a name.

    :raises Invalid: it holds surrogates that :func:`decode` does not make.
    """
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Invalid("the name cannot be stored") from None


def resolve(cwd: Path, text: str) -> Path:
    """
    The path that ``text`` means in the working folder ``cwd``.

    :raises Invalid: it holds NUL, a name is longer than :data:`NAME_OCTETS`, or it is deeper than :data:`DEPTH`.
    """
    if "\0" in text:
        raise Invalid("a name cannot hold NUL")
    names = [] if text.startswith("/") else list(cwd)
    for name in text.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            if len(encode(name)) > NAME_OCTETS:
                raise Invalid(f"a name has at most {NAME_OCTETS} octets")
            names.append(name)
            if len(names) > DEPTH:
                raise Invalid(f"a path has at most {DEPTH} names")
    return tuple(names)


def text_of(path: Path) -> str:
    """A path as people write it, from the root."""
    return "/" + "/".join(path)


def unique_name(name: str, mark: str) -> str:
    """``name`` with ``mark`` behind it, cut between characters so that it stays a legal name."""
    octets = encode(name)
    end = min(len(octets), NAME_OCTETS - len(mark) - 1)
    while end < len(octets) and octets[end] & 0xC0 == 0x80:
        end -= 1
    return f"{decode(octets[:end])}.{mark}"
