"""IMAP4rev2: the changes from IMAP4rev1 one by one.  RFC 9051 appendix E."""

from __future__ import annotations

from launcelot.testing.link import Link
from tests.protocols.imap4.world import MESSAGE, ImapCase


class Rev2Case(ImapCase):
    """Peers that have switched it on."""

    def rev2(self, mailbox: str = "", read_only: bool = False) -> Link:
        """A peer that has logged in, switched it on, and opened a mailbox, if one is named."""
        link = self.log_in()
        self.assertEqual(self.ask(link, b"ENABLE IMAP4rev2")[0], b"* ENABLED IMAP4rev2")
        if mailbox:
            self.ask(link, (b"EXAMINE " if read_only else b"SELECT ") + mailbox.encode())
        return link


class SampleTests(Rev2Case):
    """RFC 9051 section 8, as far as it fits here, and appendix A."""

    def test_sample_connection(self) -> None:
        """Both are offered; in the order of the sample connection."""
        self.fill(1)
        link = self.connect()
        self.assertIn(b"CAPABILITY IMAP4rev1 IMAP4rev2 ", self.ask(link, b"CAPABILITY")[0])
        self.ask(link, b"LOGIN ann pw")
        self.assertEqual(self.ask(link, b"ENABLE imap4REV2")[0], b"* ENABLED IMAP4rev2")
        opened = self.ask(link, b"SELECT inbox")
        self.assertIn(b"* 1 EXISTS", opened)
        self.assertIn(b'* LIST (\\HasNoChildren) "/" "INBOX" ("OLDNAME" ("inbox"))', opened)
        self.assertIn(b"FLAGS (\\Seen)", self.ask(link, b"STORE 1 +FLAGS (\\Seen)")[0])
        self.assertEqual(self.ask(link, b"LOGOUT")[0], b"* BYE Logging out")

    def test_nothing_changes_for_others(self) -> None:
        """Without ENABLE every answer is IMAP4rev1's, and one session's choice is not another's."""
        self.fill(1)
        self.rev2("INBOX")
        link = self.log_in()
        opened = self.ask(link, b"SELECT INBOX")
        self.assertIn(b"* 1 RECENT", opened)
        self.assertFalse([line for line in opened if line.startswith(b"* LIST")])
        self.assertEqual(self.ask(link, b"SEARCH ALL")[0], b"* SEARCH 1")

    def test_unauthenticate_ends_it(self) -> None:
        """RFC 8437 section 4.1."""
        self.fill(1)
        link = self.rev2("INBOX")
        self.ask(link, b"UNAUTHENTICATE")
        self.ask(link, b"LOGIN ann pw")
        self.ask(link, b"SELECT INBOX")
        self.assertEqual(self.ask(link, b"SEARCH ALL")[0], b"* SEARCH 1")


class AppendixETests(Rev2Case):
    """One test for each change that a server can show; the others are about words, ABNF of clients and registration."""

    def test_01_sizes_of_64_bits(self) -> None:
        """In partial fetches and searches; past them it is BAD."""
        self.fill(1)
        link = self.rev2("INBOX")
        self.assertEqual(
            self.ask(link, b"FETCH 1 BODY.PEEK[]<9223372036854775807.9223372036854775807>")[0],
            b"* 1 FETCH (BODY[]<9223372036854775807> {0}",
        )
        self.assertEqual(self.ask(link, b"SEARCH SMALLER 9223372036854775807")[0], b'* ESEARCH (TAG "t") ALL 1')
        self.assertEqual(self.ask(link, b"SEARCH LARGER 9223372036854775807")[0], b'* ESEARCH (TAG "t")')
        self.ask(link, b"SEARCH LARGER 9223372036854775808", b"BAD")
        self.ask(link, b"FETCH 1 BODY.PEEK[]<9223372036854775808.1>", b"BAD")
        self.ask(link, b"FETCH 1 BODY.PEEK[]<0.0>", b"BAD")

    def test_02_folded_extensions(self) -> None:
        """Each works, and is told to clients of IMAP4rev1, too."""
        self.fill(2)
        told = self.ask(self.log_in(), b"CAPABILITY")[0].split()
        for name in (
            b"NAMESPACE UNSELECT UIDPLUS ESEARCH SEARCHRES ENABLE IDLE LIST-EXTENDED LIST-STATUS MOVE LITERAL+ BINARY SPECIAL-USE"
        ).split():
            self.assertIn(name, told)
        link = self.rev2("INBOX")
        self.assertEqual(self.ask(link, b"NAMESPACE")[-1][:2], b"OK")
        self.ask(link, b"SEARCH RETURN (SAVE) ALL")
        self.assertIn(b"* 2 FETCH (BINARY.SIZE[1] ", b"".join(self.ask(link, b"FETCH $ BINARY.SIZE[1]")))
        self.assertIn(b"* STATUS", b"".join(self.ask(link, b'LIST "" "*" RETURN (STATUS (MESSAGES) SPECIAL-USE)')))
        self.assertIn(b"[APPENDUID ", self.ask(link, b"APPEND INBOX {2+}\r\nx\n")[-1])
        self.ask(link, b"UNSELECT")

    def test_03_status_size_and_deleted(self) -> None:
        """Both are numbers."""
        self.fill(2, flags=("\\Deleted",))
        answer = self.ask(self.rev2(), b"STATUS INBOX (SIZE DELETED)")[0]
        self.assertEqual(answer, b'* STATUS "INBOX" (SIZE %d DELETED 2)' % (2 * len(MESSAGE)))

    def test_04_search_answers_with_esearch(self) -> None:
        """Always; no RETURN, or an empty one, means ALL; nothing found is an answer, too."""
        self.fill(3)
        link = self.rev2("INBOX")
        for command, answer in (
            (b"SEARCH ALL", b'* ESEARCH (TAG "t") ALL 1:3'),
            (b"UID SEARCH ALL", b'* ESEARCH (TAG "t") UID ALL 1:3'),
            (b"SEARCH RETURN () ALL", b'* ESEARCH (TAG "t") ALL 1:3'),
            (b"SEARCH RETURN (COUNT) ALL", b'* ESEARCH (TAG "t") COUNT 3'),
            (b"SEARCH DELETED", b'* ESEARCH (TAG "t")'),
        ):
            self.assertEqual(self.ask(link, command)[0], answer)
        self.assertRegex(self.ask(link, b"SEARCH MODSEQ 1")[-2], rb'^\* ESEARCH \(TAG "t"\) ALL 1:3 MODSEQ \d+$')

    def test_05_substrings(self) -> None:
        """Text is found anywhere in a word, keywords only whole."""
        self.fill(1, flags=("Keyword",))
        link = self.rev2("INBOX")
        self.assertEqual(self.ask(link, b'SEARCH SUBJECT "minute"')[0], b'* ESEARCH (TAG "t") ALL 1')
        self.assertEqual(self.ask(link, b"SEARCH KEYWORD Key")[0], b'* ESEARCH (TAG "t")')

    def test_06_parameter_continuations(self) -> None:
        """RFC 2231: a name in pieces is one."""
        self.fill(1, b'Content-Type: text/plain; name*0="a"; name*1="b.txt"\r\n\r\nx\r\n')
        self.assertIn(b'" "ab.txt"', self.ask(self.rev2("INBOX"), b"FETCH 1 BODYSTRUCTURE")[0])

    def test_07_move_tells_where(self) -> None:
        """MOVE and UID MOVE alike."""
        self.fill(2)
        link = self.rev2()
        self.ask(link, b"CREATE there")
        self.ask(link, b"SELECT INBOX")
        for command in (b"MOVE 1 there", b"UID MOVE 2 there"):
            self.assertIn(b"OK [COPYUID ", b"\r\n".join(self.ask(link, command)))

    def test_08_copies_make_no_mailbox(self) -> None:
        """TRYCREATE, and the mailbox is still not there."""
        self.fill(1)
        link = self.rev2("INBOX")
        for command in (b"COPY 1 there", b"MOVE 1 there", b"UID COPY 1 there"):
            self.ask(link, command, b"NO [TRYCREATE] ")
        self.ask(link, b"STATUS there (MESSAGES)", b"NO [NONEXISTENT] ")

    def test_09_closed(self) -> None:
        """Between two mailboxes, and when the second is not there."""
        link = self.rev2("INBOX")
        for name, condition in ((b"INBOX", b"OK"), (b"nowhere", b"NO")):
            self.assertTrue(self.ask(link, b"SELECT " + name, condition)[0].startswith(b"* OK [CLOSED] "))

    def test_10_select_answers_with_list(self) -> None:
        """And with the attributes; EXAMINE likewise; in the one spelling and with the other."""
        link = self.rev2()
        self.ask(link, 'CREATE "gr\u00fcn/gelb"'.encode())
        green, decomposed = "gr\u00fcn".encode(), "gru\u0308n".encode()
        for verb in (b"SELECT ", b"EXAMINE "):
            self.assertIn(b'* LIST (\\HasChildren) "/" "%b"' % green, self.ask(link, verb + b'"%b"' % green))
            self.assertIn(
                b'* LIST (\\HasChildren) "/" "%b" ("OLDNAME" ("%b"))' % (green, decomposed),
                self.ask(link, verb + b'"%b"' % decomposed),
            )

    def test_11_and_12_no_unseen_and_no_recent(self) -> None:
        """Neither when a mailbox is opened nor when mail comes; nor is anything claimed from others."""
        self.fill(2)
        link = self.rev2()
        heard = self.ask(link, b"SELECT INBOX")
        self.fill(1)
        heard += self.ask(link, b"NOOP") + self.ask(link, b"FETCH 1:* FLAGS")
        self.assertIn(b"* 3 EXISTS", heard)
        self.assertFalse([line for line in heard if b"RECENT" in line.upper() or b"UNSEEN" in line])
        self.assertIn(b"* 3 RECENT", self.ask(self.log_in(), b"SELECT INBOX"))

    def test_12_enabled_while_a_mailbox_is_selected(self) -> None:
        """What was recent is not any more."""
        self.fill(1)
        link = self.log_in("INBOX")
        self.assertIn(b"\\Recent", self.ask(link, b"FETCH 1 FLAGS")[0])
        self.ask(link, b"ENABLE IMAP4rev2")
        self.fill(1)
        heard = b"".join(self.ask(link, b"NOOP") + self.ask(link, b"FETCH 1:2 FLAGS"))
        self.assertIn(b"2 EXISTS", heard)
        self.assertNotIn(b"RECENT", heard.upper())

    def test_15_keywords(self) -> None:
        """Those of RFC 9051 section 2.3.2 can be kept."""
        self.fill(1)
        link = self.rev2("INBOX")
        for keyword in (b"$MDNSent", b"$Forwarded", b"$Junk", b"$NonJunk", b"$Phishing"):
            self.assertIn(keyword, self.ask(link, b"STORE 1 +FLAGS (%b)" % keyword)[-2])

    def test_16_names_in_utf_8(self) -> None:
        """Both ways, quoted and as literals; an ampersand stands for itself; headers may have UTF-8."""
        link = self.rev2()
        name = "\u53f0\u5317 & &U,BTFw-"
        self.assertEqual(self.ask(link, f'CREATE "{name}"'.encode())[-1][:2], b"OK")
        raw = name.encode()
        self.ask(link, b"SUBSCRIBE {%d+}\r\n%b" % (len(raw), raw))
        listed = self.ask(link, b'LIST (SUBSCRIBED) "" "*"')[0]
        self.assertTrue(listed.endswith(f'"/" "{name}"'.encode()), listed)
        self.assertIn(f'"{name}"'.encode(), self.ask(link, f'STATUS "{name}" (MESSAGES)'.encode())[0])
        self.fill(1, "Subject: gr\u00fcn\r\n\r\nx\r\n".encode())
        self.ask(link, b"SELECT INBOX")
        self.assertIn("gr\u00fcn".encode(), b"".join(self.ask(link, b"FETCH 1 ENVELOPE")))
        self.assertEqual(self.ask(link, 'SEARCH SUBJECT "GR\u00dcN"'.encode())[0], b'* ESEARCH (TAG "t") ALL 1')

    def test_16_names_of_others_stay_in_utf_7(self) -> None:
        """Appendix A.1: a client of IMAP4rev1 sees what it can read."""
        self.ask(self.rev2(), 'CREATE "\u53f0\u5317"'.encode())
        self.assertIn(b'"&U,BTFw-"', b"".join(self.ask(self.log_in(), b'LIST "" "*"')))

    def test_16_names_that_are_spelled_anew(self) -> None:
        """CREATE, APPEND, RENAME and DELETE tell of it with OLDNAME."""
        link = self.rev2()
        composed, decomposed = "\u00e9".encode(), "e\u0301".encode()
        row = b'* LIST (%b) "/" "%b" ("OLDNAME" ("%b"))'
        self.assertIn(row % (b"", composed, decomposed), self.ask(link, b'CREATE "%b"' % decomposed))
        self.assertIn(row % (b"", composed, decomposed), self.ask(link, b'APPEND "%b" {2+}\r\nx\n' % decomposed))
        told = self.ask(link, b'RENAME "%b" "x%b"' % (decomposed, decomposed))
        self.assertIn(row % (b"", b"x" + composed, decomposed), told)
        self.assertIn(row % (b"", b"x" + composed, b"x" + decomposed), told)
        self.assertIn(row % (b"\\NonExistent", b"x" + composed, b"x" + decomposed), self.ask(link, b'DELETE "x%b"' % decomposed))
        self.assertEqual(len(self.ask(link, b'CREATE "%b"' % composed)), 1)

    def test_17_to_19_what_is_obsolete_is_still_answered(self) -> None:
        """CHECK, RFC822 and its parts, LSUB, STATUS RECENT, for clients that ask."""
        self.fill(1)
        link = self.rev2("INBOX")
        for command in (b"CHECK", b"FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT)", b'LSUB "" *', b"STATUS INBOX (RECENT)"):
            self.ask(link, command)

    def test_19_names_above_others(self) -> None:
        r"""LIST has a word for them that LSUB had not: \NonExistent."""
        link = self.rev2()
        self.ask(link, b"CREATE a/b")
        self.ask(link, b"DELETE a")
        self.assertIn(b'* LIST (\\NonExistent \\HasChildren) "/" "a"', self.ask(link, b'LIST "" %'))

    def test_20_idle(self) -> None:
        """News come while nobody asks."""
        link = self.rev2("INBOX")
        link.say(b"i IDLE\r\n")
        link.take()
        self.fill(1)
        self.assertEqual(link.take(), b"* 1 EXISTS\r\n")

    def test_21_unsolicited_fetch_has_a_uid(self) -> None:
        """When others have changed flags."""
        (uid,) = self.fill(1)
        link, other = self.rev2("INBOX"), self.log_in("INBOX")
        self.ask(other, b"STORE 1 +FLAGS (\\Flagged)")
        self.assertEqual(self.ask(link, b"NOOP")[0], b"* 1 FETCH (UID %d FLAGS (\\Flagged))" % uid)

    def test_27_scram(self) -> None:
        """SCRAM-SHA-256 in the place of DIGEST-MD5."""
        told = self.ask(self.connect(), b"CAPABILITY")[0]
        self.assertIn(b" AUTH=SCRAM-SHA-256 ", told)
        self.assertNotIn(b"DIGEST-MD5", told)

    def test_28_any_command_counts_for_the_timer(self) -> None:
        """Autologout runs from the last one."""
        link = self.rev2()
        for _ in range(3):
            self.world.advance(self.factory.settings.idle_timeout - 60, 60)
            self.ask(link, b"NOOP")
        self.world.advance(self.factory.settings.idle_timeout + 60, 60)
        self.assertIn(b"* BYE ", link.take())
