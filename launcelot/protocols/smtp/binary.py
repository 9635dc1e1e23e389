"""
Messages of any octets, as BODY=BINARYMIME announces them.  RFC 3030 section 3.

What lies in mailboxes and goes to other hosts has lines that end in CRLF, and no NULs: POP3 and SMTP have no other way to say it,
and a bare LF is what smuggling is made of.  So a part that has such octets becomes base64 when it comes in, as a server does
before a next hop that does not take them; decoded it has every octet it was sent with.
"""

from __future__ import annotations

import re

from launcelot.core.errors import Unsupported
from launcelot.message.recode import Unencodable, plan, recoded
from launcelot.workers.staging import Staged, Staging

FOREIGN = re.compile(rb"\0|\r(?!\n)|(?<!\r)\n")
"""A NUL, a bare CR, a bare LF."""


class NotConvertible(Unsupported):
    """Such an octet stands in a header, between parts, or in what is encoded already."""

    default_text = "octets that are not text stand outside of any part that could be encoded"


async def without_bare_ends(staging: Staging, staged: Staged) -> Staged:
    """
    The message with parts encoded where they must be; what is handed over is closed or given back.

    :raises Refusal: it cannot be, or there is no room; nothing is open then.
    """
    try:
        changes = await staging.aside(lambda: plan(staged.view(), FOREIGN))
        if not changes:
            return staged
        encoded = staging.begin()
        try:
            for piece in recoded(staged.view(), changes):
                await encoded.write(piece)
        except BaseException:
            encoded.close()
            raise
    except Unencodable:
        staged.close()
        raise NotConvertible from None
    except BaseException:
        staged.close()
        raise
    staged.close()
    return encoded
