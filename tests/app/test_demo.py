"""``launcelot demo`` as a process of its own."""

from __future__ import annotations

import ftplib
import imaplib
import json
import os
import poplib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from launcelot.app.catalogue import SERVICES
from launcelot.app.demo import demo_configuration
from launcelot.app.seeds import FILES, MESSAGES, PEOPLE
from tests.app.programs import COMMAND, LIMIT, ProgramCase

STOPS_WITHIN = 2.0
"""Seconds in which it stops; on a busy machine it has several tries."""
TRIES = 5


class DemoTests(ProgramCase):
    """What programs rely on."""

    def demo(self, *options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """A demo on free ports that has told what listens."""
        process = self.start(*COMMAND, "demo", "--ports", "free", "--json", *options)
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            self.fail(f"no line: {process.communicate()}")
        told: dict[str, Any] = json.loads(line)
        return process, told

    def stop(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> float:
        """Stop it; how many seconds that took.  Nothing else may have been printed, and no traceback logged."""
        began = time.monotonic()
        process.send_signal(number)
        output, errors = process.communicate(timeout=LIMIT)
        took = time.monotonic() - began
        self.assertEqual(0, process.returncode, errors)
        self.assertEqual("", output)
        self.assertNotIn("Traceback", errors)
        return took

    def imap(self, told: dict[str, Any], user: str = "brandon") -> imaplib.IMAP4_SSL:
        """A session inside verified TLS with the inbox selected."""
        place = told["services"]["imaps"]
        context = ssl.create_default_context(cafile=told["ca_file"])
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        session = imaplib.IMAP4_SSL(place["host"], place["port"], ssl_context=context)
        self.addCleanup(self.hang_up, session)
        password = next(one["password"] for one in told["accounts"] if one["user"] == user)
        session.login(user, password)
        session.select()
        return session

    def hang_up(self, session: imaplib.IMAP4_SSL) -> None:
        """Close without a word."""
        session.shutdown()

    def sizes(self, told: dict[str, Any]) -> list[int]:
        """Octets of the messages in brandon's inbox."""
        _, answers = self.imap(told).fetch("1:*", "(RFC822.SIZE)")
        return [int(one.split()[-1].rstrip(b")")) for one in answers if isinstance(one, bytes)]

    def test_sigterm_before_anything_listens(self) -> None:
        """The folder goes even if the reactor is not there yet: here it ends while it is asked for."""
        code = (
            "import os, signal, sys; from launcelot.app import command, demo\n"
            "demo.take_reactor = lambda: os.kill(os.getpid(), signal.SIGTERM)\n"
            "sys.exit(command.main(['demo', '--ports', 'free', '--json']))"
        )
        process = self.start(sys.executable, "-c", code)
        self.assertEqual(("", ""), process.communicate(timeout=LIMIT))
        self.assertEqual(128 + signal.SIGTERM, process.returncode)
        self.assertEqual([], list(self.folder.glob("launcelot-demo-*")))

    def test_the_promised_object(self) -> None:
        """Its keys, its accounts, every service, and everything listens when it is printed."""
        process, told = self.demo()
        self.assertEqual({"accounts", "services", "ca_file", "data", "pid"}, set(told))
        self.assertEqual(process.pid, told["pid"])
        self.assertEqual(
            [{"user": p.name, "address": f"{p.name}@example.com", "password": p.password} for p in PEOPLE],
            [{key: one[key] for key in ("user", "address", "password")} for one in told["accounts"]],
        )
        places = {name: place for entry in SERVICES.values() for name, place in entry.places.items()}
        self.assertEqual({name for name, place in places.items() if not place.profile}, set(told["services"]))
        for name, place in told["services"].items():
            self.assertIn(place["tls"], ("none", "starttls", "implicit"), name)
            if not name.endswith("-udp"):
                socket.create_connection((place["host"], place["port"]), timeout=LIMIT).close()
        self.assertEqual("implicit", told["services"]["imaps"]["tls"])
        self.assertEqual("starttls", told["services"]["imap"]["tls"])
        self.assertEqual("none", told["services"]["questions"]["tls"])
        self.assertEqual("none", told["services"]["questions-udp"]["tls"])

    def test_the_books_profile(self) -> None:
        """The small machines listen, too, and do what the book says."""
        _, told = self.demo("--profile", "book")
        places = {name for entry in SERVICES.values() for name in entry.places}
        self.assertEqual(places, set(told["services"]))
        where = {name: (place["host"], place["port"]) for name, place in told["services"].items()}
        with socket.create_connection(where["book-sixteen"], timeout=LIMIT) as peer:
            peer.sendall(b"Hi there, server")
            self.assertEqual(b"Farewell, client", peer.recv(100))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(LIMIT)
            peer.sendto(b"This is another message", where["book-length-udp"])
            self.assertEqual(b"Your data was 23 bytes long", peer.recv(100))
        context = ssl.create_default_context(cafile=told["ca_file"])
        with socket.create_connection(where["book-greeting"], timeout=LIMIT) as below:
            with context.wrap_socket(below, server_hostname="localhost") as peer:
                self.assertEqual(b"Simple is better than complex.", peer.recv(100))
                self.assertEqual(b"", peer.recv(100))

    def test_the_books_ports(self) -> None:
        """Every port once, the machines' as the book suggests them."""
        for ports in ("default", "book"):
            configuration = demo_configuration(self.folder, ports, "book")
            endpoints = [
                endpoint
                for name, entry in SERVICES.items()
                for place in entry.places.values()
                for endpoint in getattr(configuration.services[name], place.setting)
            ]
            self.assertEqual(len(endpoints), len(set(endpoints)))
            for expected in ("tcp:1063", "tcp:1064", "tcp:1065", "tcp:1066", "tcp:1067", "udp:1060"):
                self.assertIn(f"{expected}:interface=127.0.0.1", endpoints)
            self.assertEqual(configuration.services["book"].listen_length, ("udp:1060:interface=127.0.0.1",))

    def test_stops_within_two_seconds_and_removes_its_folder(self) -> None:
        """With sessions open that never say goodbye."""
        took: list[float] = []
        while not took or min(took) > STOPS_WITHIN and len(took) < TRIES:
            process, told = self.demo()
            self.imap(told)
            ftp = socket.create_connection((told["services"]["ftp"]["host"], told["services"]["ftp"]["port"]), timeout=LIMIT)
            self.addCleanup(ftp.close)
            data = Path(told["data"])
            self.assertTrue(data.is_dir())
            took.append(self.stop(process))
            self.assertFalse(data.exists())
        self.assertLess(min(took), STOPS_WITHIN, took)

    def test_stops_on_interrupt(self) -> None:
        """Control-C is as good."""
        process, told = self.demo()
        self.stop(process, signal.SIGINT)
        self.assertFalse(Path(told["data"]).exists())

    def test_data_is_private(self) -> None:
        """The folder is 0700, keys and databases are 0600."""
        _, told = self.demo()
        data = Path(told["data"])
        self.assertEqual(0o700, data.stat().st_mode & 0o777)
        for name in ("tls/ca.key", "tls/server.key", "accounts.sqlite", "spool.sqlite", "admin.sock", "lock"):
            self.assertEqual(0o600, (data / name).stat().st_mode & 0o777, name)

    def test_seeds(self) -> None:
        """Mail octet for octet over IMAP and POP3, files over FTP."""
        _, told = self.demo()
        self.assertEqual([354, 442, 1175], self.sizes(told))
        place = told["services"]["pop3"]
        pop3 = poplib.POP3(place["host"], place["port"], timeout=LIMIT)
        self.addCleanup(pop3.close)
        pop3.user("brandon")
        pop3.pass_(PEOPLE[0].password)
        for number, message in enumerate(MESSAGES.values(), 1):
            self.assertEqual(message, b"\r\n".join(pop3.retr(number)[1]) + b"\r\n")
        place = told["services"]["ftp"]
        with ftplib.FTP() as ftp:
            ftp.connect(place["host"], place["port"], timeout=LIMIT)
            for person in PEOPLE:
                ftp.login(person.name, person.password)
                for path, data in FILES.items():
                    heard: list[bytes] = []
                    ftp.retrbinary("RETR " + "/".join(path), heard.append)
                    self.assertEqual(data, b"".join(heard), path)

    def test_killed_demo_starts_again(self) -> None:
        """On a named folder: the accounts and the mail there are, no seed twice, the same authority."""
        folder = self.folder / "kept"
        process, told = self.demo("--data", str(folder))
        place = told["services"]["submission"]
        with smtplib.SMTP(place["host"], place["port"], timeout=LIMIT) as smtp:
            smtp.starttls(context=ssl.create_default_context(cafile=told["ca_file"]))
            smtp.login("ann", PEOPLE[1].password)
            smtp.sendmail("ann@example.com", ["brandon@example.com"], "From: ann@example.com\r\n\r\nkept\r\n")
        authority = Path(told["ca_file"]).read_bytes()
        process.kill()
        process.wait()
        process, again = self.demo("--data", str(folder))
        self.assertEqual(told["accounts"], again["accounts"])
        self.assertEqual([354, 442, 1175], self.sizes(again)[:3])
        self.assertEqual(4, len(self.sizes(again)))
        self.assertEqual(authority, Path(again["ca_file"]).read_bytes())
        self.stop(process)
        self.assertTrue(folder.is_dir())

    def test_second_daemon_on_the_folder_is_refused(self) -> None:
        """In one line that names the process, with exit code 69."""
        folder = self.folder / "kept"
        process, _ = self.demo("--data", str(folder))
        done = self.run_program(*COMMAND, "demo", "--ports", "free", "--json", "--data", str(folder))
        self.assertEqual(69, done.returncode)
        self.assertEqual("", done.stdout)
        last = done.stderr.splitlines()[-1]
        self.assertEqual(
            f"launcelot: {folder}: in use by process {process.pid}; stop it, or choose another folder with --data", last
        )

    def test_somebodys_own_folder_is_refused(self) -> None:
        """Accounts with known passwords are never made in a folder that no demo made."""
        (self.folder / "own").mkdir()
        (self.folder / "own" / "accounts.sqlite").touch()
        done = self.run_program(*COMMAND, "demo", "--ports", "free", "--json", "--data", str(self.folder / "own"))
        self.assertEqual(73, done.returncode)
        self.assertIn("not empty, and not made by launcelot demo", done.stderr)
        self.assertEqual(["accounts.sqlite"], os.listdir(self.folder / "own"))

    def test_long_path(self) -> None:
        """The admin socket works in a folder whose path does not fit into a socket's address."""
        folder = self.folder / ("deep" * 20) / ("deeper" * 20)
        _, told = self.demo("--data", str(folder))
        done = self.launcelot("status", "--json", "--data", str(folder))
        self.assertEqual(told["pid"], json.loads(done.stdout)["pid"])

    def test_many_clients_from_one_place(self) -> None:
        """All clients of a demo come from 127.0.0.1, and there may be many."""
        _, told = self.demo()
        place = told["services"]["pop3"]
        for _ in range(120):
            peer = socket.create_connection((place["host"], place["port"]), timeout=LIMIT)
            self.addCleanup(peer.close)
            self.assertTrue(peer.recv(100).startswith(b"+OK"))

    def try_lines(self, lines: list[str]) -> None:
        """Lines to copy do what they say, as far as their programs are here and need no terminal."""
        for line in lines:
            name = line.split()[0]
            if name != "mutt" and (name == "python3" or shutil.which(name)):
                done = self.run_program("sh", "-c", line)
                self.assertEqual(0, done.returncode, f"{line}\n{done.stdout}{done.stderr}")
                for said, expected in (("imaplib", "Subject: "), ("socket", "To seek the Holy Grail."), ("lftp", "welcome")):
                    if said in line:
                        self.assertIn(expected, done.stdout)

    def test_words_for_people(self) -> None:
        """Without --json there are URLs, accounts and lines to copy, and the log is a file."""
        process = self.start(*COMMAND, "demo", "--ports", "free")
        lines: list[str] = []
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("Stop with"):
                break
        text = "".join(lines)
        for expected in ("imaps://127.0.0.1:", "ftp://127.0.0.1:", "brandon <brandon@example.com>", "swaks ", "curl ", "lftp "):
            self.assertIn(expected, text)
        log = Path(next(line.split()[1] for line in lines if line.startswith("  log ")))
        self.assertIn("serves", log.read_text())
        self.try_lines([line.strip() for line in lines[lines.index("Send and read:\n") + 1 :] if line.startswith("  ")])
        self.assertNotIn("Traceback", log.read_text())
        process.terminate()
        output, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(("", "", 0), (output, errors, process.returncode))
