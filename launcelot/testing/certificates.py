"""A throw-away certificate for TLS in memory, made once for each world that asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import ssl


class Certificates:
    """
    A self-signed certificate for some names and numeric addresses.

    :ivar server: what a server's TLS layer takes.
    """

    def __init__(self, *names: str, expired: bool = False) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        ends = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - timedelta(days=2))
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.server: Any = ssl.PrivateCertificate.loadPEM(self.certificate + self.key).options()

    def client(self, hostname: str) -> Any:
        """What a client's TLS layer takes that trusts this certificate and wants it to be for ``hostname``."""
        return ssl.optionsForClientTLS(hostname, trustRoot=ssl.Certificate.loadPEM(self.certificate))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
