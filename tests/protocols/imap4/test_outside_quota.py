"""Quotas as clients see them that we did not write: imaplib and imapclient."""

from __future__ import annotations

import imaplib
from typing import Any

import imapclient  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred

from tests.protocols.imap4.test_outside import OutsideCase

MESSAGE = b"Subject: x\r\n\r\n" + b"x" * 2_000


class QuotaTests(OutsideCase):
    """Limits that a client reads, sets and runs into."""

    def setUp(self) -> Deferred[Any]:  # type: ignore[override]
        ready = super().setUp()
        self.world.result(self.world.site.accounts.change("ann", quota=10_240, messages=2, administrator=True))
        return ready

    def test_imapclient(self) -> Deferred[None]:
        """Quota, quota root, a new quota, and one that is full."""

        def talk() -> None:
            with imapclient.IMAPClient("127.0.0.1", self.port, ssl=False, timeout=60) as client:
                client.login("ann", "pw")
                client.append("INBOX", MESSAGE)
                self.assertEqual(
                    client.get_quota(),
                    [imapclient.imapclient.Quota("ann", "STORAGE", 2, 10), imapclient.imapclient.Quota("ann", "MESSAGE", 1, 2)],
                )
                roots, quotas = client.get_quota_root("INBOX")
                self.assertEqual((roots.quota_roots, len(quotas)), (["ann"], 2))
                client.set_quota([imapclient.imapclient.Quota("ann", "STORAGE", 0, 3)])
                self.assertEqual(client.get_quota(), [imapclient.imapclient.Quota("ann", "STORAGE", 2, 3)])
                with self.assertRaisesRegex(imapclient.exceptions.IMAPClientError, "OVERQUOTA"):
                    client.append("INBOX", MESSAGE)

        return self.in_thread(talk)

    def test_imaplib(self) -> Deferred[None]:
        """The same commands."""

        def talk() -> None:
            client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
            self.assertEqual(client.login("ann", "pw")[0], "OK")
            self.assertEqual(client.getquota("ann"), ("OK", [b'"ann" (STORAGE 0 10 MESSAGE 0 2)']))
            self.assertEqual(client.getquotaroot("INBOX"), ("OK", [[b'"INBOX" "ann"'], [b'"ann" (STORAGE 0 10 MESSAGE 0 2)']]))
            self.assertEqual(client.setquota("ann", "(MESSAGE 5)"), ("OK", [b'"ann" (MESSAGE 0 5)']))
            client.logout()

        return self.in_thread(talk)
