"""How fast files may move, and what address is told whom."""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.ids import AccountId
from launcelot.core.limits import Bucket
from launcelot.hosting.listening import Listeners
from launcelot.protocols.ftp.data import UNPACED
from launcelot.protocols.ftp.pacing import Rates
from launcelot.protocols.ftp.service import Settings, build
from launcelot.protocols.ftp.side import Advertised, passive_addresses
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site
from tests.protocols.ftp.kit import Peer

RATE = 10_000
FILE = bytes(range(250)) * 400
"""What takes ten seconds."""


class BucketTests(SynchronousTestCase):
    """:class:`Bucket`."""

    def test_average_is_kept(self) -> None:
        """Who waits as long as it is told moves its octets in their time, whatever the pieces; an idle bucket saves a second."""
        for piece in (1, 333, 5_000, 100_000):
            bucket, now, moved = Bucket(1_000), 50.0, 0
            while moved < 200_000:
                moved += piece
                now += bucket.take(piece, now)
            self.assertAlmostEqual(now - 50.0, moved / 1_000 - Bucket.SAVED, places=3)

    def test_those_who_share_wait_for_each_other(self) -> None:
        """What one has taken the next pays for."""
        bucket = Bucket(1_000)
        self.assertEqual(bucket.take(1_000, 0.0), 0.0)
        self.assertEqual([bucket.take(500, 0.0), bucket.take(500, 0.0)], [0.5, 1.0])


class RateTests(SynchronousTestCase):
    """Limits as peers meet them."""

    def arriving(self, peer: Peer, data: list[Link], seconds: int) -> list[int]:
        """Octets that have come on all connections at the end of each second."""
        came = [sum(len(link.peer.heard) for link in data)]
        for _ in range(seconds):
            peer.world.advance(1)
            came.append(sum(len(link.peer.heard) for link in data))
        return came

    def test_downloads_keep_to_the_rate(self) -> None:
        """A file comes evenly at the rate, and is whole at the end."""
        peer = Peer(session_rate=RATE)
        peer.put("f", data=FILE)
        data = peer.data()
        peer.do("RETR f")
        came = self.arriving(peer, [data], 11)
        for second, octets in enumerate(came):
            self.assertLessEqual(octets, RATE * (second + 2))
            self.assertGreaterEqual(octets, min(len(FILE), RATE * second))
        self.assertEqual(bytes(data.peer.heard), FILE)
        self.assertEqual(peer.link.take()[:3], b"226")

    def test_logging_in_again_gives_nothing(self) -> None:
        """What a session has moved counts for it, whatever it says of who it is."""
        for words in (("PASS pw",), ("USER ann", "PASS pw", "TYPE I")):
            peer = Peer(session_rate=RATE)
            peer.put("f", data=FILE[: 2 * RATE])
            data = peer.data()
            peer.do("RETR f")
            self.arriving(peer, [data], 1)
            self.assertEqual(peer.link.take()[:3], b"226")
            peer.do(*words)
            data = peer.data()
            peer.do("RETR f")
            self.assertLess(len(data.peer.heard), RATE // 2, words)

    def test_sessions_of_an_account_share(self) -> None:
        """Two sessions of an account together get its rate, each way for itself; another account has its own."""
        peer = Peer(account_rate=RATE)
        peer.put("f", data=FILE)
        peer.world.add_user("bob", "pw")
        second = Peer(world=peer.world, login=False, account_rate=RATE)
        second.factory.rates = peer.factory.rates
        second.login()
        links = [peer.data(), second.data()]
        peer.do("RETR f")
        second.do("RETR f")
        came = self.arriving(peer, links, 10)
        self.assertLessEqual(came[-1], RATE * 12)
        self.assertGreaterEqual(came[-1], RATE * 10)
        up = Peer(world=peer.world, login=False)
        up.factory.rates = peer.factory.rates
        up.login()
        self.assertIn(b"226", up.send("STOR g", b"x" * RATE))

    def test_uploads_keep_to_the_rate(self) -> None:
        """An upload is read no faster than the rate, and is published whole."""
        peer = Peer(session_rate=RATE)
        data = peer.data()
        peer.do("STOR f")
        data.say(FILE)
        data.close()
        peer.world.advance(5)
        self.assertEqual(peer.link.take(), b"")
        for _ in range(8):
            peer.world.advance(1)
        self.assertEqual(peer.link.take()[:3], b"226")
        self.assertEqual(peer.content("f"), FILE)

    def test_abort_does_not_wait(self) -> None:
        """ABOR and a lost control connection end a transfer that waits for its turn, both ways."""
        for command in ("RETR f", "STOR f"):
            peer = Peer(session_rate=100)
            peer.put("f", data=FILE)
            data = peer.data()
            peer.do(command)
            if command == "STOR f":
                data.say(FILE)
            heard = peer.do("ABOR")
            self.assertEqual([heard[:3], heard.split(b"\r\n")[1][:3]], [b"426", b"226"])
            self.assertEqual(peer.content("f"), FILE)
            peer.data()
            peer.do(command)
            peer.link.abort()
            self.assertEqual(peer.factory.sessions, set())
            self.assertEqual(peer.world.clock.getDelayedCalls(), [])

    def test_accounts_are_forgotten(self) -> None:
        """With its last session what an account has moved is forgotten."""
        rates = Rates(0, RATE)
        first, second = rates.of(AccountId("a1"), UNPACED), rates.of(AccountId("a1"), UNPACED)
        self.assertIs(first.sending[0], second.sending[0])
        self.assertIsNot(first.sending[0], first.receiving[0])
        del first, second
        gc.collect()
        self.assertEqual(len(rates._shared), 0)

    def test_both_listeners_share(self) -> None:
        """The factories of one service have one set of limits."""
        built = build(memory_site(tls=True).site, Settings(account_rate=RATE))
        self.assertIsInstance(built, Listeners)
        clear, secure = (listener.factory for listener in built.listeners)
        self.assertIs(clear.rates, secure.rates)  # type: ignore[attr-defined]


class AddressTests(SynchronousTestCase):
    """What a 227 tells."""

    def test_by_network(self) -> None:
        """The first network that holds the peer counts, wrapped addresses included; the others are told the usual one."""
        told = Advertised("203.0.113.7", ["192.168.0.0/16=192.168.1.5", "10.0.0.0/8=", "2001:db8::/32=203.0.113.9"])
        for peer, address in (
            ("192.168.7.7", "192.168.1.5"),
            ("::ffff:192.168.7.7", "192.168.1.5"),
            ("10.1.2.3", ""),
            ("2001:db8::5", "203.0.113.9"),
            ("198.51.100.1", "203.0.113.7"),
            ("unix", "203.0.113.7"),
        ):
            self.assertEqual(told.to(peer), address, peer)

    def test_peers_are_told_theirs(self) -> None:
        """Each session's PASV tells the address of its network, EPSV none."""
        told = {"192.168.7.7": b"(192,168,1,5,", "198.51.100.1": b"(203,0,113,7,", "10.1.1.1": b"(127,0,0,1,"}
        for source, address in told.items():
            peer = Peer(
                source=source,
                plaintext_login="always",
                passive_address="203.0.113.7",
                passive_addresses=("192.168.0.0/16=192.168.1.5", "10.0.0.0/8="),
            )
            self.assertIn(address, peer.do("PASV"))
            self.assertIn(b"(|||", peer.do("EPSV"))

    def test_what_cannot_be(self) -> None:
        """Each mistake is told in one line that shows how it is written."""
        wrong = ("", "192.168.0.0/16", "192.168.0.1/16=1.2.3.4", "x=1.2.3.4", "10.0.0.0/8=::1", "10.0.0.0/8=0.0.0.0", "=1.2.3.4")
        for text in wrong:
            error = self.assertRaises(ValueError, passive_addresses, [text])
            self.assertIn("write 192.168.0.0/16=192.168.1.5", str(error))
