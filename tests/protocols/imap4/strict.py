"""
A strict reading of everything a server says, by the letter of the formal syntax: RFC 3501 section 9 and RFC 9051 section 9, with
what RFC 3516, 4314, 4315, 4469, 4731, 5161, 5256, 5464, 5465, 5530, 6154, 7162, 7377, 7889, 8474, 8514, 8970, 9208, 9394, 9585,
9586 and 9738 add.

It shares nothing with the package's own readers, which are lenient.  :class:`tests.protocols.imap4.world.ImapCase` has every
answer that any test hears read here; what does not follow the grammar to the last octet raises
:class:`~tests.protocols.imap4.strictwords.NotGrammar`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tests.protocols.imap4.strictitems import MODSEQ, OBJECT, Items
from tests.protocols.imap4.strictwords import ATOM, FLAG, QUOTED

TAG = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\+]+")
TEXT = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]+")
PARTIAL = re.compile(rb"(?:[1-9]\d*:[1-9]\d*|-[1-9]\d*:-[1-9]\d*)")
RIGHTS = re.compile(rb"[a-z0-9]+(?![a-z0-9])")
LIST_FLAGS = {
    b"\\NOINFERIORS", b"\\NOSELECT", b"\\MARKED", b"\\UNMARKED", b"\\NONEXISTENT", b"\\SUBSCRIBED", b"\\REMOTE", b"\\HASCHILDREN",
    b"\\HASNOCHILDREN", b"\\ARCHIVE", b"\\DRAFTS", b"\\JUNK", b"\\SENT", b"\\TRASH", b"\\NOACCESS",
}  # fmt: skip
BARE_CODES = {
    b"ALERT", b"PARSE", b"READ-ONLY", b"READ-WRITE", b"TRYCREATE", b"CLOSED", b"TOOBIG", b"COMPRESSIONACTIVE", b"UNKNOWN-CTE",
    b"NOTIFICATIONOVERFLOW", b"UIDREQUIRED", b"USEATTR", b"ALREADYEXISTS", b"AUTHENTICATIONFAILED", b"AUTHORIZATIONFAILED",
    b"CANNOT", b"CLIENTBUG", b"EXPUNGEISSUED", b"INUSE", b"LIMIT", b"NONEXISTENT", b"NOPERM", b"OVERQUOTA", b"PRIVACYREQUIRED",
    b"SERVERBUG", b"UNAVAILABLE",
}  # fmt: skip


class Strict(Items):
    """
    Reads what a server says.

    :ivar utf8: see :class:`Words`.
    """

    def responses(self) -> int:
        """Everything, to the end; how many there were."""
        count = 0
        while self.at < len(self.data):
            self.response()
            count += 1
        return count

    def response(self) -> None:
        """``response``."""
        if self.next(b"+ "):
            if not re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*\r\n").match(self.data, self.at):
                raise self.fail("text or base64")
            self.at = self.data.index(b"\r\n", self.at) + 2
            return
        if self.next(b"* "):
            self.untagged()
        else:
            self.rule(TAG, "a tag")
            self.token(b" ")
            if self.word() not in (b"OK", b"NO", b"BAD"):
                raise self.fail("a condition")
            self.text()
        self.token(b"\r\n")

    def text(self) -> None:
        """``SP resp-text``."""
        self.token(b" ")
        if self.next(b"["):
            self.code()
            self.token(b"] ")
        self.rule(TEXT, "text")

    def untagged(self) -> None:
        """Behind the star."""
        if self.data[self.at : self.at + 1].isdigit():
            number = self.number()
            self.token(b" ")
            word = self.word()
            if word in (b"FETCH", b"UIDFETCH"):
                self.token(b" ")
                self.listed(self.item, 1)
            elif word not in (b"EXISTS", b"RECENT", b"EXPUNGE"):
                raise self.fail(f"{word!r} behind a number")
            if not number and word not in (b"EXISTS", b"RECENT"):
                raise self.fail("no message has the number 0")
            return
        word = self.word()
        read = RESPONSES.get(word)
        if read is None:
            raise self.fail(f"a response that there is: {word!r}")
        read(self)

    def code(self) -> None:
        """``resp-text-code`` without its brackets."""
        name = self.word()
        read = CODES.get(name)
        if read is not None:
            read(self)
        elif name not in BARE_CODES:
            raise self.fail(f"a code that there is: {name!r}")

    def badcharset(self) -> None:
        """Charsets, if any."""
        if self.next(b" "):
            self.listed(self.astring, 1)

    def capabilities(self) -> None:
        """``*(SP capability)``, IMAP4rev1 among them, each once."""
        found: list[bytes] = []
        while self.next(b" "):
            found.append(self.rule(ATOM, "a capability")[0])
        if b"IMAP4rev1" not in found or len(set(found)) < len(found):
            raise self.fail("capabilities with IMAP4rev1, each once")

    def enabled(self) -> None:
        """``*(SP capability)``."""
        while self.next(b" "):
            self.word()

    def copyuid(self) -> None:
        """``COPYUID``: as many from as to."""
        self.spaced(self.positive)
        self.token(b" ")
        source = self.uids()
        self.token(b" ")
        if len(source) != len(self.uids()):
            raise self.fail("as many UIDs from as to")

    def metadata_code(self) -> None:
        """``METADATA`` in brackets.  RFC 5464 section 5."""
        self.token(b" ")
        word = self.word()
        if word in (b"MAXSIZE", b"LONGENTRIES"):
            self.spaced(self.number)
        elif word not in (b"TOOMANY", b"NOPRIVATE"):
            raise self.fail("a code of METADATA")

    def progress(self) -> None:
        """``INPROGRESS``.  RFC 9585 section 5."""
        if not self.next(b" "):
            return
        self.token(b"(")
        self.nstring()
        for _ in range(2):
            self.token(b" ")
            if not self.next(b"NIL"):
                self.number()
        self.token(b")")

    def message_limit(self) -> None:
        """``MESSAGELIMIT``.  RFC 9738 section 5."""
        self.spaced(self.positive)
        if self.next(b" "):
            self.positive()

    # -- names -----------------------------------------------------------------------------------------------------

    def mailbox_list(self) -> None:
        """``mailbox-list``."""
        words: list[bytes] = []

        def attribute() -> None:
            words.append(self.rule(FLAG, "an attribute")[0].upper())
            if words[-1] not in LIST_FLAGS:
                raise self.fail(f"an attribute that there is: {words[-1]!r}")

        self.token(b" ")
        self.listed(attribute)
        exclusive = {b"\\MARKED", b"\\UNMARKED", b"\\NOSELECT"}
        if len(exclusive.intersection(words)) > 1 or {b"\\HASCHILDREN", b"\\HASNOCHILDREN"} <= set(words):
            raise self.fail(f"attributes that go together: {words}")
        self.token(b' "/" ')
        self.mailbox()
        if self.next(b" "):
            self.listed(self.extended, 1)

    def extended(self) -> None:
        """``mbox-list-extended-item``: CHILDINFO or OLDNAME."""
        name = self.string()
        self.token(b" ")
        if name not in (b"CHILDINFO", b"OLDNAME"):
            raise self.fail(f"an extended item that there is: {name!r}")
        self.listed(self.astring, 1)

    def status(self) -> None:
        """``STATUS``."""
        self.spaced(self.mailbox)
        self.token(b" ")

        def value() -> None:
            name = self.word()
            self.token(b" ")
            if name == b"MAILBOXID":
                self.listed(lambda: self.rule(OBJECT, "an object id"), 1)
            elif name in (b"UIDNEXT", b"UIDVALIDITY"):
                self.positive()
            elif name in (
                b"MESSAGES", b"RECENT", b"UNSEEN", b"DELETED", b"SIZE", b"HIGHESTMODSEQ", b"DELETED-STORAGE", b"APPENDLIMIT",
            ):  # fmt: skip
                self.number()
            else:
                raise self.fail(f"an item that there is: {name!r}")

        self.listed(value)

    def namespace(self) -> None:
        """Three namespaces.  RFC 2342 section 6."""
        for _ in range(3):
            self.token(b" ")
            if self.next(b"NIL"):
                continue
            self.token(b"(")
            while not self.next(b")"):
                self.token(b"(")
                self.string()
                self.token(b" ")
                if not self.next(b"NIL"):
                    self.rule(QUOTED, "a separator")
                self.token(b")")

    # -- numbers ---------------------------------------------------------------------------------------------------

    def found(self) -> None:
        """``SEARCH`` and ``SORT``: each number once, with the highest MODSEQ.  RFC 7162 section 7."""
        numbers: list[int] = []
        while self.next(b" "):
            if self.next(b"(MODSEQ "):
                self.rule(MODSEQ, "a MODSEQ")
                self.token(b")")
                break
            numbers.append(self.positive())
        if len(set(numbers)) < len(numbers):
            raise self.fail("each number once")

    def esearch(self) -> None:
        """``ESEARCH``."""
        if self.next(b" ("):
            self.token(b"TAG ")
            self.string()
            if self.next(b" MAILBOX "):
                self.mailbox()
                self.token(b" UIDVALIDITY ")
                self.positive()
            self.token(b")")
        self.next(b" UID")
        while self.next(b" "):
            name = self.word()
            self.token(b" ")
            if name in (b"MIN", b"MAX"):
                self.positive()
            elif name in (b"COUNT", b"MODSEQ"):
                self.number()
            elif name == b"ALL":
                self.uids()
            elif name == b"PARTIAL":
                self.token(b"(")
                self.rule(PARTIAL, "a partial range")
                self.token(b" ")
                if not self.next(b"NIL"):
                    self.uids()
                self.token(b")")
            else:
                raise self.fail(f"a result that there is: {name!r}")

    def threads(self) -> None:
        """``THREAD``.  RFC 5256 section 5; without recursion, as threads are deep."""
        if not self.next(b" "):
            return
        depth, before = 0, b""
        children = [0]
        for found in re.compile(rb"\(|\)| |[1-9]\d*").finditer(self.data, self.at, self.data.index(b"\r\n", self.at)):
            if found.start() != self.at:
                raise self.fail("threads")
            self.at, kind = found.end(), found[0] if found[0] in b"() " else b"1"
            if kind + before in (b")(", b" (", b"  ", b") ", b"1)", b"11") or (not depth and kind != b"("):
                raise self.fail("threads by their syntax")
            if kind == b"(":
                children[-1] += 1
                children.append(0)
                depth += 1
            elif kind == b")":
                if children.pop() == 1:
                    raise self.fail("two threads at least in a nested one")
                depth -= 1
            before = kind
        if depth:
            raise self.fail("threads that end")

    def vanished(self) -> None:
        """``VANISHED``."""
        self.next(b" (EARLIER)")
        self.spaced(self.uids)

    # -- other extensions ------------------------------------------------------------------------------------------

    def identity(self) -> None:
        """``ID``."""
        self.token(b" ")

        def pair() -> None:
            self.string()
            self.token(b" ")
            self.nstring()

        if not self.next(b"NIL"):
            self.listed(pair)

    def metadata(self) -> None:
        """``METADATA``: names with values, or names."""
        self.spaced(self.mailbox)
        self.token(b" ")

        def value() -> None:
            self.entry()
            self.token(b" ")
            self.nstring(binary=True)

        if self.data[self.at : self.at + 1] == b"(":
            self.listed(value, 1)
            return
        self.entry()
        while self.next(b" "):
            self.entry()

    def entry(self) -> None:
        """``entry``."""
        name = self.astring()
        if not re.fullmatch(rb"/(?:private|shared)(?:/[^\x00-\x19/*%\x80-\xff]+)*", name):
            raise self.fail(f"an entry: {name!r}")

    def rights(self) -> None:
        """``rights``: letters, each once."""
        if self.next(b'""'):
            return
        letters = self.rule(RIGHTS, "rights")[0]
        if len(set(letters)) < len(letters):
            raise self.fail("each right once")

    def acl(self) -> None:
        """``ACL``."""
        self.spaced(self.mailbox)
        while self.next(b" "):
            self.astring()
            self.spaced(self.rights)

    def listrights(self) -> None:
        """``LISTRIGHTS``."""
        self.spaced(self.mailbox, self.astring, self.rights)
        while self.next(b" "):
            self.rights()

    def quota(self) -> None:
        """``QUOTA``."""
        self.spaced(self.astring)
        self.token(b" ")

        def resource() -> None:
            self.word()
            self.spaced(self.number, self.number)

        self.listed(resource)

    def quota_root(self) -> None:
        """``QUOTAROOT``."""
        self.spaced(self.mailbox)
        while self.next(b" "):
            self.astring()


def check(data: bytes, utf8: bool = False) -> int:
    """
    Read all that a server has said; how many responses there were.

    :raises NotGrammar: one of them is none.
    """
    return Strict(data, utf8).responses()


RESPONSES: Mapping[bytes, Callable[[Strict], object]] = {
    **dict.fromkeys((b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"), Strict.text),
    b"CAPABILITY": Strict.capabilities,
    b"ENABLED": Strict.enabled,
    b"LIST": Strict.mailbox_list,
    b"LSUB": Strict.mailbox_list,
    b"STATUS": Strict.status,
    b"NAMESPACE": Strict.namespace,
    b"FLAGS": lambda one: one.spaced(lambda: one.listed(one.flag)),
    b"SEARCH": Strict.found,
    b"SORT": Strict.found,
    b"ESEARCH": Strict.esearch,
    b"THREAD": Strict.threads,
    b"VANISHED": Strict.vanished,
    b"ID": Strict.identity,
    b"METADATA": Strict.metadata,
    b"ACL": Strict.acl,
    b"LISTRIGHTS": Strict.listrights,
    b"MYRIGHTS": lambda one: one.spaced(one.mailbox, one.rights),
    b"QUOTA": Strict.quota,
    b"QUOTAROOT": Strict.quota_root,
}

CODES: Mapping[bytes, Callable[[Strict], object]] = {
    b"BADCHARSET": Strict.badcharset,
    b"CAPABILITY": Strict.capabilities,
    b"PERMANENTFLAGS": lambda one: one.spaced(lambda: one.listed(one.flag_perm)),
    b"UIDNEXT": lambda one: one.spaced(one.positive),
    b"UIDVALIDITY": lambda one: one.spaced(one.positive),
    b"UNSEEN": lambda one: one.spaced(one.positive),
    b"APPENDUID": lambda one: one.spaced(one.positive, lambda: one.uids(lone=True)),
    b"COPYUID": Strict.copyuid,
    b"HIGHESTMODSEQ": lambda one: one.spaced(lambda: one.rule(MODSEQ, "a MODSEQ")),
    b"MODIFIED": lambda one: one.spaced(one.uids),
    b"MAILBOXID": lambda one: one.spaced(one.object_id),
    b"METADATA": Strict.metadata_code,
    b"BADURL": lambda one: one.spaced(lambda: one.rule(QUOTED, "a URL")),
    b"BADEVENT": lambda one: one.spaced(lambda: one.listed(one.word, 1)),
    b"INPROGRESS": Strict.progress,
    b"MESSAGELIMIT": Strict.message_limit,
}
