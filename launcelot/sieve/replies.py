"""
The messages that scripts have us write: vacation answers (RFC 5230 section 5), rejections (RFC 5429), notifications (RFC 5436).

Each says that a program wrote it, quotes nothing but the header of what it answers, and has one recipient.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from launcelot.core.errors import Invalid
from launcelot.message.address import Address
from launcelot.message.compose import plain_message, unstructured
from launcelot.message.dates import format_date
from launcelot.message.headers import MAX_HEADER, Buffer, collect, decode_words, find_header_end, message_ids
from launcelot.message.report import Report, compose_report
from launcelot.message.trace import fold
from launcelot.sieve.actions import Notify, Reject, Vacation
from launcelot.sieve.methods import parse_mailto

MAX_REFERENCES = 20
"""Ids in the References of an answer; the first and the last ones of more are kept."""
MAX_SUBJECT = 200
TAKEN_OVER = ("In-Reply-To", "References", "Importance", "X-Priority")
"""Fields of a ``mailto`` URI that stand in the notification as they are."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_CONTENT_FIELD = re.compile(r"^content-[a-z-]+:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE)
_NEWLINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Letterhead:
    """
    What every message of ours needs.

    :ivar owner: whose script it is.
    :ivar date: aware.
    :ivar message_id: fresh; likewise ``boundary``.
    """

    owner: Address
    date: datetime
    message_id: str
    boundary: str
    hostname: str


def _one_line(text: str) -> str:
    return " ".join(_CONTROLS.sub(" ", text).split())


def _header(original: Buffer) -> dict[bytes, bytes]:
    return collect(bytes(original[: min(find_header_end(original), MAX_HEADER)]))


def _subject(header: dict[bytes, bytes]) -> str:
    return _one_line(decode_words(header.get(b"subject", b"")))[:MAX_SUBJECT]


def _threading(header: dict[bytes, bytes]) -> list[tuple[str, str]]:
    """In-Reply-To and References of an answer.  RFC 5322 section 3.6.4."""
    own = message_ids(header.get(b"message-id", b""))
    if not own or not own[0].isascii():
        return []
    before = message_ids(header.get(b"references", b"")) or message_ids(header.get(b"in-reply-to", b""))[:1]
    ids = [one.decode("ascii") for one in (*before, own[0]) if one.isascii()]
    if len(ids) > MAX_REFERENCES:
        ids = ids[:1] + ids[1 - MAX_REFERENCES :]
    return [("In-Reply-To", own[0].decode("ascii")), ("References", " ".join(ids))]


def vacation_answer(action: Vacation, to: Address, sender: Address, original: Buffer, letter: Letterhead) -> bytes:
    """
    A vacation answer.

    :param to: ``action.to``, parsed; likewise ``sender``, or the owner's address.
    """
    header = _header(original)
    theirs = _subject(header)
    subject = _one_line(action.subject)[:MAX_SUBJECT] or (f"Auto: {theirs}" if theirs else "Automated reply")
    extra = [*_threading(header), ("Auto-Submitted", "auto-replied (vacation)")]
    if not action.mime:
        return plain_message(sender, [to], subject, action.reason, letter.date, letter.message_id, extra=extra)
    fields, content = _entity(action.reason)
    head = [
        fold("Date:", [format_date(letter.date)]),
        fold("From:", [str(sender)]),
        fold("To:", [str(to)]),
        fold("Subject:", unstructured(subject)),
        fold("Message-ID:", [f"<{letter.message_id}>"]),
        *(fold(f"{name}:", value.split(" ")) for name, value in extra),
        b"MIME-Version: 1.0\r\n",
        *(field.encode("ascii", "replace") + b"\r\n" for field in fields),
    ]
    return b"".join(head) + b"\r\n" + content


def _entity(reason: str) -> tuple[list[str], bytes]:
    """The fields and the content of a MIME entity; what is no content field is left out."""
    text = _NEWLINE.sub("\r\n", reason)
    head, _, content = ("", "", text[2:]) if text.startswith("\r\n") else text.partition("\r\n\r\n")
    fields = [found[0] for found in _CONTENT_FIELD.finditer(head)]
    if not fields:
        return ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"], content.encode("utf-8", "replace")
    return fields, content.encode("utf-8", "replace")


def rejection(action: Reject, to: Address, recipient: Address, original: Buffer, letter: Letterhead) -> bytes:
    """
    The sender is told that a message was not wanted: a disposition notification.  RFC 5429 section 2.2, RFC 8098.

    :param recipient: whom the message was for.
    """
    header = _header(original)
    ids = message_ids(header.get(b"message-id", b""))
    reason = _NEWLINE.sub("\n", action.reason)
    text = f"Your message to {recipient} was automatically rejected:\n{reason}\n"
    fields = [
        ("Reporting-UA", f"{letter.hostname}; Launcelot Sieve"),
        ("Final-Recipient", f"{'rfc822' if recipient.is_ascii else 'utf-8'}; {recipient}"),
        *([("Original-Message-ID", ids[0].decode("ascii", "replace"))] if ids else []),
        ("Disposition", "automatic-action/MDN-sent-automatically; deleted"),
    ]
    report = Report(
        kind="disposition-notification",
        sender=letter.owner,
        sender_name="",
        recipient=to,
        subject=f"Automatically rejected mail: {_subject(header)}".rstrip(": "),
        text=text,
        groups=[fields],
        date=letter.date,
        message_id=letter.message_id,
        boundary=letter.boundary,
    )
    return compose_report(report, original)


def notification(action: Notify, author: Address, original: Buffer, letter: Letterhead) -> tuple[tuple[Address, ...], bytes]:
    """
    A notification by mail and who gets it.  RFC 5436 section 2.

    What the URI says of subject and body comes after what the script says.

    :param author: whom it is from.
    :raises Invalid: it is no ``mailto`` URI.
    """
    target = parse_mailto(action.method)
    if target is None:
        raise Invalid("no mailto URI")
    header = _header(original)
    theirs, sender = _subject(header), _one_line(decode_words(header.get(b"from", b"")))
    message = _one_line(action.message)
    subject = message or target.field("subject") or theirs or "New mail"
    body = target.field("body") or "\n".join(["A message has arrived.", "", f"From: {sender}", f"Subject: {theirs}"])
    importance = {1: "high", 3: "low"}.get(action.importance)
    extra = [("Auto-Submitted", f'auto-notified; owner-email="{letter.owner}"')]
    if importance is not None:
        extra += [("Importance", importance), ("X-Priority", "1 (Highest)" if importance == "high" else "5 (Lowest)")]
    for name in TAKEN_OVER:
        value = _one_line(target.field(name.lower()))[:MAX_SUBJECT]
        if value and value.isascii() and all(name != known for known, _ in extra):
            extra.append((name, value))
    text = _NEWLINE.sub("\n", body)
    subject = _one_line(subject)[:MAX_SUBJECT]
    return target.recipients, plain_message(
        author, target.recipients, subject, text, letter.date, letter.message_id, extra=extra
    )
