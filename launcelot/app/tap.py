"""
What twistd's plugins run: options and service makers, one for the whole daemon and one for each service.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import AuthOptionMixin
from twisted.python import usage

import launcelot
from launcelot.app.activation import activated
from launcelot.app.catalogue import SERVICES, Place
from launcelot.app.configuration import Configuration, configuration_for, endpoint_fault
from launcelot.app.errors import CONFIGURATION, Ending
from launcelot.app.guests import BadGuest, entry_of
from launcelot.app.roof import Leaving, say, take_reactor
from launcelot.app.settings import worker_count
from launcelot.hosting.inherited import environment_at_start, inherited

LONG = """\
Without options it serves on this machine only, with unprivileged ports, data in a per-user folder, a certificate of its own
and, the first time, an account whose password is shown once.

Endpoints are given in Twisted's endpoint syntax, such as tcp:2525:interface=127.0.0.1; an option that names one may be
repeated, and takes the place of what the configuration says.  Configuration: launcelot config example.

Checkers named with --auth are asked about a password before the account base; who logs in must have an account there.

Exit codes: 69 a port or the data folder is in use, 73 the folder cannot be written, 78 configuration or certificate is wrong.
"""


class DaemonOptions(usage.Options, AuthOptionMixin):
    """Options that every maker has; subclasses name their services."""

    supportedInterfaces = (IUsernamePassword,)
    synopsis = ""
    services: Sequence[str] = ()
    """The services that run; empty for those the configuration enables."""
    profile = ""
    """Whose listeners are opened where neither configuration nor options name one."""

    optParameters = [
        ["config", "c", None, "configuration file (default: launcelot.toml in the data folder if there is one)"],
        ["data", "d", None, "data folder (default: launcelot in $XDG_DATA_HOME or ~/.local/share)"],
        ["workers", "w", None, "processes that serve (default: 1)", worker_count],
    ]

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self.endpoints: dict[tuple[str, str], list[str]] = {}
        self.configuration: Configuration | None = None
        self.sockets = inherited(environment_at_start(), os.getpid())
        self.auth: list[str] = []

    def opt_auth(self, description: str) -> None:
        """Specify an authentication method for the server."""
        take: Callable[[DaemonOptions, str], None] = AuthOptionMixin.opt_auth
        take(self, description)
        self.auth.append(description)

    def addChecker(self, checker: Any) -> None:
        """Take a checker of ``--auth``, with names and passwords in octets."""
        if isinstance(checker, InMemoryUsernamePasswordDatabaseDontUse):
            # Twisted's own "memory:" fills it with str, and then no credentials of any protocol ever match.
            checker.users = {in_octets(name): in_octets(word) for name, word in checker.users.items()}
        AuthOptionMixin.addChecker(self, checker)

    def opt_version(self) -> None:
        """Show the version and leave."""
        print(f"launcelot {launcelot.__version__}")
        raise SystemExit(0)

    def take(self, service: str, key: str, endpoint: str) -> None:
        """
        Note an endpoint.

        :raises usage.UsageError: it is not one.
        """
        fault = endpoint_fault(endpoint)
        if fault:
            raise usage.UsageError(fault)
        self.endpoints.setdefault((service, key), []).append(endpoint)

    def postOptions(self) -> None:
        """Read the configuration, so that what is wrong with it is said before anything goes into the background."""
        if self["config"]:
            # It is read again on reload, when the working folder may be another.
            self["config"] = os.path.abspath(self["config"])
        try:
            self.configuration = self.configured()
        except Ending as ending:
            say(ending.text)
            raise SystemExit(ending.status) from ending

    def configured(self) -> Configuration:
        """
        The configuration with what the options change.

        :raises Ending: the file is wrong.
        """
        configuration = configuration_for(self["config"], self["data"])
        if self.services:
            configuration = configuration.only(self.services)
        if self["workers"]:
            configuration = configuration.with_workers(self["workers"])
        return activated(configuration.listening(self.endpoints or self.usual(configuration)), self.sockets)

    def usual(self, configuration: Configuration) -> dict[tuple[str, str], list[str]]:
        """Endpoints on this machine for the listeners of the profile, if nobody has named one."""
        found: dict[tuple[str, str], list[str]] = {}
        for name in self.services if self.profile else ():
            places = entry_of(name).places.values()
            if not any(getattr(configuration.services[name], place.setting) for place in places):
                for place in places:
                    if place.profile == self.profile:
                        found[name, place.setting] = [f"{place.kind}:{place.default}:interface=127.0.0.1"]
        return found


def in_octets(text: str | bytes) -> bytes:
    """Text in UTF-8."""
    return text.encode() if isinstance(text, str) else text


def taker(service: str, place: Place, profile: str = "") -> Callable[[DaemonOptions, str], None]:
    """The method of one endpoint option; its docstring is the option's help."""

    def opt(self: DaemonOptions, endpoint: str) -> None:
        self.take(service, place.setting, endpoint)

    usual = f"127.0.0.1 port {place.default}" if place.usual or place.profile == profile != "" else "none"
    opt.__doc__ = (
        f"endpoint to listen on, may be repeated (default: {usual}; the standard port is {place.standard})"
    )
    return opt


def options_for(tapname: str, services: Sequence[str], profile: str = "") -> type[DaemonOptions]:
    """
    The options class of one maker, with an option for each of its services' endpoints.

    :raises BadGuest: one is a guest that cannot be used.
    """
    entries = {name: entry_of(name) for name in services or SERVICES}
    titles = "; ".join(entry.title for entry in entries.values())
    members: dict[str, Any] = {
        "__doc__": f"Options of {tapname}.",
        "services": tuple(services),
        "profile": profile,
        "synopsis": "[--config FILE] [--data DIR] [endpoints]",
        "longdesc": f"{titles}.\n\n{LONG}",
    }
    for name, entry in entries.items():
        for place, where in entry.places.items():
            members[f"opt_{place.replace('-', '_')}"] = taker(name, where, profile)
    return type("Options", (DaemonOptions,), members)


@dataclasses.dataclass
class Maker:
    """
    What ``twisted.application.service.ServiceMaker`` looks for behind a plugin's name.

    :ivar services: the services that run; empty for all.
    :ivar profile: whose listeners are opened if nobody names one.
    """

    tapname: str
    services: tuple[str, ...] = ()
    profile: str = ""

    @property
    def Options(self) -> type[DaemonOptions]:
        """The options class; where a guest cannot be used the program ends with one line."""
        try:
            return options_for(self.tapname, self.services, self.profile)
        except BadGuest as bad:
            say(bad.text)
            raise SystemExit(CONFIGURATION) from bad

    def makeService(self, options: DaemonOptions) -> Any:
        """Build the daemon; nothing is opened, made or bound yet."""
        from launcelot.app.run import build_daemon

        reactor = take_reactor()
        return build_daemon(reactor, options, Leaving(reactor))


everything = Maker("launcelot")
questions = Maker("launcelot-questions", ("questions",))
smtp = Maker("launcelot-smtp", ("smtp",))
imap = Maker("launcelot-imap", ("imap",))
pop3 = Maker("launcelot-pop3", ("pop3",))
managesieve = Maker("launcelot-managesieve", ("managesieve",))
ftp = Maker("launcelot-ftp", ("ftp",))
book = Maker("launcelot-book", ("book",), profile="book")
