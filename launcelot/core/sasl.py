"""
SASL mechanisms as small machines: responses in, challenges or credentials out.

PLAIN (RFC 4616) and LOGIN (as widely deployed; it was never standardised).  A mechanism never checks a password; it
ends in :class:`Credentials` that the caller hands to the account base.  Names and passwords are UTF-8.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

MAX_RESPONSE = 12_288
"""Octets of base64 text in one response line (RFC 4954 section 4 asks for 12,288)."""

MAX_SECRET = 1_024
"""Octets of a name or a password; longer ones are refused before anything is hashed."""


class SaslError(Exception):
    """The response does not fit the mechanism; the exchange is over."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What to send to the peer, before base64."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password to be checked; ``authorize`` is the identity to act as, or empty."""

    name: str
    password: str = field(repr=False)
    authorize: str = ""


class Mechanism(Protocol):
    """One exchange of one mechanism."""

    def step(self, response: bytes | None) -> Challenge | Credentials:
        """
        Take a response.

        :param response: decoded from base64; None where the client sent no initial response.
        :raises SaslError: the exchange has failed.
        """


def decode_text(data: bytes) -> str:
    """A name or password from the wire; NUL, invalid UTF-8 and more than ``MAX_SECRET`` octets are errors."""
    if len(data) > MAX_SECRET or b"\0" in data:
        raise SaslError("name or password is malformed")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("name or password is not UTF-8") from None


class Plain:
    """PLAIN: ``authzid NUL authcid NUL password`` in one message.  RFC 4616 section 2."""

    def step(self, response: bytes | None) -> Challenge | Credentials:
        """Ask with an empty challenge, or read the one message."""
        if response is None:
            return Challenge(b"")
        parts = response.split(b"\0")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise SaslError("PLAIN message is malformed")
        authorize, name, password = map(decode_text, parts)
        return Credentials(name, password, authorize)


class Login:
    """LOGIN: name, then password, each asked for.  An initial response is taken as the name, as clients send it."""

    def __init__(self) -> None:
        self._name: str | None = None

    def step(self, response: bytes | None) -> Challenge | Credentials:
        """Ask for the name, then for the password."""
        if response is None:
            return Challenge(b"Username:")
        if self._name is None:
            self._name = decode_text(response)
            if not self._name:
                raise SaslError("name is empty")
            return Challenge(b"Password:")
        password = decode_text(response)
        if not password:
            raise SaslError("password is empty")
        return Credentials(self._name, password)


def decode_response(line: bytes) -> bytes:
    """
    Decode one response line.

    :raises SaslError: not canonical base64, or longer than :data:`MAX_RESPONSE`; a lone ``*`` cancels the exchange
        (RFC 4954 section 4, RFC 3501 section 6.2.2).
    """
    if line == b"*":
        raise SaslError("cancelled")
    if len(line) > MAX_RESPONSE:
        raise SaslError("response is too long")
    try:
        data = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise SaslError("response is not base64") from None
    if base64.b64encode(data) != line:
        raise SaslError("response is not canonical base64")
    return data


def decode_initial(argument: bytes) -> bytes:
    """Decode an initial response given with the command, where ``=`` stands for an empty one.  RFC 4954 section 4."""
    return b"" if argument == b"=" else decode_response(argument)


MECHANISMS: Mapping[bytes, type[Plain] | type[Login]] = {b"PLAIN": Plain, b"LOGIN": Login}
