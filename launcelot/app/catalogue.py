"""
The services of the house: their names, where they live, and what listens for them.  Guests (:mod:`launcelot.app.guests`) say
the same of themselves.

Nothing is imported before somebody asks; ``launcelot --help`` needs none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """
    One name under which a service listens.

    :ivar setting: the key that holds its endpoints.
    :ivar default: an unprivileged port for it.
    :ivar standard: the port the protocol is known by.
    :ivar usual: whether a daemon without configuration listens there.
    :ivar kind: of its endpoints, ``"tcp"`` or ``"udp"``.
    :ivar profile: the demo's profile that it takes part in; empty for all of them.
    """

    setting: str
    default: int
    standard: int
    usual: bool = True
    kind: str = "tcp"
    profile: str = ""


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """
    One service.

    :ivar module: has ``Settings`` and ``build(site, settings)``.
    :ivar title: what people call it.
    :ivar places: by the name of the listener, such as ``"imaps"``.
    :ivar checks: by setting, the function (``module:name``) that raises ValueError for values that declarations cannot tell
        wrong.
    :ivar data: whether it needs the data folder: accounts, mail or files.
    """

    module: str
    title: str
    places: Mapping[str, Place]
    checks: Mapping[str, str] = field(default_factory=dict)
    data: bool = True

    def settings(self) -> type[Any]:
        """The settings dataclass, imported now."""
        group: type[Any] = import_module(self.module).Settings
        return group

    def builder(self) -> Any:
        """The function that builds the service, imported now."""
        return import_module(self.module).build


def settings_of(name: str) -> type[Any]:
    """The settings dataclass of a service of the house."""
    return SERVICES[name].settings()


def named(path: str) -> Any:
    """What ``module:name`` is, imported now."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


SERVICES: Mapping[str, ServiceEntry] = {
    "smtp": ServiceEntry(
        "launcelot.protocols.smtp.service",
        "Mail in: SMTP for mail from elsewhere, submission for accounts",
        {
            "smtp": Place("listen_mx", 2525, 25),
            "submission": Place("listen_submission", 2587, 587),
            "submissions": Place("listen_submissions", 2465, 465),
            "lmtp": Place("listen_lmtp", 2424, 24, usual=False),
        },
        checks={
            "lmtp_networks": "launcelot.hosting.proxy:networks",
            "xclient_networks": "launcelot.hosting.proxy:networks",
        },
    ),
    "imap": ServiceEntry(
        "launcelot.protocols.imap4.service",
        "Mail out: IMAP4",
        {"imap": Place("listen", 2143, 143), "imaps": Place("listen_tls", 2993, 993)},
    ),
    "pop3": ServiceEntry(
        "launcelot.protocols.pop3.service",
        "Mail out: POP3",
        {"pop3": Place("listen", 2110, 110), "pop3s": Place("listen_tls", 2995, 995)},
    ),
    "managesieve": ServiceEntry(
        "launcelot.protocols.managesieve.service",
        "Scripts that sort mail: ManageSieve",
        {"managesieve": Place("listen", 4190, 4190)},
    ),
    "ftp": ServiceEntry(
        "launcelot.protocols.ftp.service",
        "Files: FTP and FTPS",
        {"ftp": Place("listen", 2121, 21), "ftps": Place("listen_tls", 2990, 990)},
        checks={
            "passive_ports": "launcelot.protocols.ftp.side:passive_ports",
            "passive_address": "launcelot.protocols.ftp.side:passive_address",
            "passive_addresses": "launcelot.protocols.ftp.side:passive_addresses",
        },
    ),
    "policy": ServiceEntry(
        "launcelot.protocols.policy.service",
        "What others must see of our mail hosts: MTA-STS policies over HTTPS",
        {"policy": Place("listen", 2443, 443, usual=False)},
        checks={"mx": "launcelot.protocols.policy.service:check_hosts"},
    ),
    "questions": ServiceEntry(
        "launcelot.protocols.questions.service",
        "Sir Launcelot answers questions",
        {
            "questions": Place("listen", 1060, 1060),
            "questions-tls": Place("listen_tls", 1068, 1068, usual=False),
            "questions-netstring": Place("listen_netstring", 1070, 1070, usual=False),
            "questions-json": Place("listen_json", 1071, 1071, usual=False),
            "questions-until-close": Place("listen_until_close", 1072, 1072, usual=False),
            "questions-udp": Place("listen_udp", 1060, 1060, usual=False, kind="udp"),
        },
        checks={
            "tables": "launcelot.protocols.questions.tables:check_tables",
            "answerer": "launcelot.protocols.questions.guests:check_answerer",
        },
        data=False,
    ),
    "book": ServiceEntry(
        "launcelot.protocols.book.service",
        "The book's small machines, none of which listens unless it is asked for",
        {
            "book-sixteen": Place("listen_sixteen", 1063, 1063, usual=False, profile="book"),
            "book-upper": Place("listen_upper", 1064, 1064, usual=False, profile="book"),
            "book-streamer": Place("listen_streamer", 1065, 1065, usual=False, profile="book"),
            "book-blocks": Place("listen_blocks", 1066, 1066, usual=False, profile="book"),
            "book-greeting": Place("listen_greeting", 1067, 1067, usual=False, profile="book"),
            "book-length-udp": Place("listen_length", 1062, 1060, usual=False, kind="udp", profile="book"),
            "book-discovery-udp": Place("listen_discovery", 1069, 1069, usual=False, kind="udp", profile="book"),
        },
        data=False,
    ),
}
