"""Somebody without a name: one team folder to look at and to read, and nothing else."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.ftp.listing import parse_facts_line
from launcelot.testing.site import memory_site
from tests.protocols.ftp.kit import Peer


class AnonymousTests(SynchronousTestCase):
    """Ann has an account; nobody has none."""

    def setUp(self) -> None:
        """A folder for everybody, and one that is not."""
        self.world = memory_site(tls=True)
        self.world.add_user("ann")
        self.world.add_team("Public", {"ann": "editor"}, files={"README": b"for all\r\n", "sub/deep": b"x" * 3_000})
        self.world.add_team("Plans", {"anyone": "editor"}, files={"plan": b"ours"})
        ann = self.peer()
        ann.do("USER ann", "PASS pw", "TYPE I")
        ann.send("STOR secret", b"hers")

    def peer(self, **settings: Any) -> Peer:
        """Somebody who has not logged in."""
        return Peer(login=False, world=self.world, **{"anonymous": "Public", **settings})

    def nobody(self) -> Peer:
        """Somebody who has."""
        peer = self.peer()
        self.assertRegex(peer.do("USER anonymous", "PASS guest@"), rb"\A331 .*\r\n230 .*\r\n\Z")
        self.assertEqual(peer.do("TYPE I")[:3], b"200")
        return peer

    def test_both_names_and_any_password(self) -> None:
        """RFC 1635: anonymous or ftp, in whatever case, with a password of any octets or none."""
        for name in ("anonymous", "Anonymous", "ftp", "FTP"):
            for secret in (b"PASS x@y", b"PASS", b"PASS \xff", b"PASS " + b"x" * 600):
                peer = self.peer()
                self.assertEqual(peer.do(f"USER {name}")[:3], b"331")
                self.assertEqual(peer.do(secret)[:3], b"230", secret)

    def test_what_it_sees(self) -> None:
        """The folder is its root: no account's files, and no other team folder."""
        peer = self.nobody()
        self.assertIn(b'"/"', peer.do("PWD"))
        names, _ = peer.fetch("NLST")
        self.assertEqual(sorted(names.split(b"\r\n")), [b"", b"README", b"sub"])
        self.assertEqual(peer.fetch("RETR /README")[0], b"for all\r\n")
        self.assertEqual(peer.fetch("RETR sub/deep")[0], b"x" * 3_000)
        for path in ("/secret", "/team/Plans/plan", "/team", "/../secret", "/sub/../../Plans/plan"):
            self.assertEqual(peer.do(f"SIZE {path}")[:3], b"550", path)

    def test_facts_tell_what_it_may(self) -> None:
        """``perm`` has what looks and reads, and nothing that changes (RFC 3659 section 7.5.5)."""
        peer = self.nobody()
        listed, _ = peer.fetch("MLSD")
        facts = {one.name: one.facts["perm"] for one in map(parse_facts_line, listed.splitlines())}
        self.assertEqual(facts, {"README": "r", "sub": "el"})
        root = peer.do("MLST /").decode()
        self.assertEqual(set(re.findall(r"perm=([a-z]*);", root)), {"el"})

    def test_nothing_is_changed(self) -> None:
        """Every verb that would change something is 550, and nothing has changed."""
        peer = self.nobody()
        for command in (
            "DELE README", "RMD sub", "MKD new", "MFMT 20200101000000 README", "MFF UNIX.mode=0777; README",
            "SITE CHMOD 777 README", "SITE UTIME 20200101000000 README",
        ):  # fmt: skip
            self.assertEqual(peer.do(command)[:3], b"550", command)
        self.assertEqual(peer.do("RNFR README")[:3], b"350")
        self.assertEqual(peer.do("RNTO other")[:3], b"553")
        for command in ("STOR new", "STOR README", "APPE README", "STOU"):
            self.assertRegex(peer.send(command, b"mine"), rb"(?m)^55[03] ", command)
        names, _ = peer.fetch("NLST")
        self.assertEqual(sorted(names.split(b"\r\n")), [b"", b"README", b"sub"])
        self.assertEqual(peer.fetch("RETR README")[0], b"for all\r\n")
        self.assertEqual(peer.do("AVBL")[:5], b"213 0")

    def test_what_members_change_is_seen(self) -> None:
        """Ann puts a file into /team/Public, and everybody has it."""
        ann, peer = Peer(login=False, world=self.world), self.nobody()
        ann.do("USER ann", "PASS pw", "TYPE I")
        self.assertIn(b"226 ", ann.send("STOR /team/Public/news", b"today"))
        self.assertEqual(peer.fetch("RETR news")[0], b"today")

    def test_passwords_in_clear(self) -> None:
        """Who has no password tells none: it may come from anywhere in clear, unless TLS is required for all."""
        peer = Peer(login=False, world=self.world, source="192.0.2.7", anonymous="Public", plaintext_login="never")
        self.assertEqual(peer.do("USER ann")[:3], b"530")
        self.assertIn(b"230 ", peer.do("USER ftp", "PASS x"))
        peer = self.peer(require_tls="control")
        self.assertEqual(peer.do("USER ftp")[:3], b"530")

    def test_accounts_log_in_as_ever(self) -> None:
        """A name behind it is asked for its password, and nobody's rights end with the session's log-in."""
        peer = self.nobody()
        self.assertEqual(peer.do("USER ann")[:3], b"331")
        self.assertEqual(peer.do("PASS wrong")[:3], b"530")
        self.assertEqual(peer.do("PWD")[:3], b"530")
        self.assertIn(b"230 ", peer.do("USER ann", "PASS pw", "TYPE I"))
        self.assertEqual(peer.do("SIZE secret")[:3], b"213")
        self.assertIn(b"230 ", peer.do("USER anonymous", "PASS x", "TYPE I"))
        self.assertEqual(peer.do("SIZE secret")[:3], b"550")

    def test_no_such_folder(self) -> None:
        """What is set and not there lets nobody in, and the log says what to do."""
        peer = self.peer(anonymous="Nowhere")
        self.assertEqual(peer.do("USER ftp")[:3], b"331")
        self.assertEqual(peer.do("PASS x")[:3], b"530")
        self.assertEqual(peer.do("PWD")[:3], b"530")
