"""The table of replies: RFC 959's, with a reason for every other code, and each code sent by some dialogue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import TryLater
from launcelot.filestore.limits import StorageFull
from launcelot.protocols import ftp
from launcelot.protocols.ftp.commands import ABSENT, COMMANDS
from launcelot.protocols.ftp.documentation import section
from launcelot.protocols.ftp.replies import BEYOND, NOT_LOGGED_IN, SAME, SENT, fitting
from launcelot.testing.certificates import Certificates
from tests.protocols.ftp.hearing import Hearing, codes_in
from tests.protocols.ftp.kit import Peer

_FILE = "425 426 450 451 452 532 550 551 552 553"

RFC959 = {
    "USER": "230 331 332 421 500 501 530",
    "PASS": "202 230 332 421 500 501 503 530",
    "CWD": "250 421 500 501 502 530 550",
    "CDUP": "200 421 500 501 502 530 550",
    "REIN": "120 220 421 500 502",
    "QUIT": "221 500",
    "PORT": "200 421 500 501 530",
    "PASV": "227 421 500 501 502 530",
    "MODE": "200 421 500 501 504 530",
    "TYPE": "200 421 500 501 504 530",
    "STRU": "200 421 500 501 504 530",
    "ALLO": "200 202 421 500 501 504 530",
    "REST": "350 421 500 501 502 530",
    "STOR": "110 125 150 226 250 421 425 426 450 451 452 500 501 530 532 551 552 553",
    "STOU": "110 125 150 226 250 421 425 426 450 451 452 500 501 530 532 551 552 553",
    "RETR": "110 125 150 226 250 421 425 426 450 451 500 501 530 550",
    "LIST": "125 150 226 250 421 425 426 450 451 500 501 502 530",
    "NLST": "125 150 226 250 421 425 426 450 451 500 501 502 530",
    "APPE": "110 125 150 226 250 421 425 426 450 451 452 500 501 502 530 532 550 551 552 553",
    "RNFR": "350 421 450 500 501 502 530 550",
    "RNTO": "250 421 500 501 502 503 530 532 553",
    "DELE": "250 421 450 500 501 502 530 550",
    "RMD": "250 421 500 501 502 530 550",
    "MKD": "257 421 500 501 502 530 550",
    "PWD": "257 421 500 501 502 550",
    "ABOR": "225 226 421 500 501 502",
    "SYST": "215 421 500 501 502",
    "STAT": "211 212 213 421 450 500 501 502 530",
    "HELP": "211 214 421 500 501 502",
    "SITE": "200 202 500 501 530",
    "NOOP": "200 421 500",
}
"""Section 5.4, verb by verb."""

ALWAYS_LISTED_425 = {"APPE", "LIST", "NLST", "RETR", "STOR", "STOU"}
"""There it stands behind 150 alone; that we send it without is among the reasons all the same."""


class TableTests(SynchronousTestCase):
    """The table itself."""

    def test_every_verb_has_its_replies(self) -> None:
        """Of all that are offered, and of no others; old names are answered as the new ones."""
        self.assertEqual(set(SENT), set(COMMANDS))
        self.assertEqual(set(RFC959) | {"ACCT", "SMNT"}, {*(set(RFC959) & set(SENT)), *(ABSENT & {"ACCT", "SMNT"})})
        for old, verb in SAME.items():
            self.assertIs(COMMANDS[old].run, COMMANDS[verb].run)

    def test_what_is_beyond_the_standard_has_a_reason(self) -> None:
        """And no reason is left for what is not."""
        for verb, listed in RFC959.items():
            codes = SENT[verb] | ({NOT_LOGGED_IN} if COMMANDS[verb].login else set())
            beyond = codes - set(map(int, listed.split()))
            reasons = {one.code for one in BEYOND if verb in one.verbs}
            self.assertEqual(beyond | ({425} if verb in ALWAYS_LISTED_425 else set()), reasons, verb)

    def test_refusals_fit(self) -> None:
        """A name that cannot be had is 553 where a file is to be made, and 550 elsewhere."""
        self.assertEqual([fitting(550, verb) for verb in ("RNTO", "CWD", "STOR", "XYZ")], [553, 550, 550, 550])
        self.assertEqual([fitting(553, verb) for verb in ("RNTO", "XCWD", "STOR", "MLST")], [553, 550, 553, 550])

    def test_readme(self) -> None:
        """It has the table as it is."""
        readme = (Path(ftp.__file__).parent / "README.rst").read_text()
        self.assertTrue(section() in readme, "python -m launcelot.protocols.ftp.documentation writes another")

    def test_hearing_hears(self) -> None:
        """The tests' ear refuses other codes, a reply too many and two of the first hundred."""
        for said, heard in (
            (b"PWD", b"250 x\r\n"),
            (b"PWD", b"257 x\r\n257 y\r\n"),
            (b"RETR f", b"150 x\r\n150 y\r\n"),
            (b"RETR f", b"257-x\r\n257 y\r\n"),
            (b"XYZ", b"200 x\r\n"),
            (b"PWD", b"no reply\r\n"),
        ):
            hearing = Hearing()
            hearing.said(said)
            with self.assertRaises(AssertionError):
                hearing.heard(heard)
        hearing.heard(b"421 x\r\n")


ONE_LINE = {
    "ABOR": {225: [], 501: ["ABOR x"]},
    "ALLO": {202: ["ALLO 5"], 501: ["ALLO x"]},
    "AVBL": {550: ["AVBL"]},
    "CCC": {534: [], 501: ["CCC x"]},
    "CDUP": {250: [], 501: ["CDUP x"]},
    "CLNT": {200: ["CLNT x"]},
    "CWD": {250: ["CWD d"], 501: ["CWD"], 550: ["CWD f"]},
    "DELE": {250: ["DELE f"], 501: ["DELE"], 550: ["DELE d"]},
    "EPRT": {
        200: ["EPRT |1|127.0.0.1|2000|"],
        501: ["EPRT |1|127.0.0.1|20|"],
        503: ["EPSV ALL", "EPRT |1|127.0.0.1|2000|"],
        522: ["EPRT |3|127.0.0.1|2000|"],
    },
    "EPSV": {200: ["EPSV ALL"], 229: [], 501: ["EPSV x"], 522: ["EPSV 2"]},
    "FEAT": {211: [], 501: ["FEAT x"]},
    "HASH": {213: ["HASH f"], 501: ["HASH"], 550: ["HASH d"]},
    "HELP": {214: [], 502: ["HELP XYZ"]},
    "HOST": {501: ["HOST"], 503: ["HOST test"]},
    "LANG": {200: [], 504: ["LANG fr"]},
    "LIST": {501: [], 550: ["LIST x"]},
    "MDTM": {213: ["MDTM f"], 501: ["MDTM"], 550: ["MDTM d"]},
    "MFF": {213: ["MFF UNIX.mode=600; f"], 501: ["MFF"], 504: ["MFF Owner=x; f"], 550: ["MFF UNIX.mode=600; x"]},
    "MFMT": {213: ["MFMT 20200101000000 f"], 501: ["MFMT x f"], 550: ["MFMT 20200101000000 x"]},
    "MKD": {257: ["MKD n"], 501: ["MKD"], 550: ["MKD " + "x" * 256]},
    "MLST": {250: [], 550: ["MLST x"]},
    "MODE": {200: ["MODE S"], 501: ["MODE"], 504: ["MODE B"]},
    "NOOP": {200: [], 501: ["NOOP x"]},
    "OPTS": {200: ["OPTS UTF8 ON"], 501: ["OPTS X"], 504: ["OPTS UTF8 OFF"]},
    "PASS": {503: ["PASS x"], 530: ["USER ann", "PASS x"], 230: ["USER ann", "PASS pw"]},
    "PASV": {227: [], 501: ["PASV x"], 503: ["EPSV ALL", "PASV"]},
    "PBSZ": {501: ["PBSZ x"], 503: ["PBSZ 0"]},
    "PORT": {200: ["PORT 127,0,0,1,9,0"], 501: ["PORT x"], 503: ["EPSV ALL", "PORT 127,0,0,1,9,0"]},
    "PROT": {501: ["PROT"], 503: ["PROT P"]},
    "PWD": {257: [], 501: ["PWD x"]},
    "QUIT": {221: [], 501: ["QUIT x"]},
    "REIN": {220: [], 501: ["REIN x"]},
    "REST": {350: ["REST 1"], 501: ["REST x"]},
    "RETR": {425: ["RETR f"], 501: ["RETR"]},
    "RMD": {250: ["RMD d"], 501: ["RMD"], 550: ["RMD f"]},
    "RNFR": {350: ["RNFR f"], 501: ["RNFR"], 550: ["RNFR x"]},
    "RNTO": {250: ["RNFR f", "RNTO g"], 501: ["RNTO"], 503: ["RNTO g"], 553: ["RNFR f", "RNTO d"]},
    "SITE": {
        200: ["SITE CHMOD 600 f"],
        213: ["SITE KEPT f"],
        214: ["SITE HELP"],
        501: ["SITE CHMOD 600"],
        504: ["SITE XYZ"],
        530: ["REIN", "SITE KEPT f"],
        550: ["SITE CHMOD 600 x"],
    },
    "SIZE": {213: ["SIZE f"], 501: ["SIZE"], 550: ["SIZE d"]},
    "STAT": {211: [], 213: ["STAT f"], 501: ["STAT " + "*" * 2 + "*a" * 17], 530: ["REIN", "STAT f"], 550: ["STAT x"]},
    "STRU": {200: ["STRU F"], 501: ["STRU"], 504: ["STRU R"]},
    "SYST": {215: [], 501: ["SYST x"]},
    "TYPE": {200: ["TYPE A"], 501: ["TYPE X"], 504: ["TYPE E"]},
    "USER": {331: ["USER ann"], 501: ["USER"], 530: ["USER anonymous"]},
    "XSHA256": {250: ["XSHA256 f"], 501: ["XSHA256"], 550: ["XSHA256 x"]},
}
"""By verb and code: what is said for it, without a data connection; nothing stands for the verb alone."""

PATHS = {
    **dict.fromkeys(("CWD", "DELE", "HASH", "MDTM", "MLST", "RMD", "RNFR", "SIZE", "STAT", "XSHA256"), "f"),
    "AVBL": "", "CDUP": "", "MFF": "UNIX.mode=600; f", "MFMT": "20200101000000 f", "MKD": "n", "SITE": "CHMOD 600 f",
}  # fmt: skip
"""Arguments for verbs that ask the store."""


class BrokenTree:
    """A store that cannot answer."""

    def __init__(self, why: Exception) -> None:
        self._why = why

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def refuse(*_arguments: object, **_more: object) -> None:
            raise self._why

        return refuse


class DialogueTests(SynchronousTestCase):
    """Each code of the table is sent by somebody; the kit holds every reply against it."""

    def peer(self, **settings: Any) -> Peer:
        """Ann, with a file and a folder."""
        peer = Peer(**settings)
        peer.put("f", data=b"123")
        peer.do("MKD d")
        return peer

    def test_on_the_control_connection(self) -> None:
        """What needs no data connection."""
        for verb, dialogues in ONE_LINE.items():
            for code, lines in dialogues.items():
                peer = self.peer()
                if verb in ("LIST",):
                    peer.data()
                heard = peer.do(*(lines or [f"{verb} {'*a' * 17}" if (verb, code) == ("LIST", 501) else verb]))
                self.assertEqual(codes_in(heard)[-1], code, (verb, lines))

    def test_the_store_cannot_answer(self) -> None:
        """451 of every verb that asks it; 452 where it is full."""
        for verb in sorted(verb for verb, codes in SENT.items() if 451 in codes and 150 not in codes and verb not in SAME):
            if verb in ("PASS", "RNTO"):
                continue
            peer = self.peer()
            peer.link.server.session._tree = BrokenTree(TryLater())
            self.assertEqual(codes_in(peer.do(f"{verb} {PATHS[verb]}".strip())), [451], verb)
        peer = self.peer()
        peer.do("RNFR f")
        peer.link.server.session._tree = BrokenTree(TryLater())
        self.assertEqual(codes_in(peer.do("RNTO g")), [451])
        peer.link.server.session._tree = BrokenTree(StorageFull())
        self.assertEqual(codes_in(peer.do("MKD n")), [452])
        peer = self.peer()

        async def tree(*_arguments: object) -> None:
            raise TryLater

        self.patch(peer.world.site.files, "tree", tree)
        self.assertEqual(codes_in(peer.do("USER ann", "PASS pw")), [331, 451])

    def test_transfers(self) -> None:
        """150 and then the end, or no 150."""
        for verb in ("RETR", "LIST", "NLST", "MLSD"):
            peer = self.peer()
            argument = "f" if verb == "RETR" else "d"
            self.assertEqual(codes_in(peer.fetch(f"{verb} {argument}")[1]), [150, 226])
            self.assertEqual(codes_in(peer.do(f"{verb} {argument}")), [425])
            self.assertEqual(codes_in(peer.fetch(f"{verb} x")[1]), [550])
            peer.data()
            peer.link.server.session._tree = BrokenTree(TryLater())
            self.assertEqual(codes_in(peer.do(f"{verb} {argument}")), [451], verb)
            self.assertEqual(codes_in(self.peer().fetch(f"{verb} {'*a' * 17}")[1]), [550 if verb in ("RETR", "MLSD") else 501])
        self.assertEqual(codes_in(self.peer().fetch("MLSD f")[1]), [501])
        peer = self.peer()
        peer.do("REST 4")
        self.assertEqual(codes_in(peer.fetch("RETR f")[1]), [554])
        for verb in ("STOR", "APPE", "STOU"):
            peer = self.peer()
            self.assertEqual(codes_in(peer.send(f"{verb} f", b"x")), [150, 226])
            self.assertEqual(codes_in(peer.do(f"{verb} f")), [425])
            data = peer.data()
            self.assertEqual(codes_in(peer.do(f"{verb} f")), [150])
            data.abort()
            self.assertEqual(codes_in(peer.hear()), [426])
            self.assertEqual(codes_in(peer.send(f"{verb} x/y", b"x")), [553])
            self.assertEqual(codes_in(peer.send(f"{verb} /", b"x")), [553])
            for why, code in ((TryLater(), 451), (StorageFull(), 452)):
                peer.data()
                peer.link.server.session._tree = BrokenTree(why)
                self.assertEqual(codes_in(peer.do(f"{verb} f")), [code])
            peer = self.peer(quota=10)
            self.assertEqual(codes_in(peer.send(f"{verb} g", b"x" * 20)), [150, 552])

    def test_a_folder_in_the_place_of_an_upload(self) -> None:
        """550 behind 150: the target cannot be had any more."""
        for verb in ("STOR", "APPE"):
            peer = self.peer()
            data = peer.data()
            peer.do(f"{verb} g")
            peer.world.result(peer.tree.make_folder(("g",)))
            data.say(b"x")
            data.close()
            self.assertEqual(codes_in(peer.hear()), [550], verb)

    def test_a_full_port_range(self) -> None:
        """425 of PASV and EPSV."""
        peer = self.peer(passive_ports="40000-40000")
        other = Peer(world=peer.world, passive_ports="40000-40000")
        other.do("PASV")
        self.assertEqual((codes_in(peer.do("PASV")), codes_in(peer.do("EPSV"))), ([425], [425]))

    def test_tls(self) -> None:
        """AUTH, PBSZ and PROT; 521 where data must be protected."""
        certificates = Certificates("here.test")
        peer = Peer(login=False, tls=certificates, require_tls="both")
        self.assertEqual(codes_in(peer.do("AUTH", "AUTH X", "HOST test", "HOST x", "AUTH TLS")), [501, 504, 220, 504, 234])
        peer.link.start_tls(peer.world.client_tls())
        peer.login()
        self.assertEqual(
            codes_in(peer.do("AUTH TLS", "PBSZ 0", "PROT C", "PROT S", "PROT X")), [503, 200, 534, 536, 504]
        )
        peer.data()
        for verb in ("RETR f", "STOR f", "APPE f", "STOU", "LIST", "NLST", "MLSD"):
            self.assertEqual(codes_in(peer.do(verb)), [521], verb)
        self.assertEqual(codes_in(peer.do("PROT P")), [200])
        self.assertEqual(codes_in(self.peer().do("AUTH TLS")), [502])

    def test_abort(self) -> None:
        """426 of the transfer, then 226; 226 alone where there is a connection and no transfer."""
        peer = self.peer()
        data = peer.data()
        peer.do("STOR g")
        data.say(b"x")
        self.assertEqual(codes_in(peer.do("ABOR")), [426, 226])
        peer.data()
        self.assertEqual(codes_in(peer.do("ABOR")), [226])

    def test_octets_that_may_be_stored(self) -> None:
        """213 of AVBL where there is a quota."""
        self.assertEqual(codes_in(self.peer(quota=1000).do("AVBL")), [213])
