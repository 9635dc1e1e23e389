"""
What the domain in From says about mail that is not its own.  DMARC.

The domain's policy is found by walking up the names (RFC 9989 section 4.10), which needs no list of public suffixes.  Mail passes
if SPF or DKIM passed for a domain that is aligned with that of From; these have to be asked before.

Left out: reports (RFC 9990, RFC 9991).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launcelot.checks.interface import ACCEPT, Action, Case, Check, Message, Result, Verdict
from launcelot.checks.names import Names, NoAnswer, NoSuchName
from launcelot.checks.sanity import authors
from launcelot.checks.spf import is_domain
from launcelot.message.address import domain_key
from launcelot.message.canonical import BadTags, parse_tags
from launcelot.message.headers import fields

MOST_LABELS = 8
"""Labels of a name from which on the walk skips to :data:`KEPT_LABELS`."""

KEPT_LABELS = 7
POLICIES = ("none", "quarantine", "reject")


@dataclass(frozen=True, slots=True)
class Step:
    """One record that the walk has found."""

    domain: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Policy:
    """
    What is asked of receivers.

    :ivar wanted: ``none``, ``quarantine`` or ``reject``.
    """

    wanted: str
    strict_spf: bool
    strict_dkim: bool


def author_domain(head: bytes) -> str:
    """The one domain of From; empty where there are none or several."""
    found: set[str] = set()
    for field in fields(head, 0, len(head)):
        if field.name.strip().lower() == b"from":
            named = authors(head[field.value_start : field.value_end])
            if not named:
                return ""
            found |= {domain_key(one.rpartition("@")[2]) for one in named}
    return found.pop() if len(found) == 1 else ""


async def walk(names: Names, domain: str) -> Sequence[Step]:
    """
    The records of a domain and of those above it, from the bottom up.

    :raises NoAnswer: the DNS does not answer.
    """
    found: list[Step] = []
    labels = domain.split(".")
    while labels:
        name = ".".join(labels)
        tags = await _record(names, name)
        if tags is not None:
            found.append(Step(name, tags))
            if tags.get("psd", "u").lower() in ("y", "n"):
                break
        labels = labels[-KEPT_LABELS:] if len(labels) >= MOST_LABELS else labels[1:]
    return found


async def _record(names: Names, domain: str) -> Mapping[str, str] | None:
    try:
        texts = await names.texts(f"_dmarc.{domain}")
    except NoSuchName:
        return None
    found: list[Mapping[str, str]] = []
    for text in texts:
        if not text.replace(b" ", b"").startswith(b"v=DMARC1;") and text.strip() != b"v=DMARC1":
            continue
        try:
            found.append(parse_tags(text.decode("ascii")))
        except (BadTags, UnicodeDecodeError):
            continue
    return found[0] if len(found) == 1 else None


def organization(domain: str, steps: Sequence[Step]) -> str:
    """The organizational domain.  RFC 9989 section 4.10.2."""
    if not steps:
        return domain
    last = steps[-1]
    if last.tags.get("psd", "u").lower() == "y" and last.domain != domain:
        below = domain.removesuffix(f".{last.domain}").rpartition(".")[2]
        return f"{below}.{last.domain}"
    return last.domain


def policy_of(domain: str, steps: Sequence[Step]) -> Policy | None:
    """What applies to a domain; None without a record that says it."""
    if not steps:
        return None
    step = steps[0] if steps[0].domain == domain else steps[-1]
    tags = step.tags
    own = tags.get("p", "none").lower()
    wanted = own if step.domain == domain else tags.get("sp", own).lower()
    if wanted not in POLICIES:
        wanted = "none"
    if tags.get("t", "n").lower() == "y":
        # Being tried out: one step milder.  RFC 9989 section 4.7.
        wanted = POLICIES[max(0, POLICIES.index(wanted) - 1)]
    return Policy(wanted, tags.get("aspf", "r").lower() == "s", tags.get("adkim", "r").lower() == "s")


class Dmarc(Check):
    """
    Asks and, where that is wanted, does what the domain asks for.

    :param enforce: whether mail that fails is refused or put aside as the policy says.
    """

    name = "dmarc"

    def __init__(self, names: Names, enforce: bool) -> None:
        self._names = names
        self._enforce = enforce

    async def message(self, case: Case, message: Message) -> Verdict:
        """Find out, note, and do it."""
        domain = author_domain(message.head)
        if not is_domain(domain):
            case.results.append(Result("dmarc", "permerror" if domain == "" else "none"))
            return ACCEPT
        try:
            steps = await walk(self._names, domain)
            policy = policy_of(domain, steps)
            passes = policy is not None and await self._aligned(case, domain, organization(domain, steps), policy)
        except NoAnswer:
            case.results.append(Result("dmarc", "temperror", (("header.from", domain),)))
            return ACCEPT
        if policy is None:
            case.results.append(Result("dmarc", "none", (("header.from", domain),)))
            return ACCEPT
        properties = (("header.from", domain), ("policy.dmarc", policy.wanted))
        unsure = case.result("spf") == "temperror" or any(
            one.method == "dkim" and one.value == "temperror" for one in case.results
        )
        value = "pass" if passes else "temperror" if unsure else "fail"
        case.results.append(Result("dmarc", value, properties))
        return self._verdict(policy) if value == "fail" and self._enforce else ACCEPT

    def _verdict(self, policy: Policy) -> Verdict:
        if policy.wanted == "reject":
            return Verdict(Action.REJECT, "The domain in From says that this is not its mail (DMARC)", "5.7.26")
        if policy.wanted == "quarantine":
            return Verdict(Action.QUARANTINE, "the domain in From says that this is not its mail", "5.7.26")
        return ACCEPT

    async def _aligned(self, case: Case, domain: str, organizational: str, policy: Policy) -> bool:
        for result in case.results:
            if result.value != "pass" or result.method not in ("spf", "dkim"):
                continue
            properties = dict(result.properties)
            strict = policy.strict_spf if result.method == "spf" else policy.strict_dkim
            mailed = properties.get("smtp.mailfrom") or properties.get("smtp.helo", "")
            shown = properties.get("header.d") or mailed.rpartition("@")[2].lower()
            if await self._is_aligned(shown, domain, organizational, strict):
                return True
        return False

    async def _is_aligned(self, shown: str, domain: str, organizational: str, strict: bool) -> bool:
        if shown == domain:
            return True
        if strict or not is_domain(shown):
            return False
        return organization(shown, await walk(self._names, shown)) == organizational
