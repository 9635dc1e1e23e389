"""XCLIENT and XFORWARD: for hosts that are named, and for nobody else."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.testing.link import Link
from tests.protocols.smtp.support import STUFFED, SmtpCase, plain

FRONT = "192.0.2.5"
BANNER = [b"220 here.test ESMTP Launcelot"]


class ProxyingCase(SmtpCase):
    """A host in front of us."""

    def setUp(self) -> None:
        super().setUp()
        self.configure(xclient_networks=("192.0.2.5/32", "2001:db8::/64"))
        self.lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_namespace") == "launcelot.session":
                self.lines.append(str(event["log_format"]).format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def front(self, factory: SmtpFactory | None = None) -> Link:
        """The host in front of us."""
        return self.connect(factory, FRONT)


class ClientTests(ProxyingCase):
    """XCLIENT."""

    def test_it_is_offered_to_named_hosts_only(self) -> None:
        """All others hear 550, and nothing changes for them."""
        self.assertIn(b"250-XCLIENT NAME ADDR PROTO HELO LOGIN", self.ask(self.front(), b"EHLO x\r\n"))
        for source in ("127.0.0.1", "192.0.2.6", "unix"):
            link = self.connect(source=source)
            self.assertNotIn(b"XCLIENT", b"".join(self.ask(link, b"EHLO x\r\n")))
            self.assertEqual(self.codes(link, b"XCLIENT ADDR=127.0.0.1 LOGIN=ann\r\nXFORWARD ADDR=127.0.0.1\r\n"), [550, 550])
            self.assertEqual(self.codes(link, b"MAIL FROM:<x@y.example>\r\n"), [250])

    def test_the_mail_is_the_clients(self) -> None:
        """Address, names and protocol in Received are those of the client; the session begins anew."""
        link = self.front()
        self.codes(link, b"EHLO proxy\r\n")
        said = b"XCLIENT NAME=spike.example ADDR=IPV6:2001:db8:1::7 PROTO=SMTP HELO=him\r\n"
        self.assertEqual(self.ask(link, said), BANNER)
        self.assertEqual(self.codes(link, b"MAIL FROM:<e@x.org>\r\n"), [503])
        self.codes(link, b"EHLO proxy\r\nMAIL FROM:<e@x.org>\r\nRCPT TO:<ann@test>\r\nDATA\r\n" + STUFFED + b".\r\nQUIT\r\n")
        trace = rb"Received: from him \(spike\.example \[IPv6:2001:db8:1::7\]\)\s+by here\.test with SMTP\s"
        self.assertRegex(self.inbox()[0], trace)
        link.close()
        self.assertIn("from 2001:db8:1::7 ", self.lines[-1])

    def test_passwords_without_tls_go_by_the_client(self) -> None:
        """From this machine they may be, from the client behind a proxy they may not; and the other way round."""
        link = self.front(self.submission)
        talk = b"\r\nEHLO x\r\nAUTH PLAIN " + plain("ann", "secret") + b"\r\n"
        self.assertEqual(self.codes(link, b"XCLIENT ADDR=127.0.0.1" + talk), [220, 250, 235])
        self.assertEqual(self.codes(link, b"XCLIENT ADDR=198.51.100.1" + talk), [220, 250, 538])

    def test_who_has_logged_in_in_front(self) -> None:
        """LOGIN is believed; a new address is somebody else; [UNAVAILABLE] is nobody."""
        link = self.front(self.submission)
        mail = b"EHLO x\r\nMAIL FROM:<ann@test>\r\nRSET\r\n"
        self.assertEqual(self.codes(link, b"XCLIENT ADDR=198.51.100.1 LOGIN=ann\r\n" + mail), [220, 250, 250, 250])
        self.assertEqual(self.codes(link, b"XCLIENT NAME=a.example\r\n" + mail), [220, 250, 250, 250])
        self.assertEqual(self.codes(link, b"XCLIENT ADDR=198.51.100.2\r\n" + mail), [220, 250, 530, 250])
        self.codes(link, b"XCLIENT LOGIN=ann\r\n")
        self.assertEqual(self.codes(link, b"XCLIENT LOGIN=[UNAVAILABLE]\r\n" + mail), [220, 250, 530, 250])
        self.world.result(self.world.site.accounts.change("bob", enabled=False))
        self.assertEqual(self.codes(link, b"XCLIENT LOGIN=bob\r\nXCLIENT LOGIN=nobody\r\n"), [535, 535])

    def test_not_within_a_mail(self) -> None:
        """503, and the mail goes on."""
        link = self.front()
        self.codes(link, b"EHLO x\r\nMAIL FROM:<e@x.org>\r\n")
        talk = b"XCLIENT ADDR=198.51.100.1\r\nXFORWARD ADDR=198.51.100.1\r\nRCPT TO:<ann@test>\r\n"
        self.assertEqual(self.codes(link, talk), [503, 503, 250])

    def test_its_own_address_counts(self) -> None:
        """A client behind it that has no right gets none, and the host in front keeps its own."""
        link = self.front()
        for address in (b"198.51.100.1", b"[UNAVAILABLE]", b"IPv6:2001:db8::1"):
            self.assertEqual(self.ask(link, b"XCLIENT ADDR=" + address + b"\r\n"), BANNER)

    def test_malformed(self) -> None:
        """501: words that are no attributes, values that would forge a trace field, addresses that are none."""
        self.configure(max_errors=100)
        link = self.front()
        for argument in (
            b"", b"ADDR", b"ADDR=", b"=x", b"PORT=1", b"ADDR=1.2.3", b"ADDR=2001:db8::1", b"ADDR=IPV6:1.2.3.4", b"ADDR=[::1]",
            b"ADDR=1.2.3.4 ADDR=1.2.3.4", b"NAME=a+20b", b"NAME=a+0D+0Ab", b"NAME=a)", b"HELO=a+28", b"HELO=" + b"a" * 256,
            b"PROTO=LMTP", b"LOGIN=+00", b"NAME=\xff", b"LOGIN=" + b"x" * 300,
        ):  # fmt: skip
            self.assertEqual(self.codes(link, b"XCLIENT " + argument + b"\r\n"), [501], argument)


class ForwardTests(ProxyingCase):
    """XFORWARD."""

    def test_the_log_says_it_of_one_mail(self) -> None:
        """Of the next, and no longer; rights and Received are those of the host in front."""
        link = self.front()
        mail = b"MAIL FROM:<e@x.org>\r\nRCPT TO:<ann@test>\r\nDATA\r\n.\r\n"
        said = b"EHLO filter\r\nXFORWARD NAME=spike.example ADDR=198.51.100.9\r\nXFORWARD PORT=[UNAVAILABLE] IDENT=A+2B1\r\n"
        self.assertEqual(self.codes(link, said), [250, 250, 250])
        self.codes(link, mail + mail)
        first, second = [line for line in self.lines if " accepted " in line]
        self.assertTrue(first.endswith(", for name='spike.example' addr='198.51.100.9' port='' ident='A+1'"), first)
        self.assertNotIn(" for ", second)
        self.assertIn(b"[192.0.2.5]", self.inbox()[0])
