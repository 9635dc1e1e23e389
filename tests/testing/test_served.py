"""A Site on real sockets, from the outside: what tests of clients do with it."""

from __future__ import annotations

import ftplib
import imaplib
import poplib
import shutil
import smtplib
import socket
import threading
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Exists, NotFound
from launcelot.testing.mail import NoMail
from launcelot.testing.matching import contains
from launcelot.testing.served import Served, octets_of, serve
from launcelot.testing.transcript import SERVER


class ServedCase(SynchronousTestCase):
    """Sites that are stopped at the end, having left nothing."""

    def serve(self, *names: str, **options: Any) -> Served:
        """A Site that listens."""
        served = serve(*names, **options)
        self.addCleanup(lambda: self.assertEqual(served.stop(), []))
        return served


class ClientTests(ServedCase):
    """Python's own clients."""

    def test_mail_by_smtp_is_read_by_imap_and_pop3(self) -> None:
        """As soon as it was waited for."""
        lc = self.serve("smtp", "imap", "pop3")
        to = lc.user("ann", password="secret")
        with smtplib.SMTP(*lc.smtp.address) as client:
            client.sendmail("app@a.example", [to], "Subject: News\r\n\r\nhi\r\n")
        raw = lc.mail.wait(to=to).raw
        with imaplib.IMAP4(*lc.imap.address) as imap:
            imap.login("ann", "secret")
            imap.select()
            fetched: Any = imap.fetch("1", "BODY.PEEK[]")[1][0]
        self.assertEqual(fetched[1], raw)
        pop = poplib.POP3(*lc.pop3.address)
        pop.user("ann")
        pop.pass_("secret")
        self.assertEqual(b"\r\n".join(pop.retr(1)[1]) + b"\r\n", raw)
        pop.quit()

    def test_files_are_seeded_and_read_back(self) -> None:
        """With folders on the way."""
        lc = self.serve("ftp")
        lc.user("ann", files={"in/a.csv": b"1,2\n"})
        with ftplib.FTP() as ftp:
            ftp.connect(*lc.ftp.address)
            ftp.login("ann", "pw")
            heard: list[bytes] = []
            ftp.retrbinary("RETR in/a.csv", heard.append)
            ftp.storbinary("STOR out.bin", iter_file(b"\0" * 100_000))
        self.assertEqual(b"".join(heard), b"1,2\n")
        self.assertEqual(lc.files("ann"), {"in/a.csv": b"1,2\n", "out.bin": b"\0" * 100_000})

    def test_team_folders_are_seeded_and_read_back(self) -> None:
        """With rights for accounts; what may not be done is refused, and what was done is there."""
        lc = self.serve("ftp")
        lc.user("ann")
        place = lc.team("Plans", {"ann": "viewer create"}, quota=100, files={"in/a.csv": b"1,2\n"})
        self.assertEqual(place, "/team/Plans")
        with ftplib.FTP() as ftp:
            ftp.connect(*lc.ftp.address)
            ftp.login("ann", "pw")
            ftp.cwd(place)
            self.assertRaises(ftplib.error_perm, ftp.delete, "in/a.csv")
            self.assertRaises(ftplib.error_perm, ftp.storbinary, "STOR b", iter_file(b"x" * 97))
            ftp.storbinary("STOR b", iter_file(b"x" * 96))
        self.assertEqual(lc.team_files("Plans"), {"in/a.csv": b"1,2\n", "b": b"x" * 96})
        self.assertEqual(lc.files("ann"), {})
        self.assertRaises(Exists, lc.team, "plans")
        self.assertRaises(NotFound, lc.team, "Maps", {"eve": "list"})
        self.assertRaises(NotFound, lc.team_files, "None")

    def test_mail_is_seeded(self) -> None:
        """Octets and objects; none of it counts as arrived."""
        lc = self.serve("imap")
        letter = EmailMessage()
        letter["Subject"] = "two"
        lc.user("ann", mail=[b"Subject: one\n\nhi\n", letter])
        self.assertEqual([one.subject for one in lc.mailbox("ann")], ["one", "two"])
        lc.mail.none()

    def test_tls(self) -> None:
        """By STARTTLS and from the first octet, with a certificate that the client's context trusts."""
        lc = self.serve("submission", "imaps")
        to = lc.user("ann")
        with smtplib.SMTP(*lc.submission.address) as client:
            client.starttls(context=lc.ssl_context())
            client.login("ann", "pw")
            client.sendmail(to, [to, "bob@far.example"], f"From: {to}\r\nSubject: News\r\n\r\nhi\r\n")
        self.assertEqual(lc.mail.wait(to="bob@far.example").subject, "News")
        with imaplib.IMAP4_SSL(*lc.imaps.address, ssl_context=lc.ssl_context()) as imap:
            self.assertEqual(imap.login("ann", "pw")[0], "OK")

    def test_what_is_not_there_is_named(self) -> None:
        """Services and settings."""
        lc = self.serve("smtp")
        self.assertIn("'imap' was not started; smtp was", str(self.assertRaises(LookupError, lc.place, "imap")))
        self.assertRaises(AttributeError, getattr, lc, "imap")
        self.assertRaises(LookupError, serve, "gopher")
        self.assertRaises(LookupError, serve, "smtp", settings={"smtp": {"size": 1}})

    def test_settings(self) -> None:
        """Those of the daemon."""
        lc = self.serve("smtp", settings={"smtp": {"max_message_size": 70_000}})
        with smtplib.SMTP(*lc.smtp.address) as client:
            client.ehlo()
            self.assertEqual(client.esmtp_features["size"], "70000")


class WaitingTests(ServedCase):
    """``lc.mail``."""

    def test_wait_is_woken(self) -> None:
        """By mail that comes while somebody waits, if it is the one; the others are not."""
        lc = self.serve("smtp")
        to = lc.user("ann")
        found: list[str] = []

        def wait() -> None:
            found.append(lc.mail.wait(to=to, subject=contains("two")).subject)

        waiting = threading.Thread(target=wait)
        waiting.start()
        with smtplib.SMTP(*lc.smtp.address) as client:
            for subject in ("number one", "number two"):
                client.sendmail("", [to], f"Subject: {subject}\r\n\r\n")
        waiting.join(10)
        self.assertEqual(found, ["number two"])

    def test_what_a_function_raises_is_the_waiters(self) -> None:
        """Who waits for text that a function looks at hears of its error; the server and others do not."""
        lc = self.serve("smtp")
        to = lc.user("ann")

        def broken(text: str) -> bool:
            raise ZeroDivisionError(text)

        waiting = threading.Thread(target=lambda: self.assertRaises(ZeroDivisionError, lc.mail.wait, subject=broken))
        waiting.start()
        with smtplib.SMTP(*lc.smtp.address) as client:
            client.sendmail("", [to], "Subject: News\r\n\r\n")
        waiting.join(10)
        self.assertEqual(lc.mail.wait(to=to).subject, "News")
        self.assertRaises(ZeroDivisionError, lc.mail.wait, subject=broken)

    def test_reply_has_left_when_the_waiter_is_told(self) -> None:
        """Not one time in a hundred is the 250 behind."""
        lc = self.serve("smtp")
        to = lc.user("ann")
        client = socket.create_connection(lc.smtp.address)
        self.addCleanup(client.close)
        client.sendall(b"HELO me\r\n")
        for number in range(100):
            client.sendall(f"MAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: {number}\r\n\r\n.\r\n".encode())
            lc.mail.wait(subject=str(number))
            said = lc.smtp.transcripts[0].octets(SERVER)
            self.assertEqual(said.count(b"250 2.0.0 Accepted"), number + 1)

    def test_none_waits_for_what_is_on_its_way(self) -> None:
        """Mail whose sender did not wait for the reply is found all the same."""
        lc = self.serve("smtp")
        to = lc.user("ann")
        lc.mail.none()
        for _ in range(20):
            client = socket.create_connection(lc.smtp.address)
            client.sendall(f"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n".encode())
            self.assertRaises(NoMail, lc.mail.none, to=to)
            client.close()

    def test_failure_says_what_arrived_and_who_is_connected(self) -> None:
        """And what he said last."""
        lc = self.serve("smtp")
        to = lc.user("anne")
        client = socket.create_connection(lc.smtp.address)
        self.addCleanup(client.close)
        client.sendall(f"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: News\r\n\r\n.\r\n".encode())
        lc.mail.wait(to=to)
        said = str(self.assertRaises(NoMail, lc.mail.wait, to="ann@test", subject="News", timeout=0.05))
        self.assertIn("no mail with to='ann@test', subject='News' within 0.05 s\n  arrived: 1\n", said)
        self.assertIn("to='anne@test' subject='News'", said)
        self.assertIn("<- recipient differs by one letter\n", said)
        self.assertRegex(said, r"smtp #1 from 127.0.0.1, has said nothing since the answer \d\.\d\d s ago\n")
        self.assertRegex(said, r"      wire: C: | C: \. | S: 250 2\.0\.0 Accepted as")
        folder = Path(said.rpartition("all that was said: ")[2])
        self.addCleanup(shutil.rmtree, folder)
        self.assertEqual((folder / "smtp-1.wire").read_text(), lc.smtp.transcripts[0].text)

    def test_transcript_reads_as_a_dialogue(self) -> None:
        """Line by line, decoded under TLS."""
        lc = self.serve("pop3", tls=True)
        lc.user("ann")
        pop = poplib.POP3(*lc.pop3.address)
        pop.stls(lc.ssl_context())
        pop.user("ann")
        pop.quit()
        text = lc.pop3.transcripts[0].text
        self.assertIn("C: STLS\nS: +OK", text)
        self.assertIn("C: USER ann\nS: +OK", text)
        self.assertIn("C: QUIT\nS: +OK", text)

    def test_a_bug_is_reported_at_the_end(self) -> None:
        """What a session raised is not lost with the connection."""
        lc = serve("smtp")

        def broken(*_: Any) -> Any:
            raise ZeroDivisionError("a bug")

        lc._site.accounts.expand = broken  # type: ignore[method-assign, assignment]
        with smtplib.SMTP(*lc.smtp.address) as client:
            client.ehlo()
            client.mail("")
            self.assertEqual(client.rcpt("ann@test")[0], 421)
        self.assertIn("a bug", "".join(lc.stop()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_failure_that_nobody_looked_at_is_reported(self) -> None:
        """Also one that waits for the collector of garbage, in a circle."""
        lc = serve("smtp")

        def drop() -> None:
            deferred: Any = Deferred()
            deferred.circle = deferred
            try:
                octets_of(Path("nowhere"))
            except FileNotFoundError:
                deferred.errback()

        lc._thread.call(drop)
        self.assertIn("nowhere", "".join(lc.stop()))
        self.assertEqual(len(self.flushLoggedErrors(FileNotFoundError)), 1)


def iter_file(octets: bytes) -> Any:
    """A file of these octets."""
    from io import BytesIO

    return BytesIO(octets)
