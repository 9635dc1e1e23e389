"""
Mailbox names in modified UTF-7, strictly, and in UTF-8.  RFC 3501 section 5.1.3, RFC 9755 section 3.

Decoding accepts only what encoding would have written, so one name has one spelling: shifted ASCII (``&AGE-``, ``&AC8-``),
open shifts, padding bits and lone surrogates are refused, as names; a pattern with them matches nothing.  A name with octets
above 127 can only be UTF-8 and is taken for it; once a client has enabled UTF-8, all names are.
"""

from __future__ import annotations

import binascii
import re

from launcelot.protocols.imap4.grammar.reader import Malformed, Misnamed, Reader

MAX_NAME = 8_000
"""Octets of a name or pattern on the wire; the store's own limit is far below."""

NOWHERE = "\0"
"""Stands for a name or a pattern that nothing can match."""

_SHIFT = re.compile(r"&([^-]*)-|&[^-]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_IN_UTF8 = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TO_SHIFT = re.compile(r"&|[^\x20-\x7e]+")


def encode(name: str) -> bytes:
    """
    A name as it goes on the wire, not yet quoted.

    :raises UnicodeEncodeError: the name has a lone surrogate.
    """
    if name.isascii() and name.isprintable() and "&" not in name:
        return name.encode("ascii")
    return _TO_SHIFT.sub(_shifted, name).encode("ascii")


def _shifted(found: re.Match[str]) -> str:
    text = found[0]
    if text == "&":
        return "&-"
    coded = binascii.b2a_base64(text.encode("utf-16-be"), newline=False).decode("ascii")
    return "&" + coded.rstrip("=").replace("/", ",") + "-"


def decode(raw: bytes) -> str:
    """
    A name or a pattern from the wire.

    :raises Misnamed: it is not what :func:`encode` writes.
    :raises Malformed: it is neither ASCII nor UTF-8.
    """
    if len(raw) > MAX_NAME:
        raise Misnamed("mailbox name is too long")
    if not raw.isascii():
        return decode_utf8(raw)
    text = raw.decode("ascii")
    if not text.isprintable():
        raise Misnamed("mailbox name has a control character")
    if "&" not in text:
        return text
    name = _SHIFT.sub(_unshifted, text)
    if _CONTROL.search(name):
        raise Misnamed("mailbox name has a control character")
    if encode(name) != raw:
        raise Misnamed("mailbox name is not in canonical modified UTF-7")
    return name


def decode_utf8(raw: bytes) -> str:
    """
    A name or a pattern that stands for itself.

    :raises Misnamed: it has a control or a line separator.
    :raises Malformed: it is not UTF-8.
    """
    if len(raw) > MAX_NAME:
        raise Misnamed("mailbox name is too long")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("mailbox name is not UTF-8") from None
    if _NOT_IN_UTF8.search(name):
        raise Misnamed("mailbox name has a control character")
    return name


def _unshifted(found: re.Match[str]) -> str:
    coded = found[1]
    if coded is None:
        raise Misnamed("mailbox name is not in modified UTF-7")
    if not coded:
        return "&"
    padded = coded.replace(",", "/") + "=" * (-len(coded) % 4)
    try:
        return binascii.a2b_base64(padded, strict_mode=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        raise Misnamed("mailbox name is not in modified UTF-7") from None


def read_mailbox(reader: Reader) -> str:
    """
    ``mailbox``: the next argument as a name.

    :raises Misnamed: no mailbox can be called so.
    """
    raw = reader.astring()
    return decode_utf8(raw) if reader.utf8 else decode(raw)


def read_any_mailbox(reader: Reader) -> str:
    """``mailbox`` where names that do not exist are passed over: :data:`NOWHERE` for one that cannot."""
    return _possible(reader, reader.astring())


def read_pattern(reader: Reader) -> str:
    """``list-mailbox``: the next argument as a LIST pattern; a shift never hides a wildcard."""
    return _possible(reader, reader.list_mailbox())


def _possible(reader: Reader, raw: bytes) -> str:
    try:
        return decode_utf8(raw) if reader.utf8 else decode(raw)
    except Misnamed:
        return NOWHERE
