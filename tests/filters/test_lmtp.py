"""A filter that speaks LMTP: our own LMTP listener in memory stands for it, or a script."""

from __future__ import annotations

from launcelot.checks.interface import ACCEPT, Action
from launcelot.filters.asking import Place
from launcelot.filters.lmtp import LmtpCheck, strictest
from launcelot.protocols.smtp.grammar import reply
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.session import Role
from launcelot.testing.site import memory_site
from tests.filters.support import FilterCase
from tests.protocols.smtp.support import MESSAGE
from tests.relay.support import CUT, HopFactory

LATER = b"451 4.3.0 Mail cannot be looked at now, come again"


class LmtpTests(FilterCase):
    """One that is asked."""

    def use_port(self, port: int, defers: bool = True) -> None:
        """Ask whoever listens there."""
        site = self.world.site
        self.use(LmtpCheck(site.reactor, site.deadlines, Place("", "127.0.0.1", port), "here.test", 10.0, defers))

    def test_a_real_one(self) -> None:
        """It gets the mail octet for octet with all recipients; its strictest answer decides."""
        other = memory_site()
        ann = other.add_user("ann")
        self.use_port(self.listen(SmtpFactory(other.site, "lmtp", self.count, self.settings, Role.LMTP)))
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        mailbox = other.result(other.site.mail.mail(ann.id))
        states = other.result(other.result(mailbox.mailbox("INBOX")).states())
        self.assertEqual((len(states), self.tail()), (1, [MESSAGE]))
        self.assertEqual(self.hand_in(b"RCPT TO:<bob@test>\r\n")[-1], b"550 5.1.1 No such user here")
        self.assertEqual((len(self.inbox()), self.inbox("bob")), (1, []))

    def test_failures(self) -> None:
        """At each stage: the mail comes again, or passes."""
        hop = HopFactory()
        for stage in ("GREETING", "LHLO", "MAIL", "RCPT", "DATA", "END"):
            for defers in (True, False):
                self.use_port(self.listen(hop), defers)
                hop.script = {stage: [CUT]}
                self.assertEqual(self.hand_in()[-1][:3], b"451" if defers else b"250", stage)
                self.assertEqual(hop.open, 0, stage)

    def test_its_words(self) -> None:
        """Code, status and text of a refusal."""
        hop = HopFactory()
        self.use_port(self.listen(hop))
        for stage in ("LHLO", "MAIL", "RCPT", "DATA", "END"):
            for said in (b"554 5.7.9 Not that", b"452 4.3.1 Full"):
                hop.script = {stage: [said]}
                self.assertEqual(self.hand_in()[-1], said, stage)
                self.assertEqual(hop.open, 0, stage)

    def test_the_strictest(self) -> None:
        """Of several; without what does something to a terminal."""
        good, later, never = reply(250, "2.0.0", "ok"), reply(450, "4.2.1", "b"), reply(550, "", "no\x07")
        self.assertEqual(strictest([]), ACCEPT)
        self.assertEqual(strictest([good, good]), ACCEPT)
        self.assertEqual(strictest([good, later]).action, Action.DEFER)
        found = strictest([later, never, good])
        self.assertEqual((found.action, found.status, found.text, found.code), (Action.REJECT, "5.7.1", "no", 550))
