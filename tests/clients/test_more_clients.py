"""Mail programs that mirror, fetch and show mail over IMAP: offlineimap, neomutt, getmail, imapclient; alpine is beside."""

from __future__ import annotations

import mailbox
import ssl
from datetime import UTC, date, datetime
from typing import Any

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

    def imap_client(self) -> Any:
        """imapclient, logged in under STARTTLS."""
        try:
            from imapclient import IMAPClient  # type: ignore[import-untyped]
        except ImportError:
            raise SkipTest("imapclient is not installed (package imapclient of the index)") from None
        client = IMAPClient("localhost", port=self.demo.service("imap").port, ssl=False)
        client.starttls(ssl.create_default_context(cafile=self.demo.ca_file))
        client.login(self.user, self.password)
        return client

    def test_imapclient(self) -> None:
        """imapclient: special folders, flags, idling, sorting, threads, moving, octets."""
        subject = self.subject()
        client = self.imap_client()
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


    def test_imapclient_names(self) -> None:
        """imapclient: namespaces, folders of any name, subscriptions, numbers, quotas and access lists."""
        client = self.imap_client()
        self.assertEqual(client.namespace().personal, (("", "/"),))
        self.assertIn("Launcelot", repr(client.id_({"name": "imapclient"})))
        self.assertEqual(client.find_special_folder(b"\\Sent"), "Sent")
        self.assertEqual(client.capabilities()[0], b"IMAP4REV1")
        for name in ("Büro & Co", "日本語/台北", 'with "quotes" \\', "a b"):
            client.create_folder(name)
            self.assertTrue(client.folder_exists(name))
            client.subscribe_folder(name)
            self.assertIn(name, [one for _, _, one in client.list_sub_folders()])
            client.rename_folder(name, name + "2")
            self.assertFalse(client.folder_exists(name))
            client.unsubscribe_folder(name)
            self.assertEqual(client.select_folder(name + "2")[b"EXISTS"], 0)
            client.unselect_folder()
            client.delete_folder(name + "2")
        self.assertIn((b"\\HasNoChildren",), [flags for flags, _, name in client.list_folders("", "INBOX")])
        status = client.folder_status("INBOX")
        self.assertEqual(set(status), {b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN"})
        roots, quotas = client.get_quota_root("INBOX")
        self.assertEqual((roots.mailbox, roots.quota_roots), ("INBOX", [self.user]))
        self.assertEqual(quotas, [])
        client.setacl("Archive", "anyone", "lr")
        self.assertIn((b"anyone", b"lr"), client.getacl("Archive"))
        client.logout()

    def test_imapclient_messages(self) -> None:
        """imapclient: several messages at once, dates, flags in every way, partial bodies, searches, expunging."""
        client = self.imap_client()
        self.assertEqual(client.enable("CONDSTORE"), [b"CONDSTORE"])
        client.create_folder("live")
        client.select_folder("live")
        when = datetime(2009, 4, 5, 11, 0, 5, tzinfo=UTC)
        client.append("live", sample("first Grüße"), (b"\\Seen", "$label"), when)
        client.multiappend("live", [sample("second"), {"msg": sample("third"), "flags": [b"\\Flagged"], "date": when}])
        self.assertEqual(client.search(), [1, 2, 3])
        rows = client.fetch([1, 3], ["INTERNALDATE", "FLAGS", "RFC822.SIZE", "BODY[]<2.7>", "MODSEQ"])
        self.assertEqual(client.normalise_times, True)
        self.assertEqual(rows[1][b"INTERNALDATE"], when.astimezone().replace(tzinfo=None))
        self.assertIn(b"$label", rows[1][b"FLAGS"])
        self.assertEqual(rows[3][b"BODY[]<2>"], sample("third")[2:9])
        self.assertEqual(rows[3][b"RFC822.SIZE"], len(sample("third")))
        self.assertEqual(client.search(["SUBJECT", "grüße"], "UTF-8"), [1])
        self.assertEqual(client.search(["NOT", ["SUBJECT", "third"], "SINCE", date(2009, 4, 4), "BEFORE", date(2009, 4, 6)]), [1])
        self.assertGreater(client.search(["MODSEQ", "1"]).modseq, 1)
        self.assertEqual(client.set_flags([2], [b"\\Draft", "$other"])[2], (b"\\Draft", b"\\Recent", b"$other"))
        self.assertNotIn(b"\\Draft", client.remove_flags([2], [b"\\Draft"])[2])
        self.assertEqual(client.get_flags([3])[3], (b"\\Flagged", b"\\Seen", b"\\Recent"))
        self.assertEqual(client.sort("REVERSE SUBJECT"), [3, 2, 1])
        client.copy([1], "live")
        client.delete_messages([1, 2])
        client.uid_expunge([1])
        self.assertEqual(client.search(), [2, 3, 4])
        client.expunge()
        self.assertEqual(client.search(), [3, 4])
        client.close_folder()
        client.logout()


def flat(thread: object) -> list[int]:
    """All numbers in a thread."""
    return [number for one in thread for number in flat(one)] if isinstance(thread, tuple) else [int(str(thread))]
