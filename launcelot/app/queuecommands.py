"""The options of ``launcelot queue``, ``trace``, ``send``, ``fetch`` and ``simulate``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Common = Callable[[Any, str], None]
"""Gives a parser the options every command has and the function that does it."""

WORDS = {
    "hold": "try no more until it is released",
    "release": "end a hold, and try now",
    "retry": "try now what waits for another attempt",
    "drop": "remove, without telling the sender",
}


def add_queue(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    queue = commands.add_parser("queue", help="mail that waits: list, show, hold, release, retry, drop, why")
    verbs = queue.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = verbs.add_parser("list", help="recipients that have not got their mail, oldest first")
    common(listing, "launcelot.app.queueing:show_list")
    listing.add_argument("--limit", type=int, default=1_000, metavar="COUNT", help="recipients at most (default: %(default)s)")
    _choosing(listing)
    for verb, text in (("show", "everything known of one mail"), ("why", "why a mail has not arrived, and what happens next")):
        parser = verbs.add_parser(verb, help=text)
        common(parser, f"launcelot.app.queueing:{verb}")
        parser.add_argument("id", metavar="ID", help="as in the log, in queue list and in the sender's 250")
    for verb, text in WORDS.items():
        parser = verbs.add_parser(verb, help=text)
        common(parser, "launcelot.app.queueing:change_rows")
        parser.set_defaults(verb=verb)
        parser.add_argument("ids", metavar="ID", nargs="*", help="which mails")
        parser.add_argument("--all", action="store_true", help="every mail")
        _choosing(parser)


def add_trace(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    trace = commands.add_parser(
        "trace",
        help="one mail's life: from RCPT to its mailbox or its next hop",
        description="Prints what is known of one mail and of those made of it: redirected ones, answers, notices.  Or finds the"
        " ids of mails that came in.",
    )
    common(trace, "launcelot.app.tracing:main")
    trace.add_argument("id", metavar="ID", nargs="?", help="as in the log, in queue list and in the sender's 250")
    trace.add_argument("--sender", metavar="ADDRESS", help="find mail from this address")
    trace.add_argument("--recipient", metavar="ADDRESS", help="find mail for this recipient")
    trace.add_argument("--message-id", metavar="ID", help="find mail with this Message-ID")
    trace.add_argument("--limit", type=int, default=100, metavar="COUNT", help="mails found, the latest (default: %(default)s)")


def _choosing(parser: Any) -> None:
    parser.add_argument("--destination", metavar="NAME", help="only what goes there: a domain, or the host of a route")
    parser.add_argument("--sender", metavar="ADDRESS", help="only mail from this address")
    parser.add_argument("--recipient", metavar="ADDRESS", help="only for this recipient")


def add_send(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    send = commands.add_parser(
        "send",
        help="hand one message to a submission server",
        description="Reads a whole message, or with --subject the text of one, from FILE or standard input.  Ends with 0 if every"
        " recipient was accepted, 1 if one is refused for good, 75 if one may be tried later.",
    )
    common(send, "launcelot.app.send:main")
    send.add_argument("recipients", metavar="RECIPIENT", nargs="+", help="addresses")
    send.add_argument("--from", dest="sender", metavar="ADDRESS", required=True, help="the sender, or <>")
    send.add_argument("--subject", metavar="TEXT", help="make a message of the text that is read")
    send.add_argument("--file", metavar="FILE", help="what is sent (default: standard input)")
    send.add_argument("--server", metavar="HOST", default="localhost", help="where (default: %(default)s)")
    send.add_argument("--port", type=int, help="default: 2587, with --tls implicit 2465, with --tls none 2525")
    send.add_argument("--tls", choices=("starttls", "implicit", "none"), default="starttls", help="default: %(default)s")
    send.add_argument("--ca-file", metavar="FILE", help="PEM of the authorities to trust (default: those of the system)")
    send.add_argument("--user", metavar="NAME", help="log in; the password is of --password-file, or $LAUNCELOT_PASSWORD")
    send.add_argument("--password-file", metavar="FILE")
    send.add_argument("--notify", metavar="WORDS", help="ask for notices: never, or some of success,failure,delay")
    send.add_argument(
        "--require-tls", action="store_true", help="go over TLS with hosts that show who they are, or come back (REQUIRETLS)"
    )
    send.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for each reply (default: %(default)g)")


def add_fetch(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    fetch = commands.add_parser(
        "fetch",
        help="fetch mail of a POP3 or IMAP server into a Maildir or an mbox file, each message once",
        description="May be run again and again, also after it was cut short: what is there is not fetched twice.  Ends with 1 if"
        " a message that was listed could not be had, 75 if one could not be removed.",
    )
    common(fetch, "launcelot.app.fetch:main")
    fetch.add_argument("protocol", metavar="PROTOCOL", choices=("pop3", "imap"), help="pop3 or imap")
    fetch.add_argument("target", metavar="TARGET", help="a Maildir or an mbox file; made if it is not there")
    fetch.add_argument("--format", choices=("maildir", "mbox"), default="maildir", help="default: %(default)s")
    fetch.add_argument("--server", metavar="HOST", default="localhost", help="where (default: %(default)s)")
    fetch.add_argument("--port", type=int, help="default: 110 or 143, with --tls implicit 995 or 993")
    fetch.add_argument("--tls", choices=("starttls", "implicit", "none"), default="starttls", help="default: %(default)s")
    fetch.add_argument("--ca-file", metavar="FILE", help="PEM of the authorities to trust (default: those of the system)")
    fetch.add_argument("--user", metavar="NAME", required=True, help="the password is of --password-file, or $LAUNCELOT_PASSWORD")
    fetch.add_argument("--password-file", metavar="FILE")
    fetch.add_argument("--mailbox", metavar="NAME", help="of IMAP (default: INBOX)")
    fetch.add_argument("--delete", action="store_true", help="remove on the server what is stored here and synced")
    fetch.add_argument("--crlf", action="store_true", help="keep the octets as they come; else lines end with LF alone")
    fetch.add_argument("--state", metavar="FILE", help="where identifiers of stored messages are kept (default: beside them)")
    fetch.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for each answer (default: %(default)g)")


def add_simulate(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    simulate = commands.add_parser(
        "simulate",
        help="what the queue would do with a mail over days, on a virtual clock",
        description="Prints every attempt and every notice to the sender, with the settings of the configuration, against next"
        " hops that answer as you say.  Nothing is sent.  A next hop is NAME=STEP,STEP...: a domain, the host of a route or *,"
        " then replies, each for a time, such as '6h:451 4.3.0 busy', the last for ever; or refused, dns, nodomain, vanish.",
    )
    common(simulate, "launcelot.app.simulate:main")
    simulate.add_argument("recipients", metavar="RECIPIENT", nargs="+", help="addresses")
    simulate.add_argument("--hop", metavar="NAME=STEPS", action="append", default=[], help="may be given several times")
    simulate.add_argument("--notify", metavar="WORDS", default="", help="as NOTIFY of RFC 3461, such as success,failure,delay")
    simulate.add_argument("--seed", type=int, default=1, metavar="NUMBER", help="of the jitter (default: %(default)s)")
