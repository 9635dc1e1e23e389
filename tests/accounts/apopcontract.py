"""What every directory does with secrets of APOP, as a mixin of tests like those of :mod:`tests.accounts.contract`."""

from __future__ import annotations

from launcelot.core.errors import Invalid, NotFound
from tests.accounts import contract

SECRET = "a secret of its own"


class ApopContract(contract.DirectoryContract):
    """What every directory does."""

    def test_nobody_has_one_at_first(self) -> None:
        """Whoever asks gets octets that nobody knows."""
        self.add("ann")
        self.assertFalse(self.now(self.directory.has_shared_secrets()))
        for name in ("ann", "bob", "", "\ud800", "x" * 100_000):
            shared = self.now(self.directory.shared_secret(name))
            self.assertIsNone(shared.account)
            self.assertEqual(len(shared.secret), 32)

    def test_set_and_taken_away(self) -> None:
        """It is read back as it was, by name and by address; the account says that it has one, and nothing shows it."""
        ann = self.add("ann")
        given = self.now(self.directory.set_shared_secret("ann", SECRET))
        self.assertTrue(given.apop and not ann.apop)
        self.assertTrue(self.now(self.directory.has_shared_secrets()))
        for name in ("ann", "ANN", "ann@example.org"):
            shared = self.now(self.directory.shared_secret(name))
            self.assertEqual((shared.account, shared.secret), (given, SECRET.encode()))
        self.assertNotIn(SECRET, repr(shared))
        self.assertEqual([one.apop for one in self.now(self.directory.accounts())], [True])
        self.assertFalse(self.now(self.directory.set_shared_secret("ann", None)).apop)
        self.assertFalse(self.now(self.directory.has_shared_secrets()))
        self.assertIsNone(self.now(self.directory.shared_secret("ann")).account)

    def test_it_stays_when_other_things_change(self) -> None:
        """Limits and password; a disabled account cannot use it."""
        self.add("ann")
        self.now(self.directory.set_shared_secret("ann", SECRET))
        self.now(self.directory.set_password("ann", "another"))
        changed = self.now(self.directory.change("ann", quota=5))
        self.assertEqual(self.now(self.directory.shared_secret("ann")).account, changed)
        self.now(self.directory.change("ann", enabled=False))
        self.assertIsNone(self.now(self.directory.shared_secret("ann")).account)

    def test_it_is_not_the_password(self) -> None:
        """Neither way round: the password cannot be read back."""
        self.add("ann", password="the password of ann")
        self.refused(self.directory.set_shared_secret("ann", "the password of ann"), Invalid)
        self.now(self.directory.set_shared_secret("ann", SECRET))
        self.refused(self.directory.set_password("ann", SECRET), Invalid)
        self.assertEqual(self.now(self.directory.shared_secret("ann")).secret, SECRET.encode())

    def test_what_cannot_be_one(self) -> None:
        """Short ones, which can be guessed at; long ones; controls; and nobody's."""
        self.add("ann")
        for secret in ("", "x" * 15, "x" * 2_000, "sixteen octets\r\nand more", "\ue000" * 20):
            self.refused(self.directory.set_shared_secret("ann", secret), Invalid)
        self.assertFalse(self.now(self.directory.has_shared_secrets()))
        self.refused(self.directory.set_shared_secret("bob", SECRET), NotFound)

    def test_its_one_form(self) -> None:
        """Composed, as RFC 6856 section 2.2 wants what is digested."""
        self.add("ann")
        self.now(self.directory.set_shared_secret("ann", "u\u0308ber dreissig Octets lang"))
        self.assertEqual(self.now(self.directory.shared_secret("ann")).secret, "\u00fcber dreissig Octets lang".encode())
