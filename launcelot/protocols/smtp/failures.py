"""How sending a mail can fail, each way with a type of its own."""

from __future__ import annotations

from launcelot.protocols.smtp.grammar import Reply


class SmtpError(Exception):
    """
    A request to a server did not succeed.

    :ivar stage: what was being done, such as ``"RCPT"``, ``"TLS"`` or ``"end of data"``.
    :ivar temporary: whether trying again later may help.
    """

    def __init__(self, stage: str, text: str, temporary: bool) -> None:
        super().__init__(f"{stage}: {text}")
        self.stage = stage
        self.temporary = temporary


class Refused(SmtpError):
    """The server said no; the connection is in step and may be used further."""

    def __init__(self, stage: str, words: Reply) -> None:
        super().__init__(stage, f"{words.code} {words.enhanced} {words.text}".replace("  ", " "), words.temporary)
        self.reply = words


class LoginRefused(Refused):
    """Name and password were not accepted."""


class NotSendable(SmtpError):
    """
    The server lacks an extension that this mail or login needs; nothing was sent.

    :ivar status: RFC 3463 code for it.
    """

    def __init__(self, stage: str, text: str, status: str = "5.3.3") -> None:
        super().__init__(stage, text, False)
        self.status = status


class Disconnected(SmtpError):
    """
    The connection was lost.

    :ivar ambiguous: the whole message had been sent, so the server may have accepted it.
    """

    def __init__(self, stage: str, text: str, ambiguous: bool = False) -> None:
        super().__init__(stage, text, True)
        self.ambiguous = ambiguous


class TimedOut(Disconnected):
    """The server took too long; the connection was dropped."""


class BadReply(SmtpError):
    """The server said what is no reply, said too much, or spoke unasked; the connection was dropped."""

    def __init__(self, stage: str, text: str) -> None:
        super().__init__(stage, text, True)


class TlsFailed(SmtpError):
    """There is no TLS with this server, or its certificate is not to be trusted; the connection was dropped."""

    def __init__(self, text: str) -> None:
        super().__init__("TLS", text, True)


class Injected(TlsFailed):
    """Somebody put plaintext behind the server's answer to STARTTLS; none of it was believed."""
