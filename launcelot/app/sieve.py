"""``launcelot sieve``: whether a script is one, and what it does with a message."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from launcelot.app.errors import FAILED, NO_INPUT, OK, USAGE, Ending
from launcelot.app.streams import Streams
from launcelot.core.errors import Invalid
from launcelot.message.address import parse_mailbox
from launcelot.message.headers import Group, parse_address_list
from launcelot.sieve.actions import Action, Outcome
from launcelot.sieve.editing import Edits, edits_of
from launcelot.sieve.grammar import ScriptError
from launcelot.sieve.run import described
from launcelot.sieve.script import compile_script, run_script
from launcelot.sieve.situation import Situation


def check(given: Namespace, streams: Streams) -> int:
    """
    What is wrong with a script.

    :raises Ending: the file cannot be read.
    """
    source = _octets(given.script)
    fault: ScriptError | None = None
    try:
        compile_script(source)
    except ScriptError as error:
        fault = error
    if given.json:
        problems = [] if fault is None else [{"line": fault.line, "text": fault.text}]
        streams.say_json({"file": given.script, "ok": fault is None, "problems": problems})
    else:
        streams.say(f"{given.script}: right" if fault is None else f"{given.script}:{fault.line}: {fault.text}")
    return OK if fault is None else FAILED


def test(given: Namespace, streams: Streams) -> int:
    """
    What a script does with a message, line by line.

    :raises Ending: a file cannot be read, the script is none, or an address is malformed.
    """
    source, message = _octets(given.script), _octets(given.message)
    try:
        script = compile_script(source)
    except ScriptError as error:
        raise Ending(f"{given.script}:{error.line}: {error.text}", FAILED) from error
    outcome = run_script(script, message, _situation(given, message), tracing=True)
    if given.json:
        streams.say_json(_told(outcome))
    else:
        streams.say(*_lines(outcome))
    return FAILED if outcome.error else OK


def _octets(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Ending(f"{name}: {error.strerror or error}; name a file that can be read", NO_INPUT) from error


def _situation(given: Namespace, message: bytes) -> Situation:
    edits = edits_of(message)
    sender = _address(given.sender, "--from") if given.sender is not None else _found(edits, "return-path", "from")
    recipient = _address(given.recipient, "--to") if given.recipient is not None else _found(edits, "delivered-to", "to")
    boxes = {"INBOX", *given.mailbox}
    folder = Path(given.script).parent
    return Situation(
        now=datetime.now().astimezone(),
        sender=sender,
        recipient=recipient,
        addresses=(recipient,) if recipient else (),
        has_mailbox=boxes.__contains__,
        script=lambda location, name: _beside(folder, name) if location == "personal" else None,
    )


def _beside(folder: Path, name: str) -> bytes | None:
    """An included script: a file of its name beside the main one, with or without ``.sieve``."""
    for path in (folder / name, folder / f"{name}.sieve"):
        if path.parent == folder and path.is_file():
            return path.read_bytes()
    return None


def _address(text: str, option: str) -> str:
    try:
        return str(parse_mailbox(text)) if text else ""
    except Invalid as error:
        raise Ending(f"{option} {text!r}: {error.text}; write it as name@example.com", USAGE) from error


def _found(edits: Edits, *names: str) -> str:
    """The first address in the first of some fields that has one."""
    for name in names:
        for line in edits.named(name):
            for one in parse_address_list(line.raw):
                for member in one.members if isinstance(one, Group) else (one,):
                    if member.address is not None:
                        return str(member.address)
    return ""


def _lines(outcome: Outcome) -> Iterator[str]:
    yield from map(str, outcome.trace)
    yield "error: " + outcome.error if outcome.error else "then:"
    if not outcome.actions:
        yield "  discard"
    for action in outcome.actions:
        yield f"  {described(action)}"


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "ok": not outcome.error,
        "error": outcome.error,
        "actions": [_action(one) for one in outcome.actions],
        "trace": [asdict(one) for one in outcome.trace],
    }


def _action(action: Action) -> dict[str, Any]:
    """An action's name and arguments; of an edited header only that it is one."""
    slots = {name: getattr(action, name) for name in action.__dataclass_fields__ if name != "edits"}
    edits = getattr(action, "edits", None)
    edited = {} if edits is None else {"edited": edits.changed}
    return {"action": type(action).__name__.lower(), "text": described(action), **slots, **edited}
