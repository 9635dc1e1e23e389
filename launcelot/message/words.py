"""
Text of headers: encoded-words (RFC 2047) and charsets, decoded whatever the sender did.

Nothing here raises on any octets, and the time is linear in the input, which is cut at :data:`MAX_TEXT`.  Charsets are
looked up in a closed table: Python would search its modules for every unknown name and remember each for ever.
"""

from __future__ import annotations

import binascii
import re
from encodings.aliases import aliases

MAX_TEXT = 64 * 1024
"""Octets of one header value that are decoded; what lies behind is left out of the text."""

ENCODED_WORD = re.compile(rb"=\?([^?\s]{1,80})\?([BbQq])\?([^?\r\n]*+)\?=")
"""``encoded-word`` of RFC 2047 section 2; blanks inside are tolerated, a length over 75 too."""
_SEPARATOR = re.compile(rb"[ \t\r\n]*+")
_LINE_BREAKS = re.compile(r"[\r\n\x00]+")

_NOT_TEXT = frozenset({
    "base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec", "mbcs", "oem",
    "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "tactis",
})  # fmt: skip
_CODECS = {
    **{name: codec for name, codec in aliases.items() if codec not in _NOT_TEXT},
    **{codec: codec for codec in aliases.values() if codec not in _NOT_TEXT},
    "utf_8_sig": "utf_8_sig",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "ks_c_5601_1987": "cp949",
    "euc_kr": "cp949",
    "x_sjis": "cp932",
    "shift_jis": "cp932",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "x_unknown": "latin_1",
}


def codec_name(charset: str) -> str | None:
    """Python's codec for a MIME charset; None when it is unknown or not a charset at all."""
    return _CODECS.get(charset.strip().lower().replace("-", "_").replace(" ", "_"))


def decode_charset(data: bytes, charset: str) -> str:
    """The octets as text in the charset, with U+FFFD for what is wrong; :func:`decode_raw` for an unknown charset."""
    codec = codec_name(charset)
    if codec is None:
        return decode_raw(data)
    text = data.decode(codec, "replace")
    if codec == "utf_7":
        # The one codec that lets half surrogates through, which no UTF-8 (a database, say) can hold.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def decode_raw(data: bytes) -> str:
    """Octets that name no charset: UTF-8 (RFC 6532) when they are, else ISO 8859-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def decode_words(value: bytes) -> str:
    """
    The text of an unstructured header value or a phrase, on one line.

    Blanks between encoded-words vanish, and words of one charset are joined before they are decoded because some
    senders split characters over words.  Unknown charsets and raw 8-bit are read as :func:`decode_raw` does.

    :param value: the octets behind the colon, folded or not.
    """
    value = value[:MAX_TEXT]
    text = _decode(value) if b"=?" in value else decode_raw(value)
    if "\n" in text or "\r" in text or "\x00" in text:
        text = _LINE_BREAKS.sub("", text) if b"=?" not in value else _LINE_BREAKS.sub(" ", text)
    return text.strip(" \t")


def _decode(value: bytes) -> str:
    """Text with at least one ``=?``."""
    output: list[str] = []
    joined: list[bytes] = []
    charset = ""
    end = 0
    for word in ENCODED_WORD.finditer(value):
        start = word.start()
        adjacent = bool(joined) and _SEPARATOR.fullmatch(value, end, start) is not None
        name = word[1].partition(b"*")[0].decode("latin-1").lower()
        if not adjacent or name != charset:
            if joined:
                output.append(decode_charset(b"".join(joined), charset))
                joined = []
            if not adjacent:
                output.append(_gap(value[end:start]))
        joined.append(_octets(word[2], word[3]))
        charset = name
        end = word.end()
    if joined:
        output.append(decode_charset(b"".join(joined), charset))
    output.append(_gap(value[end:]))
    return "".join(output)


def _gap(data: bytes) -> str:
    """Plain text between encoded-words, unfolded."""
    if b"\n" in data:
        data = data.replace(b"\r", b"").replace(b"\n", b"")
    return decode_raw(data)


def _octets(encoding: bytes, data: bytes) -> bytes:
    """The octets an encoded-word stands for; impossible base64 stands for itself.  RFC 2047 section 4."""
    if encoding in b"Qq":
        return binascii.a2b_qp(data, header=True)
    return decode_base64(data)


def decode_base64(data: bytes) -> bytes:
    """Base64 as mail has it: foreign octets skipped, padding optional; undecodable data is returned as it is."""
    try:
        return binascii.a2b_base64(data + b"===")
    except binascii.Error:
        pass
    try:
        # One character too many, as in a cut-off body.
        return binascii.a2b_base64(data.rstrip()[:-1] + b"===") or data
    except binascii.Error:
        return data
