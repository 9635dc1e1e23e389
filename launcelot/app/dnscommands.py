"""The options of ``launcelot dkim`` and ``launcelot dns``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Common = Callable[[Any, str], None]
"""Gives a parser the options every command has and the function that does it."""


def add_dkim(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    dkim = commands.add_parser("dkim", help="keys that mail is signed with: new, list, remove")
    verbs = dkim.add_subparsers(title="commands", metavar="COMMAND", required=True)
    new = verbs.add_parser(
        "new",
        help="make keys for a domain, and show what to publish",
        description="Every key of a domain signs, so that a new one can be published while the old one still does the work;"
        " remove the old one a few days later.",
    )
    common(new, "launcelot.app.dkim:new")
    new.add_argument("domain", metavar="DOMAIN", help="one of daemon.domains")
    new.add_argument("--kind", choices=("both", "rsa", "ed25519"), default="both", help="default: %(default)s")
    new.add_argument("--selector", metavar="NAME", help="default: kind and date; with both kinds the kind stands before it")
    common(verbs.add_parser("list", help="all keys"), "launcelot.app.dkim:listing")
    remove = verbs.add_parser("remove", help="sign with a key no more")
    common(remove, "launcelot.app.dkim:remove")
    remove.add_argument("domain", metavar="DOMAIN")
    remove.add_argument("selector", metavar="SELECTOR")


def add_dns(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    dns = commands.add_parser("dns", help="what the DNS should say of this host and its domains: records, check")
    verbs = dns.add_subparsers(title="commands", metavar="COMMAND", required=True)
    records = verbs.add_parser(
        "records",
        help="show what to publish, as lines of a zone file",
        description="MX, SPF, DKIM, DMARC, MTA-STS, TLS-RPT, DANE and SRV records of every domain, made of the configuration, the"
        " keys and the certificate.",
    )
    common(records, "launcelot.app.dns:records")
    records.add_argument(
        "--address", metavar="ADDRESS", action="append", default=[], help="this host's, as others see it; may come again"
    )
    check = verbs.add_parser(
        "check",
        help="ask the DNS whether it is there and right, one line for each record, with the remedy",
        description="Exit codes: 0 all that is needed is right, 1 something is wrong, 75 the DNS does not answer.",
    )
    common(check, "launcelot.app.dns:check")
