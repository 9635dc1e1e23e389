"""
The test kit beside what tests use today: a server for each test, started and stopped in the test's own process.

A round is a hundred tests in a row.  A test starts a server, does its first piece of work with Python's own client, and stops
the server: for mail one message by smtplib, which the test waits for; for files a log-in and one file by ftplib.  Peers are asked
again where they are not there yet, as their users' tests must be.  CPU is that of the whole process, client included.
Figures are those of the quarter of the tests that was disturbed least.

Every cut has no peer: cuts in a second of an SMTP session with Twisted's client in memory, and with smtplib on sockets.
"""

from __future__ import annotations

import ftplib
import io
import logging
import smtplib
import tempfile
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.frame import Figures, NotHere, Subject, Table, measure
from launcelot.testing.plugin import Run, Starter

TESTS = 100
"""In one round."""

PATIENCE = 10.0
"""Seconds after which a server that refuses connections is given up."""

BETTER = {"ms to start": "less", "ms of work": "less", "ms to stop": "less", "ms/test": "less", "ms CPU/test": "less"}
BETTER_CUTS = {"cuts/s": "more", "us CPU/cut": "less"}
LETTER = b"Subject: News\r\n\r\nhi\r\n"
FILE = b"1,2\n"

Begin = Callable[[], tuple[Callable[[], object], Callable[[], object]]]
"""Starts a server; what does the work, and what stops it."""


def tests_in_a_row(begin: Begin) -> Figures:
    """
    One round; a test before the first one has what is imported imported.

    Of each figure the lower quartile: on a machine that others use too it is they who make up most of a mean.
    """
    work, stop = begin()
    work()
    stop()
    rows: list[tuple[float, ...]] = []
    for _ in range(TESTS):
        at, cpu = time.perf_counter(), time.process_time()
        work, stop = begin()
        started = time.perf_counter()
        work()
        done = time.perf_counter()
        stop()
        end = time.perf_counter()
        rows.append((started - at, done - started, end - done, end - at, time.process_time() - cpu))
    columns = [sorted(column) for column in zip(*rows, strict=True)]
    return {name: column[TESTS // 4] * 1_000 for name, column in zip(BETTER, columns, strict=True)}


def needed(name: str) -> Any:
    """
    A module of a peer.

    :raises NotHere: it is not installed.
    """
    if find_spec(name.partition(".")[0]) is None:
        raise NotHere(f"{name.partition('.')[0]} is not installed")
    return import_module(name)


# -- mail ----------------------------------------------------------------------------------------------------------


def send(host: str, port: int, to: str) -> None:
    """One mail."""
    with smtplib.SMTP(host, port) as client:
        client.sendmail("app@news.example", [to], LETTER)


def our_mail() -> Figures:
    """The kit, as its fixture has it."""
    run = Run()

    def begin() -> Any:
        starter = Starter(Path(), run)
        lc = starter.start("smtp")
        to = lc.user("ann")

        def work() -> None:
            send(*lc.smtp.address, to)
            lc.mail.wait(to=to)

        return work, starter.stop

    try:
        return tests_in_a_row(begin)
    finally:
        run.rest()


def aiosmtpd_mail() -> Figures:
    """aiosmtpd's Controller, with a handler that tells when a message is there."""
    controllers = needed("aiosmtpd.controller")

    class Handler:
        def __init__(self) -> None:
            self.arrived = threading.Event()

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            self.arrived.set()
            return "250 OK"

    def begin() -> Any:
        handler = Handler()
        # Port 0 is not taken from the caller by this Controller, so one that was free a moment ago is.
        controller = controllers.Controller(handler, hostname="127.0.0.1", port=free_port())
        controller.start()

        def work() -> None:
            send("127.0.0.1", controller.port, "ann@test")
            handler.arrived.wait()

        return work, controller.stop

    return tests_in_a_row(begin)


def free_port() -> int:
    """A port that nobody had."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- files ---------------------------------------------------------------------------------------------------------


def get(host: str, port: int, user: str, password: str) -> None:
    """Log in and read one file; a server that does not listen yet is asked again."""
    until = time.perf_counter() + PATIENCE
    with ftplib.FTP() as client:
        while True:
            try:
                client.connect(host, port)
                break
            except ConnectionRefusedError:
                if time.perf_counter() > until:
                    raise NotHere("it does not listen") from None
        client.login(user, password)
        heard = io.BytesIO()
        client.retrbinary("RETR a.csv", heard.write)
    if heard.getvalue() != FILE:
        raise NotHere(f"it gave {heard.getvalue()!r}")


def our_files() -> Figures:
    """The kit, as its fixture has it."""
    run = Run()

    def begin() -> Any:
        starter = Starter(Path(), run)
        lc = starter.start("ftp")
        lc.user("ann", password="pw", files={"a.csv": FILE})
        return lambda: get(*lc.ftp.address, "ann", "pw"), starter.stop

    try:
        return tests_in_a_row(begin)
    finally:
        run.rest()


def pyftpdlib_files() -> Figures:
    """pyftpdlib's FTPServer in a thread, as its own tests have it."""
    servers, handlers = needed("pyftpdlib.servers"), needed("pyftpdlib.handlers")
    authorizers = needed("pyftpdlib.authorizers")
    ioloop = needed("pyftpdlib.ioloop")
    logging.getLogger("pyftpdlib").setLevel(logging.WARNING)

    def begin() -> Any:
        folder = tempfile.TemporaryDirectory()
        with open(f"{folder.name}/a.csv", "wb") as file:
            file.write(FILE)
        authorizer = authorizers.DummyAuthorizer()
        authorizer.add_user("ann", "pw", folder.name, perm="elradfmw")
        handler = type("Handler", (handlers.FTPHandler,), {"authorizer": authorizer})
        server = servers.FTPServer(("127.0.0.1", 0), handler, ioloop=ioloop.IOLoop())
        going = threading.Event()
        going.set()

        def run() -> None:
            while going.is_set():
                server.ioloop.loop(timeout=0.001, blocking=False)

        thread = threading.Thread(target=run)
        thread.start()

        def stop() -> None:
            going.clear()
            thread.join()
            server.close_all()
            folder.cleanup()

        return lambda: get("127.0.0.1", server.address[1], "ann", "pw"), stop

    return tests_in_a_row(begin)


def localftpserver_files() -> Figures:
    """pytest-localftpserver's fixture, made for each test."""
    servers = needed("pytest_localftpserver.servers")
    made = servers.PytestLocalFTPServer
    logging.getLogger("pyftpdlib").setLevel(logging.WARNING)

    def begin() -> Any:
        server = made()
        with open(f"{server.server_home}/a.csv", "wb") as file:
            file.write(FILE)
        return lambda: get("localhost", server.server_port, server.username, server.password), server.stop

    return tests_in_a_row(begin)


# -- every cut -----------------------------------------------------------------------------------------------------


def cuts_in_memory() -> Figures:
    """Of an SMTP session with Twisted's client."""
    from launcelot.testing.cuts import Kind
    from tests.testing.foreign import send as work
    from tests.testing.foreign import table_of

    return _cuts(lambda: len(table_of(work, (Kind.FIN, Kind.RST)).outcomes))


def cuts_on_sockets() -> Figures:
    """Of an SMTP session with smtplib."""
    from launcelot.testing.served import serve

    lc = serve("smtp")
    to = lc.user("ann")
    try:
        return _cuts(lambda: len(lc.every_cut("smtp", lambda: send(*lc.smtp.address, to)).outcomes))
    finally:
        lc.stop()


def _cuts(play: Callable[[], int]) -> Figures:
    began, cpu = time.perf_counter(), time.process_time()
    count = play()
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - began
    return {"cuts/s": count / elapsed, "us CPU/cut": cpu / count * 1e6}


def tables(rounds: int, seconds: float) -> list[Table]:
    """The measures; a round is a hundred tests, however long that takes."""
    return [
        measure(
            "kit, mail: start, one message, stop",
            BETTER,
            [Subject("launcelot", our_mail), Subject("aiosmtpd Controller", aiosmtpd_mail)],
            rounds,
        ),
        measure(
            "kit, files: start, one file, stop",
            BETTER,
            [
                Subject("launcelot", our_files),
                Subject("pyftpdlib in a thread", pyftpdlib_files),
                Subject("pytest-localftpserver", localftpserver_files),
            ],
            rounds,
        ),
        measure(
            "kit, every cut of an SMTP session",
            BETTER_CUTS,
            [Subject("in memory, Twisted", cuts_in_memory), Subject("on sockets, smtplib", cuts_on_sockets)],
            rounds,
        ),
    ]
