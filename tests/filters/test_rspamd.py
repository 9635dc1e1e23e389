"""rspamd as the test has it answer, over HTTP in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from launcelot.filters.asking import Place
from launcelot.filters.rspamd import RspamdCheck
from tests.filters.support import FilterCase
from tests.protocols.smtp.support import MESSAGE, STUFFED

LATER = b"451 4.3.0 Mail cannot be looked at now, come again"


class Answerer(Protocol):
    """Reads one request and answers it."""

    factory: AnswererFactory

    def connectionMade(self) -> None:
        """Nothing is there yet."""
        self.data = b""
        self.factory.open += 1

    def connectionLost(self, reason: Any = None) -> None:
        """Count."""
        self.factory.open -= 1

    def dataReceived(self, data: bytes) -> None:
        """The whole request."""
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        fields = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
        length = next((int(value) for name, value in fields if name.lower() == b"content-length"), 0)
        if end and len(body) == length and self.factory.answer is not None:
            self.factory.asked.append((head.split(b"\r\n")[0], sorted((name.lower(), value) for name, value in fields), body))
            transport: Any = self.transport
            transport.write(self.factory.answer)
            if self.factory.closes:
                transport.loseConnection()


class AnswererFactory(Factory):
    """
    Many of them.

    :ivar answer: to every request; None for none.
    :ivar closes: the connection is closed behind it.
    """

    protocol = Answerer  # type: ignore[assignment]
    noisy = False

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.closes = True
        self.open = 0
        self.asked: list[tuple[bytes, list[Any], bytes]] = []


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    """An answer."""
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)


class RspamdTests(FilterCase):
    """One that is asked."""

    def setUp(self) -> None:
        super().setUp()
        self.peer = AnswererFactory()
        self.place = Place("", "127.0.0.1", self.listen(self.peer))
        self.check(True)

    def check(self, defers: bool) -> None:
        """Ask it."""
        self.use(RspamdCheck(self.world.site.reactor, self.place, 10.0, defers))

    def says(self, action: str, **more: Any) -> bytes:
        """What becomes of a mail by an answer: the last reply."""
        self.peer.answer = http(json.dumps({"action": action, "score": 7.1, "required_score": 15, **more}).encode())
        return self.hand_in(b"RCPT TO:<bob@test>\r\n")[-1]

    def test_what_it_is_told(self) -> None:
        """Envelope and peer as fields, the message as it came as the body."""
        self.assertEqual(self.says("no action")[:3], b"250")
        ((first, fields, body),) = self.peer.asked
        self.assertEqual((first, body), (b"POST /checkv2 HTTP/1.1", MESSAGE))
        for wanted in (
            (b"ip", b"192.0.2.3"),
            (b"helo", b"me"),
            (b"from", b"eve@example.com"),
            (b"rcpt", b"ann@test"),
            (b"rcpt", b"bob@test"),
            (b"mta-name", b"here.test"),
        ):
            self.assertIn([*wanted], [[*one] for one in fields])
        self.assertEqual((self.tail(), self.peer.open), ([MESSAGE], 0))

    def test_actions(self) -> None:
        """Each has its answer; its own words where it has some."""
        for action, words in (
            ("reject", b"550 5.7.1 Mail is refused as spam"),
            ("soft reject", b"450 4.7.1 Come again later"),
            ("greylist", b"450 4.7.1 Come again later"),
        ):
            self.assertEqual(self.says(action), words)
        self.assertEqual(self.says("reject", messages={"smtp_message": "G\ntube"}), b"550 5.7.1 Gtube")
        self.assertEqual(self.says("discard")[:3], b"250")
        self.assertEqual(self.inbox(), [])

    def test_junk(self) -> None:
        """With the score as the reason; a subject that is written anew."""
        self.assertEqual(self.says("add header")[:3], b"250")
        self.assertEqual(self.says("rewrite subject", subject="*** x")[:3], b"250")
        first, second = self.inbox()
        self.assertIn(b"X-Launcelot-Junk: rspamd: 7.10 of 15.00, add header\r\n", first)
        self.assertTrue(second.endswith(b"\r\nFrom: eve@example.com\r\nSubject: *** x\r\n\r\n.dot\r\nbody\r\n"))

    def test_edits(self) -> None:
        """Fields in and out, recipients and sender."""
        wanted = {
            "remove_headers": {"A": 1, "B": 0, "C": -1},
            "add_headers": {"X": "1", "Y": [{"value": "2", "order": 0}, {"value": 3, "order": -1}], "Z": "a\nEvil: b"},
            "add_rcpt": ["bob@test"],
            "del_rcpt": ["<ann@test>"],
            "change_from": "other@example.org",
        }
        self.peer.answer = http(json.dumps({"action": "no action", "milter": wanted}).encode())
        text = b"A: 1\r\nA: 2\r\nB: 1\r\nB: 2\r\nC: 1\r\nC: 2\r\n\r\n"
        self.assertEqual(self.hand_in(text=text)[-1][:3], b"250")
        self.assertEqual(self.inbox(), [])
        self.assertEqual(self.tail("bob"), [b"Y: 2\r\nA: 2\r\nC: 1\r\nX: 1\r\nY: 3\r\nZ: a\r\n\tEvil: b\r\n\r\n"])
        self.assertIn(b"Return-Path: <other@example.org>", self.inbox("bob")[0])

    def test_failures(self) -> None:
        """The mail comes again, or passes where that is wanted."""
        answers = (
            http(b"x", b"500 No"),
            http(b"x"),
            http(b"[]"),
            http(b"[" * 100_000),
            http(b'{"action": "dance"}'),
            http(b'{"action": "no action", "milter": {"add_headers": {"a b": "c"}}}'),
            http(b'{"action": "no action", "milter": {"add_rcpt": ["a b"]}}'),
            http(b"x" * (5 << 20)),
            http(b"{}")[:-1],
            b"nonsense\r\n\r\n",
            b"",
        )
        for place, answer in enumerate(answers):
            self.peer.answer = answer
            self.assertEqual(self.hand_in()[-1], LATER, place)
            self.assertEqual(self.peer.open, 0, place)
        self.assertEqual(self.inbox(), [])
        self.check(False)
        for answer in answers:
            self.peer.answer = answer
            self.assertEqual(self.hand_in()[-1][:3], b"250")
        self.assertEqual(self.tail(), [MESSAGE] * len(answers))

    def test_one_that_does_not_end(self) -> None:
        """A header that grows, or an answer that stops in its body: cut, and the mail comes again."""
        self.peer.closes = False
        self.peer.answer = b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 300_000
        self.assertEqual(self.hand_in()[-1], LATER)
        self.assertEqual(self.peer.open, 0)
        self.peer.answer = http(b'{"action": "no action"}')[:-1]
        link = self.stranger()
        link.say(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nDATA\r\n")
        link.say(STUFFED + b".\r\n")
        self.world.network.settle()
        link.take()
        self.world.advance(11)
        self.assertEqual(link.take(), LATER + b"\r\n")
        self.world.network.settle()
        self.assertEqual(self.peer.open, 0)

    def test_one_that_does_not_answer(self) -> None:
        """Until its time is up; the connection is gone then."""
        link = self.stranger()
        link.say(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nDATA\r\n")
        link.say(STUFFED + b".\r\n")
        self.world.network.settle()
        link.take()
        self.world.advance(9)
        self.assertEqual(link.take(), b"")
        self.world.advance(2)
        self.assertEqual(link.take(), LATER + b"\r\n")
        link.abort()
        self.world.network.settle()
        self.assertEqual(self.peer.open, 0)

    def test_large(self) -> None:
        """A megabyte goes over whole."""
        text = b"From: e@x.org\r\n\r\n" + b"0123456789abcde\r\n" * 62_000
        self.peer.answer = http(b'{"action": "no action"}')
        self.assertEqual(self.hand_in(text=text)[-1][:3], b"250")
        self.assertEqual(self.peer.asked[0][2], text)
