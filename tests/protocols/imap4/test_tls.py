"""TLS on the server's side: STARTTLS, what comes behind it, and TLS from the first octet."""

from __future__ import annotations

from launcelot.testing.certificates import Certificates
from tests.protocols.imap4.world import ImapCase

CERTIFICATES = Certificates("here.test", "localhost")


class StartTLSTests(ImapCase):
    """STARTTLS."""

    tls = CERTIFICATES

    def test_commands_inside_tls(self) -> None:
        """The handshake follows the answer; capabilities change; a second STARTTLS is BAD (T04)."""
        link = self.connect()
        self.assertIn(b" STARTTLS", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"STARTTLS")
        link.start_tls(CERTIFICATES.client("here.test"))
        self.assertEqual(link.take(), b"")
        self.assertNotIn(b" STARTTLS", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"STARTTLS", b"BAD")
        self.ask(link, b"LOGIN ann pw")
        self.ask(link, b"STARTTLS", b"BAD")

    def test_passwords_that_need_tls(self) -> None:
        """From afar they are refused before and taken after; LOGINDISABLED tells the truth."""
        link = self.world.connect(self.factory, "192.0.2.1")
        self.assertIn(b" LOGINDISABLED", link.take())
        self.ask(link, b"LOGIN ann pw", b"NO [PRIVACYREQUIRED]")
        self.ask(link, b"STARTTLS")
        link.start_tls(CERTIFICATES.client("here.test"))
        self.assertNotIn(b" LOGINDISABLED", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"LOGIN ann pw")

    def test_commands_behind_starttls(self) -> None:
        """Nothing behind it is executed, whatever it is; the connection closes (T01, T02)."""
        for behind in (b"b NOOP\r\n", b"b", b"\x16\x03\x01\x02\x00\x01", b"b LOGIN ann pw\r\n", b"\r\n"):
            link = self.connect()
            link.say(b"a STARTTLS\r\n" + behind)
            self.assertEqual(
                link.take(), b"a BAD nothing may follow STARTTLS before TLS\r\n* BYE plaintext behind STARTTLS\r\n"
            )
            self.assertTrue(link.closed)
        self.assertEqual(self.world.site.counters.value("logins.imap.succeeded"), 0)

    def test_plaintext_after_the_go_ahead(self) -> None:
        """Octets in clear where the handshake should be end the connection without an answer in clear."""
        link = self.connect()
        self.ask(link, b"STARTTLS")
        link.say(b"b LOGIN ann pw\r\nc LOGOUT\r\n")
        self.assertNotIn(b"OK", link.take())
        self.assertTrue(link.closed)

    def test_end_of_tls_in_the_middle_of_a_message(self) -> None:
        """A close inside a literal, whatever comes in clear behind it, delivers nothing (T05)."""
        for how in ("close", "abort"):
            link = self.connect()
            self.ask(link, b"STARTTLS")
            link.start_tls(CERTIFICATES.client("here.test"))
            self.ask(link, b"LOGIN ann pw")
            link.say(b"t APPEND INBOX {10+}\r\nabcde")
            getattr(link, how)()
            self.assertEqual(self.factory.sessions, set())
        self.assertEqual(self.flags(), [])

    def test_literals_and_bodies_inside_tls(self) -> None:
        """Large things go both ways."""
        link = self.connect()
        self.ask(link, b"STARTTLS")
        link.start_tls(CERTIFICATES.client("here.test"))
        self.ask(link, b"LOGIN ann pw")
        body = b"y" * 500_000
        link.say(b"t APPEND INBOX {%d+}\r\n%b\r\n" % (len(body), body))
        self.assertIn(b"t OK [APPENDUID", link.take())
        self.ask(link, b"SELECT INBOX")
        link.say(b"t FETCH 1 BODY.PEEK[]\r\n")
        self.assertIn(body, link.take())


class WithoutTLSTests(ImapCase):
    """A Site without a certificate."""

    def test_starttls_is_neither_offered_nor_taken(self) -> None:
        """BAD, and the session goes on."""
        link = self.connect()
        self.assertNotIn(b"STARTTLS", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"STARTTLS", b"BAD")
        self.ask(link, b"LOGIN ann pw")


class ImplicitTLSTests(ImapCase):
    """TLS from the first octet."""

    tls = CERTIFICATES
    implicit_tls = True

    def test_greeting_inside_tls(self) -> None:
        """Nothing is said in clear; STARTTLS is not offered; passwords are welcome."""
        link = self.world.connect(self.factory, "192.0.2.1")
        link.start_tls(CERTIFICATES.client("localhost"))
        greeting = link.take()
        self.assertTrue(greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 "))
        self.assertNotIn(b"STARTTLS", greeting)
        self.assertIn(b"AUTH=PLAIN", greeting)
        self.ask(link, b"LOGIN ann pw")
