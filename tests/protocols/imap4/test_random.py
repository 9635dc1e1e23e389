"""Random commands, right and wrong, from three sessions of one account: every answer is grammar, and none tells of a bug."""

from __future__ import annotations

from random import Random

from launcelot.testing.link import Link
from tests.protocols.imap4.strict import check
from tests.protocols.imap4.strictwords import NotGrammar
from tests.protocols.imap4.world import MESSAGE, ImapCase

SETS = (
    b"1", b"1:*", b"*", b"2,4:5", b"3:1", b"*:2", b"$", b"4294967295", b"1:3,2:4", b"99", b"0", b"5:*,1", b"1,,2", b"",
)  # fmt: skip
FLAGS = (
    b"\\Seen", b"\\Deleted", b"\\Flagged", b"\\answered", b"kw", b"$Junk", b"KW", b"\\Recent", b"\\Bogus", b"x" * 201, b"(", b"",
)  # fmt: skip
MAILBOXES = (
    b"INBOX", b"inbox", b"box", b"box/sub", b'"new x"', b"other", b'"&AOk-x"', b"Shared/bob/INBOX", b'""', b"a//b", b"../x",
    b"{3+}\r\nabc", b'"\\"q"', b'"a%b"', b"&", b'"\xc3\xbc"', b"\xff",
)  # fmt: skip
SECTIONS = (
    b"", b"HEADER", b"TEXT", b"1", b"1.MIME", b"1.1", b"1.HEADER", b"2.1", b"HEADER.FIELDS (From \"To\" {2+}\r\nCc)", b"MIME",
    b"HEADER.FIELDS.NOT (x)", b"HEADER.FIELDS (a%b)", b"2.TEXT", b"0", b"1.2.3.4", b"HEADER.FIELDS ()",
    b"2.1.HEADER.FIELDS (subject)",
)  # fmt: skip
PARTIALS = (b"", b"", b"<0.10>", b"<5.1000000>", b"<4294967295.1>", b"<0>", b"<0.0>")
ITEMS = (
    b"FLAGS", b"UID", b"ENVELOPE", b"BODY", b"BODYSTRUCTURE", b"INTERNALDATE", b"RFC822.SIZE", b"RFC822", b"RFC822.HEADER",
    b"RFC822.TEXT", b"MODSEQ", b"EMAILID", b"THREADID", b"SAVEDATE", b"PREVIEW", b"PREVIEW (LAZY)", b"BINARY[1]",
    b"BINARY.PEEK[1.1]<0.3>", b"BINARY.SIZE[1]", b"BINARY[]", b"ALL", b"FULL", b"FAST", b"X",
)  # fmt: skip
KEYS = (
    b"ALL", b"SEEN", b"NOT SEEN", b"OR SEEN DELETED", b"SUBJECT m", b'FROM ""', b"TEXT body", b'BODY "x y"', b'HEADER subject ""',
    b"HEADER x {1+}\r\ny", b"SINCE 1-Jan-2000", b'BEFORE "01-Feb-2030"', b"SENTON 5-May-2020", b"LARGER 10",
    b"SMALLER 99999999999",
    b"UID 1:*", b"1:*", b"$", b"KEYWORD kw", b"UNKEYWORD $Junk", b"MODSEQ 3", b'MODSEQ "/flags/\\\\Seen" all 5', b"YOUNGER 100",
    b"OLDER 9999999999", b"EMAILID x", b"THREADID y", b"SAVEDBEFORE 1-Jan-2030", b"SAVEDATESUPPORTED", b"(SEEN (ANSWERED))",
    b"NEW",
    b"OLD", b"RECENT", b"UIDAFTER 2", b"UIDBEFORE $", b"FUZZY x", b"",
)  # fmt: skip
RETURNS = (
    b"", b"", b"RETURN () ", b"RETURN (ALL) ", b"RETURN (MIN MAX COUNT) ", b"RETURN (SAVE) ", b"RETURN (SAVE MIN) ",
    b"RETURN (PARTIAL 1:2) ", b"RETURN (PARTIAL -1:-2 COUNT) ", b"RETURN (X) ", b"RETURN (ALL ALL) ",
)  # fmt: skip
SORTS = (b"DATE", b"REVERSE", b"SUBJECT", b"FROM", b"TO", b"CC", b"SIZE", b"ARRIVAL", b"DISPLAYFROM", b"DISPLAYTO")
ATTRIBUTES = (
    b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN", b"SIZE", b"DELETED", b"HIGHESTMODSEQ", b"MAILBOXID",
    b"APPENDLIMIT",
    b"DELETED-STORAGE", b"X",
)  # fmt: skip
MESSAGES = (
    MESSAGE, b"Subject: x\r\n\r\nhi\r\n", b"", b"x", b"Subject: \xc3\xbc\r\n\r\n",
    b"From: a@b (\r\nTo: <<<>>\r\n\r\n" + b"y" * 3_000,
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n1\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: i"
    b"\r\n\r\nz\r\n--b\r\nContent-Type: message/global\r\n\r\nSubject: \xc3\xbc\r\n\r\nz\r\n--b--\r\n",
    b"Content-Transfer-Encoding: base64\r\nContent-Type: message/global\r\n\r\nQUJD\r\n",
)  # fmt: skip
PLAIN = (
    b"NOOP", b"CHECK", b"CLOSE", b"UNSELECT", b"NAMESPACE", b"ID NIL", b'ID ("a" "b")', b"CAPABILITY", b'GETQUOTA "ann"',
    b"EXPUNGE",
    b"ENABLE CONDSTORE", b"ENABLE QRESYNC", b"ENABLE X", b"NOTIFY NONE", b"IDLE\r\nDONE", b"COMPRESS X", b"AUTHENTICATE PLAIN",
    b"NOTIFY SET (selected (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge))",
    b"NOTIFY SET STATUS (subtree box MessageNew MessageExpunge)", b"", b"X", b" NOOP", b"NOOP x",
)  # fmt: skip
ABOUT = (
    b"GETMETADATA %b /private/comment", b"GETMETADATA (DEPTH infinity) %b (/shared)", b'SETMETADATA %b (/private/comment "x")',
    b"SETMETADATA %b (/shared/y NIL)", b"GETACL %b", b"MYRIGHTS %b", b"SETACL %b ann +x", b"LISTRIGHTS %b bob",
    b"GETQUOTAROOT %b",
    b"SETACL %b bob lrswi", b"DELETEACL %b bob", b"CREATE %b", b"DELETE %b", b"SUBSCRIBE %b", b"UNSUBSCRIBE %b",
    b"RENAME %b other",
    b"RENAME box %b", b"CREATE %b (USE (\\Sent))", b"LSUB \"\" %b", b'LIST "" %b',
)  # fmt: skip
LISTS = (
    b'LIST "" *', b'LIST (SUBSCRIBED) "" "*%%"',
    b'LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (CHILDREN STATUS (MESSAGES UNSEEN))',
    b'LIST (SPECIAL-USE) "" ("*" "INBOX") RETURN (SUBSCRIBED MYRIGHTS METADATA (/private/comment))', b'LIST "box/" %',
    b'LIST () "" ()',
    b'LIST (REMOTE) "" "" RETURN ()', b'LIST (RECURSIVEMATCH) "" *', b'LSUB "" %', b'LSUB "Shared/" "*"',
)  # fmt: skip
PLACES = (b"selected", b"personal", b"subtree box", b"mailboxes (INBOX box)", b"subscribed", b'subtree-one (box "")')
PARTS = (b'URL "/INBOX/;UID=1"', b"URL /box;UIDVALIDITY=1/;UID=2/;SECTION=1", b"TEXT {3+}\r\nabc", b'URL "imap://x/"', b"X")
ENABLED = (b"ENABLE UTF8=ACCEPT", b"ENABLE IMAP4rev2", b"ENABLE UIDONLY")


class Commands:
    """Where commands come from."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def one(self) -> bytes:
        """A command, now and then with an octet changed, or with its end missing."""
        random = self.random
        made = random.choice((
            self.fetch, self.fetch, self.store, self.store, self.search, self.search, self.sort, self.copy, self.select,
            self.status,
            self.about, self.plain, self.append, self.append, self.lists,
        ))()  # fmt: skip
        chance = random.random()
        if chance < 0.06 and made:
            place = random.randrange(len(made))
            made = made[:place] + bytes([random.randrange(256)]) + made[place + random.randint(0, 2) :]
        elif chance < 0.1:
            made = made[: random.randrange(len(made) + 1)]
        return made

    def some(self, of: tuple[bytes, ...], most: int = 3) -> bytes:
        """A few words of many."""
        return b" ".join(self.random.choices(of, k=self.random.randint(1, most)))

    def uid(self) -> bytes:
        """By UID or not."""
        return self.random.choice((b"", b"UID "))

    def fetch(self) -> bytes:
        """FETCH."""
        random = self.random
        words = [
            random.choice(ITEMS) if random.random() < 0.6
            else random.choice((b"BODY[", b"BODY.PEEK[")) + random.choice(SECTIONS) + b"]" + random.choice(PARTIALS)
            for _ in range(random.randint(1, 4))
        ]  # fmt: skip
        more = random.choice((b"", b"", b"", b" (CHANGEDSINCE 3)", b" (CHANGEDSINCE 1 VANISHED)", b" (PARTIAL 1:2)", b" (X)"))
        items = words[0] if len(words) == 1 else b"(%b)" % b" ".join(words)
        return self.uid() + b"FETCH %b %b%b" % (random.choice(SETS), items, more)

    def store(self) -> bytes:
        """STORE, conditional or not."""
        choice = self.random.choice
        condition = choice((b"", b"", b"(UNCHANGEDSINCE 5) ", b"(UNCHANGEDSINCE 0) ", b"(UNCHANGEDSINCE 99999) "))
        how = choice((b"", b"+", b"-")) + b"FLAGS" + choice((b"", b".SILENT"))
        return self.uid() + b"STORE %b %b%b (%b)" % (choice(SETS), condition, how, self.some(FLAGS))

    def search(self) -> bytes:
        """SEARCH, in one mailbox or in several."""
        choice = self.random.choice
        if self.random.random() < 0.2:
            where = choice(PLACES)
            return b"ESEARCH IN (%b) %b%b" % (where, choice(RETURNS), self.some(KEYS))
        charset = choice((b"", b"", b"CHARSET UTF-8 ", b"CHARSET X "))
        return self.uid() + b"SEARCH " + choice(RETURNS) + charset + self.some(KEYS)

    def sort(self) -> bytes:
        """SORT and THREAD."""
        choice = self.random.choice
        if self.random.random() < 0.5:
            algorithm = choice((b"REFERENCES", b"ORDEREDSUBJECT", b"X"))
            return self.uid() + b"THREAD %b UTF-8 %b" % (algorithm, self.some(KEYS))
        return self.uid() + b"SORT %b(%b) UTF-8 %b" % (choice(RETURNS), self.some(SORTS), self.some(KEYS))

    def copy(self) -> bytes:
        """COPY, MOVE, UID EXPUNGE and REPLACE."""
        choice = self.random.choice
        verb = choice((b"COPY", b"MOVE", b"EXPUNGE", b"REPLACE"))
        if verb == b"EXPUNGE":
            return b"UID EXPUNGE " + choice(SETS)
        end = b" " + self.message() if verb == b"REPLACE" else b""
        return self.uid() + b"%b %b %b%b" % (verb, choice(SETS), choice(MAILBOXES), end)

    def message(self) -> bytes:
        """A message as a literal."""
        body = self.random.choice(MESSAGES)
        return b"%b{%d+}\r\n%b" % (self.random.choice((b"", b"", b"~")), len(body), body)

    def append(self) -> bytes:
        """APPEND of one message or several, or of what is there."""
        choice = self.random.choice
        head = b"APPEND " + choice(MAILBOXES[:4]) + b" "
        if self.random.random() < 0.2:
            return head + b"CATENATE (%b)" % self.some(PARTS)
        dates = (b"", b"(\\Seen kw) ", b'"01-Jan-2020 00:00:00 +0000" ', b"(\\Recent) ", b'"99-Jan-2020 00:00:00 +0000" ')
        return head + b" ".join([choice(dates) + self.message() for _ in range(choice((1, 1, 1, 2)))])

    def select(self) -> bytes:
        """SELECT and EXAMINE."""
        choice = self.random.choice
        more = (b"", b"", b" (CONDSTORE)", b" (QRESYNC (1 1))", b" (QRESYNC (%d 1 1:* (1:3 1:3)))" % choice((1, 2)), b" (X)")
        return choice((b"SELECT ", b"EXAMINE ")) + choice((b"INBOX", b"box", *MAILBOXES)) + choice(more)

    def status(self) -> bytes:
        """STATUS."""
        return b"STATUS %b (%b)" % (self.random.choice(MAILBOXES), self.some(ATTRIBUTES, 4))

    def about(self) -> bytes:
        """What has just a mailbox's name."""
        return self.random.choice(ABOUT) % self.random.choice(MAILBOXES)

    def plain(self) -> bytes:
        """What has little to choose."""
        return self.random.choice(PLAIN)

    def lists(self) -> bytes:
        """LIST and LSUB."""
        return self.random.choice(LISTS)


class RandomTests(ImapCase):
    """Whatever is said."""

    changes = {"max_bad_commands": 1 << 30}
    seed = 7
    commands = 1_500

    def setUp(self) -> None:
        """A mailbox with some messages, and another account."""
        super().setUp()
        self.world.add_user("bob", "pw")
        self.fill(3)
        for body in MESSAGES:
            self.fill(1, body)
        self.utf8: dict[Link, bool] = {}

    def session(self, random: Random) -> Link:
        """A peer that has logged in, and has enabled something or nothing."""
        link = self.connect()
        for command in (b"LOGIN ann pw", random.choice((b"NOOP", b"NOOP", b"NOOP", *ENABLED)), b"SELECT INBOX"):
            heard = self.answered(link, command)
            self.utf8[link] = self.utf8.get(link, False) or b"UTF8=ACCEPT\r\n" in heard or b"ENABLED IMAP4rev2" in heard
        return link

    def answered(self, link: Link, command: bytes) -> bytes:
        """All that is said to a command and to the ones behind it, which end whatever it has begun."""
        link.say(b"t " + command + b"\r\n")
        heard = link.take()
        if not heard.endswith(b"\r\n") or b"\nt " not in b"\n" + heard:
            # It waits for a literal, or for an answer to a continuation.
            link.say(b"*\r\n" + b"(\r\n" * 200)
            heard += link.take()
        return heard

    def say_some(self, seed: int, commands: int) -> None:
        """So many commands."""
        random = Random(seed)
        source = Commands(random)
        links = [self.session(random) for _ in range(3)]
        for _ in range(commands):
            place = random.randrange(len(links))
            link, command = links[place], source.one()
            heard = self.answered(link, command)
            self.assertNotIn(b"nternal", heard, (seed, command))
            utf8 = self.utf8[link]
            try:
                check(heard, utf8)
            except NotGrammar as error:
                raise AssertionError(f"seed {seed}: {command!r} answered {heard!r}") from error
            if link.closed:
                links[place] = self.session(random)
        self.assertEqual(self.world.site.counters.snapshot().get("imap.errors.internal", 0), 0, seed)

    def test_random_commands(self) -> None:
        """What is right is done, what is wrong is refused."""
        self.say_some(self.seed, self.commands)


class FileRandomTests(RandomTests):
    """The same on mail in SQLite files."""

    in_files = True
    seed = 11
    commands = 500
