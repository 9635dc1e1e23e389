"""
One mailbox of the SQLite store.

Short reads are answered in the reactor thread, longer ones (:data:`SHORT` messages and more) in a reader thread; both see
one commit each.  Changes go through :meth:`launcelot.mailstore.sqlfile.AccountFile.write`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from sqlite3 import Connection
from typing import TypeVar

from launcelot.core.errors import Gone
from launcelot.mailstore import ordering, search, sqlrows, sqlsearch, sqlthreadids, threads, uidranges
from launcelot.mailstore.arrangements import Arrangement, How, still_holds
from launcelot.mailstore.bodies import Prepared
from launcelot.mailstore.digests import LARGE, can_have
from launcelot.mailstore.flaghistory import joined
from launcelot.mailstore.flags import Flags, sort_out
from launcelot.mailstore.interface import (
    Appended,
    Changes,
    Copied,
    Draft,
    Glance,
    MailboxInfo,
    MailboxStatus,
    Message,
    MessageState,
    Stored,
    StoreMode,
)
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.linesizes import line_sizes_of
from launcelot.mailstore.ordering import Criterion
from launcelot.mailstore.query import All, Query
from launcelot.mailstore.rights import ALL, Rights
from launcelot.mailstore.rolls import brought_up, roll_of
from launcelot.mailstore.sheets import Asked, Column, Fields, Sheet
from launcelot.mailstore.sqlarriving import Addition
from launcelot.mailstore.sqlfile import PREPARE_ASIDE, AccountFile
from launcelot.mailstore.sqlrows import MUCH
from launcelot.mailstore.sqlsheets import ascending, end_of_piece, sheet_of, sheet_of_one
from launcelot.mailstore.sqlwriting import Writing
from launcelot.mailstore.threads import Algorithm, Bundle
from launcelot.message.surrogate import LineSizes
from launcelot.workers.staging import Buffer

T = TypeVar("T")

SHORT = 200
"""Rows read in the reactor thread at most; they take about a millisecond."""
SHORT_COLUMN = 2_000
"""UIDs read in the reactor thread at most; they take about a millisecond."""
SLICE = 1_000
"""Rows read at a time in a reader thread."""
LONG_SLICE = 2_000
"""Messages read at a time when only some of their columns are; short ones take the reactor thread about a millisecond."""
BODIES = 32
"""Messages read at a time with their octets, unless these are more than :data:`BODY_OCTETS`; a connection holds some copies."""
BODY_OCTETS = 1 << 18
FEW_HEADERS = 16
"""Headers read in the reactor thread at most."""
LIGHT = frozenset({Column.MODSEQ, Column.FLAGS, Column.SIZE, Column.ARRIVED, Column.ZONE, Column.SAVED})
"""Columns that are numbers."""
HEADERS = 512
"""Messages read at a time with their headers."""
SHORT_OCTETS = 262_144
"""Octets of a body read in the reactor thread at most."""


class SqliteMailbox:
    """
    One mailbox; see :class:`launcelot.mailstore.interface.Mailbox`.

    :param opened: how it stands; its number is its row's, kept through a rename.
    """

    def __init__(self, file: AccountFile, limits: Limits, opened: Glance, info: MailboxInfo) -> None:
        self._file = file
        self._limits = limits
        self._number = opened.number
        self._info = info
        self._opened = opened

    @property
    def info(self) -> MailboxInfo:
        """Its id and its name when it was opened."""
        return self._info

    @property
    def opened(self) -> Glance:
        """How it stood then."""
        return self._opened

    @property
    def rights(self) -> Rights:
        """All: it is the account's own."""
        return ALL

    # -- reading -------------------------------------------------------------------------------------------------

    async def status(self) -> MailboxStatus:
        """Its numbers now."""
        return await self._file.read(lambda connection: sqlrows.status_of(connection, self._number))

    async def deleted_size(self) -> int:
        """Octets of the messages flagged ``\\Deleted``."""
        deleted = (await self.status()).deleted
        read = self._file.read if deleted <= SHORT_COLUMN else self._file.read_aside
        return await read(lambda connection: sqlrows.deleted_size_of(connection, self._number))

    async def uids(self) -> Sequence[int]:
        """Every message's UID, ascending; one array for all who ask between two changes."""
        rolls, number = self._file.rolls, self._number
        known = rolls.get(number)
        roll = await self._file.read(lambda connection: brought_up(connection, number, known)) if known else None
        if roll is None:
            rows = await self._file.read(lambda connection: sqlrows.messages_in(connection, number))
            read = self._file.read if rows <= SHORT_COLUMN else self._file.read_aside
            roll = await read(lambda connection: roll_of(connection, number))
        rolls.keep(number, roll)
        return roll.uids

    async def states(self, uids: Sequence[int] | None = None) -> Sequence[MessageState]:
        """UID, MODSEQ and flags of every message, or of those among ``uids``; ascending by UID."""

        def job(connection: Connection) -> Sequence[MessageState]:
            sqlrows.numbers_of(connection, self._number)
            if uids is not None:
                return sqlrows.states_among(connection, self._number, uids)
            return sqlrows.states_of(connection, self._number)

        rows = await self._file.read(lambda connection: sqlrows.messages_in(connection, self._number))
        rows = rows if uids is None else len(uids)
        return await (self._file.read(job) if rows <= SHORT else self._file.read_aside(job))

    async def sizes(self) -> Sequence[tuple[int, int]]:
        """Every message's UID and octets, ascending by UID."""
        rows = await self._file.read(lambda connection: sqlrows.messages_in(connection, self._number))
        read = self._file.read if rows <= SHORT else self._file.read_aside
        return await read(lambda connection: sqlrows.sizes_of(connection, self._number))

    async def line_sizes(self) -> Mapping[int, LineSizes]:
        """The octets of messages that are not sent as they are stored, by UID."""
        rows = await self._file.read(lambda connection: sqlrows.messages_in(connection, self._number))
        read = self._file.read if rows <= SHORT else self._file.read_aside
        return await read(lambda connection: line_sizes_of(connection, self._number))

    async def changes(self, since: int) -> Changes:
        """What happened after MODSEQ ``since``."""

        def job(connection: Connection) -> Changes:
            return sqlrows.changes_of(connection, self._number, since)

        # Mostly nothing: one statement tells, and needs no transaction around it.
        numbers = (await self._file.opened()).read(lambda connection: sqlrows.numbers_of(connection, self._number))
        if numbers.modseq <= since:
            return Changes(numbers.modseq, numbers.uid_next, (), ())
        rows = await self._file.read(lambda connection: sqlrows.rows_since(connection, self._number, since, SHORT + 1))
        return await (self._file.read(job) if rows <= SHORT else self._file.read_aside(job))

    async def messages(self, uids: Sequence[int]) -> AsyncIterator[Sequence[Message]]:
        """Messages in batches; those that are gone are left out."""
        read = self._file.read if len(uids) <= SHORT else self._file.read_aside
        wanted = uids if isinstance(uids, array) else sorted(set(uids))
        start = 0
        while start < len(wanted):
            piece = wanted[start : start + SLICE]
            batch, upto = await read(lambda connection, piece=piece: self._batch(connection, piece))  # type: ignore[misc]
            if batch:
                yield batch
            start = start + SLICE if upto is None else bisect_right(wanted, upto, start)

    async def sheets(self, uids: Sequence[int], columns: Sequence[Asked]) -> AsyncIterator[Sheet]:
        """Some columns of messages in batches."""
        if Column.THREAD_ID in columns:
            await self.find_threads()
        read = self._file.read if len(uids) <= SHORT else self._file.read_aside
        size, much = LONG_SLICE, MUCH
        if LIGHT.issuperset(columns):
            # Short rows that lie together: a slice is quicker read than handed to a thread.
            read = self._file.read
        if any(column is Column.HEADER or isinstance(column, Fields) for column in columns):
            # Common fields come out of digests, of which more can be read at a time.
            common = Column.HEADER not in columns and all(can_have(one) for one in columns if isinstance(one, Fields))
            size = LONG_SLICE if common else HEADERS
            read = self._file.read if len(uids) <= FEW_HEADERS else self._file.read_aside
        if Column.OCTETS in columns:
            size, read, much = BODIES, self._file.read if len(uids) == 1 else self._file.read_aside, BODY_OCTETS
        if len(uids) >= LARGE:
            self._file.wants_tending()
        start = 0
        while start < len(uids):
            end = end_of_piece(uids, start, size)
            piece = uids[start:end]
            sheet, upto = await read(
                lambda connection, piece=piece: sheet_of(connection, self._number, piece, columns, much)  # type: ignore[misc]
            )
            yield sheet
            start = end if upto is None else bisect_right(uids, upto, start, end)

    async def sheet(self, uid: int, columns: tuple[Asked, ...]) -> Sheet | None:
        """The same of one message."""
        if Column.THREAD_ID in columns:
            await self.find_threads()
        database = await self._file.opened()
        return database.read(partial(sheet_of_one, mailbox=self._number, uid=uid, columns=columns))

    def _batch(self, connection: Connection, uids: Sequence[int]) -> tuple[Sequence[Message], int | None]:
        sqlrows.numbers_of(connection, self._number)
        return sqlrows.messages_of(connection, self._number, uids)

    async def find_threads(self) -> None:
        """Put messages that are in no thread into theirs, all of the account, a few at a time."""
        while await self._file.read(sqlthreadids.behind):
            await self._file.write(lambda writing: sqlthreadids.extend(writing.connection))

    async def read(self, uid: int, offset: int, length: int) -> bytes:
        """Octets of a message."""
        read = self._file.read if length <= SHORT_OCTETS else self._file.read_aside
        return await read(lambda connection: sqlrows.octets_of(connection, self._number, uid, offset, length))

    async def search(self, query: Query) -> Sequence[int]:
        """UIDs that match, ascending."""
        search.check(query)
        if search.asks_for_threads(query):
            await self.find_threads()
        if isinstance(query, All):
            return await self.uids()
        ranges = uidranges.ranges_of(query)
        if ranges is not None:
            return uidranges.among(await self.uids(), ranges)
        plain = sqlsearch.plain(query)
        known = None if plain is None else await self._containing(*plain)
        if known is not None:
            return known
        plan = await self._file.read_aside(lambda connection: sqlsearch.begin(connection, self._number, query))
        rest = plan.rest
        if rest is None:
            return plan.known
        self._file.wants_tending()
        found: list[int] = []
        for start in range(0, len(plan.candidates), sqlsearch.SLICE):
            some = plan.candidates[start : start + sqlsearch.SLICE]
            found += await self._file.read_aside(
                lambda connection, some=some: sqlsearch.among(connection, self._number, rest, some)  # type: ignore[misc]
            )
        return sorted([*plan.known, *found])

    async def _containing(self, column: str, wanted: str) -> Sequence[int] | None:
        """UIDs of the messages of which a column contains a text, from digests; None where there are none."""
        number = self._number
        rows = await self._file.read(lambda connection: sqlrows.messages_in(connection, number))
        if rows < LARGE:
            return None
        found = await self._file.read_aside(lambda connection: sqlsearch.containing(connection, number, column, wanted))
        if found is None:
            self._file.wants_tending()
        return found

    async def sort(self, uids: Sequence[int], criteria: Sequence[Criterion]) -> Sequence[int]:
        """Messages in the order of some criteria; where they are many, it is kept for those who ask again."""

        def order(connection: Connection, wanted: Sequence[int]) -> Sequence[int]:
            sheet, _ = sheet_of(connection, self._number, ascending(wanted), ordering.columns(criteria))
            return array("I", ordering.sort(sheet, criteria))

        return await self._arranged(uids, tuple(criteria), order, len)

    async def thread(self, uids: Sequence[int], algorithm: Algorithm) -> Sequence[Bundle]:
        """Messages as threads, likewise."""

        def bundles(connection: Connection, wanted: Sequence[int]) -> Sequence[Bundle]:
            sheet, _ = sheet_of(connection, self._number, ascending(wanted), threads.COLUMNS)
            return threads.thread(sheet, algorithm)

        return await self._arranged(uids, algorithm, bundles, lambda found: sum(len(one.uids) for one in found))

    async def _arranged(
        self,
        uids: Sequence[int],
        how: How,
        arrange: Callable[[Connection, Sequence[int]], Sequence[T]],
        messages: Callable[[Sequence[T]], int],
    ) -> Sequence[T]:
        """What comes of arranging messages; ``messages`` says how many are in it."""
        number, kept = self._number, self._file.arrangements
        wanted = uids if isinstance(uids, array) else array("I", uids)

        def job(connection: Connection) -> Arrangement:
            modseq = sqlrows.numbers_of(connection, number).modseq
            return Arrangement(modseq, wanted, arrange(connection, wanted) if wanted else ())

        if len(wanted) <= SHORT:
            return (await self._file.read(job)).found
        known = kept.get(number, how, wanted)
        if known is not None and await self._file.read(partial(still_holds, mailbox=number, known=known)):
            return known.found
        made = await self._file.read_aside(job)
        kept.keep(number, how, made, messages(made.found))
        return made.found

    # -- changing ------------------------------------------------------------------------------------------------

    async def claim_recent(self) -> int:
        """``recent_from`` as it was; nothing that exists now is recent to anybody else."""
        status = await self.status()
        if status.recent_from == status.uid_next:
            return status.recent_from
        return await self._file.write(lambda writing: writing.claim_recent(self._number))

    async def append(self, body: Buffer, flags: Collection[str], internal_date: datetime | None = None) -> Appended:
        """Add a message; a short one together with what else comes."""
        given = sort_out(flags)
        if len(body) < PREPARE_ASIDE:
            return await self._file.append(Addition(self._number, body, given, internal_date, self._limits))
        return await self._file.add(
            [Draft(lambda: body, len(body))],
            lambda writing, made: writing.add(self._number, body, made[0], given, internal_date),
            self._limits,
        )

    async def append_all(self, drafts: Sequence[Draft]) -> Sequence[Appended]:
        """Add messages, all or none."""
        given = [sort_out(draft.flags) for draft in drafts]

        def job(writing: Writing, made: Sequence[Prepared | None]) -> Sequence[Appended]:
            return [
                writing.add(self._number, draft.body(), prepared, flags, draft.internal_date)
                for draft, prepared, flags in zip(drafts, made, given, strict=True)
            ]

        return await self._file.add(drafts, job, self._limits) if drafts else ()

    async def replace(self, uid: int, body: Buffer, target: str, draft: Draft) -> Appended:
        """Add a message to a mailbox and remove one here."""
        given = sort_out(draft.flags)

        def job(writing: Writing, made: Sequence[Prepared | None]) -> Appended:
            to = writing.target(self._number, target)
            rows = writing.rows(self._number, [uid])
            if not rows:
                raise Gone("the message has been removed")
            writing.take(self._number, rows)
            return writing.add(to, body, made[0], given, draft.internal_date)

        return await self._file.add([Draft(lambda: body, len(body))], job, self._limits)

    async def store(
        self, uids: Sequence[int], mode: StoreMode, flags: Collection[str], unchanged_since: int | None = None
    ) -> Stored:
        """Change flags."""
        given, history = sort_out(flags), self._file.flag_history
        found = await self._store(uids, mode, given, unchanged_since)
        if found.alone and unchanged_since is not None and mode is not StoreMode.REPLACE:
            others, upto = history.untouched(self._number, found.alone, unchanged_since, given, found.modseq)
            if others:
                return joined(found, await self._store(others, mode, given, upto), others)
        return found

    async def _store(self, uids: Sequence[int], mode: StoreMode, given: Flags, unchanged_since: int | None) -> Stored:
        wanted = self._as_range(uids)
        stored = await self._file.write(lambda writing: writing.flag(self._number, wanted, mode, given, unchanged_since))
        if stored.modseq:
            self._file.flag_history.note(self._number, stored.modseq, mode, given, uids)
        return stored

    def _as_range(self, uids: Sequence[int]) -> Sequence[int]:
        """The same, as a range if they are all that are known to be here and none is left out, so that nobody looks at each."""
        roll = self._file.rolls.get(self._number)
        if roll is not None and uids and isinstance(uids, array) and uids[-1] - uids[0] == len(uids) - 1 and uids == roll.uids:
            return range(uids[0], uids[-1] + 1)
        return uids

    async def expunge(self, uids: Sequence[int] | None = None) -> Sequence[int]:
        """Remove messages flagged ``\\\\Deleted``."""
        return await self._file.write(lambda writing: writing.take(self._number, writing.deleted(self._number, uids)))

    async def remove(self, uids: Sequence[int]) -> Sequence[int]:
        """Remove messages whatever their flags."""
        return await self._file.write(lambda writing: writing.take(self._number, writing.rows(self._number, uids)))

    async def copy(self, uids: Sequence[int], target: str) -> Copied:
        """Copy messages."""

        def job(writing: Writing) -> Copied:
            return writing.copy(self._number, uids, writing.target(self._number, target))

        return await self._file.write(job, self._limits)

    async def move(self, uids: Sequence[int], target: str) -> Copied:
        """Copy and remove in one."""

        def job(writing: Writing) -> Copied:
            return writing.move(self._number, uids, writing.target(self._number, target))

        return await self._file.write(job)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change."""
        return self._file.watch(self._number, changed)
