"""
C10: the wall clock jumps while mail waits; timers run on a clock of their own, and kept times are not believed blindly.
"""

from __future__ import annotations

from pathlib import Path

from launcelot.core.errors import TryLater
from launcelot.core.ids import AccountId
from launcelot.spool.interface import Envelope, SpoolId, SpoolRecipient
from launcelot.spool.notices import Notices
from launcelot.spool.schedule import LEAST_ATTEMPTS, Schedule
from launcelot.spool.sqlite import MIGRATIONS, SqliteSpool
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
from tests.spool.contract import ANN, SpoolCase
from tests.spool.test_remote import ANN_HERE, LATER, ScriptedCarrier, elsewhere

MAILS = 50
HOUR, DAY = 3_600.0, 86_400.0
YEAR_2038 = 2_147_558_400.0


class ClockTests(SpoolCase):
    """Fifty mails to a host that is down, one to a mailbox that is full."""

    def setUp(self) -> None:
        super().setUp()
        self.jumped = 0.0
        self.carrier = ScriptedCarrier()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "spool.sqlite"

    def now(self) -> float:
        """The wall clock, wherever it has jumped to."""
        return super().now() + self.jumped

    async def addressees(self, address: object) -> list[SpoolRecipient]:
        """Whoever is told is ann."""
        return [ANN]

    def spool(self) -> SqliteSpool:
        """A fresh one on the file."""
        fresh = f"n{self.clock.seconds()}-{{}}".format
        numbers = iter(range(10_000))
        notices = Notices("x.example", "example.org", self.addressees, lambda: fresh(next(numbers)), self.now, 5 * DAY)
        database = Database(self.path, MIGRATIONS, InlineWorkers(), InlineWorkers())
        made = SqliteSpool(
            database, self.staging, self.recorder, self.clock, self.now, self.counters, self.recorder.forget,
            schedule=Schedule(notice_after=0), carrier=self.carrier, notices=notices,
        )  # fmt: skip
        self.wait(made.start())
        return made

    def fill(self, spool: SqliteSpool) -> None:
        """The host and the mailbox fail for a long time."""
        self.carrier.plan["far.example"] = [LATER] * 10_000
        self.recorder.plan[AccountId("b2")] = [TryLater("full")] * 10_000
        here = SpoolRecipient(AccountId("b2"), ANN_HERE)
        for number in range(MAILS):
            recipient = here if number == 0 else elsewhere("x@far.example")
            self.wait(spool.accept(Envelope(SpoolId(f"m{number}"), ANN_HERE, (recipient,)), self.body()))

    def mend(self) -> None:
        """They are well again."""
        self.carrier.plan.clear()
        self.recorder.plan.clear()

    def run_for(self, seconds: float) -> int:
        """Let time pass; the most attempts within one step of ten seconds."""
        most = 0
        for _ in range(int(seconds / 10)):
            before = len(self.carrier.calls)
            self.clock.advance(10)
            most = max(most, len(self.carrier.calls) - before)
        return most

    def jumps(self) -> list[float]:
        """By how much; the last two to 1970 and to 2038."""
        return [HOUR, -HOUR, DAY, -DAY, -self.now(), YEAR_2038 - self.now()]

    def test_jump_while_mail_waits(self) -> None:
        """No storm, no freeze, nobody told that his mail is too old; when all is well all arrives within the longest pause."""
        for jump in self.jumps():
            self.setUp()
            spool = self.spool()
            self.fill(spool)
            self.run_for(600)
            before = len(self.carrier.calls)
            self.jumped = jump
            self.clock.advance(0)
            self.clock.advance(1)
            self.assertEqual(len(self.carrier.calls), before, "no attempt because of the jump")
            self.run_for(1.8 * HOUR)
            self.assertLessEqual(len(self.carrier.calls), MAILS * LEAST_ATTEMPTS)
            self.mend()
            self.run_for(1.2 * HOUR)
            self.assertEqual(self.wait(spool.waiting()), [], jump)
            self.assertEqual(sorted(self.recorder.got), ["m0/b2"], jump)
            self.wait(spool.close())

    def test_restart_after_a_jump(self) -> None:
        """What the file says of times is from another age: all is tried within the longest pause all the same."""
        for jump in self.jumps():
            self.setUp()
            spool = self.spool()
            self.fill(spool)
            self.run_for(1_000)
            self.wait(spool.close())
            self.jumped = jump
            self.mend()
            spool = self.spool()
            self.run_for(1.2 * HOUR)
            self.assertEqual(self.wait(spool.waiting()), [], jump)
            self.assertEqual(sorted(self.recorder.got), ["m0/b2"], jump)
            self.wait(spool.close())

    def test_too_old_only_after_some_attempts(self) -> None:
        """A clock that says the mail is years old is not believed before six attempts have failed; then the sender is told."""
        spool = self.spool()
        self.fill(spool)
        self.jumped = YEAR_2038 - self.now()
        self.run_for(2 * HOUR)
        self.assertEqual(len(self.wait(spool.waiting())), MAILS)
        self.run_for(HOUR)
        self.assertEqual(self.wait(spool.waiting()), [])
        self.wait(spool.close())
