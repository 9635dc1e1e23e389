"""
OAUTHBEARER's messages: a token in, and the one error that a server tells.  RFC 7628, with the GS2 header of RFC 5801 section 4.

A bearer token is as good as a password to whoever reads it, so the mechanism is for TLS alone (RFC 7628 section 5); channel
bindings are not part of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from launcelot.core.sasl import SaslError

NAME = b"OAUTHBEARER"

SEPARATOR = b"\x01"
"""``kvsep``; alone, it is the client's answer to an error.  RFC 7628 section 3.1."""

MAX_TOKEN = 8_192
"""Octets of a token."""

_HEADER = re.compile(rb"[ny],(?:a=([^,\0]{0,1024}))?,")
_NAME = re.compile(rb"(?:[^=]|=2C|=3D)*")
_PAIR = re.compile(rb"([A-Za-z]{1,32})=([\x09\x0a\x0d\x20-\x7e]*)")
_BEARER = re.compile(rb"(?i:bearer) ([A-Za-z0-9._~+/-]+=*)")
"""``b64token`` of RFC 6750 section 2.1."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """
    What a client says.

    :ivar authorize: the identity to act as, or empty.
    """

    token: str = field(repr=False)
    authorize: str = ""


def parse(response: bytes) -> Bearer:
    """
    The client's first message.

    :raises SaslError: it is none, or brings no bearer token.
    """
    header = _HEADER.match(response)
    if header is None:
        raise SaslError("no GS2 header")
    given = header[1] or b""
    parts = response[header.end() :].split(SEPARATOR)
    if parts[0] or len(parts) < 3 or parts[-2:] != [b"", b""] or _NAME.fullmatch(given) is None:
        raise SaslError("OAUTHBEARER message is malformed")
    pairs = [_PAIR.fullmatch(one) for one in parts[1:-2]]
    found = {one[1].lower(): one[2] for one in pairs if one is not None}
    if None in pairs or len(found) != len(pairs):
        raise SaslError("OAUTHBEARER message is malformed")
    bearer = _BEARER.fullmatch(found.get(b"auth", b""))
    if bearer is None or len(bearer[1]) > MAX_TOKEN:
        raise SaslError("no bearer token")
    try:
        name = given.replace(b"=2C", b",").replace(b"=3D", b"=").decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("name is not UTF-8") from None
    return Bearer(bearer[1].decode("ascii"), name)


def refusal(scope: str = "", discovery: str = "") -> bytes:
    """
    What a client is told whose token is not taken.  RFC 7628 section 3.2.2.

    :param discovery: where the authority describes itself (OpenID Connect Discovery).
    """
    said = {"status": "invalid_token", "scope": scope, "openid-configuration": discovery}
    return json.dumps({name: value for name, value in said.items() if value}, separators=(",", ":")).encode()
