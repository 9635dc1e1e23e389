"""
Tokens in place of passwords: their settings, and what is asked about one; :mod:`launcelot.accounts.jsontokens` answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from launcelot.core.settings import setting

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""With a public key; nothing else can be chosen."""


@dataclass(frozen=True)
class TokenSettings:
    """The table ``[oauth]``."""

    keys: str = setting(
        "",
        "File of the public keys (a JWK set, RFC 7517) of the authority whose tokens log in (OAUTHBEARER, under TLS)."
        " Read again when it changes. Empty: no tokens are taken.",
    )
    issuer: str = setting("", "Who must have issued a token ('iss').")
    audience: str = setting("", "Whom a token must be for ('aud').")
    name_claim: str = setting("preferred_username", "The claim that is the log-in name or address of an account.")
    scope: str = setting("", "A scope that a token must have ('scope'). Empty: none.")
    algorithms: tuple[str, ...] = setting(
        ("RS256", "PS256", "ES256", "EdDSA"), f"Algorithms of signatures that are taken, of {', '.join(ALGORITHMS)}."
    )
    discovery: str = setting("", "URL of the authority's OpenID configuration, which clients are told whose token is not taken.")


def problems(settings: TokenSettings) -> list[tuple[str, str]]:
    """What is wrong with settings beyond their types: key and text."""
    strange = [one for one in settings.algorithms if one not in ALGORITHMS]
    found = [("algorithms", f"{one!r} is none of {', '.join(ALGORITHMS)}") for one in strange]
    if settings.keys:
        missing = [name for name in ("issuer", "audience", "name_claim") if not getattr(settings, name)]
        found += [(name, "must be set where keys is") for name in missing]
        if not settings.algorithms:
            found.append(("algorithms", "must name one at least"))
    return found


class Tokens(Protocol):
    """Tells whose a token is."""

    @property
    def settings(self) -> TokenSettings:
        """What clients are told of."""

    async def identity(self, token: str) -> str:
        """
        The log-in name or address that a token speaks for.

        :raises BadCredentials: it is not to be believed.
        :raises TryLater: that cannot be found out now.
        """
