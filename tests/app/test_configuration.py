"""The configuration file: every kind of fault, with its line."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.catalogue import SERVICES, settings_of
from launcelot.app.configuration import (
    GROUPS,
    Configuration,
    configuration_for,
    defaults,
    endpoint_fault,
    must_read,
    parse,
    read,
)
from launcelot.app.errors import CONFIGURATION, Ending
from launcelot.app.example import example
from launcelot.app.settings import ServiceSwitch, default_data
from launcelot.core.settings import declared

CHECKOUT = Path(__file__).resolve().parents[2]


def faults(text: str) -> list[tuple[int, str, str]]:
    """Line, key and text of everything wrong."""
    return [(one.line, one.key, one.text) for one in parse(text)[1]]


class FaultTests(SynchronousTestCase):
    """What is said about wrong files."""

    def test_unknown_key_names_the_nearest(self) -> None:
        """A slip of the hand is mended by reading one line."""
        found = faults('config_version = 1\n[daemon]\nhostnam = "a"\n')
        self.assertEqual([(3, "daemon.hostnam", "unknown key 'hostnam'; did you mean 'hostname'?")], found)

    def test_unknown_table_names_the_nearest(self) -> None:
        """Tables are keys like others."""
        found = faults("config_version = 1\n\n[imaps]\nenabled = true\n")
        self.assertEqual([(3, "imaps", "unknown key 'imaps'; did you mean 'imap'?")], found)

    def test_all_faults_at_once_in_the_order_of_their_lines(self) -> None:
        """Nobody mends a file one fault at a time."""
        text = """\
config_version = 2
[questions]
max_question = "long"
idle_timeout = 0
enabled = 1
[tls]
minimum_version = "1.1"
[daemon]
domains = "example.com"
nonsense = 1
"""
        self.assertEqual(
            [
                (1, "config_version", "must be 1, the version this program reads"),
                (3, "questions.max_question", "must be a whole number, not a text"),
                (4, "questions.idle_timeout", "must be at least 1 seconds"),
                (5, "questions.enabled", "must be true or false, not a whole number"),
                (7, "tls.minimum_version", "must be one of 1.2, 1.3"),
                (9, "daemon.domains", "must be a list, not a text"),
                (10, "daemon.nonsense", "unknown key 'nonsense'"),
            ],
            faults(text),
        )

    def test_missing_version(self) -> None:
        """A file without a version is a fault of its first line."""
        self.assertEqual([(1, "config_version", "missing; write config_version = 1 at the top")], faults(""))

    def test_version_true_is_not_one(self) -> None:
        """In Python true is 1; in a configuration it is not."""
        self.assertEqual("config_version", faults("config_version = true\n")[0][1])

    def test_syntax_error_with_line(self) -> None:
        """TOML's own errors keep their line and column."""
        found = faults('config_version = 1\n[daemon]\nhostname = "a\n')
        self.assertEqual(3, found[0][0])
        self.assertRegex(found[0][2], r"column \d+")

    def test_syntax_error_at_the_end(self) -> None:
        """An unfinished file is a fault of its last line."""
        found = faults('config_version = 1\n[daemon]\nhostname = """\nabc')
        self.assertEqual(4, found[0][0])

    def test_double_table(self) -> None:
        """tomllib finds it, we pass it on."""
        self.assertEqual(4, faults("config_version = 1\n[daemon]\n[tls]\n[daemon]\n")[0][0])

    def test_nested_too_deep(self) -> None:
        """A hundred thousand brackets end in a fault, not in a traceback."""
        self.assertEqual(1, len(faults("a = " + "[" * 100_000)))

    def test_table_that_is_a_value(self) -> None:
        """A value where a table belongs."""
        self.assertEqual([(2, "imap", "must be a table, not a whole number")], faults("config_version = 1\nimap = 3\n"))

    def test_certificate_without_key(self) -> None:
        """Rules that concern two keys point at the one that is there."""
        found = faults('config_version = 1\n[tls]\ncertificate = "a.pem"\n')
        self.assertEqual([(3, "tls.certificate", "needs key beside it; give both or none")], found)
        found = faults('config_version = 1\n[tls]\nkey = "a.pem"\n')
        self.assertEqual([(3, "tls.key", "needs certificate beside it; give both or none")], found)

    def test_impossible_names(self) -> None:
        """Host name and domains are looked at."""
        found = faults(
            'config_version = 1\n[daemon]\nhostname = "a b"\ndomains = ["example.com", "-x", "1.2.3.4"]\n'
            '[accounts]\nfirst = "a b"\n'
        )
        self.assertEqual(
            [(3, "daemon.hostname"), (4, "daemon.domains"), (4, "daemon.domains"), (6, "accounts.first")],
            [one[:2] for one in found],
        )

    def test_no_domain(self) -> None:
        """There is no mail without one."""
        found = faults("config_version = 1\n[daemon]\ndomains = []\n")
        self.assertEqual([(3, "daemon.domains", "must name at least one domain")], found)

    def test_impossible_endpoints(self) -> None:
        """Endpoints are looked at as far as one can without listening."""
        found = faults('config_version = 1\n[imap]\nlisten = ["tcp:143", "143"]\nlisten_tls = ["tcp:imaps"]\n')
        self.assertEqual([(3, "imap.listen"), (4, "imap.listen_tls")], [one[:2] for one in found])

    def test_load_balancers(self) -> None:
        """Networks are networks, and who expects a balancer must trust one."""
        found = faults('config_version = 1\n[daemon]\nproxy_networks = ["10.0.0.1/8"]\n')
        self.assertEqual([(3, "daemon.proxy_networks")], [one[:2] for one in found])
        self.assertIn("has host bits set; write it as 10.0.0.0/8", found[0][2])
        proxied = '[imap]\nlisten = ["tcp:1143", "proxied:tcp:143"]\n'
        found = faults(f"config_version = 1\n{proxied}")
        self.assertEqual([(3, "imap.listen", "'proxied:tcp:143' needs daemon.proxy_networks, which names nobody")], found)
        self.assertEqual([], faults(f'config_version = 1\n[daemon]\nproxy_networks = ["10.0.0.0/8", "::1"]\n{proxied}'))

    def test_services_own_rules(self) -> None:
        """What only a room can tell wrong is found with the rest."""
        found = faults('config_version = 1\n[ftp]\npassive_ports = "many"\npassive_address = "x"\n')
        self.assertEqual([(3, "ftp.passive_ports"), (4, "ftp.passive_address")], [one[:2] for one in found])

    def test_one_fault_for_one_key(self) -> None:
        """A key of the wrong kind is not found wrong a second time by a rule."""
        self.assertEqual(1, len(faults("config_version = 1\n[imap]\nlisten = 3\n")))

    def test_what_is_wrong_keeps_its_default(self) -> None:
        """Reading goes on behind a fault."""
        configuration, _ = parse('config_version = 1\n[daemon]\nhostname = 1\ndomains = ["a.example"]\n')
        self.assertEqual("", configuration.daemon.hostname)
        self.assertEqual(("a.example",), configuration.daemon.domains)


class FileTests(SynchronousTestCase):
    """Files and the folder they lie in."""

    def setUp(self) -> None:
        """A folder."""
        kept = TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)

    def put(self, octets: bytes, name: str = "x.toml") -> Path:
        """A file in it."""
        path = self.folder / name
        path.write_bytes(octets)
        return path

    def test_not_utf_8(self) -> None:
        """The line is found all the same."""
        _, found = read(self.put(b"config_version = 1\n# f\xfcnf\n"))
        self.assertEqual([(2, "", "not UTF-8; save the file as UTF-8")], [(f.line, f.key, f.text) for f in found])

    def test_missing_file(self) -> None:
        """One line with the path."""
        ending = self.assertRaises(Ending, read, self.folder / "none.toml")
        self.assertEqual(CONFIGURATION, ending.status)
        self.assertIn("none.toml: cannot read the configuration: No such file or directory", ending.text)

    def test_every_fault_becomes_a_line(self) -> None:
        """What stops a daemon is in the form editors jump to."""
        path = self.put(b"config_version = 1\n[daemon]\na = 1\nb = 1\n")
        ending = self.assertRaises(Ending, must_read, path)
        self.assertEqual(
            f"{path}:3: daemon.a: unknown key 'a'\n{path}:4: daemon.b: unknown key 'b'", ending.text
        )

    def test_file_in_the_data_folder_is_used(self) -> None:
        """Commands need not be told twice."""
        self.put(b'config_version = 1\n[daemon]\ndomains = ["here.example"]\n', "launcelot.toml")
        configuration = configuration_for(None, str(self.folder))
        self.assertEqual((("here.example",), self.folder), (configuration.daemon.domains, configuration.data))

    def test_named_file_goes_first(self) -> None:
        """--config is used instead, and --data changes its folder."""
        self.put(b"junk", "launcelot.toml")
        named = self.put(b'config_version = 1\n[daemon]\ndata = "/elsewhere"\n')
        self.assertEqual(Path("/elsewhere"), configuration_for(str(named), None).data)
        self.assertEqual(self.folder, configuration_for(str(named), str(self.folder)).data)

    def test_no_file(self) -> None:
        """Everything has a default."""
        self.assertEqual(defaults().with_data(str(self.folder)), configuration_for(None, str(self.folder)))


class ChangeTests(SynchronousTestCase):
    """What options change."""

    def test_service_can_be_switched_off(self) -> None:
        """enabled = false leaves it out."""
        configuration, found = parse("config_version = 1\n[imap]\nenabled = false\n")
        self.assertEqual([], found)
        self.assertEqual(set(SERVICES) - {"imap"}, set(configuration.services))

    def test_only_one_service(self) -> None:
        """A plugin for one service runs it with its settings, even if it is switched off in the file."""
        configuration, _ = parse("config_version = 1\n[questions]\nmax_question = 64\n[imap]\nenabled = false\n")
        self.assertEqual(64, configuration.only(["questions"]).services["questions"].max_question)
        self.assertEqual(["imap"], list(configuration.only(["imap"]).services))

    def test_endpoints_take_the_place_of_configured_ones(self) -> None:
        """Other settings of the service stay."""
        configuration, _ = parse('config_version = 1\n[imap]\nlisten = ["tcp:9"]\nmax_connections = 7\n')
        changed = configuration.listening({("imap", "listen"): ["tcp:1", "tcp:2"]}).services["imap"]
        self.assertEqual((("tcp:1", "tcp:2"), 7), (changed.listen, changed.max_connections))

    def test_socket_lies_in_the_data_folder(self) -> None:
        """Unless it is put elsewhere."""
        self.assertEqual(Path("/d/admin.sock"), Configuration().with_data("/d").admin_socket)
        given, _ = parse('config_version = 1\n[daemon]\nadmin_socket = "/run/x"\n')
        self.assertEqual(Path("/run/x"), given.admin_socket)

    def test_default_folder(self) -> None:
        """XDG_DATA_HOME counts when it is absolute, as its specification asks."""
        self.assertEqual(Path("/x/launcelot"), default_data({"XDG_DATA_HOME": "/x", "HOME": "/h"}))
        self.assertEqual(Path("/h/.local/share/launcelot"), default_data({"XDG_DATA_HOME": "x", "HOME": "/h"}))
        self.assertEqual(Path("/h/.local/share/launcelot"), default_data({"HOME": "/h"}))

    def test_endpoint_faults(self) -> None:
        """Right ones pass, wrong ones are named."""
        right = ("tcp:0", "tcp:65535:interface=127.0.0.1", "tcp6:25", "tcp:port=25", "unix:/x", "systemd:name=smtp")
        for one in (*right, "proxied:tcp:25", "proxied:systemd:name=smtp"):
            self.assertEqual("", endpoint_fault(one), one)
        nonsense = ("", "tcp", "tcp:", "tcp:65536", "tcp:-1", "tcp:²", "25", ":25", "a b:1")
        for wrong in (*nonsense, "proxied:", "proxied:tcp:x", "proxied:unix:/x", "proxied:proxied:tcp:1", "proxied:udp:1"):
            self.assertIn(repr(wrong), endpoint_fault(wrong), wrong)


class CatalogueTests(SynchronousTestCase):
    """The catalogue knows what the services say of themselves."""

    def test_every_endpoint_setting_has_its_option(self) -> None:
        """A listener that a room adds must be known to the roof."""
        for name, entry in SERVICES.items():
            settings = settings_of(name)()
            own = {one.name for one in dataclasses.fields(settings) if one.name.startswith("listen")}
            self.assertEqual(own, {place.setting for place in entry.places.values()}, name)

    def test_default_ports_are_the_settings_ones(self) -> None:
        """The help tells the truth, and the ports of different listeners differ."""
        seen: list[tuple[str, int]] = []
        for name, entry in SERVICES.items():
            settings = settings_of(name)()
            for place in entry.places.values():
                expected = (f"{place.kind}:{place.default}:interface=127.0.0.1",) if place.usual else ()
                self.assertEqual(expected, getattr(settings, place.setting), name)
                seen.append((place.kind, place.default))
        self.assertEqual(len(set(seen)), len(seen))

    def test_every_service_can_limit_sources(self) -> None:
        """The demo raises this limit."""
        for name in SERVICES:
            self.assertTrue(hasattr(settings_of(name)(), "max_connections_per_source"), name)

    def test_every_setting_is_explained(self) -> None:
        """There is a text for each."""
        groups: list[type[Any]] = [*GROUPS.values(), ServiceSwitch, *map(settings_of, SERVICES)]
        for group in groups:
            for one in dataclasses.fields(group):
                self.assertGreater(len(declared(one).text), 10, f"{group.__module__}.{one.name}")


class ExampleTests(SynchronousTestCase):
    """The sample file."""

    def test_is_right(self) -> None:
        """As it is it means the defaults."""
        configuration, found = parse(example())
        self.assertEqual([], found)
        self.assertEqual(defaults(), configuration)

    def test_every_key_in_it_is_right_and_the_default(self) -> None:
        """With every # before a key removed it still means the defaults."""
        text = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", example())
        self.assertNotEqual(text, example())
        configuration, found = parse(text)
        self.assertEqual([], found)
        self.assertEqual(defaults(), configuration)

    def test_shipped_file_is_the_generated_one(self) -> None:
        """etc/launcelot/launcelot.toml is made by ``launcelot config example``."""
        shipped = (CHECKOUT / "etc" / "launcelot" / "launcelot.toml").read_text("utf-8")
        self.assertEqual(example(), shipped, "write it anew: launcelot config example > etc/launcelot/launcelot.toml")

