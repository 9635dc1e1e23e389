"""SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS.  RFC 4314 section 3; rules are in :mod:`launcelot.hosting.accesslists`."""

from __future__ import annotations

from launcelot.hosting.accesslists import AccessLists
from launcelot.protocols.imap4.grammar.acl import Identified, SetAcl, acl, list_rights, my_rights
from launcelot.protocols.imap4.grammar.requests import Named
from launcelot.protocols.imap4.session import Reply, Session, ok


async def set_acl(session: Session, request: SetAcl) -> Reply:
    """Change what somebody may do with a mailbox."""
    await lists(session).change(request.mailbox, request.identifier, request.change, request.rights)
    return ok("SETACL completed")


async def delete_acl(session: Session, request: Identified) -> Reply:
    """Remove an entry, which need not be there."""
    await lists(session).remove(request.mailbox, request.identifier)
    return ok("DELETEACL completed")


async def get_acl(session: Session, request: Named) -> Reply:
    """Tell who may do what."""
    session.untagged(acl(session.name_of(request.mailbox), await lists(session).entries(request.mailbox)))
    return ok("GETACL completed")


async def list_rights_of(session: Session, request: Identified) -> Reply:
    """Tell what can be granted."""
    required, optional = await lists(session).grantable(request.mailbox, request.identifier)
    session.untagged(list_rights(session.name_of(request.mailbox), request.given, required, optional))
    return ok("LISTRIGHTS completed")


async def my_rights_on(session: Session, request: Named) -> Reply:
    """Tell what this account may do."""
    session.untagged(my_rights(session.name_of(request.mailbox), await session.mail.rights(request.mailbox)))
    return ok("MYRIGHTS completed")


def lists(session: Session) -> AccessLists:
    """The access lists this account administers."""
    return AccessLists(session.mail, session.account, session.site.accounts)
