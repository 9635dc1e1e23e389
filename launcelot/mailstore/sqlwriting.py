"""
Changes to an account's mail file, inside a transaction that :class:`launcelot.workers.database.Database` begins and ends.

A :class:`Writing` lives for one job in the writer's thread.  Whatever it adds or takes, it keeps the counters of the mailbox
and of the account in step in the same transaction, and remembers which mailboxes it touched.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from operator import itemgetter

from launcelot.mailstore import sqlrows, textindex, tree
from launcelot.mailstore.checksums import checksum_of
from launcelot.mailstore.dates import seconds_of, whole, zone_of
from launcelot.mailstore.flags import DELETED, SEEN, Flags, Keywords, combine, translate
from launcelot.mailstore.interface import INBOX, SEPARATOR, Appended, Copied, Limits, MessageState, Stored, StoreMode
from launcelot.mailstore.schema import CHUNK, CHUNK_BITS
from launcelot.mailstore.sqlrows import Numbers, columns_of, listed, mask_of, text
from launcelot.mailstore.sqlsheets import ascending, flags_of_run, mask_of_key, neighbours
from launcelot.mailstore.watchers import TREE
from launcelot.message.analysis import Analysis, analyse
from launcelot.message.casemap import fold
from launcelot.workers.staging import Buffer


@dataclass(frozen=True, slots=True)
class Row:
    """A message as changes see it."""

    uid: int
    modseq: int
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


def _with(masks: Counter[int], flag: int) -> int:
    return sum(count for mask, count in masks.items() if mask & flag)


def _without(masks: Counter[int], flag: int) -> int:
    return sum(count for mask, count in masks.items() if not mask & flag)


class Writing:
    """
    One job's hands on the file.

    :param limits: on what the account may hold; None for none.
    :param now: the wall clock; called in the writer's thread, like ``ids``.
    """

    def __init__(
        self, connection: sqlite3.Connection, limits: Limits | None, now: Callable[[], datetime], ids: Callable[[], str]
    ) -> None:
        self.connection = connection
        self.touched: set[int] = set()
        self._limits = limits
        self._now = now
        self._ids = ids

    # -- messages ------------------------------------------------------------------------------------------------

    def rows(self, mailbox: int, uids: Iterable[int] | None = None, where: str = "") -> list[Row]:
        """
        Messages among ``uids`` (or all) that fulfil a constant condition, ascending.

        :raises Gone: the mailbox has been deleted.
        """
        sqlrows.numbers_of(self.connection, mailbox)
        values: tuple[object, ...] = (mailbox,)
        statement = _ROWS
        if uids is not None:
            statement += " AND uid IN (SELECT value FROM json_each(?))"
            values = (mailbox, listed(uids))
        return [
            Row(uid, modseq, mask_of(flags, keywords), *others)
            for uid, modseq, flags, keywords, *others in self.connection.execute(
                statement + where + " ORDER BY uid", values
            )
        ]

    def deleted(self, mailbox: int, uids: Iterable[int] | None) -> list[Row]:
        """Messages flagged ``\\\\Deleted`` among ``uids``, or all."""
        return self.rows(mailbox, uids, f" AND flags & {DELETED} <> 0")

    def add(
        self, mailbox: int, body: Buffer, analysis: Analysis | None, flags: Flags, internal_date: datetime | None
    ) -> Appended:
        """
        Put a new message into a mailbox.

        :param analysis: of the body, if somebody has already made it.
        """
        if analysis is None:
            analysis = analyse(body)
        numbers = sqlrows.numbers_of(self.connection, mailbox)
        self.make_room(analysis.size, 1)
        mask = self._admit(mailbox, flags)
        moment = whole(internal_date or self._now())
        email_id = "M" + self._ids()
        content = self._add_content(body, analysis, email_id)
        row = Row(
            0, 0, mask, content, analysis.size, seconds_of(moment), zone_of(moment), moment.date().toordinal()
        )
        (uid,) = self._add_rows(numbers, [row])
        self._count_usage([row], 1)
        return Appended(numbers.uid_validity, uid, email_id)

    def put(self, mailbox: int, content: int, flags: Flags, moment: datetime) -> int:
        """Put a content that is there already into a mailbox, whatever the limits say; its UID."""
        size: int = self.connection.execute("SELECT size FROM contents WHERE number = ?", (content,)).fetchone()[0]
        mask = self._admit(mailbox, flags)
        row = Row(0, 0, mask, content, size, seconds_of(moment), zone_of(moment), moment.date().toordinal())
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
        keys = flags_of_run(self.connection, mailbox, wanted) if unchanged_since is None else None
        done = self._flag_run(mailbox, modseq, wanted, keys, mode, given) if keys is not None else None
        if done is not None:
            return done
        rows, unbroken = neighbours(self.connection, _STATES, mailbox, wanted)
        alone: list[int] = []
        if unchanged_since is not None:
            alone = [uid for uid, last, _, _ in rows if last > unchanged_since]
            if alone:
                rows, unbroken = [row for row in rows if row[1] <= unchanged_since], False
        if not rows:
            return Stored([], alone, 0)
        keywords = sqlrows.keywords_of(self.connection, mailbox)
        mask = keywords.mask(given) if mode is StoreMode.REMOVE else self._admit(mailbox, given, keywords)
        # Many messages have few different sets of flags, and each is looked at once.
        old = Counter(map(_COLUMNS_OF_FLAGS, rows))
        new = {pair: combine(mask_of(*pair), mode, mask) for pair in old}
        changed = [pair for pair in old if mask_of(*pair) != new[pair]]
        if unbroken and changed:
            ends = (mailbox, rows[0][0], rows[-1][0])
            self.connection.execute(_FLAG_RANGE[mode], (modseq, *columns_of(mask), *ends))
        elif changed:
            moving = frozenset(changed)
            self.connection.executemany(
                _FLAG_ONE,
                [
                    (modseq, *columns_of(new[system, words]), mailbox, uid)
                    for uid, _, system, words in rows
                    if (system, words) in moving
                ],
            )
        if changed:
            self._count_flagged(mailbox, modseq, Counter({mask_of(*pair): old[pair] for pair in changed}), mode, mask)
        flags = {pair: keywords.flags(found) for pair, found in new.items()}
        same = frozenset(old).difference(changed)
        modseqs = [row[1] if row[2:] in same else modseq for row in rows] if same else repeat(modseq)
        states = zip(map(itemgetter(0), rows), modseqs, [flags[pair] for pair in map(_COLUMNS_OF_FLAGS, rows)], strict=False)
        return Stored(list(map(MessageState._make, states)), alone, modseq if changed else 0)

    def _flag_run(
        self, mailbox: int, modseq: int, uids: Sequence[int], keys: Sequence[str], mode: StoreMode, given: Flags
    ) -> Stored | None:
        """Change the flags of a run; None if some stay as they are, because the MODSEQ of those is not known here."""
        keywords = sqlrows.keywords_of(self.connection, mailbox)
        mask = keywords.mask(given) if mode is StoreMode.REMOVE else self._admit(mailbox, given, keywords)
        counts = Counter(keys)
        old = {key: mask_of_key(key) for key in counts}
        new = {key: combine(found, mode, mask) for key, found in old.items()}
        if any(new[key] == found for key, found in old.items()):
            return None
        self.connection.execute(_FLAG_RANGE[mode], (modseq, *columns_of(mask), mailbox, uids[0], uids[-1]))
        self._count_flagged(mailbox, modseq, Counter({old[key]: count for key, count in counts.items()}), mode, mask)
        flags = {key: keywords.flags(found) for key, found in new.items()}
        states = zip(uids, repeat(modseq), map(flags.__getitem__, keys), strict=False)
        return Stored(list(map(MessageState._make, states)), (), modseq)

    def make_room(self, octets: int, messages: int) -> None:
        """
        Refuse what the limits do not allow.

        :raises OverQuota: the account is full.
        """
        if self._limits is not None:
            used = sqlrows.usage_of(self.connection)
            self._limits.check(used.octets + octets, used.messages + messages)

    def _add_content(self, body: Buffer, analysis: Analysis, email_id: str) -> int:
        checksum = checksum_of(body[start : start + CHUNK] for start in range(0, len(body), CHUNK))
        cursor = self.connection.execute(_ADD_CONTENT, (email_id, *content_values(analysis), checksum))
        content = cursor.lastrowid or 0
        for number, start in enumerate(range(0, len(body), CHUNK)):
            self.connection.execute(
                "INSERT INTO chunks VALUES (?, ?)", (content << CHUNK_BITS | number, body[start : start + CHUNK])
            )
        return content

    def _add_rows(self, numbers: Numbers, rows: Sequence[Row]) -> list[int]:
        """Rows with the masks of this mailbox, at its end; their UIDs."""
        if not rows:
            return []
        modseq = numbers.modseq + 1
        saved = seconds_of(self._now())
        uids = list(range(numbers.uid_next, numbers.uid_next + len(rows)))
        self.connection.executemany(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (numbers.number, uid, modseq, *columns_of(row.mask), *row.lasting, saved)
                for uid, row in zip(uids, rows, strict=True)
            ],
        )
        self.connection.execute(
            "UPDATE mailboxes SET uid_next = uid_next + ?1, messages = messages + ?1, size = size + ?2 WHERE number = ?3",
            (len(rows), sum(row.size for row in rows), numbers.number),
        )
        self._count(numbers.number, modseq, Counter(), Counter([row.mask for row in rows]))
        return uids

    def _take_rows(self, mailbox: int, rows: Sequence[Row]) -> None:
        if not rows:
            return
        modseq = sqlrows.numbers_of(self.connection, mailbox).modseq + 1
        uids = [(mailbox, row.uid) for row in rows]
        self.connection.executemany("DELETE FROM messages WHERE mailbox = ? AND uid = ?", uids)
        self.connection.executemany(
            "INSERT INTO expunged VALUES (?, ?, ?)", [(mailbox, modseq, row.uid) for row in rows]
        )
        self.connection.execute(
            "UPDATE mailboxes SET messages = messages - ?, size = size - ? WHERE number = ?",
            (len(rows), sum(row.size for row in rows), mailbox),
        )
        self._count(mailbox, modseq, Counter([row.mask for row in rows]), Counter())

    def _count(self, mailbox: int, modseq: int, old: Counter[int], new: Counter[int]) -> None:
        """Bring MODSEQ and the counters of flags from old masks, and how many messages had each, to new ones."""
        unseen = _without(new, SEEN) - _without(old, SEEN)
        deleted = _with(new, DELETED) - _with(old, DELETED)
        self.connection.execute(
            "UPDATE mailboxes SET modseq = ?, unseen = unseen + ?, deleted = deleted + ? WHERE number = ?",
            (modseq, unseen, deleted, mailbox),
        )
        self.touched.add(mailbox)

    def _count_flagged(self, mailbox: int, modseq: int, before: Counter[int], mode: StoreMode, mask: int) -> None:
        """Likewise, after flags were applied to how many messages there were of each mask."""
        after: Counter[int] = Counter()
        for found, count in before.items():
            after[combine(found, mode, mask)] += count
        self._count(mailbox, modseq, before, after)

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
        self.connection.executemany(
            "DELETE FROM chunks WHERE number BETWEEN ? AND ?",
            [(number << CHUNK_BITS, (number + 1 << CHUNK_BITS) - 1) for (number,) in unused],
        )
        self.connection.executemany("DELETE FROM contents WHERE number = ?", unused)
        textindex.forget(self.connection, [number for (number,) in unused])

    def _transfer(self, mailbox: int, rows: Sequence[Row], to: Numbers) -> Copied:
        source = sqlrows.keywords_of(self.connection, mailbox)
        target = sqlrows.keywords_of(self.connection, to.number)
        before = target.numbered()
        masks = translate(source, target, {row.mask for row in rows}, lambda: self._masks(to.number))
        self._keep_keywords(to.number, before, target)
        uids = self._add_rows(to, [Row(0, 0, masks[row.mask], *row.lasting) for row in rows])
        return Copied(to.uid_validity, tuple(row.uid for row in rows), tuple(uids))

    # -- keywords ------------------------------------------------------------------------------------------------

    def _admit(self, mailbox: int, flags: Flags, keywords: Keywords | None = None) -> int:
        """The mask of flags, after keywords the mailbox lacks are added to it."""
        if not flags.keywords:
            return flags.system
        if keywords is None:
            keywords = sqlrows.keywords_of(self.connection, mailbox)
        before = keywords.numbered()
        mask = keywords.admit(flags, lambda: self._masks(mailbox))
        self._keep_keywords(mailbox, before, keywords)
        return mask

    def _masks(self, mailbox: int) -> int:
        mask = 0
        for pair in self.connection.execute("SELECT DISTINCT 0, keywords FROM messages WHERE mailbox = ?", (mailbox,)):
            mask |= mask_of(*pair)
        return mask

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

_COLUMNS_OF_FLAGS = itemgetter(2, 3)
"""Both columns of flags in a row of :data:`_STATES`."""
_STATES = "SELECT m.uid, m.modseq, m.flags, m.keywords FROM messages AS m WHERE m.mailbox = ?"
# As :func:`combine`, for all messages of a range at once; those that would not change are left alone.
_FLAG_RANGE = {
    StoreMode.ADD: """
        UPDATE messages SET modseq = ?1, flags = flags | ?2, keywords = keywords | ?3
        WHERE mailbox = ?4 AND uid BETWEEN ?5 AND ?6 AND (flags & ?2 <> ?2 OR keywords & ?3 <> ?3)
    """,
    StoreMode.REMOVE: """
        UPDATE messages SET modseq = ?1, flags = flags & ~?2, keywords = keywords & ~?3
        WHERE mailbox = ?4 AND uid BETWEEN ?5 AND ?6 AND (flags & ?2 <> 0 OR keywords & ?3 <> 0)
    """,
    StoreMode.REPLACE: """
        UPDATE messages SET modseq = ?1, flags = ?2, keywords = ?3
        WHERE mailbox = ?4 AND uid BETWEEN ?5 AND ?6 AND (flags <> ?2 OR keywords <> ?3)
    """,
}
_FLAG_ONE = "UPDATE messages SET modseq = ?, flags = ?, keywords = ? WHERE mailbox = ? AND uid = ?"
_ROWS = """
    SELECT uid, modseq, flags, keywords, content, size, internal, internal_zone, internal_day
    FROM messages WHERE mailbox = ?"""

CONTENT_COLUMNS = (
    "size", "header_size", "sent", "sent_zone", "sent_day", "envelope", "body", "body_structure", "parts", "subject",
    "base_subject", "from_key", "to_key", "cc_key", "bcc_key", "sort_from", "sort_to", "sort_cc", "message_id", "references_to",
    "line_size", "ascii_size",
)  # fmt: skip
"""What the octets of a message say, as :func:`content_values` gives it."""

_ADD_CONTENT = f"""
    INSERT INTO contents (uses, email_id, {", ".join(CONTENT_COLUMNS)}, checksum)
    VALUES (1, ?, {", ".join("?" * len(CONTENT_COLUMNS))}, ?)
"""
