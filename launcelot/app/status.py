"""``launcelot status``: what the running daemon says of itself."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from launcelot.app.asking import ask
from launcelot.app.configuration import configuration_for
from launcelot.app.errors import OK
from launcelot.app.streams import Streams


def main(given: Namespace, streams: Streams) -> int:
    """
    Ask and show.

    :raises Ending: no daemon runs on the data folder.
    """
    answer = ask(configuration_for(given.config, given.data).admin_socket, {"ask": "status"})
    if given.json:
        streams.say_json(answer)
    else:
        streams.say(*lines(answer))
    return OK


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer for people."""
    yield f"launcelot {answer['version']}, process {answer['pid']}, up {duration(answer['uptime'])}, data {answer['data']}"
    open_now = answer["connections"]
    for one in answer["listeners"]:
        where = place(one["host"], one["port"])
        yield f"  {one['name']:<14} {where:<24} {one['tls']}"
    for worker in answer.get("workers", ()):
        yield (
            f"  worker {worker['number']}: process {worker['pid']}, {worker['state']}, up {duration(worker['uptime'])},"
            f" connections {worker['connections']}, replaced {worker['restarts']} times"
        )
    total = sum(open_now.values())
    busy = ", ".join(f"{name} {number}" for name, number in open_now.items() if number)
    yield f"connections: {total}{f' ({busy})' if busy else ''}; mail waiting: {answer['spool']}"
    for name, value in answer["counters"].items():
        yield f"  {name:<40} {value}"


def place(host: str, port: int) -> str:
    """An address and port, or a Unix socket's path."""
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def duration(seconds: float) -> str:
    """A length of time for people."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02}:{minutes:02}:{rest:02}" if days else f"{hours:02}:{minutes:02}:{rest:02}"
