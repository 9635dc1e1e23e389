"""One quota over an account's mail and files: each store asks the other how much it holds before it takes more."""

from __future__ import annotations

from launcelot.core.ids import AccountId
from launcelot.filestore.interface import FileStore
from launcelot.mailstore.interface import MailStore


def share_quota(mail: MailStore, files: FileStore) -> None:
    """
    Have both stores count what the other has.

    Two that take something at the same moment may pass the quota by what the later one takes.
    """

    async def octets_of_mail(account: AccountId) -> int:
        return (await (await mail.mail(account)).usage()).octets

    mail.beside = files.octets
    files.beside = octets_of_mail
