"""
Looking through an account's mail file for what should not be, and mending it: ``launcelot fsck``.

Everything is an ordinary read, or one ordinary write transaction, so a daemon may have the file open meanwhile; what SQLite
itself cannot read is for :mod:`launcelot.mailstore.salvage`.  First the octets of each message are read and compared with what
is kept of them, outside of any write; then the rows are compared with each other, and what is wrong is mended where that is
asked for.

What is damaged for good is not hidden: a body that no longer is what it was goes on under a new UID, because one UID names
the same octets for ever (RFC 9051 section 2.3.1.1), and a message whose place is lost is put into the mailbox
:data:`RECOVERED`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from launcelot.mailstore import bodies, bodychecks, mending
from launcelot.mailstore.checksums import checksum_of, mended
from launcelot.mailstore.dates import moment_of
from launcelot.mailstore.findings import Finding
from launcelot.mailstore.rowchecks import ROW_CHECKS
from launcelot.mailstore.schema import MIGRATIONS
from launcelot.mailstore.sqlwriting import Writing
from launcelot.mailstore.statechecks import states
from launcelot.message.analysis import analyse

RECOVERED = mending.RECOVERED
LARGEST_MENDED = 1 << 22
"""Octets of a body in which a flipped bit is looked for; that takes some seconds for the largest."""

BATCH_OCTETS = 1 << 25
"""Octets of damaged bodies past which they are mended before the next is looked at."""

Progress = Callable[[int, int], None]
"""Told of octets done and octets in all."""


@dataclass
class Report:
    """
    What was found in one file.

    :ivar broken: SQLite cannot read all of it.
    :ivar messages: looked at.
    :ivar octets: looked at.
    """

    findings: list[Finding] = field(default_factory=list)
    broken: bool = False
    messages: int = 0
    octets: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """
    A content that is not what is kept of it.

    :ivar octets: what there is of it, mended where that was possible; None when they are right and only columns are not.
    """

    content: int
    octets: bytes | None
    whole: bool
    text: str


def structure(connection: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the file; empty for nothing."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def only_indexes(problems: list[str]) -> bool:
    """Whether making indexes anew mends all of it."""
    return all(
        "missing from index" in one or one.startswith(("wrong # of entries in index", "non-unique entry"))
        for one in problems
    )


def check(connection: sqlite3.Connection, progress: Progress) -> Report:
    """Look through a file whose schema is of today, and change nothing."""
    report = Report()
    with bodies.held(connection):
        _check(connection, report, progress)
    return report


def _check(connection: sqlite3.Connection, report: Report, progress: Progress) -> None:
    connection.execute("BEGIN")
    try:
        problems = structure(connection)
        report.findings += [Finding("structure", problem) for problem in problems]
        report.broken = bool(problems) and not only_indexes(problems)
        if not report.broken:
            missing = mending.schema(connection, False)
            report.findings += missing
            if any(" index " not in f" {one.text}" for one in missing):
                return  # What cannot be asked cannot be looked through.
            report.findings += [Finding("octets", damage.text) for damage in damages(connection, report, progress)]
            report.findings += _unsummed(connection, False)
            for row_check in ROW_CHECKS:
                report.findings += row_check(connection, None)
    except sqlite3.DatabaseError as error:
        report.broken = True
        report.findings.append(Finding("structure", str(error)))
    finally:
        connection.rollback()
    if not report.broken:
        report.findings += left_over(bodies.abandoned(connection), False)


def left_over(names: Sequence[str], mended_them: bool) -> list[Finding]:
    """That there are files of bodies that belong to no message."""
    return [Finding("orphan", f"{len(names)} files of bodies belong to no message", mended_them)] if names else []


def repair(connection: sqlite3.Connection, now: Callable[[], datetime], ids: Callable[[], str], progress: Progress) -> Report:
    """
    Look through a file and mend it: bodies some at a time, all rows in one transaction.

    :raises sqlite3.Error: what was mended before stays so.
    """
    report = Report()
    problems = structure(connection)
    report.findings += [Finding("structure", problem, only_indexes(problems)) for problem in problems]
    report.broken = bool(problems) and not only_indexes(problems)
    if report.broken:
        return report
    if problems:
        connection.execute("REINDEX")
    with mending.transaction(connection):
        # First the tables, because of which everything else can be asked.
        report.findings += mending.schema(connection, True)
        report.findings += states(connection, Writing(connection, None, now, ids))
    stray = bodies.abandoned(connection)
    with mending.transaction(connection):
        report.findings += bodychecks.found_again(connection)
    with bodies.held(connection):
        for some in _batches(damages(connection, report, progress)):
            with mending.transaction(connection):
                writing = Writing(connection, None, now, ids)
                report.findings += [mend(writing, damage) for damage in some]
    with mending.transaction(connection):
        writing = Writing(connection, None, now, ids)
        report.findings += _unsummed(connection, True)
        for row_check in ROW_CHECKS:
            report.findings += row_check(connection, writing)
    # What was mended is in new files, and only those that were left before are worth a word.
    report.findings += left_over(sorted(set(stray).intersection(bodies.abandoned(connection))), True)
    bodies.sweep(connection)
    return report


# -- octets --------------------------------------------------------------------------------------------------------


def damages(connection: sqlite3.Connection, report: Report, progress: Progress) -> Iterator[Damage]:
    """Each content whose octets or columns are not right, read one after another."""
    numbers = [number for (number,) in connection.execute("SELECT number FROM contents ORDER BY number")]
    total: int = connection.execute("SELECT coalesce(sum(size), 0) FROM contents").fetchone()[0]
    for number in numbers:
        row = connection.execute("SELECT size, checksum FROM contents WHERE number = ?", (number,)).fetchone()
        if row is None:
            continue  # Somebody removed it.
        octets = mending.octets_of(connection, number)
        damage = _compared(connection, number, octets, row[0], row[1])
        if damage is not None and _is_there(connection, number):
            yield damage
        report.messages += 1
        report.octets += len(octets)
        progress(report.octets, max(total, report.octets))


def _compared(connection: sqlite3.Connection, content: int, octets: bytes, size: int, checksum: int | None) -> Damage | None:
    if checksum is not None and checksum_of([octets]) != checksum:
        right = mended(octets, checksum) if len(octets) <= LARGEST_MENDED else None
        if right is not None:
            return Damage(content, right, True, f"content {content}: a flipped bit in {len(octets)} octets")
        missing = size - len(octets)
        what = f"{missing} of {size} octets are missing" if missing > 0 else "octets are not those that were stored"
        return Damage(content, octets, False, f"content {content}: {what}")
    if checksum is None and len(octets) < size:
        return Damage(content, octets, False, f"content {content}: {size - len(octets)} of {size} octets are missing")
    analysis = analyse(octets)
    wrong = mending.wrong_columns(connection, content, analysis)
    if not mending.has_head(connection, content, octets, analysis.header_size):
        return Damage(content, octets, True, f"content {content}: its header is not as the octets have it")
    if wrong:
        return Damage(content, None, True, f"content {content}: {', '.join(wrong)} not as the octets have it")
    return None


def _is_there(connection: sqlite3.Connection, content: int) -> bool:
    return connection.execute("SELECT 1 FROM contents WHERE number = ?", (content,)).fetchone() is not None


def _batches(found: Iterator[Damage]) -> Iterator[list[Damage]]:
    """Damages in lists that hold no more octets than memory should."""
    some: list[Damage] = []
    octets = 0
    for damage in found:
        some.append(damage)
        octets += len(damage.octets or b"")
        if octets > BATCH_OCTETS:
            yield some
            some, octets = [], 0
    yield some


def mend(writing: Writing, damage: Damage) -> Finding:
    """Put right what is damaged, or what is left of it under a new UID."""
    connection = writing.connection
    if not damage.whole:
        return _replace(writing, damage)
    octets = damage.octets
    if octets is None:
        analysis = analyse(mending.octets_of(connection, damage.content))
    else:
        analysis = analyse(octets)
        mending.put_octets(connection, damage.content, octets, analysis.header_size)
    mending.put_columns(connection, damage.content, analysis)
    return Finding("octets", damage.text, True)


def _replace(writing: Writing, damage: Damage) -> Finding:
    connection = writing.connection
    octets = damage.octets or b""
    places = connection.execute(_PLACES, (damage.content,)).fetchall()
    moved = []
    for mailbox, name, uid, internal, zone in places:
        row = writing.rows(mailbox, [uid])[0]
        flags = mending.flags_in(connection, mailbox, row.mask)
        if octets:
            added = writing.add(mailbox, octets, None, flags, moment_of(internal, zone))
            moved.append(f"{name} UID {uid}, now {added.uid}")
        else:
            moved.append(f"{name} UID {uid}, removed")
        writing.take(mailbox, [row])
    connection.execute("DELETE FROM contents WHERE number = ?", (damage.content,))
    mending.drop_octets(connection, damage.content)
    return Finding("octets", f"{damage.text}: {'; '.join(moved) or 'in no mailbox, removed'}", True)


def _unsummed(connection: sqlite3.Connection, mend_them: bool) -> list[Finding]:
    numbers = [number for (number,) in connection.execute("SELECT number FROM contents WHERE checksum IS NULL")]
    if not numbers:
        return []
    if mend_them:
        for number in numbers:
            value = checksum_of([mending.octets_of(connection, number)])
            connection.execute("UPDATE contents SET checksum = ? WHERE number = ?", (value, number))
    return [Finding("checksum", f"{len(numbers)} contents from before there were checksums", mend_them)]


def up_to_date(connection: sqlite3.Connection) -> bool:
    """Whether a file has seen all migrations."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS))


def stamp(moment: datetime) -> str:
    """A moment in a file's name."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


_PLACES = """
    SELECT m.mailbox, b.name, m.uid, m.internal, m.internal_zone
    FROM messages AS m JOIN mailboxes AS b ON b.number = m.mailbox WHERE m.content = ? ORDER BY m.mailbox, m.uid
"""
