"""
Faults of storage: a disk that is full, slow, or fails now and then.

They happen before each change of a store, whatever it is made of, and are refused in the words in which the real stores
refuse; a change that is refused leaves all as it was.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.core.errors import TryLater
from launcelot.hosting.site import Site
from launcelot.spool.interface import Accepted, Envelope
from launcelot.testing.faulting import FaultyTaps
from launcelot.testing.faults import Act, Fault
from launcelot.workers.database import refusal_because
from launcelot.workers.staging import Staged

MAIL = ("append", "append_all", "replace", "store", "expunge", "remove", "copy", "move")
"""What changes a mailbox."""

ACCOUNT = ("create", "delete", "rename", "subscribe", "deliver", "file")
"""What changes an account's mail."""

FILES = ("make_folder", "remove_folder", "remove", "rename", "set_modified", "set_mode")
"""What changes a tree of files; uploads besides."""

Change = Callable[..., Awaitable[Any]]


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

    async def step(self, store: str) -> None:
        """
        Something is about to be made durable.

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

    def over(self, thing: Any, names: tuple[str, ...], store: str) -> Any:
        """Have changes of something take the step first."""
        for name in names:
            change = getattr(thing, name, None)
            if change is not None and not hasattr(change, "doubtful"):
                setattr(thing, name, self._doubtful(change, store))
        return thing

    def _doubtful(self, change: Change, store: str) -> Change:
        async def changed(*arguments: Any, **named: Any) -> Any:
            await self.step(store)
            return await change(*arguments, **named)

        changed.doubtful = True  # type: ignore[attr-defined]
        return changed

    def mail(self, site: Site) -> None:
        """Over the mail of a Site."""
        store: Any = site.mail
        mail_of = store.mail

        async def mail(*arguments: Any, **named: Any) -> Any:
            account = await mail_of(*arguments, **named)
            if not hasattr(account.mailbox, "doubtful"):
                mailbox_of = account.mailbox

                async def mailbox(name: str) -> Any:
                    return self.over(await mailbox_of(name), MAIL, "mail")

                mailbox.doubtful = True  # type: ignore[attr-defined]
                account.mailbox = mailbox
            return self.over(account, ACCOUNT, "mail")

        store.mail = mail

    def files(self, site: Site) -> None:
        """Over the files of a Site."""
        store: Any = site.files
        tree_of = store.tree

        async def tree(*arguments: Any, **named: Any) -> Any:
            found = await tree_of(*arguments, **named)
            if not hasattr(found.upload, "doubtful"):
                upload_of = found.upload

                async def upload(*arguments: Any, **named: Any) -> Any:
                    return self.over(await upload_of(*arguments, **named), ("publish",), "files")

                upload.doubtful = True  # type: ignore[attr-defined]
                found.upload = upload
            return self.over(found, FILES, "files")

        store.tree = tree


def guard(site: Site, taps: FaultyTaps) -> None:
    """Have the stores of a Site meet faults that are about storage, and refuse mail whose end is answered by one."""
    doubtful = Doubtful(taps)
    doubtful.mail(site)
    doubtful.files(site)
    accept = site.spool.accept

    async def accepted(envelope: Envelope, body: Staged, once: bool = False) -> Accepted:
        try:
            if taps.refusing:
                raise TryLater
            await doubtful.step("spool")
        except BaseException:
            body.close()
            raise
        return await accept(envelope, body, once)

    site.spool.accept = accepted  # type: ignore[method-assign]
    if site.deposits is not None:
        deposit = site.deposits.deposit

        async def deposited(envelope: Envelope, body: Staged, groups: Any) -> Any:
            if taps.refusing:
                body.close()
                raise TryLater
            return await deposit(envelope, body, groups)

        site.deposits.deposit = deposited  # type: ignore[method-assign]
