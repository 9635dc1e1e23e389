"""
A child process whose calls of the system are seen before they happen, and may fail, wait, or be the last thing it does.

The kernel's own means: a seccomp filter in the child hands chosen calls to us (seccomp_unotify(2), Linux 5.5 and later), so no
other program, no privileges and no tracing are needed, and the n-th call is the n-th of all threads together.  Numbers of calls
are those of x86-64.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CALLS: Mapping[int, str] = {
    1: "write", 18: "pwrite64", 20: "writev", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate", 82: "rename",
    87: "unlink", 257: "openat", 263: "unlinkat", 264: "renameat", 285: "fallocate", 316: "renameat2",
}  # fmt: skip
"""Those that change files."""

BY_DESCRIPTOR = frozenset({"write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "fallocate"})
CREATES = os.O_CREAT | os.O_WRONLY | os.O_RDWR

_SECCOMP, _SET_FILTER, _NEW_LISTENER = 317, 1, 8
_NO_NEW_PRIVILEGES = 38
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_RECEIVED = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Call:
    """
    A call that is about to happen.

    :ivar number: from 1, of those in the folder.
    :ivar path: what it is about; empty where that is not known.
    """

    number: int
    name: str
    path: str


Decide = Callable[[Call], int | None]
"""None lets it happen, an errno has it fail, and :data:`KILL` is the end of the process before it."""

KILL = -1


def reason_not() -> str:
    """Why it cannot be done here; empty if it can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "needs Linux on x86-64"
    pid, listener = _started(lambda: None)
    if listener >= 0:
        os.close(listener)
    os.waitpid(pid, 0)
    return "" if listener >= 0 else "the kernel does not hand calls to us (seccomp_unotify)"


class Warden:
    """
    Runs a child.

    :param folder: calls about anything else are let through, uncounted.
    """

    def __init__(self, folder: Path, work: Callable[[], None], decide: Decide) -> None:
        self._folder = f"{folder}/"
        self._decide = decide
        self.counted = 0
        self.seen: list[str] = []
        self.pid, self._listener = _started(work)
        if self._listener < 0:
            raise OSError(errno.ENOSYS, "seccomp_unotify")
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait(self) -> int:
        """Until it has ended; its status as of waitpid(2)."""
        _, status = os.waitpid(self.pid, 0)
        self._thread.join(30)
        os.close(self._listener)
        return status

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while True:
            ((_, events),) = poll.poll()
            if not events & select.POLLIN:
                return
            data = bytearray(_RECEIVED.size)
            try:
                fcntl.ioctl(self._listener, _RECEIVE, data)
            except OSError:
                # It has been killed meanwhile.
                continue
            id, pid, _, call, _, _, *arguments = _RECEIVED.unpack(data)
            self._answer(id, self._verdict(pid, CALLS[call], arguments))

    def _verdict(self, pid: int, name: str, arguments: list[int]) -> int | None:
        path = self._path(pid, name, arguments)
        if not path.startswith(self._folder) or (name == "openat" and not arguments[2] & CREATES):
            return None
        self.counted += 1
        self.seen.append(name)
        return self._decide(Call(self.counted, name, path))

    def _path(self, pid: int, name: str, arguments: list[int]) -> str:
        try:
            if name in BY_DESCRIPTOR:
                return os.readlink(f"/proc/{pid}/fd/{arguments[0] & 0xFFFFFFFF}")
            place = arguments[1] if name.endswith("at") else arguments[0] if not name.startswith("renameat") else arguments[1]
            with open(f"/proc/{pid}/mem", "rb", 0) as memory:
                memory.seek(place)
                return memory.read(4_096).split(b"\0", 1)[0].decode(errors="replace")
        except OSError:
            return ""

    def _answer(self, id: int, verdict: int | None) -> None:
        if verdict == KILL:
            os.kill(self.pid, signal.SIGKILL)
            return
        answer = _ANSWER.pack(id, 0, -(verdict or 0), _CONTINUE if verdict is None else 0)
        try:
            fcntl.ioctl(self._listener, _SEND, bytearray(answer))
        except OSError:
            # It has been killed meanwhile.
            return


def _started(work: Callable[[], None]) -> tuple[int, int]:
    """A child in which ``work`` runs, and what its calls come by; -1 where the kernel does not do that."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            listener = _filter()
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))
            theirs.sendmsg([b"x"], [rights] if listener >= 0 else [])
            theirs.close()
            if listener >= 0:
                os.close(listener)
                work()
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    return pid, array.array("i", ancillary[0][2])[0] if ancillary else -1


def _filter() -> int:
    """Hand these calls to whoever has the descriptor that this returns; -1 if it cannot be done."""
    steps = [(0x20, 0, 0, 0)]
    for place, call in enumerate(CALLS):
        steps.append((0x15, len(CALLS) - place, 0, call))
    steps += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _NOTIFY)]
    program = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HxxxxxxQ", len(steps), ctypes.addressof(buffer))
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return -1
    found: int = libc.syscall(_SECCOMP, _SET_FILTER, _NEW_LISTENER, ctypes.c_char_p(header))
    return found
