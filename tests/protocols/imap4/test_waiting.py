"""Stores that take their time, and peers that do not wait for them."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred

from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.protocols.imap4.grammar.reader import announced
from launcelot.protocols.imap4.grammar.replies import Data, Response, ResponseReader, parse
from launcelot.protocols.imap4.session import GRACE
from launcelot.testing.link import Link
from launcelot.workers.memory import SteppedWorkers
from tests.bounded import linear
from tests.protocols.imap4.world import MESSAGE, ImapCase

SAID = (
    b"a LOGIN ann pw\r\nb CREATE x\r\nc APPEND INBOX {%d+}\r\n%b\r\nd SELECT INBOX\r\ne STORE 1 +FLAGS (\\Flagged kw)\r\n"
    b"f FETCH 1 (FLAGS BODY[])\r\ng COPY 1 x\r\nh SEARCH TEXT meet\r\np SEARCH RETURN (SAVE COUNT) MODSEQ 1\r\n"
    b"q SORT (SUBJECT) UTF-8 $\r\nr THREAD REFERENCES UTF-8 ALL\r\ns APPEND x {3+}\r\nabc (kw) {3+}\r\nabc\r\n"
    b't LIST () "" * RETURN (STATUS (MESSAGES MAILBOXID))\r\nu ENABLE QRESYNC\r\ni STORE 1 +FLAGS (\\Deleted)\r\n'
    b"v UID FETCH $ (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\nj EXPUNGE\r\n"
    b"k SELECT x\r\nl UID MOVE 1 INBOX\r\nm RENAME x y\r\nn DELETE y\r\no LOGOUT\r\n"
) % (len(MESSAGE), MESSAGE)


class SlowStoreCase(ImapCase):
    """Mail in SQLite files that are written and searched when the test says so."""

    def setUp(self) -> None:
        super().setUp()
        self.writer, self.reader = SteppedWorkers(), SteppedWorkers()
        site = self.world.site
        site.mail = SqliteMailStore(Path(self.mktemp()), [self.writer], self.reader, site.now, site.new_id)

    def perform(self, link: Link, steps: int = 10_000) -> int:
        """Let jobs run; how many there were."""
        for done in range(steps):
            if not self.writer.perform() and not self.reader.perform():
                return done
            link.flush()
        return steps


class SlowStoreTests(SlowStoreCase):
    """Commands that wait for a store."""

    def test_pipelined_commands_stay_in_order(self) -> None:
        """Everything is said at once, answered in order, and each sees what came before (twisted #9282)."""
        link = self.connect()
        link.say(SAID)
        heard = link.take()
        self.assertNotIn(b"o OK", heard)
        self.perform(link)
        heard += link.take()
        tags = [line[:4] for line in heard.split(b"\r\n") if line[1:4] in (b" OK", b" NO", b" BA") and line[:1] != b"*"]
        self.assertEqual(tags, [bytes([tag]) + b" OK" for tag in b"abcdefghpqrstuivjklmno"], heard)

    def test_client_that_vanishes_at_every_step(self) -> None:
        """Whatever the store was doing, nothing is logged, nobody is left, and the next client works."""
        link = self.connect()
        link.say(SAID)
        steps = self.perform(link)
        self.assertGreater(steps, 8)
        for step in range(steps):
            self.setUp()
            link = self.connect()
            link.say(SAID)
            self.perform(link, step)
            link.abort()
            self.assertEqual(self.factory.sessions, set())
            self.perform(link)
            other = self.connect()
            other.say(b"a LOGIN ann pw\r\nb STATUS INBOX (MESSAGES)\r\n")
            self.perform(other)
            self.assertIn(b"b OK", other.take())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_commands_during_idle(self) -> None:
        """A notice that is being looked up while DONE arrives comes before the answer, and nothing after it."""
        link = self.connect()
        link.say(b"a LOGIN ann pw\r\nb SELECT INBOX\r\n")
        self.perform(link)
        other = self.connect()
        other.say(b"a LOGIN ann pw\r\n")
        self.perform(other)
        link.take()
        link.say(b"c IDLE\r\n")
        self.perform(link)
        self.assertEqual(link.take(), b"+ idling\r\n")
        other.say(b"b APPEND INBOX {3+}\r\nabc\r\n")
        while b"EXISTS" not in link.take() and self.perform(other, 1):
            link.say(b"")
        link.say(b"DONE\r\nd NOOP\r\n")
        self.perform(link)
        self.assertTrue(link.take().endswith(b"c OK IDLE completed\r\nd OK NOOP completed\r\n"))

    def test_store_that_cannot_answer(self) -> None:
        """Temporary trouble is NO [UNAVAILABLE]; the session goes on."""
        link = self.connect()
        link.say(b"a LOGIN ann pw\r\nb SELECT INBOX\r\n")
        self.perform(link)
        link.take()
        self.writer.close()
        self.ask(link, b"CREATE x", b"NO [UNAVAILABLE]")
        link.say(b"t APPEND INBOX {3+}\r\nabc\r\n")
        self.perform(link)
        self.assertRegex(link.take(), rb"\At NO \[UNAVAILABLE\] ")
        self.ask(link, b"NOOP")


class FairnessTests(ImapCase):
    """R06, R08: one session does not keep the others waiting."""

    def test_long_work_takes_turns(self) -> None:
        """A session that has worked longer than its share lets the others have their turn."""
        self.fill(3000)
        link = self.log_in("INBOX")
        clock = self.world.clock
        turns: list[float] = []
        server = link.server
        ticking = server.drain

        async def drain() -> None:
            clock.rightNow += GRACE * 2
            await ticking()

        async def turn() -> None:
            turns.append(clock.seconds())

        server.drain, server.turn = drain, turn
        link.say(b"t FETCH 1:* (ENVELOPE)\r\n")
        self.assertTrue(link.take().endswith(b"t OK FETCH completed\r\n"))
        self.assertGreaterEqual(len(turns), 3000 // 500)

    def test_turns_on_the_reactor(self) -> None:
        """A turn ends with the reactor's next one."""
        link = self.connect()
        waiting = Deferred.fromCoroutine(link.server.turn())
        self.assertNoResult(waiting)
        self.world.clock.advance(0)
        self.successResultOf(waiting)


class HostileContentTests(ImapCase):
    """I11, I03, I05: what messages, names and patterns hold cannot break the stream."""

    def test_messages_that_look_like_responses(self) -> None:
        """Header values with quotes, controls and line ends come out as strings; the stream stays in step."""
        body = (
            b'Subject: a"b\\c\x01\x02 ) {5}\r\n =?utf-8?q?=0D=0At_OK_[x]?=\r\nFrom: "x\\"y)" <a"(@b>\r\n'
            b'Content-Type: text/plain; name="{3}\r\n * BYE"\r\nMessage-ID: <)"{9}>\r\n\r\n* 1 EXPUNGE\r\n'
        )
        self.fill(1, body)
        link = self.log_in("INBOX")
        link.say(b"t FETCH 1 (ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n")
        heard = link.take()
        self.assertTrue(heard.endswith(b")\r\nt OK FETCH completed\r\n"))
        response = response_from(heard[: -len(b"\r\nt OK FETCH completed\r\n")])
        assert isinstance(response, Data)
        self.assertEqual(set(response.row), {b"ENVELOPE", b"BODY", b"BODYSTRUCTURE", b"BODY[HEADER.FIELDS (SUBJECT)]"})
        self.assertEqual(len(response.row[b"ENVELOPE"]), 10)

    def test_flags_from_elsewhere(self) -> None:
        """A keyword that is no atom, however it came into the store, is never sent."""
        box = self.mailbox()
        try:
            self.world.result(box.append(MESSAGE, ["a b)\r\n* BYE", "ok"]))
        except Exception:  # noqa: BLE001 - a store may refuse it; then there is nothing to send
            self.fill(1, flags=("ok",))
        link = self.log_in("INBOX")
        self.assertEqual(self.ask(link, b"FETCH 1 FLAGS")[0], b"* 1 FETCH (FLAGS (\\Recent ok))")

    def test_wildcard_bombs(self) -> None:
        """Patterns of forty stars over long names end; steps are counted in the tests of the store."""
        link = self.log_in()
        for number in range(100):
            self.ask(link, b"CREATE " + b"a" * 190 + b"%d" % number)
        for pattern in (b"*a" * 40 + b"b", b"%" * 500, b"*%" * 200 + b"b", b"%a" * 90 + b"b"):
            with linear(pattern):
                self.assertEqual(len(self.ask(link, b'LIST "" ' + pattern)), 1 if pattern.endswith(b"b") else 102)
                self.ask(link, b'LSUB "" ' + pattern)

    def test_absurd_sections(self) -> None:
        """Deep part numbers, many items and the same message many times are bounded."""
        self.fill(2)
        link = self.log_in("INBOX")
        self.ask(link, b"FETCH 1 BODY.PEEK[%b1]" % (b"1." * 5000), b"BAD")
        self.ask(link, b"FETCH 1 BODY.PEEK[%b1]" % (b"1." * 90))
        self.ask(link, b"FETCH 1 (%b)" % b" ".join(b"BODY.PEEK[]<%d.1>" % number for number in range(3000)), b"BAD")
        self.assertEqual(len(self.ask(link, b"FETCH " + b",".join([b"1"] * 30_000) + b" UID")), 2)


def response_from(octets: bytes) -> Response:
    """One response, read as a client would, literal by literal."""
    line, _, rest = octets.partition(b"\r\n")
    reader = ResponseReader(line)
    while (found := announced(line)) is not None:
        literal, rest = rest[: found.size], rest[found.size :]
        line, _, rest = rest.partition(b"\r\n")
        reader.add(literal, line)
    return parse(reader)
