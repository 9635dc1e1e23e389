"""What every mail store must do with mailboxes, deliveries, watchers and accounts."""

from __future__ import annotations

from launcelot.core.errors import Exists, Gone, InUse, Invalid, LimitReached, NotFound, NotPermitted
from launcelot.mailstore import tree
from launcelot.mailstore.interface import StoreMode
from tests.mailstore.kit import (
    ANN,
    BOB,
    Contract,
    all_messages,
    check_counters,
    claim,
    flags_of,
    message,
    uids_of,
)


class TreeContract(Contract):
    """Mailboxes by name."""

    async def names(self) -> list[str]:
        """All names as they are listed."""
        return [info.name for info in await (await self.account()).mailboxes()]

    @claim
    async def test_listing_has_inbox_first_then_names_in_order(self) -> None:
        """With those above, their children, subscriptions and special uses."""
        mail = await self.account()
        await mail.create("Zoo")
        made = await mail.create("Archive/2026", "\\Archive")
        await mail.subscribe("Zoo")
        self.assertEqual((made.name, made.special_use, made.selectable), ("Archive/2026", "\\Archive", True))
        infos = await mail.mailboxes()
        self.assertEqual([info.name for info in infos], ["INBOX", "Archive", "Archive/2026", "Zoo"])
        self.assertEqual([info.has_children for info in infos], [False, True, False, False])
        self.assertEqual([info.subscribed for info in infos], [False, False, False, True])
        self.assertEqual([info.special_use for info in infos], ["", "", "\\Archive", ""])
        self.assertEqual(len({info.id for info in infos}), 4)
        for info in infos:
            self.assertEqual((await mail.mailbox(info.name)).info, info)

    @claim
    async def test_a_special_use_is_given_and_taken(self) -> None:
        """To a mailbox that is there; it is told by the listing and whoever opens the mailbox then."""
        mail = await self.account()
        await mail.create("a/b")
        await mail.designate("a/b", "\\Sent")
        self.assertEqual([info.special_use for info in await mail.mailboxes()], ["", "", "\\Sent"])
        self.assertEqual((await mail.mailbox("a/b")).info.special_use, "\\Sent")
        await mail.rename("a", "c")
        await mail.designate("c/b", "")
        self.assertEqual([info.special_use for info in await mail.mailboxes()], ["", "", ""])
        await self.refused(NotFound, mail.designate("a/b", "\\Sent"))

    @claim
    async def test_inbox_is_one_in_any_case(self) -> None:
        """As a name and as the first level of one."""
        mail = await self.account()
        self.assertEqual((await mail.mailbox("inBox")).info.name, "INBOX")
        await self.refused(Exists, mail.create("inbox"))
        self.assertEqual((await mail.create("Inbox/Sub")).name, "INBOX/Sub")
        self.assertEqual((await mail.mailbox("iNBOX/Sub")).info.name, "INBOX/Sub")
        await self.refused(NotFound, mail.mailbox("INBOX/sub"))

    @claim
    async def test_impossible_names_are_refused(self) -> None:
        """Everything the interface calls Invalid, wherever a name is made; looking for one finds nothing."""
        mail = await self.account()
        await mail.create("ok")
        for name in ("", "/", "a//b", "/a", "a/", "a\x07b", "a\0", "\x7f", "\ud800", "x" * 1001, "\u00e9" * 501):
            await self.refused(Invalid, mail.create(name))
            await self.refused(Invalid, mail.rename("ok", name))
            await self.refused(Invalid, mail.subscribe(name))
            await self.refused(NotFound, mail.mailbox(name))
            await self.refused(NotFound, mail.delete(name))
        await self.refused(Invalid, mail.create("/".join("a" * 33)))
        await mail.create("/".join("a" * 32))
        self.assertEqual(len(await self.names()), 34)

    @claim
    async def test_names_are_kept_in_nfc(self) -> None:
        """Both spellings of one name are one name."""
        mail = await self.account()
        self.assertEqual((await mail.create("Cafe\u0301")).name, "Caf\u00e9")
        await self.refused(Exists, mail.create("Caf\u00e9"))

    @claim
    async def test_create_of_a_taken_name(self) -> None:
        """It is refused and nothing above it is made."""
        mail = await self.account()
        await mail.create("a/b")
        await self.refused(Exists, mail.create("a/b"))
        await self.refused(Exists, mail.create("a"))
        self.assertEqual(await self.names(), ["INBOX", "a", "a/b"])

    @claim
    async def test_delete_leaves_names_below_and_one_that_cannot_be_selected(self) -> None:
        """RFC 9051 section 6.3.5; the name can be made again, and a bare name cannot be deleted."""
        mail = await self.account()
        await mail.create("a/b")
        await mail.delete("a")
        infos = {info.name: info for info in await mail.mailboxes()}
        self.assertEqual((infos["a"].selectable, infos["a"].has_children), (False, True))
        await self.refused(NotFound, mail.mailbox("a"))
        await self.refused(NotPermitted, mail.delete("a"))
        await self.refused(NotPermitted, mail.delete("inbox"))
        await self.refused(NotFound, mail.delete("c"))
        await mail.create("a")
        await mail.delete("a/b")
        self.assertEqual(await self.names(), ["INBOX", "a"])

    @claim
    async def test_deleted_mailbox_is_gone_for_those_who_have_it_open(self) -> None:
        """Each method says so; its messages no longer count."""
        mail = await self.account()
        await mail.create("a")
        box = await mail.mailbox("a")
        await box.append(message("one"), ())
        await mail.delete("a")
        for call in (
            box.status(), box.states(), box.changes(0), box.claim_recent(), box.read(1, 0, 1), box.append(b"", ()),
            box.store([1], StoreMode.ADD, ["\\Seen"]), box.expunge(), box.remove([1]), box.copy([1], "INBOX"),
            box.move([1], "INBOX"), all_messages(box, [1]),
        ):  # fmt: skip
            await self.refused(Gone, call)
        self.assertEqual((await mail.usage()).octets, 0)

    @claim
    async def test_uid_validity_grows_when_a_name_is_made_again(self) -> None:
        """Even when the clock stands still or goes back, and never the same for two mailboxes."""
        mail = await self.account()
        seen = [(await (await mail.mailbox("INBOX")).status()).uid_validity]
        for step in (0, 0, -1000, 5000):
            self.hands.advance(step)
            made = await mail.create("again")
            seen.append((await (await mail.mailbox("again")).status()).uid_validity)
            await mail.delete("again")
            self.assertTrue(made.id)
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual(seen[-1], int(self.hands.now().timestamp()))

    @claim
    async def test_rename_moves_a_mailbox_with_all_below(self) -> None:
        """Ids, UIDs and UIDVALIDITY are kept; what is missing above the new name is made; an open mailbox goes along."""
        mail = await self.account()
        for name in ("a/b/c", "ab"):
            await mail.create(name)
        box = await mail.mailbox("a/b")
        await box.append(message("one"), ["$Kept"])
        before = await box.status()
        await mail.rename("a/b", "x/y")
        self.assertEqual(await self.names(), ["INBOX", "a", "ab", "x", "x/y", "x/y/c"])
        again = await mail.mailbox("x/y")
        self.assertEqual(await again.status(), before)
        self.assertEqual(await flags_of(box), {1: {"$Kept"}})
        await mail.rename("x", "a/b/b")
        await mail.rename("a/b", "a/b2")
        self.assertEqual(await self.names(), ["INBOX", "a", "a/b2", "a/b2/b", "a/b2/b/y", "a/b2/b/y/c", "ab"])

    @claim
    async def test_rename_up_its_own_branch(self) -> None:
        """A new name may be an old name of something renamed with it."""
        mail = await self.account()
        await mail.create("a/b/b")
        await mail.delete("a")
        await mail.rename("a/b", "a")
        self.assertEqual(await self.names(), ["INBOX", "a", "a/b"])

    @claim
    async def test_rename_of_a_name_that_only_holds_others(self) -> None:
        """What lies below moves."""
        mail = await self.account()
        await mail.create("a/b")
        await mail.delete("a")
        await mail.rename("a", "c")
        infos = await mail.mailboxes()
        self.assertEqual([(info.name, info.selectable) for info in infos], [("INBOX", True), ("c", False), ("c/b", True)])

    @claim
    async def test_impossible_renames_are_refused_and_change_nothing(self) -> None:
        """Missing, taken, below itself, too deep for what lies below."""
        mail = await self.account()
        await mail.create("a/b")
        await mail.create("c")
        await mail.create("d/b")
        await mail.delete("d")
        before = await self.names()
        await self.refused(NotFound, mail.rename("nowhere", "new"))
        for taken in ("c", "a", "inbox", "d"):
            await self.refused(Exists, mail.rename("a", taken))
        await self.refused(Invalid, mail.rename("a", "a/b/c"))
        await self.refused(Invalid, mail.rename("a", "/".join("x" * 32)))
        await self.refused(Exists, mail.rename("INBOX", "c"))
        self.assertEqual(await self.names(), before)

    @claim
    async def test_rename_of_inbox_moves_its_messages(self) -> None:
        """It stays, empty, with what lies below it; the messages are in a new mailbox.  RFC 9051 section 6.3.6."""
        inbox = await self.inbox(message("one"), message("two"))
        mail = await self.account()
        await mail.create("INBOX/Sub")
        await inbox.store([2], StoreMode.ADD, ["$Kept", "\\Deleted"])
        await mail.rename("inbox", "Old/2025")
        self.assertEqual(await self.names(), ["INBOX", "INBOX/Sub", "Old", "Old/2025"])
        old = await mail.mailbox("Old/2025")
        self.assertEqual(await flags_of(old), {1: set(), 2: {"$Kept", "\\Deleted"}})
        self.assertEqual(await old.read(2, 0, 100), message("two"))
        self.assertEqual((await inbox.changes(0)).vanished, (1, 2))
        self.assertEqual((await inbox.status()).uid_next, 3)
        await check_counters(old)
        await check_counters(inbox)

    @claim
    async def test_subscriptions_outlive_mailboxes(self) -> None:
        """RFC 9051 section 6.3.7: a name is kept whether it exists or not."""
        mail = await self.account()
        await mail.create("a")
        for name in ("a", "a", "ghost", "inbox"):
            await mail.subscribe(name)
        await mail.delete("a")
        self.assertEqual(list(await mail.subscriptions()), ["INBOX", "a", "ghost"])
        await mail.subscribe("a", False)
        await mail.subscribe("never", False)
        self.assertEqual(list(await mail.subscriptions()), ["INBOX", "ghost"])

    @claim
    async def test_mailboxes_and_subscriptions_are_limited(self) -> None:
        """One peer cannot fill the tree."""
        self.patch(tree, "MAX_MAILBOXES", 3)
        self.patch(tree, "MAX_SUBSCRIPTIONS", 1)
        mail = await self.account()
        await self.refused(LimitReached, mail.create("a/b/c"))
        await mail.create("a/b")
        await self.refused(LimitReached, mail.create("c"))
        await mail.subscribe("a")
        await mail.subscribe("a")
        await self.refused(LimitReached, mail.subscribe("b"))
        self.assertEqual(await self.names(), ["INBOX", "a", "a/b"])


class DeliveryContract(Contract):
    """Deliveries, watchers, the POP3 lock, accounts."""

    @claim
    async def test_delivery_is_made_once(self) -> None:
        """The same key delivers nothing again, until it is forgotten."""
        mail = await self.account()
        first = await mail.deliver(message("one"), "spool-1/ann")
        self.assertEqual(first and first.uid, 1)
        self.assertIsNone(await mail.deliver(message("one"), "spool-1/ann"))
        self.assertIsNotNone(await mail.deliver(message("two"), "spool-2/ann", flags=["\\Seen"]))
        await mail.forget_deliveries(["spool-1/ann", "unknown"])
        again = await mail.deliver(message("one"), "spool-1/ann")
        self.assertEqual(again and again.uid, 3)
        self.assertEqual(await flags_of(await mail.mailbox("INBOX")), {1: set(), 2: {"\\Seen"}, 3: set()})

    @claim
    async def test_refused_delivery_may_come_again(self) -> None:
        """A key is only remembered with its message."""
        mail = await self.account()
        await self.refused(NotFound, mail.deliver(message("one"), "key", "Missing"))
        await mail.create("Missing")
        self.assertIsNotNone(await mail.deliver(message("one"), "key", "Missing"))
        self.assertIsNone(await mail.deliver(message("one"), "key", "Missing"))

    @claim
    async def test_delivery_of_a_large_body(self) -> None:
        """Analysed elsewhere, kept the same."""
        mail = await self.account()
        body = message("large", "0123456789abcdef\r\n" * 30_000)
        self.assertIsNotNone(await mail.deliver(body, "key"))
        inbox = await mail.mailbox("INBOX")
        self.assertEqual(await inbox.read(1, 0, len(body) + 1), body)
        self.assertEqual((await all_messages(inbox, [1]))[0].size, len(body))

    @claim
    async def test_usage_counts_every_message(self) -> None:
        """Through delivery, copy, expunge and deletion of a mailbox."""
        inbox = await self.inbox(message("one"))
        mail = await self.account()
        size = len(message("one"))
        await mail.create("a")
        await inbox.copy([1], "a")
        usage = await mail.usage()
        self.assertEqual((usage.octets, usage.messages), (2 * size, 2))
        await inbox.remove([1])
        usage = await mail.usage()
        self.assertEqual((usage.octets, usage.messages), (size, 1))
        await mail.delete("a")
        usage = await mail.usage()
        self.assertEqual((usage.octets, usage.messages), (0, 0))

    @claim
    async def test_watchers_are_told_of_every_change_in_order(self) -> None:
        """By whomever it was made, after it can be seen; once each, in the order in which they came."""
        inbox = await self.inbox(message("one"))
        mail = await self.account()
        await mail.create("a")
        other = await mail.mailbox("INBOX")
        told: list[str] = []
        stop_first = inbox.watch(lambda: told.append("first"))
        other.watch(lambda: told.append("second"))
        (await mail.mailbox("a")).watch(lambda: told.append("a"))
        both = ["first", "second"]
        for change, expected in (
            (lambda: other.append(message("two"), ()), both),
            (lambda: inbox.store([1], StoreMode.ADD, ["\\Deleted"]), both),
            (lambda: inbox.store([1], StoreMode.ADD, ["\\Deleted"]), []),
            (lambda: inbox.copy([1], "a"), ["a"]),
            (lambda: inbox.expunge(), both),
            (lambda: inbox.expunge(), []),
            (lambda: mail.deliver(message("three"), "key"), both),
            (lambda: mail.deliver(message("three"), "key"), []),
            (lambda: inbox.move([2], "a"), [*both, "a"]),
            (lambda: inbox.remove([3]), both),
            (lambda: mail.delete("a"), ["a"]),
            (lambda: inbox.status(), []),
        ):
            told.clear()
            await change()
            self.assertEqual(told, expected)
        stop_first()
        stop_first()
        told.clear()
        await other.append(message("four"), ())
        self.assertEqual(told, ["second"])

    @claim
    async def test_refused_change_tells_nobody(self) -> None:
        """What did not happen is not told."""
        inbox = await self.inbox(message("one"))
        told: list[int] = []
        inbox.watch(lambda: told.append(1))
        await self.refused(Invalid, inbox.append(message("x"), ["\\Wrong"]))
        await self.refused(NotFound, inbox.move([1], "Nowhere"))
        self.assertEqual(told, [])

    @claim
    async def test_watcher_that_fails_harms_nobody(self) -> None:
        """Its fault is logged; the change and the other watchers go on."""
        inbox = await self.inbox()
        told: list[int] = []
        inbox.watch(lambda: [][1])

        def once() -> None:
            told.append(1)
            stop()

        stop = inbox.watch(once)
        self.assertEqual((await inbox.append(message("one"), ())).uid, 1)
        self.assertEqual((await inbox.append(message("two"), ())).uid, 2)
        self.assertEqual(told, [1])
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 2)

    @claim
    async def test_lock_is_for_one_at_a_time(self) -> None:
        """RFC 1939 section 3: a second session is refused until the first lets go, which it may do twice."""
        mail, same, other = await self.account(), await self.account(), await self.account(BOB)
        release = mail.lock()
        self.assertRaises(InUse, same.lock)
        other.lock()
        release()
        again = same.lock()
        release()
        self.assertRaises(InUse, mail.lock)
        again()
        mail.lock()

    @claim
    async def test_accounts_are_apart(self) -> None:
        """What one gets, another does not see."""
        await (await self.account(ANN)).deliver(message("one"), "key")
        bob = await self.account(BOB)
        self.assertIsNotNone(await bob.deliver(message("two"), "key"))
        self.assertEqual(await (await bob.mailbox("INBOX")).read(1, 0, 100), message("two"))

    @claim
    async def test_removed_account_is_gone_and_begins_anew(self) -> None:
        """Sessions find it gone and are told; the same id starts with an empty INBOX; removing nothing is fine."""
        inbox = await self.inbox(message("one"))
        mail = await self.account()
        told: list[int] = []
        inbox.watch(lambda: told.append(1))
        await self.store.remove(ANN)
        self.assertEqual(told, [1])
        await self.refused(Gone, inbox.status())
        await self.refused(Gone, inbox.append(message("x"), ()))
        await self.refused(Gone, mail.mailboxes())
        await self.refused(Gone, mail.create("a"))
        self.assertRaises(Gone, mail.lock)
        await self.store.remove(ANN)
        self.assertEqual(await uids_of(await self.inbox()), [])
