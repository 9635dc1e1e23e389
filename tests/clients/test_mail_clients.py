"""Mail programs that we did not write send to and read from a running demo."""

from __future__ import annotations

import imaplib
import itertools
import mailbox
import os
import poplib
import smtplib
import ssl
from pathlib import Path

from tests.clients.demo import DemoCase, below_trace, sample
from tests.clients.peers import program

_numbers = itertools.count(1)


class MailClientCase(DemoCase):
    """Helps with sending and looking."""

    def subject(self) -> str:
        """A subject nobody has used."""
        return f"{self.id().rsplit('.', 1)[-1]} {next(_numbers)} {os.getpid()}"

    def tls(self) -> ssl.SSLContext:
        """Trusts the demo's authority and nothing else."""
        return ssl.create_default_context(cafile=self.demo.ca_file)

    def imap(self) -> imaplib.IMAP4_SSL:
        """Logged in over implicit TLS."""
        service = self.demo.service("imaps")
        client = imaplib.IMAP4_SSL("localhost", service.port, ssl_context=self.tls())
        client.login(self.user, self.password)
        return client

    def deliver(self, message: bytes) -> None:
        """Hand a message in with smtplib."""
        service = self.demo.service("smtp")
        with smtplib.SMTP(service.host, service.port) as client:
            client.sendmail("somebody@sender.example", [self.address], message)

    def found(self, subject: str, folder: str = "INBOX") -> bytes:
        """The one message with a subject."""
        client = self.imap()
        self.assertEqual(client.select(folder, readonly=True)[0], "OK")
        status, numbers = client.search(None, "SUBJECT", f'"{subject}"')
        self.assertEqual((status, len(numbers[0].split())), ("OK", 1), f"{subject!r} is not there exactly once")
        _, rows = client.fetch(numbers[0].decode(), "(BODY.PEEK[])")
        row = rows[0]
        assert isinstance(row, tuple)
        client.logout()
        return bytes(row[1])

    def assert_arrived(self, sent: bytes, subject: str) -> None:
        """What was sent is in the inbox, octet for octet below the trace fields."""
        self.assertEqual(below_trace(self.found(subject), sent), sent)


class SendingTests(MailClientCase):
    """What goes in."""

    def test_smtplib(self) -> None:
        """smtplib delivers to the MX listener."""
        subject = self.subject()
        self.deliver(sample(subject))
        self.assert_arrived(sample(subject), subject)

    def test_smtplib_submission_starttls(self) -> None:
        """smtplib logs in to the submission listener under STARTTLS."""
        subject, service = self.subject(), self.demo.service("submission")
        self.assertEqual(service.tls, "starttls")
        with smtplib.SMTP("localhost", service.port) as client:
            client.starttls(context=self.tls())
            client.login(self.user, self.password)
            client.sendmail(self.address, [self.address], sample(subject))
        self.assert_arrived(sample(subject), subject)

    def test_smtplib_submission_implicit_tls(self) -> None:
        """smtplib logs in to the listener with implicit TLS; a wrong password is refused."""
        subject, service = self.subject(), self.demo.service("submissions")
        self.assertEqual(service.tls, "implicit")
        with smtplib.SMTP_SSL("localhost", service.port, context=self.tls()) as client:
            self.assertRaises(smtplib.SMTPAuthenticationError, client.login, self.user, "wrong")
            client.login(self.user, self.password)
            client.sendmail(self.address, [self.address], sample(subject))
        self.assert_arrived(sample(subject), subject)

    def test_swaks(self) -> None:
        """swaks delivers to the MX listener."""
        subject, service = self.subject(), self.demo.service("smtp")
        path = self.folder / "message.eml"
        path.write_bytes(sample(subject).replace(b"\r\n", b"\n"))
        self.run_program(
            "swaks", "--server", f"{service.host}:{service.port}", "--from", "a@sender.example", "--to", self.address,
            "--data", f"@{path}", "--silent", "2",
        )  # fmt: skip
        self.found(subject)

    def test_smtp_source(self) -> None:
        """Postfix's generator: forty messages on four connections, each in the mailbox once."""
        subject, service = self.subject(), self.demo.service("smtp")
        self.run_program(
            "smtp-source", "-s", "4", "-m", "40", "-l", "3000", "-S", subject, "-f", "a@sender.example", "-t", self.address,
            f"inet:{service.host}:{service.port}",
        )  # fmt: skip
        with imaplib.IMAP4(self.demo.service("imap").host, self.demo.service("imap").port) as client:
            client.login(self.user, self.password)
            client.select("INBOX", readonly=True)
            _, (numbers,) = client.search(None, "SUBJECT", f'"{subject}"')
        self.assertEqual(len(numbers.split()), 40)

    def test_swaks_submission(self) -> None:
        """swaks submits with STARTTLS and AUTH, and pipelines."""
        subject, service = self.subject(), self.demo.service("submission")
        self.run_program(
            "swaks", "--server", f"localhost:{service.port}", "--tls", "--tls-ca-path", self.demo.ca_file, "--tls-verify",
            "--auth", "PLAIN", "--auth-user", self.user, "--auth-password", self.password, "--pipeline",
            "--from", self.address, "--to", self.demo.addresses["ann"], "--to", self.address,
            "--header", f"Subject: {subject}", "--body", "hello\n.dot\n", "--silent", "2",
        )  # fmt: skip
        self.assertIn(b"\r\nhello\r\n.dot\r\n", self.found(subject))

    def test_swaks_is_refused_for_strangers(self) -> None:
        """An unknown recipient and a foreign domain are refused at RCPT."""
        service = self.demo.service("smtp")
        for recipient in ("nobody@example.com", "somebody@elsewhere.example"):
            self.run_program(
                "swaks", "--server", f"{service.host}:{service.port}", "--from", "a@b.example", "--to", recipient,
                "--silent", "2", status=24,
            )  # fmt: skip

    def test_msmtp(self) -> None:
        """msmtp submits over STARTTLS with a verified certificate."""
        subject, service = self.subject(), self.demo.service("submission")
        config = self.write(
            "msmtprc",
            f"account default\nhost localhost\nport {service.port}\nfrom {self.address}\ntls on\n"
            f"tls_trust_file {self.demo.ca_file}\nauth plain\nuser {self.user}\npassword {self.password}\n",
        )
        sent = sample(subject)
        self.run_program("msmtp", "-C", str(config), self.address, said=sent.replace(b"\r\n", b"\n"))
        self.assert_arrived(sent, subject)

    def test_curl_smtp(self) -> None:
        """curl submits over implicit TLS."""
        subject, service = self.subject(), self.demo.service("submissions")
        path = self.folder / "message.eml"
        path.write_bytes(sample(subject))
        self.run_program(
            "curl", "-sS", "--cacert", self.demo.ca_file, "--url", f"smtps://localhost:{service.port}/me.example",
            "--user", f"{self.user}:{self.password}", "--mail-from", self.address, "--mail-rcpt", self.address,
            "--upload-file", str(path),
        )  # fmt: skip
        self.assert_arrived(sample(subject), subject)


class ReadingTests(MailClientCase):
    """What comes out."""

    def test_imaplib(self) -> None:
        """imaplib flags, copies, appends, searches and expunges."""
        subject = self.subject()
        self.deliver(sample(subject))
        client = self.imap()
        folder = f"Work {next(_numbers)}"
        self.assertEqual(client.create(f'"{folder}"')[0], "OK")
        self.assertEqual(client.select("INBOX")[0], "OK")
        _, found = client.uid("SEARCH", "SUBJECT", f'"{subject}"')
        uid = found[0].decode()
        self.assertEqual(client.uid("STORE", uid, "+FLAGS", r"(\Flagged keyword)")[0], "OK")
        self.assertEqual(client.uid("COPY", uid, f'"{folder}"')[0], "OK")
        self.assertEqual(client.uid("STORE", uid, "+FLAGS", r"(\Deleted)")[0], "OK")
        self.assertEqual(client.expunge()[0], "OK")
        _, found = client.search(None, "SUBJECT", f'"{subject}"')
        self.assertEqual(found[0], b"")
        self.assertEqual(client.append(f'"{folder}"', r"(\Seen)", None, sample("appended"))[0], "OK")
        self.assertEqual(client.select(f'"{folder}"', readonly=True)[0], "OK")
        _, rows = client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        text = b"".join(part for row in rows if isinstance(row, tuple) for part in row)
        self.assertIn(b"\\Flagged", text)
        self.assertIn(b"appended", text)
        client.logout()

    def test_poplib(self) -> None:
        """poplib reads over STLS and over implicit TLS, octet for octet, and deletes at QUIT."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("pop3")
        client = poplib.POP3("localhost", service.port)
        client.stls(self.tls())
        client.user(self.user)
        client.pass_(self.password)
        last = len(client.list()[1])
        message = b"\r\n".join(client.retr(last)[1]) + b"\r\n"
        self.assertEqual(below_trace(message, sample(subject)), sample(subject))
        client.dele(last)
        client.quit()
        service = self.demo.service("pop3s")
        again = poplib.POP3_SSL("localhost", service.port, context=self.tls())
        again.user(self.user)
        again.pass_(self.password)
        self.assertEqual(len(again.list()[1]), last - 1)
        again.quit()

    def test_curl_imap(self) -> None:
        """curl lists mailboxes and fetches a message over imaps."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("imaps")
        login = ("-sS", "--cacert", self.demo.ca_file, "--user", f"{self.user}:{self.password}")
        self.assertIn(b"INBOX", self.run_program("curl", *login, f"imaps://localhost:{service.port}/"))
        query = f"SUBJECT%20%22{subject.replace(' ', '%20')}%22"
        answer = self.run_program("curl", *login, f"imaps://localhost:{service.port}/INBOX?{query}")
        number = answer.split()[-1].decode()
        fetched = self.run_program("curl", *login, f"imaps://localhost:{service.port}/INBOX;MAILINDEX={number}")
        self.assertEqual(below_trace(fetched, sample(subject)), sample(subject))

    def test_curl_pop3(self) -> None:
        """curl lists and retrieves over pop3 with STLS required."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("pop3")
        login = ("-sS", "--ssl-reqd", "--cacert", self.demo.ca_file, "--user", f"{self.user}:{self.password}")
        listing = self.run_program("curl", *login, f"pop3://localhost:{service.port}/")
        last = listing.split()[-2].decode()
        fetched = self.run_program("curl", *login, f"pop3://localhost:{service.port}/{last}")
        self.assertEqual(below_trace(fetched, sample(subject)), sample(subject))

    def test_mutt(self) -> None:
        """mutt opens the inbox over imaps, tags by subject, saves to a file and writes back flags."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("imaps")
        self.write(
            ".muttrc",
            f'set folder="imaps://{self.user}@localhost:{service.port}/"\nset spoolfile="+INBOX"\n'
            f'set imap_pass="{self.password}"\nset certificate_file="{self.demo.ca_file}"\n'
            "set ssl_verify_host=yes\nset quit=yes\nset confirmcreate=no\nset confirmappend=no\nset delete=no\n"
            "set mbox_type=Maildir\nset save_empty=no\n"
            "unset wait_key\nset abort_nosubject=no\n",
        )
        saved = self.folder / "saved"
        keys = f"<tag-pattern>~s '{subject}'<enter><tag-prefix><copy-message>{saved}<enter><tag-prefix><flag-message><quit>"
        self.run_program("script", "-qec", f"{program('mutt')} -F {self.folder}/.muttrc -e \"push \\\"{keys}\\\"\"", "/dev/null")
        messages = list(mailbox.Maildir(saved, factory=None))
        self.assertEqual([message["Subject"] for message in messages], [subject])
        client = self.imap()
        client.select("INBOX", readonly=True)
        _, found = client.search(None, "FLAGGED", "SUBJECT", f'"{subject}"')
        self.assertEqual(len(found[0].split()), 1)
        client.logout()

    def test_mbsync(self) -> None:
        """mbsync mirrors the account both ways: what is there comes down, what is new here goes up."""
        subject, up = self.subject(), self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("imaps")
        (self.folder / "mail").mkdir()
        config = self.write(
            "mbsyncrc",
            f"IMAPAccount demo\nHost localhost\nPort {service.port}\nUser {self.user}\nPass {self.password}\nSSLType IMAPS\n"
            f"CertificateFile {self.demo.ca_file}\nSystemCertificates no\n\nIMAPStore far\nAccount demo\n\n"
            f"MaildirStore near\nPath {self.folder}/mail/\nInbox {self.folder}/mail/INBOX\nSubFolders Verbatim\n\n"
            "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
        )
        self.run_program("mbsync", "-c", str(config), "all")
        inbox = mailbox.Maildir(self.folder / "mail" / "INBOX", factory=None)
        sent = sample(subject)
        found = [message.as_bytes() for message in inbox if message["Subject"] == subject]
        self.assertEqual(len(found), 1)
        message = mailbox.MaildirMessage(sample(up).replace(b"\r\n", b"\n"))
        message.set_subdir("cur")
        message.set_flags("S")
        inbox.add(message)
        self.run_program("mbsync", "-c", str(config), "all")
        self.assert_arrived(sent, subject)
        self.assertEqual(self.found(up).count(b"\nSubject: "), 1)

    def test_fetchmail(self) -> None:
        """fetchmail fetches over IMAP with STARTTLS and hands to a program."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("imap")
        sink = self.write("sink", f"#!/bin/sh\ncat >> {self.folder}/fetched\n", 0o700)
        config = self.write(
            "fetchmailrc",
            f'poll localhost service {service.port} protocol imap user "{self.user}" password "{self.password}" keep fetchall '
            f'sslproto "TLS1.2+" sslcertck sslcertfile "{self.demo.ca_file}" mda "{sink}"\n',
        )
        self.run_program("fetchmail", "-f", str(config), "--pidfile", str(self.folder / "pid"), "--nosyslog")
        self.assertIn(subject.encode(), (self.folder / "fetched").read_bytes())

    def test_mpop(self) -> None:
        """mpop fetches over POP3 with implicit TLS, keeping mail on the server, and fetches nothing twice."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("pop3s")
        (self.folder / "in").mkdir()
        for name in ("cur", "new", "tmp"):
            (self.folder / "in" / name).mkdir()
        config = self.write(
            "mpoprc",
            f"account default\nhost localhost\nport {service.port}\nuser {self.user}\npassword {self.password}\ntls on\n"
            f"tls_starttls off\ntls_trust_file {self.demo.ca_file}\nkeep on\ndelivery maildir {self.folder}/in\n"
            f"uidls_file {self.folder}/uidls\n",
        )
        self.run_program("mpop", "-C", str(config), "-q")
        first = self.arrived(self.folder / "in")
        self.assertIn(subject, first)
        self.run_program("mpop", "-C", str(config), "-q")
        self.assertEqual(self.arrived(self.folder / "in"), first)

    def arrived(self, folder: Path) -> list[str]:
        """The subjects in a Maildir."""
        return sorted(str(message["Subject"]) for message in mailbox.Maildir(folder, factory=None))
