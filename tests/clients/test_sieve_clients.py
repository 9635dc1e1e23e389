"""sieve-connect keeps a script on a running demo, and mail goes through it."""

from __future__ import annotations

import os
import subprocess

from tests.clients.demo import sample
from tests.clients.peers import program
from tests.clients.test_mail_clients import MailClientCase


class SieveConnectTests(MailClientCase):
    """A ManageSieve client that we did not write."""

    def client(self, *arguments: str) -> str:
        """What sieve-connect prints."""
        service = self.demo.service("managesieve")
        ours, theirs = os.pipe()
        os.write(theirs, self.password.encode() + b"\n")
        os.close(theirs)
        command = [
            program("sieve-connect"), "-s", "localhost", "-p", str(service.port), "-u", self.user,
            "--tlscafile", str(self.demo.ca_file), "--passwordfd", str(ours), *arguments,
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, pass_fds=(ours,), check=False)
        finally:
            os.close(ours)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_mail_goes_through_an_uploaded_script(self) -> None:
        """Uploaded, made active, obeyed, listed, taken away."""
        subject = self.subject()
        path = self.mktemp()
        with open(path, "w") as script:
            script.write(f'require "fileinto";\nif header :contains "subject" "{subject}" {{ fileinto "Archive"; }}\n')
        self.client("--upload", "--localsieve", path, "--remotesieve", "main")
        self.client("--activate", "--remotesieve", "main")
        self.addCleanup(self.client, "--delete", "--remotesieve", "main")
        self.addCleanup(self.client, "--deactivate")
        self.assertIn('"main" ACTIVE', self.client("--list"))
        self.deliver(sample(subject))
        self.found(subject, "Archive")

    def test_faulty_scripts_are_refused(self) -> None:
        """With the line."""
        path = self.mktemp()
        with open(path, "w") as script:
            script.write("keep;\nfrobnicate;\n")
        error = self.assertRaises(
            self.failureException, self.client, "--upload", "--localsieve", path, "--remotesieve", "bad"
        )
        self.assertIn("line 2", str(error))
        self.assertNotIn("bad", self.client("--list"))
