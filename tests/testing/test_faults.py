"""Faults at protocol points: the sentences, and what they do in memory and on sockets."""

from __future__ import annotations

import contextlib
import ftplib
import imaplib
import smtplib
import socket
from io import BytesIO
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing import at
from launcelot.testing.faults import Fault
from launcelot.testing.link import Link
from launcelot.testing.messages import Wish
from launcelot.testing.served import serve
from launcelot.testing.worlds import TrialWorld
from tests.testing import cases

MAIL = b"HELO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@test>\r\nDATA\r\nSubject: News\r\n\r\nhi\r\n.\r\nQUIT\r\n"
MAIL_LINES = MAIL.splitlines(keepends=True)


class SentenceTests(SynchronousTestCase):
    """Values that read as they are written."""

    def test_text_is_the_sentence(self) -> None:
        """Python reads back what ``str`` says."""
        for fault in (
            at.smtp("RCPT").replies(451, "4.3.2 later").times(2),
            at.smtp.greeting.says(b"554 no\r\n"),
            at.smtp("DATA").body.after(100).resets(),
            at.smtp("DATA").end.loses_reply(),
            at.smtp("DATA").end.reply.replies(451),
            at.imap("APPEND").literal.after(7).stalls(),
            at.imap("FETCH").reply.literal.after(3).disconnects(),
            at.imap("UID FETCH").reply.drips(10),
            at.ftp("RETR").data.after(1000).drips(10),
            at.pop3().delays(0.5),
            at.questions("Beautiful is better than?").replies("Ugly?"),
            at.submission("MAIL").after("AUTH").nth(2).on(3).replies(421, "bye"),
        ):
            self.assertEqual(eval(str(fault), {"at": at}), fault, str(fault))

    def test_nonsense_is_refused(self) -> None:
        """When the sentence is made."""
        for make in (
            lambda: at.pop3("RETR").body,
            lambda: at.ftp("RETR").body,
            lambda: at.smtp("RCPT").data,
            lambda: at.questions().end,
            lambda: at.smtp("RCPT").after(3).stalls(),
            lambda: at.smtp("DATA").body.replies(451),
            lambda: at.smtp("RCPT").reply.loses_reply(),
            lambda: at.smtp("RCPT").replies(451, "two\r\nlines"),
            lambda: at.smtp("RCPT").drips(0),
            lambda: at.smtp("RCPT").stalls().times(0),
            lambda: at.smtp("RCPT").nth(0),
            lambda: at.smtp("RCPT").on(0),
        ):
            self.assertRaises(ValueError, make)


class TellingCase(cases.FaultCase):
    """Raw peers in a world."""

    def tell(self, link: Link, *lines: bytes) -> list[bytes]:
        """What is heard of each line."""
        heard = [link.take()]
        for line in lines:
            link.say(line)
            heard.append(link.take())
        return heard


class SmtpTests(TellingCase):
    """SMTP."""

    def codes(self, *faults: Fault, chunk: int | None = None) -> tuple[str, int, Link]:
        """What a mail meets, pipelined: the codes; how often it is stored; the connection."""
        world, smtp = self.begin("smtp", *faults)
        link = smtp.connect()
        link.say(MAIL, chunk=chunk)
        heard = link.take().decode()
        codes = " ".join(line[:3] for line in heard.splitlines() if line[3:4] == " ")
        self.assertEqual([one.struck for one in world.taps.armed], [1 for _ in faults], faults)
        return codes, len(world.post.matching(Wish(), hidden=True)), link

    def test_replies(self) -> None:
        """In the command's place in the order, and the server goes on in step, however the octets come."""
        for fault, codes, stored in (
            (at.smtp("MAIL").replies(451), "220 250 451 503 503 500 500 500 500 221", 0),
            (at.smtp("QUIT").replies(500, "5.5.1 no"), "220 250 250 250 354 250 500", 1),
            (at.smtp("DATA").end.replies(451, "4.3.0 no"), "220 250 250 250 354 451 221", 0),
            (at.smtp("DATA").end.reply.replies(451), "220 250 250 250 354 451 221", 1),
            (at.smtp("RCPT").reply.replies(550), "220 250 250 550 354 250 221", 1),
            (at.smtp("RCPT").says(b"250 ok\r\n"), "220 250 250 250 503 500 500 500 500 221", 0),
            (at.smtp.greeting.replies(220, "welcome"), "220 250 250 250 354 250 221", 1),
        ):
            for chunk in (None, 1):
                got, count, _ = self.codes(fault, chunk=chunk)
                self.assertEqual((got, count), (codes, stored), f"{fault} {chunk}")

    def test_breaks(self) -> None:
        """Where the sentence says, and not before; what was stored before is stored."""
        for point, codes, stored in (
            (at.smtp.greeting, "", 0),
            (at.smtp("HELO"), "220", 0),
            (at.smtp("DATA"), "220 250 250 250", 0),
            (at.smtp("DATA").reply, "220 250 250 250", 0),
            (at.smtp("DATA").body, "220 250 250 250 354", 0),
            (at.smtp("DATA").body.after(5), "220 250 250 250 354", 0),
            (at.smtp("DATA").end, "220 250 250 250 354", 0),
            (at.smtp("DATA").end.reply, "220 250 250 250 354", 1),
            (at.smtp("QUIT").reply, "220 250 250 250 354 250", 1),
        ):
            for fault in (point.stalls(), point.disconnects(), point.resets()):
                got, count, link = self.codes(fault)
                self.assertEqual((got, count), (codes, stored), fault)
                self.assertEqual(link.closed, "stalls" not in str(fault), fault)
        got, count, link = self.codes(at.smtp("DATA").end.loses_reply())
        self.assertEqual((got, count, link.closed), ("220 250 250 250 354", 1, True))

    def test_part_of_a_reply(self) -> None:
        """So many octets of it."""
        _, smtp = self.begin("smtp", at.smtp("HELO").reply.after(7).disconnects())
        link = smtp.connect()
        link.take()
        link.say(b"HELO me\r\n")
        self.assertEqual((link.take(), link.closed), (b"250 her", True))

    def test_delays_and_drips(self) -> None:
        """In the world's time; what follows keeps its place."""
        world, smtp = self.begin("smtp", at.smtp("HELO").delays(3), at.smtp("NOOP").drips(10).times(1))
        link = smtp.connect()
        link.take()
        link.say(b"HELO me\r\nNOOP\r\nQUIT\r\n")
        self.assertEqual(link.take(), b"")
        world.advance(2.9)
        self.assertEqual(link.take(), b"")
        world.advance(0.2, 0.1)
        heard = link.take()
        self.assertTrue(heard.startswith(b"250 here.test\r\n"), heard)
        world.advance(1, 0.05)
        heard += link.take()
        self.assertNotIn(b"221", heard)
        world.advance(5, 0.05)
        heard += link.take()
        self.assertIn(b"221", heard)
        self.assertTrue(link.closed)

    def test_greeting_that_refuses_ends_the_session(self) -> None:
        """As a server's would."""
        _, smtp = self.begin("smtp", at.smtp.greeting.replies(554, "no service"))
        link = smtp.connect()
        self.assertEqual((link.take(), link.closed), (b"554 no service\r\n", True))

    def test_counts(self) -> None:
        """Times, uses, connections, and what came before."""
        later = at.smtp("RCPT").replies(451)
        for fault, wanted in (
            (later.times(2), ["451", "451", "250", "250"]),
            (later.nth(3), ["250", "250", "451", "451"]),
            (later.nth(2).times(1), ["250", "451", "250", "250"]),
            (later.on(2), ["250", "250", "451", "451"]),
            (at.smtp("RCPT").after("NOOP").replies(451), ["250", "451", "250", "451"]),
        ):
            _, smtp = self.begin("smtp", fault)
            codes = []
            for _ in range(2):
                link = smtp.connect()
                link.say(b"HELO me\r\nMAIL FROM:<>\r\n")
                link.take()
                heard = self.tell(link, b"RCPT TO:<ann@test>\r\n", b"NOOP\r\n", b"RCPT TO:<ann@test>\r\n")
                codes += [one[:3].decode() for one in heard[1::2]]
            self.assertEqual(codes, wanted, fault)

    def test_chunks(self) -> None:
        """BDAT: a refused one's octets are not commands; the last octet is its end."""
        said = b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nBDAT 5 LAST\r\nNOOP\nQUIT\r\n"
        for fault, codes, stored in (
            (at.smtp("BDAT").replies(451), ["220", "250", "250", "250", "451", "221"], 0),
            (at.smtp("BDAT").end.replies(452), ["220", "250", "250", "250", "452", "221"], 0),
            (at.smtp("BDAT").body.after(2).disconnects(), ["220", "250", "250", "250"], 0),
        ):
            for chunk in (None, 1):
                world, smtp = self.begin("smtp", fault)
                link = smtp.connect()
                link.say(said.replace(b"NOOP\n", b"a:b\r\n"), chunk=chunk)
                self.assertEqual([line[:3].decode() for line in link.take().splitlines()], codes, fault)
                self.assertDelivered(world, times=stored)

    def test_lmtp_has_a_reply_for_each_recipient(self) -> None:
        """RFC 2033 section 4.2: a fault behind the message answers for all that were accepted, and nothing is kept."""
        said = b"LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nRCPT TO:<x@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n"
        for fault, codes, stored in (
            (at.lmtp("DATA").end.replies(452), "220 250 250 250 550 250 354 452 452 221", 0),
            (at.smtp("DATA").end.reply.replies(452), "220 250 250 250 550 250 354 452 452 221", 2),
            (at.lmtp("RCPT").nth(3).replies(450), "220 250 250 250 550 450 354 250 221", 1),
        ):
            world, lmtp = self.begin("lmtp", fault)
            world.add_user("bob")
            link = lmtp.connect()
            link.say(said)
            link.say(b"Subject: x\r\n\r\n.\r\nQUIT\r\n")
            world.flush()
            got = " ".join(line[:3] for line in link.take().decode().splitlines() if line[3:4] == " ")
            self.assertEqual((got, len(world.post.matching(Wish(), hidden=True))), (codes, stored), fault)

    def test_listener(self) -> None:
        """A sentence about one listener is not about another; one about the service is about all."""
        fault = at.submission("NOOP").replies(451)
        for name, code in (("submission", b"451"), ("smtp", b"250")):
            _, service = self.begin(name, fault)
            link = service.connect()
            self.assertEqual(self.tell(link, b"NOOP\r\n")[1][:3], code)

    def test_starttls(self) -> None:
        """Faults inside TLS, and the transcript shows them in clear; injected commands are still caught."""
        world, smtp = self.begin("smtp", at.smtp("NOOP").replies(451, "inside"), tls=True)
        link = smtp.connect()
        self.tell(link, b"EHLO me\r\n", b"STARTTLS\r\n")
        link.start_tls(world.client_tls())
        world.flush()
        link.say(b"NOOP\r\n")
        world.flush()
        self.assertEqual(link.take(), b"451 inside\r\n")
        self.assertWire(smtp, "C: STARTTLS", "S: 220 *", "C: NOOP", "-- fault: replies", "S: 451 inside")
        injected = smtp.connect()
        injected.say(b"EHLO me\r\n")
        injected.say(b"STARTTLS\r\nNOOP\r\n")
        injected.take()
        self.assertTrue(injected.closed)


class ImapTests(TellingCase):
    """IMAP."""

    def logged_in(self, *faults: Fault) -> tuple[TrialWorld, Link]:
        """A connection of ann's, with INBOX selected and one message in it."""
        world, imap = self.begin("imap", *faults)
        link = imap.connect()
        link.say(b"a LOGIN ann pw\r\nb APPEND INBOX {9+}\r\nA: b\r\n\r\nc\r\nc SELECT INBOX\r\n")
        link.take()
        return world, link

    def test_replies(self) -> None:
        """Tagged; BYE ends it."""
        _, link = self.logged_in(at.imap("FETCH").replies("NO", "[UNAVAILABLE] later").times(1), at.imap("NOOP").replies("BYE"))
        heard = self.tell(link, b"d UID FETCH 1 FLAGS\r\n", b"e FETCH 1 FLAGS\r\n", b"f NOOP\r\n")
        self.assertEqual(heard[1], b"d NO [UNAVAILABLE] later\r\n")
        self.assertTrue(heard[2].endswith(b"e OK FETCH completed\r\n"), heard)
        self.assertEqual((heard[3], link.closed), (b"* BYE As the test wants it\r\n", True))

    def test_refused_literals(self) -> None:
        """Those that come unasked are dropped, those that wait never come; the next command is in step."""
        for said in ((b"d APPEND INBOX {4+}\r\nx: y", b"\r\n"), (b"d APPEND INBOX {4}\r\n",)):
            world, link = self.logged_in(at.imap("APPEND").nth(2).replies("NO", "full"))
            heard = self.tell(link, *said, b"e NOOP\r\n")
            self.assertEqual(b"".join(heard[1:]), b"d NO full\r\ne OK NOOP completed\r\n")
            link.say(b"f STATUS INBOX (MESSAGES)\r\n")
            self.assertIn(b"MESSAGES 1", link.take())

    def test_end_of_a_literal(self) -> None:
        """The command is answered and not done; or done and not answered."""
        for fault, heard, closed, count in (
            (at.imap("APPEND").nth(2).end.replies("NO", "full"), b"+ OK\r\nd NO full\r\n", False, b"1"),
            (at.imap("APPEND").nth(2).end.loses_reply(), b"+ OK\r\n", True, b"2"),
            (at.imap("APPEND").nth(2).literal.after(3).stalls(), b"+ OK\r\n", False, b"1"),
            (at.imap("APPEND").nth(2).literal.resets(), b"+ OK\r\n", True, b"1"),
        ):
            for chunk in (None, 1):
                world, link = self.logged_in(fault)
                link.say(b"d APPEND INBOX {4}\r\n")
                link.say(b"x: y\r\n", chunk=chunk)
                self.assertEqual((link.take().partition(b"* 2 EXISTS")[0], link.closed), (heard, closed), fault)
                other = world.connect(link.server.factory)
                other.say(b"a LOGIN ann pw\r\nb STATUS INBOX (MESSAGES)\r\n")
                self.assertIn(b"MESSAGES " + count, other.take(), fault)

    def test_inside_a_literal_of_a_reply(self) -> None:
        """Counted from its first octet."""
        _, link = self.logged_in(at.imap("FETCH").reply.literal.after(3).disconnects())
        link.say(b"d FETCH 1 BODY[]\r\n")
        self.assertEqual((link.take(), link.closed), (b"* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[] {9}\r\nA: ", True))

    def test_idle_and_challenges_are_not_commands(self) -> None:
        """A conversation that is followed goes as one that is not."""
        _, link = self.logged_in(at.imap("NOTHING").stalls())
        heard = self.tell(link, b"d IDLE\r\n", b"DONE\r\n", b"e NOOP\r\n")
        self.assertEqual([one.split(b" ")[:2] for one in heard[1:]], [[b"+", b"idling\r\n"], [b"d", b"OK"], [b"e", b"OK"]])
        _, imap = self.begin("imap", at.imap("AGFubgBwdw==").stalls())
        link = imap.connect()
        self.assertIn(b"a OK", self.tell(link, b"a AUTHENTICATE PLAIN\r\n", b"AGFubgBwdw==\r\n")[2])


class Pop3Tests(TellingCase):
    """POP3."""

    def test_replies_and_breaks(self) -> None:
        """Anywhere."""
        _, pop3 = self.begin("pop3", at.pop3("PASS").replies("-ERR", "[IN-USE] later").times(1), at.pop3("STAT").resets())
        link = pop3.connect()
        heard = self.tell(link, b"USER ann\r\n", b"PASS pw\r\n", b"USER ann\r\nPASS pw\r\n")
        self.assertEqual(heard[2], b"-ERR [IN-USE] later\r\n")
        self.assertIn(b"+OK", heard[3].splitlines()[1])
        link.say(b"STAT\r\n")
        self.assertEqual((link.take(), link.closed), (b"", True))

    def test_quit_without_answer(self) -> None:
        """The server has removed what was deleted."""
        world, pop3 = self.begin("pop3", at.pop3("QUIT").loses_reply())
        smtp = world.serve("smtp").connect()
        smtp.say(MAIL)
        link = pop3.connect()
        heard = self.tell(link, b"USER ann\r\nPASS pw\r\n", b"DELE 1\r\n", b"QUIT\r\n")
        self.assertEqual((heard[3], link.closed), (b"", True))
        again = pop3.connect()
        self.assertIn(b"+OK 0 0", self.tell(again, b"USER ann\r\nPASS pw\r\nSTAT\r\n")[1])


class ManageSieveTests(TellingCase):
    """ManageSieve."""

    def test_script_that_is_refused_at_its_end(self) -> None:
        """It is not kept, and the next command is in step."""
        _, sieve = self.begin("managesieve", at.managesieve("PUTSCRIPT").end.replies("NO", '"full"'))
        link = sieve.connect()
        plain = b'AUTHENTICATE "PLAIN" "AGFubgBwdw=="\r\n'
        heard = self.tell(link, plain, b'PUTSCRIPT "a" {5+}\r\nkeep;\r\n', b"LISTSCRIPTS\r\n")
        self.assertEqual(heard[2], b'NO "full"\r\n')
        self.assertTrue(heard[3].startswith(b"OK"), heard)


class QuestionTests(TellingCase):
    """Questions."""

    def test_one_question(self) -> None:
        """In the order of the others."""
        said = b"Beautiful is better than?Simple is better than?Explicit is better than?"
        wrong = at.questions("Simple is better than?").replies("Dunno.")
        for chunk in (None, 1):
            _, questions = self.begin("questions", wrong)
            link = questions.connect()
            link.say(said, chunk=chunk)
            self.assertEqual(link.take(), b"Ugly.Dunno.Implicit.")
        _, questions = self.begin("questions", at.questions().nth(2).reply.after(3).disconnects())
        link = questions.connect()
        link.say(said)
        self.assertEqual((link.take(), link.closed), (b"Ugly.Com", True))

    def test_half_close(self) -> None:
        """A peer that has asked and sends no more hears all answers."""
        _, questions = self.begin("questions", at.questions("Simple is better than?").replies("Dunno."))
        link = questions.connect()
        link.say(b"Beautiful is better than?Simple is better than?")
        link.half_close()
        self.assertEqual((link.take(), link.closed), (b"Ugly.Dunno.", True))


class SocketTests(SynchronousTestCase):
    """The same sentences, on sockets, with Python's clients."""

    def serve(self, *names: str, fault: Fault, **options: Any) -> Any:
        """A Site with a fault, that happens."""
        lc = serve(*names, fault=fault, **options)
        self.addCleanup(lambda: self.assertEqual((lc.unstruck, lc.stop()), ([], [])))
        lc.user("ann", files={"a.bin": bytes(200_000)})
        return lc

    def send(self, lc: Any) -> None:
        """A mail."""
        with smtplib.SMTP(lc.smtp.host, lc.smtp.port, timeout=60) as client:
            client.sendmail("a@b.example", [lc.address("ann")], "Subject: News\r\n\r\nhi\r\n")

    def test_smtp(self) -> None:
        """Refused once and then taken; lost behind the dot; reset in the text."""
        lc = self.serve("smtp", fault=at.smtp("RCPT").replies(451, "4.3.2 later").times(1))
        refused = self.assertRaises(smtplib.SMTPRecipientsRefused, self.send, lc)
        self.assertEqual(refused.recipients, {"ann@test": (451, b"4.3.2 later")})
        lc.mail.none(to=lc.address("ann"))
        self.send(lc)
        lc.mail.wait(to=lc.address("ann"))
        lc = self.serve("smtp", fault=at.smtp("DATA").end.loses_reply())
        self.assertRaises(smtplib.SMTPServerDisconnected, self.send, lc)
        self.assertEqual(lc.mail.wait(timeout=60).subject, "News")
        lc = self.serve("smtp", fault=at.smtp("DATA").body.after(9).resets())
        self.assertRaises((ConnectionResetError, smtplib.SMTPServerDisconnected), self.send, lc)
        lc.mail.none()

    def test_reset_is_a_reset(self) -> None:
        """And a close is not."""
        lc = self.serve("smtp", fault=at.smtp("NOOP").resets())
        with socket.create_connection(lc.smtp.address) as client:
            client.recv(100)
            client.sendall(b"NOOP\r\n")
            self.assertRaises(ConnectionResetError, client.recv, 100)

    def test_stall(self) -> None:
        """The client's own timeout is what ends it."""
        lc = self.serve("smtp", fault=at.smtp("EHLO").stalls())
        client = smtplib.SMTP(lc.smtp.host, lc.smtp.port, timeout=0.1)
        self.addCleanup(client.close)
        self.assertIn("timed out", str(self.assertRaises(smtplib.SMTPServerDisconnected, client.ehlo)))

    def test_imap(self) -> None:
        """Inside a literal."""
        lc = self.serve("imap", fault=at.imap("APPEND").literal.after(3).disconnects(), tls=True)
        client = imaplib.IMAP4(*lc.imap.address)
        self.addCleanup(client.shutdown)
        client.starttls(lc.ssl_context())
        client.login("ann", "pw")
        self.assertRaises((imaplib.IMAP4.abort, OSError), client.append, "INBOX", None, None, b"Subject: x\r\n\r\n")
        self.assertEqual(lc.mailbox("ann"), [])

    def test_ftp_data(self) -> None:
        """Reset, cut short, and an upload that is not kept."""
        for verb, fault in (
            ("RETR", at.ftp("RETR").data.after(1_000).resets()),
            ("RETR", at.ftp.data().after(1_000).disconnects()),
            ("STOR", at.ftp("STOR").data.after(1_000).resets()),
        ):
            lc = self.serve("ftp", fault=fault)
            heard: list[bytes] = []
            ftp = ftplib.FTP(timeout=60)
            ftp.connect(*lc.ftp.address)
            ftp.login("ann", "pw")
            with contextlib.suppress(*ftplib.all_errors):
                if verb == "RETR":
                    ftp.retrbinary("RETR a.bin", heard.append)
                else:
                    ftp.storbinary("STOR b.bin", BytesIO(bytes(500_000)))
            ftp.close()
            self.assertLessEqual(len(b"".join(heard)), 1_000, fault)
            self.assertEqual(sorted(lc.files("ann")), ["a.bin"], fault)

    def test_ftp_end(self) -> None:
        """The whole file, and then no 226, or another."""
        lc = self.serve("ftp", fault=at.ftp("RETR").end.replies(451, "disk").times(1))
        ftp = ftplib.FTP(timeout=60)
        ftp.connect(*lc.ftp.address)
        ftp.login("ann", "pw")
        heard: list[bytes] = []
        self.assertIn("451 disk", str(self.assertRaises(ftplib.error_temp, ftp.retrbinary, "RETR a.bin", heard.append)))
        self.assertEqual(len(b"".join(heard)), 200_000)
        self.assertEqual(ftp.retrbinary("RETR a.bin", heard.append)[:3], "226")
        ftp.close()


