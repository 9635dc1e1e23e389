"""
Rights on mailboxes, and the one decision who has which.  RFC 4314.

An access list has entries by identity: ``anyone``, ``account:`` or ``group:`` and an id (never a name, which somebody else may
have later).  A dash before an identity makes the entry one of rights that are taken away.  Rights are single letters;
``c`` and ``d`` of RFC 2086 stand for ``kx`` and ``te``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum

from launcelot.core.errors import Invalid
from launcelot.core.ids import AccountId

Rights = frozenset[str]
Entries = Mapping[str, Rights]
"""An access list: rights by identity."""

ORDER = "lrswipkxtea"
"""Every right, in the order in which they are written.  RFC 4314 section 2.1."""
ALL: Rights = frozenset(ORDER)
NONE: Rights = frozenset()
MEMBERS: Rights = ALL - {"a"}
"""What members have on the mail of their group while its access list says nothing of the group."""
STEWARDS: Rights = frozenset("la")
"""What administrators have on the mail of groups, whatever its access list says."""
FLAGS: Rights = frozenset("swt")
"""Those that let flags be changed."""
WRITING: Rights = FLAGS | {"i", "e"}
"""Without any of these a mailbox is read-only.  RFC 4314 section 5.2."""
ANYONE = "anyone"
VIRTUAL: Mapping[str, Rights] = {"c": frozenset("kx"), "d": frozenset("te")}
"""Letters that stand for several rights.  RFC 4314 section 2.1.1."""
MAX_ENTRIES = 1_000
"""Entries in one access list."""


class Change(Enum):
    """How given rights are combined with those an entry has.  RFC 4314 section 3.1."""

    REPLACE = ""
    ADD = "+"
    REMOVE = "-"

    def apply(self, before: Rights, given: Rights) -> Rights:
        """What the entry has then."""
        if self is Change.ADD:
            return before | given
        return before - given if self is Change.REMOVE else given


def account_identity(id: AccountId) -> str:
    """How an account is called in access lists."""
    return f"account:{id}"


def group_identity(id: AccountId) -> str:
    """How a group is called in access lists."""
    return f"group:{id}"


def identities(id: AccountId, groups: Iterable[AccountId]) -> frozenset[str]:
    """All that an account is called, as a member of these groups."""
    return frozenset({ANYONE, account_identity(id), *map(group_identity, groups)})


def decide(entries: Entries, identities: Collection[str]) -> Rights:
    """
    What somebody may do: all that any fitting entry gives, less all that any negative one takes away.

    This is the only place where entries become rights.  RFC 4314 section 2 leaves the rule to us.
    """
    given: set[str] = set()
    taken: set[str] = set()
    for identity in identities:
        given |= entries.get(identity, NONE)
        taken |= entries.get("-" + identity, NONE)
    return frozenset(given - taken)


def read_rights(text: str) -> Rights:
    """
    Rights from their letters.

    :raises Invalid: there is a letter that is no right.
    """
    found: set[str] = set()
    for letter in text:
        found |= VIRTUAL.get(letter, frozenset(letter))
    if not found <= ALL:
        raise Invalid("no such right")
    return frozenset(found)


def write_rights(rights: Rights) -> str:
    """Rights as letters, with ``c`` and ``d`` where any of theirs is among them."""
    return "".join([*kept(rights), *(letter for letter, member in VIRTUAL.items() if rights & member)])


def kept(rights: Rights) -> str:
    """Rights as they are stored."""
    return "".join(letter for letter in ORDER if letter in rights)


def right_for(flag: str) -> str:
    """The right that changing a flag needs.  RFC 4314 section 4."""
    return {"\\seen": "s", "\\deleted": "t"}.get(flag.lower(), "w")


def permitted(flags: Iterable[str], rights: Rights) -> Sequence[str]:
    """Those flags that may be changed."""
    return [flag for flag in flags if right_for(flag) in rights]
