"""
Checksums of bodies, and mending the one flipped bit they point to.

A checksum is 64 bits: CRC-32 (ISO 3309) of the octets above their Adler-32 (RFC 1950), as a signed integer because SQLite has no
other.  CRC-32 is linear, so the difference between the CRC that was kept and the one that is found depends on the place of a
flipped bit alone, and Adler-32 says whether the place is right: two damaged bits are not taken for one.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import adler32, crc32

_HALF = 1 << 32
_POLYNOMIAL = 0xEDB88320
"""CRC-32's, its lowest power in the highest bit."""


def checksum_of(pieces: Iterable[bytes]) -> int:
    """The checksum of octets that come in pieces."""
    crc, adler = 0, 1
    for piece in pieces:
        crc, adler = crc32(piece, crc), adler32(piece, adler)
    return _joined(crc, adler)


def mended(octets: bytes, checksum: int) -> bytes | None:
    """
    The octets that had a checksum, when no more than one bit of them has been flipped since; None otherwise.

    Takes about 0.6 microseconds an octet where a bit is wrong.
    """
    if checksum_of([octets]) == checksum:
        return octets
    difference = crc32(octets) ^ ((checksum >> 32) % _HALF)
    place = _place_of(difference, len(octets))
    if place is None:
        return None
    candidate = bytearray(octets)
    candidate[place >> 3] ^= 1 << (place & 7)
    whole = bytes(candidate)
    return whole if checksum_of([whole]) == checksum else None


def _joined(crc: int, adler: int) -> int:
    value = crc << 32 | adler
    return value - (1 << 64) if value >= 1 << 63 else value


def _place_of(difference: int, length: int) -> int | None:
    """
    The bit, counted from the lowest of the first octet, whose flipping makes a difference between CRCs.

    The last octet's highest bit leaves its own mark; each bit before it leaves the next power of x.
    """
    mark = _POLYNOMIAL
    for place in range(8 * length - 1, -1, -1):
        if mark == difference:
            return place
        mark = mark >> 1 ^ (_POLYNOMIAL if mark & 1 else 0)
    return None
