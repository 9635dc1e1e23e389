"""
Telling senders what became of their mail: delivery status notifications.  RFC 3461, RFC 3464, RFC 6533.

Invariants: a notice has the null sender, so nothing is ever told about a notice; nobody is told whose address was not shown to
be his (an address here, or one that :attr:`~launcelot.spool.interface.Envelope.verified` speaks for), so that a forged sender
gets nothing; of a message the header is sent back and never the body.

``RET=FULL`` is not honoured: RFC 3461 section 4.3 lets a server send less, and a body that comes back is what makes others
misuse a bouncing server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum

from launcelot.core.errors import NotFound, NotPermitted, Refusal
from launcelot.message.address import Address
from launcelot.message.dates import format_date
from launcelot.message.headers import Buffer
from launcelot.message.report import Fields, Report, compose_report, delivery_fields
from launcelot.spool.interface import Addressees, Envelope, SpoolId, SpoolRecipient, Verdict
from launcelot.spool.mail import Mail, Notice, Pending

Results = Sequence[tuple[Pending, Verdict]]

Signing = Callable[[bytes, float], Awaitable[bytes]]
"""Signs a message of our own; the wall clock's seconds are given beside it."""

SHOWN = 50
"""Recipients named in the text for people; all of them are in the part for programs."""


async def unsigned(message: bytes, _: float) -> bytes:
    """A message as it is."""
    return message


class Kind(Enum):
    """What a notice tells; the values are the words of ``NOTIFY``."""

    FAILURE = "FAILURE"
    DELAY = "DELAY"
    SUCCESS = "SUCCESS"


class NotReturnable(Refusal):
    """There is nobody to tell."""

    default_text = "there is nobody to tell"


def wants(recipient: SpoolRecipient, kind: Kind) -> bool:
    """
    Whether the sender asked to be told, or did not ask not to be.  RFC 3461 section 4.1.

    Without ``NOTIFY`` failures and delays are told.
    """
    if not recipient.notify:
        return kind is not Kind.SUCCESS
    return kind.value in recipient.notify.split(",")


class Notices:
    """
    Writes notices.

    :param hostname: ours.
    :param domain: of the address they come from.
    :param addressees: who gets mail for the sender's address.
    :param new_id: a fresh id.
    :param now: wall-clock seconds.
    :param lifetime: seconds after which mail that waits is given up, to be told.
    :param sign: puts signatures on notices to other hosts.
    """

    def __init__(
        self,
        hostname: str,
        domain: str,
        addressees: Addressees,
        new_id: Callable[[], str],
        now: Callable[[], float],
        lifetime: float,
        sign: Signing = unsigned,
    ) -> None:
        self._hostname = hostname
        self._sender = Address("mailer-daemon", domain)
        self._addressees = addressees
        self._new_id = new_id
        self._now = now
        self._lifetime = lifetime
        self._sign = sign

    async def compose(self, kind: Kind, mail: Mail, results: Results, original: Buffer) -> Notice:
        """
        A notice about some recipients of a mail.

        :param original: the message.
        :raises NotReturnable: there is nobody who may be told.
        :raises Refusal: (``temporary``) that cannot be found out now.
        """
        if mail.envelope.sender is None:
            raise NotReturnable("the mail has no sender")
        sender, found = await self._told(kind, mail.envelope, mail.envelope.sender, results)
        if len(found) == 1 and found[0].is_remote:
            # It may stand for somebody else, as that of mail which was passed on does.
            sender = found[0].address
        id = SpoolId(self._new_id())
        report = Report(
            kind="delivery-status",
            sender=self._sender,
            sender_name="Mail delivery",
            recipient=sender,
            subject=SUBJECTS[kind],
            text=self._text(kind, results),
            groups=self._groups(kind, mail, results),
            date=datetime.fromtimestamp(self._now(), UTC),
            message_id=f"{id}@{self._hostname}",
            boundary=f"={id}",
        )
        octets = compose_report(report, original)
        if any(one.is_remote for one in found):
            octets = await self._sign(octets, self._now())
        # RFC 8689 section 5: what protects the mail protects what is said of it.
        envelope = Envelope(id, None, tuple(found), utf8=not octets.isascii(), require_tls=mail.envelope.require_tls)
        return Notice(envelope, octets)

    async def _told(
        self, kind: Kind, envelope: Envelope, sender: Address, results: Results
    ) -> tuple[Address, Sequence[SpoolRecipient]]:
        """
        The address that is told, and who gets that.

        With VERP it is the one that the recipient was told, where it is somebody's; what goes wrong behind a list is told its
        owner, who is nobody from outside.
        """
        recipient = results[0][0].recipient
        if recipient.listed and recipient.sender is not None and kind is not Kind.SUCCESS:
            return recipient.sender, await self._who(recipient.sender, True)
        known = bool(envelope.verified or envelope.user)
        own = None if recipient.sender is not None else envelope.sender_for(recipient)
        if len(results) == 1 and own is not None and own != sender:
            try:
                return own, await self._who(own, known)
            except NotReturnable:
                pass
        return sender, await self._who(sender, known)

    async def _who(self, sender: Address, known: bool) -> Sequence[SpoolRecipient]:
        try:
            found = await self._addressees(sender)
        except (NotFound, NotPermitted) as refusal:
            raise NotReturnable(f"the sender cannot be told: {refusal.text}") from refusal
        if not found:
            raise NotReturnable("the sender is nobody's address")
        if any(one.is_remote for one in found) and not known:
            raise NotReturnable("the sender's address may be forged")
        return [replace(one, notify="NEVER", original="") for one in found]

    def _text(self, kind: Kind, results: Results) -> str:
        lines = [f"This is {self._hostname}, about the mail whose header is below.", ""]
        lines += [WORDS[kind].format(days=round(self._lifetime / 86_400, 1)), ""]
        for pending, verdict in results[:SHOWN]:
            told = verdict.text and not (kind is Kind.SUCCESS and pending.recipient.listed)
            lines += [named(kind, pending.recipient), f"    {verdict.text}" if told else "", ""]
        if len(results) > SHOWN:
            lines += [f"and {len(results) - SHOWN} more, who are named in the next part.", ""]
        return "\n".join(lines)

    def _groups(self, kind: Kind, mail: Mail, results: Results) -> list[Fields]:
        """RFC 3464 sections 2.2 and 2.3."""
        envelope = mail.envelope
        ours = kind is not Kind.SUCCESS and any(pending.recipient.listed for pending, _ in results)
        first = [("Original-Envelope-Id", envelope.envelope_id)] if envelope.envelope_id and not ours else []
        arrived = format_date(datetime.fromtimestamp(mail.received, UTC))
        message = [*first, ("Reporting-MTA", f"dns; {self._hostname}"), ("Arrival-Date", arrived)]
        return [message, *(self._recipient(kind, mail, pending, verdict) for pending, verdict in results)]

    def _recipient(self, kind: Kind, mail: Mail, pending: Pending, verdict: Verdict) -> Fields:
        recipient = pending.recipient
        if kind is Kind.SUCCESS and recipient.listed:
            # RFC 3461 section 5.2.7.1: the list was the end of the way.
            return delivery_fields(list_of(recipient), "", "delivered", "2.1.5", "", [])
        if kind is Kind.SUCCESS:
            action = "relayed" if recipient.is_remote else "delivered"
        else:
            action = "failed" if kind is Kind.FAILURE else "delayed"
        more = [("Remote-MTA", f"dns; {verdict.host}")] if verdict.host else []
        more.append(("Last-Attempt-Date", format_date(datetime.fromtimestamp(self._now(), UTC))))
        if kind is Kind.DELAY:
            until = datetime.fromtimestamp(mail.received + self._lifetime, UTC)
            more.append(("Will-Retry-Until", format_date(until)))
        return delivery_fields(recipient.address, recipient.original, action, verdict.status, verdict.diagnostic, more)


def list_of(recipient: SpoolRecipient) -> Address:
    """The address that the sender wrote to, for who gets mail by way of a list."""
    return recipient.via or recipient.address


def named(kind: Kind, recipient: SpoolRecipient) -> str:
    """A recipient for people."""
    if kind is Kind.SUCCESS and recipient.listed:
        return f"<{list_of(recipient)}>"
    return f"<{recipient.address}>" + (f", to whom mail for <{recipient.via}> is sent on" if recipient.via is not None else "")


SUBJECTS = {
    Kind.FAILURE: "Your mail could not be delivered",
    Kind.DELAY: "Your mail is delayed",
    Kind.SUCCESS: "Your mail was delivered",
}

WORDS = {
    Kind.FAILURE: "It could not be delivered to those named here, and is not tried again.",
    Kind.DELAY: "It has not been delivered yet to those named here.  "
    "It is tried until it is {days:g} days old; you need do nothing.",
    Kind.SUCCESS: "It was delivered to those named here, or handed to a system that sends no notices of its own.",
}
