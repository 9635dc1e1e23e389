"""Whole Sites, several of them, in one network: mail goes from one to the other."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing import at
from launcelot.testing.link import Link
from launcelot.testing.trial import WorldMixin
from launcelot.testing.worlds import TrialWorld


class NeighbourTests(WorldMixin, SynchronousTestCase):
    """A Site that sends, and one that gets."""

    def begin(self, **options: Any) -> tuple[TrialWorld, TrialWorld]:
        """Both."""
        one = self.world(relays=True, domain="one.example", hostname="mx.one.example", **options)
        one.add_user("ann")
        two = self.beside(one, "two.example", "mx.two.example")
        two.add_user("bob")
        two.serve("smtp", host="mx.two.example", port=25)
        one.zone.add("MX", "two.example", "10 mx.two.example")
        return one, two

    def submit(self, world: TrialWorld) -> Link:
        """Ann writes to bob."""
        submission = world.serve("submission").connect()
        submission.say(b"EHLO me\r\nAUTH PLAIN AGFubgBwdw==\r\n")
        submission.say(b"MAIL FROM:<ann@one.example>\r\nRCPT TO:<bob@two.example>\r\nDATA\r\n")
        submission.say(b"From: ann@one.example\r\nSubject: over\r\n\r\nhi\r\n.\r\n")
        world.flush()
        return submission

    def test_mail_goes_over(self) -> None:
        """By its MX, at once."""
        one, two = self.begin()
        self.submit(one)
        one.advance(2)
        self.assertDelivered(two, to="bob@two.example", subject="over")
        self.assertNotEqual(one.address, two.address)

    def test_tries_again(self) -> None:
        """What goes wrong at the other, or with its name, is tried again in time, and comes once."""
        for where, fault in (
            ("two", at.smtp("RCPT").replies(451, "4.3.2 later").times(1)),
            ("two", at.storage("spool").fails("ENOSPC").times(1)),
            ("one", at.dns("MX").replies("SERVFAIL").times(1)),
        ):
            one, two = self.begin()
            {"one": one, "two": two}[where].fault(fault)
            self.submit(one)
            one.advance(2)
            self.assertDelivered(two, to="bob@two.example", times=0)
            one.advance(7_200, 60.0)
            self.assertDelivered(two, to="bob@two.example", times=1)
