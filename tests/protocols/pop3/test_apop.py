"""APOP, for accounts that have been given a secret.  RFC 1939 section 7."""

import hashlib
import re

from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing.link import Link, every_split
from tests.protocols.pop3.world import Post

SECRET = "a secret of its own"


class ApopTests(SynchronousTestCase):
    """Ann has one."""

    def setUp(self) -> None:
        self.post = Post()
        self.post.world.result(self.post.world.site.accounts.set_shared_secret("ann", SECRET))

    def greeted(self, post: Post | None = None, source: str = "127.0.0.1") -> tuple[Link, bytes]:
        """A new peer, and the timestamp it has heard."""
        post = post or self.post
        link = post.world.connect(post.factory, source)
        found = re.search(rb"<[^<> @]+@[^<> @]+>", link.take())
        return link, found[0] if found else b""

    def command(self, timestamp: bytes, secret: str = SECRET, name: bytes = b"ann") -> bytes:
        """What a client says."""
        return b"APOP %b %b\r\n" % (name, hashlib.md5(timestamp + secret.encode()).hexdigest().encode())

    def test_log_in(self) -> None:
        """By name and by address, in either case of the digits, at any split."""
        for name in (b"ann", b"ann@test", b"ANN"):
            link, timestamp = self.greeted()
            link.say(self.command(timestamp, name=name))
            self.assertEqual(link.take(), b"+OK 2 messages (69 octets)\r\n")
            self.assertEqual(link.server.user, "ann")
            link.close()
        link, timestamp = self.greeted()
        link.say(self.command(timestamp)[:-2].upper() + b"\r\n", chunk=1)
        self.assertIn(b"+OK", link.take())
        link.close()
        for first, second in every_split(self.command(timestamp)):
            link, fresh = self.greeted()
            whole = self.command(fresh)
            link.say(whole[: len(first)])
            link.say(whole[len(first) : len(first) + len(second)])
            self.assertIn(b"+OK", link.take())
            link.close()

    def test_the_example_of_the_rfc(self) -> None:
        """RFC 1939 section 7: the digest of its timestamp and secret."""
        said = self.command(b"<1896.697170952@dbc.mtview.ca.us>", "tanstaaf", b"mrose")
        self.assertEqual(said, b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n")

    def test_no_timestamp_where_nobody_could_use_it(self) -> None:
        """Off unless an account has opted in; the greeting tells, and APOP is refused."""
        post = Post()
        link, timestamp = self.greeted(post)
        self.assertEqual(timestamp, b"")
        link.say(self.command(b""))
        self.assertIn(b"-ERR there is no timestamp", link.take())
        self.post.world.result(self.post.world.site.accounts.set_shared_secret("ann", None))
        self.assertEqual(self.greeted()[1], b"")

    def test_every_greeting_has_another(self) -> None:
        """And none can be told from those before; nor is one good on another connection."""
        heard = {self.greeted()[1] for _ in range(20)}
        self.assertEqual((len(heard), {len(one) for one in heard}), (20, {len(b"<@here.test>") + 24}))
        _, other = self.greeted()
        link, _ = self.greeted()
        link.say(self.command(other))
        self.assertIn(b"-ERR [AUTH]", link.take())

    def test_a_timestamp_is_good_for_one_try(self) -> None:
        """A second digest of it says more about the secret; passwords still may be tried."""
        link, timestamp = self.greeted()
        link.say(self.command(timestamp, "a wrong secret...") + self.command(timestamp))
        self.assertEqual([line[:11] for line in link.take().split(b"\r\n")], [b"-ERR [AUTH]", b"-ERR there ", b""])
        link.say(b"USER ann\r\nPASS pw\r\n")
        self.assertIn(b"+OK 2", link.take())

    def test_wrong_ones_are_answered_alike(self) -> None:
        """A wrong digest, an account without a secret, the password in place of the secret, nobody, a disabled account."""
        self.post.world.add_user("bob", "pw")
        self.post.world.add_user("eve", "pw")
        self.post.world.result(self.post.world.site.accounts.set_shared_secret("eve", SECRET))
        self.post.world.result(self.post.world.site.accounts.change("eve", enabled=False))
        answers = set()
        for name, secret in ((b"ann", "pw"), (b"bob", "pw"), (b"bob", ""), (b"nobody", SECRET), (b"eve", SECRET), (b"ann", "")):
            link, timestamp = self.greeted()
            link.say(self.command(timestamp, secret, name))
            answers.add(link.take())
        self.assertEqual(answers, {b"-ERR [AUTH] authentication failed\r\n"})

    def test_the_secret_is_no_password(self) -> None:
        """It is good for APOP alone."""
        link, _ = self.greeted()
        link.say(b"USER ann\r\nPASS a secret of its own\r\n")
        self.assertIn(b"-ERR [AUTH]", link.take())

    def test_failures_count_with_those_of_passwords(self) -> None:
        """Ten from one source within a minute, of either kind."""
        for _ in range(10):
            link, timestamp = self.greeted()
            link.say(self.command(timestamp, "a wrong secret..."))
        link, timestamp = self.greeted()
        link.say(self.command(timestamp))
        self.assertIn(b"-ERR [LOGIN-DELAY]", link.take())
        link.say(b"USER ann\r\nPASS pw\r\n")
        self.assertIn(b"-ERR [LOGIN-DELAY]", link.take())

    def test_malformed(self) -> None:
        """Anything but a name and 32 digits is a syntax error, and uses nothing up."""
        link, timestamp = self.greeted()
        for argument in (b"", b" ", b"ann", b"ann 0123", b"ann " + b"g" * 32, b"ann " + b"0" * 33, b" " + b"0" * 32):
            link.say(b"APOP" + (b" " + argument if argument else b"") + b"\r\n")
            self.assertIn(b"-ERR APOP takes", link.take())
        link.say(self.command(timestamp))
        self.assertIn(b"+OK", link.take())

    def test_not_octets_of_utf8(self) -> None:
        """As PASS has it."""
        link, timestamp = self.greeted()
        link.say(self.command(timestamp, name=b"\xff\xfe"))
        self.assertIn(b"-ERR [AUTH]", link.take())

    def test_not_in_the_clear_where_passwords_are_not(self) -> None:
        """From elsewhere it waits for TLS, inside which the greeting's timestamp is as good."""
        post = Post(tls=True)
        post.world.result(post.world.site.accounts.set_shared_secret("ann", SECRET))
        link, timestamp = self.greeted(post, "192.0.2.1")
        link.say(self.command(timestamp))
        self.assertIn(b"-ERR passwords are taken under TLS only", link.take())
        link.say(b"STLS\r\n")
        link.take()
        link.start_tls(post.world.client_tls("localhost"))
        link.say(self.command(timestamp))
        self.assertIn(b"+OK 2", link.take())

    def test_no_timestamp_where_nobody_may_log_in(self) -> None:
        """Without TLS, from elsewhere."""
        self.assertEqual(self.greeted(source="192.0.2.1")[1], b"")
