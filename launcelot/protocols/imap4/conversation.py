"""
The client's side of one connection: commands go out in order, each ends exactly once, and every response is heard.

The server is listened to while a command waits for its end; what it says in between is heard with the next one.  Octets that
came in clear behind the answer to STARTTLS are never believed: the connection is aborted.  So it is when the server says what
no grammar allows, when it cannot prove that it knows the password, and when a caller's sink or message breaks its word.

Several commands may be under way at once (``pipeline``).  What comes untagged then belongs to the oldest of them, or to the one
it names, as ESEARCH does; that is right with servers that do one command after the other, as nearly all do.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from launcelot.core.sasl import SaslError, decode_response
from launcelot.core.wire import DeadlinePassed, LineError, WireEnd
from launcelot.hosting.calling import is_secure
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.deflate import Deflated, start_deflate
from launcelot.hosting.stream import PlaintextBehindTLS, Stream
from launcelot.protocols.imap4.answers import (
    CommandFailed,
    Completed,
    Confused,
    Disconnected,
    ImapError,
    Injected,
    NotSecure,
    TimedOut,
    Untrusted,
)
from launcelot.protocols.imap4.asking import Body, Octets, Part, Request, Sink, open_sink
from launcelot.protocols.imap4.grammar import responses
from launcelot.protocols.imap4.grammar.reader import Malformed, announced
from launcelot.protocols.imap4.grammar.replies import Condition, Continuation, Data, Response, ResponseReader, parse
from launcelot.protocols.imap4.told import Capabilities, Enabled, Found, Told, read

MAX_LINE = 1 << 20
"""Octets of one line of a response."""
MAX_LITERAL = 1 << 26
"""Octets of a response that is kept in memory; larger literals need a sink."""
MAX_KEPT = 1 << 28
"""Octets of all responses that one command keeps, as far as they are literals."""
PIECE = 65_536

GREETINGS = frozenset({b"OK", b"PREAUTH", b"BYE"})

EXPECTED = (ImapError, PlaintextBehindTLS, Malformed, LineError, WireEnd)
"""How hearing can end; anything else was raised by a caller's sink."""


class Conversation(Stream):
    """
    One connection to an IMAP server.

    :param timeout: seconds to wait for the next line while a command is under way.
    :param pipeline: commands that may be under way at once.
    :param plaintext_login: whether passwords may go out without TLS.
    :ivar capabilities: as last told, in upper case; empty before and after STARTTLS.
    :ivar enabled: what has been switched on, in upper case.
    :ivar heard: called with everything that comes untagged, if set.
    """

    def __init__(
        self, clock: IReactorTime, deadlines: Deadlines, timeout: float, pipeline: int = 1, plaintext_login: bool = False
    ) -> None:
        super().__init__(clock, deadlines)
        self._plaintext_login = plaintext_login
        self.capabilities: frozenset[bytes] = frozenset()
        self.enabled: frozenset[bytes] = frozenset()
        self.heard: Callable[[Told], None] | None = None
        self._timeout = timeout
        self._pipeline = pipeline
        self._queue: deque[Request] = deque()
        self._sent: deque[Request] = deque()
        self._hearing: Deferred[None] | None = None
        self._failed: ImapError | None = None
        self._lost_because: Failure | None = None
        self._serial = 0
        self._left = False
        self._layer: Deflated | None = None

    @property
    def utf8(self) -> bool:
        """Whether names of mailboxes are UTF-8 on this connection.  RFC 9755 section 3, RFC 9051 appendix A."""
        return bool(self.enabled & {b"UTF8=ACCEPT", b"IMAP4REV2"})

    @property
    def compressed(self) -> bool:
        """Whether DEFLATE is in use."""
        return self._layer is not None

    # -- sending ---------------------------------------------------------------------------------------------------

    def enqueue(self, request: Request) -> Deferred[Completed]:
        """Send a command when its turn comes."""
        if self._failed is not None:
            return fail(self._failed)
        self._queue.append(request)
        if self._hearing is None:
            hearing = self._hearing = Deferred.fromCoroutine(self._converse())
            hearing.addBoth(self._stopped)
            if hearing.called:
                self._hearing = None
        elif self._sent and self._reader is not None and self._may_send(request) and not self._needs_consent(request):
            # Somebody waits for a line already; the command can go out beside him.
            self._queue.pop()
            self._begin(request)
            for part in request.parts:
                self.write(self._at_once(part))
            request.parts.clear()
            self.write(b"\r\n")
            self.flush()
        return request.done

    async def _converse(self) -> None:
        while self._queue or self._sent:
            while self._queue and self._may_send(self._queue[0]):
                request = self._queue.popleft()
                if request.secret and not self._may_tell_secrets:
                    request.done.errback(NotSecure("a password is not sent without TLS"))
                    continue
                self._begin(request)
                if request.name:
                    await self._send(request)
            self._expect_soon()
            if self._sent and not self._sent[0].name:
                await self._greet(self._sent[0])
            elif self._sent:
                await self._take()

    @property
    def _may_tell_secrets(self) -> bool:
        return self._plaintext_login or self.secure or is_secure(self.transport)

    def _may_send(self, request: Request) -> bool:
        if not self._sent:
            return True
        if request.alone or self._sent[-1].alone or self._queue[0] is not request:
            return False
        return len(self._sent) < self._pipeline

    def _needs_consent(self, request: Request) -> bool:
        """Whether it cannot be written in one go."""
        return any(not isinstance(part, bytes) and not isinstance(part, Octets) for part in request.parts) or (
            b"LITERAL+" not in self.capabilities
            and any(isinstance(part, Octets) and _quoted(part) is None for part in request.parts)
        )

    def _begin(self, request: Request) -> None:
        self._sent.append(request)
        if request.name:
            self._serial += 1
            request.tag = b"L%d" % self._serial
            self.write(request.tag + b" ")

    def _at_once(self, part: Part) -> bytes:
        if isinstance(part, bytes):
            return part
        text = part.data if isinstance(part, Octets) else b""
        quoted = _quoted(part) if isinstance(part, Octets) else None
        return b"{%d+}\r\n%b" % (len(text), text) if quoted is None else quoted

    async def _send(self, request: Request) -> None:
        """Write up to the next literal the server must agree to, or to the end of the command."""
        while request.parts:
            part = request.parts.popleft()
            if isinstance(part, bytes):
                self.write(part)
                continue
            if isinstance(part, Octets) and (quoted := _quoted(part)) is not None:
                self.write(quoted)
                continue
            size = part.size if isinstance(part, Body) else len(part.data)
            binary = b"~" if isinstance(part, Body) and part.binary else b""
            at_once = b"LITERAL+" in self.capabilities or (b"LITERAL-" in self.capabilities and size <= 4_096)
            self.write(b"%b{%d%b}\r\n" % (binary, size, b"+" if at_once else b""))
            self.flush()
            if not at_once and not await self._consent(request):
                return
            await self._send_octets(part)
        self.write(b"\r\n")
        self.flush()
        if request.name == b"IDLE" and not request.patient:
            self.say_done()

    async def _consent(self, request: Request) -> bool:
        """Wait for the go-ahead; False when the command has ended instead."""
        self._expect_soon()
        while True:
            response = await self._response()
            if isinstance(response, Continuation):
                return True
            self._note(response)
            if request.ended:
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
        patient = bool(self._sent) and self._sent[0].patient
        self.limit_idle(math.inf if patient else self._timeout)
        if self._reader is not None:
            self._await_input()

    def say_done(self) -> None:
        """End the IDLE that is under way."""
        self.write(b"DONE\r\n")
        self.flush()
        self._expect_soon()

    # -- hearing ---------------------------------------------------------------------------------------------------

    async def _greet(self, request: Request) -> None:
        response = await self._response()
        if not isinstance(response, Condition) or response.tag != b"*" or response.condition not in GREETINGS:
            raise Confused("this is not an IMAP server")
        self._learn(response)
        if response.condition == b"BYE":
            raise Disconnected("the server said BYE")
        self._sent.popleft()
        request.done.callback(Completed(response, (), ()))

    async def _take(self) -> None:
        """Hear one response."""
        response = await self._response()
        if isinstance(response, Continuation):
            await self._continue(self._sent[-1], response)
        else:
            self._note(response)

    async def _continue(self, request: Request, response: Continuation) -> None:
        """The server waits for more: of an exchange of SASL, or as IDLE does all the time."""
        if request.prover is not None:
            self.write(await self._proof(request, response.text) + b"\r\n")
        elif request.more:
            self.write(request.more.popleft() + b"\r\n")
        elif not request.patient and request.name != b"IDLE":
            raise Confused("the server waits for what was not announced")
        self.flush()

    async def _proof(self, request: Request, challenge: bytes) -> bytes:
        prover = request.prover
        if request.more:
            return request.more.popleft()
        try:
            if prover is None:
                return b"*"
            return base64.b64encode(await prover.respond(decode_response(challenge)))
        except SaslError as error:
            raise Untrusted(str(error)) from None

    def _note(self, response: Condition | Data) -> None:
        """Keep a response for the command it came with, or end that."""
        told = read(response, self.utf8)
        self._learn(response)
        if isinstance(response, Condition) and response.tag != b"*":
            request = next((one for one in self._sent if one.tag == response.tag), None)
            if request is None:
                raise Confused("an answer to a command that nobody gave")
            self._end_request(request, response)
            return
        request = self._meant_by(told)
        for hears in (self.heard, request.event):
            if hears is not None:
                hears(told)
        if isinstance(response, Data):
            request.keep(response, told)
        else:
            self._left = self._left or response.condition == b"BYE"
            request.conditions.append(response)

    def _meant_by(self, told: Told) -> Request:
        if isinstance(told, Found) and told.tag:
            return next((one for one in self._sent if one.tag == told.tag), self._sent[0])
        return self._sent[0]

    def _end_request(self, request: Request, response: Condition) -> None:
        request.ended = True
        if response.condition != b"OK":
            self._sent.remove(request)
            request.done.errback(CommandFailed(request.name, response))
            return
        if request.prover is not None and not request.prover.proved:
            raise Untrusted("the server did not prove that it knows the password")
        if request.respond is not None:
            request.respond()
        self._sent.remove(request)
        request.done.callback(request.completed(response))

    def _learn(self, response: Condition | Data) -> None:
        told = read(response, self.utf8)
        if isinstance(told, Capabilities):
            self.capabilities = told.names
        elif isinstance(told, Enabled):
            self.enabled |= told.names
        elif isinstance(told, Condition) and told.code == b"CAPABILITY":
            self.capabilities = frozenset(told.argument.upper().split())

    async def _response(self) -> Response:
        first = line = await self.line(MAX_LINE)
        reader = ResponseReader(first)
        literal = announced(line)
        opener = self._sent[0].opener if self._sent else None
        kept = len(line)
        while literal is not None:
            sink = None if opener is None else open_sink(opener, first, line, literal)
            kept += 0 if sink is not None else literal.size
            if kept > MAX_LITERAL:
                raise Confused("a response is too large to be kept")
            data = await self._literal(literal.size, sink)
            line = await self.line(MAX_LINE)
            kept += len(line)
            reader.add(data, line)
            literal = announced(line)
        if self._sent and self._sent[0].weigh(kept) > MAX_KEPT:
            raise Confused("the answer is too large to be kept")
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
                waiting = sink(piece)
                if waiting is not None:
                    await waiting
        return b"".join(pieces)

    # -- layers ----------------------------------------------------------------------------------------------------

    def begin_tls(self, context: Any) -> None:
        """Speak TLS; what was heard before is forgotten."""
        self.capabilities = frozenset()
        self.start_tls(context, client=True)

    def begin_compression(self) -> None:
        """Compress; what stands behind the OK is compressed already."""
        self._layer = start_deflate(self, self.clock, deflated=True)

    def forget_account(self) -> None:
        """After UNAUTHENTICATE: another session on the same connection."""
        self.capabilities = self.enabled = frozenset()
        layer, self._layer = self._layer, None
        if layer is not None:
            layer.stop()

    # -- ends ------------------------------------------------------------------------------------------------------

    def readConnectionLost(self) -> None:
        """The server has said its last word; nobody may be waiting for one."""
        super().readConnectionLost()
        if self._hearing is None:
            self.fail(self._why(None))
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail what is still to be answered."""
        self._lost_because = reason
        super().connectionLost(reason)
        self.fail(self._why(None))

    def _stopped(self, result: Failure | None) -> None:
        self._hearing = None
        if not isinstance(result, Failure):
            return
        if self._sent and not result.check(*EXPECTED):
            self._sent.popleft().done.errback(result)
        self.fail(self._why(result))
        self.hearing_failed(result)

    def hearing_failed(self, result: Failure) -> None:
        """The connection is of no more use."""
        self.abort()

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

    def fail(self, error: ImapError) -> None:
        """End everything that is under way or waits."""
        if self._failed is None:
            self._failed = error
        left = [*self._sent, *self._queue]
        self._sent.clear()
        self._queue.clear()
        for request in left:
            if not request.done.called:
                request.done.errback(self._failed)


def _quoted(part: Octets) -> bytes | None:
    quoted = responses.string(part.data)
    return quoted if quoted.startswith(b'"') else None
