"""The pytest plugin, as strangers meet it: in a process of its own, in a folder with nothing but their test."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.testing.elsewhere import CHECKOUT, run_pytest

ARRIVES = '''
import smtplib
import subprocess
import sys
import threading

import pytest


def send_newsletter(host, port, to, text="hi\\n"):
    with smtplib.SMTP(host, port) as client:
        client.sendmail("app@news.example", [to], f"Subject: News\\n\\n{text}")


def test_arrives(launcelot):
    lc = launcelot.start("smtp", "imap")
    lc.user("ann", password="pw")                      # lc.address("ann") is her address
    send_newsletter(lc.smtp.host, lc.smtp.port, to=lc.address("ann"))
    assert lc.mail.wait(to=lc.address("ann"), subject="News", timeout=2).text == "hi\\n"


def test_no_reactor_was_installed(launcelot):
    launcelot.start("ftp")
    assert "twisted.internet.reactor" not in sys.modules


def test_from_a_thread(launcelot):
    lc = launcelot.start("smtp")
    lc.user("ann")
    threading.Thread(target=send_newsletter, args=(lc.smtp.host, lc.smtp.port, lc.address("ann"))).start()
    assert lc.mail.wait(to=lc.address("ann")).subject == "News"


def test_from_a_process(launcelot):
    lc = launcelot.start("smtp")
    lc.user("ann")
    code = f"import smtplib; smtplib.SMTP{lc.smtp.address}.sendmail('a@b.c', {lc.address('ann')!r}, 'Subject: x')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert lc.mail.wait(subject="x").sender == "a@b.c"


def test_two_sites(launcelot):
    one, two = launcelot.start("smtp"), launcelot.start("smtp")
    one.user("ann"), two.user("ann")
    send_newsletter(two.smtp.host, two.smtp.port, two.address("ann"))
    two.mail.wait()
    one.mail.none()


@pytest.mark.xfail(strict=True)
def test_that_must_fail(launcelot):
    lc = launcelot.start("smtp")
    lc.user("ann")
    send_newsletter(lc.smtp.host, lc.smtp.port, lc.address("ann"))
    lc.mail.none(to=lc.address("ann"))
'''

ASYNCIO = """
import asyncio

import pytest


async def say(port, to):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for line in ("", "EHLO me", "MAIL FROM:<a@b.c>", f"RCPT TO:<{to}>", "DATA", "Subject: News\\r\\n\\r\\nhi\\r\\n.", "QUIT"):
        if line:
            writer.write(f"{line}\\r\\n".encode())
        while (await reader.readline())[3:4] == b"-":
            pass
    writer.close()
    await writer.wait_closed()


@pytest.mark.asyncio
async def test_asyncio(launcelot):
    lc = launcelot.start("smtp")
    to = lc.user("ann")
    sending = asyncio.ensure_future(say(lc.smtp.port, to))
    assert (await lc.mail.wait_async(to=to, subject="News", timeout=5)).text == "hi\\n"
    await sending


def test_asyncio_run(launcelot):
    lc = launcelot.start("smtp")
    asyncio.run(say(lc.smtp.port, lc.user("ann")))
    assert lc.mail.wait().subject == "News"
"""

TWISTED = """
import pytest_twisted
from twisted.internet import protocol
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.threads import deferToThread


@pytest_twisted.ensureDeferred
async def test_with_the_global_reactor(launcelot):
    from twisted.internet import reactor
    assert type(reactor).__name__ == "AsyncioSelectorReactor"
    lc = launcelot.start("smtp")
    to = lc.user("ann")
    waiting = deferToThread(lc.mail.wait, to=to)
    client = await connectProtocol(TCP4ClientEndpoint(reactor, lc.smtp.host, lc.smtp.port), protocol.Protocol())
    client.transport.write(
        b"EHLO me\\r\\nMAIL FROM:<>\\r\\nRCPT TO:<%b>\\r\\nDATA\\r\\nSubject: x\\r\\n\\r\\n.\\r\\n" % to.encode()
    )
    assert (await waiting).subject == "x"
    client.transport.loseConnection()
"""


MISTAKES = """
def test_service(launcelot):
    launcelot.start("smpt")


def test_setting(launcelot):
    launcelot.start("smtp", settings={"smtp": {"size": 1}})


def test_place(launcelot):
    launcelot.start("smtp").imap


def test_twice(launcelot):
    lc = launcelot.start("smtp")
    lc.user("ann"), lc.user("ann")


def test_nobody(launcelot):
    launcelot.start("smtp").mailbox("ann")


def test_golden(launcelot):
    launcelot.start("smtp").smtp.matches("a.wire")


def test_missing(launcelot):
    launcelot.start("smtp").mail.wait(timeout=0.01)

"""

THREADS = """
import smtplib
import threading
import time

import pytest

SEEN = []


def ours():
    return [one for one in threading.enumerate() if one.name == "launcelot"]


def test_one(launcelot):
    assert not ours()
    launcelot.start("smtp")
    SEEN.extend(ours())


def test_two(launcelot):
    lc = launcelot.start("smtp")
    assert ours() == SEEN and lc.mail.all() == [] and lc.transcripts == ()
    lc.user("ann", "pw")
    launcelot.start("ftp")
    assert len(ours()) == 2


def test_of_somebody_else():
    assert not ours() and not SEEN[0].is_alive()


def test_that_leaves_a_call(launcelot):
    lc = launcelot.start("smtp")
    SEEN[:] = ours()
    lc._thread.call(lc._thread.reactor.callLater, 3_600, print)


def test_after_it(launcelot):
    launcelot.start("smtp")
    assert ours() != SEEN and not SEEN[0].is_alive()
"""


class PluginTests(SynchronousTestCase):
    """Tests of somebody else."""

    def run_test(self, text: str, *arguments: str) -> str:
        """What pytest says of a file of tests."""
        # Not below the checkout, whose configuration of pytest would count there.
        kept = tempfile.TemporaryDirectory(prefix="launcelot-test-")
        self.addCleanup(kept.cleanup)
        folder = Path(kept.name)
        (folder / "test_it.py").write_text(text)
        return run_pytest(folder, *arguments).stdout

    def test_clients_of_every_kind(self) -> None:
        """In threads and other processes, and in parallel where pytest-xdist is installed."""
        parallel = ("-n", "2") if find_spec("xdist") is not None else ()
        self.assertIn("5 passed, 1 xfailed", self.run_test(ARRIVES, "-p", "no:twisted", *parallel))

    def test_mistakes_are_shown_where_they_were_made(self) -> None:
        """The test's line and one of ours that says what is wrong; nothing of what is between them."""
        said = self.run_test(MISTAKES, "-p", "no:twisted", "-p", "no:randomly", "-p", "no:xdist")
        self.assertIn("7 failed", said)
        for line in (
            "LookupError: there is no service 'smpt'; there are smtp, submission",
            "LookupError: smtp has no setting 'size'; it has check_from_header",
            "AttributeError: 'imap' was not started; smtp was",
            "Exists: the name is taken",
            "NotFound: ",
            "NotGolden: nobody has connected to smtp",
            "NoMail: no mail with anything within 0.01 s",
        ):
            self.assertIn(line, said)
        shown = said.partition("warnings summary")[0]
        for hidden in ("served.py:", "testing/plugin.py:", "reactorthread.py:", "defer.py:", "local.py:", "_base.py:"):
            self.assertNotIn(hidden, shown)

    def test_a_thread_is_kept_only_between_tests_that_start_servers(self) -> None:
        """And only one on which nothing was left; whoever leaves something is told, and nobody else."""
        said = self.run_test(THREADS, "-p", "no:twisted", "-p", "no:randomly", "-p", "no:xdist")
        self.assertIn("5 passed, 1 error", said)
        self.assertIn("ERROR test_it.py::test_that_leaves_a_call", said)
        self.assertIn("a call is still to come", said)

    def test_beside_pytest_asyncio(self) -> None:
        """Coroutines wait without holding up their loop."""
        if find_spec("pytest_asyncio") is None:
            raise SkipTest("pytest-asyncio is not installed")
        self.assertIn("2 passed", self.run_test(ASYNCIO, "-p", "no:twisted", "-p", "no:randomly"))

    def test_beside_pytest_twisted(self) -> None:
        """Whose reactor is the one it was told to install."""
        self.assertIn("1 passed", self.run_test(TWISTED, "--reactor=asyncio"))

    def test_importing_the_plugin_costs_nothing(self) -> None:
        """Whoever does not use it does not load Twisted, or anything else that pytest has not loaded."""
        code = (
            "import sys, pytest; before = set(sys.modules); import launcelot.testing.plugin;"
            "print(sorted(name for name in set(sys.modules) - before if not name.startswith('launcelot')))"
        )
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=True, timeout=60
        ).stdout
        self.assertEqual(said.strip(), "[]")
