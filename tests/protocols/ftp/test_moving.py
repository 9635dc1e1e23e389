"""Files and trees between our server in memory and a folder: resumed, compared, mirrored, and never half there."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from launcelot.protocols.ftp.client import Refused, Truncated
from launcelot.protocols.ftp.listing import Listed
from launcelot.protocols.ftp.moving import Differs, LocalError, Mover
from launcelot.workers.memory import InlineWorkers
from tests.protocols.ftp.test_client import ClientCase

DATA = bytes(range(256)) * 2_000


class MovingCase(ClientCase):
    """A session, and a folder here."""

    def setUp(self) -> None:
        """Log in."""
        super().setUp()
        self.login()
        self.here = Path(self.mktemp())
        self.here.mkdir()
        self.seen: list[tuple[str, int, int | None]] = []
        self.mover = self.new_mover()

    def new_mover(self, resume: bool = True) -> Mover:
        """One that has done nothing yet."""
        return Mover(self.client, InlineWorkers(), lambda *told: self.seen.append(told), resume)

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it happen."""
        self.now(Deferred.fromCoroutine(work))

    def fail_with(self, kind: type[Exception], work: Coroutine[Any, Any, None]) -> str:
        """How it fails."""
        return str(self.fails(Deferred.fromCoroutine(work), kind))

    def names(self, folder: Path | None = None) -> list[str]:
        """What is here."""
        return sorted(os.listdir(folder or self.here))


class FileTests(MovingCase):
    """Single files."""

    def test_get(self) -> None:
        """A file comes with its time, is compared, and its progress is told by octets."""
        self.peer.put("f", data=DATA)
        self.now(self.client.set_modified("f", 1_000_000_000.0))
        self.do(self.mover.get("f", self.here / "mine"))
        self.assertEqual((self.here / "mine").read_bytes(), DATA)
        self.assertEqual((self.here / "mine").stat().st_mtime, 1_000_000_000.0)
        self.assertEqual(self.names(), ["mine"])
        tally = self.mover.tally
        self.assertEqual((tally.files, tally.octets, tally.verified, tally.resumed), (1, len(DATA), 1, 0))
        self.assertEqual(self.seen[-1], ("f", len(DATA), len(DATA)))

    def test_put(self) -> None:
        """So does one that goes; the empty one, too."""
        for data in (DATA, b""):
            (self.here / "mine").write_bytes(data)
            os.utime(self.here / "mine", (5.0, 1_000_000_000.0))
            self.do(self.mover.put(self.here / "mine", "f"))
            self.assertEqual(self.peer.content("f"), data)
            self.assertEqual(self.now(self.client.modified("f")), 1_000_000_000.0)
        self.assertEqual((self.mover.tally.files, self.mover.tally.verified), (2, 2))
        self.do(self.mover.get("f", self.here / "empty"))
        self.assertEqual((self.here / "empty").read_bytes(), b"")

    def test_get_goes_on_where_it_was_cut(self) -> None:
        """What came of the same state of the file is not fetched again, at every length; another state begins anew."""
        self.peer.put("f", data=DATA[:600])
        self.do(self.mover.get("f", self.here / "mine"))
        [part] = [name for name in self.parts_while("f") if name != "mine"]
        for there in (0, 1, 300, 599, 600):
            (self.here / part).write_bytes(DATA[:there])
            mover = self.new_mover()
            self.do(mover.get("f", self.here / "mine"))
            self.assertEqual((self.here / "mine").read_bytes(), DATA[:600])
            self.assertEqual((mover.tally.resumed, mover.tally.octets), (there, 600 - there))
        (self.here / part).write_bytes(b"x" * 601)
        self.do(self.new_mover().get("f", self.here / "mine"))
        (self.here / part).write_bytes(DATA[:300])
        self.now(self.client.set_modified("f", 5.0))
        mover = self.new_mover()
        self.do(mover.get("f", self.here / "mine"))
        self.assertEqual(mover.tally.resumed, 0)

    def parts_while(self, remote: str) -> list[str]:
        """What is here while a file comes."""
        found: list[str] = []
        mover = Mover(self.client, InlineWorkers(), lambda *_: found.extend(self.names()))
        self.do(mover.get(remote, self.here / "mine"))
        return list(dict.fromkeys(found))

    def test_wrong_beginning_is_fetched_again(self) -> None:
        """A part that is not what the server has is found out by the digest, and all of it is fetched."""
        self.peer.put("f", data=DATA[:600])
        [part] = [name for name in self.parts_while("f") if name != "mine"]
        (self.here / part).write_bytes(b"x" * 300)
        mover = self.new_mover()
        self.do(mover.get("f", self.here / "mine"))
        self.assertEqual((self.here / "mine").read_bytes(), DATA[:600])
        self.assertEqual(mover.tally.octets, 900)
        (self.here / part).write_bytes(b"x" * 300)
        fresh = self.new_mover(resume=False)
        self.do(fresh.get("f", self.here / "mine"))
        self.assertEqual(fresh.tally.octets, 600)

    def test_file_that_differs_in_the_end(self) -> None:
        """Where digests never agree nothing is put in place, and nothing is kept."""
        self.peer.put("f", data=DATA)
        (self.here / "mine").write_bytes(b"old")
        self.patch(type(self.client), "digest", lambda *_: self.later("0" * 64))
        self.fail_with(Differs, self.mover.get("f", self.here / "mine"))
        self.assertEqual(((self.here / "mine").read_bytes(), self.names()), (b"old", ["mine"]))
        self.fail_with(Differs, self.mover.put(self.here / "mine", "g"))

    def later(self, value: Any) -> Deferred[Any]:
        """What has been answered."""
        answered: Deferred[Any] = Deferred()
        answered.callback(value)
        return answered

    def test_cut_download_leaves_the_old_file(self) -> None:
        """A server that says all went well and sent too little is not believed; the next run goes on."""
        self.peer.put("f", data=DATA)
        (self.here / "mine").write_bytes(b"old")
        plain = type(self.client).size
        self.patch(type(self.client), "size", lambda *_: self.later(len(DATA) + 1))
        self.fail_with(Truncated, self.mover.get("f", self.here / "mine"))
        self.assertEqual((self.here / "mine").read_bytes(), b"old")
        self.assertEqual(len(self.names()), 2)
        self.patch(type(self.client), "size", plain)

    def test_put_goes_on_where_it_was_cut(self) -> None:
        """What the server kept of a cut upload is not sent again; where it is something else all is sent."""
        (self.here / "mine").write_bytes(DATA)
        for kept, octets in ((DATA[:100_000], len(DATA) - 100_000), (DATA, 0), (b"x" * 100_000, 2 * len(DATA) - 100_000)):
            self.abandon("f", kept)
            self.assertEqual(self.now(self.client.kept("f")), len(kept))
            mover = self.new_mover()
            self.do(mover.put(self.here / "mine", "f"))
            self.assertEqual(self.peer.content("f"), DATA)
            self.assertEqual(mover.tally.octets, octets)
            self.assertEqual(self.now(self.client.kept("f")), 0)
        self.abandon("f", DATA + b"more")
        self.do(self.new_mover().put(self.here / "mine", "f"))
        self.assertEqual(self.peer.content("f"), DATA)

    def test_server_without_our_digest(self) -> None:
        """Where HASH has no SHA-256, or nobody tells what is kept, files move without being compared or gone on with."""
        (self.here / "mine").write_bytes(DATA)
        ours, kept = "HASH SHA-256*;SHA-512;", "SITE CHMOD;KEPT"
        for told, verified, octets in (
            (("HASH SHA-1*;MD5;", kept), 0, len(DATA)),
            (("HASH", kept), 0, len(DATA)),
            ((kept,), 0, len(DATA)),
            ((ours, "SITE CHMOD", "SITE UTIME"), 1, len(DATA)),
            (("HASH SHA-512*;SHA-256;", "SITE CHMOD", "SITE KEPT", "SITE UTIME"), 1, len(DATA) - 100_000),
        ):
            self.abandon("f", DATA[:100_000])
            self.patch(type(self.client), "features", lambda *_, told=told: self.later(told))
            mover = self.new_mover()
            self.do(mover.put(self.here / "mine", "f"))
            self.assertEqual(self.peer.content("f"), DATA)
            self.assertEqual((mover.tally.verified, mover.tally.octets), (verified, octets), told)

    def abandon(self, name: str, data: bytes) -> None:
        """Leave an upload in the middle."""

        async def half() -> None:
            upload = await self.peer.tree.upload((name,))
            await upload.write(data)
            await upload.abandon()

        self.world.result(half())

    def test_refusals(self) -> None:
        """What either side does not give or take is told with its name, and nothing is left."""
        self.assertIn("550", self.fail_with(Refused, self.mover.get("missing", self.here / "mine")))
        self.assertEqual(self.names(), [])
        self.assertIn("mine", self.fail_with(LocalError, self.mover.put(self.here / "mine", "f")))
        self.assertIn("is no file", self.fail_with(LocalError, self.mover.put(self.here, "f")))
        self.peer.put("f", data=DATA)
        self.assertIn("nowhere", self.fail_with(LocalError, self.mover.get("f", self.here / "nowhere" / "f")))


class MirrorTests(MovingCase):
    """Trees."""

    TREE = {("a",): b"1", ("d", "b \udcff"): DATA, ("d", "e", "\u00e4"): b"", ("z",): b"26"}

    def make_there(self) -> None:
        """The tree on the server."""
        for path, data in self.TREE.items():
            self.peer.put(*path, data=data)

    def here_as(self, folder: Path) -> dict[tuple[str, ...], bytes]:
        """What is in a folder here."""
        return {path.relative_to(folder).parts: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    def test_both_ways(self) -> None:
        """A tree comes down and goes up whole, odd names included; a repeat moves nothing."""
        self.make_there()
        near = self.here / "near"
        self.do(self.mover.mirror_down("", near))
        self.assertEqual(self.here_as(near), self.TREE)
        self.assertEqual((self.mover.tally.files, self.mover.tally.folders, self.mover.tally.failed), (4, 3, []))
        again = self.new_mover()
        self.do(again.mirror_down("/", near))
        self.assertEqual((again.tally.files, again.tally.skipped), (0, 4))
        self.do(self.mover.mirror_up(near, "/up"))
        self.assertEqual(self.peer.content("up", "d", "b \udcff"), DATA)
        up = self.new_mover()
        self.do(up.mirror_up(near, "/up"))
        self.assertEqual((up.tally.files, up.tally.skipped, up.tally.failed), (0, 4, []))
        (near / "a").write_bytes(b"one")
        self.do(up.mirror_up(near, "/up"))
        self.assertEqual((up.tally.files, self.peer.content("up", "a")), (1, b"one"))

    def test_deleting(self) -> None:
        """Only where it is said is removed what the other one lacks, folders with all in them, and never behind a link."""
        self.make_there()
        near, outside = self.here / "near", self.here / "outside"
        outside.mkdir()
        (outside / "kept").write_bytes(b"kept")
        self.do(self.mover.mirror_down("", near))
        (near / "extra" / "deep").mkdir(parents=True)
        (near / "extra" / "deep" / "f").write_bytes(b"f")
        (near / "link").symlink_to(outside)
        self.do(self.mover.mirror_down("", near))
        self.assertIn("extra", self.names(near))
        self.do(self.mover.mirror_down("", near, delete=True))
        self.assertEqual(self.names(near), ["a", "d", "z"])
        self.assertEqual(self.mover.tally.removed, 4)
        self.assertEqual(self.names(outside), ["kept"])
        (near / "a").unlink()
        for name in ("b \udcff", "e/\u00e4"):
            (near / "d" / name).unlink()
        (near / "d" / "e").rmdir()
        (near / "d").rmdir()
        up = self.new_mover()
        self.do(up.mirror_up(near, "/", delete=True))
        self.assertEqual(self.peer.names(), ["z"])
        self.assertEqual((up.tally.removed, up.tally.failed), (5, []))

    def test_deleting_spares_team_folders(self) -> None:
        """A mirror of all that somebody has removes nothing in the place of team folders, which it cannot have here."""
        self.peer.world.add_team("Plans", {"ann": "editor"}, files={"f": b"plan"})
        self.make_there()
        near = self.here / "near"
        near.mkdir()
        (near / "only").write_bytes(b"1")
        self.do(self.mover.mirror_up(near, "/", delete=True))
        self.assertEqual(self.peer.names(), ["only"])
        self.assertEqual((self.mover.tally.left_out, self.mover.tally.failed), (1, []))
        down = self.new_mover()
        self.do(down.mirror_down("/team", self.here / "team"))
        self.assertEqual((self.here / "team" / "Plans" / "f").read_bytes(), b"plan")

    def test_what_fails_does_not_stop_the_rest(self) -> None:
        """A file that cannot be moved is told by name, and the others are."""
        self.make_there()
        near = self.here / "near"
        (near / "a").mkdir(parents=True)
        (near / "d").write_bytes(b"a file where a folder is")
        self.do(self.mover.mirror_down("", near))
        self.assertEqual([name for name, _ in self.mover.tally.failed], ["a", "d"])
        self.assertEqual((near / "z").read_bytes(), b"26")
        up = self.new_mover()
        self.do(up.mirror_up(near, "/"))
        self.assertEqual([name for name, _ in up.tally.failed], ["/a", "/d"])

    def test_links_are_left_out(self) -> None:
        """Neither sent nor written through: one here is replaced by the file that comes."""
        near, secret = self.here / "near", self.here / "secret"
        near.mkdir()
        secret.write_bytes(b"secret")
        (near / "a").symlink_to(secret)
        self.do(self.mover.mirror_up(near, "/"))
        self.assertEqual((self.peer.names(), self.mover.tally.left_out), ([], 1))
        self.peer.put("a", data=b"new")
        self.do(self.mover.mirror_down("", near))
        self.assertEqual((secret.read_bytes(), (near / "a").read_bytes()), (b"secret", b"new"))
        self.assertFalse((near / "a").is_symlink())
        (near / "d").symlink_to(self.here)
        self.peer.put("d", "f", data=b"f")
        self.do(self.mover.mirror_down("", near))
        self.assertNotIn("f", self.names())
        self.assertEqual([name for name, _ in self.mover.tally.failed], ["d"])

    def test_names_that_would_lead_out(self) -> None:
        """A server's names are not believed."""
        self.make_there()
        evil = [Listed(name, "file", 1, 1.0) for name in ("..", "/etc/x", "a/b", "../x", "n\0l", ".launcelot-0.part", ".")]
        evil.append(Listed("device", "OS.unix=chr-1/3", 1, 1.0))
        answered: Deferred[Any] = Deferred()
        answered.callback(evil)
        self.patch(self.client, "listing", lambda *_: answered)
        near = self.here / "near"
        self.do(self.mover.mirror_down("", near))
        self.assertEqual((self.mover.tally.left_out, self.names(), self.names(near)), (len(evil), ["near"], []))

    def test_lost_session_ends_it(self) -> None:
        """With the connection all ends; it is not one failure for each file."""
        self.make_there()
        near = self.here / "near"

        def cut(*_: Any) -> None:
            self.client.abort()

        mover = Mover(self.client, InlineWorkers(), cut)
        self.fail_with(Exception, mover.mirror_down("", near))
        self.assertLessEqual(len(mover.tally.failed), 1)


