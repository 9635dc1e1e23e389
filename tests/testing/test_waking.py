"""The network in memory moves those ends only that may have something to do, and nobody can tell."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from launcelot.testing.cuts import Cut, CutFuse, Kind, Way
from launcelot.testing.network import MemoryNetwork, MemoryPort
from launcelot.testing.transport import PIPE, MemoryTransport


class PlainNetwork(MemoryNetwork):
    """The network as it is most simply written: every end takes a step in every round."""

    def wake(self, end: MemoryTransport) -> None:
        """They all are."""

    def _move_ends(self) -> bool:
        moved = False
        for end in self.open_ends:
            moved = end._step() or moved
        return moved


class Talker(Protocol):
    """Writes down what happens to it, and now and then does something about it."""

    def __init__(self, name: str, scene: Scene) -> None:
        self.name = name
        self._scene = scene

    @property
    def end(self) -> Any:
        """The transport."""
        return self.transport

    def note(self, what: str) -> None:
        """Write it down."""
        self._scene.log.append(f"{self._scene.clock.seconds():g} {self.name} {what}")

    def connectionMade(self) -> None:
        self.note("made")

    def dataReceived(self, data: bytes) -> None:
        self.note(f"heard {len(data)}")
        self._scene.react(self)

    def readConnectionLost(self) -> None:
        """The other side has said all."""
        self.note("read ended")

    def writeConnectionLost(self) -> None:
        """We have."""
        self.note("write ended")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.note(f"lost {type(reason.value).__name__}")
        self._scene.react(self)


class Producer:
    """Makes some pieces, by being pushed or pulled; now and then it has none when it is pulled."""

    def __init__(self, talker: Talker, pieces: int, random: Random) -> None:
        self._talker = talker
        self._left = pieces
        self._random = random

    def resumeProducing(self) -> None:
        """Make one."""
        self._talker.note("resumed")
        if self._random.random() < 0.1:
            return
        if self._left:
            self._left -= 1
            self._talker.end.write(bytes(self._random.choice((1, 1_000, PIPE))))
        if not self._left:
            self._talker.end.unregisterProducer()

    def pauseProducing(self) -> None:
        """Noted."""
        self._talker.note("paused")

    def stopProducing(self) -> None:
        """Noted."""
        self._talker.note("stopped")


class Scene:
    """
    Connections to which things happen, the same for the same seed.

    :ivar calm: nobody does anything of himself.
    """

    def __init__(self, kind: type[MemoryNetwork], seed: int) -> None:
        self.clock = Clock()
        self.log: list[str] = []
        self.talkers: list[Talker] = []
        self.calm = False
        self._network = kind(self.clock)
        self._random = Random(seed)

    def talker(self) -> Talker:
        """One more; every other one minds half-closes."""
        made = Talker(f"#{len(self.talkers)}", self)
        if len(self.talkers) % 4 > 1:
            directlyProvides(made, IHalfCloseableProtocol)
        self.talkers.append(made)
        return made

    def connect(self) -> None:
        """Two more, connected; one alone, if nobody wants it."""
        wanted = self.calm or self._random.random() < 0.9
        made = self.talker()
        factory: Any = Factory()
        factory.buildProtocol = lambda addr: self.talker() if wanted else None
        port = MemoryPort(self._network, self._network.listen(0, Factory()).getHost(), factory)
        self._network.join(made, port)

    def react(self, talker: Talker) -> None:
        """What one does when it hears something, to itself or to another."""
        if not self.calm and self._random.random() < 0.3:
            self.do(self._random.choice([talker, *self.talkers]))

    def do(self, talker: Talker) -> None:
        """Have one do something."""
        end = talker.end
        if end is None:
            return
        act = self._random.randrange(11)
        if act < 4:
            end.write(bytes(self._random.choice((1, 100, 3 * PIPE))))
        elif act == 4:
            end.pauseProducing()
        elif act < 7:
            end.resumeProducing()
        elif act == 7 and self._random.random() < 0.4:
            end.loseConnection()
        elif act == 8 and self._random.random() < 0.4:
            end.loseWriteConnection()
        elif act == 9 and self._random.random() < 0.2:
            self._random.choice((end.abortConnection, end.reset, end.cut_off))()
        elif act == 10 and end._producer is None:
            end.registerProducer(Producer(talker, 3, self._random), self._random.random() < 0.5)

    def play(self, acts: int) -> list[str]:
        """Many things, and what came of them."""
        for number in range(acts):
            self.log.append(f"act {number}")
            chance = self._random.random()
            if chance < 0.15 or not self.talkers:
                self.connect()
            elif chance < 0.25:
                self.clock.advance(self._random.choice((0.0, 0.25, 1.0)))
            elif chance < 0.28:
                self._network.latency = self._random.choice((0.0, 0.0, 0.5))
            elif chance < 0.31:
                cut = Cut(self._random.choice(tuple(Way)), self._random.randrange(2_000), self._random.choice(tuple(Kind)))
                self._network.fuse = None if self._random.random() < 0.5 else CutFuse(self._network, cut)
            else:
                self.do(self._random.choice(self.talkers))
            if self._random.random() < 0.7:
                self._network.pump()
        self._network.latency = 0.0
        self._network.fuse = None
        for talker in self.talkers:
            talker.end.resumeProducing()
        self.clock.advance(1.0)
        self._network.pump()
        return self.log


class WakingTests(SynchronousTestCase):
    """Who is moved."""

    def test_the_same_happens_in_the_same_order(self) -> None:
        """As where all ends take a step in every round: writing, closing, aborting, pausing, producing, latency, cuts."""
        seen = set()
        for seed in range(120):
            log = Scene(MemoryNetwork, seed).play(80)
            self.assertEqual(log, Scene(PlainNetwork, seed).play(80), f"seed {seed}")
            seen |= {line.split(" ", 2)[2].rstrip("0123456789 ") for line in log if not line.startswith("act")}
        wanted = {"made", "heard", "resumed", "paused", "stopped", "read ended", "write ended"}
        self.assertLess(wanted, seen)
        self.assertLess({"lost ConnectionDone", "lost ConnectionLost", "lost ConnectionAborted"}, seen)

    def test_who_has_nothing_to_do_is_left_alone(self) -> None:
        """However long the others talk."""
        scene = Scene(MemoryNetwork, 0)
        scene.calm = True
        for _ in range(20):
            scene.connect()
        scene._network.pump()
        stepped: set[MemoryTransport] = set()
        plain = MemoryTransport._step

        def step(end: MemoryTransport) -> bool:
            stepped.add(end)
            return plain(end)

        self.patch(MemoryTransport, "_step", step)
        one, other = scene.talkers[:2]
        for _ in range(100):
            one.end.write(b"x")
            scene._network.pump()
        self.assertLessEqual(stepped, {one.end, other.end})
        self.assertIn(other.end, stepped)

    def test_who_waits_for_room_hears_that_nobody_is_there(self) -> None:
        """Also where the one who has gone had been cut off before, and told nobody."""
        scene = Scene(MemoryNetwork, 0)
        scene.calm = True
        scene.connect()
        one, other = scene.talkers
        other.end.pauseProducing()
        one.end.write(bytes(3 * PIPE))
        scene._network.pump()
        other.end.cut_off()
        other.end.abortConnection()
        scene._network.pump()
        lost = [line for line in scene.log if "lost" in line]
        self.assertEqual(lost, ["0 #1 lost ConnectionAborted", "0 #0 lost ConnectionLost"])

    def test_a_bug_of_one_does_not_hold_up_the_others(self) -> None:
        """What was about to move when a protocol raised something moves the next time."""
        scene = Scene(MemoryNetwork, 1)
        scene.calm = True
        for _ in range(3):
            scene.connect()
        for talker in scene.talkers:
            talker.end.write(b"hello")

        def broken(data: bytes) -> None:
            del scene.talkers[1].dataReceived
            raise ZeroDivisionError

        scene.talkers[1].dataReceived = broken  # type: ignore[method-assign]
        self.assertRaises(ZeroDivisionError, scene._network.pump)
        scene._network.pump()
        heard = [line.split()[1] for line in scene.log if "heard" in line]
        self.assertEqual(sorted(heard), ["#0", "#2", "#3", "#4", "#5"])
