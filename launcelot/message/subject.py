"""The base subject by which SORT and THREAD compare.  RFC 5256 section 2.1."""

from __future__ import annotations

import re

_BLANKS = re.compile(r"[ \t\r\n]+")
_BLOB = r"\[[^\[\]]*+\][ \t]*+"
_LEADER = re.compile(rf"(?:[ \t]|(?:{_BLOB})*+(?:re|fwd?)[ \t]*+(?:{_BLOB})?+:)*+", re.IGNORECASE)
"""``*subj-leader`` of RFC 5256 section 5."""
_BLOBS = re.compile(rf"(?:{_BLOB})*+")
_BLOB_ONE = re.compile(_BLOB)
_TRAILER = re.compile(r"[ \t]*+\)dwf\((?:[ \t]|\)dwf\()*+|[ \t]++(?:\)dwf\(|[ \t])*+", re.IGNORECASE)
"""``1*subj-trailer``, for the reversed text."""


def base_subject(text: str) -> str:
    """
    The subject without what replies, forwards and mailing lists add to it, in the case it was written in.

    :param text: the decoded subject (step 1's decoding is done).
    """
    text = _BLANKS.sub(" ", text)
    while True:
        text = _without_trailers(text)
        text = _without_leaders(text)
        if text[:5].lower() != "[fwd:" or not text.endswith("]"):
            return text
        text = text[5:-1]


def is_reply(text: str) -> bool:
    """
    Whether :func:`base_subject` takes away a mark of replying or forwarding.  RFC 5256 section 3, THREAD.

    :param text: the decoded subject, in any case.
    """
    # What stands in front can be seen before blanks and the end are looked at, which change nothing about it.
    if _is_led(text):
        return True
    text = _BLANKS.sub(" ", text)
    without = _without_trailers(text)
    if text[len(without) :].strip() or _is_led(without):
        return True
    text = _without_leaders(without)
    return text[:5].lower() == "[fwd:" and text.endswith("]")


def _is_led(text: str) -> bool:
    leader = _LEADER.match(text)
    return leader is not None and bool(leader[0].strip())


def _without_trailers(text: str) -> str:
    """Step 2: no ``(fwd)`` and no blank at the end."""
    if not text.endswith((" ", ")")):
        return text
    found = _TRAILER.match(text[::-1])
    return text[: len(text) - found.end()] if found else text


def _without_leaders(text: str) -> str:
    """Steps 3 to 5: no reply mark at the front, and no blob unless it is all there is."""
    position = 0
    while True:
        leader = _LEADER.match(text, position)
        if leader is not None:
            position = leader.end()
        # No reply mark follows this run of blobs, so it goes, but for the last blob when nothing else would be left.
        blobs = _BLOBS.match(text, position)
        if blobs is None or blobs.end() == position:
            return text[position:]
        if blobs.end() < len(text):
            position = blobs.end()
            continue
        return _last_blob(text, position)


def _last_blob(text: str, position: int) -> str:
    """The last of the blobs that are all of the text from ``position``."""
    last = position
    for blob in _BLOB_ONE.finditer(text, position):
        last = blob.start()
    return text[last:]
