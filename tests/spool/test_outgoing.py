"""Destinations and their turns: many dead ones do not hold up those that live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.core.counters import Counters
from launcelot.message.address import Address
from launcelot.spool.interface import ELSEWHERE, Envelope, Fate, Last, SpoolId, SpoolRecipient, Verdict
from launcelot.spool.memory import MemorySpool
from launcelot.spool.outgoing import AT_ONCE, MOST, PATIENCE
from launcelot.spool.schedule import Schedule
from launcelot.workers.staging import Buffer
from tests.spool.contract import SpoolCase

DONE = Verdict(Fate.DONE, "2.0.0", "taken")
DEAD = Verdict(Fate.LATER, "4.4.1", "does not answer")
GREY = Verdict(Fate.LATER, "4.7.1", "come again")
TIMEOUT = 30.0


class Network:
    """
    A carrier to domains that answer at once, after a while, or never.

    :ivar slow: seconds that a domain takes, by its name's beginning; ``dead`` ones are given up then.
    """

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.slow: dict[str, float] = {"dead": TIMEOUT}
        self.verdicts: dict[str, Verdict] = {"dead": DEAD}
        self.taken: list[tuple[float, str]] = []
        self.running = 0
        self.most = 0

    def destination(self, envelope: Envelope, recipient: SpoolRecipient) -> str:
        """The domain."""
        return recipient.address.domain

    def limit(self, destination: str) -> int:
        """As the relay has it for those that have not answered."""
        return 2

    async def carry(
        self, destination: str, envelope: Envelope, recipients: Sequence[SpoolRecipient], body: Buffer, last: Last
    ) -> Sequence[Verdict]:
        """Take the time it takes."""
        kind = destination.rstrip("0123456789.example")
        self.running += 1
        self.most = max(self.most, self.running)
        wait: Deferred[None] = Deferred()
        self.clock.callLater(self.slow.get(kind, 0.0), wait.callback, None)
        await wait
        self.running -= 1
        verdict = self.verdicts.get(kind, DONE)
        if verdict is DONE:
            await last()
            self.taken.append((self.clock.seconds(), destination))
        return [verdict] * len(recipients)

    async def close(self) -> None:
        """Nothing is kept."""


class CrowdTests(SpoolCase):
    """A courier between many hosts."""

    def setUp(self) -> None:
        super().setUp()
        self.network = Network(self.clock)
        self.spool = MemorySpool(
            self.recorder, self.clock, self.now, Counters(), self.recorder.forget, Schedule(), carrier=self.network
        )
        self.sent = 0

    def send(self, *domains: str) -> None:
        """A mail to each."""
        for domain in domains:
            self.sent += 1
            recipient = SpoolRecipient(ELSEWHERE, Address("x", domain))
            envelope = Envelope(SpoolId(f"m{self.sent}"), Address("ann", "example.org"), (recipient,))
            self.wait(self.spool.accept(envelope, self.body()))

    def pass_by(self, seconds: float) -> None:
        """Time, in small steps."""
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def dead(self, count: int, mails: int = 1) -> list[str]:
        """Hosts that do not answer."""
        return [f"dead{number}.example" for number in range(count)] * mails

    def test_one_behind_three_hundred_dead(self) -> None:
        """It waits a few seconds, not until those before it have been given up."""
        began = self.clock.seconds()
        self.send(*self.dead(300, 2), "live.example")
        self.pass_by(3 * PATIENCE + 1)
        self.assertEqual([domain for _, domain in self.network.taken], ["live.example"])
        self.assertLess(self.network.taken[0][0] - began, TIMEOUT / 3)
        self.pass_by(8 * TIMEOUT)
        self.assertLessEqual(self.network.most, MOST)
        self.assertEqual(self.network.running, 0)

    def test_known_dead_come_behind(self) -> None:
        """A thousand that were out of reach before are tried again together: other mail passes them at once."""
        self.send(*self.dead(1_000))
        self.pass_by(4 * TIMEOUT)
        self.assertEqual(self.network.running, 0)
        self.clock.advance(400 - 4 * TIMEOUT)
        self.pass_by(8)
        self.assertGreater(self.network.running, AT_ONCE // 2)
        began = self.clock.seconds()
        self.send(*[f"live{number}.example" for number in range(200)])
        self.clock.advance(0)
        self.pass_by(1)
        self.assertEqual(len(self.network.taken), 200)
        self.assertEqual({moment for moment, _ in self.network.taken}, {began})
        self.pass_by(8 * TIMEOUT)
        tried = [one.attempts for one in self.wait(self.spool.waiting())]
        self.assertEqual((len(tried), min(tried), max(tried)), (1_000, 2, 2))

    def test_known_dead_do_not_take_all(self) -> None:
        """Half of what there is at most."""
        self.send(*self.dead(1_000))
        self.pass_by(4 * TIMEOUT)
        self.network.most = 0
        self.clock.advance(400 - 4 * TIMEOUT)
        self.pass_by(2 * TIMEOUT)
        self.assertGreater(self.network.most, AT_ONCE // 2)
        self.assertLessEqual(self.network.most, MOST // 2)

    def test_who_answers_again_is_like_others(self) -> None:
        """And who refuses for now was never out of reach."""
        self.network.verdicts["grey"] = GREY
        self.send("dead1.example", "grey.example")
        self.pass_by(TIMEOUT + 1)
        outgoing = self.spool._courier._outgoing
        assert outgoing is not None
        self.assertEqual(list(outgoing._doubted), ["dead1.example"])
        self.network.verdicts["dead"] = DONE
        self.pass_by(360)
        self.assertEqual(list(outgoing._doubted), [])

    def test_slow_ones_make_room_but_not_without_end(self) -> None:
        """As many as are prompt at once; more only as those take long; never more than there may be."""
        self.network.slow["slow"] = 1_000.0
        self.send(*[f"slow{number}.example" for number in range(600)])
        self.assertEqual(self.network.running, AT_ONCE)
        self.pass_by(PATIENCE - 0.25)
        self.assertEqual(self.network.running, AT_ONCE)
        self.pass_by(0.25)
        self.assertEqual(self.network.running, 2 * AT_ONCE)
        self.pass_by(60)
        self.assertEqual(self.network.running, MOST)
        self.pass_by(2_100)
        self.assertEqual(len(self.network.taken), 600)

    def test_few_descriptors(self) -> None:
        """As many as whoever makes the spool says, whatever is usual; and known dead ones have half of them."""
        forget = self.recorder.forget
        self.spool = MemorySpool(
            self.recorder, self.clock, self.now, Counters(), forget, Schedule(), carrier=self.network, transactions=6
        )
        self.send(*self.dead(40))
        self.pass_by(10 * TIMEOUT)
        self.assertEqual(self.network.most, 6)
        self.network.most = 0
        self.clock.advance(700)
        self.pass_by(TIMEOUT)
        self.assertEqual(self.network.most, 3)

    def test_quick_ones_are_counted_out(self) -> None:
        """A thousand quick mails behind one that is slow: never more than there may be, and all of them soon."""
        self.network.slow |= {"slow": 100.0, "quick": 0.25}
        self.send("slow.example", *[f"quick{number}.example" for number in range(1_000)])
        self.pass_by(4)
        self.assertEqual(len(self.network.taken), 1_000)
        self.assertLessEqual(self.network.most, AT_ONCE + 1)
        self.pass_by(100)

    def test_close_ends_the_timer(self) -> None:
        """Nothing is left on the clock by what waits for room."""
        self.network.slow["slow"] = 5.0
        self.send(*[f"slow{number}.example" for number in range(2 * AT_ONCE)])
        closing = Deferred.fromCoroutine(self.spool.close())
        self.pass_by(6)
        self.assertIsNone(self.successResultOf(closing))
        self.assertEqual(len(self.network.taken), AT_ONCE)
