"""
``launcelot fetch``: mail of a POP3 or IMAP server into a Maildir or an mbox file, each message once.

What is fetched is told apart by the identifiers the server gives, which are kept in a journal beside the mail.  With
``--delete`` the server is told to remove what is stored, synced and written down there, and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from launcelot.app.ask import printable, run
from launcelot.app.care import metered, size
from launcelot.app.errors import CANNOT_CREATE, FAILED, NO_INPUT, OK, TEMPORARY, USAGE, Ending
from launcelot.app.fetching import Journal, Source, Summary, fetch
from launcelot.app.fetchsources import ImapSource, Pop3Source, Where
from launcelot.app.fetchtargets import MaildirTarget, MboxTarget, Target
from launcelot.app.roof import take_reactor
from launcelot.app.send import password_of
from launcelot.app.streams import Streams
from launcelot.hosting.tls import BadCertificate, client_tls

PORTS = {
    ("pop3", "starttls"): 110, ("pop3", "none"): 110, ("pop3", "implicit"): 995,
    ("imap", "starttls"): 143, ("imap", "none"): 143, ("imap", "implicit"): 993,
}  # fmt: skip


def main(given: Namespace, streams: Streams) -> int:
    """
    Fetch, and tell.

    :raises Ending: it was cut short; what is stored by then stays so, and the next run goes on.
    """
    check(given)
    reactor = take_reactor()
    source = source_of(given, streams, reactor)
    target, journal = places_of(given, source.name, reactor)
    journal.open()
    try:
        with metered(streams, "fetched") as meter:
            summary = run(reactor, fetch(source, target, journal, given.delete, meter))
    except OSError as error:
        raise Ending(f"{error.filename or given.target}: {error.strerror}; run it again", CANNOT_CREATE) from error
    finally:
        journal.close()
    return tell(given, streams, summary, isinstance(source, ImapSource) and source.only_marked)


def check(given: Namespace) -> None:
    """
    Whether the options make sense together.

    :raises Ending: they do not.
    """
    for contradicts, why in (
        (given.port is not None and not 0 < given.port <= 65_535, f"{given.port} is not a port of 1 to 65535"),
        (not 0 < given.timeout <= 86_400, "--timeout is more than 0 and at most 86400 seconds"),
        (given.ca_file and given.tls == "none", "--ca-file is of use with TLS only"),
        (given.mailbox and given.protocol == "pop3", "POP3 has one mailbox; leave --mailbox out"),
        (not given.user.isprintable() or not given.user, "--user has a character that no name has"),
    ):
        if contradicts:
            raise Ending(f"fetch: {why}", USAGE)


def source_of(given: Namespace, streams: Streams, reactor: Any) -> Source:
    """
    Where it comes from.

    :raises Ending: there is no password, or the file of authorities cannot be used.
    """
    try:
        context = None if given.tls == "none" else client_tls(given.server, Path(given.ca_file) if given.ca_file else None)
    except BadCertificate as bad:
        raise Ending(str(bad), NO_INPUT) from bad
    password = password_of(given, streams)
    if not password or any(one in password for one in "\r\n\0"):
        raise Ending("fetch: the password is empty, or has a line end in it", USAGE)
    port = given.port or PORTS[given.protocol, given.tls]
    where = Where(reactor, given.server, port, given.tls, context, given.user, password, given.timeout)
    return Pop3Source(where) if given.protocol == "pop3" else ImapSource(where, given.mailbox or "INBOX", given.delete)


def places_of(given: Namespace, source: str, reactor: Any) -> tuple[Target, Journal]:
    """
    Where it goes, and the journal.

    :raises Ending: the place is not what it should be.
    """
    target = Path(given.target)
    name = f"launcelot-fetch-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    is_maildir = given.format == "maildir"
    if target.exists() and target.is_dir() != is_maildir:
        kind = "a folder" if is_maildir else "a file"
        raise Ending(f"{target}: a {given.format} is {kind}; name another, or choose another --format", CANNOT_CREATE)
    folder = target if is_maildir else target.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Ending(f"{folder}: cannot be made: {error.strerror}", CANNOT_CREATE) from error
    state = Path(given.state) if given.state else folder / (name if is_maildir else f".{target.name}.{name}")
    if is_maildir:
        return MaildirTarget(target, name, given.crlf, time.time), Journal(state, source)
    aside = folder / f".{target.name}.{name}"

    def pause(seconds: float) -> Any:
        return deferLater(reactor, seconds)

    return MboxTarget(target, aside, given.crlf, pause, time.time), Journal(state, source)


def tell(given: Namespace, streams: Streams, summary: Summary, only_marked: bool) -> int:
    """What it came to; 0 if all of it was done, 1 if a message could not be had, 75 if one is left on the server."""
    if given.json:
        streams.say_json(
            {
                "there": summary.there,
                "fetched": summary.fetched,
                "octets": summary.octets,
                "known": summary.known,
                "removed": summary.removed,
                "missed": summary.missed,
                "left": summary.left,
                "target": os.fspath(given.target),
            }
        )
    else:
        removed = f", {summary.removed} removed on the server" if given.delete else ""
        streams.say(f"fetched {summary.fetched} messages ({size(summary.octets)}), {summary.known} were here{removed}")
    if summary.missed:
        shown = ", ".join(printable(one) for one in summary.missed[:5])
        streams.complain(f"{len(summary.missed)} messages were listed and are gone or refused: {shown}")
    if only_marked:
        streams.complain("the server has no UIDPLUS: messages are marked as deleted, expunge them with your mail program")
    elif summary.left:
        streams.complain(f"{summary.left} messages could not be removed on the server; the next run tries again")
        return TEMPORARY
    return FAILED if summary.missed else OK
