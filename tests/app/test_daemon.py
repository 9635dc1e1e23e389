"""The daemon under twistd and under ``launcelot run``, as processes of their own."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any, BinaryIO

from launcelot.app.catalogue import SERVICES
from launcelot.app.errors import UNAVAILABLE
from launcelot.app.tap import DaemonOptions, book
from tests.app.programs import COMMAND, LIMIT, TWISTD, ProgramCase

FREE = [
    f"--{name}=tcp:0:interface=127.0.0.1"
    for entry in SERVICES.values()
    for name, place in entry.places.items()
    if place.usual
]
"""Options that have every listener of the default run choose a free port."""


class DaemonCase(ProgramCase):
    """Starts daemons on a data folder of the test's own."""

    def setUp(self) -> None:
        """Name the folder."""
        super().setUp()
        self.data = self.folder / "data"

    def twistd(self, *options: str, plugin: str = "launcelot", ports: tuple[str, ...] = tuple(FREE)) -> tuple[str, ...]:
        """The command of a daemon under twistd."""
        return (*TWISTD, "-n", "--pidfile=", plugin, "--data", str(self.data), *ports, *options)

    def running(self, *command: str, **options: Any) -> tuple[subprocess.Popen[str], str]:
        """A daemon that has told what listens, and what it said."""
        process = self.start(*command, **options)
        said = ""
        for line in process.stdout or ():
            said += line
            if line.startswith("  data "):
                return process, said
        output, errors = process.communicate()
        raise AssertionError(f"ended with {process.returncode}:\n{said}{output}{errors}")

    def refused(self, *command: str, status: int) -> str:
        """The one line that a daemon says instead of starting; before any port is bound, unless it is about one."""
        done = self.run_program(*command)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stdout + done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("launcelot: ")]
        self.assertEqual(1, len(lines), done.stderr)
        if status != UNAVAILABLE:
            self.assertNotIn(" starting on ", done.stdout + done.stderr)
        return lines[0].removeprefix("launcelot: ")

    def ask(self, *words: str) -> dict[str, Any]:
        """What a command of the running daemon answers."""
        done = self.launcelot(*words, "--json", "--data", str(self.data), said="secret\n")
        self.assertEqual(0, done.returncode, done.stderr)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def port(self, name: str) -> int:
        """Where a service of the running daemon listens."""
        return next(int(one["port"]) for one in self.ask("status")["listeners"] if one["name"] == name)

    def connect(self, name: str) -> socket.socket:
        """A connection to a service of the running daemon."""
        return socket.create_connection(("127.0.0.1", self.port(name)), timeout=LIMIT)


class DefaultRunTests(DaemonCase):
    """What a newcomer sees."""

    def test_table_and_first_account(self) -> None:
        """URLs of everything on loopback, an account with a password that works, lines to copy; all of it only once."""
        process = self.start(*self.twistd())
        said = ""
        for line in process.stdout or ():
            said += line
            if "What is your quest?" in line:
                break
        for name in ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "ftp", "ftps", "questions"):
            self.assertRegex(said, rf"(?m)^  {name} +[a-z0-9]+://127\.0\.0\.1:\d+")
        found = re.search(r"First account (\S+) <(\S+)>, password (\S+) \(shown this once\)", said)
        assert found is not None
        self.assertEqual(f"{found[1]}@localhost", found[2])
        self.assertIn(f"'{found[1]}:{found[3]}'", said)
        with self.connect("pop3") as peer, peer.makefile("rwb") as answers:
            answers.readline()
            answers.write(f"USER {found[1]}\r\nPASS {found[3]}\r\n".encode())
            answers.flush()
            self.assertTrue(answers.readline().startswith(b"+OK"))
            self.assertTrue(answers.readline().startswith(b"+OK"))
        process.terminate()
        process.communicate(timeout=LIMIT)
        _, again = self.running(*self.twistd())
        self.assertNotIn("password", again)

    def test_journal_never_sees_the_password(self) -> None:
        """Under systemd the table is kept; a password must not be."""
        process = self.start("env", "JOURNAL_STREAM=8:1", *self.twistd())
        said = ""
        for line in process.stdout or ():
            said += line
            if "First account" in line:
                break
        self.assertIn("launcelot account passwd", said)
        self.assertNotIn("shown", said)

    def test_stops_on_sigterm(self) -> None:
        """And says goodbye to who is connected."""
        process, _ = self.running(*self.twistd())
        with self.connect("smtp") as peer, peer.makefile("rb") as answers:
            answers.readline()
            process.terminate()
            self.assertTrue(answers.readline().startswith(b"421 "))
        output, errors = process.communicate(timeout=LIMIT)
        self.assertNotIn("Traceback", output + errors)
        self.assertFalse((self.data / "admin.sock").exists())

    def test_run_does_the_same(self) -> None:
        """``launcelot run`` needs no plugins; its exit code is 0."""
        process, said = self.running(*COMMAND, "run", "--data", str(self.data), *FREE)
        self.assertIn("imaps://127.0.0.1:", said)
        self.assertEqual(process.pid, self.ask("status")["pid"])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(0, process.returncode, errors)

    def test_one_service_alone(self) -> None:
        """A plugin of one service runs nothing else."""
        _, said = self.running(
            *self.twistd(plugin="launcelot-questions", ports=("--questions", "tcp:0:interface=127.0.0.1"))
        )
        self.assertEqual(1, said.count("://"))
        with self.connect("questions") as peer:
            peer.sendall(b"What is your quest?")
            self.assertEqual(b"To seek the Holy Grail.", peer.recv(100))

    def test_repeated_endpoints(self) -> None:
        """An option that names an endpoint may be given again."""
        endpoint = "tcp:0:interface=127.0.0.1"
        _, said = self.running(
            *self.twistd(plugin="launcelot-questions", ports=("--questions", endpoint, "--questions", endpoint))
        )
        self.assertEqual(2, said.count("://"))

    def test_other_kinds_of_endpoints(self) -> None:
        """A Unix socket and IPv6 are served, shown and asked about like the rest."""
        path = self.folder / "q.sock"
        _, said = self.running(
            *self.twistd(
                plugin="launcelot-questions",
                ports=("--questions", f"unix:{path}", "--questions", "tcp6:0:interface=\\:\\:1"),
            )
        )
        self.assertIn(f"unix:{path}\n", said)
        self.assertIn("tcp://[::1]:", said)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(LIMIT)
            peer.connect(str(path))
            peer.sendall(b"What is your quest?")
            self.assertEqual(b"To seek the Holy Grail.", peer.recv(100))
        self.assertEqual([str(path), "::1"], [one["host"] for one in self.ask("status")["listeners"]])
        self.assertIn(" [::1]:", self.launcelot("status", "--data", str(self.data)).stdout)

    def test_other_checkers(self) -> None:
        """--auth names who is asked about passwords, in Twisted's syntax."""
        self.ask("account", "add", "ann")
        self.running(*self.twistd("--auth", "memory:ann:other"))
        with self.connect("pop3") as peer, peer.makefile("rwb") as answers:
            answers.write(b"USER ann\r\nPASS other\r\nQUIT\r\n")
            answers.flush()
            self.assertEqual([b"+OK"] * 4, [answers.readline()[:3] for _ in range(4)])


class RefusalTests(DaemonCase):
    """Everything that keeps a daemon from starting: one line, an exit code, no traceback."""

    def taken(self) -> int:
        """A port somebody listens on."""
        holder = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        port: int = holder.getsockname()[1]
        return port

    def test_port_in_use(self) -> None:
        """69, with the service, the port and what to do."""
        port = self.taken()
        ports = ("--questions", f"tcp:{port}:interface=127.0.0.1")
        for command in (
            self.twistd(plugin="launcelot-questions", ports=ports),
            (*COMMAND, "run", "--data", str(self.data), *FREE, *ports),
        ):
            line = self.refused(*command, status=69)
            self.assertEqual(
                f"questions: cannot listen on 127.0.0.1:{port}: Address already in use;"
                " stop what listens there, or choose another port",
                line,
            )

    def test_folder_that_cannot_be_made(self) -> None:
        """73; a file stands in the way, because root may write everywhere else."""
        (self.folder / "file").touch()
        self.data = self.folder / "file" / "data"
        for command in (self.twistd(), (*COMMAND, "run", "--data", str(self.data), *FREE)):
            line = self.refused(*command, status=73)
            self.assertEqual(
                f"{self.data}: cannot write: Not a directory; choose a folder you own with --data, or mend its permissions",
                line,
            )

    def test_folder_of_somebody_else(self) -> None:
        """73 for a user who may not write there."""
        if os.geteuid() != 0:
            line = self.refused(*self.twistd("--data", "/proc/1"), status=73)
        else:
            self.data.mkdir()
            self.folder.chmod(0o755)
            line = self.refused(
                "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *self.twistd(), status=73
            )
        self.assertIn("cannot write: ", line)

    def test_second_daemon(self) -> None:
        """69, naming the process that has the folder."""
        process, _ = self.running(*self.twistd())
        line = self.refused(*self.twistd(), status=69)
        self.assertEqual(
            f"{self.data}: in use by process {process.pid}; stop it, or choose another folder with --data", line
        )

    def test_wrong_configuration(self) -> None:
        """78 before anything is made."""
        config = self.folder / "x.toml"
        config.write_text("config_version = 1\n[daemon]\nx = 1\n")
        for command in (self.twistd("--config", str(config)), (*COMMAND, "run", "--config", str(config))):
            self.assertEqual(f"{config}:3: daemon.x: unknown key 'x'", self.refused(*command, status=78))
        self.assertFalse(self.data.exists())

    def test_wrong_certificate(self) -> None:
        """78 with file and cause."""
        config = self.folder / "x.toml"
        pem = self.folder / "c.pem"
        pem.write_text("junk")
        config.write_text(f'config_version = 1\n[tls]\ncertificate = "{pem}"\nkey = "{pem}"\n')
        run = (*COMMAND, "run", "--data", str(self.data), *FREE)
        for command in (self.twistd("--config", str(config)), (*run, "--config", str(config))):
            line = self.refused(*command, status=78)
            self.assertTrue(line.startswith(f"{pem}: not a PEM certificate"), line)

    def test_damaged_store(self) -> None:
        """73 although the reactor runs already when it is found."""
        self.data.mkdir()
        (self.data / "accounts.sqlite").write_bytes(b"not a database at all" * 1000)
        for command in (self.twistd(), (*COMMAND, "run", "--data", str(self.data), *FREE)):
            done = self.run_program(*command)
            self.assertEqual(73, done.returncode, done.stderr)
            lines = [line for line in done.stderr.splitlines() if line.startswith("launcelot: ")]
            self.assertEqual([f"launcelot: {self.data}: storage is not available; the log says more"], lines)

    def test_wrong_endpoint(self) -> None:
        """Wrong use is said as twistd says it; ``launcelot run`` ends with 64."""
        line = self.refused(*COMMAND, "run", "--imap", "nonsense", status=64)
        self.assertIn("is not an endpoint", line)

    def test_in_the_background(self) -> None:
        """Without -n the cause reaches the terminal through twistd's parent process, too."""
        port = self.taken()
        done = self.run_program(
            *TWISTD, f"--pidfile={self.folder}/pid", f"--logfile={self.folder}/log", f"--rundir={self.folder}",
            "launcelot-questions", "--data", str(self.data), "--questions", f"tcp:{port}:interface=127.0.0.1",
        )  # fmt: skip
        self.assertNotEqual(0, done.returncode)
        self.assertIn("cannot listen on 127.0.0.1", done.stderr)


class AdminTests(DaemonCase):
    """The running daemon is asked and told."""

    def test_status(self) -> None:
        """Listeners, connections, counters, uptime, version."""
        process, _ = self.running(*self.twistd())
        with self.connect("pop3") as peer:
            peer.recv(100)
            told = self.ask("status")
        self.assertEqual((process.pid, str(self.data)), (told["pid"], told["data"]))
        self.assertGreaterEqual(told["uptime"], 0)
        self.assertEqual(1, told["connections"]["pop3"])
        self.assertEqual(1, told["counters"]["pop3.connections"])
        self.assertEqual(0, told["spool"])
        self.assertIn("imaps", {one["name"] for one in told["listeners"] if one["tls"] == "implicit"})
        done = self.launcelot("status", "--data", str(self.data))
        self.assertIn(f"process {process.pid}", done.stdout)

    def test_socket_is_private(self) -> None:
        """Only the daemon's own user can ask."""
        self.running(*self.twistd())
        self.assertEqual(0o600, stat.S_IMODE((self.data / "admin.sock").stat().st_mode))

    def test_nonsense_at_the_socket(self) -> None:
        """Answered, or hung up on; the daemon goes on."""
        process, _ = self.running(*self.twistd())
        for said in (b"\n", b"[]\n", b'{"ask": []}\n', b"\xff\n", b'{"ask": "forget", "account": "../x"}\n'):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(LIMIT)
                peer.connect(str(self.data / "admin.sock"))
                peer.sendall(said)
                self.assertIn("error", json.loads(peer.makefile().readline()), said)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(LIMIT)
            peer.connect(str(self.data / "admin.sock"))
            peer.sendall(b"x" * 10_000)
            try:
                self.assertEqual(b"", peer.recv(100))
            except ConnectionResetError:
                pass
        self.assertEqual(process.pid, self.ask("status")["pid"])

    def test_accounts_of_a_running_daemon(self) -> None:
        """Added, changed and removed accounts count at once; mail and files go with the account."""
        self.running(*self.twistd())
        port = self.port("pop3")
        self.ask("account", "add", "ann")
        self.assertTrue(self.logs_in(port, "ann", "secret"))
        generated = self.ask("account", "passwd", "ann", "--generate")["password"]
        self.assertFalse(self.logs_in(port, "ann", "secret"))
        self.assertTrue(self.logs_in(port, "ann", generated))
        self.assertEqual(1, len(os.listdir(self.data / "mail")))
        self.ask("account", "remove", "ann")
        self.assertFalse(self.logs_in(port, "ann", generated))
        self.assertEqual([], os.listdir(self.data / "mail"))

    def test_sessions_end_with_what_they_were_opened_with(self) -> None:
        """A new password, a disabled and a removed account send away who is logged in, and nobody else."""
        self.running(*self.twistd())
        port = self.port("imap")
        for name in ("ann", "bob"):
            self.ask("account", "add", name)
        other = self.logged_in(port, "bob", "secret")
        generated = "secret"
        for change in (("passwd", "ann", "--generate"), ("change", "ann", "--enabled", "no"), ("remove", "ann")):
            session = self.logged_in(port, "ann", generated)
            answer = self.ask("account", *change)
            self.assertTrue(session.readline().startswith(b"* BYE"), change)
            self.assertEqual(session.read(), b"", change)
            session.close()
            if "password" in answer:
                generated = answer["password"]
            elif "enabled" in answer and change[0] == "change":
                self.ask("account", "change", "ann", "--enabled", "yes")
        other.write(b"b NOOP\r\n")
        other.flush()
        self.assertEqual(other.readline(), b"b OK NOOP completed\r\n")

    def test_sessions_of_every_protocol_end(self) -> None:
        """Each says so in its words; the passwords were right."""
        self.running(*self.twistd())
        self.ask("account", "add", "ann")
        proof = base64.b64encode(b"\0ann\0secret").decode()
        spoken = {
            "imap": ("a LOGIN ann secret", "a OK", "* BYE Log in again"),
            "pop3": ("USER ann\r\nPASS secret", "+OK 0 messages", "-ERR [AUTH] log in again"),
            "ftp": ("USER ann\r\nPASS secret", "230 ", "421 Log in again"),
            "submission": (f"EHLO me\r\nAUTH PLAIN {proof}", "235 ", "421 4.7.0"),
            "managesieve": (f'AUTHENTICATE "PLAIN" "{proof}"', 'OK "logged in"', 'BYE "log in again'),
        }
        sessions = {}
        for name, (words, welcome, _) in spoken.items():
            peer = socket.create_connection(("127.0.0.1", self.port(name)), timeout=LIMIT)
            self.addCleanup(peer.close)
            sessions[name] = session = peer.makefile("rwb")
            self.addCleanup(session.close)
            session.write(words.encode() + b"\r\n")
            session.flush()
            self.assertTrue(any(line.startswith(welcome.encode()) for line in session), name)
        self.ask("account", "change", "ann", "--enabled", "no")
        for name, (_, _, goodbye) in spoken.items():
            self.assertTrue(sessions[name].readline().startswith(goodbye.encode()), name)
            self.assertEqual(sessions[name].read(), b"", name)

    def logged_in(self, port: int, name: str, password: str) -> BinaryIO:
        """An IMAP session that waits."""
        peer = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self.addCleanup(peer.close)
        session = peer.makefile("rwb")
        self.addCleanup(session.close)
        session.write(f'a LOGIN {name} "{password}"\r\n'.encode())
        session.flush()
        session.readline()
        self.assertTrue(session.readline().startswith(b"a OK"))
        return session  # type: ignore[return-value]

    def logs_in(self, port: int, name: str, password: str) -> bool:
        """Whether POP3 takes a password."""
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as peer, peer.makefile("rwb") as answers:
            answers.write(f"USER {name}\r\nPASS {password}\r\nQUIT\r\n".encode())
            answers.flush()
            return answers.read().count(b"+OK") == 4


def configured(options: DaemonOptions) -> list[str]:
    """Every endpoint of the book's machines."""
    configuration = options.configuration
    settings = configuration.services["book"] if configuration else None
    return [one for place in SERVICES["book"].places.values() for one in getattr(settings, place.setting)]


class PluginTests(DaemonCase):
    """What twistd's help says."""

    def test_every_plugin_explains_itself(self) -> None:
        """Synopsis, options with defaults, what it is."""
        for plugin, words in (
            ("launcelot", ("--imaps=", "--smtp=", "78 configuration")),
            ("launcelot-questions", ("--questions=", "Sir Launcelot")),
            ("launcelot-smtp", ("--submission=", "2525")),
            ("launcelot-imap", ("--imaps=", "2993")),
            ("launcelot-pop3", ("--pop3s=", "2995")),
            ("launcelot-ftp", ("--ftps=", "2121")),
            ("launcelot-book", ("--book-upper=", "127.0.0.1 port 1064")),
        ):
            done = self.run_program(*TWISTD, plugin, "--help")
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertTrue(done.stdout.startswith(f"Usage: twistd [options] {plugin} [--config FILE]"), done.stdout)
            for word in ("--config=", "--data=", "--auth=", *words):
                self.assertIn(word, done.stdout, plugin)

    def test_the_book_without_options(self) -> None:
        """Listens where the book has its machines, all on this machine; whoever names an endpoint gets that one only."""
        options = book.Options()
        options.parseOptions(["--data", self.mktemp()])
        endpoints = configured(options)
        self.assertIn("tcp:1063:interface=127.0.0.1", endpoints)
        self.assertIn("udp:1069:interface=127.0.0.1", endpoints)
        self.assertTrue(all(one.endswith(":interface=127.0.0.1") for one in endpoints))
        options = book.Options()
        options.parseOptions(["--data", self.mktemp(), "--book-upper", "tcp:0"])
        self.assertEqual(configured(options), ["tcp:0"])

    def test_listed(self) -> None:
        """All of them, with a description."""
        done = self.run_program(*TWISTD, "--help")
        for plugin in ("", "-questions", "-smtp", "-imap", "-pop3", "-ftp", "-book"):
            self.assertRegex(done.stdout, rf"(?m)^    launcelot{plugin} +[A-Z]")

    def test_plugin_file_imports_nothing_heavy(self) -> None:
        """``twistd --help`` of every other project pays for what stands there."""
        text = (Path(__file__).resolve().parents[2] / "twisted" / "plugins" / "launcelot_plugin.py").read_text()
        self.assertEqual(["from twisted.application.service import ServiceMaker"], re.findall(r"(?m)^(?:from|import) .*", text))
