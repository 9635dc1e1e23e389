"""The launcelot command, run in this process with streams of the test's own."""

from __future__ import annotations

import gc
import json
import os
import stat
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import launcelot
from launcelot.app.command import COLLECT_AT, main
from launcelot.app.configuration import configuration_for
from launcelot.app.errors import CANNOT_CREATE
from launcelot.app.folder import DataFolder
from launcelot.app.stores import forget_account, fresh_id, open_accounts, run_now, utc_now
from launcelot.app.streams import Streams
from launcelot.core.errors import BadCredentials
from launcelot.core.ids import AccountId
from launcelot.hosting.certificates import ensure
from launcelot.workers.memory import InlineWorkers
from tests.app.programs import CHECKOUT


class Terminal(StringIO):
    """An input at which a person sits."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class CommandCase(SynchronousTestCase):
    """
    Runs commands on a data folder of the test's own.

    :ivar output: of the last command.
    :ivar errors: of the last command.
    """

    def setUp(self) -> None:
        """A folder for data."""
        kept = tempfile.TemporaryDirectory(prefix="launcelot-test-")
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)
        self.data = self.folder / "data"
        self.output = self.errors = ""

    def command(self, *arguments: str, said: str = "", answers: tuple[str, ...] = ()) -> int:
        """
        Run a command.

        :param said: its standard input, a pipe.
        :param answers: of a person at a terminal, in place of a pipe.
        :returns: the exit code.
        """
        replies = list(answers)
        streams = Streams(
            Terminal() if answers else StringIO(said), StringIO(), StringIO(), lambda prompt: replies.pop(0)
        )
        status = main(list(arguments), streams)
        self.output, self.errors = streams.output.getvalue(), streams.errors.getvalue()  # type: ignore[attr-defined]
        self.assertNotIn("Traceback", self.errors)
        return status

    def on_data(self, *arguments: str, **more: Any) -> int:
        """The same, on the test's data folder."""
        return self.command(*arguments, "--data", str(self.data), **more)

    def answer(self) -> dict[str, Any]:
        """What the last command printed as one JSON object on one line."""
        self.assertEqual(1, self.output.count("\n"))
        answer: dict[str, Any] = json.loads(self.output)
        return answer

    def passes(self, name: str, password: str) -> bool:
        """Whether a password is an account's."""
        directory = run_now(open_accounts(configuration_for(None, str(self.data))))
        try:
            run_now(directory.check_password(name, password))
        except BadCredentials:
            return False
        finally:
            run_now(directory.close())
        return True


class GeneralTests(CommandCase):
    """What holds for all commands."""

    def test_help_lists_everything(self) -> None:
        """With nothing imported that takes time."""
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys\nfrom launcelot.app.command import main\n"
                "try: main(['--help'])\n"
                "finally: print([n for n in sys.modules if n.split('.')[0] in ('twisted', 'cryptography', 'OpenSSL')])",
            ],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertTrue(done.stdout.endswith("[]\n"), done.stdout)
        for name in ("run", "demo", "status", "account", "alias", "check", "config", "version"):
            self.assertRegex(done.stdout, rf"(?m)^    {name} ")

    def test_no_command(self) -> None:
        """The help, and the exit code of wrong use."""
        self.assertEqual(64, self.command())
        self.assertIn("demo", self.output)

    def test_unknown_command(self) -> None:
        """One line."""
        self.assertEqual(64, self.command("dmeo"))
        self.assertEqual(1, self.errors.count("\n"))
        self.assertIn("launcelot --help", self.errors)

    def test_missing_argument(self) -> None:
        """One line that leads to the right help."""
        self.assertEqual(64, self.command("account", "add"))
        self.assertEqual(1, self.errors.count("\n"))
        self.assertIn("NAME; see launcelot account add --help", self.errors)

    def test_version(self) -> None:
        """Three ways."""
        self.assertEqual(0, self.command("version"))
        self.assertIn(f"launcelot {launcelot.__version__}", self.output)
        self.assertEqual(0, self.command("--version"))
        self.assertIn(f"launcelot {launcelot.__version__}", self.output)
        self.assertEqual(0, self.command("version", "--json"))
        self.assertEqual(launcelot.__version__, self.answer()["launcelot"])

    def test_wrong_configuration(self) -> None:
        """Every command that reads one says what is wrong with it."""
        path = self.folder / "x.toml"
        path.write_text("config_version = 1\n[daemon]\nx = 1\n")
        for command in (["status"], ["account", "list"], ["alias", "list"]):
            self.assertEqual(78, self.command(*command, "--config", str(path)))
            self.assertEqual(f"launcelot: {path}:3: daemon.x: unknown key 'x'\n", self.errors)

    def test_collector_of_a_process_of_its_own(self) -> None:
        """It is called seldom while a command is imported; whoever calls it within a program keeps the program's rule."""
        before = gc.get_threshold()
        self.addCleanup(gc.set_threshold, *before)
        self.assertEqual(0, self.command("version"))
        self.assertEqual(before, gc.get_threshold())
        self.patch(sys, "argv", ["launcelot", "version"])
        self.assertEqual(0, main(streams=Streams(StringIO(), StringIO(), StringIO())))
        self.assertEqual(COLLECT_AT, gc.get_threshold()[0])



class GroupTests(CommandCase):
    """Groups of a stopped daemon."""

    def test_round(self) -> None:
        """Made, joined, changed, left, listed and removed, for programs."""
        for name in ("ann", "bob"):
            self.on_data("account", "add", name, said="x")
        self.assertEqual(0, self.on_data("group", "add", "team", "ann", "--quota", "100", "--json"))
        team = {"group": "team", "members": ["ann"], "quota": 100, "messages": 0, "address": None, "forwards": []}
        self.assertEqual(team, self.answer())
        self.assertEqual(0, self.on_data("group", "join", "team", "bob", "ann", "--json"))
        self.assertEqual({**team, "members": ["ann", "bob"]}, self.answer())
        self.assertEqual(0, self.on_data("group", "change", "team", "--messages", "5", "--json"))
        self.assertEqual(5, self.answer()["messages"])
        self.assertEqual(0, self.on_data("group", "change", "team", "--address", "crew", "--json"))
        self.assertEqual("crew@localhost", self.answer()["address"])
        self.assertEqual(0, self.on_data("group", "change", "team", "--address", "", "--json"))
        self.assertIsNone(self.answer()["address"])
        self.assertEqual(0, self.on_data("group", "leave", "team", "ann", "--json"))
        left = {**team, "members": ["bob"], "messages": 5}
        self.assertEqual(0, self.on_data("group", "list", "--json"))
        self.assertEqual({"groups": [left]}, self.answer())
        self.assertEqual(0, self.on_data("group", "remove", "team", "--json"))
        self.assertEqual(left, self.answer())
        self.assertEqual(0, self.on_data("group", "list", "--json"))
        self.assertEqual({"groups": []}, self.answer())

    def test_words_for_people(self) -> None:
        """The same without --json, and refusals."""
        self.on_data("account", "add", "ann", said="x")
        self.assertEqual(0, self.on_data("group", "add", "team"))
        self.assertEqual("added team: nobody\n", self.output)
        self.assertEqual(0, self.on_data("group", "join", "team", "ann"))
        self.assertEqual(0, self.on_data("group", "list"))
        self.assertEqual("team: ann\n", self.output)
        for refused in (("add", "ann"), ("add", "team"), ("join", "team", "bob"), ("join", "crew", "ann"), ("remove", "crew")):
            self.assertEqual(1, self.on_data("group", *refused), refused)
        self.assertEqual(0, self.on_data("group", "remove", "team"))
        self.assertEqual("removed team with its mail\n", self.output)


class AccountTests(CommandCase):
    """Accounts of a stopped daemon."""

    def test_add_list_remove(self) -> None:
        """The round of an account, for programs."""
        self.assertEqual(0, self.on_data("account", "add", "brandon", "--json", "--quota", "1000", said="secret\n"))
        brandon = {
            "user": "brandon",
            "address": "brandon@localhost",
            "quota": 1000,
            "enabled": True,
            "messages": 0,
            "administrator": False,
            "apop": False,
        }
        self.assertEqual(brandon, self.answer())
        self.assertTrue(self.passes("brandon", "secret"))
        self.assertEqual(0, self.on_data("account", "list", "--json"))
        self.assertEqual({"accounts": [brandon]}, self.answer())
        self.assertEqual(0, self.on_data("account", "remove", "brandon", "--json"))
        self.assertEqual(brandon, self.answer())
        self.assertEqual(0, self.on_data("account", "list", "--json"))
        self.assertEqual({"accounts": []}, self.answer())

    def test_change(self) -> None:
        """Limits and what an account may do; what is not named stays."""
        self.assertEqual(0, self.on_data("account", "add", "ann", "--quota", "5", said="x"))
        self.assertEqual(0, self.on_data("account", "change", "ann", "--messages", "7", "--administrator", "yes"))
        self.assertEqual("ann  <ann@localhost>  5 octets  7 messages  administrator\n", self.output)
        self.assertEqual(0, self.on_data("account", "change", "ann", "--quota", "0", "--enabled", "no", "--json"))
        changed = self.answer()
        self.assertEqual((0, 7, False, True), tuple(changed[key] for key in ("quota", "messages", "enabled", "administrator")))
        self.assertEqual(1, self.on_data("account", "change", "ann", "--messages", "-1"))
        self.assertEqual(1, self.on_data("account", "change", "bob", "--messages", "1"))
        self.assertEqual(64, self.on_data("account", "change", "ann", "--enabled", "maybe"))

    def test_words_for_people(self) -> None:
        """The same without --json."""
        self.assertEqual(0, self.on_data("account", "add", "ann", said="secret"))
        self.assertEqual("added ann <ann@localhost>\n", self.output)
        self.assertEqual(0, self.on_data("account", "list"))
        self.assertEqual("ann  <ann@localhost>\n", self.output)
        self.assertEqual(0, self.on_data("account", "remove", "ann"))
        self.assertEqual("removed ann with its mail and files\n", self.output)

    def test_generated_password(self) -> None:
        """It is shown once and right."""
        self.assertEqual(0, self.on_data("account", "add", "ann", "--generate", "--json"))
        first = self.answer()["password"]
        self.assertTrue(self.passes("ann", first))
        self.assertEqual(0, self.on_data("account", "passwd", "ann", "--generate", "--json"))
        self.assertNotEqual(first, self.answer()["password"])
        self.assertTrue(self.passes("ann", self.answer()["password"]))
        self.assertFalse(self.passes("ann", first))

    def test_secret_for_apop(self) -> None:
        """Off unless it is set here; read, made or taken away; never the password, and never short."""
        self.assertEqual(0, self.on_data("account", "add", "ann", said="the password of ann\n"))
        self.assertEqual(0, self.on_data("account", "apop", "ann", said="sixteen octets..\n"))
        self.assertEqual("ann can log in to POP3 with APOP; the secret is stored as it is\n", self.output)
        self.assertEqual(0, self.on_data("account", "list"))
        self.assertEqual("ann  <ann@localhost>  apop\n", self.output)
        self.assertEqual(0, self.on_data("account", "apop", "ann", "--generate", "--json"))
        self.assertEqual((True, 16), (self.answer()["apop"], len(self.answer()["secret"])))
        self.assertEqual(1, self.on_data("account", "apop", "ann", said="the password of ann\n"))
        self.assertIn("must not be the password", self.errors)
        self.assertEqual(1, self.on_data("account", "apop", "ann", said="short\n"))
        self.assertEqual(64, self.on_data("account", "apop", "ann", "--off", "--generate"))
        self.assertEqual(0, self.on_data("account", "apop", "ann", "--off", "--json"))
        self.assertEqual((False, False), (self.answer()["apop"], "secret" in self.answer()))
        self.assertEqual(1, self.on_data("account", "apop", "bob", "--off"))

    def test_password_at_a_terminal(self) -> None:
        """Asked for twice; two different ones change nothing."""
        self.assertEqual(0, self.on_data("account", "add", "ann", answers=("secret", "secret")))
        self.assertEqual(64, self.on_data("account", "passwd", "ann", answers=("new", "nwe")))
        self.assertIn("differ", self.errors)
        self.assertTrue(self.passes("ann", "secret"))
        self.assertEqual(0, self.on_data("account", "passwd", "ann", answers=("new", "new")))
        self.assertTrue(self.passes("ann", "new"))

    def test_password_with_spaces(self) -> None:
        """Only the line's end is taken off."""
        self.assertEqual(0, self.on_data("account", "add", "ann", said=" a b \r\nrest\n"))
        self.assertTrue(self.passes("ann", " a b "))

    def test_no_password(self) -> None:
        """An empty pipe is said to be one."""
        self.assertEqual(64, self.on_data("account", "add", "ann"))
        self.assertIn("no password given", self.errors)

    def test_password_is_no_argument(self) -> None:
        """It would be seen by everybody on the machine."""
        self.assertEqual(64, self.on_data("account", "add", "ann", "secret"))
        self.assertEqual(64, self.on_data("account", "passwd", "ann", "--password", "secret"))

    def test_taken_name(self) -> None:
        """Refused before a password is read."""
        self.assertEqual(0, self.on_data("account", "add", "ann", said="x"))
        self.assertEqual(1, self.on_data("account", "add", "ANN", answers=()))
        self.assertEqual("launcelot: ann already exists\n", self.errors)

    def test_impossible_name(self) -> None:
        """In one line."""
        self.assertEqual(1, self.on_data("account", "add", "a b", said="x"))
        self.assertEqual(1, self.errors.count("\n"))

    def test_foreign_domain(self) -> None:
        """An address has to end here."""
        self.assertEqual(1, self.on_data("account", "add", "ann@elsewhere.example", said="x"))
        self.assertEqual(1, self.errors.count("\n"))

    def test_unknown_account(self) -> None:
        """Nothing to change or to remove."""
        self.on_data("account", "add", "ann", said="x")
        for verb in ("passwd", "remove"):
            self.assertEqual(1, self.on_data("account", verb, "nobody", said="x"))
            self.assertEqual("launcelot: there is no account 'nobody'; see launcelot account list\n", self.errors)

    def test_no_folder(self) -> None:
        """Looking makes none."""
        for command in (["account", "list"], ["account", "remove", "x"], ["alias", "list"]):
            self.assertEqual(66, self.on_data(*command))
        self.assertFalse(self.data.exists())

    def test_folder_that_cannot_be_made(self) -> None:
        """One line and 73; a file stands in the way, because root may write everywhere else."""
        self.data.touch()
        self.assertEqual(73, self.on_data("account", "add", "ann", said="x"))
        self.assertIn("cannot write", self.errors)

    def test_folder_of_other_things(self) -> None:
        """Nobody's own folder is closed to others by a slip of the hand."""
        self.data.mkdir(mode=0o755)
        self.data.chmod(0o755)
        (self.data / "holiday.jpg").touch()
        self.assertEqual(73, self.on_data("account", "add", "ann", said="x"))
        self.assertIn("holds other things and is open to others", self.errors)
        self.assertEqual(0o755, stat.S_IMODE(self.data.stat().st_mode))

    def test_domain_of_the_configuration(self) -> None:
        """A file in the data folder names the domain."""
        self.data.mkdir()
        (self.data / "launcelot.toml").write_text('config_version = 1\n[daemon]\ndomains = ["example.com"]\n')
        self.assertEqual(0, self.on_data("account", "add", "ann", "--json", said="x"))
        self.assertEqual("ann@example.com", self.answer()["address"])
        self.assertEqual(0, self.on_data("account", "add", "eve@example.com", "--json", said="x"))
        self.assertEqual("eve", self.answer()["user"])

    def test_files_are_private(self) -> None:
        """Whatever the umask is."""
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        self.on_data("account", "add", "ann", said="x")
        self.assertEqual(0o700, stat.S_IMODE(self.data.stat().st_mode))
        self.assertEqual(0o600, stat.S_IMODE((self.data / "accounts.sqlite").stat().st_mode))

    def test_mail_and_files_go_with_the_account(self) -> None:
        """Without a daemon they are removed here."""
        self.on_data("account", "add", "ann", said="x")
        configuration = configuration_for(None, str(self.data))
        directory = run_now(open_accounts(configuration))
        account = run_now(directory.account("ann"))
        run_now(directory.close())
        self.give(account.id)
        self.assertEqual(0, self.on_data("account", "remove", "ann"))
        self.assertEqual([[], []], [list((self.data / name).iterdir()) for name in ("mail", "files")])

    def give(self, account: AccountId) -> None:
        """Mail and a file for an account."""
        from launcelot.app.stores import build_files, build_mail

        configuration = configuration_for(None, str(self.data))
        mail = build_mail(configuration, [InlineWorkers()], InlineWorkers())
        files = build_files(configuration, InlineWorkers())
        run_now(run_now(mail.mail(account)).deliver(b"Subject: x\r\n\r\n", "key"))
        upload = run_now(run_now(files.tree(account)).upload(("x",)))
        run_now(upload.write(b"x"))
        run_now(upload.publish())
        run_now(mail.close())
        run_now(files.close())
        self.assertEqual([1, 1], [len(list((self.data / name).iterdir())) for name in ("mail", "files")])

    def test_removing_while_the_folder_is_held(self) -> None:
        """A daemon that is just starting has the folder but no socket yet; nothing is removed behind its back."""
        self.on_data("account", "add", "ann", said="x")
        holder = DataFolder(self.data)
        holder.lock()
        self.addCleanup(holder.release)
        self.assertEqual(69, self.on_data("account", "remove", "ann"))
        self.assertIn("in use by process", self.errors)
        self.assertTrue(self.passes("ann", "x"))

    def test_forgetting_nobody(self) -> None:
        """An account without mail and files is fine."""
        DataFolder(self.data).prepare()
        run_now(forget_account(configuration_for(None, str(self.data)), AccountId(fresh_id())))


class AliasTests(CommandCase):
    """Aliases of a stopped daemon."""

    def setUp(self) -> None:
        """Two accounts."""
        super().setUp()
        for name in ("ann", "brandon"):
            self.on_data("account", "add", name, said="x")

    def test_add_list_remove(self) -> None:
        """The round of an alias, for programs; addresses without a domain are at the first one."""
        team = {"address": "team@localhost", "targets": ["ann@localhost", "brandon@localhost"]}
        self.assertEqual(0, self.on_data("alias", "add", "team", "ann", "brandon@localhost", "--json"))
        self.assertEqual(team, self.answer())
        self.assertEqual(0, self.on_data("alias", "list", "--json"))
        self.assertEqual({"aliases": [team]}, self.answer())
        self.assertEqual(0, self.on_data("alias", "remove", "team", "--json"))
        self.assertEqual(team, self.answer())
        self.assertEqual(0, self.on_data("alias", "list"))
        self.assertEqual("", self.output)

    def test_words_for_people(self) -> None:
        """The same without --json."""
        self.assertEqual(0, self.on_data("alias", "add", "team", "ann", "brandon"))
        self.assertEqual("added team@localhost -> ann@localhost, brandon@localhost\n", self.output)
        self.assertEqual(0, self.on_data("alias", "list"))
        self.assertEqual("team@localhost -> ann@localhost, brandon@localhost\n", self.output)

    def test_members_at_other_hosts(self) -> None:
        """Of aliases and groups, where mail goes to other hosts."""
        file = self.folder / "launcelot.toml"
        for on in ("false", "true"):
            file.write_text(f"config_version = 1\n[relay]\nenabled = {on}\n")
            wanted = 0 if on == "true" else 1
            for words in ("alias add team ann eve@far.example".split(), "group add crew brandon E@far.example".split()):
                self.assertEqual(wanted, self.on_data(*words, "--config", str(file)), words)
                said = self.output or self.errors
                self.assertIn("[relay] says enabled = false" if wanted else "far.example", said)
                self.assertEqual(1, said.count("\n"))
        self.assertEqual("added crew: brandon, E@far.example\n", self.output)
        self.assertEqual(0, self.on_data("group", "leave", "crew", "e@far.example", "--json"))
        self.assertEqual([], self.answer()["forwards"])
        self.assertEqual(1, self.on_data("group", "join", "crew", "ann@localhost", "--config", str(file)))
        self.assertEqual(0, self.on_data("group", "join", "crew", "x@far.example", "--config", str(file), "--json"))
        self.assertEqual(["x@far.example"], self.answer()["forwards"])
        self.assertEqual(0, self.on_data("alias", "list"))
        self.assertEqual("team@localhost -> ann@localhost, eve@far.example\n", self.output)

    def test_refusals(self) -> None:
        """A taken address, a target that is nobody's, an alias that is not there: one line, exit code 1."""
        for words in (["add", "ann", "brandon"], ["add", "team", "nobody"], ["remove", "team"], ["add", "a@b@c", "ann"]):
            self.assertEqual(1, self.on_data("alias", *words), words)
            self.assertEqual(1, self.errors.count("\n"), self.errors)


class ClosedFolderTests(CommandCase):
    """A data folder that cannot be looked into: as a closed one, here one whose name is too long, as root may enter all."""

    def test_is_one_line(self) -> None:
        """Whatever is asked of it; who asks for a system daemon's status without being its user gets no traceback."""
        folder = str(self.folder / ("x" * 300))
        for words in (["status"], ["account", "list"], ["account", "add", "ann"], ["alias", "list"]):
            self.assertEqual(CANNOT_CREATE, self.command(*words, "--data", folder), words)
            self.assertEqual(1, self.errors.count("\n"), self.errors)
            self.assertIn(f"{folder}: cannot be entered: ", self.errors)


class CheckTests(CommandCase):
    """``launcelot check`` and ``launcelot config example``."""

    def put(self, text: str) -> str:
        """A configuration file."""
        path = self.folder / "x.toml"
        path.write_text(text)
        return str(path)

    def test_right_file(self) -> None:
        """Exit code 0 and a word."""
        path = self.put("config_version = 1\n")
        self.assertEqual(0, self.command("check", path))
        self.assertEqual(f"{path}: right\n", self.output)
        self.assertEqual(0, self.command("check", path, "--json"))
        self.assertEqual({"file": path, "ok": True, "problems": []}, self.answer())

    def test_wrong_file(self) -> None:
        """Exit code 78 and every fault with its line."""
        path = self.put("config_version = 1\n[daemon]\nhostnam = 1\nx = 2\n")
        self.assertEqual(78, self.command("check", path))
        self.assertEqual(
            f"{path}:3: daemon.hostnam: unknown key 'hostnam'; did you mean 'hostname'?\n"
            f"{path}:4: daemon.x: unknown key 'x'\n",
            self.output,
        )
        self.assertEqual(78, self.command("check", path, "--json"))
        answer = self.answer()
        self.assertFalse(answer["ok"])
        self.assertEqual({"line": 4, "key": "daemon.x", "text": "unknown key 'x'"}, answer["problems"][1])

    def test_missing_file(self) -> None:
        """One line."""
        self.assertEqual(78, self.command("check", str(self.folder / "none")))
        self.assertIn("No such file or directory", self.errors)

    def test_certificate_is_read(self) -> None:
        """A configured certificate that cannot be used is found before the daemon is restarted on it."""
        path = self.put('config_version = 1\n\n[tls]\ncertificate = "/none/c.pem"\nkey = "/none/k.pem"\n')
        self.assertEqual(78, self.command("check", path))
        self.assertEqual(
            f"{path}:4: tls.certificate: /none/c.pem: cannot read the certificate: No such file or directory;"
            " check path and permissions\n",
            self.output,
        )

    def test_certificate_is_read_beside_other_faults(self) -> None:
        """What is wrong with it is said at once with all else, in the order of the lines."""
        path = self.put(
            'config_version = 1\n[tls]\ncertificate = "/none/c.pem"\nkey = "/none/k.pem"\n[imap]\nlisten = 1\nx = 2\n'
        )
        self.assertEqual(78, self.command("check", path, "--json"))
        self.assertEqual([3, 6, 7], [one["line"] for one in self.answer()["problems"]])

    def test_fault_of_the_key_stands_at_the_key(self) -> None:
        """A certificate that is right does not get the blame."""
        made = ensure(self.folder / "made", ["localhost"], utc_now())
        path = self.put(f'config_version = 1\n[tls]\ncertificate = "{made.certificate}"\nkey = "/none/k.pem"\n')
        self.assertEqual(78, self.command("check", path))
        self.assertTrue(self.output.startswith(f"{path}:4: tls.key: /none/k.pem: cannot read the key"), self.output)

    def test_example_passes(self) -> None:
        """What is offered as an example is right."""
        self.assertEqual(0, self.command("config", "example"))
        self.assertEqual(0, self.command("check", self.put(self.output)))
        self.assertEqual(0, self.command("config", "example", "--json"))
        self.assertIn("config_version = 1", self.answer()["example"])


class StatusTests(CommandCase):
    """``launcelot status`` where no daemon runs; see test_daemon for the other case."""

    def test_no_daemon(self) -> None:
        """One line and 69, with a folder and without."""
        self.assertEqual(69, self.on_data("status"))
        self.assertEqual(1, self.errors.count("\n"))
        self.assertIn("no daemon answers", self.errors)
        DataFolder(self.data).prepare()
        self.assertEqual(69, self.on_data("status", "--json"))
        self.assertEqual("", self.output)
