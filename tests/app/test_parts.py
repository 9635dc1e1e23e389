"""Parts of the roof that need no process of their own."""

from __future__ import annotations

import dataclasses
import getpass
import os
import socket
import stat
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.testing import EventLoggingObserver, MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs, globalLogPublisher
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from launcelot.accounts.interface import Account
from launcelot.app import run
from launcelot.app.admin import is_trusted
from launcelot.app.asking import ShortPath, is_running
from launcelot.app.configuration import Configuration
from launcelot.app.daemon import Daemon
from launcelot.app.errors import CANNOT_CREATE, Ending
from launcelot.app.folder import DataFolder
from launcelot.app.naming import hostname_of
from launcelot.app.passwords import ALPHABET, LENGTH, generated_password
from launcelot.app.run import first_name
from launcelot.app.seeds import FILES, MESSAGES
from launcelot.app.settings import DaemonSettings, TlsSettings
from launcelot.app.site import DaemonTls
from launcelot.app.status import duration
from launcelot.app.stores import utc_now
from launcelot.app.table import Person, by_name, first_steps, table, url
from launcelot.core.ids import AccountId
from launcelot.hosting import certificates
from launcelot.hosting.listening import Listening
from launcelot.message.address import Address
from tests.app.programs import ProgramCase, environment


class FolderCase(SynchronousTestCase):
    """A test with a folder."""

    def setUp(self) -> None:
        """Make it."""
        kept = tempfile.TemporaryDirectory(prefix="launcelot-test-")
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)


class TableTests(SynchronousTestCase):
    """What listens, told to people."""

    def test_urls(self) -> None:
        """Of both families, of all addresses, of Unix sockets."""
        for host, port, expected in (
            ("127.0.0.1", 25, "smtp://127.0.0.1:25"),
            ("::1", 25, "smtp://[::1]:25"),
            ("0.0.0.0", 25, "smtp://127.0.0.1:25"),
            ("::", 25, "smtp://[::1]:25"),
            ("/run/x", 0, "unix:/run/x"),
        ):
            self.assertEqual(expected, url(Listening("smtp", host, port, "none")))

    def test_columns(self) -> None:
        """They stand below each other, without spaces at the end."""
        lines = table([Listening("imaps", "127.0.0.1", 993, "implicit"), Listening("ftp", "127.0.0.1", 21, "none")])
        self.assertEqual(["  imaps  imaps://127.0.0.1:993  TLS", "  ftp    ftp://127.0.0.1:21"], lines)

    def test_nothing(self) -> None:
        """A daemon without listeners has an empty table."""
        self.assertEqual([], table([]))

    def test_first_of_a_name_is_shown(self) -> None:
        """Lines to copy use the first endpoint that has a port."""
        rows = [Listening("ftp", "/x", 0, "none"), Listening("ftp", "::1", 1, "none"), Listening("ftp", "::1", 2, "none")]
        self.assertEqual(1, by_name(rows)["ftp"].port)

    def test_lines_for_what_listens_only(self) -> None:
        """And without a password where it is not known."""
        ann = Person("ann", "ann@example.com")
        lines = first_steps([Listening("pop3", "127.0.0.1", 110, "starttls")], ann, ann, None)
        self.assertEqual(["curl --user 'ann:PASSWORD' pop3://127.0.0.1:110/"], lines)

    def test_no_line_asks_to_trust_what_is_not_there(self) -> None:
        """With a certificate from elsewhere there is no authority of ours to name."""
        ann = Person("ann", "ann@example.com", "x")
        self.assertEqual([], first_steps([Listening("imaps", "127.0.0.1", 993, "implicit")], ann, ann, None))

    def test_durations(self) -> None:
        """From seconds to days."""
        self.assertEqual(["00:00:59", "01:00:01", "2 d 00:00:00"], [duration(n) for n in (59.9, 3601, 172_800)])


class NameTests(SynchronousTestCase):
    """Names that are made up."""

    def test_first_account(self) -> None:
        """The configured name in its one form; else the user's."""
        self.assertEqual("ann", first_name("ANN"))
        self.assertNotEqual("", first_name(""))

    def test_passwords(self) -> None:
        """Long, of letters and digits, never the same."""
        made = {generated_password() for _ in range(50)}
        self.assertEqual(50, len(made))
        for one in made:
            self.assertEqual(LENGTH, len(one))
            self.assertLessEqual(set(one), set(ALPHABET))

    def test_first_account_of_nobody(self) -> None:
        """A process whose user has no name, as in some containers, has a first account all the same."""

        def nobody() -> str:
            raise KeyError("getpwuid(): uid not found: 12345")

        self.patch(getpass, "getuser", nobody)
        self.assertEqual("launcelot", first_name(""))

    def test_password_is_shown_to_people_only(self) -> None:
        """Not to the journal, and not where standard error goes nowhere."""
        ann = Account(AccountId("x"), "ann", Address("ann", "example.com"))
        self.patch(os, "environ", {})
        self.patch(run, "is_detached", lambda: False)
        self.assertIn("password secret (shown this once)", run.introduction(ann, "secret"))
        self.patch(run, "is_detached", lambda: True)
        self.assertNotIn("secret", run.introduction(ann, "secret"))
        self.patch(run, "is_detached", lambda: False)
        self.patch(os, "environ", {"JOURNAL_STREAM": "8:1"})
        self.assertNotIn("secret", run.introduction(ann, "secret"))

    def test_hostname(self) -> None:
        """The configured one, else this machine's, and always one that can stand in a greeting."""
        given = Configuration(daemon=DaemonSettings(hostname="mail.example.com"))
        self.assertEqual("mail.example.com", hostname_of(given))
        self.patch(socket, "gethostname", lambda: "what a name")
        self.assertEqual("localhost", hostname_of(Configuration()))


class SeedTests(SynchronousTestCase):
    """What a demo begins with."""

    def test_sizes_of_the_book(self) -> None:
        """Examples that count octets come out as printed."""
        self.assertEqual([354, 442, 1175], [len(message) for message in MESSAGES.values()])

    def test_messages_are_clean(self) -> None:
        """CRLF throughout, 7 bit, lines of 78 characters at most."""
        for message in MESSAGES.values():
            self.assertTrue(message.isascii())
            self.assertNotIn(b"\n", message.replace(b"\r\n", b""))
            self.assertLessEqual(max(map(len, message.split(b"\r\n"))), 78)

    def test_folders_stand_before_their_files(self) -> None:
        """One level is made at most."""
        self.assertLessEqual(max(map(len, FILES)), 2)


class DataFolderTests(FolderCase):
    """The folder and its lock."""

    def test_lock_is_free_again(self) -> None:
        """After it was let go of, and twice for whoever has it is once."""
        first, second = DataFolder(self.folder), DataFolder(self.folder)
        first.lock()
        first.lock()
        self.assertTrue(first.locked)
        self.assertRaises(Ending, second.lock)
        first.release()
        first.release()
        second.lock()
        self.addCleanup(second.release)

    def test_lock_dies_with_its_process(self) -> None:
        """Nothing has to be cleaned up after a kill."""
        code = (
            "import sys, time; from pathlib import Path; from launcelot.app.folder import DataFolder\n"
            "DataFolder(Path(sys.argv[1])).lock(); print(1, flush=True); time.sleep(60)"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(self.folder)], stdout=subprocess.PIPE, env=environment(self.folder)
        )
        assert child.stdout is not None
        child.stdout.readline()
        folder = DataFolder(self.folder)
        ending = self.assertRaises(Ending, folder.lock)
        self.assertIn(f"in use by process {child.pid}", ending.text)
        child.kill()
        child.communicate()
        folder.lock()
        folder.release()

    def test_ours_is_closed_to_others(self) -> None:
        """A folder that only holds a configuration is taken as ours."""
        (self.folder / "launcelot.toml").touch()
        self.folder.chmod(0o755)
        DataFolder(self.folder).prepare()
        self.assertEqual(0o700, stat.S_IMODE(self.folder.stat().st_mode))

    def test_other_things_are_left_alone(self) -> None:
        """A folder of other things that others can enter is refused as it is."""
        (self.folder / "other").touch()
        self.folder.chmod(0o755)
        ending = self.assertRaises(Ending, DataFolder(self.folder).prepare)
        self.assertEqual(CANNOT_CREATE, ending.status)
        self.assertEqual((0o755, ["other"]), (stat.S_IMODE(self.folder.stat().st_mode), os.listdir(self.folder)))


class SocketTests(FolderCase):
    """The admin socket's ends."""

    def test_short_path_is_itself(self) -> None:
        """No descriptor is opened for it."""
        short = ShortPath(Path("/run/x.sock"))
        self.assertEqual("/run/x.sock", short.open())
        short.close()

    def test_long_path_is_reached(self) -> None:
        """A socket can be bound and reached at any depth."""
        deep = self.folder / ("x" * 100) / ("y" * 100)
        deep.mkdir(parents=True)
        path = deep / "admin.sock"
        self.assertFalse(is_running(path))
        short = ShortPath(path)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(short.open())
            server.listen()
            short.close()
            self.assertTrue(is_running(path))

    def test_our_own_user_is_trusted(self) -> None:
        """Which the kernel tells; of what is not a Unix socket it tells nothing."""
        one, other = socket.socketpair(socket.AF_UNIX)
        with one, other:
            self.assertTrue(is_trusted(one))
        with socket.socket(socket.AF_INET) as stranger:
            self.assertFalse(is_trusted(stranger))


class CertificateCareTests(FolderCase):
    """The daemon's own certificate, and a configured one."""

    def setUp(self) -> None:
        """An ear on the log."""
        super().setUp()
        self.heard = EventLoggingObserver()
        globalLogPublisher.addObserver(self.heard)
        self.addCleanup(globalLogPublisher.removeObserver, self.heard)

    def test_own_certificate_is_renewed(self) -> None:
        """When a month is left, and for new connections at once."""
        tls = DaemonTls(Configuration().with_data(str(self.folder)))
        early = utc_now() - timedelta(days=certificates.SERVER_DAYS - 20)
        self.patch(sys.modules["launcelot.app.site"], "utc_now", lambda: early)
        tls.load()
        before = tls()
        tls.look_after()
        self.assertIs(before, tls())
        self.patch(sys.modules["launcelot.app.site"], "utc_now", lambda: datetime.now(UTC))
        tls.look_after()
        self.assertIsNot(before, tls())

    def test_configured_certificate_is_left_alone(self) -> None:
        """Its end is announced."""
        authority = certificates.make_authority(utc_now())
        pair = certificates.issue(authority, ["localhost"], utc_now(), days=20)
        certificates.write_file(self.folder / "c", pair.certificate, 0o644)
        certificates.write_file(self.folder / "k", pair.key, 0o600)
        settings = TlsSettings(certificate=str(self.folder / "c"), key=str(self.folder / "k"))
        tls = DaemonTls(dataclasses.replace(Configuration().with_data(str(self.folder)), tls=settings))
        tls.load()
        self.assertIsNone(tls.authority)
        before = tls()
        tls.look_after()
        self.assertIs(before, tls())
        said = [event["path"] for event in self.heard if event.get("log_namespace") == "launcelot.daemon"]
        self.assertEqual([str(self.folder / "c")], said)

    def test_not_loaded(self) -> None:
        """There is nothing to give before it has been loaded."""
        tls = DaemonTls(Configuration().with_data(str(self.folder)))
        self.assertRaises(LookupError, tls)
        tls.look_after()


class BusyStores:
    """Stores that are in the middle of something that takes long."""

    def close(self) -> Deferred[None]:
        """Never ends."""
        return Deferred()


class StoppingTests(FolderCase):
    """The end of a daemon whose stores are busy."""

    def test_stores_that_take_longer_are_left_without_a_traceback(self) -> None:
        """It ends at its limit, with one line: what was acknowledged is on disk, and the next start delivers it."""
        reactor = MemoryReactorClock()
        daemon = Daemon(reactor, Configuration().with_data(str(self.folder)), self.fail)
        self.patch(daemon, "stores", BusyStores())
        with capturedLogs() as events:
            stopped = daemon.stopService()
            self.assertNoResult(stopped)
            reactor.advance(daemon.configuration.daemon.stop_limit)
            self.successResultOf(stopped)
        self.assertEqual([LogLevel.warn], [event["log_level"] for event in events])
        self.assertNotIn("log_failure", events[0])


class OwnerTests(ProgramCase):
    """Root works on the daemon's folder as the daemon's user."""

    def test_root_leaves_no_files_of_its_own(self) -> None:
        """Files of root's in the folder would be closed to the daemon."""
        if os.geteuid() != 0:
            raise SkipTest("only root can act as somebody else")
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        os.chown(data, 65534, 65534)
        self.folder.chmod(0o755)
        done = self.launcelot("account", "add", "ann", "--data", str(data), said="secret\n")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual({65534}, {path.stat().st_uid for path in data.rglob("*")})
