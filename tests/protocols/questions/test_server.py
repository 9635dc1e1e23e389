"""Sir Launcelot's server over a memory network: order, pieces, limits, ends."""

from collections.abc import Awaitable
from random import Random

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Refusal, TryLater
from launcelot.core.limits import ConnectionCount
from launcelot.protocols.questions.answers import UNKNOWN, Answering, Answers, Known
from launcelot.protocols.questions.server import QuestionsFactory
from launcelot.protocols.questions.service import Settings
from launcelot.testing.link import Link, every_split, random_cuts
from launcelot.testing.site import memory_site

NAME = b"What is your name?"
KNIGHT = b"My name is Sir Lancelot of Camelot."
QUEST = b"What is your quest?"
GRAIL = b"To seek the Holy Grail."
COLOR = b"What is your favorite color?"
BLUE = b"Blue."


class Oracle:
    """Answers when it is told to; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.due: list[Deferred[bytes]] = []
        self.cancelled: list[Deferred[bytes]] = []

    def answer(self, question: bytes) -> bytes | Awaitable[bytes]:
        """At once if the question begins with ``now``."""
        self.asked.append(question)
        if question.startswith(b"now"):
            return b"Now."
        self.due.append(Deferred(self.cancelled.append))
        return self.due[-1]


class Refusing:
    """Answers nothing: raises, at once or later."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def answer(self, question: bytes) -> bytes | Awaitable[bytes]:
        """Raise, later if the question begins with ``later``."""
        if question.startswith(b"later"):
            return self.later()
        raise self.error

    async def later(self) -> bytes:
        """Raise when awaited."""
        raise self.error


class ServerCase(SynchronousTestCase):
    """A world with the service in it."""

    def setUp(self) -> None:
        self.world = memory_site()
        self.clock = self.world.clock

    def factory(self, answers: Answering | None = None, count: ConnectionCount | None = None) -> QuestionsFactory:
        """A factory with the default settings."""
        count = count or ConnectionCount(1000, 1000)
        return QuestionsFactory(self.world.site, "questions", count, Settings(), answers or Answers())

    def link(self, answers: Answering | None = None) -> Link:
        """A raw peer of a new factory."""
        return self.world.connect(self.factory(answers))


class AnswerTests(ServerCase):
    """What is answered, and in which order."""

    def test_a_question_is_answered_and_the_connection_stays(self) -> None:
        """Several one after the other."""
        link = self.link()
        for question, answer in ((NAME, KNIGHT), (QUEST, GRAIL), (COLOR, BLUE)):
            link.say(question)
            self.assertEqual(link.take(), answer)
        self.assertFalse(link.closed)

    def test_an_unknown_question_is_answered_and_the_connection_stays(self) -> None:
        """Octets that are no UTF-8 harm nobody."""
        link = self.link()
        link.say(b"\xff\xfe\x80?" + NAME)
        self.assertEqual(link.take(), UNKNOWN + KNIGHT)
        self.assertFalse(link.closed)

    def test_every_split(self) -> None:
        """Three glued questions cut in two anywhere are answered right."""
        for first, second in every_split(NAME + QUEST + COLOR):
            link = self.link()
            link.say(first)
            link.say(second)
            self.assertEqual(link.take(), KNIGHT + GRAIL + BLUE)

    def test_octet_by_octet(self) -> None:
        """The same in the smallest pieces."""
        link = self.link()
        link.say(NAME + b"who?" + COLOR, chunk=1)
        self.assertEqual(link.take(), KNIGHT + UNKNOWN + BLUE)

    def test_random_cuts(self) -> None:
        """A thousand questions in pieces of any size keep their order."""
        random = Random(1060)
        pairs = [random.choice([(NAME, KNIGHT), (QUEST, GRAIL), (COLOR, BLUE), (b"eh?", UNKNOWN)]) for _ in range(1000)]
        said = b"".join(question for question, _ in pairs)
        link = self.link()
        link.say(said, cuts=random_cuts(said, random, 50))
        self.assertEqual(link.take(), b"".join(answer for _, answer in pairs))

    def test_one_read_is_answered_in_one_write(self) -> None:
        """Pipelined questions do not become as many packets."""
        link = self.link()
        writes: list[bytes] = []
        self.patch(link.server.transport, "write", writes.append)
        link.say(NAME + QUEST + b"eh?")
        self.assertEqual(writes, [KNIGHT + GRAIL + UNKNOWN])


class AwaitedTests(ServerCase):
    """Answers that have to be waited for."""

    def test_order_is_kept(self) -> None:
        """What could be answered at once waits for what was asked before it."""
        oracle = Oracle()
        link = self.link(oracle)
        link.say(b"now?slow?now?slower?now?")
        self.assertEqual((link.take(), oracle.asked), (b"Now.", [b"now?", b"slow?"]))
        oracle.due[0].callback(b"Slow.")
        self.assertEqual(link.take(), b"Slow.Now.")
        oracle.due[1].callback(b"Slower.")
        self.assertEqual(link.take(), b"Slower.Now.")

    def test_what_arrives_meanwhile_waits(self) -> None:
        """Also half a question that becomes whole."""
        oracle = Oracle()
        link = self.link(oracle)
        link.say(b"slow?no")
        link.say(b"w?")
        self.assertEqual(link.take(), b"")
        oracle.due[0].callback(b"Slow.")
        self.assertEqual(link.take(), b"Slow.Now.")

    def test_a_coroutine_that_never_waits(self) -> None:
        """An async answer that is there at once does not stop those behind it."""

        class Swift:
            async def answer(self, question: bytes) -> bytes:
                return question.replace(b"?", b".")

        link = self.link(Swift())
        link.say(b"a?b?c?" * 2000)
        self.assertEqual(link.take(), b"a.b.c." * 2000)

    def test_input_is_bounded_while_an_answer_is_awaited(self) -> None:
        """Reading stops; when the answer comes everything is answered."""
        oracle = Oracle()
        link = self.link(oracle)
        link.say(b"slow?" + b"now?" * 500_000)
        self.assertLess(link.server.pending, 200_000)
        oracle.due[0].callback(b"Slow.")
        self.assertEqual(link.take(), b"Slow." + b"Now." * 500_000)

    def test_a_peer_that_leaves_cancels_the_answer(self) -> None:
        """Nobody works for a peer that is gone, and nothing is logged as an error."""
        oracle = Oracle()
        link = self.link(oracle)
        link.say(b"slow?")
        link.abort()
        self.assertEqual(oracle.cancelled, oracle.due)

    def test_an_answer_that_never_comes_is_not_waited_for_for_ever(self) -> None:
        """The idle limit holds for us, too."""
        link = self.link(Oracle())
        link.say(b"slow?")
        self.world.advance(70)
        self.assertTrue(link.closed)
        self.assertEqual(link.server.outcome, "deadline (answer)")


class RefusedTests(ServerCase):
    """Who answers may refuse, and may have bugs."""

    def test_a_refusal_is_told_and_the_connection_stays(self) -> None:
        """Raised at once or later, it is an answer."""
        link = self.link(Refusing(TryLater("the oracle sleeps")))
        link.say(b"now?later?now?")
        self.assertEqual(link.take(), b"Error: the oracle sleeps." * 3)
        self.assertFalse(link.closed)

    def check_bug(self, link: Link, question: bytes) -> None:
        """The peer is told nothing of a bug, it is logged once, and the connection is closed."""
        with capturedLogs() as logs:
            link.say(question)
            self.assertEqual(link.take(), b"Error: internal error.")
        failures = [event for event in logs if event["log_level"] is LogLevel.critical]
        self.assertEqual(len(failures), 1)
        self.assertTrue(link.closed)
        self.assertEqual(self.world.site.counters.value("questions.errors.internal"), 1)

    def test_a_bug_that_is_raised_at_once(self) -> None:
        """As above."""
        self.check_bug(self.link(Refusing(ZeroDivisionError("secret"))), b"now?")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_bug_that_is_raised_later(self) -> None:
        """As above."""
        self.check_bug(self.link(Refusing(ZeroDivisionError("secret"))), b"later?")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_was_asked_before_a_bug_is_answered(self) -> None:
        """In the same read."""

        class Failing:
            def answer(self, question: bytes) -> bytes:
                return {b"now?": b"Now."}[question]

        link = self.link(Failing())
        link.say(b"now?now?fail?now?")
        self.assertEqual(link.take(), b"Now.Now.Error: internal error.")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_an_answer_that_is_no_sentence_is_a_bug(self) -> None:
        """It would put the client out of step."""

        class Wrong:
            async def answer(self, question: bytes) -> bytes:
                return b"3.14."

        self.check_bug(self.link(Wrong()), b"pi?")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_bug_harms_nobody_else(self) -> None:
        """Another peer of the same factory is answered."""
        factory = self.factory(Refusing(ZeroDivisionError()))
        link, other = self.world.connect(factory), self.world.connect(factory)
        link.say(b"now?")
        self.assertFalse(other.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class LimitTests(ServerCase):
    """What a hostile peer cannot do."""

    def test_a_long_question_is_refused_and_those_before_it_answered(self) -> None:
        """4,096 octets fit; one more does not."""
        link = self.link()
        link.say(b"a" * 4095 + b"?")
        self.assertEqual(link.take(), UNKNOWN)
        link.say(NAME + b"a" * 4096 + b"?" + NAME)
        self.assertEqual(link.take(), KNIGHT + b"Error: question too long.")
        self.assertTrue(link.closed)
        self.assertEqual(link.server.outcome, "question too long")

    def test_a_long_question_octet_by_octet(self) -> None:
        """It is refused as soon as it cannot fit any more."""
        link = self.link()
        link.say(b"a" * 4096, chunk=1)
        self.assertEqual(link.take(), b"Error: question too long.")

    def test_a_flood_without_a_mark_keeps_nothing(self) -> None:
        """What follows a refused question is thrown away, then the connection is dropped."""
        link = self.link()
        for _ in range(100):
            link.say(b"a" * 65_536)
        self.assertEqual(link.take(), b"Error: question too long.")
        self.assertEqual(link.server.pending, 0)
        self.assertIsNotNone(link.peer.lost)

    def test_a_peer_that_never_reads_is_bounded(self) -> None:
        """With the send buffer full nothing more is answered or read."""
        link = self.link()
        link.stop_reading()
        link.say(b"?" * 5_000_000)
        self.assertLess(link.server.sent, 300_000)
        self.assertLess(link.server.pending, 200_000)
        link.go_on_reading()
        self.assertEqual(len(link.take()), 5_000_000 * len(UNKNOWN))

    def test_a_peer_that_never_reads_is_dropped_in_the_end(self) -> None:
        """After the stall limit; the count is given back."""
        count = ConnectionCount(5, 5)
        link = self.world.connect(self.factory(count=count))
        link.stop_reading()
        link.say(b"?" * 1_000_000)
        self.world.advance(125)
        self.assertEqual(count.open, 0)

    def test_a_silent_peer_is_left(self) -> None:
        """After the idle limit, not before."""
        link = self.link()
        self.world.advance(59)
        self.assertFalse(link.closed)
        self.world.advance(3)
        self.assertTrue(link.closed)
        self.assertEqual(link.server.outcome, "deadline (request)")

    def test_questions_keep_the_connection(self) -> None:
        """One every fifty seconds, for ten minutes."""
        link = self.link()
        for _ in range(12):
            self.world.advance(50)
            link.say(NAME)
        self.assertEqual(link.take(), KNIGHT * 12)

    def test_a_trickle_does_not_keep_it(self) -> None:
        """Only whole questions count."""
        link = self.link()
        for _ in range(62):
            link.say(b"a")
            self.clock.advance(1)
        self.assertTrue(link.closed)

    def test_too_many_connections_are_told(self) -> None:
        """An answer to a question that was not asked, and then the end."""
        factory = self.factory(count=ConnectionCount(10, 1))
        first, second = self.world.connect(factory), self.world.connect(factory)
        self.assertEqual(second.take(), b"Error: too many connections.")
        self.assertTrue(second.closed)
        first.close()
        third = self.world.connect(factory)
        third.say(NAME)
        self.assertEqual(third.take(), KNIGHT)

    def test_no_timer_is_left(self) -> None:
        """A closed connection leaves a clean clock."""
        link = self.link()
        link.say(NAME)
        link.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EndTests(ServerCase):
    """How a conversation ends."""

    def last_line(self, link: Link, end: str) -> str:
        """What the log says of a peer that ends so."""
        with capturedLogs() as logs:
            getattr(link, end)()
            link.flush()
        lines = [formatEvent(event) for event in logs if "outcome" in event]
        self.assertEqual(len(lines), 1)
        return lines[0]

    def test_answers_are_delivered_after_the_peer_has_closed_its_side(self) -> None:
        """Half-close: the peer asks, says it is done, and hears everything."""
        link = self.link()
        link.stop_reading()
        link.say(NAME * 10_000)
        link.half_close()
        link.go_on_reading()
        self.assertEqual(link.take(), KNIGHT * 10_000)
        self.assertTrue(link.closed)

    def test_an_awaited_answer_is_delivered_after_half_close(self) -> None:
        """The connection stays until it is there."""
        oracle = Oracle()
        link = self.link(oracle)
        link.say(b"slow?now?")
        link.half_close()
        self.assertFalse(link.closed)
        oracle.due[0].callback(b"Slow.")
        self.assertEqual(link.take(), b"Slow.Now.")
        self.assertTrue(link.closed)

    def test_half_a_question_is_logged_in_one_line(self) -> None:
        """Escaped and shortened, whatever it holds."""
        for end in ("half_close", "close", "abort"):
            link = self.link()
            link.say(NAME + b"Beautiful\r\nis \xff\x1b[31m" + b"a" * 1000)
            line = self.last_line(link, end)
            self.assertIn(r"peer gone after sending b'Beautiful\r\nis \xff\x1b[31m", line)
            self.assertLess(len(line), 400)
            self.assertNotIn("\n", line)

    def test_the_session_is_summed_up(self) -> None:
        """Questions and octets in both directions."""
        link = self.link()
        link.say(NAME + QUEST + b"eh?")
        line = self.last_line(link, "half_close")
        self.assertIn(f"commands=3 in={len(NAME + QUEST) + 3} out={len(KNIGHT + GRAIL + UNKNOWN)}", line)
        self.assertTrue(line.endswith("peer gone"), line)

    def test_stopping_closes_idle_peers(self) -> None:
        """And the factory knows when all have gone."""
        factory = self.factory()
        link = self.world.connect(factory)
        link.say(NAME)
        drained = factory.drain()
        self.assertEqual(link.take(), KNIGHT)
        self.assertTrue(link.closed)
        link.close()
        self.successResultOf(drained)

    def test_stopping_waits_for_an_answer_under_way(self) -> None:
        """What was asked before the stop is answered."""
        oracle = Oracle()
        link = self.link(oracle)
        link.say(b"slow?now?")
        drained = link.server.factory.drain()
        self.assertFalse(link.closed)
        oracle.due[0].callback(b"Slow.")
        self.assertEqual(link.take(), b"Slow.Now.")
        link.close()
        self.successResultOf(drained)


class RefusalKinds(ServerCase):
    """One kind of refusal is as good as another."""

    def test_the_base_class_is_told_too(self) -> None:
        """A refusal with its default text."""
        link = self.link(Refusing(Refusal()))
        link.say(b"now?")
        self.assertEqual(link.take(), b"Error: refused.")


class ShortWayTests(ServerCase):
    """Questions that are all known take a short way; nobody can tell."""

    def say_both(self, *said: bytes, settings: Settings | None = None) -> None:
        """The same pieces to who knows a table and to who answers from it one by one."""
        taken: list[tuple[bytes, bool, int]] = []
        for answers in (Answers(), OneByOne()):
            factory = self.factory(answers)
            factory.settings = settings or factory.settings
            link = self.world.connect(factory)
            session = next(iter(factory.sessions))
            for piece in said:
                link.say(piece)
            taken.append((link.take(), link.closed, session.commands))
        self.assertEqual(taken[0], taken[1])

    def test_pieces_glued_and_cut(self) -> None:
        """Whole, glued, cut, unknown between known ones, and too long."""
        self.say_both(NAME)
        self.say_both(NAME + QUEST, COLOR)
        self.say_both(NAME[:4], NAME[4:], QUEST)
        self.say_both(NAME + b"who?" + QUEST, NAME + b"wh", b"o?" + NAME)
        self.say_both(NAME * 300)
        self.say_both(NAME + b"x" * 5000, NAME)

    def test_a_known_question_over_the_limit(self) -> None:
        """The limit holds for questions of a table, too."""
        longest = b"x" * 99 + b"?"
        for answers in (Answers({longest: b"Long."}), OneByOne({longest: b"Long."})):
            factory = self.factory(answers)
            factory.settings = Settings(max_question=64)
            link = self.world.connect(factory)
            link.say(longest)
            self.assertEqual(link.take(), b"Error: question too long.")

    def test_the_short_way_moves_the_deadline(self) -> None:
        """Who asks in time is not cut, who stops asking is."""
        link = self.link()
        for _ in range(4):
            self.clock.advance(50)
            link.say(NAME)
        self.assertEqual((link.take(), link.closed), (KNIGHT * 4, False))
        self.clock.advance(62)
        self.assertTrue(link.closed)

    def test_a_bug_in_the_short_way(self) -> None:
        """Told like one in the long way: in this protocol's words, in the log, and that one connection ends."""

        class Broken(Oracle):
            def known(self) -> Known:
                raise ZeroDivisionError

        link = self.link(Broken())
        link.say(NAME)
        self.assertEqual((link.take(), link.closed), (b"Error: internal error.", True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_is_awaited_comes_first(self) -> None:
        """A known question behind one whose answer must be waited for waits, too."""

        class Both(Oracle):
            def known(self) -> Known:
                return Known({NAME: KNIGHT})

            def answer(self, question: bytes) -> bytes | Awaitable[bytes]:
                return KNIGHT if question == NAME else super().answer(question)

        oracle = Both()
        link = self.link(oracle)
        link.say(b"later?")
        link.say(NAME)
        self.assertEqual(link.take(), b"")
        oracle.due[0].callback(b"Later.")
        self.assertEqual(link.take(), b"Later." + KNIGHT)


class OneByOne:
    """A table without a short way."""

    def __init__(self, table: dict[bytes, bytes] | None = None) -> None:
        self._answers = Answers(table)

    def answer(self, question: bytes) -> bytes:
        """From the table."""
        return self._answers.answer(question)
