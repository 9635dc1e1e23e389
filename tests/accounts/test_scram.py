"""Keys of SCRAM, whatever keeps them."""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from launcelot.accounts.interface import Account
from launcelot.accounts.passwords import CHEAPEST, Parameters
from launcelot.accounts.sqlite import MIGRATIONS, SqliteDirectory
from launcelot.core.scram import LEAST_ITERATIONS, Keys, derive, keys_of
from tests.accounts import contract, scramcontract
from tests.accounts.test_memory import MemoryMixin
from tests.accounts.test_sqlite import SqliteMixin

T = TypeVar("T")


class MemoryScramTests(MemoryMixin, scramcontract.ScramContract):
    """In memory."""


class SqliteScramTests(SqliteMixin, scramcontract.ScramContract):
    """In SQLite."""


class ScramFileTests(SqliteMixin):
    """Files, and accounts that were made before there were keys."""

    def setUp(self) -> None:
        """A file as the program before keys left it, with one account."""
        self.path = Path(self.mktemp())
        directory = self.opened()
        self.ann = self.now(directory.add("ann", contract.at("ann"), "pw"))
        self.now(directory.close())
        with sqlite3.connect(self.path) as connection:
            connection.execute("DROP INDEX accounts_with_apop")
            for column in ("scram", "messages", "administrator", "apop"):
                connection.execute(f"ALTER TABLE accounts DROP COLUMN {column}")
            for table in ("secret", "members", "group_forwards", "groups", "offers", "grants", "folders"):
                connection.execute(f"DROP TABLE {table}")
            connection.execute("PRAGMA user_version=1")
        connection.close()

    def opened(self, cost: Parameters = CHEAPEST) -> SqliteDirectory:
        """A directory of another process, as it were: nothing is shared but the file."""
        directory = self.directory_at(self.path, cost=cost)
        self.now(directory.open())
        self.addCleanup(lambda: self.now(directory.close()))
        return directory

    def now(self, asked: Coroutine[Any, Any, T]) -> T:
        """What a directory answers, at once."""
        return self.successResultOf(Deferred.fromCoroutine(asked))

    def keys(self, directory: SqliteDirectory) -> tuple[Account | None, Keys]:
        """What checks a proof of ann's."""
        verifier = self.now(directory.verifier("ann"))
        return verifier.account, verifier.keys

    def test_keys_come_with_the_next_right_password(self) -> None:
        """Not with a wrong one; nothing but who logs in changes in what is shown, and all outlives the process."""
        directory = self.opened()
        account, before = self.keys(directory)
        self.assertIsNone(account)
        self.failureResultOf(Deferred.fromCoroutine(directory.check_password("ann", "wrong")))
        self.assertEqual(self.keys(directory), (None, before))
        self.now(directory.check_password("ann", "pw"))
        account, after = self.keys(directory)
        self.assertEqual(account, self.ann)
        self.assertEqual((after.salt, after.iterations), (before.salt, before.iterations))
        self.assertEqual(after, keys_of(derive("pw", after.salt, after.iterations), after.salt, after.iterations))
        self.assertEqual(self.keys(self.opened()), (account, after))

    def test_keys_come_even_when_the_password_is_remembered(self) -> None:
        """As when another process has taken them away."""
        directory = self.opened()
        self.now(directory.check_password("ann", "pw"))
        with sqlite3.connect(self.path) as connection:
            connection.execute("UPDATE accounts SET scram = 'damaged'")
        connection.close()
        self.assertIsNone(self.keys(directory)[0])
        self.now(directory.check_password("ann", "pw"))
        self.assertEqual(self.keys(directory)[0], self.ann)

    def test_costlier_keys_come_with_the_next_right_password(self) -> None:
        """When the setting has changed; the hash stays as it is."""
        self.now(self.opened().check_password("ann", "pw"))
        cost = Parameters(CHEAPEST.passes, CHEAPEST.memory, CHEAPEST.lanes, 5_000)
        directory = self.opened(cost=cost)
        self.assertEqual(self.keys(directory)[1].iterations, LEAST_ITERATIONS)
        self.now(directory.check_password("ann", "pw"))
        account, keys = self.keys(directory)
        self.assertEqual((account, keys.iterations), (self.ann, 5_000))

    def test_secret_is_drawn_once(self) -> None:
        """All processes share it, and another file has another."""
        one, two = self.opened(), self.opened()
        self.assertEqual(self.now(one.verifier("nobody")), self.now(two.verifier("nobody")))
        self.path = Path(self.mktemp())
        self.assertNotEqual(self.now(self.opened().verifier("nobody")), self.now(one.verifier("nobody")))

    def test_each_step_is_one_transaction(self) -> None:
        """A kill in the middle leaves the old schema, which is brought up again."""
        def broken(connection: sqlite3.Connection) -> None:
            MIGRATIONS[1](connection)
            raise KeyboardInterrupt

        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        self.assertRaises(KeyboardInterrupt, broken, connection)
        connection.close()
        self.now(self.opened().check_password("ann", "pw"))
