"""
Faults of storage: a disk that is full, slow, or fails now and then.

They happen before each change of a store, whatever it is made of, and are refused in the words in which the real stores
refuse; a change that is refused leaves all as it was.

A sync that fails is another thing: what was written is there.  Stores that sync SQLite files fail in their writer, behind the
sync of a whole batch, all of which is refused, and open the file anew; the others, in memory and trees of files, behind the
change.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.core.errors import TryLater
from launcelot.hosting.site import Site
from launcelot.spool.interface import Accepted, Envelope
from launcelot.testing.faulting import FaultyTaps
from launcelot.testing.faults import Act, Fault, Stage
from launcelot.workers.database import refusal_because
from launcelot.workers.staging import Staged

MAIL = ("append", "append_all", "replace", "store", "expunge", "remove", "copy", "move")
"""What changes a mailbox."""

ACCOUNT = ("create", "delete", "rename", "subscribe", "deliver", "file")
"""What changes an account's mail."""

FILES = ("make_folder", "remove_folder", "remove", "rename", "set_modified", "set_mode")
"""What changes a tree of files; uploads besides."""


def error_of(fault: Fault) -> OSError:
    """What the system says of a disk with a fault."""
    number: int = getattr(errno, str(fault.code))
    return OSError(number, os.strerror(number))


class Doubtful:
    """
    The stores of a Site, on a disk that may have faults.

    :param taps: have the faults, and the time.
    """

    def __init__(self, taps: FaultyTaps) -> None:
        self._taps = taps
        self._own_syncs: set[str] = set()

    async def step(self, store: str) -> None:
        """
        Something is about to be stored.

        :raises TryLater: the disk refuses.
        """
        fault = self._taps.in_storage(store)
        if fault is None:
            return
        if fault.act is Act.DELAYS:
            waiting: Deferred[None] = Deferred()
            self._taps.later(fault.number, waiting.callback, None)
            await waiting
        else:
            refusal_because(error_of(fault)).raiseException()

    async def change(self, store: str, change: Callable[[], Awaitable[Any]]) -> Any:
        """
        Store something, which may fail before it is written or when it is.

        :raises TryLater: it did.
        """
        await self.step(store)
        done = await change()
        fault = None if store in self._own_syncs else self._taps.in_storage(store, Stage.SYNC)
        if fault is not None:
            refusal_because(error_of(fault)).raiseException()
        return done

    def syncs(self, store: str) -> Callable[[], None]:
        """
        What a store is to call that syncs files itself, in whatever thread.

        What it raises is an OSError: the sync has failed.
        """
        self._own_syncs.add(store)

        def synced() -> None:
            fault = self._taps.in_storage(store, Stage.SYNC)
            if fault is not None:
                raise error_of(fault)

        return synced

    def over(self, thing: Any, names: tuple[str, ...], store: str) -> Any:
        """Have changes of something go by way of us."""
        if not hasattr(thing, "doubted"):
            thing.__class__ = doubted(thing.__class__, names)
            thing.doubted = (self, store)
        return thing

    def mail(self, site: Site) -> None:
        """Over the mail of a Site."""
        store: Any = site.mail
        mail_of = store.mail

        async def mail(*arguments: Any, **named: Any) -> Any:
            account = await mail_of(*arguments, **named)
            if not hasattr(account, "doubted"):
                mailbox_of = account.mailbox

                async def mailbox(name: str) -> Any:
                    return self.over(await mailbox_of(name), MAIL, "mail")

                account.mailbox = mailbox
            return self.over(account, ACCOUNT, "mail")

        store.mail = mail
        if hasattr(store, "synced"):
            store.synced = self.syncs("mail")

    def files(self, site: Site) -> None:
        """Over the files of a Site."""
        store: Any = site.files
        tree_of = store.tree

        async def tree(*arguments: Any, **named: Any) -> Any:
            found = await tree_of(*arguments, **named)
            if not hasattr(found, "doubted"):
                upload_of = found.upload

                async def upload(*arguments: Any, **named: Any) -> Any:
                    return self.over(await upload_of(*arguments, **named), ("publish",), "files")

                found.upload = upload
            return self.over(found, FILES, "files")

        store.tree = tree


def guard(site: Site, taps: FaultyTaps) -> None:
    """Have the stores of a Site meet faults that are about storage, and refuse mail whose end is answered by one."""
    doubtful = Doubtful(taps)
    doubtful.mail(site)
    doubtful.files(site)
    spool: Any = site.spool
    accept = spool.accept

    async def accepted(envelope: Envelope, body: Staged, once: bool = False) -> Accepted:
        given = False

        def go() -> Awaitable[Accepted]:
            nonlocal given
            given = True
            taken: Awaitable[Accepted] = accept(envelope, body, once)
            return taken

        try:
            if taps.refusing:
                raise TryLater
            found: Accepted = await doubtful.change("spool", go)
            return found
        except BaseException:
            if not given:
                body.close()
            raise

    spool.accept = accepted
    if hasattr(spool, "watch_syncs"):
        spool.watch_syncs(doubtful.syncs("spool"))
    if site.deposits is not None:
        deposit = site.deposits.deposit

        async def deposited(envelope: Envelope, body: Staged, groups: Any) -> Any:
            if taps.refusing:
                body.close()
                raise TryLater
            return await deposit(envelope, body, groups)

        site.deposits.deposit = deposited  # type: ignore[method-assign]


@lru_cache(maxsize=64)
def doubted(plain: type[Any], names: tuple[str, ...]) -> type[Any]:
    """A class whose changes go by way of what ``doubted`` of an object says: a :class:`Doubtful`, and which store it is."""
    changes = {name: _doubted(getattr(plain, name)) for name in names if hasattr(plain, name)}
    return type(f"Doubted{plain.__name__}", (plain,), changes)


def _doubted(change: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def changed(thing: Any, *arguments: Any, **named: Any) -> Any:
        doubtful, store = thing.doubted
        return await doubtful.change(store, partial(change, thing, *arguments, **named))

    return changed
