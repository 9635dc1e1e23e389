"""
Channel bindings: octets that both ends of one TLS connection know and nobody between two connections does.  RFC 5056, RFC 5929.

``tls-exporter`` (RFC 9266) in TLS 1.3, and ``tls-server-end-point`` (RFC 5929 section 4) in every version: the digest of the
server's certificate, which is weaker, as it only notices a peer in the middle who has another certificate.

Left out: ``tls-unique``.  It is not defined for TLS 1.3; in TLS 1.2 it is broken without the extended master secret (RFC 7627),
and which of the two Finished messages it is depends on whether the session was resumed, neither of which pyOpenSSL tells.
"""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from OpenSSL import SSL
from twisted.protocols.tls import TLSMemoryBIOProtocol

from launcelot.hosting.deflate import Deflated

EXPORTER: Final = "tls-exporter"
END_POINT: Final = "tls-server-end-point"

LABEL: Final = b"EXPORTER-Channel-Binding"
"""RFC 9266 section 2."""

EXPORTED: Final = 32
"""Octets."""


def channel_binding(transport: Any, kind: str, server: bool = True) -> bytes | None:
    """
    The octets of a channel binding; None where the connection has none of that name.

    :param transport: a protocol's; anything without TLS has none.
    :param server: whether we are the server, whose certificate it is.
    """
    while isinstance(transport, Deflated):
        transport = transport.transport
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return None
    connection = transport.getHandle()
    if kind == EXPORTER and connection.get_protocol_version_name() == "TLSv1.3":
        return _exported(connection)
    if kind == END_POINT:
        return _end_point(connection, server)
    return None


def best_binding(transport: Any) -> tuple[str, bytes] | None:
    """The strongest that a client can use, by name and octets; None without TLS."""
    for kind in (EXPORTER, END_POINT):
        octets = channel_binding(transport, kind, server=False)
        if octets is not None:
            return kind, octets
    return None


def _exported(connection: Any) -> bytes | None:
    try:
        octets: bytes = connection.export_keying_material(LABEL, EXPORTED)
    except SSL.Error:
        # The handshake has not got so far.
        return None
    return octets


def _end_point(connection: Any, server: bool) -> bytes | None:
    """RFC 5929 section 4.1: MD5 and SHA-1 give way to SHA-256; a signature without a hash of its own defines none."""
    held = connection.get_certificate() if server else connection.get_peer_certificate()
    if held is None:
        return None
    certificate = held.to_cryptography()
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        return None
    if isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate.public_bytes(serialization.Encoding.DER))
    return digest.finalize()
