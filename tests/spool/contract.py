"""What every spool does, asked of each."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.counters import Counters
from launcelot.core.errors import NotFound, OverQuota, TooLarge, TryLater
from launcelot.core.ids import AccountId
from launcelot.message.address import Address
from launcelot.spool.interface import Accepted, Envelope, Spool, SpoolId, SpoolRecipient
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Buffer, Staged, Staging

T = TypeVar("T")

ANN = SpoolRecipient(AccountId("a1"), Address("ann", "example.org"))
BOB = SpoolRecipient(AccountId("b2"), Address("bob+list", "example.org"))
BODY = b"Subject: x\r\n\r\n.dot\r\nbody\r\n"


class Recorder:
    """
    A delivery that keeps what it gets, once for each key, and fails when told to.

    :ivar plan: what the next deliveries to an account raise or wait for; nothing means success.
    :ivar envelopes: of what it got.
    :ivar kept: what deliveries wait for: with nobody to hold it, it and the delivery would be collected.
    """

    def __init__(self) -> None:
        self.got: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.envelopes: list[Envelope] = []
        self.plan: dict[AccountId, list[Exception | Deferred[None]]] = {}
        self.kept: list[Deferred[None]] = []
        self.forgotten: list[tuple[AccountId, tuple[str, ...]]] = []
        self.now = 0
        self.most = 0

    async def __call__(self, envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str) -> None:
        self.calls.append(key)
        self.envelopes.append(envelope)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            plan = self.plan.get(recipient.account)
            if plan:
                step = plan.pop(0)
                if isinstance(step, Exception):
                    raise step
                self.kept.append(step)
                await step
            self.got.setdefault(key, body[:])
        finally:
            self.now -= 1

    async def forget(self, account: AccountId, keys: Sequence[str]) -> None:
        """Record what is forgotten."""
        self.forgotten.append((account, tuple(keys)))


class SpoolCase(SynchronousTestCase):
    """What tests of spools need; :meth:`make` gives one that has been started."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.counters = Counters()
        self.recorder = Recorder()
        self.staging = Staging(None, InlineWorkers())

    def make(self) -> Spool:
        """A started spool that delivers to ``self.recorder``."""
        raise NotImplementedError

    def now(self) -> float:
        """The wall clock."""
        return 1.7e9 + self.clock.seconds()

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of what ends without waiting."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def body(self, data: bytes = BODY) -> Staged:
        """A staged body."""
        staged = self.staging.begin()
        self.wait(staged.write(data))
        return staged

    def accept(self, spool: Spool, name: str, *recipients: SpoolRecipient, data: bytes = BODY) -> Accepted:
        """Have a message accepted."""
        envelope = Envelope(SpoolId(name), Address("eve", "example.com"), recipients or (ANN,), "eve")
        return self.wait(spool.accept(envelope, self.body(data)))


class SpoolContract(SpoolCase):
    """Claims about a spool."""

    def test_a_message_is_accepted_once(self) -> None:
        """Under an id that may come again, until that is forgotten."""
        spool = self.make()
        envelope = Envelope(SpoolId("m1"), None, (ANN,))
        for forget, expected in ((False, 1), (False, 1), (True, 2)):
            if forget:
                self.wait(spool.forget_accepted([SpoolId("m1")]))
            self.wait(spool.accept(envelope, self.body(), once=True))
            self.clock.advance(1)
            self.assertEqual(len(self.recorder.calls), expected)
        self.assertEqual(self.wait(spool.waiting()), [])

    def test_message_is_delivered_octet_for_octet(self) -> None:
        """What was accepted is handed to the delivery unchanged, under a key of message and account."""
        accepted = self.accept(self.make(), "one")
        self.assertEqual(self.recorder.got, {"one/a1": BODY})
        self.successResultOf(accepted.delivered)

    def test_empty_message(self) -> None:
        """No octets at all are a message, too."""
        self.accept(self.make(), "one", data=b"")
        self.assertEqual(self.recorder.got, {"one/a1": b""})

    def test_every_recipient_gets_it(self) -> None:
        """Recipients are delivered to each under its own key."""
        self.accept(self.make(), "one", ANN, BOB)
        self.assertEqual(self.recorder.got, {"one/a1": BODY, "one/b2": BODY})

    def test_nothing_waits_after_delivery(self) -> None:
        """Delivered mail is not listed."""
        spool = self.make()
        self.accept(spool, "one")
        self.assertEqual(self.wait(spool.waiting()), [])
        self.assertEqual(spool.under_way, 0)

    def test_keys_are_forgotten_when_rows_are_gone(self) -> None:
        """Keys of one account are forgotten together, a little later."""
        spool = self.make()
        self.accept(spool, "one")
        self.accept(spool, "two")
        self.assertEqual(self.recorder.forgotten, [])
        self.clock.advance(1)
        self.assertEqual(self.recorder.forgotten, [(AccountId("a1"), ("one/a1", "two/a1"))])

    def test_temporary_refusal_is_tried_again_with_growing_pauses(self) -> None:
        """After 30 s, then 60 s, and the mail is listed meanwhile with its reason."""
        spool = self.make()
        self.recorder.plan[ANN.account] = [OverQuota(), TryLater("disk")]
        accepted = self.accept(spool, "one")
        (waiting,) = self.wait(spool.waiting())
        self.assertEqual((waiting.attempts, waiting.last_error, waiting.held), (1, "quota exceeded", False))
        self.assertEqual(waiting.next_attempt, self.now() + 30)
        self.clock.advance(29)
        self.assertEqual(len(self.recorder.calls), 1)
        self.clock.advance(1)
        self.assertEqual(len(self.recorder.calls), 2)
        self.clock.advance(59)
        self.assertNoResult(accepted.delivered)
        self.clock.advance(1)
        self.successResultOf(accepted.delivered)
        self.assertEqual(self.recorder.got, {"one/a1": BODY})

    def test_pauses_stop_growing_at_an_hour_and_mail_is_held_after_five_days(self) -> None:
        """A recipient that never works is tried 125 to 130 times, then held, and never again."""
        spool = self.make()
        self.recorder.plan[ANN.account] = [TryLater("down") for _ in range(1000)]
        accepted = self.accept(spool, "one")
        for _ in range(6 * 24 * 60):
            self.clock.advance(60)
        attempts = len(self.recorder.calls)
        self.assertTrue(120 <= attempts <= 132, attempts)
        self.successResultOf(accepted.delivered)
        (waiting,) = self.wait(spool.waiting())
        self.assertTrue(waiting.held)
        self.assertEqual(waiting.last_error, "down")
        self.assertEqual(self.counters.value("spool.held"), 1)

    def test_permanent_refusal_is_held_with_its_reason(self) -> None:
        """It is not tried again and not lost."""
        spool = self.make()
        self.recorder.plan[ANN.account] = [NotFound("no such mailbox")]
        accepted = self.accept(spool, "one", ANN, BOB)
        self.successResultOf(accepted.delivered)
        (waiting,) = self.wait(spool.waiting())
        self.assertEqual((waiting.id, waiting.recipient, waiting.sender), ("one", "ann@example.org", "eve@example.com"))
        self.assertEqual((waiting.held, waiting.last_error, waiting.size), (True, "no such mailbox", len(BODY)))
        self.clock.pump([3600] * 48)
        self.assertEqual(self.recorder.calls, ["one/a1", "one/b2"])

    def test_one_recipient_does_not_hold_up_another(self) -> None:
        """A delivery that waits leaves the others of its mail and other mails alone."""
        spool = self.make()
        gate: Deferred[None] = Deferred()
        self.recorder.plan[ANN.account] = [gate]
        accepted = self.accept(spool, "one", ANN, BOB)
        self.accept(spool, "two", BOB)
        self.assertEqual(set(self.recorder.got), {"one/b2", "two/b2"})
        self.assertEqual(spool.under_way, 1)
        self.assertNoResult(accepted.delivered)
        gate.callback(None)
        self.successResultOf(accepted.delivered)
        self.assertEqual(spool.under_way, 0)

    def test_deliveries_at_once_are_bounded(self) -> None:
        """Of 50 messages that cannot be delivered now only 20 are tried at once."""
        spool = self.make()
        gates: list[Deferred[None]] = [Deferred() for _ in range(50)]
        self.recorder.plan[ANN.account] = list(gates)
        for number in range(50):
            self.accept(spool, f"m{number}")
        self.assertEqual(self.recorder.now, 20)
        self.assertEqual(spool.under_way, 50)
        for gate in gates:
            gate.callback(None)
        self.assertEqual((len(self.recorder.got), self.recorder.most), (50, 20))

    def test_many_due_at_once(self) -> None:
        """A thousand deliveries that end at once do not nest."""
        spool = self.make()
        self.recorder.plan[ANN.account] = [TryLater() for _ in range(1500)]
        for number in range(1500):
            self.accept(spool, f"m{number}")
        self.clock.advance(30)
        self.assertEqual(len(self.recorder.got), 1500)

    def test_bug_in_delivery_is_logged_and_tried_again(self) -> None:
        """An exception that is no refusal loses nothing."""
        spool = self.make()
        self.recorder.plan[ANN.account] = [ZeroDivisionError("bug")]
        self.accept(spool, "one")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        (waiting,) = self.wait(spool.waiting())
        self.assertEqual(waiting.last_error, "internal error")
        self.clock.advance(30)
        self.assertEqual(self.recorder.got, {"one/a1": BODY})

    def test_close_waits_for_what_runs(self) -> None:
        """The spool is closed when the last delivery has ended; nothing new begins."""
        spool = self.make()
        gate: Deferred[None] = Deferred()
        self.recorder.plan[ANN.account] = [gate]
        self.accept(spool, "one")
        closed = Deferred.fromCoroutine(spool.close())
        self.assertNoResult(closed)
        gate.callback(None)
        self.successResultOf(closed)
        self.assertEqual(self.recorder.forgotten, [(AccountId("a1"), ("one/a1",))])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_spool_accepts_nothing(self) -> None:
        """The sender is told to try later, and the body is let go of."""
        spool = self.make()
        self.wait(spool.close())
        body = self.body()
        envelope = Envelope(SpoolId("one"), None, (ANN,))
        self.failureResultOf(Deferred.fromCoroutine(spool.accept(envelope, body)), TryLater)
        self.assertEqual(body.view(), b"")

    def test_message_for_nobody(self) -> None:
        """There would be nobody whose delivery ends it."""
        spool = self.make()
        body = self.body()
        self.failureResultOf(Deferred.fromCoroutine(spool.accept(Envelope(SpoolId("one"), None, ()), body)), TooLarge)
        self.assertEqual((body.view(), self.wait(spool.waiting())), (b"", []))

    def test_body_is_let_go_of_after_delivery(self) -> None:
        """Memory of a delivered message is given back."""
        spool = self.make()
        body = self.body()
        self.wait(spool.accept(Envelope(SpoolId("one"), None, (ANN,)), body))
        self.clock.advance(1)
        self.assertEqual(body.view(), b"")
