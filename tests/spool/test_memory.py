"""The spool in memory keeps the contract."""

from __future__ import annotations

from launcelot.spool.interface import Spool
from launcelot.spool.memory import MemorySpool
from tests.spool.contract import SpoolContract as _Contract


class MemorySpoolTests(_Contract):
    """MemorySpool."""

    def make(self) -> Spool:
        """A fresh one."""
        spool = MemorySpool(self.recorder, self.clock, self.now, self.counters, self.recorder.forget)
        self.wait(spool.start())
        return spool


del _Contract
