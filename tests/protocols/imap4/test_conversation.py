"""The client's typed commands against our own server; pipelining, compression, SCRAM, sinks."""

from __future__ import annotations

import zlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from launcelot.hosting.binding import EXPORTER
from launcelot.mailstore.interface import StoreMode
from launcelot.protocols.imap4 import conversation
from launcelot.protocols.imap4.answers import CommandFailed, Confused, ImapError, TimedOut, Untrusted
from launcelot.protocols.imap4.asking import Mail, Octets
from launcelot.protocols.imap4.client import ImapClient, ImapClientFactory
from launcelot.protocols.imap4.told import Exists, Expunged, Listed, Numbers, Told
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Pair, connect_pair
from tests.protocols.imap4.test_client import PairCase, Puppet, joined
from tests.protocols.imap4.world import MESSAGE, ImapCase
from tests.protocols.scramming import heard_before

BINARY = b"Content-Transfer-Encoding: binary\r\n\r\na\0b"
DATE = b'"17-Jul-1996 02:44:25 -0700"'
CERTIFICATES = Certificates("here.test", "localhost")


class CommandTests(PairCase):
    """What the server offers, asked for by method."""

    def setUp(self) -> None:
        """Logged in."""
        super().setUp()
        self.get(self.client.authenticate("ann", "pw"))

    def test_about_the_server(self) -> None:
        """ID, NAMESPACE, ENABLE, CAPABILITY."""
        self.assertEqual(self.get(self.client.identify())["name"], "Launcelot")
        self.assertEqual(self.get(self.client.identify({"name": 'a "b"', "os": "x"}))["name"], "Launcelot")
        self.assertEqual(self.get(self.client.namespace()).personal, (("", "/"),))
        self.assertIn(b"CONDSTORE", self.get(self.client.enable(b"CONDSTORE", b"XYZZY")))
        self.assertIn(b"IDLE", self.get(self.client.capability()))

    def test_mailboxes(self) -> None:
        """With a use, with options, subscribed, in UTF-8."""
        client = self.client
        self.get(client.create("Out", "\\Sent"))
        self.get(client.create("\u53f0\u5317"))
        self.get(client.subscribe("\u53f0\u5317"))
        self.assertEqual([one.name for one in self.get(client.subscriptions())], ["\u53f0\u5317"])
        found = self.get(
            client.listing("O*", "INBOX", returned=(b"SPECIAL-USE", b"STATUS (MESSAGES SIZE)"))
        )
        self.assertIn(Listed("Out", "/", (b"\\Sent",)), found.names)
        self.assertEqual(found.statuses["INBOX"], {b"MESSAGES": 0, b"SIZE": 0})
        found = self.get(client.listing("*", select=(b"SUBSCRIBED",)))
        self.assertEqual([one.name for one in found.names], ["\u53f0\u5317"])
        self.get(client.enable(b"IMAP4rev2"))
        self.assertTrue(client.utf8)
        self.get(client.rename("\u53f0\u5317", "a&b\u00e9"))
        self.assertIn("a&b\u00e9", [one.name for one in self.get(client.mailboxes())])

    def test_annotations(self) -> None:
        """Set, got, removed."""
        self.get(self.client.annotate("", {"/private/comment": b"a\r\nb", "/private/x": b"y"}))
        found = self.get(self.client.annotations("", "/private/comment", "/private/x"))
        self.assertEqual(found, {"/private/comment": b"a\r\nb", "/private/x": b"y"})
        self.get(self.client.annotate("", {"/private/x": None}))
        self.assertEqual(self.get(self.client.annotations("", "/private/x")).get("/private/x"), None)

    def test_quota(self) -> None:
        """What is used, and which one counts."""
        roots, quotas = self.get(self.client.quota_roots("INBOX"))
        self.assertEqual((roots.mailbox, len(roots.roots)), ("INBOX", len(quotas)))
        for quota in quotas:
            self.assertEqual(self.get(self.client.quota(quota.root)), quota)

    def test_messages(self) -> None:
        """Several at once, with NULs, in another's place; by UID and by number; what has changed since."""
        client = self.client
        mails = [Mail(3, [b"a\r\n"], ["\\Seen"]), Mail(len(BINARY), [BINARY[:9], BINARY[9:]], (), DATE, True)]
        appended = self.get(client.append_all("INBOX", mails))
        self.assertEqual((appended.uid, appended.uids), (1, (1, 2)))
        selected = self.get(client.select("INBOX", condstore=True))
        self.assertTrue(selected.highest_modseq)
        self.assertTrue(selected.mailbox_id)
        rows = self.get(client.fetch("1:*", b"(UID FLAGS MODSEQ)"))
        self.assertEqual([row.uid for row in rows], [1, 2])
        self.assertIn(b"\\Seen", rows[0].flags)
        self.assertEqual(self.get(client.replace(1, "INBOX", Mail(1, [b"x"]))).uids, (3,))
        since = max(row.modseq for row in rows)
        changed = self.get(client.fetch("1:*", b"(FLAGS)", modifiers=b"(CHANGEDSINCE %d)" % since))
        self.assertEqual([row.uid for row in changed], [3])
        self.assertEqual(self.get(client.store("2", b"+FLAGS", ["kw"], unchanged_since=1)), [])
        self.get(client.store("2", b"+FLAGS.SILENT", ["\\Deleted"]))
        self.assertEqual(self.get(client.expunge("2")), [1])
        self.get(client.unselect())

    def test_searching(self) -> None:
        """Plain, with RETURN, sorted, as threads; the same under IMAP4rev2."""
        self.fill(3)
        client = self.client
        self.get(client.select("INBOX"))
        for _ in range(2):
            self.assertEqual(self.get(client.search(b"ALL", uid=False)), [1, 2, 3])
            self.assertEqual(self.get(client.search(b"SUBJECT", Octets("\u00e9".encode()))), [])
            found = self.get(client.search_for((b"MIN", b"COUNT", b"ALL"), b"ALL"))
            self.assertEqual((found.numbers, found.items[b"COUNT"], found.uid), ((1, 2, 3), 3, True))
            self.assertEqual(self.get(client.sort(b"ARRIVAL", b"ALL")), [1, 2, 3])
            self.assertEqual(self.get(client.thread(b"ORDEREDSUBJECT", b"ALL")), ((1, (2,), (3,)),))
            self.get(client.enable(b"IMAP4rev2"))

    def test_several_mailboxes(self) -> None:
        """Found in each, and heard of while idling."""
        client = self.client
        self.get(client.create("other"))
        self.fill(2)
        self.fill(1, mailbox="other")
        found = self.get(client.search_in(b"personal", (b"COUNT", b"ALL"), b"SUBJECT", Octets(b"minutes")))
        self.assertEqual({one.mailbox: one.numbers for one in found}, {"INBOX": (1, 2), "other": (1,)})
        self.get(client.notify(b"SET (personal (MessageNew MessageExpunge))"))
        events: list[Told] = []
        idling = client.idle(events.append)
        self.pair.flush()
        self.fill(1, mailbox="other")
        self.pair.flush()
        client.done()
        self.get(idling)
        self.assertIn(("other", 2), [(one.mailbox, one.items[b"MESSAGES"]) for one in events if isinstance(one, Numbers)])
        self.get(client.notify(b"NONE"))

    def test_coming_back(self) -> None:
        """QRESYNC: what has gone and changed since."""
        self.fill(3)
        client = self.client
        self.get(client.enable(b"QRESYNC"))
        before = self.get(client.select("INBOX"))
        self.get(client.unselect())
        mailbox = self.mailbox()
        self.world.result(mailbox.store([1], StoreMode.ADD, ["\\Flagged"]))
        self.world.result(mailbox.remove([2]))
        after = self.get(client.select("INBOX", known=(before.uid_validity, before.highest_modseq)))
        self.assertEqual(after.vanished, ("2",))
        self.assertEqual([row.uid for row in after.changed], [1])


class LayerTests(PairCase):
    """TLS, compression, and sessions one behind another."""

    tls = CERTIFICATES

    def get(self, deferred: Deferred[Any]) -> Any:
        """What a Deferred gives, with turns for whoever inflates much."""
        for _ in range(100):
            self.pair.flush()
            if deferred.called:
                break
            self.world.clock.advance(0)
        return super().get(deferred)

    def connected(self, **options: Any) -> tuple[ImapClient, Pair[ImapClient, Any]]:
        """Another client."""
        factory = ImapClientFactory(self.world.clock, plaintext_login=True, **options)
        pair = connect_pair(factory, self.factory, self.world.clock, self.world.network)
        self.pair, self.client = pair, pair.client
        self.get(pair.client.greeting())
        return pair.client, pair

    def test_best_mechanism_is_chosen(self) -> None:
        """-PLUS inside TLS, SCRAM without, with and without SASL-IR; in pieces of any size."""
        for tls, mechanism in ((True, b"SCRAM-SHA-256-PLUS"), (False, b"SCRAM-SHA-256")):
            for chunk in (1, 10_000):
                for without in (b"", b"SASL-IR"):
                    client, pair = self.connected()
                    pair.deliver_in(chunk)
                    if tls:
                        self.get(client.secure_with(CERTIFICATES.client("here.test")))
                    self.get(client.capability())
                    client.capabilities -= {without}
                    said = heard_before(client)
                    self.get(client.authenticate("ann", "pw"))
                    self.assertIn(b"AUTHENTICATE " + mechanism, b"".join(said))
        self.assertEqual(EXPORTER, "tls-exporter")

    def test_wrong_password(self) -> None:
        """NO, and another try."""
        error = self.refused(self.client.authenticate("ann", "wrong"))
        self.assertEqual(error.code, b"AUTHENTICATIONFAILED")
        self.get(self.client.authenticate("ann", "pw"))

    def test_compression(self) -> None:
        """Whole bodies, appended and fetched, in and out of TLS, in pieces of any size."""
        body = MESSAGE * 1_000
        for tls in (False, True):
            for chunk in (50, 100_000):
                client, pair = self.connected()
                if tls:
                    self.get(client.secure_with(CERTIFICATES.client("here.test")))
                self.get(client.authenticate("ann", "pw"))
                self.get(client.compress())
                self.assertTrue(client.compressed)
                pair.deliver_in(chunk)
                uid = self.get(client.append("INBOX", len(body), [body])).uid
                self.get(client.select("INBOX"))
                (row,) = self.get(client.fetch(str(uid), b"BODY.PEEK[]"))
                self.assertEqual(row.row[b"BODY[]"], body)
                self.assertEqual(self.refused(client.compress()).code, b"COMPRESSIONACTIVE")
                self.get(client.logout())

    def test_unauthenticate(self) -> None:
        """Compression ends with it; then another account."""
        self.world.add_user("bob", "bob's")
        client, pair = self.connected()
        for chunk in (1, 10_000):
            pair.deliver_in(chunk)
            self.get(client.authenticate("ann", "pw"))
            self.get(client.enable(b"IMAP4rev2"))
            self.get(client.compress())
            self.get(client.unauthenticate())
            self.assertFalse(client.compressed or client.utf8 or client.capabilities)
            self.get(client.authenticate("bob", "bob's"))
            self.get(client.select("INBOX"))
            self.get(client.compress())
            self.get(client.noop())
            self.get(client.unauthenticate())

    def test_answers_behind_the_consent_are_compressed(self) -> None:
        """In one delivery with it, and at every split."""
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        squeezed = deflater.compress(b"* 3 EXISTS\r\n") + deflater.flush(zlib.Z_SYNC_FLUSH)
        said = b"L1 OK go\r\n" + squeezed
        behind = deflater.compress(b"L2 OK\r\n") + deflater.flush(zlib.Z_SYNC_FLUSH)
        for cut in range(len(said) + 1):
            server, client, pair = joined(self)
            client.greeting()
            compressing = client.compress()
            server.say(b"* OK hi\r\n")
            pair.flush()
            server.say(said[:cut])
            pair.flush()
            server.say(said[cut:])
            pair.flush()
            self.successResultOf(compressing)
            noop = client.noop()
            pair.flush()
            server.say(behind)
            pair.flush()
            self.assertEqual(self.successResultOf(noop).all(Exists), [Exists(3)])


class PipelineTests(PairCase):
    """Several commands under way."""

    def setUp(self) -> None:
        """A client that may have three."""
        super().setUp()
        self.pair = connect_pair(
            ImapClientFactory(self.world.clock, pipeline=3, plaintext_login=True),
            self.factory,
            self.world.clock,
            self.world.network,
        )
        self.client = self.pair.client
        self.get(self.client.greeting())

    def test_many_at_once(self) -> None:
        """Each gets its own answer and its own rows, failures included."""
        self.fill(3)
        client = self.client
        self.get(client.login("ann", "pw"))
        self.get(client.select("INBOX"))
        for chunk in (1, 10_000):
            self.pair.deliver_in(chunk)
            rows = [client.fetch(str(uid), b"(UID FLAGS)") for uid in (1, 2, 3)]
            bad = client.command(b"XYZZY")
            found = client.search(b"ALL")
            numbers = client.status("INBOX", b"MESSAGES")
            self.pair.flush()
            self.assertEqual([self.get(one)[0].uid for one in rows], [1, 2, 3])
            self.failureResultOf(bad, CommandFailed)
            self.assertEqual(self.get(found), [1, 2, 3])
            self.assertEqual(self.get(numbers), {b"MESSAGES": 3})

    def puppet(self, pipeline: int = 3) -> tuple[Puppet, ImapClient, Pair[Any, Any]]:
        """A client that may have several under way, before a server that says what the test wants."""
        server, client, pair = joined(self)
        client._pipeline = pipeline
        client.greeting()
        server.say(b"* OK [CAPABILITY IMAP4rev1 LITERAL+] hi\r\n")
        pair.flush()
        return server, client, pair

    def test_what_is_sent_when(self) -> None:
        """As many as may be, those that stand alone by themselves, literals that need consent with nothing before them."""
        server, client, pair = self.puppet()
        for _ in range(4):
            client.noop()
        client.select("INBOX")
        client.noop()
        pair.flush()
        self.assertEqual(server.heard, b"L1 NOOP\r\nL2 NOOP\r\nL3 NOOP\r\n")
        server.say(b"L1 OK\r\n")
        pair.flush()
        self.assertTrue(server.heard.endswith(b"L3 NOOP\r\nL4 NOOP\r\n"))
        server.say(b"L2 OK\r\nL3 OK\r\n")
        pair.flush()
        self.assertTrue(server.heard.endswith(b"L4 NOOP\r\n"))
        server.say(b"L4 OK\r\n")
        pair.flush()
        self.assertTrue(server.heard.endswith(b'L5 SELECT "INBOX"\r\n'))
        server.say(b"L5 OK\r\n")
        pair.flush()
        self.assertTrue(server.heard.endswith(b"L6 NOOP\r\n"))

    def test_answers_in_another_order(self) -> None:
        """Tags decide, and ESEARCH says whose it is."""
        server, client, pair = self.puppet()
        one, two = client.search_for((b"ALL",), b"ALL"), client.search_for((b"ALL",), b"SEEN")
        pair.flush()
        server.say(b'* ESEARCH (TAG "L2") UID ALL 7\r\nL2 OK\r\n* ESEARCH (TAG "L1") UID ALL 1:3\r\nL1 OK\r\n')
        pair.flush()
        self.assertEqual(self.successResultOf(two).numbers, (7,))
        self.assertEqual(self.successResultOf(one).numbers, (1, 2, 3))

    def test_every_deferred_fires_once(self) -> None:
        """Wherever the server stops, with several under way."""
        said = b"L1 OK\r\n* 1 FETCH (BODY[] {3}\r\nabc)\r\nL2 OK\r\nL3 NO x\r\n"
        for end in range(len(said)):
            server, client, pair = self.puppet()
            outcomes: list[list[Any]] = [[], [], [], []]
            asked: list[Deferred[Any]] = [client.noop(), client.fetch("1", b"BODY[]"), client.noop(), client.noop()]
            for outcome, waiting in zip(outcomes, asked, strict=True):
                waiting.addBoth(outcome.append)
            server.say(said[:end])
            pair.flush()
            server.end("abortConnection")
            pair.flush()
            for outcome in outcomes:
                self.assertEqual(len(outcome), 1)
                self.assertTrue(not isinstance(outcome[0], Failure) or outcome[0].check(ImapError))
        self.assertEqual(self.flushLoggedErrors(), [])


class SplitTests(ImapCase):
    """A server's words, however they are cut."""

    SAID = (
        b"* OK [CAPABILITY IMAP4rev1 LITERAL+] hi\r\n"
        b"* FLAGS (\\Seen)\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\nL1 OK [READ-WRITE] open\r\n"
        b'* 1 FETCH (UID 3 BODY[] {5}\r\nab\r\n) ENVELOPE (NIL {2}\r\n"" "x" ("y" NIL)))\r\n* 2 FETCH (UID 8 BODY[] "")\r\n'
        b"* 3 EXISTS\r\nL2 OK done\r\n"
        b'* ESEARCH (TAG "L3") UID COUNT 2 ALL 3,8\r\nL3 OK found\r\n'
        b"* XYZZY {3}\r\n\r\nx\r\n* VANISHED 3\r\nL4 NO [OVERQUOTA] full\r\n"
    )

    def results(self, *pieces: bytes) -> list[Any]:
        """What a client makes of it."""
        server, client, pair = joined(self)
        asked: list[Deferred[Any]] = [
            client.greeting(),
            client.select("INBOX"),
            client.fetch("1:*", b"(ENVELOPE BODY[])"),
            client.search_for((b"COUNT", b"ALL"), b"ALL"),
            client.noop(),
        ]
        heard: list[Any] = []
        client.heard = heard.append
        for piece in pieces:
            server.say(piece)
            pair.flush()
        self.failureResultOf(asked[-1], CommandFailed)
        return [*map(self.successResultOf, asked[:-1]), heard]

    def test_every_split(self) -> None:
        """In two at every place, and octet by octet: the same values."""
        whole = self.results(self.SAID)
        self.assertEqual((whole[1].exists, whole[1].uid_validity, whole[1].uid_next), (2, 7, 9))
        self.assertEqual([(row.uid, row.row[b"BODY[]"]) for row in whole[2]], [(3, b"ab\r\n)"), (8, b"")])
        self.assertEqual(whole[2][0].row[b"ENVELOPE"], (None, b'""', b"x", (b"y", None)))
        self.assertEqual(whole[3].numbers, (3, 8))
        for cut in range(len(self.SAID)):
            self.assertEqual(self.results(self.SAID[:cut], self.SAID[cut:]), whole)
        self.assertEqual(self.results(*(self.SAID[at : at + 1] for at in range(len(self.SAID)))), whole)


class SinkTests(PairCase):
    """Literals that are not kept."""

    def setUp(self) -> None:
        """One large message."""
        super().setUp()
        self.fill(1, b"x" * 3_000_000)
        self.get(self.client.login("ann", "pw"))
        self.get(self.client.select("INBOX"))

    def test_slow_sink(self) -> None:
        """Nothing more is read before it has taken what it has; the server waits."""
        waits: list[Deferred[None]] = []
        taken: list[int] = []

        def sink(piece: bytes) -> Deferred[None]:
            taken.append(len(piece))
            waits.append(Deferred())
            return waits[-1]

        fetching = self.client.fetch("1", b"BODY.PEEK[]", opener=lambda *_: sink)
        self.pair.flush()
        self.assertEqual(len(taken), 1)
        self.assertLess(self.client.pending, 1 << 20)
        while waits:
            waits.pop(0).callback(None)
            self.pair.flush()
        self.assertEqual(sum(taken), 3_000_000)
        self.assertEqual(len(self.get(fetching)), 1)

    def test_sink_that_fails(self) -> None:
        """Its error is the answer; the rest cannot be told apart, so the connection goes."""

        def sink(piece: bytes) -> None:
            raise ZeroDivisionError

        fetching, after = self.client.fetch("1", b"BODY.PEEK[]", opener=lambda *_: sink), self.client.noop()
        self.pair.flush()
        self.failureResultOf(fetching, ZeroDivisionError)
        self.failureResultOf(after, ImapError)


class LyingServerTests(ImapCase):
    """Servers that do not know the password, or say too much."""

    def begin(self) -> tuple[Puppet, Pair[Any, Any], Deferred[Any]]:
        """An exchange of SCRAM under way."""
        server, client, pair = joined(self)
        client.greeting()
        server.say(b"* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256 SASL-IR] hi\r\n")
        pair.flush()
        waiting = client.authenticate("ann", "pw")
        pair.flush()
        self.assertIn(b"L1 AUTHENTICATE SCRAM-SHA-256 ", server.heard)
        return server, pair, waiting

    def test_success_without_proof(self) -> None:
        """Is none, at whatever step; nothing more is said to that server."""
        for said in (
            b"L1 OK in\r\n",
            b"+ dj1ub3RoaW5n\r\n",
            b"+ !!!\r\n",
            b"+ cj14LHM9eHh4eCxpPTQwOTY=\r\n",
        ):
            server, pair, waiting = self.begin()
            before = server.heard
            server.say(said)
            pair.flush()
            self.failureResultOf(waiting, Untrusted)
            self.assertEqual(server.heard, before)

    def test_refusal(self) -> None:
        """A NO is one."""
        server, pair, waiting = self.begin()
        server.say(b"L1 NO [AUTHENTICATIONFAILED] no\r\n")
        pair.flush()
        self.failureResultOf(waiting, CommandFailed)

    def test_endless_rows(self) -> None:
        """What one command keeps is bounded, however it is told."""
        server, client, pair = joined(self)
        client.greeting()
        fetching = client.fetch("1:*", b"BODY[]")
        server.say(b"* OK hi\r\n")
        self.patch(conversation, "MAX_KEPT", 1_000_000)
        row = b"* 1 FETCH (BODY[] {300000}\r\n" + bytes(300_000) + b")\r\n"
        for _ in range(5):
            server.say(row)
            pair.flush()
        self.failureResultOf(fetching, Confused)

    def test_idle_and_silence(self) -> None:
        """IDLE may last; its end may not."""
        server, client, pair = joined(self)
        client.greeting()
        server.say(b"* OK hi\r\n")
        events: list[Told] = []
        idling = client.idle(events.append)
        server.say(b"+ idling\r\n* 4 EXISTS\r\n* 2 EXPUNGE\r\n+ still\r\n")
        pair.flush()
        self.world.advance(3_600, 60)
        self.assertEqual(events, [Exists(4), Expunged(2)])
        self.assertNoResult(idling)
        client.done()
        pair.flush()
        self.assertTrue(server.heard.endswith(b"DONE\r\n"))
        self.world.advance(62)
        self.failureResultOf(idling, TimedOut)
