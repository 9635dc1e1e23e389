"""
Undoing content transfer encodings piece by piece, in bounded memory.  RFC 2045 sections 6.7 and 6.8.

A decoder takes a body in pieces of any size and gives the octets they stand for; where the pieces are cut never changes
what comes out.  No octets are errors: what follows no rule is treated as the RFC advises, or stands for itself.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Protocol

MAX_BLANKS = 1_000
"""Blanks at the end of a quoted-printable line that are taken out; a longer run is no padding of any transport."""

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_FOREIGN = bytes(sorted(set(range(256)) - set(_ALPHABET)))
_PADDING = re.compile(rb"(?<![ \t])[ \t]{1,%d}+(?=\r?\n)" % MAX_BLANKS)
_LITERAL_EQUALS = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")


class Decoder(Protocol):
    """
    Undoes one encoding.

    :ivar ended: whether the encoding itself has said that nothing follows.
    """

    ended: bool

    def feed(self, data: bytes) -> bytes:
        """The octets that are certain after the next piece."""

    def end(self) -> bytes:
        """The octets that were held back; nothing is fed after that."""


class Identity:
    """7bit, 8bit and binary: octets stand for themselves."""

    ended = False

    def feed(self, data: bytes) -> bytes:
        """The same."""
        return data

    def end(self) -> bytes:
        """Nothing is held back."""
        return b""


class Base64:
    """
    Base64: foreign octets are skipped, the first pad ends the data, bits that fill no octet are dropped.

    RFC 2045 section 6.8.
    """

    def __init__(self) -> None:
        self.ended = False
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Four characters, three octets."""
        if self.ended:
            return b""
        pad = data.find(b"=")
        if pad >= 0:
            data = data[:pad]
            self.ended = True
        data = self._held + data.translate(None, _FOREIGN)
        whole = len(data) & ~3
        self._held = data[whole:]
        return binascii.a2b_base64(data[:whole])

    def end(self) -> bytes:
        """What two or three characters at the end stand for."""
        held, self._held = self._held, b""
        return binascii.a2b_base64(held + b"===") if len(held) > 1 else b""


class QuotedPrintable:
    """
    Quoted-printable: padding at the end of lines is taken out, an ``=`` that begins nothing stands for itself, one at the
    very end is a soft line break whose line end belongs to the delimiter behind it.

    RFC 2045 section 6.7.
    """

    def __init__(self) -> None:
        self.ended = False
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What is certain: all but blanks at the end and an escape that may go on."""
        data = self._held + data
        text = data.removesuffix(b"\r")
        safe = max(len(text.rstrip(b" \t")), len(text) - MAX_BLANKS - 1)
        if data[safe - 1 : safe] == b"=":
            safe -= 1
        elif data[max(safe - 2, 0) : safe][:1] == b"=":
            safe -= 2
        self._held = data[safe:]
        return _unquoted(data[:safe])

    def end(self) -> bytes:
        """What was held back, as the end of the last line."""
        held, self._held = self._held, b""
        text = held.rstrip(b" \t")
        if len(held) - len(text) > MAX_BLANKS:
            return _unquoted(held)
        return b"" if text == b"=" else _unquoted(text)


def _unquoted(data: bytes) -> bytes:
    """Quoted-printable that ends neither inside an escape nor in blanks that may be padding."""
    if b" \r" in data or b" \n" in data or b"\t\r" in data or b"\t\n" in data:
        data = _PADDING.sub(b"", data)
    if b"=" not in data:
        return data
    return binascii.a2b_qp(_LITERAL_EQUALS.sub(b"=3D", data))


def decoder(encoding: bytes) -> Decoder | None:
    """A decoder for an encoding in lower case; None where nobody knows how to undo it."""
    make = _DECODERS.get(encoding)
    return None if make is None else make()


_DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"7bit": Identity,
    b"8bit": Identity,
    b"binary": Identity,
    b"base64": Base64,
    b"quoted-printable": QuotedPrintable,
}
