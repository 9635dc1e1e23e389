"""
``launcelot simulate``: what becomes of a mail over days, in less than a second.

The real queue, with the retries, routes, notices and limits of the configuration, runs on a virtual clock; what next hops
answer is scripted.  Nothing is sent, and the data folder is not touched.

A next hop is written as ``NAME=STEP,STEP,...``: the name of a destination (a domain, the host of a route, or ``*``), then what
it answers, each for a time and the last for ever: ``far.example=6h:451 4.3.0 busy,250 ok``.  Beside replies there are
``refused`` (nobody listens), ``dns`` (the DNS does not answer), ``nodomain`` (it says there is no such domain) and ``vanish``
(the connection is cut when the whole message has been sent).
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from launcelot.app.ask import printable
from launcelot.app.configuration import configuration_for
from launcelot.app.errors import OK, USAGE, Ending
from launcelot.app.naming import hostname_of
from launcelot.app.relaying import schedule_of
from launcelot.app.streams import Streams
from launcelot.core.counters import Counters
from launcelot.core.errors import Invalid
from launcelot.core.ids import AccountId
from launcelot.message.address import Address, domain_key, parse_mailbox
from launcelot.protocols.smtp.grammar import MalformedReply, Reply, ReplyReader
from launcelot.relay.carrier import verdict_on
from launcelot.relay.hosts import Target
from launcelot.relay.routes import Routes, parse_routes
from launcelot.relay.settings import RelaySettings
from launcelot.spool.interface import ELSEWHERE, Envelope, Fate, Last, SpoolId, SpoolRecipient, Verdict
from launcelot.spool.memory import MemorySpool
from launcelot.spool.notices import Notices
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Buffer, Staging

BEGIN = 1_700_000_000.0
SENDER = AccountId("sender")
UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}

WORDS: Mapping[str, Verdict] = {
    "refused": Verdict(Fate.LATER, "4.4.1", "connection refused"),
    "dns": Verdict(Fate.LATER, "4.4.3", "the DNS does not answer"),
    "nodomain": Verdict(Fate.NEVER, "5.1.2", "the domain does not exist"),
    "vanish": Verdict(Fate.LATER, "4.4.2", "the connection was lost behind the message", unsure=True),
}

_STEP = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)([smhd]):)?(.+)\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """
    What a next hop answers for a while.

    :ivar until: seconds from the beginning; infinite for the last step.
    """

    until: float
    answer: Verdict | Reply


@dataclass(frozen=True, slots=True)
class Event:
    """
    Something that happened.

    :ivar at: seconds since the mail was accepted.
    :ivar what: ``attempt`` or ``notice``.
    """

    at: float
    what: str
    text: str


def parse_hop(text: str) -> tuple[str, Sequence[Step]]:
    """
    One next hop.

    :raises ValueError: it is none; the text says why.
    """
    name, equals, rest = text.partition("=")
    if not equals or not name or not rest:
        raise ValueError(f"{text!r} is no next hop such as 'far.example=6h:451 4.3.0 busy,250 ok'")
    steps: list[Step] = []
    begins = 0.0
    words = rest.split(",")
    for place, word in enumerate(words):
        found = _STEP.match(word.strip())
        if found is None:
            raise ValueError(f"{text!r}: a step is missing")
        last = place == len(words) - 1
        if not last and found[1] is None:
            raise ValueError(f"{word!r} has no length such as '6h:'; only the last step lasts for ever")
        begins = begins + float(found[1]) * UNITS[found[2]] if found[1] else float("inf")
        steps.append(Step(begins, parse_answer(found[3])))
    return (name if name == "*" else name.lower()), steps


def parse_answer(text: str) -> Verdict | Reply:
    """
    A reply, or one of the words.

    :raises ValueError: it is neither.
    """
    if text in WORDS:
        return WORDS[text]
    try:
        reply = ReplyReader().feed(text.encode())
    except MalformedReply:
        reply = None
    if reply is None or reply.code < 200 or 300 <= reply.code < 400:
        raise ValueError(f"{text!r} is neither a reply such as '451 4.3.0 busy' nor one of {', '.join(WORDS)}")
    return reply


@dataclass
class Simulation:
    """
    One mail, and what becomes of it.

    :param hops: by destination, what they answer.
    :param seed: of chance.
    :ivar events: what happened, in order.
    """

    settings: RelaySettings
    hostname: str
    sender: Address
    recipients: Sequence[SpoolRecipient]
    hops: Mapping[str, Sequence[Step]]
    seed: int = 1
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self._routes: Routes = parse_routes(self.settings.routes)
        self._ids = iter(range(1, 1_000_000))
        schedule = replace(schedule_of(self.settings), chance=Random(self.seed).random)
        notices = Notices(
            self.hostname, self.sender.domain, self._addressees, lambda: f"notice-{next(self._ids)}", self._now,
            self.settings.lifetime,
        )  # fmt: skip
        self._spool = MemorySpool(
            self._deliver, self.clock, self._now, Counters(), schedule=schedule, carrier=self, notices=notices
        )

    def run(self) -> Sequence[Event]:
        """Everything that happens until nothing waits any more."""
        Deferred.fromCoroutine(self._accept())
        while self._calls() and self.clock.seconds() < 2 * self.settings.lifetime:
            self.clock.advance(max(0.0, min(one.getTime() for one in self._calls()) - self.clock.seconds()))
        return self.events

    def _calls(self) -> Sequence[Any]:
        return self.clock.getDelayedCalls()

    def _now(self) -> float:
        return BEGIN + self.clock.seconds()

    def _tell(self, what: str, text: str) -> None:
        self.events.append(Event(self.clock.seconds(), what, text))

    async def _accept(self) -> None:
        body = Staging(None, InlineWorkers()).begin()
        await body.write(f"From: {self.sender}\r\nSubject: simulated\r\n\r\n".encode())
        envelope = Envelope(SpoolId("mail"), self.sender, tuple(self.recipients), "sender")
        await self._spool.accept(envelope, body)

    async def _addressees(self, address: Address) -> Sequence[SpoolRecipient]:
        return [SpoolRecipient(SENDER, address)]

    async def _deliver(self, envelope: Envelope, recipient: SpoolRecipient, body: Buffer, key: str) -> None:
        """Whatever is delivered here is a notice."""
        text = bytes(body[:]).decode("utf-8", "replace")
        action = re.search(r"^Action: (\w+)", text, re.MULTILINE)
        named = ", ".join(re.findall(r"^Final-Recipient: [^;]*; (.*?)\r?$", text, re.MULTILINE))
        self._tell("notice", f"{recipient.address} is told: {action[1] if action else 'something'} for {named}")

    # -- the carrier ---------------------------------------------------------------------------------------------

    def destination(self, envelope: Envelope, recipient: SpoolRecipient) -> str:
        """As the relay has it."""
        route = self._routes.find(envelope.sender, recipient.address)
        return route.host or domain_key(recipient.address.domain)

    def limit(self, destination: str) -> int:
        """As the relay has it."""
        return self.settings.connections

    async def carry(
        self, destination: str, envelope: Envelope, recipients: Sequence[SpoolRecipient], body: Buffer, last: Last
    ) -> Sequence[Verdict]:
        """What the script says."""
        steps = self.hops.get(destination) or self.hops.get("*") or [Step(float("inf"), WORDS["refused"])]
        answer = next(one.answer for one in steps if self.clock.seconds() < one.until)
        verdict = answer if isinstance(answer, Verdict) else verdict_on(Target(destination, destination, 25), answer)
        names = ", ".join(str(one.address) for one in recipients)
        self._tell("attempt", f"{destination} for {names}: {verdict.diagnostic or verdict.text}")
        await last()
        return [verdict] * len(recipients)

    async def close(self) -> None:
        """Nothing is kept."""


def main(given: Namespace, streams: Streams) -> int:
    """
    Simulate, and print what happens.

    :raises Ending: the options or the configuration are wrong.
    """
    configuration = configuration_for(given.config, given.data)
    try:
        hops = dict(parse_hop(text) for text in given.hop)
        recipients = [SpoolRecipient(ELSEWHERE, parse_mailbox(text), given.notify.upper()) for text in given.recipients]
    except (ValueError, Invalid) as error:
        raise Ending(f"simulate: {error}", USAGE) from error
    sender = Address("sender", configuration.daemon.domains[0])
    simulation = Simulation(configuration.relay, hostname_of(configuration), sender, recipients, hops, given.seed)
    events = simulation.run()
    if given.json:
        streams.say_json({"events": [asdict(one) for one in events]})
    else:
        streams.say(*(f"{moment(one.at):>12}  {one.what:8}{printable(one.text)}" for one in events))
    return OK


def moment(seconds: float) -> str:
    """A time since the beginning: days, hours, minutes and seconds."""
    days, rest = divmod(round(seconds), 86_400)
    return f"{days}d {rest // 3_600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
