"""BODY=BINARYMIME: what comes as octets lies there as text, and every octet of a part is kept."""

from __future__ import annotations

import email
from random import Random

from launcelot.testing.link import random_cuts
from tests.protocols.smtp.support import SmtpCase

MAIL = b"EHLO me\r\nMAIL FROM:<eve@example.com> BODY=BINARYMIME\r\nRCPT TO:<ann@test>\r\n"
OCTETS = bytes(range(256)) * 3 + b"\n.\n\r.\r\r\n.\r\nMAIL FROM:<evil@x>\n"
MIXED = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
    b"--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n" + OCTETS + b"\r\n--b--\r\n"
)


class BinaryTests(SmtpCase):
    """By BDAT, on every listener."""

    def chunks(self, text: bytes, size: int = 1_000) -> bytes:
        """A message in chunks."""
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        return b"".join(b"BDAT %d%b\r\n%b" % (len(one), b" LAST" if one is pieces[-1] else b"", one) for one in pieces)

    def test_every_octet_of_a_part_is_kept(self) -> None:
        """Stored without bare line ends and NULs; decoded it is what was sent; the text beside it is untouched."""
        for size in (1_000, 7):
            self.assertEqual(set(self.codes(self.connect(), MAIL + self.chunks(MIXED, size))), {250})
            stored = self.inbox()[-1]
            self.assertNotIn(b"\0", stored)
            self.assertEqual(stored.count(b"\r\n"), stored.count(b"\n"))
            self.assertEqual(stored.count(b"\r"), stored.count(b"\n"))
            self.assertIn(b"\r\n\r\nplain\r\n--b", stored)
            parts = email.message_from_bytes(stored).get_payload()
            self.assertEqual(parts[1].get_payload(decode=True), OCTETS)  # type: ignore[index, union-attr]

    def test_what_needs_nothing_is_as_it_was(self) -> None:
        """Text with CRLFs and octets above 127."""
        text = b"Content-Transfer-Encoding: binary\r\n\r\n\xff\xfe\r\n.\r\n"
        self.codes(self.connect(), MAIL + self.chunks(text))
        self.assertEqual(self.bodies(), [text])

    def test_submitted_binary_mail_is_not_made_text(self) -> None:
        """Its line feeds are not line ends."""
        link = self.logged_in()
        self.codes(link, b"MAIL FROM:<ann@test> BODY=BINARYMIME\r\nRCPT TO:<ann@test>\r\n")
        text = b"From: ann@test\r\nDate: x\r\nMessage-ID: <x@x>\r\nContent-Type: application/x\r\n\r\n\n\n\r"
        self.assertEqual(self.codes(link, self.chunks(text)), [250])
        self.assertEqual(email.message_from_bytes(self.inbox()[0]).get_payload(decode=True), b"\n\n\r")

    def test_octets_in_the_wrong_place(self) -> None:
        """A NUL or a bare line end in a header, or in what is base64 already, is 554, and the session goes on."""
        link = self.connect()
        for text in (b"Subject: a\nb\r\n\r\nx", b"Subject: a\0\r\n\r\nx", b"Content-Transfer-Encoding: base64\r\n\r\nYQ\n=="):
            self.assertEqual(self.codes(link, MAIL + self.chunks(text))[-1], 554, text)
        self.assertEqual(self.inbox(), [])
        self.assertEqual(self.codes(link, b"NOOP\r\n"), [250])

    def test_it_is_not_for_data(self) -> None:
        """503, and the transaction goes on by BDAT.  RFC 3030 section 3."""
        link = self.connect()
        self.assertEqual(self.codes(link, MAIL + b"DATA\r\nBDAT 8 LAST\r\n\r\nhello\n"), [250, 250, 250, 503, 250])

    def test_without_it_bare_line_ends_are_refused(self) -> None:
        """BODY=8BITMIME by BDAT is strict as ever."""
        link = self.connect()
        self.assertEqual(self.codes(link, MAIL.replace(b"BINARYMIME", b"8BITMIME") + self.chunks(MIXED))[-1], 550)

    def test_random_cuts(self) -> None:
        """However it comes."""
        talk = MAIL + self.chunks(MIXED, 400) + b"QUIT\r\n"
        random = Random(3)
        for _ in range(10):
            link = self.connect()
            link.say(talk, cuts=random_cuts(talk, random))
            self.assertTrue(link.closed)
        self.assertEqual(len(set(self.bodies())), 1)
        self.assertEqual(len(self.bodies()), 10)


class LimitsTests(SmtpCase):
    """RFC 9422: what is told is what is done."""

    def test_a_connection_has_so_many_mails(self) -> None:
        """Then 421; a client that knows the limit never sees it."""
        self.configure(max_mails=2)
        link = self.connect()
        self.assertIn(b"250-LIMITS MAILMAX=2 RCPTMAX=100", self.ask(link, b"EHLO x\r\n"))
        one = b"MAIL FROM:<e@x.org>\r\nRCPT TO:<ann@test>\r\nBDAT 2 LAST\r\n\r\n"
        self.assertEqual(self.codes(link, one + b"MAIL FROM:<e@x.org>\r\nRSET\r\n" + one), [250, 250, 250, 250, 250, 421])
        self.assertTrue(link.closed)

    def test_a_mail_has_so_many_domains(self) -> None:
        """452 for a recipient in one more; those before stay."""
        self.configure(max_recipient_domains=2)
        self.world.site.relays = True
        link = self.logged_in()
        self.assertIn(b"250-LIMITS RCPTMAX=100 RCPTDOMAINMAX=2", self.ask(link, b"EHLO x\r\n"))
        talk = b"MAIL FROM:<ann@test>\r\n" + b"".join(
            b"RCPT TO:<%b>\r\n" % one for one in (b"x@A.example", b"bob@test", b"y@b.example", b"z@a.example", b"ann@test")
        )
        self.assertEqual(self.codes(link, talk), [250, 250, 250, 452, 250, 250])
