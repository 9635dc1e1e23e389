"""Aliases and lists with members at other hosts: who gets the mail, from whom, who is told what, and where circles end."""

from __future__ import annotations

from typing import Any

from launcelot.core.limits import ConnectionCount
from launcelot.delivery.expanding import behind, with_senders
from launcelot.message.address import Address, parse_mailbox
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.session import Role
from launcelot.spool.interface import ELSEWHERE, Envelope, SpoolId, SpoolRecipient
from tests.relay.whole import WholeCase

TEXT = b"From: eve@a.example\r\nSubject: x\r\n\r\nhi\r\n"


class AliasCase(WholeCase):
    """A next hop for far.example, and strangers who write to us."""

    def alias(self, name: str, *targets: str) -> None:
        """Make one."""
        self.world.result(self.world.site.accounts.add_alias(Address(name, "test"), [parse_mailbox(one) for one in targets]))

    def says(self, *commands: bytes, text: bytes = TEXT, factory: Any = None) -> list[bytes]:
        """The last lines of a stranger's envelope and mail."""
        link = self.connect(factory)
        heard = self.ask(link, b"EHLO me\r\n" + b"".join(one + b"\r\n" for one in commands) + b"DATA\r\n")
        answers = [line for line in heard if line[3:4] == b" "][1:]
        if answers[-1][:3] == b"354":
            answers += self.ask(link, text + b".\r\n")
        self.world.network.pump()
        link.close()
        return answers

    def from_eve(self, to: bytes, text: bytes = TEXT, parameters: bytes = b"") -> list[bytes]:
        """A stranger's mail to one address."""
        return self.says(b"MAIL FROM:<eve@a.example>", b"RCPT TO:<" + to + b">" + parameters, text=text)

    def taken(self) -> list[tuple[bytes, list[bytes], bytes]]:
        """Sender, recipients with their parameters and message of each that the next hop has taken."""
        found = [(one[0].split(b" ")[1][5:], [line[8:] for line in one[1:]], text) for one, text in self.hop.got]
        self.hop.got.clear()
        return found

    def waiting(self) -> list[Any]:
        """What is in the queue."""
        return list(self.world.result(self.world.site.spool.waiting()))


class ForwardTests(AliasCase):
    """An alias: what it sends on comes from its mail's sender."""

    def test_members_here_and_there(self) -> None:
        """Each gets it once, those elsewhere together, from an address that stands for the sender."""
        self.alias("team", "ann@test", "x@far.example", "y@far.example")
        self.assertEqual(self.from_eve(b"TEAM+d@test")[-1][:3], b"250")
        ((sender, recipients, text),) = self.taken()
        self.assertTrue(sender.startswith(b"<SRS0="), sender)
        self.assertTrue(sender.endswith(b"=a.example=eve@test>"), sender)
        self.assertEqual(
            recipients, [b"<x@far.example> ORCPT=rfc822;TEAM+2Bd@test", b"<y@far.example> ORCPT=rfc822;TEAM+2Bd@test"]
        )
        self.assertTrue(text.startswith(b"Delivered-To: TEAM+d@test\r\nReceived: from me "), text)
        self.assertTrue(text.endswith(b"\r\n" + TEXT))
        self.assertNotIn(b"Return-Path", text)
        (mail,) = self.inbox()
        self.assertIn(b"Return-Path: <eve@a.example>\r\nDelivered-To: TEAM+d@test\r\n", mail)

    def test_sender_of_ours_stays(self) -> None:
        """Other hosts believe it of us."""
        self.alias("away", "x@far.example")
        self.submit(b"away@test")
        ((sender, _, text),) = self.taken()
        self.assertEqual(sender, b"<ann@test>")
        self.assertIn(b" for <away@test>; ", text)

    def test_null_sender_stays(self) -> None:
        """Nobody is told of what becomes of a notice."""
        self.alias("away", "x@far.example")
        self.hop.script["RCPT"] = [b"250 ok", b"550 5.1.1 no"]
        for _ in range(2):
            self.assertEqual(self.says(b"MAIL FROM:<>", b"RCPT TO:<away@test>")[-1][:3], b"250")
        self.assertEqual([one[0] for one in self.taken()], [b"<>"])
        self.assertEqual(self.waiting(), [])

    def test_what_comes_back_reaches_the_sender(self) -> None:
        """The next hop took it, and tells later that it could not deliver it."""
        self.alias("away", "x@far.example")
        self.says(b"MAIL FROM:<eve@far.example>", b"RCPT TO:<away@test>")
        ((sender, _, _),) = self.taken()
        self.assertEqual(self.says(b"MAIL FROM:<>", b"RCPT TO:" + sender)[-1][:3], b"250")
        ((sender, recipients, text),) = self.taken()
        self.assertEqual((sender, recipients), (b"<>", [b"<eve@far.example> NOTIFY=NEVER"]))
        self.assertNotIn(b"Delivered-To", text)

    def test_circles_end(self) -> None:
        """Mail that comes back for the address that has sent it on is refused, and nobody here gets it twice."""
        self.alias("team", "ann@test", "x@far.example")
        self.from_eve(b"team@test")
        ((_, _, text),) = self.taken()
        self.assertEqual(self.from_eve(b"Team@test", text)[-1], b"554 5.4.6 Mail for that address is sent on, and has come back")
        self.assertEqual((len(self.inbox()), self.taken(), self.waiting()), (1, [], []))
        self.assertEqual(self.from_eve(b"ann@test", text)[-1][:3], b"250")

    def test_circle_of_hops(self) -> None:
        """Two hosts that each send on what they get, whatever they write on top: it ends by the count."""
        self.alias("away", "x@far.example")
        text = b"Received: x\r\n" * 101 + TEXT
        self.assertEqual(self.from_eve(b"away@test", text)[-1][:9], b"554 5.4.6")

    def test_relaying_is_for_aliases_alone(self) -> None:
        """A member's own address is still somebody else's to strangers."""
        self.alias("away", "x@far.example")
        for address in (b"x@far.example", b"x%far.example@test", b"@test:x@far.example"):
            self.assertEqual(self.from_eve(address)[1][:1], b"5", address)
        self.assertEqual(self.taken(), [])

    def test_where_mail_stays_here(self) -> None:
        """It comes again, for who looks after the host has to choose; nobody gets half of it."""
        self.alias("team", "ann@test", "x@far.example")
        self.world.site.relays = False
        self.assertEqual(self.from_eve(b"team@test")[1][:9], b"451 4.3.5")
        self.assertEqual(self.inbox(), [])

    def test_sender_without_a_way_back(self) -> None:
        """A stranger whom nobody has shown to be himself is told nothing; the mail is held for a person."""
        self.alias("away", "x@far.example")
        self.hop.script["RCPT"] = [b"550 5.1.1 nobody"]
        self.from_eve(b"away@test")
        self.assertEqual(self.taken(), [])
        (row,) = self.waiting()
        self.assertEqual((row.held, row.via, row.sender, row.recipient), (True, "away@test", "eve@a.example", "x@far.example"))
        self.assertTrue(row.sent_as.startswith("SRS0="))

    def test_own_sender_is_told(self) -> None:
        """With the address that was written to as the original one."""
        self.alias("away", "x@far.example")
        self.hop.script["RCPT"] = [b"550 5.1.1 nobody"]
        self.submit(b"away@test")
        (notice,) = self.notices()
        text, status, _ = notice.get_payload()
        self.assertIn("<x@far.example>, to whom mail for <away@test> is sent on", text.get_payload())
        fields = status.get_payload()[1]
        self.assertEqual(
            (fields["Original-Recipient"], fields["Final-Recipient"]), ("rfc822;away@test", "rfc822; x@far.example")
        )

    def test_what_was_asked_goes_on(self) -> None:
        """To one alone as it is; of success to the first of several only.  RFC 3461 sections 5.2.7.2 and 5.2.7.3."""
        self.alias("one", "x@far.example")
        self.alias("two", "x@far.example", "y@far.example")
        self.alias("mixed", "ann@test", "x@far.example")
        asked = b" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@a.example"
        for name, wanted in (
            (b"one", [b"NOTIFY=SUCCESS,FAILURE"]),
            (b"two", [b"NOTIFY=SUCCESS,FAILURE", b"NOTIFY=FAILURE"]),
            (b"mixed", [b"NOTIFY=FAILURE"]),
        ):
            self.submit(name + b"@test", parameters=asked)
            ((_, recipients, _),) = self.taken()
            found = [one.split(b" ", 1)[1] for one in recipients]
            self.assertEqual(found, [one + b" ORCPT=rfc822;o@a.example" for one in wanted])
        (notice,) = [one for one in self.notices() if one.is_multipart()]
        self.assertEqual(notice.get_payload()[1].get_payload()[1]["Action"], "delivered")

    def test_notices_to_an_alias_go_on(self) -> None:
        """An address here as sender, whose mail goes elsewhere."""
        self.alias("boss", "ann@test", "y@far.example")
        self.hop.script["RCPT"] = [b"550 5.1.1 nobody"]
        link = self.logged_in()
        self.codes(link, b"MAIL FROM:<boss@test>\r\nRCPT TO:<x@far.example>\r\nDATA\r\n")
        self.codes(link, TEXT.replace(b"eve@a.example", b"boss@test") + b".\r\n")
        self.world.network.pump()
        self.assertEqual(len(self.inbox()), 1)
        ((sender, recipients, text),) = self.taken()
        self.assertEqual((sender, recipients), (b"<>", [b"<y@far.example> NOTIFY=NEVER"]))
        self.assertTrue(text.startswith(b"Delivered-To: boss@test\r\n"))

    def test_over_lmtp(self) -> None:
        """Who is here has it when it is answered, and who is elsewhere gets it then."""
        lmtp = SmtpFactory(self.world.site, "lmtp", ConnectionCount(9, 9), self.settings, Role.LMTP)
        self.alias("team", "ann@test", "x@far.example")
        deposits = self.world.site.deposits
        assert deposits is not None
        deposits._spool = self.world.site.spool
        link = self.world.connect(lmtp, "127.0.0.1")
        link.take()
        link.say(b"LHLO me\r\nMAIL FROM:<eve@a.example>\r\nRCPT TO:<team@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n")
        link.take()
        self.assertEqual([one[:3] for one in self.ask(link, TEXT + b".\r\n")], [b"250", b"250"])
        self.assertEqual((len(self.inbox()), len(self.inbox("bob"))), (1, 1))
        self.world.network.pump()
        ((sender, recipients, _),) = self.taken()
        self.assertTrue(sender.startswith(b"<SRS0="))
        self.assertEqual(len(recipients), 1)

    def test_over_lmtp_with_a_full_mailbox(self) -> None:
        """Who sends does not send again what has gone on to others: the spool tries the rest."""
        lmtp = SmtpFactory(self.world.site, "lmtp", ConnectionCount(9, 9), self.settings, Role.LMTP)
        self.alias("team", "ann@test", "x@far.example")
        deposits = self.world.site.deposits
        assert deposits is not None
        deposits._spool = self.world.site.spool
        self.world.result(self.world.site.accounts.change("ann", quota=1))
        link = self.world.connect(lmtp, "127.0.0.1")
        link.take()
        link.say(b"LHLO me\r\nMAIL FROM:<eve@a.example>\r\nRCPT TO:<team@test>\r\nDATA\r\n")
        link.take()
        self.assertEqual([one[:3] for one in self.ask(link, TEXT + b".\r\n")], [b"250"])
        self.world.network.pump()
        self.assertEqual(len(self.taken()), 1)
        (row,) = self.waiting()
        self.assertEqual((row.recipient, row.attempts, row.destination), ("team@test", 1, ""))

    def test_scripts_write_to_aliases(self) -> None:
        """What a script redirects to an alias here goes on like all mail for it."""
        self.alias("away", "x@far.example")
        self.world.result(self.outbound.send(SpoolId("r1"), Address("eve", "a.example"), Address("away", "test"), TEXT))
        self.world.network.pump()
        ((sender, _, text),) = self.taken()
        self.assertTrue(sender.startswith(b"<SRS0="))
        self.assertTrue(text.startswith(b"Delivered-To: away@test\r\n"))

    def test_long_mail_for_an_old_host(self) -> None:
        """What is recoded for a host without 8BITMIME has its field on top as well."""
        self.hop.extensions = (b"PIPELINING",)
        self.alias("away", "x@far.example")
        text = b"From: eve@a.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        self.from_eve(b"away@test", text + b"Content-Transfer-Encoding: 8bit\r\n\r\nh\xc3\xbc\r\n")
        ((_, _, text),) = self.taken()
        self.assertTrue(text.startswith(b"Delivered-To: away@test\r\nReceived: "))
        self.assertTrue(text.isascii())


class ListTests(AliasCase):
    """A list: its owner stands for it."""

    def setUp(self) -> None:
        super().setUp()
        self.alias("list", "ann@test", "x@far.example")
        self.alias("owner-list", "bob@test")

    def test_owner_is_the_sender(self) -> None:
        """For all of its members; nothing of what its mail's sender asked about notices goes on."""
        self.submit(b"list@test", parameters=b" NOTIFY=NEVER ORCPT=rfc822;o@a.example")
        ((sender, recipients, text),) = self.taken()
        self.assertEqual((sender, recipients), (b"<owner-list@test>", [b"<x@far.example>"]))
        self.assertTrue(text.startswith(b"Delivered-To: list@test\r\n"))
        self.assertIn(b"Return-Path: <owner-list@test>\r\n", self.inbox()[0])
        self.assertNotIn(b"ENVID", b"".join(self.hop.heard))

    def test_owner_is_told_what_goes_wrong(self) -> None:
        """And nobody else, so that a stranger who forges a sender has us write to nobody."""
        self.hop.script["RCPT"] = [b"550 5.1.1 nobody"]
        self.from_eve(b"list@test")
        self.world.network.pump()
        (notice,) = self.notices("bob")
        self.assertEqual(notice["To"], "owner-list@test")
        self.assertEqual(notice.get_payload()[1].get_payload()[1]["Final-Recipient"], "rfc822; x@far.example")
        self.assertEqual((self.taken(), self.waiting()), ([], []))

    def test_list_is_the_end_of_the_way(self) -> None:
        """A sender who asks of success hears of the list's address, once.  RFC 3461 section 5.2.7.1."""
        self.alias("far", "x@far.example", "y@far.example")
        self.alias("owner-far", "bob@test")
        self.submit(b"far@test", parameters=b" NOTIFY=SUCCESS")
        (notice,) = self.notices()
        text, status, _ = notice.get_payload()
        (fields,) = status.get_payload()[1:]
        self.assertEqual((fields["Action"], fields["Final-Recipient"]), ("delivered", "rfc822; far@test"))
        self.assertNotIn("far.example", text.get_payload())
        ((_, recipients, _),) = self.taken()
        self.assertEqual(recipients, [b"<x@far.example>", b"<y@far.example>"])

    def test_null_sender_stays(self) -> None:
        """Two lists that are each other's members' owners do not write to each other for ever."""
        self.says(b"MAIL FROM:<>", b"RCPT TO:<list@test>")
        ((sender, _, _),) = self.taken()
        self.assertEqual(sender, b"<>")


class ExpandingTests(AliasCase):
    """The envelope behind an address."""

    def test_same_address_twice(self) -> None:
        """Named itself and as a member of an alias: one copy."""
        self.alias("away", "x@far.example")
        self.submit(b"x@far.example", b"away@test")
        ((_, recipients, _),) = self.taken()
        self.assertEqual(recipients, [b"<x@far.example>"])

    def test_different_ways_are_different_mails(self) -> None:
        """Each says on top by which address it came."""
        self.alias("one", "x@far.example")
        self.alias("two", "y@far.example")
        self.submit(b"one@test", b"two@test", b"z@far.example")
        tops = sorted(text.split(b"\r\n")[0].split(b" ")[1] for _, _, text in self.taken())
        self.assertEqual(tops, [b"from", b"one@test", b"two@test"])

    def test_utf8(self) -> None:
        """An alias beyond ASCII has its mail sent on as such."""
        self.alias("t\u00e9am", "x@far.example")
        heard = self.says(b"MAIL FROM:<eve@a.example> SMTPUTF8", "RCPT TO:<t\u00e9am@test>".encode())
        self.assertEqual(heard[-1][:3], b"250")
        ((_, (recipient,), text),) = self.taken()
        self.assertIn(b"ORCPT=utf-8;", recipient)
        self.assertTrue(text.startswith("Delivered-To: t\u00e9am@test\r\n".encode()))
        self.assertIn(b" SMTPUTF8", next(one for one in self.hop.heard if one.startswith(b"MAIL")))

    def test_senders_are_made_where_they_are_needed(self) -> None:
        """Once for all; not for recipients here, nor for a list's."""
        site = self.world.site
        self.alias("team", "ann@test", "x@far.example", "y@far.example")
        wanted = SpoolRecipient(ELSEWHERE, Address("team", "test"))
        found = behind(wanted, self.world.result(site.accounts.expand(wanted.address)))
        self.assertEqual([one.is_remote for one in found], [False, True, True])
        envelope = Envelope(SpoolId("e"), Address("eve", "a.example"), tuple(found))
        made = self.world.result(with_senders(envelope, site.accounts.is_local, site.forwarding))
        here, one, two = (envelope.for_one(each).sender for each in made.recipients)
        self.assertEqual(here, envelope.sender)
        self.assertEqual((one, one and one.domain), (two, "test"))
        self.assertIs(self.world.result(with_senders(envelope, site.accounts.is_local, None)), envelope)
