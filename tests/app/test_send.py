"""``launcelot send``: one message over real sockets, what its options mean, and how it ends."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.app.command import build_parser, main
from launcelot.app.errors import Ending
from launcelot.app.send import Errand, composed, ending_of, errand_of, send, tell
from launcelot.app.streams import Streams
from launcelot.hosting.calling import Refused as NobodyThere
from launcelot.message.address import Address
from launcelot.protocols.smtp.client import Sent
from launcelot.protocols.smtp.failures import BadReply, Disconnected, LoginRefused, NotSendable, TimedOut, TlsFailed
from launcelot.protocols.smtp.grammar import reply
from tests.app.programs import ProgramCase
from tests.relay.support import CUT, HopFactory

reactor: Any = the_reactor
ANN, X, Y = Address("ann", "here.example"), Address("x", "far.example"), Address("y", "far.example")
BODY = b"From: ann@here.example\r\n\r\nhi\r\n"


def given(*arguments: str) -> Any:
    """Parsed options."""
    return build_parser().parse_args(["send", *arguments])


def streams(said: str = "") -> Streams:
    """Streams of a test."""
    return Streams(io.StringIO(said), io.StringIO(), io.StringIO(), lambda prompt: "typed")


class SendTests(TestCase):
    """One errand."""

    def setUp(self) -> None:
        self.hop = HopFactory()
        self.port = reactor.listenTCP(0, self.hop, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    def errand(self, **changes: Any) -> Errand:
        """One to the test's server."""
        known: dict[str, Any] = {
            "host": "127.0.0.1", "port": self.port.getHost().port, "tls": "none", "ca_file": None, "user": "",
            "password": "", "sender": ANN, "recipients": [X, Y], "octets": BODY, "notify": "", "timeout": 5.0,
        }  # fmt: skip
        return Errand(**{**known, **changes})

    async def test_each_recipient_has_its_reply(self) -> None:
        """And the message arrives."""
        self.hop.script["RCPT"] = [b"250 ok", b"550 5.1.1 nobody"]
        sent = await send(reactor, self.errand(notify="NEVER"))
        self.assertEqual([words.code for _, words in sent.recipients], [250, 550])
        ((envelope, body),) = self.hop.got
        self.assertEqual((body, envelope[1]), (BODY, b"RCPT TO:<x@far.example> NOTIFY=NEVER"))
        self.assertEqual(self.hop.heard[-1], b"QUIT")

    async def test_server_that_vanishes(self) -> None:
        """Disconnected, not silence."""
        self.hop.script["MAIL"] = [CUT]
        try:
            await send(reactor, self.errand())
        except Disconnected:
            return
        self.fail("sent")

    async def test_tls_is_asked_for(self) -> None:
        """A server without it gets neither password nor message."""
        try:
            await send(reactor, self.errand(tls="starttls", host="localhost", user="ann", password="secret"))
        except TlsFailed:
            self.assertEqual([one[:4] for one in self.hop.heard], [b"EHLO"])
            return
        self.fail("sent")

    async def test_password_does_not_go_in_clear_to_others(self) -> None:
        """Only to this machine."""
        self.hop.extensions = (b"AUTH PLAIN",)
        self.hop.script["AUTH"] = [b"235 2.7.0 ok"]
        await send(reactor, self.errand(user="ann", password="secret"))
        self.assertIn(b"AUTH PLAIN AGFubgBzZWNyZXQ=", self.hop.heard)


class WordsTests(SynchronousTestCase):
    """Options, answers and exit codes."""

    def setUp(self) -> None:
        self.message = self.mktemp()
        Path(self.message).write_bytes(BODY)

    def test_options(self) -> None:
        """Ports by the kind of TLS; the password of a file."""
        password = self.mktemp()
        Path(password).write_text("secret\n")
        common = ("x@far.example", "--from", "ann@here.example", "--file", self.message)
        errand = errand_of(given(*common, "--user", "ann", "--password-file", password, "--notify", "success,delay"), streams())
        self.assertEqual((errand.port, errand.tls, errand.password, errand.octets), (2587, "starttls", "secret", BODY))
        self.assertEqual(errand.notify, "DELAY,SUCCESS")
        self.assertEqual(errand_of(given(*common, "--tls", "implicit"), streams()).port, 2465)
        self.assertIsNone(errand_of(given("x@a.example", "--from", "<>", "--file", self.message), streams()).sender)
        self.assertEqual(errand_of(given("x@a.example", "--from", "a@b.example"), streams("hi")).octets, b"hi")

    def test_what_cannot_be_meant(self) -> None:
        """Each is one line and 64, or 66 where there is nothing to read."""
        common = ("x@far.example", "--from", "ann@here.example", "--file", self.message)
        for arguments, status in (
            ((*common, "--port", "0"), 64),
            ((*common, "--timeout", "0"), 64),
            ((*common, "--tls", "none", "--ca-file", "x"), 64),
            ((*common, "--notify", "sometimes"), 64),
            ((*common, "--notify", "never,delay"), 64),
            (("x", "--from", "ann@here.example", "--file", self.message), 64),
            (("x@far.example", "--from", "<>", "--subject", "s", "--file", self.message), 64),
            ((*common, "--user", "ann", "--password-file", "/nowhere"), 66),
            (("x@far.example", "--from", "a@b.example", "--file", "/nowhere"), 66),
            (("x@far.example", "--from", "a@b.example"), 66),
        ):
            ending = self.assertRaises(Ending, errand_of, given(*arguments), streams())
            self.assertEqual(ending.status, status, arguments)

    def test_text_with_a_subject(self) -> None:
        """Becomes a message."""
        octets = composed(ANN, [X], "Grüße", b"hallo\n")
        for words in (b"From: ann@here.example\r\n", b"To: x@far.example\r\n", b"Message-ID: <", b"\r\n\r\nhallo\r\n"):
            self.assertIn(words, octets)

    def test_exit_codes(self) -> None:
        """0 for all, 1 for one refused for good, 75 for what may be tried later."""
        yes, later, no = reply(250, "2.0.0", "ok"), reply(451, "4.3.0", "later"), reply(550, "5.1.1", "no\x1b")
        for answers, status in (((yes, yes), 0), ((yes, later), 75), ((later, no), 1)):
            told = streams()
            sent = Sent(((X, answers[0]), (Y, answers[1])), None)
            self.assertEqual(tell(sent, given("x@a.example", "--from", "<>"), told), status)
            self.assertNotIn("\x1b", told.errors.getvalue())  # type: ignore[attr-defined]
            told = streams()
            tell(sent, given("x@a.example", "--from", "<>", "--json"), told)
            rows = json.loads(told.output.getvalue())["recipients"]  # type: ignore[attr-defined]
            self.assertEqual([row["code"] for row in rows], [one.code for one in answers])

    def test_endings(self) -> None:
        """Each way to fail has its exit code, and says what helps."""
        errand = Errand("h", 25, "none", None, "", "", None, [X], b"", "", 5.0)
        for error, status in (
            (NobodyThere("nobody"), 69),
            (TlsFailed("no"), 77),
            (LoginRefused("AUTH", reply(535, "5.7.8", "no")), 77),
            (Disconnected("MAIL", "gone"), 74),
            (TimedOut("MAIL", "late"), 74),
            (BadReply("MAIL", "what"), 76),
            (NotSendable("MAIL", "needs"), 1),
        ):
            self.assertEqual(ending_of(error, errand).status, status, error)

    def test_nobody_listens(self) -> None:
        """The whole command has no way to begin without addresses."""
        told = streams("x")
        self.assertEqual(main(["send", "nonsense", "--from", "<>"], told), 64)


class ProgramTests(ProgramCase):
    """The command itself."""

    def test_nobody_there(self) -> None:
        """One line, 69."""
        done = self.run_program(
            sys.executable, "-m", "launcelot.app.command", "send", "x@far.example", "--from", "<>", "--tls", "none",
            "--server", "127.0.0.1", "--port", "1", said="Subject: x\n\nhi\n",
        )  # fmt: skip
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (69, 1), done.stderr)
