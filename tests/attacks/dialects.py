"""What the attacks need to know of each protocol: how to be polite to it in one line, and what its complaints look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.attacks.peer import Peer


@dataclass(frozen=True)
class Dialect:
    """
    One service.

    :ivar cheap: a request that costs nothing and needs no log-in.
    :ivar answer: what its answer ends with.
    :ivar longest: octets of that answer at the most.
    :ivar verb: a harmless verb that takes an argument, for octets to be put behind.
    :ivar reply: any whole answer of one line to a command that is refused.
    :ivar leave: a polite end; its answer ends the connection.
    :ivar start_tls: the command that starts TLS; empty for none.
    :ivar go_ahead: how the answer to it begins.
    """

    cheap: bytes
    answer: bytes
    longest: int
    verb: bytes
    reply: re.Pattern[bytes]
    leave: bytes
    start_tls: bytes = b""
    go_ahead: bytes = b""
    greets: bool = True

    def greet(self, peer: Peer) -> bytes:
        """Hear the greeting."""
        return peer.hear() if self.greets else b""


_CODE = re.compile(rb"[2-5]\d\d [^\r\n]+\r\n")

SMTP = Dialect(
    cheap=b"NOOP\r\n",
    answer=b"250 2.0.0 Ok\r\n",
    longest=14,
    verb=b"NOOP",
    reply=_CODE,
    leave=b"QUIT\r\n",
    start_tls=b"STARTTLS\r\n",
    go_ahead=b"220 ",
)
POP3 = Dialect(
    cheap=b"CAPA\r\n",
    answer=b"\r\n.\r\n",
    longest=400,
    verb=b"USER",
    reply=re.compile(rb"(?:\+OK|-ERR)(?: [^\r\n]*)?\r\n"),
    leave=b"QUIT\r\n",
    start_tls=b"STLS\r\n",
    go_ahead=b"+OK",
)
IMAP = Dialect(
    cheap=b"p NOOP\r\n",
    answer=b"p OK NOOP completed\r\n",
    longest=21,
    verb=b"t NOOP",
    reply=re.compile(rb"[^\x00-\x20\x7f-\xff(){%\"\\]+ (?:OK|NO|BAD) [^\r\n]+\r\n"),
    leave=b"l LOGOUT\r\n",
    start_tls=b"s STARTTLS\r\n",
    go_ahead=b"s OK",
)
FTP = Dialect(
    cheap=b"NOOP\r\n",
    answer=b"200 OK.\r\n",
    longest=9,
    verb=b"CLNT",
    reply=_CODE,
    leave=b"QUIT\r\n",
    start_tls=b"AUTH TLS\r\n",
    go_ahead=b"234 ",
)
QUESTIONS = Dialect(
    cheap=b"What is your quest?",
    answer=b"To seek the Holy Grail.",
    longest=23,
    verb=b"",
    reply=re.compile(rb"[^.]+\."),
    leave=b"",
    greets=False,
)

DIALECTS: Mapping[str, Dialect] = {
    "smtp": SMTP,
    "submission": SMTP,
    "pop3": POP3,
    "imap": IMAP,
    "ftp": FTP,
    "questions": QUESTIONS,
}
"""Every service without TLS."""

LINES = ("smtp", "submission", "pop3", "imap", "ftp")
"""Those that speak in lines."""
