"""
Whether what the DNS says of a daemon is right: every record of the plan is asked for, and judged by what it means.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from launcelot.app.publishing import Plan, Record
from launcelot.checks.dmarc import POLICIES
from launcelot.checks.names import Names, NoAnswer, NoSuchName, reverse_of
from launcelot.checks.spf import PASS, check_host
from launcelot.hosting.gather import gather
from launcelot.message.canonical import BadTags, parse_tags, without_blanks
from launcelot.relay.policies import BadPolicy, Fetch, Mode, NotFetched, parse_policy, parse_record
from launcelot.relay.resolver import Answer, text_of
from launcelot.relay.tlsa import usable


class State(Enum):
    """What is thought of a record; the values are shown."""

    RIGHT = "right"
    WRONG = "wrong"
    ADVICE = "advice"
    """Mail works without, and better with it."""
    UNKNOWN = "unknown"
    """The DNS does not answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What was found about one record.

    :ivar text: what there is, with the remedy where it is not right; one line.
    """

    state: State
    what: str
    name: str
    text: str


class Dns(Names, Protocol):
    """Answers questions, those of the checks and raw ones."""

    async def answer(self, name: str, kind: str) -> Answer:
        """See :meth:`launcelot.relay.resolver.NamesResolver.answer`."""


class Checker:
    """
    Judges.

    :param fetch: gets MTA-STS policies.
    :param senders: hosts by which mail leaves where it is not this one.
    """

    def __init__(self, dns: Dns, plan: Plan, fetch: Fetch, senders: Sequence[str] = ()) -> None:
        self._dns = dns
        self._plan = plan
        self._fetch = fetch
        self._senders = senders

    async def findings(self) -> list[Finding]:
        """About the host's addresses, then about every record of the plan."""
        judged = [(one, JUDGES[one.what](self, one)) for one in self._plan.records if one.what in JUDGES]
        # All at once, so that a DNS that does not answer is waited for once.
        asked = [self._addresses(), *(self._guarded(one.what, one.name, judging) for one, judging in judged)]
        found = await gather([Deferred.fromCoroutine(one) for one in asked])
        return [one for several in found for one in several]

    async def _guarded(
        self, what: str, name: str, judging: Coroutine[Any, Any, Sequence[Finding]]
    ) -> Sequence[Finding]:
        try:
            return await judging
        except NoAnswer as error:
            return [Finding(State.UNKNOWN, what, name, f"{error}; try again later")]

    async def _or_nothing(self, asked: Awaitable[Sequence[Any]]) -> Sequence[Any]:
        try:
            return await asked
        except NoSuchName:
            return ()

    async def _texts(self, name: str, begins: str) -> list[str]:
        """Those TXT records of a name that are of a kind."""
        found = await self._or_nothing(self._dns.texts(name))
        return [one.decode("ascii", "replace") for one in found if one[: len(begins)].lower() == begins.lower().encode()]

    # -- the host ------------------------------------------------------------------------------------------------

    async def _addresses(self) -> Sequence[Finding]:
        hostname = self._plan.hostname
        try:
            addresses = await self._or_nothing(self._dns.addresses(hostname))
        except NoAnswer as error:
            return [Finding(State.UNKNOWN, "address", hostname, f"{error}; try again later")]
        found: list[Finding] = []
        if not addresses:
            found.append(Finding(State.WRONG, "address", hostname, "has none; publish its A and AAAA records"))
        for address in addresses:
            if ipaddress.ip_address(address).is_global:
                found.append(Finding(State.RIGHT, "address", hostname, address))
            else:
                text = f"{address} is no public address; publish the one others see"
                found.append(Finding(State.WRONG, "address", hostname, text))
            found += await self._guarded("reverse name", address, self._pointer(address))
        return found

    async def _pointer(self, address: str) -> Sequence[Finding]:
        hostname = self._plan.hostname
        found = await self._or_nothing(self._dns.pointers(reverse_of(address)))
        if hostname in found:
            return [Finding(State.RIGHT, "reverse name", address, hostname)]
        there = f"is {', '.join(found)}" if found else "is missing"
        remedy = f"have whoever gave you the address set its PTR record to {hostname}; many hosts take no mail otherwise"
        return [Finding(State.WRONG, "reverse name", address, f"{there}; {remedy}")]

    # -- each record ---------------------------------------------------------------------------------------------

    async def mail_host(self, record: Record) -> Sequence[Finding]:
        """MX: names us, and no alias of us.  RFC 5321 section 5.1."""
        found = sorted(await self._or_nothing(self._dns.exchanges(record.name)), key=lambda one: one.preference)
        hosts = [one.host for one in found]
        if self._plan.hostname in hosts:
            others = [one for one in hosts if one != self._plan.hostname]
            more = f", beside {', '.join(others)}" if others else ""
            return [Finding(State.RIGHT, record.what, record.name, f"{self._plan.hostname}{more}")]
        if hosts == [""]:
            there = "says that the domain takes no mail (null MX)"
        else:
            there = f"names {', '.join(hosts)}" if hosts else "is missing"
        return [Finding(State.WRONG, record.what, record.name, f"{there}; publish {record.line}")]

    async def spf(self, record: Record) -> Sequence[Finding]:
        """SPF: one record, and mail by every host that sends it passes."""
        found = await self._texts(record.name, "v=spf1")
        if len(found) != 1:
            there = f"{len(found)} records, which counts as none; leave one" if found else f"is missing; publish {record.line}"
            return [Finding(State.WRONG, record.what, record.name, there)]
        senders = self._senders if record.domain and self._senders else [self._plan.hostname]
        for host in senders:
            for address in await self._or_nothing(self._dns.addresses(host)):
                sender = f"postmaster@{record.name}"
                result = await check_host(self._dns, address, record.name, sender, self._plan.hostname)
                if result != PASS:
                    text = f"mail from {host} [{address}] is {result} by {found[0]!r}; publish {record.line}"
                    return [Finding(State.WRONG, record.what, record.name, text)]
        return [Finding(State.RIGHT, record.what, record.name, found[0])]

    async def dkim(self, record: Record) -> Sequence[Finding]:
        """The key that we sign with.  RFC 6376 section 3.6.1."""
        found = await self._or_nothing(self._dns.texts(record.name))
        if not found:
            return [Finding(State.WRONG, record.what, record.name, f"is missing; publish {record.line}")]
        wanted = parse_tags(record.value)
        for text in found:
            try:
                tags = parse_tags(text.decode("ascii", "replace"))
            except BadTags:
                continue
            if without_blanks(tags.get("p", "")) == wanted["p"] and tags.get("k", "rsa") == wanted["k"] and len(found) == 1:
                return [Finding(State.RIGHT, record.what, record.name, f"the {wanted['k']} key that signs")]
        text = "is another key than the one that signs, or not the only record"
        return [Finding(State.WRONG, record.what, record.name, f"{text}; publish {record.line}")]

    async def dmarc(self, record: Record) -> Sequence[Finding]:
        """One record with a policy.  RFC 9989 section 4.7."""
        found = await self._texts(record.name, "v=DMARC1")
        if not found:
            return [Finding(State.WRONG, record.what, record.name, f"is missing; publish {record.line}")]
        try:
            policy = parse_tags(found[0]).get("p", "none").lower()
        except BadTags:
            policy = ""
        if len(found) > 1 or policy not in POLICIES:
            text = f"{' and '.join(map(repr, found))} counts as none"
            return [Finding(State.WRONG, record.what, record.name, f"{text}; publish {record.line} alone")]
        return [Finding(State.RIGHT, record.what, record.name, found[0])]

    async def reports(self, record: Record) -> Sequence[Finding]:
        """Where others report about TLS.  RFC 8460 section 3."""
        found = await self._texts(record.name, "v=TLSRPTv1;")
        if len(found) == 1 and "rua=" in found[0]:
            return [Finding(State.RIGHT, record.what, record.name, found[0])]
        if found:
            return [Finding(State.WRONG, record.what, record.name, f"counts as none; publish {record.line} alone")]
        return [Finding(State.ADVICE, record.what, record.name, f"is missing; publish {record.line}")]

    async def dane(self, record: Record) -> Sequence[Finding]:
        """A record that does not fit the certificate keeps mail away.  RFC 7672 section 8.1."""
        try:
            answer = await self._dns.answer(record.name, record.kind)
        except NoSuchName:
            answer = Answer((), False, record.name)
        octets = [bytes(one.data) for one in answer.records]
        fitting = [one for one in usable(octets) if str(one) == record.value]
        if not octets:
            return [Finding(State.ADVICE, record.what, record.name, f"is missing; if the zone is signed, publish {record.line}")]
        if not fitting:
            text = f"fits another certificate, which keeps mail away; publish {record.line}, and remove the others"
            return [Finding(State.WRONG, record.what, record.name, text)]
        if not answer.secure:
            text = "is right, and helps only where its zone is signed and relay.dnssec lets us see it; sign the zone"
            return [Finding(State.ADVICE, record.what, record.name, text)]
        return [Finding(State.RIGHT, record.what, record.name, f"{record.value}, signed")]

    async def service(self, record: Record) -> Sequence[Finding]:
        """Where programs look for services.  RFC 6186 section 3."""
        try:
            answer = await self._dns.answer(record.name, record.kind)
        except NoSuchName:
            answer = Answer((), False, record.name)
        found = [f"{one.port} {text_of(one.target)}" for one in answer.records]
        wanted = record.value.split(" ", 2)[2]
        if wanted in found:
            return [Finding(State.RIGHT, record.what, record.name, wanted)]
        there = f"leads to {', '.join(found)}" if found else "is missing"
        return [Finding(State.WRONG if found else State.ADVICE, record.what, record.name, f"{there}; publish {record.line}")]

    async def policy(self, record: Record) -> Sequence[Finding]:
        """One record with an id, and a policy on the web that names us.  RFC 8461 section 3."""
        texts = await self._texts(record.name, "v=STSv1")
        if not texts:
            return [Finding(State.ADVICE, record.what, record.name, f"is missing; publish {record.line} once the file is there")]
        if not parse_record([one.encode() for one in texts]):
            return [Finding(State.WRONG, record.what, record.name, f"counts as none; publish {record.line} alone")]
        remedy = "put what launcelot dns records shows where it says"
        try:
            policy = parse_policy(await self._fetch(record.domain))
        except (NotFetched, BadPolicy) as error:
            return [Finding(State.WRONG, record.what, record.name, f"the policy cannot be used: {error}; {remedy}")]
        if policy.mode is Mode.ENFORCE and not policy.allows(self._plan.hostname):
            text = f"the policy does not name {self._plan.hostname}, which keeps mail away; {remedy}"
            return [Finding(State.WRONG, record.what, record.name, text)]
        return [Finding(State.RIGHT, record.what, record.name, f"{texts[0]}, {policy.mode.value}")]


Judge = Callable[[Checker, Record], Coroutine[Any, Any, Sequence[Finding]]]

JUDGES: Mapping[str, Judge] = {
    "mail host": Checker.mail_host,
    "SPF": Checker.spf,
    "DKIM": Checker.dkim,
    "DMARC": Checker.dmarc,
    "TLS reports": Checker.reports,
    "DANE": Checker.dane,
    "service": Checker.service,
    "MTA-STS": Checker.policy,
}
"""By what a record is for; addresses and reverse names are asked for by the host's name."""
