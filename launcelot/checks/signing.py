"""
Signing mail of our own.  RFC 6376, with the algorithms of RFC 8301 and RFC 8463.

Signed is what accounts submit, and what the daemon itself writes: notices, and answers of Sieve scripts.  Mail of strangers is
never signed, whatever its From says, nor is what a script sends on.  Who signs is the domain in From, with every key it has.

Fields that people read, and those that say how a body is to be read, are *oversigned*: named once more than they are there, so
that none can be added (RFC 6376 section 8.15).  Both forms are relaxed, and the whole body is signed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from launcelot.checks.dmarc import author_domain
from launcelot.checks.keys import KeyFolder, SigningKey
from launcelot.checks.spf import is_domain
from launcelot.core.settings import setting
from launcelot.message.canonical import canonical_body, signed_header
from launcelot.message.headers import MAX_HEADER, Buffer, fields, find_header_end
from launcelot.message.trace import fold
from launcelot.workers.interface import Workers
from launcelot.workers.staging import Staged, Staging

OVERSIGNED = (
    b"from", b"reply-to", b"to", b"cc", b"subject", b"date", b"message-id", b"in-reply-to", b"references",
    b"mime-version", b"content-type", b"content-transfer-encoding",
)  # fmt: skip
"""RFC 6376 section 5.4.1, and what says how the body is to be read."""

SIGNED = (
    b"sender", b"resent-from", b"resent-to", b"resent-cc", b"resent-date", b"resent-message-id", b"resent-sender", b"list-id",
    b"list-unsubscribe", b"list-unsubscribe-post", b"autocrypt",
)  # fmt: skip
"""Signed where they are there; mailing lists on the way may add theirs."""

MOST_NAMES = 200
"""Fields that one signature names; a message with more of them is not signed."""

PIECE = 262_144
LINE = 70
"""Characters of base64 on a line."""

ALGORITHMS = {"rsa": "rsa-sha256", "ed25519": "ed25519-sha256"}


@dataclass(frozen=True)
class SigningSettings:
    """The table ``[dkim]``."""

    sign: bool = setting(
        True,
        "Whether mail that accounts submit, and what the daemon writes itself, is signed with the keys there are for the domain"
        " in From; `launcelot dkim new` makes them. Nobody else's mail is ever signed.",
    )
    folder: str = setting(
        "",
        "Folder of the keys, below it a folder for each domain, in it <selector>.pem for each key."
        " Empty: dkim in the data folder.",
    )
    lifetime: float = setting(
        0.0, "How long a signature says that it is good; 0 for no limit.", unit="seconds", minimum=0, maximum=31_536_000
    )


class Signer:
    """
    Signs.

    :param staging: where a signed message is put together.
    :param aside: where hashing and signing run.
    :param lifetime: seconds that a signature is good for; 0 for ever.
    """

    def __init__(self, keys: KeyFolder, staging: Staging, aside: Workers, lifetime: float = 0.0) -> None:
        self._keys = keys
        self._staging = staging
        self._aside = aside
        self._lifetime = int(lifetime)

    async def signed(self, staged: Staged, now: float) -> Staged:
        """
        A message with its signatures on top, or as it is where there is no key.

        :param staged: this object's from the call on, unless it is given back.
        :param now: wall-clock seconds.
        :raises TryLater: it cannot be written.
        """
        try:
            on_top = await self.signatures(staged.view(), now)
        except BaseException:
            staged.close()
            raise
        if not on_top:
            return staged
        copy = self._staging.begin()
        try:
            whole = staged.view()
            await copy.write(on_top + whole[:PIECE])
            for start in range(PIECE, len(whole), PIECE):
                await copy.write(whole[start : start + PIECE])
        except BaseException:
            copy.close()
            raise
        finally:
            staged.close()
        return copy

    async def signed_octets(self, message: bytes, now: float) -> bytes:
        """A small message of our own with its signatures on top."""
        return await self.signatures(message, now) + message

    async def signatures(self, message: Buffer, now: float) -> bytes:
        """The fields that go on top of a message; none where its domain has no key, or it cannot be signed."""
        end = find_header_end(message)
        if end > MAX_HEADER + PIECE:
            return b""
        head = bytes(message[:end])
        domain = author_domain(head)
        if not is_domain(domain):
            return b""
        keys = self._keys.keys(domain)
        names = names_to_sign(head) if keys else ()
        if not names:
            return b""
        return await self._aside.run(lambda: sign(message, head, keys, names, int(now), self._lifetime))


def names_to_sign(head: bytes) -> Sequence[bytes]:
    """The names for ``h=``, lower-case; none where there are too many."""
    counted: dict[bytes, int] = {}
    for field in fields(head, 0, len(head)):
        name = field.name.strip().lower()
        counted[name] = counted.get(name, 0) + 1
    found: list[bytes] = []
    for name in OVERSIGNED:
        found += [name] * (counted.get(name, 0) + 1)
    for name in SIGNED:
        found += [name] * counted.get(name, 0)
    return found if len(found) <= MOST_NAMES else ()


def sign(
    message: Buffer, head: bytes, keys: Sequence[SigningKey], names: Sequence[bytes], now: int, lifetime: int = 0
) -> bytes:
    """
    One field for each key, with its CRLF; long for a large message.

    :param head: the message's header section, with the empty line.
    :param now: wall-clock seconds; likewise ``lifetime``, 0 for ever.
    """
    digest = hashlib.sha256()
    for piece in canonical_body(message, len(head), True):
        digest.update(piece)
    times = {"t": str(now), **({"x": str(now + lifetime)} if lifetime else {})}
    hashed = base64.b64encode(digest.digest()).decode("ascii")
    return b"".join(_field(head, key, names, times, hashed) for key in keys)


def _field(head: bytes, key: SigningKey, names: Sequence[bytes], times: Mapping[str, str], hashed: str) -> bytes:
    tags = {"v": "1", "a": ALGORITHMS[key.kind], "c": "relaxed/relaxed", "d": key.domain, "s": key.selector, **times}
    words = [f"{name}={value};" for name, value in tags.items()]
    listed = [f"{name.decode('ascii')}:" for name in names]
    words += [f"h={listed[0]}", *listed[1:-1], f"{listed[-1][:-1]};", f"bh={hashed};", "b="]
    unsigned = fold("DKIM-Signature:", words)
    whole = unsigned + head
    own = next(fields(whole, 0, len(whole)))
    code = base64.b64encode(_signature(key, signed_header(whole, names, own, True))).decode("ascii")
    lines = [code[start : start + LINE] for start in range(0, len(code), LINE)]
    return unsigned.removesuffix(b"\r\n") + "\r\n\t".join(["", *lines]).encode("ascii") + b"\r\n"


def _signature(key: SigningKey, data: bytes) -> bytes:
    if isinstance(key.private, RSAPrivateKey):
        return key.private.sign(data, PKCS1v15(), SHA256())
    # RFC 8463 section 3: what is signed is the hash.
    return key.private.sign(hashlib.sha256(data).digest())
