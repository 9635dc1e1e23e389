"""
Reports about messages: delivery status (RFC 3464, RFC 6533) and disposition (RFC 8098) notifications.

A report is a ``multipart/report`` (RFC 6522) of a text for people, a part for programs, and the header of the message it is
about.  It never quotes a body, so that nobody can have us send one to others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from launcelot.message.address import Address
from launcelot.message.compose import encode_text, unstructured
from launcelot.message.dates import format_date
from launcelot.message.headers import Buffer, find_header_end
from launcelot.message.trace import fold

MAX_QUOTED = 65_536
"""Octets of the message's header that are sent back."""

Fields = Sequence[tuple[str, str]]
"""Names and values, such as ``("Action", "failed")``."""


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a report says.

    :ivar kind: ``"delivery-status"`` or ``"disposition-notification"``.
    :ivar sender: in ``From``, with a display name.
    :ivar text: for people.
    :ivar groups: for programs: of a delivery status the message's fields, then those of each recipient.
    :ivar message_id: with or without its angle brackets.
    :ivar boundary: that stands in nothing that is reported, such as a fresh id.
    """

    kind: str
    sender: Address
    sender_name: str
    recipient: Address
    subject: str
    text: str
    groups: Sequence[Fields]
    date: datetime
    message_id: str
    boundary: str


def compose_report(report: Report, original: Buffer) -> bytes:
    """
    The report as a message with CRLF line ends.

    It needs SMTPUTF8 where an address does or the quoted header is not ASCII; then its parts have the types of RFC 6533.

    :param original: the message it is about; its header is quoted.
    """
    quoted = quoted_header(original)
    values = [str(report.sender), str(report.recipient), *(value for group in report.groups for _, value in group)]
    is_global = not all(value.isascii() for value in values)
    kind = f"global-{report.kind}" if is_global else report.kind
    content, encoding, charset = encode_text(report.text)
    identifier = report.message_id if report.message_id.startswith("<") else f"<{report.message_id}>"
    head = [
        fold("Date:", [format_date(report.date)]),
        fold("From:", [*unstructured(report.sender_name), f"<{report.sender}>"]),
        fold("To:", [str(report.recipient)]),
        fold("Subject:", unstructured(report.subject)),
        fold("Message-ID:", [identifier]),
        fold("Auto-Submitted:", ["auto-replied"]),
        fold("MIME-Version:", ["1.0"]),
        fold("Content-Type:", ["multipart/report;", f"report-type={kind};", f'boundary="{report.boundary}"']),
        b"\r\n",
    ]
    parts = [
        fold("Content-Type:", ["text/plain;", f"charset={charset}"])
        + fold("Content-Transfer-Encoding:", [encoding])
        + b"\r\n"
        + content,
        fold("Content-Type:", [f"message/{kind}"]) + _eight_bit(is_global) + b"\r\n" + _machine_part(report.groups),
        fold("Content-Type:", ["message/global-headers" if not quoted.isascii() else "text/rfc822-headers"])
        + _eight_bit(not quoted.isascii())
        + b"\r\n"
        + quoted,
    ]
    delimiter = b"--" + report.boundary.encode("ascii")
    return b"".join(head) + b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


def _eight_bit(wanted: bool) -> bytes:
    return fold("Content-Transfer-Encoding:", ["8bit"]) if wanted else b""


def _machine_part(groups: Sequence[Fields]) -> bytes:
    """Groups of fields with an empty line between them, every text on one line.  RFC 3464 section 2.1."""
    return b"\r\n".join(
        b"".join(f"{name}: {' '.join(value.split())}\r\n".encode("utf-8", "replace") for name, value in group) for group in groups
    )


def quoted_header(original: Buffer) -> bytes:
    """The header of a message as it can stand in a part: whole lines with CRLF, at most :data:`MAX_QUOTED` octets."""
    end = min(find_header_end(original), MAX_QUOTED)
    text = bytes(original[:end]).replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
    lines = [line[:998] for line in text.split(b"\n")]
    if end == MAX_QUOTED:
        # The last one may have been cut.
        lines.pop()
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines).decode("utf-8", "replace").encode()


def delivery_fields(recipient: Address, original: str, action: str, status: str, diagnostic: str, more: Fields = ()) -> Fields:
    """
    The fields of one recipient in a delivery status.  RFC 3464 section 2.3.

    :param original: ``ORCPT`` as it was given, such as ``rfc822;a@b.example``; empty if it was not.
    :param action: ``failed``, ``delayed``, ``delivered``, ``relayed`` or ``expanded``.
    :param status: such as ``5.1.1``.
    :param diagnostic: the next hop's reply; empty if there was none.
    """
    kind = "rfc822" if recipient.is_ascii else "utf-8"
    first = [("Original-Recipient", original)] if original else []
    last = [("Diagnostic-Code", f"smtp; {diagnostic}")] if diagnostic else []
    return [*first, ("Final-Recipient", f"{kind}; {recipient}"), ("Action", action), ("Status", status), *last, *more]
