"""Logging in: one memory of failures for all protocols."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.cred.checkers import (
    AllowAnonymousAccess,
    FilePasswordDB,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts.memory import MemoryDirectory
from launcelot.accounts.passwords import CHEAPEST, Hasher
from launcelot.accounts.tokens import TokenSettings
from launcelot.core.counters import Counters
from launcelot.core.errors import BadCredentials, LimitReached, Refusal, TryLater
from launcelot.hosting.login import FAILURE_WINDOW, FAILURES, Logins
from launcelot.message.address import parse_mailbox
from launcelot.workers.memory import SteppedWorkers

T = TypeVar("T")

HERE, THERE = "192.0.2.1", "192.0.2.2"

BAD_NAMES = ("", "a" * 1025, "a" * 100_000, "\u00e9" * 513, "a\0b", "a b", "a/b", "ann@", "@", "a@b@c", "\ud800", "' or 1=1")
BAD_PASSWORDS = ("", "p" * 1025, "p" * 1_000_000, "\u00e9" * 513, "a\0b", "\ud800")


class LoginTestCase(SynchronousTestCase):
    """A directory with ann and bob, hashing by hand."""

    def setUp(self) -> None:
        """Everything on one clock."""
        self.clock = Clock()
        self.workers = SteppedWorkers(bound=64)
        self.counters = Counters()
        self.directory = MemoryDirectory(["example.org"], Hasher(self.workers, CHEAPEST, self.clock.seconds))
        for name in ("ann", "bob"):
            self.done(self.directory.add(name, parse_mailbox(f"{name}.smith@example.org"), "right"))
        self.logins = Logins(self.directory, self.counters, self.clock.seconds)

    def done(self, asked: Coroutine[Any, Any, T]) -> T:
        """The answer, with every hash computed."""
        deferred = Deferred.fromCoroutine(asked)
        self.perform()
        return self.successResultOf(deferred)

    def perform(self) -> int:
        """Compute every hash that waits; how many there were."""
        count = 0
        while self.workers.perform():
            count += 1
        return count

    def begin(self, name: str, password: str, source: str = HERE, service: str = "imap4") -> Deferred[str]:
        """A log-in on its way to the account's name."""
        asked = Deferred.fromCoroutine(self.logins.by_password(name, password, source, service))
        return asked.addCallback(lambda account: account.name)

    def attempt(self, name: str, password: str, source: str = HERE, service: str = "imap4") -> tuple[object, str, int]:
        """Kind and text of the refusal, or None and the account's name; and how many hashes it cost."""
        asked = self.begin(name, password, source, service)
        hashes = self.perform()
        ended: list[str | Failure] = []
        asked.addBoth(ended.append)
        if isinstance(ended[0], Failure):
            self.assertIsInstance(ended[0].value, Refusal)
            return ended[0].type, str(ended[0].value), hashes
        return None, ended[0], hashes

    def fail_often(self, name: str = "ann", times: int = FAILURES, source: str = HERE) -> None:
        """That many wrong passwords."""
        for _ in range(times):
            self.assertEqual(self.attempt(name, "wrong", source)[0], BadCredentials)


class PasswordTests(LoginTestCase):
    """What passes and what does not."""

    def test_right_password_gives_the_account(self) -> None:
        """By name or address, in any spelling; and it is counted."""
        for name in ("ann", "ANN", "Ann.Smith@EXAMPLE.org"):
            self.assertEqual(self.attempt(name, "right")[:2], (None, "ann"))
        self.assertEqual(self.counters.snapshot(), {"logins.imap4.succeeded": 3})

    def test_refusals_are_one(self) -> None:
        """Known, unknown and disabled names: same kind, same text, one hash each (case A02)."""
        self.done(self.directory.change("bob", enabled=False))
        outcomes = {
            self.attempt(name, "wrong")
            for name in ("ann", "bob", "nobody", "ann.smith@example.org", "nobody@example.org", "ann@elsewhere.example")
        }
        self.assertEqual(outcomes, {(BadCredentials, "authentication failed", 1)})
        self.assertEqual(self.attempt("bob", "right")[:2], (BadCredentials, "authentication failed"))

    def test_known_and_unknown_names_are_looked_up_alike(self) -> None:
        """The directory is asked the same questions in the same order (case A02)."""
        asked: list[str] = []

        def watched(question: str) -> Callable[..., Any]:
            real: Callable[..., Any] = getattr(self.directory, question)

            def ask(*words: str) -> Any:
                asked.append(question)
                return real(*words)

            return ask

        for question in ("account", "check_password"):
            self.patch(self.directory, question, watched(question))
        self.attempt("ann", "wrong")
        known, asked[:] = list(asked), []
        self.attempt("nobody", "wrong")
        self.assertEqual(asked, known)
        self.assertEqual(known, ["account", "check_password"])

    def test_impossible_names_and_passwords_cost_nothing(self) -> None:
        """The same words, no hash (case A09); and they are counted as failed."""
        for name, password in (*((name, "right") for name in BAD_NAMES), *(("ann", word) for word in BAD_PASSWORDS)):
            self.assertEqual(self.attempt(name, password), (BadCredentials, "authentication failed", 0))
        self.assertEqual(self.counters.value("logins.imap4.failed"), len(BAD_NAMES) + len(BAD_PASSWORDS))
        self.assertEqual(self.attempt("ann", "right")[:2], (None, "ann"))

    def test_full_queue_is_a_temporary_failure_and_no_wrong_password(self) -> None:
        """500 log-ins at once: 64 wait, the others are told to come back, and nobody is blocked for it (case A09)."""
        asked = [self.begin(f"user{number}", "wrong", f"192.0.2.{number % 250}") for number in range(500)]
        self.assertEqual(len(self.workers.waiting), 64)
        for one in asked[64:]:
            self.failureResultOf(one, TryLater)
        self.perform()
        for one in asked[:64]:
            self.failureResultOf(one, BadCredentials)
        self.assertEqual(self.attempt("user499", "wrong", "192.0.2.249")[0], BadCredentials)


class LogTests(LoginTestCase):
    """What the log says of refusals; of those who are let in their session's line tells."""

    def lines(self, *asked: tuple[str, str]) -> list[str]:
        """What is logged while these names and passwords are tried."""
        with capturedLogs() as events:
            for name, password in asked:
                self.attempt(name, password)
        return [formatEvent(event) for event in events]

    def test_refusal_names_service_name_and_source(self) -> None:
        """One line for each, whether there is such an account or not; a right password makes none."""
        self.assertEqual(
            [f"imap4 login failed for 'ann' from {HERE}", f"imap4 login failed for 'nobody' from {HERE}"],
            self.lines(("ann", "wrong"), ("nobody", "wrong"), ("bob", "right")),
        )

    def test_block_is_told_apart(self) -> None:
        """Past the limit it is "blocked"."""
        self.fail_often("ann")
        self.assertEqual([f"imap4 login blocked for 'ann' from {HERE}"], self.lines(("ann", "right")))

    def test_peers_text_is_escaped_and_short(self) -> None:
        """No line break, terminal sequence or change of direction gets into the log, no long name, and never a password."""
        lines = self.lines(*((name, "passw\u00f6rd") for name in ("a\r\nb", "\x1b[2J", "\u202egro", "\x9b2J", *BAD_NAMES)))
        self.assertEqual(4 + len(BAD_NAMES), len(lines))
        for line in lines:
            self.assertTrue(line.isascii() and line.isprintable(), line)
            self.assertLess(len(line), 600)
            self.assertNotIn("passw", line)


class ThrottleTests(LoginTestCase):
    """Too many failures (case A01)."""

    def test_past_the_limit_nothing_is_computed(self) -> None:
        """The right password too is refused, at no cost, with a reason that is the same for every name."""
        self.fail_often()
        self.assertEqual(self.attempt("ann", "right"), (LimitReached, "too many failed logins, try later", 0))
        self.assertEqual(self.counters.snapshot(), {"logins.imap4.blocked": 1, "logins.imap4.failed": FAILURES})

    def test_one_before_the_limit_passes(self) -> None:
        """Nine wrong, then right; and then nine wrong again."""
        for _ in range(2):
            self.fail_often(times=FAILURES - 1)
            self.assertEqual(self.attempt("ann", "right")[:2], (None, "ann"))

    def test_a_token_of_another_forgets_nothing(self) -> None:
        """Whoever has an account here and names ann with its token gets no more guesses at ann's password."""

        class BobsTokens:
            settings = TokenSettings()

            async def identity(self, token: str) -> str:
                return "bob"

        logins = Logins(self.directory, self.counters, self.clock.seconds, tokens=BobsTokens())
        self.logins = logins
        self.fail_often(times=FAILURES - 1)
        self.assertEqual(self.done(logins.by_token("x", "ann", HERE, "imap4"))[0].name, "bob")
        self.fail_often(times=1)
        self.assertEqual(self.attempt("ann", "right")[0], LimitReached)

    def test_failures_count_over_all_protocols_and_spellings(self) -> None:
        """Whoever tries IMAP, POP3, SMTP and FTP in turn, by name and by address, gets ten guesses in all."""
        services = ("imap4", "pop3", "smtp", "ftp")
        spellings = ("ann", "ANN", "ann.smith@example.org", "Ann.Smith@Example.ORG")
        for number in range(FAILURES):
            self.assertEqual(self.attempt(spellings[number % 4], "wrong", HERE, services[number % 3])[0], BadCredentials)
        for service, spelling in zip(services, spellings, strict=True):
            self.assertEqual(self.attempt(spelling, "right", HERE, service)[0], LimitReached)

    def test_unknown_name_is_blocked_like_a_known_one(self) -> None:
        """Being blocked tells nothing about who is here (case A02)."""
        for name in ("nobody", "nobody@example.org", "ann@elsewhere.example"):
            self.fail_often(name)
            self.assertEqual(self.attempt(name, "x"), (LimitReached, "too many failed logins, try later", 0))

    def test_right_password_from_another_source_works(self) -> None:
        """Nobody is locked out by others' failures; other accounts are not blocked either."""
        self.fail_often()
        self.assertEqual(self.attempt("ann", "right", THERE)[:2], (None, "ann"))
        self.assertEqual(self.attempt("bob", "right", HERE)[:2], (None, "bob"))
        self.assertEqual(self.attempt("ann", "right", HERE)[0], LimitReached)

    def test_neighbours_in_one_ipv6_network_are_one_source(self) -> None:
        """A /64 is one customer; the next /64 is another, and a mapped IPv4 address is that address."""
        for number in range(FAILURES):
            self.attempt("ann", "wrong", f"2001:db8::{number:x}")
        self.assertEqual(self.attempt("ann", "right", "2001:db8::ffff")[0], LimitReached)
        self.assertEqual(self.attempt("ann", "right", "2001:db8:0:1::1")[0], None)
        self.fail_often("bob")
        self.assertEqual(self.attempt("bob", "right", f"::ffff:{HERE}")[0], LimitReached)

    def test_block_ends_with_the_window(self) -> None:
        """Sixty seconds after the oldest of ten failures there is one more guess, and one only."""
        self.fail_often(times=1)
        self.clock.advance(1)
        self.fail_often(times=FAILURES - 1)
        self.clock.advance(FAILURE_WINDOW - 1.5)
        self.assertEqual(self.attempt("ann", "right")[0], LimitReached)
        self.clock.advance(0.5)
        self.assertEqual(self.attempt("ann", "wrong")[0], BadCredentials)
        self.assertEqual(self.attempt("ann", "right")[0], LimitReached)
        self.clock.advance(FAILURE_WINDOW)
        self.assertEqual(self.attempt("ann", "right")[0], None)

    def test_being_blocked_does_not_prolong_the_block(self) -> None:
        """A client that goes on trying gets in when the window has passed."""
        self.fail_often()
        for _ in range(59):
            self.clock.advance(1)
            self.assertEqual(self.attempt("ann", "right")[0], LimitReached)
        self.clock.advance(1)
        self.assertEqual(self.attempt("ann", "right")[0], None)


class ConcurrentTests(LoginTestCase):
    """Many connections at once."""

    def test_hundred_guesses_at_once_are_ten(self) -> None:
        """Opening more connections does not give more guesses (case A01)."""
        asked = [self.begin("ann", f"guess {number}", HERE, f"s{number % 4}") for number in range(100)]
        self.assertEqual(len(self.workers.waiting), FAILURES)
        self.assertEqual(self.perform(), FAILURES)
        for one in asked[:FAILURES]:
            self.failureResultOf(one, BadCredentials)
        for one in asked[FAILURES:]:
            self.failureResultOf(one, LimitReached)
        self.assertEqual(self.logins._underway, {})

    def test_hundred_right_passwords_at_once_all_pass(self) -> None:
        """A client may open as many connections as it likes; only the first few cost a hash."""
        asked = [self.begin("ann", "right") for _ in range(100)]
        self.assertEqual(self.perform(), FAILURES)
        self.assertEqual([self.successResultOf(one) for one in asked], ["ann"] * 100)
        self.assertEqual(self.logins._underway, {})

    def test_waiting_login_that_is_given_up_is_forgotten(self) -> None:
        """A peer that goes away, waiting or being checked, leaves its place to others."""
        asked = [self.begin("ann", "right") for _ in range(FAILURES + 2)]
        asked[-2].cancel()
        self.failureResultOf(asked[-2], CancelledError)
        asked[0].cancel()
        self.failureResultOf(asked[0], CancelledError)
        self.perform()
        for one in (*asked[1:-2], asked[-1]):
            self.assertEqual(self.successResultOf(one), "ann")
        self.assertEqual(self.logins._underway, {})
        self.assertEqual(self.counters.value("logins.imap4.failed"), 0)

    def test_checks_that_could_not_be_made_are_not_failures(self) -> None:
        """Whoever waited gets its turn when the directory refused the ones before."""
        self.done(self.directory.close())
        asked = [self.begin("ann", "right") for _ in range(FAILURES + 5)]
        for one in asked:
            self.failureResultOf(one, TryLater)
        self.assertEqual(self.logins._underway, {})

    def test_others_do_not_wait(self) -> None:
        """Ten checks of one account hold up neither other accounts nor other sources."""
        for _ in range(FAILURES):
            self.begin("ann", "wrong").addErrback(lambda failure: None)
        before = len(self.workers.waiting)
        bob, elsewhere = self.begin("bob", "right"), self.begin("ann", "right", THERE)
        self.assertEqual(len(self.workers.waiting), before + 2)
        self.perform()
        self.assertEqual([self.successResultOf(one) for one in (bob, elsewhere)], ["bob", "ann"])


class CheckerTests(LoginTestCase):
    """Checkers of Twisted that are asked before the directory."""

    def with_checkers(self, *checkers: object) -> None:
        """Log-ins that ask them."""
        self.logins = Logins(self.directory, self.counters, self.clock.seconds, checkers)

    def test_checker_is_asked_first(self) -> None:
        """What it accepts is not hashed; bytes are what it is handed (audit T4)."""
        self.with_checkers(InMemoryUsernamePasswordDatabaseDontUse(ann="s\u00e9same".encode()))
        self.assertEqual(self.attempt("Ann", "se\u0301same"), (None, "ann", 0))

    def test_directory_is_asked_next(self) -> None:
        """What no checker accepts may still be the account's own password, and is counted once if not."""
        self.with_checkers(InMemoryUsernamePasswordDatabaseDontUse(ann=b"sesame"), InMemoryUsernamePasswordDatabaseDontUse())
        self.assertEqual(self.attempt("ann", "right")[:2], (None, "ann"))
        self.assertEqual(self.attempt("ann", "wrong"), (BadCredentials, "authentication failed", 1))
        self.assertEqual(self.counters.value("logins.imap4.failed"), 1)

    def test_second_checker_is_asked(self) -> None:
        """Each has its turn."""
        self.with_checkers(InMemoryUsernamePasswordDatabaseDontUse(), InMemoryUsernamePasswordDatabaseDontUse(bob=b"sesame"))
        self.assertEqual(self.attempt("bob", "sesame"), (None, "bob", 0))

    def test_checked_name_needs_an_enabled_account(self) -> None:
        """Who has none, or a disabled one, is not let in, in the common words."""
        self.with_checkers(InMemoryUsernamePasswordDatabaseDontUse(eve=b"sesame", bob=b"sesame"))
        self.done(self.directory.change("bob", enabled=False))
        for name in ("eve", "bob"):
            self.assertEqual(self.attempt(name, "sesame")[:2], (BadCredentials, "authentication failed"))

    def test_failures_with_checkers_are_counted(self) -> None:
        """Past the limit no checker is asked."""
        self.with_checkers(InMemoryUsernamePasswordDatabaseDontUse(ann=b"sesame"))
        self.fail_often()
        self.assertEqual(self.attempt("ann", "sesame")[0], LimitReached)

    def test_password_file_is_a_checker(self) -> None:
        """What ``--auth file:...`` makes; a file that cannot be read lets nobody in."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"ann:sesame\n")
        self.with_checkers(FilePasswordDB(path + ".missing"), FilePasswordDB(path))
        self.assertEqual(self.attempt("ann", "sesame"), (None, "ann", 0))
        self.assertEqual(self.attempt("ann", "wrong")[0], BadCredentials)

    def test_checker_without_passwords_is_refused(self) -> None:
        """It would never be asked, which would be a surprise."""
        with self.assertRaises(ValueError):
            self.with_checkers(AllowAnonymousAccess())
