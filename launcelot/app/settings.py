"""
The settings of the daemon itself; those of the services are in their packages.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from launcelot.core.filerights import TEAM_PLACE
from launcelot.core.scram import ITERATIONS, LEAST_ITERATIONS, MOST_ITERATIONS
from launcelot.core.settings import setting

CONFIG_VERSION = 1
"""The version of the configuration file's form; raised when a key changes its meaning."""

MOST_WORKERS = 64


@dataclass(frozen=True)
class DaemonSettings:
    """The table ``[daemon]``."""

    hostname: str = setting("", "Our name in greetings, trace fields and the certificate. Empty: this machine's name.")
    domains: tuple[str, ...] = setting(
        ("localhost",),
        "Domains whose mail ends here. The first one is that of addresses without a domain.",
    )
    data: str = setting(
        "",
        "Folder of accounts, mail, files and certificates, made with mode 0700."
        " Empty: launcelot below $XDG_DATA_HOME or ~/.local/share.",
    )
    admin_socket: str = setting(
        "", "Unix socket that answers `launcelot status`, made with mode 0600. Empty: admin.sock in the data folder."
    )
    proxy_networks: tuple[str, ...] = setting(
        (),
        "Networks of load balancers, such as '10.0.0.0/8' or '::1/128': only they may connect to endpoints that begin with"
        " 'proxied:', and tell there who the client is (PROXY protocol, versions 1 and 2).",
    )
    workers: int = setting(
        1,
        "Processes that serve; one for each processor makes use of them all. They share ports, limits and data.",
        unit="processes",
        minimum=1,
        maximum=MOST_WORKERS,
    )
    worker_patience: float = setting(
        30.0,
        "How long one of several workers may be stuck before it is ended and replaced.",
        unit="seconds",
        minimum=1,
        maximum=3_600,
    )
    faults: bool = setting(
        False, "Whether `launcelot fault` may have things go wrong on connections. For testing; never where people depend on it."
    )
    stop_limit: float = setting(
        30.0,
        "How long stopping may take; sessions that have not finished five seconds before that are cut.",
        unit="seconds",
        minimum=1,
        maximum=600,
    )


@dataclass(frozen=True)
class AccountSettings:
    """The table ``[accounts]``."""

    first: str = setting(
        "",
        "Name of the account that is made with a generated password when there is none yet."
        " Empty: that of the user who starts the daemon.",
    )
    make_first: bool = setting(True, "Whether a first account is made when there is none yet.")
    mailboxes: tuple[str, ...] = setting(
        ("Archive \\Archive", "Drafts \\Drafts", "Junk \\Junk", "Sent \\Sent", "Trash \\Trash"),
        "Mailboxes that a new account has besides INBOX, each with its special use (RFC 6154) if it has one.",
    )
    hash_threads: int = setting(
        2, "Passwords hashed or checked at once; each takes memory_kib.", unit="threads", minimum=1, maximum=64
    )
    hash_waiting: int = setting(
        64, "Passwords that may wait for a thread; more are told to try later.", unit="passwords", minimum=1
    )
    hash_memory: int = setting(19_456, "Memory of one argon2id hash.", unit="KiB", minimum=8_192, maximum=262_144)
    hash_passes: int = setting(2, "Passes of one argon2id hash over its memory.", unit="passes", minimum=1, maximum=16)
    scram_iterations: int = setting(
        ITERATIONS,
        "Of PBKDF2 in the keys kept for SCRAM-SHA-256; each log-in with SCRAM costs the client that many.",
        unit="iterations",
        minimum=LEAST_ITERATIONS,
        maximum=MOST_ITERATIONS,
    )


@dataclass(frozen=True)
class TlsSettings:
    """The table ``[tls]``."""

    enabled: bool = setting(True, "Whether TLS is offered at all.")
    certificate: str = setting(
        "",
        "PEM file of the certificate with its chain; read again when it changes."
        " Empty: a certificate of our own, signed by the private authority in tls/ca.pem of the data folder.",
    )
    key: str = setting("", "PEM file of the certificate's key, not encrypted.")
    minimum_version: str = setting("1.2", "Oldest version of TLS that is spoken.", choices=("1.2", "1.3"))


@dataclass(frozen=True)
class FileSettings:
    """The table ``[files]``."""

    max_file_size: int = setting(0, "Largest file; 0 for no limit.", unit="octets", minimum=0)
    keep_abandoned: float = setting(
        86_400.0,
        "How long what was received of an interrupted upload is kept, so that it can be continued.",
        unit="seconds",
        minimum=60,
    )
    team_place: str = setting(
        TEAM_PLACE,
        "Name at the top of everybody's files under which team folders are (`launcelot files team`); nobody can call anything of"
        " their own so. Empty: there are none.",
    )


@dataclass(frozen=True)
class TraceSettings:
    """The table ``[trace]``."""

    size: int = setting(
        67_108_864,
        "What the trail of mail, which `launcelot trace` reads, may take of the disk; a message takes some 500."
        " 0 for no trail; each worker has 524288 at least.",
        unit="octets",
        minimum=0,
    )
    days: float = setting(30.0, "How long the trail is kept, if there is room for so much.", unit="days", minimum=1)


@dataclass(frozen=True)
class ServiceSwitch:
    """What the table of every service has besides its own settings."""

    enabled: bool = setting(True, "Whether the service runs.")


def worker_count(text: str) -> int:
    """
    How many workers an option asks for.

    :raises ValueError: it is no number of workers.
    """
    count = int(text)
    if not 1 <= count <= MOST_WORKERS:
        raise ValueError(f"must be 1 to {MOST_WORKERS}")
    return count


def default_data(environment: dict[str, str] | None = None) -> Path:
    """The per-user data folder of the XDG base directory specification."""
    given = os.environ if environment is None else environment
    base = given.get("XDG_DATA_HOME", "")
    root = Path(base) if base.startswith("/") else Path(given.get("HOME") or Path.home()) / ".local" / "share"
    return root / "launcelot"
