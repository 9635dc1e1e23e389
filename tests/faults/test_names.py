"""C13: a DNS that is dead, refuses or answers late holds up neither mail that comes in nor other mail that goes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.impatience import QUIET, SILENCE, Impatient
from launcelot.checks.names import Exchange, NoAnswer, NoSuchName
from launcelot.checks.running import Checks
from launcelot.checks.spf import Spf
from launcelot.core.counters import Counters
from tests.protocols.smtp.support import ENVELOPE, STUFFED, SmtpCase


class LateNames:
    """
    Answers when it is told to.

    :ivar kept: what waits, in the order in which it was asked.
    :ivar probes: likewise, of questions whether anybody is there.
    """

    def __init__(self) -> None:
        self.kept: list[Deferred[Any]] = []
        self.probes: list[Deferred[Any]] = []

    async def _wait(self, name: str = "") -> Any:
        waits: Deferred[Any] = Deferred()
        (self.probes if name.endswith(".invalid") else self.kept).append(waits)
        return await waits

    async def exchanges(self, domain: str) -> Sequence[Exchange]:
        """Later."""
        return await self._wait()  # type: ignore[no-any-return]

    async def addresses(self, host: str) -> Sequence[str]:
        """Later."""
        return await self._wait(host)  # type: ignore[no-any-return]

    async def texts(self, name: str) -> Sequence[bytes]:
        """Later."""
        return await self._wait()  # type: ignore[no-any-return]

    async def pointers(self, name: str) -> Sequence[str]:
        """Later."""
        return await self._wait()  # type: ignore[no-any-return]


class ImpatientTests(SynchronousTestCase):
    """Who waits for what, and for how long."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.late = LateNames()
        self.names = Impatient(self.late, self.clock, Counters())

    def ask(self) -> Deferred[Any]:
        """A question."""
        return Deferred.fromCoroutine(self.names.texts("x.example"))

    def test_answers_pass(self) -> None:
        """Of each kind; and so do errors that come in time."""
        for method in (self.names.exchanges, self.names.addresses, self.names.texts, self.names.pointers):
            asked = Deferred.fromCoroutine(method("x.example"))
            self.late.kept.pop().callback(["answer"])
            self.assertEqual(self.successResultOf(asked), ["answer"])
        for error in (NoSuchName("x"), NoAnswer("SERVFAIL")):
            asked = self.ask()
            self.clock.advance(0.5)
            self.late.kept.pop().errback(error)
            self.failureResultOf(asked, type(error))
        self.clock.advance(100)
        self.assertFalse(self.names.is_silent)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silence(self) -> None:
        """After a second without an answer nobody waits any more; one question is asked all the same."""
        asked = [self.ask()]
        self.clock.advance(QUIET)
        asked.append(self.ask())
        self.clock.advance(SILENCE - QUIET)
        for one in asked:
            self.failureResultOf(one, NoAnswer)
        for _ in range(10):
            self.failureResultOf(self.ask(), NoAnswer)
        self.assertEqual(len(self.late.kept), 2)
        self.clock.advance(14)
        for waits in [*self.late.kept, *self.late.probes]:
            waits.errback(NoAnswer("timed out"))
        self.late.kept.clear()
        self.assertTrue(self.names.is_silent)
        for _ in range(10):
            self.failureResultOf(self.ask(), NoAnswer)
        self.assertEqual(len(self.late.kept), 1)

    def test_it_is_noticed_when_it_answers_again(self) -> None:
        """Late answers count, too; from then on everybody waits as before."""
        first = self.ask()
        self.clock.advance(SILENCE)
        self.failureResultOf(first, NoAnswer)
        self.late.kept.pop().callback([b"late"])
        self.assertFalse(self.names.is_silent)
        asked = self.ask()
        self.clock.pump([QUIET, SILENCE - QUIET - 0.1])
        self.assertNoResult(asked)
        self.late.kept.pop().callback([b"in time"])
        self.assertEqual(self.successResultOf(asked), [b"in time"])

    def test_slow_name_of_a_dns_that_is_there(self) -> None:
        """It says so of a name that cannot exist, less and less often; whoever waits goes on."""
        asked = self.ask()
        probes = 0
        for _ in range(150):
            self.clock.advance(0.1)
            while self.late.probes:
                self.late.probes.pop().errback(NoSuchName("x"))
                probes += 1
        self.assertNoResult(asked)
        self.assertLess(probes, 7)
        self.clock.pump([0.1] * 120)
        self.failureResultOf(asked, NoAnswer)
        self.assertTrue(self.names.is_silent)
        self.late.probes.pop().errback(NoSuchName("x"))
        self.assertFalse(self.names.is_silent)

    def test_one_slow_name_among_others(self) -> None:
        """While others are answered, whoever asks for a slow one waits for it."""
        slow = self.ask()
        for _ in range(20):
            self.clock.advance(0.5)
            quick = self.ask()
            self.late.kept.pop().callback([b"quick"])
            self.successResultOf(quick)
        self.assertNoResult(slow)
        self.late.kept.pop().errback(NoAnswer("timed out"))
        self.failureResultOf(slow, NoAnswer)
        self.assertFalse(self.names.is_silent)


class InboundTests(SmtpCase):
    """Mail from strangers whose SPF nobody can tell."""

    def test_mail_is_not_held_up(self) -> None:
        """The first waits a second, the next ones not at all, and all are taken."""
        names = Impatient(LateNames(), self.world.clock, self.world.site.counters)
        self.world.site.checks = Checks([Spf(names, False)], self.world.clock, self.world.site.counters)
        for number, wait in ((1, SILENCE), (2, 0.0), (3, 0.0)):
            link = self.connect(source="192.0.2.3")
            link.say(ENVELOPE + b"DATA\r\n")
            self.world.advance(wait)
            self.assertEqual(link.take().splitlines()[-1:], [b"354 End data with <CRLF>.<CRLF>"])
            self.assertEqual(self.codes(link, STUFFED + b".\r\n"), [250])
            self.assertEqual(len(self.inbox()), number)

    def test_mail_that_must_be_judged_comes_again(self) -> None:
        """Where SPF decides, the peer is told so at once."""
        names = Impatient(LateNames(), self.world.clock, self.world.site.counters)
        self.world.site.checks = Checks([Spf(names, True)], self.world.clock, self.world.site.counters)
        for wait in (SILENCE, 0.0):
            link = self.connect(source="192.0.2.3")
            link.say(b"EHLO x\r\nMAIL FROM:<eve@example.com>\r\n")
            self.world.advance(wait)
            self.assertEqual(link.take().splitlines()[-1][:9], b"450 4.4.3")
