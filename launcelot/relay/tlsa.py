"""
TLSA records: what a certificate is held against instead of an authority.  RFC 6698 section 2, RFC 7671.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DANE_TA, DANE_EE = 2, 3
"""Usages that count for mail: an authority that is named, a server's certificate that is named.  RFC 7672 section 3.1."""

WHOLE, KEY = 0, 1
"""Selectors: the certificate, or its key only."""

EXACT, SHA256, SHA512 = 0, 1, 2
"""Matching types."""


@dataclass(frozen=True, slots=True)
class Tlsa:
    """
    One record.

    :ivar data: what is compared, as ``matching`` says.
    """

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def is_usable(self) -> bool:
        """Whether it says something that can be checked in mail.  RFC 7672 sections 3.1 and 3.1.3."""
        length = {EXACT: len(self.data), SHA256: 32, SHA512: 64}.get(self.matching)
        return self.usage in (DANE_TA, DANE_EE) and self.selector in (WHOLE, KEY) and length == len(self.data) > 0

    def fits(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is the one that is meant; the usage is the caller's business."""
        return digested(selected(certificate, self.selector), self.matching) == self.data

    def __str__(self) -> str:
        """As a zone file has it."""
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


def selected(certificate: x509.Certificate, selector: int) -> bytes:
    """The octets that a selector means, as DER."""
    if selector == KEY:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_bytes(Encoding.DER)


def digested(octets: bytes, matching: int) -> bytes:
    """The octets as a matching type compares them."""
    if matching == EXACT:
        return octets
    return (hashlib.sha256 if matching == SHA256 else hashlib.sha512)(octets).digest()


def read_tlsa(octets: bytes) -> Tlsa | None:
    """A record's octets; None where they are too few."""
    return Tlsa(octets[0], octets[1], octets[2], octets[3:]) if len(octets) >= 3 else None


def usable(records: Sequence[bytes]) -> Sequence[Tlsa]:
    """Of a name's records those that can be checked."""
    return [one for one in map(read_tlsa, records) if one is not None and one.is_usable]


def record_of(certificate: x509.Certificate, usage: int, selector: int) -> Tlsa:
    """The record of a certificate, with SHA-256, as RFC 7672 section 3.1.3 wants it."""
    return Tlsa(usage, selector, SHA256, digested(selected(certificate, selector), SHA256))
