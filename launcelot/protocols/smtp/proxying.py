"""
XCLIENT and XFORWARD: a trusted host in front of us says for whom it speaks.

As Postfix describes them (XCLIENT_README, XFORWARD_README).  XCLIENT makes the session that of the client behind: its address,
its name, who it has logged in as; everything said before is forgotten, and the client begins anew behind the banner.  XFORWARD
changes nothing but the log line of the next mail.

Only hosts of ``xclient_networks`` may, and it is their own address that counts, however often they have named others.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from launcelot.core.errors import NotFound, Refusal
from launcelot.protocols.smtp.grammar import Reply, SyntaxProblem, reply
from launcelot.protocols.smtp.notifying import BadValue, decode_xtext
from launcelot.protocols.smtp.session import Session, reply_for

CLIENT = ("NAME", "ADDR", "PROTO", "HELO", "LOGIN")
"""Attributes of XCLIENT that are offered; PORT, DESTADDR and DESTPORT would change nothing here."""

FORWARDED = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
"""Attributes of XFORWARD."""

UNKNOWN = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")
"""What stands for a value that the host in front of us does not have."""

MAX_VALUE = 255
"""Characters of a value, decoded."""

DENIED = reply(550, "5.7.0", "You may not speak for others")
NO_ACCOUNT = reply(535, "5.7.8", "No such account")
_ATTRIBUTE = re.compile(rb"([A-Za-z]{1,16})=([!-<>-~]{1,1024})")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,255}|\[[A-Za-z0-9.:_-]{1,253}\]")


def parse_client(argument: bytes) -> Mapping[str, str]:
    """
    XCLIENT's attributes, decoded; empty for what is unknown.

    :raises SyntaxProblem: one is malformed or is not offered.
    """
    found = _attributes(argument, CLIENT)
    if found.get("ADDR"):
        found["ADDR"] = _address(found["ADDR"])
    for name in ("NAME", "HELO"):
        if found.get(name) and _HOST.fullmatch(found[name]) is None:
            raise SyntaxProblem(501, "5.5.4", f"{name} is no host name")
    if "PROTO" in found and found["PROTO"].upper() not in ("SMTP", "ESMTP", ""):
        raise SyntaxProblem(501, "5.5.4", "PROTO is SMTP or ESMTP")
    return found


def parse_forwarded(argument: bytes) -> Mapping[str, str]:
    """
    XFORWARD's attributes, decoded; empty for what is unknown.

    :raises SyntaxProblem: one is malformed or is not offered.
    """
    return _attributes(argument, FORWARDED)


def _attributes(argument: bytes, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in argument.split(b" "):
        attribute = _ATTRIBUTE.fullmatch(word)
        name = attribute[1].decode("ascii").upper() if attribute is not None else ""
        if attribute is None or name not in known or name in found:
            raise SyntaxProblem(501, "5.5.4", "Attributes are " + " ".join(known))
        try:
            value = decode_xtext(attribute[2].decode("ascii"), name)
        except BadValue as bad:
            raise SyntaxProblem(501, "5.5.4", str(bad)) from None
        if len(value) > MAX_VALUE:
            raise SyntaxProblem(501, "5.5.4", f"{name} is too long")
        found[name] = "" if value.upper() in UNKNOWN else value
    return found


def _address(text: str) -> str:
    """RFC 4291 addresses have ``IPV6:`` before them."""
    is_six = text[:5].upper() == "IPV6:"
    try:
        return str(ipaddress.IPv6Address(text[5:]) if is_six else ipaddress.IPv4Address(text))
    except ValueError:
        raise SyntaxProblem(501, "5.5.4", "ADDR is no address") from None


async def xclient(session: Session, given: Mapping[str, str]) -> Reply | None:
    """Be the session of somebody else."""
    if not session.may_speak_for_others:
        return DENIED
    account = None if "ADDR" in given else session.account
    if "LOGIN" in given:
        try:
            account = await session.site.accounts.account(given["LOGIN"]) if given["LOGIN"] else None
        except NotFound:
            return NO_ACCOUNT
        except Refusal as refusal:
            return reply_for(refusal)
        if account is not None and not account.enabled:
            return NO_ACCOUNT
    session.reset()
    session.forget()
    session.forwarded = {}
    if "ADDR" in given:
        session.speak_for(given["ADDR"] or "unknown")
    session.account = account
    session.source_name = given.get("NAME", session.source_name)
    session.given_name = given.get("HELO", session.given_name)
    session.given_protocol = given.get("PROTO", session.given_protocol).upper()
    return reply(220, "", session.banner)


async def xforward(session: Session, given: Mapping[str, str]) -> Reply | None:
    """Keep what the log is to say of the next mail."""
    if not session.may_speak_for_others:
        return DENIED
    session.forwarded = {**session.forwarded, **given}
    return reply(250, "2.0.0", "Ok")
