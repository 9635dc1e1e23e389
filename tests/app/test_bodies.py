"""``launcelot fsck``, ``backup`` and ``restore`` where large bodies lie in files of their own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from launcelot.mailstore import bodies
from launcelot.mailstore.interface import AccountMail
from tests.app.test_fsck import FsckCase
from tests.mailstore.kit import message


class BodyCase(FsckCase):
    """Message 3 of INBOX is in a file, which is the only one."""

    large = bodies.LARGE

    @property
    def files(self) -> list[Path]:
        """All files of bodies."""
        return sorted((self.path.parent / bodies.FOLDER).iterdir())

    @property
    def file(self) -> Path:
        """The only one."""
        (found,) = self.files
        return found

    def alter(self, change: Callable[[bytearray], None]) -> None:
        """Change its octets."""
        octets = bytearray(self.file.read_bytes())
        change(octets)
        self.file.write_bytes(octets)


class DamageTests(BodyCase):
    """Files that are not what they were."""

    def test_a_file_that_is_right(self) -> None:
        """It has all octets, and the mail file only the header."""
        self.assertEqual(self.file.read_bytes(), self.right["INBOX"][2][3])
        header = self.right["INBOX"][2][3].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        self.assertEqual(self.rows("SELECT octets FROM chunks WHERE number >> 20 = 3"), [(header,)])
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.found(status=0), [])
        self.assertEqual(self.found("--repair", status=0), [])

    def test_a_flipped_bit(self) -> None:
        """It is flipped back, in a new file; the old one goes."""
        for place in (3, 100_000, 200_000):
            before = self.file

            def flip(octets: bytearray, place: int = place) -> None:
                octets[place] ^= 16

            self.alter(flip)
            self.assert_mended("octets: content 3: a flipped bit in")
            self.assertNotEqual(self.file, before)
            self.assertEqual(self.state(), self.right)

    def test_a_header_that_is_not_that_of_the_file(self) -> None:
        """What stands in the mail file is written anew, missing or wrong."""
        for damage in ("UPDATE chunks SET octets = x'61' WHERE number = 3 << 20", "DELETE FROM chunks WHERE number = 3 << 20"):
            self.change(damage)
            self.assert_mended("octets: content 3: its header is not as the octets have it")
            self.assertEqual(self.state(), self.right)

    def test_a_file_that_is_cut_off(self) -> None:
        """What is left goes on under a new UID."""
        whole = self.right["INBOX"][2]
        os.truncate(self.file, 140_000)
        self.assert_mended(f"octets: content 3: {len(whole[3]) - 140_000} of {len(whole[3])} octets are missing")
        after = self.state()["INBOX"]
        self.assertEqual([one[0] for one in after], [1, 2, 5])
        self.assertEqual(after[2][1:], (*whole[1:3], whole[3][:140_000]))
        self.assertEqual(self.files, [])

    def test_a_file_that_is_gone(self) -> None:
        """Of the message there is the header still."""
        whole = self.right["INBOX"][2]
        self.file.unlink()
        self.assert_mended("octets: content 3: ")
        after = self.state()["INBOX"]
        self.assertEqual([one[0] for one in after], [1, 2, 5])
        self.assertEqual(after[2][3], whole[3].partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        self.assertEqual(self.files, [])

    def test_a_file_of_another_name_is_known_again(self) -> None:
        """By its length and its checksum, among others; also where the row with its name is lost."""
        for number in range(2):
            decoy = self.file.with_name(f"{number:024x}")
            octets = self.file.read_bytes()
            self.file.rename(self.file.with_name("f" * 24))
            decoy.write_bytes(octets[1:] + octets[:1])
            if number:
                self.change("DELETE FROM files")
            self.assertTrue(self.found(status=1))
            self.assertIn("octets: content 3: its octets are in bodies/" + "f" * 24, self.found("--repair", status=0))
            self.assertEqual(self.found(status=0), [])
            self.assertEqual(self.state(), self.right)
            self.assertEqual(self.file.name, "f" * 24)
            self.file.rename(self.file.with_name("e" * 24))
            self.change(f"UPDATE files SET name = '{'e' * 24}'")

    def test_files_that_belong_to_nothing(self) -> None:
        """They are removed, rows without a message too; what is no body stays."""
        folder = self.path.parent / bodies.FOLDER
        (folder / ("a" * 24)).write_bytes(b"left by a crash")
        (folder / "notes").write_bytes(b"somebody else's")
        self.change(f"INSERT INTO files VALUES (99, '{'b' * 24}')")
        self.assert_mended("1 files of bodies belong to no message", "1 bodies in files belong to no message")
        self.assertEqual(len(self.files), 2)
        self.assertEqual((folder / "notes").read_bytes(), b"somebody else's")
        self.assertEqual(self.state(), self.right)

    def test_a_body_that_is_being_delivered_is_left_alone(self) -> None:
        """Nobody names it yet, but it is held."""
        kept = bodies.keep(self.path.parent / bodies.FOLDER, [b"x"])
        self.assertEqual(self.found(status=0), [])
        self.assertEqual(self.found("--repair", status=0), [])
        self.assertEqual(len(self.files), 2)
        kept.release()
        self.assert_mended("1 files of bodies belong to no message")

    def test_a_message_whose_content_is_lost(self) -> None:
        """It is removed, and its file with it."""
        self.change("DELETE FROM contents WHERE number = 3")
        self.assert_mended("message: INBOX UID 3 has no content", "orphan: 1 bodies in files")
        self.assertEqual(self.files, [])

    def test_a_mail_file_that_cannot_be_read(self) -> None:
        """It is made anew, and names its files again, whether or not the names are lost."""
        for pages in (("sqlite_master",), ("files", "sqlite_autoindex_files_1"), ()):
            connection = sqlite3.connect(self.path)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            statement = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            places = [connection.execute(statement, (name,)).fetchone() for name in pages]
            connection.close()
            octets = bytearray(self.path.read_bytes())
            for place in places:
                start = (place[0] - 1) * 4_096 if place else 0
                octets[start : start + 4_096] = b"\xff" * 4_096
            self.path.write_bytes(octets)
            if pages:
                self.assertIn("was made anew", " ".join(self.found("--repair", status=0)))
            self.assertEqual(self.found(status=0), [])
            after = self.state()
            self.assertEqual([one[3] for one in after["INBOX"]], [one[3] for one in self.right["INBOX"]])


class BackupTests(BodyCase):
    """Backups hold what is in files."""

    def setUp(self) -> None:
        """A place for one."""
        super().setUp()
        self.backup = self.folder / "ann.backup"

    def test_an_account_comes_back(self) -> None:
        """From one file alone, into files again; those of what was there go."""
        self.assertEqual(self.on_data("backup", "ann", str(self.backup)), 0, self.errors)
        connection = sqlite3.connect(self.backup)
        self.assertEqual(connection.execute("SELECT count(*) FROM files").fetchone(), (0,))
        connection.close()

        async def more(mail: AccountMail) -> None:
            inbox = await mail.mailbox("INBOX")
            await inbox.append(message("later", "z" * 200_000), ())
            await inbox.remove([3])

        self.with_mail(more)
        self.assertEqual(self.on_data("restore", "ann", str(self.backup), "--replace"), 0, self.errors)
        self.assertEqual(self.state(), self.right)
        self.assertEqual(self.file.read_bytes(), self.right["INBOX"][2][3])
        self.assertEqual(self.found(status=0), [])

    def test_a_mailbox_comes_back(self) -> None:
        """What the account has still is shared, what it has no more goes into a file."""
        self.assertEqual(self.on_data("backup", "ann", str(self.backup), "--mailbox", "INBOX"), 0, self.errors)
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name == bodies.FOLDER], [])
        before = self.file
        self.assertEqual(self.on_data("restore", "ann", str(self.backup), "--mailbox", "INBOX", "--into", "Again"), 0)
        self.assertEqual(self.file, before)

        async def remove(mail: AccountMail) -> None:
            await (await mail.mailbox("INBOX")).remove([3])
            await mail.delete("Again")

        self.with_mail(remove)
        self.assertEqual(self.files, [])
        self.assertEqual(self.on_data("restore", "ann", str(self.backup), "--mailbox", "INBOX", "--into", "Again"), 0)
        self.assertEqual(self.file.read_bytes(), self.right["INBOX"][2][3])
        self.assertEqual([one[3] for one in self.state()["Again"]], [one[3] for one in self.right["INBOX"]])
        self.assertEqual(self.found(status=0), [])

    def test_a_backup_of_what_is_damaged_says_so(self) -> None:
        """It is made all the same, of what there is."""
        self.file.unlink()
        self.assertEqual(self.on_data("backup", "ann", str(self.backup)), 1)
        self.assertIn("octets are missing", self.errors)
        self.assertTrue(self.backup.exists())

    def test_nothing_is_removed_while_one_is_made(self) -> None:
        """A message that goes meanwhile is in the backup, whole; its file goes later."""
        done: list[int] = []
        take_in = bodies.take_in

        async def remove(mail: AccountMail) -> None:
            done.extend(await (await mail.mailbox("INBOX")).remove([3]))

        def removing(*arguments: object) -> None:
            self.with_mail(remove)
            take_in(*arguments)  # type: ignore[arg-type]

        self.patch(bodies, "take_in", removing)
        self.assertEqual(self.on_data("backup", "ann", str(self.backup)), 0, self.errors)
        self.assertEqual(done, [3])
        self.assertEqual(len(self.files), 1)
        self.assertEqual(self.on_data("restore", "ann", str(self.backup), "--replace"), 0, self.errors)
        self.assertEqual(self.state()["INBOX"][2][3], self.right["INBOX"][2][3])
        self.assertEqual(len(self.files), 1)
