"""The private authority and the certificates it signs."""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting import certificates

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def names_of(pem: bytes) -> set[str]:
    """Names and addresses a certificate holds."""
    certificate = x509.load_pem_x509_certificates(pem)[0]
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(one.value) for one in held}


class IssueTests(SynchronousTestCase):
    """What is in a certificate."""

    def test_all_names_are_held(self) -> None:
        """Host names and both kinds of addresses are subjectAltNames of their own kind."""
        authority = certificates.make_authority(NOW)
        pair = certificates.issue(authority, ["Mail.Example.COM.", "localhost", "127.0.0.1", "::1"], NOW)
        certificate = x509.load_pem_x509_certificates(pair.certificate)[0]
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(["mail.example.com", "localhost"], held.get_values_for_type(x509.DNSName))
        self.assertEqual(
            [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")], held.get_values_for_type(x509.IPAddress)
        )

    def test_impossible_names_are_left_out(self) -> None:
        """A machine's odd host name does not keep the daemon from having a certificate."""
        found = certificates.general_names(["", "a b", "x" * 64, "-x", "fünf", "a..b", "ok_1", "ok_1"])
        self.assertEqual([x509.DNSName("ok_1")], found)

    def test_common_name_is_cut_to_its_limit(self) -> None:
        """X.520 limits a common name to 64 characters; a host name may be longer."""
        long = ".".join(["a" * 40] * 3)
        pair = certificates.issue(certificates.make_authority(NOW), [long], NOW)
        self.assertEqual({long}, names_of(pair.certificate))

    def test_chain_stands_behind_the_certificate(self) -> None:
        """A client that trusts the authority needs nothing else."""
        authority = certificates.make_authority(NOW)
        pair = certificates.issue(authority, ["localhost"], NOW)
        chain = x509.load_pem_x509_certificates(pair.certificate)
        self.assertEqual(2, len(chain))
        chain[0].verify_directly_issued_by(chain[1])

    def test_server_names_hold_the_loopback_ones(self) -> None:
        """Whatever is configured, local programs can verify."""
        self.assertLessEqual({"a.example", *certificates.LOCAL_NAMES}, set(certificates.server_names("a.example", "")))


class EnsureTests(SynchronousTestCase):
    """Making and renewing."""

    def setUp(self) -> None:
        """A folder that does not exist yet."""
        kept = TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name) / "tls"

    def ensure(self, *names: str, now: datetime = NOW) -> tuple[bytes, bytes]:
        """The authority and the server's certificate after a call."""
        files = certificates.ensure(self.folder, names or ("localhost",), now)
        return files.authority.read_bytes(), files.certificate.read_bytes()

    def test_keys_are_private(self) -> None:
        """Keys are 0600 in a folder of 0700, whatever the umask."""
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        self.ensure()
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.folder.iterdir()}
        self.assertEqual({"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o644, "server.key": 0o600}, modes)
        self.assertEqual(0o700, self.folder.stat().st_mode & 0o777)

    def test_second_call_changes_nothing(self) -> None:
        """What is good is kept."""
        self.assertEqual(self.ensure(), self.ensure(now=NOW + timedelta(days=300)))

    def test_renewed_a_month_before_expiry(self) -> None:
        """The server's certificate is new, the authority people trust is the same."""
        authority, server = self.ensure()
        later = NOW + timedelta(days=certificates.SERVER_DAYS - certificates.RENEW_DAYS + 1)
        again, renewed = self.ensure(now=later)
        self.assertEqual(authority, again)
        self.assertNotEqual(server, renewed)
        expires = x509.load_pem_x509_certificates(renewed)[0].not_valid_after_utc
        self.assertEqual(later + timedelta(days=certificates.SERVER_DAYS), expires)

    def test_new_name_is_added(self) -> None:
        """A changed host name gives a new certificate from the same authority."""
        authority, _ = self.ensure()
        again, renewed = self.ensure("localhost", "mail.example.com")
        self.assertEqual(authority, again)
        self.assertIn("mail.example.com", names_of(renewed))

    def test_authority_that_ends_too_soon_is_replaced(self) -> None:
        """No server certificate outlives its authority."""
        authority, _ = self.ensure()
        again, renewed = self.ensure(now=NOW + timedelta(days=certificates.AUTHORITY_DAYS - 100))
        self.assertNotEqual(authority, again)
        chain = x509.load_pem_x509_certificates(renewed)
        chain[0].verify_directly_issued_by(x509.load_pem_x509_certificate(again))

    def test_half_written_pair_is_replaced(self) -> None:
        """A crash between the two files leaves a key that does not fit; the next start mends it."""
        self.ensure()
        other = certificates.issue(certificates.make_authority(NOW), ["localhost"], NOW)
        (self.folder / "server.key").write_bytes(other.key)
        _, server = self.ensure()
        key = (self.folder / "server.key").read_bytes()
        self.assertNotEqual(other.key, key)

    def test_damaged_files_are_replaced(self) -> None:
        """Damage to any of the four files is mended."""
        self.ensure()
        for name in ("ca.pem", "ca.key", "server.pem", "server.key"):
            (self.folder / name).write_bytes(b"-----BEGIN NONSENSE-----\n")
            authority, server = self.ensure()
            chain = x509.load_pem_x509_certificates(server)
            chain[0].verify_directly_issued_by(x509.load_pem_x509_certificate(authority))

    def test_nothing_staged_is_left(self) -> None:
        """Writing leaves only the files themselves."""
        self.ensure()
        self.assertEqual(4, len(list(self.folder.iterdir())))

    def test_failed_write_leaves_no_staged_file(self) -> None:
        """A target that cannot be replaced is an error and leaves nothing beside it."""
        self.folder.mkdir()
        (self.folder / "taken").mkdir()
        self.assertRaises(OSError, certificates.write_file, self.folder / "taken", b"x", 0o600)
        self.assertEqual(["taken"], [path.name for path in self.folder.iterdir()])
