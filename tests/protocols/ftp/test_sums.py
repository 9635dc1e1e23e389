"""HASH, XSHA256, MFF, HOST and LANG."""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from tests.protocols.ftp.kit import Peer

DATA = bytes(range(256)) * 3_000


class ExtraVerbTests(SynchronousTestCase):
    """Verbs of later documents."""

    def setUp(self) -> None:
        self.peer = Peer()

    def says(self, line: str, *answers: str) -> None:
        """The whole answer to a command."""
        self.assertEqual(self.peer.do(line).decode(), "".join(f"{one}\r\n" for one in answers))

    def put(self, name: str, data: bytes) -> None:
        """A file."""

        async def store() -> None:
            tree = await self.peer.world.site.files.tree(self.peer.account.id)
            upload = await tree.upload((name,))
            await upload.write(data)
            await upload.publish()

        self.peer.world.result(store())

    def test_hash(self) -> None:
        """With the algorithm that was chosen, of a whole file."""
        self.put("f f", DATA)
        known = hashlib.sha256(DATA).hexdigest()
        self.says("HASH f f", f"213 SHA-256 0-{len(DATA) - 1} {known} f f")
        self.says("OPTS HASH", "200 SHA-256")
        self.says("OPTS HASH sha-512", "200 SHA-512")
        self.says("HASH f f", f"213 SHA-512 0-{len(DATA) - 1} {hashlib.sha512(DATA).hexdigest()} f f")
        self.assertIn(b" HASH SHA-256;SHA-512*;\r\n", self.peer.do("FEAT"))
        self.says("OPTS HASH CRC", "504 The algorithms are SHA-256, SHA-512.")
        self.put("empty", b"")
        self.says("OPTS HASH SHA-256", "200 SHA-256")
        self.says("HASH empty", f"213 SHA-256 0-0 {hashlib.sha256(b'').hexdigest()} empty")
        self.assertTrue(self.peer.do("HASH nowhere").startswith(b"550 "))
        self.peer.do("MKD d")
        self.assertTrue(self.peer.do("HASH d").startswith(b"550 "))

    def test_xsha256(self) -> None:
        """Of a path as it stands, or of a range behind a quoted one."""
        self.put('a "b"', DATA)
        self.says('XSHA256 "a ""b"""', f"250 {hashlib.sha256(DATA).hexdigest().upper()}")
        self.says('XSHA256 a "b"', f"250 {hashlib.sha256(DATA).hexdigest().upper()}")
        self.says('XSHA256 "a ""b""" 3 700000', f"250 {hashlib.sha256(DATA[3:700_000]).hexdigest().upper()}")
        self.says('XSHA256 "a ""b""" 3 999999999', f"250 {hashlib.sha256(DATA[3:]).hexdigest().upper()}")
        self.says('XSHA256 "a ""b""" 999999 9999999', "501 The range is past the end of the file.")
        self.says('XSHA256 ""', "501 A path is missing.")

    def test_facts_are_set(self) -> None:
        """Time and mode, together or alone; nothing else."""
        self.put("f", b"x")
        self.says("MFF Modify=20240102030405;UNIX.mode=0640; f", "213 Modify=20240102030405;UNIX.mode=0640; f")
        self.says("MDTM f", "213 20240102030405")
        self.assertIn(b"unix.mode=0640", self.peer.do("MLST f").lower())
        self.says("MFF unix.mode=600; f", "213 UNIX.mode=0600; f")
        self.says("MFF modify=20250102030405; f", "213 Modify=20250102030405; f")
        for argument, code in (
            ("Modify=20240102030405; nowhere", "550"),
            ("Modify=x; f", "501"),
            ("UNIX.mode=9; f", "501"),
            ("UNIX.mode=4755; f", "504"),
            ("Create=20240102030405; f", "504"),
            ("Modify=20240102030405;Modify=20240102030405; f", "504"),
            ("Modify; f", "501"),
            ("f", "501"),
            ("Modify=20240102030405;f", "501"),
        ):
            self.assertEqual(self.peer.do(f"MFF {argument}")[:3].decode(), code, argument)

    def test_host(self) -> None:
        """Ours under all its names, before anybody says who they are."""
        peer = Peer(login=False)
        for name in ("here.test", "HERE.TEST", "test", "localhost"):
            self.assertEqual(peer.do(f"HOST {name}"), b"220 here.test FTP ready.\r\n")
        self.assertEqual(peer.do("HOST elsewhere.example"), b"504 There is no such host here.\r\n")
        self.assertEqual(peer.do("USER ann", "HOST test").split(b"\r\n")[1], b"503 Say HOST before USER.")

    def test_language(self) -> None:
        """There is one."""
        for tag, code in (("", 200), (" EN", 200), (" en-GB", 200), (" fr", 504)):
            self.assertEqual(int(self.peer.do(f"LANG{tag}")[:3]), code)
