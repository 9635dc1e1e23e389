"""
For Trial: :class:`WorldMixin` beside ``SynchronousTestCase`` or ``TestCase``.

::

    class OutboxTests(WorldMixin, SynchronousTestCase):
        def test_arrives(self):
            world = self.world()
            world.add_user("ann")
            smtp = world.serve("smtp", host="mx.test", port=25)
            Outbox(world.reactor).send("tcp:mx.test:25", to="ann@test")
            world.advance(1)
            self.assertDelivered(world, to="ann@test")

Names are as Trial's own.  At the end of a test everything it was given is closed, and it fails with whatever it has left behind;
see :mod:`launcelot.testing.leaks`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from launcelot.testing.certificates import Certificates
from launcelot.testing.cuts import Kind, Table, every_cut
from launcelot.testing.dialogue import fits
from launcelot.testing.evidence import Keep, evidence
from launcelot.testing.golden import Golden, mode_of
from launcelot.testing.leaks import Deferreds, ProcessReactor, Threads, collect
from launcelot.testing.link import Pair, every_split
from launcelot.testing.matching import Wanted
from launcelot.testing.messages import Wish
from launcelot.testing.services import HOST
from launcelot.testing.site import Known, World
from launcelot.testing.transcript import Transcript, shown
from launcelot.testing.worlds import TrialWorld

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as Case
else:
    Case = object


class WorldMixin(Case):
    """What a test case needs to have a world; goes before Trial's class."""

    _worlds: list[TrialWorld] | None = None

    # -- having ----------------------------------------------------------------------------------------------------

    def world(self, tls: bool = False, **options: Any) -> TrialWorld:
        """
        A memory network, a clock and a Site, for this test.

        :param tls: whether there is a certificate.
        :param options: ``domain``, ``hostname``, ``seed``, and ``relays`` for one that sends mail to other hosts, with
            settings of ``[relay]`` if it is not only True.
        """
        worlds = self._watch()
        world = TrialWorld(tls, **options)
        worlds.append(world)
        return world

    def beside(self, world: TrialWorld, domain: str, hostname: str, **options: Any) -> TrialWorld:
        """Another Site in a world's network; see :meth:`TrialWorld.beside`."""
        other = world.beside(domain, hostname, **options)
        self._watch().append(other)
        return other

    def pair(self, clientFactory: Any, serverFactory: Any, tls: bool = False) -> Pair[Any, Any]:
        """Two protocols of the user's, connected, in a world of their own; see :meth:`TrialWorld.pair`."""
        return self.world().pair(clientFactory, serverFactory, tls)

    def _watch(self) -> list[TrialWorld]:
        """Begin to watch for leaks, once in a test."""
        if self._worlds is None:
            self._worlds = []
            watchers = (Deferreds(), Threads(), ProcessReactor())
            for one in watchers:
                one.begin(self.patch)
            self.addCleanup(self._leave, self._worlds, watchers)
        return self._worlds

    def _leave(self, worlds: list[TrialWorld], watchers: Sequence[Any]) -> None:
        self._worlds = None
        left = [line for world in worlds for line in world.leave()]
        left += [line for one in watchers for line in one.end()]
        collect()
        if left:
            counts = Counter(left)
            lines = [line if times == 1 else f"{line} ({times} times)" for line, times in counts.items()]
            raise self.failureException("\n".join(["left behind:", *lines]))

    # -- claiming --------------------------------------------------------------------------------------------------

    def assertDelivered(
        self, world: World, to: Wanted = None, subject: Wanted = None, text: Wanted = None, times: int = 1
    ) -> None:
        """Claim that so much mail of some kind has arrived, no more and no less."""
        wish = Wish(to=to, subject=subject, text=text)
        found = world.post.matching(wish, hidden=True)
        if len(found) != times:
            taps: Any = getattr(world, "taps", None)
            transcripts = [] if taps is None else list(taps.transcripts)
            still = [] if taps is None else [(tap.transcript, tap.age) for tap in taps.open]
            lines = evidence(wish, world.post.matching(Wish(), hidden=True), transcripts, still, Keep(self._wire))
            raise self.failureException(
                "\n".join([f"mail with {wish} has arrived {len(found)} times, not {times}", *lines])
            )

    def _wire(self) -> Path:
        """A folder for transcripts, which Trial keeps until its next run."""
        make: Callable[[], str] = self.mktemp
        folder = Path(make())
        folder.mkdir(parents=True)
        return folder

    def assertWire(self, where: Any, *lines: str | EllipsisType) -> None:
        """
        Claim that a connection went so.

        :param where: a transcript, a pair, or a service, whose last connection is meant.
        :param lines: as in :attr:`Transcript.text`, in a row; one that ends in ``*`` stands for any that begins so, and ``...``
            between two for any number of others.
        """
        transcript = _transcript(where)
        said = list(transcript.lines())
        if not _found(said, lines):
            wanted = ["  ..." if line is ... else f"  {line}" for line in lines]
            raise self.failureException("\n".join(["the connection did not go so:", *wanted, "but so:", str(transcript)]))

    def assertGolden(self, where: Any, path: str | Path) -> None:
        """
        Claim that a connection went as a golden file has it; ``LAUNCELOT_GOLDEN=update`` in the environment writes it anew.

        :param where: as of :meth:`assertWire`.
        :param path: of the file; relative ones begin at the folder of the test's module.
        """
        module = sys.modules[type(self).__module__]
        folder = Path(module.__file__ or "").parent
        Golden(folder, mode_of()).compare(str(path), list(_transcript(where).lines()))

    def assertEverySplit(self, octets: bytes, feed: Callable[[Sequence[bytes]], object]) -> None:
        """
        Claim that it makes no difference in which pieces octets arrive: whole, one by one, or in two, split anywhere.

        :param feed: gives pieces to a fresh parser or protocol, and says what that made of them.
        """
        wanted = feed([octets])
        self._compare(wanted, feed, [octets[at : at + 1] for at in range(len(octets))], "one by one")
        for first, second in every_split(octets):
            if first and second:
                where = f"split behind {shown(first[-20:], True)!r}, before {shown(second[:20], True)!r}"
                self._compare(wanted, feed, [first, second], where)

    def _compare(self, wanted: object, feed: Callable[[Sequence[bytes]], object], pieces: Sequence[bytes], where: str) -> None:
        got = feed(pieces)
        if got != wanted:
            raise self.failureException(f"{where}: {got!r}, but whole: {wanted!r}")

    def assertEveryCut(
        self,
        run: Callable[[TrialWorld], object],
        allowed: Collection[str],
        kinds: Collection[str] = ("fin", "rst"),
        tls: bool = False,
        step: int = 1,
    ) -> Table:
        """
        Claim that however a connection is lost, one of the allowed things comes of it.

        :param run: plays a dialogue in a world of its own and says in a word or two what came of it.  It is called once whole,
            and then with a connection that ends at each octet, in either direction.
        :param kinds: how it ends: ``"fin"`` for both sides at once, ``"rst"``, or ``"stall"``: nothing moves any more.
        :param step: 1 for each octet, more for one in so many.
        :returns: what came of each cut; ``str`` of it is for people.
        """
        self._watch()

        known: Known = {}
        certificates: bool | Certificates = Certificates("here.test", "localhost", HOST) if tls else False

        def make() -> TrialWorld:
            return TrialWorld(certificates, known=known)

        def closed(world: TrialWorld) -> object:
            try:
                return run(world)
            finally:
                world.leave()

        table = every_cut(make, closed, [Kind(kind) for kind in kinds], step=step)
        bad = table.other_than(allowed)
        if bad or table.whole not in allowed:
            first = "the whole run" if not bad else str(bad[0][0])
            raise self.failureException(f"{len(bad)} cuts end in what is not allowed, first {first}:\n{table.report()}")
        return table


def _transcript(where: Any) -> Transcript:
    if isinstance(where, Transcript):
        return where
    if isinstance(where, Pair) and where.transcript is not None:
        return where.transcript
    found: Transcript = where.transcripts[-1]
    return found


def _found(said: Sequence[str], lines: Sequence[str | EllipsisType]) -> bool:
    """Whether the lines are there: each run between two ``...`` in a row, the runs in order."""
    runs: list[list[str]] = [[]]
    for line in lines:
        if isinstance(line, str):
            runs[-1].append(line)
        else:
            runs.append([])
    at = 0
    for run in runs:
        while not (len(said) - at >= len(run) and all(fits(want, one) for want, one in zip(run, said[at:], strict=False))):
            at += 1
            if at > len(said):
                return False
        at += len(run)
    return True
