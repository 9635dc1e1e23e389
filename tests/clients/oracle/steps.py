"""Random commands for a pair of servers, each a template whose MODSEQs are filled in for each side."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.clients import corpus

SYSTEM = (b"\\Seen", b"\\Flagged", b"\\Answered", b"\\Deleted", b"\\Draft")
KEYWORDS = (b"$Work", b"urgent", b"Later")
FOLDERS = (b"INBOX", b"Work", b"Work/Sub", b"Work/Sub/Deep", b"Tmp", b"Gr&APw-n")
SECTIONS = (
    b"BODY.PEEK[]", b"BODY.PEEK[HEADER]", b"BODY.PEEK[TEXT]", b"BODY.PEEK[1]", b"BODY.PEEK[2]", b"BODY.PEEK[1.MIME]",
    b"BODY.PEEK[2.1]", b"BODY.PEEK[]<3.40>", b"BODY.PEEK[TEXT]<0.10>", b"BODY.PEEK[]<100000.5>", b"BODY.PEEK[1]<7.9>",
    b"BODY.PEEK[HEADER.FIELDS (Subject From Date)]", b"BODY.PEEK[HEADER.FIELDS.NOT (Received To)]", b"BODY[TEXT]<0.1>",
    b"BODY.PEEK[HEADER.FIELDS (X-None)]", b"RFC822.HEADER", b"BODY[]", b"RFC822.TEXT", b"BODY.PEEK[HEADER.FIELDS (Cc)]<2.7>",
)  # fmt: skip
ATTRIBUTES = (b"FLAGS", b"UID", b"RFC822.SIZE", b"INTERNALDATE", b"ENVELOPE", b"BODYSTRUCTURE", b"BODY")
MACROS = (b"ALL", b"FAST", b"FULL")
WORDS = (
    b"the", b"FOX", b"meeting", b"invoice", b"bob", b"a.example", b"xyzzy", b"report", b"Re:", b"draft plan", b"z\xc3\xbcrich",
    b"b",
)  # fmt: skip
SORT_KEYS = (b"ARRIVAL", b"CC", b"DATE", b"FROM", b"SIZE", b"SUBJECT", b"TO", b"DISPLAYFROM", b"DISPLAYTO")
SEARCH_TEXTS = (
    b"SUBJECT", b"FROM", b"TO", b"CC", b"BODY", b"TEXT", b"HEADER Subject", b"HEADER Message-ID", b"HEADER X-Raw"
)  # fmt: skip
LISTS = (
    b'LIST (SUBSCRIBED) "" %b', b'LIST "" %b RETURN (SUBSCRIBED)', b'LIST "" %b RETURN (CHILDREN)',
    b'LIST "" %b RETURN (STATUS (MESSAGES UIDNEXT))', b'LIST "" (%b INBOX)',
)  # fmt: skip
STATUS_ITEMS = (b"MESSAGES", b"UIDNEXT", b"UNSEEN", b"SIZE")
MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True)
class Step:
    """
    A command.

    :ivar kind: how its answer is compared.
    :ivar text: ``%L`` stands for literals, ``%M`` for a MODSEQ the side has told before.
    :ivar asked: the FETCH attributes whose values count.
    :ivar changes: whether other sessions may see something of it.
    """

    kind: str
    text: bytes
    literals: tuple[bytes, ...] = ()
    asked: frozenset[bytes] = field(default=frozenset())
    changes: bool = False


class Steps:
    """
    Makes commands.

    :param random: the only source of chance.
    :param hostile: whether messages may be malformed.  Then only octets, flags and dates of arrival are asked for: of a
        malformed field or part each server makes what it can, and no RFC says what.
    """

    def __init__(self, random: Random, hostile: bool = False) -> None:
        self.random = random
        self.hostile = hostile

    def selected(self, count: int, uid_next: int, writable: bool) -> Step:
        """Something for a session with a mailbox of so many messages."""
        makers = [self.fetch] * 6 + [self.search] * 5 + [self.sort, self.changed_since]
        if not self.hostile:
            makers.append(self.thread)
        if writable:
            makers += [self.store] * 5 + [self.copy] * 2 + [self.move] + [self.expunge] * 2
        return self.random.choice(makers)(count, uid_next)

    # -- sets ------------------------------------------------------------------------------------------------------

    def numbers(self, last: int) -> bytes:
        """A sequence set within ``last``, which is not 0."""
        random = self.random

        def one() -> bytes:
            return b"*" if random.random() < 0.1 else b"%d" % random.randint(1, last)

        pieces = [
            one() if random.random() < 0.5 else one() + b":" + one() for _ in range(random.choice((1, 1, 1, 2, 3)))
        ]
        return b"1:*" if random.random() < 0.15 else b",".join(pieces)

    def messages(self, count: int, uid_next: int) -> tuple[bytes, bytes]:
        """``UID `` or nothing, and a set that fits; UIDs may name what is not there."""
        if count == 0 or self.random.random() < 0.5:
            return b"UID ", self.numbers(uid_next + 2)
        return b"", self.numbers(count)

    def flags(self, most: int = 3) -> bytes:
        """Some flags in parentheses."""
        return b"(" + b" ".join(self.random.sample(SYSTEM + KEYWORDS, self.random.randint(0, most))) + b")"

    # -- messages ----------------------------------------------------------------------------------------------------

    def append(self, folder: bytes) -> Step:
        """A message with flags and a date, which must be the same on both sides."""
        random = self.random
        message = corpus.message(random, self.hostile and random.random() < 0.7)
        # Dovecot takes a time that is still to come for now.  The day is the same in UTC: it converts, then compares days.
        zone, first, last = random.choice(((b"+0000", 0, 23), (b"-0530", 0, 17), (b"+1345", 14, 23)))
        date = b"%2d-%b-%d %02d:%02d:%02d %b" % (
            random.randint(1, 28), random.choice(MONTHS), random.randint(1999, 2025), random.randint(first, last),
            random.randint(0, 59), random.randint(0, 59), zone,
        )  # fmt: skip
        return Step("append", b'APPEND "%b" %b "%b" %%L' % (folder, self.flags(), date), (message,), changes=True)

    def fetch(self, count: int, uid_next: int) -> Step:
        """Items of some messages."""
        random = self.random
        uid, numbers = self.messages(count, uid_next)
        attributes = ATTRIBUTES if not self.hostile else ATTRIBUTES[:4]
        if random.random() < 0.1 and not self.hostile:
            items = [random.choice(MACROS)]
            text = items[0]
        else:
            items = random.sample(attributes + SECTIONS, random.randint(1, 4))
            text = b"(" + b" ".join(items) + b")"
        changes = any(item.startswith((b"BODY[", b"RFC822.TEXT")) for item in items)
        return Step("fetch", uid + b"FETCH " + numbers + b" " + text, asked=asked(items), changes=changes)

    def changed_since(self, count: int, uid_next: int) -> Step:
        """What has changed since a MODSEQ."""
        uid, numbers = self.messages(count, uid_next)
        return Step("fetch", uid + b"FETCH " + numbers + b" (FLAGS) (CHANGEDSINCE %M)", asked=frozenset({b"FLAGS"}))

    def store(self, count: int, uid_next: int) -> Step:
        """Flags set, added, removed."""
        random = self.random
        uid, numbers = self.messages(count, uid_next)
        silent = random.random() < 0.3
        since = b" (UNCHANGEDSINCE %M)" if random.random() < 0.15 else b""
        item = random.choice((b"", b"+", b"-")) + b"FLAGS" + (b".SILENT" if silent else b"")
        text = b"%bSTORE %b%b %b %b" % (uid, numbers, since, item, self.flags())
        # With UNCHANGEDSINCE each side tells of MODSEQs, and flags only where they changed.
        return Step("store" if not silent and not since else "quiet store", text, asked=frozenset({b"FLAGS"}), changes=True)

    def copy(self, count: int, uid_next: int) -> Step:
        """Copies."""
        uid, numbers = self.messages(count, uid_next)
        return Step("copy", b'%bCOPY %b "%b"' % (uid, numbers, self.random.choice(FOLDERS)), changes=True)

    def move(self, count: int, uid_next: int) -> Step:
        """Moves."""
        uid, numbers = self.messages(count, uid_next)
        return Step("copy", b'%bMOVE %b "%b"' % (uid, numbers, self.random.choice(FOLDERS)), changes=True)

    def expunge(self, count: int, uid_next: int) -> Step:
        """Removes what is flagged."""
        if self.random.random() < 0.5:
            return Step("expunge", b"EXPUNGE", changes=True)
        return Step("expunge", b"UID EXPUNGE " + self.numbers(uid_next + 1), changes=True)

    # -- looking for messages ------------------------------------------------------------------------------------------

    def search(self, count: int, uid_next: int) -> Step:
        """SEARCH, with and without RETURN."""
        random = self.random
        options = b""
        if random.random() < 0.3:
            options = b" RETURN (" + b" ".join(random.sample((b"MIN", b"MAX", b"ALL", b"COUNT"), random.randint(0, 4))) + b")"
        text, literals = self.key(count, uid_next, 3)
        charset = b" CHARSET UTF-8" if not text.isascii() or any(not one.isascii() for one in literals) else b""
        return Step("search", random.choice((b"", b"UID ")) + b"SEARCH" + options + charset + b" " + text, literals)

    def key(self, count: int, uid_next: int, depth: int) -> tuple[bytes, tuple[bytes, ...]]:
        """A search key and its literals."""
        random = self.random
        kind = random.random()
        if depth and kind < 0.12:
            inner, literals = self.key(count, uid_next, depth - 1)
            return b"NOT " + inner, literals
        if depth and kind < 0.3:
            one, first = self.key(count, uid_next, depth - 1)
            two, second = self.key(count, uid_next, depth - 1)
            return random.choice((b"OR %b %b", b"(%b %b)")) % (one, two), first + second
        if kind < 0.5:
            flag = random.choice((b"SEEN", b"UNSEEN", b"FLAGGED", b"DELETED", b"UNDELETED", b"ANSWERED", b"DRAFT", b"ALL"))
            return random.choice((flag, b"KEYWORD " + random.choice(KEYWORDS), b"UNKEYWORD " + random.choice(KEYWORDS))), ()
        if kind < 0.6:
            return random.choice((b"LARGER", b"SMALLER")) + b" %d" % random.choice((0, 300, 700, 1500, 10**6)), ()
        if kind < 0.72:
            name = random.choice((b"SINCE", b"BEFORE", b"ON"))
            if not self.hostile and random.random() < 0.5:
                name = b"SENT" + name
            return b"%b %d-%b-%d" % (name, random.randint(1, 28), random.choice(MONTHS), random.randint(1998, 2026)), ()
        if kind < 0.8:
            return b"UID " + self.numbers(uid_next + 1) if not count or random.random() < 0.5 else self.numbers(count), ()
        word = random.choice(WORDS)
        name = random.choice((b"HEADER X-Raw", b"HEADER X-Empty") if self.hostile else SEARCH_TEXTS)
        if not word.isascii() or random.random() < 0.1:
            return name + b" %L", (word,)
        return b'%b "%b"' % (name, word), ()

    def sort(self, count: int, uid_next: int) -> Step:
        """SORT by one to three criteria."""
        random = self.random
        keys = random.sample((b"ARRIVAL", b"SIZE") if self.hostile else SORT_KEYS, random.randint(1, 2))
        # Only the last: behind a reversed first criterion Dovecot reverses the second, too.
        if keys[-1] != b"SUBJECT":
            keys[-1] = random.choice((b"", b"REVERSE ")) + keys[-1]
        return Step("sort", random.choice((b"", b"UID ")) + b"SORT (" + b" ".join(keys) + b") UTF-8 ALL")

    def thread(self, count: int, uid_next: int) -> Step:
        """THREAD."""
        way = self.random.choice((b"REFERENCES", b"ORDEREDSUBJECT"))
        text = self.random.choice((b"", b"UID ")) + b"THREAD " + way + b" UTF-8 ALL"
        return Step("thread" if way == b"REFERENCES" else "subjects", text)

    # -- mailboxes -------------------------------------------------------------------------------------------------------

    def folders(self, free: list[bytes]) -> Step:
        """
        Something with names.

        :param free: names nobody has selected.
        """
        random = self.random
        name, other = random.choice(FOLDERS), random.choice(FOLDERS[1:])
        kind = random.random()
        if kind < 0.25:
            return Step("word", b'CREATE "%b"' % name, changes=True)
        if kind < 0.35 and free:
            return Step("word", b'DELETE "%b"' % random.choice(free), changes=True)
        if kind < 0.45 and free:
            return Step("word", b'RENAME "%b" "%b"' % (random.choice(free), other), changes=True)
        if kind < 0.55:
            return Step("subscribe", random.choice((b"SUBSCRIBE", b"UNSUBSCRIBE")) + b' "%b"' % name)
        if kind < 0.7:
            items = random.sample(STATUS_ITEMS, random.randint(1, len(STATUS_ITEMS)))
            return Step("status", b'STATUS "%b" (%b)' % (name, b" ".join(items)))
        pattern = random.choice((b"*", b"%", b"Work/%", b"*Sub*", b"Work*", b"inbox", b"nothing", b"%/%"))
        word = random.choice((b"LIST", b"LSUB", b"LIST"))
        if word == b"LIST" and random.random() < 0.4:
            return Step("list", random.choice(LISTS) % pattern)
        return Step("list", word + b' "%b" %b' % (random.choice((b"", b"", b"Work/")), pattern))


def asked(items: list[bytes]) -> frozenset[bytes]:
    """The attributes that come back for items, in capitals."""
    found: set[bytes] = set()
    for item in items:
        if item in MACROS:
            found |= {b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"}
            found |= {b"ENVELOPE"} if item != b"FAST" else set()
            found |= {b"BODY"} if item == b"FULL" else set()
        else:
            name = item.upper().replace(b"BODY.PEEK[", b"BODY[")
            start, dot, _ = name.partition(b"<")
            found.add(start + b"<" + name[len(start) + 1 :].split(b".")[0] + b">" if dot else name)
    return frozenset(found)
