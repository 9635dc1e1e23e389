"""The base subject of RFC 5256 section 2.1."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.subject import base_subject, is_reply
from launcelot.message.words import MAX_TEXT
from tests.bounded import PIECES, linear


class BaseSubjectTests(SynchronousTestCase):
    """The seven steps."""

    def test_what_is_a_reply(self) -> None:
        """A mark of replying or forwarding was taken away; blanks and names of lists are none."""
        for text in ("re: a", "[list] RE: a", "fw: a", "a (fwd)", "[fwd: a]", "[list] [Fwd: a]", "  Re[2]: a", "(fwd)"):
            self.assertTrue(is_reply(text), text)
        for text in ("", "a", "[list] a", "[list]", "  a  ", "regarding: a", "a re: b", "(fwd) a", "[fwd: a] b", "forward"):
            self.assertFalse(is_reply(text), text)

    def test_forms(self) -> None:
        """Each step, and steps that call for each other again."""
        for text, expected in [
            ("", ""),
            ("hello", "hello"),
            ("  a \t b\r\n c ", "a b c"),
            ("Re: hello", "hello"),
            ("RE : hello", "hello"),
            ("fw: fwd: FWD: hello", "hello"),
            ("re[2]: hello", "hello"),
            ("re [x] : hello", "hello"),
            ("[list] hello", "hello"),
            ("[list] re: hello", "hello"),
            ("re: [list] re: [list] hello", "hello"),
            ("[a][b] c", "c"),
            ("[a]", "[a]"),
            ("[a] [b]", "[b]"),
            ("re: [a]", "[a]"),
            ("[a] re: [b] [c]", "[c]"),
            ("hello (fwd)", "hello"),
            ("hello (FWD) (fwd)  ", "hello"),
            ("(fwd)", ""),
            ("[fwd: hello]", "hello"),
            ("[Fwd: re: hello (fwd)]", "hello"),
            ("[fwd: [fwd: hello] (fwd)]", "hello"),
            ("re: [fwd: [x] hello]", "hello"),
            ("[fwd: hello", "[fwd: hello"),
            ("re:", ""),
            ("re: re:", ""),
            ("reply: hello", "reply: hello"),
            ("re hello", "re hello"),
            ("hello re: you", "hello re: you"),
            ("[a[b] c", "[a[b] c"),
            ("a (fwd) b", "a (fwd) b"),
        ]:
            self.assertEqual(base_subject(text), expected, text)

    @given(
        st.lists(st.sampled_from(["re", "fwd", "[", "]", "[a]", ":", " ", "(fwd)", "[fwd:", "x"]), max_size=15).map(
            "".join
        )
    )
    def test_nothing_is_left_to_remove(self, text: str) -> None:
        """A base subject is its own base subject."""
        once = base_subject(text)
        self.assertEqual(base_subject(once), once)

    def test_bounded(self) -> None:
        """Linear on whatever repeats; what is wrapped up is copied once for each wrapping, of which there are as many as fit."""
        for piece in ("[a]", "[", "re:", "re ", "[fwd:", "(fwd)", " ", "]", "re [a", "[a]re", "(fwd) x", "[a] x "):
            wraps = MAX_TEXT // 8
            for text in (piece * PIECES, piece * PIECES + "x", "[fwd:" * wraps + piece * 3_000 + "]" * wraps):
                with linear(piece):
                    base_subject(text)
