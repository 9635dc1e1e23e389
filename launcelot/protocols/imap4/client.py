"""
Asks an IMAP server: a method for each command, giving typed results.  RFC 9051, RFC 3501 and extensions.

>>> client = await endpoint.connect(ImapClientFactory(reactor))          # doctest: +SKIP
>>> await client.greeting()                                             # doctest: +SKIP
>>> await client.authenticate("ann", "secret")                          # doctest: +SKIP
>>> await client.select("INBOX")                                        # doctest: +SKIP
>>> await client.fetch("1:*", b"(UID FLAGS)")                           # doctest: +SKIP

How commands are sent and answers heard is in :mod:`~launcelot.protocols.imap4.conversation`; what comes untagged is in
:mod:`~launcelot.protocols.imap4.told`.  What has no method here can be asked with :meth:`ImapClient.command`.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from launcelot.core.wire import WireEnd
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.proving import Prover
from launcelot.protocols.imap4.answers import Appended, Completed, Confused, ImapError, Listing, Selected
from launcelot.protocols.imap4.asking import Mail, Octets, Opener, Part, Request, name_of, resources_of, spaced
from launcelot.protocols.imap4.conversation import Conversation
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.told import (
    AccessList,
    Annotations,
    Expunged,
    Fetched,
    Found,
    Identity,
    Listed,
    MyRights,
    Namespaces,
    Numbers,
    PossibleRights,
    Quota,
    QuotaRoots,
    Threads,
    Told,
)
from launcelot.workers.interface import Workers

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds to wait for the next line, by default."""


class ImapClient(Conversation):
    """
    One connection to an IMAP server; parameters as :class:`ImapClientFactory`'s.

    A command whose Deferred is cancelled is still sent, and its answer dropped.
    """

    def __init__(
        self,
        clock: IReactorTime,
        deadlines: Deadlines,
        timeout: float = TIMEOUT,
        pipeline: int = 1,
        workers: Workers | None = None,
        plaintext_login: bool = False,
    ) -> None:
        super().__init__(clock, deadlines, timeout, pipeline, plaintext_login)
        self._workers = workers
        self._leaving: Deferred[None] | None = None

    # -- the connection --------------------------------------------------------------------------------------------

    def greeting(self) -> Deferred[Completed]:
        """Wait for the server's first line; it must be asked for once, before anything else."""
        return self.enqueue(Request(b"", deque(), Deferred(), alone=True))

    def command(self, name: bytes, *parts: Part, opener: Opener | None = None) -> Deferred[Completed]:
        """
        Send any command.

        :param parts: arguments, separated by spaces; octets are sent as they are and must have no line end.
        :raises ValueError: a raw argument has a control character or announces a literal.
        """
        words = deque(spaced(name, parts))
        secret = name in (b"LOGIN", b"AUTHENTICATE")
        return self.enqueue(Request(name, words, Deferred(), opener=opener, alone=name in ALONE, secret=secret))

    def capability(self) -> Deferred[frozenset[bytes]]:
        """Ask what the server can do."""
        return self.command(b"CAPABILITY").addCallback(lambda _: self.capabilities)

    def noop(self) -> Deferred[Completed]:
        """Hear of changes."""
        return self.command(b"NOOP")

    def identify(self, fields: Mapping[str, str] | None = None) -> Deferred[Mapping[str, str]]:
        """ID: say who one is, and hear who the server is.  RFC 2971."""
        words: list[Part] = [b"NIL"]
        if fields:
            words = _listed(Octets(text.encode()) for pair in fields.items() for text in pair)
        return self.command(b"ID", *words).addCallback(
            lambda done: next((one.fields for one in done.all(Identity)), {})
        )

    def secure_with(self, context: Any) -> Deferred[None]:
        """
        STARTTLS; everything heard before is forgotten.  Whether the handshake succeeds shows with the next command.

        :param context: ``optionsForClientTLS(hostname)``, which verifies the certificate and the name.
        :raises CommandFailed: the server refuses; nothing is sent in clear behind it unless the caller goes on.
        :raises Injected: the server said more than its answer in clear.
        """
        return self._layered(b"STARTTLS", lambda: self.begin_tls(context))

    def compress(self) -> Deferred[None]:
        """COMPRESS DEFLATE, both ways from here on.  RFC 4978."""
        return self._layered(b"COMPRESS DEFLATE", self.begin_compression)

    def unauthenticate(self) -> Deferred[None]:
        """UNAUTHENTICATE: be nobody again, without compression, without what was enabled.  RFC 8437."""
        return self._layered(b"UNAUTHENTICATE", self.forget_account)

    def _layered(self, words: bytes, respond: Callable[[], None]) -> Deferred[None]:
        request = Request(words.partition(b" ")[0], deque([words]), Deferred(), respond=respond, alone=True)
        return self.enqueue(request).addCallback(lambda _: None)

    def login(self, name: str, password: str) -> Deferred[Completed]:
        """
        LOGIN; name and password as UTF-8.

        :raises NotSecure: there is no TLS when its turn has come.
        """
        return self.command(b"LOGIN", Octets(name.encode()), Octets(password.encode()))

    def authenticate(self, name: str, password: str) -> Deferred[Completed]:
        """
        AUTHENTICATE with the best SCRAM that the server offers, or else with PLAIN.

        :raises NotSecure: there is no TLS when its turn has come.
        :raises Untrusted: the server accepts the password and cannot prove that it knows it.
        """
        return Deferred.fromCoroutine(self._authenticate(name, password))

    async def _authenticate(self, name: str, password: str) -> Completed:
        if not self.capabilities:
            await self.capability()
        offered = {one[5:] for one in self.capabilities if one.startswith(b"AUTH=")}
        prover = Prover.choose(name, password, self.transport, offered, self._workers)
        if prover is None:
            return await self.authenticate_plain(name, password)
        return await self._sasl(prover.mechanism, prover.first, prover)

    def authenticate_plain(self, name: str, password: str) -> Deferred[Completed]:
        """AUTHENTICATE PLAIN, in one step where the server has SASL-IR."""
        return self._sasl(b"PLAIN", b"\0%b\0%b" % (name.encode(), password.encode()))

    def _sasl(self, mechanism: bytes, first: bytes, prover: Prover | None = None) -> Deferred[Completed]:
        words, secret = b"AUTHENTICATE " + mechanism, base64.b64encode(first)
        at_once = b"SASL-IR" in self.capabilities
        parts: deque[Part] = deque([words + b" " + secret if at_once else words])
        more = deque(() if at_once else (secret,))
        request = Request(b"AUTHENTICATE", parts, Deferred(), more=more, prover=prover, alone=True, secret=True)
        return self.enqueue(request)

    def enable(self, *names: bytes) -> Deferred[frozenset[bytes]]:
        """ENABLE; what is on now, in upper case.  RFC 5161."""
        return self.command(b"ENABLE", *names).addCallback(lambda _: self.enabled)

    def namespace(self) -> Deferred[Namespaces]:
        """NAMESPACE.  RFC 2342."""
        return self.command(b"NAMESPACE").addCallback(_one(Namespaces))

    # -- mailboxes -------------------------------------------------------------------------------------------------

    def mailboxes(self, reference: str = "", pattern: str = "*") -> Deferred[list[Listed]]:
        """LIST."""
        return self.command(b"LIST", self._name(reference), self._name(pattern)).addCallback(_all(Listed))

    def subscriptions(self, reference: str = "", pattern: str = "*") -> Deferred[list[Listed]]:
        """LSUB."""
        return self.command(b"LSUB", self._name(reference), self._name(pattern)).addCallback(_all(Listed))

    def listing(
        self, *patterns: str, select: Sequence[bytes] = (), returned: Sequence[bytes] = ()
    ) -> Deferred[Listing]:
        """
        LIST with options, and what it brings besides names.  RFC 5258, RFC 5819, RFC 9590.

        :param select: such as ``SUBSCRIBED``; :param returned: such as ``STATUS (MESSAGES)``.
        """
        words: list[Part] = [b"(%b)" % b" ".join(select)] if select else []
        words += [Octets(b""), *_listed(map(self._name, patterns))]
        if returned:
            words += [b"RETURN", b"(%b)" % b" ".join(returned)]
        return self.command(b"LIST", *words).addCallback(Listing.made_from)

    def select(
        self,
        mailbox: str,
        read_only: bool = False,
        condstore: bool = False,
        known: tuple[int, int] | None = None,
    ) -> Deferred[Selected]:
        """
        SELECT, or EXAMINE.

        :param known: UIDVALIDITY and HIGHESTMODSEQ of when the mailbox was last seen; QRESYNC must be enabled.
        """
        words: list[Part] = []
        if known is not None:
            words = [b"(QRESYNC (%d %d))" % known]
        elif condstore:
            words = [b"(CONDSTORE)"]
        verb = b"EXAMINE" if read_only else b"SELECT"
        return self.command(verb, self._name(mailbox), *words).addCallback(Selected.made_from)

    def unselect(self) -> Deferred[Completed]:
        """UNSELECT.  RFC 3691."""
        return self.command(b"UNSELECT")

    def close_mailbox(self) -> Deferred[Completed]:
        """CLOSE."""
        return self.command(b"CLOSE")

    def status(self, mailbox: str, *items: bytes) -> Deferred[Mapping[bytes, Any]]:
        """STATUS."""
        asked = self.command(b"STATUS", self._name(mailbox), b"(%b)" % b" ".join(items))
        return asked.addCallback(_one(Numbers)).addCallback(lambda told: told.items)

    def create(self, mailbox: str, use: str = "") -> Deferred[Completed]:
        r"""CREATE; ``use`` is a special use such as ``\Sent``.  RFC 6154 section 3."""
        words = [b"(USE (%b))" % use.encode("ascii")] if use else []
        return self.command(b"CREATE", self._name(mailbox), *words)

    def delete(self, mailbox: str) -> Deferred[Completed]:
        """DELETE."""
        return self.command(b"DELETE", self._name(mailbox))

    def rename(self, mailbox: str, to: str) -> Deferred[Completed]:
        """RENAME."""
        return self.command(b"RENAME", self._name(mailbox), self._name(to))

    def subscribe(self, mailbox: str, subscribed: bool = True) -> Deferred[Completed]:
        """SUBSCRIBE or UNSUBSCRIBE."""
        return self.command(b"SUBSCRIBE" if subscribed else b"UNSUBSCRIBE", self._name(mailbox))

    def _name(self, mailbox: str) -> Octets:
        return name_of(mailbox, self.utf8)

    # -- messages --------------------------------------------------------------------------------------------------

    def append(
        self, mailbox: str, size: int, chunks: Iterable[bytes], flags: Sequence[str] = (), date: bytes = b""
    ) -> Deferred[Appended | None]:
        """
        APPEND, streamed: chunks are asked for while the connection takes them.

        :param size: octets of all chunks together.
        :param date: INTERNALDATE as ``launcelot.message.dates.format_internal`` writes it.
        :returns: where the message went, if the server has UIDPLUS.
        """
        return self.append_all(mailbox, [Mail(size, chunks, flags, date)])

    def append_all(self, mailbox: str, mails: Iterable[Mail]) -> Deferred[Appended | None]:
        """APPEND of several messages, all or none.  RFC 3502."""
        words = [part for mail in mails for part in mail.parts()]
        return self.command(b"APPEND", self._name(mailbox), *words).addCallback(Appended.made_from)

    def replace(self, message: int, mailbox: str, mail: Mail, uid: bool = True) -> Deferred[Appended | None]:
        """REPLACE or UID REPLACE: put one message in another's place.  RFC 8508."""
        asked = self.command(_uid(b"REPLACE", uid), b"%d" % message, self._name(mailbox), *mail.parts())
        return asked.addCallback(Appended.made_from)

    def fetch(
        self, messages: str, items: bytes, uid: bool = True, opener: Opener | None = None, modifiers: bytes = b""
    ) -> Deferred[list[Fetched]]:
        """
        FETCH or UID FETCH; rows in the order in which they came.

        :param items: such as ``b"(FLAGS BODY.PEEK[])"``.
        :param opener: gives sinks for literals; one that went to a sink is empty in its row.
        :param modifiers: such as ``b"(CHANGEDSINCE 5)"``.  RFC 7162 section 3.1.4.1.
        """
        words = [messages.encode(), items, *([modifiers] if modifiers else [])]
        return self.command(_uid(b"FETCH", uid), *words, opener=opener).addCallback(_all(Fetched))

    def store(
        self, messages: str, how: bytes, flags: Sequence[str], uid: bool = True, unchanged_since: int | None = None
    ) -> Deferred[list[Fetched]]:
        """
        STORE or UID STORE; the rows the server tells.

        :param how: ``FLAGS``, ``+FLAGS.SILENT`` ...
        :param unchanged_since: MODSEQ; what has changed since is in the code MODIFIED, see :meth:`command`.
        """
        since = [] if unchanged_since is None else [b"(UNCHANGEDSINCE %d)" % unchanged_since]
        words = [messages.encode(), *since, how, responses.flag_list(flags)]
        return self.command(_uid(b"STORE", uid), *words).addCallback(_all(Fetched))

    def copy(self, messages: str, mailbox: str, uid: bool = True, move: bool = False) -> Deferred[Completed]:
        """COPY or MOVE, by UID or number."""
        return self.command(_uid(b"MOVE" if move else b"COPY", uid), messages.encode(), self._name(mailbox))

    def expunge(self, uids: str = "") -> Deferred[list[int]]:
        """EXPUNGE, or UID EXPUNGE when UIDs are named; the numbers in the order told (none under QRESYNC)."""
        done = self.command(b"UID EXPUNGE", uids.encode()) if uids else self.command(b"EXPUNGE")
        return done.addCallback(lambda done: [one.number for one in done.all(Expunged)])

    # -- searching -------------------------------------------------------------------------------------------------

    def search(self, *keys: Part, uid: bool = True) -> Deferred[list[int]]:
        """SEARCH or UID SEARCH in UTF-8; strings are given as :class:`Octets`."""
        return self._search(b"SEARCH", (), keys, uid).addCallback(lambda found: list(found.numbers))

    def search_for(self, returned: Sequence[bytes], *keys: Part, uid: bool = True) -> Deferred[Found]:
        """
        SEARCH with RETURN.  RFC 4731, RFC 5182, RFC 9394.

        :param returned: such as ``MIN``, ``COUNT``, ``SAVE`` or ``PARTIAL 1:50``.
        """
        return self._search(b"SEARCH", (b"RETURN", b"(%b)" % b" ".join(returned)), keys, uid)

    def search_in(self, where: bytes, returned: Sequence[bytes], *keys: Part) -> Deferred[list[Found]]:
        """
        ESEARCH: several mailboxes at once; what was found in each, by UID.  RFC 7377.

        :param where: such as ``personal``, or ``subtree "lists"``; :param returned: see :meth:`search_for`.
        """
        words = (b"IN", b"(%b)" % where, b"RETURN", b"(%b)" % b" ".join(returned))
        return self.command(b"ESEARCH", *words, *keys).addCallback(_all(Found))

    def notify(self, events: bytes) -> Deferred[Completed]:
        """
        NOTIFY: be told of what happens in other mailboxes, too, while a command or :meth:`idle` is under way.  RFC 5465.

        :param events: such as ``SET (personal (MessageNew MessageExpunge))``, or ``NONE``.
        """
        return self.command(b"NOTIFY", events)

    def sort(self, criteria: bytes, *keys: Part, uid: bool = True) -> Deferred[list[int]]:
        """SORT or UID SORT; ``criteria`` such as ``b"REVERSE DATE"``.  RFC 5256."""
        words = (b"(%b)" % criteria, b"UTF-8")
        return self._search(b"SORT", words, keys, uid).addCallback(lambda found: list(found.numbers))

    def thread(self, algorithm: bytes, *keys: Part, uid: bool = True) -> Deferred[tuple[Any, ...]]:
        """THREAD or UID THREAD; trees as nested tuples.  RFC 5256."""
        done = self.command(_uid(b"THREAD", uid), algorithm, b"UTF-8", *keys)
        return done.addCallback(lambda done: next((one.threads for one in done.all(Threads)), ()))

    def _search(self, verb: bytes, before: Sequence[bytes], keys: Sequence[Part], uid: bool) -> Deferred[Found]:
        plain = all(isinstance(key, bytes) or (isinstance(key, Octets) and key.data.isascii()) for key in keys)
        charset = () if plain or self.utf8 or verb != b"SEARCH" else (b"CHARSET", b"UTF-8")
        return self.command(_uid(verb, uid), *before, *charset, *keys).addCallback(
            lambda done: next(iter(done.all(Found)), Found(()))
        )

    # -- annotations, quotas, rights -------------------------------------------------------------------------------

    def annotations(self, mailbox: str, *entries: str) -> Deferred[Mapping[str, bytes | None]]:
        """GETMETADATA; an empty name asks for the server's.  RFC 5464."""
        words = _listed(Octets(one.encode()) for one in entries)
        done = self.command(b"GETMETADATA", self._name(mailbox), *words)
        return done.addCallback(
            lambda done: {name: value for one in done.all(Annotations) for name, value in one.entries.items()}
        )

    def annotate(self, mailbox: str, entries: Mapping[str, bytes | None]) -> Deferred[Completed]:
        """SETMETADATA; None removes an entry."""
        words = [
            part
            for name, value in entries.items()
            for part in (Octets(name.encode()), b"NIL" if value is None else Octets(value))
        ]
        return self.command(b"SETMETADATA", self._name(mailbox), *_listed(words))

    def quota(self, root: str = "") -> Deferred[Quota]:
        """GETQUOTA.  RFC 9208."""
        return self.command(b"GETQUOTA", Octets(root.encode())).addCallback(_one(Quota))

    def quota_roots(self, mailbox: str) -> Deferred[tuple[QuotaRoots, list[Quota]]]:
        """GETQUOTAROOT: which quotas a mailbox counts for, and these."""
        done = self.command(b"GETQUOTAROOT", self._name(mailbox))
        return done.addCallback(lambda done: (_one(QuotaRoots)(done), done.all(Quota)))

    def set_quota(self, root: str, limits: Mapping[bytes, int]) -> Deferred[Completed]:
        """SETQUOTA."""
        return self.command(b"SETQUOTA", Octets(root.encode()), resources_of(limits))

    def rights(self, mailbox: str) -> Deferred[Mapping[str, str]]:
        """GETACL: rights by identifier.  RFC 4314."""
        return self.command(b"GETACL", self._name(mailbox)).addCallback(_one(AccessList)).addCallback(_rights)

    def set_rights(self, mailbox: str, identifier: str, rights: str) -> Deferred[Completed]:
        """SETACL; rights with ``+`` or ``-`` before them are added or taken away."""
        return self.command(b"SETACL", self._name(mailbox), Octets(identifier.encode()), Octets(rights.encode()))

    def delete_rights(self, mailbox: str, identifier: str) -> Deferred[Completed]:
        """DELETEACL."""
        return self.command(b"DELETEACL", self._name(mailbox), Octets(identifier.encode()))

    def my_rights(self, mailbox: str) -> Deferred[str]:
        """MYRIGHTS."""
        return self.command(b"MYRIGHTS", self._name(mailbox)).addCallback(_one(MyRights)).addCallback(_rights)

    def possible_rights(self, mailbox: str, identifier: str) -> Deferred[PossibleRights]:
        """LISTRIGHTS."""
        return self.command(b"LISTRIGHTS", self._name(mailbox), Octets(identifier.encode())).addCallback(
            _one(PossibleRights)
        )

    # -- idling and leaving ----------------------------------------------------------------------------------------

    def idle(self, event: Callable[[Told], None]) -> Deferred[Completed]:
        """
        IDLE until :meth:`done`; there is no time limit.  RFC 2177.

        :param event: hears everything that comes.
        """
        return self.enqueue(Request(b"IDLE", deque([b"IDLE"]), Deferred(), event=event, patient=True, alone=True))

    def done(self) -> None:
        """End the IDLE that is under way, or the first one that waits to be sent."""
        request = next((one for one in (*self._sent, *self._queue) if one.patient), None)
        if request is not None:
            request.patient = False
            if request in self._sent:
                self.say_done()

    def logout(self) -> Deferred[None]:
        """LOGOUT, then wait until the connection is closed; it ends well even if the server closes early."""
        if self._leaving is None:
            self._leaving = Deferred()
            self.command(b"LOGOUT").addBoth(self._logged_out)
            if self._lost and not self._leaving.called:
                self._leaving.callback(None)
        return self._leaving

    def _logged_out(self, result: Completed | Failure) -> None:
        if isinstance(result, Failure):
            result.trap(ImapError)
        self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail what is still to be answered; who waits for the end has it."""
        super().connectionLost(reason)
        if self._leaving is not None and not self._leaving.called:
            self._leaving.callback(None)

    def hearing_failed(self, result: Failure) -> None:
        """Leave in peace where we were leaving anyway."""
        if self._leaving is not None and result.check(WireEnd):
            self.close()
        else:
            self.abort()


class ImapClientFactory(Factory):
    """
    Makes clients.

    :param clock: the reactor, or a ``task.Clock``.
    :param timeout: seconds to wait for the next line while a command is under way.
    :param pipeline: commands that may be under way at once; see :mod:`~launcelot.protocols.imap4.conversation`.
    :param workers: where passwords are hashed for SCRAM; without, a log-in keeps the reactor for some 30 ms.
    :param plaintext_login: whether passwords may go out without TLS.
    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float = TIMEOUT,
        pipeline: int = 1,
        workers: Workers | None = None,
        plaintext_login: bool = False,
    ) -> None:
        self._plaintext_login = plaintext_login
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._timeout = timeout
        self._pipeline = pipeline
        self._workers = workers

    def buildProtocol(self, addr: IAddress | None) -> ImapClient:
        """A client for one connection."""
        return ImapClient(
            self._clock, self._deadlines, self._timeout, self._pipeline, self._workers, self._plaintext_login
        )


ALONE = frozenset(
    (
        b"LOGIN", b"AUTHENTICATE", b"SELECT", b"EXAMINE", b"ENABLE", b"UNSELECT", b"CLOSE", b"LOGOUT",
        b"EXPUNGE", b"UID EXPUNGE", b"MOVE", b"UID MOVE", b"REPLACE", b"UID REPLACE",
    )
)  # fmt: skip
"""Commands that change what others mean, or shift numbers; nothing is sent behind them before their answer."""


def _uid(verb: bytes, uid: bool) -> bytes:
    return b"UID " + verb if uid else verb


def _listed(parts: Iterable[Part]) -> list[Part]:
    """Arguments in parentheses."""
    return [b"(", *parts, b")"]


def _all(kind: type[T]) -> Callable[[Completed], list[T]]:
    return lambda done: done.all(kind)


def _one(kind: type[T]) -> Callable[[Completed], T]:
    def first(done: Completed) -> T:
        found = done.all(kind)
        if not found:
            raise Confused(f"{kind.__name__} was not told")
        return found[0]

    return first


def _rights(told: AccessList | MyRights) -> Any:
    return told.rights
