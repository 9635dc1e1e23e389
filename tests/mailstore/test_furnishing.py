"""What a new account has besides INBOX."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.mailstore.furnishing import furnishing
from launcelot.mailstore.interface import MailStore
from launcelot.mailstore.memory import MemoryMailStore
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands, result_now

FURNISHING = (("Sent", "\\Sent"), ("Work/Drafts", "\\Drafts"))


class FurnishingTests(SynchronousTestCase):
    """Both stores."""

    def both(self) -> list[MailStore]:
        """Two new stores."""
        hands, workers = Hands(), InlineWorkers()
        self.folder = Path(self.mktemp())
        sqlite = SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id, furnishing=FURNISHING)
        self.addCleanup(lambda: result_now(self, sqlite.close()))
        return [MemoryMailStore(hands.now, hands.new_id, FURNISHING), sqlite]

    def test_new_account_is_furnished(self) -> None:
        """The mailboxes are there at first use, with their special use, and subscribed."""

        async def listed(store: MailStore) -> list[tuple[str, str, bool]]:
            mail = await store.mail(ANN)
            return [(one.name, one.special_use, one.subscribed) for one in await mail.mailboxes()]

        for store in self.both():
            self.assertEqual(
                result_now(self, listed(store)),
                [
                    ("INBOX", "", False),
                    ("Sent", "\\Sent", True),
                    ("Work", "", False),
                    ("Work/Drafts", "\\Drafts", True),
                ],
            )

    def test_what_was_removed_stays_away(self) -> None:
        """An account that has been furnished once is left as its owner made it."""

        async def play(store: MailStore) -> None:
            await (await store.mail(ANN)).delete("Sent")
            await store.close()

        async def names(store: MailStore) -> list[str]:
            return [one.name for one in await (await store.mail(ANN)).mailboxes()]

        memory, sqlite = self.both()
        result_now(self, play(sqlite))
        hands, workers = Hands(), InlineWorkers()
        again = SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id, furnishing=FURNISHING)
        self.addCleanup(lambda: result_now(self, again.close()))
        self.assertEqual(result_now(self, names(again)), ["INBOX", "Work", "Work/Drafts"])
        result_now(self, play(memory))
        self.assertEqual(result_now(self, names(memory)), ["INBOX", "Work", "Work/Drafts"])


class TextTests(SynchronousTestCase):
    """How operators write it."""

    def test_names_and_special_uses(self) -> None:
        """The last word is a special use if it has a backslash, in any case; names may have spaces."""
        self.assertEqual(
            furnishing(["Sent \\SENT", "Lost and Found", "Work/Drafts  \\Drafts"]),
            (("Sent", "\\Sent"), ("Lost and Found", ""), ("Work/Drafts", "\\Drafts")),
        )
        self.assertEqual(furnishing([]), ())

    def test_impossible_ones_are_refused(self) -> None:
        """What could not be made for every account is found when the configuration is read."""
        for texts in (
            ["Sent \\Nowhere"],
            ["\\Sent"],
            ["inbox"],
            ["a", "a"],
            ["a \\Sent", "b \\Sent"],
            ["a/b", "a"],
            [""],
            ["a//b"],
            ["INBOX/../\0"],
        ):
            self.assertRaises(Invalid, furnishing, texts)
