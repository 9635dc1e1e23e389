"""No call of the SQLite store keeps the reactor thread longer than 20 ms, on a mailbox of 100,000 messages."""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.ids import AccountId
from launcelot.mailstore.annotations import Annotations
from launcelot.mailstore.grants import Grants
from launcelot.mailstore.interface import AccountMail, Draft, Filing, Mailbox, StoreMode
from launcelot.mailstore.ordering import Criterion, SortKey
from launcelot.mailstore.query import All, And, Compare, Contains, Field, Flagged, Header, InternalDate, Not, Uids
from launcelot.mailstore.sheets import Column
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.mailstore.threads import Algorithm
from launcelot.workers.threads import ThreadWorkers
from tests.bounded import slowness
from tests.mailstore.holding import Holding, no_collections
from tests.mailstore.kit import ANN, Hands, message

LIMIT = 0.020
"""Seconds."""
TRIES = 3
"""How often all is done, on a fresh account, before a call counts as one that holds the thread."""
MESSAGES = 100_000
DIFFERENT = 100
"""Contents in the mailbox; the others are copies."""
NAMES = 300
"""Mailboxes."""
ELSEWHERE = {"rights", "scripts"}
"""What is told by objects of other rooms' own, which have tests of their own."""


def methods(interface: type) -> set[str]:
    """What can be called on an interface."""
    found = {name for name, one in vars(interface).items() if inspect.isfunction(one) and name[0] != "_"}
    return found - ELSEWHERE


class HoldingTests(TestCase):
    """A large mailbox on real threads."""

    timeout = 600

    def setUp(self) -> None:
        """Make the store."""
        self.fills = itertools.count()
        self.hands = Hands()
        writer = ThreadWorkers(reactor, "write", 1)  # type: ignore[arg-type]
        readers = ThreadWorkers(reactor, "read", 2)  # type: ignore[arg-type]
        store = self.store = SqliteMailStore(
            Path(self.mktemp()),
            [writer],
            readers,
            self.hands.now,
            self.hands.new_id,
            clock=reactor,
        )

        async def close() -> None:
            await store.close()
            for one in (writer, readers):
                await one.close()

        self.addCleanup(lambda: Deferred.fromCoroutine(close()))

    async def fill(self, messages: int) -> None:
        """So many messages with different flags, half of them read, in a tree with many names, of somebody new."""
        self.mail = await self.store.mail(AccountId(f"{ANN}{next(self.fills)}"))
        inbox = self.inbox = await self.mail.mailbox("INBOX")
        numbers = range(DIFFERENT)
        bodies = [message(f"subject {one % 7}", f"text {one} " * 40, From=f"u{one}@a.example") for one in numbers]
        await inbox.append_all([Draft(lambda body=body: body, len(body)) for body in bodies])  # type: ignore[misc]
        there = DIFFERENT
        while there < messages:
            copied = await inbox.copy(list(range(1, min(there, messages - there) + 1)), "INBOX")
            there += len(copied.source)
        await inbox.store(list(range(1, messages, 2)), StoreMode.ADD, ["\\Seen", "$word"])
        for number in range(NAMES):
            await self.mail.create(f"box {number % 10}/{number}")

    async def use_mailbox(self, holding: Holding) -> None:
        """Every method of a mailbox, on everything that is in it."""
        inbox, timed = self.inbox, holding.timed
        every = list(await inbox.uids())
        large = message("large", "x" * 1_000_000 + "\r\n")
        small = Draft(lambda: large[:500], 500)
        queries = (
            All(), Flagged("\\Seen"), Uids(tuple((uid, uid) for uid in range(1, 5_000, 2))),
            InternalDate(Compare.FROM, date(2026, 1, 1)), Contains(Field.SUBJECT, "subject 3"),
            Contains(Field.TEXT, "text 55"), Header("from", "u4"),
            And((Not(Contains(Field.BODY, "text 1 ")), Flagged("$word"))),
        )  # fmt: skip
        holding.at_once("info", lambda: inbox.info)
        holding.at_once("watch", lambda: inbox.watch(lambda: None))()
        for name in ("status", "uids", "states", "sizes", "line_sizes", "claim_recent", "deleted_size"):
            await timed(name, getattr(inbox, name)())
        await timed("states", inbox.states(every))
        await timed("changes", inbox.changes(0))
        await holding.all_of("messages", inbox.messages(every))
        await holding.all_of("messages", inbox.messages(every[:200]))
        await holding.all_of("sheets", inbox.sheets(every, [one for one in Column if one is not Column.OCTETS]))
        await holding.all_of("sheets", inbox.sheets(every[:2_000], [*Column]))
        await holding.timed("find_threads", inbox.find_threads())
        await holding.timed("sheet", inbox.sheet(every[0], (Column.FLAGS, Column.ENVELOPE)))
        for query in queries:
            await timed("search", inbox.search(query))
        for key in SortKey:
            # Names are taken out of envelopes one by one, in a reader thread; that takes its time.
            some = every[:5_000] if key in (SortKey.DISPLAYFROM, SortKey.DISPLAYTO) else every
            await timed("sort", inbox.sort(some, [Criterion(key)]))
        for algorithm in Algorithm:
            await timed("thread", inbox.thread(every, algorithm))
        appended = await timed("append", inbox.append(large, ["\\Seen"]))
        for length in (200_000, 1_000_000):
            await timed("read", inbox.read(appended.uid, 10, length))
        await timed("replace", inbox.replace(appended.uid, large, "INBOX", Draft(lambda: large, len(large))))
        await timed("append_all", inbox.append_all([small] * 200))
        await timed("store", inbox.store(every, StoreMode.ADD, ["\\Deleted", "$new"]))
        await self.mail.create("target")
        await timed("copy", inbox.copy(every, "target"))
        await timed("move", inbox.move(every[:5_000], "target"))
        await timed("expunge", inbox.expunge())
        target = await self.mail.mailbox("target")
        await timed("remove", target.remove(list(await target.uids())))
        await timed("changes", target.changes(0))

    async def use_account(self, holding: Holding) -> None:
        """Every method of an account, with many names."""
        mail, timed = self.mail, holding.timed
        body = message("delivered")
        stop = holding.at_once("watch", lambda: mail.watch(lambda numbers: None))
        holding.at_once("lock", mail.lock)()
        holding.at_once("limit", lambda: mail.limit(0, 0))
        for name in ("mailboxes", "glances", "subscriptions", "usage"):
            await timed(name, getattr(mail, name)())
        await timed("mailbox", mail.mailbox("INBOX"))
        await timed("subscribe", mail.subscribe("somewhere"))
        await timed("deliver", mail.deliver(body, "key"))
        await timed("file", mail.file("key 2", [Filing(Draft(lambda: body, len(body)))]))
        await timed("outgoing", mail.outgoing("key 2"))
        await timed("sent", mail.sent("key 2"))
        await timed("forget_deliveries", mail.forget_deliveries(["key", "key 2"]))
        person = AccountId("bob")
        await timed("annotations.write", mail.annotations.write("INBOX", person, {"/shared/comment": b"x" * 1000}))
        await timed("annotations.read", mail.annotations.read("INBOX", person))
        await timed("annotations.changes", mail.annotations.changes(person, 0))
        holding.at_once("annotations.watch", lambda: mail.annotations.watch(lambda: None))()
        inbox = self.inbox.info.id
        await timed("grants.all", mail.grants.all())
        await timed("grants.of", mail.grants.of(inbox))
        await timed("create", mail.create("a/b/c"))
        await timed("designate", mail.designate("a/b/c", "\\Sent"))
        await timed("rename", mail.rename("INBOX", "moved"))
        await timed("rename", mail.rename("box 1", "other"))
        await timed("delete", mail.delete("moved"))
        stop()

    async def hold(self, messages: int, use: Callable[[Holding], Awaitable[None]]) -> Holding:
        """
        Use what was filled; no call may keep the thread for long.

        The limit is for a machine that is not slower than it was; and what a neighbour on the same core, a page that is not
        there or an interrupt cost does not come back on the second try, where what a call costs by itself does.
        """
        over: set[str] | None = None
        for _ in range(TRIES):
            await self.fill(messages)
            holding, before = Holding(), slowness()
            with no_collections():
                await use(holding)
            found = holding.over(LIMIT * max(before, slowness()))
            over = set(found) if over is None else over & set(found)
            if not over:
                return holding
        raise AssertionError(f"the reactor thread was kept each time by {sorted(over or ())}: {found}")

    def all_called(self, holding: Holding, interface: type, untold: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        """What an interface has was used."""
        self.assertEqual(methods(interface) - holding.longest.keys() - untold, set(), "these are to be called here, too")

    def test_methods_of_a_mailbox(self) -> Deferred[None]:
        """Each on all of its messages."""

        async def run() -> None:
            self.all_called(await self.hold(MESSAGES, self.use_mailbox), Mailbox)

        return Deferred.fromCoroutine(run())

    def test_methods_of_an_account(self) -> Deferred[None]:
        """With many mailboxes, one of them large."""

        async def run() -> None:
            holding = await self.hold(MESSAGES // 10, self.use_account)
            self.all_called(holding, AccountMail, {"annotations", "grants"})
            named = {name.partition(".")[2] for name in holding.longest if name.startswith("annotations.")}
            self.assertEqual(methods(Annotations) - named, set())
            self.assertIn("of", methods(Grants))

        return Deferred.fromCoroutine(run())


class WatcherTests(SynchronousTestCase):
    """The watcher itself."""

    def test_a_call_that_holds_the_thread_is_seen(self) -> None:
        """Also one that does so after a wait, and one that fails."""
        holding, waiting = Holding(), Deferred[None]()

        def burn() -> None:
            ends = time.thread_time() + 2 * LIMIT
            while time.thread_time() < ends:
                pass

        async def late() -> None:
            await waiting
            burn()

        async def failing() -> None:
            try:
                await Deferred.fromCoroutine(late())
            finally:
                raise ZeroDivisionError

        done = Deferred.fromCoroutine(holding.timed("late", late()))
        self.assertEqual(holding.over(LIMIT), {})
        failed = Deferred.fromCoroutine(holding.timed("failing", failing()))
        waiting.callback(None)
        self.successResultOf(done)
        self.failureResultOf(failed, ZeroDivisionError)
        self.assertIn("late", holding.over(LIMIT))

    def test_other_threads_and_waits_do_not_count(self) -> None:
        """Only what this thread's processor time goes into."""
        holding = Holding()
        holding.at_once("sleep", lambda: time.sleep(10 * LIMIT))
        self.assertEqual(holding.over(5 * LIMIT), {})
