"""
``launcelot dns``: what to publish, and whether it is there and right.
"""

from __future__ import annotations

import ipaddress
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from launcelot.app.ask import printable, run
from launcelot.app.configuration import Configuration, configuration_for
from launcelot.app.dnscheck import Checker, Finding, State
from launcelot.app.errors import FAILED, OK, TEMPORARY, USAGE, Ending
from launcelot.app.people import become_owner
from launcelot.app.publishing import Plan, Record, plan_of, smarthosts
from launcelot.app.roof import take_reactor
from launcelot.app.streams import Streams

TITLES = {State.RIGHT: "right", State.WRONG: "WRONG", State.ADVICE: "advice", State.UNKNOWN: "unknown"}


def records(given: Namespace, streams: Streams) -> int:
    """Show what to publish, as lines of a zone file."""
    configuration = configuration_for(given.config, given.data)
    become_owner(configuration)
    plan = plan_of(configuration, addresses_of(given.address))
    if given.json:
        streams.say_json(
            {
                "hostname": plan.hostname,
                "domains": plan.domains,
                "records": [described(one) for one in plan.records],
                "files": [{"url": one.url, "text": one.text, "domain": one.domain} for one in plan.files],
                "advice": plan.advice,
            }
        )
        return OK
    for record in plan.records:
        note = f"; {record.note}" if record.note else ""
        streams.say(f"; {record.what}{note}", record.line)
    for file in plan.files:
        streams.say(f"; {file.url}, text/plain:", *(f";   {line}" for line in file.text.splitlines()))
    streams.say(*(f"; {one}" for one in plan.advice))
    return OK


def check(given: Namespace, streams: Streams) -> int:
    """Ask the DNS, and say of each record whether it is right; 1 if one is wrong, 75 if one cannot be told."""
    configuration = configuration_for(given.config, given.data)
    become_owner(configuration)
    plan = plan_of(configuration)
    found = run(take_reactor(), judged(take_reactor(), configuration, plan))
    if given.json:
        rows = [{"state": one.state.value, "what": one.what, "name": one.name, "text": one.text} for one in found]
        streams.say_json({"hostname": plan.hostname, "findings": rows})
    else:
        streams.say(*(printable(f"{TITLES[one.state]:8}{one.what}, {one.name}: {one.text}") for one in found))
    states = {one.state for one in found}
    if State.WRONG in states:
        return FAILED
    return TEMPORARY if State.UNKNOWN in states else OK


async def judged(reactor: Any, configuration: Configuration, plan: Plan) -> Sequence[Finding]:
    """What the configured DNS servers say."""
    from launcelot.relay.fetching import HttpsFetch
    from launcelot.relay.resolver import NamesResolver
    from launcelot.relay.routes import server_of

    senders = [host for domain in plan.domains for host in smarthosts(configuration, domain)]
    resolver = NamesResolver(reactor, [server_of(one) for one in configuration.relay.dns_servers], configuration.relay.dnssec)
    try:
        fetch = HttpsFetch(reactor, resolver, lambda address: ipaddress.ip_address(address).is_global, None)
        return await Checker(resolver, plan, fetch, list(dict.fromkeys(senders))).findings()
    finally:
        resolver.close()


def described(record: Record) -> dict[str, str]:
    """A record as JSON."""
    return {
        "name": record.name, "type": record.kind, "value": record.value, "line": record.line, "what": record.what,
        "domain": record.domain, "note": record.note,
    }  # fmt: skip


def addresses_of(texts: Sequence[str]) -> Sequence[str]:
    """
    Addresses as they were given.

    :raises Ending: one is none.
    """
    try:
        return [str(ipaddress.ip_address(one)) for one in texts]
    except ValueError as error:
        raise Ending(f"--address: {error}; write it as 192.0.2.1 or 2001:db8::1", USAGE) from error
