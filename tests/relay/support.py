"""A relay in a memory world, with next hops that the test scripts."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.counters import Counters
from launcelot.hosting.proxy import networks
from launcelot.message.address import Address
from launcelot.relay.carrier import Relay
from launcelot.relay.connections import Connections
from launcelot.relay.demands import Demands
from launcelot.relay.hosts import Finder
from launcelot.relay.policies import Policies
from launcelot.relay.resolver import ScriptedResolver
from launcelot.relay.routes import parse_routes
from launcelot.relay.settings import RelaySettings
from launcelot.spool.interface import ELSEWHERE, Envelope, SpoolId, SpoolRecipient, Verdict
from launcelot.testing.site import memory_site
from launcelot.workers.memory import InlineWorkers

BODY = b"From: ann@test\r\nSubject: x\r\n\r\n.dot\r\nbody\r\n"
ANN = Address("ann", "test")


class Hop(LineReceiver):
    """A next hop: answers verb by verb as the factory says, and keeps what it gets."""

    factory: HopFactory

    def connectionMade(self) -> None:
        """Greet."""
        self.factory.connections += 1
        self.factory.last = self
        self.factory.open += 1
        self.factory.most = max(self.factory.most, self.factory.open)
        self.data: list[bytes] | None = None
        self.mail: list[bytes] = []
        self.answer("GREETING", b"220 mx.far.example ESMTP")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count."""
        self.factory.open -= 1

    def answer(self, verb: str, usual: bytes) -> bool:
        """Say what is scripted for a verb, or the usual; whether it was positive."""
        script = self.factory.script.get(verb)
        said = script.pop(0) if script else usual
        transport: Any = self.transport
        if said is None:
            return True
        if said is CUT:
            transport.abortConnection()
            return False
        self.sendLine(said)
        if said[:3] == b"421":
            transport.loseConnection()
        return said[:1] in b"23"

    def lineReceived(self, line: bytes) -> None:
        """One command, or one line of a message."""
        if self.data is not None:
            if line != b".":
                self.data.append(line[1:] if line.startswith(b".") else line)
                return
            message, self.data = b"".join(one + b"\r\n" for one in self.data), None
            if self.factory.early:
                self.factory.got.append((self.mail, message))
            if self.answer("END", b"250 2.0.0 taken") and not self.factory.early:
                self.factory.got.append((self.mail, message))
            self.mail = []
            return
        self.factory.heard.append(line)
        verb = line.split(b" ")[0].upper().decode()
        if verb == "EHLO":
            lines = [b"mx.far.example", *self.factory.extensions]
            self.answer("EHLO", b"".join(b"250-%s\r\n" % one for one in lines[:-1]) + b"250 " + lines[-1])
        elif verb == "MAIL":
            if self.answer("MAIL", b"250 2.1.0 ok"):
                self.mail = [line]
        elif verb == "RCPT":
            if not self.mail:
                self.sendLine(b"503 5.5.1 no")
            elif self.answer("RCPT", b"250 2.1.5 ok"):
                self.mail.append(line)
        elif verb == "DATA":
            if len(self.mail) < 2:
                self.sendLine(b"503 5.5.1 no")
            elif self.answer("DATA", b"354 go"):
                self.data = []
        elif verb == "QUIT":
            self.answer("QUIT", b"221 bye")
            transport: Any = self.transport
            transport.loseConnection()
        else:
            self.mail = []
            self.answer(verb, b"250 2.0.0 ok")


CUT: Any = object()
"""In a script: the connection is reset."""


class HopFactory(Factory):
    """
    Many of them.

    :ivar script: by verb, the next answers; None for none at all.
    :ivar last: the latest connection.
    :ivar early: a message counts as taken before it is answered.
    """

    protocol = Hop  # type: ignore[assignment]
    noisy = False

    def __init__(self) -> None:
        self.script: dict[str, list[Any]] = {}
        self.extensions: Sequence[bytes] = (b"PIPELINING", b"SIZE 1000000", b"8BITMIME", b"SMTPUTF8", b"DSN")
        self.heard: list[bytes] = []
        self.got: list[tuple[list[bytes], bytes]] = []
        self.connections = 0
        self.open = 0
        self.most = 0
        self.early = False
        self.last: Hop


def elsewhere(text: str, notify: str = "", original: str = "") -> SpoolRecipient:
    """A recipient of another host."""
    local, _, domain = text.partition("@")
    return SpoolRecipient(ELSEWHERE, Address(local, domain), notify, original)


class RelayCase(SynchronousTestCase):
    """A relay, its DNS, and one next hop at 127.0.0.1 that far.example names."""

    def setUp(self) -> None:
        self.world = memory_site()
        self.policies: Policies | None = None
        self.hop = HopFactory()
        self.port = self.listen(self.hop)
        self.resolver = ScriptedResolver({"far.example": "mx.far.example"}, {"mx.far.example": "127.0.0.1"})
        self.relay = self.make()
        self.marked = 0
        self.noted: list[tuple[str, str, Any]] = []

    def note(self, id: str, event: str, /, **fields: Any) -> None:
        """Be the trail of mail."""
        self.noted.append((id, event, fields["host"]))

    async def last(self) -> None:
        """Count what has come to its end."""
        self.marked += 1

    def listen(self, factory: Any, port: int = 0) -> int:
        """Have a factory listen; its port."""
        host: Any = self.world.network.listen(port, factory).getHost()
        self.world.network.pump()
        number: int = host.port
        return number

    def make(self, *routes: str, **settings: Any) -> Relay:
        """Another relay."""
        chosen = RelaySettings(**{"port": self.port, **settings})
        reactor: Any = self.world.site.reactor
        self.counters = Counters()
        self.links = Connections(reactor, self.world.site.deadlines, "us.example", chosen, InlineWorkers())
        finder = Finder(self.resolver, "us.example", networks(["127.0.0.0/8"]), chosen.port, Random(1).getrandbits)
        return Relay(
            chosen, parse_routes(routes), finder, Demands(self.resolver, self.policies), self.links, self.world.clock,
            self.counters, InlineWorkers(), trail=self,
        )

    def carrying(self, *recipients: SpoolRecipient, body: bytes = BODY, **envelope: Any) -> Deferred[Sequence[Verdict]]:
        """A transaction that is under way."""
        known = {"sender": ANN, **envelope}
        whole = Envelope(SpoolId("one"), recipients=(), **known)
        chosen = recipients or (elsewhere("x@far.example"),)
        destination = self.relay.destination(whole, chosen[0])
        carrying = Deferred.fromCoroutine(self.relay.carry(destination, whole, chosen, body, self.last))
        self.world.network.pump()
        return carrying

    def carry(self, *recipients: SpoolRecipient, **more: Any) -> list[tuple[str, str]]:
        """Fate and status of each recipient."""
        return [(one.fate.value, one.status) for one in self.verdicts(*recipients, **more)]

    def verdicts(self, *recipients: SpoolRecipient, **more: Any) -> Sequence[Verdict]:
        """What became of each recipient."""
        return self.successResultOf(self.carrying(*recipients, **more))

    def until(self, waiting: Deferred[Any], seconds: float, step: float = 1.0) -> Any:
        """What comes of something within some seconds."""
        self.world.advance(seconds, step)
        return self.successResultOf(waiting)
