"""A throw-away certificate for TLS in memory, made once for each world that asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import ssl

from launcelot.hosting.tls import server_options
from launcelot.testing.faults import Act

ELSEWHERE = "elsewhere.invalid"
"""Whom a certificate with the wrong name is for."""


class Certificates:
    """
    A self-signed certificate for some names and numeric addresses.

    :ivar server: what a server's TLS layer takes.
    """

    def __init__(self, *names: str, expired: bool = False) -> None:
        self._names = names
        self._signer = Signer(ec.generate_private_key(ec.SECP256R1()), _subject(names[0]))
        self.certificate, self.key = _certificate(names, self._signer.key, self._signer, expired, True)
        self.server: Any = server_options(self.certificate, self.key)

    def faulty(self, act: Act) -> Any:
        """
        What a server's TLS layer takes whose certificate has a fault.

        :param act: ``EXPIRED`` and ``WRONG_NAME``: signed with the certificate that clients trust; ``UNTRUSTED``: with its own.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        signer = Signer(key, _subject(self._names[0])) if act is Act.UNTRUSTED else self._signer
        names = (ELSEWHERE,) if act is Act.WRONG_NAME else self._names
        return server_options(*_certificate(names, key, signer, act is Act.EXPIRED))

    def client(self, hostname: str) -> Any:
        """What a client's TLS layer takes that trusts this certificate and wants it to be for ``hostname``."""
        return ssl.optionsForClientTLS(hostname, trustRoot=ssl.Certificate.loadPEM(self.certificate))


@dataclass(frozen=True)
class Signer:
    """Who signs a certificate."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    names: Sequence[str], key: ec.EllipticCurvePrivateKey, signer: Signer, expired: bool, authority: bool = False
) -> tuple[bytes, bytes]:
    """A certificate and its key, as PEM."""
    # One that is signed by another has another name than that, or it would be taken for signed by itself.
    ends = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_subject(names[0] if authority else f"a faulty {names[0]}"))
        .issuer_name(signer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=2))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(signer.key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(encoding), private


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
