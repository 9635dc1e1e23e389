"""The service on real sockets, with clients we did not write: poplib, Twisted's POP3Client, curl."""

import poplib
import socket
import ssl
import subprocess
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.mail.pop3 import AdvancedPOP3Client
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from launcelot.core.settings import load
from launcelot.hosting.calling import connect
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.listening import Listening
from launcelot.protocols.pop3 import server
from launcelot.protocols.pop3.client import Pop3Client, Pop3ClientFactory
from launcelot.protocols.pop3.service import Settings, build
from tests.clients.peers import program
from tests.protocols.pop3.world import FIRST, SECOND, Post

TCP_REPAIR = 19
LOOPBACK = "tcp:0:interface=127.0.0.1"
LARGE = b"Subject: large\r\n\r\n" + b".0123456789abcdef\r\n" * 30_000


class SettingsTests(SynchronousTestCase):
    """What can be set, and what is made of it."""

    def test_defaults(self) -> None:
        """Loopback only, ports nobody needs rights for."""
        self.assertEqual(Settings().listen, ("tcp:2110:interface=127.0.0.1",))
        self.assertEqual(Settings().listen_tls, ("tcp:2995:interface=127.0.0.1",))

    def test_nonsense_is_named(self) -> None:
        """A choice that is none."""
        _, problems = load(Settings, {"plaintext_login": "sometimes"})
        self.assertEqual([problem.path for problem in problems], [("plaintext_login",)])

    def test_without_a_certificate(self) -> None:
        """No listener that would need it, and the table does not promise STARTTLS."""
        (listener,) = build(Post().world.site, Settings()).listeners
        self.assertEqual((listener.name, listener.factory.offers_tls), ("pop3", False))

    def test_with_a_certificate(self) -> None:
        """Both, sharing one count."""
        names = [one.name for one in build(Post(tls=True).world.site, Settings()).listeners]
        self.assertEqual(names, ["pop3", "pop3s"])


class SocketTests(TestCase):
    """Real sockets on loopback."""

    async def start(self) -> tuple[Listening, Listening]:
        """The service on free ports."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.post = Post((FIRST, SECOND, LARGE), tls=True)
        site = replace(self.post.world.site, reactor=reactor, clock=reactor)
        site.deadlines = Deadlines(self.reactor)
        self.service = service = build(site, Settings(listen=(LOOPBACK,), listen_tls=(LOOPBACK,)))
        service.startService()
        self.addCleanup(service.stopService)
        await service.listen()
        plain, secure = service.listening
        return plain, secure

    def context(self) -> ssl.SSLContext:
        """What poplib trusts."""
        assert self.post.world.tls is not None
        return ssl.create_default_context(cadata=self.post.world.tls.certificate.decode("ascii"))

    async def test_poplib(self) -> None:
        """The whole of Python's client; what it deletes is gone."""
        plain, _ = await self.start()

        def talk() -> list[bytes]:
            pop = poplib.POP3(plain.host, plain.port, timeout=60)
            capabilities = pop.capa()
            self.assertIn("STLS", capabilities)
            pop.user("ann")
            pop.pass_("pw")
            self.assertEqual(pop.stat(), (3, len(FIRST) + len(SECOND) + len(LARGE)))
            self.assertEqual(pop.list()[1][0], b"1 24")
            self.assertEqual(len({line.split()[1] for line in pop.uidl()[1]}), 3)
            bodies = [b"\r\n".join(pop.retr(number)[1]) + b"\r\n" for number in (1, 2, 3)]
            self.assertEqual(pop.top(2, 0)[1], [b"Subject: two", b"X: y", b""])
            pop.dele(1)
            pop.quit()
            return bodies

        self.assertEqual(await deferToThread(talk), [FIRST, SECOND, LARGE])
        self.assertEqual(self.post.bodies(), [SECOND, LARGE])

    async def test_poplib_over_tls(self) -> None:
        """On the port for it and after STLS, with the certificate verified."""
        plain, secure = await self.start()

        def talk() -> list[bytes]:
            heard = []
            over = poplib.POP3_SSL("localhost", secure.port, timeout=60, context=self.context())
            over.user("ann")
            over.pass_("pw")
            heard.append(b"\r\n".join(over.retr(3)[1]) + b"\r\n")
            over.quit()
            started = poplib.POP3("localhost", plain.port, timeout=60)
            started.stls(self.context())
            started.user("ann")
            started.pass_("pw")
            heard.append(b"\r\n".join(started.retr(3)[1]) + b"\r\n")
            started.quit()
            return heard

        self.assertEqual(await deferToThread(talk), [LARGE, LARGE])

    async def test_the_books_script(self) -> None:
        """It calls QUIT after a failed log-in and wants an answer."""
        plain, _ = await self.start()

        def talk() -> bytes:
            pop = poplib.POP3(plain.host, plain.port, timeout=60)
            pop.user("ann")
            self.assertRaises(poplib.error_proto, pop.pass_, "wrong")
            return pop.quit()

        self.assertTrue((await deferToThread(talk)).startswith(b"+OK"))

    async def test_twisteds_client(self) -> None:
        """Another implementation's idea of the protocol."""
        plain, _ = await self.start()

        class Client(AdvancedPOP3Client):
            allowInsecureLogin = True

            def __init__(self) -> None:
                self.greeted: Deferred[None] = Deferred()
                self.gone: Deferred[None] = Deferred()

            def serverGreeting(self, greeting: bytes) -> None:
                AdvancedPOP3Client.serverGreeting(self, greeting)
                self.greeted.callback(None)

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                AdvancedPOP3Client.connectionLost(self, reason)
                self.gone.callback(None)

        endpoint = TCP4ClientEndpoint(self.reactor, plain.host, plain.port)
        client: Any = await endpoint.connect(Factory.forProtocol(Client))
        await client.greeted
        await client.login(b"ann", b"pw")
        self.assertEqual(await client.stat(), (3, len(FIRST) + len(SECOND) + len(LARGE)))
        self.assertEqual(await client.listSize(), [len(FIRST), len(SECOND), len(LARGE)])
        self.assertEqual(b"\r\n".join(await client.retrieve(1)) + b"\r\n", SECOND)
        await client.quit()
        await client.gone

    async def test_curl(self) -> None:
        """Listing, retrieving and deleting, in the clear and over TLS."""
        program("curl")
        plain, secure = await self.start()
        assert self.post.world.tls is not None
        authority = self.mktemp()
        with open(authority, "wb") as file:
            file.write(self.post.world.tls.certificate)

        def curl(*arguments: str) -> bytes:
            command = ["curl", "-sS", "--max-time", "20", "--user", "ann:pw", "--cacert", authority, *arguments]
            return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

        self.assertEqual(await deferToThread(curl, f"pop3://localhost:{plain.port}/2"), SECOND)
        self.assertEqual(await deferToThread(curl, "--ssl-reqd", f"pop3://localhost:{plain.port}/3"), LARGE)
        listing = await deferToThread(curl, f"pop3s://localhost:{secure.port}/")
        self.assertEqual(listing.split(b"\r\n")[0], b"1 24")
        await deferToThread(curl, "-X", "DELE", "-I", f"pop3s://localhost:{secure.port}/1")
        self.assertEqual(len(self.post.bodies()), 2)

    async def test_a_dead_peer_is_noticed_within_a_minute(self) -> None:
        """The kernel is told to ask, so that the lock of a vanished machine is free again."""
        plain, _ = await self.start()
        endpoint = TCP4ClientEndpoint(self.reactor, plain.host, plain.port)
        client: Pop3Client = await connect(endpoint, Pop3ClientFactory(self.reactor))
        await client.capabilities()
        (session,) = next(iter(self.service.listeners)).factory.sessions
        handle = session.wire_transport.getHandle()
        self.assertEqual(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        idle, every, probes = (
            handle.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        self.assertLessEqual(idle + every * probes, 60)
        self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), 60_000)
        client.close()

    async def test_p03_the_lock_of_a_vanished_peer(self) -> None:
        """A peer that goes without a word is noticed by the kernel's questions, and its maildrop is free."""
        self.patch(server, "DEAD_AFTER", 4)
        plain, _ = await self.start()

        def vanish() -> None:
            with socket.create_connection((plain.host, plain.port), timeout=60) as peer, peer.makefile("rb") as answers:
                answers.readline()
                for line in (b"USER ann\r\n", b"PASS pw\r\n", b"DELE 1\r\n"):
                    peer.sendall(line)
                    self.assertTrue(answers.readline().startswith(b"+OK"), line)
                # Nothing is left to be acknowledged, so nothing is sent again and found unwanted.
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                try:
                    # A socket in this state is closed without FIN or RST.
                    peer.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
                except PermissionError:
                    raise SkipTest("only root can have a socket vanish without a word") from None

        await deferToThread(vanish)
        limit = self.reactor.seconds() + 60
        while self.service.listeners[0].factory.sessions and self.reactor.seconds() < limit:
            await deferLater(self.reactor, 0.05)
        (await self.post.world.site.mail.mail(self.post.account.id)).lock()()
        self.assertEqual(len(self.post.bodies()), 3)

    async def test_our_client(self) -> None:
        """Pipelined, with TLS from the first octet and after STLS."""
        plain, secure = await self.start()
        assert self.post.world.tls is not None
        context = self.post.world.tls.client("localhost")
        below = TCP4ClientEndpoint(self.reactor, secure.host, secure.port)
        over: Pop3Client = await connect(wrapClientTLS(context, below), Pop3ClientFactory(self.reactor))
        await self.converse(over)
        endpoint = TCP4ClientEndpoint(self.reactor, plain.host, plain.port)
        started: Pop3Client = await connect(endpoint, Pop3ClientFactory(self.reactor))
        await started.stls(context)
        await self.converse(started)

    async def converse(self, client: Pop3Client) -> None:
        """Log in, retrieve everything several times, leave."""
        await client.authenticate("ann", "pw")
        await client.capabilities()
        pieces: list[list[bytes]] = [[] for _ in range(30)]
        waiting = [client.retrieve(turn % 3 + 1, pieces[turn].append) for turn in range(30)]
        for turn, one in enumerate(waiting):
            await one
            self.assertEqual(b"".join(pieces[turn]), (FIRST, SECOND, LARGE)[turn % 3])
        await client.quit()
