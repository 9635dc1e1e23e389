"""
The cases of the project's catalogue of attacks that concern POP3, by their numbers: T01 to T05, P01 to P04.

Those that need sockets are in ``tests/attacks``; here is what a memory network and a process of its own show better.
"""

import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import patch

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.interface import INBOX
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.protocols.pop3.client import NotSecure, Pop3ClientFactory
from launcelot.protocols.pop3.maildrop import Maildrop
from launcelot.testing.link import Link, RawPeer, connect_pair, every_split
from launcelot.workers import database
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands
from tests.protocols.pop3.world import FIRST, SECOND, Post
from tests.protocols.scramming import CERTIFICATES


class TlsTests(SynchronousTestCase):
    """What happens around STLS."""

    def setUp(self) -> None:
        self.post = Post(tls=CERTIFICATES)

    def raw_hello(self) -> bytes:
        """The first octets of a handshake."""
        connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        connection.set_connect_state()
        with self.assertRaises(SSL.WantReadError):
            connection.do_handshake()
        return connection.bio_read(65_536)

    def test_t01_nothing_behind_the_command_is_executed(self) -> None:
        """In one segment, whole and in part; one error, a close, and nobody has logged in."""
        for injected in (b"CAPA\r\n", b"STLS\r\n", b"USER ann\r\nPASS pw\r\nDELE 1\r\nQUIT\r\n", b"X", b"\r\n", b"\n"):
            link = self.post.connect()
            link.say(b"STLS\r\n" + injected)
            self.assertEqual(link.take(), b"-ERR nothing may follow STLS in the clear\r\n")
            self.assertTrue(link.closed)
        self.assertEqual(len(self.post.bodies()), 2)

    def test_t02_a_hello_glued_to_the_command(self) -> None:
        """At each octet: a close where any of it came with STLS, a handshake where it came behind; never a hang."""
        hello = self.raw_hello()
        for cut in [*range(0, len(hello), 7), len(hello)]:
            link = self.post.connect()
            link.say(b"STLS\r\n" + hello[:cut])
            link.say(hello[cut:])
            said = link.take()
            if cut:
                self.assertEqual(said, b"-ERR nothing may follow STLS in the clear\r\n")
                self.assertTrue(link.closed)
            else:
                self.assertEqual(said[:15], b"+OK begin TLS\r\n")
                self.assertEqual(said[15:17], b"\x16\x03", "no record of a handshake")
            link.abort()

    def test_t02_a_hello_in_pieces(self) -> None:
        """Behind the answer it may come octet by octet."""
        hello = self.raw_hello()
        link = self.post.connect()
        link.say(b"STLS\r\n")
        self.assertEqual(link.take(), b"+OK begin TLS\r\n")
        link.say(hello, chunk=1)
        self.assertEqual(link.take()[:2], b"\x16\x03")

    def test_t03_an_answer_injected_into_our_client(self) -> None:
        """Any octets behind the go-ahead: dropped, no password sent, every request fails as not secure."""
        world = self.post.world
        for injected, _ in list(every_split(b"+OK\r\n-ERR\r\n"))[1:]:
            pair = connect_pair(
                Pop3ClientFactory(world.clock), Factory.forProtocol(RawPeer), world.clock, world.network
            )
            waiting = [pair.client.stls(world.client_tls("localhost")), pair.client.status()]
            pair.server.transport.write(b"+OK hello\r\n")
            pair.flush()
            pair.server.transport.write(b"+OK begin\r\n" + injected)
            pair.flush()
            for one in waiting:
                self.failureResultOf(one, NotSecure)
            self.assertEqual(bytes(pair.server.heard), b"STLS\r\n")
            self.assertIsNotNone(pair.server.lost)

    def test_t04_nothing_is_kept_over_tls(self) -> None:
        """A name is not; TLS is not started twice, nor once somebody has logged in; before it no password is taken."""
        post = Post(tls=CERTIFICATES, plaintext_login="never")
        link = post.connect()
        post.play("C: USER ann\nS: -ERR *\nC: AUTH PLAIN AGFubgBwdw==\nS: -ERR *\nC: STLS\nS: +OK *", link)
        link.start_tls(post.world.client_tls("localhost"))
        post.play("C: PASS pw\nS: -ERR USER comes first\nC: STLS\nS: -ERR TLS is in use already", link)
        post.play("C: USER ann\nS: +OK *\nC: PASS pw\nS: +OK *\nC: STLS\nS: -ERR not in TRANSACTION state", link)

    def test_t05_close_notify_in_the_middle_of_a_command(self) -> None:
        """Whatever follows in the clear is not taken for its rest: nothing is removed."""
        said = b"DELE 1\r\nQUIT\r\n"
        for first, second in list(every_split(said))[:-1]:
            post = Post(tls=CERTIFICATES)
            link = post.connect()
            link.say(b"STLS\r\n")
            link.take()
            link.start_tls(post.world.client_tls("localhost"))
            link.say(b"USER ann\r\nPASS pw\r\n" + first)
            self.close_notify(link)
            self.below(link).write(second)
            link.flush()
            self.assertEqual(len(post.bodies()), 2, first)
            post.world.advance(6)
            self.assertEqual(post.factory.sessions, set())

    def below(self, link: Link) -> Any:
        """The transport under TLS."""
        layer: Any = link.peer.transport
        return layer.transport

    def close_notify(self, link: Link) -> None:
        """Send that record and nothing else."""
        layer: Any = link.peer.transport
        layer._tlsConnection.shutdown()
        layer._flushSendBIO()
        link.flush()


class NumberTests(SynchronousTestCase):
    """P01 on the largest maildrops; the rest of it is in ``tests/attacks/test_pop3.py``."""

    def test_p01_identifiers_of_a_hundred_thousand(self) -> None:
        """Each differs from all others, has 70 octets at most, and only characters that RFC 1939 allows; so does the last."""
        post = Post(())
        mailbox = post.inbox()
        count = 100_000

        async def sizes() -> list[tuple[int, int]]:
            return [(4_294_967_295 - 2 * (count - number), 10) for number in range(count)]

        with patch.object(mailbox, "sizes", sizes):
            drop = post.world.result(Maildrop.open(mailbox))
        lines = b"".join(drop.unique_id_lines()).decode().splitlines()
        found = {line.split(" ")[1] for line in lines}
        self.assertEqual((len(lines), len(found)), (count, count))
        self.assertLessEqual(max(map(len, found)), 70)
        self.assertTrue(all(set(one) <= set("0123456789.") for one in found))
        self.assertEqual((drop.messages, drop.octets), (count, 10 * count))

    def test_p01_lines_without_end(self) -> None:
        """TOP with more lines than there are is the whole message; a number that is none is an error."""
        post = Post()
        link = post.logged_in()
        link.say(b"TOP 1 999999999999\r\n")
        self.assertEqual(link.take(), b"+OK top of message\r\n" + FIRST + b".\r\n")
        for argument in ("1 -1", "-1 1", "1 1e3", "0 0", "1", "1 99999999999999999999999", "1 1 1"):
            post.play(f"C: TOP {argument}\nS: -ERR *", link)


class KillTests(SynchronousTestCase):
    """P02: the daemon is killed while it removes."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def store(self, folder: Path) -> SqliteMailStore:
        """The mail in a folder; jobs run where they stand."""
        hands = Hands()
        return SqliteMailStore(folder, [InlineWorkers()], InlineWorkers(), hands.now, hands.new_id)

    def made(self) -> Path:
        """Ann's five messages."""
        folder = self.folder / "first"
        store = self.store(folder)

        async def fill() -> None:
            inbox = await (await store.mail(ANN)).mailbox(INBOX)
            for number in range(5):
                await inbox.append(b"Subject: %d\r\n\r\n" % number, ())
            await store.close()

        self.successResultOf(Deferred.fromCoroutine(fill()))
        return folder

    async def remove(self, store: SqliteMailStore) -> int:
        """Log in, mark three, QUIT."""
        drop = await Maildrop.open(await (await store.mail(ANN)).mailbox(INBOX))
        for number in (1, 3, 5):
            drop.delete(number)
        return await drop.update()

    def left(self, folder: Path) -> list[bytes]:
        """What is there after a restart."""
        store = self.store(folder)

        async def look() -> list[bytes]:
            inbox = await (await store.mail(ANN)).mailbox(INBOX)
            found = [await inbox.read(uid, 0, 100) for uid in await inbox.uids()]
            await store.close()
            return found

        return self.successResultOf(Deferred.fromCoroutine(look()))

    def test_p02_killed_at_every_statement(self) -> None:
        """All of the marked are gone or none, whatever the moment; and somewhere between the first and the last it turns."""
        first = self.made()
        outcomes = []
        for place in range(200):
            folder = self.folder / str(place)
            shutil.copytree(first, folder)
            child = os.fork()
            if child == 0:
                self.remove_and_die(folder, place)
            _, status = os.waitpid(child, 0)
            numbers = [int(one.split()[1]) for one in self.left(folder)]
            self.assertIn(numbers, ([0, 1, 2, 3, 4], [1, 3]), place)
            outcomes.append(numbers)
            if not os.WIFSIGNALED(status):
                break
        else:
            self.fail("it never ends")
        self.assertEqual((outcomes[0], outcomes[-1]), ([0, 1, 2, 3, 4], [1, 3]))
        self.assertGreater(len(outcomes), 5)
        self.assertEqual(outcomes, sorted(outcomes), "what was removed has come back")

    def remove_and_die(self, folder: Path, place: int) -> None:
        """In a child: remove, and be killed as the writing connection begins a statement."""
        left = [None] * place
        opened = database.connect

        def count(statement: str) -> None:
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left.pop()

        def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
            connection = opened(path, read_only)
            if not read_only:
                connection.set_trace_callback(count)
            return connection

        try:
            with patch.object(database, "connect", connect):
                Deferred.fromCoroutine(self.remove(self.store(folder)))
        finally:
            os._exit(0)


class StuffingTests(SynchronousTestCase):
    """P04."""

    def test_p04_our_client_has_what_the_store_has(self) -> None:
        """Dots, ends of data inside, no end of line, a line of a mebibyte; whatever the size of the pieces."""
        bodies = [
            b".\r\n", b"..\r\n", b"\r\n.\r\n.\r\n", b".\r\n.\r\n..\r\n...\r\n", SECOND, b"x", b"", b".",
            b"a: b\r\n\r\n" + b"." * (1 << 20) + b"\r\n",
            b"a: b\r\n\r\n" + b"\r\n.\r\n" * 20_000,
        ]  # fmt: skip
        post = Post(bodies)
        for chunk in (1, 3, 1 << 20):
            factory = Pop3ClientFactory(post.world.clock, plaintext_login=True)
            pair = connect_pair(factory, post.factory, post.world.clock, post.world.network)
            pair.client.login("ann", "pw")
            pair.client.capabilities()
            pair.flush()
            pair.deliver_in(chunk)
            for number, body in enumerate(bodies, 1):
                if len(body) > 1_000 * chunk:
                    continue
                pieces: list[bytes] = []
                done = pair.client.retrieve(number, pieces.append)
                pair.flush()
                self.successResultOf(done)
                whole = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
                self.assertEqual(b"".join(pieces), whole)
            pair.client.quit()
            pair.flush()
