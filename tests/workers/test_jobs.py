"""Jobs that are done together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from twisted.python.failure import Failure

from launcelot.core.errors import Exists, TryLater
from launcelot.workers.database import BATCH
from tests.workers.test_database import DatabaseTestCase, insert, words


class TogetherTests(DatabaseTestCase):
    """:meth:`Database.write_together`."""

    def setUp(self) -> None:
        """Note what was done at once."""
        super().setUp()
        self.done: list[list[str]] = []

    def store(self, given: Sequence[str]) -> Callable[[sqlite3.Connection], Sequence[Any]]:
        """Store words; one that begins with ``no`` is refused, and one that begins with ``bug`` is a bug."""
        if "unmade" in given:
            raise ValueError("it cannot be made")

        def work(connection: sqlite3.Connection) -> list[Any]:
            self.done.append(list(given))
            answers: list[Any] = []
            for word in given:
                if word.startswith("bug"):
                    raise ZeroDivisionError
                if word.startswith("no"):
                    answers.append(Failure(Exists()))
                    continue
                connection.execute("INSERT INTO words VALUES (?)", (word,))
                answers.append(word.upper())
            return answers

        return work

    def ask(self, *given: str) -> list[Any]:
        """Deferreds for some words."""
        return [self.database.write_together(self.store, word) for word in given]

    def test_jobs_that_wait_are_one_piece_of_work(self) -> None:
        """In one transaction without savepoints, each with its own answer."""
        statements = self.trace()
        waiting = self.ask("b", "a", "c")
        self.perform()
        self.assertEqual([self.successResultOf(one) for one in waiting], ["B", "A", "C"])
        self.assertEqual(self.done, [["b", "a", "c"]])
        self.assertEqual(self.seen_by_others(), ["a", "b", "c"])
        self.assertEqual(statements.count("COMMIT"), 1)
        self.assertEqual([one for one in statements if "SAVEPOINT" in one], [])

    def test_one_alone(self) -> None:
        """Is a transaction of its own."""
        (waiting,) = self.ask("a")
        self.perform()
        self.assertEqual(self.successResultOf(waiting), "A")
        self.assertEqual(self.done, [["a"]])

    def test_order_is_kept(self) -> None:
        """A job between two of a kind runs between them; those of another kind are apart."""
        self.database.write(insert("first"))
        self.ask("a", "b")
        seen = self.database.write(words)
        self.ask("c")
        apart = self.database.write_together(lambda given: self.store([f"{word}!" for word in given]), "d")
        self.perform()
        self.assertEqual(self.successResultOf(seen), ["a", "b", "first"])
        self.assertEqual(self.done, [["a", "b"], ["c"], ["d!"]])
        self.assertEqual(self.successResultOf(apart), "D!")

    def test_refusal_is_one_jobs(self) -> None:
        """An answer that is a Failure is given to whom it concerns."""
        self.database.write(insert("first"))
        good, bad, last = self.ask("a", "no", "b")
        self.perform()
        self.assertEqual((self.successResultOf(good), self.successResultOf(last)), ("A", "B"))
        self.failureResultOf(bad, Exists)
        self.assertEqual(self.done, [["a", "no", "b"]])

    def test_failing_whole_is_done_one_by_one(self) -> None:
        """With the whole transaction to itself and beside others: nobody suffers from another's bug, nothing is there twice."""
        for beside in (False, True):
            self.done.clear()
            waiting = self.ask(f"a {beside}", f"bug {beside}", f"c {beside}")
            last = self.database.write(insert("last")) if beside else None
            self.perform()
            self.successResultOf(waiting[0])
            self.failureResultOf(waiting[1], ZeroDivisionError)
            self.successResultOf(waiting[2])
            if last is not None:
                self.successResultOf(last)
            self.assertEqual(self.done[1:], [[f"a {beside}"], [f"bug {beside}"], [f"c {beside}"]])
        self.assertEqual(self.seen_by_others(), ["a False", "a True", "c False", "c True", "last"])

    def test_constraint_that_fails_is_one_jobs(self) -> None:
        """A word that is there already is refused to whoever brought it."""
        self.database.write(insert("first"))
        self.perform()
        waiting = self.ask("a", "first", "c")
        self.perform()
        self.successResultOf(waiting[0])
        self.failureResultOf(waiting[1], sqlite3.IntegrityError)
        self.successResultOf(waiting[2])
        self.assertEqual(self.seen_by_others(), ["a", "c", "first"])

    def test_what_cannot_be_made(self) -> None:
        """Fails alone as well."""
        self.database.write(insert("first"))
        waiting = self.ask("a", "unmade", "c")
        self.perform()
        self.failureResultOf(waiting[1], ValueError)
        self.assertEqual(self.seen_by_others(), ["a", "c", "first"])

    def test_more_than_a_batch(self) -> None:
        """Is done in several transactions."""
        waiting = self.ask(*[f"{number:04}" for number in range(BATCH + 10)])
        self.perform()
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual([len(one) for one in self.done], [BATCH, 10])

    def test_closed_database_refuses(self) -> None:
        """As :meth:`Database.write` does."""
        self.close(self.database)
        self.failureResultOf(self.database.write_together(self.store, "a"), TryLater)
