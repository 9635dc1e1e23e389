"""S04: what one of our hops has taken is one message at the next one, too."""

from __future__ import annotations

from launcelot.message.address import Address
from launcelot.protocols.smtp.client import Message, SmtpClientFactory
from launcelot.testing.link import connect_pair
from tests.protocols.smtp.support import SmtpCase
from tests.protocols.smtp.test_attacks import ENDS


class HopTests(SmtpCase):
    """Submitted, stored, and sent on by our client to our server."""

    def test_eighteen_ends_over_two_hops(self) -> None:
        """Each is one message in each place, without a bare CR or LF, or is refused by the first."""
        for number, end in enumerate(ENDS):
            link = self.logged_in()
            self.codes(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<ann@test>\r\nDATA\r\n")
            inner = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<bob@test>\r\nDATA\r\nsmuggled\r\n"
            link.say(b"From: ann@test\r\nSubject: %d\r\n\r\nbody" % number + end + inner + b".\r\n")
            link.close()
            found = self.bodies("ann")
            self.assertEqual(len(found), number + 1, end)
            stored = found[-1]
            self.assertNotIn(b"\n", stored.replace(b"\r\n", b""))
            self.assertNotIn(b"\r", stored.replace(b"\r\n", b""))
            client = connect_pair(
                SmtpClientFactory(self.world.clock, self.world.site.deadlines, "hop.test"), self.mx, self.world.clock,
                self.world.network,
            ).client  # fmt: skip
            self.world.result(client.hello())
            sent = self.world.result(client.send(Address("eve", "example.com"), [self.bob.address], Message.of(stored)))
            self.assertEqual(sent.accepted, (self.bob.address,))
            self.world.result(client.quit())
            self.assertEqual(self.bodies("bob")[-1], stored)
            self.assertEqual(len(self.bodies("bob")), number + 1, end)
