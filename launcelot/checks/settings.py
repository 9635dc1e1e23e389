"""The table ``[checks]``, and the checks that it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launcelot.checks.dkim import Dkim
from launcelot.checks.dmarc import Dmarc
from launcelot.checks.dnsbl import Lists, parse_zone
from launcelot.checks.interface import Action, Check
from launcelot.checks.iprev import ReverseName
from launcelot.checks.names import Names
from launcelot.checks.remembering import Greylisting, Rates
from launcelot.checks.sanity import HeaderSanity
from launcelot.checks.spf import Spf
from launcelot.core.settings import setting
from launcelot.workers.database import Database
from launcelot.workers.interface import Workers

WAYS = ("off", "note", "refuse")


@dataclass(frozen=True)
class CheckSettings:
    """Settings of what is looked at in mail from strangers: on ``listen_mx``, from those who have not logged in."""

    trusted_networks: tuple[str, ...] = setting(
        ("127.0.0.0/8", "::1/128"), "Networks whose mail is not checked, such as those of servers before this one."
    )
    mails_per_source: int = setting(
        0, "Mails that one IPv4 address or IPv6 /64 may begin in an hour; 0 for any number.", unit="mails", minimum=0
    )
    reverse_name: str = setting(
        "off", "Whether hosts should have a name that leads back to them: note it, or refuse those without.", choices=WAYS
    )
    block_lists: tuple[str, ...] = setting(
        (),
        "Lists of hosts in the DNS to ask, such as 'zen.example.org' or 'list.example.org quarantine';"
        " behind the name stands reject (the default), defer or quarantine (into Junk).",
    )
    spf: str = setting(
        "off",
        "Whether the sender's domain lets the host send its mail (SPF): note it, or refuse those it says no to.",
        choices=WAYS,
    )
    dkim: str = setting("off", "Whether signatures (DKIM) are verified and noted.", choices=("off", "note"))
    dmarc: str = setting(
        "off",
        "What becomes of mail that is not of the domain in its From: note it, or do what the domain asks for (DMARC)."
        " It needs SPF and DKIM, which are noted then at least.",
        choices=("off", "note", "enforce"),
    )
    greylisting: float = setting(
        0.0,
        "How long hosts that are not known have to wait before they come again; 0 for no greylisting.",
        unit="seconds",
        minimum=0,
        maximum=86_400,
    )
    header: str = setting(
        "off",
        "What becomes of mail without one proper From, or with two fields of which there may be one.",
        choices=("off", "quarantine", "refuse"),
    )
    filters: tuple[str, ...] = setting(
        (),
        "Programs that are asked last, in order, such as 'milter unix:/run/opendkim.sock', 'rspamd 127.0.0.1:11333',"
        " 'lmtp host:port' or 'plugin name'; behind the place stands what becomes of mail while it cannot be asked,"
        " defer (the default) or accept.",
    )
    filter_timeout: float = setting(
        30.0, "How long such a program may take to answer.", unit="seconds", minimum=1, maximum=300
    )


def build_checks(
    settings: CheckSettings, names: Callable[[], Names], database: Callable[[], Database], aside: Workers
) -> list[Check]:
    """
    The checks that are switched on, the cheap ones first.

    :param names: gives what asks the DNS; called if something has to be asked.
    :param database: gives the file for what is remembered; called if something is.
    :param aside: where signatures are verified.
    :raises ValueError: a setting is none.
    """
    judged = settings.dmarc != "off"
    found: list[Check] = []
    if settings.mails_per_source:
        found.append(Rates(database(), settings.mails_per_source))
    if settings.reverse_name != "off":
        found.append(ReverseName(names(), settings.reverse_name == "refuse"))
    if settings.block_lists:
        found.append(Lists(names(), [parse_zone(one) for one in settings.block_lists]))
    if settings.spf != "off" or judged:
        found.append(Spf(names(), settings.spf == "refuse"))
    if settings.greylisting:
        found.append(Greylisting(database(), settings.greylisting))
    if settings.header != "off":
        found.append(HeaderSanity(Action.REJECT if settings.header == "refuse" else Action.QUARANTINE))
    if settings.dkim != "off" or judged:
        found.append(Dkim(names(), aside))
    if judged:
        found.append(Dmarc(names(), settings.dmarc == "enforce"))
    return found
