"""Who wants to know that a mailbox has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.logger import Logger


class Watchers:
    """Functions by mailbox, called in the order in which they came."""

    log = Logger(namespace="launcelot.mailstore")

    def __init__(self) -> None:
        self._watching: dict[int, dict[object, Callable[[], None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._watching)

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
        """Tell everybody, because everything is gone."""
        self.notify(sorted(self._watching))

    def notify(self, mailboxes: Iterable[int]) -> None:
        """Tell everybody who watches these; a watcher's bug is logged and does not reach the one who made the change."""
        for mailbox in mailboxes:
            for token, changed in list(self._watching.get(mailbox, {}).items()):
                if token in self._watching.get(mailbox, ()):
                    with self.log.failuresHandled("a watcher of a mailbox failed"):
                        changed()
