"""Mail for one mailbox goes past the queue, and into it whenever that cannot be."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred

from launcelot.core.errors import NotFound, TryLater
from launcelot.core.ids import AccountId
from launcelot.message.address import Address
from launcelot.spool.direct import FORGET_AT_ONCE, FORGET_DELAY, MAILBOXES, OCTETS
from launcelot.spool.interface import Accepted, Envelope, SpoolId, SpoolRecipient
from launcelot.spool.sqlite import MIGRATIONS, SqliteSpool
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import WINDOW
from tests.spool.contract import ANN, BOB, BODY, SpoolCase


def somebody(number: int) -> SpoolRecipient:
    """One of many."""
    return SpoolRecipient(AccountId(f"n{number}"), Address(f"n{number}", "example.org"))


class DirectTests(SpoolCase):
    """SqliteSpool with ``direct``."""

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "spool.sqlite"
        self.spool = self.make()
        self.begun: list[Deferred[Accepted]] = []

    def make(self) -> SqliteSpool:
        """A started one."""
        database = Database(self.path, MIGRATIONS, InlineWorkers(), InlineWorkers())
        spool = SqliteSpool(
            database, self.staging, self.recorder, self.clock, self.now, self.counters, self.recorder.forget, direct=True
        )
        self.wait(spool.start())
        return spool

    def begin(self, name: str, *recipients: SpoolRecipient, data: bytes = BODY) -> Deferred[Accepted]:
        """Have a message accepted that may have to wait."""
        envelope = Envelope(SpoolId(name), None, recipients or (ANN,))
        accepting = Deferred.fromCoroutine(self.spool.accept(envelope, self.body(data)))
        self.begun.append(accepting)
        return accepting

    def written(self) -> int:
        """Recipients that wait in the queue."""
        return self.wait(self.spool.count())

    def test_one_recipient_is_delivered_before_the_answer(self) -> None:
        """Octet for octet, under the key that the queue would use; nothing is in the queue then."""
        self.recorder.plan[ANN.account] = [Deferred()]
        accepting = self.begin("one")
        self.assertNoResult(accepting)
        self.assertEqual(self.written(), 0)
        self.assertEqual(self.recorder.calls, ["one/a1"])

    def test_the_answer_waits_for_the_delivery(self) -> None:
        """And comes when the mail is in the mailbox."""
        step: Deferred[None] = Deferred()
        self.recorder.plan[ANN.account] = [step]
        accepting = self.begin("one")
        self.assertEqual(self.recorder.got, {})
        step.callback(None)
        self.successResultOf(self.successResultOf(accepting).delivered)
        self.assertEqual(self.recorder.got, {"one/a1": BODY})
        self.assertEqual(self.counters.snapshot()["spool.delivered"], 1)

    def test_what_fails_for_now_goes_into_the_queue(self) -> None:
        """It is accepted all the same, and tried again under the same key."""
        self.recorder.plan[ANN.account] = [TryLater(), TryLater()]
        self.successResultOf(self.begin("one"))
        self.assertEqual((self.recorder.calls, self.written()), (["one/a1", "one/a1"], 1))
        self.clock.advance(3_600)
        self.assertEqual((self.recorder.got, self.written()), ({"one/a1": BODY}, 0))

    def test_what_is_refused_for_good_is_the_queues_to_tell(self) -> None:
        """Whatever it does there: held here, as there are no notices."""
        self.recorder.plan[ANN.account] = [NotFound("gone"), NotFound("gone")]
        self.successResultOf(self.begin("one"))
        (waiting,) = self.wait(self.spool.waiting())
        self.assertTrue(waiting.held)

    def test_a_bug_of_a_delivery_loses_nothing(self) -> None:
        """It is logged, and the queue has the mail."""
        self.recorder.plan[ANN.account] = [ZeroDivisionError()]
        self.successResultOf(self.begin("one"))
        self.assertEqual(self.recorder.got, {"one/a1": BODY})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.counters.snapshot()["spool.errors.internal"], 1)

    def test_two_recipients_and_those_elsewhere_are_queued(self) -> None:
        """And so is mail whose sender wants to be told of success, and what comes under an id that is remembered."""
        elsewhere = SpoolRecipient(AccountId(""), Address("x", "elsewhere.example"))
        told = SpoolRecipient(ANN.account, ANN.address, notify="SUCCESS")
        for number, recipients in enumerate(((ANN, BOB), (elsewhere,), (told,))):
            for one in recipients:
                self.recorder.plan[one.account] = [Deferred()]
            accepted = self.successResultOf(self.begin(f"m{number}", *recipients))
            self.assertNoResult(accepted.delivered) if recipients[0] is not elsewhere else None
        self.recorder.plan[ANN.account] = [Deferred()]
        self.wait(self.spool.accept(Envelope(SpoolId("again"), None, (ANN,)), self.body(), once=True))
        self.assertEqual(self.written(), 5)

    def test_more_mailboxes_at_a_time_are_the_queues(self) -> None:
        """A mailbox that is being written to takes more, as they share its sync; another one would need a sync of its own."""
        for number in range(MAILBOXES):
            self.recorder.plan[AccountId(f"n{number}")] = [Deferred(), Deferred()]
            self.assertNoResult(self.begin(f"m{number}", somebody(number)))
        self.assertNoResult(self.begin("same", somebody(0)))
        self.recorder.plan[AccountId(f"n{MAILBOXES}")] = [Deferred()]
        self.successResultOf(self.begin("other", somebody(MAILBOXES)))
        self.assertEqual(self.written(), 1)

    def test_octets_are_bounded(self) -> None:
        """Much mail at a time goes by way of the spool's file, where it takes no memory; large mail takes little."""
        count = OCTETS // WINDOW
        self.recorder.plan[ANN.account] = [Deferred() for _ in range(count)]
        for number in range(count):
            self.assertNoResult(self.begin(f"large {number}", data=bytes(3 * WINDOW)))
        self.recorder.plan[ANN.account] = [Deferred()]
        self.successResultOf(self.begin("one more", data=bytes(1)))

    def test_keys_are_forgotten_together(self) -> None:
        """After a while, or when there are many; never before the answer."""
        self.successResultOf(self.begin("one"))
        self.successResultOf(self.begin("two", BOB))
        self.assertEqual(self.recorder.forgotten, [])
        self.clock.advance(FORGET_DELAY)
        self.assertEqual(self.recorder.forgotten, [(ANN.account, ("one/a1",)), (BOB.account, ("two/b2",))])
        for number in range(FORGET_AT_ONCE):
            self.successResultOf(self.begin(f"m{number}"))
        self.assertEqual(len(self.recorder.forgotten[-1][1]), FORGET_AT_ONCE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_peer_that_leaves_stops_nothing(self) -> None:
        """The delivery ends, and what fails then is queued: it may have been read as accepted."""
        step: Deferred[None] = Deferred()
        self.recorder.plan[ANN.account] = [step]
        accepting = self.begin("one")
        accepting.addErrback(lambda _: None)
        accepting.cancel()
        step.errback(TryLater())
        self.assertEqual(self.recorder.got, {"one/a1": BODY})

    def test_closing_waits_for_what_is_being_delivered(self) -> None:
        """And for its key to be forgotten."""
        step: Deferred[None] = Deferred()
        self.recorder.plan[ANN.account] = [step]
        accepting = self.begin("one")
        closing = Deferred.fromCoroutine(self.spool.close())
        self.assertNoResult(closing)
        step.callback(None)
        self.successResultOf(accepting)
        self.successResultOf(closing)
        self.assertEqual(self.recorder.forgotten, [(ANN.account, ("one/a1",))])
        self.assertEqual(self.clock.getDelayedCalls(), [])
