"""The options of the commands that take care of mail: ``fsck``, ``backup``, ``restore``, ``mail import`` and ``mail export``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Common = Callable[[Any, str], None]
"""Gives a parser the options every command has and the function that does it."""


def add_care(commands: Any, common: Common) -> None:
    """Add them to the ``launcelot`` command."""
    _add_fsck(commands, common)
    _add_backup(commands, common)
    _add_transfer(commands, common)


def _add_fsck(commands: Any, common: Common) -> None:
    fsck = commands.add_parser(
        "fsck",
        help="look through accounts' mail for damage, and mend it",
        description="Reads every message and compares it with what is kept of it, and all rows with each other.  A daemon may run"
        " meanwhile, but while a file is made anew that cannot be read.  Ends with 1 if something is wrong and was not mended.",
    )
    common(fsck, "launcelot.app.fsck:main")
    fsck.add_argument("accounts", metavar="ACCOUNT", nargs="*", help="names or addresses (default: all)")
    fsck.add_argument("--repair", action="store_true", help="mend what is wrong, and say what was done")
    fsck.add_argument("--reindex", action="store_true", help="make the index for searching text anew; searches go on meanwhile")
    fsck.add_argument("--compact", action="store_true", help="give space of removed mail back to the system")




def _add_backup(commands: Any, common: Common) -> None:
    backup = commands.add_parser(
        "backup",
        help="copy an account's mail, or one mailbox, into a file",
        description="Made while the daemon serves; the file appears when it is whole, checked and on disk.",
    )
    common(backup, "launcelot.app.backups:back_up")
    backup.add_argument("account", metavar="ACCOUNT", help="name or address")
    backup.add_argument("file", metavar="FILE", help="the copy; keep it private, it holds the mail")
    backup.add_argument("--mailbox", metavar="NAME", help="only this mailbox")
    backup.add_argument("--force", action="store_true", help="replace a file that is there")
    restore = commands.add_parser(
        "restore",
        help="bring an account's mail, or one mailbox, back from a backup",
        description="In one transaction, while the daemon serves.  A whole account becomes what it was, with its UIDs; messages"
        " of one mailbox are added to what is there, under new UIDs.",
    )
    common(restore, "launcelot.app.backups:restore")
    restore.add_argument("account", metavar="ACCOUNT", help="name or address; it may be another than the backup's")
    restore.add_argument("file", metavar="FILE", help="what launcelot backup made")
    restore.add_argument("--mailbox", metavar="NAME", help="only this mailbox of the backup, added to what is there")
    restore.add_argument("--into", metavar="NAME", help="add it to this mailbox (default: the one of that name)")
    restore.add_argument("--replace", action="store_true", help="give up what mail the account has now, for a whole account")


def _add_transfer(commands: Any, common: Common) -> None:
    mail = commands.add_parser("mail", help="import and export mail: Maildir, mbox and eml files")
    verbs = mail.add_subparsers(title="commands", metavar="COMMAND", required=True)
    take = verbs.add_parser(
        "import",
        help="add messages from a Maildir, from mbox or from eml files",
        description="Flags, dates and order are kept.  May be run again after it was cut short: nothing is added twice.",
    )
    common(take, "launcelot.app.transfer:take_in")
    take.add_argument("account", metavar="ACCOUNT", help="name or address")
    take.add_argument("source", metavar="SOURCE", help="a Maildir with those below it, an mbox file, or mbox or eml files")
    take.add_argument(
        "--format", choices=("maildir", "mbox", "mboxo", "eml"), help="what it is (default: found out; mbox stands for mboxrd)"
    )
    take.add_argument("--mailbox", metavar="NAME", help="put them there, and folders below it (default: INBOX)")
    take.add_argument("--verbatim", action="store_true", help="leave lines that end with LF alone; else they get CRLF")
    write = verbs.add_parser(
        "export",
        help="write messages into a Maildir, into mbox or into eml files",
        description="Flags, dates and order are kept, and each octet.  May be run again after it was cut short.",
    )
    common(write, "launcelot.app.transfer:write_out")
    write.add_argument("account", metavar="ACCOUNT", help="name or address")
    write.add_argument("target", metavar="TARGET", help="a folder; of one mailbox as mbox, a file")
    write.add_argument(
        "--format", choices=("maildir", "mbox", "eml"), default="maildir", help="what to write (default: %(default)s)"
    )
    write.add_argument("--mailbox", metavar="NAME", help="only this mailbox")
    write.add_argument("--unix", action="store_true", help="end lines of an mbox with LF alone")
