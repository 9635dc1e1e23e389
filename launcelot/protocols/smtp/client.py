"""
The SMTP client: hands mail to a server, in order, streaming, and says exactly what became of it.

:meth:`SmtpClient.hello`, :meth:`~SmtpClient.secure_with`, :meth:`~SmtpClient.log_in`, :meth:`~SmtpClient.send` and
:meth:`~SmtpClient.quit` may be called at any time; they wait for each other.  Each ends exactly once, whatever happens to
the connection, with a result or one of :mod:`launcelot.protocols.smtp.failures`.  After a failure other than
:class:`Refused` and :class:`NotSendable` the connection is gone, because nobody knows what the next reply would answer.

RFC 5321 section 4.5.3.2 gives the times waited.  Left out: BDAT (a counted body that is stopped half-way cannot be told
apart from a lost one any better than DATA).
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from launcelot.core.dots import DotWriter
from launcelot.core.sasl import SaslError, decode_response
from launcelot.core.scram import Untrusted
from launcelot.core.wire import BareNewline, DeadlinePassed, LineTooLong, WireEnd
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.proving import Prover
from launcelot.hosting.stream import PlaintextBehindTLS, Stream
from launcelot.message.address import Address
from launcelot.protocols.smtp.failures import (
    BadReply,
    Disconnected,
    Injected,
    LoginRefused,
    NotSendable,
    Refused,
    SmtpError,
    TimedOut,
    TlsFailed,
)
from launcelot.protocols.smtp.grammar import (
    REPLY_LINE,
    MalformedReply,
    Reply,
    ReplyReader,
    encode_command,
    encode_mail,
    encode_recipient,
    reply,
    unitext,
    xtext,
)
from launcelot.protocols.smtp.offers import Offers
from launcelot.workers.interface import Workers

PIPELINED = 100
"""Commands sent before their replies are read."""

INITIAL_RESPONSE = 400
"""Octets of an initial response; a longer one waits to be asked for, so that the command line stays short."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for each reply.  RFC 5321 section 4.5.3.2."""

    greeting: float = 300.0
    command: float = 300.0
    data: float = 120.0
    end_of_data: float = 600.0
    goodbye: float = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """
    What is to be sent.

    :ivar source: the octets in pieces of any size; bare CR and LF are sent as CRLF.
    :ivar size: octets, as far as known; for SIZE.
    :ivar eight_bit: whether there may be octets above 127.
    :ivar utf8: whether the header may have UTF-8 in it.
    :ivar returned: ``RET``, ``"FULL"`` or ``"HDRS"``; empty for none.  Said where DSN is offered, as is ``envelope_id``.
    :ivar envelope_id: ``ENVID``.
    :ivar require_tls: ``REQUIRETLS``; the server must offer it.  RFC 8689.
    :ivar last: awaited when all but the final dot has been sent.  What it raises ends the connection and is raised by
        :meth:`SmtpClient.send`; the server has nothing then.
    """

    source: AsyncIterable[bytes]
    size: int = 0
    eight_bit: bool = True
    utf8: bool = False
    returned: str = ""
    envelope_id: str = ""
    last: Callable[[], Awaitable[None]] | None = None
    require_tls: bool = False

    @staticmethod
    def of(data: bytes, utf8: bool = False) -> Message:
        """A message that is in memory."""
        return Message(_pieces(data), len(data), not data.isascii(), utf8)


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What is asked of the server for one recipient, where it offers DSN.  RFC 3461 sections 4.1 and 4.2.

    :ivar notify: such as ``"FAILURE,DELAY"`` or ``"NEVER"``; empty for nothing.
    :ivar original: such as ``"rfc822;ann@example.org"``; empty for nothing.
    """

    notify: str = ""
    original: str = ""


async def _pieces(data: bytes, length: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), length):
        yield data[start : start + length]


@dataclass(frozen=True, slots=True)
class Sent:
    """
    What became of a mail.

    :ivar recipients: each with its reply, in the order given; one that was accepted at RCPT has the final reply.
    :ivar reply: to the message, of several (LMTP) the first; None if no recipient was accepted, so that it was never sent.
    """

    recipients: tuple[tuple[Address, Reply], ...]
    reply: Reply | None

    @property
    def accepted(self) -> tuple[Address, ...]:
        """Who will get it."""
        return tuple(address for address, words in self.recipients if words.positive)


class SmtpClient(Stream):
    """
    One connection to a server.

    :ivar offers: what the server can do, after :meth:`hello`.
    """

    def __init__(self, factory: SmtpClientFactory) -> None:
        super().__init__(factory.clock, factory.deadlines)
        self.factory = factory
        self.offers = Offers()
        self._turns = DeferredLock()
        self._greeted = False
        self._lost_because: Failure | None = None
        self._gone: list[Deferred[None]] = []
        self._heard_in_tls = True

    def connectionMade(self) -> None:
        """Begin, inside TLS where the factory says so."""
        super().connectionMade()
        if self.factory.implicit_tls is not None:
            self._begin_tls(self.factory.implicit_tls)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember why, then tell whoever waits."""
        self._lost_because = reason
        super().connectionLost(reason)
        gone, self._gone = self._gone, []
        for one in gone:
            one.callback(None)

    @property
    def is_alive(self) -> bool:
        """Whether something can be asked: the connection is there, and the server has said nothing unasked."""
        return self._lost_because is None and not (self._closing or self.pending or self.ended)

    # -- what can be asked ---------------------------------------------------------------------------------------

    async def hello(self) -> Offers:
        """
        Hear the greeting, then say EHLO, or HELO to a server that does not know it.

        :raises SmtpError: as every method here; :class:`Refused` if the server does not want us.
        """
        async with _Turn(self, "greeting"):
            await self._hello()
            return self.offers

    async def secure_with(self, context: Any) -> Offers:
        """
        STARTTLS, the handshake, and EHLO again; what was offered before is forgotten.

        :param context: ``optionsForClientTLS(...)``; it checks the server's name and certificate.
        :raises TlsFailed: TLS is not offered or fails, or the certificate is not to be trusted.
        :raises Injected: plaintext came behind the answer.
        """
        async with _Turn(self, "TLS"):
            if "STARTTLS" not in self.offers:
                raise TlsFailed("the server does not offer STARTTLS")
            words = await self._ask(encode_command("STARTTLS"), "TLS")
            if words.code != 220:
                raise TlsFailed(f"the server refused: {words.code} {words.text}")
            try:
                self._begin_tls(context)
            except PlaintextBehindTLS:
                raise Injected("plaintext came behind the answer to STARTTLS") from None
            self.offers = Offers()
            await self._hello()
            return self.offers

    async def log_in(self, name: str, password: str, in_clear: bool = False, plain: bool = False) -> None:
        """
        Log in with the best of SCRAM that is offered, or else with PLAIN or LOGIN.

        :param in_clear: send the password even without TLS.
        :param plain: no SCRAM in any case, as for an account whose server keeps no keys for it.
        :raises NotSendable: there is no TLS, or the server offers no mechanism known here.
        :raises LoginRefused: name and password are not accepted.
        :raises TlsFailed: the server accepts them and cannot prove that it knows the password; the connection is dropped.
        """
        async with _Turn(self, "AUTH"):
            if not self.secure and not in_clear:
                raise NotSendable("AUTH", "a password is not sent without TLS")
            offered = () if plain else {one.encode("ascii", "replace") for one in self.offers.mechanisms}
            prover = Prover.choose(name, password, self.transport, offered, self.factory.workers)
            if prover is not None:
                words = await self._log_in_scram(prover)
            elif "PLAIN" in self.offers.mechanisms:
                words = await self._log_in_plain(name, password)
            elif "LOGIN" in self.offers.mechanisms:
                words = await self._log_in_login(name, password)
            else:
                raise NotSendable("AUTH", "the server offers no mechanism known here")
            if not words.positive:
                raise LoginRefused("AUTH", words)
            if words.code != 235:
                raise BadReply("AUTH", f"{words.code} is no end of a login")

    async def send(
        self, sender: Address | None, recipients: Sequence[Address], message: Message, wishes: Sequence[Wish] = ()
    ) -> Sent:
        """
        Hand over one mail.

        :param sender: None for the null path.
        :param wishes: one for each recipient, or none at all.
        :raises NotSendable: the mail needs an extension the server lacks, or is larger than it takes.
        :raises Refused: the sender was refused; recipients that are refused are in the result, and all are when DATA is.
        """
        async with _Turn(self, "MAIL"):
            parameters = self._parameters(sender, recipients, message)
            wished = [self._wished(one) for one in wishes] or [()] * len(recipients)
            named = [encode_recipient(one, more) for one, more in zip(recipients, wished, strict=True)]
            lines = [encode_mail(sender, parameters), *named, encode_command("DATA")]
            first, *others = await self._envelope(lines)
            *answers, data = others
            if not first.positive:
                await self._end_unwanted(data)
                raise Refused("MAIL", first)
            results = tuple(zip(recipients, answers, strict=True))
            if not any(words.positive for words in answers):
                await self._end_unwanted(data)
                return Sent(results, None)
            if data.positive and data.code != 354:
                raise BadReply("DATA", f"{data.code} where 354 belongs")
            if not data.positive:
                await self._end_unwanted(data)
                return Sent(tuple((one, data if words.positive else words) for one, words in results), data)
            finals = await self._send_text(message, sum(words.positive for words in answers) if self.factory.lmtp else 1)
            each = iter(finals if self.factory.lmtp else finals * len(answers))
            return Sent(tuple((one, next(each) if words.positive else words) for one, words in results), finals[0])

    async def quit(self) -> None:
        """Say goodbye and close; never fails."""
        try:
            async with _Turn(self, "QUIT"):
                await self._ask(encode_command("QUIT"), "QUIT", self.factory.timeouts.goodbye)
        except SmtpError:
            pass
        self.close()
        if self._lost_because is None:
            gone: Deferred[None] = Deferred()
            self._gone.append(gone)
            await gone

    # -- how it is done ------------------------------------------------------------------------------------------

    async def _hello(self) -> None:
        if not self._greeted:
            words = await self._reply("greeting", self.factory.timeouts.greeting)
            if words.code != 220:
                raise (
                    Refused("greeting", words) if not words.positive else BadReply("greeting", f"{words.code} is none")
                )
            self._greeted = True
        verb = "LHLO" if self.factory.lmtp else "EHLO"
        words = await self._ask(encode_command(verb, self.factory.name), verb)
        if words.positive:
            self.offers = Offers.of(words)
            return
        if words.temporary or self.factory.lmtp:
            raise Refused(verb, words)
        words = await self._ask(encode_command("HELO", self.factory.name), "HELO")
        if not words.positive:
            raise Refused("HELO", words)
        self.offers = Offers(name=Offers.name_in(words))

    def _begin_tls(self, context: Any) -> None:
        self._heard_in_tls = False
        self.start_tls(context, client=True)

    async def _log_in_scram(self, prover: Prover) -> Reply:
        mechanism, first = prover.mechanism.decode("ascii"), base64.b64encode(prover.first).decode("ascii")
        if len(first) <= INITIAL_RESPONSE:
            words = await self._ask(encode_command("AUTH", mechanism, first), "AUTH")
        else:
            words = await self._ask(encode_command("AUTH", mechanism), "AUTH")
            words = await self._ask(encode_command(first), "AUTH") if words.code == 334 else words
        while words.code == 334:
            try:
                response = await prover.respond(decode_response(words.text.encode("ascii", "replace")))
            except Untrusted as error:
                raise TlsFailed(str(error)) from None
            except SaslError as error:
                await self._ask(encode_command("*"), "AUTH")
                raise BadReply("AUTH", str(error)) from None
            words = await self._ask(encode_command(base64.b64encode(response).decode("ascii")), "AUTH")
        if words.positive and not prover.proved:
            raise TlsFailed("the server did not prove that it knows the password")
        return words

    async def _log_in_plain(self, name: str, password: str) -> Reply:
        response = base64.b64encode(f"\0{name}\0{password}".encode()).decode("ascii")
        if len(response) <= INITIAL_RESPONSE:
            return await self._ask(encode_command("AUTH", "PLAIN", response), "AUTH")
        words = await self._ask(encode_command("AUTH", "PLAIN"), "AUTH")
        return await self._ask(encode_command(response), "AUTH") if words.code == 334 else words

    async def _log_in_login(self, name: str, password: str) -> Reply:
        words = await self._ask(encode_command("AUTH", "LOGIN"), "AUTH")
        for secret in (name, password):
            if words.code != 334:
                return words
            words = await self._ask(encode_command(base64.b64encode(secret.encode()).decode("ascii")), "AUTH")
        return words

    def _parameters(self, sender: Address | None, recipients: Sequence[Address], message: Message) -> list[str]:
        """MAIL's parameters for a mail, if the server can take it at all."""
        found: list[str] = []
        limit = self.offers.max_size
        if limit and message.size > limit:
            text = f"the message has {message.size} octets and the server takes {limit}"
            raise NotSendable("MAIL", text, "5.3.4")
        if "SIZE" in self.offers and message.size:
            found.append(f"SIZE={message.size}")
        utf8 = message.utf8 or not all(one.is_ascii for one in (sender, *recipients) if one is not None)
        if utf8 and "SMTPUTF8" not in self.offers:
            raise NotSendable("MAIL", "the mail needs SMTPUTF8, which the server does not offer", "5.6.7")
        if message.eight_bit or utf8:
            if "8BITMIME" not in self.offers:
                text = "the message needs 8BITMIME, which the server does not offer"
                raise NotSendable("MAIL", text, "5.6.3")
            found.append("BODY=8BITMIME")
        if utf8:
            found.append("SMTPUTF8")
        if message.require_tls:
            if not self.secure or "REQUIRETLS" not in self.offers:
                raise NotSendable("MAIL", "the mail needs REQUIRETLS, which the server does not offer", "5.7.30")
            found.append("REQUIRETLS")
        if "DSN" in self.offers:
            if message.returned:
                found.append(f"RET={message.returned}")
            if message.envelope_id:
                found.append(f"ENVID={xtext(message.envelope_id)}")
        return found

    def _wished(self, wish: Wish) -> Sequence[str]:
        """RCPT's parameters for a wish."""
        if "DSN" not in self.offers:
            return ()
        found = [f"NOTIFY={wish.notify}"] if wish.notify else []
        kind, _, address = wish.original.partition(";")
        if address:
            found.append(f"ORCPT={kind};{xtext(address) if address.isascii() else unitext(address)}")
        return found

    async def _envelope(self, lines: Sequence[bytes]) -> list[Reply]:
        """
        The replies to MAIL, RCPTs and DATA: many at once where PIPELINING is offered.

        Without it, DATA is not said when it would be in vain; its reply then is a 503 of our own.
        """
        timeouts = self.factory.timeouts
        answers: list[Reply] = []
        if "PIPELINING" in self.offers:
            for start in range(0, len(lines), PIPELINED):
                await self._expect_silence("MAIL")
                window = lines[start : start + PIPELINED]
                self.write(b"".join(window))
                for line in window:
                    answers.append(await self._reply(line[:4].decode(), timeouts.command))
            return answers
        for line in lines:
            wanted = not answers or (
                answers[0].positive and (line != lines[-1] or any(one.positive for one in answers[1:]))
            )
            stage = line[:4].decode()
            answers.append(await self._ask(line, stage) if wanted else reply(503, "5.5.1", "Not sent"))
        return answers

    async def _end_unwanted(self, data: Reply) -> None:
        """Leave the transaction behind when nobody will get the message."""
        if data.code == 354:
            self.write(b".\r\n")
            await self._reply("empty message", self.factory.timeouts.end_of_data)
        words = await self._ask(encode_command("RSET"), "RSET")
        if not words.positive:
            raise BadReply("RSET", f"{words.code} {words.text}")

    async def _send_text(self, message: Message, count: int) -> list[Reply]:
        """The text, and so many replies to it."""
        writer = DotWriter()
        async for piece in message.source:
            self.write(writer.feed(piece))
            await self.drain()
        if message.last is not None:
            await message.last()
        await self._expect_no_end()
        self.write(writer.finish())
        found: list[Reply] = []
        while len(found) < count:
            words = await self._reply("end of data", self.factory.timeouts.end_of_data)
            if 300 <= words.code < 400:
                raise BadReply("end of data", f"{words.code} is no end")
            found.append(words)
        return found

    async def _expect_no_end(self) -> None:
        """Without the final dot the server has nothing; one that has refused or left meanwhile is not sent it."""
        if self._lost_because is not None or (self.ended and not self.pending):
            raise Disconnected("message", "the connection was lost")
        if not self.pending:
            return
        words = await self._reply("message", self.factory.timeouts.command)
        if words.positive:
            raise BadReply("message", "the server spoke unasked")
        # It has answered what we have not asked yet, so nobody knows what the next reply would answer.
        self.abort()
        raise Refused("message", words)

    async def _ask(self, line: bytes, stage: str, seconds: float | None = None) -> Reply:
        await self._expect_silence(stage)
        self.write(line)
        return await self._reply(stage, self.factory.timeouts.command if seconds is None else seconds)

    async def _expect_silence(self, stage: str) -> None:
        """Octets that nobody asked for answer nothing; only a goodbye may come unasked."""
        if not self.pending:
            return
        words = await self._reply(stage, self.factory.timeouts.command)
        raise Refused(stage, words) if words.code == 421 else BadReply(stage, "the server spoke unasked")

    async def _reply(self, stage: str, seconds: float) -> Reply:
        """
        The next reply; the time is for all of it, however its octets trickle.

        A 421 ends the connection on the server's side whatever it answers.
        """
        reader = ReplyReader()
        self.limit_total(seconds)
        try:
            while True:
                try:
                    found = reader.feed(await self.line(REPLY_LINE))
                except WireEnd as end:
                    raise self._ended(end, stage) from None
                except (LineTooLong, BareNewline, MalformedReply) as wrong:
                    raise BadReply(stage, str(wrong) or type(wrong).__name__) from None
                self._heard_in_tls = True
                if found is not None:
                    return found
        finally:
            self.limit_total(None)

    def _ended(self, end: WireEnd, stage: str) -> SmtpError:
        """The failure for a read that found no more."""
        ambiguous = stage == "end of data"
        if isinstance(end, DeadlinePassed):
            return TimedOut(stage, "no reply in time", ambiguous)
        if not self._heard_in_tls:
            because = self._lost_because
            return TlsFailed(
                because.getErrorMessage() if because is not None else "the connection ended in the handshake"
            )
        return Disconnected(stage, str(end) or "the connection was lost", ambiguous)


class _Turn:
    """
    One request's turn: it waits for those before it, and drops the connection when it leaves it out of step.

    Nothing that was written is taken back when a request is cancelled, so the replies to come would answer somebody
    else's question: that drops the connection, too.
    """

    def __init__(self, client: SmtpClient, stage: str) -> None:
        self._client = client
        self._stage = stage

    async def __aenter__(self) -> None:
        await self._client._turns.acquire()
        client = self._client
        if client._lost_because is not None or client._closing:
            client._turns.release()
            raise Disconnected(self._stage, "the connection is gone")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client = self._client
        in_step = (
            error is None or (isinstance(error, Refused) and error.reply.code != 421) or isinstance(error, NotSendable)
        )
        if not in_step:
            client.abort()
        client._turns.release()
        if isinstance(error, WireEnd):
            raise client._ended(error, "message" if self._stage == "MAIL" else self._stage) from None


class SmtpClientFactory(Factory):
    """
    Makes clients.

    :param clock: the reactor, or a ``task.Clock``.
    :param name: our own host name, for EHLO.
    :param implicit_tls: a context for TLS from the first octet, as on port 465.
    :param lmtp: the servers speak LMTP: LHLO, and a reply to the message for each recipient that was accepted (RFC 2033).
    :param workers: where passwords are hashed for SCRAM; without, a log-in keeps the reactor for some 30 ms.
    """

    noisy = False
    protocol = SmtpClient

    def __init__(
        self,
        clock: IReactorTime,
        deadlines: Deadlines,
        name: str,
        timeouts: Timeouts | None = None,
        implicit_tls: Any = None,
        workers: Workers | None = None,
        lmtp: bool = False,
    ) -> None:
        self.workers = workers
        self.lmtp = lmtp
        self.clock = clock
        self.deadlines = deadlines
        self.name = name
        self.timeouts = timeouts or Timeouts()
        self.implicit_tls = implicit_tls

    def buildProtocol(self, addr: IAddress | None) -> SmtpClient:
        """A client for one connection."""
        return self.protocol(self)
