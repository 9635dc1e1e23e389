"""``docs/team-folders.rst``: its commands, run one after the other on a data folder."""

from __future__ import annotations

from pathlib import Path

from tests.app.test_command import CommandCase
from tests.docs.test_docs import CHECKOUT, commands

PAGE = CHECKOUT / "docs" / "team-folders.rst"


class TeamPageTests(CommandCase):
    """The page."""

    def test_every_command_does_what_it_says(self) -> None:
        """With the people and the group that it speaks of; in the end the folders are as it tells."""
        for name in ("ann", "bob", "eve", "backup"):
            self.on_data("account", "add", name, said="x")
        self.on_data("group", "add", "crew")
        lines = [words[1:] for words in commands(PAGE) if Path(words[0]).name == "launcelot"]
        self.assertGreater(len(lines), 12)
        for words in lines:
            self.assertEqual(0, self.on_data(*words), f"{words}: {self.errors}")
        self.on_data("files", "team", "list", "--json")
        found = {one["folder"]: {grant["name"]: grant["rights"] for grant in one["grants"]} for one in self.answer()["folders"]}
        self.assertEqual(set(found), {"Applications", "Log", "Plans"})
        self.assertEqual(found["Applications"]["anyone"], ["create"])
        self.assertEqual(found["Log"]["backup"], ["append", "create"])
        self.assertEqual(found["Plans"], {"ann": list(ALL), "crew": ["list", "read"], "anyone": ["list"]})


ALL = ("list", "read", "write", "append", "create", "delete", "rename")
