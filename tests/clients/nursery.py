"""
Demos from a process that has imported everything already.

Hundreds of tests each start a demo, and three quarters of that were imports, the same each time.  So one process imports what the
daemon needs, serves nobody, and forks whenever a demo is wanted; the child goes on as ``launcelot demo`` does.  What a
start of the command itself does is what :mod:`tests.app` looks at.

``python -m tests.clients.nursery DESCRIPTOR`` is that process.  A request is a line of JSON with three descriptors: standard
output, standard error, and a pipe for what becomes of it, its number at once and its status when it has ended.  It ends when
nobody is left to ask.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
REQUEST = 1 << 18
"""Octets of a request at most."""


class Forked:
    """
    A program that was forked, as :class:`subprocess.Popen` would show it.

    :param arguments: of the ``launcelot`` command.
    :param errors: where its standard error goes.
    :param environment: this process's if it is None.
    :ivar stdout: what it prints.
    :ivar returncode: None while it runs.
    """

    def __init__(self, arguments: Sequence[str], errors: int, environment: Mapping[str, str] | None = None) -> None:
        ours, printed = os.pipe()
        self._fate, told = os.pipe()
        request = json.dumps({"arguments": arguments, "folder": str(CHECKOUT), "environment": dict(environment or os.environ)})
        try:
            socket.send_fds(nursery(), [request.encode()], [printed, errors, told])
        finally:
            os.close(printed)
            os.close(told)
        self.stdout = os.fdopen(ours, "rb")
        self._said = b""
        self.returncode: int | None = None
        while b"\n" not in self._said:
            self._listen()
        number, _, self._said = self._said.partition(b"\n")
        self.pid = int(number)

    def _listen(self) -> None:
        said = os.read(self._fate, 100)
        if not said:
            raise AssertionError("the nursery has died")
        self._said += said

    def poll(self) -> int | None:
        """The status, or None while it runs."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait for the end; the status, negative for a signal.

        :raises subprocess.TimeoutExpired: it does not come.
        """
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("demo", timeout or 0.0)
        return status

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._fate], [], [], timeout)[0]:
            while not self._said.endswith(b"\n"):
                self._listen()
            self.returncode = int(self._said)
            os.close(self._fate)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Have it stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


@functools.cache
def nursery() -> socket.socket:
    """Where to ask, once for all tests of this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.clients.nursery", str(theirs.fileno())],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def leave() -> None:
        ours.close()
        process.wait()

    atexit.register(leave)
    return ours


def serve(asked: socket.socket) -> Sequence[str] | None:
    """Fork for each request; in the child the arguments to go on with, in the parent None when nobody is left."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, REQUEST, 3)
        if not data:
            return None
        if not os.fork():
            asked.close()
            return watched(json.loads(data), *descriptors)
        for one in descriptors:
            os.close(one)
        # The children that have told their fate.
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def watched(request: dict[str, object], printed: int, errors: int, told: int) -> Sequence[str]:
    """Fork once more, and have the parent tell what becomes of the child, in which this returns."""
    child = os.fork()
    if child:
        os.close(printed)
        os.close(errors)
        os.write(told, b"%d\n" % child)
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    os.close(told)
    for descriptor, standard in ((printed, 1), (errors, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    random.seed()
    os.chdir(str(request["folder"]))
    environment, arguments = request["environment"], request["arguments"]
    assert isinstance(environment, dict) and isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    return arguments


def main() -> int:
    """Import, fork, and in each child run the command."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    import launcelot.app.daemon
    import launcelot.app.demo  # noqa: F401 - what it will need
    from launcelot.app.catalogue import SERVICES
    from launcelot.app.command import main as command

    for service in SERVICES.values():
        service.builder()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        arguments = serve(asked)
    if arguments is None:
        return 0
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        signal.signal(number, usual)
    sys.argv = ["launcelot", *arguments]
    return command()


if __name__ == "__main__":
    sys.exit(main())
