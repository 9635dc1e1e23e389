"""The directory in a SQLite file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.accounts import cachedview, local, sqlite
from launcelot.accounts.interface import Directory
from launcelot.accounts.memory import random_id
from launcelot.accounts.passwords import CHEAPEST, Hasher, Parameters
from launcelot.accounts.sqlite import MIGRATIONS, SqliteDirectory
from launcelot.core.errors import BadCredentials, Exists, NotFound, TryLater
from launcelot.message.address import parse_mailbox
from launcelot.workers.database import Database, NewerSchema
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from launcelot.workers.threads import ThreadWorkers
from tests.accounts import contract, groupcontract
from tests.accounts.contract import DOMAINS, NASTY, at, count

T = TypeVar("T")


class SqliteMixin(SynchronousTestCase):
    """Makes the directory, with everything in this thread."""

    def make_directory(self, domains: Sequence[str], ids: Callable[[], str]) -> Directory:
        """One in a new file."""
        path = Path(self.mktemp())
        directory = self.directory_at(path, domains, ids)
        self.successResultOf(Deferred.fromCoroutine(directory.open()))
        return directory

    def directory_at(
        self, path: Path, domains: Sequence[str] = DOMAINS, ids: Callable[[], str] = random_id, cost: Parameters = CHEAPEST
    ) -> SqliteDirectory:
        """One in a file that may be there already."""
        workers = InlineWorkers()
        return SqliteDirectory(Database(path, MIGRATIONS, workers, workers), domains, Hasher(InlineWorkers(), cost), ids)


class SqliteAccountTests(SqliteMixin, contract.AccountContract):
    """Accounts in SQLite."""


class SqlitePasswordTests(SqliteMixin, contract.PasswordContract):
    """Passwords in SQLite."""


class SqliteResolutionTests(SqliteMixin, contract.ResolutionContract):
    """Addresses in SQLite."""


class SqliteAliasTests(SqliteMixin, contract.AliasContract):
    """Aliases in SQLite."""


class SureMixin(SqliteMixin):
    """Makes a directory that does not ask for an hour whether others have changed anything."""

    def directory_at(
        self, path: Path, domains: Sequence[str] = DOMAINS, ids: Callable[[], str] = random_id, cost: Parameters = CHEAPEST
    ) -> SqliteDirectory:
        """As above."""
        workers = InlineWorkers()
        database = Database(path, MIGRATIONS, workers, workers)
        return SqliteDirectory(database, domains, Hasher(InlineWorkers(), cost), ids, sure=3_600.0)


class SureAccountTests(SureMixin, contract.AccountContract):
    """It sees what it has changed itself at once."""


class SurePasswordTests(SureMixin, contract.PasswordContract):
    """Likewise."""


class SureAliasTests(SureMixin, contract.AliasContract):
    """Likewise."""


class SureTests(SureMixin):
    """What others change."""

    def test_others_count_later(self) -> None:
        """What is known stays so for as long as it is told to be; what is not is read, and then all is anew."""
        path = Path(self.mktemp())
        one, other = self.directory_at(path), self.directory_at(path)
        for directory in (one, other):
            self.successResultOf(Deferred.fromCoroutine(directory.open()))
        self.successResultOf(Deferred.fromCoroutine(other.add("ann", at("ann"), "pw")))
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(one.account("ann"))).enabled)
        self.successResultOf(Deferred.fromCoroutine(other.change("ann", enabled=False)))
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(one.account("ann"))).enabled)
        self.failureResultOf(Deferred.fromCoroutine(one.account("bob")), NotFound)
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(one.account("ann"))).enabled)

    def test_expansions_of_others_count_later(self) -> None:
        """Likewise who receives mail for an address."""
        path = Path(self.mktemp())
        one, other = self.directory_at(path), self.directory_at(path)
        for directory in (one, other):
            self.successResultOf(Deferred.fromCoroutine(directory.open()))
        self.successResultOf(Deferred.fromCoroutine(other.add("ann", at("ann"), "pw")))
        self.successResultOf(Deferred.fromCoroutine(one.expand(at("ann"))))
        self.successResultOf(Deferred.fromCoroutine(other.change("ann", enabled=False)))
        self.successResultOf(Deferred.fromCoroutine(one.expand(at("ann"))))
        self.failureResultOf(Deferred.fromCoroutine(one.expand(at("bob"))), NotFound)
        self.failureResultOf(Deferred.fromCoroutine(one.expand(at("ann"))), NotFound)


class SqliteFileTests(SqliteMixin):
    """What a file has to do besides."""

    def setUp(self) -> None:
        """One file that several directories open."""
        self.path = Path(self.mktemp())
        self.directory = self.opened(count())

    def opened(self, ids: Callable[[], str] = random_id, cost: Parameters = CHEAPEST) -> SqliteDirectory:
        """A directory of another process, as it were: nothing is shared but the file."""
        directory = self.directory_at(self.path, ids=ids, cost=cost)
        self.now(directory.open())
        self.addCleanup(lambda: self.now(directory.close()))
        return directory

    def now(self, asked: Coroutine[Any, Any, T]) -> T:
        """What a directory answers, at once."""
        return self.successResultOf(Deferred.fromCoroutine(asked))

    def refused(self, asked: Coroutine[Any, Any, Any], kind: type[Exception]) -> None:
        """A directory refuses at once."""
        self.failureResultOf(Deferred.fromCoroutine(asked), kind)

    def test_everything_is_there_after_reopening(self) -> None:
        """Accounts, passwords, aliases and used ids outlive the process."""
        for name in NASTY:
            self.now(self.directory.add(name, at(name), "pw", 5))
        self.now(self.directory.add_alias(at("all"), [at(name) for name in NASTY]))
        self.now(self.directory.remove(NASTY[0]))
        accounts, aliases = self.now(self.directory.accounts()), self.now(self.directory.aliases())
        self.now(self.directory.close())
        again = self.opened(count())
        self.assertEqual(self.now(again.accounts()), accounts)
        self.assertEqual(self.now(again.aliases()), aliases)
        self.now(again.check_password(NASTY[1], "pw"))
        fresh = self.now(again.add("new", at("new"), "pw"))
        self.assertEqual(fresh.id, f"id{len(NASTY) + 1}")

    def test_file_is_private(self) -> None:
        """Hashes are for the daemon alone."""
        for path in self.path.parent.glob(self.path.name + "*"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)

    def test_change_by_another_process_counts_at_once(self) -> None:
        """Every kind of change, in both directions, although everything was cached (case A12)."""
        other = self.opened()
        ann = self.now(self.directory.add("ann", at("ann"), "pw"))
        self.assertEqual(self.now(other.account("ann")), ann)
        self.refused(self.directory.resolve(at("sales")), NotFound)
        self.now(other.add_alias(at("sales"), [at("ann")]))
        self.assertEqual(len(self.now(self.directory.resolve(at("sales")))), 1)
        self.now(self.directory.check_password("ann", "pw"))
        self.now(other.set_password("ann", "new"))
        self.refused(self.directory.check_password("ann", "pw"), BadCredentials)
        self.now(self.directory.check_password("ann", "new"))
        self.now(other.change("ann", enabled=False))
        self.refused(self.directory.check_password("ann", "new"), BadCredentials)
        self.refused(self.directory.resolve(at("sales")), NotFound)
        self.now(other.remove("ann"))
        self.refused(self.directory.account("ann"), NotFound)

    def test_command_beside_the_daemon_counts_at_once(self) -> None:
        """A real second process adds, changes and goes while this one has the file open and its rows cached."""
        self.now(self.directory.add("ann", at("ann"), "pw"))
        self.now(self.directory.check_password("ann", "pw"))
        code = f"""
import pathlib
from twisted.internet.defer import Deferred
from launcelot.accounts.passwords import CHEAPEST, Hasher
from launcelot.accounts.sqlite import MIGRATIONS, SqliteDirectory
from launcelot.message.address import parse_mailbox
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
async def command():
    workers = InlineWorkers()
    database = Database(pathlib.Path({str(self.path.absolute())!r}), MIGRATIONS, workers, workers)
    directory = SqliteDirectory(database, ["example.org"], Hasher(InlineWorkers(), CHEAPEST))
    await directory.open()
    await directory.set_password("ann", "new")
    print((await directory.add("bob", parse_mailbox("bob@example.org"), "pw")).id)
    await directory.close()
Deferred.fromCoroutine(command())
"""
        root = Path(sqlite.__file__).parents[2]
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=root, check=True, timeout=60, capture_output=True, text=True)
        self.assertEqual(self.now(self.directory.account("bob")).id, done.stdout.strip())
        self.refused(self.directory.check_password("ann", "pw"), BadCredentials)
        self.now(self.directory.check_password("ann", "new"))
        self.now(self.directory.add("carl", at("carl"), "pw"))

    def test_two_processes_cannot_give_one_name_twice(self) -> None:
        """Also when both had looked before either wrote, and whichever of name and address is the same."""
        workers = SteppedWorkers()
        slow = SqliteDirectory(
            Database(self.path, MIGRATIONS, InlineWorkers(), InlineWorkers()), DOMAINS, Hasher(workers, CHEAPEST), count(100)
        )
        self.addCleanup(lambda: self.now(slow.close()))
        by_name = Deferred.fromCoroutine(slow.add("ann", at("other"), "slow"))
        by_address = Deferred.fromCoroutine(slow.add("other", at("ann"), "slow"))
        ann = self.now(self.directory.add("ann", at("ann"), "pw"))
        while workers.perform():
            pass
        for one in (by_name, by_address):
            self.failureResultOf(one, Exists)
        self.assertEqual(self.now(slow.accounts()), [ann])
        self.now(slow.close())

    def test_cache_does_not_survive_its_connection(self) -> None:
        """After the file was replaced and the connection opened anew, old rows are not believed."""
        self.now(self.directory.add("ann", at("ann"), "pw"))
        self.now(self.directory.account("ann"))
        view = self.directory._view
        assert view is not None
        self.refused_read()
        with sqlite3.connect(self.path) as other:
            other.execute("DELETE FROM accounts")
        other.close()
        self.refused(self.directory.account("ann"), NotFound)
        self.assertIsNot(self.directory._view, view)

    def refused_read(self) -> None:
        """Let the reading connection fail once."""

        def broken(connection: sqlite3.Connection) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        self.assertRaises(TryLater, self.directory._database.read, broken)

    def test_who_receives_is_remembered_until_a_commit(self) -> None:
        """An address that is asked about again costs one statement; anybody's change counts at once."""
        self.now(self.directory.add("ann", at("ann"), "pw"))
        self.now(self.directory.resolve(at("ann")))
        statements: list[str] = []
        view = self.directory._view
        assert view is not None
        view.connection.set_trace_callback(statements.append)
        (found,) = self.now(self.directory.resolve(at("ann")))
        self.assertEqual((found.account.name, len(statements)), ("ann", 1))
        other = self.opened()
        self.now(other.change("ann", quota=7))
        (found,) = self.now(self.directory.resolve(at("ann")))
        self.assertEqual(found.account.quota, 7)
        self.now(other.remove("ann"))
        self.refused(self.directory.resolve(at("ann")), NotFound)

    def test_cache_is_bounded(self) -> None:
        """Asking for ever new names does not fill memory, and answers stay right."""
        self.now(self.directory.add("ann", at("ann"), "pw"))
        self.patch(cachedview, "MAX_CACHED", 10)
        for number in range(100):
            self.refused(self.directory.resolve(at(f"n{number}+x")), NotFound)
        self.now(self.directory.account("ann"))
        view = self.directory._view
        assert view is not None
        for cache in (view._named, view._accounts, view._aliases, view._expansions):
            self.assertLessEqual(len(cache), 10)

    def test_circle_written_by_hand_ends(self) -> None:
        """Whatever somebody puts into the file, resolving ends (depth 50, each address once)."""
        self.now(self.directory.add("ann", at("ann"), "pw"))
        for number in range(100):
            self.now(self.directory.add_alias(at(f"a{number}"), [at("ann")]))
        with sqlite3.connect(self.path) as other:
            other.execute("DELETE FROM alias_targets")
            for number in range(100):
                nearest = f"a{(number + 1) % 100}"
                for position, target in enumerate((nearest, f"a{number}")):
                    other.execute(
                        "INSERT INTO alias_targets VALUES (?, ?, ?, ?, ?, ?)",
                        (at(f"a{number}").key, position, at(target).key, at(target).key, target, "example.org"),
                    )
            other.execute(
                "INSERT INTO alias_targets VALUES (?, 9, ?, ?, 'ann', 'example.org')",
                (at("a49").key, at("ann").key, at("ann").key),
            )
        other.close()
        self.assertEqual(len(self.now(self.directory.resolve(at("a0")))), 1)
        self.refused(self.directory.resolve(at("a99")), NotFound)

    def test_costlier_parameters_renew_a_hash_at_the_next_login(self) -> None:
        """The hash in the file has the new cost, and the password is the same."""
        self.now(self.directory.add("ann", at("ann"), "pw"))
        costlier = self.opened(cost=Parameters(2, 16, 1))
        self.refused(costlier.check_password("ann", "wrong"), BadCredentials)
        self.assertIn("$m=8,t=1,p=1$", self.stored_hash())
        self.now(costlier.check_password("ann", "pw"))
        self.assertIn("$m=16,t=2,p=1$", self.stored_hash())
        self.now(costlier.check_password("ann", "pw"))
        self.now(self.directory.check_password("ann", "pw"))

    def stored_hash(self) -> str:
        """Of the only account."""
        with sqlite3.connect(self.path) as connection:
            found: str = connection.execute("SELECT hash FROM accounts").fetchone()[0]
        connection.close()
        return found

    def test_login_holds_when_the_renewed_hash_cannot_be_stored(self) -> None:
        """A full disk keeps nobody out."""
        self.now(self.directory.add("ann", at("ann"), "pw"))
        costlier = self.opened(cost=Parameters(2, 16, 1))

        async def full(work: object) -> None:
            raise TryLater

        self.patch(costlier, "_change", full)
        self.now(costlier.check_password("ann", "pw"))
        self.assertIn("$m=8,t=1,p=1$", self.stored_hash())

    def test_closed_directory_refuses(self) -> None:
        """With a temporary failure, also when it is closed twice."""
        self.now(self.directory.add("ann", at("ann"), "pw"))
        self.now(self.directory.close())
        self.now(self.directory.close())
        for asked in (
            self.directory.account("ann"),
            self.directory.accounts(),
            self.directory.aliases(),
            self.directory.check_password("ann", "pw"),
            self.directory.add("bob", at("bob"), "pw"),
            self.directory.remove("ann"),
        ):
            self.refused(asked, TryLater)

    def test_newer_file_is_refused(self) -> None:
        """A file from a newer program is not touched."""
        with sqlite3.connect(self.path) as connection:
            connection.execute("PRAGMA user_version=99")
        connection.close()
        self.refused(self.directory_at(self.path).open(), NewerSchema)

    def test_damaged_file_is_a_temporary_failure(self) -> None:
        """Something that is not a database neither crashes nor lets anybody in."""
        path = Path(self.mktemp())
        path.write_bytes(b"not a database" * 100)
        directory = self.directory_at(path)
        self.refused(directory.open(), TryLater)
        self.refused(directory.check_password("ann", "pw"), TryLater)
        self.refused(directory.add("ann", at("ann"), "pw"), TryLater)


class WhileHashingTests(SqliteMixin):
    """What happens to an account while its password is being computed counts."""

    def setUp(self) -> None:
        """A directory whose hashes are computed when the test says so."""
        self.workers = SteppedWorkers()
        database = Database(Path(self.mktemp()), MIGRATIONS, InlineWorkers(), InlineWorkers())
        self.directory = SqliteDirectory(database, DOMAINS, Hasher(self.workers, CHEAPEST), count())
        self.addCleanup(lambda: self.do(self.directory.close()))
        self.do(self.directory.open())
        self.do(self.directory.add("ann", at("ann"), "pw"))
        self.login = Deferred.fromCoroutine(self.directory.check_password("ann", "pw"))
        self.assertEqual(len(self.workers.waiting), 1)
        self.held = self.workers.waiting.popleft()

    def do(self, asked: Coroutine[Any, Any, T]) -> T:
        """Answer with every hash computed."""
        deferred = Deferred.fromCoroutine(asked)
        while self.workers.perform():
            pass
        return self.successResultOf(deferred)

    def release(self) -> None:
        """Compute the log-in's hash, and all that follows from it."""
        self.workers.waiting.append(self.held)
        while self.workers.perform():
            pass

    def test_unchanged_account_is_let_in(self) -> None:
        """The ordinary case."""
        self.release()
        self.assertEqual(self.successResultOf(self.login).name, "ann")

    def test_account_disabled_meanwhile_is_out(self) -> None:
        """Although its password was right."""
        self.do(self.directory.change("ann", enabled=False))
        self.release()
        self.failureResultOf(self.login, BadCredentials)

    def test_account_removed_meanwhile_is_out(self) -> None:
        """Also when a namesake with the same password has come."""
        removed = self.do(self.directory.remove("ann"))
        self.release()
        self.failureResultOf(self.login, BadCredentials)
        self.assertNotEqual(self.do(self.directory.add("ann", at("ann"), "pw")).id, removed.id)

    def test_password_changed_meanwhile_is_asked_again(self) -> None:
        """The old one is out; the same one, hashed anew by another log-in, is in."""
        self.do(self.directory.set_password("ann", "new"))
        self.release()
        self.failureResultOf(self.login, BadCredentials)

    def test_hash_renewed_meanwhile_is_asked_again(self) -> None:
        """The same password under a new hash lets in."""
        self.do(self.directory.set_password("ann", "pw"))
        self.release()
        self.assertEqual(self.successResultOf(self.login).name, "ann")

    def test_hash_that_never_rests_is_a_temporary_failure(self) -> None:
        """Nobody loops for ever."""
        self.patch(local, "MAX_CHECKS", 1)
        again = Deferred.fromCoroutine(self.directory.check_password("ann", "pw"))
        held = self.workers.waiting.popleft()
        self.do(self.directory.set_password("ann", "pw"))
        self.workers.waiting.append(held)
        while self.workers.perform():
            pass
        self.failureResultOf(again, TryLater)
        self.release()

    def test_two_adds_of_one_name_race(self) -> None:
        """Both found it free; the first to be hashed has it, the other is told."""
        first = Deferred.fromCoroutine(self.directory.add("bob", at("bob"), "one"))
        second = Deferred.fromCoroutine(self.directory.add("bob", at("bob"), "two"))
        while self.workers.perform():
            pass
        bob = self.successResultOf(first)
        self.failureResultOf(second, Exists)
        self.assertEqual(self.do(self.directory.check_password("bob", "one")), bob)
        self.release()


class SqliteThreadTests(TestCase):
    """Once on real threads."""

    async def make(self) -> SqliteDirectory:
        """A directory as the daemon has it."""
        threads = cast(IReactorFromThreads, reactor)
        writer = ThreadWorkers(threads, "writer", threads=1)
        readers = ThreadWorkers(threads, "readers", threads=2)
        passwords = ThreadWorkers(threads, "passwords", threads=2, waiting=64)
        database = Database(Path(self.mktemp()), MIGRATIONS, writer, readers)
        directory = SqliteDirectory(database, DOMAINS, Hasher(passwords, CHEAPEST), count())
        await directory.open()

        async def close() -> None:
            await directory.close()
            await writer.close()
            await readers.close()

        self.addCleanup(lambda: Deferred.fromCoroutine(close()))
        return directory

    def test_many_at_once(self) -> Deferred[None]:
        """Forty accounts are made, log in and are listed side by side; one name is given once."""

        async def together(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
            return await gatherResults([Deferred.fromCoroutine(one) for one in asked])

        async def attempt(directory: SqliteDirectory) -> str:
            try:
                return (await directory.add("one", at("one"), "pw")).id
            except Exists:
                return ""

        async def scenario() -> None:
            directory = await self.make()
            names = [f"u{number:02}" for number in range(40)]
            await together([directory.add(name, at(name), name) for name in names])
            checked = await together([directory.check_password(name, name) for name in names])
            self.assertEqual([one.name for one in checked], names)
            self.assertEqual([one.name for one in await directory.accounts()], names)
            won = await together([attempt(directory) for _ in range(5)])
            self.assertEqual(len([one for one in won if one]), 1)
            await directory.add_alias(at("all"), [at(name) for name in names])
            self.assertEqual(len(await directory.resolve(parse_mailbox("ALL@example.org"))), 40)
            self.assertEqual(len(await directory.aliases()), 1)

        return Deferred.fromCoroutine(scenario())


class SqliteGroupTests(SqliteMixin, groupcontract.GroupContract):
    """Groups."""
