"""``launcelot mail import`` and ``launcelot mail export``: Maildir, mbox and folders of eml files."""

from __future__ import annotations

import math
import os
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from launcelot.accounts.interface import Account
from launcelot.app.backups import named_errors
from launcelot.app.care import Meter, account_named, file_of, make_mail, metered, opened_file, size, tell_daemon
from launcelot.app.errors import CANNOT_CREATE, FAILED, NO_INPUT, OK, USAGE, Ending
from launcelot.app.people import Base, opened, tell
from launcelot.app.stores import build_files, fresh_id, utc_now
from launcelot.app.streams import Streams
from launcelot.mailstore import emlfolder, maildir, mbox
from launcelot.mailstore.exporting import Writer, export
from launcelot.mailstore.importing import Import, Outcome
from launcelot.mailstore.interface import INBOX
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.mailitems import Item, Unreadable
from launcelot.mailstore.names import canonical
from launcelot.workers.memory import InlineWorkers

MARK = ".launcelot-export"
"""In a folder of mbox files while they are written."""
TELL_EVERY = 1.0
"""Seconds between two words to the daemon on messages that came."""
COUNT_EVERY = 10.0
"""Seconds between two looks at what an account's files take."""


# -- import --------------------------------------------------------------------------------------------------------


def take_in(given: Namespace, streams: Streams) -> int:
    """
    Add messages to an account.

    :returns: 1 if something was left out.
    :raises Ending: it cannot be done; messages that were added stay, and are not added again.
    """
    source = Path(given.source)
    if not source.exists():
        raise Ending(f"{source}: no such file or folder", NO_INPUT)
    with opened(given, make=False) as base, named_errors(source):
        account = account_named(base, given.account)
        kind = given.format or kind_of(source)
        make_mail(base, account)
        with metered(streams, f"{source} to {account.name}") as meter:
            outcome = took_in(base, account, given, items_of(source, kind, given.verbatim), total_of(source, kind), meter)
    for one in outcome.left_out:
        streams.complain(f"{one.place}: {one.reason}; left out")
    if outcome.without_keywords:
        streams.complain(f"{outcome.without_keywords} messages came without their keywords: a mailbox takes 64 of them")
    answer = {
        "account": account.name,
        "format": kind,
        "added": outcome.added,
        "known": outcome.known,
        "octets": outcome.octets,
        "without_keywords": outcome.without_keywords,
        "left_out": [{"place": one.place, "reason": one.reason} for one in outcome.left_out],
    }
    known = f", {outcome.known} were there already" if outcome.known else ""
    tell(given, streams, answer, f"{account.name}: {outcome.added} messages added{known}, {size(outcome.octets)} read")
    return FAILED if outcome.left_out or outcome.without_keywords else OK


def took_in(
    base: Base, account: Account, given: Namespace, items: Iterable[Item | Unreadable], total: int, meter: Meter
) -> Outcome:
    """Add messages, telling the daemon from time to time."""
    last = time.monotonic()

    def told(outcome: Outcome) -> None:
        nonlocal last
        meter(outcome.octets, total)
        if time.monotonic() - last >= TELL_EVERY:
            tell_daemon(base, account, outcome.touched)
            outcome.touched.clear()
            last = time.monotonic()

    with opened_file(file_of(base, account), write=True) as connection:
        root = canonical(given.mailbox or INBOX)
        limits = Limits(account.quota, account.messages, octets_of_files(base, account))
        work = Import(connection, root, limits, utc_now, fresh_id, told)
        try:
            return work.take(items)
        finally:
            tell_daemon(base, account, work.outcome.touched)


def octets_of_files(base: Base, account: Account) -> Callable[[], int]:
    """What an account's files take of its quota; a daemon may be changing them, so they are counted anew now and then."""
    counted, last = 0, -math.inf

    def octets() -> int:
        nonlocal counted, last
        if time.monotonic() - last >= COUNT_EVERY:
            counted = build_files(base.configuration, InlineWorkers()).octets(account.id)
            last = time.monotonic()
        return counted

    return octets


def kind_of(source: Path) -> str:
    """
    What a file or folder is.

    :raises Ending: nobody knows.
    """
    if source.is_dir():
        if next(maildir.folders(source), None) is not None:
            return "maildir"
        if next(mbox.files(source), None) is not None:
            return "mbox"
        if next(emlfolder.files(source), None) is not None:
            return "eml"
    elif source.name.lower().endswith(emlfolder.ENDING):
        return "eml"
    elif mbox.is_mbox(source):
        return "mbox"
    raise Ending(f"{source}: neither Maildir, mbox nor eml files; say what it is with --format", USAGE)


def items_of(source: Path, kind: str, verbatim: bool) -> Iterable[Item | Unreadable]:
    """The messages of a file or folder."""
    if kind == "maildir":
        return maildir.read(source, verbatim)
    if kind == "eml":
        return emlfolder.read(source, verbatim)
    return mbox.read(source, "mboxo" if kind == "mboxo" else "mboxrd", verbatim)


def total_of(source: Path, kind: str) -> int:
    """Octets of a file or folder."""
    of: dict[str, Callable[[Path], int]] = {"maildir": maildir.total, "eml": emlfolder.total}
    return of.get(kind, mbox.total)(source)


# -- export --------------------------------------------------------------------------------------------------------


def write_out(given: Namespace, streams: Streams) -> int:
    """
    Write an account's mail, or one mailbox, for other programs.

    :returns: 1 if flags had to be left out.
    :raises Ending: it cannot be done; what was written stays and can be gone on with.
    """
    target = Path(given.target)
    if given.unix and given.format != "mbox":
        raise Ending("--unix is for --format mbox", USAGE)
    single = given.format == "mbox" and given.mailbox is not None
    if os.path.lexists(target) and (single or not target.is_dir()):
        raise Ending(f"{target}: is there already", CANNOT_CREATE)
    with opened(given, make=False) as base, named_errors(target):
        account = account_named(base, given.account)
        make_mail(base, account)
        with (
            metered(streams, f"{account.name} to {target}") as meter,
            opened_file(file_of(base, account), write=False) as connection,
            unfinished(target, given.format == "mbox" and not single) as again,
        ):
            done = export(connection, given.mailbox, lambda name: writer_of(given, target, name, not single, again), meter)
        os.sync()
    if done.left_out:
        streams.complain(f"{done.left_out} messages went without some keywords: a Maildir takes 26 of them")
    answer = {
        "account": account.name,
        "format": given.format,
        "mailboxes": done.mailboxes,
        "messages": done.messages,
        "octets": done.octets,
        "without_keywords": done.left_out,
    }
    tell(given, streams, answer, f"{target}: {done.messages} messages of {done.mailboxes} mailboxes, {size(done.octets)}")
    return FAILED if done.left_out else OK


@contextmanager
def unfinished(target: Path, marked: bool) -> Iterator[bool]:
    """A mark in a folder of mbox files until all are written; whether an earlier run left one, so that what is there is ours."""
    mark = target / MARK
    again = marked and mark.exists()
    if marked:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch()
    yield again
    if marked:
        mark.unlink()


def writer_of(given: Namespace, target: Path, name: str, folder: bool, again: bool) -> Writer:
    """
    Where a mailbox goes.

    :param again: whether a file that is there is of an earlier run, and whole.
    :raises Ending: its file is there already.
    """
    if given.format == "maildir":
        return maildir.Writer(target, name)
    if given.format == "eml":
        return emlfolder.Writer(target, name)
    writer = mbox.Writer(target, name, given.unix, folder)
    if writer.whole and not again:
        raise Ending(f"{writer.path}: is there already", CANNOT_CREATE)
    return writer
