"""
``launcelot fetch`` killed at each step, from our own server and from Dovecot: nothing is lost, nothing comes twice.

The run is a child that is killed as it begins its next call of the system or its next command; then another one runs to its end.
"""

from __future__ import annotations

import contextlib
import imaplib
import mailbox
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app import fetching
from launcelot.app.ask import run
from launcelot.app.fetching import Journal, Source
from launcelot.app.fetchsources import ImapSource, Pop3Source, Where
from launcelot.app.fetchtargets import MaildirTarget, MboxTarget, Target
from launcelot.protocols.imap4.client import ImapClient
from launcelot.protocols.pop3.client import Pop3Client
from tests.clients.demo import Demo
from tests.clients.dovecot import PASSWORD, Dovecot

RUN_LIMIT = 60
MOST = 120
"""Steps of a run, at most."""


class KillCase(SynchronousTestCase):
    """A place for mail, and runs that fetch into it."""

    user, password, imap_port, pop3_port = "ann", "", 0, 0

    def setUp(self) -> None:
        """Make the place."""
        self.folder = Path(tempfile.mkdtemp(prefix="launcelot-fetch-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def imap(self) -> imaplib.IMAP4:
        """Python's client, logged in."""
        client = imaplib.IMAP4("127.0.0.1", self.imap_port)
        client.login(self.user, self.password)
        client.select("INBOX")
        return client

    def parts(self, reactor: Any, protocol: str, kind: str) -> tuple[Source, Target, Journal]:
        """What a run consists of."""
        port = self.pop3_port if protocol == "pop3" else self.imap_port
        where = Where(reactor, "127.0.0.1", port, "none", None, self.user, self.password, 30.0)
        source: Source = Pop3Source(where) if protocol == "pop3" else ImapSource(where, "INBOX", True)

        def pause(seconds: float) -> Any:
            return deferLater(reactor, seconds)

        target: Target = MaildirTarget(self.folder / "M", "ours", False, time.time)
        if kind == "mbox":
            target = MboxTarget(self.folder / "box", self.folder / ".box", False, pause, time.time)
        return source, target, Journal(self.folder / "journal", source.name)

    def fetch(self, protocol: str, kind: str, steps: int | None) -> int:
        """
        A run in a child; its status as ``os.waitpid`` gives it.

        :param steps: that it may take before it is killed; None for all.
        """
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(RUN_LIMIT)
                if steps is not None:
                    die_after(steps)
                reactor = EPollReactor()
                source, target, journal = self.parts(reactor, protocol, kind)
                journal.open()
                run(reactor, fetching.fetch(source, target, journal, True, lambda done, total: None))
                status = 0
            finally:
                if status:
                    traceback.print_exc()
                os._exit(status)
        return os.waitpid(child, 0)[1]

    def stored(self, kind: str) -> list[str]:
        """Subjects of what is there, whole messages only."""
        place = self.folder / ("box" if kind == "mbox" else "M")
        if not (place if kind == "mbox" else place / "new").exists():
            return []
        made: Callable[..., mailbox.Mailbox[Any]] = mailbox.mbox if kind == "mbox" else mailbox.Maildir
        with contextlib.closing(made(place, create=False)) as box:
            return sorted(str(one["Subject"]) for one in box if one.get_payload().rstrip("\n").endswith("the end"))

    def killed_at_each_step(self, protocol: str, kind: str, stride: int = 1) -> None:
        """Every step of a run over two messages that removes them, or every few."""
        for steps in range(0, MOST, stride):
            wanted = [f"{steps}-{number}" for number in (1, 2)]
            client = self.imap()
            for subject in wanted:
                body = f"Subject: {subject}\r\n\r\nFrom one\r\n{'x' * 9_000}\r\nthe end\r\n".encode()
                client.append("INBOX", "", "", body)
            status = self.fetch(protocol, kind, steps)
            client.noop()
            here = self.stored(kind)
            count = client.select("INBOX")[1][0]
            _, rows = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])") if count != b"0" else ("", [])
            there = [row[1].split()[1].decode() for row in rows if isinstance(row, tuple)]
            self.assertEqual(set(wanted) - {*here, *there}, set(), f"lost at step {steps}")
            if os.WIFSIGNALED(status):
                self.assertEqual(os.WTERMSIG(status), signal.SIGKILL)
                self.assertEqual(self.again(protocol, kind), 0)
            client.noop()
            self.assertEqual(client.select("INBOX")[1], [b"0"], f"left at step {steps}")
            client.logout()
            self.assertEqual(self.stored(kind), wanted, f"after step {steps}")
            self.tidy(kind)
            if not os.WIFSIGNALED(status):
                self.assertEqual(status, 0)
                self.assertGreater(steps, 10)
                return
        self.fail("it never ends")

    def again(self, protocol: str, kind: str) -> int:
        """Run to the end; a maildrop's lock may be there for a moment after its session was killed."""
        limit = time.monotonic() + RUN_LIMIT
        while True:
            status = self.fetch(protocol, kind, None)
            if status == 0 or time.monotonic() > limit:
                return status

    def tidy(self, kind: str) -> None:
        """Have the place as empty as at first; nothing but mail and the journal is in it."""
        names = {path.name for path in self.folder.iterdir()}
        self.assertEqual(names, {"journal", "box" if kind == "mbox" else "M"})
        if kind == "maildir":
            self.assertEqual(list((self.folder / "M" / "tmp").iterdir()), [])
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def die_after(steps: int) -> None:
    """In a child: count calls that leave something behind, on disk or on the server, and die as the next one begins."""
    left = [None] * steps

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def do(*given: Any, **named: Any) -> Any:
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left.pop()
            return call(*given, **named)

        return do

    for name in ("write", "fsync", "rename", "replace", "unlink", "ftruncate"):
        setattr(os, name, counted(getattr(os, name)))
    for kind, names in ((Pop3Client, ("retrieve", "delete", "quit")), (ImapClient, ("command", "logout"))):
        for name in names:
            setattr(kind, name, counted(getattr(kind, name)))


class OwnServerTests(KillCase):
    """Our own server."""

    def setUp(self) -> None:
        """Start it; Ann's mailbox is empty."""
        super().setUp()
        self.demo = Demo()
        self.addCleanup(self.stop)
        self.password = self.demo.accounts["ann"]
        self.imap_port, self.pop3_port = (self.demo.service(name).port for name in ("imap", "pop3"))

    def stop(self) -> None:
        """Stop it; it must have been well."""
        status, said = self.demo.stop(), self.demo.said()
        self.demo.log.close()
        self.assertEqual((status, "Traceback" in said), (0, False), said)

    def test_pop3_into_a_maildir(self) -> None:
        """Killed at each step."""
        self.killed_at_each_step("pop3", "maildir")

    def test_imap_into_an_mbox(self) -> None:
        """Killed at every other step."""
        self.killed_at_each_step("imap", "mbox", 2)


class DovecotTests(KillCase):
    """Dovecot."""

    def setUp(self) -> None:
        """Start it."""
        super().setUp()
        dovecot = Dovecot(pop3=True)
        self.addCleanup(dovecot.stop)
        self.password, self.imap_port, self.pop3_port = PASSWORD, dovecot.port, dovecot.pop3_port

    def test_pop3_into_an_mbox(self) -> None:
        """Killed at every third step."""
        self.killed_at_each_step("pop3", "mbox", 3)

    def test_imap_into_a_maildir(self) -> None:
        """Killed at every third step."""
        self.killed_at_each_step("imap", "maildir", 3)
