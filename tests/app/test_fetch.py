"""``launcelot fetch``: whole runs on real sockets, what is there already, what may be removed, and how it ends."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import mailbox
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.app import fetchtargets
from launcelot.app.command import build_parser, main
from launcelot.app.errors import CANNOT_CREATE, FAILED, OK, TEMPORARY, Ending
from launcelot.app.fetch import check, places_of, tell
from launcelot.app.fetching import Journal, Remote, Source, Summary, batches, fetch
from launcelot.app.fetchsources import ImapSource, Pop3Source, Where, remotes_of
from launcelot.app.fetchtargets import MaildirTarget, MboxTarget, Parcel, Target
from launcelot.app.streams import Streams
from launcelot.hosting.deadlines import Deadlines
from launcelot.mailstore.interface import INBOX, Mailbox, StoreMode
from launcelot.protocols.imap4.service import Settings as ImapSettings
from launcelot.protocols.imap4.service import build as build_imap
from launcelot.protocols.pop3.service import Settings as Pop3Settings
from launcelot.protocols.pop3.service import build as build_pop3
from launcelot.testing.site import memory_site
from tests.protocols.scramming import CERTIFICATES

reactor: Any = the_reactor
LOOPBACK = "tcp:0:interface=127.0.0.1"
BODIES = (
    b"Subject: one\r\n\r\nHello.\r\n",
    b"Subject: two\r\n\r\n.\r\n..\r\nFrom here\r\n>From there\r\nlong " + b"x" * 3_000 + b"\r\n",
    b"Subject: three\r\n\r\nno end",
    b"Subject: four\r\n\r\n" + b"0123456789abcde\r\n" * 20_000,
)


def unix(body: bytes) -> bytes:
    """A message as it is stored; POP3 and mbox have an end for every line."""
    return body.replace(b"\r\n", b"\n")


class ServedCase(TestCase):
    """Our servers on real sockets, with Ann's mail, and places to put it."""

    async def start(self, bodies: tuple[bytes, ...] = BODIES) -> None:
        """Serve."""
        self.world = memory_site(tls=CERTIFICATES)
        self.account = self.world.add_user("ann", "pw")
        for body in bodies:
            await (await self.inbox()).append(body, ())
        site = replace(self.world.site, reactor=reactor, clock=reactor)
        site.deadlines = Deadlines(reactor)
        self.ports = {}
        for name, service in (
            ("pop3", build_pop3(site, Pop3Settings(listen=(LOOPBACK,), listen_tls=(LOOPBACK,)))),
            ("imap", build_imap(site, ImapSettings(listen=(LOOPBACK,), listen_tls=(LOOPBACK,)))),
        ):
            service.startService()
            self.addCleanup(service.stopService)
            await service.listen()
            plain, secure = service.listening
            self.ports[name], self.ports[name + "s"] = plain.port, secure.port
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    async def inbox(self) -> Mailbox:
        """Ann's."""
        return await (await self.world.site.mail.mail(self.account.id)).mailbox(INBOX)

    async def left(self) -> int:
        """How many messages are on the server."""
        return (await (await self.inbox()).status()).messages

    def where(self, protocol: str, tls: str = "none", **changes: Any) -> Where:
        """Ann's server."""
        port = self.ports[protocol + ("s" if tls == "implicit" else "")]
        context = None if tls == "none" else CERTIFICATES.client("localhost")
        host = "127.0.0.1" if tls == "none" else "localhost"
        return replace(Where(reactor, host, port, tls, context, "ann", "pw", 30.0), **changes)

    def source(self, protocol: str, removes: bool = False, **changes: Any) -> Source:
        """Of Ann's mail."""
        where = self.where(protocol, **changes)
        return Pop3Source(where) if protocol == "pop3" else ImapSource(where, INBOX, removes)

    def target(self, kind: str, verbatim: bool = False) -> Target:
        """A place in the folder."""
        if kind == "maildir":
            return MaildirTarget(self.folder / "M", "ours", verbatim, lambda: 1_000_000_000.0)

        def pause(seconds: float) -> Any:
            return deferLater(reactor, 0)

        return MboxTarget(self.folder / "box", self.folder / ".box", verbatim, pause, lambda: 1_000_000_000.0)

    async def run_once(self, protocol: str = "pop3", kind: str = "maildir", remove: bool = False, **changes: Any) -> Summary:
        """One run."""
        source = self.source(protocol, remove, **changes)
        journal = Journal(self.folder / f"journal-{protocol}-{kind}", source.name)
        journal.open()
        try:
            return await fetch(source, self.target(kind), journal, remove, lambda done, total: None)
        finally:
            journal.close()
            client = getattr(source, "_client", None)
            await self.until(lambda: client is None or client._lost)

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for something that happens by itself, such as the end of a connection."""
        limit = reactor.seconds() + 60
        while not done():
            self.assertLess(reactor.seconds(), limit, "it does not happen")
            await deferLater(reactor, 0.005)

    def stored(self, kind: str) -> list[bytes]:
        """What is there, in the words of Python's own reader."""
        if kind == "maildir":
            box: Any = mailbox.Maildir(self.folder / "M", create=False)
            return sorted(box.get_bytes(key) for key in box.keys())
        with contextlib.closing(mailbox.mbox(self.folder / "box", create=False)) as mbox:
            return sorted(mbox.get_bytes(key).replace(b"\n>From here", b"\nFrom here") for key in mbox.keys())


class RunTests(ServedCase):
    """Whole runs against our own servers."""

    async def test_everything_comes_once(self) -> None:
        """From either protocol into either place, in clear and in TLS; the next run fetches what is new and nothing else."""
        await self.start()
        for protocol, kind in (("pop3", "maildir"), ("imap", "mbox")):
            summary = await self.run_once(protocol, kind)
            self.assertEqual((summary.there, summary.fetched, summary.known, summary.removed), (4, 4, 0, 0))
            self.assertEqual(len(self.stored(kind)), 4)
            summary = await self.run_once(protocol, kind)
            self.assertEqual((summary.there, summary.fetched, summary.known), (4, 0, 4))
        await (await self.inbox()).append(b"Subject: five\r\n\r\n", ())
        for protocol, kind in (("pop3", "maildir"), ("imap", "mbox")):
            self.assertEqual((await self.run_once(protocol, kind)).fetched, 1)
            self.assertEqual(len(self.stored(kind)), 5)
        self.assertEqual(await self.left(), 5)

    async def test_octets(self) -> None:
        """Lines end with LF; all else is as it was, and the file says how large it is with either."""
        await self.start()
        await self.run_once("pop3", "maildir")
        wanted = sorted(unix(body) if body.endswith(b"\r\n") else unix(body) + b"\n" for body in BODIES)
        self.assertEqual(self.stored("maildir"), wanted)
        await self.run_once("imap", "maildir")
        self.assertEqual(sorted(set(self.stored("maildir")) - set(wanted)), [unix(BODIES[2])])
        for path in (self.folder / "M" / "new").iterdir():
            self.assertIn(f",S={path.stat().st_size},W=", path.name)

    async def test_mbox_is_quoted_and_separated(self) -> None:
        """As mboxrd has it; a message without end gets one, and what was in the file stays."""
        await self.start()
        before = b"From x@y Sun Mar  1 12:00:00 2026\nSubject: old\n\nold"
        (self.folder / "box").write_bytes(before)
        await self.run_once("pop3", "mbox")
        text = (self.folder / "box").read_bytes()
        self.assertTrue(text.startswith(before + b"\n\nFrom MAILER-DAEMON Sun Sep  9 01:46:40 2001\nSubject: one\n"))
        self.assertIn(b"\n>From here\n>>From there\n", text)
        self.assertIn(b"\nno end\n\nFrom MAILER-DAEMON ", text)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["box", "journal-pop3-mbox"])

    async def test_removed_is_what_is_stored(self) -> None:
        """Also what an earlier run has stored; what comes meanwhile stays."""
        await self.start()
        for protocol in ("pop3", "imap"):
            await self.run_once(protocol)
            await (await self.inbox()).append(b"Subject: new\r\n\r\n", ())
            summary = await self.run_once(protocol, remove=True)
            self.assertEqual((summary.fetched, summary.removed, summary.left), (1, summary.there, 0))
            self.assertEqual(await self.left(), 0)
            self.assertEqual((self.folder / f"journal-{protocol}-maildir").read_bytes().count(b"stored"), summary.there)
            await self.run_once(protocol)
            self.assertEqual((self.folder / f"journal-{protocol}-maildir").read_bytes().count(b"stored"), 0)
            await (await self.inbox()).append(b"Subject: again\r\n\r\n", ())

    async def test_flags_and_dates_of_imap(self) -> None:
        """Read mail is read in the Maildir, and as old as it is; what others have marked as deleted stays on the server."""
        await self.start(BODIES[:1])
        inbox = await self.inbox()
        date = datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC)
        await inbox.append(b"Subject: read\r\n\r\n", ["\\Seen", "\\Flagged"], date)
        await self.run_once("imap")
        (path,) = (self.folder / "M" / "cur").iterdir()
        self.assertTrue(path.name.endswith(":2,FS"), path.name)
        self.assertEqual(path.stat().st_mtime, date.timestamp())
        await inbox.append(b"Subject: doomed\r\n\r\n", ())
        uids = await inbox.uids()
        summary = await self.run_once("imap")
        await inbox.append(b"Subject: marked by another\r\n\r\n", ())
        await inbox.store([*uids[:1], uids[-1] + 1], StoreMode.ADD, ["\\Deleted"])
        self.assertEqual((summary.fetched, (await self.run_once("imap", remove=True)).removed), (1, 4))

    async def test_files_of_another_run_stay(self) -> None:
        """What a run of ours that was killed has left in ``tmp`` goes; what one of another source is receiving stays."""
        await self.start()
        others = self.folder / "M" / "tmp"
        others.mkdir(parents=True)
        for name in ("1000000000.1_1.ours", "1000000000.1_1.theirs"):
            (others / name).write_bytes(b"half")
        self.assertEqual((await self.run_once()).fetched, 4)
        self.assertEqual([path.name for path in others.iterdir()], ["1000000000.1_1.theirs"])

    async def test_tls(self) -> None:
        """Verified, from the first octet or after STLS and STARTTLS; another host's certificate ends it."""
        await self.start()
        for protocol in ("pop3", "imap"):
            for tls in ("starttls", "implicit"):
                self.assertEqual((await self.run_once(protocol, tls=tls)).there, 4)
                (self.folder / f"journal-{protocol}-maildir").unlink()
                wrong = {"context": CERTIFICATES.client("other.test"), "tls": tls}
                ending = await self.ending(protocol, **wrong)
                self.assertEqual(ending.status, 77)
                self.assertIn("TLS failed", ending.text)

    async def ending(self, protocol: str, **changes: Any) -> Ending:
        """How a run ends that cannot go on."""
        try:
            await self.run_once(protocol, **changes)
        except Ending as ending:
            self.assertEqual(ending.text.count("\n"), 0)
            return ending
        raise AssertionError("it went well")

    async def test_wrong_password_and_busy_maildrop(self) -> None:
        """Told apart, with what to do."""
        await self.start()
        for protocol in ("pop3", "imap"):
            ending = await self.ending(protocol, password="wrong")
            self.assertEqual(ending.status, 77)
            self.assertIn("check --user and the password", ending.text)
        unlock = (await self.world.site.mail.mail(self.account.id)).lock()
        ending = await self.ending("pop3")
        unlock()
        self.assertEqual(ending.status, TEMPORARY)
        self.assertIn("run it again later", ending.text)

    async def test_a_disk_that_is_full(self) -> None:
        """One line; what was not stored is not removed, and the next run has it all."""
        await self.start()
        for protocol, kind in (("pop3", "maildir"), ("imap", "mbox"), ("pop3", "mbox"), ("imap", "maildir")):
            write, left = os.write, [10]

            def full(descriptor: int, data: bytes, write: Any = write, left: list[int] = left) -> int:
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(28, "No space left on device")
                return int(write(descriptor, data))

            self.patch(os, "write", full)
            try:
                await self.run_once(protocol, kind, remove=True)
                self.fail("it went well")
            except (Ending, OSError) as error:
                self.assertIn("No space", str(error))
            self.patch(os, "write", write)
            self.assertEqual(await self.left(), 4)
            await self.run_once(protocol, kind)
            self.assertEqual(len(self.stored(kind)), 4)
            for path in [*self.folder.glob("M/new/*"), *self.folder.glob("box")]:
                path.unlink()

    async def test_two_runs_at_once(self) -> None:
        """The second is told, and does nothing."""
        await self.start()
        journal = Journal(self.folder / "journal-pop3-maildir", self.source("pop3").name)
        journal.open()
        journal.begin(())
        ending = await self.ending("pop3")
        self.assertEqual(ending.status, TEMPORARY)
        self.assertIn("another run is under way", ending.text)
        journal.close()
        self.assertEqual((await self.run_once("pop3")).fetched, 4)

    async def test_a_locked_mbox(self) -> None:
        """It is waited for, then told; the lock of a run that was killed is taken away."""
        await self.start()
        self.patch(fetchtargets, "LOCK_LIMIT", 0.05)
        dot = self.folder / "box.lock"
        dot.write_text("1 elsewhere.example other\n")
        ending = await self.ending("pop3", kind="mbox")
        self.assertEqual(ending.status, TEMPORARY)
        self.assertIn(f"remove {dot} if nobody has", ending.text)
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        dot.write_text(f"{child} {os.uname().nodename} launcelot\n")
        self.assertEqual((await self.run_once("pop3", "mbox")).fetched, 4)
        self.assertEqual(len(self.stored("mbox")), 4)
        self.assertFalse(dot.exists())


class Scripted(Protocol):
    """A POP3 server that says what a test wants."""

    answers: Callable[[str], bytes]
    there: set[Protocol]

    def connectionLost(self, reason: object = None) -> None:
        """It is over."""
        self.there.discard(self)

    def connectionMade(self) -> None:
        """Greet."""
        self.there.add(self)
        self.heard = b""
        self.transport.write(b"+OK\r\n")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Answer each line."""
        self.heard += data
        while b"\r\n" in self.heard:
            line, _, self.heard = self.heard.partition(b"\r\n")
            answer = type(self).answers(line.decode())
            if not answer:
                self.transport.loseConnection()  # type: ignore[union-attr]
                return
            self.transport.write(answer)  # type: ignore[union-attr]


class StrangeServerTests(ServedCase):
    """Servers that have no UIDL, lose messages, break off, or do not confirm."""

    async def scripted(self, **answers: bytes) -> list[str]:
        """A server with two messages; what it hears."""
        heard: list[str] = []
        known = {
            "CAPA": b"-ERR\r\n", "USER": b"+OK\r\n", "PASS": b"+OK\r\n", "UIDL": b"+OK\r\n1 a\r\n2 b\r\n.\r\n",
            "LIST": b"+OK\r\n1 10\r\n2 10\r\n.\r\n", "RETR": b"+OK\r\na: b\r\n\r\n.\r\n", "DELE": b"+OK\r\n",
            "QUIT": b"+OK\r\n", **answers,
        }  # fmt: skip

        def answer(line: str) -> bytes:
            heard.append(line)
            return known.get(line, known[line.partition(" ")[0]])

        there: set[Protocol] = set()
        protocol = type("One", (Scripted,), {"answers": staticmethod(answer), "there": there})
        port = reactor.listenTCP(0, Factory.forProtocol(protocol), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.until(lambda: not there)))
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.ports = {"pop3": port.getHost().port}
        return heard

    async def test_old_servers(self) -> None:
        """Without CAPA: USER and PASS, one command after the other."""
        heard = await self.scripted()
        summary = await self.run_once(remove=True)
        self.assertEqual((summary.fetched, summary.removed), (2, 2))
        self.assertEqual(heard, [
            "CAPA", "USER ann", "PASS pw", "CAPA", "UIDL", "LIST", "RETR 1", "RETR 2", "DELE 1", "DELE 2", "QUIT",
        ])  # fmt: skip

    async def test_no_uidl(self) -> None:
        """Nothing tells what is new: refused."""
        await self.scripted(UIDL=b"-ERR\r\n")
        with self.assertRaisesRegex(Ending, "there is no UIDL"):
            await self.run_once()

    async def test_a_message_that_is_refused(self) -> None:
        """The others come; it is told, and not removed."""
        heard = await self.scripted(**{"RETR 1": b"-ERR gone\r\n"})
        summary = await self.run_once(remove=True)
        self.assertEqual((summary.fetched, summary.missed, summary.removed), (1, ["a"], 1))
        self.assertNotIn("DELE 1", heard)

    async def test_broken_off_in_a_message(self) -> None:
        """What came before it is stored; nothing is removed; no half message is anywhere."""
        heard = await self.scripted(**{"RETR 2": b""})
        with self.assertRaisesRegex(Ending, "closed"):
            await self.run_once(remove=True)
        self.assertEqual(self.stored("maildir"), [b"a: b\n\n"])
        self.assertEqual(list((self.folder / "M" / "tmp").iterdir()), [])
        self.assertFalse([line for line in heard if line.startswith("DELE")])

    async def test_broken_off_while_removing(self) -> None:
        """One line, however many commands were under way; what was marked is not removed without QUIT."""
        heard = await self.scripted(**{"CAPA": b"+OK\r\nPIPELINING\r\n.\r\n", "DELE 1": b""})
        with self.assertRaisesRegex(Ending, "closed"):
            await self.run_once(remove=True)
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(heard[-1], "DELE 1")
        self.assertEqual(len(self.stored("maildir")), 2)

    async def test_quit_that_is_not_confirmed(self) -> None:
        """It is told, and the next run removes what is there still."""
        await self.scripted(QUIT=b"-ERR [SYS/TEMP] some are not removed\r\n")
        with self.assertRaisesRegex(Ending, "may be there still, run it again"):
            await self.run_once(remove=True)
        heard = await self.again()
        summary = await self.run_once(remove=True)
        self.assertEqual((summary.fetched, summary.known, summary.removed), (0, 2, 2))
        self.assertFalse([line for line in heard if line.startswith("RETR")])

    async def again(self) -> list[str]:
        """The same server, well again, at the same port as far as identifiers go."""
        folder, port = self.folder, self.ports["pop3"]
        heard = await self.scripted()
        self.addCleanup(setattr, self, "folder", folder)
        (folder / "journal-pop3-maildir").write_text(
            (folder / "journal-pop3-maildir").read_text().replace(str(port), str(self.ports["pop3"]))
        )
        self.folder = folder
        return heard

    async def test_a_message_that_cannot_be_marked(self) -> None:
        """The others are removed, and one is told to be left."""
        await self.scripted(**{"DELE 2": b"-ERR\r\n"})
        summary = await self.run_once(remove=True)
        self.assertEqual((summary.removed, summary.left), (1, 1))

    async def test_a_server_that_asks_for_ever(self) -> None:
        """A challenge where there is nothing to prove, and one behind the end of an exchange, are no answers."""
        heard = await self.scripted(**{"CAPA": b"+ \r\n", "*": b"+ \r\n"})
        with self.assertRaisesRegex(Ending, "asks where there is nothing to say"):
            await self.run_once()
        self.assertEqual(heard, ["CAPA"])
        heard = await self.scripted(**{"CAPA": b"+OK\r\nSASL PLAIN\r\n.\r\n", "AUTH": b"+ \r\n", "*": b"+ \r\n"})
        with self.assertRaisesRegex(Ending, "asks where there is nothing to say"):
            await self.run_once()
        self.assertEqual((len(heard), heard[-1]), (3, "*"))

    def test_identifiers_that_are_not_unique(self) -> None:
        """Copies of one message are one; what differs in size is never taken for another that is stored."""
        remotes = remotes_of({1: "a", 2: "a", 3: "b", 4: "b"}, {1: 5, 2: 5, 3: 5, 4: 6})
        self.assertEqual([one.key for one in remotes], ["a", "a", "b/5", "b/6"])


class JournalTests(SynchronousTestCase):
    """What is written down."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def journal(self) -> Journal:
        """An open one."""
        journal = Journal(self.path, "pop3://ann@here:110")
        journal.open()
        self.addCleanup(journal.close)
        return journal

    def test_cut_at_every_octet(self) -> None:
        """A line that was not written to its end is as if it had not been begun."""
        journal = self.journal()
        journal.begin(())
        journal.add(["one", "two", "t\u00fcr\n"])
        journal.close()
        whole = self.path.read_bytes()
        head = whole.index(b"\n") + 1
        for cut in range(head, len(whole) + 1):
            self.path.write_bytes(whole[:cut])
            journal = self.journal()
            self.assertEqual(journal.keys, set(["one", "two", "t\u00fcr\n"][: whole[head:cut].count(b"\n")]))
            journal.begin(journal.keys)
            journal.add(["more"])
            journal.close()
            journal = self.journal()
            self.assertIn("more", journal.keys)
            journal.close()

    def test_of_another_source_or_of_something_else(self) -> None:
        """Refused with what to do, and not touched."""
        for text in ('{"version": 1, "source": "imap://x"}\n', "From me\n", '{"version": 2}\n', "[]\n", '{"version": 1}\n{}\n'):
            self.path.write_text(text)
            with self.assertRaisesRegex(Ending, "--state"):
                self.journal()
            self.assertEqual(self.path.read_text(), text)

    def test_a_place_that_is_not_there(self) -> None:
        """The cause is told."""
        with self.assertRaisesRegex(Ending, "No such file or directory; name another file with --state"):
            Journal(self.path / "below", "x").open()

    def test_what_is_gone_on_the_server_is_forgotten(self) -> None:
        """So it does not grow for ever."""
        journal = self.journal()
        journal.begin(())
        journal.add(["one", "two"])
        journal.begin({"two", "three"})
        journal.close()
        self.assertEqual(self.journal().keys, {"two"})


class PieceTests(SynchronousTestCase):
    """Small things."""

    def test_line_ends_at_every_split(self) -> None:
        """CRLF becomes LF wherever it is cut; a bare CR or LF stays."""
        body = b"a\r\nb\rc\nd\r\r\n\r"
        for cut in range(len(body) + 1):
            for verbatim, wanted in ((False, b"a\nb\rc\nd\r\n\r"), (True, body)):
                path = Path(self.mktemp())
                parcel = Parcel(path, lambda octets: None, verbatim)
                for piece in (body[:cut], body[cut:]):
                    parcel.write(piece)
                parcel.finish()
                self.assertEqual(path.read_bytes(), wanted)
                self.assertEqual((parcel.size, parcel.kept), (len(body), len(wanted)))

    def test_batches(self) -> None:
        """By number and by octets; a large one goes alone."""
        sizes = [1] * 60 + [20 << 20, 1, 9 << 20, 9 << 20]
        remotes = [Remote(str(number), number, size) for number, size in enumerate(sizes)]
        self.assertEqual([len(batch) for batch in batches(remotes)], [50, 10, 1, 2, 1])
        self.assertEqual([one for batch in batches(remotes) for one in batch], remotes)


class CommandTests(SynchronousTestCase):
    """Options, and what is said in the end."""

    def given(self, *words: str) -> Any:
        """Parsed options."""
        return build_parser().parse_args(["fetch", *words, "--user", "ann"])

    def streams(self) -> Streams:
        """Streams of a test."""
        return Streams(io.StringIO(), io.StringIO(), io.StringIO(), lambda prompt: "typed")

    def test_contradictions(self) -> None:
        """One line each, before anything is done."""
        for words in (
            ("pop3", "M", "--port", "0"), ("pop3", "M", "--timeout", "0"), ("pop3", "M", "--mailbox", "x"),
            ("imap", "M", "--tls", "none", "--ca-file", "x"),
        ):  # fmt: skip
            with self.assertRaisesRegex(Ending, "^fetch: "):
                check(self.given(*words))
        check(self.given("imap", "M", "--mailbox", "Archive"))
        streams = self.streams()
        self.assertEqual(main(["fetch", "smtp", "M", "--user", "ann"], streams), 64)

    def test_places(self) -> None:
        """A journal for each source, beside the mail; a folder is no mbox, and a file no Maildir."""
        folder = Path(self.mktemp())
        target, one = places_of(self.given("pop3", str(folder / "M")), "pop3://ann@here:110", reactor)
        _, other = places_of(self.given("imap", str(folder / "M")), "imap://ann@here:143/INBOX", reactor)
        self.assertIsInstance(target, MaildirTarget)
        self.assertNotEqual(one.path, other.path)
        self.assertEqual(one.path.parent, folder / "M")
        _, third = places_of(self.given("pop3", str(folder / "x" / "box"), "--format", "mbox"), "x", reactor)
        self.assertEqual(third.path.parent, folder / "x")
        _, named = places_of(self.given("pop3", str(folder / "M"), "--state", str(folder / "s")), "x", reactor)
        self.assertEqual(named.path, folder / "s")
        (folder / "file").touch()
        for words in (("pop3", str(folder / "file")), ("pop3", str(folder / "M"), "--format", "mbox")):
            with self.assertRaises(Ending) as caught:
                places_of(self.given(*words), "x", reactor)
            self.assertEqual(caught.exception.status, CANNOT_CREATE)

    def test_what_is_told(self) -> None:
        """For people and for programs; the exit code says whether all of it was done."""
        for summary, status, words in (
            (Summary(3, 2, 2048, 1, 3), OK, "fetched 2 messages (2.0 KiB), 1 were here, 3 removed on the server\n"),
            (Summary(3, 2, 10, 0, 2, ["a\x1b"]), FAILED, "1 messages were listed and are gone or refused: a\\x1b"),
            (Summary(3, 3, 10, 0, 1, [], 2), TEMPORARY, "2 messages could not be removed"),
        ):
            streams = self.streams()
            self.assertEqual(tell(self.given("pop3", "M", "--delete"), streams, summary, False), status)
            self.assertIn(words, streams.output.getvalue() + streams.errors.getvalue())  # type: ignore[attr-defined]
            streams = self.streams()
            tell(self.given("pop3", "M", "--delete", "--json"), streams, summary, False)
            told = json.loads(streams.output.getvalue())  # type: ignore[attr-defined]
            self.assertEqual((told["there"], told["fetched"], told["removed"]), (3, summary.fetched, summary.removed))
