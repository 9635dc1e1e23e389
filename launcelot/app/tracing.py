"""
``launcelot trace``: one mail's life, from RCPT to its mailbox or its next hop, and that of the mails it gave rise to.

The trail (:mod:`launcelot.workers.trail`) is read from its files, whether the daemon runs or not; the queue is asked what still
waits.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launcelot.app.configuration import Configuration, configuration_for
from launcelot.app.errors import FAILED, NO_INPUT, OK, USAGE, Ending
from launcelot.app.people import become_owner
from launcelot.app.queueing import asked, reason, shown
from launcelot.app.streams import Streams
from launcelot.core.ids import time_of
from launcelot.workers.trail import Step, steps_of, steps_with

FOLLOWED = 100
"""Mails that are followed from one."""

TAKEN = ("accepted", "refused")
"""What a mail that came in begins with."""


def main(given: Namespace, streams: Streams) -> int:
    """``launcelot trace``."""
    configuration = configuration_for(given.config, given.data)
    choice = {"sender": given.sender, "recipient": given.recipient, "message_id": given.message_id}
    wanted = {key: value for key, value in choice.items() if value}
    if bool(given.id) == bool(wanted):
        raise Ending("trace: name one mail by its id, or find it with --sender, --recipient or --message-id", USAGE)
    folder = folder_of(configuration)
    try:
        return show(given, streams, configuration, folder) if given.id else find(given, streams, folder, wanted)
    except OSError as error:
        raise Ending(f"{error.filename or folder}: {error.strerror}; ask as the daemon's user", NO_INPUT) from error


def folder_of(configuration: Configuration) -> Path:
    """
    Where the trail is.

    :raises Ending: there is none.
    """
    if not configuration.data.is_dir():
        raise Ending(f"{configuration.data}: no such data folder; name the daemon's with --data or --config", NO_INPUT)
    become_owner(configuration)
    folder = configuration.trail_folder
    if not folder.is_dir():
        why = "has not run here yet" if configuration.trace.size else "keeps none: [trace] says size = 0"
        raise Ending(f"{folder}: no trail of mail; the daemon {why}", NO_INPUT)
    return folder


# -- one mail ------------------------------------------------------------------------------------------------------


def show(given: Namespace, streams: Streams, configuration: Configuration, folder: Path) -> int:
    """Everything known of one mail, and of those it gave rise to."""
    found = followed(folder, given.id)
    rows, trouble = waiting(given)
    if not found and not rows:
        if trouble:
            streams.complain(trouble)
        text = f"{given.id}: not in the trail, which is kept for {configuration.trace.days:g} days if there is room"
        raise Ending(text, FAILED)
    mails = [{"id": id, "steps": [said(one) for one in steps]} for id, steps in found.items()]
    if given.json:
        answer = {"mails": mails, "waiting": [row | {"why": reason(row, configuration)} for row in rows]}
        streams.say_json(answer)
        return OK
    for id, steps in found.items():
        streams.say(*lines_of(id, steps))
    streams.say(*(f"waits: {shown(row['recipient'])}: {reason(row, configuration)}" for row in rows))
    if trouble:
        streams.complain(trouble)
    return OK


def followed(folder: Path, id: str) -> dict[str, list[Step]]:
    """
    What happened to a mail and to those made of it, by their ids.

    :raises OSError: the trail cannot be read.
    """
    found: dict[str, list[Step]] = {}
    fresh = [id]
    while fresh:
        steps = steps_of(folder, fresh)
        found |= {one: [step for step in steps if step.id == one] for one in fresh if any(step.id == one for step in steps)}
        children = dict.fromkeys(str(step.fields["mail"]) for step in steps if step.fields.get("mail"))
        fresh = [one for one in children if one not in found][: max(0, FOLLOWED - len(found))]
    return found


def waiting(given: Namespace) -> tuple[Sequence[dict[str, Any]], str]:
    """Recipients of a mail that still wait, or why nobody can say."""
    try:
        return asked(given, "list", {"id": given.id})["recipients"], ""
    except Ending as ending:
        return [], f"what waits is not known: {ending.text}"


def said(step: Step) -> dict[str, Any]:
    """A step for programs."""
    return {"at": step.moment, "event": step.event, **step.fields}


# -- which mails ---------------------------------------------------------------------------------------------------


def find(given: Namespace, streams: Streams, folder: Path, wanted: Mapping[str, str]) -> int:
    """Mails that came in, by whom they are from, whom they are for, and what they call themselves."""
    found = [step for step in steps_with(folder, list(wanted.values()), TAKEN) if fits(step, wanted)][-given.limit :]
    if given.json:
        streams.say_json({"mails": [{"id": step.id, **said(step)} for step in found]})
    else:
        streams.say(*(f"{step.id}  {moment(step.moment)}  {about(step.fields)}  {step.event}" for step in found))
    if not found:
        raise Ending("no such mail in the trail", FAILED)
    return OK


def fits(step: Step, wanted: Mapping[str, str]) -> bool:
    """Whether a mail is meant."""
    low = {key: value.lower() for key, value in wanted.items()}
    return (
        low.get("sender", "") in ("", str(step.fields.get("sender")).lower())
        and low.get("message_id", "").strip("<>") in ("", str(step.fields.get("message_id")).strip("<>").lower())
        and ("recipient" not in low or low["recipient"] in named(step))
    )


def named(step: Step) -> list[str]:
    """Whom a step is about, and who sends a mail on to them."""
    return [str(one).lower() for name in ("recipients", "via") for one in step.fields.get(name, ())]


# -- words ---------------------------------------------------------------------------------------------------------


def lines_of(id: str, steps: Sequence[Step]) -> list[str]:
    """A mail's life for people."""
    first = next((step for step in steps if step.event in TAKEN), None) or next((s for s in steps if s.event == "queued"), None)
    lines = [id if first is None else f"{id}  {about(first.fields)}"]
    began = time_of(id)
    if first is not None and first.event in TAKEN and began is not None:
        lines.append(f"  {moment(began)}  {words_for('begun', first.fields)}")
    return lines + [f"  {moment(step.moment)}  {words_for(step.event, step.fields)}" for step in steps]


def about(fields: Mapping[str, Any]) -> str:
    """Whose mail it is, and for whom."""
    names = [shown(str(one)) for one in fields.get("recipients", ())]
    more = f" and {fields['more']} more" if fields.get("more") else ""
    return f"<{shown(str(fields.get('sender', '')))}> -> {', '.join(names)}{more}"


def words_for(event: str, fields: Mapping[str, Any]) -> str:
    """One step in words, whatever an older or newer daemon has written."""
    told = {name: shown(", ".join(map(str, value)) if isinstance(value, list) else str(value)) for name, value in fields.items()}
    sentence = WORDS.get(event)
    if sentence is not None:
        try:
            return sentence(told)
        except KeyError:
            pass
    return " ".join([event, *(f"{name}={value}" for name, value in told.items() if value)])


def moment(seconds: float) -> str:
    """A point in time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{int(seconds * 1000) % 1000:03d} UTC"


def _begun(told: Mapping[str, str]) -> str:
    who = f", {told['user']} logged in" if told["user"] else ""
    whence = f"begun by {told['helo']} [{told['source']}] over {told['protocol']}{who}"
    return f"{whence}; session {told['session']} of {told['service']}"


def _delivered(told: Mapping[str, str]) -> str:
    text = f"delivered for {told['recipient']} to {told['account']}: {told['into'] or 'nowhere'}"
    if "script" in told:
        text += f"; script {told['script']!r}: {told['actions'] or 'nothing'}"
    return f"{text}; the script failed: {told['error']}" if told.get("error") else text


def _deferred(told: Mapping[str, str]) -> str:
    at = float(told["next"])
    then = f"again at {moment(at)}" if at else "again at once"
    return f"not delivered to {told['recipient']} in attempt {told['attempts']}, {then}: {told['reason']}"


WORDS: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "begun": _begun,
    "accepted": lambda told: f"accepted with 250, {told['size']} octets"
    + (f"; not for all: {told['refused']}" if "refused" in told else ""),
    "refused": lambda told: f"refused after {told['size']} octets: {told['refused']}",
    "queued": lambda told: f"in the queue, {told['size']} octets"
    + (f"; {told['via']} sends it on to others" if told.get("via") else ""),
    "made": lambda told: f"{told['kind']}, made of {told['of']}",
    "delivered": _delivered,
    "sent on": lambda told: f"sent on to {told['recipient']} as {told['mail']}",
    "not sent": lambda told: f"not sent on to {told['recipient']}: {told['reason']}",
    "passed over": lambda told: f"host {told['host']} cannot be used: {told['reason']}",
    "relayed": lambda told: f"taken by {told['host']} for {told['recipient']}: {told['reply']}",
    "deferred": _deferred,
    "failed": lambda told: f"given up for {told['recipient']} after attempt {told['attempts']}: {told['reason']}",
    "held": lambda told: f"held for {told['recipient']}: {told['reason']}",
    "released": lambda told: f"released for {told['recipient']}: {told['reason']}",
    "dropped": lambda told: f"dropped for {told['recipient']}: {told['reason']}",
    "told": lambda told: f"the sender is told ({told['kind']}): {told['mail']} to {told['to']}",
}
"""What stands in the trail, in words."""
