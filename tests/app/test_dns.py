"""``launcelot dns``: what it says to publish is published in a real DNS server, and then it finds that right."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from launcelot.app.command import main
from launcelot.app.configuration import parse
from launcelot.app.dnscheck import Checker
from launcelot.app.publishing import Plan, Record, reached
from launcelot.app.stores import run_now
from launcelot.app.streams import Streams
from launcelot.checks.names import ScriptedNames
from launcelot.hosting.certificates import ensure
from launcelot.relay.policies import NotFetched
from tests.app.programs import COMMAND, ProgramCase
from tests.relay.zones import SignedZones

SETTINGS = """config_version = 1
[daemon]
hostname = "mx.e.example"
domains = ["e.example", "bücher.example"]
proxy_networks = ["192.0.2.0/24"]
[imap]
listen = ["tcp:143:interface=127.0.0.1", "tcp:1143"]
listen_tls = ["proxied:tcp:4993"]
[pop3]
listen = ["tcp6:110:interface=\\\\:\\\\:1"]
listen_tls = []
[ftp]
enabled = false
"""
RELAY = '[relay]\ndns_servers = ["127.0.0.1:{port}"]\ndnssec = true\n'
ADDRESS = "9.1.2.3"
BACKWARDS = "3.2.1.9.in-addr.arpa"


def told(records: list[Any], change: Mapping[str, str | None]) -> dict[str, str]:
    """
    Zones of records.

    :param change: lines to have in place of those that begin with a text.
    """
    zones = {"e.example": "", "xn--bcher-kva.example": "", BACKWARDS: ""}
    for record in records:
        line = record["line"]
        for begin, other in change.items():
            if line.startswith(begin):
                line = other or ""
        zone = next(one for one in zones if record["name"].endswith(one))
        zones[zone] += f"{line}\n"
    return zones


class DnsTests(ProgramCase):
    """From the plan to what is found."""

    def setUp(self) -> None:
        super().setUp()
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        (self.data / "launcelot.toml").write_text(SETTINGS)
        ensure(self.data / "tls", ["mx.e.example"], datetime.now(UTC))
        self.run_command("dkim", "new", "e.example", "--selector", "s")

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and complaints."""
        output, errors = io.StringIO(), io.StringIO()
        status = main([*arguments, "--data", str(self.data)], Streams(io.StringIO(), output, errors))
        return status, output.getvalue(), errors.getvalue()

    def records(self, *more: str) -> Any:
        """The plan."""
        status, output, errors = self.run_command("dns", "records", "--json", *more)
        self.assertEqual((status, errors), (0, ""))
        return json.loads(output)

    def check(self, change: Mapping[str, str | None], signed: bool = True) -> tuple[int, list[tuple[str, str, str]]]:
        """What is found when the plan was published, with some changes: exit code, states, things and texts."""
        told_zones = told(self.records("--address", ADDRESS)["records"], change)
        zones = SignedZones(told_zones) if signed else SignedZones({}, told_zones)
        self.addCleanup(zones.stop)
        (self.data / "launcelot.toml").write_text(SETTINGS + RELAY.format(port=zones.port))
        done = self.run_program(*COMMAND, "dns", "check", "--json", "--data", str(self.data))
        self.assertEqual(done.stderr, "")
        return done.returncode, [(one["state"], one["what"], one["text"]) for one in json.loads(done.stdout)["findings"]]

    def test_what_is_published_is_right(self) -> None:
        """Every record of every kind, in zones that are signed."""
        status, found = self.check({})
        self.assertEqual([one for one in found if one[0] != "right"], [])
        self.assertEqual(status, 0)
        self.assertEqual(
            {what for _, what, _ in found},
            {"address", "reverse name", "SPF", "mail host", "DKIM", "DMARC", "TLS reports", "service", "DANE"},
        )

    def test_what_is_wrong_is_told_with_its_remedy(self) -> None:
        """A host elsewhere, a reverse name of somebody else, SPF that does not pass, other keys, two policies; and what lacks."""
        other = self.run_command("dkim", "new", "e.example", "--kind", "ed25519", "--selector", "other")[1].splitlines()[1]
        _, _, value = other.partition(" IN ")
        self.run_command("dkim", "remove", "e.example", "other")
        status, found = self.check(
            {
                "e.example. IN MX": "e.example. IN MX 10 other.e.example.",
                "xn--bcher-kva.example. IN MX": None,
                BACKWARDS: f"{BACKWARDS}. IN PTR host.isp.example.",
                "e.example. IN TXT": 'e.example. IN TXT "v=spf1 ip4:198.51.100.1 -all"',
                "ed25519-s._domainkey": f"ed25519-s._domainkey.e.example. IN {value}",
                "rsa-s._domainkey": None,
                "_dmarc.e.example.": '_dmarc.e.example. IN TXT "v=DMARC1; p=maybe"',
                "_25._tcp": f"_25._tcp.mx.e.example. IN TLSA 3 1 1 {'00' * 32}",
                "_smtp._tls.e.example": None,
                "_imaps._tcp.e.example": "_imaps._tcp.e.example. IN SRV 0 1 1 mx.e.example.",
            }
        )
        self.assertEqual(status, 1)
        wrong = {(what, text) for state, what, text in found if state == "wrong"}
        for what, begin in (
            ("mail host", "names other.e.example; publish e.example. IN MX 10 mx.e.example."),
            ("mail host", "is missing; publish xn--bcher-kva.example. IN MX 10 mx.e.example."),
            ("reverse name", "is host.isp.example; have whoever gave you the address set its PTR record to mx.e.example"),
            ("SPF", "mail from mx.e.example [9.1.2.3] is fail by 'v=spf1 ip4:198.51.100.1 -all'; publish e.example. IN TXT"),
            ("SPF", "mail from mx.e.example [9.1.2.3] is fail by 'v=spf1 mx -all'; publish xn--bcher-kva.example. IN TXT"),
            ("DKIM", "is another key than the one that signs"),
            ("DKIM", "is missing; publish rsa-s._domainkey.e.example. IN TXT"),
            ("DMARC", "'v=DMARC1; p=maybe' counts as none; publish _dmarc.e.example. IN TXT"),
            ("DANE", "fits another certificate, which keeps mail away; publish _25._tcp.mx.e.example. IN TLSA 2 0 1 "),
            ("service", "leads to 1 mx.e.example; publish _imaps._tcp.e.example. IN SRV 0 1 993 mx.e.example."),
        ):
            self.assertTrue(any(one == what and text.startswith(begin) for one, text in wrong), (what, begin, found))
        self.assertEqual(len(wrong), 10, wrong)
        self.assertIn(("advice", "TLS reports"), {one[:2] for one in found})

    def test_zones_without_signatures(self) -> None:
        """All is right but DANE, which does nothing there."""
        status, found = self.check({}, signed=False)
        self.assertEqual([(one[0], one[1]) for one in found if one[0] != "right"], [("advice", "DANE")])
        self.assertEqual(status, 0)

    def test_a_dns_that_cannot_answer(self) -> None:
        """Is neither right nor wrong."""
        zones = SignedZones({}, {}, {"e.example": "mx A 127.0.0.1"})
        self.addCleanup(zones.stop)
        text = SETTINGS.replace(', "bücher.example"', "").replace("mx.e.example", "mx.e.example") + RELAY.format(port=zones.port)
        (self.data / "launcelot.toml").write_text(text)
        done = self.run_program(*COMMAND, "dns", "check", "--data", str(self.data))
        self.assertIn("unknown address, mx.e.example: mx.e.example: the DNS answers with DNSServerError; try again", done.stdout)

    def test_lines_for_a_zone(self) -> None:
        """What is printed for people can be pasted; what is no record is a comment."""
        status, output, _ = self.run_command("dns", "records", "--address", ADDRESS, "--address", "2001:db8::1")
        self.assertEqual(status, 0)
        lines = output.splitlines()
        self.assertTrue(all(line.startswith(";") or " IN " in line for line in lines), output)
        self.assertIn("mx.e.example. IN AAAA 2001:db8::1", lines)
        self.assertIn("e.example. IN MX 10 mx.e.example.", lines)
        self.assertIn("_imap._tcp.e.example. IN SRV 10 1 1143 mx.e.example.", lines)
        self.assertNotIn("_pop3", output)
        self.assertIn("no MTA-STS: its certificate must be from a public authority", output)

    def test_a_certificate_from_elsewhere(self) -> None:
        """Its key is named, and MTA-STS makes sense; mail that goes by a smarthost is that host's to send."""
        tls = f'[tls]\ncertificate = "{self.data}/tls/server.pem"\nkey = "{self.data}/tls/server.key"\n'
        relay = '[relay]\nenabled = true\nroutes = ["* smtp.isp.example", "from:e.example 192.0.2.9", "x.example y.example"]\n'
        (self.data / "launcelot.toml").write_text(SETTINGS + tls + relay)
        plan = self.records()
        values = {one["name"]: one["value"] for one in plan["records"] if one["what"] in ("DANE", "SPF", "MTA-STS")}
        self.assertTrue(values["_25._tcp.mx.e.example"].startswith("3 1 1 "))
        self.assertEqual(values["e.example"], "v=spf1 mx a:smtp.isp.example ip4:192.0.2.9 -all")
        self.assertEqual(values["xn--bcher-kva.example"], "v=spf1 mx a:smtp.isp.example -all")
        self.assertRegex(values["_mta-sts.e.example"], r"\Av=STSv1; id=[0-9a-f]{20}\Z")
        self.assertEqual(plan["files"][0]["url"], "https://mta-sts.e.example/.well-known/mta-sts.txt")
        self.assertIn("mx: mx.e.example\r\n", plan["files"][0]["text"])
        self.assertIn("the policy of e.example is not served here: set policy.listen", "".join(plan["advice"]))
        served = '[policy]\nlisten = ["tcp:443"]\nmode = "testing"\nmx = ["*.e.example"]\n'
        (self.data / "launcelot.toml").write_text(SETTINGS + tls + relay + served)
        again = self.records()
        self.assertNotIn("is not served here", "".join(again["advice"]))
        self.assertIn("mta-sts.e.example. IN CNAME mx.e.example.", [one["line"] for one in again["records"]])
        self.assertIn("mode: testing\r\nmx: *.e.example\r\n", again["files"][0]["text"])
        marks = [one["value"] for done in (plan, again) for one in done["records"] if one["name"] == "_mta-sts.e.example"]
        self.assertNotEqual(*marks)

    def test_mta_sts(self) -> None:
        """The record has an id, and the policy on the web can be had and names us."""
        policy = "version: STSv1\nmode: enforce\nmx: {}\nmax_age: 86400\n"
        good, missing = "v=STSv1; id=1", NotFetched("mta-sts.e.example answers with 404")
        for text, web, state, words in (
            (good, policy.format("*.e.example"), "right", "enforce"), (good, missing, "wrong", "answers with 404"),
            (good, policy.format("a.example"), "wrong", "does not name"), (good, "<html>", "wrong", "no line of a policy"),
            ("v=STSv1", "", "wrong", "counts as none"), ("other", "", "advice", "is missing"),
            (good, policy.format("a.example").replace("enforce", "testing"), "right", "testing"),
        ):  # fmt: skip
            names: Any = ScriptedNames({"TXT _mta-sts.e.example": [text], "A mx.e.example": []})

            async def fetch(domain: str, found: Any = web) -> str:
                if isinstance(found, Exception):
                    raise found
                return str(found)

            plan = Plan("mx.e.example", ["e.example"])
            plan.records = [Record("_mta-sts.e.example", "TXT", "v=STSv1; id=2", "MTA-STS", "e.example")]
            *_, finding = run_now(Checker(names, plan, fetch).findings())
            self.assertEqual((finding.state.value, words in finding.text), (state, True), finding)

    def test_what_cannot_be_published(self) -> None:
        """A host without a name, domains that nobody could find, addresses that are none."""
        for settings, arguments, status, text in (
            ('[daemon]\nhostname = "localhost"\ndomains = ["e.example"]\n', (), 78, "set daemon.hostname"),
            ('[daemon]\nhostname = "mx.e.example"\ndomains = ["localhost"]\n', (), 78, "set daemon.domains"),
            ('[daemon]\nhostname = "mx.e.example"\ndomains = ["e.example"]\n', ("--address", "1.2.3"), 64, "write it as"),
        ):
            (self.data / "launcelot.toml").write_text("config_version = 1\n" + settings)
            found = self.run_command("dns", "records", *arguments)
            self.assertEqual((found[0], text in found[2]), (status, True), found)

    def test_dnssec_needs_a_server(self) -> None:
        """Whoever stands in resolv.conf is not believed."""
        _, faults = parse("config_version = 1\n[relay]\ndnssec = true\n")
        self.assertEqual([(one.line, one.key) for one in faults], [(3, "relay.dnssec")])

    def test_ports_that_others_reach(self) -> None:
        """Loopback and free ports are nobody's; behind a balancer or systemd it is the usual one."""
        for endpoints, port in (
            (("tcp:25",), 25), (("tcp:0",), 0), (("tcp:25:interface=127.0.0.1",), 0), (("tcp6:25:interface=\\:\\:1",), 0),
            (("tcp:2:interface=192.0.2.1",), 2), (("tcp6:port=26",), 26), (("unix:/x",), 0),
            (("systemd:domain=INET:index=0",), 7), (("proxied:tcp:9:interface=127.0.0.1",), 7), (("tcp:0", "tcp:3"), 3), ((), 0),
        ):  # fmt: skip
            self.assertEqual(reached(endpoints, 7), port, endpoints)


