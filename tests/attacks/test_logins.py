"""Passwords: guessed, malformed, enormous, in clear where they must not be."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from tests.app.test_daemon import DaemonCase
from tests.attacks.dialects import DIALECTS
from tests.attacks.harness import AttackCase
from tests.attacks.peer import Peer
from tests.clients.demo import Service


class LoginCase(AttackCase):
    """Ways in."""

    def smtp(self, user: str, password: str, source: str = "") -> bytes:
        """The answer to AUTH PLAIN."""
        peer = self.peer("submission", source)
        peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
        secret = base64.b64encode(f"\0{user}\0{password}".encode())
        return peer.ask(b"AUTH PLAIN " + secret + b"\r\n")

    def smtp_login(self, user: str, password: str, source: str = "") -> bytes:
        """The answer to AUTH LOGIN."""
        peer = self.peer("smtp", source)
        peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
        peer.ask(b"AUTH LOGIN\r\n")
        peer.ask(base64.b64encode(user.encode()) + b"\r\n")
        return peer.ask(base64.b64encode(password.encode()) + b"\r\n")

    def imap(self, user: str, password: str, source: str = "") -> bytes:
        """The answer to LOGIN."""
        return self.peer("imap", source).ask(f'a LOGIN "{user}" "{password}"\r\n'.encode())

    def imap_plain(self, user: str, password: str, source: str = "") -> bytes:
        """The answer to AUTHENTICATE PLAIN."""
        secret = base64.b64encode(f"\0{user}\0{password}".encode())
        return self.peer("imap", source).ask(b"a AUTHENTICATE PLAIN " + secret + b"\r\n")

    def pop3(self, user: str, password: str, source: str = "") -> bytes:
        """The answer to PASS."""
        peer = self.peer("pop3", source)
        peer.ask(f"USER {user}\r\n".encode())
        answer = peer.ask(f"PASS {password}\r\n".encode())
        peer.close()
        return answer

    def pop3_plain(self, user: str, password: str, source: str = "") -> bytes:
        """The answer to AUTH PLAIN."""
        secret = base64.b64encode(f"\0{user}\0{password}".encode())
        return self.peer("pop3", source).ask(b"AUTH PLAIN " + secret + b"\r\n")

    def ftp(self, user: str, password: str, source: str = "") -> bytes:
        """The answer to PASS."""
        peer = self.peer("ftp", source)
        peer.ask(f"USER {user}\r\n".encode())
        return peer.ask(f"PASS {password}\r\n".encode())

    @property
    def ways(self) -> tuple[Callable[[str, str, str], bytes], ...]:
        """All of them."""
        return (self.smtp, self.smtp_login, self.imap, self.imap_plain, self.pop3, self.pop3_plain, self.ftp)


class GuessingTests(LoginCase):
    """A01, A02, A12."""

    def test_all_protocols_share_one_counter(self) -> None:
        """Ten wrong passwords over four protocols, by name and by address: then the right one waits, but not from elsewhere."""
        names = ("brandon", "brandon@example.com")
        for number in range(10):
            answer = self.ways[number % 7](names[number % 2], f"canary-{number}", "127.0.0.2")
            self.assertRegex(answer, rb"^(?:535 |a NO |-ERR \[AUTH\]|530 )")
        for way in self.ways:
            with self.subTest(way=way.__name__):
                answer = way("brandon", self.demo.accounts["brandon"], "127.0.0.2")
                self.assertRegex(answer, rb"^(?:454 4.7.0|a NO \[LIMIT\]|-ERR \[LOGIN-DELAY\]|421 )")
        for way in self.ways:
            with self.subTest(way=way.__name__, elsewhere=True):
                answer = way("brandon", self.demo.accounts["brandon"], "127.0.0.3")
                self.assertRegex(answer, rb"^(?:235 |a OK |\+OK |230 |-ERR \[IN-USE\])")
        self.assertNotIn("canary", self.demo.said())

    def test_nothing_tells_who_is_here(self) -> None:
        """A wrong password, a name nobody has, an empty one and an impossible one: the same octets each way in."""
        for number, way in enumerate(self.ways):
            source = f"127.0.1.{number + 1}"
            answers = {way(user, "canary", source) for user in ("brandon", "nobody", "ann@example.com", "x@elsewhere.example")}
            with self.subTest(way=way.__name__):
                self.assertEqual(len(answers), 1, answers)
        self.assertNotIn("canary", self.demo.said())

    def test_a_right_password_is_nobody_elses(self) -> None:
        """A12: after Brandon has logged in, his password does not open Ann's mail, nor hers his."""
        for number, way in enumerate(self.ways):
            way("brandon", self.demo.accounts["brandon"], "127.0.0.4")
            way("ann", self.demo.accounts["ann"], "127.0.0.4")
            with self.subTest(way=way.__name__):
                for user, other in (("ann", "brandon"), ("brandon", "ann")):
                    answer = way(user, self.demo.accounts[other], f"127.0.2.{number + 1}")
                    self.assertRegex(answer, rb"^(?:535 |a NO |-ERR |530 )")
                for wrong in ("", " ", self.demo.accounts["ann"].upper(), self.demo.accounts["ann"] + "x"):
                    self.assertRegex(way("ann", wrong, f"127.0.2.{number + 1}"), rb"^(?:5\d\d |a (?:NO|BAD) |-ERR )")


FUZZ = (
    b"", b"=", b"==", b"===", b"*", b"**", b"!", b"A", b"AB", b"ABC", b"AB=C", b"QUJD QUJD", b"QUJD\tQUJD", b"\xff\xfe",
    b"AA==", b"AAA=", b"AAAA", b"AABB", b"AABi", b"YQBiAGM", b"YQBiAGM=", b"AGE=", b"AGEAYg==\0", b" AGEAYg==", b"AGEAYg== ",
    base64.b64encode(b"\0" * 1_000), base64.b64encode(b"a" * 3_000), base64.b64encode(b"\0a\0" + b"b" * 9_000),
    base64.b64encode(b"\0" + b"a" * 9_000 + b"\0b"), base64.b64encode(b"root\0brandon\0x"), base64.b64encode(b"\0brandon\0x\0y"),
    base64.b64encode(b"\0\xff\xfe\0x"), base64.b64encode(b"\0brandon\r\nx\0y"), base64.b64encode(b"\0\0"),
    base64.b64encode(b"\0a\0"),
    base64.urlsafe_b64encode(b"\xff\xff\xfe\0a\0b"), b"QUJD" * 3_072,
)  # fmt: skip
"""A03: responses that are none."""

OPENINGS: Mapping[str, bytes] = {"submission": b"AUTH %b", "imap": b"a AUTHENTICATE %b", "pop3": b"AUTH %b"}


class SaslTests(LoginCase):
    """A03, A09, A10."""

    def test_malformed_responses_are_refused_and_survived(self) -> None:
        """As initial responses and as lines, of PLAIN and LOGIN: one error, and the session goes on."""
        for name, opening in OPENINGS.items():
            for number, response in enumerate(FUZZ):
                for mechanism in (b"PLAIN", b"LOGIN"):
                    for data in (
                        opening % mechanism + b"\r\n" + response + b"\r\n",
                        opening % mechanism + b" " + response + b"\r\n",
                    ):
                        with self.subTest(service=name, response=response[:40], mechanism=mechanism):
                            peer = self.ready(name, f"127.1.{number}.2")
                            # LOGIN may go on to ask for the password; two asterisks end whatever is open.
                            peer.say(data + b"*\r\n*\r\n" + DIALECTS[name].leave)
                            heard = peer.rest()
                            self.assertRegex(heard, rb"(?m)^(?:[45]\d\d |a (?:NO|BAD) |\* BAD |-ERR )")
                            self.assertNotRegex(heard, rb"(?m)^(?:235 |a OK )")
                            self.assertLessEqual(heard.count(b"\n"), 8)
                            peer.close()

    def ready(self, name: str, source: str) -> Peer:
        """Somebody who may log in."""
        peer = self.peer(name, source)
        if name == "submission":
            peer.ask(b"EHLO x\r\n", b"250 HELP\r\n")
        return peer

    def test_mechanisms_nobody_offers(self) -> None:
        """A05: refused without a challenge."""
        for name, opening in OPENINGS.items():
            for mechanism in (b"CRAM-MD5", b"DIGEST-MD5", b"ANONYMOUS", b"EXTERNAL", b"NTLM", b"GSSAPI", b"X" * 200, b"PLAIN\0"):
                with self.subTest(service=name, mechanism=mechanism):
                    peer = self.ready(name, "")
                    self.assertRegex(peer.ask(opening % mechanism + b"\r\n"), rb"^(?:50\d |a (?:NO|BAD) |-ERR )")
        self.assertRegex(self.peer("pop3").ask(b"APOP brandon c4c9334bac560ecc979e58001b3e22fb\r\n"), rb"^-ERR ")

    def test_a_password_of_a_megabyte(self) -> None:
        """In every form: an error and a close before it has all been taken; nothing is hashed."""
        self.memory = 16 << 20
        huge = b"x" * 1_048_576
        coded = base64.b64encode(b"\0brandon\0" + huge)
        for name, first, data in (
            ("submission", b"EHLO x\r\n", b"AUTH PLAIN " + coded),
            ("submission", b"EHLO x\r\n", b"AUTH PLAIN\r\n" + coded),
            ("imap", b"", b"a LOGIN brandon " + huge),
            ("imap", b"", b'a LOGIN brandon "' + huge + b'"'),
            ("imap", b"", b"a AUTHENTICATE PLAIN\r\n" + coded),
            ("pop3", b"USER brandon\r\n", b"PASS " + huge),
            ("pop3", b"", b"AUTH PLAIN\r\n" + coded),
            ("pop3", b"", b"USER " + huge),
            ("ftp", b"USER brandon\r\n", b"PASS " + huge),
            ("ftp", b"", b"USER " + huge),
        ):
            with self.subTest(service=name, data=data[:30]):
                peer = self.peer(name)
                came = peer.pump(first + data + b"\r\n")
                heard = came.heard + peer.rest()
                self.assertRegex(heard, rb"(?m)^(?:500 |\* BAD |-ERR |421 )")

    def test_passwords_around_the_limit(self) -> None:
        """1,024 octets are checked and refused like any; more are refused whoever it is."""
        for number, way in enumerate((self.smtp, self.imap_plain, self.imap, self.ftp, self.pop3)):
            source = f"127.0.3.{number + 1}"
            with self.subTest(way=way.__name__):
                self.assertEqual(len({way("ann", "x" * length, source) for length in (1, 1_023, 1_024)}), 1)
                longer = {way(user, "x" * length, source) for length in (1_025, 2_000) for user in ("ann", "nobody")}
                self.assertEqual(len(longer), 1, longer)
                self.assertRegex(longer.pop(), rb"^(?:535 |a (?:NO|BAD) |530 |-ERR )")

    def test_names_that_are_none(self) -> None:
        """A10: full-width, combining, paths, formats and SQL: refused as unknown, and nothing else."""
        for name in (
            "br\u0061\u0301ndon", "\uff42randon", "brandon\u200b", "BRANDON\u0130", "..", "../brandon", "a/b", "%s%n",
            "x'; DROP TABLE account;--",
            "brandon@", "@example.com", "brandon@example.com@example.com", "*", "*)(uid=*", "x" * 900, "\u202ebrandon", "root",
        ):  # fmt: skip
            for way in (self.smtp, self.imap_plain, self.pop3, self.ftp):
                with self.subTest(name=name[:40], way=way.__name__):
                    self.assertRegex(way(name, "x", "127.0.0.8"), rb"^(?:535 |a NO |-ERR |530 )")


NEVER = """config_version = 1

[smtp]
plaintext_login = "never"

[imap]
plaintext_login = "never"

[pop3]
plaintext_login = "never"

[ftp]
plaintext_login = "never"
"""

CLEAR: Mapping[str, tuple[bytes, bytes, tuple[bytes, ...]]] = {
    "submission": (b"EHLO x\r\n", b"250 HELP\r\n", (b"AUTH PLAIN AGEAYg==", b"AUTH LOGIN", b"MAIL FROM:<a@b.example>")),
    "smtp": (b"EHLO x\r\n", b"250 HELP\r\n", (b"AUTH PLAIN AGEAYg==", b"AUTH LOGIN")),
    "imap": (b"a CAPABILITY\r\n", b"a OK", (b"a LOGIN ann x", b"a AUTHENTICATE PLAIN", b"a AUTHENTICATE PLAIN AGEAYg==")),
    "pop3": (b"CAPA\r\n", b"\r\n.\r\n", (b"USER ann", b"PASS x", b"AUTH PLAIN", b"AUTH PLAIN AGEAYg==")),
    "ftp": (b"FEAT\r\n", b"211 End.\r\n", (b"USER ann", b"PASS x")),
}
"""What is offered in clear where no password may come, and what is tried all the same."""


class PlaintextTests(DaemonCase):
    """A04."""

    def test_no_password_is_taken_in_clear(self) -> None:
        """With ``plaintext_login = "never"``: not offered, refused before any challenge, and no password is needed to be told."""
        config = self.folder / "never.toml"
        config.write_text(NEVER)
        self.running(*self.twistd("--config", str(config)))
        ports = {one["name"]: int(one["port"]) for one in self.ask("status")["listeners"]}
        for name, (question, end, tries) in CLEAR.items():
            for command in tries:
                with self.subTest(service=name, command=command):
                    peer = Peer(Service("127.0.0.1", ports[name], "starttls"))
                    self.addCleanup(peer.close)
                    peer.hear()
                    offered = peer.ask(question, end)
                    self.assertNotRegex(offered, rb"AUTH[ =](?:PLAIN|LOGIN)|SASL |USER")
                    self.assertIn(b"LOGINDISABLED" if name == "imap" else b"LS", offered)
                    peer.quiet(0.01)
                    self.assertRegex(peer.ask(command + b"\r\n"), rb"^(?:53[048] |a NO \[PRIVACYREQUIRED\]|-ERR |503 )")
