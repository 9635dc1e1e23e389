"""
The envelope: MAIL and RCPT.

When RCPT has been answered 250 everything is known that can be: an address of ours exists, its account is enabled and has room;
one of another host's was given by somebody who has logged in, and there is a way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from launcelot.accounts.interface import Recipient as Resident
from launcelot.core.errors import NotFound, Refusal
from launcelot.delivery.expanding import behind
from launcelot.message.address import Address
from launcelot.protocols.smtp import checking
from launcelot.protocols.smtp.grammar import Mail, Recipient, Reply, refuse_utf8, reply
from launcelot.protocols.smtp.notifying import BadValue, parse_original
from launcelot.protocols.smtp.session import Role, Session, State, Transaction, reply_for
from launcelot.spool.interface import ELSEWHERE, SpoolId, SpoolRecipient

NO_NOTICES = reply(555, "5.5.4", "DSN is not offered here")
TLS_ONLY = reply(555, "5.5.4", "REQUIRETLS is for mail that comes over TLS")
"""RFC 8689 section 2."""

NO_WAY_OUT = reply(451, "4.3.5", "Mail for that address goes to other hosts, and this server is not set up for that now")
"""RFC 3463 section 3.4."""

SENDER_OK = reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK = reply(250, "2.1.5", "Recipient ok")
TOO_MANY = reply(452, "4.5.3", "Too many recipients")


async def mail(session: Session, given: Mail) -> Reply:
    """Begin a transaction.  RFC 5321 section 4.1.1.2."""
    if not session.extended and not given.plain:
        return reply(555, "5.5.4", "Parameters of MAIL need EHLO")
    if given.wants_notices and not session.sends_notices:
        return NO_NOTICES
    if given.require_tls and not session.wire.secure:
        return TLS_ONLY
    if given.verp and session.account is None:
        return reply(555, "5.5.4", "XVERP is for who has logged in")
    if given.verp and given.sender is None:
        return reply(501, "5.5.4", "XVERP needs a sender")
    if 0 < session.settings.max_mails <= session.mails:
        session.ending = True
        session.outcome = "too many mails"
        return reply(421, "4.5.3", "Too many mails for one connection, connect again")
    if given.size > session.settings.max_message_size:
        return reply(552, "5.3.4", "Message is larger than the limit")
    if session.account is not None and given.sender is not None:
        try:
            allowed = await session.site.accounts.may_send_as(session.account, given.sender)
        except Refusal as refusal:
            return reply_for(refusal)
        if not allowed:
            return reply(553, "5.7.1", "That sender address is not yours")
    try:
        within_limits(session)
    except Refusal as refusal:
        return reply_for(refusal)
    session.mails += 1
    identifier = SpoolId(session.site.new_id())
    case, refused = await checking.begin(session, given, identifier)
    if refused is not None:
        return refused
    session.transaction = Transaction(identifier, given, case=case)
    session.move(State.MAIL)
    session.wire.limit_total(None)
    return SENDER_OK


async def recipient(session: Session, given: Recipient) -> Reply:
    """
    Add a recipient: whether it exists, is ours and has room is all known now.  RFC 5321 section 4.1.1.3.
    """
    transaction = session.current
    address = given.address
    refuse_utf8(address, transaction.mail.utf8)
    if given.wants_notices and not session.sends_notices:
        return NO_NOTICES
    try:
        original = parse_original(given.original, transaction.mail.utf8) if given.original else ""
    except BadValue as bad:
        return reply(501, "5.5.4", str(bad))
    if len(transaction.named) >= session.settings.max_recipients:
        return TOO_MANY
    if not address.domain:
        address = Address(address.local, session.site.domain)
    most = session.settings.max_recipient_domains
    if most and address.domain.lower() not in transaction.domains and len(transaction.domains) >= most:
        return reply(452, "4.5.3", "Too many domains of recipients")
    try:
        new = within_limits(session, transaction, address.key)
        answer = await place(session, transaction, SpoolRecipient(ELSEWHERE, address, given.notify, original))
    except Refusal as refusal:
        return reply_for(refusal)
    transaction.new += new and answer.positive
    return answer


async def place(session: Session, transaction: Transaction, wanted: SpoolRecipient) -> Reply:
    """
    Find out who gets mail for an address, and take them into the envelope.

    :raises Refusal: that cannot be found out now.
    """
    address = wanted.address
    if not session.site.accounts.is_local(address.domain):
        return await elsewhere(session, transaction, wanted)
    sender = passed_on(session, wanted)
    if sender is not None:
        return await send_back(session, transaction, wanted, sender)
    try:
        found = await session.site.accounts.expand(address)
    except NotFound:
        return reply(550, "5.1.1", "No such user here")
    if found.forwards and not session.site.relays:
        return NO_WAY_OUT
    if not (found.forwards or any([await has_room(session, one, transaction.mail.size) for one in found.recipients])):
        return reply(452, "4.2.2", "Mailbox is full")
    refused = await checking.recipient(session, transaction, address)
    if refused is not None:
        return refused
    # Of several that share an address a full one is tried again by the spool.
    return add(session, transaction, behind(wanted, found))


def within_limits(session: Session, transaction: Transaction | None = None, recipient: str = "") -> bool:
    """
    Whether an account has not written to a recipient before; False where nobody counts.

    :raises SendingLimitReached: it has sent as much as it may.
    """
    account, sending = session.account, session.rules.sending
    if account is None or sending is None:
        return False
    if transaction is None:
        sending.expect(account.id)
        return False
    if recipient in transaction.addresses:
        return False
    new = sending.is_new(account.id, recipient)
    sending.expect(account.id, len(transaction.addresses) + 1, transaction.new + new)
    return new


async def elsewhere(session: Session, transaction: Transaction, wanted: SpoolRecipient) -> Reply:
    """An address of another host: for those who have logged in, and nobody else."""
    if session.account is None:
        # RFC 5321 section 3.6.2.
        return reply(550, "5.7.1", "Relay access denied")
    if not session.site.relays:
        return reply(550, "5.1.2", "Not a domain of this server, and mail does not go to others")
    return add(session, transaction, [wanted])


def passed_on(session: Session, wanted: SpoolRecipient) -> Address | None:
    """
    The sender of mail that was passed on to another host, if an address here stands for one.

    :raises Refusal: that cannot be found out now.
    """
    forwarding = session.site.forwarding
    if forwarding is None or session.role is not Role.MX:
        return None
    try:
        return forwarding.original(wanted.address)
    except NotFound:
        return None


async def send_back(session: Session, transaction: Transaction, wanted: SpoolRecipient, sender: Address) -> Reply:
    """What comes back of mail that was passed on goes to its sender, who then deals with another host, or is here by now."""
    if transaction.mail.sender is not None:
        return reply(550, "5.7.1", "That address is for what comes back only, which has no sender")
    back = replace(wanted, address=sender, notify="NEVER", original="")
    if session.site.accounts.is_local(sender.domain):
        return await place(session, transaction, back)
    refused = await checking.recipient(session, transaction, wanted.address)
    return refused if refused is not None else add(session, transaction, [back])


def add(session: Session, transaction: Transaction, recipients: Sequence[SpoolRecipient]) -> Reply:
    """Take those behind one address into the envelope, each once."""
    address = recipients[0].via or recipients[0].address
    transaction.named.append(tuple(transaction.take(recipients)))
    if transaction.case is not None:
        transaction.case.recipients.append(address)
    transaction.domains.add(address.domain.lower())
    transaction.addresses.add(address.key)
    transaction.only = address if len(transaction.named) == 1 else None
    session.move(State.RECIPIENTS)
    return RECIPIENT_OK


async def has_room(session: Session, one: Resident, size: int) -> bool:
    """Whether a message of the declared size fits into an account."""
    quota, messages = one.account.quota, one.account.messages
    if not quota and not messages:
        return True
    usage = await (await session.site.mail.mail(one.account.id, quota, messages)).usage()
    return not (0 < quota < usage.octets + usage.beside + max(size, 1) or 0 < messages <= usage.messages)
