"""The client's half of every framing: alone, against our servers, and against peers that say something else."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.limits import ConnectionCount
from launcelot.hosting.calling import CallError, Closed, Confused, Reset, TimedOut, Truncated
from launcelot.protocols.questions.answers import UNKNOWN, Answers
from launcelot.protocols.questions.asking import JSON, MANNERS, NETSTRING, PLAIN, Manner, NotAnAnswer
from launcelot.protocols.questions.client import (
    QuestionsClient,
    QuestionsClientFactory,
    UntilCloseClient,
    ask_until_close,
)
from launcelot.protocols.questions.framed import JsonFactory, NetstringFactory, UntilCloseFactory
from launcelot.protocols.questions.grammar import BATCH, MAX_ANSWER, NotASentence
from launcelot.protocols.questions.server import QuestionsFactory
from launcelot.protocols.questions.service import Settings
from launcelot.testing.link import Pair, RawPeer, connect_pair, every_split
from launcelot.testing.site import memory_site

NAME = b"What is your name?"
KNIGHT = b"My name is Sir Lancelot of Camelot."
SERVERS = {"plain": QuestionsFactory, "netstring": NetstringFactory, "json": JsonFactory}

SAID = {
    "plain": KNIGHT + b"Blue.",
    "netstring": b"35:%b,5:Blue.," % KNIGHT,
    "json": b'\0\0\0\x30{"answer":"%b"}' % KNIGHT + b'\0\0\0\x12{"answer":"Blue."}',
}
"""Two answers on the wire."""


class MannerTests(SynchronousTestCase):
    """Without a network."""

    def heard(self, manner: Manner, pieces: list[bytes]) -> list[bytes]:
        """Every answer, however it came."""
        found: list[bytes] = []
        data = b""
        for piece in pieces:
            data += piece
            answers, taken = manner.answers(data)
            data = data[taken:]
            found += answers
        self.assertEqual(data, b"")
        return found

    def test_answers_in_any_pieces(self) -> None:
        """Whole, octet by octet, and cut anywhere."""
        for name, said in SAID.items():
            ways = [[said], [said[at : at + 1] for at in range(len(said))], *map(list, every_split(said))]
            for pieces in ways:
                self.assertEqual(self.heard(MANNERS[name], pieces), [KNIGHT, b"Blue."], (name, pieces))

    def test_how_a_question_is_said(self) -> None:
        """As the books have it."""
        self.assertEqual(PLAIN.asked(NAME), NAME)
        self.assertEqual(NETSTRING.asked(NAME), b"18:What is your name?,")
        self.assertEqual(JSON.asked(NAME), b'\0\0\0\x21{"question":"What is your name?"}')
        self.assertRaises(NotASentence, JSON.asked, b"\xff?")

    def test_a_refusal_is_an_answer(self) -> None:
        """In JSON, in the words of the other framings."""
        said = JSON.answers(b'\0\0\0\x1c{"error":"ask me no. later"}')
        self.assertEqual(said, ([b"Error: ask me no later."], 32))

    def test_what_is_no_answer(self) -> None:
        """Frames that are none, too long, or hold something else; a sentence that does not end."""
        for manner, said in (
            (PLAIN, b"x" * MAX_ANSWER + b"x"),
            (NETSTRING, b"My name is"),
            (NETSTRING, b"5:Blue,,"),
            (NETSTRING, b"4:Blue;"),
            (NETSTRING, b"11:Blue. Red..,"),
            (NETSTRING, b"%d:" % (MAX_ANSWER + 1)),
            (JSON, b"\xff\xff\xff\xff"),
            (JSON, b"\0\0\0\x02{}"),
            (JSON, b'\0\0\0\x0d{"answer":42}'),
            (JSON, b'\0\0\0\x0f{"answer":"No"}'),
            (JSON, b"\0\0\0\x02[]"),
            (JSON, b"\0\0\0\x02\xff\xff"),
        ):
            self.assertRaises(NotAnAnswer, manner.answers, said)

    def test_so_many_at_once(self) -> None:
        """What is left is found the next time."""
        for name, one in (("plain", b"A."), ("netstring", b"2:A.,"), ("json", b'\0\0\0\x0f{"answer":"A."}')):
            found, taken = MANNERS[name].answers(one * (BATCH + 1))
            self.assertEqual((len(found), taken), (BATCH, BATCH * len(one)), name)


class ClientCase(SynchronousTestCase):
    """Over a memory network."""

    def setUp(self) -> None:
        self.world = memory_site()
        self.clock = self.world.clock

    def pair(self, client: Factory, server: type[QuestionsFactory]) -> Pair[Any, Any]:
        """Ours and ours."""
        factory = server(self.world.site, "questions", ConnectionCount(9, 9), Settings(), Answers())
        return connect_pair(client, factory, self.clock, self.world.network)

    def played(self, client: Factory) -> Pair[Any, RawPeer]:
        """Ours and a raw peer."""
        return connect_pair(client, Factory.forProtocol(RawPeer), self.clock, self.world.network)

    def failed(self, answer: Deferred[bytes], kind: type[CallError]) -> None:
        """How a question ended."""
        self.failureResultOf(answer, kind)


class FramedTests(ClientCase):
    """Many questions on one connection."""

    def test_every_manner_is_served(self) -> None:
        """Our client and our server in each; answers in order, refusals among them."""
        for name, server in SERVERS.items():
            pair = self.pair(QuestionsClientFactory(self.clock, 10, MANNERS[name]), server)
            client: QuestionsClient = pair.client
            answers = [client.ask(question) for question in (NAME, b"eh?", NAME)]
            pair.flush()
            self.assertEqual([self.successResultOf(one) for one in answers], [KNIGHT, UNKNOWN, KNIGHT], name)

    def test_cut_at_every_octet(self) -> None:
        """Half an answer is an error of its own, in each."""
        for name in ("netstring", "json"):
            said = SAID[name]
            for cut in range(1, len(said) // 2):
                pair = self.played(QuestionsClientFactory(self.clock, 10, MANNERS[name]))
                asked = pair.client.ask(NAME)
                pair.flush()
                transport: Any = pair.server.transport
                transport.write(said[:cut])
                transport.loseConnection()
                pair.flush()
                self.failed(asked, Truncated)

    def test_nonsense(self) -> None:
        """Ends every question, and the connection."""
        pair = self.played(QuestionsClientFactory(self.clock, 10, NETSTRING))
        asked = [pair.client.ask(NAME) for _ in range(2)]
        transport: Any = pair.server.transport
        transport.write(b"nonsense")
        pair.flush()
        for one in asked:
            self.failed(one, Confused)

    def test_what_cannot_be_asked(self) -> None:
        """Is refused before anything is sent, and the client goes on."""
        pair = self.pair(QuestionsClientFactory(self.clock, 10, JSON), JsonFactory)
        self.assertRaises(NotASentence, pair.client.ask, b"\xff?")
        asked = pair.client.ask(NAME)
        pair.flush()
        self.assertEqual(self.successResultOf(asked), KNIGHT)


class UntilCloseTests(ClientCase):
    """One question on one connection."""

    def asking(self) -> tuple[Pair[Any, RawPeer], Deferred[bytes], Any]:
        """Against a raw peer: the pair, the answer to be, and the peer's end."""
        pair = self.played(ask_until_close(self.clock, NAME, 10))
        pair.flush()
        client: UntilCloseClient = pair.client
        return pair, client.result, pair.server.transport

    def test_an_answer(self) -> None:
        """Of our server."""
        pair = self.pair(ask_until_close(self.clock, NAME), UntilCloseFactory)
        pair.flush()
        self.assertEqual(self.successResultOf(pair.client.result), KNIGHT)

    def test_two_questions_in_one_are_refused(self) -> None:
        """Before there is a connection."""
        self.assertRaises(NotASentence, ask_until_close, self.clock, NAME * 2)

    def test_how_it_fails(self) -> None:
        """Nothing, half an answer, an answer and more, a reset in the middle, silence, and no end."""
        for said, end, kind in (
            (b"", "loseConnection", Closed),
            (KNIGHT[:-1], "loseConnection", Truncated),
            (KNIGHT * 2, "loseConnection", Truncated),
            (KNIGHT, "abortConnection", Reset),
            (KNIGHT, "", TimedOut),
            (b"x" * (MAX_ANSWER + 1), "", Confused),
        ):
            pair, result, transport = self.asking()
            transport.write(said)
            pair.flush()
            if end:
                getattr(transport, end)()
            else:
                self.clock.advance(12)
            pair.flush()
            self.failed(result, kind)
