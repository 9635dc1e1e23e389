"""A daemon that is killed while it writes loses nothing it acknowledged and doubles nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import bodies, checking
from launcelot.mailstore.memory import MemoryMailStore
from launcelot.mailstore.sqlfile import swept
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.database import connect
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.flagging import step
from tests.mailstore.kit import ANN, Hands, all_messages, check_counters, result_now, uids_of

ROUNDS = 4
ROOT = Path(__file__).parents[2]


class CrashTests(SynchronousTestCase):
    """SIGKILL at any instant."""

    def setUp(self) -> None:
        """One folder for all rounds."""
        self.folder = Path(self.mktemp()).absolute()
        self.acknowledged: list[str] = []

    def run_and_kill(self, program: str, number: int, acknowledgements: int) -> None:
        """Let a child work until so many things were acknowledged, then kill it; all it has written counts."""
        child = subprocess.Popen(
            [sys.executable, "-m", f"tests.mailstore.{program}", str(self.folder), str(number)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert child.stdout is not None
        with child, child.stdout as lines:
            for _ in range(acknowledgements):
                self.acknowledged.append(lines.readline().decode().strip())
            child.kill()
            rest = lines.read().decode()
        self.acknowledged += [line for line in rest[: rest.rfind("\n") + 1].splitlines() if line]
        self.assertNotIn("", self.acknowledged)

    async def look(self, store: SqliteMailStore) -> list[str]:
        """Subjects of what is there; each body is whole, the counters are right."""
        mail = await store.mail(ANN)
        inbox = await mail.mailbox("INBOX")
        await check_counters(inbox)
        subjects = []
        for one in await all_messages(inbox, await uids_of(inbox)):
            body = await inbox.read(one.uid, 0, one.size)
            self.assertEqual(len(body), one.size)
            self.assertEqual(body[one.header_size :].strip(b"x"), b"")
            subjects.append(body[9 : one.header_size - 4].decode())
        self.assertEqual((await mail.usage()).messages, len(subjects))
        for key in self.acknowledged:
            self.assertIsNone(await mail.deliver(b"again", key))
        return subjects

    def test_killed_while_delivering(self) -> None:
        """Everything acknowledged is there once, after each of several kills; a repeated delivery is known."""
        for number in range(ROUNDS):
            self.run_and_kill("delivering", number, 1 if number == 0 else 60 * number)
            workers, hands = InlineWorkers(), Hands()
            store = SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id)
            subjects = result_now(self, self.look(store))
            result_now(self, store.close())
            self.assertEqual(len(subjects), len(set(subjects)))
            self.assertEqual(set(self.acknowledged) - set(subjects), set())
            self.no_file_too_many()
        self.assertGreater(len(self.acknowledged), 300)

    def no_file_too_many(self) -> int:
        """How many files of bodies the kill has left, which are all that is found; then they go, and nothing is."""
        with closing(connect(self.folder / ANN / "mail.db")) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            left = bodies.orphans(connection)
            found = [one.text for one in checking.check(connection, lambda so_far, total: None).findings]
            self.assertEqual(found, [f"{len(left)} files of bodies belong to no message"] if left else [])
            self.assertEqual(swept(self.folder / ANN), len(left))
            self.assertEqual(checking.check(connection, lambda so_far, total: None).findings, [])
            return len(left)

    def test_killed_while_flags_are_changed(self) -> None:
        """All flags and MODSEQs are those of the last step that was acknowledged, or of the one after that."""
        hands = Hands()
        memory = result_now(self, MemoryMailStore(hands.now, hands.new_id).mail(ANN))
        model = result_now(self, memory.mailbox("INBOX"))
        done = 0
        for acknowledgements in (3, 25, 60):
            self.run_and_kill("flagging", done, acknowledgements)
            acknowledged = int(self.acknowledged[-1]) + 1
            for number in range(done, acknowledged):
                result_now(self, step(model, number))
            workers = InlineWorkers()
            store = SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id)
            inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
            found = list(result_now(self, inbox.states()))
            result_now(self, check_counters(inbox))
            result_now(self, store.close())
            done = acknowledged
            if found != list(result_now(self, model.states())):
                result_now(self, step(model, done))
                done += 1
            self.assertEqual(found, list(result_now(self, model.states())))
            with closing(sqlite3.connect(self.folder / ANN / "mail.db")) as connection:
                self.assertEqual(checking.check(connection, lambda so_far, total: None).findings, [])
        self.assertGreater(done, 87)
