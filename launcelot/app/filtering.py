"""
Checks that guests offer, and the rules for the list of filters.

A distribution offers one in the group :data:`GROUP`; the entry point is a class, or a function, that is called without arguments
and gives a :class:`~launcelot.checks.interface.Check`.  Nothing of it is imported until a configuration names it.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from launcelot.app.guests import BadGuest, cause, who
from launcelot.checks.interface import Check
from launcelot.filters.entries import parse_filter

GROUP = "launcelot.checks"


def guest_check(name: str) -> Check:
    """
    The check of a name.

    :raises BadGuest: there is none, there are two, or it cannot be used.
    """
    points = entry_points(group=GROUP, name=name)
    if not points:
        raise BadGuest(f"no installed distribution offers a check {name!r}; install it in this environment")
    if len(points) > 1:
        both = " and ".join(sorted(map(who, points)))
        raise BadGuest(f"{both} offer a check {name!r} both; uninstall one of them")
    (point,) = points
    try:
        found = point.load()()
    except (Exception, SystemExit) as error:
        why = f"cannot be made: {cause(error)}; tell its author, or take it out of checks.filters"
        raise BadGuest(f"the check {name!r} of {who(point)} {why}") from error
    if not isinstance(found, Check):
        raise BadGuest(f"the check {name!r} of {who(point)} is no launcelot.checks.interface.Check; tell its author")
    return found


def check_filter(text: str) -> None:
    """
    Look at an entry of ``checks.filters``.

    :raises ValueError: it cannot be used; the text is for people.
    """
    wanted = parse_filter(text)
    if wanted.place is None:
        try:
            guest_check(wanted.name)
        except BadGuest as bad:
            raise ValueError(bad.text) from bad
