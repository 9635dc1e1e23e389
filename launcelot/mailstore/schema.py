"""
The tables of an account's mail file.

Each step of :data:`MIGRATIONS` is final once it has been released: a change is a new step.  Flags are bits as in
:mod:`launcelot.mailstore.flags`, system flags and keywords in two columns because SQLite's integers have 64 bits; days are
proleptic Gregorian ordinals (:meth:`datetime.date.toordinal`), moments seconds since 1970 with a zone in minutes.

``messages`` rows are short, lie together by mailbox and UID, and never change; what changes of messages is in ``states``, many
in one row.  What is the same for all copies of a message is in ``contents`` (``uses`` counts them), and its octets in
``chunks``, numbered by content and position (:data:`CHUNK_BITS`), or those of a large one in a file of its own that ``files``
names; see :mod:`launcelot.mailstore.bodies`.
"""

from __future__ import annotations

import sqlite3

from launcelot.mailstore.globalparts import open_globals
from launcelot.mailstore.linesizes import note_line_sizes
from launcelot.mailstore.refolding import refold
from launcelot.mailstore.sqlstates import make_states

CHUNK = 262_144
"""Octets in one row of ``chunks``, the last of a message excepted."""
CHUNK_BITS = 20
"""Low bits of a chunk's number that count the chunks of one message."""


def first(connection: sqlite3.Connection) -> None:
    """Everything IMAP, POP3 and delivery need."""
    for statement in _FIRST:
        connection.execute(statement)


_FIRST = (
    """
    CREATE TABLE account (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        uid_validity INTEGER NOT NULL,
        octets INTEGER NOT NULL,
        messages INTEGER NOT NULL
    )
    """,
    "INSERT INTO account VALUES (1, 0, 0, 0)",
    """
    CREATE TABLE mailboxes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE,
        special_use TEXT NOT NULL,
        uid_validity INTEGER NOT NULL,
        uid_next INTEGER NOT NULL DEFAULT 1,
        modseq INTEGER NOT NULL DEFAULT 1,
        recent_from INTEGER NOT NULL DEFAULT 1,
        messages INTEGER NOT NULL DEFAULT 0,
        unseen INTEGER NOT NULL DEFAULT 0,
        deleted INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE keywords (
        mailbox INTEGER NOT NULL,
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (mailbox, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE contents (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        uses INTEGER NOT NULL,
        email_id TEXT NOT NULL,
        thread_id TEXT,
        size INTEGER NOT NULL,
        header_size INTEGER NOT NULL,
        sent INTEGER,
        sent_zone INTEGER,
        sent_day INTEGER,
        envelope BLOB NOT NULL,
        body BLOB NOT NULL,
        body_structure BLOB NOT NULL,
        parts BLOB NOT NULL,
        subject TEXT NOT NULL,
        base_subject TEXT NOT NULL,
        from_key TEXT NOT NULL,
        to_key TEXT NOT NULL,
        cc_key TEXT NOT NULL,
        bcc_key TEXT NOT NULL,
        sort_from TEXT NOT NULL,
        sort_to TEXT NOT NULL,
        sort_cc TEXT NOT NULL,
        message_id TEXT,
        references_to TEXT NOT NULL
    )
    """,
    "CREATE TABLE chunks (number INTEGER PRIMARY KEY, octets BLOB NOT NULL)",
    """
    CREATE TABLE messages (
        mailbox INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        modseq INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        keywords INTEGER NOT NULL,
        content INTEGER NOT NULL,
        size INTEGER NOT NULL,
        internal INTEGER NOT NULL,
        internal_zone INTEGER NOT NULL,
        internal_day INTEGER NOT NULL,
        saved INTEGER NOT NULL,
        PRIMARY KEY (mailbox, uid)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX messages_by_modseq ON messages (mailbox, modseq)",
    "CREATE INDEX messages_unseen ON messages (mailbox, uid) WHERE flags & 8 = 0",
    "CREATE INDEX messages_deleted ON messages (mailbox, uid) WHERE flags & 4 <> 0",
    """
    CREATE TABLE expunged (
        mailbox INTEGER NOT NULL,
        modseq INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        PRIMARY KEY (mailbox, modseq, uid)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE subscriptions (name TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE deliveries (key TEXT PRIMARY KEY, made INTEGER NOT NULL) WITHOUT ROWID",
)


def annotations_and_grants(connection: sqlite3.Connection) -> None:
    """
    METADATA and ACL.

    A removed annotation is kept without its value for a while, so that others hear of it; ``mailbox`` 0 is the account and the
    empty ``person`` stands for everybody.
    """
    for statement in _ANNOTATIONS_AND_GRANTS:
        connection.execute(statement)


_ANNOTATIONS_AND_GRANTS = (
    "ALTER TABLE account ADD COLUMN annotation_change INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE annotations (
        mailbox INTEGER NOT NULL,
        person TEXT NOT NULL,
        entry TEXT NOT NULL,
        change INTEGER NOT NULL,
        value BLOB,
        UNIQUE (mailbox, person, entry)
    )
    """,
    "CREATE INDEX annotations_by_change ON annotations (change)",
    "CREATE INDEX annotations_by_person ON annotations (person)",
    "CREATE INDEX annotations_removed ON annotations (change) WHERE value IS NULL",
    """
    CREATE TABLE grants (
        mailbox INTEGER NOT NULL,
        identifier TEXT NOT NULL,
        rights TEXT NOT NULL,
        PRIMARY KEY (mailbox, identifier)
    ) WITHOUT ROWID
    """,
)


def care(connection: sqlite3.Connection) -> None:
    """
    What taking care of the file needs.

    ``contents.checksum`` is of the octets, as :mod:`launcelot.mailstore.checksums` makes it, empty for those that came
    before.  ``mailboxes.forgotten_to``: the expunge log knows only what was removed after this MODSEQ.  ``upkeep`` says how
    far the text index reaches (contents up to ``indexed_to``), how many contents are in it and how many of them have gone
    since; ``unindexed`` are contents up to there whose text is too long for it and, with a minus, those that have gone and
    whose text is still to be removed.
    """
    for statement in _CARE:
        connection.execute(statement)


_CARE = (
    "ALTER TABLE contents ADD COLUMN checksum INTEGER",
    "ALTER TABLE mailboxes ADD COLUMN forgotten_to INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE upkeep (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        indexed_to INTEGER NOT NULL,
        indexed INTEGER NOT NULL,
        gone INTEGER NOT NULL
    )
    """,
    "INSERT INTO upkeep VALUES (1, 0, 0, 0)",
    "CREATE TABLE unindexed (content INTEGER PRIMARY KEY)",
)



def scripts(connection: sqlite3.Connection) -> None:
    """Sieve scripts, and what filtered deliveries keep; ``remembered.until`` is in seconds since 1970."""
    for statement in _SCRIPTS:
        connection.execute(statement)


_SCRIPTS = (
    "CREATE TABLE scripts (name TEXT PRIMARY KEY, source BLOB NOT NULL, active INTEGER NOT NULL)",
    "CREATE TABLE remembered (key TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE outgoing (
        number INTEGER PRIMARY KEY,
        delivery TEXT NOT NULL,
        position INTEGER NOT NULL,
        sender TEXT NOT NULL,
        recipient TEXT NOT NULL,
        body BLOB NOT NULL
    )
    """,
    "CREATE INDEX outgoing_by_delivery ON outgoing (delivery)",
)



def casemap(connection: sqlite3.Connection) -> None:
    """Keys and texts are folded as RFC 5051 says; no new tables."""
    refold(connection, CHUNK_BITS)


def line_sizes(connection: sqlite3.Connection) -> None:
    """What messages are for POP3, where that is not what is stored; see :mod:`launcelot.mailstore.linesizes`."""
    note_line_sizes(connection, CHUNK_BITS)


def states(connection: sqlite3.Connection) -> None:
    """
    Flags and MODSEQs go from rows of ``messages`` into blocks; see :mod:`launcelot.mailstore.stateblocks`.

    ``unseen`` and ``deleted`` count messages of a block.
    """
    connection.execute("ALTER TABLE messages RENAME TO messages_with_flags")
    for statement in _STATES:
        connection.execute(statement)
    make_states(connection, "messages_with_flags")
    connection.execute("DROP TABLE messages_with_flags")


_KEPT_COLUMNS = "mailbox, uid, content, size, internal, internal_zone, internal_day, saved"
_STATES = (
    """
    CREATE TABLE messages (
        mailbox INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        content INTEGER NOT NULL,
        size INTEGER NOT NULL,
        internal INTEGER NOT NULL,
        internal_zone INTEGER NOT NULL,
        internal_day INTEGER NOT NULL,
        saved INTEGER NOT NULL,
        PRIMARY KEY (mailbox, uid)
    ) WITHOUT ROWID
    """,
    f"INSERT INTO messages ({_KEPT_COLUMNS}) SELECT {_KEPT_COLUMNS} FROM messages_with_flags ORDER BY mailbox, uid",
    """
    CREATE TABLE states (
        mailbox INTEGER NOT NULL,
        block INTEGER NOT NULL,
        unseen INTEGER NOT NULL,
        deleted INTEGER NOT NULL,
        modseq INTEGER NOT NULL,
        base INTEGER NOT NULL,
        flags BLOB NOT NULL,
        keywords BLOB NOT NULL,
        modseqs BLOB NOT NULL,
        PRIMARY KEY (mailbox, block)
    ) WITHOUT ROWID
    """,
)


def global_parts(connection: sqlite3.Connection) -> None:
    """Structures in which ``message/global`` is a message; no new tables."""
    open_globals(connection, CHUNK_BITS)


def files(connection: sqlite3.Connection) -> None:
    """Large bodies that come from now on lie in files beside this one; those that are there stay in ``chunks``."""
    connection.execute("CREATE TABLE files (content INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")


MIGRATIONS = (first, annotations_and_grants, care, scripts, casemap, line_sizes, states, global_parts, files)
