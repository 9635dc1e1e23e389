"""The stream core under every line protocol: lines, chunks, flow control, deadlines, TLS, ends."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.stream import HIGH_WATER, LINGER_OCTETS, TURN_LINES
from launcelot.testing.link import Link, connect, every_split, random_cuts
from tests.hosting.bare import talker_factory
from tests.testing.certificates import contexts

UNTRUSTED = "TLS failed (tlsv1 alert unknown ca)"


class StreamCase(SynchronousTestCase):
    """A Talker and somebody connected to it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = talker_factory(self.clock)

    def link(self) -> Link:
        link = connect(self.factory, self.clock)
        self.assertEqual(link.take(), b"hello\r\n")
        return link

    def advance(self, link: Link, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance(1)
            link.flush()


class LineTests(StreamCase):
    """Lines come whole and in order, however they were cut."""

    SAID = b"one\r\n\r\ntwo three\r\nBODY 5\r\na\nb\r\nfour\r\n"
    HEARD = b"<one>\r\n<>\r\n<two three>\r\ngot 5\r\n<four>\r\n"

    def test_whole_octets_and_every_split(self) -> None:
        """The same answers come for a whole delivery, octet by octet, and for every cut in two."""
        link = self.link()
        link.say(self.SAID)
        self.assertEqual(link.take(), self.HEARD)
        link = self.link()
        link.say(self.SAID, chunk=1)
        self.assertEqual(link.take(), self.HEARD)
        for first, second in every_split(self.SAID):
            link = self.link()
            link.say(first)
            link.say(second)
            self.assertEqual(link.take(), self.HEARD)

    def test_what_is_not_answered_is_acknowledged(self) -> None:
        """A part may be all that the peer can send before it hears of it, under Nagle's algorithm; what is whole is answered."""
        link = self.link()
        asked: list[str] = []
        server: Any = link.server
        server.acknowledge = lambda: asked.append("now")
        for said, times in (
            (b"one\r\n", 0),
            (b"tw", 1),
            (b"o\r\nthr", 0),
            (b"e", 1),
            (b"e\r\n", 0),
            (b"BODY 5\r\n", 1),
            (b"ab", 1),
            (b"c\r\nBODY 2", 0),
            (b"\r\nxx", 0),
        ):
            asked.clear()
            link.say(said)
            self.assertEqual(len(asked), times, said)
        self.assertEqual(link.take(), b"<one>\r\n<two>\r\n<three>\r\ngot 5\r\ngot 2\r\n")

    def test_random_cuts(self) -> None:
        """The same answers come for many random cuts."""
        random = Random(1)
        for _ in range(100):
            link = self.link()
            link.say(self.SAID, cuts=random_cuts(self.SAID, random))
            self.assertEqual(link.take(), self.HEARD)

    def test_bare_newline_is_told_and_survived(self) -> None:
        """A line that ends in LF alone is reported and the next one is read."""
        link = self.link()
        link.say(b"one\ntwo\r\n")
        self.assertEqual(link.take(), b"!bare\r\n<two>\r\n")

    def test_longest_line(self) -> None:
        """A line of exactly the limit passes; one octet more does not, and the connection closes after the answer."""
        link = self.link()
        link.say(b"x" * 100 + b"\r\n")
        self.assertEqual(link.take(), b"<" + b"x" * 100 + b">\r\n")
        link.say(b"x" * 101 + b"\r\n")
        self.assertEqual(link.take(), b"!long\r\n")
        self.assertTrue(link.closed)

    def test_endless_line_is_cut_short(self) -> None:
        """A peer that goes on and on without a line end gets the answer and then a reset; nothing is kept."""
        link = self.link()
        for _ in range(20):
            link.say(b"x" * 100_000)
        self.assertEqual(link.take(), b"!long\r\n")
        self.assertIsNotNone(link.peer.lost)
        self.assertGreater(20 * 100_000, LINGER_OCTETS)
        self.assertEqual(self.factory.sessions, set())

    def test_pipelined_answers_leave_in_one_write(self) -> None:
        """All answers to one delivery leave together."""
        link = self.link()
        sizes: list[int] = []
        receive = link.peer.dataReceived
        link.peer.dataReceived = lambda data: (sizes.append(len(data)), receive(data))[1]  # type: ignore[method-assign, func-returns-value]
        link.say(b"a\r\n" * 50)
        self.assertEqual(sizes, [250])

    def test_peer_that_closes_after_asking_is_answered(self) -> None:
        """Half-close: what was asked before it is answered, then the connection ends."""
        link = self.link()
        link.say(b"one\r\ntwo\r\nhalf a li")
        link.half_close()
        self.assertEqual(link.take(), b"<one>\r\n<two>\r\n")
        self.assertTrue(link.closed)
        self.assertEqual(self.factory.sessions, set())

    def test_vanished_peer_ends_the_session(self) -> None:
        """A reset in mid-line leaves no session and no timer."""
        link = self.link()
        link.say(b"half a li")
        link.abort()
        self.assertEqual(self.factory.sessions, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FlowTests(StreamCase):
    """Memory is bounded whatever the peer does."""

    def choked(self) -> Link:
        """A peer that has not read what it was answered, with no input left over at the server."""
        link = self.link()
        link.stop_reading()
        for _ in range(100_000):
            if link.server._choked:
                break
            link.say(b"y" * 90 + b"\r\n")
        link.say(b"half ")
        self.assertEqual(link.server.pending, len(b"half "))
        return link

    def test_short_lines_with_long_answers(self) -> None:
        """One segment of them makes no more answers than fit the send buffer; the others are made when it has room."""
        link = self.link()
        link.stop_reading()
        link.say(b"TALK 1000\r\n" * 3_000)
        self.assertLess(link.server.sent, 300_000)
        link.go_on_reading()
        self.assertEqual(len(link.take()), 3_000 * 1_002)

    def test_others_have_their_turn(self) -> None:
        """A session that has worked for some milliseconds on what one segment brought lets others go on before it does."""
        busy, other = self.link(), self.link()
        busy.say(b"WORK 1\r\n" * 100)
        answered = busy.take().count(b"<WORK 1>")
        self.assertEqual(answered, TURN_LINES)
        other.say(b"one\r\n")
        self.assertEqual(other.take(), b"<one>\r\n")
        self.clock.advance(0)
        self.assertEqual(busy.take().count(b"<WORK 1>"), 100 - TURN_LINES)

    def test_a_peer_that_vanishes_when_others_have_their_turn(self) -> None:
        """Its session ends, and no timer is left."""
        link = self.link()
        link.say(b"WORK 1\r\n" * 100)
        link.abort()
        self.assertEqual(self.factory.sessions, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lines_that_come_while_the_peer_is_slow_are_answered(self) -> None:
        """They are there when the send buffer has room again, and nothing else comes that would wake the session."""
        link = self.choked()
        link.say(b"line\r\nlast\r\n")
        link.go_on_reading()
        self.assertTrue(link.take().endswith(b"<half line>\r\n<last>\r\n"))

    def test_lines_that_come_with_the_end_while_the_peer_is_slow_are_answered(self) -> None:
        """The peer closes its side behind them: what it said is still answered."""
        link = self.choked()
        link.say(b"line\r\nlast\r\n")
        link.half_close()
        link.go_on_reading()
        self.assertTrue(link.take().endswith(b"<half line>\r\n<last>\r\n"))
        self.assertTrue(link.closed)

    def test_peer_that_never_reads(self) -> None:
        """Pipelined commands of a peer that does not read stop being answered; input stops being read; it is cut."""
        link = self.link()
        link.stop_reading()
        link.say(b"y" * 90 + b"\r\n")
        for _ in range(100):
            link.say((b"y" * 90 + b"\r\n") * 1000)
        server = link.server
        self.assertLess(server.sent, 400_000)
        self.assertLessEqual(server.pending, 2 * HIGH_WATER)
        self.assertLess(server.received, 600_000)
        self.advance(link, 125)
        self.assertIsNotNone(link.peer.lost)

    def test_slow_reader_gets_everything(self) -> None:
        """A peer that reads late gets every octet of a large answer."""
        link = self.link()
        link.stop_reading()
        link.say(b"FLOOD 1000000\r\n")
        self.assertLess(link.server.sent, 300_000)
        link.go_on_reading()
        self.assertEqual(len(link.take()), 1_000_000)
        link.say(b"still\r\n")
        self.assertEqual(link.take(), b"<still>\r\n")


class DeadlineTests(StreamCase):
    """Peers that take too long are told and cut; honest slow ones are not."""

    def test_idle(self) -> None:
        """Silence is cut at the idle limit, with a goodbye."""
        link = self.link()
        link.say(b"LOGIN\r\n")
        link.take()
        self.advance(link, 29)
        link.say(b"here\r\n")
        self.assertEqual(link.take(), b"<here>\r\n")
        self.advance(link, 29)
        self.assertFalse(link.closed)
        self.advance(link, 2)
        self.assertEqual(link.take(), b"late idle\r\n")
        self.assertTrue(link.closed)

    def test_drip_does_not_count_as_a_line(self) -> None:
        """One octet every five seconds does not keep a connection alive."""
        link = self.link()
        link.say(b"LOGIN\r\n")
        link.take()
        for _ in range(7):
            link.say(b"z")
            self.advance(link, 5)
        self.assertEqual(link.take(), b"late idle\r\n")

    def test_total_before_login(self) -> None:
        """The absolute limit holds however busy the peer is, and is lifted by logging in."""
        busy, logged_in = self.link(), self.link()
        logged_in.say(b"LOGIN\r\n")
        for _ in range(13):
            busy.say(b"a\r\n")
            logged_in.say(b"a\r\n")
            self.advance(busy, 5)
        self.assertTrue(busy.take().endswith(b"late total\r\n"))
        self.assertFalse(logged_in.closed)

    def test_slow_body(self) -> None:
        """A body that trickles below the rate is cut; one just above it is received."""
        trickle, honest = self.link(), self.link()
        trickle.say(b"LOGIN\r\nBODY 1000\r\n")
        honest.say(b"LOGIN\r\nBODY 1000\r\n")
        for _ in range(80):
            trickle.say(b"t" * 5)
            honest.say(b"h" * 13)
            self.advance(honest, 1)
        self.assertTrue(honest.take().endswith(b"got 1000\r\n"))
        self.assertTrue(trickle.take().endswith(b"late slow\r\n"))

    def test_close_that_the_peer_does_not_finish(self) -> None:
        """A peer that never closes its side after our close is reset after a few seconds."""
        link = self.link()
        link.say(b"ENOUGH\r\n")
        self.assertEqual(link.take(), b"go away\r\n")
        self.assertEqual(len(self.factory.sessions), 1)
        self.advance(link, 6)
        self.assertEqual(self.factory.sessions, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_close_that_was_asked_for(self) -> None:
        """Nothing more is on its way from a peer that has said goodbye, so nobody waits for it; unless more has come already."""
        self.link().say(b"QUIT\r\n")
        self.assertEqual(self.factory.sessions, set())
        self.link().say(b"QUIT\r\nand another thing")
        self.assertEqual(len(self.factory.sessions), 1)


class TLSTests(StreamCase):
    """TLS in mid-connection and from the first octet."""

    def test_starttls_then_lines(self) -> None:
        """After the handshake lines are answered inside TLS."""
        link = self.link()
        link.say(b"STARTTLS\r\n")
        self.assertEqual(link.take(), b"go\r\n")
        link.start_tls(contexts()[1])
        self.assertTrue(link.peer.shaken)
        link.say(b"inside\r\n")
        self.assertEqual(link.take(), b"<inside>\r\n")
        link.say(b"FLOOD 300000\r\n")
        self.assertEqual(len(link.take()), 300_000)

    def test_injected_plaintext_is_never_run(self) -> None:
        """A command pipelined behind STARTTLS in clear is refused and the connection closed."""
        link = self.link()
        link.say(b"STARTTLS\r\nevil\r\n")
        self.assertEqual(link.take(), b"!injected\r\n")
        self.assertTrue(link.closed)

    def test_garbage_instead_of_a_handshake(self) -> None:
        """Octets in clear after the go-ahead end the connection."""
        link = self.link()
        link.say(b"STARTTLS\r\n")
        link.take()
        with capturedLogs() as logs:
            link.say(b"evil\r\n")
            self.assertNotIn(b"evil", link.take())
            self.assertTrue(link.closed)
            self.assertEqual(self.factory.sessions, set())
            link.close()
        self.assertEqual([event["outcome"] for event in logs if "outcome" in event], ["TLS failed (wrong version number)"])

    def test_certificate_the_peer_does_not_trust(self) -> None:
        """The log has the peer's reason in OpenSSL's words; one that goes away in the midst of it has none."""
        for context, outcome in ((optionsForClientTLS("localhost"), UNTRUSTED), (None, "peer gone")):
            self.factory = talker_factory(self.clock, implicit_tls=True)
            link = connect(self.factory, self.clock)
            with capturedLogs() as logs:
                if context is not None:
                    link.start_tls(context)
                link.close()
            self.assertEqual([event["outcome"] for event in logs if "outcome" in event], [outcome])

    def test_implicit_tls(self) -> None:
        """A listener with implicit TLS greets inside TLS."""
        self.factory = talker_factory(self.clock, implicit_tls=True)
        link = connect(self.factory, self.clock)
        self.assertEqual(link.take(), b"")
        link.start_tls(contexts()[1])
        self.assertEqual(link.take(), b"hello\r\n")
        link.say(b"QUIT\r\n")
        self.assertEqual(link.take(), b"bye\r\n")
        self.assertTrue(link.closed)

    def test_handshake_that_never_comes(self) -> None:
        """A peer that stays silent instead of shaking hands is cut at the deadline."""
        self.factory = talker_factory(self.clock, implicit_tls=True)
        link = connect(self.factory, self.clock)
        self.advance(link, 70)
        self.assertEqual(self.factory.sessions, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EndTests(StreamCase):
    """Bugs, limits and stopping."""

    def test_bug_is_told_logged_and_counted(self) -> None:
        """A bug is answered without its text, logged once, counted, and closes only its own connection."""
        other, link = self.link(), self.link()
        link.say(b"BUG\r\n")
        self.assertEqual(link.take(), b"!internal error\r\n")
        self.assertTrue(link.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.factory.site.counters.value("talk.errors.internal"), 1)
        other.say(b"on\r\n")
        self.assertEqual(other.take(), b"<on>\r\n")

    def test_too_many_from_one_source(self) -> None:
        """The connection over the limit is told and closed; another source is served; a freed place is given again."""
        self.factory = talker_factory(self.clock, per_source=2)
        first, _second = self.link(), self.link()
        third = connect(self.factory, self.clock)
        self.assertEqual(third.take(), b"full\r\n")
        self.assertTrue(third.closed)
        self.assertEqual(connect(self.factory, self.clock, source="127.0.0.2").take(), b"hello\r\n")
        first.abort()
        self.assertEqual(connect(self.factory, self.clock).take(), b"hello\r\n")

    def test_drain_lets_a_body_finish(self) -> None:
        """A stopping service says goodbye to idle peers, receives a body to its end, refuses new peers, then is done."""
        idle, busy = self.link(), self.link()
        busy.say(b"BODY 10\r\n12345")
        drained = self.factory.drain()
        idle.flush()
        self.assertEqual(idle.take(), b"stopping\r\n")
        self.assertNoResult(drained)
        late = connect(self.factory, self.clock)
        self.assertEqual((late.take(), late.closed), (b"", True))
        busy.say(b"67890")
        self.assertEqual(busy.take(), b"got 10\r\nstopping\r\n")
        for link in (idle, busy):
            link.close()
        self.successResultOf(drained)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_drain_aborts_those_who_stay(self) -> None:
        """Sessions that do not end in time are aborted, so that stopping ends."""
        link = self.link()
        link.say(b"BODY 10\r\n")
        drained = self.factory.drain(limit=5)
        self.advance(link, 6)
        self.successResultOf(drained)
        self.assertEqual(self.clock.getDelayedCalls(), [])
