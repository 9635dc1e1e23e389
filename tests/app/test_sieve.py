"""``launcelot sieve``."""

from __future__ import annotations

import io
import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.command import main
from launcelot.app.streams import Streams

MESSAGE = b"Return-Path: <eve@far.example>\r\nTo: Ann <ann@test>, x@y.example\r\nSubject: invoice 17\r\n\r\nbody\r\n"


class SieveTests(SynchronousTestCase):
    """Checking and testing scripts."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.write("message.eml", MESSAGE)

    def write(self, name: str, data: str | bytes) -> str:
        """A file's path."""
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and complaints of ``launcelot sieve``."""
        output, errors = io.StringIO(), io.StringIO()
        status = main(["sieve", *arguments], Streams(io.StringIO(), output, errors))
        return status, output.getvalue(), errors.getvalue()

    def test_check(self) -> None:
        """Right, or wrong with the line."""
        right, wrong = self.write("right.sieve", "keep;"), self.write("wrong.sieve", "keep;\nfrob;")
        self.assertEqual(self.run_command("check", right), (0, f"{right}: right\n", ""))
        self.assertEqual(self.run_command("check", wrong), (1, f"{wrong}:2: there is no command 'frob'\n", ""))
        status, output, _ = self.run_command("check", "--json", wrong)
        self.assertEqual((status, json.loads(output)["problems"][0]["line"]), (1, 2))

    def test_trace(self) -> None:
        """Each line that does something, then what becomes of the message."""
        script = self.write(
            "s.sieve",
            'require ["fileinto", "envelope", "mailbox"];\nif allof (envelope "from" "eve@far.example",\n'
            '  header :matches "subject" "invoice *", mailboxexists "Bills") {\n  fileinto "Bills";\n}',
        )
        status, output, _ = self.run_command("test", script, str(self.folder / "message.eml"), "--mailbox", "Bills")
        self.assertEqual(status, 0)
        self.assertEqual(
            output.splitlines(),
            [
                "line 2: ['eve@far.example'] :is ['eve@far.example']",
                "line 2: envelope is true",
                "line 3: ['invoice 17'] :matches ['invoice *']",
                "line 3: header is true",
                "line 3: mailboxexists is true",
                "line 2: allof is true",
                "line 4: fileinto 'Bills'",
                "then:",
                "  fileinto 'Bills'",
            ],
        )

    def test_json(self) -> None:
        """The same for programs."""
        script = self.write("s.sieve", 'require "vacation"; vacation "away";')
        status, output, _ = self.run_command("test", "--json", script, str(self.folder / "message.eml"))
        told = json.loads(output)
        self.assertEqual((status, told["ok"]), (0, True))
        self.assertEqual([one["action"] for one in told["actions"]], ["vacation", "keep"])
        self.assertEqual(told["actions"][0]["to"], "eve@far.example")

    def test_envelope_can_be_given(self) -> None:
        """In the place of what the header says."""
        script = self.write("s.sieve", 'require "envelope"; if envelope "to" "bob@test" { discard; }')
        message = str(self.folder / "message.eml")
        self.assertEqual(self.run_command("test", script, message)[1].splitlines()[-1], "  keep")
        self.assertEqual(self.run_command("test", script, message, "--to", "bob@test")[1].splitlines()[-1], "  discard")
        status, _, complaint = self.run_command("test", script, message, "--to", "nobody")
        self.assertEqual((status, complaint.count("\n")), (64, 1))

    def test_included_scripts_lie_beside(self) -> None:
        """And nowhere else."""
        self.write("other.sieve", "discard;")
        message = str(self.folder / "message.eml")
        script = self.write("s.sieve", 'require "include"; include "other";')
        self.assertEqual(self.run_command("test", script, message)[1].splitlines()[-1], "  discard")
        script = self.write("t.sieve", 'require "include"; include "..";')
        status, output, _ = self.run_command("test", script, message)
        self.assertEqual((status, "error: line 1: there is no script '..' to include" in output), (1, True))

    def test_what_cannot_be_read(self) -> None:
        """One line, without a traceback."""
        script = self.write("s.sieve", "keep")
        message = str(self.folder / "message.eml")
        for arguments in (("check", "/nowhere"), ("test", script, message), ("test", script, "/nowhere")):
            status, output, complaint = self.run_command(*arguments)
            self.assertEqual((output, complaint.count("\n")), ("", 1))
            self.assertIn(status, (1, 66))
