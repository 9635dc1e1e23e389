"""Hashes are made and checked within bounds."""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts import passwords
from launcelot.accounts.passwords import CHEAPEST, DEFAULT, HIGHEST, Hasher, Parameters, read_encoded
from launcelot.core.errors import Invalid, TryLater
from launcelot.core.ids import AccountId
from launcelot.workers.memory import SteppedWorkers

ANN = AccountId("ann-id")
BOB = AccountId("bob-id")


class HasherTestCase(SynchronousTestCase):
    """One :class:`Hasher` on workers that are stepped by hand."""

    def setUp(self) -> None:
        """Workers and a clock of our own."""
        self.clock = Clock()
        self.workers = SteppedWorkers()
        self.hasher = Hasher(self.workers, CHEAPEST, self.clock.seconds)

    def hash(self, password: str) -> str:
        """A hash, made at once."""
        made = Deferred.fromCoroutine(self.hasher.hash(password))
        self.assertTrue(self.workers.perform())
        return self.successResultOf(made)

    def check(self, account: AccountId | None, stored: str, password: str) -> tuple[bool, int]:
        """The verdict, and how many hashes were computed for it."""
        checked = Deferred.fromCoroutine(self.hasher.check(account, stored, password))
        computed = 0
        while self.workers.perform():
            computed += 1
        return self.successResultOf(checked), computed


class HasherTests(HasherTestCase):
    """What is hashed, what fits and what is refused."""

    def test_right_password_fits_and_others_do_not(self) -> None:
        """A hash knows its password."""
        stored = self.hash("open sesame")
        self.assertEqual(self.check(ANN, stored, "open sesame"), (True, 1))
        self.assertEqual(self.check(ANN, stored, "open sesam"), (False, 1))

    def test_hashing_waits_for_a_worker(self) -> None:
        """Nothing is computed in the reactor thread."""
        made = Deferred.fromCoroutine(self.hasher.hash("x"))
        self.assertNoResult(made)
        self.workers.perform()
        self.assertTrue(self.successResultOf(made).startswith("$argon2id$v=19$m=8,t=1,p=1$"))

    def test_two_hashes_of_one_password_differ(self) -> None:
        """Every hash has a salt of its own."""
        self.assertNotEqual(self.hash("same"), self.hash("same"))

    def test_hash_of_another_program_is_checked(self) -> None:
        """The encoded form is the common one."""
        stored = PasswordHasher(time_cost=2, memory_cost=64, parallelism=2).hash("portable")
        self.assertEqual(self.check(ANN, stored, "portable"), (True, 1))

    def test_spellings_of_one_password_are_one(self) -> None:
        """A decomposed accent and an unusual space are what a person typed, not another password."""
        stored = self.hash("caf\u00e9 au lait")
        self.assertTrue(self.check(ANN, stored, unicodedata.normalize("NFD", "caf\u00e9\u00a0au lait"))[0])

    def test_case_of_a_password_matters(self) -> None:
        """Passwords are never folded."""
        self.assertFalse(self.check(ANN, self.hash("Secret"), "secret")[0])

    def test_longest_password_is_hashed(self) -> None:
        """1,024 octets pass, counted in UTF-8."""
        for password in ("p" * 1024, "\u00e9" * 512):
            self.assertEqual(self.check(ANN, self.hash(password), password), (True, 1))

    def test_impossible_passwords_are_refused_before_hashing(self) -> None:
        """Empty, too long, NUL, controls and lone surrogates cost nothing (case A09)."""
        stored = self.hash("right")
        for password in ("", "p" * 1025, "\u00e9" * 513, "p" * 1_000_000, "a\0b", "a\nb", "\ud800"):
            self.failureResultOf(Deferred.fromCoroutine(self.hasher.hash(password)), Invalid)
            self.assertEqual(self.check(ANN, stored, password), (False, 0))
            self.assertEqual(self.check(None, "", password), (False, 0))

    def test_nobody_costs_one_hash_of_present_parameters(self) -> None:
        """An unknown name is computed like a known one and is never right (case A02)."""
        asked: list[str] = []
        real = passwords.fits

        def recording(stored: str, secret: bytes) -> bool:
            asked.append(stored)
            return real(stored, secret)

        self.patch(passwords, "fits", recording)
        stored = self.hash("x")
        self.check(ANN, stored, "wrong")
        self.assertEqual(self.check(None, "", "wrong"), (False, 1))
        self.assertEqual(read_encoded(asked[0]), read_encoded(asked[1]))
        self.assertEqual(len(asked[0]), len(asked[1]))

    def test_stored_hash_beyond_the_caps_is_not_computed(self) -> None:
        """A hash that asks for years of work costs what any other costs and never fits (case A09)."""
        tail = self.hash("x").split("$", 4)[4]
        for costs in ("m=8,t=1000000000,p=1", "m=4000000000,t=1,p=1", "m=262145,t=1,p=1", "m=8,t=17,p=1", "m=800,t=1,p=9"):
            stored = f"$argon2id$v=19${costs}${tail}"
            self.assertIsNone(read_encoded(stored))
            self.assertEqual(self.check(ANN, stored, "x"), (False, 1))

    def test_damaged_hash_never_fits(self) -> None:
        """What is not a whole argon2id hash is nobody's password."""
        good = self.hash("x")
        self.assertIsNotNone(read_encoded(good))
        for stored in (
            "",
            "x",
            "!",
            good[:-24],
            good + "=",
            good + "\n",
            good.replace("argon2id", "argon2i"),
            good.replace("v=19", "v=16"),
            good.replace("p=1", "p=2"),
            "\u00e9" + good,
            "$1$abc$def",
        ):
            self.assertIsNone(read_encoded(stored), stored)
            self.assertEqual(self.check(ANN, stored, "x"), (False, 1))

    def test_truncated_hash_never_fits(self) -> None:
        """Wherever the text is cut, one hash is computed and does not fit."""
        good = self.hash("x")
        for end in range(len(good)):
            self.assertEqual(self.check(ANN, good[:end], "x"), (False, 1), good[:end])

    def test_highest_parameters_are_accepted(self) -> None:
        """The caps themselves are within the caps."""
        stored = passwords.write_encoded(HIGHEST, b"s" * 16, b"d" * 32)
        self.assertEqual(read_encoded(stored), HIGHEST)

    def test_full_queue_refuses_known_and_unknown_alike(self) -> None:
        """Past the bound of the workers a log-in is told to come back."""
        stored = self.hash("x")
        self.workers.close()
        for account in (ANN, None):
            checked = Deferred.fromCoroutine(self.hasher.check(account, stored, "x"))
            self.failureResultOf(checked, TryLater)

    def test_no_memory_is_a_temporary_failure(self) -> None:
        """argon2 that cannot allocate neither fits nor crashes."""
        stored = passwords.write_encoded(Parameters(1, 8, 1), b"s" * 16, b"d" * 32)

        def no_memory(*arguments: object) -> bool:
            raise VerificationError("Memory allocation error")

        self.patch(passwords, "verify_secret", no_memory)
        checked = Deferred.fromCoroutine(self.hasher.check(ANN, stored, "x"))
        self.workers.perform()
        self.failureResultOf(checked, TryLater)

    def test_outdated_is_what_new_hashes_would_not_have(self) -> None:
        """A hash with other parameters, or a damaged one, is to be made anew."""
        stored = self.hash("x")
        self.assertFalse(self.hasher.outdated(stored))
        self.assertTrue(Hasher(self.workers, DEFAULT).outdated(stored))
        self.assertTrue(self.hasher.outdated(""))


class RememberedTests(HasherTestCase):
    """A right password is not computed again, for a while (case A12)."""

    def setUp(self) -> None:
        """A password that has just been found right."""
        super().setUp()
        self.stored = self.hash("right")
        self.assertEqual(self.check(ANN, self.stored, "right"), (True, 1))

    def test_right_password_is_not_computed_again(self) -> None:
        """A burst of logins of one client costs one hash."""
        self.assertEqual(self.check(ANN, self.stored, "right"), (True, 0))

    def test_wrong_password_is_always_computed(self) -> None:
        """Only what was right is remembered."""
        for _ in range(2):
            self.assertEqual(self.check(ANN, self.stored, "wrong"), (False, 1))

    def test_memory_does_not_cross_accounts(self) -> None:
        """Another account with the very same hash text is computed for itself."""
        self.assertEqual(self.check(BOB, self.stored, "right"), (True, 1))

    def test_new_hash_forgets_the_old_password(self) -> None:
        """After a change the old password is wrong at once."""
        self.assertEqual(self.check(ANN, self.hash("new"), "right"), (False, 1))

    def test_memory_ends(self) -> None:
        """After 60 seconds it is computed again, whether it was used meanwhile or not."""
        self.clock.advance(59)
        self.assertEqual(self.check(ANN, self.stored, "right"), (True, 0))
        self.clock.advance(1)
        self.assertEqual(self.check(ANN, self.stored, "right"), (True, 1))

    def test_memory_is_bounded(self) -> None:
        """The oldest is forgotten first."""
        self.patch(passwords, "MAX_REMEMBERED", 2)
        for account in (BOB, AccountId("eve-id")):
            self.check(account, self.stored, "right")
        self.assertEqual(self.check(BOB, self.stored, "right"), (True, 0))
        self.assertEqual(self.check(ANN, self.stored, "right"), (True, 1))

    def test_password_is_not_kept(self) -> None:
        """What is remembered has neither the password nor a plain digest of it."""
        self.assertNotIn("right", repr(vars(self.hasher)))
        other = Hasher(self.workers, CHEAPEST, self.clock.seconds)
        other._key, self.hasher._key = self.hasher._key, b"another key".ljust(32)
        self.assertEqual(self.check(ANN, self.stored, "right"), (True, 1))
