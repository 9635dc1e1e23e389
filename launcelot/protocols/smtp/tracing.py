"""
What the trail (``launcelot trace``) says of a message that came in: one line for each, written when the peer is answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from launcelot.protocols.smtp.grammar import Reply
from launcelot.protocols.smtp.session import Session

SHOWN = 20
"""Recipients that are named."""

TEXT = 300
"""Characters of what a peer says of itself."""

_MESSAGE_ID = re.compile(rb"^message-id:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)


def note(session: Session, head: bytes, size: int, answers: Sequence[Reply]) -> None:
    """
    Note what became of the present message.

    :param head: its header section, or as much of it as was looked at.
    :param size: octets, as far as they were looked at.
    :param answers: what the peer is told: one reply, or on LMTP one for each recipient.
    """
    transaction = session.current
    named = [str(one.address) for one in transaction.recipients.values()]
    good = [one for one in answers if one.positive]
    more = {"refused": [f"{one.code} {one.enhanced} {one.text}"[:TEXT] for one in answers[:SHOWN] if not one.positive]}
    session.site.trail.note(
        transaction.id,
        "accepted" if good else "refused",
        service=session.role.value,
        session=session.effects.session_id,
        source=session.source,
        helo=(session.given_name or session.name)[:TEXT],
        protocol=session.protocol,
        user="" if session.account is None else session.account.name,
        sender="" if transaction.mail.sender is None else str(transaction.mail.sender),
        recipients=named[:SHOWN],
        more=max(0, len(named) - SHOWN),
        size=size,
        message_id=message_id(head),
        **(more if len(good) < len(answers) else {}),
    )


def message_id(head: bytes) -> str:
    """What stands in the ``Message-ID`` field; empty without one."""
    found = _MESSAGE_ID.search(head)
    return "" if found is None else found[1].strip()[:TEXT].decode("utf-8", "replace")
