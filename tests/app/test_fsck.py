"""``launcelot fsck``: each kind of damage is found, told, and mended."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from launcelot.accounts.interface import Account
from launcelot.accounts.sqlite import SqliteDirectory
from launcelot.app.care import account_of
from launcelot.app.configuration import configuration_for
from launcelot.app.folder import DataFolder
from launcelot.app.stores import build_mail, open_accounts, run_now
from launcelot.mailstore import bodies
from launcelot.mailstore.interface import AccountMail, StoreMode
from launcelot.mailstore.schema import CHUNK
from launcelot.workers.memory import InlineWorkers
from tests.app.test_command import CommandCase
from tests.mailstore.kit import all_messages, check_counters, message, uids_of
from tests.mailstore.test_migrations import STATES, old_file

DATE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLACE = "(SELECT number FROM mailboxes WHERE name = 'Other/Place')"


class CareCase(CommandCase):
    """Has an account ``ann`` with mail, on disk, and nobody who serves it."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.assertEqual(self.on_data("account", "add", "ann", said="secret\n"), 0)
        self.configuration = configuration_for(None, str(self.data))
        self.account = self.account_named("ann")
        self.path = self.data / "mail" / self.account.id / "mail.db"

    def account_named(self, name: str) -> Account:
        """An account."""

        async def run() -> Account:
            directory = await open_accounts(self.configuration)
            try:
                return await directory.account(name)
            finally:
                await directory.close()

        return run_now(run())

    def with_mail(self, job: Callable[[AccountMail], Any], account: Account | None = None) -> Any:
        """What a coroutine function makes of an account's mail."""

        async def run() -> Any:
            store = build_mail(self.configuration, [InlineWorkers()], InlineWorkers())
            try:
                return await job(await store.mail((account or self.account).id))
            finally:
                await store.close()

        return run_now(run())

    def fill(self) -> None:
        """Three messages in INBOX, copies of two in another mailbox, one removed."""

        async def job(mail: AccountMail) -> None:
            box = await mail.mailbox("INBOX")
            for number in range(4):
                body = message(f"number {number}", "x" * (CHUNK if number == 2 else 100) + "\r\n")
                await box.append(body, ["\\Seen", "$word"] if number else ["\\Deleted"], DATE)
            await mail.create("Other/Place")
            await box.copy([1, 2], "Other/Place")
            await box.remove([4])
            await mail.subscribe("Other/Place")

        self.with_mail(job)

    def change(self, *statements: str, values: tuple[Any, ...] = ()) -> None:
        """Damage the file with SQL."""
        connection = sqlite3.connect(self.path)
        with connection:
            for statement in statements:
                connection.execute(statement, values)
        connection.close()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the file holds."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def state(self) -> Any:
        """Everything of the account, with its counters checked."""

        async def job(mail: AccountMail) -> Any:
            seen: dict[str, Any] = {}
            for info in await mail.mailboxes():
                if info.selectable:
                    box = await mail.mailbox(info.name)
                    await check_counters(box)
                    messages = await all_messages(box, await uids_of(box))
                    seen[info.name] = [
                        (one.uid, sorted(one.flags), one.internal_date, await box.read(one.uid, 0, one.size)) for one in messages
                    ]
            return seen

        return self.with_mail(job)


class FsckCase(CareCase):
    """
    Has mail that is right.

    :ivar large: octets past which a body goes into a file; here all are in the mail file.
    """

    large = 1 << 40

    def setUp(self) -> None:
        """Fill the account."""
        super().setUp()
        self.patch(bodies, "LARGE", self.large)
        self.fill()
        self.right = self.state()

    def found(self, *arguments: str, status: int) -> list[str]:
        """What fsck finds."""
        self.assertEqual(self.on_data("fsck", "--json", *arguments), status, self.output + self.errors)
        answer = self.answer()
        (one,) = answer["accounts"]
        self.assertEqual(one["right"], status == 0)
        return [f"{finding['kind']}: {finding['text']}" for finding in one["findings"]]

    def assert_mended(self, *findings: str) -> None:
        """It is found without being changed, then mended, then no longer found."""
        found = self.found(status=1)
        for finding in findings:
            self.assertTrue(any(finding in one for one in found), found)
        self.assertEqual(self.found(status=1), found)
        self.found("--repair", status=0)
        self.assertEqual(self.found(status=0), [])


class MendedTests(FsckCase):
    """Damage of which nothing is left."""

    def test_a_file_that_is_right(self) -> None:
        """Nothing is found, and it is said how much was looked at."""
        before = self.path.read_bytes()
        self.assertEqual(self.found(status=0), [])
        self.assertEqual(self.found("--repair", "ANN", status=0), [])
        self.assertEqual(self.path.read_bytes()[100:], before[100:])
        self.assertEqual(self.on_data("fsck"), 0)
        self.assertIn("ann: 3 messages, 256.3 KiB, right", self.output)

    def test_a_flipped_bit_in_a_body(self) -> None:
        """Any one bit is flipped back, and everything is as it was."""
        for content, place, bit in ((1, 3, 0), (2, 120, 7), (3, CHUNK // 2, 4), (3, CHUNK + 5, 1)):
            number = content << 20 | place // CHUNK
            ((octets,),) = self.rows(f"SELECT octets FROM chunks WHERE number = {number}")
            flipped = bytearray(octets)
            flipped[place % CHUNK] ^= 1 << bit
            self.change(f"UPDATE chunks SET octets = ? WHERE number = {number}", values=(bytes(flipped),))
            self.assert_mended(f"octets: content {content}: a flipped bit in")
            self.assertEqual(self.state(), self.right)

    def test_stored_answers_that_are_not_those_of_the_parser(self) -> None:
        """ENVELOPE, BODYSTRUCTURE, sort keys and all else that comes from the octets."""
        self.change("UPDATE contents SET envelope = x'00', subject = 'y' WHERE number = 1")
        self.change("UPDATE contents SET body_structure = x'', sent_day = 3, size = size + 1 WHERE number = 2")
        self.assert_mended(
            "octets: content 1: envelope, subject not as", "octets: content 2: size, sent_day, body_structure not as"
        )
        self.assertEqual(self.state(), self.right)

    def test_wrong_counters(self) -> None:
        """Of mailboxes, of the account, and of the uses of a content."""
        self.change(
            "UPDATE mailboxes SET messages = 7, unseen = 9, deleted = 3, size = 1 WHERE name = 'INBOX'",
            "UPDATE account SET octets = 5, messages = 1", "UPDATE contents SET uses = 1 WHERE number = 2",
        )  # fmt: skip
        self.assert_mended(
            "counter: messages of INBOX is 3, not 7", "counter: unseen of INBOX is 1, not 9",
            "counter: deleted of INBOX is 1, not 3",
            "counter: uses of content 2 are 2, not 1", "counter: messages of the account is 5, not 1",
        )  # fmt: skip
        self.assertEqual(self.state(), self.right)

    def test_numbers_that_would_give_a_uid_or_modseq_twice(self) -> None:
        """UIDNEXT, HIGHESTMODSEQ and UIDVALIDITY are put above what there is and was."""
        self.change("UPDATE mailboxes SET uid_next = 1, modseq = 1, recent_from = 9", "UPDATE account SET uid_validity = 1")
        self.change("INSERT INTO expunged SELECT 1, 99, 2")
        self.assert_mended(
            "number: UIDNEXT of INBOX", "number: UIDNEXT of Other/Place", "number: HIGHESTMODSEQ of INBOX",
            "number: UIDVALIDITY of the account", "number: 1 messages that are there",
        )  # fmt: skip
        self.assertEqual(self.rows("SELECT uid_next FROM mailboxes WHERE name IN ('INBOX', 'Other/Place')"), [(5,), (3,)])
        self.assertEqual(self.rows("SELECT modseq FROM mailboxes WHERE name = 'INBOX'"), [(99,)])
        self.assertEqual(self.state(), self.right)

    def test_missing_indexes_tables_and_columns(self) -> None:
        """They are made anew; what they held is, where it comes from elsewhere."""
        self.change(
            "DROP INDEX annotations_by_change", "DROP TABLE expunged", "DROP TABLE upkeep",
            "ALTER TABLE contents DROP COLUMN envelope",
            "ALTER TABLE contents DROP COLUMN checksum", "ALTER TABLE mailboxes DROP COLUMN unseen",
        )  # fmt: skip
        found = self.found(status=1)
        self.assertEqual(len(found), 6)
        self.found("--repair", status=0)
        self.assertEqual(self.found(status=0), [])
        self.assertEqual(self.state(), self.right)
        self.assertNotIn((b"",), self.rows("SELECT envelope FROM contents"))

    def test_an_index_that_lacks_rows(self) -> None:
        """It is made anew from its table."""
        self.change("INSERT INTO annotations VALUES (1, '', '/shared/comment', 1, x'61')")
        name = "annotations_by_change"
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(f"UPDATE sqlite_master SET sql = sql || ' WHERE change > 99' WHERE name = '{name}'")
        connection.execute("PRAGMA writable_schema=RESET")
        connection.execute(f"REINDEX {name}")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(f"UPDATE sqlite_master SET sql = replace(sql, ' WHERE change > 99', '') WHERE name = '{name}'")
        connection.close()
        self.assert_mended(f"structure: row 1 missing from index {name}")
        self.assertEqual(self.state(), self.right)

    def test_flags_that_are_counted_wrong(self) -> None:
        """Of a block, and its highest MODSEQ, by which changes are found."""
        self.change("UPDATE states SET unseen = 3, modseq = 1 WHERE mailbox = 1")
        self.change(f"UPDATE states SET deleted = 9 WHERE mailbox = {PLACE}")
        self.assert_mended("flags: 1 blocks of INBOX are counted wrong", "flags: 1 blocks of Other/Place are counted wrong")
        self.assertEqual(self.state(), self.right)

    def test_flags_of_what_is_not_there(self) -> None:
        """Of a message, of a block, of a mailbox: they are removed."""
        ((flags,),) = self.rows(f"SELECT flags FROM states WHERE mailbox = {PLACE}")
        self.change(f"UPDATE states SET flags = ? WHERE mailbox = {PLACE}", values=(flags + b"\x88",))
        self.change(f"UPDATE states SET keywords = x'', modseqs = x'' WHERE mailbox = {PLACE}")
        self.change("INSERT INTO states VALUES (1, 7, 1, 0, 1, 1, x'80', x'', x''), (77, 0, 1, 0, 1, 1, x'80', x'', x'')")
        self.assert_mended("blocks of INBOX have messages", "blocks of Other/Place have messages", "1 rows of states")
        self.assertEqual(self.rows(f"SELECT mailbox - {PLACE}, block FROM states WHERE mailbox > 1 OR block > 0"), [(0, 0)])
        self.assertEqual([one[0] for one in self.state()["Other/Place"]], [1, 2])

    def test_octets_that_are_marked_as_text(self) -> None:
        """A flipped bit in the row's head; the store would break on them."""
        self.change("UPDATE chunks SET octets = CAST(octets AS TEXT) WHERE number = 2 << 20")
        self.assert_mended("octets: 1 pieces of octets are marked as something else")
        self.change("UPDATE states SET flags = CAST(flags AS TEXT) WHERE mailbox = 1")
        self.assert_mended("flags: 1 blocks of INBOX are marked as something else")
        self.assertEqual(self.state(), self.right)

    def test_rows_of_no_mailbox_and_octets_of_no_message(self) -> None:
        """They are removed."""
        self.change(
            "INSERT INTO chunks VALUES (99 << 20, x'00')", "INSERT INTO keywords VALUES (77, 0, 'x')",
            "INSERT INTO expunged VALUES (77, 1, 1)", "INSERT INTO grants VALUES (77, 'bob', 'l')",
        )  # fmt: skip
        self.assert_mended(
            "orphan: 1 pieces of octets", "stray: 1 rows of keywords", "stray: 1 rows of expunged", "stray: 1 rows of grants"
        )
        self.assertEqual(self.state(), self.right)

    def test_a_keyword_without_its_name(self) -> None:
        """It gets one, so that the messages that have it can be told apart still."""
        self.change("DELETE FROM keywords WHERE mailbox = 1")
        self.assert_mended("keyword: a keyword of INBOX has no name")
        self.assertEqual(self.state()["INBOX"][1][1], ["$Unnamed0", "\\Seen"])

    def test_sizes_and_days_of_messages(self) -> None:
        """They are what the content and the date say."""
        self.change("UPDATE messages SET size = 7, internal_day = 9 WHERE uid = 1")
        self.assert_mended("2 messages have another size", "2 messages have a day")
        self.assertEqual(self.state(), self.right)

    def test_checksums_of_an_older_file(self) -> None:
        """They are made when the file is first mended."""
        self.change("UPDATE contents SET checksum = NULL")
        self.assert_mended("checksum: 3 contents")

    def test_a_text_index_that_is_not_what_it_says(self) -> None:
        """It is emptied; the next quiet moment makes it anew, and searches are right meanwhile."""
        self.assertEqual(self.on_data("fsck", "--reindex"), 0)
        self.assertEqual(self.rows("SELECT indexed_to, indexed FROM upkeep"), [(3, 3)])
        self.change("UPDATE texts_data SET block = x'0000' WHERE id <> 1")
        self.assert_mended("index: the text index")
        self.assertEqual(self.on_data("fsck", "--reindex"), 0)
        self.change("UPDATE texts_content SET c0 = replace(c0, 'number 1', 'nunber 1')")
        self.assert_mended("index: the text index does not have what messages say")
        self.assertEqual(self.on_data("fsck", "--reindex"), 0)
        self.change("DELETE FROM words_data WHERE id > 10")
        self.assert_mended("index: the text index")
        self.assertEqual(self.on_data("fsck", "--reindex"), 0)
        self.change("UPDATE upkeep SET indexed_to = 100")
        self.assert_mended("index: the text index")


class LostTests(FsckCase):
    """Damage of which something is left."""

    def test_a_body_with_more_than_one_bit_flipped(self) -> None:
        """It goes on under a new UID, with its flags and date, in each of its mailboxes."""
        replaced = "CAST(replace(octets, x'78787878', x'79797979') AS BLOB)"
        self.change(f"UPDATE chunks SET octets = {replaced} WHERE number = 2 << 20")
        found = self.found(status=1)
        self.assertEqual(found, ["octets: content 2: octets are not those that were stored"])
        self.found("--repair", status=0)
        self.assertEqual(self.found(status=0), [])
        after = self.state()
        self.assertEqual([one[0] for one in after["INBOX"]], [1, 3, 5])
        self.assertEqual([one[0] for one in after["Other/Place"]], [1, 3])
        self.assertEqual(after["INBOX"][2][1:3], self.right["INBOX"][1][1:3])
        self.assertEqual(after["INBOX"][2][3], self.right["INBOX"][1][3].replace(b"xxxx", b"yyyy"))

    def test_octets_that_are_missing(self) -> None:
        """What is left of a message goes on under a new UID; a message of which nothing is left is removed."""
        self.change("DELETE FROM chunks WHERE number = (3 << 20) + 1", "DELETE FROM chunks WHERE number = 1 << 20")
        found = self.found("--repair", status=0)
        self.assertIn("INBOX UID 1, removed; Other/Place UID 1, removed", found[0])
        self.assertIn("INBOX UID 3, now 5", found[1])
        self.assertEqual(self.found(status=0), [])
        after = self.state()["INBOX"]
        self.assertEqual([one[0] for one in after], [2, 5])
        self.assertEqual(after[1][3], self.right["INBOX"][2][3][:CHUNK])
        self.assertEqual(self.rows("SELECT uid FROM expunged WHERE mailbox = 1 ORDER BY uid"), [(1,), (3,), (4,)])

    def test_messages_whose_row_or_mailbox_is_lost(self) -> None:
        """They are found in a mailbox of their own."""
        self.change("DELETE FROM messages WHERE mailbox = 1 AND uid = 3", "DELETE FROM mailboxes WHERE name = 'Other/Place'")
        self.assert_mended("orphan: content 3 is in no mailbox", "stray: message 1 of mailbox number")
        after = self.state()
        self.assertEqual([one[3] for one in after["Recovered"]], [self.right["INBOX"][2][3]])
        self.assertNotIn("Other/Place", after)

    def test_a_message_whose_content_is_lost(self) -> None:
        """It is removed, as nothing of it is left."""
        self.change("DELETE FROM contents WHERE number = 3")
        self.assert_mended("message: INBOX UID 3 has no content", "orphan: 2 pieces")
        self.assertEqual([one[0] for one in self.state()["INBOX"]], [1, 2])

    def test_flags_that_are_lost(self) -> None:
        """Messages are there without them, as new ones that everybody hears of."""
        for damage, said in (
            ("DELETE FROM states WHERE mailbox = 1", "are missing"),
            ("UPDATE states SET modseqs = x'010203040506070809' WHERE mailbox = 1", "cannot be read"),
            ("UPDATE states SET flags = x'84', modseqs = x'', keywords = x'' WHERE mailbox = 1", "lack messages"),
            ("DROP TABLE states", "are missing"),
        ):
            ((modseq,),) = self.rows("SELECT modseq FROM mailboxes WHERE number = 1")
            self.change(damage)
            self.assert_mended(said) if "DROP" not in damage else self.found("--repair", status=0)
            after = self.state()["INBOX"]
            self.assertEqual([one[0] for one in after], [1, 2, 3])
            self.assertEqual([one[3] for one in after], [one[3] for one in self.right["INBOX"]])
            self.assertEqual(self.rows("SELECT modseq FROM states WHERE mailbox = 1"), [(modseq + 1,)])
            self.assertEqual(self.found(status=0), [])

    def test_an_inbox_that_is_lost(self) -> None:
        """There is one again, and its messages are found."""
        self.change("DELETE FROM mailboxes WHERE name = 'INBOX'")
        self.assert_mended("mailbox: INBOX was missing")
        after = self.state()
        self.assertEqual(after["INBOX"], [])
        self.assertEqual([one[3] for one in after["Recovered"]], [self.right["INBOX"][2][3]])


class SalvageTests(FsckCase):
    """Files that SQLite cannot read."""

    def damage(self, change: Callable[[bytearray], None]) -> None:
        """Change the file's octets."""
        octets = bytearray(self.path.read_bytes())
        change(octets)
        self.path.write_bytes(octets)

    def assert_salvaged(self) -> Any:
        """It is found, made anew, and right then; what it was is kept."""
        before = self.path.read_bytes()
        self.found(status=1)
        self.assertEqual(self.path.read_bytes(), before)
        found = self.found("--repair", status=0)
        self.assertTrue(any("the file was made anew" in one for one in found), found)
        (aside,) = [path for path in self.path.parent.iterdir() if ".damaged-" in path.name and path.name.endswith("Z")]
        self.assertEqual(aside.read_bytes(), before)
        self.assertEqual(self.found(status=0), [])
        return self.state()

    def root_page(self, name: str) -> int:
        """The page at which a table begins."""
        root: int = self.rows(f"SELECT rootpage FROM sqlite_master WHERE name = '{name}'")[0][0]
        return root

    def test_a_first_page_of_zeros(self) -> None:
        """Everything comes from the other pages."""
        self.damage(lambda octets: octets.__setitem__(slice(0, 4096), bytes(4096)))
        after = self.assert_salvaged()
        self.assertEqual(after["INBOX"], self.right["INBOX"])
        self.assertEqual(after["Other/Place"], self.right["Other/Place"])

    def test_a_file_of_an_older_program_without_its_first_page(self) -> None:
        """Flags and keywords lie in its rows of messages, and are kept."""
        for end in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        old_file(self.path)
        self.damage(lambda octets: octets.__setitem__(slice(0, 4096), bytes(4096)))
        after = self.assert_salvaged()
        self.assertEqual([(one[0], set(one[1])) for one in after["INBOX"]], [(uid, flags) for uid, (_, flags) in STATES.items()])

    def test_a_page_of_a_tree_that_is_no_page(self) -> None:
        """What it held is lost, and all else is there."""
        for table, kept in (("subscriptions", ("INBOX", "Other/Place")), ("chunks", ())):
            start = (self.root_page(table) - 1) * 4096
            self.damage(lambda octets, start=start: octets.__setitem__(slice(start, start + 40), b"\xff" * 40))  # type: ignore[misc]
            after = self.assert_salvaged()
            for name in kept:
                self.assertEqual(after[name], self.right[name])
            for path in self.path.parent.glob("*.damaged-*"):
                path.unlink()

    def test_a_file_that_is_cut_off(self) -> None:
        """At every eighth of it: what is left is right in itself."""
        whole = self.path.read_bytes()
        for eighth in range(7, 1, -1):
            self.path.write_bytes(whole[: len(whole) * eighth // 8])
            after = self.assert_salvaged()
            for one in after["INBOX"]:
                self.assertIn(one[3][:80], b"".join(right[3] for right in self.right["INBOX"]))
            for path in self.path.parent.glob("*.damaged-*"):
                path.unlink()

    def test_salvage_waits_for_the_daemon_to_go(self) -> None:
        """While somebody holds the folder the file stays as it is."""
        self.damage(lambda octets: octets.__setitem__(slice(0, 4096), bytes(4096)))
        before = self.path.read_bytes()
        folder = DataFolder(self.data)
        folder.lock()
        self.assertEqual(self.on_data("fsck", "--repair"), 69)
        self.assertIn("in use by process", self.errors)
        folder.release()
        self.assertEqual(self.path.read_bytes(), before)

    def test_a_crash_before_the_new_file_took_its_place(self) -> None:
        """The next run puts it there, without the old one's log."""
        good = self.path.read_bytes()
        ready = self.path.with_name("mail.db.salvaged")
        ready.write_bytes(good)
        self.damage(lambda octets: octets.__setitem__(slice(0, 4096), bytes(4096)))
        self.path.with_name("mail.db-wal").write_bytes(b"old")
        found = self.found("--repair", status=0)
        self.assertIn("a new file was ready", found[0])
        self.assertEqual(self.state(), self.right)
        self.assertFalse(ready.exists())


class GroupTests(FsckCase):
    """Mail of groups."""

    def test_groups_are_looked_after_like_accounts(self) -> None:
        """With all others and by name; their folders are not nobody's until they are removed."""
        self.assertEqual(self.on_data("group", "add", "team", "ann"), 0)

        async def group(directory: SqliteDirectory) -> Account:
            return account_of(await directory.group("team"))

        team = self.with_directory(group)

        async def job(mail: AccountMail) -> None:
            await (await mail.mailbox("INBOX")).append(message("ours"), (), DATE)

        self.with_mail(job, team)
        self.assertEqual(self.on_data("fsck", "--json"), 0)
        answer = self.answer()
        self.assertEqual([one["account"] for one in answer["accounts"]], ["ann", "group:team"])
        self.assertEqual((answer["accounts"][1]["messages"], answer["strangers"]), (1, []))
        self.assertEqual(self.on_data("fsck", "group:team"), 0)
        self.assertEqual(self.on_data("fsck", "group:crew"), 1)
        self.assertEqual(self.on_data("group", "remove", "team"), 0)
        self.assertEqual(self.on_data("fsck", "--json"), 0)
        self.assertEqual((len(self.answer()["accounts"]), self.answer()["strangers"]), (1, []))

    def test_files_of_nobody_are_told(self) -> None:
        """Trees of accounts and team folders are somebody's; what a kill left of one that was removed is not."""
        self.assertEqual(self.on_data("files", "team", "create", "Plans"), 0)

        async def ids(directory: SqliteDirectory) -> list[str]:
            return [(await directory.account("ann")).id, (await directory.team_folder("Plans")).id]

        for name in self.with_directory(ids):
            (self.data / "files" / name / "files").mkdir(parents=True)
        self.assertEqual(self.on_data("fsck", "--json"), 0)
        self.assertEqual(self.answer()["files"], [])
        for name in ("t0gone", ".removed-x"):
            (self.data / "files" / name).mkdir()
        self.assertEqual(self.on_data("fsck", "--json"), 1)
        self.assertEqual(self.answer()["files"], [".removed-x", "t0gone"])
        self.assertEqual(self.on_data("fsck"), 1)
        self.assertIn("files/t0gone: files of no account and no team folder\n", self.output)
        self.assertEqual(self.on_data("fsck", "ann"), 0)

    def with_directory(self, ask: Callable[[SqliteDirectory], Any]) -> Any:
        """What the directory answers."""

        async def run() -> Any:
            directory = await open_accounts(self.configuration)
            try:
                return await ask(directory)
            finally:
                await directory.close()

        return run_now(run())


class CommandTests(FsckCase):
    """What the command says otherwise."""

    def test_beside_a_running_daemon(self) -> None:
        """Everything but salvage is done while somebody else has the file open and the folder locked."""
        folder = DataFolder(self.data)
        folder.lock()
        other = sqlite3.connect(self.path)
        other.execute("SELECT count(*) FROM messages").fetchone()
        self.change("UPDATE account SET octets = 5")
        self.assert_mended("counter: octets of the account")
        other.close()
        folder.release()

    def test_accounts_by_name_and_address(self) -> None:
        """Those that are named; others are refused."""
        self.assertEqual(self.on_data("account", "add", "bob", said="secret\n"), 0)
        self.assertEqual(self.on_data("fsck", "ann@localhost"), 0, self.errors)
        self.assertNotIn("bob", self.output)
        self.assertEqual(self.on_data("fsck", "carol"), 1)
        self.assertIn("carol: no such account", self.errors)
        self.assertEqual(self.on_data("fsck"), 0)
        self.assertIn("bob: 0 messages", self.output)

    def test_folders_of_no_account(self) -> None:
        """They are told of."""
        os.mkdir(self.data / "mail" / "stranger")
        self.assertEqual(self.on_data("fsck"), 1)
        self.assertIn("mail/stranger: a folder of no account", self.output)

    def test_a_file_of_a_newer_program(self) -> None:
        """It is refused with a sentence, and left as it is."""
        self.change("PRAGMA user_version = 99")
        for arguments in ((), ("--repair",), ("--reindex",)):
            self.assertEqual(self.on_data("fsck", *arguments), 1)
            self.assertIn("written by a newer version of Launcelot; upgrade", self.errors)

    def test_a_file_of_an_older_program(self) -> None:
        """It is looked at as it is, and brought up to date before it is mended."""
        self.path.unlink()
        from launcelot.mailstore.schema import MIGRATIONS

        connection = sqlite3.connect(self.path)
        MIGRATIONS[0](connection)
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
        connection.close()
        self.assertIn("of an earlier version", self.found(status=1)[0])
        self.found("--repair", status=0)
        self.assertEqual(self.found(status=0), [])

    def test_space_is_given_back(self) -> None:
        """Of mail that was removed."""

        async def remove(mail: AccountMail) -> None:
            box = await mail.mailbox("INBOX")
            await box.store([3], StoreMode.ADD, ["\\Deleted"])
            await box.expunge()

        self.with_mail(remove)
        before = self.path.stat().st_size
        self.assertEqual(self.on_data("fsck", "--compact"), 0)
        self.assertIn("were given back", self.output)
        self.assertLess(self.path.stat().st_size, before - CHUNK // 2)
        self.assertEqual([one[0] for one in self.state()["INBOX"]], [2])


