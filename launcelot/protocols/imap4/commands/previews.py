"""PREVIEW: the first words of messages, made when they are asked for.  RFC 8970."""

from __future__ import annotations

from launcelot.mailstore.interface import Mailbox, Message
from launcelot.message.preview import preview
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.session import Session

FIRST = 65_536
"""Octets of a message that are looked at at once, in a few milliseconds."""
MORE = 262_144
"""Octets that are looked at where those did not do, by a worker."""


async def preview_of(session: Session, mailbox: Mailbox, message: Message, lazy: bool) -> bytes:
    """
    A preview as an ``nstring``.

    :param lazy: whether it is NIL where the first octets do not do.
    :raises Gone: the message is no longer there.
    """
    data = await mailbox.read(message.uid, 0, min(message.size, FIRST))
    text, certain = preview(data, len(data) == message.size)
    if not certain and lazy:
        return b"NIL"
    if not certain:
        more = await mailbox.read(message.uid, 0, min(message.size, MORE))
        text, _ = await session.site.staging.aside(lambda: preview(more, len(more) == message.size))
    await session.breathe()
    return responses.string(text.encode("utf-8"))
