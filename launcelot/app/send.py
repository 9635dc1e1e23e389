"""
``launcelot send``: hand one message to a submission server, and say what became of each recipient.

TLS is verified unless it is switched off in so many words; a password never goes without it unless the server is on this machine.
What goes wrong is one line on standard error and an exit code of its own.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint

from launcelot.app.ask import CONNECTION_LOST, PROTOCOL, UNTRUSTED, printable, run
from launcelot.app.errors import FAILED, NO_INPUT, OK, TEMPORARY, UNAVAILABLE, USAGE, Ending
from launcelot.app.roof import take_reactor
from launcelot.app.stores import fresh_id
from launcelot.app.streams import Streams
from launcelot.core.errors import Invalid
from launcelot.core.limits import is_loopback
from launcelot.hosting.calling import CallError, connect
from launcelot.hosting.deadlines import Deadlines
from launcelot.hosting.tls import BadCertificate, client_tls
from launcelot.message.address import Address, parse_domain, parse_mailbox
from launcelot.message.compose import plain_message
from launcelot.protocols.smtp.client import Message, Sent, SmtpClient, SmtpClientFactory, Timeouts, Wish
from launcelot.protocols.smtp.failures import (
    BadReply,
    Disconnected,
    LoginRefused,
    SmtpError,
    TlsFailed,
)

PORTS = {"starttls": 2587, "implicit": 2465, "none": 2525}
"""Of a Launcelot that has no privileges."""

TIMEOUT = 60.0
"""Seconds for the connection, and for each reply."""


@dataclass(frozen=True, slots=True)
class Errand:
    """
    What is sent, to whom, over which server.

    :ivar user: empty to send without logging in.
    :ivar notify: for every recipient.
    :ivar require_tls: REQUIRETLS (RFC 8689).
    """

    host: str
    port: int
    tls: str
    ca_file: Path | None
    user: str
    password: str
    sender: Address | None
    recipients: Sequence[Address]
    octets: bytes
    notify: str
    timeout: float
    require_tls: bool = False


def main(given: Namespace, streams: Streams) -> int:
    """
    Send, and tell.

    :raises Ending: nothing was sent.
    """
    errand = errand_of(given, streams)
    reactor = take_reactor()
    try:
        sent = run(reactor, send(reactor, errand))
    except (CallError, SmtpError) as error:
        raise ending_of(error, errand) from error
    return tell(sent, given, streams)


def tell(sent: Sent, given: Namespace, streams: Streams) -> int:
    """Each recipient's reply; 0 if all were accepted, 1 if one is refused for good, 75 if one may be sent to later."""
    if given.json:
        rows = [
            {"recipient": str(one), "accepted": words.positive, "code": words.code, "reply": words.text}
            for one, words in sent.recipients
        ]
        streams.say_json({"recipients": rows, "reply": sent.reply.text if sent.reply else ""})
    for one, words in sent.recipients:
        text = printable(f"{one}: {words.code} {words.enhanced} {words.text}".replace("  ", " "))
        if not words.positive:
            streams.complain(text)
        elif not given.json:
            streams.say(text)
    refused = [words for _, words in sent.recipients if not words.positive]
    if not refused:
        return OK
    return TEMPORARY if all(words.temporary for words in refused) else FAILED


async def send(reactor: Any, errand: Errand) -> Sent:
    """
    One connection, one message.

    :raises CallError: there is no connection.
    :raises SmtpError: the server did not take it.
    """
    context = tls_of(errand) if errand.tls != "none" else None
    limit = errand.timeout
    factory = SmtpClientFactory(
        reactor,
        Deadlines(reactor),
        own_name(),
        Timeouts(limit, limit, limit, limit),
        implicit_tls=context if errand.tls == "implicit" else None,
    )
    client: SmtpClient = await connect(HostnameEndpoint(reactor, errand.host, errand.port, limit), factory)
    try:
        await client.hello()
        if errand.tls == "starttls":
            await client.secure_with(context)
        if errand.user:
            await client.log_in(errand.user, errand.password, in_clear=is_near(errand.host))
        message = Message.of(errand.octets, utf8=not header_of(errand.octets).isascii())
        message = replace(message, require_tls=errand.require_tls)
        return await client.send(errand.sender, errand.recipients, message, [Wish(errand.notify)] * len(errand.recipients))
    finally:
        await client.quit()


def tls_of(errand: Errand) -> Any:
    """
    The context.

    :raises Ending: the file of authorities cannot be used.
    """
    try:
        return client_tls(errand.host, errand.ca_file)
    except BadCertificate as bad:
        raise Ending(str(bad), NO_INPUT) from bad


def is_near(host: str) -> bool:
    """Whether a host is this machine, so that a password may go there in clear."""
    return host == "localhost" or is_loopback(host)


def own_name() -> str:
    """This machine's name, as EHLO takes it."""
    try:
        return parse_domain(socket.gethostname())
    except Invalid:
        return "[127.0.0.1]"


def header_of(octets: bytes) -> bytes:
    """The header of a message with any line ends."""
    return octets.replace(b"\r\n", b"\n").partition(b"\n\n")[0]


# -- what the options mean -----------------------------------------------------------------------------------------


def errand_of(given: Namespace, streams: Streams) -> Errand:
    """
    What the options and standard input mean.

    :raises Ending: they contradict each other, or are no addresses.
    """
    if given.port is not None and not 0 < given.port <= 65_535:
        raise Ending(f"send: {given.port} is not a port of 1 to 65535", USAGE)
    if not 0 < given.timeout <= 86_400:
        raise Ending("send: --timeout is more than 0 and at most 86400 seconds", USAGE)
    notify = set((given.notify or "").upper().split(",")) - {""}
    if not notify <= {"SUCCESS", "FAILURE", "DELAY"} and notify != {"NEVER"}:
        raise Ending("send: --notify is never, or some of success,failure,delay", USAGE)
    if given.require_tls and given.tls == "none":
        raise Ending("send: --require-tls needs TLS on the way to the server, too; choose another --tls", USAGE)
    if given.ca_file and given.tls == "none":
        raise Ending("send: --ca-file is of use with TLS only", USAGE)
    recipients = [address_of(one) for one in given.recipients]
    sender = None if given.sender == "<>" else address_of(given.sender)
    octets = read_message(given, streams)
    if given.subject is not None:
        octets = composed(sender, recipients, given.subject, octets)
    return Errand(
        given.server,
        given.port or PORTS[given.tls],
        given.tls,
        Path(given.ca_file) if given.ca_file else None,
        given.user or "",
        password_of(given, streams) if given.user else "",
        sender,
        recipients,
        octets,
        ",".join(sorted(notify)),
        given.timeout,
        given.require_tls,
    )


def address_of(text: str) -> Address:
    """
    An address.

    :raises Ending: it is none.
    """
    try:
        return parse_mailbox(text)
    except Invalid as invalid:
        raise Ending(f"send: {printable(text)!r}: {invalid.text}", USAGE) from invalid


def read_message(given: Namespace, streams: Streams) -> bytes:
    """
    The message, or its text, of a file or of standard input.

    :raises Ending: there is none.
    """
    try:
        if given.file and given.file != "-":
            octets = Path(given.file).read_bytes()
        else:
            buffer = getattr(streams.input, "buffer", None)
            octets = buffer.read() if buffer is not None else streams.input.read().encode()
    except OSError as error:
        raise Ending(f"{given.file or 'standard input'}: {error.strerror}", NO_INPUT) from error
    if not octets:
        raise Ending("send: the message is empty; give a file, or write it to standard input", NO_INPUT)
    return bytes(octets)


def composed(sender: Address | None, recipients: Sequence[Address], subject: str, text: bytes) -> bytes:
    """
    A message around a text.

    :raises Ending: it cannot be one.
    """
    if sender is None:
        raise Ending("send: a message with --subject needs --from", USAGE)
    date = datetime.fromtimestamp(time.time(), UTC)
    try:
        return plain_message(
            sender, recipients, subject, text.decode("utf-8"), date, f"{fresh_id()}@{sender.domain}"
        )
    except UnicodeDecodeError as error:
        raise Ending("send: the text is not UTF-8; send a whole message instead of --subject", NO_INPUT) from error
    except Invalid as invalid:
        raise Ending(f"send: --subject: {invalid.text}", USAGE) from invalid


def password_of(given: Namespace, streams: Streams) -> str:
    """
    The password: of a file, of the environment, or typed.

    :raises Ending: there is none.
    """
    if given.password_file:
        try:
            return Path(given.password_file).read_text("utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Ending(f"{given.password_file}: cannot read the password", NO_INPUT) from error
    known = os.environ.get("LAUNCELOT_PASSWORD")
    if known:
        return known
    if sys.stdin is streams.input and not streams.input.isatty():
        raise Ending("send: no password; use --password-file, or LAUNCELOT_PASSWORD in the environment", USAGE)
    return streams.ask(f"Password of {given.user}: ")


# -- how it can end ------------------------------------------------------------------------------------------------


def ending_of(error: Exception, errand: Errand) -> Ending:
    """What people are told of a message that was not sent."""
    where = f"[{errand.host}]:{errand.port}" if ":" in errand.host else f"{errand.host}:{errand.port}"
    text = printable(str(error) or type(error).__name__)
    return Ending(f"{where}: {text}{REMEDIES.get(type(error), '')}", status_of(error))


def status_of(error: Exception) -> int:
    """The exit code."""
    if isinstance(error, CallError):
        return UNAVAILABLE
    if isinstance(error, (TlsFailed, LoginRefused)):
        return UNTRUSTED
    if isinstance(error, Disconnected):
        return CONNECTION_LOST
    if isinstance(error, BadReply):
        return PROTOCOL
    return TEMPORARY if isinstance(error, SmtpError) and error.temporary else FAILED


REMEDIES = {
    TlsFailed: "; name the server's authority with --ca-file, or choose another --tls",
    LoginRefused: "; check --user and the password",
}
