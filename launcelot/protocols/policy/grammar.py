"""
As much of HTTP/1.1 as it takes to hand out one small file, and the file itself.  RFC 9112, RFC 8461 section 3.2.

A request is its first line and its fields up to an empty line.  Bodies are not read: each connection has one request and ends
behind its answer.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PATH = "/.well-known/mta-sts.txt"
HOST = "mta-sts."
"""In front of a domain it is the host that has its policy.  RFC 8461 section 3.3."""

LINE = 4_096
"""Octets of the first line, and of one field."""

FIELDS = 100
"""Fields of one request."""

_FIRST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP/([0-9])\.([0-9])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_TARGET = re.compile(r"(?:https?://([^/?#@]*))?(/[^?#]*)(?:\?.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]{1,255}?)\.?(?::[0-9]{0,5})?")

REASONS: Mapping[int, str] = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    414: "URI Too Long",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class BadRequest(Exception):
    """
    A request that is none.

    :ivar code: that says so.
    """

    def __init__(self, code: int = 400) -> None:
        super().__init__(REASONS[code])
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """
    What somebody wants.

    :ivar host: lower-case, without a port; empty where none is named.
    """

    method: str
    host: str
    path: str


def parse_request(first: bytes, fields: Sequence[bytes]) -> Request:
    """
    Read a request.  RFC 9112 sections 3 and 5.

    :raises BadRequest: it is none.
    """
    match = _FIRST.fullmatch(first)
    if match is None:
        raise BadRequest
    if match[3] != b"1":
        raise BadRequest(505)
    target = _TARGET.fullmatch(match[2].decode("ascii"))
    if target is None:
        raise BadRequest
    hosts = []
    for line in fields:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadRequest
        if field[1].lower() == b"host":
            hosts.append(field[2].rstrip(b" \t").decode("latin-1"))
    # RFC 9112 section 3.2: one, in HTTP/1.1.
    if len(hosts) > 1 or (not hosts and match[4] != b"0"):
        raise BadRequest
    named = target[1] if target[1] is not None else "".join(hosts)
    authority = _AUTHORITY.fullmatch(named)
    if named and authority is None:
        raise BadRequest
    return Request(match[1].decode("ascii"), authority[1].lower() if authority is not None else "", target[2])


def answer(code: int, body: bytes = b"", with_body: bool = True, date: str = "") -> bytes:
    """
    An answer that ends its connection.

    :param body: of a 200; others say their reason.
    :param with_body: False for ``HEAD``.
    :param date: as :func:`launcelot.message.dates.format_date` writes it, in UTC.
    """
    content = body if code == 200 else f"{REASONS[code]}\n".encode("ascii")
    lines = [f"HTTP/1.1 {code} {REASONS[code]}", f"Content-Length: {len(content)}", "Content-Type: text/plain; charset=us-ascii"]
    if date:
        lines.append(f"Date: {date.removesuffix('+0000')}GMT")
    if code == 405:
        lines.append("Allow: GET, HEAD")
    head = "".join(f"{line}\r\n" for line in [*lines, "Connection: close", ""]).encode("ascii")
    return head + content if with_body else head


def policy_text(mode: str, hosts: Sequence[str], max_age: int) -> str:
    """
    A policy.  RFC 8461 section 3.2.

    :param hosts: that take mail for the domain; with mode ``none`` they are left out.
    :param max_age: seconds.
    """
    named = [] if mode == "none" else [f"mx: {one}" for one in hosts]
    return "".join(f"{line}\r\n" for line in ["version: STSv1", f"mode: {mode}", *named, f"max_age: {max_age}"])
