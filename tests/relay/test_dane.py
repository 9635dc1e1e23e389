"""TLSA records against certificates: usages, selectors, matching types; names, dates and chains."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.certificates import issue, make_authority
from launcelot.relay.dane import NotNamed, verify
from launcelot.relay.tlsa import Tlsa, digested, read_tlsa, record_of, usable
from launcelot.testing.certificates import Certificates

NOW = datetime.now(UTC)
AUTHORITY = make_authority(NOW)
OTHER = make_authority(NOW)
HOST, DOMAIN = "mx.far.example", "far.example"


def chain_of(*names: str, days: int = 90) -> list[x509.Certificate]:
    """A server's certificate for some names, and its authority's."""
    return x509.load_pem_x509_certificates(issue(AUTHORITY, names, NOW - timedelta(days=30), days).certificate)


CHAIN = chain_of(HOST)


class RecordTests(SynchronousTestCase):
    """Octets to records, and which of them count."""

    def test_what_can_be_used(self) -> None:
        """Usages 2 and 3, both selectors, hashes of their lengths, and something at all."""
        good = [(2, 0, 1, 32), (3, 1, 1, 32), (3, 1, 2, 64), (3, 0, 0, 500), (2, 1, 0, 90)]
        bad = [(0, 0, 1, 32), (1, 0, 1, 32), (4, 0, 1, 32), (3, 2, 1, 32), (3, 1, 1, 31), (3, 1, 2, 32), (3, 1, 3, 32)]
        octets = [bytes(one[:3]) + bytes(one[3]) for one in [*good, *bad, (3, 1, 0, 0)]]
        self.assertEqual([(one.usage, one.selector, one.matching) for one in usable(octets)], [one[:3] for one in good])

    def test_short_octets(self) -> None:
        """No record, and no error."""
        for length in range(3):
            self.assertIsNone(read_tlsa(bytes(length)))
        self.assertEqual(usable([b"", b"\3", b"\3\1", b"\3\1\1"]), [])

    def test_as_openssl_has_it(self) -> None:
        """What is published is the hash of what RFC 6698 says."""
        key = CHAIN[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.assertEqual(str(record_of(CHAIN[0], 3, 1)), f"3 1 1 {hashlib.sha256(key).hexdigest()}")
        whole = CHAIN[1].public_bytes(Encoding.DER)
        self.assertEqual(str(record_of(CHAIN[1], 2, 0)), f"2 0 1 {hashlib.sha256(whole).hexdigest()}")


class VerifyTests(SynchronousTestCase):
    """RFC 7672 section 3."""

    def named(self, certificate: x509.Certificate, usage: int, selector: int, matching: int) -> Tlsa:
        """A record for a certificate."""
        whole = certificate.public_bytes(Encoding.DER)
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return Tlsa(usage, selector, matching, digested(key if selector else whole, matching))

    def refused(self, chain: Sequence[x509.Certificate], text: str, *records: Tlsa, names: Sequence[str] = (HOST,)) -> None:
        """It is not, for a reason."""
        self.assertIn(text, str(self.assertRaises(NotNamed, verify, chain, records, names)))

    def test_all_kinds_of_records(self) -> None:
        """Two usages, two selectors, three matching types: each fits what it names, and nothing else."""
        other = chain_of(HOST)
        for usage in (2, 3):
            for selector in (0, 1):
                for matching in (0, 1, 2):
                    verify(CHAIN, [self.named(CHAIN[3 - usage], usage, selector, matching)], [HOST])
                    strange = other[0] if usage == 3 else x509.load_pem_x509_certificate(OTHER.certificate)
                    self.refused(CHAIN, "the certificate", self.named(strange, usage, selector, matching))

    def test_one_of_several(self) -> None:
        """As while certificates change."""
        other = chain_of(HOST)
        verify(CHAIN, [self.named(other[0], 3, 1, 1), self.named(CHAIN[0], 3, 1, 1)], [HOST])

    def test_usage_3_asks_neither_for_names_nor_dates(self) -> None:
        """RFC 7672 section 3.1.1."""
        expired = chain_of("somebody.else.example", days=1)
        verify(expired, [self.named(expired[0], 3, 1, 1)], [HOST])
        alone = x509.load_pem_x509_certificates(Certificates("x", expired=True).certificate)
        verify(alone, [self.named(alone[0], 3, 0, 1)], [HOST])

    def test_usage_2_asks_for_names_and_dates(self) -> None:
        """RFC 7672 section 3.2.2: the host's name, or the domain's."""
        record = self.named(CHAIN[1], 2, 0, 1)
        verify(chain_of(DOMAIN), [record], [HOST, DOMAIN])
        wild = x509.load_pem_x509_certificates(Certificates("*.far.example").certificate)
        verify(wild, [self.named(wild[0], 2, 0, 1)], [HOST])
        self.refused(chain_of("other.example"), "is for none of mx.far.example", record)
        self.refused(chain_of(HOST, days=1), "not valid now", record)

    def test_authority_that_did_not_sign(self) -> None:
        """Having sent it does not help."""
        strange = x509.load_pem_x509_certificate(OTHER.certificate)
        self.refused([CHAIN[0], strange], "does not lead", self.named(strange, 2, 0, 1))

    def test_authority_that_is_not_sent(self) -> None:
        """It counts where the record has the whole of it."""
        verify(CHAIN[:1], [self.named(CHAIN[1], 2, 0, 0)], [HOST])
        self.refused(CHAIN[:1], "none that the TLSA records name", self.named(CHAIN[1], 2, 0, 1))
        self.refused(CHAIN[:1], "none that the TLSA records name", Tlsa(2, 0, 0, b"no certificate"))

    def test_server_as_its_own_authority(self) -> None:
        """Where it signed itself."""
        alone = x509.load_pem_x509_certificates(Certificates(HOST).certificate)
        verify(alone, [self.named(alone[0], 2, 0, 1)], [HOST])
        self.refused(CHAIN, "none that the TLSA records name", self.named(CHAIN[0], 2, 0, 1))

    def test_nothing_to_look_at(self) -> None:
        """A server without a certificate."""
        self.refused([], "has no certificate", self.named(CHAIN[0], 3, 1, 1))
