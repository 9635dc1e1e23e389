"""
``launcelot fault``: has things go wrong in a running daemon that allows it.

The daemon's side is :mod:`launcelot.testing.daemonfaults`.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from launcelot.app.asking import ask
from launcelot.app.configuration import configuration_for
from launcelot.app.errors import OK, USAGE, Ending
from launcelot.app.streams import Streams

NOT_ALLOWED = "the daemon does not allow faults; set faults = true in [daemon] of a daemon for tests, or use launcelot demo"


def add(given: Namespace, streams: Streams) -> int:
    """
    Have something go wrong.

    :raises Ending: the sentence is none, or the daemon does not allow it.
    """
    return _show(_ask(given, {"do": "add", "sentence": given.sentence}), given, streams)


def show_list(given: Namespace, streams: Streams) -> int:
    """
    What may go wrong.

    :raises Ending: the daemon does not allow faults.
    """
    return _show(_ask(given, {"do": "list"}), given, streams)


def remove(given: Namespace, streams: Streams) -> int:
    """
    Have it go well again.

    :raises Ending: nothing was chosen, or there is no such fault.
    """
    if bool(given.numbers) == given.all:
        raise Ending("name the numbers of faults, or --all", USAGE)
    return _show(_ask(given, {"do": "remove", "numbers": given.numbers, "all": given.all}), given, streams)


def _ask(given: Namespace, request: Mapping[str, Any]) -> Mapping[str, Any]:
    path = configuration_for(given.config, given.data).admin_socket
    try:
        answer = ask(path, {"ask": "fault", **request})
    except Ending as ending:
        if ending.text == "unknown request":
            raise Ending(NOT_ALLOWED, ending.status) from ending
        raise
    if "refused" in answer:
        raise Ending(str(answer["refused"]), USAGE)
    return answer


def _show(answer: Mapping[str, Any], given: Namespace, streams: Streams) -> int:
    if given.json:
        streams.say_json(answer)
    else:
        streams.say(*(f"{one['number']:>3}  happened {one['struck']} times  {one['fault']}" for one in answer["faults"]))
    return OK


def summed(answers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What several workers answer, as one; what one of them refuses is refused."""
    refused = [answer for answer in answers if "refused" in answer]
    if refused:
        return refused[0]
    rows: dict[int, dict[str, Any]] = {}
    for answer in answers:
        for one in answer["faults"]:
            row = rows.setdefault(one["number"], {**one, "struck": 0, "reached": 0})
            row["struck"] += one["struck"]
            row["reached"] += one["reached"]
    return {"faults": [rows[number] for number in sorted(rows)]}
