"""
The fields of many headers, one column for each field name: what ``HEADER.FIELDS`` of a whole mailbox is made from.

Taking some fields out of a header costs a few microseconds, as lines have to be found; taking columns costs a few tenths of
one.  Fields keep the order they have in their header: beside the columns stands which of them each header has, in order, a letter
for each, and as nearly all headers of a mailbox agree about that, rows of columns in one common order are right for nearly all.

What cannot be divided so is kept as it is, header by header: one in which the same field comes again later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from launcelot.mailstore.sheets import COMMON_FIELDS
from launcelot.message.sections import header_fields, header_subset

BETWEEN_HEADERS = b"\0"
BETWEEN_COLUMNS = b"\1"
FIRST_LETTER = 65
WHOLE = b"!"
"""In the place of letters: the header is kept as it is."""
COLUMNS_BEFORE = 4
"""Names, letters, empty lines and whole headers."""


def divided(headers: Iterable[bytes]) -> bytes | None:
    """
    The common fields (:data:`COMMON_FIELDS`) of some headers in columns; None if one has an octet that stands between them.

    :param headers: with their empty lines.
    """
    split: list[tuple[Sequence[tuple[bytes, bytes]], bytes, bytes]] = []
    for header in headers:
        subset = header_subset(header, COMMON_FIELDS, False)
        if BETWEEN_HEADERS in subset or BETWEEN_COLUMNS in subset:
            return None
        fields = header_fields(subset, COMMON_FIELDS)
        names = [name for name, _ in fields]
        if len(set(names)) < len(names):
            split.append(((), b"", subset))
        else:
            split.append((fields, subset[sum([len(text) for _, text in fields]) :], b""))
    names = sorted({name for fields, _, _ in split for name, _ in fields})
    letters = {name: FIRST_LETTER + place for place, name in enumerate(names)}
    codes = [WHOLE if whole else bytes([letters[name] for name, _ in fields]) for fields, _, whole in split]
    texts = [dict(fields) for fields, _, _ in split]
    columns = [codes, [end for _, end, _ in split], [whole for _, _, whole in split]]
    columns += [[one.get(name, b"") for one in texts] for name in names]
    return BETWEEN_COLUMNS.join([b" ".join(names), *map(BETWEEN_HEADERS.join, columns)])


def assembled(octets: bytes, names: Collection[bytes], count: int) -> Sequence[bytes]:
    """
    What :func:`~launcelot.message.sections.header_subset` says of each header, of names among the common ones.

    :param octets: made by :func:`divided`, of ``count`` headers.
    :param names: in small letters.
    :returns: nothing if the octets are damaged.
    """
    columns = octets.split(BETWEEN_COLUMNS)
    known = columns[0].split()
    if len(columns) != COLUMNS_BEFORE + len(known):
        return ()
    others = bytes([FIRST_LETTER + place for place, name in enumerate(known) if name not in names])
    codes = columns[1].translate(None, others).split(BETWEEN_HEADERS)
    ends = columns[2].split(BETWEEN_HEADERS)
    orders = set(codes)
    order = common_order(orders - {WHOLE})
    try:
        cells = [columns[letter - FIRST_LETTER + COLUMNS_BEFORE].split(BETWEEN_HEADERS) for letter in order]
    except IndexError:
        return ()
    if {count} != {len(codes), len(ends), *map(len, cells)}:
        return ()
    rows = zip(*cells, ends, strict=True)
    right = {one for one in orders if one != WHOLE and is_within(one, order)}
    if right == orders:
        return list(map(b"".join, rows))
    places = {one: [order.index(letter) for letter in one] + [len(order)] for one in orders - {WHOLE}}
    wholes = columns[3].split(BETWEEN_HEADERS)
    if len(wholes) != count:
        return ()
    return [
        b"".join(row) if one in right
        else header_subset(whole, names, False) if one == WHOLE
        else b"".join([row[place] for place in places[one]])
        for one, row, whole in zip(codes, rows, wholes, strict=True)
    ]  # fmt: skip


def common_order(orders: Collection[bytes]) -> bytes:
    """All letters of some orders in an order of which most are parts, those with the most letters first."""
    order = bytearray()
    for one in sorted(orders, key=lambda letters: (-len(letters), letters)):
        at = 0
        for letter in one:
            place = order.find(letter)
            if place < 0:
                order.insert(at, letter)
                place = at
            at = max(at, place + 1)
    return bytes(order)


def is_within(letters: bytes, order: bytes) -> bool:
    """Whether letters come in an order, in which others may stand between them."""
    left = iter(order)
    return all(letter in left for letter in letters)
