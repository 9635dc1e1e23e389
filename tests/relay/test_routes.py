"""Routes: what a line means, which of several fits, and what is no route."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.address import Address
from launcelot.relay.routes import Route, Tls, parse_route, parse_routes

ANN = Address("ann", "here.example")


class RouteTests(SynchronousTestCase):
    """One line each."""

    def test_smarthost_with_login(self) -> None:
        """Everything that can be said."""
        route = parse_route("* smtp.isp.example:587 tls=verified user=team password_file=/etc/pw connections=20")
        self.assertEqual(route, Route("*", "smtp.isp.example", 587, Tls.VERIFIED, "team", Path("/etc/pw"), 20))

    def test_usual_ports(self) -> None:
        """25, and 465 where TLS begins at once; IPv6 in brackets."""
        self.assertEqual(parse_route("* [2001:db8::1]"), Route("*", "2001:db8::1", 25))
        self.assertEqual(parse_route("* h.example tls=implicit").port, 465)
        self.assertEqual(parse_route("* 192.0.2.1:2525").port, 2525)

    def test_first_that_fits(self) -> None:
        """By recipient, by what is below a domain, by sender; else as the DNS says."""
        routes = parse_routes(
            ["a.example one.example", ".b.example two.example", "from:Here.example three.example", "bücher.example four.example"]
        )
        for recipient, sender, host in (
            ("a.example", ANN, "one.example"),
            ("x.a.example", None, ""),
            ("x.b.example", None, "two.example"),
            ("b.example", None, ""),
            ("c.example", ANN, "three.example"),
            ("c.example", Address("x", "x.here.example"), ""),
            ("xn--bcher-kva.example", None, "four.example"),
            ("c.example", None, ""),
        ):
            self.assertEqual(routes.find(sender, Address("u", recipient)).host, host, recipient)

    def test_same_host_is_one_destination(self) -> None:
        """Unless somebody else logs in."""
        one, two, three = (
            parse_route("a.example h.example:26"),
            parse_route("b.example h.example:26"),
            parse_route("c.example h.example:26 tls=none user=u password_file=/p"),
        )
        self.assertEqual(one.destination, two.destination)
        self.assertNotEqual(one.destination, three.destination)

    def test_what_is_no_route(self) -> None:
        """Each is refused with its reason."""
        for text in (
            "",
            "a.example",
            "a..example mx",
            "from: mx",
            "* host:0",
            "* host:65536",
            "* [::1",
            "* ho st",
            "* host tls=maybe",
            "* host tls",
            "* host tls=none tls=none",
            "* host speed=fast",
            "* host user=u",
            "* host password_file=/p",
            "* host user=u password_file=/p",
            "* host user=u password_file=/p tls=required",
            "* mx user=u password_file=/p tls=verified",
            "* mx tls=implicit",
            "* host connections=many",
        ):
            self.assertRaises(ValueError, parse_route, text)
