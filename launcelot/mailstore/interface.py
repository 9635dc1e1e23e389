"""
Mailboxes and messages: what SMTP delivery, POP3 and IMAP see of an account's mail.

Invariants every implementation keeps (and :mod:`tests.mailstore.contract` asks of each):

- UIDs ascend, are never reused, and are unique with UIDVALIDITY for ever.  RFC 9051 section 2.3.1.1.
- Every change of a mailbox raises its HIGHESTMODSEQ; an expunged UID is remembered with the MODSEQ of its removal.
- What a method has returned is durable.  Each method is one transaction: all or nothing.
- Bodies are kept octet for octet.
- Mailbox names are ``str`` with ``/`` between levels; ``INBOX`` in any case is the one inbox.
- Flags are ``str``: system flags with backslash in the spelling of RFC 9051, keywords as first given, compared without case.
  ``\\Recent`` is never stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple, Protocol

from launcelot.core.ids import AccountId
from launcelot.mailstore.annotations import Annotations
from launcelot.mailstore.grants import Grants
from launcelot.mailstore.ordering import Criterion
from launcelot.mailstore.query import Query
from launcelot.mailstore.rights import Rights
from launcelot.mailstore.scripts import Scripts
from launcelot.mailstore.sheets import Asked, Sheet
from launcelot.mailstore.threads import Algorithm, Bundle
from launcelot.message.surrogate import LineSizes
from launcelot.workers.staging import Buffer

INBOX = "INBOX"
SEPARATOR = "/"
SYSTEM_FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
Furnishing = Sequence[tuple[str, str]]
"""Names and special uses of the mailboxes that a new account has besides INBOX, subscribed."""
MAX_KEYWORDS = 64
"""Keywords a mailbox takes; more are refused with LimitReached."""


class StoreMode(Enum):
    """How given flags are combined with those a message has."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


@dataclass(frozen=True, slots=True)
class MailboxInfo:
    """
    One mailbox in a listing.

    :ivar id: MAILBOXID, kept through a rename.  RFC 8474 section 4.
    :ivar selectable: False for a name that exists only because something lies below it.
    :ivar special_use: such as ``"\\\\Sent"``, or empty.  RFC 6154.
    """

    id: str
    name: str
    selectable: bool = True
    subscribed: bool = False
    has_children: bool = False
    special_use: str = ""


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """
    The numbers of a mailbox.

    :ivar recent_from: messages with this UID and above have been shown to no session as recent.
    :ivar first_unseen: lowest UID without ``\\\\Seen``; 0 if there is none.
    :ivar size: octets of all messages together.
    """

    id: str
    uid_validity: int
    uid_next: int
    highest_modseq: int
    messages: int
    unseen: int
    deleted: int
    recent_from: int
    first_unseen: int
    size: int
    keywords: tuple[str, ...]


class MessageState(NamedTuple):
    """What changes of a message; a tuple, because there are many."""

    uid: int
    modseq: int
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message without its octets.

    :ivar envelope: ready to send after ``ENVELOPE``; likewise ``body`` and ``body_structure``.
    :ivar parts: offsets of all parts, for :class:`launcelot.message.sections.PartTable`.
    :ivar header_size: octets up to and with the empty line.
    :ivar thread_id: None where nobody has asked for it yet; see :meth:`Mailbox.find_threads`.
    """

    uid: int
    modseq: int
    flags: frozenset[str]
    internal_date: datetime
    saved: datetime
    size: int
    header_size: int
    email_id: str
    envelope: bytes
    body: bytes
    body_structure: bytes
    parts: bytes
    thread_id: str | None = None


class Stored(NamedTuple):
    """
    What came of changing flags.

    :ivar states: the present states of all that exist and were not left alone, ascending by UID.
    :ivar alone: UIDs that were left alone.
    :ivar modseq: what all messages have that the change touched, and no other message; 0 if nothing changed, or if it took
        several changes.
    """

    states: Sequence[MessageState]
    alone: Sequence[int]
    modseq: int


@dataclass(frozen=True, slots=True)
class Changes:
    """
    What happened to a mailbox since a MODSEQ.

    :ivar changed: messages that are new or have new flags, by UID; new ones have UIDs at or above the UIDNEXT then.
    :ivar vanished: UIDs removed since, ascending.
    """

    highest_modseq: int
    uid_next: int
    changed: tuple[MessageState, ...]
    vanished: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a message went.  RFC 4315 section 3 APPENDUID."""

    uid_validity: int
    uid: int
    email_id: str


class Scripted(Exception):
    """A Sieve script is active and has to be asked what becomes of a message."""


@dataclass(frozen=True, slots=True)
class Draft:
    """
    A message that is to be added together with others.

    :ivar body: gives its octets, asked where they are needed, maybe twice and in another thread.
    :ivar size: of them.
    :ivar internal_date: None for now.
    """

    body: Callable[[], Buffer]
    size: int
    flags: Collection[str] = ()
    internal_date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filing:
    """
    A message that a filtered delivery puts somewhere.

    :ivar mailbox: its name; INBOX is taken if there is none and it is not to be made.
    :ivar special_use: the mailbox that has it is preferred.
    """

    draft: Draft
    mailbox: str = INBOX
    create: bool = False
    special_use: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """
    A message that a filtered delivery sends.

    :ivar position: among those of its delivery.
    :ivar sender: an address, or empty for the null path.
    """

    position: int
    sender: str
    recipient: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Copied:
    """Where messages went, in the order of their source UIDs.  RFC 4315 section 3 COPYUID."""

    uid_validity: int
    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What an account's mail takes.

    :ivar beside: octets of other things that count for the same quota; 0 where there is no limit of octets.
    """

    octets: int
    messages: int
    beside: int = 0


@dataclass(frozen=True, slots=True)
class Glance:
    """
    How a mailbox stands, in the few numbers that tell whether something has happened in it.

    :ivar number: names it among the numbers that :meth:`AccountMail.watch` tells; kept through a rename.
    """

    number: int
    id: str
    name: str
    uid_validity: int
    uid_next: int
    highest_modseq: int
    messages: int
    unseen: int


class Mailbox(Protocol):
    """One mailbox, for as long as somebody works with it."""

    @property
    def info(self) -> MailboxInfo:
        """Its id and its name when it was opened."""

    @property
    def opened(self) -> Glance:
        """
        How it stood when it was opened: for who wants to know whether something has happened since the last time.

        :raises NotPermitted: it was not to be read then.
        """

    @property
    def rights(self) -> Rights:
        """What may be done with it, as far as known now; all with one's own.  RFC 4314."""

    async def status(self) -> MailboxStatus:
        """
        Its numbers now; constant time.

        :raises Gone: (as every method below) it has been deleted.
        """

    async def deleted_size(self) -> int:
        """Octets of the messages flagged ``\\Deleted``: what EXPUNGE would free.  RFC 9208 section 4.1.4."""

    async def uids(self) -> Sequence[int]:
        """Every message's UID, ascending: what SELECT asks of a mailbox."""

    async def states(self, uids: Sequence[int] | None = None) -> Sequence[MessageState]:
        """UID, MODSEQ and flags of every message, or of those among ``uids`` that are there; ascending by UID."""

    async def sizes(self) -> Sequence[tuple[int, int]]:
        """Every message's UID and octets, ascending by UID: what a POP3 log-in asks of a whole mailbox."""

    async def line_sizes(self) -> Mapping[int, LineSizes]:
        """The octets of those messages that POP3 does not send as they are stored, by UID; most mailboxes have none."""

    async def changes(self, since: int) -> Changes:
        """What happened after MODSEQ ``since``; empty and cheap when nothing did."""

    async def claim_recent(self) -> int:
        """``recent_from`` as it was, after which nothing that exists now is recent to anybody else."""

    def messages(self, uids: Sequence[int]) -> AsyncIterator[Sequence[Message]]:
        """Messages in the order of ``uids`` (ascending), in batches; those that are gone are left out."""

    def sheets(self, uids: Sequence[int], columns: Sequence[Asked]) -> AsyncIterator[Sheet]:
        """Some columns of messages in the order of ``uids`` (ascending), in batches; those that are gone are left out."""

    async def sheet(self, uid: int, columns: tuple[Asked, ...]) -> Sheet | None:
        """
        The same of one message, as fast as can be.

        :returns: None where it is not there, or only :meth:`sheets` can tell.
        """

    async def find_threads(self) -> None:
        """
        See to it that every message there is now has its THREADID, which it keeps.  RFC 8474 section 5.2.

        Sheets with them, and searches for them, do so themselves.
        """

    async def read(self, uid: int, offset: int, length: int) -> bytes:
        """
        Octets of a message; fewer than ``length`` only at its end.

        :raises Gone: the message is no longer there.
        """

    async def append(self, body: Buffer, flags: Collection[str], internal_date: datetime | None = None) -> Appended:
        """
        Add a message; the time is now if none is given.

        :raises OverQuota: the account is full.
        :raises LimitReached: too many keywords.
        :raises Invalid: a flag with a backslash does not exist, or a keyword is empty, over 200 octets or not printable ASCII.
        """

    async def append_all(self, drafts: Sequence[Draft]) -> Sequence[Appended]:
        """
        Add messages in one transaction, in order; all or none.  RFC 3502.

        :raises Refusal: as :meth:`append` does; nothing is added then.
        """

    async def replace(self, uid: int, body: Buffer, target: str, draft: Draft) -> Appended:
        """
        Add a message to a mailbox and remove one here, in one transaction.  RFC 8508 section 3.4.

        Only what the account grows by counts for its quota.

        :param body: of the new message; what else belongs to it stands in ``draft``.
        :raises Gone: the one to be removed is no longer there.
        :raises NotFound: no such target.
        :raises Refusal: as :meth:`append` does; nothing is changed then.
        """

    async def store(
        self, uids: Sequence[int], mode: StoreMode, flags: Collection[str], unchanged_since: int | None = None
    ) -> Stored:
        """
        Change flags; MODSEQ is raised only where something changed.

        :param unchanged_since: leave messages alone whose MODSEQ is above; but not, unless flags are replaced, where it is known
            that only other flags have been changed since then.  RFC 7162 sections 3.1.3 and 3.1.12.
        :raises LimitReached: too many keywords.
        :raises Invalid: an impossible flag, as in :meth:`append`.
        """

    async def expunge(self, uids: Sequence[int] | None = None) -> Sequence[int]:
        """Remove messages flagged ``\\\\Deleted``, all or those among ``uids``; what was removed, ascending."""

    async def remove(self, uids: Sequence[int]) -> Sequence[int]:
        """Remove messages whatever their flags, all in one transaction (POP3 QUIT); what was removed, ascending."""

    async def copy(self, uids: Sequence[int], target: str) -> Copied:
        """
        Copy messages with flags and dates; those that are gone are left out.

        :raises NotFound: no such target.
        :raises OverQuota: the account is full.
        :raises LimitReached: the target has no room for keywords it lacks.
        """

    async def move(self, uids: Sequence[int], target: str) -> Copied:
        """
        Copy and remove in one transaction.

        :raises NotFound: no such target.
        :raises LimitReached: the target has no room for keywords it lacks.
        """

    async def search(self, query: Query) -> Sequence[int]:
        """
        UIDs that match, ascending; sequence numbers have been turned into UIDs before.

        :raises Invalid: the query has more than 100 levels.
        """

    async def sort(self, uids: Sequence[int], criteria: Sequence[Criterion]) -> Sequence[int]:
        """Those messages among ``uids`` that are there, in the order of some criteria.  RFC 5256."""

    async def thread(self, uids: Sequence[int], algorithm: Algorithm) -> Sequence[Bundle]:
        """Those messages among ``uids`` that are there, as threads.  RFC 5256."""

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """
        Have ``changed`` called after every commit that changed this mailbox, by whomever.

        :returns: call it to stop.
        """


class AccountMail(Protocol):
    """One account's mail."""

    async def mailboxes(self) -> Sequence[MailboxInfo]:
        """All names, INBOX first, then by name."""

    async def mailbox(self, name: str) -> Mailbox:
        """
        Open a mailbox.

        :raises NotFound: there is none, or the name cannot be selected.
        """

    async def create(self, name: str, special_use: str = "") -> MailboxInfo:
        """
        Make a mailbox and, where they are missing, those above it.  RFC 9051 section 6.3.4.

        :raises Exists: the name is taken.
        :raises LimitReached: the account has too many mailboxes.
        :raises Invalid: the name is empty, over 1,000 octets, deeper than 32, or has an empty level or a control.
        """

    async def delete(self, name: str) -> None:
        """
        Delete a mailbox and its messages; names below it stay.  RFC 9051 section 6.3.5.

        :raises NotFound: there is none.
        :raises NotPermitted: it is INBOX, or only a name with others below it.
        """

    async def rename(self, name: str, to: str) -> None:
        """
        Rename a mailbox and all below it; of INBOX the messages move and it stays, empty.  RFC 9051 section 6.3.6.

        :raises NotFound: there is none.
        :raises Exists: the new name is taken.
        :raises Invalid: the new name is impossible, or lies below the old one.
        """

    async def designate(self, name: str, special_use: str) -> None:
        """
        Say what a mailbox is for, or with an empty text that it is for nothing special.  RFC 6154 section 4.

        :raises NotFound: there is none.
        """

    async def glances(self, numbers: Collection[int] | None = None) -> Sequence[Glance]:
        """How mailboxes stand, all of them or those with some numbers, by number; what has been deleted is left out."""

    def watch(self, changed: Callable[[Collection[int]], None]) -> Callable[[], None]:
        """
        Have ``changed`` called after every commit with the numbers of the mailboxes it touched, by whomever.

        Among them are :data:`launcelot.mailstore.watchers.TREE` when names or subscriptions have changed, and
        :data:`~launcelot.mailstore.watchers.EVERYTHING` when anything may have.

        :returns: call it to stop.
        """

    async def subscriptions(self) -> Sequence[str]:
        """Subscribed names, whether they exist or not."""

    async def subscribe(self, name: str, subscribed: bool = True) -> None:
        """
        Set or clear a subscription; it outlives the mailbox.  RFC 9051 section 6.3.7.

        :raises Invalid: the name is impossible.
        :raises LimitReached: too many names are subscribed.
        """

    @property
    def annotations(self) -> Annotations:
        """Annotations of the account and its mailboxes.  RFC 5464."""

    @property
    def grants(self) -> Grants:
        """Access lists of the account's mailboxes.  RFC 4314."""

    async def deliver(
        self,
        body: Buffer,
        delivery: str,
        mailbox: str = INBOX,
        flags: Collection[str] = (),
        unless_scripted: bool = False,
    ) -> Appended | None:
        """
        Deliver once: in the same transaction the key is remembered and the message added.

        :param delivery: names this delivery, such as spool id and recipient.
        :param unless_scripted: only where no script is active.
        :returns: None if this delivery was made before.
        :raises Scripted: one is; nothing has been done.
        :raises NotFound: no such mailbox.
        :raises OverQuota: the account is full.
        """

    @property
    def scripts(self) -> Scripts:
        """Sieve scripts, and what deliveries through them keep."""

    async def file(
        self,
        delivery: str,
        filings: Sequence[Filing],
        remember: Sequence[tuple[str, int]] = (),
        outgoing: Sequence[Outgoing] = (),
    ) -> bool:
        """
        Deliver once, through a script: in one transaction the key, all messages, what is to be remembered and sent.

        Keywords that a mailbox has no room for are left out.

        :param remember: ids with the seconds since 1970 when they are forgotten.
        :returns: False if this delivery was made before.
        :raises OverQuota: the account is full.
        """

    async def outgoing(self, delivery: str) -> Sequence[Outgoing]:
        """What a delivery has to send and :meth:`sent` has not been told of."""

    async def sent(self, delivery: str) -> None:
        """Forget what a delivery had to send: somebody has it."""

    async def forget_deliveries(self, deliveries: Sequence[str]) -> None:
        """Drop keys that will not come again."""

    def limit(self, quota: int, messages: int = 0) -> None:
        """Change the limits for whatever has been opened from this object; as :meth:`MailStore.mail` has them."""

    async def usage(self) -> Usage:
        """What the account's mail takes; constant time."""

    def lock(self) -> Callable[[], None]:
        """
        Take the maildrop for one POP3 session.  RFC 1939 section 3.

        :returns: call it to let go; it may be called twice.
        :raises InUse: another session has it.
        """


def nothing_beside(account: AccountId) -> int:
    """Nothing but mail counts."""
    return 0


class MailStore(Protocol):
    """
    The mail of all accounts.

    :ivar beside: octets of other things of an account that count for its quota, such as its files; may block, and is called in
        any thread.
    """

    beside: Callable[[AccountId], int]

    async def mail(self, account: AccountId, quota: int = 0, messages: int = 0) -> AccountMail:
        """
        An account's mail, made with an INBOX and the store's :data:`Furnishing` at first use.

        :param quota: octets it may hold; 0 for no limit.
        :param messages: how many it may hold; 0 for no limit.
        """

    async def remove(self, account: AccountId) -> None:
        """Remove an account's mail; an account without any is fine."""

    async def close(self) -> None:
        """Finish what is being written and let go of files and threads."""
