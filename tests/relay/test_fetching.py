"""Policies from a real HTTPS server on this machine: what is taken, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from launcelot.core.limits import ConnectionCount
from launcelot.protocols.policy.server import PolicyFactory
from launcelot.protocols.policy.service import Settings as PolicySettings
from launcelot.relay import fetching
from launcelot.relay.fetching import HttpsFetch
from launcelot.relay.policies import Mode, NotFetched, parse_policy
from launcelot.relay.resolver import NoAnswer, NoSuchName
from launcelot.testing.certificates import Certificates
from launcelot.testing.site import memory_site

reactor: Any = the_reactor
TEXT = b"version: STSv1\r\n"
CERTIFICATES = Certificates("mta-sts.far.example")


class File(Resource):
    """The policy, in a folder of its own."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []
        self.kind: bytes | None = b"text/plain; charset=utf-8"
        self.text = TEXT
        self.code = 200
        self.silent = False

    def render_GET(self, request: Any) -> Any:
        """As was said."""
        self.asked.append(request.uri)
        request.setResponseCode(self.code)
        if self.code // 100 == 3:
            request.setHeader(b"location", b"/elsewhere")
        request.defaultContentType = None
        if self.kind is not None:
            request.setHeader(b"content-type", self.kind)
        if self.silent:
            request.write(b"version")
            return NOT_DONE_YET
        return self.text


class Watched(Site):
    """
    A site of which it is known when nobody is connected.

    :ivar open: those who are.
    """

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource)
        self.open: set[Any] = set()
        self._waiting: list[Deferred[None]] = []

    def buildProtocol(self, addr: Any) -> Any:
        """One connection."""
        channel: Any = super().buildProtocol(addr)
        self.open.add(channel)
        ended = channel.connectionLost

        def lost(reason: Any) -> None:
            ended(reason)
            self.open.discard(channel)
            if not self.open:
                waiting, self._waiting = self._waiting, []
                for one in waiting:
                    one.callback(None)

        channel.connectionLost = lost
        return channel

    def quiet(self) -> Deferred[None]:
        """Fires when nobody is connected."""
        if not self.open:
            return succeed(None)
        self._waiting.append(Deferred())
        return self._waiting[-1]


class FetchingTests(TestCase):
    """RFC 8461 section 3.3."""

    def setUp(self) -> None:
        self.file = File()
        self.addresses: Any = ["127.0.0.1"]
        self.serve(CERTIFICATES)

    def serve(self, certificates: Certificates) -> None:
        """Have a server with a certificate."""
        site = Watched(self.file)
        self.port = reactor.listenSSL(0, site, certificates.server, interface="127.0.0.1")
        self.addCleanup(site.quiet)
        self.addCleanup(self.port.stopListening)

    async def addresses_of(self, host: str) -> Any:
        """What the DNS says."""
        if isinstance(self.addresses, Exception):
            raise self.addresses
        self.assertEqual(host, "mta-sts.far.example")
        return self.addresses

    async def fetch(self, trusted: bool = True, public: bool = True) -> str:
        """The policy, or why not."""
        authority = Path(self.mktemp())
        authority.write_bytes(CERTIFICATES.certificate if trusted else Certificates("x").certificate)
        names: Any = type("Names", (), {"addresses": staticmethod(self.addresses_of)})()
        get = HttpsFetch(reactor, names, lambda _: public, authority, self.port.getHost().port)
        try:
            return await get("far.example")
        except NotFetched as error:
            return f"! {error}"

    async def test_a_policy(self) -> None:
        """From where it has to be."""
        self.assertEqual(await self.fetch(), TEXT.decode())
        self.assertEqual(self.file.asked, [b"/.well-known/mta-sts.txt"])

    async def test_what_we_serve(self) -> None:
        """Our own service for policies, as another host fetches from it."""
        world = memory_site(domain="far.example", tls=CERTIFICATES)
        factory = PolicyFactory(world.site, "policy", ConnectionCount(9, 9), PolicySettings())
        self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        policy = parse_policy(await self.fetch())
        self.assertEqual((policy.mode, policy.hosts), (Mode.ENFORCE, ("here.test",)))

    async def test_next_address(self) -> None:
        """Where nobody listens at the first."""
        self.addresses = ["127.0.0.2", "127.0.0.1"]
        self.assertEqual(await self.fetch(), TEXT.decode())

    async def test_certificates(self) -> None:
        """Of an authority that is trusted, for the right name, of today."""
        self.assertIn("! mta-sts.far.example", await self.fetch(trusted=False))
        self.serve(Certificates("far.example"))
        self.assertIn("! mta-sts.far.example", await self.fetch())
        self.assertEqual(self.file.asked, [])

    async def test_what_is_no_policy(self) -> None:
        """Redirections are not followed; other codes and kinds, and too much, are nothing."""
        for code in (301, 302, 404, 500):
            self.file.code = code
            self.assertEqual(await self.fetch(), f"! mta-sts.far.example answers with {code}")
        self.file.code = 200
        for kind in (b"text/html", None):
            self.file.kind = kind
            self.assertIn("in place of text/plain", await self.fetch())
        self.file.kind = b"Text/Plain"
        self.file.text = b"\xff"
        self.assertEqual(await self.fetch(), "! mta-sts.far.example sends what is no text")
        self.file.text = b"x" * 70_000
        self.assertEqual(await self.fetch(), "! mta-sts.far.example: the answer is larger than 65536 octets")
        self.assertNotIn(b"/elsewhere", self.file.asked)

    async def test_header_that_does_not_end(self) -> None:
        """Is not kept in memory."""

        class Talker(Protocol):
            """Says more and more about a policy that never comes."""

            def dataReceived(self, data: bytes) -> None:
                transport: Any = self.transport
                transport.write(b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 50_000)

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                gone.callback(None)

        gone: Deferred[None] = Deferred()
        self.port = reactor.listenSSL(0, Factory.forProtocol(Talker), CERTIFICATES.server, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.assertIn("! mta-sts.far.example: ", await self.fetch())
        await gone

    async def test_server_that_does_not_end(self) -> None:
        """Is given up in time, and its connection ended."""
        self.patch(fetching, "LIMIT", 0.3)
        self.file.silent = True
        self.assertIn("takes longer than 0.3 seconds", await self.fetch())

    async def test_where_the_dns_leads(self) -> None:
        """Nowhere, or behind our walls."""
        self.assertEqual(await self.fetch(public=False), "! mta-sts.far.example has no public address")
        for error in (NoSuchName("x"), NoAnswer("no answer")):
            self.addresses = error
            self.assertIn("! mta-sts.far.example: ", await self.fetch())
        self.addresses = ["127.0.0.3"]
        self.assertIn("[127.0.0.3] cannot be reached", await self.fetch())
        self.assertEqual(self.file.asked, [])


