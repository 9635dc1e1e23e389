"""
FETCH of what is ready-made and of whole messages, for any number of them: columns are turned into text, then into rows.

No object is made for a message and nothing is looked up twice: a row takes about a microsecond.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from launcelot.mailstore.sheets import Column, Sheet
from launcelot.message.dates import MONTHS
from launcelot.protocols.imap4.commands.messages import flags_as_told, numbers_of
from launcelot.protocols.imap4.grammar.fetch import Attribute, Item, Section
from launcelot.protocols.imap4.session import Session
from launcelot.protocols.imap4.view import View

Texts = Iterable[Any]
Large = Callable[[int], Awaitable[int]]
Made = tuple[bytes, tuple[Column, ...], "Callable[..., Texts] | None"]


def is_listing(items: Sequence[Item], reads: bool) -> bool:
    """
    Whether all items are ready-made in the store, or a run of a message's octets.

    :param reads: whether octets may be read without marking a message as seen.
    """
    return all(
        (isinstance(item, Attribute) and item in _ITEMS)
        or (isinstance(item, Section) and not item.numbers and not item.fields and (item.peek or reads))
        for item in items
    )


async def send_listing(session: Session, items: Sequence[Item], uids: Sequence[int], large: Large) -> int:
    """
    A row for each message that is there.

    :param items: of which :func:`is_listing` is true.
    :param uids: ascending and not empty, all in view.
    :param large: sends the row of a message that is not to be held in memory; how many rows it has sent.
    :returns: how many there were.
    """
    view = session.view
    chosen = [_ITEMS[item] if isinstance(item, Attribute) else _section(item) for item in items]
    columns = [column for _, needed, _ in chosen for column in needed]
    words = b" ".join([template for template, _, _ in chosen])
    template = (b"* %d UIDFETCH (" if session.uid_only else b"* %d FETCH (") + words + b")\r\n"
    cuts = any(isinstance(item, Section) for item in items)
    found = 0
    async for sheet in view.mailbox.sheets(uids, columns):
        if not sheet.rows:
            continue
        given = list(zip(*sheet.rows, strict=True))
        if Column.FLAGS in columns:
            used = {sheet.flags(key) for key in set(given[1 + columns.index(Column.FLAGS)])}
            await session.tell_keywords(view, frozenset().union(*used))
        texts: list[Texts] = []
        place = 1
        for _, needed, made in chosen:
            if made is not None:
                texts.append(made(view, sheet, given[0], *given[place : place + len(needed)]))
            place += len(needed)
        heads = given[0] if session.uid_only else numbers_of(view, given[0])
        if not cuts and 0 not in heads:
            # Nothing is missing and nothing too large: no row needs looking at.
            session.wire.write(b"".join(map(template.__mod__, zip(heads, *texts, strict=True))))
            found += len(given[0])
            await session.wire.drain()
            await session.breathe()
            continue
        rows: list[bytes] = []
        for row, uid in zip(zip(heads, *texts, strict=True), given[0], strict=True):
            if None in row:
                session.wire.write(b"".join(rows))
                rows.clear()
                found += await large(uid)
            elif row[0]:
                rows.append(template % row)
                found += 1
        session.wire.write(b"".join(rows))
        await session.wire.drain()
        await session.breathe()
    return found


def _section(item: Item) -> Made:
    """A run of octets: the whole message, its header or its text, or a part of that."""
    if not isinstance(item, Section):
        raise TypeError(item)
    label, what, offset, length = item.label, item.what, item.offset, item.length

    def cut(
        _view: View, _sheet: Sheet, _uids: Sequence[int], headers: Sequence[int], octets: Sequence[bytes | None]
    ) -> Texts:
        for header, data in zip(headers, octets, strict=True):
            if data is None:
                yield None
                continue
            if what != "BODY":
                data = data[:header] if what == "HEADER" else data[header:]
            if length is not None:
                data = data[offset : offset + length]
            yield b"%b {%d}\r\n%b" % (label, len(data), data)

    return b"%b", (Column.HEADER_SIZE, Column.OCTETS), cut


def _flags(view: View, sheet: Sheet, uids: Sequence[int], keys: Sequence[Any]) -> Texts:
    return flags_as_told(view, uids, keys, sheet.flags)


def _dates(_view: View, _sheet: Sheet, _uids: Sequence[int], seconds: Sequence[int], zones: Sequence[int]) -> Texts:
    days: dict[int, bytes] = {}
    ends = {zone: _zone(zone) for zone in set(zones)}
    texts = []
    for moment, zone in zip(seconds, zones, strict=True):
        day, second = divmod(moment + 60 * zone, 86_400)
        start = days.get(day)
        if start is None:
            start = days[day] = _day(day)
        minute, second = divmod(second, 60)
        texts.append(b"%b%02d:%02d:%02d%b" % (start, minute // 60, minute % 60, second, ends[zone]))
    return texts


def _day(number: int) -> bytes:
    day = date.fromordinal(_EPOCH_DAY + number)
    return f'"{day.day:2d}-{MONTHS[day.month - 1]}-{day.year:04d} '.encode("ascii")


def _zone(minutes: int) -> bytes:
    hours, rest = divmod(abs(minutes), 60)
    return b' %b%02d%02d"' % (b"-" if minutes < 0 else b"+", hours, rest)


def _as_it_is(_view: View, _sheet: Sheet, _uids: Sequence[int], values: Texts) -> Texts:
    return values


_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ITEMS: Mapping[Attribute, Made] = {
    Attribute.UID: (b"UID %d", (), lambda view, sheet, uids: uids),
    Attribute.FLAGS: (b"FLAGS %b", (Column.FLAGS,), _flags),
    Attribute.INTERNALDATE: (b"INTERNALDATE %b", (Column.ARRIVED, Column.ZONE), _dates),
    Attribute.SIZE: (b"RFC822.SIZE %d", (Column.SIZE,), _as_it_is),
    Attribute.ENVELOPE: (b"ENVELOPE %b", (Column.ENVELOPE,), _as_it_is),
    Attribute.BODY: (b"BODY %b", (Column.BODY,), _as_it_is),
    Attribute.BODYSTRUCTURE: (b"BODYSTRUCTURE %b", (Column.BODY_STRUCTURE,), _as_it_is),
    Attribute.MODSEQ: (b"MODSEQ (%d)", (Column.MODSEQ,), _as_it_is),
    Attribute.SAVEDATE: (
        b"SAVEDATE %b",
        (Column.SAVED,),
        lambda view, sheet, uids, seconds: _dates(view, sheet, uids, seconds, [0] * len(seconds)),
    ),
    Attribute.THREADID: (b"THREADID NIL", (), None),
    Attribute.EMAILID: (
        b"EMAILID (%b)",
        (Column.EMAIL_ID,),
        lambda view, sheet, uids, values: [value.encode("ascii") for value in values],
    ),
}
