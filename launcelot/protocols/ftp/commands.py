"""
FTP's table of verbs, which drives dispatch, HELP and the documentation, and the verbs about the service itself.

The others are in :mod:`~launcelot.protocols.ftp.access` and :mod:`~launcelot.protocols.ftp.files`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from launcelot.core.errors import Refusal
from launcelot.filestore.paths import decode, encode
from launcelot.protocols.ftp import access, files, grammar, sums
from launcelot.protocols.ftp.answers import Answer, Goodbye, Verb
from launcelot.protocols.ftp.forms import ListLines
from launcelot.protocols.ftp.grammar import Malformed, reply, reply_lines
from launcelot.protocols.ftp.listing import ALL_FACTS, choose_facts
from launcelot.protocols.ftp.session import Session, State, reply_for


@dataclass(frozen=True, slots=True)
class Command:
    """
    One row of the table.

    :ivar parse: makes the argument of ``run``, or raises Malformed.
    :ivar login: whether somebody must have logged in.
    :ivar keeps: whether what REST and RNFR said stays in force behind it.
    :ivar help: the argument as HELP shows it.
    """

    run: Verb
    parse: Callable[[bytes], Any]
    help: str
    standard: str
    login: bool = True
    keeps: bool = False


async def status(session: Session, text: str) -> Answer:
    """The session's state, or a listing on the control connection.  RFC 959 section 4.1.3."""
    if text:
        return await status_of(session, text)
    lines = [f"Type {'ASCII' if session.ascii else 'image'}, structure file, mode stream"]
    lines.append(f"Control connection {'in TLS' if session.wire.secure else 'in clear'}")
    lines.append(f"Data connections {'in TLS' if session.protected else 'in clear'}")
    if session.state is State.READY:
        lines.append(f"Logged in as {'anonymous' if session.account is None else session.account.name}")
    if session.transfer is not None:
        lines.append(f"Transfer under way, {session.transfer.octets} octets so far")
    return reply_lines(211, f"Status of {session.site.hostname}", map(encode, lines), "End of status.")


async def status_of(session: Session, text: str) -> Answer:
    """A listing on the control connection, in pieces."""
    if session.state is not State.READY:
        return reply(530, "Log in first.")
    now = session.site.wall_clock()
    batches = await files.prepared(session, text, lambda pattern: ListLines(now, pattern, " "))
    session.wire.write(reply(213, f"Status of {text}").replace(b"213 ", b"213-", 1))
    async for lines in batches:
        session.wire.write(lines)
        await session.wire.drain()
    return reply(213, "End of status.")


async def system(session: Session, _: None) -> Answer:
    """What clients need to read LIST.  RFC 959 section 4.1.3."""
    return reply(215, "UNIX Type: L8")


async def help_text(session: Session, word: str) -> Answer:
    """The verbs there are, or how one is written.  RFC 959 section 4.1.3."""
    verb = word.strip().upper()
    if not verb:
        known = sorted(COMMANDS)
        rows = [" ".join(f"{one:<5}" for one in known[start : start + 10]).rstrip() for start in range(0, len(known), 10)]
        return reply_lines(214, "These commands are known:", map(encode, rows), "HELP and a command says more.")
    command = COMMANDS.get(verb)
    if command is None:
        return reply(502, "There is no such command.")
    return reply(214, f"{verb} {command.help}".rstrip() + f" ({command.standard})")


async def nothing(session: Session, _: None) -> Answer:
    """Nothing, politely.  RFC 959 section 4.1.3."""
    return reply(200, "OK.")


async def features(session: Session, _: None) -> Answer:
    """What there is beyond RFC 959, as it is at this moment.  RFC 2389 section 3."""
    known = ["AVBL", "CLNT", "EPRT", "EPSV", "HOST", "LANG EN*", "MDTM", "MFF Modify;UNIX.mode;", "MFMT", "REST STREAM", "SIZE"]
    known += [sums.feature(session), "SITE " + ";".join(SITE), "TVFS", "UTF8", "XSHA256"]
    marks = ";".join(name + ("*" if name in session.facts else "") for name in ALL_FACTS)
    known.append(f"MLST {marks};")
    if session.site.has_tls:
        known += ["PBSZ", "PROT"] if session.wire.secure else ["AUTH TLS", "PBSZ", "PROT"]
    return reply_lines(211, "Features:", map(encode, sorted(known)), "End.")


async def options(session: Session, text: str) -> Answer:
    """``OPTS UTF8 ON``, ``OPTS MLST`` and ``OPTS HASH``.  RFC 2389 section 4, RFC 3659 section 7.9."""
    word, _, rest = text.partition(" ")
    if word.upper() in ("UTF8", "UTF-8"):
        return reply(200, "Names are UTF-8.") if rest.upper() in ("", "ON") else reply(504, "Names are always UTF-8.")
    if word.upper() == "MLST":
        session.facts = choose_facts(rest)
        chosen = "".join(f"{name};" for name in session.facts)
        return reply(200, f"MLST OPTS {chosen}".rstrip())
    if word.upper() == "HASH":
        return sums.choose(session, rest)
    return reply(501, "There are no such options.")


async def language(session: Session, tag: str) -> Answer:
    """Choose the language of replies, of which there is one.  RFC 2640 section 4."""
    if tag.strip().lower().partition("-")[0] in ("", "en"):
        return reply(200, "Replies are in English.")
    return reply(504, "Replies are in English only.")


async def client(session: Session, name: str) -> Answer:
    """The client says its name; nothing depends on it."""
    return reply(200, "Noted.")


async def site_chmod(session: Session, argument: tuple[int, str]) -> Answer:
    """Set permission bits."""
    bits, name = argument
    await session.tree.set_mode(session.path(name), bits)
    return reply(200, "Mode is set.")


async def site_utime(session: Session, argument: tuple[float, str]) -> Answer:
    """Set the time of last change."""
    seconds, name = argument
    await session.tree.set_modified(session.path(name), seconds)
    return reply(200, "Time is set.")


async def site_kept(session: Session, name: str) -> Answer:
    """Tell how much a cut upload left, so that a client knows what to say in REST."""
    return reply(213, str(await session.tree.kept(session.path(name))))


async def site_usage(session: Session, text: str) -> Answer:
    """Tell how many octets count for the quota that holds at a path."""
    path = session.path(text)
    await files.folder_entry(session.tree, path)
    return reply(213, str(await session.tree.usage(path)))


async def site_help(session: Session, _: None) -> Answer:
    """The words behind SITE."""
    return reply(214, f"SITE commands: {' '.join(SITE)}")


async def site(session: Session, argument: bytes) -> Answer:
    """What is ours alone.  RFC 959 section 4.1.3."""
    word, _, rest = argument.partition(b" ")
    verb = decode(word).upper()
    if verb not in SITE:
        return reply(504, "There is no such SITE command.")
    parse, run, login = SITE[verb]
    if login and session.state is not State.READY:
        return reply(530, "Log in first.")
    return await run(session, parse(rest))


async def answer(session: Session, request: grammar.Request) -> Answer:
    """
    Dispatch one command.

    :raises Malformed: its argument is wrong.
    :raises launcelot.core.errors.Refusal: turned into a reply by the caller, see :func:`respond`.
    """
    command = COMMANDS.get(request.verb)
    if command is None:
        if request.verb in HTTP:
            return Goodbye(reply(500, "This is FTP."), "http")
        known = request.verb in ABSENT
        return reply(502 if known else 500, f"{request.verb} is not {'offered' if known else 'known'}.")
    if not command.keeps:
        session.renaming = session.renaming if request.verb == "RNTO" else None
        session.offset = session.offset if request.verb in USE_OFFSET else 0
    if command.login and session.state is not State.READY:
        return reply(530, "Log in first.")
    return await command.run(session, command.parse(request.argument))


async def respond(session: Session, request: grammar.Request) -> Answer:
    """Dispatch one command and put every refusal into words."""
    try:
        return await answer(session, request)
    except Malformed as wrong:
        return reply(wrong.code, wrong.text)
    except Refusal as refusal:
        return reply_for(refusal, request.verb)


def octets(argument: bytes) -> bytes:
    """The parser of PASS and SITE, which look at the octets themselves."""
    return argument


SITE: Mapping[str, tuple[Callable[[bytes], Any], Verb, bool]] = {
    "CHMOD": (grammar.site_chmod, site_chmod, True),
    "HELP": (grammar.nothing, site_help, False),
    "KEPT": (grammar.text, site_kept, True),
    "USAGE": (grammar.optional_text, site_usage, True),
    "UTIME": (grammar.site_utime, site_utime, True),
}

USE_OFFSET = frozenset({"RETR", "STOR"})

ABSENT = frozenset(
    {"ACCT", "SMNT", "ADAT", "MIC", "CONF", "ENC", "MFCT", "XCRC", "XMD5", "LPRT"}
)
"""Verbs that other servers have and this one does not: 502, not 500."""

HTTP = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI"})
"""Verbs of a browser that was sent here by somebody's page, who chose the lines behind them: the connection is closed."""

_RFC959 = "RFC 959"
_RFC4217 = "RFC 4217"
_RFC3659 = "RFC 3659"

COMMANDS: Mapping[str, Command] = {
    "ABOR": Command(files.abort, grammar.nothing, "", _RFC959),
    "ALLO": Command(access.allocate, grammar.allocation, "octets", _RFC959, keeps=True),
    "APPE": Command(files.append, grammar.text, "path", _RFC959),
    "AUTH": Command(access.auth, grammar.text, "TLS", _RFC4217, login=False),
    "AVBL": Command(files.available, grammar.optional_text, "[path]", "draft-peterson"),
    "CCC": Command(access.clear_control, grammar.nothing, "", _RFC4217, login=False),
    "CDUP": Command(files.change_up, grammar.nothing, "", _RFC959),
    "CLNT": Command(client, grammar.optional_text, "name", "by custom", login=False),
    "CWD": Command(files.change_folder, grammar.text, "path", _RFC959),
    "DELE": Command(files.delete, grammar.text, "path", _RFC959),
    "EPRT": Command(access.active, grammar.extended_port, "|family|address|port|", "RFC 2428", keeps=True),
    "EPSV": Command(access.extended_passive, grammar.extended_passive, "[1|2|ALL]", "RFC 2428", keeps=True),
    "FEAT": Command(features, grammar.nothing, "", "RFC 2389", login=False),
    "HASH": Command(sums.hash_file, grammar.text, "path", "draft-bryan-ftpext-hash"),
    "HELP": Command(help_text, grammar.optional_text, "[command]", _RFC959, login=False),
    "HOST": Command(access.host, grammar.text, "name", "RFC 7151", login=False),
    "LANG": Command(language, grammar.optional_text, "[EN]", "RFC 2640", login=False),
    "LIST": Command(files.listing, grammar.listed_path, "[path]", _RFC959),
    "MDTM": Command(files.modified, grammar.text, "path", _RFC3659, keeps=True),
    "MFF": Command(
        files.modify_facts, grammar.facts_and_path, "Modify=YYYYMMDDHHMMSS;UNIX.mode=0644; path", "draft-somers-ftp-mfxx"
    ),
    "MFMT": Command(files.modify, grammar.time_and_path, "YYYYMMDDHHMMSS path", "draft-somers-ftp-mfxx"),
    "MKD": Command(files.make_folder, grammar.text, "path", _RFC959),
    "MLSD": Command(files.machine_listing, grammar.optional_text, "[path]", _RFC3659),
    "MLST": Command(files.machine_entry, grammar.optional_text, "[path]", _RFC3659),
    "MODE": Command(access.mode, grammar.text, "S", _RFC959, keeps=True),
    "NLST": Command(files.names, grammar.listed_path, "[path]", _RFC959),
    "NOOP": Command(nothing, grammar.nothing, "", _RFC959, login=False, keeps=True),
    "OPTS": Command(options, grammar.text, "UTF8 ON | MLST [fact;...] | HASH [algorithm]", "RFC 2389", login=False),
    "PASS": Command(access.password, octets, "password", _RFC959, login=False),
    "PASV": Command(access.passive, grammar.nothing, "", _RFC959, keeps=True),
    "PBSZ": Command(access.buffer_size, grammar.number, "0", _RFC4217, login=False, keeps=True),
    "PORT": Command(access.active, grammar.port, "h1,h2,h3,h4,p1,p2", _RFC959, keeps=True),
    "PROT": Command(access.protection, grammar.text, "P | C", _RFC4217, login=False, keeps=True),
    "PWD": Command(files.print_folder, grammar.nothing, "", _RFC959),
    "QUIT": Command(access.quit, grammar.nothing, "", _RFC959, login=False),
    "REIN": Command(access.reinitialize, grammar.nothing, "", _RFC959, login=False),
    "REST": Command(access.restart, grammar.number, "octets", _RFC3659),
    "RETR": Command(files.retrieve, grammar.text, "path", _RFC959),
    "RMD": Command(files.remove_folder, grammar.text, "path", _RFC959),
    "RNFR": Command(files.rename_from, grammar.text, "path", _RFC959),
    "RNTO": Command(files.rename_to, grammar.text, "path", _RFC959),
    "SITE": Command(site, octets, "CHMOD mode path | KEPT path | USAGE [path] | UTIME time path | HELP", _RFC959, login=False),
    "SIZE": Command(files.size, grammar.text, "path", _RFC3659, keeps=True),
    "STAT": Command(status, grammar.listed_path, "[path]", _RFC959, login=False),
    "STOR": Command(files.store, grammar.text, "path", _RFC959),
    "STOU": Command(files.store_unique, grammar.optional_text, "[path]", _RFC959),
    "STRU": Command(access.structure, grammar.text, "F", _RFC959, keeps=True),
    "SYST": Command(system, grammar.nothing, "", _RFC959, login=False),
    "TYPE": Command(access.representation, grammar.representation, "A | I", _RFC959, keeps=True),
    "USER": Command(access.user, grammar.text, "name", _RFC959, login=False),
    # Verbs of RFC 775, kept for old clients.  RFC 1123 section 4.1.3.1.
    "XCUP": Command(files.change_up, grammar.nothing, "", "RFC 775"),
    "XCWD": Command(files.change_folder, grammar.text, "path", "RFC 775"),
    "XMKD": Command(files.make_folder, grammar.text, "path", "RFC 775"),
    "XPWD": Command(files.print_folder, grammar.nothing, "", "RFC 775"),
    "XRMD": Command(files.remove_folder, grammar.text, "path", "RFC 775"),
    "XSHA256": Command(sums.sha256_file, sums.path_and_range, "path | \"path\" start end", "by custom"),
}
