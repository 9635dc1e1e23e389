"""The spool in SQLite keeps the contract, and what it accepted outlives it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.internet.defer import Deferred

from launcelot.core.errors import NotFound, TryLater
from launcelot.core.ids import AccountId
from launcelot.message.address import Address
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from launcelot.spool.sqlite import CHUNK, LOAD_BATCH, MIGRATIONS, SqliteSpool
from launcelot.workers.database import Database
from launcelot.workers.interface import Workers
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from launcelot.workers.staging import Staging
from tests.spool.contract import ANN, BOB, BODY, Recorder
from tests.spool.contract import SpoolContract as _Contract


class SqliteSpoolTests(_Contract):
    """SqliteSpool."""

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "spool.sqlite"
        self.spilled = Staging(folder, InlineWorkers(), spare=0)

    def spool(self, writer: Workers | None = None) -> SqliteSpool:
        """One that has not been started."""
        database = Database(self.path, MIGRATIONS, writer or InlineWorkers(), InlineWorkers())
        return SqliteSpool(
            database, self.spilled, self.recorder, self.clock, self.now, self.counters, self.recorder.forget
        )

    def make(self) -> SqliteSpool:
        """A started one on this test's file; a second is what comes after a crash of the first."""
        spool = self.spool()
        self.wait(spool.start())
        return spool

    def rows(self, table: str) -> int:
        """Rows of a table."""
        connection = sqlite3.connect(self.path)
        try:
            count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            return count
        finally:
            connection.close()

    def test_undelivered_mail_is_taken_up_after_a_crash(self) -> None:
        """Another spool on the same file delivers what the first accepted and could not deliver."""
        self.recorder.plan[ANN.account] = [Deferred()]
        self.accept(self.make(), "one", ANN, BOB)
        self.clock.advance(1)
        later = self.make()
        self.assertEqual(self.recorder.got, {"one/a1": BODY, "one/b2": BODY})
        self.assertEqual(self.recorder.calls, ["one/a1", "one/b2", "one/a1"])
        self.assertEqual(self.wait(later.waiting()), [])

    def test_crash_between_delivery_and_removal_repeats_the_key(self) -> None:
        """Rows that were not yet removed are delivered again under the same key, which doubles nothing."""
        self.accept(self.make(), "one")
        self.make()
        self.assertEqual(self.recorder.calls, ["one/a1", "one/a1"])
        self.assertEqual(self.recorder.got, {"one/a1": BODY})

    def test_rows_are_deleted(self) -> None:
        """After the sweep nothing of a delivered message is left."""
        self.accept(self.make(), "one", ANN, BOB)
        self.assertEqual((self.rows("messages"), self.rows("chunks"), self.rows("recipients")), (1, 1, 2))
        self.clock.advance(1)
        self.assertEqual((self.rows("messages"), self.rows("chunks"), self.rows("recipients")), (0, 0, 0))

    def test_message_stays_while_one_recipient_waits(self) -> None:
        """A delivered recipient's row goes, the message does not."""
        self.recorder.plan[BOB.account] = [TryLater()]
        self.accept(self.make(), "one", ANN, BOB)
        self.clock.advance(1)
        self.assertEqual((self.rows("messages"), self.rows("chunks"), self.rows("recipients")), (1, 1, 1))

    def test_attempts_and_times_outlive_a_crash(self) -> None:
        """A deferred recipient waits out its pause, with its count and reason."""
        self.recorder.plan[ANN.account] = [TryLater("down"), TryLater("down")]
        self.accept(self.make(), "one")
        self.clock.advance(30)
        self.recorder.plan.clear()
        later = self.make()
        (waiting,) = self.wait(later.waiting())
        self.assertEqual((waiting.attempts, waiting.last_error), (2, "down"))
        self.assertEqual(len(self.recorder.calls), 2)
        self.clock.advance(60)
        self.assertEqual(self.recorder.got, {"one/a1": BODY})

    def test_held_mail_stays_held(self) -> None:
        """A restart does not try it again and does not lose it."""
        self.recorder.plan[ANN.account] = [NotFound("gone")]
        self.accept(self.make(), "one")
        later = self.make()
        (waiting,) = self.wait(later.waiting())
        self.assertEqual((waiting.held, waiting.last_error), (True, "gone"))
        self.assertEqual(self.recorder.calls, ["one/a1"])

    def test_envelope_outlives_a_crash(self) -> None:
        """Sender, empty sender, user and odd addresses come back as they were."""
        seen: list[tuple[Envelope, SpoolRecipient]] = []

        class Keeper(Recorder):
            async def __call__(self, envelope, recipient, body, key):  # type: ignore[no-untyped-def]
                seen.append((envelope, recipient))

        odd = SpoolRecipient(AccountId("x"), Address('a "b"@c', "example.org"))
        self.recorder.plan = {ANN.account: [Deferred()], odd.account: [Deferred()]}
        first = self.make()
        self.accept(first, "one", odd)
        self.wait(first.accept(Envelope(SpoolId("two"), None, (ANN,)), self.body()))
        self.recorder = Keeper()
        self.make()
        self.assertEqual([recipient for _, recipient in seen], [odd, ANN])
        self.assertEqual([envelope.sender for envelope, _ in seen], [Address("eve", "example.com"), None])
        self.assertEqual([envelope.user for envelope, _ in seen], ["eve", ""])

    def test_large_body_is_kept_in_pieces_and_comes_back_whole(self) -> None:
        """More than one row, read again after a crash."""
        large = bytes(range(256)) * (3 * CHUNK // 256) + b"end"
        self.staging = self.spilled
        self.recorder.plan[ANN.account] = [Deferred()]
        self.accept(self.make(), "one", data=large)
        self.assertEqual(self.rows("chunks"), 4)
        self.make()
        self.assertEqual(self.recorder.got, {"one/a1": large})

    def test_body_is_read_again_for_a_later_attempt(self) -> None:
        """After a first failure the octets come from the file."""
        self.recorder.plan[ANN.account] = [TryLater()]
        spool = self.make()
        body = self.body()
        self.wait(spool.accept(Envelope(SpoolId("one"), None, (ANN,)), body))
        self.assertEqual(body.view(), b"")
        self.clock.advance(30)
        self.assertEqual(self.recorder.got, {"one/a1": BODY})

    def test_failing_disk_is_a_temporary_refusal(self) -> None:
        """A message that cannot be written is not accepted, not delivered, and its body is let go of."""
        spool = self.make()
        self.path.unlink()
        connection = sqlite3.connect(self.path)
        connection.close()
        spool._database._drop_writing()  # the next write opens a file without tables: any disk error would do
        spool._database._migrations = ()
        body = self.body()
        accepting = Deferred.fromCoroutine(spool.accept(Envelope(SpoolId("one"), None, (ANN,)), body))
        self.failureResultOf(accepting, TryLater)
        self.assertEqual((self.recorder.calls, body.view()), ([], b""))

    def test_fresh_mail_does_not_wait_behind_a_backlog(self) -> None:
        """Behind a hundred messages of an earlier run a new one is among the next that are begun, and the old go on."""
        gates: list[Deferred[None]] = [Deferred() for _ in range(300)]
        self.recorder.plan[ANN.account] = list(gates)
        spool = self.make()
        for number in range(100):
            self.accept(spool, f"old{number}")
        self.recorder.calls.clear()
        later = self.make()
        for number in range(8):
            self.accept(later, f"new{number}")
        self.assertEqual(len(self.recorder.calls), 20)
        for gate in gates[20:30]:
            gate.callback(None)
        begun = self.recorder.calls[20:]
        self.assertEqual(sum(one.startswith("new") for one in begun), 7)
        self.assertEqual(sum(one.startswith("old") for one in begun), 3)

    def test_rows_that_cannot_be_removed_are_offered_again(self) -> None:
        """A disk that fails after delivery: nothing is delivered twice, the rows go later, nothing spins meanwhile."""
        spool = self.make()
        remove, failures = spool.settle, 0

        async def fail(_delivered: object) -> None:
            nonlocal failures
            failures += 1
            raise TryLater

        spool.settle = fail  # type: ignore[method-assign, assignment]
        for number in range(600):
            self.accept(spool, f"m{number}")
        self.clock.pump([1] * 100)
        self.assertLessEqual(failures, 5)
        spool.settle = remove  # type: ignore[method-assign]
        self.clock.pump([1] * 31)
        self.assertEqual((self.rows("messages"), len(self.recorder.calls)), (0, 600))
        self.wait(spool.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_session_that_is_cancelled_does_not_lose_its_message(self) -> None:
        """A peer that goes while the message is written: it is on disk, so it is delivered."""
        writer = SteppedWorkers()
        spool = self.spool(writer)
        starting = Deferred.fromCoroutine(spool.start())
        writer.perform()
        self.successResultOf(starting)
        accepting = Deferred.fromCoroutine(spool.accept(Envelope(SpoolId("one"), None, (ANN,)), self.body()))
        accepting.addErrback(lambda _: None)
        accepting.cancel()
        writer.perform()
        self.assertEqual(self.recorder.got, {"one/a1": BODY})

    def test_messages_that_wait_share_one_transaction(self) -> None:
        """Ten messages accepted while the writer is busy are one job of the writer."""
        writer = SteppedWorkers()
        spool = self.spool(writer)
        starting = Deferred.fromCoroutine(spool.start())
        writer.perform()
        self.successResultOf(starting)
        accepting = [
            Deferred.fromCoroutine(spool.accept(Envelope(SpoolId(f"m{n}"), None, (ANN,)), self.body()))
            for n in range(10)
        ]
        self.assertEqual(len(writer.waiting), 1)
        writer.perform()
        self.assertEqual([self.successResultOf(one).id for one in accepting], [f"m{n}" for n in range(10)])

    def test_more_recipients_than_one_batch(self) -> None:
        """A message whose recipients are read in two batches is delivered to each once."""
        many = [SpoolRecipient(AccountId(f"a{n}"), Address(f"u{n}", "example.org")) for n in range(LOAD_BATCH + 10)]
        self.recorder.plan = {one.account: [Deferred()] for one in many}
        self.accept(self.make(), "one", *many)
        self.recorder = Recorder()
        later = self.make()
        self.assertEqual(len(self.recorder.got), LOAD_BATCH + 10)
        self.assertEqual(len(self.recorder.calls), LOAD_BATCH + 10)
        self.clock.advance(1)
        self.assertEqual((self.wait(later.waiting()), self.rows("messages")), ([], 0))


del _Contract
