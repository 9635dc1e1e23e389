"""
Questions, against a bare ``asyncio.Protocol`` with and without uvloop.

One in flight on 1, 20 and 200 connections; sixteen in each write on 20 connections; dialogs of 20 clients that connect, ask ten
and close; and ten thousand connections that are opened at once or in turn, answered once and kept.

The generator is one Python process with epoll for all subjects; it takes a core of its own, so questions per second are
bounded by it and CPU per question is the figure to compare.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from benchmarks.frame import Figures, NotHere, Server, Subject, Table, measure

CHECKOUT = Path(__file__).resolve().parents[1]
QUESTION = b"What is your quest?"
ANSWER = b"To seek the Holy Grail."
BETTER = {"questions/s": "more", "us CPU/question": "less"}
BETTER_DIALOGS = {"dialogs/s": "more", "us CPU/dialog": "less"}
BETTER_CROWD = {"s in all": "less", "us CPU/connection": "less", "KiB/connection": "less"}
PIPELINED = 16
IN_A_DIALOG = 10
CROWD = 10_000
IN_TURN = 200
"""Connections of a crowd that are on their way at once, fewer than any subject's backlog."""
SHARE = 500
"""Connections of a crowd from one source address: the demo allows 1,000."""

Asking = Callable[[int, Server], Figures]
"""One round against a server that listens on a port."""


def ask(port: int, server: Server, connections: int, seconds: float, pipelined: int = 1) -> Figures:
    """One round: every connection asks again when all it asked is answered."""
    selector = selectors.DefaultSelector()
    asking = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for one in asking:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one, selectors.EVENT_READ, one)
    run(selector, asking, 0.2, pipelined)
    cpu = server.cpu()
    began = time.perf_counter()
    answered = run(selector, asking, seconds, pipelined)
    elapsed = time.perf_counter() - began
    cpu = server.cpu() - cpu
    for one in asking:
        one.close()
    return {"questions/s": answered / elapsed, "us CPU/question": cpu / answered * 1e6}


def run(selector: selectors.BaseSelector, asking: list[socket.socket], seconds: float, pipelined: int) -> int:
    """Ask for a while; how many answers came."""
    question, answer = QUESTION * pipelined, ANSWER * pipelined
    for one in asking:
        one.sendall(question)
    heard = dict.fromkeys(asking, b"")
    answered, until, busy = 0, time.perf_counter() + seconds, len(asking)
    while busy:
        go_on = time.perf_counter() < until
        for key, _ in selector.select():
            one = key.data
            heard[one] += one.recv(len(answer))
            if heard[one] != answer:
                if not answer.startswith(heard[one]):
                    raise NotHere(f"a wrong answer: {heard[one]!r}")
                continue
            heard[one] = b""
            answered += pipelined
            if go_on:
                one.sendall(question)
            else:
                busy -= 1
    return answered


def talk(port: int, server: Server, clients: int, seconds: float) -> Figures:
    """One round of dialogs: connect, ask ten, close, and again."""
    selector = selectors.DefaultSelector()
    cpu = server.cpu()
    began = time.perf_counter()
    for _ in range(clients):
        call(selector, port)
    done, busy = 0, clients
    while busy:
        for key, _ in selector.select():
            one = key.fileobj
            if not isinstance(one, socket.socket) or one.recv(100) != ANSWER:
                raise NotHere("a wrong answer")
            if key.data > 1:
                one.sendall(QUESTION)
                selector.modify(one, selectors.EVENT_READ, key.data - 1)
                continue
            selector.unregister(one)
            one.close()
            done += 1
            if time.perf_counter() - began < seconds:
                call(selector, port)
            else:
                busy -= 1
    elapsed = time.perf_counter() - began
    cpu = server.cpu() - cpu
    return {"dialogs/s": done / elapsed, "us CPU/dialog": cpu / done * 1e6}


def call(selector: selectors.BaseSelector, port: int) -> None:
    """Begin one dialog."""
    one = socket.create_connection(("127.0.0.1", port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.sendall(QUESTION)
    selector.register(one, selectors.EVENT_READ, IN_A_DIALOG)


def crowd(port: int, server: Server, connecting: int, connections: int = CROWD) -> Figures:
    """
    One round: as many connections as there may be are opened, answered once, and kept until all are.

    :raises NotHere: this process may not have so many.
    """
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < connections + 100:
        raise NotHere(f"{connections} connections need ulimit -n {connections + 100}")
    empty, cpu, began = server.resident(), server.cpu(), time.perf_counter()
    selector = selectors.DefaultSelector()
    held: deque[socket.socket] = deque()
    answered = 0
    while answered < connections:
        while len(held) < connections and len(held) - answered < connecting:
            held.append(reach(port, f"127.0.1.{len(held) // SHARE + 1}"))
            selector.register(held[-1], selectors.EVENT_WRITE)
        for key, event in selector.select():
            one = key.fileobj
            if not isinstance(one, socket.socket):
                continue
            if event == selectors.EVENT_WRITE:
                one.send(QUESTION)
                selector.modify(one, selectors.EVENT_READ)
            elif one.recv(100) == ANSWER:
                answered += 1
                selector.unregister(one)
            else:
                raise NotHere("a wrong answer")
    elapsed, cpu, full = time.perf_counter() - began, server.cpu() - cpu, server.resident()
    for one in held:
        one.close()
    return {
        "s in all": elapsed,
        "us CPU/connection": cpu / connections * 1e6,
        "KiB/connection": (full - empty) * 1024 / connections,
    }


def reach(port: int, source: str) -> socket.socket:
    """A connection on its way."""
    one = socket.socket()
    one.setblocking(False)
    one.bind((source, 0))
    one.connect_ex(("127.0.0.1", port))
    return one


def launcelot(asking: Asking) -> Figures:
    """A demo."""
    command = [sys.executable, "-m", "launcelot.app.command", "demo", "--ports", "free", "--json"]
    with Server(command, CHECKOUT) as server:
        return asking(json.loads(server.said)["services"]["questions"]["port"], server)


def peer(kind: str, asking: Asking) -> Figures:
    """One of :mod:`benchmarks.peers`."""
    with Server([sys.executable, "-m", "benchmarks.peers", kind], CHECKOUT) as server:
        return asking(int(server.said), server)


def subjects(asking: Asking) -> list[Subject]:
    """We and the peers."""
    return [
        Subject("launcelot", lambda: launcelot(asking)),
        Subject("asyncio", lambda: peer("asyncio", asking)),
        Subject("asyncio+uvloop", lambda: peer("uvloop", asking)),
    ]


def tables(rounds: int, seconds: float) -> list[Table]:
    """One table for each way of asking."""
    in_flight = [
        measure(
            f"questions, {connections} connections",
            BETTER,
            subjects(lambda port, server, connections=connections: ask(port, server, connections, seconds)),  # type: ignore[misc]
            rounds,
        )
        for connections in (1, 20, 200)
    ]
    return [
        *in_flight,
        measure(
            "questions, 20 connections, 16 in each write",
            BETTER,
            subjects(lambda port, server: ask(port, server, 20, seconds, PIPELINED)),
            rounds,
        ),
        measure(
            "dialogs of ten questions, 20 clients",
            BETTER_DIALOGS,
            subjects(lambda port, server: talk(port, server, 20, seconds)),
            rounds,
        ),
        *(
            measure(
                f"10,000 connections, {connecting:,} on their way at once, each answered once",
                BETTER_CROWD,
                subjects(lambda port, server, connecting=connecting: crowd(port, server, connecting)),  # type: ignore[misc]
                rounds,
            )
            for connecting in (IN_TURN, CROWD)
        ),
    ]
