"""
Senders of mail that is passed on, rewritten so that they are of our domain, and back: the sender rewriting scheme (SRS).

The next host asks whether we may send with the sender's domain (SPF), which we may with our own only.  So the sender becomes
``SRS0=hash=day=domain=local@ours``, and what is sent back to that address goes to ``local@domain``, if the hash shows that it was
written here and the day is not too long ago.  One that somebody else has rewritten already becomes ``SRS1=hash=host=...@ours``:
what comes back goes to that host, which knows the rest.  There is no RFC; the form is that of libsrs2 and postsrsd.

Some hosts change the case of what is before the ``@``, so hash and day are read in any.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256

from launcelot.message.address import MAX_LOCAL, Address

HASH = 6
"""Characters of 5 bits; each guess costs a command that is answered."""

DAY = 86_400
DAYS = 1_024
"""Days after which their numbers begin again."""

LIFETIME = 21
"""Days for which an address is good."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
TOKEN = 16

CASE = re.IGNORECASE | re.ASCII
"""A letter that looks like one of ASCII is none."""

_FIRST = re.compile(rf"SRS0[=+-]([a-z2-7]{{{HASH}}})=([a-z2-7]{{2}})=([^=]*)=(.+)", CASE | re.DOTALL)
_SECOND = re.compile(rf"SRS1[=+-]([a-z2-7]{{{HASH}}})=([^=]+)=([=+-].+)", CASE | re.DOTALL)
_FOREIGN_FIRST = re.compile(r"SRS0([=+-].+)", CASE | re.DOTALL)
_FOREIGN_SECOND = re.compile(r"SRS1[=+-][^=]+=([^=]+)=([=+-].+)", CASE | re.DOTALL)
_TOKEN = re.compile(rf"[a-z2-7]{{{TOKEN}}}", CASE)


class NotOurs(Exception):
    """An address that was not rewritten here, or too long ago."""


def rewritten(sender: Address, domain: str, secret: bytes, day: int) -> Address:
    """
    A sender as one of our domain; its local part may be longer than :data:`~launcelot.message.address.MAX_LOCAL`.

    :param day: today, as days since the epoch.
    """
    second = _FOREIGN_SECOND.fullmatch(sender.local)
    first = _FOREIGN_FIRST.fullmatch(sender.local)
    if second is not None or first is not None:
        host, rest = (second[1], second[2]) if second is not None else (sender.domain, first[1] if first is not None else "")
        return Address(f"SRS1={_hash(secret, host, rest)}={host}={rest}", domain)
    return _dated(f"{sender.domain}={sender.local}", domain, secret, day)


def shortened(sender: Address, domain: str, secret: bytes, day: int) -> tuple[Address, str]:
    """A sender whose address is too long, and the token that stands for it; who has the token has to remember the sender."""
    token = _letters(hmac.digest(secret, str(sender).encode(), sha256), TOKEN)
    return _dated(f"={token}", domain, secret, day), token


def _dated(rest: str, domain: str, secret: bytes, day: int) -> Address:
    stamp = LETTERS[day % DAYS // 32] + LETTERS[day % 32]
    return Address(f"SRS0={_hash(secret, stamp, rest)}={stamp}={rest}", domain)


def is_rewritten(address: Address) -> bool:
    """Whether an address looks as if it was, whoever did it."""
    return _FIRST.fullmatch(address.local) is not None or _SECOND.fullmatch(address.local) is not None


def original(address: Address, secrets: Sequence[bytes], day: int) -> Address | str:
    """
    Where what was sent back to an address goes: the sender, or the token that stands for it.

    :param secrets: the present one and older ones.
    :raises NotOurs: nowhere.
    """
    first = _FIRST.fullmatch(address.local)
    if first is not None:
        code, stamp, domain, local = first.groups()
        _check(code, secrets, stamp, f"{domain}={local}")
        then = LETTERS.index(stamp[0].upper()) * 32 + LETTERS.index(stamp[1].upper())
        if (day - then) % DAYS > LIFETIME:
            raise NotOurs("it was rewritten too long ago")
        if not domain:
            if _TOKEN.fullmatch(local) is None:
                raise NotOurs("it has no sender in it")
            return local.upper()
        return Address(local, domain)
    second = _SECOND.fullmatch(address.local)
    if second is None:
        raise NotOurs("it was not rewritten")
    code, host, rest = second.groups()
    _check(code, secrets, host, rest)
    return Address(f"SRS0{rest}", host)


def fits(address: Address) -> bool:
    """Whether every host should take an address."""
    return len(address.local.encode()) <= MAX_LOCAL


def _check(code: str, secrets: Sequence[bytes], *parts: str) -> None:
    if not any(hmac.compare_digest(code.upper(), _hash(secret, *parts)) for secret in secrets):
        raise NotOurs("it was not rewritten here")


def _hash(secret: bytes, *parts: str) -> str:
    return _letters(hmac.digest(secret, "\0".join(parts).lower().encode(), sha256), HASH)


def _letters(digest: bytes, count: int) -> str:
    number = int.from_bytes(digest, "big")
    return "".join(LETTERS[number >> 5 * place & 31] for place in range(count))
