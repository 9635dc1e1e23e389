"""
``launcelot queue``: mail that waits, looked at, held, released, tried now and removed; with the daemon running or not.

A running daemon is asked, and where it has workers each of them, for each has its part of the spool.  Without one the files are
looked at here, and changed while we hold the data folder.
"""

from __future__ import annotations

import dataclasses
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from launcelot.app.ask import printable
from launcelot.app.asking import ask, is_running
from launcelot.app.configuration import Configuration, configuration_for
from launcelot.app.errors import FAILED, NO_INPUT, OK, TEMPORARY, Ending
from launcelot.app.folder import DataFolder
from launcelot.app.people import become_owner
from launcelot.app.stores import run_now, trail_of
from launcelot.app.streams import Streams
from launcelot.core.errors import InUse, Invalid, Refusal
from launcelot.spool.files import SpoolFile
from launcelot.spool.interface import SpoolId, Waiting

MOST = 10_000
"""Recipients in one answer of the daemon."""

LISTED = 1_000

DONE = {"hold": "held", "release": "released", "retry": "trying", "drop": "dropped"}

CHANGES = ("hold", "release", "retry", "drop")


class Queue(Protocol):
    """What is used of a spool, or of its file."""

    async def waiting(self, limit: int = 0) -> Sequence[Waiting]:
        """What waits."""

    async def hold(self, id: SpoolId, recipient: str = "") -> int:
        """Try no more."""

    async def release(self, id: SpoolId, recipient: str = "") -> int:
        """Try now."""

    async def drop(self, id: SpoolId, recipient: str = "") -> int:
        """Remove."""


# -- in the daemon -------------------------------------------------------------------------------------------------


async def answer(queues: Sequence[Queue], request: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    What the daemon answers to ``{"ask": "queue", "do": ...}``: the recipients it concerned, as they were.

    :raises Invalid: nobody knows what is to be done.
    """
    do = str(request.get("do", ""))
    if do not in ("list", *CHANGES):
        raise Invalid("unknown request")
    limit = min(int(request.get("limit", LISTED)), MOST)
    found: list[Waiting] = []
    busy: list[Waiting] = []
    total = 0
    for queue in queues:
        rows = [one for one in await queue.waiting() if fits(one, request)]
        total += len(rows)
        if do == "list":
            found += rows[: max(0, limit - len(found))]
            continue
        for row in rows:
            (found if await change(queue, do, row) else busy).append(row)
    return {
        "recipients": [dataclasses.asdict(one) for one in found[:MOST]],
        "busy": [dataclasses.asdict(one) for one in busy[:MOST]],
        "total": total,
    }


def fits(row: Waiting, request: Mapping[str, Any]) -> bool:
    """Whether a recipient is meant."""
    wanted = [(row.id, "id"), (row.recipient, "recipient"), (row.sender, "sender"), (row.destination, "destination")]
    return all(not request.get(key) or str(request[key]).lower() == text.lower() for text, key in wanted)


async def change(queue: Queue, do: str, row: Waiting) -> bool:
    """Do it; whether it could be done now."""
    if do == "retry" and row.held:
        return False
    action = {"hold": queue.hold, "release": queue.release, "retry": queue.release, "drop": queue.drop}[do]
    try:
        return await action(row.id, row.recipient) > 0
    except InUse:
        return False


def together(answers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The answers of several workers as one, oldest mail first."""
    found = [one for answer in answers for one in answer["recipients"]]
    return {
        "recipients": sorted(found, key=lambda one: (one["received"], one["id"])),
        "busy": [one for answer in answers for one in answer["busy"]],
        "total": sum(answer["total"] for answer in answers),
    }


# -- on the command line -------------------------------------------------------------------------------------------


def show_list(given: Namespace, streams: Streams) -> int:
    """``launcelot queue list``."""
    said = asked(given, "list", wanted(given) | {"limit": given.limit})
    if given.json:
        streams.say_json(said)
        return OK
    streams.say(*(line_of(one) for one in said["recipients"]))
    left_out = said["total"] - len(said["recipients"])
    if left_out:
        streams.say(f"and {left_out} more; see --limit, --destination, --sender and --recipient")
    elif not said["total"]:
        streams.say("nothing waits")
    return OK


def show(given: Namespace, streams: Streams) -> int:
    """``launcelot queue show``: everything known of one mail."""
    rows = mail_asked_for(given)
    if given.json:
        streams.say_json({"recipients": rows})
        return OK
    first = rows[0]
    streams.say(
        f"id: {first['id']}",
        f"sender: {shown(first['sender']) or '<>'}",
        f"user: {shown(first['user']) or '-'}",
        f"received: {moment(first['received'])}",
        f"size: {first['size']} octets",
    )
    for row in rows:
        streams.say(f"recipient: {shown(row['recipient'])}", *(f"  {line}" for line in details(row)))
    return OK


def why(given: Namespace, streams: Streams) -> int:
    """``launcelot queue why``: why a mail has not arrived, and what happens next, in sentences."""
    configuration = configuration_for(given.config, given.data)
    rows = mail_asked_for(given)
    if given.json:
        streams.say_json({"recipients": [row | {"why": reason(row, configuration)} for row in rows]})
    else:
        streams.say(*(f"{shown(row['recipient'])}: {reason(row, configuration)}" for row in rows))
    return OK


def change_rows(given: Namespace, streams: Streams) -> int:
    """``launcelot queue hold``, ``release``, ``retry`` and ``drop``."""
    chosen = wanted(given)
    if not (given.ids or chosen or given.all):
        raise Ending(f"queue {given.verb}: name mail by its id, or use --destination, --sender, --recipient or --all", 64)
    said = together([asked(given, given.verb, chosen | {"id": id}) for id in given.ids or [""]])
    if given.json:
        streams.say_json(said)
    else:
        streams.say(*(f"{DONE[given.verb]} {one['id']} to {shown(one['recipient'])}" for one in said["recipients"]))
        for one in said["busy"]:
            word = "held" if one["held"] else "being delivered now"
            streams.complain(f"{one['id']} to {shown(one['recipient'])} is {word}; nothing was changed")
    if not said["total"]:
        raise Ending("no such mail waits", FAILED)
    return TEMPORARY if said["busy"] else OK


def wanted(given: Namespace) -> dict[str, Any]:
    """Which recipients are meant."""
    named = {key: getattr(given, key, None) for key in ("destination", "sender", "recipient")}
    return {key: value for key, value in named.items() if value}


def mail_asked_for(given: Namespace) -> list[dict[str, Any]]:
    """
    The recipients of one mail.

    :raises Ending: it does not wait.
    """
    rows: list[dict[str, Any]] = list(asked(given, "list", {"id": given.id})["recipients"])
    if not rows:
        raise Ending(f"{given.id}: no such mail waits; it was delivered, given back or dropped", FAILED)
    return rows


def asked(given: Namespace, do: str, more: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    What the daemon answers, or its files.

    :raises Ending: they cannot be asked.
    """
    configuration = configuration_for(given.config, given.data)
    request = {"ask": "queue", "do": do, **more}
    if is_running(configuration.admin_socket):
        return ask(configuration.admin_socket, request)
    if not configuration.data.is_dir():
        raise Ending(f"{configuration.data}: no such data folder; name the daemon's with --data or --config", NO_INPUT)
    become_owner(configuration)
    folder = DataFolder(configuration.data)
    folder.lock()
    try:
        said = run_now(answer(files_of(configuration), request))
        if do in DONE:
            note(configuration, "released" if do == "retry" else DONE[do], said["recipients"])
        return said
    except Refusal as refusal:
        raise Ending(refusal.text, TEMPORARY if refusal.temporary else FAILED) from refusal
    finally:
        folder.release()


def note(configuration: Configuration, what: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Tell the trail of mail what was done without the daemon."""
    trail = trail_of(configuration)
    if trail is not None:
        trail.open()
        for row in rows:
            trail.note(row["id"], what, recipient=row["recipient"], reason="somebody asked for it")
        trail.close()


def files_of(configuration: Configuration) -> list[SpoolFile]:
    """The spool's files in a data folder."""
    return [SpoolFile(path) for path in sorted(Path(configuration.data).glob("spool*.sqlite"))]


# -- words ---------------------------------------------------------------------------------------------------------


def line_of(row: Mapping[str, Any]) -> str:
    """One recipient for people."""
    sender = shown(row["sender"]) or "<>"
    words = f"{row['id']}  {ago(row['received'])}  {row['size']}  {sender} -> {shown(row['recipient'])}  {state(row)}"
    return f"{words}: {shown(row['last_error'])}" if row["last_error"] else words


def details(row: Mapping[str, Any]) -> list[str]:
    """What is known of one recipient, line by line."""
    lines = [f"state: {state(row)}", f"attempts: {row['attempts']}"]
    if row["destination"]:
        lines.append(f"destination: {shown(row['destination'])}")
    if row.get("via"):
        lines.append(f"sent on by: {shown(row['via'])}")
    if row.get("sent_as"):
        lines.append(f"sent as: {shown(row['sent_as'])}")
    if row["last_error"]:
        lines.append(f"last error: {shown(row['last_error'])}")
    return lines


def state(row: Mapping[str, Any]) -> str:
    """What it waits for."""
    if row["held"]:
        return "held"
    if row["next_attempt"] <= time.time():
        return "next" if row["attempts"] else "new"
    return f"in {span(row['next_attempt'] - time.time())}"


def reason(row: Mapping[str, Any], configuration: Configuration) -> str:
    """Why one recipient has not got the mail, in sentences."""
    sentences = []
    if row["destination"] and not configuration.relay.enabled:
        sentences.append("Mail does not go to other hosts here: [relay] says enabled = false.")
    if row["attempts"]:
        times = "once" if row["attempts"] == 1 else f"{row['attempts']} times"
        sentences.append(f"Tried {times}; at last: {shown(row['last_error']).rstrip('.') or 'no reason was kept'}.")
    else:
        sentences.append("Not tried yet.")
    if row["held"]:
        sentences.append(f"It is held and not tried again before `launcelot queue release {row['id']}`.")
        return " ".join(sentences)
    if row["next_attempt"] > time.time():
        sentences.append(f"Tried again at {moment(row['next_attempt'])}, in {span(row['next_attempt'] - time.time())}.")
    else:
        sentences.append("It is being tried, or next.")
    sentences.append(f"Given up at {moment(row['received'] + configuration.relay.lifetime)}, if nothing helps.")
    return " ".join(sentences)


def moment(seconds: float) -> str:
    """A point in time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(seconds: float) -> str:
    """How old something is."""
    return span(time.time() - seconds)


def span(seconds: float) -> str:
    """A length of time in the unit that fits."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(0, round(seconds))} s"


def shown(text: str) -> str:
    """What strangers wrote, so that it does nothing to a terminal."""
    return printable(text)
