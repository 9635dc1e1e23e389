"""The tables, and refusals as answers."""

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import REFUSALS
from launcelot.protocols.questions.answers import BOOK, KNIGHT, UNKNOWN, ZEN, Answers, Known
from launcelot.protocols.questions.grammar import BATCH, FULL_STOP, QUESTION_MARK, NotASentence, sentence, sentences
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


class KnownTests(SynchronousTestCase):
    """The two short ways into a table say what the long way says, or nothing."""

    def test_one_question(self) -> None:
        """Exactly one, and only if the table has it."""
        known = Known(BOOK)
        for question, answer in BOOK.items():
            self.assertEqual(known.one(question), answer)
            for other in (question[:-1], question + b"?", question * 2, b" " + question):
                self.assertIsNone(known.one(other))

    def test_many_questions(self) -> None:
        """All of them whole and known: their answers, in order."""
        questions = [*BOOK, *reversed([*BOOK])]
        self.assertEqual(Known(BOOK).all(b"".join(questions)), [BOOK[question] for question in questions])

    def test_one_that_is_not_known_leaves_all_to_the_long_way(self) -> None:
        """Wherever it stands, and what is not whole as well."""
        known = Known(BOOK)
        first, second = b"What is your name?", b"What is your quest?"
        for data in (b"eh?" + first, first + b"eh?" + second, first + b"eh?", first + b"eh", first + second[:-1], b"?", b"eh"):
            self.assertIsNone(known.all(data), data)

    def test_no_more_at_once_than_in_the_long_way(self) -> None:
        """What short questions are answered with has the same bound."""
        known = Known({b"a?": b"A."})
        self.assertEqual(known.all(b"a?" * BATCH), [b"A."] * BATCH)
        self.assertIsNone(known.all(b"a?" * (BATCH + 1)))

    def test_an_empty_question_can_be_known(self) -> None:
        """A mark alone is a question."""
        known = Known({b"?": b"!."})
        self.assertEqual((known.one(b"?"), known.all(b"???")), (b"!.", [b"!."] * 3))

    def test_both_ways_agree(self) -> None:
        """Whatever octets come: found sentence by sentence, and at once."""
        known = Known(BOOK)
        name = b"What is your name?"
        for data in (name, name * 3, name[:5], name + name[:5], b"?" + name, name + b"\xff?"):
            found = sentences(data, QUESTION_MARK, 4096)
            whole = b"".join(found) == data and all(one in BOOK for one in found)
            self.assertEqual(known.all(data), [BOOK[one] for one in found] if whole else None)


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
