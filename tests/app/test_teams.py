"""``launcelot files team``: on a stopped daemon, on a running one with two workers, and in the configuration."""

from __future__ import annotations

import ftplib
import io
import json
from typing import Any

from launcelot.app.command import main
from launcelot.app.configuration import configuration_for, parse
from launcelot.app.stores import build_files, open_accounts, run_now
from launcelot.app.streams import Streams
from launcelot.workers.memory import InlineWorkers
from tests.app.programs import LIMIT
from tests.app.test_command import CommandCase
from tests.app.test_workers import WorkersCase


class StoppedTests(CommandCase):
    """Team folders of a stopped daemon."""

    def setUp(self) -> None:
        """Two accounts and a group."""
        super().setUp()
        for name in ("ann", "bob"):
            self.on_data("account", "add", name, said="x")
        self.on_data("group", "add", "crew", "bob")

    def team(self, *words: str, status: int = 0) -> None:
        """One command."""
        self.assertEqual(status, self.on_data("files", "team", *words), self.errors)

    def test_round(self) -> None:
        """Made, granted, revoked, renamed, limited, listed, shown and removed, for programs."""
        self.team("create", "Plans", "--quota", "100", "--json")
        plans: dict[str, Any] = {"folder": "Plans", "path": "/team/Plans", "quota": 100, "grants": []}
        self.assertEqual(plans, self.answer())
        self.team("grant", "plans", "ann", "list,read", "--json")
        anns = {"kind": "account", "name": "ann", "rights": ["list", "read"]}
        self.assertEqual({**plans, "grants": [anns]}, self.answer())
        self.team("grant", "Plans", "crew", "contributor", "--json")
        crews = {"kind": "group", "name": "crew", "rights": ["list", "read", "append", "create"]}
        self.assertEqual({**plans, "grants": [anns, crews]}, self.answer())
        self.team("revoke", "Plans", "crew", "read,list", "--json")
        crews["rights"] = ["append", "create"]
        self.team("grant", "Plans", "anyone", "list", "--json")
        everybody = {"kind": "anyone", "name": "anyone", "rights": ["list"]}
        plans["grants"] = [anns, everybody, crews]
        self.assertEqual(plans, self.answer())
        self.team("list", "--json")
        self.assertEqual({"folders": [plans]}, self.answer())
        self.put("Plans", b"12345")
        self.team("show", "Plans", "--json")
        self.assertEqual({**plans, "used": 5}, self.answer())
        self.team("quota", "Plans", "0", "--json")
        self.assertEqual({**plans, "quota": 0}, self.answer())
        self.team("rename", "Plans", "Old plans", "--json")
        self.assertEqual({**plans, "quota": 0, "folder": "Old plans", "path": "/team/Old plans"}, self.answer())
        self.team("revoke", "Old plans", "ann", "--json")
        self.assertEqual([everybody, crews], self.answer()["grants"])
        self.team("remove", "old plans", "--json")
        self.assertEqual("Old plans", self.answer()["folder"])
        self.team("list", "--json")
        self.assertEqual({"folders": []}, self.answer())
        self.assertEqual([], [path.name for path in (self.data / "files").iterdir()])

    def put(self, name: str, octets: bytes) -> None:
        """Put a file into a folder."""

        async def put() -> None:
            folder = await accounts.team_folder(name)
            upload = await (await files.tree(folder.id)).upload(("f",))
            await upload.write(octets)
            await upload.publish()
            await accounts.close()
            await files.close()

        configuration = configuration_for(None, str(self.data))
        accounts, files = run_now(open_accounts(configuration)), build_files(configuration, InlineWorkers())
        run_now(put())

    def test_words_for_people(self) -> None:
        """The same without --json."""
        self.team("create", "Plans", "--quota", "100")
        self.assertEqual("made Plans; it is /team/Plans for those who are granted rights\n", self.output)
        self.team("list")
        self.assertEqual("Plans  100 octets  nobody\n", self.output)
        self.team("grant", "Plans", "ann", "all")
        self.team("grant", "Plans", "crew", "viewer")
        self.assertEqual("Plans  100 octets  ann: all; group crew: list, read\n", self.output)
        self.team("show", "Plans")
        told = "Plans\n  place  /team/Plans\n  used   0 of 100 octets\n  ann: all\n  group crew: list, read\n"
        self.assertEqual(told, self.output)
        self.team("quota", "Plans", "0")
        self.team("revoke", "Plans", "crew")
        self.assertEqual("Plans  ann: all\n", self.output)
        self.team("remove", "Plans")
        self.assertEqual("removed Plans with its files\n", self.output)

    def test_refusals(self) -> None:
        """One line each that says what is wrong; nothing changes."""
        self.team("create", "Plans")
        for words, told in (
            (("create", "plans"), "there is a team folder of this name"),
            (("create", "a/b"), "has no slash"),
            (("create", "x", "--quota", "-1"), "cannot be negative"),
            (("grant", "Plans", "eve", "list"), "no such account or group: 'eve'"),
            (("grant", "Plans", "ann", "reed"), "'reed' is no right; they are list, read, write"),
            (("grant", "Nowhere", "ann", "list"), "no such team folder"),
            (("revoke", "Plans", "ann"), "nothing of that was granted"),
            (("show", "Nowhere"), "no such team folder"),
            (("remove", "Nowhere"), "no such team folder"),
            (("quota", "Plans", "-5"), "cannot be negative"),
        ):
            self.team(*words, status=1)
            self.assertEqual(1, self.errors.count("\n"))
            self.assertIn(told, self.errors)
        self.team("list")
        self.assertEqual("Plans  nobody\n", self.output)
        self.assertEqual(64, self.on_data("files", "team", "quota", "Plans", "much"))
        self.assertEqual(66, self.command("files", "team", "list", "--data", str(self.folder / "none")))

    def test_switched_off(self) -> None:
        """Where no place is set it is said that the folder is nowhere."""
        (self.data / "launcelot.toml").write_text('config_version = 1\n[files]\nteam_place = ""\n')
        self.team("create", "Plans")
        self.assertIn("nowhere, as files.team_place is empty", self.output)
        self.team("show", "Plans", "--json")
        self.assertEqual("", self.answer()["path"])


class ConfigurationTests(CommandCase):
    """``team_place``."""

    def test_names(self) -> None:
        """One name is taken as it is; what cannot be one is a fault with its line."""
        for name in ("team", "Shared", "\u00c9quipe", ""):
            configuration, faults = parse(f'config_version = 1\n[files]\nteam_place = "{name}"\n')
            self.assertEqual((configuration.files.team_place, faults), (name, []))
        for name in ("a/b", "/team", ".", "..", ".hidden", " team", "x" * 65, "a\\tb", "a\\u0000"):
            _, faults = parse(f'config_version = 1\n[files]\nteam_place = "{name}"\n')
            self.assertEqual([(one.line, one.key) for one in faults], [(3, "files.team_place")], name)
            self.assertIn("choose one word", faults[0].text)


class RunningTests(WorkersCase):
    """A daemon with two workers, and commands beside it."""

    def ftp(self, name: str, password: str) -> ftplib.FTP:
        """A session that has logged in."""
        session = ftplib.FTP(timeout=LIMIT)
        session.connect("127.0.0.1", self.ports["ftp"])
        self.addCleanup(session.close)
        session.login(name, password)
        return session

    def team(self, *words: str) -> dict[str, Any]:
        """One command, in this process, which is another than the workers'."""
        output = io.StringIO()
        command = ["files", "team", *words, "--json", "--data", str(self.data)]
        self.assertEqual(0, main(command, Streams(io.StringIO(), output, io.StringIO())))
        answer: dict[str, Any] = json.loads(output.getvalue())
        return answer

    def store(self, session: ftplib.FTP, name: str, octets: bytes) -> str:
        """Upload; the reply."""
        return session.storbinary(f"STOR {name}", io.BytesIO(octets))

    def test_open_sessions_in_two_workers(self) -> None:
        """What a command changes counts for the next command of sessions in both; quota and files are one for both."""
        process = self.demo()
        first, second = pids = self.pids
        with self.only(first, pids):
            ann = self.ftp("ann", "bridgekeeper")
        with self.only(second, pids):
            brandon = self.ftp("brandon", "atigdng")
        before = {path.name for path in (self.data / "files").iterdir()}
        self.team("create", "Plans", "--quota", "1000")
        self.assertEqual(ann.nlst(), brandon.nlst())
        self.team("grant", "Plans", "ann", "editor")
        self.assertIn("team", ann.nlst())
        self.assertNotIn("team", brandon.nlst())
        self.store(ann, "/team/Plans/f", b"x" * 600)
        self.team("grant", "Plans", "anyone", "list,read,create")
        brandon.cwd("/team/Plans")
        brandon.voidcmd("TYPE I")
        self.assertEqual(brandon.size("f"), 600)
        self.assertEqual(brandon.sendcmd("AVBL"), "213 400")
        self.assertRaisesRegex(ftplib.error_perm, "552 ", self.store, brandon, "g", b"y" * 401)
        self.store(brandon, "g", b"y" * 400)
        self.assertRaisesRegex(ftplib.error_perm, "552 ", self.store, ann, "/team/Plans/h", b"z")
        self.assertEqual(self.team("show", "Plans")["used"], 1_000)

        ann.delete("/team/Plans/f")
        with brandon.transfercmd("STOR late") as data:
            data.sendall(b"begun in time")
            self.team("revoke", "Plans", "anyone", "create")
        self.assertRaisesRegex(ftplib.error_perm, "550 this needs the right to create", brandon.voidresp)
        self.assertEqual(ann.nlst("/team/Plans"), ["/team/Plans/g"])
        self.team("revoke", "Plans", "anyone")
        self.assertRaisesRegex(ftplib.error_perm, "550 not found", brandon.size, "g")

        self.team("remove", "Plans")
        self.assertRaisesRegex(ftplib.error_perm, "550 not found", ann.cwd, "/team/Plans")
        self.assertNotIn("team", ann.nlst())
        self.assertEqual({path.name for path in (self.data / "files").iterdir()}, before)
        self.stopped(process, pids)
