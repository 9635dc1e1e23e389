"""Every verb, in every state, as dialogues."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.ftp import commands
from launcelot.protocols.ftp.commands import ABSENT, COMMANDS, HTTP
from launcelot.protocols.ftp.service import Settings, build
from launcelot.testing.dialogue import play
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site
from tests.protocols.ftp.kit import Peer, make_factory

ARGUMENTS = {
    "ALLO": "10",
    "APPE": "f",
    "AUTH": "TLS",
    "CLNT": "x",
    "CWD": "d",
    "DELE": "f",
    "EPRT": "|1|127.0.0.1|2000|",
    "HASH": "f",
    "HOST": "test",
    "MDTM": "f",
    "MFF": "Modify=20240101000000; f",
    "MFMT": "20240101000000 f",
    "MKD": "n",
    "MODE": "S",
    "OPTS": "UTF8 ON",
    "PASS": "pw",
    "PBSZ": "0",
    "PORT": "127,0,0,1,10,0",
    "PROT": "P",
    "REST": "0",
    "RETR": "f",
    "RMD": "d",
    "RNFR": "f",
    "RNTO": "g",
    "SITE": "HELP",
    "SIZE": "f",
    "STOR": "f",
    "STRU": "F",
    "TYPE": "I",
    "USER": "ann",
    "XCWD": "d",
    "XMKD": "n",
    "XRMD": "d",
    "XSHA256": "f",
}
"""A right argument for each verb that needs one."""

READY = {
    "ABOR": 225, "ALLO": 202, "APPE": 425, "AUTH": 502, "AVBL": 550, "CCC": 534, "CDUP": 250, "CLNT": 200, "CWD": 250,
    "DELE": 250, "EPRT": 200, "EPSV": 229, "FEAT": 211, "HASH": 213, "HELP": 214, "HOST": 503, "LANG": 200, "LIST": 425,
    "MDTM": 213, "MFF": 213, "MFMT": 213, "MKD": 257,
    "MLSD": 425, "MLST": 250, "MODE": 200, "NLST": 425, "NOOP": 200, "OPTS": 200, "PASS": 503, "PASV": 227, "PBSZ": 503,
    "PORT": 200, "PROT": 503, "PWD": 257, "QUIT": 221, "REIN": 220, "REST": 350, "RETR": 425, "RMD": 250, "RNFR": 350,
    "RNTO": 503, "SITE": 214, "SIZE": 213, "STAT": 211, "STOR": 425, "STOU": 425, "STRU": 200, "SYST": 215, "TYPE": 200,
    "USER": 331, "XCUP": 250, "XCWD": 250, "XMKD": 257, "XPWD": 257, "XRMD": 250, "XSHA256": 250,
}  # fmt: skip
"""What each verb is answered by a logged-in peer that has said nothing else."""

BEFORE = {
    "AUTH": 502, "CCC": 534, "CLNT": 200, "FEAT": 211, "HELP": 214, "HOST": 220, "LANG": 200, "NOOP": 200, "OPTS": 200,
    "PASS": 503, "PBSZ": 503, "PROT": 503, "QUIT": 221, "REIN": 220, "SITE": 214, "STAT": 211, "SYST": 215, "USER": 331,
}  # fmt: skip
"""What each verb is answered before login, where it is not 530."""

WORDS = [f"{verb} {ARGUMENTS[verb]}" if verb in ARGUMENTS else verb for verb in READY]
"""Every verb with a right argument."""

NO_ARGUMENT = {
    "ABOR", "CCC", "CDUP", "FEAT", "NOOP", "PASV", "PWD", "QUIT", "REIN", "SYST", "XCUP", "XPWD",
}  # fmt: skip


def said(verb: str) -> str:
    """A verb with a right argument."""
    return f"{verb} {ARGUMENTS[verb]}" if verb in ARGUMENTS else verb


def code(reply: bytes) -> int:
    """The code of a reply."""
    return int(reply[:3])


class TableTests(SynchronousTestCase):
    """The whole table, state by state."""

    def test_every_verb_when_logged_in(self) -> None:
        """Each verb is answered as the table says, in capitals and in small letters."""
        self.assertEqual(set(READY), set(COMMANDS))
        for verb, expected in READY.items():
            for words in (said(verb), said(verb).replace(verb, verb.lower(), 1)):
                peer = Peer()
                peer.put("f", data=b"123")
                peer.do("MKD d")
                self.assertEqual(code(peer.do(words)), expected, words)

    def test_every_verb_before_login(self) -> None:
        """Before login, and between USER and PASS, each verb is answered as the table says."""
        for verb in COMMANDS:
            expected = BEFORE.get(verb, 530)
            self.assertEqual(code(Peer(login=False).do(said(verb))), expected, verb)
            named = Peer(login=False)
            named.do("USER ann")
            expected = {"PASS": 230, "HOST": 503}.get(verb, expected)
            self.assertEqual(code(named.do(said(verb))), expected, verb)

    def test_missing_arguments(self) -> None:
        """A verb that needs an argument and has none is 501, and the session goes on."""
        for verb in ARGUMENTS:
            if verb in ("CLNT", "PASS", "SITE"):
                continue
            peer = Peer()
            self.assertEqual(code(peer.do(verb)), 501, verb)
            self.assertEqual(code(peer.do("NOOP")), 200)

    def test_arguments_where_there_are_none(self) -> None:
        """A verb without argument that has one is 501."""
        for verb in NO_ARGUMENT:
            self.assertEqual(code(Peer().do(f"{verb} x")), 501, verb)

    def test_help_knows_every_verb(self) -> None:
        """HELP lists every verb, says how each is written, and does not know others."""
        peer = Peer()
        listed = peer.do("HELP").decode()
        for verb in COMMANDS:
            self.assertIn(f" {verb}", listed)
            self.assertEqual(code(peer.do(f"HELP {verb.lower()}")), 214)
        self.assertEqual(code(peer.do("HELP XYZ")), 502)

    def test_verbs_not_offered(self) -> None:
        """Verbs that others have are 502; unknown ones are 500."""
        peer = Peer()
        for verb in ABSENT:
            self.assertEqual(code(peer.do(f"{verb} x")), 502, verb)
        self.assertEqual(code(peer.do("XYZ")), 500)

    def test_browsers_are_sent_away(self) -> None:
        """A request of HTTP ends the session; what a page's author put behind it is not looked at."""
        for verb in HTTP:
            peer = Peer(login=False)
            peer.link.say(f"{verb} / HTTP/1.1\r\nHost: x\r\n\r\nFEAT\r\n".encode())
            self.assertTrue(peer.link.take().endswith(b"500 This is FTP.\r\n"))
            self.assertTrue(peer.link.closed)
        self.assertEqual(HTTP & set(COMMANDS), set())

    def test_every_verb_octet_by_octet(self) -> None:
        """Delivery in single octets changes no answer."""
        for verb in ("USER", "FEAT", "QUIT", "STAT"):
            whole, single = Peer(login=False), Peer(login=False)
            single.link.say(said(verb).encode() + b"\r\n", chunk=1)
            self.assertEqual(single.link.take(), whole.do(said(verb)))


class ErrorTests(SynchronousTestCase):
    """How much nonsense is listened to."""

    def test_twenty_refusals_before_login_close(self) -> None:
        """Whatever they are refused for: order, arguments, unknown verbs, no verbs."""
        for line in (b"RETR x", b"USER", b"PASS x", b"XYZ", b"\x01", b"PORT 1"):
            peer = Peer(login=False)
            peer.link.say((line + b"\r\n") * 100)
            self.assertEqual(len(peer.link.take().splitlines()), 20, line)
            self.assertTrue(peer.link.closed)

    def test_questions_of_those_who_have_logged_in_do_not_close(self) -> None:
        """Programs that mirror trees ask for many a file that is not there."""
        peer = Peer()
        peer.link.say(b"SIZE nothing\r\n" * 100)
        self.assertEqual(peer.link.take().count(b"550 "), 100)
        self.assertFalse(peer.link.closed)


class LoginTests(SynchronousTestCase):
    """Who may come in."""

    def play(self, text: str, **settings: object) -> None:
        """A dialogue with a new peer."""
        peer = Peer(login=False, **settings)  # type: ignore[arg-type]
        play(peer.factory, peer.world.clock, text)

    def test_three_wrong_passwords_close(self) -> None:
        """Wrong passwords and unknown names are answered alike; the third closes."""
        self.play(
            """
            S: 220 here.test *
            C: USER ann
            S: 331 *
            C: PASS wrong
            S: 530 Name or password is wrong.
            C: USER nobody
            S: 331 *
            C: PASS pw
            S: 530 Name or password is wrong.
            C: USER ann
            S: 331 *
            C: PASS
            S: 421 Too many failed logins.
            -- closed
            """
        )

    def test_anonymous_is_refused(self) -> None:
        """Anonymous names are refused before a password is asked for."""
        self.play(
            """
            S: 220 *
            C: USER anonymous
            S: 530 Anonymous login is not offered.
            C: USER FTP
            S: 530 *
            C: PASS x
            S: 503 *
            """
        )

    def test_passwords_that_cannot_be(self) -> None:
        """Passwords that are not UTF-8 or far too long are just wrong."""
        for secret in (b"\xff", b"x" * 2_000):
            peer = Peer(login=False)
            peer.do("USER ann")
            self.assertEqual(peer.do(b"PASS " + secret)[:3], b"530")
        peer = Peer(login=False)
        peer.do("USER " + "x" * 2_000)
        self.assertEqual(peer.do("PASS pw")[:3], b"530")

    def test_too_many_failures_from_one_source(self) -> None:
        """Past the limit over all sessions the right password is refused, too, with 421."""
        world = Peer(login=False).world
        for _ in range(5):
            peer = Peer(login=False, world=world)
            peer.do("USER ann", "PASS a", "USER ann", "PASS b")
        peer = Peer(login=False, world=world)
        self.assertEqual([line[:3] for line in peer.do("USER ann", "PASS pw").splitlines()], [b"331", b"421"])
        self.assertTrue(peer.link.closed)

    def test_user_again_logs_out(self) -> None:
        """USER in the middle of a session begins again at the root."""
        peer = Peer()
        peer.do("MKD d", "CWD d", "USER ann")
        self.assertEqual(code(peer.do("PWD")), 530)
        peer.do("PASS pw")
        self.assertIn(b'257 "/"', peer.do("PWD"))

    def test_reinitialize_logs_out(self) -> None:
        """REIN forgets who it was."""
        peer = Peer()
        self.assertEqual(code(peer.do("REIN")), 220)
        self.assertEqual(code(peer.do("PWD")), 530)

    def test_passwords_in_clear(self) -> None:
        """Without TLS a password is taken as the setting says: from this machine only, never, or always."""
        self.assertEqual(code(Peer(login=False, source="192.0.2.7").do("USER ann")), 530)
        self.assertEqual(code(Peer(login=False, source="192.0.2.7", plaintext_login="always").do("USER ann")), 331)
        self.assertEqual(code(Peer(login=False, plaintext_login="never").do("USER ann")), 530)

    def test_quit(self) -> None:
        """QUIT is answered, then the server closes."""
        peer = Peer()
        self.assertEqual(code(peer.do("QUIT")), 221)
        self.assertTrue(peer.link.closed)


class NameTests(SynchronousTestCase):
    """Files and folders."""

    def test_folders(self) -> None:
        """Folders are made, entered, left, told and removed; the old verbs do the same."""
        peer = Peer()
        play(
            peer.factory,
            peer.world.clock,
            '''
            C: MKD d
            S: 257 "/d" created.
            C: MKD d
            S: 550 already exists
            C: CWD d
            S: 250 "/d" is *
            C: XMKD e "x"
            S: 257 "/d/e ""x""" created.
            C: XCWD e "x"
            S: 250 *
            C: XPWD
            S: 257 "/d/e ""x""" is *
            C: XCUP
            S: 250 *
            C: CDUP
            S: 250 "/" *
            C: CDUP
            S: 250 "/" *
            C: RMD d
            S: 550 the folder is not empty
            C: XRMD d/e "x"
            S: 250 *
            C: RMD d
            S: 250 *
            C: CWD d
            S: 550 not found
            C: RMD /
            S: 550 *
            ''',
            link=peer.link,
        )

    def test_nothing_leads_out(self) -> None:
        """Paths that try to leave stay at the root; strange ones are names or refused.  F04."""
        peer = Peer()
        self.assertIn(b'"/"', peer.do("CWD " + "../" * 20))
        for path in ("../" * 20 + "etc", "/etc", "..\\etc", "~root", "%2e%2e", "/" * 200 + "etc"):
            self.assertEqual(code(peer.do(f"CWD {path}")), 550, path)
        for path in ("a\0b", "x" * 256, "a/" * 70):
            self.assertIn(code(peer.do(f"CWD {path}")), (500, 550), path)

    def test_renaming(self) -> None:
        """RNFR and RNTO belong together; whatever comes between parts them."""
        peer = Peer()
        peer.put("f", data=b"1")
        play(
            peer.factory,
            peer.world.clock,
            """
            C: RNFR missing
            S: 550 not found
            C: RNTO g
            S: 503 *
            C: RNFR f
            S: 350 *
            C: NOOP
            S: 200 *
            C: RNTO g
            S: 250 *
            C: RNTO h
            S: 503 *
            C: RNFR g
            S: 350 *
            C: PWD
            S: 257 *
            C: RNTO h
            S: 503 *
            """,
            link=peer.link,
        )
        self.assertEqual(peer.names(), ["g"])

    def test_facts_of_files(self) -> None:
        """SIZE, MDTM, MFMT, MLST, CHMOD and UTIME tell and set what they should."""
        peer = Peer()
        peer.put("f", data=b"123")
        play(
            peer.factory,
            peer.world.clock,
            """
            C: SIZE f
            S: 213 3
            C: MDTM f
            S: 213 20231114221320
            C: MFMT 20200102030405 f
            S: 213 Modify=20200102030405; f
            C: MDTM f
            S: 213 20200102030405
            C: SITE UTIME 202001020304 f
            S: 200 *
            C: MDTM f
            S: 213 20200102030400
            C: SITE CHMOD 600 f
            S: 200 *
            C: SITE CHMOD 4755 f
            S: 504 *
            C: SITE KEPT f
            S: 213 0
            C: SITE KEPT
            S: 501 *
            C: SITE USAGE
            S: 213 3
            C: SITE USAGE f
            S: 550 *
            C: SITE EXEC ls
            S: 504 *
            C: OPTS MLST size;unix.MODE;
            S: 200 MLST OPTS size;UNIX.mode;
            C: MLST f
            S: 250-Facts of /f
            S:  size=3;UNIX.mode=0600; /f
            S: 250 End.
            C: TYPE A
            S: 200 *
            C: SIZE f
            S: 550 *
            C: SIZE missing
            S: 550 *
            C: MDTM /
            S: 550 *
            C: MLST missing
            S: 550 *
            """,
            link=peer.link,
        )

    def test_names_that_are_not_utf8(self) -> None:
        """Undecodable octets come back as they were sent, in every listing and reply."""
        peer = Peer()
        name = b"caf\xe9 \xff\xfe"
        self.assertEqual(peer.do(b"MKD " + name)[:3], b"257")
        self.assertIn(b'"/' + name + b'"', peer.do(b"CWD " + name))
        peer.do("CDUP")
        for verb in ("LIST", "NLST", "MLSD"):
            self.assertTrue(peer.fetch(verb)[0].endswith(name + b"\r\n"), verb)

    def test_types(self) -> None:
        """Types, structures and modes that are not offered are 504; nonsense is 501."""
        peer = Peer()
        table = {
            "TYPE A": 200, "TYPE A N": 200, "TYPE a": 200, "TYPE L 8": 200,
            "TYPE I": 200, "TYPE E": 504, "TYPE A T": 504, "TYPE L 36": 504,
            "TYPE X": 501, "STRU R": 504, "STRU P": 504,
            "MODE B": 504, "MODE Z": 504, "MODE C": 504, "ALLO 5 R 2": 202, "ALLO x": 501,
            "REST 5": 350, "REST -1": 501, "REST x": 501, "OPTS UTF8 OFF": 504, "OPTS HASH SHA": 504,
        }  # fmt: skip
        for words, expected in table.items():
            self.assertEqual(code(peer.do(words)), expected, words)
        peer.do("TYPE A")
        self.assertEqual(code(peer.do("REST 5")), 501)
        self.assertEqual(code(peer.do("REST 0")), 350)

    def test_available(self) -> None:
        """AVBL tells what is left of the quota, and that there is none without."""
        self.assertEqual(Peer(quota=1_000).do("AVBL"), b"213 1000\r\n")
        self.assertEqual(code(Peer().do("AVBL")), 550)
        self.assertEqual(code(Peer(quota=1_000).do("AVBL missing")), 550)

    def test_status_of_a_path(self) -> None:
        """STAT with a path lists on the control connection, no line looking like the last."""
        peer = Peer()
        peer.put("213 x")
        peer.put("d", "g")
        reply = peer.do("STAT .")
        self.assertTrue(reply.startswith(b"213-") and reply.endswith(b"\r\n213 End of status.\r\n"))
        self.assertEqual(sum(line.startswith(b"213") for line in reply.splitlines()), 2)
        self.assertIn(b" g\r\n", peer.do("STAT -l d"))
        self.assertEqual(code(peer.do("STAT missing")), 550)
        self.assertEqual(code(Peer(login=False).do("STAT /")), 530)


class BadInputTests(SynchronousTestCase):
    """What no client should send."""

    def test_long_line(self) -> None:
        """A line without end is answered once its limit is passed, and the connection is closed."""
        for chunk in (None, 1_000):
            peer = Peer()
            peer.link.say(b"RETR " + b"x" * 100_000, chunk)
            self.assertEqual(peer.link.take(), b"421 The line is too long.\r\n")
            self.assertTrue(peer.link.closed)

    def test_bare_newline(self) -> None:
        """A line that ends in LF alone is a syntax error, and the next is read."""
        peer = Peer()
        peer.link.say(b"NOOP\nNOOP\r\n")
        self.assertEqual([line[:3] for line in peer.link.take().splitlines()], [b"500", b"200"])

    def test_noise(self) -> None:
        """Twenty lines of noise are answered, then the peer is sent away."""
        peer = Peer(login=False)
        peer.link.say(b"\x00\x01\x02\r\n" * 10 + b"NONSENSE\r\n" * 20)
        heard = peer.link.take().splitlines()
        self.assertEqual(len(heard), 20)
        self.assertTrue(all(line.startswith(b"500") for line in heard))
        self.assertTrue(peer.link.closed)

    def test_half_a_command(self) -> None:
        """A peer that vanishes in the middle of a command leaves nothing behind."""
        for cut in range(1, len(b"MKD gone\r")):
            peer = Peer()
            peer.link.say(b"MKD gone\r"[:cut])
            peer.link.abort()
            self.assertEqual((peer.names(), peer.factory.sessions), ([], set()))

    def test_pipelined_commands(self) -> None:
        """Commands in one segment are answered in order."""
        peer = Peer()
        peer.link.say(b"PWD\r\nNOOP\r\nMKD d\r\nCWD d\r\nPWD\r\nQUIT\r\nNOOP\r\n")
        self.assertEqual([line[:3] for line in peer.link.take().splitlines()], [b"257", b"200", b"257", b"250", b"257", b"221"])

    def test_every_split_of_a_session(self) -> None:
        """Cut anywhere into two segments, a session is answered the same."""
        session = b"USER ann\r\nPASS pw\r\nMKD d\r\nCWD d\r\nPWD\r\nNOOP\r\nQUIT\r\n"
        expected = None
        for cut in range(len(session) + 1):
            peer = Peer(login=False)
            peer.link.say(session[:cut])
            peer.link.say(session[cut:])
            heard = peer.link.take()
            expected = expected or heard
            self.assertEqual(heard, expected)

    @settings(max_examples=60)
    @given(st.lists(st.sampled_from([*WORDS, "PASV", "EPSV", "ABOR", "DATA", "CLOSE", "RESET"]), max_size=25))
    def test_any_order_of_commands(self, words: list[str]) -> None:
        """Whatever is said in whatever order, with data connections coming and going, nothing is an internal error."""
        peer = Peer()
        peer.put("f", data=b"123")
        port = 0
        data: Link | None = None
        for word in words:
            if word == "DATA" and port:
                data, port = peer.connect(port) if peer.link.server.data.ready else None, 0
            elif word in ("CLOSE", "RESET") and data is not None:
                data.say(b"some")
                data.close() if word == "CLOSE" else data.abort()
                data = None
            elif word in ("PASV", "EPSV"):
                reply = peer.do(word)
                port = int(reply.rsplit(b"|", 2)[1]) if reply.startswith(b"229") else 0
            elif word not in ("DATA", "CLOSE", "RESET"):
                peer.do(word)
        # A transfer that stalls for 120 seconds, then an idle session for 300.
        peer.world.advance(1_000, 50)
        self.assertEqual(peer.world.site.counters.value("ftp.errors.internal"), 0)
        self.assertTrue(peer.link.closed)
        peer.link.close()
        self.assertEqual(peer.factory.sessions, set())

    def test_too_many_connections(self) -> None:
        """Past the limit a peer is told 421 and nobody else notices."""
        peer = Peer()
        peer.factory._count.per_source = 1
        other = peer.world.connect(peer.factory)
        self.assertEqual(other.take()[:4], b"421 ")
        self.assertEqual(code(peer.do("NOOP")), 200)


class DeadlineTests(SynchronousTestCase):
    """Peers that do nothing, or too little."""

    def test_login_deadline(self) -> None:
        """A peer that sends a line now and then but does not log in is sent away after a minute.  R01."""
        peer = Peer(login=False)
        for _ in range(11):
            peer.do("NOOP")
            peer.world.advance(5)
        self.assertFalse(peer.link.closed)
        peer.do("NOOP")
        peer.world.advance(7)
        self.assertTrue(peer.link.take().startswith(b"421 "))
        self.assertTrue(peer.link.closed)

    def test_idle_deadline(self) -> None:
        """A logged-in peer may be idle for the time that is set, from its last command on."""
        peer = Peer(idle_timeout=100.0)
        peer.world.advance(90)
        peer.do("NOOP")
        peer.world.advance(90)
        self.assertEqual(code(peer.do("NOOP")), 200)
        peer.world.advance(102)
        self.assertTrue(peer.link.take().startswith(b"421 "))
        self.assertTrue(peer.link.closed)

    def test_stop_says_goodbye(self) -> None:
        """When the service stops, idle sessions are told so and closed."""
        peer = Peer()
        drained = peer.factory.drain()
        self.assertTrue(peer.link.take().startswith(b"421 "))
        peer.link.close()
        self.assertIs(self.successResultOf(drained), None)

    def test_clock_is_clean_after_a_session(self) -> None:
        """Nothing is left on the clock when the peer has gone."""
        peer = Peer()
        peer.fetch("LIST")
        peer.do("QUIT")
        peer.link.close()
        self.assertEqual(peer.world.clock.getDelayedCalls(), [])


class SettingsTests(SynchronousTestCase):
    """Settings are what they say."""

    def test_bad_passive_settings(self) -> None:
        """Malformed port ranges and addresses are refused when the service is built."""
        world = Peer(login=False).world
        for bad in ("1", "1-2", "40000", "40100-40000", "x-y", "40000-70000"):
            self.assertRaises(ValueError, make_factory, world, passive_ports=bad)
        for bad in ("0.0.0.0", "localhost", "::1", "1.2.3"):
            self.assertRaises(ValueError, make_factory, world, passive_address=bad)

    def test_required_tls_needs_a_certificate(self) -> None:
        """A service that would let nobody in is not built."""
        world = Peer(login=False).world
        self.assertRaises(ValueError, build, world.site, Settings(require_tls="control"))

    def test_listeners(self) -> None:
        """Without a certificate there is no listener inside TLS; with one there are both."""
        names = [one.name for one in build(Peer(login=False).world.site, Settings()).listeners]
        self.assertEqual(names, ["ftp"])
        names = [one.name for one in build(memory_site(tls=True).site, Settings()).listeners]
        self.assertEqual(names, ["ftp", "ftps"])

    def test_readme_names_everything(self) -> None:
        """The README names every verb and every setting."""
        text = (Path(commands.__file__).parent / "README.rst").read_text("utf-8")
        for name in [*COMMANDS, *(one.name for one in fields(Settings))]:
            self.assertIn(name, text)
