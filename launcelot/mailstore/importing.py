"""
Taking in messages from elsewhere, in batches of one transaction each.

Each message has a key, made from where it was found and what it is, that is remembered in the transaction that adds it, like
the key of a delivery: an import that was killed, or is simply run again, adds what it has not added and nothing twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

from launcelot.core.errors import Invalid, LimitReached, NotFound
from launcelot.mailstore import sqlrows
from launcelot.mailstore.flags import sort_out
from launcelot.mailstore.foldernames import joined
from launcelot.mailstore.interface import INBOX
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.mailitems import Item, Unreadable
from launcelot.mailstore.mending import transaction
from launcelot.mailstore.sqlwriting import Writing

BATCH = 200
"""Messages of one transaction at most."""
BATCH_OCTETS = 1 << 23
"""Octets past which a transaction takes no more."""


@dataclass
class Outcome:
    """
    What came of it.

    :ivar known: messages that an earlier run added.
    :ivar left_out: things that could not be read.
    :ivar without_keywords: messages whose keywords the mailbox had no room for.
    :ivar touched: numbers of the mailboxes that got messages, since somebody last took them.
    """

    added: int = 0
    known: int = 0
    octets: int = 0
    without_keywords: int = 0
    left_out: list[Unreadable] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)


class Import:
    """
    One import into an account's file.

    :param root: the mailbox for messages from where one began to look; others go below it, or beside it if it is INBOX.
    :param told: after each batch, with octets that are done.
    :raises Invalid: the mailbox's name is impossible.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        root: str,
        limits: Limits | None,
        now: Callable[[], datetime],
        ids: Callable[[], str],
        told: Callable[[Outcome], None],
    ) -> None:
        self.outcome = Outcome()
        self._connection = connection
        self._root = [] if root == INBOX else root.split("/")
        self._limits = limits
        self._now = now
        self._ids = ids
        self._told = told
        self._batch: list[Item] = []
        self._octets = 0

    def take(self, items: Iterable[Item | Unreadable]) -> Outcome:
        """
        Take in everything.

        :raises OverQuota: (as any refusal) the batch at hand is not added; those before it are.
        """
        for found in items:
            item = self._named(found) if isinstance(found, Item) else found
            if isinstance(item, Unreadable):
                self.outcome.left_out.append(item)
                self.outcome.octets += item.octets
                continue
            self._batch.append(item)
            self._octets += len(item.body)
            if len(self._batch) >= BATCH or self._octets >= BATCH_OCTETS:
                self._add()
        self._add()
        return self.outcome

    def _name(self, item: Item) -> str:
        return joined([*self._root, *item.levels] or [INBOX])

    def _named(self, item: Item) -> Item | Unreadable:
        """The message, unless it was where no mailbox can be."""
        try:
            self._name(item)
        except Invalid as refusal:
            return Unreadable(item.identity, refusal.text, item.octets)
        return item

    def _add(self) -> None:
        batch, self._batch, self._octets = self._batch, [], 0
        if not batch:
            return
        added = known = bare = 0
        with transaction(self._connection):
            writing = Writing(self._connection, self._limits, self._now, self._ids)
            for item in batch:
                name = self._name(item)
                if not writing.begin_delivery(key_of(name, item)):
                    known += 1
                    continue
                bare += self._put(writing, _number(writing, name), item)
                added += 1
        self.outcome.added += added
        self.outcome.known += known
        self.outcome.without_keywords += bare
        self.outcome.octets += sum(item.octets for item in batch)
        self.outcome.touched |= writing.touched
        self._told(self.outcome)

    def _put(self, writing: Writing, mailbox: int, item: Item) -> bool:
        """Add a message, without its keywords if there are too many; whether it was."""
        try:
            writing.add(mailbox, item.body, None, sort_out(item.flags), item.date)
            return False
        except LimitReached:
            system = [flag for flag in item.flags if flag.startswith("\\")]
            writing.add(mailbox, item.body, None, sort_out(system), item.date)
            return True


def key_of(mailbox: str, item: Item) -> str:
    """What tells this message from every other, and is the same the next time."""
    digest = blake2b(digest_size=20)
    digest.update(f"{mailbox}\0{item.identity}\0".encode("utf-8", "surrogateescape"))
    digest.update(item.body)
    return f"import:{digest.hexdigest()}"


def _number(writing: Writing, name: str) -> int:
    try:
        return sqlrows.number_named(writing.connection, name)
    except NotFound:
        made = writing.create(name, "")
        writing.subscribe(made, True)
        return sqlrows.number_named(writing.connection, made)
