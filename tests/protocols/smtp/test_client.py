"""The client: against our server, and against servers that misbehave in every way we know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.hosting.deadlines import Deadlines
from launcelot.message.address import Address
from launcelot.protocols.smtp.client import Message, Sent, SmtpClient, SmtpClientFactory, Wish
from launcelot.protocols.smtp.failures import (
    BadReply,
    Disconnected,
    Injected,
    LoginRefused,
    NotSendable,
    Refused,
    TimedOut,
    TlsFailed,
)
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Pair, RawPeer, connect_pair
from launcelot.testing.network import MemoryNetwork
from tests.protocols.smtp.support import SmtpCase

T = TypeVar("T")

EVE = Address("eve", "example.com")
ANN = Address("ann", "test")
NOBODY = Address("nobody", "test")
CERTIFICATES = Certificates("here.test", "localhost")


class OwnServerTests(SmtpCase):
    """The real client and the real server."""

    tls = CERTIFICATES

    def pair(self, factory: SmtpFactory | None = None, implicit_tls: Any = None) -> Pair[SmtpClient, Any]:
        """A client connected to a server."""
        client = SmtpClientFactory(
            self.world.clock, self.world.site.deadlines, "client.test", implicit_tls=implicit_tls
        )
        return connect_pair(client, factory or self.mx, self.world.clock, self.world.network)

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a request gives."""
        return self.world.result(coroutine)

    def test_a_mail_goes_over(self) -> None:
        """With per-recipient results, and octet for octet."""
        client = self.pair().client
        offers = self.do(client.hello())
        self.assertEqual(offers.max_size, 52_428_800)
        sent = self.do(client.send(EVE, [ANN, NOBODY], Message.of(b"Subject: x\r\n\r\n.\r\n..\r\n\xff\r\n")))
        self.assertEqual([(address, words.code) for address, words in sent.recipients], [(ANN, 250), (NOBODY, 550)])
        self.assertEqual(sent.accepted, (ANN,))
        self.do(client.quit())
        self.assertEqual(self.bodies(), [b"Subject: x\r\n\r\n.\r\n..\r\n\xff\r\n"])
        self.assertEqual(self.mx.sessions, set())

    def test_every_chunk_boundary(self) -> None:
        """A source in pieces of any size arrives as it is; nothing in it ends it."""
        data = b"a\r\n.\r\n..b\r\n\r\n.\r\nMAIL FROM:<evil@example.com>\r\n.c\r\n"

        async def source(length: int) -> AsyncIterator[bytes]:
            for start in range(0, len(data), length):
                yield data[start : start + length]

        client = self.pair().client
        self.do(client.hello())
        for length in range(1, len(data) + 1):
            self.do(client.send(EVE, [ANN], Message(source(length), len(data), False)))
        self.assertEqual(self.bodies(), [data] * len(data))

    def test_smuggling_out(self) -> None:
        """S03: whatever line ends a message has, the server sees one message without bare CR or LF."""
        client = self.pair().client
        self.do(client.hello())
        evil = b"MAIL FROM:<evil@x.org>\r\nRCPT TO:<bob@test>\r\nDATA\r\nevil\r\n.\r\n"
        ends = (
            b"\n.\n",
            b"\r.\r",
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r\n.\r",
            b"\r.\r\n",
            b"\r\n.\r\n",
            b"\r\n.\r\r\n",
            b"\n\n.\r\n",
        )
        for end in ends:
            self.do(client.send(EVE, [ANN], Message.of(b"body" + end + evil)))
        self.assertEqual((len(self.inbox()), self.inbox("bob")), (len(ends), []))

    def test_tls_login_and_submission(self) -> None:
        """STARTTLS with verification, then PLAIN, then a mail."""
        client = self.pair(self.submission).client
        self.do(client.hello())
        self.do(client.secure_with(CERTIFICATES.client("here.test")))
        self.do(client.log_in("ann", "secret"))
        self.assertNotIn("AUTH", self.do(client.hello()))
        self.do(client.send(ANN, [Address("bob", "test")], Message.of(b"From: ann@test\r\n\r\nhi\r\n")))
        self.assertIn(b"with ESMTPSA", self.inbox("bob")[0])

    def test_implicit_tls(self) -> None:
        """TLS from the first octet."""
        self.submission.implicit_tls = True
        client = self.pair(self.submission, CERTIFICATES.client("here.test")).client
        self.do(client.hello())
        self.do(client.log_in("ann", "secret"))
        self.do(client.quit())

    def test_wrong_password(self) -> None:
        """LoginRefused; the connection can be used on."""
        client = self.pair(self.submission).client
        self.do(client.hello())
        self.assertRaises(LoginRefused, self.do, client.log_in("ann", "wrong", in_clear=True))
        self.do(client.log_in("ann", "secret", in_clear=True))

    def test_no_password_in_clear(self) -> None:
        """Unless it is asked for."""
        pair = self.pair(self.submission)
        self.do(pair.client.hello())
        self.assertRaises(NotSendable, self.do, pair.client.log_in("ann", "secret"))
        self.assertEqual(pair.server.commands, 1)

    def test_certificate_for_somebody_else(self) -> None:
        """TlsFailed, and nothing more is said."""
        pair = self.pair()
        self.do(pair.client.hello())
        failed = self.assertRaises(TlsFailed, self.do, pair.client.secure_with(CERTIFICATES.client("elsewhere.test")))
        self.assertNotIsInstance(failed, Injected)
        self.assertEqual(self.mx.sessions, set())

    def test_untrusted_certificate(self) -> None:
        """One that another authority signed."""
        client = self.pair().client
        self.do(client.hello())
        self.assertRaises(TlsFailed, self.do, client.secure_with(Certificates("here.test").client("here.test")))

    def test_every_recipient_refused(self) -> None:
        """No message is sent, the result says so, and the next mail goes."""
        client = self.pair().client
        self.do(client.hello())
        sent = self.do(client.send(EVE, [NOBODY], Message.of(b"x\r\n")))
        self.assertEqual((sent.reply, sent.accepted), (None, ()))
        self.assertEqual(self.do(client.send(EVE, [ANN], Message.of(b"x\r\n"))).accepted, (ANN,))
        self.assertEqual(len(self.inbox()), 1)

    def test_message_too_large(self) -> None:
        """Not even begun when its size is known; refused by the server when it is not."""
        self.configure(max_message_size=65_536)
        client = self.pair().client
        self.do(client.hello())
        large = Message.of(b"x" * 70_000)
        self.assertRaises(NotSendable, self.do, client.send(EVE, [ANN], large))
        sent = self.do(client.send(EVE, [ANN], Message(large.source, 0, False)))
        self.assertEqual([words.code for _, words in sent.recipients], [552])

    def test_requests_wait_for_each_other(self) -> None:
        """Ten mails asked for at once go one after another."""
        client = self.pair().client
        asked: list[Deferred[Any]] = [Deferred.fromCoroutine(client.hello())]
        asked += [
            Deferred.fromCoroutine(client.send(EVE, [ANN], Message.of(b"%d\r\n" % number))) for number in range(10)
        ]
        self.world.network.pump()
        for one in asked:
            self.successResultOf(one)
        self.assertEqual(self.bodies(), [b"%d\r\n" % number for number in range(10)])

    def test_utf8(self) -> None:
        """Internationalized addresses are sent with SMTPUTF8."""
        self.world.result(self.world.site.accounts.add_alias(Address("jürgen", "test"), [self.ann.address]))
        client = self.pair().client
        self.do(client.hello())
        self.do(client.send(Address("дед", "пример.рф"), [Address("jürgen", "test")], Message.of(b"x\r\n")))
        self.assertIn(b"with UTF8SMTP", self.inbox()[0])

    def test_many_recipients(self) -> None:
        """More than one window of pipelined commands; each has its own reply."""
        client = self.pair().client
        self.do(client.hello())
        sent = self.do(client.send(EVE, [Address(f"ann+{n}", "test") for n in range(350)], Message.of(b"x\r\n")))
        self.assertEqual([words.code for _, words in sent.recipients], [250] * 100 + [452] * 250)

    def test_octet_by_octet(self) -> None:
        """Both ways."""
        pair = self.pair()
        pair.deliver_in(1)
        self.do(pair.client.hello())
        self.do(pair.client.send(EVE, [ANN], Message.of(b".x\r\n")))
        self.do(pair.client.quit())
        self.assertEqual(self.bodies(), [b".x\r\n"])

    def test_source_that_fails(self) -> None:
        """Half a message is never ended: the connection is dropped and the failure handed on."""

        async def source() -> AsyncIterator[bytes]:
            yield b"half\r\n"
            raise OSError("disk")

        client = self.pair().client
        self.do(client.hello())
        self.assertRaises(OSError, self.do, client.send(EVE, [ANN], Message(source(), 0, False)))
        self.world.network.pump()
        self.assertEqual(self.inbox(), [])
        self.assertRaises(Disconnected, self.do, client.hello())


class ScriptedTests(SynchronousTestCase):
    """A server that says what the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.client = self.connect()

    def connect(self) -> SmtpClient:
        """A client connected to a raw peer."""
        factory = SmtpClientFactory(self.clock, Deadlines(self.clock), "client.test")
        self.pair = connect_pair(factory, Factory.forProtocol(RawPeer), self.clock, self.network)
        self.server = self.pair.server
        client: SmtpClient = self.pair.client
        return client

    def say(self, data: bytes) -> None:
        """The server's octets."""
        self.server.transport.write(data)
        self.network.pump()

    def heard(self) -> bytes:
        """What the server heard since."""
        self.network.pump()
        data = bytes(self.server.heard)
        self.server.heard.clear()
        return data

    def greeted(self, *extensions: bytes) -> None:
        """Greeting and EHLO."""
        hello = Deferred.fromCoroutine(self.client.hello())
        self.say(b"220 hi\r\n")
        self.assertEqual(self.heard(), b"EHLO client.test\r\n")
        self.say(b"".join(b"250-%s\r\n" % one for one in (b"me", *extensions)) + b"250 HELP\r\n")
        self.successResultOf(hello)

    def sending(self, *recipients: Address, data: bytes = b"x\r\n") -> Deferred[Sent]:
        """A mail that is on its way."""
        sending = Deferred.fromCoroutine(self.client.send(EVE, recipients or (ANN,), Message.of(data)))
        self.network.pump()
        return sending

    def test_helo_for_old_servers(self) -> None:
        """500 to EHLO leads to HELO, and no extension is used."""
        hello = Deferred.fromCoroutine(self.client.hello())
        self.say(b"220 hi\r\n")
        self.say(b"500 what\r\n")
        self.assertEqual(self.heard(), b"EHLO client.test\r\nHELO client.test\r\n")
        self.say(b"250 me\r\n")
        self.assertEqual(self.successResultOf(hello).extensions, {})
        sending = self.sending()
        for line, answer in (
            (b"MAIL FROM:<eve@example.com>\r\n", b"250 a"),
            (b"RCPT TO:<ann@test>\r\n", b"250 a"),
            (b"DATA\r\n", b"354 a"),
        ):
            self.assertEqual(self.heard(), line)
            self.say(answer + b"\r\n")
        self.assertEqual(self.heard(), b"x\r\n.\r\n")
        self.say(b"250 done\r\n")
        self.assertEqual(self.successResultOf(sending).accepted, (ANN,))

    def test_pipelining(self) -> None:
        """MAIL, RCPT and DATA in one write; SIZE where it is offered."""
        self.greeted(b"PIPELINING", b"SIZE 100")
        sending = self.sending(ANN, NOBODY)
        self.assertEqual(
            self.heard(),
            b"MAIL FROM:<eve@example.com> SIZE=3\r\nRCPT TO:<ann@test>\r\nRCPT TO:<nobody@test>\r\nDATA\r\n",
        )
        self.say(b"250 a\r\n250 b\r\n550 5.1.1 c\r\n354 go\r\n")
        self.assertEqual(self.heard(), b"x\r\n.\r\n")
        self.say(b"250 2.0.0 ok\r\n")
        self.assertEqual([words.code for _, words in self.successResultOf(sending).recipients], [250, 550])

    def test_data_granted_to_nobody(self) -> None:
        """All recipients refused and DATA granted: the message ends at once, empty, and nobody counts as accepted."""
        self.greeted(b"PIPELINING")
        sending = self.sending()
        self.say(b"250 a\r\n550 b\r\n354 go\r\n")
        self.assertTrue(self.heard().endswith(b"DATA\r\n.\r\n"))
        self.say(b"250 what\r\n")
        self.say(b"250 reset\r\n")
        self.assertEqual(self.successResultOf(sending).accepted, ())

    def test_data_refused(self) -> None:
        """Each recipient keeps its own reply; who was accepted at RCPT has DATA's; in step afterwards."""
        self.greeted(b"PIPELINING")
        sending = self.sending(ANN, NOBODY)
        self.say(b"250 a\r\n250 b\r\n550 5.1.1 c\r\n451 4.3.0 full\r\n")
        self.say(b"250 reset\r\n")
        self.assertEqual([words.code for _, words in self.successResultOf(sending).recipients], [451, 550])
        self.assertTrue(self.client.is_alive)

    def test_notices_are_asked_for(self) -> None:
        """RFC 3461: where DSN is offered, with addresses and ids as xtext; elsewhere nothing is said of it."""
        message = Message(Message.of(b"x\r\n").source, 3, False, returned="HDRS", envelope_id="a+b =c")
        wishes = [Wish("SUCCESS,FAILURE", "rfc822;Ann+x@test"), Wish("NEVER"), Wish("", "utf-8;\xfc@test")]
        self.greeted(b"PIPELINING", b"DSN")
        Deferred.fromCoroutine(self.client.send(None, [ANN, NOBODY, EVE], message, wishes)).addErrback(lambda _: None)
        self.assertEqual(
            self.heard(),
            b"MAIL FROM:<> RET=HDRS ENVID=a+2Bb+20+3Dc\r\n"
            b"RCPT TO:<ann@test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Ann+2Bx@test\r\n"
            b"RCPT TO:<nobody@test> NOTIFY=NEVER\r\n"
            b"RCPT TO:<eve@example.com> ORCPT=utf-8;\\x{FC}@test\r\nDATA\r\n",
        )
        self.client = self.connect()
        self.greeted(b"PIPELINING")
        Deferred.fromCoroutine(self.client.send(None, [ANN, NOBODY, EVE], message, wishes)).addErrback(lambda _: None)
        self.assertNotIn(b"NOTIFY", self.heard())

    SAID = (b"220 hi\r\n", b"250-me\r\n250 PIPELINING\r\n", b"250 a\r\n250-b\r\n250 b\r\n354 c\r\n", b"250 2.0.0 ok\r\n")

    def test_every_split(self) -> None:
        """Wherever the server's octets are cut, the mail goes over."""
        whole = b"".join(self.SAID)
        for cut in range(len(whole) + 1):
            self.client = self.connect()
            asked: list[Deferred[Any]] = [Deferred.fromCoroutine(self.client.hello()), self.sending()]
            start = 0
            for said in self.SAID:
                inside = max(0, min(len(said), cut - start))
                self.say(said[:inside])
                self.say(said[inside:])
                start += len(said)
            self.successResultOf(asked[0])
            self.assertEqual(self.successResultOf(asked[1]).accepted, (ANN,), cut)

    def test_cut_at_every_octet(self) -> None:
        """C15: a reset behind each octet of the server's ends everything once; ambiguous only behind the final dot."""
        whole = b"".join(self.SAID)
        dot = len(whole) - len(self.SAID[-1])
        for cut in range(len(whole)):
            self.client = self.connect()
            asked: list[Deferred[Any]] = [Deferred.fromCoroutine(self.client.hello()), self.sending()]
            start = 0
            for said in self.SAID:
                self.say(said[: max(0, cut - start)])
                start += len(said)
            self.server.transport.abortConnection()
            self.network.pump()
            if cut < len(self.SAID[0]) + len(self.SAID[1]):
                self.failureResultOf(asked[0], Disconnected)
            else:
                self.successResultOf(asked[0])
            self.assertEqual(self.failureResultOf(asked[1], Disconnected).value.ambiguous, cut >= dot, cut)
            self.assertFalse(self.client.is_alive)

    def test_sender_refused(self) -> None:
        """Refused with the reply; in step afterwards."""
        self.greeted(b"PIPELINING")
        sending = self.sending()
        self.say(b"451 4.3.0 later\r\n503 no\r\n503 no\r\n")
        self.say(b"250 reset\r\n")
        refused = self.failureResultOf(sending, Refused).value
        self.assertEqual((refused.stage, refused.temporary, refused.reply.enhanced), ("MAIL", True, "4.3.0"))
        self.assertFalse(self.server.ended)

    def test_without_pipelining_data_is_not_said_in_vain(self) -> None:
        """And RCPT not after a refused MAIL."""
        self.greeted()
        sending = self.sending()
        self.say(b"550 no\r\n")
        self.say(b"250 reset\r\n")
        self.failureResultOf(sending, Refused)
        self.assertEqual(self.heard(), b"MAIL FROM:<eve@example.com>\r\nRSET\r\n")

    def test_missing_extensions(self) -> None:
        """8-bit octets and UTF-8 addresses are not sent to a server that did not offer to take them."""
        self.greeted(b"PIPELINING")
        self.failureResultOf(self.sending(data=b"\xff\r\n"), NotSendable)
        self.failureResultOf(self.sending(Address("ü", "test")), NotSendable)
        self.assertEqual(self.heard(), b"")

    def test_refusing_greeting(self) -> None:
        """554 or 421 instead of 220."""
        hello = Deferred.fromCoroutine(self.client.hello())
        self.say(b"554 no\r\n")
        self.assertEqual(self.failureResultOf(hello, Refused).value.stage, "greeting")

    def test_goodbye_at_any_time(self) -> None:
        """421 is a refusal, and the connection is not used any more."""
        self.greeted(b"PIPELINING")
        self.say(b"421 4.3.2 stopping\r\n")
        self.assertTrue(self.failureResultOf(self.sending(), Refused).value.temporary)
        self.failureResultOf(self.sending(), Disconnected)

    def test_answers_nobody_asked_for(self) -> None:
        """Replies sent ahead are not taken for answers."""
        self.greeted(b"PIPELINING", b"AUTH PLAIN")
        self.say(b"250 ok\r\n" * 5)
        self.failureResultOf(self.sending(), BadReply)
        self.assertEqual(self.heard(), b"")

    def test_answers_that_are_none(self) -> None:
        """What is no reply drops the connection."""
        for nonsense in (
            b"hello\r\n",
            b"250-a\r\n251 b\r\n",
            b"250 bare\n",
            b"\r\n",
            b"999 x\r\n",
            b"2 x\r\n",
            b"\xff\xfe\r\n",
        ):
            self.client = self.connect()
            hello = Deferred.fromCoroutine(self.client.hello())
            self.say(nonsense)
            self.failureResultOf(hello, BadReply)
            self.network.pump()
            self.assertTrue(self.server.ended, nonsense)

    def test_reply_line_of_a_gigabyte(self) -> None:
        """S21: dropped after two KiB."""
        hello = Deferred.fromCoroutine(self.client.hello())
        self.say(b"220 " + b"x" * 4096)
        self.failureResultOf(hello, BadReply)
        self.network.pump()
        self.assertTrue(self.server.ended)

    def test_a_million_lines(self) -> None:
        """S21: dropped after some."""
        hello = Deferred.fromCoroutine(self.client.hello())
        self.say(b"220-x\r\n" * 1_000)
        self.failureResultOf(hello, BadReply)

    def test_trickling_server(self) -> None:
        """S21: one line a minute does not hold us longer than one reply may take."""
        hello = Deferred.fromCoroutine(self.client.hello())
        for _ in range(6):
            self.say(b"220-x\r\n")
            self.clock.pump([1] * 59)
        self.failureResultOf(hello, TimedOut)

    def test_silent_server(self) -> None:
        """Five minutes for the greeting, ten for the end of data."""
        hello = Deferred.fromCoroutine(self.client.hello())
        self.clock.pump([1] * 299)
        self.assertNoResult(hello)
        self.clock.pump([1] * 3)
        self.failureResultOf(hello, TimedOut)
        self.client = self.connect()
        self.greeted(b"PIPELINING")
        sending = self.sending()
        self.say(b"250 a\r\n250 b\r\n354 go\r\n")
        self.clock.pump([1] * 599)
        self.assertNoResult(sending)
        self.clock.pump([1] * 3)
        self.assertTrue(self.failureResultOf(sending, TimedOut).value.ambiguous)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connection_lost_at_every_step(self) -> None:
        """Whatever was asked ends once, with Disconnected; only behind the final dot it is ambiguous."""
        steps = [b"220 hi\r\n", b"250-me\r\n250 PIPELINING\r\n", b"250 a\r\n250 b\r\n354 c\r\n", b"250 ok\r\n"]
        for count in range(len(steps)):
            for half in (False, True):
                for end in ("loseConnection", "abortConnection"):
                    self.client = self.connect()
                    asked: list[Deferred[Any]] = [
                        Deferred.fromCoroutine(self.client.hello()),
                        self.sending(),
                        self.sending(),
                    ]
                    for one in steps[:count]:
                        self.say(one)
                    if half:
                        self.say(steps[count][:3])
                    getattr(self.server.transport, end)()
                    self.network.pump()
                    outcomes = [self.result(one) for one in asked]
                    lost = [one for one in outcomes if isinstance(one, Disconnected)]
                    answered = 1 if count > 1 else 0
                    self.assertEqual(len(lost), 3 - answered, (count, half, end, outcomes))
                    self.assertEqual(lost[0].ambiguous, count == 3)

    def result(self, deferred: Deferred[Any]) -> Any:
        """A result or an exception; it has come."""
        self.assertTrue(deferred.called)
        found: list[Any] = []
        deferred.addBoth(found.append)
        return getattr(found[0], "value", found[0])

    def test_cancelled_request_drops_the_connection(self) -> None:
        """The replies to come would answer somebody else's question."""
        self.greeted(b"PIPELINING")
        sending = self.sending()
        waiting = self.sending()
        sending.cancel()
        self.failureResultOf(sending, CancelledError)
        self.network.pump()
        self.assertTrue(self.server.ended)
        self.failureResultOf(waiting, Disconnected)

    def test_cancelled_while_waiting_for_its_turn(self) -> None:
        """That one was not begun, so nothing is dropped."""
        self.greeted(b"PIPELINING")
        sending, waiting = self.sending(), self.sending()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.say(b"250 a\r\n250 b\r\n354 go\r\n")
        self.say(b"250 ok\r\n")
        self.successResultOf(sending)

    def test_injected_answers_are_not_believed(self) -> None:
        """T03: plaintext behind the answer to STARTTLS: the connection is dropped and no credentials are sent."""
        injected = b"250-x\r\n250 AUTH PLAIN\r\n235 welcome\r\n"
        for cut in range(len(injected)):
            self.client = self.connect()
            self.greeted(b"STARTTLS")
            securing = Deferred.fromCoroutine(self.client.secure_with(CERTIFICATES.client("here.test")))
            login = Deferred.fromCoroutine(self.client.log_in("ann", "secret"))
            self.assertEqual(self.heard(), b"STARTTLS\r\n")
            self.say(b"220 go\r\n" + injected[: cut + 1])
            self.failureResultOf(securing, Injected)
            self.failureResultOf(login, Disconnected)
            self.assertEqual(self.heard(), b"")
            self.assertTrue(self.server.ended)

    def test_plaintext_instead_of_a_handshake(self) -> None:
        """Injected a segment later it is no TLS, and again nothing is believed."""
        self.greeted(b"STARTTLS")
        securing = Deferred.fromCoroutine(self.client.secure_with(CERTIFICATES.client("here.test")))
        self.say(b"220 go\r\n")
        self.say(b"250-x\r\n250 AUTH PLAIN\r\n")
        self.failureResultOf(securing, TlsFailed)

    def test_starttls_not_offered_or_refused(self) -> None:
        """There is no way on without TLS that was asked for."""
        self.greeted()
        self.failureResultOf(Deferred.fromCoroutine(self.client.secure_with(None)), TlsFailed)
        self.client = self.connect()
        self.greeted(b"STARTTLS")
        securing = Deferred.fromCoroutine(self.client.secure_with(None))
        self.say(b"454 not now\r\n")
        self.failureResultOf(securing, TlsFailed)
        self.failureResultOf(self.sending(), Disconnected)

    def test_login_mechanism(self) -> None:
        """LOGIN where PLAIN is not offered; neither is NotSendable."""
        self.greeted(b"AUTH LOGIN")
        login = Deferred.fromCoroutine(self.client.log_in("ann", "secret", in_clear=True))
        for expected, answer in ((b"AUTH LOGIN\r\n", b"334 a"), (b"YW5u\r\n", b"334 b"), (b"c2VjcmV0\r\n", b"235 ok")):
            self.assertEqual(self.heard(), expected)
            self.say(answer + b"\r\n")
        self.successResultOf(login)
        self.client = self.connect()
        self.greeted(b"AUTH GSSAPI")
        self.failureResultOf(Deferred.fromCoroutine(self.client.log_in("a", "b", in_clear=True)), NotSendable)

    def test_large_message_waits_for_the_reader(self) -> None:
        """A source is read no faster than the server reads."""
        self.greeted(b"PIPELINING")
        read = 0

        async def source() -> AsyncIterator[bytes]:
            nonlocal read
            for _ in range(1000):
                read += 65_536
                yield b"x" * 65_536

        sending = Deferred.fromCoroutine(self.client.send(EVE, [ANN], Message(source(), 0, False)))
        self.network.pump()
        self.server.transport.pauseProducing()
        self.server.transport.write(b"250 a\r\n250 b\r\n354 go\r\n")
        self.network.pump()
        self.assertLess(read, 1 << 20)
        self.server.transport.resumeProducing()
        self.network.pump()
        self.assertEqual(read, 65_536_000)
        self.say(b"250 ok\r\n")
        self.successResultOf(sending)
