"""The contract every file store keeps: the same tests run on memory and on disk."""

from __future__ import annotations

import hashlib
import itertools
import stat
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Exists, Invalid, NotFound, NotPermitted, OverQuota, Refusal, TooLarge
from launcelot.core.filerights import ALL
from launcelot.core.ids import AccountId
from launcelot.filestore import disk, memory
from launcelot.filestore.interface import Entry, FileStore, Form, Look, Path, Tree, Withdrawn
from launcelot.filestore.limits import MODE_MASK

T = TypeVar("T")

ANN = AccountId("a1")
BEN = AccountId("b2")
TEAM = AccountId("t3")
ODD = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")


class Told:
    """A form that tells all there is to tell; ``f3`` is left out."""

    def __init__(self, bare: bool) -> None:
        self.bare = bare
        self.selects = True
        self.rights = ALL

    def fits(self, name: str) -> bool:
        """All but one."""
        return name != "f3"

    def of_entries(self, entries: Sequence[Entry]) -> bytes:
        """See :class:`launcelot.filestore.interface.Form`."""
        fit = [one for one in entries if self.fits(one.name)]
        told = [(one.name,) if self.bare else (one.name, one.is_folder, one.size, one.mode) for one in fit]
        return b"".join(repr(one).encode() + b"\n" for one in told)

    def of_names(self, names: Sequence[str]) -> bytes:
        """See :class:`launcelot.filestore.interface.Form`."""
        return b"".join(repr((name,)).encode() + b"\n" for name in names)

    def of_looks(self, names: Sequence[str], found: Sequence[Look]) -> bytes:
        """See :class:`launcelot.filestore.interface.Form`."""
        return self.of_entries(list(map(entry_seen, names, found)))


def entry_seen(name: str, look: Look) -> Entry:
    """As far as a look tells."""
    mode, _, size, second, nanosecond, _, _ = look
    folder = stat.S_ISDIR(mode)
    return Entry(name, folder, 0 if folder else size, second + 1e-9 * nanosecond, mode & MODE_MASK, "")


class Contract:
    """Mixed into a ``SynchronousTestCase`` that makes the store."""

    largest = 0
    store: FileStore

    def make_store(self) -> FileStore:
        """A new, empty store that asks ``self.now`` and ``self.ids``."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.seconds = 1_700_000_000.0
        self._ids = map("id{:018d}".format, itertools.count(1))
        self.store = self.make_store()
        self.tree: Tree = self.get(self.store.tree(ANN))

    def now(self) -> float:
        return self.seconds

    def ids(self) -> str:
        return next(self._ids)

    # -- small verbs ---------------------------------------------------------------------------------------------

    def get(self, waiting: Coroutine[Any, Any, T]) -> T:
        """The result of what must not wait."""
        assert isinstance(self, SynchronousTestCase)
        return self.successResultOf(Deferred.fromCoroutine(waiting))

    def refused(self, kind: type[Refusal], waiting: Coroutine[Any, Any, Any]) -> None:
        """It must be refused in this way."""
        assert isinstance(self, SynchronousTestCase)
        self.failureResultOf(Deferred.fromCoroutine(waiting), kind)

    def put(self, path: Path, *data: bytes, tree: Tree | None = None, **how: Any) -> Entry:
        """Upload and publish."""
        upload = self.get((tree or self.tree).upload(path, **how))
        for piece in data:
            self.get(upload.write(piece))
        return self.get(upload.publish())

    def cut(self, path: Path, *data: bytes, **how: Any) -> None:
        """Upload and give up."""
        upload = self.get(self.tree.upload(path, **how))
        for piece in data:
            self.get(upload.write(piece))
        self.get(upload.abandon())

    def content(self, path: Path, tree: Tree | None = None) -> bytes:
        """A file's octets."""

        async def read() -> bytes:
            reader = await (tree or self.tree).read(path)
            data = b""
            while piece := await reader.read(len(data), 7_000):
                data += piece
            await reader.close()
            await reader.close()
            return data

        return self.get(read())

    def names(self, path: Path = (), tree: Tree | None = None) -> list[str]:
        """What a folder holds, sorted."""
        return sorted(entry.name for entry in self.listed(path, tree))

    def listed(self, path: Path = (), tree: Tree | None = None) -> list[Entry]:
        """A folder's entries."""

        async def read() -> list[Entry]:
            return [entry async for batch in (tree or self.tree).entries(path) for entry in batch]

        return self.get(read())

    def folder(self, *path: str) -> Entry:
        """Make a folder."""
        return self.get(self.tree.make_folder(path))

    # -- looking -------------------------------------------------------------------------------------------------

    def test_new_tree_is_empty(self: Any) -> None:
        """A new account sees an empty root folder."""
        root = self.get(self.tree.entry(()))
        self.assertEqual((root.name, root.is_folder, root.size), ("", True, 0))
        self.assertEqual(self.names(), [])
        self.assertEqual(self.get(self.tree.usage()), 0)

    def test_accounts_do_not_see_each_other(self: Any) -> None:
        """Each account has a tree of its own, and the same one every time."""
        self.put(("x",), b"ann's")
        ben = self.get(self.store.tree(BEN))
        self.assertEqual(self.names((), ben), [])
        self.refused(NotFound, ben.read(("x",)))
        self.assertEqual(self.content(("x",), self.get(self.store.tree(ANN))), b"ann's")

    def test_missing_entries_are_not_found(self: Any) -> None:
        """Whatever is asked of a name that is not there is NotFound, a file on the way to it included."""
        self.put(("file",), b"x")
        for path in (("no",), ("no", "no"), ("file", "below")):
            self.refused(NotFound, self.tree.entry(path))
            self.refused(NotFound, self.tree.read(path))
            self.refused(NotFound, self.tree.remove(path))
            self.refused(NotFound, self.tree.remove_folder(path))
            self.refused(NotFound, self.tree.rename(path, ("other",)))
            self.refused(NotFound, self.tree.set_modified(path, 1.0))
            self.refused(NotFound, self.tree.set_mode(path, 0o600))
            self.refused(NotFound, self._first_batch(path))
        for path in (("no", "no"), ("file", "below")):
            self.refused(NotFound, self.tree.upload(path))
            self.refused(NotFound, self.tree.make_folder(path))
            self.refused(NotFound, self.tree.rename(("file",), path))
        self.refused(NotFound, self._first_batch(("file",)))

    async def _first_batch(self, path: Path) -> list[Entry]:
        async for batch in self.tree.entries(path):
            return batch
        return []

    def test_folders_refuse_what_files_allow(self: Any) -> None:
        """Reading, uploading over and removing a folder as a file are not permitted."""
        self.folder("d")
        self.refused(NotPermitted, self.tree.read(("d",)))
        self.refused(NotPermitted, self.tree.upload(("d",)))
        self.refused(NotPermitted, self.tree.remove(("d",)))
        for refused in (self.tree.read(()), self.tree.upload(()), self.tree.remove(()), self.tree.remove_folder(())):
            self.refused(NotPermitted, refused)
        self.refused(NotPermitted, self.tree.rename((), ("x",)))
        self.refused(NotPermitted, self.tree.rename(("d",), ()))
        self.refused(Exists, self.tree.make_folder(()))

    def test_entry_and_listing_tell_the_same(self: Any) -> None:
        """The entry of a file is the one its folder lists and its reader shows."""
        self.folder("d")
        published = self.put(("d", "f"), b"12345")
        self.assertEqual((published.name, published.is_folder, published.size), ("f", False, 5))
        self.assertEqual(self.listed(("d",)), [published])
        self.assertEqual(self.get(self.tree.entry(("d", "f"))), published)
        reader = self.get(self.tree.read(("d", "f")))
        self.assertEqual(reader.entry, published)
        self.get(reader.close())

    def test_small_folder_comes_by_name(self: Any) -> None:
        """As people look at it; whatever order its entries were made in."""
        self.folder("d")
        for name in ("c", "a", "Z", "b", "10", "9"):
            self.put(("d", name), b"x")
        self.assertEqual([entry.name for entry in self.listed(("d",))], ["10", "9", "Z", "a", "b", "c"])

    def test_large_folder_comes_in_batches(self: Any) -> None:
        """A folder of 600 entries is handed over in batches of at most 250, each entry once."""
        for number in range(600):
            self.put((f"f{number:03d}",), b"")

        async def sizes() -> list[int]:
            return [len(batch) async for batch in self.tree.entries(())]

        self.assertLessEqual(max(self.get(sizes())), 250)
        self.assertEqual(self.names(), [f"f{number:03d}" for number in range(600)])

    def test_names_that_are_not_utf8_survive(self: Any) -> None:
        """Undecodable octets, blanks, quotes and line ends in names come back as they went in."""
        for name in (ODD, "caf\u00e9", ' a "b" ', "line\r\nend", "*", "-la", "\x1b[m", "x" * 255):
            self.put((name,), name.encode("utf-8", "surrogateescape"))
            self.assertEqual(self.content((name,)), name.encode("utf-8", "surrogateescape"))
            self.assertEqual(self.names(), [name])
            self.get(self.tree.remove((name,)))

    def test_lines(self: Any) -> None:
        """What a folder holds is put into a form, whole, however many entries there are; names that do not fit are left out."""
        self.folder("many")
        for number in range(30):
            self.put(("many", f"f{number}"), b"x" * number)
        self.folder("many", "below")
        for module in (disk, memory):
            for name, value in (("LINES", 7), ("BATCH", 7)):
                if hasattr(module, name):
                    self.patch(module, name, value)
        for bare in (True, False):
            form = Told(bare)
            wanted = sorted(form.of_entries(self.listed(("many",))).splitlines(True))
            self.assertEqual(sorted(self.lines(("many",), form).splitlines(True)), wanted)
            self.assertEqual(len(wanted), 30)
            self.assertEqual(self.lines((), form), form.of_entries(self.listed()))
            self.assertEqual(self.lines(("many", "below"), form), b"")
            for path in (("missing",), ("many", "f1")):
                self.refused(NotFound, self._first_lines(path, form))

    def lines(self, path: Path, form: Form) -> bytes:
        """A folder in a form."""

        async def read() -> bytes:
            return b"".join([lines async for lines in self.tree.lines(path, form)])

        return self.get(read())

    async def _first_lines(self, path: Path, form: Form) -> bytes:
        async for lines in self.tree.lines(path, form):
            return lines
        return b""

    def test_unique_follows_the_file_not_the_name(self: Any) -> None:
        """An entry keeps its unique value when renamed; another file never has it at the same time."""
        first = self.put(("a",), b"1")
        second = self.put(("b",), b"2")
        self.get(self.tree.rename(("a",), ("c",)))
        self.assertEqual(self.get(self.tree.entry(("c",))).unique, first.unique)
        self.assertNotEqual(first.unique, second.unique)

    # -- receiving -----------------------------------------------------------------------------------------------

    def test_upload_is_seen_only_when_published(self: Any) -> None:
        """Nobody sees a file before it is published, and then sees all of it."""
        upload = self.get(self.tree.upload(("f",)))
        self.get(upload.write(b"one "))
        self.get(upload.write(b"two"))
        self.assertEqual((upload.offset, upload.name), (7, "f"))
        self.assertEqual(self.names(), [])
        self.get(upload.publish())
        self.assertEqual(self.content(("f",)), b"one two")
        self.assertEqual(self.get(self.tree.usage()), 7)

    def test_empty_file_can_be_published(self: Any) -> None:
        """An upload without a single octet makes an empty file."""
        self.assertEqual(self.put(("f",)).size, 0)
        self.assertEqual(self.content(("f",)), b"")

    def test_many_and_large_pieces_are_kept_in_order(self: Any) -> None:
        """Pieces smaller and larger than the store's own are put together right."""
        pieces = [bytes([number % 251]) * (number * 97 % 3_000) for number in range(200)] + [bytes(range(256)) * 3_000]
        self.put(("f",), *pieces)
        self.assertEqual(self.content(("f",)), b"".join(pieces))

    def test_abandoned_upload_leaves_the_target(self: Any) -> None:
        """Giving up after any number of pieces leaves the old file, whole."""
        self.put(("f",), b"old")
        self.cut(("f",), b"new and longer")
        self.assertEqual(self.content(("f",)), b"old")
        self.assertEqual(self.names(), ["f"])

    def test_cut_at_any_point_shows_old_or_new(self: Any) -> None:
        """Whatever number of octets came before the cut, the target is the old file; after publishing the new one."""
        new = b"0123456789"
        self.put(("f",), b"old")
        for cut in range(len(new) + 1):
            upload = self.get(self.tree.upload(("f",)))
            for position in range(cut):
                self.get(upload.write(new[position : position + 1]))
                self.assertEqual(self.content(("f",)), b"old")
            self.get(upload.abandon())
            self.get(upload.abandon())
            self.assertEqual(self.content(("f",)), b"old")
        self.put(("f",), new)
        self.assertEqual(self.content(("f",)), new)

    def test_withdrawn_upload_is_not_published(self: Any) -> None:
        """What nobody wants any more when it is durable stays out of sight, and can be continued."""
        self.put(("f",), b"old")
        upload = self.get(self.tree.upload(("f",)))
        self.get(upload.write(b"new and long"))
        self.refused(Withdrawn, upload.publish(lambda: False))
        self.assertEqual(self.content(("f",)), b"old")
        self.get(upload.abandon())
        again = self.get(self.tree.upload(("f",), offset=len(b"new and long")))
        self.get(again.publish())
        self.assertEqual(self.content(("f",)), b"new and long")

    def test_abandon_after_publish_changes_nothing(self: Any) -> None:
        """A published upload cannot be taken back."""
        upload = self.get(self.tree.upload(("f",)))
        self.get(upload.write(b"kept"))
        self.get(upload.publish())
        self.get(upload.abandon())
        self.assertEqual(self.content(("f",)), b"kept")
        self.assertEqual(self.get(self.tree.usage()), 4)

    def test_abandoned_upload_can_be_continued(self: Any) -> None:
        """An upload goes on at any offset within what was received, even with an older file in place."""
        self.put(("f",), b"older")
        self.cut(("f",), b"0123456")
        self.put(("f",), b"xyz", offset=6)
        self.assertEqual(self.content(("f",)), b"012345xyz")

    def test_what_is_kept_can_be_asked(self: Any) -> None:
        """How much an abandoned upload left is told, and is nothing before one, behind a published one, and for other names."""
        self.assertEqual(self.get(self.tree.kept(("f",))), 0)
        self.cut(("f",), b"0123456")
        self.assertEqual((self.get(self.tree.kept(("f",))), self.get(self.tree.kept(("g",)))), (7, 0))
        self.put(("f",), b"xyz", offset=7)
        self.assertEqual(self.get(self.tree.kept(("f",))), 0)

    def test_continued_upload_can_be_cut_again(self: Any) -> None:
        """A second cut keeps what both attempts received."""
        self.cut(("f",), b"0123")
        self.cut(("f",), b"4567", offset=4)
        self.assertEqual(self.get(self.tree.kept(("f",))), 8)
        self.put(("f",), b"89", offset=8)
        self.assertEqual(self.content(("f",)), b"0123456789")

    def test_target_can_be_continued(self: Any) -> None:
        """Without an abandoned upload the target's octets are kept; past their end the offset is refused."""
        self.put(("f",), b"0123456789")
        self.put(("f",), b"ab", offset=4)
        self.assertEqual(self.content(("f",)), b"0123ab")
        self.refused(Invalid, self.tree.upload(("f",), offset=7))
        self.refused(Invalid, self.tree.upload(("new",), offset=1))
        self.assertEqual(self.content(("f",)), b"0123ab")

    def test_new_upload_forgets_the_abandoned_one(self: Any) -> None:
        """Starting over drops what an earlier attempt left."""
        self.cut(("f",), b"0123456")
        self.cut(("f",))
        self.refused(Invalid, self.tree.upload(("f",), offset=3))

    def test_append_adds_to_the_target(self: Any) -> None:
        """Appending keeps all the target's octets and works without a target; a cut changes nothing."""
        self.put(("f",), b"one", append=True)
        self.put(("f",), b" two", append=True)
        self.cut(("f",), b" three", append=True)
        self.assertEqual(self.content(("f",)), b"one two")
        self.assertEqual(self.get(self.tree.usage()), 7)

    def test_unique_upload_never_replaces(self: Any) -> None:
        """A taken name is made unique; the name is said before the first octet and kept."""
        self.assertEqual(self.put(("f",), b"1", unique=True).name, "f")
        upload = self.get(self.tree.upload(("f",), unique=True))
        self.get(upload.write(b"2"))
        entry = self.get(upload.publish())
        self.assertEqual(entry.name, upload.name)
        self.assertNotEqual(entry.name, "f")
        self.assertEqual((self.content(("f",)), self.content((entry.name,))), (b"1", b"2"))

    def test_unique_upload_gives_way_to_a_later_name(self: Any) -> None:
        """If the name is taken while the octets come, both files are kept."""
        upload = self.get(self.tree.upload(("f",), unique=True))
        self.put(("f",), b"quick")
        self.get(upload.write(b"slow"))
        entry = self.get(upload.publish())
        self.assertEqual((self.content(("f",)), self.content((entry.name,))), (b"quick", b"slow"))

    def test_long_unique_name_stays_legal(self: Any) -> None:
        """A taken name of 255 octets still gets a unique sibling."""
        for name in ("x" * 255, "\u20ac" * 85):
            self.put((name,), b"1", unique=True)
            entry = self.put((name,), b"2", unique=True)
            self.assertLessEqual(len(entry.name.encode()), 255)
            self.assertEqual(self.content((entry.name,)), b"2")

    def test_digest_is_of_the_octets(self: Any) -> None:
        """However a file came about and was changed, its SHA-256 is that of its octets, asked once and again."""
        self.put(("f",), b"one")
        self.is_digest(b"one")
        self.put(("f",), b" two", append=True)
        self.is_digest(b"one two")
        self.put(("f",), b"!", offset=3)
        self.is_digest(b"one!")
        self.cut(("f",), b"0123456")
        self.is_digest(b"one!")
        self.put(("f",), b"89", offset=7)
        self.is_digest(b"012345689")
        self.get(self.tree.set_modified(("f",), 5.0))
        self.get(self.tree.set_mode(("f",), 0o600))
        self.is_digest(b"012345689")
        self.put(("g",), b"other")
        self.get(self.tree.rename(("g",), ("f",)))
        self.is_digest(b"other")
        self.put(("f",))
        self.is_digest(b"")
        large = bytes(range(256)) * 5_000
        self.put(("f",), large)
        self.is_digest(large)

    def is_digest(self, data: bytes) -> None:
        """Ask for it twice."""

        async def ask() -> bytes:
            reader = await self.tree.read(("f",))
            digest = await reader.sha256()
            await reader.close()
            return digest

        wanted = hashlib.sha256(data).digest()
        self.assertEqual((self.get(ask()), self.get(ask())), (wanted, wanted))  # type: ignore[attr-defined]

    def test_two_uploads_to_one_name(self: Any) -> None:
        """The one that is published last wins, whole; the octets of both are counted right."""
        first, second = self.get(self.tree.upload(("f",))), self.get(self.tree.upload(("f",)))
        self.get(first.write(b"first"))
        self.get(second.write(b"2nd"))
        self.get(first.publish())
        self.get(second.publish())
        self.assertEqual(self.content(("f",)), b"2nd")
        self.assertEqual(self.get(self.tree.usage()), 3)

    def test_reader_keeps_what_it_opened(self: Any) -> None:
        """A file replaced or removed while it is read is read to its end as it was."""
        self.put(("f",), b"a" * 300_000)
        reader = self.get(self.tree.read(("f",)))
        self.assertEqual(self.get(reader.read(0, 10)), b"a" * 10)
        self.put(("f",), b"b" * 300_000)
        self.assertEqual(self.get(reader.read(299_990, 100)), b"a" * 10)
        self.get(self.tree.remove(("f",)))
        self.assertEqual(self.get(reader.read(150_000, 5)), b"a" * 5)
        self.assertEqual(self.get(reader.read(300_000, 5)), b"")
        self.get(reader.close())

    def test_parent_removed_during_upload(self: Any) -> None:
        """Publishing into a folder that is gone is NotFound and leaves nothing."""
        self.folder("d")
        upload = self.get(self.tree.upload(("d", "f")))
        self.get(upload.write(b"x"))
        self.get(self.tree.remove_folder(("d",)))
        self.refused(NotFound, upload.publish())
        self.get(upload.abandon())
        self.assertEqual(self.names(), [])

    def test_folder_made_in_place_of_the_target(self: Any) -> None:
        """Publishing over a folder that has appeared is not permitted."""
        upload = self.get(self.tree.upload(("f",)))
        self.folder("f")
        self.refused(NotPermitted, upload.publish())
        self.get(upload.abandon())

    # -- limits --------------------------------------------------------------------------------------------------

    def test_quota_is_checked_before_octets_are_taken(self: Any) -> None:
        """Octets past the quota are refused, those before stay; usage counts published files only."""
        tree = self.get(self.store.tree(ANN, 10))
        self.put(("f",), b"123456", tree=tree)
        upload = self.get(tree.upload(("g",)))
        self.get(upload.write(b"1234"))
        self.assertEqual(self.get(tree.usage()), 6)
        self.assertEqual(self.get(tree.available()), 0)
        self.refused(OverQuota, upload.write(b"5"))
        self.get(upload.abandon())
        self.refused(OverQuota, self.get(tree.upload(("h",))).write(b"12345"))

    def test_uploads_at_once_share_the_quota(self: Any) -> None:
        """Two uploads cannot both have the last octets."""
        tree = self.get(self.store.tree(ANN, 10))
        first, second = self.get(tree.upload(("f",))), self.get(tree.upload(("g",)))
        self.get(first.write(b"123456"))
        self.refused(OverQuota, second.write(b"12345"))
        self.get(second.write(b"1234"))
        self.get(first.publish())
        self.get(second.publish())
        self.assertEqual(self.get(tree.usage()), 10)

    def test_full_account_can_replace_a_file(self: Any) -> None:
        """A file is replaced by one of its own size although the account is full."""
        tree = self.get(self.store.tree(ANN, 10))
        self.put(("f",), b"0123456789", tree=tree)
        self.put(("f",), b"abcdefghij", tree=tree)
        self.refused(OverQuota, self.get(tree.upload(("f",))).write(b"x" * 11))
        self.assertEqual(self.content(("f",), tree), b"abcdefghij")

    def test_two_replacements_do_not_pass_the_quota(self: Any) -> None:
        """Two uploads that count on replacing the same file are checked again when published."""
        tree = self.get(self.store.tree(ANN, 10))
        self.put(("f",), b"0123456789", tree=tree)
        upload = self.get(tree.upload(("f",)))
        self.get(upload.write(b"abcdefghij"))
        self.get(tree.rename(("f",), ("g",)))
        self.refused(OverQuota, upload.publish())
        self.get(upload.abandon())
        self.assertEqual(self.get(tree.usage()), 10)

    def test_abandoned_octets_count_until_reaped(self: Any) -> None:
        """What is kept for continuing counts against the quota, and no longer when it is reaped."""
        tree = self.get(self.store.tree(ANN, 10))
        self.tree = tree
        self.cut(("f",), b"123456")
        self.assertEqual(self.get(tree.available()), 4)
        self.put(("f",), b"7890", offset=6, tree=tree)
        self.assertEqual(self.get(tree.available()), 0)
        self.get(tree.remove(("f",)))
        self.cut(("g",), b"1234567")
        self.assertEqual(self.get(self.store.reap(self.seconds + 1e9)), 1)
        self.assertEqual(self.get(tree.available()), 10)

    def test_reap_spares_the_young_and_the_running(self: Any) -> None:
        """Only abandoned uploads older than asked for are dropped; one under way never is."""
        running = self.get(self.tree.upload(("r",)))
        self.get(running.write(b"abc"))
        self.cut(("f",), b"0123")
        self.assertEqual(self.get(self.store.reap(self.seconds - 1e9)), 0)
        self.put(("f",), b"x", offset=4)
        self.cut(("g",), b"0123")
        self.assertEqual(self.get(self.store.reap(self.seconds + 1e9)), 1)
        self.refused(Invalid, self.tree.upload(("g",), offset=1))
        self.get(running.publish())
        self.assertEqual(self.content(("r",)), b"abc")

    def test_largest_file(self: Any) -> None:
        """A file past the largest size allowed is refused."""
        self.largest = 10
        tree = self.get(self.make_store().tree(ANN))
        upload = self.get(tree.upload(("f",)))
        self.get(upload.write(b"0123456789"))
        self.refused(TooLarge, upload.write(b"x"))
        self.get(upload.abandon())

    # -- shared by several ---------------------------------------------------------------------------------------

    def test_abandoned_uploads_are_their_uploaders(self: Any) -> None:
        """In a tree that several share each goes on with what they left themselves, to the same name at the same time."""
        ours = {who: self.get(self.store.tree(TEAM, 100, who)) for who in (ANN, BEN)}
        for who, data in ((ANN, b"ann's"), (BEN, b"by ben")):
            self.tree = ours[who]
            self.cut(("f",), data)
        self.assertEqual([self.get(ours[who].kept(("f",))) for who in (ANN, BEN)], [5, 6])
        self.assertEqual(self.get(ours[ANN].available()), 89)
        self.put(("f",), b" file", offset=5, tree=ours[ANN])
        self.assertEqual(self.content(("f",), ours[BEN]), b"ann's file")
        self.assertEqual([self.get(ours[who].kept(("f",))) for who in (ANN, BEN)], [0, 6])
        self.put(("f",), b"!", offset=6, tree=ours[BEN])
        self.assertEqual(self.content(("f",), ours[ANN]), b"by ben!")
        self.assertEqual(self.get(ours[ANN].available()), 93)

    def test_nothing_beside_a_shared_tree_counts(self: Any) -> None:
        """What an account has beside its files counts for its own tree alone."""

        asked: list[AccountId] = []

        async def beside(account: AccountId) -> int:
            asked.append(account)
            return 40

        store: Any = self.store
        store.beside = beside
        shared = self.get(self.store.tree(TEAM, 100, ANN))
        self.put(("f",), b"123", tree=shared)
        self.assertEqual((self.get(shared.available()), asked), (97, []))
        self.assertEqual(self.get(self.get(self.store.tree(ANN, 100)).available()), 60)

    def test_publishing_is_told_what_it_replaces(self: Any) -> None:
        """Who publishes decides by what is there at that moment, not by what was there when the upload began."""
        upload = self.get(self.tree.upload(("f",)))
        self.get(upload.write(b"late"))
        there = self.put(("f",), b"early")
        told: list[Entry | None] = []

        def refuse(replaced: Entry | None) -> None:
            told.append(replaced)
            if replaced is not None:
                raise NotPermitted("not that")

        self.refused(NotPermitted, upload.publish(admit=refuse))
        self.get(upload.abandon())
        self.assertEqual((told, self.content(("f",))), ([there], b"early"))
        self.assertEqual((self.get(self.tree.kept(("f",))), self.get(self.tree.usage())), (0, 5))
        upload = self.get(self.tree.upload(("g",)))
        self.get(upload.publish(admit=refuse))
        self.assertEqual((told[1:], self.names()), ([None], ["f", "g"]))
        upload = self.get(self.tree.upload(("g",), unique=True))
        self.get(upload.publish(admit=refuse))
        self.assertEqual(told[2:], [None])

    def test_rename_that_may_not_replace(self: Any) -> None:
        """A file that is there stays; a free name is taken, and the own one is no other's."""
        self.put(("f",), b"1")
        self.put(("g",), b"22")
        self.refused(Exists, self.tree.rename(("f",), ("g",), replace=False))
        self.assertEqual((self.content(("f",)), self.content(("g",))), (b"1", b"22"))
        self.get(self.tree.rename(("f",), ("f",), replace=False))
        self.get(self.tree.rename(("f",), ("h",), replace=False))
        self.assertEqual(self.names(), ["g", "h"])

    # -- changing ------------------------------------------------------------------------------------------------

    def test_folders_are_made_and_removed(self: Any) -> None:
        """A folder is made once, holds things and goes only when it is empty."""
        made = self.folder("d")
        self.assertEqual((made.name, made.is_folder, made.size), ("d", True, 0))
        self.refused(Exists, self.tree.make_folder(("d",)))
        self.put(("d", "f"), b"x")
        self.refused(Exists, self.tree.make_folder(("d", "f")))
        self.refused(NotPermitted, self.tree.remove_folder(("d",)))
        self.refused(NotPermitted, self.tree.remove_folder(("d", "f")))
        self.get(self.tree.remove(("d", "f")))
        self.get(self.tree.remove_folder(("d",)))
        self.assertEqual(self.names(), [])

    def test_rename_moves_files_and_folders(self: Any) -> None:
        """Files and folders move with what is in them; a file may replace a file, and the octets are counted right."""
        self.folder("d")
        self.put(("d", "f"), b"123")
        self.get(self.tree.rename(("d",), ("e",)))
        self.assertEqual(self.content(("e", "f")), b"123")
        self.put(("g",), b"45678")
        self.get(self.tree.rename(("g",), ("e", "f")))
        self.assertEqual(self.content(("e", "f")), b"45678")
        self.assertEqual(self.names(), ["e"])
        self.assertEqual(self.get(self.tree.usage()), 5)

    def test_rename_refuses_to_lose_or_loop(self: Any) -> None:
        """A folder is never replaced, never moves below itself, and never replaces a file."""
        self.folder("d")
        self.folder("d", "e")
        self.folder("x")
        self.put(("f",), b"1")
        self.refused(Exists, self.tree.rename(("f",), ("d",)))
        self.refused(Exists, self.tree.rename(("x",), ("d",)))
        self.refused(Exists, self.tree.rename(("x",), ("f",)))
        self.refused(NotPermitted, self.tree.rename(("d",), ("d", "e", "g")))
        self.assertEqual(self.names(), ["d", "f", "x"])

    def test_rename_to_itself_changes_nothing(self: Any) -> None:
        """A file renamed to its own name is still there and counted once."""
        self.put(("f",), b"123")
        self.get(self.tree.rename(("f",), ("f",)))
        self.assertEqual(self.content(("f",)), b"123")
        self.assertEqual(self.get(self.tree.usage()), 3)

    def test_modified_and_mode_are_set(self: Any) -> None:
        """The time of change and the permission bits can be set; other bits are masked off; folders too."""
        self.put(("f",), b"1")
        self.folder("d")
        self.assertEqual(self.get(self.tree.set_modified(("f",), 86_400.5)).modified, 86_400.5)
        self.assertEqual(self.get(self.tree.set_mode(("f",), 0o6640)).mode, 0o640)
        self.assertEqual(self.get(self.tree.set_modified(("d",), 5.0)).modified, 5.0)
        entry = self.get(self.tree.entry(("f",)))
        self.assertEqual((entry.modified, entry.mode), (86_400.5, 0o640))

    def test_usage_follows_removal(self: Any) -> None:
        """Removing gives octets back."""
        self.put(("f",), b"12345")
        self.put(("g",), b"678")
        self.get(self.tree.remove(("f",)))
        self.assertEqual(self.get(self.tree.usage()), 3)

    def test_removed_account_is_gone(self: Any) -> None:
        """After removal the account has an empty tree; removing one that never was is fine."""
        self.put(("f",), b"1")
        self.get(self.store.remove(ANN))
        self.get(self.store.remove(BEN))
        tree = self.get(self.store.tree(ANN))
        self.assertEqual(self.names((), tree), [])
        self.assertEqual(self.get(tree.usage()), 0)
