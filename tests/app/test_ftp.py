"""``launcelot ftp``: over real sockets, what its options mean, and how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from launcelot.app.care import Meter
from launcelot.app.command import build_parser
from launcelot.app.errors import Ending
from launcelot.app.ftp import check, ending_of, main, moved, tell
from launcelot.app.streams import Streams
from launcelot.hosting.calling import Refused as NobodyThere
from launcelot.hosting.tls import client_tls
from launcelot.protocols.ftp.client import BadReply, ConnectionEnded, FTPError, NotSecure, Refused, TimedOut, Truncated
from launcelot.protocols.ftp.grammar import Reply
from launcelot.protocols.ftp.moving import Differs, LocalError, Tally
from launcelot.testing.certificates import Certificates
from tests.protocols.ftp.sockets import RealServer

reactor: Any = the_reactor
DATA = bytes(range(256)) * 3_000


def given(*words: str) -> Any:
    """Parsed options."""
    return build_parser().parse_args(["ftp", *words])


def streams() -> Any:
    """Streams of a test."""
    return Streams(io.StringIO(), io.StringIO(), io.StringIO(), lambda prompt: "pw")


class ErrandTests(TestCase):
    """Get, put and mirror, with each kind of TLS."""

    timeout = 60

    def setUp(self) -> None:
        """A server with TLS, and files here."""
        certificates = Certificates("localhost")
        self.server = RealServer(self, certificates)
        self.folder = Path(self.mktemp())
        (self.folder / "tree" / "sub").mkdir(parents=True)
        (self.folder / "tree" / "sub" / "f").write_bytes(DATA)
        (self.folder / "tree" / "g").write_bytes(b"g")
        self.ca = self.folder / "ca.pem"
        self.ca.write_bytes(certificates.certificate)

    async def move(self, *words: str, tls: str = "explicit", password: str = "pw") -> Tally:
        """One errand."""
        port = self.server.tls_port if tls == "implicit" else self.server.port
        options = given(*words, "--server", "localhost", "--port", str(port), "--tls", tls, "--user", "ann", "--timeout", "30")
        context = None if tls == "none" else client_tls("localhost", self.ca)
        return await moved(reactor, options, context, password, Meter(streams(), "moving"))

    def path(self, *words: str) -> str:
        """A path of ours."""
        return str(self.folder.joinpath(*words))

    async def test_put_and_get(self) -> None:
        """A file goes up and comes down, in TLS of both kinds and in clear on this machine."""
        source = self.path("tree", "sub", "f")
        for number, tls in enumerate(("explicit", "implicit", "none")):
            put = await self.move("put", source, f"/f{number}", tls=tls)
            self.assertEqual((put.files, put.octets, put.verified), (1, len(DATA), 1))
            got = await self.move("get", f"/f{number}", self.path(f"back{number}"), tls=tls)
            self.assertEqual((got.files, got.octets, got.verified), (1, len(DATA), 1))
            self.assertEqual((self.folder / f"back{number}").read_bytes(), DATA)

    async def test_names_that_are_left_out(self) -> None:
        """A folder takes the file under its name, on both sides."""
        await self.move("put", self.path("tree", "g"))
        (self.folder / "into").mkdir()
        await self.move("get", "g", self.path("into"))
        self.assertEqual((self.folder / "into" / "g").read_bytes(), b"g")

    async def test_mirrors(self) -> None:
        """A tree goes up and comes down, and a repeat moves nothing."""
        up = await self.move("mirror", "--up", "/m", self.path("tree"))
        self.assertEqual((up.files, up.folders, up.failed), (2, 2, []))
        down = await self.move("mirror", "/m", self.path("back"))
        self.assertEqual((self.folder / "back" / "sub" / "f").read_bytes(), DATA)
        self.assertEqual(down.files, 2)
        again = await self.move("mirror", "/m", self.path("back"), "--delete")
        self.assertEqual((again.files, again.skipped, again.removed), (0, 2, 0))

    async def test_wrong_password(self) -> None:
        """It is told as a refusal."""
        work = self.move("get", "f", password="no")
        try:
            await work
        except FTPError as error:
            self.assertEqual(ending_of(error, given("get", "f", "--user", "ann")).status, 77)
        else:
            self.fail("it was let in")


class WordsTests(SynchronousTestCase):
    """What is said."""

    def test_tally(self) -> None:
        """In words, as JSON, and 1 when something failed, each by name."""
        tally = Tally(2, 2048, 100, 1, 3, 1, 4, 5)
        out = streams()
        self.assertEqual(tell(tally, given("mirror", "/", ".", "--user", "a"), out), 0)
        self.assertEqual(
            out.output.getvalue(), "2 files (2.0 KiB), 100 octets were there, 1 compared, 3 the same, 4 removed, 5 left out\n"
        )
        tally.failed.append(("x\x1b", "550 no"))
        out = streams()
        self.assertEqual(tell(tally, given("mirror", "/", ".", "--user", "a", "--json"), out), 1)
        said = json.loads(out.output.getvalue())
        self.assertEqual((said["files"], said["failed"]), (2, [{"name": "x\x1b", "reason": "550 no"}]))
        self.assertNotIn("\x1b", out.errors.getvalue())
        self.assertIn("550 no", out.errors.getvalue())

    def test_endings(self) -> None:
        """Each failure has its exit code and one line."""
        options = given("get", "f", "--user", "ann", "--server", "files.example")
        for error, status in (
            (NobodyThere("refused"), 69),
            (NotSecure("in clear"), 77),
            (ConnectionEnded("lost"), 74),
            (TimedOut("late"), 74),
            (Truncated("short"), 74),
            (BadReply("noise"), 76),
            (Differs("other octets"), 76),
            (LocalError("x: No space left"), 73),
            (Refused(Reply(450, (b"later",))), 75),
            (Refused(Reply(550, (b"no",))), 1),
        ):
            ending = ending_of(error, options)
            self.assertEqual(ending.status, status, error)
            self.assertNotIn("\n", ending.text)

    def test_options_that_make_no_sense(self) -> None:
        """They are refused before anything is done."""
        for words in (("--port", "0"), ("--timeout", "0"), ("--tls", "none", "--ca-file", "x")):
            error = self.assertRaises(Ending, check, given("get", "f", "--user", "a", *words))
            self.assertEqual(error.status, 64)
        unreadable = given("get", "f", "--user", "a", "--ca-file", "/nonexistent")
        self.assertEqual(self.assertRaises(Ending, main, unreadable, streams()).status, 66)
