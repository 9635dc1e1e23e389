"""
TLS with whom the DNS names by signed TLSA records: DANE.  RFC 6698, RFC 7671, RFC 7672 section 3.

With usage 3 the server's own certificate or key must be the one that is named; its names and dates do not matter.  With usage 2
an authority is named: the server has to send it, and its own certificate must lead to it, be valid, and be for a name that is
expected.

Left out: an authority of usage 2 of which only the bare key is published (``2 1 0``) and which the server does not send.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags
from OpenSSL.crypto import Error as CryptoError
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from launcelot.hosting.tls import CIPHERS
from launcelot.relay.tlsa import DANE_EE, DANE_TA, EXACT, WHOLE, Tlsa

_log = Logger(namespace="launcelot.relay")

UNREADABLE = (
    ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, CryptoError,
)  # fmt: skip
"""What certificates raise that OpenSSL has let pass, and nobody understands."""


class NotNamed(Exception):
    """The certificate is none that the records name."""


@implementer(IOpenSSLClientConnectionCreator)
class DaneTls:
    """
    What ``TLSMemoryBIOFactory`` takes for a client.

    :param records: that can be used.
    :param names: one of which a certificate under an authority must be for.
    :ivar shown: the connection has shown a certificate that is right.
    """

    def __init__(self, records: Sequence[Tlsa], names: Sequence[str]) -> None:
        self._records = records
        self._names = names
        self.shown = False

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """A fresh connection, which ends with its handshake unless the certificate is right."""
        context = CertificateOptions(acceptableCiphers=CIPHERS).getContext()
        # The connection has the context, which has the function; it must not have the protocol, which has the connection.
        protocol = weakref.ref(tlsProtocol)

        def look(connection: SSL.Connection, where: int, _: int) -> None:
            ours: Any = protocol()
            if where & SSL.SSL_CB_HANDSHAKE_DONE and ours is not None:
                problem: NotNamed | None = NotNamed("the certificate cannot be read")
                try:
                    with _log.failuresHandled("the certificate of {name} could not be looked at", name=self._names[0]):
                        problem = self._problem(connection)
                finally:
                    # Whatever goes wrong in here OpenSSL does not hear of, and would go on.
                    if problem is not None:
                        ours.failVerification(Failure(problem))

        context.set_info_callback(look)
        connection = SSL.Connection(context, None)
        # RFC 7672 section 8.1: the server may have several certificates.
        connection.set_tlsext_host_name(self._names[0].encode("ascii"))
        return connection

    def _problem(self, connection: SSL.Connection) -> NotNamed | None:
        try:
            verify(connection.get_peer_cert_chain(as_cryptography=True) or [], self._records, self._names)
        except NotNamed as error:
            return error
        except UNREADABLE as error:
            return NotNamed(f"the certificate cannot be read: {error}")
        self.shown = True
        return None


def verify(chain: Sequence[x509.Certificate], records: Sequence[Tlsa], names: Sequence[str]) -> None:
    """
    Whether a server's chain is named by the records.

    :param chain: as it was sent, the server's certificate first.
    :raises NotNamed: it is not; the text says why.
    """
    if not chain:
        raise NotNamed("the server has no certificate")
    server = chain[0]
    if any(one.usage == DANE_EE and one.fits(server) for one in records):
        return
    authorities = authorities_of(chain, [one for one in records if one.usage == DANE_TA])
    if not authorities:
        raise NotNamed("the certificate is none that the TLSA records name")
    if not any(leads_to(chain, one) for one in authorities):
        raise NotNamed("the certificate does not lead to the authority that the TLSA records name, or is not valid now")
    if not any(is_for(server, name) for name in names):
        raise NotNamed(f"the certificate is for none of {', '.join(names)}")


def authorities_of(chain: Sequence[x509.Certificate], records: Sequence[Tlsa]) -> list[x509.Certificate]:
    """The authorities that records name: those of the chain, and those that stand in a record as a whole."""
    alone = [chain[0]] if chain[0].issuer == chain[0].subject else []
    found = [one for one in [*alone, *chain[1:]] if any(record.fits(one) for record in records)]
    for record in records:
        if record.selector == WHOLE and record.matching == EXACT:
            try:
                found.append(x509.load_der_x509_certificate(record.data))
            except ValueError:
                continue
    return found


def leads_to(chain: Sequence[x509.Certificate], authority: x509.Certificate) -> bool:
    """Whether a chain leads from its first certificate to an authority, all of it valid now."""
    store = X509Store()
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    store.add_cert(X509.from_cryptography(authority))
    server, *others = [X509.from_cryptography(one) for one in chain]
    try:
        X509StoreContext(store, server, others).verify_certificate()
    except X509StoreContextError:
        return False
    return True


def is_for(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is for a host name."""
    try:
        verify_certificate_hostname(certificate, name)
    except (VerificationError, CertificateError):
        return False
    return True
