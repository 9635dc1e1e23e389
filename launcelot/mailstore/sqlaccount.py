"""One account's mail in its SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from sqlite3 import Connection

from launcelot.core.errors import NotFound
from launcelot.mailstore import bodies, sqlrows, sqlscripts, tree
from launcelot.mailstore.annotations import Annotations
from launcelot.mailstore.bodies import Prepared
from launcelot.mailstore.flags import Flags, sort_out
from launcelot.mailstore.grants import Grants
from launcelot.mailstore.interface import (
    INBOX,
    Appended,
    Draft,
    Filing,
    Glance,
    Mailbox,
    MailboxInfo,
    Outgoing,
    Scripted,
    Usage,
)
from launcelot.mailstore.limits import Limits
from launcelot.mailstore.names import canonical, known, order
from launcelot.mailstore.scripts import Scripts
from launcelot.mailstore.sqlannotations import SqliteAnnotations
from launcelot.mailstore.sqlarriving import Arrival
from launcelot.mailstore.sqlfile import AccountFile
from launcelot.mailstore.sqlgrants import SqliteGrants
from launcelot.mailstore.sqlmailbox import SqliteMailbox
from launcelot.mailstore.sqlscripts import SqliteScripts
from launcelot.mailstore.sqlwriting import Writing
from launcelot.workers.staging import Buffer

SHORT = 500
"""Mailboxes or subscriptions listed in the reactor thread at most."""


class SqliteAccountMail:
    """
    One account's mail; see :class:`launcelot.mailstore.interface.AccountMail`.

    :param limits: on what it may hold.
    """

    def __init__(self, file: AccountFile, limits: Limits) -> None:
        self._file = file
        self._limits = limits

    # -- mailboxes -----------------------------------------------------------------------------------------------

    async def mailboxes(self) -> Sequence[MailboxInfo]:
        """All names, INBOX first, then by name."""
        rows = await self._file.read(sqlrows.tree_size)
        return await (self._file.read(listing_of) if rows <= SHORT else self._file.read_aside(listing_of))

    async def mailbox(self, name: str) -> Mailbox:
        """Open a mailbox."""
        found = known(name)
        if found is None:
            raise NotFound("no such mailbox")
        # One statement needs no transaction around it.
        opened, info = (await self._file.opened()).read(lambda connection: sqlrows.mailbox_named(connection, found))
        return SqliteMailbox(self._file, self._limits, opened, info)

    async def create(self, name: str, special_use: str = "") -> MailboxInfo:
        """Make a mailbox and those missing above it."""

        def job(writing: Writing) -> MailboxInfo:
            made = writing.create(name, special_use)
            return sqlrows.mailbox_named(writing.connection, made)[1]

        return await self._file.write(job)

    async def delete(self, name: str) -> None:
        """Delete a mailbox and its messages."""
        await self._file.write(lambda writing: writing.delete(name))

    async def rename(self, name: str, to: str) -> None:
        """Rename a mailbox and all below it; of INBOX the messages move."""
        await self._file.write(lambda writing: writing.rename(name, to))

    async def designate(self, name: str, special_use: str) -> None:
        """Say what a mailbox is for."""
        await self._file.write(lambda writing: writing.designate(name, special_use))

    # -- subscriptions -------------------------------------------------------------------------------------------

    async def subscriptions(self) -> Sequence[str]:
        """Subscribed names."""
        rows = await self._file.read(sqlrows.tree_size)
        read = self._file.read if rows <= SHORT else self._file.read_aside
        return sorted(await read(sqlrows.subscribed_names), key=order)

    async def subscribe(self, name: str, subscribed: bool = True) -> None:
        """Set or clear a subscription."""
        name = canonical(name)
        await self._file.write(lambda writing: writing.subscribe(name, subscribed))

    # -- watching ------------------------------------------------------------------------------------------------

    async def glances(self, numbers: Collection[int] | None = None) -> Sequence[Glance]:
        """How mailboxes stand."""
        rows = await self._file.read(sqlrows.tree_size) if numbers is None else len(numbers)
        read = self._file.read if rows <= SHORT else self._file.read_aside
        return await read(lambda connection: sqlrows.glances_at(connection, numbers))

    def watch(self, changed: Callable[[Collection[int]], None]) -> Callable[[], None]:
        """Have ``changed`` called after every change."""
        return self._file.watch_all(changed)

    # -- annotations ---------------------------------------------------------------------------------------------

    @property
    def annotations(self) -> Annotations:
        """Annotations of the account and its mailboxes."""
        return SqliteAnnotations(self._file)

    @property
    def grants(self) -> Grants:
        """Access lists of the account's mailboxes."""
        return SqliteGrants(self._file)

    # -- delivery ------------------------------------------------------------------------------------------------

    async def deliver(
        self,
        body: Buffer,
        delivery: str,
        mailbox: str = INBOX,
        flags: Collection[str] = (),
        unless_scripted: bool = False,
    ) -> Appended | None:
        """Deliver once; what is for the inbox, as nearly everything is, together with what else comes."""
        if mailbox == INBOX and not flags and len(body) <= bodies.LARGE:
            analysis = await self._file.analysis(body)
            return await self._file.arrive(Arrival(body, analysis, delivery, self._limits, unless_scripted))
        given = sort_out(flags)
        if unless_scripted and await self._file.read(sqlrows.is_scripted):
            raise Scripted

        def job(writing: Writing, made: Sequence[Prepared | None]) -> Appended | None:
            if unless_scripted and sqlrows.is_scripted(writing.connection):
                raise Scripted
            return deliver(writing, body, made[0], delivery, mailbox, given)

        return await self._file.add([Draft(lambda: body, len(body))], job, self._limits)

    @property
    def scripts(self) -> Scripts:
        """Sieve scripts, and what deliveries through them keep."""
        return SqliteScripts(self._file)

    async def file(
        self,
        delivery: str,
        filings: Sequence[Filing],
        remember: Sequence[tuple[str, int]] = (),
        outgoing: Sequence[Outgoing] = (),
    ) -> bool:
        """Deliver once, through a script."""
        for filing in filings:
            sort_out(filing.draft.flags)

        def job(writing: Writing, made: Sequence[Prepared | None]) -> bool:
            return sqlscripts.file(writing, delivery, list(zip(filings, made, strict=True)), remember, outgoing)

        return await self._file.add([filing.draft for filing in filings], job, self._limits)

    async def outgoing(self, delivery: str) -> Sequence[Outgoing]:
        """What a delivery has still to send."""
        return await self._file.read_aside(lambda connection: sqlscripts.outgoing_of(connection, delivery))

    async def sent(self, delivery: str) -> None:
        """Forget what a delivery had to send."""
        await self._file.write(lambda writing: sqlscripts.sent(writing, delivery))

    async def forget_deliveries(self, deliveries: Sequence[str]) -> None:
        """Drop keys that will not come again."""
        await self._file.write(lambda writing: writing.forget_deliveries(deliveries))

    def limit(self, quota: int, messages: int = 0) -> None:
        """Change the limits for whatever has been opened from this object."""
        self._limits.octets, self._limits.messages = quota, messages

    async def usage(self) -> Usage:
        """What the account's mail takes."""
        return await self._file.read(self._usage)

    def _usage(self, connection: Connection) -> Usage:
        used = sqlrows.usage_of(connection)
        return replace(used, beside=self._limits.beside()) if self._limits.octets else used

    def lock(self) -> Callable[[], None]:
        """Take the maildrop for one POP3 session."""
        return self._file.lock()


def deliver(
    writing: Writing, body: Buffer, prepared: Prepared | None, delivery: str, mailbox: str, flags: Flags
) -> Appended | None:
    """Add a message unless its delivery is known."""
    if not writing.begin_delivery(delivery):
        return None
    return writing.add(sqlrows.number_named(writing.connection, mailbox), body, prepared, flags, None)


def listing_of(connection: Connection) -> list[MailboxInfo]:
    """All names of an account."""
    return tree.listing(sqlrows.kept_mailboxes(connection), sqlrows.subscribed_names(connection))
