"""
What a TCP transport does, asked of the memory network and of real sockets alike.

A world joins two recording protocols; each scenario is a coroutine that waits for what was recorded, never for time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

BIG = b"0123456789abcdef" * 65_536
"""1 MiB: more than all buffers between two ends."""


class Recorder(Protocol):
    """Keeps what it hears and when it ends."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.lost: Failure | None = None
        self.made = False
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    @property
    def end(self) -> Any:
        """The transport."""
        return self.transport

    def connectionMade(self) -> None:
        self.made = True
        self.happened()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self.happened()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        self.happened()

    def happened(self) -> None:
        """Tell those whose condition holds now."""
        for entry in list(self._waiting):
            condition, waiting = entry
            if condition():
                self._waiting.remove(entry)
                waiting.callback(None)

    def when(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires when the condition holds; it is asked after each event of this protocol."""
        waiting: Deferred[None] = Deferred()
        if condition():
            waiting.callback(None)
        else:
            self._waiting.append((condition, waiting))
        return waiting


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    """Told about half-closes."""

    def __init__(self) -> None:
        super().__init__()
        self.read_ended = False
        self.write_ended = False

    def readConnectionLost(self) -> None:
        self.read_ended = True
        self.happened()

    def writeConnectionLost(self) -> None:
        self.write_ended = True
        self.happened()


@implementer(IPushProducer)
class PushProducer:
    """Writes pieces while it may."""

    def __init__(self, consumer: Any, pieces: int, piece: bytes) -> None:
        self.consumer = consumer
        self.left = pieces
        self.piece = piece
        self.paused = False
        self.pauses = 0
        self.stopped = False

    def resumeProducing(self) -> None:
        self.paused = False
        while self.left and not self.paused:
            self.left -= 1
            self.consumer.write(self.piece)
        if not self.left and not self.paused:
            self.consumer.unregisterProducer()

    def pauseProducing(self) -> None:
        self.paused = True
        self.pauses += 1

    def stopProducing(self) -> None:
        self.stopped = True


class PullProducer:
    """Writes one piece when asked."""

    def __init__(self, consumer: Any, pieces: int, piece: bytes) -> None:
        self.consumer = consumer
        self.left = pieces
        self.piece = piece

    def resumeProducing(self) -> None:
        self.left -= 1
        self.consumer.write(self.piece)
        if not self.left:
            self.consumer.unregisterProducer()

    def stopProducing(self) -> None:
        self.left = 0


class Conformance:
    """
    The scenarios; a world gives ``run`` and ``joined``.

    :ivar peers_hear_of_abort: a connection that one end aborts is reset at the other; Unix sockets just end there.
    """

    peers_hear_of_abort = True

    def run_scenario(self, scenario: Coroutine[Any, Any, None]) -> Any:
        """Run a scenario to its end."""
        raise NotImplementedError

    async def joined(self, client: Recorder, server: Recorder) -> None:
        """Connect the two."""
        raise NotImplementedError

    def test_octets_arrive_in_order(self) -> Any:
        """A megabyte written at once arrives whole, both ways."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            client.end.write(BIG)
            server.end.writeSequence([b"one", b"two"])
            await server.when(lambda: len(server.heard) == len(BIG))
            await client.when(lambda: len(client.heard) == 6)
            self.check(bytes(server.heard) == BIG and bytes(client.heard) == b"onetwo")
            await self.closed(client, server)

        return self.run_scenario(scenario())

    def test_close_sends_what_is_buffered(self) -> Any:
        """loseConnection after a large write loses nothing, and both ends see a clean end."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            server.end.write(BIG)
            server.end.loseConnection()
            await client.when(lambda: client.lost is not None)
            await server.when(lambda: server.lost is not None)
            self.check(bytes(client.heard) == BIG)
            self.check(client.lost is not None and client.lost.check(ConnectionDone) is not None)
            self.check(server.lost is not None and server.lost.check(ConnectionDone) is not None)

        return self.run_scenario(scenario())

    def test_write_after_close_is_dropped(self) -> Any:
        """What is written after the connection is lost goes nowhere and raises nothing."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            client.end.loseConnection()
            await client.when(lambda: client.lost is not None)
            client.end.write(b"too late")
            await server.when(lambda: server.lost is not None)
            self.check(bytes(server.heard) == b"")

        return self.run_scenario(scenario())

    def test_abort_is_not_clean(self) -> Any:
        """abortConnection ends both sides with something other than ConnectionDone, where the network can tell."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            client.end.abortConnection()
            await client.when(lambda: client.lost is not None)
            await server.when(lambda: server.lost is not None)
            self.check(client.lost is not None and not client.lost.check(ConnectionDone))
            self.check(server.lost is not None and bool(server.lost.check(ConnectionDone)) is not self.peers_hear_of_abort)

        return self.run_scenario(scenario())

    def test_half_close_still_hears(self) -> Any:
        """After loseWriteConnection the other side learns of the end and can still answer."""

        async def scenario() -> None:
            client, server = HalfRecorder(), HalfRecorder()
            await self.joined(client, server)
            client.end.write(b"question")
            client.end.loseWriteConnection()
            await server.when(lambda: server.read_ended)
            self.check(bytes(server.heard) == b"question" and server.lost is None)
            server.end.write(b"answer")
            server.end.loseConnection()
            await client.when(lambda: client.read_ended)
            self.check(bytes(client.heard) == b"answer" and client.write_ended)
            await self.closed(client, server)

        return self.run_scenario(scenario())

    def test_half_close_without_interest_ends(self) -> Any:
        """A protocol that does not know half-close is told that the connection is done."""

        async def scenario() -> None:
            client, server = HalfRecorder(), Recorder()
            await self.joined(client, server)
            client.end.loseWriteConnection()
            await server.when(lambda: server.lost is not None)
            self.check(server.lost is not None and server.lost.check(ConnectionDone) is not None)
            await self.closed(client, server)

        return self.run_scenario(scenario())

    def test_paused_reader_hears_nothing(self) -> Any:
        """pauseProducing holds octets back, resumeProducing delivers them."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            server.end.pauseProducing()
            client.end.write(b"held")
            server.end.write(b"echo")
            await client.when(lambda: bytes(client.heard) == b"echo")
            self.check(bytes(server.heard) == b"")
            server.end.resumeProducing()
            await server.when(lambda: bytes(server.heard) == b"held")
            await self.closed(client, server)

        return self.run_scenario(scenario())

    def test_push_producer_is_paused(self) -> Any:
        """A push producer is paused while the peer does not read and resumed when it does; all arrives."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            client.end.pauseProducing()
            piece = b"x" * 32_768
            producer = PushProducer(server.end, 512, piece)
            server.end.registerProducer(producer, True)
            producer.resumeProducing()
            self.check(producer.paused and producer.left > 0)
            client.end.resumeProducing()
            await client.when(lambda: len(client.heard) == 512 * len(piece))
            self.check(producer.pauses > 1 and producer.left == 0)
            await self.closed(client, server)

        return self.run_scenario(scenario())

    def test_pull_producer_is_asked(self) -> Any:
        """A pull producer is asked for each piece, then the close comes after its last."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            producer = PullProducer(server.end, 40, b"y" * 10_000)
            server.end.registerProducer(producer, False)
            server.end.loseConnection()
            await client.when(lambda: client.lost is not None)
            self.check(len(client.heard) == 400_000)

        return self.run_scenario(scenario())

    def test_producer_is_stopped_with_the_connection(self) -> Any:
        """A registered producer is told to stop when the connection is lost."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            producer = PushProducer(server.end, 0, b"")
            server.end.registerProducer(producer, True)
            client.end.abortConnection()
            await server.when(lambda: server.lost is not None)
            self.check(producer.stopped)

        return self.run_scenario(scenario())

    def test_second_producer_is_refused(self) -> Any:
        """Only one producer may be registered."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            server.end.registerProducer(PushProducer(server.end, 0, b""), True)
            try:
                server.end.registerProducer(PushProducer(server.end, 0, b""), True)
            except RuntimeError:
                pass
            else:
                self.check(False)
            server.end.unregisterProducer()
            await self.closed(client, server)

        return self.run_scenario(scenario())

    def test_addresses_mirror(self) -> Any:
        """Each side's peer is the other's host."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            self.check(client.end.getPeer() == server.end.getHost())
            self.check(server.end.getPeer() == client.end.getHost())
            await self.closed(client, server)

        return self.run_scenario(scenario())

    def test_tls_carries_octets_and_ends_cleanly(self) -> Any:
        """startTLS on both sides carries a megabyte and a clean close."""

        async def scenario() -> None:
            client, server = Recorder(), Recorder()
            await self.joined(client, server)
            server_context, client_context = self.contexts()
            server.end.startTLS(server_context)
            client.end.startTLS(client_context)
            client.end.write(BIG)
            await server.when(lambda: len(server.heard) == len(BIG))
            self.check(bytes(server.heard) == BIG)
            server.end.write(b"bye")
            server.end.loseConnection()
            await client.when(lambda: client.lost is not None)
            await server.when(lambda: server.lost is not None)
            self.check(bytes(client.heard) == b"bye")
            self.check(client.lost is not None and client.lost.check(ConnectionDone) is not None)

        return self.run_scenario(scenario())

    # -- helpers -------------------------------------------------------------------------------------------------

    def check(self, claim: bool) -> None:
        """A claim of the scenario."""
        if not claim:
            raise AssertionError("the transport did not do what a TCP transport does")

    def contexts(self) -> tuple[Any, Any]:
        """TLS contexts of a server and of a client that trusts it."""
        from tests.testing.certificates import contexts

        return contexts()

    async def closed(self, *ends: Recorder) -> None:
        """Close both ends and wait until they are lost."""
        for end in ends:
            if end.lost is None:
                end.end.loseConnection()
        for end in ends:
            await end.when(lambda end=end: end.lost is not None)  # type: ignore[misc]
