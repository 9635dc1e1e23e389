"""
The fixture ``launcelot`` for pytest: mail, file and other servers on free ports of this machine, for one test.

::

    def test_arrives(launcelot):
        lc = launcelot.start("smtp", "imap")
        lc.user("ann", password="pw")
        send_newsletter(lc.smtp.host, lc.smtp.port, to=lc.address("ann"))
        assert lc.mail.wait(to=lc.address("ann"), subject="News", timeout=2).text == "hi\\n"

pytest finds this module by its entry point and imports it in every run, so it imports nothing else: Twisted and the servers come
with the first ``start``.  No reactor is installed, ever.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from launcelot.testing.keeping import Kept
    from launcelot.testing.served import Served

__tracebackhide__ = True
"""pytest shows the test's line, not ours."""


class Run:
    """What is kept from one test to the next; it is made, and imported, when the first test starts a server."""

    def __init__(self) -> None:
        self._kept: Kept | None = None

    @property
    def kept(self) -> Kept:
        """What the servers of the tests share without their knowing."""
        if self._kept is None:
            from launcelot.testing.keeping import Kept

            self._kept = Kept(keeps_threads=True)
        return self._kept

    def rest(self) -> None:
        """Have nothing run until a test starts a server again."""
        if self._kept is not None:
            self._kept.close()


RUN = pytest.StashKey[Run]()


class Starter:
    """
    What a test gets as ``launcelot``.

    :ivar started: in the order in which they were started.
    :ivar written: golden files that were written anew.
    :param folder: of the test.
    :param run: of pytest, which keeps for the next test what no test could tell from new.
    :param keeps: makes the folder in which transcripts are kept of a test that fails.
    :param golden: what is done with golden files: ``"check"``, ``"update"``, or what the environment says.
    """

    def __init__(
        self, folder: Path, run: Run, golden: str = "", keeps: Callable[[], Path] | None = None
    ) -> None:
        self.started: list[Served] = []
        self.written: list[Path] = []
        self._folder = folder
        self._golden = golden
        self._run = run
        self._keeps = keeps

    def start(self, *names: str, **options: Any) -> Served:
        """Serve a new Site; see :func:`launcelot.testing.served.serve`."""
        from launcelot.testing.evidence import Keep
        from launcelot.testing.served import serve

        served = serve(*names, kept=self._run.kept, **options)
        self.started.append(served)
        served.mail.keep = Keep(self._keeps)
        served.golden.folder = self._folder
        served.golden.mode = self._golden
        served.golden.written = self.written
        return served

    def stop(self) -> list[str]:
        """Stop them all; what was left behind.  Faults that have not happened are warned of."""
        for served in self.started:
            for fault in served.unstruck:
                warnings.warn(f"{fault} has not happened", stacklevel=2)
        return [line for served in reversed(self.started) for line in served.stop()]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Ours."""
    parser.getgroup("launcelot").addoption(
        "--launcelot-golden",
        choices=("check", "update"),
        help="golden files of transcripts: compare with them (the default), or write them anew",
    )


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A test that asks for no server finds no thread of ours."""
    if RUN in item.config.stash and "launcelot" not in getattr(nextitem, "fixturenames", ()):
        item.config.stash[RUN].rest()


def pytest_unconfigure(config: pytest.Config) -> None:
    """pytest ends, in whatever way."""
    if RUN in config.stash:
        config.stash[RUN].rest()


@pytest.fixture
def launcelot(request: pytest.FixtureRequest) -> Iterator[Starter]:
    """Servers for one test: ``lc = launcelot.start("smtp", "imap")``."""
    temporary = request.getfixturevalue("tmp_path_factory")
    golden = request.config.getoption("--launcelot-golden") or ""
    run = request.config.stash.setdefault(RUN, Run())
    starter = Starter(request.path.parent, run, golden, lambda: temporary.mktemp("wire"))
    try:
        yield starter
    finally:
        left = starter.stop()
    for path in starter.written:
        warnings.warn(f"{path} was written anew", stacklevel=2)
    if left:
        pytest.fail("\n".join(["launcelot: left behind at the end of the test", *left]), pytrace=False)
