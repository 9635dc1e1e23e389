"""
GETQUOTA, GETQUOTAROOT, SETQUOTA.  RFC 9208.

Every account is one quota root, called by its name, over all its mailboxes.  Its limits stand in the account base, where
SETQUOTA of an administrator changes them; they count for sessions that are open, too.
"""

from __future__ import annotations

from launcelot.accounts.interface import Account
from launcelot.core.errors import Invalid, NotFound, NotPermitted
from launcelot.mailstore.interface import Limits
from launcelot.protocols.imap4.grammar.quota import GetQuota, Resource, SetQuota, quota, quota_root
from launcelot.protocols.imap4.grammar.requests import Named
from launcelot.protocols.imap4.session import Reply, Session, ok

UNIT = 1_024
"""Octets of STORAGE.  RFC 9208 section 5.1."""
STORAGE, MESSAGE = b"STORAGE", b"MESSAGE"


async def get_quota(session: Session, request: GetQuota) -> Reply:
    """
    What is used and limited of a root: one's own, and for an administrator everybody's.

    :raises NotFound: there is no such root, or it is not for this account to see.
    """
    await tell_quota(session, await root_named(session, request.root))
    return ok("GETQUOTA completed")


async def get_quota_root(session: Session, request: Named) -> Reply:
    """The root of a mailbox, which need not exist, and what is used of it."""
    account = await session.present()
    session.untagged(quota_root(request.mailbox, account.name))
    await tell_quota(session, account)
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
    changed = await session.site.accounts.change(
        target.name, quota=limits.get(STORAGE, 0) * UNIT, messages=limits.get(MESSAGE, 0)
    )
    await tell_quota(session, changed)
    return ok("SETQUOTA completed")


async def root_named(session: Session, root: str) -> Account:
    """The account whose root this is; raises NotFound."""
    own = await session.present()
    if root == own.name:
        return own
    if own.administrator:
        found = await session.site.accounts.account(root)
        if found.name == root:
            return found
    raise NotFound("no such quota root")


async def tell_quota(session: Session, account: Account) -> None:
    """The QUOTA response of an account."""
    mail = await session.site.mail.mail(account.id, account.quota, account.messages)
    usage = await mail.usage()
    resources: list[Resource] = []
    if account.quota:
        resources.append(Resource(STORAGE, -(-usage.octets // UNIT), account.quota // UNIT))
    if account.messages:
        resources.append(Resource(MESSAGE, usage.messages, account.messages))
    session.untagged(quota(account.name, resources))


async def check_room(session: Session, octets: int, messages: int) -> None:
    """
    Refuse at once what the account has no room for; what else is added meanwhile is seen to by the store.

    :raises OverQuota: it is full.
    """
    account = await session.present()
    if account.quota or account.messages:
        usage = await session.mail.usage()
        Limits(account.quota, account.messages).check(usage.octets + octets, usage.messages + messages)
