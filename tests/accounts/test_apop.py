"""Secrets of APOP, whatever keeps them."""

from __future__ import annotations

from tests.accounts import apopcontract
from tests.accounts.test_memory import MemoryMixin
from tests.accounts.test_sqlite import SqliteMixin


class MemoryApopTests(MemoryMixin, apopcontract.ApopContract):
    """In memory."""


class SqliteApopTests(SqliteMixin, apopcontract.ApopContract):
    """In SQLite."""
