"""``launcelot backup`` and ``launcelot restore``."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from launcelot.accounts.interface import Account
from launcelot.app.care import (
    Meter,
    account_named,
    file_of,
    mailboxes_in,
    make_mail,
    metered,
    opened_file,
    size,
    tell_daemon,
)
from launcelot.app.errors import CANNOT_CREATE, FAILED, NO_INPUT, OK, USAGE, Ending
from launcelot.app.people import Base, opened, tell
from launcelot.app.stores import fresh_id, utc_now
from launcelot.app.streams import Streams
from launcelot.core.errors import Refusal
from launcelot.mailstore import backup, checking, restoring
from launcelot.mailstore.checking import Report


def back_up(given: Namespace, streams: Streams) -> int:
    """
    Copy an account's mail, or one mailbox of it.

    :returns: 1 if something is wrong with what was copied, as fsck says; the copy is made all the same.
    :raises Ending: it cannot be done, and no file was made or changed.
    """
    target = Path(given.file)
    if os.path.lexists(target) and not given.force:
        raise Ending(f"{target}: is there already; replace it with --force", CANNOT_CREATE)
    with opened(given, make=False) as base, named_errors(target):
        account = account_named(base, given.account)
        make_mail(base, account)
        source = file_of(base, account)
        with metered(streams, f"{account.name} to {target}") as meter:
            report = made(source, given, target, meter)
    for finding in report.findings:
        streams.complain(f"{target}: {finding.text}; launcelot fsck --repair mends the original")
    answer = {"account": account.name, "file": str(target), "octets": target.stat().st_size, "messages": report.messages}
    answer["right"] = not report.findings
    tell(given, streams, answer, f"{target}: {report.messages} messages, {size(target.stat().st_size)}")
    return FAILED if report.findings else OK


def made(source: Path, given: Namespace, target: Path, meter: Meter) -> Report:
    """Make the copy."""
    if not given.mailbox:
        with opened_file(source, write=False):
            return backup.back_up_account(source, target, meter)
    with opened_file(source, write=True):  # Brought up to date if it is of an earlier version.
        return backup.back_up_mailbox(source, given.mailbox, target, utc_now, fresh_id, meter)


def restore(given: Namespace, streams: Streams) -> int:
    """
    Bring mail back.

    :returns: 1 if something is wrong with the account's mail then, as fsck says.
    :raises Ending: it cannot be done, and nothing was changed.
    """
    source = Path(given.file)
    if given.into and not given.mailbox:
        raise Ending("--into needs --mailbox", USAGE)
    if not source.is_file():
        raise Ending(f"{source}: no such file", NO_INPUT)
    with opened(given, make=False) as base, named_errors(source):
        account = account_named(base, given.account)
        make_mail(base, account)
        staging = base.configuration.data / "staging"
        with (
            tempfile.TemporaryDirectory(prefix="restore-", dir=staging) as folder,
            metered(streams, f"{source} to {account.name}") as meter,
        ):
            copy = restoring.prepare(source, Path(folder), utc_now, fresh_id)
            answer = brought_back(base, account, given, copy, meter)
            with opened_file(file_of(base, account), write=False) as connection:
                report = checking.check(connection, meter)
    for finding in report.findings:
        streams.complain(f"{account.name}: {finding.text}; launcelot fsck --repair mends it")
    tell(given, streams, {**answer, "right": not report.findings}, f"{account.name}: {answer['messages']} messages brought back")
    return FAILED if report.findings else OK


def brought_back(base: Base, account: Account, given: Namespace, copy: Path, meter: Meter) -> dict[str, Any]:
    """Bring back what is asked for; what was done."""
    path = file_of(base, account)
    touched = mailboxes_in(path)
    with opened_file(path, write=True) as live:
        if given.mailbox:
            into = given.into or given.mailbox
            count, touched = restoring.restore_mailbox(live, copy, given.mailbox, into, utc_now, fresh_id, meter)
        else:
            refuse_loss(live, account, given.replace)
            touched |= restoring.restore_account(live, copy, meter)
            count = live.execute("SELECT messages FROM account").fetchone()[0]
    tell_daemon(base, account, touched)
    return {"account": account.name, "file": given.file, "messages": count}


def refuse_loss(live: sqlite3.Connection, account: Account, replace: bool) -> None:
    """
    Refuse to give up mail that nobody said may go.

    :raises Ending: there is some.
    """
    count = live.execute("SELECT messages FROM account").fetchone()[0]
    if count and not replace:
        text = f"{account.name} has {count} messages, which would be given up; say --replace, or bring back one --mailbox"
        raise Ending(text, FAILED)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """What goes wrong with a file, with its name."""
    try:
        yield
    except Refusal as refusal:
        raise Ending(f"{path}: {refusal.text}", FAILED) from refusal
    except OSError as error:
        raise Ending(f"{error.filename or path}: {error.strerror}", CANNOT_CREATE) from error
    except sqlite3.Error as error:
        raise Ending(f"{path}: {error}; nothing was changed", FAILED) from error
