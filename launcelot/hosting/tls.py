"""
TLS contexts: one policy for every server and client.

TLS 1.2 and 1.3; in 1.2 only ECDHE with AES-GCM or ChaCha20-Poly1305; no compression, no renegotiation; sessions are resumed from
tickets whose keys live as long as the context.  A server's pair is read again when its files change; a pair that cannot be
used is logged and the old one stays.

Left out: client certificates, and certificates by server name (SNI): one certificate holds all names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    AcceptableCiphers,
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

CIPHERS = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM:ECDHE+CHACHA20")
"""Of TLS 1.2; the suites of TLS 1.3 are always there."""


_openssl: Any = vars(SSL)["_lib"]
"""The library below pyOpenSSL, for what that has no name for."""

WEB = frozenset({b"h2", b"http/1.1", b"http/1.0"})
"""What browsers offer."""

log = Logger(namespace="launcelot.tls")


class BadCertificate(Exception):
    """A certificate or key that cannot be used; the text names file, cause and remedy in one line."""


def server_options(certificate: bytes, key: bytes, minimum: str = "1.2") -> CertificateOptions:
    """
    What ``TLSMemoryBIOFactory`` takes for a server.

    :param certificate: PEM, the server's certificate first, then those that lead to an authority.
    :param key: PEM, not encrypted.
    :param minimum: the oldest TLS version spoken, ``"1.2"`` or ``"1.3"``.
    :raises ValueError: one of them is not what it should be, or they do not belong together.
    """
    # pyOpenSSL deprecates its own wrappers in favour of cryptography's objects; Twisted's types have not followed yet.
    chain: Any = x509.load_pem_x509_certificates(certificate)
    options = CertificateOptions(
        privateKey=_private_key(key),
        certificate=chain[0],
        extraCertChain=chain[1:],
        acceptableCiphers=CIPHERS,
        insecurelyLowerMinimumTo={"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}[minimum],
        enableSessions=True,
        enableSessionTickets=True,
    )
    try:
        prepare(options.getContext())
    except SSL.Error:
        raise ValueError("certificate and key do not belong together") from None
    return options


def failure_of(reason: Failure) -> str:
    """
    What OpenSSL says of TLS that could not be spoken, in its own words; empty where something else ended the connection.

    A peer's alert is among them: ``tlsv1 alert unknown ca`` is one that does not trust our certificate.
    """
    error = reason.value
    if not isinstance(error, SSL.Error) or not error.args or not isinstance(error.args[0], list):
        return ""
    return "; ".join(str(words[-1]) for words in error.args[0])


def own_sessions(options: CertificateOptions) -> CertificateOptions:
    """
    The same certificate and policy with sessions of its own: only who was given one of them can resume it.

    Costs about a millisecond and 15 KiB.
    """
    own: CertificateOptions = object.__new__(type(options))
    vars(own).update(vars(options), _context=None)
    own.enableSessions = True
    prepare(own.getContext())
    return own


def prepare(context: SSL.Context) -> None:
    """What a server's context has beyond Twisted's."""
    context.set_options(SSL.OP_NO_RENEGOTIATION)
    # Twisted's own choice ends every handshake in which a client offers names that it was not told of.
    context.set_alpn_select_callback(choose_protocol)


def choose_protocol(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
    """
    The protocol that a session speaks (ALPN, RFC 7301), by :attr:`launcelot.hosting.server.ServerStream.alpn`.

    Names that we do not know are left aside, as by servers without ALPN, because mail has several in use.  Who speaks to the web
    only is refused where there is none, so that nobody has a browser take what we say for a web server's.
    """
    session = getattr(connection.get_app_data(), "wrappedProtocol", None)
    for name in getattr(session, "alpn", ()):
        if name in offered:
            return name
    # Of no octets, it is nothing a handshake could go on with.
    return b"" if offered and WEB.issuperset(offered) else SSL.NO_OVERLAPPING_PROTOCOLS


def was_resumed(layer: Any) -> bool:
    """
    Whether the handshake of a TLS layer resumed a session.

    :param layer: a ``TLSMemoryBIOProtocol`` whose handshake is complete.
    """
    return bool(_openssl.SSL_session_reused(layer.getHandle()._ssl))


def _private_key(pem: bytes) -> Any:
    try:
        return serialization.load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("the key is encrypted") from None


class ServerTls:
    """
    The server's context, from two files; call it for every new connection.

    :param certificate: PEM with the chain; :param key: PEM, not encrypted; the two may be one file.
    :param now: aware wall-clock time, for expiry.
    :raises BadCertificate: they cannot be used.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        minimum: str = "1.2",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.certificate = certificate
        self.key = key
        self._minimum = minimum
        self._now = now
        self._seen = self._signature()
        self._options = self._load()

    def __call__(self) -> CertificateOptions:
        """The context, read anew if a file has changed since."""
        signature = self._signature()
        if signature != self._seen:
            self._seen = signature
            try:
                self._options = self._load()
            except BadCertificate as bad:
                log.error("keeping the old certificate: {reason}", reason=str(bad))
            else:
                log.info("new certificate read from {path}", path=str(self.certificate))
        return self._options

    def is_as(self, other: ServerTls) -> bool:
        """Whether the other was read from the same state of the same files."""
        return (self.certificate, self.key, self._seen) == (other.certificate, other.key, other._seen)

    @property
    def expires(self) -> datetime:
        """When the certificate that is used ends."""
        return self._expires

    def _signature(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stamp(path) for path in (self.certificate, self.key))

    def _load(self) -> CertificateOptions:
        chain = _read(self.certificate, "certificate")
        key = _read(self.key, "key")
        expires = self._check_dates(chain)
        try:
            options = server_options(chain, key, self._minimum)
        except ValueError as error:
            raise BadCertificate(f"{self.key}: {_why(error)}; {_REMEDY}") from error
        self._expires = expires
        return options

    def _check_dates(self, chain: bytes) -> datetime:
        try:
            certificate = x509.load_pem_x509_certificates(chain)[0]
        except ValueError as error:
            raise BadCertificate(f"{self.certificate}: not a PEM certificate; {_REMEDY}") from error
        now = self._now()
        if certificate.not_valid_after_utc <= now:
            ended = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            raise BadCertificate(f"{self.certificate}: expired on {ended}; renew it")
        if certificate.not_valid_before_utc > now:
            begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            raise BadCertificate(f"{self.certificate}: not valid before {begins}; check this machine's clock")
        return certificate.not_valid_after_utc


_REMEDY = "give a PEM certificate with its chain and its unencrypted PEM key, or remove both settings to have one made"


def _why(error: ValueError) -> str:
    known = ("certificate and key do not belong together", "the key is encrypted")
    return str(error) if str(error) in known else "not a PEM private key"


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadCertificate(f"{path}: cannot read the {what}: {error.strerror}; check path and permissions") from error


def client_tls(hostname: str, ca_file: Path | None = None) -> IOpenSSLClientConnectionCreator:
    """
    What ``TLSMemoryBIOFactory`` takes for a client: it verifies the peer's certificate and name.

    :param hostname: name or numeric address the certificate must hold.
    :param ca_file: PEM of the authorities to trust; None for those of the system.
    :raises BadCertificate: the file cannot be read or holds no certificate.
    """
    trust: Any = platformTrust()
    if ca_file is not None:
        try:
            authorities = x509.load_pem_x509_certificates(_read(ca_file, "authority's certificate"))
        except ValueError as error:
            raise BadCertificate(f"{ca_file}: not a PEM certificate; give the ca.pem of the server") from error
        trust = trustRootFromCertificates([Certificate(X509.from_cryptography(one)) for one in authorities])
    return optionsForClientTLS(hostname, trustRoot=trust, extraCertificateOptions={"acceptableCiphers": CIPHERS})
