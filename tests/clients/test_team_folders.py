"""lftp, curl and ncftp in a team folder, as two people with different rights, against a running demo."""

from __future__ import annotations

import threading
from io import StringIO
from pathlib import Path

from launcelot.app.command import main
from launcelot.app.streams import Streams
from tests.clients.demo import RUN_LIMIT, DemoCase
from tests.clients.peers import program

PIECES = 8


class TeamClientTests(DemoCase):
    """Two people; ann may do everything, brandon what the test says."""

    def setUp(self) -> None:
        """The folder."""
        super().setUp()
        self.port = self.demo.service("ftp").port
        self.team("create", "Plans", "--quota", "100000000")
        self.team("grant", "Plans", "ann", "editor")

    def team(self, *words: str) -> None:
        """``launcelot files team`` beside the demo."""
        streams = Streams(StringIO(), StringIO(), StringIO())
        self.assertEqual(0, main(["files", "team", *words, "--data", self.demo.told["data"]], streams))

    def lftp(self, user: str, commands: str, status: int = 0) -> bytes:
        """Commands of lftp as somebody, over TLS."""
        settings = (
            f"set ssl:ca-file {self.demo.ca_file}; set ftp:ssl-force yes; set cmd:fail-exit yes; set net:max-retries 1; "
            f"open -u {user},{self.demo.accounts[user]} ftp://localhost:{self.port}; "
        )
        return self.run_program("lftp", "-c", settings + commands, status=status)

    def curl(self, user: str, *words: str, status: int = 0) -> bytes:
        """curl as somebody."""
        return self.run_program("curl", "-sS", "--user", f"{user}:{self.demo.accounts[user]}", *words, status=status)

    def tree(self, name: str, mark: bytes) -> Path:
        """A tree of files, each with a mark of its own all over."""
        near = self.folder / name
        (near / "sub folder").mkdir(parents=True)
        for number in range(PIECES):
            (near / f"{number}.bin").write_bytes(mark * 30_000)
        (near / "sub folder" / "\u00fc").write_bytes(mark)
        return near

    def found(self, folder: Path) -> dict[str, bytes]:
        """A tree's files."""
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def test_lftp_mirrors(self) -> None:
        """What one sends the other gets; who may only look changes nothing; two who send at once leave whole files."""
        near = self.tree("near", b"ann ")
        self.lftp("ann", f"mirror -R {near} team/Plans/drawings")
        self.lftp("brandon", "cd team/Plans", status=1)
        self.assertNotIn(b"team", self.lftp("brandon", "cls"))
        self.team("grant", "Plans", "brandon", "viewer")
        self.assertIn(b"team/", self.lftp("brandon", "cls -F"))
        self.lftp("brandon", f"mirror team/Plans/drawings {self.folder}/back")
        self.assertEqual(self.found(self.folder / "back"), self.found(near))

        other = self.tree("other", b"brandon ")
        self.lftp("brandon", f"mirror -R --overwrite --transfer-all {other} team/Plans/drawings", status=1)
        self.lftp("brandon", "rm team/Plans/drawings/1.bin", status=1)
        self.lftp("brandon", "mv team/Plans/drawings/1.bin team/Plans/drawings/x.bin", status=1)
        self.lftp("ann", f"mirror team/Plans/drawings {self.folder}/still")
        self.assertEqual(self.found(self.folder / "still"), self.found(near))

        self.team("grant", "Plans", "brandon", "editor")
        send = "mirror -R --overwrite --transfer-all {} team/Plans/drawings"
        at_once = [
            threading.Thread(target=self.lftp, args=(user, send.format(folder)))
            for user, folder in (("ann", near), ("brandon", other))
        ]
        for one in at_once:
            one.start()
        for one in at_once:
            one.join(RUN_LIMIT)
        self.lftp("ann", f"mirror team/Plans/drawings {self.folder}/both")
        both = self.found(self.folder / "both")
        self.assertEqual(both.keys(), self.found(near).keys())
        for name, octets in both.items():
            self.assertIn(octets, {(near / name).read_bytes(), (other / name).read_bytes()}, name)

    def test_curl_and_ncftp_drop_files(self) -> None:
        """With the rights to list and create: new files come in, a taken name is refused with a reply that curl reports."""
        path = self.folder / "report.txt"
        path.write_bytes(b"done\n" * 1_000)
        url = f"ftp://localhost:{self.port}/team/Plans/"
        self.team("grant", "Plans", "brandon", "list,create")
        self.curl("brandon", "-T", str(path), url)
        login = ("-u", "brandon", "-p", self.demo.accounts["brandon"], "-P", str(self.port), "-V")
        path.rename(self.folder / "more.txt")
        self.run_program(program("ncftpput"), *login, "localhost", "/team/Plans", str(self.folder / "more.txt"))
        self.curl("brandon", "-T", str(self.folder / "more.txt"), url, status=25)
        self.curl("brandon", url + "report.txt", status=78)
        self.assertEqual(sorted(self.curl("brandon", "-l", url).split()), [b"more.txt", b"report.txt"])
        self.assertEqual(self.curl("ann", url + "report.txt"), b"done\n" * 1_000)
        self.team("revoke", "Plans", "brandon")
        self.curl("brandon", "-T", str(self.folder / "more.txt"), url + "late.txt", status=9)
