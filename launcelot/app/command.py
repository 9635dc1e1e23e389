"""
The ``launcelot`` command: finds the subcommand and imports only what it needs.

Exit codes are those of sysexits.h; errors are one line on standard error, without a traceback.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol

from launcelot.app.carecommands import add_care
from launcelot.app.catalogue import named
from launcelot.app.dnscommands import add_dkim, add_dns
from launcelot.app.errors import TEMPORARY, USAGE, Ending
from launcelot.app.faultcommands import add_fault
from launcelot.app.ftpcommands import add_ftp
from launcelot.app.queuecommands import add_fetch, add_queue, add_send, add_simulate, add_trace
from launcelot.app.settings import worker_count
from launcelot.app.sievecommands import add_sieve
from launcelot.app.streams import Streams
from launcelot.app.teamcommands import add_files

COLLECT_AT = 100_000
"""Objects made and not freed again after which the garbage collector looks at them: all that is imported stays, and looking at it
again and again took a quarter of a start.  A daemon that serves has its own rule, ``run.COLLECT_AT``."""


class Subcommand(Protocol):
    """What a subcommand's function looks like."""

    def __call__(self, given: argparse.Namespace, streams: Streams) -> int:
        """Do it; the exit code."""


class Parser(argparse.ArgumentParser):
    """Ends with one line instead of the whole usage text."""

    def error(self, message: str) -> NoReturn:
        """Say it as everything else is said."""
        raise Ending(f"{message}; see {self.prog} --help", USAGE)


def build_parser() -> Parser:
    """All subcommands, each with the name of the function that does it."""
    parser = Parser(
        prog="launcelot",
        description="Mail, files and small services of a team from one daemon, and the kit to test protocols with.",
        epilog="Exit codes: 0 done, 1 refused, 64 usage, 66 no such file, 69 port or folder in use or no daemon,"
        " 73 cannot write, 74 connection lost, 75 try later, 76 answer cut short, 77 certificate not trusted, 78 configuration.",
    )
    parser.add_argument("--version", action="store_true", help="show the version and leave")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_running(commands)
    _add_people(commands)
    add_care(commands, _common)
    _add_groups(commands)
    add_files(commands, _common)
    add_queue(commands, _common)
    add_trace(commands, _common)
    add_send(commands, _common_alone)
    add_fetch(commands, _common_alone)
    add_ftp(commands, _common_alone)
    add_simulate(commands, _common)
    add_fault(commands, _common)
    add_sieve(commands, _common)
    add_dkim(commands, _common)
    add_dns(commands, _common)
    _add_configuration(commands)
    _add_asking(commands)
    version = commands.add_parser("version", help="show the version")
    _common(version, "launcelot.app.versions:show", folder=False)
    return parser


Commands = argparse._SubParsersAction


def _common(parser: argparse.ArgumentParser, does: str, folder: bool = True) -> None:
    parser.set_defaults(does=does)
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    if folder:
        parser.add_argument(
            "--config", "-c", metavar="FILE", help="configuration file (default: launcelot.toml in the data folder)"
        )
        parser.add_argument(
            "--data", "-d", metavar="DIR", help="data folder (default: launcelot in $XDG_DATA_HOME or ~/.local/share)"
        )


def _common_alone(parser: argparse.ArgumentParser, does: str) -> None:
    """For commands that use no data folder."""
    _common(parser, does, folder=False)


def _add_running(commands: Commands[Parser]) -> None:
    run = commands.add_parser("run", add_help=False, help="run the daemon in the foreground; see launcelot run --help")
    run.set_defaults(does="launcelot.app.run:main")
    demo = commands.add_parser(
        "demo",
        help="run a throw-away daemon with two accounts, mail and files in it",
        description="Starts every service on this machine with the accounts brandon and ann, three messages and some files,"
        " and removes everything when it is stopped, unless a folder was named.",
    )
    demo.set_defaults(does="launcelot.app.demo:main")
    demo.add_argument(
        "--ports",
        choices=("free", "default", "book"),
        default="default",
        help="free ones, those of the daemon, or the standard ones, which need privileges (default: %(default)s)",
    )
    demo.add_argument(
        "--profile", choices=("book",), default="", help="book: the book's small machines, too, at the ports it suggests"
    )
    demo.add_argument(
        "--workers", "-w", type=worker_count, default=1, metavar="NUMBER", help="processes that serve (default: 1)"
    )
    demo.add_argument("--data", "-d", metavar="DIR", help="use this folder and keep it; accounts and mail in it stay")
    demo.add_argument(
        "--json", action="store_true", help="print one JSON line once everything listens"
    )
    inetd = commands.add_parser(
        "inetd",
        help="serve the socket that standard input is; for inetd and socket units",
        description="Standard input is a connection (nowait): serve it and end.  Or it listens (wait): serve whoever comes, and"
        " end when nobody has been there for eight seconds.",
    )
    inetd.set_defaults(does="launcelot.app.inetd:main")
    inetd.add_argument("service", metavar="SERVICE", help="name of a listener, such as questions, smtp or imaps")
    inetd.add_argument("--config", "-c", metavar="FILE", help="configuration file (default: launcelot.toml in the data folder)")
    inetd.add_argument("--data", "-d", metavar="DIR", help="data folder (default: launcelot in $XDG_DATA_HOME or ~/.local/share)")
    inetd.add_argument("--log", metavar="FILE", help="log into a file, not into the system's log")
    status = commands.add_parser("status", help="ask the running daemon for listeners, connections and counters")
    _common(status, "launcelot.app.status:main")
    reload = commands.add_parser(
        "reload",
        help="have the running daemon read its configuration and certificate again",
        description="Nobody is disconnected.  With any fault in the configuration the daemon keeps the one it has.",
    )
    _common(reload, "launcelot.app.reloading:main")


def _add_people(commands: Commands[Parser]) -> None:
    account = commands.add_parser(
        "account", help="add, list, change and remove accounts, of a running or stopped daemon"
    )
    verbs = account.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = verbs.add_parser("add", help="make an account; the password is read from standard input")
    _common(add, "launcelot.app.people:add_account")
    add.add_argument("name", metavar="NAME", help="log-in name, or an address whose local part is the name")
    add.add_argument("--address", metavar="ADDRESS", help="primary address (default: NAME at the first domain)")
    add.add_argument(
        "--quota", metavar="OCTETS", type=int, default=0, help="largest mail and files together; 0 for no limit"
    )
    add.add_argument("--generate", action="store_true", help="make a password and show it")
    _common(verbs.add_parser("list", help="list accounts"), "launcelot.app.people:list_accounts")
    change = verbs.add_parser("change", help="change an account's limits and what it may do")
    _common(change, "launcelot.app.people:change_account")
    change.add_argument("name", metavar="NAME")
    change.add_argument("--quota", metavar="OCTETS", type=int, help="largest mail and files together; 0 for no limit")
    change.add_argument("--messages", metavar="COUNT", type=int, help="most messages; 0 for no limit")
    change.add_argument("--enabled", choices=("yes", "no"), help="whether logging in and receiving are possible")
    change.add_argument(
        "--administrator", choices=("yes", "no"), help="whether it may set others' quotas and rights on the mail of groups"
    )
    passwd = verbs.add_parser("passwd", help="change a password; it is read from standard input")
    _common(passwd, "launcelot.app.people:change_password")
    passwd.add_argument("name", metavar="NAME")
    passwd.add_argument("--generate", action="store_true", help="make a password and show it")
    apop = verbs.add_parser(
        "apop",
        help="give an account a secret to log in to POP3 with APOP; it is read from standard input",
        description="APOP needs a secret that the server can read back, so it is stored as it is, in the data folder and its"
        " backups. It is good for APOP alone and must not be the password. No account has one unless it is given one here.",
    )
    _common(apop, "launcelot.app.people:change_apop")
    apop.add_argument("name", metavar="NAME")
    choice = apop.add_mutually_exclusive_group()
    choice.add_argument("--generate", action="store_true", help="make a secret and show it")
    choice.add_argument("--off", action="store_true", help="take the secret away")
    remove = verbs.add_parser("remove", help="remove an account with its mail and files")
    _common(remove, "launcelot.app.people:remove_account")
    remove.add_argument("name", metavar="NAME")
    alias = commands.add_parser("alias", help="add, list and remove aliases, of a running or stopped daemon")
    verbs = alias.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = verbs.add_parser("add", help="have mail for an address go to others")
    _common(add, "launcelot.app.people:add_alias")
    add.add_argument("address", metavar="ADDRESS", help="the local part * stands for all that nobody else has")
    add.add_argument("targets", metavar="TARGET", nargs="+", help="addresses of accounts, groups or aliases, or of other hosts")
    _common(verbs.add_parser("list", help="list aliases"), "launcelot.app.people:list_aliases")
    remove = verbs.add_parser("remove", help="remove an alias")
    _common(remove, "launcelot.app.people:remove_alias")
    remove.add_argument("address", metavar="ADDRESS")


MEMBERS = "names of accounts; or addresses of other hosts, to which mail for the group's address goes besides"


def _add_groups(commands: Commands[Parser]) -> None:
    group = commands.add_parser("group", help="add, list, change and remove groups of accounts, which may own mailboxes")
    verbs = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = verbs.add_parser("add", help="make a group")
    _common(add, "launcelot.app.groups:add_group")
    add.add_argument("name", metavar="NAME", help="a name that no account has")
    add.add_argument("members", metavar="MEMBER", nargs="*", help=MEMBERS)
    add.add_argument("--address", metavar="ADDRESS", help="mail for it goes into the group's own mail (default: none does)")
    add.add_argument("--quota", metavar="OCTETS", type=int, default=0, help="largest mail; 0 for no limit")
    add.add_argument("--messages", metavar="COUNT", type=int, default=0, help="most messages; 0 for no limit")
    _common(verbs.add_parser("list", help="list groups"), "launcelot.app.groups:list_groups")
    change = verbs.add_parser("change", help="change a group's limits or address")
    _common(change, "launcelot.app.groups:change_group")
    change.add_argument("name", metavar="NAME")
    change.add_argument("--address", metavar="ADDRESS", help="mail for it goes into the group's own mail; '' for none")
    change.add_argument("--quota", metavar="OCTETS", type=int, help="largest mail; 0 for no limit")
    change.add_argument("--messages", metavar="COUNT", type=int, help="most messages; 0 for no limit")
    for verb, text in (("join", "take members into a group"), ("leave", "take members out of a group")):
        parser = verbs.add_parser(verb, help=text)
        _common(parser, f"launcelot.app.groups:{verb}_group")
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("members", metavar="MEMBER", nargs="+", help=MEMBERS)
    remove = verbs.add_parser("remove", help="remove a group with its mail")
    _common(remove, "launcelot.app.groups:remove_group")
    remove.add_argument("name", metavar="NAME")


def _add_configuration(commands: Commands[Parser]) -> None:
    check = commands.add_parser("check", help="check a configuration file: every fault with its line")
    _common(check, "launcelot.app.check:check", folder=False)
    check.add_argument("file", metavar="FILE")
    config = commands.add_parser("config", help="write a sample configuration")
    verbs = config.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _common(
        verbs.add_parser("example", help="every key with text, unit and default"),
        "launcelot.app.check:show_example",
        folder=False,
    )


def _add_asking(commands: Commands[Parser]) -> None:
    ask = commands.add_parser("ask", help="ask Sir Launcelot questions, over TCP, TLS, UDP or a Unix socket")
    _common(ask, "launcelot.app.ask:main", folder=False)
    ask.add_argument("question", metavar="QUESTION", nargs="+", help="such as 'What is your name?'")
    ask.add_argument("--host", default="127.0.0.1", help="whom to ask (default: %(default)s)")
    ask.add_argument("--port", type=int, help="where (default: 1060, with --tls 1068, framed 1070, 1071 or 1072)")
    ask.add_argument("--unix", metavar="PATH", help="ask whoever listens on this Unix socket")
    ask.add_argument(
        "--framing",
        choices=("plain", "netstring", "json", "until-close"),
        default="plain",
        help="what stands around questions and answers: nothing, netstrings, JSON behind a length of 32 bits,"
        " or a connection for each question (default: %(default)s)",
    )
    ask.add_argument("--tls", action="store_true", help="verify and use the server's certificate")
    ask.add_argument("--ca-file", metavar="FILE", help="PEM of the authorities to trust (default: those of the system)")
    ask.add_argument("--udp", action="store_true", help="ask by datagrams, again after 0.1 seconds, 0.2, 0.4 and so on")
    ask.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="how long to wait for an answer (default: 10, with --udp 2 in all)"
    )


def main(arguments: Sequence[str] | None = None, streams: Streams | None = None) -> int:
    """
    Run a subcommand.

    :param arguments: without the program's name; those of the process if none are given.
    :returns: the exit code.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        gc.set_threshold(COLLECT_AT)
    streams = Streams() if streams is None else streams
    try:
        return dispatch(arguments, streams)
    except Ending as ending:
        streams.complain(ending.text)
        return ending.status
    except BrokenPipeError:
        return TEMPORARY
    except KeyboardInterrupt:
        return 130


def dispatch(arguments: Sequence[str], streams: Streams) -> int:
    """
    Find what is asked for and do it.

    :raises Ending: it cannot be done.
    """
    if arguments[:1] == ["run"]:
        # Its options are those of the twistd plugin, and parsed by the same class.
        given = argparse.Namespace(does="launcelot.app.run:main", arguments=list(arguments[1:]))
    else:
        parser = build_parser()
        given = parser.parse_args(arguments)
        if given.version:
            given = parser.parse_args(["version"])
        if "does" not in given:
            parser.print_help(streams.output)
            return USAGE
    function: Subcommand = named(given.does)
    return function(given, streams)


if __name__ == "__main__":
    sys.exit(main())
