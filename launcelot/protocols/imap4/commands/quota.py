"""
GETQUOTA, GETQUOTAROOT, SETQUOTA.  RFC 9208.

Every account and every group is one quota root over all its mailboxes, called as in access lists: by its name, groups with
``group:`` before it.  Its limits stand in the account base, where SETQUOTA of an administrator changes them; they count for
sessions that are open, too.
"""

from __future__ import annotations

from launcelot.accounts.interface import Group
from launcelot.core.errors import Invalid, NotFound, NotPermitted
from launcelot.hosting.accesslists import GROUP
from launcelot.hosting.neighbours import Owner
from launcelot.mailstore.limits import Limits
from launcelot.protocols.imap4.grammar.quota import GetQuota, Resource, SetQuota, quota, quota_root
from launcelot.protocols.imap4.grammar.requests import Named
from launcelot.protocols.imap4.session import Reply, Session, ok

UNIT = 1_024
"""Octets of STORAGE.  RFC 9208 section 5.1."""
STORAGE, MESSAGE = b"STORAGE", b"MESSAGE"


async def get_quota(session: Session, request: GetQuota) -> Reply:
    """
    What is used and limited of a root: one's own, that of who shares something, and for an administrator everybody's.

    :raises NotFound: there is no such root, or it is not for this account to see.
    """
    await tell_quota(session, await root_named(session, request.root))
    return ok("GETQUOTA completed")


async def get_quota_root(session: Session, request: Named) -> Reply:
    """
    The root of a mailbox, which need not exist, and what is used of it.

    :raises NotPermitted: it is another's, who does not let it be read.  RFC 9208 section 6.
    """
    owner = await session.mail.owner(request.mailbox) or await session.present()
    if owner.id != session.account.id and "r" not in await session.mail.rights(request.mailbox):
        raise NotPermitted("the access list of the mailbox does not allow that")
    session.untagged(quota_root(session.name_of(request.mailbox), root_of(owner)))
    await tell_quota(session, owner)
    return ok("GETQUOTAROOT completed")


async def set_quota(session: Session, request: SetQuota) -> Reply:
    """
    Replace all limits of a root; those not named are lifted.  RFC 9208 section 4.1.3.

    :raises NotPermitted: the account is no administrator.
    :raises Invalid: a resource that nobody limits, or a limit of nothing at all, which is what a disabled account is for.
    """
    account = await session.present()
    if not account.administrator:
        raise NotPermitted("only administrators set quotas")
    limits = dict(request.limits)
    if not set(limits) <= {STORAGE, MESSAGE}:
        raise Invalid("there is no limit on that resource here")
    if not all(limits.values()):
        raise Invalid("a limit of 0 cannot be set")
    target = await root_named(session, request.root)
    octets, messages = limits.get(STORAGE, 0) * UNIT, limits.get(MESSAGE, 0)
    accounts = session.site.accounts
    if isinstance(target, Group):
        await tell_quota(session, await accounts.change_group(target.name, quota=octets, messages=messages))
    else:
        await tell_quota(session, await accounts.change(target.name, quota=octets, messages=messages))
    return ok("SETQUOTA completed")


def root_of(owner: Owner) -> str:
    """What the quota root of somebody is called."""
    return GROUP + owner.name if isinstance(owner, Group) else owner.name


async def root_named(session: Session, root: str) -> Owner:
    """Whose root this is; raises NotFound."""
    own = await session.present()
    if root == own.name:
        return own
    for owner in await session.mail.neighbours.owners():
        if root_of(owner) == root:
            return owner
    if own.administrator and not root.startswith(GROUP):
        found = await session.site.accounts.account(root)
        if found.name == root:
            return found
    raise NotFound("no such quota root")


async def tell_quota(session: Session, owner: Owner) -> None:
    """The QUOTA response of an account or a group."""
    house = await session.mail.neighbours.house(owner)
    usage = await house.mail.usage()
    resources: list[Resource] = []
    if owner.quota:
        resources.append(Resource(STORAGE, -(-(usage.octets + usage.beside) // UNIT), owner.quota // UNIT))
    if owner.messages:
        resources.append(Resource(MESSAGE, usage.messages, owner.messages))
    session.untagged(quota(root_of(owner), resources))


async def check_room(session: Session, mailbox: str, octets: int, messages: int) -> None:
    """
    Refuse at once what the owner of a mailbox has no room for; what else is added meanwhile is seen to by the store.

    :raises OverQuota: it is full.
    """
    owner = await session.mail.owner(mailbox) or await session.present()
    if owner.quota or owner.messages:
        usage = await (await session.mail.neighbours.house(owner)).mail.usage()
        Limits(owner.quota, owner.messages).check(usage.octets + usage.beside + octets, usage.messages + messages)
