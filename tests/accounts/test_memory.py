"""The directory in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from launcelot.accounts.interface import Directory
from launcelot.accounts.memory import MemoryDirectory
from launcelot.accounts.passwords import CHEAPEST, Hasher
from launcelot.workers.memory import InlineWorkers
from tests.accounts import contract, groupcontract


class MemoryMixin:
    """Makes the directory."""

    def make_directory(self, domains: Sequence[str], ids: Callable[[], str]) -> Directory:
        """One in memory."""
        return MemoryDirectory(domains, Hasher(InlineWorkers(), CHEAPEST), ids)


class MemoryAccountTests(MemoryMixin, contract.AccountContract):
    """Accounts in memory."""


class MemoryPasswordTests(MemoryMixin, contract.PasswordContract):
    """Passwords in memory."""


class MemoryResolutionTests(MemoryMixin, contract.ResolutionContract):
    """Addresses in memory."""


class MemoryAliasTests(MemoryMixin, contract.AliasContract):
    """Aliases in memory."""


class MemoryGroupTests(MemoryMixin, groupcontract.GroupContract):
    """Groups."""
