"""Sending to other hosts: accounts may where mail goes out at all, nobody else ever does."""

from __future__ import annotations

from collections.abc import Sequence

from launcelot.protocols.smtp.session import Role
from launcelot.spool.interface import Envelope, SpoolRecipient
from tests.protocols.smtp.support import SmtpCase
from tests.protocols.smtp.test_attacks import RELAY


class RelayingCase(SmtpCase):
    """A Site whose mail goes to other hosts."""

    def setUp(self) -> None:
        super().setUp()
        self.world.site.relays = True

    def waiting(self) -> list[tuple[str, str]]:
        """Sender and recipient of what waits in the spool."""
        return [(one.sender, one.recipient) for one in self.world.result(self.world.site.spool.waiting())]


class RelayingTests(RelayingCase):
    """RCPT with foreign domains."""

    def test_account_may_send_elsewhere(self) -> None:
        """Beside recipients here; each address once."""
        link = self.logged_in()
        said = b"MAIL FROM:<ann@test>\r\n" + b"".join(
            b"RCPT TO:<%s>\r\n" % one for one in (b"x@far.example", b"bob@test", b"X@Far.Example", b"y@far.example")
        )
        self.assertEqual(self.codes(link, said + b"DATA\r\n"), [250, 250, 250, 250, 250, 354])
        self.assertEqual(self.codes(link, b"From: ann@test\r\n\r\nhi\r\n.\r\n"), [250])
        self.assertEqual(self.waiting(), [("ann@test", "x@far.example"), ("ann@test", "y@far.example")])
        self.assertEqual(len(self.inbox("bob")), 1)

    def test_who_submitted_and_how_is_kept(self) -> None:
        """The account's name and SMTPUTF8 go with the envelope."""
        link = self.logged_in()
        self.codes(link, "MAIL FROM:<ann@test> SMTPUTF8\r\nRCPT TO:<ü@far.example>\r\nDATA\r\n".encode())
        seen: list[Envelope] = []
        accept = self.world.site.spool.accept

        async def keep(envelope, body, once=False):  # type: ignore[no-untyped-def]
            seen.append(envelope)
            return await accept(envelope, body, once)

        self.world.site.spool.accept = keep  # type: ignore[method-assign]
        self.codes(link, b"From: ann@test\r\n\r\nhi\r\n.\r\n")
        (envelope,) = seen
        recipients: Sequence[SpoolRecipient] = envelope.recipients
        self.assertEqual((envelope.user, envelope.utf8, [one.is_remote for one in recipients]), ("ann", True, [True]))

    def test_sender_must_be_the_accounts_own(self) -> None:
        """As for mail that stays here."""
        link = self.logged_in()
        self.assertEqual(self.codes(link, b"MAIL FROM:<eve@far.example>\r\n"), [553])

    def test_nobody_else_may(self) -> None:
        """Not on MX, not on submission before logging in, not over LMTP."""
        for factory, codes in ((self.mx, [250, 250, 550]), (self.submission, [250, 530, 530])):
            link = self.connect(factory)
            self.assertEqual(self.codes(link, b"EHLO me\r\nMAIL FROM:<ann@test>\r\nRCPT TO:<x@far.example>\r\n"), codes)
        self.mx.role = Role.LMTP
        link = self.world.connect(self.mx)
        self.assertEqual(self.codes(link, b"LHLO me\r\nMAIL FROM:<ann@test>\r\nRCPT TO:<x@far.example>\r\n")[-1], 550)
        self.assertEqual(self.waiting(), [])

    def test_not_where_mail_stays_here(self) -> None:
        """The default."""
        self.world.site.relays = False
        link = self.logged_in()
        self.assertEqual(self.codes(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<x@far.example>\r\n"), [250, 550])


class TrickTests(RelayingCase):
    """S08: the 44 forms, with relaying on."""

    def test_none_of_forty_four_is_relayed_for_strangers(self) -> None:
        """Refused at RCPT, each of them."""
        refused = 0
        for form in RELAY:
            target = form.replace(b"%s", b"example.com").replace(b"%%", b"%")
            link = self.connect()
            self.ask(link, b"EHLO me\r\nMAIL FROM:<ann@test>\r\n")
            (code,) = self.codes(link, b"RCPT TO:<" + target + b">\r\n")
            refused += code >= 500
            link.close()
        self.assertEqual((refused, self.waiting()), (44, []))

    def test_an_account_reaches_what_the_address_says(self) -> None:
        """No percent, exclamation mark or route leads to another domain than the one behind the last @."""
        for form in RELAY:
            target = form.replace(b"%s", b"example.com").replace(b"%%", b"%")
            link = self.logged_in()
            self.ask(link, b"MAIL FROM:<ann@test>\r\n")
            (code,) = self.codes(link, b"RCPT TO:<" + target + b">\r\n")
            if code == 250:
                self.assertEqual(self.codes(link, b"DATA\r\nFrom: ann@test\r\n\r\n.\r\n"), [354, 250])
                domain = target.decode().rpartition("@")[2].strip().lower()
                self.assertEqual(self.waiting()[-1][1].rpartition("@")[2].lower(), domain, target)
            link.close()
        self.assertGreater(len(self.waiting()), 2)
