"""
IMAP URLs as far as CATENATE has them: absolute paths to messages and parts of this session's server.  RFC 5092.

Relative paths must not be accepted (section 7.2), and what names a server is outside CATENATE (RFC 4469 section 3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from launcelot.protocols.imap4.grammar.fetch import Section, read_section
from launcelot.protocols.imap4.grammar.reader import MAX_NUMBER, Malformed, Reader

MAX_URL = 4_096
"""Octets of a URL."""

_CHARS = rb"(?:[A-Za-z0-9\-._~!$'()*+,&=:@/]|%[0-9A-Fa-f]{2})+"
"""``1*bchar``."""
_PATH = re.compile(
    rb"/(?!/)(?P<mailbox>%b)(?:;UIDVALIDITY=(?P<validity>\d{1,10}))?/;UID=(?P<uid>\d{1,10})(?:/;SECTION=(?P<section>%b))?"
    rb"(?:/;PARTIAL=(?P<offset>\d{1,10})(?:\.(?P<length>\d{1,10}))?)?" % (_CHARS, _CHARS),
    re.IGNORECASE,
)
_UNSAFE = re.compile(rb'[^!#-\[^-~]')
"""Octets that cannot stand in the response code, the backslash and the closing bracket among them."""


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """
    A message, or some octets of one.

    :ivar uid_validity: None where none is asked for.
    :ivar section: with where it begins and how many octets it has at most.
    """

    mailbox: str
    uid_validity: int | None
    uid: int
    section: Section


def parse_url(url: bytes) -> MessageUrl:
    """
    Read a URL.

    :raises Malformed: it is no absolute path to a message or a part of one.
    """
    found = _PATH.fullmatch(_without_dots(url)) if len(url) <= MAX_URL else None
    if found is None:
        raise Malformed("not the URL of a message")
    try:
        mailbox = unquote_to_bytes(found["mailbox"]).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("mailbox in the URL is not UTF-8") from None
    offset = int(found["offset"] or 0)
    section = _section(unquote_to_bytes(found["section"] or b""), offset, found["length"])
    validity = None if found["validity"] is None else _positive(found["validity"])
    return MessageUrl(mailbox, validity, _positive(found["uid"]), section)


def printable(url: bytes) -> bytes:
    """A URL as it may stand in a response code: what cannot is percent-encoded."""
    return _UNSAFE.sub(lambda octet: b"%%%02X" % octet[0][0], url[:MAX_URL])


def _section(spec: bytes, offset: int, length: bytes | None) -> Section:
    reader = Reader(b"[" + spec + b"]")
    section = read_section(reader, peek=True)
    reader.end()
    most = None if length is None else _positive(length)
    return Section(
        section.label, section.numbers, section.what, section.fields, section.exclude, offset, most, peek=True
    )


def _positive(digits: bytes) -> int:
    value = int(digits)
    if not 0 < value <= MAX_NUMBER:
        raise Malformed("number in the URL is out of range")
    return value


def _without_dots(path: bytes) -> bytes:
    """The path without its dot segments.  RFC 3986 section 5.2.4."""
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    *segments, last = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if last == b"..":
        del kept[-1:]
    return b"/" + b"/".join([*kept, b"" if last in (b".", b"..") else last])
