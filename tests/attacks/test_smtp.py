"""SMTP: smuggling, relaying, lies about size, floods of recipients, injection by arguments."""

from __future__ import annotations

import base64
import itertools
from functools import partial

from tests.attacks.harness import AttackCase
from tests.attacks.peer import Peer

SMUGGLED = (
    b"MAIL FROM:<evil@elsewhere.example>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n"
    b"From: evil@elsewhere.example\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"
)

ENDS = [
    before + b"." + after
    for before, after in itertools.product((b"\n", b"\r", b"\r\n"), repeat=2)
    if before + after != b"\r\n\r\n"
] + [
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\n\n.\r\n",
    b"\r\n. \r\n",
    b"\x85.\x85",
    b"\x0b.\x0b",
    "\u2028.\u2028".encode(),
    b"\r\n..\r\n",
]
"""S01: the eighteen that some server takes for the end of data, and CRLF.CRLF is not."""

ENVELOPE = b"MAIL FROM:<a@elsewhere.example>\r\nRCPT TO:<brandon@example.com>\r\n"
SEEDED = 3
"""Messages that Brandon has from the start."""

OWN_ENVELOPE = b"MAIL FROM:<brandon@example.com>\r\nRCPT TO:<brandon@example.com>\r\n"


def is_bare(data: bytes) -> bool:
    """Whether there is a CR without LF or an LF without CR."""
    return data.replace(b"\r\n", b"").count(b"\r") + data.replace(b"\r\n", b"").count(b"\n") > 0


class SmtpAttackCase(AttackCase):
    """Peers who have said EHLO."""

    def mx(self) -> Peer:
        """Somebody from elsewhere."""
        peer = self.peer("smtp")
        peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
        return peer

    def submission(self) -> Peer:
        """Brandon."""
        peer = self.peer("submission")
        peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
        secret = f"\0brandon\0{self.demo.accounts['brandon']}".encode()
        self.assertEqual(peer.ask(b"AUTH PLAIN " + base64.b64encode(secret) + b"\r\n")[:3], b"235")
        return peer

    def subjects(self, user: str) -> list[bytes]:
        """The Subject lines of somebody's messages."""
        return [line for message in self.inbox(user) for line in message.split(b"\r\n") if line.startswith(b"Subject:")]


class SmugglingTests(SmtpAttackCase):
    """S01, S02."""

    def message(self, number: int, end: bytes) -> bytes:
        """A message whose text holds an end that is none, and a second envelope."""
        return (
            b"From: brandon@example.com\r\nTo: brandon@example.com\r\nSubject: carrier %d\r\n\r\nbody" % number
            + end
            + SMUGGLED[:-3]
        )

    def test_none_smuggles_into_the_mx(self) -> None:
        """By DATA: at most one message, to whom the envelope names; a bare CR or LF is refused and ends the session."""
        self.assertEqual(len(set(ENDS)), 18)
        for number, end in enumerate(ENDS):
            peer = self.mx()
            peer.say(ENVELOPE + b"DATA\r\n" + self.message(number, end) + b".\r\nQUIT\r\n")
            answers = peer.rest().split(b"\r\n")
            with self.subTest(end=end):
                self.assertEqual([answer[:3] for answer in answers[:3]], [b"250", b"250", b"354"])
                if is_bare(end):
                    self.assertEqual([answer[:9] for answer in answers[3:]], [b"550 5.5.2", b""])
                else:
                    self.assertEqual([answer[:3] for answer in answers[3:]], [b"250", b"221", b""])
        self.check(b"carrier %d", [end for end in ENDS if not is_bare(end)])

    def test_none_smuggles_into_the_submission_server(self) -> None:
        """By DATA: one message each, its line ends made CRLF, and nothing for Ann."""
        for number, end in enumerate(ENDS):
            peer = self.submission()
            peer.say(OWN_ENVELOPE + b"DATA\r\n" + self.message(number, end) + b".\r\nQUIT\r\n")
            with self.subTest(end=end):
                answers = peer.rest().split(b"\r\n")
                self.assertEqual([answer[:3] for answer in answers], [b"250", b"250", b"354", b"250", b"221", b""])
        self.check(b"carrier %d", ENDS)

    def test_none_smuggles_by_chunks(self) -> None:
        """By BDAT: the octets are counted, stored as they are or refused, and never commands."""
        for number, end in enumerate([*ENDS, b"\r\n.\r\n"]):
            text = self.message(number, end) + b".\r\n"
            for peer, envelope in ((self.mx(), ENVELOPE), (self.submission(), OWN_ENVELOPE)):
                half = len(text) // 2
                peer.say(
                    envelope
                    + b"BDAT %d\r\n%b" % (half, text[:half])
                    + b"BDAT %d LAST\r\n%b" % (len(text) - half, text[half:])
                    + b"QUIT\r\n"
                )
                answers = [answer[:3] for answer in peer.rest().split(b"\r\n")]
                with self.subTest(end=end, envelope=envelope[:20]):
                    self.assertLessEqual(answers.count(b"250"), 4)
                    self.assertNotIn(b"354", answers)
        self.assertEqual([subject for subject in self.subjects("ann") if b"smuggled" in subject], [])

    def test_none_smuggles_by_binary_chunks(self) -> None:
        """By BODY=BINARYMIME: one message each; what lies in the mailbox has no bare line end, as its part is base64 by then."""
        every = [*ENDS, b"\r\n.\r\n"]
        for number, end in enumerate(every):
            text = self.message(number, end) + b".\r\n"
            for peer, envelope in ((self.mx(), ENVELOPE), (self.submission(), OWN_ENVELOPE)):
                said = envelope.replace(b">\r\nRCPT", b"> BODY=BINARYMIME\r\nRCPT") + b"BDAT %d LAST\r\n" % len(text)
                peer.say(said + text + b"QUIT\r\n")
                answers = [answer[:3] for answer in peer.rest().split(b"\r\n")]
                with self.subTest(end=end, envelope=envelope[:20]):
                    self.assertEqual(answers, [b"250", b"250", b"250", b"221", b""])
        found = self.inbox("brandon")
        self.assertEqual(len([one for one in found if b"Subject: carrier" in one]), 2 * len(every))
        self.assertFalse([one for one in found if is_bare(one)])
        self.assertEqual(self.inbox("ann"), [])

    def test_nobody_speaks_for_others(self) -> None:
        """XCLIENT and XFORWARD, also from this machine: 550, and no login or address is believed."""
        peer = self.peer("submission")
        peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
        for command in (b"XCLIENT ADDR=127.0.0.1 LOGIN=brandon", b"XCLIENT NAME=x", b"XFORWARD ADDR=192.0.2.1"):
            self.assertEqual(peer.ask(command + b"\r\n")[:9], b"550 5.7.0")
        self.assertEqual(peer.ask(b"MAIL FROM:<brandon@example.com>\r\n")[:3], b"530")

    def check(self, form: bytes, ends: list[bytes]) -> None:
        """Brandon has one message for each of these ends, without bare line ends; Ann has none."""
        self.assertNotIn(b"Subject: smuggled", self.subjects("ann"))
        self.assertEqual(self.inbox("ann"), [])
        carriers = [message for message in self.inbox("brandon") if b"Subject: carrier" in message]
        found = sorted(line for message in carriers for line in message.split(b"\r\n") if line.startswith(b"Subject: carrier"))
        self.assertEqual(found, sorted(b"Subject: " + form % ENDS.index(end) for end in ends))
        for message in carriers:
            self.assertFalse(is_bare(message))
            self.assertIn(b"MAIL FROM:<evil", message)

    def test_absurd_chunks(self) -> None:
        """S07: sizes that are none end the session, as where the next command begins is unknown; huge ones too."""
        sizes = (b"99999999999999999999", b"-1", b"0x5", b"+5", b"5 LAST LAST", b"5 FIRST", b"", b"1e3", b"\xd9\xa1", b"1" * 11)
        for size in sizes:
            with self.subTest(size=size):
                peer = self.mx()
                peer.say(ENVELOPE + b"BDAT " + size + b"\r\n" + SMUGGLED)
                answers = [answer[:3] for answer in peer.rest().split(b"\r\n")]
                self.assertEqual(answers[:2], [b"250", b"250"])
                self.assertIn(answers[2], (b"500", b"501", b"552"))
                self.assertEqual(answers[3:], [b""])

    def test_many_tiny_chunks(self) -> None:
        """S07: 30,000 chunks of one octet are one message."""
        peer = self.mx()
        peer.say(ENVELOPE)
        text = b"Subject: chunks\r\n\r\n" + b"y" * 30_000
        came = peer.pump(b"".join(b"BDAT 1\r\n" + text[at : at + 1] for at in range(len(text))) + b"BDAT 0 LAST\r\nQUIT\r\n")
        heard = came.heard + peer.rest()
        self.assertEqual(heard.count(b"250 2.0.0 1 octets received\r\n"), len(text))
        self.assertTrue(self.inbox("brandon")[-1].endswith(b"y" * 30_000))


RELAYS = tuple(
    form.replace(b"L", b"example.com").replace(b"X", b"elsewhere.example").replace(b"I", b"127.0.0.1")
    for form in (
        b"<u@X>", b"<u%X@L>", b'<"u@X"@L>', b'<"u%X"@L>', b'<"u%X">', b"<u%X>", b"<@L:u@X>", b"<@X,@L:u@X>",
        b"<u@X@L>", b"<u@L@X>", b"<u@[I]>", b"<u%X@[I]>", b'<"u@X"@[I]>', b"<X!u>", b"<X!u@L>", b"<L!X!u>",
        b"<L!u@X>", b"<X!u@[I]>", b"<u@X.>", b"<u%X.@L>", b"<u@X,v@L>", b"<u@X>,<ann@L>", b"<ann@L> <u@X>", b"<ann@L,u@X>",
        b"<ann@L>u@X", b"u@X", b"<u@(ann@L)X>", b"<(ann@L)u@X>", b"<u(@L)@X>", b'<"ann@L"@X>', b"<ann@X>", b"<ann@L.X>",
        b"<ann@XL>", b"<ann@[IPv6:::1]>", b"<ann@127.0.0.1>", b"<ann@#2130706433>", b"<:u@X>", b"<@:u@X>", b"<u@X\0@L>",
        b"<u@X\r@L>", b"<u@L\0.X>", b"<u+ann@X>", b"<<ann@L>@X>", b"<>",
    )
)  # fmt: skip
"""S08: forty-four ways to name somebody elsewhere, of which servers have taken some for somebody here."""


class RelayTests(SmtpAttackCase):
    """S08, S11."""

    def test_none_of_the_forms_is_relayed(self) -> None:
        """Strangers and accounts alike: each is refused for good."""
        self.assertEqual(len(set(RELAYS)), 44)
        for make in (self.mx, self.submission):
            for start in range(0, len(RELAYS), 4):
                peer = make()
                peer.ask(b"MAIL FROM:<%b@example.com>\r\n" % (b"brandon" if make == self.submission else b"x"))
                for form in RELAYS[start : start + 4]:
                    with self.subTest(form=form, make=make.__name__):
                        self.assertRegex(peer.ask(b"RCPT TO:" + form + b"\r\n"), rb"^5\d\d ")

    def test_arguments_are_no_second_command(self) -> None:
        """CR, NUL and encoded line ends in MAIL and RCPT: 5xx, and no recipient."""
        for command in (
            b"MAIL FROM:<a@b.example>\rRCPT TO:<brandon@example.com>",
            b"MAIL FROM:<a@b.example\r\0>",
            b"MAIL FROM:<a@b.example> ENVID=x+0D+0ARSET",
            b"MAIL FROM:<a@b.example> AUTH=<>\rx",
            b"MAIL FROM:<a@b.example> SIZE=1 SIZE=2",
            b"MAIL FROM:<a@b.example> " + b"X=1 " * 400,
            b"MAIL FROM:<a@b.example> SIZE=-1",
            b"MAIL FROM:<a@b.example> SIZE=99999999999999999999999",
            b"MAIL FROM:<\xff@b.example>",
            "MAIL FROM:<\u00fc@b.example>".encode(),
            b"MAIL FROM:<" + b"a" * 65 + b"@b.example>",
            b"MAIL FROM:<a@" + b"b." * 200 + b"example>",
            b'MAIL FROM:<"' + b"\\a" * 500 + b'"@b.example>',
            b"MAIL FROM:" + b"<" * 900,
            b'MAIL FROM:<"' + b"a" * 1_900,
        ):
            with self.subTest(command=command[:60]):
                peer = self.mx()
                self.assertRegex(peer.ask(command + b"\r\n"), rb"^5\d\d ")
                self.assertRegex(peer.ask(b"RCPT TO:<brandon@example.com>\r\n"), rb"^503 ")

    def test_a_greeting_cannot_forge_the_trace(self) -> None:
        """Names that would put words or lines into Received or the log are refused."""
        for name in (b"x) by evil (", b"x\rReceived: y", b"<script>", b"x\x1b[2J", b"\xff", b"x" * 300, b"[127.0.0.1\0]"):
            with self.subTest(name=name[:20]):
                for verb in (b"EHLO ", b"HELO "):
                    self.assertRegex(self.peer("smtp").ask(verb + name + b"\r\n"), rb"^50[01] ")


class SizeTests(SmtpAttackCase):
    """S12, S13, S14, S18."""

    def test_long_lines_are_kept(self) -> None:
        """Lines of 998, 1,000, a million and 20 million octets in a body come out as they went in."""
        for length in (998, 1_000, 1_000_000, 20_000_000):
            with self.subTest(length=length):
                peer = self.mx()
                peer.say(ENVELOPE + b"DATA\r\n")
                came = peer.pump(b"Subject: %d\r\n\r\n" % length + b"z" * length + b"\r\n.\r\nQUIT\r\n")
                heard = came.heard + peer.rest()
                self.assertIn(b"250 2.0.0 Accepted", heard)
        self.until(lambda: len(self.sizes()) == SEEDED + 4)

    def sizes(self) -> list[bytes]:
        """The sizes of what Brandon has, without the messages."""
        peer = self.peer("imap")
        secret = self.demo.accounts["brandon"].encode()
        peer.say(b"a LOGIN brandon %b\r\nb SELECT INBOX\r\nc FETCH 1:* RFC822.SIZE\r\n" % secret)
        heard = peer.hear(b"c OK", 5.0)
        peer.close()
        return [line for line in heard.split(b"\r\n") if b"RFC822.SIZE" in line]

    def test_long_header_lines(self) -> None:
        """A field of 1 MB, one of 10,000 folds and 20,000 fields: an answer within a second each, no stall."""
        for header in (
            b"X-Long: " + b"x" * 1_000_000,
            b"X-Fold: " + b"x\r\n " * 10_000 + b"x",
            b"\r\n".join(b"X-%d: y" % number for number in range(20_000)),
            b"To: " + b'"a' * 20_000,
            b"To: " + b",".join([b"a@b.example"] * 20_000),
            b"From: " + b"(" * 20_000,
            b"Subject: " + b"=?utf-8?q?=41?= " * 20_000,
            b"Content-Type: text/plain" + b"; a*%d=b" * 2_000,
            b"Received: x\r\n" * 29_000,
        ):
            with self.subTest(header=header[:20]):
                peer = self.mx()
                peer.say(ENVELOPE + b"DATA\r\n")
                came = peer.pump(header.rstrip(b"\r\n") + b"\r\n\r\nx\r\n.\r\n")
                peer.say(b"QUIT\r\n")
                heard = came.heard + peer.rest()
                self.assertRegex(heard, rb"354 [^\r\n]*\r\n(?:250|5\d\d) [^\r\n]*\r\n221 ")

    def test_every_octet_of_a_body_is_kept(self) -> None:
        """0 to 255 in a message, apart from bare line ends, come out as they went in."""
        octets = bytes(octet for octet in range(256) if octet not in b"\r\n")
        peer = self.mx()
        peer.say(b"MAIL FROM:<a@b.example> BODY=8BITMIME\r\nRCPT TO:<brandon@example.com>\r\nDATA\r\n")
        peer.say(b"Subject: octets\r\n\r\n" + octets + b"\r\n.\r\nQUIT\r\n")
        self.assertIn(b"250 2.0.0 Accepted", peer.rest())
        pop = self.peer("pop3")
        pop.ask(b"USER brandon\r\n")
        pop.ask(b"PASS %b\r\n" % self.demo.accounts["brandon"].encode())
        self.assertIn(octets, pop.ask(b"RETR 4\r\n", b"\r\n.\r\n"))

    def test_lies_about_size(self) -> None:
        """SIZE=10^12 is refused at MAIL; 60 MB behind SIZE=1 are thrown away at constant memory and refused."""
        peer = self.mx()
        self.assertEqual(peer.ask(b"MAIL FROM:<a@b.example> SIZE=1000000000000\r\n")[:9], b"552 5.3.4")
        peer.say(b"MAIL FROM:<a@b.example> SIZE=1\r\nRCPT TO:<brandon@example.com>\r\nDATA\r\n")
        piece = b"lie " * 19 + b"\r\n"
        came = peer.pump(b"Subject: lie\r\n\r\n" + piece * (60_000_000 // len(piece)) + b".\r\nQUIT\r\n", 30.0)
        self.assertIn(b"552 5.3.4 Message is larger than the limit\r\n221 ", came.heard + peer.rest())
        self.assertEqual(len(self.sizes()), SEEDED)

    def test_a_flood_of_recipients(self) -> None:
        """Of 20,000 RCPT a hundred are taken, the others are to come again; the mail is delivered once."""
        peer = self.mx()
        peer.say(b"MAIL FROM:<a@b.example>\r\n")
        came = peer.pump(b"RCPT TO:<brandon@example.com>\r\n" * 20_000 + b"DATA\r\n")
        heard = came.heard + peer.hear(b"354 ")
        peer.say(b"Subject: flood\r\n\r\nx\r\n.\r\nQUIT\r\n")
        peer.rest()
        self.assertEqual(heard.count(b"250 2.1.5 Recipient ok\r\n"), 100)
        self.assertEqual(heard.count(b"452 4.5.3 Too many recipients\r\n"), 19_900)
        self.assertEqual(self.subjects("brandon").count(b"Subject: flood"), 1)

    def test_a_flood_of_strangers(self) -> None:
        """S17: recipients nobody knows end the session after a few, slowly."""
        peer = self.mx()
        peer.say(b"MAIL FROM:<a@b.example>\r\n")
        came = peer.pump(b"".join(b"RCPT TO:<u%d@example.com>\r\n" % number for number in range(1_000)))
        heard = came.heard + peer.rest()
        self.assertEqual(heard.count(b"550 5.1.1"), 10)
        self.assertTrue(heard.endswith(b"421 4.7.0 Too many errors\r\n"))

    def test_vanishing_in_a_message(self) -> None:
        """C15: FIN or RST before the final dot leaves nothing; FIN behind it leaves one message."""
        text = ENVELOPE + b"DATA\r\nSubject: half\r\n\r\nx\r\n.\r\n"
        for vanish in (Peer.reset, Peer.finish):
            for end in range(len(ENVELOPE) + 6, len(text)):
                peer = self.peer("smtp")
                peer.say(b"HELO x\r\n" + text[:end])
                vanish(peer)
        peer = self.peer("smtp")
        peer.say(b"HELO x\r\n" + text)
        peer.finish()
        self.assertIn(b"250 2.0.0 Accepted", peer.rest())
        self.assertEqual(self.subjects("brandon").count(b"Subject: half"), 1)

    def test_several_hostile_senders_at_once(self) -> None:
        """Ten of them with a megabyte each, one line: all are kept, memory stays."""
        text = b"Subject: many\r\n\r\n" + b"x" * 1_000_000 + b"\r\n.\r\nQUIT\r\n"
        jobs = []
        for _ in range(10):
            peer = self.mx()
            peer.say(ENVELOPE + b"DATA\r\n")
            jobs.append(partial(peer.pump, text))
        self.together(jobs)
        self.until(lambda: len(self.sizes()) == SEEDED + 10)


class EarlyTests(SmtpAttackCase):
    """S05."""

    def test_what_stands_behind_auth_is_its_response(self) -> None:
        """Commands pipelined behind AUTH without waiting are taken for a response, not run."""
        peer = self.mx()
        peer.say(b"AUTH PLAIN\r\nMAIL FROM:<a@b.example>\r\nNOOP\r\n")
        self.assertEqual(peer.hear()[:4], b"334 ")
        self.assertEqual(peer.hear()[:9], b"501 5.5.2")
        self.assertEqual(peer.hear()[:3], b"250")
        self.assertEqual(peer.ask(b"RCPT TO:<brandon@example.com>\r\n")[:3], b"503")

    def test_talking_before_the_greeting(self) -> None:
        """Nothing is answered out of order, and a mail so sent is one mail."""
        peer = self.peer("smtp", greeted=False)
        peer.say(b"HELO x\r\n" + ENVELOPE + b"DATA\r\nSubject: early\r\n\r\nx\r\n.\r\nQUIT\r\n")
        answers = [answer[:3] for answer in peer.rest().split(b"\r\n")]
        self.assertEqual(answers, [b"220", b"250", b"250", b"250", b"354", b"250", b"221", b""])
        self.assertEqual(self.subjects("brandon").count(b"Subject: early"), 1)
