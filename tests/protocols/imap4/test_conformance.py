"""
What RFC 3501 and RFC 9051 demand, section by section, and the rules that clients trip over, as scripts of several sessions.

Each is played in memory, on files, and octet by octet; what is expected was written from the standards, not from the server.
"""

from __future__ import annotations

from tests.protocols.imap4.script import ScriptCase


class NumberTests(ScriptCase):
    """Message numbers, UIDs and EXISTS.  RFC 3501 sections 2.3.1, 5.2, 7.3.1 and 7.4.1."""

    def test_no_expunge_while_numbers_are_used(self) -> None:
        """Not in FETCH, STORE and SEARCH, nor in SORT and THREAD; in the UID forms of the first two, in NOOP and CHECK it may."""
        self.script(r"""
            fill 4
            1> SELECT INBOX
            ~
            2> SELECT INBOX
            ~
            2> STORE 2 +FLAGS.SILENT (\Deleted)
            OK
            2> EXPUNGE
            * 2 EXPUNGE
            OK
            1> FETCH 1,3 UID
            * 1 FETCH (UID 1)
            * 3 FETCH (UID 3)
            OK
            1> SEARCH ALL
            * SEARCH 1 3 4
            OK
            1> SORT (ARRIVAL) UTF-8 ALL
            * SORT 1 3 4
            OK
            1> UID SEARCH ALL
            * SEARCH 1 3 4
            OK
            1> STORE 4 +FLAGS (\Draft)
            * 4 FETCH (FLAGS (\Draft <>))
            OK
            1> THREAD ORDEREDSUBJECT UTF-8 ALL
            * THREAD <>
            OK
            1> FETCH 2 UID
            NO [EXPUNGEISSUED]
            1> UID FETCH 3 FLAGS
            * 3 FETCH (UID 3 FLAGS (\Recent))
            * 2 EXPUNGE
            ~
            OK
            1> FETCH 2:* UID
            * 2 FETCH (UID 3)
            * 3 FETCH (UID 4)
            OK
        """)

    def test_noop_and_check_and_copy_tell_expunges(self) -> None:
        """Highest numbers first or as they shift: each is right when it is told."""
        self.script(r"""
            fill 5
            1> SELECT INBOX
            ~
            2> SELECT INBOX
            ~
            2> STORE 1,3 +FLAGS.SILENT (\Deleted)
            OK
            2> EXPUNGE
            * 3 EXPUNGE
            * 1 EXPUNGE
            OK
            1> NOOP
            * 3 EXPUNGE
            * 1 EXPUNGE
            ~
            OK
            2> STORE 1 +FLAGS.SILENT (\Deleted)
            OK
            2> CLOSE
            OK
            1> CHECK
            * 1 EXPUNGE
            ~
            OK
            1> UID SEARCH ALL
            * SEARCH 4 5
            OK
        """)

    def test_uids_ascend_and_are_never_used_again(self) -> None:
        """Not after the last message is gone, nor after the mailbox was opened anew; UIDNEXT tells the next."""
        self.script(r"""
            fill 2
            1> SELECT INBOX
            ~
            * OK [UIDNEXT 3] <>
            ~
            1> STORE 1:2 +FLAGS.SILENT (\Deleted)
            OK
            1> EXPUNGE
            ~
            OK
            1> APPEND INBOX {3+}¶abc
            * 1 EXISTS
            * 1 RECENT
            OK [APPENDUID <n> 3]
            1> STORE 1 +FLAGS.SILENT (\Deleted)
            OK
            1> CLOSE
            OK
            1> STATUS INBOX (UIDNEXT MESSAGES)
            * STATUS "INBOX" (UIDNEXT 4 MESSAGES 0)
            OK
            1> APPEND INBOX {1+}¶a {1+}¶b
            OK [APPENDUID <n> 4:5]
            1> SELECT INBOX
            ~
            1> UID COPY 4:5 INBOX
            * 4 EXISTS
            ~
            OK [COPYUID <n> 4:5 6:7]
            1> UID MOVE 4 INBOX
            * OK [COPYUID <n> 4 8] <>
            * 1 EXPUNGE
            * 4 EXISTS
            ~
            OK
            1> UID FETCH 1:* UID
            * 1 FETCH (UID 5)
            * 2 FETCH (UID 6)
            * 3 FETCH (UID 7)
            * 4 FETCH (UID 8)
            OK
        """)

    def test_sets_of_uids(self) -> None:
        """A star is the last message, also where the range is turned round; what does not exist is passed over in silence."""
        self.script(r"""
            fill 3
            1> SELECT INBOX
            ~
            1> STORE 2 +FLAGS.SILENT (\Deleted)
            OK
            1> EXPUNGE
            ~
            OK
            1> UID FETCH 99:* UID
            * 2 FETCH (UID 3)
            OK
            1> UID FETCH *:2 UID
            * 2 FETCH (UID 3)
            OK
            1> UID FETCH 2 UID
            OK
            1> UID FETCH 3,1,1:3 UID
            * 1 FETCH (UID 1)
            * 2 FETCH (UID 3)
            OK
            1> UID STORE 2,77 +FLAGS (\Seen)
            OK
            1> FETCH *:1 UID
            * 1 FETCH (UID 1)
            * 2 FETCH (UID 3)
            OK
            1> FETCH 3 UID
            BAD
            1> FETCH 0 UID
            BAD
            1> UID FETCH 0 UID
            BAD
            1> FETCH 1: UID
            BAD
            1> FETCH 4294967296 UID
            BAD
        """)

    def test_recent_is_for_one_session(self) -> None:
        """The first that selects, or is told; EXAMINE and STATUS leave it; SEARCH knows it; nobody can set it."""
        self.script(r"""
            fill 2
            1> EXAMINE INBOX
            ~
            * 2 RECENT
            ~
            OK [READ-ONLY]
            1> UNSELECT
            OK
            1> STATUS INBOX (RECENT)
            * STATUS "INBOX" (RECENT 2)
            OK
            1> SELECT INBOX
            ~
            * 2 RECENT
            ~
            OK
            2> SELECT INBOX
            ~
            * 0 RECENT
            ~
            OK
            2> FETCH 1 FLAGS
            * 1 FETCH (FLAGS ())
            OK
            1> FETCH 1 FLAGS
            * 1 FETCH (FLAGS (\Recent))
            OK
            1> SEARCH NEW
            * SEARCH 1 2
            OK
            2> SEARCH OLD
            * SEARCH 1 2
            OK
            2> APPEND INBOX {1+}¶x
            * 3 EXISTS
            * 1 RECENT
            OK
            1> NOOP
            * 3 EXISTS
            * 2 RECENT
            OK
            1> STORE 1 +FLAGS (\Recent)
            BAD
            1> APPEND INBOX (\Recent) {1+}¶x
            BAD
        """)


class FlagTests(ScriptCase):
    """Flags.  RFC 3501 sections 2.3.2, 6.4.5, 6.4.6 and 7.2.6."""

    def test_seen_is_set_by_what_reads(self) -> None:
        """By BODY[...], RFC822, RFC822.TEXT and BINARY[...] in SELECT; not by PEEK, RFC822.HEADER, sizes, structures."""
        self.script(r"""
            fill 9
            1> SELECT INBOX
            ~
            1> FETCH 1 BODY.PEEK[]<0.1>
            * 1 FETCH (BODY[]<0> {1}
            F)
            OK
            1> FETCH 1 (RFC822.HEADER)
            ~
            OK
            1> FETCH 1 (ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE BINARY.SIZE[1] PREVIEW)
            ~
            OK
            1> FETCH 1 BINARY.PEEK[1]<0.1>
            * 1 FETCH (BINARY[1]<0> {1}
            H)
            OK
            1> FETCH 1 FLAGS
            * 1 FETCH (FLAGS (\Recent))
            OK
            1> FETCH 1 BODY[]<0.1>
            * 1 FETCH (FLAGS (\Seen \Recent) BODY[]<0> {1}
            F)
            OK
            1> FETCH 1 BODY[]<0.1>
            * 1 FETCH (BODY[]<0> {1}
            F)
            OK
            1> FETCH 2 RFC822.TEXT
            * 2 FETCH (FLAGS (\Seen \Recent) RFC822.TEXT {55}
            Hello Joe, do you think we can meet at 3:30 tomorrow?
            )
            OK
            1> FETCH 3 BINARY[1]<0.1>
            * 3 FETCH (FLAGS (\Seen \Recent) BINARY[1]<0> {1}
            H)
            OK
            1> FETCH 4 BODY[HEADER.FIELDS (X-NONE)]
            * 4 FETCH (FLAGS (\Seen \Recent) BODY[HEADER.FIELDS (X-NONE)] {2}

            )
            OK
            1> FETCH 5 (BODY.PEEK[TEXT]<0.1> BODY[TEXT]<0.2>)
            * 5 FETCH (FLAGS (\Seen \Recent) BODY[TEXT]<0> {1}
            H BODY[TEXT]<0> {2}
            He)
            OK
            1> FETCH 6 (FLAGS BODY[1.MIME])
            * 6 FETCH (FLAGS (\Seen \Recent) BODY[1.MIME] <>
            ~
            OK
            1> SEARCH UNSEEN
            * SEARCH 7 8 9
            OK
        """)

    def test_examine_never_writes(self) -> None:
        """Neither flags nor messages; commands that would are NO, and CLOSE removes nothing."""
        self.script(r"""
            fill 2 \Deleted
            1> EXAMINE INBOX
            ~
            * OK [PERMANENTFLAGS ()] <>
            ~
            OK [READ-ONLY]
            1> FETCH 1 (BODY[]<0.1> FLAGS)
            * 1 FETCH (BODY[]<0> {1}
            F FLAGS (\Deleted \Recent))
            OK
            1> STORE 1 +FLAGS (\Seen)
            NO
            1> EXPUNGE
            NO
            1> UID EXPUNGE 1:*
            NO
            1> MOVE 1 INBOX
            NO
            1> REPLACE 1 INBOX {1+}¶x
            NO
            1> COPY 1 INBOX
            * 3 EXISTS
            ~
            OK
            1> CLOSE
            OK
            1> STATUS INBOX (MESSAGES UNSEEN)
            * STATUS "INBOX" (MESSAGES 3 UNSEEN 3)
            OK
        """)

    def test_ways_to_store(self) -> None:
        """Replace, add and take, with and without an answer, with and without parentheses; keywords without case."""
        self.script(r"""
            fill 2
            1> SELECT INBOX
            ~
            1> STORE 1:2 FLAGS (\Seen \Flagged)
            * 1 FETCH (FLAGS (\Flagged \Seen \Recent))
            * 2 FETCH (FLAGS (\Flagged \Seen \Recent))
            OK
            1> STORE 2 -FLAGS \seen
            * 2 FETCH (FLAGS (\Flagged \Recent))
            OK
            1> STORE 2 +FLAGS.SILENT (\ANSWERED)
            OK
            1> STORE 2 FLAGS ()
            * 2 FETCH (FLAGS (\Recent))
            OK
            1> STORE 1 +FLAGS ($Forwarded $MDNSent $Junk $NotJunk $Phishing)
            * FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Forwarded $Junk $MDNSent $NotJunk $Phishing)
            * OK [PERMANENTFLAGS (<> \*)] <>
            * 1 FETCH (FLAGS (\Flagged \Seen \Recent $Forwarded $Junk $MDNSent $NotJunk $Phishing))
            OK
            1> STORE 1 -FLAGS ($FORWARDED $mdnsent)
            * 1 FETCH (FLAGS (\Flagged \Seen \Recent $Junk $NotJunk $Phishing))
            OK
            1> SEARCH KEYWORD $junk UNKEYWORD $Forwarded
            * SEARCH 1
            OK
            1> STORE 1 FLAGS (\Bogus)
            BAD
            1> STORE 1 FLAGS
            BAD
            1> STORE 1 FLAGZ ()
            BAD
        """)

    def test_changes_of_others_are_told_once(self) -> None:
        """Before the answer of a silent STORE, so that there is no doubt; one's own are not told twice."""
        self.script(r"""
            fill 2
            1> SELECT INBOX
            ~
            2> SELECT INBOX
            ~
            2> STORE 1 +FLAGS.SILENT (\Flagged)
            OK
            1> STORE 1 +FLAGS.SILENT (\Seen)
            * 1 FETCH (FLAGS (\Flagged \Recent))
            OK
            1> NOOP
            OK
            2> NOOP
            * 1 FETCH (FLAGS (\Flagged \Seen))
            OK
            2> NOOP
            OK
        """)


class TextTests(ScriptCase):
    """Octets of messages.  RFC 3501 section 6.4.5."""

    BODY = b"From: a@b\r\nSubject: x\r\n folded\r\nX: \"q\\\" {3}\r\n\r\n* OK no\r\nt BAD no\r\n)\r\n\xff\x01\r\n.\r\n"

    def test_octets_are_exact(self) -> None:
        """Whatever looks like protocol in them; sizes are of octets; partials begin and end where they were asked to."""
        self.fill(1, self.BODY)
        link = self.log_in("INBOX")
        size = len(self.BODY)

        def told(item: bytes, label: bytes, octets: bytes) -> None:
            link.say(b"t FETCH 1 (%b)\r\n" % item)
            wanted = b"* 1 FETCH (%b {%d}\r\n%b)\r\nt OK FETCH completed\r\n" % (label, len(octets), octets)
            self.assertEqual(link.take(), wanted)

        self.ask(link, b"FETCH 1 BODY[]")
        self.assertEqual(self.ask(link, b"FETCH 1 RFC822.SIZE")[0], b"* 1 FETCH (RFC822.SIZE %d)" % size)
        header, _, text = self.BODY.partition(b"\r\n\r\n")
        told(b"BODY[]", b"BODY[]", self.BODY)
        told(b"RFC822", b"RFC822", self.BODY)
        told(b"BODY[HEADER]", b"BODY[HEADER]", header + b"\r\n\r\n")
        told(b"BODY[TEXT]", b"BODY[TEXT]", text)
        told(b"BODY[1]", b"BODY[1]", text)
        told(b"BODY[HEADER.FIELDS (subject)]", b"BODY[HEADER.FIELDS (subject)]", b"Subject: x\r\n folded\r\n\r\n")
        told(b'BODY[HEADER.FIELDS.NOT ("SUBJECT" x)]', b"BODY[HEADER.FIELDS.NOT (SUBJECT x)]", b"From: a@b\r\n\r\n")
        for first in (0, 1, 9, size - 1, size, size + 1, 1 << 40):
            for length in (1, 2, size, 1 << 40):
                told(b"BODY[]<%d.%d>" % (first, length), b"BODY[]<%d>" % first, self.BODY[first : first + length])
                told(b"BODY[TEXT]<%d.%d>" % (first, length), b"BODY[TEXT]<%d>" % first, text[first : first + length])
        self.ask(link, b"FETCH 1 BODY[]<0.0>", b"BAD")
        self.ask(link, b"FETCH 1 BODY[]<-1.1>", b"BAD")

    def test_every_item_at_once(self) -> None:
        """One response, every item where it was asked for, each once."""
        self.script(r"""
            fill 1
            1> SELECT INBOX
            ~
            1> FETCH 1 (UID FLAGS UID INTERNALDATE RFC822.SIZE MODSEQ EMAILID SAVEDATE BODY.PEEK[]<0.1> FLAGS)
            * OK [HIGHESTMODSEQ <n>] <>
            * 1 FETCH (UID 1 FLAGS (\Recent) INTERNALDATE <> RFC822.SIZE 271 MODSEQ (<n>) EMAILID (<>) SAVEDATE <> BODY[]<0> {1}
            F)
            OK
            1> FETCH 1 ALL
            * 1 FETCH (FLAGS (\Recent) INTERNALDATE <> RFC822.SIZE 271 ENVELOPE (<>))
            OK
            1> FETCH 1 (FAST)
            BAD
            1> FETCH 1 (FLAGS FAST)
            BAD
            1> FETCH 1 ()
            BAD
            1> FETCH 1 FLAGS UID
            BAD
            1> FETCH 1 BODY[MIME]
            BAD
            1> FETCH 1 BODY[HEADER.FIELDS ()]
            BAD
        """)


class NameTests(ScriptCase):
    """Mailboxes.  RFC 3501 sections 5.1 and 6.3."""

    def test_life_of_a_mailbox(self) -> None:
        """Made with those above it, renamed with those below, deleted alone; INBOX is always there, in any case."""
        self.script(r"""
            1> CREATE owatagusiam/
            OK
            1> CREATE owatagusiam/blurdybloop
            OK
            1> CREATE owatagusiam/blurdybloop
            NO [ALREADYEXISTS]
            1> CREATE inbox
            NO
            1> LIST "" owa*
            * LIST (\HasChildren) "/" "owatagusiam"
            * LIST (\HasNoChildren) "/" "owatagusiam/blurdybloop"
            OK
            1> RENAME owatagusiam other/deep
            OK
            1> LIST "" *
            * LIST (\HasNoChildren) "/" "INBOX"
            * LIST (\HasChildren) "/" "other"
            * LIST (\HasChildren) "/" "other/deep"
            * LIST (\HasNoChildren) "/" "other/deep/blurdybloop"
            OK
            1> DELETE other/deep
            OK
            1> LIST "" other/*
            * LIST (\Noselect \HasChildren) "/" "other/deep"
            * LIST (\HasNoChildren) "/" "other/deep/blurdybloop"
            OK
            1> SELECT other/deep
            NO [NONEXISTENT]
            1> DELETE other/deep
            NO
            1> DELETE iNBoX
            NO
            1> DELETE nope
            NO [NONEXISTENT]
            1> RENAME nope x
            NO [NONEXISTENT]
            1> RENAME other INBOX
            NO
            1> SELECT iNbOx
            ~
            OK
        """)

    def test_a_new_mailbox_of_an_old_name(self) -> None:
        """It has a larger UIDVALIDITY or larger UIDs, and another id."""
        self.script(r"""
            1> CREATE a
            OK [MAILBOXID (<>)]
            1> STATUS a (UIDVALIDITY)
            ~
            OK
        """)
        link = self.log_in()
        seen = []
        for _ in range(3):
            self.ask(link, b"APPEND a {1+}\r\nx")
            seen.append(self.ask(link, b"STATUS a (UIDVALIDITY)")[0])
            self.ask(link, b"DELETE a")
            self.ask(link, b"CREATE a")
        self.assertEqual(seen, sorted(set(seen)))

    def test_renaming_inbox(self) -> None:
        """Its messages go to the new mailbox, it stays empty, what is below it stays, and who has it open is told."""
        self.script(r"""
            fill 2
            1> CREATE INBOX/sub
            OK
            1> SELECT INBOX
            ~
            2> RENAME INBOX old
            OK
            1> NOOP
            * 2 EXPUNGE
            * 1 EXPUNGE
            ~
            OK
            2> LIST "" *
            * LIST (\HasChildren) "/" "INBOX"
            * LIST (\HasNoChildren) "/" "INBOX/sub"
            * LIST (\HasNoChildren) "/" "old"
            OK
            2> STATUS old (MESSAGES)
            * STATUS "old" (MESSAGES 2)
            OK
        """)

    def test_a_select_that_fails(self) -> None:
        """Leaves none selected, whatever was before; one that is not understood changes nothing."""
        self.script(r"""
            fill 1
            1> SELECT INBOX
            ~
            1> SELECT INBOX (FOO)
            BAD
            1> FETCH 1 UID
            * 1 FETCH (UID 1)
            OK
            1> SELECT nope
            * OK [CLOSED] <>
            NO [NONEXISTENT]
            1> FETCH 1 UID
            BAD
            1> CLOSE
            BAD
        """)

    def test_listing(self) -> None:
        """The star is anything, the percent sign a level; the empty pattern asks for the separator; references are put before."""
        self.script(r"""
            1> CREATE a/b/c
            OK
            1> CREATE "a b"
            OK
            1> LIST "" ""
            * LIST (\Noselect) "/" ""
            OK
            1> LIST "" %
            * LIST (\HasNoChildren) "/" "INBOX"
            * LIST (\HasChildren) "/" "a"
            * LIST (\HasNoChildren) "/" "a b"
            OK
            1> LIST a/ %
            * LIST (\HasChildren) "/" "a/b"
            OK
            1> LIST a/b *
            * LIST (\HasChildren) "/" "a/b"
            * LIST (\HasNoChildren) "/" "a/b/c"
            OK
            1> LIST "" %/%
            * LIST (\HasChildren) "/" "a/b"
            OK
            1> LIST "" *c
            * LIST (\HasNoChildren) "/" "a/b/c"
            OK
            1> LIST "" "a *"
            * LIST (\HasNoChildren) "/" "a b"
            OK
            1> LIST "" a b
            BAD
            1> SUBSCRIBE a/b/c
            OK
            1> LSUB "" %
            * LSUB (\Noselect) "/" "a"
            OK
            1> LSUB "" *
            * LSUB () "/" "a/b/c"
            OK
            1> DELETE a/b/c
            OK
            1> LSUB "" *
            * LSUB (\Noselect) "/" "a/b/c"
            OK
            1> UNSUBSCRIBE a/b/c
            OK
            1> LSUB "" *
            OK
        """)

    def test_modified_utf_7(self) -> None:
        """Names go over the wire in it both ways; an ampersand is &-."""
        self.script(r"""
            1> CREATE ~peter/mail/&U,BTFw-/&ZeVnLIqe-
            OK
            1> LIST "" ~peter/mail/*
            * LIST (\HasChildren) "/" "~peter/mail/&U,BTFw-"
            * LIST (\HasNoChildren) "/" "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
            OK
            1> CREATE "R&-D"
            OK
            1> STATUS "R&-D" (MESSAGES)
            * STATUS "R&-D" (MESSAGES 0)
            OK
            1> ENABLE UTF8=ACCEPT
            * ENABLED UTF8=ACCEPT
            OK
            1> LIST "" ("R&D" "~peter/mail/台北/%")
            * LIST () "/" "R&D"
            * LIST () "/" "~peter/mail/台北/日本語"
            OK
        """)

    def test_deleted_while_selected(self) -> None:
        """By another: BYE (RFC 2180 section 3.3); by oneself: no mailbox is selected any more."""
        self.script(r"""
            1> CREATE a
            OK
            1> CREATE b
            OK
            1> SELECT a
            ~
            2> SELECT b
            ~
            1> DELETE a
            OK
            1> FETCH 1 UID
            BAD
            1> DELETE b
            OK
            2> NOOP
            * BYE <>
        """)


class AppendTests(ScriptCase):
    """APPEND, COPY and EXPUNGE.  RFC 3501 sections 6.3.11, 6.4.2, 6.4.3 and 6.4.7."""

    def test_append(self) -> None:
        """Flags and date are kept; the mailbox that is open tells of it at once; where there is none TRYCREATE."""
        self.script(r"""
            1> SELECT INBOX
            ~
            1> APPEND INBOX (\Seen $Label) "17-Jul-1996 02:44:25 -0700" {6+}¶a: b¶
            * 1 EXISTS
            * 1 RECENT
            OK [APPENDUID <n> 1]
            1> FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)
            * FLAGS <>
            * OK [PERMANENTFLAGS <>
            * 1 FETCH (FLAGS (\Seen \Recent $Label) INTERNALDATE "17-Jul-1996 02:44:25 -0700" RFC822.SIZE 6)
            OK
            1> APPEND nope {1+}¶x
            NO [TRYCREATE]
            1> APPEND INBOX {0+}¶
            NO
            1> APPEND INBOX {1+}¶x {0+}¶
            NO
            1> APPEND INBOX "31-Feb-1996 02:44:25 -0700" {1+}¶x
            BAD
            1> APPEND INBOX (\Bogus) {1+}¶x
            BAD
            1> APPEND INBOX
            BAD
            1> STATUS INBOX (MESSAGES)
            * STATUS "INBOX" (MESSAGES 1)
            OK
        """)

    def test_literals_wait_for_the_word(self) -> None:
        """A synchronizing literal is asked for; one that will be refused is not."""
        self.script(r"""
            1> APPEND INBOX {3}
            + OK
            1! abc
            OK [APPENDUID <n> 1]
            1> APPEND INBOX {99999999999}
            NO [TOOBIG]
            1> APPEND nope {3}
            NO [TRYCREATE]
            1> SELECT {5}
            + OK
            1! INBOX
            ~
            * 1 EXISTS
            ~
            OK
        """)

    def test_copy_keeps_what_a_message_is(self) -> None:
        """Flags, date and EMAILID; all or none; nothing is made."""
        self.script(r"""
            fill 1 \Seen kw
            fill 1 \Draft
            1> CREATE to
            OK
            1> SELECT INBOX
            ~
            1> COPY 1:2 nope
            NO [TRYCREATE]
            1> COPY 1:3 to
            BAD
            1> COPY 2,1 to
            OK [COPYUID <n> 1:2 1:2]
            1> UID COPY 55 to
            OK COPY
            1> SELECT to
            ~
            1> FETCH 1:* FLAGS
            * 1 FETCH (FLAGS (\Seen \Recent kw))
            * 2 FETCH (FLAGS (\Draft \Recent))
            OK
        """)
        link = self.log_in("INBOX")
        here = self.ask(link, b"FETCH 1:2 (INTERNALDATE EMAILID)")[:2]
        self.ask(link, b"SELECT to")
        self.assertEqual(self.ask(link, b"FETCH 1:2 (INTERNALDATE EMAILID)")[:2], here)

    def test_close_and_unselect(self) -> None:
        """CLOSE removes without a word, UNSELECT removes nothing."""
        self.script(r"""
            fill 2
            1> SELECT INBOX
            ~
            1> STORE 1 +FLAGS.SILENT (\Deleted)
            OK
            1> UNSELECT
            OK
            1> STATUS INBOX (MESSAGES DELETED)
            * STATUS "INBOX" (MESSAGES 2 DELETED 1)
            OK
            1> SELECT INBOX
            ~
            1> CLOSE
            OK
            1> STATUS INBOX (MESSAGES DELETED)
            * STATUS "INBOX" (MESSAGES 1 DELETED 0)
            OK
        """)


class SyntaxTests(ScriptCase):
    """Commands by their syntax and state.  RFC 3501 sections 2.2, 3, 6 and 9."""

    def test_syntax(self) -> None:
        """Missing, extra and doubled spaces and arguments are BAD; verbs have no case."""
        self.script(r"""
            1> noop
            OK
            1> NOOP x
            BAD
            1> SELECT  INBOX
            BAD
            1> SELECT
            BAD
            1> SELECT "INBOX
            BAD
            1> SELECT "IN\BOX"
            BAD
            1> SELECT INBOX extra
            BAD
            1> XYZZY
            BAD
            1> UID
            BAD
            1> UID NOOP
            BAD
            1> STATUS INBOX MESSAGES
            BAD
            1> STATUS INBOX (MESSAGES BOGUS)
            BAD
            1> sElEcT "INBOX"
            ~
            OK
            1> SEARCH
            BAD
            1> SEARCH BOGUS
            BAD
            1> SEARCH NOT
            BAD
            1> SEARCH OR ALL
            BAD
            1> SEARCH (ALL
            BAD
            1> SEARCH SINCE 32-Jan-2020
            BAD
            1> SEARCH RETURN (BOGUS) ALL
            BAD
            1> FETCH 1
            BAD
            1! * NOOP
            * BAD <>
            1!
            * BAD <>
        """)

    def test_states(self) -> None:
        """What needs a mailbox is BAD without one; what is for logging in is BAD behind it."""
        self.script(r"""
            1> FETCH 1 UID
            BAD
            1> CLOSE
            BAD
            1> SEARCH ALL
            BAD
            1> EXPUNGE
            BAD
            1> CHECK
            BAD
            1> LOGIN ann pw
            BAD
            1> AUTHENTICATE PLAIN
            BAD
            1> STARTTLS
            BAD
            1> CAPABILITY
            * CAPABILITY IMAP4rev1 <>
            OK
            1> IDLE
            + idling
            1! DONE
            OK
            1> IDLE
            + idling
            1! NOPE
            BAD
            1> LOGOUT
            * BYE <>
            OK
        """)


class FilesTests(NumberTests, FlagTests, TextTests, NameTests, AppendTests, SyntaxTests):
    """The same on files."""

    in_files = True


class OctetTests(NumberTests, FlagTests, NameTests, AppendTests, SyntaxTests):
    """The same, octet by octet."""

    chunk = 1
