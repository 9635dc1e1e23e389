"""Start-up time and memory of the idle daemon with all its services, and of the same with 200 idle IMAP connections."""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path

from benchmarks.frame import Figures, Server, Subject, Table, measure

CHECKOUT = Path(__file__).resolve().parents[1]
BETTER = {"s to listening": "less", "MiB PSS": "less", "KiB/connection": "less"}
CONNECTIONS = 200


def launcelot() -> Figures:
    """From the command to the line that says everything listens."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "launcelot.app.command", "demo", "--ports", "free", "--json"]
    with Server(command, CHECKOUT) as server:
        elapsed = time.perf_counter() - began
        empty = server.resident()
        service = json.loads(server.said)["services"]["imap"]
        held = [socket.create_connection((service["host"], service["port"])) for _ in range(CONNECTIONS)]
        for one in held:
            one.recv(1000)
        full = server.resident()
        for one in held:
            one.close()
    return {"s to listening": elapsed, "MiB PSS": empty, "KiB/connection": (full - empty) * 1024 / CONNECTIONS}


def interpreter() -> Figures:
    """For scale: a Python that has imported Twisted's reactor and nothing else."""
    began = time.perf_counter()
    program = "from twisted.internet import reactor; reactor.callWhenRunning(print, 'up', flush=True); reactor.run()"
    with Server([sys.executable, "-c", program], CHECKOUT) as server:
        return {"s to listening": time.perf_counter() - began, "MiB PSS": server.resident()}


def tables(rounds: int, seconds: float) -> list[Table]:
    """One table."""
    subjects = [Subject("launcelot", launcelot), Subject("bare Twisted reactor", interpreter)]
    return [measure("idle daemon", BETTER, subjects, rounds)]
