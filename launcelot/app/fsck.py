"""
``launcelot fsck``: look through accounts' mail files, and mend them.

Looking and most of mending go on beside a running daemon, as they are ordinary reads and transactions.  Only a file that SQLite
cannot read is made anew, and for that nobody else may hold the data folder.
"""

from __future__ import annotations

import sqlite3
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launcelot.accounts.interface import Account
from launcelot.app.care import (
    Meter,
    accounts_given,
    everybody,
    file_of,
    mailboxes_in,
    metered,
    opened_file,
    size,
    tell_daemon,
)
from launcelot.app.errors import FAILED, OK, UNAVAILABLE, Ending
from launcelot.app.folder import DataFolder
from launcelot.app.people import Base, opened
from launcelot.app.stores import fresh_id, run_now, utc_now
from launcelot.app.streams import Streams
from launcelot.mailstore import checking, salvage, tending, textindex
from launcelot.mailstore.checking import Report
from launcelot.mailstore.findings import Finding
from launcelot.mailstore.mending import transaction

DONE = frozenset({"index", "space"})
"""Kinds of findings whose text says what was done."""


def main(given: Namespace, streams: Streams) -> int:
    """
    Look through the files of some accounts, or of all.

    :returns: 1 if something is wrong and was not mended.
    :raises Ending: there is no such account, or a file cannot be had.
    """
    reports: list[tuple[Account, Report]] = []
    with opened(given, make=False) as base:
        for account in accounts_given(base, given):
            with metered(streams, account.name) as meter:
                report = look(base, account, given, meter)
            reports.append((account, report))
            if given.repair and report.findings:
                tell_daemon(base, account, mailboxes_in(file_of(base, account)))
            if not given.json:
                streams.say(*lines(account, report))
        strangers = [] if given.accounts else folders_of_nobody(base)
        files = [] if given.accounts else files_of_nobody(base)
    if given.json:
        streams.say_json({"accounts": [described(*one) for one in reports], "strangers": strangers, "files": files})
    else:
        streams.say(*(f"mail/{name}: a folder of no account" for name in strangers))
        streams.say(*(f"files/{name}: files of no account and no team folder" for name in files))
    wrong = strangers or files or any(not finding.mended for _, report in reports for finding in report.findings)
    return FAILED if wrong else OK


def look(base: Base, account: Account, given: Namespace, meter: Meter) -> Report:
    """Look through one account's file."""
    path = file_of(base, account)
    if given.repair:
        return repaired(base, path, given, meter)
    if not path.exists():
        return Report()
    try:
        with opened_file(path, write=False) as connection:
            if not checking.up_to_date(connection):
                report = Report([Finding("structure", one) for one in checking.structure(connection)])
                report.findings.append(Finding("schema", "of an earlier version; its next use or --repair brings it up to date"))
            else:
                report = checking.check(connection, meter)
    except sqlite3.DatabaseError as error:
        report = Report([Finding("structure", str(error))], broken=True)
    if given.reindex or given.compact:
        report.findings += tidied(path, given, meter)
    return report


def repaired(base: Base, path: Path, given: Namespace, meter: Meter) -> Report:
    """Look through one file and mend it; one that cannot be read is made anew first."""
    with_lock = path.with_name(path.name + salvage.READY).exists()
    if not with_lock and not path.exists():
        return Report()
    report = Report(broken=True) if with_lock else mended(path, meter)
    if report.broken:
        salvaged = make_anew(base, path)
        after = mended(path, meter)
        before = [replace(finding, mended=True) for finding in report.findings]
        report = replace(after, findings=[*before, salvaged, *after.findings])
    if given.reindex or given.compact:
        report.findings += tidied(path, given, meter)
    return report


def mended(path: Path, meter: Meter) -> Report:
    """Look through a file and mend it, as far as SQLite can read it."""
    try:
        with opened_file(path, write=True) as connection:
            return checking.repair(connection, utc_now, fresh_id, meter)
    except sqlite3.DatabaseError as error:
        return Report([Finding("structure", str(error))], broken=True)


def make_anew(base: Base, path: Path) -> Finding:
    """
    Make a file anew from what can be read of it.

    :raises Ending: a daemon holds the data folder.
    """
    folder = DataFolder(base.configuration.data)
    try:
        folder.lock()
    except Ending as ending:
        raise Ending(f"{path}: is to be made anew, but {ending.text}", UNAVAILABLE) from ending
    try:
        salvage.finish(path)
        if not broken(path):
            return Finding("structure", "a new file was ready and has taken its place", True)
        aside, counts = salvage.salvage(path, checking.stamp(datetime.now(UTC)))
    finally:
        folder.release()
    kept = ", ".join(f"{counts[table]} {table}" for table in ("mailboxes", "messages", "contents"))
    return Finding("structure", f"the file was made anew with {kept}; the old one is {aside.name}", True)


def broken(path: Path) -> bool:
    """Whether SQLite cannot read all of a file."""
    try:
        with opened_file(path, write=False) as connection:
            problems = checking.structure(connection)
    except sqlite3.DatabaseError:
        return True
    return bool(problems) and not checking.only_indexes(problems)


def tidied(path: Path, given: Namespace, meter: Meter) -> list[Finding]:
    """Make the text index anew, or carry it on, and give space back."""
    done: list[Finding] = []
    with opened_file(path, write=True) as connection:
        if given.reindex:
            with transaction(connection):
                textindex.reset(connection)
            count = index_all(connection, meter)
            said = f"the text index was made anew, of {count} messages" if textindex.available() else "SQLite has no FTS5 here"
            done.append(Finding("index", said, textindex.available()))
        if given.compact:
            with transaction(connection):
                for mailbox, floor in tending.long_logs(connection):
                    tending.cut_log(connection, mailbox, floor)
            before = octets_of(path)
            # A file from before there was this setting has it from now on.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            done.append(Finding("space", f"{size(max(before - octets_of(path), 0))} were given back", True))
    return done


def index_all(connection: sqlite3.Connection, meter: Meter) -> int:
    """Bring the text index up to date, in pieces between which others may write; how many messages were put into it."""
    total, count = textindex.pending(connection), 0
    while (some := textindex.gather(connection)) is not None:
        with transaction(connection):
            if textindex.add(connection, some):
                count += len(some.texts) + len(some.long)
        meter(count, total)
    return count


def octets_of(path: Path) -> int:
    """A file's octets, with its log."""
    log = path.with_name(path.name + "-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def folders_of_nobody(base: Base) -> list[str]:
    """Folders of mail that belong to no account and no group."""
    known = {account.id for account in everybody(base)}
    folder = base.configuration.data / "mail"
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[:1] != "." and path.name not in known)


def files_of_nobody(base: Base) -> list[str]:
    """Trees of files that belong to no account and no team folder, as after a kill while one was being removed."""
    known = {account.id for account in everybody(base)}
    known |= {folder.id for folder in run_now(base.directory.team_folders())}
    folder = base.configuration.data / "files"
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in known)


def lines(account: Account, report: Report) -> Sequence[str]:
    """A report for people: one line for each thing."""
    found = [
        f"{account.name}: {one.text}{'; mended' if one.mended and one.kind not in DONE else ''}" for one in report.findings
    ]
    if any(not one.mended for one in report.findings):
        return found
    return [*found, f"{account.name}: {report.messages} messages, {size(report.octets)}, right"]


def described(account: Account, report: Report) -> dict[str, Any]:
    """A report for programs."""
    return {
        "account": account.name,
        "messages": report.messages,
        "octets": report.octets,
        "findings": [{"kind": one.kind, "text": one.text, "mended": one.mended} for one in report.findings],
        "right": all(one.mended for one in report.findings),
    }
