"""
Strategies for Hypothesis: mail, addresses, literals, sessions, pieces, faults.

An extra (``pip install launcelot[hypothesis]``); nothing else here imports it. ::

    from hypothesis import given
    from launcelot.testing import strategies as ls

    @given(ls.messages())
    def test_parser(octets): ...

What is drawn is right by its standard unless its name says otherwise, and shrinks to the shortest of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from launcelot.testing.faults import POSSIBLE, WITH_BODIES, WITH_DATA, Act, Fault, Point, Stage, Talk, at

ATOM = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~"
LABEL = "abcdefghijklmnopqrstuvwxyz0123456789"
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))
LINE = 200
"""Octets of a line at most, without its end."""

SMTP = (
    *(b"EHLO me", b"HELO me", b"MAIL FROM:<a@b.example>", b"MAIL FROM:<>", b"RCPT TO:<x@y.example>", b"RSET", b"NOOP"),
    *(b"VRFY ann", b"HELP", b"AUTH PLAIN =", b"DATA", b"BDAT 3 LAST", b"QUIT"),
)
POP3 = (b"CAPA", b"USER ann", b"PASS pw", b"STAT", b"LIST", b"UIDL", b"RSET", b"NOOP", b"TOP 1 1", b"QUIT")
IMAP = (
    *(b"CAPABILITY", b"LOGIN ann pw", b"SELECT INBOX", b"EXAMINE INBOX", b"NOOP", b"CHECK", b"CLOSE", b"EXPUNGE", b"LOGOUT"),
    *(b'LIST "" "*"', b"FETCH 1:* (FLAGS UID)", b"UID FETCH 1 BODY.PEEK[]", b"STORE 1 +FLAGS (\\Seen)", b"SEARCH ALL"),
    *(b"STATUS INBOX (MESSAGES)", b"CREATE Attic", b"RENAME Attic Loft", b"DELETE Attic"),
)
"""Commands that scripts are made of."""

CODES = st.sampled_from([421, 450, 451, 452, 500, 501, 503, 550, 552, 554])


# -- addresses -----------------------------------------------------------------------------------------------------


def domains() -> SearchStrategy[str]:
    """Host names of two labels or more.  RFC 5321 section 4.1.2."""
    label = st.text(LABEL, min_size=1, max_size=12)
    return st.lists(label, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example"]))


def local_parts(quoted: bool = True) -> SearchStrategy[str]:
    """
    What stands before the @.  RFC 5321 section 4.1.2, Local-part.

    :param quoted: quoted strings, too.
    """
    atoms = st.lists(st.text(ATOM, min_size=1, max_size=10), min_size=1, max_size=3).map(".".join)
    if not quoted:
        return atoms
    inside = st.text(PRINTABLE + " ", min_size=1, max_size=10).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
    return atoms | inside


def addresses(domain: str = "", quoted: bool = True) -> SearchStrategy[str]:
    """
    Addresses.

    :param domain: of all of them; any, unless given.
    :param quoted: quoted local parts, too.
    """
    where = st.just(domain) if domain else domains()
    return st.builds(lambda local, host: f"{local}@{host}", local_parts(quoted), where)


# -- mail ----------------------------------------------------------------------------------------------------------


def lines(longest: int = LINE) -> SearchStrategy[bytes]:
    """
    Lines of text, without their ends: any octets but NUL, CR and LF, and now and then a dot in front.

    :param longest: octets.
    """
    octet = st.integers(1, 255).filter(lambda code: code not in (10, 13))
    any_line = st.lists(octet, max_size=longest - 1).map(bytes)
    return st.one_of(st.sampled_from([b"", b".", b"..", b".hidden", b"From me", b" folded"]), any_line)


def bodies() -> SearchStrategy[bytes]:
    """Bodies of messages, with CRLF at each line's end."""
    return st.lists(lines(), max_size=8).map(lambda rows: b"".join(row + b"\r\n" for row in rows))


def _fields() -> SearchStrategy[bytes]:
    name = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(lambda text: f"X-{text}")
    value = st.text(PRINTABLE, max_size=60)
    return st.builds(lambda who, what: f"{who}: {what}\r\n".encode(), name, value)


def messages() -> SearchStrategy[bytes]:
    """Whole messages of RFC 5322, with From, Subject and whatever else, and CRLF at each line's end."""
    subject = st.text(PRINTABLE + " ", max_size=60).map(lambda text: text.strip())

    def whole(sender: str, words: str, fields: Sequence[bytes], body: bytes) -> bytes:
        return b"".join([f"From: {sender}\r\nSubject: {words}\r\n".encode(), *fields, b"\r\n", body])

    return st.builds(
        whole,
        addresses(quoted=False),
        subject,
        st.lists(_fields(), max_size=4),
        bodies(),
    )


def mime_trees(deepest: int = 3) -> SearchStrategy[bytes]:
    """
    Whole messages of MIME: texts, attachments, messages in messages, and multiparts of them.  RFC 2046.

    :param deepest: multiparts within each other.
    """
    text = st.lists(st.text(PRINTABLE + " ", max_size=40), max_size=4).map(
        lambda rows: b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + "".join(f"{row}\r\n" for row in rows).encode()
    )
    octets = st.binary(max_size=60).map(
        lambda data: b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename=a.bin\r\n\r\n" + _base64(data)
    )
    parts: SearchStrategy[bytes] = text | octets
    for depth in range(deepest):
        parts = st.one_of(text, octets, _multiparts(parts, depth), parts.map(_enclosed))
    return parts.map(lambda part: b"From: app@news.example\r\nMIME-Version: 1.0\r\n" + part)


def _base64(data: bytes) -> bytes:
    from base64 import encodebytes

    return encodebytes(data).replace(b"\n", b"\r\n")


def _multiparts(parts: SearchStrategy[bytes], depth: int) -> SearchStrategy[bytes]:
    boundary = f"=_{depth}_{'x' * depth}".encode()

    def joined(kind: str, inner: Sequence[bytes]) -> bytes:
        head = f"Content-Type: multipart/{kind}; boundary=\"".encode() + boundary + b'"\r\n\r\n'
        return head + b"".join(b"--" + boundary + b"\r\n" + one + b"\r\n" for one in inner) + b"--" + boundary + b"--\r\n"

    return st.builds(joined, st.sampled_from(["mixed", "alternative", "related"]), st.lists(parts, min_size=1, max_size=3))


def _enclosed(part: bytes) -> bytes:
    return b"Content-Type: message/rfc822\r\n\r\nSubject: inside\r\nMIME-Version: 1.0\r\n" + part


# -- what clients send ---------------------------------------------------------------------------------------------


def literals(synchronizing: bool = False) -> SearchStrategy[bytes]:
    """
    Literals of IMAP with their octets.  RFC 9051 section 4.3, RFC 7888.

    :param synchronizing: those that wait for the server to go on; their octets follow all the same.
    """
    mark = b"" if synchronizing else b"+"
    octets = st.lists(st.integers(1, 255), max_size=40).map(bytes)
    return octets.map(lambda data: b"{%d%b}\r\n%b" % (len(data), mark, data))


def smtp_scripts(recipient: str = "ann@test") -> SearchStrategy[list[bytes]]:
    """
    What a client of SMTP might send, command by command, in any order, with messages and nonsense in between.

    :param recipient: of most of its mail.
    """
    command = st.sampled_from([f"RCPT TO:<{recipient}>".encode(), *SMTP])
    mail = messages().map(lambda octets: b"DATA\r\n" + octets.replace(b"\r\n.", b"\r\n..") + b".")
    return st.lists(st.one_of(command, mail, lines(60)), max_size=12).map(_ended)


def pop3_scripts() -> SearchStrategy[list[bytes]]:
    """What a client of POP3 might send, in any order."""
    number = st.integers(0, 4)
    about = st.sampled_from([b"RETR", b"DELE", b"LIST", b"UIDL"])
    with_number = st.builds(lambda verb, one: b"%b %d" % (verb, one), about, number)
    return st.lists(st.one_of(st.sampled_from(POP3), with_number, lines(60)), max_size=12).map(_ended)


def imap_scripts() -> SearchStrategy[list[bytes]]:
    """What a client of IMAP might send, in any order, with literals."""
    command = st.sampled_from(IMAP)
    appended = literals().map(lambda literal: b"APPEND INBOX " + literal)
    tagged = st.builds(lambda number, words: b"t%d %b" % (number, words), st.integers(0, 99), command | appended)
    return st.lists(st.one_of(tagged, tagged, lines(60)), max_size=12).map(_ended)


def _ended(script: Sequence[bytes]) -> list[bytes]:
    return [line + b"\r\n" for line in script]


def chunkings(octets: bytes) -> SearchStrategy[list[bytes]]:
    """The same octets in pieces, as a network may deliver them; none is empty."""
    places = st.lists(st.integers(1, max(1, len(octets) - 1)), max_size=12, unique=True).map(sorted)

    def cut(at: Sequence[int]) -> list[bytes]:
        ends = [*(one for one in at if one < len(octets)), len(octets)]
        starts = [0, *ends[:-1]]
        return [octets[start:end] for start, end in zip(starts, ends, strict=True) if end > start]

    return places.map(cut)


# -- faults --------------------------------------------------------------------------------------------------------

VERBS = {
    "smtp": ("HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"),
    "imap": ("LOGIN", "SELECT", "FETCH", "UID FETCH", "STORE", "APPEND", "NOOP", "LOGOUT"),
    "pop3": ("USER", "PASS", "STAT", "LIST", "RETR", "DELE", "QUIT"),
    "ftp": ("USER", "PASS", "PASV", "RETR", "STOR", "LIST", "QUIT"),
    "managesieve": ("AUTHENTICATE", "PUTSCRIPT", "LISTSCRIPTS", "LOGOUT"),
    "questions": ("",),
}


def _points(protocol: str) -> SearchStrategy[Point]:
    talk: Talk = getattr(at, protocol)
    command = st.sampled_from(VERBS[protocol]).map(talk)
    kinds: list[SearchStrategy[Point]] = [st.just(talk.greeting), command, command.map(lambda point: point.reply)]
    if protocol in WITH_BODIES:
        kinds += [st.builds(lambda point, octets: point.body.after(octets), command, st.integers(0, 50))]
    if protocol in WITH_BODIES | WITH_DATA:
        kinds += [command.map(lambda point: point.end)]
    if protocol in WITH_DATA:
        kinds += [st.builds(lambda point, octets: point.data.after(octets), command, st.integers(0, 500))]
    kinds += [st.builds(talk.hearing.after, st.integers(0, 200)), st.builds(talk.saying.after, st.integers(0, 400))]
    return st.one_of(kinds)


def _happens(point: Point) -> SearchStrategy[Fault]:
    place = Stage.REPLY if point.replying else point.stage
    acts: list[SearchStrategy[Fault]] = []
    for act in sorted(POSSIBLE[place], key=lambda one: one.value):
        if act is Act.REPLIES:
            acts.append(CODES.map(point.replies))
        elif act is Act.SAYS:
            acts.append(st.sampled_from([b"421 bye\r\n", b"", b"\0\r\n"]).map(point.says))
        elif act is Act.DELAYS:
            acts.append(st.integers(0, 5).map(point.delays))
        elif act is Act.DRIPS:
            acts.append(st.integers(1, 1_000).map(point.drips))
        elif act is not Act.RESTARTS:
            acts.append(st.just(getattr(point, act.value)()))
    return st.one_of(acts)


def faults(*protocols: str) -> SearchStrategy[Fault]:
    """
    Whole sentences about faults.

    :param protocols: such as ``"smtp"``; all that clients speak, unless some are named.
    """
    names = protocols or tuple(VERBS)
    whole = st.one_of([_points(name) for name in names]).flatmap(_happens)

    def limited(fault: Fault, use: int, times: int) -> Fault:
        return fault.nth(use).times(times) if times else fault.nth(use)

    return st.builds(limited, whole, st.integers(1, 3), st.integers(0, 2))


def fault_plans(*protocols: str, most: int = 3) -> SearchStrategy[list[Fault]]:
    """
    Several faults together.

    :param most: of them.
    """
    return st.lists(faults(*protocols), min_size=1, max_size=most)
