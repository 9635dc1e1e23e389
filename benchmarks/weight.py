"""
What a long queue and a large message weigh.

A daemon whose next hop is dead is given its messages over SMTP, stopped, and started again: how long until it greets, what that
costs, and what it weighs when its queue is complete.  And a message of 100 MiB is submitted to an account, and fetched again by
POP3: what the daemon weighs at most beyond what it weighed before.
"""

from __future__ import annotations

import poplib
import shutil
import smtplib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.accepting import free_port, scratch
from benchmarks.frame import Figures, NotHere, Subject, Table, measure, memory_of, tree
from benchmarks.relaying import SETTINGS, OwnDaemon, submit

QUEUE = {"s to greeting": "less", "s CPU": "less", "MiB PSS": "less", "MiB/10,000": "less"}
LARGE = {"MiB before": "less", "MiB more, taken": "less", "MiB more, read": "less", "s CPU": "less"}
OCTETS = 100 << 20
LINE = b"0123456789abcdef" * 4 + b"\r\n"
LIMIT = 300.0


class Daemon(OwnDaemon):
    """One that is started again and again, takes large messages, and has POP3."""

    def __init__(self, folder: Path) -> None:
        own, self.pop3 = free_port(), free_port()
        text = SETTINGS.format(port=free_port(), own=own, connections=20)
        text = text.replace("check_from_header", f"max_message_size = {2 * OCTETS}\ncheck_from_header")
        pop3 = f'[pop3]\nlisten = ["tcp:{self.pop3}:interface=127.0.0.1"]\nlisten_tls = []\n'
        super().__init__(folder, own, text.replace("[pop3]\nenabled = false\n", pop3))

    def resident(self) -> float:
        """MiB of memory."""
        return sum(memory_of(pid) for pid in tree(self.process.pid)) / 1024

    def highest(self, anew: bool = False) -> float:
        """MiB that it had at most, since it was last asked to begin anew."""
        if anew:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


@contextmanager
def daemon() -> Iterator[Daemon]:
    """One that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(dir=scratch()))
    try:
        made = Daemon(folder / "data")
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def queue(messages: int) -> Figures:
    """One round: fill, stop, start."""
    with daemon() as one:
        empty = one.resident()
        submit(one.port, b"ann@here.example", "secret", messages)
        one.stop()
        elapsed = one.start()
        if one.status()["spool"] != messages:
            raise NotHere(f"{one.status()['spool']} of {messages} messages wait")
        full = one.resident()
        return {
            "s to greeting": elapsed,
            "s CPU": one.cpu(),
            "MiB PSS": full,
            "MiB/10,000": (full - empty) * 10_000 / messages,
        }


def large() -> Figures:
    """One round: send and fetch."""
    with daemon() as one, smtplib.SMTP("127.0.0.1", one.port, timeout=LIMIT) as client:
        client.login("ann", "secret")
        before, used = one.highest(anew=True), one.cpu()
        text = b"From: ann@here.example\r\nSubject: large\r\n\r\n" + LINE * (OCTETS // len(LINE))
        client.sendmail("ann@here.example", ["ann@here.example"], text)
        end = time.monotonic() + LIMIT
        while one.status()["spool"] and time.monotonic() < end:
            time.sleep(0.05)
        taken = one.highest() - before
        one.highest(anew=True)
        mailbox = poplib.POP3("127.0.0.1", one.pop3, LIMIT)
        mailbox.user("ann")
        mailbox.pass_("secret")
        if sum(map(len, mailbox.retr(1)[1])) < OCTETS * 0.9:
            raise NotHere("the message did not come back")
        mailbox.quit()
        return {
            "MiB before": before,
            "MiB more, taken": taken,
            "MiB more, read": one.highest() - before,
            "s CPU": one.cpu() - used,
        }


def tables(rounds: int, seconds: float, messages: int = 100_000) -> list[Table]:
    """Two tables."""
    return [
        measure(f"{messages:,} queued messages", QUEUE, [Subject("launcelot", lambda: queue(messages))], rounds),
        measure("a message of 100 MiB", LARGE, [Subject("launcelot", large)], rounds),
    ]
