"""FTP: bounces, stolen data, ways out of the tree, globs, halves of files."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.attacks.harness import AttackCase
from tests.attacks.peer import Peer, Pumped
from tests.clients.demo import Service


class FtpAttackCase(AttackCase):
    """Peers who have logged in."""

    def logged_in(self, user: str = "brandon") -> Peer:
        """Somebody with TYPE I."""
        peer = self.peer("ftp")
        peer.ask(b"USER %b\r\n" % user.encode())
        self.assertEqual(peer.ask(b"PASS %b\r\n" % self.demo.accounts[user].encode())[:4], b"230 ")
        peer.ask(b"TYPE I\r\n")
        return peer

    def data(self, peer: Peer, source: str = "") -> Peer:
        """A data connection to the port that EPSV gives."""
        port = int(peer.ask(b"EPSV\r\n").split(b"|")[3])
        opened = Peer(Service("127.0.0.1", port, "none"), source)
        self._peers.append(opened)
        return opened

    def listed(self, peer: Peer, command: bytes) -> tuple[bytes, bytes]:
        """What comes over the data connection, and the last reply."""
        data = self.data(peer)
        peer.say(command + b"\r\n")
        first = peer.hear()
        if not first.startswith(b"150 "):
            return b"", first
        heard = data.rest()
        return heard, peer.hear()

    @property
    def tree(self) -> Path:
        """Brandon's files on disk."""
        return min(Path(self.demo.told["data"], "files").iterdir()) / "files"


class DataTests(FtpAttackCase):
    """F01, F02, F11."""

    def test_nobody_else_is_connected_to(self) -> None:
        """PORT and EPRT to another address, to a low port, to a wrapped address: refused, and no connection is made."""
        trap = socket.socket()
        trap.bind(("127.0.0.9", 0))
        trap.listen()
        trap.settimeout(0.2)
        self.addCleanup(trap.close)
        number = trap.getsockname()[1]
        high, low = number >> 8, number & 255
        for command in (
            b"PORT 127,0,0,9,%d,%d" % (high, low),
            b"EPRT |1|127.0.0.9|%d|" % number,
            b"EPRT |2|::ffff:127.0.0.9|%d|" % number,
            b"EPRT |2|::1|%d|" % number,
            b"EPRT |1|0177.0.0.9|%d|" % number,
            b"EPRT |1|2130706441|%d|" % number,
            b"PORT 0,0,0,0,%d,%d" % (high, low),
            b"PORT 127,0,0,1,0,25",
            b"EPRT |1|127.0.0.1|25|",
            b"EPRT |1|127.0.0.1|65561|",
            b"PORT 127,0,0,257,%d,%d" % (high, low),
            b"PORT 127,0,0,9,%d" % number,
            b"PORT 127,0,0,1,256,256",
            b"EPRT |1|127.0.0.9%%0|%d|" % number,
        ):
            with self.subTest(command=command):
                peer = self.logged_in()
                self.assertRegex(peer.ask(command + b"\r\n"), rb"^5(?:01|22|00) ")
                self.assertRegex(peer.ask(b"RETR welcome.txt\r\n"), rb"^425 ")
                peer.close()
        with self.assertRaises(TimeoutError):
            trap.accept()

    def test_a_stranger_cannot_take_the_data_connection(self) -> None:
        """Another address that comes first hears nothing, and the owner is served; so is an upload."""
        peer = self.logged_in()
        port = int(peer.ask(b"EPSV\r\n").split(b"|")[3])
        thieves = [Peer(Service("127.0.0.1", port, "none"), f"127.0.0.{number}") for number in (2, 3, 77)]
        for thief in thieves:
            self.assertEqual(thief.rest(), b"")
            thief.close()
        owner = Peer(Service("127.0.0.1", port, "none"))
        self.assertRegex(peer.ask(b"RETR welcome.txt\r\n"), rb"^150 ")
        self.assertGreater(len(owner.rest()), 10)
        self.assertRegex(peer.hear(), rb"^226 ")
        owner.close()

    def test_half_uploads_leave_the_old_file(self) -> None:
        """RST of the data connection, RST of the control connection, ABOR and silence: the file is what it was."""
        before = (self.tree / "welcome.txt").read_bytes()
        for command in (b"STOR welcome.txt", b"APPE welcome.txt", b"STOR new.txt", b"STOU new.txt"):
            for end in ("data", "control", "abort"):
                peer = self.logged_in()
                data = self.data(peer)
                self.assertRegex(peer.ask(command + b"\r\n"), rb"^150 ")
                data.say(b"half" * 10_000)
                if end == "data":
                    data.reset()
                    self.assertRegex(peer.hear(), rb"^426 ")
                elif end == "control":
                    peer.reset()
                else:
                    self.assertRegex(peer.ask(b"ABOR\r\n"), rb"^426 ")
                with self.subTest(command=command, end=end):
                    peer.close()
                    self.assertEqual((self.tree / "welcome.txt").read_bytes(), before)
                    self.assertEqual(sorted(path.name for path in self.tree.iterdir()), ["quests", "welcome.txt"])

    def test_ten_thousand_ports(self) -> None:
        """PASV and EPSV without end: one listener at a time, and everybody else is served."""
        for command, answer in ((b"PASV\r\n", b"227 "), (b"EPSV\r\n", b"229 ")):
            peer = self.logged_in()
            came = peer.pump(command * 5_000)
            self.assertLess(self.process.descriptors(), self.descriptors + 60)
            peer.finish()
            self.assertEqual((came.heard + peer.rest()).count(answer), 5_000)


class TreeTests(FtpAttackCase):
    """F04, F06, F07, F09, F10."""

    def test_no_name_leads_out(self) -> None:
        """Up, absolute, doubled, encoded, with NUL, and through a link that was planted: refused, or inside the tree."""
        outside = self.folder / "canary.txt"
        outside.write_bytes(b"canary")
        (self.tree / "way").symlink_to("/")
        (self.tree / "file").symlink_to(outside)
        spot = str(outside).encode()
        up = b"../" * 20
        for name in (
            spot, up + spot, up + spot[1:], b"/" + up + spot, b"quests/" + up + spot[1:], b"way" + spot, b"way/" + spot[1:],
            b"file",
            b"..%2f..%2f" + spot, b"....//....//" + spot, b"..\\..\\" + spot, b"./.././.." + spot, b"~root",
            b"~/../" + spot[1:], b"//" + spot, b"quests/../../" + spot[1:], b"\xc0\xae\xc0\xae/" + spot[1:],
            b"way/../" + spot[1:], b"-la " + spot,
        ):  # fmt: skip
            with self.subTest(name=name):
                peer = self.logged_in()
                heard, reply = self.listed(peer, b"RETR " + name)
                self.assertNotIn(b"canary", heard)
                self.assertRegex(reply, rb"^5\d\d ")
                self.assertRegex(peer.ask(b"DELE " + name + b"\r\n"), rb"^(?:550|553|250) ")
                self.assertRegex(peer.ask(b"RNFR " + name + b"\r\n"), rb"^(?:550|553|350) ")
                self.assertRegex(peer.ask(b"RNTO inside\r\n"), rb"^(?:550|553|503|250) ")
                data = self.data(peer)
                first = peer.ask(b"STOR " + name + b"\r\n")
                if first.startswith(b"150 "):
                    data.say(b"evil")
                    data.close()
                    peer.hear()
                peer.close()
        self.assertEqual(outside.read_bytes(), b"canary")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["canary.txt"])

    def test_folders_do_not_lead_out(self) -> None:
        """CWD, CDUP, MKD, RMD, LIST and MLSD stay in the tree as well."""
        (self.tree / "way").symlink_to("/")
        peer = self.logged_in()
        for name in (b"/..", b"../../../..", b"way", b"way/etc", b"/etc", b"quests/../../..", b"~", b"..\\.."):
            for command in (b"CWD ", b"XCWD "):
                peer.ask(command + name + b"\r\n")
                self.assertRegex(peer.ask(b"PWD\r\n"), rb'^257 "/(?:quests)?" ')
            for command in (b"LIST ", b"MLSD ", b"NLST "):
                heard, _ = self.listed(peer, command + name)
                for found in (b"passwd", b"root", b"usr"):
                    self.assertNotIn(found, heard)
            self.assertRegex(peer.ask(b"MKD " + name + b"/made\r\n"), rb"^(?:257|550|553) ")
            self.assertRegex(peer.ask(b"SITE CHMOD 777 " + name + b"\r\n"), rb"^(?:200|550|553|501) ")
        self.assertFalse(Path("/etc/made").exists() or Path("/made").exists())

    def test_glob_bombs(self) -> None:
        """Many asterisks against many long names, braces, brackets, patterns above patterns: at once, and bounded."""
        for number in range(1_000):
            (self.tree / ("a" * 200 + f"{number:04d}")).touch()
        peer = self.logged_in()
        for pattern in (
            b"*a" * 60 + b"b", b"*a" * 15 + b"b", b"*" * 4_000, b"?" * 4_000, b"{a,b}" * 20, b"*/../*/../*/../*", b"[" * 4_000,
            b"*?" * 15 + b"*", b"-R", b"-R /", b"**/**/**", b"*a*a*a*a*a*a*a*a*a*a*a*a*a*a*c",
        ):  # fmt: skip
            for command in (b"NLST ", b"LIST "):
                with self.subTest(pattern=pattern[:30], command=command):
                    heard, reply = self.listed(peer, command + pattern)
                    self.assertRegex(reply, rb"^(?:226|450|501|550|553) ")
                    self.assertLess(len(heard), 400_000)
        peer.say(b"STAT " + b"*a" * 15 + b"*\r\n")
        self.assertRegex(peer.hear(b"End of status.\r\n")[-30:], rb"213 End")

    def test_absurd_offsets(self) -> None:
        """REST past the end, negative, huge, in ASCII, and before STOR and APPE: refused; no sparse file appears."""
        peer = self.logged_in()
        for offset in (b"-1", b"1e3", b"", b"x", b"99999999999999999999", b"9223372036854775808", b"0x1"):
            with self.subTest(offset=offset):
                self.assertRegex(peer.ask(b"REST " + offset + b"\r\n"), rb"^501 ")
        for offset in (b"999999999999999", b"9223372036854775807", b"100000"):
            for command in (b"RETR welcome.txt", b"STOR welcome.txt", b"STOR fresh.txt"):
                with self.subTest(offset=offset, command=command):
                    data = self.data(peer)
                    peer.ask(b"REST " + offset + b"\r\n")
                    self.assertRegex(peer.ask(command + b"\r\n"), rb"^(?:554|501|553) ")
                    data.close()
        peer.ask(b"TYPE A\r\n")
        self.assertRegex(peer.ask(b"REST 10\r\n"), rb"^(?:501|504) ")
        self.assertRegex(peer.ask(b"SIZE welcome.txt\r\n"), rb"^550 ")
        self.assertRegex(peer.ask(b"ALLO 99999999999999999999999\r\n"), rb"^50\d ")
        self.assertEqual(sorted(path.name for path in self.tree.iterdir()), ["quests", "welcome.txt"])

    def test_site_is_no_shell(self) -> None:
        """F09: EXEC, CPFR, CPTO and bits above the permissions."""
        peer = self.logged_in()
        for command in (b"SITE EXEC id", b"SITE CPFR /etc/passwd", b"SITE CPTO x", b"SITE SYMLINK / x", b"SITE"):
            self.assertRegex(peer.ask(command + b"\r\n"), rb"^50[0-4] ")
        peer.ask(b"SITE CHMOD 6777 welcome.txt\r\n")
        self.assertEqual((self.tree / "welcome.txt").stat().st_mode & 0o7000, 0)

    def test_names_cannot_forge_listings(self) -> None:
        """F10: line ends, escapes and replies in names stay inside one line of LIST, NLST, MLSD, MLST and STAT."""
        forged = (
            "a\r\n226 done", "b\x1b[2J", "c\n-rw-r--r-- 1 root", "d\x07", "e\u202e", "f; type=dir;", ' "g"', "-rf", "h\x85i",
        )  # fmt: skip
        for name in forged:
            (self.tree / name).touch()
        peer = self.logged_in()
        for command in (b"LIST", b"NLST", b"MLSD"):
            heard, reply = self.listed(peer, command)
            with self.subTest(command=command):
                self.assertEqual(len(heard.split(b"\r\n")) - 1, len(forged) + 2)
                self.assertEqual(heard.translate(None, bytes(range(32))).count(b"\x1b"), 0)
                self.assertNotRegex(heard.replace(b"\r\n", b""), rb"[\x00-\x1f\x7f]")
                self.assertTrue(reply.startswith(b"226 "))
        status = peer.ask(b"STAT /\r\n", b"213 End of status.\r\n")
        self.assertEqual(status.count(b"\n"), len(forged) + 4)

    def test_commands_during_a_transfer(self) -> None:
        """A flood of commands and of ABOR beside a transfer that stands still: bounded, answered in order."""
        (self.tree / "large.bin").write_bytes(bytes(20_000_000))
        peer = self.logged_in()
        data = self.data(peer)
        self.assertRegex(peer.ask(b"RETR large.bin\r\n"), rb"^150 ")
        came: Pumped = peer.pump(b"SYST\r\n" * 50_000, 3.0, stalled=0.5)
        self.assertFalse(came.closed)
        data.reset()
        peer.finish()
        heard = came.heard + peer.rest()
        self.assertTrue(heard.startswith(b"426 "), heard[:100])
        self.assertGreater(heard.count(b"215 "), 32)
