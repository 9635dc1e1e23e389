"""Team folders over the memory store and over the disk, where links may have been planted."""

from __future__ import annotations

import os
from pathlib import Path as FilePath

from launcelot.core.errors import NotFound
from launcelot.core.filerights import ALL
from launcelot.filestore.disk import DiskFileStore
from launcelot.filestore.interface import FileStore
from launcelot.filestore.memory import MemoryFileStore
from launcelot.workers.memory import InlineWorkers
from tests.filestore import teamcontract
from tests.filestore.teamcontract import FILE, SEE


class MemoryTeamTests(teamcontract.TeamContract):
    """In memory."""

    def make_store(self) -> FileStore:
        return MemoryFileStore(self.now, self.ids)


class DiskTeamTests(teamcontract.TeamContract):
    """On disk."""

    def make_store(self) -> FileStore:
        self.disk = FilePath(self.mktemp())
        return DiskFileStore(self.disk, InlineWorkers(), self.now, self.ids)

    def test_links_do_not_lead_from_one_tree_to_another(self) -> None:
        """What somebody planted in a team folder, or in an own tree, to lead into the other is not there."""
        self.let(ALL)
        self.put(self.ben, ("secret",), b"ben's own")
        plans, bens = self.disk / "t-Plans" / "files", self.disk / "b2" / "files"
        os.symlink(bens.absolute(), plans / "out")
        os.symlink("../../b2/files/secret", plans / "file")
        os.symlink(plans.absolute(), bens / "in")
        for path in (("team", "Plans", "out"), ("team", "Plans", "out", "secret"), ("team", "Plans", "file"), ("in", "f")):
            self.refused(NotFound, self.ann.read(path))
            self.refused(NotFound, self.ben.read(path))
            self.refused(NotFound, self.ben.entry(path))
        self.refused(NotFound, self.ben.upload(("in", "new")))
        self.refused(NotFound, self.ben.upload(("team", "Plans", "out", "new")))
        self.assertEqual((self.names(self.ann, "team", "Plans"), self.names(self.ben)), (["d", "f"], ["secret", "team"]))

    def test_link_in_the_reserved_place_is_no_way_in(self) -> None:
        """A link of the reserved name in an own tree neither hides the team folders nor is followed."""
        bens = self.disk / "b2" / "files"
        os.symlink((self.disk / "t-Plans" / "files").absolute(), bens / "team")
        self.refused(NotFound, self.ben.entry(("team",)))
        self.refused(NotFound, self.ben.read(FILE))
        self.let(SEE)
        self.assertEqual(self.content(self.ben, FILE), b"plan")
        self.assertEqual(self.names(self.ben), ["team"])
