"""
Running the daemon: what the default run adds to the bare service, and ``launcelot run``.
"""

from __future__ import annotations

import gc
import getpass
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TextIO

from twisted.logger import Logger, globalLogBeginner
from twisted.python import usage

from launcelot.accounts.interface import Account
from launcelot.accounts.names import canonical
from launcelot.app.configuration import Configuration
from launcelot.app.daemon import Daemon
from launcelot.app.errors import OK, USAGE, Ending
from launcelot.app.loglines import Lines
from launcelot.app.passwords import generated_password
from launcelot.app.roof import is_detached, say, take_reactor
from launcelot.app.streams import Streams
from launcelot.app.systemd import Notifier
from launcelot.app.table import Person, first_steps, table
from launcelot.app.tap import DaemonOptions, everything
from launcelot.core.errors import Invalid
from launcelot.message.address import Address

log = Logger(namespace="launcelot.daemon")


def build_daemon(reactor: Any, options: DaemonOptions, failed: Callable[[Ending], None]) -> Daemon:
    """The daemon of some options, with its first account and its table."""
    configuration = options.configuration or options.configured()
    newcomer = Newcomer(configuration)
    daemon = daemon_for(configuration, options.auth)(
        reactor,
        configuration,
        failed,
        prepare=[newcomer.make],
        announce=lambda daemon: tell(daemon, newcomer, sys.__stdout__),
        checkers=options.get("credCheckers", ()),
        notifier=Notifier(os.environ, reactor),
        reread=options.configured,
        sockets=options.sockets,
    )
    reload_on_hangup(reactor, daemon)
    return daemon


def daemon_for(configuration: Configuration, auth: Sequence[str] = ()) -> Callable[..., Daemon]:
    """
    The kind of daemon that a configuration asks for: one process, or a master with workers.

    :param auth: checkers as ``--auth`` names them, which workers make for themselves.
    """
    if configuration.daemon.workers == 1:
        return Daemon
    from launcelot.app.master import Master

    return partial(Master, auth=auth)


def reload_on_hangup(reactor: Any, daemon: Daemon) -> None:
    """Reload on SIGHUP; stop where it means that our terminal has gone.  Under nohup the signal stays ignored."""
    had_terminal = has_terminal()

    def hung_up(number: int, frame: object) -> None:
        reactor.callFromThread(reactor.stop if had_terminal and not has_terminal() else daemon.hung_up)

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, hung_up)


def has_terminal() -> bool:
    """Whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class Newcomer:
    """
    The first account, made when there is none.

    :ivar account: it, if this run made it.
    :ivar password: its password, to be shown once.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._settings = configuration.accounts
        self._domain = configuration.daemon.domains[0]
        self.account: Account | None = None
        self.password = ""

    async def make(self, daemon: Daemon) -> None:
        """Make it where the settings ask for it and there is none."""
        if not self._settings.make_first or await daemon.stores.accounts.accounts():
            return
        name = first_name(self._settings.first)
        self.password = generated_password()
        self.account = await daemon.stores.accounts.add(name, Address(name, self._domain), self.password)


def first_name(configured: str) -> str:
    """The name of the first account: the configured one, or that of whoever starts the daemon."""
    try:
        return canonical(configured or getpass.getuser())
    except (Invalid, KeyError, OSError):
        # A user without a name, as in some containers, or with one that no account can have.
        return "launcelot"


def tell(daemon: Daemon, newcomer: Newcomer, stream: TextIO | None) -> None:
    """The table of what listens, and how to begin."""
    account = newcomer.account
    if stream is None or is_detached():
        if account is not None:
            log.info("{introduction}", introduction=introduction(account, newcomer.password))
        return
    lines = ["Launcelot serves:", *table(daemon.listening), ""]
    lines += [f"  data     {daemon.folder.path}"]
    authority = daemon.tls.authority if daemon.tls else None
    if authority is not None:
        lines += [f"  trust    {authority}"]
    if account is not None:
        lines += ["", introduction(account, newcomer.password), "", "Send and read a first message:"]
        person = Person(account.name, str(account.address), newcomer.password if may_show_password() else "")
        lines += [f"  {line}" for line in first_steps(daemon.listening, person, person, authority)]
    stream.write("\n".join(lines) + "\n")
    stream.flush()


def introduction(account: Account, password: str) -> str:
    """The first account and, once and only where a person reads, its password."""
    if may_show_password():
        return f"First account {account.name} <{account.address}>, password {password} (shown this once)."
    return f"First account {account.name} <{account.address}>; give it a password with: launcelot account passwd {account.name}"


def may_show_password() -> bool:
    """Not into systemd's journal or a log, which others read and which are kept."""
    return "JOURNAL_STREAM" not in os.environ and not is_detached()


def main(given: Namespace, streams: Streams) -> int:
    """
    ``launcelot run``.

    :raises Ending: it cannot start.
    """
    options = everything.Options()
    options.synopsis = "Usage: launcelot run [--config FILE] [--data DIR] [endpoints]"
    try:
        parse: Callable[[list[str]], None] = options.parseOptions
        parse(given.arguments)
    except usage.UsageError as error:
        raise Ending(f"run: {error}; see launcelot run --help", USAGE) from error
    globalLogBeginner.beginLoggingTo([Lines(sys.stderr)], redirectStandardIO=False)
    reactor = take_reactor()
    return serve(reactor, lambda failed: build_daemon(reactor, options, failed))


COLLECT_AT = 2_000
"""Objects made and not freed again after which the garbage collector looks at them; with ten times as many what handshakes
leave behind adds 5 KiB to each of two hundred connections."""


def spare_collector() -> None:
    """
    Have the garbage collector look at fewer objects and less often.

    What has been imported and built lives as long as the process; and a listing of thousands of rows makes thousands of
    tuples in a moment, none of them in a circle, for which it would otherwise look at everything several times.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AT, 20, 20)


def serve(reactor: Any, build: Callable[[Callable[[Ending], None]], Daemon]) -> int:
    """
    Run a daemon until it is told to stop.

    :param build: makes it, given whom to tell why it cannot start.
    :returns: the exit code.
    """
    endings: list[Ending] = []

    def failed(ending: Ending) -> None:
        if not reactor.running:
            raise ending
        endings.append(ending)
        say(ending.text)
        reactor.stop()

    daemon = build(failed)
    daemon.privilegedStartService()
    daemon.startService()
    reactor.addSystemEventTrigger("before", "shutdown", daemon.stopService)
    spare_collector()
    reactor.run()
    return endings[0].status if endings else OK
