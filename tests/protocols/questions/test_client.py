"""The client: answers in order, every question ended once, errors that say what happened."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from launcelot.core.limits import ConnectionCount
from launcelot.hosting.calling import (
    CallError,
    Closed,
    Confused,
    Refused,
    Reset,
    TimedOut,
    Truncated,
    Unreachable,
    connect,
)
from launcelot.protocols.questions.answers import Answers
from launcelot.protocols.questions.client import QuestionsClient, QuestionsClientFactory
from launcelot.protocols.questions.grammar import NotASentence
from launcelot.protocols.questions.server import QuestionsFactory
from launcelot.protocols.questions.service import Settings
from launcelot.testing.link import Pair, RawPeer, connect_pair
from launcelot.testing.site import memory_site

NAME = b"What is your name?"
KNIGHT = b"My name is Sir Lancelot of Camelot."


def transport_of(pair: Pair[QuestionsClient, RawPeer]) -> Any:
    """The raw peer's end of the connection."""
    return pair.server.transport


class ClientCase(SynchronousTestCase):
    """A client, joined to our server or to a peer that says what a test wants."""

    def setUp(self) -> None:
        self.world = memory_site()
        self.clock = self.world.clock

    def pair(self) -> Pair[QuestionsClient, Protocol]:
        """Our client and our server."""
        factory = QuestionsFactory(self.world.site, "questions", ConnectionCount(9, 9), Settings(), Answers())
        return connect_pair(QuestionsClientFactory(self.clock), factory, self.clock, self.world.network)

    def played(self) -> tuple[QuestionsClient, Pair[QuestionsClient, RawPeer]]:
        """Our client and a raw peer."""
        pair = connect_pair(QuestionsClientFactory(self.clock, 10), Factory.forProtocol(RawPeer), self.clock, self.world.network)
        return pair.client, pair

    def say(self, pair: Pair[QuestionsClient, RawPeer], data: bytes) -> None:
        """The peer says something."""
        transport_of(pair).write(data)
        pair.flush()

    def failed(self, answer: Deferred[bytes], kind: type[CallError]) -> CallError:
        """The error a question ended in."""
        error = self.failureResultOf(answer, kind).value
        assert isinstance(error, CallError)
        return error


class AskTests(ClientCase):
    """Questions that are answered."""

    def test_an_answer(self) -> None:
        """It comes with its full stop."""
        pair = self.pair()
        answer = pair.client.ask(NAME)
        pair.flush()
        self.assertEqual(self.successResultOf(answer), KNIGHT)

    def test_many_at_once_in_order(self) -> None:
        """More than any buffer holds, delivered in odd pieces."""
        pair = self.pair()
        pair.deliver_in(1021)
        questions = [NAME, b"What is your favorite color?", b"eh?"] * 5000
        answers = [pair.client.ask(question) for question in questions]
        pair.flush()
        heard = [self.successResultOf(answer) for answer in answers]
        self.assertEqual(heard, [KNIGHT, b"Blue.", b"Error: unknown aphorism."] * 5000)

    def test_more_answers_in_one_segment_than_are_looked_for_at_once(self) -> None:
        """Short ones, all at the same moment, and then silence."""
        client, pair = self.played()
        answers = [client.ask(b"?") for _ in range(8000)]
        pair.flush()
        self.say(pair, b"." * 8000)
        self.assertEqual({self.successResultOf(answer) for answer in answers}, {b"."})

    def test_octet_by_octet(self) -> None:
        """Answers in the smallest pieces."""
        pair = self.pair()
        pair.deliver_in(1)
        answers = [pair.client.ask(NAME) for _ in range(3)]
        pair.flush()
        self.assertEqual([self.successResultOf(answer) for answer in answers], [KNIGHT] * 3)

    def test_asking_inside_an_answer(self) -> None:
        """The next question may depend on the answer."""
        pair = self.pair()
        heard: list[bytes] = []

        async def talk() -> None:
            for _ in range(3):
                heard.append(await pair.client.ask(NAME))

        done = Deferred.fromCoroutine(talk())
        pair.flush()
        self.successResultOf(done)
        self.assertEqual(heard, [KNIGHT] * 3)

    def test_a_cancelled_question_does_not_shift_the_others(self) -> None:
        """Its answer goes to nobody."""
        pair = self.pair()
        first, second = pair.client.ask(NAME), pair.client.ask(b"What is your favorite color?")
        first.cancel()
        pair.flush()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.successResultOf(second), b"Blue.")

    def test_two_questions_in_one_are_refused(self) -> None:
        """They would have two answers."""
        pair = self.pair()
        self.assertRaises(NotASentence, pair.client.ask, b"Who? Why?")
        self.assertRaises(NotASentence, pair.client.ask, b"Who")


class EndTests(ClientCase):
    """Questions that are not answered: each ends once, saying why."""

    def test_closed_before_the_answer(self) -> None:
        """All questions under way end, and so do later ones."""
        client, pair = self.played()
        answers = [client.ask(NAME), client.ask(NAME)]
        pair.flush()
        transport_of(pair).loseConnection()
        pair.flush()
        for answer in [*answers, client.ask(NAME)]:
            self.failed(answer, Closed)

    def test_closed_in_the_middle(self) -> None:
        """The first has been answered, the second breaks off."""
        client, pair = self.played()
        first, second = client.ask(NAME), client.ask(NAME)
        pair.flush()
        self.say(pair, b"Blue.My na")
        transport_of(pair).loseConnection()
        pair.flush()
        self.assertEqual(self.successResultOf(first), b"Blue.")
        self.failed(second, Truncated)

    def test_cut_at_every_octet(self) -> None:
        """Wherever the peer leaves, whole answers are delivered and the others end."""
        said = b"Blue.Ni."
        for cut in range(len(said) + 1):
            for leave in ("loseConnection", "abortConnection"):
                client, pair = self.played()
                answers = [client.ask(NAME) for _ in range(3)]
                pair.flush()
                self.say(pair, said[:cut])
                getattr(transport_of(pair), leave)()
                pair.flush()
                whole = said[:cut].count(b".")
                for answer in answers[:whole]:
                    self.successResultOf(answer)
                for answer in answers[whole:]:
                    self.failureResultOf(answer, CallError)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reset(self) -> None:
        """It is told from a close."""
        client, pair = self.played()
        answer = client.ask(NAME)
        pair.flush()
        transport_of(pair).abortConnection()
        pair.flush()
        self.failed(answer, Reset)

    def test_no_answer_in_time(self) -> None:
        """The connection is given up, with everything that was asked on it."""
        client, pair = self.played()
        answers = [client.ask(NAME), client.ask(NAME)]
        pair.flush()
        self.say(pair, b"Blue")
        self.world.advance(12)
        for answer in answers:
            self.failed(answer, TimedOut)
        self.assertIsNotNone(pair.server.lost)

    def test_an_idle_client_does_not_time_out(self) -> None:
        """Only a question that waits has a deadline."""
        client, pair = self.played()
        answer = client.ask(NAME)
        pair.flush()
        self.say(pair, b"Blue.")
        self.world.advance(60)
        self.successResultOf(answer)
        later = client.ask(NAME)
        pair.flush()
        self.say(pair, b"Ni.")
        self.assertEqual(self.successResultOf(later), b"Ni.")

    def test_an_answer_to_nothing(self) -> None:
        """It is not taken for the answer to the next question."""
        client, pair = self.played()
        self.say(pair, b"Blue.")
        self.failed(client.ask(NAME), Confused)

    def test_two_answers_to_one_question(self) -> None:
        """The first counts; the connection is of no use any more."""
        client, pair = self.played()
        answer = client.ask(NAME)
        pair.flush()
        self.say(pair, b"Blue.Red.")
        self.assertEqual(self.successResultOf(answer), b"Blue.")
        self.failed(client.ask(NAME), Confused)

    def test_an_answer_without_end(self) -> None:
        """Memory is bounded."""
        client, pair = self.played()
        answer = client.ask(NAME)
        pair.flush()
        for _ in range(3):
            self.say(pair, b"a" * 65_536)
        self.failed(answer, Confused)

    def test_a_server_that_leaves_an_idle_client(self) -> None:
        """The client goes, too, and says so to whoever asks later."""
        client, pair = self.played()
        transport_of(pair).loseWriteConnection()
        pair.flush()
        self.assertTrue(pair.server.ended)
        self.failed(client.ask(NAME), Closed)

    def test_closing_ends_what_is_open(self) -> None:
        """Our own close, too."""
        client, pair = self.played()
        answer = client.ask(NAME)
        client.close()
        pair.flush()
        self.failed(answer, Closed)


@implementer(IStreamClientEndpoint)
class Nowhere:
    """An endpoint that cannot be reached."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def connect(self, protocolFactory: object) -> Deferred[IProtocol]:
        """Fail."""
        failed: Deferred[IProtocol] = Deferred()
        failed.errback(self.error)
        return failed


class ConnectTests(ClientCase):
    """Connections that are not made."""

    def test_why_not(self) -> None:
        """Refused, late and anything else are told apart."""
        kinds = ((ConnectionRefusedError(), Refused), (TimeoutError(), TimedOut), (DNSLookupError(), Unreachable))
        for error, kind in kinds:
            connecting = Deferred.fromCoroutine(connect(Nowhere(error), QuestionsClientFactory(self.clock)))
            self.failureResultOf(connecting, kind)
