"""The commands that take care of mail as programs, beside a daemon that serves."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.app.programs import COMMAND, LIMIT, ProgramCase
from tests.mailstore.kit import message


class Session:
    """An IMAP session on a plain socket of this machine."""

    def __init__(self, place: dict[str, Any], password: str) -> None:
        self._socket = socket.create_connection((place["host"], place["port"]), timeout=LIMIT)
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self.ask(f"LOGIN brandon {password}")
        self.ask("SELECT INBOX")

    def say(self, line: str) -> None:
        """Send a line."""
        self._socket.sendall(line.encode() + b"\r\n")

    def ask(self, command: str) -> list[str]:
        """The answers to a command, which succeeds."""
        self.say(f"t {command}")
        heard = list(self.until("t "))
        if not heard[-1].startswith("t OK"):
            raise AssertionError(heard)
        return heard

    def until(self, start: str) -> Iterator[str]:
        """Lines up to one that begins so."""
        while True:
            line = self._lines.readline().decode().strip()
            if not line:
                raise AssertionError("the daemon hung up")
            yield line
            if line.startswith(start):
                return

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


class ServingTests(ProgramCase):
    """One daemon, one session that idles, and every command."""

    def run_json(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """What a command answers."""
        done = self.run_program(*COMMAND, *arguments, "--json", "--data", str(self.folder / "data"))
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def test_every_command_beside_a_daemon(self) -> None:
        """A session in IDLE hears of imports, restores and repairs as of anything else."""
        process = self.start(*COMMAND, "demo", "--ports", "free", "--json", "--data", str(self.folder / "data"))
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        session = Session(told["services"]["imap"], told["accounts"][0]["password"])
        self.addCleanup(session.close)
        (count,) = [int(line.split()[1]) for line in session.ask("NOOP") + session.ask("SELECT INBOX") if "EXISTS" in line]
        backup, letter = self.folder / "backup", self.folder / "letter.eml"
        self.assertEqual(self.run_json("backup", "brandon", str(backup))["right"], True)
        letter.write_bytes(message("imported", "needle in it\r\n"))
        session.say("i IDLE")
        list(session.until("+"))

        self.assertEqual(self.run_json("mail", "import", "brandon", str(letter))["added"], 1)
        self.assertIn(f"* {count + 1} EXISTS", list(session.until(f"* {count + 1} EXISTS")))
        self.assertEqual(self.run_json("fsck")["accounts"][0]["right"], True)
        self.run_json("restore", "brandon", str(backup), "--replace")
        self.assertIn(f"* {count + 1} EXPUNGE", list(session.until(f"* {count + 1} EXPUNGE")))
        session.say("DONE")
        list(session.until("i OK"))

        self.assertEqual(self.run_json("restore", "brandon", str(backup), "--mailbox", "INBOX")["messages"], count)
        self.assertIn(f"* {2 * count} EXISTS", session.ask("NOOP"))
        self.assertEqual(self.run_json("mail", "export", "brandon", str(self.folder / "out"))["messages"], 2 * count)
        self.assertEqual(session.ask("SEARCH TEXT needle")[0], "* SEARCH")
        self.assertEqual(self.run_json("fsck", "--reindex", "--compact", "--repair")["accounts"][0]["right"], True)
        self.assertNotIn("SEARCH OK", session.ask("SEARCH TEXT e")[0])


class KilledTests(ProgramCase):
    """SIGKILL in the middle."""

    COUNT = 2_000

    def data(self) -> str:
        """The data folder, with an account."""
        data = self.folder / "data"
        self.launcelot("account", "add", "ann", "--data", str(data), said="secret\n")
        return str(data)

    def subjects(self) -> list[str]:
        """What is in the account."""
        path = next(Path(self.folder / "data" / "mail").glob("*/mail.db"), None)
        if path is None:
            return []
        connection = sqlite3.connect(path)
        try:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchone() is None:
                return []
            rows = connection.execute("SELECT subject FROM messages JOIN contents ON number = content ORDER BY uid")
            return [subject for (subject,) in rows]
        finally:
            connection.close()

    def test_an_import_that_is_killed_again_and_again(self) -> None:
        """In the end each message is there once, in its order."""
        data, box = self.data(), self.folder / "box"
        with open(box, "wb") as file:
            for number in range(self.COUNT):
                file.write(b"From x Sun Mar  1 12:00:00 2026\n")
                file.write(message(f"number {number}", "x" * 200 + "\r\n").replace(b"\r\n", b"\n") + b"\n")
        command = (*COMMAND, "mail", "import", "ann", str(box), "--json", "--data", data)
        for _ in range(2):
            before = len(self.subjects())
            process = self.start(*command)
            while process.poll() is None and len(self.subjects()) == before:
                pass
            process.kill()
            process.communicate()
            self.assertGreater(len(self.subjects()), before)
            self.assertLess(len(self.subjects()), self.COUNT)
        done = self.run_program(*command)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["added"] + answer["known"], self.COUNT)
        self.assertEqual(self.subjects(), [f"number {number}" for number in range(self.COUNT)])
        done = self.launcelot("fsck", "--data", data)
        self.assertEqual(done.returncode, 0, done.stdout)
