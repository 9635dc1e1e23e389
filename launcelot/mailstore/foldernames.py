"""
Mailbox names as names of files: modified UTF-7 (RFC 3501 section 5.1.3), as Maildir++ has it, in which dots and slashes of a
level are shifted, too, so that no name leaves its folder or is hidden in it.
"""

from __future__ import annotations

import binascii
import re

from launcelot.mailstore.interface import SEPARATOR
from launcelot.mailstore.names import canonical

_SHIFTED = re.compile(r"[^ -%'-\-0-~]+")
"""Everything that is not printable ASCII, and ``&``, ``.`` and ``/``."""
_SHIFT = re.compile(r"&([A-Za-z0-9+,]*)-")


def encode_level(level: str) -> str:
    """One level of a mailbox name as a file name."""
    return _SHIFTED.sub(_coded, level)


def _coded(found: re.Match[str]) -> str:
    if found[0] == "&":
        return "&-"
    octets = binascii.b2a_base64(found[0].encode("utf-16-be", "surrogatepass"), newline=False)
    return "&" + octets.decode().rstrip("=").replace("/", ",") + "-"


def decode_level(name: str) -> str:
    """The level that a file name stands for; one in no known spelling stands for itself."""
    try:
        decoded = _SHIFT.sub(_decoded, name)
    except (binascii.Error, UnicodeDecodeError):
        decoded = name
    return decoded.replace(SEPARATOR, "_")


def _decoded(found: re.Match[str]) -> str:
    if not found[1]:
        return "&"
    return binascii.a2b_base64(found[1].replace(",", "/") + "=" * (-len(found[1]) % 4)).decode("utf-16-be")


def joined(levels: list[str]) -> str:
    """
    A mailbox name from its levels.

    :raises Invalid: it is an impossible one.
    """
    return canonical(SEPARATOR.join(levels))
