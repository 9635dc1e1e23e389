"""alpine, in a terminal of its own: it reads, files and deletes mail of a running demo by keystrokes."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time

from tests.clients.demo import below_trace, sample
from tests.clients.peers import program
from tests.clients.test_mail_clients import MailClientCase

PATIENCE = 60.0
"""Seconds in which alpine must show what is waited for: a guard against waiting for ever."""
QUIET = 0.3
"""Seconds without output after which a picture stands still."""
AGAIN = 8.0
"""Seconds after which keys are pressed again."""
CONTROL = re.compile(rb"\x1b(?:\[[0-9;?]*[A-Za-z]|[()].|[=>78M])|[\x00-\x08\x0e-\x1f]")
PINERC = """\
personal-name=Brandon
user-domain=example.com
inbox-path={place}INBOX
folder-collections=Mail {place}[]
feature-list=quit-without-confirm,expunge-without-confirm,expunge-without-confirm-everywhere,enable-flag-cmd
last-version-used=9.99
color-style=no-color
saved-msg-name-rule=default-folder
default-fcc=""
"""


class Screen:
    """A program behind a pseudo-terminal."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=folder, start_new_session=True
        )
        os.close(slave)
        self._shown = self._typed = b""

    def shows(self, pattern: bytes) -> None:
        """
        Wait until something is shown that was not before the last keys, and the picture stands still.

        Keys that come while alpine draws are thrown away by it; they are pressed again where nothing comes of them.
        """
        ends, again = time.monotonic() + PATIENCE, time.monotonic() + AGAIN
        while True:
            found = re.search(pattern, CONTROL.sub(b"", self._shown)) is not None
            readable, _, _ = select.select([self._master], [], [], QUIET if found else 1.0)
            if found and not readable:
                return
            if readable and not self._take():
                if found:
                    return
                raise AssertionError(f"{pattern!r} was not shown before it ended, but {self._shown[-3000:]!r}")
            now = time.monotonic()
            if now > ends:
                raise AssertionError(f"{pattern!r} was not shown, but {CONTROL.sub(b' ', self._shown)[-3000:]!r}")
            if now > again and not readable:
                again = now + AGAIN
                os.write(self._master, self._typed)

    def _take(self) -> bool:
        """Take in what is shown; False where the program has ended."""
        try:
            data = os.read(self._master, 65_536)
        except OSError:
            return False
        self._shown += data
        return bool(data)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        self._shown = b""
        self._typed = keys
        os.write(self._master, keys)

    def close(self) -> None:
        """Let go of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


class AlpineTests(MailClientCase):
    """IMAP with STARTTLS, a checked certificate, and AUTHENTICATE."""

    def start(self) -> Screen:
        """Alpine in the index of the inbox, logged in."""
        service = self.demo.service("imap")
        place = f"{{localhost:{service.port}/imap/tls/user={self.user}}}"
        pinerc = self.write(".pinerc", PINERC.format(place=place))
        environment = {
            **os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "TERM": "vt100", "LINES": "24", "COLUMNS": "80",
            "SSL_CERT_FILE": self.demo.ca_file,
        }  # fmt: skip
        command = [program("alpine"), "-p", str(pinerc), "-i", "-nowrite_password_cache"]
        screen = Screen(command, environment, str(self.folder))
        self.addCleanup(screen.close)
        screen.shows(rb"ENTER PASSWORD")
        screen.type(self.password.encode() + b"\r")
        return screen

    def open_number(self, screen: Screen, number: bytes) -> None:
        """Read the message with a number."""
        screen.type(number)
        screen.shows(rb"Message number to jump to")
        screen.type(b"\r")
        screen.shows(rb"\[ViewMsg\]")
        screen.type(b"\r")
        screen.shows(rb"two dots")

    def test_alpine(self) -> None:
        """It opens the inbox, reads a message, files it into a folder it makes, deletes another, and expunges on leaving."""
        read, deleted, left = (self.subject() for _ in range(3))
        for subject in (read, deleted, left):
            self.deliver(sample(subject))
        screen = self.start()
        screen.shows(rb"Preserve password")
        screen.type(b"n")
        screen.shows(rb"opened with 6 messages")
        self.open_number(screen, b"4")
        screen.type(b"s")
        screen.shows(rb"SAVE Msg")
        screen.type(b"kept\r")
        screen.shows(rb"doesn't exist. *Create")
        screen.type(b"y")
        screen.shows(rb"DEL")
        screen.type(b"i")
        screen.shows(rb"MESSAGE INDEX")
        self.open_number(screen, b"5")
        screen.type(b"d")
        screen.shows(rb"marked for deletion|DEL")
        screen.type(b"q")
        screen.shows(rb"Alpine finished")
        self.assertEqual(screen.process.wait(PATIENCE), 0)
        self.assertEqual(below_trace(self.found(read, "kept"), sample(read)), sample(read))
        client = self.imap()
        client.select("INBOX", readonly=True)
        for subject, numbers in ((read, b""), (deleted, b""), (left, b"4")):
            self.assertEqual(client.search(None, "SUBJECT", f'"{subject}"')[1], [numbers], subject)
        client.select("kept", readonly=True)
        self.assertEqual(client.search(None, "SEEN", "UNDELETED")[1], [b"1"])
        client.logout()
