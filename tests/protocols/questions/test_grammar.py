"""Sentences: found whole, glued, in pieces, and within their limit."""

from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.questions.grammar import (
    FULL_STOP,
    QUESTION_MARK,
    NotASentence,
    SentenceTooLong,
    sentence,
    sentences,
)


class SentencesTests(SynchronousTestCase):
    """What :func:`sentences` finds."""

    def test_one_whole_question(self) -> None:
        """A segment that is one question is that question."""
        self.assertEqual(sentences(b"Why?", QUESTION_MARK, 10), [b"Why?"])

    def test_glued_questions_are_told_apart(self) -> None:
        """Each keeps its mark, and what is not whole is left."""
        self.assertEqual(sentences(b"Why?How?Whe", QUESTION_MARK, 10), [b"Why?", b"How?"])

    def test_a_mark_alone_is_a_question(self) -> None:
        """Nothing before the mark is still a question, to which the answer is unknown."""
        self.assertEqual(sentences(b"??", QUESTION_MARK, 10), [b"?", b"?"])

    def test_every_split_finds_the_same(self) -> None:
        """Wherever the octets are cut, the same questions are found in the same order."""
        whole = b"One?Two??\xff\x00\r\nThree?"
        for cut in range(len(whole) + 1):
            found, kept = [], b""
            for piece in (whole[:cut], whole[cut:]):
                kept += piece
                now = sentences(kept, QUESTION_MARK, 10)
                kept = kept[sum(map(len, now)) :]
                found += now
            self.assertEqual((found, kept), ([b"One?", b"Two?", b"?", b"\xff\x00\r\nThree?"], b""))

    def test_the_limit_counts_the_mark(self) -> None:
        """Ten octets fit a limit of ten, eleven do not."""
        self.assertEqual(sentences(b"a" * 9 + b"?", QUESTION_MARK, 10), [b"a" * 9 + b"?"])
        self.assertRaises(SentenceTooLong, sentences, b"a" * 10 + b"?", QUESTION_MARK, 10)

    def test_the_limit_holds_before_the_mark_comes(self) -> None:
        """Ten octets without a mark can no longer become a sentence of ten."""
        self.assertEqual(sentences(b"a" * 9, QUESTION_MARK, 10), [])
        self.assertRaises(SentenceTooLong, sentences, b"a" * 10, QUESTION_MARK, 10)

    def test_what_comes_before_a_long_one_is_found(self) -> None:
        """The long one is complained about when it is the first."""
        self.assertEqual(sentences(b"Why?" + b"a" * 20 + b"?How?", QUESTION_MARK, 10), [b"Why?"])

    def test_many_short_ones_may_exceed_the_limit_together(self) -> None:
        """The limit is for one sentence, not for a segment."""
        self.assertEqual(sentences(b"Why?" * 9, QUESTION_MARK, 10), [b"Why?"] * 9)

    def test_no_more_than_asked_for(self) -> None:
        """A segment full of marks is answered in bounded pieces."""
        self.assertEqual(len(sentences(b"?" * 100, QUESTION_MARK, 10, most=7)), 7)


class SentenceTests(SynchronousTestCase):
    """What :func:`sentence` lets pass."""

    def test_a_sentence_passes(self) -> None:
        """It is handed back as it is."""
        self.assertEqual(sentence(b"Blue.", FULL_STOP), b"Blue.")

    def test_what_would_be_read_otherwise_is_refused(self) -> None:
        """No mark, two marks, a mark inside, nothing at all."""
        for wrong in (b"Blue", b"Blue..", b"3.14.", b"Blue. ", b""):
            self.assertRaises(NotASentence, sentence, wrong, FULL_STOP)
