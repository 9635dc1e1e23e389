"""RFC 5321, as it is written: each test is a sentence of the standard that a server has to live up to."""

from __future__ import annotations

from launcelot.core.errors import TryLater
from launcelot.protocols.smtp.grammar import Reply
from launcelot.protocols.smtp.session import Role
from tests.protocols.smtp.support import ENVELOPE, STUFFED, SmtpCase


class OrderTests(SmtpCase):
    """Section 4.1.4: what may be said when."""

    def test_some_commands_need_no_ehlo(self) -> None:
        """NOOP, HELP, EXPN, VRFY, RSET and QUIT at any time."""
        link = self.connect()
        self.assertEqual(
            self.codes(link, b"NOOP\r\nHELP\r\nEXPN list\r\nVRFY ann\r\nRSET\r\nQUIT\r\n"), [250, 214, 502, 252, 250, 221]
        )

    def test_they_disturb_no_transaction(self) -> None:
        """Said in the middle of a mail they change nothing, but for RSET."""
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"VRFY ann\r\nEXPN x\r\nHELP\r\nNOOP x\r\nDATA\r\n")[-1], 354)
        self.assertEqual(self.codes(link, b"x\r\n.\r\n"), [250])

    def test_mail_is_not_nested(self) -> None:
        """Section 4.1.1.2: a second MAIL is 503, and the first stays."""
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"MAIL FROM:<x@y.example>\r\nDATA\r\n")[-2:], [503, 354])

    def test_ehlo_in_a_mail_is_as_rset(self) -> None:
        """The transaction is gone."""
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"EHLO me\r\nRCPT TO:<ann@test>\r\nDATA\r\n")[-3:], [250, 503, 503])

    def test_data_without_recipients(self) -> None:
        """Section 3.3: 503 where no RCPT was accepted, and RCPT may still follow."""
        link = self.connect()
        talk = b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@test>\r\nDATA\r\nRCPT TO:<ann@test>\r\nDATA\r\n"
        self.assertEqual(self.codes(link, talk), [250, 250, 550, 503, 250, 354])

    def test_an_end_leads_back_to_the_beginning(self) -> None:
        """After a message that was taken, or refused, the next mail begins with MAIL."""
        link = self.connect()
        for text, code in ((STUFFED + b".\r\n", 250), (b"Received: x\r\n" * 101 + b"\r\n.\r\n", 554)):
            self.assertEqual(self.codes(link, ENVELOPE + b"DATA\r\n")[-1], 354)
            self.assertEqual(self.codes(link, text), [code])
            self.assertEqual(self.codes(link, b"RCPT TO:<ann@test>\r\nDATA\r\n"), [503, 503])


class SyntaxTests(SmtpCase):
    """Sections 2.4 and 4.1."""

    def test_verbs_in_any_case_and_white_space_behind_them(self) -> None:
        """Also a tab."""
        link = self.connect()
        talk = b"eHlO me \r\nmail from:<E@x.example>  \r\nRcPt To:<ANN@TEST>\t\r\nrset \t \r\nquit\t\r\n"
        self.assertEqual(self.codes(link, talk), [250, 250, 250, 250, 221])

    def test_arguments_where_none_belong(self) -> None:
        """DATA, RSET and QUIT: 501, and nothing is done."""
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"RSET x\r\nDATA x\r\nQUIT x\r\nDATA\r\n")[-4:], [501, 501, 501, 354])

    def test_arguments_where_they_are_wanted(self) -> None:
        """EHLO, HELO and VRFY."""
        self.assertEqual(self.codes(self.connect(), b"EHLO\r\nHELO\r\nVRFY\r\n"), [501] * 3)

    def test_unknown_parameters(self) -> None:
        """Section 4.1.1.11: 555."""
        link = self.connect()
        talk = b"EHLO me\r\nMAIL FROM:<> X=1\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test> X\r\n"
        self.assertEqual(self.codes(link, talk), [250, 555, 250, 555])

    def test_unknown_commands_do_not_close(self) -> None:
        """Section 3.8: 500, and the server awaits further instructions."""
        link = self.connect()
        self.assertEqual(self.codes(link, b"XYZZY\r\nX-Y\r\nNOOP\r\n"), [500, 500, 250])

    def test_lines_of_512_octets_and_paths_of_256(self) -> None:
        """Section 4.5.3.1: at least."""
        link = self.connect()
        domain = (b"d" * 59 + b".") * 4 + b"example"
        path = b"l" * 64 + b"@" + domain[-189:].lstrip(b".")
        self.assertEqual(len(path), 254)
        self.assertEqual(self.codes(link, b"EHLO me\r\nMAIL FROM:<" + path + b">\r\n"), [250, 250])
        self.assertEqual(self.codes(link, b"NOOP " + b"x" * 505 + b"\r\n"), [250])

    def test_text_lines_of_1000_octets(self) -> None:
        """And more, unchanged."""
        link = self.connect()
        text = b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n" + b"y" * 100_000 + b"\r\n"
        self.assertEqual(self.codes(link, ENVELOPE + b"DATA\r\n")[-1], 354)
        self.assertEqual(self.codes(link, text + b".\r\n"), [250])
        self.assertEqual(self.bodies(), [text])

    def test_source_routes_are_ignored(self) -> None:
        """Appendix C: the last address counts."""
        link = self.connect()
        talk = b"EHLO me\r\nMAIL FROM:<@a.example,@b.example:e@x.example>\r\nRCPT TO:<@c.example:ann@test>\r\n"
        self.assertEqual(self.codes(link, talk), [250, 250, 250])


class ReplyTests(SmtpCase):
    """Sections 3.1, 3.8 and 4.2."""

    def test_lines_are_shorter_than_512_octets(self) -> None:
        """Section 4.5.3.1.5, whatever somebody else has said."""
        for reply in (Reply(550, "5.7.1", ("x" * 5_000, "y" * 600)), Reply(250, "", ("\u00fc" * 5_000,))):
            for line in reply.encode().splitlines(keepends=True):
                self.assertLessEqual(len(line), 512)

    def test_replies_are_ascii(self) -> None:
        """RFC 6531 section 3.7.4: nobody is sent UTF-8 who has not asked for it."""
        self.assertEqual(Reply(550, "5.7.1", ("\u00fcber",)).encode(), b"550 5.7.1 ?ber\r\n")

    def test_relaying_is_refused_with_550(self) -> None:
        """Section 3.6.2: for policy reasons a 550."""
        link = self.connect()
        self.assertEqual(self.codes(link, b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<x@far.example>\r\n")[-1], 550)

    def test_codes_are_those_of_the_commands(self) -> None:
        """Section 4.3.2: of what can be had from MAIL, RCPT and the end of data, nothing else."""
        allowed = {
            b"MAIL": {250, 552, 451, 452, 550, 553, 503, 455, 555, 501, 530, 421},
            b"RCPT": {250, 251, 550, 551, 552, 553, 450, 451, 452, 503, 455, 555, 501, 530, 421},
            b"DATA": {354, 250, 552, 554, 451, 452, 450, 550, 503, 501, 530, 421},
        }
        talks = [
            b"MAIL FROM:<\r\n", b"MAIL FROM:<> SIZE=99999999999\r\n", "MAIL FROM:<\u00fc@x>\r\n".encode(), b"MAIL x\r\n",
            b"MAIL FROM:<> Y=1\r\n", b"MAIL FROM:<bob@test>\r\n", b"RCPT TO:<ann@test>\r\n", b"DATA\r\n",
            b"MAIL FROM:<>\r\nRCPT TO:<nobody@test>\r\nRCPT TO:<x@far.example>\r\nRCPT TO:<>\r\nRCPT TO:<a@b@c>\r\nDATA\r\n",
        ]  # fmt: skip
        self.configure(max_errors=100)
        for link in (self.connect(), self.logged_in()):
            for talk in talks:
                lines = talk.splitlines(keepends=True)
                answers = self.codes(link, b"EHLO me\r\n" + talk + b"RSET\r\n")[1:-1]
                for line, code in zip(lines, answers, strict=True):
                    self.assertIn(code, allowed[line[:4].upper()], line)

    def test_from_of_another_is_refused_with_a_code_of_data(self) -> None:
        """Section 4.3.2: 550 at the end of data, where 553 does not belong."""
        link = self.logged_in()
        self.codes(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n")
        self.assertEqual(self.codes(link, b"From: bob@test\r\n\r\n.\r\n"), [550])

    def test_a_fault_of_ours_is_451(self) -> None:
        """Section 4.5.1 and 4.2.1: temporary, so that the mail comes again."""

        async def refuse(*_: object, **__: object) -> None:
            raise TryLater

        self.world.site.spool.accept = refuse  # type: ignore[method-assign,assignment]
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE + b"DATA\r\n")[-1], 354)
        self.assertEqual(self.codes(link, b"x\r\n.\r\n"), [451])
        self.assertFalse(link.closed)


class ServiceTests(SmtpCase):
    """Sections 4.5.1, 4.5.5 and 6.1."""

    def test_the_least_that_a_server_knows(self) -> None:
        """EHLO, HELO, MAIL, RCPT, DATA, RSET, NOOP, QUIT and VRFY."""
        for verb in (b"EHLO me", b"HELO me", b"MAIL FROM:<>", b"RCPT TO:<ann>", b"DATA", b"RSET", b"NOOP", b"QUIT", b"VRFY x"):
            self.assertNotIn(self.codes(self.connect(), verb + b"\r\n")[0], (500, 502), verb)

    def test_postmaster(self) -> None:
        """With and without a domain, in any case, though nobody made such an account."""
        link = self.connect()
        talk = b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nRCPT TO:<POSTMASTER@test>\r\nDATA\r\n"
        self.assertEqual(self.codes(link, talk), [250, 250, 250, 250, 354])
        self.assertEqual(self.codes(link, b"x\r\n.\r\n"), [250])
        self.assertEqual((len(self.inbox("ann")), len(self.inbox("bob"))), (1, 0))

    def test_helo_is_taken(self) -> None:
        """Section 4.1.1.1: from old clients, in one line, and mail after it."""
        link = self.connect()
        self.assertEqual(self.ask(link, b"HELO old\r\n"), [b"250 here.test"])
        self.assertEqual(self.codes(link, b"MAIL FROM:<e@x.example>\r\nRCPT TO:<ann@test>\r\nDATA\r\n")[-1], 354)
        self.assertEqual(self.codes(link, b"x\r\n.\r\n"), [250])
        self.assertIn(b" with SMTP id ", b" ".join(self.inbox()[0].split()))

    def test_the_null_path(self) -> None:
        """Section 4.5.5: always taken, and handed on as it is."""
        link = self.connect()
        self.assertEqual(self.codes(link, ENVELOPE.replace(b"eve@example.com", b"") + b"DATA\r\n")[-1], 354)
        self.assertEqual(self.codes(link, b"x\r\n.\r\n"), [250])
        self.assertTrue(self.inbox()[0].startswith(b"Return-Path: <>\r\n"))

    def test_submission_asks_for_a_login_first(self) -> None:
        """RFC 4954 section 6: 530 to all but AUTH, EHLO, HELO, NOOP, RSET and QUIT."""
        link = self.world.connect(self.submission)
        link.take()
        talk = b"EHLO me\r\nNOOP\r\nRSET\r\nMAIL FROM:<>\r\nVRFY x\r\nRCPT TO:<x>\r\nDATA\r\nHELO me\r\nQUIT\r\n"
        self.assertEqual(self.codes(link, talk), [250, 250, 250, 530, 530, 530, 530, 250, 221])
        self.assertEqual(self.submission.role, Role.SUBMISSION)
