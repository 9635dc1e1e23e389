"""
From an address to the accounts, and the addresses elsewhere, behind it.

An address is looked up as it stands, then without its detail, then as the catch-all of its domain.  An alias for the
local part ``*`` is a catch-all: it gets what no account and no other alias of its domain has, and never what a disabled
account has.  A chain of aliases may be :data:`MAX_DEPTH` long; every address on the way is visited once, so a circle that
somebody wrote into the database by hand ends like everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from launcelot.accounts.interface import Account, Alias, Expansion, Forward, Recipient
from launcelot.accounts.tables import GroupRow, Record, View, base_of
from launcelot.core.ids import AccountId
from launcelot.message.address import Address, split_detail

MAX_DEPTH = 50
"""Aliases from an address to its account at most."""

CATCH_ALL = "*"
"""The local part of the alias that gets all else of its domain."""

OWNER = "owner-"
"""In front of a list's name it makes the address of who looks after it."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    What one address leads to.

    :ivar found: an account, an alias or a group.
    :ivar detail: what was cut off to find it.
    """

    found: Record | Alias | GroupRow
    detail: str = ""


def look(view: View, address: Address) -> Step | None:
    """The account, alias or group of exactly this address, or of its base."""
    found = _at(view, address.key)
    if found is not None:
        return Step(found)
    base, detail = split_detail(address.local)
    if base == address.local:
        return None
    key = Address(base, address.domain).key
    found = _at(view, key)
    return None if found is None else Step(found, detail)


def _at(view: View, key: str) -> Record | Alias | GroupRow | None:
    return view.account_at(key) or view.alias_at(key) or view.group_at(key)


def look_everywhere(view: View, address: Address) -> Step | None:
    """As :func:`look`, then the catch-all."""
    step = look(view, address)
    if step is not None:
        return step
    alias = view.alias_at(Address(CATCH_ALL, address.domain).key)
    return None if alias is None else Step(alias, split_detail(address.local)[1])


def expand(view: View, address: Address, is_local: Callable[[str], bool]) -> Expansion:
    """
    Who receives mail for an address: enabled accounts and groups, and addresses elsewhere, in the order of the aliases' targets.

    A recipient's detail is the given address's; without one, that of the first target on the way that has one.  Its owner is that
    of the last list on the way.

    :param is_local: whether a domain is ours; what is not found there is nobody's address.
    """
    recipients: dict[AccountId, Recipient] = {}
    forwards: dict[str, Forward] = {}
    seen: set[str] = set()
    waiting = [Way(look_everywhere(view, address), address)]
    while waiting:
        way = waiting.pop()
        step = way.step
        if step is None:
            if not is_local(way.address.domain):
                forwards.setdefault(way.address.key, Forward(way.address, way.owner))
            continue
        detail = way.detail or step.detail
        found = step.found
        if isinstance(found, Record):
            if found.account.enabled:
                recipients.setdefault(found.account.id, Recipient(found.account, address, detail, way.owner))
        elif isinstance(found, GroupRow):
            recipients.setdefault(found.id, Recipient(account_of(found), address, detail, way.owner))
            owner = owner_of(view, found.address) or way.owner
            for one in found.forwards:
                forwards.setdefault(one.key, Forward(one, owner))
        elif way.depth < MAX_DEPTH and found.address.key not in seen:
            seen.add(found.address.key)
            owner = owner_of(view, found.address) or way.owner
            waiting.extend(Way(look(view, one), one, detail, owner, way.depth + 1) for one in reversed(found.targets))
    return Expansion(tuple(recipients.values()), tuple(forwards.values()))


@dataclass(frozen=True, slots=True)
class Way:
    """How far an expansion has come."""

    step: Step | None
    address: Address
    detail: str = ""
    owner: Address | None = None
    depth: int = 0


def owner_of(view: View, address: Address | None) -> Address | None:
    """Who looks after a list: whoever has the address ``owner-`` and its name; None where nobody has it."""
    if address is None:
        return None
    owner = Address(f"{OWNER}{address.local}", address.domain)
    return None if look(view, owner) is None else owner


def is_circular(view: View, alias: Alias) -> bool:
    """Whether a new alias would lead back to itself, or further than :data:`MAX_DEPTH` aliases."""
    own = alias.address.key
    seen: set[str] = set()
    level: Iterable[Address] = alias.targets
    for _ in range(MAX_DEPTH):
        further: list[Address] = []
        for target in level:
            if target.key == own or (base_of(target).key == own and not holds_address(view, target)):
                return True
            step = look(view, target)
            if step is not None and isinstance(step.found, Alias) and step.found.address.key not in seen:
                seen.add(step.found.address.key)
                further.extend(step.found.targets)
        if not further:
            return False
        level = further
    return True


def holds_address(view: View, address: Address) -> bool:
    """Whether an account, alias or group has exactly this address."""
    return _at(view, address.key) is not None


def account_of(row: GroupRow) -> Account:
    """A group with an address as those see it who deliver."""
    address = row.address or Address(row.name, "invalid")
    return Account(row.id, row.name, address, row.quota, True, row.messages)
