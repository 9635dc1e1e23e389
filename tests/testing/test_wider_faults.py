"""Faults that are not about one command: certificates and handshakes, names, storage, restarts, octets of a whole connection."""

from __future__ import annotations

import ftplib
import imaplib
import smtplib
import socket
import ssl
from io import BytesIO
from typing import Any

from twisted.internet.defer import TimeoutError as Late
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError
from twisted.names import client as names
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing import at
from launcelot.testing.faults import Fault
from launcelot.testing.link import Link, RawPeer
from launcelot.testing.sentences import BadSentence, parse
from launcelot.testing.served import serve
from launcelot.testing.worlds import TrialWorld
from launcelot.testing.zone import Zone
from tests.testing import cases

MAIL = b"HELO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@test>\r\nDATA\r\nSubject: News\r\n\r\nhi\r\n.\r\nQUIT\r\n"


class SentenceTests(SynchronousTestCase):
    """Values that read as they are written, and say no to nonsense."""

    def test_text_is_the_sentence(self) -> None:
        """Python reads back what ``str`` says."""
        for fault in (
            at.tls.certificate.expired(),
            at.imaps.tls.certificate.wrong_name().times(1),
            at.smtp.tls.certificate.untrusted(),
            at.tls.handshake.after(100).resets(),
            at.dns("MX news.example").replies("SERVFAIL"),
            at.dns().doubles(),
            at.dns("A").delays(3),
            at.storage("mail").nth(3).fails("ENOSPC"),
            at.storage().delays(2),
            at.smtp("DATA").end.restarts(1.5),
            at.imap("NOOP").restarts(),
            at.smtp.hearing.after(89).disconnects(),
            at.service("book-upper").saying.after(3).stalls(),
        ):
            self.assertEqual(eval(str(fault), {"at": at}), fault, str(fault))
            self.assertEqual(parse(str(fault)), fault)

    def test_read_by_no_interpreter(self) -> None:
        """Text that people type is a sentence or is refused in one line; nothing in it is run."""
        said = ' at.smtp("RCPT").replies(451, text="later").times(2)\n'
        self.assertEqual(parse(said), at.smtp("RCPT").replies(451, "later").times(2))
        for text in (
            "",
            "at",
            "at.smtp",
            'at.smtp("RCPT")',
            "at.smtp('RCPT').replies(451).__class__",
            "at.smtp.protocol",
            "at.__class__",
            "at.smtp('RCPT').explodes()",
            "at.smtp(open('/etc/passwd')).stalls()",
            "__import__('os').getpid()",
            "at.smtp('RCPT').replies(*[451])",
            "at.smtp('RCPT').replies(**{})",
            "at.smtp('RCPT').replies()",
            "at.smtp('RCPT').times(2)",
            "at.smtp('RCPT', 2).stalls()",
            "at.smtp(2).stalls()",
            "at.smtp('x').body.after(-3).stalls()",
            "(at.smtp)('RCPT'",
            "at.smtp('RCPT').stalls(); 2",
            "(" * 900,
            "at" + ".smtp" * 300,
            "at.smtp('\0').stalls()" + "x" * 1_000,
            "at.smtp().drips('fast')",
            "at.smtp().drips(b'1')",
            "at.smtp().drips(1e999)",
            "at.smtp().delays('1')",
            "lambda: at",
            "at.smtp().nth(1.5).stalls()",
            "at.smtp().stalls().times(b'1')",
            "at.smtp().body.after(b'1').stalls()",
            "at.smtp().replies(4.5)",
            "at.smtp().replies(451, b'x')",
        ):
            error = self.assertRaises(BadSentence, parse, text)
            self.assertEqual(len(str(error).splitlines()), 1, text)

    def test_nonsense_is_refused(self) -> None:
        """When the sentence is made."""
        for make in (
            lambda: at.tls.certificate.stalls(),
            lambda: at.tls.handshake.replies(451),
            lambda: at.smtp("RCPT").expired(),
            lambda: at.smtp("RCPT").doubles(),
            lambda: at.dns("MX").resets(),
            lambda: at.storage("attic"),
            lambda: at.storage("mail").fails("EMPTY"),
            lambda: at.storage("mail").stalls(),
            lambda: at.smtp("RCPT").fails("ENOSPC"),
            lambda: at.smtp.hearing.replies(451),
            lambda: at.smtp("RCPT").restarts(-1),
            lambda: at.smtp("RCPT").delays(1e9),
        ):
            self.assertRaises(ValueError, make)



class TlsTests(cases.FaultCase):
    """Certificates and handshakes."""

    def shake(self, name: str, fault: Fault) -> tuple[TrialWorld, RawPeer]:
        """What a careful client comes to."""
        world, service = self.begin(name, fault, tls=True)
        link = service.connect()
        if name == "smtp":
            link.say(b"EHLO me\r\nSTARTTLS\r\n")
            link.take()
        link.start_tls(world.client_tls())
        world.flush()
        return world, link.peer

    def test_certificates(self) -> None:
        """A client that looks sees each of them, by STARTTLS and from the first octet."""
        for name in ("smtp", "imaps", "ftps"):
            for make in ("expired", "wrong_name", "untrusted"):
                _, peer = self.shake(name, getattr(at.tls.certificate, make)())
                self.assertFalse(peer.shaken, (name, make))
                self.assertIsNotNone(peer.lost)
                if peer.lost is not None:
                    self.assertIn("verif", repr(peer.lost.value).lower(), (name, make))

    def test_only_where_it_is_said(self) -> None:
        """Another listener, or another connection, is fine."""
        for fault in (at.imaps.tls.certificate.expired(), at.tls.certificate.expired().nth(2)):
            _, peer = self.shake("smtp", fault)
            self.assertTrue(peer.shaken, fault)

    def test_handshake(self) -> None:
        """Cut in the middle, or never finished."""
        for fault, lost in (
            (at.tls.handshake.resets(), True),
            (at.tls.handshake.after(100).disconnects(), True),
            (at.tls.handshake.after(100).stalls(), False),
        ):
            _, peer = self.shake("imaps", fault)
            self.assertEqual((peer.shaken, peer.lost is not None), (False, lost), fault)

    def test_python_sees_them(self) -> None:
        """On sockets."""
        for fault, says in (
            (at.tls.certificate.expired(), "expired"),
            (at.tls.certificate.wrong_name(), "mismatch"),
            (at.tls.certificate.untrusted(), "verify failed"),
            (at.tls.handshake.after(50).disconnects(), "eof"),
        ):
            lc = serve("imaps", fault=fault)
            self.addCleanup(lc.stop)
            error = self.assertRaises((ssl.SSLError, OSError), imaplib.IMAP4_SSL, *lc.imaps.address, ssl_context=lc.ssl_context())
            self.assertIn(says, str(error).lower(), fault)
            self.assertEqual(lc.unstruck, [])


class RestartTests(cases.FaultCase):
    """The server dies and comes back."""

    def test_in_the_middle_of_a_session(self) -> None:
        """All connections are lost; what was stored is there; the same port answers again, after its time."""
        world, smtp = self.begin("smtp", at.smtp("QUIT").restarts(2).times(1))
        other = smtp.connect()
        link = smtp.connect()
        link.say(MAIL)
        world.flush()
        self.assertEqual((link.closed, other.closed), (True, True))
        self.assertDelivered(world, to="ann@test")
        refused = connectProtocol(clientFromString(world.reactor, smtp.endpoint), RawPeer())
        world.flush()
        self.failureResultOf(refused, Refused)
        world.advance(2)
        again = connectProtocol(clientFromString(world.reactor, smtp.endpoint), RawPeer())
        world.flush()
        peer = self.successResultOf(again)
        self.assertTrue(bytes(peer.heard).startswith(b"220 "), peer.heard)
        self.assertIsNotNone(peer.transport)
        if peer.transport is not None:
            peer.transport.write(MAIL)
        world.flush()
        self.assertDelivered(world, to="ann@test", times=2)

    def test_at_once(self) -> None:
        """With no time in between, and behind a dot whose message is kept."""
        world, smtp = self.begin("smtp", at.smtp("DATA").end.reply.restarts().times(1))
        link = smtp.connect()
        link.say(MAIL)
        world.flush()
        self.assertTrue(link.closed)
        self.assertDelivered(world, to="ann@test")
        link = smtp.connect()
        self.assertTrue(link.take().startswith(b"220 "))

    def test_while_it_is_away(self) -> None:
        """A world that ends then leaves nothing."""
        world, smtp = self.begin("smtp")
        world.restart(60)
        world.restart(60)
        self.assertRaises(LookupError, lambda: smtp.factory)

    def test_on_sockets(self) -> None:
        """A client that tries again finds it at the same port."""
        lc = serve("smtp", "imap", fault=at.smtp("RCPT").restarts(0.05).times(1))
        self.addCleanup(lambda: self.assertEqual(lc.stop(), []))
        to = lc.user("ann")
        with smtplib.SMTP(*lc.smtp.address) as client:
            self.assertRaises((smtplib.SMTPServerDisconnected, OSError), client.sendmail, "a@b.example", [to], "Subject: x\n\n")
        self.assertTrue(self.reached(lc.smtp.address))
        with smtplib.SMTP(*lc.smtp.address) as client:
            client.sendmail("a@b.example", [to], "Subject: x\n\n")
        lc.mail.wait(to=to)
        lc.restart()
        imap = imaplib.IMAP4(*lc.imap.address)
        imap.login("ann", "pw")
        self.assertEqual(imap.select()[1], [b"1"])
        imap.logout()

    def reached(self, address: tuple[str, int]) -> bool:
        """Whether somebody listens there sooner or later."""
        for _ in range(10_000):
            try:
                socket.create_connection(address).close()
            except ConnectionError:
                continue
            return True
        return False


class StorageTests(cases.FaultCase):
    """A disk that is full, slow, or fails now and then."""

    def codes(self, link: Link) -> str:
        """What a mail meets, pipelined."""
        link.say(MAIL)
        return " ".join(line[:3] for line in link.take().decode().splitlines() if line[3:4] == " ")

    def test_spool(self) -> None:
        """The mail is refused for now, and not kept; the next one is taken."""
        world, smtp = self.begin("smtp", at.storage("spool").fails("ENOSPC").times(1))
        self.assertEqual(self.codes(smtp.connect()), "220 250 250 250 354 451 221")
        self.assertDelivered(world, times=0)
        self.assertEqual(self.codes(smtp.connect()), "220 250 250 250 354 250 221")
        self.assertDelivered(world, times=1)

    def test_mail(self) -> None:
        """IMAP's APPEND, and the n-th time only."""
        world, imap = self.begin("imap", at.storage("mail").nth(2).fails("EIO").times(1))
        link = imap.connect()
        link.say(b"a LOGIN ann pw\r\n")
        link.take()
        for tag, answer in ((b"b", b"b OK"), (b"c", b"c NO"), (b"d", b"d OK")):
            link.say(tag + b" APPEND INBOX {4+}\r\nx: y\r\n")
            self.assertTrue(link.take().startswith(answer), tag)
        link.say(b"e STATUS INBOX (MESSAGES)\r\n")
        self.assertIn(b"MESSAGES 2", link.take())

    def test_slow(self) -> None:
        """The reply comes when it is stored."""
        world, imap = self.begin("imap", at.storage("mail").delays(5))
        link = imap.connect()
        link.say(b"a LOGIN ann pw\r\nb CREATE Attic\r\n")
        self.assertNotIn(b"b OK", link.take())
        world.advance(5)
        self.assertIn(b"b OK", link.take())

    def test_files(self) -> None:
        """An upload that cannot be kept, and a folder that cannot be made."""
        lc = serve("ftp", fault=at.storage("files").fails("ENOSPC").times(2))
        self.addCleanup(lc.stop)
        lc.user("ann")
        with ftplib.FTP() as ftp:
            ftp.connect(*lc.ftp.address)
            ftp.login("ann", "pw")
            refused = self.assertRaises(ftplib.Error, ftp.storbinary, "STOR a.bin", BytesIO(b"a"))
            self.assertEqual(str(refused)[:1], "4")
            self.assertRaises(ftplib.Error, ftp.mkd, "in")
            ftp.storbinary("STOR b.bin", BytesIO(b"b"))
        self.assertEqual(lc.files("ann"), {"b.bin": b"b"})


class OctetTests(cases.FaultCase):
    """So many octets of a whole connection."""

    def test_hearing(self) -> None:
        """What came before is done and answered; the next octet never arrives."""
        whole = MAIL.index(b"QUIT")
        for octets, stored, answered in ((0, 0, b""), (whole - 1, 0, b"354"), (whole, 1, b"250"), (whole + 3, 1, b"250")):
            for act in ("disconnects", "resets", "stalls"):
                world, smtp = self.begin("smtp", getattr(at.smtp.hearing.after(octets), act)())
                link = smtp.connect()
                link.say(MAIL)
                world.flush()
                self.assertDelivered(world, times=stored)
                heard = link.take()
                self.assertTrue(answered in heard and b"221" not in heard, (octets, act, heard))
                self.assertEqual(link.closed, act != "stalls", (octets, act))

    def test_saying(self) -> None:
        """So many have left, whatever they were."""
        for octets in (0, 1, 20, 43):
            world, smtp = self.begin("smtp", at.smtp.saying.after(octets).disconnects())
            link = smtp.connect()
            link.say(MAIL)
            world.flush()
            self.assertEqual((len(link.take()), link.closed), (octets, True))

    def test_each_connection_comes_by_once(self) -> None:
        """From the second connection on; the first one goes as if there were no fault, in however many pieces."""
        for point in (at.smtp.saying.after(20), at.smtp.hearing.after(20)):
            world, smtp = self.begin("smtp", point.nth(2).disconnects())
            whole, cut = smtp.connect(), smtp.connect()
            for line in MAIL.splitlines(keepends=True):
                whole.say(line)
            self.assertTrue(whole.take().endswith(b"\r\n"))
            self.assertDelivered(world, times=1)
            cut.say(MAIL)
            world.flush()
            self.assertTrue(cut.closed)
            self.assertDelivered(world, times=1)

    def test_whichever_comes_first(self) -> None:
        """Of several, in whatever order they were armed."""
        world, smtp = self.begin("smtp", at.smtp.saying.after(500).stalls(), at.smtp.saying.after(30).disconnects())
        link = smtp.connect()
        link.say(MAIL)
        world.flush()
        self.assertEqual((len(link.take()), link.closed), (30, True))

    def test_on_sockets(self) -> None:
        """The same."""
        lc = serve("smtp", fault=at.smtp.saying.after(20).resets())
        self.addCleanup(lc.stop)
        with socket.create_connection(lc.smtp.address) as client:
            heard = b""
            try:
                while piece := client.recv(100):
                    heard += piece
                    client.sendall(b"NOOP\r\n")
            except ConnectionError:
                pass
        self.assertEqual(len(heard), 20)


class NameTests(cases.FaultCase):
    """Answers of DNS that are wrong, late, doubled, or never come."""

    def resolver(self, world: TrialWorld) -> Any:
        """Twisted's own, asking a name server in the world."""
        world.serve("dns", host="ns.test", port=53)
        world.zone.add("MX", "news.example", "10 mx.news.example")
        world.zone.add("MX", "news.example", "20 mx2.news.example")
        world.zone.add("CNAME", "www.news.example", "news.example")
        world.zone.add("A", "news.example", "127.0.0.1")
        world.zone.add("TXT", "news.example", "v=spf1 -all")
        return names.Resolver(servers=[("127.0.0.1", 53)], timeout=(1, 2), reactor=world.reactor)

    def ask(self, world: TrialWorld, waiting: Any, seconds: float = 0.0) -> list[Any]:
        """The payloads of an answer."""
        world.flush()
        world.advance(seconds)
        self.resolved = self.successResultOf(waiting)
        return [one.payload for one in self.resolved[0]]

    def test_records(self) -> None:
        """Of each kind; aliases are followed; what is not there is not there."""
        world = self.world()
        resolver = self.resolver(world)
        found = self.ask(world, resolver.lookupMailExchange("NEWS.example"))
        self.assertEqual([(one.preference, str(one.name)) for one in found], [(10, "mx.news.example"), (20, "mx2.news.example")])
        found = self.ask(world, resolver.lookupAddress("www.news.example"))
        self.assertEqual([one.TYPE for one in found], [dns.CNAME, dns.A])
        self.assertEqual(self.ask(world, resolver.lookupText("news.example"))[0].data, [b"v=spf1 -all"])
        self.assertEqual(self.ask(world, resolver.lookupAddress("ns.test"))[0].dottedQuad(), "127.0.0.1")
        self.assertEqual(self.ask(world, resolver.lookupText("www.news.example"))[0].TYPE, dns.CNAME)
        missing = resolver.lookupAddress("nowhere.example")
        world.flush()
        self.failureResultOf(missing, DNSNameError)
        self.assertRaises(ValueError, world.zone.add, "HINFO", "x", "y")
        self.assertRaises(ValueError, world.zone.add, "MX", "x", "mx.without.preference")

    def test_long_answers_come_over_tcp(self) -> None:
        """As resolvers expect."""
        world = self.world()
        resolver = self.resolver(world)
        for number in range(40):
            world.zone.add("MX", "many.example", f"{number} mx{number}.many.example")
        found = self.ask(world, resolver.lookupMailExchange("many.example"))
        self.assertEqual(len(found), 40)
        world.network.open_ends[0].loseConnection()    # Twisted's resolver keeps it for the next question.
        world.flush()

    def test_faults(self) -> None:
        """Wrong, late, doubled, garbled, never."""
        for fault, seconds, wanted in (
            (at.dns("MX").replies("SERVFAIL"), 0, DNSServerError),
            (at.dns("MX NEWS.example").replies("NXDOMAIN"), 0, DNSNameError),
            (at.dns().replies("5 wrong.example"), 0, ["wrong.example"]),
            (at.dns("MX").delays(0.5), 0.5, ["mx.news.example", "mx2.news.example"]),
            (at.dns("MX").doubles(), 0, ["mx.news.example", "mx2.news.example"]),
            (at.dns("MX").stalls().times(1), 1, ["mx.news.example", "mx2.news.example"]),
            (at.dns("MX").says(b"\0").times(1), 1, ["mx.news.example", "mx2.news.example"]),
            (at.dns("MX").stalls(), 3, Late),
            (at.dns("A").stalls(), 0, ["mx.news.example", "mx2.news.example"]),
        ):
            world = self.world()
            world.fault(fault)
            waiting = self.resolver(world).lookupMailExchange("news.example")
            if isinstance(wanted, list):
                self.assertEqual([str(one.name) for one in self.ask(world, waiting, seconds)], wanted, fault)
            else:
                world.flush()
                world.advance(seconds)
                self.failureResultOf(waiting, wanted)

    def test_hosts_that_are_looked_up(self) -> None:
        """By whoever connects by name, without a name server."""
        for fault, seconds, reached in (
            (at.dns("A").replies("NXDOMAIN"), 0, False),
            (at.dns("A smtp.test").replies("127.0.0.9"), 0, False),
            (at.dns("A other.test").replies("NXDOMAIN"), 0, True),
            (at.dns().delays(3), 3, True),
            (at.dns().doubles(), 0, True),
        ):
            world = self.world()
            world.fault(fault)
            world.serve("smtp", host="smtp.test", port=25)
            waiting = connectProtocol(clientFromString(world.reactor, "tcp:smtp.test:25"), RawPeer())
            world.flush()
            world.advance(seconds)
            if reached:
                self.successResultOf(waiting).transport.loseConnection()
                world.flush()
            else:
                self.failureResultOf(waiting, DNSLookupError, Refused)

    def test_on_sockets(self) -> None:
        """Over UDP and TCP at one port."""
        lc = serve("dns", fault=at.dns("A").replies("127.0.0.7").times(1))
        self.addCleanup(lambda: self.assertEqual((lc.unstruck, lc.stop()), ([], [])))
        lc.zone.add("A", "a.example", "127.0.0.1")
        query = dns.Message(7, recDes=True)
        query.addQuery(b"a.example", dns.A)
        octets = query.toStr()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.connect(lc.dns.address)
            client.send(octets)
            first = client.recv(512)
        with socket.create_connection(lc.dns.address, 60) as client:
            client.sendall(len(octets).to_bytes(2, "big") + octets)
            second = client.recv(512)[2:]
        self.assertEqual([self.address(one) for one in (first, second)], ["127.0.0.7", "127.0.0.1"])

    def address(self, octets: bytes) -> str:
        """The one that an answer has."""
        message = dns.Message()
        message.fromStr(octets)
        payload: Any = message.answers[0].payload
        return str(payload.dottedQuad())

    def test_zone_of_rubbish(self) -> None:
        """What is no query is not answered."""
        lc = serve("dns")
        self.addCleanup(lambda: self.assertEqual(lc.stop(), []))
        with socket.create_connection(lc.dns.address, 60) as client:
            client.sendall(b"\0\3abc" + b"\0\0")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        self.assertEqual(Zone().find("A", "x"), [])
