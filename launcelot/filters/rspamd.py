"""
A check that asks rspamd, over its own HTTP protocol (``/checkv2``).

What it says of a mail: reject refuses it; soft reject and greylist have it come again; add header, rewrite subject and quarantine
send it into Junk; fields and recipients that its modules want are written and taken.  Source: rspamd's documentation of its
protocol.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from launcelot.checks.interface import ACCEPT, Action, Case, Message, Verdict, Wishes
from launcelot.core.errors import Invalid
from launcelot.filters.asking import Place
from launcelot.filters.editing import BadField, HeaderSection
from launcelot.filters.failing import FilterCheck, FilterFailed, shown
from launcelot.filters.http import HttpFilter
from launcelot.message.address import Address, parse_mailbox

ACTIONS = {
    "no action": Action.ACCEPT,
    "accept": Action.ACCEPT,
    "add header": Action.QUARANTINE,
    "rewrite subject": Action.QUARANTINE,
    "quarantine": Action.QUARANTINE,
    "discard": Action.DISCARD,
    "greylist": Action.DEFER,
    "soft reject": Action.DEFER,
    "reject": Action.REJECT,
}
TEXTS = {
    Action.REJECT: "Mail is refused as spam",
    Action.DEFER: "Come again later",
    Action.DISCARD: "it is to be thrown away",
}

LAST = 1 << 20
"""The place of a field behind all others."""


class RspamdCheck(FilterCheck):
    """Asks one rspamd."""

    name = "rspamd"

    def __init__(self, reactor: Any, place: Place, timeout: float, defers: bool) -> None:
        super().__init__(reactor, place, timeout, defers)
        self._http = HttpFilter(reactor, place, timeout)

    async def message(self, case: Case, message: Message) -> Verdict:
        """Ask about the whole message."""
        head = shown(case, message)
        try:
            asking = self._http.post("/checkv2", told(case), head, message.buffer, message.body)
            said = parsed(await self.within_time(asking))
            verdict = verdict_of(said)
            if verdict.action in (Action.ACCEPT, Action.QUARANTINE):
                section = HeaderSection(head)
                if apply(said, case, section):
                    case.edited = Message(message.buffer, message.body, bytes(section))
        except FilterFailed as failed:
            return self.unavailable(failed)
        return verdict


def told(case: Case) -> Iterator[tuple[str, str]]:
    """The fields of the request."""
    yield "IP", case.source
    yield "Helo", case.helo
    yield "From", str(case.sender or "")
    for one in case.recipients:
        yield "Rcpt", str(one)
    yield "Queue-Id", case.id
    yield "MTA-Name", case.hostname
    if case.source_name:
        yield "Hostname", case.source_name


def parsed(data: bytes) -> Mapping[str, Any]:
    """
    The answer.

    :raises FilterFailed: it is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FilterFailed("its answer is no JSON") from error
    if not isinstance(found, dict) or found.get("action") not in ACTIONS:
        raise FilterFailed("its answer has no action that is known")
    return found


def verdict_of(said: Mapping[str, Any]) -> Verdict:
    """What an answer comes to."""
    action = ACTIONS[said["action"]]
    if action is Action.ACCEPT:
        return ACCEPT
    messages = _table(said, "messages")
    text = messages.get("smtp_message", "")
    shown = "".join(one for one in text if " " <= one <= "~")[:400] if isinstance(text, str) else ""
    if action is Action.QUARANTINE:
        return Verdict(action, f"{score(said)}, {said['action']}")
    return Verdict(action, shown or TEXTS[action], "5.7.1")


def score(said: Mapping[str, Any]) -> str:
    """Such as ``7.10 of 15.00``."""
    found, most = (said.get(name) for name in ("score", "required_score"))
    numbers = [one if isinstance(one, (int, float)) else 0 for one in (found, most)]
    return f"{numbers[0]:.2f} of {numbers[1]:.2f}"


def apply(said: Mapping[str, Any], case: Case, section: HeaderSection) -> bool:
    """
    Do what an answer wants changed; whether anything is.

    :raises FilterFailed: it wants what cannot be done.
    """
    wanted = _table(said, "milter")
    before = bytes(section)
    wishes = Wishes(added=[], removed=[])
    try:
        for name, value in _table(wanted, "remove_headers").items():
            _remove(section, name.encode("utf-8"), value)
        for name, value in _table(wanted, "add_headers").items():
            for one in value if isinstance(value, list) else [value]:
                _add(section, name.encode("utf-8"), one)
        if said["action"] == "rewrite subject" and isinstance(said.get("subject"), str):
            section.remove_all(b"Subject")
            section.append(b"Subject", said["subject"].encode("utf-8"))
        wishes.added = _addresses(wanted, "add_rcpt")
        wishes.removed = _addresses(wanted, "del_rcpt")
        if isinstance(wanted.get("change_from"), str):
            wishes.senders.append(parse_mailbox(wanted["change_from"].strip("<>")))
    except (BadField, Invalid) as bad:
        raise FilterFailed(f"it wants what cannot be done: {bad}") from bad
    case.wishes.take(wishes)
    return bytes(section) != before


def _remove(section: HeaderSection, name: bytes, number: object) -> None:
    """The field of a name with that number; 0 for all, from behind for negative ones."""
    if not isinstance(number, int) or number == 0:
        section.remove_all(name)
    elif number > 0:
        section.change(name, number, b"")
    else:
        section.change(name, section.count(name) + 1 + number, b"")


def _add(section: HeaderSection, name: bytes, value: object) -> None:
    text, place = value, -1
    if isinstance(value, dict):
        text, place = value.get("value", ""), value.get("order", -1)
    if isinstance(text, (str, int, float)):
        section.insert(place if isinstance(place, int) and place >= 0 else LAST, name, str(text).encode("utf-8"))


def _addresses(table: Mapping[str, Any], name: str) -> list[Address]:
    found = table.get(name, [])
    return [
        parse_mailbox(one.strip("<>"))
        for one in (found if isinstance(found, list) else [found])
        if isinstance(one, str)
    ]


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name)
    return found if isinstance(found, dict) else {}
