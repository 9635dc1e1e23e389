"""Which mailboxes a description means for a session now, and whose UIDs it hears.  RFC 5465 section 6, RFC 7377 section 2.2."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from launcelot.core.errors import Gone, NotFound
from launcelot.hosting.sharing import is_shared
from launcelot.mailstore.interface import SEPARATOR, MailboxInfo
from launcelot.mailstore.names import known, parents
from launcelot.protocols.imap4.grammar.filters import Filter, Scope
from launcelot.protocols.imap4.session import Session


async def places(session: Session, filters: Iterable[Filter]) -> list[MailboxInfo]:
    """
    The selectable mailboxes that are meant by at least one description, each once, in the order of LIST.

    The selected mailbox is not meant by its name here but by SELECTED.
    """
    described = [described_by(one) for one in filters]
    names = await session.mail.subscriptions() if any(one.scope is Scope.SUBSCRIBED for one in filters) else ()
    subscribed = frozenset(names)
    infos = await session.mail.mailboxes()
    selected = session.view.mailbox.info.id if session.selected else ""
    return [
        info
        for info in infos
        if info.selectable and any(one.means(info, subscribed, selected) for one in described)
    ]


async def tells_uids(session: Session, mailbox: str) -> bool:
    """Whether COPYUID and APPENDUID may tell of a mailbox: not to whom it may not be opened.  RFC 9051 section 6.3.12."""
    if not is_shared(known(mailbox) or ""):
        return True
    try:
        return "r" in await session.mail.rights(mailbox)
    except (Gone, NotFound):
        return False


class Description:
    """A filter whose names have their one spelling, so that it can be asked of many mailboxes."""

    def __init__(self, scope: Scope, names: frozenset[str]) -> None:
        self.scope = scope
        self.names = names

    def means(self, info: MailboxInfo, subscribed: Collection[str], selected: str) -> bool:
        """
        Whether a mailbox is meant.

        :param subscribed: names.
        :param selected: the id of the selected mailbox, or empty.
        """
        if self.scope in (Scope.SELECTED, Scope.SELECTED_DELAYED):
            return bool(selected) and info.id == selected
        return self.covers(info.name, subscribed)

    def covers(self, name: str, subscribed: Collection[str]) -> bool:
        """Whether a name is meant, whether or not it exists; SELECTED means none."""
        scope = self.scope
        if scope is Scope.SUBSCRIBED:
            return name in subscribed
        if scope in (Scope.PERSONAL, Scope.INBOXES):
            return not is_shared(name)
        if scope is Scope.MAILBOXES:
            return name in self.names
        if scope is Scope.SUBTREE:
            return name in self.names or not self.names.isdisjoint(parents(name))
        return scope is Scope.SUBTREE_ONE and (name in self.names or name.rpartition(SEPARATOR)[0] in self.names)


def described_by(one: Filter) -> Description:
    """A filter, ready to be asked; impossible names mean nothing."""
    found: Sequence[str | None] = [known(name) for name in one.mailboxes]
    return Description(one.scope, frozenset(name for name in found if name is not None))
