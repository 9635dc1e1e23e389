"""Questions over UDP: what is answered, what never is, and asking until heard."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable
from dataclasses import replace
from random import Random
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.core.errors import TryLater
from launcelot.core.rates import TokenBuckets
from launcelot.hosting.calling import Closed, Refused, TimedOut, Truncated, Unreachable
from launcelot.hosting.datagrams import AT_ONCE, WAITING, listen_datagrams
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.inquiry import connect_datagrams
from launcelot.hosting.listening import CannotListen
from launcelot.protocols.questions.answers import BOOK, UNKNOWN, Answering, Answers
from launcelot.protocols.questions.datagrams import CUT, MOST_TIMES, fit, parse_answer, parse_request
from launcelot.protocols.questions.grammar import NotASentence
from launcelot.protocols.questions.service import Settings, build
from launcelot.protocols.questions.udp import QuestionsDatagramClient, QuestionsDatagrams
from launcelot.testing.site import memory_site

NAME = b"What is your name?"
KNIGHT = b"My name is Sir Lancelot of Camelot."
HERE = ("127.0.0.1", 4000)
LOOPBACK = "udp:0:interface=127.0.0.1"


class GrammarTests(SynchronousTestCase):
    """Datagrams without a socket."""

    def test_plain_and_identified(self) -> None:
        """Both forms, and what looks like neither."""
        for datagram, wanted in (
            (NAME, (b"", NAME)),
            (b"#7f3A " + NAME, (b"#7f3A ", NAME)),
            (b"#0123456789abcdef " + NAME, (b"#0123456789abcdef ", NAME)),
            (b"#0123456789abcdef0 " + NAME, (b"", b"#0123456789abcdef0 " + NAME)),
            (b"#1?", (b"", b"#1?")),
            (b"#1 ?", (b"#1 ", b"?")),
            (b"? ?", None),
            (b"", None),
            (b"#1 ", None),
            (KNIGHT, None),
            (b"#1 " + KNIGHT, None),
            (NAME + b"\n", None),
        ):
            self.assertEqual(parse_request(datagram), wanted, datagram)

    def test_cut_anywhere_it_is_no_question(self) -> None:
        """A datagram that lost its end is not taken for another question."""
        whole = b"#7f " + NAME
        self.assertEqual([cut for cut in range(len(whole)) if parse_request(whole[:cut]) is not None], [])

    def test_random_datagrams(self) -> None:
        """Whatever is in them: a reply is never a request, and never too long."""
        random = Random(1060)
        for _ in range(20_000):
            datagram = bytes(random.choices(b"#ab1 ?.\xff\n", k=random.randrange(30)))
            request = parse_request(datagram)
            if request is not None:
                reply = fit(request[0], UNKNOWN, datagram)
                if reply is not None:
                    self.assertLessEqual(len(reply), MOST_TIMES * len(datagram))
                    self.assertIsNone(parse_request(reply))

    def test_every_answer_of_the_book_fits(self) -> None:
        """None of them is cut."""
        for question, answer in BOOK.items():
            self.assertEqual(fit(b"", answer, question), answer)

    def test_what_does_not_fit(self) -> None:
        """Shorter words, or silence."""
        self.assertEqual(fit(b"", b"a" * 60 + b".", b"a" * 9 + b"?"), CUT)
        self.assertIsNone(fit(b"", b"a" * 60 + b".", b"abc?"))
        self.assertEqual(fit(b"#1 ", b"a" * 60 + b".", b"#1 abcde?"), b"#1 " + CUT)

    def test_answers_are_told_apart(self) -> None:
        """By the identifier; what is no sentence behind it is an error."""
        self.assertEqual(parse_answer(b"#1 ", b"#1 Blue."), b"Blue.")
        for other in (b"#2 Blue.", b"Blue.", b"#1", b""):
            self.assertIsNone(parse_answer(b"#1 ", other))
        for cut in (b"#1 ", b"#1 Blu"):
            self.assertRaises(NotASentence, parse_answer, b"#1 ", cut)


class Oracle:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.due: list[Deferred[bytes]] = []
        self.cancelled: list[Deferred[bytes]] = []

    def answer(self, question: bytes) -> Awaitable[bytes]:
        """Later."""
        self.due.append(Deferred(self.cancelled.append))
        return self.due[-1]


class Failing:
    """Raises what it was given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def answer(self, question: bytes) -> bytes:
        """Raise."""
        raise self.error


class Wire:
    """Takes the place of a UDP port where only sending matters; the tests on sockets use the real one."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.error: Exception | None = None

    def write(self, datagram: bytes, source: Any = None) -> None:
        """Remember, or fail."""
        if self.error is not None:
            raise self.error
        self.sent.append((datagram, source))


class ServerTests(SynchronousTestCase):
    """What the server sends."""

    def setUp(self) -> None:
        self.world = memory_site()
        self.wire = Wire()

    def server(self, answers: Answering | None = None, rate: float = 1000, burst: float = 1000) -> QuestionsDatagrams:
        """A server on the wire."""
        made = QuestionsDatagrams(self.world.site, TokenBuckets(rate, burst), Settings(), answers or Answers())
        made.makeConnection(cast(Any, self.wire))
        return made

    def value(self, name: str) -> int:
        """A counter."""
        return self.world.site.counters.value(f"questions-udp.{name}")

    def test_questions_are_answered_to_where_they_came_from(self) -> None:
        """Plain and with an identifier."""
        server = self.server()
        server.datagramReceived(NAME, HERE)
        server.datagramReceived(b"#x1 " + NAME, ("127.0.0.2", 9))
        self.assertEqual(self.wire.sent, [(KNIGHT, HERE), (b"#x1 " + KNIGHT, ("127.0.0.2", 9))])
        self.assertEqual(self.value("answers"), 2)

    def test_what_is_no_question_is_not_answered(self) -> None:
        """Answers, halves, two at once, nothing at all, and octets that are no text."""
        server = self.server()
        for silent in (KNIGHT, UNKNOWN, b"#1 " + KNIGHT, b"", b"What is", NAME * 2, b"\xff\x00"):
            server.datagramReceived(silent, HERE)
        self.assertEqual(self.wire.sent, [])
        self.assertEqual(self.value("ignored"), 7)

    def test_two_servers_do_not_talk_to_each_other(self) -> None:
        """Nor does one to port 7, which says what it hears: a forged question has one answer."""
        server = self.server()
        server.datagramReceived(NAME, ("127.0.0.1", 7))
        server.datagramReceived(self.wire.sent[0][0], ("127.0.0.1", 7))
        self.assertEqual(len(self.wire.sent), 1)

    def test_ignored_datagrams_are_logged_once_a_second_in_one_escaped_line(self) -> None:
        """However many come."""
        server = self.server()
        with capturedLogs() as logs:
            for _ in range(100):
                server.datagramReceived(b"Ni\r\n\x1b[31m\xff" + b"a" * 60_000, HERE)
            self.world.clock.advance(1.5)
            server.datagramReceived(b"again", HERE)
        lines = [formatEvent(event) for event in logs]
        self.assertEqual(len(lines), 2)
        self.assertIn(r"silent to 60010 octets b'Ni\r\n\x1b[31m\xff", lines[0])
        self.assertNotIn("\n", lines[0])
        self.assertLess(len(lines[0]), 250)
        self.assertIn("99 more", lines[1])

    def test_a_long_answer_is_cut(self) -> None:
        """To an error that fits, or to silence."""
        server = self.server(Answers({b"Tell me all?": b"a" * 100 + b".", b"All?": b"a" * 100 + b"."}))
        server.datagramReceived(b"Tell me all?", HERE)
        server.datagramReceived(b"All?", HERE)
        self.assertEqual(self.wire.sent, [(CUT, HERE)])
        self.assertEqual(self.value("ignored"), 1)

    def test_a_question_too_short_for_any_answer(self) -> None:
        """Silence."""
        self.server().datagramReceived(b"?", HERE)
        self.assertEqual(self.wire.sent, [])

    def test_a_long_question(self) -> None:
        """It is told so, and no table is asked."""
        self.server().datagramReceived(b"a" * 4096 + b"?", HERE)
        self.assertEqual(self.wire.sent, [(b"Error: question too long.", HERE)])

    def test_each_source_has_its_rate(self) -> None:
        """Ports make no difference, addresses do."""
        server = self.server(rate=10, burst=5)
        for port in range(100):
            server.datagramReceived(NAME, ("127.0.0.1", 4000 + port))
        server.datagramReceived(NAME, ("127.0.0.2", 1))
        self.assertEqual(len(self.wire.sent), 6)
        self.assertEqual(self.value("limited"), 95)
        self.world.clock.advance(1)
        for _ in range(10):
            server.datagramReceived(NAME, HERE)
        self.assertEqual(len(self.wire.sent), 11)

    def test_refusals_are_answers(self) -> None:
        """As over TCP."""
        self.server(Failing(TryLater("not now"))).datagramReceived(NAME, HERE)
        self.assertEqual(self.wire.sent, [(b"Error: not now.", HERE)])

    def test_a_bug_is_logged_and_counted(self) -> None:
        """The peer hears nothing; the next question is answered."""
        server = self.server(Failing(ZeroDivisionError("secret")))
        server.datagramReceived(NAME, HERE)
        self.assertEqual((self.wire.sent, self.value("errors.internal")), ([], 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_errors_of_sending_are_counted(self) -> None:
        """A firewall, a port 0, a full buffer."""
        server = self.server()
        for number in (errno.EPERM, errno.EINVAL, errno.EAGAIN):
            self.wire.error = OSError(number, "no")
            server.datagramReceived(NAME, HERE)
        self.assertEqual((self.value("unsent"), self.value("answers")), (3, 0))

    def test_awaited_answers(self) -> None:
        """Each goes to whom it belongs, in any order."""
        oracle = Oracle()
        server = self.server(oracle)
        server.datagramReceived(b"#1 " + NAME, HERE)
        server.datagramReceived(b"#2 " + NAME, ("127.0.0.2", 5))
        oracle.due[1].callback(b"Second.")
        oracle.due[0].callback(b"First.")
        self.assertEqual(self.wire.sent, [(b"#2 Second.", ("127.0.0.2", 5)), (b"#1 First.", HERE)])
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_awaited_answers_are_bounded(self) -> None:
        """In number and in time."""
        oracle = Oracle()
        server = self.server(oracle, burst=10_000)
        for _ in range(WAITING + 10):
            server.datagramReceived(NAME, HERE)
        self.assertEqual(self.value("dropped"), 10)
        self.world.advance(11)
        self.assertEqual(self.value("late"), WAITING)
        self.assertEqual(len(oracle.cancelled), WAITING)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_closing_gives_up_what_is_awaited(self) -> None:
        """Nothing is left on the clock."""
        oracle = Oracle()
        server = self.server(oracle)
        server.datagramReceived(NAME, HERE)
        server.doStop()
        self.assertEqual(oracle.cancelled, oracle.due)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])


class ClientTests(SynchronousTestCase):
    """Asking until heard."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = Wire()
        self.client = QuestionsDatagramClient(self.clock)
        self.client.makeConnection(cast(Any, self.wire))

    def last(self) -> bytes:
        """What was sent last."""
        return self.wire.sent[-1][0]

    def reply(self, answer: bytes) -> None:
        """Answer what was sent last."""
        self.client.datagramReceived(self.last().partition(b" ")[0] + b" " + answer, HERE)

    def test_it_asks_again_ever_later(self) -> None:
        """After 0.1 seconds, 0.2, 0.4 and 0.8; after 2 seconds it gives up."""
        asked = self.client.ask(NAME)
        times: list[float] = []
        for tick in range(250):
            if len(self.wire.sent) > len(times):
                times.append(tick / 100)
            if not self.clock.getDelayedCalls():
                break
            self.clock.advance(0.01)
        self.failureResultOf(asked, TimedOut)
        for found, wanted in zip(times, (0, 0.1, 0.3, 0.7, 1.5), strict=True):
            self.assertLess(abs(found - wanted), 0.021)
        self.assertLess(abs(self.clock.seconds() - 2.0), 0.021)
        self.assertEqual(len({datagram for datagram, _ in self.wire.sent}), 1)

    def test_an_answer_ends_the_asking(self) -> None:
        """To whichever copy of the question; a second copy of the answer is dropped."""
        asked = self.client.ask(NAME)
        self.clock.advance(0.15)
        self.reply(KNIGHT)
        self.reply(KNIGHT)
        self.assertEqual(self.successResultOf(asked), KNIGHT)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_identifiers_tell_answers_apart(self) -> None:
        """Asked together, answered crosswise."""
        first = self.client.ask(NAME)
        identifier = self.last().partition(b" ")[0]
        second = self.client.ask(b"What is your favorite color?")
        self.reply(b"Blue.")
        self.client.datagramReceived(b"#0 Red.", HERE)
        self.client.datagramReceived(b"Red.", HERE)
        self.client.datagramReceived(identifier + b" " + KNIGHT, HERE)
        self.assertEqual([self.successResultOf(one) for one in (first, second)], [KNIGHT, b"Blue."])

    def test_half_an_answer(self) -> None:
        """It is an error, not an answer."""
        asked = self.client.ask(NAME)
        self.reply(b"My name is")
        self.failureResultOf(asked, Truncated)

    def test_nobody_listens(self) -> None:
        """All that is asked ends at once."""
        asked = [self.client.ask(NAME), self.client.ask(NAME)]
        self.client.connectionRefused()
        for one in asked:
            self.failureResultOf(one, Refused)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_way_there(self) -> None:
        """What the system says is an error of calling."""
        self.wire.error = OSError(errno.ENETUNREACH, "Network is unreachable")
        self.failureResultOf(self.client.ask(NAME), Unreachable)

    def test_a_cancelled_question(self) -> None:
        """Nothing of it is left."""
        asked = self.client.ask(NAME)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_two_questions_in_one_are_refused(self) -> None:
        """As over TCP."""
        self.assertRaises(NotASentence, self.client.ask, NAME * 2)


class SocketTests(TestCase):
    """Real sockets on loopback."""

    async def listen(self, answers: Answering | None = None, rate: float = 10_000) -> tuple[str, int]:
        """The service on a free port."""
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.world = memory_site()
        site = replace(self.world.site, reactor=reactor, clock=reactor)
        site.deadlines = Deadlines(reactor)
        self.service = build(site, Settings(listen=(), listen_udp=(LOOPBACK,), datagram_rate=rate), answers)
        self.addCleanup(self.service.stopService)
        await self.service.listen()
        (row,) = self.service.listening
        self.assertEqual((row.name, row.tls), ("questions-udp", "none"))
        return row.host, row.port

    async def client(self, host: str, port: int) -> QuestionsDatagramClient:
        """Our client, connected."""
        made = QuestionsDatagramClient(self.reactor)
        await connect_datagrams(self.reactor, host, port, made)
        self.addCleanup(made.close)
        return made

    async def test_many_at_once(self) -> None:
        """Each question has its own answer."""
        client = await self.client(*await self.listen())
        asked = [client.ask(question) for question in list(BOOK) * 10]
        self.assertEqual([await one for one in asked], list(BOOK.values()) * 10)

    async def test_a_plain_socket(self) -> None:
        """The book's way: one datagram, one answer; empty ones and the largest harm nobody."""
        address = await self.listen()

        def talk() -> bytes:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.settimeout(60)
                for harmless in (b"", b"a" * 65_507, KNIGHT):
                    peer.sendto(harmless, address)
                peer.sendto(NAME, address)
                return peer.recv(4096)

        self.assertEqual(await deferToThread(talk), KNIGHT)

    async def test_a_peer_that_is_gone(self) -> None:
        """Answers that nobody takes come back as ICMP errors, and the next peer is answered all the same."""
        address = await self.listen()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            for _ in range(50):
                gone.sendto(NAME, address)
        client = await self.client(*address)
        self.assertEqual(await client.ask(NAME), KNIGHT)

    async def test_a_flood_of_empty_datagrams_does_not_hold_the_reactor(self) -> None:
        """A read event ends while more wait."""
        host, port = await self.listen()
        ((_, listening),) = self.service._ports
        listening.stopReading()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for _ in range(AT_ONCE + 10):
                peer.sendto(b"", (host, port))
        listening.doRead()
        self.assertEqual(self.world.site.counters.value("questions-udp.datagrams"), AT_ONCE)
        listening.startReading()

    async def test_nobody_listens_there(self) -> None:
        """The ICMP error is told; silence would be another error, after two seconds."""
        address = await self.listen()
        await self.service.unlisten()
        client = await self.client(*address)
        await self.assertFailure(client.ask(NAME), Refused)

    async def test_closing_ends_what_is_asked(self) -> None:
        """And what is asked later."""
        client = await self.client(*await self.listen(Oracle()))
        asked = client.ask(NAME)
        closed: Deferred[Any] = client.close()
        await self.assertFailure(asked, Closed)
        await closed
        await self.assertFailure(client.ask(NAME), Closed)

    async def test_a_name_that_nobody_has(self) -> None:
        """It is told, and no socket is left."""
        await self.listen()
        made = QuestionsDatagramClient(self.reactor)
        asking = Deferred.fromCoroutine(connect_datagrams(self.reactor, "no.such.name.invalid", 1, made))
        await self.assertFailure(asking, Unreachable)

    async def test_localhost_by_name(self) -> None:
        """The reactor's resolver is asked."""
        _, port = await self.listen()
        if socket.getaddrinfo("localhost", port)[0][0] != socket.AF_INET:
            self.skipTest("localhost is ::1 here, and the service listens on 127.0.0.1")
        client = await self.client("localhost", port)
        self.assertEqual(await client.ask(NAME), KNIGHT)

    async def test_a_port_in_use(self) -> None:
        """Told in one line, and nothing else listens."""
        host, port = await self.listen()
        second = build(
            self.service.datagrams[0].server.site, Settings(listen=(), listen_udp=(f"udp:{port}:interface={host}",))
        )
        error: Any = await self.assertFailure(Deferred.fromCoroutine(second.listen()), CannotListen)
        self.assertIn(f"questions-udp: cannot listen on 127.0.0.1:{port}: Address already in use", str(error))

    async def test_endpoints_that_are_none(self) -> None:
        """Each is named."""
        await self.listen()
        server = self.service.datagrams[0].server
        for wrong in ("tcp:1060", "udp:", "udp:port", "udp:1:backlog=5", "udp:1:interface=name", "udp"):
            self.assertRaises(ValueError, listen_datagrams, self.reactor, wrong, server)

    async def test_stopping_with_answers_awaited(self) -> None:
        """The port is closed and nothing is left waiting."""
        oracle = Oracle()
        address = await self.listen(oracle)
        client = await self.client(*address)
        asked = client.ask(NAME)
        while not oracle.due:
            await deferLater(self.reactor, 0, lambda: None)
        await self.service.unlisten()
        self.assertEqual(oracle.cancelled, oracle.due)
        asked.cancel()
        await self.assertFailure(asked, CancelledError)
