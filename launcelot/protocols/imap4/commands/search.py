"""SEARCH.  RFC 3501 section 6.4.4, RFC 4731, RFC 5182, RFC 7162 section 3.1.5, RFC 9738."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

from launcelot.core.errors import Refusal
from launcelot.mailstore.query import And, Uids
from launcelot.protocols.imap4.commands.limiting import Cut, limited, searched, topmost
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.requests import Search
from launcelot.protocols.imap4.grammar.search import CHARSETS, Key, resolve
from launcelot.protocols.imap4.grammar.sets import format_set
from launcelot.protocols.imap4.progress import Progress
from launcelot.protocols.imap4.session import Extension, Reply, Session, no, ok

PIECE = 5_000
"""Numbers joined into one write."""

UNKNOWN_CHARSET = no("charset is not supported", b"BADCHARSET (%b)" % b" ".join(CHARSETS))


async def search(session: Session, request: Search) -> Reply:
    """
    Numbers or UIDs of the messages that match, as this session sees the mailbox.

    In IMAP4rev2 no RETURN means RETURN (ALL).  RFC 9051 section 6.4.4.  Of more messages than one command may work on, those
    with the highest UIDs are searched, and SAVE keeps no more (RFC 9738 sections 3.1 and 3.4).
    """
    view = session.view
    if session.rev2 and not request.options:
        request = replace(request, options=(b"ALL",))
    saves = b"SAVE" in request.options
    if request.key is None:
        if saves:
            view.saved = array("I")
        return UNKNOWN_CHARSET
    query = resolve(request.key, view, session.site.now())
    cut = topmost(session, searched(view, query)) if session.settings.command_limit else Cut(())
    if cut.code:
        query = And((Uids(((cut.uids[0], cut.uids[-1]),)), query))
    try:
        with Progress(session):
            known = view.present(await view.mailbox.search(query))
    except Refusal:
        if saves:
            view.saved = array("I")
        raise
    highest = await highest_of(session, request, known) if request.modseq else b""
    found = as_told(session, request, known)
    if saves:
        view.saved = array("I", to_save(known, request))
    if request.options != (b"SAVE",):
        await answer(session, request, b"SEARCH", found, highest)
    return limited(session, completed(session, request, "SEARCH completed"), cut)


async def matching(session: Session, key: Key) -> Sequence[int]:
    """UIDs of the messages in view that match, ascending."""
    view = session.view
    return view.present(await view.mailbox.search(resolve(key, view, session.site.now())))


def as_told(session: Session, request: Search, uids: Sequence[int]) -> Sequence[int]:
    """UIDs as the client asked for them: as they are, or as sequence numbers."""
    return uids if request.uid else session.view.numbers(uids)


async def answer(session: Session, request: Search, word: bytes, found: Sequence[int], highest: bytes) -> None:
    """ESEARCH where RETURN was given, else the old response."""
    if not request.options:
        await tell(session, word, found, b" (%b)" % highest[1:] if highest else b"")
        return
    session.untagged(
        b"ESEARCH (TAG %b)%b%b"
        % (responses.string(session.tag), b" UID" if request.uid else b"", summary(found, request) + highest)
    )


def completed(session: Session, request: Search, words: str) -> Reply:
    """OK; with a word about messages that still have a number and are gone."""
    return ok(words, b"EXPUNGEISSUED" if session.view.gone and not request.uid else b"")


def to_save(found: Sequence[int], request: Search) -> Sequence[int]:
    """
    What SAVE keeps of UIDs in the order in which they are told: all, unless only some are.

    RFC 5182 section 2.4, RFC 9394 section 3.2.
    """
    options = request.options
    if b"ALL" in options or b"COUNT" in options or not {b"MIN", b"MAX", b"PARTIAL"} & set(options):
        return found
    told: set[int] = set() if request.partial is None else set(request.partial.of(found))
    if b"MIN" in options:
        told.update(found[:1])
    if b"MAX" in options:
        told.update(found[-1:])
    return sorted(told)


async def highest_of(session: Session, request: Search, found: Sequence[int]) -> bytes:
    """
    ``MODSEQ`` and the highest of the messages that are told, with a space before; nothing when none was found.

    Of MIN and MAX alone it is theirs.  RFC 7162 sections 3.1.6 and 3.1.10.
    """
    session.enable(Extension.CONDSTORE)
    told = to_save(found, request) if request.options else found
    states = await session.view.mailbox.states(told) if told else ()
    return b" MODSEQ %d" % max(state.modseq for state in states) if states else b""


async def tell(session: Session, word: bytes, found: Sequence[int], highest: bytes) -> None:
    """The SEARCH or SORT response, however long."""
    session.wire.write(b"* " + word)
    for start in range(0, len(found), PIECE):
        session.wire.write((" " + " ".join(map(str, found[start : start + PIECE]))).encode())
        await session.wire.drain()
    session.wire.write(highest + b"\r\n")


def summary(found: Sequence[int], request: Search) -> bytes:
    """What RETURN asks for.  RFC 4731 section 3.1: of nothing only COUNT is told, and that a PARTIAL is empty."""
    options = request.options
    told = {b"COUNT": b"%d" % len(found)}
    if request.partial is not None:
        told[b"PARTIAL"] = b"(%b %b)" % (bytes(request.partial), format_set(request.partial.of(found)) or b"NIL")
    if found:
        told.update({b"MIN": b"%d" % found[0], b"MAX": b"%d" % found[-1], b"ALL": format_set(found)})
    return b"".join([b" %b %b" % (option, told[option]) for option in options if option in told])
