"""What is installed."""

from __future__ import annotations

from configparser import ConfigParser

from twisted.trial.unittest import SynchronousTestCase

from tests.app.programs import CHECKOUT


class PackageTests(SynchronousTestCase):
    """``setup.cfg`` lists packages by name."""

    def test_every_package_is_installed(self) -> None:
        """None is forgotten, which only whoever installs the wheel would see."""
        parser = ConfigParser()
        parser.read(CHECKOUT / "setup.cfg")
        listed = set(parser["options"]["packages"].split()) - {"twisted.plugins"}
        folders = [path.parent.relative_to(CHECKOUT) for path in (CHECKOUT / "launcelot").glob("**/__init__.py")]
        found = {".".join(folder.parts) for folder in folders}
        self.assertEqual(listed, found)
