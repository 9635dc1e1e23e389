"""
FETCH of what is ready-made and of whole messages, for any number of them: columns are turned into text, then into rows.

No object is made for a message and nothing is looked up twice: a row takes about a microsecond.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from launcelot.mailstore.sheets import Asked, Column, Fields, Sheet
from launcelot.message.dates import MONTHS
from launcelot.message.globalform import MARK
from launcelot.message.sections import header_subset
from launcelot.protocols.imap4.commands.messages import flags_as_told, numbers_of
from launcelot.protocols.imap4.grammar.fetch import MAX_REMEMBERED, Attribute, Binary, Item, Section
from launcelot.protocols.imap4.session import Session
from launcelot.protocols.imap4.view import View

Texts = Sequence[Any]
Large = Callable[[int], Awaitable[int]]
Made = tuple[bytes, tuple[Asked, ...], "Callable[..., Texts]"]


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What is asked of each message, ready to be filled in.

    :ivar template: of a row, behind its number.
    :ivar columns: of the store.
    :ivar makers: what makes the texts of an item, and the places of its columns in a row of the store's.
    :ivar flags: the place of the flags; 0 if they are not asked for.
    :ivar cuts: the makers of octets, of which some messages have too many.
    """

    template: bytes
    columns: tuple[Asked, ...]
    makers: tuple[tuple[Callable[..., Texts], slice], ...]
    flags: int
    cuts: tuple[int, ...]


def listing_of(items: tuple[Item, ...], reads: bool) -> Listing | None:
    """
    The listing of some items; None unless all are ready-made in the store, a run of a message's octets, or of its header.

    :param reads: whether octets may be read without marking a message as seen.
    """
    labels = sum([len(item.label) for item in items if isinstance(item, Section | Binary)])
    return _made(items, reads) if labels > MAX_REMEMBERED else _remembered(items, reads)


@lru_cache(256)
def _remembered(items: tuple[Item, ...], reads: bool) -> Listing | None:
    return _made(items, reads)


def _made(items: tuple[Item, ...], reads: bool) -> Listing | None:
    chosen: list[Made] = []
    for item in items:
        if isinstance(item, Attribute) and item in _ITEMS:
            chosen.append(_ITEMS[item])
        elif isinstance(item, Section) and not item.numbers and (item.peek or reads):
            chosen.append(_section(item))
        else:
            return None
    columns: list[Asked] = []
    makers: list[tuple[Callable[..., Texts], slice]] = []
    for _, needed, made in chosen:
        place = 1 + len(columns)
        makers.append((made, slice(place, place + len(needed))))
        columns += needed
    return Listing(
        b" FETCH (" + b" ".join([words for words, _, _ in chosen]) + b")\r\n",
        tuple(columns),
        tuple(makers),
        1 + columns.index(Column.FLAGS) if Column.FLAGS in columns else 0,
        tuple([place for place, item in enumerate(items) if isinstance(item, Section)]),
    )


async def send_listing(session: Session, listing: Listing, uids: Sequence[int], large: Large) -> int:
    """
    A row for each message that is there.

    :param uids: ascending and not empty, all in view.
    :param large: sends the row of a message that is not to be held in memory; how many rows it has sent.
    :returns: how many there were.
    """
    mailbox = session.view.mailbox
    if len(uids) == 1:
        only = await mailbox.sheet(uids[0], listing.columns)
        if only is not None:
            return await _send_rows(session, listing, only, large)
    found = 0
    async for sheet in mailbox.sheets(uids, listing.columns):
        if len(sheet):
            found += await _send_rows(session, listing, sheet, large)
            await session.wire.drain()
            await session.breathe()
    return found


async def _send_rows(session: Session, listing: Listing, sheet: Sheet, large: Large) -> int:
    """One batch of them."""
    view, write = session.view, session.wire.write
    given = sheet.columns
    uids = given[0]
    if listing.flags:
        used = {sheet.flags(key) for key in set(given[listing.flags])}
        await session.tell_keywords(view, frozenset().union(*used))
    texts = [made(view, sheet, uids, *given[places]) for made, places in listing.makers]
    heads = uids if session.uid_only else numbers_of(view, uids)
    template = (b"* %d UID" + listing.template[1:]) if session.uid_only else b"* %d" + listing.template
    if 0 not in heads and not any(None in texts[place] for place in listing.cuts):
        # Nothing is missing and nothing too large: no row needs looking at.
        write(b"".join(map(template.__mod__, zip(heads, *texts, strict=True))))
        return len(uids)
    found = 0
    rows: list[bytes] = []
    for row, uid in zip(zip(heads, *texts, strict=True), uids, strict=True):
        if None in row:
            write(b"".join(rows))
            rows.clear()
            found += await large(uid)
        elif row[0]:
            rows.append(template % row)
            found += 1
    write(b"".join(rows))
    return found


def _section(item: Section) -> Made:
    """A run of octets: the whole message, its header or its text, or a part of that; or some fields of the header."""
    offset = item.offset
    end = None if item.length is None else offset + item.length
    template = item.label.replace(b"%", b"%%") + b" {%d}\r\n%b"

    def told(octets: Sequence[bytes | None]) -> Sequence[bytes | None]:
        if None in octets:
            return [None if data is None else told((data,))[0] for data in octets]
        runs: Sequence[Any] = octets if end is None else [data[offset:end] for data in octets if data is not None]
        return [template % (len(run), run) for run in runs]

    def wholes(_view: View, _sheet: Sheet, _uids: Sequence[int], octets: Sequence[bytes | None]) -> Texts:
        return told(octets)

    def others(_view: View, _sheet: Sheet, _uids: Sequence[int], octets: Sequence[bytes | None]) -> Texts:
        return told([None if data is None else header_subset(data, item.fields, True) for data in octets])

    def texts(
        _view: View, _sheet: Sheet, _uids: Sequence[int], sizes: Sequence[int], octets: Sequence[bytes | None]
    ) -> Texts:
        return told([None if data is None else data[size:] for size, data in zip(sizes, octets, strict=True)])

    if item.what == "HEADER":
        if item.fields and not item.exclude:
            return b"%b", (Fields(frozenset([name.lower() for name in item.fields])),), wholes
        return b"%b", (Column.HEADER,), others if item.fields else wholes
    if item.what == "TEXT":
        return b"%b", (Column.HEADER_SIZE, Column.OCTETS), texts
    return b"%b", (Column.OCTETS,), wholes


def _flags(view: View, sheet: Sheet, uids: Sequence[int], keys: Sequence[Any]) -> Texts:
    return flags_as_told(view, uids, keys, sheet.flags)


def date_texts(seconds: Sequence[int], zones: Sequence[int]) -> Sequence[bytes]:
    """
    Moments as ``date-time``.

    :param seconds: since 1970.
    :param zones: minutes east of UTC, of each.
    """
    ends = {zone: _ends(zone) for zone in set(zones)}
    if len(ends) > 1:
        return [
            _day((moment + 60 * zone) // _DAY) + _MINUTES[(moment // 60 + zone) % 1_440] + ends[zone][moment % 60]
            for moment, zone in zip(seconds, zones, strict=True)
        ]
    ((zone, end),) = ends.items()
    return [
        _day((moment + 60 * zone) // _DAY) + _MINUTES[(moment // 60 + zone) % 1_440] + end[moment % 60] for moment in seconds
    ]


@lru_cache(4_096)
def _day(number: int) -> bytes:
    day = date.fromordinal(_EPOCH_DAY + number)
    return f'"{day.day:2d}-{MONTHS[day.month - 1]}-{day.year:04d} '.encode("ascii")


def _ends(zone: int) -> Sequence[bytes]:
    """Second and zone, for each of a minute's seconds."""
    hours, rest = divmod(abs(zone), 60)
    return [b'%02d %b%02d%02d"' % (second, b"-" if zone < 0 else b"+", hours, rest) for second in range(60)]


def _as_it_is(_view: View, _sheet: Sheet, _uids: Sequence[int], values: Texts) -> Texts:
    return values


def _forms(view: View, _sheet: Sheet, _uids: Sequence[int], values: Sequence[bytes]) -> Texts:
    # One look at all of them: each by itself would take three times as long.
    return [view.form(value) for value in values] if MARK in b"".join(values) else values


_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = 86_400
_MINUTES = tuple(b"%02d:%02d:" % divmod(minute, 60) for minute in range(1_440))


def thread_id(value: str | None) -> bytes:
    """``THREADID`` and its value; None is of a message that came between two looks.  RFC 8474 section 5.2."""
    return b"THREADID NIL" if value is None else b"THREADID (%b)" % value.encode("ascii")


_ITEMS: Mapping[Attribute, Made] = {
    Attribute.UID: (b"UID %d", (), lambda view, sheet, uids: uids),
    Attribute.FLAGS: (b"FLAGS %b", (Column.FLAGS,), _flags),
    Attribute.INTERNALDATE: (
        b"INTERNALDATE %b",
        (Column.ARRIVED, Column.ZONE),
        lambda view, sheet, uids, seconds, zones: date_texts(seconds, zones),
    ),
    Attribute.SIZE: (b"RFC822.SIZE %d", (Column.SIZE,), _as_it_is),
    Attribute.ENVELOPE: (b"ENVELOPE %b", (Column.ENVELOPE,), _as_it_is),
    Attribute.BODY: (b"BODY %b", (Column.BODY,), _forms),
    Attribute.BODYSTRUCTURE: (b"BODYSTRUCTURE %b", (Column.BODY_STRUCTURE,), _forms),
    Attribute.MODSEQ: (b"MODSEQ (%d)", (Column.MODSEQ,), _as_it_is),
    Attribute.SAVEDATE: (
        b"SAVEDATE %b",
        (Column.SAVED,),
        lambda view, sheet, uids, seconds: date_texts(seconds, [0] * len(seconds)),
    ),
    Attribute.THREADID: (
        b"%b",
        (Column.THREAD_ID,),
        lambda view, sheet, uids, values: [thread_id(value) for value in values],
    ),
    Attribute.EMAILID: (
        b"EMAILID (%b)",
        (Column.EMAIL_ID,),
        lambda view, sheet, uids, values: [value.encode("ascii") for value in values],
    ),
}
