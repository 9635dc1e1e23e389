"""Scripts and filtered deliveries in an account's mail file; see :mod:`launcelot.mailstore.scripts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sqlite3 import Connection

from launcelot.core.errors import Exists, InUse, Invalid, LimitReached, NotFound
from launcelot.mailstore import sqlrows
from launcelot.mailstore.bodies import Prepared
from launcelot.mailstore.flags import Flags, sort_out
from launcelot.mailstore.interface import INBOX, Filing, Outgoing
from launcelot.mailstore.names import known
from launcelot.mailstore.scripts import MAX_REMEMBERED, ScriptInfo, check_name, check_size
from launcelot.mailstore.sqlfile import AccountFile
from launcelot.mailstore.sqlwriting import Writing

FORGET = 100
"""Ids over the limit before the oldest are forgotten, so that not every delivery has to count."""


class SqliteScripts:
    """One account's; see :class:`launcelot.mailstore.scripts.Scripts`."""

    def __init__(self, file: AccountFile) -> None:
        self._file = file

    async def listing(self) -> Sequence[ScriptInfo]:
        """All of them, by name."""
        return await self._file.read(
            lambda connection: [
                ScriptInfo(name, bool(active), size)
                for name, active, size in connection.execute("SELECT name, active, length(source) FROM scripts ORDER BY name")
            ]
        )

    async def read(self, name: str) -> bytes:
        """A script's source."""
        return await self._file.read(lambda connection: source_of(connection, name))

    async def check_room(self, name: str, size: int) -> None:
        """Whether a script could be kept."""
        check_name(name)
        check_size(await self._file.read(lambda connection: others_than(connection, name)), size)

    async def put(self, name: str, source: bytes) -> None:
        """Keep a script."""
        check_name(name)

        def job(writing: Writing) -> None:
            check_size(others_than(writing.connection, name), len(source))
            writing.connection.execute(_PUT, (name, source))

        await self._file.write(job)

    async def activate(self, name: str) -> None:
        """Have deliveries go through a script from now on."""

        def job(writing: Writing) -> None:
            if name:
                source_of(writing.connection, name)
            writing.connection.execute("UPDATE scripts SET active = (name = ?)", (name,))

        await self._file.write(job)

    async def remove(self, name: str) -> None:
        """Remove a script."""

        def job(writing: Writing) -> None:
            if is_active(writing.connection, name):
                raise InUse("the script is active")
            writing.connection.execute("DELETE FROM scripts WHERE name = ?", (name,))

        await self._file.write(job)

    async def rename(self, name: str, to: str) -> None:
        """Give a script another name."""
        check_name(to)

        def job(writing: Writing) -> None:
            source_of(writing.connection, name)
            if name != to and writing.connection.execute("SELECT 1 FROM scripts WHERE name = ?", (to,)).fetchone():
                raise Exists("there is a script of that name")
            writing.connection.execute("UPDATE scripts SET name = ? WHERE name = ?", (to, name))

        await self._file.write(job)

    async def active(self) -> tuple[str, bytes] | None:
        """Name and source of the active script."""
        return await self._file.read(
            lambda connection: connection.execute("SELECT name, source FROM scripts WHERE active").fetchone()
        )

    async def remembered(self, now: float) -> Callable[[str], bool]:
        """Whether an id is remembered."""
        rows = await self._file.read_aside(
            lambda connection: connection.execute("SELECT key FROM remembered WHERE until > ?", (int(now),)).fetchall()
        )
        return frozenset(key for (key,) in rows).__contains__


def source_of(connection: Connection, name: str) -> bytes:
    """A script's source; raises NotFound."""
    row = connection.execute("SELECT source FROM scripts WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound("there is no such script")
    return bytes(row[0])


def others_than(connection: Connection, name: str) -> int:
    """How many scripts have other names."""
    return int(connection.execute("SELECT count(*) FROM scripts WHERE name <> ?", (name,)).fetchone()[0])


def is_active(connection: Connection, name: str) -> bool:
    """Whether a script is active; raises NotFound."""
    row = connection.execute("SELECT active FROM scripts WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound("there is no such script")
    return bool(row[0])


def file(
    writing: Writing,
    delivery: str,
    filings: Sequence[tuple[Filing, Prepared | None]],
    remember: Sequence[tuple[str, int]],
    outgoing: Sequence[Outgoing],
) -> bool:
    """Do a delivery unless it is known."""
    if not writing.begin_delivery(delivery):
        return False
    for filing, prepared in filings:
        target = target_of(writing, filing)
        flags = sort_out(filing.draft.flags)
        try:
            writing.add(target, filing.draft.body(), prepared, flags, filing.draft.internal_date)
        except LimitReached:
            # Keywords that have no room are no reason to lose mail.  RFC 5232 section 5.
            writing.add(target, filing.draft.body(), prepared, Flags(flags.system, ()), filing.draft.internal_date)
    connection = writing.connection
    connection.executemany("INSERT OR REPLACE INTO remembered VALUES (?, ?)", remember)
    count: int = connection.execute("SELECT count(*) FROM remembered").fetchone()[0] if remember else 0
    if count > MAX_REMEMBERED + FORGET:
        connection.execute(_FORGET, (count - MAX_REMEMBERED,))
    connection.executemany(
        "INSERT INTO outgoing (delivery, position, sender, recipient, body) VALUES (?, ?, ?, ?, ?)",
        [(delivery, one.position, one.sender, one.recipient, one.body) for one in outgoing],
    )
    return True


def target_of(writing: Writing, filing: Filing) -> int:
    """The mailbox that a message goes to: by its special use, by its name, made if that is wanted, or else INBOX."""
    connection = writing.connection
    if filing.special_use:
        row = connection.execute(
            "SELECT number FROM mailboxes WHERE special_use = ? COLLATE NOCASE ORDER BY number", (filing.special_use,)
        ).fetchone()
        if row is not None:
            return int(row[0])
    name = known(filing.mailbox) or INBOX
    try:
        return sqlrows.number_named(connection, name)
    except NotFound:
        if filing.create:
            made = created(writing, name, filing.special_use)
            return sqlrows.number_named(connection, made)
    return sqlrows.number_named(connection, INBOX)


def created(writing: Writing, name: str, special_use: str) -> str:
    """The name of a mailbox that was made for a delivery; INBOX where none can be made."""
    try:
        made = writing.create(name, special_use)
        writing.subscribe(made, True)
    except (Exists, Invalid, LimitReached):
        return INBOX
    return made


def outgoing_of(connection: Connection, delivery: str) -> list[Outgoing]:
    """What a delivery has still to send."""
    rows = connection.execute(
        "SELECT position, sender, recipient, body FROM outgoing WHERE delivery = ? ORDER BY position", (delivery,)
    )
    return [Outgoing(*row) for row in rows]


def sent(writing: Writing, delivery: str) -> None:
    """A spool has what a delivery had to send."""
    writing.connection.execute("DELETE FROM outgoing WHERE delivery = ?", (delivery,))


_PUT = """
    INSERT INTO scripts (name, source, active) VALUES (?, ?, 0)
    ON CONFLICT (name) DO UPDATE SET source = excluded.source
"""
_FORGET = "DELETE FROM remembered WHERE key IN (SELECT key FROM remembered ORDER BY until LIMIT ?)"
