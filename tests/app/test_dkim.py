"""``launcelot dkim``, and the daemon that signs with what it made."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.command import main
from launcelot.app.streams import Streams


class DkimTests(SynchronousTestCase):
    """Making, listing and removing keys."""

    def setUp(self) -> None:
        self.data = Path(self.mktemp()).absolute()
        self.data.mkdir(mode=0o700)
        (self.data / "launcelot.toml").write_text('config_version = 1\n[daemon]\ndomains = ["e.example", "bücher.example"]\n')

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and complaints."""
        output, errors = io.StringIO(), io.StringIO()
        status = main(["dkim", *arguments, "--data", str(self.data)], Streams(io.StringIO(), output, errors))
        return status, output.getvalue(), errors.getvalue()

    def answer(self, *arguments: str) -> Any:
        """The same as JSON."""
        status, output, errors = self.run_command(*arguments, "--json")
        self.assertEqual((status, errors), (0, ""))
        return json.loads(output)

    def test_from_the_first_key_to_the_last(self) -> None:
        """Both kinds are made, shown as a zone has them, listed, and removed."""
        status, output, _ = self.run_command("new", "E.example", "--selector", "Mail1")
        self.assertEqual(status, 0)
        comment, first, second = output.splitlines()
        self.assertTrue(comment.startswith("; publish these records of e.example; mail from it is signed from now on"))
        self.assertTrue(first.startswith('rsa-mail1._domainkey.e.example. IN TXT ( "v=DKIM1; k=rsa; p='), first)
        self.assertTrue(second.startswith('ed25519-mail1._domainkey.e.example. IN TXT "v=DKIM1; k=ed25519; p='), second)
        self.assertTrue(all(len(one) <= 255 for one in first.split('"')[1::2]))
        listed = self.answer("list")["keys"]
        self.assertEqual([(one["selector"], one["kind"], one["fault"]) for one in listed], [
            ("ed25519-mail1", "ed25519", ""), ("rsa-mail1", "rsa", ""),
        ])  # fmt: skip
        self.assertEqual(self.answer("remove", "e.example", "rsa-mail1"), {"domain": "e.example", "selector": "rsa-mail1"})
        self.assertEqual(self.run_command("list")[1], "e.example  ed25519-mail1  ed25519\n")

    def test_internationalized_domain(self) -> None:
        """Its key is that of its A-labels."""
        (made,) = self.answer("new", "Bücher.example", "--kind", "ed25519")["keys"]
        self.assertEqual(made["domain"], "xn--bcher-kva.example")
        self.assertTrue(made["selector"].startswith("ed25519-2"))

    def test_what_is_refused(self) -> None:
        """Somebody else's domain, no domain, a selector that is none or taken, a key that is not there."""
        for arguments, status, text in (
            (("new", "other.example"), 1, "not among daemon.domains"),
            (("new", "a..b"), 64, "malformed domain"),
            (("new", "e.example", "--kind", "rsa", "--selector", "a b"), 1, "is no selector"),
            (("remove", "e.example", "x"), 1, "has no key 'x'"),
        ):
            found = self.run_command(*arguments)
            self.assertEqual(found[0], status, arguments)
            self.assertIn(text, found[2])
        self.answer("new", "e.example", "--kind", "ed25519", "--selector", "x")
        self.assertIn("choose another selector", self.run_command("new", "e.example", "--kind", "ed25519", "--selector", "x")[2])

    def test_broken_keys_are_told(self) -> None:
        """With a status for scripts."""
        self.answer("new", "e.example", "--kind", "ed25519", "--selector", "x")
        (self.data / "dkim" / "e.example" / "x.pem").write_text("")
        status, output, _ = self.run_command("list")
        self.assertEqual(status, 78)
        self.assertIn("make a new one", output)
