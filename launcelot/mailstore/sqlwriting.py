"""
Changes to an account's mail file, inside a transaction that :class:`launcelot.workers.database.Database` begins and ends.

A :class:`Writing` lives for one job in the writer's thread.  Whatever it adds or takes, it keeps the counters of the mailbox
and of the account in step in the same transaction, and remembers which mailboxes it touched.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from launcelot.mailstore import bodies, sqlrows, sqlstates, textindex, tree
from launcelot.mailstore.bodies import Prepared
from launcelot.mailstore.checksums import checksum_of
from launcelot.mailstore.dates import seconds_of, whole, zone_of
from launcelot.mailstore.flags import Flags, Keywords, translate
from launcelot.mailstore.interface import INBOX, SEPARATOR, Appended, Copied, Stored, StoreMode
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.schema import CHUNK, CHUNK_BITS
from launcelot.mailstore.sqlrows import Numbers, listed, text
from launcelot.mailstore.sqlsheets import ascending
from launcelot.mailstore.stateblocks import MARKED, UNSEEN, Block, first_of, number_of
from launcelot.mailstore.statecolumns import LateColumns
from launcelot.mailstore.watchers import TREE
from launcelot.message.analysis import Analysis, analyse
from launcelot.message.casemap import fold
from launcelot.workers.staging import Buffer


@dataclass(frozen=True, slots=True)
class Row:
    """A message as changes see it."""

    uid: int
    mask: int
    content: int
    size: int
    internal: int
    internal_zone: int
    internal_day: int

    @property
    def lasting(self) -> tuple[int, int, int, int, int]:
        """The columns a copy shares."""
        return (self.content, self.size, self.internal, self.internal_zone, self.internal_day)


def content_values(analysis: Analysis) -> tuple[object, ...]:
    """What ``contents`` holds of an analysis: :data:`CONTENT_COLUMNS`."""
    sent = analysis.sent
    return (
        analysis.size,
        analysis.header_size,
        seconds_of(whole(sent)) if sent else None,
        zone_of(sent) if sent else None,
        sent.date().toordinal() if sent else None,
        analysis.envelope,
        analysis.body,
        analysis.body_structure,
        analysis.parts,
        text(fold(analysis.subject)),
        text(analysis.base_subject),
        text(analysis.from_key),
        text(analysis.to_key),
        text(analysis.cc_key),
        text(analysis.bcc_key),
        text(analysis.sort_from),
        text(analysis.sort_to),
        text(analysis.sort_cc),
        None if analysis.message_id is None else text(analysis.message_id),
        text("\n".join(analysis.references)),
        analysis.line_size,
        analysis.ascii_size,
    )


def _arrival(moment: datetime) -> tuple[int, int, int]:
    """What ``messages`` holds of the moment of arrival."""
    return seconds_of(moment), zone_of(moment), moment.date().toordinal()


class New(NamedTuple):
    """
    A message that is put into a mailbox.

    :ivar prepared: what has been made of the body.
    :ivar mask: its flags, which the mailbox has admitted.
    """

    body: Buffer
    prepared: Prepared
    mask: int = 0
    internal_date: datetime | None = None


class Writing:
    """
    One job's hands on the file.

    :param limits: on what the account may hold; None for none.
    :param now: the wall clock; called in the writer's thread, like ``ids``.
    :ivar dropped: files of bodies (:mod:`launcelot.mailstore.bodies`) that nobody uses once this is committed.
    """

    def __init__(
        self, connection: sqlite3.Connection, limits: Limits | None, now: Callable[[], datetime], ids: Callable[[], str]
    ) -> None:
        self.connection = connection
        self.touched: set[int] = set()
        self.dropped: list[str] = []
        self._limits = limits
        self._now = now
        self._ids = ids

    # -- messages ------------------------------------------------------------------------------------------------

    def rows(self, mailbox: int, uids: Iterable[int] | None = None) -> list[Row]:
        """
        Messages among ``uids``, or all, ascending.

        :raises Gone: the mailbox has been deleted.
        """
        sqlrows.numbers_of(self.connection, mailbox)
        if uids is None:
            rows = self.connection.execute(f"{_ROWS} ORDER BY uid", (mailbox,)).fetchall()
        else:
            some = f"{_ROWS} AND uid IN (SELECT value FROM json_each(?)) ORDER BY uid"
            rows = self.connection.execute(some, (mailbox, listed(uids))).fetchall()
        states = sqlstates.states_of_uids(self.connection, mailbox, [row[0] for row in rows])
        masks = dict(zip(states.uids, states.masks, strict=True))
        return [Row(uid, masks.get(uid, 0), *others) for uid, *others in rows]

    def deleted(self, mailbox: int, uids: Iterable[int] | None) -> list[Row]:
        """Messages flagged ``\\\\Deleted`` among ``uids``, or all."""
        sqlrows.numbers_of(self.connection, mailbox)
        found = sqlstates.deleted_uids(self.connection, mailbox)
        if uids is not None:
            found = sorted(set(found).intersection(uids))
        return self.rows(mailbox, found)

    def add(
        self, mailbox: int, body: Buffer, prepared: Prepared | None, flags: Flags, internal_date: datetime | None
    ) -> Appended:
        """
        Put a new message into a mailbox.

        :param prepared: what somebody has already made of the body.
        :raises TryLater: there is no room for the file of a large body that nobody has prepared.
        """
        if prepared is None:
            prepared = Prepared(analyse(body))
        numbers = sqlrows.numbers_of(self.connection, mailbox)
        self.make_room(prepared.analysis.size, 1)
        (appended,) = self.add_all(numbers, [New(body, prepared, self.admit(mailbox, flags), internal_date)])
        return appended

    def add_all(self, numbers: Numbers, messages: Sequence[New]) -> list[Appended]:
        """Put new messages into a mailbox, in their order, for which there is room."""
        now = self._now()
        ids = ["M" + self._ids() for _ in messages]
        first = self._add_contents(messages, ids)
        rows = [
            Row(0, new.mask, content, new.prepared.analysis.size, *_arrival(whole(new.internal_date or now)))
            for content, new in enumerate(messages, first)
        ]
        uids = self._add_rows(numbers, rows)
        self._count_usage(rows, 1)
        return [Appended(numbers.uid_validity, uid, id) for uid, id in zip(uids, ids, strict=True)]

    def put(self, mailbox: int, content: int, flags: Flags, moment: datetime) -> int:
        """Put a content that is there already into a mailbox, whatever the limits say; its UID."""
        size: int = self.connection.execute("SELECT size FROM contents WHERE number = ?", (content,)).fetchone()[0]
        mask = self.admit(mailbox, flags)
        row = Row(0, mask, content, size, *_arrival(moment))
        (uid,) = self._add_rows(sqlrows.numbers_of(self.connection, mailbox), [row])
        self.connection.execute("UPDATE contents SET uses = uses + 1 WHERE number = ?", (content,))
        self._count_usage([row], 1)
        return uid

    def copy(self, mailbox: int, uids: Iterable[int] | None, target: int) -> Copied:
        """Put copies into a mailbox, which may be the same one; they share the content."""
        rows = self.rows(mailbox, uids)
        numbers = sqlrows.numbers_of(self.connection, target)
        self.make_room(sum(row.size for row in rows), len(rows))
        copied = self._transfer(mailbox, rows, numbers)
        self.connection.executemany(
            "UPDATE contents SET uses = uses + 1 WHERE number = ?", [(row.content,) for row in rows]
        )
        self._count_usage(rows, 1)
        return copied

    def move(self, mailbox: int, uids: Iterable[int] | None, target: int) -> Copied:
        """Put messages into another mailbox and take them from this one."""
        rows = self.rows(mailbox, uids)
        copied = self._transfer(mailbox, rows, sqlrows.numbers_of(self.connection, target))
        self._take_rows(mailbox, rows)
        return copied

    def take(self, mailbox: int, rows: Sequence[Row]) -> list[int]:
        """Remove messages, and contents nobody uses any more; their UIDs."""
        self._take_rows(mailbox, rows)
        self._count_usage(rows, -1)
        self._release([row.content for row in rows])
        return [row.uid for row in rows]

    def flag(
        self, mailbox: int, uids: Iterable[int], mode: StoreMode, given: Flags, unchanged_since: int | None
    ) -> Stored:
        """Change flags; as :meth:`launcelot.mailstore.interface.Mailbox.store`."""
        modseq = sqlrows.numbers_of(self.connection, mailbox).modseq + 1
        wanted = ascending(uids)
        blocks = sqlstates.blocks_with(self.connection, mailbox, wanted)
        chosen, alone = sqlstates.choose(blocks, wanted, unchanged_since)
        if not chosen:
            return Stored([], alone, 0)
        keywords = sqlrows.keywords_of(self.connection, mailbox)
        mask = keywords.mask(given) if mode is StoreMode.REMOVE else self.admit(mailbox, given, keywords)
        now = [(block, block.stored(mode, mask, modseq, slots), slots) for block, slots in chosen]
        moved = [(old, new) for old, new, _ in now if new is not old]
        if moved:
            self._keep(mailbox, modseq, moved)
        changed = [(new, slots) for _, new, slots in now]
        count = sum([new.messages if slots is None else len(slots) for new, slots in changed])
        # Most often nobody asks what messages are like now.
        states = LateColumns(count, lambda: (*sqlstates.columns_of(changed), keywords.flags))
        return Stored(states, alone, modseq if moved else 0)

    def _keep(
        self, mailbox: int, modseq: int, moved: Sequence[tuple[Block, Block]], messages: int = 0, size: int = 0, uids: int = 0
    ) -> None:
        """
        Write blocks as they are now, knowing them as they were, and bring the mailbox's row in step.

        :param messages: that have come or, negative, gone; ``size`` are their octets.
        :param uids: that have been given.
        """
        unseen, deleted = sqlstates.keep(self.connection, mailbox, [new for _, new in moved])
        before = b"".join([old.flags for old, _ in moved])
        unseen -= before.translate(UNSEEN).count(1)
        deleted -= before.translate(MARKED).count(1)
        self.connection.execute(_COUNT, (modseq, unseen, deleted, messages, size, uids, mailbox))
        self.touched.add(mailbox)

    def make_room(self, octets: int, messages: int) -> None:
        """
        Refuse what the limits do not allow.

        :raises OverQuota: the account is full.
        """
        if self._limits is not None and self._limits.any:
            used = sqlrows.usage_of(self.connection)
            self._limits.check(used.octets + octets, used.messages + messages)

    def _add_contents(self, messages: Sequence[New], email_ids: Sequence[str]) -> int:
        """Octets and what they say of; the number of the first one, which those of the others follow."""
        files = [
            new.prepared.kept or bodies.keep_beside(self.connection, new.prepared.analysis.size, bodies.pieces_of(new.body))
            for new in messages
        ]
        rows = [
            (
                id,
                *content_values(new.prepared.analysis),
                checksum_of(bodies.pieces_of(new.body)) if kept is None else kept.checksum,
            )
            for id, new, kept in zip(email_ids, messages, files, strict=True)
        ]
        first = sqlrows.insert(self.connection, _INTO_CONTENTS, _CONTENT, rows) - len(rows) + 1
        short: list[tuple[int, bytes]] = []
        for content, (new, kept) in enumerate(zip(messages, files, strict=True), first):
            body, prepared = new.body, new.prepared
            analysis = prepared.analysis
            if kept is not None:
                head = prepared.head if prepared.kept is kept else bodies.head_of(body, analysis.header_size)
                bodies.name_it(self.connection, content, kept, head)
            elif analysis.size > CHUNK:
                bodies.add_chunks(self.connection, content, bodies.pieces_of(body))
            elif analysis.size:
                short.append((content << CHUNK_BITS, body[:]))
        sqlrows.insert(self.connection, "INSERT INTO chunks", "(?, ?)", short)
        return first

    def _add_rows(self, numbers: Numbers, rows: Sequence[Row]) -> list[int]:
        """Rows with the masks of this mailbox, at its end; their UIDs."""
        if not rows:
            return []
        mailbox, first, saved = numbers.number, numbers.uid_next, seconds_of(self._now())
        uids = list(range(first, first + len(rows)))
        values = [(mailbox, uid, *row.lasting, saved) for uid, row in zip(uids, rows, strict=True)]
        sqlrows.insert(self.connection, "INSERT INTO messages", "(?, ?, ?, ?, ?, ?, ?, ?)", values)
        moved = self._added_states(mailbox, numbers.modseq + 1, uids, [row.mask for row in rows])
        self._keep(mailbox, numbers.modseq + 1, moved, len(rows), sum([row.size for row in rows]), len(rows))
        return uids

    def _added_states(
        self, mailbox: int, modseq: int, uids: Sequence[int], masks: Sequence[int]
    ) -> list[tuple[Block, Block]]:
        """Blocks without and with new messages, which ascend; the first of them may belong to a block that is there."""
        moved: list[tuple[Block, Block]] = []
        at = 0
        while at < len(uids):
            number = number_of(uids[at])
            end = bisect_left(uids, first_of(number + 1), at)
            old = sqlstates.block_at(self.connection, mailbox, number)
            slots = [uid - old.first for uid in uids[at:end]]
            moved.append((old, old.added(slots, masks[at:end], modseq)))
            at = end
        return moved

    def _take_rows(self, mailbox: int, rows: Sequence[Row]) -> None:
        if not rows:
            return
        modseq = sqlrows.numbers_of(self.connection, mailbox).modseq + 1
        uids = [row.uid for row in rows]
        self.connection.executemany("DELETE FROM messages WHERE mailbox = ? AND uid = ?", [(mailbox, uid) for uid in uids])
        self.connection.executemany("INSERT INTO expunged VALUES (?, ?, ?)", [(mailbox, modseq, uid) for uid in uids])
        chosen, _ = sqlstates.choose(sqlstates.blocks_with(self.connection, mailbox, uids), uids, None)
        moved = [(old, old.without(slots)) for old, slots in chosen]
        self._keep(mailbox, modseq, moved, -len(rows), -sum(row.size for row in rows))

    def _count_usage(self, rows: Sequence[Row], sign: int) -> None:
        self.connection.execute(
            "UPDATE account SET octets = octets + ?, messages = messages + ?",
            (sign * sum(row.size for row in rows), sign * len(rows)),
        )

    def _release(self, contents: Sequence[int]) -> None:
        self.connection.executemany(
            "UPDATE contents SET uses = uses - 1 WHERE number = ?", [(number,) for number in contents]
        )
        unused = self.connection.execute(
            "SELECT number FROM contents WHERE uses = 0 AND number IN (SELECT value FROM json_each(?))",
            (listed(set(contents)),),
        ).fetchall()
        numbers = [number for (number,) in unused]
        self.dropped += bodies.drop(self.connection, numbers)
        self.connection.executemany("DELETE FROM contents WHERE number = ?", unused)
        textindex.forget(self.connection, numbers)

    def _transfer(self, mailbox: int, rows: Sequence[Row], to: Numbers) -> Copied:
        source = sqlrows.keywords_of(self.connection, mailbox)
        target = sqlrows.keywords_of(self.connection, to.number)
        before = target.numbered()
        masks = translate(source, target, {row.mask for row in rows}, lambda: self._masks(to.number))
        self._keep_keywords(to.number, before, target)
        uids = self._add_rows(to, [Row(0, masks[row.mask], *row.lasting) for row in rows])
        return Copied(to.uid_validity, tuple(row.uid for row in rows), tuple(uids))

    # -- keywords ------------------------------------------------------------------------------------------------

    def admit(self, mailbox: int, flags: Flags, keywords: Keywords | None = None) -> int:
        """
        The mask of flags, after keywords the mailbox lacks are added to it.

        :raises LimitReached: there is no room for them.
        """
        if not flags.keywords:
            return flags.system
        if keywords is None:
            keywords = sqlrows.keywords_of(self.connection, mailbox)
        before = keywords.numbered()
        mask = keywords.admit(flags, lambda: self._masks(mailbox))
        self._keep_keywords(mailbox, before, keywords)
        return mask

    def _masks(self, mailbox: int) -> int:
        return sqlstates.masks_of(self.connection, mailbox)

    def _keep_keywords(self, mailbox: int, before: dict[int, str], keywords: Keywords) -> None:
        now = keywords.numbered()
        self.connection.executemany(
            "DELETE FROM keywords WHERE mailbox = ? AND number = ?",
            [(mailbox, number) for number, name in before.items() if now.get(number) != name],
        )
        self.connection.executemany(
            "INSERT INTO keywords VALUES (?, ?, ?)",
            [(mailbox, number, name) for number, name in now.items() if before.get(number) != name],
        )

    # -- deliveries and subscriptions ----------------------------------------------------------------------------

    def begin_delivery(self, delivery: str) -> bool:
        """Remember a delivery's key; False if it is known already."""
        return bool(
            self.connection.execute(
                "INSERT OR IGNORE INTO deliveries VALUES (?, ?)", (delivery, seconds_of(self._now()))
            ).rowcount
        )

    def begin_deliveries(self, deliveries: Sequence[str]) -> int:
        """Remember the keys of several deliveries; how many were not known."""
        made = seconds_of(self._now())
        rows = [(key, made) for key in deliveries]
        before = self.connection.total_changes
        sqlrows.insert(self.connection, "INSERT OR IGNORE INTO deliveries", "(?, ?)", rows)
        return self.connection.total_changes - before

    def forget_deliveries(self, deliveries: Iterable[str]) -> None:
        """Drop keys."""
        self.connection.executemany("DELETE FROM deliveries WHERE key = ?", [(key,) for key in deliveries])

    def subscribe(self, name: str, subscribed: bool) -> None:
        """Set or clear a subscription of a name in its one spelling."""
        self.touched.add(TREE)
        if not subscribed:
            self.connection.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
            return
        others: int = self.connection.execute(
            "SELECT count(*) FROM subscriptions WHERE name <> ?", (name,)
        ).fetchone()[0]
        tree.may_subscribe(others)
        self.connection.execute("INSERT OR IGNORE INTO subscriptions VALUES (?)", (name,))

    # -- mailboxes -----------------------------------------------------------------------------------------------

    def target(self, mailbox: int, name: str) -> int:
        """
        The number of the mailbox that copies go to.

        :raises Gone: the one they come from has been deleted.
        :raises NotFound: there is no target.
        """
        sqlrows.numbers_of(self.connection, mailbox)
        return sqlrows.number_named(self.connection, name)

    def claim_recent(self, mailbox: int) -> int:
        """``recent_from`` as it was; after that it is UIDNEXT."""
        recent_from = sqlrows.status_of(self.connection, mailbox).recent_from
        self.connection.execute("UPDATE mailboxes SET recent_from = uid_next WHERE number = ?", (mailbox,))
        return recent_from

    def names(self) -> set[str]:
        """All mailboxes' names."""
        return {name for (name,) in self.connection.execute("SELECT name FROM mailboxes")}

    def add_mailbox(self, name: str, special_use: str) -> int:
        """Make an empty mailbox with a UIDVALIDITY no other has had, and the access list of the one above it; its number."""
        self.connection.execute(
            "UPDATE account SET uid_validity = max(uid_validity + 1, ?)", (int(self._now().timestamp()),)
        )
        cursor = self.connection.execute(
            "INSERT INTO mailboxes (id, name, special_use, uid_validity) SELECT ?, ?, ?, uid_validity FROM account",
            ("F" + self._ids(), name, special_use),
        )
        number = cursor.lastrowid or 0
        self.touched.add(TREE)
        self.connection.execute(_INHERIT, (number, name.rpartition(SEPARATOR)[0]))
        return number

    def create(self, name: str, special_use: str) -> str:
        """Make a mailbox and those missing above it; its one spelling."""
        *above, last = tree.to_create(self.names(), name)
        for parent in above:
            self.add_mailbox(parent, "")
        self.add_mailbox(last, special_use)
        return last

    def designate(self, name: str, special_use: str) -> None:
        """Say what a mailbox is for."""
        mailbox = sqlrows.number_named(self.connection, name)
        self.connection.execute("UPDATE mailboxes SET special_use = ? WHERE number = ?", (special_use, mailbox))
        self.touched.add(TREE)

    def delete(self, name: str) -> None:
        """Delete a mailbox with its messages."""
        mailbox = sqlrows.number_named(self.connection, tree.to_delete(self.names(), name))
        self.take(mailbox, self.rows(mailbox))
        for statement in (
            "DELETE FROM expunged WHERE mailbox = ?",
            "DELETE FROM keywords WHERE mailbox = ?",
            "DELETE FROM annotations WHERE mailbox = ?",
            "DELETE FROM grants WHERE mailbox = ?",
            "DELETE FROM mailboxes WHERE number = ?",
        ):
            self.connection.execute(statement, (mailbox,))
        self.touched.update((mailbox, TREE))

    def rename(self, name: str, to: str) -> None:
        """Rename a mailbox and all below it; of INBOX the messages move."""
        names = self.names()
        renames = tree.to_rename(names, name, to)
        *above, target = tree.to_create(names.difference(renames), to)
        for parent in above:
            self.add_mailbox(parent, "")
        if INBOX in renames:
            inbox, made = sqlrows.number_named(self.connection, INBOX), self.add_mailbox(target, "")
            self.move(inbox, None, made)
            self.connection.execute(_COPY_ANNOTATIONS, (made, inbox))
            return
        self.touched.add(TREE)
        numbered = [(new, sqlrows.number_named(self.connection, old)) for old, new in renames.items()]
        # Names are unique at every moment, and a new one may be the old one of the next.
        self.connection.executemany(
            "UPDATE mailboxes SET name = '/' || number WHERE number = ?", [(number,) for _, number in numbered]
        )
        self.connection.executemany("UPDATE mailboxes SET name = ? WHERE number = ?", numbered)


_COPY_ANNOTATIONS = """
    INSERT INTO annotations (mailbox, person, entry, change, value)
    SELECT ?, person, entry, change, value FROM annotations WHERE mailbox = ? AND value IS NOT NULL
"""

_INHERIT = """
    INSERT INTO grants (mailbox, identifier, rights)
    SELECT ?, identifier, rights FROM grants JOIN mailboxes ON mailboxes.number = grants.mailbox WHERE mailboxes.name = ?
"""

_COUNT = """
    UPDATE mailboxes SET modseq = ?, unseen = unseen + ?, deleted = deleted + ?, messages = messages + ?, size = size + ?,
        uid_next = uid_next + ?
    WHERE number = ?
"""
_ROWS = "SELECT uid, content, size, internal, internal_zone, internal_day FROM messages WHERE mailbox = ?"

CONTENT_COLUMNS = (
    "size", "header_size", "sent", "sent_zone", "sent_day", "envelope", "body", "body_structure", "parts", "subject",
    "base_subject", "from_key", "to_key", "cc_key", "bcc_key", "sort_from", "sort_to", "sort_cc", "message_id", "references_to",
    "line_size", "ascii_size",
)  # fmt: skip
"""What the octets of a message say, as :func:`content_values` gives it."""

_INTO_CONTENTS = f"INSERT INTO contents (uses, email_id, {', '.join(CONTENT_COLUMNS)}, checksum)"
_CONTENT = f"(1, ?, {', '.join('?' * len(CONTENT_COLUMNS))}, ?)"
