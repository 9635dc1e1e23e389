"""Changes of one account's file that wait for its writer together."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import checking
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers, SteppedWorkers
from tests.mailstore.kit import ANN, Hands


class Together(SynchronousTestCase):
    """A writer that is stepped by hand, so that what comes meanwhile waits together."""

    def setUp(self) -> None:
        """Ann's mail, opened."""
        self.folder = Path(self.mktemp())
        self.writer, self.hands = SteppedWorkers(), Hands()
        self.told: list[list[int]] = []
        self.store = SqliteMailStore(
            self.folder,
            [self.writer],
            InlineWorkers(),
            self.hands.now,
            self.hands.new_id,
            wrote=lambda account, mailboxes: self.told.append(list(mailboxes)),
        )
        self.mail = self.do(self.store.mail(ANN))
        self.told.clear()
        self.addCleanup(lambda: self.do(self.store.close()))

    def do(self, waiting: Any) -> Any:
        """What a coroutine gives when the writer has done all."""
        deferred = Deferred.fromCoroutine(waiting)
        self.step()
        return self.successResultOf(deferred)

    def step(self) -> None:
        """Let the writer do all it has."""
        while self.writer.perform():
            pass

    def together(self, *deliveries: Any) -> list[Any]:
        """What comes of deliveries that wait for the writer together."""
        found: list[list[Any]] = []
        for one in deliveries:
            found.append([])
            Deferred.fromCoroutine(one).addBoth(found[-1].append)
        self.step()
        return [outcome for (outcome,) in found]

    def transactions(self) -> list[str]:
        """Statements of the writer from now on."""
        statements: list[str] = []
        (file,) = self.store._files.values()
        connection = file._database._writing  # type: ignore[union-attr]
        connection.set_trace_callback(statements.append)  # type: ignore[union-attr]
        return statements

    def check(self) -> None:
        """Nothing is wrong with the file."""
        with closing(sqlite3.connect(self.folder / ANN / "mail.db")) as connection:
            self.assertEqual(checking.check(connection, lambda so_far, total: None).findings, [])
