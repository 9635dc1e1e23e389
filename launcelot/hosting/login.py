"""
Logging in, the same for every protocol: one way in, one memory of failures.

A password that fails counts against (source, account) over all protocols together, whether the account was named by its
log-in name or its address.  Past the limit the pair is refused without hashing anything, while the right password from
another source still works.

Checks that are on their way count as well: what would be past the limit if they all failed waits for them.  So a hundred
connections at once get no more guesses than one, and a client that opens a hundred with the right password is never
refused.

Unknown names are counted, looked up and hashed like known ones.  What cannot be a name or a password at all is refused
in the same words without any of that, as it tells nothing about who is here.  Proofs of SCRAM and digests of APOP count with
the passwords.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from launcelot.accounts.interface import Account, Directory, Verifier
from launcelot.accounts.names import canonical
from launcelot.accounts.passwords import prepared
from launcelot.accounts.tokens import Tokens
from launcelot.core.counters import Counters
from launcelot.core.errors import BadCredentials, Invalid, LimitReached, NotFound
from launcelot.core.limits import FailureWindow, source_of
from launcelot.core.scram import WrongProof
from launcelot.hosting.cred import account_of, ask, check_checkers
from launcelot.message.address import parse_mailbox

T = TypeVar("T")

log = Logger(namespace="launcelot.login")

FAILURES = 10
"""Wrong passwords of one account from one source within :data:`FAILURE_WINDOW` before it is refused unseen."""

FAILURE_WINDOW = 60.0
"""Seconds."""

MAX_NAME = 1_024
"""Octets of a name as a peer gives it; longer ones are refused unread."""

LOGGED_NAME = 80
"""Characters of a name that are logged."""

Key = tuple[str, str]
"""A source, and an account's id or the form of a name that is none's."""


@dataclass(slots=True)
class Underway:
    """Checks of one account from one source that have begun, and those that wait for them."""

    count: int = 0
    waiting: list[Deferred[None]] = field(default_factory=list)


class Logins:
    """
    The one way to log in.

    :param now: monotonic seconds.
    :param checkers: ``ICredentialsChecker`` for names and passwords, asked in turn before the directory, about the
        canonical name; whoever they know must have an account there.
    :param tokens: tell whose a token is; None where none are taken.
    :raises ValueError: a checker cannot check passwords.
    """

    def __init__(
        self,
        directory: Directory,
        counters: Counters,
        now: Callable[[], float],
        checkers: Sequence[Any] = (),
        tokens: Tokens | None = None,
    ) -> None:
        self._directory = directory
        self._counters = counters
        self._now = now
        self._checkers = check_checkers(checkers)
        self.tokens = tokens
        self._failures = FailureWindow(FAILURES, FAILURE_WINDOW)
        self._underway: dict[Key, Underway] = {}
        self._processes = 1

    def share(self, failures: FailureWindow, processes: int) -> None:
        """
        Count failures together with other processes.

        :param failures: hears of theirs.
        :param processes: how many; each lets its share of the remaining guesses be under way at once.
        """
        self._failures = failures
        self._processes = processes

    async def by_password(self, name: str, password: str, source: str, service: str) -> Account:
        """
        The account whose name and password these are.

        :param name: log-in name or primary address, as the peer gave it.
        :param source: the peer's address as text.
        :param service: counts under ``logins.<service>``.
        :raises BadCredentials: they do not fit; nothing tells which.
        :raises LimitReached: too many failures from this source; try later.
        :raises TryLater: the directory cannot answer.
        """
        try:
            form, secret = form_of(name), prepared(password)
        except Invalid:
            self._refused("failed", name, source, service)
            raise BadCredentials from None
        key = (source_of(source), await self._identity(form))
        try:
            await self._begin(key)
        except LimitReached:
            self._refused("blocked", name, source, service)
            raise
        try:
            account = await self._check(form, password, secret)
        except BadCredentials:
            self._failures.fail(key, self._now())
            self._refused("failed", name, source, service)
            raise
        else:
            self._failures.forget(key)
            self._counters.add(f"logins.{service}.succeeded")
            return account
        finally:
            self._end(key)

    @property
    def has_proofs(self) -> bool:
        """Whether :meth:`by_proof` can know everybody whom :meth:`by_password` knows: checkers only know passwords."""
        return not self._checkers

    async def verifier(self, name: str) -> Verifier:
        """What checks a proof for a name, whoever's it is; see :meth:`launcelot.accounts.interface.Directory.verifier`."""
        return await self._directory.verifier(name)

    async def by_proof(
        self, name: str, verifier: Verifier, check: Callable[[], bytes], source: str, service: str
    ) -> tuple[Account, bytes]:
        """
        The account whose name and proof these are, and what proves us; a wrong proof counts like a wrong password.

        :param verifier: that the proof was asked for with; when the account has another by now, the proof is wrong.
        :param check: checks the proof; raises WrongProof.
        :raises SaslError: there was no proof in what the peer said, which counts for nothing.
        :raises BadCredentials: as :meth:`by_password`, as are the other refusals.
        """

        async def proved() -> tuple[Account, bytes]:
            signature = check()
            account = verifier.account
            if account is None or await self._directory.verifier(name) != verifier:
                raise BadCredentials
            return account, signature

        return await self._counted(proved, name, source, service)

    async def by_token(self, token: str, name: str, source: str, service: str) -> tuple[Account, str]:
        """
        The account that a token speaks for, and the name in it; one that is refused counts like a wrong password of who is named.

        :param name: whom the peer wants to act as, for counting; where it is empty, nothing is counted.
        :raises BadCredentials: as :meth:`by_password`, as are the other refusals.
        """

        async def proved() -> tuple[Account, str]:
            if self.tokens is None:
                raise BadCredentials
            known = await self.tokens.identity(token)
            try:
                account = await self._directory.account(form_of(known))
            except (NotFound, Invalid):
                raise BadCredentials from None
            if not account.enabled:
                raise BadCredentials
            return account, known

        return await self._counted(proved, name, source, service)

    async def has_digests(self) -> bool:
        """Whether :meth:`by_digest` can know anybody: some account has a secret of APOP, and no checkers are asked."""
        return not self._checkers and await self._directory.has_shared_secrets()

    async def by_digest(self, name: str, timestamp: bytes, digest: str, source: str, service: str) -> Account:
        """
        The account whose name and digest of APOP these are; a wrong digest counts like a wrong password.  RFC 1939 section 7.

        :param timestamp: of the greeting, with its angle brackets.
        :param digest: hexadecimal digits in lower case.
        :raises BadCredentials: as :meth:`by_password`, as are the other refusals.
        """

        async def proved() -> tuple[Account, None]:
            shared = await self._directory.shared_secret(name)
            right = hashlib.md5(timestamp + shared.secret, usedforsecurity=False).hexdigest()
            fits = hmac.compare_digest(right.encode(), digest.encode("ascii", "replace"))
            if shared.account is None or self._checkers or not fits:
                raise BadCredentials
            return shared.account, None

        return (await self._counted(proved, name, source, service))[0]

    async def _counted(
        self, proved: Callable[[], Awaitable[tuple[Account, T]]], name: str, source: str, service: str
    ) -> tuple[Account, T]:
        """
        What ``proved`` gives; when it raises WrongProof or BadCredentials, that is one failure of the name's account.

        Failures are forgotten when that account has logged in: a token's owner may have named another.
        """
        try:
            identity = await self._identity(form_of(name))
        except Invalid:
            identity = ""
        key = (source_of(source), identity)
        try:
            await self._begin(key)
        except LimitReached:
            self._refused("blocked", name, source, service)
            raise
        try:
            account, more = await proved()
        except (WrongProof, BadCredentials):
            if identity:
                self._failures.fail(key, self._now())
            self._refused("failed", name, source, service)
            raise BadCredentials from None
        else:
            if account.id == identity:
                self._failures.forget(key)
            self._counters.add(f"logins.{service}.succeeded")
            return account, more
        finally:
            self._end(key)

    def _refused(self, how: str, name: str, source: str, service: str) -> None:
        """Count and log it; ``how`` is "failed", or "blocked" where nothing was looked at."""
        self._counters.add(f"logins.{service}.{how}")
        log.info(
            "{service} login {how} for {name!a} from {source}", service=service, how=how, name=name[:LOGGED_NAME], source=source
        )

    async def _identity(self, form: str) -> str:
        try:
            return (await self._directory.account(form)).id
        except NotFound:
            return form

    async def _check(self, form: str, password: str, secret: bytes) -> Account:
        if self._checkers:
            avatar_id = await ask(self._checkers, form.encode(), secret)
            if avatar_id is not None:
                return await account_of(self._directory, avatar_id)
        return await self._directory.check_password(form, password)

    async def _begin(self, key: Key) -> None:
        """Wait until one more failure would be within the limit; raise LimitReached if the limit is reached."""
        while True:
            failures = self._failures.count(key, self._now())
            if failures >= FAILURES:
                raise LimitReached("too many failed logins, try later")
            underway = self._underway.setdefault(key, Underway())
            if failures + underway.count * self._processes < FAILURES:
                underway.count += 1
                return
            waiter: Deferred[None] = Deferred()
            underway.waiting.append(waiter)
            await waiter

    def _end(self, key: Key) -> None:
        """One check has ended; whoever waits looks again."""
        underway = self._underway[key]
        underway.count -= 1
        waiting, underway.waiting = underway.waiting, []
        if not underway.count:
            del self._underway[key]
        for waiter in waiting:
            waiter.callback(None)


def form_of(name: str) -> str:
    """
    The one form of a name that a peer gave: a canonical log-in name, or an address's key.

    :raises Invalid: it is neither, or over :data:`MAX_NAME` octets.
    """
    if len(name) > MAX_NAME or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise Invalid("name too long")
    return parse_mailbox(name).key if "@" in name else canonical(name)
