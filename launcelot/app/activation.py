"""
Socket activation: which listener each socket that we were started with belongs to.

A socket whose name is that of a listener (``FileDescriptorName=imaps``) is that listener's; any other goes by its port, the
standard one of a listener or else the usual one.  So one socket unit can hold all ports, although systemd gives all sockets
of a unit one name.  Such sockets take the place of the endpoints that are configured for their listener; a socket that a
configured ``systemd:`` endpoint names is left to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from launcelot.app.catalogue import Place
from launcelot.app.configuration import Configuration
from launcelot.app.errors import CONFIGURATION, Ending
from launcelot.hosting.inherited import Inherited, chosen

Key = tuple[str, str]
"""A service and the setting that holds endpoints."""


def activated(configuration: Configuration, sockets: Sequence[Inherited]) -> Configuration:
    """
    The configuration with the sockets in their places.

    :raises Ending: a socket belongs to no listener of a service that runs.
    """
    spoken_for = set(_named_by(configuration, sockets))
    endpoints: dict[Key, list[str]] = {}
    for index, given in enumerate(sockets):
        if given not in spoken_for:
            endpoints.setdefault(place_of(given, configuration), []).append(f"systemd:index={index}")
    return configuration.listening(endpoints)


def _named_by(configuration: Configuration, sockets: Sequence[Inherited]) -> Iterator[Inherited]:
    for service, settings in configuration.services.items():
        for place in configuration.entry(service).places.values():
            for endpoint in getattr(settings, place.setting):
                if endpoint.removeprefix("proxied:").startswith("systemd:"):
                    try:
                        yield chosen(endpoint.removeprefix("proxied:"), sockets)
                    except ValueError:
                        # Listening there fails, and says why.
                        continue


def place_of(given: Inherited, configuration: Configuration) -> Key:
    """
    Where a socket belongs.

    :raises Ending: nowhere.
    """
    kind = "udp" if given.is_datagram else "tcp"
    places = [
        (service, name, place)
        for service in configuration.services
        for name, place in configuration.entry(service).places.items()
        if place.kind == kind
    ]
    for matches in (_by_name, _by_standard_port, _by_usual_port):
        for service, name, place in places:
            if matches(given, name, place):
                return service, place.setting
    what = f"{given.name or 'without a name'}, {f'port {given.port}' if given.port else 'a Unix socket'}"
    text = f"a socket that systemd gave us ({what}) belongs to no service that runs"
    raise Ending(f"{text}; name it with FileDescriptorName=, or take it out of the unit", CONFIGURATION)


def _by_name(given: Inherited, name: str, place: Place) -> bool:
    return given.name == name


def _by_standard_port(given: Inherited, name: str, place: Place) -> bool:
    return given.port > 0 and given.port == place.standard


def _by_usual_port(given: Inherited, name: str, place: Place) -> bool:
    return given.port > 0 and given.port == place.default
