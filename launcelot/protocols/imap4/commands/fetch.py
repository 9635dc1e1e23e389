"""
FETCH.  RFC 3501 sections 6.4.5 and 7.4.2.

What is ready-made is :mod:`launcelot.protocols.imap4.commands.listings`'s; bodies are read in pieces and sent
with flow control, so that memory does not grow with a message or with the number of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from launcelot.core.errors import Gone
from launcelot.mailstore.interface import Changes, Message, MessageState, StoreMode
from launcelot.message.dates import format_internal
from launcelot.message.sections import PartTable, header_subset
from launcelot.protocols.imap4.commands.binary import UNKNOWN_ENCODING, Content, are_decodable
from launcelot.protocols.imap4.commands.limiting import Cut, limited, too_wide, topmost
from launcelot.protocols.imap4.commands.listings import listing_of, send_listing, thread_id
from launcelot.protocols.imap4.commands.messages import EXPUNGED, find
from launcelot.protocols.imap4.commands.previews import preview_of
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.fetch import Attribute, Binary, Item, Preview, Section
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.requests import Fetch
from launcelot.protocols.imap4.grammar.sets import Range, format_set, inside, resolve
from launcelot.protocols.imap4.session import CutOff, Extension, Reply, Session, ok
from launcelot.protocols.imap4.view import View

PIECE = 65_536
"""Octets of a body read and sent at a time, and octets of rows joined into one write."""
MAX_HEADER = 1 << 20
"""Octets of a header in which HEADER.FIELDS looks for fields."""
FEW = 100
"""Messages that are looked up at a time when they are sent from the last to the first."""

SEEN = "\\Seen"


async def fetch(session: Session, request: Fetch) -> Reply:
    """
    Send what is asked of messages, in the order of their numbers.

    ``\\Seen`` is set by sections without PEEK, unless the mailbox was opened with EXAMINE, and the new flags are
    told.  Messages that others have removed are passed over; with sequence numbers the answer then is NO.  Of more than one
    command may work on, the last are sent from the last down; a piece of so many is refused (RFC 9738 section 3.1).
    """
    view = session.view
    if request.vanished and not session.tells_vanished:
        raise Malformed("VANISHED needs ENABLE QRESYNC")
    uids = find(view, request.messages)
    if request.partial is not None:
        refused = too_wide(session, len(request.partial))
        if refused is not None:
            return refused
        uids = request.partial.of(uids)
    items = request.items
    if request.messages.uid and Attribute.UID not in items and not session.uid_only:
        items = (Attribute.UID, *items)
    if request.changed_since is not None and Attribute.MODSEQ not in items:
        items = (*items, Attribute.MODSEQ)
    if Attribute.MODSEQ in items:
        session.enable(Extension.CONDSTORE)
    if request.changed_since is not None:
        changes = await view.mailbox.changes(request.changed_since)
        if request.vanished:
            tell_earlier(session, changes, request.messages.ranges if not request.messages.saved else ())
        changed = {state.uid for state in changes.changed}
        uids = [uid for uid in uids if uid in changed]
    if not uids:
        return ok("FETCH completed")
    cut = topmost(session, uids)
    return limited(session, await send_rows(session, items, cut, request.messages.uid), cut)


async def send_rows(session: Session, items: tuple[Item, ...], cut: Cut, uid: bool) -> Reply:
    """
    A response for each message; downwards where these are not all.

    :param uid: whether messages that are gone are passed over in silence.
    """
    listing = None if cut.code else listing_of(items, session.view.read_only)
    if listing is not None:
        found = await send_listing(session, listing, cut.uids, lambda uid: Rows(session, items).send([uid]))
    else:
        rows = Rows(session, items)
        found = await (rows.send_down(cut.uids) if cut.code else rows.send(cut.uids))
        if rows.unknown:
            return UNKNOWN_ENCODING
    return EXPUNGED if found < len(cut.uids) and not uid else ok("FETCH completed")


def tell_earlier(session: Session, changes: Changes, asked: Sequence[Range] | None) -> None:
    """
    ``VANISHED (EARLIER)``: what has been removed of what the client asks about.  RFC 7162 section 3.2.10.1.

    Messages that still have a number in this session are left out; they are told when their numbers go.

    :param asked: UIDs as written; None for all.
    """
    view = session.view
    within = None if asked is None else resolve(asked, max(view.largest_uid, changes.uid_next - 1))
    uids = [
        uid for uid in changes.vanished if (within is None or inside(within, uid)) and not view.number(uid)
    ]
    if uids:
        session.untagged(b"VANISHED (EARLIER) " + format_set(uids))


class Rows:
    """
    The FETCH responses of one command that asks for octets.

    :param items: in the order in which they are sent.
    :ivar unknown: whether a message was passed over because nobody knows how to undo an encoding in it.
    """

    def __init__(self, session: Session, items: tuple[Item, ...]) -> None:
        self._session = session
        self._view = session.view
        self._mailbox = self._view.mailbox
        self._items = items
        self._waiting: list[bytes] = []
        self._size = 0
        self._begun = False
        sections = [item for item in items if isinstance(item, Section | Binary)]
        self._binaries = [item for item in items if isinstance(item, Binary)]
        self.unknown = False
        sees = "s" in self._mailbox.rights and not self._view.read_only
        self._sees = sees and not all(section.peek for section in sections)
        self._needs_table = bool(self._binaries) or any(section.numbers for section in sections)
        self._has_flags = Attribute.FLAGS in items
        self._adds_modseq = self._sees and session.tells_modseq and Attribute.MODSEQ not in items
        self._adds_uid = self._sees and session.tells_modseq and Attribute.UID not in items and not session.uid_only

    async def send(self, uids: Sequence[int]) -> int:
        """Send a row for each message that is there; how many there were."""
        found = 0
        await self._prepare()
        async for batch in self._mailbox.messages(uids):
            found += await self._send_batch(batch)
        return found

    async def _prepare(self) -> None:
        if Attribute.THREADID in self._items:
            await self._mailbox.find_threads()

    async def send_down(self, uids: Sequence[int]) -> int:
        """The same from the last one to the first."""
        found = 0
        await self._prepare()
        for end in range(len(uids), 0, -FEW):
            messages: list[Message] = []
            async for batch in self._mailbox.messages(uids[max(end - FEW, 0) : end]):
                messages.extend(batch)
            found += await self._send_batch(messages[::-1])
        return found

    async def _send_batch(self, batch: Sequence[Message]) -> int:
        found = 0
        view = self._view
        if self._binaries:
            batch = self._decodable(batch)
        seen = await self._mark_seen(batch) if self._sees else {}
        if self._has_flags or seen:
            used = {message.flags for message in batch}.union(state.flags for state in seen.values())
            await self._session.tell_keywords(view, frozenset().union(*used))
        for message in batch:
            number = view.number(message.uid)
            if number and await self._send_row(number, message, seen.get(message.uid)):
                found += 1
        await self._hand_over()
        return found

    def _decodable(self, batch: Sequence[Message]) -> Sequence[Message]:
        """Those messages of which everything asked for can be decoded; the others are neither sent nor seen."""
        found = [message for message in batch if are_decodable(self._binaries, PartTable.decode(message.parts))]
        self.unknown = self.unknown or len(found) < len(batch)
        return found

    async def _mark_seen(self, batch: Sequence[Message]) -> dict[int, MessageState]:
        """Set ``\\Seen`` where it is not; the new states of those by UID."""
        unseen = sorted(message.uid for message in batch if SEEN not in message.flags)
        if not unseen:
            return {}
        states, _, modseq = await self._mailbox.store(unseen, StoreMode.ADD, (SEEN,))
        self._session.answers(states, modseq)
        return {state.uid: state for state in states}

    async def _send_row(self, number: int, message: Message, changed: MessageState | None) -> bool:
        """
        One response.

        :returns: False if the message has just been removed and nothing of it was sent.
        """
        view = self._view
        mark = len(self._waiting)
        self._begun = False
        self._put(responses.row_head(number, message.uid, self._session.uid_only))
        if changed is not None:
            message = replace(message, flags=changed.flags, modseq=changed.modseq)
            if self._adds_uid:
                self._put(_READY[Attribute.UID](view, message) + b" ")
            if not self._has_flags:
                self._put(_READY[Attribute.FLAGS](view, message) + b" ")
            if self._adds_modseq:
                self._put(_READY[Attribute.MODSEQ](view, message) + b" ")
        table = PartTable.decode(message.parts) if self._needs_table else None
        separator = b""
        for item in self._items:
            self._put(separator)
            separator = b" "
            if isinstance(item, Section):
                if not await self._send_section(message, item, table):
                    del self._waiting[mark:]
                    return False
            elif isinstance(item, Binary):
                if table is None or not await self._send_binary(message, item, table):
                    del self._waiting[mark:]
                    return False
            elif isinstance(item, Preview):
                if not await self._send_preview(message, item):
                    del self._waiting[mark:]
                    return False
            else:
                self._put(_READY[item](view, message))
        self._put(b")\r\n")
        if self._size >= PIECE:
            await self._hand_over()
        return True

    async def _send_section(self, message: Message, section: Section, table: PartTable | None) -> bool:
        """
        Label and octets of one section; large ones leave at once, piece by piece.

        :returns: False if the message has just been removed and nothing of its row has left.
        :raises CutOff: it has been removed while its octets were on their way.
        """
        place = locate(message, section, table)
        if place is None:
            self._put(section.label + b" NIL")
            return True
        start, end = place
        uid = message.uid
        try:
            if section.fields:
                header = await self._mailbox.read(uid, start, min(end - start, MAX_HEADER))
                if end - start > MAX_HEADER:
                    header += b"\r\n\r\n"
                data = cut(header_subset(header, section.fields, section.exclude), section)
                self._put(b"%b {%d}\r\n%b" % (section.label, len(data), data))
                return True
            start = min(start + section.offset, end)
            if section.length is not None:
                end = min(start + section.length, end)
            data = await self._read(uid, start, min(end - start, PIECE))
        except Gone:
            if self._begun:
                raise CutOff from None
            return False
        self._put(b"%b {%d}\r\n%b" % (section.label, end - start, data))
        start += len(data)
        try:
            while start < end:
                await self._hand_over()
                data = await self._read(uid, start, min(end - start, PIECE))
                start += len(data)
                self._put(data)
        except Gone:
            raise CutOff from None
        if self._size >= PIECE:
            await self._hand_over()
        return True

    async def _send_binary(self, message: Message, item: Binary, table: PartTable) -> bool:
        """
        Label and decoded octets of one part, or their number; a literal8 only where there is a NUL.  RFC 3516 section 4.3.

        What is larger than a piece is decoded twice: first to learn its size and whether there is a NUL.

        :returns: False if the message has just been removed and nothing of its row has left.
        :raises CutOff: it has been removed while its octets were on their way.
        """
        content = Content.made_from(item, table)
        if content is None:
            self._put(item.label + (b" 0" if item.size else b" NIL"))
            return True
        uid = message.uid
        try:
            size, has_nul, data = 0, False, b""
            async for decoded in content.pieces(lambda start, length: self._read(uid, start, length)):
                size += len(decoded)
                has_nul = has_nul or b"\0" in decoded
                data = data + decoded if content.is_short else b""
                await self._session.breathe()
            if item.size:
                self._put(b"%b %d" % (item.label, size))
                return True
            self._put(b"%b %b{%d}\r\n%b" % (item.label, b"~" if has_nul else b"", size, data))
            if not content.is_short:
                async for decoded in content.pieces(lambda start, length: self._read(uid, start, length)):
                    self._put(decoded)
                    await self._hand_over()
        except Gone:
            if self._begun:
                raise CutOff from None
            return False
        if self._size >= PIECE:
            await self._hand_over()
        return True

    async def _send_preview(self, message: Message, item: Preview) -> bool:
        """The same of a preview."""
        try:
            self._put(b"PREVIEW " + await preview_of(self._session, self._mailbox, message, item.lazy))
        except Gone:
            if self._begun:
                raise CutOff from None
            return False
        return True

    async def _read(self, uid: int, offset: int, length: int) -> bytes:
        """
        Octets of a message, all that are asked for.

        :raises Gone: it has been removed, or is shorter than the store has said.
        """
        data = await self._mailbox.read(uid, offset, length) if length else b""
        if len(data) != length:
            raise Gone
        return data

    def _put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)

    async def _hand_over(self) -> None:
        """Send what waits, and go on when the peer has read enough of it."""
        self._session.wire.write(b"".join(self._waiting))
        self._waiting.clear()
        self._size = 0
        self._begun = True
        await self._session.wire.drain()
        await self._session.breathe()


def locate(message: Message, section: Section, table: PartTable | None) -> tuple[int, int] | None:
    """Where a section is in its message, None where there is none; only numbers need the table."""
    if section.numbers:
        return table.locate(section.numbers, section.what) if table is not None else None
    if section.what == "HEADER":
        return 0, message.header_size
    return (message.header_size if section.what == "TEXT" else 0), message.size


def cut(data: bytes, section: Section) -> bytes:
    """The part of a computed section that is asked for."""
    return data if section.length is None else data[section.offset : section.offset + section.length]


def _flags(view: View, uid: int, flags: frozenset[str]) -> bytes:
    return b"FLAGS " + responses.flags(view.flags_of(flags, uid))


_READY: dict[Attribute, Callable[[View, Message], bytes]] = {
    Attribute.UID: lambda view, message: b"UID %d" % message.uid,
    Attribute.FLAGS: lambda view, message: _flags(view, message.uid, message.flags),
    Attribute.INTERNALDATE: lambda view, message: b"INTERNALDATE " + format_internal(message.internal_date),
    Attribute.SIZE: lambda view, message: b"RFC822.SIZE %d" % message.size,
    Attribute.ENVELOPE: lambda view, message: b"ENVELOPE " + message.envelope,
    Attribute.BODY: lambda view, message: b"BODY " + view.form(message.body),
    Attribute.BODYSTRUCTURE: lambda view, message: b"BODYSTRUCTURE " + view.form(message.body_structure),
    Attribute.MODSEQ: lambda view, message: b"MODSEQ (%d)" % message.modseq,
    Attribute.SAVEDATE: lambda view, message: b"SAVEDATE " + format_internal(message.saved),
    Attribute.EMAILID: lambda view, message: b"EMAILID (%b)" % message.email_id.encode("ascii"),
    Attribute.THREADID: lambda view, message: thread_id(message.thread_id),
}
