"""
``launcelot demo``: a daemon with people, mail and files in it, on a folder that goes with it.

Its folder is marked, so that a demo never makes accounts with known passwords in a folder that is somebody's own; and it holds a
``launcelot.toml``, so that ``launcelot account --data`` knows the demo's domain.  Seeds are delivered under fixed keys: a demo
that is started again on its folder has them once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.logger import globalLogBeginner

from launcelot.accounts.interface import Account
from launcelot.app.catalogue import SERVICES, Place
from launcelot.app.configuration import Configuration, defaults
from launcelot.app.daemon import Daemon
from launcelot.app.errors import CANNOT_CREATE, Ending
from launcelot.app.folder import cannot_write
from launcelot.app.loglines import Lines
from launcelot.app.roof import take_reactor
from launcelot.app.run import daemon_for, serve
from launcelot.app.seeds import DOMAIN, FILES, MESSAGES, PEOPLE, PUBLIC, PUBLIC_FILES, Seed
from launcelot.app.settings import CONFIG_VERSION
from launcelot.app.streams import Streams
from launcelot.app.table import Person, first_steps, table
from launcelot.core.errors import Exists, NotFound
from launcelot.filestore.interface import Tree
from launcelot.hosting.certificates import write_file
from launcelot.message.address import Address

MARK = "demo.json"
STOP_LIMIT = 1.5
"""Seconds; the process is to be gone within two."""
MOVED = {"questions-udp": 1061}
"""Ports of listeners whose own one belongs to the book's profile."""
PER_SOURCE = 1_000
"""Connections from one source: all clients of a demo come from 127.0.0.1."""


def main(given: Namespace, streams: Streams) -> int:
    """
    Run until stopped.

    :raises Ending: it cannot start.
    """
    with ended_by_sigterm(), demo_folder(given.data) as folder:
        mark(folder)
        with logging_to(streams.errors if given.json else folder / "log"):
            reactor = take_reactor()
            stop_on_hangup(reactor)
            configuration = demo_configuration(folder, given.ports, given.profile).with_workers(given.workers)

            def build(failed: Callable[[Ending], None]) -> Daemon:
                return daemon_for(configuration)(
                    reactor,
                    configuration,
                    failed,
                    prepare=[seed],
                    announce=lambda daemon: (tell_json if given.json else tell)(daemon, streams),
                )

            return serve(reactor, build)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end the program in order while there is no reactor yet to do it, so that the folder goes then, too."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def demo_folder(named: str | None) -> Iterator[Path]:
    """
    The folder that was named, or a fresh one that is removed at the end.

    :raises Ending: it cannot be made.
    """
    try:
        if named:
            folder = Path(named).absolute()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            folder = Path(tempfile.mkdtemp(prefix="launcelot-demo-"))
    except OSError as error:
        raise cannot_write(Path(named or tempfile.gettempdir()), error) from error
    try:
        yield folder
    finally:
        if not named:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Impatient people send it twice.
            shutil.rmtree(folder, ignore_errors=True)


def mark(folder: Path) -> None:
    """
    Make a folder a demo's.

    :raises Ending: it holds something that no demo made.
    """
    if not (folder / MARK).exists():
        if any(folder.iterdir()):
            text = f"{folder}: not empty, and not made by launcelot demo; choose an empty folder"
            raise Ending(text, CANNOT_CREATE)
        try:
            write_file(folder / MARK, b"{}\n", 0o600)
        except OSError as error:
            raise cannot_write(folder, error) from error
    settings = f'config_version = {CONFIG_VERSION}\n\n[daemon]\ndomains = ["{DOMAIN}"]\n'
    write_file(folder / "launcelot.toml", settings.encode(), 0o600)


@contextmanager
def logging_to(target: Any) -> Iterator[None]:
    """Have the log written to a stream or a file."""
    stream = open(target, "a", encoding="utf-8") if isinstance(target, Path) else target  # noqa: SIM115
    globalLogBeginner.beginLoggingTo([Lines(stream)], redirectStandardIO=False)
    try:
        yield
    finally:
        stream.flush()


def stop_on_hangup(reactor: Any) -> None:
    """Stop when the terminal goes, too, unless we run under nohup."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: reactor.callFromThread(reactor.stop))


def demo_configuration(folder: Path, ports: str, profile: str = "") -> Configuration:
    """
    Every service on this machine, for many clients, stopping fast.

    :param ports: ``"free"``, ``"default"`` or ``"book"``.
    :param profile: ``"book"`` for the book's small machines, too.
    """
    configuration = defaults()
    daemon = dataclasses.replace(
        configuration.daemon, data=str(folder), domains=(DOMAIN,), hostname="localhost", stop_limit=STOP_LIMIT, faults=True
    )
    services = {}
    for name, settings in configuration.services.items():
        changes: dict[str, Any] = {"max_connections_per_source": PER_SOURCE}
        for listener, place in SERVICES[name].places.items():
            if place.profile in ("", profile):
                port = port_of(listener, place, ports, profile)
                changes[place.setting] = (f"{place.kind}:{port}:interface=127.0.0.1",)
        if name == "ftp":
            changes["anonymous"] = PUBLIC
        services[name] = dataclasses.replace(settings, **changes)
    return dataclasses.replace(configuration, daemon=daemon, services=services)


def port_of(listener: str, place: Place, ports: str, profile: str) -> int:
    """The port of a listener; 0 for a free one.  The book's machines are always where the book has them."""
    if ports == "free":
        return 0
    if profile and listener in MOVED:
        return MOVED[listener]
    return place.standard if ports == "book" or place.profile else place.default


# -- what is in it -------------------------------------------------------------------------------------------------


async def seed(daemon: Daemon) -> None:
    """The people, for the first one mail, for each of them files; and files for everybody."""
    marked = json.loads((daemon.folder.path / MARK).read_bytes())
    for person in PEOPLE:
        account = await settle(daemon, person)
        if person is PEOPLE[0]:
            mail = await daemon.stores.mail.mail(account.id)
            for key, message in MESSAGES.items():
                await mail.deliver(message, key)
        if not marked.get("files"):
            await fill(await daemon.stores.files.tree(account.id), FILES)
    if not marked.get("files"):
        await fill(await public_tree(daemon), PUBLIC_FILES)
    write_file(daemon.folder.path / MARK, b'{"files": true}\n', 0o600)


async def settle(daemon: Daemon, person: Seed) -> Account:
    """A person's account, as it is if it is there."""
    try:
        return await daemon.stores.accounts.account(person.name)
    except NotFound:
        return await daemon.stores.accounts.add(person.name, Address(person.name, DOMAIN), person.password)


async def public_tree(daemon: Daemon) -> Tree:
    """The files of the folder for everybody, which is made if it is not there."""
    accounts = daemon.stores.accounts
    try:
        folder = await accounts.team_folder(PUBLIC)
    except NotFound:
        folder = await accounts.add_team_folder(PUBLIC)
    return await daemon.stores.files.tree(folder.id, folder.quota, folder.id)


async def fill(tree: Tree, files: Mapping[tuple[str, ...], bytes]) -> None:
    """Files, over those of a demo that was killed while it wrote them."""
    for path, data in files.items():
        for depth in range(1, len(path)):
            try:
                await tree.make_folder(path[:depth])
            except Exists:
                pass
        upload = await tree.upload(path)
        await upload.write(data)
        await upload.publish()


# -- what is said --------------------------------------------------------------------------------------------------


def people() -> list[Person]:
    """The people with their passwords."""
    return [Person(one.name, f"{one.name}@{DOMAIN}", one.password) for one in PEOPLE]


def tell_json(daemon: Daemon, streams: Streams) -> None:
    """One object on one line, for programs."""
    authority = daemon.tls.authority if daemon.tls else None
    streams.say_json(
        {
            "accounts": [
                {"address": one.address, "user": one.user, "password": one.password} for one in people()
            ],
            "services": {
                one.name: {"host": one.host, "port": one.port, "tls": one.tls} for one in daemon.listening
            },
            "ca_file": str(authority or ""),
            "data": str(daemon.folder.path),
            "pid": os.getpid(),
        }
    )


def tell(daemon: Daemon, streams: Streams) -> None:
    """The table and lines to copy, for people."""
    authority = daemon.tls.authority if daemon.tls else None
    first, second = people()
    streams.say(
        "Launcelot's demo serves:",
        *table(daemon.listening),
        "",
        *(f"  {one.user} <{one.address}>, password {one.password}" for one in (first, second)),
        "",
        f"  data   {daemon.folder.path}",
        f"  trust  {authority or 'no certificate'}",
        f"  log    {daemon.folder.path / 'log'}",
        "",
        "Send and read:",
        *(f"  {line}" for line in first_steps(daemon.listening, second, first, authority)),
        "",
        "Stop with Control-C." if sys.stdin.isatty() else "Stop with SIGTERM.",
    )
