"""The tables, and refusals as answers."""

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import REFUSALS
from launcelot.protocols.questions.answers import KNIGHT, UNKNOWN, ZEN, Answers
from launcelot.protocols.questions.grammar import FULL_STOP, NotASentence, sentence
from launcelot.protocols.questions.session import INTERNAL, TOO_LONG, TOO_MANY, reply_for


class AnswersTests(SynchronousTestCase):
    """What :class:`Answers` knows."""

    def test_both_tables_of_the_book(self) -> None:
        """The knight of the second edition and the Zen of the third are answered from one table."""
        answers = Answers()
        for question, answer in [*KNIGHT.items(), *ZEN.items()]:
            self.assertEqual(answers.answer(question), answer)

    def test_the_words_of_the_book(self) -> None:
        """One answer of each table is as printed."""
        answers = Answers()
        self.assertEqual(answers.answer(b"What is your name?"), b"My name is Sir Lancelot of Camelot.")
        self.assertEqual(answers.answer(b"Simple is better than?"), b"Complex.")

    def test_anything_else_is_unknown(self) -> None:
        """Case, blanks and octets that are no text make another question."""
        for question in (b"what is your name?", b" What is your name?", b"?", b"\xff\xfe\x00?"):
            self.assertEqual(Answers().answer(question), UNKNOWN)

    def test_a_table_of_ones_own(self) -> None:
        """It replaces the book's, and so does its word for the unknown."""
        answers = Answers({b"6 x 7?": b"42."}, unknown=b"Ni.")
        self.assertEqual([answers.answer(b"6 x 7?"), answers.answer(b"What is your name?")], [b"42.", b"Ni."])

    def test_a_table_that_cannot_be_told_apart_is_refused(self) -> None:
        """Two marks in a question, two stops in an answer, none in the word for the unknown."""
        self.assertRaises(NotASentence, Answers, {b"What? Why?": b"So."})
        self.assertRaises(NotASentence, Answers, {b"pi?": b"3.14."})
        self.assertRaises(NotASentence, Answers, {}, b"Ni")

    def test_changing_the_table_afterwards_changes_nothing(self) -> None:
        """Answers keep what they were given."""
        table = {b"Who?": b"Me."}
        answers = Answers(table)
        table[b"Who?"] = b"You."
        self.assertEqual(answers.answer(b"Who?"), b"Me.")


class ReplyTests(SynchronousTestCase):
    """Everything a peer may be told is one sentence."""

    def test_every_refusal_is_an_answer(self) -> None:
        """A client that counts full stops stays in step, whatever the refusal says."""
        for kind in REFUSALS:
            for text in ("", "no. none... here", "gr\u00fc\u00df\r\ngott", "a" * 10_000):
                reply = reply_for(kind(text))
                self.assertEqual(sentence(reply, FULL_STOP), reply)
                self.assertTrue(reply.startswith(b"Error: ") and reply.isascii() and b"\n" not in reply, reply)

    def test_errors_are_answers(self) -> None:
        """So are the fixed ones."""
        for error in (TOO_LONG, TOO_MANY, INTERNAL, UNKNOWN):
            self.assertEqual(sentence(error, FULL_STOP), error)
