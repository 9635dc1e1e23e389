"""
APPEND and REPLACE: messages from literals into a mailbox, in chunks.  RFC 3501 section 6.3.11, RFC 3502, RFC 4315
section 3, RFC 8508.

All messages of a command are staged one behind another and added in one transaction, so memory does not grow with their
number or size and none is added when one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from launcelot.core.errors import Invalid, LimitReached, OverQuota, Refusal, TooLarge
from launcelot.mailstore.interface import Appended, Draft, Mailbox
from launcelot.protocols.imap4.commands.messages import EXPUNGED, find
from launcelot.protocols.imap4.commands.store import removed
from launcelot.protocols.imap4.grammar.reader import Announced, Malformed, Reader, announced
from launcelot.protocols.imap4.grammar.requests import Append, Arriving, Replace, read_arriving
from launcelot.protocols.imap4.grammar.sets import format_set
from launcelot.protocols.imap4.receiving import CONTINUE, PIECE, SLOWEST, limit_of, line_behind_literal, refused
from launcelot.protocols.imap4.session import Reply, Session, bad, ok, reply_for
from launcelot.workers.staging import Buffer, Staged

MAX_MESSAGES = 1_000
"""Messages in one APPEND."""
MAX_TOTAL = 16
"""How many times the largest message all messages of one APPEND may be together."""


class Rejected(Exception):
    """
    The command is answered without adding anything; what comes of it has been thrown away.

    :param reply: the answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


async def append(session: Session, request: Append) -> Reply:
    """
    Receive messages and add them, all or none; all is checked that can be before each is read.

    A refused message that comes anyway is thrown away.  A NUL in one is a syntax error: literals have none.
    """
    staged = session.site.staging.begin()
    try:
        mailbox, arrived = await receive_all(session, staged, request)
        appended = await add(mailbox, staged, arrived)
    except Rejected as rejected:
        return rejected.reply
    except Refusal as refusal:
        return reply_for(refusal, creatable=True)
    finally:
        staged.close()
    uids = format_set([one.uid for one in appended])
    return ok("APPEND completed", b"APPENDUID %d %b" % (appended[0].uid_validity, uids))


async def add(mailbox: Mailbox, staged: Staged, arrived: Sequence[Arriving]) -> Sequence[Appended]:
    """
    Put what has been staged into the mailbox; one message is not copied.

    :raises Refusal: nothing was added.
    """
    view = staged.view()
    if len(arrived) == 1:
        (one,) = arrived
        return [await mailbox.append(view, one.flags, one.internal_date)]
    drafts: list[Draft] = []
    start = 0
    for one in arrived:
        end = start + one.literal.size
        drafts.append(Draft(piece(view, start, end), one.literal.size, one.flags, one.internal_date))
        start = end
    return await mailbox.append_all(drafts)


def piece(view: Buffer, start: int, end: int) -> Callable[[], bytes]:
    """Gives some octets of what has been staged."""
    return lambda: view[start:end]


async def replace(session: Session, request: Replace) -> Reply:
    """
    Receive a message and have it in the place of another, in one transaction.  RFC 8508 section 3.4.

    APPENDUID goes ahead of the EXPUNGE response (section 4.3).
    """
    literal = request.append.message.literal
    try:
        view = session.writable_view
        await session.update(expunge=False)
        uids = find(view, request.messages)
        sizes = [message.size async for batch in view.mailbox.messages(uids) for message in batch]
    except Malformed as error:
        await refused(session).rest(literal)
        return bad(error.text)
    except Refusal as refusal:
        await refused(session).rest(literal)
        return reply_for(refusal)
    if not sizes:
        await refused(session).rest(literal)
        return EXPUNGED
    staged = session.site.staging.begin()
    try:
        _, arrived = await receive_all(session, staged, request.append, sizes[0])
        if len(arrived) > 1:
            return bad("one message comes in the place of one")
        body = staged.view()
        draft = Draft(lambda: body, staged.size, arrived[0].flags, arrived[0].internal_date)
        appended = await view.mailbox.replace(uids[0], body, request.append.mailbox, draft)
    except Rejected as rejected:
        return rejected.reply
    except Refusal as refusal:
        return reply_for(refusal, creatable=True)
    finally:
        staged.close()
    session.inform("Replacement message ready", b"APPENDUID %d %d" % (appended.uid_validity, appended.uid))
    return await removed(session, "REPLACE completed", uids)


async def receive_all(
    session: Session, staged: Staged, request: Append, freed: int = 0
) -> tuple[Mailbox, Sequence[Arriving]]:
    """
    Read message after message to the end of the command.

    :param freed: octets that will be removed when these are added.
    :raises Rejected: one of them is refused or malformed.
    """
    arrived: list[Arriving] = []
    message: Arriving | None = request.message
    clean = True
    while message is not None:
        literal = message.literal
        try:
            mailbox = await admit(session, request.mailbox, literal.size, staged.size - freed, len(arrived))
        except Refusal as refusal:
            await refused(session).rest(literal)
            raise Rejected(reply_for(refusal, creatable=True)) from None
        if literal.waits:
            session.wire.write(CONTINUE)
        try:
            clean = await receive(session, staged, literal.size) and clean
            arrived.append(message)
            message = await next_message(session)
        except Malformed as error:
            raise Rejected(bad(error.text)) from None
        except Refusal as refusal:
            raise Rejected(reply_for(refusal)) from None
    if not clean:
        raise Rejected(bad("message has a NUL"))
    return mailbox, arrived


async def admit(session: Session, name: str, size: int, before: int, count: int) -> Mailbox:
    """
    The mailbox a message may go to.

    :param before: octets of the messages before it in the same command, of which there are ``count``, less those that
        will be removed.
    :raises Refusal: there is none, or the message is too large for us or for the account.
    """
    mailbox = await session.mail.mailbox(name)
    largest = session.settings.max_append_size
    if size > largest:
        raise TooLarge("message is too large")
    if not size:
        raise Invalid("message is empty")
    if count >= MAX_MESSAGES or before + size > MAX_TOTAL * largest:
        raise LimitReached("too many messages in one command")
    quota = session.account.quota
    if quota and (await session.mail.usage()).octets + before + size > quota:
        raise OverQuota
    return mailbox


async def receive(session: Session, staged: Staged, size: int) -> bool:
    """
    Read the message into its place.

    :returns: whether it is free of NULs.
    :raises TryLater: it cannot be staged; the rest of the command has been thrown away.
    """
    wire = session.wire
    left = size
    clean = True
    wire.limit_rate(*SLOWEST)
    while left:
        piece = await wire.chunk(min(left, PIECE))
        left -= len(piece)
        clean = clean and b"\0" not in piece
        try:
            await staged.write(piece)
        except Refusal:
            wire.limit_rate(0, 0)
            await refused(session).rest(Announced(left, waits=False))
            raise
    wire.limit_rate(0, 0)
    return clean


async def next_message(session: Session) -> Arriving | None:
    """
    What the line behind a message says of another; None where the command ends.

    :raises Malformed: it is neither; the rest of the command has been thrown away.
    """
    line = await line_behind_literal(session, limit_of(session))
    if not line:
        return None
    try:
        return read_arriving(Reader(line))
    except Malformed:
        await refused(session).rest(announced(line))
        raise
