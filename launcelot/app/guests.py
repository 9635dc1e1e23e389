"""
Guests: services that other distributions offer, found by their entry points and kept from doing harm.

A distribution offers one in the group :data:`GROUP`::

    [options.entry_points]
    launcelot.services =
        guestbook = launcelot_guestbook.service:SERVICE

The object is a :class:`~launcelot.app.catalogue.ServiceEntry`, as the house's own services have.  A guest is looked for when a
configuration has a table of its name, when its own twistd plugin runs, or for the sample file; until then nothing of it is
imported and nobody reads what is installed.  Whatever is wrong with one, from its import to its listeners, is a
:class:`BadGuest` whose text is cause and remedy in one line, with the place in the guest's code; there is never a traceback.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sysconfig
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from launcelot.app.catalogue import SERVICES, ServiceEntry, named
from launcelot.core.settings import KEY, BadSetting, Problem, check, declared, kind_of, load

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from launcelot.hosting.listening import Listeners
    from launcelot.hosting.site import Site

GROUP = "launcelot.services"

TAKEN = frozenset({"accounts", "config_version", "daemon", "files", "tls"})
"""Keys of the configuration that are no services."""

WORK_LIMIT = 300.0
"""Seconds a guest's session may wait for something other than its peer, unless its factory says how long."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")


class BadGuest(Exception):
    """
    A guest that cannot be used.

    :param text: cause and remedy in one line.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Unfit(Exception):
    """What a guest says of itself is not as it has to be; the text is the rest of a sentence."""


Offers = Mapping[str, Sequence["EntryPoint"]]


def offers() -> Offers:
    """What the installed distributions offer, by name; nothing of theirs is imported."""
    from importlib.metadata import entry_points

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def find(name: str, offered: Offers) -> ServiceEntry:
    """
    The guest of a name, imported and looked at.

    :raises BadGuest: there is none, there are two, the name is taken, or it cannot be used.
    """
    points = offered.get(name, ())
    if not points:
        raise BadGuest(f"no installed distribution offers a service {name!r}; install it in this environment")
    if name in SERVICES or name in TAKEN:
        raise BadGuest(f"{who(points[0])} offers a service {name!r}, which is Launcelot's own name; ask its author for another")
    if len(points) > 1:
        both = " and ".join(sorted(map(who, points)))
        raise BadGuest(f"{both} offer a service {name!r} both; uninstall one of them")
    return _examined(name, points[0])


def _examined(name: str, point: EntryPoint) -> ServiceEntry:
    try:
        entry = point.load()
        examine(name, entry)
    except Unfit as unfit:
        raise BadGuest(f"the service {name!r} of {who(point)} cannot be used: {unfit}; {remedy(name)}") from unfit
    except (Exception, SystemExit) as error:
        raise BadGuest(f"the service {name!r} of {who(point)} cannot be loaded: {cause(error)}; {remedy(name)}") from error
    found: ServiceEntry = entry
    return found


def entry_of(name: str) -> ServiceEntry:
    """
    A service of the house or of a guest.

    :raises BadGuest: see :func:`find`.
    """
    return SERVICES.get(name) or find(name, offers())


def who(point: EntryPoint) -> str:
    """The distribution behind an entry point, with its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def remedy(name: str) -> str:
    """What whoever runs the daemon can do about a guest with a fault."""
    return f"tell its author, and until then set enabled = false in [{name}] or uninstall it"


def cause(error: BaseException) -> str:
    """An exception in one line: its kind, its words and the place it was raised at."""
    words = " ".join(str(error).split())[:200]
    theirs = [one for one in traceback.extract_tb(error.__traceback__) if is_theirs(one.filename)]
    at = f" ({short(theirs[-1].filename)}, line {theirs[-1].lineno})" if theirs and not isinstance(error, SyntaxError) else ""
    return f"{type(error).__name__}: {words}{at}" if words else f"{type(error).__name__}{at}"


def is_theirs(filename: str) -> bool:
    """Whether code is neither ours nor Python's."""
    if filename.startswith(("<", f"{Path(__file__).parents[1]}{os.sep}")):
        return False
    return "site-packages" in filename or not filename.startswith(sysconfig.get_path("stdlib"))


def short(filename: str) -> str:
    """The last two parts of a path."""
    return "/".join(Path(filename).parts[-2:])


# -- what a guest says of itself ---------------------------------------------------------------------------------------


def examine(name: str, entry: object) -> None:
    """
    See whether a service can be configured, checked and built as the house's own are.

    :raises Unfit: it cannot.
    """
    if not _NAME.match(name):
        raise Unfit("its name is not lower-case letters, digits, '-' and '_'")
    if not isinstance(entry, ServiceEntry):
        raise Unfit("the entry point names no launcelot.app.catalogue.ServiceEntry")
    if not callable(entry.builder()):
        raise Unfit(f"{entry.module}.build is no function")
    _examine_settings(entry)
    taken = {place for known in SERVICES.values() for place in known.places}
    for place in entry.places:
        if place in taken:
            raise Unfit(f"its listener {place!r} has the name of one of Launcelot's own")
    for path in entry.checks.values():
        if not callable(named(path)):
            raise Unfit(f"{path} is no function")


def _examine_settings(entry: ServiceEntry) -> None:
    group = entry.settings()
    where = f"{entry.module}.Settings"
    if not (isinstance(group, type) and dataclasses.is_dataclass(group)):
        raise Unfit(f"{where} is no dataclass")
    hints = get_type_hints(group)
    fields = {one.name: one for one in dataclasses.fields(group)}
    for key, one in fields.items():
        if KEY not in one.metadata:
            raise Unfit(f"{where}.{key} is not declared with launcelot.core.settings.setting")
        if not _is_settable(hints[key]):
            raise Unfit(f"{where}.{key} is neither a text, a number, true or false, nor a tuple of them")
        value = list(one.default) if isinstance(one.default, tuple) else one.default
        if wrong := check(value, hints[key], declared(one)):
            raise Unfit(f"the default of {where}.{key} {wrong}")
    if "enabled" in fields:
        raise Unfit(f"{where}.enabled is what every service has already")
    listening = {key for key in fields if key.startswith("listen")}
    if listening != {place.setting for place in entry.places.values()}:
        raise Unfit(f"the settings of {where} that begin with 'listen' and those that its places name are not the same")
    for key in (*listening, *entry.checks):
        if key not in fields:
            raise Unfit(f"{where}.{key} is checked but not there")
        if key in listening and hints[key] != tuple[str, ...]:
            raise Unfit(f"{where}.{key} is no tuple[str, ...] of endpoints")
    group()


def _is_settable(hint: Any) -> bool:
    kind = kind_of(hint)
    if get_origin(kind) is tuple:
        return bool(len(get_args(kind)) == 2 and get_args(kind)[1] is ... and get_args(kind)[0] in (str, int, float, bool))
    return kind in (str, int, float, bool)


# -- what a guest's code is asked ----------------------------------------------------------------------------------------


def settings_from(name: str, entry: ServiceEntry, table: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
    """A guest's settings from its table, and everything wrong with it; its own ``__post_init__`` may refuse values."""
    group = entry.settings()
    try:
        return load(group, table, (name,))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the fence: code that is not ours may raise anything
        text = str(error) if isinstance(error, BadSetting) else f"the service does not take these settings: {cause(error)}"
        return group(), [Problem((name,), text)]


def own_rules(name: str, entry: ServiceEntry, settings: Any) -> Iterator[Problem]:
    """What the checks of a service say of its settings."""
    for key, path in entry.checks.items():
        try:
            named(path)(getattr(settings, key))
        except ValueError as error:
            yield Problem((name, key), str(error))
        except (Exception, SystemExit) as error:
            if name in SERVICES:
                raise
            yield Problem((name, key), f"cannot be checked: {cause(error)}; {remedy(name)}")


def build(name: str, entry: ServiceEntry, site: Site, settings: Any) -> Listeners:
    """
    A guest's service, with a limit on what its sessions wait for.

    :raises BadGuest: it cannot be built, or is not what the daemon can run.
    """
    try:
        built = entry.builder()(site, settings)
        _examine_listeners(entry, built)
    except (BadSetting, BadGuest):
        raise
    except Unfit as unfit:
        raise BadGuest(f"the service {name!r} cannot be used: {unfit}; {remedy(name)}") from unfit
    except (Exception, SystemExit) as error:
        raise BadGuest(f"the service {name!r} cannot be built: {cause(error)}; {remedy(name)}") from error
    listeners: Listeners = built
    for one in listeners.listeners:
        if one.factory.work_limit is None:
            one.factory.work_limit = WORK_LIMIT
    return listeners


def _examine_listeners(entry: ServiceEntry, built: object) -> None:
    from launcelot.hosting.listening import Listeners
    from launcelot.hosting.server import ServerFactory

    if not isinstance(built, Listeners):
        raise Unfit(f"{entry.module}.build gave no launcelot.hosting.listening.Listeners")
    for one in built.everything:
        if one.name not in entry.places:
            raise Unfit(f"its listener {one.name!r} is none of its places")
    for one in built.listeners:
        if not isinstance(one.factory, ServerFactory):
            raise Unfit(f"the factory of its listener {one.name!r} is no launcelot.hosting.server.ServerFactory")
