"""The options of ``launcelot files team``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launcelot.core.filerights import SETS, WORDS

Common = Callable[[Any, str], None]
"""Gives a parser the options every command has and the function that does it."""

RIGHTS = f"with commas between them: {', '.join(WORDS)}; or {', '.join(SETS)} for several"


def add_files(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    files = commands.add_parser("files", help="team folders: files that several accounts share, with rights")
    parts = files.add_subparsers(title="commands", metavar="COMMAND", required=True)
    team = parts.add_parser(
        "team",
        help="make, list, change and remove team folders, of a running or stopped daemon",
        description="A team folder is NAME below /team in the files of everybody who may do anything in it.  What is changed here"
        " counts for open sessions with their next command.",
    )
    verbs = team.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def verb(word: str, does: str, text: str, folder: bool = True) -> Any:
        parser = verbs.add_parser(word, help=text)
        common(parser, f"launcelot.app.teams:{does}")
        if folder:
            parser.add_argument("name", metavar="NAME")
        return parser

    create = verb("create", "create", "make a team folder, in which nobody may do anything yet")
    create.add_argument("--quota", metavar="OCTETS", type=int, default=0, help="largest contents; 0 for no limit")
    grant = verb("grant", "grant", "give somebody rights, besides those they have")
    grant.add_argument("who", metavar="WHO", help="an account, a group, or anyone")
    grant.add_argument("rights", metavar="RIGHTS", help=RIGHTS)
    revoke = verb("revoke", "revoke", "take somebody's rights away")
    revoke.add_argument("who", metavar="WHO", help="an account, a group, or anyone")
    revoke.add_argument("rights", metavar="RIGHTS", nargs="?", default="all", help="those (default: all that were granted)")
    verb("list", "show_all", "list team folders, with quotas and who may do what", folder=False)
    verb("show", "show", "show one team folder, and how much is in it")
    quota = verb("quota", "change_quota", "change how much a team folder may hold")
    quota.add_argument("quota", metavar="OCTETS", type=int, help="0 for no limit")
    rename = verb("rename", "rename", "give a team folder another name; files and rights stay")
    rename.add_argument("new", metavar="NEW")
    verb("remove", "remove", "remove a team folder with all that is in it")
