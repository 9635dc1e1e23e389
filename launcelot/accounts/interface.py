"""
The account base: who an address is, who may log in, what they are allowed.

Everything is asynchronous because a directory may be a network away; a local one may answer without ever waiting.
Names are compared in one canonical form, :func:`launcelot.accounts.names.canonical`; passwords are never stored, only
argon2id hashes, and hashing runs in a bounded place off the reactor thread.  Unknown and known names cost the same time.
An account may have a secret for APOP besides, which is never its password and is stored as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from launcelot.core.filerights import ALL, Right, Share
from launcelot.core.ids import AccountId
from launcelot.core.scram import Keys
from launcelot.message.address import Address


@dataclass(frozen=True, slots=True)
class Account:
    """
    One person or role.

    :ivar name: canonical log-in name, such as ``"brandon"``; unique in the directory.
    :ivar address: the primary address.
    :ivar quota: octets of storage over mail and files; 0 for no limit.
    :ivar enabled: whether logging in and receiving are possible.
    :ivar messages: how many messages its mail may hold; 0 for no limit.
    :ivar administrator: whether it may set others' quotas, and who may do what with the mail of groups.
    :ivar apop: whether it has a secret for APOP.
    """

    id: AccountId
    name: str
    address: Address
    quota: int = 0
    enabled: bool = True
    messages: int = 0
    administrator: bool = False
    apop: bool = False


@dataclass(frozen=True, slots=True)
class Alias:
    """Mail for ``address`` goes to ``targets``: addresses of accounts, of groups, of further aliases, or of other hosts."""

    address: Address
    targets: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Verifier:
    """
    What checks a proof of SCRAM for one name.

    :ivar account: who has logged in when the proof is right; None for names whose keys no password fits, and where the
        account is disabled.
    """

    account: Account | None
    keys: Keys


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """
    What checks a digest of APOP for one name.

    :ivar account: who has logged in when the digest is right; None for names without a secret, and where the account is disabled.
    :ivar secret: octets; some that nobody knows where there is no account.
    """

    account: Account | None
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recipient:
    """
    Where mail for an address goes.

    :ivar account: who receives it.
    :ivar address: the address as it was given, for Delivered-To and Sieve.
    :ivar detail: what stood behind ``+`` in the local part; empty if nothing did.
    :ivar owner: who looks after the list that it came by; None without a list.  See :class:`Forward`.
    """

    account: Account
    address: Address
    detail: str = ""
    owner: Address | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """
    Where mail for an address goes besides, at another host.

    :ivar owner: the address ``owner-NAME`` of the alias or group ``NAME`` that it came by, where somebody has that: then NAME is
        a list (RFC 5321 section 3.9.2), and what comes back is for its owner; None for an alias (section 3.9.1).
    """

    address: Address
    owner: Address | None = None


@dataclass(frozen=True, slots=True)
class Expansion:
    """
    All behind one address, each once.

    :ivar recipients: here.
    :ivar forwards: elsewhere.
    """

    recipients: tuple[Recipient, ...]
    forwards: tuple[Forward, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """
    A named set of accounts.

    :ivar id: under which stores keep its mail; never an account's, never used again.
    :ivar members: their log-in names, in order.
    :ivar quota: octets of its mail; 0 for no limit; likewise ``messages``.
    :ivar address: mail for it goes into the group's own INBOX; None if it has none.
    :ivar forwards: addresses of other hosts to which that mail goes besides.
    """

    id: AccountId
    name: str
    members: tuple[str, ...] = ()
    quota: int = 0
    messages: int = 0
    address: Address | None = None
    forwards: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """
    Who an account is, now.

    :ivar groups: those it is a member of, by id.
    """

    account: Account
    groups: frozenset[AccountId]


@dataclass(frozen=True, slots=True)
class Offer:
    """
    Mail of ``owner`` may have something for ``identity``.

    :ivar version: grows whenever it is made again.
    """

    owner: AccountId
    identity: str
    version: int


@dataclass(frozen=True, slots=True)
class Grant:
    """
    Rights in a team folder.

    :ivar kind: ``"account"``, ``"group"`` or ``"anyone"``.
    :ivar name: of the account or group; ``"anyone"`` for everybody.
    """

    kind: str
    name: str
    rights: Right


@dataclass(frozen=True, slots=True)
class TeamFolder:
    """
    A folder of files that several share.

    :ivar id: under which stores keep its files; never used again.
    :ivar quota: octets that may be in it; 0 for no limit.
    """

    id: AccountId
    name: str
    quota: int = 0
    grants: tuple[Grant, ...] = ()


class Directory(Protocol):
    """The account base, whatever keeps it."""

    async def account(self, name: str) -> Account:
        """
        Look an account up by log-in name or by primary address.

        :raises NotFound: there is none.
        """

    async def accounts(self) -> Sequence[Account]:
        """All accounts, by name."""

    async def resolve(self, address: Address) -> Sequence[Recipient]:
        """
        The accounts and groups behind a local address; see :meth:`expand`.

        :raises NotFound: it leads to none here.
        """

    async def expand(self, address: Address) -> Expansion:
        """
        Expand a local address: alias chains, ``user+detail``, catch-all; each account, and each address elsewhere, at most once.

        ``postmaster`` without a domain of ours is not resolved here; SMTP asks for the default domain's.  Where nobody has the
        address ``postmaster`` it is that of the administrators, or else of the oldest account.  RFC 5321 section 4.5.1.

        :raises NotFound: the domain is ours and nobody has this address; or the domain is not ours.
        """

    def is_local(self, domain: str) -> bool:
        """Whether mail for a domain ends here; case does not matter."""

    async def check_password(self, name: str, password: str) -> Account:
        """
        Whether the password fits; costs the same for unknown names.

        :param name: log-in name or primary address; any text, however long.
        :raises BadCredentials: they do not fit, or the account is disabled; which is never told.
        :raises TryLater: too many checks are waiting, or the directory is out of reach.
        """

    async def verifier(self, name: str) -> Verifier:
        """
        What checks a proof of SCRAM; a name that nobody has gets one like any other, and always the same.

        Accounts whose password was set before there were keys get theirs at the next right password.

        :param name: log-in name or primary address; any text, however long.
        :raises TryLater: the directory is out of reach.
        """

    async def has_shared_secrets(self) -> bool:
        """
        Whether any account has a secret for APOP.

        :raises TryLater: the directory is out of reach.
        """

    async def shared_secret(self, name: str) -> SharedSecret:
        """
        What checks a digest of APOP; a name without a secret gets one that no digest fits.

        :param name: log-in name or primary address; any text, however long.
        :raises TryLater: the directory is out of reach.
        """

    async def set_shared_secret(self, name: str, secret: str | None) -> Account:
        """
        Give an account a secret for APOP, which can be read back from where it is stored, or take it away with None.

        It is good for APOP alone, and is not to be the password.  Durable when it returns.

        :raises NotFound: there is no such account.
        :raises Invalid: it is too short or too long, or is the account's password.
        """

    async def may_send_as(self, account: Account, address: Address) -> bool:
        """
        Whether an account may put an address into MAIL FROM or From: its own, its aliases, with or without detail.

        That is every address whose mail it or a group of its receives, a catch-all's included; none while it is disabled.
        """

    async def add(self, name: str, address: Address, password: str, quota: int = 0) -> Account:
        """
        Make an account; durable when it returns.

        :raises Exists: the name or the address is taken (by an alias, too).
        :raises Invalid: the name is not canonical, the address is malformed or a catch-all, its domain is not ours, the
            quota is negative, or the password is empty or over 1,024 octets.
        """

    async def remove(self, name: str) -> Account:
        """
        Remove an account and its place in aliases (an alias left without targets goes, too).

        Its data stay in the stores until those are told, and its id is never given to another.

        :raises NotFound: there is none.
        """

    async def set_password(self, name: str, password: str) -> None:
        """
        Replace the password; durable when it returns.

        :raises NotFound: there is no such account.
        :raises Invalid: the password is empty or over 1,024 octets.
        """

    async def change(
        self,
        name: str,
        *,
        quota: int | None = None,
        messages: int | None = None,
        enabled: bool | None = None,
        administrator: bool | None = None,
    ) -> Account:
        """
        Change an account's limits and what it may do; None leaves a thing as it is; durable when it returns.

        :raises NotFound: there is no such account.
        :raises Invalid: a limit is negative.
        """

    async def standing(self, id: AccountId) -> Standing:
        """
        Who an account is now, and the groups it is a member of.

        :raises NotFound: it has been removed or disabled.
        """

    async def holder(self, id: AccountId) -> Account | Group:
        """
        Whose id this is.

        :raises NotFound: nobody's any more.
        """

    async def group(self, name: str) -> Group:
        """
        Look a group up by name.

        :raises NotFound: there is none.
        """

    async def groups(self) -> Sequence[Group]:
        """All groups, by name."""

    async def add_group(self, name: str, quota: int = 0, messages: int = 0) -> Group:
        """
        Make a group without members; durable when it returns, like all below.

        :raises Exists: an account or a group has the name.
        :raises Invalid: the name is not canonical or is reserved, or a limit is negative.
        """

    async def change_group(self, name: str, *, quota: int | None = None, messages: int | None = None) -> Group:
        """
        Change a group's limits; None leaves a thing as it is.

        :raises NotFound: there is no such group.
        :raises Invalid: a limit is negative.
        """

    async def address_group(self, name: str, address: Address | None) -> Group:
        """
        Give a group an address in the place of the one it has, or take that away with None.

        Mail for it is delivered once, into the group's mail; :meth:`resolve` tells of the group as of an account.

        :raises NotFound: there is no such group.
        :raises Exists: an account, an alias or another group has the address.
        :raises Invalid: the address is malformed, a catch-all, or its domain is not ours.
        """

    async def change_members(self, name: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Group:
        """
        Take accounts into a group and out of it, by log-in name; who is there, or is not, stays so.

        :raises NotFound: there is no such group, or no such account.
        :raises LimitReached: it would have too many members.
        """

    async def change_forwards(self, name: str, add: Sequence[Address] = (), remove: Sequence[Address] = ()) -> Group:
        """
        Have mail for a group's address go to addresses of other hosts besides, or no more; which is there, or is not, stays so.

        :raises NotFound: there is no such group.
        :raises Invalid: an address is malformed, is the local part ``*``, or its domain is ours.
        :raises LimitReached: there would be too many.
        """

    async def remove_group(self, name: str) -> Group:
        """
        Remove a group; its mail stays in the store until that is told.

        :raises NotFound: there is no such group.
        """

    async def offer(self, owner: AccountId, identity: str) -> None:
        """
        Remember that an owner's mail may have something for somebody; see :mod:`launcelot.accounts.groups`.

        :param identity: ``anyone``, ``account:`` or ``group:`` and an id.
        :raises NotFound: there is no such owner.
        """

    async def offers(self, identities: Collection[str]) -> Sequence[Offer]:
        """What has been offered to any of these."""

    async def withdraw(self, offer: Offer) -> None:
        """Forget an offer that has nothing behind it, unless it has been made again since it was asked for."""

    async def team_folders(self) -> Sequence[TeamFolder]:
        """All team folders, by name."""

    async def team_folder(self, name: str) -> TeamFolder:
        """
        Look a team folder up by name, capitals not counting.

        :raises NotFound: there is none.
        """

    async def shares(self, id: AccountId) -> Sequence[Share]:
        """The team folders in which an account may do anything now, by name; none while it is disabled."""

    def rights_on(self, folder: AccountId, id: AccountId) -> Right:
        """
        What an account may do in a team folder now; may be called in any thread, and wait for the disk.

        :raises TryLater: the directory is out of reach.
        """

    async def add_team_folder(self, name: str, quota: int = 0) -> TeamFolder:
        """
        Make a team folder in which nobody may do anything; durable when it returns, like all below.

        :raises Exists: there is one of this name.
        :raises Invalid: the name cannot be a folder's, or the quota is negative.
        :raises LimitReached: there are too many.
        """

    async def change_team_folder(self, name: str, *, quota: int | None = None, called: str | None = None) -> TeamFolder:
        """
        Change a team folder's quota or name; None leaves a thing as it is.

        :raises NotFound: there is none.
        :raises Exists: another has the new name.
        :raises Invalid: the name cannot be a folder's, or the quota is negative.
        """

    async def grant(self, name: str, who: str, rights: Right) -> TeamFolder:
        """
        Have somebody have rights in a team folder besides those they have.

        :param who: the log-in name of an account, the name of a group, or ``anyone``.
        :raises NotFound: there is no such folder, account or group.
        :raises LimitReached: the folder would have too many grants.
        """

    async def revoke(self, name: str, who: str, rights: Right = ALL) -> TeamFolder:
        """
        Take rights away; what others of somebody's grants give stays theirs.

        :raises NotFound: there is no such folder, account or group, or nothing of it was granted to them.
        """

    async def remove_team_folder(self, name: str) -> TeamFolder:
        """
        Remove a team folder; its files stay in the store until that is told.

        :raises NotFound: there is none.
        """

    async def aliases(self) -> Sequence[Alias]:
        """All aliases, by address."""

    async def add_alias(self, address: Address, targets: Sequence[Address]) -> Alias:
        """
        Make an alias; durable when it returns.

        :param address: with the local part ``*`` it is the catch-all of its domain.
        :param targets: each may have a detail; those whose domain is not ours are addresses of other hosts.
        :raises Exists: the address is an account's or an alias's.
        :raises NotFound: a target's domain is ours, and it is neither an account's nor an alias's address.
        :raises Invalid: there is no target, it would lead back to itself or through more than 50 aliases, or the domain
            is not ours.
        """

    async def remove_alias(self, address: Address) -> Alias:
        """
        Remove an alias and its place in other aliases (one left without targets goes, too); durable when it returns.

        :raises NotFound: there is none.
        """

    async def close(self) -> None:
        """Finish what is being written and let go of files and threads."""
