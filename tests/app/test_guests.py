"""Services of other distributions: taken up like the house's own, and every fault of theirs is one line."""

from __future__ import annotations

import dataclasses
import pickle
import socket
import subprocess
import sys
from typing import Any

from launcelot.app import tap
from launcelot.app.activation import activated
from launcelot.app.catalogue import SERVICES
from launcelot.app.configuration import Configuration, defaults, parse
from launcelot.app.errors import CONFIGURATION, SOFTWARE, Ending
from launcelot.app.example import example
from launcelot.app.guests import WORK_LIMIT, BadGuest, find, offers
from launcelot.app.inetd import configured
from launcelot.app.reloading import merge
from launcelot.app.site import build_services
from launcelot.hosting.inherited import Inherited
from launcelot.testing.site import memory_site
from tests.app.programs import CHECKOUT, TWISTD, environment
from tests.app.strangers import ECHO, StrangerCase, write_distribution
from tests.app.test_daemon import DaemonCase

TABLE = "config_version = 1\n[echo]\n"


class GuestCase(StrangerCase):
    """What is said about a configuration with a guest in it."""

    def right(self, text: str = TABLE) -> Configuration:
        """The configuration of a text without faults."""
        configuration, faults = parse(text)
        self.assertEqual([], faults)
        return configuration

    def faults(self, text: str = TABLE) -> list[tuple[int, str, str]]:
        """Line, key and text of everything wrong."""
        return [(one.line, one.key, one.text) for one in parse(text)[1]]

    def fault(self, text: str = TABLE) -> str:
        """The one thing wrong, in one line and about the guest's table."""
        found = self.faults(text)
        self.assertEqual(1, len(found), found)
        self.assertEqual((2, "echo"), found[0][:2])
        self.assertEqual(1, len(found[0][2].splitlines()))
        return found[0][2]

    def changed(self, *changes: tuple[str, str]) -> str:
        """The echo service with pieces of its code replaced."""
        code = ECHO
        for old, new in changes:
            self.assertIn(old, code)
            code = code.replace(old, new)
        return code


class TakenUpTests(GuestCase):
    """A guest without faults."""

    def setUp(self) -> None:
        """Install it."""
        super().setUp()
        self.install()

    def test_runs_where_it_has_a_table(self) -> None:
        """Beside the house's own, after them."""
        configuration = self.right()
        self.assertEqual([*SERVICES, "echo"], list(configuration.services))
        self.assertEqual(100, configuration.services["echo"].max_line)
        self.assertEqual("Says it again", configuration.entry("echo").title)

    def test_does_not_run_without_a_table(self) -> None:
        """Installing something serves nobody yet, nor does it cost an import."""
        configuration = self.right("config_version = 1\n")
        self.assertEqual(list(SERVICES), list(configuration.services))
        self.assertEqual(list(SERVICES), list(defaults().services))
        self.assertNotIn("stranger", sys.modules)

    def test_can_be_switched_off(self) -> None:
        """As every service; it is not even imported."""
        self.assertNotIn("echo", self.right(f"{TABLE}enabled = false\n").services)
        self.assertNotIn("stranger", sys.modules)

    def test_settings_are_checked_like_ours(self) -> None:
        """Each fault with line, key and the nearest name."""
        found = self.faults(f'{TABLE}max_lin = 3\nmax_line = 0\nenabled = 1\nlisten = ["tcp:99999"]\nwords = "a\\nb"\n')
        self.assertEqual(
            [
                (3, "echo.max_lin", "unknown key 'max_lin'; did you mean 'max_line'?"),
                (4, "echo.max_line", "must be at least 1 octets"),
                (5, "echo.enabled", "must be true or false, not a whole number"),
                (6, "echo.listen", "'tcp:99999': '99999' is not a port of 0 to 65535"),
                (7, "echo.words", "must be one line"),
            ],
            found,
        )

    def test_table_with_a_slip_names_the_guest(self) -> None:
        """What is installed is known when somebody misspells it."""
        self.assertEqual([(2, "ecko", "unknown key 'ecko'; did you mean 'echo'?")], self.faults("config_version = 1\n[ecko]\n"))

    def test_value_in_place_of_the_table(self) -> None:
        """As for ours."""
        self.assertEqual(
            [(2, "echo", "must be a table, not a whole number")], self.faults("config_version = 1\necho = 3\n")
        )

    def test_is_in_the_sample_file(self) -> None:
        """Commented out as a whole, so that the file as it is means the defaults; without the # it is right."""
        text = example()
        self.assertIn("# Says it again.  From launcelot-stranger 1.5; without this table it does not run.\n#[echo]\n", text)
        self.assertEqual(defaults(), self.right(text))
        self.assertIn("echo", self.right(text.replace("#[echo]", "[echo]").replace("#max_line = 100", "max_line = 100")).services)

    def test_has_its_own_maker(self) -> None:
        """With its endpoints as options, and only itself served."""
        options: Any = tap.Maker("launcelot-echo", ("echo",)).Options()
        folder = self.mktemp()
        options.parseOptions(["--data", folder, "--echo", "tcp:0:interface=127.0.0.1"])
        self.assertEqual(["echo"], list(options.configuration.services))
        self.assertEqual(("tcp:0:interface=127.0.0.1",), options.configuration.services["echo"].listen)

    def test_can_be_sent_to_another_process(self) -> None:
        """Workers are given the same configuration."""
        configuration = self.right(f"{TABLE}max_line = 7\n")
        self.assertEqual(configuration, pickle.loads(pickle.dumps(dataclasses.replace(configuration, lines={}))))

    def test_reload_takes_it_up(self) -> None:
        """A table that was not there before."""
        merged, waiting = merge(defaults(), self.right())
        self.assertEqual([], waiting)
        self.assertIn("echo", merged.services)
        self.assertEqual("Says it again", merged.entry("echo").title)

    def test_sockets_of_systemd_find_it(self) -> None:
        """By the name of its listener, by its standard port and by its usual one; a ``systemd:`` endpoint keeps its own."""
        for given in (("echo", 0), ("", 7), ("", 7007)):
            socket_given = Inherited(3, given[0], socket.AF_INET, socket.SOCK_STREAM, given[1])
            configuration = activated(self.right(), [socket_given])
            self.assertEqual(("systemd:index=0",), configuration.services["echo"].listen, given)
        named = self.right(f'{TABLE}listen = ["systemd:name=mine"]\n')
        given_mine = Inherited(3, "mine", socket.AF_INET, socket.SOCK_STREAM, 25)
        self.assertEqual(named, activated(named, [given_mine]))

    def test_inetd_knows_it(self) -> None:
        """By the name of its listener."""
        name, configuration = configured("echo", self.right())
        self.assertEqual("echo", name)
        self.assertEqual(("systemd:index=0",), configuration.services["echo"].listen)
        self.assertEqual("Says it again", configuration.entry("echo").title)

    def test_serves(self) -> None:
        """Built like ours; what its sessions wait for has a limit."""
        world = memory_site()
        listeners = build_services(world.site, self.right(f'{TABLE}words = "once more"\n').only(["echo"]))["echo"]
        factory = listeners.listeners[0].factory
        self.assertEqual(WORK_LIMIT, factory.work_limit)
        link = world.connect(factory)
        link.say(b"hello\r\n")
        self.assertEqual(b"once more hello\r\n", link.take())

    def test_session_that_raises(self) -> None:
        """Is told once and closes its own connection; the other goes on."""
        world = memory_site()
        listeners = build_services(world.site, self.right().only(["echo"]))["echo"]
        factory = listeners.listeners[0].factory
        wrong, right = world.connect(factory), world.connect(factory)
        wrong.say(b"raise\r\n")
        self.assertEqual(b"internal error\r\n", wrong.take())
        self.assertTrue(wrong.closed)
        self.assertEqual(1, len(self.flushLoggedErrors(LookupError)))
        right.say(b"hello\r\n")
        self.assertEqual(b"again hello\r\n", right.take())
        self.assertEqual(1, world.site.counters.value("echo.errors.internal"))


class FaultTests(GuestCase):
    """Guests with faults: cause, place and remedy in one line."""

    def test_import_fails(self) -> None:
        """Whatever way; nothing of it gets further than a line."""
        for number, (code, cause) in enumerate(
            [
                ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
                ("def (", "SyntaxError: "),
                ("\nraise RuntimeError('two\\nlines')", "RuntimeError: two lines ("),
                ("raise SystemExit", "SystemExit ("),
                ("1 / 0", "ZeroDivisionError: division by zero ("),
            ]
        ):
            module = f"stranger{number}"
            with self.subTest(code=code):
                self.install(code, f"echo{number}", f"{module}:SERVICE", module)
                found = self.faults(f"config_version = 1\n[echo{number}]\n")
                self.assertEqual(1, len(found))
                text = found[0][2]
                told = f"the service 'echo{number}' of launcelot-{module} 1.5 cannot be loaded: {cause}"
                self.assertTrue(text.startswith(told), text)
                if cause.endswith("("):
                    self.assertRegex(text, rf"/{module}\.py, line \d\)")
                self.assertTrue(text.endswith(f"set enabled = false in [echo{number}] or uninstall it"), text)
                self.assertEqual(1, len(text.splitlines()))
                self.assertEqual([], self.faults(f"config_version = 1\n[echo{number}]\nenabled = false\n"))

    def test_entry_point_names_nothing(self) -> None:
        """A slip in the guest's setup.cfg."""
        self.install(reference="stranger:SERVICES")
        self.assertIn("AttributeError", self.fault())

    def test_entry_point_names_something_else(self) -> None:
        """Not what the catalogue has rows of."""
        self.install(reference="stranger:Settings")
        self.assertIn("names no launcelot.app.catalogue.ServiceEntry", self.fault())

    def test_settings(self) -> None:
        """What cannot be configured is named with its module."""
        listen = 'listen: tuple[str, ...] = setting(("tcp:7007:interface=127.0.0.1",), "Endpoints of the echo.")'
        for number, (changes, cause) in enumerate(
            [
                ((("class Settings:", "class Options:"),), "AttributeError: module 'NAME' has no attribute 'Settings'"),
                ((("@dataclass(frozen=True)\n", ""),), "NAME.Settings is no dataclass"),
                (((' = setting("again", "What is said before a line.")', ' = "again"'),), "NAME.Settings.words is not declared"),
                ((("words: str", "words: dict[str, str]"),), "NAME.Settings.words is neither"),
                ((("words: str", "words: Unheard"),), "NameError: name 'Unheard' is not defined"),
                ((("words: str", "words: int"),), "the default of NAME.Settings.words must be a whole number"),
                ((("setting(100,", "setting(0,"),), "the default of NAME.Settings.max_line must be at least 1 octets"),
                ((("words: str", 'enabled: bool = setting(True, "x")\n    words: str'),), "NAME.Settings.enabled is what"),
                (((listen, "pass"),), "settings of NAME.Settings that begin with 'listen'"),
                (((listen, 'listen: str = setting("", "Endpoint.")'),), "NAME.Settings.listen is no tuple"),
                ((("class Settings:", "class Settings:\n    def __post_init__(self): 1 / 0\n"),), "ZeroDivisionError"),
                ((("def build(", "def rebuild("),), "AttributeError: module 'NAME' has no attribute 'build'"),
                ((('{"words":', '{"word":'),), "NAME.Settings.word is checked but not there"),
                ((("check_words(words)", "check(words)"),), "AttributeError: module 'NAME' has no attribute 'check_words'"),
            ]
        ):
            name = f"stranger{number}"
            with self.subTest(cause=cause):
                code = self.changed(*changes).replace('"stranger', f'"{name}')
                self.install(code, f"echo{number}", f"{name}:SERVICE", name)
                found = self.faults(f"config_version = 1\n[echo{number}]\n")
                self.assertEqual(1, len(found), found)
                self.assertIn(cause.replace("NAME", name), found[0][2])

    def test_name_of_ours(self) -> None:
        """Ours it stays; whoever writes the other's keys under it is told why they are not known."""
        self.install(service="questions")
        self.right("config_version = 1\n[questions]\nmax_question = 100\n")
        text = "config_version = 1\n[questions]\nmax_line = 3\n"
        taken = "launcelot-stranger 1.5 offers a service 'questions', which is Launcelot's own name; ask its author for another"
        self.assertEqual(
            [(2, "questions", taken), (3, "questions.max_line", "unknown key 'max_line'")], self.faults(text)
        )
        self.assertIn("# Launcelot-stranger 1.5 offers a service 'questions', which", example())
        with self.assertRaises(BadGuest):
            find("questions", offers())

    def test_two_of_one_name(self) -> None:
        """Neither runs: nobody could tell which one is meant."""
        self.install(name="first-echo")
        self.install(module="other", name="second-echo")
        self.assertEqual(
            "first-echo 1.5 and second-echo 1.5 offer a service 'echo' both; uninstall one of them", self.fault()
        )

    def test_listener_with_a_name_of_ours(self) -> None:
        """Sockets and counters go by it."""
        self.install(self.changed(('{"echo": Place', '{"imaps": Place')))
        self.assertIn("its listener 'imaps' has the name of one of Launcelot's own", self.fault())

    def test_two_guests_with_one_listener(self) -> None:
        """The second one is told."""
        self.install()
        self.install(self.changed(('"stranger', '"other')), "repeat", "other:SERVICE", "other")
        self.assertEqual(
            [(3, "repeat", "has a listener 'echo', as [echo] has; disable one of them")], self.faults(f"{TABLE}[repeat]\n")
        )

    def test_check_that_fails(self) -> None:
        """A bug in a check is a fault of that key."""
        self.install(self.changed(('if "\\n" in words', "if words.nothing")))
        found = self.faults()
        self.assertEqual("echo.words", found[0][1])
        self.assertIn("cannot be checked: AttributeError", found[0][2])

    def test_values_that_the_settings_refuse(self) -> None:
        """A dataclass may look at its values together."""
        post = "\n    def __post_init__(self):\n        if self.max_line == 13: raise BadSetting('13 brings bad luck')\n"
        self.install(self.changed(("class Settings:", "class Settings:" + post)))
        self.right()
        self.assertEqual("13 brings bad luck", self.fault(f"{TABLE}max_line = 13\n"))

    def test_not_installed(self) -> None:
        """A plugin whose distribution is gone."""
        with self.assertRaises(BadGuest) as caught:
            find("echo", offers())
        text = "no installed distribution offers a service 'echo'; install it in this environment"
        self.assertEqual(text, caught.exception.text)

    def test_maker_of_one_with_a_fault(self) -> None:
        """twistd ends with the line and an exit code."""
        self.install("1 / 0")
        said: list[str] = []
        self.patch(tap, "say", said.append)
        with self.assertRaises(SystemExit) as caught:
            tap.Maker("launcelot-echo", ("echo",)).Options()
        self.assertEqual(CONFIGURATION, caught.exception.code)
        self.assertIn("cannot be loaded: ZeroDivisionError", said[0])

    def test_example_names_it(self) -> None:
        """The sample file says what is wrong, and is right."""
        self.install("1 / 0")
        self.assertIn("cannot be loaded: ZeroDivisionError", example().replace("\n# ", " "))
        self.assertEqual(defaults(), self.right(example()))


class BuildTests(GuestCase):
    """``build`` with faults."""

    def ending(self, *changes: tuple[str, str]) -> str:
        """What is said of a service that is built so."""
        self.install(self.changed(*changes))
        with self.assertRaises(Ending) as caught:
            build_services(memory_site().site, self.right())
        self.assertEqual(SOFTWARE, caught.exception.status)
        self.assertEqual(1, len(caught.exception.text.splitlines()))
        return str(caught.exception.text)

    def test_raises(self) -> None:
        """With the place."""
        text = self.ending(("factory = Echo", "1 / 0; factory = Echo"))
        self.assertRegex(text, r"'echo' cannot be built: ZeroDivisionError: division by zero \(.*/stranger.py, line \d+\); tell")

    def test_refuses_a_setting(self) -> None:
        """The guest's own words."""
        self.install(self.changed(("factory = Echo", "raise BadSetting('words: too few'); factory = Echo")))
        with self.assertRaises(Ending) as caught:
            build_services(memory_site().site, self.right())
        self.assertEqual("words: too few", caught.exception.text)

    def test_gives_something_else(self) -> None:
        """A forgotten return."""
        text = self.ending(("return Listeners", "Listeners"))
        self.assertIn("stranger.build gave no launcelot.hosting.listening.Listeners", text)

    def test_listener_that_is_no_place(self) -> None:
        """Nobody could find it."""
        self.assertIn("its listener 'ecko' is none of its places", self.ending(('Listener("echo"', 'Listener("ecko"')))

    def test_factory_of_another_kind(self) -> None:
        """It could not be drained."""
        change = ("factory = EchoFactory(", "from twisted.internet.protocol import Factory\n    factory = Factory() or (")
        self.assertIn("is no launcelot.hosting.server.ServerFactory", self.ending(change))


class PluginTests(StrangerCase):
    """The one line in a guest's plugin file."""

    def said_by(self, *command: str) -> tuple[int, str, str]:
        """A program's exit code and what it says, with what is installed in the test's place."""
        known = environment(self.place)
        path = f"{self.place}:{known['PYTHONPATH']}"
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, cwd=self.place, env={**known, "PYTHONPATH": path}
        )
        return done.returncode, done.stdout, done.stderr

    def test_imports_nothing_of_the_house(self) -> None:
        """``twistd --help`` stays fast with guests installed."""
        code = (
            "import sys; from launcelot.app.plugin import GuestMaker; maker = GuestMaker('echo', 'Echo.');"
            " print(maker.tapname, maker.description, [name for name in sys.modules if name.startswith('launcelot')])"
        )
        status, said, _ = self.said_by(sys.executable, "-c", code)
        self.assertEqual(0, status)
        self.assertEqual("launcelot-echo Echo. ['launcelot', 'launcelot.app', 'launcelot.app.plugin']", said.strip())

    def test_guest_with_a_fault(self) -> None:
        """twistd lists it and others; chosen or configured it is one line and an exit code."""
        self.install("1 / 0")
        plugins = self.place / "twisted" / "plugins"
        plugins.mkdir(parents=True)
        line = "from launcelot.app.plugin import GuestMaker\n\necho = GuestMaker('echo', 'Says it again.')\n"
        (plugins / "launcelot_echo_plugin.py").write_text(line)
        status, said, _ = self.said_by(*TWISTD, "--help")
        self.assertEqual(0, status)
        self.assertIn("launcelot-echo", said)
        self.assertIn("launcelot-imap", said)
        (self.place / "launcelot.toml").write_text(TABLE)
        for command in (("launcelot-echo",), ("launcelot", "--config", "launcelot.toml")):
            status, said, errors = self.said_by(*TWISTD, "-n", "--pidfile=", *command, "--data", "data")
            self.assertEqual(CONFIGURATION, status, command)
            told = "the service 'echo' of launcelot-stranger 1.5 cannot be loaded: ZeroDivisionError: division by zero"
            self.assertEqual(1, (said + errors).count(told), command)
            self.assertNotIn("Traceback", said + errors)


class RunningTests(DaemonCase):
    """A guest in a daemon that runs."""

    HOUSE = "config_version = 1\n" + "".join(f"[{name}]\nenabled = false\n" for name in SERVICES if name != "questions")
    """The house's services, most of them off."""

    def reload(self, table: str) -> subprocess.CompletedProcess[str]:
        """Give the daemon another table for the guest."""
        self.config.write_text(self.HOUSE + table)
        return self.launcelot("reload", "--data", str(self.data))

    def test_comes_fails_and_goes(self) -> None:
        """Taken up by a reload, alone with its bugs, in the status, and gone when its table is."""
        boom = ("factory = Echo", "1 / len(settings.words); factory = Echo")
        write_distribution(self.folder, "stranger", ECHO.replace(*boom), "echo", "stranger:SERVICE")
        self.config = self.folder / "x.toml"
        self.config.write_text(self.HOUSE)
        path = f"PYTHONPATH={self.folder}:{CHECKOUT}"
        questions = ("--questions=tcp:0:interface=127.0.0.1",)
        _, said = self.running("env", path, *self.twistd("--config", str(self.config), ports=questions))
        self.assertNotIn("echo", said)
        table = '[echo]\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
        done = self.reload(table)
        self.assertIn("new settings for echo; listening on tcp://127.0.0.1:", done.stdout + done.stderr)
        with self.connect("echo") as right, self.connect("questions") as asking:
            with self.connect("echo") as wrong, wrong.makefile("rb") as answers:
                wrong.sendall(b"raise\r\n")
                self.assertEqual(b"internal error\r\n", answers.read())
            failed = self.reload(f'{table}words = ""\n')
            self.assertEqual(SOFTWARE, failed.returncode)
            self.assertIn("the service 'echo' cannot be built: ZeroDivisionError", failed.stderr)
            self.assertEqual(1, len(failed.stderr.splitlines()))
            right.sendall(b"hello\r\n")
            self.assertEqual(b"again hello\r\n", right.recv(100))
            asking.sendall(b"What is your quest?")
            self.assertEqual(b"To seek the Holy Grail.", asking.recv(100))
            status = self.ask("status")
            self.assertEqual(1, status["connections"]["echo"])
            self.assertEqual(1, status["counters"]["echo.errors.internal"])
            self.assertEqual("none", next(one["tls"] for one in status["listeners"] if one["name"] == "echo"))
        self.assertIn("no longer on tcp://127.0.0.1:", self.reload("").stdout)
        self.assertEqual(["questions"], [one["name"] for one in self.ask("status")["listeners"]])
