"""
Generated messages, the same for the same random numbers: real-looking ones and hostile ones.

All lines end in CRLF (Dovecot mends bare LF, we keep it), and no NUL occurs (RFC 3501 section 4.3.1 has no form for it).
"""

from __future__ import annotations

import base64
import quopri
from random import Random

WORDS = "the quick brown fox jumps over lazy dog meeting report invoice draft Zürich naïve café budget 会議 отчёт plan".split()
NAMES = (
    "Ann Lee",
    "Bob",
    "",
    '"Quoted, Name"',
    "=?utf-8?Q?J=C3=BCrgen?=",
    "=?iso-8859-1?q?Ren=E9?=",
    "O'Neil (nick)",
    "=?utf-8?B?5pel5pys?=",
)
LOCAL = ("ann", "bob.b", '"odd name"', "carl+tag", "x")
DOMAINS = ("a.example", "sub.b.example", "[192.0.2.1]", "localhost")
ZONES = ("+0000", "-0500", "+0530", "GMT", "EST", "-0000", "")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
HOSTILE_ADDRESSES = (
    "", "<>", "undisclosed-recipients:;", "group: a@b, c@d;", "@route.example:a@b.example", "a@b@c", "no-at-sign",
    "<a@b> trailing", "(only a comment)", '"unclosed <a@b>', "a@b,,c@d,", "a@b;c@d", "<@x,@y:z@w>", "Name <a@b", "group:",
    "a b c@d", "=?utf-8?B?4piD?= <s@n>", "a@[1.2.3.4]", "a . b @ c . d", "g: inner: a@b;;", "\\ <a@b>", '"" <a@b>',
)  # fmt: skip
HOSTILE_FIELDS = (
    "Subject:", "Subject: ", "Subject:\r\n folded", "Subject: two\r\n\tlines",
    "Subject: =?utf-8?Q?caf=C3=A9?= =?utf-8?B?w6k=?=", "Subject: =?unknown?Q?x?= =?utf-8?X?y?= =?utf-8?Q?unclosed",
    'Subject: quote " and \\ backslash', "Subject : space before colon", "subject: lower",
    "Subject: first\r\nSubject: second", "Date: yesterday", "Date:", "Date: Fri, 31 Feb 2026 25:61:61 +9999",
    "Message-ID: no brackets", "Message-ID:", "In-Reply-To: <a@b> <c@d>", "References: <1@x> <2@x>\r\n <3@x>",
    "X-Long: " + "y" * 1200, "X-Raw: caf=C3=A9 raw", "X-Empty:", "Content-Type: text/plain\r\nContent-Type: text/html",
)  # fmt: skip
TYPES = (
    "text/plain", "text/plain; charset=utf-8", 'text/html; charset="iso-8859-1"',
    "TEXT/Plain; CHARSET=US-ASCII; Format=Flowed", "application/octet-stream; name=file.bin",
    'application/pdf; name="a \\"b\\".pdf"', "image/png; name*=utf-8''%e2%82%ac.png", "text/plain; charset", "text",
    "text/", "/plain", "text/plain;", "text/plain; a=b; a=c", 'text/plain; x="unclosed', "nonsense",
    "text/plain; name*0=part; name*1=two", "message/delivery-status", "text/calendar (comment); method=REQUEST",
    "multipart/", "",
)  # fmt: skip
DISPOSITIONS = (
    "inline", "attachment", "attachment; filename=x.txt", 'attachment; filename="a b.txt"; size=12',
    "attachment; filename*=utf-8''%c3%a9.txt", "", ";", "form-data; name",
)  # fmt: skip
CHARSETS = ("utf-8", "iso-8859-1", "us-ascii", "utf-16", "koi8-r", "nonesuch")


def line(random: Random, words: int = 8) -> str:
    """Some words."""
    return " ".join(random.choice(WORDS) for _ in range(random.randint(1, words)))


def worded(text: str) -> str:
    """Text as a header may hold it: words with other letters are encoded (RFC 9755 section 4 has octets there refused)."""
    if text.isascii():
        return text
    return " ".join(
        one if one.isascii() else f"=?utf-8?B?{base64.b64encode(one.encode()).decode()}?=" for one in text.split()
    )


def address(random: Random, hostile: bool) -> str:
    """One address, or what somebody has put in its place."""
    if hostile and random.random() < 0.5:
        return random.choice(HOSTILE_ADDRESSES)
    plain = f"{random.choice(LOCAL)}@{random.choice(DOMAINS)}"
    name = random.choice(NAMES)
    return f"{name} <{plain}>" if name else plain


def addresses(random: Random, hostile: bool) -> str:
    """One to four, maybe folded."""
    joint = random.choice((", ", ",\r\n ", ","))
    return joint.join(address(random, hostile) for _ in range(random.randint(1, 4)))


def date(random: Random) -> str:
    """A date."""
    day, month, year = random.randint(1, 28), random.choice(MONTHS), random.randint(1995, 2025)
    return (
        f"{day} {month} {year} {random.randint(0, 23):02}:{random.randint(0, 59):02}:00 {random.choice(ZONES)}".rstrip()
    )


def header(random: Random, hostile: bool) -> list[str]:
    """Fields, in some order."""
    number = random.randrange(10**6)
    fields = [
        f"From: {address(random, hostile)}",
        f"To: {addresses(random, hostile)}",
        f"Subject: {random.choice(('', 'Re: ', 'Fwd: ', 'RE: [list] '))}{worded(line(random))}",
        f"Date: {date(random)}",
        f"Message-ID: <{number}@m.example>",
    ]
    for name, chance in (("Cc", 0.4), ("Bcc", 0.1), ("Reply-To", 0.2), ("Sender", 0.2)):
        if random.random() < chance:
            fields.append(f"{name}: {addresses(random, hostile)}")
    if random.random() < 0.4:
        fields.append(f"References: <{random.randrange(40)}@m.example> <{random.randrange(40)}@m.example>")
    if random.random() < 0.3:
        fields.append(f"In-Reply-To: <{random.randrange(40)}@m.example>")
    if hostile:
        fields = [field for field in fields if random.random() < 0.8]
        fields += random.sample(HOSTILE_FIELDS, random.randint(0, 4))
    random.shuffle(fields)
    return fields


def part(random: Random, hostile: bool, depth: int) -> tuple[list[str], bytes]:
    """A MIME part: its fields and its octets."""
    kind = random.random()
    if depth < 4 and kind < 0.35:
        return multipart(random, hostile, depth)
    if depth < 4 and kind < 0.45:
        return ["Content-Type: message/rfc822"], message(random, hostile, depth + 1)
    return leaf(random, hostile)


def leaf(random: Random, hostile: bool) -> tuple[list[str], bytes]:
    """A part without parts."""
    charset = random.choice(CHARSETS) if hostile else random.choice(("utf-8", "iso-8859-1", "us-ascii"))
    text = "\r\n".join(line(random, 12) for _ in range(random.randint(0, 6))) + random.choice(("", "\r\n"))
    try:
        octets = text.encode(charset)
    except (LookupError, UnicodeEncodeError):
        octets = text.encode()
    encoding = random.choice(("7bit", "8bit", "quoted-printable", "base64", "BASE64", "binary", ""))
    if encoding == "quoted-printable":
        octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    elif encoding.lower() == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    octets = octets.replace(b"\0", b"0")
    if hostile and random.random() < 0.2:
        octets = (
            octets[: random.randint(0, len(octets))]
            + b"\r\n--\r\n=?= %"
            + bytes(random.randint(128, 255) for _ in range(9))
        )
    octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\n", b"\r\n")
    fields = (
        [f"Content-Type: text/{random.choice(('plain', 'html'))}; charset={charset}"] if random.random() < 0.8 else []
    )
    if hostile and random.random() < 0.5:
        fields = [f"Content-Type: {random.choice(TYPES)}"]
    if encoding or hostile:
        fields.append(f"Content-Transfer-Encoding: {encoding}")
    if random.random() < 0.3:
        fields.append(f"Content-Disposition: {random.choice(DISPOSITIONS if hostile else DISPOSITIONS[:4])}")
    for name, value in (
        ("Content-ID", "<id@x>"),
        ("Content-Description", worded(line(random))),
        ("Content-Language", "en, de-CH"),
    ):
        if random.random() < 0.15:
            fields.append(f"{name}: {value}")
    if random.random() < 0.1:
        fields += ["Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==", "Content-Location: http://x.example/a"]
    return fields, octets


def multipart(random: Random, hostile: bool, depth: int) -> tuple[list[str], bytes]:
    """A part with parts."""
    boundary = random.choice(("b", "==x==", "a b", "boundary-" + "z" * 50)) + (
        str(depth) if random.random() < 0.7 or not hostile else ""
    )
    kind = random.choice(("mixed", "alternative", "related", "digest"))
    fields = [f'Content-Type: multipart/{kind}; boundary="{boundary}"']
    body = random.choice((b"", b"preamble\r\n"))
    for _ in range(random.randint(1, 3)):
        inner, octets = part(random, hostile, depth + 1)
        body += b"--" + boundary.encode() + random.choice((b"", b" ", b"\t")) + b"\r\n"
        body += "".join(f"{field}\r\n" for field in inner).encode() + b"\r\n" + octets + b"\r\n"
    if not (hostile and random.random() < 0.3):
        # Dovecot gives the CRLF of a delimiter behind a bare close delimiter to the inner part (RFC 2046 section 5.1.1 does not).
        ends = (b"\r\n", b"\r\nepilogue\r\n", *((b"",) if hostile or not depth else ()))
        body += b"--" + boundary.encode() + b"--" + random.choice(ends)
    return fields, body


def message(random: Random, hostile: bool = False, depth: int = 0) -> bytes:
    """
    A message.

    :param hostile: whether fields, addresses and structure may be wrong.
    """
    fields, body = part(random, hostile, depth)
    # Dovecot looks at most Content- fields only where this one is (RFC 2045 section 4 leaves it open).
    if fields and (not hostile or random.random() < 0.9):
        fields.append("MIME-Version: 1.0")
    fields = header(random, hostile) + fields
    if hostile and random.random() < 0.1:
        random.shuffle(fields)
    end = b"" if hostile and random.random() < 0.05 else b"\r\n"
    return "".join(f"{field}\r\n" for field in fields).encode() + (end + body if end else b"")
