"""The contract on the SQLite store, all of it in the calling thread."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.interface import MailStore
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.annotationcontract import AnnotationContract
from tests.mailstore.contract import MessageContract, TransferContract
from tests.mailstore.grantcontract import GrantContract
from tests.mailstore.kit import ANN, Hands, result_now
from tests.mailstore.ordercontract import OrderContract
from tests.mailstore.scriptcontract import FilingContract, ScriptContract
from tests.mailstore.searchcontract import SearchContract
from tests.mailstore.treecontract import DeliveryContract, TreeContract


class Inline(SynchronousTestCase):
    """Makes a store in a new folder for each test."""

    store: MailStore

    def setUp(self) -> None:
        """Make the store."""
        self.hands = Hands()
        self.folder = Path(self.mktemp())
        self.store = self.open_store()

    def open_store(self, open_files: int = 500) -> SqliteMailStore:
        """A store on the folder, closed at the end of the test."""
        workers = InlineWorkers()
        store = SqliteMailStore(self.folder, [workers], workers, self.hands.now, self.hands.new_id, open_files)
        self.addCleanup(lambda: result_now(self, store.close()))
        return store

    def finish(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end."""
        result_now(self, test)


class SqliteMessageTests(MessageContract, Inline):
    """Messages."""


class SqliteTransferTests(TransferContract, Inline):
    """COPY and MOVE."""


class SqliteTreeTests(TreeContract, Inline):
    """Mailboxes."""


class SqliteDeliveryTests(DeliveryContract, Inline):
    """Deliveries, watchers, accounts."""


class SqliteOrderTests(OrderContract, Inline):
    """SORT and THREAD."""


class SqliteSearchTests(SearchContract, Inline):
    """SEARCH."""


class SqliteScriptTests(ScriptContract, Inline):
    """Scripts."""


class SqliteFilingTests(FilingContract, Inline):
    """Deliveries through a script."""


class SqliteAnnotationTests(AnnotationContract, Inline):
    """METADATA."""

    def test_they_are_on_disk(self) -> None:
        """Another store finds them in the same folder."""
        mail = result_now(self, self.store.mail(ANN))
        result_now(self, mail.annotations.write("INBOX", ANN, {"/shared/comment": b"kept"}))
        result_now(self, self.store.close())
        again = result_now(self, self.open_store().mail(ANN))
        self.assertEqual(result_now(self, again.annotations.read("INBOX", ANN)), {"/shared/comment": b"kept"})


class SqliteGrantTests(GrantContract, Inline):
    """ACL."""
