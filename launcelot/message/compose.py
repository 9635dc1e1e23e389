"""
Plain text messages that the daemon itself writes: notices and seeds.  RFC 5322, RFC 2047, RFC 2045.

Left out: attachments and HTML.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from datetime import datetime

from launcelot.core.errors import Invalid
from launcelot.message.address import Address
from launcelot.message.dates import format_date
from launcelot.message.trace import LINE, fold

MAX_TEXT_LINE = 998
"""Octets of a body line without CRLF that need no encoding.  RFC 5322 section 2.1.1."""
WORD_OCTETS = 45
"""Octets of text in one encoded-word: 60 of base64 and 12 around it stay within 75."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")


def plain_message(
    sender: Address,
    recipients: Sequence[Address],
    subject: str,
    text: str,
    date: datetime,
    message_id: str,
    *,
    sender_name: str = "",
    extra: Sequence[tuple[str, str]] = (),
) -> bytes:
    """
    A complete message with CRLF line ends.

    :param recipients: for ``To``; none gives an empty group.
    :param text: any line ends; the last line gets one when it has none.
    :param date: aware.
    :param message_id: with or without its angle brackets.
    :param sender_name: display name of the sender.
    :param extra: further fields, such as ``("Auto-Submitted", "auto-generated")``.
    :raises Invalid: a header text has a control character.
    """
    identifier = message_id if message_id.startswith("<") else f"<{message_id}>"
    content, encoding, charset = encode_text(text)
    author = f"<{sender}>" if sender_name else str(sender)
    pieces = [*phrase(sender_name), author] if sender_name else [author]
    last = len(recipients) - 1
    to = [f"{recipient}{',' if index < last else ''}" for index, recipient in enumerate(recipients)]
    head = [
        fold("Date:", [format_date(date)]),
        _field("From:", pieces),
        _field("To:", to or ["undisclosed-recipients:;"]),
        _field("Subject:", unstructured(subject)),
        _field("Message-ID:", [identifier]),
        fold("MIME-Version:", ["1.0"]),
        fold("Content-Type:", ["text/plain;", f"charset={charset}"]),
        fold("Content-Transfer-Encoding:", [encoding]),
    ]
    head.extend(_field(f"{name}:", unstructured(value)) for name, value in extra)
    return b"".join(head) + b"\r\n" + content


def unstructured(text: str) -> list[str]:
    """
    Text for an unstructured field in pieces to fold between: its words, or encoded-words when it cannot go as it is.

    :raises Invalid: it has a control character other than a tab.
    """
    if _CONTROLS.search(text):
        raise Invalid("control character in header text")
    words = text.split(" ")
    plain = text.isascii() and "=?" not in text and "\t" not in text and "" not in words
    if plain and max(map(len, words)) <= MAX_TEXT_LINE - LINE:
        return words
    return encoded_words(text) if text else []


def encoded_words(text: str) -> list[str]:
    """The text as encoded-words of RFC 2047 in UTF-8, none of which splits a character."""
    words: list[str] = []
    piece = b""
    for character in text:
        data = character.encode("utf-8", "replace")
        if len(piece) + len(data) > WORD_OCTETS:
            words.append(_encoded_word(piece))
            piece = b""
        piece += data
    words.append(_encoded_word(piece))
    return words


def _field(name: str, pieces: list[str]) -> bytes:
    """One field, its text checked."""
    if any(_CONTROLS.search(piece) for piece in pieces):
        raise Invalid("control character in header text")
    return fold(name, pieces)


def phrase(name: str) -> list[str]:
    """A display name: an atom phrase, a quoted string or encoded-words."""
    if not name.isascii() or "=?" in name:
        return unstructured(name)
    if _PHRASE.fullmatch(name):
        return [name]
    return ['"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"']


def _encoded_word(data: bytes) -> str:
    """One encoded-word."""
    return f"=?utf-8?b?{binascii.b2a_base64(data, newline=False).decode('ascii')}?="


def encode_text(text: str) -> tuple[bytes, str, str]:
    """A text as a body with CRLF line ends, its transfer encoding and its charset."""
    lines = _LINE_END.split(text)
    if lines[-1]:
        lines.append("")
    data = "\r\n".join(lines).encode("utf-8", "replace")
    if data.isascii() and b"\0" not in data and max(map(len, lines)) <= MAX_TEXT_LINE:
        return data, "7bit", "us-ascii"
    return binascii.b2a_qp(data, istext=True), "quoted-printable", "utf-8"
