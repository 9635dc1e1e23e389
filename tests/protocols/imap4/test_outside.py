"""Programs we did not write, over real sockets: imaplib, curl, Twisted's IMAP4Client."""

from __future__ import annotations

import imaplib
import shutil
import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.mail.imap4 import IMAP4Client, MessageSet
from twisted.trial.unittest import TestCase

from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.gather import gather
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.protocols.imap4.client import ImapClientFactory
from launcelot.protocols.imap4.service import Settings, build
from launcelot.testing.site import memory_site
from launcelot.workers.threads import ThreadWorkers
from tests.protocols.imap4.world import MESSAGE


class OutsideCase(TestCase):
    """The service on a free port of this machine."""

    timeout = 60
    in_files = False

    def setUp(self) -> Deferred[Any]:  # type: ignore[override]
        self.world = memory_site()
        self.world.add_user("ann", "pw")
        site = self.world.site
        site.reactor = reactor
        site.clock = reactor
        site.deadlines = Deadlines(reactor)
        self.closing: list[Callable[[], Any]] = []
        if self.in_files:
            real: Any = reactor
            threads = [ThreadWorkers(real, name, 1) for name in ("writer", "reader")]
            site.mail = SqliteMailStore(Path(self.mktemp()), threads[:1], threads[1], site.now, site.new_id)
            self.closing = [threads[0].close, threads[1].close]
        self.service = build(site, Settings(listen=("tcp:0:interface=127.0.0.1",)))
        return Deferred.fromCoroutine(self.begin())

    async def begin(self) -> None:
        await self.service.listen()
        self.port = self.service.listening[0].port

    def tearDown(self) -> Deferred[Any]:  # type: ignore[override]
        for stream in self.service.listeners[0].factory.sessions:
            stream.close()
        return Deferred.fromCoroutine(self.end())

    async def end(self) -> None:
        await self.service.stopService()
        if self.in_files:
            await self.world.site.mail.close()
        for close in self.closing:
            await close()

    def in_thread(self, talk: Callable[[], None]) -> Deferred[None]:
        """Run a blocking client."""
        return deferToThread(talk)


class ImaplibTests(OutsideCase):
    """Python's imaplib."""

    def open(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
        self.ok(client.login("ann", "pw"))
        return client

    def ok(self, answer: tuple[str, list[Any]]) -> list[Any]:
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def test_mailboxes(self) -> Deferred[None]:
        """Make, list, subscribe, rename, delete."""

        def talk() -> None:
            client = self.open()
            self.ok(client.create("a/b"))
            self.assertEqual(len(self.ok(client.list())), 3)
            self.ok(client.subscribe("a/b"))
            self.assertEqual(self.ok(client.lsub()), [b'() "/" "a/b"'])
            self.ok(client.rename("a/b", "c"))
            self.ok(client.delete("c"))
            self.assertEqual(
                self.ok(client.status("INBOX", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT)"))[0][:19],
                b'"INBOX" (MESSAGES 0',
            )
            self.assertEqual(client.namespace()[1], [b'(("" "/")) NIL (("Shared/" "/"))'])
            self.assertEqual(client.select("nope")[0], "NO")
            client.logout()

        return self.in_thread(talk)

    def test_messages(self) -> Deferred[None]:
        """Append, fetch everything and parts, store, search, copy, expunge, close."""

        def talk() -> None:
            client = self.open()
            for _ in range(3):
                self.ok(client.append("INBOX", "(\\Flagged)", imaplib.Time2Internaldate(837_590_665.0), MESSAGE))
            self.assertEqual(self.ok(client.select()), [b"3"])
            data = self.ok(
                client.fetch("1:3", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
            )
            self.assertEqual([row[1] for row in data if isinstance(row, tuple)], [MESSAGE] * 3)
            self.assertEqual(
                self.ok(client.fetch("2", "(BODY.PEEK[TEXT]<0.5>)"))[0], (b"2 (BODY[TEXT]<0> {5}", b"Hello")
            )
            self.assertEqual(self.ok(client.fetch("1", "(RFC822)"))[0][1], MESSAGE)
            self.assertEqual(
                imaplib.ParseFlags(self.ok(client.fetch("1", "(FLAGS)"))[0]), (b"\\Flagged", b"\\Seen", b"\\Recent")
            )
            self.assertEqual(self.ok(client.search(None, "UNSEEN")), [b"2 3"])
            self.assertEqual(self.ok(client.search("UTF-8", "SUBJECT", '"WG mtg"')), [b"1 2 3"])
            setattr(client, "literal", "caf\u00e9".encode())
            self.assertEqual(self.ok(client.search("UTF-8", "TEXT")), [b""])
            self.ok(client.create("copies"))
            self.ok(client.copy("1:2", "copies"))
            self.assertEqual(client.copy("1", "nope")[0], "NO")
            self.ok(client.uid("STORE", "2", "+FLAGS", "(\\Deleted)"))
            self.assertEqual(self.ok(client.uid("SEARCH", "DELETED")), [b"2"])
            self.assertEqual(self.ok(client.expunge()), [b"2"])
            self.ok(client.uid("MOVE", "3", "copies"))
            self.ok(client.store("1", "+FLAGS.SILENT", "\\Deleted"))
            self.ok(client.close())
            self.assertEqual(self.ok(client.select("INBOX", readonly=True)), [b"0"])
            self.assertEqual(self.ok(client.select("copies")), [b"3"])
            client.logout()

        return self.in_thread(talk)

    def test_large_message(self) -> Deferred[None]:
        """Five megabytes go in and come out."""
        body = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 4094 * 80 + b"\r\n"

        def talk() -> None:
            client = self.open()
            self.ok(client.append("INBOX", "", "", body))
            self.ok(client.select())
            self.assertEqual(self.ok(client.fetch("1", "(BODY.PEEK[])"))[0][1], body)
            client.logout()

        return self.in_thread(talk)

    def test_idle(self) -> Deferred[None]:
        """A second connection's APPEND is told to an idling one within a moment; nothing waits for Nagle."""

        def talk() -> None:
            one, two = self.open(), self.open()
            self.ok(one.select())
            one.send(b"i1 IDLE\r\n")
            self.assertEqual(one.readline(), b"+ idling\r\n")
            self.ok(two.append("INBOX", "", "", MESSAGE))
            self.assertEqual(one.readline(), b"* 1 EXISTS\r\n")
            self.assertEqual(one.readline(), b"* 1 RECENT\r\n")
            one.send(b"DONE\r\n")
            self.assertEqual(one.readline(), b"i1 OK IDLE completed\r\n")
            one.logout()
            two.logout()

        return self.in_thread(talk)

    def test_wrong_password(self) -> Deferred[None]:
        """imaplib tells it as its own error."""

        def talk() -> None:
            client = imaplib.IMAP4("127.0.0.1", self.port, timeout=60)
            with self.assertRaisesRegex(imaplib.IMAP4.error, "authentication failed"):
                client.login("ann", "nope")
            client.authenticate("PLAIN", lambda _challenge: b"\0ann\0pw")
            client.logout()

        return self.in_thread(talk)


class ImaplibOnFilesTests(ImaplibTests):
    """The same on SQLite files, written by a thread."""

    in_files = True

    def test_many_at_once(self) -> Deferred[None]:
        """Eight connections append, flag, copy and expunge at the same time; every message is there, UIDs unique."""

        def talk_first() -> None:
            client = self.open()
            self.ok(client.create("copies"))
            client.logout()

        def talk_on() -> None:
            client = self.open()
            self.ok(client.select())
            for number in range(10):
                self.ok(client.append("INBOX", "", "", b"Subject: %d\r\n\r\nx\r\n" % number))
                self.ok(client.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Seen)"))
                self.ok(client.uid("COPY", "*", "copies"))
                self.ok(client.noop())
            client.logout()

        def look() -> None:
            client = self.open()
            self.assertEqual(self.ok(client.select()), [b"80"])
            found = self.ok(client.uid("SEARCH", "ALL"))[0].split()
            self.assertEqual(len(set(found)), 80)
            self.assertEqual(self.ok(client.select("copies")), [b"80"])
            client.logout()

        async def run() -> None:
            await deferToThread(talk_first)
            await gather([deferToThread(talk_on) for _ in range(8)])
            await deferToThread(look)

        return Deferred.fromCoroutine(run())


class CurlTests(OutsideCase):
    """curl."""

    if shutil.which("curl") is None:
        skip = "curl is not installed"

    async def curl(self, path: str, *options: str) -> bytes:
        output, error, status = await getProcessOutputAndValue(
            "curl",
            ["-sS", "--max-time", "20", "-u", "ann:pw", f"imap://127.0.0.1:{self.port}/{path}", *options],
            env={"PATH": "/usr/bin:/bin"},
        )
        self.assertEqual(status, 0, error)
        return bytes(output)

    def test_append_list_fetch_search(self) -> Deferred[None]:
        """Upload, listing, fetching whole and in part, searching, flagging, expunging."""
        folder = Path(self.mktemp())
        folder.mkdir()
        message = folder / "message.eml"
        message.write_bytes(MESSAGE)

        async def talk() -> None:
            await self.curl("INBOX", "-T", str(message))
            self.assertIn(b'"INBOX"', await self.curl(""))
            self.assertEqual(await self.curl("INBOX;UID=1"), MESSAGE)
            self.assertEqual(await self.curl("INBOX;MAILINDEX=1;SECTION=TEXT"), MESSAGE.split(b"\r\n\r\n", 1)[1])
            self.assertEqual(await self.curl("INBOX?SUBJECT%20minutes"), b"* SEARCH 1\r\n")
            self.assertIn(b"* 1 EXISTS", await self.curl("", "-X", "EXAMINE INBOX"))
            await self.curl("INBOX", "-X", "STORE 1 +FLAGS.SILENT \\Deleted")
            self.assertIn(b"* 1 EXPUNGE", await self.curl("INBOX", "-X", "EXPUNGE"))

        return Deferred.fromCoroutine(talk())


class TwistedClientTests(OutsideCase):
    """Twisted's IMAP4Client."""

    def test_login_select_fetch(self) -> Deferred[None]:
        """What it understands, it gets."""

        async def talk() -> None:
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
            client: Any = await connectProtocol(endpoint, IMAP4Client())
            await client.login(b"ann", b"pw")
            await client.append("INBOX", BytesIO(MESSAGE), ("\\Seen",), "17-Jul-1996 02:44:25 -0700")
            info = await client.select("INBOX")
            self.assertEqual((info["EXISTS"], info["READ-WRITE"]), (1, True))
            bodies = await client.fetchBody(MessageSet(1, 1))
            self.assertEqual(bodies[1]["RFC822.TEXT"].encode(), MESSAGE.split(b"\r\n\r\n", 1)[1])
            envelope = await client.fetchEnvelope(MessageSet(1, 1))
            self.assertEqual(envelope[1]["ENVELOPE"][1], "IMAP4rev1 WG mtg summary and minutes")
            await client.addFlags(MessageSet(1, 1), ("\\Deleted",))
            self.assertEqual(await client.expunge(), [1])
            listed = await client.list("", "*")
            self.assertEqual(listed[0][2], "INBOX")
            await client.logout()

        return Deferred.fromCoroutine(talk())


class OwnClientTests(OutsideCase):
    """Our client over a real socket."""

    def test_whole_session(self) -> Deferred[None]:
        """Append streamed, fetch to a sink, idle, log out."""
        body = b"Subject: x\r\n\r\n" + b"z" * 2_000_000

        async def talk() -> None:
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
            client: Any = await endpoint.connect(ImapClientFactory(reactor, plaintext_login=True))
            await client.greeting()
            await client.authenticate_plain("ann", "pw")
            await client.select("INBOX")
            events: list[Any] = []
            idling = client.idle(events.append)
            client.done()
            await idling
            pieces = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]
            appended = await client.append("INBOX", len(body), pieces)
            heard: list[bytes] = []
            await client.fetch(str(appended.uid), b"(BODY.PEEK[])", opener=lambda *_: heard.append)
            self.assertEqual(b"".join(heard), body)
            await client.logout()

        return Deferred.fromCoroutine(talk())


class SocketTests(OutsideCase):
    """Things only a real socket shows."""

    def test_last_words_are_heard(self) -> Deferred[None]:
        """A client that goes on sending still hears why it was closed, not a reset."""

        def talk() -> None:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as raw:
                raw.sendall(b"a NOOP " + b"x" * 20_000 + b"\r\n")
                heard = b""
                while not heard.endswith(b"* BYE command line is too long\r\n"):
                    piece = raw.recv(65536)
                    self.assertTrue(piece, heard)
                    heard += piece

        return self.in_thread(talk)
