"""SORT and THREAD.  RFC 5256, RFC 5267 section 3, RFC 5957."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from launcelot.mailstore.threads import Bundle
from launcelot.protocols.imap4.commands.limiting import searched, too_wide
from launcelot.protocols.imap4.commands.search import (
    UNKNOWN_CHARSET,
    answer,
    as_told,
    completed,
    highest_of,
    matching,
)
from launcelot.protocols.imap4.grammar.search import resolve
from launcelot.protocols.imap4.grammar.sort import Sort, Thread
from launcelot.protocols.imap4.progress import Progress
from launcelot.protocols.imap4.session import Reply, Session


async def sort(session: Session, request: Sort) -> Reply:
    """Messages that match, in the order asked for.  RFC 5256 section 3."""
    search = request.search
    if search.key is None:
        return UNKNOWN_CHARSET
    with Progress(session):
        known = await matching(session, search.key)
        uids = await session.view.mailbox.sort(known, request.criteria) if known else ()
    highest = await highest_of(session, search, uids) if search.modseq else b""
    await answer(session, search, b"SORT", as_told(session, search, uids), highest)
    return completed(session, search, "SORT completed")


async def thread(session: Session, request: Thread) -> Reply:
    """Messages that match, as threads; not of more than one command may work on.  RFC 5256 section 3, RFC 9738 section 3.3."""
    search = request.search
    if search.key is None:
        return UNKNOWN_CHARSET
    if session.settings.command_limit:
        view = session.view
        refused = too_wide(session, len(searched(view, resolve(search.key, view, session.site.now()))))
        if refused is not None:
            return refused
    with Progress(session):
        known = await matching(session, search.key)
        threads = await session.view.mailbox.thread(known, request.algorithm) if known else ()
    count = sum([len(one.uids) for one in threads])
    await tell(session, threads, (lambda uids: uids) if search.uid else session.view.numbering(count))
    return completed(session, search, "THREAD completed")


async def tell(session: Session, threads: Sequence[Bundle], numbers: Callable[[Sequence[int]], Sequence[int]]) -> None:
    """The THREAD response, however long."""
    session.wire.write(b"* THREAD " if threads else b"* THREAD")
    for one in threads:
        session.wire.write(one.form % tuple(numbers(one.uids)))
        await session.wire.drain()
        await session.breathe()
    session.wire.write(b"\r\n")
