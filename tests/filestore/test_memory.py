"""The memory store keeps the contract."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.filestore.interface import FileStore
from launcelot.filestore.memory import MemoryFileStore
from tests.filestore.contract import Contract


class MemoryFileStoreTests(Contract, SynchronousTestCase):
    """The contract, in memory."""

    def make_store(self) -> FileStore:
        return MemoryFileStore(self.now, self.ids, self.largest)
