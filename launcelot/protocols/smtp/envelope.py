"""
The envelope: MAIL and RCPT.

When RCPT has been answered 250 everything is known that can be: the address exists here, the account is enabled and has room.
"""

from __future__ import annotations

from collections.abc import Sequence

from launcelot.accounts.interface import Recipient
from launcelot.core.errors import NotFound, Refusal
from launcelot.message.address import Address
from launcelot.protocols.smtp.grammar import Mail, Reply, refuse_utf8, reply
from launcelot.protocols.smtp.session import Session, State, Transaction, reply_for
from launcelot.spool.interface import SpoolId, SpoolRecipient


async def mail(session: Session, given: Mail) -> Reply:
    """Begin a transaction.  RFC 5321 section 4.1.1.2."""
    if not session.extended and (given.size or given.eight_bit or given.utf8):
        return reply(555, "5.5.4", "Parameters of MAIL need EHLO")
    if given.size > session.settings.max_message_size:
        return reply(552, "5.3.4", "Message is larger than the limit")
    if session.account is not None and given.sender is not None:
        try:
            allowed = await session.site.accounts.may_send_as(session.account, given.sender)
        except Refusal as refusal:
            return reply_for(refusal)
        if not allowed:
            return reply(553, "5.7.1", "That sender address is not yours")
    session.transaction = Transaction(SpoolId(session.site.new_id()), given)
    session.move(State.MAIL)
    session.wire.limit_total(None)
    return reply(250, "2.1.0", "Sender ok")


async def recipient(session: Session, address: Address) -> Reply:
    """
    Add a recipient: whether it exists, is ours and has room is all known now.  RFC 5321 section 4.1.1.3.
    """
    transaction = session.current
    refuse_utf8(address, transaction.mail.utf8)
    if len(transaction.named) >= session.settings.max_recipients:
        return reply(452, "4.5.3", "Too many recipients")
    if not address.domain:
        address = Address(address.local, session.site.domain)
    if not session.site.accounts.is_local(address.domain):
        if session.account is not None:
            return reply(550, "5.1.2", "Not a domain of this server, and it does not relay yet")
        return reply(554, "5.7.1", "Relay access denied")
    try:
        found = [one for one in await session.site.accounts.resolve(address) if one.account.enabled]
    except NotFound:
        return reply(550, "5.1.1", "No such user here")
    except Refusal as refusal:
        return reply_for(refusal)
    if not found:
        return reply(550, "5.2.1", "Mailbox is disabled")
    return await add_recipients(session, transaction, address, found)


async def add_recipients(
    session: Session, transaction: Transaction, address: Address, found: Sequence[Recipient]
) -> Reply:
    """Take those into the envelope who have room; a full one among several is tried again by the spool."""
    try:
        room = [await has_room(session, one, transaction.mail.size) for one in found]
    except Refusal as refusal:
        return reply_for(refusal)
    if not any(room):
        return reply(452, "4.2.2", "Mailbox is full")
    for one in found:
        transaction.recipients.setdefault(one.account.id, SpoolRecipient(one.account.id, address))
    transaction.named.append(tuple(one.account.id for one in found))
    transaction.only = address if len(transaction.named) == 1 else None
    session.move(State.RECIPIENTS)
    return reply(250, "2.1.5", "Recipient ok")


async def has_room(session: Session, one: Recipient, size: int) -> bool:
    """Whether a message of the declared size fits into an account."""
    quota, messages = one.account.quota, one.account.messages
    if not quota and not messages:
        return True
    usage = await (await session.site.mail.mail(one.account.id, quota, messages)).usage()
    return not (0 < quota < usage.octets + max(size, 1) or 0 < messages <= usage.messages)
