"""
Asks an IMAP server: any number of commands at once, sent one after another, each ending exactly once.  RFC 3501.

>>> client = await endpoint.connect(ImapClientFactory(reactor))          # doctest: +SKIP
>>> await client.greeting()                                             # doctest: +SKIP
>>> await client.login("ann", "secret")                                 # doctest: +SKIP
>>> await client.select("INBOX")                                        # doctest: +SKIP
>>> await client.fetch("1:*", b"(UID FLAGS)")                           # doctest: +SKIP

The server is listened to while a command waits for its end; what it says in between is heard with the next one and goes to
``heard``.  Octets that came in clear behind the answer to STARTTLS are never believed: the connection is aborted.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from launcelot.core.wire import DeadlinePassed, LineError, WireEnd
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.stream import PlaintextBehindTLS, Stream
from launcelot.protocols.imap4.answers import (
    Appended,
    CommandFailed,
    Completed,
    Confused,
    Disconnected,
    ImapError,
    Injected,
    Listed,
    Selected,
    TimedOut,
    Untrusted,
    pairs,
)
from launcelot.protocols.imap4.asking import Body, Octets, Opener, Part, Request, Sink, name_of, open_sink, spaced
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.reader import Malformed, announced
from launcelot.protocols.imap4.grammar.replies import Condition, Continuation, Data, Response, ResponseReader, parse

TIMEOUT = 60.0
"""Seconds to wait for the next line, by default."""
MAX_LINE = 1 << 20
"""Octets of one line of a response."""
MAX_LITERAL = 1 << 26
"""Octets of a literal that is kept in memory; larger ones need a sink."""
PIECE = 65_536


class ImapClient(Stream):
    """
    One connection to an IMAP server.

    :param timeout: seconds to wait for the next line while a command is under way.
    :ivar capabilities: as last told, in upper case; empty before and after STARTTLS.
    :ivar heard: called with every untagged response that comes, if set.
    """

    def __init__(self, clock: IReactorTime, deadlines: Deadlines, timeout: float = TIMEOUT) -> None:
        super().__init__(clock, deadlines)
        self.capabilities: frozenset[bytes] = frozenset()
        self.heard: Callable[[Response], None] | None = None
        self._timeout = timeout
        self._queue: deque[Request] = deque()
        self._current: Request | None = None
        self._hearing: Deferred[None] | None = None
        self._failed: ImapError | None = None
        self._lost_because: Failure | None = None
        self._serial = 0
        self._leaving: Deferred[None] | None = None
        self._left = False

    # -- commands --------------------------------------------------------------------------------------------------

    def greeting(self) -> Deferred[Completed]:
        """Wait for the server's first line; it must be asked for once, before anything else."""
        request = Request(b"", deque(), Deferred())
        return self._enqueue(request)

    def command(self, name: bytes, *parts: Part, opener: Opener | None = None) -> Deferred[Completed]:
        """
        Send any command.  One whose Deferred is cancelled is still sent, and its answer dropped.

        :param parts: arguments, separated by spaces; octets are sent as they are and must have no line end.
        :raises ValueError: a raw argument has a control character or announces a literal.
        """
        return self._enqueue(Request(name, deque(spaced(name, parts)), Deferred(), opener=opener))

    def capability(self) -> Deferred[frozenset[bytes]]:
        """Ask what the server can do."""
        return self.command(b"CAPABILITY").addCallback(lambda _: self.capabilities)

    def noop(self) -> Deferred[Completed]:
        """Hear of changes."""
        return self.command(b"NOOP")

    def secure_with(self, context: Any) -> Deferred[None]:
        """
        STARTTLS; everything heard before is forgotten.  Whether the handshake succeeds shows with the next command.

        :param context: ``optionsForClientTLS(hostname)``, which verifies the certificate and the name.
        :raises CommandFailed: the server refuses; nothing is sent in clear behind it unless the caller goes on.
        :raises Injected: the server said more than its answer in clear.
        """
        return self._enqueue(
            Request(b"STARTTLS", deque([b"STARTTLS"]), Deferred(), respond=lambda: self._begin_tls(context))
        ).addCallback(lambda _: None)

    def login(self, name: str, password: str) -> Deferred[Completed]:
        """LOGIN; name and password as UTF-8."""
        return self.command(b"LOGIN", Octets(name.encode()), Octets(password.encode()))

    def authenticate_plain(self, name: str, password: str) -> Deferred[Completed]:
        """AUTHENTICATE PLAIN, in one step where the server has SASL-IR."""
        secret = base64.b64encode(b"\0%b\0%b" % (name.encode(), password.encode()))
        if b"SASL-IR" in self.capabilities:
            return self.command(b"AUTHENTICATE", b"PLAIN", secret)
        request = Request(b"AUTHENTICATE", deque([b"AUTHENTICATE PLAIN"]), Deferred(), event=self._answer_with(secret))
        return self._enqueue(request)

    def mailboxes(self, reference: str = "", pattern: str = "*") -> Deferred[list[Listed]]:
        """LIST."""
        return self.command(b"LIST", name_of(reference), name_of(pattern)).addCallback(Listed.all_from)

    def select(self, mailbox: str, read_only: bool = False) -> Deferred[Selected]:
        """SELECT, or EXAMINE."""
        return self.command(b"EXAMINE" if read_only else b"SELECT", name_of(mailbox)).addCallback(Selected.made_from)

    def status(self, mailbox: str, *items: bytes) -> Deferred[dict[bytes, int]]:
        """STATUS."""
        return self.command(b"STATUS", name_of(mailbox), b"(%b)" % b" ".join(items)).addCallback(_status)

    def create(self, mailbox: str) -> Deferred[Completed]:
        """CREATE."""
        return self.command(b"CREATE", name_of(mailbox))

    def delete(self, mailbox: str) -> Deferred[Completed]:
        """DELETE."""
        return self.command(b"DELETE", name_of(mailbox))

    def rename(self, mailbox: str, to: str) -> Deferred[Completed]:
        """RENAME."""
        return self.command(b"RENAME", name_of(mailbox), name_of(to))

    def subscribe(self, mailbox: str, subscribed: bool = True) -> Deferred[Completed]:
        """SUBSCRIBE or UNSUBSCRIBE."""
        return self.command(b"SUBSCRIBE" if subscribed else b"UNSUBSCRIBE", name_of(mailbox))

    def append(
        self, mailbox: str, size: int, chunks: Iterable[bytes], flags: Sequence[str] = (), date: bytes = b""
    ) -> Deferred[Appended | None]:
        """
        APPEND, streamed: chunks are asked for while the connection takes them.

        :param size: octets of all chunks together.
        :param date: INTERNALDATE as ``launcelot.message.dates.format_internal`` writes it.
        :returns: where the message went, if the server has UIDPLUS.
        """
        parts: list[Part] = [name_of(mailbox)]
        if flags:
            parts.append(responses.flag_list(flags))
        if date:
            parts.append(date)
        return self.command(b"APPEND", *parts, Body(size, chunks)).addCallback(Appended.made_from)

    def fetch(
        self, messages: str, items: bytes, uid: bool = True, opener: Opener | None = None
    ) -> Deferred[list[Data]]:
        """
        FETCH or UID FETCH; rows in the order in which they came.

        :param items: such as ``b"(FLAGS BODY.PEEK[])"``.
        :param opener: gives sinks for literals; one that went to a sink is empty in its row.
        """
        prefix = b"UID FETCH" if uid else b"FETCH"
        return self.command(prefix, messages.encode(), items, opener=opener).addCallback(_rows)

    def store(self, messages: str, how: bytes, flags: Sequence[str], uid: bool = True) -> Deferred[list[Data]]:
        """
        STORE or UID STORE; the rows the server tells.

        :param how: ``FLAGS``, ``+FLAGS.SILENT`` ...
        """
        prefix = b"UID STORE" if uid else b"STORE"
        return self.command(prefix, messages.encode(), how, responses.flag_list(flags)).addCallback(_rows)

    def copy(self, messages: str, mailbox: str, uid: bool = True, move: bool = False) -> Deferred[Completed]:
        """COPY or MOVE, by UID or number."""
        name = (b"UID " if uid else b"") + (b"MOVE" if move else b"COPY")
        return self.command(name, messages.encode(), name_of(mailbox))

    def search(self, *keys: Part, uid: bool = True) -> Deferred[list[int]]:
        """SEARCH or UID SEARCH in UTF-8; strings are given as :class:`Octets`."""
        name = b"UID SEARCH" if uid else b"SEARCH"
        plain = all(isinstance(key, bytes) or (isinstance(key, Octets) and key.data.isascii()) for key in keys)
        return self.command(name, *(() if plain else (b"CHARSET", b"UTF-8")), *keys).addCallback(_numbers)

    def expunge(self, uids: str = "") -> Deferred[list[int]]:
        """EXPUNGE, or UID EXPUNGE when UIDs are named; the numbers in the order told."""
        done = self.command(b"UID EXPUNGE", uids.encode()) if uids else self.command(b"EXPUNGE")
        return done.addCallback(_expunged)

    def close_mailbox(self) -> Deferred[Completed]:
        """CLOSE."""
        return self.command(b"CLOSE")

    def idle(self, event: Callable[[Response], None]) -> Deferred[Completed]:
        """
        IDLE until :meth:`done`; there is no time limit.  RFC 2177.

        :param event: hears every untagged response.
        """
        request = Request(b"IDLE", deque([b"IDLE"]), Deferred(), event=event, patient=True)
        return self._enqueue(request)

    def done(self) -> None:
        """End the IDLE that is under way, or the first one that waits to be sent."""
        under_way = [self._current] if self._current is not None else []
        request = next((one for one in (*under_way, *self._queue) if one.patient), None)
        if request is None:
            return
        request.patient = False
        if request is self._current:
            self._say_done()

    def _say_done(self) -> None:
        self.write(b"DONE\r\n")
        self.flush()
        self._expect_soon()

    def logout(self) -> Deferred[None]:
        """LOGOUT, then wait until the connection is closed; it ends well even if the server closes early."""
        if self._leaving is None:
            self._leaving = Deferred()
            self.command(b"LOGOUT").addBoth(self._logged_out)
            if self._lost and not self._leaving.called:
                self._leaving.callback(None)
        return self._leaving

    # -- sending ---------------------------------------------------------------------------------------------------

    def _enqueue(self, request: Request) -> Deferred[Completed]:
        if self._failed is not None:
            return fail(self._failed)
        self._queue.append(request)
        if self._hearing is None:
            hearing = self._hearing = Deferred.fromCoroutine(self._hear())
            hearing.addBoth(self._stopped)
            if hearing.called:
                self._hearing = None
        return request.done

    async def _hear(self) -> None:
        while self._queue:
            request = self._current = self._queue.popleft()
            self._expect_soon()
            if request.name:
                self._serial += 1
                request.tag = b"L%d" % self._serial
                self.write(request.tag + b" ")
                await self._send(request)
                if request.name == b"IDLE" and not request.patient:
                    self._say_done()
                while not await self._take(request):
                    pass
            else:
                await self._greet(request)
            self._current = None

    async def _send(self, request: Request) -> None:
        """Write up to the next literal the server must agree to, or to the end of the command."""
        while request.parts:
            part = request.parts.popleft()
            if isinstance(part, bytes):
                self.write(part)
                continue
            size = part.size if isinstance(part, Body) else len(part.data)
            text = part.data if isinstance(part, Octets) else b""
            if isinstance(part, Octets) and (quoted := responses.string(text)).startswith(b'"'):
                self.write(quoted)
                continue
            at_once = b"LITERAL+" in self.capabilities
            self.write(b"{%d+}\r\n" % size if at_once else b"{%d}\r\n" % size)
            self.flush()
            if not at_once and not await self._continuation(request):
                return
            await self._send_octets(part)
        self.write(b"\r\n")
        self.flush()

    async def _continuation(self, request: Request) -> bool:
        """Wait for the go-ahead; False when the command has ended instead."""
        while True:
            response = await self._response(request)
            if isinstance(response, Continuation):
                return True
            if self._note(request, response):
                request.parts.clear()
                return False

    async def _send_octets(self, part: Octets | Body) -> None:
        if isinstance(part, Octets):
            self.write(part.data)
            return
        left = part.size
        for chunk in part.chunks:
            left -= len(chunk)
            if left < 0:
                raise Confused("the message is longer than was said")
            self.write(chunk)
            await self.drain()
        if left:
            raise Confused("the message is shorter than was said")

    def _expect_soon(self) -> None:
        self.limit_idle(math.inf if self._current is not None and self._current.patient else self._timeout)
        if self._reader is not None:
            self._await_input()

    # -- hearing ---------------------------------------------------------------------------------------------------

    async def _greet(self, request: Request) -> None:
        response = await self._response(request)
        if not isinstance(response, Condition) or response.tag != b"*" or response.condition not in _GREETINGS:
            raise Confused("this is not an IMAP server")
        self._learn(response)
        if response.condition == b"BYE":
            raise Disconnected("the server said BYE")
        request.done.callback(Completed(response, (), ()))

    async def _take(self, request: Request) -> bool:
        """Hear one response; whether it ended the command."""
        if request.ended:
            return True
        response = await self._response(request)
        if isinstance(response, Continuation):
            if request.event is None:
                raise Confused("the server waits for what was not announced")
            request.event(response)
            return False
        return self._note(request, response)

    def _note(self, request: Request, response: Condition | Data) -> bool:
        """Keep a response for the command it came with; whether it ended the command."""
        self._learn(response)
        if isinstance(response, Condition) and response.tag != b"*":
            if response.tag != request.tag:
                raise Confused("an answer to a command that nobody gave")
            self._end_request(request, response)
            return True
        for hears in (self.heard, request.event):
            if hears is not None:
                hears(response)
        if isinstance(response, Data):
            request.found.append(response)
        else:
            self._left = self._left or response.condition == b"BYE"
            request.conditions.append(response)
        return False

    def _end_request(self, request: Request, response: Condition) -> None:
        request.ended = True
        if response.condition != b"OK":
            self._current = None
            request.done.errback(CommandFailed(request.name, response))
            return
        if request.respond is not None:
            request.respond()
        self._current = None
        request.done.callback(Completed(response, tuple(request.found), tuple(request.conditions)))

    def _learn(self, response: Condition | Data) -> None:
        if isinstance(response, Data) and response.name == b"CAPABILITY":
            self.capabilities = frozenset(value.upper() for value in response.values if isinstance(value, bytes))
        elif isinstance(response, Condition) and response.code == b"CAPABILITY":
            self.capabilities = frozenset(response.argument.upper().split())

    async def _response(self, request: Request) -> Response:
        first = line = await self.line(MAX_LINE)
        reader = ResponseReader(first)
        literal = announced(line)
        kept = len(line)
        while literal is not None:
            sink = None if request.opener is None else open_sink(request.opener, first, line, literal)
            kept += 0 if sink is not None else literal.size
            if kept > MAX_LITERAL:
                raise Confused("a response is too large to be kept")
            data = await self._literal(literal.size, sink)
            line = await self.line(MAX_LINE)
            kept += len(line)
            reader.add(data, line)
            literal = announced(line)
        return parse(reader)

    async def _literal(self, size: int, sink: Sink | None) -> bytes:
        pieces: list[bytes] = []
        left = size
        while left:
            piece = await self.chunk(min(left, PIECE))
            left -= len(piece)
            if sink is None:
                pieces.append(piece)
            else:
                sink(piece)
        return b"".join(pieces)

    def _answer_with(self, secret: bytes) -> Callable[[Response], None]:
        """Answers the one challenge of PLAIN, which is empty."""

        def event(response: Response) -> None:
            if isinstance(response, Continuation):
                self.write(secret + b"\r\n")
                self.flush()

        return event

    def _begin_tls(self, context: Any) -> None:
        self.capabilities = frozenset()
        self.start_tls(context, client=True)

    # -- ends ------------------------------------------------------------------------------------------------------

    def readConnectionLost(self) -> None:
        """The server has said its last word; nobody may be waiting for one."""
        super().readConnectionLost()
        if self._hearing is None:
            self._fail(self._why(None))
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail what is still to be answered."""
        self._lost_because = reason
        super().connectionLost(reason)
        self._fail(self._why(None))
        leaving = self._leaving
        if leaving is not None and not leaving.called:
            leaving.callback(None)

    def _stopped(self, result: Failure | None) -> None:
        self._hearing = None
        if isinstance(result, Failure):
            current = self._current
            if current is not None and not result.check(ImapError, PlaintextBehindTLS, Malformed, LineError, WireEnd):
                self._current = None
                current.done.errback(result)
            self._fail(self._why(result))
            if self._leaving is not None and result.check(WireEnd):
                self.close()
            else:
                self.abort()

    def _logged_out(self, result: Completed | Failure) -> None:
        if isinstance(result, Failure):
            result.trap(ImapError)
        self.close()

    def _why(self, result: Failure | None) -> ImapError:
        if self._failed is not None:
            return self._failed
        error = None if result is None else result.value
        if isinstance(error, ImapError):
            return error
        if isinstance(error, PlaintextBehindTLS):
            return Injected("the server spoke in clear behind its answer to STARTTLS")
        if isinstance(error, (Malformed, LineError)):
            return Confused(str(error) or "malformed response")
        if isinstance(error, DeadlinePassed):
            return TimedOut("no answer in time")
        lost = self._lost_because
        if lost is not None and not lost.check(ConnectionDone, ConnectionLost, ConnectionAborted):
            return Untrusted(str(lost.value) or type(lost.value).__name__)
        return Disconnected("the connection was closed" if not self._left else "the server said BYE")

    def _fail(self, error: ImapError) -> None:
        if self._failed is None:
            self._failed = error
        left = [self._current] if self._current is not None else []
        left.extend(self._queue)
        self._current = None
        self._queue.clear()
        for request in left:
            if not request.done.called:
                request.done.errback(self._failed)


class ImapClientFactory(Factory):
    """
    Makes clients.

    :param clock: the reactor, or a ``task.Clock``.
    :param timeout: seconds to wait for the next line while a command is under way.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, timeout: float = TIMEOUT) -> None:
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._timeout = timeout

    def buildProtocol(self, addr: IAddress | None) -> ImapClient:
        """A client for one connection."""
        return ImapClient(self._clock, self._deadlines, self._timeout)


def _rows(completed: Completed) -> list[Data]:
    return [one for one in completed.data if one.name == b"FETCH"]


def _numbers(completed: Completed) -> list[int]:
    return [number for one in completed.data if one.name == b"SEARCH" for number in one.values]


def _expunged(completed: Completed) -> list[int]:
    return [one.number for one in completed.data if one.name == b"EXPUNGE" and one.number is not None]


def _status(completed: Completed) -> dict[bytes, int]:
    for one in completed.data:
        if one.name == b"STATUS" and len(one.values) == 2:
            return pairs(one.values[1])
    raise Confused("STATUS was not answered")


_GREETINGS = frozenset({b"OK", b"PREAUTH", b"BYE"})
