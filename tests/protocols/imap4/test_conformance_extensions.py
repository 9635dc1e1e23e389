"""What extensions demand, alone and where several meet, as scripts; see :mod:`tests.protocols.imap4.test_conformance`."""

from __future__ import annotations

from tests.protocols.imap4.script import ScriptCase


class SearchTests(ScriptCase):
    """ESEARCH, SEARCHRES, PARTIAL, SORT and THREAD.  RFC 4731, 5182, 9394, 5256, 5267."""

    def test_results(self) -> None:
        """What is asked for, of nothing only the count; always the tag; UID where UIDs are told."""
        self.script(r"""
            fill 4
            1> SELECT INBOX
            ~
            1> STORE 2,4 +FLAGS.SILENT (\Flagged)
            OK
            1> SEARCH RETURN (MIN COUNT) FLAGGED
            * ESEARCH (TAG "t") MIN 2 COUNT 2
            OK
            1> SEARCH RETURN () FLAGGED
            * ESEARCH (TAG "t") ALL 2,4
            OK
            1> UID SEARCH RETURN (MAX ALL) 1:3
            * ESEARCH (TAG "t") UID MAX 3 ALL 1:3
            OK
            1> SEARCH RETURN (MIN MAX ALL) DRAFT
            * ESEARCH (TAG "t")
            OK
            1> SEARCH RETURN (COUNT) DRAFT
            * ESEARCH (TAG "t") COUNT 0
            OK
            1> SEARCH RETURN (MIN MODSEQ) ALL
            BAD
            1> SORT RETURN (COUNT MIN MAX) (REVERSE ARRIVAL) UTF-8 ALL
            * ESEARCH (TAG "t") COUNT 4 MIN <n> MAX <n>
            OK
            1> UID SORT (REVERSE SIZE) US-ASCII FLAGGED
            * SORT 2 4
            OK
            1> SORT (BOGUS) UTF-8 ALL
            BAD
            1> SORT () UTF-8 ALL
            BAD
            1> SORT (DATE) X-KLINGON ALL
            NO [BADCHARSET (US-ASCII UTF-8)]
            1> THREAD BOGUS UTF-8 ALL
            BAD
            1> THREAD REFERENCES UTF-8 DRAFT
            * THREAD
            OK
        """)

    def test_saved_results(self) -> None:
        """Examples 1 to 5 of RFC 5182: kept without a word, used by every command, emptied by NO, untouched by BAD."""
        self.script(r"""
            fill 4
            1> SELECT INBOX
            ~
            1> SEARCH RETURN (SAVE) 2:3
            OK
            1> FETCH $ UID
            * 2 FETCH (UID 2)
            * 3 FETCH (UID 3)
            OK
            1> SEARCH RETURN (SAVE MIN) 2:4
            * ESEARCH (TAG "t") MIN 2
            OK
            1> SEARCH $
            * SEARCH 2
            OK
            1> SEARCH RETURN (SAVE MIN MAX COUNT) 2:4
            * ESEARCH (TAG "t") MIN 2 MAX 4 COUNT 3
            OK
            1> UID SEARCH UID $ SMALLER 4196
            * SEARCH 2 3 4
            OK
            1> STORE $ +FLAGS.SILENT (\Seen)
            OK
            1> UID SEARCH RETURN (SAVE PARTIAL 1:2) ALL
            * ESEARCH (TAG "t") UID PARTIAL (1:2 1:2)
            OK
            1> SEARCH RETURN (COUNT) $
            * ESEARCH (TAG "t") COUNT 2
            OK
            1> SEARCH RETURN (SAVE) BOGUS
            BAD
            1> SEARCH RETURN (COUNT) $
            * ESEARCH (TAG "t") COUNT 2
            OK
            1> SEARCH ALL
            * SEARCH 1 2 3 4
            OK
            1> STORE 1 +FLAGS.SILENT (\Deleted)
            OK
            1> EXPUNGE
            * 1 EXPUNGE
            ~
            OK
            1> FETCH $ UID
            * 1 FETCH (UID 2)
            OK
            1> SEARCH RETURN (SAVE) CHARSET KOI8-R (OR $ TEXT x)
            NO [BADCHARSET (US-ASCII UTF-8)]
            1> SEARCH RETURN (COUNT) $
            * ESEARCH (TAG "t") COUNT 0
            OK
            1> COPY $ INBOX
            OK
            1> FETCH $ UID
            OK
            1> UID SEARCH RETURN (SAVE) UID 2
            OK
            1> SELECT INBOX
            ~
            1> SEARCH $
            * SEARCH
            OK
        """)

    def test_partial(self) -> None:
        """Places from the front and from the back, in either order; NIL past the end; not with ALL, not twice."""
        self.script(r"""
            fill 5
            1> SELECT INBOX
            ~
            1> UID SEARCH RETURN (PARTIAL -1:-2) ALL
            * ESEARCH (TAG "t") UID PARTIAL (-1:-2 4:5)
            OK
            1> SEARCH RETURN (PARTIAL 4:2 COUNT) ALL
            * ESEARCH (TAG "t") PARTIAL (4:2 2:4) COUNT 5
            OK
            1> SEARCH RETURN (PARTIAL 5:9) ALL
            * ESEARCH (TAG "t") PARTIAL (5:9 5)
            OK
            1> SEARCH RETURN (PARTIAL 6:9) ALL
            * ESEARCH (TAG "t") PARTIAL (6:9 NIL)
            OK
            1> SEARCH RETURN (PARTIAL 1:2 ALL) ALL
            BAD
            1> SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL
            BAD
            1> SEARCH RETURN (PARTIAL 1:-2) ALL
            BAD
            1> SEARCH RETURN (PARTIAL 0:2) ALL
            BAD
            1> UID FETCH 1:* (UID) (PARTIAL -1:-2)
            * 4 FETCH (UID 4)
            * 5 FETCH (UID 5)
            OK
            1> FETCH 1:* (UID) (PARTIAL 1:2)
            BAD
        """)


class SyncTests(ScriptCase):
    """CONDSTORE, QRESYNC, UIDONLY, MOVE and REPLACE where they meet.  RFC 7162, 9586, 6851, 8508."""

    def test_everything_removed_vanishes(self) -> None:
        """After ENABLE QRESYNC by UID, with HIGHESTMODSEQ in the answer; CLOSE says nothing."""
        self.script(r"""
            fill 9
            1> ENABLE QRESYNC
            * ENABLED QRESYNC
            OK
            1> SELECT INBOX
            ~
            1> CREATE other
            OK
            1> UID STORE 2 +FLAGS.SILENT (\Deleted)
            * 2 FETCH (UID 2 MODSEQ (<n>))
            OK
            1> UID EXPUNGE 1:3
            * VANISHED 2
            ~
            OK [HIGHESTMODSEQ <n>]
            1> EXPUNGE
            OK EXPUNGE
            1> UID MOVE 3,5 other
            * OK [COPYUID <n> 3,5 1:2] <>
            * VANISHED 3,5
            ~
            OK [HIGHESTMODSEQ <n>]
            1> MOVE 1 other
            * OK [COPYUID <n> 1 3] <>
            * VANISHED 1
            ~
            OK [HIGHESTMODSEQ <n>]
            1> UID REPLACE 4 other {3+}¶new
            * OK [APPENDUID <n> 4] <>
            * VANISHED 4
            ~
            OK [HIGHESTMODSEQ <n>]
            2> SELECT INBOX
            ~
            2> STORE 1 +FLAGS.SILENT (\Deleted)
            OK
            1> NOOP
            * 1 FETCH (UID 6 FLAGS (\Deleted \Recent) MODSEQ (<n>))
            OK
            2> EXPUNGE
            * 1 EXPUNGE
            OK
            1> FETCH 1 UID
            NO [EXPUNGEISSUED]
            1> NOOP
            * VANISHED 6
            ~
            OK
            1> CLOSE
            OK CLOSE
        """)

    def test_coming_back(self) -> None:
        """SELECT with QRESYNC tells what went and what changed of what was known; not with another UIDVALIDITY, not unasked."""
        self.script(r"""
            fill 6
            1> SELECT INBOX (QRESYNC (1700000000 1))
            BAD
            1> ENABLE CONDSTORE
            ~
            OK
            1> SELECT INBOX (QRESYNC (1700000000 1))
            BAD
            1> UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)
            BAD
            1> ENABLE QRESYNC
            ~
            OK
            1> SELECT INBOX
            ~
            * OK [HIGHESTMODSEQ 7] <>
            ~
            1> STORE 2,5 +FLAGS.SILENT (\Deleted)
            ~
            1> EXPUNGE
            ~
            1> STORE 3 +FLAGS.SILENT (\Seen)
            ~
            1> SELECT INBOX (QRESYNC (1700000000 7))
            ~
            * OK [HIGHESTMODSEQ <n>] <>
            ~
            * VANISHED (EARLIER) 2,5
            * 3 FETCH (UID 4 FLAGS (\Seen) MODSEQ (<n>))
            OK
            1> SELECT INBOX (QRESYNC (1700000000 7 1:3))
            ~
            * VANISHED (EARLIER) 2
            OK
            1> SELECT INBOX (QRESYNC (1700000000 7 1:6 (1,3,6 1,3,6)))
            ~
            * VANISHED (EARLIER) 2,5
            * 3 FETCH (UID 4 FLAGS (\Seen) MODSEQ (<n>))
            OK
            1> EXAMINE INBOX (QRESYNC (1 7))
            * OK [CLOSED] <>
            * FLAGS <>
            * OK [PERMANENTFLAGS ()] <>
            * 4 EXISTS
            * 0 RECENT
            * OK [UNSEEN 1] <>
            * OK [UIDVALIDITY 1700000000] <>
            * OK [UIDNEXT 7] <>
            * OK [HIGHESTMODSEQ <n>] <>
            * OK [MAILBOXID (<>)] <>
            OK [READ-ONLY]
            1> UID FETCH 1:9 (FLAGS) (CHANGEDSINCE 7 VANISHED)
            * VANISHED (EARLIER) 2,5
            * 3 FETCH (UID 4 FLAGS (\Seen) MODSEQ (<n>))
            OK
            1> FETCH 1:4 (FLAGS) (CHANGEDSINCE 7)
            * 3 FETCH (FLAGS (\Seen) MODSEQ (<n>))
            OK
            1> SELECT INBOX (QRESYNC (0 7))
            BAD
            1> SELECT INBOX (QRESYNC (1700000000 7 1:*))
            BAD
        """)

    def test_uids_only(self) -> None:
        """UIDFETCH and VANISHED both ways, also for what others do; every command with numbers is BAD [UIDREQUIRED]."""
        self.script(r"""
            fill 3
            1> ENABLE UIDONLY
            * ENABLED UIDONLY
            OK
            1> SELECT INBOX
            * FLAGS <>
            * OK [PERMANENTFLAGS <>
            * 3 EXISTS
            * 3 RECENT
            * OK [UIDVALIDITY <n>] <>
            * OK [UIDNEXT 4] <>
            * OK [HIGHESTMODSEQ <n>] <>
            * OK [MAILBOXID (<>)] <>
            OK
            1> FETCH 1 FLAGS
            BAD [UIDREQUIRED]
            1> STORE 1 FLAGS ()
            BAD [UIDREQUIRED]
            1> COPY 1 INBOX
            BAD [UIDREQUIRED]
            1> MOVE 1 INBOX
            BAD [UIDREQUIRED]
            1> SEARCH ALL
            BAD [UIDREQUIRED]
            1> SORT (DATE) UTF-8 ALL
            BAD [UIDREQUIRED]
            1> THREAD REFERENCES UTF-8 ALL
            BAD [UIDREQUIRED]
            1> UID SEARCH 1:2
            BAD [UIDREQUIRED]
            1> REPLACE 1 INBOX {1+}¶x
            BAD [UIDREQUIRED]
            1> UID FETCH 2 (UID FLAGS)
            * 2 UIDFETCH (UID 2 FLAGS (\Recent))
            OK
            1> UID FETCH 2:3 BODY[]<0.1>
            * 2 UIDFETCH (FLAGS (\Seen \Recent) BODY[]<0> {1}
            F)
            * 3 UIDFETCH (FLAGS (\Seen \Recent) BODY[]<0> {1}
            F)
            OK
            1> UID STORE 1 +FLAGS (\Deleted)
            * 1 UIDFETCH (FLAGS (\Deleted \Recent))
            OK
            1> EXPUNGE
            * VANISHED 1
            ~
            OK
            2> SELECT INBOX
            ~
            2> STORE 1 FLAGS (\Deleted)
            ~
            2> EXPUNGE
            ~
            2> STORE 1 FLAGS (\Flagged)
            ~
            1> NOOP
            * VANISHED 2
            ~
            * 3 UIDFETCH (FLAGS (\Flagged \Recent))
            OK
            1> UID SEARCH UID $
            * SEARCH
            OK
        """)

    def test_conditional_store(self) -> None:
        """All that may be is done, what others changed is named and told; 0 never succeeds."""
        self.script(r"""
            fill 3
            1> SELECT INBOX (CONDSTORE)
            ~
            2> SELECT INBOX
            ~
            2> STORE 2 FLAGS.SILENT (\Flagged)
            OK
            1> UID STORE 1:3 (UNCHANGEDSINCE 4) +FLAGS.SILENT (\Draft)
            * 2 FETCH (UID 2 FLAGS (\Flagged \Recent) MODSEQ (5))
            * 1 FETCH (UID 1 MODSEQ (6))
            * 3 FETCH (UID 3 MODSEQ (6))
            OK [MODIFIED 2]
            1> STORE 1 (UNCHANGEDSINCE 0) FLAGS ()
            OK [MODIFIED 1]
            1> STORE 1 (UNCHANGEDSINCE 6) +FLAGS (\Draft)
            * 1 FETCH (UID 1 FLAGS (\Draft \Recent) MODSEQ (6))
            OK STORE
            1> SEARCH MODSEQ 6
            * SEARCH 1 3 (MODSEQ 6)
            OK
            1> SEARCH RETURN (MIN) MODSEQ 6
            * ESEARCH (TAG "t") MIN 1 MODSEQ 6
            OK
            1> SORT (ARRIVAL) UTF-8 MODSEQ 6
            * SORT 1 3 (MODSEQ 6)
            OK
        """)


class NameTests(ScriptCase):
    """LIST with options, special uses, annotations and quotas.  RFC 5258, 5819, 6154, 5464, 9208."""

    TREE = r"""
            1> CREATE foo2/bar1
            OK
            1> CREATE foo2/bar2
            OK
            1> CREATE baz2/bar2
            OK
            1> CREATE baz2/bar22
            OK
            1> CREATE eps2/mamba
            OK
            1> SUBSCRIBE foo2/bar1
            OK
            1> SUBSCRIBE foo2/bar2
            OK
            1> SUBSCRIBE baz2/bar2
            OK
            1> SUBSCRIBE baz2/bar22
            OK
            1> SUBSCRIBE eps2
            OK
            1> SUBSCRIBE eps2/mamba
            OK
            1> SUBSCRIBE gone/deep
            OK
    """

    def test_recursive_match(self) -> None:
        """Example 9 of RFC 5258, with a subscribed name that does not exist."""
        self.script(
            self.TREE.rstrip()
            + r"""
            1> LIST (RECURSIVEMATCH SUBSCRIBED) "" "*2"
            * LIST (\Subscribed) "/" "baz2/bar2"
            * LIST (\Subscribed) "/" "baz2/bar22"
            * LIST (\Subscribed) "/" "eps2" ("CHILDINFO" ("SUBSCRIBED"))
            * LIST () "/" "foo2" ("CHILDINFO" ("SUBSCRIBED"))
            * LIST (\Subscribed) "/" "foo2/bar2"
            OK
            1> LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (CHILDREN)
            * LIST (\HasChildren) "/" "baz2" ("CHILDINFO" ("SUBSCRIBED"))
            * LIST (\HasChildren \Subscribed) "/" "eps2" ("CHILDINFO" ("SUBSCRIBED"))
            * LIST (\HasChildren) "/" "foo2" ("CHILDINFO" ("SUBSCRIBED"))
            * LIST (\NonExistent \HasNoChildren) "/" "gone" ("CHILDINFO" ("SUBSCRIBED"))
            OK
            1> LIST (SUBSCRIBED SUBSCRIBED) "" e*
            * LIST (\Subscribed) "/" "eps2"
            * LIST (\Subscribed) "/" "eps2/mamba"
            OK
            1> LIST (RECURSIVEMATCH REMOTE) "" *
            BAD
            1> LIST (BOGUS) "" *
            BAD
            1> LIST "" * RETURN (BOGUS)
            BAD
            1> LIST () "" ("" "eps2" "eps%")
            * LIST () "/" "eps2"
            OK
            1> LIST "" (INBOX gone*) RETURN (SUBSCRIBED STATUS (MESSAGES))
            * LIST () "/" "INBOX"
            * STATUS "INBOX" (MESSAGES 0)
            OK
        """
        )

    def test_special_uses(self) -> None:
        """Made, asked for, returned; what cannot be is NO [USEATTR] and makes nothing."""
        self.script(r"""
            1> CREATE out (USE (\sent))
            OK [MAILBOXID (<>)]
            1> CREATE all (USE (\All))
            NO [USEATTR]
            1> CREATE two (USE (\Sent \Drafts))
            NO [USEATTR]
            1> CREATE x (FOO)
            BAD
            1> LIST (SPECIAL-USE) "" *
            * LIST (\Sent) "/" "out"
            OK
            1> LIST "" out RETURN (SPECIAL-USE CHILDREN)
            * LIST (\HasNoChildren \Sent) "/" "out"
            OK
            1> LIST "" t*
            OK
            1> LIST "" a*
            OK
        """)

    def test_annotations(self) -> None:
        """Set, told, removed; names without case; NIL for what is not there; sizes by option."""
        self.script(r"""
            1> SETMETADATA INBOX (/private/comment "My new comment" /Shared/Comment {6+}¶a¶b¶)
            OK
            1> GETMETADATA INBOX (/private/comment /shared/comment /shared/other)
            * METADATA "INBOX" (/private/comment "My new comment" /shared/comment {6}
            a
            b
            <>/shared/other NIL)
            OK
            1> GETMETADATA (MAXSIZE 6) INBOX (/private/comment /shared/comment)
            * METADATA "INBOX" (/shared/comment {6}
            a
            b
            )
            OK [METADATA LONGENTRIES 14]
            1> GETMETADATA (DEPTH 1) INBOX /private
            * METADATA "INBOX" (/private/comment "My new comment")
            OK
            1> SETMETADATA INBOX (/private/comment NIL)
            OK
            1> GETMETADATA INBOX /private/comment
            * METADATA "INBOX" (/private/comment NIL)
            OK
            1> SETMETADATA INBOX (/bogus/comment "x")
            BAD
            1> SETMETADATA nope (/private/comment "x")
            NO
            1> SETMETADATA "" (/shared/comment "x")
            NO
            1> GETMETADATA "" /shared/admin
            * METADATA "" (/shared/admin "mailto:postmaster@<>")
            OK
            2> ENABLE METADATA
            * ENABLED METADATA
            OK
            1> SETMETADATA INBOX (/shared/comment "y")
            OK
            2> NOOP
            * METADATA "INBOX" /shared/comment
            OK
            1> LIST "" INBOX RETURN (METADATA (/shared/comment /private/comment))
            * LIST () "/" "INBOX"
            * METADATA "INBOX" (/shared/comment "y" /private/comment NIL)
            OK
        """)

    def test_quotas(self) -> None:
        """Every mailbox has its root, whether or not it exists; without limits the list is empty; administrators set them."""
        self.script(r"""
            1> GETQUOTAROOT nope
            * QUOTAROOT "nope" "ann"
            * QUOTA "ann" ()
            OK
            1> GETQUOTA ann
            * QUOTA "ann" ()
            OK
            1> GETQUOTA nobody
            NO
            1> SETQUOTA ann (STORAGE 512)
            NO [NOPERM]
            1> STATUS INBOX (DELETED DELETED-STORAGE)
            * STATUS "INBOX" (DELETED 0 DELETED-STORAGE 0)
            OK
        """)


class OtherTests(ScriptCase):
    """ENABLE, IDLE, NOTIFY, MULTISEARCH, CATENATE, and IMAP4rev2.  RFC 5161, 2177, 5465, 7377, 4469, 9051."""

    def test_enable(self) -> None:
        """Told what is on of what was asked for; what nobody knows and what needs none is passed over."""
        self.script(r"""
            1> ENABLE X-GOOD-IDEA
            * ENABLED
            OK
            1> ENABLE idle condstore Utf8=Accept
            * ENABLED CONDSTORE UTF8=ACCEPT
            OK
            1> ENABLE
            BAD
        """)

    def test_idle(self) -> None:
        """What others do is told at once, EXPUNGE too, in one order for all."""
        self.script(r"""
            fill 2
            1> SELECT INBOX
            ~
            2> SELECT INBOX
            ~
            1> IDLE
            + idling
            2> STORE 1 +FLAGS.SILENT (\Deleted)
            OK
            1<
            * 1 FETCH (FLAGS (\Deleted \Recent))
            2> EXPUNGE
            * 1 EXPUNGE
            OK
            1<
            * 1 EXPUNGE
            ~
            2> APPEND INBOX {1+}¶x
            * 2 EXISTS
            ~
            OK
            1<
            * 2 EXISTS
            ~
            1! done
            OK
        """)

    def test_notify(self) -> None:
        """Unasked, with UIDs, of the mailboxes described only; in IDLE exactly the same."""
        self.script(r"""
            fill 1
            1> CREATE Lists/a
            OK
            1> SELECT INBOX
            ~
            1> NOTIFY SET STATUS (selected (MessageNew (FLAGS) MessageExpunge FlagChange)) \
               (subtree Lists (MessageNew MessageExpunge))
            * STATUS "Lists" (UIDVALIDITY <n> UIDNEXT 1 MESSAGES 0)
            * STATUS "Lists/a" (UIDVALIDITY <n> UIDNEXT 1 MESSAGES 0)
            OK
            2> SELECT INBOX
            ~
            2> STORE 1 +FLAGS.SILENT (\Seen)
            OK
            1<
            * 1 FETCH (UID 1 FLAGS (\Seen \Recent))
            2> APPEND INBOX {1+}¶x
            ~
            1<
            * 2 EXISTS
            ~
            * 2 FETCH (FLAGS (<>))
            2> APPEND Lists/a {1+}¶x
            OK
            1<
            * STATUS "Lists/a" (UIDVALIDITY <n> UIDNEXT 2 MESSAGES 1)
            1> IDLE
            + idling
            2> APPEND Lists/a {1+}¶x
            OK
            1<
            * STATUS "Lists/a" (UIDVALIDITY <n> UIDNEXT 3 MESSAGES 2)
            1! DONE
            OK
            1> NOTIFY SET (selected (AnnotationChange MessageNew MessageExpunge))
            NO [BADEVENT (<>)]
            1> NOTIFY NONE
            OK
            2> STORE 1 +FLAGS.SILENT (\Draft)
            OK
            1> NOOP
            OK
        """)

    def test_multisearch(self) -> None:
        """Mailbox by mailbox with UIDs; nothing where nothing matches; SELECTED needs one."""
        self.script(r"""
            fill 2
            1> CREATE a/b
            OK
            1> APPEND a/b {14+}¶Subject: x¶¶
            OK
            1> ESEARCH ALL
            BAD
            1> ESEARCH IN (subtree a mailboxes INBOX) RETURN (COUNT) NOT SUBJECT x
            * ESEARCH (TAG "t" MAILBOX "INBOX" UIDVALIDITY <n>) UID COUNT 2
            OK
            1> ESEARCH IN (personal) RETURN (MIN ALL) SUBJECT x
            * ESEARCH (TAG "t" MAILBOX "a/b" UIDVALIDITY <n>) UID MIN 1 ALL 1
            OK
            1> ESEARCH IN (mailboxes nope) ALL
            OK
            1> ESEARCH IN (personal) RETURN (SAVE) ALL
            BAD
            1> SELECT INBOX
            ~
            1> ESEARCH RETURN (ALL) 2:99
            * ESEARCH (TAG "t" MAILBOX "INBOX" UIDVALIDITY <n>) UID ALL 2
            OK
        """)

    def test_catenate(self) -> None:
        """Texts and parts of messages in one; what is not there is named."""
        self.script(r"""
            fill 1
            1> APPEND INBOX CATENATE (TEXT {6+}¶a: b¶ URL "/INBOX/;UID=1/;SECTION=TEXT" TEXT {3+}¶end)
            OK [APPENDUID <n> 2]
            1> APPEND INBOX CATENATE (URL "/INBOX/;UID=99")
            NO [BADURL "/INBOX/;UID=99"]
            1> SELECT INBOX
            ~
            1> FETCH 2 BODY.PEEK[]
            * 2 FETCH (BODY[] {64}
            a: b
            Hello Joe, do you think we can meet at 3:30 tomorrow?
            end)
            OK
        """)

    def test_revision_2(self) -> None:
        """LIST and no RECENT in SELECT, ESEARCH for SEARCH, UIDs in what comes unasked, names in UTF-8."""
        self.script(r"""
            fill 2
            1> ENABLE IMAP4rev2
            * ENABLED IMAP4rev2
            OK
            1> SELECT inbox
            * FLAGS <>
            * OK [PERMANENTFLAGS <>
            * 2 EXISTS
            * OK [UIDVALIDITY <n>] <>
            * OK [UIDNEXT 3] <>
            * OK [HIGHESTMODSEQ <n>] <>
            * LIST (\HasNoChildren) "/" "INBOX" ("OLDNAME" ("inbox"))
            * OK [MAILBOXID (<>)] <>
            OK [READ-WRITE]
            1> SEARCH 1:2
            * ESEARCH (TAG "t") ALL 1:2
            OK
            1> UID SEARCH DRAFT
            * ESEARCH (TAG "t") UID
            OK
            1> FETCH 1 FLAGS
            * 1 FETCH (FLAGS ())
            OK
            2> SELECT INBOX
            ~
            2> STORE 1 +FLAGS.SILENT (\Seen)
            OK
            1> NOOP
            * 1 FETCH (UID 1 FLAGS (\Seen))
            OK
            1> CREATE "Entwürfe"
            OK
            1> STATUS Entwürfe (MESSAGES DELETED SIZE)
            BAD
            1> STATUS "Entwürfe" (MESSAGES DELETED SIZE)
            * STATUS "Entwürfe" (MESSAGES 0 DELETED 0 SIZE 0)
            OK
        """)


class FilesTests(SearchTests, SyncTests, NameTests, OtherTests):
    """The same on files."""

    in_files = True


class OctetTests(SearchTests, SyncTests, NameTests, OtherTests):
    """The same, octet by octet."""

    chunk = 1
