"""The table of commands: it drives dispatch, the documentation and tests.  RFC 3501 section 6."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from launcelot.protocols.imap4.commands import (
    acl,
    append,
    connection,
    fetch,
    general,
    listing,
    login,
    mailbox,
    metadata,
    multisearch,
    notify,
    quota,
    search,
    sort,
    store,
)
from launcelot.protocols.imap4.grammar import requests
from launcelot.protocols.imap4.grammar.acl import read_identified, read_set_acl
from launcelot.protocols.imap4.grammar.appending import read_append, read_replace, read_uid_replace
from launcelot.protocols.imap4.grammar.listing import read_list, read_lsub
from launcelot.protocols.imap4.grammar.metadata import read_get_metadata, read_set_metadata
from launcelot.protocols.imap4.grammar.multisearch import read_multisearch
from launcelot.protocols.imap4.grammar.notify import read_notify
from launcelot.protocols.imap4.grammar.quota import read_get_quota, read_set_quota
from launcelot.protocols.imap4.grammar.reader import Reader
from launcelot.protocols.imap4.grammar.sort import read_sort, read_thread, read_uid_sort, read_uid_thread
from launcelot.protocols.imap4.session import Reply, Session, State

ANY = frozenset({State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED})
BEFORE = frozenset({State.NOT_AUTHENTICATED})
AFTER = frozenset({State.AUTHENTICATED, State.SELECTED})
SELECTED = frozenset({State.SELECTED})


@dataclass(frozen=True, slots=True)
class Command:
    """
    One verb.

    :ivar name: in upper case; with ``UID`` before it where that is part of it.
    :ivar states: in which it is lawful.
    :ivar read: reads the arguments.
    :ivar run: does it; None where it has written its reply itself.
    :ivar standard: RFC and section.
    :ivar help: one sentence.
    :ivar expunges: whether EXPUNGE responses may be sent while it is in progress.  RFC 3501 section 7.4.1.
    :ivar asks: whether the store is asked for changes even when it has told of none.
    :ivar streams: whether its last literal is read by ``run``.
    :ivar oversize: the response code for a literal that is too large.
    """

    name: bytes
    states: frozenset[State]
    read: Callable[[Reader], Any]
    run: Callable[[Session, Any], Awaitable[Reply | None]]
    standard: str
    help: str
    expunges: bool = True
    asks: bool = False
    streams: bool = False
    oversize: bytes = b"TOOBIG"


_ROWS = (
    Command(
        b"CAPABILITY",
        ANY,
        requests.read_nothing,
        general.capability,
        "RFC 3501 section 6.1.1",
        "What the server can do.",
    ),
    Command(b"NOOP", ANY, requests.read_nothing, general.noop, "RFC 3501 section 6.1.2", "Hear of changes.", asks=True),
    Command(
        b"COMPRESS", AFTER, connection.read_compress, connection.compress, "RFC 4978 section 3", "Compress both directions."
    ),
    Command(
        b"UNAUTHENTICATE",
        AFTER,
        requests.read_nothing,
        connection.unauthenticate,
        "RFC 8437 section 3",
        "Be nobody again, for another login.",
    ),
    Command(b"LOGOUT", ANY, requests.read_nothing, general.logout, "RFC 3501 section 6.1.3", "End the session."),
    Command(b"ID", ANY, requests.read_id, general.identify, "RFC 2971 section 3.1", "Say who one is."),
    Command(b"STARTTLS", BEFORE, requests.read_nothing, login.starttls, "RFC 3501 section 6.2.1", "Speak TLS."),
    Command(
        b"AUTHENTICATE",
        BEFORE,
        requests.read_authenticate,
        login.authenticate,
        "RFC 3501 section 6.2.2",
        "Log in by SASL.",
    ),
    Command(
        b"LOGIN", BEFORE, requests.read_login, login.login, "RFC 3501 section 6.2.3", "Log in by name and password."
    ),
    Command(b"SELECT", AFTER, requests.read_select, mailbox.select, "RFC 3501 section 6.3.1", "Open a mailbox."),
    Command(
        b"EXAMINE", AFTER, requests.read_select, mailbox.examine, "RFC 3501 section 6.3.2", "Open a mailbox for reading."
    ),
    Command(b"CREATE", AFTER, requests.read_created, mailbox.create, "RFC 3501 section 6.3.3", "Make a mailbox."),
    Command(b"DELETE", AFTER, requests.read_named, mailbox.delete, "RFC 3501 section 6.3.4", "Delete a mailbox."),
    Command(b"RENAME", AFTER, requests.read_rename, mailbox.rename, "RFC 3501 section 6.3.5", "Rename a mailbox."),
    Command(
        b"SUBSCRIBE", AFTER, requests.read_named, mailbox.subscribe, "RFC 3501 section 6.3.6", "Subscribe to a name."
    ),
    Command(
        b"UNSUBSCRIBE", AFTER, requests.read_named, mailbox.unsubscribe, "RFC 3501 section 6.3.7", "Forget a name."
    ),
    Command(b"LIST", AFTER, read_list, listing.list_, "RFC 3501 section 6.3.8", "List mailboxes."),
    Command(b"LSUB", AFTER, read_lsub, listing.lsub, "RFC 3501 section 6.3.9", "List subscribed names."),
    Command(b"STATUS", AFTER, requests.read_status, mailbox.status, "RFC 3501 section 6.3.10", "Numbers of a mailbox."),
    Command(
        b"APPEND", AFTER, read_append, append.append, "RFC 3501 section 6.3.11", "Add a message.", streams=True
    ),
    Command(b"ENABLE", AFTER, requests.read_enable, general.enable, "RFC 5161 section 3.1", "Switch extensions on."),
    Command(
        b"NAMESPACE", AFTER, requests.read_nothing, general.namespace, "RFC 2342 section 5", "Where mailboxes are."
    ),
    Command(
        b"IDLE", AFTER, requests.read_nothing, general.idle, "RFC 2177 section 3", "Hear of changes at once.", asks=True
    ),
    Command(
        b"CHECK", SELECTED, requests.read_nothing, general.check, "RFC 3501 section 6.4.1", "A checkpoint.", asks=True
    ),
    Command(
        b"CLOSE", SELECTED, requests.read_nothing, mailbox.close, "RFC 3501 section 6.4.2", "Expunge and unselect."
    ),
    Command(b"UNSELECT", SELECTED, requests.read_nothing, mailbox.unselect, "RFC 3691 section 2", "Unselect only."),
    Command(
        b"EXPUNGE", SELECTED, requests.read_nothing, store.expunge, "RFC 3501 section 6.4.3", "Remove deleted messages."
    ),
    Command(
        b"SEARCH",
        SELECTED,
        requests.read_search,
        search.search,
        "RFC 3501 section 6.4.4",
        "Find messages.",
        expunges=False,
    ),
    Command(
        b"FETCH", SELECTED, requests.read_fetch, fetch.fetch, "RFC 3501 section 6.4.5", "Get messages.", expunges=False
    ),
    Command(
        b"STORE", SELECTED, requests.read_store, store.store, "RFC 3501 section 6.4.6", "Change flags.", expunges=False
    ),
    Command(b"COPY", SELECTED, requests.read_copy, store.copy, "RFC 3501 section 6.4.7", "Copy messages."),
    Command(b"MOVE", SELECTED, requests.read_copy, store.move, "RFC 6851 section 3.1", "Move messages."),
    Command(
        b"UID SEARCH",
        SELECTED,
        requests.read_uid_search,
        search.search,
        "RFC 3501 section 6.4.8",
        "Find UIDs.",
        expunges=False,
    ),
    Command(
        b"UID FETCH", SELECTED, requests.read_uid_fetch, fetch.fetch, "RFC 3501 section 6.4.8", "Get messages by UID."
    ),
    Command(
        b"UID STORE", SELECTED, requests.read_uid_store, store.store, "RFC 3501 section 6.4.8", "Change flags by UID."
    ),
    Command(
        b"UID COPY", SELECTED, requests.read_uid_copy, store.copy, "RFC 3501 section 6.4.8", "Copy messages by UID."
    ),
    Command(b"UID MOVE", SELECTED, requests.read_uid_copy, store.move, "RFC 6851 section 3.2", "Move messages by UID."),
    Command(
        b"UID EXPUNGE",
        SELECTED,
        requests.read_uid_expunge,
        store.uid_expunge,
        "RFC 4315 section 2.1",
        "Remove deleted messages among some.",
    ),
    Command(
        b"REPLACE",
        SELECTED,
        read_replace,
        append.replace,
        "RFC 8508 section 3.2",
        "Put a message in another's place.",
        streams=True,
    ),
    Command(
        b"UID REPLACE",
        SELECTED,
        read_uid_replace,
        append.replace,
        "RFC 8508 section 3.3",
        "Put a message in another's place, by UID.",
        streams=True,
    ),
    Command(
        b"ESEARCH",
        AFTER,
        read_multisearch,
        multisearch.multisearch,
        "RFC 7377 section 2",
        "Find messages in several mailboxes.",
        expunges=False,
    ),
    Command(b"NOTIFY", AFTER, read_notify, notify.notify, "RFC 5465 section 3.1", "Say what to be told of.", asks=True),
    Command(b"SORT", SELECTED, read_sort, sort.sort, "RFC 5256 section 3", "Find messages, in order.", expunges=False),
    Command(b"THREAD", SELECTED, read_thread, sort.thread, "RFC 5256 section 3", "Find messages, as threads.", expunges=False),
    Command(b"UID SORT", SELECTED, read_uid_sort, sort.sort, "RFC 5256 section 3", "Find UIDs, in order.", expunges=False),
    Command(
        b"UID THREAD",
        SELECTED,
        read_uid_thread,
        sort.thread,
        "RFC 5256 section 3",
        "Find UIDs, as threads.",
        expunges=False,
    ),
    Command(
        b"GETMETADATA",
        AFTER,
        read_get_metadata,
        metadata.get_metadata,
        "RFC 5464 section 4.2",
        "Get annotations of a mailbox or the server.",
    ),
    Command(
        b"SETMETADATA",
        AFTER,
        read_set_metadata,
        metadata.set_metadata,
        "RFC 5464 section 4.3",
        "Set annotations.",
        oversize=metadata.TOO_LARGE,
    ),
    Command(b"SETACL", AFTER, read_set_acl, acl.set_acl, "RFC 4314 section 3.1", "Say what somebody may do with a mailbox."),
    Command(
        b"DELETEACL", AFTER, read_identified, acl.delete_acl, "RFC 4314 section 3.2", "Forget what somebody was allowed."
    ),
    Command(b"GETACL", AFTER, requests.read_named, acl.get_acl, "RFC 4314 section 3.3", "Who may do what."),
    Command(
        b"LISTRIGHTS", AFTER, read_identified, acl.list_rights_of, "RFC 4314 section 3.4", "What can be allowed to somebody."
    ),
    Command(b"MYRIGHTS", AFTER, requests.read_named, acl.my_rights_on, "RFC 4314 section 3.5", "What one may do oneself."),
    Command(b"GETQUOTA", AFTER, read_get_quota, quota.get_quota, "RFC 9208 section 4.1.1", "What is used of a quota."),
    Command(
        b"GETQUOTAROOT",
        AFTER,
        requests.read_named,
        quota.get_quota_root,
        "RFC 9208 section 4.1.2",
        "Which quota a mailbox counts for.",
    ),
    Command(b"SETQUOTA", AFTER, read_set_quota, quota.set_quota, "RFC 9208 section 4.1.3", "Set the limits of a quota."),
)

COMMANDS: Mapping[bytes, Command] = {row.name: row for row in _ROWS}
