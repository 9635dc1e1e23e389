"""
What is looked at in the header of a message that comes in, and what is added to it.

Everywhere: how often it has been received (RFC 5321 section 6.3), and whether mail that is sent on has come back.  On submission
(RFC 6409 section 8): that ``From`` belongs to who has logged in, and that ``Date`` and ``Message-ID`` are there; nothing a client
wrote is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcelot.core.errors import Refusal
from launcelot.message.dates import format_date
from launcelot.message.headers import Group, Mailbox, fields, parse_address_list, unfold
from launcelot.message.lists import MAX_LIST
from launcelot.message.trace import count_received, was_delivered_to
from launcelot.protocols.smtp.body import Rejected
from launcelot.protocols.smtp.grammar import reply
from launcelot.protocols.smtp.session import Session, reply_for

if TYPE_CHECKING:
    from launcelot.accounts.interface import Account

MAX_AUTHORS = 100
"""Addresses in one From."""

TOO_MANY_HOPS = reply(554, "5.4.6", "Too many hops: this mail goes round in circles")
IN_CIRCLES = reply(554, "5.4.6", "Mail for that address is sent on, and has come back")
HEADER_TOO_LARGE = reply(554, "5.6.0", "The header section is too large")
NOT_YOURS = reply(550, "5.7.1", "The From field names an address that is not yours")


async def inspect(session: Session, head: bytes, whole: bool) -> bytes:
    """
    Look at a header section and give the fields to add to it.

    :param whole: whether ``head`` is all of it.
    :raises Rejected: the message is not to be accepted.
    """
    if count_received(head) > session.settings.max_hops:
        raise Rejected(TOO_MANY_HOPS)
    if session.transaction is not None:
        # Who is here has had it; whoever it is sent on to would have it for ever.
        sent_on = {one.via for one in session.transaction.recipients.values() if one.via is not None}
        if any(was_delivered_to(head, one) for one in sent_on):
            raise Rejected(IN_CIRCLES)
    account = session.account
    if account is None:
        return b""
    if not whole:
        raise Rejected(HEADER_TOO_LARGE)
    names = {field.name.lower() for field in fields(head, 0, len(head))}
    if session.settings.check_from_header and b"from" in names:
        await check_from(session, account, head)
    added = b""
    if b"date" not in names:
        added += b"Date: " + format_date(session.site.now()).encode("ascii") + b"\r\n"
    if b"message-id" not in names and session.transaction is not None:
        added += f"Message-ID: <{session.transaction.id}@{session.site.hostname}>\r\n".encode()
    return added


async def check_from(session: Session, account: Account, head: bytes) -> None:
    """
    Every address of every ``From`` must be one the account may send as; one that cannot be read is not.

    :raises Rejected: one is not.
    """
    for field in fields(head, 0, len(head)):
        if field.name.lower() != b"from":
            continue
        value = unfold(head[field.value_start : field.value_end])
        authors = mailboxes(value)
        # Beyond its limits the parser reads no further, and nobody would know who else is named there.
        if not authors or len(authors) > MAX_AUTHORS or len(value) > MAX_LIST:
            raise Rejected(NOT_YOURS)
        for author in authors:
            address = author.address
            try:
                allowed = address is not None and await session.site.accounts.may_send_as(account, address)
            except Refusal as refusal:
                raise Rejected(reply_for(refusal)) from refusal
            if not allowed:
                raise Rejected(NOT_YOURS)


def mailboxes(value: bytes) -> list[Mailbox]:
    """All mailboxes of an address list, members of groups included."""
    found: list[Mailbox] = []
    for one in parse_address_list(value):
        found.extend(one.members if isinstance(one, Group) else (one,))
    return found
