"""
Passwords checked by somebody else: what ``--auth`` names on the command line (Twisted's ``strcred`` syntax).

The checkers take the place of the account base's own passwords; everything else about accounts stays with it.  Who passes for the
first time gets an account.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import maybeDeferred

from launcelot.accounts.interface import Account, Directory
from launcelot.accounts.names import canonical
from launcelot.core.errors import BadCredentials, Exists, Invalid, NotFound
from launcelot.message.address import Address


class CheckedDirectory:
    """
    A directory whose passwords are checked by others.

    :param directory: knows the accounts.
    :param checkers: asked in turn; the first that accepts decides.
    :param domain: of the address of an account that is made at its first log-in.
    """

    def __init__(self, directory: Directory, checkers: Sequence[ICredentialsChecker], domain: str) -> None:
        self._directory = directory
        self._checkers = tuple(checkers)
        self._domain = domain
        self.account = directory.account
        self.accounts = directory.accounts
        self.resolve = directory.resolve
        self.is_local = directory.is_local
        self.may_send_as = directory.may_send_as
        self.add = directory.add
        self.change = directory.change
        self.remove = directory.remove
        self.set_password = directory.set_password
        self.aliases = directory.aliases
        self.add_alias = directory.add_alias
        self.remove_alias = directory.remove_alias
        self.close = directory.close

    async def check_password(self, name: str, password: str) -> Account:
        """
        The account of a name whose password a checker accepts; made if there is none.

        :raises BadCredentials: no checker accepts it, the name cannot be an account's, or the account is disabled.
        """
        login = await self._login_name(name)
        if not await self._is_accepted(login, password):
            raise BadCredentials
        account = await self._account(login)
        if not account.enabled:
            raise BadCredentials
        return account

    async def _login_name(self, name: str) -> str:
        try:
            if "@" in name:
                return (await self._directory.account(name)).name
            return canonical(name)
        except (NotFound, Invalid):
            raise BadCredentials from None

    async def _is_accepted(self, name: str, password: str) -> bool:
        credentials = UsernamePassword(name.encode(), password.encode())
        for checker in self._checkers:
            try:
                await maybeDeferred(checker.requestAvatarId, credentials)
            except UnauthorizedLogin:
                continue
            return True
        return False

    async def _account(self, name: str) -> Account:
        try:
            return await self._directory.account(name)
        except NotFound:
            pass
        try:
            return await self._directory.add(name, Address(name, self._domain), secrets.token_urlsafe(32))
        except Exists:
            # A second log-in made it meanwhile, or its address belongs to another; the next line tells which.
            pass
        except Invalid:
            raise BadCredentials from None
        try:
            return await self._directory.account(name)
        except NotFound:
            raise BadCredentials from None
