"""
APPEND and REPLACE: messages into a mailbox.  RFC 3501 section 6.3.11, RFC 3502, RFC 4315 section 3, RFC 8508.

:mod:`.assembling` reads the messages; all of a command are added in one transaction, so none is when one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from launcelot.core.errors import Gone, Refusal
from launcelot.mailstore.interface import Appended, Draft, Mailbox
from launcelot.message.headers import find_header_end
from launcelot.message.recode import Unencodable, plan, recoded
from launcelot.protocols.imap4.commands.assembling import Arrived, Assembly, Rejected
from launcelot.protocols.imap4.commands.messages import EXPUNGED, find
from launcelot.protocols.imap4.commands.naming import tell_normalized
from launcelot.protocols.imap4.commands.places import tells_uids
from launcelot.protocols.imap4.commands.store import removed
from launcelot.protocols.imap4.grammar.appending import Append, Replace
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.sets import format_set
from launcelot.protocols.imap4.progress import Progress
from launcelot.protocols.imap4.receiving import PIECE, refused
from launcelot.protocols.imap4.session import Reply, Session, bad, no, ok, reply_for
from launcelot.workers.staging import Buffer, Staged

UNKNOWN_ENCODING: Reply = no("a NUL stands where no transfer encoding can help", b"UNKNOWN-CTE")


EIGHT_BIT: Reply = no("headers with octets above 127 need ENABLE UTF8=ACCEPT", b"CANNOT")


class Stages:
    """What one command has staged: the messages as they came, and those that had to be written anew."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.first = session.site.staging.begin()
        self._others: list[Staged] = []

    async def drafts(self, arrived: Sequence[Arrived]) -> list[Draft]:
        """
        Messages as they are to be added; those with NULs become ones that every protocol can carry.

        :raises Rejected: that is impossible (RFC 3516 section 4.4), or a header is not for this client (RFC 9755 section 4).
        """
        whole = self.first.view()
        if not self._session.utf8 and self._session.settings.append_8bit_headers != "always":
            for one in arrived:
                await self._check_header(whole, one)
        drafts: list[Draft] = []
        for one in arrived:
            body, size = piece(whole, one.start, one.end), one.end - one.start
            if one.has_nul:
                other = await self._without_nuls(body())
                body, size = other.view, other.size
            drafts.append(Draft(body, size, one.flags, one.internal_date))
        return drafts

    async def _check_header(self, whole: Buffer, one: Arrived) -> None:
        if one.end - one.start <= PIECE:
            plain = has_plain_header(whole, one.start, one.end)
        else:
            plain = await self._session.site.staging.aside(lambda: has_plain_header(whole, one.start, one.end))
        if not plain:
            raise Rejected(EIGHT_BIT)

    async def _without_nuls(self, body: Buffer) -> Staged:
        try:
            changes = await self._session.site.staging.aside(lambda: plan(body))
        except Unencodable:
            raise Rejected(UNKNOWN_ENCODING) from None
        other = self._session.site.staging.begin()
        self._others.append(other)
        for octets in recoded(body, changes):
            await other.write(octets)
            await self._session.breathe()
        return other

    def close(self) -> None:
        """Let go of memory and files."""
        for staged in (self.first, *self._others):
            staged.close()


async def append(session: Session, request: Append) -> Reply:
    """
    Receive messages and add them, all or none; all is checked that can be before each is read.

    A refused message that comes anyway is thrown away.  A NUL is a syntax error but in a literal8.
    """
    stages = Stages(session)
    try:
        assembly = Assembly(session, stages.first, request.mailbox)
        drafts = await stages.drafts(await assembly.read(request.message))
        with Progress(session):
            appended = await _add(session, assembly.target, request.mailbox, drafts)
    except Rejected as rejected:
        return rejected.reply
    except Refusal as refusal:
        return reply_for(refusal, creatable=True)
    finally:
        stages.close()
    session.made(request.mailbox, [one.uid for one in appended])
    tell_normalized(session, request.mailbox)
    return ok("APPEND completed", await append_uid(session, request.mailbox, appended))


async def append_uid(session: Session, mailbox: str, appended: Sequence[Appended]) -> bytes:
    """The response code, or nothing to whom the mailbox may not be opened.  RFC 4315 section 3."""
    if not await tells_uids(session, mailbox):
        return b""
    return b"APPENDUID %d %b" % (appended[0].uid_validity, format_set([one.uid for one in appended]))


async def _add(session: Session, target: Mailbox | None, name: str, drafts: Sequence[Draft]) -> Sequence[Appended]:
    """Put messages into a mailbox that was found before they came, or into what has its name if it is gone by now."""
    if target is not None:
        try:
            return await add(target, drafts)
        except Gone:
            pass
    return await add(await session.mail.mailbox(name), drafts)


async def add(mailbox: Mailbox, drafts: Sequence[Draft]) -> Sequence[Appended]:
    """
    Put messages into a mailbox; a single one is not copied.

    :raises Refusal: nothing was added.
    """
    if len(drafts) == 1:
        (one,) = drafts
        return [await mailbox.append(one.body(), one.flags, one.internal_date)]
    return await mailbox.append_all(drafts)


def piece(view: Buffer, start: int, end: int) -> Callable[[], Buffer]:
    """Gives some octets of what has been staged; all of them without a copy."""
    return lambda: view if end - start == len(view) else view[start:end]


def has_plain_header(buffer: Buffer, start: int, end: int) -> bool:
    """Whether the header of the message between two offsets has no octet above 127."""
    end = find_header_end(buffer, start, end)
    return all(buffer[at : min(at + PIECE, end)].isascii() for at in range(start, end, PIECE))


async def replace(session: Session, request: Replace) -> Reply:
    """
    Receive a message and have it in the place of another, in one transaction.  RFC 8508 section 3.4.

    APPENDUID goes ahead of the EXPUNGE response (section 4.3).
    """
    literal = request.append.message.open
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
    stages = Stages(session)
    try:
        arrived = await Assembly(session, stages.first, request.append.mailbox, sizes[0]).read(request.append.message)
        if len(arrived) > 1:
            return bad("one message comes in the place of one")
        (draft,) = await stages.drafts(arrived)
        with Progress(session):
            appended = await session.mail.replace(view.mailbox, uids[0], draft.body(), request.append.mailbox, draft)
    except Rejected as rejected:
        return rejected.reply
    except Refusal as refusal:
        return reply_for(refusal, creatable=True)
    finally:
        stages.close()
    session.made(request.append.mailbox, [appended.uid])
    code = await append_uid(session, request.append.mailbox, [appended])
    if code:
        session.inform("Replacement message ready", code)
    return await removed(session, "REPLACE completed", uids)
