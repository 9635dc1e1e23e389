"""Distributions that offer services, installed in a folder of the test's own."""

from __future__ import annotations

import sys
import textwrap
from importlib import invalidate_caches
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ECHO = """\
from dataclasses import dataclass

from launcelot.app.catalogue import Place, ServiceEntry
from launcelot.core.limits import ConnectionCount
from launcelot.core.settings import BadSetting, setting
from launcelot.hosting.listening import Listener, Listeners
from launcelot.hosting.server import ServerFactory, ServerStream


@dataclass(frozen=True)
class Settings:
    listen: tuple[str, ...] = setting(("tcp:7007:interface=127.0.0.1",), "Endpoints of the echo.")
    max_line: int = setting(100, "Longest line that is repeated.", unit="octets", minimum=1)
    words: str = setting("again", "What is said before a line.")


class Echo(ServerStream):
    internal_error = b"internal error\\r\\n"

    async def serve(self):
        while True:
            line = await self.line(self.factory.settings.max_line)
            if line == b"raise":
                raise LookupError("as asked")
            self.write(self.factory.settings.words.encode() + b" " + line + b"\\r\\n")


class EchoFactory(ServerFactory):
    protocol = Echo
    offers_tls = False


def check_words(words):
    if "\\n" in words:
        raise BadSetting("must be one line")


def build(site, settings):
    factory = EchoFactory(site, "echo", ConnectionCount(10, 10))
    factory.settings = settings
    return Listeners(site.reactor, [Listener("echo", endpoint, factory) for endpoint in settings.listen])


SERVICE = ServiceEntry(
    "stranger", "Says it again", {"echo": Place("listen", 7007, 7)}, checks={"words": "stranger:check_words"}
)
"""
"""A small service without faults, as the module ``stranger``."""


def write_distribution(folder: Path, module: str, code: str, service: str, reference: str, name: str = "") -> None:
    """What pip would leave behind of a distribution with one module and one service."""
    name = name or f"launcelot-{module}"
    information = folder / f"{name.replace('-', '_')}-1.5.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (information / "entry_points.txt").write_text(f"[launcelot.services]\n{service} = {reference}\n")
    (folder / f"{module}.py").write_text(textwrap.dedent(code))


class StrangerCase(SynchronousTestCase):
    """
    A test that installs distributions.

    :ivar place: the folder they are in, on the path.
    """

    def setUp(self) -> None:
        """Make the folder, and forget everything that came from it afterwards."""
        self.place = Path(self.mktemp()).absolute()
        self.place.mkdir()
        sys.path.insert(0, str(self.place))
        self.addCleanup(self._forget)

    def _forget(self) -> None:
        sys.path.remove(str(self.place))
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "")).startswith(str(self.place)):
                del sys.modules[name]
        invalidate_caches()

    def install(
        self,
        code: str = ECHO,
        service: str = "echo",
        reference: str = "stranger:SERVICE",
        module: str = "stranger",
        name: str = "",
    ) -> None:
        """Install a distribution of one module."""
        write_distribution(self.place, module, code, service, reference, name)
        invalidate_caches()
