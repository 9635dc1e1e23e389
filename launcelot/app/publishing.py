"""
What the DNS should say of a daemon, made of its configuration, its keys and its certificate.

Left out: files for ``autoconfig`` and ``autodiscover``, which need a web server where SRV records (RFC 6186) do not.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from launcelot.app.catalogue import SERVICES, settings_of
from launcelot.app.configuration import Configuration
from launcelot.app.dkim import quoted
from launcelot.app.errors import CONFIGURATION, Ending
from launcelot.app.naming import hostname_of
from launcelot.checks.keys import KeyFolder, strings_of
from launcelot.checks.names import reverse_of
from launcelot.core.limits import is_loopback
from launcelot.hosting.proxy import PROXIED
from launcelot.message.address import domain_key
from launcelot.protocols.policy.grammar import policy_text
from launcelot.relay.hosts import is_numeric
from launcelot.relay.routes import EVERYTHING, FROM, parse_route
from launcelot.relay.tlsa import DANE_EE, DANE_TA, KEY, WHOLE, Tlsa, record_of

MAIL_PORT = 25

HTTPS = 443

SERVED = {
    "submission": ("_submission", 10), "submissions": ("_submissions", 0), "imap": ("_imap", 10), "imaps": ("_imaps", 0),
    "pop3": ("_pop3", 20), "pop3s": ("_pop3s", 20), "managesieve": ("_sieve", 0),
}  # fmt: skip
"""Listeners that programs look up, labels and preferences.  RFC 6186 section 3, RFC 8314 section 5.1, RFC 5804 section 1.8."""


_INTERFACE = re.compile(r":interface=((?:\\.|[^:\\])*)")


@dataclass(frozen=True, slots=True)
class Record:
    """
    One record to publish.

    :ivar name: without a dot at its end, as hosts in ``value`` are.
    :ivar value: in the words of a zone file; the text itself for TXT.
    :ivar what: which of the things that mail needs this is, such as ``"SPF"``.
    :ivar note: why, or under which condition; one line.
    """

    name: str
    kind: str
    value: str
    what: str
    domain: str = ""
    note: str = ""

    @property
    def line(self) -> str:
        """As a zone file has it."""
        if self.kind == "TXT":
            return f"{self.name}. IN TXT {quoted(strings_of(self.value))}"
        value = f"{self.value}." if self.kind in ("MX", "SRV", "PTR", "CNAME") else self.value
        return f"{self.name}. IN {self.kind} {value}"


@dataclass(frozen=True, slots=True)
class File:
    """A file to publish on the web."""

    url: str
    text: str
    domain: str


@dataclass(slots=True)
class Plan:
    """
    Everything that should be published.

    :ivar hostname: of the daemon, lower-case.
    :ivar advice: what else there is to know, one line each.
    """

    hostname: str
    domains: Sequence[str]
    records: list[Record] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


def plan_of(configuration: Configuration, addresses: Sequence[str] = ()) -> Plan:
    """
    What to publish.

    :param addresses: of the host, as the world sees them; none where they are not known.
    :raises Ending: the host has no name, or no domain, that the DNS could know.
    """
    hostname = domain_key(hostname_of(configuration))
    if "." not in hostname or is_numeric(hostname):
        text = f"{hostname!r} is no name that others could find; set daemon.hostname, such as mx.example.org"
        raise Ending(text, CONFIGURATION)
    domains = [one for one in dict.fromkeys(map(domain_key, configuration.daemon.domains)) if "." in one]
    if not domains:
        raise Ending("no domain that the DNS could know; set daemon.domains, such as ['example.org']", CONFIGURATION)
    plan = Plan(hostname, domains)
    plan.records += host_records(hostname, addresses)
    if hostname not in domains:
        plan.records.append(Record(hostname, "TXT", "v=spf1 a -all", "SPF", note="for notices, which have no other sender"))
    if not addresses:
        plan.advice.append(f"{hostname} needs its A and AAAA records, and its addresses need PTR records; see --address")
    dane(configuration, plan)
    for domain in domains:
        plan.records += domain_records(configuration, plan, domain)
    if configuration.tls.enabled and configuration.tls.certificate:
        for domain in domains:
            policy(configuration, plan, domain)
    else:
        plan.advice.append(
            "no MTA-STS: its certificate must be from a public authority; set tls.certificate and tls.key once you have one"
        )
    return plan


def host_records(hostname: str, addresses: Sequence[str]) -> Iterator[Record]:
    """What is said of the host itself."""
    for address in addresses:
        kind = "A" if ipaddress.ip_address(address).version == 4 else "AAAA"
        yield Record(hostname, kind, address, "address")
    for address in addresses:
        yield Record(reverse_of(address), "PTR", hostname, "reverse name", note="by whoever gave you the address")


def domain_records(configuration: Configuration, plan: Plan, domain: str) -> Iterator[Record]:
    """What is said of one domain."""
    yield Record(domain, "MX", f"10 {plan.hostname}", "mail host", domain)
    yield Record(domain, "TXT", spf_of(configuration, domain), "SPF", domain, "who sends mail of this domain; nobody else")
    keys = KeyFolder(configuration.dkim_folder).keys(domain) if configuration.dkim.sign else ()
    for key in keys:
        yield Record(key.name, "TXT", key.record, "DKIM", domain)
    if not keys:
        remedy = f"make keys with launcelot dkim new {domain}" if configuration.dkim.sign else "set dkim.sign"
        plan.advice.append(f"mail of {domain} is not signed; {remedy}")
    wanted = "quarantine" if keys else "none"
    report = f"rua=mailto:postmaster@{domain}"
    yield Record(f"_dmarc.{domain}", "TXT", f"v=DMARC1; p={wanted}; {report}", "DMARC", domain)
    yield Record(f"_smtp._tls.{domain}", "TXT", f"v=TLSRPTv1; {report}", "TLS reports", domain)
    yield from services(configuration, plan.hostname, domain)


def spf_of(configuration: Configuration, domain: str) -> str:
    """Mail leaves by the mail hosts, and by the hosts that routes name for everything.  RFC 7208 section 5."""
    terms = ["mx"]
    for route in smarthosts(configuration, domain):
        if is_numeric(route):
            terms.append(f"ip{ipaddress.ip_address(route).version}:{route}")
        else:
            terms.append(f"a:{route}")
    return " ".join(["v=spf1", *terms, "-all"])


def smarthosts(configuration: Configuration, domain: str) -> Sequence[str]:
    """Hosts that mail of a domain is handed to, whoever it is for."""
    if not configuration.relay.enabled:
        return ()
    routes = [parse_route(one) for one in configuration.relay.routes]
    return [one.host for one in routes if one.host and one.pattern in (EVERYTHING, f"{FROM}{domain}")]


def services(configuration: Configuration, hostname: str, domain: str) -> Iterator[Record]:
    """Where programs of people find what they look for, as far as it listens where they could reach it."""
    for service, settings in configuration.services.items():
        for name, place in SERVICES[service].places.items() if service in SERVICES else ():
            if name in SERVED:
                label, preference = SERVED[name]
                port = reached(getattr(settings, place.setting), place.standard)
                if port and (configuration.tls.enabled or not name.endswith("s")):
                    yield Record(f"{label}._tcp.{domain}", "SRV", f"{preference} 1 {port} {hostname}", "service", domain)


def reached(endpoints: Sequence[str], standard: int) -> int:
    """The port at which others reach one of some endpoints; 0 where none is for others."""
    for endpoint in endpoints:
        kind, _, rest = endpoint.removeprefix(PROXIED).partition(":")
        interface = _INTERFACE.search(endpoint)
        if endpoint.startswith(PROXIED) or kind == "systemd":
            return standard
        if kind in ("tcp", "tcp6") and not (interface is not None and is_loopback(interface[1].replace("\\", ""))):
            port = int(rest.partition(":")[0].removeprefix("port="))
            if port:
                return port
    return 0


def policy(configuration: Configuration, plan: Plan, domain: str) -> None:
    """MTA-STS, by the service that hands it out, or by somebody's web server.  RFC 8461 sections 3.1 and 3.2."""
    settings = configuration.services.get("policy") or settings_of("policy")()
    text = policy_text(settings.mode, settings.mx or (plan.hostname,), settings.max_age)
    port = reached(settings.listen, HTTPS)
    host = f"mta-sts.{domain}"
    if port == HTTPS:
        plan.records.append(Record(host, "CNAME", plan.hostname, "policy host", domain, "where this daemon serves the file"))
    else:
        plan.advice.append(
            f"the policy of {domain} is not served here: set policy.listen = ['tcp:443'], with {host} in the certificate, or have"
            f" a web server at {host} serve the file"
        )
    mark = hashlib.sha256(text.encode()).hexdigest()[:20]
    plan.records.append(Record(f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={mark}", "MTA-STS", domain, "once the file is there"))
    plan.files.append(File(f"https://mta-sts.{domain}/.well-known/mta-sts.txt", text, domain))


def dane(configuration: Configuration, plan: Plan) -> None:
    """TLSA.  RFC 7672 section 3.1."""
    if not configuration.tls.enabled:
        plan.advice.append("no DANE: TLS is off")
        return
    own = configuration.data / "tls" / "server.pem"
    path = Path(configuration.tls.certificate) if configuration.tls.certificate else own
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        plan.advice.append(f"no DANE: {path} cannot be read yet; start the daemon once, which makes it, or put it right")
        return
    record = tlsa_of(chain, bool(configuration.tls.certificate))
    plan.records.append(Record(tlsa_name(plan.hostname), "TLSA", str(record), "DANE", note=NOTES[record.usage]))


def tlsa_of(chain: Sequence[x509.Certificate], configured: bool) -> Tlsa:
    """
    The record for a chain: the key of a certificate from elsewhere; for one of our own its authority, which outlives it.

    :param configured: it is from elsewhere.
    """
    if configured or len(chain) < 2:
        return record_of(chain[0], DANE_EE, KEY)
    return record_of(chain[-1], DANE_TA, WHOLE)


def tlsa_name(hostname: str) -> str:
    """Where the record stands.  RFC 6698 section 3."""
    return f"_{MAIL_PORT}._tcp.{hostname}"


NOTES = {
    DANE_EE: "in signed zones only; keep the key when the certificate is renewed, or publish the new one's record days before",
    DANE_TA: "in signed zones only; stays when the certificate is renewed",
}

