"""``launcelot simulate``: five days in no time, with the settings of a configuration."""

from __future__ import annotations

import io
import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.command import main
from launcelot.app.simulate import Simulation, parse_hop
from launcelot.app.streams import Streams
from launcelot.message.address import Address
from launcelot.relay.settings import RelaySettings
from launcelot.spool.interface import ELSEWHERE, SpoolRecipient

X = SpoolRecipient(ELSEWHERE, Address("x", "far.example"))
Y = SpoolRecipient(ELSEWHERE, Address("y", "far.example"))
HOUR, DAY = 3_600.0, 86_400.0


class SimulationTests(SynchronousTestCase):
    """What happens, and when."""

    def run_hops(
        self, *hops: str, recipients: tuple[SpoolRecipient, ...] = (X,), **settings: float
    ) -> list[tuple[float, str, str]]:
        """The events of one mail."""
        given = RelaySettings(**settings)  # type: ignore[arg-type]
        simulation = Simulation(given, "us.example", Address("ann", "here.example"), recipients, dict(map(parse_hop, hops)))
        return [(one.at, one.what, one.text) for one in simulation.run()]

    def test_five_days(self) -> None:
        """Retries with growing pauses, one word after four hours, one at the end."""
        events = self.run_hops("far.example=refused")
        notices = [(round(at / HOUR), text) for at, what, text in events if what == "notice"]
        self.assertEqual([text.split(": ")[1] for _, text in notices], ["delayed for x@far.example", "failed for x@far.example"])
        self.assertTrue(4 <= notices[0][0] <= 5 and 120 <= notices[1][0] <= 122, notices)
        attempts = [at for at, what, _ in events if what == "attempt"]
        pauses = [later - at for at, later in zip(attempts, attempts[1:], strict=False)]
        self.assertTrue(270 <= pauses[0] <= 330 and all(HOUR * 0.9 <= one <= HOUR * 1.1 for one in pauses[5:]))
        self.assertTrue(120 <= len(attempts) <= 135)

    def test_steps(self) -> None:
        """A host that is busy for an hour, then takes the mail."""
        events = self.run_hops("far.example=1h:451 4.3.0 busy,250 2.0.0 ok")
        self.assertTrue(HOUR <= events[-1][0] < 2 * HOUR)
        self.assertTrue(events[-1][2].endswith("250 2.0.0 ok"))

    def test_settings_count(self) -> None:
        """Another lifetime, no delay notice."""
        events = self.run_hops("*=dns", lifetime=DAY, delay_notice=0.0)
        self.assertEqual(sum(what == "notice" for _, what, _ in events), 1)
        self.assertTrue(DAY <= events[-1][0] < DAY + 2 * HOUR)

    def test_refusal_and_doubt(self) -> None:
        """5xx is told at once, to both in one notice; a host that vanishes twice behind the message is not tried again."""
        events = self.run_hops("far.example=550 5.1.1 nobody", recipients=(X, Y))
        self.assertEqual([one[1] for one in events], ["attempt", "notice"])
        self.assertTrue(events[1][2].endswith("failed for x@far.example, y@far.example"))
        events = self.run_hops("far.example=vanish")
        self.assertEqual([one[1] for one in events], ["attempt", "attempt", "notice"])

    def test_same_seed_same_times(self) -> None:
        """Chance is scripted, too."""
        self.assertEqual(self.run_hops("*=refused"), self.run_hops("*=refused"))

    def test_hops_that_are_none(self) -> None:
        """Each is refused with its reason."""
        for text in ("", "far.example", "=250 ok", "a=", "a=451 x,250 ok", "a=354 go", "a=maybe", "a=5x:250 ok", "a=1h:"):
            self.assertRaises(ValueError, parse_hop, text)


class CommandTests(SynchronousTestCase):
    """On the command line."""

    def run_command(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output."""
        streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
        status = main(["simulate", *arguments], streams)
        return status, streams.output.getvalue() + streams.errors.getvalue()  # type: ignore[attr-defined]

    def test_with_a_configuration(self) -> None:
        """Its routes decide whose answers count."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "launcelot.toml").write_text('config_version = 1\n[relay]\nroutes = ["far.example smart.example"]\n')
        status, said = self.run_command(
            "x@far.example", "--data", str(folder), "--hop", "smart.example=250 ok", "--hop", "*=550 no", "--json"
        )
        events = json.loads(said)["events"]
        self.assertEqual((status, len(events)), (0, 1))
        self.assertIn("smart.example", events[0]["text"])
        self.assertEqual(list(folder.iterdir()), [folder / "launcelot.toml"])

    def test_for_people(self) -> None:
        """One line for each event; what is no hop is 64."""
        status, said = self.run_command("x@far.example", "--hop", "*=550 5.7.1 no", "--data", self.mktemp())
        self.assertEqual((status, len(said.splitlines())), (0, 2))
        self.assertTrue(said.startswith(" 0d 00:00:00  attempt "))
        self.assertEqual(self.run_command("x@far.example", "--hop", "nonsense", "--data", self.mktemp())[0], 64)
