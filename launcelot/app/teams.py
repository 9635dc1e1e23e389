"""
``launcelot files team``: team folders, with the daemon running or not; see :mod:`launcelot.app.people`.

Folders and grants are in the account base, which several processes may use.  Only removing the files asks a running daemon.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from launcelot.accounts.interface import Grant, TeamFolder
from launcelot.app.configuration import Configuration
from launcelot.app.errors import OK
from launcelot.app.people import Base, forgetting, opened, tell
from launcelot.app.stores import build_files, run_now
from launcelot.app.streams import Streams
from launcelot.core.filerights import ALL, read_rights, words_of
from launcelot.workers.memory import InlineWorkers


def create(given: Namespace, streams: Streams) -> int:
    """Make a team folder."""
    with opened(given, make=True) as base:
        folder = run_now(base.directory.add_team_folder(given.name, given.quota))
    where = place_of(base.configuration, folder) or "nowhere, as files.team_place is empty"
    tell(given, streams, described(base, folder), f"made {folder.name}; it is {where} for those who are granted rights")
    return OK


def grant(given: Namespace, streams: Streams) -> int:
    """Give somebody rights."""
    with opened(given, make=False) as base:
        folder = run_now(base.directory.grant(given.name, given.who, read_rights(given.rights)))
    tell(given, streams, described(base, folder), line_of(folder))
    return OK


def revoke(given: Namespace, streams: Streams) -> int:
    """Take rights away."""
    with opened(given, make=False) as base:
        folder = run_now(base.directory.revoke(given.name, given.who, read_rights(given.rights)))
    tell(given, streams, described(base, folder), line_of(folder))
    return OK


def show_all(given: Namespace, streams: Streams) -> int:
    """All team folders."""
    with opened(given, make=False) as base:
        folders = run_now(base.directory.team_folders())
    if given.json:
        streams.say_json({"folders": [described(base, folder) for folder in folders]})
    else:
        streams.say(*map(line_of, folders))
    return OK


def show(given: Namespace, streams: Streams) -> int:
    """One team folder, with the octets in it."""
    with opened(given, make=False) as base:
        folder = run_now(base.directory.team_folder(given.name))
        used = used_by(base.configuration, folder)
    if given.json:
        streams.say_json({**described(base, folder), "used": used})
        return OK
    of = f" of {folder.quota}" if folder.quota else ""
    streams.say(folder.name, f"  place  {place_of(base.configuration, folder) or 'none, as files.team_place is empty'}")
    streams.say(f"  used   {used}{of} octets", *(f"  {granted(one)}" for one in folder.grants))
    return OK


def change_quota(given: Namespace, streams: Streams) -> int:
    """Change how much a team folder may hold."""
    with opened(given, make=False) as base:
        folder = run_now(base.directory.change_team_folder(given.name, quota=given.quota))
    tell(given, streams, described(base, folder), line_of(folder))
    return OK


def rename(given: Namespace, streams: Streams) -> int:
    """Give a team folder another name."""
    with opened(given, make=False) as base:
        folder = run_now(base.directory.change_team_folder(given.name, called=given.new))
    tell(given, streams, described(base, folder), line_of(folder))
    return OK


def remove(given: Namespace, streams: Streams) -> int:
    """Remove a team folder, then its files."""
    with opened(given, make=False) as base:
        run_now(base.directory.team_folder(given.name))
        with forgetting(base.configuration) as forget:
            removed = run_now(base.directory.remove_team_folder(given.name))
            forget(removed.id)
    tell(given, streams, described(base, removed), f"removed {removed.name} with its files")
    return OK


def used_by(configuration: Configuration, folder: TeamFolder) -> int:
    """Octets of a folder's files, with what is being received and what cut uploads left; counted on the disk."""
    files = build_files(configuration, InlineWorkers())
    try:
        return files.octets(folder.id)
    finally:
        run_now(files.close())


def place_of(configuration: Configuration, folder: TeamFolder) -> str:
    """Where a folder is in everybody's files; empty where there are none."""
    place = configuration.files.team_place
    return f"/{place}/{folder.name}" if place else ""


def described(base: Base, folder: TeamFolder) -> dict[str, Any]:
    """A folder for programs."""
    return {
        "folder": folder.name,
        "path": place_of(base.configuration, folder),
        "quota": folder.quota,
        "grants": [{"kind": one.kind, "name": one.name, "rights": list(words_of(one.rights))} for one in folder.grants],
    }


def line_of(folder: TeamFolder) -> str:
    """A folder for people."""
    quota = [f"{folder.quota} octets"] if folder.quota else []
    return "  ".join([folder.name, *quota, "; ".join(map(granted, folder.grants)) or "nobody"])


def granted(one: Grant) -> str:
    """A grant for people."""
    who = f"group {one.name}" if one.kind == "group" else one.name
    return f"{who}: {'all' if one.rights == ALL else ', '.join(words_of(one.rights))}"
