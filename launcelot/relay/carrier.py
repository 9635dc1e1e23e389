"""
The relay: a :class:`~launcelot.spool.interface.Carrier` that speaks SMTP.

Invariants:

- Every recipient gets one verdict for each transaction, whatever happens to the connection.
- A mail is handed over a second time within one transaction only if the host cannot have taken the first: never once the last
  octet had been sent.
- A destination whose hosts do not answer is left alone for :data:`DOWN` seconds; what comes meanwhile is put off at once.

What needs 8BITMIME and meets a host without it is recoded (RFC 6152 section 3); what needs SMTPUTF8 is given back (RFC 6531
section 3.2).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from launcelot.core.counters import Counters
from launcelot.message.address import domain_key
from launcelot.message.headers import find_header_end
from launcelot.message.recode import EIGHT_BIT, Change, Unencodable, plan, recoded
from launcelot.message.trace import count_received, delivered_to
from launcelot.protocols.smtp.client import Message, Sent
from launcelot.protocols.smtp.client import Wish as Notify
from launcelot.protocols.smtp.failures import Disconnected, NotSendable, Refused, SmtpError
from launcelot.protocols.smtp.grammar import Reply
from launcelot.relay.connections import Connections, Link, Loop
from launcelot.relay.demands import Demands, Unmet, Unusable, Wish
from launcelot.relay.hosts import Finder, Target, Unroutable
from launcelot.relay.routes import Route, Routes, Tls
from launcelot.relay.settings import RelaySettings
from launcelot.spool.interface import Envelope, Fate, Last, SpoolRecipient, Verdict
from launcelot.workers.interface import Workers
from launcelot.workers.staging import Buffer
from launcelot.workers.trail import NOWHERE, Trail

DOWN = 60.0
"""Seconds a destination is left alone when none of its hosts answers."""

UNPROVEN = 2
"""Transactions at once with a destination that has not answered yet, so that many dead ones do not take all there are."""

PROVEN = 10_000
"""Destinations that have answered which are remembered."""

PIECE = 65_536
"""Octets handed to a connection at once."""

SAID = 500
"""Characters of a host's reply that are kept."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Letter:
    """
    One message on its way to some of its recipients, who have sender and way in common.

    :ivar front: fields in front of its body.
    """

    destination: str
    route: Route
    envelope: Envelope
    recipients: Sequence[SpoolRecipient]
    body: Buffer
    front: bytes
    message: Message

    @property
    def wish(self) -> Wish:
        """What it says of TLS."""
        return wish_of(self.envelope)


class Relay:
    """
    Takes mail to other hosts.

    :param finder: asks the DNS.
    :param demands: finds out what hosts have to show.
    :param workers: where a large message is looked through.
    :param closed: called when everything is let go of.
    :param trail: where it is noted which hosts could not be used.
    """

    log = Logger(namespace="launcelot.relay")

    def __init__(
        self,
        settings: RelaySettings,
        routes: Routes,
        finder: Finder,
        demands: Demands,
        connections: Connections,
        clock: IReactorTime,
        counters: Counters,
        workers: Workers,
        closed: Callable[[], None] = lambda: None,
        trail: Trail = NOWHERE,
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._finder = finder
        self._demands = demands
        self._connections = connections
        self._clock = clock
        self._counters = counters
        self._workers = workers
        self._closed = closed
        self._trail = trail
        self._down: dict[str, tuple[float, Verdict]] = {}
        self._limits: dict[str, int] = {}
        self._proven: set[str] = set()
        counters.gauge("relay.connections", lambda: connections.count)

    # -- what the spool asks -------------------------------------------------------------------------------------

    def destination(self, envelope: Envelope, recipient: SpoolRecipient) -> str:
        """A host of the configuration, or the recipient's domain."""
        route = self._routes.find(envelope.for_one(recipient).sender, recipient.address)
        if not route.host:
            return domain_key(recipient.address.domain)
        # What the configuration names is not tried out.
        self._limits[route.destination] = route.connections or self._settings.connections
        return route.destination

    def limit(self, destination: str) -> int:
        """Transactions with a destination at once."""
        usual = self._settings.connections
        return self._limits.get(destination, usual if destination in self._proven else min(usual, UNPROVEN))

    async def carry(
        self, destination: str, envelope: Envelope, recipients: Sequence[SpoolRecipient], body: Buffer, last: Last
    ) -> Sequence[Verdict]:
        """One verdict for each recipient; see :meth:`launcelot.spool.interface.Carrier.carry`."""
        known = self._known_down(destination)
        # What its hosts did not show may be nothing to this mail.
        if known is not None and not (wish_of(envelope) is Wish.OPTIONAL and known.status.startswith("4.7.")):
            return [known] * len(recipients)
        if count_received(body) > self._settings.max_hops:
            return [Verdict(Fate.NEVER, "5.4.6", "the message goes in circles")] * len(recipients)
        route = self._routes.find(envelope.for_one(recipients[0]).sender, recipients[0].address)
        front, listed = front_of(recipients[0]), recipients[0].listed
        message = message_of(envelope, body, last, front, listed)
        letter = Letter(destination, route, envelope, recipients, body, front, message)
        try:
            return await self._carry(letter)
        except Unroutable as error:
            fate = Fate.LATER if error.temporary else Fate.NEVER
            return [Verdict(fate, error.status, str(error))] * len(recipients)
        except Loop as error:
            return [Verdict(Fate.NEVER, error.status, str(error))] * len(recipients)
        except Unmet as error:
            return [Verdict(Fate.NEVER, error.status, str(error), error.host)] * len(recipients)
        except Unusable as error:
            verdict = Verdict(Fate.LATER, error.status, str(error), error.host, clean(error.diagnostic))
            self._note_down(destination, verdict)
            return [verdict] * len(recipients)

    def _known_down(self, destination: str) -> Verdict | None:
        until, verdict = self._down.get(destination, (0.0, None))
        if verdict is None or until > self._clock.seconds():
            return verdict
        del self._down[destination]
        return None

    def _note_down(self, destination: str, verdict: Verdict) -> None:
        now = self._clock.seconds()
        self._proven.discard(destination)
        self._down = {name: one for name, one in self._down.items() if one[0] > now}
        self._down[destination] = (now + DOWN, verdict)
        self._counters.add("relay.down")

    def _note_proven(self, destination: str) -> None:
        if len(self._proven) >= PROVEN:
            self._proven.clear()
        self._proven.add(destination)

    async def close(self) -> None:
        """Let go of connections."""
        await self._connections.close()
        self._closed()

    # -- one transaction -----------------------------------------------------------------------------------------

    async def _carry(self, letter: Letter) -> Sequence[Verdict]:
        while True:
            link = self._connections.idle(letter.destination, letter.wish is Wish.REQUIRED)
            if link is None:
                return await self._hand_over(await self._fresh(letter), letter)
            try:
                return await self._hand_over(link, letter)
            except Stale:
                continue

    async def _fresh(self, letter: Letter) -> Link:
        """
        A new connection to the first host that can be used.

        :raises Unmet: none can do what the mail demands.
        :raises Unusable: none can; what is said is of the first that was tried, unless another attempt does not help there.
        """
        problems: list[Unusable] = []
        route, domain = letter.route, domain_key(letter.recipients[0].address.domain)
        targets = await self._targets(route, domain)
        policy = await self._demands.policy(route, domain, letter.wish)
        for target in targets:
            try:
                demand = await self._demands.of(route, domain, target, policy, letter.wish)
                link = await self._connections.open(route, target, demand)
                self._note_proven(letter.destination)
                return link
            except Loop:
                raise
            except Unusable as error:
                self.log.info("{target} cannot be used: {reason}", target=str(target), reason=str(error))
                self._trail.note(letter.envelope.id, "passed over", host=str(target), reason=clean(str(error)))
                problems.append(error)
        passing = [one for one in problems if not isinstance(one, Unmet)]
        raise [*passing, *problems, Unusable("4.4.4", "there is no host to go to")][0]

    async def _targets(self, route: Route, domain: str) -> Sequence[Target]:
        if not route.host:
            return await self._finder.find(domain)
        if route.tls is Tls.DANE:
            return await self._finder.at(route.host, route.port)
        return [Target(route.host, route.host, route.port, True)]

    async def _hand_over(self, link: Link, letter: Letter) -> Sequence[Verdict]:
        try:
            try:
                return await self._attempt(link, letter, letter.message)
            except NotSendable as error:
                return await self._attempt(link, letter, await self._recoded(letter, error))
        except NotSendable as error:
            self._connections.give_back(letter.destination, link, True)
            text = clean(f"{link.target}: {error}")
            return [Verdict(Fate.NEVER, error.status, text, link.target.host)] * len(letter.recipients)

    async def _attempt(self, link: Link, letter: Letter, message: Message) -> Sequence[Verdict]:
        """
        Send, and give the connection back unless nothing could be sent on it.

        :raises NotSendable: the host cannot take it so.
        :raises Stale: the connection was of no use any more.
        """
        in_order, sendable = False, True
        try:
            sent = await self._send(link, letter, message)
            in_order = all(reply.code != 421 for _, reply in sent.recipients)
            return self._verdicts(link, letter, sent)
        except NotSendable:
            sendable = False
            raise
        except Refused as error:
            in_order = error.reply.code != 421
            if not in_order and link.is_used:
                raise Stale from error
            return [verdict_on(link.target, error.reply)] * len(letter.recipients)
        except Disconnected as error:
            if link.is_used and not error.ambiguous:
                raise Stale from error
            return self._all(link, letter, error, error.ambiguous)
        except SmtpError as error:
            return self._all(link, letter, error, False)
        finally:
            if sendable:
                self._connections.give_back(letter.destination, link, in_order)

    def _all(self, link: Link, letter: Letter, error: SmtpError, unsure: bool) -> Sequence[Verdict]:
        self._counters.add("relay.broken")
        text = f"{link.target}: {error}"
        return [Verdict(Fate.LATER, "4.4.2", clean(text), link.target.host, unsure=unsure)] * len(letter.recipients)

    async def _send(self, link: Link, letter: Letter, message: Message) -> Sent:
        # What was asked of a list is not asked of those behind it.  RFC 3461 section 5.2.7.1.
        wishes = [Notify() if one.listed else Notify(one.notify, one.original) for one in letter.recipients]
        addresses = [one.address for one in letter.recipients]
        if letter.envelope.require_tls:
            message = replace(message, require_tls=link.protects, returned="HDRS" if message.returned else "")
        sender = letter.envelope.sender_for(letter.recipients[0])
        sent = await link.client.send(sender, addresses, message, wishes)
        self._counters.add("relay.messages", bool(sent.accepted))
        return sent

    def _verdicts(self, link: Link, letter: Letter, sent: Sent) -> Sequence[Verdict]:
        passed_on = "DSN" in link.client.offers and not letter.recipients[0].listed
        return [verdict_on(link.target, reply, passed_on) for _, reply in sent.recipients]

    async def _recoded(self, letter: Letter, error: NotSendable) -> Message:
        """
        The message for a host that does not take 8-bit octets.

        :raises NotSendable: it is something else that the host lacks, or recoding cannot help.
        """
        if error.status != "5.6.3":
            raise error
        try:
            changes = await self._workers.run(lambda: plan(letter.body, EIGHT_BIT))
        except Unencodable as wrong:
            raise NotSendable("MAIL", f"{error}; and {wrong}", "5.6.3") from wrong
        # Base64 of 57 octets is 78 with its line end.
        size = letter.message.size * 78 // 57 + PIECE
        source = pieces_of_changed(letter.body, changes, letter.front)
        return replace(letter.message, source=source, size=size, eight_bit=False, utf8=False)


def wish_of(envelope: Envelope) -> Wish:
    """What a mail says of TLS; notices go without protection rather than not at all (RFC 8689 section 5)."""
    if envelope.require_tls and envelope.sender is not None:
        return Wish.REQUIRED
    return Wish.OPTIONAL if envelope.tls_optional and not envelope.require_tls else Wish.NONE


class Stale(Exception):
    """A connection that had been kept was of no use any more; the host has taken nothing."""


def front_of(recipient: SpoolRecipient) -> bytes:
    """What is written on top of mail that is sent on: where it has been.  RFC 9228 section 3."""
    return b"" if recipient.via is None else delivered_to(recipient.via)


def message_of(envelope: Envelope, body: Buffer, last: Last | None = None, front: bytes = b"", listed: bool = False) -> Message:
    """
    A message as the client takes it; what it needs of the host is seen in its octets.

    :param listed: it comes from a list, with nothing of what its sender asked about notices.
    """
    header = front + body[: find_header_end(body)]
    utf8 = envelope.utf8 and not header.isascii()
    eight_bit = any(not body[start : start + PIECE].isascii() for start in range(0, len(body), PIECE)) or not front.isascii()
    asked = ("", "") if listed else (envelope.returned, envelope.envelope_id)
    return Message(pieces_of(body, front), len(front) + len(body), eight_bit, utf8, *asked, last)


async def pieces_of(body: Buffer, front: bytes = b"") -> AsyncIterator[bytes]:
    """A body in pieces."""
    if front:
        yield front
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


async def pieces_of_changed(body: Buffer, changes: list[Change], front: bytes = b"") -> AsyncIterator[bytes]:
    """A body with changes, in pieces."""
    if front:
        yield front
    for piece in recoded(body, changes):
        yield piece


def verdict_on(target: Target, reply: Reply, passed_on: bool = False) -> Verdict:
    """A host's reply as the verdict on one recipient."""
    said = clean(f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " "))
    text = f"{target} said: {said}"
    if reply.positive:
        return Verdict(Fate.DONE, reply.enhanced or "2.0.0", text, target.host, said, passed_on=passed_on)
    # RFC 5321 section 4.5.3.1.10: 552 was once what 452 is.
    later = reply.temporary or (reply.code == 552 and reply.enhanced in ("", "5.5.3") and "recipients" in reply.text.lower())
    kind = "4" if later else "5"
    status = reply.enhanced if reply.enhanced.startswith(kind) else f"{kind}.0.0"
    return Verdict(Fate.LATER if later else Fate.NEVER, status, text, target.host, said)


def clean(text: str) -> str:
    """What a host said, in one line that does nothing to a terminal."""
    return _CONTROLS.sub("?", text)[:SAID]
