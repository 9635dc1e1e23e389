"""Mail files whose keys were folded in the old way."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.mailstore import bodies, textindex
from launcelot.mailstore.query import Contains, Field
from launcelot.mailstore.refolding import KEYS, keys_of
from launcelot.mailstore.schema import MIGRATIONS, casemap
from launcelot.mailstore.sqlite import SqliteMailStore
from launcelot.message.analysis import analyse
from launcelot.workers.memory import InlineWorkers
from tests.mailstore.kit import ANN, Hands, message, result_now
from tests.mailstore.test_migrations import old_file

BODIES = (
    message("Grüße aus Köln", "Stra\u00dfe, caf\u00e9\r\n", From="Jürgen <j@x>"),
    message("plain", "text\r\n"),
    message("=?utf-8?q?=C3=89t=C3=A9?=", "x" * 300_000, **{"X-Long": "y" * 270_000}),
)


class RefoldingTests(SynchronousTestCase):
    """The last step of the migrations so far."""

    def open_store(self) -> SqliteMailStore:
        """A store on the folder."""
        workers = InlineWorkers()
        hands = Hands()
        return SqliteMailStore(self.folder, [workers], workers, hands.now, hands.new_id)

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.patch(bodies, "LARGE", 1 << 40)
        store = self.open_store()
        mail = result_now(self, store.mail(ANN))
        inbox = result_now(self, mail.mailbox("INBOX"))
        for body in BODIES:
            result_now(self, inbox.append(body, ()))
        result_now(self, store.close())
        self.path = self.folder / ANN / "mail.db"

    def test_keys_are_written_anew(self) -> None:
        """Those with other letters than ASCII as if the mail had just come, others as they were; the index is emptied."""
        connection = sqlite3.connect(self.path)
        right = connection.execute(f"SELECT {', '.join(KEYS)} FROM contents ORDER BY number").fetchall()
        self.assertEqual(right, [keys_of(analyse(body)) for body in BODIES])
        for number, body in enumerate(BODIES, 1):
            analysis = analyse(body)
            old = (analysis.subject.casefold(), "é" if number != 2 else analysis.base_subject)
            connection.execute("UPDATE contents SET subject = ?, base_subject = ? WHERE number = ?", (*old, number))
        if textindex.available():
            found = textindex.gather(connection)
            assert found is not None
            textindex.add(connection, found)
        casemap(connection)
        connection.commit()
        again = connection.execute(f"SELECT {', '.join(KEYS)} FROM contents ORDER BY number").fetchall()
        self.assertEqual(again, right)
        self.assertEqual(connection.execute("SELECT indexed_to, indexed FROM upkeep").fetchone(), (0, 0))
        self.assertFalse(textindex.exists(connection))
        connection.close()

    def test_file_of_the_version_before(self) -> None:
        """It is brought up to date when it is opened, and searched like a new one."""
        self.path.unlink()
        old_file(self.path, BODIES[0], MIGRATIONS.index(casemap))
        connection = sqlite3.connect(self.path)
        connection.execute("UPDATE contents SET subject = 'grüsse aus köln' WHERE number = 1")
        connection.commit()
        connection.close()
        store = self.open_store()
        inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
        found = result_now(self, inbox.search(Contains(Field.SUBJECT, "KO\u0308LN")))
        self.assertEqual(list(found), [1, 2, 300])
        result_now(self, store.close())

    def test_search_with_the_index(self) -> None:
        """It finds the same as without: a ligature is not its letters, an accent is one whether composed or not."""
        store = self.open_store()
        inbox = result_now(self, result_now(self, store.mail(ANN)).mailbox("INBOX"))
        text = "of\ufb01ce Caf\u00e9 finally \u00dfo\r\n"
        uid = result_now(self, inbox.append(message("x", text, **{"Content-Type": "text/plain; charset=utf-8"}), ())).uid
        wanted = {
            "fin": True, "fice": False, "of\ufb01c": True, "cafe\u0301": True, "CAFE": True, "caf\u00e8": False, "sso": False,
            "\u00dfO": True, "finally": True, "ofFI": False,
        }  # fmt: skip
        for indexed in (False, True):
            if indexed and textindex.available():
                self.index()
            for needle, matches in wanted.items():
                for field in (Field.BODY, Field.TEXT):
                    found = list(result_now(self, inbox.search(Contains(field, needle))))
                    self.assertEqual(uid in found, matches, (indexed, field, needle))
        result_now(self, store.close())

    def index(self) -> None:
        """Bring the index up to date."""
        connection = sqlite3.connect(self.path)
        while (found := textindex.gather(connection)) is not None:
            textindex.add(connection, found)
            connection.commit()
        connection.close()
