"""TLS contexts, seen by Python's own TLS client over memory BIOs."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from OpenSSL import SSL
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting import certificates
from launcelot.hosting.tls import BadCertificate, ServerTls, client_tls, own_sessions, server_options

NOW = datetime.now(UTC)
AUTHORITY = certificates.make_authority(NOW)
NAMES = ("mail.example.com", "localhost", "127.0.0.1", "::1")
PAIR = certificates.issue(AUTHORITY, NAMES, NOW)


class Visit:
    """
    One connection of a client of the standard library to a server context.

    :ivar client: the client's side after the handshake.
    """

    def __init__(
        self, options: Any, client: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None, speaks: bytes = b""
    ) -> None:
        self._to_client, self._from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self._to_client, self._from_client, server_hostname=name, session=session)
        self.server = SSL.Connection(options.getContext(), None)
        self.server.set_app_data(SimpleNamespace(wrappedProtocol=SimpleNamespace(alpn=(speaks,)) if speaks else None))
        self.server.set_accept_state()
        while not self._shake():
            pass
        self._attempt(lambda: self.server.write(b"x"))
        self._carry()
        self.client.read(1)

    def _shake(self) -> bool:
        done = True
        try:
            self.client.do_handshake()
        except ssl.SSLWantReadError:
            done = False
        self._carry()
        self._attempt(self.server.do_handshake)
        self._carry()
        return done

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except SSL.WantReadError:
            pass

    def _carry(self) -> None:
        octets = self._from_client.read()
        if octets:
            self.server.bio_write(octets)
        try:
            self._to_client.write(self.server.bio_read(65_536))
        except SSL.WantReadError:
            pass


def strict_client(authority: bytes = AUTHORITY.certificate) -> ssl.SSLContext:
    """A client that verifies as strictly as Python can."""
    context = ssl.create_default_context(cadata=authority.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


class PolicyTests(SynchronousTestCase):
    """What a server context speaks."""

    def setUp(self) -> None:
        """A fresh context."""
        self.options = server_options(PAIR.certificate, PAIR.key)

    def test_every_name_verifies_strictly(self) -> None:
        """Each name and address of the certificate is accepted with VERIFY_X509_STRICT."""
        for name in NAMES:
            visit = Visit(self.options, strict_client(), name)
            self.assertEqual("TLSv1.3", visit.client.version())

    def test_other_name_is_refused(self) -> None:
        """Verification is worth something."""
        self.assertRaises(ssl.SSLCertVerificationError, Visit, self.options, strict_client(), "example.com")

    def test_other_authority_is_refused(self) -> None:
        """A stranger's authority does not verify our certificate."""
        other = certificates.make_authority(NOW).certificate
        self.assertRaises(ssl.SSLCertVerificationError, Visit, self.options, strict_client(other), "localhost")

    def test_tls_1_2_is_spoken(self) -> None:
        """With an ECDHE suite and AEAD."""
        client = strict_client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        visit = Visit(self.options, client, "localhost")
        cipher = visit.client.cipher()
        assert cipher is not None
        self.assertEqual("TLSv1.2", visit.client.version())
        self.assertRegex(cipher[0], "^ECDHE-ECDSA-.*(GCM|CHACHA20)")

    def test_tls_1_1_is_not_spoken(self) -> None:
        """A client that knows nothing newer gets an alert."""
        client = strict_client()
        client.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            # Python says itself that nobody should.
            warnings.simplefilter("ignore", DeprecationWarning)
            client.minimum_version = ssl.TLSVersion.TLSv1
            client.maximum_version = ssl.TLSVersion.TLSv1_1
        self.assertRaises(SSL.Error, Visit, self.options, client, "localhost")

    def test_1_3_alone_when_asked(self) -> None:
        """The minimum can be raised."""
        client = strict_client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        options = server_options(PAIR.certificate, PAIR.key, minimum="1.3")
        self.assertRaises(SSL.Error, Visit, options, client, "localhost")

    def test_weak_suites_are_not_offered(self) -> None:
        """A client with CBC and static RSA suites only finds no common one."""
        client = strict_client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:AES128-GCM-SHA256:AES128-SHA:@SECLEVEL=0")
        self.assertRaises(SSL.Error, Visit, self.options, client, "localhost")

    def test_session_is_resumed(self) -> None:
        """A client that comes back saves the handshake's signatures, as FTP data connections ask for."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = strict_client()
            client.minimum_version = client.maximum_version = version
            first = Visit(self.options, client, "localhost")
            self.assertFalse(first.client.session_reused)
            second = Visit(self.options, client, "localhost", session=first.client.session)
            self.assertTrue(second.client.session_reused, version)

    def test_names_of_protocols(self) -> None:
        """ALPN: ours is chosen; others are left aside, as by servers that know nothing of it; browsers are sent away."""
        for own in (self.options, own_sessions(self.options)):
            for offered, speaks, chosen in (
                (["imap"], b"imap", "imap"),
                (["x", "imap"], b"imap", "imap"),
                (["h2", "http/1.1"], b"http/1.1", "http/1.1"),
                (["esmtp"], b"smtp", None),
                (["h2", "imap4"], b"imap", None),
                (["imap"], b"", None),
            ):
                client = strict_client()
                client.set_alpn_protocols(offered)
                visit = Visit(own, client, "localhost", speaks=speaks)
                self.assertEqual(visit.client.selected_alpn_protocol(), chosen, offered)
            for offered in (["http/1.1"], ["h2", "http/1.1"]):
                client = strict_client()
                client.set_alpn_protocols(offered)
                self.assertRaises(SSL.Error, Visit, own, client, "localhost", speaks=b"smtp")

    def test_compression_is_off(self) -> None:
        """Nothing is compressed inside TLS."""
        self.assertIsNone(Visit(self.options, strict_client(), "localhost").client.compression())

    def test_renegotiation_is_refused(self) -> None:
        """The option that refuses it is set; Python's client cannot ask for one."""
        context = self.options.getContext()
        self.assertTrue(context.set_options(0) & SSL.OP_NO_RENEGOTIATION)

    def test_foreign_key_is_an_error(self) -> None:
        """Certificate and key must fit."""
        other = certificates.issue(AUTHORITY, NAMES, NOW)
        error = self.assertRaises(ValueError, server_options, PAIR.certificate, other.key)
        self.assertIn("do not belong together", str(error))


class FilesTests(SynchronousTestCase):
    """A server context from files."""

    def setUp(self) -> None:
        """A good pair on disk, and an ear on the log."""
        kept = TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        folder = Path(kept.name)
        self.certificate, self.key = folder / "c.pem", folder / "k.pem"
        self.put(PAIR)
        self.heard = EventLoggingObserver()
        globalLogPublisher.addObserver(self.heard)
        self.addCleanup(globalLogPublisher.removeObserver, self.heard)

    def put(self, pair: certificates.Pair) -> None:
        """Replace both files as a renewal does."""
        certificates.write_file(self.key, pair.key, 0o600)
        certificates.write_file(self.certificate, pair.certificate, 0o644)

    def server(self, now: datetime = NOW) -> ServerTls:
        """A context from the files."""
        return ServerTls(self.certificate, self.key, now=lambda: now)

    def refusal(self, now: datetime = NOW) -> str:
        """Why there is none."""
        text = str(self.assertRaises(BadCertificate, self.server, now))
        self.assertNotIn("\n", text)
        return text

    def test_same_context_while_files_stay(self) -> None:
        """Tickets can be resumed only within one context."""
        server = self.server()
        self.assertIs(server(), server())

    def test_new_files_are_read(self) -> None:
        """A renewed certificate is used from the next connection on."""
        server = self.server()
        before = server()
        self.put(certificates.issue(AUTHORITY, ["localhost"], NOW, days=11))
        self.assertIsNot(before, server())
        self.assertEqual((NOW + timedelta(days=11)).replace(microsecond=0), server.expires)
        Visit(server(), strict_client(), "localhost")

    def test_bad_pair_keeps_the_old_one(self) -> None:
        """A broken renewal is said once and harms nobody; a good one after it is used."""
        server = self.server()
        before = server()
        self.certificate.write_bytes(b"junk")
        self.assertIs(before, server())
        self.assertIs(before, server())
        said = [event for event in self.heard if event.get("log_namespace") == "launcelot.tls"]
        self.assertEqual(1, len(said))
        self.assertIn("not a PEM certificate", said[0]["reason"])
        self.put(certificates.issue(AUTHORITY, ["localhost"], NOW))
        self.assertIsNot(before, server())

    def test_files_that_vanish_keep_the_old_one(self) -> None:
        """Deleting the files does not stop TLS."""
        server = self.server()
        before = server()
        self.key.unlink()
        self.assertIs(before, server())

    def test_key_renewed_before_certificate(self) -> None:
        """Between the two renames of a renewal the old pair is used, after them the new one."""
        server = self.server()
        before = server()
        renewed = certificates.issue(AUTHORITY, NAMES, NOW)
        certificates.write_file(self.key, renewed.key, 0o600)
        self.assertIs(before, server())
        certificates.write_file(self.certificate, renewed.certificate, 0o644)
        self.assertIsNot(before, server())

    def test_missing_certificate(self) -> None:
        """The path is named."""
        self.certificate.unlink()
        self.assertEqual(
            f"{self.certificate}: cannot read the certificate: No such file or directory; check path and permissions",
            self.refusal(),
        )

    def test_unreadable_key(self) -> None:
        """Whatever cannot be read is named; a folder stands for it, because root reads every file."""
        self.key.unlink()
        self.key.mkdir()
        self.assertIn(f"{self.key}: cannot read the key: Is a directory", self.refusal())

    def test_junk_instead_of_a_certificate(self) -> None:
        """Not PEM."""
        self.certificate.write_bytes(os.urandom(100))
        self.assertIn("not a PEM certificate", self.refusal())

    def test_junk_instead_of_a_key(self) -> None:
        """Not PEM."""
        self.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        self.assertIn(f"{self.key}: not a PEM private key", self.refusal())

    def test_mismatch(self) -> None:
        """The key of another certificate."""
        self.key.write_bytes(certificates.issue(AUTHORITY, NAMES, NOW).key)
        self.assertIn("certificate and key do not belong together", self.refusal())

    def test_encrypted_key(self) -> None:
        """There is nobody to ask for the passphrase."""
        from cryptography.hazmat.primitives import serialization

        key: Any = serialization.load_pem_private_key(PAIR.key, None)
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        self.assertIn("the key is encrypted", self.refusal())

    def test_expired(self) -> None:
        """With its date."""
        ends = NOW + timedelta(days=certificates.SERVER_DAYS)
        self.assertIn(f"expired on {ends:%Y-%m-%d %H:%M} UTC; renew it", self.refusal(ends + timedelta(days=1)))

    def test_not_yet_valid(self) -> None:
        """A machine that woke up in 1970 is told to look at its clock."""
        self.assertIn("check this machine's clock", self.refusal(datetime(1970, 1, 2, tzinfo=UTC)))


class ClientTests(SynchronousTestCase):
    """The client's side of the policy."""

    def test_missing_authority(self) -> None:
        """One line with the path."""
        error = self.assertRaises(BadCertificate, client_tls, "localhost", Path("/nonexistent/ca.pem"))
        self.assertIn("/nonexistent/ca.pem: cannot read the authority's certificate", str(error))

    def test_junk_authority(self) -> None:
        """A file without a certificate is not silently no authority."""
        error = self.assertRaises(BadCertificate, client_tls, "localhost", Path(os.devnull))
        self.assertIn("give the ca.pem of the server", str(error))
