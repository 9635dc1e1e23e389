"""Whole Sites, several of them, in one network: mail goes from one to the other."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.address import Address
from launcelot.testing import at
from launcelot.testing.link import Link
from launcelot.testing.messages import Wish
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

    def submit(
        self, world: TrialWorld, name: str = "ann", to: bytes = b"<bob@two.example>", envelope: bytes = b""
    ) -> Link:
        """Ann writes to bob."""
        submission = world.serve("submission").connect()
        sender = f"{name}@{world.site.domain}".encode()
        submission.say(b"EHLO me\r\nAUTH PLAIN %s\r\n" % b64encode(f"\0{name}\0pw".encode()))
        submission.say(b"MAIL FROM:<%s>%s\r\nRCPT TO:%s\r\nDATA\r\n" % (sender, envelope, to))
        submission.say(b"From: %s\r\nSubject: over\r\n\r\nhi\r\n.\r\n" % sender)
        world.flush()
        return submission

    def told(self, world: TrialWorld, to: str = "ann@one.example") -> list[str]:
        """What somebody was told of mail: of which recipient, what became of it, and its status."""
        fields = re.compile(rb"(?m)^(?:Final-Recipient: rfc822; *|Action: |Status: )(\S+)\r$")
        messages = world.post.matching(Wish(to=to, sender=""))
        return [b" ".join(fields.findall(message.raw)).decode() for message in messages]

    def test_mail_goes_over(self) -> None:
        """By its MX, at once."""
        one, two = self.begin()
        self.submit(one)
        one.advance(2)
        self.assertDelivered(two, to="bob@two.example", subject="over")
        self.assertNotEqual(one.address, two.address)

    def test_what_is_refused_comes_back(self) -> None:
        """Its sender is told once, in what words, and nothing waits any more."""
        one, two = self.begin()
        two.fault(at.smtp("RCPT").replies(550, "5.2.1 bob is on holiday"))
        self.submit(one)
        one.advance(2)
        self.assertEqual(self.told(one), ["bob@two.example failed 5.2.1"])
        (notice,) = one.post.messages
        self.assertEqual((notice.to, notice.sender), ("ann@one.example", ""))
        self.assertIn("bob is on holiday", notice.text)
        one.advance(86_400, 3_600.0)
        self.assertEqual(len(one.post.messages), 1)
        self.assertEqual(one.result(one.site.spool.count()), 0)

    def test_what_is_late_is_told_and_what_is_too_late_comes_back(self) -> None:
        """With the daemon's own patience: four hours, and five days."""
        one, two = self.begin()
        two.fault(at.smtp("RCPT").replies(450, "4.2.1 bob is busy"))
        self.submit(one)
        one.advance(5 * 3_600, 600.0)
        self.assertEqual(self.told(one), ["bob@two.example delayed 4.2.1"])
        one.advance(6 * 86_400, 3_600.0)
        self.assertEqual(self.told(one), ["bob@two.example delayed 4.2.1", "bob@two.example failed 5.4.7"])
        self.assertEqual(one.result(one.site.spool.count()), 0)

    def test_settings(self) -> None:
        """Of ``[relay]``."""
        one = self.world(relays={"lifetime": 3_600.0, "delay_notice": 0.0}, domain="one.example", hostname="mx.one.example")
        one.add_user("ann")
        self.submit(one, to=b"<x@nowhere.example>")
        one.advance(7_200, 600.0)
        self.assertEqual(self.told(one), ["x@nowhere.example failed 5.1.2"])
        self.assertRaises(TypeError, self.world, relays={"life": 1})

    def test_success_is_told_where_it_is_asked_for(self) -> None:
        """By whoever hands it to a host that does not tell.  RFC 3461 section 5.2.2."""
        one, two = self.begin()
        self.submit(one, to=b"<bob@two.example> NOTIFY=SUCCESS")
        one.advance(2)
        self.assertDelivered(two, to="bob@two.example", subject="over")
        self.assertEqual(self.told(one), ["bob@two.example relayed 2.0.0"])

    def test_what_is_passed_on_comes_back_to_its_sender(self) -> None:
        """From an alias to another host: its sender is rewritten (SRS), and what is sent there goes back."""
        one, two = self.begin()
        three = self.beside(one, "three.example", "mx.three.example", relays=True)
        three.add_user("cat")
        three.serve("smtp", host="mx.three.example", port=25)
        smtp = one.serve("smtp", host="mx.one.example", port=25)
        one.zone.add("MX", "one.example", "10 mx.one.example")
        one.zone.add("MX", "three.example", "10 mx.three.example")
        alias = one.site.accounts.add_alias(Address("far", "one.example"), [Address("bob", "two.example")])
        one.result(alias)
        self.submit(three, "cat", b"<far@one.example>")
        one.advance(5)
        self.assertDelivered(two, to="bob@two.example", subject="over")
        found = re.search(r"C: MAIL FROM:(<SRS0=\S*=three\.example=cat@one\.example>)", two.taps.transcripts[-1].text)
        back = "" if found is None else found[1]
        bounce = smtp.connect()
        bounce.say(b"EHLO elsewhere.example\r\nMAIL FROM:<>\r\nRCPT TO:%s\r\nDATA\r\n" % back.encode())
        bounce.say(b"Subject: no\r\n\r\nhe is on holiday\r\n.\r\n")
        one.advance(5)
        self.assertDelivered(three, to="cat@three.example", subject="no")

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
