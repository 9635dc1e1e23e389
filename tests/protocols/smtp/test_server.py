"""The server's dialogue: commands, replies, envelope, messages, settings."""

from __future__ import annotations

from random import Random

from launcelot.core.errors import TryLater
from launcelot.message.address import Address
from launcelot.testing.dialogue import play
from launcelot.testing.link import random_cuts
from tests.protocols.smtp.support import ENVELOPE, MESSAGE, STUFFED, SmtpCase, below_trace


class DialogueTests(SmtpCase):
    """What is said in which order."""

    def test_a_mail_comes_in(self) -> None:
        """The shortest way of a message, with its words."""
        play(
            self.mx,
            self.world.clock,
            """
            S: 220 here.test ESMTP Launcelot
            C: EHLO client.example
            S: 250-here.test greets client.example
            S: 250-PIPELINING
            S: 250-SIZE 52428800
            S: 250-8BITMIME
            S: 250-SMTPUTF8
            S: 250-ENHANCEDSTATUSCODES
            S: 250-CHUNKING
            S: 250-BINARYMIME
            S: 250-LIMITS RCPTMAX=100
            S: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN
            S: 250 HELP
            C: MAIL FROM:<eve@example.com> SIZE=40 BODY=8BITMIME
            S: 250 2.1.0 Sender ok
            C: RCPT TO:<ann@test>
            S: 250 2.1.5 Recipient ok
            C: DATA
            S: 354 End data with <CRLF>.<CRLF>
            C: Subject: x
            C:
            C: ..
            C: .
            S: 250 2.0.0 Accepted as *
            C: QUIT
            S: 221 2.0.0 here.test closing connection
            -- closed
            """,
        )
        self.assertEqual(self.bodies(), [b"Subject: x\r\n\r\n.\r\n"])

    def test_helo_has_no_extensions(self) -> None:
        """A client of 1982 is served; MAIL parameters need EHLO."""
        link = self.connect()
        self.assertEqual(self.ask(link, b"HELO old\r\n"), [b"250 here.test"])
        self.assertEqual(self.codes(link, b"MAIL FROM:<e@x.org> SIZE=1\r\n"), [555])
        self.assertEqual(self.codes(link, b"AUTH PLAIN\r\n"), [503])
        self.assertEqual(
            self.codes(link, b"MAIL FROM:<e@x.org>\r\nRCPT TO:<ann@test>\r\nDATA\r\nhi\r\n.\r\n"), [250, 250, 354, 250]
        )
        self.assertIn(b"with SMTP\r\n", self.inbox()[0])

    def test_order_of_commands(self) -> None:
        """What comes too early or twice is refused and changes nothing."""
        link = self.connect()
        self.assertEqual(self.codes(link, b"MAIL FROM:<e@x.org>\r\n"), [503])
        self.assertEqual(self.codes(link, b"EHLO me\r\nRCPT TO:<ann@test>\r\nDATA\r\n"), [250, 503, 503])
        self.assertEqual(self.codes(link, b"MAIL FROM:<e@x.org>\r\nDATA\r\nMAIL FROM:<e@x.org>\r\n"), [250, 503, 503])
        self.assertEqual(self.codes(link, b"RCPT TO:<ann@test>\r\nRSET\r\nRCPT TO:<ann@test>\r\n"), [250, 250, 503])

    def test_ehlo_ends_a_transaction(self) -> None:
        """A second EHLO is a RSET, too."""
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE), [250, 250, 250])
        self.assertEqual(self.codes(link, b"EHLO me\r\nDATA\r\n"), [250, 503])

    def test_several_mails_in_one_session(self) -> None:
        """Each has its own envelope and id."""
        link = self.connect()
        one = b"MAIL FROM:<e@x.org>\r\nRCPT TO:<%s@test>\r\nDATA\r\nSubject: %s\r\n\r\n.\r\n"
        codes = self.codes(link, b"EHLO me\r\n" + one % (b"ann", b"1") + one % (b"bob", b"2") + one % (b"ann", b"3"))
        self.assertEqual(codes, [250] + [250, 250, 354, 250] * 3)
        self.assertEqual(self.bodies(), [b"Subject: 1\r\n\r\n", b"Subject: 3\r\n\r\n"])
        self.assertEqual(self.bodies("bob"), [b"Subject: 2\r\n\r\n"])

    def test_pipelined_whole_octet_by_octet_and_at_random_cuts(self) -> None:
        """However a session is cut, the answers and the mail are the same."""
        talk = ENVELOPE + b"RCPT TO:<nobody@test>\r\nDATA\r\n" + STUFFED + b".\r\nNOOP\r\nFOO\r\nQUIT\r\n"
        heard = []
        random = Random(7)
        for cuts in (None, range(len(talk)), *(random_cuts(talk, random) for _ in range(20))):
            link = self.world.connect(self.mx)
            link.say(talk, cuts=cuts)
            heard.append([line.partition(b" as ")[0] for line in link.take().split(b"\r\n")])
            self.assertTrue(link.closed)
        self.assertTrue(all(one == heard[0] for one in heard), heard)
        self.assertEqual(self.bodies(), [MESSAGE] * 22)

    def test_every_split_of_a_session(self) -> None:
        """Two pieces, cut at each octet."""
        talk = ENVELOPE + b"DATA\r\n" + STUFFED + b".\r\nQUIT\r\n"
        for cut in range(1, len(talk)):
            link = self.world.connect(self.mx)
            link.say(talk, cuts=[cut])
            self.assertTrue(link.take().endswith(b"221 2.0.0 here.test closing connection\r\n"), cut)
            link.close()
        self.assertEqual(self.bodies(), [MESSAGE] * (len(talk) - 1))

    def test_noop_vrfy_expn_help(self) -> None:
        """The small ones; nobody is told who exists."""
        link = self.connect()
        self.assertEqual(
            self.codes(link, b"NOOP\r\nNOOP anything\r\nHELP\r\nHELP mail\r\nHELP nothing\r\n"),
            [250, 250, 214, 214, 504],
        )
        self.assertEqual(
            self.codes(link, b"EHLO me\r\nVRFY ann\r\nVRFY nobody\r\nVRFY\r\nEXPN staff\r\n"), [250, 252, 252, 501, 502]
        )
        self.assertEqual(self.ask(link, b"VRFY ann\r\n"), self.ask(link, b"VRFY nobody\r\n"))

    def test_unknown_and_malformed_commands(self) -> None:
        """500 for what is no command, 501 for wrong arguments, 502 for what is not offered."""
        link = self.connect()
        self.assertEqual(self.codes(link, b"FOO\r\n\r\nQUIT now\r\nTURN\r\n"), [500, 500, 501, 502])
        self.assertEqual(self.codes(link, b"EHLO\r\nRSET x\r\nNOOP\r\n"), [501, 501, 250])

    def test_help_names_every_offered_command(self) -> None:
        """And explains each."""
        link = self.connect()
        verbs = self.ask(link, b"HELP\r\n")[1].split()[1:]
        for verb in verbs:
            self.assertEqual(self.codes(link, b"HELP " + verb + b"\r\n"), [214])
        self.assertIn(b"STARTTLS", verbs)


class RecipientTests(SmtpCase):
    """Who can be written to."""

    def rcpt(self, *recipients: str, sender: bytes = b"") -> list[int]:
        """The codes for recipients of one mail."""
        link = self.connect()
        lines = "".join(f"RCPT TO:<{one}>\r\n" for one in recipients).encode()
        return self.codes(link, b"EHLO me\r\nMAIL FROM:<" + sender + b">\r\n" + lines)[2:]

    def test_unknown_users_are_refused_at_once(self) -> None:
        """Nothing is accepted that would have to be returned."""
        self.assertEqual(self.rcpt("ann@test", "nobody@test", "ANN@TEST", "ann+list@test"), [250, 550, 250, 250])

    def test_other_domains_are_refused(self) -> None:
        """A stranger is told 550 5.7.1."""
        self.assertEqual(self.rcpt("ann@example.com", "ann@[127.0.0.1]", "ann@test.example"), [550, 550, 550])

    def test_postmaster_without_domain(self) -> None:
        """It is the oldest account's, and may have an alias."""
        self.assertEqual(self.rcpt("postmaster"), [250])
        self.world.result(self.world.site.accounts.add_alias(Address("postmaster", "test"), [self.ann.address]))
        self.assertEqual(self.rcpt("postmaster", "Postmaster", "postmaster@test"), [250, 250, 250])

    def test_alias_goes_to_all_and_each_account_gets_one(self) -> None:
        """An alias of two and one of them again: two deliveries."""
        self.world.result(
            self.world.site.accounts.add_alias(Address("team", "test"), [self.ann.address, self.bob.address])
        )
        link = self.connect()
        link.say(b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<team@test>\r\nRCPT TO:<ann+x@test>\r\nDATA\r\nhi\r\n.\r\n")
        (ann,), (bob,) = self.inbox("ann"), self.inbox("bob")
        self.assertTrue(ann.startswith(b"Return-Path: <>\r\nDelivered-To: team@test\r\nReceived: from me"))
        self.assertEqual(below_trace(bob), b"hi\r\n")
        self.assertNotIn(b" for ", ann)

    def test_single_recipient_is_named_in_received(self) -> None:
        """Only then nobody learns of another."""
        link = self.connect()
        link.say(ENVELOPE.replace(b"ann@", b"Ann+Tag@") + b"DATA\r\nhi\r\n.\r\n")
        (message,) = self.inbox()
        self.assertIn(b"for <Ann+Tag@test>;", message)
        self.assertIn(b"Delivered-To: Ann+Tag@test\r\n", message)

    def test_a_hundred_recipients_and_no_more(self) -> None:
        """The 101st gets 452 4.5.3 and the hundred get the mail."""
        link = self.connect()
        lines = b"".join(b"RCPT TO:<ann+%d@test>\r\n" % number for number in range(101))
        codes = self.codes(link, b"EHLO me\r\nMAIL FROM:<>\r\n" + lines + b"DATA\r\nhi\r\n.\r\n")
        self.assertEqual(codes[2:], [250] * 100 + [452, 354, 250])
        self.assertEqual(len(self.inbox()), 1)

    def test_many_recipients_too_many_are_no_errors(self) -> None:
        """452s do not count: a list of 500 is served in portions."""
        link = self.connect()
        lines = b"".join(b"RCPT TO:<ann+%d@test>\r\n" % number for number in range(500))
        codes = self.codes(link, b"EHLO me\r\nMAIL FROM:<>\r\n" + lines + b"RSET\r\n")
        self.assertEqual((codes.count(452), codes[-1]), (400, 250))

    def test_full_mailbox_is_told_at_rcpt(self) -> None:
        """452 4.2.2 while there is no room, and 250 once there is."""
        cora = self.world.add_user("cora", quota=1000)
        link = self.connect()
        talk = b"EHLO me\r\nMAIL FROM:<> SIZE=%d\r\nRCPT TO:<cora@test>\r\nRSET\r\n"
        self.assertEqual(self.codes(link, talk % 900), [250, 250, 250, 250])
        self.assertEqual(self.codes(link, talk % 1001), [250, 250, 452, 250])
        self.world.result(self.fill(cora.id))
        self.assertEqual(self.ask(link, talk % 200)[-2], b"452 4.2.2 Mailbox is full")
        self.world.result(self.world.site.accounts.change("cora", quota=0, messages=1))
        self.assertEqual(self.ask(link, talk % 1)[-2], b"452 4.2.2 Mailbox is full")
        self.world.result(self.world.site.accounts.change("cora", messages=2))
        self.assertEqual(self.codes(link, talk % 1), [250, 250, 250, 250])

    async def fill(self, account) -> None:  # type: ignore[no-untyped-def]
        """Put 900 octets into an account."""
        await (await self.world.site.mail.mail(account)).deliver(b"x" * 900, "k")

    def test_directory_out_of_reach_is_temporary(self) -> None:
        """451, not "no such user"."""

        async def expand(_: Address) -> None:
            raise TryLater

        self.world.site.accounts.expand = expand  # type: ignore[method-assign, assignment]
        self.assertEqual(self.rcpt("ann@test"), [451])


class MessageTests(SmtpCase):
    """What becomes of messages."""

    def send(self, text: bytes, *, link=None) -> list[bytes]:  # type: ignore[no-untyped-def]
        """Send text (already stuffed, without the end) to ann and give the last answer."""
        link = link or self.connect()
        return self.ask(link, ENVELOPE + b"DATA\r\n" + text + b".\r\n")[-1:]

    def test_octets_below_the_trace_are_those_that_were_sent(self) -> None:
        """All 256 of them but CR and LF, NUL included, in header and body."""
        octets = bytes(octet for octet in range(256) if octet not in (10, 13))
        text = b"X: " + octets + b"\r\n\r\n" + octets + b"\r\n"
        self.send(text)
        self.assertEqual(self.bodies(), [text])

    def test_long_lines_are_kept(self) -> None:
        """A line of a megabyte, in header and in body."""
        text = b"X: " + b"h" * 1_000_000 + b"\r\n\r\n" + b"b" * 1_000_000 + b"\r\n"
        self.send(text)
        self.assertEqual(self.bodies(), [text])

    def test_empty_message_and_message_without_body(self) -> None:
        """Nothing at all, a header alone, a body alone."""
        for text in (b"", b"Subject: x\r\n", b"\r\nbody\r\n", b"\r\n"):
            self.assertTrue(self.send(text)[0].startswith(b"250 "), text)
        self.assertEqual(self.bodies(), [b"", b"Subject: x\r\n", b"\r\nbody\r\n", b"\r\n"])

    def test_declared_size_over_the_limit(self) -> None:
        """552 5.3.4 at MAIL; the largest number there is, too."""
        self.configure(max_message_size=65_536)
        link = self.connect()
        self.assertEqual(
            self.codes(link, b"EHLO me\r\nMAIL FROM:<> SIZE=65537\r\nMAIL FROM:<> SIZE=" + b"9" * 20 + b"\r\n"),
            [250, 552, 552],
        )
        self.assertEqual(self.codes(link, b"MAIL FROM:<> SIZE=65536\r\n"), [250])

    def test_message_over_the_limit_is_thrown_away_in_step(self) -> None:
        """A lie about SIZE gets 552 at the end, nothing is stored, and the session goes on."""
        self.configure(max_message_size=65_536)
        link = self.connect()
        self.ask(link, ENVELOPE.replace(b".com>", b".com> SIZE=1") + b"DATA\r\n")
        for _ in range(200):
            link.say(b"x" * 998 + b"\r\n")
        self.assertEqual(self.ask(link, b".\r\n"), [b"552 5.3.4 Message is larger than the limit"])
        self.assertEqual(self.codes(link, b"NOOP\r\n"), [250])
        self.assertEqual(self.inbox(), [])

    def test_exactly_the_limit(self) -> None:
        """Not one octet less is taken than was told."""
        self.configure(max_message_size=65_536)
        text = b"\r\n" + b"x" * (65_536 - 4) + b"\r\n"
        self.assertTrue(self.send(text)[0].startswith(b"250 "))
        self.assertEqual(self.send(text[:2] + b"x" + text[2:]), [b"552 5.3.4 Message is larger than the limit"])

    def test_mail_that_goes_in_circles(self) -> None:
        """100 hops pass, 101 do not; a Received in the body is no hop."""
        hop = b"Received: from a by b; now\r\n"
        self.assertTrue(self.send(hop * 100 + b"\r\n" + hop)[0].startswith(b"250 "))
        self.assertTrue(self.send(hop * 101 + b"\r\n")[0].startswith(b"554 5.4.6 "))
        self.assertEqual(len(self.inbox()), 1)

    def test_header_of_ten_megabytes(self) -> None:
        """It is taken as it is, and the header is not kept in memory as a whole."""
        text = b"X-Y: z\r\n" * 1_300_000 + b"\r\nbody\r\n"
        self.assertTrue(self.send(text)[0].startswith(b"250 "))
        self.assertEqual(self.bodies(), [text])

    def test_disk_that_fails_is_told_and_nothing_is_accepted(self) -> None:
        """451, and the client keeps its mail."""

        async def accept(_envelope: object, body) -> None:  # type: ignore[no-untyped-def]
            body.close()
            raise TryLater

        self.world.site.spool.accept = accept  # type: ignore[method-assign, assignment]
        self.assertEqual(self.send(MESSAGE)[0][:9], b"451 4.3.0")

    def test_utf8_mail(self) -> None:
        """SMTPUTF8 is complete: addresses on both sides, and the word in Received."""
        self.world.result(self.world.site.accounts.add_alias(Address("jürgen", "test"), [self.ann.address]))
        link = self.connect()
        talk = (
            "EHLO me\r\nMAIL FROM:<дед@пример.рф> SMTPUTF8\r\nRCPT TO:<jürgen@test>\r\nDATA\r\nSubject: ü\r\n\r\n.\r\n"
        )
        self.assertEqual(self.codes(link, talk.encode()), [250, 250, 250, 354, 250])
        (message,) = self.inbox()
        self.assertIn("Return-Path: <дед@пример.рф>\r\nDelivered-To: jürgen@test\r\n".encode(), message)
        self.assertIn(b"with UTF8SMTP\r\n", message)

    def test_utf8_recipient_without_smtputf8(self) -> None:
        """553 5.6.7."""
        link = self.connect()
        self.assertEqual(
            self.ask(link, "EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<jürgen@test>\r\n".encode())[-1][:9], b"553 5.6.7"
        )

    def test_half_a_message_and_a_vanished_peer(self) -> None:
        """Cut at every octet: nothing is delivered unless the final dot was complete, and nothing is left behind."""
        talk = ENVELOPE + b"DATA\r\n" + STUFFED + b".\r\n"
        for cut in range(len(talk)):
            for end in ("close", "abort", "half_close"):
                link = self.world.connect(self.mx)
                link.say(talk[:cut])
                getattr(link, end)()
                self.world.advance(6)
                self.assertTrue(link.closed)
        self.assertEqual(self.inbox(), [])
        self.assertEqual(self.mx.sessions, set())


class ChunkTests(SmtpCase):
    """BDAT."""

    def test_chunks_are_one_message(self) -> None:
        """Counted octets, dots untouched."""
        link = self.connect()
        half = len(MESSAGE) // 2
        talk = (
            ENVELOPE
            + b"BDAT %d\r\n" % half
            + MESSAGE[:half]
            + b"BDAT %d LAST\r\n" % (len(MESSAGE) - half)
            + MESSAGE[half:]
        )
        self.assertEqual(self.codes(link, talk + b"NOOP\r\n"), [250, 250, 250, 250, 250, 250])
        self.assertEqual(self.bodies(), [MESSAGE])

    def test_every_cut_into_chunks(self) -> None:
        """Whatever lies on the border of two chunks, bare line ends are not seen where there are none."""
        for cut in range(len(MESSAGE) + 1):
            link = self.connect()
            talk = (
                ENVELOPE
                + b"BDAT %d\r\n" % cut
                + MESSAGE[:cut]
                + b"BDAT %d LAST\r\n" % (len(MESSAGE) - cut)
                + MESSAGE[cut:]
            )
            self.assertEqual(self.codes(link, talk)[-2:], [250, 250], cut)
        self.assertEqual(self.bodies(), [MESSAGE] * (len(MESSAGE) + 1))

    def test_empty_last_chunk(self) -> None:
        """``BDAT 0 LAST`` ends a message."""
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"BDAT 4\r\nhi\r\nBDAT 0 LAST\r\n")[3:], [250, 250])
        self.assertEqual(self.bodies(), [b"hi\r\n"])

    def test_octets_of_a_refused_chunk_are_no_commands(self) -> None:
        """In the wrong state the chunk is read and refused."""
        link = self.connect()
        evil = b"MAIL FROM:<evil@x.org>\r\n"
        self.assertEqual(
            self.codes(link, b"EHLO me\r\nBDAT %d LAST\r\n" % len(evil) + evil + b"NOOP\r\n"), [250, 503, 250]
        )

    def test_reset_between_chunks(self) -> None:
        """What came is dropped; the next chunk is out of order."""
        link = self.connect()
        self.assertEqual(
            self.codes(link, ENVELOPE + b"BDAT 4\r\nhi\r\nRSET\r\nBDAT 2 LAST\r\nxx"), [250, 250, 250, 250, 250, 503]
        )
        self.assertEqual(self.inbox(), [])

    def test_data_between_chunks(self) -> None:
        """DATA and MAIL are out of order then."""
        link = self.connect()
        self.assertEqual(
            self.codes(link, ENVELOPE + b"BDAT 4\r\nhi\r\nDATA\r\nMAIL FROM:<>\r\nBDAT 0 LAST\r\n")[4:], [503, 503, 250]
        )

    def test_sizes_that_are_none_end_the_session(self) -> None:
        """Where the chunk ends is unknown, so nothing behind it is executed."""
        for size in (b"-1", b"0x5", b"", b"9" * 30, b"1 2 3"):
            link = self.connect()
            self.assertEqual(self.codes(link, ENVELOPE + b"BDAT " + size + b"\r\nNOOP\r\n")[3:], [501], size)
            self.assertTrue(link.closed)
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"BDAT 99999999999999999999\r\nNOOP\r\n")[3:], [552])
        self.assertTrue(link.closed)

    def test_chunks_over_the_limit(self) -> None:
        """552, the rest is read, the session stays in step."""
        self.configure(max_message_size=65_536)
        link = self.connect()
        self.assertEqual(
            self.codes(link, ENVELOPE + b"BDAT 70000\r\n" + b"x" * 70_000 + b"BDAT 1 LAST\r\nxNOOP\r\n")[3:],
            [552, 503, 250],
        )
        self.assertEqual(self.inbox(), [])

    def test_bare_line_end_in_a_chunk(self) -> None:
        """Refused as in DATA."""
        for text in (b"a\nb\r\n", b"a\rb\r\n", b"a\r\n\r"):
            link = self.connect()
            self.assertEqual(self.codes(link, ENVELOPE + b"BDAT %d LAST\r\n" % len(text) + text)[3:], [550])
        self.assertEqual(self.inbox(), [])

    def test_many_tiny_chunks(self) -> None:
        """A message of 20,000 chunks of one octet."""
        link = self.connect()
        link.say(ENVELOPE)
        for _ in range(200):
            self.assertEqual(self.codes(link, b"BDAT 1\r\nx" * 100)[-100:], [250] * 100)
        self.assertEqual(self.codes(link, b"BDAT 2 LAST\r\n\r\n"), [250])
        self.assertEqual(self.bodies(), [b"x" * 20_000 + b"\r\n"])
