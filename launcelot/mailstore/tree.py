"""
The mailbox names of an account as one tree: what may be made, deleted and renamed, and how it is listed.

Only names that were made are kept; a name above one of them that was not made (or was deleted) is listed as one that
cannot be selected.  RFC 9051 sections 6.3.4 to 6.3.6.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from launcelot.core.errors import Exists, Invalid, LimitReached, NotFound, NotPermitted
from launcelot.mailstore.interface import INBOX, MailboxInfo
from launcelot.mailstore.names import canonical, is_below, known, order, parents

MAX_MAILBOXES = 10_000
"""Mailboxes of one account."""
MAX_SUBSCRIPTIONS = 10_000
"""Subscribed names of one account."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one mailbox's place in the tree."""

    id: str
    name: str
    special_use: str = ""


def to_create(names: Collection[str], name: str) -> list[str]:
    """
    The names to make so that ``name`` exists: those missing above it, then itself.

    :raises Exists: the name is taken.
    :raises Invalid: the name is impossible.
    :raises LimitReached: there would be more than :data:`MAX_MAILBOXES`.
    """
    name = canonical(name)
    if name in names:
        raise Exists("mailbox already exists")
    missing = [above for above in parents(name) if above not in names]
    if len(names) + len(missing) + 1 > MAX_MAILBOXES:
        raise LimitReached("too many mailboxes")
    return [*missing, name]


def to_delete(names: Collection[str], name: str) -> str:
    """
    The one spelling of a name that may be deleted.

    :raises NotFound: there is none.
    :raises NotPermitted: it is INBOX, or only a name with others below it.
    """
    found = known(name)
    if found == INBOX:
        raise NotPermitted("INBOX cannot be deleted")
    if found is None or found not in names:
        if found is not None and any(is_below(other, found) for other in names):
            raise NotPermitted("the name only holds other mailboxes")
        raise NotFound("no such mailbox")
    return found


def may_subscribe(others: int) -> None:
    """
    Refuse more subscriptions than are kept.

    :param others: how many other names are subscribed.
    :raises LimitReached: :data:`MAX_SUBSCRIPTIONS` are.
    """
    if others >= MAX_SUBSCRIPTIONS:
        raise LimitReached("too many subscriptions")


def to_rename(names: Collection[str], name: str, to: str) -> dict[str, str]:
    """
    New names by old ones, for a mailbox and all below it; of INBOX only itself, whose messages move.

    :raises NotFound: there is none.
    :raises Exists: a new name is taken.
    :raises Invalid: a new name is impossible or lies below the old one.
    """
    target = canonical(to)
    found = known(name)
    if found is None:
        raise NotFound("no such mailbox")
    if found == INBOX:
        moved = {INBOX: target}
    else:
        moved = {old: target + old[len(found) :] for old in names if old == found or is_below(old, found)}
    if not moved:
        raise NotFound("no such mailbox")
    if is_below(target, found):
        raise Invalid("a mailbox cannot move below itself")
    for new in moved.values():
        if target == found or (canonical(new) in names and new not in moved):
            raise Exists("mailbox already exists")
    return moved


def listing(kept: Iterable[Kept], subscribed: Collection[str]) -> list[MailboxInfo]:
    """All names with those above them, INBOX first, then by name."""
    made = {mailbox.name: mailbox for mailbox in kept}
    above = {parent for name in made for parent in parents(name)}
    return [
        MailboxInfo(
            id=made[name].id if name in made else "",
            name=name,
            selectable=name in made,
            subscribed=name in subscribed,
            has_children=name in above,
            special_use=made[name].special_use if name in made else "",
        )
        for name in sorted(above.union(made), key=order)
    ]
