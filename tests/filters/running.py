"""A daemon that shows its mail to filters, in a process of its own."""

from __future__ import annotations

import imaplib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.relay.running import LIMIT, OFF, RelayingDaemon

SETTINGS = """config_version = 1
[daemon]
hostname = "us.example"
domains = ["here.example"]
stop_limit = 10
[accounts]
first = "ann"
[checks]
trusted_networks = []
filters = {filters}
[smtp]
listen_mx = ["tcp:0:interface=127.0.0.1"]
listen_submission = []
listen_submissions = []
[imap]
listen = ["tcp:0:interface=127.0.0.1"]
listen_tls = []
"""


class CheckingDaemon(RelayingDaemon):
    """
    Started on one folder.

    :param filters: entries of the list.
    """

    def __init__(self, folder: Path, filters: Sequence[str]) -> None:
        self._filters = filters
        super().__init__(folder, 0)
        self.set_password()

    def configuration(self, port: int, workers: int, options: str) -> str:
        """What stands in the file."""
        listed = "[" + ", ".join(f'"{one}"' for one in self._filters) + "]"
        off = "".join(f"[{name}]\nenabled = false\n" for name in OFF if name != "imap")
        return SETTINGS.format(filters=listed) + off

    def mails(self, name: str, count: int, mailbox: str = "INBOX") -> list[bytes]:
        """What lies in a mailbox, when it is so many or too late."""
        (port,) = (one["port"] for one in self.status()["listeners"] if one["name"] == "imap")
        with imaplib.IMAP4("127.0.0.1", port, LIMIT) as client:
            client.login(name, "secret")
            end = time.monotonic() + LIMIT
            found: list[bytes] = []
            while len(found) < count and time.monotonic() < end:
                client.select(mailbox, readonly=True)
                rows = client.fetch("1:*", "(BODY.PEEK[])")[1]
                found = [one[1] for one in rows if isinstance(one, tuple)]
                threading.Event().wait(0.05)
        return found
