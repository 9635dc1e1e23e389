"""Answers from files: read whole or not at all, read again when they change, faults with file and line."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.questions.answers import KNIGHT, UNKNOWN
from launcelot.protocols.questions.service import Settings, build
from launcelot.protocols.questions.tables import MAX_FILE, BadTable, TableFile, Tables, check_tables, read_table
from launcelot.testing.site import memory_site

NAME = b"What is your name?"


class FolderCase(SynchronousTestCase):
    """Tests with a folder of their own."""

    def setUp(self) -> None:
        kept = tempfile.TemporaryDirectory(prefix="launcelot-test-")
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)

    def write(self, name: str, text: str | bytes) -> Path:
        """A file, put in place of the old one at once."""
        path = self.folder / name
        fresh = self.folder / "fresh"
        fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
        fresh.replace(path)
        return path


class ReadTests(FolderCase):
    """One file."""

    def test_both_forms_say_the_same(self) -> None:
        """TOML and JSON, with a word for the unknown, and text beyond ASCII."""
        toml = self.write("a.toml", '# all of it\n"Who?" = "Me."\n\'Wer?\' = "Ich, Günther."\nunknown = "Ni."\n')
        wanted = {"Who?": "Me.", "Wer?": "Ich, Günther.", "unknown": "Ni."}
        written = self.write("b.json", json.dumps(wanted, indent=1))
        for path in (toml, written):
            table = read_table(path)
            self.assertEqual(table.answers, {b"Who?": b"Me.", b"Wer?": "Ich, Günther.".encode()})
            self.assertEqual(table.unknown, b"Ni.")

    def test_an_empty_file_knows_nothing(self) -> None:
        """It is a table all the same."""
        self.assertEqual(read_table(self.write("a.toml", "")).answers, {})

    def check(self, name: str, text: str | bytes, line: int, cause: str) -> None:
        """A file is refused in one line that names it, the line and the cause."""
        path = self.write(name, text)
        error = str(self.assertRaises(BadTable, read_table, path))
        self.assertTrue(error.startswith(f"{path}:{line}: "), error)
        self.assertIn(cause, error)
        self.assertNotIn("\n", error)

    def test_faults_in_toml(self) -> None:
        """Each with its line."""
        good = '"Who?" = "Me."\n'
        self.check("a.toml", good + '"Who" = "Me."\n', 2, "a question ends with its only question mark")
        self.check("a.toml", good + '"a?b?" = "Me."\n', 2, "a question ends")
        self.check("a.toml", good + '"pi?" = "3.14."\n', 2, "an answer ends with its only full stop")
        self.check("a.toml", good + '\n\n"pi?" = 3\n', 4, "must be a text")
        self.check("a.toml", good + '"pi?" = [\n"3."]\n', 2, "must be a text")
        self.check("a.toml", good + "unknown = 'Ni'\n", 2, "an answer ends")
        self.check("a.toml", good + "[more]\n", 2, "a question ends")
        self.check("a.toml", good + '"Who?" = "You."\n', 2, "overwrite")
        self.check("a.toml", good + '"Who" "Me."\n', 2, "Expected")
        self.check("a.toml", good + '"Who?" = "Me', 2, "Unterminated")
        self.check("a.toml", '"a?" = """\n"b" = "c"\n."""\n"b" = "d."\n', 4, "a question ends")
        self.check("a.toml", f'"{"a" * 70_000}?" = "Me."\n', 1, "no question may be longer than 65536 octets")
        self.check("a.toml", f'"a?" = "{"a" * 70_000}."\n', 1, "no answer may be longer than 65536 octets")

    def test_faults_in_json(self) -> None:
        """Each with its line."""
        self.check("a.json", "{\n", 2, "Expecting property name")
        self.check("a.json", "[]", 1, "a table of questions and answers is wanted")
        self.check("a.json", '{"Who?": "Me.",\n "Wh\\u006f": "Me."}', 2, "a question ends")
        self.check("a.json", '{"Who?": "Me.",\n "Who?": "You."}', 2, "is there twice")
        self.check("a.json", '{"Who?": "Me.",\n\n "What?": null}', 3, "must be a text")
        self.check("a.json", '{"Who?": "\\ud800."}', 1, "surrogate")
        self.check("a.json", "[" * 200_000, 1, "nested too deep")

    def test_faults_of_the_file(self) -> None:
        """What cannot be read at all."""
        self.check("a.yaml", "Who?: Me.", 1, "name it .toml or .json")
        self.check("a.toml", b'"Who?" = "Me."\n"\xff?" = "Me."\n', 2, "not UTF-8")
        self.check("a.toml", b"#" * (MAX_FILE + 1), 1, "larger than")
        for name, cause in (("none.toml", "No such file"), ("folder.toml", "Is a directory"), ("pipe.toml", "not a regular")):
            if name == "folder.toml":
                (self.folder / name).mkdir()
            elif name == "pipe.toml":
                os.mkfifo(self.folder / name)
            error = self.assertRaises(BadTable, check_tables, [str(self.folder / name)])
            self.assertIn(cause, str(error))

    def test_a_text_cut_anywhere_is_read_or_refused(self) -> None:
        """Nothing else happens, wherever a writer was interrupted."""
        for name, text in (("a.toml", '"Who?" = "Me."\nunknown = "Ni."\n'), ("a.json", '{"Who?": "Me.", "unknown": "Ni."}')):
            for cut in range(len(text)):
                path = self.write(name, text[:cut])
                try:
                    self.assertLessEqual(len(read_table(path).answers), 1)
                except BadTable as bad:
                    self.assertIn(str(path), str(bad))


class ReloadTests(FolderCase):
    """Files that change while they are used."""

    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        self.told: list[str] = []

    def tables(self, *paths: Path) -> Tables:
        """Answers from files, on a clock of our own."""
        return Tables(paths, lambda: self.now, self.told.append)

    def test_the_book_is_there_and_files_prevail(self) -> None:
        """Later files over earlier ones, any file over the book."""
        first = self.write("a.toml", '"What is your name?" = "Arthur."\n"Who?" = "Me."\nunknown = "Ni."')
        second = self.write("b.json", '{"Who?": "You."}')
        tables = self.tables(first, second)
        asked = [NAME, b"Who?", b"What is your quest?", b"eh?"]
        self.assertEqual(
            [tables.answer(question) for question in asked],
            [b"Arthur.", b"You.", b"To seek the Holy Grail.", b"Ni."],
        )

    def test_without_files_there_is_the_book(self) -> None:
        """And its word for the unknown."""
        tables = self.tables()
        self.assertEqual([tables.answer(NAME), tables.answer(b"eh?")], [KNIGHT[NAME], UNKNOWN])

    def test_a_change_is_seen_within_a_second(self) -> None:
        """Not before the interval has passed, then at the next question."""
        path = self.write("a.toml", '"Who?" = "Me."')
        tables = self.tables(path)
        self.write("a.toml", '"Who?" = "You."')
        self.now = 0.9
        self.assertEqual(tables.answer(b"Who?"), b"Me.")
        self.now = 1.0
        self.assertEqual(tables.answer(b"Who?"), b"You.")
        self.assertEqual(self.told, [f"{path}: 1 answers read"])

    def test_what_is_taken_out_is_forgotten(self) -> None:
        """The table of the file is replaced, not added to."""
        path = self.write("a.toml", '"Who?" = "Me."\nunknown = "Ni."')
        tables = self.tables(path)
        self.write("a.toml", "")
        self.now = 5
        self.assertEqual(tables.answer(b"Who?"), UNKNOWN)

    def test_files_are_looked_at_once_a_second_at_most(self) -> None:
        """However many questions there are."""
        tables = self.tables(self.write("a.toml", ""))
        looks: list[Path] = []

        def look(file: TableFile) -> bool:
            looks.append(file.path)
            return False

        self.patch(TableFile, "look", look)
        for second in range(10):
            self.now = float(second)
            for _ in range(100):
                tables.answer(NAME)
        self.assertEqual(len(looks), 9)

    def test_a_broken_file_keeps_the_old_answers_and_is_told_once(self) -> None:
        """One line with file and line; when it is mended it is read again."""
        path = self.write("a.toml", '"Who?" = "Me."')
        tables = self.tables(path)
        self.write("a.toml", '"Who?" = "You')
        for second in range(1, 10):
            self.now = second
            self.assertEqual(tables.answer(b"Who?"), b"Me.")
        self.assertEqual(len(self.told), 1)
        self.assertTrue(self.told[0].startswith(f"keeping the old answers: {path}:1: "), self.told)
        self.write("a.toml", '"Who?" = "You."')
        self.now = 20
        self.assertEqual(tables.answer(b"Who?"), b"You.")

    def test_a_file_that_goes_and_comes_back(self) -> None:
        """Its answers stay meanwhile."""
        path = self.write("a.toml", '"Who?" = "Me."')
        tables = self.tables(path)
        path.unlink()
        self.now = 2
        self.assertEqual(tables.answer(b"Who?"), b"Me.")
        self.assertIn("No such file", self.told[0])
        self.write("a.toml", '"Who?" = "You."')
        self.now = 4
        self.assertEqual(tables.answer(b"Who?"), b"You.")

    def test_same_size_and_time_but_another_file(self) -> None:
        """The inode tells."""
        path = self.write("a.toml", '"Who?" = "Me!."')
        tables = self.tables(path)
        status = path.stat()
        self.write("a.toml", '"Who?" = "You."')
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.now = 2
        self.assertEqual(tables.answer(b"Who?"), b"You.")

    def test_a_file_that_is_broken_at_start_is_an_error(self) -> None:
        """There is nothing to keep."""
        self.assertRaises(BadTable, self.tables, self.write("a.toml", "?"))


class ServiceTests(FolderCase):
    """The same behind the service."""

    def test_from_settings_to_a_changed_answer(self) -> None:
        """Asked on one connection, before and after the change, which the log tells."""
        world = memory_site()
        path = self.write("a.toml", '"Who?" = "Me."')
        settings = Settings(tables=(str(path),), book_tables=False)
        link = world.connect(build(world.site, settings).listeners[0].factory)
        link.say(b"Who?" + NAME)
        self.assertEqual(link.take(), b"Me." + UNKNOWN)
        self.write("a.toml", '"Who?" = "You."')
        world.advance(2)
        with capturedLogs() as logs:
            link.say(b"Who?")
        self.assertEqual(link.take(), b"You.")
        self.assertEqual([formatEvent(event) for event in logs], [f"{path}: 1 answers read"])
