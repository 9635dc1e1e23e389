"""Guests: found by name, and kept from doing harm."""

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.questions.guests import Guest, check_answerer, find
from launcelot.protocols.questions.service import Settings, build
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site
from tests.protocols.questions import guest

HERE = "tests.protocols.questions"
INTERNAL = b"Error: internal error."


class FindTests(SynchronousTestCase):
    """Names of answerers."""

    def test_what_a_name_may_mean(self) -> None:
        """A function, an object with the method, and one inside another."""
        self.assertIs(find(f"{HERE}.guest:answer"), guest.answer)
        for path in ("oracle", "temple.oracle"):
            self.assertEqual(find(f"{HERE}.guest:{path}"), guest.oracle.answer)

    def test_nobody(self) -> None:
        """An empty name is no fault."""
        check_answerer("")

    def test_what_is_wrong_is_told_in_one_line(self) -> None:
        """Each with its cause and the name as it was given."""
        wrong = {
            "guest": "is not an object's name",
            "guest:": "is not an object's name",
            ":answer": "is not an object's name",
            "no.such.module:answer": "ModuleNotFoundError: No module named 'no'",
            f"{HERE}.guest:nobody": "AttributeError",
            f"{HERE}.guest:Oracle": "is a class",
            f"{HERE}.guest:number": "is no function",
            f"{HERE}.broken_guest:answer": "RuntimeError: two",
        }
        for name, cause in wrong.items():
            error = self.assertRaises(ValueError, check_answerer, name)
            self.assertIn(cause, str(error))
            self.assertIn(repr(name), str(error))
            self.assertNotIn("\n", str(error))


class GuestTests(SynchronousTestCase):
    """A guest behind the service."""

    def setUp(self) -> None:
        self.world = memory_site()

    def link(self, name: str) -> Link:
        """A peer of a service whose settings name a guest."""
        settings = Settings(answerer=f"{HERE}.guest:{name}", answer_timeout=10)
        return self.world.connect(build(self.world.site, settings).listeners[0].factory)

    def test_the_guest_is_asked_what_no_table_answers(self) -> None:
        """In order with what the tables know."""
        link = self.link("answer")
        link.say(b"Mine?What is your favorite color?Yours?")
        self.assertEqual(link.take(), b"Mine.Blue.Yours.")

    def test_without_tables_the_guest_is_asked_everything(self) -> None:
        """Nothing is built in then."""
        settings = Settings(answerer=f"{HERE}.guest:oracle", book_tables=False)
        link = self.world.connect(build(self.world.site, settings).listeners[0].factory)
        link.say(b"What is your favorite color?")
        self.assertEqual(link.take(), b"Perhaps.")

    def test_a_plain_function(self) -> None:
        """It need not be async."""
        link = self.link("at_once")
        link.say(b"Mine?")
        self.assertEqual(link.take(), b"At once.")

    def test_a_guest_that_fails_is_answered_for(self) -> None:
        """The question gets an error, the connection stays, the bug is logged and counted."""
        for name in ("answer", "at_once"):
            link = self.link(name)
            link.say(b"Fail?What is your favorite color?")
            self.assertEqual(link.take(), INTERNAL + b"Blue.")
            self.assertFalse(link.closed)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.world.site.counters.value("questions.guest.errors"), 2)

    def test_an_answer_that_is_none_is_a_bug_of_the_guest(self) -> None:
        """Two sentences, or no octets at all."""
        link = self.link("answer")
        link.say(b"Wrong?Nothing?Yours?")
        self.assertEqual(link.take(), INTERNAL * 2 + b"Yours.")
        self.assertEqual(len(self.flushLoggedErrors(ValueError, AttributeError, TypeError)), 2)

    def test_a_refusal_is_told(self) -> None:
        """It is no bug."""
        link = self.link("answer")
        link.say(b"Refuse?Yours?")
        self.assertEqual(link.take(), b"Error: ask somebody else.Yours.")

    def test_a_guest_that_keeps_silent_is_given_up(self) -> None:
        """After its limit; the peer is told, and the clock is clean."""
        link = self.link("answer")
        link.say(b"Never?")
        self.world.advance(12)
        self.assertEqual(link.take(), b"Error: no answer in time.")
        self.assertEqual(self.world.site.counters.value("questions.guest.late"), 1)
        link.close()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_a_peer_that_leaves_ends_the_waiting(self) -> None:
        """Nothing of it is left on the clock or in the log."""
        link = self.link("answer")
        link.say(b"Never?")
        link.abort()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_a_guest_that_leaves_takes_nobody_along(self) -> None:
        """SystemExit ends that one connection; another peer is answered."""
        link, other = self.link("answer"), self.link("answer")
        link.say(b"Leave?")
        other.say(b"Yours?")
        self.assertEqual(other.take(), b"Yours.")
        self.assertTrue(link.closed)
        self.flushLoggedErrors(SystemExit)

    def test_a_missing_guest_stops_the_service_from_being_built(self) -> None:
        """With the line that check gives."""
        settings = Settings(answerer=f"{HERE}.guest:nobody")
        self.assertRaises(ValueError, build, self.world.site, settings)


class WaitingTests(SynchronousTestCase):
    """Awaiting without a network."""

    def test_an_answer_that_comes_later(self) -> None:
        """It is handed on as it is."""
        world = memory_site()
        later: Deferred[bytes] = Deferred()
        fenced = Guest("later", lambda question: later, world.site.counters, world.clock, 5)
        asked = Deferred.fromCoroutine(fenced.answer(b"When?"))
        self.assertNoResult(asked)
        later.callback(b"Now.")
        self.assertEqual(self.successResultOf(asked), b"Now.")
        self.assertEqual(world.clock.getDelayedCalls(), [])
