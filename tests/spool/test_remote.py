"""Mail for other hosts: grouping, turns, retries, notices, and what people do to the queue; on both spools."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.monkey import MonkeyPatcher

from launcelot.core.errors import InUse, NotFound, NotPermitted, OverQuota, TryLater
from launcelot.message.address import Address
from launcelot.spool.interface import ELSEWHERE, Accepted, Envelope, Fate, Last, SpoolId, SpoolRecipient, Verdict
from launcelot.spool.marks import Marks
from launcelot.spool.memory import MemorySpool
from launcelot.spool.notices import Notices
from launcelot.spool.schedule import Schedule
from launcelot.spool.sqlite import MIGRATIONS, SqliteSpool
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Buffer
from launcelot.workers.trail import FileTrail, Step, steps_of
from tests.spool.contract import ANN, BODY, SpoolCase

DONE = Verdict(Fate.DONE, "2.0.0", "taken", "mx.far.example", "250 2.0.0 Ok")
LATER = Verdict(Fate.LATER, "4.4.1", "nobody answers")
NEVER = Verdict(Fate.NEVER, "5.1.1", "mx said no", "mx.far.example", "550 5.1.1 No such user")
UNSURE = Verdict(Fate.LATER, "4.4.2", "the connection broke", unsure=True)
ANN_HERE = Address("ann", "example.org")
TLS: dict[str, Any] = {"require_tls": True, "tls_optional": True, "verp": "+="}


def elsewhere(text: str, notify: str = "", original: str = "") -> SpoolRecipient:
    """A recipient of another host."""
    local, _, domain = text.partition("@")
    return SpoolRecipient(ELSEWHERE, Address(local, domain), notify, original)


class ScriptedCarrier:
    """
    Takes mail where the test says.

    :ivar plan: by destination, what the next transactions give: one verdict for all recipients, several for each, a Deferred of
        such, or an exception; nothing means success.
    """

    def __init__(self) -> None:
        self.plan: dict[str, list[Any]] = {}
        self.calls: list[tuple[str, str, list[str], bytes]] = []
        self.limits: dict[str, int] = {}
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def destination(self, envelope: Envelope, recipient: SpoolRecipient) -> str:
        """By domain."""
        return recipient.address.domain

    def limit(self, destination: str) -> int:
        """Two, unless the test says otherwise."""
        return self.limits.get(destination, 2)

    async def carry(
        self, destination: str, envelope: Envelope, recipients: Sequence[SpoolRecipient], body: Buffer, last: Last
    ) -> Sequence[Verdict]:
        """As planned."""
        self.calls.append((destination, envelope.id, [str(one.address) for one in recipients], body[:]))
        self.now[destination] = self.now.get(destination, 0) + 1
        self.most[destination] = max(self.most.get(destination, 0), self.now[destination])
        try:
            await last()
            plan = self.plan.get(destination)
            step: Any = plan.pop(0) if plan else DONE
            if isinstance(step, Deferred):
                step = await step
            if isinstance(step, Exception):
                raise step
            return step if isinstance(step, list) else [step] * len(recipients)
        finally:
            self.now[destination] -= 1

    async def close(self) -> None:
        """Nothing is kept."""


class RemoteContract(SpoolCase):
    """What both spools do with mail for other hosts."""

    def setUp(self) -> None:
        super().setUp()
        self.carrier = ScriptedCarrier()
        self.numbers = iter(range(1, 10**6))
        self.unknown: Exception | None = None

    async def addressees(self, address: Address) -> Sequence[SpoolRecipient]:
        """ann@example.org is here, example.org has nobody else, the rest is elsewhere."""
        if self.unknown is not None:
            raise self.unknown
        if address == ANN_HERE:
            return [ANN]
        if address.domain == "example.org":
            raise NotFound("nobody here")
        return [SpoolRecipient(ELSEWHERE, address)]

    def notices(self) -> Notices:
        """For a spool under test."""
        return Notices(
            "here.example.org", "example.org", self.addressees, lambda: f"n{next(self.numbers)}", self.now, 5 * 86_400
        )

    def carrying(self) -> Any:
        """A started spool with carrier and notices."""
        raise NotImplementedError

    def send(
        self, spool: Any, *recipients: SpoolRecipient, sender: Address | None = ANN_HERE, id: str = "one", **more: Any
    ) -> Accepted:
        """Have a message accepted."""
        accepted: Accepted = self.wait(spool.accept(Envelope(SpoolId(id), sender, recipients, **more), self.body()))
        return accepted

    def waiting(self, spool: Any) -> list[tuple[str, int, bool]]:
        """Who waits, after how many attempts, and whether held."""
        return [(one.recipient, one.attempts, one.held) for one in self.wait(spool.waiting())]

    def told(self) -> list[str]:
        """Notices that ann has got."""
        return [octets.decode() for key, octets in self.recorder.got.items() if key.startswith("n")]

    def status(self, notice: str) -> dict[str, str]:
        """The fields of a notice's last recipient and of its message."""
        part = notice.split("message/delivery-status\r\n\r\n")[1].split("\r\n--=")[0]
        return dict(re.findall(r"^([A-Za-z-]+): (.*?)\r?$", part, re.MULTILINE))

    def test_recipients_of_one_destination_go_together(self) -> None:
        """One transaction for each destination, and those here are delivered beside."""
        spool = self.carrying()
        far = [elsewhere("x@far.example"), elsewhere("y@far.example"), elsewhere("z@other.example")]
        accepted = self.send(spool, ANN, *far)
        self.successResultOf(accepted.delivered)
        self.assertEqual(
            sorted(self.carrier.calls),
            [
                ("far.example", "one", ["x@far.example", "y@far.example"], BODY),
                ("other.example", "one", ["z@other.example"], BODY),
            ],
        )
        self.assertEqual((list(self.recorder.got), self.waiting(spool)), (["one/a1"], []))

    def test_a_hundred_recipients_at_most_go_together(self) -> None:
        """More are several transactions."""
        spool = self.carrying()
        self.send(spool, *(elsewhere(f"u{n}@far.example") for n in range(250)))
        self.assertEqual([len(one[2]) for one in self.carrier.calls], [100, 100, 50])

    def test_each_recipient_has_its_own_fate(self) -> None:
        """One is done, one is tried again, one is told of."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [[DONE, LATER, NEVER]]
        self.send(spool, *(elsewhere(f"{name}@far.example") for name in "xyz"))
        self.assertEqual(self.waiting(spool), [("y@far.example", 1, False)])
        self.clock.advance(299)
        self.assertEqual(len(self.carrier.calls), 1)
        self.clock.advance(1)
        self.assertEqual(self.carrier.calls[1][2], ["y@far.example"])
        (notice,) = self.told()
        self.assertIn("<z@far.example>", notice)
        self.assertNotIn("y@far.example", notice)
        self.assertEqual(self.waiting(spool), [])

    def test_failure_notice(self) -> None:
        """RFC 3464: who, what the host said, and the header of the mail, from nobody."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [NEVER]
        self.send(spool, elsewhere("x@far.example", original="rfc822;X@far.example"), envelope_id="my id")
        (notice,) = self.told()
        fields = self.status(notice)
        self.assertEqual(fields["Original-Envelope-Id"], "my id")
        self.assertEqual(fields["Reporting-MTA"], "dns; here.example.org")
        self.assertEqual(fields["Original-Recipient"], "rfc822;X@far.example")
        self.assertEqual(fields["Final-Recipient"], "rfc822; x@far.example")
        self.assertEqual((fields["Action"], fields["Status"]), ("failed", "5.1.1"))
        self.assertEqual(fields["Remote-MTA"], "dns; mx.far.example")
        self.assertEqual(fields["Diagnostic-Code"], "smtp; 550 5.1.1 No such user")
        self.assertIn("Auto-Submitted: auto-replied", notice)
        self.assertIn("Subject: x", notice)
        self.assertNotIn(".dot", notice)
        self.assertEqual(self.waiting(spool), [])

    def test_notices_are_protected_as_the_mail_was(self) -> None:
        """RFC 8689 section 5."""
        spool = self.carrying()
        for require in (False, True):
            self.carrier.plan["far.example"] = [NEVER]
            self.send(spool, elsewhere("x@far.example"), id=f"m{require}", require_tls=require)
        self.assertEqual([one.require_tls for one in self.recorder.envelopes if one.sender is None], [False, True])

    def test_never_about_a_notice(self) -> None:
        """Mail without a sender that another host refuses is the end of it."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [NEVER]
        self.send(spool, elsewhere("x@far.example"), sender=None)
        self.assertEqual((self.told(), self.waiting(spool)), ([], []))

    def test_nobody_forged_is_told(self) -> None:
        """S16: a sender elsewhere that nothing speaks for gets nothing; the mail is kept for a person."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [NEVER, NEVER]
        eve = Address("eve", "victim.example")
        self.send(spool, elsewhere("x@far.example"), sender=eve)
        self.assertEqual([one[0] for one in self.carrier.calls], ["far.example"])
        self.assertEqual(self.waiting(spool), [("x@far.example", 1, True)])
        self.send(spool, elsewhere("x@far.example"), sender=eve, id="two", verified=True)
        self.assertEqual(self.carrier.calls[-1][2], ["eve@victim.example"])

    def test_sender_who_does_not_exist(self) -> None:
        """An address at our domain that nobody has."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [NEVER]
        self.send(spool, elsewhere("x@far.example"), sender=Address("nobody", "example.org"))
        self.assertEqual(self.waiting(spool), [("x@far.example", 1, True)])

    def test_directory_that_does_not_answer(self) -> None:
        """Whether there is anybody to tell cannot be known now: tried again later."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [NEVER, NEVER]
        self.unknown = TryLater("directory")
        self.send(spool, elsewhere("x@far.example"))
        self.assertEqual(self.waiting(spool), [("x@far.example", 1, False)])
        self.unknown = None
        self.clock.advance(300)
        self.assertEqual((len(self.told()), self.waiting(spool)), (1, []))

    def test_notify(self) -> None:
        """RFC 3461: NEVER is obeyed, FAILURE alone hears of no delay, SUCCESS is told unless the next host will."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [[NEVER, NEVER]]
        self.send(spool, elsewhere("x@far.example", "NEVER"), elsewhere("y@far.example", "SUCCESS"))
        self.assertEqual((self.told(), self.waiting(spool)), ([], []))
        passed = Verdict(Fate.DONE, "2.0.0", "taken", passed_on=True)
        self.carrier.plan["far.example"] = [[DONE, passed, DONE]]
        names = ("x", "SUCCESS,FAILURE"), ("y", "SUCCESS"), ("z", "FAILURE")
        self.send(spool, *(elsewhere(f"{name}@far.example", notify) for name, notify in names), id="two")
        (notice,) = self.told()
        self.assertIn("Final-Recipient: rfc822; x@far.example\r\nAction: relayed", notice)
        self.assertNotIn("y@far.example", notice)
        self.assertNotIn("z@far.example", notice)

    def test_success_notice_of_a_mailbox_here(self) -> None:
        """Delivered, in the same transaction that removes the row."""
        spool = self.carrying()
        self.send(spool, SpoolRecipient(ANN.account, ANN.address, "SUCCESS"))
        (notice,) = self.told()
        self.assertEqual((self.status(notice)["Action"], self.waiting(spool)), ("delivered", []))

    def test_refusal_of_a_mailbox_here(self) -> None:
        """A mailbox that refuses for good is told of with its reason."""
        spool = self.carrying()
        bob = SpoolRecipient(type(ANN.account)("b2"), Address("bob", "example.org"))
        self.recorder.plan[bob.account] = [NotPermitted("not wanted")]
        self.send(spool, bob)
        (notice,) = self.told()
        fields = self.status(notice)
        self.assertEqual((fields["Action"], fields["Status"]), ("failed", "5.7.1"))
        self.assertIn("not wanted", notice)

    def test_delay_is_told_once_and_expiry_once(self) -> None:
        """After four hours and after five days; some 130 attempts between."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [LATER] * 1000
        self.send(spool, elsewhere("x@far.example"))
        self.clock.pump([60] * (4 * 60 - 1))
        self.assertEqual(self.told(), [])
        self.clock.pump([60] * 62)
        (notice,) = self.told()
        self.assertEqual((self.status(notice)["Action"], self.status(notice)["Status"]), ("delayed", "4.4.1"))
        self.assertIn("Will-Retry-Until", notice)
        self.clock.pump([600] * (6 * 24 * 6))
        first, last = self.told()
        self.assertEqual((self.status(last)["Action"], self.status(last)["Status"]), ("failed", "5.4.7"))
        self.assertEqual(self.waiting(spool), [])
        self.assertTrue(115 <= len(self.carrier.calls) <= 135, len(self.carrier.calls))

    def test_a_host_that_never_confirms_gets_it_twice_at_most(self) -> None:
        """C30: after the second time the sender is told instead."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [UNSURE, LATER, UNSURE, UNSURE]
        self.send(spool, elsewhere("x@far.example"))
        self.clock.pump([600] * 100)
        self.assertEqual(len(self.carrier.calls), 3)
        self.assertIn("may have arrived", self.told()[0].replace("=\r\n", ""))
        self.assertEqual(self.waiting(spool), [])

    def test_slow_destination_holds_up_only_itself(self) -> None:
        """Two of its transactions hang; others and mailboxes here go on, and no more than two run."""
        spool = self.carrying()
        gates: list[Deferred[Verdict]] = [Deferred() for _ in range(5)]
        self.carrier.plan["slow.example"] = list(gates)
        for number in range(5):
            self.send(spool, elsewhere("x@slow.example"), id=f"s{number}")
        for number in range(5):
            self.send(spool, elsewhere("x@fast.example"), ANN, id=f"f{number}")
        self.assertEqual([one[0] for one in self.carrier.calls].count("fast.example"), 5)
        self.assertEqual(len(self.recorder.got), 5)
        self.assertEqual(self.carrier.most["slow.example"], 2)
        for gate in gates:
            gate.callback(DONE)
        self.assertEqual((self.waiting(spool), self.carrier.most["slow.example"]), ([], 2))

    def test_transactions_in_all_are_bounded(self) -> None:
        """A hundred at once, whatever the destinations; the next one begins when one ends."""
        spool = self.carrying()
        gates: list[Deferred[Verdict]] = [Deferred() for _ in range(130)]
        for number, gate in enumerate(gates):
            self.carrier.plan[f"d{number}.example"] = [gate]
            self.send(spool, elsewhere(f"x@d{number}.example"), id=f"m{number}")
        self.assertEqual(len(self.carrier.calls), 100)
        gates[0].callback(DONE)
        self.assertEqual(len(self.carrier.calls), 101)
        for gate in gates[1:]:
            gate.callback(DONE)
        self.assertEqual(self.waiting(spool), [])

    def test_bug_of_the_carrier_loses_nothing(self) -> None:
        """Logged, and tried again."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [ZeroDivisionError("bug")]
        self.send(spool, elsewhere("x@far.example"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.waiting(spool), [("x@far.example", 1, False)])
        self.clock.advance(300)
        self.assertEqual(self.waiting(spool), [])

    def test_hold_release_and_drop(self) -> None:
        """Held mail waits for a person; released it goes at once; dropped it is gone without a word."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [LATER, LATER]
        self.send(spool, elsewhere("x@far.example"), elsewhere("y@far.example"))
        self.assertEqual(self.wait(spool.hold(SpoolId("one"), "x@far.example")), 1)
        self.assertEqual(self.wait(spool.hold(SpoolId("other"))), 0)
        self.clock.advance(300)
        self.assertEqual(self.carrier.calls[1][2], ["y@far.example"])
        self.clock.pump([3600] * 200)
        self.assertEqual(self.waiting(spool), [("x@far.example", 1, True)])
        self.assertEqual(self.wait(spool.release(SpoolId("one"))), 1)
        self.assertEqual((self.carrier.calls[-1][2], self.waiting(spool)), (["x@far.example"], []))
        self.carrier.plan["far.example"] = [LATER]
        self.send(spool, elsewhere("x@far.example"), id="two")
        self.assertEqual(self.wait(spool.drop(SpoolId("two"))), 1)
        self.assertEqual((self.waiting(spool), self.wait(spool.count())), ([], 0))
        calls = len(self.carrier.calls)
        self.clock.pump([3600] * 10)
        self.assertEqual((len(self.carrier.calls), self.told()), (calls, []))

    def test_mail_that_is_being_delivered(self) -> None:
        """It cannot be dropped; held, it is not tried again when the attempt fails; released meanwhile, it is not doubled."""
        spool = self.carrying()
        gate: Deferred[Verdict] = Deferred()
        self.carrier.plan["far.example"] = [gate]
        self.send(spool, elsewhere("x@far.example"))
        self.failureResultOf(Deferred.fromCoroutine(spool.drop(SpoolId("one"))), InUse)
        self.wait(spool.release(SpoolId("one")))
        self.wait(spool.hold(SpoolId("one")))
        gate.callback(LATER)
        self.clock.pump([3600] * 10)
        self.assertEqual((len(self.carrier.calls), self.waiting(spool)), (1, [("x@far.example", 1, True)]))

    def test_hold_of_a_mailbox_here_during_its_delivery(self) -> None:
        """Who waits for the delivery is told once, whether it then succeeds or not, and released mail goes on."""
        for outcome in (None, OverQuota()):
            spool = self.carrying()
            gate: Deferred[None] = Deferred()
            self.recorder.plan[ANN.account] = [gate]
            accepted = self.send(spool, ANN, id=f"m{outcome}")
            self.wait(spool.hold(SpoolId(f"m{outcome}")))
            self.successResultOf(accepted.delivered)
            if outcome is None:
                gate.callback(None)
            else:
                gate.errback(outcome)
                self.assertEqual(self.waiting(spool), [("ann@example.org", 1, True)])
                self.wait(spool.release(SpoolId(f"m{outcome}")))
            self.clock.advance(1)
            self.assertEqual(self.waiting(spool), [])
            self.wait(spool.close())

    def test_bug_while_telling_the_sender_loses_nothing(self) -> None:
        """Logged; the mail is tried again later."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [NEVER, DONE]
        self.unknown = ZeroDivisionError("bug")
        self.send(spool, elsewhere("x@far.example"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.waiting(spool), [("x@far.example", 1, False)])
        self.clock.advance(300)
        self.assertEqual(self.waiting(spool), [])

    def test_without_a_carrier_mail_waits(self) -> None:
        """Nothing is lost when relaying is switched off."""
        spool = self.make()
        self.send(spool, elsewhere("x@far.example"))
        self.clock.pump([3600] * 30)
        self.assertEqual(self.waiting(spool), [("x@far.example", 0, False)])

    def test_close_waits_for_transactions(self) -> None:
        """And nothing new begins."""
        spool = self.carrying()
        self.carrier.limits["far.example"] = 1
        gate: Deferred[Verdict] = Deferred()
        self.carrier.plan["far.example"] = [gate]
        self.send(spool, elsewhere("x@far.example"))
        self.send(spool, elsewhere("x@far.example"), id="two")
        closed = Deferred.fromCoroutine(spool.close())
        self.assertNoResult(closed)
        gate.callback(DONE)
        self.successResultOf(closed)
        self.assertEqual((len(self.carrier.calls), self.clock.getDelayedCalls()), (1, []))

    def test_full_mailbox_here_is_told_late_and_at_the_end(self) -> None:
        """The sender hears of a mailbox that stays full, too."""
        spool = self.carrying()
        bob = SpoolRecipient(type(ANN.account)("b2"), Address("bob", "example.org"))
        self.recorder.plan[bob.account] = [OverQuota() for _ in range(1000)]
        self.send(spool, bob)
        self.clock.pump([600] * (6 * 24 * 6))
        self.assertEqual([self.status(one)["Action"] for one in self.told()], ["delayed", "failed"])


class MemoryRemoteTests(RemoteContract):
    """MemorySpool."""

    def make(self) -> MemorySpool:
        """Without a carrier."""
        return MemorySpool(self.recorder, self.clock, self.now, self.counters, self.recorder.forget)

    def carrying(self) -> MemorySpool:
        """With carrier and notices."""
        return MemorySpool(
            self.recorder,
            self.clock,
            self.now,
            self.counters,
            self.recorder.forget,
            carrier=self.carrier,
            notices=self.notices(),
        )


class SqliteRemoteTests(RemoteContract):
    """SqliteSpool, and what its file adds."""

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "spool.sqlite"
        self.trail = FileTrail(folder / "trail", 1 << 20, 30, self.now)
        self.trail.open()
        self.addCleanup(self.trail.close)

    def make(self) -> SqliteSpool:
        """Without a carrier."""
        return self._spool(None, None, 10_000)

    def carrying(self, in_hand: int = 10_000) -> SqliteSpool:
        """With carrier and notices; a second is what comes after a crash of the first."""
        return self._spool(self.carrier, self.notices(), in_hand)

    def _spool(self, carrier: ScriptedCarrier | None, notices: Notices | None, in_hand: int) -> SqliteSpool:
        spool = SqliteSpool(
            Database(self.path, MIGRATIONS, InlineWorkers(), InlineWorkers()),
            self.staging,
            self.recorder,
            self.clock,
            self.now,
            self.counters,
            self.recorder.forget,
            schedule=Schedule(),
            carrier=carrier,
            notices=notices,
            in_hand=in_hand,
            trail=self.trail,
        )
        self.wait(spool.start())
        return spool

    def crash(self) -> None:
        """Have everything that an earlier spool waits for never come."""
        for call in list(self.clock.getDelayedCalls()):
            call.cancel()

    def rows(self, table: str) -> int:
        """Rows of a table."""
        connection = sqlite3.connect(self.path)
        try:
            count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            return count
        finally:
            connection.close()

    def test_everything_outlives_a_crash(self) -> None:
        """Parameters, attempts, the count of broken ends, and that the sender has been told."""
        self.carrier.plan["far.example"] = [UNSURE] + [LATER] * 100
        seen: list[tuple[Envelope, Sequence[SpoolRecipient]]] = []
        carry = self.carrier.carry

        async def keep(
            destination: str, envelope: Envelope, recipients: Sequence[SpoolRecipient], body: Buffer, last: Last
        ) -> Any:
            seen.append((envelope, recipients))
            return await carry(destination, envelope, recipients, body, last)

        self.carrier.carry = keep  # type: ignore[method-assign]
        recipient = elsewhere("x@far.example", "DELAY,FAILURE", "rfc822;a")
        recipient = replace(recipient, via=Address("a b", "example.org"), sender=Address("srs=é", "example.org"))
        self.send(self.carrying(), recipient, returned="HDRS", envelope_id="é", utf8=True, verified=True, user="ann", **TLS)
        self.clock.pump([600] * 30)
        self.assertEqual(len(self.told()), 1)
        before = len(seen)
        later = self.carrying()
        self.clock.pump([600] * 30)
        self.assertGreater(len(seen), before)
        envelope, recipients = seen[-1]
        self.assertEqual((envelope.returned, envelope.envelope_id, envelope.utf8, envelope.verified), ("HDRS", "é", True, True))
        self.assertEqual({name: getattr(envelope, name) for name in TLS}, TLS)
        self.assertEqual((envelope.user, list(recipients), len(self.told())), ("ann", [recipient], 1))
        self.wait(later.hold(SpoolId("one")))
        self.carrier.plan["far.example"] = [UNSURE]
        self.wait(self.carrying().release(SpoolId("one")))
        self.assertEqual(len(self.told()), 2)

    def test_list_outlives_a_crash(self) -> None:
        """Its owner is told of a failure after it, as before."""
        self.carrier.plan["far.example"] = [Deferred(), NEVER]
        recipient = replace(elsewhere("x@far.example"), sender=ANN_HERE, listed=True)
        self.send(self.carrying(), recipient, sender=Address("e", "a.example"))
        self.crash()
        self.carrying()
        (notice,) = self.told()
        self.assertEqual(self.status(notice)["Final-Recipient"], "rfc822; x@far.example")

    def test_notice_and_rows_are_one_transaction(self) -> None:
        """A file that fails when a notice is written: the recipient waits on, and the notice comes once."""
        spool = self.carrying()
        settle, failures = spool.settle, []

        async def fail(changes: Any) -> Any:
            failures.append(changes)
            raise TryLater

        spool.settle = fail  # type: ignore[method-assign]
        self.carrier.plan["far.example"] = [NEVER, NEVER]
        self.send(spool, elsewhere("x@far.example"))
        self.assertEqual((len(failures), self.rows("recipients"), self.told()), (1, 1, []))
        spool.settle = settle  # type: ignore[method-assign]
        self.clock.advance(30)
        self.clock.advance(1)
        self.assertEqual((len(self.told()), self.rows("recipients"), self.rows("messages"), self.rows("chunks")), (1, 0, 0, 0))

    def test_crash_behind_the_reply_repeats_the_mail_once(self) -> None:
        """The row was not removed yet: the same mail goes again, under the same id."""
        spool = self.carrying()

        async def fail(changes: Any) -> Any:
            raise TryLater

        spool.settle = fail  # type: ignore[method-assign]
        self.send(spool, elsewhere("x@far.example"))
        self.carrying()
        self.assertEqual([one[1:3] for one in self.carrier.calls], [("one", ["x@far.example"])] * 2)
        self.assertEqual(self.rows("recipients"), 0)

    def test_crashes_before_a_reply_send_it_twice_at_most(self) -> None:
        """C30: the mark is on disk before the end is sent; the third run sends nothing and tells the sender."""
        for _ in range(2):
            self.carrier.plan["far.example"] = [Deferred()]
            spool = self.carrying()
            if not self.carrier.calls:
                self.send(spool, elsewhere("x@far.example"))
            self.crash()
        spool = self.carrying()
        self.assertEqual(len(self.carrier.calls), 2)
        (notice,) = self.told()
        self.assertEqual(self.status(notice)["Status"], "5.4.2")
        self.assertIn("may have arrived", notice.replace("=\r\n", ""))
        self.clock.advance(1)
        self.assertEqual((self.waiting(spool), self.rows("recipients")), ([], 0))

    def test_power_cut_leaves_no_more_than_one_doubt(self) -> None:
        """Marks of another run of the kernel: what could have been in an attempt counts as sent once, what waited does not."""
        self.carrier.plan["far.example"] = [Deferred(), Deferred()]
        self.carrier.plan["near.example"] = [LATER]
        spool = self.carrying()
        self.send(spool, elsewhere("x@far.example"))
        self.send(spool, elsewhere("y@near.example"), id="two")
        self.crash()
        marks = self.path.with_suffix(".marks")
        marks.write_bytes(marks.read_bytes()[:16] + b"another".ljust(48, b"\0") + bytes(8 * 4_096))
        self.carrying()
        self.crash()
        later = self.carrying()
        self.assertEqual([one[0] for one in self.carrier.calls], ["far.example", "near.example", "far.example"])
        self.assertEqual((len(self.told()), self.waiting(later)), (1, [("y@near.example", 1, False)]))
        self.clock.advance(400)
        self.assertEqual((len(self.told()), len(self.carrier.calls), self.waiting(later)), (1, 4, []))

    def test_marks_of_mail_that_is_gone(self) -> None:
        """A kill between the row's end and the marks' leaves nothing to the next mail, which gets the same number."""
        self.carrier.plan["far.example"] = [Deferred(), DONE, Deferred(), DONE]
        self.send(self.carrying(), elsewhere("x@far.example"))
        self.crash()
        with MonkeyPatcher((Marks, "clear", lambda marks, gone: None)):
            spool = self.carrying()
            self.assertEqual(self.waiting(spool), [])
        self.crash()
        self.send(self.carrying(), elsewhere("x@far.example"), id="two")
        self.crash()
        self.assertEqual(self.waiting(self.carrying()), [])
        self.assertEqual(([one[1] for one in self.carrier.calls], self.told()), (["one", "one", "two", "two"], []))

    def test_trail(self) -> None:
        """Each attempt with what the host said, what becomes of the mail, and the notices that tell of it."""
        self.carrier.plan["far.example"] = [LATER, DONE]
        self.carrier.plan["near.example"] = [NEVER]
        spool = self.carrying()
        self.send(spool, elsewhere("x@far.example", "SUCCESS"), elsewhere("y@near.example"))
        self.wait(spool.hold(SpoolId("one")))
        self.wait(spool.release(SpoolId("one")))
        self.clock.advance(1)
        steps = [(one.event, one.fields.get("recipient"), one.fields.get("mail")) for one in self.steps("one")]
        x = "x@far.example"
        self.assertEqual(
            sorted(steps),
            sorted(
                [
                    ("queued", None, None),
                    ("deferred", x, None),
                    ("failed", "y@near.example", None),
                    ("told", None, "n1"),
                    ("held", x, None),
                    ("released", x, None),
                    ("relayed", x, None),
                    ("told", None, "n2"),
                ]
            ),
        )
        by_event = {one.event: one.fields for one in self.steps("one")}
        self.assertEqual((by_event["relayed"]["host"], by_event["relayed"]["reply"]), ("mx.far.example", "250 2.0.0 Ok"))
        self.assertEqual((by_event["deferred"]["reason"], by_event["deferred"]["attempts"]), ("nobody answers", 1))
        self.assertEqual(by_event["failed"]["status"], "5.1.1")
        self.assertEqual([one.event for one in self.steps("n1")], ["made", "queued"])

    def steps(self, id: str) -> list[Step]:
        """What the trail says of a mail."""
        return steps_of(self.path.parent / "trail", [id])

    def test_more_marks_than_there_is_room_for(self) -> None:
        """Then they stand in the rows, and do as much."""
        self.patch(Marks, "put", lambda marks, keys: False)
        for _ in range(2):
            self.carrier.plan["far.example"] = [Deferred()]
            spool = self.carrying()
            if not self.carrier.calls:
                self.send(spool, elsewhere("x@far.example"))
            self.crash()
        self.carrying()
        self.assertEqual((len(self.carrier.calls), len(self.told())), (2, 1))

    def test_crashes_with_replies_between_them_count_for_nothing(self) -> None:
        """What was answered with 4xx did not arrive, however often we are killed while we wait for the next attempt."""
        self.carrier.plan["far.example"] = [LATER] * 20
        self.send(self.carrying(), elsewhere("x@far.example"))
        for _ in range(5):
            self.crash()
            self.carrying()
            self.clock.advance(2_000)
        self.crash()
        self.carrier.plan.clear()
        spool = self.carrying()
        self.clock.advance(3_700)
        self.clock.advance(1)
        self.assertEqual((self.waiting(spool), self.told(), self.rows("recipients")), ([], [], 0))

    def test_mark_that_cannot_be_written(self) -> None:
        """The mail is not sent; it waits, and counts as never sent."""
        spool = self.carrying()
        mark = spool.mark

        async def refuse(*pending: Any) -> None:
            raise TryLater("the disk is full")

        spool.mark = refuse  # type: ignore[method-assign]
        self.send(spool, elsewhere("x@far.example"))
        (waiting,) = self.wait(spool.waiting())
        self.assertEqual((waiting.recipient, waiting.attempts), ("x@far.example", 1))
        self.assertEqual(waiting.last_error, "spool: the disk is full")
        spool.mark = mark  # type: ignore[method-assign]
        self.clock.advance(300)
        self.assertEqual(self.waiting(spool), [])

    def test_release_while_another_is_delivered(self) -> None:
        """What was under way when it was asked for, and has been taken since, is not sent once more."""
        spool = self.carrying()
        taken: Deferred[Verdict] = Deferred()
        gate: Deferred[None] = Deferred()
        note = spool.note

        async def slow(*pending: Any) -> None:
            await gate
            await note(*pending)

        self.carrier.plan = {"near.example": [LATER], "far.example": [taken]}
        self.send(spool, elsewhere("y@near.example"), elsewhere("x@far.example"))
        spool.note = slow  # type: ignore[method-assign]
        released = Deferred.fromCoroutine(spool.release(SpoolId("one")))
        taken.callback(DONE)
        gate.callback(None)
        self.assertEqual(self.successResultOf(released), 2)
        self.clock.advance(1)
        self.assertEqual([one[0] for one in self.carrier.calls], ["near.example", "far.example", "near.example"])
        self.assertEqual(self.waiting(spool), [])

    def test_release_of_what_may_have_arrived(self) -> None:
        """Where nobody can be told it is held; a person who releases it wants it sent, and it is."""
        spool = self.carrying()
        self.carrier.plan["far.example"] = [UNSURE, UNSURE]
        self.send(spool, elsewhere("x@far.example"), sender=Address("eve", "forged.example"))
        self.clock.advance(400)
        self.assertEqual(self.waiting(spool), [("x@far.example", 2, True)])
        later = self.carrying()
        self.wait(later.release(SpoolId("one")))
        self.assertEqual((len(self.carrier.calls), self.waiting(later)), (3, []))

    def test_mail_beyond_what_memory_holds(self) -> None:
        """Ten in hand of a hundred: all of it is listed, held, dropped and, when its host is back, delivered once."""
        spool = self.carrying(in_hand=10)
        self.carrier.plan["far.example"] = [LATER] * 100
        for number in range(100):
            self.send(spool, elsewhere("x@far.example"), id=f"m{number}")
        self.assertLessEqual(len(spool._held), 20)
        self.assertEqual((len(self.waiting(spool)), self.wait(spool.count())), (100, 100))
        self.assertEqual(len(self.wait(spool.waiting(7))), 7)
        self.assertEqual(self.wait(spool.hold(SpoolId("m50"))), 1)
        self.assertEqual(self.wait(spool.drop(SpoolId("m51"))), 1)
        later = self.carrying(in_hand=10)
        self.assertEqual(self.wait(later.count()), 99)
        self.carrier.plan.clear()
        self.carrier.calls.clear()
        self.clock.pump([10] * 200)
        self.assertEqual(self.waiting(later), [("x@far.example", 1, True)])
        self.assertEqual(sorted(one[1] for one in self.carrier.calls), sorted(f"m{n}" for n in range(100) if n not in (50, 51)))
        self.wait(later.release(SpoolId("m50")))
        self.clock.pump([10] * 3)
        self.assertEqual((len(self.carrier.calls), self.rows("messages")), (99, 0))

    def test_first_schema_is_taken_on(self) -> None:
        """A file of the first version, with mail in it, is delivered by this one."""
        first = Database(self.path, MIGRATIONS[:1], InlineWorkers(), InlineWorkers())
        self.successResultOf(first.open())

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO messages VALUES (1, 'old', 'eve@example.com', '', 1, 4)")
            connection.execute("INSERT INTO chunks VALUES (65536, X'61620D0A')")
            connection.execute("INSERT INTO recipients (key, account, address) VALUES (65536, 'a1', 'ann@example.org')")

        self.successResultOf(first.write(write))
        self.successResultOf(first.close())
        self.carrying()
        self.assertEqual(self.recorder.got, {"old/a1": b"ab\r\n"})


del RemoteContract
