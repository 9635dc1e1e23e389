"""
Checks an installation made from the wheel, from a folder that is not the checkout.

Run by ``.ci/run`` as ``python tests/installed.py VENV/bin SCRATCH``: ``twistd --help`` lists the plugins, each ``--help`` is
useful, and ``twistd -n launcelot`` starts, answers Sir Launcelot's question and stops on SIGTERM.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

PLUGINS = tuple(f"launcelot{which}" for which in ("", "-questions", "-smtp", "-imap", "-pop3", "-ftp", "-book"))


def output(command: list[str], cwd: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_help(programs: Path, scratch: Path) -> None:
    """twistd lists every plugin, and each explains itself."""
    listed = output([str(programs / "twistd"), "--help"], scratch)
    for plugin in PLUGINS:
        if f"    {plugin} " not in listed:
            sys.exit(f"twistd --help does not list {plugin}:\n{listed}")
        words = output([str(programs / "twistd"), plugin, "--help"], scratch)
        if "--config" not in words:
            sys.exit(f"twistd {plugin} --help does not explain --config:\n{words}")
    if "demo" not in output([str(programs / "launcelot"), "--help"], scratch):
        sys.exit("launcelot --help does not list demo")


def check_start(programs: Path, scratch: Path) -> None:
    """The daemon starts from the wheel, answers, and stops."""
    daemon = subprocess.Popen(
        [str(programs / "twistd"), "-n", "--pidfile=", "launcelot", "--data", str(scratch / "data")],
        cwd=scratch,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    said: list[str] = []
    try:
        for line in daemon.stdout or ():
            said.append(line)
            if "questions" in line and "1060" in line:
                break
        else:
            sys.exit("twistd -n launcelot ended:\n" + "".join(said))
        with socket.create_connection(("127.0.0.1", 1060), timeout=60) as asking:
            asking.sendall(b"What is your quest?")
            answer = asking.recv(100)
        if answer != b"To seek the Holy Grail.":
            sys.exit(f"Sir Launcelot said {answer!r}")
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
    finally:
        daemon.kill()
        daemon.wait()
    print("the wheel works: plugins listed, daemon started, question answered, stopped")


if __name__ == "__main__":
    check_help(Path(sys.argv[1]), Path(sys.argv[2]))
    check_start(Path(sys.argv[1]), Path(sys.argv[2]))
