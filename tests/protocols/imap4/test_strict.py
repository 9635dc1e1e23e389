"""The strict reading of responses: it takes what the standards' examples say and refuses what is nearly that."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.protocols.imap4.strict import check
from tests.protocols.imap4.strictwords import NotGrammar

PART = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23)'
ENVELOPE = (
    b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "minutes" (("Terry Gray" NIL "gray" "cac.washington.edu")) NIL NIL '
    b'((NIL NIL "imap" "cac.washington.edu")(NIL NIL "m" "x")) NIL NIL NIL "<B27397-0100000@cac.washington.edu>")'
)
GOOD = (
    b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready",
    b"* 0 EXISTS",
    b"* FLAGS (\\Answered $Label1)",
    b"* OK [PERMANENTFLAGS (\\Deleted \\*)] Limited",
    b"* 12 FETCH (BODY[HEADER] {5}\r\na: b\n FLAGS (\\Seen) UID 4827313)",
    b"* 12 FETCH (ENVELOPE %b INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286 BODY %b)" % (ENVELOPE, PART),
    b'* 1 FETCH (BODY (%b%b "MIXED"))' % (PART, PART),
    b'* 1 FETCH (BODYSTRUCTURE (%b%b "MIXED" ("BOUNDARY" "x") ("INLINE" NIL) ("EN" "DE") "y"))' % (PART, PART),
    b'* 1 FETCH (BODYSTRUCTURE ("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 342 %b %b 5 NIL NIL NIL NIL))' % (ENVELOPE, PART),
    b"* 1 FETCH (BODY[1.2.HEADER.FIELDS (from {2}\r\nto)]<0> NIL BINARY[1]<0> ~{3}\r\na\0b BINARY.SIZE[] 3)",
    b"* 1 FETCH (MODSEQ (624140003) EMAILID (M6d99ac) THREADID NIL SAVEDATE NIL PREVIEW {2}\r\n\xc3\xa9)",
    b"* 25900 UIDFETCH (FLAGS ())",
    b'* LIST (\\HasChildren) "/" INBOX ("CHILDINFO" ("SUBSCRIBED"))',
    b'* LIST () "/" "&ZeVnLIqe-"',
    b'* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 MAILBOXID (F2212ea87-6097-4256-9d51-71338625))',
    b'* ESEARCH (TAG "A285" MAILBOX "x" UIDVALIDITY 1) UID MIN 7 MAX 3800 ALL 1,3:5 PARTIAL (-1:-100 NIL) MODSEQ 12',
    b"* SEARCH 2 5 6 (MODSEQ 917162500)",
    b"* SEARCH",
    b"* THREAD (2)(3 6 (4 23)(44 7 96))((1)(2))",
    b"* VANISHED (EARLIER) 41,43:116",
    b'* NAMESPACE (("" "/")) NIL (("Shared/" "/")("#x" NIL))',
    b'* ID ("name" "Cyrus" "os" NIL)',
    b'* METADATA "INBOX" (/private/comment "x" "/shared/a b" ~{1}\r\n\0)',
    b"* METADATA INBOX /shared/comment /private/comment",
    b'* ACL INBOX Fred rwipslxetad -x ""',
    b"* LISTRIGHTS x Smith la r swicdkxte",
    b'* QUOTA "" (STORAGE 10 512)',
    b"t OK [COPYUID 38505 304,319:320 3956:3958] Done",
    b'* OK [INPROGRESS ("t]" 1 NIL)] x'.replace(b"]", b"", 1),
    b"+ ",
    b"+ cG9uZw==",
)
BAD = (
    b"* OK",
    b"* OK ",
    b"* OK [FOO] x",
    b"* ok [UNSEEN 0] x",
    b"* OK [UIDNEXT 1]",
    b"* -1 EXISTS",
    b"* 0 EXPUNGE",
    b"* 1  EXISTS",
    b"* FLAGS (\\Foo)",
    b"* FLAGS (\\Seen )",
    b"* FLAGS \\Seen",
    b"* 1 FETCH ()",
    b"* 1 FETCH (UID 0)",
    b"* 1 FETCH (UID 1 )",
    b"* 1 FETCH (BODY[] {6}\r\nhello)",
    b"* 1 FETCH (BODY[] {3}\r\na\0b)",
    b"* 1 FETCH (BODY[] ~{3}\r\na\0b)",
    b"* 1 FETCH (BODY[] \"a\r\nb\")",
    b"* 1 FETCH (BODY[] \"\xc3\xa9\")",
    b"* 1 FETCH (BODY[MIME] NIL)",
    b"* 1 FETCH (BODY[1.0] NIL)",
    b"* 1 FETCH (BODY[HEADER.FIELDS ()] NIL)",
    b'* 1 FETCH (INTERNALDATE "7-Jul-1996 02:44:25 -0700")',
    b"* 1 FETCH (ENVELOPE (NIL NIL () NIL NIL NIL NIL NIL NIL NIL))",
    b"* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL))",
    b'* 1 FETCH (BODY ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1))',
    b'* 1 FETCH (BODY ("TEXT" "PLAIN" () NIL NIL "7BIT" 1 1))',
    b'* 1 FETCH (BODY ("TEXT" "PLAIN" NIL NIL NIL NIL 1 1))',
    b'* 1 FETCH (BODY (%b %b "MIXED"))' % (PART, PART),
    b'* 1 FETCH (BODY ("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 342))',
    b'* LIST () "." INBOX',
    b'* LIST (\\Foo) "/" INBOX',
    b'* LIST (\\HasChildren \\HasNoChildren) "/" INBOX',
    b'* LIST () "/" NIL',
    b'* LIST () "/" "caf\xc3\xa9"',
    b'* LIST () "/" "a&b"',
    b"* STATUS x (FOO 1)",
    b"* STATUS x (UIDNEXT 0)",
    b"* SEARCH 1 1",
    b"* SEARCH 0",
    b"* SEARCH 1 ",
    b"* ESEARCH (TAG A1) COUNT 1",
    b'* ESEARCH (TAG "A1") ALL 3:1',
    b'* ESEARCH (TAG "A1") MIN 0',
    b"* THREAD (1",
    b"* THREAD (1) (2)",
    b"* THREAD (1 (2))",
    b"* THREAD ()",
    b"* THREAD 1",
    b"* VANISHED 1:*",
    b"* VANISHED",
    b'* METADATA "" (/other/x "")',
    b"* METADATA INBOX (/shared/x NIL /shared/y)",
    b"* ACL INBOX Fred",
    b"* ACL INBOX Fred lrr",
    b"* FOO",
    b"OK done",
    b"t MAYBE done",
    b"t OK [APPENDUID 1 5:5] x",
    b"t OK [COPYUID 1 1:3 5:6] x",
    b"* 1 EXISTS\n",
)


class StrictTests(SynchronousTestCase):
    """Each claim stands alone, and all that is good together."""

    def test_examples_of_the_standards(self) -> None:
        """They follow the grammar."""
        for response in GOOD:
            self.assertEqual(check(response + b"\r\n"), 1, response)
        self.assertEqual(check(b"\r\n".join([*GOOD, b""])), len(GOOD))

    def test_what_is_nearly_one(self) -> None:
        """It is refused."""
        for response in BAD:
            self.assertRaises(NotGrammar, check, response + b"\r\n")
        self.assertRaises(NotGrammar, check, b"* 1 EXISTS")

    def test_octets_above_127(self) -> None:
        """In quotes only for who has asked for UTF-8."""
        self.assertEqual(check('* LIST () "/" "Entwürfe & mehr"\r\n'.encode(), utf8=True), 1)
        self.assertRaises(UnicodeDecodeError, check, b'* LIST () "/" "\xff"\r\n', utf8=True)
