"""
The account base in the terms of ``twisted.cred``, both ways.

:func:`portal` gives Twisted's own protocols (conch, web, ...) our accounts: a realm whose avatars are accounts and a
checker on :class:`~launcelot.hosting.login.Logins`, so that their wrong passwords are counted with all others.
:func:`ask` goes the other way: it asks checkers of Twisted, such as those that ``--auth`` names, about a password.

Twisted's protocols hand over names and passwords as ``bytes`` or as ``str``; both become one form here (:func:`text_of`), and
checkers are always handed ``bytes``, as their interface says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import Attribute, Interface, implementer

from launcelot.accounts.interface import Account, Directory
from launcelot.core.errors import BadCredentials, NotFound, Refusal

Avatar = tuple[type[Interface], object, Callable[[], None]]
"""What a Portal's log-in gives: the interface, the avatar, and how to log out."""


class IAccountAvatar(Interface):
    """Somebody who has logged in."""

    account: Account = Attribute("the account, as it was when it logged in")


@implementer(IAccountAvatar)
@dataclass(frozen=True)
class AccountAvatar:
    """An account as the avatar of a Portal."""

    account: Account


class PasswordLogin(Protocol):
    """What the checker needs of :class:`launcelot.hosting.login.Logins`."""

    async def by_password(self, name: str, password: str, source: str, service: str) -> Account:
        """The account whose name and password these are."""


@implementer(IRealm)
class AccountRealm:
    """Avatars are accounts; their ids are canonical log-in names in UTF-8."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> Deferred[Avatar]:
        """
        The avatar for an id.

        :raises NotImplementedError: none of the interfaces is :class:`IAccountAvatar`, as Portals expect.
        :raises UnauthorizedLogin: (through the Deferred) there is no such account, it is disabled, or it is nobody's.
        """
        if IAccountAvatar not in interfaces:
            raise NotImplementedError("only IAccountAvatar is known here")
        return Deferred.fromCoroutine(self._avatar(avatarId))

    async def _avatar(self, avatar_id: bytes | tuple[()]) -> Avatar:
        try:
            account = await account_of(self._directory, avatar_id)
        except BadCredentials:
            raise UnauthorizedLogin from None
        except Refusal as refusal:
            raise LoginFailed(refusal.text) from None
        return IAccountAvatar, AccountAvatar(account), forget


def forget() -> None:
    """Log out: nothing is kept for an avatar."""


@implementer(ICredentialsChecker)
class AccountChecker:
    """
    Checks names and passwords against the account base.

    :param source: the peer's address as text, where one is known; Portals do not tell it, so make one checker per
        connection or accept that all peers of a service count as one source.
    :param service: for the counters.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, logins: PasswordLogin, source: str, service: str) -> None:
        self._logins = logins
        self._source = source
        self._service = service

    def requestAvatarId(self, credentials: IUsernamePassword) -> Deferred[bytes | tuple[()]]:
        """
        The canonical name of the account, in UTF-8.

        :raises UnauthorizedLogin: (through the Deferred) name and password do not fit.
        :raises LoginFailed: (through the Deferred) nobody can tell now: too many failures or checks.
        """
        return Deferred.fromCoroutine(self._check(credentials.username, credentials.password))

    async def _check(self, username: bytes | str, password: bytes | str) -> bytes | tuple[()]:
        try:
            account = await self._logins.by_password(
                text_of(username), text_of(password), self._source, self._service
            )
        except BadCredentials:
            raise UnauthorizedLogin from None
        except Refusal as refusal:
            raise LoginFailed(refusal.text) from None
        return account.name.encode()


def portal(directory: Directory, logins: PasswordLogin, source: str, service: str) -> Portal:
    """A Portal to the account base; see :class:`AccountChecker` for the parameters."""
    return Portal(AccountRealm(directory), [AccountChecker(logins, source, service)])


def text_of(value: bytes | str) -> str:
    """
    A name or password as text, whichever way a protocol hands it over.

    :raises BadCredentials: the bytes are not UTF-8.
    """
    if isinstance(value, str):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadCredentials from None


async def account_of(directory: Directory, avatar_id: bytes | str | tuple[()]) -> Account:
    """
    The account that an avatar id names.

    :raises BadCredentials: nobody's, anonymous, or disabled.
    """
    if isinstance(avatar_id, tuple):
        raise BadCredentials
    try:
        account = await directory.account(text_of(avatar_id))
    except NotFound:
        raise BadCredentials from None
    if not account.enabled:
        raise BadCredentials
    return account


def check_checkers(checkers: Sequence[Any]) -> tuple[Any, ...]:
    """
    The checkers, if each can check a password.

    :raises ValueError: one of them cannot.
    """
    for checker in checkers:
        if not any(offered.isOrExtends(IUsernamePassword) for offered in checker.credentialInterfaces):
            raise ValueError(f"{type(checker).__name__} cannot check passwords")
    return tuple(checkers)


async def ask(checkers: Sequence[Any], name: bytes, password: bytes) -> bytes | str | None:
    """
    Ask checkers in turn whether a password is right.

    :param checkers: what :func:`check_checkers` has accepted.
    :returns: the avatar id of the first that says so; None if none does, or if it only knows somebody anonymous.
    """
    for checker in checkers:
        try:
            avatar_id: Any = await maybeDeferred(checker.requestAvatarId, UsernamePassword(name, password))
        except LoginFailed:
            continue
        if avatar_id != ANONYMOUS and isinstance(avatar_id, (bytes, str)):
            return avatar_id
    return None
