"""The tests of the language, each a function of the run and its arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from launcelot import __version__
from launcelot.message.address import split_detail
from launcelot.message.headers import Group, Mailbox, parse_address_list, unfold
from launcelot.message.words import decode_raw
from launcelot.sieve.actions import Seen
from launcelot.sieve.dateparts import DATE_PARTS, date_in, parse_zone, shifted
from launcelot.sieve.editing import Line
from launcelot.sieve.flags import flags_of
from launcelot.sieve.grammar import ScriptError
from launcelot.sieve.methods import known_method
from launcelot.sieve.run import Run, RunError
from launcelot.sieve.signature import Bound, Kind, Option, Signature, Takes

MAX_ADDRESSES = 10_000
"""Addresses of a message that one test looks at."""
MAX_SECONDS = 90 * 86_400
"""How long an id is remembered at most."""
DEFAULT_SECONDS = 7 * 86_400
"""How long an id is remembered; RFC 7352 section 3.3 leaves it to us."""


def _all_of(run: Run, test: Bound) -> bool:
    """RFC 5228 section 5.2."""
    return all(run.test(one) for one in test.tests)


def _any_of(run: Run, test: Bound) -> bool:
    """RFC 5228 section 5.3."""
    return any(run.test(one) for one in test.tests)


def _not(run: Run, test: Bound) -> bool:
    """RFC 5228 section 5.8."""
    return not run.test(test.tests[0])


def _lines(run: Run, test: Bound, names: Sequence[str]) -> Sequence[Line]:
    """The header fields a test looks at.  RFC 5260 section 6."""
    found = [line for name in run.texts(names) for line in run.edits.named(name)]
    run.work.spend(len(found) + len(run.edits.lines) // 16)
    index = test.options.get("index")
    if index is None:
        return found
    place = index - 1 if "last" not in test.options else len(found) - index
    return found[place : place + 1] if index and place >= 0 else ()


def _header(run: Run, test: Bound) -> bool:
    """RFC 5228 section 5.7."""
    return run.match(test.matching, [line.text for line in _lines(run, test, test.texts(0))], test.texts(1))


def _exists(run: Run, test: Bound) -> bool:
    """RFC 5228 section 5.5."""
    return all(run.edits.named(name) for name in run.texts(test.texts(0)))


def _size(run: Run, test: Bound) -> bool:
    """RFC 5228 section 5.9."""
    size, options = run.subject.size, test.options
    return bool(size > options["over"] if "over" in options else size < options["under"])


def _mailboxes(line: Line) -> Iterator[Mailbox]:
    for one in parse_address_list(line.raw):
        yield from one.members if isinstance(one, Group) else (one,)


def _part(run: Run, local: str, domain: str, part: str) -> str | None:
    """One part of an address; None for a detail that is not there.  RFC 5233 section 4."""
    if part == "localpart":
        return local
    if part == "domain":
        return domain
    if part in ("user", "detail"):
        user, detail = split_detail(local, run.situation.separator)
        if part == "user":
            return user
        return detail if run.situation.separator in local else None
    return f"{local}@{domain}" if domain else local


def _address(run: Run, test: Bound) -> bool:
    """RFC 5228 section 5.1."""
    values: list[str] = []
    for line in _lines(run, test, test.texts(0)):
        for one in _mailboxes(line):
            value = _part(run, decode_raw(one.local), decode_raw(one.domain), test.part)
            if value is not None and len(values) < MAX_ADDRESSES:
                values.append(value)
    return run.match(test.matching, values, test.texts(1))


def _envelope(run: Run, test: Bound) -> bool:
    """RFC 5228 section 5.4; the null path is an empty string, whatever the part."""
    values: list[str] = []
    for name in run.texts(test.texts(0)):
        if name.lower() not in ("from", "to"):
            raise RunError(f"envelope knows from and to, not {name!r}")
        address = run.situation.sender if name.lower() == "from" else run.situation.recipient
        local, _, domain = address.rpartition("@") if "@" in address else (address, "", "")
        value = _part(run, local, domain, test.part)
        if value is not None:
            values.append(value)
    return run.match(test.matching, values, test.texts(1))


def _body(run: Run, test: Bound) -> bool:
    """RFC 5173."""
    if "raw" in test.options:
        values: Sequence[str] = [run.subject.raw_body]
    elif "content" in test.options:
        values = run.subject.contents(run.texts(test.options["content"]))
    else:
        values = run.subject.text
    run.work.spend(sum(len(value) >> 6 for value in values))
    before = run.variables.matched
    found = run.match(test.matching, values, test.texts(0))
    # It never sets match variables.  RFC 5173 section 6.
    run.variables.matched = before
    return found


def _date(run: Run, test: Bound) -> bool:
    """RFC 5260 section 4."""
    lines = _lines(run, test, (test.text(0),))
    when = date_in(unfold(lines[0].raw)) if lines else None
    return _has_date(run, test, when, "originalzone" in test.options, 1)


def _current_date(run: Run, test: Bound) -> bool:
    """RFC 5260 section 5."""
    return _has_date(run, test, run.situation.now, False, 0)


def _has_date(run: Run, test: Bound, when: Any, original: bool, place: int) -> bool:
    zone = run.situation.now.tzinfo
    if "zone" in test.options:
        zone = parse_zone(run.text(test.options["zone"]))
        if zone is None:
            raise RunError(f"{test.options['zone']!r} is no zone such as +0100")
    part = DATE_PARTS.get(run.text(test.text(place)).lower())
    if part is None:
        raise RunError(f"{test.text(place)!r} is no part of a date")
    if when is not None and not original:
        when = shifted(when, zone)
    return run.match(test.matching, [] if when is None else [part(when)], test.texts(place + 1))


def _string(run: Run, test: Bound) -> bool:
    """RFC 5229 section 5."""
    values = run.texts(test.texts(0))
    if test.matching.kind == "count":
        values = tuple(value for value in values if value)
    return run.match(test.matching, values, test.texts(1))


def _has_flag(run: Run, test: Bound) -> bool:
    """RFC 5232 section 4."""
    if test.values[0] is None:
        values = list(run.flags)
    else:
        values = [flag for name in test.texts(0) for flag in flags_of([run.variables.get(name)])]
    keys = flags_of(run.texts(test.texts(1)))
    return run.match(test.matching, values, run.texts(test.texts(1)) if test.matching.kind == "count" else keys)


def _environment(run: Run, test: Bound) -> bool:
    """RFC 5183."""
    items = {"location": "MDA", "name": "Launcelot", "phase": "during", "version": __version__, **run.situation.environment}
    value = items.get(run.text(test.text(0)).lower())
    return value is not None and run.match(test.matching, [value], test.texts(1))


def _i_have(run: Run, test: Bound) -> bool:
    """RFC 5463; the compiler put the answer here."""
    return bool(test.options["known"])


def _duplicate(run: Run, test: Bound) -> bool:
    """RFC 7352."""
    given = test.options.get("uniqueid")
    if given is not None:
        unique = run.text(given)
    else:
        lines = run.edits.named(run.text(test.options.get("header", "Message-ID")))
        unique = lines[0].text if lines else ""
    if not unique:
        return False
    seconds = min(test.options.get("seconds", DEFAULT_SECONDS), MAX_SECONDS)
    key = f"{len(handle := run.text(test.options.get('handle', '')))}:{handle}{unique}"
    found = run.situation.seen(key)
    if seconds and (not found or "last" in test.options) and all(one.key != key for one in run.seen):
        run.seen.append(Seen(key, seconds))
    return found


def _mailbox_exists(run: Run, test: Bound) -> bool:
    """RFC 5490 section 3.1."""
    return all(run.situation.has_mailbox(name) for name in run.texts(test.texts(0)))


def _special_use_exists(run: Run, test: Bound) -> bool:
    """RFC 8579 section 3."""
    mailbox = "" if test.values[0] is None else run.text(test.text(0))
    if mailbox and not run.situation.has_mailbox(mailbox):
        return False
    return all(run.situation.has_use(mailbox, use) for use in run.texts(test.texts(1)))


def _valid_method(run: Run, test: Bound) -> bool:
    """RFC 5435 section 4."""
    return all(known_method(uri) for uri in run.texts(test.texts(0)))


def _method_capability(run: Run, test: Bound) -> bool:
    """RFC 5435 section 5; whether somebody reads their mail now nobody knows.  RFC 5436 section 2.1."""
    if not known_method(run.text(test.text(0))) or run.text(test.text(1)).lower() != "online":
        return False
    return run.match(test.matching, ["maybe"], test.texts(2))


def _check_size(test: Bound) -> None:
    if len(test.options) != 1:
        raise ScriptError("size takes either :over or :under", test.line)


def _check_index(test: Bound) -> None:
    if "last" in test.options and "index" not in test.options:
        raise ScriptError(":last needs :index beside it", test.line)


def _check_zone(test: Bound) -> None:
    _check_index(test)
    zone = test.options.get("zone", "+0000")
    if "${" not in zone and parse_zone(zone) is None:
        raise ScriptError(f"{zone!r} is no zone such as +0100", test.line)


_INDEX = {"index": Option(Kind.NUMBER, "index"), "last": Option(extension="index")}
_TEXT, _LIST = Kind.STRING, Kind.STRINGS

TESTS = (
    Signature("allof", "test", tests=Takes.MANY, run=_all_of),
    Signature("anyof", "test", tests=Takes.MANY, run=_any_of),
    Signature("not", "test", tests=Takes.ONE, run=_not),
    Signature("true", "test", run=lambda run, test: True),
    Signature("false", "test", run=lambda run, test: False),
    Signature(
        "header", "test", positional=(_LIST, _LIST), options=_INDEX, matches=True, run=_header, check=_check_index
    ),
    Signature(
        "address",
        "test",
        positional=(_LIST, _LIST),
        options=_INDEX,
        matches=True,
        address=True,
        run=_address,
        check=_check_index,
    ),
    Signature("envelope", "test", "envelope", (_LIST, _LIST), matches=True, address=True, run=_envelope),
    Signature("exists", "test", positional=(_LIST,), run=_exists),
    Signature(
        "size",
        "test",
        options={"over": Option(Kind.NUMBER), "under": Option(Kind.NUMBER, instead_of=("over",))},
        run=_size,
        check=_check_size,
    ),
    Signature(
        "body",
        "test",
        "body",
        (_LIST,),
        options={
            "raw": Option(instead_of=("content", "text")),
            "content": Option(_LIST, instead_of=("raw", "text")),
            "text": Option(instead_of=("raw", "content")),
        },
        matches=True,
        run=_body,
    ),
    Signature(
        "date",
        "test",
        "date",
        (_TEXT, _TEXT, _LIST),
        options={**_INDEX, "zone": Option(_TEXT, instead_of=("originalzone",)), "originalzone": Option(instead_of=("zone",))},
        matches=True,
        run=_date,
        check=_check_zone,
    ),
    Signature(
        "currentdate",
        "test",
        "date",
        (_TEXT, _LIST),
        options={"zone": Option(_TEXT)},
        matches=True,
        run=_current_date,
        check=_check_zone,
    ),
    Signature("string", "test", "variables", (_LIST, _LIST), matches=True, run=_string),
    Signature("hasflag", "test", "imap4flags", (_LIST, _LIST), optional=1, matches=True, run=_has_flag),
    Signature("environment", "test", "environment", (_TEXT, _LIST), matches=True, run=_environment),
    Signature("ihave", "test", "ihave", (_LIST,), run=_i_have),
    Signature(
        "duplicate",
        "test",
        "duplicate",
        options={
            "handle": Option(_TEXT),
            "header": Option(_TEXT, instead_of=("uniqueid",)),
            "uniqueid": Option(_TEXT, instead_of=("header",)),
            "seconds": Option(Kind.NUMBER),
            "last": Option(),
        },
        run=_duplicate,
    ),
    Signature("mailboxexists", "test", "mailbox", (_LIST,), run=_mailbox_exists),
    Signature("specialuse_exists", "test", "special-use", (_TEXT, _LIST), optional=1, run=_special_use_exists),
    Signature("valid_notify_method", "test", "enotify", (_LIST,), run=_valid_method),
    Signature(
        "notify_method_capability", "test", "enotify", (_TEXT, _TEXT, _LIST), matches=True, run=_method_capability
    ),
)
"""Every test of the language."""


