"""
The ManageSieve client: one request at a time, each ended exactly once.

What the server sent in the clear behind its answer to STARTTLS is never read: the connection is dropped and no password
leaves.  Passwords go over TLS only, unless the factory says otherwise; SCRAM is preferred, and a server that cannot prove that
it knows the password is not believed.  Errors are those of :mod:`launcelot.hosting.calling` and those here.  RFC 5804.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from launcelot.core.sasl import SaslError, decode_response
from launcelot.core.scram import Untrusted as Unproved
from launcelot.core.wire import LineError, PeerGone, WireEnd
from launcelot.hosting.calling import CallError, Confused, Untrusted, is_secure, why
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.proving import Prover
from launcelot.hosting.stream import PlaintextBehindTLS, Stream
from launcelot.mailstore.scripts import ScriptInfo
from launcelot.protocols.managesieve.grammar import Atom, SyntaxWrong, scan_response, string, text
from launcelot.workers.interface import Workers

TIMEOUT = 60.0
"""Seconds to wait for the next octets of an answer."""
MAX_LINE = 16_384
MAX_LITERAL = 4 << 20
"""Octets of one literal of the server's."""
MAX_ITEMS = 100_000
"""Tokens of one answer."""


class Declined(CallError):
    """
    The server answered ``NO`` or ``BYE``.

    :ivar code: its response code, such as ``QUOTA/MAXSCRIPTS``, or empty.
    """

    def __init__(self, words: str, code: str) -> None:
        super().__init__(words or code or "the server declined")
        self.code = code


class NotSecure(CallError):
    """A password was to be sent in the clear, or TLS was answered with more than its answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A whole answer.

    :ivar lines: the data lines before its end.
    """

    lines: tuple[tuple[str | Atom, ...], ...]
    code: str = ""
    words: str = ""


@dataclass(slots=True)
class Capabilities:
    """What the server said it can do, by name in upper case."""

    known: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.known

    def words(self, name: str) -> tuple[str, ...]:
        """The words of a value, such as the mechanisms of ``SASL``."""
        return tuple(self.known.get(name, "").split())


class ManageSieveClient(Stream):
    """
    One connection to a server.

    :ivar capabilities: as last told, with the greeting first.
    """

    def __init__(self, factory: ManageSieveClientFactory) -> None:
        super().__init__(factory.clock, factory.deadlines)
        self.factory = factory
        self.capabilities = Capabilities()
        self._turns = DeferredLock()
        self._greeted = False
        self._broken: Failure | None = None
        self.limit_idle(factory.timeout)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember why."""
        self._broken = reason
        super().connectionLost(reason)

    # -- what can be asked ---------------------------------------------------------------------------------------

    async def greeting(self) -> Capabilities:
        """
        What the server can do; every other request waits for it, too.

        :raises CallError: as every method here; :class:`Declined` if the server does not want us.
        """
        async with _Turn(self):
            return self.capabilities

    async def secure_with(self, context: Any) -> Capabilities:
        """
        STARTTLS; what was told before is forgotten.

        :param context: ``optionsForClientTLS(...)``; it checks the server's name and certificate.
        :raises NotSecure: TLS is not offered, or plaintext came behind the answer.
        """
        async with _Turn(self):
            if "STARTTLS" not in self.capabilities:
                raise NotSecure("the server does not offer STARTTLS")
            await self._ask("STARTTLS")
            try:
                self.start_tls(context, client=True)
            except PlaintextBehindTLS:
                raise NotSecure("plaintext came behind the answer to STARTTLS") from None
            self.capabilities = _read_capabilities(await self._answer())
            return self.capabilities

    async def log_in(self, name: str, password: str) -> None:
        """
        Log in with the best of SCRAM that is offered, or else with PLAIN.

        :raises NotSecure: there is no TLS and the factory wants it, or the server offers no mechanism known here.
        :raises Declined: name and password are not accepted.
        :raises Untrusted: the server cannot prove that it knows the password.
        """
        async with _Turn(self):
            if not (self.secure or is_secure(self.transport) or self.factory.plaintext_login):
                raise NotSecure("a password is not sent without TLS")
            offered = {one.encode("ascii", "replace") for one in self.capabilities.words("SASL")}
            prover = Prover.choose(name, password, self.transport, offered, self.factory.workers)
            if prover is not None:
                await self._log_in_scram(prover)
            elif b"PLAIN" in offered:
                response = base64.b64encode(f"\0{name}\0{password}".encode())
                await self._ask("AUTHENTICATE", "PLAIN", response)
            else:
                raise NotSecure("the server offers no mechanism known here")

    async def listing(self) -> Sequence[ScriptInfo]:
        """The scripts; their sizes are not told and are 0."""
        answer = await self.request("LISTSCRIPTS")
        found = []
        for line in answer.lines:
            if not line or not isinstance(line[0], str):
                raise Confused("a script has no name")
            active = any(isinstance(one, Atom) and one.name.upper() == "ACTIVE" for one in line[1:])
            found.append(ScriptInfo(line[0], active, 0))
        return found

    async def get(self, name: str) -> bytes:
        """A script's source."""
        answer = await self.request("GETSCRIPT", name)
        if len(answer.lines) != 1 or not answer.lines[0] or not isinstance(answer.lines[0][0], str):
            raise Confused("there is no script in the answer")
        return answer.lines[0][0].encode()

    async def put(self, name: str, source: bytes) -> str:
        """Keep a script; what the server warns of, or nothing."""
        answer = await self.request("PUTSCRIPT", name, source)
        return answer.words if answer.code.upper() == "WARNINGS" else ""

    async def check(self, source: bytes) -> None:
        """Have a script looked at; :class:`Declined` says what is wrong with it."""
        await self.request("CHECKSCRIPT", source)

    async def activate(self, name: str) -> None:
        """Make a script the active one; an empty name is that of none."""
        await self.request("SETACTIVE", name)

    async def remove(self, name: str) -> None:
        """Remove a script."""
        await self.request("DELETESCRIPT", name)

    async def rename(self, name: str, to: str) -> None:
        """Give a script another name."""
        await self.request("RENAMESCRIPT", name, to)

    async def have_space(self, name: str, size: int) -> None:
        """Whether a script of so many octets could be kept; :class:`Declined` if not."""
        await self.request("HAVESPACE", name, size)

    async def log_out(self) -> None:
        """Say goodbye and close; never fails."""
        try:
            await self.request("LOGOUT")
        except CallError:
            pass
        self.close()

    async def request(self, verb: str, *arguments: str | bytes | int) -> Answer:
        """Any command."""
        async with _Turn(self):
            return await self._ask(verb, *arguments)

    # -- how it is done ------------------------------------------------------------------------------------------

    async def _greet(self) -> None:
        if not self._greeted:
            self.capabilities = _read_capabilities(await self._answer())
            self._greeted = True

    async def _ask(self, verb: str, *arguments: str | bytes | int) -> Answer:
        self.write(b" ".join([verb.encode("ascii"), *map(_argument, arguments)]) + b"\r\n")
        return await self._answer()

    async def _log_in_scram(self, prover: Prover) -> None:
        first = base64.b64encode(prover.first)
        self.write(b'AUTHENTICATE "%s" %s\r\n' % (prover.mechanism, string(first, client=True)))
        while True:
            tokens = await self._line()
            if not tokens or not isinstance(tokens[0], str):
                final = _end(tokens, ())
                break
            self.write(string(base64.b64encode(await self._respond(prover, tokens[0])), client=True) + b"\r\n")
        if final.code.upper() == "SASL" and final.words:
            await self._respond(prover, final.words)
        if not prover.proved:
            raise Untrusted("the server did not prove that it knows the password")

    async def _respond(self, prover: Prover, challenge: str) -> bytes:
        try:
            return await prover.respond(decode_response(challenge.encode("ascii", "replace")) if challenge else b"")
        except Unproved as error:
            raise Untrusted(str(error)) from None
        except SaslError as error:
            raise Confused(str(error)) from None

    async def _answer(self) -> Answer:
        lines: list[tuple[str | Atom, ...]] = []
        count = 0
        while True:
            tokens = await self._line()
            count += len(tokens) + 1
            if count > MAX_ITEMS:
                raise Confused("the answer does not end")
            if tokens and isinstance(tokens[0], Atom) and tokens[0].name.upper() in ("OK", "NO", "BYE"):
                return _end(tokens, tuple(lines))
            lines.append(tokens)

    async def _line(self) -> tuple[str | Atom, ...]:
        """The tokens of one response line, its literals read."""
        found: list[str | Atom] = []
        try:
            scanned = scan_response(await self.line(MAX_LINE))
            while scanned.literal is not None:
                found += scanned.found
                found.append(text(await self._octets(scanned.literal)))
                scanned = scan_response(await self.line(MAX_LINE))
        except (SyntaxWrong, LineError) as wrong:
            raise Confused(str(wrong) or "not the server's words") from None
        return (*found, *scanned.found)

    async def _octets(self, size: int) -> bytes:
        if size > MAX_LITERAL:
            raise Confused("the server sends too much")
        pieces: list[bytes] = []
        while size:
            piece = await self.chunk(min(size, 65_536))
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class _Turn:
    """One request's turn; it drops the connection when it leaves it out of step, as when it is cancelled."""

    def __init__(self, client: ManageSieveClient) -> None:
        self._client = client

    async def __aenter__(self) -> None:
        client = self._client
        await client._turns.acquire()
        try:
            if client._broken is not None or client._closing:
                raise why(None, client._broken, False)
            await client._greet()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client = self._client
        if error is not None and not isinstance(error, Declined) and client._broken is None:
            client.abort()
        client._turns.release()
        if isinstance(error, WireEnd):
            raise why(Failure(error), client._broken, not isinstance(error, PeerGone)) from None


def _argument(value: str | bytes | int) -> bytes:
    return b"%d" % value if isinstance(value, int) else string(value, client=True)


def _end(tokens: Sequence[str | Atom], lines: tuple[tuple[str | Atom, ...], ...]) -> Answer:
    """
    The last line of an answer.

    :raises Declined: it is not OK.
    """
    kind = tokens[0].name.upper() if tokens and isinstance(tokens[0], Atom) else ""
    rest = list(tokens[1:])
    code = inner = ""
    if rest and rest[0] == Atom("("):
        if Atom(")") not in rest:
            raise Confused("a response code without an end")
        end = rest.index(Atom(")"))
        code = rest[1].name if end > 1 and isinstance(rest[1], Atom) else ""
        inner = next((one for one in rest[2:end] if isinstance(one, str)), "")
        rest = rest[end + 1 :]
    words = next((one for one in rest if isinstance(one, str)), "")
    if kind in ("NO", "BYE"):
        raise Declined(words, code)
    if kind != "OK":
        raise Confused("an answer without an end")
    return Answer(lines, code, inner if code.upper() == "SASL" else words)


def _read_capabilities(answer: Answer) -> Capabilities:
    found: dict[str, str] = {}
    for line in answer.lines:
        if line and isinstance(line[0], str):
            found[line[0].upper()] = line[1] if len(line) > 1 and isinstance(line[1], str) else ""
    return Capabilities(found)


class ManageSieveClientFactory(Factory):
    """
    Makes clients.

    :param clock: the reactor, or a ``task.Clock``.
    :param timeout: seconds to wait for the next octets of an answer.
    :param plaintext_login: whether passwords may go out without TLS.
    :param workers: where passwords are hashed for SCRAM; None for here and now.
    """

    noisy = False
    protocol = ManageSieveClient

    def __init__(
        self,
        clock: IReactorTime,
        deadlines: Deadlines,
        timeout: float = TIMEOUT,
        plaintext_login: bool = False,
        workers: Workers | None = None,
    ) -> None:
        self.clock = clock
        self.deadlines = deadlines
        self.timeout = timeout
        self.plaintext_login = plaintext_login
        self.workers = workers

    def buildProtocol(self, addr: IAddress | None) -> ManageSieveClient:
        """A client for one connection."""
        return self.protocol(self)
