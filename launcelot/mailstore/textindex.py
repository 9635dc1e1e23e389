"""
The text index of an account's mail file: which contents may hold a string.

It is an FTS5 table (``texts``, its rows numbered like ``contents``) of texts, decoded and folded, with their trigrams but
without positions: the trigrams say who *may* match, the text itself who does, in SQLite and at its speed.  What the text cannot
tell, because it has more in it than is asked about (``BODY``, ``HEADER``), is looked at as without an index
(:mod:`launcelot.mailstore.search`).  So answers are the same with and without it, if only nothing is missing in it:

- What is indexed is the text that is searched, folded in the same way: the header, then all below it.
- Contents above ``upkeep.indexed_to`` are not in it yet, and those in ``unindexed`` never (their text is longer than
  :data:`MAX_TEXT`): both count as candidates.  So a message is found from the moment it is stored, and indexing can wait
  for a quiet moment: in the delivery's own transaction it would cost more than all the rest of it.
- Needles with fewer than three characters have no trigram; all texts are looked through for them.

Beside it is a small one of the words in bodies (``words``).  A word there that begins with the needle proves that the needle is
in the body; so a needle that is the beginning of a word in most of the mail need not be looked for in each of it.

The text of a content that has gone is removed in the next quiet moment; until then ``unindexed`` has its number with a minus.
Numbers of contents are never used again.  Where SQLite has no FTS5 or no trigrams, everything works without the tables.
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from launcelot.mailstore import bodies, search
from launcelot.mailstore.query import And, Contains, Field, Header, Or, Query
from launcelot.mailstore.schema import CHUNK, CHUNK_BITS
from launcelot.mailstore.sqlrows import text
from launcelot.message.casemap import fold

MAX_TEXT = 1 << 20
"""Characters of a text that is indexed; a longer one is always looked at."""
SLICE_CONTENTS = 64
"""Contents indexed in one transaction at most; they take some ten milliseconds."""
SLICE_OCTETS = 1 << 20
"""Octets of contents past which a slice takes no more."""
MAX_NEEDLES = 8
"""Strings of one condition that are asked for; more are left to looking at the message."""
MAX_TRIGRAMS = 12
"""Trigrams of one needle that are asked for; more would only say the same again."""
MAX_GLOB = 64
"""Characters of a needle that GLOB looks for; it compares longer ones slower, which tells where they nearly fit everywhere."""
SAMPLES = 300
"""Contents for which :func:`has_all` asks the index, about."""
LARGEST_WASTE = 1_000
"""Rows of contents that have gone which are always borne with; past that, half of the index."""

Condition = tuple[str, list[Any]]

Said = Callable[[Query], Condition | None]
"""Says a query in SQL, or cannot."""


@functools.cache
def available() -> bool:
    """Whether this SQLite has FTS5 with trigrams."""
    connection = sqlite3.connect(":memory:")
    try:
        for statement in _CREATE:
            connection.execute(statement)
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


# -- asking --------------------------------------------------------------------------------------------------------


def exists(connection: sqlite3.Connection) -> bool:
    """Whether the file has an index that can be asked."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'texts' AND sql NOT LIKE '%content=%'").fetchone()
    return found is not None and available()


def has_everything(connection: sqlite3.Connection) -> bool:
    """Whether there is no content that would have to be looked at because it is not in the index."""
    row = connection.execute(
        "SELECT NOT EXISTS (SELECT 1 FROM contents WHERE number > indexed_to)"
        " AND NOT EXISTS (SELECT 1 FROM unindexed WHERE content > 0) FROM upkeep"
    ).fetchone()
    return bool(row and row[0])


def narrowed(query: Query, said: Said, whole: bool = False) -> Condition | None:
    """
    What every match of a query fulfils, over ``messages AS m``; None if nothing useful is known.

    :param said: says in SQL what columns can answer.
    :param whole: whether :func:`has_everything`.
    """
    condition = said(query)
    if condition is not None:
        return condition
    if isinstance(query, And):
        return _joined([one for one in (narrowed(inner, said, whole) for inner in query.queries) if one is not None], " AND ")
    if isinstance(query, Or):
        parts = [narrowed(inner, said, whole) for inner in query.queries]
        return None if None in parts else _joined([one for one in parts if one is not None], " OR ")
    needles = needles_of(query)
    if needles is None:
        return None
    match = match_of(needles)
    kept = [indexable(needle) for needle in needles]
    held = [holding(needle) for needle in kept]
    asked, values = [condition for condition, _ in held], [value for _, value in held]
    if isinstance(query, Contains) and len(needles) == 1 and _WORD.fullmatch(kept[0]):
        # Where a word begins with it, the text need not be read.
        words = f'"{kept[0]}" *'
        asked, values = [_NO_WORD, *asked], [words, *values]
    else:
        words = ""
    if match is not None:
        asked, values = [_MATCHES, *asked], [match, *values]
    may_match = (_MATCHING if whole else _MAY_MATCH).format(" AND ".join(asked))
    return (may_match, values) if not words else (f"({_IN_BODY} OR {may_match})", [words, *values])


def needles_of(query: Query) -> Sequence[str] | None:
    """Strings, folded, each of which is in the text of every message that matches; None if there are none."""
    if isinstance(query, Contains) and query.field is Field.TEXT:
        needles = [query.text]
    elif isinstance(query, Contains) and query.field is Field.BODY:
        # The texts of parts meet at a line feed there, and a part's header stands between them in the index.
        needles = query.text.split("\n")
    elif isinstance(query, Header):
        needles = [query.name, query.text]
    else:
        return None
    return [fold(needle) for needle in needles if needle][:MAX_NEEDLES] or None


def match_of(needles: Sequence[str]) -> str | None:
    """What FTS5 is asked for some strings; None if there is no trigram to ask for."""
    wanted = [trigram for needle in needles for trigram in trigrams(needle)]
    return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in wanted) or None


def proof_of(query: Query, whole: bool = False) -> Condition | None:
    """
    What proves that a message matches that fulfils what :func:`narrowed` says, over ``messages AS m``.

    :param whole: whether :func:`has_everything`.
    :returns: None if only looking at it does.
    """
    if not isinstance(query, Contains):
        return None
    needle = fold(query.text)
    if query.field is Field.TEXT:
        # The header and what is below it meet at a line feed; and some characters are kept as others.
        return None if _UNSURE.search(needle) else ("1" if whole else _INDEXED, [])
    if query.field is not Field.BODY or _WORD.fullmatch(indexable(needle)) is None:
        return None
    return _IN_BODY, [f'"{indexable(needle)}" *']


def holding(needle: str) -> tuple[str, str]:
    """
    That a kept text contains a string, over ``texts_content``, and the value that goes with it.

    GLOB leaps over what does not begin like the needle with the C library's vectors, ``instr`` looks at each octet: up to
    three times as fast, and as slow where every other character begins a needle.  Some characters it takes for one another.
    """
    if len(needle) > MAX_GLOB or _ALIKE_TO_GLOB.search(needle):
        return "instr(c0, ?)", needle
    return "c0 GLOB ?", "*" + _WILD.sub(r"[\g<0>]", needle) + "*"


def trigrams(needle: str) -> Sequence[str]:
    """The different trigrams of a folded needle, of very many some from everywhere."""
    kept = indexable(needle)
    found = list(dict.fromkeys(kept[start : start + 3] for start in range(len(kept) - 2)))
    step = -(-len(found) // MAX_TRIGRAMS)
    return found[::step] if found else found


def indexable(folded: str) -> str:
    """The folded text, character by character, as SQLite can hold it: FTS5 stops reading at a NUL."""
    return text(folded.replace("\0", "\1"))


def plain(folded: str) -> str:
    """The folded text for the index of words: a capital in it, which no needle in small letters fits, parts words there."""
    return _CAPITALS.sub("\n", folded)


# -- making --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slice:
    """
    Texts that come next.

    :ivar after: how far the index reached when they were read.
    :ivar upto: how far it reaches with them.
    :ivar texts: content, header, all text below it, and that without headers of parts.
    :ivar long: contents whose text is too long, or cannot be read.
    """

    after: int
    upto: int
    texts: Sequence[tuple[int, str, str, str]]
    long: Sequence[int]


def pending(connection: sqlite3.Connection) -> int:
    """Contents that are still to be indexed."""
    rows: int = connection.execute(
        "SELECT count(*) FROM contents WHERE number > (SELECT indexed_to FROM upkeep)"
    ).fetchone()[0]
    return rows


def gather(connection: sqlite3.Connection) -> Slice | None:
    """The next texts, decoded; None when there is nothing to be indexed."""
    if not available():
        return None
    after: int = connection.execute("SELECT indexed_to FROM upkeep").fetchone()[0]
    rows = connection.execute(
        "SELECT number, size FROM contents WHERE number > ? ORDER BY number LIMIT ?", (after, SLICE_CONTENTS)
    ).fetchall()
    texts: list[tuple[int, str, str, str]] = []
    long: list[int] = []
    upto = octets = 0
    for number, size in rows:
        upto = number
        found = _folded(connection, number, size)
        if found is None or len(found.header) + len(found.below) > MAX_TEXT:
            long.append(number)
        else:
            texts.append((number, *map(indexable, (found.header, found.below, found.body))))
        octets += size
        if octets > SLICE_OCTETS:
            break
    return Slice(after, upto, texts, long) if rows else None


def add(connection: sqlite3.Connection, some: Slice) -> bool:
    """Put texts into the index; False if somebody else has done it."""
    done: int = connection.execute("SELECT indexed_to FROM upkeep").fetchone()[0]
    if done != some.after:
        return False
    if not exists(connection):
        if some.after:
            reset(connection)  # Somebody has removed it.
            return False
        for statement in _CREATE:
            connection.execute(statement)
    texts = [(number, f"{header}\n{below}") for number, header, below, _ in some.texts]
    connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", texts)
    words = [(number, plain(body)) for number, _, _, body in some.texts]
    connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", words)
    connection.executemany("INSERT INTO unindexed VALUES (?)", [(number,) for number in some.long])
    connection.execute("UPDATE upkeep SET indexed_to = ?, indexed = indexed + ?", (some.upto, len(some.texts)))
    return True


def has_all(connection: sqlite3.Connection) -> bool:
    """Whether every text is in the index as it should be, and is found by some strings, as far as a part of them tells."""
    rows = connection.execute(
        "SELECT number, size FROM contents WHERE number <= (SELECT indexed_to FROM upkeep)"
        " AND number NOT IN (SELECT content FROM unindexed) ORDER BY number"
    ).fetchall()
    step = max(len(rows) // SAMPLES, 1)
    for place, (number, size) in enumerate(rows):
        found = _folded(connection, number, size)
        if found is None:
            continue
        row = connection.execute("SELECT text FROM texts WHERE rowid = ?", (number,)).fetchone()
        if row is None or row[0] != f"{indexable(found.header)}\n{indexable(found.below)}":
            return False
        if place % step:
            continue
        words = [("texts", f'"{one}"') for one in _samples(indexable(found.below), 3) if '"' not in one]
        words += [("words", f'"{one}"') for one in _WORD.findall(plain(indexable(found.body)))[:3]]
        for table, match in words:
            if not connection.execute(f"SELECT 1 FROM {table} WHERE {table} MATCH ? AND rowid = ?", (match, number)).fetchone():
                return False
    return True


def _samples(folded: str, length: int) -> list[str]:
    return [folded[start : start + length] for start in (0, len(folded) // 2) if start + length <= len(folded)]


def forget(connection: sqlite3.Connection, contents: Iterable[int]) -> None:
    """Note that contents have gone."""
    gone = [(number,) for number in contents]
    connection.executemany("UPDATE upkeep SET gone = gone + 1 WHERE indexed_to >= ?", gone)
    connection.executemany(
        "INSERT OR IGNORE INTO unindexed SELECT -?1 FROM upkeep WHERE indexed_to >= ?1"
        " AND NOT EXISTS (SELECT 1 FROM unindexed WHERE content = ?1)",
        gone,
    )
    connection.executemany("DELETE FROM unindexed WHERE content = ?", gone)


def wasteful(connection: sqlite3.Connection) -> bool:
    """Whether most of the index is of contents that have gone."""
    row = connection.execute("SELECT gone > ? + indexed / 2 FROM upkeep", (LARGEST_WASTE,)).fetchone()
    return bool(row[0])


def departed(connection: sqlite3.Connection) -> Sequence[int]:
    """Some contents that have gone and whose texts are there still."""
    rows = connection.execute("SELECT -content FROM unindexed WHERE content < 0 LIMIT ?", (SLICE_CONTENTS,))
    return [number for (number,) in rows]


def remove(connection: sqlite3.Connection, contents: Iterable[int]) -> None:
    """Remove texts of contents that have gone."""
    gone = [(number,) for number in contents]
    if exists(connection):
        connection.executemany("DELETE FROM texts WHERE rowid = ?", gone)
    connection.executemany("DELETE FROM unindexed WHERE content = -?", gone)


def reset(connection: sqlite3.Connection) -> None:
    """Empty the index, to be made anew; until it is, everything not in it is looked at."""
    connection.execute("DELETE FROM unindexed")
    connection.execute("UPDATE upkeep SET indexed_to = 0, indexed = 0, gone = 0")
    if available():
        connection.execute("DROP TABLE IF EXISTS texts")
        connection.execute("DROP TABLE IF EXISTS words")


def _folded(connection: sqlite3.Connection, content: int, size: int) -> search.Text | None:
    """The text that is searched; None if octets of it are missing."""
    wanted = min(size, search.MAX_OCTETS)
    try:
        octets = bodies.octets_of(connection, content, size, 0, wanted)
    except bodies.Missing:
        return None
    if octets is None:
        first = content << CHUNK_BITS
        rows = connection.execute(
            "SELECT octets FROM chunks WHERE number BETWEEN ? AND ? ORDER BY number", (first, first + (wanted >> _CHUNK_SHIFT))
        )
        octets = b"".join(piece for (piece,) in rows)
    if len(octets) < wanted:
        return None
    return search.Text(lambda: octets, MAX_TEXT + 1)


def _joined(conditions: Sequence[Condition], word: str) -> Condition | None:
    if not conditions:
        return None
    return "(" + word.join(statement for statement, _ in conditions) + ")", [
        value for _, values in conditions for value in values
    ]


_CHUNK_SHIFT = CHUNK.bit_length() - 1
_CAPITALS = re.compile("[A-Z]+")
_WORD = re.compile("[a-z0-9\x80-\U0010ffff]+")
"""What FTS5's tokenizer ``ascii`` takes for one word; upper case has been folded."""
_CREATE = (
    """
    CREATE VIRTUAL TABLE texts
    USING fts5 (text, columnsize=0, detail=none, tokenize='trigram case_sensitive 1')
    """,
    "CREATE VIRTUAL TABLE words USING fts5 (text, content='', columnsize=0, detail=none, tokenize='ascii')",
)
_WILD = re.compile(r"[*?\[]")
_ALIKE_TO_GLOB = re.compile("[\ufffd-\uffff]")
"""SQLite reads U+FFFE and U+FFFF as U+FFFD there."""
# FTS5 keeps its texts in a table of that name (https://www.sqlite.org/fts5.html section 9.4), which is read without it.
_MATCHES = "id IN (SELECT rowid FROM texts WHERE texts MATCH ?)"
_NO_WORD = "id NOT IN (SELECT rowid FROM words WHERE words MATCH ?)"
_IN_BODY = "m.content IN (SELECT rowid FROM words WHERE words MATCH ?)"
_INDEXED = "m.content <= (SELECT indexed_to FROM upkeep) AND m.content NOT IN (SELECT content FROM unindexed)"
_UNSURE = re.compile("[\n\0\1?\ud800-\udfff]")
"""Characters of a needle that the kept text may have from elsewhere."""
_MATCHING = "m.content IN (SELECT id FROM texts_content WHERE {})"
_MAY_MATCH = """(
    m.content > (SELECT indexed_to FROM upkeep)
    OR m.content IN (SELECT id FROM texts_content WHERE {})
    OR m.content IN (SELECT content FROM unindexed)
)"""
