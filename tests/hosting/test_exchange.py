"""New services in the place of old ones, on real sockets."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.trial.unittest import TestCase

from launcelot.hosting.exchange import Change, Exchange
from launcelot.hosting.listening import CannotListen, Listener, Listeners
from tests.hosting.bare import TalkerFactory, talker_factory
from tests.testing.conformance import Recorder

FREE = "tcp:0:interface=127.0.0.1"


def service(*endpoints: str, per_source: int = 1000, name: str = "talk") -> Listeners:
    """A service of the bare Site."""
    clock: Any = reactor
    factory = talker_factory(clock, per_source=per_source)
    return Listeners(reactor, [Listener(name, endpoint, factory) for endpoint in endpoints])


def factory_of(listeners: Listeners) -> TalkerFactory:
    """Who makes its sessions."""
    factory = listeners.listeners[0].factory
    assert isinstance(factory, TalkerFactory)
    return factory


class ExchangeTests(TestCase):
    """Ports and sessions."""

    timeout = 120

    async def listening(self, *endpoints: str, per_source: int = 1000) -> Listeners:
        """A service that listens."""
        listeners = service(*endpoints, per_source=per_source)
        await listeners.listen()
        self.addCleanup(self.close, listeners)
        return listeners

    async def exchange(self, *pairs: tuple[Listeners, Listeners]) -> Change:
        """Put the new in place of the old."""
        for _, new in pairs:
            self.addCleanup(self.close, new)
        return await Exchange(pairs).run()

    async def close(self, listeners: Listeners) -> None:
        """Close its ports and sessions."""
        await listeners.unlisten()
        for one in listeners.listeners:
            await one.factory.drain(0)

    async def peer(self, port: int) -> Recorder:
        """Somebody who has been greeted."""
        peer = Recorder()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), peer)
        await peer.when(lambda: peer.heard.startswith(b"hello\r\n"))
        return peer

    async def says(self, peer: Recorder, line: bytes) -> None:
        """A session that answers."""
        peer.end.write(line + b"\r\n")
        await peer.when(lambda: peer.heard.endswith(b"<" + line + b">\r\n"))

    async def test_kept(self) -> None:
        """A port in common stays open; who is connected stays with the old service, who comes is the new one's."""
        old = await self.listening(FREE)
        port = old.listening[0].port
        before = await self.peer(port)
        new = service(FREE)
        change = await self.exchange((old, new))
        self.assertEqual(([], []), (list(change.opened), list(change.closed)))
        self.assertEqual(port, new.listening[0].port)
        self.assertEqual([], old.listening)
        after = await self.peer(port)
        await self.says(before, b"still here")
        await self.says(after, b"new here")
        self.assertEqual((1, 1), (len(factory_of(old).sessions), len(factory_of(new).sessions)))
        await self.close(old)
        await after.when(lambda: True)
        self.assertEqual(1, len(factory_of(new).sessions))

    async def test_opened_and_closed(self) -> None:
        """Endpoints come and go; the order is the new one's."""
        old = await self.listening(FREE, "tcp:0:interface=127.0.0.2")
        gone = old.listening[1]
        before = await self.peer(old.listening[0].port)
        new = service("tcp:0:interface=127.0.0.3", FREE)
        change = await self.exchange((old, new))
        self.assertEqual([gone], list(change.closed))
        self.assertEqual(["127.0.0.3", "127.0.0.1"], [one.host for one in new.listening])
        self.assertEqual(["127.0.0.3"], [one.host for one in change.opened])
        self.assertRaises(ConnectionRefusedError, socket.create_connection, (gone.host, gone.port))
        await self.says(before, b"still here")

    async def test_same_endpoint_twice(self) -> None:
        """Two ports that the system chose are two, and stay."""
        old = await self.listening(FREE, FREE)
        ports = [one.port for one in old.listening]
        new = service(FREE, FREE)
        await self.exchange((old, new))
        self.assertEqual(ports, [one.port for one in new.listening])

    async def test_taken_endpoint(self) -> None:
        """When one cannot be had, all is as it was before."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        number = taken.getsockname()[1]
        old = await self.listening(FREE, "tcp:0:interface=127.0.0.2")
        before = old.listening
        new = service(FREE, "tcp:0:interface=127.0.0.3", f"tcp:{number}:interface=127.0.0.1")
        with self.assertRaises(CannotListen) as caught:
            await self.exchange((old, new))
        self.assertIn(f"127.0.0.1:{number}: Address already in use", str(caught.exception))
        self.assertEqual([], new.listening)
        self.assertEqual(before[0], old.listening[0])
        for one in old.listening:
            await connectProtocol(TCP4ClientEndpoint(reactor, one.host, one.port), Recorder())
        await self.says(await self.peer(before[0].port), b"as before")

    async def test_taken_endpoint_while_nothing_goes(self) -> None:
        """The same where nothing is closed; what was opened is closed again."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        old = await self.listening(FREE)
        new = service(FREE, "tcp:0:interface=127.0.0.3", f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1")
        with self.assertRaises(CannotListen):
            await self.exchange((old, new))
        await self.says(await self.peer(old.listening[0].port), b"as before")

    async def test_port_changes_hands(self) -> None:
        """Written otherwise, and from one service to another: the old port is closed before the new is opened."""
        old = await self.listening(FREE)
        number = old.listening[0].port
        before = await self.peer(number)
        # Not all addresses: another program may have the same port on one of them.
        new = service(f"tcp:{number}:interface=127.0.0.1:backlog=100")
        change = await self.exchange((old, new))
        self.assertEqual((1, 1, number), (len(change.opened), len(change.closed), new.listening[0].port))
        await self.says(await self.peer(number), b"new")
        await self.says(before, b"old")
        other = service(f"tcp:{number}:interface=127.0.0.1", name="other")
        await self.exchange((new, service()), (service(), other))
        await self.says(await self.peer(number), b"other")

    async def test_limits(self) -> None:
        """The sessions of before count, under the new limit."""
        old = await self.listening(FREE, per_source=3)
        port = old.listening[0].port
        first, second = await self.peer(port), await self.peer(port)
        new = service(FREE, per_source=2)
        await self.exchange((old, new))
        refused = Recorder()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), refused)
        await refused.when(lambda: bytes(refused.heard) == b"full\r\n")
        first.end.write(b"QUIT\r\n")
        await first.when(lambda: first.heard.endswith(b"bye\r\n"))
        first.end.loseConnection()
        while len(factory_of(old).sessions) > 1:
            await self.says(second, b"not yet")
        await self.says(await self.peer(port), b"room")

    async def test_service_switched_off_and_on(self) -> None:
        """Off: the port is closed, sessions go on.  On again: a port is opened."""
        old = await self.listening(FREE)
        before = await self.peer(old.listening[0].port)
        off = service()
        change = await self.exchange((old, off))
        self.assertEqual(1, len(change.closed))
        await self.says(before, b"still here")
        on = service(FREE)
        change = await self.exchange((off, on))
        self.assertEqual(1, len(change.opened))
        await self.says(await self.peer(on.listening[0].port), b"here")
