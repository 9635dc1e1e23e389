"""What every directory does with keys of SCRAM, as a mixin of tests like those of :mod:`tests.accounts.contract`."""

from __future__ import annotations

from launcelot.accounts.interface import Account
from launcelot.accounts.passwords import has_keys
from launcelot.core.scram import LEAST_ITERATIONS, derive, keys_of
from tests.accounts import contract


class ScramContract(contract.DirectoryContract):
    """What every directory does."""

    def knows(self, name: str, password: str) -> Account | None:
        """Whom a proof with this password would log in."""
        verifier = self.now(self.directory.verifier(name))
        keys = verifier.keys
        fits = keys_of(derive(password, keys.salt, keys.iterations), keys.salt, keys.iterations) == keys
        return verifier.account if fits else None

    def test_password_that_was_set_is_known(self) -> None:
        """By name and by address, in any case; others are not."""
        ann = self.add("ann", "a.smith@example.org", password="one")
        for name in ("ann", "ANN", "a.smith@example.org", "A.Smith@EXAMPLE.org"):
            self.assertEqual(self.knows(name, "one"), ann)
            self.assertIsNone(self.knows(name, "two"))
        self.now(self.directory.set_password("ann", "two"))
        self.assertIsNone(self.knows("ann", "one"))
        self.assertEqual(self.knows("ann", "two"), ann)

    def test_disabled_account_has_none(self) -> None:
        """Its keys stay as they were, so nothing shows."""
        ann = self.add("ann")
        before = self.now(self.directory.verifier("ann")).keys
        self.now(self.directory.change("ann", enabled=False))
        after = self.now(self.directory.verifier("ann"))
        self.assertEqual((after.account, after.keys), (None, before))
        self.now(self.directory.change("ann", enabled=True))
        self.assertEqual(self.knows("ann", "pw"), ann)

    def test_unknown_names_look_like_known_ones(self) -> None:
        """One salt for a name and its address here, the same each time, of the same length and cost; no password fits."""
        self.add("ann")
        for known, other in (("ann", "ann@example.org"), ("bob", "bob@example.org"), ("B\u00e9", "b\u00e9@second.example")):
            one, two = self.now(self.directory.verifier(known)).keys, self.now(self.directory.verifier(other)).keys
            self.assertEqual((one.salt, one.iterations), (two.salt, two.iterations))
            self.assertEqual((len(one.salt), one.iterations), (16, LEAST_ITERATIONS))
        salts = {self.now(self.directory.verifier(name)).keys.salt for name in ("ann", "bob", "eve", "bob@else.where", "")}
        self.assertEqual(len(salts), 5)
        self.assertIsNone(self.knows("bob", "pw"))

    def test_impossible_names_are_nobody_s(self) -> None:
        """However long, and whatever is in them."""
        for name in ("", "a\0b", "@", "a@b@c", "\ud800", "x" * 100_000, "' or 1=1"):
            self.assertIsNone(self.now(self.directory.verifier(name)).account)

    def test_salt_does_not_tell_whether_anybody_came_or_went(self) -> None:
        """It is the name's."""
        def salt() -> bytes:
            return self.now(self.directory.verifier("ann")).keys.salt

        before = salt()
        self.add("ann")
        self.assertEqual(salt(), before)
        self.now(self.directory.set_password("ann", "other"))
        self.assertEqual(salt(), before)
        self.now(self.directory.remove("ann"))
        self.assertEqual(salt(), before)

    def test_password_without_prepared_form_has_no_keys(self) -> None:
        """It can be used with other mechanisms, and never fits here."""
        password = "smile \U0001f600"
        self.assertFalse(has_keys(password))
        ann = self.add("ann", password=password)
        self.assertEqual(self.now(self.directory.check_password("ann", password)), ann)
        self.assertIsNone(self.now(self.directory.verifier("ann")).account)
        self.now(self.directory.set_password("ann", "pw"))
        self.assertEqual(self.knows("ann", "pw"), ann)
