"""Golden files: what a connection said once and is to say again."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing.golden import UPDATE, Golden, NotGolden, fits, fits_all, merged, mode_of, settled
from launcelot.testing.served import serve
from launcelot.testing.trial import WorldMixin
from tests.testing.elsewhere import run_pytest

TESTS = '''
import ftplib
import smtplib


def test_mail(launcelot):
    lc = launcelot.start("smtp", "ftp")
    to = lc.user("ann")
    with smtplib.SMTP(*lc.smtp.address) as client:
        client.sendmail("app@news.example", [to], "Subject: News\\n\\nhi\\n")
    lc.smtp.matches("golden/mail.wire")
    with ftplib.FTP() as ftp:
        ftp.connect(*lc.ftp.address)
        ftp.login("ann", "pw")
        ftp.nlst()
    lc.ftp.matches("golden/list.wire")
'''


class FileTests(WorldMixin, SynchronousTestCase):
    """Comparing, and writing."""

    def setUp(self) -> None:
        """Name a folder."""
        self.folder = Path(self.mktemp())

    def test_lines(self) -> None:
        """Words in braces, a star at the end, and dots for whole lines."""
        for golden, line, wanted in (
            ("S: 250 ok", "S: 250 ok", True),
            ("S: 250 ok", "S: 250 ok.", False),
            ("S: 250 {id} ok", "S: 250 07x ok", True),
            ("S: 250 *", "S: 250 anything", True),
            ("S: * 1 FETCH {21}", "S: * 1 FETCH {21}", True),
            ("S: * 1 FETCH {21}", "S: * 1 FETCH {22}", False),
            ("S: a.c", "S: abc", False),
            ("S: {a", "S: {b", False),
        ):
            self.assertEqual(fits(golden, line), wanted, golden)
        lines = ["a", "b", "b", "c"]
        for fitting in (["a", "...", "c"], ["...", "b", "c"], ["...", "b", "..."], ["...", "a", "b", "b", "c", "..."]):
            self.assertTrue(fits_all(fitting, lines), fitting)
        for other in (["a", "c"], ["a", "...", "b"], [], ["...", "d"], ["a", "b", "b", "c", "d"]):
            self.assertFalse(fits_all(other, lines), other)

    def test_what_differs_from_run_to_run(self) -> None:
        """Is in braces when a file is written."""
        for line, wanted in (
            ("S: 250 2.6.0 accepted as 06gzz72j6s22wds09s9d", "S: 250 2.6.0 accepted as {id}"),
            ("C: Date: Sat, 21 Nov 2026 19:54:35 +0000", "C: Date: {date}"),
            ("S: 227 Entering Passive Mode (127,0,0,1,156,66)", "S: 227 Entering Passive Mode ({port})"),
            ("S: 229 Entering Extended Passive Mode (|||40002|)", "S: 229 Entering Extended Passive Mode (|||{port}|)"),
            ('C: Content-Type: text/x; boundary="===============5872=="', "C: Content-Type: text/x; boundary={boundary}"),
            ("C: --===============587275==", "C: --{boundary}"),
            ("C: --===============587275==--", "C: --{boundary}--"),
            ("C: EHLO some-machine.example", "C: EHLO {client}"),
            ("C: MAIL FROM:<app@news.example>", "C: MAIL FROM:<app@news.example>"),
        ):
            self.assertEqual(settled(line), wanted)
            self.assertTrue(fits(wanted, line))

    def test_written_and_compared(self) -> None:
        """A missing one fails; an update writes it; another dialogue fails and says how; an update keeps what still fits."""
        golden = Golden(self.folder)
        missing = self.assertRaises(NotGolden, golden.compare, "a/b.wire", ["C: NOOP"])
        self.assertIn("update", str(missing))
        golden.mode = UPDATE
        golden.compare("a/b.wire", ["C: NOOP", "S: 250 ok", "-- closed"])
        path = self.folder / "a" / "b.wire"
        self.assertEqual((path.read_text(), golden.written), ("C: NOOP\nS: 250 ok\n-- closed\n", [path]))
        path.write_text("C: NOOP\nS: 250 *\n-- closed\n")
        golden.mode = "check"
        golden.compare("a/b.wire", ["C: NOOP", "S: 250 fine", "-- closed"])
        said = str(self.assertRaises(NotGolden, golden.compare, "a/b.wire", ["C: NOOP", "S: 250 fine", "C: QUIT", "-- lost"]))
        self.assertEqual(said.splitlines()[2:], ["   C: NOOP", "   S: 250 *", "  --- closed", "  +C: QUIT", "  +-- lost"])
        golden.mode = UPDATE
        golden.compare("a/b.wire", ["C: NOOP", "S: 250 fine", "C: QUIT", "-- lost"])
        self.assertEqual(path.read_text(), "C: NOOP\nS: 250 *\nC: QUIT\n-- lost\n")
        self.assertEqual(list(path.parent.iterdir()), [path])
        self.assertEqual(merged(["..."], ["a"]), ["a"])

    def test_mode(self) -> None:
        """From the environment."""
        self.assertEqual([mode_of({}), mode_of({"LAUNCELOT_GOLDEN": "update"})], ["check", "update"])

    def test_trial(self) -> None:
        """A world's connection."""
        world = self.world()
        questions = world.serve("questions")
        link = questions.connect()
        link.say(b"Beautiful is better than?")
        link.close()
        self.assertGolden(questions, "golden/question.wire")
        link = questions.connect()
        link.say(b"Simple is better than?")
        self.assertRaises(NotGolden, self.assertGolden, questions, "golden/question.wire")


class ServedTests(SynchronousTestCase):
    """On sockets."""

    def test_over(self) -> None:
        """One that is open is not compared."""
        lc = serve("smtp")
        self.addCleanup(lc.stop)
        self.assertRaises(NotGolden, lc.smtp.matches, "x")
        self.assertEqual(lc.smtp.transcripts, [])

    def test_with_the_flag(self) -> None:
        """Strangers write their files once; then they hold, in other runs on other ports."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "test_it.py").write_text(TESTS)
        for arguments in (("--launcelot-golden=update",), ()):
            self.assertIn("1 passed", run_pytest(folder, "-p", "no:twisted", "-p", "no:asyncio", *arguments).stdout)
        self.assertIn("C: ehlo {client}\n", (folder / "golden" / "mail.wire").read_text())
        self.assertIn("{port}", (folder / "golden" / "list.wire").read_text())
