"""
Removing mail that has been in INBOX for longer than it is kept there.  RFC 2449 section 6.7, RFC 1939 section 8.

Days are counted from the one on which a message came into the mailbox, in UTC, so a message stays for the full number of days
and up to one more.  An INBOX that a POP3 session holds is left for the next time: a session's messages do not change under it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from twisted.logger import Logger

from launcelot.accounts.interface import Account
from launcelot.core.errors import InUse, NotFound, Refusal
from launcelot.mailstore.interface import INBOX
from launcelot.mailstore.query import Compare, SavedDate

if TYPE_CHECKING:
    from launcelot.hosting.site import Site

log = Logger(namespace="launcelot.pop3")


class Retention:
    """
    Removes old mail from the INBOX of every account.

    :param days: that mail is kept; 1 or more.
    """

    def __init__(self, site: Site, days: int) -> None:
        self._site = site
        self._days = days

    async def sweep(self) -> int:
        """
        Go through all accounts; how many messages were removed.

        What cannot be done with one account now is logged, and the others follow.

        :raises TryLater: the accounts cannot be listed.
        """
        removed = 0
        for account in await self._site.accounts.accounts():
            try:
                removed += await self._sweep(account)
            except (InUse, NotFound):
                continue
            except Refusal as refusal:
                log.error("old mail of {account} is not removed now: {reason}", account=account.name, reason=refusal.text)
        return removed

    async def _sweep(self, listed: Account) -> int:
        account = await self._site.accounts.account(listed.name)
        if account.id != listed.id:
            return 0
        mail = await self._site.mail.mail(account.id, account.quota, account.messages)
        inbox = await mail.mailbox(INBOX)
        if not (await inbox.status()).messages:
            return 0
        oldest = self._site.now().date() - timedelta(days=self._days)
        old = await inbox.search(SavedDate(Compare.BELOW, oldest))
        if not old:
            return 0
        unlock = mail.lock()
        try:
            removed = len(await inbox.remove(old))
        finally:
            unlock()
        self._site.counters.add("pop3.expired", removed)
        log.info("{count} messages of {account} have expired", count=removed, account=account.name)
        return removed
