"""
Logging in, the same for every protocol: one Portal, one memory of failures.

A password that fails counts against (source, account) over all protocols together; past the limit the pair is refused
without hashing anything, while the right password from another source still works.
"""

from __future__ import annotations

from collections.abc import Callable

from launcelot.accounts.interface import Account, Directory
from launcelot.core.counters import Counters
from launcelot.core.errors import BadCredentials, LimitReached
from launcelot.core.limits import FailureWindow, source_of

FAILURES = 10
"""Wrong passwords of one account from one source within :data:`FAILURE_WINDOW` before it is refused unseen."""

FAILURE_WINDOW = 60.0


class Logins:
    """
    The one way to log in.

    :param now: monotonic seconds.
    """

    def __init__(self, directory: Directory, counters: Counters, now: Callable[[], float]) -> None:
        self._directory = directory
        self._counters = counters
        self._now = now
        self._failures = FailureWindow(FAILURES, FAILURE_WINDOW)

    async def by_password(self, name: str, password: str, source: str, service: str) -> Account:
        """
        The account whose name and password these are.

        :param source: the peer's address as text.
        :param service: counts under ``logins.<service>``.
        :raises BadCredentials: they do not fit; nothing tells which.
        :raises LimitReached: too many failures from this source; try later.
        :raises TryLater: the directory cannot answer.
        """
        key = (source_of(source), name.casefold())
        if self._failures.blocked(key, self._now()):
            self._counters.add(f"logins.{service}.blocked")
            raise LimitReached("too many failed logins, try later")
        try:
            account = await self._directory.check_password(name, password)
        except BadCredentials:
            self._failures.fail(key, self._now())
            self._counters.add(f"logins.{service}.failed")
            raise
        self._failures.forget(key)
        self._counters.add(f"logins.{service}.succeeded")
        return account
