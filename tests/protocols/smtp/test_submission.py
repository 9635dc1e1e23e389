"""Submission: who may log in, as whom they may send, and what is added to their mail."""

from __future__ import annotations

import base64

from launcelot.core.errors import TryLater
from launcelot.message.address import Address
from tests.protocols.smtp.support import ENVELOPE, SmtpCase, plain


class SubmissionTests(SmtpCase):
    """Mail from accounts."""

    def test_login_comes_first(self) -> None:
        """530 5.7.0 for everything that sends."""
        link = self.connect(self.submission)
        talk = b"EHLO me\r\nMAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\nVRFY bob\r\nNOOP\r\n"
        self.assertEqual(self.codes(link, talk), [250, 530, 530, 530, 530, 250])

    def test_ann_writes_to_bob(self) -> None:
        """And the mail says how it came."""
        link = self.logged_in()
        self.assertEqual(
            self.codes(
                link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\nFrom: ann@test\r\n\r\nhi\r\n.\r\n"
            )[-1],
            250,
        )
        (message,) = self.inbox("bob")
        self.assertIn(b"with ESMTPA\r\n", message)

    def test_all_ways_to_log_in(self) -> None:
        """PLAIN with and without initial response, LOGIN in its three forms, in any case."""
        name, password = base64.b64encode(b"ann"), base64.b64encode(b"secret")
        for lines, codes in (
            ([b"AUTH PLAIN " + plain("ann", "secret")], [235]),
            ([b"auth plain", plain("ann", "secret")], [334, 235]),
            ([b"AUTH PLAIN =", plain("ann", "secret")], [535, 500]),
            ([b"AUTH LOGIN", name, password], [334, 334, 235]),
            ([b"AUTH LOGIN " + name, password], [334, 235]),
            ([b"AUTH PLAIN " + plain("ann@test", "secret")], [235]),
            ([b"AUTH PLAIN " + base64.b64encode(b"ann\0ann\0secret")], [235]),
            ([b"AUTH PLAIN " + base64.b64encode(b"ann@test\0ann\0secret")], [235]),
            ([b"AUTH PLAIN " + base64.b64encode(b"bob\0ann\0secret")], [535]),
            ([b"AUTH PLAIN", b"*"], [334, 501]),
            ([b"AUTH LOGIN", name, b"*"], [334, 334, 501]),
            ([b"AUTH PLAIN !!!"], [501]),
            ([b"AUTH PLAIN", b"not base64"], [334, 501]),
            ([b"AUTH PLAIN " + plain("ann", "wrong")], [535]),
            ([b"AUTH PLAIN " + plain("nobody", "secret")], [535]),
            ([b"AUTH PLAIN " + base64.b64encode(b"no parts")], [535]),
            ([b"AUTH CRAM-MD5"], [504]),
            ([b"AUTH"], [501]),
            ([b"AUTH PLAIN a b"], [501]),
        ):
            link = self.connect(self.submission)
            self.ask(link, b"EHLO me\r\n")
            self.assertEqual([self.codes(link, line + b"\r\n")[0] for line in lines], codes, lines)

    def test_wrong_password_and_unknown_name_sound_the_same(self) -> None:
        """Nobody learns who exists."""
        link = self.connect(self.submission)
        self.ask(link, b"EHLO me\r\n")
        answers = [self.ask(link, b"AUTH PLAIN " + plain(name, "wrong") + b"\r\n") for name in ("ann", "nobody")]
        self.assertEqual(answers[0], answers[1])

    def test_longest_response(self) -> None:
        """12,288 octets are read, as a continuation and with the command; more ends the session."""
        link = self.connect(self.submission)
        self.ask(link, b"EHLO me\r\nAUTH PLAIN\r\n")
        self.assertEqual(self.codes(link, b"A" * 12_288 + b"\r\n"), [535])
        self.assertEqual(self.codes(link, b"AUTH PLAIN " + b"A" * 12_288 + b"\r\n"), [535])
        self.assertEqual(self.codes(link, b"NOOP " + b"A" * 3000 + b"\r\n"), [500])
        self.ask(link, b"AUTH PLAIN\r\n")
        self.assertEqual(self.codes(link, b"A" * 12_300 + b"\r\nNOOP\r\n"), [500])
        self.assertTrue(link.closed)

    def test_login_once(self) -> None:
        """A second AUTH and AUTH inside a mail are out of order; nothing is offered any more."""
        link = self.logged_in()
        self.assertEqual(self.codes(link, b"AUTH PLAIN\r\n"), [503])
        self.assertFalse(any(b"AUTH" in line for line in self.ask(link, b"EHLO me\r\n")))
        other = self.connect()
        self.assertEqual(self.codes(other, b"EHLO me\r\nMAIL FROM:<>\r\nAUTH PLAIN\r\n"), [250, 250, 503])

    def test_too_many_failures_are_refused_unseen(self) -> None:
        """454 after ten, also for the right password; from elsewhere it still works."""
        for _ in range(5):
            link = self.connect(self.submission)
            self.ask(link, b"EHLO me\r\n")
            for _ in range(2):
                self.ask(link, b"AUTH PLAIN " + plain("ann", "wrong") + b"\r\n")
        link = self.connect(self.submission)
        self.ask(link, b"EHLO me\r\n")
        self.assertEqual(self.codes(link, b"AUTH PLAIN " + plain("ann", "secret") + b"\r\n"), [454])
        elsewhere = self.connect(self.submission, "127.0.0.2")
        self.assertEqual(
            self.codes(elsewhere, b"EHLO me\r\nAUTH PLAIN " + plain("ann", "secret") + b"\r\n"), [250, 235]
        )

    def test_directory_out_of_reach(self) -> None:
        """454 4.7.0, never "wrong password"."""

        async def check(_name: str, _password: str) -> None:
            raise TryLater

        self.world.site.accounts.check_password = check  # type: ignore[method-assign, assignment]
        link = self.connect(self.submission)
        self.assertEqual(self.codes(link, b"EHLO me\r\nAUTH PLAIN " + plain("ann", "secret") + b"\r\n"), [250, 454])

    def test_plaintext_login_as_configured(self) -> None:
        """From this machine only, never, or always; what is offered is what is granted."""
        for policy, source, granted in (
            ("loopback", "127.0.0.1", True),
            ("loopback", "192.0.2.1", False),
            ("never", "127.0.0.1", False),
            ("always", "192.0.2.1", True),
        ):
            self.configure(plaintext_login=policy)
            link = self.connect(self.submission, source)
            offered = any(b"AUTH" in line for line in self.ask(link, b"EHLO me\r\n"))
            code = self.codes(link, b"AUTH PLAIN " + plain("ann", "secret") + b"\r\n")[0]
            self.assertEqual((offered, code), (granted, 235 if granted else 538), (policy, source))

    def test_sender_must_be_ones_own(self) -> None:
        """Envelope: own address, detail, aliases and the null path; not bob's, not elsewhere's."""
        self.world.result(self.world.site.accounts.add_alias(Address("sales", "test"), [self.ann.address]))
        link = self.logged_in()
        for sender, code in (
            ("ann@test", 250), ("ANN+x@Test", 250), ("sales@test", 250), ("", 250),
            ("bob@test", 553), ("ann@example.com", 553), ("nobody@test", 553),
        ):  # fmt: skip
            self.assertEqual(self.codes(link, f"MAIL FROM:<{sender}>\r\nRSET\r\n".encode()), [code, 250], sender)

    def from_header(self, header: bytes, **changes: object) -> bytes:
        """The answer to a mail of ann's with a header."""
        self.configure(**changes)
        link = self.logged_in()
        talk = b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n" + header + b"\r\n\r\nhi\r\n.\r\n"
        return self.ask(link, talk)[-1][:9]

    def test_from_must_be_ones_own(self) -> None:
        """Whatever way bob's address is written into From, it is refused; without the check it passes."""
        for header in (
            b"From: ann@test", b"From: Ann <ANN@test>", b'From: "bob@test" <ann@test>', b"From: ann@test (bob@test)",
            b"Subject: From: bob@test", b"From: Ann\r\n <ann@test>", b"FROM: ann+x@test", b"X: y",
        ):  # fmt: skip
            self.assertEqual(self.from_header(header), b"250 2.0.0", header)
        for header in (
            b"From: bob@test", b"From: Ann <bob@test>", b"From: ann@test, bob@test", b"From: ann@test\r\nFrom: bob@test",
            b"From: Ann\r\n <bob@test>", b"fRoM: bob@test", b"From : bob@test", b"From: x: bob@test;", b"From:",
            b"From: nonsense",
            b"From: ann@test <bob@test>", b"From: <ann@test>bob@test", b'From: "ann@test"@test', b"From: =?utf-8?q?ann?=@test",
            b"From: ann@test, ann@example.com", b"From: ann@test bob@test", b"From: ann@test;bob@test",
            b"From: ann@test\0bob@test",
            b"From: ann@test,\r\n\tbob@test", b"From: bob@test (<ann@test>)", b"From: ann@test, (x) bob@test",
            b"From: g: ann@test;, bob@test",
            b"From: @bob:ann@test, b\xc3\xb6b@test", b"From:ann@test\r\nFrom:bob@test", b"From\t: bob@test",
        ):  # fmt: skip
            self.assertEqual(self.from_header(header), b"550 5.7.1", header)
        self.assertEqual(self.from_header(b"From: bob@test", check_from_header=False), b"250 2.0.0")

    def test_missing_fields_are_added_and_nothing_else_changed(self) -> None:
        """Date and Message-ID come on top where they are missing."""
        link = self.logged_in()
        talk = b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n%s\r\n\r\nhi\r\n.\r\n"
        self.ask(link, talk % b"Subject: x")
        self.ask(link, talk % b"date: y\r\nMessage-Id: <z@z>")
        first, second = self.bodies("bob")
        self.assertTrue(first.startswith(b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <"), first)
        self.assertTrue(first.endswith(b"@here.test>\r\nSubject: x\r\n\r\nhi\r\n"), first)
        self.assertEqual(second, b"date: y\r\nMessage-Id: <z@z>\r\n\r\nhi\r\n")

    def test_mail_from_outside_gets_no_fields(self) -> None:
        """An MX adds its trace and nothing more."""
        link = self.connect()
        self.ask(link, ENVELOPE + b"DATA\r\nSubject: x\r\n\r\n.\r\n")
        self.assertEqual(self.bodies(), [b"Subject: x\r\n\r\n"])

    def test_bare_line_ends_are_made_right(self) -> None:
        """Before anything is stored; the end of data is still CRLF.CRLF alone."""
        link = self.logged_in()
        text = b"Date: x\r\nMessage-ID: <x@x>\n\na\rb\n.\nc\r\n"
        self.ask(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\n" + text + b".\r\n")
        self.assertEqual(self.bodies("bob"), [b"Date: x\r\nMessage-ID: <x@x>\r\n\r\na\r\nb\r\n.\r\nc\r\n"])

    def test_other_domains_where_mail_stays_here(self) -> None:
        """550 5.1.2 unless the Site relays."""
        link = self.logged_in()
        self.assertEqual(self.ask(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<x@example.com>\r\n")[-1][:9], b"550 5.1.2")

    def test_login_on_the_mx_makes_it_a_submission(self) -> None:
        """The rules of submission hold then."""
        link = self.logged_in(self.mx)
        self.assertEqual(self.codes(link, b"MAIL FROM:<bob@test>\r\n"), [553])
        self.assertEqual(
            self.codes(link, b"MAIL FROM:<ann@test>\r\nRCPT TO:<bob@test>\r\nDATA\r\nhi\r\n.\r\n")[-1], 250
        )
        self.assertIn(b"with ESMTPA\r\n", self.inbox("bob")[0])

    def test_header_too_large_to_be_checked(self) -> None:
        """A From behind 256 KiB of other fields is not let through unseen."""
        self.assertEqual(self.from_header(b"X: y\r\n" * 60_000 + b"From: bob@test"), b"554 5.6.0")
