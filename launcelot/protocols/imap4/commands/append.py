"""APPEND: a message from a literal into a mailbox, in chunks.  RFC 3501 section 6.3.11, RFC 4315 section 3."""

from __future__ import annotations

from launcelot.core.errors import Invalid, OverQuota, Refusal, TooLarge
from launcelot.mailstore.interface import Mailbox
from launcelot.protocols.imap4.grammar.reader import Announced, Malformed, announced
from launcelot.protocols.imap4.grammar.requests import Append
from launcelot.protocols.imap4.receiving import CONTINUE, PIECE, SLOWEST, limit_of, line_behind_literal, refused
from launcelot.protocols.imap4.session import Reply, Session, bad, ok, reply_for
from launcelot.workers.staging import Staged


async def append(session: Session, request: Append) -> Reply:
    """
    Receive a message and add it; all is checked that can be before it is read.

    A refused message that comes anyway is thrown away.  A NUL in it is a syntax error: literals have none.
    """
    try:
        mailbox = await admit(session, request)
    except Refusal as refusal:
        await refused(session).rest(request.message)
        return reply_for(refusal, creatable=True)
    staged = session.site.staging.begin()
    try:
        if request.message.waits:
            session.wire.write(CONTINUE)
        try:
            clean = await receive(session, staged, request.message.size)
            await end_of_command(session)
        except Malformed as error:
            return bad(error.text)
        except Refusal as refusal:
            return reply_for(refusal)
        if not clean:
            return bad("message has a NUL")
        try:
            appended = await mailbox.append(staged.view(), request.flags, request.internal_date)
        except Refusal as refusal:
            return reply_for(refusal, creatable=True)
    finally:
        staged.close()
    return ok("APPEND completed", b"APPENDUID %d %d" % (appended.uid_validity, appended.uid))


async def admit(session: Session, request: Append) -> Mailbox:
    """
    The mailbox a message may go to.

    :raises Refusal: there is none, or the message is too large for us or for the account.
    """
    mailbox = await session.mail.mailbox(request.mailbox)
    size = request.message.size
    if size > session.settings.max_append_size:
        raise TooLarge("message is too large")
    if not size:
        raise Invalid("message is empty")
    quota = session.account.quota
    if quota and (await session.mail.usage()).octets + size > quota:
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


async def end_of_command(session: Session) -> None:
    """
    The line behind the message must be empty.

    :raises Malformed: it is not; the rest of the command has been thrown away.
    """
    line = await line_behind_literal(session, limit_of(session))
    if line:
        await refused(session).rest(announced(line))
        raise Malformed("too many arguments")
