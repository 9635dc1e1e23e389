"""The table ``[relay]``."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.settings import setting


@dataclass(frozen=True)
class RelaySettings:
    """Settings of mail to other hosts."""

    enabled: bool = setting(
        False,
        "Whether mail goes to other hosts at all: of accounts that log in to send, of Sieve scripts, and notices to senders."
        " Nobody else's mail is ever relayed.",
    )
    routes: tuple[str, ...] = setting(
        (),
        "Where mail goes, the first that fits: '<pattern> <host>[:<port>] [<option>=<value> ...]'. Patterns: example.org,"
        " .example.org (all below it), * (everything), from:example.org (by the sender's domain). The host 'mx' asks the DNS."
        " Options: tls (none, opportunistic, required, dane, verified, implicit), user, password_file, connections.",
    )
    dns_servers: tuple[str, ...] = setting(
        (), "DNS servers to ask, such as '192.0.2.53' or '[2001:db8::53]:5353'. Empty: those of /etc/resolv.conf."
    )
    dnssec: bool = setting(
        False,
        "Whether dns_servers validate DNSSEC and are believed when they say that an answer is signed; then hosts that have signed"
        " TLSA records must show the certificates these name (DANE). Name a validating server on this machine, such as unbound:"
        " whoever stands on the way to another one could say so, too.",
    )
    mta_sts: bool = setting(
        True, "Whether domains' MTA-STS policies are asked for, kept in the data folder, and followed."
    )
    private_networks: tuple[str, ...] = setting(
        (),
        "Networks, such as '10.0.0.0/8', that the DNS may send mail to although they are private, loopback or reserved;"
        " hosts named in routes may be anywhere.",
    )
    port: int = setting(25, "Port of hosts that the DNS names.", minimum=1, maximum=65_535)
    ca_file: str = setting(
        "", "PEM file of the authorities to trust where a route says tls=verified or implicit, and for MTA-STS."
        " Empty: those of the system."
    )
    connections: int = setting(
        5, "Connections to one destination at once; a route may say otherwise.", unit="connections", minimum=1, maximum=100
    )
    messages_per_connection: int = setting(
        100, "Messages sent over one connection before another is made.", unit="messages", minimum=1, maximum=100_000
    )
    idle: float = setting(
        3.0, "How long a connection without a message to send is kept for the next one.", unit="seconds", minimum=0, maximum=300
    )
    connect_timeout: float = setting(
        30.0, "How long a connection to one address may take.", unit="seconds", minimum=1, maximum=300
    )
    lifetime: float = setting(
        432_000.0,
        "How old mail may become before it is given up and its sender told; RFC 5321 section 4.5.4.1 asks for four to five days.",
        unit="seconds",
        minimum=3_600,
        maximum=2_592_000,
    )
    delay_notice: float = setting(
        14_400.0, "Age at which the sender of mail that waits is told so, once; 0 for never.", unit="seconds", minimum=0
    )
    first_retry: float = setting(
        300.0, "Pause after the first failure; each later one is twice as long.", unit="seconds", minimum=1, maximum=86_400
    )
    longest_retry: float = setting(
        3_600.0, "Pause that none goes beyond.", unit="seconds", minimum=60, maximum=86_400
    )
    srs: bool = setting(
        True,
        "Whether senders of mail that Sieve scripts and aliases pass on to other hosts are rewritten as addresses of our first"
        " domain (SRS), so that hosts which ask who may send with the sender's domain take it; what comes back goes to the"
        " sender.",
    )
    max_hops: int = setting(
        100,
        "Received fields a message may have before it is taken to go in circles.",
        unit="fields",
        minimum=30,
        maximum=1_000,
    )
