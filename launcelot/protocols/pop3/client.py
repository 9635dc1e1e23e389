"""
The POP3 client: requests in order, pipelined where the server says it can, each ended exactly once.

Multi-line replies go to a *sink* piece by piece with their dots un-stuffed; nothing but the caller's sink holds a message.
What the server sent in the clear behind its answer to STLS is never read: the connection is dropped and no password leaves.
Passwords go over TLS only, unless the factory says otherwise.  Errors are those of :mod:`launcelot.hosting.calling` and those
here; a greeting of ``-ERR`` declines every request.

RFC 1939, RFC 2449, RFC 2595, RFC 5034, RFC 6856, RFC 7677.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from launcelot.core.dots import DotReader
from launcelot.core.sasl import SaslError, decode_response
from launcelot.core.scram import Untrusted
from launcelot.core.wire import LineError, PeerGone, WireEnd
from launcelot.hosting.calling import CallError, Confused, is_secure, why
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.proving import Prover
from launcelot.hosting.stream import PlaintextBehindTLS, Stream
from launcelot.protocols.pop3.grammar import MAX_REPLY, NotAReply, Reply, parse_reply
from launcelot.workers.interface import Workers

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds to wait for the next octets of a reply, by default."""

PIPELINE = 50
"""Commands under way at once, where the server takes them."""

MAX_LISTING = 16 << 20
"""Octets of a listing that are kept in memory."""

Sink = Callable[[bytes], Awaitable[None] | None]
"""Takes the next octets of a message; what it returns is awaited before more is read."""


class Declined(CallError):
    """
    The server answered ``-ERR``.

    :ivar code: its response code without brackets, such as ``AUTH`` or ``IN-USE``, or empty.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text.decode("ascii", "backslashreplace"))
        self.code = reply.code


class NotSecure(CallError):
    """A password was to be sent in the clear, or TLS was answered with more than its answer."""


class SinkFailed(CallError):
    """A sink raised: the rest of its message cannot be skipped without reading it, so the connection is dropped."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"the sink failed: {failure.value!r}")
        self.failure = failure
        self.__cause__ = failure.value


@dataclass(frozen=True, slots=True)
class Status:
    """The answer to STAT."""

    messages: int
    octets: int


@dataclass(slots=True)
class _Request:
    """
    One command under way.

    :ivar alone: nothing is sent before its answer is there.
    :ivar more: lines to be sent, one for each ``+`` the server answers.
    :ivar prover: answers each ``+`` in their place, and must have believed the server when it answers ``+OK``.
    :ivar cancelled: whether a ``+`` has been answered with ``*``, behind which none may come.
    """

    line: bytes
    answered: Deferred[bytes]
    sink: Sink | None = None
    alone: bool = False
    more: list[bytes] = field(default_factory=list)
    then: Callable[[], None] | None = None
    prover: Prover | None = None
    cancelled: bool = False


class Pop3Client(Stream):
    """
    One connection to a POP3 server.

    :param timeout: seconds to wait for the next octets of a reply.
    :param plaintext_login: whether passwords may go out without TLS.
    :param workers: where passwords are hashed for SCRAM; None for here and now.
    :ivar mechanisms: of SASL, as last told by :meth:`capabilities`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        deadlines: Deadlines,
        timeout: float = TIMEOUT,
        plaintext_login: bool = False,
        workers: Workers | None = None,
    ) -> None:
        super().__init__(clock, deadlines)
        self.limit_idle(timeout)
        self.mechanisms: frozenset[bytes] = frozenset()
        self._workers = workers
        self.plaintext_login = plaintext_login
        self.pipelining = False
        greeted: Deferred[bytes] = Deferred()
        greeted.addErrback(self._turned_away)
        self._under_way: deque[_Request] = deque([_Request(b"", greeted, alone=True)])
        self._waiting: deque[_Request] = deque()
        self._begun = False
        self._hearing: Deferred[None] | None = None
        self._failed: CallError | None = None
        self._lost_because: Failure | None = None

    # -- requests ------------------------------------------------------------------------------------------------

    def capabilities(self) -> Deferred[Mapping[str, str]]:
        """What the server offers now: arguments by name in capitals.  From here on commands are pipelined if it can."""
        return self._listing(b"CAPA").addCallback(self._know)

    def stls(self, context: Any) -> Deferred[bytes]:
        """
        Start TLS; a server that declines leaves the connection as it is, and it is the caller's to give up.

        :param context: ``optionsForClientTLS(hostname)``, which verifies certificate and name.
        :raises NotSecure: (as the result) the server sent more than its answer in the clear; the connection is dropped.
        """
        return self._ask(b"STLS", alone=True, then=lambda: self._begin_tls(context))

    def use_utf8(self) -> Deferred[bytes]:
        """Have headers come as they are, with UTF-8 in them; before logging in and after TLS.  RFC 6856 section 2.1."""
        return self._ask(b"UTF8", alone=True)

    def login(self, name: str, password: str) -> Deferred[bytes]:
        """
        Log in with USER and PASS, before anything that is asked later; a name or password with CR, LF or NUL is refused with
        ValueError.
        """
        user, secret = _safe(name), _safe(password)
        if not self._may_send_password:
            return fail(NotSecure("passwords go over TLS only"))
        answered: Deferred[bytes] = Deferred()
        following = _Request(b"PASS " + secret, answered, alone=True)
        entered = self._ask(b"USER " + user, alone=True, then=lambda: self._waiting.appendleft(following))
        entered.addCallbacks(lambda _: None, answered.errback)
        return answered

    def authenticate(self, name: str, password: str, plain: bool = False) -> Deferred[bytes]:
        """
        Log in with SASL: the best SCRAM that :meth:`capabilities` told of, or else PLAIN.  RFC 5034 section 4.

        :param plain: PLAIN in any case, as for an account whose server keeps no keys of SCRAM.
        :raises NotSecure: (as the result) the server could not prove that it knows the password; the connection is dropped.
        """
        message = base64.b64encode(b"\0" + _safe(name) + b"\0" + _safe(password))
        if not self._may_send_password:
            return fail(NotSecure("passwords go over TLS only"))
        mechanisms = () if plain else self.mechanisms
        prover = Prover.choose(name, password, self.transport, mechanisms, self._workers)
        if prover is not None:
            first = base64.b64encode(prover.first)
            line = b"AUTH " + prover.mechanism
            if len(line) + len(first) < 250:
                return self._ask(line + b" " + first, alone=True, prover=prover)
            return self._ask(line, alone=True, more=[first], prover=prover)
        if len(message) > 240:
            return self._ask(b"AUTH PLAIN", alone=True, more=[message])
        return self._ask(b"AUTH PLAIN " + message, alone=True)

    def status(self) -> Deferred[Status]:
        """How many messages and octets."""
        return self._ask(b"STAT").addCallback(_status)

    def sizes(self) -> Deferred[Mapping[int, int]]:
        """Octets by message number."""
        return self._listing(b"LIST").addCallback(_sizes)

    def unique_ids(self) -> Deferred[Mapping[int, str]]:
        """Unique identifiers by message number."""
        return self._listing(b"UIDL").addCallback(_unique_ids)

    def retrieve(self, number: int, sink: Sink) -> Deferred[bytes]:
        """A whole message; the result comes after its last octet has been handed to the sink."""
        return self._ask(b"RETR %d" % number, sink=sink)

    def top(self, number: int, lines: int, sink: Sink) -> Deferred[bytes]:
        """The header and the first lines of a message."""
        return self._ask(b"TOP %d %d" % (number, lines), sink=sink)

    def delete(self, number: int) -> Deferred[bytes]:
        """Mark a message; it goes when :meth:`quit` succeeds."""
        return self._ask(b"DELE %d" % number)

    def reset(self) -> Deferred[bytes]:
        """Take all marks off."""
        return self._ask(b"RSET")

    def nothing(self) -> Deferred[bytes]:
        """Hear that the server is there."""
        return self._ask(b"NOOP")

    def quit(self) -> Deferred[bytes]:
        """End the session; its success says that what was marked is removed.  The connection is closed afterwards."""
        return self._ask(b"QUIT", alone=True, then=self.close)

    @property
    def _may_send_password(self) -> bool:
        return self.plaintext_login or self.secure or is_secure(self.transport)

    def _ask(
        self,
        line: bytes,
        sink: Sink | None = None,
        alone: bool = False,
        more: list[bytes] | None = None,
        then: Callable[[], None] | None = None,
        prover: Prover | None = None,
    ) -> Deferred[bytes]:
        answered: Deferred[bytes] = Deferred()
        self._waiting.append(_Request(line, answered, sink, alone, more or [], then, prover))
        if self._failed is not None:
            self._fail(self._failed)
        elif self.pending and not self._under_way:
            self._break_off(Confused("the server spoke before it was asked"))
        else:
            self._send()
            self._hear_answers()
        return answered

    def _listing(self, line: bytes) -> Deferred[list[bytes]]:
        lines = _Lines()
        return self._ask(line, sink=lines.take).addCallback(lambda _: lines.all())

    def _know(self, lines: list[bytes]) -> Mapping[str, str]:
        words = [line.decode("ascii", "backslashreplace").partition(" ") for line in lines]
        known = {name.upper(): arguments for name, _, arguments in words}
        self.pipelining = "PIPELINING" in known
        self.mechanisms = frozenset(known.get("SASL", "").upper().encode("ascii", "replace").split())
        return known

    # -- the conversation ----------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Wait for the greeting."""
        super().connectionMade()
        self._hear_answers()

    def readConnectionLost(self) -> None:
        """Close, too, unless an answer may still be on its way."""
        super().readConnectionLost()
        if self._hearing is None:
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail what is still to be answered."""
        self._lost_because = reason
        super().connectionLost(reason)
        if self._hearing is None:
            self._fail(self._failed or why(None, reason, self._begun))

    def _send(self) -> None:
        while self._waiting and self._room_for(self._waiting[0]):
            request = self._waiting.popleft()
            self._under_way.append(request)
            self.write(request.line + b"\r\n")
        self.flush()

    def _room_for(self, request: _Request) -> bool:
        if not self._under_way:
            return True
        if request.alone or self._under_way[-1].alone:
            return False
        return self.pipelining and len(self._under_way) < PIPELINE

    def _hear_answers(self) -> None:
        if self._hearing is None:
            self._hearing = Deferred.fromCoroutine(self._hear())
            self._hearing.addBoth(self._stopped_hearing)

    async def _hear(self) -> None:
        while self._under_way:
            request = self._under_way[0]
            reply = await self._first_line(request)
            if reply.good and request.sink is not None:
                await self._body(request.sink)
            if reply.good and request.prover is not None and not request.prover.proved:
                raise NotSecure("the server did not prove that it knows the password")
            if reply.good and request.then is not None:
                request.then()
            self._under_way.popleft()
            self._begun = False
            if reply.good:
                request.answered.callback(reply.text)
            else:
                request.answered.errback(Declined(reply))
            if self.pending and not self._under_way:
                raise NotAReply("the server said what nobody asked for")
            self._send()

    async def _first_line(self, request: _Request) -> Reply:
        while True:
            line = await self._line()
            if line != b"+" and not line.startswith(b"+ "):
                return parse_reply(line)
            self.write(await self._continued(request, line[2:]) + b"\r\n")

    async def _continued(self, request: _Request, challenge: bytes) -> bytes:
        if request.more:
            return request.more.pop(0)
        if request.prover is None:
            return _cancel(request)
        try:
            return base64.b64encode(await request.prover.respond(decode_response(challenge)))
        except Untrusted as error:
            raise NotSecure(str(error)) from None
        except SaslError:
            request.prover = None
            return _cancel(request)

    def _begin_tls(self, context: Any) -> None:
        self.mechanisms = frozenset()
        self.start_tls(context, client=True)

    async def _line(self) -> bytes:
        try:
            return await self.line(MAX_REPLY)
        except LineError:
            raise NotAReply("the reply is not a line") from None

    async def _body(self, sink: Sink) -> None:
        self._begun = True
        reader = DotReader()
        while not reader.ended:
            text = reader.feed(await self.chunk())
            waiting = sink(text) if text else None
            if waiting is not None:
                await waiting
        self.unread(reader.rest)

    def _turned_away(self, failure: Failure) -> None:
        if self._failed is None and isinstance(failure.value, Declined):
            self._break_off(failure.value)

    def _stopped_hearing(self, result: Failure | None) -> None:
        self._hearing = None
        if not isinstance(result, Failure):
            return
        if result.check(PeerGone):
            self._fail(self._failed or why(result, self._lost_because, self._begun))
            self.close()
        elif result.check(WireEnd, CallError):
            self._break_off(why(result, self._lost_because, self._begun))
        elif result.check(NotAReply):
            self._break_off(Confused(str(result.value)))
        elif result.check(PlaintextBehindTLS):
            self._break_off(NotSecure("the server sent more than its answer to STLS in the clear"))
        else:
            self._break_off(SinkFailed(result))

    def _break_off(self, error: CallError) -> None:
        self._fail(error)
        self.abort()

    def _fail(self, error: CallError) -> None:
        self._failed = error
        left = [*self._under_way, *self._waiting]
        self._under_way.clear()
        self._waiting.clear()
        for request in left:
            request.answered.errback(error)


def _cancel(request: _Request) -> bytes:
    """
    End an exchange, once.  RFC 5034 section 4.

    :raises NotAReply: it has been ended, or it is none.
    """
    if request.cancelled or not request.line.startswith(b"AUTH "):
        raise NotAReply("the server asks where there is nothing to say")
    request.cancelled = True
    return b"*"


class _Lines:
    """A sink that keeps a listing's lines."""

    def __init__(self) -> None:
        self._text = bytearray()

    def take(self, data: bytes) -> None:
        """Keep it."""
        if len(self._text) + len(data) > MAX_LISTING:
            raise Confused("the listing is too long")
        self._text += data

    def all(self) -> list[bytes]:
        """The lines."""
        return bytes(self._text).split(b"\r\n")[:-1]


class Pop3ClientFactory(Factory):
    """
    Makes clients.

    :param clock: the reactor, or a ``task.Clock``.
    :param workers: where passwords are hashed for SCRAM, such as ``ThreadWorkers(reactor, "passwords", 1, 16)``; without,
        a log-in keeps the reactor for some 30 ms.
    """

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float = TIMEOUT,
        plaintext_login: bool = False,
        workers: Workers | None = None,
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._deadlines = Deadlines(clock)
        self._timeout = timeout
        self._plaintext_login = plaintext_login

    def buildProtocol(self, addr: IAddress | None) -> Pop3Client:
        """A client for one connection."""
        return Pop3Client(self._clock, self._deadlines, self._timeout, self._plaintext_login, self._workers)


def _safe(words: str) -> bytes:
    if any(control in words for control in "\r\n\0") or not words:
        raise ValueError("a name or password is empty or has CR, LF or NUL")
    return words.encode("utf-8")


def _numbers(words: bytes, line: bytes) -> tuple[int, int]:
    first, _, rest = words.partition(b" ")
    second = rest.partition(b" ")[0]
    if not (first.isdigit() and second.isdigit() and len(first) < 20 and len(second) < 20):
        raise Confused(f"the answer to {line.decode()} is not two numbers")
    return int(first), int(second)


def _status(words: bytes) -> Status:
    return Status(*_numbers(words, b"STAT"))


def _sizes(lines: list[bytes]) -> Mapping[int, int]:
    return dict(_numbers(line, b"LIST") for line in lines)


def _unique_ids(lines: list[bytes]) -> Mapping[int, str]:
    found: dict[int, str] = {}
    for line in lines:
        number, _, unique_id = line.partition(b" ")
        if not number.isdigit() or len(number) > 19 or not unique_id:
            raise Confused("the answer to UIDL is not a number and an identifier")
        found[int(number)] = unique_id.decode("ascii", "backslashreplace")
    return found
