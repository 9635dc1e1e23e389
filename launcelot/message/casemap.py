"""
``i;unicode-casemap``: how text compares without regard to case.  RFC 5051, as RFC 5255 section 4 asks for it.

:func:`fold` gives a form in which equal texts are equal and a text that contains another contains it.  It is the form of the
standard (titlecase, then compatibility decomposition) with the case of ASCII letters turned round, so that plain text simply
becomes lower case; :func:`collation` turns it back, for what is put in order.
"""

from __future__ import annotations

import re
import unicodedata

_ODD = re.compile(
    "([\u00df\u0149\u01c4-\u01cc\u01f0-\u01f3\u0345\u0390\u03b0\u0587\u10d0-\u10ff\u1c90-\u1cbf\u1e96-\u1e9a\u1f50-\u1fff"
    "\ufb00-\ufb17]+)"
)
"""Characters whose titlecase is not their upper case, and neighbours of theirs; a test looks at all others."""


def fold(text: str) -> str:
    """A text in the form in which it is compared; what has been folded is not to be folded again."""
    if text.isascii():
        return text.lower()
    pieces = _ODD.split(text)
    titled = "".join([_title(piece) if place % 2 else piece.upper() for place, piece in enumerate(pieces)])
    return _turned(unicodedata.normalize("NFKD", titled))


def collation(folded: str) -> str:
    """A folded text as it is put in order: by the code points of the standard's form."""
    return folded.swapcase() if folded.isascii() else _turned(folded)


def _title(piece: str) -> str:
    """
    Titlecase, character by character.

    The standard means that of UnicodeData.txt, which is always one character; where Python's is several there is none.
    """
    return "".join([title if len(title := letter.title()) == 1 else letter for letter in piece])


def _turned(text: str) -> str:
    """The text with the case of its ASCII letters turned round."""
    return text.encode("utf-8", "surrogatepass").swapcase().decode("utf-8", "surrogatepass")
