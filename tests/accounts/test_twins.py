"""Memory and SQLite give the same answers, whatever is asked in whatever order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts.interface import Directory
from launcelot.accounts.memory import MemoryDirectory
from launcelot.accounts.passwords import CHEAPEST, Hasher
from launcelot.accounts.sqlite import MIGRATIONS, SqliteDirectory
from launcelot.core.filerights import ALL, Right
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers
from tests.accounts.contract import at, count

NAMES = st.sampled_from(["a", "b", "c", "A", "a@example.org"])
LOCALS = st.sampled_from(["a", "b", "c", "A", "a+x", "b+y", "*", "d", "e", "e+z", "owner-a", "owner-d"])
FAR = st.sampled_from(["f@far.example", "F@far.example", "g+x@far.example", "*@far.example"])
PASSWORDS = st.sampled_from(["one", "two", ""])

FOLDERS = st.sampled_from(["One", "one", "Two", "a/b"])
HOLDERS = st.sampled_from(["a", "b", "c", "anyone"])
RIGHTS = st.integers(1, int(ALL)).map(Right)

OPERATIONS = st.one_of(
    st.tuples(st.just("add"), NAMES, LOCALS, PASSWORDS),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("set_password"), NAMES, PASSWORDS),
    st.tuples(st.just("enable"), NAMES, st.booleans()),
    st.tuples(st.just("check_password"), NAMES, PASSWORDS),
    st.tuples(st.just("add_alias"), LOCALS, st.lists(st.one_of(LOCALS, FAR), max_size=3)),
    st.tuples(st.just("remove_alias"), LOCALS),
    st.tuples(st.just("resolve"), LOCALS),
    st.tuples(st.just("expand"), st.one_of(LOCALS, FAR)),
    st.tuples(st.just("change_forwards"), NAMES, st.lists(st.one_of(LOCALS, FAR), max_size=2), st.lists(FAR, max_size=1)),
    st.tuples(st.just("add_group"), NAMES),
    st.tuples(st.just("change_members"), NAMES, st.lists(NAMES, max_size=2), st.lists(NAMES, max_size=2)),
    st.tuples(st.just("address_group"), NAMES, st.one_of(st.none(), LOCALS)),
    st.tuples(st.just("change_group"), NAMES, st.integers(-1, 5)),
    st.tuples(st.just("remove_group"), NAMES),
    st.tuples(st.just("offer"), st.sampled_from(["id1", "id2", "id3"]), st.sampled_from(["anyone", "account:id1", "group:id2"])),
    st.tuples(st.just("offers"), st.just(["anyone", "account:id1", "group:id2"])),
    st.tuples(st.just("add_team_folder"), FOLDERS, st.integers(-1, 2)),
    st.tuples(st.just("rename_team_folder"), FOLDERS, FOLDERS),
    st.tuples(st.just("remove_team_folder"), FOLDERS),
    st.tuples(st.just("grant"), FOLDERS, HOLDERS, RIGHTS),
    st.tuples(st.just("revoke"), FOLDERS, HOLDERS, RIGHTS),
    st.tuples(st.just("shares"), st.sampled_from(["id1", "id2", "id3"])),
)


def ask(directory: Directory, operation: tuple[Any, ...]) -> Coroutine[Any, Any, Any]:
    """Do one operation."""
    verb, *words = operation
    if verb == "add":
        return directory.add(words[0], at(words[1]), words[2])
    if verb == "enable":
        return directory.change(words[0], enabled=words[1])
    if verb == "add_alias":
        return directory.add_alias(at(words[0]), [at(word) for word in words[1]])
    if verb == "change_group":
        return directory.change_group(words[0], messages=words[1])
    if verb == "address_group":
        words[1] = None if words[1] is None else at(words[1])
    if verb == "rename_team_folder":
        return directory.change_team_folder(words[0], called=words[1])
    if verb == "change_forwards":
        words[1:] = [[at(one) for one in given] for given in words[1:]]
    if verb in ("remove_alias", "resolve", "expand"):
        words = [at(words[0])]
    question: Callable[..., Coroutine[Any, Any, Any]] = getattr(directory, verb)
    return question(*words)


class TwinTests(SynchronousTestCase):
    """The two directories side by side."""

    def outcome(self, asked: Coroutine[Any, Any, Any]) -> object:
        """What was answered, or kind and text of the refusal."""
        ended: list[object] = []
        Deferred.fromCoroutine(asked).addBoth(ended.append)
        if isinstance(ended[0], Failure):
            return ended[0].type, str(ended[0].value)
        return list(ended[0]) if isinstance(ended[0], (list, tuple)) else ended[0]

    @settings(max_examples=60)
    @given(st.lists(OPERATIONS, max_size=25))
    def test_answers_are_the_same(self, operations: list[tuple[Any, ...]]) -> None:
        """Accounts, aliases and refusals, after every step; and no alias ever leads nowhere or in a circle."""
        workers = InlineWorkers()
        with tempfile.TemporaryDirectory() as folder:
            memory = MemoryDirectory(["example.org"], Hasher(InlineWorkers(), CHEAPEST), count())
            file = SqliteDirectory(
                Database(Path(folder) / "accounts", MIGRATIONS, workers, workers),
                ["example.org"],
                Hasher(InlineWorkers(), CHEAPEST),
                count(),
            )
            self.outcome(file.open())
            for operation in operations:
                self.assertEqual(self.outcome(ask(memory, operation)), self.outcome(ask(file, operation)), operation)
                for listing in ("accounts", "aliases", "groups", "team_folders"):
                    there = self.outcome(getattr(memory, listing)())
                    self.assertEqual(there, self.outcome(getattr(file, listing)()), operation)
            self.check_aliases(memory)
            self.outcome(file.close())

    def check_aliases(self, directory: MemoryDirectory) -> None:
        """Every target exists and every alias reaches somebody, once all are enabled."""
        for account in self.successResultOf(Deferred.fromCoroutine(directory.accounts())):
            self.outcome(directory.change(account.name, enabled=True))
        for alias in self.successResultOf(Deferred.fromCoroutine(directory.aliases())):
            self.assertTrue(self.successResultOf(Deferred.fromCoroutine(directory.expand(alias.address))), alias)
