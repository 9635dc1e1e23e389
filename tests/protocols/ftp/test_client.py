"""The client: against our server in memory, and against servers that misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.deadlines import Deadlines
from launcelot.protocols.ftp.client import (
    BadName,
    BadReply,
    ConnectionEnded,
    DataFailed,
    FTPClient,
    FTPClientFactory,
    Injected,
    NotSecure,
    Refused,
    TimedOut,
    Truncated,
)
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import connect_pair
from launcelot.testing.network import MemoryReactor
from launcelot.testing.site import World, memory_site
from tests.protocols.ftp.kit import Peer, make_factory

CERTIFICATES = Certificates("here.test")


class Collected:
    """A sink."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        """Keep it."""
        self.data += data


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    """A source."""
    for piece in data:
        yield piece


async def broken_source() -> AsyncIterator[bytes]:
    """A source that fails."""
    yield b"half"
    raise RuntimeError("no more")


class ClientCase(SynchronousTestCase):
    """A client and our server, joined."""

    tls: Any = False

    def setUp(self) -> None:
        self.peer = Peer(login=False, tls=self.tls)
        self.world = self.peer.world
        self.client = self.new_client()

    def new_client(self, implicit: bool = False, **settings: Any) -> FTPClient:
        """A client connected to a new session."""
        context = CERTIFICATES.client("here.test") if implicit else None
        factory = client_factory(self.world, implicit_tls=context)
        server = make_factory(self.world, implicit_tls=implicit, **settings)
        self.pair = connect_pair(factory, server, self.world.clock, self.world.network)
        client: FTPClient = self.pair.client
        return client

    def now(self, deferred: Deferred[Any]) -> Any:
        """The result of what needs no time."""
        self.world.network.pump()
        return self.successResultOf(deferred)

    def fails(self, deferred: Deferred[Any], kind: type[Exception]) -> Any:
        """How it failed."""
        self.world.network.pump()
        return self.failureResultOf(deferred, kind).value

    def login(self) -> None:
        """As ann, in clear."""
        self.now(self.client.login("ann", "pw", clear=True))


def client_factory(world: World, **options: Any) -> FTPClientFactory:
    """A client's factory in a world."""
    return FTPClientFactory(world.site.reactor, world.clock, Deadlines(world.clock), **options)


class ClientTests(ClientCase):
    """What works."""

    def test_files_both_ways(self) -> None:
        """Files go up, come down, are continued from both ends and appended to."""
        self.login()
        data = bytes(range(256)) * 1_000
        self.assertEqual(self.now(self.client.upload("f", pieces(data[:10], data[10:]))), len(data))
        self.assertEqual(self.peer.content("f"), data)
        sink = Collected()
        self.assertEqual(self.now(self.client.download("f", sink)), len(data))
        self.assertEqual(sink.data, data)
        rest = Collected()
        self.now(self.client.download("f", rest, 255_000))
        self.assertEqual(rest.data, data[255_000:])
        self.now(self.client.upload("f", pieces(b"end"), offset=5))
        self.now(self.client.upload("f", pieces(b"!"), append=True))
        self.assertEqual(self.peer.content("f"), data[:5] + b"end!")

    def test_names(self) -> None:
        """Folders and files are made, listed, told about, renamed and removed; odd names survive."""
        self.login()
        odd = b'caf\xe9 "x"'.decode("utf-8", "surrogateescape")
        self.now(self.client.make_folder(odd))
        self.now(self.client.change_folder(odd))
        self.assertEqual(self.now(self.client.working_folder()), "/" + odd)
        self.now(self.client.upload("f", pieces(b"123")))
        [entry] = self.now(self.client.listing())
        self.assertEqual((entry.name, entry.size, entry.is_folder), ("f", 3, False))
        self.assertEqual(self.now(self.client.size("f")), 3)
        self.assertEqual(self.now(self.client.modified("f")), 1_700_000_000.0)
        self.now(self.client.rename("f", "g"))
        self.now(self.client.remove("g"))
        self.now(self.client.change_folder("/"))
        self.now(self.client.remove_folder(odd))
        self.assertEqual(self.now(self.client.listing("/")), [])
        self.assertIn("REST STREAM", self.now(self.client.features()))
        self.now(self.client.quit())
        self.fails(self.client.size("f"), ConnectionEnded)

    def test_requests_at_once_keep_their_order(self) -> None:
        """Requests made without waiting are answered each with its own answer."""
        waiting = [self.client.login("ann", "pw", clear=True)]
        waiting += [self.client.make_folder(f"d{number}") for number in range(5)]
        asked = [self.client.upload(f"d{number}/f", pieces(b"x" * number)) for number in range(5)]
        sizes = [self.client.size(f"d{number}/f") for number in range(5)]
        for deferred in waiting:
            self.now(deferred)
        self.assertEqual([self.now(one) for one in asked], list(range(5)))
        self.assertEqual([self.now(one) for one in sizes], list(range(5)))

    def test_everything_octet_by_octet(self) -> None:
        """Delivery in single octets, both ways, changes nothing."""
        self.pair.deliver_in(1)
        self.login()
        self.now(self.client.upload("f", pieces(b"data")))
        self.assertEqual([entry.name for entry in self.now(self.client.listing())], ["f"])

    def test_refusals_are_told(self) -> None:
        """What the server refuses is Refused with its reply, and the session goes on."""
        self.assertEqual(self.fails(self.client.login("ann", "no", clear=True), Refused).reply.code, 530)
        self.login()
        self.assertEqual(self.fails(self.client.download("missing", Collected()), Refused).reply.code, 550)
        self.assertFalse(self.fails(self.client.upload("no/f", pieces(b"x")), Refused).temporary)
        self.fails(self.client.listing("missing"), Refused)
        self.fails(self.client.download("f", Collected(), 5), Refused)
        self.fails(self.client.remove("a\r\nDELE b"), BadName)
        self.assertEqual(self.now(self.client.working_folder()), "/")

    def test_upload_whose_source_fails_is_not_published(self) -> None:
        """If the source fails its error comes back, nothing is published, and the session goes on."""
        self.login()
        self.fails(self.client.upload("f", broken_source()), RuntimeError)
        self.assertEqual(self.peer.names(), [])
        self.assertEqual(self.now(self.client.working_folder()), "/")

    def test_upload_past_the_quota(self) -> None:
        """An upload that is refused half-way is Refused, not merely cut."""
        self.world.site.files.largest = 10  # type: ignore[attr-defined]
        self.login()
        self.assertEqual(self.fails(self.client.upload("f", pieces(b"x" * 200_000)), Refused).reply.code, 552)

    def test_password_stays_home_without_tls(self) -> None:
        """Without TLS the password is not sent unless that is said."""
        self.fails(self.client.login("ann", "pw"), NotSecure)
        self.assertEqual(self.pair.server.commands, 0)

    def test_reset_at_any_moment(self) -> None:
        """Whenever the connection is reset, every request ends, and a file is published whole or not at all."""
        for moment in range(1, 400, 7):
            self.setUp()
            self.pair.deliver_in(1)
            waiting: list[Deferred[Any]] = [self.client.login("ann", "pw", clear=True)]
            waiting.append(self.client.upload("f", pieces(b"0123456789")))
            ended: list[Any] = []
            for one in waiting:
                one.addBoth(ended.append)
            for _ in range(moment):
                self.world.network._move()
            self.client.abort()
            self.world.network.pump()
            self.assertEqual(len(ended), 2)
            self.assertIn(self.peer.names(), ([], ["f"]))
            if self.peer.names():
                self.assertEqual(self.peer.content("f"), b"0123456789")

    def test_cancelling_drops_the_connection(self) -> None:
        """A cancelled request ends at once; those behind it end, too."""
        self.login()
        self.peer.put("f", data=b"x" * 1_000_000)
        first = self.client.download("f", Collected())
        second = self.client.size("f")
        first.cancel()
        self.world.network.pump()
        self.failureResultOf(first, CancelledError)
        self.failureResultOf(second, ConnectionEnded)


class SecureClientTests(ClientCase):
    """Inside TLS."""

    tls = CERTIFICATES

    def test_explicit_tls(self) -> None:
        """AUTH TLS protects the password and the files."""
        self.now(self.client.secure_with(CERTIFICATES.client("here.test")))
        self.now(self.client.login("ann", "pw"))
        self.now(self.client.upload("f", pieces(b"secret")))
        sink = Collected()
        self.now(self.client.download("f", sink))
        self.assertEqual(sink.data, b"secret")
        self.assertEqual([entry.name for entry in self.now(self.client.listing())], ["f"])
        self.assertTrue(self.pair.server.session.protected)

    def test_implicit_tls(self) -> None:
        """TLS from the first octet does, too."""
        self.client = self.new_client(implicit=True)
        self.now(self.client.login("ann", "pw"))
        self.now(self.client.upload("f", pieces(b"secret")))
        self.assertEqual(self.peer.content("f"), b"secret")

    def test_wrong_name_is_not_trusted(self) -> None:
        """A certificate for another name ends the connection before the password is sent."""
        self.fails(self.client.secure_with(CERTIFICATES.client("elsewhere.test")), ConnectionEnded)
        self.fails(self.client.login("ann", "pw"), ConnectionEnded)
        self.assertEqual(self.pair.server.commands, 1)


class Scripted(Protocol):
    """A server that answers each line with the next words of a script, whatever was asked."""

    def __init__(self, script: list[bytes]) -> None:
        self.script = script
        self.heard: list[bytes] = []

    def connectionMade(self) -> None:
        """Greet."""
        self.say()

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        for line in data.splitlines():
            self.heard.append(line)
            self.say()

    def say(self) -> None:
        """The next words; b"" closes, None-like b"!" stays silent."""
        transport: Any = self.transport
        words = self.script.pop(0) if self.script else b"!"
        if not words:
            transport.loseConnection()
        elif words != b"!":
            transport.write(words)


class MisbehavingTests(SynchronousTestCase):
    """Servers that say wrong things, or nothing."""

    def setUp(self) -> None:
        self.world = memory_site()

    def connect(self, *script: bytes) -> FTPClient:
        """A client of a scripted server."""
        self.server = Scripted(list(script))
        self.factory = Factory.forProtocol(lambda: self.server)
        pair = connect_pair(client_factory(self.world), self.factory, self.world.clock, self.world.network)
        client: FTPClient = pair.client
        return client

    def fails(self, deferred: Deferred[Any], kind: type[Exception]) -> Any:
        """How it failed."""
        self.world.network.pump()
        return self.failureResultOf(deferred, kind).value

    def test_words_behind_auth_are_not_believed(self) -> None:
        """If anything comes in clear behind the 234, the connection is dropped and nothing more is sent.  T03."""
        for injected in (b"200 PBSZ ok\r\n", b"2", b"200 ok\r\n200 ok\r\n230 in\r\n"):
            client = self.connect(b"220 hi\r\n", b"234 go\r\n" + injected)
            first = client.secure_with(CERTIFICATES.client("here.test"))
            second = client.login("ann", "pw", clear=True)
            self.fails(first, Injected)
            self.fails(second, ConnectionEnded)
            self.assertEqual(self.server.heard, [b"AUTH TLS"])

    def test_words_nobody_asked_for(self) -> None:
        """A reply before the question is not taken for its answer; 421 is told as what it is."""
        client = self.connect(b"220 hi\r\n257 \"/\" is it\r\n230 in\r\n")
        self.fails(client.working_folder(), BadReply)
        self.assertEqual(self.server.heard, [])
        client = self.connect(b"220 hi\r\n421 going down\r\n")
        self.assertEqual(self.fails(client.working_folder(), Refused).reply.code, 421)

    def test_what_is_no_reply(self) -> None:
        """Noise, endless lines and endless replies are BadReply, with bounded memory."""
        for noise in (b"hello\r\n", b"99 x\r\n", b"220\n", b"x" * 20_000, b"220-x\r\n" + b"more\r\n" * 3_000):
            client = self.connect(noise)
            self.fails(client.working_folder(), BadReply)

    def test_replies_of_many_lines(self) -> None:
        """Lines inside a reply may look like anything but its end."""
        client = self.connect(b"220-a\r\n220 hi\r\n", b"257-x\r\n230 y\r\n257x\r\n257 \"/a\"\r\n")
        deferred = client.working_folder()
        self.world.network.pump()
        self.assertEqual(self.successResultOf(deferred), "/a")

    def test_silence(self) -> None:
        """A server that says nothing, at first or later, is TimedOut after a minute."""
        for script in ((b"!",), (b"220 hi\r\n", b"!")):
            deferred = self.connect(*script).working_folder()
            self.world.advance(58)
            self.assertNoResult(deferred)
            self.world.advance(4)
            self.fails(deferred, TimedOut)

    def test_closing(self) -> None:
        """A server that closes is ConnectionEnded, for all that wait."""
        client = self.connect(b"220 hi\r\n", b"")
        first, second = client.working_folder(), client.features()
        self.fails(first, ConnectionEnded)
        self.fails(second, ConnectionEnded)

    def test_refusing_at_the_door(self) -> None:
        """A greeting of 421 is Refused."""
        self.assertEqual(self.fails(self.connect(b"421 full\r\n").features(), Refused).reply.code, 421)

    def test_address_in_a_227_is_not_believed(self) -> None:
        """The data connection goes to the control connection's host, whatever a 227 says."""
        asked: list[str] = []

        class Watching(MemoryReactor):
            def connectTCP(self, host: str, *args: Any, **kw: Any) -> Any:
                asked.append(host)
                return super().connectTCP(host, *args, **kw)

        self.world.site.reactor = Watching(self.world.clock, self.world.network)
        client = self.connect(b"220 hi\r\n", b"200 type\r\n", b"500 no\r\n", b"227 (10,9,8,7,4,1)\r\n")
        self.fails(client.listing(), DataFailed)
        self.assertEqual(asked, ["127.0.0.1"])
        self.assertEqual(self.server.heard, [b"TYPE I", b"EPSV", b"PASV"])

    def test_download_without_its_end(self) -> None:
        """If the data connection is reset the download is Truncated even if the server says 226."""
        outer = self

        class DataServer(Protocol):
            def connectionMade(self) -> None:
                transport: Any = self.transport
                transport.write(b"half")
                outer.data = self  # type: ignore[attr-defined]

        port = self.world.network.listen(0, Factory.forProtocol(DataServer))
        passive = b"229 ok (|||%d|)\r\n" % port.getHost().port
        client = self.connect(b"220 hi\r\n", b"200 type\r\n", passive, b"150 here\r\n")
        sink = Collected()
        deferred = client.download("f", sink)
        self.world.network.pump()
        self.data.transport.abortConnection()  # type: ignore[attr-defined]
        self.world.network.pump()
        self.server.transport.write(b"226 done\r\n")  # type: ignore[union-attr]
        self.fails(deferred, Truncated)
