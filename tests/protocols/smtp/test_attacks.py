"""
What strangers try: smuggling, relaying, injection behind STARTTLS, floods and nonsense.

Numbers such as S01 and T01 are those of the project's catalogue of attacks.
"""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

from launcelot.protocols.smtp.commands import COMMANDS, HTTP
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Link
from tests.protocols.smtp.support import ENVELOPE, SmtpCase, plain

SMUGGLED = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<bob@test>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"

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
"""S01: what some server takes for the end of data, and CRLF.CRLF is not."""


class SmugglingTests(SmtpCase):
    """S01, S02."""

    def test_there_are_eighteen_ends(self) -> None:
        """The catalogue's count."""
        self.assertEqual(len(ENDS), 18)

    def test_no_end_but_the_legal_one_smuggles_into_the_mx(self) -> None:
        """At most one message, nothing of the second envelope is done; with a bare CR or LF nothing and a close."""
        for end in ENDS:
            for chunk in (None, 1):
                link = self.connect()
                link.say(ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nbody" + end + SMUGGLED + b"QUIT\r\n", chunk=chunk)
                answers = link.take().split(b"\r\n")
                bare = (b"body" + end).replace(b"\r\n", b"").translate(None, b"\0") != (b"body" + end).replace(
                    b"\r\n", b""
                ).translate(None, b"\0\r\n")
                with self.subTest(end=end, bare=bare):
                    if bare:
                        self.assertEqual(answers[-2], b"550 5.5.2 Bare CR or LF in the message; lines must end in CRLF")
                    else:
                        self.assertEqual(answers[-2][:4], b"221 ")
                    self.assertTrue(link.closed)
                    self.assertLessEqual(len(self.inbox()), 2 * len(ENDS))
                    self.assertEqual(self.inbox("bob"), [])
                link.close()
        for body in self.bodies():
            self.assertIn(b"evil", body)

    def test_bare_line_ends_store_nothing(self) -> None:
        """A message with one bare CR or LF anywhere is refused as a whole."""
        for text in (b"a\nb\r\n", b"a\rb\r\n", b"\n", b"\r", b"X: y\nZ: a\r\n\r\nb\r\n", b"ok\r\n\r\nok\r\r\n"):
            for cut in range(1, len(text) + 1):
                link = self.connect()
                self.ask(link, ENVELOPE + b"DATA\r\n")
                link.say(text + b"\r\n.\r\n", cuts=[cut])
                self.assertEqual(link.take()[:9], b"550 5.5.2")
                self.assertTrue(link.closed)
                link.close()
        self.assertEqual(self.inbox(), [])

    def test_submission_makes_one_mail_of_each(self) -> None:
        """Bare line ends are made CRLF before storing; nothing is smuggled, and nothing bare is stored."""
        for end in ENDS:
            link = self.logged_in()
            talk = (
                b"MAIL FROM:<ann@test>\r\nRCPT TO:<ann@test>\r\nDATA\r\nSubject: x\r\n\r\nbody"
                + end
                + SMUGGLED
                + b"QUIT\r\n"
            )
            link.say(talk)
            self.assertEqual(link.take().split(b"\r\n")[-2][:4], b"221 ")
            link.close()
        self.assertEqual((len(self.inbox()), self.inbox("bob")), (len(ENDS), []))
        for message in self.inbox():
            self.assertEqual(message.replace(b"\r\n", b"").count(b"\n") + message.replace(b"\r\n", b"").count(b"\r"), 0)

    def test_the_same_in_chunks(self) -> None:
        """S02: octets of a chunk are counted, so no end inside ends anything."""
        for end in [*ENDS, b"\r\n.\r\n"]:
            link = self.connect()
            text = b"Subject: x\r\n\r\nbody" + end + SMUGGLED
            link.say(ENVELOPE + b"BDAT %d LAST\r\n" % len(text) + text + b"QUIT\r\n")
            link.take()
            link.close()
        self.assertEqual(self.inbox("bob"), [])
        self.assertIn(b"Subject: x\r\n\r\nbody\r\n.\r\n" + SMUGGLED, self.bodies())

    def test_overlong_line_in_a_message_is_no_command(self) -> None:
        """The fault of Twisted's server: behind a line of 20,000 octets it went back to commands."""
        link = self.connect()
        text = b"x" * 20_000 + b"\r\n" + b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<bob@test>\r\nDATA\r\nevil\r\n"
        self.assertEqual(self.codes(link, ENVELOPE + b"DATA\r\n" + text + b".\r\n")[3:], [354, 250])
        self.assertEqual((self.bodies(), self.inbox("bob")), ([text], []))


RELAY = [
    b"u%%%s@test", b'"u@%s"@test', b'"u%%%s"@test', b'"u%%%s"', b"@test:u@%s", b"@%s:u@test", b"@%s,@test:u@%s", b"u@[%s]",
    b"%s!u@test", b"test!%s!u@test", b"u@%s@test", b"u@test@%s", b"u@%s", b"u@%s.", b"u@test,u@%s", b"u@test u@%s",
    b"u@%s(test)", b"u(%s)@test", b"u@test(%s)", b"u@%s\\@test", b'"u"@%s', b"u%%%s", b"u", b"u@", b"@%s", b"%s!u", b"u@test.%s",
    b"u@%s%%test", b"u@%s:25", b"u@.%s", b"u@%s..test", b"u@[127.0.0.1]", b"u@[IPv6:::1]", b"u@localhost", b"u@here.test",
    b"<u@%s>@test", b"u@test>,<u@%s", b"u@%s<u@test", b" u@%s", b"u@ %s", b"u @%s", b"u@%s test",
    b"=?utf-8?q?u=40%s?=@test", b"u@%s\t",
]  # fmt: skip


class RelayTests(SmtpCase):
    """S08, S09, S16, S17, S18."""

    def test_there_are_forty_four_tricks(self) -> None:
        """The catalogue's count."""
        self.assertEqual(len(RELAY), 44)

    def test_nothing_is_relayed(self) -> None:
        """None of the 44 forms is accepted, by the MX or for somebody logged in."""
        for make in (self.connect, self.logged_in):
            for form in RELAY:
                target = form.replace(b"%s", b"example.com").replace(b"%%", b"%")
                link = make()
                self.ask(link, b"EHLO me\r\nMAIL FROM:<ann@test>\r\n")
                (code,) = self.codes(link, b"RCPT TO:<" + target + b">\r\n")
                self.assertIn(code, (500, 501, 550, 553, 554), target)
                link.close()

    def test_source_route_to_us_is_ignored(self) -> None:
        """RFC 5321 appendix C: the route goes, the mailbox counts."""
        link = self.connect()
        self.assertEqual(self.codes(link, b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<@example.com:ann@test>\r\n")[-1], 250)

    def test_twenty_thousand_recipients(self) -> None:
        """S18: a hundred are taken, the others cost nothing."""
        link = self.connect()
        self.ask(link, b"EHLO me\r\nMAIL FROM:<>\r\n")
        codes = self.codes(link, b"RCPT TO:<ann@test>\r\n" * 20_000)
        self.assertEqual((codes.count(250), codes.count(452)), (100, 19_900))

    def test_guessing_users_ends_soon(self) -> None:
        """S17: after ten wrong names 421; from the sixth on each answer takes a second."""
        self.configure(error_delay=1.0)
        link = self.connect()
        self.ask(link, b"EHLO me\r\nMAIL FROM:<>\r\n")
        link.say(b"".join(b"RCPT TO:<guess%d@test>\r\n" % number for number in range(1000)))
        self.world.advance(3)
        self.assertEqual(link.take().count(b"550 "), 8)
        self.world.advance(10)
        said = link.take()
        self.assertTrue(said.endswith(b"421 4.7.0 Too many errors\r\n"), said)
        self.assertTrue(link.closed)
        self.world.advance(10)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_crlf_in_an_address(self) -> None:
        """S11: an address cannot end its line."""
        link = self.connect()
        self.ask(link, b"EHLO me\r\n")
        for argument in (
            b"<a@b.org>\rRCPT TO:<ann@test>",
            b"<a@b.org>\0",
            b'<"a\rb"@c.org>',
            b"<a@b.org> AUTH=+0D+0a",
            b"<a\x7f@b.org>",
        ):
            (code,) = self.codes(link, b"MAIL FROM:" + argument + b"\r\n")
            self.assertIn(code, (500, 501), argument)


class NonsenseTests(SmtpCase):
    """S05, S06, S12, S13, R03 and the bad input of every day."""

    def test_hundred_megabytes_without_a_line_end(self) -> None:
        """S12: 500 after a few KiB, then a close; what comes is thrown away."""
        link = self.connect(self.mx, "192.0.2.1")
        link.say(b"x" * 2_049)
        self.assertEqual(link.take(), b"")
        link.say(b"x")
        self.assertEqual(link.take(), b"500 5.5.2 Line too long\r\n")
        for _ in range(200):
            link.say(b"x" * 65_536)
        self.assertTrue(link.closed)
        self.assertLessEqual(link.server.pending, 0)

    def test_every_octet_in_every_place(self) -> None:
        """S13: no octet in a command does harm; 8-bit without SMTPUTF8 is refused."""
        for octet in range(256):
            if octet in (10, 13):
                continue
            link = self.connect()
            one = bytes([octet])
            for line in (
                one,
                b"EHLO " + one,
                b"EHLO a" + one,
                b"MAIL FROM:<a" + one + b"@b.org>",
                b"NOOP " + one,
                b"HELP " + one,
            ):
                (code,) = self.codes(link, line + b"\r\n")
                if octet > 127:
                    self.assertIn(code, (500, 501, 503, 553), line)
            self.assertEqual(self.codes(link, b"QUIT\r\n"), [221])
            link.close()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_browsers_are_sent_away(self) -> None:
        """S05: the first line of HTTP ends the session; its body is no command."""
        for verb in HTTP:
            link = self.connect()
            body = b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nDATA\r\nevil\r\n.\r\n"
            link.say(verb + b" / HTTP/1.1\r\nHost: x\r\n\r\n" + body)
            self.assertEqual(link.take(), b"554 5.5.1 This is SMTP\r\n")
            self.assertTrue(link.closed)
            link.close()
        self.assertEqual(self.inbox(), [])

    def test_peer_that_talks_first(self) -> None:
        """S05: what came before the banner is answered after it, in order."""
        link = self.world.connect(self.mx)
        link.say(b"EHLO me\r\nQUIT\r\n")
        self.assertTrue(link.take().startswith(b"220 here.test ESMTP Launcelot\r\n250-here.test greets me\r\n"))
        self.assertTrue(link.closed)

    def test_bare_newline_in_a_command(self) -> None:
        """500, and the session goes on."""
        link = self.connect()
        self.assertEqual(self.codes(link, b"NOOP\nNOOP\r\n"), [500, 250])

    def test_ten_errors(self) -> None:
        """The tenth is answered and followed by 421 and a close; what is behind is not done."""
        link = self.connect()
        self.assertEqual(self.codes(link, b"FOO\r\n" * 1000), [500] * 10 + [421])
        self.assertTrue(link.closed)

    def test_peer_that_never_reads(self) -> None:
        """R03: 20 MB of EHLO are not answered into memory; the peer is cut after two minutes."""
        link = self.connect()
        self.ask(link, b"EHLO me\r\nMAIL FROM:<>\r\n")
        link.stop_reading()
        for _ in range(300):
            link.say(b"EHLO me\r\n" * 7_000)
        self.assertLess(link.server.sent, 512 * 1024)  # of which 128 KiB fill the pipe and the peer's buffer
        self.assertLess(link.server.pending, 256 * 1024)
        self.world.advance(125)
        self.assertEqual(self.mx.sessions, set())

    def test_random_sequences_of_commands_against_a_model(self) -> None:
        """S06: whatever verbs in whatever order, state and replies are those of a small model."""
        random = Random(3)
        verbs = list(MODEL)
        self.configure(max_errors=1_000)
        for _ in range(400):
            link = self.connect()
            state = "connected"
            for _ in range(8):
                verb = random.choice(verbs)
                expected, state = step(state, verb)
                self.assertEqual(self.codes(link, LINES[verb]), expected, (state, verb))
            link.close()

    def test_header_bombs(self) -> None:
        """S19: heaps of quotes, addresses, encoded words and fields are read, judged and answered."""
        bombs = (
            (b"From: " + b'"a' * 20_000, 550),
            (b"From: " + b"ann@test, " * 20_000 + b"bob@test", 550),
            (b"From: " + b"ann@test, " * 99 + b"ann@test", 250),
            (b"From: " + b"ann@test, " * 100 + b"bob@test", 550),
            (b"From: " + b" " * 70_000 + b"ann@test, bob@test", 550),
            (b"From: " + b"(" * 50_000, 550),
            (b"From: " + b"<" * 50_000 + b"bob@test", 550),
            (b"From: ann@test\r\nSubject: " + b"=?utf-8?q?a?= " * 10_000, 250),
            (b"From: ann@test\r\nX: y" + b"\r\n z" * 40_000, 250),
        )
        for head, code in bombs:
            link = self.logged_in()
            talk = b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n" + head + b"\r\n\r\nhi\r\n.\r\n"
            self.assertEqual(self.codes(link, talk)[-1], code, head[:40])
            link.close()

    def test_random_octets(self) -> None:
        """Noise is answered with 5yz or nothing, and never with an internal error."""
        random = Random(5)
        words = [
            *COMMANDS,
            b" ",
            b"<",
            b">",
            b"@test",
            b"FROM:",
            b"TO:",
            b"\r\n",
            b"\r\n",
            b"\0",
            b"\xff",
            b"a",
            b"=",
            b".",
            b"9",
            b"LAST",
        ]
        for _ in range(300):
            link = self.connect()
            link.say(b"EHLO me\r\n" + b"".join(random.choice(words) for _ in range(60)) + b"\r\n.\r\n")
            self.assertNotIn(b"Internal", link.take())
            link.close()
        self.assertEqual(self.flushLoggedErrors(), [])


LINES = {
    "EHLO": b"EHLO me\r\n",
    "HELO": b"HELO me\r\n",
    "MAIL": b"MAIL FROM:<e@x.org>\r\n",
    "BADMAIL": b"MAIL FROM:e@x.org\r\n",
    "RCPT": b"RCPT TO:<ann@test>\r\n",
    "BADRCPT": b"RCPT TO:<nobody@test>\r\n",
    "DATA": b"DATA\r\n",
    "BDAT": b"BDAT 4\r\nhi\r\n",
    "LAST": b"BDAT 4 LAST\r\nhi\r\n",
    "RSET": b"RSET\r\n",
    "NOOP": b"NOOP\r\n",
    "FOO": b"FOO\r\n",
}

MODEL: dict[str, dict[str, tuple[list[int], str]]] = {
    "EHLO": {"": ([250], "ready")},
    "HELO": {"": ([250], "ready")},
    "MAIL": {"": ([503], "="), "ready": ([250], "mail")},
    "BADMAIL": {"": ([503], "="), "ready": ([501], "=")},
    "RCPT": {"": ([503], "="), "mail": ([250], "rcpt"), "rcpt": ([250], "rcpt")},
    "BADRCPT": {"": ([503], "="), "mail": ([550], "="), "rcpt": ([550], "=")},
    "DATA": {"": ([503], "="), "rcpt": ([354], "text")},
    "BDAT": {"": ([503], "="), "rcpt": ([250], "chunks"), "chunks": ([250], "chunks")},
    "LAST": {"": ([503], "="), "rcpt": ([250], "ready"), "chunks": ([250], "ready")},
    "RSET": {"": ([250], "ready"), "connected": ([250], "connected")},
    "NOOP": {"": ([250], "=")},
    "FOO": {"": ([500], "=")},
}
"""For each verb the codes and the next state, by state or (``""``) for all others."""


def step(state: str, verb: str) -> tuple[list[int], str]:
    """The model's answer; inside a text nothing is answered."""
    if state == "text":
        return [], "text"
    codes, after = MODEL[verb].get(state, MODEL[verb][""])
    return codes, state if after == "=" else after


class TlsTests(SmtpCase):
    """T01 to T05 for the server."""

    tls = Certificates("here.test", "localhost")

    def start_tls(self, link: Link) -> None:
        """STARTTLS and the handshake."""
        self.assertEqual(self.codes(link, b"STARTTLS\r\n"), [220])
        link.start_tls(self.world.tls.client("here.test"))  # type: ignore[union-attr]
        self.assertTrue(link.peer.shaken)

    def test_mail_under_tls(self) -> None:
        """The extension is offered, works, is not offered again, and the trace tells of it."""
        link = self.connect(self.mx, "192.0.2.1")
        offered = self.ask(link, b"EHLO me\r\n")
        self.assertIn(b"250-STARTTLS", offered)
        self.assertFalse(any(b"AUTH" in line for line in offered))
        self.start_tls(link)
        offered = self.ask(link, b"EHLO me\r\n")
        self.assertNotIn(b"250-STARTTLS", offered)
        self.assertIn(b"250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", offered)
        self.assertEqual(self.codes(link, b"AUTH PLAIN " + plain("ann", "secret") + b"\r\n"), [235])
        self.assertEqual(
            self.codes(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<ann@test>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n")[-1], 221
        )
        (message,) = self.inbox()
        self.assertIn(b"with ESMTPSA", message)
        self.assertIn(b"(TLSv1.3 TLS_", message)

    def test_implicit_tls(self) -> None:
        """On 465 the first octet is TLS."""
        self.submission.implicit_tls = True
        link = self.world.connect(self.submission)
        link.start_tls(self.world.tls.client("here.test"))  # type: ignore[union-attr]
        self.assertEqual(link.take(), b"220 here.test ESMTP Launcelot\r\n")
        self.assertEqual(
            self.codes(link, b"EHLO me\r\nAUTH PLAIN " + plain("ann", "secret") + b"\r\nSTARTTLS\r\n"), [250, 235, 503]
        )

    def test_commands_behind_starttls_are_never_executed(self) -> None:
        """T01: injected in one segment: an error, a close, and nothing done."""
        for injected in (
            b"NOOP\r\n",
            b"EHLO evil\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nDATA\r\nevil\r\n.\r\n",
            b"x",
        ):
            link = self.connect()
            self.ask(link, b"EHLO me\r\n")
            answers = self.ask(link, b"STARTTLS\r\n" + injected)
            self.assertEqual(len(answers), 1)
            self.assertEqual(answers[0][:4], b"554 ")
            self.assertTrue(link.closed)
            link.close()
        self.assertEqual(self.inbox(), [])
        self.assertEqual(self.world.site.counters.value("smtp.tls.injected"), 3)

    def test_client_hello_behind_starttls(self) -> None:
        """T02: a close, never a hang."""
        link = self.connect()
        self.ask(link, b"EHLO me\r\n")
        self.assertEqual(self.ask(link, b"STARTTLS\r\n\x16\x03\x01\x00\xa5\x01")[0][:4], b"554 ")
        self.assertTrue(link.closed)

    def test_nothing_is_remembered_over_the_handshake(self) -> None:
        """T04: EHLO must be said again; a second STARTTLS is out of order; not inside a mail."""
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"STARTTLS\r\nRSET\r\n"), [250, 250, 250, 503, 250])
        self.start_tls(link)
        self.assertEqual(
            self.codes(link, b"MAIL FROM:<>\r\nAUTH PLAIN\r\nEHLO me\r\nDATA\r\nSTARTTLS\r\n"),
            [503, 503, 250, 503, 503],
        )

    def test_starttls_after_login(self) -> None:
        """T04: refused."""
        link = self.logged_in()
        self.assertEqual(self.codes(link, b"STARTTLS\r\n"), [503])

    def test_submission_in_clear_is_shown_the_way(self) -> None:
        """Where passwords are not allowed in clear, 530 names STARTTLS."""
        link = self.connect(self.submission, "192.0.2.1")
        self.assertEqual(
            self.ask(link, b"EHLO me\r\nMAIL FROM:<ann@test>\r\n")[-1], b"530 5.7.0 Must issue a STARTTLS command first"
        )

    def test_tls_that_ends_inside_a_message(self) -> None:
        """T05: the connection goes in the middle of DATA or BDAT: nothing is delivered."""
        for talk in (b"DATA\r\nhi\r\n", b"BDAT 10 LAST\r\nhi\r\n"):
            link = self.connect()
            self.start_tls(link)
            self.ask(link, ENVELOPE + talk)
            layer: Any = link.peer.transport
            layer.transport.write(b"clear text")
            self.world.advance(6)
            self.assertTrue(link.closed)
        self.assertEqual(self.inbox(), [])
        self.assertEqual(self.mx.sessions, set())

    def test_starttls_without_certificate(self) -> None:
        """502, and it is not offered."""
        self.world.site.tls = None
        link = self.connect()
        self.assertNotIn(b"250-STARTTLS", self.ask(link, b"EHLO me\r\n"))
        self.assertEqual(self.codes(link, b"STARTTLS\r\n"), [502])

    def test_octet_by_octet(self) -> None:
        """The whole way under TLS in records of one octet."""
        link = self.connect()
        self.ask(link, b"EHLO me\r\n")
        self.start_tls(link)
        link.say(ENVELOPE + b"DATA\r\nhi\r\n.\r\nQUIT\r\n", chunk=1)
        self.assertTrue(link.take().endswith(b"closing connection\r\n"))
        self.assertEqual(self.bodies(), [b"hi\r\n"])
