"""What one account may do in team folders: the same tests on memory and on disk."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Exists, Invalid, NotFound, NotPermitted, OverQuota, Refusal
from launcelot.core.filerights import ALL, NONE, Right, Share
from launcelot.core.ids import AccountId
from launcelot.filestore.interface import Entry, FileStore, Path, Tree, Withdrawn
from launcelot.filestore.teamtree import TeamTree
from launcelot.protocols.ftp.forms import FactsLines
from launcelot.protocols.ftp.listing import ALL_FACTS, facts_line

T = TypeVar("T")

ANN = AccountId("a1")
BEN = AccountId("b2")
QUOTA = 1_000
SEE = Right.LIST | Right.READ
FILE = ("team", "Plans", "f")


class Given:
    """
    Team folders of one account, as the test says.

    :ivar rights_in: by name; none is as if nothing had been granted.
    """

    def __init__(self, store: FileStore, account: AccountId) -> None:
        self._store = store
        self._account = account
        self.rights_in: dict[str, Right] = {}
        self.asked: list[AccountId] = []
        self.quota = QUOTA

    async def shares(self) -> Sequence[Share]:
        """Those with rights."""
        return [
            Share(AccountId(f"t-{name}"), name, self.quota, rights) for name, rights in sorted(self.rights_in.items()) if rights
        ]

    def rights(self, folder: AccountId) -> Right:
        """Now."""
        self.asked.append(folder)
        return self.rights_in.get(folder[2:], NONE)

    async def tree(self, share: Share) -> Tree:
        """A folder's own."""
        return await self._store.tree(share.id, share.quota, self._account)


class TeamContract(SynchronousTestCase):
    """A subclass makes the store."""

    def make_store(self) -> FileStore:
        """A new, empty store that asks ``self.now`` and ``self.ids``."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Ann, who may do everything in ``Plans``, with a file and a folder there; Ben, who may do nothing yet."""
        self.seconds = 1_700_000_000.0
        self.ids = map("id{:018d}".format, itertools.count(1)).__next__
        self.store = self.make_store()
        self.anns, self.bens = Given(self.store, ANN), Given(self.store, BEN)
        self.ann, self.ben = self.joined(ANN, self.anns), self.joined(BEN, self.bens)
        self.anns.rights_in["Plans"] = ALL
        self.put(self.ann, FILE, b"plan")
        self.get(self.ann.make_folder(("team", "Plans", "d")))
        self.put(self.ann, ("team", "Plans", "d", "g"), b"deep")

    def joined(self, account: AccountId, given: Given) -> TeamTree:
        """An account's tree."""
        return TeamTree(self.get(self.store.tree(account, QUOTA)), "team", given)

    def now(self) -> float:
        """The wall clock."""
        return self.seconds

    def get(self, waiting: Coroutine[Any, Any, T]) -> T:
        """The result of what must not wait."""
        return self.successResultOf(Deferred.fromCoroutine(waiting))

    def refused(self, kind: type[Refusal], waiting: Coroutine[Any, Any, Any]) -> str:
        """What is said when it is refused, as it must be."""
        return str(self.failureResultOf(Deferred.fromCoroutine(waiting), kind).value)

    def put(self, tree: Tree, path: Path, data: bytes, **how: Any) -> Entry:
        """Upload and publish."""
        upload = self.get(tree.upload(path, **how))
        self.get(upload.write(data))
        return self.get(upload.publish())

    def content(self, tree: Tree, path: Path) -> bytes:
        """A file's octets."""

        async def read() -> bytes:
            reader = await tree.read(path)
            try:
                return await reader.read(0, 100_000)
            finally:
                await reader.close()

        return self.get(read())

    async def listed(self, tree: Tree, path: Path = ()) -> list[Entry]:
        """A folder's entries."""
        return [entry async for batch in tree.entries(path) for entry in batch]

    def names(self, tree: Tree, *path: str) -> list[str]:
        """What a folder holds."""
        return sorted(entry.name for entry in self.get(self.listed(tree, path)))

    def let(self, rights: Right) -> None:
        """What Ben may do in Plans from now on."""
        self.bens.rights_in["Plans"] = rights

    # -- where they are ------------------------------------------------------------------------------------------

    def test_folders_stand_in_their_place(self) -> None:
        """Whoever may list one sees the place at the top and the folder in it; both are fixed, and tell the rights in them."""
        self.put(self.ann, ("own",), b"x")
        self.assertEqual(self.names(self.ann), ["own", "team"])
        self.assertEqual(self.names(self.ann, "team"), ["Plans"])
        self.assertEqual(self.names(self.ann, "team", "Plans"), ["d", "f"])
        self.let(SEE)
        self.assertEqual(self.names(self.ben), ["team"])
        (place,) = self.get(self.listed(self.ben))
        self.assertEqual((place.is_folder, place.fixed, place.rights), (True, True, Right.LIST))
        self.assertEqual(self.get(self.ben.entry(("team",))), place)
        (plans,) = self.get(self.listed(self.ben, ("team",)))
        self.assertEqual((plans.name, plans.is_folder, plans.fixed, plans.rights), ("Plans", True, True, SEE))
        self.assertEqual(self.get(self.ben.entry(("team", "Plans"))), plans)
        inside = {entry.name: entry for entry in self.get(self.listed(self.ben, ("team", "Plans")))}
        self.assertEqual({(one.rights, one.fixed) for one in inside.values()}, {(SEE, False)})
        self.assertEqual(self.get(self.ben.entry(FILE)), inside["f"])
        self.assertTrue(self.get(self.ben.entry(())).fixed)

    def test_lines_tell_what_entries_tell(self) -> None:
        """A folder put into octets at once shows the same as its entries one by one, whatever rights there are."""

        async def lines(path: Path) -> bytes:
            return b"".join([some async for some in self.ben.lines(path, FactsLines(ALL_FACTS))])

        for rights in (SEE, Right.LIST, Right.LIST | Right.CREATE | Right.DELETE, ALL):
            self.let(rights)
            for path in ((), ("team",), ("team", "Plans"), ("team", "Plans", "d")):
                entries = self.get(self.listed(self.ben, path))
                wanted = sorted(facts_line(entry, ALL_FACTS) for entry in entries)
                self.assertEqual(sorted(self.get(lines(path)).splitlines(keepends=True)), wanted)
                self.assertGreater(len(wanted), 0)
        self.let(Right.READ)
        self.refused(NotPermitted, lines(("team", "Plans")))
        self.let(NONE)
        self.refused(NotFound, lines(("team", "Plans")))

    def test_without_rights_there_is_nothing(self) -> None:
        """Neither the place nor the folder nor what is in it exists for whoever may do nothing there."""
        self.assertEqual(self.names(self.ben), [])
        paths = (("team",), ("team", "Plans"), FILE, ("team", "None"))
        for path in paths:
            self.everything_is(NotFound, path)
        self.bens.rights_in["Other"] = ALL
        for path in paths[1:]:
            self.everything_is(NotFound, path)
        self.assertEqual(self.names(self.ben, "team"), ["Other"])

    def everything_is(self, kind: type[Refusal], path: Path) -> None:
        """Whatever Ben asks of a path is refused in one way."""
        for asked in (
            self.ben.entry(path), self.ben.read(path), self.ben.remove(path), self.ben.remove_folder(path),
            self.ben.rename(path, (*path[:-1], "x")), self.ben.set_modified(path, 1.0), self.ben.set_mode(path, 0o600),
            self.listed(self.ben, path), self.ben.upload((*path, "new")), self.ben.make_folder((*path, "new")),
        ):  # fmt: skip
            self.refused(kind, asked)

    def test_trees_are_apart(self) -> None:
        """What is in a team folder is in nobody's own tree, and counts for its own quota only."""
        before = self.get(self.ann.usage())
        self.put(self.ann, ("mine",), b"12345")
        self.assertEqual((self.get(self.ann.usage()), before), (5, 0))
        self.assertEqual(self.get(self.ann.usage(FILE)), 8)
        self.assertEqual(self.get(self.ann.available(("team", "Plans"))), QUOTA - 8)
        self.assertEqual(self.get(self.ann.available(("x",))), QUOTA - 5)
        self.assertEqual((self.get(self.ann.usage(("team",))), self.get(self.ann.available(("team",)))), (0, 0))
        self.refused(OverQuota, self.get(self.ann.upload(FILE)).write(b"x" * QUOTA))
        self.let(SEE)
        self.assertEqual(self.get(self.ben.available(FILE)), 0)

    def test_quota_can_be_changed(self) -> None:
        """It is the folder's quota of now that counts for the next upload."""
        self.anns.quota = 10
        self.refused(OverQuota, self.get(self.ann.upload(("team", "Plans", "h"))).write(b"123"))
        self.anns.quota = 20
        self.put(self.ann, ("team", "Plans", "h"), b"123")

    # -- each right ----------------------------------------------------------------------------------------------

    def attempts(self) -> dict[str, tuple[Right, Callable[[], Coroutine[Any, Any, Any]]]]:
        """What can be done in a folder, and the rights one of which it needs."""
        plans = ("team", "Plans")
        to_append = Right.APPEND | Right.WRITE
        return {
            "list": (Right.LIST, lambda: self.listed(self.ben, plans)),
            "list below": (Right.LIST, lambda: self.listed(self.ben, (*plans, "d"))),
            "see a file": (Right.LIST | Right.READ, lambda: self.ben.entry(FILE)),
            "see no file": (Right.LIST | Right.READ, lambda: self.missing((*plans, "none"))),
            "see a folder": (ALL, lambda: self.ben.entry((*plans, "d"))),
            "read": (Right.READ, lambda: self.ben.read(FILE)),
            "replace": (Right.WRITE, lambda: self.send(FILE)),
            "continue": (Right.WRITE, lambda: self.send(FILE, offset=2)),
            "append": (to_append, lambda: self.send(FILE, append=True)),
            "continue at the end": (to_append, lambda: self.send(FILE, offset=4)),
            "new": (Right.CREATE, lambda: self.send((*plans, "new"))),
            "new by appending": (Right.CREATE, lambda: self.send((*plans, "new"), append=True)),
            "new name": (Right.CREATE, lambda: self.send(FILE, unique=True)),
            "new folder": (Right.CREATE, lambda: self.ben.make_folder((*plans, "new"))),
            "remove": (Right.DELETE, lambda: self.ben.remove(FILE)),
            "remove a folder": (Right.DELETE, lambda: self.ben.remove_folder((*plans, "empty"))),
            "rename": (Right.RENAME, lambda: self.ben.rename(FILE, (*plans, "d", "moved"))),
            "time": (Right.WRITE, lambda: self.ben.set_modified(FILE, 5.0)),
            "mode": (Right.WRITE, lambda: self.ben.set_mode(FILE, 0o600)),
            "what is kept": (to_append | Right.CREATE, lambda: self.ben.kept(FILE)),
        }

    async def missing(self, path: Path) -> None:
        """There is none, and that may be known."""
        try:
            await self.ben.entry(path)
        except NotFound:
            return
        raise AssertionError(path)

    async def send(self, path: Path, **how: Any) -> None:
        """Begin, write and publish."""
        upload = await self.ben.upload(path, **how)
        await upload.write(b"new")
        await upload.publish()

    def test_each_right_lets_do_what_it_is_for(self) -> None:
        """With one right alone, and with all but that one, everything is as the table says; what is refused changes nothing."""
        for right in Right:
            for rights in (right, ALL & ~right):
                for what, (enough, attempt) in self.attempts().items():
                    self.setUp()
                    self.get(self.ann.make_folder(("team", "Plans", "empty")))
                    self.let(rights)
                    before = self.state()
                    outcome = self.outcome(attempt())
                    self.assertEqual(outcome is None, bool(rights & enough), f"{what} with {rights!r}: {outcome}")
                    if outcome is not None:
                        self.assertIsInstance(outcome, NotPermitted)
                        self.assertEqual(self.state(), before, what)

    def outcome(self, asked: Coroutine[Any, Any, Any]) -> BaseException | None:
        """Why it failed; None if it did not."""
        found: list[BaseException | None] = []
        Deferred.fromCoroutine(asked).addCallbacks(lambda _: found.append(None), lambda failure: found.append(failure.value))
        return found[0]

    def state(self) -> list[tuple[Entry, bytes]]:
        """All that is in Plans, but when folders were changed."""
        found = []
        for folder in (("team", "Plans"), ("team", "Plans", "d")):
            for entry in self.get(self.listed(self.ann, folder)):
                if not entry.is_folder:
                    found.append((entry, self.content(self.ann, (*folder, entry.name))))
        return sorted(found, key=lambda one: one[0].name)

    def test_what_is_refused_is_said_with_the_right(self) -> None:
        """The text names the right that is missing; and it is one text for what is there and for what is not."""
        self.let(Right.CREATE)
        told = self.refused(NotPermitted, self.ben.read(FILE))
        self.assertEqual(told, "this needs the right to read in this team folder")
        self.assertEqual(self.refused(NotPermitted, self.ben.read(("team", "Plans", "none"))), told)
        told = self.refused(NotPermitted, self.ben.entry(FILE))
        self.assertEqual(self.refused(NotPermitted, self.ben.entry(("team", "Plans", "none"))), told)

    def test_dropping_things_unseen(self) -> None:
        """With the right to create alone the folder is not shown, can be entered, and takes what is new and nothing else."""
        self.let(Right.CREATE)
        self.assertEqual(self.names(self.ben), [])
        self.assertEqual(self.names(self.ben, "team"), [])
        self.assertTrue(self.get(self.ben.entry(("team", "Plans"))).is_folder)
        self.get(self.ben.make_folder(("team", "Plans", "bens")))
        self.assertTrue(self.get(self.ben.entry(("team", "Plans", "bens"))).is_folder)
        self.put(self.ben, ("team", "Plans", "bens", "report"), b"done")
        self.refused(NotPermitted, self.ben.upload(("team", "Plans", "bens", "report")))
        self.assertEqual(self.content(self.ann, ("team", "Plans", "bens", "report")), b"done")

    # -- the folder itself ---------------------------------------------------------------------------------------

    def test_places_stay(self) -> None:
        """Neither the place nor a team folder is removed, renamed, replaced or changed through a tree, whatever the rights."""
        for path in (("team",), ("team", "Plans")):
            for asked in (
                self.ann.remove(path), self.ann.remove_folder(path), self.ann.rename(path, ("x",)),
                self.ann.rename(path, ("team", "Plans", "x")), self.ann.upload(path), self.ann.read(path),
                self.ann.set_modified(path, 1.0), self.ann.set_mode(path, 0), self.ann.rename(("team", "Plans", "d"), path),
            ):  # fmt: skip
                self.refused(NotPermitted, asked)
            self.refused(Exists, self.ann.make_folder(path))
        self.refused(NotFound, self.ann.make_folder(("team", "New")))
        self.refused(NotFound, self.ann.upload(("team", "new")))
        self.assertEqual(self.names(self.ann, "team", "Plans"), ["d", "f"])

    def test_nothing_moves_between_trees(self) -> None:
        """Not into a folder, not out of it, not from one to another; each may be the other's owner's."""
        self.anns.rights_in["Other"] = ALL
        self.put(self.ann, ("own",), b"x")
        for path, to in (
            (("own",), ("team", "Plans", "own")),
            (FILE, ("f",)),
            (FILE, ("team", "Other", "f")),
            (("team", "Plans", "d"), ("d",)),
        ):
            self.refused(NotPermitted, self.ann.rename(path, to))
        self.assertEqual((self.names(self.ann), self.names(self.ann, "team", "Plans")), (["own", "team"], ["d", "f"]))

    def test_renaming_over_a_file_needs_to_write(self) -> None:
        """A name that is free needs only the right to rename."""
        self.put(self.ann, ("team", "Plans", "h"), b"other")
        self.let(SEE | Right.RENAME)
        told = self.refused(NotPermitted, self.ben.rename(FILE, ("team", "Plans", "h")))
        self.assertIn("right to write", told)
        self.refused(Exists, self.ben.rename(FILE, ("team", "Plans", "d")))
        self.get(self.ben.rename(FILE, ("team", "Plans", "i")))
        self.let(SEE | Right.RENAME | Right.WRITE)
        self.get(self.ben.rename(("team", "Plans", "i"), ("team", "Plans", "h")))
        self.assertEqual(self.content(self.ben, ("team", "Plans", "h")), b"plan")

    # -- decided twice -------------------------------------------------------------------------------------------

    def begun(self, path: Path, **how: Any) -> Any:
        """An upload of Ben's with some octets."""
        upload = self.get(self.ben.upload(path, **how))
        self.get(upload.write(b"ben's"))
        return upload

    def given_up(self, upload: Any) -> None:
        """It is not published, nothing of it is kept, and the folder is as it was."""
        before = self.state()
        self.refused(NotPermitted, upload.publish())
        self.get(upload.abandon())
        self.assertEqual(self.state(), before)
        self.assertEqual(self.get(self.ann.available(FILE)), QUOTA - self.get(self.ann.usage(FILE)))

    def test_right_that_is_taken_away_meanwhile(self) -> None:
        """What was begun with it is not published."""
        for how in ({}, {"append": True}, {"offset": 4}):
            self.let(ALL)
            upload = self.begun(FILE, **how)
            self.let(ALL & ~Right.WRITE & ~Right.APPEND)
            self.given_up(upload)
        for how in ({}, {"unique": True}):
            self.let(ALL)
            upload = self.begun(("team", "Plans", "new"), **how)
            self.let(NONE)
            self.given_up(upload)

    def test_right_that_is_taken_away_while_the_upload_is_synced(self) -> None:
        """Between sync and rename it is asked again: what was taken away before the file is in its place counts."""
        for path, how in ((FILE, {}), (FILE, {"append": True}), (("team", "Plans", "new"), {}), (FILE, {"unique": True})):
            self.let(ALL)
            upload = self.begun(path, **how)
            before = self.state()

            def revoke() -> bool:
                self.let(SEE)
                return True

            self.refused(NotPermitted, upload.publish(revoke))
            self.get(upload.abandon())
            self.assertEqual(self.state(), before)

    def test_file_that_comes_while_the_upload_is_synced(self) -> None:
        """And so does what is there at that moment."""
        self.let(SEE | Right.CREATE)
        upload = self.begun(("team", "Plans", "new"))

        def be_quicker() -> bool:
            self.put(self.ann, ("team", "Plans", "new"), b"ann was first")
            return True

        self.refused(NotPermitted, upload.publish(be_quicker))
        self.get(upload.abandon())
        self.assertEqual(self.content(self.ann, ("team", "Plans", "new")), b"ann was first")

    def test_withdrawn_upload_can_be_gone_on_with(self) -> None:
        """As in an own tree, by whoever sent it."""
        self.let(ALL)
        upload = self.begun(FILE)
        self.refused(Withdrawn, upload.publish(lambda: False))
        self.get(upload.abandon())
        self.assertEqual((self.get(self.ben.kept(FILE)), self.get(self.ann.kept(FILE))), (5, 0))
        self.put(self.ben, FILE, b" file", offset=5)
        self.assertEqual(self.content(self.ann, FILE), b"ben's file")

    def test_file_that_came_meanwhile_needs_to_write(self) -> None:
        """The right to create is none to replace, though there was nothing when the upload began."""
        self.let(Right.CREATE | Right.APPEND)
        for how in ({}, {"append": True}):
            upload = self.begun(("team", "Plans", "new"), **how)
            self.put(self.ann, ("team", "Plans", "new"), b"ann was first")
            self.given_up(upload)
            self.get(self.ann.remove(("team", "Plans", "new")))
        upload = self.begun(("team", "Plans", "new"))
        self.put(self.ann, ("team", "Plans", "new"), b"ann was first")
        self.let(Right.WRITE)
        self.get(upload.publish())
        self.assertEqual(self.content(self.ann, ("team", "Plans", "new")), b"ben's")

    def test_file_that_went_meanwhile_needs_to_create(self) -> None:
        """The right to write is none to make files."""
        self.let(SEE | Right.WRITE)
        upload = self.begun(FILE)
        self.get(self.ann.remove(FILE))
        self.given_up(upload)

    def test_append_to_what_has_changed_needs_to_write(self) -> None:
        """Else it would take back what others have done meanwhile."""
        self.let(SEE | Right.APPEND)
        upload = self.begun(FILE, append=True)
        self.put(self.ann, FILE, b"changed")
        self.given_up(upload)
        self.get(self.begun(FILE, append=True).publish())
        self.assertEqual(self.content(self.ann, FILE), b"changedben's")

    def test_append_keeps_what_is_there(self) -> None:
        """With the right to append alone, what was sent earlier cannot come in the place of the file's own octets."""
        self.let(ALL)
        upload = self.get(self.ben.upload(FILE))
        self.get(upload.write(b"evil"))
        self.get(upload.abandon())
        self.let(SEE | Right.APPEND)
        self.get(self.begun(FILE, offset=4).publish())
        self.assertEqual(self.content(self.ann, FILE), b"planben's")
        self.refused(NotPermitted, self.ben.upload(FILE, 3))
        self.refused(NotPermitted, self.ben.upload(FILE, 10))

    def test_offset_without_octets(self) -> None:
        """It is refused as in one's own tree."""
        self.let(ALL)
        self.refused(Invalid, self.ben.upload(("team", "Plans", "new"), 3))
        self.refused(Invalid, self.ben.upload(FILE, 5))

    def test_cut_uploads_are_their_senders(self) -> None:
        """Two who are cut while they send to one name go on with their own; the other's does not show."""
        self.let(ALL)
        for tree, data in ((self.ann, b"ann"), (self.ben, b"benjamin")):
            upload = self.get(tree.upload(FILE))
            self.get(upload.write(data))
            self.get(upload.abandon())
        self.assertEqual([self.get(tree.kept(FILE)) for tree in (self.ann, self.ben)], [3, 8])
        self.put(self.ann, FILE, b"!", offset=3)
        self.put(self.ben, FILE, b"?", offset=8)
        self.assertEqual(self.content(self.ann, FILE), b"benjamin?")

    def test_reader_keeps_what_it_opened(self) -> None:
        """A file that was open when the right to read was taken away is read to its end, and not opened again."""
        self.let(SEE)
        reader = self.get(self.ben.read(FILE))
        self.let(NONE)
        self.assertEqual(self.get(reader.read(0, 100)), b"plan")
        self.get(reader.close())
        self.refused(NotFound, self.ben.read(FILE))

    # -- the name ------------------------------------------------------------------------------------------------

    def test_name_is_reserved(self) -> None:
        """Nobody can call something of their own so, with team folders or without."""
        self.put(self.ben, ("own",), b"x")
        for asked in (
            self.ben.make_folder(("team",)), self.ben.upload(("team",)), self.ben.upload(("team",), unique=True),
            self.ben.upload(("team",), append=True), self.ben.rename(("own",), ("team",)),
        ):  # fmt: skip
            self.refused(NotPermitted, asked)
        self.get(self.ben.make_folder(("Team",)))
        self.get(self.ben.make_folder(("Team", "team")))
        self.assertEqual(self.names(self.ben), ["Team", "own"])

    def test_earlier_folder_of_the_name_stays_until_it_is_in_the_way(self) -> None:
        """It can be used as always; with the first team folder it gets another name, with all that is in it."""
        home = self.get(self.store.tree(BEN, QUOTA))
        self.get(home.make_folder(("team",)))
        self.get(home.make_folder(("team.home",)))
        self.put(self.ben, ("team", "x"), b"ben's own")
        self.assertEqual(self.names(self.ben), ["team", "team.home"])
        self.assertFalse(self.get(self.ben.entry(("team",))).fixed)
        self.let(SEE)
        self.assertEqual(self.names(self.ben), ["team", "team.home", "team.home1"])
        self.assertEqual(self.names(self.ben, "team"), ["Plans"])
        self.assertEqual(self.content(self.ben, ("team.home1", "x")), b"ben's own")
        self.get(self.ben.rename(("team.home1",), ("crew",)))
        self.let(NONE)
        self.assertEqual(self.names(self.ben), ["crew", "team.home"])

    def test_earlier_file_of_the_name_can_be_replaced(self) -> None:
        """What sends a file of this name every night goes on doing so, until there are team folders."""
        home = self.get(self.store.tree(BEN, QUOTA))
        self.put(home, ("team",), b"monday")
        self.put(self.ben, ("team",), b"tuesday")
        self.let(SEE)
        self.refused(NotPermitted, self.ben.upload(("team",)))
        self.assertEqual(self.content(self.ben, ("team.home",)), b"tuesday")

    def test_another_session_may_be_quicker(self) -> None:
        """Two sessions that find something in the way at once put it aside once."""
        home = self.get(self.store.tree(BEN, QUOTA))
        self.get(home.make_folder(("team",)))
        entry, other = self.ben.home.entry, self.joined(BEN, self.bens)

        async def late(path: Path) -> Entry:
            found = await entry(path)
            self.ben.home.entry = entry  # type: ignore[method-assign]
            await other.entry(("team",))
            return found

        self.let(SEE)
        self.ben.home.entry = late  # type: ignore[method-assign]
        self.assertEqual(self.names(self.ben), ["team", "team.home"])
