"""The daemon's services, built for a test: only those listeners that are asked for, on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from launcelot.app.catalogue import SERVICES, ServiceEntry
from launcelot.hosting.listening import Listeners
from launcelot.hosting.site import Site

__tracebackhide__ = True
"""pytest shows the test's line, not ours."""

HOST = "127.0.0.1"

DNS = "dns"
"""A name server, which is the kit's own; see :mod:`launcelot.testing.nameserver`."""

QUICK: Mapping[str, Mapping[str, Any]] = {"smtp": {"error_delay": 0.0}}
"""Settings of services that differ from the daemon's: nobody is made to wait here."""


def entries(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """
    Names of listeners by the service that they are of, such as ``{"imap": ["imap", "imaps"]}``.

    :raises LookupError: there is no such listener; the text says which there are.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        if name not in _SERVICE_OF:
            raise LookupError(f"there is no service {name!r}; there are {', '.join([*_SERVICE_OF, DNS])}")
        found.setdefault(_SERVICE_OF[name], []).append(name)
    return found


def wants_tls(names: Sequence[str]) -> bool:
    """Whether a listener is among them that needs a certificate."""
    return any(name.endswith(("-tls", "imaps", "pop3s", "ftps", "submissions")) for name in names)


def build(
    site: Site,
    service: str,
    names: Sequence[str],
    settings: Mapping[str, Any],
    ports: Mapping[str, int] | None = None,
    host: str = HOST,
) -> Listeners:
    """
    One service that listens under some of its names only.

    :param ports: by listener; the system chooses those that are not given.
    :param host: the address that it listens at.
    :raises LookupError: there is no such setting; the text says which there are.
    """
    entry: ServiceEntry = SERVICES[service]
    places: dict[str, Any] = {place.setting: () for place in entry.places.values()}
    for name in names:
        place = entry.places[name]
        places[place.setting] = (f"{place.kind}:{(ports or {}).get(name, 0)}:interface={host}",)
    chosen = {**QUICK.get(service, {}), **settings}
    try:
        values = _settings(service, tuple({**places, **chosen}.items()))
    except TypeError:
        # Something in them cannot be looked up; to make them anew takes longer.
        values = _settings.__wrapped__(service, tuple({**places, **chosen}.items()))
    built: Listeners = entry.builder()(site, values)
    return built


@lru_cache(maxsize=64)
def _settings(service: str, chosen: tuple[tuple[str, Any], ...]) -> Any:
    """Settings, which never change, and are the same in most tests."""
    group = SERVICES[service].settings()
    known = group.__dataclass_fields__
    for name, _ in chosen:
        if name not in known:
            raise LookupError(f"{service} has no setting {name!r}; it has {', '.join(sorted(known))}")
    return group(**dict(chosen))


_SERVICE_OF = {place: service for service, entry in SERVICES.items() for place in entry.places}
"""The service that a listener is of."""
