"""MTA-STS: records, policies, and when they are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.stores import run_now
from launcelot.core.counters import Counters
from launcelot.relay.policies import (
    MIGRATIONS,
    OLDEST,
    RETRY,
    BadPolicy,
    Mode,
    NotFetched,
    Policies,
    Policy,
    parse_policy,
    parse_record,
)
from launcelot.relay.resolver import NoAnswer, ScriptedResolver
from launcelot.workers.database import Database
from launcelot.workers.memory import InlineWorkers

TEXT = "version: STSv1\r\nmode: enforce\r\nmx: mx.far.example\r\nmx: *.mail.far.example\r\nmax_age: 86400\r\n"
RECORD = "v=STSv1; id=1;"


class PolicyTests(SynchronousTestCase):
    """RFC 8461 sections 3.1, 3.2 and 4.1."""

    def test_a_policy(self) -> None:
        """As the standard has it; other line ends, blanks, unknown keys and repeated ones do no harm."""
        expected = Policy(Mode.ENFORCE, ("mx.far.example", "*.mail.far.example"), 86_400)
        self.assertEqual(parse_policy(TEXT), expected)
        self.assertEqual(parse_policy(TEXT.replace("\r\n", "\n").rstrip()), expected)
        more = "x.y-z: what\nmode: none\n\n"
        self.assertEqual(parse_policy(TEXT.replace("mx: mx.far", "mx:\tMX.far").replace("86400", "86400 ") + more), expected)
        self.assertEqual(parse_policy("version: STSv1\nmode: none\nmax_age: 9999999999"), Policy(Mode.NONE, (), OLDEST))

    def test_what_is_no_policy(self) -> None:
        """Each part is needed, and nothing else may stand there."""
        for wrong in (
            "", "\r\n", "<html></html>", TEXT.replace("STSv1", "STSv2"), TEXT.replace("enforce", "maybe"), TEXT + "mx far\n",
            TEXT.replace("max_age: 86400", ""), TEXT.replace("86400", "1e9"), TEXT.replace("86400", "12345678901"),
            TEXT.replace("mx: ", "xm: "), TEXT.replace("*.mail", "mail.*"), TEXT.replace("*.mail", "a.*"), TEXT + "mx: a" * 300,
            TEXT + "mx: a.example\n" * 200, TEXT.replace("86400", "٣"), TEXT + "mx: a..b\n", TEXT + "\0: x\n",
        ):  # fmt: skip
            self.assertRaises(BadPolicy, parse_policy, wrong)

    def test_hosts(self) -> None:
        """An asterisk is one label, and never none."""
        policy = parse_policy(TEXT)
        for host, allowed in (
            ("mx.far.example", True), ("a.mail.far.example", True), ("mail.far.example", False), ("a.b.mail.far.example", False),
            ("amx.far.example", False), ("far.example", False), ("example", False), ("", False), ("*.mail.far.example", True),
        ):  # fmt: skip
            self.assertEqual(policy.allows(host), allowed, host)

    def test_records(self) -> None:
        """One that begins as it should, with one id."""
        for texts, id in (
            (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"), (["v=STSv1;id=a"], "a"), (["v=STSv1 ; x=y ; id=b ;"], "b"),
            (["other", "v=STSv1; id=c"], "c"), (["v=STSv1; id=a", "v=STSv1; id=b"], ""), (["v=STSv1"], ""),
            (["v=STSv1; id="], ""),
            (["v=STSv1; id=a-b"], ""), ([f"v=STSv1; id={'a' * 33}"], ""), (["v=stsv1; id=a"], ""), ([], ""),
            (["id=a; v=STSv1;"], ""), (["v=STSv1; id=a; id=b"], ""),
        ):  # fmt: skip
            self.assertEqual(parse_record([one.encode() for one in texts]), id, texts)


class FindingTests(SynchronousTestCase):
    """What is asked, fetched and kept."""

    def setUp(self) -> None:
        self.texts: dict[str, Any] = {"_mta-sts.far.example": RECORD}
        self.web: dict[str, Any] = {"far.example": TEXT}
        self.fetched: list[str] = []
        self.now = 1_000_000.0
        self.path = Path(self.mktemp())
        self.policies = self.started()

    def started(self) -> Policies:
        """As a daemon that was started does."""
        workers = InlineWorkers()
        database = Database(self.path, MIGRATIONS, workers, workers)
        self.successResultOf(database.open())
        self.addCleanup(database.close)
        self.counters = Counters()
        return Policies(ScriptedResolver(txt=self.texts), self.fetch, database, lambda: self.now, self.counters)

    async def fetch(self, domain: str) -> str:
        """What the web has."""
        self.fetched.append(domain)
        found = self.web[domain]
        if isinstance(found, Deferred):
            found = await found
        if isinstance(found, Exception):
            raise found
        return str(found)

    def mode(self, domain: str = "far.example") -> str:
        """What a domain demands."""
        found = run_now(self.policies.policy(domain))
        return found.mode.value if found is not None else ""

    def test_kept_until_the_id_changes(self) -> None:
        """Also over a restart."""
        self.assertEqual([self.mode(), self.mode(), len(self.fetched)], ["enforce", "enforce", 1])
        self.policies = self.started()
        self.assertEqual([self.mode(), len(self.fetched)], ["enforce", 1])
        self.texts["_mta-sts.far.example"] = "v=STSv1; id=2;"
        self.web["far.example"] = TEXT.replace("enforce", "testing")
        self.assertEqual([self.mode(), self.mode(), len(self.fetched)], ["testing", "testing", 2])

    def test_kept_when_the_dns_or_the_web_says_nothing(self) -> None:
        """Whoever can hide them gains nothing until the policy's time is over."""
        self.assertEqual(self.mode(), "enforce")
        for hidden in ([], NoAnswer("x"), ["nonsense"], [RECORD, "v=STSv1; id=2"]):
            self.texts["_mta-sts.far.example"] = hidden
            self.assertEqual(self.mode(), "enforce", hidden)
        self.texts["_mta-sts.far.example"] = "v=STSv1; id=2"
        for answer in (NotFetched("x"), "nonsense"):
            self.web["far.example"] = answer
            self.now += RETRY
            self.assertEqual(self.mode(), "enforce", answer)
        self.assertEqual(len(self.fetched), 3)
        self.now += 86_400
        self.assertEqual(self.mode(), "")

    def test_renewed_before_it_ends(self) -> None:
        """From half its time on, so that it never ends while it is there."""
        self.assertEqual(self.mode(), "enforce")
        self.now += 43_000
        self.assertEqual([self.mode(), len(self.fetched)], ["enforce", 1])
        self.now += 300
        self.assertEqual([self.mode(), len(self.fetched)], ["enforce", 2])
        self.now += 43_000
        self.assertEqual([self.mode(), len(self.fetched)], ["enforce", 2])

    def test_a_web_server_that_fails_is_left_alone_for_a_while(self) -> None:
        """And another id is worth another attempt."""
        self.web["far.example"] = NotFetched("x")
        self.assertEqual([self.mode(), self.mode(), len(self.fetched)], ["", "", 1])
        self.now += RETRY + 1
        self.assertEqual([self.mode(), len(self.fetched)], ["", 2])
        self.texts["_mta-sts.far.example"] = "v=STSv1; id=2;"
        self.assertEqual([self.mode(), len(self.fetched)], ["", 3])
        self.assertEqual(self.counters.snapshot()["relay.policies.failed"], 3)

    def test_domains_without(self) -> None:
        """Nothing is fetched."""
        self.assertEqual([self.mode("other.example"), self.fetched], ["", []])

    def test_none_takes_back_what_was_demanded(self) -> None:
        """RFC 8461 section 8.3."""
        self.assertEqual(self.mode(), "enforce")
        self.texts["_mta-sts.far.example"] = "v=STSv1; id=2;"
        self.web["far.example"] = "version: STSv1\nmode: none\nmax_age: 86400\n"
        self.assertEqual([self.mode(), len(self.fetched)], ["", 2])

    def test_many_wait_for_one_fetch(self) -> None:
        """Whatever comes of it."""
        answer: Deferred[Any] = Deferred()
        self.web["far.example"] = answer
        waiting = [Deferred.fromCoroutine(self.policies.policy("far.example")) for _ in range(5)]
        self.assertEqual(self.fetched, ["far.example"])
        answer.callback(TEXT)
        found: Sequence[Any] = [self.successResultOf(one) for one in waiting]
        self.assertEqual({one.mode for one in found}, {Mode.ENFORCE})
