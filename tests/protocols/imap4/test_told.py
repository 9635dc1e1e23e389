"""Every response a server may send, as a value; and what is none."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.protocols.imap4 import told
from launcelot.protocols.imap4.grammar.reader import Malformed
from launcelot.protocols.imap4.grammar.replies import Condition, Continuation, Data, ResponseReader, parse
from launcelot.protocols.imap4.told import (
    READERS,
    AccessList,
    Annotations,
    Capabilities,
    Enabled,
    Exists,
    Expunged,
    Fetched,
    Flags,
    Found,
    Identity,
    Listed,
    MyRights,
    Namespaces,
    Numbers,
    PossibleRights,
    Quota,
    QuotaRoots,
    Recent,
    Threads,
    Told,
    Vanished,
    expand,
)

KNOWN: tuple[tuple[bytes, Told], ...] = (
    (b"23 EXISTS", Exists(23)),
    (b"5 RECENT", Recent(5)),
    (b"44 EXPUNGE", Expunged(44)),
    (b"VANISHED 1:5,7", Vanished("1:5,7", False)),
    (b"VANISHED 7", Vanished("7", False)),
    (b"VANISHED (EARLIER) 41,43:116", Vanished("41,43:116", True)),
    (
        rb"12 FETCH (UID 3 FLAGS (\Seen kw) MODSEQ (65402) RFC822.SIZE 44827)",
        Fetched(12, {b"UID": 3, b"FLAGS": (b"\\Seen", b"kw"), b"MODSEQ": (65402,), b"RFC822.SIZE": 44827}),
    ),
    (rb"FLAGS (\Answered \Seen kw)", Flags((b"\\Answered", b"\\Seen", b"kw"))),
    (rb'LIST (\Noselect) "/" ~/Mail/foo', Listed("~/Mail/foo", "/", (b"\\Noselect",))),
    (b'LIST () NIL "INBOX"', Listed("INBOX", "", ())),
    (b'LIST () "/" "&U,BTFw-"', Listed("\u53f0\u5317", "/", ())),
    (b'LSUB () "." #news.comp', Listed("#news.comp", ".", (), subscribed=True)),
    (b'LIST () "/" new ("OLDNAME" (old))', Listed("new", "/", (), "old")),
    (b'LIST () "/" Foo ("CHILDINFO" ("SUBSCRIBED"))', Listed("Foo", "/", (), "", (b"SUBSCRIBED",))),
    (
        b"STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 MAILBOXID (F2212))",
        Numbers("blurdybloop", {b"MESSAGES": 231, b"UIDNEXT": 44292, b"MAILBOXID": (b"F2212",)}),
    ),
    (b"SEARCH", Found(())),
    (b"SEARCH 2 3 6", Found((2, 3, 6))),
    (b"SEARCH 2 5 (MODSEQ 917162500)", Found((2, 5), 917162500)),
    (b"SORT 5 3 4", Found((5, 3, 4))),
    (b'ESEARCH (TAG "a") UID COUNT 17 ALL 4:6,9', Found((4, 5, 6, 9), 0, True, b"a", {b"COUNT": 17, b"ALL": b"4:6,9"})),
    (b'ESEARCH (TAG "a") MIN 2 MODSEQ 9', Found((), 9, False, b"a", {b"MIN": 2, b"MODSEQ": 9})),
    (b"ESEARCH ALL 7", Found((7,), items={b"ALL": 7})),
    (
        b'ESEARCH (TAG "a" MAILBOX x UIDVALIDITY 1) UID ALL 2',
        Found((2,), 0, True, b"a", {b"ALL": 2}, "x"),
    ),
    (b'ESEARCH (TAG "a") PARTIAL (1:2 5,9)', Found((), tag=b"a", items={b"PARTIAL": (b"1:2", b"5,9")})),
    (b"THREAD (2)(3 6 (4 23)(44 7 96))", Threads(((2,), (3, 6, (4, 23), (44, 7, 96))))),
    (b"CAPABILITY imap4rev1 AUTH=PLAIN", Capabilities(frozenset({b"IMAP4REV1", b"AUTH=PLAIN"}))),
    (b"ENABLED", Enabled(frozenset())),
    (b"ENABLED CONDSTORE", Enabled(frozenset({b"CONDSTORE"}))),
    (b'ID ("Name" "x" "version" NIL)', Identity({"name": "x", "version": ""})),
    (b"ID NIL", Identity({})),
    (b'NAMESPACE (("" "/")) NIL (("#p/" "/")("#q" NIL))', Namespaces((("", "/"),), (), (("#p/", "/"), ("#q", "")))),
    (b'QUOTA "" (STORAGE 10 512)', Quota("", {b"STORAGE": (10, 512)})),
    (b"QUOTA x ()", Quota("x", {})),
    (b'QUOTAROOT INBOX "" "#b"', QuotaRoots("INBOX", ("", "#b"))),
    (b'METADATA "" (/shared/comment "hi" /private/x NIL)', Annotations("", {"/shared/comment": b"hi", "/private/x": None})),
    (b"METADATA INBOX /shared/a /shared/b", Annotations("INBOX", {"/shared/a": None, "/shared/b": None})),
    (b"ACL INBOX Fred rwipslxetad -x lr", AccessList("INBOX", {"Fred": "rwipslxetad", "-x": "lr"})),
    (b"MYRIGHTS INBOX rwiptsldaex", MyRights("INBOX", "rwiptsldaex")),
    (b"LISTRIGHTS ~/x smith la r swicdkxte", PossibleRights("~/x", "smith", "la", ("r", "swicdkxte"))),
)

BROKEN = (
    b"EXISTS",
    b"VANISHED",
    b"VANISHED (EARLIER)",
    b"FLAGS",
    b"FLAGS x",
    b"LIST ()",
    b"LIST x NIL y",
    b'LIST () NIL y ("OLDNAME")',
    b"STATUS x",
    b"STATUS x (MESSAGES)",
    b"SEARCH x",
    b"SEARCH 1 (MODSEQ)",
    b"ESEARCH ALL",
    b"ESEARCH ALL x",
    b"ESEARCH ALL 1:4294967295",
    b"ID (a)",
    b"NAMESPACE NIL",
    b"NAMESPACE ((x)) NIL NIL",
    b"QUOTA x",
    b"QUOTA x (STORAGE 1)",
    b"QUOTA x (STORAGE a b)",
    b"QUOTAROOT",
    b"METADATA x",
    b"ACL x y",
    b"MYRIGHTS x",
    b"LISTRIGHTS x y",
)


def heard(line: bytes) -> Any:
    """What a line is to a client."""
    response = parse(ResponseReader(b"* " + line))
    if isinstance(response, Continuation):
        raise AssertionError(line)
    return told.read(response)


class ReadTests(SynchronousTestCase):
    """One response at a time."""

    def test_known_responses(self) -> None:
        """Each becomes its value."""
        for line, value in KNOWN:
            self.assertEqual(heard(line), value, line)

    def test_every_kind_is_shown(self) -> None:
        """By one of these at least."""
        shown = {line.split(b" ")[1 if line[:1].isdigit() else 0] for line, _ in KNOWN}
        self.assertEqual(shown, set(READERS))

    def test_unknown_and_broken_responses_are_kept(self) -> None:
        """As they came: a newer server, or a clumsy one, breaks nothing."""
        self.assertEqual(heard(b"XYZZY 1 (a b)"), Data(b"XYZZY", None, (1, (b"a", b"b"))))
        for line in BROKEN:
            self.assertIsInstance(heard(line), Data, line)

    def test_conditions_pass(self) -> None:
        """They are values already."""
        self.assertEqual(heard(b"OK [UNSEEN 12] x"), Condition(b"*", b"OK", b"x", b"UNSEEN", b"12"))

    def test_names_under_utf_8(self) -> None:
        """Then an ampersand is one."""
        data = Data(b"LIST", None, ((), b"/", b"&U,BTFw-"))
        self.assertEqual(told.read(data, utf8=True), Listed("&U,BTFw-", "/", ()))
        self.assertEqual(told.read(Data(b"LIST", None, ((), b"/", b"\xff")), utf8=True), Listed("\ufffd", "/", ()))

    def test_what_a_row_tells(self) -> None:
        """Nothing where nothing was told, or not what it should be."""
        row = Fetched(1, {b"UID": 3, b"FLAGS": (b"\\Seen", None), b"MODSEQ": (7,)})
        self.assertEqual((row.uid, row.flags, row.modseq), (3, frozenset({b"\\Seen"}), 7))
        for empty in (Fetched(1, {}), Fetched(1, {b"UID": b"x", b"FLAGS": None, b"MODSEQ": ((),)})):
            self.assertEqual((empty.uid, empty.flags, empty.modseq), (0, frozenset(), 0))

    def test_sets(self) -> None:
        """In the order written, backwards ones too; never more than can be kept."""
        self.assertEqual(list(expand(b"5,3:1,9")), [5, 1, 2, 3, 9])
        for bad in (b"", b"*", b"1:", b"x", b"1:4294967295", b"1,,2", b"1" * 30):
            self.assertRaises(Malformed, lambda bad=bad: list(expand(bad)))

    @given(st.lists(st.recursive(st.none() | st.integers(0, 9) | st.binary(max_size=5), lambda one: st.lists(one).map(tuple))))
    def test_any_values(self, values: list[Any]) -> None:
        """Whatever stands in a response, it is read or kept."""
        for name in READERS:
            told.read(Data(name, None, tuple(values)))
