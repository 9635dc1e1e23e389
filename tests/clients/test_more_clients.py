"""Mail programs that mirror, fetch and show mail over IMAP: offlineimap, neomutt, getmail, imapclient.

alpine is left out: it asks for its password on a full screen, and no option gives it one.
"""

from __future__ import annotations

import mailbox
import ssl

from twisted.trial.unittest import SkipTest

from tests.clients.demo import below_trace, sample
from tests.clients.peers import program
from tests.clients.test_mail_clients import MailClientCase


class MoreClientTests(MailClientCase):
    """Each against a demo of its own."""

    def test_offlineimap(self) -> None:
        """offlineimap mirrors both ways: mail comes down octet for octet, a new message and a flag go up."""
        subject, up = self.subject(), self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("imaps")
        near = self.folder / "near"
        config = self.write(
            "offlineimaprc",
            f"[general]\naccounts = demo\nmetadata = {self.folder}/state\nui = quiet\nfsync = no\n\n"
            "[Account demo]\nlocalrepository = near\nremoterepository = far\n\n"
            f"[Repository near]\ntype = Maildir\nlocalfolders = {near}\n\n"
            f"[Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {service.port}\nremoteuser = {self.user}\n"
            f"remotepass = {self.password}\nssl = yes\nsslcacertfile = {self.demo.ca_file}\nstarttls = no\n",
        )
        self.run_program("offlineimap", "-o", "-c", str(config))
        inbox = mailbox.Maildir(near / "INBOX", factory=None)
        found = {key: message for key, message in inbox.iteritems() if message["Subject"] == subject}
        self.assertEqual(len(found), 1)
        ((key, message),) = found.items()
        octets = inbox.get_bytes(key).replace(b"\r\n", b"\n")
        self.assertIn(sample(subject).replace(b"\r\n", b"\n").partition(b"\n\n")[2], octets)
        message.set_subdir("cur")
        message.set_flags("FS")
        inbox[key] = message
        new = mailbox.MaildirMessage(sample(up).replace(b"\r\n", b"\n"))
        new.set_subdir("cur")
        new.set_flags("S")
        inbox.add(new)
        self.run_program("offlineimap", "-o", "-c", str(config))
        self.assertEqual(self.found(up).count(b"\nSubject: "), 1)
        client = self.imap()
        client.select("INBOX", readonly=True)
        _, numbers = client.search(None, "FLAGGED", "SEEN", "SUBJECT", f'"{subject}"')
        self.assertEqual(len(numbers[0].split()), 1)
        client.logout()

    def test_neomutt(self) -> None:
        """neomutt opens the inbox over imaps, saves a message to a file and writes back a flag."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("imaps")
        self.write(
            ".neomuttrc",
            f'set folder="imaps://{self.user}@localhost:{service.port}/"\nset spoolfile="+INBOX"\n'
            f'set imap_pass="{self.password}"\nset certificate_file="{self.demo.ca_file}"\nset imap_qresync=yes\n'
            "set ssl_verify_host=yes\nset quit=yes\nset confirmcreate=no\nset confirmappend=no\nset delete=no\n"
            f"set mbox_type=Maildir\nset save_empty=no\nunset wait_key\nset header_cache={self.folder}/cache\n",
        )
        saved = self.folder / "saved"
        keys = f"<tag-pattern>~s '{subject}'<enter><tag-prefix><copy-message>{saved}<enter><tag-prefix><flag-message><quit>"
        command = f"{program('neomutt')} -F {self.folder}/.neomuttrc -e \"push \\\"{keys}\\\"\""
        self.run_program("script", "-qec", command, "/dev/null")
        self.assertEqual([message["Subject"] for message in mailbox.Maildir(saved, factory=None)], [subject])
        client = self.imap()
        client.select("INBOX", readonly=True)
        _, found = client.search(None, "FLAGGED", "SUBJECT", f'"{subject}"')
        self.assertEqual(len(found[0].split()), 1)
        client.logout()

    def test_getmail(self) -> None:
        """getmail fetches over imaps and hands to a program, once."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("imaps")
        sink = self.write("sink", f"#!/bin/sh\ncat >> {self.folder}/fetched\n", 0o700)
        self.write(
            "getmailrc",
            f"[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = localhost\nport = {service.port}\nusername = {self.user}\n"
            f"password = {self.password}\nca_certs = {self.demo.ca_file}\nmailboxes = ('INBOX',)\n\n"
            f"[destination]\ntype = MDA_external\npath = {sink}\nallow_root_commands = true\n\n"
            "[options]\nread_all = false\ndelete = false\nverbose = 0\n",
        )
        for _ in range(2):
            self.run_program("getmail", f"--getmaildir={self.folder}", "--rcfile=getmailrc")
            self.assertEqual((self.folder / "fetched").read_bytes().count(subject.encode()), 1)

    def test_imapclient(self) -> None:
        """imapclient: special folders, flags, idling, sorting, threads, moving, octets."""
        try:
            from imapclient import IMAPClient  # type: ignore[import-untyped]
        except ImportError:
            raise SkipTest("imapclient is not installed (package imapclient of the index)") from None
        subject = self.subject()
        service = self.demo.service("imap")
        client = IMAPClient("localhost", port=service.port, ssl=False)
        client.starttls(ssl.create_default_context(cafile=self.demo.ca_file))
        client.login(self.user, self.password)
        client.select_folder("INBOX")
        client.idle()
        self.deliver(sample(subject))
        told = client.idle_check(timeout=20)
        client.idle_done()
        self.assertTrue(any(one[1] == b"EXISTS" for one in told), told)
        (uid,) = client.search(["SUBJECT", subject])
        row = client.fetch([uid], ["ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]", "INTERNALDATE"])[uid]
        self.assertEqual(row[b"ENVELOPE"].subject, subject.encode())
        self.assertTrue(row[b"BODYSTRUCTURE"].is_multipart)
        self.assertEqual(below_trace(row[b"BODY[]"], sample(subject)), sample(subject))
        self.assertIn(b"\\Flagged", client.add_flags([uid], [b"\\Flagged"])[uid])
        self.assertEqual(client.sort("SUBJECT", ["SUBJECT", subject]), [uid])
        self.assertIn(uid, [one for thread in client.thread() for one in flat(thread)])
        client.create_folder("Büro")
        client.move([uid], "Büro")
        self.assertEqual(client.search(["SUBJECT", subject]), [])
        self.assertEqual(client.folder_status("Büro", ["MESSAGES"])[b"MESSAGES"], 1)
        self.assertIn("Büro", [name for _, _, name in client.list_folders()])
        client.logout()


def flat(thread: object) -> list[int]:
    """All numbers in a thread."""
    return [number for one in thread for number in flat(one)] if isinstance(thread, tuple) else [int(str(thread))]
