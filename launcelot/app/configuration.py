"""
The configuration: one TOML file, checked as a whole.

Every key is declared once, in the dataclass of its group (:mod:`launcelot.core.settings`).  Reading never stops at the first
problem: :func:`read` gives the configuration with defaults in place of what is wrong, and everything that is wrong with its
line.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcelot.accounts.names import canonical
from launcelot.accounts.tokens import TokenSettings
from launcelot.accounts.tokens import problems as token_problems
from launcelot.app.catalogue import SERVICES, ServiceEntry, settings_of
from launcelot.app.errors import CANNOT_CREATE, CONFIGURATION, Ending
from launcelot.app.filtering import check_filter
from launcelot.app.guests import BadGuest, Offers, entry_of, find, offers, own_rules, settings_from
from launcelot.app.positions import Positions, key_lines, line_of
from launcelot.app.settings import (
    CONFIG_VERSION,
    AccountSettings,
    DaemonSettings,
    FileSettings,
    ServiceSwitch,
    TlsSettings,
    TraceSettings,
    default_data,
)
from launcelot.checks.dnsbl import parse_zone
from launcelot.checks.settings import CheckSettings
from launcelot.checks.signing import SigningSettings
from launcelot.core.errors import Invalid
from launcelot.core.settings import Problem, describe, load, unknown
from launcelot.filestore.teamtree import check_place
from launcelot.hosting.proxy import PROXIED, networks
from launcelot.mailstore.furnishing import furnishing
from launcelot.message.address import parse_domain
from launcelot.relay.routes import Tls, parse_route, server_of
from launcelot.relay.settings import RelaySettings

GROUPS: Mapping[str, type[Any]] = {
    "daemon": DaemonSettings,
    "accounts": AccountSettings,
    "files": FileSettings,
    "tls": TlsSettings,
    "relay": RelaySettings,
    "checks": CheckSettings,
    "dkim": SigningSettings,
    "trace": TraceSettings,
    "oauth": TokenSettings,
}
"""The tables that are not services."""


@dataclass(frozen=True)
class Configuration:
    """
    Everything that can be set.

    :ivar services: settings of the services that run, by name.
    :ivar guests: what those among them that are not of the house say of themselves.
    :ivar lines: where the file says what; empty without one.
    """

    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    accounts: AccountSettings = field(default_factory=AccountSettings)
    files: FileSettings = field(default_factory=FileSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    relay: RelaySettings = field(default_factory=RelaySettings)
    checks: CheckSettings = field(default_factory=CheckSettings)
    dkim: SigningSettings = field(default_factory=SigningSettings)
    trace: TraceSettings = field(default_factory=TraceSettings)
    oauth: TokenSettings = field(default_factory=TokenSettings)
    services: Mapping[str, Any] = field(default_factory=dict)
    guests: Mapping[str, ServiceEntry] = field(default_factory=dict)
    lines: Positions = field(default_factory=dict, compare=False)

    @property
    def data(self) -> Path:
        """The data folder."""
        return Path(self.daemon.data) if self.daemon.data else default_data()

    @property
    def dkim_folder(self) -> Path:
        """Where the keys are that mail is signed with."""
        return Path(self.dkim.folder) if self.dkim.folder else self.data / "dkim"

    @property
    def trail_folder(self) -> Path:
        """Where the trail of mail is kept."""
        return self.data / "trail"

    @property
    def admin_socket(self) -> Path:
        """Where ``launcelot status`` asks."""
        return Path(self.daemon.admin_socket) if self.daemon.admin_socket else self.data / "admin.sock"

    def with_data(self, data: str) -> Configuration:
        """The same in another data folder."""
        return dataclasses.replace(self, daemon=dataclasses.replace(self.daemon, data=data))

    def with_workers(self, count: int) -> Configuration:
        """The same with so many processes."""
        return dataclasses.replace(self, daemon=dataclasses.replace(self.daemon, workers=count))

    def entry(self, name: str) -> ServiceEntry:
        """What a service that runs says of itself."""
        return SERVICES.get(name) or self.guests[name]

    def only(self, names: Sequence[str]) -> Configuration:
        """
        The same with these services only, which then run whether they were enabled or not.

        :raises Ending: one is a guest that cannot be used.
        """
        try:
            entries = {name: self.guests.get(name) or entry_of(name) for name in names}
        except BadGuest as bad:
            raise Ending(bad.text, CONFIGURATION) from bad
        chosen = {name: self.services.get(name) or entry.settings()() for name, entry in entries.items()}
        return dataclasses.replace(
            self, services=chosen, guests={name: entry for name, entry in entries.items() if name not in SERVICES}
        )

    def listening(self, endpoints: Mapping[tuple[str, str], Sequence[str]]) -> Configuration:
        """
        The same with other endpoints.

        :param endpoints: by service and name of the setting, such as ``("imap", "listen_tls")``.
        """
        services = dict(self.services)
        for (name, key), chosen in endpoints.items():
            if name in services:
                services[name] = dataclasses.replace(services[name], **{key: tuple(chosen)})
        return dataclasses.replace(self, services=services)


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One thing wrong with a configuration file.

    :ivar line: from 1.
    :ivar key: dotted; empty for the file as a whole.
    """

    line: int
    key: str
    text: str

    def __str__(self) -> str:
        """The fault without its line."""
        return f"{self.key}: {self.text}" if self.key else self.text


def defaults() -> Configuration:
    """The configuration without any file: every service with its defaults."""
    return Configuration(services={name: settings_of(name)() for name in SERVICES})


def read(path: Path) -> tuple[Configuration, list[Fault]]:
    """
    Read and check a file.

    :returns: the configuration, and all faults in the order of their lines.
    :raises Ending: the file cannot be read.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        text = f"{path}: cannot read the configuration: {error.strerror}; check path and permissions"
        raise Ending(text, CONFIGURATION) from error
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        return defaults(), [Fault(line, "", "not UTF-8; save the file as UTF-8")]
    return parse(text)


def parse(text: str) -> tuple[Configuration, list[Fault]]:
    """The same as :func:`read` for a text."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return defaults(), [syntax_fault(str(error), text)]
    except RecursionError:
        return defaults(), [Fault(1, "", "nested too deep")]
    positions = key_lines(text)
    configuration, problems = interpret(given)
    faults = [Fault(line_of(positions, one.path), ".".join(one.path), one.text) for one in problems]
    configuration = dataclasses.replace(configuration, lines=positions)
    return configuration, sorted(faults, key=lambda fault: (fault.line, fault.key))


def configuration_for(config: str | None, data: str | None) -> Configuration:
    """
    The configuration of a command: of the file that is named, else of ``launcelot.toml`` in the data folder, else the defaults.

    :param data: the data folder, in place of the one in the file.
    :raises Ending: the file cannot be read, or is wrong.
    """
    folder = Path(data) if data else default_data()
    if config:
        configuration = must_read(Path(config))
    else:
        beside = folder / "launcelot.toml"
        configuration = must_read(beside) if is_there(beside) else defaults()
    return configuration.with_data(str(folder)) if data or not config else configuration


def is_there(path: Path) -> bool:
    """
    Whether a folder has a file.

    :raises Ending: the folder is closed to us.
    """
    try:
        return path.exists()
    except OSError as error:
        text = f"{path.parent}: cannot be entered: {error.strerror}; work as its owner, or choose a folder you own with --data"
        raise Ending(text, CANNOT_CREATE) from error


def must_read(path: Path) -> Configuration:
    """
    The configuration of a file that must be right.

    :raises Ending: it cannot be read or is wrong; with every fault, one on each line.
    """
    configuration, faults = read(path)
    if faults:
        raise Ending("\n".join(f"{path}:{fault.line}: {fault}" for fault in faults), CONFIGURATION)
    return configuration


_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_AT_END = " (at end of document)"


def syntax_fault(message: str, text: str) -> Fault:
    """What ``tomllib`` says, with its line apart."""
    at = _AT_LINE.search(message)
    if at is not None:
        return Fault(int(at[1]), "", f"{message[: at.start()]} (column {at[2]})")
    line = max(1, len(text.splitlines()))
    return Fault(line, "", message.removesuffix(_AT_END) + (" at the end" if message.endswith(_AT_END) else ""))


def interpret(given: Mapping[str, Any]) -> tuple[Configuration, list[Problem]]:
    """Make the configuration of what TOML gave."""
    problems = _version_problems(given)
    tables: dict[str, Any] = {}
    for name, group in GROUPS.items():
        table, wrong = _table(given, name)
        tables[name], further = load(group, table, (name,))
        problems += wrong + further
    services: dict[str, Any] = {}
    for name in SERVICES:
        table, wrong = _table(given, name)
        problems += wrong
        switch, further = load(ServiceSwitch, {key: table[key] for key in table if key == "enabled"}, (name,))
        settings, rest = load(settings_of(name), {key: table[key] for key in table if key != "enabled"}, (name,))
        problems += further + rest
        if switch.enabled:
            services[name] = settings
    guests, further = _guests(given, services, problems)
    problems += further
    configuration = Configuration(**tables, services=services, guests=guests)
    return configuration, problems + _rules(configuration, {one.path for one in problems})


def _guests(
    given: Mapping[str, Any], services: dict[str, Any], wrong: Sequence[Problem]
) -> tuple[dict[str, ServiceEntry], list[Problem]]:
    """The services that are not of the house; they run if they have a table.  What is installed is looked at for them only."""
    known = ["config_version", *GROUPS, *SERVICES]
    strange = [key for key in given if key not in known]
    odd = [name for name in SERVICES if any(one.path[0] == name and one.text.startswith("unknown key") for one in wrong)]
    if not strange and not odd:
        return {}, []
    offered = offers()
    found: dict[str, ServiceEntry] = {}
    problems: list[Problem] = []
    for name in strange:
        if name in offered:
            problems += _guest(name, given, offered, found, services)
        else:
            problems.append(Problem((name,), unknown(name, [*known, *offered])))
    for name in odd:
        if name in offered:
            # Whoever installed a namesake wrote this table for it.
            problems += _guest(name, given, offered, {}, {})
    return found, problems


def _guest(
    name: str, given: Mapping[str, Any], offered: Offers, found: dict[str, ServiceEntry], services: dict[str, Any]
) -> list[Problem]:
    """Take one guest up; one that is switched off is not even imported, so that a broken one can be lived with."""
    table, problems = _table(given, name)
    switch, wrong = load(ServiceSwitch, {key: table[key] for key in table if key == "enabled"}, (name,))
    problems += wrong
    if not switch.enabled:
        return problems
    try:
        entry = find(name, offered)
    except BadGuest as bad:
        return [*problems, Problem((name,), bad.text)]
    for other, one in found.items():
        for place in sorted(one.places.keys() & entry.places.keys()):
            problems.append(Problem((name,), f"has a listener {place!r}, as [{other}] has; disable one of them"))
    settings, wrong = settings_from(name, entry, {key: table[key] for key in table if key != "enabled"})
    found[name] = entry
    services[name] = settings
    return problems + wrong


def _version_problems(given: Mapping[str, Any]) -> list[Problem]:
    if "config_version" not in given:
        return [Problem(("config_version",), f"missing; write config_version = {CONFIG_VERSION} at the top")]
    version = given["config_version"]
    if type(version) is not int or version != CONFIG_VERSION:
        return [Problem(("config_version",), f"must be {CONFIG_VERSION}, the version this program reads")]
    return []


def _table(given: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], list[Problem]]:
    table = given.get(name, {})
    if isinstance(table, dict):
        return table, []
    return {}, [Problem((name,), f"must be a table, not {describe(table)}")]


# -- rules beyond types and ranges ---------------------------------------------------------------------------------

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")


def _rules(configuration: Configuration, wrong: set[tuple[str, ...]]) -> list[Problem]:
    """Rules that concern the meaning of values; keys that are wrong already are left alone."""
    found = [
        *_daemon_rules(configuration.daemon),
        *_account_rules(configuration.accounts),
        *_tls_rules(configuration.tls),
        *_relay_rules(configuration.relay),
        *_check_rules(configuration.checks),
        *_each("files", "team_place", [configuration.files.team_place], check_place),
        *(Problem(("oauth", key), text) for key, text in token_problems(configuration.oauth)),
    ]
    for name, settings in configuration.services.items():
        for one in dataclasses.fields(settings):
            if one.name.startswith("listen"):
                found += _endpoint_rules((name, one.name), getattr(settings, one.name), configuration.daemon)
        found += own_rules(name, configuration.entry(name), settings)
    return [problem for problem in found if problem.path not in wrong]


def _daemon_rules(daemon: DaemonSettings) -> list[Problem]:
    problems = []
    if daemon.hostname and not _HOST_NAME.match(daemon.hostname):
        problems.append(Problem(("daemon", "hostname"), f"{daemon.hostname!r} is not a host name"))
    if not daemon.domains:
        problems.append(Problem(("daemon", "domains"), "must name at least one domain"))
    for domain in daemon.domains:
        try:
            parse_domain(domain)
        except Invalid as invalid:
            problems.append(Problem(("daemon", "domains"), f"{domain!r}: {invalid.text}"))
    for network in daemon.proxy_networks:
        try:
            networks([network])
        except ValueError as error:
            problems.append(Problem(("daemon", "proxy_networks"), f"{error}; write it as 10.0.0.0/8 or ::1/128"))
    return problems


def _account_rules(accounts: AccountSettings) -> Iterator[Problem]:
    try:
        furnishing(accounts.mailboxes)
    except Invalid as invalid:
        yield Problem(("accounts", "mailboxes"), invalid.text)
    if accounts.first:
        try:
            canonical(accounts.first)
        except Invalid as invalid:
            yield Problem(("accounts", "first"), f"{accounts.first!r}: {invalid.text}")


def _tls_rules(tls: TlsSettings) -> list[Problem]:
    if bool(tls.certificate) == bool(tls.key):
        return []
    given, missing = ("certificate", "key") if tls.certificate else ("key", "certificate")
    return [Problem(("tls", given), f"needs {missing} beside it; give both or none")]


def _relay_rules(relay: RelaySettings) -> Iterator[Problem]:
    yield from _each("relay", "routes", relay.routes, parse_route)
    yield from _each("relay", "dns_servers", relay.dns_servers, server_of)
    yield from _each("relay", "private_networks", relay.private_networks, lambda text: networks([text]))
    if not relay.dnssec and any(asks_for_dane(one) for one in relay.routes):
        yield Problem(("relay", "routes"), "tls=dane needs relay.dnssec: set it, and name a server that validates in dns_servers")
    if relay.dnssec and not relay.dns_servers:
        yield Problem(("relay", "dnssec"), "needs dns_servers beside it: name the server that validates, such as '127.0.0.1'")


def asks_for_dane(text: str) -> bool:
    """Whether a route does."""
    try:
        return parse_route(text).tls is Tls.DANE
    except ValueError:
        return False


def _check_rules(checks: CheckSettings) -> Iterator[Problem]:
    yield from _each("checks", "trusted_networks", checks.trusted_networks, lambda text: networks([text]))
    yield from _each("checks", "block_lists", checks.block_lists, parse_zone)
    yield from _each("checks", "filters", checks.filters, check_filter)


def _each(table: str, key: str, texts: Sequence[str], check: Callable[[str], object]) -> Iterator[Problem]:
    for text in texts:
        try:
            check(text)
        except ValueError as error:
            yield Problem((table, key), str(error))


def _endpoint_rules(path: tuple[str, str], endpoints: Sequence[str], daemon: DaemonSettings) -> list[Problem]:
    wrong = [endpoint_fault(endpoint) for endpoint in endpoints]
    if not daemon.proxy_networks:
        wrong += [f"{one!r} needs daemon.proxy_networks, which names nobody" for one in endpoints if one.startswith(PROXIED)]
    return [Problem(path, text) for text in wrong if text]


def endpoint_fault(endpoint: str) -> str:
    """What is wrong with an endpoint string as far as can be seen without listening; empty if nothing is."""
    bare = endpoint.removeprefix(PROXIED)
    kind, _, rest = bare.partition(":")
    if bare != endpoint and kind not in ("tcp", "tcp6", "systemd"):
        return f"{endpoint!r}: only tcp:, tcp6: and systemd: can be {PROXIED}"
    if not kind or not rest or not kind.isascii() or not kind.isalnum():
        return f"{endpoint!r} is not an endpoint such as 'tcp:2525:interface=127.0.0.1'"
    if kind not in ("tcp", "tcp6", "udp", "udp6"):
        return ""
    port = rest.partition(":")[0].removeprefix("port=")
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        return f"{endpoint!r}: {port!r} is not a port of 0 to 65535"
    return ""
