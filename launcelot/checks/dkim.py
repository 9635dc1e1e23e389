"""
Verifying signatures of mail.  RFC 6376, with the algorithms of RFC 8301 and RFC 8463.

At most :data:`MOST` signatures are looked at, from the top; hashing and verifying run aside.  A signature that covers less than
the whole body (``l=``) is not believed: what stands behind is anybody's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from launcelot.checks.interface import ACCEPT, Case, Check, Message, Result, Verdict
from launcelot.checks.names import Names, NoAnswer, NoSuchName
from launcelot.checks.spf import is_domain
from launcelot.message.canonical import BadTags, canonical_body, parse_tags, signed_header, without_blanks
from launcelot.message.headers import Field, fields
from launcelot.workers.interface import Workers

MOST = 8
LEAST_BITS, MOST_BITS = 1_024, 8_192
"""Of RSA keys.  RFC 8301 section 3.2; and what verifying may cost."""

SKEW = 300
"""Seconds by which a signature may come from the future."""

_ALGORITHMS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
_NUMBER = re.compile(r"[0-9]{1,12}")


class Unusable(Exception):
    """
    A signature that says nothing.

    :ivar value: the result in RFC 8601's words.
    """

    def __init__(self, value: str, reason: str) -> None:
        super().__init__(reason)
        self.value = value


@dataclass(frozen=True, slots=True)
class Signature:
    """
    One DKIM-Signature field.

    :ivar names: of the fields that are signed, lower-case.
    """

    field: Field
    algorithm: str
    signature: bytes
    body_hash: bytes
    relaxed_header: bool
    relaxed_body: bool
    domain: str
    selector: str
    identity: str
    names: Sequence[bytes]


Key = RSAPublicKey | Ed25519PublicKey


def parse_signature(head: bytes, field: Field, now: float) -> Signature:
    """
    A signature that could be verified.  RFC 6376 section 6.1.1.

    :raises Unusable: it could not.
    """
    try:
        tags = parse_tags(head[field.value_start : field.value_end].decode("ascii"))
        found = _signature(field, tags)
        signature, body_hash = (base64.b64decode(without_blanks(tags[one]), validate=True) for one in ("b", "bh"))
    except (BadTags, KeyError, UnicodeDecodeError, binascii.Error, ValueError) as error:
        raise Unusable("permerror", "malformed") from error
    if found.algorithm not in _ALGORITHMS:
        raise Unusable("policy" if found.algorithm == "rsa-sha1" else "permerror", "algorithm")
    if b"from" not in found.names:
        raise Unusable("permerror", "From is not signed")
    if found.identity != found.domain and not found.identity.endswith(f".{found.domain}"):
        raise Unusable("permerror", "i= is not within d=")
    if "l" in tags:
        raise Unusable("policy", "l= leaves room for anything")
    _check_times(tags, now)
    return Signature(
        field, found.algorithm, signature, body_hash, found.relaxed_header, found.relaxed_body, found.domain, found.selector,
        found.identity, found.names,
    )  # fmt: skip


def _signature(field: Field, tags: Mapping[str, str]) -> Signature:
    """
    What the tags say, as far as words go.

    :raises ValueError: they are wrong.
    :raises KeyError: one is missing.
    """
    header, _, body = tags.get("c", "simple/simple").lower().partition("/")
    domain, selector = tags["d"].lower(), tags["s"].lower()
    ways = {"simple", "relaxed"}
    if tags["v"] != "1" or header not in ways or (body or "simple") not in ways:
        raise ValueError("v or c")
    if not is_domain(domain) or not is_domain(f"{selector}._domainkey.{domain}"):
        raise ValueError("d or s")
    if "dns/txt" not in tags.get("q", "dns/txt").lower().split(":"):
        raise ValueError("q")
    identity = tags.get("i", f"@{domain}").rpartition("@")[2].lower()
    names = [one.strip().lower().encode("ascii") for one in tags["h"].split(":")]
    return Signature(
        field, tags["a"].lower(), b"", b"", header == "relaxed", body == "relaxed", domain, selector, identity, names
    )


def _check_times(tags: Mapping[str, str], now: float) -> None:
    """
    Section 3.5, ``t`` and ``x``.

    :raises Unusable: it is not valid now.
    """
    for name in ("t", "x"):
        if name in tags and _NUMBER.fullmatch(tags[name]) is None:
            raise Unusable("permerror", name)
    if "x" in tags and int(tags["x"]) < now:
        raise Unusable("fail", "expired")
    if "t" in tags and int(tags["t"]) > now + SKEW:
        raise Unusable("permerror", "from the future")


def parse_key(record: bytes, signature: Signature) -> Key:
    """
    The key of a record.  RFC 6376 section 3.6.1.

    :raises Unusable: it is none, is revoked, or is not for this.
    """
    try:
        tags = parse_tags(record.decode("ascii"))
        kind = tags.get("k", "rsa").lower()
        if tags.get("v", "DKIM1") != "DKIM1" or kind != _ALGORITHMS[signature.algorithm]:
            raise Unusable("permerror", "key is of another kind")
        if "sha256" not in [one.strip() for one in tags.get("h", "sha256").lower().split(":")]:
            raise Unusable("permerror", "key is for another hash")
        if not {"*", "email"} & {one.strip() for one in tags.get("s", "*").lower().split(":")}:
            raise Unusable("permerror", "key is not for mail")
        if "s" in tags.get("t", "").lower().split(":") and signature.identity != signature.domain:
            raise Unusable("permerror", "key is not for names below")
        octets = base64.b64decode(without_blanks(tags["p"]), validate=True)
        if not octets:
            raise Unusable("permerror", "key is revoked")
        if kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(octets)
        key = load_der_public_key(octets)
    except (BadTags, KeyError, UnicodeDecodeError, ValueError, UnsupportedAlgorithm) as error:
        raise Unusable("permerror", "key is malformed") from error
    if not isinstance(key, RSAPublicKey) or key.key_size > MOST_BITS:
        raise Unusable("permerror", "key is malformed")
    if key.key_size < LEAST_BITS:
        raise Unusable("policy", "key is too short")
    return key


def verify(message: Message, signature: Signature, key: Key) -> str:
    """Whether a signature is right: ``"pass"`` or ``"fail"``; long for a large message."""
    digest = hashlib.sha256()
    for piece in canonical_body(message.buffer, message.body, signature.relaxed_body):
        digest.update(piece)
    if digest.digest() != signature.body_hash:
        return "fail"
    data = signed_header(message.head, signature.names, signature.field, signature.relaxed_header)
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature.signature, data, PKCS1v15(), SHA256())
        else:
            key.verify(signature.signature, hashlib.sha256(data).digest())
    except InvalidSignature:
        return "fail"
    return "pass"


class Dkim(Check):
    """
    Verifies signatures and notes what they are worth; it refuses nothing, as RFC 6376 section 6.3 advises.

    :param aside: where hashing and verifying run.
    """

    name = "dkim"

    def __init__(self, names: Names, aside: Workers) -> None:
        self._names = names
        self._aside = aside

    async def message(self, case: Case, message: Message) -> Verdict:
        """Verify."""
        head = message.head
        found = [one for one in fields(head, 0, len(head)) if one.name.strip().lower() == b"dkim-signature"]
        for field in found[:MOST]:
            case.results.append(await self._result(case, message, field))
        if not found:
            case.results.append(Result("dkim", "none"))
        return ACCEPT

    async def _result(self, case: Case, message: Message, field: Field) -> Result:
        properties: tuple[tuple[str, str], ...] = ()
        try:
            signature = parse_signature(message.head, field, case.now)
            code = base64.b64encode(signature.signature).decode("ascii")[:8]
            properties = (("header.d", signature.domain), ("header.s", signature.selector), ("header.b", code))
            key = parse_key(await self._record(signature), signature)
            value = await self._aside.run(lambda: verify(message, signature, key))
        except Unusable as unusable:
            return Result("dkim", unusable.value, properties, str(unusable))
        return Result("dkim", value, properties)

    async def _record(self, signature: Signature) -> bytes:
        try:
            found = await self._names.texts(f"{signature.selector}._domainkey.{signature.domain}")
        except NoSuchName:
            found = []
        except NoAnswer:
            raise Unusable("temperror", "key cannot be had now") from None
        if len(found) != 1:
            raise Unusable("permerror", "no key")
        return found[0]
