"""
A message's first words, as people read them: what PREVIEW tells.  RFC 8970 section 3.3.

The first ``text/plain`` or ``text/html`` part that is no attachment and says something, decoded, without markup, on one
line.  A message is looked at as far as it is at hand; every step is linear in that, whatever the octets are.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

from launcelot.message.analysis import part_text
from launcelot.message.headers import Buffer
from launcelot.message.structure import Part, parse

MAX_PREVIEW = 200
"""Characters of a preview."""
MAX_PARTS = 20
"""Text parts that are looked at."""
ENOUGH = 1_000
"""Characters from which a preview is made; invisible ones among them are taken out."""

_UNREAD = frozenset({"script", "style", "title", "template", "svg", "math"})
"""Elements whose text nobody reads."""
_INLINE = frozenset({
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "mark", "q", "s",
    "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var", "wbr",
})  # fmt: skip
"""Elements that do not part words."""
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9:-]{0,40}+)")
_QUOTED_REST = re.compile(r"""[^>"']*+(?:"[^"]*+"[^>"']*+|'[^']*+'[^>"']*+)*+>""")
_REFERENCE = re.compile(r"&(?:#\d{1,7}+(?!\d)|#[xX][0-9A-Fa-f]{1,6}+(?![0-9A-Fa-f])|[A-Za-z][A-Za-z0-9]{1,31});?")
_QUOTATION = re.compile(r"^[ \t]*+>.*+$", re.MULTILINE)
_SIGNATURE = re.compile(r"^-- \r?$", re.MULTILINE)


def preview(buffer: Buffer, whole: bool) -> tuple[str, bool]:
    """
    The preview of a message.

    :param buffer: the message, or its first octets.
    :param whole: whether it is all of it.
    :returns: at most :data:`MAX_PREVIEW` characters, empty where there is nothing to be said, and whether more octets
        would change nothing.
    """
    end = len(buffer)
    for part in _texts(parse(buffer)):
        complete = whole or part.body_end < end
        text = _shown(part_text(buffer, part), part.subtype == b"html")
        if text:
            return text, complete or len(text) >= MAX_PREVIEW - 1
        if not complete:
            return "", False
    return "", whole


def _texts(root: Part) -> Iterator[Part]:
    """The parts that people read, in order."""
    count = 0
    pending = [root]
    while pending and count < MAX_PARTS:
        part = pending.pop()
        if part.disposition is not None and part.disposition[0] == b"attachment":
            continue
        if part.children:
            pending.extend(reversed(part.children))
        elif part.message is not None:
            pending.append(part.message)
        elif part.media_type == b"text" and part.subtype in (b"plain", b"html"):
            count += 1
            yield part


def _shown(text: str, is_html: bool) -> str:
    if is_html:
        return cleaned(without_markup(text))
    own = _QUOTATION.sub("", text)
    signature = _SIGNATURE.search(own)
    if signature is not None:
        own = own[: signature.start()]
    return cleaned(own) or cleaned(text)


def cleaned(text: str) -> str:
    """The first words on one line, without what cannot be seen."""
    text = " ".join(text.split())[:ENOUGH]
    if not text.isascii() or not text.isprintable():
        text = "".join([letter for letter in text if unicodedata.category(letter) not in _UNSEEN])
        text = " ".join(text.split())
    return text[:MAX_PREVIEW].rstrip()


def without_markup(text: str) -> str:
    """The text of HTML as far as a preview needs it; what is no HTML stays."""
    found: list[str] = []
    size = 0
    for piece in _pieces(text):
        found.append(piece)
        size += len(piece) if not piece.isspace() else 0
        if size > 4 * ENOUGH:
            break
    return _REFERENCE.sub(lambda reference: html.unescape(reference[0]), "".join(found)[: 8 * ENOUGH])


def _pieces(text: str) -> Iterator[str]:
    """Text between tags, with a space where a tag parts words."""
    lowered = text.lower() if len(text.lower()) == len(text) else text
    position = 0
    quotes = True
    while True:
        start = text.find("<", position)
        if start < 0:
            yield text[position:]
            return
        yield text[position:start]
        if text.startswith("<!--", start):
            position = _behind(text, "-->", start + 4)
            continue
        tag = _TAG.match(text, start)
        if tag is None and text[start + 1 : start + 2] not in ("!", "?"):
            yield "<"
            position = start + 1
            continue
        rest = _QUOTED_REST.match(text, start) if quotes and tag is not None else None
        # One quotation mark without its fellow would have every tag behind it looked through to the end.
        quotes = quotes and (tag is None or rest is not None)
        position = _behind(text, ">", start) if rest is None else rest.end()
        name = tag[1].lower() if tag is not None else ""
        if name in _UNREAD and text[start + 1] != "/" and not text.endswith("/>", start, position):
            position = _behind(text, ">", _behind(lowered, "</" + name, position))
        elif name not in _INLINE:
            yield " "


def _behind(text: str, token: str, position: int) -> int:
    """The offset behind the next token; the end where there is none."""
    found = text.find(token, position)
    return len(text) if found < 0 else found + len(token)


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Categories of what takes no room on a line: controls, formats, surrogates, and what is not assigned."""
