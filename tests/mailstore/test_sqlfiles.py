"""What only the SQLite store has: files, their opening and closing, cancelled callers, real threads."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.errors import Gone, InUse, Invalid, TryLater
from launcelot.core.ids import AccountId
from launcelot.mailstore import bodies, sqlrows, sqlstates
from launcelot.mailstore import sqlite as sqlite_store
from launcelot.mailstore.interface import MailStore, StoreMode
from launcelot.mailstore.query import Contains, Field
from launcelot.mailstore.schema import CHUNK
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from launcelot.workers.threads import ThreadWorkers
from tests.mailstore.contract import MessageContract, TransferContract
from tests.mailstore.kit import ANN, BOB, Hands, all_messages, check_counters, flags_of, message, result_now, uids_of
from tests.mailstore.searchcontract import SearchContract
from tests.mailstore.test_sqlite import Inline
from tests.mailstore.treecontract import DeliveryContract, TreeContract


def open_files() -> list[str]:
    """Names of the files that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


class FileTests(Inline):
    """Files on disk."""

    def rows(self, statement: str, account: AccountId = ANN) -> list[tuple[Any, ...]]:
        """What a program beside us reads from the file."""
        connection = sqlite3.connect(f"file:{self.folder / account / 'mail.db'}?mode=ro", uri=True)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def run_on(self, store: MailStore, job: Any) -> Any:
        """Run a coroutine function with Ann's mail."""

        async def run() -> Any:
            return await job(await store.mail(ANN))

        return result_now(self, run())

    def test_reopened_store_has_everything(self) -> None:
        """Mailboxes, flags, UIDs, octets, subscriptions, deliveries, usage and the expunge log."""

        async def fill(mail: Any) -> None:
            await mail.create("a/b", "\\Sent")
            await mail.subscribe("ghost")
            await mail.deliver(message("one"), "key", "a/b", ["$Word", "\\Seen"])
            await mail.deliver(message("two"), "key2", "a/b")
            await (await mail.mailbox("a/b")).remove([2])

        async def look(mail: Any) -> list[Any]:
            box = await mail.mailbox("a/b")
            await check_counters(box)
            return [
                await mail.mailboxes(), await mail.subscriptions(), await mail.usage(), await box.status(), await box.states(),
                await box.changes(0), await all_messages(box, [1]), await box.read(1, 0, 1000), await mail.deliver(b"", "key"),
            ]  # fmt: skip

        self.run_on(self.store, fill)
        before = self.run_on(self.store, look)
        result_now(self, self.store.close())
        again = self.open_store()
        self.assertEqual(self.run_on(again, look), before)

    def test_folder_and_file_are_private(self) -> None:
        """0700 and 0600, and their names are the account's id."""
        result_now(self, self.store.mail(ANN))
        self.assertEqual(stat.S_IMODE((self.folder / ANN).stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((self.folder / ANN / "mail.db").stat().st_mode), 0o600)

    def test_ids_that_would_leave_the_folder_are_refused(self) -> None:
        """An account id is one plain name."""
        for account in ("", ".", "..", "../x", "a/b", "/etc", "x\0"):
            self.failureResultOf(Deferred.fromCoroutine(self.store.mail(AccountId(account))), Invalid)

    def test_removed_account_leaves_no_file(self) -> None:
        """The folder is gone, and with it what a crash left of an earlier removal."""
        result_now(self, self.store.mail(ANN))
        result_now(self, self.store.mail(BOB))
        (self.folder / ".removed-earlier").mkdir()
        result_now(self, self.store.remove(ANN))
        self.assertEqual([path.name for path in self.folder.iterdir()], [BOB])

    def test_octets_are_kept_once_for_all_copies(self) -> None:
        """Copying adds rows, not chunks; the last copy takes its chunks along."""
        self.patch(bodies, "LARGE", 1 << 40)

        async def fill(mail: Any) -> None:
            inbox = await mail.mailbox("INBOX")
            await inbox.append(b"x" * (CHUNK + 1), ())
            await mail.create("a")
            for _ in range(3):
                await inbox.copy([1], "a")

        self.run_on(self.store, fill)
        self.assertEqual(self.rows("SELECT count(*), sum(length(octets)) FROM chunks"), [(2, CHUNK + 1)])
        self.assertEqual(self.rows("SELECT uses FROM contents"), [(4,)])

        async def empty(mail: Any) -> None:
            inbox = await mail.mailbox("INBOX")
            await inbox.move([1], "a")
            await mail.delete("a")

        self.run_on(self.store, empty)
        for table in ("chunks", "contents", "messages"):
            self.assertEqual(self.rows(f"SELECT count(*) FROM {table}"), [(0,)])
        self.assertEqual(self.rows("SELECT octets, messages FROM account"), [(0, 0)])

    def test_files_longest_unused_are_closed_and_opened_again(self) -> None:
        """Only as many stay open as allowed; who holds an account or a mailbox does not notice."""
        store = self.open_store(open_files=2)
        accounts = [AccountId(f"account{number}") for number in range(5)]
        mails = [result_now(self, store.mail(account)) for account in accounts]
        self.assertLessEqual(len(store._open), 2)
        for mail in mails:
            self.assertIsNotNone(result_now(self, mail.deliver(message("x"), "key")))
            self.assertEqual(result_now(self, mail.usage()).messages, 1)
        self.assertLessEqual(len(store._open), 2)

    def test_watchers_and_locks_outlive_the_open_file(self) -> None:
        """They are kept for an account whose file has been closed, although nobody holds anything else of it."""
        store = self.open_store(open_files=1)
        told: list[int] = []
        stop = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX")).watch(lambda: told.append(1))
        release = result_now(self, store.mail(BOB)).lock()
        for number in range(3):
            result_now(self, store.mail(AccountId(f"account{number}")))
        self.assertLessEqual(len(store._open), 1)
        result_now(self, result_now(self, store.mail(ANN)).deliver(message("x"), "key"))
        self.assertEqual(told, [1])
        self.assertRaises(InUse, result_now(self, store.mail(BOB)).lock)
        release()
        result_now(self, store.mail(BOB)).lock()()
        stop()

    def test_a_locks_descriptor(self) -> None:
        """It is the same for all sessions of an open file, and is closed with it, or by the session that outlives it."""
        store = self.open_store(open_files=1)
        file = store._file(BOB)
        for _ in range(3):
            release = result_now(self, store.mail(BOB)).lock()
            kept = file._lock
            release()
            release()
            self.assertEqual((file._lock, file._locked), (kept, False))
        result_now(self, store.mail(ANN))
        self.assertIsNone(file._lock)
        release = result_now(self, store.mail(BOB)).lock()
        result_now(self, store.mail(ANN))
        self.assertIsNotNone(file._lock)
        release()
        self.assertIsNone(file._lock)
        self.assertEqual([one for one in open_files() if one.startswith(str(self.folder)) and one.endswith(".lock")], [])

    def test_files_that_are_quiet_are_closed(self) -> None:
        """Unless somebody watches them; locks outlive it, and the next use opens them again."""
        clock, workers = Clock(), InlineWorkers()
        given: list[int] = []
        self.patch(sqlite_store, "give_back", lambda: given.append(1))
        store = SqliteMailStore(self.folder, [workers], workers, self.hands.now, self.hands.new_id, clock=clock)
        ann, bob = result_now(self, store.mail(ANN)), result_now(self, store.mail(BOB))
        told: list[int] = []
        stop = result_now(self, bob.mailbox("INBOX")).watch(lambda: told.append(1))
        release = ann.lock()
        clock.pump([1.0] * 50)
        self.assertEqual(len(store._open), 2)
        result_now(self, ann.usage())
        clock.pump([1.0] * 50)
        self.assertEqual(len(store._open), 2)
        clock.pump([1.0] * 40)
        self.assertEqual([file.folder.name for file in store._open], [BOB])
        self.assertRaises(InUse, result_now(self, store.mail(ANN)).lock)
        self.assertIsNotNone(result_now(self, ann.deliver(message("x"), "key")))
        release()
        stop()
        clock.pump([1.0] * 105)
        self.assertEqual((list(store._open), clock.getDelayedCalls()), ([], []))
        self.assertEqual(len(given), 3)
        self.assertIsNotNone(result_now(self, ann.deliver(message("x"), "another")))
        result_now(self, store.close())
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_watching_a_closed_file(self) -> None:
        """Also begun while the file is closed, and with nothing held but what stops it."""
        store = self.open_store(open_files=1)
        told: list[int] = []
        inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
        result_now(self, store.mail(BOB))
        stop = inbox.watch(lambda: told.append(1))
        del inbox
        gc.collect()
        result_now(self, result_now(self, store.mail(ANN)).deliver(message("x"), "key"))
        self.assertEqual(told, [1])
        stop()

    def test_closed_files_are_forgotten_when_nothing_is_to_be_remembered(self) -> None:
        """What the store keeps does not grow with every account that was ever watched."""
        self.patch(sqlite_store, "SWEEP", 5)
        store = self.open_store(open_files=1)
        stops = []
        for number in range(40):
            mail = result_now(self, store.mail(AccountId(f"account{number}")))
            stops.append(result_now(self, mail.mailbox("INBOX")).watch(lambda: None))
            if number >= 3:
                stops[number]()
        self.assertLess(len(store._held), 40)
        self.assertGreaterEqual(len(store._held), 3)

    def test_file_that_cannot_be_read_refuses_its_account_only(self) -> None:
        """A damaged file is answered as temporary; others go on."""
        (self.folder / ANN).mkdir(parents=True)
        (self.folder / ANN / "mail.db").write_bytes(b"this is no database, however long one looks at it" * 100)
        for _ in range(2):
            self.failureResultOf(Deferred.fromCoroutine(self.store.mail(ANN)), TryLater)
        result_now(self, self.store.mail(BOB))

    def test_closed_store_refuses(self) -> None:
        """Nothing is opened behind the back of who closed it."""
        mail = result_now(self, self.store.mail(ANN))
        result_now(self, self.store.close())
        self.failureResultOf(Deferred.fromCoroutine(mail.usage()), TryLater)
        self.failureResultOf(Deferred.fromCoroutine(self.store.mail(BOB)), TryLater)

    def test_status_and_changes_use_indexes(self) -> None:
        """No statement of the hot paths scans all messages."""
        result_now(self, self.store.mail(ANN))
        for statement, values, index in (
            (sqlrows._STATUS, (1,), "INTEGER PRIMARY KEY"),
            (sqlstates._FIRST_UNSEEN, (1,), "PRIMARY KEY (mailbox=?)"),
            (f"{sqlstates._BLOCKS} AND modseq > ? ORDER BY block", (1, 1), "PRIMARY KEY (mailbox=?)"),
            (sqlrows._CHANGED_ROWS, (1, 1, 1), "PRIMARY KEY (mailbox=?)"),
        ):
            connection = sqlite3.connect(self.folder / ANN / "mail.db")
            plan = " ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement, values))
            connection.close()
            self.assertIn(index, plan)
            self.assertNotIn("messages", plan)


class CancelTests(SynchronousTestCase):
    """Callers that give up while their change is under way."""

    def setUp(self) -> None:
        """A store whose writer runs when the test says so."""
        self.writer = SteppedWorkers()
        readers = InlineWorkers()
        hands = Hands()
        self.store = SqliteMailStore(Path(self.mktemp()), [self.writer], readers, hands.now, hands.new_id)

    def through(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine with as many turns of the writer as it needs."""
        done = Deferred.fromCoroutine(work)
        while self.writer.perform():
            pass
        return self.successResultOf(done)

    def test_cancelled_change_is_still_made_and_told(self) -> None:
        """The caller hears that it gave up; the message is there and the watchers know."""
        mail = self.through(self.store.mail(ANN))
        inbox = self.through(mail.mailbox("INBOX"))
        told: list[int] = []
        inbox.watch(lambda: told.append(1))
        append = Deferred.fromCoroutine(inbox.append(message("one"), ()))
        append.cancel()
        self.failureResultOf(append, CancelledError)
        self.assertEqual(told, [])
        while self.writer.perform():
            pass
        self.assertEqual(told, [1])
        self.assertEqual(self.through(uids_of(inbox)), [1])
        self.through(self.store.close())

    def test_closing_waits_for_changes_under_way(self) -> None:
        """They are answered before the store says it is closed; later ones are refused."""
        mail = self.through(self.store.mail(ANN))
        delivery = Deferred.fromCoroutine(mail.deliver(message("one"), "key"))
        closed = Deferred.fromCoroutine(self.store.close())
        late = Deferred.fromCoroutine(mail.deliver(message("two"), "key2"))
        self.failureResultOf(late, TryLater)
        self.assertNoResult(closed)
        while self.writer.perform():
            if not closed.called:
                self.assertFalse(closed.called)
        self.assertIsNotNone(self.successResultOf(delivery))
        self.successResultOf(closed)

    def test_closing_waits_for_reads_under_way(self) -> None:
        """Also for those whose caller has given up: a thread is still reading the file."""
        readers = SteppedWorkers()
        hands = Hands()
        store = SqliteMailStore(Path(self.mktemp()), [InlineWorkers()], readers, hands.now, hands.new_id)
        inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
        result_now(self, inbox.append(message("one"), ()))
        first, second = (Deferred.fromCoroutine(inbox.search(Contains(Field.BODY, "hello"))) for _ in range(2))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        closed = Deferred.fromCoroutine(store.close())
        self.assertTrue(readers.perform())
        self.assertNoResult(closed)
        self.assertTrue(readers.perform())
        self.successResultOf(closed)
        self.failureResultOf(second, TryLater)

    def test_closing_while_the_file_is_being_opened(self) -> None:
        """Who waits is refused, and no database stays open behind."""
        opening = Deferred.fromCoroutine(self.store.mail(ANN))
        self.writer.perform()
        closed = Deferred.fromCoroutine(self.store.close())
        self.assertNoResult(closed)
        while self.writer.perform():
            pass
        self.successResultOf(closed)
        self.failureResultOf(opening, TryLater)

    def test_many_callers_open_a_file_once(self) -> None:
        """All wait for the same opening; one that gives up does not disturb the others."""
        first, second, third = (Deferred.fromCoroutine(self.store.mail(ANN)) for _ in range(3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        turns = 0
        while self.writer.perform():
            turns += 1
        self.successResultOf(first)
        self.successResultOf(third)
        self.assertLessEqual(turns, 3)
        self.through(self.store.close())

    def test_removing_while_a_change_is_under_way(self) -> None:
        """The change is finished, then the mail is gone; who comes meanwhile waits and begins anew."""
        mail = self.through(self.store.mail(ANN))
        delivery = Deferred.fromCoroutine(mail.deliver(message("one"), "key"))
        removal = Deferred.fromCoroutine(self.store.remove(ANN))
        second_removal = Deferred.fromCoroutine(self.store.remove(ANN))
        anew = Deferred.fromCoroutine(self.store.mail(ANN))
        while self.writer.perform():
            pass
        self.assertIsNotNone(self.successResultOf(delivery))
        for done in (removal, second_removal):
            self.successResultOf(done)
        self.assertEqual(self.through(self.successResultOf(anew).usage()).messages, 0)
        self.failureResultOf(Deferred.fromCoroutine(mail.usage()), Gone)
        self.through(self.store.close())


class Threaded(TestCase):
    """Makes a store on real threads for each test."""

    store: MailStore

    def setUp(self) -> None:
        """Make the store."""
        self.hands = Hands()
        workers = [ThreadWorkers(reactor, name, 1) for name in ("write-1", "write-2")]  # type: ignore[arg-type]
        readers = ThreadWorkers(reactor, "read", 2)  # type: ignore[arg-type]
        self.store = SqliteMailStore(Path(self.mktemp()), workers, readers, self.hands.now, self.hands.new_id)

        async def close() -> None:
            await self.store.close()
            for one in (*workers, readers):
                await one.close()

        self.addCleanup(lambda: Deferred.fromCoroutine(close()))

    def finish(self, test: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Run a test to its end."""
        return Deferred.fromCoroutine(test)


class ThreadedMessageTests(MessageContract, Threaded):
    """Messages."""


class ThreadedTransferTests(TransferContract, Threaded):
    """COPY and MOVE."""


class ThreadedTreeTests(TreeContract, Threaded):
    """Mailboxes."""


class ThreadedDeliveryTests(DeliveryContract, Threaded):
    """Deliveries, watchers, accounts."""


class ThreadedSearchTests(SearchContract, Threaded):
    """SEARCH."""


class ConcurrentTests(Threaded):
    """Many callers at once."""

    def test_many_deliveries_at_once(self) -> Deferred[None]:
        """Each is made once, under a UID of its own, also where two have the same key."""

        async def run() -> None:
            mail = await self.store.mail(ANN)
            waiting = [
                Deferred.fromCoroutine(mail.deliver(message(str(number)), f"key{number % 60}")) for number in range(120)
            ]
            answers = [await one for one in waiting]
            uids = [answer.uid for answer in answers if answer is not None]
            self.assertEqual(uids, list(range(1, 61)))
            inbox = await mail.mailbox("INBOX")
            await check_counters(inbox)
            self.assertEqual((await mail.usage()).messages, 60)

        return self.finish(run())

    def test_watchers_and_changes_under_contention(self) -> Deferred[None]:
        """Following the changes a watcher is told of gives the same mailbox as listing it."""

        async def run() -> None:
            mail = await self.store.mail(ANN)
            inbox = await mail.mailbox("INBOX")
            followed: dict[int, set[str]] = {}
            told: list[int] = []
            inbox.watch(lambda: told.append(1))

            async def follow(since: int) -> int:
                changes = await inbox.changes(since)
                for state in changes.changed:
                    self.assertLess(state.uid, changes.uid_next)
                    followed[state.uid] = set(state.flags)
                for uid in changes.vanished:
                    followed.pop(uid, None)
                return changes.highest_modseq

            seen = 0
            waiting: list[Deferred[Any]] = []
            for number in range(1, 41):
                waiting.append(Deferred.fromCoroutine(inbox.append(message(str(number)), ["\\Seen"])))
                waiting.append(Deferred.fromCoroutine(inbox.store([number, number // 2], StoreMode.ADD, [f"$k{number}"])))
                if number % 3 == 0:
                    waiting.append(Deferred.fromCoroutine(inbox.remove([number // 3])))
                if number % 5 == 0:
                    await waiting[-1]
                    seen = await follow(seen)
            for one in waiting:
                await one
            await follow(seen)
            self.assertEqual(followed, await flags_of(inbox))
            self.assertGreater(len(told), 80)
            await check_counters(inbox)

        return self.finish(run())
