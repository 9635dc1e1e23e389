"""Team folders in memory and in SQLite; there with others at the same file, and killed at each step."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from launcelot.accounts.sqlite import MIGRATIONS, SqliteDirectory
from launcelot.core.errors import TryLater
from launcelot.core.filerights import ALL, NONE, Right
from launcelot.core.ids import AccountId
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
from tests.accounts import foldercontract
from tests.accounts.contract import at
from tests.accounts.foldercontract import SEE
from tests.accounts.test_memory import MemoryMixin
from tests.accounts.test_sqlite import SqliteMixin

T = TypeVar("T")

CHECKOUT = Path(__file__).resolve().parents[2]


INSERT = """
INSERT INTO accounts (id, name, key, local, domain, quota, enabled, hash, created) VALUES (?, ?, ?, ?, ?, 0, 1, '', 0)
"""


class MemoryFolderTests(MemoryMixin, foldercontract.FolderContract):
    """The contract in memory."""


class SqliteFolderTests(SqliteMixin, foldercontract.FolderContract):
    """The contract in SQLite."""


class FileCase(SqliteMixin):
    """Directories in files."""

    def now(self, asked: Coroutine[Any, Any, T]) -> T:
        """What a directory answers, at once."""
        return self.successResultOf(Deferred.fromCoroutine(asked))


class SeveralTests(FileCase):
    """Several at one file."""

    def setUp(self) -> None:
        """Two directories, an account and a folder."""
        self.path = Path(self.mktemp())
        self.directory = self.opened()
        self.other = self.opened()
        self.ann = self.now(self.directory.add("ann", at("ann"), "pw"))
        self.plans = self.now(self.directory.add_team_folder("Plans"))

    def opened(self) -> SqliteDirectory:
        """One more."""
        directory = self.directory_at(self.path)
        self.now(directory.open())
        self.addCleanup(lambda: self.now(directory.close()))
        return directory

    def test_what_another_changes_counts_at_once(self) -> None:
        """Rights, quota, name and removal are those of the next question, however often it was asked before."""
        self.assertEqual(self.now(self.other.shares(self.ann.id)), [])
        self.now(self.directory.grant("Plans", "ann", SEE))
        (share,) = self.now(self.other.shares(self.ann.id))
        self.assertEqual((share.rights, self.other.rights_on(self.plans.id, self.ann.id)), (SEE, SEE))
        self.now(self.directory.change_team_folder("Plans", quota=9, called="Maps"))
        (share,) = self.now(self.other.shares(self.ann.id))
        self.assertEqual((share.name, share.quota), ("Maps", 9))
        self.now(self.directory.revoke("Maps", "ann", Right.READ))
        self.assertEqual(self.other.rights_on(self.plans.id, self.ann.id), Right.LIST)
        self.now(self.directory.remove_team_folder("Maps"))
        self.assertEqual(self.now(self.other.shares(self.ann.id)), [])
        self.assertEqual(self.other.rights_on(self.plans.id, self.ann.id), NONE)

    def test_file_from_before_team_folders(self) -> None:
        """Its accounts are there, and may be granted something."""
        path = Path(self.mktemp())
        older = Database(path, MIGRATIONS[:-1], InlineWorkers(), InlineWorkers())
        account = AccountId("a1")
        older.write(lambda connection: connection.execute(INSERT, (account, "ann", "ann@example.org", "ann", "example.org")))
        self.successResultOf(older.close())
        directory = self.directory_at(path)
        self.now(directory.open())
        self.now(directory.add_team_folder("Plans"))
        self.now(directory.grant("Plans", "ann", ALL))
        self.assertEqual([share.rights for share in self.now(directory.shares(account))], [ALL])
        self.now(directory.close())

    def test_closed_directory_tells_nothing(self) -> None:
        """Whoever asks what somebody may do is told to try later, and never that they may."""
        self.now(self.directory.grant("Plans", "ann", ALL))
        self.now(self.directory.close())
        self.failureResultOf(Deferred.fromCoroutine(self.directory.shares(self.ann.id)), TryLater)
        self.assertRaises(TryLater, self.directory.rights_on, self.plans.id, self.ann.id)


class KilledTests(FileCase):
    """A process that is killed at each step of a change, with SIGKILL."""

    def rights_when_killed(self, verb: str, before: Right) -> list[tuple[bool, Right]]:
        """Whether it was done, and what ann may do then, for each statement before which the process was killed."""
        found = []
        for number in range(1, 40):
            path = Path(self.mktemp())
            directory = self.directory_at(path)
            self.now(directory.open())
            ann = self.now(directory.add("ann", at("ann"), "pw"))
            self.now(directory.add_team_folder("Plans"))
            self.now(directory.grant("Plans", "ann", before))
            words = [sys.executable, "-m", "tests.accounts.granter", str(path.absolute()), verb, str(number)]
            ended = subprocess.run(words, cwd=CHECKOUT, capture_output=True, timeout=60, check=False)
            self.assertEqual((ended.returncode, ended.stderr), (-9, b""))
            done = ended.stdout == b"done"
            shares = self.now(directory.shares(ann.id))
            found.append((done, shares[0].rights if shares else NONE))
            self.now(directory.close())
            if done:
                break
        return found

    def judge(self, found: list[tuple[bool, Right]], before: Right, after: Right) -> None:
        """First the old, then the new, and never anything else; done is the new."""
        self.assertGreater(len(found), 3)
        rights = [one for _, one in found]
        changed = rights.index(after)
        self.assertEqual(rights, [before] * changed + [after] * (len(rights) - changed))
        self.assertGreater(changed, 2)
        self.assertEqual((found[-1], sum(done for done, _ in found)), ((True, after), 1))

    def test_grant(self) -> None:
        """All of the rights are granted, or none."""
        self.judge(self.rights_when_killed("grant", Right.CREATE), Right.CREATE, SEE | Right.CREATE)

    def test_revoke(self) -> None:
        """All of the rights are taken, or none."""
        self.judge(self.rights_when_killed("revoke", ALL), ALL, ALL & ~SEE)
