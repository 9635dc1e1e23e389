"""
Questions: one in flight on 1, 20 and 200 connections, against a bare ``asyncio.Protocol`` with and without uvloop.

The generator is one Python process with epoll for all subjects; it takes a core of its own, so questions per second are
bounded by it and CPU per question is the figure to compare.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from pathlib import Path

from benchmarks.frame import Figures, NotHere, Server, Subject, Table, measure

CHECKOUT = Path(__file__).resolve().parents[1]
QUESTION = b"What is your quest?"
ANSWER = b"To seek the Holy Grail."
BETTER = {"questions/s": "more", "us CPU/question": "less"}


def ask(port: int, server: Server, connections: int, seconds: float) -> Figures:
    """One round: every connection asks again when it is answered."""
    selector = selectors.DefaultSelector()
    asking = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for one in asking:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one, selectors.EVENT_READ, one)
    run(selector, asking, 0.2)
    cpu = server.cpu()
    began = time.perf_counter()
    answered = run(selector, asking, seconds)
    elapsed = time.perf_counter() - began
    cpu = server.cpu() - cpu
    for one in asking:
        one.close()
    return {"questions/s": answered / elapsed, "us CPU/question": cpu / answered * 1e6}


def run(selector: selectors.BaseSelector, asking: list[socket.socket], seconds: float) -> int:
    """Ask for a while; how many answers came."""
    for one in asking:
        one.sendall(QUESTION)
    answered, until, open_questions = 0, time.perf_counter() + seconds, len(asking)
    while open_questions:
        go_on = time.perf_counter() < until
        for key, _ in selector.select():
            if key.data.recv(100) != ANSWER:
                raise NotHere("a wrong answer")
            answered += 1
            if go_on:
                key.data.sendall(QUESTION)
            else:
                open_questions -= 1
    return answered


def launcelot(connections: int, seconds: float) -> Figures:
    """A demo."""
    command = [sys.executable, "-m", "launcelot.app.command", "demo", "--ports", "free", "--json"]
    with Server(command, CHECKOUT) as server:
        port = json.loads(server.said)["services"]["questions"]["port"]
        return ask(port, server, connections, seconds)


def peer(kind: str, connections: int, seconds: float) -> Figures:
    """One of :mod:`benchmarks.peers`."""
    with Server([sys.executable, "-m", "benchmarks.peers", kind], CHECKOUT) as server:
        return ask(int(server.said), server, connections, seconds)


def subjects(connections: int, seconds: float) -> list[Subject]:
    """We and the peers."""
    return [
        Subject("launcelot", lambda: launcelot(connections, seconds)),
        Subject("asyncio", lambda: peer("asyncio", connections, seconds)),
        Subject("asyncio+uvloop", lambda: peer("uvloop", connections, seconds)),
    ]


def tables(rounds: int, seconds: float) -> list[Table]:
    """One table for each number of connections."""
    return [
        measure(f"questions, {connections} connections", BETTER, subjects(connections, seconds), rounds)
        for connections in (1, 20, 200)
    ]
