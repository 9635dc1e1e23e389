"""Twisted's clients and Python's, against our servers, with connections that are lost at each octet."""

from __future__ import annotations

import asyncio
import ftplib
import imaplib
import poplib
import re
import smtplib
from collections.abc import Callable
from importlib.util import find_spec
from itertools import chain, repeat
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from launcelot.testing import at
from launcelot.testing.cuts import Kind, Table, Way
from launcelot.testing.served import Served, serve
from launcelot.testing.verdicts import DONE, DOUBLED, REPEATABLE, judged
from tests.testing.foreign import FILE, PAGE, SAMPLED, SHORT, WORKS, outcomes, table_of

STALLED = 0.25
"""Seconds that a client waits where nothing moves."""

SHORT_FOR_ALL = tuple(one for one in SHORT if one.point.verb != "CAPABILITY") + (
    at.imap("CAPABILITY").replies("OK", "[CAPABILITY IMAP4rev1] so"),
)
"""As :data:`tests.testing.foreign.SHORT`, for clients that choose tags of their own."""

UNCUT = " (it was not cut)"
"""Behind what came of a run that ended before its cut."""


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


class TwistedTests(SynchronousTestCase):
    """The page is true."""

    def check(self, number: int) -> Table:
        """One piece of work, with every cut of every kind."""
        title, work = list(WORKS.items())[number]
        page = {heading: rows for (whose, heading), rows in told().items() if whose == title}
        table = table_of(work)
        self.assertEqual(outcomes(table), page, "python -m tests.testing.foreign")
        self.flushLoggedErrors()
        return table

    def test_smtp(self) -> None:
        """Knows that its mail was taken exactly when the whole answer has come."""
        table = self.check(0)
        self.assertEqual(outcomes(table)["server to client, fin"], [REPEATABLE, DOUBLED, DONE])

    def test_pop3(self) -> None:
        """Never takes a part of a message for all of it."""
        self.check(1)

    def test_append(self) -> None:
        """As the page says."""
        self.check(2)

    def test_fetch(self) -> None:
        """As the page says."""
        self.check(3)

    def test_download(self) -> None:
        """Never takes a part of a file for all of it."""
        self.check(4)

    def test_upload(self) -> None:
        """As the page says."""
        self.check(5)


class SocketTests(SynchronousTestCase):
    """Python's clients, and two of others, on real sockets: every end and every reset, and of the stalls one in so many."""

    def serve(self, *names: str, **options: Any) -> Served:
        """A Site with ann."""
        lc = serve(*names, **options)
        self.addCleanup(lambda: self.assertEqual(lc.stop(), []))
        lc.user("ann", mail=[b"Subject: one\n\nhi\n"], files={"a.bin": FILE})
        return lc

    def play(self, lc: Served, name: str, run: Callable[[float], object], shorter: int = 0) -> tuple[Table, set[str]]:
        """
        What comes of a client's work, cut by cut: the table of ends and resets, and all outcomes.

        :param run: is given the client's time limit: a long one, and a short one where nothing moves any more.
        :param shorter: octets that a run may have less than the first, behind which there is nothing to cut.
        """
        table = lc.every_cut(name, lambda: run(60.0), kinds=["fin", "rst"])
        limits = chain([60.0], repeat(STALLED))
        stalled = lc.every_cut(name, lambda: run(next(limits)), kinds=["stall"], step=SAMPLED)
        # Where the machine is slow a client may give up before its connection is stalled.
        found = {outcome.removesuffix(UNCUT) for _, outcome in stalled.outcomes}
        for cut, outcome in table.outcomes:
            beyond = cut.octets > len(table.said[cut.way]) - shorter
            found.add(outcome.removesuffix(UNCUT) if beyond else outcome)
        return table, found

    def sending(self, lc: Served) -> Callable[[float], None]:
        """By smtplib."""

        def send(limit: float) -> None:
            with smtplib.SMTP(*lc.smtp.address, timeout=limit) as client:
                client.sendmail("a@b.example", ["ann@test"], "Subject: x\r\n\r\nhi\r\n")

        return send

    def test_smtplib(self) -> None:
        """A mail that it believes sent is stored; it takes three digits for a whole answer."""
        lc = self.serve("smtp")
        table, found = self.play(lc, "smtp", self.sending(lc))
        self.assertEqual(found, {REPEATABLE, DOUBLED, DONE})
        ranges = [one for one in table.ranges() if one[1] is Kind.FIN]
        self.assertEqual([one[4] for one in ranges if one[0] is Way.TO_SERVER], [REPEATABLE, DONE])
        first = next(one[2] for one in ranges if one[0] is Way.TO_CLIENT and one[4] == DONE)
        self.assertTrue(table.said[Way.TO_CLIENT][:first].endswith(b"\r\n250"), ranges)

    def test_report_names_the_window(self) -> None:
        """In words, with what was said before it."""
        lc = self.serve("smtp")
        send = self.sending(lc)
        report = lc.every_cut("smtp", lambda: send(60.0), kinds=["rst"], ways=[Way.TO_CLIENT]).report()
        self.assertRegex(
            report,
            r'  [0-9]+-[0-9]+: client failed although the message was stored: a retry doubles it, behind ".*CRLF>.{4}2?"',
        )

    def test_poplib(self) -> None:
        """What it returns is whole."""
        lc = self.serve("pop3")

        def read(limit: float) -> str:
            client = poplib.POP3(*lc.pop3.address, timeout=limit)
            try:
                client.user("ann")
                client.pass_("pw")
                return "whole" if client.retr(1)[1] == [b"Subject: one", b"", b"hi"] else "part"
            finally:
                client.close()

        table, found = self.play(lc, "pop3", read)
        self.assertEqual((table.whole, found), ("whole", {REPEATABLE, "whole"}))

    def test_imaplib(self) -> None:
        """What it returns is whole."""
        lc = self.serve("imap", fault=SHORT_FOR_ALL)

        def read(limit: float) -> str:
            client = imaplib.IMAP4(*lc.imap.address, timeout=limit)
            try:
                client.login("ann", "pw")
                client.select()
                kept: Any = client.fetch("1", "BODY.PEEK[]")[1][0]
                return "whole" if kept[1] == b"Subject: one\r\n\r\nhi\r\n" else "part"
            finally:
                client.shutdown()

        table, found = self.play(lc, "imap", read)
        self.assertEqual((table.whole, found - {"whole"}), ("whole", {REPEATABLE}))

    def test_ftplib(self) -> None:
        """Where the control connection is lost it says so."""
        lc = self.serve("ftp")

        def read(limit: float) -> str:
            heard: list[bytes] = []
            client = ftplib.FTP(timeout=limit)
            try:
                client.connect(*lc.ftp.address)
                client.login("ann", "pw")
                client.retrbinary("RETR a.bin", heard.append)
                client.quit()
            finally:
                client.close()
            return "whole" if b"".join(heard) == FILE else "part"

        # A port in the answer to PASV has one digit to three.
        table, found = self.play(lc, "ftp", read, shorter=2)
        self.assertEqual((table.whole, found - {"whole"}), ("whole", {REPEATABLE}))

    def test_aiosmtplib(self) -> None:
        """A mail that it believes sent is stored."""
        if find_spec("aiosmtplib") is None:
            raise SkipTest("aiosmtplib is not installed")
        import aiosmtplib

        lc = self.serve("smtp")
        runner = asyncio.Runner()
        self.addCleanup(runner.close)

        def send(limit: float) -> None:
            runner.run(
                aiosmtplib.send(
                    b"Subject: x\r\n\r\nhi\r\n",
                    sender="a@b.example",
                    recipients=["ann@test"],
                    hostname=lc.smtp.host,
                    port=lc.smtp.port,
                    timeout=limit,
                    start_tls=False,
                )
            )

        _, found = self.play(lc, "smtp", send)
        self.assertLessEqual(found, {REPEATABLE, DOUBLED, DONE})

    def test_imapclient(self) -> None:
        """A message that it believes appended is there."""
        if find_spec("imapclient") is None:
            raise SkipTest("imapclient is not installed")
        from imapclient import IMAPClient  # type: ignore[import-untyped]

        lc = self.serve("imap", fault=SHORT_FOR_ALL)
        there = len(lc.mailbox("ann"))

        def append(limit: float) -> str:
            nonlocal there
            done = False
            try:
                client = IMAPClient(*lc.imap.address, ssl=False, timeout=limit)
                try:
                    client.login("ann", "pw")
                    client.append("INBOX", b"Subject: two\r\n\r\nho\r\n")
                    done = True
                finally:
                    client.shutdown()
            except (IMAPClient.Error, OSError):
                pass
            lc.mail.settle()
            before, there = there, len(lc.mailbox("ann"))
            return judged(done, there - before)

        _, found = self.play(lc, "imap", append)
        self.assertLessEqual(found, {REPEATABLE, DOUBLED, DONE})
