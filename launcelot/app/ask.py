"""
``launcelot ask``: questions in every framing, over TCP, TLS, UDP or a Unix socket, one answer a line.

All questions are asked at once on one connection, or one after the other where each ends with its connection; the answers are
shown in their order.  What goes wrong is one line on standard
error, after the answers that came before it, and one of the exit codes in :data:`ENDINGS`.
"""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.python.failure import Failure

from launcelot.app.errors import FAILED, NO_INPUT, OK, TEMPORARY, UNAVAILABLE, USAGE, Ending
from launcelot.app.roof import take_reactor
from launcelot.app.streams import Streams
from launcelot.hosting.calling import (
    CallError,
    Closed,
    Confused,
    Refused,
    Reset,
    TimedOut,
    Truncated,
    Unreachable,
    Untrusted,
    connect,
)
from launcelot.hosting.conversation import call
from launcelot.hosting.gather import Outcome, outcomes
from launcelot.hosting.inquiry import PATIENCE, connect_datagrams
from launcelot.hosting.tls import BadCertificate, client_tls
from launcelot.protocols.questions.asking import MANNERS, PLAIN
from launcelot.protocols.questions.client import QuestionsClient, QuestionsClientFactory, ask_until_close
from launcelot.protocols.questions.grammar import QUESTION_MARK, NotASentence, sentence
from launcelot.protocols.questions.udp import QuestionsDatagramClient

T = TypeVar("T")

UNTIL_CLOSE = "until-close"

PORTS: Mapping[str, int] = {"plain": 1060, "netstring": 1070, "json": 1071, UNTIL_CLOSE: 1072}
"""Where a daemon listens, by framing."""

TLS_PORT = 1068
TIMEOUT = 10.0
"""Seconds for the connection, and for each answer, over TCP and TLS."""

CONNECTION_LOST = 74
PROTOCOL = 76
UNTRUSTED = 77
"""As in sysexits.h: EX_IOERR, EX_PROTOCOL, EX_NOPERM."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """
    What is asked of whom.

    :ivar ca_file: PEM of the authorities to trust with TLS; None for the system's.
    :ivar timeout: seconds.
    :ivar framing: one of :data:`PORTS`.
    :ivar path: of a Unix socket, in place of host and port; empty for none.
    """

    questions: Sequence[bytes]
    host: str
    port: int
    timeout: float
    tls: bool = False
    udp: bool = False
    ca_file: Path | None = None
    framing: str = "plain"
    path: str = ""

    @property
    def where(self) -> str:
        """Whom, for people."""
        if self.path:
            return printable(self.path)
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def main(given: Namespace, streams: Streams) -> int:
    """
    Ask, show, and end.

    :raises Ending: a question has no answer.
    """
    inquiry = inquiry_of(given)
    found = run(take_reactor(), ask(take_reactor(), inquiry))
    answers = [one.result for one in found if one.result is not None]
    if given.json:
        pairs = zip(inquiry.questions, answers, strict=False)
        streams.say_json({"answers": [{"question": shown(one), "answer": shown(two)} for one, two in pairs]})
    else:
        streams.say(*(printable(shown(answer)) for answer in answers))
    for one in found:
        if one.failure is not None:
            raise ending_of(one.failure, inquiry)
    return FAILED if any(answer.startswith(b"Error: ") for answer in answers) else OK


def inquiry_of(given: Namespace) -> Inquiry:
    """
    What the options mean.

    :raises Ending: they contradict each other, or what is to be asked is no question.
    """
    for contradicts, why in (
        (given.udp and given.tls, "there is no TLS over UDP; choose one of --tls and --udp"),
        (given.udp and given.framing != "plain", "a datagram is its own frame; choose one of --udp and --framing"),
        (given.tls and given.framing == UNTIL_CLOSE, "TLS cannot close one side only; choose one of --tls and until-close"),
        (given.unix and (given.udp or given.tls or given.port), "--unix goes without --udp, --tls and --port"),
        (given.ca_file and not given.tls, "--ca-file is of use with --tls only"),
        (given.timeout is not None and not 0 < given.timeout <= 86_400, "--timeout is more than 0 and at most 86400 seconds"),
        (given.port is not None and not 0 < given.port <= 65_535, f"{given.port} is not a port of 1 to 65535"),
    ):
        if contradicts:
            raise Ending(f"ask: {why}", USAGE)
    questions = [os.fsencode(question) for question in given.question]
    for question in questions:
        try:
            sentence(question, QUESTION_MARK)
        except NotASentence:
            raise Ending(f"ask: {shown(question)[:80]!r} is no question: it ends with its only question mark", USAGE) from None
        try:
            MANNERS.get(given.framing, PLAIN).asked(question)
        except NotASentence as fault:
            raise Ending(f"ask: {fault}", USAGE) from None
    return Inquiry(
        questions,
        given.host,
        given.port or (TLS_PORT if given.tls and given.framing == "plain" else PORTS[given.framing]),
        given.timeout or (PATIENCE if given.udp else TIMEOUT),
        given.tls,
        given.udp,
        Path(given.ca_file) if given.ca_file else None,
        given.framing,
        given.unix or "",
    )


def run(reactor: Any, work: Coroutine[Any, Any, T]) -> T:
    """
    What a coroutine returns; the reactor runs meanwhile, and never again.

    :raises KeyboardInterrupt: the reactor was stopped before.
    """
    found: list[Any] = []

    def begin() -> None:
        Deferred.fromCoroutine(work).addBoth(found.append).addCallback(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not found:
        raise KeyboardInterrupt
    if isinstance(found[0], Failure):
        found[0].raiseException()
    result: T = found[0]
    return result


async def ask(reactor: Any, inquiry: Inquiry) -> list[Outcome[bytes]]:
    """
    Ask everything; one outcome for each question, in order.

    :raises Ending: there is no connection.
    """
    try:
        return await (ask_datagrams if inquiry.udp else ask_stream)(reactor, inquiry)
    except CallError:
        raise ending_of(Failure(), inquiry) from None


async def ask_stream(reactor: Any, inquiry: Inquiry) -> list[Outcome[bytes]]:
    """
    Over a connection; the goodbye is waited for.

    :raises CallError: there is no connection.
    """
    endpoint = endpoint_of(reactor, inquiry)
    if inquiry.framing == UNTIL_CLOSE:
        heard: list[Outcome[bytes]] = []
        for question in inquiry.questions:
            heard += await outcomes([Deferred.fromCoroutine(call(endpoint, ask_until_close(reactor, question, inquiry.timeout)))])
        return heard
    factory = QuestionsClientFactory(reactor, inquiry.timeout, MANNERS[inquiry.framing])
    client: QuestionsClient = await connect(endpoint, factory)
    gone = client.when_gone()
    found = await outcomes([client.ask(question) for question in inquiry.questions])
    client.close()
    await gone
    return found


def endpoint_of(reactor: Any, inquiry: Inquiry) -> Any:
    """
    Whom to connect to.

    :raises Ending: the authorities to trust cannot be read.
    """
    if inquiry.path:
        return UNIXClientEndpoint(reactor, inquiry.path, inquiry.timeout)
    endpoint: Any = HostnameEndpoint(reactor, inquiry.host, inquiry.port, inquiry.timeout)
    if not inquiry.tls:
        return endpoint
    try:
        return wrapClientTLS(client_tls(inquiry.host, inquiry.ca_file), endpoint)
    except BadCertificate as bad:
        raise Ending(str(bad), NO_INPUT) from bad


async def ask_datagrams(reactor: Any, inquiry: Inquiry) -> list[Outcome[bytes]]:
    """
    Over UDP, again and again.

    :raises CallError: there is no way there.
    """
    client = QuestionsDatagramClient(reactor, inquiry.timeout)
    await connect_datagrams(reactor, inquiry.host, inquiry.port, client)
    try:
        return await outcomes([client.ask(question) for question in inquiry.questions])
    finally:
        await client.close()


def ending_of(failure: Failure, inquiry: Inquiry) -> Ending:
    """What people are told of a question without an answer; what is no :class:`CallError` is raised as it is."""
    kind = failure.check(*ENDINGS)
    if kind is None:
        failure.raiseException()
    text, status = ENDINGS[kind]
    reason = printable(reason_of(str(failure.value)))
    return Ending(f"{inquiry.where}: {text.format(reason=reason, timeout=inquiry.timeout)}", status)


_QUOTED = re.compile(r"'([^']+)'\)\]$")


def reason_of(text: str) -> str:
    """What OpenSSL or service-identity mean; other texts as they are."""
    if "Mismatch" in text:
        return "the certificate is for another host; check --host"
    found = _QUOTED.search(text)
    if found is None:
        return text
    return f"{found[1]}; name the server's authority with --ca-file" if "certificate" in found[1] else found[1]


def shown(octets: bytes) -> str:
    """Octets as text; those that are none as escapes."""
    return octets.decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """Text that does nothing to a terminal."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


ENDINGS: Mapping[Any, tuple[str, int]] = {
    Refused: ("refused: nobody listens there; start the service, or check --host and --port", UNAVAILABLE),
    Unreachable: ("cannot be reached: {reason}", UNAVAILABLE),
    TimedOut: ("no answer in {timeout:g} seconds; try later, or raise --timeout", TEMPORARY),
    Reset: ("the connection was reset", CONNECTION_LOST),
    Closed: ("the connection was closed before the answer", CONNECTION_LOST),
    Truncated: ("the answer was cut short", PROTOCOL),
    Confused: ("that is no answer: {reason}", PROTOCOL),
    Untrusted: ("TLS failed: {reason}", UNTRUSTED),
}
"""Words and exit code for every error of calling."""
