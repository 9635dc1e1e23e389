"""What Hypothesis draws is what its name says, and our servers survive all of it."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from importlib.util import find_spec
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

if find_spec("hypothesis") is None:
    raise SkipTest("hypothesis is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcelot.message.address import parse_mailbox
from launcelot.testing import strategies as ls
from launcelot.testing.faults import Fault
from launcelot.testing.sentences import parse
from launcelot.testing.site import Known
from launcelot.testing.worlds import TrialWorld

QUICKLY = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)


class DrawnTests(SynchronousTestCase):
    """By their standards."""

    @QUICKLY
    @given(ls.addresses())
    def test_addresses(self, address: str) -> None:
        """Ours reads them."""
        self.assertTrue(parse_mailbox(address))

    @QUICKLY
    @given(ls.messages())
    def test_messages(self, octets: bytes) -> None:
        """Python's reader finds nothing wrong; lines end as they should."""
        parsed = message_from_bytes(octets, policy=default)
        self.assertEqual(parsed.defects, [])
        self.assertIsNotNone(parsed["From"])
        self.assertEqual(octets.count(b"\n"), octets.count(b"\r\n"))
        self.assertTrue(octets.endswith(b"\r\n"))

    @QUICKLY
    @given(ls.mime_trees())
    def test_mime(self, octets: bytes) -> None:
        """Every part is found."""
        parsed = message_from_bytes(octets, policy=default)
        for part in parsed.walk():
            self.assertEqual(part.defects, [])

    @QUICKLY
    @given(st.binary(max_size=80).flatmap(lambda octets: st.tuples(st.just(octets), ls.chunkings(octets))))
    def test_chunkings(self, drawn: tuple[bytes, list[bytes]]) -> None:
        """All of it, in order, nothing empty."""
        octets, pieces = drawn
        self.assertEqual(b"".join(pieces), octets)
        self.assertTrue(all(pieces))

    @QUICKLY
    @given(ls.faults())
    def test_faults(self, fault: Fault) -> None:
        """Sentences that read back."""
        self.assertEqual(parse(str(fault)), fault)


class ServerTests(SynchronousTestCase):
    """Sessions of any kind, in any pieces, with any faults: no bug, and nothing is lost or doubled by pieces."""

    known: Known = {}  # noqa: RUF012 - what was computed of one password

    def answered(self, name: str, pieces: list[bytes], faults: list[Fault]) -> bytes:
        """What a server says to a session, after all the time that it may need."""
        world = TrialWorld(known=self.known)
        world.add_user("ann")
        for fault in faults:
            world.fault(fault)
        link = world.serve(name).connect()
        for piece in pieces:
            link.say(piece)
        world.advance(30, 1.0)
        heard = bytes(link.take())
        world.leave()
        self.assertEqual(self.flushLoggedErrors(), [])
        return heard

    def session(self, name: str, script: list[bytes], data: Any, faults: list[Fault]) -> None:
        """Whole and in pieces it is the same."""
        octets = b"".join(script)
        whole = self.answered(name, [octets], faults)
        self.assertEqual(self.answered(name, data.draw(ls.chunkings(octets)), faults), whole)

    @QUICKLY
    @given(ls.smtp_scripts(), st.data())
    def test_smtp(self, script: list[bytes], data: Any) -> None:
        """SMTP."""
        self.session("smtp", script, data, [])

    @QUICKLY
    @given(ls.pop3_scripts(), st.data())
    def test_pop3(self, script: list[bytes], data: Any) -> None:
        """POP3."""
        self.session("pop3", script, data, [])

    @QUICKLY
    @given(ls.imap_scripts(), st.data())
    def test_imap(self, script: list[bytes], data: Any) -> None:
        """IMAP."""
        self.session("imap", script, data, [])

    @QUICKLY
    @given(ls.smtp_scripts(), ls.fault_plans("smtp"))
    def test_with_faults(self, script: list[bytes], plan: list[Fault]) -> None:
        """No fault is a bug."""
        self.answered("smtp", [b"".join(script)], plan)

    @QUICKLY
    @given(ls.imap_scripts(), ls.fault_plans("imap"))
    def test_imap_with_faults(self, script: list[bytes], plan: list[Fault]) -> None:
        """No fault is a bug."""
        self.answered("imap", [b"".join(script)], plan)
