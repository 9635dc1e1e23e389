"""
What listens where, told to people: a table of URLs, and lines to copy that send and read a first message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcelot.hosting.listening import Listening

SCHEMES: Mapping[str, str] = {
    "questions": "tcp",
    "questions-tls": "tls",
    "questions-udp": "udp",
    "book-greeting": "tls",
    "book-length-udp": "udp",
    "book-discovery-udp": "udp",
    "smtp": "smtp",
    "submission": "smtp",
    "submissions": "smtps",
    "pop3": "pop3",
    "pop3s": "pop3s",
    "imap": "imap",
    "imaps": "imaps",
    "ftp": "ftp",
    "ftps": "ftps",
}
"""URL schemes by the name of the listener; they are curl's."""

TLS_WORDS: Mapping[str, str] = {"none": "", "starttls": "TLS on request", "implicit": "TLS"}


@dataclass(frozen=True, slots=True)
class Person:
    """
    An account in the lines to copy.

    :ivar password: empty where it is not known.
    """

    user: str
    address: str
    password: str = ""


def url_host(host: str) -> str:
    """A host as URLs write it; an address that means all addresses becomes the loopback one of its family."""
    if host in ("", "0.0.0.0"):
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def url(one: Listening) -> str:
    """Where it listens, as a URL; a path for Unix sockets."""
    if one.port == 0:
        return f"unix:{one.host}"
    scheme = SCHEMES.get(one.name, "tls" if one.tls == "implicit" else "tcp")
    return f"{scheme}://{url_host(one.host)}:{one.port}"


def table(listening: Iterable[Listening]) -> list[str]:
    """One line for each listener."""
    rows = [(one.name, url(one), TLS_WORDS.get(one.tls, one.tls)) for one in listening]
    name = max((len(row[0]) for row in rows), default=0)
    where = max((len(row[1]) for row in rows), default=0)
    return [f"  {row[0]:<{name}}  {row[1]:<{where}}  {row[2]}".rstrip() for row in rows]


def by_name(listening: Sequence[Listening]) -> Mapping[str, Listening]:
    """The first listener of each name that can be reached by address and port."""
    found: dict[str, Listening] = {}
    for one in listening:
        if one.port:
            found.setdefault(one.name, one)
    return found


def first_steps(listening: Sequence[Listening], sender: Person, recipient: Person, authority: Path | None) -> list[str]:
    """
    Lines to copy, for what listens.

    :param sender: who sends in the examples; the password stands in them where it is known.
    :param authority: to verify TLS with.
    """
    places = by_name(listening)
    lines: list[str] = []
    for name, write in STEPS:
        if name in places:
            lines += write(places[name], sender, recipient, authority)
    return lines


def _at(one: Listening) -> str:
    return f"{url_host(one.host)}:{one.port}"


def _host(one: Listening) -> str:
    return url_host(one.host).strip("[]")


def _word(person: Person) -> str:
    return person.password or "PASSWORD"


def _python(code: str) -> str:
    return f'python3 -c "{code}"'


def _questions(one: Listening, sender: Person, recipient: Person, authority: Path | None) -> list[str]:
    return [
        _python(
            f"import socket; s = socket.create_connection(('{_host(one)}', {one.port}));"
            " s.sendall(b'What is your quest?'); print(s.recv(99).decode())"
        )
    ]


def _submission(one: Listening, sender: Person, recipient: Person, authority: Path | None) -> list[str]:
    return [
        f"swaks --server {_at(one)} --tls-optional --auth PLAIN --auth-user {sender.user} --auth-password '{_word(sender)}'"
        f" --from {sender.address} --to {recipient.address} --header 'Subject: A first message'"
    ]


def _smtp(one: Listening, sender: Person, recipient: Person, authority: Path | None) -> list[str]:
    return [
        _python(
            f"import smtplib; smtplib.SMTP('{_host(one)}', {one.port}).sendmail('{sender.address}', '{recipient.address}',"
            f" 'From: {sender.address}\\nSubject: Hello\\n\\nHello.\\n')"
        )
    ]


def _imap(one: Listening, sender: Person, recipient: Person, authority: Path | None) -> list[str]:
    user, password = recipient.user, _word(recipient)
    return [
        _python(
            f"import imaplib; m = imaplib.IMAP4('{_host(one)}', {one.port}); m.login('{user}', '{password}');"
            " print(m.select()); print(m.fetch('*', 'RFC822')[1][0][1].decode())"
        ),
        f"curl --user '{user}:{password}' 'imap://{_at(one)}/INBOX;MAILINDEX=1'",
        f"mutt -e 'set ssl_starttls=no' -f 'imap://{user}:{password}@{_at(one)}/INBOX'",
    ]


def _imaps(one: Listening, sender: Person, recipient: Person, authority: Path | None) -> list[str]:
    if authority is None:
        return []
    return [f"curl --cacert {authority} --user '{recipient.user}:{_word(recipient)}' 'imaps://{_at(one)}/INBOX;UID=*'"]


def _pop3(one: Listening, sender: Person, recipient: Person, authority: Path | None) -> list[str]:
    return [f"curl --user '{recipient.user}:{_word(recipient)}' pop3://{_at(one)}/"]


def _ftp(one: Listening, sender: Person, recipient: Person, authority: Path | None) -> list[str]:
    return [
        f"lftp -u '{recipient.user},{_word(recipient)}' -e 'set ftp:ssl-allow no; ls; exit' ftp://{_at(one)}",
    ]


STEPS = (
    ("smtp", _smtp),
    ("submission", _submission),
    ("imap", _imap),
    ("imaps", _imaps),
    ("pop3", _pop3),
    ("ftp", _ftp),
    ("questions", _questions),
)
