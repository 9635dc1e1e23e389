"""The checks that a list of filters asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from launcelot.checks.interface import Check
from launcelot.filters.entries import Wanted, parse_filter
from launcelot.filters.lmtp import LmtpCheck
from launcelot.filters.milters import MilterCheck
from launcelot.filters.rspamd import RspamdCheck
from launcelot.hosting.deadlines import Deadlines


def build_filters(
    entries: Sequence[str], reactor: Any, hostname: str, timeout: float, plugin: Callable[[str], Check]
) -> list[Check]:
    """
    The checks for entries, in order.

    :param timeout: seconds that each filter may take to answer.
    :param plugin: gives a guest's check by its name.
    :raises ValueError: an entry is none.
    """
    deadlines = Deadlines(reactor)

    def check(wanted: Wanted) -> Check:
        place = wanted.place
        if place is None:
            return plugin(wanted.name)
        if wanted.kind == "milter":
            return MilterCheck(reactor, deadlines, place, timeout, wanted.defers)
        if wanted.kind == "rspamd":
            return RspamdCheck(reactor, place, timeout, wanted.defers)
        return LmtpCheck(reactor, deadlines, place, hostname, timeout, wanted.defers)

    return [check(parse_filter(one)) for one in entries]
