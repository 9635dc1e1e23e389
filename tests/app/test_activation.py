"""Sockets that the daemon is started with, with the test as systemd."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.activation import activated, place_of
from launcelot.app.configuration import defaults
from launcelot.app.errors import CONFIGURATION, Ending
from launcelot.hosting.inherited import Inherited, chosen, inherited
from tests.app.programs import CHECKOUT, COMMAND, LIMIT
from tests.app.test_daemon import FREE, DaemonCase

LAUNCH = """
import fcntl, os, sys
given = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 100) for word in sys.argv[1].split(",")]
for number, descriptor in enumerate(given):
    os.dup2(descriptor, 3 + number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


def stream(name: str = "", port: int = 0) -> Inherited:
    """A socket as far as its place is concerned."""
    return Inherited(3, name, socket.AF_INET, socket.SOCK_STREAM, port)


class PlaceTests(SynchronousTestCase):
    """Which listener a socket is for."""

    def test_by_name(self) -> None:
        """A name goes before the port."""
        for name, place in (("smtp", ("smtp", "listen_mx")), ("imaps", ("imap", "listen_tls")), ("ftp", ("ftp", "listen"))):
            self.assertEqual(place, place_of(stream(name, 110), defaults()))

    def test_by_port(self) -> None:
        """Standard ones, and the usual ones of a daemon without privileges."""
        for port, place in (
            (25, ("smtp", "listen_mx")),
            (2525, ("smtp", "listen_mx")),
            (587, ("smtp", "listen_submission")),
            (995, ("pop3", "listen_tls")),
            (1060, ("questions", "listen")),
        ):
            self.assertEqual(place, place_of(stream("launcelot.socket", port), defaults()))

    def test_datagrams(self) -> None:
        """The same port, another kind."""
        given = Inherited(3, "", socket.AF_INET, socket.SOCK_DGRAM, 1060)
        self.assertEqual(("questions", "listen_udp"), place_of(given, defaults()))

    def test_belongs_nowhere(self) -> None:
        """An unknown port, a service that does not run, a Unix socket without a name."""
        for given, configuration in (
            (stream("x", 4711), defaults()),
            (stream("", 25), defaults().only(["imap"])),
            (stream("imap", 25), defaults().only(["ftp"])),
            (Inherited(3, "launcelot.socket", socket.AF_UNIX, socket.SOCK_STREAM), defaults()),
        ):
            ending = self.assertRaises(Ending, place_of, given, configuration)
            self.assertEqual(CONFIGURATION, ending.status)
            self.assertIn("belongs to no service that runs", ending.text)

    def test_takes_the_place_of_endpoints(self) -> None:
        """Of its listener, and of no other's."""
        configuration = activated(defaults(), [stream("", 25), stream("", 143), stream("smtp", 0)])
        self.assertEqual(("systemd:index=0", "systemd:index=2"), configuration.services["smtp"].listen_mx)
        self.assertEqual(("systemd:index=1",), configuration.services["imap"].listen)
        self.assertEqual(defaults().services["imap"].listen_tls, configuration.services["imap"].listen_tls)

    def test_configured_ones_are_left(self) -> None:
        """A socket that an endpoint names is that endpoint's, whatever its port."""
        configuration = defaults().listening({("imap", "listen"): ["systemd:INET:name=x"]})
        self.assertEqual(configuration, activated(configuration, [stream("x", 25)]))

    def test_no_sockets(self) -> None:
        """Nothing changes."""
        self.assertEqual(defaults(), activated(defaults(), []))


class EnvironmentTests(SynchronousTestCase):
    """What the environment says."""

    def test_of_another_process(self) -> None:
        """A child that inherited the variables has no sockets."""
        self.assertEqual((), inherited({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, 2))
        self.assertEqual((), inherited({}, 2))
        self.assertEqual((), inherited({"LISTEN_PID": "2", "LISTEN_FDS": "x"}, 2))

    def test_chosen(self) -> None:
        """By name or by number, and never both."""
        sockets = [stream("a"), stream("b")]
        for endpoint, expected in (
            ("systemd:INET:name=b", sockets[1]),
            ("systemd:domain=INET:index=0", sockets[0]),
            ("systemd:name=a", sockets[0]),
        ):
            self.assertEqual(expected, chosen(endpoint, sockets))
        for endpoint in ("systemd:INET", "systemd:index=2", "systemd:index=-1", "systemd:name=c", "systemd:name=a:index=0"):
            self.assertRaises(ValueError, chosen, endpoint, sockets)


class ActivationTests(DaemonCase):
    """The daemon with sockets of the test's."""

    def activate(self, sockets: list[socket.socket], names: str, *options: str) -> tuple[subprocess.Popen[str], str]:
        """A daemon that was handed sockets and has told what listens."""
        return self.running(*self.command(sockets, names, *options), pass_fds=[one.fileno() for one in sockets])

    def command(self, sockets: list[socket.socket], names: str, *options: str) -> tuple[str, ...]:
        """What starts it."""
        numbers = ",".join(str(one.fileno()) for one in sockets)
        launch = (sys.executable, "-c", LAUNCH, numbers, names, *COMMAND[1:])
        return (*launch, "run", "--data", str(self.data), *FREE, *options)

    def listening(self, family: int = socket.AF_INET, address: object = ("127.0.0.1", 0)) -> socket.socket:
        """A socket as systemd makes it."""
        made = socket.socket(family)
        self.addCleanup(made.close)
        made.bind(address)  # type: ignore[arg-type]
        made.listen()
        return made

    def greeting(self, listening: socket.socket) -> bytes:
        """What a client of a socket hears first."""
        with socket.socket(listening.family) as peer:
            peer.settimeout(LIMIT)
            peer.connect(listening.getsockname())
            return peer.recv(1_000)

    def test_named_sockets(self) -> None:
        """Each serves the listener of its name, in place of what is configured; those without a socket are as configured."""
        smtp, other, pop3 = self.listening(), self.listening(socket.AF_INET6, ("::1", 0)), self.listening()
        _, said = self.activate([smtp, other, pop3], "smtp:smtp:pop3")
        self.assertTrue(self.greeting(smtp).startswith(b"220 "))
        self.assertTrue(self.greeting(other).startswith(b"220 "))
        self.assertTrue(self.greeting(pop3).startswith(b"+OK"))
        self.assertEqual(2, len(re.findall("(?m)^  smtp ", said)))
        self.assertIn(f"smtp://127.0.0.1:{smtp.getsockname()[1]}", said)
        self.assertIn(f"smtp://[::1]:{other.getsockname()[1]}", said)
        self.assertEqual(1, len(re.findall("(?m)^  imaps ", said)))

    def test_peers_wait_while_the_daemon_restarts(self) -> None:
        """Nobody is refused: who connects in between is served by the next daemon.  Case C20."""
        pop3 = self.listening()
        with socket.create_connection(pop3.getsockname(), timeout=LIMIT) as early:
            process, _ = self.activate([pop3], "pop3")
            self.assertTrue(early.recv(100).startswith(b"+OK"))
            process.terminate()
            process.communicate(timeout=LIMIT)
        with socket.create_connection(pop3.getsockname(), timeout=LIMIT) as between:
            self.activate([pop3], "pop3")
            self.assertTrue(between.recv(100).startswith(b"+OK"))

    def test_unix_socket_stays_systemds(self) -> None:
        """Its path and mode are as they were after the daemon has gone."""
        path = self.folder / "q.sock"
        questions = self.listening(socket.AF_UNIX, str(path))
        path.chmod(0o640)
        process, said = self.activate([questions], "questions")
        self.assertIn(f"unix:{path}\n", said)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
            peer.sendall(b"What is your quest?")
            self.assertEqual(b"To seek the Holy Grail.", peer.recv(100))
        process.terminate()
        process.communicate(timeout=LIMIT)
        self.assertEqual(0o640, path.stat().st_mode & 0o777)

    def test_under_twistd(self) -> None:
        """Twisted takes the variables out of the environment before we look."""
        given = self.listening()
        numbers = str(given.fileno())
        launch = (sys.executable, "-c", LAUNCH, numbers, "pop3", *self.twistd()[1:])
        self.running(*launch, pass_fds=[given.fileno()])
        self.assertTrue(self.greeting(given).startswith(b"+OK"))

    def test_datagrams(self) -> None:
        """A UDP socket is served, too."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind(("127.0.0.1", 0))
        self.activate([made], "questions-udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(LIMIT)
            peer.sendto(b"What is your quest?", made.getsockname())
            self.assertTrue(peer.recv(100))

    def test_reload_keeps_them(self) -> None:
        """Sockets are not touched by a reload, and come back when their service does."""
        smtp = self.listening()
        self.data.mkdir(0o700)
        config = self.data / "launcelot.toml"
        config.write_text("config_version = 1\n")
        self.activate([smtp], "smtp")
        with socket.create_connection(smtp.getsockname(), timeout=LIMIT) as peer:
            self.assertTrue(peer.recv(1_000).startswith(b"220 "))
            config.write_text("config_version = 1\n[smtp]\nmax_recipients = 200\n")
            answer = self.ask("reload")
            self.assertEqual((["smtp"], [], []), (answer["services"], answer["opened"], answer["closed"]))
            peer.sendall(b"NOOP\r\n")
            self.assertTrue(peer.recv(1_000).startswith(b"250 "))
        self.assertTrue(self.greeting(smtp).startswith(b"220 "))
        config.write_text("config_version = 1\n[smtp]\nenabled = false\n")
        done = self.launcelot("reload", "--data", str(self.data))
        self.assertEqual(78, done.returncode)
        self.assertIn("belongs to no service that runs", done.stderr)
        self.assertTrue(self.greeting(smtp).startswith(b"220 "))

    def test_endpoint_that_names_a_socket(self) -> None:
        """An endpoint option in Twisted's syntax; its socket may have any name."""
        given = self.listening()
        self.activate([given], "x", "--pop3", "systemd:INET:name=x")
        self.assertTrue(self.greeting(given).startswith(b"+OK"))

    def test_sockets_that_fit_nowhere(self) -> None:
        """One line and an exit code: 78 for a socket without a place, 69 for an endpoint without a socket."""
        given = self.listening()
        process = self.start(*self.command([given], "x"), pass_fds=[given.fileno()])
        _, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(78, process.returncode, errors)
        self.assertIn("a socket that systemd gave us (x, port ", errors)
        line = self.refused(*COMMAND, "run", "--data", str(self.data), *FREE, "--pop3", "systemd:INET:name=x", status=69)
        self.assertEqual(
            "pop3: cannot listen on 'systemd:INET:name=x': no such socket was handed to us; start the socket unit", line
        )


class UnitTests(SynchronousTestCase):
    """The shipped socket unit."""

    def test_every_port_has_its_place(self) -> None:
        """All sockets of a unit have the unit's name; their ports tell them apart."""
        unit = Path(CHECKOUT, "etc/systemd/launcelot.socket").read_text()
        ports = [int(port) for port in re.findall(r"(?m)^ListenStream=(?:0\.0\.0\.0|\[::\]):(\d+)$", unit)]
        self.assertEqual(unit.count("\nListenStream="), len(ports))
        places = {place_of(stream("launcelot.socket", port), defaults()) for port in ports}
        self.assertEqual(len(ports) // 2, len(places))
