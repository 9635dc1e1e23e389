"""Extensions as clients see them that we did not write: imapclient and imaplib."""

from __future__ import annotations

import base64
import imaplib
from typing import Any

import imapclient  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred

from tests.protocols.imap4.test_outside import OutsideCase

OCTETS = bytes(range(1, 256)) * 400
MESSAGE = (
    b"Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee the picture.\r\n--b\r\n"
    b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n%b\r\n--b--\r\n"
) % base64.encodebytes(OCTETS).replace(b"\n", b"\r\n").rstrip()


class ExtensionTests(OutsideCase):
    """BINARY, PREVIEW, CATENATE, UTF8=ACCEPT, MULTISEARCH, NOTIFY."""

    def client(self) -> Any:
        """An imapclient that has logged in."""
        client = imapclient.IMAPClient("127.0.0.1", self.port, ssl=False, timeout=60)
        client.login("ann", "pw")
        return client

    def test_imapclient(self) -> Deferred[None]:
        """It parses what is fetched, enables UTF-8, and reads names in it."""

        def talk() -> None:
            client = self.client()
            for capability in ("BINARY", "PREVIEW", "CATENATE", "UTF8=ACCEPT", "MULTISEARCH", "NOTIFY", "UIDONLY", "INPROGRESS"):
                self.assertTrue(client.has_capability(capability), capability)
            client.append("INBOX", MESSAGE)
            client.select_folder("INBOX")
            row = client.fetch([1], ["BINARY.PEEK[2]", "BINARY.SIZE[2]", "BINARY.PEEK[2]<5.3>", "PREVIEW"])[1]
            self.assertEqual(row[b"BINARY[2]"], OCTETS)
            self.assertEqual(row[b"BINARY.SIZE[2]"], len(OCTETS))
            self.assertEqual(row[b"BINARY[2]<5>"], OCTETS[5:8])
            self.assertEqual(row[b"PREVIEW"], b"See the picture.")
            client.create_folder("Entwürfe & mehr")
            self.assertIn("Entwürfe & mehr", [name for _, _, name in client.list_folders()])
            self.assertEqual(client.search(["SUBJECT", "PARTS"]), [1])
            client.logout()

        return self.in_thread(talk)

    def test_imaplib(self) -> Deferred[None]:
        """Names in UTF-8 after ENABLE; a message put together; a search over all mailboxes; news between commands."""

        def talk() -> None:
            client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
            client.login("ann", "pw")
            self.assertEqual(client.enable("UTF8=ACCEPT")[0], "OK")
            self.assertEqual(client.create('"Entwürfe & mehr"')[0], "OK")
            self.assertIn('"/" "Entwürfe & mehr"'.encode(), client.list()[1][-1])
            other = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
            other.login("ann", "pw")
            other.append("INBOX", "", "", MESSAGE)
            imaplib.Commands.update({"ESEARCH": ("AUTH", "SELECTED"), "NOTIFY": ("AUTH", "SELECTED")})
            self.assertEqual(client._simple_command("NOTIFY", "SET (personal (MessageNew MessageExpunge))")[0], "OK")
            url = '(URL "/INBOX/;UID=1/;SECTION=HEADER" URL "/INBOX/;UID=1/;SECTION=1")'
            self.assertEqual(other._simple_command("APPEND", "&RW4- CATENATE " + url)[0], "NO")
            self.assertEqual(other._simple_command("APPEND", '"Entw&APw-rfe &- mehr" CATENATE ' + url)[0], "OK")
            line = client.readline()
            self.assertRegex(line, r'\A\* STATUS "Entwürfe & mehr" \(UIDVALIDITY \d+ UIDNEXT 2 MESSAGES 1\)'.encode())
            client._simple_command("ESEARCH", "IN (personal) RETURN (COUNT) SUBJECT parts")
            self.assertEqual(len(client.response("ESEARCH")[1]), 2)
            client.logout()
            other.logout()

        return self.in_thread(talk)


class OnFilesTests(ExtensionTests):
    """The same on SQLite files, written by a thread."""

    in_files = True
