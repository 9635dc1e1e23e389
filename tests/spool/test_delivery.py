"""Delivery into mailboxes: two fields on top, every octet below as it was, once for each key."""

from __future__ import annotations

import mmap
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import NotFound, OverQuota, Refusal
from launcelot.message.address import Address
from launcelot.spool.delivery import JOINED, MailboxDelivery
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from launcelot.testing.site import memory_site
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import IN_MEMORY, Staging

BODY = b"Received: x\r\n\r\nhi\r\n"


class DeliveryTests(SynchronousTestCase):
    """MailboxDelivery."""

    def setUp(self) -> None:
        self.world = memory_site()
        self.ann = self.world.add_user("ann", quota=1_000_000)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.staging = Staging(folder, InlineWorkers(), spare=0)
        self.deliver = MailboxDelivery(self.world.site.mail, self.world.site.accounts, self.staging)
        self.recipient = SpoolRecipient(self.ann.id, Address("ann+list", "test"))

    def do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Something that does not wait."""
        self.successResultOf(Deferred.fromCoroutine(coroutine))

    def refused(self, coroutine: Coroutine[Any, Any, None], kind: type[Refusal]) -> Refusal:
        """The refusal something ends in."""
        refusal = self.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value
        assert isinstance(refusal, Refusal)
        return refusal

    def envelope(self, sender: Address | None) -> Envelope:
        """A mail to ann's list."""
        return Envelope(SpoolId("one"), sender, (self.recipient,))

    def inbox(self) -> list[bytes]:
        """What ann has."""

        async def read() -> list[bytes]:
            mailbox = await (await self.world.site.mail.mail(self.ann.id)).mailbox("INBOX")
            return [await mailbox.read(one.uid, 0, 1 << 30) for one in await mailbox.states()]

        return self.world.result(read())

    def test_return_path_and_delivered_to_are_on_top(self) -> None:
        """RFC 5321 section 4.4; the address is the one that was given."""
        self.do(self.deliver(self.envelope(Address("eve", "example.com")), self.recipient, BODY, "k"))
        self.assertEqual(self.inbox(), [b"Return-Path: <eve@example.com>\r\nDelivered-To: ann+list@test\r\n" + BODY])

    def test_null_sender(self) -> None:
        """Notices have ``<>``."""
        self.do(self.deliver(self.envelope(None), self.recipient, BODY, "k"))
        self.assertTrue(self.inbox()[0].startswith(b"Return-Path: <>\r\n"))

    def test_once_for_each_key(self) -> None:
        """A repetition is no second message; a forgotten key is a new delivery."""
        for key in ("k", "k", "other"):
            self.do(self.deliver(self.envelope(None), self.recipient, BODY, key))
        self.assertEqual(len(self.inbox()), 2)
        self.do(self.deliver.forget(self.ann.id, ["k"]))
        self.do(self.deliver(self.envelope(None), self.recipient, BODY, "k"))
        self.assertEqual(len(self.inbox()), 3)

    def test_large_body_in_a_file(self) -> None:
        """Joined in memory or in another file, it arrives octet for octet."""
        self.world.result(self.world.site.accounts.change("ann", quota=0))
        for size in (IN_MEMORY + 1, JOINED, JOINED + 1, 2 * JOINED):
            staged = self.staging.begin()
            text = (bytes(range(256)) * (size // 256 + 1))[:size]
            self.do(staged.write(text))
            self.assertIsInstance(staged.view(), mmap.mmap)
            self.do(self.deliver(self.envelope(None), self.recipient, staged.view(), f"k{size}"))
            staged.close()
            message = self.inbox()[-1]
            self.assertTrue(message.endswith(b"Delivered-To: ann+list@test\r\n" + text))

    def test_present_quota_counts(self) -> None:
        """Not the one the account had when the mail was accepted."""
        self.world.result(self.world.site.accounts.change("ann", quota=10))
        refusal = self.refused(self.deliver(self.envelope(None), self.recipient, BODY, "k"), OverQuota)
        self.assertTrue(refusal.temporary)
        self.world.result(self.world.site.accounts.change("ann", quota=0))
        self.do(self.deliver(self.envelope(None), self.recipient, BODY, "k"))

    def test_removed_account_does_not_come_back(self) -> None:
        """Its mail is refused for good, and no mailbox is made."""
        self.world.result(self.world.site.accounts.remove("ann"))
        self.refused(self.deliver(self.envelope(None), self.recipient, BODY, "k"), NotFound)

    def test_address_that_went_to_somebody_else(self) -> None:
        """The mail is for the account it was accepted for."""
        self.world.result(self.world.site.accounts.remove("ann"))
        self.world.add_user("ann")
        self.refused(self.deliver(self.envelope(None), self.recipient, BODY, "k"), NotFound)
