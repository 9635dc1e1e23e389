"""
A private certificate authority and the server certificate it signs, for daemons without one from elsewhere.

ECDSA on P-256: a handshake costs a third less than with RSA-2048, and every client of the last ten years knows it.
Both certificates carry what strict verifiers ask for (RFC 5280 section 4.2: key identifiers, key usage, basic
constraints), and the server's names are in its subjectAltName only (RFC 9525 section 2).  Key files are mode 0600 and appear
whole or not at all.

Left out: name constraints (the names change with the configuration, the authority should not), revocation lists.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3_650
SERVER_DAYS = 397
"""What browsers accept at most of a public authority; a private one may as well keep to it."""

RENEW_DAYS = 30
SKEW = timedelta(hours=1)
"""How far a peer's clock may be behind ours when it first meets a certificate."""

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Pair:
    """
    A certificate and its key as PEM.

    :ivar certificate: the certificate, and behind it those that lead to the authority.
    """

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a daemon's certificates are."""

    authority: Path
    certificate: Path
    key: Path


def make_authority(now: datetime, days: int = AUTHORITY_DAYS) -> Pair:
    """
    A new authority that may sign servers only directly.

    :param now: aware time; validity begins an hour before.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    number = secrets.token_hex(4)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Launcelot"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Launcelot private authority {number}"),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key, now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_pem(key))


def issue(authority: Pair, names: Iterable[str], now: datetime, days: int = SERVER_DAYS) -> Pair:
    """
    A new key and a certificate for a server.

    :param names: host names and numeric addresses; the first host name is also its common name.  Names that cannot stand in
        a certificate are left out.
    """
    signer = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic-curve one")
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = general_names(names)
    common = next((one.value for one in alternatives if isinstance(one, x509.DNSName)), "launcelot")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(subject, issuer.subject, key, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return Pair(_pem(certificate) + authority.certificate, _key_pem(key))


def ensure(folder: Path, names: Iterable[str], now: datetime) -> CertificateFiles:
    """
    The certificates in a folder, made or renewed where they are missing, damaged, about to expire or lack a name.

    The server's certificate is renewed :data:`RENEW_DAYS` before it expires; the authority only when it is unusable or could
    not outlive a new server certificate, because people have to trust it anew.

    :param folder: made with mode 0700 if it does not exist.
    :raises OSError: it cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = CertificateFiles(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority = _read_pair(files.authority, folder / "ca.key")
    if authority is None or _expires(authority) < now + timedelta(days=SERVER_DAYS):
        authority = make_authority(now)
        write_file(folder / "ca.key", authority.key, 0o600)
        write_file(files.authority, authority.certificate, 0o644)
    wanted = tuple(names)
    if not _serves(_read_pair(files.certificate, files.key), authority, wanted, now):
        server = issue(authority, wanted, now)
        write_file(files.key, server.key, 0o600)
        write_file(files.certificate, server.certificate, 0o644)
    return files


def server_names(*configured: str) -> tuple[str, ...]:
    """The names a server of this machine should be known under: the configured ones, its own, and the loopback ones."""
    names = (*configured, socket.gethostname(), *LOCAL_NAMES)
    return tuple(dict.fromkeys(name for name in names if name))


def general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    """Names and numeric addresses as a certificate holds them; impossible ones are left out, double ones too."""
    found: dict[x509.GeneralName, None] = {}
    for name in names:
        try:
            found[x509.IPAddress(ipaddress.ip_address(name))] = None
        except ValueError:
            text = name.rstrip(".").lower()
            if text and len(text) <= 253 and _is_host_name(text):
                found[x509.DNSName(text)] = None
    return list(found)


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Put ``data`` in place of what is there, durably and in one step; nobody else can read it before it has its mode."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(staged, path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def _is_host_name(text: str) -> bool:
    labels = text.split(".")
    return all(
        0 < len(label) <= 63
        and label.isascii()
        and label.replace("-", "").replace("_", "").isalnum()
        and not label.startswith("-")
        and not label.endswith("-")
        for label in labels
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_pair(certificate: Path, key: Path) -> Pair | None:
    """What is there if both files are there, readable and belong together."""
    try:
        pair = Pair(certificate.read_bytes(), key.read_bytes())
        private = serialization.load_pem_private_key(pair.key, None)
        first = x509.load_pem_x509_certificate(pair.certificate)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return pair if private.public_key() == first.public_key() else None


def _expires(pair: Pair) -> datetime:
    return x509.load_pem_x509_certificate(pair.certificate).not_valid_after_utc


def _serves(pair: Pair | None, authority: Pair, names: tuple[str, ...], now: datetime) -> bool:
    if pair is None:
        return False
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
        held = set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature):
        return False
    return held >= set(general_names(names)) and certificate.not_valid_after_utc >= now + timedelta(days=RENEW_DAYS)
