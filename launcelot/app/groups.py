"""``launcelot group``: groups of accounts, with the daemon running or not; see :mod:`launcelot.app.people`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from launcelot.accounts.interface import Group
from launcelot.app.errors import OK
from launcelot.app.people import check_way_out, forgetting, opened, tell
from launcelot.app.stores import run_now
from launcelot.app.streams import Streams
from launcelot.message.address import Address, parse_mailbox


def add_group(given: Namespace, streams: Streams) -> int:
    """Make a group, with its first members."""
    with opened(given, make=True) as base:
        names, addresses = sorted_out(given.members)
        check_way_out(base, addresses)
        group = run_now(base.directory.add_group(given.name, given.quota, given.messages))
        if given.address:
            group = run_now(base.directory.address_group(group.name, base.address(given.address)))
        if given.members:
            group = run_now(base.directory.change_members(group.name, names))
            group = run_now(base.directory.change_forwards(group.name, addresses))
    tell(given, streams, described(group), f"added {line_of(group)}")
    return OK


def list_groups(given: Namespace, streams: Streams) -> int:
    """All groups with their members."""
    with opened(given, make=False) as base:
        groups = run_now(base.directory.groups())
    if given.json:
        streams.say_json({"groups": [described(group) for group in groups]})
    else:
        streams.say(*map(line_of, groups))
    return OK


def change_group(given: Namespace, streams: Streams) -> int:
    """Change a group's limits, or its address."""
    with opened(given, make=False) as base:
        group = run_now(base.directory.change_group(given.name, quota=given.quota, messages=given.messages))
        if given.address is not None:
            address = base.address(given.address) if given.address else None
            group = run_now(base.directory.address_group(group.name, address))
    tell(given, streams, described(group), line_of(group))
    return OK


def join_group(given: Namespace, streams: Streams) -> int:
    """Take accounts into a group."""
    with opened(given, make=False) as base:
        names, addresses = sorted_out(given.members)
        check_way_out(base, addresses)
        group = run_now(base.directory.change_members(given.name, add=names))
        group = run_now(base.directory.change_forwards(given.name, add=addresses))
    tell(given, streams, described(group), line_of(group))
    return OK


def leave_group(given: Namespace, streams: Streams) -> int:
    """Take accounts out of a group."""
    with opened(given, make=False) as base:
        names, addresses = sorted_out(given.members)
        group = run_now(base.directory.change_members(given.name, remove=names))
        group = run_now(base.directory.change_forwards(given.name, remove=addresses))
    tell(given, streams, described(group), line_of(group))
    return OK


def sorted_out(members: Sequence[str]) -> tuple[list[str], list[Address]]:
    """
    Names of accounts, and addresses elsewhere.

    :raises Invalid: what should be an address is none.
    """
    names = [one for one in members if "@" not in one]
    addresses = [parse_mailbox(one) for one in members if "@" in one]
    return names, addresses


def remove_group(given: Namespace, streams: Streams) -> int:
    """Remove a group, then its mail."""
    with opened(given, make=False) as base:
        group = run_now(base.directory.group(given.name))
        with forgetting(base.configuration) as forget:
            removed = run_now(base.directory.remove_group(group.name))
            forget(removed.id)
    tell(given, streams, described(removed), f"removed {removed.name} with its mail")
    return OK


def described(group: Group) -> dict[str, Any]:
    """A group for programs."""
    return {
        "group": group.name,
        "members": list(group.members),
        "quota": group.quota,
        "messages": group.messages,
        "address": str(group.address) if group.address else None,
        "forwards": [str(one) for one in group.forwards],
    }


def line_of(group: Group) -> str:
    """A group for people."""
    words = [f"{group.name}: {', '.join([*group.members, *map(str, group.forwards)]) or 'nobody'}"]
    if group.address:
        words.append(f"<{group.address}>")
    if group.quota:
        words.append(f"{group.quota} octets")
    if group.messages:
        words.append(f"{group.messages} messages")
    return "  ".join(words)
