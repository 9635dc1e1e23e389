"""
From an address here to those who get its mail: the one place where an expansion becomes recipients of the spool.

What is sent on to other hosts has a sender that those hosts believe:

- of an alias (RFC 5321 section 3.9.1) it is the mail's own, rewritten (SRS) where its domain is not ours; what the sender asked
  about notices is asked further on, of success for one of those behind the address only (RFC 3461 sections 5.2.7.2 and 5.2.7.3);
- of a list (section 3.9.2) it is the list's owner, who hears what goes wrong; for the sender the list is the end of the way
  (RFC 3461 section 5.2.7.1).

The null sender stays null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from launcelot.accounts.interface import Expansion
from launcelot.core.ids import AccountId
from launcelot.message.address import Address
from launcelot.spool.forwarding import Forwarding
from launcelot.spool.interface import ELSEWHERE, Envelope, SpoolRecipient

SUCCESS = "SUCCESS"
NEVER = "NEVER"
ALL = "SUCCESS,FAILURE,DELAY"


def behind(wanted: SpoolRecipient, found: Expansion) -> list[SpoolRecipient]:
    """
    Those behind an address, here first.

    :param wanted: the address, and what is asked about it.
    """
    recipients = [local(wanted, one.account.id, one.owner) for one in found.recipients]
    recipients += [elsewhere(wanted, one.address, one.owner) for one in found.forwards]
    # Of success the first one alone is told, so that the sender hears of one delivery to the address that was written to.
    return recipients[:1] + [replace(one, notify=without_success(one.notify)) for one in recipients[1:]]


def local(wanted: SpoolRecipient, account: AccountId, owner: Address | None) -> SpoolRecipient:
    """One with a mailbox here."""
    found = replace(wanted, account=account)
    return found if owner is None else listed(found, owner)


def elsewhere(wanted: SpoolRecipient, address: Address, owner: Address | None) -> SpoolRecipient:
    """One at another host."""
    found = replace(wanted, account=ELSEWHERE, address=address, via=wanted.address)
    if owner is not None:
        return listed(found, owner)
    return found if found.original else replace(found, original=original_of(wanted.address))


def listed(recipient: SpoolRecipient, owner: Address) -> SpoolRecipient:
    """One who gets it by way of a list."""
    notify = ALL if SUCCESS in recipient.notify.split(",") else ""
    return replace(recipient, sender=owner, listed=True, notify=notify, original="")


def original_of(address: Address) -> str:
    """``ORCPT`` for an address that mail was for.  RFC 3461 section 5.2.1, RFC 6533 section 3."""
    return f"{'rfc822' if address.is_ascii else 'utf-8'};{address}"


def without_success(notify: str) -> str:
    """
    What is told of all but the first of those behind one address.

    So the sender hears of one delivery to the address that was written to, and of every failure.  RFC 3461 section 5.2.7.3.
    """
    words = [one for one in notify.split(",") if one != SUCCESS]
    return ",".join(words) or (NEVER if notify else "")


async def with_senders(envelope: Envelope, is_local: Callable[[str], bool], forwarding: Forwarding | None) -> Envelope:
    """
    An envelope whose recipients elsewhere have senders that other hosts believe.

    :param is_local: whether a domain is ours.
    :param forwarding: rewrites senders; None where they stay as they are.
    :raises TryLater: a sender cannot be remembered now.
    """
    sender = envelope.sender
    if sender is None or forwarding is None or is_local(sender.domain):
        return envelope
    if not any(one.via is not None and one.sender is None for one in envelope.recipients):
        return envelope
    rewritten = await forwarding.sender(sender)
    recipients = [
        replace(one, sender=rewritten) if one.via is not None and one.sender is None else one for one in envelope.recipients
    ]
    return replace(envelope, recipients=tuple(recipients))
