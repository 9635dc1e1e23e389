"""EXPIRE and LOGIN-DELAY: what the house wants is told, and happens.  RFC 2449 sections 6.5 and 6.7."""

from datetime import timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import TryLater
from launcelot.mailstore.memorymailbox import MemoryMailbox
from launcelot.protocols.pop3.retention import Retention
from launcelot.protocols.pop3.service import Settings, build, policy_of
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site
from tests.protocols.pop3.world import FIRST, SECOND, Post

DAY = timedelta(days=1).total_seconds()


def capabilities(link: Link) -> list[str]:
    """What CAPA lists."""
    link.say(b"CAPA\r\n")
    return link.take().decode().split("\r\n")[1:-2]


class ExpireTests(SynchronousTestCase):
    """How long mail stays."""

    def test_told_in_both_states(self) -> None:
        """It is the same for every account."""
        for settings, told in (
            ({}, "EXPIRE NEVER"),
            ({"keep_days": 30}, "EXPIRE 30"),
            ({"keep_retrieved": False}, "EXPIRE 0"),
            ({"keep_days": 30, "keep_retrieved": False}, "EXPIRE 0"),
        ):
            post = Post(**settings)
            for link in (post.connect(), post.logged_in()):
                self.assertIn(told, capabilities(link))
                self.assertEqual(sum(line.startswith("EXPIRE") for line in capabilities(link)), 1)

    def test_the_full_number_of_days(self) -> None:
        """From the day on which a message came: whole days pass before it goes, and not one more than that."""
        post = Post((FIRST,), keep_days=3)
        (sweep,) = build(post.world.site, post.settings).chores
        post.world.advance(DAY, step=DAY)
        post.deliver(SECOND)
        kept = []
        for _ in range(5):
            post.world.result(sweep())
            kept.append(len(post.bodies()))
            post.world.advance(DAY, step=DAY)
        self.assertEqual(kept, [2, 2, 2, 1, 0])
        self.assertEqual(post.world.site.counters.value("pop3.expired"), 2)

    def test_nothing_is_done_without_a_retention(self) -> None:
        """For ever is for ever."""
        post = Post()
        self.assertEqual(tuple(build(post.world.site, post.settings).chores), ())
        self.assertEqual(policy_of(post.world.site, post.settings).keep_days, None)

    def test_a_session_keeps_its_messages(self) -> None:
        """What is locked is left for the next time.  RFC 1939 section 4."""
        post = Post(keep_days=1)
        retention = Retention(post.world.site, 1)
        post.world.advance(3 * DAY, step=DAY)
        link = post.logged_in()
        self.assertEqual(post.world.result(retention.sweep()), 0)
        post.play("C: STAT\nS: +OK 2 69\nC: RETR 1\nS: +OK*\n...\nS: .", link)
        link.close()
        self.assertEqual(post.world.result(retention.sweep()), 2)

    def test_one_account_s_trouble_is_not_another_s(self) -> None:
        """It is logged, the others' old mail goes, and the lock is free."""
        post = Post(keep_days=1)
        bob = post.world.add_user("bob")
        inbox = post.world.result(post.world.result(post.world.site.mail.mail(bob.id)).mailbox("INBOX"))
        post.world.result(inbox.append(FIRST, ()))
        post.world.advance(3 * DAY, step=DAY)
        remove, calls = MemoryMailbox.remove, []

        async def failing(mailbox: MemoryMailbox, uids: list[int]) -> object:
            calls.append(uids)
            if len(calls) == 1:
                raise TryLater
            return await remove(mailbox, uids)

        self.patch(MemoryMailbox, "remove", failing)
        self.assertEqual(post.world.result(Retention(post.world.site, 1).sweep()), 1)
        self.assertEqual(len(post.bodies()), 2)
        post.logged_in()

    def test_other_mailboxes_are_left_alone(self) -> None:
        """POP3 shows INBOX, so INBOX is what it keeps clean."""
        post = Post((), keep_days=1)
        mail = post.world.result(post.world.site.mail.mail(post.account.id))
        post.world.result(mail.create("Kept"))
        kept = post.world.result(mail.mailbox("Kept"))
        post.world.result(kept.append(FIRST, ()))
        post.world.advance(9 * DAY, step=DAY)
        self.assertEqual(post.world.result(Retention(post.world.site, 1).sweep()), 0)
        self.assertEqual(post.world.result(kept.status()).messages, 1)

    def test_what_was_retrieved_goes_at_quit(self) -> None:
        """As if it had been marked; what was only listed, or looked at with TOP, stays."""
        post = Post(keep_retrieved=False)
        read = "C: TOP 1 0\nS: +OK*\n...\nS: .\nC: RETR 2\nS: +OK*\n...\nS: .\n"
        post.play(read + "C: STAT\nS: +OK 2 69\nC: QUIT\nS: +OK goodbye, 1*")
        self.assertEqual(post.bodies(), [FIRST])

    def test_what_was_retrieved_stays_without_quit(self) -> None:
        """The client may not have it yet; nor does it go after RSET, or with the setting that lets it stay."""
        post = Post(keep_retrieved=False)
        for ending in ("close", "abort", "half_close"):
            link = post.logged_in()
            link.say(b"RETR 1\r\nRETR 2\r\n")
            getattr(link, ending)()
        post.play("C: RETR 1\nS: +OK*\n...\nS: .\nC: RSET\nS: +OK*\nC: QUIT\nS: +OK goodbye, 0*")
        self.assertEqual(len(post.bodies()), 2)
        post = Post()
        post.play("C: RETR 1\nS: +OK*\n...\nS: .\nC: QUIT\nS: +OK goodbye, 0*")

    def test_a_message_that_was_not_sent_to_its_end_stays(self) -> None:
        """Whoever breaks off in the middle has no copy."""
        post = Post([b"a: b\r\n\r\n" + b"x" * 200_000 + b"\r\n"], keep_retrieved=False)
        link = post.logged_in()
        read = MemoryMailbox.read

        async def failing(mailbox: MemoryMailbox, uid: int, offset: int, length: int) -> bytes:
            if offset:
                raise TryLater
            return await read(mailbox, uid, offset, length)

        self.patch(MemoryMailbox, "read", failing)
        link.say(b"RETR 1\r\nQUIT\r\n")
        self.assertTrue(link.closed)
        self.assertEqual(post.world.result(post.inbox().status()).messages, 1)


class LoginDelayTests(SynchronousTestCase):
    """How often an account may come."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.post = Post(data=self.folder, login_delay=60)
        self.addCleanup(self.post.world.close)

    def try_to_log_in(self, link: Link | None = None) -> bytes:
        """The answer to PASS."""
        link = link or self.post.connect()
        link.say(b"USER ann\r\nPASS pw\r\n")
        answer = link.take().split(b"\r\n")[1]
        link.say(b"QUIT\r\n")
        link.close()
        return answer

    def test_told_in_both_states(self) -> None:
        """And not where there is none."""
        self.assertIn("LOGIN-DELAY 60", capabilities(self.post.connect()))
        self.assertIn("LOGIN-DELAY 60", capabilities(self.post.logged_in()))
        self.assertFalse(any("LOGIN-DELAY" in line for line in capabilities(Post().connect())))

    def test_who_comes_too_early_is_told_to_wait(self) -> None:
        """From the log-in that succeeded, not from the ones that were too early."""
        self.assertEqual(self.try_to_log_in()[:3], b"+OK")
        self.post.world.advance(30)
        self.assertEqual(self.try_to_log_in(), b"-ERR [LOGIN-DELAY] this account may log in again in 30 seconds")
        self.post.world.advance(29)
        self.assertEqual(self.try_to_log_in(), b"-ERR [LOGIN-DELAY] this account may log in again in 1 seconds")
        self.post.world.advance(1)
        self.assertEqual(self.try_to_log_in()[:3], b"+OK")
        self.assertEqual(self.try_to_log_in()[:18], b"-ERR [LOGIN-DELAY]")

    def test_it_is_no_failed_log_in(self) -> None:
        """A client that polls is not hung up on, and the maildrop is not locked by it."""
        self.try_to_log_in()
        link = self.post.connect()
        for _ in range(8):
            link.say(b"USER ann\r\nPASS pw\r\n")
            self.assertIn(b"-ERR [LOGIN-DELAY]", link.take())
        self.assertFalse(link.closed)
        self.post.world.advance(50)
        link.say(b"NOOP\r\n")
        self.post.world.advance(10)
        self.assertEqual(self.try_to_log_in()[:3], b"+OK")

    def test_a_wrong_password_is_not_told_of_it(self) -> None:
        """Nothing but the right one learns when somebody came; wrong ones and refusals begin no delay."""
        for _ in range(2):
            link = self.post.connect()
            link.say(b"USER ann\r\nPASS wrong\r\n")
            self.assertIn(b"-ERR [AUTH]", link.take())
        self.assertEqual(self.try_to_log_in()[:3], b"+OK")
        link = self.post.connect()
        link.say(b"USER ann\r\nPASS wrong\r\n")
        self.assertIn(b"-ERR [AUTH]", link.take())

    def test_being_locked_out_begins_no_delay(self) -> None:
        """IN-USE first; the delay is the holder's."""
        holder = self.post.logged_in()
        self.post.world.advance(60)
        self.assertIn(b"[IN-USE]", self.try_to_log_in())
        holder.close()
        self.assertEqual(self.try_to_log_in()[:3], b"+OK")

    def test_a_maildrop_that_cannot_be_opened_begins_no_delay(self) -> None:
        """The next try counts."""
        sizes = MemoryMailbox.sizes

        async def failing(mailbox: MemoryMailbox) -> list[object]:
            raise TryLater

        self.patch(MemoryMailbox, "sizes", failing)
        self.assertIn(b"[SYS/TEMP]", self.try_to_log_in())
        self.patch(MemoryMailbox, "sizes", sizes)
        self.assertEqual(self.try_to_log_in()[:3], b"+OK")

    def test_other_workers_and_restarts_know(self) -> None:
        """It is in a file."""
        self.assertEqual(self.try_to_log_in()[:3], b"+OK")
        before, self.post = self.post, Post(data=self.folder, login_delay=60)
        self.addCleanup(self.post.world.close)
        self.assertEqual(before.account.id, self.post.account.id)
        self.assertIn(b"[LOGIN-DELAY]", self.try_to_log_in())

    def test_accounts_are_apart(self) -> None:
        """Each has its own delay."""
        self.post.world.add_user("bob", "pw")
        self.try_to_log_in()
        link = self.post.connect()
        link.say(b"USER bob\r\nPASS pw\r\n")
        self.assertIn(b"\r\n+OK 0 messages", link.take())

    def test_no_place_to_remember(self) -> None:
        """A Site without a folder cannot promise it."""
        with self.assertRaises(LookupError):
            policy_of(memory_site().site, Settings(login_delay=5))
