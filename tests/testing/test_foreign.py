"""Twisted's clients and Python's, against our servers, with connections that are lost at each octet."""

from __future__ import annotations

import asyncio
import ftplib
import imaplib
import poplib
import re
import smtplib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from launcelot.testing.cuts import Cut, CutFuse, Kind, Table, Way
from launcelot.testing.served import Served, serve
from launcelot.testing.verdicts import DONE, DOUBLED, REPEATABLE, judged
from launcelot.testing.worlds import TrialWorld
from tests.testing.foreign import FILE, PAGE, WORKS, table_of

SAMPLED = 61
"""Of the cuts by reset and stall one in so many is played here; all of them when the page is written."""


def told() -> dict[tuple[str, str], list[str]]:
    """What the page says: by work and kind of cut, the outcomes in their order."""
    found: dict[tuple[str, str], list[str]] = {}
    title = heading = ""
    for line in PAGE.read_text().splitlines():
        if line.endswith(": ::"):
            title = line.removesuffix(": ::")
        elif re.fullmatch(r"    (client to server|server to client), (fin|rst|stall):", line):
            heading = line.strip(" :")
        elif title and (row := re.fullmatch(r"      [0-9]+(?:-[0-9]+)?: (.*?)(?:, behind \".*\")?", line)):
            found.setdefault((title, heading), []).append(row[1])
    return found


def outcomes(table: Table) -> dict[str, list[str]]:
    """The outcomes of a table, by kind of cut, in their order."""
    found: dict[str, list[str]] = {}
    for way, kind, _, _, outcome in table.ranges():
        found.setdefault(f"{way.value}, {kind.value}", []).append(outcome)
    return found


class TwistedTests(SynchronousTestCase):
    """The page is true."""

    def check(self, number: int, step: int = 1) -> Table:
        """One piece of work: by its end at every octet, or one in so many, by reset and stall at some."""
        title, work = list(WORKS.items())[number]
        page = {heading: rows for (whose, heading), rows in told().items() if whose == title}
        table = table_of(work, (Kind.FIN,), step)
        found = outcomes(table)
        self.assertEqual(found, {heading: page[heading] for heading in found}, "python -m tests.testing.foreign")
        for way in Way:
            for kind in (Kind.RST, Kind.STALL):
                self.sample(work, way, kind, len(table.said[way]), page[f"{way.value}, {kind.value}"])
        self.flushLoggedErrors()
        return table

    def sample(self, work: Callable[[TrialWorld], str], way: Way, kind: Kind, octets: int, page: Sequence[str]) -> None:
        """Some cuts end as the page says."""
        for at in range(0, octets, SAMPLED):
            world = TrialWorld()
            world.network.fuse = CutFuse(world.network, Cut(way, at, kind))
            outcome = work(world)
            world.leave()
            self.assertIn(outcome, page, f"{way} {kind} {at}: python -m tests.testing.foreign")

    def test_smtp(self) -> None:
        """Knows that its mail was taken exactly when the whole answer has come."""
        table = self.check(0)
        self.assertEqual(outcomes(table)["server to client, fin"], [REPEATABLE, DOUBLED, DONE])

    def test_pop3(self) -> None:
        """Never takes a part of a message for all of it."""
        self.check(1)

    def test_append(self) -> None:
        """As the page says."""
        self.check(2, 2)

    def test_fetch(self) -> None:
        """As the page says."""
        self.check(3, 5)

    def test_download(self) -> None:
        """Never takes a part of a file for all of it."""
        self.check(4)

    def test_upload(self) -> None:
        """As the page says."""
        self.check(5)


class SocketTests(SynchronousTestCase):
    """Python's clients, and two of others, on real sockets."""

    def serve(self, *names: str, **options: Any) -> Served:
        """A Site with ann."""
        lc = serve(*names, **options)
        self.addCleanup(lambda: self.assertEqual(lc.stop(), []))
        lc.user("ann", mail=[b"Subject: one\n\nhi\n"], files={"a.bin": FILE})
        return lc

    def send(self, lc: Served) -> None:
        """By smtplib."""
        with smtplib.SMTP(*lc.smtp.address, timeout=60) as client:
            client.sendmail("a@b.example", ["ann@test"], "Subject: x\r\n\r\nhi\r\n")

    def test_smtplib(self) -> None:
        """A mail that it believes sent is stored; it takes three digits for a whole answer."""
        lc = self.serve("smtp")
        table = lc.every_cut("smtp", lambda: self.send(lc), kinds=["fin"])
        found = outcomes(table)
        self.assertEqual(found["client to server, fin"], [REPEATABLE, DONE])
        self.assertEqual(set(found["server to client, fin"]), {REPEATABLE, DOUBLED, DONE})
        ranges = [(first, outcome) for way, _, first, _, outcome in table.ranges() if way is Way.TO_CLIENT and outcome == DONE]
        self.assertTrue(table.said[Way.TO_CLIENT][: ranges[0][0]].endswith(b"\r\n250"), ranges)

    def test_report_names_the_window(self) -> None:
        """In words, with what was said before it."""
        lc = self.serve("smtp")
        report = lc.every_cut("smtp", lambda: self.send(lc), kinds=["rst"], ways=[Way.TO_CLIENT]).report()
        self.assertRegex(
            report,
            r'  [0-9]+-[0-9]+: client failed although the message was stored: a retry doubles it, behind ".*CRLF>.{4}2?"',
        )

    def test_poplib(self) -> None:
        """What it returns is whole."""
        lc = self.serve("pop3")

        def read() -> str:
            client = poplib.POP3(*lc.pop3.address, timeout=60)
            try:
                client.user("ann")
                client.pass_("pw")
                return "whole" if client.retr(1)[1] == [b"Subject: one", b"", b"hi"] else "part"
            finally:
                client.close()

        table = lc.every_cut("pop3", read, kinds=["fin"])
        self.assertEqual(table.whole, "whole")
        self.assertEqual({outcome for _, outcome in table.outcomes}, {REPEATABLE, "whole"})

    def test_imaplib(self) -> None:
        """What it returns is whole."""
        lc = self.serve("imap")

        def read() -> str:
            client = imaplib.IMAP4(*lc.imap.address, timeout=60)
            try:
                client.login("ann", "pw")
                client.select()
                found: Any = client.fetch("1", "BODY.PEEK[]")[1][0]
                return "whole" if found[1] == b"Subject: one\r\n\r\nhi\r\n" else "part"
            finally:
                client.shutdown()

        table = lc.every_cut("imap", read, kinds=["fin"], step=23)
        self.assertEqual({outcome for _, outcome in table.outcomes} - {"whole"}, {REPEATABLE})

    def test_ftplib(self) -> None:
        """Where the control connection is lost it says so."""
        lc = self.serve("ftp")

        def read() -> str:
            heard: list[bytes] = []
            with ftplib.FTP(timeout=60) as client:
                client.connect(*lc.ftp.address)
                client.login("ann", "pw")
                client.retrbinary("RETR a.bin", heard.append)
            return "whole" if b"".join(heard) == FILE else "part"

        table = lc.every_cut("ftp", read, kinds=["fin"], step=5)
        self.assertEqual({outcome for _, outcome in table.outcomes} - {"whole"}, {REPEATABLE})

    def test_aiosmtplib(self) -> None:
        """A mail that it believes sent is stored."""
        if find_spec("aiosmtplib") is None:
            raise SkipTest("aiosmtplib is not installed")
        import aiosmtplib

        lc = self.serve("smtp")

        def send() -> None:
            asyncio.run(
                aiosmtplib.send(
                    b"Subject: x\r\n\r\nhi\r\n",
                    sender="a@b.example",
                    recipients=["ann@test"],
                    hostname=lc.smtp.host,
                    port=lc.smtp.port,
                    timeout=60,
                    start_tls=False,
                )
            )

        table = lc.every_cut("smtp", send, kinds=["fin"], step=3)
        self.assertLessEqual({outcome for _, outcome in table.outcomes}, {REPEATABLE, DOUBLED, DONE})

    def test_imapclient(self) -> None:
        """A message that it believes appended is there."""
        if find_spec("imapclient") is None:
            raise SkipTest("imapclient is not installed")
        from imapclient import IMAPClient  # type: ignore[import-untyped]

        lc = self.serve("imap")
        there = len(lc.mailbox("ann"))

        def append() -> str:
            nonlocal there
            done = False
            try:
                client = IMAPClient(*lc.imap.address, ssl=False, timeout=60)
                try:
                    client.login("ann", "pw")
                    client.append("INBOX", b"Subject: two\r\n\r\nho\r\n")
                    done = True
                finally:
                    client.shutdown()
            except (IMAPClient.Error, OSError):
                pass
            before, there = there, len(lc.mailbox("ann"))
            return judged(done, there - before)

        table = lc.every_cut("imap", append, kinds=["fin"], step=23)
        self.assertLessEqual({outcome for _, outcome in table.outcomes}, {REPEATABLE, DOUBLED, DONE})

