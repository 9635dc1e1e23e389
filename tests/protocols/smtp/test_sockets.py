"""The service on real sockets, driven by programs and libraries we did not write."""

from __future__ import annotations

import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from launcelot.hosting.listening import Listeners
from launcelot.message.address import Address
from launcelot.protocols.smtp.client import Message, SmtpClientFactory
from launcelot.protocols.smtp.service import Settings, build
from launcelot.testing.site import memory_site
from tests.protocols.smtp.support import below_trace

FREE = ("tcp:0:interface=127.0.0.1",)


class SocketCase(TestCase):
    """A service that listens on free ports."""

    async def setUp(self) -> None:  # type: ignore[override]
        self.world = memory_site(tls=True)
        self.world.add_user("ann", "secret")
        self.world.add_user("bob", "secret")
        self.site = replace(self.world.site, reactor=reactor, clock=reactor)
        settings = Settings(listen_mx=FREE, listen_submission=FREE, listen_submissions=FREE)
        self.listeners: Listeners = build(self.site, settings)
        await self.listeners.listen()
        self.ports = {one.name: one.port for one in self.listeners.listening}
        self.addCleanup(self.listeners.stopService)
        self.authority = Path(self.mktemp())
        self.authority.write_bytes(self.world.tls.certificate)  # type: ignore[union-attr]

    def messages(self, name: str) -> list[bytes]:
        """What an account has, below our trace fields."""

        async def read() -> list[bytes]:
            account = await self.site.accounts.account(name)
            mailbox = await (await self.site.mail.mail(account.id)).mailbox("INBOX")
            return [below_trace(await mailbox.read(one.uid, 0, 1 << 30)) for one in await mailbox.states()]

        return self.world.result(read())

    def socket_path(self) -> str:
        """Where a Unix socket can be: there are 107 octets for its path, and the test's own folder may need more."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        return f"{folder}/lmtp"

    def verify(self) -> ssl.SSLContext:
        """What a client of the standard library trusts."""
        return ssl.create_default_context(cafile=str(self.authority))


class ServiceTests(SocketCase):
    """What listens."""

    def test_three_listeners(self) -> None:
        """Each says how it speaks TLS."""
        found = {one.name: one.tls for one in self.listeners.listening}
        self.assertEqual(found, {"smtp": "starttls", "submission": "starttls", "submissions": "implicit"})

    async def test_no_implicit_tls_without_certificate(self) -> None:
        """The listener is left out."""
        listeners = build(replace(self.site, tls=None), Settings(listen_mx=FREE, listen_submission=FREE))
        self.assertEqual([one.name for one in listeners.listeners], ["smtp", "submission"])


class SmtplibTests(SocketCase):
    """Python's smtplib, in a thread."""

    async def run_with(self, client: Callable[[], smtplib.SMTP], use: Callable[[smtplib.SMTP], Any]) -> Any:
        """Connect and do something."""

        def work() -> Any:
            with client() as connection:
                return use(connection)

        return await deferToThread(work)

    async def test_mail_from_outside(self) -> None:
        """sendmail to the MX: accepted and refused recipients, dots, long lines."""
        text = b"Subject: x\r\n\r\n.\r\n..two\r\n" + b"y" * 5000 + b"\r\n"
        refused = await self.run_with(
            lambda: smtplib.SMTP("127.0.0.1", self.ports["smtp"], "client.test"),
            lambda smtp: smtp.sendmail("eve@example.com", ["ann@test", "nobody@test"], text),
        )
        self.assertEqual({name: code for name, (code, _) in refused.items()}, {"nobody@test": 550})
        self.assertEqual(self.messages("ann"), [text])

    async def test_lmtp_by_a_unix_socket(self) -> None:
        """LMTP: whom nobody checks by address, and the mail is in the mailbox when sendmail returns."""
        # A Unix socket's path is short, and trial's folders may not be.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/lmtp"
        service = build(self.site, Settings((), (), (), (f"unix:{path}:mode=600",)))
        await service.listen()
        self.addCleanup(service.stopService)
        text = b"Subject: x\r\n\r\n.\r\n"
        refused = await self.run_with(
            lambda: smtplib.LMTP(path, local_hostname="relay.test"),
            lambda lmtp: lmtp.sendmail("eve@example.com", ["ann@test", "nobody@test"], text),
        )
        self.assertEqual({name: code for name, (code, _) in refused.items()}, {"nobody@test": 550})
        self.assertEqual(self.messages("ann"), [text])

    async def test_submission_with_starttls(self) -> None:
        """send_message after STARTTLS and login."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "ann@test", "bob@test", "Grüße"
        message.set_content("Schöne Grüße\n")

        def use(smtp: smtplib.SMTP) -> Any:
            smtp.starttls(context=self.verify())
            smtp.login("ann", "secret")
            return smtp.send_message(message)

        refused = await self.run_with(lambda: smtplib.SMTP("localhost", self.ports["submission"], "client.test"), use)
        self.assertEqual(refused, {})
        self.assertIn(b"Message-ID: <", self.messages("bob")[0])

    async def test_submission_with_implicit_tls(self) -> None:
        """SMTP_SSL; a large message."""
        text = b"From: ann@test\r\nDate: x\r\nMessage-ID: <x@x>\r\n\r\n" + b"z" * 76 + b"\r\n"
        text += (b"z" * 76 + b"\r\n") * 20_000

        def use(smtp: smtplib.SMTP) -> Any:
            smtp.login("ann@test", "secret")
            return smtp.sendmail("ann@test", "bob@test", text)

        await self.run_with(
            lambda: smtplib.SMTP_SSL("localhost", self.ports["submissions"], "client.test", context=self.verify()), use
        )
        self.assertEqual(self.messages("bob"), [text])

    async def test_all_the_small_commands(self) -> None:
        """noop, vrfy, help, rset, and a wrong password."""

        def use(smtp: smtplib.SMTP) -> list[int]:
            smtp.ehlo()
            codes = [smtp.noop()[0], smtp.vrfy("ann")[0], smtp.rset()[0]]
            try:
                smtp.login("ann", "wrong")
            except smtplib.SMTPAuthenticationError as error:
                codes.append(error.smtp_code)
            return [*codes, smtp.docmd("NOOP")[0]]

        codes = await self.run_with(lambda: smtplib.SMTP("127.0.0.1", self.ports["smtp"], "client.test"), use)
        self.assertEqual(codes, [250, 252, 250, 535, 250])

    async def test_vanished_peer(self) -> None:
        """A reset in the middle of DATA leaves the next client alone, and nothing is delivered."""

        def vanish() -> None:
            with socket.create_connection(("127.0.0.1", self.ports["smtp"]), timeout=60) as peer:
                peer.sendall(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nDATA\r\nhalf")
                heard = b""
                while b"354" not in heard:
                    heard += peer.recv(4096)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        await deferToThread(vanish)
        await self.test_mail_from_outside()

    async def test_aiosmtpd_like_pipelined_burst(self) -> None:
        """A whole session in one segment, the goodbye heard before the end."""

        def burst() -> bytes:
            with socket.create_connection(("127.0.0.1", self.ports["smtp"]), timeout=60) as peer:
                peer.sendall(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@test>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n")
                heard = b""
                while data := peer.recv(4096):
                    heard += data
                return heard

        heard = await deferToThread(burst)
        self.assertTrue(heard.endswith(b"221 2.0.0 here.test closing connection\r\n"), heard)


class OwnClientTests(SocketCase):
    """Our client on a real socket."""

    async def test_submission(self) -> None:
        """Through an endpoint, with STARTTLS and login."""
        factory = SmtpClientFactory(reactor, self.site.deadlines, "client.test")
        endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{self.ports['submission']}")
        client: Any = await endpoint.connect(factory)
        await client.hello()
        await client.secure_with(self.world.tls.client("here.test"))  # type: ignore[union-attr]
        await client.log_in("ann", "secret")
        text = b"From: ann@test\r\nDate: x\r\nMessage-ID: <x@x>\r\n\r\n" + b".\r\n" * 100_000
        sent = await client.send(Address("ann", "test"), [Address("bob", "test")], Message.of(text))
        self.assertEqual(sent.accepted, (Address("bob", "test"),))
        await client.quit()
        self.assertEqual(self.messages("bob"), [text])


class ProgramTests(SocketCase):
    """Programs, where they are installed."""

    def program(self, name: str) -> str:
        """Its path, or a skip."""
        path = shutil.which(name)
        if path is None:
            self.skipTest(f"{name} is not installed")
        return path or ""

    def run_program(self, *arguments: str, data: bytes = b"") -> Deferred[subprocess.CompletedProcess[bytes]]:
        """Run one in a thread."""
        return deferToThread(subprocess.run, arguments, input=data, capture_output=True, timeout=60, check=False)

    async def test_swaks(self) -> None:
        """STARTTLS, AUTH and a mail."""
        done = await self.run_program(
            self.program("swaks"), "--server", "127.0.0.1", "--port", str(self.ports["submission"]), "--tls",
            "--auth", "PLAIN", "--auth-user", "ann", "--auth-password", "secret",
            "--from", "ann@test", "--to", "bob@test", "--helo", "client.test",
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(b"This is a test mailing", self.messages("bob")[0])

    async def test_swaks_pipelined_to_the_mx(self) -> None:
        """Several recipients, pipelined, one of them unknown."""
        done = await self.run_program(
            self.program("swaks"), "--server", "127.0.0.1", "--port", str(self.ports["smtp"]), "--pipeline",
            "--from", "eve@example.com", "--to", "ann@test,nobody@test", "--helo", "client.test",
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(len(self.messages("ann")), 1)

    async def test_swaks_over_lmtp(self) -> None:
        """By a Unix socket, two recipients, an answer for each."""
        path = self.socket_path()
        service = build(self.site, Settings((), (), (), (f"unix:{path}:mode=600",)))
        await service.listen()
        self.addCleanup(service.stopService)
        done = await self.run_program(
            self.program("swaks"), "--protocol", "LMTP", "--socket", path,
            "--from", "eve@example.com", "--to", "ann@test,bob@test", "--helo", "relay.test",
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual((len(self.messages("ann")), len(self.messages("bob"))), (1, 1))

    async def test_msmtp(self) -> None:
        """With verified STARTTLS and login."""
        program = self.program("msmtp")
        text = b"From: ann@test\nTo: bob@test\nSubject: x\nDate: x\nMessage-ID: <x@x>\n\n.dot\nbody\n"
        done = await self.run_program(
            program, "--host=localhost", f"--port={self.ports['submission']}", "--tls=on", "--tls-starttls=on",
            f"--tls-trust-file={self.authority}", "--auth=on", "--user=ann", "--passwordeval=echo secret",
            "--from=ann@test", "bob@test", data=text,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(self.messages("bob")[0].endswith(b"\r\n\r\n.dot\r\nbody\r\n"))
