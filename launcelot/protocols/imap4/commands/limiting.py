"""
How many messages one command may work on.  RFC 9738.

What names more than that is done for those with the highest UIDs, from the highest down, and told how far it has come;
COPY, APPEND and THREAD, which cannot be done by halves, are refused.  EXPUNGE, CLOSE and STATUS are never bounded (section
3.1), nor are SORT, whose keys are stored (section 3.3), and ESEARCH, which the RFC does not name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from launcelot.core.ranges import shared
from launcelot.mailstore.query import And, Query, Uids
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.sets import Range
from launcelot.protocols.imap4.session import Reply, Session, no
from launcelot.protocols.imap4.view import View

CODE = b"MESSAGELIMIT %d"


@dataclass(frozen=True, slots=True)
class Cut:
    """
    The messages that a command works on.

    :ivar uids: of them, ascending.
    :ivar code: the response code that says that there are more, or empty.
    """

    uids: Sequence[int]
    code: bytes = b""


def topmost(session: Session, uids: Sequence[int], limit: int | None = None) -> Cut:
    """
    As many of the highest UIDs as a command may work on.

    :param uids: of all messages it is for, ascending.
    :param limit: 0 for none; that of commands which can be done by halves unless another is given.
    """
    limit = session.settings.command_limit if limit is None else limit
    if not limit or len(uids) <= limit:
        return Cut(uids)
    kept = uids[-limit:]
    return Cut(kept, b"%b %d" % (CODE % limit, kept[0]))


def too_many(session: Session, uids: Sequence[int]) -> Reply | None:
    """The refusal of a COPY of so many messages; None if they may be copied."""
    cut = topmost(session, uids, session.settings.message_limit)
    return no("too many messages to copy at once", cut.code) if cut.code else None


def too_wide(session: Session, count: int) -> Reply | None:
    """The refusal of a command that is for so many messages and not done by halves; None if it may be done."""
    limit = session.settings.command_limit
    return no("too many messages for one command", CODE % limit) if limit and count > limit else None


def limited(session: Session, reply: Reply, cut: Cut) -> Reply:
    """
    A command's answer with what its limit has to say.

    Where the answer has a response code already, that one stays, and the limit's goes ahead in an untagged NO.
    """
    if not cut.code:
        return reply
    if not reply.code:
        return replace(reply, code=cut.code)
    session.wire.write(responses.status(b"*", b"NO", "not all messages have been worked on", cut.code))
    return reply


def searched(view: View, query: Query) -> Sequence[int]:
    """UIDs of the messages in view that a search is about: those that its sets of messages, if it has any, leave over."""
    ranges = bounds(query)
    return view.uids if ranges is None else view.by_uid(ranges)


def bounds(query: Query) -> Sequence[Range] | None:
    """The UIDs outside of which nothing can match by sets alone; None where there is no set that must match."""
    if isinstance(query, Uids):
        return query.ranges
    if not isinstance(query, And):
        return None
    found: Sequence[Range] | None = None
    for one in query.queries:
        ranges = bounds(one)
        if ranges is not None:
            found = ranges if found is None else shared(found, ranges)
    return found
