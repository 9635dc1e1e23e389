"""Several sessions on one mailbox, and IDLE."""

from __future__ import annotations

from launcelot.mailstore.interface import StoreMode
from tests.protocols.imap4.world import ImapCase


class TwoSessionTests(ImapCase):
    """Sessions on one mailbox see each other's changes when they may."""

    def setUp(self) -> None:
        super().setUp()
        self.fill(4)
        self.one = self.log_in("INBOX")
        self.two = self.log_in("INBOX")

    def expunge_second_in_one(self) -> None:
        self.ask(self.one, b"STORE 2 +FLAGS.SILENT (\\Deleted)")
        self.ask(self.one, b"EXPUNGE")

    def test_expunge_waits(self) -> None:
        """FETCH, STORE and SEARCH keep the numbers; NOOP tells.  RFC 3501 section 7.4.1."""
        self.expunge_second_in_one()
        lines = self.ask(self.two, b"FETCH 1:4 UID", b"NO [EXPUNGEISSUED]")
        self.assertEqual(
            [line for line in lines if b"UID" in line],
            [b"* 1 FETCH (UID 1)", b"* 3 FETCH (UID 3)", b"* 4 FETCH (UID 4)"],
        )
        self.assertNotIn(b"EXPUNGE\r\n", b"\r\n".join(lines))
        self.assertEqual(
            self.ask(self.two, b"STORE 1:3 +FLAGS (\\Draft)", b"NO [EXPUNGEISSUED]")[-2].split(b" FETCH")[0], b"* 3"
        )
        lines = self.ask(self.two, b"SEARCH ALL")
        self.assertEqual(lines, [b"* SEARCH 1 3 4", b"OK [EXPUNGEISSUED] SEARCH completed"])
        self.ask(self.two, b"COPY 2 INBOX", b"NO [EXPUNGEISSUED]")
        self.assertNotIn(b"* 2 EXPUNGE", lines)

    def test_expunge_is_told_by_noop_and_uid_commands(self) -> None:
        """Numbers shift only then."""
        self.expunge_second_in_one()
        self.assertIn(b"* 2 EXPUNGE", self.ask(self.two, b"UID FETCH 1:* FLAGS"))
        self.assertEqual(self.ask(self.two, b"FETCH 2 UID")[0], b"* 2 FETCH (UID 3)")
        self.ask(self.one, b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        self.ask(self.one, b"EXPUNGE")
        self.assertIn(b"* 1 EXPUNGE", self.ask(self.two, b"NOOP"))

    def test_flags_are_told_at_once(self) -> None:
        """The next command of any kind brings them, and never to who made the change."""
        self.assertEqual(self.ask(self.one, b"STORE 3 +FLAGS.SILENT (\\Answered)"), [b"OK STORE completed"])
        self.assertEqual(self.ask(self.one, b"NOOP"), [b"OK NOOP completed"])
        self.assertIn(b"* 3 FETCH (FLAGS (\\Answered))", self.ask(self.two, b"SEARCH FLAGGED"))
        self.assertEqual(self.ask(self.two, b"NOOP"), [b"OK NOOP completed"])

    def test_new_messages(self) -> None:
        """EXISTS and RECENT come to both; recent is the message to one only."""
        self.fill(1)
        self.assertEqual(self.ask(self.two, b"NOOP"), [b"* 5 EXISTS", b"* 1 RECENT", b"OK NOOP completed"])
        self.assertEqual(
            self.ask(self.one, b"FETCH 1 UID"),
            [b"* 1 FETCH (UID 1)", b"* 5 EXISTS", b"* 4 RECENT", b"OK FETCH completed"],
        )
        self.assertIn(b"* 5 FETCH (FLAGS (\\Recent))", self.ask(self.two, b"FETCH 5 FLAGS"))
        self.assertIn(b"* 5 FETCH (FLAGS ())", self.ask(self.one, b"FETCH 5 FLAGS"))

    def test_added_and_removed_between_two_looks(self) -> None:
        """A message that came and went is told as both, or not at all; numbers stay right."""
        (uid,) = self.fill(1)
        self.ask(self.two, b"CHECK")
        self.world.result(self.mailbox().remove([uid]))
        (later,) = self.fill(1)
        self.world.result(self.mailbox().remove([later]))
        lines = self.ask(self.two, b"NOOP")
        self.assertEqual([line for line in lines if b"RECENT" not in line], [b"* 5 EXPUNGE", b"OK NOOP completed"])
        self.assertEqual(self.ask(self.one, b"NOOP"), [b"OK NOOP completed"])

    def test_own_and_foreign_change_of_one_message(self) -> None:
        """A silent STORE hides only what it did itself."""
        self.world.result(self.mailbox().store([1], StoreMode.ADD, ["\\Flagged"]))
        self.assertEqual(
            self.ask(self.one, b"STORE 1 +FLAGS.SILENT (\\Draft)")[0], b"* 1 FETCH (FLAGS (\\Flagged \\Recent))"
        )
        self.assertEqual(self.ask(self.two, b"NOOP")[0], b"* 1 FETCH (FLAGS (\\Flagged \\Draft))")

    def test_idle_pushes(self) -> None:
        """EXISTS, EXPUNGE and FETCH come without being asked for, until DONE."""
        self.two.say(b"i IDLE\r\n")
        self.assertEqual(self.two.take(), b"+ idling\r\n")
        self.ask(self.one, b"STORE 1 +FLAGS (\\Deleted)")
        self.assertEqual(self.two.take(), b"* 1 FETCH (FLAGS (\\Deleted))\r\n")
        self.ask(self.one, b"EXPUNGE")
        self.assertEqual(self.two.take(), b"* 1 EXPUNGE\r\n")
        self.fill(1)
        self.assertEqual(self.two.take(), b"* 4 EXISTS\r\n* 1 RECENT\r\n")
        self.two.say(b"done\r\nj NOOP\r\n")
        self.assertEqual(self.two.take(), b"i OK IDLE completed\r\nj OK NOOP completed\r\n")
        self.fill(1)
        self.assertEqual(self.two.take(), b"")

    def test_idle_ends_only_with_done(self) -> None:
        """Anything else is BAD and ends it."""
        self.two.say(b"i IDLE\r\nx NOOP\r\n")
        self.assertEqual(self.two.take(), b"+ idling\r\ni BAD expected DONE\r\n")
        self.two.say(b"j IDLE\r\nDONE\n")
        self.assertEqual(self.two.take(), b"+ idling\r\nj BAD expected DONE\r\n")

    def test_idle_for_a_peer_that_does_not_read(self) -> None:
        """Changes are gathered, not queued: what is held stays bounded and the state comes out right."""
        uids = [1, 2, 3, 4, *self.fill(296)]
        self.two.say(b"i IDLE\r\n")
        self.two.take()
        self.two.stop_reading()
        box = self.mailbox()
        for _ in range(40):
            self.world.result(box.store(uids, StoreMode.ADD, ["\\Flagged"]))
            self.world.result(box.store(uids, StoreMode.REMOVE, ["\\Flagged"]))
            self.two.flush()
        self.assertLess(self.two.server.sent, 300_000)
        self.two.go_on_reading()
        self.two.say(b"DONE\r\nj FETCH 1 FLAGS\r\n")
        self.assertTrue(self.two.take().endswith(b"* 1 FETCH (FLAGS ())\r\nj OK FETCH completed\r\n"))

    def test_idle_has_an_end(self) -> None:
        """After half an hour without a word the session is over; pushes do not count as one."""
        self.two.say(b"i IDLE\r\n")
        for _ in range(3):
            self.world.advance(590, step=295)
            self.fill(1)
        self.two.take()
        self.world.advance(60)
        self.assertTrue(self.two.take().endswith(b"* BYE Too slow or idle for too long\r\n"))

    def test_idle_while_the_service_stops(self) -> None:
        """It is told BYE at once."""
        self.two.say(b"i IDLE\r\n")
        self.two.take()
        self.factory.drain()
        self.assertEqual(self.two.take(), b"* BYE [UNAVAILABLE] Server is shutting down\r\n")
        self.assertEqual(self.one.take(), b"* BYE [UNAVAILABLE] Server is shutting down\r\n")
        self.world.advance(6)
        self.assertEqual(self.factory.sessions, set())
