"""A mail's life as a daemon of two processes leaves it behind, asked for while it runs."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.relay.running import NextHop, RelayingDaemon, message


class TraceTests(SynchronousTestCase):
    """``launcelot trace`` beside a running daemon."""

    def test_to_the_next_hop(self) -> None:
        """From RCPT to the next hop's reply, whichever process did what."""
        folder = Path(tempfile.mkdtemp(prefix="launcelot-trace-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        hop = NextHop()
        self.addCleanup(hop.stop)
        daemon = RelayingDaemon(folder, hop.port, workers=2)
        try:
            daemon.set_password()
            with daemon.client() as client:
                client.sendmail("ann@here.example", ["x@far.example"], message("first"))
            hop.wait_for({"first"})
            # The line is written when the reply has come, a moment after the hop has the mail.
            said, events = {}, []
            while "relayed" not in events:
                (found,) = json.loads(daemon.command("trace", "--json", "--message-id", "first@here.example"))["mails"]
                said = json.loads(daemon.command("trace", "--json", found["id"]))
                events = [one["event"] for one in said["mails"][0]["steps"]]
        finally:
            self.assertEqual(daemon.stop(), 0)
        steps = {one["event"]: one for one in said["mails"][0]["steps"]}
        self.assertEqual(set(steps), {"queued", "accepted", "relayed"})
        self.assertEqual((steps["accepted"]["user"], steps["accepted"]["protocol"]), ("ann", "ESMTPA"))
        self.assertEqual(steps["relayed"]["reply"], "250 2.0.0 taken")
