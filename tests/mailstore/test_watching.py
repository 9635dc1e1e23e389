"""Watching whole accounts, in memory and in files."""

from __future__ import annotations

from tests.mailstore.test_memory import InMemory
from tests.mailstore.test_sqlite import Inline
from tests.mailstore.watchcontract import WatchContract


class MemoryWatchTests(WatchContract, InMemory):
    """In memory."""


class SqliteWatchTests(WatchContract, Inline):
    """In files."""
