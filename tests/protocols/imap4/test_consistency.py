"""Random sessions on one mailbox: what each has been told adds up to what is there."""

from __future__ import annotations

import re
from random import Random

from launcelot.protocols.imap4.grammar import sets
from launcelot.testing.link import Link
from tests.protocols.imap4.world import ImapCase

FLAGS = (b"\\Seen", b"\\Flagged", b"\\Deleted", b"\\Draft", b"kw1", b"kw2")
NUMBERED = (b"FETCH", b"STORE", b"SEARCH")

_ROW = re.compile(rb"\* (\d+) FETCH \((?:UID (\d+) ?)?(?:FLAGS \(([^)]*)\))?")
_VANISHED = re.compile(rb"\* VANISHED (\(EARLIER\) )?([\d:,]+)")
_HIGHEST = re.compile(rb".* OK \[HIGHESTMODSEQ (\d+)\]")
_COUNT = re.compile(rb"\* (\d+) (EXISTS|EXPUNGE|RECENT)")


class Model:
    """What one client believes, from nothing but the server's words."""

    def __init__(self, case: ImapCase, random: Random) -> None:
        self.case = case
        self.random = random
        self.link: Link = case.log_in()
        self.uids: list[int] = []
        self.flags: list[frozenset[bytes] | None] = []
        self.idling = False
        self.read_only = False
        self.knows = random.random() < 0.5
        self.modseq = 0
        self.cache: dict[int, frozenset[bytes] | None] = {}
        if self.knows:
            self.say(b"ENABLE QRESYNC")
        self.select()

    def select(self) -> None:
        """Open the mailbox, one way or the other, and look at all of it."""
        self.read_only = self.random.random() < 0.2
        self.uids, self.flags = [], []
        verb = b"EXAMINE INBOX" if self.read_only else b"SELECT INBOX"
        if self.knows and self.modseq:
            self.come_back(verb)
        else:
            self.say(verb)
            self.look()
        self.cache = dict(zip(self.uids, self.flags, strict=True))

    def come_back(self, verb: bytes) -> None:
        """Open the mailbox again with what was known when it was opened last; that and what is told is all of it."""
        validity = self.case.world.result(self.case.mailbox().status()).uid_validity
        cache = self.cache
        self.say(b"%b (QRESYNC (%d %d))" % (verb, validity, self.modseq))
        cache.update({uid: flags for uid, flags in zip(self.uids, self.flags, strict=True) if uid})
        self.case.assertEqual(len(cache), len(self.uids))
        uids = sorted(cache)
        for known, uid in zip(self.uids, uids, strict=True):
            self.case.assertIn(known, (0, uid))
        self.uids, self.flags = uids, [cache[uid] for uid in uids]

    def vanished(self, earlier: bytes | None, uids: bytes, may_shift: bool) -> None:
        """Those in view go with their numbers, those told as earlier were in no view."""
        for low, high in sets.resolve(sets.parse_set(uids), 0):
            for uid in range(low, high + 1):
                if earlier:
                    self.cache.pop(uid, None)
                    self.case.assertNotIn(uid, self.uids)
                else:
                    self.case.assertTrue(may_shift, "VANISHED where it is forbidden")
                    place = self.place_of(uid)
                    del self.uids[place], self.flags[place]

    def place_of(self, uid: int) -> int:
        """Where a UID is in view; one that was never told is among those that were."""
        if uid in self.uids:
            return self.uids.index(uid)
        after = next((place for place, known in enumerate(self.uids) if known > uid), len(self.uids))
        place = max(place for place in range(after) if not self.uids[place])
        self.case.assertTrue(all(known < uid for known in self.uids[:place]))
        return place

    def look(self) -> None:
        """Ask for everything."""
        if self.uids:
            self.say(b"UID FETCH 1:* FLAGS")

    def say(self, command: bytes) -> None:
        """Say a command and believe the answer."""
        self.link.say(b"t " + command + b"\r\n")
        heard = self.link.take()
        self.case.assertRegex(heard.split(b"\r\n")[-2], rb"\At (OK|NO|BAD) ")
        self.case.assertNotIn(b"SERVERBUG", heard)
        self.hear(heard, command.split()[0] not in NUMBERED)

    def idle(self) -> None:
        """Begin to idle."""
        self.link.say(b"t IDLE\r\n")
        self.idling = True
        self.hear(self.link.take(), True)

    def done(self) -> None:
        """Stop idling."""
        if self.idling:
            self.link.say(b"DONE\r\n")
            self.idling = False
            self.hear(self.link.take(), True)

    def hear(self, heard: bytes, may_shift: bool) -> None:
        """Believe untagged responses; those that must not come are failures."""
        for line in heard.split(b"\r\n"):
            count, row = _COUNT.match(line), _ROW.match(line)
            gone, highest = _VANISHED.match(line), _HIGHEST.match(line)
            if highest is not None and b" Highest" in line:
                self.modseq = int(highest[1])
            if gone is not None:
                self.vanished(gone[1], gone[2], may_shift)
            elif count is not None:
                self.count(int(count[1]), count[2], may_shift)
            elif row is not None:
                self.row(int(row[1]), row[2], row[3])

    def count(self, number: int, what: bytes, may_shift: bool) -> None:
        """EXISTS never shrinks, EXPUNGE is of a message that is there, and comes only when it may."""
        if what == b"EXPUNGE":
            self.case.assertFalse(self.knows)
            self.case.assertTrue(may_shift, "EXPUNGE where it is forbidden")
            self.case.assertLessEqual(number, len(self.uids))
            del self.uids[number - 1], self.flags[number - 1]
        elif what == b"EXISTS":
            self.case.assertGreaterEqual(number, len(self.uids))
            self.uids.extend([0] * (number - len(self.uids)))
            self.flags.extend([None] * (number - len(self.flags)))
        else:
            self.case.assertLessEqual(number, len(self.uids))

    def row(self, number: int, uid: bytes | None, flags: bytes | None) -> None:
        """A row is of a message that is there and keeps its UID."""
        self.case.assertLessEqual(number, len(self.uids))
        if uid is not None:
            self.case.assertIn(self.uids[number - 1], (0, int(uid)))
            self.uids[number - 1] = int(uid)
        if flags is not None:
            self.flags[number - 1] = frozenset(flags.split()) - {b"\\Recent"}

    def step(self) -> None:
        """Do something."""
        random, count = self.random, max(len(self.uids), 1)
        one, two = random.randint(1, count), random.randint(1, count)
        flag = random.choice(FLAGS)
        choices = (
            b"NOOP",
            b"FETCH %d:%d (UID FLAGS)" % (one, two),
            b"FETCH %d (UID BODY[TEXT]<0.3>)" % one,
            b"UID FETCH 1:* (FLAGS)",
            b"STORE %d +FLAGS (%b)" % (one, flag),
            b"STORE %d:%d -FLAGS (%b)" % (one, two, flag),
            b"UID STORE %d FLAGS (%b)" % (max(self.uids, default=1), flag),
            b"SEARCH OR SEEN %b" % random.choice((b"DELETED", b"NEW", b"1:*")),
            b"UID SEARCH DELETED",
            b"EXPUNGE",
            b"UID EXPUNGE %d:*" % (max(self.uids, default=1)),
            b"COPY %d INBOX" % one,
            b"UID COPY %d Other" % max(self.uids, default=1),
            b"MOVE %d Other" % two,
            b"MOVE %d INBOX" % one,
            b"CHECK",
            b"APPEND INBOX (%b) {5+}\r\nab\r\nc" % flag,
        )
        self.done()
        what = random.randrange(len(choices) + 2)
        if what == len(choices):
            self.select()
        elif what > len(choices):
            self.idle()
        else:
            self.say(choices[what])


class ConsistencyTests(ImapCase):
    """Every session's picture is right in the end and never impossible on the way."""

    seeds = range(40)

    def play_random(self, seed: int, sessions: int, steps: int) -> None:
        random = Random(seed)
        self.setUp()
        self.world.result(self.mail.create("Other"))
        self.fill(5)
        models = [Model(self, random) for _ in range(sessions)]
        for _ in range(steps):
            model = random.choice(models)
            model.step()
            for other in models:
                if other.idling:
                    other.hear(other.link.take(), True)
        states = self.world.result(self.mailbox().states())
        uids = [state.uid for state in states]
        flags = [frozenset(flag.encode() for flag in state.flags) for state in states]
        for model in models:
            model.done()
            model.say(b"NOOP")
            self.assertEqual(len(model.uids), len(uids), f"seed {seed}")
            for known, uid in zip(model.uids, uids, strict=True):
                self.assertIn(known, (0, uid))
            for seen, have in zip(model.flags, flags, strict=True):
                self.assertIn(seen, (None, have), f"seed {seed}")
            model.look()
            self.assertEqual((model.uids, model.flags), (uids, flags))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_random_sessions(self) -> None:
        """Random histories of four sessions each."""
        for seed in self.seeds:
            self.play_random(seed, 4, 80)
