"""Team folders over FTP: what each right lets do, what is said where one is missing, and what listings tell."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.filerights import Right, words_of
from launcelot.protocols.ftp.listing import parse_facts_line
from launcelot.testing.site import memory_site
from tests.protocols.ftp.kit import Peer

RIGHTS = tuple(right for right in Right)


class TeamCase(SynchronousTestCase):
    """Ann, who may do everything in /team/Plans, and Ben."""

    def setUp(self) -> None:
        """A file and a folder are there."""
        self.world = memory_site()
        self.world.add_user("ann")
        self.world.add_user("ben")
        self.world.add_team("Plans", {"ann": "editor"}, quota=1_000)
        self.ann, self.ben = self.peer("ann"), self.peer("ben")
        self.ann.send("STOR /team/Plans/f", b"the plan")
        self.said(self.ann, "MKD /team/Plans/d", 257)

    def peer(self, name: str) -> Peer:
        """Somebody who has logged in."""
        peer = Peer(login=False, world=self.world)
        self.assertIn(b"\r\n230 ", peer.do(f"USER {name}", "PASS pw", "TYPE I"))
        return peer

    def let(self, rights: str) -> None:
        """What Ben may do from now on."""
        accounts = self.world.site.accounts
        folder = self.world.result(accounts.team_folder("Plans"))
        if any(grant.name == "ben" for grant in folder.grants):
            self.world.result(accounts.revoke("Plans", "ben"))
        if rights:
            self.world.result(accounts.grant("Plans", "ben", self.rights(rights)))

    def rights(self, words: str) -> Right:
        """From words."""
        found = Right(0)
        for right in RIGHTS:
            if str(right.name).lower() in words.split():
                found |= right
        return found

    def said(self, peer: Peer, command: str, code: int) -> str:
        """What is answered, with the code it must have."""
        answer = peer.do(command).decode("utf-8", "surrogateescape")
        self.assertEqual(answer[:3], str(code), f"{command}: {answer}")
        return answer

    def refused(self, peer: Peer, right: str, *commands: str) -> None:
        """Each is 550 and names the right."""
        for command in commands:
            self.assertEqual(
                self.said(peer, command, 550), f"550 this needs the right to {right} in this team folder\r\n", command
            )

    def sent(self, peer: Peer, command: str, octets: bytes = b"by ben") -> bytes:
        """What is answered to an upload; the preliminary reply apart."""
        return peer.send(command, octets)


class RightsTests(TeamCase):
    """One right after the other."""

    def test_everything_with_all_rights(self) -> None:
        """An editor works there as at home, and sees what others do."""
        self.let(" ".join(words_of(Right(127))))
        self.said(self.ben, "CWD team", 250)
        self.said(self.ben, "CWD Plans", 250)
        self.assertEqual(self.ben.fetch("RETR f")[0], b"the plan")
        self.assertIn(b"226", self.sent(self.ben, "STOR f", b"better"))
        self.assertIn(b"226", self.sent(self.ben, "APPE f", b" yet"))
        self.said(self.ben, "RNFR f", 350)
        self.said(self.ben, "RNTO d/g", 250)
        self.said(self.ben, "MFMT 20200101000000 d/g", 213)
        self.said(self.ben, "SITE CHMOD 640 d/g", 200)
        self.assertEqual(self.ann.fetch("RETR /team/Plans/d/g")[0], b"better yet")
        self.said(self.ben, "DELE d/g", 250)
        self.said(self.ben, "RMD d", 250)
        self.assertEqual(self.ann.fetch("NLST /team/Plans")[0], b"")
        self.said(self.ben, "CDUP", 250)
        self.assertIn('"/team"', self.said(self.ben, "PWD", 257))
        self.said(self.ben, "CWD ../team/../team/Plans/../..", 250)
        self.assertIn('"/"', self.said(self.ben, "PWD", 257))

    def test_nothing_without_rights(self) -> None:
        """There is no such folder: every command is answered as of a name that nobody has."""
        for command in (
            "CWD /team", "CWD /team/Plans", "SIZE /team/Plans/f", "MDTM /team/Plans/f", "HASH /team/Plans/f",
            "DELE /team/Plans/f", "RNFR /team/Plans/f", "MLST /team/Plans",
            "STAT /team/Plans", "MKD /team/Plans/x", "AVBL /team/Plans",
        ):  # fmt: skip
            self.assertEqual(self.said(self.ben, command, 550), self.said(self.ben, command.replace("/team", "/none"), 550))
        self.assertEqual(self.ben.fetch("NLST /")[0], b"")
        self.assertIn(b"550 not found", self.ben.fetch("RETR /team/Plans/f")[1])
        self.assertIn(b"553 There is no such folder", self.sent(self.ben, "STOR /team/Plans/x"))

    def test_looking_only(self) -> None:
        """List shows names, sizes, times; a digest needs to read, as what is in a file can be guessed at with it."""
        self.let("list")
        self.assertEqual(self.ben.fetch("NLST /team/Plans/?")[0], b"/team/Plans/d\r\n/team/Plans/f\r\n")
        self.assertEqual(self.ben.fetch("NLST /team/Plans")[0], b"/team/Plans/d\r\n/team/Plans/f\r\n")
        self.said(self.ben, "SIZE /team/Plans/f", 213)
        self.said(self.ben, "MDTM /team/Plans/f", 213)
        self.said(self.ben, "MLST /team/Plans/f", 250)
        self.refused(self.ben, "read", "HASH /team/Plans/f", "XSHA256 /team/Plans/f", "HASH /team/Plans/none")
        self.assertIn(b"550 this needs the right to read", self.ben.fetch("RETR /team/Plans/f")[1])
        self.refused(self.ben, "delete", "DELE /team/Plans/f", "RMD /team/Plans/d")
        self.refused(self.ben, "create", "MKD /team/Plans/x")
        self.refused(self.ben, "write", "MFMT 20200101000000 /team/Plans/f", "SITE CHMOD 640 /team/Plans/f")
        self.refused(self.ben, "create", "SITE KEPT /team/Plans/f")
        self.said(self.ben, "RNFR /team/Plans/f", 350)
        # RFC 959 section 5.4 has no 550 for RNTO.
        self.assertIn("needs the right to rename", self.said(self.ben, "RNTO /team/Plans/g", 553))

    def test_reading_by_name_only(self) -> None:
        """Who knows a name can fetch the file and ask about it; what else is there is not told."""
        self.let("read")
        self.assertEqual(self.ben.fetch("RETR /team/Plans/f")[0], b"the plan")
        self.said(self.ben, "SIZE /team/Plans/f", 213)
        self.said(self.ben, "HASH /team/Plans/f", 213)
        self.said(self.ben, "CWD /team/Plans", 250)
        for command in ("NLST", "LIST", "MLSD"):
            self.assertEqual(self.ben.fetch(command), (b"", b"550 this needs the right to list in this team folder\r\n"))
        self.refused(self.ben, "list", "STAT /team/Plans")
        self.assertEqual(self.ben.fetch("NLST /")[0], b"")

    def test_uploads_need_one_of_three(self) -> None:
        """A new name needs to create, a taken one to write, and its end to append; STOU only ever creates."""
        for rights, new, taken, end in (
            ("create", True, False, False), ("write", False, True, True), ("append", False, False, True),
            ("list", False, False, False),
        ):  # fmt: skip
            self.setUp()
            self.let(rights)
            for command, right, may in (
                ("STOR /team/Plans/new", "create", new), ("STOU /team/Plans/f", "create", new),
                ("STOR /team/Plans/f", "write", taken), ("APPE /team/Plans/f", "append", end),
            ):  # fmt: skip
                answer = self.sent(self.ben, command)
                expected = b"226 " if may else f"553 this needs the right to {right} in this team folder".encode()
                self.assertIn(expected, answer, f"{command} with {rights}")

    def test_restarting(self) -> None:
        """Behind all octets it is appending, before that writing."""
        self.let("append")
        self.said(self.ben, "REST 8", 350)
        self.assertIn(b"226", self.sent(self.ben, "STOR /team/Plans/f", b"!"))
        self.said(self.ben, "REST 4", 350)
        self.assertIn(b"553 this needs the right to write", self.sent(self.ben, "STOR /team/Plans/f", b"!"))
        self.assertEqual(self.ann.fetch("RETR /team/Plans/f")[0], b"the plan!")

    def test_place_and_folder_are_fixed(self) -> None:
        """They are neither removed nor renamed nor made, by whoever it is."""
        for command in (
            "RMD /team", "RMD /team/Plans", "DELE /team/Plans", "MKD /team", "MKD /team/Plans", "MKD /team/More",
            "SITE CHMOD 777 /team/Plans", "MFMT 20200101000000 /team",
        ):  # fmt: skip
            self.said(self.ann, command, 550)
        for name, target in (("/team/Plans", "/x"), ("/team", "/x"), ("/team/Plans/f", "/f"), ("/team/Plans/d", "/team/d")):
            self.said(self.ann, f"RNFR {name}", 350)
            self.said(self.ann, f"RNTO {target}", 553)
        self.assertIn(b"553 this is where team folders are", self.sent(self.ann, "STOR /team"))
        self.assertIn(b"553 this is a team folder", self.sent(self.ann, "STOR /team/Plans"))
        self.assertIn(b"553 this name is kept for team folders", self.sent(self.ben, "STOR /team"))
        self.said(self.ben, "MKD /team", 550)

    def test_available_is_the_folders(self) -> None:
        """AVBL tells what the folder still takes, nothing where nothing may be stored, and one's own elsewhere."""
        self.assertEqual(self.said(self.ann, "AVBL /team/Plans", 213), "213 992\r\n")
        self.said(self.ann, "AVBL /", 550)
        self.assertEqual(self.said(self.ann, "SITE USAGE /team/Plans/d", 213), "213 8\r\n")
        self.assertEqual(self.said(self.ann, "SITE USAGE", 213), "213 0\r\n")
        self.said(self.ben, "SITE USAGE /team/Plans", 550)
        self.let("list read")
        self.assertEqual(self.said(self.ben, "AVBL /team/Plans/d", 213), "213 0\r\n")
        self.let("create")
        self.said(self.ben, "CWD /team/Plans", 250)
        self.assertEqual(self.said(self.ben, "AVBL", 213), "213 992\r\n")
        self.assertIn(b"552 quota exceeded", self.sent(self.ben, "STOR big", b"x" * 993))
        self.assertEqual(self.said(self.ben, "AVBL", 213), "213 992\r\n")

    def test_what_was_cut_is_ones_own(self) -> None:
        """SITE KEPT tells each of theirs."""
        for peer, octets in ((self.ann, b"12345"), (self.ben, b"123")):
            self.let("create write")
            data = peer.data()
            peer.do("STOR /team/Plans/long")
            data.say(octets)
            peer.do("ABOR")
        self.assertEqual(self.said(self.ann, "SITE KEPT /team/Plans/long", 213), "213 5\r\n")
        self.assertEqual(self.said(self.ben, "SITE KEPT /team/Plans/long", 213), "213 3\r\n")


class ChangingTests(TeamCase):
    """Rights that change under an open session."""

    def test_next_command_counts(self) -> None:
        """What is granted and taken away counts from the next command on, in the folder where somebody stands, too."""
        self.said(self.ben, "CWD /team/Plans", 550)
        self.let("list read")
        self.said(self.ben, "CWD /team/Plans", 250)
        self.assertEqual(self.ben.fetch("RETR f")[0], b"the plan")
        self.let("list")
        self.refused(self.ben, "read", "HASH f")
        self.let("")
        self.assertEqual(self.said(self.ben, "SIZE f", 550), "550 not found\r\n")
        self.assertIn(b"550", self.ben.fetch("MLSD")[1])
        self.said(self.ben, "CWD /", 250)

    def test_groups_and_everybody(self) -> None:
        """Who joins a group may what it may; anyone is every account, and a disabled one is nobody."""
        accounts = self.world.site.accounts
        self.world.result(accounts.add_group("crew"))
        self.world.result(accounts.grant("Plans", "crew", Right.LIST))
        self.said(self.ben, "CWD /team/Plans", 550)
        self.world.result(accounts.change_members("crew", ["ben"]))
        self.said(self.ben, "CWD /team/Plans", 250)
        self.world.result(accounts.change_members("crew", [], ["ben"]))
        self.said(self.ben, "CWD /team/Plans", 550)
        self.world.result(accounts.grant("Plans", "anyone", Right.READ))
        self.assertEqual(self.ben.fetch("RETR /team/Plans/f")[0], b"the plan")
        self.world.result(accounts.change("ben", enabled=False))
        self.assertIn(b"550 not found", self.ben.fetch("RETR /team/Plans/f")[1])

    def test_upload_is_not_published_without_the_right(self) -> None:
        """What was begun with it and ends without it is 550; the file stays as it was and nothing is kept."""
        for command, path in (("STOR", "f"), ("APPE", "f"), ("STOR", "new"), ("STOU", "x")):
            self.let("create write append list")
            data = self.ben.data()
            self.assertIn(b"150", self.ben.do(f"{command} /team/Plans/{path}"))
            data.say(b"by ben")
            self.let("list")
            data.close()
            self.assertIn(b"550 this needs the right to", self.ben.link.take())
            self.assertEqual(self.ann.fetch("RETR /team/Plans/f")[0], b"the plan")
            self.assertEqual(self.ann.fetch("NLST /team/Plans")[0].count(b"\r\n"), 2)
            self.assertEqual(self.said(self.ann, "AVBL /team/Plans", 213), "213 992\r\n")

    def test_file_that_came_meanwhile(self) -> None:
        """Two who send a new file: the second needs the right to write."""
        self.let("create")
        data = self.ben.data()
        self.ben.do("STOR /team/Plans/new")
        data.say(b"by ben")
        self.ann.send("STOR /team/Plans/new", b"by ann")
        data.close()
        self.assertIn(b"550 this needs the right to write", self.ben.link.take())
        self.assertEqual(self.ann.fetch("RETR /team/Plans/new")[0], b"by ann")

    def test_folder_that_is_renamed_or_removed(self) -> None:
        """The new name counts with the next command; of a removed one nothing is left."""
        accounts = self.world.site.accounts
        self.world.result(accounts.change_team_folder("Plans", called="Maps"))
        self.said(self.ann, "SIZE /team/Plans/f", 550)
        self.said(self.ann, "SIZE /team/Maps/f", 213)
        self.world.result(accounts.remove_team_folder("Maps"))
        self.said(self.ann, "SIZE /team/Maps/f", 550)
        self.assertEqual(self.ann.fetch("NLST /")[0], b"")


class ListingTests(TeamCase):
    """What listings tell of rights."""

    def perms(self, command: str = "MLSD /team/Plans") -> dict[str, str]:
        """The letters of what Ben sees, by name."""
        lines = self.ben.fetch(command)[0].splitlines()
        return {one.name: one.facts["perm"] for one in map(parse_facts_line, lines)}

    def test_perm_of_each_right(self) -> None:
        """The fact is true of each right alone, beside that to list.  RFC 3659 section 7.5.5."""
        for rights, file, folder, root in (
            ("", "", "el", "el"),
            ("read", "r", "el", "el"),
            ("write", "aw", "el", "el"),
            ("append", "a", "el", "el"),
            ("create", "", "celm", "celm"),
            ("delete", "d", "delp", "elp"),
            ("rename", "f", "efl", "el"),
            ("read write append create delete rename", "adfrw", "cdeflmp", "celmp"),
        ):
            self.let("list " + rights)
            self.assertEqual(self.perms(), {"f": file, "d": folder}, rights)
            self.assertEqual(self.perms("MLSD /team"), {"Plans": root}, rights)
            self.assertIn(f"perm={root};", self.said(self.ben, "MLST /team/Plans", 250))
            self.ben.do("OPTS MLST perm;")
            self.assertEqual(self.perms(), {"f": file, "d": folder}, rights)
            self.ben.do("OPTS MLST type;size;modify;perm;unique;UNIX.mode;")

    def test_perm_at_the_top(self) -> None:
        """The place is entered and listed, and the root is neither removed nor renamed."""
        self.let("list")
        self.ann.send("STOR own", b"")
        self.ben.send("STOR own", b"")
        self.assertEqual(self.perms("MLSD /"), {"team": "el", "own": "adfrw"})
        self.assertIn("perm=celmp;", self.said(self.ben, "MLST /", 250))

    def test_modes(self) -> None:
        """LIST shows no bit that rights do not bear out; the fact of the mode is the file's own."""
        for rights, modes in (
            ("list", ["dr-xr-xr-x", "---x--x--x"]),
            ("list read", ["dr-xr-xr-x", "-r-xr-xr-x"]),
            ("list read append", ["dr-xr-xr-x", "-rwxr-xr-x"]),
            ("list read create", ["drwxr-xr-x", "-r-xr-xr-x"]),
            ("list write delete", ["drwxr-xr-x", "--wx--x--x"]),
        ):
            self.said(self.ann, "SITE CHMOD 755 /team/Plans/f", 200)
            self.let(rights)
            lines = self.ben.fetch("LIST /team/Plans")[0].decode().splitlines()
            self.assertEqual([line.split()[0] for line in lines], modes, rights)
        self.assertIn(b"UNIX.mode=0755; f\r\n", self.ben.fetch("MLSD /team/Plans")[0])

    def test_patterns_and_single_files(self) -> None:
        """LIST of one name needs what MLST needs; patterns need the right to list."""
        self.let("read")
        self.assertIn(b" f\r\n", self.ben.fetch("LIST /team/Plans/f")[0])
        self.assertIn(b"550 this needs the right to list", self.ben.fetch("NLST /team/Plans/*")[1])
        self.let("list")
        self.assertEqual(self.ben.fetch("NLST /team/Pl*")[0], b"/team/Plans\r\n")
        self.assertEqual(self.ben.fetch("NLST /te*")[0], b"/team\r\n")
