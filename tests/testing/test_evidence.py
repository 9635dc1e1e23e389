"""What a failure tells: how what arrived differs, who was refused, who is stuck where."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing.evidence import Keep, distance, evidence, nearness, refusals, standing
from launcelot.testing.matching import contains
from launcelot.testing.messages import Message, Wish
from launcelot.testing.transcript import Said, Transcript
from launcelot.testing.trial import WorldMixin


def said(*turns: tuple[str, bytes]) -> Transcript:
    """A transcript, one turn a second."""
    return Transcript("smtp", 2, "127.0.0.1", [Said(float(at), who, octets) for at, (who, octets) in enumerate(turns)])


class TellingTests(WorldMixin, SynchronousTestCase):
    """From transcripts and messages."""

    def test_nearness(self) -> None:
        """In the words that help."""
        message = Message("anne@test", "app@test", b"Subject: News\r\n\r\nhi\r\n")
        for wish, words in (
            (Wish(to="ann@test"), "recipient differs by one letter"),
            (Wish(to="an@test"), "recipient differs by 2 letters"),
            (Wish(to="bob@test"), "recipient differs"),
            (Wish(to="ANNE@test", subject="news"), "subject differs in case"),
            (Wish(subject="News "), "subject differs in space at its ends"),
            (Wish(subject=contains("Olds")), "subject does not fit"),
            (Wish(to="bob@test", text="ho"), "recipient and text differ"),
            (Wish(text="hi"), "text differs in space at its ends"),
            (Wish(), "fits"),
        ):
            self.assertEqual(nearness(wish, message), words)
        for one, other, letters in (("", "", 0), ("ab", "ba", 2), ("abc", "abd", 1), ("abc", "abcde", 2), ("", "abc", 3)):
            self.assertEqual(distance(one, other), letters)

    def test_standing(self) -> None:
        """Who waits for what, and for how long."""
        go, data = ("S", b"220 hi\r\n"), ("C", b"DATA\r\n")
        for turns, words in (
            ((), "nothing was said for 9.00 s"),
            ((go,), "has said nothing since the answer 9.00 s ago"),
            ((go, ("C", b"RCPT TO:<a")), "in the middle of a line for 8.00 s: RCPT TO:<a"),
            ((go, data), "waits 8.00 s for the answer to 'DATA'"),
            ((go, data, ("S", b"354 go\r\n")), "was told to go on 7.00 s ago, and has said nothing since"),
            (
                (go, data, ("S", b"354 go\r\n"), ("C", b"Subject: News\r\n")),
                "in DATA for 6.00 s, 15 octets of it, waits for <CRLF>.<CRLF>",
            ),
            ((go, data, ("S", b"354 go\r\n"), ("C", b"hi\r\n.\r\n")), "waits 6.00 s for the answer to its message"),
            ((go, ("S", b"+ OK\r\n"), ("C", b"lit")), "has sent 3 octets of what was asked for, the last 7.00 s ago"),
            ((go, ("-", b"fault: stalls")), "fault: stalls, 8.00 s ago"),
        ):
            self.assertEqual(standing(said(*turns), 9.0), words)

    def test_refusals(self) -> None:
        """The command beside its answer."""
        there = said(("S", b"220 hi\r\n"), ("C", b"RCPT TO:<x@test>\r\n"), ("S", b"550-5.1.1 no\r\n550 5.1.1 no such user\r\n"))
        self.assertEqual(list(refusals([there])), ["smtp #2: 'RCPT TO:<x@test>' was answered '550 5.1.1 no such user'"])

    def test_rubbish(self) -> None:
        """Whatever was said, it is told."""
        for octets in (b"\0\xff", b"\r\n", b"\n", b"354", b"+ ", b"x" * 5_000):
            for who in "CS-":
                there = said((who, octets), ("C", octets), (who, octets))
                self.assertTrue(evidence(Wish(to="a"), [], [there], [(there, 9.0)], Keep(self._wire)))

    def test_in_a_world(self) -> None:
        """A mail to nobody is told of with its refusal."""
        world = self.world()
        link = world.serve("smtp").connect()
        link.say(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<x@test>\r\n")
        text = str(self.assertRaises(self.failureException, self.assertDelivered, world, to="x@test"))
        self.assertIn("mail with to='x@test' has arrived 0 times, not 1\n  arrived: 0\n  refused: 1\n", text)
        self.assertIn("'RCPT TO:<x@test>' was answered '550 5.1.1", text)
        self.assertIn("all that was said: ", text)
