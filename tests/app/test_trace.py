"""``launcelot trace``: a mail's life as the whole daemon's stores leave it behind."""

from __future__ import annotations

import io
import json
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.command import main
from launcelot.app.configuration import Configuration
from launcelot.app.settings import AccountSettings, DaemonSettings, TraceSettings
from launcelot.app.site import build_site
from launcelot.app.stores import Stores, build_stores, inline
from launcelot.app.streams import Streams
from launcelot.core.ids import new_id, time_of
from launcelot.core.limits import ConnectionCount
from launcelot.message.address import Address
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.service import Settings
from launcelot.protocols.smtp.session import Role
from launcelot.testing.link import Link, connect
from launcelot.testing.network import MemoryNetwork, MemoryReactor
from launcelot.workers.trail import files

T = TypeVar("T")

SCRIPT = b'require ["fileinto", "mailbox", "copy", "vacation"]; fileinto :create "Work"; redirect :copy "bob@here.example";'
MESSAGE = b"Subject: x\r\nMessage-Id:  <one@client.example>\r\n\r\nbody\r\n.\r\n"


class TraceCase(SynchronousTestCase):
    """A data folder with ann and bob, and a server on it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.stores = self.made()

    def made(self, size: int = 1 << 20) -> Stores:
        """Stores on it, open, with the two accounts."""
        self.configuration = Configuration(
            daemon=DaemonSettings(domains=("here.example",), data=str(self.folder), hostname="us.example"),
            accounts=replace(AccountSettings(), hash_memory=8_192, hash_passes=1),
            trace=TraceSettings(size=size),
        )
        stores = build_stores(self.configuration, inline, self.clock)
        self.wait(stores.open())
        for name in ("ann", "bob"):
            self.wait(stores.accounts.add(name, Address(name, "here.example"), "pw"))
        return stores

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of what ends without waiting."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def link(self, role: Role = Role.MX) -> Link:
        """A peer that has been greeted."""
        site = build_site(MemoryReactor(self.clock, self.network), self.configuration, self.stores, None)
        factory = SmtpFactory(site, "smtp", ConnectionCount(10, 10), Settings(delivery_grace=0), role)
        link = connect(factory, self.clock, "127.0.0.1", self.network)
        link.say(b"LHLO client.example\r\n" if role is Role.LMTP else b"EHLO client.example\r\n")
        link.take()
        return link

    def send(self, *recipients: str, role: Role = Role.MX, message: bytes = MESSAGE) -> str:
        """Have a message accepted; the last line of the answer."""
        link = self.link(role)
        lines = [b"MAIL FROM:<eve@sender.example>", *(b"RCPT TO:<%s>" % one.encode() for one in recipients), b"DATA"]
        link.say(b"\r\n".join(lines) + b"\r\n")
        link.take()
        link.say(message)
        self.network.pump()
        return link.take().decode().splitlines()[-1]

    def run_command(self, *arguments: str, status: int = 0) -> str:
        """What ``launcelot trace`` prints once the daemon has stopped."""
        self.wait(self.stores.close())
        streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
        code = main(["trace", "--data", str(self.folder), *arguments], streams)
        said = streams.output.getvalue() + streams.errors.getvalue()  # type: ignore[attr-defined]
        self.assertEqual(code, status, said)
        return str(said)

    def mails(self, *arguments: str) -> Any:
        """What it prints for programs."""
        return json.loads(self.run_command("--json", *arguments))["mails"]


class LifeTests(TraceCase):
    """One mail."""

    def test_delivered_while_its_sender_waits(self) -> None:
        """Who brought it, how, and which mailbox it went into as which message."""
        id = self.send("ann@here.example").split()[-1]
        (mail,) = self.mails(id)
        delivered, accepted = mail["steps"]
        self.assertEqual((delivered["event"], delivered["account"], delivered["into"]), ("delivered", "ann", "INBOX 1"))
        self.assertEqual(
            {name: accepted[name] for name in ("event", "source", "helo", "protocol", "sender", "recipients", "message_id")},
            {
                "event": "accepted",
                "source": "127.0.0.1",
                "helo": "client.example",
                "protocol": "ESMTP",
                "sender": "eve@sender.example",
                "recipients": ["ann@here.example"],
                "message_id": "<one@client.example>",
            },
        )
        lines = self.run_command(id).splitlines()
        self.assertEqual(lines[0], f"{id}  <eve@sender.example> -> ann@here.example")
        self.assertIn("begun by client.example [127.0.0.1] over ESMTP; session ", lines[1])
        self.assertIn("delivered for ann@here.example to ann: INBOX 1", lines[2])
        self.assertIn("accepted with 250, 55 octets", lines[3])

    def test_through_the_queue(self) -> None:
        """Several recipients: the queue's row, then each delivery."""
        id = self.send("ann@here.example", "bob@here.example").split()[-1]
        (mail,) = self.mails(id)
        self.assertEqual([one["event"] for one in mail["steps"]], ["queued", "delivered", "delivered", "accepted"])
        self.assertEqual({one["account"] for one in mail["steps"] if one["event"] == "delivered"}, {"ann", "bob"})

    def test_through_a_script(self) -> None:
        """What the script did, and the mail that it sent on, whose own life follows."""
        ann = self.wait(self.stores.accounts.account("ann"))
        scripts = self.wait(self.stores.mail.mail(ann.id)).scripts
        self.wait(scripts.put("sorting", SCRIPT))
        self.wait(scripts.activate("sorting"))
        id = self.send("ann@here.example").split()[-1]
        first, second = self.mails(id)
        delivered = first["steps"][0]
        self.assertEqual((delivered["into"], delivered["script"]), ("Work", "sorting"))
        self.assertEqual(delivered["actions"], ["fileinto Work", "redirect bob@here.example"])
        self.assertEqual(first["steps"][1]["mail"], second["id"])
        self.assertEqual(second["steps"][0]["of"], id)
        self.assertEqual([one["account"] for one in second["steps"] if one["event"] == "delivered"], ["bob"])
        said = self.run_command(id)
        self.assertIn("script 'sorting': fileinto Work, redirect bob@here.example", said)
        self.assertIn(f"sent on to bob@here.example as {second['id']}", said)

    def test_refused_at_its_end(self) -> None:
        """It is found by sender and recipient, for its id was told to nobody."""
        self.assertIn("550 5.5.2", self.send("ann@here.example", message=b"Subject: x\r\n\r\nbare\nline\r\n.\r\n"))
        (mail,) = self.mails("--sender", "EVE@sender.example", "--recipient", "ann@here.example")
        self.assertEqual(mail["event"], "refused")
        self.assertIn("550 5.5.2 Bare CR or LF", self.run_command(mail["id"]))

    def test_lmtp(self) -> None:
        """Who was refused is told beside who was not."""
        ann = self.wait(self.stores.accounts.account("ann"))
        link = self.link(Role.LMTP)
        link.say(b"MAIL FROM:<>\r\nRCPT TO:<ann@here.example>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n")
        self.wait(self.stores.accounts.change(ann.name, quota=1))
        link.take()
        link.say(MESSAGE)
        self.network.pump()
        id = link.take().split()[-1].decode()
        steps = self.mails(id)[0]["steps"]
        self.assertEqual([one["event"] for one in steps], ["delivered", "accepted"])
        self.assertEqual(len(steps[1]["refused"]), 1)
        self.assertIn("not for all: 452 4.2.2", self.run_command(id))

    def test_found_by_its_message_id(self) -> None:
        """With or without brackets, the latest up to a limit."""
        ids = [self.send("ann@here.example").split()[-1] for _ in range(3)]
        self.assertEqual([one["id"] for one in self.mails("--message-id", "ONE@client.example")], ids)
        self.assertEqual([one["id"] for one in self.mails("--message-id", "<one@client.example>", "--limit", "2")], ids[1:])
        self.assertIn(f"{ids[0]}  ", self.run_command("--recipient", "ann@here.example"))

    def test_what_strangers_write_does_nothing_to_a_terminal(self) -> None:
        """Control characters of a peer are shown, not sent."""
        id = self.send("ann@here.example", message=b"Message-ID: <\x1b[2J\x9b>\r\n\r\n.\r\n").split()[-1]
        said = self.run_command(id) + self.run_command("--recipient", "ann@here.example")
        self.assertTrue(said.replace("\n", "").isprintable())

    def test_waiting_and_dropped_without_the_daemon(self) -> None:
        """What waits is told with why; what somebody did to the queue is in the trail."""
        ann = self.wait(self.stores.accounts.account("ann"))
        link = self.link()
        link.say(b"MAIL FROM:<>\r\nRCPT TO:<ann@here.example>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n")
        self.wait(self.stores.accounts.change(ann.name, quota=1))
        link.take()
        link.say(MESSAGE)
        self.network.pump()
        id = link.take().split()[-1].decode()
        said = self.run_command(id)
        self.assertIn("not delivered to ann@here.example in attempt 1, again at ", said)
        self.assertIn("waits: ann@here.example: Tried once", said)
        streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
        self.assertEqual(main(["queue", "drop", id, "--data", str(self.folder)], streams), 0)
        said = self.run_command(id)
        self.assertIn("dropped for ann@here.example: somebody asked for it", said)
        self.assertNotIn("waits:", said)


class FaultTests(TraceCase):
    """What cannot be answered, and says so."""

    def test_nothing_found(self) -> None:
        """Neither by id nor otherwise."""
        self.assertIn("not in the trail, which is kept for 30 days", self.run_command("nothing", status=1))
        self.assertIn("no such mail", self.run_command("--sender", "nobody@x.example", status=1))

    def test_how_to_ask(self) -> None:
        """An id or what to look for, not both, not neither."""
        self.run_command(status=64)
        self.run_command("x", "--sender", "y@z.example", status=64)

    def test_switched_off(self) -> None:
        """Nothing is written, and the command says why there is nothing."""
        self.wait(self.stores.close())
        folder, self.folder = self.folder, Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.assertEqual(len(files(folder / "trail")), 1)
        self.stores = self.made(size=0)
        self.send("ann@here.example")
        self.assertFalse((self.folder / "trail").exists())
        (self.folder / "launcelot.toml").write_text("config_version = 1\n[trace]\nsize = 0\n")
        self.assertIn("[trace] says size = 0", self.run_command("x", status=66))

    def test_trail_of_another_version(self) -> None:
        """Events and fields that nobody knows are shown as they are."""
        assert self.stores.file_trail is not None
        self.stores.file_trail.note("x", "beamed", ship="Enterprise", mail="y")
        self.stores.file_trail.note("y", "deferred")
        said = self.run_command("x")
        self.assertIn("beamed ship=Enterprise mail=y", said)
        self.assertIn("  deferred", said)

    def test_mails_that_lead_to_each_other(self) -> None:
        """A circle ends, and so does what leads to very many."""
        assert self.stores.file_trail is not None
        for number in range(300):
            self.stores.file_trail.note(f"m{number}", "told", mail=f"m{(number + 1) % 300}")
            self.stores.file_trail.note("m0", "told", mail=f"x{number}")
            self.stores.file_trail.note(f"x{number}", "made")
        self.assertLessEqual(len(self.mails("m0")), 101)

    def test_time_of_an_id(self) -> None:
        """It is what it was made with; other texts have none."""
        self.assertEqual(time_of(new_id(1_700_000_000.123, lambda bits: 5)), 1_700_000_000.123)
        self.assertEqual([time_of(text) for text in ("", "x" * 19, "l" * 20)], [None] * 3)
