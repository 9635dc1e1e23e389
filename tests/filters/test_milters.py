"""A milter that the test scripts: what it is told, and what becomes of a mail by what it says."""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.filters import milter
from launcelot.filters.asking import Place
from launcelot.filters.milter import BadPacket, packet, strings
from launcelot.filters.milters import MilterCheck
from tests.filters.support import CONTINUE, DROP, FilterCase, MilterPeerFactory
from tests.protocols.smtp.support import ENVELOPE, MESSAGE

LATER = b"451 4.3.0 Mail cannot be looked at now, come again"


def numbered(letter: bytes, number: int, name: bytes, value: bytes) -> bytes:
    """An edit with a number."""
    return packet(letter, struct.pack(">I", number) + strings(name, value))


class MilterCase(FilterCase):
    """One milter."""

    def setUp(self) -> None:
        super().setUp()
        self.milter = MilterPeerFactory()
        self.place = Place("", "127.0.0.1", self.listen(self.milter))
        self.use(self.check(True))

    def check(self, defers: bool) -> MilterCheck:
        """One that asks it."""
        return MilterCheck(self.world.site.reactor, self.world.site.deadlines, self.place, 10.0, defers)

    def at_end(self, *edits: bytes, last: bytes = CONTINUE) -> None:
        """Have it want these at the end of the message."""
        self.milter.script["E"] = b"".join(edits) + last


class ToldTests(MilterCase):
    """What a milter hears."""

    def test_the_whole_mail(self) -> None:
        """In order, with macros before the steps that have some; nothing of ours in the header; and it is left in order."""
        self.assertEqual([line[:3] for line in self.hand_in()], [b"250", b"250", b"354", b"250"])
        self.assertEqual(self.milter.letters(), b"OCHMRTLLNBEQ")
        self.assertEqual(self.milter.data(b"C"), b"[192.0.2.3]\x004\0\x00192.0.2.3\0")
        self.assertEqual(self.milter.data(b"H") + self.milter.data(b"M"), b"me\0<eve@example.com>\0")
        self.assertEqual(self.milter.data(b"R"), b"<ann@test>\0")
        self.assertEqual(self.milter.data(b"L"), b"From\0eve@example.com\0Subject\0x\0")
        self.assertEqual(self.milter.data(b"B"), b".dot\r\nbody\r\n")
        macros = self.milter.data(b"D")
        self.assertIn(b"Cj\0here.test\0", macros)
        self.assertIn(b"{mail_addr}\0eve@example.com\0", macros)
        self.assertIn(b"{rcpt_addr}\0ann@test\0", macros)
        self.assertEqual((self.milter.open, self.tail()), (0, [MESSAGE]))

    def test_octets_in_pieces(self) -> None:
        """A body larger than a packet, and a field in several lines, with LF between them."""
        text = b"X: a\r\n\tb\r\n\r\n" + b"0123456789abcde\r\n" * 9_000
        self.assertEqual(self.hand_in(text=text)[-1][:3], b"250")
        self.assertEqual(self.milter.data(b"L"), b"X\0a\n\tb\0")
        self.assertEqual(self.milter.letters().count(b"B"), 3)
        self.assertEqual(self.milter.data(b"B"), text.partition(b"\r\n\r\n")[2])

    def test_what_it_does_not_want(self) -> None:
        """Is not told; what it does not answer is not waited for."""
        self.milter.protocol_bits = milter.NO_HELO | milter.NO_RECIPIENT | milter.NO_BODY | milter.NO_DATA
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(self.milter.letters(), b"OCMLLNEQ")
        self.milter.told.clear()
        self.milter.protocol_bits = milter.PROTOCOL & ~0x7F & ~milter.NO_DATA & ~milter.NO_UNKNOWN
        self.milter.silent = b"CHMRTLNB"
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(self.milter.letters(), b"OCHMRTLLNBEQ")
        self.assertEqual(self.milter.data(b"L"), b"From\0 eve@example.com\0Subject\0 x\0")

    def test_an_old_one(self) -> None:
        """Version 2 hears nothing of DATA; a version nobody knows is not spoken to."""
        self.milter.version = 2
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(self.milter.letters(), b"OCHMRLLNBEQ")
        self.milter.version = 7
        self.assertEqual(self.hand_in()[0], LATER)

    def test_a_mail_that_is_given_up(self) -> None:
        """By RSET, and by a connection that is lost."""
        for give_up in (b"RSET\r\n", None):
            link = self.stranger()
            link.say(ENVELOPE)
            self.world.network.settle()
            self.assertEqual(self.milter.open, 1)
            if give_up is not None:
                link.say(give_up)
            else:
                link.abort()
            self.world.network.settle()
            self.assertEqual(self.milter.open, 0)
            link.abort()
            self.world.network.settle()


class SaidTests(MilterCase):
    """What becomes of a mail."""

    def test_refusals_at_each_step(self) -> None:
        """With its own words where it has some; after one at the sender it is asked no more."""
        said = {
            milter.REJECT: b"550 5.7.1 Mail is refused by a filter",
            milter.LATER: b"451 4.7.1 A filter wants this mail to come again",
        }
        for letter, words in said.items():
            for step in "CHMRTLNBE":
                self.milter.script = {step: packet(letter)}
                self.assertEqual(self.hand_in()[-1], words, step)
                self.assertEqual(self.milter.open, 0)
        for text, words in (
            (b"554 5.7.9 Go\xff away%%\0", b"554 5.7.9 Go? away%"),
            (b"421 x\0", b"421 4.7.1 x"),
            (b"550-5.1.2 one\r\n550 5.1.2 two\0", b"550 5.1.2 one two"),
        ):
            self.milter.script = {"M": packet(milter.REPLY_CODE, text)}
            self.assertEqual(self.hand_in()[-1], words)
        self.assertEqual(self.inbox(), [])

    def test_one_recipient_is_refused(self) -> None:
        """The others get the mail."""
        link = self.stranger()
        self.milter.script = {"R": packet(milter.REJECT)}
        link.say(ENVELOPE)
        self.world.network.settle()
        self.milter.script = {}
        link.take()
        link.say(b"RCPT TO:<bob@test>\r\nDATA\r\n\r\n.\r\n")
        self.world.network.settle()
        self.assertEqual([line[:3] for line in link.take().split(b"\r\n")[:-1]], [b"250", b"354", b"250"])
        self.assertEqual((len(self.inbox()), len(self.inbox("bob"))), (0, 1))

    def test_acceptance_ends_the_asking(self) -> None:
        """At whatever step."""
        for step, heard in (("C", b"OCQ"), ("R", b"OCHMRQ"), ("L", b"OCHMRTLQ"), ("B", b"OCHMRTLLNBQ")):
            self.milter.told.clear()
            self.milter.script = {step: packet(milter.ACCEPT)}
            self.assertEqual(self.hand_in()[-1][:3], b"250")
            self.assertEqual(self.milter.letters(), heard)
        self.assertEqual(len(self.inbox()), 4)

    def test_discarded(self) -> None:
        """The peer hears that it was accepted, and nobody gets it."""
        for step in "CMRLE":
            self.milter.script = {step: packet(milter.DISCARD)}
            self.assertEqual(self.hand_in()[-1][:9], b"250 2.0.0")
        self.assertEqual(self.inbox(), [])
        self.assertEqual(self.world.site.counters.snapshot()["smtp.messages.discarded"], 5)

    def test_enough_of_the_body(self) -> None:
        """SKIP: the rest is not sent, and the end is."""
        self.milter.script = {"B": packet(milter.SKIP)}
        self.assertEqual(self.hand_in(text=b"\r\n" + b"x\r\n" * 70_000)[-1][:3], b"250")
        self.assertEqual(self.milter.letters(), b"OCHMRTNBEQ")

    def test_progress_is_waited_through(self) -> None:
        """However often."""
        self.milter.script = {"M": packet(milter.PROGRESS) * 5 + CONTINUE, "E": packet(milter.PROGRESS) * 5 + CONTINUE}
        self.assertEqual(self.hand_in()[-1][:3], b"250")


class EditTests(MilterCase):
    """What a milter wants changed."""

    def test_header(self) -> None:
        """Added, inserted, changed and taken out, in its order."""
        self.at_end(
            packet(milter.ADD, strings(b"X-Last", b"1")),
            numbered(milter.INSERT, 0, b"X-First", b"2\n two"),
            numbered(milter.CHANGE, 1, b"subject", b"other"),
            numbered(milter.CHANGE, 1, b"From", b""),
            last=packet(milter.ACCEPT),
        )
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(self.tail(), [b"X-First: 2\r\n two\r\nsubject: other\r\nX-Last: 1\r\n\r\n.dot\r\nbody\r\n"])

    def test_body(self) -> None:
        """A new one, in pieces."""
        self.at_end(packet(milter.BODY, b"new\r\n"), packet(milter.BODY, b"body\r\n"))
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(self.tail(), [MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\nnew\r\nbody\r\n"])

    def test_envelope(self) -> None:
        """Another sender, recipients more and fewer; addresses that do not exist are passed over."""
        self.at_end(
            packet(milter.SENDER, strings(b"<other@example.org>")),
            packet(milter.WITHOUT, strings(b"<ann@test>")),
            packet(milter.RECIPIENT, strings(b"<bob@test>")),
            packet(milter.RECIPIENT, strings(b"<nobody@test>")),
            packet(milter.RECIPIENT_WITH, strings(b"bob@test", b"NOTIFY=NEVER")),
        )
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(self.inbox(), [])
        (message,) = self.inbox("bob")
        self.assertTrue(message.startswith(b"Return-Path: <other@example.org>\r\nDelivered-To: bob@test\r\n"))

    def test_nobody_is_left(self) -> None:
        """A mail whose every recipient is taken out is thrown away."""
        self.at_end(packet(milter.WITHOUT, strings(b"<ann@test>")))
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(self.inbox(), [])

    def test_quarantine(self) -> None:
        """The field that sends a mail into Junk, with the reason, on top of what we say."""
        self.at_end(packet(milter.QUARANTINED, strings(b"it smells")))
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        (message,) = self.inbox()
        self.assertIn(b"X-Launcelot-Junk: milter: it smells\r\n", message.partition(b"Received:")[0])

    def test_one_behind_another_sees_its_edits(self) -> None:
        """And both count."""
        other = MilterPeerFactory()
        second = Place("", "127.0.0.1", self.listen(other))
        self.use(self.check(True), MilterCheck(self.world.site.reactor, self.world.site.deadlines, second, 10.0, True))
        self.at_end(packet(milter.ADD, strings(b"X-A", b"1")), packet(milter.BODY, b"new\r\n"))
        other.script["E"] = packet(milter.ADD, strings(b"X-B", b"2")) + CONTINUE
        self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(other.data(b"L")[-6:] + other.data(b"B"), b"X-A\x001\0new\r\n")
        self.assertTrue(self.tail()[0].endswith(b"Subject: x\r\nX-A: 1\r\nX-B: 2\r\n\r\nnew\r\n"))

    def test_forged_results_are_not_shown(self) -> None:
        """A field that only we may write is gone before a milter could believe it."""
        forged = b"Authentication-Results: here.test; spf=pass\r\n"
        self.assertEqual(self.hand_in(text=forged + MESSAGE.replace(b"\r\n.", b"\r\n.."))[-1][:3], b"250")
        self.assertNotIn(b"spf=pass", self.milter.data(b"L"))
        self.assertNotIn(b"spf=pass", self.inbox()[0])


class FailureTests(MilterCase):
    """Milters that are not there, or speak nonsense."""

    def test_every_way(self) -> None:
        """The mail comes again, or passes where that is wanted; nothing half-done is left of it."""
        cut = {step: {step: DROP} for step in "CHMRTLNBE"}
        nonsense = {
            "length": {"O": b"\0\0\0\0"},
            "endless": {"O": b"\xff\xff\xff\xffO"},
            "short": {"O": packet(b"O", b"x")},
            "other": {"O": b"HTTP/1.1 400 Bad Request\r\n\r\n"},
            "letter": {"M": packet(b"z")},
            "no verdict": {"E": packet(b"z")},
            "reply": {"M": packet(milter.REPLY_CODE, b"200 ok\0")},
            "argument": {"E": packet(milter.ADD, b"X") + CONTINUE},
            "field": {"E": packet(milter.ADD, strings(b"a b", b"x")) + CONTINUE},
            "number": {"E": packet(milter.CHANGE, b"\0") + CONTINUE},
            "address": {
                "E": packet(milter.SENDER, strings(b"<c@d.example>")) + packet(milter.RECIPIENT, strings(b"<a b>")) + CONTINUE
            },
            "not now": {"M": packet(milter.FAILED)},
            "shut down": {"E": packet(milter.SHUTDOWN)},
        }
        for name, script in {**cut, **nonsense}.items():
            self.milter.script = script
            self.use(self.check(True))
            self.assertEqual(self.hand_in()[-1], LATER, name)
            self.assertEqual(self.inbox(), [], name)
            self.assertEqual(self.milter.open, 0, name)
        for count, (name, script) in enumerate({**cut, **nonsense}.items(), 1):
            self.milter.script = script
            self.use(self.check(False))
            self.assertEqual(self.hand_in()[-1][:3], b"250", name)
            self.assertEqual(len(self.inbox()), count, name)
        self.assertIn(b"Return-Path: <eve@example.com>", self.inbox()[-1])

    def test_nobody_listens(self) -> None:
        """Likewise."""
        self.place = Place("", "127.0.0.1", 1)
        self.use(self.check(True))
        link = self.stranger()
        link.say(b"HELO me\r\nMAIL FROM:<>\r\n")
        self.world.advance(2)
        self.assertEqual(link.take().split(b"\r\n")[1], LATER)
        link.abort()

    def test_one_that_does_not_answer(self) -> None:
        """Until its time is up."""
        self.milter.silent = b"M"
        link = self.stranger()
        link.say(b"HELO me\r\nMAIL FROM:<>\r\n")
        self.world.network.settle()
        self.world.advance(8)
        self.assertEqual(link.take(), b"")
        self.world.advance(8)
        self.assertEqual(link.take().split(b"\r\n")[1], LATER)
        link.abort()
        self.world.network.settle()
        self.assertEqual(self.milter.open, 0)

    def test_one_that_is_slow_at_every_step(self) -> None:
        """The time is for all that is asked at one moment, and the mail then comes again: it does not pass."""
        self.milter.silent = b"CHM"
        link = self.stranger()
        link.say(b"HELO me\r\nMAIL FROM:<>\r\n")
        for _ in range(2):
            self.world.advance(7)
            peer: Any = self.milter.last.transport
            peer.write(CONTINUE)
            self.world.network.settle()
        self.assertEqual(link.take().split(b"\r\n")[1], LATER)
        self.assertEqual(self.milter.open, 0)
        link.abort()

    def test_too_much(self) -> None:
        """A body without end is not kept."""
        piece = packet(milter.BODY, bytes(1_000_000))
        self.at_end(*[piece] * 70)
        self.assertEqual(self.hand_in()[-1], LATER)


class GrammarTests(SynchronousTestCase):
    """Packets by themselves."""

    def test_arguments(self) -> None:
        """A NUL inside one is none; IPv6."""
        self.assertEqual(strings(b"a\0b", b""), b"ab\0\0")
        self.assertEqual(milter.connection("x", "2001:db8::1")[4:], b"Cx\x006\0\x002001:db8::1\0")
        self.assertRaises(BadPacket, milter.split, b"a", 1)
        self.assertRaises(BadPacket, milter.indexed, b"\0\0\0")

    def test_replies(self) -> None:
        """Code, status, text; a status of another class is refused."""
        for data, found in (
            (b"550 5.7.1 no\0", (550, "5.7.1", "no")),
            (b"450\0", (450, "", "")),
            (b"550 no\0", (550, "", "no")),
        ):
            self.assertEqual(milter.reply_of(data), found)
        for data in (b"", b"250 ok\0", b"550 4.7.1 x\0", b"55\0"):
            self.assertRaises(BadPacket, milter.reply_of, data)
