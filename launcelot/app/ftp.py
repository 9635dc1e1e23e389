"""
``launcelot ftp get``, ``put`` and ``mirror``: files and trees from and to an FTP server.

A run that was cut is gone on with by the next one.  TLS is verified unless it is switched off in so many words; a password never
goes without it unless the server is on this machine.
"""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint

from launcelot.app.ask import CONNECTION_LOST, PROTOCOL, UNTRUSTED, printable, run
from launcelot.app.care import Meter, metered, size
from launcelot.app.errors import CANNOT_CREATE, FAILED, NO_INPUT, OK, TEMPORARY, UNAVAILABLE, USAGE, Ending
from launcelot.app.roof import take_reactor
from launcelot.app.send import is_near, password_of
from launcelot.app.streams import Streams
from launcelot.hosting.calling import CallError, connect
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.tls import BadCertificate, client_tls
from launcelot.protocols.ftp.client import (
    BadReply,
    ConnectionEnded,
    FTPClient,
    FTPClientFactory,
    FTPError,
    NotSecure,
    Refused,
    TimedOut,
    Truncated,
)
from launcelot.protocols.ftp.moving import Differs, LocalError, Mover, Tally
from launcelot.workers.memory import InlineWorkers

PORTS = {"explicit": 21, "implicit": 990, "none": 21}


def main(given: Namespace, streams: Streams) -> int:
    """
    Move, and tell.

    :raises Ending: it was cut short; the next run goes on.
    """
    check(given)
    context = tls_of(given)
    password = password_of(given, streams)
    reactor = take_reactor()
    try:
        with metered(streams, given.work) as meter:
            tally = run(reactor, moved(reactor, given, context, password, meter))
    except (CallError, FTPError) as error:
        raise ending_of(error, given) from error
    return tell(tally, given, streams)


def check(given: Namespace) -> None:
    """
    Whether the options make sense together.

    :raises Ending: they do not.
    """
    for contradicts, why in (
        (given.port is not None and not 0 < given.port <= 65_535, f"{given.port} is not a port of 1 to 65535"),
        (not 0 < given.timeout <= 86_400, "--timeout is more than 0 and at most 86400 seconds"),
        (given.ca_file and given.tls == "none", "--ca-file is of use with TLS only"),
    ):
        if contradicts:
            raise Ending(f"ftp: {why}", USAGE)


def tls_of(given: Namespace) -> Any:
    """
    The context; None without TLS.

    :raises Ending: the file of authorities cannot be used.
    """
    try:
        return None if given.tls == "none" else client_tls(given.server, Path(given.ca_file) if given.ca_file else None)
    except BadCertificate as bad:
        raise Ending(str(bad), NO_INPUT) from bad


async def moved(reactor: Any, given: Namespace, context: Any, password: str, meter: Meter) -> Tally:
    """
    One session.

    :raises CallError: there is no connection.
    :raises FTPError: it did not come to its end.
    """
    implicit = context if given.tls == "implicit" else None
    factory = FTPClientFactory(reactor, reactor, Deadlines(reactor), implicit, given.timeout, given.timeout)
    endpoint = HostnameEndpoint(reactor, given.server, given.port or PORTS[given.tls], given.timeout)
    client: FTPClient = await connect(endpoint, factory)
    try:
        if given.tls == "explicit":
            await client.secure_with(context)
        await client.login(given.user, password, clear=is_near(given.server))
        mover = Mover(client, InlineWorkers(), lambda name, there, total: meter(there, total or 0), not given.fresh)
        await work(mover, given)
        await client.quit()
    finally:
        client.abort()
    return mover.tally


async def work(mover: Mover, given: Namespace) -> None:
    """What was asked for."""
    if given.work == "get":
        local = Path(given.local or os.path.basename(given.remote.rstrip("/")) or ".")
        if local.is_dir():
            local /= os.path.basename(given.remote)
        await mover.get(given.remote, local)
    elif given.work == "put":
        name = os.path.basename(given.local)
        remote = given.remote or name
        await mover.put(Path(given.local), remote + name if remote.endswith("/") else remote)
    elif given.up:
        await mover.mirror_up(Path(given.local), given.remote, given.delete)
    else:
        await mover.mirror_down(given.remote, Path(given.local), given.delete)


def tell(tally: Tally, given: Namespace, streams: Streams) -> int:
    """What it came to; 0 if all was done, 1 if something could not be moved."""
    if given.json:
        streams.say_json({**vars(tally), "failed": [{"name": name, "reason": why} for name, why in tally.failed]})
    else:
        words = [f"{tally.files} files ({size(tally.octets)})"]
        words += [f"{size(tally.resumed)} were there"] if tally.resumed else []
        words += [f"{tally.verified} compared"] if tally.verified else []
        if given.work == "mirror":
            words += [f"{tally.skipped} the same", f"{tally.removed} removed", f"{tally.left_out} left out"]
        streams.say(", ".join(words))
    for name, why in tally.failed:
        streams.complain(printable(f"{name}: {why}"))
    return FAILED if tally.failed else OK


def ending_of(error: Exception, given: Namespace) -> Ending:
    """What people are told, and the exit code."""
    text = printable(str(error) or type(error).__name__)
    if isinstance(error, LocalError):
        return Ending(text, CANNOT_CREATE)
    remedy = next((words for kind, words in REMEDIES.items() if isinstance(error, kind)), "")
    where = f"[{given.server}]" if ":" in given.server else given.server
    return Ending(f"{where}:{given.port or PORTS[given.tls]}: {text}{remedy}", status_of(error))


def status_of(error: Exception) -> int:
    """The exit code."""
    if isinstance(error, CallError):
        return UNAVAILABLE
    if isinstance(error, NotSecure) or (isinstance(error, Refused) and error.reply.code == 530):
        return UNTRUSTED
    if isinstance(error, (ConnectionEnded, TimedOut, Truncated)):
        return CONNECTION_LOST
    if isinstance(error, (BadReply, Differs)):
        return PROTOCOL
    return TEMPORARY if isinstance(error, Refused) and error.temporary else FAILED


REMEDIES: dict[type[Exception], str] = {
    NotSecure: "; choose --tls explicit or implicit",
    ConnectionEnded: "; if TLS was about to begin, name the server's authority with --ca-file; run it again to go on",
    Truncated: "; run it again to go on",
    TimedOut: "; run it again to go on",
}
