"""The service on real sockets: TCP and TLS, with our client and with a plain socket."""

import socket
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.settings import load
from launcelot.hosting.calling import Refused, Untrusted, connect
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.listening import Listeners
from launcelot.protocols.questions.client import QuestionsClientFactory
from launcelot.protocols.questions.service import Settings, build
from launcelot.testing.site import memory_site

NAME = b"What is your name?"
KNIGHT = b"My name is Sir Lancelot of Camelot."
LOOPBACK = "tcp:0:interface=127.0.0.1"


class SettingsTests(SynchronousTestCase):
    """What can be set, and what is made of it."""

    def test_defaults(self) -> None:
        """The book's port, on loopback only."""
        self.assertEqual(Settings().listen, ("tcp:1060:interface=127.0.0.1",))
        self.assertEqual(Settings().listen_tls, ())

    def test_nonsense_is_named(self) -> None:
        """A cap of nothing, and a key nobody knows."""
        _, problems = load(Settings, {"max_question": 0, "idle_timout": 5})
        self.assertEqual([problem.path for problem in problems], [("max_question",), ("idle_timout",)])

    def test_no_certificate_no_tls(self) -> None:
        """A listener that could not speak is left out."""
        settings = Settings(listen=(LOOPBACK,), listen_tls=(LOOPBACK,))
        names = [listener.name for listener in build(memory_site().site, settings).listeners]
        self.assertEqual(names, ["questions"])

    def test_the_limits_count_all_listeners_together(self) -> None:
        """TLS is no way around the limit on connections."""
        world = memory_site(tls=True)
        settings = Settings(listen=(LOOPBACK,), listen_tls=(LOOPBACK,), max_connections_per_source=1)
        plain, secure = build(world.site, settings).listeners
        world.connect(plain.factory)
        self.assertTrue(world.connect(secure.factory).closed)


class SocketTests(TestCase):
    """Real sockets on loopback."""

    async def listen(self) -> Listeners:
        """The service on free ports; with TLS."""
        from twisted.internet import reactor

        self.reactor = reactor
        self.world = memory_site(tls=True)
        site = replace(self.world.site, reactor=reactor, clock=reactor)
        site.deadlines = Deadlines(reactor)
        service = build(site, Settings(listen=(LOOPBACK,), listen_tls=(LOOPBACK,)))
        service.startService()
        self.addCleanup(service.stopService)
        await service.listen()
        return service

    async def test_pipelined_over_tcp(self) -> None:
        """Our client asks a thousand questions at once."""
        plain, _ = (await self.listen()).listening
        endpoint = TCP4ClientEndpoint(self.reactor, plain.host, plain.port)
        client = await connect(endpoint, QuestionsClientFactory(self.reactor))
        answers = [client.ask(NAME) for _ in range(1000)]
        self.assertEqual([await answer for answer in answers], [KNIGHT] * 1000)
        client.close()

    async def test_over_tls(self) -> None:
        """The certificate is checked against the name."""
        _, secure = (await self.listen()).listening
        assert self.world.tls is not None
        options = self.world.tls.client("localhost")
        endpoint = wrapClientTLS(options, TCP4ClientEndpoint(self.reactor, secure.host, secure.port))
        client = await connect(endpoint, QuestionsClientFactory(self.reactor))
        self.assertEqual(await client.ask(NAME), KNIGHT)
        client.close()

    async def test_a_certificate_for_somebody_else_is_not_trusted(self) -> None:
        """The question ends in the error that says so."""
        _, secure = (await self.listen()).listening
        assert self.world.tls is not None
        options = self.world.tls.client("other.test")
        endpoint = wrapClientTLS(options, HostnameEndpoint(self.reactor, secure.host, secure.port))
        client = await connect(endpoint, QuestionsClientFactory(self.reactor))
        await self.assertFailure(client.ask(NAME), Untrusted)

    async def test_nobody_listens(self) -> None:
        """A port that was closed refuses."""
        service = await self.listen()
        plain, _ = service.listening
        await service.unlisten()
        endpoint = TCP4ClientEndpoint(self.reactor, plain.host, plain.port)
        asking = Deferred.fromCoroutine(connect(endpoint, QuestionsClientFactory(self.reactor)))
        await self.assertFailure(asking, Refused)

    async def test_the_books_client(self) -> None:
        """Blocking sockets: a question, its answer, then half a question and the end of our side."""
        plain, _ = (await self.listen()).listening

        def talk() -> tuple[bytes, bytes]:
            with socket.create_connection((plain.host, plain.port), 10) as peer:
                peer.sendall(NAME)
                answer = b""
                while not answer.endswith(b"."):
                    answer += peer.recv(4096)
                peer.sendall(NAME + b"Beautiful is better than")
                peer.shutdown(socket.SHUT_WR)
                rest = b""
                while piece := peer.recv(4096):
                    rest += piece
                return answer, rest

        self.assertEqual(await deferToThread(talk), (KNIGHT, KNIGHT))
