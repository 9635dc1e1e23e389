"""DMARC: the walk, alignment, policies, and what becomes of the mail."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.dmarc import Dmarc, author_domain, organization, walk
from launcelot.checks.interface import Action, Case, Message, Result, Verdict
from launcelot.checks.names import NoAnswer, ScriptedNames

SPF = Result("spf", "pass", (("smtp.mailfrom", "eve@mail.e.example"),))
DKIM = Result("dkim", "pass", (("header.d", "e.example"), ("header.s", "s")))


class DmarcCase(SynchronousTestCase):
    """A zone and a From."""

    def judge(
        self, records: dict[str, Any], *results: Result, author: bytes = b"a@e.example", enforce: bool = True
    ) -> tuple[str, Verdict]:
        """The result, and what becomes of the mail."""
        case = Case("192.0.2.1", "x", None, "here.test", 0.0, list(results))
        head = b"From: " + author + b"\r\n\r\n"
        self.names = ScriptedNames({f"TXT _dmarc.{domain}": record for domain, record in records.items()})
        check = Dmarc(self.names, enforce)
        verdict = self.successResultOf(Deferred.fromCoroutine(check.message(case, Message(head, len(head), head))))
        self.found = case.results[-1]
        return self.found.value, verdict


class PolicyTests(DmarcCase):
    """What is asked for."""

    def test_policies(self) -> None:
        """none, quarantine and reject; only where it is enforced."""
        for policy, action in (
            ("none", Action.ACCEPT),
            ("quarantine", Action.QUARANTINE),
            ("reject", Action.REJECT),
            ("x", Action.ACCEPT),
        ):
            value, verdict = self.judge({"e.example": f"v=DMARC1; p={policy}"})
            self.assertEqual((value, verdict.action), ("fail", action))
            self.assertEqual(self.judge({"e.example": f"v=DMARC1; p={policy}"}, enforce=False)[1].action, Action.ACCEPT)

    def test_no_policy(self) -> None:
        """No record, two, or one that is none."""
        for record in (
            None,
            ["v=DMARC1; p=reject", "v=DMARC1; p=none"],
            "v=DMARC2; p=reject",
            "p=reject; v=DMARC1",
            "v=DMARC1; p=x; p=y",
            b"v=DMARC1; \xff",
        ):
            self.assertEqual(self.judge({} if record is None else {"e.example": record})[0], "none", record)

    def test_names_below(self) -> None:
        """sp, or p where it is missing; a record of their own goes first; t=y is one step milder."""
        for records, action in (
            ({"e.example": "v=DMARC1; p=none; sp=reject"}, Action.REJECT),
            ({"e.example": "v=DMARC1; p=reject"}, Action.REJECT),
            ({"e.example": "v=DMARC1; p=reject", "a.b.e.example": "v=DMARC1; p=none"}, Action.ACCEPT),
            ({"e.example": "v=DMARC1; p=reject; t=y"}, Action.QUARANTINE),
            ({"e.example": "v=DMARC1; p=quarantine; t=y"}, Action.ACCEPT),
        ):
            self.assertEqual(self.judge(records, author=b"x@a.b.e.example")[1].action, action, records)

    def test_the_dns_fails(self) -> None:
        """temperror, and the mail passes; likewise when SPF or DKIM could not be asked."""
        self.assertEqual(self.judge({"e.example": NoAnswer("x")}), ("temperror", Verdict()))
        value, verdict = self.judge({"e.example": "v=DMARC1; p=reject"}, Result("spf", "temperror"))
        self.assertEqual((value, verdict.action), ("temperror", Action.ACCEPT))


class AlignmentTests(DmarcCase):
    """Whose mail it is."""

    def test_alignment(self) -> None:
        """Relaxed means the same organization, strict the same name; what did not pass shows nothing."""
        for tags, results, value in (
            ("", [SPF], "pass"),
            ("; aspf=s", [SPF], "fail"),
            ("", [DKIM], "pass"),
            ("; adkim=s", [DKIM], "pass"),
            ("", [Result("dkim", "fail", DKIM.properties)], "fail"),
            ("", [Result("spf", "pass", (("smtp.mailfrom", "eve@evil.example"),))], "fail"),
            ("", [Result("dkim", "pass", (("header.d", "xe.example"),))], "fail"),
            ("", [Result("spf", "pass", (("smtp.helo", "mx.e.example"),))], "pass"),
            ("", [Result("spf", "fail", SPF.properties), Result("dkim", "permerror"), DKIM], "pass"),
        ):
            self.assertEqual(
                self.judge({"e.example": f"v=DMARC1; p=reject{tags}"}, *results)[0], value, (tags, results)
            )

    def test_two_customers_of_a_registry(self) -> None:
        """Names below a public suffix are not one organization, whether it says so or has nothing to say."""
        other = Result("dkim", "pass", (("header.d", "two.co.example"),))
        self.assertEqual(
            self.judge({"one.co.example": "v=DMARC1; p=reject"}, other, author=b"a@one.co.example")[0], "fail"
        )
        zone = {"one.co.example": "v=DMARC1; p=reject", "co.example": "v=DMARC1; p=reject; psd=y"}
        self.assertEqual(self.judge(zone, other, author=b"a@one.co.example")[0], "fail")
        own = Result("dkim", "pass", (("header.d", "mail.one.co.example"),))
        self.assertEqual(self.judge(zone, own, author=b"a@one.co.example")[0], "pass")

    def test_authors(self) -> None:
        """Several domains, nobody, or what cannot be read have no policy; A-labels are compared."""
        for head, domain in (
            (b"From: A <a@E.example>, b@e.example\r\n\r\n", "e.example"),
            (b"From: a@e.example, b@f.example\r\n\r\n", ""),
            (b"From: a@e.example\r\nFrom: b@f.example\r\n\r\n", ""),
            (b"From: nobody\r\n\r\n", ""),
            (b"\r\n", ""),
            ("From: a@b\u00fccher.example\r\n\r\n".encode(), "xn--bcher-kva.example"),
        ):
            self.assertEqual(author_domain(head), domain, head)
        self.assertEqual(self.judge({}, author=b"nobody")[0], "permerror")


class WalkTests(DmarcCase):
    """RFC 9989 section 4.10."""

    def test_long_names(self) -> None:
        """S23: of a name of a hundred labels eight are asked."""
        names = ScriptedNames({})
        self.successResultOf(Deferred.fromCoroutine(walk(names, ".".join("x" * 100) + ".e.example")))
        self.assertEqual(len(names.asked), 8)
        self.assertEqual(names.asked[1], "TXT _dmarc.x.x.x.x.x.e.example")

    def test_it_ends_where_the_organization_does(self) -> None:
        """psd=n is it, psd=y stands above it."""
        for psd, found in (("n", "e.example"), ("y", "b.e.example"), ("u", "example")):
            names = ScriptedNames(
                {"TXT _dmarc.e.example": f"v=DMARC1; psd={psd}", "TXT _dmarc.example": "v=DMARC1; p=none"}
            )
            steps = self.successResultOf(Deferred.fromCoroutine(walk(names, "a.b.e.example")))
            self.assertEqual(organization("a.b.e.example", steps), found)
