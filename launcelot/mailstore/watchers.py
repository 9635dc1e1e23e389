"""Who wants to know that a mailbox has changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from twisted.logger import Logger

TREE = -1
"""Stands among the numbers of mailboxes for the names and subscriptions of an account."""
EVERYTHING = -2
"""Likewise for all there is."""


class Watchers:
    """Functions by mailbox, called in the order in which they came."""

    log = Logger(namespace="launcelot.mailstore")

    def __init__(self) -> None:
        self._watching: dict[int, dict[object, Callable[[], None]]] = {}
        self._of_all: dict[object, Callable[[Collection[int]], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._watching or self._of_all)

    def watch_all(self, changed: Callable[[Collection[int]], None]) -> Callable[[], None]:
        """Have ``changed`` called with the mailboxes of every change until the function that is returned is called."""
        token = object()
        self._of_all[token] = changed

        def stop() -> None:
            self._of_all.pop(token, None)

        return stop

    def watch(self, mailbox: int, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called for a mailbox until the function that is returned is called; that may be called twice."""
        token = object()
        self._watching.setdefault(mailbox, {})[token] = changed

        def stop() -> None:
            here = self._watching.get(mailbox, {})
            if here.pop(token, None) is not None and not here:
                del self._watching[mailbox]

        return stop

    def notify_all(self) -> None:
        """Tell everybody, because everything is gone; who watches all hears of :data:`EVERYTHING`."""
        self.notify({*self._watching, EVERYTHING})

    def notify(self, mailboxes: Iterable[int]) -> None:
        """Tell everybody who watches these; a watcher's bug is logged and does not reach the one who made the change."""
        mailboxes = sorted(mailboxes)
        for mailbox in mailboxes:
            for token, changed in list(self._watching.get(mailbox, {}).items()):
                if token in self._watching.get(mailbox, ()):
                    with self.log.failuresHandled("a watcher of a mailbox failed"):
                        changed()
        for token, told in list(self._of_all.items()) if mailboxes else ():
            if token in self._of_all:
                with self.log.failuresHandled("a watcher of all mailboxes failed"):
                    told(mailboxes)
