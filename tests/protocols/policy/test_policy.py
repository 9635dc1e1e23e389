"""Handing out MTA-STS policies: what is asked for, what is answered, and what others make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.limits import ConnectionCount
from launcelot.protocols.policy.grammar import LINE, BadRequest, Request, parse_request, policy_text
from launcelot.protocols.policy.server import PolicyFactory
from launcelot.protocols.policy.service import Settings, build, check_hosts
from launcelot.relay.policies import Mode, parse_policy
from launcelot.testing.certificates import Certificates
from launcelot.testing.link import Link
from launcelot.testing.site import memory_site

CERTIFICATES = Certificates("mta-sts.test")
POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: here.test\r\nmax_age: 1209600\r\n"
GET = b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.test\r\n"


class RequestTests(SynchronousTestCase):
    """RFC 9112 as far as it is needed."""

    def wrong(self, first: bytes, *fields: bytes) -> int:
        """The code of a request that is none."""
        code: int = self.assertRaises(BadRequest, parse_request, first, fields).code
        return code

    def test_requests(self) -> None:
        """Each way of naming host and path; queries are left out."""
        for first, fields, wanted in (
            (b"GET / HTTP/1.1", [b"Host: a.example"], Request("GET", "a.example", "/")),
            (b"HEAD /x?y HTTP/1.1", [b"Accept: *", b"host:\tA.Example:443  "], Request("HEAD", "a.example", "/x")),
            (b"GET https://A.example:8443/z HTTP/1.1", [b"Host: other"], Request("GET", "a.example", "/z")),
            (b"GET / HTTP/1.0", [], Request("GET", "", "/")),
            (b"GET / HTTP/1.1", [b"Host:"], Request("GET", "", "/")),
            (b"GET / HTTP/1.9", [b"Host: a.example."], Request("GET", "a.example", "/")),
        ):
            self.assertEqual(parse_request(first, fields), wanted)

    def test_what_is_none(self) -> None:
        """Each has its code."""
        host = b"Host: a.example"
        for first in (b"", b"GET", b"GET /", b"GET  / HTTP/1.1", b"GET x HTTP/1.1", b"GET * HTTP/1.1", b"G\x00T / HTTP/1.1"):
            self.assertEqual(self.wrong(first, host), 400, first)
        for fields in ([], [host, host], [b"Host: a b"], [b"Host : a"], [b" folded"], [b"x"], [b"Host: a\x00b"], [b"Host: \xff"]):
            self.assertEqual(self.wrong(b"GET / HTTP/1.1", *fields), 400, fields)
        self.assertEqual(self.wrong(b"PRI * HTTP/2.0"), 505)

    @settings(max_examples=200)
    @given(st.binary(max_size=60), st.lists(st.binary(max_size=40), max_size=4))
    def test_any_octets(self, first: bytes, fields: list[bytes]) -> None:
        """A request or none; never anything else."""
        try:
            parse_request(first, fields)
        except BadRequest:
            pass


class ServiceTests(SynchronousTestCase):
    """The server in memory."""

    def setUp(self) -> None:
        self.world = memory_site(tls=CERTIFICATES)
        self.settings = Settings()
        self.serve()

    def serve(self, **changes: Any) -> None:
        """With other settings."""
        self.factory = PolicyFactory(
            self.world.site, "policy", ConnectionCount(1_000, 1_000), replace(self.settings, **changes)
        )
        # The TLS layer is the same for all; here the session below it is looked at.
        self.factory.implicit_tls = False

    def ask(self, request: bytes, chunk: int | None = None) -> tuple[int, dict[str, str], bytes]:
        """Code, fields and body of the answer; the connection ends behind it."""
        link: Link = self.world.connect(self.factory, "192.0.2.9")
        link.say(request, chunk)
        self.world.network.settle()
        head, _, body = link.take().partition(b"\r\n\r\n")
        self.assertTrue(link.closed)
        first, *fields = head.decode().split("\r\n")
        return int(first.split(" ")[1]), dict(one.split(": ", 1) for one in fields), body

    def test_a_policy(self) -> None:
        """Whole, octet by octet, and as others read it."""
        for chunk in (None, 1):
            code, fields, body = self.ask(GET + b"\r\n", chunk)
            self.assertEqual((code, body), (200, POLICY))
            self.assertEqual(fields["Content-Type"], "text/plain; charset=us-ascii")
            self.assertEqual((fields["Content-Length"], fields["Connection"]), (str(len(POLICY)), "close"))
            self.assertEqual(fields["Date"], "Tue, 14 Nov 2023 22:13:20 GMT")
        policy = parse_policy(POLICY.decode())
        self.assertEqual((policy.mode, policy.allows("here.test"), policy.allows("other.test")), (Mode.ENFORCE, True, False))

    def test_every_split(self) -> None:
        """The same answer."""
        whole = GET + b"User-Agent: x\r\n\r\n"
        for place in range(1, len(whole)):
            link: Link = self.world.connect(self.factory, "192.0.2.9")
            link.say(whole[:place])
            link.say(whole[place:])
            self.world.network.settle()
            self.assertTrue(link.take().endswith(POLICY), place)

    def test_settings(self) -> None:
        """Mode, hosts and age; without a policy no hosts are named."""
        self.serve(mode="testing", mx=("a.example", "*.b.example"), max_age=86_400)
        policy = parse_policy(self.ask(GET + b"\r\n")[2].decode())
        self.assertEqual((policy.mode, policy.allows("x.b.example"), policy.age), (Mode.TESTING, True, 86_400))
        self.assertEqual(parse_policy(policy_text("none", ["a.example"], 86_400)).mode, Mode.NONE)
        for wrong in ("", "host", "a b.example", "[192.0.2.1]", "*.*.example", "a.example\r\nmx: b"):
            self.assertRaises(ValueError, check_hosts, (wrong,))
        check_hosts(("mx.example.org", "*.example.org"))

    def test_what_is_not_there(self) -> None:
        """Other files, other hosts, other methods; each answer ends the connection."""
        for first, host, code in (
            (b"GET / HTTP/1.1", b"mta-sts.test", 404),
            (b"GET /.well-known/../.well-known/mta-sts.txt HTTP/1.1", b"mta-sts.test", 404),
            (b"GET /.well-known/mta-sts.txt HTTP/1.1", b"mta-sts.far.example", 421),
            (b"GET /.well-known/mta-sts.txt HTTP/1.1", b"test", 421),
            (b"POST /.well-known/mta-sts.txt HTTP/1.1", b"mta-sts.test", 405),
            (b"get /.well-known/mta-sts.txt HTTP/1.1", b"mta-sts.test", 405),
            (b"PRI * HTTP/2.0", b"mta-sts.test", 505),
            (b"GET /" + b"x" * LINE + b" HTTP/1.1", b"mta-sts.test", 414),
            (b"nonsense", b"mta-sts.test", 400),
        ):
            found = self.ask(first + b"\r\nHost: " + host + b"\r\n\r\n")
            self.assertEqual(found[0], code, first[:60])
        self.assertEqual(self.ask(GET.replace(b"GET", b"PUT") + b"\r\n")[1]["Allow"], "GET, HEAD")
        code, fields, body = self.ask(GET.replace(b"GET", b"HEAD") + b"\r\n")
        self.assertEqual((code, fields["Content-Length"], body), (200, str(len(POLICY)), b""))

    def test_too_much(self) -> None:
        """Fields without end, and one that is too long; bare line ends."""
        self.assertEqual(self.ask(GET + b"X: y\r\n" * 200)[0], 431)
        self.assertEqual(self.ask(GET + b"X: " + b"y" * 2 * LINE)[0], 431)
        self.assertEqual(self.ask(GET.replace(b"\r\n", b"\n") + b"\n")[0], 400)

    def test_too_slow(self) -> None:
        """Who says nothing is told so, and nobody waits longer."""
        link: Link = self.world.connect(self.factory, "192.0.2.9")
        for _ in range(16):
            link.say(b"x")
            self.world.advance(1)
        self.assertTrue(link.take().startswith(b"HTTP/1.1 408 "))
        self.assertTrue(link.closed)

    def test_second_requests_are_not_answered(self) -> None:
        """What follows the first is thrown away."""
        link: Link = self.world.connect(self.factory, "192.0.2.9")
        link.say((GET + b"\r\n") * 3)
        self.world.network.settle()
        self.assertEqual(link.take().count(b"HTTP/1.1 200"), 1)

    def test_without_a_certificate(self) -> None:
        """There is no such service."""
        world = memory_site()
        listeners: Any = build(world.site, Settings(listen=("tcp:0",)))
        self.assertEqual(list(listeners.listeners), [])
        self.assertEqual(len(build(self.world.site, Settings(listen=("tcp:0",))).listeners), 1)
