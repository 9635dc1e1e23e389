"""Deliveries through scripts: everything once, whatever happens between two steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.keys import KeyFolder, make_key
from launcelot.checks.signing import Signer
from launcelot.core.errors import NotPermitted, TryLater
from launcelot.delivery.filtering import FilteredDelivery
from launcelot.message.address import Address, parse_mailbox
from launcelot.message.trace import was_delivered_to
from launcelot.spool.delivery import MailboxDelivery
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from launcelot.testing.site import memory_site
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Buffer

BODY = b"From: eve@far.example\r\nTo: ann@test\r\nSubject: hi\r\nMessage-ID: <m1@far.example>\r\n\r\nbody\r\n"
EVE = Address("eve", "far.example")


class Post:
    """An outbound side that keeps what it gets, and fails when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str, bytes]] = []
        self.forgotten: list[str] = []
        self.fail: Exception | None = None
        self.verified = False
        self.domains = {"far.example", "test"}

    def can_send(self, recipient: Address) -> bool:
        """To some domains."""
        return recipient.domain in self.domains

    def goes_in_circles(self, recipient: Address, body: Buffer) -> bool:
        """As the real one."""
        return was_delivered_to(body, recipient)

    async def send(
        self, id: SpoolId, sender: Address | None, recipient: Address, body: Buffer, verified: bool = False
    ) -> None:
        """Keep it."""
        if self.fail is not None:
            raise self.fail
        self.verified = verified
        self.sent.append((id, "" if sender is None else str(sender), str(recipient), bytes(body[:])))

    async def forget(self, ids: Sequence[SpoolId]) -> None:
        """Keep that, too."""
        self.forgotten += ids


class FilteringTests(SynchronousTestCase):
    """FilteredDelivery."""

    def setUp(self) -> None:
        self.world = memory_site()
        site = self.world.site
        self.ann = self.world.add_user("ann")
        self.post = Post()
        self.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        plain = MailboxDelivery(site.mail, site.accounts, site.staging)
        self.deliver = FilteredDelivery(
            plain, site.accounts, site.mail, site.staging, InlineWorkers(), self.post, lambda: self.now, site.new_id, "mx.test",
            site.counters,
        )  # fmt: skip

    def script(self, source: str) -> None:
        """Have ann's mail go through a script."""

        async def put() -> None:
            scripts = (await self.world.site.mail.mail(self.ann.id)).scripts
            await scripts.put("main", source.encode())
            await scripts.activate("main")

        self.world.result(put())

    def arrives(
        self, key: str = "k1", body: bytes = BODY, sender: Address | None = EVE, to: str = "ann@test", **more: Any
    ) -> None:
        """A message is delivered."""
        recipient = SpoolRecipient(self.ann.id, parse_mailbox(to))
        envelope = Envelope(SpoolId("m1"), sender, (recipient,), **more)
        self.successResultOf(Deferred.fromCoroutine(self.deliver(envelope, recipient, body, key)))

    def found(self, mailbox: str = "INBOX") -> list[tuple[bytes, list[str]]]:
        """What a mailbox holds."""

        async def read() -> list[tuple[bytes, list[str]]]:
            box = await (await self.world.site.mail.mail(self.ann.id)).mailbox(mailbox)
            return [(await box.read(one.uid, 0, 1 << 20), sorted(one.flags)) for one in await box.states()]

        return self.world.result(read())

    def test_senders_that_were_verified_are_so_further_on(self) -> None:
        """Of what is sent on; what we write ourselves has no sender."""
        self.script('redirect "x@far.example";')
        for verified in (True, False):
            self.arrives(key=f"k{verified}", verified=verified)
            self.assertEqual(self.post.verified, verified)
        self.script('require "vacation"; vacation "away";')
        self.arrives(key="k3", verified=True)
        self.assertEqual((self.post.sent[-1][1], self.post.verified), ("", False))

    def test_mail_that_demands_tls_does_not_leave(self) -> None:
        """REQUIRETLS: what would be sent to another host is kept, or is not sent; what stays here goes its way."""
        self.world.add_user("bob")
        for script, sent, kept in (
            ('redirect "x@far.example";', 0, 1), ('require "reject"; reject "no";', 0, 1), ('redirect "bob@test";', 1, 0),
            ('require "vacation"; vacation "away";', 0, 1), ('require "enotify"; notify "mailto:x@far.example";', 0, 1),
        ):  # fmt: skip
            self.post.sent, before = [], len(self.found())
            self.script(script)
            self.arrives(key=script, require_tls=True)
            self.assertEqual((len(self.post.sent), len(self.found()) - before), (sent, kept), script)

    def test_without_a_script(self) -> None:
        """As ever."""
        self.arrives()
        ((body, flags),) = self.found()
        self.assertEqual(body, b"Return-Path: <eve@far.example>\r\nDelivered-To: ann@test\r\n" + BODY)
        self.assertEqual(flags, [])

    def test_filed_with_flags_and_edits(self) -> None:
        """Where and how the script wants it, each once."""
        self.script(
            'require ["fileinto", "mailbox", "imap4flags", "editheader"]; addflag "\\\\Seen"; fileinto :create "Lists/x";'
            'addheader "X-Sorted" "yes"; keep; fileinto "INBOX";'
        )
        self.arrives()
        trace = b"Return-Path: <eve@far.example>\r\nDelivered-To: ann@test\r\n"
        self.assertEqual(self.found("Lists/x"), [(trace + BODY, ["\\Seen"])])
        self.assertEqual(self.found(), [(b"X-Sorted: yes\r\n" + trace + BODY, ["\\Seen"])])
        self.arrives()
        self.assertEqual(len(self.found()), 1)

    def test_discarded(self) -> None:
        """Nothing is left of it, and it is delivered."""
        self.script("discard;")
        self.arrives()
        self.assertEqual(self.found(), [])

    def test_faulty_scripts_keep(self) -> None:
        """One that does not compile, and one that fails."""
        for number, source in enumerate(("keep", 'require "variables"; redirect "${x}";')):
            self.script(source)
            self.arrives(f"k{number}")
            self.assertEqual(len(self.found()), number + 1)
        self.assertEqual(self.world.site.counters.snapshot().get("sieve.errors"), 2)

    def test_redirected(self) -> None:
        """With the sender it came with, without Return-Path, once."""
        self.script('redirect "bob@far.example";')
        self.arrives()
        self.assertEqual(self.found(), [])
        self.assertEqual(
            self.post.sent, [("k1.s0", "eve@far.example", "bob@far.example", b"Delivered-To: ann@test\r\n" + BODY)]
        )
        self.assertEqual(self.post.forgotten, ["k1.s0"])
        self.arrives()
        self.assertEqual(len(self.post.sent), 1)

    def test_loops_and_dead_ends_are_kept(self) -> None:
        """What has been here before, or cannot be sent, stays."""
        self.script('redirect "bob@far.example";')
        self.arrives(body=b"Delivered-To: ANN@test\r\n" + BODY)
        self.assertEqual(len(self.found()), 1)
        self.post.domains = {"test"}
        self.arrives("k2")
        self.assertEqual(len(self.found()), 2)
        self.script('redirect "Ann@test";')
        self.arrives("k3")
        self.assertEqual(len(self.found()), 3)
        self.post.domains = {"test", "far.example"}
        self.script('redirect "bob@far.example";')
        self.arrives("k4", body=b"Delivered-To: Bob@far.example\r\n" + BODY)
        self.assertEqual(len(self.found()), 4)
        self.assertEqual(self.post.sent, [])

    def test_rejected(self) -> None:
        """The sender is told; what has no sender is kept."""
        self.script('require "reject"; reject "go away";')
        self.arrives()
        ((id, sender, to, body),) = self.post.sent
        self.assertEqual((sender, to), ("", "eve@far.example"))
        self.assertIn(b"go away", body)
        self.assertEqual(self.found(), [])
        self.arrives("k2", sender=None)
        self.assertEqual((len(self.found()), len(self.post.sent)), (1, 1))

    def test_vacation_answers_once_in_its_time(self) -> None:
        """To each sender; again when the days are over, or when the words have changed."""
        self.script('require "vacation"; vacation :days 2 "away";')
        for key in ("k1", "k2"):
            self.arrives(key)
        self.assertEqual([(sender, to) for _, sender, to, _ in self.post.sent], [("", "eve@far.example")])
        self.assertIn(b"Subject: Auto: hi\r\n", self.post.sent[0][3])
        self.assertEqual(len(self.found()), 2)
        self.arrives("k3", sender=Address("mallory", "far.example"))
        self.now = datetime(2026, 11, 23, 12, 0, 1, tzinfo=UTC)
        self.arrives("k4")
        self.assertEqual(len(self.post.sent), 3)
        self.script('require "vacation"; vacation :days 2 "still away";')
        self.arrives("k5")
        self.assertEqual(len(self.post.sent), 4)

    def test_what_we_write_is_signed(self) -> None:
        """What goes elsewhere, whoever a quoted message is from; not what is sent on, nor what is said in another's name."""
        world = memory_site(domain="e.example")
        ann, site = world.add_user("ann"), world.site
        world.add_user("boss")
        keys = KeyFolder(Path(self.mktemp()))
        keys.add(make_key("e.example", "s", "ed25519"))
        self.world, self.ann = world, ann
        plain = MailboxDelivery(site.mail, site.accounts, site.staging)
        signer = Signer(keys, site.staging, InlineWorkers())
        self.deliver = FilteredDelivery(
            plain, site.accounts, site.mail, site.staging, InlineWorkers(), self.post, lambda: self.now, site.new_id, "mx.test",
            site.counters, signer,
        )  # fmt: skip
        own = BODY.replace(b"eve@far.example", b"boss@e.example")
        for number, (script, body, sent) in enumerate((
            ('require "vacation"; vacation "away";', BODY, b"DKIM-Signature: v=1; "),
            ('require "vacation"; vacation :from "boss@e.example" "x";', BODY, b"DKIM-Signature: v=1; "),
            ('require "reject"; reject "no";', BODY, b"DKIM-Signature: v=1; "),
            ('redirect "bob@far.example";', own, b"Delivered-To: "),
        )):  # fmt: skip
            self.script(script)
            self.arrives(f"k{number}", body.replace(b"To: ann@test", b"To: ann@e.example"), to="ann@e.example")
            self.assertTrue(self.post.sent[-1][3].startswith(sent), self.post.sent[-1][3])
        self.assertEqual(len(self.post.sent), 4)

    def test_nobody_writes_in_names_of_others(self) -> None:
        """Answers and notifications are from the owner, or from an address whose mail comes to the owner."""
        accounts = self.world.site.accounts
        self.world.result(accounts.add_alias(parse_mailbox("sales@test"), [self.ann.address]))
        self.world.add_user("boss")
        for number, (script, author) in enumerate((
            ('require "vacation"; vacation :from "boss@test" "x";', "ann@test"),
            ('require "vacation"; vacation :from "Sales <sales@test>" "y";', "sales@test"),
            ('require "vacation"; vacation :from "eve@far.example" "z";', "ann@test"),
            ('require "enotify"; notify :from "boss@test" "mailto:pager@far.example";', "ann@test"),
            ('require "enotify"; notify :from "sales@test" "mailto:pager@far.example";', "sales@test"),
        )):  # fmt: skip
            self.script(script)
            self.arrives(f"k{number}")
            self.assertIn(f"\r\nFrom: {author}\r\n".encode(), self.post.sent[-1][3], script)
        self.assertEqual(len(self.post.sent), 5)

    def test_redirected_to_nobody(self) -> None:
        """An address here that nobody has, or that leads where mail does not go: the message is kept, and nothing is lost."""
        away = [parse_mailbox("x@nowhere.example")]
        self.world.result(self.world.site.accounts.add_alias(parse_mailbox("away@test"), away))
        for number, target in enumerate(("nobody@test", "away@test"), 1):
            self.script(f'redirect "{target}";')
            self.arrives(f"k{number}")
            self.assertEqual((len(self.found()), self.post.sent), (number, []))

    def test_rejected_for_nobody(self) -> None:
        """A sender here whom there is not is told nothing: the message is kept."""
        self.script('require "reject"; reject "no";')
        recipient = SpoolRecipient(self.ann.id, parse_mailbox("ann@test"))
        envelope = Envelope(SpoolId("m1"), parse_mailbox("nobody@test"), (recipient,))
        self.successResultOf(Deferred.fromCoroutine(self.deliver(envelope, recipient, BODY, "k1")))
        self.assertEqual((len(self.found()), self.post.sent), (1, []))

    def test_notified(self) -> None:
        """By mail, with the null sender."""
        self.script('require "enotify"; notify "mailto:pager@far.example,x@nowhere.example";')
        self.arrives()
        self.assertEqual([(sender, to) for _, sender, to, _ in self.post.sent], [("", "pager@far.example")])
        self.assertEqual(len(self.found()), 1)

    def test_duplicates_are_found(self) -> None:
        """In later deliveries, not in the same one tried again."""
        self.script('require "duplicate"; if duplicate { discard; }')
        for key in ("k1", "k1", "k2"):
            self.arrives(key)
        self.assertEqual(len(self.found()), 1)
        self.now = datetime(2026, 12, 21, tzinfo=UTC)
        self.arrives("k3")
        self.assertEqual(len(self.found()), 2)

    def test_what_could_not_be_sent_is_sent_when_tried_again(self) -> None:
        """The delivery is made, its messages wait; nothing is filed twice and nothing is lost."""
        self.script('require "copy"; redirect :copy "bob@far.example";')
        self.post.fail = TryLater()
        recipient = SpoolRecipient(self.ann.id, parse_mailbox("ann@test"))
        envelope = Envelope(SpoolId("m1"), EVE, (recipient,))
        self.failureResultOf(Deferred.fromCoroutine(self.deliver(envelope, recipient, BODY, "k1")), TryLater)
        self.assertEqual(len(self.found()), 1)
        self.post.fail = None
        self.script("discard;")
        self.arrives()
        self.assertEqual((len(self.found()), len(self.post.sent)), (1, 1))

    def test_what_can_never_be_sent_is_not_tried_for_ever(self) -> None:
        """A log line, and the delivery is done."""
        self.script('redirect "bob@far.example";')
        self.post.fail = NotPermitted()
        self.arrives()
        self.assertEqual(self.post.forgotten, ["k1.s0"])

    def test_the_script_sees_mailboxes_and_others_scripts(self) -> None:
        """Its owner's."""

        async def prepare() -> None:
            mail = await self.world.site.mail.mail(self.ann.id)
            await mail.create("Spam", "\\Junk")
            await mail.scripts.put("other", b'require "fileinto"; fileinto "Spam";')

        self.world.result(prepare())
        self.script(
            'require ["include", "mailbox", "special-use"];'
            'if allof (mailboxexists "Spam", not mailboxexists "Ham", specialuse_exists "Spam" "\\\\junk") { include "other"; }'
        )
        self.arrives()
        self.assertEqual(len(self.found("Spam")), 1)

    def test_large_messages(self) -> None:
        """Octet for octet, edited or not."""
        self.script('require "editheader"; addheader "X-A" "1";')
        body = BODY + b"x" * 78 + b"\r\n" * 10 + b"y\r\n" * 400_000
        self.arrives(body=body)
        ((found, _),) = self.found()
        trace = b"Return-Path: <eve@far.example>\r\nDelivered-To: ann@test\r\n"
        self.assertEqual(found, (b"X-A: 1\r\n" + trace + body)[: 1 << 20])


class WholeWayTests(SynchronousTestCase):
    """From the spool through a script to somebody else here."""

    def test_redirect_to_a_neighbour(self) -> None:
        """The message is in the other's inbox, once, with both on its way."""
        world = memory_site()
        ann, bob = world.add_user("ann"), world.add_user("bob")

        async def play() -> list[bytes]:
            scripts = (await world.site.mail.mail(ann.id)).scripts
            await scripts.put("s", b'redirect "bob+x@test";')
            await scripts.activate("s")
            staged = world.site.staging.begin()
            await staged.write(BODY)
            recipient = SpoolRecipient(ann.id, ann.address)
            accepted = await world.site.spool.accept(Envelope(SpoolId("m1"), EVE, (recipient,)), staged)
            await accepted.delivered
            box = await (await world.site.mail.mail(bob.id)).mailbox("INBOX")
            return [await box.read(one.uid, 0, 10_000) for one in await box.states()]

        found: Any = world.result(play())
        trace = b"Return-Path: <eve@far.example>\r\nDelivered-To: bob+x@test\r\nDelivered-To: ann@test\r\n"
        self.assertEqual(found, [trace + BODY])
