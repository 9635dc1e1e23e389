"""
Reading the configuration again while the daemon runs: what changes at once, what waits for a restart, ``launcelot reload``.

At once: certificates and all of ``[tls]``; every setting of a service, for those who connect from now on; services and endpoints
that come or go; ``stop_limit``, ``proxy_networks`` and ``keep_abandoned``.  The rest belongs to things that are open and in
use: it is named, and counts when the daemon is started again.  A configuration with any fault changes nothing.
"""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcelot.app.asking import ask
from launcelot.app.configuration import Configuration, configuration_for
from launcelot.app.errors import OK, Ending
from launcelot.app.streams import Streams

AT_ONCE: Mapping[str, frozenset[str]] = {
    "daemon": frozenset({"stop_limit", "proxy_networks"}),
    "accounts": frozenset(),
    "files": frozenset({"keep_abandoned"}),
    "relay": frozenset(),
    "checks": frozenset(),
    "dkim": frozenset(),
    "trace": frozenset(),
    "oauth": frozenset(),
}
"""Settings beside ``[tls]`` and the services' that count without a restart."""

AT_START = frozenset({"accounts.first", "accounts.make_first"})
"""Settings that mean something only when the daemon starts, so that a change needs no word."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """
    What became of a reload.

    :ivar services: whose settings changed.
    :ivar opened: URLs or paths of new endpoints; ``closed`` those of endpoints that are gone.
    :ivar restart: dotted keys whose change waits for a restart.
    """

    certificate: bool = False
    services: Sequence[str] = ()
    opened: Sequence[str] = ()
    closed: Sequence[str] = ()
    restart: Sequence[str] = ()

    def __str__(self) -> str:
        """All of it in one line."""
        said = [f"{words} {', '.join(named)}" for words, named in self._parts() if named]
        return f"configuration read again: {'; '.join(said) or 'nothing changed'}"

    def _parts(self) -> list[tuple[str, Sequence[str]]]:
        return [
            ("new settings for", self.services),
            ("new", ["certificate"] if self.certificate else []),
            ("listening on", self.opened),
            ("no longer on", self.closed),
            ("after a restart:", self.restart),
        ]


def merge(now: Configuration, wanted: Configuration) -> tuple[Configuration, list[str]]:
    """
    What a running daemon can take on of a new configuration.

    :returns: the configuration from now on, and the keys that wait for a restart.
    """
    groups: dict[str, Any] = {}
    waiting: list[str] = []
    for name, at_once in AT_ONCE.items():
        old, new = getattr(now, name), getattr(wanted, name)
        groups[name] = dataclasses.replace(old, **{key: getattr(new, key) for key in at_once})
        waiting += [
            f"{name}.{one.name}"
            for one in dataclasses.fields(old)
            if one.name not in at_once and getattr(old, one.name) != getattr(new, one.name)
        ]
    merged = dataclasses.replace(
        now, tls=wanted.tls, services=wanted.services, guests=wanted.guests, lines=wanted.lines, **groups
    )
    return merged, [key for key in waiting if key not in AT_START]


def main(given: Namespace, streams: Streams) -> int:
    """
    ``launcelot reload``.

    :raises Ending: no daemon runs on the data folder, or the configuration has faults, which it says.
    """
    answer = ask(configuration_for(given.config, given.data).admin_socket, {"ask": "reload"})
    if "refused" in answer:
        raise Ending(str(answer["refused"]), int(answer["status"]))
    if given.json:
        streams.say_json(answer)
    else:
        streams.say(str(Reloaded(**answer)))
    return OK
