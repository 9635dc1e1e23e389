"""POP3: numbers that are none, sessions that are cut, and the lock."""

from __future__ import annotations

from tests.attacks.harness import AttackCase
from tests.attacks.peer import Peer


class Pop3AttackCase(AttackCase):
    """Peers who have logged in."""

    def logged_in(self) -> Peer:
        """Brandon with his maildrop, once nobody else has it."""
        while True:
            peer = self.peer("pop3")
            peer.ask(b"USER brandon\r\n")
            answer = peer.ask(b"PASS %b\r\n" % self.demo.accounts["brandon"].encode())
            if answer.startswith(b"+OK"):
                return peer
            self.assertTrue(answer.startswith(b"-ERR [IN-USE]"), answer)
            peer.close()


NUMBERS = (
    b"0", b"-1", b"4", b"1e3", b"1.0", b"0x1", b"+1", b"99999999999999999999", b"4294967297", b"1 1", b"", b"01x",
    b"\xd9\xa1", b"one",
    b"1" * 1_900, b"1,2", b"*",
)  # fmt: skip


class NumberTests(Pop3AttackCase):
    """P01."""

    def test_numbers_of_no_message(self) -> None:
        """Refused by every verb that takes one, and the session goes on."""
        for verb in (b"RETR ", b"DELE ", b"LIST ", b"UIDL ", b"TOP "):
            for start in range(0, len(NUMBERS), 5):
                peer = self.logged_in()
                for number in NUMBERS[start : start + 5]:
                    command = verb + number + (b" 1" if verb == b"TOP " else b"")
                    if not number and verb in (b"LIST ", b"UIDL "):
                        continue
                    with self.subTest(command=command[:40]):
                        self.assertRegex(peer.ask(command + b"\r\n"), rb"^-ERR ")
                self.assertRegex(peer.ask(b"STAT\r\n"), rb"^\+OK 3 1971\r\n")
                peer.close()

    def test_lines_of_top(self) -> None:
        """Any count of lines there can be, and no other."""
        peer = self.logged_in()
        for lines in (b"0", b"1", b"999999999999", b"4294967296"):
            self.assertRegex(peer.ask(b"TOP 1 %b\r\n" % lines, b"\r\n.\r\n"), rb"^\+OK ")
        for lines in (b"-1", b"", b"1e3", b"x", b"1 1"):
            self.assertRegex(peer.ask(b"TOP 1 %b\r\n" % lines), rb"^-ERR ")

    def test_deleted_messages_are_gone_for_the_session(self) -> None:
        """After DELE every verb refuses the number."""
        peer = self.logged_in()
        peer.ask(b"DELE 1\r\n")
        for command in (b"RETR 1", b"DELE 1", b"LIST 1", b"UIDL 1", b"TOP 1 0"):
            self.assertRegex(peer.ask(command + b"\r\n"), rb"^-ERR ")
        self.assertNotIn(b"\r\n1 ", peer.ask(b"UIDL\r\n", b"\r\n.\r\n"))
        peer.ask(b"RSET\r\n")


class CutTests(Pop3AttackCase):
    """P02, P03."""

    def test_only_a_whole_quit_removes(self) -> None:
        """Cut after every octet of DELE and QUIT, with FIN and RST: all messages stay until QUIT has come to its end."""
        script = b"DELE 1\r\nDELE 3\r\nQUIT\r\n"
        for vanish in (Peer.reset, Peer.close, Peer.finish):
            for end in range(len(script)):
                peer = self.logged_in()
                peer.say(script[:end])
                vanish(peer)
        peer = self.logged_in()
        self.assertEqual(peer.ask(b"STAT\r\n"), b"+OK 3 1971\r\n")
        peer.say(script)
        peer.finish()
        self.assertIn(b"2 messages removed", peer.rest())
        self.assertEqual(self.logged_in().ask(b"STAT\r\n")[:6], b"+OK 1 ")

    def test_a_second_session_is_told_that_the_first_has_it(self) -> None:
        """[IN-USE] while the first lives; free at once when it vanishes, by RST as by FIN; IMAP and delivery go on."""
        for vanish in (Peer.reset, Peer.close):
            first = self.logged_in()
            second = self.peer("pop3")
            second.ask(b"USER brandon\r\n")
            self.assertRegex(second.ask(b"PASS %b\r\n" % self.demo.accounts["brandon"].encode()), rb"^-ERR \[IN-USE\] ")
            self.assertEqual(len(self.inbox("brandon")), 3)
            vanish(first)
            self.logged_in().close()

    def test_a_peer_that_never_reads_its_mail_holds_only_its_own(self) -> None:
        """The lock is one account's; Ann reads hers."""
        greedy = self.logged_in()
        greedy.pump(b"RETR 3\r\n" * 100_000, listen=False, stalled=0.3)
        ann = self.peer("pop3")
        ann.ask(b"USER ann\r\n")
        self.assertRegex(ann.ask(b"PASS %b\r\n" % self.demo.accounts["ann"].encode()), rb"^\+OK ")
