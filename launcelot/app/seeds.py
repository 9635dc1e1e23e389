"""
What a demo begins with: two people, three messages of different MIME shapes, a few files, and some for everybody.

The messages are 354, 442 and 1175 octets long, as in the sample mailbox of *Foundations of Python Network Programming*, so that
examples which count octets come out as printed there; the words are our own.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass

DOMAIN = "example.com"


@dataclass(frozen=True, slots=True)
class Seed:
    """A person of the demo."""

    name: str
    password: str


PUBLIC = "Public"
"""The team folder that anybody may read over FTP, as on the servers of old."""

PEOPLE = (Seed("brandon", "atigdng"), Seed("ann", "bridgekeeper"))


def _message(text: str) -> bytes:
    return text.lstrip("\n").replace("\n", "\r\n").encode("ascii")


PLAIN = _message("""
From: Ann <ann@example.com>
To: Brandon <brandon@example.com>
Subject: The bridge tomorrow
Date: Sat, 21 Nov 2026 09:00:00 +0000
Message-ID: <bridge-1@example.com>

Hello Brandon,

the keeper has three questions as always; the last one is about
swallows. Read up on them tonight, and bring the map and a lamp.
It is dark by five or so.

Ann
""")

ALTERNATIVE = _message("""
From: Ann <ann@example.com>
To: brandon@example.com
Subject: Swallows
Date: Sat, 21 Nov 2026 10:30:00 +0000
Message-ID: <swallow-2@example.com>
In-Reply-To: <bridge-1@example.com>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=wing

--wing
Content-Type: text/plain

African or European?
The keeper will not say and waits for you.
--wing
Content-Type: text/html

<p>African <b>or</b> European?</p>
--wing--
""")

_GRAIL = base64.encodebytes(bytes(range(0, 256, 2)) * 2).decode("ascii")

MIXED = _message(f"""
From: =?utf-8?q?K=C3=B6nig_Artus?= <ann@example.com>
To: brandon@example.com, ann@example.com
Subject: =?utf-8?q?The_map_=E2=80=93_with_an_enclosure?=
Date: Sat, 21 Nov 2026 12:00:00 +0000
Message-ID: <map-3@example.com>
References: <bridge-1@example.com> <swallow-2@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=fold

--fold
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

The map is enclosed; the castle is at =E2=9C=9D.
It is drawn from memory, so please do not trust the distances; the two
rivers and the ford between them are right, and so is the old warning
about the rabbit.
--fold
Content-Type: application/octet-stream; name=map.bin
Content-Disposition: attachment; filename=map.bin
Content-Transfer-Encoding: base64

{_GRAIL}--fold--
""")

MESSAGES: Mapping[str, bytes] = {"demo-1": PLAIN, "demo-2": ALTERNATIVE, "demo-3": MIXED}
"""By delivery key, so that a demo that is started again does not double them."""

FILES: Mapping[tuple[str, ...], bytes] = {
    ("welcome.txt",): b"These files live in the demo's data folder and go with it.\r\n",
    ("quests", "grail.txt"): b"Sought since 932; not in the castle, not at the bridge.\r\n",
    ("quests", "questions.txt"): b"name?\r\nquest?\r\nfavorite color?\r\n",
    ("quests", "map.bin"): bytes(range(256)) * 16,
}
"""Of both people, by path."""

_ARCHIVE = "pub/linux/kernel"

PUBLIC_FILES: Mapping[tuple[str, ...], bytes] = {
    tuple(f"{_ARCHIVE}/{name}".split("/")): data
    for name, data in {
        "README": b"Here is what the book's programs for FTP look for; the words are our own.\r\nNo kernel is inside.\r\n",
        "v1.0/linux-1.0.tar.gz": gzip.compress(bytes(range(256)) * 512, mtime=0),
        "v1.0/patch8.gz": gzip.compress(b"Nothing is patched.\n", mtime=0),
        "Historic/linux-0.01.tar.gz": gzip.compress(b"Very old.\n", mtime=0),
        "Historic/old-versions/impure/README": b"Older still.\r\n",
        "Historic/old-versions/linux-0.95.tar.gz": gzip.compress(b"Not so old.\n", mtime=0),
    }.items()
}
"""Of :data:`PUBLIC`, by path: those that *Foundations of Python Network Programming* fetches and lists, chapter 17."""
