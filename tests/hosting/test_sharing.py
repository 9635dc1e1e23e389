"""Other people's mail, below any protocol: offers, access lists and processes that share a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts.interface import Account
from launcelot.core.errors import Gone, NotFound, NotPermitted
from launcelot.hosting.accesslists import AccessLists
from launcelot.hosting.sharing import SharedMail
from launcelot.mailstore.interface import MailStore
from launcelot.mailstore.rights import Change, account_identity
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.testing.site import World, memory_site
from launcelot.workers.memory import InlineWorkers

READ = frozenset("lr")


class SharingTests(SynchronousTestCase):
    """Ann, who shares, and Bob."""

    def setUp(self) -> None:
        """Both, and a mailbox."""
        self.world: World = memory_site()
        self.ann, self.bob = self.world.add_user("ann"), self.world.add_user("bob")
        self.result = self.world.result
        self.result(self.mail(self.ann).create("work"))

    def mail(self, account: Account, store: MailStore | None = None) -> SharedMail:
        """Somebody's mail and what is shared."""
        site = self.world.site
        store = store or site.mail

        async def breathe() -> None:
            pass

        own = self.result(store.mail(account.id))
        return SharedMail(own, account, store, site.accounts, site.staging, breathe)

    def share(self, rights: frozenset[str], store: MailStore | None = None, name: str = "work") -> None:
        """Let Bob do this."""
        lists = AccessLists(self.mail(self.ann, store), self.ann, self.world.site.accounts)
        self.result(lists.change(name, "bob", Change.REPLACE, rights))

    def offers(self) -> list[Any]:
        """What Bob has been offered."""
        return list(self.result(self.world.site.accounts.offers([account_identity(self.bob.id)])))

    def names(self, account: Account, store: MailStore | None = None) -> list[str]:
        """What somebody sees."""
        return [info.name for info in self.result(self.mail(account, store).mailboxes())]

    def test_offers_with_nothing_behind_them_are_withdrawn(self) -> None:
        """By who looks and finds nothing; not while any mailbox still has an entry."""
        self.result(self.mail(self.ann).create("play"))
        self.share(READ)
        self.share(READ, name="play")
        self.share(frozenset())
        self.names(self.bob)
        self.assertEqual([one.owner for one in self.offers()], [self.ann.id])
        self.share(frozenset(), name="play")
        self.assertEqual(self.names(self.bob), ["INBOX"])
        self.assertEqual(self.offers(), [])
        self.share(READ)
        self.assertIn("Shared/ann/work", self.names(self.bob))

    def test_an_entry_is_found_whatever_happens_while_it_is_made(self) -> None:
        """Who withdraws the offer between it and the entry does not hide the entry."""
        grants = self.mail(self.ann).own.grants
        change = type(grants).change

        async def meanwhile(*arguments: Any, **more: Any) -> Any:
            self.names(self.bob)
            self.assertEqual(self.offers(), [])
            return await change(*arguments, **more)

        self.patch(type(grants), "change", meanwhile)
        self.share(READ)
        self.assertIn("Shared/ann/work", self.names(self.bob))

    def test_entries_of_the_dead_make_room(self) -> None:
        """They go when the list is changed next."""
        self.share(READ)
        self.result(self.world.site.accounts.remove("bob"))
        id = self.result(self.mail(self.ann).mailbox("work")).info.id
        grants = self.mail(self.ann).own.grants
        self.assertEqual(len(self.result(grants.of(id))), 1)
        self.bob = self.world.add_user("bob")
        self.share(frozenset("l"))
        self.assertEqual(self.result(grants.of(id)), {account_identity(self.bob.id): frozenset("l")})

    def test_two_processes_on_one_folder(self) -> None:
        """What one is told another knows at its next question; an open mailbox is no exception."""
        folder, workers, site = Path(self.mktemp()), InlineWorkers(), self.world.site
        stores = [SqliteMailStore(folder, [workers], workers, site.now, site.new_id) for _ in range(2)]
        one, two = stores
        self.result(self.mail(self.ann, one).create("work"))
        self.share(READ, one)
        self.assertIn("Shared/ann/work", self.names(self.bob, two))
        mailbox = self.result(self.mail(self.bob, two).mailbox("Shared/ann/work"))
        self.assertEqual(self.result(mailbox.status()).messages, 0)
        self.share(frozenset("l"), one)
        self.failureResult(Gone, mailbox.status())
        self.failureResult(Gone, mailbox.changes(0))
        self.failureResult(NotPermitted, self.result(self.mail(self.bob, two).mailbox("Shared/ann/work")).status())
        self.share(frozenset(), one)
        self.failureResult(Gone, mailbox.status())
        self.failureResult(NotFound, self.mail(self.bob, two).mailbox("Shared/ann/work"))
        for store in stores:
            self.result(store.close())

    def failureResult(self, kind: type[Exception], waiting: Any) -> None:
        """It must end with this."""
        with self.assertRaises(kind):
            self.result(waiting)

    def test_a_copy_goes_through_two_files(self) -> None:
        """Octets, dates and flags come along, both ways; one transaction within one file."""
        folder, workers, site = Path(self.mktemp()), InlineWorkers(), self.world.site
        store = SqliteMailStore(folder, [workers], workers, site.now, site.new_id)
        self.result(self.mail(self.ann, store).create("work"))
        self.share(frozenset("lrswite"), store)
        ann, bob = self.mail(self.ann, store), self.mail(self.bob, store)
        mine = self.result(bob.mailbox("INBOX"))
        body = b"Subject: x\r\n\r\n" + bytes(range(1, 256)) * 3_000
        self.result(mine.append(body, ["\\Flagged", "word"], site.now()))
        copied = self.result(bob.copy(mine, [1], "Shared/ann/work"))
        self.assertEqual((copied.source, copied.target), ((1,), (1,)))
        theirs = self.result(ann.mailbox("work"))
        self.assertEqual(self.result(theirs.read(1, 0, len(body) + 1)), body)
        (state,) = self.result(theirs.states())
        self.assertEqual(state.flags, {"\\Flagged", "word"})
        shared = self.result(bob.mailbox("Shared/ann/work"))
        self.result(bob.move(shared, [1], "INBOX"))
        self.assertEqual((self.result(theirs.states()), len(self.result(mine.states()))), ([], 2))
        self.assertEqual(self.result(bob.copy(mine, [9], "Shared/ann/work")).source, ())
        self.result(store.close())
