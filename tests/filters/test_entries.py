"""Entries of the list of filters, guests' checks, and what a configuration makes of them."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.filtering import check_filter, guest_check
from launcelot.app.guests import BadGuest
from launcelot.checks.interface import Check
from launcelot.filters.asking import Place
from launcelot.filters.entries import Wanted, parse_filter
from launcelot.filters.settings import build_filters


class EntryTests(SynchronousTestCase):
    """Texts."""

    def test_entries(self) -> None:
        """Kind, place, and what becomes of mail otherwise."""
        for text, wanted in (
            ("milter unix:/run/a.sock", Wanted("milter", Place("/run/a.sock"), "", True)),
            ("rspamd 127.0.0.1:11333 accept", Wanted("rspamd", Place("", "127.0.0.1", 11333), "", False)),
            ("lmtp [::1]:24 defer", Wanted("lmtp", Place("", "::1", 24), "", True)),
            ("milter mx.example.org:1", Wanted("milter", Place("", "mx.example.org", 1), "", True)),
            ("plugin one", Wanted("plugin", None, "one", True)),
        ):
            self.assertEqual(parse_filter(text), wanted)
        self.assertEqual([str(Place("/a")), str(Place("", "::1", 2)), str(Place("", "a", 2))], ["unix:/a", "[::1]:2", "a:2"])

    def test_what_is_none(self) -> None:
        """Each with words that say why."""
        for text in (
            "", "milter", "spamd a:1", "milter a", "milter a:0", "milter a:65536", "milter unix:a", "milter ::1:2",
            "milter a:1 maybe", "milter a:1 defer x", "plugin a accept", "rspamd http://a:1",
        ):  # fmt: skip
            self.assertRaises(ValueError, parse_filter, text)

    def test_checks_are_built_in_order(self) -> None:
        """One for each entry, with time for it beyond what the filter has."""
        entries = ["rspamd a:1", "plugin mine", "milter unix:/a accept", "lmtp a:1"]
        mine = Check()
        found = build_filters(entries, Clock(), "here.test", 50.0, lambda name: mine)
        self.assertEqual([one.name for one in found], ["rspamd", "check", "milter", "lmtp"])
        self.assertIs(found[1], mine)
        self.assertTrue(all(one.time > 50 for one in found if one is not mine))


METADATA = "Metadata-Version: 2.1\nName: some-checks\nVersion: 1.0\n"


class GuestTests(SynchronousTestCase):
    """Checks of another distribution, installed in a folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / "some_checks_module.py").write_text(
            "from launcelot.checks.interface import Check\n"
            "class Mine(Check):\n    name = 'mine'\n"
            "def broken():\n    raise OSError('no file')\n"
        )
        self.info = self.folder / "some_checks-1.0.dist-info"
        self.info.mkdir()
        (self.info / "METADATA").write_text(METADATA)
        (self.info / "entry_points.txt").write_text(
            "[launcelot.checks]\nmine = some_checks_module:Mine\nbroken = some_checks_module:broken\n"
            "other = some_checks_module:Check.sender\nabsent = no_such_module:X\nkind = builtins:dict\n"
        )
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        self.addCleanup(sys.modules.pop, "some_checks_module", None)

    def test_one_that_is_there(self) -> None:
        """Made anew for whoever asks."""
        self.assertEqual(guest_check("mine").name, "mine")
        check_filter("plugin mine")

    def test_those_that_cannot_be_used(self) -> None:
        """One line that names distribution, cause and remedy."""
        for name, words in (
            ("nobody", "no installed distribution offers a check 'nobody'; install it"),
            ("broken", "of some-checks 1.0 cannot be made: OSError: no file"),
            ("absent", "of some-checks 1.0 cannot be made: ModuleNotFoundError"),
            ("kind", "of some-checks 1.0 is no launcelot.checks.interface.Check"),
        ):
            error = self.assertRaises(BadGuest, guest_check, name)
            self.assertIn(words, error.text)
            self.assertNotIn("\n", error.text)
            self.assertRaises(ValueError, check_filter, f"plugin {name}")

    def test_two_of_one_name(self) -> None:
        """Neither is taken."""
        other = self.folder / "other_checks-2.0.dist-info"
        other.mkdir()
        (other / "METADATA").write_text(METADATA.replace("some-checks", "other-checks").replace("1.0", "2.0"))
        (other / "entry_points.txt").write_text("[launcelot.checks]\nmine = some_checks_module:Mine\n")
        self.assertIn("uninstall one of them", self.assertRaises(BadGuest, guest_check, "mine").text)
