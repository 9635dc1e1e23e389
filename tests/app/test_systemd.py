"""What systemd is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.systemd import STATUS_INTERVAL, Notifier
from tests.app.programs import CHECKOUT, COMMAND, LIMIT
from tests.app.test_daemon import FREE, DaemonCase


def manager(folder: Path) -> tuple[socket.socket, str]:
    """A socket that hears what systemd would, and its address."""
    hearing = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    hearing.settimeout(LIMIT)
    hearing.bind(str(folder / "notify"))
    return hearing, str(folder / "notify")


class NotifierTests(SynchronousTestCase):
    """The messages, on a clock of the test's."""

    def setUp(self) -> None:
        """A manager that listens."""
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.hearing, self.address = manager(Path(kept.name))
        self.addCleanup(self.hearing.close)
        self.hearing.setblocking(False)
        self.clock = Clock()
        self.environment = {"NOTIFY_SOCKET": self.address, "PATH": "/bin"}

    def heard(self) -> list[list[str]]:
        """Lines of every message since the last look."""
        messages = []
        while True:
            try:
                messages.append(self.hearing.recv(4_096).decode().split("\n"))
            except BlockingIOError:
                return messages

    def test_life(self) -> None:
        """Ready with a status, signs of life three times in the watchdog's time, stopping, silence."""
        notifier = Notifier({**self.environment, "WATCHDOG_USEC": "30000000"}, self.clock)
        self.assertEqual([], self.heard())
        connections = [1]
        notifier.ready(lambda: f"{connections[0]} connections")
        self.assertEqual([["READY=1", "STATUS=1 connections"], ["WATCHDOG=1", "STATUS=1 connections"]], self.heard())
        connections[0] = 2
        self.clock.advance(9.9)
        self.assertEqual([], self.heard())
        self.clock.advance(0.1)
        self.assertEqual([["WATCHDOG=1", "STATUS=2 connections"]], self.heard())
        notifier.stopping()
        self.clock.advance(10)
        self.assertEqual([["STOPPING=1", "STATUS=stopping"], ["WATCHDOG=1", "STATUS=stopping"]], self.heard())
        notifier.stopped()
        notifier.stopped()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_reload(self) -> None:
        """Reloading with the time, then ready again; the timer stays one."""
        notifier = Notifier(self.environment, self.clock)
        notifier.ready(str)
        self.heard()
        notifier.reloading()
        notifier.ready(str)
        first, second = self.heard()
        self.assertEqual("RELOADING=1", first[0])
        self.assertRegex(first[1], r"\AMONOTONIC_USEC=\d+\Z")
        self.assertEqual(["READY=1", "STATUS="], second)
        self.assertEqual(1, len(self.clock.getDelayedCalls()))

    def test_without_a_watchdog(self) -> None:
        """The status is told all the same, and no sign of life that nobody asked for."""
        notifier = Notifier(self.environment, self.clock)
        notifier.ready(lambda: "well")
        self.clock.advance(STATUS_INTERVAL)
        self.assertEqual([["READY=1", "STATUS=well"], ["STATUS=well"], ["STATUS=well"]], self.heard())

    def test_watchdog_of_another_process(self) -> None:
        """A child that inherited the variables owes no signs of life."""
        notifier = Notifier({**self.environment, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, self.clock)
        notifier.ready(str)
        self.clock.advance(10)
        self.assertFalse(any("WATCHDOG=1" in message for message in self.heard()))

    def test_children_do_not_inherit(self) -> None:
        """Only what concerns us is taken."""
        environment = {**self.environment, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
        Notifier(environment, self.clock)
        self.assertEqual({"PATH": "/bin"}, environment)

    def test_abstract_address(self) -> None:
        """systemd writes a NUL as an @."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
            hearing.bind(f"\0launcelot-test-{os.getpid()}")
            Notifier({"NOTIFY_SOCKET": f"@launcelot-test-{os.getpid()}"}, self.clock).ready(str)
            self.assertEqual(b"READY=1\nSTATUS=", hearing.recv(100))

    def test_nobody_hears(self) -> None:
        """Without a manager, with one that is gone or whose queue is full, and with nonsense, nothing happens."""
        nobody = {"NOTIFY_SOCKET": "/nonexistent"}
        for environment in ({}, nobody, {"NOTIFY_SOCKET": "x"}, {**self.environment, "WATCHDOG_USEC": "x"}):
            notifier = Notifier(environment, self.clock)
            for _ in range(1_000):
                notifier.ready(str)
            notifier.stopped()
        self.assertEqual([], self.clock.getDelayedCalls())


class NotifyingDaemonTests(DaemonCase):
    """The daemon itself, with the test as its service manager."""

    def notifying(self, watchdog: str) -> tuple[subprocess.Popen[str], socket.socket]:
        """A daemon that owes a sign of life within so many microseconds, and what hears it."""
        hearing, address = manager(self.folder)
        self.addCleanup(hearing.close)
        variables = (f"NOTIFY_SOCKET={address}", f"WATCHDOG_USEC={watchdog}")
        return self.start("env", *variables, *COMMAND, "run", "--data", str(self.data), *FREE), hearing

    def test_ready_alive_stopping(self) -> None:
        """Ready not before everything listens; then signs of life; then stopping."""
        process, hearing = self.notifying("600000")
        self.assertEqual(b"READY=1\nSTATUS=11 listeners, 0 connections", hearing.recv(1_000))
        with self.connect("smtp") as peer:
            peer.recv(100)
            while hearing.recv(1_000) != b"WATCHDOG=1\nSTATUS=11 listeners, 1 connections":
                pass
        process.terminate()
        while hearing.recv(1_000) != b"STOPPING=1\nSTATUS=stopping":
            pass
        _, errors = process.communicate(timeout=LIMIT)
        self.assertNotIn("Traceback", errors)

    def test_stuck_daemon_is_silent(self) -> None:
        """A daemon that does not run gives no sign of life; when it runs again it does."""
        process, hearing = self.notifying("300000")
        self.assertTrue(hearing.recv(1_000).startswith(b"READY=1"))
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        hearing.setblocking(False)
        while True:
            try:
                hearing.recv(1_000)
            except BlockingIOError:
                break
        hearing.settimeout(1.0)
        self.assertRaises(TimeoutError, hearing.recv, 1_000)
        process.send_signal(signal.SIGCONT)
        hearing.settimeout(LIMIT)
        self.assertTrue(hearing.recv(1_000).startswith(b"WATCHDOG=1"))


class UnitTests(SynchronousTestCase):
    """The shipped unit."""

    def test_asks_for_what_we_tell(self) -> None:
        """systemd waits for READY and for signs of life."""
        unit = (CHECKOUT / "etc/systemd/launcelot.service").read_text()
        self.assertIn("\nType=notify\n", unit)
        self.assertRegex(unit, r"\nWatchdogSec=\d+\n")
