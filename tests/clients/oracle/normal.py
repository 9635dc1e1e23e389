"""
What both servers' answers are reduced to before they are compared, and the table of what they may differ in.

Every row of :data:`KNOWN` is a difference that an RFC leaves open, or in which Dovecot departs from it; nothing else is
forgiven.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.clients.oracle.steps import Step
from tests.clients.wire import Answer, Text

KNOWN: Mapping[str, str] = {
    "UIDVALIDITY, MODSEQ and the HIGHESTMODSEQ are each server's own": "RFC 9051 section 2.3.1.1, RFC 7162 section 3.1",
    "\\Recent belongs to one session of several": "RFC 3501 section 2.3.2: which one is not determined",
    "a section that does not exist is NIL here and an empty string there": "RFC 3501 section 9: nstring either way",
    "a part number below a leaf, such as 1.1 of a text part, is NIL here and the leaf there":
        "RFC 3501 section 6.4.5: part numbers belong to multiparts and embedded messages",
    "section labels are written in capitals there": "RFC 3501 section 9: tokens are case-insensitive",
    "media types, encodings and parameter names may be told in any case": "RFC 2045 sections 5.1 and 6.1",
    "the CRLF before a delimiter belongs to it here, even behind a nested close delimiter": "RFC 2046 section 5.1.1",
    "a line that is no field is left out of HEADER.FIELDS.NOT": "RFC 3501 section 6.4.5: fields are chosen, not lines",
    "an empty or impossible Content-Type is text/plain here": "RFC 2045 section 5.2",
    "malformed addresses are told as far as they can be read here, as MISSING_MAILBOX or SYNTAX_ERROR there":
        "RFC 3501 section 7.4.2 knows well-formed ones only",
    "of a field that may stand once the first counts here": "RFC 5322 section 3.6",
    "EXPUNGE may come in any order that keeps numbers right": "RFC 3501 section 7.4.1",
    "the order of LIST, STATUS and SEARCH responses": "RFC 9051 section 7.3.1",
    "FETCH rows of flags that nobody asked for come sooner or later": "RFC 3501 section 5.2",
    "ESEARCH of nothing": "RFC 4731 section 3.1: only COUNT is told; Dovecot agrees, its order differs",
    "after STORE all flags are told here, only changed ones there": "RFC 3501 section 6.4.6: as if a FETCH of them was done",
    "INTERNALDATE is told in the zone that was given here, in the server's there": "RFC 3501 section 2.3.3",
    "a name without a mailbox can be subscribed here": "RFC 3501 section 6.3.6: a server may look, and must not forget",
    "a copy of nothing to a mailbox that is not there is refused here": "RFC 3501 section 6.4.7",
    "\\Marked and \\Unmarked are told there": "RFC 3501 section 7.2.2: hints a server may give",
    "\\NonExistent here is \\Noselect there": "RFC 5258 section 3.4: it implies the other",
    "REVERSE reverses one criterion here and what follows the first there": "RFC 5256 section 3",
    "equal subjects stay in the order of their numbers here, sometimes not there under REVERSE": "RFC 5256 section 3",
    "octets above 127 in a header are refused here": "RFC 9755 section 4: a server MUST; plays have none",
    "a mailbox above one that is made is made, too, here, and is a mere name there": "RFC 3501 section 6.3.3: SHOULD",
    "an INTERNALDATE to come is kept here and is now there": "RFC 3501 section 6.3.11",
    "messages that come after a thread was built are put at its end there, whatever their date":
        "RFC 5256 section 3: threads of ORDEREDSUBJECT are in the order of dates",
    "\\HasChildren of a mere name is told here, asked or not": "RFC 5258 section 3.4",
    "LSUB with a wildcard in the middle: the name above a subscribed one is told here": "RFC 3501 section 6.3.9",
    "HEADER.FIELDS of a message without an empty line: none here, sometimes one there": "RFC 9051 section 6.4.5",
    "a multipart without parts": "RFC 2046 section 5.1.1: there is none; its one part is all of it here, nothing there",
    "what malformed fields and parts mean": "RFC 3501 section 7.4.2 knows well-formed ones only; hostile plays do not ask",
    "texts, and codes of refusals": "RFC 5530 section 1: codes are advice",
}  # fmt: skip

CODES = (b"APPENDUID", b"COPYUID", b"READ-ONLY", b"READ-WRITE", b"TRYCREATE")
BELOW = re.compile(rb"BODY\[\d+\.\d[\d.]*\]")
"""Sections that may be below a leaf."""
NUMBERED = re.compile(rb"BODY\[[\d.]+\]")
HINTS = frozenset({b"\\marked", b"\\unmarked"})
Rows = Mapping[int, Mapping[bytes, Any]]


def numbers(text: bytes) -> tuple[int, ...]:
    """A set of numbers, spelled out in the order in which they stand."""
    found: list[int] = []
    for piece in text.split(b","):
        low, _, high = piece.partition(b":")
        first, last = int(low), int(high or low)
        found += range(min(first, last), max(first, last) + 1)
    return tuple(found)


def reduced(step: Step, answer: Answer) -> Any:
    """What counts of an answer."""
    kind = step.kind
    data: Any = None
    if answer.word == b"OK":
        if kind in ("fetch", "store"):
            data = rows(answer, step.asked)
        elif kind == "search":
            data = (searched(answer.of(b"SEARCH")), esearch(answer.of(b"ESEARCH")))
        elif kind == "sort":
            data = tuple(answer.of(b"SORT"))
        elif kind == "thread":
            data = tuple(answer.of(b"THREAD"))
        elif kind == "subjects":
            data = {frozenset(leaves(thread)) for response in answer.of(b"THREAD") for thread in response}
        elif kind == "status":
            data = status(answer)
        elif kind == "list":
            data = (listed(answer), status(answer))
        elif kind == "select":
            data = (tuple(answer.of(b"EXISTS")), answer.told(b"UIDNEXT"))
    return answer.word, code(answer), data


def alike(step: Step, ours: Any, theirs: Any) -> bool:
    """Whether two reduced answers agree, :data:`KNOWN` differences forgiven."""
    if step.kind == "store" and ours[2] is not None and theirs[2] is not None:
        told = {number: ours[2].get(number) for number in theirs[2]}
        return (ours[:2], told) == (theirs[:2], theirs[2])
    if step.kind == "copy" and ours[:2] == (b"NO", (b"TRYCREATE",)):
        return theirs[:2] in ((b"OK", ()), ours[:2])
    if step.kind == "fetch" and ours[2] is not None and theirs[2] is not None:
        return bool(ours[:2] == theirs[:2]) and not differences(ours[2], theirs[2])
    return bool(ours == theirs)


def differences(ours: Rows, theirs: Rows) -> list[str]:
    """Where FETCH rows differ."""
    found = [f"messages {sorted(ours)} {sorted(theirs)}"] if ours.keys() != theirs.keys() else []
    for number in sorted(ours.keys() & theirs.keys()):
        one, other = ours[number], theirs[number]
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name) and not (one.get(name) == b"" and BELOW.match(name)):
                found.append(f"{number} {name!r}: ours {one.get(name)!r}\n    theirs {other.get(name)!r}")
    return found


def code(answer: Answer) -> tuple[Any, ...]:
    """The codes that carry meaning."""
    for line in (answer.code, *answer.conditions):
        words = line.replace(b"[", b" ").replace(b"]", b" ").split()
        for name in CODES:
            if name in words:
                rest = words[words.index(name) + 2 :]
                if name in (b"APPENDUID", b"COPYUID"):
                    return (name, *[numbers(word) for word in rest[:2] if word[:1].isdigit()])
                return (name,)
    return ()


def rows(answer: Answer, asked: frozenset[bytes]) -> Rows:
    """FETCH responses by number, all that is told of one message together."""
    found: dict[int, dict[bytes, Any]] = {}
    for number, values in answer.of(b"FETCH"):
        for name, value in zip(values[::2], values[1::2], strict=True):
            key = name.upper()
            if key in asked:
                found.setdefault(number, {})[key] = attribute(key, value)
    return found


def attribute(name: bytes, value: Any) -> Any:
    """One value of a FETCH response."""
    if name == b"FLAGS":
        return frozenset(flag.lower() for flag in value if flag.lower() != b"\\recent")
    if name == b"INTERNALDATE":
        return datetime.strptime(value.decode().strip(), "%d-%b-%Y %H:%M:%S %z").timestamp()
    if name in (b"BODY", b"BODYSTRUCTURE"):
        return folded(value)
    octets = plain(value)
    if b"HEADER.FIELDS" in name and (octets.endswith(b"\r\n\r\n") or octets == b"\r\n"):
        return octets[:-2]
    return octets[:-2] if NUMBERED.fullmatch(name) and octets.endswith(b"--\r\n") else octets


def plain(value: Any) -> Any:
    """Octets without their kind; NIL is the empty string."""
    if isinstance(value, tuple):
        return tuple(plain(one) for one in value)
    return b"" if value is None else bytes(value)


def folded(value: Any) -> Any:
    """The same in one case."""
    if isinstance(value, tuple):
        return tuple(folded(one) for one in value)
    return b"" if value is None else bytes(value).lower()


def leaves(thread: Any) -> list[int]:
    """The numbers of a thread."""
    return [int(thread)] if isinstance(thread, bytes) else [number for one in thread for number in leaves(one)]


def searched(responses: list[tuple[Any, ...]]) -> tuple[int, ...]:
    """What SEARCH found."""
    return tuple(sorted(int(one) for response in responses for one in response if isinstance(one, bytes)))


def esearch(responses: list[tuple[Any, ...]]) -> Any:
    """What ESEARCH found."""
    found: dict[bytes, Any] = {}
    for response in responses:
        words = [one for one in response if not isinstance(one, tuple)]
        if words and words[0] == b"UID":
            found[b"UID"] = True
            words = words[1:]
        for name, value in zip(words[::2], words[1::2], strict=True):
            if name.upper() != b"MODSEQ":
                found[name.upper()] = numbers(value)
    return found


def status(answer: Answer) -> Any:
    """STATUS by mailbox."""
    return {
        plain(name): dict(zip([one.upper() for one in values[::2]], values[1::2], strict=True))
        for name, values in answer.of(b"STATUS")
    }


def listed(answer: Answer) -> Any:
    """LIST and LSUB by name."""
    found: dict[bytes, frozenset[bytes]] = {}
    for word in (b"LIST", b"LSUB"):
        for attributes, separator, name, *_ in answer.of(word):
            told = frozenset(one.lower() for one in attributes) - HINTS
            if b"\\nonexistent" in told:
                told = told - {b"\\nonexistent"} | {b"\\noselect"}
            if b"\\noselect" in told:
                told -= {b"\\haschildren"}
            found[plain(name)] = told | {bytes(separator or b"")}
    return found


def text_of(value: Any) -> Any:
    """For reports: long octets are cut."""
    if isinstance(value, (bytes, Text)):
        return bytes(value[:300])
    if isinstance(value, Mapping):
        return {key: text_of(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(text_of(one) for one in value)
    return value
