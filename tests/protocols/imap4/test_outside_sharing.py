"""Access lists and shared mailboxes as clients see them that we did not write: imaplib and imapclient."""

from __future__ import annotations

import imaplib
from typing import Any

import imapclient  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred

from tests.protocols.imap4.test_outside import OutsideCase

MESSAGE = b"Subject: x\r\n\r\n" + b"x" * 2_000


class SharingTests(OutsideCase):
    """Ann shares a mailbox, Bob uses it."""

    def setUp(self) -> Deferred[Any]:  # type: ignore[override]
        ready = super().setUp()
        self.world.add_user("bob", "pw")
        return ready

    def client(self, name: str) -> Any:
        """Somebody's imapclient."""
        client = imapclient.IMAPClient("127.0.0.1", self.port, ssl=False, timeout=60)
        client.login(name, "pw")
        return client

    def test_imapclient(self) -> Deferred[None]:
        """Granted, used from both sides, moved between accounts, and taken back."""

        def talk() -> None:
            ann, bob = self.client("ann"), self.client("bob")
            ann.create_folder("Projects")
            ann.append("Projects", MESSAGE)
            ann.setacl("Projects", "bob", "lrswite")
            self.assertEqual(ann.getacl("Projects"), [(b"ann", b"lrswipkxteacd"), (b"bob", b"lrswited")])
            self.assertEqual(bob.namespace().shared, (("Shared/", "/"),))
            self.assertIn("Shared/ann/Projects", [name for _, _, name in bob.list_folders()])
            bob.select_folder("Shared/ann/Projects")
            self.assertEqual(bob.fetch([1], ["BODY.PEEK[]"])[1][b"BODY[]"], MESSAGE)
            bob.move([1], "INBOX")
            self.assertEqual(ann.folder_status("Projects", ["MESSAGES"])[b"MESSAGES"], 0)
            bob.select_folder("INBOX")
            bob.copy([1], "Shared/ann/Projects")
            ann.setacl("Projects", "bob", "-lrswited")
            with self.assertRaisesRegex(imapclient.exceptions.IMAPClientError, "no such mailbox"):
                bob.select_folder("Shared/ann/Projects")
            self.assertEqual(ann.folder_status("Projects", ["MESSAGES"])[b"MESSAGES"], 1)
            for client in (ann, bob):
                client.logout()

        return self.in_thread(talk)

    def test_imaplib(self) -> Deferred[None]:
        """The same commands."""

        def talk() -> None:
            client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
            client.login("ann", "pw")
            self.assertEqual(client.setacl("INBOX", "bob", "lr")[0], "OK")
            self.assertEqual(client.getacl("INBOX")[1], [b'"INBOX" ann lrswipkxteacd bob lr'])
            self.assertEqual(client.myrights("INBOX")[1], [b'"INBOX" lrswipkxteacd'])
            self.assertEqual(client.deleteacl("INBOX", "bob")[0], "OK")
            self.assertEqual(client.getacl("INBOX")[1], [b'"INBOX" ann lrswipkxteacd'])
            client.logout()

        return self.in_thread(talk)


class SharingOnFilesTests(SharingTests):
    """The same on SQLite files, written by a thread."""

    in_files = True
