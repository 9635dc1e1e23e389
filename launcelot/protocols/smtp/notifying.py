"""
What a client says about notices: the values of RET, ENVID, NOTIFY and ORCPT.  RFC 3461 section 4, RFC 6533 section 3.

Values are handed on decoded.  They end up as fields of notices, so only what is printable passes.  No I/O.
"""

from __future__ import annotations

import re

MAX_ENVELOPE_ID = 100
"""Characters of ENVID as it is sent.  RFC 3461 section 4.4."""

MAX_ORIGINAL = 500
"""Characters of ORCPT as it is sent.  RFC 3461 section 4.2."""

SUCCESS = "SUCCESS"
NEVER = "NEVER"
USUAL = frozenset({"FAILURE", "DELAY"})
"""What is told where nobody said what to tell."""

_WORDS = frozenset({SUCCESS, *USUAL})
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")
_PRINTABLE = re.compile(r"[\t -~]*")
_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*+/?^_`{|}~-]+")
"""``atom``, without the ``=`` that no parameter can have in it."""
_UNITEXT = re.compile(r"(?:[!-*,-<>-\[\]-~\x80-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})+")
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]{2,6})\}")


class BadValue(ValueError):
    """A value that is none; the text is one line for the peer."""


def upper(value: str | None) -> str:
    """A keyword in upper case; what is not ASCII stays, as a dotless i is no I."""
    return value.upper() if value and value.isascii() else value or ""


def parse_return(value: str | None) -> str:
    """
    ``RET``: ``FULL`` or ``HDRS``.

    :raises BadValue: it is neither.
    """
    word = upper(value)
    if word not in ("FULL", "HDRS"):
        raise BadValue("RET is FULL or HDRS")
    return word


def parse_envelope_id(value: str | None) -> str:
    """
    ``ENVID``.

    :raises BadValue: it is too long, no xtext, or not printable.
    """
    if not value or len(value) > MAX_ENVELOPE_ID:
        raise BadValue(f"ENVID is xtext of 1 to {MAX_ENVELOPE_ID} characters")
    return decode_xtext(value, "ENVID")


def parse_notify(value: str | None) -> str:
    """
    ``NOTIFY``, upper-case, each word once.

    :raises BadValue: there are other words, or others beside ``NEVER``.
    """
    words = upper(value).split(",")
    if words == [NEVER]:
        return NEVER
    if not _WORDS.issuperset(words):
        raise BadValue("NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY")
    return ",".join(dict.fromkeys(words))


def parse_original(value: str | None, utf8: bool) -> str:
    """
    ``ORCPT``: the type and the address.

    :param utf8: whether the mail was begun with SMTPUTF8; only then the address may stand there in UTF-8.
    :raises BadValue: it is too long, or malformed.
    """
    kind, semicolon, text = (value or "").partition(";")
    if not semicolon or not text or len(value or "") > MAX_ORIGINAL or _TYPE.fullmatch(kind) is None:
        raise BadValue(f"ORCPT is a type, a semicolon and xtext, at most {MAX_ORIGINAL} characters")
    if kind.lower() == "utf-8":
        return f"{kind};{decode_unitext(text, utf8)}"
    return f"{kind};{decode_xtext(text, 'ORCPT')}"


def decode_xtext(text: str, name: str) -> str:
    """
    What an xtext stands for.  RFC 3461 section 4.

    :raises BadValue: it is none, or stands for what is not printable.
    """
    if _XTEXT.fullmatch(text) is None:
        raise BadValue(f"{name} is not xtext")
    found = _HEXCHAR.sub(lambda one: chr(int(one[1], 16)), text)
    if _PRINTABLE.fullmatch(found) is None:
        raise BadValue(f"{name} has characters that are not printable")
    return found


def decode_unitext(text: str, utf8: bool) -> str:
    """
    An address beyond ASCII in any of its forms.  RFC 6533 section 3.

    :raises BadValue: it is none of them.
    """
    if _UNITEXT.fullmatch(text) is None or not (utf8 or text.isascii()):
        raise BadValue("ORCPT has no address in it")
    points = [int(one, 16) for one in _EMBEDDED.findall(text)]
    if any(point < 0x20 or 0x7F <= point < 0xA0 or 0xD800 <= point < 0xE000 or point > 0x10FFFF for point in points):
        raise BadValue("ORCPT has characters that are not printable")
    return _EMBEDDED.sub(lambda one: chr(int(one[1], 16)), text)


def both(first: str, second: str) -> str:
    """What is to be told of a mailbox that was named twice: whatever either asks for."""
    if first == second:
        return first
    words = {word for one in (first, second) for word in (one.split(",") if one else USUAL)} - {NEVER}
    return ",".join(sorted(words))
