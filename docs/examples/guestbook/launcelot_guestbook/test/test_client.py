"""The client, against our server and against peers that are none."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from launcelot.hosting.calling import Closed, Confused, Reset, TimedOut
from launcelot.testing.link import Pair, RawPeer, connect_pair
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from launcelot_guestbook.client import Declined, GuestbookClient, GuestbookClientFactory
from launcelot_guestbook.grammar import SyntaxWrong
from launcelot_guestbook.test.world import BookCase


class ClientCase(BookCase):
    """Joins the client to servers."""

    tls = True

    def pair(self, server: Any = None) -> Pair[GuestbookClient, Any]:
        """A client and a server."""
        factory = GuestbookClientFactory(self.world.clock)
        return connect_pair(factory, server or self.factory, self.world.clock, self.world.network)

    def do(self, waiting: Coroutine[Any, Any, Any]) -> Any:
        """What a request gives."""
        return self.world.result(waiting)


class OwnServerTests(ClientCase):
    """Both ends are ours."""

    def test_visit(self) -> None:
        """Everything there is, whole and octet by octet."""
        for number, chunk in ((1, 65_536), (2, 1)):
            pair = self.pair()
            pair.deliver_in(chunk)
            client = pair.client
            self.do(client.secure_with(self.world.client_tls()))
            self.do(client.log_in("ann", "pw"))
            self.assertEqual(number, self.do(client.leave_note("Grüße")))
            self.assertEqual(["Grüße"], [one.text for one in self.do(client.read_notes(1))])
            self.do(client.leave())
            self.assertEqual([], self.world.network.open_ends)

    def test_requests_wait_for_each_other(self) -> None:
        """Asked at once, answered in order."""
        client = self.pair().client
        asked = [client.log_in("ann", "pw"), client.leave_note("one"), client.leave_note("two"), client.read_notes()]
        waiting = [Deferred.fromCoroutine(one) for one in asked]
        self.world.network.pump()
        results: list[Any] = [self.successResultOf(one) for one in waiting]
        self.assertEqual([None, 1, 2], results[:3])
        self.assertEqual(["one", "two"], [one.text for one in results[3]])

    def test_declined(self) -> None:
        """With the server's words; the connection can be used on."""
        client = self.pair().client
        with self.assertRaises(Declined) as caught:
            self.do(client.log_in("ann", "wrong"))
        self.assertEqual(("NO", "NO authentication failed"), (caught.exception.word, str(caught.exception)))
        self.do(client.log_in("ann", "pw"))

    def test_request_of_two_lines(self) -> None:
        """Refused before anything is sent."""
        with self.assertRaises(SyntaxWrong):
            self.do(self.pair().client.leave_note("a\r\nQUIT"))


class StrangeServerTests(ClientCase):
    """Servers that are none."""

    def asked(self, said: bytes) -> tuple[Deferred[Any], Any]:
        """A request to a server that says something when it is connected to; and that server."""
        pair = self.pair(Factory.forProtocol(RawPeer))
        waiting = Deferred.fromCoroutine(pair.client.read_notes())
        pair.server.transport.write(said)
        pair.flush()
        return waiting, pair.server

    def test_nonsense(self) -> None:
        """Nothing of it is believed, and the connection is dropped."""
        note = b"* 1 a b c\r\n"
        behind = (b"OK \xff\r\n", b"* x\r\n", 101 * note)
        for said in (b"220 hi\r\n", b"OK\n", b"x" * 10_000, *(b"OK hi\r\n" + one for one in behind)):
            waiting, server = self.asked(said)
            self.failureResultOf(waiting, Confused)
            self.world.network.pump()
            self.assertTrue(server.ended, said[:20])

    def test_silence(self) -> None:
        """Thirty seconds."""
        waiting, _ = self.asked(b"OK hi\r\n")
        self.world.advance(29)
        self.assertNoResult(waiting)
        self.world.advance(2)
        self.failureResultOf(waiting, TimedOut)

    def test_ends(self) -> None:
        """A close and a reset are told apart."""
        for end, kind in (("loseConnection", Closed), ("abortConnection", Reset)):
            waiting, server = self.asked(b"OK hi\r\n* 1 a b c\r\n")
            getattr(server.transport, end)()
            self.world.network.pump()
            self.failureResultOf(waiting, kind)

    def test_octets_behind_the_reply_to_starttls(self) -> None:
        """Somebody in the middle may have put them there."""
        pair = self.pair(Factory.forProtocol(RawPeer))
        waiting = Deferred.fromCoroutine(pair.client.secure_with(None))
        pair.server.transport.write(b"OK hi\r\nOK begin TLS\r\nOK welcome\r\n")
        pair.flush()
        self.failureResultOf(waiting, Confused)
