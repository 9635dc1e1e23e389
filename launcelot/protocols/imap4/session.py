"""
One peer's session: its state, what it may see, and the one place where refusals become IMAP's words.

RFC 3501 section 3 has the states and section 7.1 the response codes, RFC 5530 most of the latter.  A session knows its
connection through :class:`Connection` and the stores through their interfaces; it does not import Twisted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from launcelot.accounts.interface import Account
from launcelot.core.errors import (
    BadCredentials,
    Exists,
    Gone,
    InUse,
    Invalid,
    LimitReached,
    NotFound,
    NotPermitted,
    OverQuota,
    ReadOnly,
    Refusal,
    TooLarge,
    TryLater,
    Unsupported,
)
from launcelot.core.wire import Wire
from launcelot.hosting import sasl
from launcelot.hosting.sharing import SharedMail
from launcelot.mailstore.interface import AccountMail, MessageState
from launcelot.mailstore.names import known as known_name
from launcelot.mailstore.rights import FLAGS, permitted
from launcelot.protocols.imap4 import capabilities
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.sets import format_set
from launcelot.protocols.imap4.listening import Listening
from launcelot.protocols.imap4.news import News
from launcelot.protocols.imap4.settings import Settings
from launcelot.protocols.imap4.view import View

if TYPE_CHECKING:
    from launcelot.hosting.site import Site

GRACE = 0.02
"""Seconds a session works before it lets others have a turn."""


class State(Enum):
    """RFC 3501 section 3."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and asked many times for each command.

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


class Extension(Enum):
    """What a client can switch on for the rest of its session.  RFC 5161, RFC 7162 section 3.2.3."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and asked many times for each command.

    CONDSTORE = b"CONDSTORE"
    QRESYNC = b"QRESYNC"
    METADATA = b"METADATA"
    UTF8 = b"UTF8=ACCEPT"
    UIDONLY = b"UIDONLY"
    REV2 = b"IMAP4rev2"


WITH_MODSEQ = frozenset({Extension.CONDSTORE, Extension.QRESYNC})
"""Those after which every change of flags is told with its MODSEQ."""


LAWFUL: Mapping[State, frozenset[State]] = {
    State.NOT_AUTHENTICATED: frozenset({State.AUTHENTICATED, State.LOGOUT}),
    State.AUTHENTICATED: frozenset({State.SELECTED, State.LOGOUT}),
    State.SELECTED: frozenset({State.SELECTED, State.AUTHENTICATED, State.LOGOUT}),
    State.LOGOUT: frozenset(),
}
"""Where each state may lead."""


class Unlawful(Exception):
    """A transition that :data:`LAWFUL` does not have: our bug."""


class Bye(Exception):
    """
    The session must end now with an untagged BYE.

    :param text: for people.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class CutOff(Exception):
    """The session must end in the middle of a response, because its octets can no longer be had."""


@dataclass(frozen=True, slots=True)
class Reply:
    """
    The tagged end of a command.

    :ivar condition: ``OK``, ``NO`` or ``BAD``.
    :ivar code: a response code without brackets, or empty.
    """

    condition: bytes
    text: str
    code: bytes = b""


def ok(text: str, code: bytes = b"") -> Reply:
    """The command has been done."""
    return Reply(b"OK", text, code)


def no(text: str, code: bytes = b"") -> Reply:
    """The command was understood and is not done."""
    return Reply(b"NO", text, code)


def bad(text: str, code: bytes = b"") -> Reply:
    """The command was not understood, or does not belong here."""
    return Reply(b"BAD", text, code)


def reply_for(refusal: Refusal, creatable: bool = False) -> Reply:
    """
    A refusal in IMAP's words.

    :param creatable: whether a mailbox that is not found could be created and the command repeated.  RFC 3501 section
        7.1 TRYCREATE.
    """
    if creatable and isinstance(refusal, NotFound):
        return no(refusal.text, b"TRYCREATE")
    for kind in type(refusal).__mro__:
        code = CODES.get(kind)
        if code is not None:
            return no(refusal.text, code)
    return no(refusal.text, b"CANNOT")


CODES: Mapping[type, bytes] = {
    NotFound: b"NONEXISTENT",
    Exists: b"ALREADYEXISTS",
    NotPermitted: b"NOPERM",
    BadCredentials: b"AUTHENTICATIONFAILED",
    OverQuota: b"OVERQUOTA",
    TooLarge: b"TOOBIG",
    InUse: b"INUSE",
    ReadOnly: b"CANNOT",
    Unsupported: b"CANNOT",
    Invalid: b"CANNOT",
    Gone: b"EXPUNGEISSUED",
    LimitReached: b"LIMIT",
    TryLater: b"UNAVAILABLE",
}
"""Response codes of RFC 5530 section 3, RFC 7889 section 4 (TOOBIG) by refusal."""


class Connection(Wire, Protocol):
    """What a session asks of its connection beyond octets."""

    @property
    def source(self) -> str:
        """The peer's address as text."""

    def seconds(self) -> float:
        """The monotonic clock."""

    async def turn(self) -> None:
        """Let other connections have their turn."""

    def every(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Have ``call`` called each time so many seconds have passed, until the function that is returned is called."""

    def begin_tls(self) -> None:
        """Speak TLS from the next octet on, as the server."""

    @property
    def compressed(self) -> bool:
        """Whether DEFLATE is in use."""

    def begin_compression(self) -> None:
        """Compress from the next octet on, both ways."""

    def end_compression(self) -> None:
        """Compress no more, if it was."""

    def channel_binding(self, kind: str) -> bytes | None:
        """See :mod:`launcelot.hosting.binding`."""

    async def line_or_notice(self, limit: int) -> bytes | None:
        """The next line; None when :meth:`notice` came first.  RFC 2177 needs both at once."""

    def notice(self) -> None:
        """Wake ``line_or_notice``."""

    def logged_in(self, name: str) -> None:
        """Who it is, for the log."""


class Session:
    """
    One peer.

    :param loopback: whether the peer is on this machine.
    :ivar renounced: whether it has ended and another one takes its place.
    :ivar bad_commands: how many commands in a row were answered BAD.
    :ivar enabled: what the client has switched on; QRESYNC comes with CONDSTORE.
    :ivar news: of annotations, once the client has asked for it.
    :ivar notices: what the client wants to be told, once it has said so; None for what it is told otherwise.
    :ivar own: changes by UID that the present command has answered itself, with their MODSEQ.
    """

    renounced = False

    def __init__(self, connection: Connection, site: Site, settings: Settings, loopback: bool) -> None:
        self.wire = connection
        self.site = site
        self.settings = settings
        self.loopback = loopback
        self.state = State.NOT_AUTHENTICATED
        self.bad_commands = 0
        self.enabled: frozenset[Extension] = frozenset()
        self.own: dict[int, int] = {}
        self.tag = b"*"
        self._account: Account | None = None
        self._mail: SharedMail | None = None
        self._view: View | None = None
        self.news: News | None = None
        self.notices: Listening | None = None
        self._worked_since = 0.0

    # -- state -----------------------------------------------------------------------------------------------------

    def move_to(self, state: State) -> None:
        """
        Change state.

        :raises Unlawful: :data:`LAWFUL` does not have this.
        """
        if state not in LAWFUL[self.state]:
            raise Unlawful(f"{self.state.value} to {state.value}")
        self.state = state

    def log_in(self, account: Account, mail: AccountMail) -> None:
        """Become authenticated; the time for logging in is over."""
        self.move_to(State.AUTHENTICATED)
        self._account = account
        site = self.site
        self._mail = SharedMail(mail, account, site.mail, site.accounts, site.staging, self.breathe)
        self.wire.limit_total(None)
        self.wire.limit_idle(self.settings.idle_timeout)
        self.wire.logged_in(account.name)

    @property
    def account(self) -> Account:
        """Whose session it is."""
        if self._account is None:
            raise Unlawful("nobody has logged in")
        return self._account

    async def present(self) -> Account:
        """
        The account as it is now, with limits that may have been changed since it logged in; they count from here on.

        :raises Gone: it has been removed or disabled.
        """
        try:
            account = await self.site.accounts.account(self.account.name)
        except NotFound:
            raise Gone("the account has been removed") from None
        if account.id != self.account.id or not account.enabled:
            raise Gone("the account has been removed")
        if account != self._account:
            self._account = account
            self.mail.limit(account.quota, account.messages)
        return account

    @property
    def mail(self) -> SharedMail:
        """The account's mail, and what others share with it."""
        if self._mail is None:
            raise Unlawful("nobody has logged in")
        return self._mail

    @property
    def view(self) -> View:
        """The selected mailbox."""
        if self._view is None:
            raise Unlawful("no mailbox is selected")
        return self._view

    @property
    def selected(self) -> bool:
        """Whether a mailbox is selected."""
        return self._view is not None

    @property
    def writable_view(self) -> View:
        """
        The selected mailbox, to be changed.

        :raises ReadOnly: it was opened with EXAMINE.
        """
        if self.view.read_only:
            raise ReadOnly("mailbox is read-only")
        return self.view

    def select(self, view: View) -> None:
        """Have a mailbox selected."""
        self.move_to(State.SELECTED)
        self._view = view
        self.attend(False)

    def unselect(self) -> None:
        """Have none selected."""
        view, self._view = self._view, None
        if view is not None:
            view.close()
            self.move_to(State.AUTHENTICATED)

    def renounce(self) -> None:
        """Let go of everything, so that a new session can begin on the connection.  RFC 8437."""
        self.end()
        self.renounced = True

    def end(self) -> None:
        """Let go of everything; the session is over."""
        view, self._view = self._view, None
        if view is not None:
            view.close()
        if self.news is not None:
            self.news.close()
        if self.notices is not None:
            self.notices.close()
        self.state = State.LOGOUT

    # -- extensions ------------------------------------------------------------------------------------------------

    @property
    def tells_modseq(self) -> bool:
        """Whether every change of flags is told with its MODSEQ."""
        return Extension.CONDSTORE in self.enabled

    @property
    def utf8(self) -> bool:
        """Whether names and strings are UTF-8 both ways, without modified UTF-7.  RFC 9755 section 3, RFC 9051 section 5.1."""
        return Extension.UTF8 in self.enabled or self.rev2

    @property
    def rev2(self) -> bool:
        """Whether IMAP4rev2 is spoken in the place of IMAP4rev1.  RFC 9051 appendix A."""
        return Extension.REV2 in self.enabled

    @property
    def uid_only(self) -> bool:
        """Whether messages are named by their UIDs alone, both ways.  RFC 9586."""
        return Extension.UIDONLY in self.enabled

    def name_of(self, mailbox: str) -> bytes:
        """A mailbox's name as this client reads it."""
        return responses.mailbox(mailbox, self.utf8)

    @property
    def tells_vanished(self) -> bool:
        """Whether VANISHED with UIDs is told in the place of EXPUNGE."""
        return Extension.QRESYNC in self.enabled

    @property
    def tells_uid(self) -> bool:
        """
        Whether what nobody asked for is told with its UID, as it also is after NOTIFY.

        RFC 7162 section 3.2.4, RFC 9051 section 7.5.2, RFC 5465 section 5.1.
        """
        return self.tells_modseq or self.rev2

    def enable(self, extension: Extension) -> None:
        """Switch an extension on; the first to need MODSEQ learns where the selected mailbox stands."""
        if extension in WITH_MODSEQ:
            if not self.tells_modseq and self._view is not None:
                self.tell_highest(self._view)
            self.enabled |= {Extension.CONDSTORE}
        self.enabled |= {extension}
        if extension is Extension.REV2 and self._view is not None:
            self._view.become_rev2()

    def tell_highest(self, view: View) -> None:
        """HIGHESTMODSEQ: up to where the client has been told.  RFC 7162 section 3.1.2.1."""
        self.inform("Highest", b"HIGHESTMODSEQ %d" % view.settled)

    # -- what is told ----------------------------------------------------------------------------------------------

    @property
    def passwords(self) -> bool:
        """Whether a password may be sent now."""
        allowed = self.settings.plaintext_login
        return self.wire.secure or allowed == "always" or (allowed == "loopback" and self.loopback)

    def capabilities(self) -> bytes:
        """The capabilities that hold now."""
        authenticated = self.state is not State.NOT_AUTHENTICATED
        offered = self.site.has_tls and not self.wire.secure and not authenticated
        return capabilities.words(
            capabilities.Circumstances(
                offered,
                self.passwords,
                authenticated,
                self.settings.max_append_size,
                sasl.offered(self.site.logins, self.passwords, self.wire.secure),
                self.wire.compressed,
                self.settings.message_limit,
                not self.settings.command_limit,
                self.settings.unauthenticate,
            )
        )

    def untagged(self, data: bytes) -> None:
        """One untagged response, without star and line end."""
        self.wire.write(b"* %b\r\n" % data)

    def inform(self, words: str, code: bytes) -> None:
        """An untagged OK with a response code."""
        self.wire.write(responses.status(b"*", b"OK", words, code))

    def finish(self, tag: bytes, reply: Reply) -> None:
        """The tagged reply."""
        self.wire.write(responses.status(tag, reply.condition, reply.text, reply.code))

    # -- the selected mailbox --------------------------------------------------------------------------------------

    async def update(self, expunge: bool, ask: bool = False) -> None:
        """
        Tell the client what others have done to its mailbox.

        :param expunge: whether numbers may shift now.  RFC 3501 section 7.4.1.
        :param ask: ask the store even when it has told of nothing.
        :raises Bye: the mailbox has been deleted.  RFC 2180 section 3.3.
        """
        view = self._view
        if view is None:
            return
        known: list[MessageState] = []
        new = 0
        notices = self.notices
        if notices is not None and not notices.follows_selected:
            # RFC 5465 section 5: a snapshot, but for what the client does itself.
            if expunge and view.gone:
                self._tell_gone(view)
            return
        if view.dirty or ask:
            try:
                known, new = await view.refresh(self.own)
            except Gone:
                raise Bye("the selected mailbox has been deleted") from None
        if view.gone and (expunge or (notices is not None and not notices.delayed)):
            self._tell_gone(view)
        if new:
            self.untagged(b"%d EXISTS" % len(view))
        recent = view.recent_count()
        if (new or recent != view.told_recent) and not self.rev2:
            view.told_recent = recent
            self.untagged(b"%d RECENT" % recent)
        if known and (notices is None or notices.tells_flags):
            try:
                await self._tell_flags(view, known)
            except Gone:
                raise Bye("the selected mailbox has been deleted") from None
        if not view.gone:
            view.settled = view.modseq
        if view.unshared:
            try:
                await view.share()
            except Gone:
                raise Bye("the selected mailbox has been deleted") from None
        if view.mailbox.rights != view.told_rights:
            self.tell_flags_of(view)
        if new and notices is not None:
            await notices.tell_new(view.uids[-new:])

    def answers(self, states: Iterable[MessageState], modseq: int) -> None:
        """The present command tells of these changes of its own; ``modseq`` as in :class:`Stored`."""
        if not self.view.advance(modseq):
            self.own.update((state.uid, state.modseq) for state in states)

    async def tell_all(self, expunge: bool, ask: bool = False) -> None:
        """Tell whatever has happened that the client is to be told; see :meth:`update`."""
        if self.selected:
            await self.update(expunge, ask)
        await self.tell_news()
        if self.notices is not None:
            await self.notices.tell()

    def attend(self, idles: bool) -> None:
        """Have the connection woken by what happens, while the client idles, or always once it has asked for that."""
        notice = self.wire.notice if idles or self.notices is not None else None
        if self._view is not None:
            self._view.notify = notice
        if self.news is not None:
            self.news.notify = notice

    def made(self, mailbox: str, uids: Iterable[int]) -> None:
        """The session has itself put messages into a mailbox."""
        if self.notices is not None and self._view is not None and known_name(mailbox) == self._view.mailbox.info.name:
            self.notices.made(uids)

    def _tell_gone(self, view: View) -> None:
        """EXPUNGE for each message, or VANISHED for all.  RFC 7162 section 3.2.10.2."""
        uids = sorted(view.gone)
        numbers = view.tell_gone()
        if self.tells_vanished or self.uid_only:
            self.untagged(b"VANISHED " + format_set(uids))
        else:
            self.wire.write(b"".join([b"* %d EXPUNGE\r\n" % number for number in numbers]))

    async def _tell_flags(self, view: View, states: list[MessageState]) -> None:
        await self.tell_keywords(view, frozenset().union(*[state.flags for state in states]))
        uid, modseq = self.tells_uid or self.notices is not None, self.tells_modseq
        only = self.uid_only
        rows = [
            responses.state_row(number, state, view.flags_of(state.flags, state.uid), uid and not only, modseq, only)
            for state in states
            if (number := view.number(state.uid))
        ]
        self.wire.write(b"".join(rows))

    async def tell_keywords(self, view: View, used: frozenset[str]) -> None:
        """Tell of keywords the client has not heard of, before it sees them on a message.  RFC 3501 section 7.2.6."""
        used = frozenset(flag for flag in used if not flag.startswith("\\"))
        if not used <= view.keywords:
            view.keywords = view.keywords.union((await view.mailbox.status()).keywords, used)
            view.full = False
            self.tell_flags_of(view)

    def tell_full(self, view: View) -> None:
        """The mailbox takes no further keyword now: PERMANENTFLAGS without ``\\*``.  RFC 9051 section 7.1."""
        if not view.full:
            view.full = True
            self.tell_flags_of(view)

    def tell_flags_of(self, view: View) -> None:
        """FLAGS and PERMANENTFLAGS of the mailbox; the latter as far as its access list goes.  RFC 4314 section 5.1.1."""
        defined = frozenset(responses.SYSTEM) | view.keywords
        self.untagged(b"FLAGS " + responses.flags(defined))
        rights = view.told_rights = view.mailbox.rights
        if view.read_only or not rights & FLAGS:
            self.inform("No flags can be changed", b"PERMANENTFLAGS ()")
        else:
            new = frozenset() if view.full else frozenset({"\\*"})
            changeable = frozenset(permitted(defined | new, rights))
            self.inform("Flags that can be changed", b"PERMANENTFLAGS " + responses.flags(changeable))

    # -- annotations -----------------------------------------------------------------------------------------------

    async def tell_news(self) -> None:
        """Annotations that others have changed.  RFC 5464 section 4.4.2."""
        if self.news is not None:
            for mailbox, entries in (await self.news.take()).items():
                if self.notices is not None and not self.notices.tells_entries(mailbox):
                    continue
                names = b" ".join(responses.astring(entry.encode("ascii")) for entry in dict.fromkeys(entries))
                self.untagged(b"METADATA %b %b" % (self.name_of(mailbox), names))

    # -- turns -----------------------------------------------------------------------------------------------------

    def rested(self) -> None:
        """The session has waited; its share of time begins anew."""
        self._worked_since = self.wire.seconds()

    async def breathe(self) -> None:
        """Let others have a turn if this session has worked for long; called between pieces of large work."""
        if self.wire.seconds() - self._worked_since > GRACE:
            await self.wire.turn()
            self.rested()


Run = Callable[[Session, object], Awaitable[Reply]]
