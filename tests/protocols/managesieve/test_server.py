"""The ManageSieve server, as raw peers see it."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import REFUSALS
from launcelot.core.limits import ConnectionCount
from launcelot.protocols.managesieve.commands import COMMANDS
from launcelot.protocols.managesieve.grammar import SyntaxWrong, scan, scan_response, string
from launcelot.protocols.managesieve.server import ManageSieveFactory
from launcelot.protocols.managesieve.service import Settings
from launcelot.protocols.managesieve.session import reply_for
from launcelot.testing.dialogue import play
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site

PLAIN = base64.b64encode(b"\0ann\0pw").decode()
LOGIN = f'C: AUTHENTICATE "PLAIN" "{PLAIN}"\nS: OK "logged in"\n'
SCRIPT = b'# one\r\nrequire "fileinto";\r\nfileinto "x";\r\n'


class Office:
    """A world with a ManageSieve service and Ann."""

    def __init__(self, tls: bool = False, **given: Any) -> None:
        self.world = memory_site(tls=tls)
        self.ann = self.world.add_user("ann", "pw")
        self.factory = ManageSieveFactory(
            self.world.site, "managesieve", ConnectionCount(10, 10), replace(Settings(), **given)
        )

    def connect(self, source: str = "127.0.0.1") -> Link:
        """A raw peer that has heard the greeting."""
        link = self.world.connect(self.factory, source)
        assert link.take().endswith(b'ManageSieve ready"\r\n'), "no greeting"
        return link

    def logged_in(self) -> Link:
        """A raw peer logged in as Ann."""
        link = self.connect()
        link.say(f'AUTHENTICATE "PLAIN" "{PLAIN}"\r\n'.encode())
        assert link.take() == b'OK "logged in"\r\n', "not logged in"
        return link

    def play(self, text: str, link: Link | None = None, chunk: int | None = None) -> Link:
        """A dialogue behind the greeting."""
        return play(self.factory, self.world.clock, text, link or self.connect(), chunk)


class DialogueTests(SynchronousTestCase):
    """What is said, and what is answered."""

    def setUp(self) -> None:
        self.office = Office()

    def test_greeting(self) -> None:
        """The capabilities, then OK."""
        link = self.office.world.connect(self.office.factory)
        lines = link.take().decode().split("\r\n")
        self.assertTrue(lines[0].startswith('"IMPLEMENTATION" "Launcelot '))
        self.assertIn('"SASL" "SCRAM-SHA-256 PLAIN LOGIN"', lines)
        self.assertIn('"VERSION" "1.0"', lines)
        self.assertNotIn('"STARTTLS"', lines)
        sieve = next(line for line in lines if line.startswith('"SIEVE"'))
        for name in ("fileinto", "vacation", "imap4flags", "editheader", "variables"):
            self.assertIn(f" {name} ", sieve.replace('"', " "))

    def test_a_whole_session(self) -> None:
        """Every command, in pieces of any size."""
        for chunk in (None, 1, 7):
            self.office = Office()
            self.office.play(
                LOGIN
                + f"""
                C: LISTSCRIPTS
                S: OK
                C: HAVESPACE "a" 1000
                S: OK
                C| PUTSCRIPT "a" {{{len(SCRIPT)}+}}\\r\\n{SCRIPT.decode().encode('unicode_escape').decode()}\\r\\n
                S: OK
                C: putscript "b \\"q\\"" "keep;"
                S: OK
                C: SETACTIVE "a"
                S: OK
                C: LISTSCRIPTS
                S: "a" ACTIVE
                S: "b \\"q\\""
                S: OK
                C: GETSCRIPT "a"
                S: {{{len(SCRIPT)}}}
                S: # one
                S: require "fileinto";
                S: fileinto "x";
                S: *
                S: OK
                C: DELETESCRIPT "a"
                S: NO (ACTIVE) "the script is active"
                C: RENAMESCRIPT "a" "b \\"q\\""
                S: NO (ALREADYEXISTS) "there is a script of that name"
                C: RENAMESCRIPT "a" "c"
                S: OK
                C: SETACTIVE ""
                S: OK
                C: DELETESCRIPT "c"
                S: OK
                C: GETSCRIPT "c"
                S: NO (NONEXISTENT) "there is no such script"
                C: SETACTIVE "c"
                S: NO (NONEXISTENT) "there is no such script"
                C: NOOP "tag"
                S: OK (TAG "tag") "done"
                C: NOOP
                S: OK "done"
                C: UNAUTHENTICATE
                S: OK "nobody is logged in"
                C: LISTSCRIPTS
                S: NO "log in first"
                C: LOGOUT
                S: OK "bye"
                -- closed
                """,
                chunk=chunk,
            )

    def test_faulty_scripts_are_not_kept(self) -> None:
        """The reply has line and fault, and the old script stays."""
        self.office.play(
            LOGIN
            + """
            C: PUTSCRIPT "a" "keep;"
            S: OK
            C| PUTSCRIPT "a" {14+}\\r\\n#x\\r\\nfrobnicat;\\r\\n
            S: NO "line 2: there is no command 'frobnicat'"
            C: GETSCRIPT "a"
            S: {5}
            S: keep;
            S: OK
            C: CHECKSCRIPT "keep"
            S: NO "line 1: keep has to end with a semicolon or a block, not the end of the script"
            C: CHECKSCRIPT "keep;"
            S: OK
            """
        )

    def test_limits(self) -> None:
        """Names, numbers and sizes of scripts."""
        self.office.play(
            LOGIN
            + """
            C: HAVESPACE "a" 262145
            S: NO (QUOTA/MAXSIZE) "a script has 262144 octets at most"
            C: HAVESPACE "a/b" 1
            S: NO "impossible name of a script"
            C: PUTSCRIPT "" "keep;"
            S: NO "impossible name of a script"
            """
        )
        link = self.office.logged_in()
        for number in range(50):
            link.say(b'PUTSCRIPT "s%d" "keep;"\r\n' % number)
        self.assertEqual(link.take(), b"OK\r\n" * 50)
        link.say(b'PUTSCRIPT "more" "keep;"\r\nHAVESPACE "more" 5\r\nPUTSCRIPT "s1" "stop;"\r\n')
        full = b'NO (QUOTA/MAXSCRIPTS) "an account has 50 scripts at most"\r\n'
        self.assertEqual(link.take(), full + full + b"OK\r\n")

    def test_large_scripts(self) -> None:
        """Up to the limit by literal; past it the literal is thrown away and the session goes on."""
        link = self.office.logged_in()
        source = b"#" + b"x" * 262_140 + b"\r\n"
        link.say(b'PUTSCRIPT "a" {%d+}\r\n%s\r\n' % (len(source), source))
        self.assertEqual(link.take(), b"OK\r\n")
        link.say(b'PUTSCRIPT "a" {500000+}\r\n' + b"x" * 500_000 + b"\r\nNOOP\r\n")
        self.assertEqual(link.take(), b'NO "literal too large"\r\nOK "done"\r\n')
        link.say(b'PUTSCRIPT "a" {4294967295+}\r\nxx')
        self.assertEqual(link.take(), b'BYE "literal too large"\r\n')
        self.assertTrue(link.closed)

    def test_login(self) -> None:
        """Wrong passwords, cancelled exchanges, unknown mechanisms; after five the connection is closed."""
        self.office.play(
            """
            C: AUTHENTICATE "FROB"
            S: NO "no such mechanism"
            C: AUTHENTICATE "PLAIN"
            S: ""
            C: "*"
            S: NO "cancelled"
            C: AUTHENTICATE "PLAIN" "!!"
            S: NO "the response is not base64"
            C: AUTHENTICATE "LOGIN"
            S: "VXNlcm5hbWU6"
            C| {4+}\\r\\nYW5u\\r\\n
            S: "UGFzc3dvcmQ6"
            C: "eHh4"
            S: NO "authentication failed"
            C: AUTHENTICATE "PLAIN" "AGFubgB4"
            S: NO "authentication failed"
            C: AUTHENTICATE "PLAIN" "AGFubgB4"
            S: NO "authentication failed"
            -- closed
            """
        )
        self.office.play(f'{LOGIN}C: AUTHENTICATE "PLAIN"\nS: NO "not when logged in"')

    def test_passwords_want_tls(self) -> None:
        """From elsewhere nothing is taken in the clear."""
        link = self.office.world.connect(self.office.factory, "192.0.2.1")
        self.assertIn(b'"SASL" ""\r\n', link.take())
        link.say(f'AUTHENTICATE "PLAIN" "{PLAIN}"\r\n'.encode())
        self.assertEqual(link.take(), b'NO (ENCRYPT-NEEDED) "log in under TLS; see STARTTLS"\r\n')

    def test_starttls(self) -> None:
        """The capabilities come again; what was put in behind the command is no command."""
        office = Office(tls=True)
        link = office.connect("192.0.2.1")
        link.say(b"STARTTLS\r\n")
        self.assertEqual(link.take(), b'OK "begin TLS"\r\n')
        link.start_tls(office.world.client_tls())
        heard = link.take()
        self.assertIn(b'"SASL" "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"\r\n', heard)
        self.assertTrue(heard.endswith(b"\r\nOK\r\n"))
        self.assertNotIn(b"STARTTLS", heard)
        injected = office.connect()
        injected.say(b"STARTTLS\r\nLOGOUT\r\n")
        self.assertEqual(injected.take(), b'BYE "nothing may follow STARTTLS in the clear"\r\n')
        self.assertTrue(injected.closed)

    def test_bad_input(self) -> None:
        """Each has its answer, ten in a row end the session, and a long line does at once."""
        bad = b'NO "an argument is a string, a literal {n+} or a number"\r\n'
        cases: list[tuple[bytes, bytes]] = [
            (b"\r\n", b'NO "a command was expected"\r\n'),
            (b"FROB\r\n", b'NO "unknown command"\r\n'),
            (b"NOOP x\r\n", bad),
            (b'NOOP "a\0"\r\n', bad),
            (b'NOOP "a\xff"\r\n', b'NO "a string is not UTF-8"\r\n'),
            (b"NOOP {3+}\r\n\xff\xff\xff\r\n", b'NO "a string is not UTF-8"\r\n'),
            (b'NOOP "a" "b"\r\n', b'NO "NOOP takes a string"\r\n'),
            (b'HAVESPACE "a" "1"\r\n', b'NO "HAVESPACE takes a string, a number"\r\n'),
            (b'HAVESPACE "a" 01\r\n', b'NO "a number has 32 bits and no leading zeros"\r\n'),
            (b"NOOP\n", b'NO "lines end with CRLF"\r\n'),
            (b'NOOP "' + b"x" * 1_025 + b'"\r\n', b'NO "a quoted string is too long; send a literal"\r\n'),
            (b"GET / HTTP/1.0\r\n", bad),
        ]
        link = self.office.logged_in()
        for said, answer in cases:
            link.say(said + b"NOOP\r\n")
            self.assertEqual(link.take(), answer + b'OK "done"\r\n', said)
        link.say(b"FROB\r\n" * 10)
        self.assertTrue(link.take().endswith(b'NO "unknown command"\r\nBYE "too many errors"\r\n'))
        self.assertTrue(link.closed)
        long, bare = b"x" * 8_300, b"NOOP {3+}\nabc\r\n"
        for said, answer in ((long, b'BYE "line too long"\r\n'), (bare, b'BYE "lines end with CRLF"\r\n')):
            link = self.office.logged_in()
            link.say(said)
            self.assertEqual(link.take(), answer)
            self.assertTrue(link.closed)

    def test_literals_before_login_are_small(self) -> None:
        """Nobody fills memory without an account."""
        link = self.office.connect()
        link.say(b'AUTHENTICATE "PLAIN" {100000+}\r\n')
        self.assertEqual(link.take(), b'BYE "literal too large"\r\n')
        self.assertTrue(link.closed)

    def test_deadlines(self) -> None:
        """For logging in, and for silence."""
        link = self.office.connect()
        self.office.world.advance(61)
        self.assertEqual(link.take(), b'BYE "idle for too long"\r\n')
        link = self.office.logged_in()
        self.office.world.advance(1_799, step=100)
        self.assertFalse(link.closed)
        self.office.world.advance(2)
        self.assertTrue(link.closed)

    def test_vanished_peers(self) -> None:
        """At every octet of a command: nothing is kept, nothing is left over."""
        said = b'PUTSCRIPT "a" {5+}\r\nkeep;\r\n'
        for cut in range(len(said)):
            link = self.office.logged_in()
            link.say(said[:cut])
            link.close()
            other = self.office.logged_in()
            other.say(b"LISTSCRIPTS\r\n")
            self.assertEqual(other.take(), b"OK\r\n", cut)
            other.close()
        self.assertEqual(self.office.factory.sessions, set())

    def test_every_refusal_has_words(self) -> None:
        """The contract of all protocols."""
        for kind in REFUSALS:
            self.assertTrue(reply_for(kind("words")).startswith(b"NO "))

    def test_every_command_has_its_states(self) -> None:
        """In the others it is refused, and no command is unknown to the README."""
        link = self.office.connect()
        for command in COMMANDS.values():
            if command.section not in ("2.1", "2.2", "2.3", "2.4", "2.13"):
                link.say(command.verb.encode() + b"\r\n")
                self.assertEqual(link.take().split(b'"')[1], b"log in first")
                link.say(b"NOOP\r\n")
                link.take()


class GrammarTests(SynchronousTestCase):
    """Tokens."""

    @given(st.binary(max_size=40))
    @settings(max_examples=200)
    def test_any_octets_are_tokens_or_refused(self, data: bytes) -> None:
        """On both sides."""
        for read in (scan, scan_response):
            try:
                read(b" " + data)
            except SyntaxWrong:
                pass

    @given(st.lists(st.text(max_size=20), max_size=5))
    def test_what_is_written_is_read(self, values: list[str]) -> None:
        """Strings survive."""
        plain = [value for value in values if not set(value) & set("\r\n\0")]
        line = b"".join(b" " + string(value, client=True) for value in plain)
        self.assertEqual(list(scan(line).tokens), plain)
