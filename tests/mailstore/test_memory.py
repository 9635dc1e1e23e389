"""The contract on the memory store."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore.interface import MailStore
from launcelot.mailstore.memory import MemoryMailStore
from tests.mailstore.annotationcontract import AnnotationContract
from tests.mailstore.contract import MessageContract, TransferContract
from tests.mailstore.grantcontract import GrantContract
from tests.mailstore.kit import Hands, result_now
from tests.mailstore.ordercontract import OrderContract
from tests.mailstore.scriptcontract import FilingContract, ScriptContract
from tests.mailstore.searchcontract import SearchContract
from tests.mailstore.treecontract import DeliveryContract, TreeContract


class InMemory(SynchronousTestCase):
    """Makes a memory store for each test; nothing in it ever waits."""

    store: MailStore

    def setUp(self) -> None:
        """Make the store."""
        self.hands = Hands()
        self.store = MemoryMailStore(self.hands.now, self.hands.new_id)

    def finish(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end."""
        result_now(self, test)


class MemoryMessageTests(MessageContract, InMemory):
    """Messages."""


class MemoryTransferTests(TransferContract, InMemory):
    """COPY and MOVE."""


class MemoryTreeTests(TreeContract, InMemory):
    """Mailboxes."""


class MemoryDeliveryTests(DeliveryContract, InMemory):
    """Deliveries, watchers, accounts."""


class MemoryOrderTests(OrderContract, InMemory):
    """SORT and THREAD."""


class MemorySearchTests(SearchContract, InMemory):
    """SEARCH."""


class MemoryScriptTests(ScriptContract, InMemory):
    """Scripts."""


class MemoryFilingTests(FilingContract, InMemory):
    """Deliveries through a script."""


class MemoryAnnotationTests(AnnotationContract, InMemory):
    """METADATA."""


class MemoryGrantTests(GrantContract, InMemory):
    """ACL."""
