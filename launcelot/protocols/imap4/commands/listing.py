"""LIST and LSUB.  RFC 3501 sections 6.3.8 and 6.3.9, RFC 3348, RFC 5258, RFC 5819, RFC 6154."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass

from launcelot.core.errors import Gone, Invalid, NotFound, NotPermitted
from launcelot.mailstore.interface import MailboxInfo
from launcelot.mailstore.names import Pattern, order, parents
from launcelot.protocols.imap4.commands.mailbox import status_of
from launcelot.protocols.imap4.commands.metadata import look_up
from launcelot.protocols.imap4.commands.naming import attributes_of
from launcelot.protocols.imap4.grammar.acl import my_rights
from launcelot.protocols.imap4.grammar.listing import BASE, List, ListExtended, Return, Select
from launcelot.protocols.imap4.session import Reply, Session, ok

PIECE = 500
"""Names between two turns."""


async def list_(session: Session, request: List | ListExtended) -> Reply:
    """Names that match a pattern; an empty pattern asks for the separator and the root of the reference."""
    if isinstance(request, ListExtended):
        return await list_extended(session, request)
    if not request.pattern:
        session.untagged(rb'LIST (\Noselect) "/" ""')
        return ok("LIST completed")
    patterns = patterns_of(request.reference, (request.pattern,))
    found = [info for info in await session.mail.mailboxes() if any(one.matches(info.name) for one in patterns)]
    await tell(session, b"LIST", ((attributes_of(info, session.rev2), info.name) for info in found))
    return ok("LIST completed")


async def lsub(session: Session, request: List) -> Reply:
    """Subscribed names that match a pattern; with ``%`` also names above them, as not selectable."""
    if not request.pattern:
        session.untagged(rb'LSUB (\Noselect) "/" ""')
        return ok("LSUB completed")
    patterns = patterns_of(request.reference, (request.pattern,))
    names = await session.mail.subscriptions()
    selectable = {info.name for info in await session.mail.mailboxes() if info.selectable}
    found = {name: name in selectable for pattern in patterns for name in names if pattern.matches(name)}
    if "%" in request.pattern:
        for pattern in patterns:
            for above in {above for name in names for above in parents(name)}:
                if above not in found and pattern.matches(above):
                    found[above] = False
    rows = ((b"" if found[name] else rb"\Noselect", name) for name in sorted(found))
    await tell(session, b"LSUB", rows)
    return ok("LSUB completed")


def patterns_of(reference: str, patterns: Iterable[str]) -> Sequence[Pattern]:
    """Patterns behind their reference; empty and impossible ones match nothing.  RFC 9051 section 6.3.9."""
    found = []
    for pattern in patterns:
        if pattern:
            with suppress(Invalid):
                found.append(Pattern(reference + pattern))
    return found


async def tell(session: Session, word: bytes, rows: Iterable[tuple[bytes, str]]) -> None:
    """Write one response a name, with turns between."""
    for count, (attributes, name) in enumerate(rows, 1):
        session.untagged(b'%b (%b) "/" %b' % (word, attributes, session.name_of(name)))
        await rest_after(session, count)


async def rest_after(session: Session, count: int) -> None:
    """Let others have a turn after so many names."""
    if count % PIECE == 0:
        await session.wire.drain()
        await session.breathe()


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What an account has, as the extended LIST looks at it.

    :ivar infos: names that exist, or have others below them, by name.
    """

    infos: Mapping[str, MailboxInfo]
    subscribed: Set[str]

    def names(self) -> Iterable[str]:
        """All of them, in order; a subscribed name need not exist, nor one above it."""
        above = {parent for name in self.subscribed for parent in parents(name)}
        return sorted(above.union(self.infos, self.subscribed), key=order)

    def exists(self, name: str) -> bool:
        """Whether there is a mailbox of that name."""
        info = self.infos.get(name)
        return info is not None and info.selectable

    def is_selected(self, name: str, select: Set[Select]) -> bool:
        """Whether a name meets all selection options; without any, those that LIST has always told of."""
        if Select.SUBSCRIBED in select and name not in self.subscribed:
            return False
        info = self.infos.get(name)
        if Select.SPECIAL_USE in select:
            return info is not None and bool(info.special_use)
        return info is not None or Select.SUBSCRIBED in select

    def attributes(self, name: str, request: ListExtended) -> list[bytes]:
        """What is told of a name.  RFC 5258 sections 3.4 and 4."""
        info = self.infos.get(name)
        has_children = info is not None and info.has_children
        words = [] if self.exists(name) else [rb"\NonExistent"]
        if Return.CHILDREN in request.returned or (words and has_children):
            words.append(rb"\HasChildren" if has_children else rb"\HasNoChildren")
        if {Return.SUBSCRIBED, Select.SUBSCRIBED} & {*request.returned, *request.select} and name in self.subscribed:
            words.append(rb"\Subscribed")
        wants_use = Return.SPECIAL_USE in request.returned or Select.SPECIAL_USE in request.select
        if wants_use and info is not None and info.special_use:
            words.append(info.special_use.encode("ascii"))
        return words


async def list_extended(session: Session, request: ListExtended) -> Reply:
    """
    Names by options and several patterns, each once.  RFC 5258.

    There are no remote mailboxes, so REMOTE adds none.
    """
    patterns = patterns_of(request.reference, request.patterns)
    infos = {info.name: info for info in await session.mail.mailboxes()}
    listing = Listing(infos, frozenset(await session.mail.subscriptions()))
    names = [name for name in listing.names() if any(pattern.matches(name) for pattern in patterns)]
    above, hidden = parents_of_selected(listing, request.select, frozenset(names))
    child_info = b' ("CHILDINFO" (%b))' % b" ".join(
        [b'"%b"' % one.value for one in Select if one in request.select & BASE]
    )
    for count, name in enumerate(names, 1):
        chosen = listing.is_selected(name, request.select)
        if chosen or name in hidden:
            words = listing.attributes(name, request)
            status = None
            if chosen and request.status and listing.exists(name):
                status = await looked_up(session, name, request.status)
                if status is None:
                    words.append(rb"\Noselect")
            extended = child_info if name in above else b""
            session.untagged(b'LIST (%b) "/" %b%b' % (b" ".join(words), session.name_of(name), extended))
            if status is not None:
                session.untagged(status)
            if chosen and Return.MYRIGHTS in request.returned and listing.exists(name):
                await tell_rights(session, name)
            if chosen and request.metadata and listing.exists(name):
                await tell_metadata(session, name, request.metadata)
        await rest_after(session, count)
    return ok("LIST completed")


def parents_of_selected(listing: Listing, select: Set[Select], names: Set[str]) -> tuple[Set[str], Set[str]]:
    """
    With RECURSIVEMATCH: names above selected ones, and of those the names above one that is not listed itself.

    RFC 5258 section 3.5: CHILDINFO goes with the former if they are selected, and with the latter in any case.
    """
    above: set[str] = set()
    hidden: set[str] = set()
    if Select.RECURSIVEMATCH in select:
        for name in listing.names():
            if listing.is_selected(name, select):
                found = list(parents(name))
                above.update(found)
                if name not in names:
                    hidden.update(found)
    return above, hidden


async def looked_up(session: Session, name: str, items: Sequence[bytes]) -> bytes | None:
    """The STATUS response of a mailbox; None if it has just gone.  RFC 5819 section 2."""
    try:
        return await status_of(session, name, items)
    except (Gone, NotFound, NotPermitted):
        return None


async def tell_metadata(session: Session, name: str, entries: Sequence[str]) -> None:
    """The METADATA response of a mailbox; none if it has just gone.  RFC 9590 section 3."""
    try:
        await look_up(session, name, entries)
    except (Gone, NotFound, NotPermitted):
        return


async def tell_rights(session: Session, name: str) -> None:
    """The MYRIGHTS response of a mailbox; none if it has just gone.  RFC 8440 section 3."""
    try:
        rights = await session.mail.rights(name)
    except (Gone, NotFound):
        return
    session.untagged(my_rights(session.name_of(name), rights))
