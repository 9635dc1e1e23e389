"""
Checks a guest's distribution, installed from its wheel beside Launcelot's: the sample of ``docs/writing-a-service.rst``.

Run by ``.ci/run`` as ``python tests/guest.py VENV/bin SCRATCH``, with the example's tests' needs installed there.  It runs every
command of that page: the guest's tests, its plugin, and the whole daemon that serves it beside the questions, by itself and with
two workers.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.docs.guide import EXAMPLE, configuration, pieces

LIMIT = 60
"""Seconds for anything."""


class Place:
    """
    An environment with Launcelot, and a folder to work in that is home, too.

    :param programs: the environment's ``bin``.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        self.environment = {**os.environ, "HOME": str(folder), "PYTHONUNBUFFERED": "1"}
        for name in ("XDG_DATA_HOME", "PYTHONPATH", "JOURNAL_STREAM"):
            self.environment.pop(name, None)

    def words(self, command: str) -> list[str]:
        """A command with its program's whole path."""
        program, *arguments = shlex.split(command)
        return [str(self.programs / program), *arguments]

    def run(self, command: str, *expected: str) -> str:
        """Run a command that must succeed and say certain things; what it says."""
        done = subprocess.run(
            self.words(command), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=LIMIT
        )
        said = done.stdout + done.stderr
        missing = [words for words in expected if words not in said]
        if done.returncode or missing or "Traceback" in said:
            sys.exit(f"{command}: exit {done.returncode}, without {missing}\n{said}")
        return said

    @contextmanager
    def daemon(self, command: str, until: str) -> Iterator[str]:
        """A daemon while it runs: what it said up to a line that it must say; it must stop in order."""
        process = subprocess.Popen(
            self.words(command),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ""
        impatience = Timer(LIMIT, process.kill)
        impatience.start()
        try:
            for line in process.stdout or ():
                said += line
                if re.search(until, line):
                    break
            else:
                sys.exit(f"{command} ended:\n{said}")
            yield said
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=LIMIT)
            if process.returncode not in (0, -signal.SIGTERM) or "Traceback" in said + rest:
                sys.exit(f"{command}: exit {process.returncode}\n{said}{rest}")
        finally:
            impatience.cancel()
            process.kill()
            process.wait()


def converse(*lines: tuple[str, str], port: int = 7117) -> None:
    """Say lines to the guestbook, or nothing; each has to be answered by a line that fits."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as peer, peer.makefile("rwb") as stream:
        stream.readline()
        for said, expected in lines:
            if said:
                stream.write(said.encode() + b"\r\n")
                stream.flush()
            heard = stream.readline().decode().rstrip()
            if not re.fullmatch(expected, heard):
                sys.exit(f"the guestbook answered {said[:5]!r} with {heard!r}, not {expected!r}")


def install(place: Place) -> None:
    """As a reader of the page does, who types what it shows into an empty folder; and the tests, of which it shows some."""
    files: dict[str, list[str]] = {"README.rst": [""], "launcelot_guestbook/py.typed": [""]}
    for name, block in pieces():
        files.setdefault(name, []).append(block)
    for name, blocks in files.items():
        path = place.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n\n".join(blocks) + "\n")
    shutil.copytree(EXAMPLE / "launcelot_guestbook" / "test", place.folder / "launcelot_guestbook" / "test", dirs_exist_ok=True)
    place.run("pip install .")


def check_tests(place: Place) -> None:
    """The guest's own tests, from the wheel."""
    for made in ("launcelot_guestbook", "build"):
        shutil.rmtree(place.folder / made)
    place.run("trial launcelot_guestbook", "PASSED")
    place.run("pytest --pyargs launcelot_guestbook", " passed")


def check_plugin(place: Place) -> str:
    """The guest by itself; the password of the first account."""
    place.run("twistd --help", "launcelot-guestbook")
    place.run("twistd launcelot-guestbook --help", "--guestbook=", "--guestbook-tls=")
    with place.daemon("twistd -n launcelot-guestbook", r"^First account") as said:
        found = re.search(r"First account (\S+) <.*>, password (\S+) \(", said)
        if found is None or "tcp://127.0.0.1:7117" not in said or "imap" in said:
            sys.exit(f"the guestbook by itself said\n{said}")
        login = f"LOGIN {found[1]} {found[2]}"
        converse((login, "OK welcome, .*"), ("WRITE I was here.", "OK 1 written"))
    return login


def check_beside(place: Place, login: str) -> None:
    """The guest beside everything else, with what it kept; then with two workers."""
    (place.folder / "launcelot.toml").write_text(configuration())
    place.run("launcelot config example", "#[guestbook]", "#max_note = 1000", "launcelot-guestbook 0.1.0")
    place.run("launcelot check launcelot.toml", "launcelot.toml: right")
    with place.daemon("twistd -n launcelot --config launcelot.toml", r"^  data ") as said:
        if "guestbook" not in said:
            sys.exit(f"the daemon does not tell of the guestbook:\n{said}")
        with socket.create_connection(("127.0.0.1", 1060), timeout=LIMIT) as asking:
            asking.sendall(b"What is your quest?")
            if asking.recv(100) != b"To seek the Holy Grail.":
                sys.exit("the questions beside the guestbook are not answered")
        converse((login, "OK .*"), ("READ", r"\* 1 \S+ \S+ I was here\."), ("", "OK 1 notes"))
        converse((login, "OK .*"), ("WRITE " + 501 * "x", "NO a note has at most 500 octets"))
        place.run("launcelot status --config launcelot.toml", "127.0.0.1:7117", "guestbook.notes.read", "logins.guestbook")
        changed = configuration().replace("max_note = 500", "max_note = 501")
        (place.folder / "launcelot.toml").write_text(changed)
        place.run("launcelot reload --config launcelot.toml", "new settings for guestbook")
        converse((login, "OK .*"), ("WRITE " + 501 * "x", "OK 2 written"))
    with place.daemon("twistd -n launcelot --config launcelot.toml --workers 2", r"^  data "):
        for number in range(3, 9):
            converse((login, "OK .*"), (f"WRITE note {number}", f"OK {number} written"))
        (place.folder / "launcelot.toml").write_text(configuration())
        place.run("launcelot reload --config launcelot.toml", "new settings for guestbook")
        converse((login, "OK .*"), ("WRITE " + 501 * "x", "NO a note has at most 500 octets"))


if __name__ == "__main__":
    here = Path(sys.argv[2]) / "guest"
    here.mkdir()
    place = Place(Path(sys.argv[1]).absolute(), here)
    install(place)
    check_tests(place)
    check_beside(place, check_plugin(place))
    print("the guest works: installed, tested, served by itself, beside the others and by workers")
