"""Reading the configuration again: by signal, by command, right and wrong."""

from __future__ import annotations

import dataclasses
import os
import pty
import signal
import socket
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.configuration import Configuration, defaults, parse
from launcelot.app.reloading import Reloaded, merge
from launcelot.app.settings import AccountSettings, DaemonSettings, FileSettings, TlsSettings
from launcelot.hosting.certificates import ensure, server_names
from tests.app.programs import COMMAND, LIMIT, environment, hear_hangups
from tests.app.test_daemon import FREE, DaemonCase
from tests.app.test_systemd import manager

HEAD = """config_version = 1
[daemon]
{daemon}
[smtp]
enabled = {smtp}
listen_mx = ["tcp:0:interface=127.0.0.1"]
listen_submission = []
listen_submissions = []
[imap]
enabled = false
[ftp]
enabled = false
[managesieve]
enabled = false
[tls]
{tls}
[pop3]
listen = []
listen_tls = ["tcp:0:interface=127.0.0.1"]
[questions]
{questions}
"""

PLAIN = 'listen = ["tcp:0:interface=127.0.0.1"]'


class MergeTests(SynchronousTestCase):
    """What counts at once."""

    def test_what_waits_is_named(self) -> None:
        """And stays as it was; what counts at the start only is not mentioned."""
        now = Configuration()
        wanted = Configuration(
            daemon=DaemonSettings(hostname="x.test", data="/x", stop_limit=3.0),
            accounts=AccountSettings(hash_threads=4, first="ann"),
            files=FileSettings(max_file_size=5, keep_abandoned=70.0),
        )
        merged, restart = merge(now, wanted)
        self.assertEqual(["daemon.hostname", "daemon.data", "accounts.hash_threads", "files.max_file_size"], restart)
        self.assertEqual(DaemonSettings(stop_limit=3.0), merged.daemon)
        self.assertEqual(FileSettings(keep_abandoned=70.0), merged.files)
        self.assertEqual(now.accounts, merged.accounts)

    def test_services_and_tls(self) -> None:
        """They are taken as they are."""
        wanted = dataclasses.replace(defaults(), tls=TlsSettings(enabled=False))
        merged, restart = merge(Configuration(), wanted)
        self.assertEqual((wanted.services, wanted.tls, []), (merged.services, merged.tls, restart))

    def test_every_setting_is_one_or_the_other(self) -> None:
        """A group of settings that nobody thought of here would silently stay as it was."""
        self.assertEqual(
            {"daemon", "accounts", "files", "tls", "relay", "checks", "dkim", "trace", "oauth", "services", "guests", "lines"},
            {one.name for one in dataclasses.fields(Configuration)},
        )

    def test_words(self) -> None:
        """One line."""
        self.assertEqual("configuration read again: nothing changed", str(Reloaded()))
        self.assertEqual(
            "configuration read again: new settings for smtp, ftp; new certificate; listening on ftp://127.0.0.1:1;"
            " no longer on unix:/x; after a restart: daemon.data",
            str(Reloaded(True, ["smtp", "ftp"], ["ftp://127.0.0.1:1"], ["unix:/x"], ["daemon.data"])),
        )

    def test_the_sample_is_right(self) -> None:
        """The configuration of these tests has no faults."""
        self.assertEqual([], parse(HEAD.format(daemon="", smtp="true", tls="", questions=PLAIN))[1])


class ReloadTests(DaemonCase):
    """A daemon with a configuration that changes."""

    def setUp(self) -> None:
        """Start it, with what hears when it is ready."""
        super().setUp()
        self.config = self.folder / "x.toml"
        self.write()
        self.hearing, address = manager(self.folder)
        self.addCleanup(self.hearing.close)
        self.log = self.folder / "log"
        options = ("run", "--config", str(self.config), "--data", str(self.data))
        logging = ("sh", "-c", 'exec "$@" 2>"$0"', str(self.log))
        self.daemon = self.start(*logging, "env", f"NOTIFY_SOCKET={address}", *COMMAND, *options)
        self.wait_ready()

    def write(self, daemon: str = "", smtp: str = "true", tls: str = "", questions: str = PLAIN) -> None:
        """The configuration file."""
        self.config.write_text(HEAD.format(daemon=daemon, smtp=smtp, tls=tls, questions=questions))

    def wait_ready(self) -> list[bytes]:
        """What the service manager hears until the daemon is ready."""
        heard: list[bytes] = []
        while not heard or not heard[-1].startswith(b"READY=1"):
            heard.append(self.hearing.recv(1_000))
        return heard

    def hang_up(self) -> None:
        """SIGHUP, and wait until it is done."""
        self.daemon.send_signal(signal.SIGHUP)
        self.assertTrue(any(one.startswith(b"RELOADING=1\nMONOTONIC_USEC=") for one in self.wait_ready()))

    def last_line(self) -> str:
        """Of the log, about the configuration."""
        return [line for line in self.log.read_text().splitlines() if "configuration" in line][-1]

    def ask_question(self, peer: socket.socket, question: bytes = b"What is your quest?") -> bytes:
        """The answer."""
        peer.sendall(question)
        return peer.recv(100)

    def certificate_of(self, port: int) -> bytes:
        """What a client is shown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as plain, context.wrap_socket(plain) as peer:
            return peer.getpeercert(True) or b""

    def test_new_settings_for_new_sessions(self) -> None:
        """Old sessions go on under the old ones; no port is touched."""
        before = self.ask("status")["listeners"]
        with self.connect("questions") as old:
            self.assertTrue(self.ask_question(old))
            self.write(questions=f"{PLAIN}\nmax_question = 64")
            self.hang_up()
            self.assertEqual(before, self.ask("status")["listeners"])
            self.assertIn("configuration read again: new settings for questions", self.last_line())
            long = b"What" + b" " * 60 + b"is your quest?"
            self.assertTrue(self.ask_question(old, long))
            with self.connect("questions") as new:
                self.assertTrue(self.ask_question(new))
                self.assertEqual(2, self.ask("status")["connections"]["questions"])
                new.sendall(b"x" * 100)
                answer = new.recv(100)
                self.assertNotIn(b"Grail", answer)
            self.assertTrue(self.ask_question(old))

    def test_listeners_come_and_go(self) -> None:
        """Services and endpoints, with those who are connected left in peace."""
        number = self.port("smtp")
        with self.connect("smtp") as peer, peer.makefile("rb") as answers:
            self.assertTrue(answers.readline().startswith(b"220 "))
            path = self.folder / "q.sock"
            self.write(smtp="false", questions=f'listen = ["unix:{path}"]')
            answer = self.ask("reload")
            self.assertEqual(["smtp", "questions"], answer["services"])
            self.assertEqual([f"unix:{path}"], answer["opened"])
            self.assertEqual(2, len(answer["closed"]))
            self.assertIn(f"smtp://127.0.0.1:{number}", answer["closed"])
            self.assertEqual([], answer["restart"])
            self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", number))
            peer.sendall(b"NOOP\r\n")
            self.assertTrue(answers.readline().startswith(b"250 "))
            self.assertEqual(1, self.ask("status")["connections"]["smtp"])
            with socket.socket(socket.AF_UNIX) as local:
                local.connect(str(path))
                self.assertTrue(self.ask_question(local))
            self.daemon.terminate()
            self.assertTrue(answers.readline().startswith(b"421 "), "a session of a service that was switched off is told")

    def test_wrong_configuration(self) -> None:
        """The old one stays; one line in the log, all faults for who asked, and the exit code."""
        before = self.ask("status")["listeners"]
        self.config.write_text("config_version = 1\n[daemon]\nx = 1\n[smtp]\ny = 2\n")
        self.hang_up()
        fault = f"{self.config}:3: daemon.x: unknown key 'x' (and 1 more)"
        self.assertIn(f"the configuration stays as it was: {fault}", self.last_line())
        self.assertEqual(before, self.ask("status")["listeners"])
        done = self.launcelot("reload", "--data", str(self.data))
        self.assertEqual(78, done.returncode)
        self.assertEqual(2, len(done.stderr.splitlines()))
        self.assertNotIn("Traceback", self.log.read_text())

    def test_values_that_only_a_service_can_tell_wrong(self) -> None:
        """A table of answers that cannot be read."""
        before = self.ask("status")["listeners"]
        self.write(questions=f'{PLAIN}\ntables = ["{self.folder}/none.toml"]')
        done = self.launcelot("reload", "--data", str(self.data))
        self.assertEqual(78, done.returncode, done.stderr)
        self.assertIn("none.toml", done.stderr)
        self.assertEqual(before, self.ask("status")["listeners"])

    def test_taken_port(self) -> None:
        """69; nothing changes, not even what could."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            before = self.ask("status")["listeners"]
            self.write(smtp="false", questions=f'listen = ["tcp:{number}:interface=127.0.0.1"]')
            done = self.launcelot("reload", "--data", str(self.data))
        self.assertEqual(69, done.returncode)
        self.assertIn(f"questions: cannot listen on 127.0.0.1:{number}: Address already in use", done.stderr)
        after = self.ask("status")["listeners"]
        self.assertEqual([one["name"] for one in before], [one["name"] for one in after])
        with self.connect("smtp") as peer:
            self.assertTrue(peer.recv(100).startswith(b"220 "))

    def test_certificate(self) -> None:
        """A configured pair takes the place of our own; a broken one takes nobody's place; sessions go on."""
        first = self.certificate_of(self.port("pop3s"))
        files = ensure(self.folder / "tls", server_names("other.test"), datetime.now(UTC))
        pair = f'certificate = "{files.certificate}"\nkey = "{files.key}"'
        self.write(tls=pair)
        with self.connect("smtp") as peer:
            peer.recv(1_000)
            self.assertEqual([True, []], [self.ask("reload")[key] for key in ("certificate", "services")])
            second = self.certificate_of(self.port("pop3s"))
            self.assertNotEqual(first, second)
            self.assertFalse(self.ask("reload")["certificate"])
            Path(files.key).write_text("junk")
            done = self.launcelot("reload", "--data", str(self.data))
            self.assertEqual(78, done.returncode)
            self.assertTrue(done.stderr.startswith(f"launcelot: {files.key}: "), done.stderr)
            self.assertEqual(second, self.certificate_of(self.port("pop3s")))
            peer.sendall(b"EHLO x\r\n")
            self.assertIn(b"STARTTLS", peer.recv(1_000))

    def test_tls_off_and_on(self) -> None:
        """Services that offered it are built anew, without and with it."""
        self.write(tls="enabled = false")
        answer = self.ask("reload")
        self.assertEqual((1, 0), (len(answer["closed"]), len(answer["opened"])))
        with self.connect("smtp") as peer:
            peer.recv(1_000)
            peer.sendall(b"EHLO x\r\n")
            self.assertNotIn(b"STARTTLS", peer.recv(1_000))
        self.write()
        self.assertEqual(1, len(self.ask("reload")["opened"]))
        self.assertTrue(self.certificate_of(self.port("pop3s")))

    def test_what_waits_for_a_restart(self) -> None:
        """It is named."""
        self.write(daemon='domains = ["example.com"]')
        done = self.launcelot("reload", "--data", str(self.data))
        self.assertEqual((0, "configuration read again: after a restart: daemon.domains\n"), (done.returncode, done.stdout))

    def test_many_reloads(self) -> None:
        """Case C19 in small: sessions go on, nobody is refused, descriptors do not grow."""
        with self.connect("questions") as peer:
            self.assertTrue(self.ask_question(peer))
            before = len(os.listdir(f"/proc/{self.daemon.pid}/fd"))
            port = self.port("questions")
            for number in range(100):
                self.write(questions=f"{PLAIN}\nmax_question = {100 + number}")
                self.hang_up()
                with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as fresh:
                    self.assertTrue(self.ask_question(fresh))
            self.assertTrue(self.ask_question(peer))
            self.assertLessEqual(len(os.listdir(f"/proc/{self.daemon.pid}/fd")), before + 2)
        self.daemon.terminate()
        self.daemon.communicate(timeout=LIMIT)
        self.assertNotIn("Traceback", self.log.read_text())


class HangupTests(DaemonCase):
    """SIGHUP where there was a terminal."""

    def test_terminal_goes(self) -> None:
        """A daemon that was started in a terminal ends with it."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            ("setsid", "--ctty", *COMMAND, "run", "--data", str(self.data), *FREE),
            cwd=self.folder,
            env=environment(self.folder),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_hangups,
        )
        self.addCleanup(self.end, process)
        os.close(theirs)
        said = process.stdout
        assert said is not None
        while not said.readline().startswith("  data "):
            pass
        os.close(ours)
        process.communicate(timeout=LIMIT)
        self.assertEqual(0, process.returncode)
