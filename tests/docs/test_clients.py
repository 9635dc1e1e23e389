"""``docs/clients.rst``: who is said to be tested is tested."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.guide import CHECKOUT

PAGE = CHECKOUT / "docs" / "clients.rst"


class ClientTests(SynchronousTestCase):
    """The tables."""

    def test_the_modules_named_are_those_that_there_are(self) -> None:
        """Each row's modules exist, and every program of a row is in one of them."""
        rows = re.findall(r"^(\S.*?) {2,}.*? {2,}(test_\w+(?:, test_\w+)*)$", PAGE.read_text(), re.MULTILINE)
        self.assertGreater(len(rows), 14)
        for programs, modules in rows:
            sources = "".join((CHECKOUT / "tests" / "clients" / f"{name}.py").read_text() for name in modules.split(", "))
            for program in re.sub(r" [\d.]+", "", programs).split(", "):
                self.assertIn(program.lower(), sources.lower(), modules)
