"""
What every local directory does with its tables: all the rules, none of the keeping.

:class:`LocalDirectory` answers :class:`launcelot.accounts.interface.Directory` on top of two things a subclass gives: a way to
look at one consistent state and a way to change it as a whole.  A change checks everything before it touches anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from twisted.logger import Logger

from launcelot.accounts.folders import LocalFolders
from launcelot.accounts.groups import MAX_FORWARDS, LocalGroups, check_name, prune
from launcelot.accounts.interface import Account, Alias, Expansion, Recipient, SharedSecret, Verifier
from launcelot.accounts.names import canonical
from launcelot.accounts.passwords import MAX_PASSWORD, Hasher, Secrets, prepared
from launcelot.accounts.resolution import CATCH_ALL, expand, holds_address, is_circular, look
from launcelot.accounts.tables import Record, Tables, View
from launcelot.core import scram
from launcelot.core.errors import BadCredentials, Exists, Invalid, NotFound, TryLater
from launcelot.core.ids import AccountId
from launcelot.core.saslprep import NotPrepared, saslprep
from launcelot.message.address import Address, domain_key, parse_domain, parse_mailbox, split_detail

T = TypeVar("T")

MAX_CHECKS = 3
"""How often one log-in is checked while its account's hash is being replaced by others."""

LEAST_SECRET = 16
"""Octets of a secret for APOP."""

POSTMASTER = "postmaster"

MAX_DRAWS = 100
"""How often an id is drawn that has been used before; with 52 random bits in each millisecond, twice is a wonder."""


class LocalDirectory(LocalGroups, LocalFolders):
    """
    A directory on tables of this machine.

    :param domains: whose mail ends here.
    :param hasher: owned by the directory, closed with it.
    :param ids: gives fresh account ids, such as ``Site.new_id``; one that was ever used is not taken.  It may be
        called in another thread.
    :raises Invalid: a domain is malformed.
    """

    log = Logger(namespace="launcelot.accounts")

    def __init__(self, domains: Sequence[str], hasher: Hasher, ids: Callable[[], str]) -> None:
        self.domains = tuple(parse_domain(domain) for domain in domains)
        self._domain_keys = frozenset(map(domain_key, self.domains))
        self._hasher = hasher
        self._ids = ids

    # -- what a subclass gives -----------------------------------------------------------------------------------

    async def _stewards(self) -> Sequence[Account]:
        """The enabled administrators, or else the enabled account with the lowest id; raises TryLater."""
        raise NotImplementedError

    def _look(self, question: Callable[[View], T]) -> T:
        """Answer a short question from one consistent state; raises TryLater."""
        raise NotImplementedError

    async def _change(self, work: Callable[[Tables], T]) -> T:
        """Do some work on the tables as a whole and make it durable; raises TryLater and what the work raises."""
        raise NotImplementedError

    # -- who is there --------------------------------------------------------------------------------------------

    async def account(self, name: str) -> Account:
        """See :meth:`launcelot.accounts.interface.Directory.account`."""
        return self._look(lambda view: required(view, name).account)

    async def resolve(self, address: Address) -> Sequence[Recipient]:
        """See :meth:`launcelot.accounts.interface.Directory.resolve`."""
        recipients = (await self.expand(address)).recipients
        if not recipients:
            raise NotFound("no such address here")
        return recipients

    async def expand(self, address: Address) -> Expansion:
        """See :meth:`launcelot.accounts.interface.Directory.expand`."""
        if not self.is_local(address.domain):
            raise NotFound("no such address here")
        found = self._expanded(address)
        if not (found.recipients or found.forwards):
            found = Expansion(await self._for_postmaster(address))
            if not found.recipients:
                raise NotFound("no such address here")
        return found

    def _expanded(self, address: Address) -> Expansion:
        """Who receives mail for an address of ours; raises TryLater."""
        return self._look(lambda view: expand(view, address, self.is_local))

    async def _for_postmaster(self, address: Address) -> tuple[Recipient, ...]:
        """Who reads what is for the postmaster where nobody has that address: every host has one.  RFC 5321 section 4.5.1."""
        if split_detail(address.local)[0].lower() != POSTMASTER:
            return ()
        return tuple(Recipient(one, address) for one in await self._stewards())

    def is_local(self, domain: str) -> bool:
        """See :meth:`launcelot.accounts.interface.Directory.is_local`; both spellings of an IDNA domain are the same."""
        return domain_key(domain) in self._domain_keys

    async def may_send_as(self, account: Account, address: Address) -> bool:
        """See :meth:`launcelot.accounts.interface.Directory.may_send_as`."""
        if not self.is_local(address.domain):
            return False
        return self._look(lambda view: receives(view, account.id, address, self.is_local))

    # -- passwords -----------------------------------------------------------------------------------------------

    async def check_password(self, name: str, password: str) -> Account:
        """See :meth:`launcelot.accounts.interface.Directory.check_password`."""
        for _ in range(MAX_CHECKS):
            record = self._look(lambda view: find(view, name))
            if record is None:
                await self._hasher.check(None, "", password)
                raise BadCredentials
            if record.account.enabled and self._hasher.knows(record.account.id, record.hash, password):
                # Nothing has been waited for since the look, so another one would find the same.
                await self._renew(record, password)
                return record.account
            if not await self._hasher.check(record.account.id, record.hash, password):
                raise BadCredentials
            present = self._look(lambda view: find(view, name))
            if present is None or (present.hash == record.hash and not present.account.enabled):
                raise BadCredentials
            if present.hash == record.hash:
                await self._renew(present, password)
                return present.account
        raise TryLater

    async def _renew(self, record: Record, password: str) -> None:
        """Bring hash and keys up to the present parameters, now that their password is known, or else another time."""
        keys = scram.read_keys(record.scram)
        outdated = self._hasher.outdated(record.hash)
        lacking = keys is None or keys.iterations != self._hasher.parameters.iterations
        if not (outdated or lacking):
            return
        try:
            new = await self._hasher.hash(password) if outdated else record.hash
            salt = self._look(lambda view: salt_of(view, record.account))
            text = await self._hasher.keys(password, salt) if lacking else record.scram
            if (new, text) != (record.hash, record.scram):
                await self._change(lambda tables: replace_secrets(tables, record, Secrets(new, text)))
        except TryLater:
            self.log.info("the password hash of {account} is renewed later", account=record.account.name)

    async def set_password(self, name: str, password: str) -> None:
        """See :meth:`launcelot.accounts.interface.Directory.set_password`."""
        salt = self._look(lambda view: salt_of(view, required(view, name).account))
        new = await self._hasher.secrets(password, salt)

        def work(tables: Tables) -> None:
            record = required(tables, name)
            if record.apop and record.apop in (password, prepared(password).decode()):
                raise Invalid("the account's secret for APOP is stored as it is: the password must be another")
            tables.put_account(replace(record, hash=new.hash, scram=new.scram))

        await self._change(work)

    async def verifier(self, name: str) -> Verifier:
        """See :meth:`launcelot.accounts.interface.Directory.verifier`."""
        return self._look(lambda view: self._verifier(view, name))

    def _verifier(self, view: View, name: str) -> Verifier:
        record = find(view, name)
        form = self._form_of_nobody(name) if record is None else record.account.name
        others = scram.nobody(view.secret(), form, self._hasher.parameters.iterations)
        keys = scram.read_keys(record.scram) if record is not None else None
        if record is None or keys is None:
            return Verifier(None, others)
        return Verifier(record.account if record.account.enabled else None, keys)

    def _form_of_nobody(self, name: str) -> str:
        """
        What the salt of an unknown name is made of.

        An account's name and its address have one salt; so have a name and its address here that nobody has.
        """
        try:
            if "@" not in name:
                return canonical(name)
            address = parse_mailbox(name)
            return canonical(address.local) if self.is_local(address.domain) else address.key
        except Invalid:
            return name

    # -- secrets of APOP -----------------------------------------------------------------------------------------

    async def has_shared_secrets(self) -> bool:
        """See :meth:`launcelot.accounts.interface.Directory.has_shared_secrets`."""
        return self._look(lambda view: view.any_apop())

    async def shared_secret(self, name: str) -> SharedSecret:
        """See :meth:`launcelot.accounts.interface.Directory.shared_secret`."""
        return self._look(lambda view: shared_secret_of(view, name))

    async def set_shared_secret(self, name: str, secret: str | None) -> Account:
        """See :meth:`launcelot.accounts.interface.Directory.set_shared_secret`."""
        form = "" if secret is None else check_secret(secret)
        if secret is not None:
            record = self._look(lambda view: required(view, name))
            if await self._hasher.check(record.account.id, record.hash, secret):
                raise Invalid("the secret is stored as it is: it must not be the password")

        def work(tables: Tables) -> Account:
            record = required(tables, name)
            account = replace(record.account, apop=bool(form))
            tables.put_account(replace(record, account=account, apop=form))
            return account

        return await self._change(work)

    # -- changing accounts ---------------------------------------------------------------------------------------

    async def add(self, name: str, address: Address, password: str, quota: int = 0) -> Account:
        """See :meth:`launcelot.accounts.interface.Directory.add`."""
        form = canonical(name)
        if form != name:
            raise Invalid(f"the canonical form of this name is {form!r}")
        self._check_address(address)
        if address.local == CATCH_ALL:
            raise Invalid("an account cannot be a catch-all; make an alias")
        check_quota(quota)
        self._look(lambda view: check_free(view, name, address))
        salt = self._look(lambda view: scram.salt_for(view.secret(), name))
        new = await self._hasher.secrets(password, salt)

        def work(tables: Tables) -> Account:
            check_free(tables, name, address)
            account = Account(self._fresh_id(tables), name, address, quota)
            tables.put_account(Record(account, new.hash, new.scram))
            return account

        return await self._change(work)

    def _fresh_id(self, tables: Tables) -> AccountId:
        for _ in range(MAX_DRAWS):
            fresh = AccountId(self._ids())
            if not tables.is_used(fresh):
                return fresh
        raise TryLater

    def _check_address(self, address: Address) -> None:
        """Raise Invalid unless the address could arrive in a mail, and here."""
        parse_mailbox(str(address))
        if not self.is_local(address.domain):
            raise Invalid("the domain is not one of ours")

    def _check_elsewhere(self, address: Address) -> None:
        """Raise Invalid unless mail could go to the address, at another host."""
        parse_mailbox(str(address))
        if self.is_local(address.domain):
            raise Invalid("the domain is one of ours")
        if not address.domain or address.local == CATCH_ALL:
            raise Invalid(f"no mail can go to {address}")

    async def remove(self, name: str) -> Account:
        """See :meth:`launcelot.accounts.interface.Directory.remove`."""

        def work(tables: Tables) -> Account:
            account = required(tables, name).account
            tables.drop_account(account.id)
            prune(tables, account.address)
            return account

        return await self._change(work)

    async def change(
        self,
        name: str,
        *,
        quota: int | None = None,
        messages: int | None = None,
        enabled: bool | None = None,
        administrator: bool | None = None,
    ) -> Account:
        """See :meth:`launcelot.accounts.interface.Directory.change`."""
        check_quota(quota or 0)
        check_quota(messages or 0)
        given = {"quota": quota, "messages": messages, "enabled": enabled, "administrator": administrator}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

        def work(tables: Tables) -> Account:
            record = required(tables, name)
            account = replace(record.account, **changes)
            tables.put_account(replace(record, account=account))
            return account

        return await self._change(work)

    # -- changing aliases ----------------------------------------------------------------------------------------

    async def add_alias(self, address: Address, targets: Sequence[Address]) -> Alias:
        """See :meth:`launcelot.accounts.interface.Directory.add_alias`."""
        self._check_address(address)
        once = {target.key: target for target in targets}
        if not once:
            raise Invalid("an alias needs a target")
        if sum(not self.is_local(target.domain) for target in once.values()) > MAX_FORWARDS:
            raise Invalid(f"more than {MAX_FORWARDS} addresses elsewhere; make several aliases")
        alias = Alias(address, tuple(once.values()))

        def work(tables: Tables) -> Alias:
            if holds_address(tables, address):
                raise Exists("the address is taken")
            if is_circular(tables, alias):
                raise Invalid("the alias would lead back to itself, or too far")
            for target in alias.targets:
                if target.domain and not self.is_local(target.domain):
                    self._check_elsewhere(target)
                elif look(tables, target) is None:
                    raise NotFound(f"no such address here: {target}")
            tables.put_alias(alias)
            return alias

        return await self._change(work)

    async def remove_alias(self, address: Address) -> Alias:
        """See :meth:`launcelot.accounts.interface.Directory.remove_alias`."""

        def work(tables: Tables) -> Alias:
            alias = tables.alias_at(address.key)
            if alias is None:
                raise NotFound("no such alias")
            tables.drop_alias(address.key)
            prune(tables, address)
            return alias

        return await self._change(work)


def receives(view: View, account: AccountId, address: Address, is_local: Callable[[str], bool]) -> bool:
    """Whether mail for an address comes to an account, or to a group of its."""
    record = view.account_with(account)
    if record is None or not record.account.enabled:
        return False
    own = {account, *view.groups_of(account)}
    return any(recipient.account.id in own for recipient in expand(view, address, is_local).recipients)


def find(view: View, name: str) -> Record | None:
    """The account with a log-in name or primary address, however spelled; None for what cannot be either."""
    try:
        if "@" in name:
            return view.account_at(parse_mailbox(name).key)
        return view.account_named(canonical(name))
    except Invalid:
        return None


def required(view: View, name: str) -> Record:
    """
    As :func:`find`.

    :raises NotFound: there is none.
    """
    record = find(view, name)
    if record is None:
        raise NotFound("no such account")
    return record


def check_free(view: View, name: str, address: Address) -> None:
    """
    Whether a new account may have a name and an address.

    :raises Exists: one of them is taken.
    :raises Invalid: the name is reserved.
    """
    check_name(view, name)
    if holds_address(view, address):
        raise Exists("the address is taken")


def check_quota(quota: int) -> None:
    """Raise Invalid for a quota that is none."""
    if not 0 <= quota < 1 << 63:
        raise Invalid("the quota cannot be negative")


def check_secret(secret: str) -> str:
    """
    A secret for APOP in its one form.  RFC 6856 section 2.2.

    :raises Invalid: it is none.
    """
    try:
        form = saslprep(secret, stored=True)
    except NotPrepared:
        raise Invalid("the secret has a character that is not allowed") from None
    if len(form.encode()) < LEAST_SECRET:
        raise Invalid(f"the secret must have at least {LEAST_SECRET} octets, as who hears one log-in can guess at it for ever")
    if len(form.encode()) > MAX_PASSWORD:
        raise Invalid("the secret is too long")
    return form


def shared_secret_of(view: View, name: str) -> SharedSecret:
    """What an account's digests are checked with."""
    record = find(view, name)
    if record is None or not record.apop:
        return SharedSecret(None, view.secret())
    return SharedSecret(record.account if record.account.enabled else None, record.apop.encode())


def salt_of(view: View, account: Account) -> bytes:
    """The salt of an account's keys."""
    return scram.salt_for(view.secret(), account.name)


def replace_secrets(tables: Tables, record: Record, new: Secrets) -> None:
    """Put new ones where the known ones still are; a password that was changed meanwhile stays."""
    present = tables.account_named(record.account.name)
    if present is not None and present.account.id == record.account.id and present.hash == record.hash:
        tables.put_account(replace(present, hash=new.hash, scram=new.scram))
