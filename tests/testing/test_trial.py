"""The mixin for Trial, on users' own code and on the daemon's."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.mail.smtp import SMTPClient
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.trial.reporter import TestResult
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.testing.messages import Wish
from launcelot.testing.trial import WorldMixin
from launcelot.testing.worlds import TrialWorld


class Asker(LineReceiver):
    """A user's client."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost: Failure | None = None

    def lineReceived(self, line: bytes) -> None:
        """Keep it."""
        self.heard.append(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep it."""
        self.lost = reason


class Echo(LineReceiver):
    """A user's server."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        """Say it again."""
        self.heard.append(line)
        self.sendLine(line.upper())


ASKERS = Factory.forProtocol(Asker)
ECHOES = Factory.forProtocol(Echo)


class PairTests(WorldMixin, SynchronousTestCase):
    """Users' own protocols."""

    def test_pair(self) -> None:
        """Joined, in pieces of any size, with what they said."""
        pair = self.pair(ASKERS, ECHOES)
        pair.deliver_in(1)
        pair.client.sendLine(b"hello")
        pair.flush()
        self.assertEqual((pair.server.heard, pair.client.heard), ([b"hello"], [b"HELLO"]))
        self.assertWire(pair, "C: hello", "S: HELLO")

    def test_pair_in_tls(self) -> None:
        """What they said is told in clear; who closes is told of it by the other."""
        pair = self.pair(ASKERS, ECHOES, tls=True)
        pair.client.sendLine(b"hello")
        pair.flush()
        self.assertWire(pair, "C: hello", "S: HELLO")
        pair.server.transport.loseConnection()
        pair.flush()
        self.assertTrue(pair.client.lost.check(ConnectionDone))

    def test_every_split(self) -> None:
        """A parser that takes what arrives together for a line is caught."""

        def right(pieces: Sequence[bytes]) -> list[bytes]:
            pair = self.pair(ASKERS, ECHOES)
            for piece in pieces:
                pair.client.transport.write(piece)
                pair.flush()
            heard: list[bytes] = pair.client.heard
            return heard

        self.assertEverySplit(b"one\r\ntwo\r\n", right)

        def wrong(pieces: Sequence[bytes]) -> list[bytes]:
            return [piece.strip() for piece in pieces]

        error = self.assertRaises(self.failureException, self.assertEverySplit, b"one\r\n", wrong)
        self.assertIn("one by one", str(error))

    def test_every_cut(self) -> None:
        """What comes of each is told in ranges; what is not allowed fails the test."""

        def run(world: TrialWorld) -> str:
            pair = world.pair(ASKERS, ECHOES)
            pair.client.sendLine(b"hello")
            pair.flush()
            return f"{len(pair.server.heard)} heard, {len(pair.client.heard)} answered"

        allowed = {"0 heard, 0 answered", "1 heard, 0 answered", "1 heard, 1 answered"}
        table = self.assertEveryCut(run, allowed, ["fin", "rst", "stall"])
        self.assertEqual(
            str(table).splitlines()[:2],
            ["whole: 1 heard, 1 answered", "client to server, fin: 0-6 0 heard, 0 answered"],
        )
        self.assertEqual(str(table).splitlines()[-1], "server to client, stall: 0-6 1 heard, 0 answered")
        error = self.assertRaises(self.failureException, self.assertEveryCut, run, {"1 heard, 1 answered"})
        self.assertIn("first client to server cut after 0 octets (fin)", str(error))


class ServiceTests(WorldMixin, SynchronousTestCase):
    """The daemon's services, and Twisted's own client."""

    def test_service_is_found_by_name_and_endpoint(self) -> None:
        """From code that is handed the world's reactor."""
        world = self.world()
        world.serve("questions", host="sir.test", port=1060)
        connecting = connectProtocol(clientFromString(world.reactor, "tcp:sir.test:1060"), Heard())
        world.network.pump()
        client = self.successResultOf(connecting)
        client.transport.write(b"Beautiful is better than?")
        world.network.pump()
        self.assertEqual(client.heard, b"Ugly.")
        client.transport.loseConnection()
        world.network.pump()

    def test_delivered_and_wire(self) -> None:
        """By a raw peer; and both claims can fail."""
        world = self.world()
        world.add_user("ann")
        smtp = world.serve("smtp")
        link = smtp.connect()
        link.say(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nDATA\r\nSubject: News\r\n\r\n.\r\nRCPT TO:<x>\r\n")
        self.assertDelivered(world, to="ann@test", subject="News")
        self.assertRaises(self.failureException, self.assertDelivered, world, to="ann@test", times=2)
        self.assertRaises(self.failureException, self.assertDelivered, world, to="bob@test")
        self.assertDelivered(world, to="bob@test", times=0)

    def test_wire(self) -> None:
        """In a row, with gaps where they are said."""
        smtp = self.world().serve("smtp")
        link = smtp.connect()
        for line in (b"HELO me\r\n", b"NOOP\r\n", b"QUIT\r\n"):
            link.say(line)
        self.assertWire(smtp, "S: 220 *", "C: HELO me", "S: 250 *", ..., "C: QUIT", "S: 221 *")
        self.assertRaises(self.failureException, self.assertWire, smtp, "S: 220 *", "C: QUIT")
        self.assertRaises(self.failureException, self.assertWire, smtp, "C: QUIT", ..., "C: HELO me")

    def test_every_cut_of_twisteds_smtp_client(self) -> None:
        """Where the mail is stored and the client does not know, a retry doubles it: the table names those octets."""

        def run(world: TrialWorld) -> str:
            world.add_user("ann")
            world.serve("smtp", port=25)
            client = Sender()
            connecting = connectProtocol(clientFromString(world.reactor, "tcp:127.0.0.1:25"), client)
            connecting.addErrback(lambda _: None)
            world.network.pump()
            stored = bool(world.post.matching(Wish(), hidden=True))
            if client.transport is not None:
                client.transport.loseConnection()
            return f"{'sent' if client.sent else 'failed'} {'stored' if stored else 'lost'}"

        table = self.assertEveryCut(run, {"sent stored", "failed lost", "failed stored"}, ["rst"])
        self.assertEqual(table.whole, "sent stored")
        outcomes = [outcome for way, *_, outcome in table.ranges() if way.name == "TO_CLIENT"]
        self.assertEqual(outcomes, ["failed lost", "failed stored", "sent stored"])


class Heard(Protocol):
    """Keeps what it hears."""

    heard = b""

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.heard += data


class Sender(SMTPClient):
    """Sends one mail."""

    def __init__(self) -> None:
        super().__init__(b"me")
        self.sent = 0
        self._from: bytes | None = b"app@test"

    def getMailFrom(self) -> bytes | None:
        """Once."""
        result, self._from = self._from, None
        return result

    def getMailTo(self) -> list[bytes]:
        """One."""
        return [b"ann@test"]

    def getMailData(self) -> Any:
        """A short one."""
        from io import BytesIO

        return BytesIO(b"Subject: News\n\nhi\n")

    def sentMail(self, code: int, resp: bytes, numOk: int, addresses: Any, log: Any) -> None:
        """Count."""
        self.sent += numOk if code < 300 else 0


class Leaky(WorldMixin, TestCase):
    """Each leaves one thing behind; not collected, run by the test below."""

    def call_on_the_clock(self) -> None:
        """Kind one."""
        self.world().clock.callLater(5, ECHOES.doStart)

    def call_on_the_process_reactor(self) -> None:
        """Kind one, too."""
        from twisted.internet import reactor

        self.world()
        calls: Any = reactor
        calls.callLater(50, ECHOES.doStart)

    def dropped_failure(self) -> None:
        """Kind two."""
        self.world()
        kept.append(Deferred())
        kept[-1].errback(ZeroDivisionError("oh"))

    def unfired_deferred(self) -> None:
        """Kind three."""
        self.world()
        Deferred().addCallback(str)

    def open_connection(self) -> None:
        """Kind four."""
        world = self.world()
        world.serve("questions", port=1060)
        world.reactor.connectTCP("127.0.0.1", 1060, QuietFactory())
        world.network.pump()

    def open_port(self) -> None:
        """Kind five."""
        self.world().reactor.listenTCP(25, ECHOES)

    def open_datagram_port(self) -> None:
        """Kind five."""
        self.world().reactor.listenUDP(53, DatagramProtocol())

    def attempt(self) -> None:
        """Kind four, on its way."""
        world = self.world()
        world.network.latency = 1.0
        world.reactor.connectTCP("127.0.0.1", 1060, QuietFactory())
        world.network.pump()

    def thread(self) -> None:
        """Kind six."""
        self.world()
        thread = threading.Thread(target=release.wait, name="forgotten")
        thread.start()

    def nothing(self) -> None:
        """All is well."""
        world = self.world(tls=True)
        world.add_user("ann")
        for name in ("smtp", "imap", "pop3", "ftp", "questions"):
            world.serve(name).connect()
        world.pair(ASKERS, ECHOES)


kept: list[Deferred[Any]] = []
release = threading.Event()


class QuietFactory(Factory):
    """Makes clients."""

    protocol = Heard

    def startedConnecting(self, connector: Any) -> None:
        """Fine."""

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        """Fine."""


class LeakTests(SynchronousTestCase):
    """What is left behind fails a test that passed, and names its maker."""

    def complaint(self, name: str) -> str:
        """What a leaky test is told."""
        case = Leaky(name)
        result = TestResult()
        case.run(result)
        return "\n".join(str(failure) for _, failure in [*result.failures, *result.errors])

    def test_each_kind(self) -> None:
        """And the line that made it."""
        self.addCleanup(release.set)
        for name, words in {
            "call_on_the_clock": "a call is still to come in 5 s: ",
            "call_on_the_process_reactor": "a call on the process's reactor is still to come: ",
            "dropped_failure": "nobody looked at ZeroDivisionError('oh')",
            "unfired_deferred": "a Deferred that somebody waits for never fired",
            "open_connection": "a connection to 127.0.0.1:1060 is open",
            "open_port": "a port is open: 127.0.0.1:25",
            "open_datagram_port": "a port is open: 127.0.0.1:53",
            "attempt": "a connection to 127.0.0.1:1060 is being made",
            "thread": "a thread still runs: forgotten",
        }.items():
            said = self.complaint(name)
            kept.clear()
            self.assertIn(words, said)
            self.assertRegex(said, rf"{re.escape(words)}[^\n]*(at|At) [^\n]*test_trial.py:\d+ in (Leaky.)?{name}\b")

    def test_nothing_is_left(self) -> None:
        """A test that leaves its connections to us is told nothing."""
        self.assertEqual(self.complaint("nothing"), "")
