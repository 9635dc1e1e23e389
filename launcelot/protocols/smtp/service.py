"""The SMTP service: its settings and its listeners for mail from outside, for submission and for LMTP."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter

from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.proxy import networks
from launcelot.hosting.site import Site
from launcelot.protocols.smtp.sending import MIGRATIONS, Limits, Sending
from launcelot.protocols.smtp.server import SmtpFactory
from launcelot.protocols.smtp.session import Role, Rules


@dataclass(frozen=True)
class Settings:
    """Settings of the SMTP service."""

    listen_mx: tuple[str, ...] = setting(
        ("tcp:2525:interface=127.0.0.1",), "Endpoints that take mail for local accounts from anybody (MX)."
    )
    listen_submission: tuple[str, ...] = setting(
        ("tcp:2587:interface=127.0.0.1",), "Endpoints where accounts log in and send, with STARTTLS."
    )
    listen_submissions: tuple[str, ...] = setting(
        ("tcp:2465:interface=127.0.0.1",), "Endpoints where accounts log in and send, with TLS from the first octet."
    )
    listen_lmtp: tuple[str, ...] = setting(
        (),
        "Endpoints where another server hands over mail that it has accepted (LMTP), such as"
        " 'unix:/run/launcelot/lmtp.sock:mode=660'; port 25 is not for it.",
    )
    lmtp_networks: tuple[str, ...] = setting(
        (), "Networks, such as '10.0.0.0/8', that may connect to listen_lmtp besides this machine."
    )
    xclient_networks: tuple[str, ...] = setting(
        (),
        "Networks, such as '192.0.2.5/32', whose hosts may say for whom they speak and who has logged in there"
        " (XCLIENT, XFORWARD).",
    )
    max_message_size: int = setting(
        52_428_800, "Largest message taken; told to clients with SIZE.", unit="octets", minimum=65_536
    )
    max_recipients: int = setting(
        100,
        "Recipients of one message; RFC 5321 section 4.5.3.1.8 asks for 100.",
        unit="recipients",
        minimum=100,
        maximum=10_000,
    )
    max_recipient_domains: int = setting(
        0, "Different domains that the recipients of one message may have; 0 for any number.", unit="domains", minimum=0
    )
    max_mails: int = setting(
        0, "Messages of one connection; whoever has more connects again. 0 for any number.", unit="messages", minimum=0
    )
    messages_per_hour: int = setting(
        0, "Messages that one account may send in an hour; 0 for any number.", unit="messages", minimum=0
    )
    messages_per_day: int = setting(
        0, "Messages that one account may send in a day; 0 for any number.", unit="messages", minimum=0
    )
    recipients_per_hour: int = setting(
        0, "Recipients that one account may write to in an hour; 0 for any number.", unit="recipients", minimum=0
    )
    recipients_per_day: int = setting(
        0, "Recipients that one account may write to in a day; 0 for any number.", unit="recipients", minimum=0
    )
    new_recipients_per_day: int = setting(
        0,
        "Recipients that one account may write to in a day without ever having done so before; 0 for any number.",
        unit="recipients",
        minimum=0,
    )
    max_hops: int = setting(
        100,
        "Received fields a message may have before it is taken to go in circles.",
        unit="fields",
        minimum=30,
        maximum=1_000,
    )
    plaintext_login: str = setting(
        "loopback",
        "Where passwords may be sent without TLS: from this machine only, never, or always.",
        choices=("loopback", "never", "always"),
    )
    check_from_header: bool = setting(
        True, "Refuse submitted mail whose From field names an address that is not the sender's own."
    )
    dsn_for_strangers: bool = setting(
        True,
        "Whether servers outside may ask for notices (DSN), where [relay] and the SPF check are on; told are senders that SPF has"
        " confirmed, and nobody else.",
    )
    delivery_grace: float = setting(
        0.05,
        "How long an idle server waits for delivery before it answers 250, so that the mail is then in the mailbox; 0 is off.",
        unit="seconds",
        minimum=0,
        maximum=5,
    )
    max_errors: int = setting(
        10, "Commands refused for good before the connection is closed.", unit="commands", minimum=3, maximum=1_000
    )
    error_delay: float = setting(
        1.0,
        "Pause before each reply that refuses, once half of max_errors is reached.",
        unit="seconds",
        minimum=0,
        maximum=60,
    )
    login_timeout: float = setting(
        60.0,
        "How long a connection may last before somebody logs in or a mail is begun.",
        unit="seconds",
        minimum=5,
        maximum=3_600,
    )
    idle_timeout: float = setting(
        300.0,
        "How long a peer may take for its next command; RFC 5321 section 4.5.3.2.7 asks for 300.",
        unit="seconds",
        minimum=10,
        maximum=86_400,
    )
    max_connections: int = setting(10_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        50, "Connections from one IPv4 address or IPv6 /64.", unit="connections", minimum=1
    )


def rules_of(site: Site, settings: Settings) -> Rules:
    """
    What the settings come to.

    :raises LookupError: there are limits on sending, and the Site has no place to count.
    """
    limits = Limits(*_limits_in(settings))
    sending = Sending(site.database("sending", MIGRATIONS), limits, site.wall_clock) if limits.are_set else None
    return Rules(networks(settings.xclient_networks), sending)


def build(site: Site, settings: Settings) -> Listeners:
    """The service; what needs a certificate is left out where there is none."""
    count = ConnectionCount(settings.max_connections, settings.max_connections_per_source)
    rules = rules_of(site, settings)
    mx = SmtpFactory(site, "smtp", count, settings, Role.MX, rules=rules)
    submission = SmtpFactory(site, "submission", count, settings, Role.SUBMISSION, rules=rules)
    listeners = [Listener("smtp", endpoint, mx) for endpoint in settings.listen_mx]
    listeners += [Listener("submission", endpoint, submission) for endpoint in settings.listen_submission]
    if site.has_tls:
        submissions = SmtpFactory(site, "submissions", count, settings, Role.SUBMISSION, implicit_tls=True, rules=rules)
        listeners += [Listener("submissions", endpoint, submissions) for endpoint in settings.listen_submissions]
    if site.deposits is not None:
        # All who come by a Unix socket are one source.
        lmtp = SmtpFactory(site, "lmtp", ConnectionCount(*[settings.max_connections] * 2), settings, Role.LMTP, rules=rules)
        listeners += [Listener("lmtp", endpoint, lmtp) for endpoint in settings.listen_lmtp]
    return Listeners(site.reactor, listeners)


_limits_in = attrgetter(*(one.name for one in fields(Limits)))
